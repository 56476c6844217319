// Package elf reads user programs and libraries: their symbols, build-ids,
// USDT marks and PLT entries, where addresses lie in the file, and where the
// dynamic linker and debuggers look for files.
//
// Files are opened as given, possibly made by whoever is traced: no content
// makes the package panic or read without bound.
package elf

import (
	"bufio"
	"bytes"
	"cmp"
	"debug/elf"
	"debug/gosym"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
)

// File is an ELF executable or library. It is safe for concurrent use.
type File struct {
	// Path is the file's name as it was opened.
	Path    string
	Machine elf.Machine
	Class   elf.Class
	Type    elf.Type
	Order   binary.ByteOrder
	// BuildID is the GNU build-id in hexadecimal, "" if there is none.
	BuildID string
	// Interp is the dynamic linker that the program asks for, "" if none.
	Interp string

	f      *elf.File
	r      io.ReaderAt
	size   int64 // of the file, -1 if it is not known
	closer io.Closer

	symOnce sync.Once
	syms    []Symbol // sorted by address, then as preferred
	byName  []int32  // indexes of syms, sorted by name
	symErr  error

	baseOnce sync.Once
	base     []uint64 // see layout
	rawOnce  sync.Once
	raw      []elf.Symbol // of a relocatable file, for its relocations
	rawErr   error
}

// Open opens an ELF file.
func Open(path string) (*File, error) {
	r, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return OpenFile(path, r)
}

// OpenFile reads an ELF file that is open already. The File closes it; so does an error.
func OpenFile(path string, r *os.File) (*File, error) {
	f, err := New(path, r)
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	f.closer = r
	if st, err := r.Stat(); err == nil && st.Mode().IsRegular() {
		f.size = st.Size()
	}
	return f, nil
}

