//go:build linux

package loader

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"stapkit/feed"
	"stapkit/format"
	"stapkit/ir"
	"stapkit/ir/interp"
)

// countMisses adds what the kernel itself refused to run: hits of a program while
// it, or another on the same hook, was running on that CPU.
func (s *session) countMisses() {
	var n uint64
	for _, p := range s.programs {
		if st, err := p.Stats(); err == nil {
			n += st.RecursionMisses
		}
	}
	calls, returns := s.missedCalls()
	s.blk.counter(ir.MissRecursion).Store(n + s.missed.calls + calls)
	s.missed.shown = s.missed.returns + returns
}

// missedCalls adds up what the attached kprobes have missed: entries while another
// kprobe ran on that CPU, and returns of calls when as many as maxactive were under way.
func (s *session) missedCalls() (calls, returns uint64) {
	var add func(c io.Closer)
	add = func(c io.Closer) {
		fd := -1
		switch l := c.(type) {
		case closers:
			for _, c := range l {
				add(c)
			}
		case *os.File:
			if strings.HasPrefix(l.Name(), bpfLinkName) {
				fd = int(l.Fd())
			}
		case interface{ FD() int }:
			fd = l.FD()
		}
		if fd < 0 {
			return
		}
		// A kernel that does not tell has nothing to add.
		if n, ret, err := missedOf(fd); err == nil && ret {
			returns += n
		} else if err == nil {
			calls += n
		}
	}
	for _, a := range s.attached {
		if slices.ContainsFunc(a.probes, func(i int) bool {
			return slices.ContainsFunc(s.p.Probes[i].Attach, func(a ir.Attach) bool {
				return strings.HasPrefix(a.Carrier, "kprobe") || strings.HasPrefix(a.Carrier, "kretprobe")
			})
		}) {
			add(a.link)
		}
	}
	return calls, returns
}

// causes are what is counted of hits and output that went by, with their texts.
var causes = []struct {
	cause ir.Cause
	skip  bool   // a hit was not handled
	key   string // for programs
	name  string
	text  string
}{
	{ir.SkipLock, true, "lock", "skipped, lock not had", "skipped because a lock on globals was not to be had in time: %d"},
	{ir.SkipReentrant, true, "reentrancy", "skipped, re-entrancy", "skipped because too many handlers were under way on one CPU: %d"},
	{ir.SkipMap, true, "array", "skipped, array busy", "skipped because an array could not be changed at that moment: %d"},
	{ir.MissRecursion, true, "kernel", "skipped by the kernel", "skipped by the kernel, which does not run a handler inside itself: %d"},
	{ir.DropOutput, false, "output", "output dropped", "output lost because the buffer was full, in hits: %d; a larger one (-s MB) may help"},
	{ir.DropError, false, "errors", "errors dropped", "error messages lost because the buffer was full: %d"},
	{ir.EvictEntry, false, "entry_values", "@entry evicted", "@entry values given up because there were too many: %d"},
	{ir.TornRead, false, "torn_reads", "torn reads", "aggregates read while they were changing: %d"},
}

// counts is the table that SIGUSR1 asks for.
func (s *session) counts() string {
	if s.coll != nil {
		s.countMisses()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "----- counters of process %d\n%12d  errors\n", os.Getpid(), s.blk.errors().Load())
	for _, c := range causes {
		fmt.Fprintf(&b, "%12d  %s\n", s.blk.counter(c.cause).Load(), c.name)
	}
	fmt.Fprintf(&b, "%12d  returns missed, maxactive\n", s.missed.shown)
	fmt.Fprintf(&b, "%12d  bytes of output\n", s.out.total.Load())
	return b.String()
}

