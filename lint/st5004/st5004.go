// Package st5004 is the rule ST5004: aggregate that is never extracted from.
package st5004

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/sema"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST5004",
	Doc: &lint.Doc{
		Title:    "aggregate is filled and never looked at",
		Severity: diag.Note,
		Why: `
Nothing asks for @count, @avg or a histogram of it. At the end SystemTap shows count, minimum, maximum, sum and average of
what was never read, but never a histogram: the line with @hist_log had been lost in an edit, and the run of a night
had to be repeated.`,
		Before: `
global sizes
probe syscall.read.return {
	sizes <<< retval
}`,
		After: `
global sizes
probe syscall.read.return {
	sizes <<< retval
}
probe end {
	if (@count(sizes))
		print(@hist_log(sizes))
}`,
	},
	Run: run,
})

func run(p *lint.Pass) (any, error) {
	if p.Broken() || p.Guessed() {
		return nil, nil
	}
	for _, g := range p.Program.Globals {
		if !g.Library && g.Type == sema.Stats && g.Written && !g.Read {
			p.Reportf(g.Decl.Name, "aggregate '%s' is filled, and nothing extracts anything from it", g.Name)
		}
	}
	return nil, nil
}
