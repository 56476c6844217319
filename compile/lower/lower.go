// Package lower turns an elaborated program into handler language (package ir).
//
// It decides nothing that depends on how programs run: string widths, locks,
// sharing and regions are added by package plan, which works on its result.
// Widths of strings are left 0, "to be inferred", except where a type fixes them.
package lower

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"stapkit/diag"
	"stapkit/ir"
	"stapkit/sema"
	"stapkit/syntax"
	"stapkit/tapsets"
)

// Options control lowering.
type Options struct {
	// Name is the program's name, as module_name() gives it.
	Name string
	// Limits are the script's limits.
	Limits ir.Limits
	// NoGlobalDisplay turns the display of unread globals off.
	NoGlobalDisplay bool
	// SuppressErrors lets the session go on after errors of handlers
	// (--suppress-handler-errors); the loader counts the errors.
	SuppressErrors bool
	// HZ is the target's CONFIG_HZ, for timer.jiffies; 0 means 250.
	HZ int64
	// Arch is the target's architecture, as GOARCH names it; "" means amd64.
	Arch string
	// Made, when set, is told what each body became, a function or a handler. The first
	// of its Locals are those of the body, in order.
	Made func(src *sema.Body, f *ir.Func, h *ir.Handler)
	// Context, when set, ends lowering before its time; what has been lowered by then is
	// of no use.
	Context context.Context
}

// Program lowers an elaborated program. The diagnostics are those of
// constructs that elaboration accepts and no execution has.
func Program(sp *sema.Program, opt Options) (*ir.Program, []diag.Diagnostic) {
	l := &lowerer{
		src:      sp,
		opt:      opt,
		out:      &ir.Program{Name: opt.Name, Limits: opt.Limits},
		globals:  map[*sema.Global]int{},
		funcs:    map[*sema.Func]int{},
		sites:    map[siteKey]int{},
		formats:  map[string]int{},
		regexps:  map[string]int{},
		tables:   map[string]int{},
		types:    map[string]int{},
		layouts:  map[string]int{},
		handlers: map[string]bool{},
		counters: map[*sema.Probe]int{},
		layers:   map[string]int{},
		crowds:   map[*syntax.ProbeDecl]int{},
		entries:  map[entryKey]int{},
	}
	if l.opt.HZ == 0 {
		l.opt.HZ = 250
	}
	l.out.Limits.SuppressErrors = opt.SuppressErrors
	l.out.Sites = []ir.Site{{}} // site 0: nowhere
	for _, g := range sp.Globals {
		l.global(g)
	}
	for _, f := range sp.Funcs {
		if f.Body != nil {
			l.funcs[f] = len(l.out.Funcs)
			l.out.Funcs = append(l.out.Funcs, &ir.Func{Name: f.Name, Library: f.Library, Recursive: f.Recursive, Site: l.site(f.Decl)})
		}
	}
	for _, f := range sp.Funcs {
		if f.Body != nil && !l.ended() {
			l.function(f)
		}
	}
	l.chooseDispatch()
	for _, p := range sp.Probes {
		l.crowds[p.Decl]++
	}
	for _, p := range sp.Probes {
		if l.ended() {
			break
		}
		l.probe(p)
	}
	if !diag.HasErrors(l.diags) && !l.ended() {
		specialise(l.out)
	}
	return l.out, l.diags
}

func (l *lowerer) ended() bool { return l.opt.Context != nil && l.opt.Context.Err() != nil }

type lowerer struct {
	src      *sema.Program
	opt      Options
	out      *ir.Program
	diags    []diag.Diagnostic
	globals  map[*sema.Global]int
	funcs    map[*sema.Func]int
	sites    map[siteKey]int
	formats  map[string]int
	regexps  map[string]int
	tables   map[string]int
	types    map[string]int
	layouts  map[string]int
	handlers map[string]bool
	// dispatch: system calls ride on the raw tracepoints, by number.
	dispatch bool
	counters map[*sema.Probe]int
	calls    calls          // the system calls that what is lowered sees
	layers   map[string]int // handlers so far of a call, by tracepoint and number
	crowds   map[*syntax.ProbeDecl]int
	entries  map[entryKey]int // arrays of @entry values that the probes of a crowd share
}

