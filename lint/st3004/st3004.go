// Package st3004 is the rule ST3004: array without a size.
package st3004

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/lint/mapuse"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST3004",
	Doc: &lint.Doc{
		Title:      "array that events fill has no size",
		Severity:   diag.Note,
		NonDefault: true,
		Why: `
Without a size an array has room for 2,048 elements, a number that was right for no script in particular: a host with
3,000 threads ended one by "Array overflow", and for 12 CPUs it is memory that is never used. For those who want every
array to be thought about.`,
		Before: `
global counts
probe syscall.read {
	counts[tid()]++
}`,
		After: `
global counts[20000]
probe syscall.read {
	counts[tid()]++
}`,
	},
	Requires: []*lint.Analyzer{mapuse.Maps},
	Run:      run,
})

func run(p *lint.Pass) (any, error) {
	for _, m := range p.ResultOf[mapuse.Maps].([]*mapuse.Map) {
		g := m.Global
		if g.Decl.Size != nil || g.Wrap {
			continue
		}
		for _, w := range m.Writes {
			if w.Body.Kernel() && !constant(w.Body, w.Keys) {
				p.Reportf(g.Decl, "array '%s' has no size: it holds 2048 elements", g.Name)
				break
			}
		}
	}
	return nil, nil
}

func constant(b *lint.Body, keys []syntax.Expr) bool {
	for _, k := range keys {
		_, n := b.Int(k)
		_, s := b.Str(k)
		if !n && !s {
			return false
		}
	}
	return true
}
