// Package st1005 is the rule ST1005: probe at a very hot place.
package st1005

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/lint/points"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST1005",
	Doc: &lint.Doc{
		Title:    "kernel function that is too hot for a probe",
		Severity: diag.Note,
		Why: `
The function runs tens of thousands of times a second on every CPU. Probing it costs something each time, whatever the
handler does: a kprobe on kmem_cache_alloc took a fifth of the throughput of a mail server. There is often a tracepoint
that fires for what one looks for only, or profiling tells the same from samples.`,
		Limits: `Tracepoints are cheaper, and are not reported here; see ST4012 for what handlers do there.`,
		Before: `
global n
probe kernel.function("kmem_cache_alloc") {
	n++
}`,
		After: `
global n
probe timer.profile {
	n++
}`,
	},
	Run: run,
})

func run(p *lint.Pass) (any, error) {
	seen := map[*syntax.ProbePoint]bool{}
	for _, pr := range p.Program.Probes {
		pt := pr.Written
		if pr.Lib || pt == nil || seen[pt] || points.Component(pt, "function") == nil {
			continue
		}
		seen[pt] = true
		if why := points.Hot(pr); why != "" {
			d := p.At(pt, "this function runs at %s, on all CPUs", why)
			d.Help = "a tracepoint, timer.profile or perf samples cost less"
			p.Report(d)
		}
	}
	return nil, nil
}
