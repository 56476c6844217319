package elf

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The program under test: functions, variables of all kinds, marks with
// semaphores, calls through the PLT.
const program = `
#include <stdio.h>
#include <stdlib.h>
#if SDT
#define _SDT_HAS_SEMAPHORES 1
#include <sys/sdt.h>
__attribute__((section(".probes"))) unsigned short ut_sem_semaphore, ut_hit_semaphore, ut_global_semaphore, ut_element_semaphore;
#define MARK(...) __VA_ARGS__
#else
#define MARK(...)
#endif
struct pt { int x; long y; };
int gcount = 3;
__thread int tcount;
static struct pt table[4];
static int __attribute__((noinline)) leaf(int d) { gcount += d; MARK(STAP_PROBE2(ut, hit, d, "s");) return d * 2; }
int __attribute__((noinline)) foo(int a, char c, struct pt *p, long n) {
	MARK(STAP_PROBE6(ut, sem, a, c, p->y, n, 42, -7);)
	MARK(STAP_PROBE1(ut, global, gcount);)
	MARK(STAP_PROBE1(ut, element, table[a & 3].x);)
	return leaf(a) + puts("x");
}
int main(int argc, char **argv) {
	struct pt p = { 1, 2 };
	tcount = argc;
	return foo(argc > 1 ? atoi(argv[1]) : 0, 'c', &p, 5) + abs(rand());
}
`

// build compiles the program and returns its path, or skips.
func build(t testing.TB, flags ...string) string {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("needs a Linux compiler")
	}
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("gcc is not installed")
	}
	dir := t.TempDir()
	src, out := filepath.Join(dir, "ut.c"), filepath.Join(dir, "ut")
	if err := os.WriteFile(src, []byte(program), 0o644); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(flags, "-DSDT=0") {
		if err := exec.Command("gcc", "-E", "-include", "sys/sdt.h", "-xc", "/dev/null", "-o", os.DevNull).Run(); err != nil {
			t.Skip("sys/sdt.h is not installed (package systemtap-sdt-dev)")
		}
		flags = append(flags, "-DSDT=1")
	}
	args := append([]string{"-g", "-O1", "-Wl,--build-id", "-o", out, src}, flags...)
	if msg, err := exec.Command("gcc", args...).CombinedOutput(); err != nil {
		t.Fatalf("gcc %v: %v\n%s", args, err, msg)
	}
	return out
}

func open(t testing.TB, path string) *File {
	t.Helper()
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// tool runs a program of binutils.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is not installed", name)
	}
	out, err := exec.Command(name, args...).Output()
	// readelf fails, its output done, when it misses a file of debug links.
	if err != nil && (name != "readelf" || len(out) == 0) {
		t.Fatalf("%s %v: %v", name, args, err)
	}
	return string(out)
}

// TestSymbols compares the symbols of a program and of the C library with nm.
func TestSymbols(t *testing.T) {
	prog := build(t)
	libc, err := (&Search{}).Libraries(func(n string) bool { return n == "libc.so.6" })
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path string
		args []string
	}{
		{prog, []string{"--defined-only"}},
		{libc[0], []string{"--defined-only", "-D"}},
	} {
		f := open(t, c.path)
		out := tool(t, "nm", append(c.args, c.path)...)
		n := 0
		for line := range strings.Lines(out) {
			w := strings.Fields(line)
			if len(w) != 3 || w[1] == "A" || w[1] == "a" {
				continue // absolute ones are no places
			}
			n++
			addr, err := strconv.ParseUint(w[0], 16, 64)
			if err != nil {
				t.Fatal(err)
			}
			syms, err := f.Lookup(w[2])
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(syms, func(s Symbol) bool { return s.Addr == addr }) {
				t.Errorf("%s: no %s", c.path, strings.TrimSpace(line))
			}
			if strings.ContainsAny(w[1], "Tt") {
				if off, ok := f.Offset(addr); !ok || !f.Executable(addr) {
					t.Errorf("%s: %s is not in the file", c.path, w[2])
				} else if back, ok := f.Addr(off); !ok || back != addr {
					t.Errorf("%s: offset %#x is at %#x, not %#x", c.path, off, back, addr)
				}
			}
		}
		if n < 20 {
			t.Errorf("%s: compared %d symbols", c.path, n)
		}
	}
	f := open(t, prog)
	for name, kind := range map[string]Kind{"foo": Func, "leaf": Func, "gcount": Object, "tcount": TLS} {
		syms, err := f.Lookup(name)
		if err != nil || len(syms) != 1 || syms[0].Kind != kind || syms[0].Global != (name != "leaf") {
			t.Errorf("%s: %+v, %v", name, syms, err)
		}
	}
	foo, _ := f.Lookup("foo")
	if s, off, ok := f.At(foo[0].Addr + 5); !ok || s.Name != "foo" || off != 5 {
		t.Errorf("foo+5 is %s+%d, %v", s.Name, off, ok)
	}
	if _, _, ok := f.At(1 << 60); ok {
		t.Error("named an address outside the file")
	}
	lib := open(t, libc[0])
	if lib.Interp == "" && prog != "" && f.Interp == "" {
		t.Error("the program has no interpreter")
	}
	ms, err := lib.Lookup("malloc")
	if err != nil || len(ms) != 1 || !strings.HasPrefix(ms[0].Version, "GLIBC_") {
		t.Errorf("malloc: %+v, %v", ms, err)
	}
	if v, err := lib.Lookup("malloc@@" + ms[0].Version); err != nil || len(v) != 1 {
		t.Errorf("malloc of its version: %+v, %v", v, err)
	}
	if v, err := lib.Lookup("malloc@NO_SUCH"); err != nil || len(v) != 0 {
		t.Errorf("malloc of no version: %+v, %v", v, err)
	}
}

