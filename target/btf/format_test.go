package btf

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stapkit/target/ctype"
)

var update = flag.Bool("update", false, "rewrite golden files")

// blob writes BTF by hand.
type blob struct {
	bo    binary.AppendByteOrder
	types []byte
	strs  []byte
}

func newBlob(bo binary.AppendByteOrder) *blob { return &blob{bo: bo, strs: []byte{0}} }

func (b *blob) str(s string) uint32 {
	if s == "" {
		return 0
	}
	off := len(b.strs)
	b.strs = append(append(b.strs, s...), 0)
	return uint32(off)
}

// add appends a type: its name, kind, vlen, flag, size or type, and the rest.
func (b *blob) add(name string, k Kind, vlen int, flag bool, ref uint32, rest ...uint32) {
	info := uint32(k)<<24 | uint32(vlen)
	if flag {
		info |= 1 << 31
	}
	for _, v := range append([]uint32{b.str(name), info, ref}, rest...) {
		b.types = b.bo.AppendUint32(b.types, v)
	}
}

func (b *blob) bytes() []byte {
	out := b.bo.AppendUint16(nil, magic)
	out = append(out, 1, 0)
	for _, v := range []int{headerSize, 0, len(b.types), len(b.types), len(b.strs)} {
		out = b.bo.AppendUint32(out, uint32(v))
	}
	return append(append(out, b.types...), b.strs...)
}

// every has each kind of type once or more.
func every(bo binary.AppendByteOrder) []byte {
	b := newBlob(bo)
	b.add("int", KindInt, 0, false, 4, 1<<24|32)                                                                 // 1
	b.add("unsigned char", KindInt, 0, false, 1, 8)                                                              // 2
	b.add("_Bool", KindInt, 0, false, 1, 4<<24|8)                                                                // 3
	b.add("long unsigned int", KindInt, 0, false, 8, 64)                                                         // 4
	b.add("", KindPtr, 0, false, 7)                                                                              // 5
	b.add("", KindArray, 0, false, 0, 2, 4, 16)                                                                  // 6
	b.add("s", KindStruct, 4, true, 24, b.str("a"), 1, 0, b.str("f"), 1, 3<<24|32, b.str("p"), 5, 64, 0, 8, 128) // 7
	b.add("", KindUnion, 2, false, 8, b.str("u"), 4, 0, b.str("c"), 6, 0)                                        // 8
	b.add("e", KindEnum, 2, true, 4, b.str("E_A"), 0xffffffff, b.str("E_B"), 7)                                  // 9
	b.add("fwd", KindFwd, 0, true, 0)                                                                            // 10
	b.add("s_t", KindTypedef, 0, false, 7)                                                                       // 11
	b.add("", KindVolatile, 0, false, 1)                                                                         // 12
	b.add("", KindConst, 0, false, 11)                                                                           // 13
	b.add("", KindRestrict, 0, false, 5)                                                                         // 14
	b.add("", KindFuncProto, 3, false, 1, b.str("x"), 1, b.str("y"), 14, 0, 0)                                   // 15
	b.add("fn", KindFunc, int(Global), false, 15)                                                                // 16
	b.add("v", KindVar, 0, false, 13, uint32(Global))                                                            // 17
	b.add(".data", KindDatasec, 1, false, 32, 17, 8, 24)                                                         // 18
	b.add("double", KindFloat, 0, false, 8)                                                                      // 19
	b.add("tag", KindDeclTag, 0, false, 16, 0xffffffff)                                                          // 20
	b.add("user", KindTypeTag, 0, false, 2)                                                                      // 21
	b.add("big", KindEnum64, 1, false, 8, b.str("BIG"), 1, 0x80000000)                                           // 22
	b.add("bits", KindInt, 0, false, 4, 2<<16|5)                                                                 // 23: an old bit-field type
	b.add("old", KindStruct, 1, false, 4, b.str("o"), 23, 8)                                                     // 24
	b.add("flags", KindEnum, 1, false, 4, b.str("HIGH"), 0x80000000)                                             // 25
	return b.bytes()
}

