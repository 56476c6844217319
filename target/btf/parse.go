package btf

import (
	"encoding/binary"
	"fmt"
	"strings"

	"stapkit/target/ctype"
)

const (
	magic      = 0xeB9F
	headerSize = 24
	typeSize   = 12

	// maxSize bounds what is accepted as one object's BTF; kernels have 5 to
	// 10 MB, and the kernel's own limit on the string section is 16 MB.
	maxSize = 256 << 20
	// maxDepth bounds chains of types that are no structs. The kernel's
	// verifier allows 32. maxWeight bounds the tree that a function type
	// unfolds to.
	maxDepth  = 64
	maxWeight = 1 << 16
)

func isMagic(b []byte) bool {
	return binary.LittleEndian.Uint16(b) == magic || binary.BigEndian.Uint16(b) == magic
}

// Parse reads the BTF of a kernel. The blob is kept and must not be changed.
func Parse(name string, raw []byte) (*Spec, error) { return parse(name, raw, nil) }

// ParseModule reads the BTF of a module, which continues that of its kernel.
func ParseModule(name string, raw []byte, base *Spec) (*Spec, error) { return parse(name, raw, base) }

// parts are the two sections of a blob.
type parts struct {
	bo             binary.ByteOrder
	types, strings []byte
	typesAt        int // where the types begin
	stringsAt      int
}

// sections takes a blob apart.
func sections(name string, raw []byte) (p parts, err error) {
	bad := func(off int, format string, args ...any) (parts, error) {
		return parts{}, &FormatError{name, off, fmt.Sprintf(format, args...)}
	}
	if len(raw) < headerSize {
		return bad(-1, "%d bytes are too few for a header", len(raw))
	}
	if len(raw) > maxSize {
		return bad(-1, "%d bytes exceed the limit of %d", len(raw), maxSize)
	}
	switch {
	case binary.LittleEndian.Uint16(raw) == magic:
		p.bo = binary.LittleEndian
	case binary.BigEndian.Uint16(raw) == magic:
		p.bo = binary.BigEndian
	default:
		return bad(0, "wrong magic number %#x", binary.LittleEndian.Uint16(raw))
	}
	if raw[2] != 1 {
		return bad(2, "version %d is not known (this reader knows 1)", raw[2])
	}
	hdrLen := uint64(p.bo.Uint32(raw[4:]))
	typeOff, typeLen := uint64(p.bo.Uint32(raw[8:])), uint64(p.bo.Uint32(raw[12:]))
	strOff, strLen := uint64(p.bo.Uint32(raw[16:])), uint64(p.bo.Uint32(raw[20:]))
	if hdrLen < headerSize || hdrLen > uint64(len(raw)) {
		return bad(4, "header length %d", hdrLen)
	}
	body := raw[hdrLen:]
	if typeOff+typeLen > uint64(len(body)) {
		return bad(8, "type section of %d bytes at %d exceeds the blob", typeLen, typeOff)
	}
	if strOff+strLen > uint64(len(body)) {
		return bad(16, "string section of %d bytes at %d exceeds the blob", strLen, strOff)
	}
	p.types, p.strings = body[typeOff:typeOff+typeLen], body[strOff:strOff+strLen]
	p.typesAt, p.stringsAt = int(hdrLen+typeOff), int(hdrLen+strOff)
	if n := len(p.strings); n == 0 || p.strings[n-1] != 0 {
		return bad(p.stringsAt, "string section does not end in a zero byte")
	}
	return p, nil
}

func parse(name string, raw []byte, base *Spec) (*Spec, error) {
	p, err := sections(name, raw)
	if err != nil {
		return nil, err
	}
	// One copy as a string lets every name be a substring of it.
	s := &Spec{name: name, raw: raw, base: base, first: 1, cache: map[ID]ctype.Type{}, bo: p.bo, types: p.types, strs: string(p.strings)}
	bad := func(off int, format string, args ...any) error {
		return &FormatError{name, off, fmt.Sprintf(format, args...)}
	}
	if base != nil {
		s.first = ID(base.Types())
		s.strBase = base.strBase + uint32(len(base.strs))
		s.enumFlags = base.enumFlags
		if s.bo != base.bo {
			return nil, bad(0, "byte order differs from that of %s", base.name)
		}
	} else if s.strs[0] != 0 {
		return nil, bad(p.stringsAt, "string section does not start with the empty name")
	}
	if err := s.index(func(off int, format string, args ...any) error {
		return bad(p.typesAt+off, format, args...)
	}); err != nil {
		return nil, err
	}
	return s, nil
}

