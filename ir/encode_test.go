package ir_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"runtime"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"stapkit/format"
	"stapkit/ir"
	"stapkit/ir/irgen"
)

// same compares programs; the positions in parsed formats do not count, nor does
// nil against empty.
var same = cmp.Options{cmpopts.EquateEmpty(), cmpopts.IgnoreTypes(format.Format{})}

// TestEncode: what goes in comes out, twice the same bytes.
func TestEncode(t *testing.T) {
	p := sample()
	b, err := ir.EncodeAll(p)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ir.EncodeAll(sample())
	if err != nil || !bytes.Equal(b, again) {
		t.Errorf("not deterministic: %v", err)
	}
	q, err := ir.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(p, q, same); d != "" {
		t.Error(d)
	}
	for i := range q.Formats {
		if got, want := q.Formats[i].Parsed.String(), p.Formats[i].Parsed.String(); got != want {
			t.Errorf("format %d: %q, want %q", i, got, want)
		}
	}
	t.Logf("%d bytes", len(b))
}

// TestEncodeKernel: without kernel bodies the loader's part is all there, and
// what regions need for their buffers.
func TestEncodeKernel(t *testing.T) {
	p := sample()
	p.Funcs = append(p.Funcs, &ir.Func{Name: "k", Result: ir.TVoid, Body: []ir.Stmt{&ir.Return{}}})
	p.Handlers[1].Body = append(p.Handlers[1].Body, &ir.Eval{X: &ir.Call{Chain: []int{2}, T: ir.TVoid}})
	p.Handlers[0].Body = append(p.Handlers[0].Body, &ir.Eval{X: &ir.Call{Chain: []int{0}, Args: []ir.Expr{&ir.IntConst{}, &ir.StrConst{}}, T: ir.TStr(63)}})
	// What a kernel handler leaves for the loader to call is the loader's.
	late := ir.Expr(&ir.MakeText{Kind: ir.TextFormat, Tag: ir.LazyCall, Format: 3, T: ir.Type{Kind: ir.Deferred, Text: ir.TextFormat}})
	p.Funcs = append(p.Funcs, &ir.Func{Name: "late", Result: ir.TInt, Body: []ir.Stmt{&ir.Return{X: &ir.IntConst{}}}})
	p.Handlers[1].Body = append(p.Handlers[1].Body, &ir.Eval{X: late})
	before := sample()
	b, err := ir.Encode(p)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(before.Handlers[1].Body[:3], p.Handlers[1].Body[:3], same); d != "" {
		t.Errorf("Encode changed the program: %s", d)
	}
	q, err := ir.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(p.Handlers[0], q.Handlers[0], same); d != "" {
		t.Error(d)
	}
	k := q.Handlers[1]
	if k.Body != nil || k.Locals != nil || k.Cond != nil || k.Name != "p1_switch" || !k.Kernel || k.Probe != 1 {
		t.Errorf("kernel handler %+v", k)
	}
	params, result, size := ir.RegionLayout(q.Regions[0])
	wp, wr, ws := ir.RegionLayout(p.Regions[0])
	if !slices.Equal(params, wp) || result != wr || size != ws || q.Regions[0].Body != nil {
		t.Errorf("region %v %d %d, want %v %d %d", params, result, size, wp, wr, ws)
	}
	if q.Funcs[0].Body == nil || q.Funcs[1].Body == nil || q.Funcs[2].Body != nil || q.Funcs[3].Body == nil {
		t.Error("wrong functions left out")
	}
}

