// Package st4026 is the rule ST4026: unused parameter.
package st4026

import (
	"strings"

	"stapkit/diag"
	"stapkit/lint"
	"stapkit/sema"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST4026",
	Doc: &lint.Doc{
		Title:    "parameter is never read",
		Severity: diag.Note,
		Why: `
What callers pass has no influence. A function that took the device as a parameter and used the global of nearly the
same name gave all devices the figures of the last one.`,
		Limits: `Parameters whose name begins with "_" are meant to be unused, and overloads need their number.`,
		Before: `
global device = 1
function total(dev) {
	return device * 10
}
probe begin {
	println(total(3))
	exit()
}`,
		After: `
function total(dev) {
	return dev * 10
}
probe begin {
	println(total(3))
	exit()
}`,
	},
	Run: run,
})

func run(p *lint.Pass) (any, error) {
	if p.Broken() {
		return nil, nil
	}
	overloads := map[string]int{}
	for _, f := range p.Program.Funcs {
		overloads[f.Name]++
	}
	for _, b := range p.Bodies() {
		if b.Func == nil || overloads[b.Func.Name] > 1 || len(b.Func.Decl.Body.Stmts) == 0 {
			continue
		}
		read := map[sema.Object]bool{}
		b.Walk(func(n syntax.Node) bool {
			switch n := n.(type) {
			case *syntax.Ident:
				read[b.Idents[n]] = true
			case *syntax.EmbeddedExpr:
				for _, l := range b.Func.Params {
					read[l] = true
				}
			}
			return true
		})
		for _, l := range b.Func.Params {
			if !read[l] && !strings.HasPrefix(l.Name, "_") && l.Decl != nil {
				d := p.At(l.Decl, "parameter '%s' of '%s' is never read", l.Name, b.Func.Name)
				d.Tags = []diag.Tag{diag.Unnecessary}
				p.Report(d)
			}
		}
	}
	return nil, nil
}
