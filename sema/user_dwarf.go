package sema

import (
	delf "debug/elf"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"stapkit/syntax"
	"stapkit/target"
	"stapkit/target/ctype"
	"stapkit/target/dwarf"
	"stapkit/target/elf"
)

// debug gives the debug information of a program, nil when there is none.
func (f *userFile) debug(s *elf.Search) *dwarf.Data {
	f.dwarfOnce.Do(func() {
		if f.elf != nil {
			defer f.reading(f.path)()
			f.dwarf, f.dwarfErr = dwarf.Load(f.elf, s)
		}
	})
	return f.dwarf
}

// code is a binary with debug information: a program or library, the kernel, or one
// of its modules.
type code struct {
	data   *dwarf.Data
	elf    *elf.File
	head   string // of its points: process("/p"), kernel, module("m")
	space  Space
	binary string // path of the program
	module string // kernel module
	// probed: the handler's program counter is at this address of the program.
	probed bool
	at     uint64
	// function and statement are the families of its probes.
	function, statement Family
	// whole makes the probe of the entry or return of a function with code of its own,
	// place that of an instruction.
	whole func(in *request, i *dwarf.Instance, text string) (*Probe, *fail)
	place func(p *Probe, i *dwarf.Instance, addr uint64) *fail
}

// debugCode gives a program's debug information, nil when there is none.
func (r *resolver) debugCode(w *where, file *userFile) *code {
	d := file.debug(&r.e.opt.Binaries.Search)
	if d == nil {
		return nil
	}
	c := &code{data: d, elf: file.elf, head: w.head(file), space: UserSpace, binary: file.path, function: FamUFunction, statement: FamUStatement}
	c.whole = func(in *request, i *dwarf.Instance, text string) (*Probe, *fail) {
		return r.debugFunction(in, w, file, c, i, text)
	}
	c.place = func(p *Probe, i *dwarf.Instance, addr uint64) *fail {
		off, ok := file.elf.Offset(addr)
		if !ok {
			return failf(codeNoMatch, nil, "no match: %#x has no place in the file", addr)
		}
		p.Carriers = []Carrier{w.carrier(Carrier{Kind: "uprobe", Offset: off, BuildID: file.elf.BuildID,
			Reason: "an instruction binds to one build of the program"}, file)}
		return nil
	}
	return c
}

// funcSpec is the string argument of .function and .statement:
// name[@file[:line]], where line is N, +N, *, N-M or a list of these.
type funcSpec struct {
	name, file string
	lines      []lineRange
	relative   bool // line counts from the function's declaration
	all        bool // ":*"
	hasLine    bool
}

type lineRange struct{ lo, hi int }

// parseFuncSpec reads a function specification.
func parseFuncSpec(s string) (funcSpec, *fail) {
	var spec funcSpec
	name, file, ok := strings.Cut(s, "@")
	spec.name = name
	if !ok {
		return spec, nil
	}
	at := strings.LastIndexByte(file, ':')
	plus := false
	if at < 0 {
		if at = strings.LastIndexByte(file, '+'); at >= 0 {
			plus = true
		}
	}
	if at < 0 {
		spec.file = file
		return spec, nil
	}
	spec.file, spec.hasLine, spec.relative = file[:at], true, plus
	text := file[at+1:]
	if text == "*" {
		spec.all = true
		return spec, nil
	}
	for _, part := range strings.Split(text, ",") {
		if rel, ok := strings.CutPrefix(part, "+"); ok {
			spec.relative, part = true, rel
		}
		lo, hi, isRange := strings.Cut(part, "-")
		a, err := strconv.Atoi(lo)
		b := a
		if err == nil && isRange {
			b, err = strconv.Atoi(hi)
		}
		if err != nil || a < 0 || b < a {
			return spec, failf(codePointArg, nil, "bad line %q in %q: a line is a number, +number, *, a range or a list", part, s)
		}
		spec.lines = append(spec.lines, lineRange{a, b})
	}
	return spec, nil
}

// wants reports whether a line fits, for a function declared at decl.
func (s *funcSpec) wants(line, decl int) bool {
	if s.all {
		return true
	}
	for _, r := range s.lines {
		lo, hi := r.lo, r.hi
		if s.relative {
			lo, hi = lo+decl, hi+decl
		}
		if lo <= line && line <= hi {
			return true
		}
	}
	return false
}

