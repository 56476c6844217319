// Package st4011 is the rule ST4011: script that never ends by itself and has nothing to wait for.
package st4011

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/sema"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST4011",
	Doc: &lint.Doc{
		Title:    "script has nothing more to do and does not end",
		Severity: diag.Warning,
		Why: `
All that the script does, it does in its begin probe; then it waits for an interrupt that nobody sends. In a cron job
such a script piled up a process a night, each with its maps, until the machine ran out of locked memory.`,
		Limits: `Scripts with any other probe wait for its events, and are ended with Ctrl-C or -T.`,
		Before: `
probe begin {
	println("uptime: ", gettimeofday_s())
}`,
		After: `
probe begin {
	println("uptime: ", gettimeofday_s())
	exit()
}`,
	},
	Run: run,
})

func run(p *lint.Pass) (any, error) {
	if p.Broken() || p.Program.Unresolved || p.Tapset || p.Guessed() {
		return nil, nil
	}
	var first *sema.Probe
	for _, pr := range p.Program.Probes {
		if pr.Lib {
			return nil, nil
		}
		switch pr.Family {
		case sema.FamBegin:
			if first == nil {
				first = pr
			}
		case sema.FamEnd, sema.FamError, sema.FamNever:
		default:
			return nil, nil
		}
	}
	if first == nil {
		return nil, nil
	}
	for _, b := range p.Bodies() {
		ends := false
		b.Walk(func(n syntax.Node) bool {
			if x, ok := n.(*syntax.Call); ok {
				switch b.Library(x) {
				case "exit", "error":
					ends = true
				}
			}
			return true
		})
		if ends {
			return nil, nil
		}
	}
	d := p.At(first.Written, "the script waits for ever: it has only begin and end probes, and calls no exit()")
	d.Help = "call exit() at the end of the begin probe"
	p.Report(d)
	return nil, nil
}
