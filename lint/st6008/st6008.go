// Package st6008 is the rule ST6008: handler that costs more than planned.
package st6008

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/lint/cost"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST6008",
	Doc: &lint.Doc{
		Title:    "handler costs more than the budget",
		Severity: diag.Warning,
		Options:  []lint.Option{{Name: "instructions", Default: int64(1000000), Text: "the budget of one run of a handler of events"}},
		Why: `
A handler runs on the CPU of what it probes, which waits for it. A million instructions are some 300 microseconds: on a
system call that takes two, the service became as slow as the script, and the script was blamed for the outage that it was to
explain. The estimate counts loops as often as they may run.`,
		Before: `
global names
probe syscall.openat {
	names[filename]++
	foreach (n in names)
		if (n =~ "^/etc/.*conf$")
			printf("%s\n", n)
}`,
		After: `
global names
probe syscall.openat {
	if (filename =~ "^/etc/.*conf$")
		names[filename]++
}
probe timer.s(1) {
	foreach (n in names)
		printf("%s\n", n)
}`,
	},
	Run: run,
})

func run(p *lint.Pass) (any, error) {
	budget := p.Int("instructions")
	seen := map[*syntax.ProbeDecl]bool{}
	for _, b := range p.Bodies() {
		if !b.Kernel() || seen[b.Probe.Decl] {
			continue
		}
		if n := cost.Handler(&b); n > budget {
			seen[b.Probe.Decl] = true
			at := syntax.Node(b.Probe.Decl)
			if b.Probe.Written != nil {
				at = b.Probe.Written
			}
			p.Reportf(at, "one run of this handler may take %d instructions; the budget is %d", n, budget)
		}
	}
	return nil, nil
}
