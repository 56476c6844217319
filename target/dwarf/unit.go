package dwarf

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"sync"
)

// Attributes that are read (DWARF 5, table 7.5, and GNU extensions).
const (
	atSibling         = 0x01
	atLocation        = 0x02
	atName            = 0x03
	atByteSize        = 0x0b
	atBitOffset       = 0x0c
	atBitSize         = 0x0d
	atStmtList        = 0x10
	atLowPC           = 0x11
	atHighPC          = 0x12
	atLanguage        = 0x13
	atCompDir         = 0x1b
	atConstValue      = 0x1c
	atInline          = 0x20
	atProducer        = 0x25
	atUpperBound      = 0x2f
	atAbstractOrigin  = 0x31
	atCount           = 0x37
	atDataMemberLoc   = 0x38
	atDeclFile        = 0x3a
	atDeclLine        = 0x3b
	atDeclaration     = 0x3c
	atEncoding        = 0x3e
	atExternal        = 0x3f
	atFrameBase       = 0x40
	atSpecification   = 0x47
	atType            = 0x49
	atEntryPC         = 0x52
	atRanges          = 0x55
	atCallColumn      = 0x57
	atCallFile        = 0x58
	atCallLine        = 0x59
	atSignature       = 0x69
	atDataBitOffset   = 0x6b
	atLinkageName     = 0x6e
	atStrOffsetsBase  = 0x72
	atAddrBase        = 0x73
	atRnglistsBase    = 0x74
	atDWOName         = 0x76
	atCallOrigin      = 0x7f
	atCallReturnPC    = 0x7d
	atCallPC          = 0x81
	atCallTailCall    = 0x82
	atLoclistsBase    = 0x8c
	atMIPSLinkageName = 0x2007
	atGNUDWOName      = 0x2130
	atGNURangesBase   = 0x2132
	atGNUAddrBase     = 0x2133
	atGNUTailCall     = 0x2115
)

// Tags that are looked at.
const (
	tagArray         = 0x01
	tagClass         = 0x02
	tagEnumeration   = 0x04
	tagFormalParam   = 0x05
	tagLabel         = 0x0a
	tagLexicalBlock  = 0x0b
	tagMember        = 0x0d
	tagPointer       = 0x0f
	tagReference     = 0x10
	tagCompileUnit   = 0x11
	tagStruct        = 0x13
	tagSubroutine    = 0x15
	tagTypedef       = 0x16
	tagUnion         = 0x17
	tagUnspecParams  = 0x18
	tagInheritance   = 0x1c
	tagInlined       = 0x1d
	tagModule        = 0x1e
	tagPtrToMember   = 0x1f
	tagSubrange      = 0x21
	tagBaseType      = 0x24
	tagConst         = 0x26
	tagEnumerator    = 0x28
	tagSubprogram    = 0x2e
	tagVariable      = 0x34
	tagVolatile      = 0x35
	tagRestrict      = 0x37
	tagInterface     = 0x38
	tagNamespace     = 0x39
	tagUnspecType    = 0x3b
	tagPartialUnit   = 0x3c
	tagTypeUnit      = 0x41
	tagRvalueRef     = 0x42
	tagTemplateAlias = 0x43
	tagAtomic        = 0x47
	tagCallSite      = 0x48
	tagGNUCallSite   = 0x4109
)

// Forms (DWARF 5, table 7.6, and GNU extensions).
const (
	formAddr          = 0x01
	formBlock2        = 0x03
	formBlock4        = 0x04
	formData2         = 0x05
	formData4         = 0x06
	formData8         = 0x07
	formString        = 0x08
	formBlock         = 0x09
	formBlock1        = 0x0a
	formData1         = 0x0b
	formFlag          = 0x0c
	formSdata         = 0x0d
	formStrp          = 0x0e
	formUdata         = 0x0f
	formRefAddr       = 0x10
	formRef1          = 0x11
	formRef2          = 0x12
	formRef4          = 0x13
	formRef8          = 0x14
	formRefUdata      = 0x15
	formIndirect      = 0x16
	formSecOffset     = 0x17
	formExprloc       = 0x18
	formFlagPresent   = 0x19
	formStrx          = 0x1a
	formAddrx         = 0x1b
	formRefSup4       = 0x1c
	formStrpSup       = 0x1d
	formData16        = 0x1e
	formLineStrp      = 0x1f
	formRefSig8       = 0x20
	formImplicitConst = 0x21
	formLoclistx      = 0x22
	formRnglistx      = 0x23
	formRefSup8       = 0x24
	formStrx1         = 0x25
	formStrx4         = 0x28
	formAddrx1        = 0x29
	formAddrx4        = 0x2c
	formGNUAddrIndex  = 0x1f01
	formGNUStrIndex   = 0x1f02
	formGNURefAlt     = 0x1f20
	formGNUStrpAlt    = 0x1f21
)

