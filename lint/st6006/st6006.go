// Package st6006 is the rule ST6006: script that changes the system.
package st6006

import (
	"strings"

	"stapkit/diag"
	"stapkit/lint"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST6006",
	Doc: &lint.Doc{
		Title:    "script changes the system that it watches",
		Severity: diag.Warning,
		Why: `
Signals, panics, delays, and values that are written into the kernel or a program are no longer observation. A script that
sent SIGSTOP to "the process that opens the file" met the database, and its cluster took over the wrong way. Where it is
meant, suppress the finding with the reason.`,
		Before: `
probe kernel.function("vfs_read") {
	if (execname() == "server")
		$count = 1
}`,
		After: `
probe kernel.function("vfs_read") {
	if (execname() == "server")
		println($count)
}`,
	},
	Run: run,
})

// acts are functions that change something, and what they do.
var acts = map[string]string{
	"raise": "sends a signal", "send_signal": "sends a signal", "kill": "sends a signal", "panic": "stops the machine",
	"mdelay": "makes the kernel wait", "udelay": "makes the kernel wait", "ndelay": "makes the kernel wait", "override_return": "changes what a function returns",
}

func run(p *lint.Pass) (any, error) {
	for _, f := range p.Files {
		own := map[string]bool{}
		for _, d := range f.Decls {
			if fn, ok := d.(*syntax.FuncDecl); ok && fn.Name != nil {
				own[fn.Name.Name] = true
			}
		}
		f.Inspect(func(n syntax.Node) bool {
			switch n := n.(type) {
			case *syntax.Call:
				if n.Name == nil || own[n.Name.Name] {
					return true
				}
				name := n.Name.Name
				switch {
				case acts[name] != "":
					p.Reportf(n, "%s() %s", name, acts[name])
				case strings.HasPrefix(name, "set_kernel_"):
					p.Reportf(n, "%s() writes memory of the kernel", name)
				case strings.HasPrefix(name, "set_user_"):
					p.Reportf(n, "%s() writes memory of a program", name)
				}
			case *syntax.AssignExpr:
				target(p, n.L, n)
			case *syntax.IncDec:
				target(p, n.X, n)
			}
			return true
		})
	}
	return nil, nil
}

func target(p *lint.Pass, x syntax.Expr, at syntax.Node) {
	if t, ok := x.(*syntax.TargetVar); ok {
		if t.Name == "$value" || t.Name == "$verdict" {
			return // what procfs and netfilter probes answer
		}
		p.Reportf(at, "%s of what is probed is changed", syntax.ExprString(t))
	}
}
