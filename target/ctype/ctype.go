// Package ctype is the project's one model of C types.
//
// BTF, DWARF and encoded layouts are all converted to it, so that the type
// renderer (SystemTap's -L spelling, C declarations, struct layouts), the
// member resolver and the value renderer exist once.
//
// Types are immutable once built and safe for concurrent use. The members of
// a struct and the enumerators of an enum may be loaded on first use: a type
// graph of a whole kernel is cyclic and large, and a script looks at a small
// corner of it. Everything else is built eagerly, and the only cycles are
// through struct members.
package ctype

import "sync"

// Type is a C type: *Void, *Int, *Float, *Enum, *Pointer, *Array, *Struct,
// *Typedef, *Qualified, *Func or *Forward.
type Type interface {
	// Size is the size in bytes: 0 for void, functions, forward
	// declarations and arrays of unknown length.
	Size() int64
	// String is the type as SystemTap's -L prints it (see Name).
	String() string

	isType()
}

// Void is the void type.
type Void struct{}

// IntKind tells apart the integer types that print differently.
type IntKind uint8

// The kinds of integer.
const (
	PlainInt IntKind = iota
	CharInt          // prints as a character; arrays of it are strings
	BoolInt          // C's _Bool
)

// Int is an integer, character or boolean base type.
type Int struct {
	Name   string // as the compiler spells it: "long unsigned int", "_Bool"
	Bytes  int64
	Signed bool
	Kind   IntKind
}

// Float is a floating-point base type. SystemTap has no operations on it;
// values are shown as "<float>".
type Float struct {
	Name  string
	Bytes int64
}

// Enumerator is a named constant of an enum.
type Enumerator struct {
	Name string
	// Value holds the constant; reinterpret it as uint64 when the enum is
	// not Signed.
	Value int64
}

// Enum is an enumeration.
type Enum struct {
	Name   string // "" when anonymous
	Bytes  int64
	Signed bool
	Origin Origin

	lazy[[]Enumerator]
}

// Values are the enumerators in declaration order.
func (e *Enum) Values() []Enumerator { return e.get() }

// NewEnum makes an enum whose enumerators are given.
func NewEnum(name string, bytes int64, signed bool, values []Enumerator) *Enum {
	e := &Enum{Name: name, Bytes: bytes, Signed: signed}
	e.val = values
	return e
}

// NewLazyEnum makes an enum whose enumerators are loaded on first use.
// load is called at most once.
func NewLazyEnum(name string, bytes int64, signed bool, o Origin, load func() []Enumerator) *Enum {
	e := &Enum{Name: name, Bytes: bytes, Signed: signed, Origin: o}
	e.load = load
	return e
}

// Pointer is a pointer type.
type Pointer struct {
	Elem Type
	// Bytes is 8 on the kernels this project knows, and 4 in 32-bit
	// user programs.
	Bytes int64
}

// Array is an array type.
type Array struct {
	Elem Type
	// Len is the number of elements; 0 for a flexible or zero-length array.
	Len int64
}

// Aggregate tells a struct from a union (and C++'s class, for its spelling).
type Aggregate uint8

// The kinds of aggregate.
const (
	StructKind Aggregate = iota
	UnionKind
	ClassKind
)

// String is the keyword of the aggregate: struct, union or class.
func (a Aggregate) String() string {
	switch a {
	case UnionKind:
		return "union"
	case ClassKind:
		return "class"
	}
	return "struct"
}

// Origin is the BTF identity of a type: what CO-RE relocations and the kernel
// itself refer to. The zero value means that the type did not come from BTF.
type Origin struct {
	Object string // "vmlinux" or a module's name
	ID     uint32 // type id within that object's (split) BTF
}

// Member is a field of a struct or union.
type Member struct {
	Name string // "" for an anonymous struct or union
	Type Type
	// Bit is the offset in bits from the start of the struct, as BTF and
	// DWARF 4 count it (on big-endian machines from the most significant
	// bit of the storage).
	Bit int64
	// Bits is the width of a bit-field, 0 for an ordinary member.
	Bits int64
}

// Offset is the byte offset of an ordinary member.
func (m *Member) Offset() int64 { return m.Bit / 8 }

// Struct is a struct, union or class.
type Struct struct {
	Name   string // "" when anonymous
	Kind   Aggregate
	Bytes  int64
	Origin Origin

	lazy[[]Member]
}

// Members are the fields in declaration order. For a base class or other
// embedded unnamed member, Name is "".
func (s *Struct) Members() []Member { return s.get() }

// NewStruct makes a struct or union whose members are given.
func NewStruct(kind Aggregate, name string, bytes int64, members []Member) *Struct {
	s := &Struct{Name: name, Kind: kind, Bytes: bytes}
	s.val = members
	return s
}