// report prints what went wrong while the script ran, if anything did.
func (s *session) report() {
	count := func(c ir.Cause) uint64 { return s.blk.counter(c).Load() }
	skipped := count(ir.SkipLock) + count(ir.SkipReentrant) + count(ir.SkipMap) + count(ir.MissRecursion) + s.missed.shown
	if n := s.blk.errors().Load(); n > 0 || skipped > 0 {
		s.out.warn(fmt.Sprintf("Number of errors: %d, skipped probes: %d", n, skipped))
	}
	for _, c := range causes {
		if n := count(c.cause); n > 0 {
			s.out.warn(fmt.Sprintf(c.text, n))
		}
	}
	if n := s.missed.shown; n > 0 {
		s.out.warn(fmt.Sprintf("returns of functions that were not seen because too many calls were under way: %d; .maxactive(number) raises how many may be", n))
	}
	if n := s.damaged + s.join.lost + len(s.join.pending); n > 0 {
		s.out.warn(fmt.Sprintf("records of probes that could not be read or put together: %d", n))
	}
	if s.opt.Timing {
		s.timing()
	}
	// Whatever fails here has nowhere to be said.
	_ = s.out.flush()
}

// timing prints the hits of every probe in SystemTap's form. Its cycles are
// nanoseconds here, as those of get_cycles() are in the loader. Of programs, the
// kernel only tells how often they ran and how long in all.
func (s *session) timing() {
	if s.out.json {
		if err := s.out.writeJSON(&feed.Probes{Type: feed.TypeProbes, Probes: s.fedProbes()}); err != nil {
			s.out.failWith(err)
		}
		return
	}
	var b strings.Builder
	b.WriteString("----- probe hit report: \n")
	index := 0
	seen := map[int]bool{} // handlers of several probes: the kernel counts for all of them
	for i := range s.p.Probes {
		p := &s.p.Probes[i]
		line, point := "", p.Point
		if len(p.Attach) > 0 && p.Attach[0].Carrier == "loader" {
			if h := &s.hits[i]; h.n > 0 {
				line = fmt.Sprintf("hits: %d, cycles: %dmin/%davg/%dmax, variance: %d", h.n, h.min, h.sum/time.Duration(h.n), h.max, h.variance())
			}
		} else if n, sum := s.programTime(p, seen); n > 0 {
			if len(s.p.Handlers[p.Attach[0].Handler].Points) > 0 {
				point = cmp.Or(p.Script, p.Point) // for all of its places
			}
			line = fmt.Sprintf("hits: %d, cycles: %davg", n, sum/time.Duration(n))
		}
		if line == "" {
			continue
		}
		place := ""
		if p.Site > 0 && p.Site < len(s.p.Sites) {
			site := &s.p.Sites[p.Site]
			place = fmt.Sprintf("(%s:%d:%d), ", site.File, site.Line, site.Col)
		}
		fmt.Fprintf(&b, "%s, %s%s, from: %s, index: %d\n", point, place, line, cmp.Or(p.Script, p.Point), index)
		index++
	}
	b.WriteString("----- refresh report:\n")
	s.out.write([]byte(b.String()))
}

// programTime is how often the programs of a probe ran, and how long.
func (s *session) programTime(p *ir.Probe, seen map[int]bool) (n uint64, sum time.Duration) {
	for j := range p.Attach {
		h := p.Attach[j].Handler
		if seen[h] {
			continue
		}
		seen[h] = len(s.p.Handlers[h].Points) > 0
		if slices.ContainsFunc(p.Attach[:j], func(a ir.Attach) bool { return a.Handler == h }) {
			continue
		}
		name := s.p.Handlers[h].Name
		for key, prog := range s.programs {
			if key != name && !strings.HasPrefix(key, name+" ") {
				continue
			}
			if st, err := prog.Stats(); err == nil {
				n, sum = n+st.RunCount, sum+st.Runtime
			}
		}
	}
	return n, sum
}

