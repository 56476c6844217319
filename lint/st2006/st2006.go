// Package st2006 is the rule ST2006: member in a return probe.
package st2006

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/lint/entry"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST2006",
	Doc: &lint.Doc{
		Title:    "member in a return probe is read at entry",
		Severity: diag.Warning,
		Fix:      lint.SafeFix,
		Why: `
"$file->f_pos" in a return probe is what the position was before the call, since the whole expression is read at entry. It
looks as if it were the new one: a script computed how far each read had moved, and got 0. @entry() says that the old
value is meant; the new one is read through the saved pointer, @cast(@entry($file), "struct file")->f_pos.`,
		Before: `
probe kernel.function("vfs_read").return {
	println($file->f_pos)
}`,
		After: `
probe kernel.function("vfs_read").return {
	println(@entry($file->f_pos))
}`,
	},
	Requires: []*lint.Analyzer{entry.Values},
	Run: func(p *lint.Pass) (any, error) {
		for _, v := range p.ResultOf[entry.Values].([]entry.Value) {
			if len(v.Var.Path) == 0 {
				continue
			}
			d := p.At(v.Var, "%s in a return probe is read when the function is entered", v.Text)
			if text := p.Text(v.Var); text != "" {
				d.Fixes = p.Replace("write @entry("+text+")", true, lint.Edit{Node: v.Var, Text: "@entry(" + text + ")"})
			}
			p.Report(d)
		}
		return nil, nil
	},
})
