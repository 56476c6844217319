// Package st2003 is the rule ST2003: pointer printed as a string.
package st2003

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/sema"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST2003",
	Doc: &lint.Doc{
		Title:    "pointer is printed as a string",
		Severity: diag.Error,
		Fix:      lint.UnsafeFix,
		Why: `
A target variable of type "char *" is a number, the address; C's printf would read the text there, SystemTap's refuses.
kernel_string() reads a text of the kernel, user_string() one of a program, and the other one gives an error or nothing.`,
		Before: `
probe kernel.function("do_filp_open") {
	printf("%s\n", $pathname->name)
}`,
		After: `
probe kernel.function("do_filp_open") {
	printf("%s\n", kernel_string($pathname->name))
}`,
	},
	Adopts: []diag.Code{"E1201", "E1202"},
	Adopt:  adopt,
})

func adopt(p *lint.Pass, d *diag.Diagnostic) bool {
	for _, b := range p.Bodies() {
		done := false
		b.Walk(func(n syntax.Node) bool {
			pr, ok := n.(*syntax.PrintExpr)
			if !ok || pr.FormatLit == nil {
				return !done
			}
			for _, a := range pr.Args {
				switch a.(type) {
				case *syntax.TargetVar, *syntax.Autocast, *syntax.AtOp:
				default:
					continue
				}
				if syntax.AnchorRange(a) != d.Range && syntax.Range(a) != d.Range {
					continue
				}
				f := "kernel_string"
				if acc := b.Targets[a]; acc != nil && acc.Space == sema.UserSpace {
					f = "user_string"
				}
				text := syntax.ExprString(a)
				d.Message = text + " is an address, and %s wants a string"
				d.Help = f + "() reads the text there"
				d.Related = nil
				if src := p.Text(a); src != "" {
					d.Fixes = p.Replace("write "+f+"("+src+")", false, lint.Edit{Node: a, Text: f + "(" + src + ")"})
				}
				done = true
			}
			return !done
		})
		if done {
			return true
		}
	}
	return false
}
