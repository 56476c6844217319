// Package st6001 is the rule ST6001: key that is too wide.
package st6001

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/lint/cost"
	"stapkit/lint/mapuse"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST6001",
	Doc: &lint.Doc{
		Title:    "key of an array is wider than keys can be",
		Severity: diag.Warning,
		Options:  []lint.Option{{Name: "bytes", Default: int64(512), Text: "the most bytes of all keys of one element together"}},
		Why: `
The kernel takes keys of 512 bytes at most, and the keys lie on a stack of that size. Five strings of 128 bytes are more:
such a script worked as a kernel module, and as eBPF was refused by the host with a number.`,
		Limits: `Strings whose width is known count with it: literals, execname().`,
		Before: `
global n
probe syscall.openat {
	n[filename, argstr, pn(), ppfunc(), pp()]++
}
probe end {
	foreach ([a, b, c, d, e] in n)
		println(a)
}`,
		After: `
global n
probe syscall.openat {
	n[filename, execname()]++
}
probe end {
	foreach ([a, b] in n)
		println(a)
}`,
	},
	Requires: []*lint.Analyzer{mapuse.Maps},
	Run:      run,
})

func run(p *lint.Pass) (any, error) {
	for _, m := range p.ResultOf[mapuse.Maps].([]*mapuse.Map) {
		kernel := false
		for _, w := range m.Writes {
			kernel = kernel || w.Body.Kernel()
		}
		if n := cost.Keys(m); kernel && int64(n) > p.Int("bytes") {
			p.Reportf(m.Global.Decl.Name, "the keys of '%s' take up to %d bytes; %d can be", m.Global.Name, n, p.Int("bytes"))
		}
	}
	return nil, nil
}
