// Package st4006 is the rule ST4006: division by what can be zero.
package st4006

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/lint/flow"
	"stapkit/sema"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST4006",
	Doc: &lint.Doc{
		Title:    "division by something that can be zero",
		Severity: diag.Warning,
		Why: `
Division by zero is an error, and after the first error (MAXERRORS is 0) the script ends. The report of a script that
ran all night is lost because in the last second nothing happened, and the rate is bytes / requests.`,
		Limits: `
Reported are counts and sums of aggregates, elements of arrays, globals, differences, and locals that hold one of
these, where no condition on the way tests them. Parameters, target variables and what functions return are taken
to be what the script expects.`,
		Before: `
global bytes, requests
probe timer.ms(5) {
	bytes += 10
	requests++
}
probe timer.s(1) {
	println(bytes / requests)
	bytes = requests = 0
}`,
		After: `
global bytes, requests
probe timer.ms(5) {
	bytes += 10
	requests++
}
probe timer.s(1) {
	if (requests)
		println(bytes / requests)
	bytes = requests = 0
}`,
	},
	Requires: []*lint.Analyzer{flow.AllTested},
	Run:      run,
})

func run(p *lint.Pass) (any, error) {
	constant := constants(p)
	counted := together(p)
	for _, t := range p.ResultOf[flow.AllTested].([]*flow.Tested) {
		b := t.Graph().Body
		doubtful := locals(b)
		loops := around(b)
		t.Each(func(n syntax.Node, nonzero func(syntax.Expr) bool) {
			var by syntax.Expr
			switch n := n.(type) {
			case *syntax.Binary:
				if n.Op == syntax.Div || n.Op == syntax.Mod {
					by = n.Y
				}
			case *syntax.AssignExpr:
				if n.Op == syntax.DivAssign || n.Op == syntax.ModAssign {
					by = n.R
				}
			}
			if by == nil || nonzero(by) || !p.User(n) {
				return
			}
			if v, ok := b.Int(by); ok {
				if v == 0 {
					p.Reportf(n, "division by zero")
				}
				return
			}
			if g := b.Global(by); g != nil && counted[pair{loops[n], g}] {
				return // where the array has an element, its counter is not 0
			}
			if l, ok := b.Object(by).(*sema.Local); ok && doubtful[l] || maybe(b, by, constant) {
				p.Reportf(by, "%s can be zero here, which ends the script", syntax.ExprString(by))
			}
		})
	}
	return nil, nil
}

// constants are globals that keep a value other than 0 which they start with.
func constants(p *lint.Pass) map[*sema.Global]bool {
	out := map[*sema.Global]bool{}
	for _, g := range p.Program.Globals {
		// Arguments give values that nobody knows here.
		_, arg := g.Decl.Init.(*syntax.ScriptArg)
		out[g] = g.HasInit && (g.InitInt != 0 || arg) || !g.HasInit
	}
	// Of one that is set, all values have to be such, and one has to be there from the
	// beginning.
	begins := map[*sema.Global]bool{}
	for _, b := range p.Bodies() {
		b.Walk(func(n syntax.Node) bool {
			switch n := n.(type) {
			case *syntax.AssignExpr:
				g := b.Global(n.L)
				v, known := b.Int(n.R)
				if g == nil {
					return true
				}
				if n.Op != syntax.Assign || !known || v == 0 {
					out[g] = false
				} else if b.Probe != nil && b.Probe.Family == sema.FamBegin {
					begins[g] = true
				}
			case *syntax.IncDec:
				if g := b.Global(n.X); g != nil {
					out[g] = false
				}
			}
			return true
		})
	}
	for g, ok := range out {
		out[g] = ok && (g.HasInit || begins[g])
	}
	return out
}

// maybe reports whether an expression is of a kind that is zero now and then.
func maybe(b *lint.Body, x syntax.Expr, constant map[*sema.Global]bool) bool {
	switch x := x.(type) {
	case *syntax.StatOp:
		return x.Op == syntax.StatCount || x.Op == syntax.StatSum
	case *syntax.Index:
		_, array := x.X.(*syntax.Ident)
		return array
	case *syntax.Ident:
		g := b.Global(x)
		return g != nil && !constant[g]
	case *syntax.Binary:
		return x.Op == syntax.Sub
	}
	return false
}

// locals are those that hold, at some time, what is zero now and then.
func locals(b *lint.Body) map[*sema.Local]bool {
	out := map[*sema.Local]bool{}
	mark := func(x syntax.Expr) {
		if l, ok := b.Object(x).(*sema.Local); ok && !l.Param {
			out[l] = true
		}
	}
	b.Walk(func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.AssignExpr:
			zero, known := b.Int(n.R)
			switch {
			case n.Op == syntax.AddAssign || n.Op == syntax.Assign && known && zero == 0:
				mark(n.L)
			case n.Op == syntax.Assign && maybe(b, n.R, nil):
				mark(n.L)
			}
		case *syntax.IncDec:
			mark(n.X)
		}
		return true
	})
	return out
}

// A pair is an array and a counter.
type pair struct{ array, counter *sema.Global }

// together are the counters that every handler that adds to an array counts up as well.
func together(p *lint.Pass) map[pair]bool {
	adds := map[*sema.Global]map[*lint.Body]bool{}
	ups := map[*sema.Global]map[*lint.Body]bool{}
	note := func(m map[*sema.Global]map[*lint.Body]bool, g *sema.Global, b *lint.Body) {
		if m[g] == nil {
			m[g] = map[*lint.Body]bool{}
		}
		m[g][b] = true
	}
	bodies := p.Bodies()
	for i := range bodies {
		b := &bodies[i]
		change := func(x syntax.Expr, up bool) {
			g := b.Global(x)
			switch _, element := x.(*syntax.Index); {
			case g == nil:
			case element:
				note(adds, g, b)
			case up:
				note(ups, g, b)
			}
		}
		b.Walk(func(n syntax.Node) bool {
			switch n := n.(type) {
			case *syntax.AssignExpr:
				change(n.L, n.Op == syntax.AddAssign)
			case *syntax.IncDec:
				change(n.X, n.Op == syntax.Inc)
			}
			return true
		})
	}
	out := map[pair]bool{}
	for array, where := range adds {
		for counter, up := range ups {
			all := true
			for b := range where {
				all = all && up[b]
			}
			if all {
				out[pair{array, counter}] = true
			}
		}
	}
	return out
}

// around tells of each node inside of a foreach which array it walks.
func around(b *lint.Body) map[syntax.Node]*sema.Global {
	out := map[syntax.Node]*sema.Global{}
	b.Walk(func(n syntax.Node) bool {
		if f, ok := n.(*syntax.ForeachStmt); ok {
			if g := b.Global(f.Array); g != nil {
				b.WalkNode(f.Body, func(in syntax.Node) bool {
					out[in] = g
					return true
				})
			}
		}
		return true
	})
	return out
}
