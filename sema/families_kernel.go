package sema

import (
	"fmt"
	"strings"

	"stapkit/target"
	"stapkit/target/btf"
	"stapkit/target/ctype"
	"stapkit/target/sym"
	"stapkit/target/tracefs"
)

// kernelWhere writes the part of a point that says where a function lies.
func kernelWhere(head, module string) string {
	if module != "" {
		return fmt.Sprintf("module(%q)", module)
	}
	return head
}

// modulePattern is the pattern of module names of a request, "" for the kernel.
func modulePattern(in *request) string {
	if in.has("module") {
		return in.str("module")
	}
	return ""
}

var famFunction = &family{resolve: func(r *resolver, in *request) ([]*Probe, *fail) {
	fn := in.arg("function")
	what := "function"
	if fn != nil {
		what = "kernel function " + fn.str
	}
	if in.unknown() {
		return r.open(FamFunction, in, what), nil
	}
	t := r.e.opt.Target
	if t == nil {
		return r.open(FamFunction, in, what), nil
	}
	if fn.arg == numArg {
		return r.functionAt(in, uint64(fn.num))
	}
	spec, f := parseFuncSpec(fn.str)
	if f != nil {
		return nil, f
	}
	precise := ""
	for _, part := range []string{"inline", "label", "callee", "callees"} {
		if in.has(part) {
			precise = "." + part
		}
	}
	if spec.file != "" {
		precise = "a source file (" + quoted(spec.file) + ")"
	}
	got, ok, f := r.debugKernelFunctions(in, &spec)
	switch {
	case f != nil && (ok || precise != ""):
		if !ok {
			codes, g := r.kernelCodes(in, precise)
			if g != nil || len(codes) == 0 {
				return nil, g
			}
		}
		return nil, f
	case len(got) > 0:
		return got, nil
	case precise != "":
		return nil, failf(codeNoMatch, nil, "no match").suggesting("similar functions", func() []string { return t.SimilarFunctions(modulePattern(in), spec.name, 5) }).gone("function", spec.name)
	}
	return r.kernelFunctions(in, fn.str)
}}

// kernelFunctions resolves functions by name or pattern.
func (r *resolver) kernelFunctions(in *request, name string) ([]*Probe, *fail) {
	t := r.e.opt.Target
	module := modulePattern(in)
	funcs, err := t.Functions(module, name)
	if err != nil {
		if syms, serr := t.Symbols(); serr == nil {
			return r.symbolFunctions(in, name, syms)
		}
		return r.open(FamFunction, in, "kernel function "+name), nil
	}
	if in.has("exported") {
		var fail *fail
		if funcs, fail = exported(t, funcs); fail != nil {
			return nil, fail
		}
	}
	many := len(funcs) > 1
	var out []*Probe
	for i := range funcs {
		f := &funcs[i]
		if denied, _ := t.Denied(f.Name); denied {
			if !many && !target.IsPattern(name) {
				return nil, failf(codeNoMatch, nil, "function %s is blocklisted by the kernel: it cannot be probed", f.Name)
			}
			continue
		}
		gone := target.IsPattern(name) && !functionSymbol(t, f)
		if gone && !r.e.list {
			continue
		}
		p := r.function(in, f, len(funcs))
		p.Member = target.IsPattern(name)
		if gone {
			p.Carriers = []Carrier{{Kind: "none", Target: f.Name, Reason: "inlined everywhere, or thrown away when the kernel had started"}}
		}
		out = append(out, p)
	}
	if len(out) > 0 {
		return out, nil
	}
	// Functions without type information, such as those in assembly, can still be
	// hooked by name.
	if syms, serr := t.Symbols(); serr == nil && !in.has("exported") {
		if got, _ := r.symbolFunctions(in, name, syms); len(got) > 0 {
			return got, nil
		}
	}
	f := failf(codeNoMatch, nil, "no match")
	if in.has("exported") && !target.IsPattern(name) {
		if all, _ := t.Functions(module, name); len(all) > 0 {
			return nil, failf(codeNoMatch, nil, "no match: the kernel does not export %s to modules", name).withHelp("leave out .exported")
		}
	}
	if !target.IsPattern(name) {
		f.suggesting("similar functions", func() []string { return t.SimilarFunctions(module, name, 5) })
	}
	if module != "" && !target.IsPattern(module) {
		if _, err := t.ModuleBTF(module); err != nil {
			f.help = fmt.Sprintf("module %s is not loaded on %s, or has no type information", module, t.Name())
		}
	}
	return nil, f.gone("function", name)
}

// functionSymbol reports whether a function exists as a symbol, true when symbols
// are not known.
func functionSymbol(t *target.Target, f *target.Function) bool {
	syms, err := t.Symbols()
	if err != nil {
		return true
	}
	for _, s := range syms.ByName(f.Name) {
		if s.Module == f.Module && s.IsText() && !initText(syms, s) {
			return true
		}
	}
	return false
}