// abbrev describes the layout of a kind of entry.
type abbrev struct {
	tag      uint32
	children bool
	attrs    []attrSpec
	// sibling tells that some attribute is a reference to the next sibling.
	sibling bool
}

type attrSpec struct {
	at       uint32
	form     uint16
	implicit int64
}

// abbrevTable maps codes to abbrevs; codes are dense in practice.
type abbrevTable struct {
	dense  []*abbrev // by code
	sparse map[uint64]*abbrev
	all    []*abbrev
}

func (t *abbrevTable) get(code uint64) *abbrev {
	if code < uint64(len(t.dense)) {
		return t.dense[code]
	}
	return t.sparse[code]
}

const (
	maxAbbrevs = 1 << 20
	maxDense   = 1 << 16
)

// parseAbbrevs reads the table at the start of data.
func parseAbbrevs(data []byte) (*abbrevTable, error) {
	t := &abbrevTable{sparse: map[uint64]*abbrev{}}
	c := cursor{data: data}
	for n := 0; ; n++ {
		code := c.uleb()
		if c.bad {
			return nil, fmt.Errorf("abbreviation table is cut short")
		}
		if code == 0 {
			return t, nil
		}
		if n > maxAbbrevs {
			return nil, fmt.Errorf("more than %d abbreviations", maxAbbrevs)
		}
		a := &abbrev{tag: uint32(c.uleb()), children: c.u8() != 0}
		for {
			at, form := uint32(c.uleb()), uint16(c.uleb())
			var implicit int64
			if form == formImplicitConst {
				implicit = c.sleb()
			}
			if c.bad {
				return nil, fmt.Errorf("abbreviation table is cut short")
			}
			if at == 0 && form == 0 {
				break
			}
			if at == atSibling {
				a.sibling = true
			}
			a.attrs = append(a.attrs, attrSpec{at, form, implicit})
		}
		t.all = append(t.all, a)
		if code < maxDense {
			for uint64(len(t.dense)) <= code {
				t.dense = append(t.dense, nil)
			}
			t.dense[code] = a
		} else {
			t.sparse[code] = a
		}
	}
}

// cursor reads primitive forms. Behind the end it gives zeros and sets bad.
type cursor struct {
	data []byte
	off  int
	bo   binary.ByteOrder
	bad  bool
}

func (c *cursor) skip(n uint64) {
	if n > uint64(len(c.data)-c.off) {
		c.bad = true
		c.off = len(c.data)
		return
	}
	c.off += int(n)
}

func (c *cursor) take(n uint64) []byte {
	at := c.off
	c.skip(n)
	if c.bad {
		return nil
	}
	return c.data[at:c.off]
}

func (c *cursor) u8() byte {
	if c.off >= len(c.data) {
		c.bad = true
		return 0
	}
	b := c.data[c.off]
	c.off++
	return b
}

// fixed reads an unsigned number of 1 to 8 bytes.
func (c *cursor) fixed(n int) uint64 {
	b := c.take(uint64(n))
	if b == nil {
		return 0
	}
	switch n {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(c.bo.Uint16(b))
	case 4:
		return uint64(c.bo.Uint32(b))
	case 8:
		return c.bo.Uint64(b)
	}
	var v uint64
	for i := range b {
		if c.bo == binary.BigEndian {
			v = v<<8 | uint64(b[i])
		} else {
			v |= uint64(b[i]) << (8 * i)
		}
	}
	return v
}

func (c *cursor) uleb() uint64 {
	// Most numbers have one byte.
	if c.off < len(c.data) && c.data[c.off] < 0x80 {
		c.off++
		return uint64(c.data[c.off-1])
	}
	var v uint64
	for shift := uint(0); ; shift += 7 {
		b := c.u8()
		if shift < 64 {
			v |= uint64(b&0x7f) << shift
		}
		if b < 0x80 {
			return v
		}
	}
}

