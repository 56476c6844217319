// Package st4010 is the rule ST4010: update of a global as a read and a write.
package st4010

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/sema"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST4010",
	Doc: &lint.Doc{
		Title:    "global is read and written where one update would do",
		Severity: diag.Note,
		Fix:      lint.SafeFix,
		Why: `
"n = n + 1" reads and then writes, so the handler has to hold a lock in between, and a handler that cannot get the
lock is skipped: under load the counter is short of what happened. "n += 1" is one update that needs no lock.`,
		Before: `
global n
probe timer.ms(1) {
	n = n + 1
}`,
		After: `
global n
probe timer.ms(1) {
	n += 1
}`,
	},
	Run: run,
})

var updates = map[syntax.Kind]string{
	syntax.Add: "+=", syntax.Sub: "-=", syntax.Or: "|=", syntax.And: "&=", syntax.Xor: "^=",
}

func run(p *lint.Pass) (any, error) {
	for _, b := range p.Bodies() {
		b.Walk(func(n syntax.Node) bool {
			x, ok := n.(*syntax.AssignExpr)
			if !ok || x.Op != syntax.Assign {
				return true
			}
			g := b.Global(x.L)
			r, ok := x.R.(*syntax.Binary)
			if !ok || g == nil || g.Type != sema.Long || updates[r.Op] == "" || !lint.Same(x.L, r.X) || !b.Pure(x.L) {
				return true
			}
			d := p.At(x, "%s is read and written; as an update it needs no lock", syntax.ExprString(x.L))
			if left, right := p.Text(x.L), p.Text(r.Y); left != "" && right != "" {
				d.Fixes = p.Replace("write "+updates[r.Op], true, lint.Edit{Node: x, Text: left + " " + updates[r.Op] + " " + right})
			}
			p.Report(d)
			return true
		})
	}
	return nil, nil
}
