// Package st7010 is the rule ST7010: empty branch.
package st7010

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST7010",
	Doc: &lint.Doc{
		Title:    "branch is empty",
		Severity: diag.Note,
		Why: `
Nothing happens in the branch, and a reader asks what was meant to. Half of a filter had been left empty "for now", and
the other half let all through. A comment in the braces says that it is meant.`,
		Before: `
probe timer.s(1) {
	if (uid() == 0) {
	} else {
		println(execname())
	}
}`,
		After: `
probe timer.s(1) {
	if (uid() != 0)
		println(execname())
}`,
	},
	Run: run,
})

func run(p *lint.Pass) (any, error) {
	for _, b := range p.Bodies() {
		b.Walk(func(n syntax.Node) bool {
			switch n := n.(type) {
			case *syntax.IfStmt:
				if empty(n.Then) {
					p.Reportf(n.Cond, "nothing happens when this is true")
				}
				if n.Else != nil && empty(n.Else) {
					p.Reportf(n.Else, "this 'else' is empty")
				}
			case *syntax.TryStmt:
				if n.Body != nil && empty(n.Body) {
					p.Reportf(n.Body, "this 'try' is empty")
				}
			}
			return true
		})
	}
	return nil, nil
}

// empty reports whether a block has neither statements nor a comment.
func empty(s syntax.Stmt) bool {
	bl, ok := s.(*syntax.Block)
	if !ok || len(bl.Stmts) > 0 || !bl.Closed {
		return false
	}
	r := syntax.Range(bl)
	f := bl.File()
	if r.Start.File != f.Name {
		return false
	}
	for i := range f.Raw {
		if t := &f.Raw[i]; int(t.Off) > r.Start.Offset && int(t.Off) < r.End.Offset-1 {
			return false // a comment, or what the preprocessor has taken out
		}
	}
	return true
}