// initText reports whether a function was thrown away when the kernel had started.
func initText(syms *sym.Table, s sym.Symbol) bool {
	if s.Module != "" || s.Addr == 0 {
		return false
	}
	start, end := syms.ByName("_sinittext"), syms.ByName("_einittext")
	return len(start) > 0 && len(end) > 0 && s.Addr >= start[0].Addr && s.Addr < end[0].Addr
}

// exported keeps the functions that the kernel exports to modules.
func exported(t *target.Target, funcs []target.Function) ([]target.Function, *fail) {
	syms, err := t.Symbols()
	if err != nil {
		return nil, failf(codeNoMatch, nil, "which functions are exported is not known: %v", err)
	}
	known := false
	syms.WithPrefix("__ksymtab_", func(sym.Symbol) bool { known = true; return false })
	if !known {
		return nil, failf(codeNoMatch, nil, "which functions are exported is not known: this kernel's symbol table does not tell").
			withHelp("leave out .exported")
	}
	var out []target.Function
	for _, f := range funcs {
		if len(syms.ByName("__ksymtab_"+f.Name)) > 0 {
			out = append(out, f)
		}
	}
	return out, nil
}

// functionPoint writes the resolved point of a function.
func functionPoint(in *request, module, name string) string {
	s := fmt.Sprintf("%s.function(%q)", kernelWhere("kernel", module), name)
	for _, c := range in.comps[2:] {
		s += "." + c.String()
	}
	return s
}

// manyFunctions is the number of functions from which on one attachment to all of
// them is better than one for each.
const manyFunctions = 32

// function makes the probe of one function with type information.
func (r *resolver) function(in *request, f *target.Function, siblings int) *Probe {
	t := r.e.opt.Target
	p := in.make(FamFunction, functionPoint(in, f.Module, f.Name))
	p.Func, p.Module = f.Name, f.Module
	p.Return = in.has("return")
	p.MaxActive = in.num("maxactive", 0)
	p.makeCtx = func() *context { return functionContext(f, p.Return) }
	kinds := [3]string{"fentry", "kprobe_multi", "kprobe"}
	if p.Return {
		kinds = [3]string{"fexit", "kretprobe_multi", "kretprobe"}
	}
	can, known := t.Traceable(f.Module, f.Name)
	traceable := can || !known
	why := ""
	if traceable && len(f.IDs) == 1 {
		why = fentryProblem(f.Type())
	}
	// Types of functions are merged where they are the same; fentry would take the
	// first of that name.
	several := len(f.IDs) > 1 || sameName(t, f)
	if several {
		why = "several functions have this name"
	}
	fentry := Carrier{Kind: kinds[0], Target: f.Name, Module: f.Module, Reason: "the cheapest hook of a function, with typed arguments"}
	multi := Carrier{Kind: kinds[1], Target: f.Name, Module: f.Module, Needs: []string{"kprobe_multi"}, Reason: "one attachment for all functions"}
	single := Carrier{Kind: kinds[2], Target: f.Name, Module: f.Module, Reason: "works on every kernel"}
	switch {
	case !traceable:
		single.Reason = "ftrace cannot hook this function"
		p.Carriers = []Carrier{single}
	case why != "":
		single.Reason = why
		p.Carriers = []Carrier{single}
		if siblings > manyFunctions && several {
			p.Carriers = []Carrier{multi, single}
		}
	case siblings > manyFunctions && r.e.list:
		p.Carriers = []Carrier{multi}
	case siblings > manyFunctions:
		p.Carriers = []Carrier{multi, single, fentry}
	default:
		p.Carriers = []Carrier{fentry, single}
	}
	return p
}

// sameName reports whether several functions are called so.
func sameName(t *target.Target, f *target.Function) bool {
	syms, err := t.Symbols()
	if err != nil {
		return false
	}
	n := 0
	for _, s := range syms.ByName(f.Name) {
		if s.Module == f.Module && s.IsText() {
			n++
		}
	}
	return n > 1
}

// argSlots gives the slot of each argument in the context of a fentry program, as
// the x86-64 and arm64 conventions pass arguments: structures of up to 16 bytes
// take two. ok is false where one does not fit.
func argSlots(f *ctype.Func) (slots []int, n int, ok bool) {
	ok = true
	for _, p := range f.Params {
		slots = append(slots, n)
		size := p.Type.Size()
		if _, isArray := ctype.Strip(p.Type).(*ctype.Array); isArray {
			size = 8
		}
		switch {
		case size <= 8:
			n++
		case size <= 16:
			n += 2
		default:
			ok = false
			n++
		}
		if _, float := ctype.Strip(p.Type).(*ctype.Float); float {
			ok = false
		}
	}
	return slots, n, ok
}

