package ctype

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The encoding of a type is, in unsigned LEB128 numbers unless stated,
//
//	version (1), number of strings, per string its length and bytes,
//	number of types, per type its kind and fields; the last type is the root.
//
// A type refers to others by the distance back to them, so that there are no
// cycles; a struct that is pointed to is reduced to its name. Signed numbers
// are zigzag-encoded. Types that are equal appear once.
const encVersion = 1

// Kinds in the encoding. Their numbers are part of the format.
const (
	encVoid = iota
	encInt
	encFloat
	encEnum
	encPointer
	encArray
	encStruct
	encTypedef
	encQualified
	encFunc
	encForward
)

// Limits of what is accepted.
const (
	maxEncoded  = 4 << 20 // bytes
	maxEncTypes = 1 << 16
	maxEncDepth = 64
	// maxEncWeight bounds the size of the tree that a type unfolds to. Types
	// that share parts could otherwise be exponentially larger than their
	// encoding, and whoever walks one would never finish.
	maxEncWeight = 1 << 20
)

// Encode gives a compact form of a type for a file: all that the Printer and
// the member resolver need of an object of that type in memory. The same type
// gives the same bytes. A type that contains itself, is nested more than 64
// deep, needs more than 65536 types or unfolds to more than a million is an
// error.
func Encode(t Type) ([]byte, error) {
	e := &encoder{seen: map[seenKey]int{}, same: map[string]int{}, strs: map[string]int{}}
	if _, err := e.add(t, 0, false); err != nil {
		return nil, err
	}
	out := binary.AppendUvarint(nil, encVersion)
	out = binary.AppendUvarint(out, uint64(len(e.strList)))
	for _, s := range e.strList {
		out = binary.AppendUvarint(out, uint64(len(s)))
		out = append(out, s...)
	}
	out = binary.AppendUvarint(out, uint64(len(e.recs)))
	for i, r := range e.recs {
		out = r.append(out, i)
	}
	if len(out) > maxEncoded {
		return nil, fmt.Errorf("type %s takes %d bytes, more than %d", Name(t), len(out), maxEncoded)
	}
	return out, nil
}

type encoder struct {
	seen    map[seenKey]int // index in recs
	same    map[string]int  // by absolute content
	strs    map[string]int
	strList []string
	recs    []rec
	weight  []int // of recs, as the decoder counts
}

type seenKey struct {
	t       Type
	pointee bool
}

// rec is a record in the making: numbers, of which some are indexes of other
// records, written as distances.
type rec struct {
	kind byte
	nums []num
}

type num struct {
	v   uint64
	ref bool
}

func (r rec) append(out []byte, at int) []byte {
	out = append(out, r.kind)
	for _, n := range r.nums {
		if n.ref {
			out = binary.AppendUvarint(out, uint64(at)-n.v)
		} else {
			out = binary.AppendUvarint(out, n.v)
		}
	}
	return out
}

func (r *rec) num(v int64)   { r.nums = append(r.nums, num{v: zigzag(v)}) }
func (r *rec) unum(v uint64) { r.nums = append(r.nums, num{v: v}) }
func (r *rec) ref(i int)     { r.nums = append(r.nums, num{v: uint64(i), ref: true}) }
func (r *rec) flag(b bool) {
	if b {
		r.unum(1)
	} else {
		r.unum(0)
	}
}

func zigzag(v int64) uint64   { return uint64(v<<1) ^ uint64(v>>63) }
func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

func (e *encoder) str(r *rec, s string) {
	i, ok := e.strs[s]
	if !ok {
		i = len(e.strList)
		e.strs[s] = i
		e.strList = append(e.strList, s)
	}
	r.unum(uint64(i))
}

