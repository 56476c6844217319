package ir

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"reflect"
	"slices"

	"stapkit/format"
)

// The version of the encoding. A file of another major version is refused. The
// minor version grows when a field is added at the end of a record (see
// records) in such a way that a reader may leave it out.
const (
	EncodingMajor = 2
	EncodingMinor = 2
)

var magic = [4]byte{'S', 'I', 'R', 0}

const headerSize = 8

// An encoded program is
//
//	4 bytes  magic
//	u16 u16  major and minor version, little-endian
//	uvarint  number of strings
//	uvarint… their lengths
//	bytes    the strings, in the order of their first use, each once
//	program  the rest
//
// A struct is its fields in the order of their declaration. A number is a
// zigzag varint, a bool one byte, a string the uvarint of its place in the
// list, a slice its uvarint length and its elements. An Expr or Stmt is the
// uvarint place of its type in exprTypes or stmtTypes, counted from 1, and the
// struct; 0 is nil. A struct out of records has the uvarint of its size in
// front, so that fields behind those known can be skipped.
//
// The same program always gives the same bytes, and Decode accepts no others.

// exprTypes and stmtTypes number the node types. New ones go to the end and
// make a new major version, as an older reader cannot do without them.
var (
	exprTypes = []reflect.Type{
		of[IntConst](), of[StrConst](), of[Local](), of[GlobalGet](), of[IndexGet](), of[IndexIn](), of[Update](),
		of[StatAdd](), of[StatGet](), of[HistGet](), of[Unary](), of[Binary](), of[Logical](), of[Cond](), of[Call](),
		of[Intrinsic](), of[Sprintf](), of[Match](), of[CtxArg](), of[CtxField](), of[Load](), of[Field](),
		of[Exists](), of[MakeText](), of[Region](), of[Lookup](), of[Seq](),
	}
	stmtTypes = []reflect.Type{
		of[Eval](), of[If](), of[While](), of[Foreach](), of[ForeachHist](), of[Return](), of[Next](), of[Break](),
		of[Continue](), of[Delete](), of[Try](), of[Print](), of[PrintHist](), of[Tick](), of[Lock](), of[Unlock](),
	}
	records = []reflect.Type{
		of[Program](), of[Global](), of[Func](), of[Handler](), of[Point](), of[Probe](), of[Attach](), of[Format](), of[Limits](),
	}

	exprInterface = of[Expr]()
	stmtInterface = of[Stmt]()
	parsedFormat  = of[format.Format]() // not encoded: the text is parsed again
)

func of[T any]() reflect.Type { return reflect.TypeFor[T]() }

// Encode encodes what the loader needs of p: all of it but the bodies of kernel
// handlers, of regions, and of functions that only those call. The encoding is
// deterministic.
func Encode(p *Program) ([]byte, error) { return EncodeAll(withoutKernel(p)) }

// EncodeAll encodes p with the kernel handlers.
func EncodeAll(p *Program) ([]byte, error) {
	e := encoder{index: map[string]uint64{}, slices: map[sliceKey]uint64{}}
	e.value(reflect.ValueOf(p).Elem(), 0)
	if e.err != nil {
		return nil, e.err
	}
	out := append([]byte(nil), magic[:]...)
	out = binary.LittleEndian.AppendUint16(out, EncodingMajor)
	out = binary.LittleEndian.AppendUint16(out, EncodingMinor)
	out = binary.AppendUvarint(out, uint64(len(e.strs)))
	for _, s := range e.strs {
		out = binary.AppendUvarint(out, uint64(len(s)))
	}
	for _, s := range e.strs {
		out = append(out, s...)
	}
	return append(out, e.b...), nil
}

