// Package dwarf reads the debugging information of programs: functions with
// their parameters, types and locations, inlined instances, variables, lines
// and types, in DWARF 2 to 5.
//
// Debugging information is large and scripts ask for little of it. Load makes
// one pass that notes names and places; everything else is read on demand.
// Types become ctype values, whose struct members are read on first use.
//
// The reader is written for hostile files: it checks every offset, bounds all
// recursion, and takes what it cannot read as absent.
package dwarf

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"stapkit/target/ctype"
	elffile "stapkit/target/elf"
	"stapkit/target/store"
)

// ErrNoDebug says that there is no debugging information for a file. It comes
// wrapped in an error that tells where it was looked for.
var ErrNoDebug = errors.New("no debugging information")

// Data is the debugging information of one program or library. It is safe for
// concurrent use.
type Data struct {
	// Program is the file that is probed. Addresses are its virtual ones.
	Program *elffile.File
	// Path is the file that the debugging information is in: the program's,
	// or a separate one.
	Path string

	f      *file
	units  []*unit // of the file, type units of DWARF 4 last
	elf    *elffile.File
	frames func() (*elffile.Frames, error)

	x     *index
	names func() []string // of functions, sorted

	mu    sync.Mutex
	cache map[typeRef]converted

	inlineMu sync.Mutex
	inlines  map[*unit]map[entryKey][]inlinedAt

	addrOnce sync.Once
	byAddr   []addrRef

	enumOnce sync.Once
	enums    map[string]enumConst

	filesOnce sync.Once
	filesErr  error

	linesOnce sync.Once
	unitRange []unitRange
}

// ref is the place of an entry: the number of a unit and the offset from its
// start.
type ref struct {
	unit uint32
	off  uint32
}

// addrRef is a function by its address.
type addrRef struct {
	addr uint64
	r    ref
}

type typeKey struct {
	tag  uint32 // tagStruct (classes too), tagUnion, tagEnumeration, tagTypedef, tagBaseType
	name string
}

// maxDebug bounds a section that is read; Linux with everything has 1 GB.
const maxDebug = 4 << 30

// lazyFrom is the size of a section from which on only what is asked for is read: of
// .debug_info whole units, of others pieces.
const lazyFrom = 1 << 20

// Load reads the debugging information of a program, from the program itself
// or from the separate file that search finds (nil searches nothing). It fails
// with ErrNoDebug if there is none.
func Load(program *elffile.File, search *elffile.Search) (*Data, error) {
	src, path := program, program.Path
	if !hasInfo(program) {
		if search == nil {
			return nil, fmt.Errorf("%s: %w", program.Path, ErrNoDebug)
		}
		p, err := search.DebugFile(program)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: %w", err, ErrNoDebug)
		}
		if err != nil {
			return nil, err
		}
		sep, err := elffile.Open(p)
		if err != nil {
			return nil, err
		}
		if !hasInfo(sep) {
			return nil, errors.Join(fmt.Errorf("%s: %w", p, ErrNoDebug), sep.Close())
		}
		src, path = sep, p
	}
	d := &Data{Program: program, Path: path, elf: src, cache: map[typeRef]converted{}, inlines: map[*unit]map[entryKey][]inlinedAt{}}
	d.frames = sync.OnceValues(d.readFrames)
	d.names = sync.OnceValue(func() []string { return d.x.funcs.all() })
	err := protect(path, func() error {
		f, err := open(src, path, search, true)
		if err != nil {
			return err
		}
		d.f = f
		return d.index()
	})
	if err != nil {
		if src != program {
			err = errors.Join(err, src.Close())
		}
		return nil, err
	}
	return d, nil
}

// protect runs code over the standard library's readers, which are known to
// panic on some malformed files.
func protect(path string, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: malformed debugging information: %v", path, p)
		}
	}()
	if err := f(); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// Close closes a separate debug file; the program stays open. What was not read before is
// absent from then on.
func (d *Data) Close() error {
	if d.f.info.r != nil {
		release(d.f.info.data)
	}
	for _, p := range d.f.parts() {
		if (*p).r != nil {
			release((*p).data)
		}
	}
	if d.elf != d.Program {
		return d.elf.Close()
	}
	return nil
}

func hasInfo(f *elffile.File) bool {
	for _, s := range f.ELF().Sections {
		if (s.Name == ".debug_info" || s.Name == ".zdebug_info") && s.Type != elf.SHT_NOBITS && s.Size > 0 {
			return true
		}
	}
	return false
}