// TestEncodeFields: every field of every structure is of a type that the encoder
// knows, those added later too.
func TestEncodeFields(t *testing.T) {
	seen := map[reflect.Type]bool{}
	var visit func(t reflect.Type)
	visit = func(ty reflect.Type) {
		if seen[ty] || ty == reflect.TypeFor[format.Format]() {
			return
		}
		seen[ty] = true
		switch ty.Kind() {
		case reflect.Slice, reflect.Pointer:
			visit(ty.Elem())
		case reflect.Struct:
			for i := range ty.NumField() {
				f := ty.Field(i)
				if !f.IsExported() {
					t.Errorf("%s.%s cannot be decoded", ty, f.Name)
				}
				visit(f.Type)
			}
		case reflect.Map, reflect.Array, reflect.Func, reflect.Chan, reflect.Float64, reflect.Uintptr, reflect.Int8, reflect.Int16, reflect.Int32:
			t.Errorf("%s cannot be encoded", ty)
		}
	}
	visit(reflect.TypeFor[ir.Program]())
}

// TestNodeTypes: every statement and expression type of the package is in the
// encoder's lists, which the sample program shows by having it.
func TestNodeTypes(t *testing.T) {
	have := map[string]bool{}
	p := sample()
	note := func(n any) { have[strings.TrimPrefix(reflect.TypeOf(n).String(), "*ir.")] = true }
	stmt, expr := func(s ir.Stmt) { note(s) }, func(x ir.Expr) { note(x) }
	for _, h := range p.Handlers {
		h.Walk(stmt, expr)
	}
	for _, f := range p.Funcs {
		ir.Walk(f.Body, stmt, expr)
	}
	var missing []string
	for _, file := range []string{"expr.go", "stmt.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv == nil || fn.Name.Name != "Type" && fn.Name.Name != "stmt" {
				continue
			}
			star, ok := fn.Recv.List[0].Type.(*ast.StarExpr)
			if !ok {
				t.Fatalf("%s: method %s without pointer receiver", file, fn.Name)
			}
			if name := star.X.(*ast.Ident).Name; !have[name] {
				missing = append(missing, name)
			}
		}
	}
	sort.Strings(missing)
	if len(missing) > 0 {
		t.Errorf("not in the sample program, so not known to be encoded: %s", missing)
	}
}

// TestVersions: another major is refused with both named; a newer minor may have
// longer records.
func TestVersions(t *testing.T) {
	b, err := ir.EncodeAll(sample())
	if err != nil {
		t.Fatal(err)
	}
	other := slices.Clone(b)
	binary.LittleEndian.PutUint16(other[4:], 7)
	binary.LittleEndian.PutUint16(other[6:], 3)
	var v *ir.VersionError
	if _, err := ir.Decode(other); !errors.As(err, &v) || v.Major != 7 || !strings.Contains(err.Error(), "7.3") || !strings.Contains(err.Error(), "2.x") {
		t.Errorf("%v", err)
	}

	// A minimal program: header, no strings, one record. Byte 8 is the number
	// of strings, the record's size follows the strings.
	small, err := ir.EncodeAll(&ir.Program{Limits: ir.DefaultLimits()})
	if err != nil {
		t.Fatal(err)
	}
	if small[8] != 1 || small[9] != 0 {
		t.Fatalf("unexpected encoding % x", small)
	}
	longer := append(slices.Clone(small), 1, 2, 3)
	size := longer[10]
	if int(size) != len(small)-11 {
		t.Fatalf("record of %d in % x", size, small)
	}
	longer[10] = size + 3
	if _, err := ir.Decode(longer); err == nil {
		t.Error("longer record of this version accepted")
	}
	binary.LittleEndian.PutUint16(longer[6:], ir.EncodingMinor+1)
	if _, err := ir.Decode(longer); err != nil {
		t.Errorf("longer record of a newer minor version: %v", err)
	}
}