// declared writes where a function is declared: "@file:line".
func declared(i *dwarf.Instance) string { return placed(i.Decl) }

func placed(l dwarf.Line) string {
	if l.File == "" {
		return ""
	}
	return "@" + l.File + ":" + strconv.Itoa(l.Line)
}

// instances finds the functions that a specification means.
func instances(d *dwarf.Data, spec *funcSpec, inlined, own bool) []*dwarf.Instance {
	names := []string{spec.name}
	if target.IsPattern(spec.name) {
		all := names
		if spec.file != "" {
			all = d.NamesIn(func(f string) bool { return matchFile(f, spec.file) })
		} else {
			all = d.Names()
		}
		names = names[:0:0]
		for _, n := range all {
			if target.Match(spec.name, n) {
				names = append(names, n)
			}
		}
	}
	qualified := isQualified(spec.name)
	if qualified {
		base := lastComponent(spec.name)
		names = names[:0:0]
		if n, _, _ := strings.Cut(base, "<"); !target.IsPattern(n) && n == base && len(d.Lookup(base))+len(d.Inlined(base)) > 0 {
			names = append(names, base)
		} else {
			for _, name := range d.Names() {
				if bare, _, _ := strings.Cut(name, "<"); target.Match(base, name) || target.Match(n, bare) {
					names = append(names, name)
				}
			}
		}
	}
	var out []*dwarf.Instance
	for _, n := range names {
		var list []*dwarf.Instance
		if own {
			list = append(list, d.Lookup(n)...)
		}
		if inlined {
			list = append(list, d.Inlined(n)...)
		}
		for _, i := range list {
			if spec.file != "" && !matchFile(i.Decl.File, spec.file) || qualified && !matchQualified(spec.name, i.Linkage) {
				continue
			}
			out = append(out, i)
		}
	}
	return out
}

// matchFile compares a source file with what a person wrote, which may be a pattern.
func matchFile(file, pattern string) bool {
	if target.IsPattern(pattern) {
		return target.Match(pattern, file) || target.Match("*/"+pattern, file)
	}
	return dwarf.MatchFile(file, pattern)
}

// debugFunctions resolves functions with debug information.
func (r *resolver) debugFunctions(in *request, c *code, spec *funcSpec, inlined bool) ([]*Probe, *fail) {
	var out []*Probe
	var failed *fail
	for _, i := range instances(c.data, spec, inlined && !in.has("call") && !in.has("return") && !in.has("exported"), !in.has("inline")) {
		if r.e.stopped() {
			break
		}
		if in.has("exported") && !i.External {
			continue
		}
		if spec.hasLine && !spec.all && !spec.wants(i.Decl.Line, i.Decl.Line) {
			// A line within the function means it, too.
			lines, err := i.Lines()
			if err != nil || !slices.ContainsFunc(lines, func(s dwarf.Statement) bool { return spec.wants(s.Line.Line, i.Decl.Line) }) {
				continue
			}
		}
		where := c.head + ".function(" + quoted(i.Name+declared(i)) + ")"
		if label := in.arg("label"); label != nil {
			for _, l := range i.Labels() {
				if !target.Match(label.str, l.Name) {
					continue
				}
				at := where
				if l.Decl.File != "" {
					at = c.head + ".function(" + quoted(i.Name+placed(l.Decl)) + ")"
				}
				p, f := r.debugPlace(in, c, i, l.Addr, c.statement, at+".label("+quoted(l.Name)+")")
				if f != nil {
					return nil, f
				}
				out = append(out, p)
			}
			continue
		}
		if in.has("callee") || in.has("callees") {
			got, f := r.callees(in, c, i, where)
			if f != nil {
				return nil, f
			}
			out = append(out, got...)
			continue
		}
		text := where + tail(in, "function")
		var p *Probe
		var f *fail
		if i.Inlined {
			p, f = r.debugPlace(in, c, i, i.Addr, c.function, text)
		} else {
			p, f = c.whole(in, i, text)
		}
		if f != nil {
			failed = f
			continue
		}
		if p != nil && !(p.Return && c.elf.Starts(i.Addr)) {
			p.source = strings.TrimPrefix(declared(i), "@")
			out = append(out, p)
		}
	}
	if len(out) > 0 {
		return out, nil
	}
	if failed != nil {
		return nil, failed // of several places, some may be out of reach
	}
	// What was asked for of a function that is there.
	name := spec.name
	own := instances(c.data, &funcSpec{name: spec.name, file: spec.file}, false, true)
	switch label := in.arg("label"); {
	case len(own) == 0:
	case in.has("inline"):
		return nil, failf(codeNoMatch, nil, "no match: %s is inlined nowhere", name).withHelp("without .inline its own code is probed")
	case label != nil:
		var labels []string
		for _, i := range own {
			for _, l := range i.Labels() {
				labels = append(labels, l.Name)
			}
		}
		f := failf(codeNoMatch, nil, "no match: %s has no such label", name)
		if f.help = "it has none at all"; len(labels) > 0 {
			f.help = "it has " + strings.Join(compact(labels), ", ")
		}
		return nil, f
	case in.has("callee") || in.has("callees"):
		var names []string
		for _, i := range own {
			names = append(names, i.Callees()...)
		}
		f := failf(codeNoMatch, nil, "no match: %s does not call it, as far as the compiler recorded calls", name)
		if len(names) > 0 {
			slices.Sort(names)
			f.help = "it calls " + strings.Join(compact(names), ", ")
		} else {
			f.help = "compile with -O1 or more, which records calls"
		}
		return nil, f
	}
	return nil, nil
}

