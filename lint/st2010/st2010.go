// Package st2010 is the rule ST2010: unsigned value compared with less than zero.
package st2010

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/sema"
	"stapkit/syntax"
	"stapkit/target/ctype"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST2010",
	Doc: &lint.Doc{
		Title:    "unsigned value is compared as if it could be negative",
		Severity: diag.Warning,
		Target:   true,
		Why: `
The C type is unsigned and shorter than a number of the script, so the value is never negative: -1 arrives as 4294967295. A
script that counted failures by "$return < 0" counted none for the functions that return "unsigned int".`,
		Before: `
probe kernel.function("poll_mask").return {
	if ($return < 0)
		println("failed")
}`,
		After: `
probe kernel.function("poll_mask").return {
	if ($return == 0xffffffff)
		println("failed")
}`,
	},
	Run: run,
})

func run(p *lint.Pass) (any, error) {
	for _, b := range p.Bodies() {
		b.Walk(func(n syntax.Node) bool {
			x, ok := n.(*syntax.Binary)
			if !ok {
				return true
			}
			acc := b.Targets[x.X]
			v, known := b.Int(x.Y)
			if acc == nil || !known || acc.Result != sema.ResultInt || acc.Signed || acc.Size >= 8 || acc.Type == nil || !ctype.IsScalar(acc.Type) || ctype.IsSigned(acc.Type) {
				return true
			}
			switch {
			case x.Op == syntax.Lt && v <= 0, x.Op == syntax.Le && v < 0, x.Op == syntax.Eq && v < 0:
				p.Reportf(x, "%s is an %s, which is never negative: the comparison is always false", syntax.ExprString(x.X), ctype.Name(acc.Type))
			case x.Op == syntax.Ge && v <= 0, x.Op == syntax.Gt && v < 0, x.Op == syntax.Ne && v < 0:
				p.Reportf(x, "%s is an %s, which is never negative: the comparison is always true", syntax.ExprString(x.X), ctype.Name(acc.Type))
			}
			return true
		})
	}
	return nil, nil
}