// NewLazyStruct makes a struct or union whose members are loaded on first
// use. load is called at most once.
func NewLazyStruct(kind Aggregate, name string, bytes int64, o Origin, load func() []Member) *Struct {
	s := &Struct{Name: name, Kind: kind, Bytes: bytes, Origin: o}
	s.load = load
	return s
}

// Typedef is a named alias.
type Typedef struct {
	Name   string
	Elem   Type
	Origin Origin
}

// Qualifier is a type qualifier.
type Qualifier uint8

// The qualifiers.
const (
	Const Qualifier = iota
	Volatile
	Restrict
	Atomic
)

// String is the keyword of the qualifier.
func (q Qualifier) String() string {
	switch q {
	case Volatile:
		return "volatile"
	case Restrict:
		return "restrict"
	case Atomic:
		return "_Atomic"
	}
	return "const"
}

// Qualified is a qualified type.
type Qualified struct {
	Qual Qualifier
	Elem Type
}

// Param is a parameter of a function.
type Param struct {
	Name string // "" when the source does not tell
	Type Type
}

// Func is a function type.
type Func struct {
	Params   []Param
	Result   Type // *Void for none
	Variadic bool
}

// Forward is a struct or union that is declared but not defined.
type Forward struct {
	Name string
	Kind Aggregate
}

func (*Void) isType()      {}
func (*Int) isType()       {}
func (*Float) isType()     {}
func (*Enum) isType()      {}
func (*Pointer) isType()   {}
func (*Array) isType()     {}
func (*Struct) isType()    {}
func (*Typedef) isType()   {}
func (*Qualified) isType() {}
func (*Func) isType()      {}
func (*Forward) isType()   {}

// Size is 0.
func (*Void) Size() int64 { return 0 }

// Size is the size in bytes.
func (t *Int) Size() int64 { return t.Bytes }

// Size is the size in bytes.
func (t *Float) Size() int64 { return t.Bytes }

// Size is the size in bytes.
func (t *Enum) Size() int64 { return t.Bytes }

// Size is the size in bytes.
func (t *Pointer) Size() int64 { return t.Bytes }

// Size is the size of all elements in bytes, saturating at the largest int64.
func (t *Array) Size() int64 {
	n := t.Elem.Size()
	if n <= 0 || t.Len <= 0 {
		return 0
	}
	if t.Len > maxInt64/n {
		return maxInt64
	}
	return n * t.Len
}

// Size is the size in bytes.
func (t *Struct) Size() int64 { return t.Bytes }

// Size is the size of the aliased type.
func (t *Typedef) Size() int64 { return t.Elem.Size() }

// Size is the size of the qualified type.
func (t *Qualified) Size() int64 { return t.Elem.Size() }

// Size is 0.
func (*Func) Size() int64 { return 0 }

// Size is 0.
func (*Forward) Size() int64 { return 0 }

const maxInt64 = 1<<63 - 1

// Unqualified removes const, volatile, restrict and _Atomic from the top of t.
func Unqualified(t Type) Type {
	for {
		q, ok := t.(*Qualified)
		if !ok {
			return t
		}
		t = q.Elem
	}
}

// Strip removes qualifiers and typedefs from the top of t.
func Strip(t Type) Type {
	for {
		switch x := t.(type) {
		case *Qualified:
			t = x.Elem
		case *Typedef:
			t = x.Elem
		default:
			return t
		}
	}
}

// AsStruct is the struct or union that t is, through typedefs and qualifiers.
func AsStruct(t Type) (*Struct, bool) {
	s, ok := Strip(t).(*Struct)
	return s, ok
}

// AsPointer is the pointer type that t is, through typedefs and qualifiers.
func AsPointer(t Type) (*Pointer, bool) {
	p, ok := Strip(t).(*Pointer)
	return p, ok
}

// IsChar reports whether t is a character type, of which arrays are strings.
func IsChar(t Type) bool {
	i, ok := Strip(t).(*Int)
	return ok && i.Kind == CharInt && i.Bytes == 1
}

// IsScalar reports whether a script can hold a value of t in one integer:
// integers, booleans, enums and pointers of at most 8 bytes.
func IsScalar(t Type) bool {
	switch x := Strip(t).(type) {
	case *Int:
		return x.Bytes <= 8
	case *Enum, *Pointer:
		return true
	}
	return false
}

// IsSigned reports whether a load of t is to be sign-extended.
func IsSigned(t Type) bool {
	switch x := Strip(t).(type) {
	case *Int:
		return x.Signed
	case *Enum:
		return x.Signed
	}
	return false
}

// lazy is a value that is computed at most once.
type lazy[T any] struct {
	once sync.Once
	load func() T
	val  T
}

func (l *lazy[T]) get() T {
	l.once.Do(func() {
		if l.load != nil {
			l.val = l.load()
			l.load = nil // what it holds on to may be large
		}
	})
	return l.val
}
