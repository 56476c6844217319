// Package st1003 is the rule ST1003: misspelt probe point.
package st1003

import (
	"regexp"

	"stapkit/diag"
	"stapkit/lint"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST1003",
	Doc: &lint.Doc{
		Title:    "no probe point is spelled like this",
		Severity: diag.Error,
		Fix:      lint.UnsafeFix,
		Why: `
A part of the point is unknown: misspelt, at the wrong place, or without the argument that it needs. The script does not
start. The message has what is spelled alike.`,
		Before: `
probe timer.secs(5) {
	println("tick")
}`,
		After: `
probe timer.s(5) {
	println("tick")
}`,
	},
	Adopts: []diag.Code{"E1001", "E1002", "E1003", "E1013", "E1014"},
	Adopt:  adopt,
})

var similar = regexp.MustCompile(`\(similar: ([A-Za-z_]\w*)[,)]`)

// adopt offers the word that is nearest.
func adopt(p *lint.Pass, d *diag.Diagnostic) bool {
	m := similar.FindStringSubmatch(d.Message)
	if m == nil || d.Code != "E1001" {
		return true
	}
	for _, f := range p.Files {
		if f.Name != d.Range.Start.File {
			continue
		}
		f.Inspect(func(n syntax.Node) bool {
			c, ok := n.(*syntax.Component)
			if ok && len(d.Fixes) == 0 && syntax.AnchorRange(c) == d.Range && c.Name != "" && p.Text(c) != "" {
				r := syntax.Range(c)
				r.End = r.Start
				r.End.Offset += len(c.Name)
				r.End.Col += len(c.Name)
				d.Fixes = []diag.Fix{{Message: "write " + m[1], Edits: []diag.Edit{{Range: r, NewText: m[1]}}}}
			}
			return true
		})
	}
	return true
}
