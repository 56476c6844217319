// Package st1008 is the rule ST1008: function that the compiler has changed or inlined.
package st1008

import (
	"strings"

	"stapkit/diag"
	"stapkit/lint"
	"stapkit/lint/points"
	"stapkit/syntax"
	"stapkit/target/sym"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST1008",
	Doc: &lint.Doc{
		Title:    "function exists only as a copy that the compiler has changed, or inlined",
		Severity: diag.Error,
		Target:   true,
		Why: `
The kernel has no function of this name, but one like "name.isra.0": a copy with other parameters, while other calls may
be inlined. The next build of the same kernel may have it back, or not: a script worked on one of two hosts with the same
release and different configurations. Probe a caller, a tracepoint, or the copy itself, with "?".`,
		Before: `
probe kernel.function("fold_it") {
	println(execname())
}`,
		After: `
probe kernel.function("fold_it") ? {
	println(execname())
}
probe timer.s(1) {
	println("tick")
}`,
	},
	Adopts: []diag.Code{"E1004"},
	Adopt: func(p *lint.Pass, d *diag.Diagnostic) bool {
		c := Clone(p, d)
		if c == "" {
			return false
		}
		name, _, _ := strings.Cut(c, ".")
		d.Message = "the compiler has changed or inlined '" + name + "': the kernel has only " + c
		return true
	},
})

// Clone is the changed copy of the function that a finding at a probe point is about;
// "" when there is none.
func Clone(p *lint.Pass, d *diag.Diagnostic) string {
	if p.Target == nil || !p.Explicit {
		return ""
	}
	symbols, err := p.Target.Symbols()
	if err != nil {
		return ""
	}
	found := ""
	for _, f := range p.Files {
		if f.Name != d.Range.Start.File {
			continue
		}
		f.Inspect(func(n syntax.Node) bool {
			pt, ok := n.(*syntax.ProbePoint)
			if !ok {
				return true
			}
			name := points.Name(pt, "function")
			if r := syntax.Range(pt); name == "" || points.First(pt) != "kernel" || d.Range.Start.Offset < r.Start.Offset || d.Range.Start.Offset >= r.End.Offset {
				return true
			}
			symbols.WithPrefix(name+".", func(s sym.Symbol) bool {
				found = s.Name
				return false
			})
			return true
		})
	}
	return found
}
