// Package st1007 is the rule ST1007: parameter in a return probe.
package st1007

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/lint/entry"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST1007",
	Doc: &lint.Doc{
		Title:    "parameter in a return probe has its value at entry",
		Severity: diag.Warning,
		Fix:      lint.SafeFix,
		Why: `
When a function returns its parameters are gone. What a script gets is what they were at entry, for which a second probe
is set and a map kept. Somebody printed $count next to $return and took it for what was left to read. @entry($count) says
what it is.`,
		Before: `
probe kernel.function("vfs_read").return {
	println($return, " of ", $count)
}`,
		After: `
probe kernel.function("vfs_read").return {
	println($return, " of ", @entry($count))
}`,
	},
	Adopts:   []diag.Code{"E1505"},
	Adopt:    func(_ *lint.Pass, d *diag.Diagnostic) bool { d.Message = ""; return true },
	Requires: []*lint.Analyzer{entry.Values},
	Run: func(p *lint.Pass) (any, error) {
		for _, v := range p.ResultOf[entry.Values].([]entry.Value) {
			if len(v.Var.Path) > 0 {
				continue
			}
			d := p.At(v.Var, "%s in a return probe is what it was at entry", v.Text)
			if text := p.Text(v.Var); text != "" {
				d.Fixes = p.Replace("write @entry("+text+")", true, lint.Edit{Node: v.Var, Text: "@entry(" + text + ")"})
			}
			p.Report(d)
		}
		return nil, nil
	},
})
