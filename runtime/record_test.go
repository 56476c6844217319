package loader

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"stapkit/format"
	"stapkit/ir"
)

// chunk makes a ring buffer record.
func chunk(kind, probe uint16, cpu, inv uint32, seq, last uint16, items []byte) []byte {
	b := make([]byte, ir.RecHeader, ir.RecHeader+len(items))
	native.PutUint16(b, kind)
	native.PutUint16(b[2:], probe)
	native.PutUint32(b[4:], uint32(ir.RecHeader+len(items)))
	native.PutUint32(b[16:], cpu)
	native.PutUint32(b[20:], inv)
	native.PutUint16(b[24:], seq)
	native.PutUint16(b[26:], last)
	return append(b, items...)
}

func words8(w ...uint64) (b []byte) {
	for _, x := range w {
		b = native.AppendUint64(b, x)
	}
	return b
}

func itemBytes(op uint16, aux uint32, args []byte) []byte {
	b := make([]byte, 8, 8+len(args))
	native.PutUint16(b, op)
	native.PutUint16(b[2:], uint16(1+len(args)/8))
	native.PutUint32(b[4:], aux)
	return append(b, args...)
}

func strArg(length uint16, s string, room int) []byte {
	b := make([]byte, 8+room)
	native.PutUint16(b, length)
	native.PutUint16(b[2:], uint16(len(b)/8))
	copy(b[8:], s)
	return b
}

// testSession is a session that only reads records.
func testSession(out, errOut *bytes.Buffer) *session {
	p := &ir.Program{
		Name: "test", Limits: ir.DefaultLimits(),
		Sites:  []ir.Site{{}, {File: "t.stp", Line: 3, Col: 4, Token: "operator '/'"}},
		Probes: []ir.Probe{{Point: "kernel.trace(\"x\")"}},
		Globals: []ir.Global{
			{Name: "h", Value: ir.TStat, Stat: ir.StatShape{Hist: ir.HistLinear, Low: 0, High: 20, Step: 10}},
		},
	}
	for _, f := range []struct {
		text string
		args []ir.Type
	}{
		{"%d %s|%s\n", []ir.Type{ir.TInt, ir.TStr(15), ir.TStr(15)}},
		{"%s;", []ir.Type{{Kind: ir.Deferred, Text: ir.TextFormat, Width: 64}}},
		{"<%d>", []ir.Type{ir.TInt}},
	} {
		parsed, err := format.Parse(f.text)
		if err != nil {
			panic(err)
		}
		p.Formats = append(p.Formats, ir.Format{Text: f.text, Parsed: parsed, Args: f.args})
	}
	s := &session{p: p, out: newOutput(out, errOut), exit: make(chan struct{}), blk: newBlock(p.SessionSize())}
	s.texts = newTexts(p, newLocal(nil, nil), s.out.warn)
	return s
}

func TestItems(t *testing.T) {
	var out, errOut bytes.Buffer
	s := testSession(&out, &errOut)
	counts := words8(0, 2, 0, 1, 0)
	if h, ok := s.p.Globals[0].Stat.Histogram(); !ok || h.Buckets() != len(counts)/8 {
		t.Fatal("the test's histogram")
	}
	var items []byte
	add := func(b []byte) { items = append(items, b...) }
	args := words8(42)
	args = append(args, strArg(3, "abcjunk", 8)...)
	args = append(args, strArg(ir.StrToNUL, "x\x00junk", 16)...)
	add(itemBytes(ir.ItemPrint, 0, args))
	add(itemBytes(ir.ItemWarn, 0, strArg(5, "tired", 8)))
	nested := append([]byte{byte(ir.TextFormat), 0, 3, 0, 0, 0, 0, 0}, words8(2|uint64(ir.LazyFormat)<<32, ^uint64(6))...)
	add(itemBytes(ir.ItemPrint, 1, nested))
	add(itemBytes(ir.ItemHist, 0, counts))
	add(itemBytes(ir.ItemError, 1, words8(uint64(ir.ErrDivZero), 0)))
	add(itemBytes(ir.ItemError, 0, append(words8(uint64(ir.ErrUser), 0), strArg(4, "oops", 8)...)))
	add(itemBytes(ir.ItemExit, 0, nil))
	s.blk.word(ir.SessOffErrors).Store(2) // as the handler has counted
	s.blk.word(ir.SessOffMaxErrors).Store(9)
	s.show(chunk(ir.RecItems, 0, 1, 1, 0, 1, items))
	if err := s.out.flush(); err != nil {
		t.Fatal(err)
	}
	want := "42 abc|x\n<-7>;value |-------------------------------------------------- count\n"
	if !strings.HasPrefix(out.String(), want) {
		t.Errorf("output\n%q\nwant\n%q", out.String(), want)
	}
	wantErr := "WARNING: tired\nERROR: division by 0 near operator '/' at t.stp:3:4 in probe kernel.trace(\"x\")\n" +
		"ERROR: oops in probe kernel.trace(\"x\")\n"
	if errOut.String() != wantErr {
		t.Errorf("errors\n%q\nwant\n%q", errOut.String(), wantErr)
	}
	if !s.ending() {
		t.Error("exit was not noticed")
	}
	if s.blk.errors().Load() != 2 || s.blk.state() == ir.SessError {
		t.Error("errors were counted twice")
	}
}