// TestAt names every byte of the program's functions and compares with nm -S.
func TestAt(t *testing.T) {
	f := open(t, build(t))
	syms, err := f.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range syms {
		if s.Kind != Func {
			continue
		}
		for off := range s.Size {
			got, o, ok := f.At(s.Addr + off)
			if !ok || got.Addr != s.Addr || o != off {
				t.Fatalf("%s+%d is %s+%d", s.Name, off, got.Name, o)
			}
		}
	}
}

func TestBuildID(t *testing.T) {
	path := build(t)
	out := tool(t, "readelf", "-n", path)
	m := regexp.MustCompile(`Build ID: ([0-9a-f]+)`).FindStringSubmatch(out)
	if m == nil {
		t.Fatal("readelf shows no build-id")
	}
	if f := open(t, path); f.BuildID != m[1] {
		t.Errorf("build-id %s, want %s", f.BuildID, m[1])
	}
}

// TestMarks compares the marks with readelf's reading of the notes.
func TestMarks(t *testing.T) {
	for _, flags := range [][]string{nil, {"-O0"}, {"-O2", "-no-pie"}, {"-static"}} {
		path := build(t, flags...)
		f := open(t, path)
		marks, err := f.Marks()
		if err != nil {
			t.Fatal(err)
		}
		re := regexp.MustCompile(`Provider: (\S+)\s+Name: (\S+)\s+Location: 0x([0-9a-f]+), Base: 0x[0-9a-f]+, Semaphore: 0x([0-9a-f]+)\s+Arguments: (.*)`)
		want := map[string]bool{}
		for _, m := range re.FindAllStringSubmatch(tool(t, "readelf", "-n", path), -1) {
			if m[1] == "ut" {
				want[fmt.Sprintf("%s:%s %s %s %s", m[1], m[2], m[3], m[4], strings.TrimSpace(m[5]))] = true
			}
		}
		seen := map[string]Mark{}
		for _, m := range marks {
			if m.Provider != "ut" {
				continue // the C library's
			}
			key := fmt.Sprintf("%s:%s %016x %016x %s", m.Provider, m.Name, m.Addr, m.Semaphore, strings.TrimSpace(m.ArgText))
			if !want[key] {
				t.Errorf("%v: unexpected mark %s", flags, key)
			}
			delete(want, key)
			seen[m.Name] = m
			if _, ok := f.Offset(m.Addr); !ok || !f.Executable(m.Addr) {
				t.Errorf("%v: %s is not in code", flags, m.Name)
			}
			if _, ok := f.Offset(m.Semaphore); m.Semaphore != 0 && !ok {
				t.Errorf("%v: semaphore of %s is not in the file", flags, m.Name)
			}
			for i, a := range m.Args {
				if a.Kind == ArgUnknown {
					t.Errorf("%v: argument %d of %s is not understood: %s", flags, i+1, m.Name, a.Text)
				}
			}
		}
		for k := range want {
			t.Errorf("%v: missing mark %s", flags, k)
		}
		sem := seen["sem"]
		if sem.Semaphore == 0 || len(sem.Args) != 6 || sem.Args[4].Kind != ArgConst || sem.Args[4].Disp != 42 || sem.Args[5].Disp != -7 {
			t.Errorf("%v: %+v", flags, sem)
		}
	}
}

