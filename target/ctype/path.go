package ctype

import (
	"fmt"
	"strconv"
	"strings"
)

// StepKind is the kind of an access step.
type StepKind uint8

// The kinds of step. SystemTap writes both "->m" for a member, whether the
// thing before it is a struct or a pointer to one, and "[i]" for an element,
// whether it is an array or a pointer.
const (
	StepMember StepKind = iota
	StepIndex
	StepDeref // *p; the same as [0] on a pointer
)

// Step is one access in a path such as ->f_path->dentry or [3].
type Step struct {
	Kind StepKind
	Name string // of the member
	// Index is the element for StepIndex when Dynamic is false.
	Index int64
	// Dynamic tells that the index is computed at run time.
	Dynamic bool
}

// M is a member step.
func M(name string) Step { return Step{Kind: StepMember, Name: name} }

// I is a constant index step.
func I(i int64) Step { return Step{Kind: StepIndex, Index: i} }

// Access is one element of a CO-RE access path: a member of Struct, or an
// array element (Struct nil).
type Access struct {
	Struct *Struct
	Member int   // index within Struct.Members(), when Struct is set
	Index  int64 // element, when Struct is nil
}

// Dynamic is an index that is only known at run time. It adds
// index × Stride bytes to the hop's offset.
type Dynamic struct {
	Step   int   // the step of the path that it is the index of
	Stride int64 // size of an element in bytes
	Elem   Type
	Len    int64 // elements of the array; 0 when unknown (pointers)
}

// Hop is the part of a path within one object in memory. The address that it
// arrives at is its base plus Offset plus its dynamic indexes. The base of the
// first hop is the root (the value of a pointer, or the address of an object);
// that of each other hop is the pointer loaded at the address before it.
type Hop struct {
	// Root is the type that the base points to, without qualifiers, with
	// a typedef kept only where the struct behind it has no name.
	Root   Type
	Offset int64 // constant part, in bytes
	// Accesses is the path from Root for a CO-RE relocation. The first is
	// always an index: which Root counted from the base. Dynamic indexes
	// appear as element 0.
	Accesses []Access
	Dynamic  []Dynamic
	// Type is what lies at the address: a pointer, except in the last hop.
	Type Type
}

// Relocatable reports whether the offset depends on the layout of a struct,
// so that it is to be relocated to the kernel that the program runs on.
func (h *Hop) Relocatable() bool {
	for _, a := range h.Accesses {
		if a.Struct != nil {
			return true
		}
	}
	return false
}

// AccessString is the CO-RE access path, such as "0:3:1", counted in the full
// types. A program that carries smaller copies of the types has to number the
// members anew.
func (h *Hop) AccessString() string {
	var b []byte
	for i, a := range h.Accesses {
		if i > 0 {
			b = append(b, ':')
		}
		if a.Struct != nil {
			b = strconv.AppendInt(b, int64(a.Member), 10)
		} else {
			b = strconv.AppendInt(b, a.Index, 10)
		}
	}
	return string(b)
}

// Bitfield locates a bit-field within its struct.
type Bitfield struct {
	// Bit is the offset in bits within the storage unit: an aligned integer
	// of Storage bytes that holds the whole field, at the address that the
	// last hop arrives at (the hop's Offset is the unit's). ExtractBits
	// takes the value from it.
	Bit, Bits int64
	Storage   int64
	Signed    bool
}

// Path is a resolved path.
type Path struct {
	// Hops is empty when the path is empty: the root is the value.
	Hops []Hop
	// Type is the C type of what the path arrives at, qualifiers and
	// typedefs kept.
	Type Type
	// Bits is set when the path ends in a bit-field.
	Bits *Bitfield
}

// MemberError says that a type has no such member.
type MemberError struct {
	Step    int    // index of the step in the path
	Name    string // the member asked for
	Type    Type   // the struct or union without it
	Similar []string
	// Members are all member names, those of anonymous members included.
	Members []string
}

func (e *MemberError) Error() string {
	s := fmt.Sprintf("unable to find member '%s' for %s", e.Name, e.Type)
	const some = 8
	switch {
	case len(e.Similar) > 0:
		s += " (alternatives: " + strings.Join(e.Similar, ", ") + ")"
	case len(e.Members) > some:
		s += " (members: " + strings.Join(e.Members[:some], ", ") + ", …)"
	case len(e.Members) > 0:
		s += " (members: " + strings.Join(e.Members, ", ") + ")"
	}
	return s
}

