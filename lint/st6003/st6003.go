// Package st6003 is the rule ST6003: feature that older kernels lack.
package st6003

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/sema"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST6003",
	Doc: &lint.Doc{
		Title:    "feature needs a newer kernel than the oldest of the project",
		Severity: diag.Error,
		Options:  []lint.Option{{Name: "minimum", Default: "6.1", Text: "the oldest kernel that scripts have to run on"}},
		Why: `
Programs for netfilter came with 6.4, and for security hooks with 5.7; on an older kernel the bundle is refused when it
is started. The fleet of the script had been updated but for the machines with the strange network cards.`,
		Before: `
probe netfilter.hook("NF_INET_LOCAL_OUT").pf("NFPROTO_IPV4") {
	println("packet")
}`,
		After: `
probe kernel.function("ip_local_out") {
	println("packet")
}`,
	},
	Run: run,
})

func run(p *lint.Pass) (any, error) {
	minimum := p.Word("minimum")
	seen := map[syntax.Node]bool{}
	need := func(n syntax.Node, version, what string) {
		if n != nil && !seen[n] && syntax.CompareVersions(minimum, version) < 0 {
			seen[n] = true
			p.Reportf(n, "%s need a kernel of %s or newer, and the oldest is %s", what, version, minimum)
		}
	}
	for _, pr := range p.Program.Probes {
		if pr.Lib || pr.Written == nil {
			continue
		}
		switch pr.Family {
		case sema.FamNetfilter:
			need(pr.Written, "6.4", "netfilter probes")
		case sema.FamLSM:
			need(pr.Written, "5.7", "probes of security hooks")
		case sema.FamTrace, sema.FamTracepoint:
			need(pr.Written, "5.5", "typed tracepoints")
		}
	}
	for _, b := range p.Bodies() {
		if !b.Kernel() {
			continue
		}
		b.Walk(func(n syntax.Node) bool {
			switch n.(type) {
			case *syntax.WhileStmt, *syntax.ForStmt, *syntax.ForeachStmt:
				if p.User(n) {
					need(n, "5.17", "loops in handlers of events")
				}
			}
			return true
		})
	}
	return nil, nil
}
