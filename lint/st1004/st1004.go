// Package st1004 is the rule ST1004: wildcard that matches very much.
package st1004

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/sema"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST1004",
	Doc: &lint.Doc{
		Title:    "wildcard matches a great many places",
		Severity: diag.Warning,
		Options:  []lint.Option{{Name: "places", Default: int64(500), Text: "the most places of one probe point"}},
		Why: `
Each place is an attachment, which takes time at the start and the end, and each of them fires. kernel.function("*") stops a
machine for minutes before the first event, and what was to be measured is then the measuring.`,
		Limits: `How many kernel functions match is known only with a target.`,
		Before: `
probe kernel.function("demofs_*") {
	println(ppfunc())
}`,
		After: `
probe kernel.function("demofs_op_1?") {
	println(ppfunc())
}`,
	},
	Run: run,
})

func run(p *lint.Pass) (any, error) {
	n := map[*syntax.ProbePoint]int{}
	var order []*sema.Probe
	for _, pr := range p.Program.Probes {
		if pr.Lib || pr.Written == nil {
			continue
		}
		if n[pr.Written]++; n[pr.Written] == 1 {
			order = append(order, pr)
		}
	}
	if t := p.Program.Tools; t != nil { // of which editors elaborate a few only
		for pt, count := range t.Matches {
			n[pt] = max(n[pt], count)
		}
	}
	most := int(p.Int("places"))
	for _, pr := range order {
		if count := n[pr.Written]; count > most {
			p.Reportf(pr.Written, "this matches %d places; more than %d are slow to attach and to run", count, most)
		}
	}
	return nil, nil
}
