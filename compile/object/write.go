package object

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"stapkit/bundle"
)

// Write returns the ELF object for s. The same s gives the same bytes. s and its
// instructions are not changed.
func Write(s *Spec) ([]byte, error) {
	w := &writer{
		spec:   s,
		symbol: make(map[target]*elfSymbol),
		taken:  make(map[string]string),
		local:  newLocalTypes(),
		typeID: make(map[btf.Type]btf.TypeID),
	}
	out, err := w.write()
	if err != nil {
		return nil, fmt.Errorf("object: %w", err)
	}
	return out, nil
}

type writer struct {
	spec *Spec

	taken     map[string]string // symbol names in use, and for what
	programs  []*function
	functions []*function // .text
	code      []*elfSection
	sections  []*elfSection
	locals    []*elfSymbol
	globals   []*elfSymbol
	symbol    map[target]*elfSymbol

	btf    btf.Builder
	local  *localTypes
	typeID map[btf.Type]btf.TypeID // local types of CO-RE relocations, as given
	ext    extInfo
}

// claim makes name a symbol of the object, which must be the only one.
func (w *writer) claim(name, what string) error {
	if name == "" {
		return fmt.Errorf("a %s has no name", what)
	}
	if strings.ContainsRune(name, 0) {
		return fmt.Errorf("%s %q: zero byte in a name", what, name)
	}
	if by, ok := w.taken[name]; ok {
		return fmt.Errorf("%q is the name of a %s and of a %s", name, by, what)
	}
	w.taken[name] = what
	return nil
}

func (w *writer) write() ([]byte, error) {
	if err := w.collectFunctions(); err != nil {
		return nil, err
	}
	syms, err := w.collectSymbols()
	if err != nil {
		return nil, err
	}
	if err := w.collectCORE(); err != nil {
		return nil, err
	}
	if err := w.encodeFunctions(syms); err != nil {
		return nil, err
	}
	if err := w.license(); err != nil {
		return nil, err
	}
	if err := w.mapSection(); err != nil {
		return nil, err
	}
	if err := w.dataSections(); err != nil {
		return nil, err
	}
	if err := w.externs(); err != nil {
		return nil, err
	}
	if err := w.typeSections(); err != nil {
		return nil, err
	}
	marked := false
	for _, s := range w.spec.Sections {
		marked = marked || s.Name == bundle.MarkSection
		if !strings.HasPrefix(s.Name, ".stap.") {
			return nil, fmt.Errorf("section %q: only .stap.* may be added", s.Name)
		}
		w.sections = append(w.sections, &elfSection{name: s.Name, typ: elf.SHT_PROGBITS, align: 8, data: s.Data})
	}
	if !marked {
		w.sections = append(w.sections, &elfSection{name: bundle.MarkSection, typ: elf.SHT_PROGBITS, align: 8, data: bundle.Mark()})
	}
	return writeELF(w.sections, w.locals, w.globals, w.symbol)
}