// calls tells which system calls a probe of one sees.
type calls int

const (
	allCalls calls = iota // those of 64-bit programs; on raw tracepoints of 32-bit ones, too
	calls32               // those of 32-bit programs that have the call's own number
	muxCalls              // those that 32-bit programs make through socketcall or ipc
)

// compatNumbers are the numbers by which a dispatcher tells the calls of 32-bit programs
// that a probe sees.
func (l *lowerer) compatNumbers(p *sema.Probe) []int {
	var nrs []int
	if l.calls != muxCalls {
		nrs = slices.Clone(p.CompatNrs)
	}
	if p.Mux > 0 && l.calls != calls32 {
		nrs = append(nrs, ir.MaxSyscall+p.Mux)
	}
	return nrs
}

type entryKey struct {
	decl *syntax.ProbeDecl
	n    int
	kind ir.Kind
}

// crowd is how many points of one probe share programs, so that the carriers
// which want a program for each place are a last resort.
const crowd = 8

func (l *lowerer) crowded(p *sema.Probe) bool { return p.Decl != nil && l.crowds[p.Decl] > crowd }

type siteKey struct {
	file string
	off  int
}

func (l *lowerer) errorf(n syntax.Node, code diag.Code, format string, args ...any) {
	l.report(n, code, "", fmt.Sprintf(format, args...))
}

// report adds an error, once: a body is lowered for each of its places and carriers.
func (l *lowerer) report(n syntax.Node, code diag.Code, help, message string) {
	at := syntax.AnchorRange(n)
	for i := range l.diags {
		if d := &l.diags[i]; d.Code == code && d.Range == at && d.Message == message {
			return
		}
	}
	l.diags = append(l.diags, diag.Diagnostic{
		Code: code, Severity: diag.Error, Range: at, Message: message, Help: help, Related: syntax.Origin(n),
	})
}

// site returns the index of the node's place: its anchor token.
func (l *lowerer) site(n syntax.Node) int {
	f := n.File()
	r := f.TokenRange(n.Anchor())
	key := siteKey{r.Start.File, r.Start.Offset}
	if i, ok := l.sites[key]; ok {
		return i
	}
	i := len(l.out.Sites)
	l.out.Sites = append(l.out.Sites, ir.Site{
		File: r.Start.File, Line: r.Start.Line, Col: r.Start.Col,
		Token: syntax.Describe(f, n.Anchor()),
	})
	l.sites[key] = i
	return i
}

func irType(t sema.Type) ir.Type {
	switch t {
	case sema.Long:
		return ir.TInt
	case sema.String:
		return ir.Type{Kind: ir.Str}
	case sema.Stats:
		return ir.TStat
	}
	return ir.TInt // an unused variable
}

func (l *lowerer) global(g *sema.Global) {
	out := ir.Global{
		Name: g.Name, Value: irType(g.Type), Lock: -1, Wrap: g.Wrap, Library: g.Library,
		Site:    l.declared(g),
		InitInt: g.InitInt, InitStr: g.InitStr,
		AutoPrint: g.AutoPrint && !l.opt.NoGlobalDisplay,
	}
	if g.Array {
		for _, k := range g.Keys {
			out.Keys = append(out.Keys, irType(k))
		}
		out.MaxEntries = int(g.Max)
		if g.Max == 0 {
			out.MaxEntries = l.opt.Limits.MaxMapEntries
		}
	} else if g.Type != sema.Stats {
		out.Settable = !g.Library && !g.Private
	}
	if g.Type == sema.Stats {
		s := g.Stat
		out.Stat = ir.StatShape{
			Sum: s.Sum || s.Avg, Min: s.Min, Max: s.Max, Variance: s.Variance, VarShift: int(s.Shift),
			Hist: ir.Hist(s.Hist), Low: s.Low, High: s.High, Step: s.Step,
		}
		if out.AutoPrint {
			out.Stat.Sum, out.Stat.Min, out.Stat.Max = true, true, true
		}
	}
	l.globals[g] = len(l.out.Globals)
	l.out.Globals = append(l.out.Globals, out)
}

