// Package st1001 is the rule ST1001: probe point that nothing matches.
package st1001

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/lint/st1008"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST1001",
	Doc: &lint.Doc{
		Title:    "probe point resolves to nothing",
		Severity: diag.Error,
		Why: `
The target has no such function, tracepoint, module or mark, so the script does not start there. Kernel functions come,
go and are renamed with every release: a script that was fine on the old image failed on the first host that was
updated, at the moment it was needed. With "?" behind the point, the script runs without it; @defined() and "!" choose
between names.`,
		Before: `
probe kernel.function("vfs_raed") {
	println(execname())
}`,
		After: `
probe kernel.function("vfs_read"), kernel.function("vfs_raed") ? {
	println(execname())
}`,
	},
	Adopts:  []diag.Code{"E1004"},
	Adopt:   func(p *lint.Pass, d *diag.Diagnostic) bool { return st1008.Clone(p, d) == "" },
	Partial: "ST1002",
})
