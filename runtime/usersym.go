//go:build linux

package loader

import (
	"bufio"
	"bytes"
	stdelf "debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"stapkit/ir"
	"stapkit/target/elf"
)

// userSymbols names addresses of user processes. The mappings of a process are
// read when an address of it first appears, and again when an address lies in
// none of them; they are kept after its end.
type userSymbols struct {
	rights rights
	procs  map[int]*userProcess
	jits   map[int]*jit         // of programs that make code
	files  map[string]*userFile // by identity: device, inode, path
	// lines tells the source line of an address in a file, nil: not known.
	lines func(path string, addr uint64) (file string, line int, ok bool)
	// seen tells what handlers saw at an address, of processes that ended
	// before their mappings could be read.
	seen func(tgid int, addr uint64) (mapping, bool)
	// away: the processes are another machine's.
	away bool
	// warn, if not nil, is told once of each capability of which there is need beside have.
	warn   func(string)
	have   uint64
	lacked [2]bool
	// observe hears of each mapping that an address leads to.
	observe func(tgid int, m *mapping)
}

type userProcess struct {
	started string // from /proc/PID/stat: another process of the same number differs
	maps    []mapping
}

// A mapping is a piece of an address space with code: of a file, the kernel's own
// (vdsoPath), or, with an empty path, of a program that makes code as it runs.
type mapping struct {
	start, end uint64
	offset     uint64 // in the file
	path       string
	file       *userFile // opened when first needed
	image      uint64    // where start is in the file's own address space, 0: as the file says
	id         string
}

// userFile is the symbols of one ELF file: its own, and before these those of its
// separate debug file, if it is stripped and there is one.
type userFile struct {
	tables []*elf.File
	base   uint64 // of the loaded image, in the file's own address space
	size   uint64
}

func newUserSymbols(r rights) *userSymbols {
	return &userSymbols{rights: r, have: ^uint64(0), procs: map[int]*userProcess{}, files: map[string]*userFile{}, jits: map[int]*jit{}}
}

