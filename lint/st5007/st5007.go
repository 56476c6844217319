// Package st5007 is the rule ST5007: directive in text that is no format.
package st5007

import (
	"regexp"

	"stapkit/diag"
	"stapkit/lint"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST5007",
	Doc: &lint.Doc{
		Title:    "directive in text that is no format",
		Severity: diag.Warning,
		Why: `
print and println show their arguments one after the other: println("pid %d", pid()) prints "pid %d1234", and "100%%"
has two percent signs. Found in the log of a script when it was needed.`,
		Before: `
probe timer.s(1) {
	println("pid %d", pid())
}`,
		After: `
probe timer.s(1) {
	printf("pid %d\n", pid())
}`,
	},
	Run: run,
})

var directive = regexp.MustCompile(`%[-+0 #]?(\d+|\*)?(\.\d+)?[diuxXopscbmM]($|[^A-Za-z])|%%`)

func run(p *lint.Pass) (any, error) {
	for _, b := range p.Bodies() {
		b.Walk(func(n syntax.Node) bool {
			pr, ok := n.(*syntax.PrintExpr)
			if !ok || pr.FormatLit != nil || pr.Char {
				return true
			}
			for i, a := range pr.Args {
				lit, ok := a.(*syntax.StringLit)
				if !ok {
					continue
				}
				found := directive.FindString(lit.Value)
				if found == "" || found != "%%" && i == len(pr.Args)-1 {
					continue // the last argument: nothing follows that it could be for
				}
				d := p.At(lit, "%s is no directive here: %s takes no format", directive.FindString(lit.Value), pr.Name)
				d.Help = "printf does"
				p.Report(d)
			}
			return true
		})
	}
	return nil, nil
}