// withoutKernel returns a copy of p without what runs in the kernel only.
func withoutKernel(p *Program) *Program {
	q := *p
	used := make([]bool, len(p.Funcs))
	var use func(Expr)
	function := func(f int) {
		if f >= 0 && f < len(used) && !used[f] {
			used[f] = true
			Walk(p.Funcs[f].Body, nil, use)
		}
	}
	use = func(x Expr) {
		if call, ok := x.(*Call); ok {
			for _, f := range call.Chain {
				function(f)
			}
		}
	}
	// The loader makes the calls of text that was left to it.
	seen := make([]bool, len(p.Funcs)) // by kernel handlers
	var kernel func(*Handler) func(Expr)
	kernel = func(h *Handler) func(Expr) {
		return func(x Expr) {
			switch x := x.(type) {
			case *Call:
				for _, f := range x.Chain {
					if f >= 0 && f < len(seen) && !seen[f] {
						seen[f] = true
						Walk(p.Funcs[f].Body, nil, kernel(nil))
					}
				}
			case *MakeText:
				each := func(t MakeText) {
					if t.Kind == TextFormat && t.Tag == LazyCall {
						function(t.Format)
					}
				}
				in, ok := x.Head.(*Intrinsic)
				if !ok || h == nil {
					each(*x)
					return
				}
				if k, ok := in.Args[0].(*IntConst); ok {
					for i := range h.Points {
						each(x.At(h.Points[i].Ints[k.V]))
					}
				}
			}
		}
	}
	q.Handlers = slices.Clone(p.Handlers)
	for i, h := range q.Handlers {
		if !h.Kernel {
			h.Walk(nil, use)
			continue
		}
		h.Walk(nil, kernel(h))
		c := *h
		c.Locals, c.Cond, c.Body = nil, nil, nil
		c.Points = slices.Clone(h.Points)
		for j := range c.Points {
			c.Points[j].Ints, c.Points[j].Strs = nil, nil
		}
		q.Handlers[i] = &c
	}
	q.Regions = slices.Clone(p.Regions)
	for i, h := range q.Regions {
		if h != nil {
			// The layout of its buffer needs locals, parameters and result.
			WalkExpr(h.Result, nil, use)
			c := *h
			c.Body = nil
			q.Regions[i] = &c
		}
	}
	q.Funcs = slices.Clone(p.Funcs)
	for i, f := range q.Funcs {
		if !used[i] {
			c := *f
			c.Body = nil
			q.Funcs[i] = &c
		}
	}
	return &q
}

type encoder struct {
	b      []byte
	strs   []string
	index  map[string]uint64
	slices map[sliceKey]uint64
	err    error
}

func (e *encoder) fail(format string, args ...any) {
	if e.err == nil {
		e.err = fmt.Errorf("ir: encode: "+format, args...)
	}
}

func (e *encoder) string(s string) {
	i, ok := e.index[s]
	if !ok {
		i = uint64(len(e.strs))
		e.index[s] = i
		e.strs = append(e.strs, s)
	}
	e.b = binary.AppendUvarint(e.b, i)
}

// bytes is string for a byte slice; one that was there before, which a decoded
// program may name often, is not looked at again.
func (e *encoder) bytes(b []byte) {
	if len(b) == 0 {
		e.string("")
		return
	}
	key := sliceKey{&b[0], len(b)}
	i, ok := e.slices[key]
	if !ok {
		e.string(string(b))
		e.slices[key] = e.index[string(b)]
		return
	}
	e.b = binary.AppendUvarint(e.b, i)
}

type sliceKey struct {
	first *byte
	n     int
}

func (e *encoder) value(v reflect.Value, depth int) {
	if depth > maxValueDepth {
		e.fail("nested deeper than %d", maxTreeDepth)
	}
	if e.err != nil {
		return
	}
	switch t := v.Type(); t.Kind() {
	case reflect.Bool:
		b := byte(0)
		if v.Bool() {
			b = 1
		}
		e.b = append(e.b, b)
	case reflect.Int, reflect.Int64:
		e.b = binary.AppendVarint(e.b, v.Int())
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		e.b = binary.AppendVarint(e.b, int64(v.Uint()))
	case reflect.String:
		e.string(v.String())
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			e.bytes(v.Bytes())
			return
		}
		e.b = binary.AppendUvarint(e.b, uint64(v.Len()))
		for i := range v.Len() {
			e.value(v.Index(i), depth+1)
		}
	case reflect.Pointer:
		if v.IsNil() {
			e.fail("%s missing", t)
			return
		}
		e.value(v.Elem(), depth+1)
	case reflect.Interface:
		types := nodeTypes(t)
		if v.IsNil() {
			e.b = append(e.b, 0)
			return
		}
		n := v.Elem()
		i := -1
		if n.Kind() == reflect.Pointer && !n.IsNil() {
			i = slices.Index(types, n.Type().Elem())
		}
		if i < 0 {
			e.fail("node of type %s", n.Type())
			return
		}
		e.b = binary.AppendUvarint(e.b, uint64(i+1))
		e.value(n.Elem(), depth+1)
	case reflect.Struct:
		if t == parsedFormat {
			return
		}
		if !slices.Contains(records, t) {
			e.fields(v, depth)
			return
		}
		outer := e.b
		e.b = nil
		e.fields(v, depth)
		e.b = append(binary.AppendUvarint(outer, uint64(len(e.b))), e.b...)
	default:
		e.fail("value of type %s", t)
	}
}

