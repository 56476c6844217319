// Package sym names kernel addresses: it reads /proc/kallsyms and
// /proc/modules into compact sorted tables.
package sym

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Symbol is one symbol of the kernel or a module.
type Symbol struct {
	Name string
	Addr uint64 // 0 when the kernel hides addresses
	// Type is nm's letter: T, t text; D, d, B, b data; W, w weak; and so on.
	Type   byte
	Module string // "" for the kernel itself; "bpf" and the like for its own areas
}

// IsText reports whether the symbol is a function.
func (s Symbol) IsText() bool {
	switch s.Type {
	case 'T', 't', 'W', 'w':
		return true
	}
	return false
}

// Table is a set of symbols sorted by address, those at one address in the
// order of the file (of which the kernel, too, prefers the first). It is safe
// for concurrent use.
type Table struct {
	text    []string // all names, in pieces of pieceSize at most
	syms    []entry
	modules []string // [0] is ""
	hidden  bool

	nameOnce sync.Once
	byName   []uint32 // indexes into syms sorted by name
}

type entry struct {
	addr    uint64
	name    uint32 // the piece of text, times pieceSize, and the offset in it
	nameLen uint16
	module  uint16 // index into modules
	typ     byte
}

// Kallsyms reads the running kernel's table.
func Kallsyms() (*Table, error) {
	data, err := os.ReadFile("/proc/kallsyms")
	if err != nil {
		return nil, err
	}
	return Parse(data)
}

// Parse reads the text of /proc/kallsyms: lines of address, type, name and
// optionally "[module]". A line of another shape is an error.
func Parse(data []byte) (*Table, error) { return Read(bytes.NewReader(data)) }

// maxNames bounds the names of a table, bytes.
const maxNames = 1 << 31

// pieceSize is how many bytes of names lie together: more than the longest name has.
const pieceSize = 1 << 16

// Read is Parse for a text that is read a line at a time, so that no more than the names
// is ever in memory.
func Read(r io.Reader) (*Table, error) {
	t := &Table{modules: []string{""}, hidden: true}
	mods := map[string]uint16{}
	sorted := true
	var last uint64
	// In pieces: growing tables of this size would leave as much again behind.
	var names strings.Builder
	var entries [][]entry
	count := 0
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 64<<10), 1<<20)
	for line := 1; sc.Scan(); line++ {
		e, name, mod, ok := parseLine(sc.Bytes())
		if !ok {
			return nil, fmt.Errorf("symbol table: line %d is not understood: %.80q", line, sc.Bytes())
		}
		if len(mod) > 0 {
			i, known := mods[string(mod)]
			if !known {
				if len(t.modules) > 0xffff {
					return nil, errors.New("symbol table: more than 65535 modules")
				}
				i = uint16(len(t.modules))
				t.modules = append(t.modules, string(mod))
				mods[string(mod)] = i
			}
			e.module = i
		}
		if e.addr != 0 {
			t.hidden = false
		}
		if e.addr < last {
			sorted = false
		}
		last = e.addr
		if names.Len()+len(name) > pieceSize {
			t.text = append(t.text, names.String())
			names = strings.Builder{}
		}
		if names.Cap() == 0 {
			names.Grow(pieceSize)
		}
		if len(t.text) >= maxNames/pieceSize {
			return nil, errors.New("symbol table is larger than 2 GiB")
		}
		e.name, e.nameLen = uint32(len(t.text)*pieceSize+names.Len()), uint16(len(name))
		names.Write(name)
		if n := len(entries); n == 0 || len(entries[n-1]) == cap(entries[n-1]) {
			entries = append(entries, make([]entry, 0, 4096))
		}
		piece := &entries[len(entries)-1]
		*piece = append(*piece, e)
		count++
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("symbol table: %w", err)
	}
	t.text = append(t.text, names.String())
	t.syms = make([]entry, 0, count)
	for i, piece := range entries {
		t.syms = append(t.syms, piece...)
		entries[i] = nil
	}
	if !sorted {
		slices.SortStableFunc(t.syms, func(a, b entry) int { return cmp.Compare(a.addr, b.addr) })
	}
	return t, nil
}

// parseLine reads a line such as "ffffffffc0201000 t ovl_open	[overlay]".
func parseLine(text []byte) (e entry, name, mod []byte, ok bool) {
	i := 0
hex:
	for ; i < len(text); i++ {
		c := text[i]
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		default:
			break hex
		}
		e.addr = e.addr<<4 | uint64(c)
	}
	if i == 0 || i > 16 || len(text)-i < 4 || text[i] != ' ' || text[i+2] != ' ' {
		return e, nil, nil, false
	}
	e.typ = text[i+1]
	name = text[i+3:]
	if n := bytes.IndexAny(name, "\t "); n >= 0 {
		if rest := bytes.TrimSpace(name[n:]); len(rest) > 2 && rest[0] == '[' && rest[len(rest)-1] == ']' {
			mod = rest[1 : len(rest)-1]
		}
		name = name[:n]
	}
	if len(name) == 0 || len(name) > 0xffff {
		return e, nil, nil, false
	}
	return e, name, mod, true
}

