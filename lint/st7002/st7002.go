// Package st7002 is the rule ST7002: library name that could be private.
package st7002

import (
	"strings"

	"stapkit/diag"
	"stapkit/lint"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST7002",
	Doc: &lint.Doc{
		Title:    "name of a library file could be private",
		Severity: diag.Note,
		Fix:      lint.SafeFix,
		Why: `
All files of a library share one set of names with all scripts. A helper called "_get_state" in one file and another of
that name in a second file are two overloads of one function, and each file may get the other's. The underscore says
that nobody else should use it; "private" sees to it.`,
		Limits: `Files with probes are scripts, whose names nobody else sees.`,
		Before: `
function _half(n) {
	return n / 2
}
function quarter(n) {
	return _half(_half(n))
}`,
		After: `
private function _half(n) {
	return n / 2
}
function quarter(n) {
	return _half(_half(n))
}`,
	},
	Run: run,
})

func run(p *lint.Pass) (any, error) {
	if p.HasProbes() && !p.Tapset {
		return nil, nil
	}
	for _, f := range p.Files {
		mentions := map[string]int{}
		for i := range f.Raw {
			if f.Raw[i].Kind == syntax.Name {
				mentions[f.RawText(i)]++
			}
		}
		for _, decl := range f.Decls {
			switch d := decl.(type) {
			case *syntax.FuncDecl:
				if d.Name != nil && !d.Private && candidate(d.Name.Name, mentions) {
					report(p, d, d.Name.Name, "function")
				}
			case *syntax.GlobalDecl:
				all := !d.Private
				for _, v := range d.Vars {
					all = all && v.Name != nil && candidate(v.Name.Name, mentions)
				}
				if all && len(d.Vars) > 0 {
					report(p, d, d.Vars[0].Name.Name, "global")
				}
			}
		}
	}
	return nil, nil
}

// candidate: the name says that it is for the file, and the file uses it.
func candidate(name string, mentions map[string]int) bool {
	return strings.HasPrefix(name, "_") && mentions[name] > 1
}

func report(p *lint.Pass, decl syntax.Decl, name, what string) {
	d := p.At(decl, "%s '%s' is for this file only, and could be private", what, name)
	d.Range.End = d.Range.Start
	if p.Text(decl) != "" {
		at := syntax.Range(decl).Start
		d.Fixes = []diag.Fix{{Message: "declare it private", Safe: true, Edits: []diag.Edit{{Range: diag.Range{Start: at, End: at}, NewText: "private "}}}}
	}
	p.Report(d)
}
