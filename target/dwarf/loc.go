package dwarf

import (
	"errors"
	"fmt"
	"slices"

	elffile "stapkit/target/elf"
)

// Operations of location expressions (DWARF 5, table 7.9, and GNU extensions).
const (
	opAddr           = 0x03
	opDeref          = 0x06
	opConst1u        = 0x08
	opConst1s        = 0x09
	opConst2u        = 0x0a
	opConst2s        = 0x0b
	opConst4u        = 0x0c
	opConst4s        = 0x0d
	opConst8u        = 0x0e
	opConst8s        = 0x0f
	opConstu         = 0x10
	opConsts         = 0x11
	opPlus           = 0x22
	opPlusUconst     = 0x23
	opMinus          = 0x1c
	opLit0           = 0x30
	opReg0           = 0x50
	opBreg0          = 0x70
	opRegx           = 0x90
	opFbreg          = 0x91
	opBregx          = 0x92
	opPiece          = 0x93
	opDerefSize      = 0x94
	opNop            = 0x96
	opFormTLSAddress = 0x9b
	opCallFrameCFA   = 0x9c
	opImplicitValue  = 0x9e
	opStackValue     = 0x9f
	opAddrx          = 0xa1
	opConstx         = 0xa2
	opEntryValue     = 0xa3
	opGNUPushTLS     = 0xe0
	opGNUEntryValue  = 0xf3
	opGNUAddrIndex   = 0xfb
	opGNUConstIndex  = 0xfc
)

// Base tells what a location starts from.
type Base uint8

// The bases.
const (
	// Nothing: the first offset is a constant.
	Nothing Base = iota
	// Static: the first offset is a virtual address of the file, to which
	// the place where the file is loaded adds.
	Static
	// Register: the contents of register Reg.
	Register
	// EntryRegister: what register Reg held when the function was entered.
	EntryRegister
	// ThreadLocal: the first offset counts from the start of the module's
	// thread-local storage of the current thread.
	ThreadLocal
)

// Location is where a value is, in a form that a probe can evaluate:
//
//	n := base + Offs[0]
//	for each further offset: n = the pointer in memory at n, plus the offset
//
// Then n is the value itself if Value is set, else the address of the value.
type Location struct {
	Base  Base
	Reg   int // DWARF number
	Offs  []int64
	Value bool
	// Pieces, when not empty, are the parts of a value that lies in several
	// places, lowest bytes first; the other fields do not count then.
	Pieces []Piece
}

// Piece is a part of a value.
type Piece struct {
	Location Location
	Bytes    int64
	Missing  bool // optimised out
}

// Errors of locations.
var (
	// ErrOptimizedOut says that a variable has no value at a place.
	ErrOptimizedOut = errors.New("optimized out here")
	// ErrComplex says that a location needs more than a Location can say.
	ErrComplex = errors.New("location is too complex")
)

func (l Location) String() string {
	if len(l.Pieces) > 0 {
		s := ""
		for i, p := range l.Pieces {
			if i > 0 {
				s += ", "
			}
			if p.Missing {
				s += fmt.Sprintf("missing:%d", p.Bytes)
			} else {
				s += fmt.Sprintf("%v:%d", p.Location, p.Bytes)
			}
		}
		return "pieces(" + s + ")"
	}
	s := ""
	switch l.Base {
	case Static:
		s = "static"
	case Register:
		s = fmt.Sprintf("reg%d", l.Reg)
	case EntryRegister:
		s = fmt.Sprintf("entry reg%d", l.Reg)
	case ThreadLocal:
		s = "tls"
	}
	for i, o := range l.Offs {
		if i > 0 {
			s = "*(" + s + ")"
		}
		switch {
		case s == "":
			s = fmt.Sprintf("%#x", uint64(o))
		case s == "static":
			s = fmt.Sprintf("static %#x", uint64(o))
		case o != 0:
			s += fmt.Sprintf("%+d", o)
		}
	}
	if l.Value {
		return s
	}
	return "[" + s + "]"
}

// operand is a value on the expression stack, in the terms of Location.
type operand struct {
	base Base
	reg  int
	offs []int64
}

func constant(n int64) operand { return operand{offs: []int64{n}} }

func (o operand) isConst() bool { return o.base == Nothing && len(o.offs) == 1 }

func (o operand) plus(n int64) operand {
	o.offs = slices.Clone(o.offs)
	o.offs[len(o.offs)-1] += n
	return o
}

