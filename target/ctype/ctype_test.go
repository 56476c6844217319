package ctype

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite golden files")

// Types as a compiler for x86-64 describes them.
var (
	tChar  = &Int{Name: "char", Bytes: 1, Signed: true, Kind: CharInt}
	tUchar = &Int{Name: "unsigned char", Bytes: 1, Kind: CharInt}
	tInt   = &Int{Name: "int", Bytes: 4, Signed: true}
	tUint  = &Int{Name: "unsigned int", Bytes: 4}
	tLong  = &Int{Name: "long int", Bytes: 8, Signed: true}
	tUlong = &Int{Name: "long unsigned int", Bytes: 8}
	tBool  = &Int{Name: "_Bool", Bytes: 1, Kind: BoolInt}
	tVoid  = &Void{}
	tSize  = &Typedef{Name: "size_t", Elem: tUlong}
)

func ptr(t Type) Type            { return &Pointer{Elem: t, Bytes: 8} }
func konst(t Type) Type          { return &Qualified{Const, t} }
func array(t Type, n int64) Type { return &Array{t, n} }

// pt is struct pt of the golden programs, ut.c.
func pt() *Struct {
	var s *Struct
	s = NewLazyStruct(StructKind, "pt", 32, Origin{}, func() []Member {
		return []Member{
			{Name: "x", Type: tInt, Bit: 0},
			{Name: "y", Type: tInt, Bit: 32},
			{Name: "name", Type: ptr(konst(tChar)), Bit: 64},
			{Name: "next", Type: ptr(s), Bit: 128},
			{Name: "b", Type: array(tUchar, 4), Bit: 192},
		}
	})
	return s
}

// file has what kernel structs have: nested and anonymous aggregates,
// bit-fields, arrays of structs, a flexible array.
func file() *Struct {
	path := NewStruct(StructKind, "path", 16, []Member{
		{Name: "mnt", Type: ptr(&Forward{Name: "vfsmount"}), Bit: 0},
		{Name: "dentry", Type: ptr(pt()), Bit: 64},
	})
	anon := NewStruct(UnionKind, "", 8, []Member{
		{Name: "f_count", Type: tLong, Bit: 0},
		{Type: NewStruct(StructKind, "", 8, []Member{
			{Name: "lo", Type: tUint, Bit: 0},
			{Name: "hi", Type: tUint, Bit: 32},
		}), Bit: 0},
	})
	spin := &Typedef{Name: "spinlock_t", Elem: NewStruct(StructKind, "", 4, []Member{{Name: "raw", Type: tUint}})}
	return NewStruct(StructKind, "file", 96, []Member{
		{Name: "f_path", Type: path, Bit: 0},
		{Type: anon, Bit: 128},
		{Name: "f_mode", Type: tUint, Bit: 192},
		{Name: "f_ro", Type: tUint, Bit: 224, Bits: 1},
		{Name: "f_prio", Type: tInt, Bit: 225, Bits: 7},
		{Name: "f_lock", Type: spin, Bit: 256},
		{Name: "f_ok", Type: tBool, Bit: 288},
		{Name: "f_pts", Type: array(path, 2), Bit: 320},
		{Name: "f_op", Type: ptr(&Func{Params: []Param{{"f", ptr(tVoid)}, {"n", tSize}}, Result: tInt}), Bit: 576},
		{Name: "f_self", Type: ptr(&Forward{Name: "file"}), Bit: 640},
		{Name: "f_tail", Type: array(tChar, 0), Bit: 704},
	})
}