// declared is where a global is declared; the library's own may have no declaration.
func (l *lowerer) declared(g *sema.Global) int {
	if g.Decl == nil {
		return 0
	}
	return l.site(g.Decl)
}

func (l *lowerer) function(f *sema.Func) {
	out := l.out.Funcs[l.funcs[f]]
	b := l.newBody(f.Body, f.Library)
	out.Params = len(f.Params)
	out.Result = ir.TVoid
	if f.Result != sema.Unknown {
		out.Result = irType(f.Result)
	}
	b.result = out.Result
	b.unnamed = l.onlyUnnamed()
	if f.Decl.Body != nil {
		out.Body = b.block(f.Decl.Body.Stmts)
	}
	out.Locals = b.locals
	if l.opt.Made != nil {
		l.opt.Made(f.Body, out, nil)
	}
}

// maxOwnEvents is how many probes of system calls ride on the calls' own events;
// more share the raw tracepoints, where a dispatcher jumps by the call's number.
// An event costs only its call but takes long to attach.
const maxOwnEvents = 8

// chooseDispatch decides how system calls are carried.
func (l *lowerer) chooseDispatch() {
	n := 0
	for _, p := range l.src.Probes {
		if p.Family == sema.FamSyscall && p.SyscallNr >= 0 {
			n++
		}
	}
	l.dispatch = n > maxOwnEvents
}

// carriers are the ways to attach a probe, as sema found them, or the dispatcher.
func (l *lowerer) carriers(p *sema.Probe) []sema.Carrier {
	if l.calls != allCalls {
		list := slices.Clone(p.Carriers)
		for i := range list {
			if list[i].Kind == "raw_tp" {
				// One program for all such calls, and no 64-bit number.
				list[i].Kind, list[i].Config = "dispatch", ir.MaxSyscall
			}
		}
		return list
	}
	if !l.dispatch || p.Family != sema.FamSyscall || p.SyscallNr < 0 {
		if !l.crowded(p) {
			return p.Carriers
		}
		list := slices.Clone(p.Carriers)
		own := func(c sema.Carrier) int {
			switch c.Kind {
			case "fentry", "fexit", "tp_btf":
				return 1
			}
			return 0
		}
		slices.SortStableFunc(list, func(a, b sema.Carrier) int { return own(a) - own(b) })
		if slices.ContainsFunc(list, func(c sema.Carrier) bool { return c.Kind == "raw_tp" }) {
			// It is wherever tp_btf is.
			list = slices.DeleteFunc(list, func(c sema.Carrier) bool { return c.Kind == "tp_btf" })
		}
		return list
	}
	c := sema.Carrier{Kind: "dispatch", Target: "sys_enter", Config: uint64(p.SyscallNr)}
	if p.Return {
		c.Target = "sys_exit"
	}
	return []sema.Carrier{c}
}

// layer numbers the handlers of one system call: each layer has one for a call.
func (l *lowerer) layer(c *sema.Carrier, p *sema.Probe) {
	if c.Kind == "dispatch" {
		key := fmt.Sprint(c.Target, p.SyscallNr, l.calls)
		c.Type = uint32(l.layers[key])
		l.layers[key]++
	}
}

