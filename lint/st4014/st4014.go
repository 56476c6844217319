// Package st4014 is the rule ST4014: branches that are the same.
package st4014

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST4014",
	Doc: &lint.Doc{
		Title:    "both branches do the same",
		Severity: diag.Warning,
		Why: `
The condition decides nothing. One of the branches was copied and not changed: reads and writes both went to
"reads", and the report said that nobody ever wrote.`,
		Before: `
global reads
probe timer.ms(3) {
	if (cpu() == 0)
		reads++
	else
		reads++
}`,
		After: `
global reads, writes
probe timer.ms(3) {
	if (cpu() == 0)
		reads++
	else
		writes++
}`,
	},
	Run: run,
})

func run(p *lint.Pass) (any, error) {
	for _, b := range p.Bodies() {
		b.Walk(func(n syntax.Node) bool {
			switch n := n.(type) {
			case *syntax.IfStmt:
				if n.Else != nil && len(syntax.Origin(n)) == 0 && same(n.Then, n.Else) {
					p.Reportf(n.Cond, "both branches of this 'if' do the same")
				}
			case *syntax.Ternary:
				if len(syntax.Origin(n)) == 0 && lint.Same(n.Then, n.Else) {
					p.Reportf(n, "both values of this '?:' are the same")
				}
			}
			return true
		})
	}
	return nil, nil
}

// same reports whether two statements have the same tokens, braces around one apart.
func same(a, b syntax.Stmt) bool {
	x, y := words(a), words(b)
	if len(x) != len(y) || len(x) == 0 {
		return false
	}
	for i := range x {
		if x[i] != y[i] {
			return false
		}
	}
	return true
}

func words(s syntax.Stmt) []string {
	if b, ok := s.(*syntax.Block); ok {
		var out []string
		for _, in := range b.Stmts {
			out = append(out, words(in)...)
		}
		return out
	}
	f := s.File()
	var out []string
	for i := s.First(); i <= s.Last() && i < len(f.Tokens); i++ {
		switch f.Tokens[i].Kind {
		case syntax.Comment, syntax.Semi:
		default:
			out = append(out, f.Text(i))
		}
	}
	return out
}