// debugFunction makes the probe of one function of a program.
func (r *resolver) debugFunction(in *request, w *where, file *userFile, code *code, i *dwarf.Instance, text string) (*Probe, *fail) {
	p := in.make(FamUFunction, text)
	p.Func, p.Binary, p.Return = i.Name, file.path, in.has("return")
	off, ok := file.elf.Offset(i.Addr)
	if !ok {
		return nil, failf(codeNoMatch, nil, "no match: function %s has no place in the file", i.Name)
	}
	c := Carrier{Kind: "uprobe", Symbol: i.Name, Reason: "a breakpoint at the function's entry; bound by its symbol"}
	if p.Return {
		if file.elf.IsGo() {
			p.makeCtx = func() *context {
				c := r.instanceContext(p, code, i, i.Addr, true)
				if c.ret == nil {
					// Go tells of results as of parameters; the first number
					// is in the register that C has it in.
					c.ret = r.userContext(p, file, i.Addr).ret
				}
				return c
			}
			s, _, ok := file.elf.At(i.Addr)
			if !ok || s.Addr != i.Addr {
				s.Size = 0
			}
			return p, goReturns(p, w, file, i.Addr, s.Size)
		}
		c.Kind, c.Reason = "uretprobe", "the return address is replaced while the function runs"
	}
	if i.Linkage != "" {
		c.Symbol = i.Linkage
	}
	if syms, err := file.elf.Lookup(c.Symbol); err != nil || len(syms) != 1 || syms[0].Addr != i.Addr {
		c.Symbol, c.Offset, c.BuildID = "", off, file.elf.BuildID
		c.Reason = "no symbol names it alone, so it is bound by its place in this build"
	}
	p.Carriers = []Carrier{w.carrier(c, file)}
	p.makeCtx = func() *context { return r.instanceContext(p, code, i, i.Addr, true) }
	return p, nil
}

// debugPlace makes the probe of an instruction within a function.
func (r *resolver) debugPlace(in *request, c *code, i *dwarf.Instance, addr uint64, fam Family, text string) (*Probe, *fail) {
	p := in.make(fam, text)
	p.Func, p.Binary, p.Module = i.Name, c.binary, c.module
	if f := c.place(p, i, addr); f != nil {
		return nil, f
	}
	p.makeCtx = func() *context { return r.instanceContext(p, c, i, addr, false) }
	return p, nil
}

// line is a place that a statement may mean.
type lineOf struct {
	dwarf.Statement
	i *dwarf.Instance
}

