package sema

import (
	delf "debug/elf"
	"errors"
	"fmt"
	"path/filepath"
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
			f.dwarf, f.dwarfErr = dwarf.Load(f.elf, s)
		}
	})
	return f.dwarf
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

// place writes where a function is declared: "@file:line".
func declared(i *dwarf.Instance) string {
	if i.Decl.File == "" {
		return ""
	}
	return "@" + i.Decl.File + ":" + strconv.Itoa(i.Decl.Line)
}

// instances finds the functions that a specification means.
func instances(d *dwarf.Data, spec *funcSpec, inlined, own bool) []*dwarf.Instance {
	names := []string{spec.name}
	if target.IsPattern(spec.name) {
		names = names[:0]
		for _, n := range d.Names() {
			if target.Match(spec.name, n) {
				names = append(names, n)
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
			if spec.file != "" && !matchFile(i.Decl.File, spec.file) {
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

// debugFunctions resolves functions with debug information. The second result is
// false when the program has none, or it does not know the function.
func (r *resolver) debugFunctions(in *request, w *where, file *userFile, spec *funcSpec) ([]*Probe, bool, *fail) {
	d := file.debug(&r.e.opt.Binaries.Search)
	if d == nil {
		return nil, false, nil
	}
	var out []*Probe
	for _, i := range instances(d, spec, !in.has("call") && !in.has("return") && !in.has("exported"), !in.has("inline")) {
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
		if label := in.arg("label"); label != nil {
			for _, l := range i.Labels() {
				if target.Match(label.str, l.Name) {
					p, f := r.debugPlace(in, w, file, i, l.Addr, FamUStatement,
						fmt.Sprintf("%s.function(%q).label(%q)", w.head(file), i.Name+declared(i), l.Name))
					if f != nil {
						return nil, true, f
					}
					out = append(out, p)
				}
			}
			continue
		}
		p, f := r.debugFunction(in, w, file, i)
		if f != nil {
			return nil, true, f
		}
		out = append(out, p)
	}
	return out, true, nil
}

// debugFunction makes the probe of one function, or of one place that it is inlined
// at.
func (r *resolver) debugFunction(in *request, w *where, file *userFile, i *dwarf.Instance) (*Probe, *fail) {
	text := fmt.Sprintf("%s.function(%q)%s", w.head(file), i.Name+declared(i), tail(in, "function"))
	if i.Inlined {
		return r.debugPlace(in, w, file, i, i.Addr, FamUFunction, text)
	}
	p := in.make(FamUFunction, text)
	p.Func, p.Binary, p.Return = i.Name, file.path, in.has("return")
	off, ok := file.elf.Offset(i.Addr)
	if !ok {
		return nil, failf(codeNoMatch, nil, "no match: function %s has no place in the file", i.Name)
	}
	c := Carrier{Kind: "uprobe", Symbol: i.Name, Reason: "a breakpoint at the function's entry; bound by its symbol"}
	if p.Return {
		if file.elf.IsGo() {
			return nil, goReturn(file)
		}
		c.Kind, c.Reason = "uretprobe", "the return address is replaced while the function runs"
	}
	if syms, err := file.elf.Lookup(i.Name); err != nil || len(syms) != 1 || syms[0].Addr != i.Addr {
		c.Symbol, c.Offset, c.BuildID = "", off, file.elf.BuildID
		c.Reason = "no symbol names it alone, so it is bound by its place in this build"
	}
	p.Carriers = []Carrier{w.carrier(c, file)}
	p.makeCtx = func() *context { return r.instanceContext(p, file, i, i.Addr, true) }
	return p, nil
}

func goReturn(file *userFile) *fail {
	return failf(codeRefused, nil, "a return probe kills Go programs such as %s: their stacks move", file.path).
		withHelp("probe the entry, or the lines of its return statements")
}

// debugPlace makes the probe of an instruction within a function.
func (r *resolver) debugPlace(in *request, w *where, file *userFile, i *dwarf.Instance, addr uint64, fam Family, text string) (*Probe, *fail) {
	off, ok := file.elf.Offset(addr)
	if !ok {
		return nil, failf(codeNoMatch, nil, "no match: %#x has no place in the file", addr)
	}
	p := in.make(fam, text)
	p.Func, p.Binary = i.Name, file.path
	p.Carriers = []Carrier{w.carrier(Carrier{Kind: "uprobe", Offset: off, BuildID: file.elf.BuildID,
		Reason: "an instruction binds to one build of the program"}, file)}
	p.makeCtx = func() *context { return r.instanceContext(p, file, i, addr, false) }
	return p, nil
}

// statements resolves .statement("func@file:line").
func (r *resolver) statements(in *request, w *where, file *userFile, spec *funcSpec) ([]*Probe, *fail) {
	d := file.debug(&r.e.opt.Binaries.Search)
	if d == nil {
		return nil, needUserDWARF(file.path, "a statement")
	}
	var out []*Probe
	seen := map[string]bool{}
	for _, i := range instances(d, spec, true, true) {
		lines, err := i.Lines()
		if err != nil {
			return nil, failf(codeNoMatch, nil, "no match: the lines of %s cannot be read: %v", i.Name, err)
		}
		if !spec.hasLine && len(lines) > 0 {
			lines = lines[:1]
		}
		pick := *spec
		if in.has("nearest") && spec.hasLine && !spec.all {
			pick = nearest(spec, lines, i.Decl.Line)
		}
		for _, s := range lines {
			if spec.file != "" && !matchFile(s.File, spec.file) || spec.hasLine && !pick.wants(s.Line.Line, i.Decl.Line) {
				continue
			}
			text := fmt.Sprintf("%s.statement(%q)", w.head(file), i.Name+"@"+s.File+":"+strconv.Itoa(s.Line.Line))
			k := text + strconv.FormatUint(i.Addr, 16)
			if seen[k] {
				continue // the first address of a line in each copy of a function
			}
			seen[k] = true
			p, f := r.debugPlace(in, w, file, i, s.Addr, FamUStatement, text)
			if f != nil {
				return nil, f
			}
			out = append(out, p)
		}
	}
	if len(out) == 0 {
		if spec.hasLine && len(instances(d, spec, true, true)) > 0 {
			_, where, _ := strings.Cut(in.str("statement"), "@")
			return nil, failf(codeNoMatch, nil, "no match: no line records for %s", where).withHelp("use .nearest, or :* for all lines")
		}
		return nil, failf(codeNoMatch, nil, "no match").suggesting("similar functions", func() []string { return ctype.Similar(spec.name, d.Names(), 5) })
	}
	return out, nil
}

// nearest makes a specification of the line that is nearest to the one asked for.
func nearest(spec *funcSpec, lines []dwarf.Statement, decl int) funcSpec {
	out := *spec
	if len(lines) == 0 || len(spec.lines) == 0 {
		return out
	}
	want := spec.lines[0].lo
	if spec.relative {
		want += decl
	}
	best := lines[0].Line.Line
	for _, s := range lines {
		a, b := s.Line.Line-want, best-want
		if max(a, -a) < max(b, -b) {
			best = s.Line.Line
		}
	}
	out.lines, out.relative, out.all = []lineRange{{best, best}}, false, false
	return out
}

// instanceContext offers the variables of a function at an address; entry tells that
// it is the function's first instruction.
func (r *resolver) instanceContext(p *Probe, file *userFile, i *dwarf.Instance, addr uint64, entry bool) *context {
	c := &context{what: i.Name, space: UserSpace, binary: file.path}
	places := abiOf(file).Parameters(i.Type())
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
		cv := r.debugVar(file, v, loc, err)
		if entry && cv.why == "" && n < len(places) && ctype.IsScalar(v.Type) {
			// By the calling convention it is found on other builds, too.
			regs := places[n].Regs
			if l := cv.acc.Location; l != nil && l.Kind == "reg" && len(regs) == 1 && regs[0] == l.Reg {
				if slot := slices.Index(argRegisters[abiOf(file)], l.Reg); slot >= 0 {
					cv.acc = Access{Base: BaseArg, N: slot, BaseType: v.Type, Space: UserSpace, Binary: file.path}
				}
			}
		}
		c.vars = append(c.vars, cv)
	}
	for _, v := range i.Locals(addr) {
		if v.Name == "" || c.lookup(v.Name) != nil {
			continue
		}
		loc, err := v.Location(addr)
		cv := r.debugVar(file, v, loc, err)
		cv.local = true
		c.vars = append(c.vars, cv)
	}
	c.globals = func(name string) *ctxVar { return r.debugGlobal(file, name) }
	if !p.Return {
		return c
	}
	rc := &context{what: i.Name, space: UserSpace, binary: file.path, entry: c}
	result := i.Type().Result
	if _, void := ctype.Strip(result).(*ctype.Void); result != nil && !void {
		rc.ret = &ctxVar{name: "return", typ: result, acc: Access{Base: BaseReturn, BaseType: result, Space: UserSpace, Binary: file.path}}
		if result.Size() > 8 {
			rc.ret.why = "the function returns a structure, which cannot be read"
		}
	}
	return rc
}

// argRegisters are the DWARF numbers of the registers that hold integer arguments, in
// order.
var argRegisters = map[ctype.ABI][]int{
	ctype.SysV:    {5, 4, 1, 2, 8, 9},
	ctype.AAPCS64: {0, 1, 2, 3, 4, 5, 6, 7},
}

// abiOf is the calling convention of a program.
func abiOf(file *userFile) ctype.ABI {
	switch file.elf.Machine {
	case delf.EM_X86_64:
		return ctype.SysV
	case delf.EM_AARCH64:
		return ctype.AAPCS64
	}
	return ctype.NoABI
}

// debugVar makes a variable of one that DWARF describes.
func (r *resolver) debugVar(file *userFile, v *dwarf.Variable, loc dwarf.Location, err error) ctxVar {
	out := ctxVar{name: v.Name, typ: v.Type, acc: Access{Base: BaseLocation, BaseType: v.Type, Space: UserSpace, Binary: file.path}}
	if err == nil {
		out.acc.Location, out.acc.BaseAddr, err = location(loc)
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
	}
	return out
}

// location turns a location of package dwarf into ours; addr tells that it is the
// address of the value.
func location(l dwarf.Location) (out *Location, addr bool, err error) {
	if len(l.Pieces) > 0 {
		return nil, false, errors.New("it lies in several pieces")
	}
	if len(l.Offs) == 0 {
		return nil, false, dwarf.ErrComplex
	}
	out = &Location{Reg: l.Reg, Index: -1, Offset: l.Offs[0], Offsets: l.Offs[1:]}
	switch l.Base {
	case dwarf.Nothing:
		out.Kind = "const"
		if !l.Value {
			return nil, false, dwarf.ErrComplex
		}
	case dwarf.Static:
		out.Kind = "addr"
	case dwarf.Register:
		out.Kind = "mem"
		if l.Value && len(l.Offs) == 1 {
			if out.Kind = "sum"; out.Offset == 0 {
				out.Kind = "reg"
			}
		}
	case dwarf.EntryRegister:
		return nil, false, errors.New("it is told by what a register held at the function's entry")
	case dwarf.ThreadLocal:
		return nil, false, errors.New("it is a thread-local variable")
	}
	return out, !l.Value, nil
}

// debugGlobal finds a file-level variable of a program.
func (r *resolver) debugGlobal(file *userFile, name string) *ctxVar {
	d := file.debug(&r.e.opt.Binaries.Search)
	if d == nil {
		return nil
	}
	name, in, _ := strings.Cut(name, "@")
	for _, v := range d.Globals(name, in) {
		loc, err := v.Location(0)
		cv := r.debugVar(file, v, loc, err)
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
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
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
	v := b.e.res.debugGlobal(f, name)
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
