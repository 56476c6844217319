package object

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// maxTypeDepth bounds the walks over types given from outside.
const maxTypeDepth = 64

// localTypes makes the types that CO-RE relocations name in the object: copies of
// what the generator gave, often a kernel's own types, reduced to the members and
// enumerators in use. Loaders match by name, so that what is left out does not
// matter; with all of it one task_struct would bring in thousands of types.
type localTypes struct {
	members map[btf.Type]map[int]bool // struct, union: members in use
	values  map[*btf.Enum]map[int]bool
	done    map[btf.Type]btf.Type
	pointer btf.Type // void *, for every pointer member
}

func newLocalTypes() *localTypes {
	return &localTypes{
		members: make(map[btf.Type]map[int]bool),
		values:  make(map[*btf.Enum]map[int]bool),
		done:    make(map[btf.Type]btf.Type),
		pointer: &btf.Pointer{Target: (*btf.Void)(nil)},
	}
}

// isField reports whether k relocates a field, by a path of members.
func (k COREKind) isField() bool { return k <= FieldRShift }

// isEnumval reports whether k relocates an enumerator.
func (k COREKind) isEnumval() bool { return k == EnumvalExists || k == EnumvalValue }

// parseAccess splits an access string. Indexes are bounded to 31 bits.
func parseAccess(s string) ([]int, error) {
	parts := strings.Split(s, ":")
	if len(parts) > maxTypeDepth {
		return nil, fmt.Errorf("access %q is too deep", s)
	}
	out := make([]int, len(parts))
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 31)
		if err != nil {
			return nil, fmt.Errorf("access %q: %w", s, errors.Unwrap(err))
		}
		out[i] = int(n)
	}
	return out, nil
}

// bare strips typedefs and qualifiers.
func bare(t btf.Type) (btf.Type, error) {
	for range maxTypeDepth {
		switch v := t.(type) {
		case *btf.Typedef:
			t = v.Type
		case *btf.Const:
			t = v.Type
		case *btf.Volatile:
			t = v.Type
		case *btf.Restrict:
			t = v.Type
		case *btf.TypeTag:
			t = v.Type
		case nil:
			return nil, errors.New("no type")
		default:
			return t, nil
		}
	}
	return nil, errors.New("typedefs nested too deep")
}

func membersOf(t btf.Type) ([]btf.Member, bool) {
	switch v := t.(type) {
	case *btf.Struct:
		return v.Members, true
	case *btf.Union:
		return v.Members, true
	}
	return nil, false
}

// field is where an access ends.
type field struct {
	typ       btf.Type // of the field, with typedefs
	bits      uint64   // offset from the root in bits
	bitfield  uint32   // width in bits; 0 for a whole field
	remapped  []int    // the access in terms of the reduced types
	composite []btf.Type
	member    []int
}

// walk follows a field access through c.Type. index maps a member's number to
// the one to write into the remapped access; nil keeps it.
func walk(c CORE, index func(t btf.Type, member int) int) (field, error) {
	path, err := parseAccess(c.Access)
	if err != nil {
		return field{}, err
	}
	f := field{typ: c.Type, remapped: []int{path[0]}}
	if path[0] != 0 {
		size, err := btf.Sizeof(c.Type)
		if err != nil {
			return field{}, err
		}
		f.bits += uint64(path[0]) * uint64(size) * 8
	}
	for _, idx := range path[1:] {
		if f.bitfield != 0 {
			return field{}, fmt.Errorf("access %q goes into a bit-field", c.Access)
		}
		t, err := bare(f.typ)
		if err != nil {
			return field{}, err
		}
		if ms, ok := membersOf(t); ok {
			if idx >= len(ms) {
				return field{}, fmt.Errorf("access %q: %v has %d members", c.Access, t, len(ms))
			}
			f.composite, f.member = append(f.composite, t), append(f.member, idx)
			f.typ = ms[idx].Type
			f.bits += uint64(ms[idx].Offset)
			f.bitfield = uint32(ms[idx].BitfieldSize)
			if index != nil {
				idx = index(t, idx)
			}
		} else if a, ok := t.(*btf.Array); ok {
			size, err := btf.Sizeof(a.Type)
			if err != nil {
				return field{}, err
			}
			f.typ = a.Type
			f.bits += uint64(idx) * uint64(size) * 8
		} else {
			return field{}, fmt.Errorf("access %q goes into %v", c.Access, t)
		}
		f.remapped = append(f.remapped, idx)
	}
	if f.bits > 1<<40 {
		return field{}, fmt.Errorf("access %q is out of range", c.Access)
	}
	return f, nil
}

