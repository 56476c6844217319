package sema

import (
	"fmt"
	"path/filepath"
	"strings"

	"stapkit/syntax"
)

// maxComm is the longest command name that the kernel keeps (TASK_COMM_LEN - 1).
const maxComm = 15

// filter puts a test in front of the handler of a probe on all processes' events
// that wants those of some only, or on all calls of a function that wants those of
// one place. Tracepoints and breakpoints have no such filter of their own.
func (e *elab) filter(p *Probe) {
	switch {
	case len(p.Carriers) == 0:
		return
	case p.Family != FamProcess && p.Family != FamUSyscall && p.Family != FamPerf && p.callers == nil:
		return
	}
	c := &p.Carriers[0]
	test := ""
	switch {
	case p.callers != nil:
		test = e.calledFrom(p)
	case c.TargetSet:
		test = "__below_target()"
	case c.Process != "" && strings.HasSuffix(p.Point, ".end"):
		// A process that ends has given up its program's file already.
		name := filepath.Base(c.Process)
		test = fmt.Sprintf("execname() == %s", quoted(name[:min(len(name), maxComm)]))
	case c.Process != "":
		test = fmt.Sprintf("__runs_program(%s)", quoted(c.Process))
	case c.PID != 0:
		test = fmt.Sprintf("pid() == %d", c.PID)
	default:
		return
	}
	block := e.filters[test]
	if block == nil {
		f := syntax.ParseFile("<filter of processes>", []byte("probe never { if (!("+test+")) next }\n"),
			syntax.Options{View: syntax.Expanded, Library: true})
		e.include(f, true)
		for _, d := range f.Decls {
			if pr, ok := d.(*syntax.ProbeDecl); ok {
				block = pr.Body
			}
		}
		if e.filters == nil {
			e.filters = map[string]*syntax.Block{}
		}
		e.filters[test] = block
	}
	if block != nil {
		p.Blocks = append([]*syntax.Block{block}, p.Blocks...)
	}
}

// quoted is a string as the language writes it.
func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}