func TestEveryKind(t *testing.T) {
	for _, bo := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		s, err := Parse("test", every(bo))
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for id := range s.Types() {
			if id > 0 && s.NameOf(ID(id)) != "" {
				switch s.KindOf(ID(id)) {
				case KindDeclTag, KindDatasec:
				default:
					got.WriteString(ctype.Layout(s.Type(ID(id))))
				}
			}
		}
		f, ok := s.Func(16)
		if !ok || s.FuncLinkage(16) != Global {
			t.Error("no function 16")
		}
		got.WriteString(ctype.Prototype("fn", f) + "\n")
		for _, v := range s.Vars() {
			got.WriteString(v.Section + " " + ctype.Declare(v.Type, v.Name) + "\n")
		}
		golden := filepath.Join("testdata", "every.txt")
		if *update {
			if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil || got.String() != string(want) {
			t.Errorf("%v: got\n%s, %v", bo, &got, err)
		}
		if v, e, ok := s.Constant("BIG"); !ok || uint64(v) != 0x8000000000000001 || e.Name != "big" {
			t.Errorf("BIG: %#x %v %v", v, e, ok)
		}
		if s.Type(9999) != s.Type(0) || s.KindOf(9999) != KindVoid || s.NameOf(9999) != "" {
			t.Error("a type that does not exist is not void")
		}
	}
}

// TestModule puts a module's BTF on top of a kernel's.
func TestModule(t *testing.T) {
	base, err := Parse("vmlinux", every(binary.LittleEndian))
	if err != nil {
		t.Fatal(err)
	}
	b := newBlob(binary.LittleEndian)
	b.strs = nil
	strBase := uint32(len(base.strs))
	first := uint32(base.Types())
	// A struct of the module with a member of a kernel type and one of its own.
	b.types = b.bo.AppendUint32(b.types, strBase)
	b.strs = append(b.strs, "mod_s\x00m1\x00m2\x00mod_fn\x00"...)
	for _, v := range []uint32{uint32(KindStruct)<<24 | 2, 32, strBase + 6, 11, 0, strBase + 9, first + 1, 192} {
		b.types = b.bo.AppendUint32(b.types, v)
	}
	for _, v := range []uint32{0, uint32(KindPtr) << 24, first} {
		b.types = b.bo.AppendUint32(b.types, v)
	}
	for _, v := range []uint32{strBase + 12, uint32(KindFunc) << 24, 15} {
		b.types = b.bo.AppendUint32(b.types, v)
	}
	m, err := ParseModule("mod", b.bytes(), base)
	if err != nil {
		t.Fatal(err)
	}
	ids := m.Lookup(KindStruct, "mod_s")
	if len(ids) != 1 || uint32(ids[0]) != first || len(m.Lookup(KindStruct, "s")) != 0 {
		t.Fatalf("%v", ids)
	}
	want := "struct mod_s {\n\ts_t m1;\t/* 0 24 */\n\tstruct mod_s *m2;\t/* 24 8 */\n\n\t/* size: 32, members: 2 */\n};\n"
	if got := ctype.Layout(m.Type(ids[0])); got != want {
		t.Errorf("got %s", got)
	}
	st, _ := ctype.AsStruct(m.Type(ids[0]))
	if st.Origin != (ctype.Origin{Object: "mod", ID: first}) {
		t.Errorf("%+v", st.Origin)
	}
	if m.Type(7) != base.Type(7) {
		t.Error("a kernel type is another one seen from the module")
	}
	if _, err := ParseModule("mod", every(binary.BigEndian), base); err == nil {
		t.Error("byte orders were mixed")
	}
}