// fentryProblem says why a function cannot carry fentry, "" if it can.
func fentryProblem(f *ctype.Func) string {
	_, n, ok := argSlots(f)
	switch {
	case f.Variadic:
		return "fentry cannot hook functions with variable arguments"
	case !ok:
		return "fentry cannot pass structures of this size"
	case n > 6:
		return "fentry passes more than 6 arguments only on newer kernels"
	}
	if f.Result != nil && f.Result.Size() > 8 {
		return "fentry cannot hook functions that return a structure"
	}
	return ""
}

// functionContext offers the parameters of a function.
func functionContext(f *target.Function, ret bool) *context {
	ft := f.Type()
	slots, n, _ := argSlots(ft)
	c := &context{what: f.Name, module: f.Module}
	trusted := fentryProblem(ft) == "" && len(f.IDs) == 1
	for i, p := range ft.Params {
		if p.Name == "" {
			continue
		}
		v := ctxVar{name: p.Name, typ: p.Type, acc: Access{
			Base: BaseArg, N: slots[i], BaseType: p.Type, Module: f.Module, Trusted: trusted && isPointer(p.Type)}}
		if slots[i] >= 6 {
			v.why = fmt.Sprintf("'$%s' is passed on the stack, which cannot be read here", p.Name)
		} else if p.Type.Size() > 8 {
			v.why = fmt.Sprintf("'$%s' is passed by value in several registers", p.Name)
		}
		c.vars = append(c.vars, v)
	}
	if !ret {
		return c
	}
	rc := &context{what: f.Name, module: f.Module, entry: c}
	if _, void := ctype.Strip(ft.Result).(*ctype.Void); !void && ft.Result != nil {
		rc.ret = &ctxVar{name: "return", typ: ft.Result, acc: Access{Base: BaseReturn, N: n, BaseType: ft.Result, Module: f.Module}}
	}
	return rc
}