func (c *cursor) sleb() int64 {
	var v uint64
	for shift := uint(0); ; {
		b := c.u8()
		if shift < 64 {
			v |= uint64(b&0x7f) << shift
		}
		shift += 7
		if b < 0x80 {
			if b&0x40 != 0 && shift < 64 {
				v |= ^uint64(0) << shift
			}
			return int64(v)
		}
	}
}

func (c *cursor) str() []byte {
	rest := c.data[c.off:]
	i := bytes.IndexByte(rest, 0)
	if i < 0 {
		c.bad = true
		c.off = len(c.data)
		return nil
	}
	c.off += i + 1
	return rest[:i]
}

// length reads an initial length: 4 bytes, or 12 in the 64-bit format.
func (c *cursor) length() (n uint64, wide bool) {
	n = c.fixed(4)
	if n == 0xffffffff {
		return c.fixed(8), true
	}
	return n, false
}

// unit is a compilation, partial or type unit.
type unit struct {
	sec       *section
	off, end  uint64 // in the section, header included
	first     uint64 // offset of the root entry
	version   int
	addrSize  int
	wide      bool // 64-bit format
	typeUnit  bool
	signature uint64 // of a type unit
	typeOff   uint64 // of its type, from off
	abbrevOff uint64

	abbrevOnce sync.Once
	abbrevs    *abbrevTable // see abbrev
	loadOnce   sync.Once

	rootOnce sync.Once
	root     rootInfo

	declOnce sync.Once
	decls    map[string][]int // see declared

	lineOnce sync.Once
	lines    *lineTable
	lineErr  error
}

// rootInfo is what the root entry of a unit says.
type rootInfo struct {
	name, compDir, producer string
	language                uint64
	lowPC                   uint64
	stmtList                uint64
	hasStmt                 bool
	strBase, addrBase       uint64
	rnglistsBase, locsBase  uint64
	hasRnglists, hasLocs    bool
	split                   bool // the entries are in another file (.dwo)
	ranges                  value
	highPC                  value
}

// section is a .debug_info or .debug_types section.
type section struct {
	d    *file
	data []byte
	// r, when it is set, is where the content comes from: data then holds only what
	// was asked for, since scripts ask for little of what a kernel has.
	r     io.ReaderAt
	units []*unit // by offset
	types bool    // .debug_types
}

// fill brings in a part of the content. What cannot be read stays zero, which is no
// entry.
func (s *section) fill(off, end uint64) {
	if end = min(end, uint64(len(s.data))); s.r == nil || off >= end {
		return
	}
	if n, err := s.r.ReadAt(s.data[off:end], int64(off)); err != nil {
		clear(s.data[off+uint64(n) : end])
	}
}

// load brings in the whole unit.
func (u *unit) load() {
	u.loadOnce.Do(func() { u.sec.fill(u.off, u.end) })
}

// file is the debug sections of one file.
type file struct {
	path       string
	bo         binary.ByteOrder
	info       *section
	types      *section // DWARF 4 type units
	alt        *file    // supplementary file (dwz), or nil
	abbrev     *part
	str        *part
	lineStr    *part
	strOffsets *part
	addr       *part
	ranges     *part
	rnglists   *part
	loc        *part
	loclists   *part
	line       *part

	mu      sync.Mutex
	abbrevs map[uint64]*abbrevTable

	sigOnce sync.Once
	sigs    map[uint64]*unit
}

// parts are the sections but those of units; none is nil.
func (f *file) parts() []**part {
	return []**part{&f.abbrev, &f.str, &f.lineStr, &f.strOffsets, &f.addr, &f.ranges, &f.rnglists, &f.loc, &f.loclists, &f.line}
}

func (f *file) abbrevTable(off uint64) (*abbrevTable, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if t, ok := f.abbrevs[off]; ok {
		return t, nil
	}
	all := uint64(len(f.abbrev.data))
	if off > all {
		return nil, fmt.Errorf("abbreviations at %#x are outside their section", off)
	}
	for n := uint64(pieceSize); ; n *= 4 {
		end := min(off+n, all)
		f.abbrev.need(off, end-off)
		t, err := parseAbbrevs(f.abbrev.data[off:end])
		if err != nil && end < all {
			continue // it may be longer
		}
		if err != nil {
			return nil, err
		}
		f.abbrevs[off] = t
		return t, nil
	}
}