func TestNames(t *testing.T) {
	fn := &Func{Params: []Param{{"a", tInt}, {"s", ptr(konst(tChar))}}, Result: tInt}
	for _, c := range []struct {
		t             Type
		name, declare string
	}{
		{tUlong, "long unsigned int", "long unsigned int v"},
		{tSize, "size_t", "size_t v"},
		{ptr(tChar), "char*", "char *v"},
		{ptr(konst(tChar)), "char const*", "const char *v"},
		{konst(ptr(tChar)), "char* const", "char *const v"},
		{konst(ptr(konst(tChar))), "char const* const", "const char *const v"},
		{ptr(ptr(tChar)), "char**", "char **v"},
		{&Qualified{Volatile, konst(tInt)}, "int const volatile", "volatile const int v"},
		{array(tInt, 3), "int[]", "int v[3]"},
		{array(array(tInt, 3), 2), "int[][]", "int v[2][3]"},
		{array(ptr(tInt), 3), "int*[]", "int *v[3]"},
		{ptr(array(tInt, 3)), "int[]*", "int (*v)[3]"},
		{array(tChar, 0), "char[]", "char v[]"},
		{ptr(pt()), "struct pt*", "struct pt *v"},
		{ptr(fn), "int (*)(int, char const*)", "int (*v)(int a, const char *s)"},
		{ptr(&Func{Result: tVoid}), "void (*)(void)", "void (*v)(void)"},
		{ptr(&Func{Result: tVoid, Params: []Param{{"f", tInt}}, Variadic: true}), "void (*)(int, ...)", "void (*v)(int f, ...)"},
		{&Struct{}, "struct {...}", "struct {...} v"},
		{&Forward{Name: "u", Kind: UnionKind}, "union u", "union u v"},
		{NewEnum("color", 4, false, nil), "enum color", "enum color v"},
		{&Float{"double", 8}, "double", "double v"},
		{ptr(tVoid), "void*", "void *v"},
	} {
		if got := Name(c.t); got != c.name {
			t.Errorf("Name: %s, want %s", got, c.name)
		}
		if got := Declare(c.t, "v"); got != c.declare {
			t.Errorf("Declare: %s, want %s", got, c.declare)
		}
	}
	if got, want := Prototype("foo", fn), "int foo(int a, const char *s)"; got != want {
		t.Errorf("Prototype: %s, want %s", got, want)
	}
}