// statements resolves .statement("func@file:line").
func (r *resolver) statements(in *request, c *code, spec *funcSpec) ([]*Probe, *fail) {
	all := instances(c.data, spec, true, true)
	var lines []lineOf
	for _, i := range all {
		if r.e.stopped() {
			return nil, nil
		}
		list, err := i.Lines()
		if err != nil {
			return nil, failf(codeNoMatch, nil, "no match: the lines of %s cannot be read: %v", i.Name, err)
		}
		if !spec.hasLine && len(list) > 0 {
			list = list[:1]
		}
		for _, s := range list {
			// What is inlined into a function is found as an instance of its own.
			if spec.file != "" && !matchFile(s.File, spec.file) || spec.hasLine && !i.Own(s) {
				continue
			}
			lines = append(lines, lineOf{s, i})
		}
	}
	pick := *spec
	if in.has("nearest") && spec.hasLine && !spec.all {
		pick = nearest(spec, lines)
	}
	var out []*Probe
	seen := map[string]bool{}
	for _, s := range lines {
		if spec.hasLine && !pick.wants(s.Line.Line, s.i.Decl.Line) {
			continue
		}
		text := c.head + ".statement(" + quoted(s.i.Name+"@"+s.File+":"+strconv.Itoa(s.Line.Line)) + ")" + tail(in, "statement")
		k := text + strconv.FormatUint(s.i.Addr, 16)
		if seen[k] {
			continue // the first address of a line in each copy of a function
		}
		seen[k] = true
		p, f := r.debugPlace(in, c, s.i, s.Addr, c.statement, text)
		if f != nil {
			if len(all) > 1 {
				continue
			}
			return nil, f
		}
		out = append(out, p)
	}
	if len(out) > 0 {
		return out, nil
	}
	if spec.hasLine && len(all) > 0 {
		_, where, _ := strings.Cut(in.str("statement"), "@")
		f := failf(codeNoMatch, nil, "no match: no line records for %s", where)
		if near := nearest(spec, lines); len(lines) > 0 && !spec.all && len(near.lines) > 0 {
			n := near.lines[0].lo
			_, file, _ := strings.Cut(in.str("statement"), "@")
			if at := strings.LastIndexAny(file, ":+"); at > 0 {
				f.message += fmt.Sprintf(" (nearest: %s:%d)", file[:at], n)
			}
		}
		return nil, f.withHelp("use .nearest, or :* for all lines")
	}
	return nil, failf(codeNoMatch, nil, "no match").suggesting("similar functions", func() []string { return ctype.Similar(spec.name, c.data.Names(), 5) })
}

// nearest makes a specification of the line that is nearest to the one asked for.
func nearest(spec *funcSpec, lines []lineOf) funcSpec {
	out := *spec
	if len(lines) == 0 || len(spec.lines) == 0 {
		return out
	}
	best, distance := 0, -1
	for _, s := range lines {
		want := spec.lines[0].lo
		if spec.relative {
			want += s.i.Decl.Line
		}
		d := s.Line.Line - want
		if d = max(d, -d); distance < 0 || d < distance {
			best, distance = s.Line.Line, d
		}
	}
	out.lines, out.relative, out.all = []lineRange{{best, best}}, false, false
	return out
}

// instanceContext offers the variables of a function at an address; entry tells that
// it is the function's first instruction.
func (r *resolver) instanceContext(p *Probe, code *code, i *dwarf.Instance, addr uint64, entry bool) *context {
	c := &context{what: i.Name, space: code.space, binary: code.binary, module: code.module}
	here := *code
	here.probed, here.at = true, addr
	code = &here
	if !p.Return {
		c.here = code
	}
	p.Bits32 = wordSize(code.elf) == 4
	abi := abiOf(code.elf)
	places := abi.Parameters(i.Type())
	for n, v := range i.Params() {
		if v.Name == "" {
			continue
		}
		var loc dwarf.Location
		var err error
		if entry {
			loc, err = v.AtEntry()
		} else {
			loc, err = v.Location(addr)
		}
		cv := r.debugVar(code, v, loc, err)
		if entry && cv.why == "" && n < len(places) && ctype.IsScalar(v.Type) {
			// By the calling convention it is found on other builds, too.
			regs := places[n].Regs
			if l := cv.acc.Location; l != nil && l.Kind == "reg" && len(regs) == 1 && regs[0] == l.Reg {
				if slot := slices.Index(argRegisters[abi], l.Reg); slot >= 0 {
					cv.acc = Access{Base: BaseArg, N: slot, BaseType: v.Type, Space: code.space, Binary: code.binary, Module: code.module}
				}
			}
		}
		c.vars = append(c.vars, cv)
	}
	c.vars = append(c.vars, r.debugLocals(c, code, i, addr)...)
	c.globals = func(name string) *ctxVar { return r.debugGlobal(code, name) }
	if !p.Return {
		return c
	}
	rc := &context{what: i.Name, space: code.space, binary: code.binary, module: code.module, entry: c}
	result := i.Type().Result
	if _, void := ctype.Strip(result).(*ctype.Void); result != nil && !void {
		rc.ret = returned(code, i.Type())
	}
	return rc
}