// maxHeader is the size of the largest header of a unit.
const maxHeader = 40

// abbrev gives the layouts of the unit's entries. A malformed table has none; index
// says so.
func (u *unit) abbrev() *abbrevTable {
	u.abbrevOnce.Do(func() {
		t, err := u.sec.d.abbrevTable(u.abbrevOff)
		if err != nil {
			t = &abbrevTable{}
		}
		u.abbrevs = t
	})
	return u.abbrevs
}

// parseUnits reads the headers of all units of a section.
func (f *file) parseUnits(data []byte, r io.ReaderAt, types bool) (*section, error) {
	s := &section{d: f, data: data, r: r, types: types}
	for off := uint64(0); off < uint64(len(data)); {
		s.fill(off, off+maxHeader)
		c := cursor{data: data, off: int(off), bo: f.bo}
		u := &unit{sec: s, off: off, typeUnit: types}
		n, wide := c.length()
		u.wide = wide
		if c.bad || n > uint64(len(data)-c.off) {
			return nil, fmt.Errorf("unit at %#x is cut short", off)
		}
		u.end = uint64(c.off) + n
		c.data = data[:u.end]
		u.version = int(c.fixed(2))
		if u.version < 2 || u.version > 5 {
			return nil, fmt.Errorf("unit at %#x: DWARF version %d is not known (2 to 5 are)", off, u.version)
		}
		offSize := 4
		if wide {
			offSize = 8
		}
		var abbrevOff uint64
		kind := byte(1)
		if u.version >= 5 {
			kind = c.u8()
			u.addrSize = int(c.u8())
			abbrevOff = c.fixed(offSize)
		} else {
			abbrevOff = c.fixed(offSize)
			u.addrSize = int(c.u8())
		}
		switch {
		case types || kind == 2 || kind == 6: // type, split type
			u.typeUnit = true
			u.signature = c.fixed(8)
			u.typeOff = c.fixed(offSize)
		case kind == 4 || kind == 5: // skeleton, split compile
			c.fixed(8)
		}
		if c.bad || u.addrSize != 4 && u.addrSize != 8 && u.addrSize != 2 {
			return nil, fmt.Errorf("unit at %#x: malformed header", off)
		}
		u.first = uint64(c.off)
		u.abbrevOff = abbrevOff
		s.units = append(s.units, u)
		off = u.end
	}
	return s, nil
}

// unitAt finds the unit with an offset.
func (s *section) unitAt(off uint64) *unit {
	if s == nil {
		return nil
	}
	i, found := slices.BinarySearchFunc(s.units, off, func(u *unit, o uint64) int {
		switch {
		case u.off < o:
			return -1
		case u.off > o:
			return 1
		}
		return 0
	})
	if !found {
		i--
	}
	if i < 0 || off >= s.units[i].end {
		return nil
	}
	return s.units[i]
}

func (u *unit) cursor(off uint64) cursor {
	u.load()
	return cursor{data: u.sec.data[:u.end], off: int(off), bo: u.sec.d.bo}
}

func (u *unit) offSize() int {
	if u.wide {
		return 8
	}
	return 4
}