// probe lowers one resolved probe: its row, and a handler for each kind of
// context that its carriers give.
func (l *lowerer) probe(p *sema.Probe) {
	if p.Family == sema.FamNever {
		return
	}
	row := ir.Probe{
		Point: p.Point, Name: p.Point,
		Order: p.Order, Interval: p.Interval, Random: p.Random, PerSecond: p.Hz,
		Optional: p.Optional, Sufficient: p.Sufficient, Member: p.Member,
	}
	switch p.Family {
	case sema.FamMark, sema.FamProcess, sema.FamNetfilter: // they have names of other things
	default:
		row.Func = p.Func
	}
	switch {
	case p.Decl != nil:
		row.Site = l.site(p.Decl)
	case p.Written != nil:
		row.Site = l.site(p.Written)
	}
	if p.Family == sema.FamPerf {
		row.Interval = p.Sample
	}
	if p.Jiffies != 0 {
		row.Interval, row.Random = p.Jiffies*1e9/l.opt.HZ, p.RandomJiffies*1e9/l.opt.HZ
	}
	for _, d := range p.Chain {
		row.Script = d.Point
		if d.Alias != nil {
			row.Name = strings.TrimSpace(strings.SplitN(d.Point, "=", 2)[0])
		}
	}
	if f, ok := families[p.Family]; ok {
		row.Family, row.Kind = f.fam, f.kind
	}
	if rest, ok := strings.CutPrefix(row.Kind, "kernel."); ok {
		switch {
		case strings.HasPrefix(p.Point, "kprobe."):
			row.Kind = "kprobe." + rest
		case p.Family == sema.FamData && strings.HasPrefix(p.Point, "process"):
			row.Kind = "process." + rest
		}
	}
	index := len(l.out.Probes)
	if p.InLoader() {
		h := l.handler(p, index, false, ir.CtxNone, &entryMaps{})
		a := ir.Attach{Carrier: "loader", Handler: h}
		if p.Family == sema.FamProcfs {
			a.Target, a.Write, a.Length = p.Path, p.Write, uint64(p.MaxSize)
			a.Config = procfsUmask
			if p.Umask >= 0 {
				a.Config = uint64(p.Umask)
			}
		}
		if p.Resident {
			if !l.runsInLoader(h) {
				// It asks for what only the kernel knows: it is not told of
				// tasks that are there already.
				l.out.Handlers = l.out.Handlers[:h]
				return
			}
			c := &p.Carriers[0]
			a.Process, a.PID, a.TargetSet, a.Target = c.Process, c.PID, c.TargetSet, "process"
			if p.Func == "thread.begin" {
				a.Target = "thread"
			}
		}
		row.Attach = []ir.Attach{a}
		l.out.Probes = append(l.out.Probes, row)
		return
	}
	entries := l.entryMaps(p, index)
	byTrampoline := entries.byArgs || l.entryByTrampoline(p, index, entries)
	byContext := map[ir.Context]int{}
	for _, c := range l.carriers(p) {
		ctx, ok := contexts[c.Kind]
		if !ok {
			l.errorf(p.Written, "E2001", "the carrier %q of %s has no code generator", c.Kind, p.Point)
			continue
		}
		if ctx == ir.CtxFexit && !byTrampoline {
			continue
		}
		if len(entries.maps) > 0 && c.Kind == "uprobe" {
			continue // a return instruction of Go, whose stacks move meanwhile
		}
		h, ok := byContext[ctx]
		if !ok {
			h = l.handler(p, index, true, ctx, entries)
			if (ctx == ir.CtxFentry || ctx == ir.CtxFexit) && l.asksRegisters(h) && hasContext(l.carriers(p), ir.CtxKprobe) {
				l.out.Handlers = l.out.Handlers[:h] // nothing refers to it
				h = -1
			}
			byContext[ctx] = h
		}
		if h < 0 {
			continue
		}
		l.layer(&c, p)
		a := attach(c, h)
		switch c.Kind {
		case "kretprobe":
			a.MaxActive = int(p.MaxActive)
		case "dispatch":
			a.Compat = l.compatNumbers(p)
		}
		row.Attach = append(row.Attach, a)
	}
	if len(row.Attach) == 0 && p.Written != nil && !diag.HasErrors(l.diags) {
		l.errorf(p.Written, "E2001", "no carrier of %s can keep values from the entry", p.Point)
	}
	l.out.Probes = append(l.out.Probes, row)
	if len(entries.maps) > 0 {
		l.entryProbe(p, &row, entries)
	}
	if l.dispatch || l.calls != allCalls {
		return
	}
	// The events of a call do not tell of 32-bit programs.
	q := *p
	q.Optional = true
	if q.Carriers = p.Compat; len(q.Carriers) > 0 {
		l.calls = calls32
		l.probe(&q)
	}
	if q.Carriers = p.MuxCarriers; len(q.Carriers) > 0 {
		l.calls = muxCalls
		l.probe(&q)
	}
	l.calls = allCalls
}

// procfsUmask takes the files of procfs probes from all but their owner, as
// SystemTap does.
const procfsUmask = 0o066

