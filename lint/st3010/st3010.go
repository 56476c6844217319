// Package st3010 is the rule ST3010: key that is cut.
package st3010

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/lint/mapuse"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST3010",
	Doc: &lint.Doc{
		Title:    "key is text that is often longer than a string can be",
		Severity: diag.Warning,
		Why: `
A string is at most MAXSTRINGLEN - 1 characters, 511 by default; of a longer key the end is cut, and keys that differ
only there become one. Command lines of Java programs all begin with the same 600 characters, and were one line of
the report.`,
		Before: `
global runs
probe syscall.execve {
	runs[cmdline_str()]++
}
probe timer.s(5) {
	delete runs
}`,
		After: `
global runs
probe syscall.execve {
	runs[execname(), pid()]++
}
probe timer.s(5) {
	delete runs
}`,
	},
	Requires: []*lint.Analyzer{mapuse.Maps},
	Run:      run,
})

var long = map[string]string{
	"cmdline_str": "command lines", "env_var": "values of environment variables", "sprint_stack": "stacks", "sprint_ustack": "stacks",
	"fullpath_struct_path": "paths", "fullpath_struct_file": "paths", "d_path": "paths",
}

func run(p *lint.Pass) (any, error) {
	for _, m := range p.ResultOf[mapuse.Maps].([]*mapuse.Map) {
		for _, w := range m.Writes {
			for _, k := range w.Keys {
				x := mapuse.Source(w.Body, k)
				what := long[w.Body.Library(x)]
				if t, ok := x.(*syntax.TargetVar); ok {
					switch {
					case t.Pretty != syntax.NoPretty:
						what = "printed structures"
					case t.Name == "$$vars" || t.Name == "$$parms" || t.Name == "$$locals":
						what = "lists of variables"
					}
				}
				if what != "" && p.User(w.Node) {
					p.Reportf(k, "a key of '%s' is %s, which are often longer than a string can be, and are cut", m.Global.Name, what)
				}
			}
		}
	}
	return nil, nil
}
