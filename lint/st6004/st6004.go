// Package st6004 is the rule ST6004: arrays that take more memory than planned.
package st6004

import (
	"fmt"

	"stapkit/diag"
	"stapkit/lint"
	"stapkit/lint/cost"
	"stapkit/lint/mapuse"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST6004",
	Doc: &lint.Doc{
		Title:    "arrays take more memory than the budget",
		Severity: diag.Warning,
		Options:  []lint.Option{{Name: "mib", Default: int64(64), Text: "the budget of all arrays of a script, in MiB, on a machine of 8 CPUs"}},
		Why: `
Arrays are allocated whole before the first event, in memory of the kernel that counts as nobody's. A histogram per process
and CPU, declared for 100,000 processes, took 7 GiB, and the first thing that the script showed was the OOM killer.`,
		Before: `
global sizes[100000]
probe syscall.write {
	sizes[pid(), execname()] <<< 1
}
probe end {
	foreach ([p, n] in sizes)
		print(@hist_log(sizes[p, n]))
}`,
		After: `
global sizes[500]
probe syscall.write {
	sizes[pid(), execname()] <<< 1
}
probe end {
	foreach ([p, n] in sizes)
		print(@hist_log(sizes[p, n]))
}`,
	},
	Requires: []*lint.Analyzer{mapuse.Maps},
	Run:      run,
})

func run(p *lint.Pass) (any, error) {
	var total, largest int64
	var worst *mapuse.Map
	var others []diag.Related
	maps := p.ResultOf[mapuse.Maps].([]*mapuse.Map)
	for _, m := range maps {
		n := cost.Memory(m)
		total += n
		if n > largest {
			largest, worst = n, m
		}
	}
	if worst == nil || total <= p.Int("mib")<<20 {
		return nil, nil
	}
	for _, m := range maps {
		if n := cost.Memory(m); m != worst && n > total/20 {
			others = append(others, diag.Related{Range: syntax.Range(m.Global.Decl), Message: fmt.Sprintf("'%s' takes about %s", m.Global.Name, size(n))})
		}
	}
	d := p.At(worst.Global.Decl, "the arrays take about %s, %s of it '%s'; the budget is %d MiB", size(total), size(largest), worst.Global.Name, p.Int("mib"))
	d.Related = append(d.Related, others...)
	p.Report(d)
	return nil, nil
}

func size(n int64) string {
	if n >= 1<<30 {
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}