// TestChunks: the parts of long outputs come between other records, some are lost.
func TestChunks(t *testing.T) {
	var out, errOut bytes.Buffer
	s := testSession(&out, &errOut)
	num := func(n uint64) []byte { return itemBytes(ir.ItemPrint, 2, words8(n)) }
	long := append(num(1), num(2)...)
	s.show(chunk(ir.RecChunk, 0, 1, 7, 0, 0, long[:8])) // an item cut in two
	s.show(chunk(ir.RecItems, 0, 0, 7, 0, 1, num(3)))
	s.show(chunk(ir.RecChunk, 0, 2, 7, 0, 0, num(4)))
	s.show(chunk(ir.RecChunk, 0, 1, 7, 1, 0, long[8:16]))
	s.show(chunk(ir.RecChunk, 0, 1, 7, 2, 1, long[16:]))
	s.show(chunk(ir.RecChunk, 0, 2, 7, 2, 1, num(5))) // 1 is missing
	s.show(chunk(ir.RecChunk, 0, 3, 1, 1, 1, num(6))) // 0 is missing
	s.show(chunk(ir.RecChunk, 0, 1, 7, 0, 1, num(8))) // the number again, later
	if err := s.out.flush(); err != nil {
		t.Fatal(err)
	}
	if out.String() != "<3><1><2><8>" || errOut.Len() > 0 {
		t.Errorf("output %q, errors %q", out.String(), errOut.String())
	}
	if s.join.lost != 1 || len(s.join.pending) != 0 || s.damaged != 0 {
		t.Errorf("%d lost, %d pending, %d damaged", s.join.lost, len(s.join.pending), s.damaged)
	}
}

func TestDamagedRecords(t *testing.T) {
	good := chunk(ir.RecItems, 0, 0, 0, 0, 1, itemBytes(ir.ItemPrint, 2, words8(1)))
	change := func(f func(b []byte)) []byte {
		b := bytes.Clone(good)
		f(b)
		return b
	}
	for name, b := range map[string][]byte{
		"short":        good[:16],
		"cut":          good[:len(good)-8],
		"kind":         change(func(b []byte) { b[0] = 9 }),
		"probe":        change(func(b []byte) { b[2] = 9 }),
		"length":       change(func(b []byte) { native.PutUint32(b[4:], 1<<30) }),
		"small length": change(func(b []byte) { native.PutUint32(b[4:], 3) }),
		"item":         change(func(b []byte) { b[ir.RecHeader] = 99 }),
		"item size":    change(func(b []byte) { native.PutUint16(b[ir.RecHeader+2:], 0) }),
		"item size 2":  change(func(b []byte) { native.PutUint16(b[ir.RecHeader+2:], 7) }),
		"format":       change(func(b []byte) { native.PutUint32(b[ir.RecHeader+4:], 1<<31) }),
		"argument":     chunk(ir.RecItems, 0, 0, 0, 0, 1, itemBytes(ir.ItemPrint, 0, words8(1))),
		"string":       chunk(ir.RecItems, 0, 0, 0, 0, 1, itemBytes(ir.ItemWarn, 0, strArg(200, "x", 8))),
		"histogram":    chunk(ir.RecItems, 0, 0, 0, 0, 1, itemBytes(ir.ItemHist, 0, words8(1))),
		"no histogram": chunk(ir.RecItems, 0, 0, 0, 0, 1, itemBytes(ir.ItemHist, 5, words8(1))),
		"error":        chunk(ir.RecItems, 0, 0, 0, 0, 1, itemBytes(ir.ItemError, 0, words8(1))),
	} {
		var out, errOut bytes.Buffer
		s := testSession(&out, &errOut)
		s.show(b)
		if s.damaged != 1 || errOut.Len() == 0 {
			t.Errorf("%s: %d damaged, errors %q", name, s.damaged, errOut.String())
		}
	}
}

// FuzzRecords: whatever is in the ring buffer, nothing panics and nothing grows
// without bound.
func FuzzRecords(f *testing.F) {
	f.Add(chunk(ir.RecItems, 0, 0, 0, 0, 1, itemBytes(ir.ItemPrint, 2, words8(1))), []byte(nil))
	args := words8(42)
	args = append(args, strArg(3, "abc", 8)...)
	args = append(args, strArg(ir.StrToNUL, "x", 16)...)
	f.Add(chunk(ir.RecChunk, 0, 1, 1, 0, 0, itemBytes(ir.ItemPrint, 0, args)), chunk(ir.RecChunk, 0, 1, 1, 1, 1, itemBytes(ir.ItemExit, 0, nil)))
	stack := append([]byte{byte(ir.TextKStackFull), 0, 4, 0, 0, 0, 0, 0}, words8(2, 1, 2)...)
	f.Add(chunk(ir.RecItems, 0, 0, 0, 0, 1, itemBytes(ir.ItemPrint, 1, stack)), []byte{})
	f.Add(chunk(ir.RecItems, 0, 0, 0, 0, 1, itemBytes(ir.ItemError, 1, words8(1, 2, 3))), binary.LittleEndian.AppendUint64(nil, 1))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		var out, errOut bytes.Buffer
		s := testSession(&out, &errOut)
		s.texts.kdone = true // no reading of the kernel's symbols each time
		for _, r := range [][]byte{a, b, a} {
			s.show(r)
		}
		if err := s.out.flush(); err != nil {
			t.Fatal(err)
		}
		if out.Len() > 100*(len(a)+len(b)+1000) {
			t.Errorf("%d bytes of output from %d", out.Len(), len(a)+len(b))
		}
	})
}