// trailer is the number of bytes after the common part of a type, as
// (fixed, per entry); ok is false for an unknown kind.
func trailer(k Kind) (fixed, each int, ok bool) {
	switch k {
	case KindInt, KindVar, KindDeclTag:
		return 4, 0, true
	case KindArray:
		return 12, 0, true
	case KindStruct, KindUnion, KindDatasec, KindEnum64:
		return 0, 12, true
	case KindEnum, KindFuncProto:
		return 0, 8, true
	case KindPtr, KindFwd, KindTypedef, KindVolatile, KindConst, KindRestrict, KindFunc, KindFloat, KindTypeTag:
		return 0, 0, true
	}
	return 0, 0, false
}

// index notes where each type starts and checks all that later code relies
// on: kinds, lengths, name and type references, and that no chain of types
// without a struct in it is longer than maxDepth or circular.
func (s *Spec) index(bad func(int, string, ...any) error) error {
	s.offs = make([]uint32, 0, len(s.types)/28)
	for off := 0; off < len(s.types); {
		if len(s.types)-off < typeSize {
			return bad(off, "type %d is cut short", int(s.first)+len(s.offs))
		}
		info := s.bo.Uint32(s.types[off+4:])
		kind, vlen := Kind(info>>24&0x1f), int(info&0xffff)
		fixed, each, ok := trailer(kind)
		if !ok {
			return bad(off, "type %d is of kind %d, which this reader does not know", int(s.first)+len(s.offs), kind)
		}
		n := typeSize + fixed
		if each != 0 {
			n += each * vlen
		}
		if n > len(s.types)-off {
			return bad(off, "type %d is cut short", int(s.first)+len(s.offs))
		}
		if info>>31 == 1 && (kind == KindEnum || kind == KindEnum64) {
			s.enumFlags = true
		}
		s.offs = append(s.offs, uint32(off))
		off += n
	}
	total := ID(s.Types())
	strEnd := s.strBase + uint32(len(s.strs))
	for i, off := range s.offs {
		if err := s.checkRefs(s.types[off:], total, strEnd); err != "" {
			return bad(int(off), "type %d: %s", int(s.first)+i, err)
		}
	}
	s.shape = make([]shape, len(s.offs))
	for i := range s.offs {
		w := s.walk(s.first+ID(i), 0)
		if w.depth > maxDepth {
			return bad(int(s.offs[i]), "type %d: chain of types is circular or longer than %d", int(s.first)+i, maxDepth)
		}
		if w.weight > maxWeight {
			return bad(int(s.offs[i]), "type %d unfolds to more than %d types", int(s.first)+i, maxWeight)
		}
	}
	return nil
}

// checkRefs checks the references of one type and says what is wrong.
func (s *Spec) checkRefs(t []byte, total ID, strEnd uint32) string {
	u32 := s.bo.Uint32
	name, info, ref := u32(t), u32(t[4:]), ID(u32(t[8:]))
	kind, vlen := Kind(info>>24&0x1f), int(info&0xffff)
	if name >= strEnd {
		return fmt.Sprintf("name offset %d is outside the string section", name)
	}
	badType := func(id ID) bool { return id >= total }
	switch kind {
	case KindPtr, KindTypedef, KindVolatile, KindConst, KindRestrict, KindFunc, KindVar, KindDeclTag, KindTypeTag:
		if badType(ref) {
			return fmt.Sprintf("refers to type %d of %d", ref, total)
		}
		if kind == KindFunc {
			if k := s.kindOf(ref); k != KindFuncProto {
				return fmt.Sprintf("function is of type %d, which is no prototype", ref)
			}
		}
	case KindArray:
		if e := ID(u32(t[12:])); badType(e) {
			return fmt.Sprintf("refers to type %d of %d", e, total)
		}
	case KindStruct, KindUnion:
		for m := t[typeSize:][:12*vlen]; len(m) > 0; m = m[12:] {
			if n := u32(m); n >= strEnd {
				return fmt.Sprintf("name offset %d is outside the string section", n)
			}
			if id := ID(u32(m[4:])); badType(id) {
				return fmt.Sprintf("member refers to type %d of %d", id, total)
			}
		}
	case KindEnum, KindEnum64:
		each := 8
		if kind == KindEnum64 {
			each = 12
		}
		for m := t[typeSize:][:each*vlen]; len(m) > 0; m = m[each:] {
			if n := u32(m); n >= strEnd {
				return fmt.Sprintf("name offset %d is outside the string section", n)
			}
		}
	case KindFuncProto:
		if badType(ref) {
			return fmt.Sprintf("refers to type %d of %d", ref, total)
		}
		for m := t[typeSize:][:8*vlen]; len(m) > 0; m = m[8:] {
			if n := u32(m); n >= strEnd {
				return fmt.Sprintf("name offset %d is outside the string section", n)
			}
			if id := ID(u32(m[4:])); badType(id) {
				return fmt.Sprintf("parameter refers to type %d of %d", id, total)
			}
		}
	case KindDatasec:
		for m := t[typeSize:][:12*vlen]; len(m) > 0; m = m[12:] {
			if id := ID(u32(m)); badType(id) {
				return fmt.Sprintf("variable refers to type %d of %d", id, total)
			}
		}
	}
	return ""
}

