// Package st1013 is the rule ST1013: the same probe point twice.
package st1013

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST1013",
	Doc: &lint.Doc{
		Title:    "probe point is twice in one list",
		Severity: diag.Warning,
		Why: `
The handler runs twice for each event, and every count is double. In a list of twenty system calls one had been added
that was there already; only that one looked twice as slow.`,
		Before: `
global n
probe syscall.read, syscall.write, syscall.read {
	n++
}`,
		After: `
global n
probe syscall.read, syscall.write {
	n++
}`,
	},
	Run: run,
})

func run(p *lint.Pass) (any, error) {
	for _, f := range p.Files {
		for _, decl := range f.Decls {
			var list []syntax.Point
			switch d := decl.(type) {
			case *syntax.ProbeDecl:
				list = d.Points
			case *syntax.AliasDecl:
				list = d.Points
			}
			seen := map[string]syntax.Point{}
			for _, pt := range list {
				q, ok := pt.(*syntax.ProbePoint)
				if !ok || q.Cond != nil || len(q.Components) == 1 && q.Components[0].Name == "never" {
					continue
				}
				bare := *q
				bare.Optional, bare.Sufficient = false, false
				text := syntax.PointString(&bare)
				if first := seen[text]; first != nil {
					d := p.At(pt, "%s is in this list twice, so the handler runs twice", text)
					d.Related = append(d.Related, diag.Related{Range: syntax.Range(first), Message: "the first one"})
					p.Report(d)
					continue
				}
				seen[text] = pt
			}
		}
	}
	return nil, nil
}