func TestParseArgs(t *testing.T) {
	for _, c := range []struct {
		machine elf.Machine
		text    string
		want    string
	}{
		{elf.EM_X86_64, "-4@%edi 8@%rax 1@%sil 2@%r10w 1@%ah -4@%r15d", "reg5/-4 reg0/8 reg4/1 reg10/2 reg0>>8/1 reg15/-4"},
		{elf.EM_X86_64, "-4@$5 8@$-1 8@$18446744073709551615 $3", "const5/-4 const-1/8 const-1/8 const3/-8"},
		{elf.EM_X86_64, "8@-8(%rbp) 4@(%rax) -1@16(%rsp,%rbx,4) 8@(%rax,%rcx)", "mem6+0*0-8/8 mem0+0*0+0/4 mem7+3*4+16/-1 mem0+2*1+0/8"},
		{elf.EM_X86_64, "8@8(,%rax,8)", "mem-1+0*8+8/8"},
		{elf.EM_X86_64, "4@nosuch(%rip) 8f@%xmm0 4@%zz 8@(%rax,%rbx,3) 8@(%rax 9@%rax @", "?/4 ?/8 ?/4 ?/8 ?/8 ?/-8 ?/-8"},
		{elf.EM_X86_64, "%rdi", "reg5/-8"},
		{elf.EM_386, "4@%eax 4@%esp 1@%dl", "reg0/4 reg4/4 reg2/1"},
		{elf.EM_AARCH64, "8@x0 -4@w19 4@[sp, 60] -8@[x1] 8@[x0, x2] 4@7 8@[sp, -16]", "reg0/8 reg19/-4 mem31+0*0+60/4 mem1+0*0+0/-8 mem0+2*1+0/8 const7/4 mem31+0*0-16/8"},
		{elf.EM_AARCH64, "8@x31 4@[q0] 8@[sp", "?/8 ?/4 ?/8"},
		{elf.EM_RISCV, "8@a0 -4@-20(s0) 4@12 8@s11 8@t6", "reg10/8 mem8+0*0-20/-4 const12/4 reg27/8 reg31/8"},
		{elf.EM_PPC64, "8@%r3", "?/8"},
		{elf.EM_X86_64, "", ""},
	} {
		f := &File{Machine: c.machine, Class: elf.ELFCLASS64, f: &elf.File{}}
		var got []string
		for _, a := range f.ParseArgs(c.text) {
			s := "?"
			switch a.Kind {
			case ArgConst:
				s = fmt.Sprintf("const%d", a.Disp)
			case ArgReg:
				s = fmt.Sprintf("reg%d", a.Reg)
				if a.Shift > 0 {
					s += fmt.Sprintf(">>%d", a.Shift)
				}
			case ArgMem:
				s = fmt.Sprintf("mem%d+%d*%d%+d", a.Reg, max(a.Index, 0), a.Scale, a.Disp)
			}
			if a.Signed {
				s += fmt.Sprintf("/-%d", a.Bytes)
			} else {
				s += fmt.Sprintf("/%d", a.Bytes)
			}
			got = append(got, s)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%v %q:\n%s, want\n%s", c.machine, c.text, strings.Join(got, " "), c.want)
		}
	}
}

// TestPLT compares the stubs with objdump's names for them.
func TestPLT(t *testing.T) {
	for _, flags := range [][]string{nil, {"-no-pie"}, {"-fcf-protection=full", "-Wl,-z,ibtplt"}, {"-Wl,-z,now"}} {
		path := build(t, flags...)
		f := open(t, path)
		got, err := f.PLT()
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]uint64{}
		for _, m := range regexp.MustCompile(`(?m)^([0-9a-f]+) <(\w+)@plt>:`).FindAllStringSubmatch(tool(t, "objdump", "-d", path), -1) {
			addr, err := strconv.ParseUint(m[1], 16, 64)
			if err != nil {
				t.Fatal(err)
			}
			want[m[2]] = addr
		}
		if len(want) < 3 || len(got) != len(want) {
			t.Errorf("%v: %d stubs, objdump has %d", flags, len(got), len(want))
		}
		for _, e := range got {
			if want[e.Name] != e.Addr {
				t.Errorf("%v: %s at %#x, objdump has %#x", flags, e.Name, e.Addr, want[e.Name])
			}
		}
	}
}

