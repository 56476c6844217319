// Package st1010 is the rule ST1010: probe point that fits one build only.
package st1010

import (
	"regexp"

	"stapkit/diag"
	"stapkit/lint"
	"stapkit/lint/points"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST1010",
	Doc: &lint.Doc{
		Title:    "probe point fits one build only",
		Severity: diag.Warning,
		Why: `
Line numbers move with every patch, addresses with every build. After an update of the distribution a probe at
"read_write.c:495" was two lines further down, inside of an error path, and counted nothing. The bundle is bound to the
build and refused elsewhere; in the source nobody is told.`,
		Limits: `Points that may be missing ("?", "!") are fine; lines relative to a function ("f@file:+3") move less and still do.`,
		Before: `
probe kernel.statement("vfs_read@fs/read_write.c:495") {
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

var line = regexp.MustCompile(`@[^:]*:\+?\d+(-\d+)?$`)

func run(p *lint.Pass) (any, error) {
	for _, f := range p.Files {
		f.Inspect(func(n syntax.Node) bool {
			pt, ok := n.(*syntax.ProbePoint)
			if !ok || pt.Optional {
				return true
			}
			switch points.First(pt) {
			case "kernel", "module", "process", "kprobe":
			default:
				return true
			}
			for _, c := range pt.Components {
				switch c.Name {
				case "statement", "function", "data":
					switch arg := c.Arg.(type) {
					case *syntax.NumberLit:
						p.Reportf(pt, "the address %#x is that of one build", uint64(arg.Value))
						return true
					case *syntax.StringLit:
						if m := line.FindString(arg.Value); m != "" {
							p.Reportf(pt, "the line (%q) is that of one version of the source", m)
							return true
						}
					}
				}
			}
			return true
		})
	}
	return nil, nil
}
