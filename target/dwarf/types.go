package dwarf

import (
	"stapkit/target/ctype"
)

// typeRef is the place of a type entry, wherever it is.
type typeRef struct {
	sec *section
	off uint64
}

// converted is a type with the size of the tree that hangs on it down to
// structs, as what walks types relies on its being small.
type converted struct {
	t      ctype.Type
	weight int
}

const (
	maxTypeDepth  = 64
	maxTypeWeight = 1 << 14
)

var void = converted{&ctype.Void{}, 1}

// typeOf converts the type that an entry is.
func (d *Data) typeOf(e entry) ctype.Type {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.convert(e, 0).t
}

// typeAttr converts the type that an entry's DW_AT_type refers to; without
// one it is void.
func (d *Data) typeAttr(e entry) ctype.Type { return d.typeOf(e.ref(atType)) }

// convert makes the ctype value of a type entry; d.mu is held. Broken, circular
// and overlarge types become void.
func (d *Data) convert(e entry, depth int) converted {
	if !e.valid() || depth > maxTypeDepth {
		return void
	}
	key := typeRef{e.u.sec, e.off}
	if c, ok := d.cache[key]; ok {
		return c
	}
	d.cache[key] = void // for a type that refers to itself, as Go's may
	c := d.build(e, depth)
	if c.weight > maxTypeWeight {
		c = void
	}
	d.cache[key] = c
	return c
}

func (d *Data) build(e entry, depth int) converted {
	weight := 1
	sub := func(e entry) ctype.Type {
		c := d.convert(e, depth+1)
		weight = min(weight+c.weight, maxTypeWeight+1)
		return c.t
	}
	elem := func() ctype.Type { return sub(e.ref(atType)) }
	size := func() int64 {
		n, ok := e.num(atByteSize)
		if !ok || n < 0 || n > 1<<40 {
			return 0
		}
		return n
	}
	name := e.str(atName)
	var t ctype.Type
	switch e.ab.tag {
	case tagBaseType:
		t = baseType(e, name, size())
	case tagPointer, tagReference, tagRvalueRef, tagPtrToMember:
		n := size()
		if n == 0 {
			n = int64(e.u.addrSize)
		}
		t = &ctype.Pointer{Elem: elem(), Bytes: n}
	case tagArray:
		t = arrayType(e, elem())
	case tagStruct, tagClass, tagUnion, tagInterface:
		return converted{d.structType(e, name, size()), 1}
	case tagEnumeration:
		n := size()
		signed := false
		if under, ok := ctype.Strip(elem()).(*ctype.Int); ok {
			signed = under.Signed
			if n == 0 {
				n = under.Bytes
			}
		} else {
			// GCC tells no underlying type in C; negative constants do.
			for c := range e.children {
				if v := c.attr(atConstValue); v.form == formSdata && int64(v.u) < 0 || v.form == formImplicitConst && int64(v.u) < 0 {
					signed = true
				}
			}
		}
		t = ctype.NewLazyEnum(name, n, signed, ctype.Origin{}, func() []ctype.Enumerator { return enumerators(e, n) })
	case tagTypedef, tagTemplateAlias:
		t = &ctype.Typedef{Name: name, Elem: elem()}
	case tagConst:
		t = &ctype.Qualified{Qual: ctype.Const, Elem: elem()}
	case tagVolatile:
		t = &ctype.Qualified{Qual: ctype.Volatile, Elem: elem()}
	case tagRestrict:
		t = &ctype.Qualified{Qual: ctype.Restrict, Elem: elem()}
	case tagAtomic:
		t = &ctype.Qualified{Qual: ctype.Atomic, Elem: elem()}
	case tagSubroutine, tagSubprogram:
		f := &ctype.Func{Result: elem()}
		for c := range e.children {
			switch c.ab.tag {
			case tagFormalParam:
				f.Params = append(f.Params, ctype.Param{Name: originName(c), Type: sub(typeEntry(c))})
			case tagUnspecParams:
				f.Variadic = true
			}
		}
		t = f
	default:
		return void
	}
	return converted{t, weight}
}

// typeEntry is the type of an entry, of what it is an instance of, or of what
// it completes.
func typeEntry(e entry) entry {
	for range 8 {
		if !e.valid() {
			return entry{}
		}
		if v := e.attr(atType); v.ok() {
			return e.u.resolve(v)
		}
		next := e.ref(atAbstractOrigin)
		if !next.valid() {
			next = e.ref(atSpecification)
		}
		e = next
	}
	return entry{}
}

// Encodings of base types.
const (
	encAddress      = 0x01
	encBoolean      = 0x02
	encComplex      = 0x03
	encFloat        = 0x04
	encSigned       = 0x05
	encSignedChar   = 0x06
	encUnsignedChar = 0x08
	encImaginary    = 0x09
	encDecimal      = 0x0f
	encUTF          = 0x10
)

