// Package st4013 is the rule ST4013: extraction from an aggregate that may be empty.
package st4013

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/lint/flow"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST4013",
	Doc: &lint.Doc{
		Title:    "aggregate is asked for its average or histogram while it may be empty",
		Severity: diag.Warning,
		Why: `
@avg, @min, @max, @variance and histograms of an empty aggregate are errors ("empty aggregate"), and the first error ends
the script. The end probe of a script that was interrupted before the first event showed the error in place of its
report. @count and @sum are 0 then.`,
		Limits: `Elements inside of a foreach over their array, and what an "if" on the way has tested, are not empty.`,
		Before: `
global latency
probe timer.ms(7) {
	latency <<< cpu()
}
probe end {
	println(@avg(latency))
}`,
		After: `
global latency
probe timer.ms(7) {
	latency <<< cpu()
}
probe end {
	if (@count(latency))
		println(@avg(latency))
}`,
	},
	Requires: []*lint.Analyzer{flow.AllTested},
	Run:      run,
})

func run(p *lint.Pass) (any, error) {
	for _, t := range p.ResultOf[flow.AllTested].([]*flow.Tested) {
		b := t.Graph().Body
		loops := enclosing(b)
		t.Each(func(n syntax.Node, nonzero func(syntax.Expr) bool) {
			var of syntax.Expr
			what := "the histogram of"
			switch n := n.(type) {
			case *syntax.StatOp:
				switch n.Op {
				case syntax.StatMin, syntax.StatMax, syntax.StatAvg, syntax.StatVariance:
					of, what = n.X, n.Op.String()+" of"
				}
			case *syntax.HistOp:
				of = n.X
			}
			if of == nil || !p.User(n) || b.Global(of) == nil || loops[n] {
				return
			}
			count := &syntax.StatOp{Op: syntax.StatCount, X: of}
			if nonzero(count) {
				return
			}
			sum := &syntax.StatOp{Op: syntax.StatSum, X: of}
			if nonzero(sum) {
				return
			}
			p.Reportf(n, "%s %s is an error while it is empty: test @count first", what, syntax.ExprString(of))
		})
	}
	return nil, nil
}

// enclosing are the extractions inside of a foreach over the same array, with its keys or
// not: where there is an element, most likely the one asked for is there.
func enclosing(b *lint.Body) map[syntax.Node]bool {
	out := map[syntax.Node]bool{}
	b.Walk(func(n syntax.Node) bool {
		f, ok := n.(*syntax.ForeachStmt)
		if !ok {
			return true
		}
		over := b.Object(f.Array)
		b.WalkNode(f.Body, func(n syntax.Node) bool {
			switch x := n.(type) {
			case *syntax.StatOp:
				if o := b.Object(x.X); o != nil && o == over {
					out[n] = true
				}
			case *syntax.HistOp:
				if o := b.Object(x.X); o != nil && o == over {
					out[n] = true
				}
			}
			return true
		})
		return true
	})
	return out
}
