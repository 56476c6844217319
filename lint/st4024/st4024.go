// Package st4024 is the rule ST4024: probe without an effect.
package st4024

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/sema"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST4024",
	Doc: &lint.Doc{
		Title:    "probe has no effect",
		Severity: diag.Warning,
		Why: `
The handler prints nothing and changes no global: nobody can tell that it ran, and what was to be counted is not. Mostly the
counter was not declared global and is a local variable of the handler.`,
		Before: `
probe timer.ms(2) {
	hits++
}
probe timer.s(1) {
	println("tick")
}`,
		After: `
global hits
probe timer.ms(2) {
	hits++
}
probe timer.s(1) {
	println("tick")
}`,
	},
	Adopts: []diag.Code{"E1504"},
	// Elaboration is careful with what other probes may see of an alias, and with
	// updates; this rule is not.
	Adopt: func(_ *lint.Pass, d *diag.Diagnostic) bool { d.Message = ""; return true },
	Run:   run,
})

func run(p *lint.Pass) (any, error) {
	if p.Broken() {
		return nil, nil
	}
	works := map[*syntax.ProbeDecl]bool{}
	live := map[*syntax.ProbeDecl]bool{}
	for _, b := range p.Bodies() {
		for _, pr := range b.Probes {
			live[pr.Decl] = true
			works[pr.Decl] = works[pr.Decl] || effect(&b)
		}
	}
	for _, d := range p.Lost() {
		works[d] = true // nobody knows
	}
	for _, f := range p.Files {
		for _, decl := range f.Decls {
			d, ok := decl.(*syntax.ProbeDecl)
			if !ok || works[d] || !live[d] && !elided(p, d) || d.Body == nil || len(d.Points) == 0 || !code(d.Body) {
				continue
			}
			p.Reportf(d.Points[0], "the handler prints nothing and changes no global, so nobody can tell that it ran")
		}
	}
	return nil, nil
}

// code reports whether there is code in a block. An empty handler is meant.
func code(b *syntax.Block) bool {
	for _, s := range b.Stmts {
		if _, null := s.(*syntax.NullStmt); !null {
			return true
		}
	}
	return false
}

// effect reports whether a body does anything that others see.
func effect(b *lint.Body) bool {
	found := false
	b.Walk(func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.PrintExpr:
			found = found || !n.String
		case *syntax.EmbeddedExpr, *syntax.ScriptArg, *syntax.BadExpr:
			found = true
		case *syntax.AssignExpr:
			found = found || outside(b, n.L)
		case *syntax.IncDec:
			found = found || outside(b, n.X)
		case *syntax.DeleteStmt:
			found = found || outside(b, n.X)
		case *syntax.Call:
			found = found || len(b.Calls[n]) == 0
			for _, f := range b.Calls[n] {
				found = found || !f.Pure
			}
		}
		return !found
	})
	return found
}

// outside reports whether something that is changed is more than a local.
func outside(b *lint.Body, x syntax.Expr) bool {
	_, local := b.Object(x).(*sema.Local)
	return !local
}

// elided reports whether elaboration has left a probe out for lack of effect.
func elided(p *lint.Pass, d *syntax.ProbeDecl) bool {
	for i := range p.Program.Diags {
		if x := &p.Program.Diags[i]; x.Code == "E1504" && p.DeclAt(x.Range.Start) == syntax.Decl(d) {
			return true
		}
	}
	return false
}
