//go:build linux

package loader

import (
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"

	"stapkit/ir"
	"stapkit/target/elf"
)

// TestUnwindRows compares the table of the C library with its call frames, at every
// place where these change and between.
func TestUnwindRows(t *testing.T) {
	out, err := exec.Command("ldd", "/bin/sh").Output()
	var path string
	for _, w := range strings.Fields(string(out)) {
		if strings.Contains(w, "/libc.") {
			path = w
		}
	}
	if err != nil || path == "" {
		t.Skipf("needs a program with a C library: %v", err)
	}
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	compact := compact
	switch f.Machine.String() {
	case "EM_X86_64":
	case "EM_AARCH64":
		compact = compactARM
	default:
		t.Skip("tables are for x86-64 and arm64")
	}
	fr, err := f.Frames()
	if err != nil {
		t.Fatal(err)
	}
	rows, err := unwindRows(f)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSortedFunc(rows, func(a, b ir.UnwindRow) int { return int(int64(a.PC) - int64(b.PC)) }) {
		t.Error("the rows are not sorted")
	}
	at := func(off uint64) ir.UnwindRow {
		i, found := slices.BinarySearchFunc(rows, off, func(r ir.UnwindRow, off uint64) int { return int(int64(r.PC) - int64(off)) })
		if !found {
			i--
		}
		r := rows[i]
		r.PC = 0
		return r
	}
	places, none := 0, 0
	fr.Rows(func(r elf.Row) bool {
		for _, pc := range []uint64{r.PC, (r.PC + r.End) / 2, r.End - 1} {
			off, ok := f.Offset(pc)
			if !ok {
				continue
			}
			places++
			want := compact(&r)
			if want.CFA == ir.UnwindNone {
				none++
			}
			if got := at(off); got != want {
				t.Errorf("at %#x: %+v, not %+v", pc, got, want)
				return false
			}
		}
		return true
	})
	if places < 1000 || none*50 > places {
		t.Errorf("of %d places %d have no rule", places, none)
	}
	// Behind the last function nothing is known.
	if last := rows[len(rows)-1]; last.CFA != ir.UnwindNone {
		t.Errorf("the last row is %+v", last)
	}
}

func TestCompact(t *testing.T) {
	sp := func(off int64) elf.Rule { return elf.Rule{Kind: elf.RuleRegister, Reg: dwarfSP, Off: off} }
	atCFA := func(off int64) elf.Rule { return elf.Rule{Kind: elf.RuleOffset, Off: off} }
	expr := func(b ...byte) elf.Rule { return elf.Rule{Kind: elf.RuleExpr, Expr: b} }
	same := elf.Rule{Kind: elf.RuleSame}
	for _, c := range []struct {
		name string
		row  elf.Row
		want ir.UnwindRow
	}{
		{"function", elf.Row{CFA: sp(8), RA: atCFA(-8), FP: same}, ir.UnwindRow{CFA: ir.UnwindBySP, CFAOff: 8}},
		{"saved", elf.Row{CFA: sp(16), RA: atCFA(-8), FP: atCFA(-16)}, ir.UnwindRow{CFA: ir.UnwindBySP, CFAOff: 16, FP: ir.UnwindFPAtCFA, FPOff: -16}},
		{"large", elf.Row{CFA: sp(1 << 33), RA: atCFA(-8), FP: same}, ir.UnwindRow{}},
		{"other register", elf.Row{CFA: elf.Rule{Kind: elf.RuleRegister, Reg: 3}, RA: atCFA(-8), FP: same}, ir.UnwindRow{}},
		{"start", elf.Row{CFA: sp(8), FP: same}, ir.UnwindRow{CFA: ir.UnwindStackEnd}},
		{"stub", elf.Row{CFA: expr(0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22), RA: atCFA(-8), FP: same},
			ir.UnwindRow{CFA: ir.UnwindPLT, CFAOff: 11}},
		{"signal", elf.Row{CFA: expr(0x77, 0xa0, 1, 6), RA: expr(0x77, 0xa8, 1), FP: expr(0x77, 0xf8, 0)},
			ir.UnwindRow{CFA: ir.UnwindAtSP, CFAOff: 160, RA: ir.UnwindRASignal, FP: ir.UnwindFPAtSP, FPOff: 120}},
		{"realigned", elf.Row{CFA: expr(0x76, 0x78, 6), RA: atCFA(-8), FP: expr(0x76, 0)},
			ir.UnwindRow{CFA: ir.UnwindAtFP, CFAOff: -8, FP: ir.UnwindFPAtFP}},
		{"cut", elf.Row{CFA: expr(0x77, 0x80), RA: atCFA(-8), FP: same}, ir.UnwindRow{}},
	} {
		if got := compact(&c.row); got != c.want {
			t.Errorf("%s: %+v, not %+v", c.name, got, c.want)
		}
	}
}