func TestArm64Stub(t *testing.T) {
	// 0x5d0: adrp x16, 0x20000; ldr x17, [x16, #8]; add x16, x16, #8; br x17
	code := []byte{0x10, 0x01, 0x00, 0x90, 0x11, 0x06, 0x40, 0xf9, 0x10, 0x22, 0x00, 0x91, 0x20, 0x02, 0x1f, 0xd6}
	if n, slot := arm64Stub(code, 0x5d0); n != 16 || slot != 0x20008 {
		t.Errorf("%d bytes, slot %#x", n, slot)
	}
	// A page before: adrp x16, -0x1000
	back := []byte{0xf0, 0xff, 0xff, 0xf0, 0x11, 0x06, 0x40, 0xf9}
	if _, slot := arm64Stub(back, 0x25d0); slot != 0x1008 {
		t.Errorf("slot %#x", slot)
	}
}

func TestDebugFile(t *testing.T) {
	path := build(t)
	dir := filepath.Dir(path)
	debug := filepath.Join(dir, "ut.debug")
	tool(t, "objcopy", "--only-keep-debug", path, debug)
	tool(t, "objcopy", "--strip-all", "--add-gnu-debuglink="+debug, path)
	f := open(t, path)
	if syms, err := f.Lookup("foo"); err != nil || len(syms) != 0 {
		t.Fatalf("%v, %v", syms, err)
	}
	s := &Search{Debug: []string{filepath.Join(dir, "debug")}}
	got, err := s.DebugFile(f)
	if err != nil || got != debug {
		t.Errorf("by debug link: %s, %v", got, err)
	}
	byID := filepath.Join(dir, "debug", ".build-id", f.BuildID[:2], f.BuildID[2:]+".debug")
	if err := os.MkdirAll(filepath.Dir(byID), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(debug, byID); err != nil {
		t.Fatal(err)
	}
	if got, err := s.DebugFile(f); err != nil || got != byID {
		t.Errorf("by build-id: %s, %v", got, err)
	}
	d := open(t, byID)
	if syms, err := d.Lookup("foo"); err != nil || len(syms) != 1 || d.BuildID != f.BuildID {
		t.Errorf("%v, %v", syms, err)
	}
	if err := os.WriteFile(byID, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := s.DebugFile(f); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file of another build-id: %s, %v", got, err)
	}
	if name, _, ok := f.DebugLink(); !ok || name != "ut.debug" {
		t.Errorf("debug link %q", name)
	}
}

// TestLibraries compares what a program needs with ldd.
func TestLibraries(t *testing.T) {
	s := &Search{}
	sh, err := s.Executable("sh")
	if err != nil {
		t.Skip(err)
	}
	git := sh
	if g, err := s.Executable("git"); err == nil {
		git = g
	}
	if _, err := exec.LookPath("ldd"); err != nil {
		t.Skip("no ldd")
	}
	f := open(t, git)
	paths, missing, err := s.Needed(f)
	if err != nil || len(missing) > 0 {
		t.Fatalf("missing %v, %v", missing, err)
	}
	var got, want []string
	for _, p := range paths {
		if !strings.Contains(p, "/ld-linux") && !strings.Contains(p, "/ld-") {
			got = append(got, filepath.Base(p))
		}
	}
	for _, m := range regexp.MustCompile(`=> (\S+)`).FindAllStringSubmatch(tool(t, "ldd", git), -1) {
		real, err := filepath.EvalSymlinks(m[1])
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, filepath.Base(real))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) || len(want) == 0 {
		t.Errorf("%v\nldd: %v", got, want)
	}
	if _, err := s.Libraries(func(n string) bool { return n == "libnosuch.so" }); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := s.Executable("no-such-program"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := s.Executable("/no/such/program"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// TestLibrariesWithoutCache finds the C library by the directories alone.
func TestLibrariesWithoutCache(t *testing.T) {
	s := &Search{}
	s.cacheOnce.Do(func() {})
	a, err1 := s.Libraries(func(n string) bool { return n == "libc.so.6" })
	b, err2 := (&Search{}).Libraries(func(n string) bool { return n == "libc.so.6" })
	if err1 != nil && err2 != nil {
		t.Skip("no GNU C library")
	}
	if len(a) == 0 || len(b) == 0 || a[0] != b[0] {
		t.Errorf("%v, %v; %v, %v", a, err1, b, err2)
	}
}

// TestSysroot finds a library and a program below another root.
func TestSysroot(t *testing.T) {
	prog := build(t)
	root := t.TempDir()
	for name, data := range map[string]string{
		"etc/ld.so.conf":              "# comment\ninclude ld.so.conf.d/*.conf\n",
		"etc/ld.so.conf.d/local.conf": "/opt/lib\n",
	} {
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(prog)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"opt/lib/libx.so.1", "usr/bin/x"} {
		p = filepath.Join(root, p)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s := &Search{Root: root, Path: []string{"/bin", "/usr/bin"}}
	libs, err := s.Libraries(func(n string) bool { return strings.HasPrefix(n, "libx.so") })
	if err != nil || len(libs) != 1 || libs[0] != filepath.Join(root, "opt/lib/libx.so.1") {
		t.Errorf("%v, %v", libs, err)
	}
	// What the variable says comes first.
	first := filepath.Join(root, "first/libx.so.1")
	if err := os.MkdirAll(filepath.Dir(first), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(first, data, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("LD_LIBRARY_PATH", "/none:/first")
	for _, s := range []*Search{{Root: root}, {Root: root, LibraryPath: []string{"/first"}}} {
		libs, err := s.Libraries(func(n string) bool { return n == "libx.so.1" })
		if err != nil || len(libs) != 2 || libs[0] != first {
			t.Errorf("%v, %v", libs, err)
		}
	}
	none := &Search{Root: root, LibraryPath: []string{}}
	if libs, err := none.Libraries(func(n string) bool { return n == "libx.so.1" }); err != nil || len(libs) != 1 {
		t.Errorf("%v, %v", libs, err)
	}
	if p, err := s.Executable("x"); err != nil || p != filepath.Join(root, "usr/bin/x") {
		t.Errorf("%v, %v", p, err)
	}
	// Links are meant below the root, absolute ones and those that lead out of it, too.
	for link, to := range map[string]string{"bin": "/usr/bin", "usr/bin/y": "../../../../usr/bin/x", "usr/bin/loop": "loop"} {
		if err := os.Symlink(to, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{"/bin/x": "/usr/bin/x", "/bin/y": "/usr/bin/x", "/no/such": "/no/such"} {
		if file, name := s.Real(s.In(path)); name != want || file != root+want {
			t.Errorf("%s is %s, %s", path, file, name)
		}
	}
	if _, name := s.Real(s.In("/bin/loop")); name == "" {
		t.Error("a link to itself has no name")
	}
	if file, name := s.Real(prog); file != name || file != prog {
		t.Errorf("%s is %s, %s", prog, file, name)
	}
	other := &Search{Root: root, Machine: elf.EM_S390}
	if libs, err := other.Libraries(func(n string) bool { return strings.HasPrefix(n, "libx.so") }); err == nil {
		t.Errorf("found for another machine: %v", libs)
	}
}

func TestGo(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f, err := Open(exe)
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	if !f.IsGo() {
		t.Error("this test is not recognised as Go")
	}
	if g := open(t, build(t)); g.IsGo() {
		t.Error("a C program is taken for Go")
	}
}

func FuzzOpen(f *testing.F) {
	if path := build(f, "-s", "-nostartfiles", "-Wl,-e,main"); path != "" {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(elf.ELFMAG + "\x02\x01\x01"))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := New("fuzz", bytes.NewReader(data))
		if err != nil {
			return
		}
		e.Symbols()
		e.Marks()
		e.PLT()
		e.DebugLink()
		e.At(0x1000)
		e.IsGo()
		if off, ok := e.Offset(0x1000); ok {
			e.Addr(off)
		}
		e.Bytes(0x1000, 100)
		(&Search{Root: t.TempDir()}).Needed(e)
	})
}

// BenchmarkSymbols reads the symbols of the Go command, a large program.
func BenchmarkSymbols(b *testing.B) {
	path, err := exec.LookPath("go")
	if err != nil {
		b.Skip(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		f, err := Open(path)
		if err != nil {
			b.Skip(err)
		}
		syms, err := f.Symbols()
		if err != nil || len(syms) < 1000 {
			b.Fatal(len(syms), err)
		}
		f.Close()
	}
}