// use records what the relocation needs of its root type. All relocations must be
// recorded before the first call of typ, access or value.
func (lt *localTypes) use(c CORE) error {
	if c.Type == nil {
		return errors.New("no type")
	}
	if c.Type.TypeName() == "" {
		return fmt.Errorf("%v has no name to be found by", c.Type)
	}
	switch {
	case c.Kind > TypeMatches:
		return fmt.Errorf("unknown kind %d", c.Kind)
	case c.Kind.isField():
		f, err := walk(c, nil)
		if err != nil {
			return err
		}
		for i, t := range f.composite {
			if lt.members[t] == nil {
				lt.members[t] = make(map[int]bool)
			}
			lt.members[t][f.member[i]] = true
		}
	case c.Kind.isEnumval():
		e, i, err := enumerator(c)
		if err != nil {
			return err
		}
		if lt.values[e] == nil {
			lt.values[e] = make(map[int]bool)
		}
		lt.values[e][i] = true
	default:
		if c.Access != "0" {
			return fmt.Errorf("access %q of a whole type", c.Access)
		}
	}
	return nil
}

func enumerator(c CORE) (*btf.Enum, int, error) {
	t, err := bare(c.Type)
	if err != nil {
		return nil, 0, err
	}
	e, ok := t.(*btf.Enum)
	if !ok {
		return nil, 0, fmt.Errorf("%v is not an enum", t)
	}
	path, err := parseAccess(c.Access)
	if err != nil {
		return nil, 0, err
	}
	if len(path) != 1 || path[0] >= len(e.Values) {
		return nil, 0, fmt.Errorf("access %q: %v has %d values", c.Access, t, len(e.Values))
	}
	return e, path[0], nil
}

// rank returns the position of i among the members or values in use.
func rank(used map[int]bool, i int) int {
	n := 0
	for k := range used {
		if k < i {
			n++
		}
	}
	return n
}

// typ returns the type to write for the root of c.
func (lt *localTypes) typ(c CORE) (btf.Type, error) {
	if c.Kind == TypeMatches {
		return c.Type, nil // every member counts
	}
	return lt.reduce(c.Type, 0)
}

// access returns the access string in terms of the reduced types.
func (lt *localTypes) access(c CORE) (string, error) {
	switch {
	case c.Kind.isField():
		f, err := walk(c, func(t btf.Type, member int) int { return rank(lt.members[t], member) })
		if err != nil {
			return "", err
		}
		s := make([]string, len(f.remapped))
		for i, n := range f.remapped {
			s[i] = strconv.Itoa(n)
		}
		return strings.Join(s, ":"), nil
	case c.Kind.isEnumval():
		e, i, err := enumerator(c)
		if err != nil {
			return "", err
		}
		return strconv.Itoa(rank(lt.values[e], i)), nil
	}
	return c.Access, nil
}

// reduce copies t without what no relocation uses. What a member points to never
// matters to a loader, so pointers below a struct lead to void.
func (lt *localTypes) reduce(t btf.Type, depth int) (btf.Type, error) {
	if depth > maxTypeDepth {
		return nil, errors.New("types nested too deep")
	}
	if d, ok := lt.done[t]; ok {
		return d, nil
	}
	sub := func(t btf.Type) (btf.Type, error) { return lt.reduce(t, depth+1) }
	keep := func(c btf.Type) btf.Type { lt.done[t] = c; return c }
	var err error
	switch v := t.(type) {
	case *btf.Void, *btf.Int, *btf.Float, *btf.Fwd:
		return t, nil
	case *btf.Struct:
		c := &btf.Struct{Name: v.Name, Size: v.Size}
		keep(c)
		c.Members, err = lt.reduceMembers(v, v.Members, depth)
		return c, err
	case *btf.Union:
		c := &btf.Union{Name: v.Name, Size: v.Size}
		keep(c)
		c.Members, err = lt.reduceMembers(v, v.Members, depth)
		return c, err
	case *btf.Enum:
		c := &btf.Enum{Name: v.Name, Size: v.Size, Signed: v.Signed}
		used := lt.values[v]
		for _, i := range slices.Sorted(maps.Keys(used)) {
			c.Values = append(c.Values, v.Values[i])
		}
		return keep(c), nil
	case *btf.Pointer:
		c := &btf.Pointer{}
		keep(c)
		c.Target, err = sub(v.Target)
		return c, err
	case *btf.Array:
		c := &btf.Array{Index: v.Index, Nelems: v.Nelems}
		keep(c)
		c.Type, err = sub(v.Type)
		return c, err
	case *btf.Typedef:
		c := &btf.Typedef{Name: v.Name}
		keep(c)
		c.Type, err = sub(v.Type)
		return c, err
	case *btf.Const:
		return sub(v.Type)
	case *btf.Volatile:
		return sub(v.Type)
	case *btf.Restrict:
		return sub(v.Type)
	case *btf.TypeTag:
		return sub(v.Type)
	case *btf.FuncProto:
		c := &btf.FuncProto{}
		keep(c)
		if c.Return, err = sub(v.Return); err != nil {
			return nil, err
		}
		for _, p := range v.Params {
			pt, err := sub(p.Type)
			if err != nil {
				return nil, err
			}
			c.Params = append(c.Params, btf.FuncParam{Name: p.Name, Type: pt})
		}
		return c, nil
	case nil:
		return nil, errors.New("no type")
	}
	return nil, fmt.Errorf("cannot relocate against %v", t)
}