// returned is what a function of a program returns: a number, or a structure by value.
func returned(code *code, f *ctype.Func) *ctxVar {
	t := f.Result
	v := &ctxVar{name: "return", typ: t, acc: Access{Base: BaseReturn, BaseType: t, Space: code.space, Binary: code.binary, Module: code.module}}
	place := ctype.Place{Regs: []int{0}}
	if code.elf.Machine == delf.EM_386 {
		// In eax, with edx of 8 bytes; structures by address.
		_, place.Float = ctype.Strip(t).(*ctype.Float)
		if place.ByRef = composite(t); t.Size() > 4 {
			place.Regs = []int{0, 2}
		}
	} else if p, ok := abiOf(code.elf).Result(f); ok {
		place = p
	} else if composite(t) {
		v.why = "the function returns a structure, whose place is not known then"
		return v
	}
	switch {
	case place.Float:
		v.why = "the function returns it in a floating-point register, which cannot be read"
	case place.ByRef:
		v.acc.Base, v.acc.BaseAddr = BaseLocation, true
		v.acc.Location = &Location{Kind: "mem", Reg: code.register(place.Regs[0]), Index: -1}
	case composite(t) || len(place.Regs) > 1:
		l := &Location{Kind: "parts", Reg: -1, Index: -1}
		word := wordSize(code.elf)
		for n, r := range place.Regs {
			l.Parts = append(l.Parts, Part{At: &Location{Kind: "reg", Reg: code.register(r), Index: -1}, Off: int64(n) * word, Bytes: word})
		}
		v.acc.Base, v.acc.Location = BaseLocation, l
	}
	return v
}

// wordSize is how many bytes a register of a program has.
func wordSize(f *elf.File) int64 {
	if f.Class == delf.ELFCLASS32 {
		return 4
	}
	return 8
}

// registers386 are the DWARF numbers that the registers of a 32-bit program have in
// 64-bit ones, where the kernel keeps them: eax ecx edx ebx esp ebp esi edi eip.
var registers386 = []int{0, 2, 1, 3, 7, 6, 4, 5, 16}

// register is the number of a register of the program as handlers know it.
func (c *code) register(n int) int {
	if c.elf.Machine == delf.EM_386 && n >= 0 {
		if n < len(registers386) {
			return registers386[n]
		}
		return -1
	}
	return n
}

// debugLocals gives the local variables at an address that c does not have yet.
func (r *resolver) debugLocals(c *context, code *code, i *dwarf.Instance, addr uint64) []ctxVar {
	var out []ctxVar
	for _, v := range i.Locals(addr) {
		if v.Name == "" || c.lookup(v.Name) != nil || slices.ContainsFunc(out, func(o ctxVar) bool { return o.name == v.Name }) {
			continue
		}
		loc, err := v.Location(addr)
		cv := r.debugVar(code, v, loc, err)
		cv.local = true
		out = append(out, cv)
	}
	return out
}

// argRegisters are the DWARF numbers of the registers that hold integer arguments, in
// order.
var argRegisters = map[ctype.ABI][]int{
	ctype.SysV:    {5, 4, 1, 2, 8, 9},
	ctype.AAPCS64: {0, 1, 2, 3, 4, 5, 6, 7},
}

// abiOf is the calling convention of a program.
func abiOf(file *elf.File) ctype.ABI {
	switch file.Machine {
	case delf.EM_X86_64:
		return ctype.SysV
	case delf.EM_AARCH64:
		return ctype.AAPCS64
	}
	return ctype.NoABI
}

