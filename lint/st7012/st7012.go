// Package st7012 is the rule ST7012: negated comparison.
package st7012

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST7012",
	Doc: &lint.Doc{
		Title:    "comparison is negated",
		Severity: diag.Note,
		Fix:      lint.SafeFix,
		Why: `
"!(a == b)" is "a != b". Where the parentheses are forgotten it becomes something else: "!pid == target()" compares 0 or 1
with a process id, and the filter lets nothing through.`,
		Before: `
probe timer.s(1) {
	if (!(uid() == 0))
		println(execname())
}`,
		After: `
probe timer.s(1) {
	if (uid() != 0)
		println(execname())
}`,
	},
	Run: run,
})

var opposite = map[syntax.Kind]string{
	syntax.Eq: "!=", syntax.Ne: "==", syntax.Lt: ">=", syntax.Gt: "<=", syntax.Le: ">", syntax.Ge: "<",
}

func run(p *lint.Pass) (any, error) {
	for _, b := range p.Bodies() {
		b.Walk(func(n syntax.Node) bool {
			switch n := n.(type) {
			case *syntax.Unary:
				x, ok := n.X.(*syntax.Binary)
				if !ok || n.Op != syntax.Not || opposite[x.Op] == "" {
					return true
				}
				d := p.At(n, "a negated comparison is written %s", opposite[x.Op])
				if l, r := p.Text(x.X), p.Text(x.Y); l != "" && r != "" {
					d.Fixes = p.Replace("write "+opposite[x.Op], true, lint.Edit{Node: n, Text: l + " " + opposite[x.Op] + " " + r})
				}
				p.Report(d)
			case *syntax.Binary:
				u, ok := n.X.(*syntax.Unary)
				if ok && u.Op == syntax.Not && (n.Op == syntax.Eq || n.Op == syntax.Ne) && !boolean(n.Y) {
					p.Reportf(n, "'!' binds tighter than '%s': this compares 0 or 1", n.Op)
				}
			}
			return true
		})
	}
	return nil, nil
}

// boolean reports whether an expression is 0 or 1.
func boolean(x syntax.Expr) bool {
	switch x := x.(type) {
	case *syntax.Unary:
		return x.Op == syntax.Not
	case *syntax.Binary:
		return opposite[x.Op] != ""
	case *syntax.NumberLit:
		return x.Value == 0 || x.Value == 1
	case *syntax.Logical, *syntax.ArrayIn, *syntax.RegexMatch:
		return true
	}
	return false
}
