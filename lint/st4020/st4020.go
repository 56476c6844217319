// Package st4020 is the rule ST4020: loop without an end.
package st4020

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST4020",
	Doc: &lint.Doc{
		Title:    "loop never ends",
		Severity: diag.Warning,
		Why: `
Nothing leaves the loop, so the handler runs until it has used up its actions (MAXACTION), and that error ends the
script. exit() does not help: it only asks the session to end when the handler has.`,
		Before: `
probe begin {
	while (1) {
		println("waiting")
		exit()
	}
}`,
		After: `
probe begin {
	while (1) {
		println("waiting")
		exit()
		break
	}
}`,
	},
	Run: run,
})

func run(p *lint.Pass) (any, error) {
	for _, b := range p.Bodies() {
		b.Walk(func(n syntax.Node) bool {
			var body syntax.Stmt
			switch n := n.(type) {
			case *syntax.WhileStmt:
				if v, known := b.Truth(n.Cond); !known || !v {
					return true
				}
				body = n.Body
			case *syntax.ForStmt:
				if n.Cond != nil {
					if v, known := b.Truth(n.Cond); !known || !v {
						return true
					}
				}
				body = n.Body
			default:
				return true
			}
			if !leaves(&b, body, true) && p.User(n) {
				p.Reportf(n, "nothing leaves this loop")
			}
			return true
		})
	}
	return nil, nil
}

// leaves reports whether a statement can leave the loop that it stands in; mine tells
// that "break" means that loop.
func leaves(b *lint.Body, s syntax.Node, mine bool) bool {
	found := false
	b.WalkNode(s, func(n syntax.Node) bool {
		switch x := n.(type) {
		case *syntax.BreakStmt:
			found = found || mine
		case *syntax.ReturnStmt, *syntax.NextStmt:
			found = true
		case *syntax.Call:
			if b.Library(x) == "error" {
				found = true
			}
		case *syntax.WhileStmt:
			found = found || leaves(b, x.Body, false)
			return false
		case *syntax.ForStmt:
			found = found || leaves(b, x.Body, false)
			return false
		case *syntax.ForeachStmt:
			found = found || leaves(b, x.Body, false)
			return false
		}
		return !found
	})
	return found
}
