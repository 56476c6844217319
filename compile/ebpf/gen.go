// Package ebpf makes eBPF programs of kernel handlers and regions.
//
// # Where values live
//
// A handler's variables, and whatever must survive a call, live in memory: on
// the stack while they are few, else in a scratch slot, which is map memory. A
// register holds a value only within an expression. So the verifier has next to
// nothing to tell apart where paths meet, and code of any size loads quickly.
// R6 holds the context, R7 the slot, R8 and R9 an operand each.
//
// Every string in memory is zero from its end to the end of its storage. Copying
// is then a copy of words, equality a comparison of words, and a string is a map
// key as it stands.
//
// # Three shapes of a program
//
// The generator tries them in order and takes the first that fits:
//
//   - on the stack: no loops, little memory, output of fixed places; costs
//     nothing but its own instructions;
//   - with a slot: straight code whose memory is a scratch slot;
//   - as a state machine: the handler is the callback of one bpf_loop. A back
//     edge, or the call or return of a function that is not expanded in place,
//     stores the next state and returns from the callback. That gives any
//     control flow to kernels that have neither loops nor recursion, and needs
//     no more stack however deep the script nests.
package ebpf

import (
	"slices"
	"sort"
	"strings"

	cebpf "github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	cbtf "github.com/cilium/ebpf/btf"

	"stapkit/compile/object"
	"stapkit/diag"
	"stapkit/ir"
)

// Level names what the programs may use of the kernel.
type Level uint8

// The levels.
const (
	// L61 is Linux 6.1: bpf_loop, no may_goto, no signed division.
	L61 Level = iota
)

// Options control code generation.
type Options struct {
	Level Level
	// Arch is the target's architecture, as GOARCH names it; "" means amd64.
	Arch string
	// Line returns the text of a line of a script, for the line information
	// of the object. It may be nil.
	Line func(file string, line int) string
}

// Report tells what the handlers cost.
type Report struct {
	Handlers []HandlerReport
	// SlotBytes is the size of a scratch slot, 0 if no handler needs one.
	// There are ir.SlotsPerCPU of them for each CPU.
	SlotBytes int
	// ConstBytes is the size of the constant data.
	ConstBytes int
}

// HandlerReport tells what a handler costs.
type HandlerReport struct {
	Name         string
	Region       bool
	Instructions int   // of its own
	All          int   // with the subprograms that it shares with others
	Stack        int   // bytes of all frames, as the verifier counts them
	Slot         int   // bytes of scratch slot used, 0: none
	Loops        bool  // runs as a state machine
	Locks        []int // lock words it takes
}

// Generate makes the programs of all kernel handlers and regions of p, and the
// maps that they use. The spec is nil if there is an error among the diagnostics.
func Generate(p *ir.Program, opt Options) (*object.Spec, *Report, []diag.Diagnostic) {
	if opt.Arch == "" {
		opt.Arch = "amd64"
	}
	g := &generator{
		p: p, opt: opt,
		maps: map[string]bool{}, subs: map[string]bool{}, reported: map[string]bool{},
		spec: &object.Spec{}, report: &Report{}, types: map[int]cbtf.Type{}, automata: map[int]*automaton{}, finders: map[finderKey]*finder{},
		lines: map[int]*object.Line{},
	}
	if arches[opt.Arch] == nil {
		g.errorf(0, eUnsupported, "no code generator for the architecture %s", opt.Arch)
		return nil, g.report, g.diags
	}
	g.arch = arches[opt.Arch]
	g.strOffs, g.strSize = p.StringsLayout()
	g.statOffs, g.statSize = p.StatsLayout()
	g.analyzeFuncs()
	for i, h := range p.Handlers {
		if h.Kernel {
			g.handler(h, i, -1)
		}
	}
	for id, h := range p.Regions {
		if h != nil {
			g.handler(h, -1, id)
		}
	}
	g.dropCookies()
	g.dispatchers()
	g.unwindKey()
	g.dropUnused()
	g.checkLimits()
	g.findMaps()
	g.mention(ir.MapSession, g.p.SessionSize())
	g.mention(ir.MapStrings, g.strSize)
	g.addMaps()
	g.spec.Functions = append(g.spec.Functions, g.functions...)
	sort.SliceStable(g.spec.Functions, func(i, j int) bool { return g.spec.Functions[i].Name < g.spec.Functions[j].Name })
	if diag.HasErrors(g.diags) {
		return nil, g.report, g.diags
	}
	return g.spec, g.report, g.diags
}