// debugVar makes a variable of one that DWARF describes.
func (r *resolver) debugVar(code *code, v *dwarf.Variable, loc dwarf.Location, err error) ctxVar {
	out := ctxVar{name: v.Name, typ: v.Type, acc: Access{Base: BaseLocation, BaseType: v.Type, Space: code.space, Binary: code.binary, Module: code.module}}
	if err == nil && code.space == KernelSpace && loc.Base == dwarf.Static && len(loc.Offs) == 1 {
		// The kernel and its modules lie elsewhere after each boot; their symbols
		// are known then.
		s, off, ok := code.elf.At(uint64(loc.Offs[0]))
		if list, lerr := code.elf.Lookup(s.Name); !ok || off != 0 || lerr != nil || len(list) != 1 {
			out.why = fmt.Sprintf("'$%s' cannot be read here: no symbol names it alone", v.Name)
			return out
		}
		out.acc = Access{Base: BaseSymbol, BaseAddr: true, BaseType: v.Type, Space: KernelSpace, Module: code.module,
			Symbol: &Symbol{Name: s.Name, Module: code.module, PerCPU: code.module == "" && code.elf.InSection(s.Addr, ".data..percpu")}}
		return out
	}
	if err == nil {
		out.acc.Location, out.acc.BaseAddr, err = r.place(code, loc)
	}
	switch {
	case errors.Is(err, dwarf.ErrOptimizedOut):
		out.why = fmt.Sprintf("'$%s' has no value here: it is optimized out", v.Name)
	case err != nil:
		out.why = fmt.Sprintf("'$%s' cannot be read here: %v", v.Name, err)
	}
	if l := out.acc.Location; l != nil && !out.acc.BaseAddr {
		l.Size = int(v.Type.Size())
		if l.Size != 1 && l.Size != 2 && l.Size != 4 {
			l.Size = 8
		}
		l.Signed = ctype.IsSigned(v.Type)
		out.acc.Size, out.acc.Signed = l.Size, l.Signed
		if l.Size < 8 && (l.Kind == "sum" || l.Kind == "const") && !composite(v.Type) {
			// What is computed has 8 bytes.
			out.acc.Held = &Held{Bits: 8 * l.Size, Signed: l.Signed}
		}
	}
	return out
}

// place turns a location of package dwarf into ours; addr tells that it is the address of
// the value.
func (r *resolver) place(code *code, l dwarf.Location) (out *Location, addr bool, err error) {
	if len(l.Pieces) > 0 {
		return r.places(code, l.Pieces), false, nil
	}
	if len(l.Offs) == 0 {
		return nil, false, dwarf.ErrComplex
	}
	if len(l.Offs) > 1 && code.elf.Class == delf.ELFCLASS32 {
		return nil, false, errors.New("its place is told by a pointer of a 32-bit program")
	}
	out = &Location{Reg: -1, Index: -1, Offset: l.Offs[0], Offsets: l.Offs[1:]}
	switch l.Base {
	case dwarf.Static, dwarf.ThreadLocal:
		if code.space != UserSpace {
			return nil, false, dwarf.ErrComplex
		}
		out, err = r.static(code, l)
		return out, !l.Value, err
	case dwarf.Nothing:
		out.Kind = kindOf(l)
		if len(out.Offsets) == 0 {
			out.Kind = "const"
			if !l.Value {
				return nil, false, dwarf.ErrComplex
			}
		}
	case dwarf.Register:
		if out.Reg = code.register(l.Reg); out.Reg < 0 {
			return nil, false, fmt.Errorf("it lies in register %d, which handlers cannot read", l.Reg)
		}
		out.Kind = kindOf(l)
		if out.Kind == "sum" && out.Offset == 0 && len(out.Offsets) == 0 {
			out.Kind = "reg"
		}
	case dwarf.EntryRegister:
		return nil, false, errors.New("it is told by what a register held at the function's entry")
	default:
		return nil, false, dwarf.ErrComplex
	}
	return out, !l.Value, nil
}

// places is the location of a value that lies in pieces. Those of which it cannot be told
// where they lie are there without a place.
func (r *resolver) places(code *code, list []dwarf.Piece) *Location {
	out := &Location{Kind: "parts", Reg: -1, Index: -1}
	off := int64(0)
	for _, p := range list {
		part := Part{Off: off, Bytes: p.Bytes, Why: "a part of it is optimized out"}
		off += p.Bytes
		if !p.Missing {
			l, _, err := r.place(code, p.Location)
			if err != nil {
				part.Why = fmt.Sprintf("of a part of it, %v", err)
			} else {
				part.At = l
				out.Static = out.Static || l.Static
			}
		}
		out.Parts = append(out.Parts, part)
	}
	return out
}

// kindOf is what a sum of a base and offsets is: the value, or where it lies.
func kindOf(l dwarf.Location) string {
	if l.Value {
		return "sum"
	}
	return "mem"
}

// programCounter is its DWARF number.
func programCounter(file *elf.File) int {
	if file.Machine == delf.EM_AARCH64 {
		return 32
	}
	return 16
}

