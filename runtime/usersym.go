//go:build linux

package loader

import (
	"bufio"
	"bytes"
	"cmp"
	"debug/elf"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"stapkit/ir"
)

// userSymbols names addresses of user processes. The mappings of a process are
// read when an address of it first appears, and again when an address lies in
// none of them; they are kept after its end.
type userSymbols struct {
	procs map[int]*userProcess
	files map[string]*userFile // by identity: device, inode, path
}

type userProcess struct {
	started string // from /proc/PID/stat: another process of the same number differs
	maps    []mapping
}

// A mapping is a piece of an address space that shows a file.
type mapping struct {
	start, end uint64
	offset     uint64 // in the file
	path       string
	file       *userFile // opened when first needed
	id         string
}

// userFile is the symbols of one ELF file, by offset in the file's own address
// space.
type userFile struct {
	loads []elf.ProgHeader
	syms  []userSym
	size  uint64 // of the loaded image
	base  uint64
}

type userSym struct {
	addr, size uint64
	name       string
}

func newUserSymbols() *userSymbols {
	return &userSymbols{procs: map[int]*userProcess{}, files: map[string]*userFile{}}
}

// note reads the mappings of a process, if it is still there.
func (u *userSymbols) note(tgid int) {
	started := startTime(tgid)
	if started == "" {
		return
	}
	maps, err := readMappings(fmt.Sprintf("/proc/%d/maps", tgid))
	if err != nil || len(maps) == 0 {
		return
	}
	p := u.procs[tgid]
	if p == nil || p.started != started {
		p = &userProcess{started: started}
		u.procs[tgid] = p
	}
	// What was mapped once may be asked for later: files that are gone from
	// the list stay behind the present ones.
	for _, old := range p.maps {
		if !slices.ContainsFunc(maps, func(m mapping) bool { return m.start < old.end && old.start < m.end }) {
			maps = append(maps, old)
		}
	}
	for i := range maps {
		maps[i].file = u.files[maps[i].id]
		if maps[i].file == nil {
			// Now, while the process is there to show its root directory.
			f := openUserFile(tgid, &maps[i])
			u.files[maps[i].id] = f
			maps[i].file = f
		}
	}
	p.maps = maps
}

// startTime is the 22nd field of /proc/PID/stat, "" if there is no such process.
func startTime(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	// The name, in parentheses, may hold anything.
	f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(f) < 20 {
		return ""
	}
	return f[19]
}

// readMappings reads the executable file mappings of /proc/PID/maps.
func readMappings(path string) ([]mapping, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return parseMappings(f)
}

func parseMappings(r io.Reader) ([]mapping, error) {
	var out []mapping
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		// 55d0…-55d1… r-xp 00002000 fe:01 1234   /usr/bin/x
		f := strings.Fields(sc.Text())
		if len(f) < 6 || len(f[1]) < 3 || f[1][2] != 'x' || !strings.HasPrefix(f[5], "/") {
			continue
		}
		lo, hi, ok := strings.Cut(f[0], "-")
		start, err1 := strconv.ParseUint(lo, 16, 64)
		end, err2 := strconv.ParseUint(hi, 16, 64)
		off, err3 := strconv.ParseUint(f[2], 16, 64)
		if !ok || err1 != nil || err2 != nil || err3 != nil {
			continue
		}
		// A path may hold spaces; the fields before it do not.
		line := sc.Text()
		m := mapping{start: start, end: end, offset: off, path: strings.TrimSuffix(line[strings.IndexByte(line, '/'):], " (deleted)")}
		m.id = f[3] + " " + f[4] + " " + m.path
		out = append(out, m)
	}
	return out, sc.Err()
}

// find returns the mapping that holds the address.
func (u *userSymbols) find(tgid int, addr uint64) *mapping {
	for try := 0; ; try++ {
		if p := u.procs[tgid]; p != nil {
			for i := range p.maps {
				if m := &p.maps[i]; m.start <= addr && addr < m.end {
					return m
				}
			}
		}
		if try == 1 {
			return nil
		}
		u.note(tgid)
	}
}

// lookup returns the symbol of an address: its name, the offset into it and its
// size. Without a symbol, name is "" and off and size are those in the file.
func (u *userSymbols) lookup(tgid int, addr uint64) (m *mapping, name string, off, size uint64) {
	if m = u.find(tgid, addr); m == nil {
		return nil, "", 0, 0
	}
	inFile := addr - m.start + m.offset
	if m.file == nil {
		return m, "", inFile, m.end - m.start
	}
	at, ok := m.file.address(inFile)
	if !ok {
		return m, "", inFile, m.file.size
	}
	if s, ok := m.file.symbol(at); ok {
		return m, s.name, at - s.addr, s.size
	}
	return m, "", at - m.file.base, m.file.size
}

// symbol makes the text of one address.
func (u *userSymbols) symbol(kind ir.Text, tgid int, addr uint64) string {
	m, name, off, size := u.lookup(tgid, addr)
	switch {
	case kind == ir.TextUMod && m == nil:
		return "<unknown>"
	case kind == ir.TextUMod:
		return m.path
	case kind == ir.TextUSym && name != "":
		return name
	case kind == ir.TextUSymData && m != nil:
		if name == "" {
			return fmt.Sprintf("%#x [%s+%#x/%#x]", addr, m.path, off, size)
		}
		return fmt.Sprintf("%s+%#x/%#x [%s]", name, off, size, m.path)
	}
	return fmt.Sprintf("%#x", addr)
}

