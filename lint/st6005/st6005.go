// Package st6005 is the rule ST6005: blocked under lockdown.
package st6005

import (
	"strings"

	"stapkit/diag"
	"stapkit/lint"
	"stapkit/lint/points"
	"stapkit/sema"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST6005",
	Doc: &lint.Doc{
		Title:    "kernel under lockdown refuses this",
		Severity: diag.Warning,
		Options:  []lint.Option{{Name: "lockdown", Default: "", Text: `the mode of the hosts: "integrity" or "confidentiality"; "" for what the target's configuration forces`}},
		Why: `
With Secure Boot many distributions lock the kernel down. In mode "integrity" programs' memory cannot be written; in mode
"confidentiality" no BPF program reads memory of the kernel, and kprobes and tracefs are closed. The script worked on the
test machine, which had Secure Boot off.`,
		Before: `
probe kernel.function("vfs_read") {
	println($file->f_flags)
}`,
		After: `
probe timer.s(1) {
	println("tick")
}`,
	},
	Run: run,
})

func run(p *lint.Pass) (any, error) {
	mode := p.Word("lockdown")
	if mode == "" && p.Target != nil && p.Explicit {
		if v, _ := p.Target.Config("CONFIG_LOCK_DOWN_KERNEL_FORCE_CONFIDENTIALITY"); v == "y" {
			mode = "confidentiality"
		} else if v, _ := p.Target.Config("CONFIG_LOCK_DOWN_KERNEL_FORCE_INTEGRITY"); v == "y" {
			mode = "integrity"
		}
	}
	switch mode {
	case "":
		return nil, nil
	case "integrity", "confidentiality":
	default:
		mode = "confidentiality"
	}
	seen := map[*syntax.ProbePoint]bool{}
	for _, pr := range p.Program.Probes {
		if pr.Lib || pr.Written == nil || seen[pr.Written] || mode != "confidentiality" {
			continue
		}
		seen[pr.Written] = true
		switch points.First(pr.Written) {
		case "kernel", "module", "kprobe":
			switch pr.Family {
			case sema.FamFunction, sema.FamStatement, sema.FamData:
				p.Reportf(pr.Written, "lockdown (%s) closes kprobes", mode)
			}
		}
	}
	for _, b := range p.Bodies() {
		b.Walk(func(n syntax.Node) bool {
			switch n := n.(type) {
			case *syntax.Call:
				name := b.Library(n)
				switch {
				case strings.HasPrefix(name, "set_user_") || name == "user_string_write":
					p.Reportf(n, "lockdown (%s) forbids to write memory of programs", mode)
				case strings.HasPrefix(name, "kernel_string") && mode == "confidentiality":
					p.Reportf(n, "lockdown (%s) forbids to read memory of the kernel", mode)
				}
			case *syntax.TargetVar:
				if len(n.Path) > 0 && mode == "confidentiality" && b.Own(n) {
					if acc := b.Targets[n]; acc == nil || acc.Space == sema.KernelSpace {
						p.Reportf(n, "lockdown (%s) forbids to read memory of the kernel", mode)
					}
				}
			}
			return true
		})
	}
	return nil, nil
}