func baseType(e entry, name string, size int64) ctype.Type {
	enc, _ := e.num(atEncoding)
	i := &ctype.Int{Name: name, Bytes: size}
	switch enc {
	case encFloat, encComplex, encImaginary, encDecimal:
		return &ctype.Float{Name: name, Bytes: size}
	case encBoolean:
		i.Kind = ctype.BoolInt
	case encSigned:
		i.Signed = true
	case encSignedChar:
		i.Signed = true
		fallthrough
	case encUnsignedChar, encUTF:
		if size == 1 {
			i.Kind = ctype.CharInt
		}
	}
	return i
}

// arrayType makes an array of each dimension, the last one innermost.
func arrayType(e entry, elem ctype.Type) ctype.Type {
	var dims []int64
	for c := range e.children {
		if c.ab.tag != tagSubrange && c.ab.tag != tagEnumeration || len(dims) >= maxTypeDepth/2 {
			continue
		}
		n, ok := c.num(atCount)
		if !ok {
			if n, ok = c.num(atUpperBound); ok {
				n++ // -1, all ones in any width, is an empty array
				if v := c.attr(atUpperBound); v.form == formData4 && v.u == 1<<32-1 {
					n = 0
				}
			}
		}
		if !ok || n < 0 || n > 1<<40 {
			n = 0
		}
		dims = append(dims, n)
	}
	if len(dims) == 0 {
		dims = []int64{0}
	}
	for i := len(dims) - 1; i >= 0; i-- {
		elem = &ctype.Array{Elem: elem, Len: dims[i]}
	}
	return elem
}

// structType makes a struct or union; a declaration stands for the definition
// of the same name elsewhere, if there is one.
func (d *Data) structType(e entry, name string, size int64) ctype.Type {
	kind := ctype.StructKind
	tag := uint32(tagStruct)
	switch e.ab.tag {
	case tagUnion:
		kind, tag = ctype.UnionKind, tagUnion
	case tagClass:
		kind = ctype.ClassKind
	}
	if v := e.attr(atSignature); v.ok() {
		// The definition is in a type unit.
		if def := e.u.resolve(v); def.valid() && !def.attr(atSignature).ok() && !def.flag(atDeclaration) {
			return d.convert(def, 1).t
		}
	}
	if e.flag(atDeclaration) {
		if rs := d.x.types.find(typeName(typeKey{tag, name})); len(rs) > 0 && name != "" {
			r := rs[0]
			return d.convert(d.entry(r), 1).t
		}
		return &ctype.Forward{Name: name, Kind: kind}
	}
	return ctype.NewLazyStruct(kind, name, size, ctype.Origin{}, func() []ctype.Member { return d.members(e) })
}

func (d *Data) members(e entry) []ctype.Member {
	var out []ctype.Member
	for c := range e.children {
		switch c.ab.tag {
		case tagMember:
			if c.flag(atDeclaration) || c.flag(atExternal) {
				continue // static
			}
		case tagInheritance:
		default:
			continue
		}
		m := ctype.Member{Name: c.str(atName), Type: d.typeAttr(c)}
		at := memberOffset(c.attr(atDataMemberLoc))
		if at < 0 || at > 1<<40 {
			continue
		}
		m.Bit = at * 8
		if n, ok := c.num(atBitSize); ok && n > 0 && n <= 64 {
			m.Bits = n
			if b, ok := c.num(atDataBitOffset); ok && b >= 0 && b < 1<<43 {
				m.Bit = b
			} else if b, ok := c.num(atBitOffset); ok && b >= 0 && b <= 64 {
				// DWARF 2 and 3 count from the most significant bit of
				// the storage unit.
				store, ok := c.num(atByteSize)
				if !ok || store <= 0 || store > 16 {
					store = m.Type.Size()
				}
				if e.u.sec.d.bo.Uint16([]byte{0, 1}) == 1 {
					m.Bit += b
				} else {
					m.Bit += store*8 - b - n
				}
			}
		}
		out = append(out, m)
	}
	return out
}

// memberOffset is a member's offset, a constant or an expression that adds
// one; -1 if it depends on the object (virtual base classes).
func memberOffset(v value) int64 {
	if !v.ok() {
		return 0 // members of unions
	}
	if n, ok := v.constant(); ok {
		return n
	}
	if len(v.b) > 1 && v.b[0] == opPlusUconst {
		c := cursor{data: v.b, off: 1}
		n := c.uleb()
		if !c.bad && c.off == len(v.b) && n < 1<<40 {
			return int64(n)
		}
	}
	return -1
}

func enumerators(e entry, size int64) []ctype.Enumerator {
	var out []ctype.Enumerator
	for c := range e.children {
		if c.ab.tag != tagEnumerator {
			continue
		}
		if v, ok := c.num(atConstValue); ok {
			out = append(out, ctype.Enumerator{Name: c.str(atName), Value: v})
		}
	}
	return out
}