// New reads an ELF file from r, which is used until Close. path names it.
func New(path string, r io.ReaderAt) (*File, error) {
	f := &File{Path: path, r: r, size: -1}
	err := guard(path, func() error {
		ef, err := elf.NewFile(r)
		if err != nil {
			return err
		}
		f.f = ef
		f.Machine, f.Class, f.Type, f.Order = ef.Machine, ef.Class, ef.Type, ef.ByteOrder
		for _, p := range ef.Progs {
			switch p.Type {
			case elf.PT_INTERP:
				data, err := bounded(p.Open(), p.Filesz, 4096)
				if err != nil {
					return err
				}
				f.Interp = cstring(data)
			case elf.PT_NOTE:
				if f.BuildID == "" {
					if err := f.buildID(p.Open(), p.Filesz, p.Align); err != nil {
						return err
					}
				}
			}
		}
		// Separate debug files have the section but no segment with it.
		if s := ef.Section(".note.gnu.build-id"); s != nil && f.BuildID == "" && s.Type == elf.SHT_NOTE {
			return f.buildID(s.Open(), s.Size, s.Addralign)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Starts reports whether a program begins at an address. What is there has no caller:
// its stack holds the program's arguments, and no address to return to.
func (f *File) Starts(addr uint64) bool { return f != nil && f.f.Entry != 0 && f.f.Entry == addr }

// guard runs code over debug/elf, which is known to panic on some malformed
// files, and names the file in the error.
func guard(path string, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: malformed ELF file: %v", path, p)
		}
	}()
	if err := f(); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// bounded reads size bytes, which must be at most limit.
func bounded(r io.Reader, size, limit uint64) ([]byte, error) {
	if size > limit {
		return nil, fmt.Errorf("part of %d bytes is larger than the limit of %d", size, limit)
	}
	var b bytes.Buffer
	if _, err := b.ReadFrom(io.LimitReader(r, int64(size))); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func cstring(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

const maxNotes = 16 << 20

func (f *File) buildID(r io.Reader, size, align uint64) error {
	data, err := bounded(r, size, maxNotes)
	if err != nil {
		return err
	}
	f.notes(data, align, func(name string, typ uint32, desc []byte) {
		if name == "GNU" && typ == 3 && f.BuildID == "" { // NT_GNU_BUILD_ID
			f.BuildID = hex.EncodeToString(desc)
		}
	})
	return nil
}

// notes calls each for the notes in data, as far as they are whole.
func (f *File) notes(data []byte, align uint64, each func(name string, typ uint32, desc []byte)) {
	if align != 8 {
		align = 4
	}
	up := func(n uint64) uint64 { return (n + align - 1) &^ (align - 1) }
	for len(data) >= 12 {
		nameLen, descLen := uint64(f.Order.Uint32(data)), uint64(f.Order.Uint32(data[4:]))
		typ := f.Order.Uint32(data[8:])
		descAt := up(12 + nameLen)
		end := descAt + descLen
		if end > uint64(len(data)) {
			return
		}
		each(cstring(data[12:12+nameLen]), typ, data[descAt:end])
		data = data[min(up(end), uint64(len(data))):]
	}
}

// Close closes the file. What was read before stays valid.
func (f *File) Close() error {
	if f.closer == nil {
		return nil
	}
	return f.closer.Close()
}

// SectionData is the content of a section, decompressed. It fails for one that
// is larger than limit bytes or the file.
func (f *File) SectionData(s *elf.Section, limit uint64) (data []byte, err error) {
	err = guard(f.Path, func() error {
		if s.Size > limit || s.FileSize > limit {
			return fmt.Errorf("section %s of %d bytes is too large", s.Name, max(s.Size, s.FileSize))
		}
		whole := s.Flags&elf.SHF_COMPRESSED == 0 && s.Type != elf.SHT_NOBITS
		if whole && f.size >= 0 && s.Offset <= uint64(f.size) && s.Size <= uint64(f.size)-s.Offset {
			// In one go: large sections are copied several times otherwise.
			data = make([]byte, s.Size)
			_, err := f.r.ReadAt(data, int64(s.Offset))
			return err
		}
		data, err = s.Data()
		return err
	})
	return data, err
}

// SectionReader gives access to the bytes of a section that the file has as they
// are: neither compressed nor to be relocated. ok is false for others.
func (f *File) SectionReader(s *elf.Section) (r *io.SectionReader, ok bool) {
	if s.Flags&elf.SHF_COMPRESSED != 0 || s.Type == elf.SHT_NOBITS || f.Type == elf.ET_REL || strings.HasPrefix(s.Name, ".z") ||
		f.size < 0 || s.Offset > uint64(f.size) || s.Size > uint64(f.size)-s.Offset {
		return nil, false
	}
	return io.NewSectionReader(f.r, int64(s.Offset), int64(s.Size)), true
}

// ELF is the file as the standard library has it, for readers of other
// sections. Code that uses it has to expect panics on malformed files.
func (f *File) ELF() *elf.File { return f.f }

// PointerBytes is the size of the program's pointers.
func (f *File) PointerBytes() int64 {
	if f.Class == elf.ELFCLASS32 {
		return 4
	}
	return 8
}

// Offset gives the place in the file of the byte that is loaded at a virtual
// address (as symbols have it). Probes of user programs attach to it.
func (f *File) Offset(addr uint64) (off uint64, ok bool) {
	for _, p := range f.f.Progs {
		if p.Type == elf.PT_LOAD && addr >= p.Vaddr && addr-p.Vaddr < p.Filesz {
			return addr - p.Vaddr + p.Off, true
		}
	}
	return 0, false
}

// Addr gives the virtual address at which a byte of the file is loaded; an
// executable segment is preferred where several have it.
func (f *File) Addr(off uint64) (addr uint64, ok bool) {
	for _, p := range f.f.Progs {
		if p.Type != elf.PT_LOAD || off < p.Off || off-p.Off >= p.Filesz {
			continue
		}
		addr, ok = off-p.Off+p.Vaddr, true
		if p.Flags&elf.PF_X != 0 {
			break
		}
	}
	return addr, ok
}

// Executable reports whether an address lies in code.
func (f *File) Executable(addr uint64) bool {
	if s, _ := f.sectionAt(addr); s != nil {
		return s.Flags&elf.SHF_EXECINSTR != 0
	}
	for _, p := range f.f.Progs {
		if p.Type == elf.PT_LOAD && p.Flags&elf.PF_X != 0 && addr >= p.Vaddr && addr-p.Vaddr < p.Filesz {
			return true
		}
	}
	return false
}

// Bytes reads n bytes at a virtual address, fewer at the end of a segment.
func (f *File) Bytes(addr uint64, n int) []byte {
	for _, p := range f.f.Progs {
		if p.Type != elf.PT_LOAD || addr < p.Vaddr || addr-p.Vaddr >= p.Filesz {
			continue
		}
		at := addr - p.Vaddr
		buf := make([]byte, min(uint64(n), p.Filesz-at))
		if k, err := p.ReadAt(buf, int64(at)); err != nil && k < len(buf) {
			return buf[:k]
		}
		return buf
	}
	return nil
}

// Kind is the kind of a symbol.
type Kind uint8

// The kinds of symbol.
const (
	Func     Kind = iota
	Indirect      // a function that returns the function to use (STT_GNU_IFUNC)
	Object        // a variable
	TLS           // a thread-local variable
	Other
)

// Symbol is a defined symbol.
type Symbol struct {
	Name    string
	Version string // such as "GLIBC_2.2.5", "" if none
	Addr    uint64
	Size    uint64
	Kind    Kind
	Global  bool // global or weak, as opposed to local
}

// maxSymbolTable bounds the symbol and string tables that are read; the
// largest programs have some hundred megabytes.
const maxSymbolTable = 1 << 30

// Symbols lists the defined symbols of the file's symbol tables, by address;
// of several at one address, global functions first. A file without symbols
// has none, which is no error.
func (f *File) Symbols() ([]Symbol, error) {
	f.symOnce.Do(func() {
		f.syms, f.symErr = f.ReadSymbols()
		f.byName = make([]int32, len(f.syms)) // a map of a kernel's takes longer to make, and 12 MB
		for i := range f.byName {
			f.byName[i] = int32(i)
		}
		slices.SortFunc(f.byName, func(a, b int32) int {
			return cmp.Or(strings.Compare(f.syms[a].Name, f.syms[b].Name), cmp.Compare(a, b))
		})
	})
	return f.syms, f.symErr
}

// ReadSymbols is Symbols for who makes something else of them: they are not kept, since
// those of a kernel take 60 MB.
func (f *File) ReadSymbols() (syms []Symbol, err error) {
	err = guard(f.Path, func() (err error) {
		syms, err = f.readSymbols()
		return err
	})
	return syms, err
}

func (f *File) readSymbols() (out []Symbol, err error) {
	for _, s := range f.f.Sections {
		switch s.Type {
		case elf.SHT_SYMTAB, elf.SHT_DYNSYM, elf.SHT_STRTAB:
			if s.Size > maxSymbolTable || s.FileSize > maxSymbolTable {
				return nil, fmt.Errorf("section %s of %d bytes is too large", s.Name, s.Size)
			}
		}
	}
	base := f.layout()
	add := func(s *elf.Symbol) {
		kind := Other
		switch elf.ST_TYPE(s.Info) {
		case elf.STT_FUNC:
			kind = Func
		case elf.STT_GNU_IFUNC:
			kind = Indirect
		case elf.STT_OBJECT:
			kind = Object
		case elf.STT_TLS:
			kind = TLS
		case elf.STT_NOTYPE:
		default:
			return // sections and files
		}
		if s.Section == elf.SHN_UNDEF || s.Section == elf.SHN_ABS || s.Section == elf.SHN_COMMON || s.Name == "" {
			return
		}
		addr := s.Value
		if int(s.Section) < len(base) {
			addr += base[s.Section]
		}
		sym := Symbol{Name: s.Name, Version: s.Version, Addr: addr, Size: s.Size, Kind: kind, Global: elf.ST_BIND(s.Info) != elf.STB_LOCAL}
		if name, version, ok := strings.Cut(sym.Name, "@"); ok && name != "" {
			sym.Name, sym.Version = name, strings.TrimPrefix(version, "@")
		}
		out = append(out, sym)
	}
	static, err := f.eachStatic(func(n int) { out = make([]Symbol, 0, n) }, add)
	if err != nil {
		return nil, err
	}
	dyn, err := f.f.DynamicSymbols()
	if err != nil && !errors.Is(err, elf.ErrNoSymbols) {
		return out, err
	}
	for i := range dyn {
		add(&dyn[i])
	}
	if static == 0 && f.IsGo() {
		out = append(out, f.goFunctions()...)
	}
	slices.SortStableFunc(out, func(a, b Symbol) int { return cmp.Compare(a.Addr, b.Addr) })
	out = distinct(out)
	rank := func(s Symbol) int {
		r := 0
		if s.Kind != Func && s.Kind != Indirect {
			r += 2
		}
		if !s.Global {
			r++
		}
		return r
	}
	slices.SortStableFunc(out, func(a, b Symbol) int {
		return cmp.Or(cmp.Compare(a.Addr, b.Addr), cmp.Compare(rank(a), rank(b)))
	})
	return out, nil
}

// eachStatic reads the static symbol table, and tells how many symbols it has, first to
// begin. A kernel's has 200,000: unlike debug/elf's reader this one makes no list of its
// own, and the names are parts of one string.
func (f *File) eachStatic(begin func(n int), yield func(*elf.Symbol)) (int, error) {
	sec := f.f.SectionByType(elf.SHT_SYMTAB)
	if sec == nil || sec.Size == 0 {
		return 0, nil
	}
	entry := elf.Sym64Size
	if f.f.Class == elf.ELFCLASS32 {
		entry = elf.Sym32Size
	}
	if sec.Size%uint64(entry) != 0 {
		return 0, fmt.Errorf("section %s is not a whole number of symbols", sec.Name)
	}
	if sec.Link == 0 || int(sec.Link) >= len(f.f.Sections) {
		return 0, fmt.Errorf("section %s has no table of names", sec.Name)
	}
	var text strings.Builder
	strtab := f.f.Sections[sec.Link]
	text.Grow(promised(strtab))
	if _, err := io.Copy(&text, strtab.Open()); err != nil {
		return 0, fmt.Errorf("names of section %s: %w", sec.Name, err)
	}
	names := text.String()
	n := int(sec.Size/uint64(entry)) - 1 // without the first, which is none
	begin(promised(sec) / entry)
	r := bufio.NewReaderSize(sec.Open(), 64<<10)
	buf := make([]byte, entry)
	bo := f.f.ByteOrder
	for i := 0; i <= n; i++ {
		if _, err := io.ReadFull(r, buf); err != nil {
			return 0, fmt.Errorf("section %s: %w", sec.Name, err)
		}
		if i == 0 {
			continue
		}
		var s elf.Symbol
		if entry == elf.Sym64Size {
			s.Info, s.Section, s.Value, s.Size = buf[4], elf.SectionIndex(bo.Uint16(buf[6:])), bo.Uint64(buf[8:]), bo.Uint64(buf[16:])
		} else {
			s.Info, s.Section, s.Value, s.Size = buf[12], elf.SectionIndex(bo.Uint16(buf[14:])), uint64(bo.Uint32(buf[4:])), uint64(bo.Uint32(buf[8:]))
		}
		if at := bo.Uint32(buf); uint64(at) < uint64(len(names)) {
			if end := strings.IndexByte(names[at:], 0); end >= 0 {
				s.Name = names[at : int(at)+end]
			}
		}
		yield(&s)
	}
	return n, nil
}

// promised is the size of a section, or as much of it as memory is set aside for when the
// file does not show that it has all of it.
func promised(s *elf.Section) int {
	var last [1]byte
	if s.Size > 0 && s.Flags&elf.SHF_COMPRESSED == 0 {
		if _, err := s.ReadAt(last[:], int64(s.Size)-1); err == nil {
			return int(s.Size)
		}
	}
	return int(min(s.Size, 1<<20))
}

// distinct leaves out symbols that are there before, of a list by address in which those of
// the static table come first at each. It knows no versions of what the dynamic one has with
// one or several.
func distinct(list []Symbol) []Symbol {
	type key struct{ name, version string }
	out := list[:0]
	for from := 0; from < len(list); {
		to := from + 1
		for to < len(list) && list[to].Addr == list[from].Addr {
			to++
		}
		if to == from+1 { // as nearly all are
			out = append(out, list[from])
			from = to
			continue
		}
		seen := map[key]int{}
		for _, s := range list[from:to] {
			k := key{s.Name, s.Version}
			if _, dup := seen[k]; dup {
				continue
			}
			bare := key{s.Name, ""}
			if i, dup := seen[bare]; dup {
				out[i].Version = s.Version
				delete(seen, bare)
				seen[k] = i
				continue
			}
			seen[k] = len(out)
			out = append(out, s)
		}
		from = to
	}
	return out
}

// Lookup gives the symbols of a name, by address. "name@VERSION" selects a
// version.
func (f *File) Lookup(name string) ([]Symbol, error) {
	syms, err := f.Symbols()
	if err != nil {
		return nil, err
	}
	bare, version, _ := strings.Cut(name, "@")
	version = strings.TrimPrefix(version, "@")
	var out []Symbol
	from, _ := slices.BinarySearchFunc(f.byName, bare, func(i int32, name string) int { return strings.Compare(syms[i].Name, name) })
	for _, i := range f.byName[from:] {
		if syms[i].Name != bare {
			break
		}
		if version == "" || syms[i].Version == version {
			out = append(out, syms[i])
		}
	}
	return out, nil
}

// At names a virtual address: the function or variable that it is in, or,
// when none reaches an address in code, the nearest symbol before it if that
// has no size. off is the distance from its start.
func (f *File) At(addr uint64) (s Symbol, off uint64, ok bool) {
	syms, err := f.Symbols()
	if err != nil {
		return Symbol{}, 0, false
	}
	i, _ := slices.BinarySearchFunc(syms, addr, func(s Symbol, a uint64) int {
		if s.Addr <= a {
			return -1
		}
		return 1
	})
	// Sizes may nest (an alias inside a function): look a little further back
	// for one that reaches the address.
	const back = 64
	best := -1
	for j := i - 1; j >= 0 && j >= i-back; j-- {
		s := &syms[j]
		switch {
		case addr-s.Addr < s.Size || s.Size == 0 && addr == s.Addr:
			if best < 0 || s.Addr == syms[best].Addr {
				best = j // the first at its address is preferred
			}
		case best >= 0 && s.Addr < syms[best].Addr:
			return syms[best], addr - syms[best].Addr, true
		}
	}
	if best < 0 && i > 0 && syms[i-1].Size == 0 && syms[i-1].Kind != Object && f.Executable(addr) {
		best = i - 1
		for best > 0 && syms[best-1].Addr == syms[best].Addr {
			best--
		}
	}
	if best < 0 {
		return Symbol{}, 0, false
	}
	return syms[best], addr - syms[best].Addr, true
}

// IsGo reports whether the program was made by the Go compiler. A return probe
// by trampoline kills such a program.
func (f *File) IsGo() bool {
	for _, s := range f.f.Sections {
		switch s.Name {
		case ".go.buildinfo", ".gopclntab", ".data.rel.ro.gopclntab":
			return true
		}
	}
	return false
}

// goFunctions lists the functions of a Go program from the table that its run time has
// for them, which stripping leaves.
func (f *File) goFunctions() []Symbol {
	var out []Symbol
	for _, s := range f.f.Sections {
		if s.Name != ".gopclntab" && s.Name != ".data.rel.ro.gopclntab" || s.Type == elf.SHT_NOBITS {
			continue
		}
		data, err := f.SectionData(s, maxSymbolTable)
		text := f.f.Section(".text")
		if err != nil || text == nil {
			return nil // as if it had none
		}
		t, err := gosym.NewTable(nil, gosym.NewLineTable(data, text.Addr))
		if err != nil {
			return nil
		}
		for i := range t.Funcs {
			fn := &t.Funcs[i]
			if fn.Sym == nil || fn.End < fn.Entry {
				continue
			}
			out = append(out, Symbol{Name: fn.Name, Addr: fn.Entry, Size: fn.End - fn.Entry, Kind: Func, Global: true})
		}
	}
	return out
}

// DebugLink is the name and CRC of a separate debug file, from .gnu_debuglink.
func (f *File) DebugLink() (name string, crc uint32, ok bool) {
	s := f.f.Section(".gnu_debuglink")
	if s == nil || s.Type == elf.SHT_NOBITS {
		return "", 0, false
	}
	data, err := bounded(s.Open(), s.FileSize, 4096)
	if err != nil {
		return "", 0, false
	}
	name = cstring(data)
	at := (len(name) + 4) &^ 3
	if name == "" || at+4 > len(data) || strings.Contains(name, "/") {
		return "", 0, false
	}
	return name, f.Order.Uint32(data[at:]), true
}