// runsInLoader reports whether nothing that a handler does needs the kernel.
func (l *lowerer) runsInLoader(h int) bool {
	ok := true
	seen := map[int]bool{}
	var expr func(x ir.Expr)
	expr = func(x ir.Expr) {
		switch x := x.(type) {
		case *ir.CtxArg, *ir.CtxField:
			ok = false
		case *ir.Load:
			ok = ok && x.Space == ir.KernelSpace
		case *ir.Field:
			ok = ok && x.Space == ir.KernelSpace
		case *ir.MakeText:
			if user, stack := x.Kind.IsStack(); stack || user {
				ok = false
			}
		case *ir.Intrinsic:
			ok = ok && ir.Intrinsics[x.ID].Where&ir.InLoader != 0 && x.ID != ir.IKFrame && x.ID != ir.IUFrame
		case *ir.Call:
			for _, f := range x.Chain {
				if !seen[f] {
					seen[f] = true
					ir.Walk(l.out.Funcs[f].Body, nil, expr)
				}
			}
		}
	}
	l.out.Handlers[h].Walk(nil, expr)
	return ok
}

// asksRegisters reports whether a handler wants the registers of the probed place,
// which programs on the entry and return of functions are not given, or frames of
// its stack by number, before which these have frames of their own.
func (l *lowerer) asksRegisters(h int) bool {
	found := false
	seen := map[int]bool{}
	var expr func(x ir.Expr)
	expr = func(x ir.Expr) {
		switch x := x.(type) {
		case *ir.Intrinsic:
			found = found || x.ID == ir.IReg || x.ID == ir.IHasRegs || x.ID == ir.IKFrame
		case *ir.Call:
			for _, f := range x.Chain {
				if !seen[f] {
					seen[f] = true
					ir.Walk(l.out.Funcs[f].Body, nil, expr)
				}
			}
		}
	}
	l.out.Handlers[h].Walk(nil, expr)
	return found
}

func hasContext(list []sema.Carrier, ctx ir.Context) bool {
	for i := range list {
		if contexts[list[i].Kind] == ctx {
			return true
		}
	}
	return false
}

func attach(c sema.Carrier, handler int) ir.Attach {
	return ir.Attach{
		Carrier: c.Kind, Handler: handler, Target: c.Target, Module: c.Module, Symbol: c.Symbol,
		Offset: c.Offset, BuildID: c.BuildID, Semaphore: c.Semaphore, Type: c.Type, Config: c.Config,
		Address: c.Address, Length: c.Length, Write: c.WriteOnly, Process: c.Process, PID: c.PID,
		TargetSet: c.TargetSet, Needs: c.Needs, Spec: c.Spec,
	}
}

// maxEntries bounds the calls that can be between entry and return at a time.
const maxEntries = 8192

// entryMaps are the arrays that keep a return probe's @entry values, keyed by
// thread and stack pointer. The probes of a crowd share theirs; their number is
// then a third key, as a function that ends by jumping to another gives it its
// stack pointer.
type entryMaps struct {
	maps  []int
	point int // the return probe's number, -1: no key
	// byArgs: all values are arguments of the function, which fexit programs still
	// have, so that these need no probe at the entry.
	byArgs bool
}

// keys name the invocation of the function with the stack pointer sp at its entry.
func (e *entryMaps) keys(sp ir.Expr) []ir.Expr {
	keys := []ir.Expr{&ir.Intrinsic{ID: ir.ITid, T: ir.TInt}, ir.CloneExpr(sp)}
	if e.point >= 0 {
		keys = append(keys, &ir.IntConst{V: int64(e.point)})
	}
	return keys
}

func (l *lowerer) entryMaps(p *sema.Probe, probe int) *entryMaps {
	out := &entryMaps{point: -1, byArgs: true}
	if p.Body == nil {
		return out
	}
	for _, e := range p.Body.Entries {
		out.byArgs = out.byArgs && e.Arg >= 0
	}
	for i, e := range p.Body.Entries {
		g := ir.Global{
			Name: fmt.Sprintf("__entry_%d_%d", probe, i), Keys: []ir.Type{ir.TInt, ir.TInt}, Value: irType(e.Type),
			MaxEntries: maxEntries, Lock: -1, Library: true, Site: l.site(e.X),
		}
		key := entryKey{p.Decl, i, g.Value.Kind}
		if l.crowded(p) {
			out.point = probe
			if n, ok := l.entries[key]; ok {
				out.maps = append(out.maps, n)
				continue
			}
			l.entries[key] = len(l.out.Globals)
			g.Keys = append(g.Keys, ir.TInt)
		}
		out.maps = append(out.maps, len(l.out.Globals))
		l.out.Globals = append(l.out.Globals, g)
	}
	return out
}

