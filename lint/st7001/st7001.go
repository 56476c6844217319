// Package st7001 is the rule ST7001: name that hides or is hidden.
package st7001

import (
	"strings"

	"stapkit/diag"
	"stapkit/lint"
	"stapkit/sema"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST7001",
	Doc: &lint.Doc{
		Title:    "name is that of something else as well",
		Severity: diag.Warning,
		Why: `
A global of the script and a variable of a library alias are one when they have one name: a counter called "count"
became the number of bytes of each read, since the alias syscall.read sets "count". A parameter hides the global of its
name, and a function of the script that of the library, for all other library functions, too.`,
		Before: `
global count
probe syscall.read {
	count++
}`,
		After: `
global reads
probe syscall.read {
	reads++
}`,
	},
	Adopts: []diag.Code{"E1506"},
	Run:    run,
})

func run(p *lint.Pass) (any, error) {
	globals := map[string]*sema.Global{}
	for _, g := range p.Program.Globals {
		if !g.Library {
			globals[g.Name] = g
		}
	}
	library := sema.Embedded()
	seen := map[string]bool{}
	for _, f := range p.Files {
		for _, decl := range f.Decls {
			fn, ok := decl.(*syntax.FuncDecl)
			if !ok || fn.Name == nil {
				continue
			}
			for _, par := range fn.Params {
				if par.Name == nil {
					continue
				}
				if g := globals[par.Name.Name]; g != nil {
					d := p.At(par.Name, "parameter '%s' hides the global of that name", par.Name.Name)
					d.Related = append(d.Related, diag.Related{Range: syntax.Range(g.Decl.Name), Message: "the global"})
					p.Report(d)
				}
			}
			if name := fn.Name.Name; !p.Tapset && !fn.Private && !seen[name] && !strings.HasSuffix(name, "_filter_key") && len(library.FuncFiles(name)) > 0 {
				seen[name] = true
				p.Reportf(fn.Name, "function '%s' hides the one of the library", name)
			}
		}
	}
	return nil, nil
}
