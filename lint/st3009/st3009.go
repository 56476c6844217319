// Package st3009 is the rule ST3009: unused global.
package st3009

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST3009",
	Doc: &lint.Doc{
		Title:    "nothing uses the global variable",
		Severity: diag.Warning,
		Fix:      lint.UnsafeFix,
		Why: `
The name stands in its declaration and nowhere else. Either it is left over, or the code uses another spelling, which
is then a local variable: every event starts a new count.`,
		Limits: `Names in a branch of the preprocessor that was not taken count as used, and so do globals of library files.`,
		Before: `
global reads, counter
probe syscall.read {
	reads++
}`,
		After: `
global reads
probe syscall.read {
	reads++
}`,
	},
	Adopts: []diag.Code{"E1510"},
	Adopt:  func(_ *lint.Pass, d *diag.Diagnostic) bool { d.Message = ""; return true },
	Run:    run,
})

func run(p *lint.Pass) (any, error) {
	if p.Tapset || !p.HasProbes() {
		return nil, nil
	}
	mentions := map[string]int{}
	for _, f := range p.Files {
		for i := range f.Raw {
			if f.Raw[i].Kind == syntax.Name {
				mentions[f.RawText(i)]++
			}
		}
	}
	for _, f := range p.Files {
		for _, decl := range f.Decls {
			g, ok := decl.(*syntax.GlobalDecl)
			if !ok {
				continue
			}
			for i, v := range g.Vars {
				if v.Name == nil || mentions[v.Name.Name] != 1 || len(syntax.Origin(v)) > 0 {
					continue
				}
				d := p.At(v.Name, "unused global variable '%s'", v.Name.Name)
				d.Tags = []diag.Tag{diag.Unnecessary}
				d.Fixes = remove(p, g, i)
				p.Report(d)
			}
		}
	}
	return nil, nil
}

// remove takes one variable out of a declaration.
func remove(p *lint.Pass, g *syntax.GlobalDecl, i int) []diag.Fix {
	const message = "remove the variable"
	if len(g.Vars) == 1 {
		return p.Remove(message, false, g)
	}
	r := syntax.Range(g.Vars[i])
	if i > 0 {
		r.Start = syntax.Range(g.Vars[i-1]).End
	} else {
		r.End = syntax.Range(g.Vars[1]).Start
	}
	if p.Text(g) == "" {
		return nil
	}
	return []diag.Fix{{Message: message, Edits: []diag.Edit{{Range: r}}}}
}