// shape is the size of the tree of types that hangs on one, down to structs:
// its height, and the number of types if nothing in it were shared. What walks
// types later relies on both being small.
type shape struct {
	depth  uint8 // 0: not known yet; busy: being walked
	weight uint32
}

const busy = 255

// walk computes the shape of a type, once. A chain that is circular or too
// long gets a depth of more than maxDepth.
func (s *Spec) walk(id ID, above int) shape {
	tooDeep := shape{depth: maxDepth + 1}
	if above > maxDepth {
		return tooDeep
	}
	if id == 0 {
		return shape{1, 1}
	}
	if id < s.first {
		return s.base.walk(id, above)
	}
	i := id - s.first
	if w := s.shape[i]; w.depth == busy {
		return tooDeep
	} else if w.depth != 0 {
		return w
	}
	t := s.types[s.offs[i]:]
	info := s.bo.Uint32(t[4:])
	kind, vlen := Kind(info>>24&0x1f), int(info&0xffff)
	w := shape{1, 1}
	s.shape[i].depth = busy
	add := func(ref uint32) {
		if w.depth > maxDepth {
			return // already refused; going on could take exponential time
		}
		sub := s.walk(ID(ref), above+1)
		w.depth = max(w.depth, sub.depth+1)
		w.weight = min(w.weight+sub.weight, maxWeight+1)
	}
	switch kind {
	case KindPtr, KindTypedef, KindVolatile, KindConst, KindRestrict, KindFunc, KindVar, KindTypeTag:
		add(s.bo.Uint32(t[8:]))
	case KindArray:
		add(s.bo.Uint32(t[12:]))
	case KindFuncProto:
		add(s.bo.Uint32(t[8:]))
		for m := t[typeSize:][:8*vlen]; len(m) > 0; m = m[8:] {
			add(s.bo.Uint32(m[4:]))
		}
	}
	if w.depth > maxDepth {
		s.shape[i].depth = 0
		return tooDeep
	}
	s.shape[i] = w
	return w
}

// at gives the raw bytes of a type, starting with the common part, and the
// object that it belongs to. id must be in range and not 0.
func (s *Spec) at(id ID) (*Spec, []byte) {
	for id < s.first {
		s = s.base
	}
	return s, s.types[s.offs[id-s.first]:]
}

func (s *Spec) valid(id ID) bool { return int64(id) < int64(s.Types()) }

func (s *Spec) kindOf(id ID) Kind {
	if id == 0 {
		return KindVoid
	}
	o, t := s.at(id)
	return Kind(o.bo.Uint32(t[4:]) >> 24 & 0x1f)
}

// str is the name at an offset of the joint string section.
func (s *Spec) str(off uint32) string {
	for off < s.strBase {
		s = s.base
	}
	n := s.strs[off-s.strBase:]
	if i := strings.IndexByte(n, 0); i >= 0 {
		n = n[:i]
	}
	return n
}

// KindOf is the kind of a type, KindVoid for id 0 or one that does not exist.
func (s *Spec) KindOf(id ID) Kind {
	if !s.valid(id) {
		return KindVoid
	}
	return s.kindOf(id)
}

// NameOf is the name of a type, "" for an anonymous one.
func (s *Spec) NameOf(id ID) string {
	if id == 0 || !s.valid(id) {
		return ""
	}
	o, t := s.at(id)
	return o.str(o.bo.Uint32(t))
}
