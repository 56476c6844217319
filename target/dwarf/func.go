package dwarf

import (
	"cmp"
	"debug/elf"
	"errors"
	"fmt"
	"slices"
	"strings"

	"stapkit/target/ctype"
	elffile "stapkit/target/elf"
)

// entryKey is the identity of an entry.
type entryKey struct {
	sec *section
	off uint64
}

func (e entry) key() entryKey { return entryKey{e.u.sec, e.off} }

// Func is a function as the source declares it.
type Func struct {
	Name    string
	Linkage string // mangled name, "" for C
	Decl    Line   // where it is declared
	// External: it can be called from other files, so that its parameters
	// are passed by the calling convention.
	External bool

	d *Data
	e entry // the abstract instance; else the only instance
}

// Instance is a copy of a function in the code: its own, or one inlined into
// another function.
type Instance struct {
	*Func
	// Addr is the address of its first instruction.
	Addr    uint64
	Inlined bool
	// Call is the line of the call that an inlined instance replaces, and
	// Caller the name of the function that it is in.
	Call   Line
	Caller string

	e     entry
	outer entry // the function that it is in; e for one of its own
}

// Lookup gives the functions of a name that have code of their own, in the
// order of the file.
func (d *Data) Lookup(name string) []*Instance {
	var out []*Instance
	seen := map[entryKey]*Func{}
	for _, r := range d.x.funcs.find(name) {
		e := d.entry(r)
		if !e.valid() {
			continue
		}
		addr, ok := e.entryPC()
		if !ok {
			continue
		}
		f := d.function(e, seen)
		out = append(out, &Instance{Func: f, Addr: addr, e: e, outer: e})
	}
	return out
}

// At gives the function with code of its own that begins at an address. It
// serves names that only the symbol table has, such as "malloc" for the C
// library's __libc_malloc.
func (d *Data) At(addr uint64) (*Instance, bool) {
	d.addrOnce.Do(func() {
		for k := range len(d.x.funcs.refs) / 8 {
			r := d.x.funcs.ref(k)
			if a, ok := d.entry(r).entryPC(); ok {
				d.byAddr = append(d.byAddr, addrRef{a, r})
			}
		}
		slices.SortFunc(d.byAddr, func(a, b addrRef) int {
			return cmp.Or(cmp.Compare(a.addr, b.addr), cmp.Compare(a.r.unit, b.r.unit), cmp.Compare(a.r.off, b.r.off))
		})
	})
	i, ok := slices.BinarySearchFunc(d.byAddr, addr, func(r addrRef, a uint64) int { return cmp.Compare(r.addr, a) })
	if !ok {
		return nil, false
	}
	e := d.entry(d.byAddr[i].r)
	return &Instance{Func: d.function(e, map[entryKey]*Func{}), Addr: addr, e: e, outer: e}, true
}

// Around gives the function that the code at an address is of: the innermost, where
// functions are inlined into one another.
func (d *Data) Around(addr uint64) (*Instance, bool) {
	u := d.unitOf(addr)
	if u == nil {
		return nil, false
	}
	var outer, inner entry
	var walk func(e entry, depth int)
	walk = func(e entry, depth int) {
		if depth > maxTree {
			return
		}
		for c := range e.children {
			switch c.ab.tag {
			case tagSubprogram:
				if !outer.valid() && c.contains(addr) {
					outer, inner = c, c
					walk(c, depth+1)
					return
				}
			case tagInlined:
				if outer.valid() && c.contains(addr) {
					inner = c
					walk(c, depth+1)
					return
				}
			case tagLexicalBlock, tagNamespace, tagModule, tagStruct, tagClass:
				walk(c, depth+1)
			}
		}
	}
	walk(u.entryAt(u.first), 0)
	if !outer.valid() {
		return nil, false
	}
	i := &Instance{Func: d.function(inner, map[entryKey]*Func{}), Addr: addr, Inlined: inner.key() != outer.key(), e: inner, outer: outer}
	if a, ok := inner.entryPC(); ok {
		i.Addr = a
	}
	i.Caller = originName(outer)
	return i, true
}