func TestLayoutGolden(t *testing.T) {
	path := filepath.Join("testdata", "layout.txtar")
	types := map[string]Type{
		"file": file(), "pt": pt(), "size_t": tSize, "int": tInt,
		"color":   NewEnum("color", 4, false, []Enumerator{{"RED", 0}, {"GREEN", 5}}),
		"signed":  NewEnum("", 4, true, []Enumerator{{"NEG", -1}}),
		"typedef": &Typedef{Name: "spinlock_t", Elem: NewStruct(StructKind, "", 4, []Member{{Name: "raw", Type: tUint}})},
	}
	if *update {
		var a txtar.Archive
		for n, typ := range types {
			a.Files = append(a.Files, txtar.File{Name: n, Data: []byte(Layout(typ))})
		}
		slices.SortFunc(a.Files, func(x, y txtar.File) int { return strings.Compare(x.Name, y.Name) })
		if err := os.WriteFile(path, txtar.Format(&a), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	a, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Files) != len(types) {
		t.Errorf("%d golden layouts of %d", len(a.Files), len(types))
	}
	for _, f := range a.Files {
		if got := Layout(types[f.Name]); got != string(f.Data) {
			t.Errorf("%s:\n%s\nwant\n%s", f.Name, got, f.Data)
		}
	}
}

// describe writes a path as text: hops as root+offset[access] joined by "->".
func describe(p *Path) string {
	var hops []string
	for _, h := range p.Hops {
		s := fmt.Sprintf("%s+%d[%s]", Name(h.Root), h.Offset, h.AccessString())
		for _, d := range h.Dynamic {
			s += fmt.Sprintf("+$%d*%d", d.Step, d.Stride)
		}
		if !h.Relocatable() {
			s += "!"
		}
		hops = append(hops, s)
	}
	s := strings.Join(hops, " -> ") + " = " + Name(p.Type)
	if p.Bits != nil {
		s += fmt.Sprintf(" bits %d+%d of %d", p.Bits.Bit, p.Bits.Bits, p.Bits.Storage)
		if p.Bits.Signed {
			s += " signed"
		}
	}
	return s
}

func TestResolve(t *testing.T) {
	f := ptr(file())
	dyn := Step{Kind: StepIndex, Dynamic: true}
	for _, c := range []struct {
		root  Type
		steps []Step
		want  string
	}{
		{f, nil, " = struct file*"},
		{f, []Step{M("f_mode")}, "struct file+24[0:2] = unsigned int"},
		{f, []Step{M("f_path"), M("dentry"), M("name")}, "struct file+8[0:0:1] -> struct pt+8[0:2] = char const*"},
		{f, []Step{M("f_path"), M("dentry"), M("next"), M("y")}, "struct file+8[0:0:1] -> struct pt+16[0:3] -> struct pt+4[0:1] = int"},
		{f, []Step{M("f_count")}, "struct file+16[0:1:0] = long int"},
		{f, []Step{M("hi")}, "struct file+20[0:1:1:1] = unsigned int"},
		{f, []Step{M("f_ro")}, "struct file+28[0:3] = unsigned int bits 0+1 of 4"},
		{f, []Step{M("f_prio")}, "struct file+28[0:4] = int bits 1+7 of 4 signed"},
		{f, []Step{M("f_lock"), M("raw")}, "struct file+32[0:5:0] = unsigned int"},
		{f, []Step{M("f_pts"), I(1), M("dentry"), M("x")}, "struct file+64[0:7:1:1] -> struct pt+0[0:0] = int"},
		{f, []Step{M("f_pts"), dyn, M("dentry")}, "struct file+48[0:7:0:1]+$1*16 = struct pt*"},
		{f, []Step{I(2), M("f_mode")}, "struct file+216[2:2] = unsigned int"},
		{f, []Step{{Kind: StepDeref}, M("f_mode")}, "struct file+24[0:2] = unsigned int"},
		{file(), []Step{M("f_path"), M("mnt")}, "struct file+0[0:0:0] = struct vfsmount*"},
		{f, []Step{M("f_path")}, "struct file+0[0:0] = struct path"},
		{ptr(tInt), []Step{I(3)}, "int+12[3]! = int"},
		{ptr(tInt), []Step{I(-1)}, "int+-4[-1]! = int"},
		{ptr(tVoid), []Step{I(3)}, "void+3[3]! = void"},
		{ptr(ptr(tChar)), []Step{I(1), I(2)}, "char*+8[1]! -> char+2[2]! = char"},
		{array(array(tInt, 3), 2), []Step{I(1), I(2)}, "int[][]+20[0:1:2]! = int"},
		{ptr(&Typedef{Name: "spinlock_t", Elem: NewStruct(StructKind, "", 4, []Member{{Name: "raw", Type: tUint}})}), []Step{M("raw")}, "spinlock_t+0[0:0] = unsigned int"},
		{ptr(&Typedef{Name: "pt_t", Elem: pt()}), []Step{M("x")}, "struct pt+0[0:0] = int"},
		{konst(ptr(konst(pt()))), []Step{M("b"), I(3)}, "struct pt+27[0:4:3] = unsigned char"},
	} {
		p, err := Resolve(c.root, c.steps)
		if err != nil {
			t.Errorf("%v: %v", c.steps, err)
			continue
		}
		if got := describe(p); got != c.want {
			t.Errorf("%v:\n%s, want\n%s", c.steps, got, c.want)
		}
	}
}

func TestResolveErrors(t *testing.T) {
	f := ptr(file())
	for _, c := range []struct {
		root  Type
		steps []Step
		want  string
	}{
		{f, []Step{M("f_mod")}, "unable to find member 'f_mod' for struct file (alternatives: f_mode)"},
		{f, []Step{M("f_path"), M("dentyr")}, "unable to find member 'dentyr' for struct path (alternatives: dentry)"},
		{f, []Step{M("xyzzy")}, "unable to find member 'xyzzy' for struct file (members: f_path, f_count, lo, hi, f_mode, f_ro, f_prio, f_lock, …)"},
		{f, []Step{M("f_path"), M("mnt"), M("x")}, "the members are not known of 'struct vfsmount'"},
		{f, []Step{M("f_mode"), M("x")}, "cannot access member 'x' of type 'unsigned int'"},
		{f, []Step{M("f_mode"), I(1)}, "cannot index type 'unsigned int'"},
		{f, []Step{M("f_ro"), M("x")}, "cannot go on from a bit-field of type 'unsigned int'"},
		{f, []Step{M("f_mode"), {Kind: StepDeref}}, "not a pointer: 'unsigned int'"},
		{f, []Step{M("f_self"), I(1)}, "cannot index elements of unknown size: 'struct file'"},
		{f, []Step{I(1 << 60)}, "index 1152921504606846976 is out of range for type 'struct file'"},
		{tInt, []Step{M("x")}, "cannot access member 'x' of type 'int'"},
		{f, []Step{M("")}, "unable to find member '' for struct file (members: f_path, f_count, lo, hi, f_mode, f_ro, f_prio, f_lock, …)"},
	} {
		_, err := Resolve(c.root, c.steps)
		if err == nil || err.Error() != c.want {
			t.Errorf("%v: %v, want %s", c.steps, err, c.want)
		}
	}
	_, err := Resolve(f, []Step{M("f_path"), M("nope")})
	var me *MemberError
	if !errors.As(err, &me) || me.Step != 1 || !slices.Equal(me.Members, []string{"mnt", "dentry"}) {
		t.Errorf("%+v", me)
	}
	if got := MemberNames(file()); !slices.Contains(got, "hi") || slices.Contains(got, "") {
		t.Errorf("%v", got)
	}
}

func TestBitfields(t *testing.T) {
	// Each field of a struct of random bytes, read through the storage unit
	// and by the printer, against arithmetic on the bytes as one number.
	data := []byte{0x5a, 0xc3, 0x17, 0xe9, 0x80, 0x7f, 0x01, 0xfe}
	le := binary.LittleEndian.Uint64(data)
	be := binary.BigEndian.Uint64(data)
	for _, typ := range []*Int{tUint, tInt, tLong} {
		for bit := int64(0); bit < 64; bit++ {
			for n := int64(1); n <= min(typ.Bytes*8, 64-bit); n++ {
				s := NewStruct(StructKind, "s", 8, []Member{{Name: "f", Type: typ, Bit: bit, Bits: n}})
				p, err := Resolve(s, []Step{M("f")})
				if err != nil {
					t.Fatalf("%d+%d: %v", bit, n, err)
				}
				for _, big := range []bool{false, true} {
					want := int64(le >> bit << (64 - n))
					var order binary.ByteOrder = binary.LittleEndian
					if big {
						want = int64(be << bit >> (64 - n) << (64 - n))
						order = binary.BigEndian
					}
					if typ.Signed {
						want >>= 64 - n
					} else {
						want = int64(uint64(want) >> (64 - n))
					}
					unit := data[p.Hops[0].Offset:][:p.Bits.Storage]
					var v uint64
					for i := range unit {
						if big {
							v = v<<8 | uint64(unit[i])
						} else {
							v |= uint64(unit[i]) << (8 * i)
						}
					}
					if got := p.Bits.ExtractBits(v, big); got != want {
						t.Fatalf("%s at %d+%d, big-endian %v: %#x, want %#x", typ, bit, n, big, got, want)
					}
					pr := Printer{Order: order}
					if got, _ := pr.bits(data, bit, n, typ.Signed); got != want {
						t.Fatalf("printer, %s at %d+%d, big-endian %v: %#x, want %#x", typ, bit, n, big, got, want)
					}
				}
			}
		}
	}
}

func ptBytes(x, y uint32, name, next uint64, b [4]byte) []byte {
	d := binary.LittleEndian.AppendUint32(nil, x)
	d = binary.LittleEndian.AppendUint32(d, y)
	d = binary.LittleEndian.AppendUint64(d, name)
	d = binary.LittleEndian.AppendUint64(d, next)
	return append(append(d, b[:]...), 0, 0, 0, 0)
}

// TestPrinter has the outputs of the golden runs dvars_user and
// dvars_user_fields2 as its first cases.
func TestPrinter(t *testing.T) {
	p := ptBytes(1, 2, 0x55c9eff3e012, 0x7ffe4a0e3ed0, [4]byte{1, 2, 3, 4})
	q := ptBytes(7, 8, 0x55c05c4a600d, 0, [4]byte{9, 9, 9, 9})
	text := func(a uint64) (string, bool) { return "p\"t\x00x", a == 0x55c9eff3e012 }
	fileData := make([]byte, 96)
	for i := range fileData {
		fileData[i] = byte(i)
	}
	const hole = ", .f_lock={...}, .f_ok=36, .f_pts=[...], .f_op=0x4f4e4d4c4b4a4948, .f_self=0x5756555453525150, .f_tail="
	for _, c := range []struct {
		what string
		pr   Printer
		t    Type
		data []byte
		want string
	}{
		{"one level", Printer{}, pt(), p, `{.x=1, .y=2, .name=0x55c9eff3e012, .next=0x7ffe4a0e3ed0, .b=[...]}`},
		{"deep", Printer{Deep: true}, pt(), p, `{.x=1, .y=2, .name=0x55c9eff3e012, .next=0x7ffe4a0e3ed0, .b="\001\002\003\004"}`},
		{"deep, tabs", Printer{Deep: true}, pt(), q, `{.x=7, .y=8, .name=0x55c05c4a600d, .next=0x0, .b="\t\t\t\t"}`},
		{"text", Printer{Text: text}, pt(), p, `{.x=1, .y=2, .name="p\"t", .next=0x7ffe4a0e3ed0, .b=[...]}`},
		{"negative", Printer{}, pt(), ptBytes(0xffffffff, 0x80000000, 0, 0, [4]byte{}), `{.x=-1, .y=-2147483648, .name=0x0, .next=0x0, .b=[...]}`},
		{"cut short", Printer{Deep: true}, pt(), p[:20], `{.x=1, .y=2, .name=0x55c9eff3e012, .next=?, .b=?}`},
		{"limit", Printer{Max: 10}, pt(), p, `{.x=1, .y=`},
		{"char array", Printer{}, array(tChar, 8), []byte("stapio\x00x"), `"stapio"`},
		{"int array", Printer{}, array(tInt, 2), []byte{1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}, `[1, -1]`},
		{"array of structs", Printer{}, array(pt(), 2), append(p, q...), `[{...}, {...}]`},
		{"nested", Printer{}, file(), fileData, `{.f_path={...}, <union>={...}, .f_mode=454695192, .f_ro=0, .f_prio=14` + hole + `[...]}`},
		{"nested deep", Printer{Deep: true}, file(), fileData, `{.f_path={.mnt=0x706050403020100, .dentry=0xf0e0d0c0b0a0908}, <union>={.f_count=1663540288323457296, <struct>={.lo=319951120, .hi=387323156}}, .f_mode=454695192, .f_ro=0, .f_prio=14, .f_lock={.raw=589439264}, .f_ok=36, .f_pts=[{.mnt=0x2f2e2d2c2b2a2928, .dentry=0x3736353433323130}, {.mnt=0x3f3e3d3c3b3a3938, .dentry=0x4746454443424140}], .f_op=0x4f4e4d4c4b4a4948, .f_self=0x5756555453525150, .f_tail=""}`},
		{"big-endian", Printer{Order: binary.BigEndian}, tUint, []byte{0, 0, 1, 2}, `258`},
		{"char", Printer{}, tChar, []byte("a"), `'a'`},
		{"odd char", Printer{}, tUchar, []byte{0xc8}, `'\310'`},
		{"newline", Printer{}, tChar, []byte("\n"), `'\n'`},
		{"apostrophe", Printer{}, tChar, []byte("'"), `'\''`},
		{"unsigned", Printer{}, tUlong, []byte{255, 255, 255, 255, 255, 255, 255, 255}, `18446744073709551615`},
		{"enum", Printer{}, NewEnum("color", 4, false, nil), []byte{5, 0, 0, 0}, `5`},
		{"float", Printer{}, &Float{"double", 8}, make([]byte, 8), `<float>`},
		{"int128", Printer{}, &Int{Name: "__int128", Bytes: 16}, []byte{1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0}, `0x20000000000000001`},
		{"void", Printer{}, tVoid, nil, `?`},
		{"typedef", Printer{}, tSize, []byte{3, 0, 0, 0, 0, 0, 0, 0}, `3`},
	} {
		if got := string(c.pr.Append([]byte("x:"), c.t, c.data)); got != "x:"+c.want {
			t.Errorf("%s:\n%s, want\n%s", c.what, got, c.want)
		}
	}
	var pr Printer
	if got := string(pr.AppendInt(nil, ptr(pt()), -5)); got != "0xfffffffffffffffb" {
		t.Error(got)
	}
	vars := NewStruct(StructKind, "", 0, []Member{{Name: "a", Type: tInt}, {Name: "local", Type: tVoid}, {Name: "big", Type: tLong}, {Name: "late", Type: tInt}})
	if got, want := string(pr.AppendVars(nil, vars, []int64{0, 0, -5})), "a=0x0 local=? big=0xfffffffffffffffb late=?"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestTextPointers(t *testing.T) {
	pair := NewStruct(StructKind, "pair", 16, []Member{{Name: "k", Type: ptr(tChar)}, {Name: "v", Type: ptr(tVoid), Bit: 64}})
	many := NewStruct(StructKind, "many", 56, []Member{
		{Name: "n", Type: tLong}, {Name: "s", Type: ptr(tChar), Bit: 64}, {Name: "p", Type: array(pair, 2), Bit: 128}, {Name: "last", Type: ptr(tChar), Bit: 384},
	})
	for _, c := range []struct {
		what      string
		t         Type
		deep      bool
		size, max int
		want      []int
		bytes     int
	}{
		{"one level", many, false, 56, 9, []int{8, 48}, 8},
		{"deep", many, true, 56, 9, []int{8, 16, 32, 48}, 8},
		{"few", many, true, 56, 2, []int{8, 16}, 8},
		{"cut short", many, true, 36, 9, []int{8, 16}, 8},
		{"none", tLong, true, 8, 9, nil, 0},
		{"of 32 bits", NewStruct(StructKind, "", 8, []Member{{Name: "a", Type: &Pointer{Elem: tChar, Bytes: 4}, Bit: 32}}), false, 8, 9, []int{4}, 4},
	} {
		if got, bytes := TextPointers(c.t, c.deep, int64(c.size), c.max); !slices.Equal(got, c.want) || bytes != c.bytes {
			t.Errorf("%s: %v of %d bytes, want %v of %d", c.what, got, bytes, c.want, c.bytes)
		}
	}
}

// TestSelfContaining prints a type that no compiler makes: it must end.
func TestSelfContaining(t *testing.T) {
	var s *Struct
	s = NewLazyStruct(StructKind, "s", 8, Origin{}, func() []Member {
		return []Member{{Type: s}, {Name: "a", Type: s}, {Name: "b", Type: array(s, 1000)}}
	})
	p := Printer{Deep: true, Max: 1000}
	if got := p.Append(nil, s, make([]byte, 8)); len(got) != 1000 {
		t.Errorf("%d bytes", len(got))
	}
	if _, err := Encode(s); err == nil {
		t.Error("encoded a type that contains itself")
	}
	if _, _, ok := FindMember(s, "c"); ok {
		t.Error("found a member that is not there")
	}
	Layout(s)
}

func TestEncode(t *testing.T) {
	for _, typ := range []Type{
		tVoid, tInt, tBool, tSize, pt(), file(), ptr(file()), array(konst(tChar), 4), NewEnum("color", 4, true, nil),
		&Float{"double", 8}, ptr(&Func{Params: []Param{{"a", tInt}, {"f", ptr(file())}}, Result: tVoid, Variadic: true}), &Forward{Name: "x", Kind: UnionKind},
	} {
		enc, err := Encode(typ)
		if err != nil {
			t.Errorf("%v: %v", typ, err)
			continue
		}
		dec, err := Decode(enc)
		if err != nil {
			t.Errorf("%v: %v", typ, err)
			continue
		}
		if a, b := Layout(typ), Layout(dec); a != b {
			t.Errorf("%v is decoded as\n%swant\n%s", typ, b, a)
		}
		again, err := Encode(dec)
		if err != nil || !bytes.Equal(again, enc) {
			t.Errorf("%v: encoded again as %x, %v; want %x", typ, again, err, enc)
		}
		for i := range enc {
			if _, err := Decode(enc[:i]); err == nil {
				t.Errorf("%v: cut to %d of %d bytes was accepted", typ, i, len(enc))
			}
		}
		if _, err := Decode(append(bytes.Clone(enc), 0)); err == nil {
			t.Errorf("%v: a byte more was accepted", typ)
		}
	}
	two, err := Encode(file())
	if err != nil {
		t.Fatal(err)
	}
	if one, err := Encode(file()); err != nil || !bytes.Equal(one, two) {
		t.Error("two encodings of one type differ")
	}
}

func FuzzDecode(f *testing.F) {
	for _, typ := range []Type{tInt, pt(), file(), ptr(&Func{Params: []Param{{"a", tInt}}, Result: tVoid})} {
		enc, err := Encode(typ)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(enc, []byte("0123456789abcdef"))
	}
	f.Fuzz(func(t *testing.T, enc, data []byte) {
		typ, err := Decode(enc)
		if err != nil {
			return
		}
		Name(typ)
		Declare(typ, "x")
		for _, deep := range []bool{false, true} {
			for _, o := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
				p := Printer{Deep: deep, Order: o, Max: 500, Text: func(uint64) (string, bool) { return "t", true }}
				if got := p.Append(nil, typ, data); len(got) > 500 {
					t.Fatalf("%d bytes", len(got))
				}
			}
		}
		if s, ok := AsStruct(typ); ok {
			for i, n := range MemberNames(s) {
				if i > 50 {
					break
				}
				if p, err := Resolve(typ, []Step{M(n), {Kind: StepIndex, Index: 3}, M(n)}); err == nil {
					describe(p)
				}
			}
		}
		again, err := Encode(typ)
		if err != nil {
			t.Fatalf("decoded but cannot be encoded: %v", err)
		}
		if _, err := Decode(again); err != nil {
			t.Fatalf("encoded but cannot be decoded: %v", err)
		}
	})
}

func TestSimilar(t *testing.T) {
	names := []string{"vfs_read", "vfs_readv", "vfs_write", "do_vfs_ioctl", "kernel_read", "vfs_readlink"}
	for name, want := range map[string]string{
		"vfs_raed": "vfs_read vfs_readv", "vfs_read": "vfs_readv vfs_readlink", "VFS_READ": "vfs_read vfs_readv vfs_readlink",
		"": "", "zzz": "", "readlink": "vfs_readlink",
	} {
		got := Similar(name, names, 4)
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", name, got, want)
		}
	}
	if d := distance("abcd", "acbd", 3); d != 1 {
		t.Errorf("a swap counts %d", d)
	}
}