// collectFunctions sorts programs into their sections and subprograms into .text,
// and gives each its offset.
func (w *writer) collectFunctions() error {
	s := w.spec
	called := make(map[string]bool)
	note := func(insns asm.Instructions) {
		for i := range insns {
			if ref := insns[i].Reference(); ref != "" && insns[i].IsFunctionReference() {
				called[ref] = true
			}
		}
	}
	for i := range s.Programs {
		note(s.Programs[i].Insns)
	}
	for i := range s.Functions {
		note(s.Functions[i].Insns)
	}

	for i := range s.Functions {
		f := &s.Functions[i]
		w.functions = append(w.functions, &function{
			name: f.Name, section: ".text", static: true, insns: f.Insns, proto: f.Proto,
		})
	}
	for i := range s.Programs {
		p := &s.Programs[i]
		switch {
		case p.Section == "":
			return fmt.Errorf("program %q has no section", p.Name)
		case strings.HasPrefix(p.Section, "."), strings.HasPrefix(p.Section, "license"),
			strings.HasPrefix(p.Section, "version"), strings.HasPrefix(p.Section, "maps"):
			// The loaders take these for something else.
			return fmt.Errorf("program %q: section %q cannot hold a program", p.Name, p.Section)
		}
		start := 0
		cur := &function{name: p.Name, section: p.Section, proto: p.Proto}
		w.programs = append(w.programs, cur)
		for j := 1; j <= len(p.Insns); j++ {
			if j < len(p.Insns) && !called[p.Insns[j].Symbol()] {
				continue
			}
			cur.insns = p.Insns[start:j]
			if j < len(p.Insns) {
				start = j
				cur = &function{name: p.Insns[j].Symbol(), section: ".text", static: true}
				w.functions = append(w.functions, cur)
			}
		}
	}

	// .text first: no subprogram's place may depend on the programs' sections.
	sections := make(map[string]*elfSection)
	for _, f := range slices.Concat(w.functions, w.programs) {
		what := "program"
		if f.static {
			what = "function"
		}
		if err := w.claim(f.name, what); err != nil {
			return err
		}
		if len(f.insns) == 0 {
			return fmt.Errorf("%s %q is empty", what, f.name)
		}
		sec := sections[f.section]
		if sec == nil {
			sec = &elfSection{name: f.section, typ: elf.SHT_PROGBITS, flags: elf.SHF_ALLOC | elf.SHF_EXECINSTR, align: 8}
			sections[f.section] = sec
			w.code = append(w.code, sec)
		}
		f.offset, f.size = sec.size, f.insns.Size()
		sec.size += f.size
		sym := &elfSymbol{name: f.name, bind: elf.STB_GLOBAL, typ: elf.STT_FUNC, section: sec, value: f.offset, size: f.size}
		if f.static {
			sym.bind = elf.STB_LOCAL
			if len(w.locals) == 0 {
				w.sectionSymbol(target{kind: toText}, sec)
			}
			w.locals = append(w.locals, sym)
		} else {
			w.globals = append(w.globals, sym)
			w.symbol[target{toProgram, f.name}] = sym
		}
	}
	w.sections = append(w.sections, w.code...)
	return nil
}

// sectionSymbol adds the nameless symbol that stands for a section.
func (w *writer) sectionSymbol(t target, sec *elfSection) {
	sym := &elfSymbol{bind: elf.STB_LOCAL, typ: elf.STT_SECTION, section: sec}
	w.locals = append(w.locals, sym)
	w.symbol[t] = sym
}

// collectSymbols checks the names of maps, data and kernel functions.
func (w *writer) collectSymbols() (*symbols, error) {
	syms := &symbols{
		functions: make(map[string]*function),
		maps:      make(map[string]bool),
		data:      make(map[string]uint32),
		kfuncs:    make(map[string]bool),
	}
	for _, f := range w.functions {
		syms.functions[f.name] = f
	}
	for i := range w.spec.Maps {
		name := w.spec.Maps[i].Name
		if err := w.claim(name, "map"); err != nil {
			return nil, err
		}
		syms.maps[name] = true
	}
	for i := range w.spec.Data {
		d := &w.spec.Data[i]
		if err := d.check(); err != nil {
			return nil, err
		}
		if err := w.claim(d.Name, "data section"); err != nil {
			return nil, err
		}
		for _, v := range d.Vars {
			if err := w.claim(v.Name, "variable"); err != nil {
				return nil, err
			}
		}
		syms.data[d.Name] = d.size()
	}
	for i := range w.spec.Kfuncs {
		k := &w.spec.Kfuncs[i]
		if err := w.claim(k.Name, "kernel function"); err != nil {
			return nil, err
		}
		if k.Proto == nil {
			return nil, fmt.Errorf("kernel function %q has no prototype", k.Name)
		}
		syms.kfuncs[k.Name] = true
	}
	return syms, nil
}

// maxDataSize bounds a data section; the kernel's limit is the memory it charges.
const maxDataSize = 1 << 28

func (d *Data) size() uint32 {
	if d.Size != 0 {
		return d.Size
	}
	return uint32(len(d.Bytes))
}