// entryCarriers are the carriers at the entry for those at the return.
var entryCarriers = map[string]string{
	"kretprobe": "kprobe", "kretprobe_multi": "kprobe_multi", "uretprobe": "uprobe", "tracepoint": "tracepoint",
	"raw_tp": "raw_tp", "tp_btf": "tp_btf", "dispatch": "dispatch", "fexit": "fentry",
}

// entryByTrampoline reports whether a program on the function's entry can take the
// values: it has no registers.
func (l *lowerer) entryByTrampoline(p *sema.Probe, probe int, entries *entryMaps) bool {
	if !hasContext(l.carriers(p), ir.CtxFexit) || !hasContext(l.carriers(p), ir.CtxKprobe) {
		return true
	}
	h := len(l.out.Handlers)
	l.out.Handlers = append(l.out.Handlers, l.entryHandler(p, probe, ir.CtxFentry, entries))
	asks := l.asksRegisters(h)
	delete(l.handlers, l.out.Handlers[h].Name)
	l.out.Handlers = l.out.Handlers[:h] // nothing refers to it
	return !asks
}

// entryProbe makes the row and handler that take @entry values.
func (l *lowerer) entryProbe(p *sema.Probe, ret *ir.Probe, entries *entryMaps) {
	row := *ret
	row.Point += " (entry)"
	row.Attach = nil
	row.Hidden = true
	index := len(l.out.Probes)
	byContext := map[ir.Context]int{}
	for _, c := range l.carriers(p) {
		kind, ok := entryCarriers[c.Kind]
		if !ok || kind == "fentry" && (entries.byArgs || !hasCarrier(ret, "fexit")) {
			continue
		}
		c.Kind = kind
		c.Target = strings.Replace(c.Target, "sys_exit", "sys_enter", 1)
		ctx := contexts[kind]
		h, ok := byContext[ctx]
		if !ok {
			h = len(l.out.Handlers)
			l.out.Handlers = append(l.out.Handlers, l.entryHandler(p, index, ctx, entries))
			byContext[ctx] = h
		}
		l.layer(&c, p)
		a := attach(c, h)
		if c.Kind == "dispatch" {
			a.Compat = l.compatNumbers(p)
		}
		row.Attach = append(row.Attach, a)
	}
	l.out.Probes = append(l.out.Probes, row)
}

func hasCarrier(p *ir.Probe, kind string) bool {
	return slices.ContainsFunc(p.Attach, func(a ir.Attach) bool { return a.Carrier == kind })
}

// entryHandler makes the handler that takes @entry values.
func (l *lowerer) entryHandler(p *sema.Probe, probe int, ctx ir.Context, entries *entryMaps) *ir.Handler {
	hd := &ir.Handler{Kernel: true, Ctx: ctx, Probe: probe, MaxActions: l.opt.Limits.MaxAction}
	hd.Name = l.handlerName(p, probe)
	for i, e := range p.Body.Entries {
		b := l.newBody(e.Body, p.Lib)
		b.locals = append(b.locals, hd.Locals...) // of the entries before: temporaries
		b.ctx, b.kernel, b.calls, b.mux = ctx, true, l.calls, p.Mux
		x := b.expr(e.X)
		g := entries.maps[i]
		hd.Body = append(hd.Body, b.prologue()...)
		hd.Locals = b.locals
		hd.Body = append(hd.Body, &ir.Eval{X: &ir.Update{
			L: ir.LValue{Global: true, ID: g, T: l.out.Globals[g].Value,
				Keys: entries.keys(l.stackPointer(p, ctx, false))},
			Op: ir.OpSet, R: x, Site: l.site(e.X),
		}})
	}
	l.filterSyscall(p, hd, ctx, false)
	return hd
}

