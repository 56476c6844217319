// Package st1012 is the rule ST1012: timer that is too fast.
package st1012

import (
	"time"

	"stapkit/diag"
	"stapkit/lint"
	"stapkit/sema"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST1012",
	Doc: &lint.Doc{
		Title:    "timer fires very often",
		Severity: diag.Warning,
		Options:  []lint.Option{{Name: "us", Default: int64(1000), Text: "the shortest interval, in microseconds"}},
		Why: `
A timer of 100 microseconds wakes a CPU ten thousand times a second, keeps it out of its sleep states, and on a busy
machine is late anyway. The unit had been mistaken: timer.us(500) was to be half a second.`,
		Before: `
global n
probe timer.us(500) {
	n++
}`,
		After: `
global n
probe timer.ms(500) {
	n++
}`,
	},
	Run: run,
})

func run(p *lint.Pass) (any, error) {
	least := p.Int("us") * 1000
	seen := map[*syntax.ProbePoint]bool{}
	for _, pr := range p.Program.Probes {
		if pr.Lib || pr.Written == nil || seen[pr.Written] {
			continue
		}
		seen[pr.Written] = true
		interval := int64(0)
		switch {
		case pr.Family == sema.FamTimer:
			interval = pr.Interval
		case pr.Hz > 0 && (pr.Family == sema.FamProfile || pr.Family == sema.FamPerf):
			interval = int64(time.Second) / pr.Hz
		}
		if interval > 0 && interval < least {
			p.Reportf(pr.Written, "this fires every %v, %d times a second", time.Duration(interval), int64(time.Second)/interval)
		}
	}
	return nil, nil
}