// skipForm moves a cursor over an attribute's value.
func (u *unit) skipForm(c *cursor, form uint16) {
	switch form {
	case formAddr:
		c.skip(uint64(u.addrSize))
	case formData1, formRef1, formFlag, formStrx1, formAddrx1:
		c.skip(1)
	case formData2, formRef2, formStrx1 + 1, formAddrx1 + 1:
		c.skip(2)
	case formStrx1 + 2, formAddrx1 + 2:
		c.skip(3)
	case formData4, formRef4, formStrx4, formAddrx4, formRefSup4:
		c.skip(4)
	case formData8, formRef8, formRefSig8, formRefSup8:
		c.skip(8)
	case formData16:
		c.skip(16)
	case formStrp, formLineStrp, formSecOffset, formStrpSup, formGNURefAlt, formGNUStrpAlt:
		c.skip(uint64(u.offSize()))
	case formRefAddr:
		if u.version < 3 {
			c.skip(uint64(u.addrSize))
		} else {
			c.skip(uint64(u.offSize()))
		}
	case formString:
		c.str()
	case formBlock1:
		c.skip(uint64(c.u8()))
	case formBlock2:
		c.skip(c.fixed(2))
	case formBlock4:
		c.skip(c.fixed(4))
	case formBlock, formExprloc:
		c.skip(c.uleb())
	case formSdata, formUdata, formRefUdata, formStrx, formAddrx, formLoclistx, formRnglistx, formGNUAddrIndex, formGNUStrIndex:
		c.uleb()
	case formFlagPresent, formImplicitConst:
	case formIndirect:
		f := uint16(min(c.uleb(), 1<<15))
		if f == formIndirect || f == formImplicitConst {
			c.bad = true
			return
		}
		u.skipForm(c, f)
	default:
		c.bad = true // a length that cannot be known ends the unit
	}
}

// value is an attribute's value as it is encoded.
type value struct {
	form uint16
	u    uint64 // numbers, references, offsets
	b    []byte // blocks, inline strings
}

func (v value) ok() bool { return v.form != 0 }

// readForm reads an attribute's value.
func (u *unit) readForm(c *cursor, spec attrSpec) value {
	v := value{form: spec.form}
	switch spec.form {
	case formAddr:
		v.u = c.fixed(u.addrSize)
	case formData1, formRef1, formFlag, formStrx1, formAddrx1:
		v.u = uint64(c.u8())
	case formData2, formRef2, formStrx1 + 1, formAddrx1 + 1:
		v.u = c.fixed(2)
	case formStrx1 + 2, formAddrx1 + 2:
		v.u = c.fixed(3)
	case formData4, formRef4, formStrx4, formAddrx4, formRefSup4:
		v.u = c.fixed(4)
	case formData8, formRef8, formRefSig8, formRefSup8:
		v.u = c.fixed(8)
	case formData16:
		v.b = c.take(16)
	case formStrp, formLineStrp, formSecOffset, formStrpSup, formGNURefAlt, formGNUStrpAlt:
		v.u = c.fixed(u.offSize())
	case formRefAddr:
		if u.version < 3 {
			v.u = c.fixed(u.addrSize)
		} else {
			v.u = c.fixed(u.offSize())
		}
	case formString:
		v.b = c.str()
	case formBlock1:
		v.b = c.take(uint64(c.u8()))
	case formBlock2:
		v.b = c.take(c.fixed(2))
	case formBlock4:
		v.b = c.take(c.fixed(4))
	case formBlock, formExprloc:
		v.b = c.take(c.uleb())
	case formSdata:
		v.u = uint64(c.sleb())
	case formUdata, formRefUdata, formStrx, formAddrx, formLoclistx, formRnglistx, formGNUAddrIndex, formGNUStrIndex:
		v.u = c.uleb()
	case formFlagPresent:
		v.u = 1
	case formImplicitConst:
		v.u = uint64(spec.implicit)
	case formIndirect:
		f := uint16(min(c.uleb(), 1<<15))
		if f == formIndirect || f == formImplicitConst {
			c.bad = true
			return value{}
		}
		return u.readForm(c, attrSpec{at: spec.at, form: f})
	default:
		c.bad = true
		return value{}
	}
	if c.bad {
		return value{}
	}
	return v
}

// entry is a debugging information entry.
type entry struct {
	u     *unit
	off   uint64
	ab    *abbrev
	attrs int // offset of the first attribute
}

func (e entry) valid() bool { return e.ab != nil }

// entryAt reads the head of the entry at an offset; it is not valid for the
// end of a list of children, or a malformed entry.
func (u *unit) entryAt(off uint64) entry {
	if off < u.first || off >= u.end {
		return entry{}
	}
	c := u.cursor(off)
	code := c.uleb()
	if code == 0 || c.bad {
		return entry{}
	}
	return entry{u, off, u.abbrev().get(code), c.off}
}

// attr finds an attribute of the entry.
func (e entry) attr(at uint32) value {
	if !e.valid() {
		return value{}
	}
	c := e.u.cursor(uint64(e.attrs))
	for _, s := range e.ab.attrs {
		if s.at == at {
			return e.u.readForm(&c, s)
		}
		e.u.skipForm(&c, s.form)
	}
	return value{}
}

