package sema

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"stapkit/target"
	"stapkit/target/debuginfo"
	"stapkit/target/dwarf"
	"stapkit/target/elf"
)

// kernelKey names the debug information of a kernel ("") or module.
type kernelKey struct {
	target *target.Target
	module string
}

type kernelData struct {
	once sync.Once
	data *dwarf.Data
	err  error
}

// kernel gives the debug information of a target's kernel, for "", or module.
func (b *Binaries) kernel(t *target.Target, module string) (*dwarf.Data, error) {
	b.mu.Lock()
	if b.kernels == nil {
		b.kernels = map[kernelKey]*kernelData{}
	}
	k := b.kernels[kernelKey{t, module}]
	if k == nil {
		k = &kernelData{}
		b.kernels[kernelKey{t, module}] = k
	}
	b.mu.Unlock()
	k.once.Do(func() {
		name := "the kernel"
		if module != "" {
			name = "module " + module
		}
		defer b.begin(name)()
		k.data, k.err = debuginfo.Open(t, module, &b.Search)
	})
	return k.data, k.err
}

// kernelCode gives the debug information of the kernel or a module; the error says
// where it was looked for.
func (r *resolver) kernelCode(module string) (*code, error) {
	t := r.e.opt.Target
	d, err := r.e.opt.Binaries.kernel(t, module)
	if err != nil {
		return nil, err
	}
	c := &code{data: d, elf: d.Program, head: kernelWhere("kernel", module), space: KernelSpace, module: module,
		function: FamFunction, statement: FamStatement}
	c.whole = func(in *request, i *dwarf.Instance, text string) (*Probe, *fail) {
		return r.kernelWhole(in, c, i, text)
	}
	c.place = func(p *Probe, i *dwarf.Instance, addr uint64) *fail { return r.kernelPlace(c, p, addr) }
	return c, nil
}

// kernelCodes gives the debug information of what a request names: the kernel, or the
// modules that fit its pattern.
func (r *resolver) kernelCodes(in *request, what string) ([]*code, *fail) {
	t := r.e.opt.Target
	pattern := modulePattern(in)
	names := []string{pattern}
	if target.IsPattern(pattern) {
		names = names[:0]
		for _, m := range t.Objects() {
			if m != target.Kernel && target.Match(pattern, m) {
				names = append(names, m)
			}
		}
	}
	var out []*code
	var first error
	for _, m := range names {
		c, err := r.kernelCode(m)
		switch {
		case err == nil:
			out = append(out, c)
		case first == nil:
			first = err
		}
		if err != nil && !errors.Is(err, dwarf.ErrNoDebug) && !r.e.noted["debug "+m] {
			r.e.noted["debug "+m] = true
			r.e.errorAt(codeNeedTarget, in.node, "debug information is there and cannot be read: %v", err)
		}
	}
	if len(out) == 0 {
		return nil, r.needKernelDWARF(what, first)
	}
	return out, nil
}

// needKernelDWARF refuses what the kernel's types cannot tell.
func (r *resolver) needKernelDWARF(what string, err error) *fail {
	f := failf(codeNeedDebuginfo, nil, "%s needs the kernel's debug information; its BTF tells functions, parameters and types only", what)
	if t := r.e.opt.Target; t != nil {
		f.help = t.DebugInfoHelp()
	}
	if err != nil && !errors.Is(err, dwarf.ErrNoDebug) {
		f.help = err.Error()
	}
	return f
}

// discarded reports whether an address is in code that the kernel gives up when it
// has started, or that is none of its running code.
func (c *code) discarded(addr uint64) bool {
	if c.elf.InSection(addr, ".init.", ".exit.") {
		return true
	}
	if c.module != "" || c.elf.ELF().Section(".init.text") != nil {
		return false
	}
	// Sections were merged when the kernel was linked; its symbols take long to read.
	sym := func(name string) uint64 {
		if list, err := c.elf.Lookup(name); err == nil && len(list) > 0 {
			return list[0].Addr
		}
		return 0
	}
	from, to := sym("_sinittext"), sym("_einittext")
	return from != 0 && addr >= from && addr < to
}

// kernelPlace makes the carrier of an instruction in the kernel.
func (r *resolver) kernelPlace(c *code, p *Probe, addr uint64) *fail {
	t := r.e.opt.Target
	if c.discarded(addr) {
		return failf(codeNoMatch, nil, "no match: the code at %#x is gone once the kernel, or the module, has started", addr)
	}
	s, off, ok := c.elf.At(addr)
	if !ok {
		return failf(codeNoMatch, nil, "no match: no symbol tells where %#x is", addr)
	}
	if denied, _ := t.Denied(s.Name); denied {
		return failf(codeNoMatch, nil, "function %s is blocklisted by the kernel: it cannot be probed", s.Name)
	}
	c.unique(&s, &off, addr)
	p.Carriers = []Carrier{{Kind: "kprobe", Target: s.Name, Module: c.module, Offset: off, BuildID: r.buildID(c),
		Reason: "an instruction binds to one build of the kernel"}}
	return nil
}

