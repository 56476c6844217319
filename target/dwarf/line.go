package dwarf

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Line is a place in a source file.
type Line struct {
	File string // as the compiler was given it, below the directory of compilation
	Line int
}

// row is a row of a line table: it holds up to the next row's address.
type row struct {
	addr uint64
	file uint32
	line uint32
	stmt bool // a recommended place for a breakpoint
	end  bool // behind the last instruction of a sequence
	body bool // where a breakpoint at the function is best set (prologue_end)
}

// lineTable is the line table of a unit, its sequences sorted by address.
type lineTable struct {
	files []string // by the numbers that entries and rows use
	rows  []row
}

// table reads the unit's line table once. A unit without one has an empty one.
func (u *unit) table() (*lineTable, error) {
	u.lineOnce.Do(func() {
		r := u.info()
		if !r.hasStmt {
			u.lines = &lineTable{}
			return
		}
		u.lines, u.lineErr = u.parseLines(r)
		if u.lineErr != nil {
			u.lineErr = fmt.Errorf("line table of %s: %w", r.name, u.lineErr)
			u.lines = &lineTable{}
		}
	})
	return u.lines, u.lineErr
}

// file is the name of a file by number, "" if there is none.
func (t *lineTable) file(n uint64) string {
	if n < uint64(len(t.files)) {
		return t.files[n]
	}
	return ""
}

var errLines = fmt.Errorf("malformed")

const (
	maxFiles = 1 << 20
	maxRows  = 1 << 24
)

// Content types of file entries (DWARF 5, table 7.27).
const (
	lnctPath = 1
	lnctDir  = 2
)

// lineFiles reads the head of the unit's line table only.
func (u *unit) lineFiles(r *rootInfo) (*lineTable, error) { return u.readLines(r, false) }

func (u *unit) parseLines(r *rootInfo) (*lineTable, error) { return u.readLines(r, true) }

func (u *unit) readLines(r *rootInfo, rows bool) (*lineTable, error) {
	f := u.sec.d
	if r.stmtList >= uint64(len(f.line.data)) {
		return nil, errLines
	}
	f.line.need(r.stmtList, maxHeader)
	c := cursor{data: f.line.data, off: int(r.stmtList), bo: f.bo}
	n, wide := c.length()
	if c.bad || n > uint64(len(c.data)-c.off) {
		return nil, errLines
	}
	f.line.need(uint64(c.off), n)
	c.data = c.data[:c.off+int(n)]
	version := c.fixed(2)
	if version < 2 || version > 5 {
		return nil, fmt.Errorf("version %d is not known", version)
	}
	addrSize := u.addrSize
	if version >= 5 {
		addrSize = int(c.u8())
		c.u8() // segment selectors do not exist on Linux
	}
	offSize := 4
	if wide {
		offSize = 8
	}
	headerLen := c.fixed(offSize)
	if c.bad || headerLen > uint64(len(c.data)-c.off) {
		return nil, errLines
	}
	program := c.off + int(headerLen)
	minInst := uint64(c.u8())
	if version >= 4 {
		c.u8() // operations per instruction: no VLIW machines here
	}
	defaultStmt := c.u8() != 0
	lineBase := int64(int8(c.u8()))
	lineRange := uint64(c.u8())
	opcodeBase := c.u8()
	lengths := c.take(uint64(max(opcodeBase, 1) - 1))
	if c.bad || lineRange == 0 {
		return nil, errLines
	}
	t := &lineTable{}
	var err error
	if version >= 5 {
		err = u.files5(&c, t, wide)
	} else {
		err = u.files4(&c, t, r)
	}
	if err != nil {
		return nil, err
	}
	if !rows {
		return t, nil
	}
	c.off = program

	reg := row{file: 1, line: 1, stmt: defaultStmt}
	seq := 0 // first row of the current sequence
	type span struct{ from, to int }
	var spans []span
	emit := func() {
		t.rows = append(t.rows, reg)
		reg.body = false
	}
	for c.off < len(c.data) && !c.bad {
		if len(t.rows) > maxRows {
			return nil, fmt.Errorf("more than %d rows", maxRows)
		}
		op := c.u8()
		if op >= opcodeBase {
			adj := uint64(op - opcodeBase)
			reg.addr += adj / lineRange * minInst
			reg.line = uint32(int64(reg.line) + lineBase + int64(adj%lineRange))
			emit()
			continue
		}
		switch op {
		case 0:
			n := c.uleb()
			if n == 0 || n > uint64(len(c.data)-c.off) {
				return nil, errLines
			}
			end := c.off + int(n)
			switch c.u8() {
			case 1: // end_sequence
				reg.end = true
				emit()
				spans = append(spans, span{seq, len(t.rows)})
				seq = len(t.rows)
				reg = row{file: 1, line: 1, stmt: defaultStmt}
			case 2: // set_address
				if n-1 == 4 || n-1 == 8 {
					addrSize = int(n - 1)
				}
				reg.addr = c.fixed(addrSize)
			}
			c.off = end
		case 1: // copy
			emit()
		case 2: // advance_pc
			reg.addr += c.uleb() * minInst
		case 3: // advance_line
			reg.line = uint32(int64(reg.line) + c.sleb())
		case 4: // set_file
			reg.file = uint32(min(c.uleb(), maxFiles))
		case 5: // set_column
			c.uleb()
		case 6: // negate_stmt
			reg.stmt = !reg.stmt
		case 7: // set_basic_block
		case 8: // const_add_pc
			reg.addr += uint64(255-opcodeBase) / lineRange * minInst
		case 9: // fixed_advance_pc
			reg.addr += c.fixed(2)
		case 10: // set_prologue_end
			reg.body = true
		case 11: // set_epilogue_begin
		default:
			for range lengths[op-1] {
				c.uleb()
			}
		}
	}
	if c.bad {
		return nil, errLines
	}
	// Sequences come in any order, and those of discarded functions start at
	// 0 or at the end of the address space.
	slices.SortStableFunc(spans, func(a, b span) int { return cmp.Compare(t.rows[a.from].addr, t.rows[b.from].addr) })
	sorted := make([]row, 0, len(t.rows))
	for _, s := range spans {
		rows := t.rows[s.from:s.to]
		if rows[0].addr != 0 && slices.IsSortedFunc(rows, func(a, b row) int { return cmp.Compare(a.addr, b.addr) }) {
			sorted = append(sorted, rows...)
		}
	}
	t.rows = sorted
	return t, nil
}

