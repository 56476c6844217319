// Package st4001 is the rule ST4001: never-assigned variable.
package st4001

import (
	"regexp"

	"stapkit/diag"
	"stapkit/lint"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST4001",
	Doc: &lint.Doc{
		Title:    "variable is read but never assigned",
		Severity: diag.Warning,
		Why: `
The variable is always 0 or "". Variables are not declared, so a misspelt name is a new variable: a script that
filters on "traget" instead of "target" filters nothing, or everything, and nobody sees why the report is empty.`,
		Before: `
probe begin {
	most = 10
	if (mots > 5)
		println("many")
	exit()
}`,
		After: `
probe begin {
	most = 10
	if (most > 5)
		println("many")
	exit()
}`,
	},
	Adopts: []diag.Code{"E1501"},
	Adopt: func(p *lint.Pass, d *diag.Diagnostic) bool {
		if p.Guessed() || argument.MatchString(d.Message) {
			d.Message = "" // what was not understood may assign it
		}
		return true
	},
})

// argument matches the names that script arguments have in the library: which are set
// depends on the command line.
var argument = regexp.MustCompile(`'argv_[0-9]+'`)
