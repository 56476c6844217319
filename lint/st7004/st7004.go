// Package st7004 is the rule ST7004: overlong handler.
package st7004

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST7004",
	Doc: &lint.Doc{
		Title:    "handler or function is very long",
		Severity: diag.Note,
		Options:  []lint.Option{{Name: "lines", Default: int64(80), Text: "the most lines of one body"}},
		Why: `
A handler of 200 lines has paths that nobody has tested, shares all its variables with the aliases it goes through, and
is more likely to meet the limits of the kernel's verifier than functions are.`,
		Before: `
probe timer.s(1) {
	println(1)
	println(2)
	println(3)
	println(4)
	println(5)
}`,
		After: `
probe timer.s(1) {
	println("1\n2\n3\n4\n5")
}`,
	},
	Run: run,
})

func run(p *lint.Pass) (any, error) {
	most := int(p.Int("lines"))
	for _, f := range p.Files {
		for _, decl := range f.Decls {
			var body *syntax.Block
			what := "handler"
			switch d := decl.(type) {
			case *syntax.ProbeDecl:
				body = d.Body
			case *syntax.AliasDecl:
				body = d.Body
			case *syntax.FuncDecl:
				body, what = d.Body, "function"
			}
			if body == nil {
				continue
			}
			r := syntax.Range(body)
			if n := r.End.Line - r.Start.Line - 1; n > most {
				d := p.At(decl, "this %s has %d lines; more than %d are hard to follow", what, n, most)
				d.Range = syntax.AnchorRange(decl)
				p.Report(d)
			}
		}
	}
	return nil, nil
}