// frame appends the line of one frame of a stack.
func (u *userSymbols) frame(b *strings.Builder, kind ir.Text, tgid int, addr uint64) {
	m, name, off, size := u.lookup(tgid, addr)
	switch kind {
	case ir.TextUStackFull:
		switch {
		case m == nil:
			fmt.Fprintf(b, " %#x\n", addr)
		case name == "":
			fmt.Fprintf(b, " %#x [%s+%#x/%#x]\n", addr, m.path, off, size)
		default:
			fmt.Fprintf(b, " %#x : %s+%#x/%#x [%s]\n", addr, name, off, size, m.path)
		}
	case ir.TextUStackBrief:
		if name != "" {
			fmt.Fprintf(b, "%s+%#x\n", name, off)
		} else {
			fmt.Fprintf(b, "%#x\n", addr)
		}
	default:
		switch {
		case m == nil:
			fmt.Fprintf(b, "%#x\n", addr)
		case name == "":
			fmt.Fprintf(b, "%#x [%s+%#x]\n", addr, filepath.Base(m.path), off)
		default:
			fmt.Fprintf(b, "%s+%#x [%s]\n", name, off, filepath.Base(m.path))
		}
	}
}

// address turns an offset in the file into an address of the file's own space.
func (f *userFile) address(off uint64) (uint64, bool) {
	for i := range f.loads {
		p := &f.loads[i]
		if p.Off <= off && off < p.Off+p.Filesz {
			return off - p.Off + p.Vaddr, true
		}
	}
	return 0, false
}

func (f *userFile) symbol(at uint64) (userSym, bool) {
	i, ok := slices.BinarySearchFunc(f.syms, at, func(s userSym, at uint64) int { return cmp.Compare(s.addr, at) })
	if !ok {
		i--
	}
	// Of several symbols at one address the first is taken, see sortSyms.
	for i > 0 && f.syms[i-1].addr == f.syms[i].addr {
		i--
	}
	if i < 0 {
		return userSym{}, false
	}
	s := f.syms[i]
	if s.size > 0 && at >= s.addr+s.size {
		return userSym{}, false
	}
	return s, true
}

// openUserFile reads the symbols of a mapped file, nil if there is no way to. The
// mapping's own link is used first: it works for deleted files and in other mount
// namespaces.
func openUserFile(pid int, m *mapping) *userFile {
	for _, path := range []string{
		fmt.Sprintf("/proc/%d/map_files/%x-%x", pid, m.start, m.end),
		fmt.Sprintf("/proc/%d/root%s", pid, m.path),
		m.path,
	} {
		if f, err := readUserFile(path); err == nil {
			return f
		}
	}
	return nil
}

// maxUserFile bounds the symbols that are kept of one file.
const maxUserFile = 4 << 20

// readUserFile reads an ELF file, of which nothing is trusted. What its stripped
// symbols lack is taken from a separate debug file of the same build-id.
func readUserFile(path string) (f *userFile, err error) {
	defer func() {
		if r := recover(); r != nil {
			f, err = nil, fmt.Errorf("%s: damaged ELF file: %v", path, r)
		}
	}()
	e, err := elf.Open(path)
	if err != nil {
		return nil, err
	}
	defer e.Close()
	f = &userFile{base: ^uint64(0)}
	for _, p := range e.Progs {
		if p.Type == elf.PT_LOAD {
			f.loads = append(f.loads, p.ProgHeader)
			f.base = min(f.base, p.Vaddr)
			f.size = max(f.size, p.Vaddr+p.Memsz)
		}
	}
	f.base &^= 0xfff
	f.size -= f.base
	syms, err := e.Symbols()
	if err != nil || len(syms) == 0 {
		if id := buildID(e); id != "" {
			syms = append(syms, debugFileSymbols(id)...)
		}
	}
	dyn, err := e.DynamicSymbols()
	if err == nil {
		syms = append(syms, dyn...)
	}
	for _, s := range syms {
		t := elf.ST_TYPE(s.Info)
		if t != elf.STT_FUNC && t != elf.STT_NOTYPE && t != elf.STT_GNU_IFUNC ||
			s.Section == elf.SHN_UNDEF || s.Section >= elf.SHN_LORESERVE || s.Name == "" || s.Name[0] == '$' || len(f.syms) >= maxUserFile {
			continue
		}
		if t == elf.STT_NOTYPE && (int(s.Section) >= len(e.Sections) || e.Sections[s.Section].Flags&elf.SHF_EXECINSTR == 0) {
			continue
		}
		f.syms = append(f.syms, userSym{s.Value, s.Size, s.Name})
	}
	sortSyms(f.syms)
	return f, nil
}

// sortSyms orders by address; at one address those with a size first, then in
// the file's order.
func sortSyms(s []userSym) {
	slices.SortStableFunc(s, func(a, b userSym) int {
		if c := cmp.Compare(a.addr, b.addr); c != 0 {
			return c
		}
		return cmp.Compare(min(b.size, 1), min(a.size, 1))
	})
}

func buildID(e *elf.File) string {
	s := e.Section(".note.gnu.build-id")
	if s == nil || s.Size > 4096 {
		return ""
	}
	b, err := s.Data()
	if err != nil || len(b) < 16 {
		return ""
	}
	n, d := e.ByteOrder.Uint32(b), e.ByteOrder.Uint32(b[4:])
	at := 12 + uint64(n+3)&^3
	if at+uint64(d) > uint64(len(b)) {
		return ""
	}
	return hex.EncodeToString(b[at : at+uint64(d)])
}

// debugFileSymbols reads the symbols of a separate debug file.
func debugFileSymbols(id string) []elf.Symbol {
	if len(id) < 4 {
		return nil
	}
	e, err := elf.Open(filepath.Join("/usr/lib/debug/.build-id", id[:2], id[2:]+".debug"))
	if err != nil {
		return nil
	}
	defer e.Close()
	if buildID(e) != id {
		return nil
	}
	syms, err := e.Symbols()
	if err != nil {
		return nil
	}
	return syms
}
