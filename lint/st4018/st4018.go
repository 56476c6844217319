// Package st4018 is the rule ST4018: semicolon that is the whole body.
package st4018

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST4018",
	Doc: &lint.Doc{
		Title:    "semicolon behind a condition is the whole body",
		Severity: diag.Warning,
		Fix:      lint.UnsafeFix,
		Why: `
In "if (pid() != target());" the semicolon is the body, and the next statement always runs: a filter that filters
nothing, on a machine where that mattered.`,
		Limits: `Loops whose condition does the work ("while (i++ < 10);") are not reported.`,
		Before: `
probe timer.s(1) {
	if (uid() != 0);
		next
	println("root")
}`,
		After: `
probe timer.s(1) {
	if (uid() != 0)
		next
	println("root")
}`,
	},
	Run: run,
})

func run(p *lint.Pass) (any, error) {
	for _, b := range p.Bodies() {
		b.Walk(func(n syntax.Node) bool {
			var body syntax.Stmt
			var cond syntax.Expr
			what := ""
			switch n := n.(type) {
			case *syntax.IfStmt:
				body, cond, what = n.Then, n.Cond, "if"
			case *syntax.WhileStmt:
				body, cond, what = n.Body, n.Cond, "while"
			case *syntax.ForeachStmt:
				body, what = n.Body, "foreach"
			default:
				return true
			}
			null, ok := body.(*syntax.NullStmt)
			if !ok || cond != nil && !b.Pure(cond) {
				return true
			}
			d := p.At(null, "this semicolon is the whole body of the '%s'", what)
			if i, isIf := n.(*syntax.IfStmt); !isIf || i.Else == nil {
				if p.Text(null) == ";" {
					d.Fixes = []diag.Fix{{Message: "remove the semicolon", Edits: []diag.Edit{{Range: d.Range}}}}
				}
			}
			p.Report(d)
			return true
		})
	}
	return nil, nil
}