// symbolFunctions resolves functions that only the symbol table knows.
func (r *resolver) symbolFunctions(in *request, name string, syms *sym.Table) ([]*Probe, *fail) {
	t := r.e.opt.Target
	module := modulePattern(in)
	var out []*Probe
	add := func(s sym.Symbol) {
		if !s.IsText() || initText(syms, s) || (module == "") != (s.Module == "") || module != "" && !target.Match(module, s.Module) {
			return
		}
		if denied, _ := t.Denied(s.Name); denied {
			return
		}
		p := r.symbolProbe(in, FamFunction, functionPoint(in, s.Module, s.Name), s)
		p.Member = target.IsPattern(name)
		out = append(out, p)
	}
	if !target.IsPattern(name) {
		if list := syms.ByName(name); len(list) > 0 {
			add(list[0])
		}
	} else {
		prefix := name[:strings.IndexAny(name, `*?[\`)]
		last := ""
		syms.WithPrefix(prefix, func(s sym.Symbol) bool {
			if s.Name != last && target.Match(name, s.Name) && !strings.HasPrefix(s.Name, "__pfx_") && !strings.HasPrefix(s.Name, "__cfi_") {
				add(s)
				last = s.Name
			}
			return true
		})
	}
	if len(out) == 0 {
		return nil, failf(codeNoMatch, nil, "no match")
	}
	return out, nil
}

// symbolProbe makes a probe of a symbol without type information.
func (r *resolver) symbolProbe(in *request, f Family, text string, s sym.Symbol) *Probe {
	p := in.make(f, text)
	p.Func, p.Module = s.Name, s.Module
	p.Return = in.has("return")
	p.MaxActive = in.num("maxactive", 0)
	kind := "kprobe"
	if p.Return {
		kind = "kretprobe"
	}
	p.Carriers = []Carrier{{Kind: kind, Target: s.Name, Module: s.Module, Reason: "the function has no type information"}}
	p.ctx = &context{what: s.Name + ", which has no type information", module: s.Module, lists: noLists}
	return p
}

// functionAt resolves a function by its address.
func (r *resolver) functionAt(in *request, addr uint64) ([]*Probe, *fail) {
	syms, err := r.e.opt.Target.Symbols()
	if err != nil {
		return nil, failf(codeNoMatch, nil, "no match: the kernel's symbols are not known")
	}
	s, off, _, ok := syms.Lookup(addr)
	if !ok || off != 0 || !s.IsText() {
		return nil, failf(codeNoMatch, nil, "no match").withHelp("no function begins at address %#x", addr)
	}
	funcs, err := r.e.opt.Target.Functions(s.Module, s.Name)
	if err == nil && len(funcs) == 1 {
		return []*Probe{r.function(in, &funcs[0], 1)}, nil
	}
	return []*Probe{r.symbolProbe(in, FamFunction, functionPoint(in, s.Module, s.Name), s)}, nil
}

var famStatement = &family{resolve: func(r *resolver, in *request) ([]*Probe, *fail) {
	if in.unknown() {
		return r.open(FamStatement, in, "statement"), nil
	}
	st := in.arg("statement")
	if !in.has("absolute") && r.e.opt.Target == nil {
		return r.open(FamStatement, in, "statement"), nil
	}
	if st.arg == strArg {
		spec, f := parseFuncSpec(st.str)
		if f != nil {
			return nil, f
		}
		codes, f := r.kernelCodes(in, "a statement")
		if f != nil {
			return nil, f
		}
		var out []*Probe
		for _, c := range codes {
			got, fl := r.statements(in, c, &spec)
			if fl != nil {
				f = fl
			}
			out = append(out, got...)
		}
		if len(out) == 0 {
			return nil, f
		}
		return out, nil
	}
	if !in.has("absolute") {
		return r.statementAt(in, uint64(st.num))
	}
	if !r.e.opt.Guru {
		return nil, failf(codeNeedGuru, nil, "absolute statement probe in unprivileged script; need stap -g")
	}
	p := in.make(FamStatement, pointText(in.comps))
	c := Carrier{Kind: "kprobe", Address: uint64(st.num), Reason: "an address binds to one boot of one kernel"}
	if t := r.e.opt.Target; t != nil {
		if syms, err := t.Symbols(); err == nil {
			if s, off, _, ok := syms.Lookup(c.Address); ok {
				// The symbol outlives a reboot, after which the kernel lies elsewhere.
				p.Func, p.Module = s.Name, s.Module
				c.Target, c.Module, c.Offset = s.Name, s.Module, off
			}
		}
		if c.Module == "" {
			c.BuildID = t.BuildID()
		}
	}
	p.Carriers = []Carrier{c}
	p.ctx = &context{what: "an address", lists: noLists}
	return []*Probe{p}, nil
}}

// statementAt resolves a statement by its address in the image of the kernel, or in a
// module as its file has it.
func (r *resolver) statementAt(in *request, addr uint64) ([]*Probe, *fail) {
	codes, f := r.kernelCodes(in, "the address of a statement")
	if f != nil {
		f.help = fmt.Sprintf("kernel.statement(%#x).absolute with stap -g needs none; or ", addr) + f.help
		return nil, f
	}
	for _, c := range codes {
		s, _, ok := c.elf.At(addr)
		if !ok || !c.elf.Executable(addr) {
			continue
		}
		p := in.make(FamStatement, fmt.Sprintf("%s.statement(%#x)", c.head, addr))
		p.Func, p.Module = s.Name, c.module
		if f := r.kernelPlace(c, p, addr); f != nil {
			return nil, f
		}
		p.makeCtx = func() *context {
			if i, ok := c.data.Around(addr); ok {
				return r.instanceContext(p, c, i, addr, false)
			}
			return &context{what: fmt.Sprintf("%#x", addr), module: c.module, lists: noLists}
		}
		return []*Probe{p}, nil
	}
	return nil, failf(codeNoMatch, nil, "no match").withHelp("%#x is no address of code", addr)
}

var famKprobe = &family{resolve: func(r *resolver, in *request) ([]*Probe, *fail) {
	name, module := in.str("function"), in.str("module")
	t := r.e.opt.Target
	if in.unknown() || t == nil {
		return r.open(FamFunction, in, "function "+name), nil
	}
	probe := func(s sym.Symbol) *Probe {
		text := fmt.Sprintf("kprobe.function(%q)", s.Name)
		if module != "" {
			text = fmt.Sprintf("kprobe.module(%q).function(%q)", s.Module, s.Name)
		}
		for _, c := range in.comps {
			switch c.name {
			case "call", "return", "maxactive":
				text += "." + c.String()
			}
		}
		p := r.symbolProbe(in, FamFunction, text, s)
		p.Carriers[0].Reason = "the script asks for a kprobe"
		if p.Return {
			p.Carriers = append(p.Carriers, Carrier{Kind: "kretprobe_multi", Target: s.Name, Module: s.Module, Needs: []string{"kprobe_multi"}, Reason: "one attachment for all functions"})
		} else {
			p.Carriers = append(p.Carriers, Carrier{Kind: "kprobe_multi", Target: s.Name, Module: s.Module, Needs: []string{"kprobe_multi"}, Reason: "one attachment for all functions"})
		}
		p.ctx = &context{what: "a kprobe, which takes arguments by int_arg(n) and pointer_arg(n)", module: s.Module, lists: noLists}
		return p
	}
	var out []*Probe
	seen := map[string]bool{}
	add := func(s sym.Symbol) {
		if denied, _ := t.Denied(s.Name); denied || seen[s.Module+":"+s.Name] {
			return
		}
		seen[s.Module+":"+s.Name] = true
		p := probe(s)
		p.Member = target.IsPattern(name)
		out = append(out, p)
	}
	syms, symErr := t.Symbols()
	if symErr == nil {
		prefix := name
		if i := strings.IndexAny(name, `*?[\`); i >= 0 {
			prefix = name[:i]
		}
		syms.WithPrefix(prefix, func(s sym.Symbol) bool {
			if s.IsText() && !initText(syms, s) && target.Match(name, s.Name) && !strings.HasPrefix(s.Name, "__pfx_") && !strings.HasPrefix(s.Name, "__cfi_") &&
				(module == "" || target.Match(module, s.Module)) {
				add(s)
			}
			return len(out) < maxPoints
		})
	}
	if len(out) == 0 {
		funcs, err := t.Functions(module, name)
		if err != nil && symErr != nil {
			return r.open(FamFunction, in, "function "+name), nil
		}
		for _, f := range funcs {
			// The table of an installed kernel has no modules.
			if symErr != nil || f.Module != "" {
				add(sym.Symbol{Name: f.Name, Module: f.Module, Type: 't'})
			}
		}
	}
	if len(out) == 0 {
		f := failf(codeNoMatch, nil, "no match")
		if !target.IsPattern(name) {
			f.suggesting("similar functions", func() []string { return t.SimilarFunctions(module, name, 5) })
		}
		return nil, f.gone("function", name)
	}
	return out, nil
}}

// watchLengths are the widths that a hardware breakpoint can have.
var watchLengths = map[int64]bool{1: true, 2: true, 4: true, 8: true}

var famData = &family{resolve: func(r *resolver, in *request) ([]*Probe, *fail) {
	d := in.arg("data")
	p := in.make(FamData, pointText(in.comps))
	p.Write = in.has("write")
	if in.unknown() {
		return r.open(FamData, in, "watchpoint"), nil
	}
	// Whoever writes a part of a variable, as most do, wants that and not what lies beside.
	length := in.num("length", 1)
	if !watchLengths[length] {
		return nil, failf(codePointArg, nil, "a watchpoint is 1, 2, 4 or 8 bytes long, not %d", length)
	}
	c := Carrier{Kind: "breakpoint", Length: uint64(length), WriteOnly: p.Write, Reason: "a hardware breakpoint; x86 and arm64 have four"}
	if in.comps[0].name == "process" {
		c.Process, c.PID = in.str("process"), int(in.num("process", 0))
		if c.Process == "" && c.PID == 0 {
			if r.e.opt.Command == "" && r.e.opt.PID == 0 {
				return nil, needProcess()
			}
			c.Process, c.PID, c.TargetSet = r.e.opt.program(), r.e.opt.PID, true
		} else if c.Process != "" {
			paths, f := r.paths(c.Process)
			if f != nil {
				return nil, f
			}
			r.e.opt.Binaries.Search.See(paths[0])
			_, c.Process = r.e.opt.Binaries.Search.Real(paths[0])
		}
	}
	if d.arg == numArg {
		c.Address = uint64(d.num)
	} else {
		c.Target = d.str
		if t := r.e.opt.Target; t != nil {
			syms, err := t.Symbols()
			if err == nil && len(syms.ByName(d.str)) == 0 {
				return nil, failf(codeNoMatch, nil, "no match: the kernel has no variable '%s'", d.str)
			}
			if v, ok := t.Variable("", d.str); ok && !in.has("length") && watchLengths[v.Type.Size()] {
				c.Length = uint64(v.Type.Size())
			}
		} else {
			r.e.note("target", in.node, "%s is taken on trust: nothing is known of the target", p.Point)
		}
	}
	p.Carriers = []Carrier{c}
	p.ctx = &context{what: "a watchpoint", lists: noLists}
	return []*Probe{p}, nil
}}

// needProcess is the failure of "process" without a program.
func needProcess() *fail {
	return failf(codeNeedProcess, nil, "unspecified process probe is invalid without a -c COMMAND or -x PID").
		withHelp(`name the program: process("/path/to/program")`)
}

// Sampling as SystemTap has it.
const defaultPerfSample = 1000000

var famPerf = &family{resolve: func(r *resolver, in *request) ([]*Probe, *fail) {
	p := in.make(FamPerf, pointText(in.comps))
	p.Sample = in.num("sample", 0)
	p.Hz = in.num("hz", 0)
	p.Counter = in.str("counter")
	if in.has("sample") && p.Sample <= 0 || in.has("hz") && p.Hz <= 0 {
		return nil, failf(codePointArg, nil, "the sampling rate must be positive")
	}
	if p.Sample == 0 && p.Hz == 0 && p.Counter == "" {
		p.Sample = defaultPerfSample
	}
	c := Carrier{Kind: "perf", Type: uint32(in.num("type", 0)), Config: uint64(in.num("config", 0)), Reason: "a perf event on every CPU"}
	if in.has("process") {
		c.Process = in.str("process")
		c.Reason = "a perf event of one program"
		if c.Process == "" {
			if r.e.opt.Command == "" && r.e.opt.PID == 0 {
				return nil, needProcess()
			}
			c.Process, c.PID, c.TargetSet = r.e.opt.program(), r.e.opt.PID, true
		} else if t := r.e.opt.Target; t == nil || t.IsRunning() {
			if found, err := r.e.opt.Binaries.Search.Executable(c.Process); err == nil {
				c.Process = found
			}
			_, c.Process = r.e.opt.Binaries.Search.Real(c.Process)
		}
		p.Binary = c.Process
	}
	p.Carriers = []Carrier{c}
	p.ctx = &context{what: "a perf event", lists: noLists}
	return []*Probe{p}, nil
}}

// famSyscall is the ground of the library's syscall.* aliases.
var famSyscall = &family{resolve: func(r *resolver, in *request) ([]*Probe, *fail) {
	name := in.str("syscall")
	arch := r.e.arch()
	table := syscallTable()[arch]
	if table == nil {
		return nil, failf(codeNoMatch, nil, "the system calls of architecture %s are not known", arch)
	}
	var names []string
	if target.IsPattern(name) {
		for _, n := range Syscalls(arch) {
			if target.Match(name, n) {
				names = append(names, n)
			}
		}
	} else if _, ok := table[name]; ok {
		names = []string{name}
	}
	if len(names) == 0 {
		return nil, failf(codeNoMatch, nil, "no match: %s has no system call '%s'", arch, name).
			suggesting("similar", func() []string { return ctype.Similar(name, Syscalls(arch), 5) })
	}
	if why, ok := noReturn[name]; ok && in.has("return") {
		return nil, failf(codeNoMatch, nil, "no match: the return of the system call '%s' cannot be seen: %s", name, why)
	}
	var out []*Probe
	for _, n := range names {
		if _, ok := noReturn[n]; ok && in.has("return") {
			continue
		}
		out = append(out, r.syscall(in, arch, n, table[n]))
	}
	return out, nil
}}

// known reports whether a function may be there: its symbol is, or nothing is known
// of symbols.
func known(t *target.Target, function string) bool {
	syms, err := t.Symbols()
	return err != nil || len(syms.ByName(function)) > 0
}

// without32 reports whether a kernel is known not to run 32-bit programs.
func without32(t *target.Target, arch string) bool {
	option := "CONFIG_IA32_EMULATION"
	if arch != "x86_64" {
		option = "CONFIG_COMPAT"
	}
	v, known := t.Config(option)
	return known && v != "y"
}

func (r *resolver) syscall(in *request, arch, name string, nr int) *Probe {
	t := r.e.opt.Target
	p := in.make(FamSyscall, "")
	p.Return = in.has("return")
	p.Point = fmt.Sprintf("kernel.syscall(%q)", name)
	which := "enter"
	if p.Return {
		p.Point += ".return"
		which = "exit"
	}
	p.Func, p.SyscallNr, p.Provider = name, nr, "syscalls"
	event := name
	if e, ok := syscallEvents[name]; ok {
		event = e
	}
	if t == nil || !without32(t, arch) {
		p.CompatNrs = compatNumbers(arch, name)
		carriers := func(functions []string, reason string) (out []Carrier) {
			seen := map[string]bool{}
			for _, fn := range functions {
				if seen[fn] || t != nil && !known(t, fn) {
					continue
				}
				seen[fn] = true
				kind := "kprobe"
				if p.Return {
					kind = "kretprobe"
				}
				out = append(out, Carrier{Kind: kind, Target: fn, Reason: reason})
			}
			// Without kprobes every call of a program pays for those of 32-bit ones.
			return append(out, Carrier{Kind: "raw_tp", Target: "sys_" + which, Reason: reason})
		}
		if len(p.CompatNrs) > 0 {
			p.Compat = carriers(compatFunctions(arch, name, event), "calls of 32-bit programs")
		}
		if n, functions, of := muxed(name); n > 0 && arch == "x86_64" {
			p.Mux, p.MuxCarriers = n, carriers(functions, "calls of 32-bit programs by "+of)
		}
	}
	full := tracefs.Name{System: "syscalls", Event: "sys_" + which + "_" + event}
	if t != nil && len(t.Events(full.String())) > 0 {
		p.Carriers = append(p.Carriers, Carrier{Kind: "tracepoint", Target: full.System + "/" + full.Event,
			Reason: "only this call pays; best for a few calls"})
	}
	p.Carriers = append(p.Carriers,
		Carrier{Kind: "tp_btf", Target: "sys_" + which, Reason: "one program for all calls, dispatched by number"},
		Carrier{Kind: "raw_tp", Target: "sys_" + which, Reason: "the same without the kernel's types"})
	p.makeCtx = func() *context {
		c := &context{what: "system call " + name, consts: map[string]string{"$$name": name}}
		args := func(c *context) {
			for i := range 6 {
				c.vars = append(c.vars, ctxVar{name: fmt.Sprintf("arg%d", i+1), hidden: true,
					acc: Access{Base: BaseSyscallArg, N: i, Size: 8, Signed: true}})
			}
			if t == nil {
				return
			}
			// The event of the entry names the arguments.
			ev, err := t.EventFormat(tracefs.Name{System: "syscalls", Event: "sys_enter_" + event})
			if err != nil {
				return
			}
			n := 0
			for _, f := range ev.Fields {
				if f.Name == "__syscall_nr" || n >= 6 {
					continue
				}
				c.vars = append(c.vars, ctxVar{name: f.Name, hidden: true, acc: Access{Base: BaseSyscallArg, N: n, Size: 8, Signed: true}})
				n++
			}
		}
		c.vars = append(c.vars, ctxVar{name: "syscall", hidden: true, acc: Access{Base: BaseSyscallNr, Size: 8, Signed: true}})
		args(c) // the argument registers are still there at the return
		if p.Return {
			c.entry = &context{what: c.what, consts: c.consts}
			args(c.entry)
			c.ret = &ctxVar{name: "return", acc: Access{Base: BaseSyscallReturn, Size: 8, Signed: true}}
		}
		return c
	}
	return p
}

// resultAccess is what a handler gives to the kernel.
var resultAccess = Access{Base: BaseResult, Size: 4, Signed: true}

// nfHooks are the netfilter hooks, with the protocol families that eBPF programs
// can hook.
var (
	nfHooks = map[string]uint64{
		"NF_INET_PRE_ROUTING": 0, "NF_INET_LOCAL_IN": 1, "NF_INET_FORWARD": 2, "NF_INET_LOCAL_OUT": 3, "NF_INET_POST_ROUTING": 4,
		"NF_IP_PRE_ROUTING": 0, "NF_IP_LOCAL_IN": 1, "NF_IP_FORWARD": 2, "NF_IP_LOCAL_OUT": 3, "NF_IP_POST_ROUTING": 4,
		"NF_IP6_PRE_ROUTING": 0, "NF_IP6_LOCAL_IN": 1, "NF_IP6_FORWARD": 2, "NF_IP6_LOCAL_OUT": 3, "NF_IP6_POST_ROUTING": 4,
	}
	nfFamilies = map[string]uint32{"PF_INET": 2, "NFPROTO_IPV4": 2, "PF_INET6": 10, "NFPROTO_IPV6": 10}
)

var famNetfilter = &family{resolve: func(r *resolver, in *request) ([]*Probe, *fail) {
	hook, pf := in.str("hook"), in.str("pf")
	p := in.make(FamNetfilter, pointText(in.comps))
	fam, okPF := nfFamilies[pf]
	if !okPF {
		if n, ok := parseNumber(pf); ok && (n == 2 || n == 10) {
			fam, okPF = uint32(n), true
		}
	}
	if !okPF {
		return nil, failf(codeRefused, nil, "no eBPF program can be attached to netfilter hooks of %s: only IPv4 and IPv6 can", pf).
			withHelp(`nearest: kernel.function("nf_hook_slow"), or kernel.trace("net:netif_receive_skb")`)
	}
	if t := r.e.opt.Target; t != nil {
		if _, ok := t.Type("", "struct bpf_nf_ctx"); !ok {
			return nil, failf(codeRefused, nil, "this kernel runs no eBPF programs on netfilter hooks: Linux does from 6.4 on, with CONFIG_NETFILTER_BPF_LINK").
				withHelp(`nearest: the function in the hook's place, as in kernel.function("ip_local_deliver"); netfilter.ipv4.local_in and its like take whichever there is`)
		}
	}
	num, ok := nfHooks[hook]
	if !ok {
		n, isNum := parseNumber(hook)
		if !isNum || n < 0 || n > 4 {
			return nil, failf(codePointArg, nil, "unknown netfilter hook '%s'%s", hook, similar(hook, sortedKeys(nfHooks)))
		}
		num = uint64(n)
	}
	prio := int64(0)
	if s := in.str("priority"); s != "" {
		if prio, ok = parseNumber(s); !ok {
			if prio, ok = nfPriorities[s]; !ok {
				return nil, failf(codePointArg, nil, "unknown netfilter priority '%s'%s", s, similar(s, sortedKeys(nfPriorities)))
			}
		}
	}
	p.Order = prio
	p.Func = hook
	p.Carriers = []Carrier{{Kind: "netfilter", Target: hook, Type: fam, Config: num, Needs: []string{"netfilter"},
		Reason: "a netfilter program, Linux 6.4 and later"}}
	p.makeCtx = func() *context {
		c := &context{what: "netfilter hook", lists: noLists}
		t := r.e.opt.Target
		if t == nil {
			c.open = true
			return c
		}
		state, ok1 := t.Type("", "struct nf_hook_state")
		skb, ok2 := t.Type("", "struct sk_buff")
		if !ok1 || !ok2 {
			return c
		}
		sp, kp := &ctype.Pointer{Elem: state, Bytes: 8}, &ctype.Pointer{Elem: skb, Bytes: 8}
		c.vars = []ctxVar{
			{name: "hooknum", typ: &ctype.Int{Name: "unsigned int", Bytes: 4}, acc: Access{Base: BaseConst, Const: longConst(int64(num)), Size: 4}},
			{name: "skb", typ: kp, acc: Access{Base: BaseArg, N: 1, BaseType: kp, Trusted: true}},
			{name: "state", typ: sp, hidden: true, acc: Access{Base: BaseArg, N: 0, BaseType: sp, Trusted: true}},
		}
		for _, dev := range []string{"in", "out"} {
			if path, err := ctype.Resolve(sp, []ctype.Step{ctype.M(dev)}); err == nil {
				c.vars = append(c.vars, ctxVar{name: dev, typ: path.Type, acc: Access{Base: BaseArg, N: 0, BaseType: sp, Trusted: true}, prefix: []ctype.Step{ctype.M(dev)}})
			}
		}
		c.vars = append(c.vars, ctxVar{name: "verdict", typ: &ctype.Int{Name: "int", Bytes: 4, Signed: true}, acc: resultAccess})
		return c
	}
	return []*Probe{p}, nil
}}

// nfPriorities are those of linux/netfilter_ipv4.h and netfilter_ipv6.h.
var nfPriorities = map[string]int64{
	"NF_IP_PRI_FIRST": -1 << 31, "NF_IP_PRI_CONNTRACK_DEFRAG": -400, "NF_IP_PRI_RAW": -300, "NF_IP_PRI_SELINUX_FIRST": -225,
	"NF_IP_PRI_CONNTRACK": -200, "NF_IP_PRI_MANGLE": -150, "NF_IP_PRI_NAT_DST": -100, "NF_IP_PRI_FILTER": 0,
	"NF_IP_PRI_SECURITY": 50, "NF_IP_PRI_NAT_SRC": 100, "NF_IP_PRI_SELINUX_LAST": 225, "NF_IP_PRI_CONNTRACK_HELPER": 300,
	"NF_IP_PRI_CONNTRACK_CONFIRM": 1<<31 - 1, "NF_IP_PRI_LAST": 1<<31 - 1,
	"NF_IP6_PRI_FIRST": -1 << 31, "NF_IP6_PRI_CONNTRACK_DEFRAG": -400, "NF_IP6_PRI_RAW": -300, "NF_IP6_PRI_SELINUX_FIRST": -225,
	"NF_IP6_PRI_CONNTRACK": -200, "NF_IP6_PRI_MANGLE": -150, "NF_IP6_PRI_NAT_DST": -100, "NF_IP6_PRI_FILTER": 0,
	"NF_IP6_PRI_SECURITY": 50, "NF_IP6_PRI_NAT_SRC": 100, "NF_IP6_PRI_SELINUX_LAST": 225, "NF_IP6_PRI_CONNTRACK_HELPER": 300,
	"NF_IP6_PRI_LAST": 1<<31 - 1,
}

const lsmPrefix = "bpf_lsm_"

// lsmHooks lists the hooks that BPF programs can attach to, from the functions that
// the kernel has for them.
func (r *resolver) lsmHooks() []string {
	t := r.e.opt.Target
	if t == nil {
		return nil
	}
	s, err := t.BTF()
	if err != nil {
		return nil
	}
	var out []string
	for name := range s.Names(btf.KindFunc, lsmPrefix) {
		out = append(out, strings.TrimPrefix(name, lsmPrefix))
	}
	return compact(out)
}

// famLSM is lsm.HOOK; the hooks are those of the target.
var famLSM = &family{resolve: func(r *resolver, in *request) ([]*Probe, *fail) {
	hook := in.comps[1].name
	if r.e.opt.Target == nil {
		return r.open(FamLSM, in, "LSM hook "+hook), nil
	}
	funcs, err := r.e.opt.Target.Functions("", lsmPrefix+hook)
	if err != nil || len(funcs) == 0 {
		return nil, failf(codeNoMatch, nil, "no match: the kernel has no LSM hook '%s'", hook).
			suggesting("similar", func() []string { return ctype.Similar(hook, r.lsmHooks(), 5) })
	}
	f := funcs[0]
	p := in.make(FamLSM, pointText(in.comps))
	p.Func = hook
	p.Carriers = []Carrier{{Kind: "lsm", Target: lsmPrefix + hook, Needs: []string{"lsm"}, Reason: "a BPF LSM program; the kernel must run with lsm=…,bpf"}}
	p.makeCtx = func() *context {
		c := functionContext(&f, false)
		c.what = "LSM hook " + hook
		// The result of a hook is a number that an error has below zero; hooks
		// without one have nothing to say.
		if i, ok := ctype.Strip(f.Type().Result).(*ctype.Int); ok && i.Bytes == 4 {
			c.ret = &ctxVar{name: "return", typ: f.Type().Result, acc: resultAccess}
		}
		return c
	}
	return []*Probe{p}, nil
}}
