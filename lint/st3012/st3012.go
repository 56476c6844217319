// Package st3012 is the rule ST3012: element read after it was deleted.
package st3012

import (
	"golang.org/x/tools/container/intsets"

	"stapkit/diag"
	"stapkit/lint"
	"stapkit/lint/flow"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST3012",
	Doc: &lint.Doc{
		Title:    "element is read after it was deleted",
		Severity: diag.Warning,
		Why: `
On every way to this place the element has been deleted, so it is 0 or "". The "delete" had been moved up to mend a
leak, above the line that takes the time stamp: latencies were then as large as the clock.`,
		Before: `
global start
probe syscall.read {
	start[tid()] = gettimeofday_us()
}
probe syscall.read.return {
	delete start[tid()]
	println(gettimeofday_us() - start[tid()])
}`,
		After: `
global start
probe syscall.read {
	start[tid()] = gettimeofday_us()
}
probe syscall.read.return {
	println(gettimeofday_us() - start[tid()])
	delete start[tid()]
}`,
	},
	Requires: []*lint.Analyzer{flow.Graphs},
	Run:      run,
})

func run(p *lint.Pass) (any, error) {
	for _, g := range p.ResultOf[flow.Graphs].([]*flow.Graph) {
		b := g.Body
		ids := map[string]int{}
		var of []syntax.Expr
		id := func(x syntax.Expr) int {
			text := syntax.ExprString(x)
			i, ok := ids[text]
			if !ok {
				i = len(of)
				ids[text] = i
				of = append(of, x)
			}
			return i
		}
		step := func(n syntax.Node, s *intsets.Sparse) {
			forget := func(x syntax.Expr) {
				o := b.Object(x)
				for i, e := range of {
					if b.Object(e) == o || mentions(b, e, x) {
						s.Remove(i)
					}
				}
			}
			switch n := n.(type) {
			case *syntax.DeleteStmt:
				if b.Global(n.X) != nil && !star(n.X) {
					s.Insert(id(n.X))
				}
			case *syntax.AssignExpr:
				forget(n.L)
			case *syntax.IncDec:
				forget(n.X)
			case *syntax.ForeachStmt:
				for _, k := range n.Keys {
					forget(k)
				}
			case *syntax.Call:
				if !b.Pure(n) {
					s.Clear()
				}
			}
		}
		in := g.Solve(flow.Problem{Must: true, Transfer: func(bl *flow.Block, s *intsets.Sparse) {
			for _, n := range bl.Events {
				step(n, s)
			}
		}})
		reach := g.Reachable()
		for _, bl := range g.Blocks {
			if !reach[bl.Index] {
				continue
			}
			var s intsets.Sparse
			s.Copy(in[bl.Index])
			for _, n := range bl.Events {
				if x, ok := n.(*syntax.Index); ok && b.Own(x) {
					i, here := ids[syntax.ExprString(x)]
					j, all := ids[syntax.ExprString(x.X)]
					if here && s.Has(i) || all && s.Has(j) {
						p.Reportf(x, "%s has been deleted, so this is always 0 or \"\"", syntax.ExprString(x))
					}
				}
				step(n, &s)
			}
		}
	}
	return nil, nil
}

func star(x syntax.Expr) bool {
	ix, ok := x.(*syntax.Index)
	if !ok {
		return false
	}
	for _, k := range ix.Keys {
		if _, ok := k.(*syntax.Star); ok {
			return true
		}
	}
	return false
}

// mentions reports whether the variable x is in a key of e.
func mentions(b *lint.Body, e, x syntax.Expr) bool {
	o := b.Object(x)
	found := false
	syntax.Inspect(e, func(n syntax.Node) bool {
		if id, ok := n.(*syntax.Ident); ok && o != nil && b.Idents[id] == o {
			found = true
		}
		return !found
	})
	return found
}
