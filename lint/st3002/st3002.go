// Package st3002 is the rule ST3002: entry that stays on an early way out.
package st3002

import (
	"golang.org/x/tools/container/intsets"

	"stapkit/diag"
	"stapkit/lint"
	"stapkit/lint/flow"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST3002",
	Doc: &lint.Doc{
		Title:    "entry is deleted at the end, but not on an early way out",
		Severity: diag.Warning,
		Why: `
The handler takes an entry and deletes it, but a "next" or "return" in between leaves with the entry still there. Only
the requests that fail, or are too short to be shown, leak; the script runs for days before the array is full.`,
		Limits: `A way on which the entry is known to be missing, since "in" or a test of its value said so, is fine.`,
		Before: `
global start
probe syscall.read {
	start[tid()] = gettimeofday_us()
}
probe syscall.read.return {
	t = start[tid()]
	if (!t)
		next
	if (retval < 0)
		next
	println(gettimeofday_us() - t)
	delete start[tid()]
}`,
		After: `
global start
probe syscall.read {
	start[tid()] = gettimeofday_us()
}
probe syscall.read.return {
	t = start[tid()]
	if (!t)
		next
	delete start[tid()]
	if (retval < 0)
		next
	println(gettimeofday_us() - t)
}`,
	},
	Requires: []*lint.Analyzer{flow.Graphs},
	Run:      run,
})

func run(p *lint.Pass) (any, error) {
	for _, g := range p.ResultOf[flow.Graphs].([]*flow.Graph) {
		if g.Body.Probe != nil {
			check(p, g)
		}
	}
	return nil, nil
}

// held finds, for each entry that the handler deletes, where it has been seen and not yet
// deleted.
type held struct {
	b     *lint.Body
	ids   map[string]int // entries that are deleted somewhere
	seen  []syntax.Expr  // their first use
	alias map[string]int // locals that hold the value of an entry
}

func check(p *lint.Pass, g *flow.Graph) {
	h := &held{b: g.Body, ids: map[string]int{}, alias: map[string]int{}}
	var deletes []*syntax.DeleteStmt
	for _, bl := range g.Blocks {
		for _, n := range bl.Events {
			if d, ok := n.(*syntax.DeleteStmt); ok {
				if ix, ok := d.X.(*syntax.Index); ok && h.b.Global(ix) != nil && h.b.Own(d) {
					text := syntax.ExprString(ix)
					if _, ok := h.ids[text]; !ok {
						h.ids[text] = len(h.ids)
						h.seen = append(h.seen, ix)
					}
					deletes = append(deletes, d)
				}
			}
		}
	}
	if len(deletes) == 0 {
		return
	}
	for _, bl := range g.Blocks {
		for _, n := range bl.Events {
			if a, ok := n.(*syntax.AssignExpr); ok && a.Op == syntax.Assign {
				if id, ok := h.entry(a.R); ok {
					if l, ok := a.L.(*syntax.Ident); ok {
						h.alias[l.Name] = id
					}
				}
			}
		}
	}
	in := g.Solve(flow.Problem{
		Transfer: func(bl *flow.Block, s *intsets.Sparse) {
			for _, n := range bl.Events {
				h.event(n, s)
			}
		},
		Edge: func(_ *flow.Block, e flow.Edge, s *intsets.Sparse) {
			if e.Cond != nil {
				h.learn(e.Cond, e.Truth, s)
			}
		},
	})
	reach := g.Reachable()
	for _, bl := range g.Blocks {
		if !reach[bl.Index] {
			continue
		}
		var s intsets.Sparse
		s.Copy(in[bl.Index])
		for _, n := range bl.Events {
			switch n.(type) {
			case *syntax.NextStmt, *syntax.ReturnStmt:
				for text, id := range h.ids {
					if s.Has(id) && h.b.Own(n) && later(deletes, text, n) {
						d := p.At(n, "this leaves without deleting %s, which is deleted further down", text)
						d.Help = "delete it as soon as its value has been taken"
						p.Report(d)
					}
				}
			}
			h.event(n, &s)
		}
	}
}

// later reports whether the entry is deleted behind a place of the text.
func later(deletes []*syntax.DeleteStmt, text string, n syntax.Node) bool {
	for _, d := range deletes {
		if syntax.ExprString(d.X) == text && d.File() == n.File() && d.First() > n.Last() {
			return true
		}
	}
	return false
}

func (h *held) entry(x syntax.Expr) (int, bool) {
	switch x := x.(type) {
	case *syntax.Index:
		id, ok := h.ids[syntax.ExprString(x)]
		return id, ok
	case *syntax.Ident:
		id, ok := h.alias[x.Name]
		return id, ok
	case *syntax.ArrayIn:
		id, ok := h.ids[syntax.ExprString(&syntax.Index{X: x.Array, Keys: x.Keys})]
		return id, ok
	}
	return 0, false
}

func (h *held) event(n syntax.Node, s *intsets.Sparse) {
	switch n := n.(type) {
	case *syntax.Index:
		if id, ok := h.entry(n); ok {
			s.Insert(id)
		}
	case *syntax.ArrayIn:
		if id, ok := h.entry(n); ok {
			s.Insert(id)
		}
	case *syntax.DeleteStmt:
		for text, id := range h.ids {
			if syntax.ExprString(n.X) == text || h.b.Object(n.X) == h.b.Object(h.seen[id]) {
				s.Remove(id)
			}
		}
	}
}

// learn drops an entry that a condition found missing.
func (h *held) learn(x syntax.Expr, truth bool, s *intsets.Sparse) {
	switch x := x.(type) {
	case *syntax.Unary:
		if x.Op == syntax.Not {
			h.learn(x.X, !truth, s)
		}
	case *syntax.Binary:
		id, ok := h.entry(x.X)
		v, known := h.b.Int(x.Y)
		if text, str := h.b.Str(x.Y); str && text == "" {
			v, known = 0, true
		}
		if !ok || !known {
			return
		}
		gone := false // whether the outcome means the value 0
		switch x.Op {
		case syntax.Eq:
			gone = truth && v == 0
		case syntax.Ne:
			gone = !truth && v == 0
		case syntax.Gt:
			gone = !truth && v == 0
		case syntax.Le:
			gone = truth && v == 0
		case syntax.Lt:
			gone = truth && v == 1
		case syntax.Ge:
			gone = !truth && v == 1
		}
		if gone {
			s.Remove(id)
		}
	default:
		if id, ok := h.entry(x); ok && !truth {
			s.Remove(id)
		}
	}
}