func (e *encoder) fields(v reflect.Value, depth int) {
	for i := range v.NumField() {
		e.value(v.Field(i), depth+1)
	}
}

// maxValueDepth is maxTreeDepth in steps of value: interface or pointer, struct,
// field, slice.
const maxValueDepth = 5 * maxTreeDepth

func nodeTypes(t reflect.Type) []reflect.Type {
	switch t {
	case exprInterface:
		return exprTypes
	case stmtInterface:
		return stmtTypes
	}
	return nil
}

// VersionError says that an encoded program is of a version that this loader
// cannot read.
type VersionError struct{ Major, Minor uint16 }

// Error names both versions.
func (e *VersionError) Error() string {
	return fmt.Sprintf("ir: program encoded in version %d.%d, which this version cannot read (it reads %d.x): compile the script again, or use a matching loader",
		e.Major, e.Minor, EncodingMajor)
}

// Decode decodes what Encode or EncodeAll made. The result has passed Check.
// The input may be hostile: memory and time are bounded by a multiple of its
// size. The error is a *VersionError if the major version is another.
func Decode(b []byte) (*Program, error) {
	if len(b) < headerSize || !bytes.Equal(b[:4], magic[:]) {
		return nil, fmt.Errorf("ir: not an encoded program")
	}
	major, minor := binary.LittleEndian.Uint16(b[4:]), binary.LittleEndian.Uint16(b[6:])
	if major != EncodingMajor {
		return nil, &VersionError{major, minor}
	}
	d := decoder{b: b[headerSize:], newer: minor > EncodingMinor, older: minor < EncodingMinor}
	d.strings()
	p := new(Program)
	d.value(reflect.ValueOf(p).Elem(), 0)
	if d.err == nil && len(d.b) > 0 {
		d.fail("%d bytes behind the program", len(d.b))
	}
	if d.used < len(d.strs) && !d.newer {
		d.fail("unused strings")
	}
	if d.err != nil {
		return nil, d.err
	}
	total := 0
	for i := range p.Formats {
		f := &p.Formats[i]
		if total += len(f.Text); total > maxText {
			return nil, fmt.Errorf("ir: decode: formats of more than %d bytes", maxText)
		}
		parsed, err := format.Parse(f.Text)
		if err != nil {
			return nil, fmt.Errorf("ir: decode: format %d: %w", i, err)
		}
		f.Parsed = parsed
	}
	if err := Check(p); err != nil {
		return nil, err
	}
	return p, nil
}

type decoder struct {
	b      []byte
	strs   []string
	shared [][]byte // strings wanted as bytes, by their place
	used   int      // strings used so far: they stand in the order of their first use
	newer  bool     // written by a newer minor version: records may be longer
	older  bool     // by an older one: they may lack fields at the end
	err    error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("ir: decode: "+format, args...)
	}
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || n > 1 && d.b[n-1] == 0 { // a longer form than need be
		d.fail("truncated or bad number")
		return 0
	}
	d.b = d.b[n:]
	return v
}

// length reads a length of things that take at least one byte each.
func (d *decoder) length() int {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.fail("length %d exceeds what is left (%d)", n, len(d.b))
		return 0
	}
	return int(n)
}

