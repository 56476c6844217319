// Package st4022 is the rule ST4022: unused function.
package st4022

import (
	"stapkit/diag"
	"stapkit/lint"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST4022",
	Doc: &lint.Doc{
		Title:    "nothing calls the function",
		Severity: diag.Warning,
		Fix:      lint.UnsafeFix,
		Why: `
Code that never runs is not even checked for what it means. A helper for "error paths" that no probe called hid that
these paths were not counted at all.`,
		Limits: `Functions of library files are for others to call.`,
		Before: `
function report() {
	println("done")
}
probe begin {
	exit()
}`,
		After: `
function report() {
	println("done")
}
probe begin {
	report()
	exit()
}`,
	},
	Adopts: []diag.Code{"E1509"},
	Adopt: func(p *lint.Pass, d *diag.Diagnostic) bool {
		if p.Tapset || !p.HasProbes() || p.Guessed() {
			d.Message = ""
			return true
		}
		if decl := p.DeclAt(d.Range.Start); decl != nil {
			d.Fixes = p.Remove("remove the function", false, decl)
		}
		return true
	},
})
