// Package st7006 is the rule ST7006: obsolete function.
package st7006

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST7006",
	Doc: &lint.Doc{
		Title:    "function is obsolete",
		Severity: diag.Warning,
		Fix:      lint.UnsafeFix,
		Why: `
A newer function does the same, better or on more kernels. cpuid() was removed from SystemTap in version 1.5: scripts
that had it stopped working with an update of the distribution.`,
		Before: `
probe timer.profile {
	println(probefunc())
}`,
		After: `
probe timer.profile {
	println(ppfunc())
}`,
	},
	Run: run,
})

// A replacement is what to write instead; call tells that the arguments stay.
type replacement struct {
	name string
	call bool
	why  string
}

var obsolete = map[string]replacement{
	"cpuid":          {"cpu", true, "it was removed in SystemTap 1.5"},
	"print_stack":    {"print_syms", true, "it knows fewer symbols"},
	"print_ustack":   {"print_usyms", true, "it knows fewer symbols"},
	"sprint_stack":   {"sprint_syms", true, "its text is cut"},
	"sprint_ustack":  {"sprint_usyms", true, "its text is cut"},
	"task_backtrace": {"sprint_backtrace()", false, "it was deprecated in SystemTap 1.6"},
	"probefunc":      {"ppfunc", true, "ppfunc() tells the function of every kind of probe"},
}

func run(p *lint.Pass) (any, error) {
	own := map[string]bool{}
	for _, f := range p.Files {
		for _, d := range f.Decls {
			if fn, ok := d.(*syntax.FuncDecl); ok && fn.Name != nil {
				own[fn.Name.Name] = true
			}
		}
	}
	for _, f := range p.Files {
		f.Inspect(func(n syntax.Node) bool {
			c, ok := n.(*syntax.Call)
			if !ok || c.Name == nil || own[c.Name.Name] {
				return true
			}
			r, ok := obsolete[c.Name.Name]
			if !ok {
				return true
			}
			d := p.At(c.Name, "%s() is obsolete: %s", c.Name.Name, r.why)
			d.Tags = []diag.Tag{diag.Deprecated}
			d.Help = "use " + r.name
			if r.call {
				d.Help += "()"
				d.Fixes = p.Replace("write "+r.name, false, lint.Edit{Node: c.Name, Text: r.name})
			}
			p.Report(d)
			return true
		})
	}
	return nil, nil
}
