// Package st4003 is the rule ST4003: assignment of a variable to itself.
package st4003

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST4003",
	Doc: &lint.Doc{
		Title:    "variable is assigned to itself",
		Severity: diag.Warning,
		Fix:      lint.SafeFix,
		Why: `
The assignment does nothing. It is usually half of an edit: "start = start" in place of "start = now" leaves the old
time stamp, and all latencies are measured from the first request.`,
		Before: `
global start
probe timer.s(1) {
	start = start
	println(start++)
}`,
		After: `
global start
probe timer.s(1) {
	start = gettimeofday_s()
	println(start++)
}`,
	},
	Run: run,
})

func run(p *lint.Pass) (any, error) {
	for _, b := range p.Bodies() {
		b.Walk(func(n syntax.Node) bool {
			x, ok := n.(*syntax.AssignExpr)
			if !ok || x.Op != syntax.Assign || !lint.Same(x.L, x.R) || !b.Pure(x.R) {
				return true
			}
			d := p.At(x, "%s is assigned to itself", syntax.ExprString(x.L))
			if s, ok := p.StmtAt(d.Range.Start).(*syntax.ExprStmt); ok && s.X == syntax.Expr(x) {
				d.Fixes = p.Remove("remove the assignment", true, s)
			}
			p.Report(d)
			return true
		})
	}
	return nil, nil
}
