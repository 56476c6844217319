//go:build linux

package loader

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"stapkit/ir"
	"stapkit/ir/interp"
	"stapkit/target/ctype"
	"stapkit/target/sym"
)

func deferred(kind ir.Text, w ...uint64) interp.Value {
	return interp.DeferredValue(kind, string(words8(w...)))
}

// testTexts has a kernel of three functions.
func testTexts(t *testing.T, p *ir.Program) *texts {
	t.Helper()
	table, err := sym.Parse([]byte("ffffffff81000000 T alpha\nffffffff81000100 t beta\nffffffffc0000000 t gamma\t[mod]\nffffffffc0001000 t end\t[mod]\n"))
	if err != nil {
		t.Fatal(err)
	}
	x := newTexts(p, newLocal(nil, nil), func(s string) { t.Error("warning: ", s) })
	x.ksyms, x.kdone = table, true
	return x
}

func TestKernelTexts(t *testing.T) {
	x := testTexts(t, &ir.Program{})
	const alpha, gamma = 0xffffffff81000000, 0xffffffffc0000000
	for _, tc := range []struct {
		v    interp.Value
		want string
	}{
		{deferred(ir.TextKSym, alpha+8), "alpha"},
		{deferred(ir.TextKSym, 0x10), "0x10"},
		{deferred(ir.TextKSymData, gamma+16), "gamma+0x10/0x1000 [mod]"},
		{deferred(ir.TextKSymData, alpha+8), "alpha+0x8/0x100 [kernel]"},
		{deferred(ir.TextKMod, gamma), "mod"},
		{deferred(ir.TextKMod, alpha), "kernel"},
		{deferred(ir.TextKMod, 1), "<unknown>"},
		{deferred(ir.TextKStack, 2, alpha, 0x10, 99), "0xffffffff81000000 0x10 "},
		{deferred(ir.TextKStackSym, 2, alpha+1, 0x10), "alpha+0x1 [kernel]\n0x10\n"},
		{deferred(ir.TextKStackFull, 2, gamma+2, 0x10), " 0xffffffffc0000002 : gamma+0x2/0x1000 [mod]\n 0x10\n"},
		{deferred(ir.TextKStack, 200, alpha), "0xffffffff81000000 "}, // says it has more than it has
		{deferred(ir.TextKSym), ""},
		{deferred(ir.TextKStackFull), ""},
		{deferred(ir.TextUSym), ""},
		{deferred(ir.TextUStack, 1), ""},
		{deferred(200, 1), ""},
	} {
		if got := x.text(tc.v); got != tc.want {
			t.Errorf("kind %d of %x: %q, want %q", tc.v.Text, tc.v.S, got, tc.want)
		}
	}
}

// TestSameText: keys that stand for the same text are one key, whatever addresses
// they were made of.
func TestSameText(t *testing.T) {
	const alpha = 0xffffffff81000000
	x := testTexts(t, &ir.Program{})
	keys := []ir.Type{ir.TInt, {Kind: ir.Deferred, Text: ir.TextKSym, Width: 8}}
	for _, g := range []ir.Global{
		{Name: "n", Keys: keys, Value: ir.TInt, Additive: true},
		{Name: "s", Keys: keys, Value: ir.TStat, Stat: ir.StatShape{Sum: true}},
		{Name: "last", Keys: keys, Value: ir.TInt},
	} {
		kg := &kernelGlobal{g: &g, key: newKeyCodec(keys)}
		k := &kernelGlobals{canon: x.canonical}
		el := func(i int64, addr uint64, v int64) interp.Element {
			e := interp.Element{Keys: []interp.Value{interp.IntValue(i), deferred(ir.TextKSym, addr)}, Val: interp.IntValue(v)}
			if g.Value.Kind == ir.Stat {
				e.Stat = &interp.Stat{Count: v, Sum: 10 * v}
			}
			return e
		}
		list := k.merge(kg, []interp.Element{el(1, alpha+4, 1), el(1, alpha+0x104, 2), el(1, alpha+8, 3), el(2, alpha+8, 4)})
		if len(list) != 3 {
			t.Fatalf("%s: %d elements", g.Name, len(list))
		}
		first := list[0]
		switch g.Name {
		case "n":
			if first.Val.I != 4 {
				t.Errorf("n: %d", first.Val.I)
			}
		case "s":
			if first.Stat.Count != 4 || first.Stat.Sum != 40 {
				t.Errorf("s: %+v", first.Stat)
			}
		case "last":
			if first.Val.I != 3 {
				t.Errorf("last: %d", first.Val.I)
			}
		}
		if x.text(list[1].Keys[1]) != "beta" || list[2].Keys[0].I != 2 {
			t.Errorf("%s: %v", g.Name, list)
		}
	}
}