func (lt *localTypes) reduceMembers(t btf.Type, ms []btf.Member, depth int) ([]btf.Member, error) {
	var out []btf.Member
	for _, i := range slices.Sorted(maps.Keys(lt.members[t])) {
		m := ms[i]
		mt, err := bare(m.Type)
		if err != nil {
			return nil, err
		}
		if _, ok := mt.(*btf.Pointer); ok {
			mt = lt.pointer
		} else if mt, err = lt.reduce(m.Type, depth+1); err != nil {
			return nil, err
		}
		out = append(out, btf.Member{Name: m.Name, Type: mt, Offset: m.Offset, BitfieldSize: m.BitfieldSize})
	}
	return out, nil
}

// Local returns the value of the relocation for the local type: what Write puts
// into the instruction, and what a loader replaces. It is an error for the kinds
// TypeIDLocal and TypeIDTarget, whose value only Write knows.
//
// Bit-fields follow libbpf's bpf_core_calc_field_relo: the offset and size are of
// the smallest naturally aligned unit that holds all bits, and the two shifts
// bring them to the bottom of 64 bits (little-endian).
func (c CORE) Local() (uint64, error) {
	switch c.Kind {
	case FieldExists, TypeExists, EnumvalExists, TypeMatches:
		return 1, nil
	case TypeSize:
		n, err := btf.Sizeof(c.Type)
		return uint64(n), err
	case EnumvalValue:
		e, i, err := enumerator(c)
		if err != nil {
			return 0, err
		}
		return e.Values[i].Value, nil
	case FieldByteOffset, FieldByteSize, FieldSigned, FieldLShift, FieldRShift:
	default:
		return 0, fmt.Errorf("kind %d has no local value", c.Kind)
	}

	f, err := walk(c, nil)
	if err != nil {
		return 0, err
	}
	t, err := bare(f.typ)
	if err != nil {
		return 0, err
	}
	if c.Kind == FieldSigned {
		switch v := t.(type) {
		case *btf.Int:
			return uint64(v.Encoding & btf.Signed), nil
		case *btf.Enum:
			if v.Signed {
				return 1, nil
			}
			return 0, nil
		}
		return 0, fmt.Errorf("%v has no sign", t)
	}

	n, err := btf.Sizeof(t)
	if err != nil {
		return 0, err
	}
	size, width := uint64(n), uint64(n)*8
	offset := f.bits / 8
	if f.bitfield != 0 {
		if size == 0 {
			return 0, fmt.Errorf("a bit-field of %v", t)
		}
		width = uint64(f.bitfield)
		offset = f.bits / 8 / size * size
		for f.bits+width > (offset+size)*8 {
			if size >= 8 {
				return 0, fmt.Errorf("access %q: the bit-field crosses 64 bits", c.Access)
			}
			size *= 2
			offset = f.bits / 8 / size * size
		}
	}
	switch c.Kind {
	case FieldByteOffset:
		return offset, nil
	case FieldByteSize:
		return size, nil
	}
	if width > 64 {
		return 0, fmt.Errorf("%v is not a scalar", t)
	}
	if c.Kind == FieldRShift {
		return 64 - width, nil
	}
	return 64 - (f.bits + width - offset*8), nil
}