func (d *Data) check() error {
	name := d.Name
	switch {
	case name == ".bss":
		if len(d.Bytes) != 0 {
			return errors.New(".bss cannot have initial bytes")
		}
	case name == ".data", name == ".rodata":
	case strings.HasPrefix(name, ".data."), strings.HasPrefix(name, ".rodata."):
	default:
		return fmt.Errorf("data section %q: loaders know .data*, .rodata* and .bss", name)
	}
	if len(d.Bytes) > maxDataSize || d.Size > maxDataSize {
		return fmt.Errorf("data section %q is too large", name)
	}
	if d.size() == 0 {
		return fmt.Errorf("data section %q is empty", name)
	}
	if int(d.size()) < len(d.Bytes) {
		return fmt.Errorf("data section %q: %d bytes in a size of %d", name, len(d.Bytes), d.Size)
	}
	return nil
}

// collectCORE finds the local types of all relocations and gives them BTF ids.
func (w *writer) collectCORE() error {
	each := func(do func(CORE) error) error {
		for _, f := range slices.Concat(w.functions, w.programs) {
			for i := range f.insns {
				c, ok := COREOf(&f.insns[i])
				if !ok {
					continue
				}
				if err := do(c); err != nil {
					return fmt.Errorf("%s: instruction %d: CO-RE relocation: %w", f.name, i, err)
				}
			}
		}
		return nil
	}
	if err := each(w.local.use); err != nil {
		return err
	}
	return each(func(c CORE) error {
		t, err := w.local.typ(c)
		if err != nil {
			return err
		}
		w.typeID[t], err = w.btf.Add(t)
		return err
	})
}

// coreType returns the BTF id of the local type of c.
func (w *writer) coreType(c CORE) (btf.TypeID, error) {
	t, err := w.local.typ(c)
	if err != nil {
		return 0, err
	}
	return w.typeID[t], nil
}

// coreValue returns what the relocated instruction holds in the object.
func (w *writer) coreValue(c CORE) (uint64, error) {
	if c.Kind == TypeIDLocal || c.Kind == TypeIDTarget {
		id, err := w.coreType(c)
		return uint64(id), err
	}
	return c.Local()
}

