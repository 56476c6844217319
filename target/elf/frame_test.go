package elf

import (
	"bufio"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestFrames compares every row of a program and of the C library with
// readelf's reading of the tables.
func TestFrames(t *testing.T) {
	prog := build(t)
	libc, err := (&Search{}).Libraries(func(n string) bool { return n == "libc.so.6" })
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{prog, libc[0]} {
		f := open(t, path)
		if f.Machine != elf.EM_X86_64 {
			t.Skip("knows readelf's register names of x86-64 only")
		}
		fr, err := f.Frames()
		if err != nil {
			t.Fatal(err)
		}
		head := regexp.MustCompile(`FDE cie=.* pc=([0-9a-f]+)\.\.([0-9a-f]+)`)
		// readelf prints each FDE's rows below a line of column names.
		var cols []string
		n, bad := 0, 0
		var end uint64
		sc := bufio.NewScanner(strings.NewReader(tool(t, "readelf", "--debug-dump=frames-interp", path)))
		sc.Buffer(nil, 1<<20)
		inFDE := false
		for sc.Scan() {
			line := strings.TrimSpace(sc.Text())
			if m := head.FindStringSubmatch(line); m != nil {
				end, _ = strconv.ParseUint(m[2], 16, 64)
				inFDE, cols = true, nil
				continue
			}
			w := strings.Fields(line)
			switch {
			case strings.Contains(line, " CIE "), line == "":
				inFDE = false
				continue
			case !inFDE || len(w) < 2:
				continue
			case w[0] == "LOC":
				cols = w
				continue
			}
			pc, err := strconv.ParseUint(w[0], 16, 64)
			if err != nil || len(w) != len(cols) || pc >= end {
				continue
			}
			n++
			row, ok, err := fr.At(pc)
			if !ok || err != nil {
				t.Fatalf("%s: %#x: %v, %v", path, pc, ok, err)
			}
			want := map[string]string{"rbp": "s"}
			for i, c := range cols {
				want[c] = w[i]
			}
			// readelf shows "u" for registers that the function's table only
			// mentions later; they still have the caller's values.
			if want["rbp"] == "u" {
				want["rbp"] = "s"
			}
			if g := show(row.CFA, "rsp"); g != want["CFA"] {
				t.Errorf("%s: %#x: CFA %s, want %s", path, pc, g, want["CFA"])
				bad++
			}
			if g := show(row.FP, ""); g != want["rbp"] {
				t.Errorf("%s: %#x: rbp %s, want %s", path, pc, g, want["rbp"])
				bad++
			}
			if g := show(row.RA, ""); g != want["ra"] {
				t.Errorf("%s: %#x: ra %s, want %s", path, pc, g, want["ra"])
				bad++
			}
			if bad > 10 {
				t.FailNow()
			}
		}
		if n < 10 {
			t.Errorf("%s: compared %d rows", path, n)
		}
		rows := 0
		last := uint64(0)
		if m := fr.Rows(func(r Row) bool {
			if r.PC < last || r.End <= r.PC {
				t.Fatalf("row %#x-%#x after %#x", r.PC, r.End, last)
			}
			last = r.PC
			rows++
			return true
		}); m > 0 {
			t.Errorf("%s: %d malformed", path, m)
		}
		if rows < n {
			t.Errorf("%s: %d rows, readelf has %d", path, rows, n)
		}
		t.Logf("%s: %d rows compared of %d", path, n, rows)
		if _, ok, err := fr.At(0); ok || err != nil {
			t.Errorf("a row for address 0: %v, %v", ok, err)
		}
	}
}

// show writes a rule as readelf does.
func show(r Rule, cfa string) string {
	names := map[int]string{0: "rax", 1: "rdx", 2: "rcx", 3: "rbx", 4: "rsi", 5: "rdi", 6: "rbp", 7: "rsp", 10: "r10", 13: "r13"}
	switch r.Kind {
	case RuleUndefined:
		return "u"
	case RuleSame:
		return "s"
	case RuleOffset:
		return fmt.Sprintf("c%+d", r.Off)
	case RuleValOffset:
		return fmt.Sprintf("v%+d", r.Off)
	case RuleRegister:
		n, ok := names[r.Reg]
		if !ok {
			n = fmt.Sprintf("r%d", r.Reg)
		}
		if cfa == "" {
			return n
		}
		return fmt.Sprintf("%s%+d", n, r.Off)
	case RuleExpr:
		return "exp"
	case RuleValExpr:
		return "vexp"
	}
	return "?"
}

func TestNoFrames(t *testing.T) {
	path := build(t)
	tool(t, "objcopy", "--remove-section=.eh_frame", path)
	f := open(t, path)
	if _, err := f.Frames(); !errors.Is(err, ErrNoFrames) {
		t.Error(err)
	}
}

func FuzzFrames(f *testing.F) {
	path := build(f)
	e, err := elf.Open(path)
	if err != nil {
		f.Fatal(err)
	}
	data, err := e.Section(".eh_frame").Data()
	e.Close()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data, true)
	if exe, err := os.Executable(); err == nil {
		if g, err := elf.Open(exe); err == nil {
			if s := g.Section(".debug_frame"); s != nil {
				if d, err := s.Data(); err == nil {
					f.Add(d[:min(len(d), 2000)], false)
				}
			}
			g.Close()
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, eh bool) {
		file := &File{Machine: elf.EM_X86_64, Class: elf.ELFCLASS64, Order: e.ByteOrder}
		fr := &Frames{f: file, data: data, addr: 0x1000, eh: eh}
		if err := fr.index(); err != nil {
			return
		}
		rows := 0
		fr.Rows(func(r Row) bool {
			if r.End <= r.PC {
				t.Fatalf("empty row %+v", r)
			}
			rows++
			return rows < 10000
		})
		for s, e := range fr.Functions {
			if _, _, err := fr.At(s); err != nil && e <= s {
				t.Fatal(err)
			}
			break
		}
	})
}

func BenchmarkFrames(b *testing.B) {
	libc, err := (&Search{}).Libraries(func(n string) bool { return n == "libc.so.6" })
	if err != nil {
		b.Skip(err)
	}
	f := open(b, libc[0])
	b.ReportAllocs()
	for b.Loop() {
		fr, err := f.Frames()
		if err != nil {
			b.Fatal(err)
		}
		fr.Rows(func(Row) bool { return true })
	}
}
