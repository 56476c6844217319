// Package st4009 is the rule ST4009: numbers compared as text.
package st4009

import (
	"strings"

	"stapkit/diag"
	"stapkit/lint"
	"stapkit/sema"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST4009",
	Doc: &lint.Doc{
		Title:    "numbers are compared as text",
		Severity: diag.Warning,
		Why: `
Text is compared character by character, so "9" is more than "10": a threshold given as a string let through the
requests of 9 ms and kept back those of 10 ms. And a number is never equal to its text with a blank or a sign.`,
		Before: `
probe begin {
	if (sprintf("%d", pid()) == "1")
		println("init")
	exit()
}`,
		After: `
probe begin {
	if (pid() == 1)
		println("init")
	exit()
}`,
	},
	Run: run,
})

func run(p *lint.Pass) (any, error) {
	for _, b := range p.Bodies() {
		b.Walk(func(n syntax.Node) bool {
			x, ok := n.(*syntax.Binary)
			if !ok {
				return true
			}
			order := false
			switch x.Op {
			case syntax.Lt, syntax.Gt, syntax.Le, syntax.Ge:
				order = true
			case syntax.Eq, syntax.Ne:
			default:
				return true
			}
			l, r := digits(&b, x.X), digits(&b, x.Y)
			made := number(&b, x.X) || number(&b, x.Y)
			switch {
			case order && (l || r || made):
				d := p.At(x, "numbers are compared as text, where \"9\" is more than \"10\"")
				d.Help = "compare numbers; strtol(text, 10) makes one of a text"
				p.Report(d)
			case !order && made && (l || r || number(&b, x.X) && number(&b, x.Y)):
				d := p.At(x, "a number is made into text to be compared")
				d.Help = "compare the numbers"
				p.Report(d)
			}
			return true
		})
	}
	return nil, nil
}

// digits reports whether an expression is the text of a number.
func digits(b *lint.Body, x syntax.Expr) bool {
	s, ok := b.Str(x)
	if l, lit := x.(*syntax.StringLit); !ok || !lit || lint.FromArgument(l) {
		return false
	}
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// number reports whether an expression makes text of one number.
func number(b *lint.Body, x syntax.Expr) bool {
	pr, ok := x.(*syntax.PrintExpr)
	if !ok || !pr.String || len(pr.Args) != 1 || b.Types[pr.Args[0]] != sema.Long {
		return false
	}
	if pr.FormatLit == nil {
		return pr.Delim == nil && !pr.Newline
	}
	switch pr.FormatLit.Value {
	case "%d", "%i", "%u":
		return true
	}
	return false
}
