// Package st2002 is the rule ST2002: target variable that only some kernels have.
package st2002

import (
	"stapkit/diag"
	"stapkit/lint"
)

// Analyzer is the rule. Its findings are those of ST2001 that hold on some targets only.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST2002",
	Doc: &lint.Doc{
		Title:    "variable or member is missing on some of the given kernels",
		Severity: diag.Error,
		Why: `
The script reads something that the kernel of its author has. On others it was renamed, moved or does not exist yet, and
there the script does not start. The message has the names that are alike there, which is where renamed members show.`,
		Before: `
probe kernel.function("task_done") {
	println($task->__state)
}`,
		After: `
probe kernel.function("task_done") {
	println(@defined($task->__state) ? $task->__state : $task->state)
}`,
	},
})
