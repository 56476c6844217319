// Package mapuse collects what a script does with each of its arrays, for the rules
// about maps.
package mapuse

import (
	"strings"

	"stapkit/lint"
	"stapkit/sema"
	"stapkit/syntax"
	"stapkit/target/ctype"
)

// A Use is one place where an array is read or changed.
type Use struct {
	Body *lint.Body
	Node syntax.Node   // the whole expression or statement
	Keys []syntax.Expr // nil for the whole array
}

// A Map is one array of the user, with its uses in code that is in use.
type Map struct {
	Global  *sema.Global
	Writes  []Use // of elements; Node is an AssignExpr or IncDec
	Reads   []Use // of elements, "in", and foreach (Keys nil)
	Deletes []Use
	Loops   []Use // foreach; they are Reads, too
}

// Maps are the arrays of a script, a fact for rules to require.
var Maps = &lint.Analyzer{Name: "maps", Run: func(p *lint.Pass) (any, error) {
	var list []*Map
	of := map[*sema.Global]*Map{}
	globals := p.Program.Globals
	if t := p.Program.Tools; t != nil {
		globals = t.Globals
	}
	for _, g := range globals {
		if g.Array && !g.Library && len(g.Keys) > 0 {
			m := &Map{Global: g}
			of[g] = m
			list = append(list, m)
		}
	}
	bodies := p.Bodies()
	for i := range bodies {
		b := &bodies[i]
		target := map[syntax.Expr]bool{} // what is written
		b.Walk(func(n syntax.Node) bool {
			change := func(x syntax.Expr, reads bool) {
				ix, ok := x.(*syntax.Index)
				if !ok {
					return
				}
				if m := of[b.Global(x)]; m != nil {
					m.Writes = append(m.Writes, Use{b, n, ix.Keys})
					target[x] = !reads
				}
			}
			switch n := n.(type) {
			case *syntax.AssignExpr:
				change(n.L, false)
			case *syntax.IncDec:
				change(n.X, false)
			case *syntax.DeleteStmt:
				if m := of[b.Global(n.X)]; m != nil {
					u := Use{b, n, nil}
					if ix, ok := n.X.(*syntax.Index); ok {
						u.Keys = ix.Keys
					}
					m.Deletes = append(m.Deletes, u)
					target[n.X] = true
				}
			case *syntax.Index:
				if m := of[b.Global(n)]; m != nil && !target[n] {
					m.Reads = append(m.Reads, Use{b, n, n.Keys})
				}
			case *syntax.ArrayIn:
				if m := of[b.Global(n.Array)]; m != nil {
					m.Reads = append(m.Reads, Use{b, n, n.Keys})
				}
			case *syntax.ForeachStmt:
				if m := of[b.Global(n.Array)]; m != nil {
					u := Use{b, n, nil}
					m.Reads = append(m.Reads, u)
					m.Loops = append(m.Loops, u)
				}
			}
			return true
		})
	}
	return list, nil
}}

// Source is where the value of a local comes from, when it is assigned once; else x.
func Source(b *lint.Body, x syntax.Expr) syntax.Expr {
	for range 5 {
		id, ok := x.(*syntax.Ident)
		if !ok {
			return x
		}
		l, ok := b.Idents[id].(*sema.Local)
		if !ok || l.Param {
			return x
		}
		var from syntax.Expr
		n := 0
		b.Walk(func(node syntax.Node) bool {
			if a, ok := node.(*syntax.AssignExpr); ok && b.Object(a.L) == sema.Object(l) {
				n++
				if a.Op == syntax.Assign {
					from = a.R
				}
			}
			return true
		})
		if n != 1 || from == nil {
			return x
		}
		x = from
	}
	return x
}

// Transient says what a key stands for that comes and goes: "thread", "process",
// "pointer"; "" when it is nothing such.
func Transient(b *lint.Body, key syntax.Expr) string {
	x := Source(b, key)
	switch b.Library(x) {
	case "tid":
		return "thread"
	case "pid":
		return "process"
	}
	switch x := x.(type) {
	case *syntax.TargetVar:
		if acc := b.Targets[x]; acc != nil && acc.Type != nil {
			if _, ok := ctype.AsPointer(acc.Type); ok {
				return "pointer"
			}
			return ""
		}
		switch strings.TrimPrefix(x.Name, "$") {
		case "rq", "req", "skb", "bio", "sk", "page", "bh", "request":
			if len(x.Path) == 0 {
				return "pointer"
			}
		}
	}
	return ""
}