// buildID is the build that a place in a binary is bound to.
func (r *resolver) buildID(c *code) string {
	if id := r.e.opt.Target.BuildID(); c.module == "" && id != "" {
		return id
	}
	return c.elf.BuildID
}

// unique gives an address relative to a symbol that is the only one of its name:
// files have static functions of the same name.
func (c *code) unique(s *elf.Symbol, off *uint64, addr uint64) {
	alone := func(name string) (elf.Symbol, bool) {
		list, err := c.elf.Lookup(name)
		return list[0], err == nil && len(list) == 1
	}
	if _, ok := alone(s.Name); ok {
		return
	}
	if c.module == "" {
		if list, err := c.elf.Lookup("_stext"); err == nil && len(list) == 1 && addr >= list[0].Addr {
			*s, *off = list[0], addr-list[0].Addr
			return
		}
	}
	syms, err := c.elf.Symbols()
	if err != nil {
		return
	}
	k, _ := slices.BinarySearchFunc(syms, addr, func(s elf.Symbol, a uint64) int {
		if s.Addr <= a {
			return -1
		}
		return 1
	})
	for k--; k >= 0 && c.elf.SameSection(syms[k].Addr, addr); k-- {
		if u, ok := alone(syms[k].Name); ok && syms[k].Kind == elf.Func {
			*s, *off = u, addr-u.Addr
			return
		}
	}
}

// kernelWhole makes the probe of a function of the kernel with code of its own: as
// its types allow, else bound to its place in this build.
func (r *resolver) kernelWhole(in *request, c *code, i *dwarf.Instance, text string) (*Probe, *fail) {
	t := r.e.opt.Target
	if c.discarded(i.Addr) {
		return nil, nil
	}
	if denied, _ := t.Denied(i.Name); denied {
		return nil, nil
	}
	if funcs, err := t.Functions(c.module, i.Name); err == nil && len(funcs) == 1 && len(funcs[0].IDs) == 1 {
		if syms, err := c.elf.Lookup(i.Name); err == nil && len(syms) == 1 && syms[0].Addr == i.Addr {
			p := r.function(in, &funcs[0], 1)
			p.Point = text
			r.addLocals(p, c, i)
			return p, nil
		}
	}
	p := in.make(c.function, text)
	p.Func, p.Module, p.Return = i.Name, c.module, in.has("return")
	p.MaxActive = in.num("maxactive", 0)
	if f := r.kernelPlace(c, p, i.Addr); f != nil {
		return nil, f
	}
	p.Carriers[0].Reason = "several functions have this name, so it is bound by its place in this build"
	if p.Return {
		p.Carriers[0].Kind = "kretprobe"
	}
	p.makeCtx = func() *context { return r.instanceContext(p, c, i, i.Addr, true) }
	return p, nil
}

// addLocals offers, beside the parameters that types tell, the local variables and
// file-level variables that debug information tells.
func (r *resolver) addLocals(p *Probe, c *code, i *dwarf.Instance) {
	inner := p.makeCtx
	p.location = r.buildID(c)
	p.makeCtx = func() *context {
		ctx := inner()
		entry := ctx
		if ctx.entry != nil {
			entry = ctx.entry
		}
		entry.vars = append(entry.vars, r.debugLocals(entry, c, i, i.Addr)...)
		ctx.globals = func(name string) *ctxVar { return r.debugGlobal(c, name) }
		entry.globals = ctx.globals
		return ctx
	}
}

// bindLocations keeps, where a handler reads what only debug information tells the
// place of, those carriers that have the registers, and binds them to the build.
func (p *Probe) bindLocations() {
	if p.Family != FamFunction || p.Body == nil || p.location == "" {
		return
	}
	reads := func(b *Body) bool {
		for _, a := range b.Targets {
			if a.Base == BaseLocation {
				return true
			}
			for _, v := range a.Vars {
				if v.Access != nil && v.Access.Base == BaseLocation {
					return true
				}
			}
		}
		return false
	}
	if !reads(p.Body) && !slices.ContainsFunc(p.Body.Entries, func(e *Entry) bool { return reads(e.Body) }) {
		return
	}
	kind := "kprobe"
	if p.Return {
		kind = "kretprobe"
	}
	var out []Carrier
	for _, c := range p.Carriers {
		if c.Kind == kind {
			c.BuildID, c.Needs = p.location, nil
			c.Reason = "the handler reads a variable whose place binds to one build of the kernel"
			out = append(out, c)
		}
	}
	p.Carriers = out
}

