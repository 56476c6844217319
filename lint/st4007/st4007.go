// Package st4007 is the rule ST4007: string that will be cut.
package st4007

import (
	"stapkit/diag"
	"stapkit/format"
	"stapkit/lint"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST4007",
	Doc: &lint.Doc{
		Title:    "string is longer than a string can be, and will be cut",
		Severity: diag.Warning,
		Why: `
A value is at most MAXSTRINGLEN - 1 characters, 511 unless -D says otherwise; what is longer loses its end without a
word. A line of a report with two columns of 300 characters, put together with sprintf, lacked the end of the second.`,
		Limits: `
Counted is what is certain: literals, and directives with a width. Text that is only printed is not a value.`,
		Options: []lint.Option{{Name: "maxstringlen", Default: int64(512), Text: "MAXSTRINGLEN, as -D sets it"}},
		Before: `
global line
probe begin {
	line = sprintf("%-300s %-300s", "file", "arguments")
	println(line)
	exit()
}`,
		After: `
probe begin {
	printf("%-300s %-300s\n", "file", "arguments")
	exit()
}`,
	},
	Run: run,
})

func run(p *lint.Pass) (any, error) {
	limit := int(p.Int("maxstringlen")) - 1
	for _, b := range p.Bodies() {
		check := func(x syntax.Expr) {
			if n := least(&b, x); n > limit {
				p.Reportf(x, "the string has %d characters or more, and is cut to %d", n, limit)
			}
		}
		b.Walk(func(n syntax.Node) bool {
			switch n := n.(type) {
			case *syntax.AssignExpr:
				check(n.R)
			case *syntax.ReturnStmt:
				if n.X != nil {
					check(n.X)
				}
			case *syntax.Call:
				switch b.Library(n) {
				case "log", "warn", "error":
				default:
					for _, a := range n.Args {
						check(a)
					}
				}
			case *syntax.Index:
				for _, k := range n.Keys {
					check(k)
				}
			case *syntax.PrintExpr:
				for _, a := range n.Args {
					if _, literal := a.(*syntax.StringLit); !literal {
						check(a)
					}
				}
			}
			return true
		})
	}
	return nil, nil
}

// least is the number of characters that a string has at least.
func least(b *lint.Body, x syntax.Expr) int {
	switch x := x.(type) {
	case *syntax.StringLit:
		return len(x.Value)
	case *syntax.Binary:
		if x.Op == syntax.Dot {
			return least(b, x.X) + least(b, x.Y)
		}
	case *syntax.Ternary:
		return min(least(b, x.Then), least(b, x.Else))
	case *syntax.PrintExpr:
		if !x.String || x.FormatLit == nil {
			return 0
		}
		n := 0
		for _, d := range x.Format.Directives {
			if d.Conv == format.Text {
				n += len(d.Text)
			} else {
				n += max(d.Width, 0)
			}
		}
		return n
	}
	return 0
}