// TestOlderMinor: a record of an older minor version lacks the fields that came later.
func TestOlderMinor(t *testing.T) {
	encode := func(site int) []byte {
		b, err := ir.EncodeAll(&ir.Program{
			Limits: ir.DefaultLimits(), Sites: make([]ir.Site, 2),
			Globals: []ir.Global{{Name: "g", Value: ir.TInt, Lock: -1, Settable: true, Site: site}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	b, other := encode(0), encode(1)
	at := 0 // of the last field of a global
	for i := range b {
		if b[i] != other[i] {
			at = i
		}
	}
	size := at - 1 // of its record
	for size > 0 && int(b[size]) != at-size {
		size--
	}
	whole := 9 + int(b[8]) // of the program's, behind the strings
	for _, n := range b[9:whole] {
		whole += int(n)
	}
	if at == 0 || size == 0 || int(b[whole]) != len(b)-whole-1 {
		t.Fatalf("unexpected encoding % x", b)
	}
	b[size]--
	b[whole]--
	b = slices.Delete(b, at, at+1)
	if _, err := ir.Decode(b); err == nil {
		t.Error("a shorter record of this version is accepted")
	}
	binary.LittleEndian.PutUint16(b[6:], ir.EncodingMinor-1)
	p, err := ir.Decode(b)
	if err != nil || len(p.Globals) != 1 || !p.Globals[0].Settable {
		t.Errorf("a record of an older version: %+v, %v", p, err)
	}
}

// TestHostile: nothing but what the encoder makes is accepted: every byte
// changed, every prefix, and something behind.
func TestHostile(t *testing.T) {
	b, err := ir.EncodeAll(sample())
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		if _, err := ir.Decode(b[:i]); err == nil {
			t.Errorf("prefix of %d bytes accepted", i)
		}
	}
	if _, err := ir.Decode(append(slices.Clone(b), 0)); err == nil {
		t.Error("trailing byte accepted")
	}
	accepted := 0
	for i := range b {
		for _, mask := range []byte{1, 0x80, 0xff} {
			c := slices.Clone(b)
			c[i] ^= mask
			p, err := ir.Decode(c)
			if err != nil {
				continue
			}
			accepted++ // another well-formed program
			if again, err := ir.EncodeAll(p); err != nil || i >= 8 && !bytes.Equal(again, c) {
				t.Errorf("byte %d^%#x: not canonical (%v)", i, mask, err)
			}
		}
	}
	t.Logf("%d of %d changes make another program", accepted, 3*len(b))
	// A length that lies must not be believed before the bytes are there.
	lie := append(slices.Clone(b[:8]), binary.AppendUvarint(nil, 1<<40)...)
	if _, err := ir.Decode(lie); err == nil {
		t.Error("lying length accepted")
	}
}

// TestAmplification: a large layout that is named often is there once.
func TestAmplification(t *testing.T) {
	p := &ir.Program{Limits: ir.DefaultLimits()}
	large := bytes.Repeat([]byte{1}, 1<<20)
	for range 10000 {
		p.Layouts = append(p.Layouts, large)
	}
	b, err := ir.EncodeAll(p)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) > 2<<20 {
		t.Errorf("encoded in %d bytes", len(b))
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	q, err := ir.Decode(b)
	runtime.ReadMemStats(&after)
	if err != nil || len(q.Layouts) != 10000 {
		t.Fatal(err)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 64<<20 {
		t.Errorf("%d bytes allocated for %d", got, len(b))
	}
}

func FuzzDecode(f *testing.F) {
	b, err := ir.EncodeAll(sample())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	for seed := range uint64(4) {
		b, err := ir.EncodeAll(irgen.New(seed, irgen.Options{Features: irgen.All, Kernel: seed%2 == 0, Size: 5}))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ir.Decode(b)
		if err != nil {
			return
		}
		// What Decode accepts is well-formed and has one encoding.
		if err := ir.Check(p); err != nil {
			t.Fatal(err)
		}
		again, err := ir.EncodeAll(p)
		if err != nil {
			t.Fatal(err)
		}
		if binary.LittleEndian.Uint16(b[6:]) == ir.EncodingMinor && !bytes.Equal(again, b) {
			t.Fatal("not canonical")
		}
		if err := ir.Dump(discard{}, p); err != nil {
			t.Fatal(err)
		}
	})
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

// TestDumpError: an error of the writer comes out.
func TestDumpError(t *testing.T) {
	f, err := os.Open("dump.go") // not open for writing
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := ir.Dump(f, sample()); err == nil {
		t.Error("no error")
	}
}
