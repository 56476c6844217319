package elf

import (
	"cmp"
	"debug/elf"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// RuleKind is the kind of a rule of a frame table.
type RuleKind uint8

// The kinds of rule, for registers of the caller and for the CFA (canonical
// frame address: the value of the stack pointer before the call).
const (
	RuleUndefined RuleKind = iota // not to be had
	RuleSame                      // unchanged
	RuleOffset                    // in memory at CFA + Off
	RuleValOffset                 // is CFA + Off
	RuleRegister                  // in register Reg; the CFA is Reg + Off
	RuleExpr                      // in memory at the address that Expr computes; the CFA is what it computes
	RuleValExpr                   // is what Expr computes
)

// Rule tells how to find a value.
type Rule struct {
	Kind RuleKind
	Reg  int // DWARF number
	Off  int64
	Expr []byte // DWARF expression
}

// Row holds for the instructions from PC up to End: how to find the caller's
// frame.
type Row struct {
	PC, End uint64
	CFA     Rule
	// RA is where the return address is, FP where the caller's frame pointer
	// is (%rbp on x86-64, x29 on arm64).
	RA, FP Rule
	// Signal marks a frame that the kernel made to deliver a signal: the
	// return address is that of the very instruction.
	Signal bool
}

// Frames are the call frame tables of a file (.eh_frame, else .debug_frame).
// It is safe for concurrent use.
type Frames struct {
	f    *File
	data []byte
	addr uint64 // of data
	eh   bool
	fdes []fde // sorted by start
	cies sync.Map
}

type fde struct {
	start, end uint64
	off        uint32 // of the record in data
}

// cie is what a group of functions has in common.
type cie struct {
	codeAlign    uint64
	dataAlign    int64
	ra           int
	fdeEnc       byte
	augmented    bool // FDEs have augmentation data
	signal       bool
	instructions []byte
	addrSize     int
}

const maxFrameSection = 256 << 20

// ErrNoFrames says that a file has no call frame tables.
var ErrNoFrames = errors.New("no call frame tables (.eh_frame)")

// Frames reads the file's call frame tables.
func (f *File) Frames() (*Frames, error) {
	var fr *Frames
	err := guard(f.Path, func() error {
		for _, name := range []string{".eh_frame", ".debug_frame"} {
			s := f.f.Section(name)
			if s == nil || s.Type == elf.SHT_NOBITS || s.Size == 0 {
				continue
			}
			if s.Size > maxFrameSection {
				return fmt.Errorf("section %s of %d bytes is too large", name, s.Size)
			}
			data, err := f.Relocated(s, maxFrameSection)
			if err != nil {
				return err
			}
			fr = &Frames{f: f, data: data, addr: f.address(s), eh: name == ".eh_frame"}
			return fr.index()
		}
		return ErrNoFrames
	})
	if err != nil {
		return nil, err
	}
	return fr, nil
}

// index notes where each function's record is.
func (fr *Frames) index() error {
	for off := 0; ; {
		r, ok := fr.record(off)
		if !ok {
			break
		}
		if !r.isCIE {
			c, err := fr.cie(r.cieOff)
			if err != nil {
				return err
			}
			start, length, _, err := fr.pcRange(r, c)
			if err != nil {
				return err
			}
			// Discarded functions leave records at address 0.
			if start != 0 && length > 0 && start+length > start {
				fr.fdes = append(fr.fdes, fde{start, start + length, uint32(off)})
			}
		}
		off = r.end
	}
	slices.SortFunc(fr.fdes, func(a, b fde) int { return cmp.Compare(a.start, b.start) })
	return nil
}

// record is a CIE or FDE of the section.
type record struct {
	at, end int // contents after the id; end of the record
	isCIE   bool
	cieOff  int
	wide    bool // 64-bit format
}

func (fr *Frames) record(off int) (r record, ok bool) {
	bo := fr.f.Order
	if len(fr.data)-off < 4 {
		return r, false
	}
	n := uint64(bo.Uint32(fr.data[off:]))
	at := off + 4
	if n == 0 {
		return r, false // the end
	}
	if n == 0xffffffff {
		if len(fr.data)-at < 8 {
			return r, false
		}
		n = bo.Uint64(fr.data[at:])
		at += 8
		r.wide = true
	}
	if n > uint64(len(fr.data)-at) {
		return r, false
	}
	r.end = at + int(n)
	idAt := at
	var id uint64
	if r.wide && !fr.eh {
		if n < 8 {
			return r, false
		}
		id = bo.Uint64(fr.data[at:])
		at += 8
	} else {
		if n < 4 {
			return r, false
		}
		id = uint64(bo.Uint32(fr.data[at:]))
		at += 4
	}
	r.at = at
	switch {
	case fr.eh && id == 0, !fr.eh && !r.wide && id == 0xffffffff, !fr.eh && r.wide && id == 1<<64-1:
		r.isCIE = true
	case fr.eh:
		r.cieOff = idAt - int(min(id, 1<<40)) // backwards from the field
	default:
		r.cieOff = int(min(id, 1<<40))
	}
	return r, true
}

var errFrame = errors.New("malformed call frame table")

func (fr *Frames) cie(off int) (*cie, error) {
	if c, ok := fr.cies.Load(off); ok {
		return c.(*cie), nil
	}
	if off < 0 || off >= len(fr.data) {
		return nil, errFrame
	}
	r, ok := fr.record(off)
	if !ok || !r.isCIE {
		return nil, errFrame
	}
	d := &decoder{data: fr.data[r.at:r.end], f: fr.f}
	c := &cie{addrSize: int(fr.f.PointerBytes())}
	version := d.u8()
	aug := d.str()
	if version >= 4 {
		c.addrSize = int(d.u8())
		d.u8() // segment selectors do not exist on Linux
		if c.addrSize != 4 && c.addrSize != 8 {
			return nil, errFrame
		}
	}
	c.codeAlign, c.dataAlign = d.uleb(), d.sleb()
	if version == 1 {
		c.ra = int(d.u8())
	} else {
		c.ra = int(min(d.uleb(), 1<<16))
	}
	if len(aug) > 0 && aug[0] == 'z' {
		c.augmented = true
		n := d.uleb()
		if n > uint64(len(d.data)-d.off) {
			return nil, errFrame
		}
		end := d.off + int(n)
		for _, ch := range aug[1:] {
			switch ch {
			case 'R':
				c.fdeEnc = d.u8()
			case 'L':
				d.u8()
			case 'P':
				enc := d.u8()
				d.pointer(enc, c.addrSize, 0)
			case 'S':
				c.signal = true
			case 'B': // arm64: return addresses signed with key B
			default:
				return nil, fmt.Errorf("%w: augmentation %q", errFrame, aug)
			}
		}
		d.off = end
	} else if aug != "" {
		return nil, fmt.Errorf("%w: augmentation %q", errFrame, aug)
	}
	if d.bad {
		return nil, errFrame
	}
	c.instructions = d.data[d.off:]
	fr.cies.Store(off, c)
	return c, nil
}

// pcRange reads the function's range from a record; d stands behind it.
func (fr *Frames) pcRange(r record, c *cie) (start, length uint64, d *decoder, err error) {
	d = &decoder{data: fr.data[r.at:r.end], f: fr.f}
	if fr.eh {
		start = d.pointer(c.fdeEnc, c.addrSize, fr.addr+uint64(r.at))
		length = d.pointer(c.fdeEnc&0x0f, c.addrSize, 0)
	} else {
		start, length = d.pointer(0, c.addrSize, 0), d.pointer(0, c.addrSize, 0)
	}
	if d.bad {
		return 0, 0, nil, errFrame
	}
	return start, length, d, nil
}

// Functions lists the address ranges that have frame tables, sorted.
func (fr *Frames) Functions(yield func(start, end uint64) bool) {
	for _, e := range fr.fdes {
		if !yield(e.start, e.end) {
			return
		}
	}
}

// At gives the row for an instruction; ok is false if no table covers it.
func (fr *Frames) At(pc uint64) (row Row, ok bool, err error) {
	i, found := slices.BinarySearchFunc(fr.fdes, pc, func(e fde, pc uint64) int { return cmp.Compare(e.start, pc) })
	if !found {
		i--
	}
	if i < 0 || pc >= fr.fdes[i].end {
		return Row{}, false, nil
	}
	err = fr.rows(fr.fdes[i], func(r Row) bool {
		if pc < r.End {
			row, ok = r, true
			return false
		}
		return true
	})
	return row, ok, err
}

// Rows calls yield with all rows of all functions, by address, until it
// returns false. A function whose table is malformed is left out and counted.
func (fr *Frames) Rows(yield func(Row) bool) (malformed int) {
	for _, e := range fr.fdes {
		stop := false
		if err := fr.rows(e, func(r Row) bool {
			stop = !yield(r)
			return !stop
		}); err != nil {
			malformed++
		}
		if stop {
			break
		}
	}
	return malformed
}

func (fr *Frames) rows(e fde, yield func(Row) bool) error {
	r, ok := fr.record(int(e.off))
	if !ok {
		return errFrame
	}
	c, err := fr.cie(r.cieOff)
	if err != nil {
		return err
	}
	_, _, d, err := fr.pcRange(r, c)
	if err != nil {
		return err
	}
	if c.augmented {
		n := d.uleb()
		if d.bad || n > uint64(len(d.data)-d.off) {
			return errFrame
		}
		d.off += int(n)
	}
	m := &frameMachine{c: c, f: fr.f, row: Row{PC: e.start, End: e.end, Signal: c.signal}, fp: framePointer(fr.f.Machine)}
	// On both machines the caller's registers are where they were unless the
	// table says otherwise; on arm64 so is the return address.
	m.row.FP.Kind = RuleSame
	if fr.f.Machine == elf.EM_AARCH64 {
		m.row.RA = Rule{Kind: RuleRegister, Reg: c.ra}
	}
	if _, err := m.run(c.instructions, nil); err != nil {
		return err
	}
	m.initial = m.row
	stopped, err := m.run(d.data[d.off:], yield)
	if err != nil || stopped {
		return err
	}
	if m.row.PC < e.end {
		m.row.End = e.end
		yield(m.row)
	}
	return nil
}

func framePointer(m elf.Machine) int {
	switch m {
	case elf.EM_X86_64:
		return 6
	case elf.EM_AARCH64:
		return 29
	case elf.EM_386:
		return 5
	}
	return -1
}

// frameMachine executes the instructions of a table (DWARF 5, section 6.4.2).
type frameMachine struct {
	c            *cie
	f            *File
	row, initial Row
	fp           int
	stack        []Row
}

// set changes the rule of a register, if it is one that rows tell of.
func (m *frameMachine) set(reg uint64, r Rule) {
	if reg == uint64(m.c.ra) {
		m.row.RA = r
	}
	if m.fp >= 0 && reg == uint64(m.fp) {
		m.row.FP = r
	}
}

func (m *frameMachine) restore(reg uint64) {
	if reg == uint64(m.c.ra) {
		m.row.RA = m.initial.RA
	}
	if m.fp >= 0 && reg == uint64(m.fp) {
		m.row.FP = m.initial.FP
	}
}

func (m *frameMachine) run(code []byte, yield func(Row) bool) (stopped bool, err error) {
	d := &decoder{data: code, f: m.f}
	advance := func(to uint64) bool {
		if to < m.row.PC {
			d.bad = true
			return true
		}
		if to > m.row.PC && yield != nil {
			end := m.row.End
			m.row.End = min(to, end)
			if m.row.End > m.row.PC && !yield(m.row) {
				return false
			}
			m.row.End = end
		}
		m.row.PC = to
		return true
	}
	for d.off < len(d.data) && !d.bad {
		op := d.u8()
		low := uint64(op & 0x3f)
		switch op & 0xc0 {
		case 0x40:
			if !advance(m.row.PC + low*m.c.codeAlign) {
				return true, nil
			}
			continue
		case 0x80:
			m.set(low, Rule{Kind: RuleOffset, Off: int64(d.uleb()) * m.c.dataAlign})
			continue
		case 0xc0:
			m.restore(low)
			continue
		}
		ok := true
		switch op {
		case 0x00: // nop
		case 0x01: // set_loc
			ok = advance(d.pointer(m.c.fdeEnc, m.c.addrSize, 0))
		case 0x02:
			ok = advance(m.row.PC + uint64(d.u8())*m.c.codeAlign)
		case 0x03:
			ok = advance(m.row.PC + uint64(d.fixed(2))*m.c.codeAlign)
		case 0x04:
			ok = advance(m.row.PC + uint64(d.fixed(4))*m.c.codeAlign)
		case 0x05: // offset_extended
			reg := d.uleb()
			m.set(reg, Rule{Kind: RuleOffset, Off: int64(d.uleb()) * m.c.dataAlign})
		case 0x06: // restore_extended
			m.restore(d.uleb())
		case 0x07: // undefined
			m.set(d.uleb(), Rule{Kind: RuleUndefined})
		case 0x08: // same_value
			m.set(d.uleb(), Rule{Kind: RuleSame})
		case 0x09: // register
			reg := d.uleb()
			m.set(reg, Rule{Kind: RuleRegister, Reg: int(min(d.uleb(), 1<<16))})
		case 0x0a: // remember_state
			if len(m.stack) >= 64 {
				return false, errFrame
			}
			m.stack = append(m.stack, m.row)
		case 0x0b: // restore_state
			if len(m.stack) == 0 {
				return false, errFrame
			}
			pc, end := m.row.PC, m.row.End
			m.row = m.stack[len(m.stack)-1]
			m.row.PC, m.row.End = pc, end
			m.stack = m.stack[:len(m.stack)-1]
		case 0x0c: // def_cfa
			reg := int(min(d.uleb(), 1<<16))
			m.row.CFA = Rule{Kind: RuleRegister, Reg: reg, Off: int64(d.uleb())}
		case 0x0d: // def_cfa_register
			m.row.CFA = Rule{Kind: RuleRegister, Reg: int(min(d.uleb(), 1<<16)), Off: m.row.CFA.Off}
		case 0x0e: // def_cfa_offset
			m.row.CFA.Off = int64(d.uleb())
		case 0x0f: // def_cfa_expression
			m.row.CFA = Rule{Kind: RuleExpr, Expr: d.block()}
		case 0x10: // expression
			reg := d.uleb()
			m.set(reg, Rule{Kind: RuleExpr, Expr: d.block()})
		case 0x11: // offset_extended_sf
			reg := d.uleb()
			m.set(reg, Rule{Kind: RuleOffset, Off: d.sleb() * m.c.dataAlign})
		case 0x12: // def_cfa_sf
			reg := int(min(d.uleb(), 1<<16))
			m.row.CFA = Rule{Kind: RuleRegister, Reg: reg, Off: d.sleb() * m.c.dataAlign}
		case 0x13: // def_cfa_offset_sf
			m.row.CFA.Off = d.sleb() * m.c.dataAlign
		case 0x14: // val_offset
			reg := d.uleb()
			m.set(reg, Rule{Kind: RuleValOffset, Off: int64(d.uleb()) * m.c.dataAlign})
		case 0x15: // val_offset_sf
			reg := d.uleb()
			m.set(reg, Rule{Kind: RuleValOffset, Off: d.sleb() * m.c.dataAlign})
		case 0x16: // val_expression
			reg := d.uleb()
			m.set(reg, Rule{Kind: RuleValExpr, Expr: d.block()})
		case 0x2d: // arm64: negate_ra_state; the return address is signed or not
		case 0x2e: // GNU_args_size
			d.uleb()
		case 0x2f: // GNU_negative_offset_extended
			reg := d.uleb()
			m.set(reg, Rule{Kind: RuleOffset, Off: -int64(d.uleb()) * m.c.dataAlign})
		default:
			return false, fmt.Errorf("%w: instruction %#x", errFrame, op)
		}
		if !ok {
			return true, nil
		}
	}
	if d.bad {
		return false, errFrame
	}
	return false, nil
}

// decoder reads DWARF's primitive forms. Behind the end it gives zeros and
// sets bad.
type decoder struct {
	data []byte
	off  int
	f    *File
	bad  bool
}

func (d *decoder) take(n int) []byte {
	if n < 0 || n > len(d.data)-d.off {
		d.bad = true
		d.off = len(d.data)
		return nil
	}
	b := d.data[d.off : d.off+n]
	d.off += n
	return b
}

func (d *decoder) u8() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) fixed(n int) uint64 {
	b := d.take(n)
	switch {
	case b == nil:
		return 0
	case n == 2:
		return uint64(d.f.Order.Uint16(b))
	case n == 4:
		return uint64(d.f.Order.Uint32(b))
	}
	return d.f.Order.Uint64(b)
}

