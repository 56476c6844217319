// Package st3007 is the rule ST3007: array emptied in a loop.
package st3007

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST3007",
	Doc: &lint.Doc{
		Title:    "array is emptied in a loop over it",
		Severity: diag.Error,
		Fix:      lint.SafeFix,
		Why: `
An array may not be changed while a foreach walks it, so the script does not even start. "delete a" empties it at
once, and without losing what other CPUs add in the meantime.`,
		Before: `
global hits
probe timer.ms(2) {
	hits[cpu()]++
}
probe timer.s(1) {
	foreach (c in hits)
		delete hits[c]
}`,
		After: `
global hits
probe timer.ms(2) {
	hits[cpu()]++
}
probe timer.s(1) {
	delete hits
}`,
	},
	Adopts: []diag.Code{"E1109"},
	Adopt:  adopt,
})

func adopt(p *lint.Pass, d *diag.Diagnostic) bool {
	var loop *syntax.ForeachStmt
	for _, f := range p.Files {
		if f.Name != d.Range.Start.File {
			continue
		}
		f.Inspect(func(n syntax.Node) bool {
			if l, ok := n.(*syntax.ForeachStmt); ok {
				if r := syntax.Range(l); d.Range.Start.Offset >= r.Start.Offset && d.Range.Start.Offset < r.End.Offset && empties(l) {
					loop = l
				}
			}
			return true
		})
	}
	if loop == nil {
		return false
	}
	name := syntax.ExprString(loop.Array)
	d.Message = "array '" + name + "' is emptied in a loop over it"
	d.Help = "'delete " + name + "' empties it at once"
	d.Related = nil
	d.Fixes = p.Replace("write 'delete "+name+"'", true, lint.Edit{Node: loop, Text: "delete " + name})
	return true
}

// empties reports whether a loop does nothing but delete each element.
func empties(l *syntax.ForeachStmt) bool {
	if l.Limit != nil || l.Slice != nil {
		return false
	}
	s := l.Body
	if b, ok := s.(*syntax.Block); ok {
		if len(b.Stmts) != 1 {
			return false
		}
		s = b.Stmts[0]
	}
	del, ok := s.(*syntax.DeleteStmt)
	if !ok {
		return false
	}
	ix, ok := del.X.(*syntax.Index)
	if !ok || !lint.Same(ix.X, l.Array) || len(ix.Keys) != len(l.Keys) {
		return false
	}
	for i, k := range ix.Keys {
		if !lint.Same(k, l.Keys[i]) {
			return false
		}
	}
	return true
}