// Len is the number of symbols.
func (t *Table) Len() int { return len(t.syms) }

// Hidden reports that the kernel showed no addresses, as it does to those
// without CAP_SYSLOG: only names can be looked up.
func (t *Table) Hidden() bool { return t.hidden }

// At is the i-th symbol by address.
func (t *Table) At(i int) Symbol {
	e := t.syms[i]
	return Symbol{t.name(e), e.addr, e.typ, t.modules[e.module]}
}

func (t *Table) name(e entry) string {
	return t.text[e.name/pieceSize][e.name%pieceSize:][:e.nameLen]
}

// Find gives the index of the symbol that an address is in or behind: the
// first of those at the nearest lower or equal address. It fails below the
// lowest symbol and when addresses are hidden.
func (t *Table) Find(addr uint64) (i int, ok bool) {
	if t.hidden {
		return 0, false
	}
	i, found := slices.BinarySearchFunc(t.syms, addr, func(e entry, a uint64) int { return cmp.Compare(e.addr, a) })
	if found {
		return i, true
	}
	if i == 0 {
		return 0, false
	}
	i--
	for i > 0 && t.syms[i-1].addr == t.syms[i].addr {
		i--
	}
	return i, true
}

// farthest is more than what any symbol of a kernel covers.
const farthest = 64 << 20

// Lookup names an address: the symbol, the distance from its start, and the
// distance to the next symbol (its size, as far as the table can tell; 0 for
// the last). It fails where Find does, and where the symbol is too far away to be
// what is there: between the kernel and its modules, or behind all of them.
func (t *Table) Lookup(addr uint64) (s Symbol, offset, size uint64, ok bool) {
	i, ok := t.Find(addr)
	if !ok {
		return Symbol{}, 0, 0, false
	}
	s = t.At(i)
	if addr-s.Addr >= farthest {
		return Symbol{}, 0, 0, false
	}
	for j := i + 1; j < len(t.syms); j++ {
		if t.syms[j].addr > s.Addr {
			size = t.syms[j].addr - s.Addr
			break
		}
	}
	return s, addr - s.Addr, size, true
}

// ByName gives all symbols of a name, by address.
func (t *Table) ByName(name string) []Symbol {
	t.indexNames()
	i, _ := slices.BinarySearchFunc(t.byName, name, func(j uint32, n string) int {
		return strings.Compare(t.name(t.syms[j]), n)
	})
	var out []Symbol
	for ; i < len(t.byName) && t.name(t.syms[t.byName[i]]) == name; i++ {
		out = append(out, t.At(int(t.byName[i])))
	}
	return out
}

// WithPrefix calls yield for each symbol whose name begins with prefix, sorted
// by name and then address, until it returns false.
func (t *Table) WithPrefix(prefix string, yield func(Symbol) bool) {
	t.indexNames()
	i, _ := slices.BinarySearchFunc(t.byName, prefix, func(j uint32, n string) int {
		return strings.Compare(t.name(t.syms[j]), n)
	})
	for ; i < len(t.byName); i++ {
		s := t.At(int(t.byName[i]))
		if !strings.HasPrefix(s.Name, prefix) || !yield(s) {
			return
		}
	}
}

func (t *Table) indexNames() {
	t.nameOnce.Do(func() {
		t.byName = make([]uint32, len(t.syms))
		for i := range t.byName {
			t.byName[i] = uint32(i)
		}
		slices.SortFunc(t.byName, func(a, b uint32) int {
			if c := strings.Compare(t.name(t.syms[a]), t.name(t.syms[b])); c != 0 {
				return c
			}
			return cmp.Compare(a, b)
		})
	})
}

// Module is a loaded kernel module.
type Module struct {
	Name string
	Size uint64
	Base uint64 // 0 when hidden
	Live bool   // neither loading nor going
}

// Modules reads the running kernel's modules, in the kernel's order. A kernel
// without loadable modules has none, which is no error.
func Modules() ([]Module, error) {
	f, err := os.Open("/proc/modules")
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ParseModules(f)
}

// ParseModules reads the text of /proc/modules.
func ParseModules(r io.Reader) ([]Module, error) {
	var out []Module
	sc := bufio.NewScanner(r)
	for n := 1; sc.Scan(); n++ {
		f := strings.Fields(sc.Text())
		if len(f) < 6 {
			return nil, fmt.Errorf("/proc/modules: line %d is not understood: %.80q", n, sc.Text())
		}
		size, err1 := strconv.ParseUint(f[1], 10, 64)
		base, err2 := strconv.ParseUint(strings.TrimPrefix(f[5], "0x"), 16, 64)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("/proc/modules: line %d: %w", n, err)
		}
		out = append(out, Module{Name: f[0], Size: size, Base: base, Live: f[4] == "Live"})
	}
	return out, sc.Err()
}