// manyInlined is the number of functions from which on a bare pattern means their own
// code only: looking for what is inlined where reads all debug information.
const manyInlined = 500

// debugKernelFunctions resolves kernel functions with debug information. ok is false
// when there is none.
func (r *resolver) debugKernelFunctions(in *request, spec *funcSpec) (out []*Probe, ok bool, f *fail) {
	codes, f := r.kernelCodes(in, "function")
	if f != nil {
		return nil, false, f
	}
	for _, c := range codes {
		inlined := true
		if target.IsPattern(spec.name) && spec.file == "" && !in.has("inline") {
			n := 0
			for _, name := range c.data.Names() {
				if target.Match(spec.name, name) {
					n++
				}
			}
			inlined = n <= manyInlined
		}
		got, f := r.debugFunctions(in, c, spec, inlined)
		if f != nil {
			return nil, true, f
		}
		for _, p := range got {
			// Where a name means more than its own code, what binds to one build must not
			// keep the rest from running on others.
			if len(p.Carriers) > 0 && p.Carriers[0].BuildID != "" && !in.has("inline") && spec.file == "" && !in.has("label") {
				p.Member = true
			}
			p.Member = p.Member || target.IsPattern(spec.name)
		}
		out = append(out, got...)
	}
	return out, true, nil
}

// callees resolves .callee and .callees of one function.
func (r *resolver) callees(in *request, c *code, i *dwarf.Instance, where string) ([]*Probe, *fail) {
	pattern := in.str("callee")
	if pattern == "" {
		pattern = "*"
	}
	spec, f := parseFuncSpec(pattern)
	if f != nil {
		return nil, f
	}
	depth := in.num("callees", 1)
	if depth < 1 || depth > 50 {
		return nil, failf(codePointArg, nil, "the depth of .callees is 1 to 50")
	}
	var out []*Probe
	seen := map[uint64]bool{}
	var visit func(i *dwarf.Instance, where string, level int64) *fail
	visit = func(i *dwarf.Instance, where string, level int64) *fail {
		returns := map[string][]uint64{}
		var names []string
		for _, call := range i.Calls() {
			if !target.Match(spec.name, call.Name) {
				continue
			}
			if returns[call.Name] == nil {
				names = append(names, call.Name)
				returns[call.Name] = []uint64{}
			}
			if !call.Inlined {
				returns[call.Name] = append(returns[call.Name], call.Return)
			}
		}
		for _, name := range names {
			var list []*dwarf.Instance
			for _, o := range c.data.Inlined(name) {
				if i.Contains(o.Addr) && !in.has("call") && !in.has("return") {
					list = append(list, o)
				}
			}
			if len(returns[name]) > 0 {
				list = append(list, c.data.Lookup(name)...)
			}
			for _, g := range list {
				if spec.file != "" && !matchFile(g.Decl.File, spec.file) || seen[g.Addr] {
					continue
				}
				seen[g.Addr] = true
				text := where + ".callee(" + quoted(g.Name+declared(g)) + ")"
				var p *Probe
				var f *fail
				if in.has("return") {
					p, f = c.whole(in, g, text+tail(in, "callee"))
				} else if p, f = r.debugPlace(in, c, g, g.Addr, c.function, text+tail(in, "callee")); f == nil {
					p.makeCtx = func() *context { return r.instanceContext(p, c, g, g.Addr, !g.Inlined) }
				}
				if f != nil || p == nil {
					continue // such as one that the kernel refuses
				}
				if !g.Inlined {
					for _, ret := range returns[name] {
						p.callers = append(p.callers, int64(ret-g.Addr))
					}
				}
				out = append(out, p)
				if level < depth {
					if f := visit(g, text, level+1); f != nil {
						return f
					}
				}
			}
		}
		return nil
	}
	if f := visit(i, where, 1); f != nil {
		return nil, f
	}
	return out, nil
}

// calledFrom writes the test that a function was called from one of some places: at
// its first instruction the return address is where calls put it. At its return that
// is known from the entry.
func (e *elab) calledFrom(p *Probe) string {
	read, reg := "kernel_long", "rsp"
	if p.Binary != "" {
		read = "user_long"
	}
	ret := fmt.Sprintf("%s(register(%q))", read, reg)
	if e.arch() == "arm64" {
		ret = `register("x30")`
	}
	test := ""
	for i, d := range p.callers {
		if i > 0 {
			test += " || "
		}
		test += ret + " == addr() + " + strconv.FormatInt(d, 10)
	}
	if p.Return {
		return "@entry(" + test + ")"
	}
	return test
}
