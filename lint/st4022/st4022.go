// Package st4022 is the rule ST4022: unused function.
package st4022

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/syntax"
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
			if f, ok := decl.(*syntax.FuncDecl); ok && mentioned(p, f.Name) {
				d.Message = "" // in code that is not in use on this target, or not understood
				return true
			}
			d.Fixes = p.Remove("remove the function", false, decl)
		}
		return true
	},
})

// mentioned reports whether a name stands anywhere else in the text.
func mentioned(p *lint.Pass, name *syntax.Ident) bool {
	n := 0
	for _, f := range p.Files {
		for i := range f.Raw {
			if f.Raw[i].Kind == syntax.Name && f.RawText(i) == name.Name {
				n++
			}
		}
	}
	return n > 1
}