// end is the offset behind the entry's own attributes.
func (e entry) end() (uint64, bool) {
	c := e.u.cursor(uint64(e.attrs))
	for _, s := range e.ab.attrs {
		e.u.skipForm(&c, s.form)
	}
	return uint64(c.off), !c.bad
}

// maxTree bounds the depth of entries.
const maxTree = 256

// next is the offset of the sibling that follows: behind the entry and its
// children.
func (e entry) next() (uint64, bool) { return e.after(0) }

func (e entry) after(depth int) (uint64, bool) {
	c := e.u.cursor(uint64(e.attrs))
	for _, s := range e.ab.attrs {
		if s.at == atSibling && e.ab.children {
			v := e.u.readForm(&c, s)
			if off, ok := e.u.localRef(v); ok && off > e.off {
				return off, true
			}
			continue
		}
		e.u.skipForm(&c, s.form)
	}
	if c.bad || !e.ab.children {
		return uint64(c.off), !c.bad
	}
	if depth > maxTree {
		return 0, false
	}
	off := uint64(c.off)
	for {
		if off >= e.u.end {
			return 0, false
		}
		if e.u.sec.data[off] == 0 {
			return off + 1, true
		}
		child := e.u.entryAt(off)
		if !child.valid() {
			return 0, false
		}
		var ok bool
		if off, ok = child.after(depth + 1); !ok {
			return 0, false
		}
	}
}

// children calls yield for each child until it returns false.
func (e entry) children(yield func(entry) bool) {
	if !e.valid() || !e.ab.children {
		return
	}
	off, ok := e.end()
	for ok && off < e.u.end {
		child := e.u.entryAt(off)
		if !child.valid() || !yield(child) {
			return
		}
		off, ok = child.next()
	}
}

// inside calls visit for the entries that lie in e, and in those for which visit says so.
func (e entry) inside(depth int, visit func(entry) (deeper bool)) {
	if depth > maxTree {
		return
	}
	for c := range e.children {
		if visit(c) {
			c.inside(depth+1, visit)
		}
	}
}

// localRef resolves a reference within the unit to an offset in the section.
func (u *unit) localRef(v value) (uint64, bool) {
	switch v.form {
	case formRef1, formRef2, formRef4, formRef8, formRefUdata:
		off := u.off + v.u
		return off, off >= u.first && off < u.end
	}
	return 0, false
}

// ref gives the entry that an attribute refers to; it is not valid if the
// reference is broken.
func (e entry) ref(at uint32) entry {
	v := e.attr(at)
	if !v.ok() {
		return entry{}
	}
	return e.u.resolve(v)
}

func (u *unit) resolve(v value) entry {
	sec := u.sec
	off := v.u
	switch v.form {
	case formRef1, formRef2, formRef4, formRef8, formRefUdata:
		local, ok := u.localRef(v)
		if !ok {
			return entry{}
		}
		return u.entryAt(local)
	case formRefAddr:
		sec = sec.d.info
	case formGNURefAlt, formRefSup4, formRefSup8:
		if sec.d.alt == nil {
			return entry{}
		}
		sec = sec.d.alt.info
	case formRefSig8:
		t := sec.d.typeUnit(v.u)
		if t == nil {
			return entry{}
		}
		return t.entryAt(t.off + t.typeOff)
	default:
		return entry{}
	}
	t := sec.unitAt(off)
	if t == nil {
		return entry{}
	}
	return t.entryAt(off)
}

// typeUnit finds a type unit by its signature.
func (f *file) typeUnit(sig uint64) *unit {
	f.sigOnce.Do(func() {
		f.sigs = map[uint64]*unit{}
		for _, s := range []*section{f.info, f.types} {
			if s == nil {
				continue
			}
			for _, u := range s.units {
				if u.typeUnit {
					f.sigs[u.signature] = u
				}
			}
		}
	})
	return f.sigs[sig]
}