func TestMalformed(t *testing.T) {
	good := every(binary.LittleEndian)
	for i := range good {
		if _, err := Parse("cut", good[:i]); err == nil {
			t.Errorf("cut to %d of %d bytes was accepted", i, len(good))
		}
	}
	one := func(f func(b *blob)) []byte {
		b := newBlob(binary.LittleEndian)
		f(b)
		return b.bytes()
	}
	for what, raw := range map[string][]byte{
		"circular typedef": one(func(b *blob) { b.add("t", KindTypedef, 0, false, 1) }),
		"circular pointers": one(func(b *blob) {
			b.add("", KindPtr, 0, false, 2)
			b.add("t", KindTypedef, 0, false, 1)
		}),
		"long chain": one(func(b *blob) {
			for i := range uint32(70) {
				b.add("", KindPtr, 0, false, i)
			}
		}),
		"exponential prototype": one(func(b *blob) {
			for i := range uint32(30) {
				b.add("", KindFuncProto, 2, false, 0, 0, 2*i, 0, 2*i)
				b.add("", KindPtr, 0, false, 2*i+1)
			}
		}),
		"type out of range":      one(func(b *blob) { b.add("", KindPtr, 0, false, 2) }),
		"member out of range":    one(func(b *blob) { b.add("s", KindStruct, 1, false, 4, 0, 9, 0) }),
		"parameter out of range": one(func(b *blob) { b.add("", KindFuncProto, 1, false, 0, 0, 9) }),
		"variable out of range":  one(func(b *blob) { b.add(".d", KindDatasec, 1, false, 4, 9, 0, 0) }),
		"element out of range":   one(func(b *blob) { b.add("", KindArray, 0, false, 0, 9, 0, 0) }),
		"function of no type":    one(func(b *blob) { b.add("f", KindFunc, 0, false, 0) }),
		"unknown kind":           one(func(b *blob) { b.add("", 20, 0, false, 0) }),
		"name out of range":      one(func(b *blob) { b.types = append(b.types, 99, 0, 0, 0, 0, 0, 0, byte(KindFwd), 0, 0, 0, 0) }),
		"constant out of range":  one(func(b *blob) { b.add("e", KindEnum, 1, false, 4, 999, 1) }),
	} {
		_, err := Parse("bad", raw)
		var fe *FormatError
		if !errors.As(err, &fe) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, data, 0o644); err != nil {
			t.Fatal(err)
		}
		return p
	}
	raw := every(binary.LittleEndian)
	if got, err := ReadFile(write("raw", raw)); err != nil || !bytes.Equal(got, raw) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if _, err := ReadFile(write("short", []byte{1})); !errors.Is(err, ErrNoBTF) {
		t.Error(err)
	}
	if _, err := ReadFile(write("text", []byte("hello, world"))); err == nil {
		t.Error("a text was accepted")
	}
	if _, err := ReadFile(write("elf", []byte(elf.ELFMAG+"\x02\x01\x01"))); err == nil {
		t.Error("a broken ELF file was accepted")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if f, err := elf.Open(exe); err == nil {
		f.Close()
		if _, err := ReadFile(exe); !errors.Is(err, ErrNoBTF) {
			t.Error(err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(every(binary.LittleEndian))
	f.Add(every(binary.BigEndian))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := Parse("fuzz", raw)
		if err != nil {
			return
		}
		// All of what a Spec can be asked must end.
		for id := range min(s.Types(), 40) {
			typ := s.Type(ID(id))
			ctype.Layout(typ)
			ctype.Encode(typ)
			p := ctype.Printer{Deep: true, Max: 200}
			p.Append(nil, typ, raw)
			if st, ok := ctype.AsStruct(typ); ok {
				ctype.FindMember(st, "x")
			}
			s.Func(ID(id))
			s.FuncLinkage(ID(id))
		}
		s.Vars()
		s.Constant("E_A")
		for _, n := range s.TracepointNames() {
			s.Tracepoint(n)
		}
		for n, id := range s.Names(KindFunc, "") {
			if s.NameOf(id) != n {
				t.Fatalf("%d is %q, not %q", id, s.NameOf(id), n)
			}
		}
	})
}
