// Package st5006 is the rule ST5006: sprintf that is only printed.
package st5006

import (
	"strings"

	"stapkit/diag"
	"stapkit/lint"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST5006",
	Doc: &lint.Doc{
		Title:    "text is formatted only to be printed",
		Severity: diag.Note,
		Fix:      lint.SafeFix,
		Why: `
The result of sprintf is a string, and is cut at MAXSTRINGLEN; what printf prints is not. A line with a long path lost
the columns behind it, the newline among them.`,
		Before: `
probe syscall.openat {
	print(sprintf("%s %s\n", execname(), filename))
}`,
		After: `
probe syscall.openat {
	printf("%s %s\n", execname(), filename)
}`,
	},
	Run: run,
})

func run(p *lint.Pass) (any, error) {
	for _, b := range p.Bodies() {
		b.Walk(func(n syntax.Node) bool {
			out, ok := n.(*syntax.PrintExpr)
			if !ok || out.Name != "print" || len(out.Args) != 1 {
				return true
			}
			in, ok := out.Args[0].(*syntax.PrintExpr)
			if !ok || in.Name != "sprintf" {
				return true
			}
			d := p.At(out, "sprintf cuts long text, and print of it is printf")
			if text := p.Text(in); strings.HasPrefix(text, "sprintf") {
				d.Fixes = p.Replace("write printf", true, lint.Edit{Node: out, Text: strings.TrimPrefix(text, "s")})
			}
			p.Report(d)
			return true
		})
	}
	return nil, nil
}