// generator makes the object of one program.
type generator struct {
	p        *ir.Program
	opt      Options
	arch     *arch
	spec     *object.Spec
	report   *Report
	diags    []diag.Diagnostic
	reported map[string]bool // diagnostics already given

	funcs     []function
	functions []object.Function
	subs      map[string]bool // shared subprograms made
	callbacks int
	maps      map[string]bool // maps referred to
	consts    pool
	strOffs   []int
	statOffs  []int
	strSize   int
	statSize  int
	slotSize  int // largest use of a slot
	slack     int // bytes behind it that the verifier must believe in
	index     indexUse
	automata  map[int]*automaton
	finders   map[finderKey]*finder
	types     map[int]cbtf.Type // by index into Program.Types
	deleted   map[int]bool      // see deletes
	lines     map[int]*object.Line
	spare     [][]insn // memory of streams that are done
}

func (g *generator) kernelHandlers() []*ir.Handler {
	var list []*ir.Handler
	for _, h := range g.p.Handlers {
		if h.Kernel {
			list = append(list, h)
		}
	}
	for _, h := range g.p.Regions {
		if h != nil {
			list = append(list, h)
		}
	}
	return list
}

// errorf reports a diagnostic at a site, once.
func (g *generator) errorf(site int, code diag.Code, format string, args ...any) {
	var r diag.Range
	if site > 0 && site < len(g.p.Sites) {
		s := g.p.Sites[site]
		r.Start = diag.Pos{File: s.File, Line: s.Line, Col: s.Col}
		r.End = r.Start
	}
	d := diag.New(code, r, format, args...)
	if code == eUnsupported {
		d.Help = helpUnsupported
	}
	if key := d.Error(); !g.reported[key] {
		g.reported[key] = true
		g.diags = append(g.diags, d)
	}
}

const helpUnsupported = "keep what is needed in globals and do this in a timer or end probe, which the loader runs"

// line returns the line information of a site, always the same value.
func (g *generator) line(site int) (*object.Line, bool) {
	if site <= 0 || site >= len(g.p.Sites) {
		return nil, false
	}
	s := g.p.Sites[site]
	if s.Line <= 0 {
		return nil, false
	}
	l := g.lines[site]
	if l == nil {
		l = &object.Line{File: s.File, Line: s.Line, Col: s.Col}
		if g.opt.Line != nil {
			l.Text = g.opt.Line(s.File, s.Line)
		}
		g.lines[site] = l
	}
	return l, true
}

// pool is the constant data section.
type pool struct {
	data  []byte
	index map[string]int
}

// add returns the offset of b in the section, 8-aligned.
func (c *pool) add(b []byte) int {
	if off, ok := c.index[string(b)]; ok {
		return off
	}
	for len(c.data)%8 != 0 {
		c.data = append(c.data, 0)
	}
	if c.index == nil {
		c.index = map[string]int{}
	}
	off := len(c.data)
	c.data = append(c.data, b...)
	c.index[string(b)] = off
	return off
}

// str returns the offset of s, zero up to a multiple of 8.
func (c *pool) str(s string) int {
	b := make([]byte, ir.StrWidth(len(s)))
	copy(b, s)
	if len(s) >= len(b) { // longer than any string may be
		b = append([]byte(s), 0)
	}
	return c.add(b)
}

// zeros returns the offset of n zero bytes.
func (c *pool) zeros(n int) int { return c.add(make([]byte, n)) }

// addMaps adds the maps and data that the programs refer to, and those that the
// loader needs anyhow.
func (g *generator) addMaps() {
	p := g.p
	add := func(m object.Map) { g.spec.Maps = append(g.spec.Maps, m) }
	g.spec.Data = append(g.spec.Data, object.Data{Name: ir.MapSession, Size: uint32(p.SessionSize())})
	if g.maps[ir.MapScratch] {
		g.report.SlotBytes = (g.slotSize + g.slack + 63) &^ 63
		add(object.Map{
			Name: ir.MapScratch, Type: cebpf.Array, KeySize: 4, ValueSize: uint32(g.report.SlotBytes),
			MaxEntries: ir.SlotsPerCPU, // times the CPUs: the loader knows
		})
	}
	if g.strSize > 0 {
		g.spec.Data = append(g.spec.Data, object.Data{Name: ir.MapStrings, Size: uint32(g.strSize)})
	}
	if g.statSize > 0 {
		g.checkStats()
		add(object.Map{Name: ir.MapStats, Type: cebpf.PerCPUArray, KeySize: 4, ValueSize: uint32(g.statSize), MaxEntries: 1})
	}
	g.addUnwind()
	g.addMarks()
	if g.maps[ir.MapRing] {
		add(object.Map{Name: ir.MapRing, Type: cebpf.RingBuf, MaxEntries: defaultRing})
	}
	for i := range p.Counters {
		if name := ir.MapCounter(i); g.maps[name] {
			add(object.Map{Name: name, Type: cebpf.PerfEventArray, KeySize: 4, ValueSize: 4, MaxEntries: 1}) // times the CPUs
		}
	}
	for i := range p.Globals {
		if gl := &p.Globals[i]; gl.IsArray() && gl.Share != ir.LoaderOnly {
			g.addArray(i, gl)
		}
	}
	g.addIndex()
	if len(g.consts.data) > 0 {
		g.report.ConstBytes = len(g.consts.data)
		g.spec.Data = append(g.spec.Data, object.Data{Name: ir.MapConst, Bytes: g.consts.data})
	}
}

