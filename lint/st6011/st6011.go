// Package st6011 is the rule ST6011: command for every event.
package st6011

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST6011",
	Doc: &lint.Doc{
		Title:    "command is run for every event",
		Severity: diag.Warning,
		Why: `
system() starts a shell. For each event that is thousands of processes, each of which makes more events: a script that ran
"date" when a file was opened opened a dozen files with each, until no process could be started any more.`,
		Limits: `A command behind a condition, or in begin, end and slow timers, is taken to be rare.`,
		Before: `
probe syscall.openat {
	system("date")
}`,
		After: `
probe syscall.openat {
	if (filename == "/etc/passwd")
		system("date")
}`,
	},
	Run: run,
})

func run(p *lint.Pass) (any, error) {
	for _, f := range p.Files {
		for _, decl := range f.Decls {
			d, ok := decl.(*syntax.ProbeDecl)
			if !ok || d.Body == nil || !events(d) {
				continue
			}
			for _, s := range d.Body.Stmts {
				if _, conditional := s.(*syntax.IfStmt); conditional {
					if lint.Leaves(s) {
						break
					}
					continue
				}
				syntax.Inspect(s, func(n syntax.Node) bool {
					switch n := n.(type) {
					case *syntax.IfStmt:
						return false
					case *syntax.Call:
						if n.Name != nil && n.Name.Name == "system" {
							p.Reportf(n, "system() starts a process for every event")
						}
					}
					return true
				})
			}
		}
	}
	return nil, nil
}

// events reports whether a probe is one of events, not of the script's own time.
func events(d *syntax.ProbeDecl) bool {
	for _, pt := range d.Points {
		q, ok := pt.(*syntax.ProbePoint)
		if !ok || len(q.Components) == 0 {
			continue
		}
		switch q.Components[0].Name {
		case "begin", "end", "error", "never", "timer", "oneshot", "procfs", "input":
		default:
			return q.Cond == nil
		}
	}
	return false
}
