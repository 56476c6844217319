// Package st3011 is the rule ST3011: "limit" without an order.
package st3011

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST3011",
	Doc: &lint.Doc{
		Title:    "foreach takes the first of an array without an order",
		Severity: diag.Warning,
		Fix:      lint.UnsafeFix,
		Why: `
"limit 10" of an unsorted array is any ten elements. A list of "the ten busiest processes" had been ten that came
first, for years; the "-" that sorts by value, largest first, was missing.`,
		Limits: `"limit 1" is the way to take any element, and is left alone.`,
		Before: `
global reads
probe syscall.read {
	reads[execname()]++
}
probe timer.s(5) {
	foreach (name in reads limit 10)
		println(name, " ", reads[name])
	delete reads
}`,
		After: `
global reads
probe syscall.read {
	reads[execname()]++
}
probe timer.s(5) {
	foreach (name in reads- limit 10)
		println(name, " ", reads[name])
	delete reads
}`,
	},
	Run: run,
})

func run(p *lint.Pass) (any, error) {
	for _, b := range p.Bodies() {
		b.Walk(func(n syntax.Node) bool {
			f, ok := n.(*syntax.ForeachStmt)
			if !ok || f.Limit == nil || f.SortBy != syntax.SortNone || b.Global(f.Array) == nil {
				return true
			}
			if v, ok := b.Int(f.Limit); ok && v <= 1 {
				return true
			}
			if _, hist := f.Array.(*syntax.HistOp); hist {
				return true
			}
			d := p.At(f.Array, "'limit' takes any elements of '%s', since the loop is not sorted", syntax.ExprString(f.Array))
			if text := p.Text(f.Array); text != "" && f.Slice == nil {
				d.Fixes = p.Replace("sort by value, largest first", false, lint.Edit{Node: f.Array, Text: text + "-"})
			}
			p.Report(d)
			return true
		})
	}
	return nil, nil
}
