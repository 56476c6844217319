// Package st2008 is the rule ST2008: pointer printed as a decimal number.
package st2008

import (
	"stapkit/diag"
	"stapkit/format"
	"stapkit/lint"
	"stapkit/syntax"
	"stapkit/target/ctype"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST2008",
	Doc: &lint.Doc{
		Title:    "pointer is printed as a decimal number",
		Severity: diag.Note,
		Target:   true,
		Fix:      lint.UnsafeFix,
		Why: `
-109951162777600 is 0xffff9c0000000000, and nobody sees it. Addresses in decimal cannot be found in kallsyms, in a dump, or
in the output of any other tool.`,
		Before: `
probe kernel.function("vfs_read") {
	printf("%d\n", $file)
}`,
		After: `
probe kernel.function("vfs_read") {
	printf("%p\n", $file)
}`,
	},
	Run: run,
})

func run(p *lint.Pass) (any, error) {
	for _, b := range p.Bodies() {
		b.Walk(func(n syntax.Node) bool {
			pr, ok := n.(*syntax.PrintExpr)
			if !ok || pr.FormatLit == nil {
				return true
			}
			i := 0
			for _, dir := range pr.Format.Directives {
				if dir.Conv == format.Text {
					continue
				}
				if dir.Width == format.Star {
					i++
				}
				if dir.Prec == format.Star {
					i++
				}
				if i >= len(pr.Args) {
					break
				}
				arg := pr.Args[i]
				i++
				acc := b.Targets[arg]
				if dir.Conv != format.Signed && dir.Conv != format.Unsigned || acc == nil || acc.Type == nil {
					continue
				}
				if _, ptr := ctype.AsPointer(acc.Type); !ptr {
					continue
				}
				d := p.At(arg, "%s is an address, and %%%c shows it in decimal", syntax.ExprString(arg), dir.Conv.Letter())
				if src := p.Text(pr.FormatLit); len(src) > dir.End && src[dir.End] == dir.Conv.Letter() {
					d.Fixes = p.Replace("write %p", false, lint.Edit{Node: pr.FormatLit, Text: src[:dir.End] + "p" + src[dir.End+1:]})
				}
				p.Report(d)
			}
			return true
		})
	}
	return nil, nil
}