// text is a string attribute's content.
func (u *unit) text(v value) []byte {
	f := u.sec.d
	switch v.form {
	case formString:
		return v.b
	case formStrp:
		return f.str.text(v.u)
	case formLineStrp:
		return f.lineStr.text(v.u)
	case formGNUStrpAlt, formStrpSup:
		if f.alt != nil {
			return f.alt.str.text(v.u)
		}
	case formStrx, formStrx1, formStrx1 + 1, formStrx1 + 2, formStrx4, formGNUStrIndex:
		if off, ok := f.strOffsets.number(u.info().strBase, v.u, u.offSize(), f.bo); ok {
			return f.str.text(off)
		}
	}
	return nil
}

// str is the text of a string attribute, "" if the entry has none.
func (e entry) str(at uint32) string { return string(e.u.text(e.attr(at))) }

// address is the value of an address attribute.
func (u *unit) address(v value) (uint64, bool) {
	switch v.form {
	case formAddr:
		return v.u, true
	case formAddrx, formAddrx1, formAddrx1 + 1, formAddrx1 + 2, formAddrx4, formGNUAddrIndex:
		return u.addrIndex(v.u)
	}
	return 0, false
}

// addrIndex is an entry of the unit's table of addresses.
func (u *unit) addrIndex(i uint64) (uint64, bool) {
	f := u.sec.d
	return f.addr.number(u.info().addrBase, i, u.addrSize, f.bo)
}

// constant is the value of a constant attribute, sign-extended where its form
// has a sign.
func (v value) constant() (int64, bool) {
	switch v.form {
	case formData1, formData2, formData4, formData8, formUdata, formSdata, formImplicitConst, formFlag, formFlagPresent, formSecOffset:
		return int64(v.u), true
	}
	return 0, false
}

func (e entry) num(at uint32) (int64, bool) { return e.attr(at).constant() }

func (e entry) flag(at uint32) bool {
	v := e.attr(at)
	return v.ok() && v.u != 0
}

// info reads the root entry once.
func (u *unit) info() *rootInfo {
	u.rootOnce.Do(func() {
		e := u.entryAt(u.first)
		if !e.valid() {
			return
		}
		r := &u.root
		c := u.cursor(uint64(e.attrs))
		// Bases first: other attributes may be indexes.
		var name, compDir, producer, low value
		// Without the attribute, the tables of the only unit begin behind
		// their header.
		if u.version >= 5 {
			r.strBase, r.addrBase = uint64(2*u.offSize()), uint64(u.offSize()+4)
			if u.wide {
				r.addrBase = 16
			}
		}
		for _, s := range e.ab.attrs {
			v := u.readForm(&c, s)
			if c.bad {
				return
			}
			switch s.at {
			case atName:
				name = v
			case atCompDir:
				compDir = v
			case atProducer:
				producer = v
			case atLanguage:
				r.language = v.u
			case atLowPC:
				low = v
			case atHighPC:
				r.highPC = v
			case atRanges:
				r.ranges = v
			case atStmtList:
				r.stmtList, r.hasStmt = v.u, true
			case atStrOffsetsBase:
				r.strBase = v.u
			case atAddrBase, atGNUAddrBase:
				r.addrBase = v.u
			case atRnglistsBase:
				r.rnglistsBase, r.hasRnglists = v.u, true
			case atLoclistsBase:
				r.locsBase, r.hasLocs = v.u, true
			case atDWOName, atGNUDWOName:
				r.split = true
			}
		}
		u.fillRoot(name, compDir, producer, low)
	})
	return &u.root
}

// fillRoot resolves what may need the bases of the root entry. It runs within
// rootOnce and so must not call info.
func (u *unit) fillRoot(name, compDir, producer, low value) {
	r := &u.root
	f := u.sec.d
	text := func(v value) string {
		switch v.form {
		case formStrx, formStrx1, formStrx1 + 1, formStrx1 + 2, formStrx4, formGNUStrIndex:
			if off, ok := f.strOffsets.number(r.strBase, v.u, u.offSize(), f.bo); ok {
				return string(f.str.text(off))
			}
			return ""
		}
		return string(u.text(v))
	}
	r.name, r.compDir, r.producer = text(name), text(compDir), text(producer)
	switch low.form {
	case formAddr:
		r.lowPC = low.u
	case formAddrx, formAddrx1, formAddrx1 + 1, formAddrx1 + 2, formAddrx4, formGNUAddrIndex:
		if a, ok := f.addr.number(r.addrBase, low.u, u.addrSize, f.bo); ok {
			r.lowPC = a
		}
	}
}