// AccessError says that a step cannot apply to the type before it.
type AccessError struct {
	Step    int
	Type    Type
	Problem string
}

func (e *AccessError) Error() string { return e.Problem + " " + quoteType(e.Type) }

func quoteType(t Type) string { return "'" + Name(t) + "'" }

// Resolve follows a path of steps from root. When root is a pointer the first
// hop starts from its value, else from the address of the root object.
//
// The error is a *MemberError or *AccessError. Offsets are those of the types
// given; Accesses carry what is needed to relocate them.
func Resolve(root Type, steps []Step) (*Path, error) {
	p := &Path{Type: root}
	if len(steps) == 0 {
		return p, nil
	}
	var hop *Hop
	// cur is the type at the address that hop arrives at, or the root value.
	cur := root
	if _, ok := AsPointer(root); !ok {
		p.Hops = append(p.Hops, newHop(root))
		hop = &p.Hops[0]
	}
	deref := func(i int) error {
		ptr, ok := AsPointer(cur)
		if !ok {
			return &AccessError{i, cur, "not a pointer:"}
		}
		if hop != nil {
			hop.Type = cur
		}
		p.Hops = append(p.Hops, newHop(ptr.Elem))
		hop = &p.Hops[len(p.Hops)-1]
		cur = ptr.Elem
		return nil
	}
	for i, st := range steps {
		if p.Bits != nil {
			return nil, &AccessError{i, cur, "cannot go on from a bit-field of type"}
		}
		switch st.Kind {
		case StepDeref:
			if err := deref(i); err != nil {
				return nil, err
			}
		case StepIndex:
			var elem Type
			var length int64
			switch t := Strip(cur).(type) {
			case *Array:
				elem, length = t.Elem, t.Len
				cur = elem
				a := Access{Index: st.Index}
				if st.Dynamic {
					a.Index = 0
				}
				hop.Accesses = append(hop.Accesses, a)
			case *Pointer:
				elem = t.Elem
				if err := deref(i); err != nil {
					return nil, err
				}
				if !st.Dynamic {
					hop.Accesses[0].Index = st.Index
				}
			default:
				return nil, &AccessError{i, cur, "cannot index type"}
			}
			stride := elem.Size()
			if stride == 0 {
				if _, ok := Strip(elem).(*Void); !ok {
					return nil, &AccessError{i, cur, "cannot index elements of unknown size:"}
				}
				stride = 1 // as GNU C counts void
			}
			if st.Dynamic {
				hop.Dynamic = append(hop.Dynamic, Dynamic{i, stride, elem, length})
				break
			}
			off, ok := mulAdd(hop.Offset, st.Index, stride)
			if !ok {
				return nil, &AccessError{i, cur, fmt.Sprintf("index %d is out of range for type", st.Index)}
			}
			hop.Offset = off
		case StepMember:
			if _, ok := AsPointer(cur); ok {
				if err := deref(i); err != nil {
					return nil, err
				}
			}
			s, ok := AsStruct(cur)
			if !ok {
				if f, ok := Strip(cur).(*Forward); ok {
					return nil, &AccessError{i, f, "the members are not known of"}
				}
				return nil, &AccessError{i, cur, fmt.Sprintf("cannot access member '%s' of type", st.Name)}
			}
			path, bit, ok := FindMember(s, st.Name)
			if !ok {
				all := MemberNames(s)
				return nil, &MemberError{Step: i, Name: st.Name, Type: memberOwner(cur, s), Similar: Similar(st.Name, all, 5), Members: all}
			}
			hop.Accesses = append(hop.Accesses, path...)
			last := path[len(path)-1]
			m := last.Struct.Members()[last.Member]
			if m.Bits > 0 {
				if p.Bits, ok = storage(bit, m); !ok {
					return nil, &AccessError{i, cur, fmt.Sprintf("bit-field '%s' straddles words in", st.Name)}
				}
				hop.Offset += (bit - p.Bits.Bit) / 8
			} else {
				hop.Offset += bit / 8
			}
			cur = m.Type
		}
	}
	hop.Type = cur
	p.Type = cur
	return p, nil
}

