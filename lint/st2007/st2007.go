// Package st2007 is the rule ST2007: @cast to a type that does not exist.
package st2007

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/lint/points"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST2007",
	Doc: &lint.Doc{
		Title:    "@cast names a type that does not exist",
		Severity: diag.Error,
		Why: `
The target has no such type, so the script does not start. Types of modules need the module as third argument; a script
that cast to "struct nfs_inode" worked as long as something else had loaded nfs.`,
		Before: `
probe kernel.function("vfs_read") {
	println(@cast($file, "struct fiel")->f_flags)
}`,
		After: `
probe kernel.function("vfs_read") {
	println(@cast($file, "struct file")->f_flags)
}`,
	},
	Adopts: []diag.Code{"E1304"},
	Adopt: func(p *lint.Pass, d *diag.Diagnostic) bool {
		if inProgram(p, d.Range.Start) && !p.Target.IsRunning() {
			d.Message = "" // a type of the program, which is not at hand
		}
		return true
	},
})

// inProgram reports whether a place is in a handler of a program's event.
func inProgram(p *lint.Pass, at diag.Pos) bool {
	if p.Target == nil {
		return false
	}
	d, ok := p.DeclAt(at).(*syntax.ProbeDecl)
	if !ok {
		return false
	}
	for _, pt := range d.Points {
		if q, ok := pt.(*syntax.ProbePoint); ok && points.First(q) == "process" {
			return true
		}
	}
	return false
}
