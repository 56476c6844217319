// Package st4013 is the rule ST4013: extraction from an aggregate that may be empty.
package st4013

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/lint/flow"
	"stapkit/sema"
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
		Limits: `Elements inside of a foreach over their array or with its keys, what an "if" on the way has tested, and what a begin
probe fills are not empty. Elements whose keys are parameters are for the caller to know.`,
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
	filled := begins(p)
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
			if of == nil || !p.User(n) || b.Global(of) == nil || loops[n] || filled[b.Global(of)] || given(b, of) {
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
		keys := map[string]bool{}
		for _, k := range f.Keys {
			keys[k.Name] = true
		}
		same := func(x syntax.Expr) bool {
			ix, ok := x.(*syntax.Index)
			if !ok {
				return false
			}
			for _, k := range ix.Keys {
				if id, ok := k.(*syntax.Ident); !ok || !keys[id.Name] {
					return false
				}
			}
			return true
		}
		b.WalkNode(f.Body, func(n syntax.Node) bool {
			switch x := n.(type) {
			case *syntax.StatOp:
				if o := b.Object(x.X); o != nil && o == over || same(x.X) {
					out[n] = true
				}
			case *syntax.HistOp:
				if o := b.Object(x.X); o != nil && o == over || same(x.X) {
					out[n] = true
				}
			}
			return true
		})
		return true
	})
	return out
}

// begins are aggregates that a begin probe adds to.
func begins(p *lint.Pass) map[*sema.Global]bool {
	out := map[*sema.Global]bool{}
	first := map[*sema.Func]bool{} // functions that begin probes call
	for _, b := range p.Bodies() {
		if b.Probe != nil && b.Probe.Family == sema.FamBegin {
			b.Walk(func(n syntax.Node) bool {
				if c, ok := n.(*syntax.Call); ok {
					for _, f := range b.Calls[c] {
						first[f] = true
					}
				}
				return true
			})
		}
	}
	for _, b := range p.Bodies() {
		if !first[b.Func] && (b.Probe == nil || b.Probe.Family != sema.FamBegin) {
			continue
		}
		b.Walk(func(n syntax.Node) bool {
			if a, ok := n.(*syntax.AssignExpr); ok && a.Op == syntax.StatAssign {
				if _, scalar := a.L.(*syntax.Ident); scalar {
					out[b.Global(a.L)] = true
				}
			}
			return true
		})
	}
	delete(out, nil)
	return out
}

// given reports whether all keys of an element are parameters.
func given(b *lint.Body, x syntax.Expr) bool {
	ix, ok := x.(*syntax.Index)
	if !ok {
		return false
	}
	for _, k := range ix.Keys {
		if l, ok := b.Object(k).(*sema.Local); !ok || !l.Param {
			return false
		}
	}
	return true
}