func (d *decoder) uleb() uint64 {
	var v uint64
	for shift := uint(0); ; shift += 7 {
		b := d.u8()
		if shift < 64 {
			v |= uint64(b&0x7f) << shift
		}
		if b&0x80 == 0 || d.bad {
			return v
		}
	}
}

func (d *decoder) sleb() int64 {
	var v uint64
	for shift := uint(0); ; {
		b := d.u8()
		if shift < 64 {
			v |= uint64(b&0x7f) << shift
		}
		shift += 7
		if b&0x80 == 0 || d.bad {
			if b&0x40 != 0 && shift < 64 {
				v |= ^uint64(0) << shift
			}
			return int64(v)
		}
	}
}

func (d *decoder) str() string {
	s := cstring(d.data[d.off:])
	d.take(len(s) + 1)
	return s
}

func (d *decoder) block() []byte {
	n := d.uleb()
	if n > uint64(len(d.data)) {
		d.bad = true
		return nil
	}
	return d.take(int(n))
}

// pointer reads an address in one of the encodings of .eh_frame (Linux
// Standard Base, "DWARF Exception Header Encoding"). base is the address of
// the decoder's data.
func (d *decoder) pointer(enc byte, addrSize int, base uint64) uint64 {
	if enc == 0xff { // omitted
		return 0
	}
	at := base + uint64(d.off)
	var v uint64
	switch enc & 0x0f {
	case 0x00:
		v = d.fixed(addrSize)
	case 0x01:
		v = d.uleb()
	case 0x02:
		v = d.fixed(2)
	case 0x03:
		v = d.fixed(4)
	case 0x04, 0x0c:
		v = d.fixed(8)
	case 0x09:
		v = uint64(d.sleb())
	case 0x0a:
		v = uint64(int64(int16(d.fixed(2))))
	case 0x0b:
		v = uint64(int64(int32(d.fixed(4))))
	default:
		d.bad = true
		return 0
	}
	if enc&0x70 == 0x10 { // relative to the field
		v += at
	}
	// Other bases, and indirect pointers, occur for personality routines
	// only, which nobody here asks for.
	if addrSize == 4 {
		v &= 0xffffffff
	}
	return v
}
