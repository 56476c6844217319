// Package st7009 is the rule ST7009: jump to where control goes anyway.
package st7009

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST7009",
	Doc: &lint.Doc{
		Title:    "jump to where control goes anyway",
		Severity: diag.Note,
		Fix:      lint.SafeFix,
		Why: `
A "next" at the end of a handler, a "continue" at the end of a loop and a "return" at the end of a function do nothing. A
line that somebody added below such a "next" never ran, and the review did not see it.`,
		Before: `
probe timer.s(1) {
	println("tick")
	next
}`,
		After: `
probe timer.s(1) {
	println("tick")
}`,
	},
	Run: run,
})

func run(p *lint.Pass) (any, error) {
	for _, b := range p.Bodies() {
		if n := len(b.Blocks); n > 0 && b.Blocks[n-1] != nil && b.Own(b.Blocks[n-1]) {
			check(p, b.Blocks[n-1], b.Func == nil, false)
		}
		b.Walk(func(n syntax.Node) bool {
			switch n := n.(type) {
			case *syntax.WhileStmt:
				check(p, n.Body, false, true)
			case *syntax.ForStmt:
				check(p, n.Body, false, true)
			case *syntax.ForeachStmt:
				check(p, n.Body, false, true)
			}
			return true
		})
	}
	return nil, nil
}

// check looks at the last statement of a block.
func check(p *lint.Pass, s syntax.Stmt, probe, loop bool) {
	bl, ok := s.(*syntax.Block)
	if !ok || len(bl.Stmts) < 2 {
		return // alone, it says "nothing to do here"
	}
	last := bl.Stmts[len(bl.Stmts)-1]
	what := ""
	switch s := last.(type) {
	case *syntax.NextStmt:
		if probe {
			what = "next"
		}
	case *syntax.ContinueStmt:
		if loop {
			what = "continue"
		}
	case *syntax.ReturnStmt:
		if !probe && !loop && s.X == nil {
			what = "return"
		}
	}
	if what == "" || !p.User(last) {
		return
	}
	d := p.At(last, "this '%s' leads where control goes anyway", what)
	d.Tags = []diag.Tag{diag.Unnecessary}
	d.Fixes = p.Remove("remove it", true, last)
	p.Report(d)
}
