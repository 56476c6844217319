package ctype

import (
	"fmt"
	"strings"
	"testing"
)

func places(ps []Place) string {
	var out []string
	for _, p := range ps {
		s := ""
		switch {
		case p.Float:
			s = "float"
		case p.OnStack:
			s = fmt.Sprintf("stack%d", p.Stack)
		default:
			for _, r := range p.Regs {
				s += fmt.Sprintf("r%d", r)
			}
		}
		if p.ByRef {
			s = "&" + s
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

// TestABI has the classification rules of the two supplements; that of x86-64
// is also tried on running programs by the tests of target/dwarf.
func TestABI(t *testing.T) {
	dbl := &Float{Name: "double", Bytes: 8}
	ldbl := &Float{Name: "long double", Bytes: 16}
	i128 := &Int{Name: "__int128", Bytes: 16, Signed: true}
	st := func(ts ...Type) Type {
		var ms []Member
		at := int64(0)
		for _, t := range ts {
			if a := alignment(t, 0); a > 0 {
				at = (at + a - 1) &^ (a - 1)
			}
			ms = append(ms, Member{Name: "m", Type: t, Bit: at * 8})
			at += t.Size()
		}
		return NewStruct(StructKind, "s", (at+7)&^7, ms)
	}
	packed := NewStruct(StructKind, "packed", 9, []Member{{Name: "c", Type: tChar}, {Name: "l", Type: tLong, Bit: 8}})
	for _, c := range []struct {
		what        string
		params      []Type
		result      Type
		sysv, aapcs string
	}{
		{"integers", []Type{tInt, tLong, tChar, ptr(tInt), tBool, tUint, tLong, tInt}, tVoid, "r5 r4 r1 r2 r8 r9 stack0 stack8", "r0 r1 r2 r3 r4 r5 r6 r7"},
		{"small struct", []Type{st(tInt, tLong), tInt}, tVoid, "r5r4 r1", "r0r1 r2"},
		{"mixed struct", []Type{st(dbl, tLong), tInt}, tVoid, "float r4", "r0r1 r2"},
		{"float struct", []Type{st(dbl, dbl), tInt}, tVoid, "float r5", "float r0"},
		{"big struct", []Type{st(tLong, tLong, tLong), tInt}, tVoid, "stack0 r5", "&r0 r1"},
		{"packed struct", []Type{packed, tInt}, tVoid, "stack0 r5", "r0r1 r2"},
		{"struct that no longer fits", []Type{tInt, tInt, tInt, tInt, tInt, st(tLong, tLong), tInt}, tVoid, "r5 r4 r1 r2 r8 stack0 r9", "r0 r1 r2 r3 r4 r5r6 r7"},
		{"floats", []Type{dbl, tInt, ldbl, tInt}, tVoid, "float r5 stack0 r4", "float r0 float r1"},
		{"int128", []Type{tInt, i128, tInt}, tVoid, "r5 r4r1 r2", "r0 r2r3 r4"},
		{"big result", []Type{tInt}, st(tLong, tLong, tLong), "r4", "r0"},
		{"small result", []Type{tInt}, st(tLong, tLong), "r5", "r0"},
		{"array in struct", []Type{st(array(tInt, 3))}, tVoid, "r5r4", "r0r1"},
		{"enum", []Type{NewEnum("e", 4, false, nil), konst(ptr(konst(tChar)))}, tVoid, "r5 r4", "r0 r1"},
	} {
		f := &Func{Result: c.result}
		for _, p := range c.params {
			f.Params = append(f.Params, Param{Type: p})
		}
		if got := places(SysV.Parameters(f)); got != c.sysv {
			t.Errorf("%s: System V: %s, want %s", c.what, got, c.sysv)
		}
		if got := places(AAPCS64.Parameters(f)); got != c.aapcs {
			t.Errorf("%s: AAPCS64: %s, want %s", c.what, got, c.aapcs)
		}
		if NoABI.Parameters(f) != nil {
			t.Error("no convention gives places")
		}
	}
	for _, c := range []struct {
		t           Type
		sysv, aapcs string
	}{
		{tInt, "r0", "r0"}, {st(tLong, tLong), "r0r1", "r0r1"}, {st(tLong, tLong, tLong), "&r0", "none"}, {dbl, "float", "float"},
		{tVoid, "none", "none"}, {ldbl, "float", "float"}, {i128, "r0r1", "r0r1"}, {ptr(tVoid), "r0", "r0"},
	} {
		for abi, want := range map[ABI]string{SysV: c.sysv, AAPCS64: c.aapcs} {
			p, ok := abi.Result(&Func{Result: c.t})
			got := "none"
			if ok {
				got = places([]Place{p})
			}
			if got != want {
				t.Errorf("result %v: %s, want %s", c.t, got, want)
			}
		}
	}
	if ABIOf("x86_64") != SysV || ABIOf("aarch64") != AAPCS64 || ABIOf("s390x") != NoABI {
		t.Error("conventions by machine")
	}
}
