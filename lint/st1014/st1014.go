// Package st1014 is the rule ST1014: "?" where nothing can be missing.
package st1014

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/lint/points"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST1014",
	Doc: &lint.Doc{
		Title:    "probe point that always exists is marked as one that may be missing",
		Severity: diag.Note,
		Fix:      lint.SafeFix,
		Why: `
begin, end, error, never and timers are always there, so the mark says nothing; with "!" the rest of the list is never
looked at. In "probe timer.s(1) !, syscall.read" the second half did not exist, without a word.`,
		Before: `
probe timer.s(1) ? {
	println("tick")
}`,
		After: `
probe timer.s(1) {
	println("tick")
}`,
	},
	Run: run,
})

func run(p *lint.Pass) (any, error) {
	for _, f := range p.Files {
		f.Inspect(func(n syntax.Node) bool {
			pt, ok := n.(*syntax.ProbePoint)
			if !ok || !pt.Optional || pt.Cond != nil {
				return true
			}
			switch points.First(pt) {
			case "begin", "end", "error", "never", "timer":
			default:
				return true
			}
			mark := "?"
			if pt.Sufficient {
				mark = "!"
			}
			d := p.At(pt, "'%s' says that this may be missing, and it never is", mark)
			last := pt.Components[len(pt.Components)-1]
			if text := p.Text(pt); text != "" && p.Text(last) != "" {
				r := diag.Range{Start: syntax.Range(last).End, End: syntax.Range(pt).End}
				d.Fixes = []diag.Fix{{Message: "remove the mark", Safe: mark == "?", Edits: []diag.Edit{{Range: r}}}}
			}
			p.Report(d)
			return true
		})
	}
	return nil, nil
}
