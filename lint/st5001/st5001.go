// Package st5001 is the rule ST5001: format and arguments do not fit.
package st5001

import (
	"stapkit/diag"
	"stapkit/lint"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST5001",
	Doc: &lint.Doc{
		Title:    "format has more or fewer directives than arguments",
		Severity: diag.Error,
		Why: `
Each directive takes one argument, and "*" one more. The script does not start; with a column added to a long format at
three in the morning, the number of the line is what helps.`,
		Before: `
probe timer.s(1) {
	printf("%d %s\n", pid())
}`,
		After: `
probe timer.s(1) {
	printf("%d %s\n", pid(), execname())
}`,
	},
	Adopts: []diag.Code{"E1207", "E0019", "E1206"},
})