func (o operand) location(value bool) Location {
	return Location{Base: o.base, Reg: o.reg, Offs: o.offs, Value: value}
}

// evaluator turns location expressions into Locations for one place in the
// code. frameBase gives DW_OP_fbreg's base, cfa DW_OP_call_frame_cfa's.
type evaluator struct {
	u         *unit
	frameBase func() (operand, error)
	cfa       func() (operand, error)
}

const (
	maxOps   = 1024
	maxStack = 64
)

// eval analyses an expression. It fails with ErrOptimizedOut for an empty one.
func (ev *evaluator) eval(expr []byte) (Location, error) {
	if len(expr) == 0 {
		return Location{}, ErrOptimizedOut
	}
	c := cursor{data: expr, bo: ev.u.sec.d.bo}
	var pieces []Piece
	var stack []operand
	var whole *Location // of a register or implicit value
	push := func(o operand) { stack = append(stack, o) }
	pop := func() (operand, error) {
		if len(stack) == 0 {
			return operand{}, fmt.Errorf("%w: stack underflow", ErrComplex)
		}
		o := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		return o, nil
	}
	result := func() (Location, error) {
		if whole != nil {
			return *whole, nil
		}
		o, err := pop()
		if err != nil {
			return Location{}, ErrOptimizedOut
		}
		return o.location(false), nil
	}
	for n := 0; c.off < len(c.data); n++ {
		if n > maxOps || len(stack) > maxStack {
			return Location{}, fmt.Errorf("%w: too many operations", ErrComplex)
		}
		op := c.u8()
		switch {
		case op >= opLit0 && op < opLit0+32:
			push(constant(int64(op - opLit0)))
			continue
		case op >= opReg0 && op < opReg0+32:
			whole = &Location{Base: Register, Reg: int(op - opReg0), Offs: []int64{0}, Value: true}
			continue
		case op >= opBreg0 && op < opBreg0+32:
			push(operand{Register, int(op - opBreg0), []int64{c.sleb()}})
			continue
		}
		switch op {
		case opNop:
		case opAddr:
			push(operand{base: Static, offs: []int64{int64(c.fixed(ev.u.addrSize))}})
		case opAddrx, opGNUAddrIndex:
			a, ok := ev.u.addrIndex(c.uleb())
			if !ok {
				return Location{}, fmt.Errorf("%w: address index", ErrComplex)
			}
			push(operand{base: Static, offs: []int64{int64(a)}})
		case opConstx, opGNUConstIndex:
			a, ok := ev.u.addrIndex(c.uleb())
			if !ok {
				return Location{}, fmt.Errorf("%w: address index", ErrComplex)
			}
			push(constant(int64(a)))
		case opConst1u:
			push(constant(int64(c.u8())))
		case opConst1s:
			push(constant(int64(int8(c.u8()))))
		case opConst2u:
			push(constant(int64(c.fixed(2))))
		case opConst2s:
			push(constant(int64(int16(c.fixed(2)))))
		case opConst4u:
			push(constant(int64(c.fixed(4))))
		case opConst4s:
			push(constant(int64(int32(c.fixed(4)))))
		case opConst8u, opConst8s:
			push(constant(int64(c.fixed(8))))
		case opConstu:
			push(constant(int64(c.uleb())))
		case opConsts:
			push(constant(c.sleb()))
		case opRegx:
			whole = &Location{Base: Register, Reg: int(min(c.uleb(), 1<<16)), Offs: []int64{0}, Value: true}
		case opBregx:
			reg := int(min(c.uleb(), 1<<16))
			push(operand{Register, reg, []int64{c.sleb()}})
		case opFbreg:
			off := c.sleb()
			fb, err := ev.frameBase()
			if err != nil {
				return Location{}, err
			}
			push(fb.plus(off))
		case opCallFrameCFA:
			cfa, err := ev.cfa()
			if err != nil {
				return Location{}, err
			}
			push(cfa)
		case opPlusUconst:
			o, err := pop()
			if err != nil {
				return Location{}, err
			}
			push(o.plus(int64(c.uleb())))
		case opPlus, opMinus:
			b, err1 := pop()
			a, err2 := pop()
			if err := errors.Join(err1, err2); err != nil {
				return Location{}, err
			}
			switch {
			case b.isConst() && op == opPlus:
				push(a.plus(b.offs[0]))
			case b.isConst():
				push(a.plus(-b.offs[0]))
			case a.isConst() && op == opPlus:
				push(b.plus(a.offs[0]))
			default:
				return Location{}, fmt.Errorf("%w: arithmetic on two variables", ErrComplex)
			}
		case opDeref:
			o, err := pop()
			if err != nil {
				return Location{}, err
			}
			o.offs = append(slices.Clone(o.offs), 0)
			push(o)
		case opFormTLSAddress, opGNUPushTLS:
			o, err := pop()
			if err != nil || !o.isConst() {
				return Location{}, fmt.Errorf("%w: thread-local address", ErrComplex)
			}
			o.base = ThreadLocal
			push(o)
		case opEntryValue, opGNUEntryValue:
			inner := c.take(c.uleb())
			if len(inner) == 0 || inner[0] < opReg0 || inner[0] >= opReg0+32 || len(inner) != 1 {
				return Location{}, fmt.Errorf("%w: value at function entry", ErrComplex)
			}
			push(operand{EntryRegister, int(inner[0] - opReg0), []int64{0}})
		case opImplicitValue:
			b := c.take(c.uleb())
			v := Location{Value: true, Offs: []int64{0}}
			switch len(b) {
			case 1, 2, 4, 8:
				k := cursor{data: b, bo: c.bo}
				v.Offs[0] = int64(k.fixed(len(b)))
			default:
				return Location{}, fmt.Errorf("%w: constant of %d bytes", ErrComplex, len(b))
			}
			whole = &v
		case opStackValue:
			o, err := pop()
			if err != nil {
				return Location{}, err
			}
			v := o.location(true)
			whole = &v
		case opPiece:
			bytes := c.uleb()
			if bytes > 1<<20 || len(pieces) >= maxStack {
				return Location{}, fmt.Errorf("%w: pieces", ErrComplex)
			}
			p := Piece{Bytes: int64(bytes)}
			l, err := result()
			if errors.Is(err, ErrOptimizedOut) {
				p.Missing = true
			}
			p.Location = l
			pieces = append(pieces, p)
			stack, whole = nil, nil
		default:
			return Location{}, fmt.Errorf("%w: operation %#x", ErrComplex, op)
		}
		if c.bad {
			return Location{}, fmt.Errorf("%w: cut short", ErrComplex)
		}
	}
	if len(pieces) > 0 {
		if !slices.ContainsFunc(pieces, func(p Piece) bool { return !p.Missing }) {
			return Location{}, ErrOptimizedOut
		}
		if len(pieces) == 1 {
			return pieces[0].Location, nil
		}
		return Location{Pieces: pieces}, nil
	}
	return result()
}

