// Package st4025 is the rule ST4025: function that returns a value on some ways only.
package st4025

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/lint/flow"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST4025",
	Doc: &lint.Doc{
		Title:    "function returns a value on some ways only",
		Severity: diag.Warning,
		Why: `
Where the end of the function is reached without "return", the result is 0 or "". A function that named states had no
"return" for the newest one, so the report had a line without a name.`,
		Before: `
function state_name:string(s) {
	if (s == 0)
		return "running"
	if (s == 1)
		return "sleeping"
}
probe begin {
	println(state_name(1))
	exit()
}`,
		After: `
function state_name:string(s) {
	if (s == 0)
		return "running"
	if (s == 1)
		return "sleeping"
	return "unknown"
}
probe begin {
	println(state_name(1))
	exit()
}`,
	},
	Requires: []*lint.Analyzer{flow.Graphs},
	Run:      run,
})

func run(p *lint.Pass) (any, error) {
	for _, g := range p.ResultOf[flow.Graphs].([]*flow.Graph) {
		if g.Body.Func == nil {
			continue
		}
		value, falls := false, false
		reach := g.Reachable()
		for _, b := range g.Blocks {
			for _, n := range b.Events {
				if r, ok := n.(*syntax.ReturnStmt); ok && r.X != nil {
					value = true
				}
			}
		}
		for _, b := range g.Exit.Preds {
			if !reach[b.Index] {
				continue
			}
			if len(b.Events) == 0 {
				falls = true
				continue
			}
			switch n := b.Events[len(b.Events)-1].(type) {
			case *syntax.ReturnStmt:
				falls = falls || n.X == nil
			case *syntax.NextStmt:
			case *syntax.Call:
				falls = falls || g.Body.Library(n) != "error"
			default:
				falls = true
			}
		}
		if value && falls {
			d := p.At(g.Body.Func.Decl, "function '%s' returns a value on some ways only", g.Body.Func.Name)
			d.Range = syntax.AnchorRange(g.Body.Func.Decl)
			p.Report(d)
		}
	}
	return nil, nil
}
