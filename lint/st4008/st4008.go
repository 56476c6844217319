// Package st4008 is the rule ST4008: shift out of range.
package st4008

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST4008",
	Doc: &lint.Doc{
		Title:    "shift by a number of bits that a number does not have",
		Severity: diag.Warning,
		Why: `
Numbers have 64 bits. A shift by 64 or more, or by less than 0, gives what the machine happens to do: "1 << 64" is 1
on x86 and 0 elsewhere, so a mask that was meant to be empty let one CPU through.`,
		Before: `
probe begin {
	all = (1 << 64) - 1
	println(all)
	exit()
}`,
		After: `
probe begin {
	all = -1
	println(all)
	exit()
}`,
	},
	Run: run,
})

func run(p *lint.Pass) (any, error) {
	for _, b := range p.Bodies() {
		b.Walk(func(n syntax.Node) bool {
			var by syntax.Expr
			switch n := n.(type) {
			case *syntax.Binary:
				switch n.Op {
				case syntax.Shl, syntax.Shr:
					by = n.Y
				}
			case *syntax.AssignExpr:
				switch n.Op {
				case syntax.ShlAssign, syntax.ShrAssign:
					by = n.R
				}
			}
			if by == nil {
				return true
			}
			if v, ok := b.Int(by); ok && (v < 0 || v > 63) {
				p.Reportf(by, "shift by %d bits: numbers have 64, so 0 to 63 can be", v)
			}
			return true
		})
	}
	return nil, nil
}
