// Package st5003 is the rule ST5003: directive and type do not fit.
package st5003

import (
	"strings"

	"stapkit/diag"
	"stapkit/format"
	"stapkit/lint"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST5003",
	Doc: &lint.Doc{
		Title:    "%s with a number, or %d with a string",
		Severity: diag.Error,
		Fix:      lint.SafeFix,
		Why: `
A directive wants the type of its letter, and the script does not start. After a parameter changed from a name to a
number this is the one place that still says %s.`,
		Before: `
probe timer.s(1) {
	printf("%s\n", pid())
}`,
		After: `
probe timer.s(1) {
	printf("%d\n", pid())
}`,
	},
	Adopts: []diag.Code{"E1201", "E1202"},
	Adopt:  adopt,
})

func adopt(p *lint.Pass, d *diag.Diagnostic) bool {
	for _, f := range p.Files {
		if f.Name != d.Range.Start.File {
			continue
		}
		done := false
		f.Inspect(func(n syntax.Node) bool {
			pr, ok := n.(*syntax.PrintExpr)
			if !ok || done || pr.FormatLit == nil {
				return !done
			}
			for i, a := range pr.Args {
				if syntax.AnchorRange(a) == d.Range || syntax.Range(a) == d.Range {
					done = mismatch(p, d, pr, i)
				}
			}
			return !done
		})
		if done {
			return true
		}
	}
	return false
}

// mismatch looks at argument i of a print.
func mismatch(p *lint.Pass, d *diag.Diagnostic, pr *syntax.PrintExpr, i int) bool {
	n := 0
	for _, dir := range pr.Format.Directives {
		if dir.Conv == format.Text {
			continue
		}
		if dir.Width == format.Star {
			n++
		}
		if dir.Prec == format.Star {
			n++
		}
		if n == i {
			return report(p, d, pr, dir, pr.Args[i])
		}
		n++
	}
	return false
}

func report(p *lint.Pass, d *diag.Diagnostic, pr *syntax.PrintExpr, dir format.Directive, arg syntax.Expr) bool {
	var to string
	switch {
	case dir.Conv == format.Str:
		to = "d"
	case dir.Conv.Type() == format.Long:
		to = "s"
	default:
		return false
	}
	if _, target := arg.(*syntax.TargetVar); target && to == "d" {
		return false // a pointer to text, perhaps: another rule
	}
	typ := map[string]string{"d": "number", "s": "string"}[to]
	text := syntax.ExprString(arg)
	d.Message = "%" + string(dir.Conv.Letter()) + " with the " + typ + " " + text
	d.Help = ""
	src := p.Text(pr.FormatLit)
	// Offsets of directives are in the literal between its quotes, when it is one piece.
	if strings.Count(src, "\"") == 2 && dir.End > dir.Start && dir.End < len(src) {
		old := src[dir.Start+1 : dir.End+1]
		if strings.HasPrefix(old, "%") && strings.HasSuffix(old, string(dir.Conv.Letter())) {
			d.Fixes = p.Replace("write %"+to, true, lint.Edit{Node: pr.FormatLit, Text: src[:dir.End] + to + src[dir.End+1:]})
		}
	}
	return true
}