// defaultRing is the size of the ring buffer; the loader may change it.
const defaultRing = 1 << 20

// maxKey is the longest key of a kernel hash map that leaves room for an
// element: MAX_BPF_STACK limits it for programs without BTF-typed keys no more,
// but keys and values together must stay below what kmalloc gives (kernel/bpf/hashtab.c).
const (
	maxKey    = 1 << 14
	maxPerCPU = 32 << 10 // PCPU_MIN_UNIT_SIZE
)

// maxElements is the most of a hash map: its buckets are a power of two, of 16 bytes
// each, in less than 4 GiB (kernel/bpf/hashtab.c).
const maxElements = 1 << 27

// checkStats names the scalar aggregate that is one too many: all share one element.
func (g *generator) checkStats() {
	if g.statSize <= maxPerCPU {
		return
	}
	for i := range g.p.Globals {
		gl := &g.p.Globals[i]
		if gl.IsArray() || gl.Value.Kind != ir.Stat || gl.Share == ir.LoaderOnly {
			continue
		}
		if _, size := gl.ValueLayout(); g.statOffs[i]+size > maxPerCPU {
			g.errorf(gl.Site, eTooWide, "the aggregates up to '%s' take %d bytes for each CPU, the most is %d: keep the others as elements of an array",
				gl.Name, g.statOffs[i]+size, maxPerCPU)
			return
		}
	}
}

func (g *generator) addArray(i int, gl *ir.Global) {
	_, key := ir.KeyLayout(gl.Keys)
	_, value := gl.ValueLayout()
	if key > maxKey {
		g.errorf(gl.Site, eKeyWidth, "the keys of array '%s' take %d bytes, the most is %d", gl.Name, key, maxKey)
		return
	}
	if gl.MaxEntries > maxElements {
		g.errorf(gl.Site, eTooMany, "array '%s' has %d elements, the most is %d", gl.Name, gl.MaxEntries, maxElements)
		return
	}
	m := object.Map{
		Name: ir.MapArray(i), Type: cebpf.Hash, KeySize: uint32(key), ValueSize: uint32(value),
		MaxEntries: uint32(max(gl.MaxEntries, 1)),
	}
	if gl.Value.Kind == ir.Stat {
		m.Type = cebpf.PerCPUHash
		if value > maxPerCPU {
			g.errorf(gl.Site, eKeyWidth, "an aggregate of '%s' takes %d bytes, the most is %d", gl.Name, value, maxPerCPU)
			return
		}
	}
	if gl.Generations {
		inner := m
		inner.Name = m.Name + "_0"
		m = object.Map{
			Name: ir.MapArray(i), Type: cebpf.ArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 1,
			Inner: &inner, Values: []object.MapValue{{Index: 0, Name: inner.Name}},
		}
		g.spec.Maps = append(g.spec.Maps, inner)
	}
	g.spec.Maps = append(g.spec.Maps, m)
	if gl.Wrap {
		g.addRing(i, gl)
	}
}

// dropUnused drops subprograms that no program reaches: those of shapes that were
// tried and given up. Kernel functions that are called are declared; all are
// without parameters and may be missing.
func (g *generator) dropUnused() {
	byName := map[string]*object.Function{}
	for i := range g.functions {
		byName[g.functions[i].Name] = &g.functions[i]
	}
	used, kfuncs := map[string]bool{}, map[string]bool{}
	var visit func(insns asm.Instructions)
	visit = func(insns asm.Instructions) {
		for i := range insns {
			if insns[i].IsKfuncCall() {
				kfuncs[insns[i].Reference()] = true
			}
			if !insns[i].IsFunctionReference() {
				continue
			}
			if f := byName[insns[i].Reference()]; f != nil && !used[f.Name] {
				used[f.Name] = true
				visit(f.Insns)
			}
		}
	}
	for i := range g.spec.Programs {
		visit(g.spec.Programs[i].Insns)
	}
	for name := range kfuncs {
		g.spec.Kfuncs = append(g.spec.Kfuncs, object.Kfunc{
			Name: name, Proto: &cbtf.FuncProto{Return: (*cbtf.Void)(nil)}, Optional: true,
		})
	}
	slices.SortFunc(g.spec.Kfuncs, func(a, b object.Kfunc) int { return strings.Compare(a.Name, b.Name) })
	g.functions = slices.DeleteFunc(g.functions, func(f object.Function) bool { return !used[f.Name] })
}