// note reads the mappings of a process, if it is still there.
func (u *userSymbols) note(tgid int) {
	if u.away {
		return
	}
	maps, started, err := readMaps(u.rights, tgid)
	if err != nil {
		u.denied(0, capMaps, fmt.Sprintf("addresses of process %d have no names", tgid), err)
		return
	}
	if len(maps) == 0 {
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
		if maps[i].path == "" {
			continue
		}
		maps[i].file = u.files[maps[i].id]
		if maps[i].file == nil {
			// Now, while the process is there to show its root directory.
			f := u.openFile(tgid, &maps[i])
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

// parseMappings reads the mappings with code of /proc/PID/maps.
func parseMappings(r io.Reader) ([]mapping, error) {
	var out []mapping
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		// 55d0…-55d1… r-xp 00002000 fe:01 1234   /usr/bin/x
		f := strings.Fields(sc.Text())
		if len(f) < 5 || len(f[1]) < 3 || f[1][2] != 'x' {
			continue
		}
		file := len(f) > 5 && strings.HasPrefix(f[5], "/") && !strings.HasPrefix(f[5], "//anon")
		lo, hi, ok := strings.Cut(f[0], "-")
		start, err1 := strconv.ParseUint(lo, 16, 64)
		end, err2 := strconv.ParseUint(hi, 16, 64)
		off, err3 := strconv.ParseUint(f[2], 16, 64)
		if !ok || err1 != nil || err2 != nil || err3 != nil {
			continue
		}
		m := mapping{start: start, end: end, offset: off}
		switch {
		case file:
			// A path may hold spaces; the fields before it do not.
			line := sc.Text()
			m.path = strings.TrimSuffix(line[strings.IndexByte(line, '/'):], " (deleted)")
			m.id = f[3] + " " + f[4] + " " + m.path
		case len(f) > 5 && f[5] == vdsoPath:
			m.path, m.id, m.offset = vdsoPath, vdsoPath, 0
		}
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
			break
		}
		u.note(tgid)
	}
	if u.seen != nil {
		if m, ok := u.seen(tgid, addr); ok {
			return &m
		}
	}
	return nil
}

// lookup returns the symbol of an address: its name, the offset into it and its
// size. Without a symbol, name is "" and off and size are those in the file.
func (u *userSymbols) lookup(tgid int, addr uint64) (m *mapping, name string, off, size uint64) {
	m = u.find(tgid, addr)
	if m == nil || m.path == "" {
		// Code that the program has made itself; it may tell of it.
		if j := u.jitOf(tgid); j != nil {
			if s, ok := j.at(addr); ok {
				return &mapping{path: j.path}, shown(s.name), addr - s.start, s.size
			}
		}
		return nil, "", 0, 0
	}
	if u.observe != nil {
		u.observe(tgid, m)
	}
	inFile := addr - m.start + m.offset
	if m.file == nil {
		return m, "", inFile, m.end - m.start
	}
	at, ok := m.inImage(addr)
	if !ok {
		return m, "", inFile, m.file.size
	}
	for _, f := range m.file.tables {
		if s, off, ok := f.At(at); ok {
			return m, shown(s.Name), off, s.Size
		}
	}
	return m, "", at - m.file.base, m.file.size
}

// shown is a name that a traced program has chosen, of a symbol or a file, without what
// begins a line or is a terminal's command: that stands in octal, as /proc/PID/maps has
// it.
func shown(name string) string {
	control := func(c rune) bool { return unicode.IsControl(c) || c == utf8.RuneError }
	if strings.IndexFunc(name, control) < 0 {
		return name
	}
	var b strings.Builder
	for i, c := range name {
		if !control(c) {
			b.WriteRune(c)
			continue
		}
		_, n := utf8.DecodeRuneInString(name[i:])
		for _, x := range []byte(name[i : i+n]) {
			fmt.Fprintf(&b, "\\%03o", x)
		}
	}
	return b.String()
}

// inImage is an address in the file's own address space.
func (m *mapping) inImage(addr uint64) (uint64, bool) {
	if m.image != 0 {
		return addr - m.start + m.image, true
	}
	return m.file.tables[len(m.file.tables)-1].Addr(addr - m.start + m.offset)
}

// symbol makes the text of one address.
func (u *userSymbols) symbol(kind ir.Text, tgid int, addr uint64) string {
	m, name, off, size := u.lookup(tgid, addr)
	switch {
	case kind == ir.TextUMod && m == nil:
		return "<unknown>"
	case kind == ir.TextUMod:
		return shown(m.path)
	case kind == ir.TextUBuildID:
		if m == nil || m.file == nil {
			return ""
		}
		return m.file.tables[len(m.file.tables)-1].BuildID
	case kind == ir.TextUSymFile, kind == ir.TextUSymLine, kind == ir.TextUSymFileLine:
		if file, line, ok := u.line(m, addr); ok {
			switch kind {
			case ir.TextUSymFile:
				return file
			case ir.TextUSymLine:
				return strconv.Itoa(line)
			}
			return file + ":" + strconv.Itoa(line)
		}
	case kind == ir.TextUSym && name != "":
		return name
	case kind == ir.TextUSymData && m != nil:
		if name == "" {
			return fmt.Sprintf("%#x [%s+%#x/%#x]", addr, shown(m.path), off, size)
		}
		return fmt.Sprintf("%s+%#x/%#x [%s]", name, off, size, shown(m.path))
	}
	return fmt.Sprintf("%#x", addr)
}

// line is the source line of an address in a mapping.
func (u *userSymbols) line(m *mapping, addr uint64) (file string, line int, ok bool) {
	if u.lines == nil || m == nil || m.file == nil {
		return "", 0, false
	}
	at, ok := m.inImage(addr)
	if !ok {
		return "", 0, false
	}
	file, line, ok = u.lines(m.path, at)
	return shown(file), line, ok
}

// frame appends the line of one frame of a stack.
func (u *userSymbols) frame(b *strings.Builder, kind ir.Text, tgid int, addr uint64, first bool) {
	m, name, off, size := u.lookup(tgid, addr)
	switch kind {
	case ir.TextUStackLine:
		at := addr
		if !first {
			at-- // of the call, not of where it returns to
		}
		if file, line, ok := u.line(m, at); ok && name != "" {
			fmt.Fprintf(b, " %#x : %s+%#x/%#x at %s:%d [%s]\n", addr, name, off, size, file, line, shown(m.path))
			return
		}
		fallthrough
	case ir.TextUStackFull:
		switch {
		case m == nil:
			fmt.Fprintf(b, " %#x\n", addr)
		case name == "":
			fmt.Fprintf(b, " %#x [%s+%#x/%#x]\n", addr, shown(m.path), off, size)
		default:
			fmt.Fprintf(b, " %#x : %s+%#x/%#x [%s]\n", addr, name, off, size, shown(m.path))
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
			fmt.Fprintf(b, "%#x [%s+%#x]\n", addr, shown(filepath.Base(m.path)), off)
		default:
			fmt.Fprintf(b, "%s+%#x [%s]\n", name, off, shown(filepath.Base(m.path)))
		}
	}
}

// openFile reads the symbols of a mapped file, nil if there is no way to. The
// mapping's own link is used first: it works for deleted files and in other mount
// namespaces.
func (u *userSymbols) openFile(pid int, m *mapping) *userFile {
	if m.path == vdsoPath {
		f, err := vdso()
		if err != nil || f == nil {
			return nil
		}
		return vdsoSymbols(f)
	}
	var refusal error
	for _, path := range []string{
		mappedFile(pid, m),
		fmt.Sprintf("/proc/%d/root%s", pid, m.path),
		m.path,
	} {
		r, err := u.rights.binary(path)
		if err == nil {
			f, err := readUserFile(u.rights, r, m.path)
			if err != nil {
				return nil // whatever name it is opened by
			}
			return f
		}
		refusal = err
	}
	u.denied(1, capPrograms, "addresses in "+shown(m.path)+" have no names", refusal)
	return nil
}

// denied tells that something was refused for want of a capability, once for each.
func (u *userSymbols) denied(which int, c capability, what string, err error) {
	if u.warn == nil || u.lacked[which] || c.in(u.have) || !errors.Is(err, unix.EACCES) && !errors.Is(err, unix.EPERM) {
		return
	}
	u.lacked[which] = true
	u.warn(fmt.Sprintf("%s: %v; %v", what, err, lacking(c)))
}

// readUserFile reads an ELF file, of which nothing is trusted, and closes it. path names
// it.
func readUserFile(r rights, file *os.File, path string) (*userFile, error) {
	f, err := elf.OpenFile(path, file)
	if err != nil {
		return nil, err
	}
	return newUserFile(r, f)
}

// newUserFile reads the symbols of a file and closes it. Without rights it looks for no
// debug file.
func newUserFile(r rights, f *elf.File) (*userFile, error) {
	u := &userFile{tables: []*elf.File{f}}
	lo, hi := ^uint64(0), uint64(0)
	stripped := r != nil
	for _, p := range f.ELF().Progs {
		if p.Type == stdelf.PT_LOAD {
			lo, hi = min(lo, p.Vaddr), max(hi, p.Vaddr+p.Memsz)
		}
	}
	for _, s := range f.ELF().Sections {
		stripped = stripped && s.Type != stdelf.SHT_SYMTAB
	}
	if lo < hi {
		u.base = lo &^ 0xfff
		u.size = hi - u.base
	}
	if stripped {
		search := elf.Search{Open: r.binary}
		if name, err := search.DebugFile(f); err == nil {
			if file, err := r.binary(name); err == nil {
				if d, err := elf.OpenFile(name, file); err == nil {
					u.tables = []*elf.File{d, f}
				}
			}
		}
	}
	// The symbols are read now, so that no file need stay open.
	for _, t := range u.tables {
		_, serr := t.Symbols()
		if err := errors.Join(serr, t.Close()); err != nil {
			return nil, err
		}
	}
	return u, nil
}
