// Package st2009 is the rule ST2009: fault that ends the script.
package st2009

import (
	"strings"

	"stapkit/diag"
	"stapkit/lint"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST2009",
	Doc: &lint.Doc{
		Title:    "fault while a text is read ends the script",
		Severity: diag.Note,
		Fix:      lint.UnsafeFix,
		Why: `
The page of a program's text may not be in memory, or the pointer be rubbish: user_string() is then an error, and the first
error ends the script ("user string copy fault -14"). A fuzzer that passed bad pointers to open() ended the audit of the
whole machine. With a second argument, or as user_string_quoted(), the fault is a value.`,
		Limits: `Inside of "try" the script has thought of it.`,
		Before: `
probe syscall.openat {
	println(user_string(filename_uaddr))
}`,
		After: `
probe syscall.openat {
	println(user_string(filename_uaddr, "?"))
}`,
	},
	Run: run,
})

func run(p *lint.Pass) (any, error) {
	for _, b := range p.Bodies() {
		guarded := map[syntax.Node]bool{}
		b.Walk(func(n syntax.Node) bool {
			switch n := n.(type) {
			case *syntax.TryStmt:
				if n.Body != nil {
					syntax.Inspect(n.Body, func(in syntax.Node) bool {
						if in != nil {
							guarded[in] = true
						}
						return true
					})
				}
			case *syntax.Call:
				name := b.Library(n)
				if guarded[n] || !(name == "user_string" && len(n.Args) == 1 || name == "user_string_n" && len(n.Args) == 2) {
					return true
				}
				d := p.At(n, "a fault in %s() ends the script", name)
				d.Help = "give what to return instead, as in " + name + "(…, \"?\")"
				if text := p.Text(n); strings.HasSuffix(text, ")") {
					d.Fixes = p.Replace("return \"?\" on a fault", false, lint.Edit{Node: n, Text: strings.TrimSuffix(text, ")") + `, "?")`})
				}
				p.Report(d)
			}
			return true
		})
	}
	return nil, nil
}
