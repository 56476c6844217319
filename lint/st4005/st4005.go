// Package st4005 is the rule ST4005: unreachable code.
package st4005

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/lint/flow"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST4005",
	Doc: &lint.Doc{
		Title:    "statement is never reached",
		Severity: diag.Warning,
		Why: `
What stands before always leaves: "next", "return", "break", "continue", or both branches of an "if", or a loop
without an end. A "delete" behind "next" never runs, and the map fills up until the script dies of "Array overflow".`,
		Before: `
global started
probe timer.ms(10) {
	started[tid()] = gettimeofday_us()
	next
	delete started[tid()]
}`,
		After: `
global started
probe timer.ms(10) {
	started[tid()] = gettimeofday_us()
	delete started[tid()]
}`,
	},
	Requires: []*lint.Analyzer{flow.Graphs},
	Adopts:   []diag.Code{"E1512"},
	Adopt:    func(_ *lint.Pass, d *diag.Diagnostic) bool { d.Message = ""; return true },
	Run:      run,
})

func run(p *lint.Pass) (any, error) {
	graphs := p.ResultOf[flow.Graphs].([]*flow.Graph)
	// Aliases make several bodies of one handler: what one of them reaches is reached.
	reached := map[syntax.Stmt]bool{}
	for _, g := range graphs {
		reach := g.Reachable()
		for _, b := range g.Blocks {
			for _, s := range b.Stmts {
				reached[s] = reached[s] || reach[b.Index]
			}
		}
	}
	for _, g := range graphs {
		reach := g.Reachable()
		for _, b := range g.Blocks {
			if reach[b.Index] || len(b.Preds) > 0 || len(b.Stmts) == 0 {
				continue // what others lead to is told at the first of them
			}
			s := b.Stmts[0]
			if reached[s] {
				continue
			}
			if decided(g.Body, s) {
				continue // that is the condition's fault, which ST4004 tells
			}
			if _, null := s.(*syntax.NullStmt); null || !g.Body.Own(s) {
				continue
			}
			d := p.At(s, "statement is never reached")
			d.Tags = []diag.Tag{diag.Unnecessary}
			p.Report(d)
		}
	}
	return nil, nil
}

// decided reports whether a statement is the branch of an "if" whose condition is known.
func decided(b *lint.Body, s syntax.Stmt) bool {
	found := false
	for _, bl := range b.Blocks {
		if bl == nil {
			continue
		}
		syntax.Inspect(bl, func(n syntax.Node) bool {
			i, ok := n.(*syntax.IfStmt)
			if !ok {
				return !found
			}
			if _, known := b.Truth(i.Cond); known {
				for _, branch := range []syntax.Stmt{i.Then, i.Else} {
					if branch != nil && branch.File() == s.File() && s.First() >= branch.First() && s.Last() <= branch.Last() {
						found = true
					}
				}
			}
			return !found
		})
	}
	return found
}