// stackPointer names a call in a thread: the stack pointer at its entry, or where the
// kernel keeps the function's arguments for the programs at its entry and return. System
// calls do not nest in a thread.
func (l *lowerer) stackPointer(p *sema.Probe, ctx ir.Context, ret bool) ir.Expr {
	switch ctx {
	case ir.CtxFentry, ir.CtxFexit:
		return &ir.Intrinsic{ID: ir.IStackPointer, T: ir.TInt}
	case ir.CtxKprobe:
	default:
		return &ir.IntConst{}
	}
	r := l.regs()
	var sp ir.Expr = &ir.CtxField{Off: r.sp, Size: 8}
	if ret && r.entrySP != 0 {
		grown := r.entrySP
		if p.Bits32 {
			grown = 4
		}
		sp = &ir.Binary{Op: ir.OpSub, X: sp, Y: &ir.IntConst{V: grown}, T: ir.TInt}
	}
	return sp
}

// filterSyscall makes a handler on a raw tracepoint run for its system call only,
// and one on the function of a call for 32-bit programs only: calls without
// arguments have one function for all programs.
func (l *lowerer) filterSyscall(p *sema.Probe, h *ir.Handler, ctx ir.Context, ret bool) {
	if l.dispatch || p.Family != sema.FamSyscall || p.SyscallNr < 0 {
		return
	}
	b := &body{lowerer: l, ctx: ctx, ret: ret, kernel: true}
	var c ir.Expr
	switch {
	case l.calls == muxCalls && ctx == ir.CtxKprobe:
		c = &ir.Logical{
			And: true,
			X:   b.mode32(0),
			Y:   b.isMux(p.Mux),
		}
	case l.calls == calls32 && ctx == ir.CtxKprobe:
		c = b.mode32(0)
	case l.calls == allCalls && (ctx == ir.CtxRawTP || ctx == ir.CtxBTFTP):
		// The same number is another call of a 32-bit program.
		nr, _ := b.syscall(&sema.Access{Base: sema.BaseSyscallNr}, 0)
		c = &ir.Logical{
			And: true,
			X:   &ir.Binary{Op: ir.OpEq, X: nr, Y: &ir.IntConst{V: int64(p.SyscallNr)}, T: ir.TInt},
			Y:   &ir.Unary{Op: ir.OpNot, X: b.mode32(0)},
		}
	default:
		return
	}
	if h.Cond != nil {
		c = &ir.Logical{And: true, X: c, Y: h.Cond}
	}
	h.Cond = c
}

var families = map[sema.Family]struct {
	fam  ir.Family
	kind string
}{
	sema.FamBegin: {ir.FamBegin, "begin"}, sema.FamEnd: {ir.FamEnd, "end"}, sema.FamError: {ir.FamError, "error"},
	sema.FamTimer: {ir.FamTimer, "timer"}, sema.FamProfile: {ir.FamProfile, "timer.profile"},
	sema.FamTrace: {ir.FamTracepoint, "kernel.trace"}, sema.FamTracepoint: {ir.FamTracepoint, "kernel.tracepoint"},
	sema.FamSyscall: {ir.FamTracepoint, "kernel.trace"}, sema.FamUSyscall: {ir.FamTracepoint, "process.syscall"},
	sema.FamFunction: {ir.FamFunction, "kernel.function"}, sema.FamStatement: {ir.FamFunction, "kernel.statement"},
	sema.FamUFunction: {ir.FamUser, "process.function"}, sema.FamUStatement: {ir.FamUser, "process.statement"},
	sema.FamMark: {ir.FamUser, "process.mark"}, sema.FamProcess: {ir.FamProcess, "process"},
	sema.FamPerf: {ir.FamPerf, "perf"}, sema.FamData: {ir.FamWatch, "kernel.data"},
	sema.FamProcfs: {ir.FamProcfs, "procfs"}, sema.FamNetfilter: {ir.FamNetfilter, "netfilter"}, sema.FamLSM: {ir.FamLSM, "lsm"},
}

