// Package st5005 is the rule ST5005: newline where one is added.
package st5005

import (
	"strings"

	"stapkit/diag"
	"stapkit/lint"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST5005",
	Doc: &lint.Doc{
		Title:    "newline at the end of a text that gets one",
		Severity: diag.Warning,
		Fix:      lint.SafeFix,
		Why: `
log(), warn(), error() and the println family end the line themselves. A second newline makes empty lines, on which the
program that reads the output counted records.`,
		Before: `
probe begin {
	log("ready\n")
	exit()
}`,
		After: `
probe begin {
	log("ready")
	exit()
}`,
	},
	Run: run,
})

func run(p *lint.Pass) (any, error) {
	for _, b := range p.Bodies() {
		check := func(name string, x syntax.Expr) {
			lit := last(x)
			if lit == nil || !strings.HasSuffix(lit.Value, "\n") || strings.TrimRight(lit.Value, "\n") == "" {
				return
			}
			d := p.At(lit, "%s ends the line itself; this newline makes an empty one", name)
			if src := p.Text(lit); strings.HasSuffix(src, `\n"`) && !strings.HasSuffix(src, `\\n"`) {
				d.Fixes = p.Replace("remove the newline", true, lint.Edit{Node: lit, Text: strings.TrimSuffix(src, `\n"`) + `"`})
			}
			p.Report(d)
		}
		b.Walk(func(n syntax.Node) bool {
			switch n := n.(type) {
			case *syntax.Call:
				switch name := b.Library(n); name {
				case "log", "warn", "error":
					if len(n.Args) == 1 {
						check(name+"()", n.Args[0])
					}
				}
			case *syntax.PrintExpr:
				if n.Newline && !n.String && len(n.Args) > 0 {
					check(n.Name+"()", n.Args[len(n.Args)-1])
				}
			}
			return true
		})
	}
	return nil, nil
}

// last is the literal that a text ends with.
func last(x syntax.Expr) *syntax.StringLit {
	switch x := x.(type) {
	case *syntax.StringLit:
		return x
	case *syntax.Binary:
		if x.Op == syntax.Dot {
			return last(x.Y)
		}
	case *syntax.PrintExpr:
		if x.String && x.FormatLit != nil {
			return x.FormatLit
		}
	}
	return nil
}
