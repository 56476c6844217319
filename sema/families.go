package sema

import (
	"strings"
)

// pattern is a built-in form of probe points.
type pattern struct {
	text   string
	family *family
}

// patterns lists all built-in forms, those that SystemTap has and we refuse
// included.
func patterns() []pattern {
	var out []pattern
	add := func(f *family, texts ...string) {
		for _, t := range texts {
			out = append(out, pattern{t, f})
		}
	}
	add(famBegin, "begin", "begin(number)", "end", "end(number)", "error", "error(number)", "never")
	for _, unit := range []string{"s", "sec", "ms", "msec", "us", "usec", "ns", "nsec", "jiffies"} {
		add(famTimer, "timer."+unit+"(number)", "timer."+unit+"(number).randomize(number)")
	}
	add(famTimer, "timer.hz(number)")
	add(famProfile, "timer.profile", "timer.profile.tick", "timer.profile.freq.hz(number)")

	add(famTrace, "kernel.trace(string)", "module(string).trace(string)")
	add(famTracepoint, "kernel.tracepoint(string)", "module(string).tracepoint(string)")
	add(famSyscall, "kernel.syscall(string)", "kernel.syscall(string).return")

	for _, where := range []string{"kernel", "module(string)"} {
		for _, spec := range []string{"(string)", "(number)"} {
			fn := where + ".function" + spec
			add(famFunction, fn, fn+".call", fn+".exported", fn+".return", fn+".return.maxactive(number)")
			st := where + ".statement" + spec
			add(famStatement, st, st+".nearest")
		}
		fn := where + ".function(string)"
		add(famFunction, fn+".inline", fn+".label(string)", fn+".callees", fn+".callees(number)",
			fn+".callee(string)", fn+".callee(string).call", fn+".callee(string).return")
	}
	add(famStatement, "kernel.statement(number).absolute")
	for _, where := range []string{"kprobe", "kprobe.module(string)"} {
		fn := where + ".function(string)"
		add(famKprobe, fn, fn+".call", fn+".return", fn+".return.maxactive(number)")
	}
	add(famStatement, "kprobe.statement(number).absolute")
	for _, a := range []string{"kernel.data(number)", "kernel.data(number).length(number)", "kernel.data(string)"} {
		add(famData, a+".write", a+".rw")
	}
	for _, a := range []string{"process(string).data(number)", "process(string).data(number).length(number)",
		"process.data(number)", "process.data(number).length(number)", "process(number).data(number)", "process(number).data(number).length(number)"} {
		add(famData, a+".write", a+".rw")
	}
	add(famGone, "kernel.mark(string)", "kernel.mark(string).format(string)")

	for _, proc := range []string{"process", "process(string)", "process(number)"} {
		add(famProcess, proc+".begin", proc+".end", proc+".thread.begin", proc+".thread.end")
		add(famUSyscall, proc+".syscall", proc+".syscall.return")
		add(famGone, proc+".insn", proc+".insn.block")
		places := []string{proc, proc + ".library(string)"}
		if proc == "process(number)" {
			places = places[:1]
		}
		for _, where := range places {
			for _, spec := range []string{"(string)", "(number)"} {
				fn := where + ".function" + spec
				add(famUFunction, fn, fn+".call", fn+".exported", fn+".return")
				st := where + ".statement" + spec
				add(famUStatement, st, st+".nearest")
			}
			fn := where + ".function(string)"
			add(famUFunction, fn+".inline", fn+".label(string)", fn+".callees", fn+".callees(number)",
				fn+".callee(string)", fn+".callee(string).call", fn+".callee(string).return")
			add(famPlt, where+".plt", where+".plt.return", where+".plt(string)", where+".plt(string).return")
			add(famMark, where+".mark(string)", where+".provider(string).mark(string)")
		}
	}
	add(famGone, "process(number).statement(number).absolute", "process(number).statement(number).absolute.return")

	perf := "perf.type(number).config(number)"
	add(famPerf, perf, perf+".sample(number)", perf+".hz(number)", perf+".counter(string)",
		perf+".process", perf+".process(string)", perf+".process(string).counter(string)", perf+".process.counter(string)",
		perf+".sample(number).process", perf+".sample(number).process(string)", perf+".sample(number).counter(string)", perf+".hz(number).counter(string)")
	for _, p := range []string{"netfilter.hook(string).pf(string)", "netfilter.pf(string).hook(string)"} {
		add(famNetfilter, p, p+".priority(string)")
	}

	for _, p := range []string{"procfs", "procfs(string)"} {
		add(famProcfs, p+".read", p+".read.maxsize(number)", p+".umask(number).read", p+".umask(number).read.maxsize(number)", p+".umask(number).write", p+".write")
	}
	add(famGone, "java(string).class(string).method(string)", "java(string).class(string).method(string).return",
		"java(number).class(string).method(string)", "java(number).class(string).method(string).return",
		"python2.module(string).function(string)", "python2.module(string).function(string).return",
		"python3.module(string).function(string)", "python3.module(string).function(string).return", "python3.module(string).function(string).call",
		"debuginfod.process(string)", "debuginfod.archive(string)",
		"hwbkpt.data(number).write", "hwbkpt.data(number).rw")
	return out
}

// ProbeTypes lists the built-in forms of probe points, sorted, as
// --dump-probe-types does: "timer.ms(number)".
func ProbeTypes() []string {
	seen := map[string]bool{}
	for _, p := range patterns() {
		if p.family != famGone {
			seen[p.text] = true
		}
	}
	return sortedKeys(seen)
}

const second = int64(1e9)

