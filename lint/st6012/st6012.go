// Package st6012 is the rule ST6012: script that watches its own output.
package st6012

import (
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/lint/points"
	"stapkit/syntax"
)

// Analyzer is the rule.
var Analyzer = lint.Rule(&lint.Analyzer{
	Name: "ST6012",
	Doc: &lint.Doc{
		Title:    "script prints for each write, and its output is a write",
		Severity: diag.Warning,
		Why: `
What the script prints is written by the program that runs it, and by the terminal, ssh and the log collector behind: each
write makes a line, each line a write. The output never stops, and is all about itself. Leave out the own process, or
look at one only.`,
		Limits: `A handler that tests anything before it prints is taken to have thought of it.`,
		Before: `
probe syscall.write {
	printf("%s writes %d\n", execname(), count)
}`,
		After: `
probe syscall.write {
	if (pid() != target())
		next
	printf("%s writes %d\n", execname(), count)
}`,
	},
	Run: run,
})

// writes are places that every write of a program passes.
var writes = map[string]bool{"vfs_write": true, "ksys_write": true, "vfs_writev": true, "tty_write": true, "n_tty_write": true, "pipe_write": true, "new_sync_write": true, "__vfs_write": true}

func run(p *lint.Pass) (any, error) {
	for _, b := range p.Bodies() {
		if b.Probe == nil || b.Probe.Written == nil || b.Probe.Written.Cond != nil {
			continue
		}
		pt := b.Probe.Written
		what := ""
		switch points.First(pt) {
		case "syscall", "nd_syscall":
			if len(pt.Components) > 1 && (pt.Components[1].Name == "write" || pt.Components[1].Name == "writev") {
				what = pt.Components[1].Name
			}
		case "kernel":
			if n := points.Name(pt, "function"); writes[n] {
				what = n
			}
		case "vfs":
			if len(pt.Components) > 1 && pt.Components[1].Name == "write" {
				what = "vfs.write"
			}
		}
		if what == "" {
			continue
		}
		for _, bl := range b.Blocks {
			if bl == nil || !b.Own(bl) {
				continue
			}
			for _, s := range bl.Stmts {
				if _, conditional := s.(*syntax.IfStmt); conditional {
					break
				}
				x, ok := s.(*syntax.ExprStmt)
				if !ok {
					continue
				}
				if pr, ok := x.X.(*syntax.PrintExpr); ok && !pr.String {
					p.Reportf(pr, "each %s makes a line, and the line another %s", what, what)
					break
				}
			}
		}
	}
	return nil, nil
}
