// Package st4004 is the rule ST4004: condition that is always true or always false.
package st4004

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST4004",
	Doc: &lint.Doc{
		Title:    "condition is always true or always false",
		Severity: diag.Warning,
		Why: `
One branch never runs. "if (uid() == uid())" instead of "if (uid() == target_uid)" lets every process through the
filter, and a script meant for one user floods the log of a whole machine.`,
		Limits: `Endless loops ("while (1)"), and conditions on script arguments, macros and @defined, are meant.`,
		Before: `
probe timer.s(1) {
	if (uid() == uid())
		println(execname())
}`,
		After: `
probe timer.s(1) {
	if (uid() == euid())
		println(execname())
}`,
	},
	Run: run,
})

func run(p *lint.Pass) (any, error) {
	for _, b := range p.Bodies() {
		seen := map[syntax.Node]bool{}
		check := func(x syntax.Expr, loop bool) { condition(p, &b, x, loop, seen) }
		b.Walk(func(n syntax.Node) bool {
			switch n := n.(type) {
			case *syntax.IfStmt:
				check(n.Cond, false)
			case *syntax.Ternary:
				check(n.Cond, false)
			case *syntax.WhileStmt:
				check(n.Cond, true)
			case *syntax.ForStmt:
				if n.Cond != nil {
					check(n.Cond, true)
				}
			case *syntax.Binary:
				comparison(p, &b, n, seen)
			}
			return true
		})
	}
	return nil, nil
}

// condition looks at a whole condition, and at the operands of "&&" and "||" in it.
func condition(p *lint.Pass, b *lint.Body, x syntax.Expr, loop bool, seen map[syntax.Node]bool) {
	if l, ok := x.(*syntax.Logical); ok {
		condition(p, b, l.X, false, seen)
		condition(p, b, l.Y, false, seen)
		return
	}
	if seen[x] || !literal(x) {
		return
	}
	v, known := value(b, x)
	if !known || loop && v {
		return
	}
	seen[x] = true
	if n, ok := x.(*syntax.Binary); ok {
		seen[n] = true
	}
	p.Reportf(x, "condition is always %v", v)
}

// value is the truth of what is made of literals.
func value(b *lint.Body, x syntax.Expr) (truth, known bool) {
	if n, ok := b.Int(x); ok {
		return n != 0, true
	}
	if s, ok := b.Str(x); ok {
		return s != "", true
	}
	switch x := x.(type) {
	case *syntax.Unary:
		v, ok := value(b, x.X)
		return !v, ok && x.Op == syntax.Not
	case *syntax.Binary:
		l, ok1 := b.Int(x.X)
		r, ok2 := b.Int(x.Y)
		if !ok1 || !ok2 {
			return false, false
		}
		switch x.Op {
		case syntax.Eq:
			return l == r, true
		case syntax.Ne:
			return l != r, true
		case syntax.Lt:
			return l < r, true
		case syntax.Gt:
			return l > r, true
		case syntax.Le:
			return l <= r, true
		case syntax.Ge:
			return l >= r, true
		}
	}
	return false, false
}

// literal reports whether an expression is made of literals that are written there: none
// that a macro or argument brings, nothing that elaboration finds out.
func literal(x syntax.Expr) bool {
	if len(syntax.Origin(x)) > 0 || lint.FromArgument(x) {
		return false
	}
	switch x := x.(type) {
	case *syntax.NumberLit, *syntax.StringLit:
		return true
	case *syntax.Unary:
		return literal(x.X)
	case *syntax.Binary:
		return literal(x.X) && literal(x.Y)
	}
	return false
}

// arguments reports whether script arguments are in an expression.
func arguments(x syntax.Expr) bool {
	found := lint.FromArgument(x)
	syntax.Inspect(x, func(n syntax.Node) bool {
		if _, ok := n.(*syntax.ScriptArg); ok {
			found = true
		}
		return !found
	})
	return found
}

// counts are functions that are never negative.
var counts = map[string]bool{
	"pid": true, "tid": true, "ppid": true, "uid": true, "euid": true, "gid": true, "egid": true, "cpu": true, "strlen": true,
	"gettimeofday_ns": true, "gettimeofday_us": true, "gettimeofday_ms": true, "gettimeofday_s": true,
}

// comparison looks at one comparison anywhere.
func comparison(p *lint.Pass, b *lint.Body, x *syntax.Binary, seen map[syntax.Node]bool) {
	if seen[x] {
		return
	}
	same := lint.Same(x.X, x.Y) && b.Pure(x.X) && !literal(x.X) && !arguments(x) && len(syntax.Origin(x)) == 0
	switch x.Op {
	case syntax.Eq, syntax.Le, syntax.Ge:
		if same {
			p.Reportf(x, "both sides are %s: the comparison is always true", syntax.ExprString(x.X))
			return
		}
	case syntax.Ne, syntax.Lt, syntax.Gt:
		if same {
			p.Reportf(x, "both sides are %s: the comparison is always false", syntax.ExprString(x.X))
			return
		}
	default:
		return
	}
	v, ok := b.Int(x.Y)
	if !ok || v > 0 || !natural(b, x.X) {
		return
	}
	switch {
	case x.Op == syntax.Lt, x.Op == syntax.Le && v < 0, x.Op == syntax.Eq && v < 0:
		p.Reportf(x, "%s is never negative: the comparison is always false", syntax.ExprString(x.X))
	case x.Op == syntax.Ge, x.Op == syntax.Gt && v < 0, x.Op == syntax.Ne && v < 0:
		p.Reportf(x, "%s is never negative: the comparison is always true", syntax.ExprString(x.X))
	}
}

func natural(b *lint.Body, x syntax.Expr) bool {
	if s, ok := x.(*syntax.StatOp); ok {
		return s.Op == syntax.StatCount
	}
	return counts[b.Library(x)]
}