// display prints the globals that the script wrote and never read.
func (s *session) display() error {
	for g := range s.p.Globals {
		gl := &s.p.Globals[g]
		if !gl.AutoPrint {
			continue
		}
		if err := s.displayGlobal(g); err != nil {
			return fmt.Errorf("displaying global %s: %w", gl.Name, err)
		}
	}
	return nil
}

// displayGlobal shows one.
func (s *session) displayGlobal(g int) error {
	gl := &s.p.Globals[g]
	store := s.mem
	if gl.Share == ir.LoaderOnly {
		store = s.machine.Store()
	}
	switch {
	case s.tape != nil:
		return s.tapeGlobal(g, store, false)
	case s.out.json:
		m, err := s.fedGlobal(g)
		if err != nil {
			return err
		}
		return s.out.writeJSON(m)
	case gl.IsArray():
		return s.displayArray(store, g, gl)
	}
	return s.displayScalar(store, g, gl)
}

func formatType(t ir.Type) format.Type {
	if t.Kind == ir.Int {
		return format.Long
	}
	return format.String
}

func (s *session) formatArg(v interp.Value) format.Arg {
	switch v.Kind {
	case ir.Int:
		return format.LongArg(v.I)
	case ir.Deferred:
		return format.StringArg(s.texts.text(v))
	}
	return format.StringArg(v.S)
}

func statArgs(shape *ir.StatShape, st *interp.Stat) []format.Arg {
	var args []format.Arg
	for _, fn := range []ir.StatFn{ir.StatCount, ir.StatMin, ir.StatMax, ir.StatSum, ir.StatAvg} {
		// An empty one, which an array does not hold, shows as zeros.
		n, _ := st.Get(shape, fn)
		args = append(args, format.LongArg(n))
	}
	return args
}

func (s *session) displayScalar(store *interp.Store, g int, gl *ir.Global) error {
	if gl.Value.Kind == ir.Stat {
		st, err := store.Stat(g, nil)
		if err != nil {
			return err
		}
		if st == nil || st.Count == 0 {
			return s.line(format.GlobalEmptyStat(gl.Name), nil)
		}
		return s.line(format.GlobalStat(gl.Name, nil), statArgs(&gl.Stat, st))
	}
	v, _, err := store.Get(g, nil)
	if err != nil {
		return err
	}
	return s.line(format.Global(gl.Name, nil, formatType(gl.Value)), []format.Arg{s.formatArg(v)})
}

func (s *session) displayArray(store *interp.Store, g int, gl *ir.Global) error {
	list, err := store.Snapshot(g)
	if err != nil {
		return err
	}
	// By falling value, aggregates by falling count.
	switch gl.Value.Kind {
	case ir.Stat:
		list = interp.Rank(list, len(list), true, func(e *interp.Element) int64 { return e.Stat.Count })
	case ir.Int:
		list = interp.Rank(list, len(list), true, func(e *interp.Element) int64 { return e.Val.I })
	case ir.Deferred:
		list = interp.Rank(list, len(list), true, func(e *interp.Element) string { return s.texts.text(e.Val) })
	default:
		list = interp.Rank(list, len(list), true, func(e *interp.Element) string { return e.Val.S })
	}
	types := make([]format.Type, len(gl.Keys))
	for i, t := range gl.Keys {
		types[i] = formatType(t)
	}
	f := format.GlobalStat(gl.Name, types)
	if gl.Value.Kind != ir.Stat {
		f = format.Global(gl.Name, types, formatType(gl.Value))
	}
	for i := range list {
		e := &list[i]
		var args []format.Arg
		for _, k := range e.Keys {
			args = append(args, s.formatArg(k))
		}
		if gl.Value.Kind == ir.Stat {
			args = append(args, statArgs(&gl.Stat, e.Stat)...)
		} else {
			args = append(args, s.formatArg(e.Val))
		}
		if err := s.line(f, args); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) line(f format.Format, args []format.Arg) error {
	b, err := format.Append(nil, f, args)
	if err != nil {
		return err
	}
	s.out.write(b)
	return nil
}
