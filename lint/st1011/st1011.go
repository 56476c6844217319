// Package st1011 is the rule ST1011: guru mode.
package st1011

import (
	"stapkit/diag"
	"stapkit/lint"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST1011",
	Doc: &lint.Doc{
		Title:    "script needs guru mode",
		Severity: diag.Error,
		Why: `
Writing to what is probed, and functions that can do harm, are refused without -g, and by policies of hosts even with it.
A script that was handed on without the note "run with -g" was edited by its user until it ran, and no longer did what it
was for. Say it in the "#!" line, or as guru = true in stapkit.toml.`,
		Before: `
probe kernel.function("vfs_read") {
	$count = 1
}`,
		After: `
probe kernel.function("vfs_read") {
	println($count)
}`,
	},
	Adopts: []diag.Code{"E1306", "E0039"},
})
