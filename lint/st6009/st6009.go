// Package st6009 is the rule ST6009: stack at a hot place.
package st6009

import (
	"strings"

	"stapkit/diag"
	"stapkit/lint"
	"stapkit/lint/points"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST6009",
	Doc: &lint.Doc{
		Title:    "stack is walked for every event of a hot place",
		Severity: diag.Warning,
		Why: `
Walking a stack takes thousands of instructions. At a place that is passed tens of thousands of times a second that is all
that the machine does. Timers sample stacks at a rate that one can choose (timer.profile, perf).`,
		Limits: `Stacks behind a condition are taken to be rare.`,
		Before: `
global stacks
probe kernel.trace("kmalloc") {
	stacks[backtrace()]++
}`,
		After: `
global stacks
probe timer.profile {
	stacks[backtrace()]++
}`,
	},
	Run: run,
})

func run(p *lint.Pass) (any, error) {
	for _, b := range p.Bodies() {
		if b.Probe == nil || points.First(b.Probe.Written) == "perf" {
			continue
		}
		why := points.Hot(b.Probe)
		if why == "" || len(b.Probe.Conds) > 0 {
			continue
		}
		for _, bl := range b.Blocks {
			if bl == nil || !b.Own(bl) {
				continue
			}
			for _, s := range bl.Stmts {
				if _, conditional := s.(*syntax.IfStmt); conditional {
					if lint.Leaves(s) {
						break
					}
					continue
				}
				b.WalkNode(s, func(n syntax.Node) bool {
					if _, conditional := n.(*syntax.IfStmt); conditional {
						return false
					}
					if name := b.Library(call(n)); strings.Contains(name, "backtrace") {
						p.Reportf(n, "%s() walks the stack at %s", name, why)
					}
					return true
				})
			}
		}
	}
	return nil, nil
}

func call(n syntax.Node) syntax.Expr {
	c, _ := n.(*syntax.Call)
	if c == nil {
		return nil
	}
	return c
}
