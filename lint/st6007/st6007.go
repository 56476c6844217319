// Package st6007 is the rule ST6007: script that is of use on one machine only.
package st6007

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/lint/points"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST6007",
	Doc: &lint.Doc{
		Title:    "script is for one process or address, so a signed bundle of it is of no use",
		Severity: diag.Warning,
		Why: `
A bundle is built and signed once, for many hosts and months. The number of a process, or an address of this boot, is
wrong on the next host and after the next restart: such a script runs unsigned on the machine where it was written, or not
at all. Take the process from -x or the argument, and compare with target().`,
		Before: `
probe process(1234).function("main") {
	println("main")
}`,
		After: `
probe process("/usr/bin/server").function("main") {
	if (pid() == target())
		println("main")
}`,
	},
	Run: run,
})

func run(p *lint.Pass) (any, error) {
	for _, f := range p.Files {
		f.Inspect(func(n syntax.Node) bool {
			pt, ok := n.(*syntax.ProbePoint)
			if !ok {
				return true
			}
			for _, c := range pt.Components {
				num, ok := c.Arg.(*syntax.NumberLit)
				if !ok || len(syntax.Origin(num)) > 0 || f.Tokens[num.First()].Exp != 0 {
					continue
				}
				switch {
				case c.Name == "process":
					p.Reportf(pt, "process %d is another one on each host, and after each start", num.Value)
				case c.Name == "statement" && points.Component(pt, "absolute") != nil, c.Name == "data" && points.First(pt) == "kernel":
					p.Reportf(pt, "the address %#x is another one after each boot", uint64(num.Value))
				}
			}
			return true
		})
	}
	return nil, nil
}