// function gives what an instance is an instance of.
func (d *Data) function(e entry, seen map[entryKey]*Func) *Func {
	canon := canonical(e)
	if f, ok := seen[canon.key()]; ok {
		return f
	}
	f := &Func{Name: originName(e), d: d, e: canon, External: originFlag(e, atExternal)}
	// The declaration of a C++ method may leave out parameter names, which
	// the definition behind it has.
	for o := range e.origins {
		if v := o.attr(atDeclaration); !v.ok() || v.u == 0 {
			f.e = o
		}
	}
	f.Linkage = originStr(e, atLinkageName)
	if f.Linkage == "" {
		f.Linkage = originStr(e, atMIPSLinkageName)
	}
	f.Decl = declLine(e)
	seen[canon.key()] = f
	return f
}

// canonical follows references to the entry that all instances share.
func canonical(e entry) entry {
	for range 8 {
		next := e.ref(atAbstractOrigin)
		if !next.valid() {
			next = e.ref(atSpecification)
		}
		if !next.valid() {
			return e
		}
		e = next
	}
	return e
}

// origins yields an entry and what it is an instance of or completes.
func (e entry) origins(yield func(entry) bool) {
	for range 8 {
		if !e.valid() || !yield(e) {
			return
		}
		next := e.ref(atAbstractOrigin)
		if !next.valid() {
			next = e.ref(atSpecification)
		}
		e = next
	}
}

func originFlag(e entry, at uint32) bool {
	for o := range e.origins {
		if v := o.attr(at); v.ok() {
			return v.u != 0
		}
	}
	return false
}

func originStr(e entry, at uint32) string {
	for o := range e.origins {
		if v := o.attr(at); v.ok() {
			return string(o.u.text(v))
		}
	}
	return ""
}

// declLine is where an entry is declared. A definition that completes a
// declaration says its own line and leaves the file out when it is the same.
func declLine(e entry) Line {
	var l Line
	for o := range e.origins {
		if n, ok := o.num(atDeclLine); ok && l.Line == 0 && n > 0 && n < 1<<31 {
			l.Line = int(n)
		}
		if n, ok := o.num(atDeclFile); ok && l.File == "" && n >= 0 {
			if t, err := o.u.table(); err == nil {
				l.File = t.file(uint64(n))
			}
		}
	}
	return l
}

// entryPC is the address of the first instruction of an entry with code.
func (e entry) entryPC() (uint64, bool) {
	if !e.valid() {
		return 0, false
	}
	var addr uint64
	found := false
	low, hasLow := e.u.address(e.attr(atLowPC))
	if hasLow {
		addr, found = low, true
	}
	if !found {
		// A malformed list is no code.
		_ = e.ranges(func(start, _ uint64) bool {
			addr, found = start, true
			return false
		})
	}
	if v := e.attr(atEntryPC); v.ok() {
		if a, ok := e.u.address(v); ok {
			addr, found = a, true
		} else if n, ok := v.constant(); ok && found {
			addr += uint64(n)
		}
	}
	// What the linker discarded is at 0 or at the end of the address space.
	if addr == 0 || addr >= ^uint64(0)>>(64-8*e.u.addrSize)-1 {
		return 0, false
	}
	return addr, found
}

