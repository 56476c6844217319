package btf

import "stapkit/target/ctype"

// Type is the type with an id as a ctype value. The same id always gives the
// same value. An id that does not exist gives void.
func (s *Spec) Type(id ID) ctype.Type {
	if id == 0 || !s.valid(id) {
		return void
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.convert(id)
}

var void = &ctype.Void{}

// convert makes the ctype value of a type; s.mu is held. It ends since index
// has refused circular chains, and structs are filled in later.
func (s *Spec) convert(id ID) ctype.Type {
	if id == 0 {
		return void
	}
	if id < s.first {
		return s.base.Type(id)
	}
	if t, ok := s.cache[id]; ok {
		return t
	}
	t := s.build(id)
	s.cache[id] = t
	return t
}

func (s *Spec) build(id ID) ctype.Type {
	raw := s.types[s.offs[id-s.first]:]
	u32 := s.bo.Uint32
	name, info, ref := s.str(u32(raw)), u32(raw[4:]), u32(raw[8:])
	kind, vlen, flag := Kind(info>>24&0x1f), int(info&0xffff), info>>31 == 1
	origin := ctype.Origin{Object: s.name, ID: uint32(id)}
	switch kind {
	case KindInt:
		return intType(name, int64(ref), u32(raw[12:]))
	case KindFloat:
		return &ctype.Float{Name: name, Bytes: int64(ref)}
	case KindPtr:
		return &ctype.Pointer{Elem: s.convert(ID(ref)), Bytes: s.pointerBytes()}
	case KindArray:
		return &ctype.Array{Elem: s.convert(ID(u32(raw[12:]))), Len: int64(u32(raw[20:]))}
	case KindStruct, KindUnion:
		agg := ctype.StructKind
		if kind == KindUnion {
			agg = ctype.UnionKind
		}
		return ctype.NewLazyStruct(agg, name, int64(ref), origin, func() []ctype.Member {
			return s.members(id, vlen, flag)
		})
	case KindEnum, KindEnum64:
		return ctype.NewLazyEnum(name, int64(ref), s.enumSigned(id, flag), origin, func() []ctype.Enumerator {
			return s.enumerators(id)
		})
	case KindFwd:
		agg := ctype.StructKind
		if flag {
			agg = ctype.UnionKind
		}
		return &ctype.Forward{Name: name, Kind: agg}
	case KindTypedef:
		return &ctype.Typedef{Name: name, Elem: s.convert(ID(ref)), Origin: origin}
	case KindConst:
		return &ctype.Qualified{Qual: ctype.Const, Elem: s.convert(ID(ref))}
	case KindVolatile:
		return &ctype.Qualified{Qual: ctype.Volatile, Elem: s.convert(ID(ref))}
	case KindRestrict:
		return &ctype.Qualified{Qual: ctype.Restrict, Elem: s.convert(ID(ref))}
	case KindTypeTag, KindFunc, KindVar:
		// Tags such as "rcu" or "user" do not change what a value is; a
		// function or variable stands for its type.
		return s.convert(ID(ref))
	case KindFuncProto:
		f := &ctype.Func{Result: s.convert(ID(ref))}
		for m := raw[typeSize:][:8*vlen]; len(m) > 0; m = m[8:] {
			n, t := s.str(u32(m)), ID(u32(m[4:]))
			if len(m) == 8 && n == "" && t == 0 {
				f.Variadic = true
				break
			}
			f.Params = append(f.Params, ctype.Param{Name: n, Type: s.convert(t)})
		}
		return f
	}
	return void // data sections and declaration tags are no types
}

// pointerBytes is the size of a pointer, which BTF does not record: that of
// long, which it does.
func (s *Spec) pointerBytes() int64 {
	k := s
	for k.base != nil {
		k = k.base
	}
	k.ptrOnce.Do(func() {
		k.ptrBytes = 8
		for _, n := range []string{"long unsigned int", "unsigned long", "long int", "long"} {
			if ids := k.Lookup(KindInt, n); len(ids) > 0 {
				_, t := k.at(ids[0])
				if size := k.bo.Uint32(t[8:]); size == 4 {
					k.ptrBytes = 4
				}
				return
			}
		}
	})
	return k.ptrBytes
}

// Encoding bits of an integer.
const (
	encSigned = 1 << iota
	encChar
	encBool
)

func intType(name string, bytes int64, data uint32) *ctype.Int {
	enc := data >> 24 & 0xf
	i := &ctype.Int{Name: name, Bytes: bytes, Signed: enc&encSigned != 0}
	switch {
	case enc&encBool != 0:
		i.Kind = ctype.BoolInt
	case bytes != 1:
	case enc&encChar != 0, name == "char", name == "signed char", name == "unsigned char":
		// pahole does not set the bit for characters.
		i.Kind = ctype.CharInt
	}
	return i
}

func (s *Spec) members(id ID, vlen int, flag bool) []ctype.Member {
	raw := s.types[s.offs[id-s.first]:]
	out := make([]ctype.Member, 0, vlen)
	for m := raw[typeSize:][:12*vlen]; len(m) > 0; m = m[12:] {
		ref, at := ID(s.bo.Uint32(m[4:])), s.bo.Uint32(m[8:])
		mem := ctype.Member{Name: s.str(s.bo.Uint32(m)), Type: s.Type(ref)}
		if flag {
			mem.Bit, mem.Bits = int64(at&0xffffff), int64(at>>24)
		} else {
			mem.Bit = int64(at)
			off, bits := s.intBits(ref)
			if bits != 0 {
				mem.Bit += off
				mem.Bits = bits
			}
		}
		out = append(out, mem)
	}
	return out
}

// intBits gives offset and width of an integer type that is itself a
// bit-field, as old compilers wrote them, or 0 for any other.
func (s *Spec) intBits(id ID) (off, bits int64) {
	for range maxDepth {
		if id == 0 {
			return 0, 0
		}
		o, t := s.at(id)
		switch Kind(o.bo.Uint32(t[4:]) >> 24 & 0x1f) {
		case KindTypedef, KindConst, KindVolatile, KindRestrict, KindTypeTag:
			id = ID(o.bo.Uint32(t[8:]))
		case KindInt:
			data := o.bo.Uint32(t[12:])
			off, bits = int64(data>>16&0xff), int64(data&0xff)
			if off == 0 && bits == int64(o.bo.Uint32(t[8:]))*8 {
				return 0, 0
			}
			return off, bits
		default:
			return 0, 0
		}
	}
	return 0, 0
}

func (s *Spec) enumerators(id ID) []ctype.Enumerator {
	raw := s.types[s.offs[id-s.first]:]
	info := s.bo.Uint32(raw[4:])
	kind, vlen, signed := Kind(info>>24&0x1f), int(info&0xffff), info>>31 == 1
	out := make([]ctype.Enumerator, 0, vlen)
	if kind == KindEnum64 {
		for m := raw[typeSize:][:12*vlen]; len(m) > 0; m = m[12:] {
			v := uint64(s.bo.Uint32(m[4:])) | uint64(s.bo.Uint32(m[8:]))<<32
			out = append(out, ctype.Enumerator{Name: s.str(s.bo.Uint32(m)), Value: int64(v)})
		}
		return out
	}
	for m := raw[typeSize:][:8*vlen]; len(m) > 0; m = m[8:] {
		v := int64(int32(s.bo.Uint32(m[4:])))
		if !signed && s.enumFlags {
			v = int64(uint32(v))
		}
		out = append(out, ctype.Enumerator{Name: s.str(s.bo.Uint32(m)), Value: v})
	}
	return out
}

// enumSigned tells whether an enum has negative constants. pahole before 1.24
// never set the flag that says so; its constants are all taken as signed.
func (s *Spec) enumSigned(id ID, flag bool) bool {
	if flag || s.enumFlags {
		return flag
	}
	for _, v := range s.enumerators(id) {
		if v.Value < 0 {
			return true
		}
	}
	return false
}