var famBegin = &family{resolve: func(r *resolver, in *request) ([]*Probe, *fail) {
	c := in.comps[0]
	f := map[string]Family{"begin": FamBegin, "end": FamEnd, "error": FamError, "never": FamNever}[c.name]
	p := in.make(f, pointText(in.comps))
	p.Order = c.num
	return []*Probe{p}, nil
}}

// timerUnits gives the nanoseconds in each unit.
var timerUnits = map[string]int64{
	"s": second, "sec": second, "ms": 1e6, "msec": 1e6, "us": 1e3, "usec": 1e3, "ns": 1, "nsec": 1,
}

var famTimer = &family{resolve: func(r *resolver, in *request) ([]*Probe, *fail) {
	c := in.comps[1]
	p := in.make(FamTimer, pointText(in.comps))
	random, randomized := in.num("randomize", 0), in.has("randomize")
	if in.unknown() {
		p.Interval = second
		return []*Probe{p}, nil
	}
	check := func(n, lo, hi int64) *fail {
		if n < lo || n > hi {
			return failf(codeInterval, nil, "interval value out of range (%d, %d)", lo, hi)
		}
		return nil
	}
	spread := func() *fail {
		if randomized && (random < 0 || random > c.num) {
			return failf(codeInterval, nil, "randomization value out of range").withHelp("it is at most the interval, %d", c.num)
		}
		return nil
	}
	switch c.name {
	case "jiffies":
		if c.num < 1 || c.num > 1000000 {
			return nil, failf(codeInterval, nil, "invalid interval for jiffies timer").withHelp("it is 1 to 1000000")
		}
		if f := spread(); f != nil {
			return nil, f
		}
		p.Jiffies, p.RandomJiffies = c.num, random
		return []*Probe{p}, nil
	case "hz":
		if c.num < 1 {
			return nil, failf(codeInterval, nil, "frequency must be greater than 0")
		}
		if f := check(second/c.num, 100000, 86400*second); f != nil {
			return nil, f.withHelp("a timer fires at most 10000 times a second")
		}
		p.Interval = second / c.num
		return []*Probe{p}, nil
	}
	unit := timerUnits[c.name]
	lo, hi := (100000+unit-1)/unit, 86400*second/unit
	if lo < 1 {
		lo = 1
	}
	if f := check(c.num, lo, hi); f != nil {
		return nil, f
	}
	if f := spread(); f != nil {
		return nil, f
	}
	p.Interval, p.Random = c.num*unit, random*unit
	return []*Probe{p}, nil
}}

// Values of the kernel's perf_event interface (linux/perf_event.h).
const (
	perfTypeSoftware = 1
	perfSWCPUClock   = 0
)

var famProfile = &family{resolve: func(r *resolver, in *request) ([]*Probe, *fail) {
	p := in.make(FamProfile, pointText(in.comps))
	if c := in.arg("hz"); c != nil {
		if c.num < 1 || c.num > 1000000 {
			return nil, failf(codeInterval, nil, "frequency value out of range (1, 1000000)")
		}
		p.Hz = c.num
	}
	p.Carriers = []Carrier{{Kind: "perf", Type: perfTypeSoftware, Config: perfSWCPUClock,
		Reason: "the CPU clock's perf event fires on every CPU in the context that it interrupts"}}
	return []*Probe{p}, nil
}}

// famGone are forms that SystemTap has or had and that nothing in eBPF can carry.
var famGone = &family{resolve: func(r *resolver, in *request) ([]*Probe, *fail) {
	var why, use string
	switch head := in.comps[0].name; {
	case head == "kernel":
		why, use = "kernel markers left Linux in 2.6.32 and SystemTap in 5.5", `kernel.trace("name")`
	case head == "java":
		why, use = "Java methods need an agent inside the virtual machine", `process("…/libjvm.so").mark("method__entry") of a JVM with USDT marks`
	case strings.HasPrefix(head, "python"):
		why, use = "Python functions need a helper module inside the interpreter", `process("…/python3").mark("function__entry")`
	case head == "debuginfod":
		why, use = "programs are not fetched from a build server", `process("/path")`
	case head == "hwbkpt":
		why, use = "this is an old name of watchpoints", `kernel.data(address).write`
	case in.has("insn"):
		why, use = "eBPF cannot single-step a program", `process("path").function("name") or .statement("file:line")`
	default:
		why, use = "an address of a running process means nothing to a program compiled ahead of time", `process("path").statement(address)`
	}
	return nil, failf(codeRefused, nil, "no eBPF program can be attached to %s: %s", in.pattern, why).withHelp("nearest: %s", use)
}}

var famProcfs = &family{resolve: func(r *resolver, in *request) ([]*Probe, *fail) {
	p := in.make(FamProcfs, pointText(in.comps))
	p.Path = in.str("procfs")
	p.Umask = in.num("umask", -1)
	p.MaxSize = in.num("maxsize", 0)
	p.Write = in.has("write")
	if strings.HasPrefix(p.Path, "/") || strings.Contains("/"+p.Path+"/", "/../") {
		return nil, failf(codePointArg, nil, "procfs path must be relative and without \"..\": %q", p.Path)
	}
	if in.comps[0].arg == strArg && (p.Path == "" || strings.HasSuffix(p.Path, "/")) {
		return nil, failf(codePointArg, nil, "procfs path cannot be empty or end with a '/'")
	}
	if p.Umask > 0o777 || in.has("umask") && p.Umask < 0 {
		return nil, failf(codePointArg, nil, "procfs umask out of range (0, 0777)")
	}
	if in.has("maxsize") && p.MaxSize <= 0 {
		return nil, failf(codePointArg, nil, "maxsize must be greater than 0")
	}
	p.ctx = &context{what: "procfs probe", value: true, lists: noLists}
	return []*Probe{p}, nil
}}