// static gives a variable that has one place in a program a base that a handler knows:
// unless it is bound to fixed addresses, a program lies elsewhere in each process. In a
// probe of the program itself the program counter tells; of what a process was started
// from the kernel does.
func (r *resolver) static(code *code, loc dwarf.Location) (*Location, error) {
	f := code.elf
	out := &Location{Kind: kindOf(loc), Reg: -1, Index: -1, Offset: loc.Offs[0], Offsets: loc.Offs[1:], Static: true}
	var err error
	switch {
	case loc.Base == dwarf.ThreadLocal && f.Class != delf.ELFCLASS64:
		return nil, errors.New("it is a thread-local variable of a 32-bit program")
	case loc.Base == dwarf.ThreadLocal:
		off, ok := f.ThreadOffset(out.Offset)
		if !f.IsProgram() || !ok {
			return nil, errors.New("it is a thread-local variable of a library, whose place differs between processes")
		}
		out.Offset = off
		field := []string{"thread", "fsbase"}
		if f.Machine == delf.EM_AARCH64 {
			field = []string{"thread", "uw", "tp_value"}
		}
		out.Under, err = r.taskField(field...)
	case f.Type == delf.ET_EXEC:
	case code.probed:
		out.Reg, out.Offset = programCounter(f), out.Offset-int64(code.at)
	case f.IsProgram():
		start, ok := f.CodeStart()
		if !ok {
			return nil, errors.New("the program has no code")
		}
		out.Offset -= int64(start)
		out.Under, err = r.taskField("mm", "start_code")
	default:
		return nil, errors.New("it is a variable of a library, whose place only a probe of that library knows (in a return probe @entry does)")
	}
	return out, err
}

// taskField leads from the current task to a number in the kernel.
func (r *resolver) taskField(names ...string) (*ctype.Path, error) {
	if r.e.opt.Target == nil {
		return nil, errors.New("where the program lies has to be asked of the kernel, whose types are not known")
	}
	t, ok := r.e.opt.Target.Type("", "struct task_struct")
	if !ok {
		return nil, errors.New("where the program lies has to be asked of the kernel, whose types do not have struct task_struct")
	}
	var steps []ctype.Step
	for _, n := range names {
		steps = append(steps, ctype.M(n))
	}
	path, err := ctype.Resolve(&ctype.Pointer{Elem: t, Bytes: 8}, steps)
	if err != nil {
		return nil, fmt.Errorf("where the program lies has to be asked of the kernel: %w", err)
	}
	return path, nil
}

// debugGlobal finds a file-level variable of a program.
func (r *resolver) debugGlobal(code *code, name string) *ctxVar {
	name, in, _ := strings.Cut(name, "@")
	for _, v := range code.data.Globals(name, in) {
		loc, err := v.Location(0)
		cv := r.debugVar(code, v, loc, err)
		return &cv
	}
	return nil
}

// userType finds a type in the debug information of a program.
func (e *elab) userType(path, name string) (ctype.Type, bool) {
	f := e.userFile(path)
	if f == nil {
		return nil, false
	}
	d := f.debug(&e.opt.Binaries.Search)
	if d == nil {
		return nil, false
	}
	return d.Type(name)
}

// userFile opens a program that a script names by its path.
func (e *elab) userFile(path string) *userFile {
	f := e.opt.Binaries.file(path)
	if f.err != nil {
		return nil
	}
	return f
}

// userSymbol resolves a variable of a program.
func (b *bodyState) userSymbol(x *syntax.AtOp, path, name string, addr bool) (*Access, *fail) {
	f := b.e.userFile(path)
	if f == nil {
		return nil, nil
	}
	d := f.debug(&b.e.opt.Binaries.Search)
	if d == nil {
		return nil, nil
	}
	in := &code{data: d, elf: f.elf, space: UserSpace, binary: f.path}
	c := b.context()
	if c != nil && c.here != nil && c.here.binary == f.path {
		in = c.here
	}
	if c == nil || c.binary != f.path {
		return nil, failf(codeTargetSymbol, x, "the variables of a program can be read in its own probes only")
	}
	v := b.e.res.debugGlobal(in, name)
	if v == nil {
		return nil, nil
	}
	if v.why != "" {
		return nil, failf(codeTargetSymbol, x, "%s", v.why)
	}
	b.body.UsesTarget = true
	base := v.acc
	base.Name = "@var"
	return b.follow(&base, x.Access, x, addr)
}
