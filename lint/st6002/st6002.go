// Package st6002 is the rule ST6002: loop that is too long for a handler.
package st6002

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/lint/cost"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST6002",
	Doc: &lint.Doc{
		Title:    "loop in a handler of events may run too long",
		Severity: diag.Warning,
		Options:  []lint.Option{{Name: "actions", Default: int64(1000), Text: "MAXACTION, as -D sets it"}},
		Why: `
A handler of events may do 1,000 actions (MAXACTION), and a loop over an array of 2,048 elements is more as soon as the
array fills: "MAXACTION exceeded" ends the script, on the busy day for which it was written. Walk arrays in a timer or
end probe, which have ten times the limit or none, or with "limit".`,
		Before: `
global n
probe syscall.exit {
	foreach (p in n)
		println(p, n[p])
}
probe syscall.read {
	n[pid()]++
}`,
		After: `
global n
probe timer.s(5) {
	foreach (p in n)
		println(p, n[p])
}
probe syscall.read {
	n[pid()]++
}`,
	},
	Run: run,
})

func run(p *lint.Pass) (any, error) {
	most := p.Int("actions")
	for _, b := range p.Bodies() {
		if !b.Kernel() {
			continue
		}
		b.Walk(func(n syntax.Node) bool {
			switch n := n.(type) {
			case *syntax.ForeachStmt:
				g := b.Global(n.Array)
				if g == nil || leaves(n.Body) || n.Slice != nil {
					return true
				}
				size := g.Max
				if size == 0 {
					size = cost.Elements
				}
				if n.Limit != nil {
					v, ok := b.Int(n.Limit)
					if !ok || v < most {
						return true
					}
					size = min(size, v)
				}
				if size >= most && p.User(n) {
					p.Reportf(n, "this loop over %d elements may be more than %d actions, in a handler of events", size, most)
				}
			case *syntax.ForStmt:
				if v, ok := cost.Bound(&b, n); ok && v >= most && !leaves(n.Body) && p.User(n) {
					p.Reportf(n, "this loop runs %d times, and a handler of events may do %d actions", v, most)
				}
			}
			return true
		})
	}
	return nil, nil
}

// leaves reports whether a loop may end before its time.
func leaves(s syntax.Stmt) bool {
	found := false
	syntax.Inspect(s, func(n syntax.Node) bool {
		switch n.(type) {
		case *syntax.BreakStmt, *syntax.ReturnStmt, *syntax.NextStmt:
			found = true
		}
		return !found
	})
	return found
}
