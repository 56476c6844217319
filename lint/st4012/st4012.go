// Package st4012 is the rule ST4012: output at a hot place.
package st4012

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/lint/points"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST4012",
	Doc: &lint.Doc{
		Title:    "handler prints for every event of a hot place",
		Severity: diag.Warning,
		Why: `
The place is passed tens of thousands of times a second, and each time a line is printed. The buffers overflow ("there were
12345 transport failures"), the rest fills a disk, and writing it makes more such events. Count into an array and print it
once a second, or print what an "if" has chosen.`,
		Limits: `A print that any condition guards is taken to be rare.`,
		Before: `
probe kernel.trace("sched_switch") {
	println(execname())
}`,
		After: `
global switches
probe kernel.trace("sched_switch") {
	switches[execname()]++
}
probe timer.s(1) {
	foreach (name in switches- limit 10)
		println(name, " ", switches[name])
	delete switches
}`,
	},
	Run: run,
})

func run(p *lint.Pass) (any, error) {
	for _, b := range p.Bodies() {
		if b.Probe == nil {
			continue
		}
		why := points.Hot(b.Probe)
		if why == "" {
			continue
		}
		last := b.Blocks[len(b.Blocks)-1]
		for _, bl := range b.Blocks {
			if bl != nil && b.Own(bl) {
				last = bl
			}
		}
		if last == nil || len(b.Probe.Conds) > 0 {
			continue
		}
		for _, s := range last.Stmts {
			if lint.Leaves(s) {
				break // some events are sorted out before
			}
			x, ok := s.(*syntax.ExprStmt)
			if !ok {
				continue
			}
			if pr, ok := x.X.(*syntax.PrintExpr); ok && !pr.String && p.User(pr) {
				p.Reportf(pr, "this prints at %s", why)
				break
			}
		}
	}
	return nil, nil
}
