// Package st4002 is the rule ST4002: local variable that is assigned but never read.
package st4002

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/sema"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST4002",
	Doc: &lint.Doc{
		Title:    "local variable is assigned but never read",
		Severity: diag.Warning,
		Fix:      lint.UnsafeFix,
		Why: `
The value goes nowhere. Either the line is left over, or the name is misspelt in one of the two places: a script that
stores the start time in "begin_us" and subtracts "start_us" reports the time since boot as the latency.`,
		Limits: `Variables that an alias sets are for the probes that use it, and not looked at.`,
		Before: `
probe timer.s(1) {
	now = gettimeofday_s()
	println("tick")
}`,
		After: `
probe timer.s(1) {
	now = gettimeofday_s()
	println("tick at ", now)
}`,
	},
	Adopts: []diag.Code{"E1502"},
	// The finding of elaboration is one per assignment, and missing where something is
	// not known of the target.
	Adopt: func(_ *lint.Pass, d *diag.Diagnostic) bool { d.Message = ""; return true },
	Run:   run,
})

func run(p *lint.Pass) (any, error) {
	if p.Broken() {
		return nil, nil
	}
	for _, b := range p.Bodies() {
		read := map[sema.Object]bool{}
		assigned := map[sema.Object][]*syntax.AssignExpr{}
		skip := map[*syntax.Ident]bool{}
		b.Walk(func(n syntax.Node) bool {
			switch n := n.(type) {
			case *syntax.ExprStmt:
				switch x := n.X.(type) {
				case *syntax.AssignExpr: // a value that nothing uses
					if id, ok := x.L.(*syntax.Ident); ok {
						skip[id] = true
						assigned[b.Idents[id]] = append(assigned[b.Idents[id]], x)
					}
				case *syntax.IncDec:
					if id, ok := x.X.(*syntax.Ident); ok {
						skip[id] = true
					}
				}
			case *syntax.AssignExpr:
				if id, ok := n.L.(*syntax.Ident); ok && n.Op == syntax.Assign && !skip[id] {
					skip[id] = true // a = b = 1: a reads the value, not b
					assigned[b.Idents[id]] = append(assigned[b.Idents[id]], n)
				}
			case *syntax.ForeachStmt:
				for _, id := range n.Keys {
					skip[id] = true
					read[b.Idents[id]] = true // needed for the shape of the loop
				}
				if n.Value != nil {
					skip[n.Value] = true
				}
			case *syntax.TryStmt:
				if n.Var != nil {
					read[b.Idents[n.Var]] = true
				}
			case *syntax.Ident:
				if !skip[n] {
					read[b.Idents[n]] = true
				}
			}
			return true
		})
		for _, l := range b.Locals {
			list := assigned[l]
			if l.Param || read[l] || len(list) == 0 || !b.Own(list[0]) {
				continue
			}
			d := p.At(list[0].L, "'%s' is assigned but never read", l.Name)
			d.Tags = []diag.Tag{diag.Unnecessary}
			if s := p.StmtAt(d.Range.Start); len(list) == 1 && s != nil && b.Pure(list[0].R) {
				if x, ok := s.(*syntax.ExprStmt); ok && x.X == syntax.Expr(list[0]) {
					d.Fixes = p.Remove("remove the assignment", false, s)
				}
			}
			p.Report(d)
		}
	}
	return nil, nil
}
