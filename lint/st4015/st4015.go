// Package st4015 is the rule ST4015: value that is overwritten before it is read.
package st4015

import (
	"golang.org/x/tools/container/intsets"

	"stapkit/diag"
	"stapkit/lint"
	"stapkit/lint/flow"
	"stapkit/sema"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST4015",
	Doc: &lint.Doc{
		Title:    "value is overwritten or dropped before it is read",
		Severity: diag.Warning,
		Why: `
On no way is this value read: the variable gets another one first, or the handler ends. Two lines that were meant for
two variables set the same, and the report shows the second twice.`,
		Limits: `Constants that a variable is set to first ("n = 0") are taken for declarations. Handlers with "try" are not looked at.`,
		Before: `
probe timer.s(1) {
	name = execname()
	name = sprint(pid())
	println(name)
}`,
		After: `
probe timer.s(1) {
	name = execname()
	id = sprint(pid())
	println(name, " ", id)
}`,
	},
	Requires: []*lint.Analyzer{flow.Graphs},
	Run:      run,
})

func run(p *lint.Pass) (any, error) {
	if p.Broken() {
		return nil, nil
	}
	for _, g := range p.ResultOf[flow.Graphs].([]*flow.Graph) {
		check(p, g)
	}
	return nil, nil
}

func check(p *lint.Pass, g *flow.Graph) {
	b := g.Body
	try := false
	read := map[*sema.Local]bool{}
	for _, bl := range g.Blocks {
		for _, n := range bl.Events {
			switch n := n.(type) {
			case *syntax.TryStmt:
				try = true
			case *syntax.Ident:
				if l, ok := b.Idents[n].(*sema.Local); ok {
					read[l] = true
				}
			}
		}
	}
	if try {
		return
	}
	local := func(x syntax.Expr) *sema.Local {
		id, ok := x.(*syntax.Ident)
		if !ok {
			return nil
		}
		l, _ := b.Idents[id].(*sema.Local)
		return l
	}
	// step goes back over an event; live are the locals that are read later.
	step := func(n syntax.Node, live *intsets.Sparse) {
		switch n := n.(type) {
		case *syntax.AssignExpr:
			if l := local(n.L); l != nil {
				if n.Op == syntax.Assign {
					live.Remove(l.Index)
				} else {
					live.Insert(l.Index)
				}
			}
		case *syntax.IncDec:
			if l := local(n.X); l != nil {
				live.Insert(l.Index)
			}
		case *syntax.Ident:
			if l := local(n); l != nil {
				live.Insert(l.Index)
			}
		case *syntax.DeleteStmt:
			if l := local(n.X); l != nil {
				live.Remove(l.Index)
			}
		case *syntax.ForeachStmt:
			for _, k := range n.Keys {
				if l := local(k); l != nil {
					live.Remove(l.Index)
				}
			}
		}
	}
	back := func(bl *flow.Block, live *intsets.Sparse, f func(n syntax.Node, live *intsets.Sparse)) {
		for i := len(bl.Events) - 1; i >= 0; i-- {
			if f != nil {
				f(bl.Events[i], live)
			}
			step(bl.Events[i], live)
		}
	}
	out := g.Solve(flow.Problem{Backward: true, Transfer: func(bl *flow.Block, live *intsets.Sparse) { back(bl, live, nil) }})
	reach := g.Reachable()
	for _, bl := range g.Blocks {
		if !reach[bl.Index] || !returns(g, bl) {
			continue
		}
		var live intsets.Sparse
		live.Copy(out[bl.Index])
		back(bl, &live, func(n syntax.Node, live *intsets.Sparse) {
			x, ok := n.(*syntax.AssignExpr)
			if !ok || x.Op != syntax.Assign {
				return
			}
			l := local(x.L)
			if l == nil || live.Has(l.Index) || !read[l] || !b.Own(x) || constant(b, x.R) || used(b, x) {
				return
			}
			p.Reportf(x, "this value of '%s' is never read", l.Name)
		})
	}
}

// returns reports whether the end of the body can be reached from a block; where it
// cannot, nothing is known of what is live.
func returns(g *flow.Graph, from *flow.Block) bool {
	seen := map[*flow.Block]bool{}
	var visit func(b *flow.Block) bool
	visit = func(b *flow.Block) bool {
		if b == g.Exit {
			return true
		}
		if seen[b] {
			return false
		}
		seen[b] = true
		for _, e := range b.Succs {
			if visit(e.To) {
				return true
			}
		}
		return false
	}
	return visit(from)
}

func constant(b *lint.Body, x syntax.Expr) bool {
	if _, ok := b.Int(x); ok {
		return true
	}
	_, ok := b.Str(x)
	return ok
}

// used reports whether the value of an assignment is used in a larger expression.
func used(b *lint.Body, x *syntax.AssignExpr) bool {
	plain := false
	b.Walk(func(n syntax.Node) bool {
		switch s := n.(type) {
		case *syntax.ExprStmt:
			plain = plain || s.X == syntax.Expr(x)
		case *syntax.ForStmt:
			plain = plain || s.Init == syntax.Expr(x) || s.Post == syntax.Expr(x)
		}
		return !plain
	})
	return !plain
}