// exprAt gives the location expression of an attribute that holds at pc. ok
// is false if a location list has none there.
func (u *unit) exprAt(v value, pc uint64) (expr []byte, ok bool, err error) {
	switch v.form {
	case formExprloc, formBlock, formBlock1, formBlock2, formBlock4:
		return v.b, true, nil
	case formSecOffset, formData4, formData8, formLoclistx:
		found := false
		err := u.locationList(v, func(start, end uint64, e []byte) bool {
			if pc >= start && pc < end {
				expr, found = e, true
			}
			return !found
		})
		return expr, found, err
	}
	return nil, false, fmt.Errorf("%w: form %#x", ErrComplex, v.form)
}

var errList = errors.New("malformed list of addresses")

// locationList calls yield with the entries of a location list.
func (u *unit) locationList(v value, yield func(start, end uint64, expr []byte) bool) error {
	f := u.sec.d
	r := u.info()
	base := r.lowPC
	if u.version >= 5 {
		off := v.u
		if v.form == formLoclistx {
			var ok bool
			if off, ok = u.listOffset(f.loclists, r.locsBase, v.u); !ok {
				return errList
			}
		}
		return u.list5(f.loclists, off, base, true, func(c *cursor) []byte { return c.take(c.uleb()) }, yield)
	}
	return u.list4(f.loc, v.u, base, func(c *cursor) []byte { return c.take(c.fixed(2)) }, yield)
}