// memberOwner is the type to name in a message: the typedef when the struct
// itself has no name.
func memberOwner(t Type, s *Struct) Type {
	if s.Name == "" {
		return Unqualified(t)
	}
	return s
}

func newHop(root Type) Hop {
	t := Unqualified(root)
	for {
		td, ok := t.(*Typedef)
		if !ok {
			break
		}
		next := Unqualified(td.Elem)
		if s, ok := next.(*Struct); ok && s.Name == "" {
			break
		}
		t = next
	}
	return Hop{Root: t, Accesses: []Access{{}}}
}

func mulAdd(base, index, stride int64) (int64, bool) {
	p := index * stride
	if index != 0 && p/index != stride {
		return 0, false
	}
	s := base + p
	if (s > base) != (p > 0) && p != 0 {
		return 0, false
	}
	return s, true
}

// storage finds the unit to load for a bit-field by the rule that CO-RE
// relocations follow (FIELD_BYTE_OFFSET and FIELD_BYTE_SIZE of libbpf), so that
// relocated and plain accesses agree: an aligned unit of the declared type's
// size, doubled until the field fits. It fails for a field that fits no
// aligned 8 bytes, which only packed structs can have.
func storage(bit int64, m Member) (*Bitfield, bool) {
	b := &Bitfield{Bits: m.Bits, Signed: IsSigned(m.Type), Storage: m.Type.Size()}
	switch b.Storage {
	case 1, 2, 4, 8:
	default:
		return nil, false
	}
	for {
		start := bit / 8 / b.Storage * b.Storage
		b.Bit = bit - start*8
		if b.Bit+m.Bits <= b.Storage*8 {
			return b, true
		}
		if b.Storage == 8 {
			return nil, false
		}
		b.Storage *= 2
	}
}

// ExtractBits is the value of a bit-field, given its storage unit as an
// integer in the machine's order, sign-extended if the field is signed.
func (f *Bitfield) ExtractBits(unit uint64, bigEndian bool) int64 {
	shift := f.Bit
	if bigEndian {
		shift = f.Storage*8 - f.Bit - f.Bits
	}
	if f.Bits <= 0 || f.Bits > 64 || shift < 0 || shift > 63 {
		return 0
	}
	v := unit >> uint(shift)
	up := uint(64 - f.Bits)
	if f.Signed {
		return int64(v<<up) >> up
	}
	return int64(v << up >> up)
}

// FindMember looks a member up by name, also within anonymous members, and
// gives the accesses that lead to it and its offset in bits.
func FindMember(s *Struct, name string) (path []Access, bit int64, ok bool) {
	budget := maxAnonymous
	return findMember(s, name, 0, &budget)
}

// maxAnonymous bounds how many anonymous members one walk enters: shared parts
// of a hostile type description could make it endless.
const maxAnonymous = 1 << 16

func findMember(s *Struct, name string, depth int, budget *int) ([]Access, int64, bool) {
	*budget--
	ms := s.Members()
	for i := range ms {
		if ms[i].Name == name && name != "" {
			return []Access{{Struct: s, Member: i}}, ms[i].Bit, true
		}
	}
	if depth >= maxNesting || *budget < 0 {
		return nil, 0, false
	}
	for i := range ms {
		if ms[i].Name != "" {
			continue
		}
		in, ok := AsStruct(ms[i].Type)
		if !ok {
			continue
		}
		if path, bit, ok := findMember(in, name, depth+1, budget); ok {
			return append([]Access{{Struct: s, Member: i}}, path...), ms[i].Bit + bit, true
		}
	}
	return nil, 0, false
}

// MemberNames lists the names that FindMember can find, in declaration order.
func MemberNames(s *Struct) []string {
	budget := maxAnonymous
	return memberNames(nil, s, 0, &budget)
}

func memberNames(out []string, s *Struct, depth int, budget *int) []string {
	*budget--
	for _, m := range s.Members() {
		if m.Name != "" {
			out = append(out, m.Name)
			continue
		}
		if in, ok := AsStruct(m.Type); ok && depth < maxNesting && *budget > 0 {
			out = memberNames(out, in, depth+1, budget)
		}
	}
	return out
}
