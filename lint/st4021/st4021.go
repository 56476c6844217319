// Package st4021 is the rule ST4021: statement without an effect.
package st4021

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/sema"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST4021",
	Doc: &lint.Doc{
		Title:    "statement has no effect",
		Severity: diag.Warning,
		Fix:      lint.UnsafeFix,
		Why: `
A value is computed and thrown away. "count == 0" on a line of its own was meant to be "count = 0", and the counts of
each second were those since the start; "symname(addr)" alone prints nothing.`,
		Before: `
global count
probe timer.s(1) {
	println(count++)
	count == 0
}`,
		After: `
global count
probe timer.s(1) {
	println(count++)
	count = 0
}`,
	},
	Adopts: []diag.Code{"E1503", "E1513"},
	Adopt: func(_ *lint.Pass, d *diag.Diagnostic) bool {
		if d.Code == "E1503" {
			d.Message = ""
		}
		return true
	},
	Run: run,
})

func run(p *lint.Pass) (any, error) {
	for _, b := range p.Bodies() {
		b.Walk(func(n syntax.Node) bool {
			s, ok := n.(*syntax.ExprStmt)
			if !ok || !b.Own(s) || !b.Pure(s.X) || bad(&b, s.X) || len(syntax.Origin(s)) > 0 {
				return true
			}
			d := p.At(s.X, "the value of %s is thrown away", shown(s.X))
			if x, ok := s.X.(*syntax.Binary); ok && x.Op == syntax.Eq {
				if l, r := p.Text(x.X), p.Text(x.Y); l != "" && r != "" && b.Object(x.X) != nil {
					d.Help = "an assignment is written ="
					d.Fixes = p.Replace("assign", false, lint.Edit{Node: x, Text: l + " = " + r})
				}
			}
			p.Report(d)
			return true
		})
	}
	return nil, nil
}

// bad reports whether an expression was not understood.
func bad(b *lint.Body, x syntax.Expr) bool {
	switch x := x.(type) {
	case *syntax.ScriptArg, *syntax.BadExpr:
		return true
	case *syntax.Call:
		for _, f := range b.Calls[x] {
			if f.Result == sema.Unknown && f.Intrinsic == "" {
				return true // a function that does nothing is a finding of its own
			}
		}
	}
	found := false
	syntax.Inspect(x, func(n syntax.Node) bool {
		switch n.(type) {
		case *syntax.ScriptArg, *syntax.BadExpr:
			found = true
		}
		return !found
	})
	return found
}

func shown(x syntax.Expr) string {
	s := syntax.ExprString(x)
	if len(s) > 40 {
		return "this expression"
	}
	return s
}