func (d *decoder) strings() {
	n := d.length()
	lengths := make([]int, 0, n)
	total := 0
	for range n {
		l := d.uvarint()
		if l > uint64(len(d.b)) {
			d.fail("string of %d bytes", l)
		}
		if d.err != nil {
			return
		}
		lengths = append(lengths, int(l))
		if total += int(l); total > len(d.b) {
			d.fail("strings of %d bytes", total)
			return
		}
	}
	if total > len(d.b) {
		d.fail("strings of %d bytes", total)
		return
	}
	all := string(d.b[:total])
	d.b = d.b[total:]
	seen := make(map[string]bool, n)
	for _, l := range lengths {
		if seen[all[:l]] {
			d.fail("a string occurs twice")
			return
		}
		seen[all[:l]] = true
		d.strs = append(d.strs, all[:l])
		all = all[l:]
	}
}

// place reads the place of a string.
func (d *decoder) place() (int, bool) {
	i := d.uvarint()
	if i >= uint64(len(d.strs)) {
		d.fail("string %d of %d", i, len(d.strs))
		return 0, false
	}
	if int(i) >= d.used {
		if int(i) > d.used && !d.newer {
			d.fail("strings out of order")
			return 0, false
		}
		d.used = int(i) + 1
	}
	return int(i), true
}

func (d *decoder) string() string {
	if i, ok := d.place(); ok {
		return d.strs[i]
	}
	return ""
}

// bytes is string for a byte slice. Equal ones share memory, so that naming one
// large string many times costs nothing.
func (d *decoder) bytes() []byte {
	i, ok := d.place()
	if !ok || d.strs[i] == "" {
		return nil
	}
	if d.shared == nil {
		d.shared = make([][]byte, len(d.strs))
	}
	if d.shared[i] == nil {
		d.shared[i] = []byte(d.strs[i])
	}
	return d.shared[i]
}

func (d *decoder) value(v reflect.Value, depth int) {
	if depth > maxValueDepth {
		d.fail("nested deeper than %d", maxTreeDepth)
	}
	if d.err != nil {
		return
	}
	switch t := v.Type(); t.Kind() {
	case reflect.Bool:
		if len(d.b) == 0 || d.b[0] > 1 {
			d.fail("truncated or bad bool")
			return
		}
		v.SetBool(d.b[0] == 1)
		d.b = d.b[1:]
	case reflect.Int, reflect.Int64, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n := d.uvarint() // zigzag
		d.number(v, int64(n>>1)^-int64(n&1))
	case reflect.String:
		v.SetString(d.string())
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			v.SetBytes(d.bytes())
			return
		}
		n := d.length()
		for range n {
			elem := reflect.New(t.Elem()).Elem()
			if d.value(elem, depth+1); d.err != nil {
				return
			}
			v.Set(reflect.Append(v, elem))
		}
	case reflect.Pointer:
		v.Set(reflect.New(t.Elem()))
		d.value(v.Elem(), depth+1)
	case reflect.Interface:
		types := nodeTypes(t)
		i := d.uvarint()
		if i == 0 || d.err != nil {
			return
		}
		if i > uint64(len(types)) {
			d.fail("node of unknown type %d", i)
			return
		}
		n := reflect.New(types[i-1])
		v.Set(n)
		d.value(n.Elem(), depth+1)
	case reflect.Struct:
		switch {
		case t == parsedFormat:
		case slices.Contains(records, t):
			d.record(v, depth)
		default:
			d.fields(v, depth)
		}
	default:
		d.fail("value of type %s", t)
	}
}

// number sets v if n fits.
func (d *decoder) number(v reflect.Value, n int64) {
	if v.CanInt() {
		if v.OverflowInt(n) {
			d.fail("number %d out of range", n)
			return
		}
		v.SetInt(n)
		return
	}
	if v.OverflowUint(uint64(n)) || n < 0 && v.Kind() != reflect.Uint64 {
		d.fail("number %d out of range", n)
		return
	}
	v.SetUint(uint64(n))
}

func (d *decoder) record(v reflect.Value, depth int) {
	n := d.length()
	if d.err != nil {
		return
	}
	rest := d.b[n:]
	d.b = d.b[:n:n]
	for i := range v.NumField() {
		if len(d.b) == 0 && d.older {
			break
		}
		d.value(v.Field(i), depth+1)
	}
	if len(d.b) > 0 && !d.newer {
		d.fail("%d bytes too many in a %s", len(d.b), v.Type().Name())
	}
	d.b = rest
}

func (d *decoder) fields(v reflect.Value, depth int) {
	for i := range v.NumField() {
		d.value(v.Field(i), depth+1)
	}
}
