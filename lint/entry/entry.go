// Package entry finds the target variables in return probes that have their value at
// entry, for the rules about them.
package entry

import (
	"strings"

	"stapkit/lint"
	"stapkit/lint/points"
	"stapkit/sema"
	"stapkit/syntax"
)

// A Value is one such variable.
type Value struct {
	Body *lint.Body
	Var  *syntax.TargetVar
	Text string // as written
}

// Values are those of a script, a fact for rules to require.
var Values = &lint.Analyzer{Name: "entry", Run: func(p *lint.Pass) (any, error) {
	var out []Value
	bodies := p.Bodies()
	for i := range bodies {
		b := &bodies[i]
		if b.Probe == nil || !returns(b.Probe) {
			continue
		}
		b.Walk(func(n syntax.Node) bool {
			switch n := n.(type) {
			case *syntax.AtOp:
				return n.Op != syntax.AtEntry
			case *syntax.TargetVar:
				name := strings.TrimLeft(n.Name, "$")
				if strings.HasPrefix(n.Name, "$$") || name == "return" || !b.Own(n) {
					return true
				}
				if acc := b.Targets[n]; acc != nil && acc.Base != sema.BaseEntry && acc.Base != sema.BaseNone {
					return true // a global of the program, or what the return itself has
				}
				out = append(out, Value{b, n, syntax.ExprString(n)})
			}
			return true
		})
	}
	return out, nil
}}

// returns reports whether a probe is at the return of a function that has parameters.
func returns(p *sema.Probe) bool {
	pt := p.Written
	if points.Component(pt, "return") == nil {
		return false
	}
	switch points.First(pt) {
	case "kernel", "module", "process":
		return points.Component(pt, "function") != nil
	}
	return false
}
