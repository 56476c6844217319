package sema

import (
	"fmt"
	"strings"

	"stapkit/syntax"
)

// filter puts a test in front of the handler of a probe on all processes' events
// that wants those of some only, or on all calls of a function that wants those of
// one place. Tracepoints and breakpoints have no such filter of their own.
func (e *elab) filter(p *Probe) {
	if len(p.Carriers) == 0 || p.Resident {
		return
	}
	c := &p.Carriers[0]
	var tests []string
	add := func(test string) { tests = append(tests, test) }
	switch p.Family {
	case FamProcess:
		// Events of tasks are those of processes and of threads.
		switch {
		case c.Target == "sys_exit", c.Target == bornFunction:
			own := map[bool]string{true: "==", false: "!="}[p.Func == "begin"]
			if c.Target == bornFunction {
				add("tid() " + own + " pid() && __runs_user_code()")
				break
			}
			add("$" + bornVar + " == 0 && tid() " + own + " pid()")
			var calls []string
			for _, name := range []string{"clone", "clone3", "fork", "vfork"} {
				if n, ok := SyscallNumber(e.arch(), name); ok {
					calls = append(calls, fmt.Sprintf("$%s == %d", bornCall, n))
				}
			}
			add("(" + strings.Join(calls, " || ") + ")")
		case p.Func == "end":
			add("tid() == pid()")
		case p.Func == "thread.end":
			add("tid() != pid()")
		}
	case FamUSyscall, FamPerf, FamData:
	case FamUFunction, FamUStatement, FamMark:
		if c.TargetSet {
			add("__below_target()")
		}
		c = &Carrier{} // the kernel looks at the rest
	default:
		if p.callers == nil {
			return
		}
		c = &Carrier{}
	}
	if p.callers != nil {
		add(e.calledFrom(p))
	}
	switch {
	case c.TargetSet:
		add("__below_target()")
	case c.Process != "" && strings.HasSuffix(p.Point, ".end"):
		// A process that ends has given up its program's file already.
		add(fmt.Sprintf("__marked(%d, pid())", e.remembered(c.Process)))
	case c.Process != "":
		add(fmt.Sprintf("__runs_program(%s)", quoted(c.Process)))
	case c.PID != 0:
		add(fmt.Sprintf("pid() == %d", c.PID))
	}
	if len(tests) == 0 {
		return
	}
	test := strings.Join(tests, " && ")
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

// remembered gives the number of the set in which the processes that run a program
// are kept, and has it kept up.
func (e *elab) remembered(path string) int {
	if n, ok := e.programs[path]; ok {
		return n
	}
	if e.programs == nil {
		e.programs = map[string]int{}
	}
	n := len(e.programs) + 1 // 0 is the target's tree
	e.programs[path] = n
	text := fmt.Sprintf(`probe process(%[1]s).begin { __mark(%[2]d, pid()) }
probe kernel.trace("sched_process_exec") { if (!__runs_program(%[1]s)) __unmark(%[2]d, pid()) }
probe kernel.trace("sched_process_free") { if ($p->pid == $p->tgid) __unmark(%[2]d, $p->tgid) }
`, quoted(path), n)
	f := syntax.ParseFile("<processes of a program>", []byte(text), syntax.Options{View: syntax.Expanded, Library: true})
	e.include(f, true)
	e.activate(f)
	return n
}

// quoted is a string as the language writes it.
func quoted(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}
