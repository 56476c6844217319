// Package st1009 is the rule ST1009: probe point that needs debug information.
package st1009

import (
	"strings"

	"stapkit/diag"
	"stapkit/lint"
	"stapkit/lint/points"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST1009",
	Doc: &lint.Doc{
		Title:    "probe point needs debug information",
		Severity: diag.Warning,
		Why: `
Inlined instances, labels, callees and source files are only in DWARF debug information, hundreds of megabytes per kernel
that production hosts do not have. The script was compiled where the package was installed, and refused by all hosts with
another build.`,
		Limits: `Points that may be missing ("?", "!") are fine. Points at lines and addresses are ST1010's.`,
		Before: `
probe kernel.function("vfs_read@fs/read_write.c") {
	println(execname())
}`,
		After: `
probe kernel.function("vfs_read") {
	println(execname())
}`,
	},
	Adopts: []diag.Code{"E1011"},
	Adopt:  points.Replace,
	Run:    run,
})

func run(p *lint.Pass) (any, error) {
	for _, f := range p.Files {
		f.Inspect(func(n syntax.Node) bool {
			pt, ok := n.(*syntax.ProbePoint)
			if !ok || pt.Optional {
				return true
			}
			switch points.First(pt) {
			case "kernel", "module", "process":
			default:
				return true
			}
			for _, c := range pt.Components {
				switch c.Name {
				case "inline", "label", "callee", "callees", "nearest":
					p.Reportf(pt, ".%s needs debug information of the very build that is probed", c.Name)
					return true
				case "function", "statement":
					lit, ok := c.Arg.(*syntax.StringLit)
					if !ok {
						continue
					}
					_, file, has := strings.Cut(lit.Value, "@")
					if has && !strings.Contains(file, ":") && file != "*" {
						p.Reportf(pt, "the source file (%q) is known only with debug information", file)
						return true
					}
				}
			}
			return true
		})
	}
	return nil, nil
}