// encodeFunctions fills the code sections, and .BTF.ext's records alongside.
func (w *writer) encodeFunctions(syms *symbols) error {
	progProto := &btf.FuncProto{
		Return: intType,
		Params: []btf.FuncParam{{Name: "ctx", Type: &btf.Pointer{Target: (*btf.Void)(nil)}}},
	}
	funcProto := &btf.FuncProto{Return: longType}

	byName := make(map[string]*elfSection)
	for _, sec := range w.code {
		byName[sec.name] = sec
	}
	for _, f := range slices.Concat(w.functions, w.programs) {
		sec := byName[f.section]
		if sec.data == nil {
			sec.data = make([]byte, 0, sec.size)
		}
		var err error
		if sec.data, err = f.encode(sec.data, syms, w.coreValue); err != nil {
			return err
		}
		sec.relocs = append(sec.relocs, f.relocs...)

		fn := &btf.Func{Name: f.name, Linkage: btf.GlobalFunc, Type: progProto}
		if f.static {
			// The verifier follows calls only into static functions, and takes
			// only those for callbacks.
			fn.Linkage, fn.Type = btf.StaticFunc, funcProto
		}
		if f.proto != nil {
			fn.Type = f.proto
		}
		id, err := w.btf.Add(fn)
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		if err := w.ext.add(f, id, w); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return nil
}

// dataSec adds the BTF DATASEC of a section.
func (w *writer) dataSec(name string, size uint32, vars []btf.VarSecinfo) error {
	_, err := w.btf.Add(&btf.Datasec{Name: name, Size: size, Vars: vars})
	if err != nil {
		return fmt.Errorf("section %s: %w", name, err)
	}
	return nil
}

func (w *writer) license() error {
	text := w.spec.License
	if text == "" {
		text = "GPL"
	}
	if strings.ContainsRune(text, 0) {
		return fmt.Errorf("license %q: zero byte", text)
	}
	if err := w.claim("_license", "license"); err != nil {
		return err
	}
	sec := &elfSection{
		name: "license", typ: elf.SHT_PROGBITS, flags: elf.SHF_ALLOC | elf.SHF_WRITE, align: 1,
		data: append([]byte(text), 0),
	}
	size := uint32(len(sec.data))
	w.sections = append(w.sections, sec)
	w.globals = append(w.globals, &elfSymbol{
		name: "_license", bind: elf.STB_GLOBAL, typ: elf.STT_OBJECT, section: sec, size: uint64(size),
	})
	return w.dataSec("license", size, []btf.VarSecinfo{{
		Type: &btf.Var{
			Name: "_license", Linkage: btf.GlobalVar,
			Type: &btf.Array{Index: arrayIndex, Type: charType, Nelems: size},
		},
		Size: size,
	}})
}

// The C types that the object itself needs. arrayIndex is the index type of
// arrays, named as clang names it.
var (
	charType   = &btf.Int{Name: "char", Size: 1, Encoding: btf.Signed}
	intType    = &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	longType   = &btf.Int{Name: "long", Size: 8, Encoding: btf.Signed}
	arrayIndex = &btf.Int{Name: "__ARRAY_SIZE_TYPE__", Size: 4}
)

// mapSection writes .maps. Its bytes are all zero; what a map is stands in BTF, in
// the shape that libbpf's __uint, __type and __array macros give.
func (w *writer) mapSection() error {
	if len(w.spec.Maps) == 0 {
		return nil
	}
	enc := &mapEncoder{uints: make(map[uint32]btf.Type)}
	sec := &elfSection{name: ".maps", typ: elf.SHT_PROGBITS, flags: elf.SHF_ALLOC | elf.SHF_WRITE, align: 8}
	var vars []btf.VarSecinfo
	for _, m := range mapOrder(w.spec.Maps) {
		def, err := enc.definition(m, false)
		if err != nil {
			return fmt.Errorf("map %q: %w", m.Name, err)
		}
		off := uint32(len(sec.data))
		for _, v := range m.Values {
			at := target{toProgram, v.Name}
			if m.Type != ebpf.ProgramArray {
				at.kind = toMap
			}
			if w.taken[v.Name] != map[targetKind]string{toProgram: "program", toMap: "map"}[at.kind] {
				return fmt.Errorf("map %q: element %d: there is no %q for it", m.Name, v.Index, v.Name)
			}
			sec.relocs = append(sec.relocs, reloc{
				offset: uint64(off+def.Size) + 8*uint64(v.Index), typ: relAbs64, target: at,
			})
		}
		// The elements are a flexible array: behind the struct, not in its size.
		size := def.Size + 8*elements(m)
		sec.data = append(sec.data, make([]byte, size)...)
		sym := &elfSymbol{
			name: m.Name, bind: elf.STB_GLOBAL, typ: elf.STT_OBJECT, section: sec,
			value: uint64(off), size: uint64(size),
		}
		w.globals = append(w.globals, sym)
		w.symbol[target{toMap, m.Name}] = sym
		vars = append(vars, btf.VarSecinfo{
			Type:   &btf.Var{Name: m.Name, Linkage: btf.GlobalVar, Type: def},
			Offset: off, Size: size,
		})
	}
	w.sections = append(w.sections, sec)
	return w.dataSec(".maps", uint32(len(sec.data)), vars)
}

// mapOrder puts maps of maps last: libbpf fills them while it creates maps in the
// order of the section.
func mapOrder(ms []Map) []*Map {
	var first, last []*Map
	for i := range ms {
		if ms[i].Inner != nil {
			last = append(last, &ms[i])
		} else {
			first = append(first, &ms[i])
		}
	}
	return append(first, last...)
}

type mapEncoder struct {
	uints map[uint32]btf.Type // numbers already encoded
}

// maxMapValues bounds the initial elements of one map.
const maxMapValues = 1 << 16

// elements returns how many initial elements the definition has room for.
func elements(m *Map) uint32 {
	n := uint32(0)
	for _, v := range m.Values {
		n = max(n, v.Index+1)
	}
	return n
}

// uint encodes a number as pointer to an array of that many elements.
func (e *mapEncoder) uint(v uint32) btf.Type {
	t, ok := e.uints[v]
	if !ok {
		t = &btf.Pointer{Target: &btf.Array{Index: arrayIndex, Type: intType, Nelems: v}}
		e.uints[v] = t
	}
	return t
}

func (e *mapEncoder) definition(m *Map, inner bool) (*btf.Struct, error) {
	def := &btf.Struct{}
	add := func(name string, t btf.Type, size uint32) {
		def.Members = append(def.Members, btf.Member{Name: name, Type: t, Offset: btf.Bits(def.Size * 8)})
		def.Size += size
	}
	sized := func(member string, t btf.Type, size uint32) error {
		if t == nil {
			if size != 0 {
				add(member+"_size", e.uint(size), 8)
			}
			return nil
		}
		n, err := btf.Sizeof(t)
		if err != nil {
			return fmt.Errorf("%s type: %w", member, err)
		}
		if size != 0 && int(size) != n {
			return fmt.Errorf("%s has %d bytes and its type %d", member, size, n)
		}
		add(member, &btf.Pointer{Target: t}, 8)
		return nil
	}

	add("type", e.uint(uint32(m.Type)), 8)
	if err := sized("key", m.Key, m.KeySize); err != nil {
		return nil, err
	}
	if m.Inner == nil && m.Type != ebpf.ProgramArray {
		if err := sized("value", m.Value, m.ValueSize); err != nil {
			return nil, err
		}
	}
	if m.MaxEntries != 0 {
		add("max_entries", e.uint(m.MaxEntries), 8)
	}
	if m.Flags != 0 {
		add("map_flags", e.uint(m.Flags), 8)
	}
	if m.Extra != 0 {
		if m.Extra > math.MaxUint32 {
			return nil, fmt.Errorf("map_extra %d exceeds 32 bits", m.Extra)
		}
		add("map_extra", e.uint(uint32(m.Extra)), 8)
	}

	isOuter := m.Type == ebpf.ArrayOfMaps || m.Type == ebpf.HashOfMaps
	switch {
	case isOuter && m.Inner == nil:
		return nil, errors.New("no inner map")
	case !isOuter && m.Inner != nil:
		return nil, fmt.Errorf("a %v cannot have an inner map", m.Type)
	case inner && (isOuter || len(m.Values) > 0):
		return nil, errors.New("an inner map cannot hold maps or initial elements")
	case len(m.Values) > 0 && !isOuter && m.Type != ebpf.ProgramArray:
		return nil, fmt.Errorf("a %v cannot have initial elements", m.Type)
	case !isOuter && m.Type != ebpf.ProgramArray:
		return def, nil
	}
	seen := make(map[uint32]bool)
	for _, v := range m.Values {
		if v.Index >= m.MaxEntries || v.Index >= maxMapValues {
			return nil, fmt.Errorf("element %d of %d", v.Index, m.MaxEntries)
		}
		if seen[v.Index] {
			return nil, fmt.Errorf("element %d is given twice", v.Index)
		}
		seen[v.Index] = true
	}
	var elem btf.Type
	if isOuter {
		in, err := e.definition(m.Inner, true)
		if err != nil {
			return nil, fmt.Errorf("inner map: %w", err)
		}
		elem = in
	} else {
		elem = &btf.FuncProto{Return: intType}
	}
	// The flexible array comes last: the loaders count on it.
	add("values", &btf.Array{Index: arrayIndex, Type: &btf.Pointer{Target: elem}}, 0)
	return def, nil
}

func (w *writer) dataSections() error {
	for i := range w.spec.Data {
		d := &w.spec.Data[i]
		sec := &elfSection{name: d.Name, typ: elf.SHT_PROGBITS, flags: elf.SHF_ALLOC | elf.SHF_WRITE, align: 8}
		if strings.HasPrefix(d.Name, ".rodata") {
			sec.flags = elf.SHF_ALLOC
		}
		if d.Name == ".bss" {
			sec.typ, sec.size = elf.SHT_NOBITS, uint64(d.size())
		} else {
			sec.data = append(slices.Clone(d.Bytes), make([]byte, int(d.size())-len(d.Bytes))...)
		}
		w.sections = append(w.sections, sec)
		w.sectionSymbol(target{toData, d.Name}, sec)

		var vars []btf.VarSecinfo
		end := uint64(0)
		for _, v := range d.Vars {
			if v.Type == nil {
				return fmt.Errorf("variable %q has no type", v.Name)
			}
			size, err := btf.Sizeof(v.Type)
			if err != nil {
				return fmt.Errorf("variable %q: %w", v.Name, err)
			}
			if uint64(v.Offset) < end || uint64(v.Offset)+uint64(size) > uint64(d.size()) {
				return fmt.Errorf("variable %q: bytes %d to %d overlap others or leave %s", v.Name, v.Offset, uint64(v.Offset)+uint64(size), d.Name)
			}
			end = uint64(v.Offset) + uint64(size)
			w.globals = append(w.globals, &elfSymbol{
				name: v.Name, bind: elf.STB_GLOBAL, typ: elf.STT_OBJECT, section: sec,
				value: uint64(v.Offset), size: uint64(size),
			})
			vars = append(vars, btf.VarSecinfo{
				Type:   &btf.Var{Name: v.Name, Linkage: btf.GlobalVar, Type: v.Type},
				Offset: v.Offset, Size: uint32(size),
			})
		}
		if len(vars) > 0 {
			if err := w.dataSec(d.Name, d.size(), vars); err != nil {
				return err
			}
		}
	}
	return nil
}

// externs declares kernel functions the way libbpf's __ksym does: undefined
// symbols, and FUNCs of extern linkage in a DATASEC that no section backs.
func (w *writer) externs() error {
	var vars []btf.VarSecinfo
	for i := range w.spec.Kfuncs {
		k := &w.spec.Kfuncs[i]
		sym := &elfSymbol{name: k.Name, bind: elf.STB_GLOBAL, typ: elf.STT_NOTYPE}
		if k.Optional {
			sym.bind = elf.STB_WEAK
		}
		w.globals = append(w.globals, sym)
		w.symbol[target{toExtern, k.Name}] = sym
		vars = append(vars, btf.VarSecinfo{
			Type: &btf.Func{Name: k.Name, Type: k.Proto, Linkage: btf.ExternFunc},
		})
	}
	if len(vars) == 0 {
		return nil
	}
	return w.dataSec(".ksyms", 0, vars)
}

// btfHeaderSize is sizeof(struct btf_header); its last word is the length of the
// strings, which end the blob.
const btfHeaderSize = 24

// typeSections writes .BTF and .BTF.ext. cilium/ebpf's builder keeps its string
// table to itself, so the strings of .BTF.ext go behind what it wrote.
func (w *writer) typeSections() error {
	blob, err := w.btf.Marshal(nil, &btf.MarshalOptions{Order: binary.LittleEndian})
	if err != nil {
		return fmt.Errorf("BTF: %w", err)
	}
	if len(blob) < btfHeaderSize {
		return errors.New("BTF: short blob")
	}
	strLen := binary.LittleEndian.Uint32(blob[20:])
	names := &btfStrings{base: strLen, offset: make(map[string]uint32)}
	ext, err := w.ext.encode(names, w)
	if err != nil {
		return err
	}
	blob = append(blob, names.data...)
	binary.LittleEndian.PutUint32(blob[20:], strLen+uint32(len(names.data)))

	w.sections = append(w.sections, &elfSection{name: ".BTF", typ: elf.SHT_PROGBITS, align: 4, data: blob})
	if ext != nil {
		w.sections = append(w.sections, &elfSection{name: ".BTF.ext", typ: elf.SHT_PROGBITS, align: 4, data: ext})
	}
	return nil
}