// Inlined gives the instances of the functions of a name that are inlined into
// others, by address.
func (d *Data) Inlined(name string) []*Instance {
	// The entries that inlined instances refer to. They are in the same unit,
	// unless the file says otherwise.
	origins := map[entryKey]bool{}
	units := map[*unit]bool{}
	for _, r := range d.x.funcs.find(name) {
		if e := d.entry(r); e.valid() {
			origins[canonical(e).key()] = true
			units[e.u] = true
		}
	}
	var out []*Instance
	seen := map[entryKey]*Func{}
	for _, u := range d.f.info.units {
		if !units[u] && !d.x.crossUnit {
			continue
		}
		m := d.inlinedIn(u)
		for k := range origins {
			for _, r := range m[k] {
				e := u.entryAt(u.off + uint64(r.off))
				addr, ok := e.entryPC()
				if !ok {
					continue
				}
				inst := &Instance{Func: d.function(e, seen), Addr: addr, Inlined: true, e: e}
				inst.outer = u.entryAt(u.off + uint64(r.outer))
				inst.Caller = originName(inst.outer)
				if n, ok := e.num(atCallLine); ok && n > 0 && n < 1<<31 {
					inst.Call.Line = int(n)
				}
				if n, ok := e.num(atCallFile); ok && n >= 0 {
					if t, err := e.u.table(); err == nil {
						inst.Call.File = t.file(uint64(n))
					}
				}
				out = append(out, inst)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b *Instance) int { return cmp.Compare(a.Addr, b.Addr) })
	return out
}

// inlinedAt is the place of an inlined instance in its unit, and of the
// function that it is in.
type inlinedAt struct{ off, outer uint32 }

// inlinedIn lists the inlined instances of a unit by the canonical entry of
// what they are instances of.
func (d *Data) inlinedIn(u *unit) map[entryKey][]inlinedAt {
	d.inlineMu.Lock()
	defer d.inlineMu.Unlock()
	if m, ok := d.inlines[u]; ok {
		return m
	}
	m := map[entryKey][]inlinedAt{}
	d.inlines[u] = m
	c, abbrevs := u.cursor(u.first), u.abbrev()
	var outer []uint32 // enclosing function of each open list of children
	in := uint32(0)
	for c.off < len(c.data) {
		off := uint64(c.off)
		code := c.uleb()
		if code == 0 {
			if n := len(outer); n > 0 {
				in, outer = outer[n-1], outer[:n-1]
			}
			continue
		}
		ab := abbrevs.get(code)
		if ab == nil || c.bad {
			break // index has seen the unit whole; what is left is padding
		}
		var origin value
		for _, a := range ab.attrs {
			if a.at == atAbstractOrigin && ab.tag == tagInlined {
				origin = u.readForm(&c, a)
			} else {
				u.skipForm(&c, a.form)
			}
		}
		if origin.ok() && !c.bad {
			if o := u.resolve(origin); o.valid() {
				k := canonical(o).key()
				m[k] = append(m[k], inlinedAt{uint32(off - u.off), in})
			}
		}
		if ab.children {
			outer = append(outer, in)
			if ab.tag == tagSubprogram {
				in = uint32(off - u.off)
			}
		}
	}
	return m
}

// Ranges lists the address ranges of the instance.
func (i *Instance) Ranges() ([][2]uint64, error) {
	var out [][2]uint64
	err := i.e.ranges(func(start, end uint64) bool {
		out = append(out, [2]uint64{start, end})
		return true
	})
	return out, err
}

// Contains reports whether an address is in the instance's code.
func (i *Instance) Contains(pc uint64) bool { return i.e.contains(pc) }

func (e entry) contains(pc uint64) bool {
	in := false
	// A malformed list contains nothing.
	_ = e.ranges(func(start, end uint64) bool {
		in = pc >= start && pc < end
		return !in
	})
	return in
}

// Type is the function's type, with parameter names.
func (f *Func) Type() *ctype.Func {
	ft := &ctype.Func{Result: f.d.typeOf(typeEntry(f.e))}
	for c := range f.e.children {
		switch c.ab.tag {
		case tagFormalParam:
			ft.Params = append(ft.Params, ctype.Param{Name: originName(c), Type: f.d.typeOf(typeEntry(c))})
		case tagUnspecParams:
			ft.Variadic = true
		}
	}
	return ft
}

// Variable is a parameter, local or global variable.
type Variable struct {
	Name string
	Type ctype.Type
	Decl Line
	// Param is the number of a parameter, from 0, else -1.
	Param int

	d     *Data
	e     entry // with the location, or the abstract one
	outer entry // function whose frame base counts
	inst  *Instance
}

func (i *Instance) variable(e entry, param int) *Variable {
	return &Variable{
		Name: originName(e), Type: i.d.typeOf(typeEntry(e)), Decl: declLine(e), Param: param,
		d: i.d, e: e, outer: i.outer, inst: i,
	}
}

// Params lists the parameters.
func (i *Instance) Params() []*Variable {
	var abstract []entry
	if i.Func.e.key() != i.e.key() {
		for c := range i.Func.e.children {
			if c.ab.tag == tagFormalParam {
				abstract = append(abstract, c)
			}
		}
	}
	var out []*Variable
	used := map[entryKey]bool{}
	for c := range i.e.children {
		if c.ab.tag != tagFormalParam {
			continue
		}
		n := len(out)
		if o := canonical(c); o.key() != c.key() {
			used[o.key()] = true
			if k := slices.IndexFunc(abstract, func(a entry) bool { return a.key() == o.key() }); k >= 0 {
				n = k
			}
		} else if n < len(abstract) {
			used[abstract[n].key()] = true // a definition repeats its declaration
		}
		out = append(out, i.variable(c, n))
	}
	// What this instance has no entry for is there, but without a value.
	if len(out) < len(abstract) {
		for k, a := range abstract {
			if !used[a.key()] {
				out = append(out, i.variable(a, k))
			}
		}
		slices.SortStableFunc(out, func(a, b *Variable) int { return a.Param - b.Param })
	}
	return out
}

// Locals lists the local variables that are in scope at pc: those of the
// instance and of the blocks in it that contain pc.
func (i *Instance) Locals(pc uint64) []*Variable {
	var out []*Variable
	i.e.inside(0, func(c entry) (deeper bool) {
		switch c.ab.tag {
		case tagVariable:
			if !c.flag(atDeclaration) && originName(c) != "" {
				out = append(out, i.variable(c, -1))
			}
		case tagLexicalBlock:
			deeper = c.contains(pc)
		}
		return deeper
	})
	return out
}

// Location tells where the variable is when the instruction at pc is about to
// be executed. It fails with ErrOptimizedOut where it has no value, and with
// ErrComplex where the place cannot be told by a Location.
func (v *Variable) Location(pc uint64) (Location, error) {
	if c := v.e.attr(atConstValue); c.ok() {
		return constValue(c, v.e.u)
	}
	attr := v.e.attr(atLocation)
	if !attr.ok() {
		return Location{}, ErrOptimizedOut
	}
	expr, ok, err := v.e.u.exprAt(attr, pc)
	if err != nil {
		return Location{}, err
	}
	if !ok {
		return Location{}, ErrOptimizedOut
	}
	return v.evaluator(pc).eval(expr)
}

func constValue(c value, u *unit) (Location, error) {
	if n, ok := c.constant(); ok {
		return Location{Offs: []int64{n}, Value: true}, nil
	}
	switch len(c.b) {
	case 1, 2, 4, 8:
		k := cursor{data: c.b, bo: u.sec.d.bo}
		return Location{Offs: []int64{int64(k.fixed(len(c.b)))}, Value: true}, nil
	}
	return Location{}, fmt.Errorf("%w: constant of %d bytes", ErrComplex, len(c.b))
}

func (v *Variable) evaluator(pc uint64) *evaluator {
	ev := &evaluator{u: v.e.u}
	ev.cfa = func() (operand, error) { return v.d.cfaAt(pc) }
	ev.frameBase = func() (operand, error) {
		fb := v.outer.attr(atFrameBase)
		if !fb.ok() {
			return operand{}, fmt.Errorf("%w: function without frame base", ErrComplex)
		}
		expr, ok, err := v.outer.u.exprAt(fb, pc)
		if err != nil {
			return operand{}, err
		}
		if !ok {
			return operand{}, ErrOptimizedOut
		}
		inner := &evaluator{u: v.outer.u, cfa: ev.cfa, frameBase: func() (operand, error) {
			return operand{}, fmt.Errorf("%w: circular frame base", ErrComplex)
		}}
		l, err := inner.eval(expr)
		if err != nil || len(l.Pieces) > 0 {
			return operand{}, errors.Join(err, ErrComplex)
		}
		return operand{l.Base, l.Reg, l.Offs}, nil
	}
	return ev
}

// abi is the calling convention of the program.
func (d *Data) abi() ctype.ABI {
	switch d.Program.Machine {
	case elf.EM_X86_64:
		return ctype.SysV
	case elf.EM_AARCH64:
		return ctype.AAPCS64
	}
	return ctype.NoABI
}

// AtEntry tells where a parameter is when its function's first instruction is
// about to be executed. Unoptimised code says where parameters will be once it
// has stored them, and optimised code leaves out those that it does not use:
// for both the calling convention tells, if the function keeps to it.
func (v *Variable) AtEntry() (Location, error) {
	i := v.inst
	l, err := v.Location(i.Addr)
	if i.Inlined || v.Param < 0 {
		return l, err
	}
	list := false
	switch v.e.attr(atLocation).form {
	case formSecOffset, formData4, formData8, formLoclistx:
		list = true
	}
	if err == nil && (list || l.Base != Register) {
		return l, nil
	}
	// A clone that the optimiser made may take other parameters than its
	// source says. GCC gives clones names of their own; other compilers
	// change static functions in place.
	info := i.e.u.info()
	if i.clone() || err != nil && !i.External && !strings.HasPrefix(info.producer, "GNU ") || !keepsToABI(info.language) {
		return l, err
	}
	places := v.d.abi().Parameters(i.Type())
	if v.Param >= len(places) {
		return l, err
	}
	p := places[v.Param]
	switch {
	case p.Float:
		return l, errors.Join(err, fmt.Errorf("%w: in a floating-point register", ErrComplex))
	case p.OnStack:
		cfa, cerr := v.d.cfaAt(i.Addr)
		if cerr != nil {
			return l, cerr
		}
		o := cfa.plus(p.Stack)
		if p.ByRef {
			o.offs = append(o.offs, 0)
		}
		return o.location(false), nil
	case len(p.Regs) == 0:
		return l, err
	case p.ByRef:
		return Location{Base: Register, Reg: p.Regs[0], Offs: []int64{0}}, nil
	case len(p.Regs) == 1:
		return Location{Base: Register, Reg: p.Regs[0], Offs: []int64{0}, Value: true}, nil
	}
	var ps []Piece
	left := v.Type.Size()
	for _, r := range p.Regs {
		ps = append(ps, Piece{Location: Location{Base: Register, Reg: r, Offs: []int64{0}, Value: true}, Bytes: min(left, 8)})
		left -= 8
	}
	return Location{Pieces: ps}, nil
}

// clone reports whether the instance may be a copy that the optimiser made of
// the function: it is an instance of another entry, as copies are and, after
// link-time optimisation, all functions, and no symbol at its address has the
// function's own name.
func (i *Instance) clone() bool {
	if i.External || i.Func.e.key() == i.e.key() || i.e.ref(atSpecification).valid() {
		return false
	}
	for _, f := range []*elffile.File{i.d.Program, i.d.elf} {
		// A file whose symbols cannot be read tells nothing.
		syms, err := f.Lookup(i.Name)
		if err == nil && slices.ContainsFunc(syms, func(s elffile.Symbol) bool { return s.Addr == i.Addr }) {
			return false
		}
	}
	return true
}

// keepsToABI reports whether programs in a language (DWARF 5, table 7.17, and
// later codes) pass parameters as the C calling convention has it. Go and Rust
// have their own.
func keepsToABI(language uint64) bool {
	switch language {
	case 0x01, 0x02, 0x0c, 0x1d, 0x2c, 0x3e: // C89, C, C99, C11, C17, C23
		return true
	case 0x04, 0x19, 0x1a, 0x21, 0x2a, 0x2b, 0x3a: // C++
		return true
	case 0x10, 0x11: // Objective C, C++
		return true
	}
	return false
}

// Body is the address behind the function's prologue, where unoptimised code
// has stored its parameters: the instruction that the line table marks so,
// else the second line of the function. It is Addr when neither is known.
func (i *Instance) Body() uint64 {
	t, err := i.e.u.table()
	if err != nil {
		return i.Addr
	}
	k, _ := slices.BinarySearchFunc(t.rows, i.Addr, func(r row, a uint64) int {
		switch {
		case r.addr < a || r.addr == a && r.end:
			return -1
		case r.addr > a:
			return 1
		}
		return 0
	})
	second := uint64(0)
	for ; k < len(t.rows) && !t.rows[k].end && i.Contains(t.rows[k].addr); k++ {
		r := t.rows[k]
		if r.body {
			return r.addr
		}
		if second == 0 && r.addr > i.Addr && r.stmt {
			second = r.addr
		}
	}
	if second != 0 {
		return second
	}
	return i.Addr
}

// Lines lists the statements of the instance by address.
func (i *Instance) Lines() ([]Statement, error) {
	t, err := i.e.u.table()
	if err != nil {
		return nil, err
	}
	ranges, err := i.Ranges()
	if err != nil {
		return nil, err
	}
	slices.SortFunc(ranges, func(a, b [2]uint64) int { return cmp.Compare(a[0], b[0]) })
	var rows []row
	type place struct{ file, line uint32 }
	recommended := map[place]bool{}
	for _, rg := range ranges {
		k, _ := slices.BinarySearchFunc(t.rows, rg[0], func(r row, a uint64) int { return cmp.Compare(r.addr, a) })
		for ; k < len(t.rows) && t.rows[k].addr < rg[1]; k++ {
			if r := t.rows[k]; !r.end {
				rows = append(rows, r)
				recommended[place{r.file, r.line}] = recommended[place{r.file, r.line}] || r.stmt
			}
		}
	}
	var out []Statement
	for _, r := range rows {
		// What optimization left of a line may have no place that is recommended.
		if at := (place{r.file, r.line}); r.stmt || !recommended[at] {
			recommended[at] = true
			out = append(out, Statement{Line{t.file(uint64(r.file)), int(r.line)}, r.addr})
		}
	}
	return out, nil
}

// Own reports whether a statement is of the instance's function, and not of one that
// is inlined into it. Compilers mix the instructions of both; in C the lines from the
// declaration of a function to the next are its own.
func (i *Instance) Own(s Statement) bool {
	byLine := false
	switch i.e.u.info().language {
	case 0x01, 0x02, 0x0c, 0x1d, 0x2c, 0x3e: // C, whose functions do not nest
		byLine = s.File == i.Decl.File
	}
	own := true
	i.e.inside(0, func(c entry) (deeper bool) {
		switch c.ab.tag {
		case tagInlined:
			// A line may begin with what is inlined there, and is of the caller all the same.
			own = own && !(c.contains(s.Addr) && (!byLine || originName(c) == i.Name))
		case tagLexicalBlock:
			deeper = true
		}
		return deeper && own
	})
	if !own || s.File != i.Decl.File {
		return own
	}
	if s.Line.Line < i.Decl.Line {
		return false
	}
	if !byLine {
		return true
	}
	lines := i.e.u.declared()[s.File]
	k, found := slices.BinarySearch(lines, s.Line.Line)
	if !found {
		k--
	}
	return k < 0 || lines[k] == i.Decl.Line
}

// declared lists the lines of the unit's functions by file, sorted.
func (u *unit) declared() map[string][]int {
	u.declOnce.Do(func() {
		u.decls = map[string][]int{}
		for c := range u.entryAt(u.first).children {
			if c.ab.tag == tagSubprogram && !c.flag(atDeclaration) {
				l := declLine(c)
				u.decls[l.File] = append(u.decls[l.File], l.Line)
			}
		}
		for _, l := range u.decls {
			slices.Sort(l)
		}
	})
	return u.decls
}

// Label is a label of a function.
type Label struct {
	Name string
	Addr uint64
	Decl Line
}

// Labels lists the labels of the instance that are in its code.
func (i *Instance) Labels() []Label {
	var out []Label
	i.e.inside(0, func(c entry) (deeper bool) {
		switch c.ab.tag {
		case tagLabel:
			if a, ok := c.u.address(c.attr(atLowPC)); ok && a != 0 {
				out = append(out, Label{originName(c), a, declLine(c)})
			}
		case tagLexicalBlock:
			deeper = true
		}
		return deeper
	})
	return out
}

// Call is a call of a function, as far as the compiler recorded it (at -O1 and
// above), or a function that was inlined in its place.
type Call struct {
	Name    string
	Inlined bool
	// Return is the address that a call returns to, Addr where the code of an
	// inlined function begins.
	Return, Addr uint64
}

// Calls lists the calls of the instance, in the order of the file. Calls that do not
// return to it, at its very end, are left out, as are those through pointers.
func (i *Instance) Calls() []Call {
	var out []Call
	i.e.inside(0, func(c entry) (deeper bool) {
		switch c.ab.tag {
		case tagCallSite, tagGNUCallSite:
			o, at := c.ref(atCallOrigin), uint32(atCallReturnPC)
			if !o.valid() {
				o = c.ref(atAbstractOrigin)
			}
			if c.ab.tag == tagGNUCallSite {
				at = atLowPC
			}
			ret, ok := c.u.address(c.attr(at))
			if ok && ret != 0 && !c.flag(atCallTailCall) && !c.flag(atGNUTailCall) && originName(o) != "" {
				out = append(out, Call{Name: originName(o), Return: ret})
			}
		case tagInlined:
			if a, ok := c.entryPC(); ok {
				out = append(out, Call{Name: originName(c), Inlined: true, Addr: a})
			}
			deeper = true
		case tagLexicalBlock:
			deeper = true
		}
		return deeper
	})
	return out
}

// Callees lists the names of the functions that the instance calls, as far as
// the compiler recorded its calls (at -O1 and above), and those inlined into
// it, sorted.
func (i *Instance) Callees() []string {
	var out []string
	i.e.inside(0, func(c entry) (deeper bool) {
		var name string
		switch c.ab.tag {
		case tagCallSite, tagGNUCallSite:
			o := c.ref(atCallOrigin)
			if !o.valid() {
				o = c.ref(atAbstractOrigin)
			}
			name = originName(o)
		case tagInlined:
			name = originName(c)
			deeper = true
		case tagLexicalBlock:
			deeper = true
		}
		if name != "" {
			out = append(out, name)
		}
		return deeper
	})
	slices.Sort(out)
	return slices.Compact(out)
}

// Globals gives the file-level variables of a name, of the files that match
// file as MatchFile does ("" is all).
func (d *Data) Globals(name, file string) []*Variable {
	var out []*Variable
	for _, r := range d.x.vars.find(name) {
		e := d.entry(r)
		if !e.valid() {
			continue
		}
		v := &Variable{Name: name, Type: d.typeOf(typeEntry(e)), Decl: declLine(e), Param: -1, d: d, e: e, outer: e}
		if file != "" && !MatchFile(v.Decl.File, file) && !MatchFile(e.u.info().name, file) {
			continue
		}
		out = append(out, v)
	}
	return out
}
