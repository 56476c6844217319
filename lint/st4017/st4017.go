// Package st4017 is the rule ST4017: assignment in place of a comparison.
package st4017

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST4017",
	Doc: &lint.Doc{
		Title:    "condition assigns where it should compare",
		Severity: diag.Warning,
		Fix:      lint.UnsafeFix,
		Why: `
"=" assigns. "if (depth = 0)" is never true and sets the depth to 0 as well, so a script that prints call trees printed
all calls at the left margin.`,
		Limits: `The value of a call may be assigned and tested in one: "while (s = tokenize(…))".`,
		Before: `
global depth
probe timer.ms(5) {
	if (depth = 0)
		println("top")
	depth++
}`,
		After: `
global depth
probe timer.ms(5) {
	if (depth == 0)
		println("top")
	depth++
}`,
	},
	Run: run,
})

func run(p *lint.Pass) (any, error) {
	for _, b := range p.Bodies() {
		var check func(x syntax.Expr)
		check = func(x syntax.Expr) {
			switch x := x.(type) {
			case *syntax.Logical:
				check(x.X)
				check(x.Y)
			case *syntax.Unary:
				check(x.X)
			case *syntax.AssignExpr:
				if x.Op != syntax.Assign || !simple(x.R) {
					return
				}
				d := p.At(x, "this assigns %s; a comparison is written ==", syntax.ExprString(x.L))
				if l, r := p.Text(x.L), p.Text(x.R); l != "" && r != "" {
					d.Fixes = p.Replace("compare with ==", false, lint.Edit{Node: x, Text: l + " == " + r})
				}
				p.Report(d)
			}
		}
		b.Walk(func(n syntax.Node) bool {
			switch n := n.(type) {
			case *syntax.IfStmt:
				check(n.Cond)
			case *syntax.WhileStmt:
				check(n.Cond)
			case *syntax.Ternary:
				check(n.Cond)
			}
			return true
		})
	}
	return nil, nil
}

// simple reports whether a value is one that nobody needs to assign in a condition.
func simple(x syntax.Expr) bool {
	switch x := x.(type) {
	case *syntax.NumberLit, *syntax.StringLit, *syntax.Ident, *syntax.ScriptArg:
		return true
	case *syntax.Unary:
		return simple(x.X)
	}
	return false
}
