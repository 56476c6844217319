// Package st1002 is the rule ST1002: probe point that only some of the given kernels have.
package st1002

import (
	"stapkit/diag"
	"stapkit/lint"
)

// Analyzer is the rule. Its findings are those of ST1001 that hold on some targets only.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST1002",
	Doc: &lint.Doc{
		Title:    "probe point resolves to nothing on some of the given kernels",
		Severity: diag.Error,
		Why: `
The script works on the kernel of the one who wrote it, and not on others of the fleet. do_fork() became kernel_clone() in
5.10: of 400 hosts the 30 oldest gave no data, and nobody missed them for a month. Name both, each with "?", or all with
"!" where one is enough.`,
		Before: `
probe kernel.function("kernel_clone") {
	println(execname())
}`,
		After: `
probe kernel.function("kernel_clone") !, kernel.function("do_fork") {
	println(execname())
}`,
	},
})
