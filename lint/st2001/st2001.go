// Package st2001 is the rule ST2001: missing target variable or member.
package st2001

import (
	"stapkit/diag"
	"stapkit/lint"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST2001",
	Doc: &lint.Doc{
		Title:    "the probed place has no such variable or member",
		Severity: diag.Error,
		Why: `
Parameters are renamed and members move between structures with every kernel: task_struct.state became __state in 5.14.
The message has what is spelled alike on this target. @defined() asks whether something is there.`,
		Before: `
probe kernel.function("task_done") {
	println($task->state)
}`,
		After: `
probe kernel.function("task_done") {
	println(@defined($task->__state) ? $task->__state : $task->state)
}`,
	},
	Adopts:  []diag.Code{"E1301", "E1302", "E1303", "E1309", "E1801"},
	Partial: "ST2002",
})