// files4 reads the directories and files of versions 2 to 4; files count from
// 1, directory 0 is that of the compilation.
func (u *unit) files4(c *cursor, t *lineTable, r *rootInfo) error {
	dirs := []string{r.dir()}
	for {
		d := c.str()
		if c.bad || len(dirs) > maxFiles {
			return errLines
		}
		if len(d) == 0 {
			break
		}
		dirs = append(dirs, joinPath(r.dir(), string(d)))
	}
	t.files = []string{joinPath(r.dir(), r.name)}
	for {
		name := c.str()
		if c.bad || len(t.files) > maxFiles {
			return errLines
		}
		if len(name) == 0 {
			return nil
		}
		dir := c.uleb()
		c.uleb() // time
		c.uleb() // size
		d := ""
		if dir < uint64(len(dirs)) {
			d = dirs[dir]
		}
		t.files = append(t.files, joinPath(d, string(name)))
	}
}

// files5 reads the directories and files of version 5, which count from 0 and
// whose entries describe themselves.
func (u *unit) files5(c *cursor, t *lineTable, wide bool) error {
	// Forms are as wide as the table's own format says.
	v := unitForms(u, wide)
	var dirs []string
	for pass := range 2 {
		type field struct {
			content uint64
			form    uint16
		}
		var fields []field
		for range c.u8() {
			fields = append(fields, field{c.uleb(), uint16(c.uleb())})
		}
		n := c.uleb()
		if c.bad || n > maxFiles || len(fields) == 0 && n > 0 {
			return errLines
		}
		for range n {
			var name string
			var dir uint64
			for _, fd := range fields {
				val := v.readForm(c, attrSpec{form: fd.form})
				switch fd.content {
				case lnctPath:
					name = string(v.text(val))
				case lnctDir:
					dir = val.u
				}
			}
			if c.bad {
				return errLines
			}
			switch {
			case pass == 0 && len(dirs) == 0: // that of the compilation
				dirs = append(dirs, (&rootInfo{compDir: name}).dir())
				continue
			case pass == 0:
				dirs = append(dirs, joinPath(dirs[0], name))
				continue
			}
			d := ""
			if dir < uint64(len(dirs)) {
				d = dirs[dir]
			}
			t.files = append(t.files, joinPath(d, name))
		}
	}
	return nil
}

// unitForms is a unit to read forms with that are in another section.
func unitForms(u *unit, wide bool) *unit {
	return &unit{sec: u.sec, version: 5, addrSize: u.addrSize, wide: wide, off: u.off, first: u.first, end: u.end}
}

// joinPath names a file as SystemTap does: a directory of compilation that is
// itself relative (builds that hide where they ran) is left out, so that files
// of the kernel are "fs/read_write.c".
func joinPath(dir, name string) string {
	if dir == "" || path.IsAbs(name) {
		return path.Clean(name)
	}
	return path.Join(dir, name)
}

func (r *rootInfo) dir() string {
	if path.IsAbs(r.compDir) {
		return r.compDir
	}
	return ""
}

