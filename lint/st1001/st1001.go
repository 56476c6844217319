// Package st1001 is the rule ST1001: probe point that nothing matches.
package st1001

import (
	"regexp"

	"stapkit/diag"
	"stapkit/lint"
	"stapkit/lint/st1008"
	"stapkit/sema"
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
	Adopts:  []diag.Code{"E1004", "E1800"},
	Adopt:   adopt,
	Partial: "ST1002",
})

func adopt(p *lint.Pass, d *diag.Diagnostic) bool {
	if m := call.FindStringSubmatch(d.Message); m != nil && !p.Explicit && elsewhere(m[1]) {
		d.Message = "" // the architecture was only assumed
	}
	return d.Message == "" || st1008.Clone(p, d) == ""
}

var call = regexp.MustCompile(`has no system call '(\w+)'`)

// elsewhere reports whether some architecture has a system call.
func elsewhere(name string) bool {
	if name == "send" || name == "recv" || name == "accept" || name == "socketcall" {
		return true // through socketcall, or on machines of which no table is kept
	}
	for _, arch := range []string{"i386", "arm64", "arm", "powerpc", "s390", "mips", "riscv"} {
		if _, ok := sema.SyscallNumber(arch, name); ok {
			return true
		}
	}
	return false
}