func TestCompactARM(t *testing.T) {
	reg := func(n int, off int64) elf.Rule { return elf.Rule{Kind: elf.RuleRegister, Reg: n, Off: off} }
	sp := func(off int64) elf.Rule { return reg(dwarfARMSP, off) }
	atCFA := func(off int64) elf.Rule { return elf.Rule{Kind: elf.RuleOffset, Off: off} }
	same, link := elf.Rule{Kind: elf.RuleSame}, reg(dwarfARMLink, 0)
	for _, c := range []struct {
		name string
		row  elf.Row
		want ir.UnwindRow
	}{
		{"leaf", elf.Row{CFA: sp(0), RA: link, FP: same}, ir.UnwindRow{CFA: ir.UnwindBySP, RA: ir.UnwindRALink}},
		{"leaf with locals", elf.Row{CFA: sp(32), RA: same, FP: same}, ir.UnwindRow{CFA: ir.UnwindBySP, CFAOff: 32, RA: ir.UnwindRALink}},
		{"pair", elf.Row{CFA: sp(48), RA: atCFA(-40), FP: atCFA(-48)},
			ir.UnwindRow{CFA: ir.UnwindBySP, CFAOff: 48, FP: ir.UnwindFPAtCFA, FPOff: -48, RA: ir.UnwindRABeside}},
		{"large pair", elf.Row{CFA: reg(dwarfARMFP, 70000), RA: atCFA(-69992), FP: atCFA(-70000)},
			ir.UnwindRow{CFA: ir.UnwindByFP, CFAOff: 70000, FP: ir.UnwindFPAtCFA, FPOff: -70000, RA: ir.UnwindRABeside}},
		{"address alone", elf.Row{CFA: sp(16), RA: atCFA(-16), FP: same},
			ir.UnwindRow{CFA: ir.UnwindBySP, CFAOff: 16, FPOff: -16, RA: ir.UnwindRAAlone}},
		{"apart", elf.Row{CFA: sp(64), RA: atCFA(-8), FP: atCFA(-64)},
			ir.UnwindRow{CFA: ir.UnwindBySP, CFAOff: 64, FP: ir.UnwindFPAtCFA, FPOff: -64, RA: ir.UnwindRAWords, Words: 1}},
		{"far apart", elf.Row{CFA: sp(4096), RA: atCFA(-2048), FP: atCFA(-4096)}, ir.UnwindRow{}},
		{"start", elf.Row{CFA: sp(0), FP: same}, ir.UnwindRow{CFA: ir.UnwindStackEnd}},
		{"other register", elf.Row{CFA: reg(12, 0), RA: link, FP: same}, ir.UnwindRow{}},
		{"address elsewhere", elf.Row{CFA: sp(0), RA: reg(4, 0), FP: same}, ir.UnwindRow{}},
		{"large", elf.Row{CFA: sp(1 << 33), RA: link, FP: same}, ir.UnwindRow{}},
	} {
		if got := compactARM(&c.row); got != c.want {
			t.Errorf("%s: %+v, not %+v", c.name, got, c.want)
		}
	}
}

// TestUserBits asks for the size of addresses, which has to hold where this process has
// its memory, and to be a size that there is.
func TestUserBits(t *testing.T) {
	n := userBits()
	maps, _, err := readMaps(newLocal(nil, nil), os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range maps {
		// The kernel's own page is no part of what a program can have.
		if m.start>>63 == 0 && (m.end-1)&signBits(n) != 0 {
			t.Errorf("%#x has more than %d bits: %s", m.end-1, n, m.path)
		}
	}
	sizes := map[string][]int{"amd64": {47, 56}, "arm64": {36, 39, 42, 47, 48, 52}}
	if s := sizes[runtime.GOARCH]; s != nil && !slices.Contains(s, n) {
		t.Errorf("%d bits, not one of %d", n, s)
	}
}