func TestTypedTexts(t *testing.T) {
	i32 := &ctype.Int{Name: "int", Bytes: 4, Signed: true}
	char := &ctype.Int{Name: "char", Bytes: 1, Signed: true, Kind: ctype.CharInt}
	st := ctype.NewStruct(ctype.StructKind, "pt", 8, []ctype.Member{{Name: "x", Type: i32}, {Name: "y", Type: i32, Bit: 32}})
	p := &ir.Program{Limits: ir.DefaultLimits()}
	for _, ty := range []ctype.Type{st, char} {
		b, err := ctype.Encode(ty)
		if err != nil {
			t.Fatal(err)
		}
		p.Layouts = append(p.Layouts, b)
	}
	p.Layouts = append(p.Layouts, []byte("junk"))
	x := testTexts(t, p)
	warned := 0
	x.warn = func(string) { warned++ }
	data := string(words8(0|ir.TypeDeep<<32, 0x1000, 7|uint64(1<<32-3)<<32))
	text := string(words8(1|ir.TypeString<<32, 0x1000)) + "hello\x00junk"
	for _, tc := range []struct {
		kind    ir.Text
		payload string
		want    string
	}{
		{ir.TextType, data, "{.x=7, .y=-3}"},
		{ir.TextType, text, `"hello"`},
		{ir.TextParms, string(words8(0, 5, 6)), "x=0x5 y=0x6"},
		{ir.TextType, data[:16], "{.x=?, .y=?}"},
		{ir.TextType, data[:12], ""},
		{ir.TextType, string(words8(2, 0, 0)), "?"},
		{ir.TextParms, string(words8(2, 0, 0)), "?"},
		{ir.TextType, string(words8(99, 0, 0)), "?"},
	} {
		if got := x.text(interp.DeferredValue(tc.kind, tc.payload)); got != tc.want {
			t.Errorf("%x: %q, want %q", tc.payload, got, tc.want)
		}
	}
	if warned != 1 {
		t.Errorf("%d warnings of one bad layout", warned)
	}
}

func TestParseMappings(t *testing.T) {
	maps, err := parseMappings(strings.NewReader(`55d000000000-55d000001000 r--p 00000000 fe:01 12   /bin/a b
55d000001000-55d000002000 r-xp 00001000 fe:01 12   /bin/a b (deleted)
7f0000000000-7f0000001000 rwxp 00000000 00:00 0
7ffd00000000-7ffd00001000 r-xp 00000000 00:00 0    [vdso]
nonsense
`))
	// With code that a program makes, and the kernel's own.
	if err != nil || len(maps) != 3 || maps[0].path != "/bin/a b" || maps[0].start != 0x55d000001000 || maps[0].offset != 0x1000 ||
		maps[1].path != "" || maps[1].start != 0x7f0000000000 || maps[2].path != vdsoPath {
		t.Errorf("%v: %+v", err, maps)
	}
	if startTime(os.Getpid()) == "" || startTime(1<<30) != "" {
		t.Error("start times")
	}
}

func TestOutputMessages(t *testing.T) {
	var both bytes.Buffer
	o := newOutput(&both, &both)
	o.write([]byte("a"))
	o.message("ERROR: b\n")
	o.write([]byte("c"))
	o.warn("d\n")
	o.warn("d")
	if err := o.flush(); err != nil {
		t.Fatal(err)
	}
	if both.String() != "aERROR: b\ncWARNING: d\n" {
		t.Errorf("%q", both.String())
	}
}