// add encodes t and what it needs. pointee tells that t is only pointed to.
func (e *encoder) add(t Type, depth int, pointee bool) (int, error) {
	if depth > maxEncDepth {
		return 0, errors.New("type contains itself or is nested too deep")
	}
	seen := seenKey{t, pointee}
	if i, ok := e.seen[seen]; ok {
		return i, nil
	}
	if s, ok := t.(*Struct); ok && pointee {
		t = &Forward{Name: s.Name, Kind: s.Kind}
	}
	var r rec
	weight := 1
	// sub refers to a part of t.
	sub := func(t Type, pointee bool) error {
		i, err := e.add(t, depth+1, pointee)
		if err != nil {
			return err
		}
		r.ref(i)
		if weight += e.weight[i]; weight > maxEncWeight {
			return fmt.Errorf("type unfolds to more than %d types", maxEncWeight)
		}
		return nil
	}
	var err error
	switch t := t.(type) {
	case *Void:
		r.kind = encVoid
	case *Int:
		r.kind = encInt
		e.str(&r, t.Name)
		r.num(t.Bytes)
		r.flag(t.Signed)
		r.unum(uint64(t.Kind))
	case *Float:
		r.kind = encFloat
		e.str(&r, t.Name)
		r.num(t.Bytes)
	case *Enum:
		r.kind = encEnum
		e.str(&r, t.Name)
		r.num(t.Bytes)
		r.flag(t.Signed)
		// Enums are shown as numbers; their constants are left out.
	case *Pointer:
		r.kind = encPointer
		r.num(t.Bytes)
		err = sub(t.Elem, true)
	case *Array:
		r.kind = encArray
		r.num(t.Len)
		err = sub(t.Elem, pointee)
	case *Struct:
		r.kind = encStruct
		e.str(&r, t.Name)
		r.unum(uint64(t.Kind))
		r.num(t.Bytes)
		ms := t.Members()
		r.unum(uint64(len(ms)))
		for _, m := range ms {
			e.str(&r, m.Name)
			r.num(m.Bit)
			r.num(m.Bits)
			if err = sub(m.Type, false); err != nil {
				break
			}
		}
	case *Typedef:
		r.kind = encTypedef
		e.str(&r, t.Name)
		err = sub(t.Elem, pointee)
	case *Qualified:
		r.kind = encQualified
		r.unum(uint64(t.Qual))
		err = sub(t.Elem, pointee)
	case *Func:
		r.kind = encFunc
		r.flag(t.Variadic)
		r.unum(uint64(len(t.Params)))
		for _, p := range t.Params {
			e.str(&r, p.Name)
			if err = sub(p.Type, true); err != nil {
				break
			}
		}
		if err == nil {
			err = sub(t.Result, true)
		}
	case *Forward:
		r.kind = encForward
		e.str(&r, t.Name)
		r.unum(uint64(t.Kind))
	default:
		err = fmt.Errorf("cannot encode a %T", t)
	}
	if err != nil {
		return 0, err
	}
	// Equal content is equal however it was reached.
	key := []byte{r.kind}
	for _, n := range r.nums {
		key = binary.AppendUvarint(key, n.v)
	}
	i, ok := e.same[string(key)]
	if !ok {
		if len(e.recs) >= maxEncTypes {
			return 0, fmt.Errorf("more than %d types", maxEncTypes)
		}
		i = len(e.recs)
		e.recs = append(e.recs, r)
		e.weight = append(e.weight, weight)
		e.same[string(key)] = i
	}
	e.seen[seen] = i
	return i, nil
}

// DecodeError says that bytes are no encoded type.
type DecodeError struct{ Text string }

func (e *DecodeError) Error() string { return "encoded type: " + e.Text }

// Decode reads what Encode wrote. Any other input is refused or gives some
// type; sizes and offsets in it are not negative, and it is not nested deeper
// than 64.
func Decode(data []byte) (Type, error) {
	if len(data) > maxEncoded {
		return nil, &DecodeError{fmt.Sprintf("%d bytes are too many", len(data))}
	}
	d := &decoder{rest: data}
	if v := d.unum(); d.err == nil && v != encVersion {
		return nil, &DecodeError{fmt.Sprintf("version %d; this program reads %d", v, encVersion)}
	}
	n := d.count(1)
	d.strs = make([]string, 0, n)
	for range n {
		l := d.unum()
		if d.err != nil || l > uint64(len(d.rest)) {
			d.fail("string is cut short")
			break
		}
		d.strs = append(d.strs, string(d.rest[:l]))
		d.rest = d.rest[l:]
	}
	n = d.count(1)
	if n > maxEncTypes {
		d.fail(fmt.Sprintf("more than %d types", maxEncTypes))
	}
	for range n {
		if d.err != nil {
			break
		}
		d.typ()
	}
	switch {
	case d.err != nil:
	case len(d.types) == 0:
		d.fail("no type")
	case len(d.rest) > 0:
		d.fail(fmt.Sprintf("%d bytes behind the last type", len(d.rest)))
	}
	if d.err != nil {
		return nil, d.err
	}
	return d.types[len(d.types)-1], nil
}