var contexts = map[string]ir.Context{
	"raw_tp": ir.CtxRawTP, "dispatch": ir.CtxRawTP, "tp_btf": ir.CtxBTFTP, "tracepoint": ir.CtxTracepoint,
	"fentry": ir.CtxFentry, "fexit": ir.CtxFexit,
	"kprobe": ir.CtxKprobe, "kretprobe": ir.CtxKprobe, "kprobe_multi": ir.CtxKprobe, "kretprobe_multi": ir.CtxKprobe,
	"uprobe": ir.CtxKprobe, "uretprobe": ir.CtxKprobe, "usdt": ir.CtxKprobe,
	"perf": ir.CtxPerf, "breakpoint": ir.CtxPerf, "lsm": ir.CtxLSM, "netfilter": ir.CtxNetfilter,
}

// handler lowers the body of a probe for one context and returns its index.
func (l *lowerer) handler(p *sema.Probe, probe int, kernel bool, ctx ir.Context, entries *entryMaps) int {
	h := &ir.Handler{Kernel: kernel, Ctx: ctx, Probe: probe, Return: p.Return}
	h.MaxActions = l.opt.Limits.MaxAction
	if !kernel {
		h.MaxActions = l.opt.Limits.MaxActionInterruptible
	}
	h.Name = l.handlerName(p, probe)
	b := l.newBody(p.Body, p.Lib)
	b.ctx = ctx
	b.kernel = kernel
	b.ret, b.calls, b.mux, b.unnamed = p.Return, l.calls, p.Mux, unnamed(p)
	for _, c := range p.Conds {
		cb := l.newBody(c.Body, p.Lib)
		x := cb.expr(c.X)
		if x.Type().Kind == ir.Str {
			l.errorf(c.X, "E2002", "the condition of a probe must be a number")
			continue
		}
		if h.Cond == nil {
			h.Cond = x
		} else {
			h.Cond = &ir.Logical{And: true, X: h.Cond, Y: x}
		}
	}
	var stmts []syntax.Stmt
	for _, blk := range p.Blocks {
		stmts = append(stmts, blk.Stmts...)
	}
	var pre []ir.Stmt
	switch {
	case len(entries.maps) == 0:
	case ctx == ir.CtxFexit && entries.byArgs:
		pre = b.entryArgs(p)
	default:
		pre = b.entryFetch(entries, l.stackPointer(p, ctx, true))
	}
	main := b.block(stmts)
	h.Body = append(append(b.prologue(), pre...), main...)
	l.filterSyscall(p, h, ctx, p.Return)
	h.Locals = b.locals
	if l.opt.Made != nil {
		l.opt.Made(p.Body, nil, h)
	}
	l.out.Handlers = append(l.out.Handlers, h)
	return len(l.out.Handlers) - 1
}

// handlerName makes a unique C identifier that tells the probe.
func (l *lowerer) handlerName(p *sema.Probe, probe int) string {
	base := p.Func
	if base == "" {
		base = p.Point
	}
	var b strings.Builder
	for _, r := range base {
		if r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			b.WriteRune(r)
		} else {
			b.WriteByte('_')
		}
	}
	name := fmt.Sprintf("p%d_%s", probe, b.String())
	if len(name) > 40 {
		name = name[:40]
	}
	for n := name; ; {
		if !l.handlers[n] {
			l.handlers[n] = true
			return n
		}
		n = fmt.Sprintf("%s_%d", name, len(l.handlers))
	}
}

func (l *lowerer) table(n syntax.Node, name string) int {
	name = strings.TrimSpace(name)
	if i, ok := l.tables[name]; ok {
		return i
	}
	t, ok := tapsets.Lookup(name)
	if !ok {
		l.errorf(n, "E2003", "the tapset library has no table %q", name)
	}
	out := ir.Table{Name: name, Default: t.Default}
	if t.Flags {
		out.Kind = ir.TableFlags
	}
	for _, e := range t.Entries {
		out.Entries = append(out.Entries, ir.TableEntry{Value: e.Value, Name: e.Name})
	}
	i := len(l.out.Tables)
	l.out.Tables = append(l.out.Tables, out)
	l.tables[name] = i
	return i
}

// ScriptName is the name of a program made from a script file: its base name
// without suffix.
func ScriptName(file string) string {
	base := filepath.Base(file)
	return strings.TrimSuffix(base, filepath.Ext(base))
}