// open reads the debug sections of a file, and with alt those of the
// supplementary file that it names.
func open(src *elffile.File, path string, search *elffile.Search, alt bool) (*file, error) {
	f := &file{path: path, bo: src.Order, abbrevs: map[uint64]*abbrevTable{}}
	for _, p := range f.parts() {
		*p = wholePart(nil)
	}
	var info, types, altLink []byte
	var infoReader io.ReaderAt
	for _, s := range src.ELF().Sections {
		if s.Type == elf.SHT_NOBITS {
			continue
		}
		var to *[]byte
		var in **part
		switch s.Name {
		case ".debug_info":
			to = &info
		case ".debug_types":
			to = &types
		case ".debug_abbrev":
			in = &f.abbrev
		case ".debug_str":
			in = &f.str
		case ".debug_line_str":
			in = &f.lineStr
		case ".debug_str_offsets":
			in = &f.strOffsets
		case ".debug_addr":
			in = &f.addr
		case ".debug_ranges":
			in = &f.ranges
		case ".debug_rnglists":
			in = &f.rnglists
		case ".debug_loc":
			in = &f.loc
		case ".debug_loclists":
			in = &f.loclists
		case ".debug_line":
			in = &f.line
		case ".gnu_debugaltlink":
			to = &altLink
		default:
			continue
		}
		// The file of a supplementary one is not kept open.
		if r, ok := src.SectionReader(s); ok && alt && s.Size > lazyFrom && s.Size <= maxDebug {
			if in != nil {
				*in = lazyPart(r, s.Size)
				continue
			}
			if to == &info {
				// The system gives memory only for what is read into it later.
				infoReader, info = r, sparse(s.Size)
				continue
			}
		}
		data, err := src.Relocated(s, maxDebug)
		if err != nil {
			return nil, err
		}
		if in != nil {
			*in = wholePart(data)
		} else {
			*to = data
		}
	}
	if info == nil {
		return nil, ErrNoDebug
	}
	if alt && len(altLink) > 0 {
		if err := f.openAlt(altLink, path, search); err != nil {
			return nil, err
		}
	}
	var err error
	if f.info, err = f.parseUnits(info, infoReader, false); err != nil {
		return nil, err
	}
	if types != nil {
		if f.types, err = f.parseUnits(types, nil, true); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// openAlt opens the file with entries that several debug files share (made by
// dwz). link is its name, a zero byte and its build-id. Without it only part
// of the names would be readable, so that its absence is an error.
func (f *file) openAlt(link []byte, path string, search *elffile.Search) error {
	name, id, ok := strings.Cut(string(link), "\x00")
	if !ok || name == "" {
		return nil
	}
	candidates := []string{name}
	if !filepath.IsAbs(name) {
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			real = path
		}
		candidates = []string{filepath.Join(filepath.Dir(real), name)}
	}
	roots := []string{"/usr/lib/debug"}
	if search != nil {
		if search.Debug != nil {
			roots = search.Debug
		}
		if search.Root != "" {
			candidates = append(candidates, filepath.Join(search.Root, name))
			for i, r := range roots {
				roots[i] = filepath.Join(search.Root, r)
			}
		}
	}
	for _, r := range roots {
		if len(id) > 1 {
			candidates = append(candidates, fmt.Sprintf("%s/.build-id/%x/%x.debug", r, id[:1], id[1:]))
		}
		candidates = append(candidates, filepath.Join(r, ".dwz", filepath.Base(name)))
	}
	for _, c := range candidates {
		search.See(c)
		e, err := elffile.Open(c)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if fmt.Sprintf("%x", id) != e.BuildID {
			if err := e.Close(); err != nil {
				return err
			}
			continue
		}
		f.alt, err = open(e, c, search, false)
		return errors.Join(err, e.Close())
	}
	return fmt.Errorf("the shared part of its debugging information is missing; looked for %s: %w", strings.Join(candidates, ", "), fs.ErrNotExist)
}

// readFrames takes the call frame tables of the program, else of the separate
// debug file.
func (d *Data) readFrames() (*elffile.Frames, error) {
	fr, err := d.Program.Frames()
	if errors.Is(err, elffile.ErrNoFrames) && d.elf != d.Program {
		return d.elf.Frames()
	}
	return fr, err
}

// scan is what one worker of index found.
type scan struct {
	funcs map[string][]ref
	types map[typeKey]ref
	vars  map[string][]ref
	err   error
}

// index notes the named things of all units.
func (d *Data) index() error {
	units := d.f.info.units
	if d.f.types != nil {
		units = slices.Concat(units, d.f.types.units)
	}
	d.units = units
	if uint64(len(units)) > 1<<31 {
		return errors.New("too many units")
	}
	key := d.storeKey()
	if d.x = d.stored(key); d.x != nil {
		return nil
	}
	workers := min(runtime.GOMAXPROCS(0), 8, len(units)/16+1)
	out := make([]scan, workers)
	var wg sync.WaitGroup
	// Contiguous shares keep the order of units when they are joined.
	share := (len(units) + workers - 1) / max(workers, 1)
	for w := range workers {
		wg.Go(func() {
			s := &out[w]
			s.funcs, s.types, s.vars = map[string][]ref{}, map[typeKey]ref{}, map[string][]ref{}
			defer func() {
				if p := recover(); p != nil {
					s.err = fmt.Errorf("malformed debugging information: %v", p)
				}
			}()
			for i := w * share; i < min((w+1)*share, len(units)) && s.err == nil; i++ {
				s.err = s.unit(units[i], uint32(i))
			}
		})
	}
	wg.Wait()
	for i := range out {
		if out[i].err != nil {
			return out[i].err
		}
	}
	crossUnit := false
	for _, t := range d.f.abbrevs {
		for _, a := range t.all {
			for _, at := range a.attrs {
				if a.tag == tagInlined && at.at == atAbstractOrigin && at.form != formRef4 && at.form != formRef1 && at.form != formRef2 && at.form != formRefUdata && at.form != formRef8 {
					crossUnit = true
				}
			}
		}
	}
	all := &scan{}
	if workers > 0 {
		all = &out[0]
		for _, s := range out[1:] {
			for n, rs := range s.funcs {
				all.funcs[n] = append(all.funcs[n], rs...)
			}
			for n, rs := range s.vars {
				all.vars[n] = append(all.vars[n], rs...)
			}
			for k, r := range s.types {
				if _, dup := all.types[k]; !dup {
					all.types[k] = r
				}
			}
		}
	}
	var b []byte
	if key == "" {
		b = all.encode(crossUnit, nil, nil)
	} else {
		b = all.encode(crossUnit, d.lineHeaders(), d.codeRanges())
		// Without it the next one reads everything again.
		_ = store.Put(storeKind, key, b)
	}
	var err error
	d.x, err = decodeIndex(b)
	return err
}

// unit walks the entries of a unit in one pass, entering namespaces, modules
// and classes only.
func (s *scan) unit(u *unit, n uint32) error {
	if u.end-u.off > 1<<32-1 {
		return fmt.Errorf("unit at %#x is too large", u.off)
	}
	if u.info().split {
		return errors.New("split debugging information (.dwo files) is not supported; compile without -gsplit-dwarf")
	}
	abbrevs, err := u.sec.d.abbrevTable(u.abbrevOff)
	if err != nil {
		return fmt.Errorf("unit at %#x: %w", u.off, err)
	}
	c := u.cursor(u.first)
	depth, skip := 0, -1 // skip: depth below which nothing is of interest
	for c.off < len(c.data) {
		off := uint64(c.off)
		code := c.uleb()
		if code == 0 {
			depth--
			if depth <= 0 {
				break
			}
			if skip >= depth {
				skip = -1
			}
			continue
		}
		ab := abbrevs.get(code)
		if ab == nil || c.bad {
			return fmt.Errorf("unit at %#x: entry at %#x is malformed", u.off, off)
		}
		interesting := skip < 0
		var name, sibling, origin value
		var declared, located bool
		var kind uint32
		descend := false
		if interesting {
			switch ab.tag {
			case tagSubprogram, tagVariable, tagTypedef, tagBaseType, tagUnion, tagEnumeration:
				kind = ab.tag
			case tagStruct, tagClass, tagInterface:
				kind, descend = tagStruct, true
			case tagCompileUnit, tagPartialUnit, tagTypeUnit, tagNamespace, tagModule:
				descend = true
			}
		}
		if kind == 0 {
			for _, a := range ab.attrs {
				if a.at == atSibling {
					sibling = u.readForm(&c, a)
				} else {
					u.skipForm(&c, a.form)
				}
			}
		} else {
			for _, a := range ab.attrs {
				switch a.at {
				case atSibling:
					sibling = u.readForm(&c, a)
				case atName:
					name = u.readForm(&c, a)
				case atAbstractOrigin, atSpecification:
					origin = u.readForm(&c, a)
				case atDeclaration:
					declared = u.readForm(&c, a).u != 0
				case atLocation, atConstValue:
					located = true
					u.skipForm(&c, a.form)
				default:
					u.skipForm(&c, a.form)
				}
			}
		}
		if c.bad {
			return fmt.Errorf("unit at %#x: entry at %#x is malformed", u.off, off)
		}
		if kind != 0 {
			s.note(u, ref{n, uint32(off - u.off)}, kind, name, origin, located, declared)
		}
		if !ab.children {
			if depth == 0 {
				break
			}
			continue
		}
		depth++
		if depth > maxTree {
			return fmt.Errorf("unit at %#x: entries are nested too deep", u.off)
		}
		if interesting && !descend {
			if to, ok := u.localRef(sibling); ok && to > off && to > uint64(c.off) {
				c.off = int(to)
				depth--
				continue
			}
			skip = depth - 1
		}
	}
	return nil
}

// note records an entry under its name.
func (s *scan) note(u *unit, r ref, kind uint32, name, origin value, located, declared bool) {
	switch kind {
	case tagSubprogram:
		// One without code is an abstract instance: of inlined functions, or,
		// after link-time optimisation, of all.
		if declared {
			return
		}
	case tagVariable:
		if !located {
			return
		}
	default:
		if declared {
			return
		}
	}
	var text []byte
	if name.ok() {
		text = u.text(name)
	} else if origin.ok() && (kind == tagSubprogram || kind == tagVariable) {
		text = []byte(originName(u.resolve(origin)))
	}
	if len(text) == 0 {
		return
	}
	switch kind {
	case tagSubprogram:
		if rs, ok := s.funcs[string(text)]; ok {
			s.funcs[string(text)] = append(rs, r)
		} else {
			s.funcs[string(text)] = []ref{r}
		}
	case tagVariable:
		s.vars[string(text)] = append(s.vars[string(text)], r)
	default:
		k := typeKey{kind, string(text)}
		if _, dup := s.types[k]; !dup {
			s.types[k] = r
		}
	}
}

// originName is the name of an entry, or of what it is an instance of or
// completes.
func originName(e entry) string {
	for range 8 {
		if !e.valid() {
			return ""
		}
		if v := e.attr(atName); v.ok() {
			return string(e.u.text(v))
		}
		next := e.ref(atAbstractOrigin)
		if !next.valid() {
			next = e.ref(atSpecification)
		}
		e = next
	}
	return ""
}

// entry gives the entry of a ref.
func (d *Data) entry(r ref) entry {
	if int(r.unit) >= len(d.units) {
		return entry{} // an index that does not fit
	}
	u := d.units[r.unit]
	return u.entryAt(u.off + uint64(r.off))
}

// Names lists the names of all functions that the program defines, sorted. Of
// some there may be neither code nor inlined instances left.
func (d *Data) Names() []string { return d.names() }

// Type finds a type by name: "struct x", "union x", "enum x", or a bare name,
// looked for as struct, typedef, union, enum and base type in that order.
func (d *Data) Type(name string) (ctype.Type, bool) {
	tags := []uint32{tagStruct, tagTypedef, tagUnion, tagEnumeration, tagBaseType}
	name = strings.TrimSpace(name)
	if kw, rest, ok := strings.Cut(name, " "); ok {
		switch kw {
		case "struct", "class":
			tags, name = []uint32{tagStruct}, strings.TrimSpace(rest)
		case "union":
			tags, name = []uint32{tagUnion}, strings.TrimSpace(rest)
		case "enum":
			tags, name = []uint32{tagEnumeration}, strings.TrimSpace(rest)
		}
	}
	for _, tag := range tags {
		if rs := d.x.types.find(typeName(typeKey{tag, name})); len(rs) > 0 {
			return d.typeOf(d.entry(rs[0])), true
		}
	}
	return nil, false
}

// TypeNames yields the names of all types with their keyword: "struct", "union", "enum",
// "typedef", or "" for a base type.
func (d *Data) TypeNames() iter.Seq2[string, string] {
	keywords := map[uint32]string{tagStruct: "struct", tagUnion: "union", tagEnumeration: "enum", tagTypedef: "typedef", tagBaseType: ""}
	return func(yield func(keyword, name string) bool) {
		for _, n := range d.x.types.all() {
			tag, size := utf8.DecodeRuneInString(n)
			if kw, ok := keywords[uint32(tag-'A')]; ok && !yield(kw, n[size:]) {
				return
			}
		}
	}
}

// GlobalNames lists the names of the file-level variables, sorted.
func (d *Data) GlobalNames() []string { return d.x.vars.all() }

type enumConst struct {
	value int64
	r     ref
}

// Constant finds an enumerator by name.
func (d *Data) Constant(name string) (value int64, enum *ctype.Enum, ok bool) {
	d.enumOnce.Do(func() {
		d.enums = map[string]enumConst{}
		add := func(r ref, e entry) {
			for c := range e.children {
				if c.ab.tag == tagEnumerator {
					if v, ok := c.num(atConstValue); ok {
						n := c.str(atName)
						if _, dup := d.enums[n]; !dup {
							d.enums[n] = enumConst{v, r}
						}
					}
				}
			}
		}
		for i, u := range d.units {
			root := u.entryAt(u.first)
			for e := range root.children {
				if e.ab.tag == tagEnumeration {
					add(ref{uint32(i), uint32(e.off - u.off)}, e)
				}
			}
		}
	})
	c, ok := d.enums[name]
	if !ok {
		return 0, nil, false
	}
	enum, ok = ctype.Strip(d.typeOf(d.entry(c.r))).(*ctype.Enum)
	return c.value, enum, ok
}