// unitRange is a piece of code of a unit.
type unitRange struct {
	start, end uint64
	unit       uint32
}

// ranges calls yield with the address ranges of an entry.
func (e entry) ranges(yield func(start, end uint64) bool) error {
	if v := e.attr(atRanges); v.ok() {
		return e.u.rangeList(v, yield)
	}
	low, ok := e.u.address(e.attr(atLowPC))
	if !ok {
		return nil
	}
	end, ok := e.u.highPC(e.attr(atHighPC), low)
	if !ok {
		end = low + 1
	}
	if end > low {
		yield(low, end)
	}
	return nil
}

// highPC is an address, or since DWARF 4 the distance from the low one.
func (u *unit) highPC(v value, low uint64) (uint64, bool) {
	if a, ok := u.address(v); ok {
		return a, true
	}
	n, ok := v.constant()
	return low + uint64(n), ok
}

// unitsByAddress makes, once, the list of the code of all units.
func (d *Data) unitsByAddress() []unitRange {
	d.linesOnce.Do(func() {
		if !d.x.complete {
			d.unitRange = d.codeRanges()
			return
		}
		le := binary.LittleEndian
		for b := d.x.ranges; len(b) >= rangeSize; b = b[rangeSize:] {
			d.unitRange = append(d.unitRange, unitRange{le.Uint64(b), le.Uint64(b[8:]), le.Uint32(b[16:])})
		}
	})
	return d.unitRange
}

// codeRanges reads which code is of which unit.
func (d *Data) codeRanges() []unitRange {
	var out []unitRange
	for i, u := range d.f.info.units {
		root := u.entryAt(u.first)
		if !root.valid() {
			continue
		}
		n := len(out)
		// A malformed list leaves the unit to its line table below.
		_ = root.ranges(func(start, end uint64) bool {
			if start != 0 {
				out = append(out, unitRange{start, end, uint32(i)})
			}
			return true
		})
		if len(out) > n || !u.info().hasStmt {
			continue
		}
		t, err := u.table()
		if err != nil {
			continue
		}
		start := uint64(0)
		for k, r := range t.rows {
			if k == 0 || t.rows[k-1].end {
				start = r.addr
			}
			if r.end {
				out = append(out, unitRange{start, r.addr, uint32(i)})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b unitRange) int { return cmp.Compare(a.start, b.start) })
	return out
}

// unitOf finds the unit that the code at an address is of.
func (d *Data) unitOf(addr uint64) *unit {
	rs := d.unitsByAddress()
	i, _ := slices.BinarySearchFunc(rs, addr, func(r unitRange, a uint64) int {
		if r.start <= a {
			return -1
		}
		return 1
	})
	// Ranges are disjoint but for hand-written oddities.
	for n := 0; i > 0 && n < 16; n++ {
		i--
		if addr < rs[i].end && int(rs[i].unit) < len(d.f.info.units) {
			return d.f.info.units[rs[i].unit]
		}
	}
	return nil
}

// LineOf tells the source line of the instruction at an address.
func (d *Data) LineOf(addr uint64) (Line, bool) {
	u := d.unitOf(addr)
	if u == nil {
		return Line{}, false
	}
	t, err := u.table()
	if err != nil {
		return Line{}, false
	}
	i, _ := slices.BinarySearchFunc(t.rows, addr, func(r row, a uint64) int {
		if r.addr <= a {
			return -1
		}
		return 1
	})
	if i == 0 || t.rows[i-1].end {
		return Line{}, false
	}
	r := t.rows[i-1]
	return Line{t.file(uint64(r.file)), int(r.line)}, true
}

// Statement is an address that a source line begins at.
type Statement struct {
	Line
	Addr uint64
}

// Statements calls yield with the statements of all files that match, unit by
// unit and by address. Rows that are no recommended breakpoints are left out.
func (d *Data) Statements(match func(file string) bool, yield func(Statement) bool) error {
	for _, i := range d.unitsWith(match) {
		if i >= len(d.f.info.units) {
			continue // an index that does not fit
		}
		t, err := d.f.info.units[i].table()
		if err != nil {
			return err
		}
		wanted := make([]bool, len(t.files))
		any := false
		for i, f := range t.files {
			wanted[i] = match(f)
			any = any || wanted[i]
		}
		if !any {
			continue
		}
		for _, r := range t.rows {
			if r.end || !r.stmt || int(r.file) >= len(wanted) || !wanted[r.file] {
				continue
			}
			if !yield(Statement{Line{t.files[r.file], int(r.line)}, r.addr}) {
				return nil
			}
		}
	}
	return nil
}

// MatchFile reports whether a file of the debugging information is what a
// person means by a name: the whole path, or its last components.
func MatchFile(file, name string) bool {
	return file == name || strings.HasSuffix(file, "/"+strings.TrimPrefix(name, "/"))
}