type decoder struct {
	rest   []byte
	strs   []string
	types  []Type
	depths []int
	weight []int
	depth  int // of the type being read
	sum    int // its weight
	err    error
}

func (d *decoder) fail(text string) {
	if d.err == nil {
		d.err = &DecodeError{text}
	}
	d.rest = nil
}

func (d *decoder) unum() uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 {
		d.fail("cut short")
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

// size reads a number that must not be negative.
func (d *decoder) size() int64 {
	v := unzigzag(d.unum())
	if v < 0 {
		d.fail("negative size")
		return 0
	}
	return v
}

// count reads a number of things of at least min bytes each.
func (d *decoder) count(min int) int {
	v := d.unum()
	if v > uint64(len(d.rest)/min) {
		d.fail("cut short")
		return 0
	}
	return int(v)
}

func (d *decoder) str() string {
	i := d.unum()
	if i >= uint64(len(d.strs)) {
		d.fail("no such string")
		return ""
	}
	return d.strs[i]
}

func (d *decoder) flag() bool { return d.enum(2) == 1 }

// enum reads a number below n.
func (d *decoder) enum(n uint64) uint64 {
	v := d.unum()
	if v >= n {
		d.fail("number out of range")
		return 0
	}
	return v
}

func (d *decoder) ref() Type {
	back := d.unum()
	if back == 0 || back > uint64(len(d.types)) {
		d.fail("no such type")
		return &Void{}
	}
	i := len(d.types) - int(back)
	if d.depth = max(d.depth, d.depths[i]+1); d.depth > maxEncDepth {
		d.fail("nested too deep")
	}
	if d.sum += d.weight[i]; d.sum > maxEncWeight {
		d.fail("unfolds to too many types")
	}
	return d.types[i]
}

func (d *decoder) typ() {
	if len(d.rest) == 0 {
		d.fail("cut short")
		return
	}
	kind := d.rest[0]
	d.rest = d.rest[1:]
	d.depth, d.sum = 0, 1
	var t Type
	switch kind {
	case encVoid:
		t = &Void{}
	case encInt:
		t = &Int{Name: d.str(), Bytes: d.size(), Signed: d.flag(), Kind: IntKind(d.enum(uint64(BoolInt) + 1))}
	case encFloat:
		t = &Float{Name: d.str(), Bytes: d.size()}
	case encEnum:
		t = NewEnum(d.str(), d.size(), d.flag(), nil)
	case encPointer:
		t = &Pointer{Bytes: d.size(), Elem: d.ref()}
	case encArray:
		t = &Array{Len: d.size(), Elem: d.ref()}
	case encStruct:
		name, agg, bytes := d.str(), Aggregate(d.enum(uint64(ClassKind)+1)), d.size()
		ms := make([]Member, d.count(4))
		for i := range ms {
			ms[i] = Member{Name: d.str(), Bit: d.size(), Bits: d.size(), Type: d.ref()}
		}
		t = NewStruct(agg, name, bytes, ms)
	case encTypedef:
		t = &Typedef{Name: d.str(), Elem: d.ref()}
	case encQualified:
		t = &Qualified{Qual: Qualifier(d.enum(uint64(Atomic) + 1)), Elem: d.ref()}
	case encFunc:
		f := &Func{Variadic: d.flag()}
		f.Params = make([]Param, d.count(2))
		for i := range f.Params {
			f.Params[i] = Param{Name: d.str(), Type: d.ref()}
		}
		f.Result = d.ref()
		t = f
	case encForward:
		t = &Forward{Name: d.str(), Kind: Aggregate(d.enum(uint64(ClassKind) + 1))}
	default:
		d.fail(fmt.Sprintf("kind %d is not known", kind))
		return
	}
	d.types = append(d.types, t)
	d.depths = append(d.depths, d.depth)
	d.weight = append(d.weight, d.sum)
}
