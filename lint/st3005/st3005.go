// Package st3005 is the rule ST3005: array too large.
package st3005

import (
	"stapkit/diag"
	"stapkit/lint"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST3005",
	Doc: &lint.Doc{
		Title:    "array is declared larger than can be",
		Severity: diag.Warning,
		Options:  []lint.Option{{Name: "elements", Default: int64(1 << 20), Text: "the most elements that an array may have"}},
		Why: `
All elements are allocated before the first event. An array of ten million elements by name is some gigabytes of
kernel memory that cannot be swapped; the script does not start, or does and something else is killed for it.`,
		Before: `
global seen[10000000]
probe syscall.openat {
	seen[filename] = 1
}
probe end {
	foreach (f in seen)
		println(f)
}`,
		After: `
global seen%[100000]
probe syscall.openat {
	seen[filename] = 1
}
probe end {
	foreach (f in seen)
		println(f)
}`,
	},
	Run: run,
})

func run(p *lint.Pass) (any, error) {
	limit := p.Int("elements")
	for _, g := range p.Program.Globals {
		if !g.Library && g.Array && g.Max > limit && g.Decl.Size != nil {
			p.Reportf(g.Decl.Size, "array '%s' has %d elements; more than %d is too much", g.Name, g.Max, limit)
		}
	}
	return nil, nil
}
