// Package st6010 is the rule ST6010: embedded C.
package st6010

import (
	"stapkit/diag"
	"stapkit/lint"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST6010",
	Doc: &lint.Doc{
		Title:    "embedded C cannot run as eBPF",
		Severity: diag.Error,
		Why: `
Code between %{ and %} is C for a kernel module, and there is no module. Most of it reads a structure, for which there
are $var->member, @cast and kernel_string(); the rest has to go. A script of 2009 was kept alive for its one line of C,
which read task->pid.`,
		Before: `
function parent:long(task:long) %{
	STAP_RETVALUE = ((struct task_struct *)STAP_ARG_task)->real_parent->pid;
%}
probe begin {
	println(parent(task_current()))
	exit()
}`,
		After: `
function parent:long(task:long) {
	return @cast(task, "struct task_struct")->real_parent->pid
}
probe begin {
	println(parent(task_current()))
	exit()
}`,
	},
	Adopts: []diag.Code{"E1401"},
})
