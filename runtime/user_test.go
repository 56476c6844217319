//go:build linux

package loader

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"stapkit/ir"
)

// compileC builds a C program, or skips the test where there is no compiler.
func compileC(t *testing.T, source string, flags ...string) string {
	t.Helper()
	dir := t.TempDir()
	src, out := filepath.Join(dir, "p.c"), filepath.Join(dir, "p")
	if err := os.WriteFile(src, []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("needs gcc")
	}
	msg, err := exec.Command("gcc", append([]string{"-O1", "-o", out, src}, flags...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("gcc: %v\n%s", err, msg)
	}
	return out
}

// A mark as <sys/sdt.h> makes it, without needing that header: x86-64 only.
const marked = `
#define MARK(arg) __asm__ volatile ("990: nop\n.pushsection .note.stapsdt,\"\",\"note\"\n.balign 4\n" \
	".4byte 992f-991f,994f-993f,3\n991: .asciz \"stapsdt\"\n992: .balign 4\n993: .8byte 990b\n.8byte _.stapsdt.base\n.8byte 0\n" \
	".asciz \"prov\"\n.asciz \"hit\"\n.asciz \"" arg "\"\n994: .balign 4\n.popsection\n" \
	".ifndef _.stapsdt.base\n.pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n.weak _.stapsdt.base\n.hidden _.stapsdt.base\n" \
	"_.stapsdt.base: .space 1\n.size _.stapsdt.base,1\n.popsection\n.endif\n" ::)
__attribute__((noinline)) int work(int n) { MARK("-4@%%edi"); return n * EXTRA; }
int main(int argc, char **argv) { return work(argc); }
`

func TestLocate(t *testing.T) {
	one := compileC(t, marked, "-DEXTRA=3")
	two := compileC(t, "int pad(int x) { return x * x + 7 * x; }\n"+marked, "-DEXTRA=5")
	ss := &spots{}
	defer ss.close()
	fn := func(path, sym string, off uint64) (spot, error) {
		return ss.locate(&ir.Attach{Carrier: "uprobe", Target: path, Symbol: sym, Offset: off})
	}
	w1, err := fn(one, "work", 0)
	if err != nil {
		t.Fatal(err)
	}
	w1b, err := fn(one, "work", 4)
	if err != nil || w1b.offset != w1.offset+4 {
		t.Errorf("work+4 at %#x, work at %#x: %v", w1b.offset, w1.offset, err)
	}
	if _, err := fn(one, "no_such", 0); err == nil || !strings.Contains(err.Error(), "no function no_such") {
		t.Errorf("missing function: %v", err)
	}
	if _, err := fn(filepath.Join(t.TempDir(), "none"), "work", 0); !os.IsNotExist(err) {
		t.Errorf("missing file: %v", err)
	}
	if _, err := ss.locate(&ir.Attach{Carrier: "uprobe", Target: one, Offset: 64, BuildID: "abcd"}); err == nil || !strings.Contains(err.Error(), "abcd") {
		t.Errorf("another build: %v", err)
	}
	if s, err := ss.locate(&ir.Attach{Carrier: "uprobe", Target: one, Offset: 64}); err != nil || s.offset != 64 {
		t.Errorf("plain offset: %v %v", s, err)
	}

	mark := func(path string, off uint64, spec string) (spot, error) {
		return ss.locate(&ir.Attach{Carrier: "usdt", Target: path, Symbol: "prov:hit", Offset: off, Spec: spec})
	}
	m1, err := mark(one, 0, "-4@%edi")
	if err != nil {
		t.Fatal(err)
	}
	if m1.offset < w1.offset || m1.offset > w1.offset+16 {
		t.Errorf("mark at %#x, its function at %#x", m1.offset, w1.offset)
	}
	// The same mark in another build of the program.
	m2, err := mark(two, m1.offset+1, "-4@%edi")
	if err != nil || m2.offset == m1.offset+1 {
		t.Errorf("mark in the second build: %v, %v", m2, err)
	}
	if _, err := mark(two, m2.offset, ""); err != nil {
		t.Errorf("the very place: %v", err)
	}
	for _, tc := range []struct {
		off  uint64
		spec string
	}{{m2.offset + 1, ""}, {m2.offset, "-4@%eax"}, {m2.offset + 1, "-4@%eax"}} {
		if _, err := mark(two, tc.off, tc.spec); err == nil || !strings.Contains(err.Error(), "another build") {
			t.Errorf("%+v: %v", tc, err)
		}
	}
	if _, err := ss.locate(&ir.Attach{Carrier: "usdt", Target: one, Symbol: "prov:none"}); err == nil || !strings.Contains(err.Error(), "no mark") {
		t.Errorf("missing mark: %v", err)
	}
}

// TestUserSymbols names addresses of a real process: this one, and one that has
// ended since.
func TestUserSymbols(t *testing.T) {
	bin := compileC(t, `#include <unistd.h>
int work(void) { char c; return read(0, &c, 1); }
int main(void) { return work(); }`)
	cmd := exec.Command(bin)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	u := newUserSymbols(newLocal(nil, nil))
	pid := cmd.Process.Pid
	// The mappings of a process are complete when it has started.
	for range 100 {
		maps, _, err := readMaps(u.rights, pid)
		if err == nil && len(maps) > 0 && maps[0].path == bin {
			break
		}
	}
	u.note(pid)
	p := u.procs[pid]
	if p == nil || len(p.maps) == 0 || p.maps[0].path != bin {
		t.Fatalf("mappings %+v", p)
	}
	ss := &spots{}
	defer ss.close()
	at, err := ss.locate(&ir.Attach{Carrier: "uprobe", Target: bin, Symbol: "work"})
	if err != nil {
		t.Fatal(err)
	}
	addr := p.maps[0].start + at.offset - p.maps[0].offset
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	for kind, want := range map[ir.Text]string{
		ir.TextUSym: "work", ir.TextUMod: bin,
	} {
		if got := u.symbol(kind, pid, addr); got != want {
			t.Errorf("kind %d: %q, want %q", kind, got, want)
		}
	}
	if got := u.symbol(ir.TextUSymData, pid, addr+2); !strings.HasPrefix(got, "work+0x2/0x") || !strings.HasSuffix(got, "["+bin+"]") {
		t.Errorf("data: %q", got)
	}
	var b strings.Builder
	for _, kind := range []ir.Text{ir.TextUStackSym, ir.TextUStackBrief} {
		u.frame(&b, kind, pid, addr+1, false)
		u.frame(&b, kind, pid, 8, false)
	}
	if b.String() != "work+0x1 [p]\n0x8\nwork+0x1\n0x8\n" {
		t.Errorf("frames %q", b.String())
	}
	if got := u.symbol(ir.TextUSym, pid, 8); got != "0x8" {
		t.Errorf("nowhere: %q", got)
	}
	if got := u.symbol(ir.TextUMod, 1<<30, 8); got != "<unknown>" {
		t.Errorf("no process: %q", got)
	}
}

// A traced program names its symbols and files as it likes.
func TestShown(t *testing.T) {
	for in, want := range map[string]string{
		"work": "work", "a b;ü日": "a b;ü日", "f\n 0x1 : g": `f\012 0x1 : g`, "\x1b[2J\x7f": `\033[2J\177`, "\u009b1m": `\302\2331m`, "\xff": `\377`,
	} {
		if got := shown(in); got != want {
			t.Errorf("%q is shown as %q, want %q", in, got, want)
		}
	}
}