// rangeList calls yield with the entries of a DW_AT_ranges attribute.
func (u *unit) rangeList(v value, yield func(start, end uint64) bool) error {
	f := u.sec.d
	r := u.info()
	none := func(*cursor) []byte { return nil }
	each := func(start, end uint64, _ []byte) bool { return yield(start, end) }
	if u.version >= 5 {
		off := v.u
		if v.form == formRnglistx {
			var ok bool
			if off, ok = u.listOffset(f.rnglists, r.rnglistsBase, v.u); !ok {
				return errList
			}
		}
		return u.list5(f.rnglists, off, r.lowPC, false, none, each)
	}
	return u.list4(f.ranges, v.u, r.lowPC, none, each)
}

// listOffset looks a list up by index in the unit's table of offsets.
func (u *unit) listOffset(sec *part, base, i uint64) (uint64, bool) {
	off, ok := sec.number(base, i, u.offSize(), u.sec.d.bo)
	return base + off, ok
}

const maxList = 1 << 20

// list4 reads a list of .debug_loc or .debug_ranges.
func (u *unit) list4(sec *part, off, base uint64, tail func(*cursor) []byte, yield func(start, end uint64, expr []byte) bool) error {
	if off > uint64(len(sec.data)) {
		return errList
	}
	c := cursor{data: sec.data, off: int(off), bo: u.sec.d.bo}
	all := ^uint64(0) >> (64 - 8*u.addrSize)
	for range maxList {
		sec.need(uint64(c.off), pieceSize) // no entry is longer
		start, end := c.fixed(u.addrSize), c.fixed(u.addrSize)
		switch {
		case c.bad:
			return errList
		case start == 0 && end == 0:
			return nil
		case start == all:
			base = end
			continue
		}
		expr := tail(&c)
		if c.bad {
			return errList
		}
		if start < end && !yield(base+start, base+end, expr) {
			return nil
		}
	}
	return errList
}

// list5 reads a list of .debug_loclists or .debug_rnglists (DWARF 5, sections
// 7.7.3 and 7.25). The codes of both agree but for two of location lists.
func (u *unit) list5(sec *part, off, base uint64, locs bool, tail func(*cursor) []byte, yield func(start, end uint64, expr []byte) bool) error {
	if off > uint64(len(sec.data)) {
		return errList
	}
	c := cursor{data: sec.data, off: int(off), bo: u.sec.d.bo}
	index := func() uint64 {
		a, ok := u.addrIndex(c.uleb())
		if !ok {
			c.bad = true
		}
		return a
	}
	for range maxList {
		sec.need(uint64(c.off), pieceSize)
		var start, end uint64
		code := c.u8()
		if locs && code >= 5 {
			// Location lists have "default location" at 5; what follows is
			// shifted by one.
			if code == 5 {
				expr := tail(&c)
				if c.bad {
					return errList
				}
				if !yield(0, ^uint64(0), expr) {
					return nil
				}
				continue
			}
			code--
		}
		switch code {
		case 0: // end_of_list
			if c.bad {
				return errList
			}
			return nil
		case 1: // base_addressx
			base = index()
			continue
		case 2: // startx_endx
			start, end = index(), index()
		case 3: // startx_length
			start = index()
			end = start + c.uleb()
		case 4: // offset_pair
			start = base + c.uleb()
			end = base + c.uleb()
		case 5: // base_address
			base = c.fixed(u.addrSize)
			continue
		case 6: // start_end
			start, end = c.fixed(u.addrSize), c.fixed(u.addrSize)
		case 7: // start_length
			start = c.fixed(u.addrSize)
			end = start + c.uleb()
		case 8: // GNU view pair, of location lists only
			if !locs {
				return errList
			}
			c.uleb()
			c.uleb()
			continue
		default:
			return errList
		}
		if c.bad {
			return errList
		}
		expr := tail(&c)
		if c.bad {
			return errList
		}
		if start < end && !yield(start, end, expr) {
			return nil
		}
	}
	return errList
}

// cfaAt gives the canonical frame address at pc in terms of a register.
func (d *Data) cfaAt(pc uint64) (operand, error) {
	fr, err := d.frames()
	if err != nil {
		return operand{}, err
	}
	row, ok, err := fr.At(pc)
	if err != nil {
		return operand{}, err
	}
	if !ok {
		return operand{}, fmt.Errorf("no call frame table covers %#x", pc)
	}
	if row.CFA.Kind != elffile.RuleRegister {
		return operand{}, fmt.Errorf("%w: frame address by expression", ErrComplex)
	}
	return operand{Register, row.CFA.Reg, []int64{row.CFA.Off}}, nil
}