// findMaps finds the maps that the code in the end refers to.
func (g *generator) findMaps() {
	clear(g.maps)
	note := func(insns asm.Instructions) {
		for i := range insns {
			if insns[i].IsLoadFromMap() {
				g.maps[insns[i].Reference()] = true
			}
		}
	}
	for i := range g.spec.Programs {
		note(g.spec.Programs[i].Insns)
	}
	for i := range g.functions {
		note(g.functions[i].Insns)
	}
}

// mention makes a program refer to a data section that the loader wants to see:
// loaders leave out sections that nothing refers to.
func (g *generator) mention(name string, size int) {
	if size == 0 || g.maps[name] || len(g.spec.Programs) == 0 {
		return
	}
	p := &g.spec.Programs[0]
	// At the beginning, where r0 is free and no jump goes across. Its name and source line
	// stay with the first instruction.
	first := p.Insns[0]
	load := asm.LoadMapValue(asm.R0, 0, 0).WithReference(name).WithSymbol(first.Symbol()).WithSource(first.Source())
	p.Insns[0] = first.WithSymbol("")
	g.maps[name] = true
	p.Insns = slices.Insert(p.Insns, 0, load)
}

// section returns the section of a handler's program, as libbpf names it.
func (g *generator) section(h *ir.Handler, index int) string {
	target := ""
	var row *ir.Attach
	for i := range g.p.Probes {
		for j := range g.p.Probes[i].Attach {
			if a := &g.p.Probes[i].Attach[j]; index >= 0 && a.Handler == index && row == nil {
				row = a
			}
		}
	}
	carrier := ""
	if row != nil {
		target, carrier = row.Target, row.Carrier
	}
	with := func(prefix string) string {
		if target == "" {
			return prefix
		}
		return prefix + "/" + target
	}
	switch h.Ctx {
	case ir.CtxRegion:
		return "syscall"
	case ir.CtxRawTP:
		return with("raw_tp")
	case ir.CtxBTFTP:
		return with("tp_btf")
	case ir.CtxTracepoint:
		return with("tracepoint")
	case ir.CtxFentry:
		if h.Sleepable {
			return with("fentry.s")
		}
		return with("fentry")
	case ir.CtxFexit:
		if h.Sleepable {
			return with("fexit.s")
		}
		return with("fexit")
	case ir.CtxPerf:
		return "perf_event"
	case ir.CtxLSM:
		return "lsm/" + strings.TrimPrefix(target, "bpf_lsm_") // the prefix is libbpf's to add
	case ir.CtxNetfilter:
		return "netfilter"
	case ir.CtxKprobe:
		switch carrier {
		case "kprobe_multi":
			return "kprobe.multi"
		case "kretprobe_multi":
			return "kretprobe.multi"
		case "uprobe", "uretprobe", "usdt":
			if h.Sleepable {
				return "uprobe.multi.s"
			}
			return "uprobe.multi"
		}
		return "kprobe"
	}
	return ""
}

// program adds a finished program to the object.
func (g *generator) program(h *ir.Handler, index int, insns asm.Instructions) {
	sec := g.section(h, index)
	if sec == "" {
		g.errorf(0, eInternal, "handler %s has no program type (%d)", h.Name, h.Ctx)
		return
	}
	g.spec.Programs = append(g.spec.Programs, object.Program{Name: h.Name, Section: sec, Insns: insns})
}

// sub adds a shared subprogram or callback once, and returns its name.
func (g *generator) sub(name string, build func(s *stream)) string {
	if !g.subs[name] {
		g.subs[name] = true
		s := g.stream(name)
		build(s)
		g.function(s, 0)
	}
	return name
}

// function adds a finished subprogram, which is for the handler at a site, to the object
// and returns its length.
func (g *generator) function(s *stream, site int) int {
	insns, near := s.finish(g.line)
	g.done(s)
	if !near {
		g.errorf(site, eTooLarge, "the handler is too large: %d instructions", len(insns))
	}
	g.functions = append(g.functions, object.Function{Name: s.name, Insns: insns})
	return len(insns)
}
