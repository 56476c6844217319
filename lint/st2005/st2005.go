// Package st2005 is the rule ST2005: pointer of the kernel read as one of a program.
package st2005

import (
	"strings"

	"stapkit/diag"
	"stapkit/lint"
	"stapkit/lint/mapuse"
	"stapkit/sema"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST2005",
	Doc: &lint.Doc{
		Title:    "pointer of the kernel is read as one of a program",
		Severity: diag.Warning,
		Fix:      lint.UnsafeFix,
		Why: `
The text lies in a structure of the kernel. user_string() looks for that address in the memory of the program that happens
to run, and reports a fault, or with some luck prints what another process has there.`,
		Limits: `Known are names in structures of the kernel: d_name.name, comm, and their like.`,
		Before: `
probe kernel.function("vfs_read") {
	println(user_string($file->f_dentry->d_name->name))
}`,
		After: `
probe kernel.function("vfs_read") {
	println(kernel_string($file->f_dentry->d_name->name))
}`,
	},
	Run: run,
})

// kernel are members that hold a text of the kernel.
var kernel = map[string]bool{"name": true, "comm": true, "d_iname": true, "s_id": true, "disk_name": true, "release": true, "nodename": true, "d_name": true}

func run(p *lint.Pass) (any, error) {
	for _, b := range p.Bodies() {
		b.Walk(func(n syntax.Node) bool {
			c, ok := n.(*syntax.Call)
			if !ok || len(c.Args) == 0 || b.Probe == nil {
				return true
			}
			name := b.Library(c)
			if !strings.HasPrefix(name, "user_string") {
				return true
			}
			t, ok := mapuse.Source(&b, c.Args[0]).(*syntax.TargetVar)
			if !ok || len(t.Path) == 0 || !kernel[t.Path[len(t.Path)-1].Member] {
				return true
			}
			switch b.Probe.Family {
			case sema.FamFunction, sema.FamTrace, sema.FamTracepoint, sema.FamLSM, sema.FamStatement:
			default:
				return true
			}
			to := "kernel" + strings.TrimPrefix(name, "user")
			d := p.At(c, "%s is an address of the kernel, and %s() reads memory of the program", syntax.ExprString(t), name)
			d.Help = "kernel_string() reads that of the kernel"
			if known[to] {
				d.Fixes = p.CallInstead(c, name, to)
			}
			p.Report(d)
			return true
		})
	}
	return nil, nil
}

// known are the functions of the kernel's side that exist.
var known = map[string]bool{"kernel_string": true, "kernel_string2": true, "kernel_string_n": true, "kernel_string_quoted": true}
