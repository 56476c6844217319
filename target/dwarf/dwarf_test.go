package dwarf

import (
	"bytes"
	"debug/elf"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"stapkit/target/ctype"
	elffile "stapkit/target/elf"
)

var update = flag.Bool("update", false, "rewrite golden files")

// compile builds a program of testdata and returns its path, or skips.
func compile(t testing.TB, source string, flags ...string) string {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("needs a Linux compiler")
	}
	cc := "gcc"
	if filepath.Ext(source) == ".cc" {
		cc = "g++"
	}
	if _, err := exec.LookPath(cc); err != nil {
		t.Skip(cc + " is not installed")
	}
	// Compiled where it is copied to, so that names of files are the same
	// everywhere.
	dir := t.TempDir()
	data, err := os.ReadFile(filepath.Join("testdata", source))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, source), data, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(cc, append([]string{"-g", "-o", "prog", source}, flags...)...)
	cmd.Dir = dir
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", cc, flags, err, msg)
	}
	return filepath.Join(dir, "prog")
}

func load(t testing.TB, path string) *Data {
	t.Helper()
	f, err := elffile.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	d, err := Load(f, &elffile.Search{Debug: []string{filepath.Join(filepath.Dir(path), "debug")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func tool(t testing.TB, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is not installed", name)
	}
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		t.Fatalf("%s %v: %v", name, args, err)
	}
	return string(out)
}

// variants are the ways in which programs are compiled for tests that hold for
// all of them.
var variants = [][]string{
	{"-O0", "-gdwarf-5"}, {"-O1", "-gdwarf-5"}, {"-O2", "-gdwarf-5"}, {"-O2", "-gdwarf-4"}, {"-O0", "-gdwarf-4", "-no-pie"},
	{"-O2", "-gdwarf-3"}, {"-O0", "-gdwarf-2"}, {"-O2", "-gdwarf-4", "-fdebug-types-section"}, {"-Os", "-gdwarf-5", "-static"},
	{"-O2", "-gdwarf-5", "-ffunction-sections", "-Wl,--gc-sections"}, {"-O2", "-gdwarf-5", "-gz"}, {"-O2", "-flto"}, {"-O1", "-fno-omit-frame-pointer"},
	{"-O2", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables"},
}

// TestTypes compares the layouts of all types of the test program, in every
// variant, with a golden file. That file agrees with what the program itself
// says of sizes and offsets (TestOffsets).
func TestTypes(t *testing.T) {
	golden := filepath.Join("testdata", "types.txtar")
	names := []string{"struct all", "struct bits", "union u", "enum color", "struct list", "fn_t", "struct packed", "struct flex", "unsigned_t", "struct anon", "enum neg"}
	for i, v := range variants {
		d := load(t, compile(t, "types.c", v...))
		a := &txtar.Archive{}
		for _, n := range names {
			typ, ok := d.Type(n)
			if !ok {
				t.Errorf("%v: no %s", v, n)
				continue
			}
			a.Files = append(a.Files, txtar.File{Name: n, Data: []byte(ctype.Layout(typ))})
		}
		if i == 0 && *update {
			if err := os.WriteFile(golden, txtar.Format(a), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := txtar.ParseFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		for j, f := range want.Files {
			if j >= len(a.Files) || a.Files[j].Name != f.Name {
				t.Fatalf("%v: other types than in %s", v, golden)
			}
			if got := a.Files[j].Data; !bytes.Equal(got, f.Data) {
				t.Errorf("%v: %s:\n%s\nwant\n%s", v, f.Name, got, f.Data)
			}
		}
		if n, e, ok := d.Constant("GREEN"); !ok || n != 5 || e.Name != "color" {
			t.Errorf("%v: GREEN is %d of %v, %v", v, n, e, ok)
		}
		if n, _, ok := d.Constant("MINUS"); !ok || n != -3 {
			t.Errorf("%v: MINUS is %d, %v", v, n, ok)
		}
	}
}

// TestOffsets compares offsets and sizes with what the program prints.
func TestOffsets(t *testing.T) {
	path := compile(t, "types.c")
	d := load(t, path)
	lines := 0
	for line := range strings.Lines(tool(t, path)) {
		// struct all.next 8 8: type, member, offset, size
		f := strings.Fields(line)
		if len(f) != 4 {
			t.Fatalf("%q", line)
		}
		lines++
		typ, ok := d.Type(f[0] + " " + strings.Split(f[1], ".")[0])
		if !ok {
			t.Errorf("no type for %q", line)
			continue
		}
		var steps []ctype.Step
		for _, m := range strings.Split(f[1], ".")[1:] {
			steps = append(steps, ctype.M(m))
		}
		p, err := ctype.Resolve(typ, steps)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := fmt.Sprintf("%d %d", p.Hops[0].Offset, p.Type.Size()); got != f[2]+" "+f[3] {
			t.Errorf("%s: %s", strings.TrimSpace(line), got)
		}
	}
	if lines < 20 {
		t.Errorf("compared %d members", lines)
	}
}

// TestFunctions compares functions with the symbol table, by name and address.
func TestFunctions(t *testing.T) {
	for _, v := range variants {
		path := compile(t, "args.c", v...)
		d := load(t, path)
		want := map[string]uint64{}
		for line := range strings.Lines(tool(t, "nm", "--defined-only", path)) {
			f := strings.Fields(line)
			if len(f) == 3 && (f[1] == "t" || f[1] == "T") {
				a, err := strconv.ParseUint(f[0], 16, 64)
				if err != nil {
					t.Fatal(err)
				}
				want[f[2]] = a
			}
		}
		for _, n := range []string{"take", "stake", "main", "values", "many"} {
			is := d.Lookup(n)
			if len(is) != 1 || is[0].Addr != want[n] {
				t.Errorf("%v: %s: %d instances, want one at %#x", v, n, len(is), want[n])
				continue
			}
			i := is[0]
			if i.Decl.File != filepath.Join(filepath.Dir(path), "args.c") || i.Decl.Line < 20 || i.External == (n == "stake" || n == "values" || n == "many") {
				t.Errorf("%v: %s: declared at %v, external %v", v, n, i.Decl, i.External)
			}
			if b := i.Body(); b < i.Addr || !i.Contains(b) {
				t.Errorf("%v: %s: body %#x of %#x", v, n, b, i.Addr)
			}
			if at, ok := d.At(i.Addr); !ok || at.Name != n {
				t.Errorf("%v: at %#x is %v, not %s", v, i.Addr, at, n)
			}
		}
		if got, want := ctype.Prototype("take", d.Lookup("take")[0].Type()), "int take(int a, char c, short int s, long int n, struct pt *p, unsigned char uc, long int seventh, int eighth, struct small sm, struct big b, enum color e, double dbl, _Bool yes, const char *text)"; got != want {
			t.Errorf("%v: %s\nwant %s", v, got, want)
		}
		if got := d.Lookup("nosuch"); got != nil {
			t.Errorf("%v", got)
		}
		if !slices.Contains(d.Names(), "take") || !slices.IsSorted(d.Names()) {
			t.Errorf("%v: names %v", v, d.Names())
		}
		if g := d.Globals("gcount", ""); len(g) != 1 || ctype.Name(g[0].Type) != "int" {
			t.Errorf("%v: gcount: %v", v, g)
		} else if l, err := g[0].Location(0); err != nil || l.Base != Static {
			t.Errorf("%v: gcount at %v, %v", v, l, err)
		}
		if g := d.Globals("tcount", "args.c"); len(g) != 1 {
			t.Errorf("%v: tcount: %v", v, g)
		} else if l, err := g[0].Location(0); err != nil || l.Base != ThreadLocal {
			t.Errorf("%v: tcount at %v, %v", v, l, err)
		}
		if g := d.Globals("gcount", "other.c"); len(g) != 0 {
			t.Errorf("%v: gcount of another file: %v", v, g)
		}
	}
}

// TestInlined compares inlined instances with readelf's list of entries.
func TestInlined(t *testing.T) {
	for _, v := range [][]string{{"-O2", "-gdwarf-5"}, {"-O2", "-gdwarf-4"}, {"-O2", "-flto"}} {
		path := compile(t, "inline.c", v...)
		d := load(t, path)
		is := d.Inlined("twice")
		if len(is) != 3 {
			t.Errorf("%v: %d instances", v, len(is))
		}
		info := tool(t, "readelf", "--debug-dump=info", path)
		entries := strings.Split(info, "DW_TAG_inlined_subroutine")
		if len(entries)-1 < len(is) {
			t.Errorf("%v: readelf has %d", v, len(entries)-1)
		}
		var callers []string
		for _, i := range is {
			callers = append(callers, i.Caller)
			if !i.Inlined || i.Call.Line == 0 || filepath.Base(i.Call.File) != "inline.c" || i.Decl.Line != 3 {
				t.Errorf("%v: %+v", v, i)
			}
			found := false
			for _, e := range entries[1:] {
				found = found || strings.Contains(e, fmt.Sprintf("0x%x", i.Addr))
			}
			if !found {
				t.Errorf("%v: readelf has no instance at %#x", v, i.Addr)
			}
			ps := i.Params()
			if len(ps) != 1 || ps[0].Name != "n" || ctype.Name(ps[0].Type) != "int" {
				t.Errorf("%v: parameters %v", v, ps)
			}
		}
		slices.Sort(callers)
		if got := strings.Join(callers, " "); got != "first second second" {
			t.Errorf("%v: called from %s", v, got)
		}
		if len(d.Lookup("twice")) != 0 {
			t.Errorf("%v: twice has code of its own", v)
		}
		if got := d.Lookup("second")[0].Callees(); !slices.Contains(got, "twice") || !slices.Contains(got, "first") {
			t.Errorf("%v: callees %v", v, got)
		}
		ls := d.Lookup("second")[0].Labels()
		if len(ls) != 1 || ls[0].Name != "again" || !d.Lookup("second")[0].Contains(ls[0].Addr) {
			t.Errorf("%v: labels %v", v, ls)
		}
	}
}

// TestLines compares the line table with readelf's.
func TestLines(t *testing.T) {
	for _, v := range variants {
		if slices.Contains(v, "-static") {
			continue // the C library's tables are many
		}
		path := compile(t, "args.c", v...)
		d := load(t, path)
		got := map[string]bool{}
		if err := d.Statements(func(f string) bool { return MatchFile(f, "args.c") }, func(s Statement) bool {
			got[fmt.Sprintf("%d %#x", s.Line.Line, s.Addr)] = true
			if l, ok := d.LineOf(s.Addr); !ok || filepath.Base(l.File) != "args.c" {
				t.Errorf("%v: %#x is of %v, %v", v, s.Addr, l, ok)
			}
			return true
		}); err != nil {
			t.Fatal(err)
		}
		want := map[string]bool{}
		for _, m := range regexp.MustCompile(`(?m)^args\.c\s+(\d+)\s+(0x[0-9a-f]+)\s.*\bx$`).FindAllStringSubmatch(tool(t, "readelf", "--debug-dump=decodedline", path), -1) {
			a, err := strconv.ParseUint(m[2], 0, 64)
			if err != nil {
				t.Fatal(err)
			}
			want[m[1]+" "+fmt.Sprintf("%#x", a)] = true
		}
		if !maps.Equal(got, want) || len(want) < 20 {
			t.Errorf("%v: %d statements, readelf has %d", v, len(got), len(want))
			for k := range want {
				if !got[k] {
					t.Errorf("missing %s", k)
				}
			}
			for k := range got {
				if !want[k] {
					t.Errorf("extra %s", k)
				}
			}
		}
		ls, err := d.Lookup("take")[0].Lines()
		if err != nil || len(ls) < 3 {
			t.Errorf("%v: %v, %v", v, ls, err)
		}
	}
}

// TestGolden lists the golden program as SystemTap does (golden list L_ut).
func TestGolden(t *testing.T) {
	dir := os.Getenv("STAPKIT_GOLDEN")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "golden")
	}
	src, err := os.ReadFile(filepath.Join(dir, "programs", "ut.c"))
	if err != nil {
		t.Skipf("no golden files: %v", err)
	}
	list, err := txtar.ParseFile(filepath.Join(dir, "lists", "L_ut.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("gcc is not installed")
	}
	work := t.TempDir()
	if err := os.WriteFile(filepath.Join(work, "ut.c"), src, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("gcc", "-g", "-O1", "-o", "ut", "ut.c")
	cmd.Dir = work
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("%v\n%s", err, msg)
	}
	d := load(t, filepath.Join(work, "ut"))
	var want []string
	for _, f := range list.Files {
		if f.Name == "stdout" {
			want = strings.Split(strings.TrimSpace(string(f.Data)), "\n")
		}
	}
	compared := 0
	for _, w := range want {
		m := regexp.MustCompile(`function\("(\w+)@(.*):(\d+)"\)(.*)`).FindStringSubmatch(w)
		if m == nil || m[1] == "atoi" {
			continue // without debugging information; or of this machine's headers
		}
		is := d.Lookup(m[1])
		if len(is) != 1 {
			t.Errorf("%s: %d instances", m[1], len(is))
			continue
		}
		i := is[0]
		got := fmt.Sprintf("%s:%d", strings.Replace(i.Decl.File, work, "/g", 1), i.Decl.Line)
		for _, v := range i.Params() {
			if _, err := v.AtEntry(); err == nil {
				got += " $" + v.Name + ":" + ctype.Name(v.Type)
			}
		}
		for _, v := range i.Locals(i.Addr) {
			if _, err := v.Location(i.Addr); err == nil {
				got += " $" + v.Name + ":" + ctype.Name(v.Type)
			}
		}
		if want := m[2] + ":" + m[3] + m[4]; got != want {
			t.Errorf("%s: %s\nwant %s", m[1], got, want)
		}
		compared++
	}
	if compared < 3 {
		t.Errorf("compared %d functions", compared)
	}
	is := d.Inlined("atoi")
	if len(is) == 0 || len(is[0].Params()) != 1 || ctype.Name(is[0].Params()[0].Type) != "char const*" {
		t.Errorf("inlined atoi: %v", is)
	}
}

func TestSeparateFile(t *testing.T) {
	path := compile(t, "args.c", "-O2", "-Wl,--build-id")
	want := load(t, path).Lookup("take")[0].Addr
	dir := filepath.Dir(path)
	f, err := elffile.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	id := f.BuildID
	f.Close()
	debug := filepath.Join(dir, "debug", ".build-id", id[:2], id[2:]+".debug")
	if err := os.MkdirAll(filepath.Dir(debug), 0o755); err != nil {
		t.Fatal(err)
	}
	tool(t, "objcopy", "--only-keep-debug", path, debug)
	tool(t, "objcopy", "--strip-debug", path)
	d := load(t, path)
	if d.Path != debug {
		t.Errorf("read from %s", d.Path)
	}
	i := d.Lookup("take")[0]
	if i.Addr != want {
		t.Errorf("at %#x, want %#x", i.Addr, want)
	}
	// The call frame tables are those of the program.
	if _, err := i.Params()[6].AtEntry(); err != nil {
		t.Error(err)
	}
	if err := os.Remove(debug); err != nil {
		t.Fatal(err)
	}
	g, err := elffile.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	for _, s := range []*elffile.Search{nil, {Debug: []string{dir}}} {
		if _, err := Load(g, s); !errors.Is(err, ErrNoDebug) {
			t.Errorf("%v", err)
		}
	}
}

// TestShared reads debugging information of which dwz has moved a part to a
// file of its own.
func TestShared(t *testing.T) {
	if _, err := exec.LookPath("dwz"); err != nil {
		t.Skip("dwz is not installed")
	}
	a := compile(t, "args.c", "-O2", "-gdwarf-4")
	dir := filepath.Dir(a)
	b := filepath.Join(dir, "prog2")
	tool(t, "cp", a, b)
	want := listing(load(t, a))
	tool(t, "dwz", "-m", filepath.Join(dir, "shared.debug"), "-r", a, b)
	d := load(t, a)
	if d.f.alt == nil {
		t.Skip("dwz found nothing to share")
	}
	if got := listing(d); got != want {
		t.Errorf("after dwz:\n%s\nwant\n%s", got, want)
	}
}

// listing writes all functions of a program.
func listing(d *Data) string {
	var b strings.Builder
	for _, n := range d.Names() {
		for _, i := range append(d.Lookup(n), d.Inlined(n)...) {
			fmt.Fprintf(&b, "%s %v %#x %s", ctype.Prototype(n, i.Type()), i.Inlined, i.Addr, filepath.Base(i.Decl.File))
			for _, v := range append(i.Params(), i.Locals(i.Addr)...) {
				l, err := v.Location(i.Addr)
				fmt.Fprintf(&b, " %s %v %v", v.Name, l, err)
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

func TestCplusplus(t *testing.T) {
	path := compile(t, "cpp.cc", "-O1")
	d := load(t, path)
	is := d.Lookup("area")
	if len(is) != 2 {
		t.Fatalf("%d functions named area", len(is))
	}
	got := map[string]string{}
	for _, i := range is {
		got[i.Linkage] = ctype.Prototype("area", i.Type())
		ps := i.Params()
		if len(ps) == 0 || ps[0].Name != "this" || ps[0].Param != 0 {
			t.Errorf("%s: parameters %v", i.Linkage, ps)
		} else if l, err := ps[0].AtEntry(); err != nil || l.String() != "reg5" {
			t.Errorf("%s: this at %v, %v", i.Linkage, l, err)
		}
	}
	want := map[string]string{
		"_ZNK3geo6Square4areaEi": "int area(const class Square *const this, int scale)",
		"_ZNK3geo5Shape4areaEi":  "int area(const class Shape *const this, int scale)",
	}
	if !maps.Equal(got, want) {
		t.Errorf("%v", got)
	}
	typ, ok := d.Type("class Square")
	if !ok {
		t.Fatal("no class Square")
	}
	s, _ := ctype.AsStruct(typ)
	if _, _, ok := ctype.FindMember(s, "id"); !ok {
		t.Errorf("member of the base class is not found in\n%s", ctype.Layout(typ))
	}
}

// TestGo reads a program of Go's compiler: this one.
func TestGo(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte("package main\nimport \"fmt\"\n//go:noinline\nfunc add(a, b int) int { return a + b }\nfunc main() { fmt.Println(add(1, 2)) }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "build", "-o", "prog", "main.go")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0", "GO111MODULE=off", "GOFLAGS=")
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("%v\n%s", err, msg)
	}
	d := load(t, filepath.Join(dir, "prog"))
	is := d.Lookup("main.add")
	if len(is) != 1 || is[0].Decl.Line != 4 {
		t.Fatalf("%v", is)
	}
	ps := is[0].Params()
	for i, want := range []string{"a reg0 <nil>", "b reg3 <nil>"} {
		l, err := ps[i].AtEntry()
		if got := fmt.Sprintf("%s %v %v", ps[i].Name, l, err); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// kernelImage finds the debug package of a kernel.
func kernelImage(t testing.TB) string {
	if p := os.Getenv("STAPKIT_VMLINUX"); p != "" {
		return p
	}
	ms, err := filepath.Glob("/usr/lib/debug/boot/vmlinux-*")
	if err == nil && len(ms) == 0 {
		// Where the tests' kernels are kept (internal/guest).
		if cache, cerr := os.UserCacheDir(); cerr == nil {
			ms, err = filepath.Glob(filepath.Join(cache, "stapkit/guest/*-debug/root/usr/lib/debug/boot/vmlinux-*"))
		}
	}
	if err != nil || len(ms) == 0 {
		t.Skip("no kernel with debugging information (make debug-kernel, a package linux-image-*-dbg, or STAPKIT_VMLINUX)")
	}
	return ms[0]
}

// TestKernel lists functions as SystemTap does (golden list L_vfs).
func TestKernel(t *testing.T) {
	d := load(t, kernelImage(t))
	for name, want := range map[string]string{
		"vfs_read":     "fs/read_write.c $file:struct file* $buf:char* $count:size_t $pos:loff_t*",
		"vfs_readlink": "fs/namei.c $dentry:struct dentry* $buffer:char* $buflen:int $done:struct delayed_call",
		"vfs_readv":    "fs/read_write.c $file:struct file* $vec:struct iovec const* $vlen:long unsigned int $pos:loff_t* $flags:rwf_t $iovstack:struct iovec[] $iov:struct iovec* $iter:struct iov_iter",
	} {
		is := d.Lookup(name)
		if len(is) != 1 {
			t.Errorf("%s: %d instances", name, len(is))
			continue
		}
		got := is[0].Decl.File
		for _, v := range is[0].Params() {
			if _, err := v.AtEntry(); err == nil {
				got += " $" + v.Name + ":" + ctype.Name(v.Type)
			}
		}
		for _, v := range is[0].Locals(is[0].Addr) {
			if _, err := v.Location(is[0].Addr); err == nil {
				got += " $" + v.Name + ":" + ctype.Name(v.Type)
			}
		}
		if got != want {
			t.Errorf("%s: %s\nwant %s", name, got, want)
		}
	}
	if typ, ok := d.Type("task_struct"); !ok || typ.Size() < 1000 {
		t.Errorf("task_struct: %v, %v", typ, ok)
	}
	if len(d.Inlined("get_current")) < 100 {
		t.Error("get_current is not inlined")
	}
	g := d.Globals("files_stat", "fs/file_table.c")
	if len(g) != 1 || ctype.Name(g[0].Type) != "struct files_stat_struct" {
		t.Errorf("files_stat: %v", g)
	}
}

func BenchmarkKernel(b *testing.B) {
	f, err := elffile.Open(kernelImage(b))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Load(f, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkIndex indexes a program of 2,000 functions.
func BenchmarkIndex(b *testing.B) {
	if _, err := exec.LookPath("gcc"); err != nil {
		b.Skip("gcc is not installed")
	}
	dir := b.TempDir()
	var src strings.Builder
	src.WriteString("struct s { int a; long b; struct s *next; };\n")
	for i := range 2000 {
		fmt.Fprintf(&src, "int f%d(struct s *p, int n, char *t) { int l = n + p->a; if (l > %d) { int k = l * 2; return k + t[0]; } return l; }\n", i, i)
	}
	src.WriteString("int main(void) { return 0; }\n")
	if err := os.WriteFile(filepath.Join(dir, "big.c"), []byte(src.String()), 0o644); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command("gcc", "-g", "-O1", "-o", "big", "big.c")
	cmd.Dir = dir
	if msg, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, msg)
	}
	f, err := elffile.Open(filepath.Join(dir, "big"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	b.ReportAllocs()
	for b.Loop() {
		d, err := Load(f, nil)
		if err != nil {
			b.Fatal(err)
		}
		if len(d.Names()) < 2000 {
			b.Fatal(len(d.Names()))
		}
	}
}

// FuzzInfo reads damaged entries and tables of a real program.
func FuzzInfo(f *testing.F) {
	for _, v := range [][]string{{"-O1", "-gdwarf-5"}, {"-O1", "-gdwarf-4", "-fdebug-types-section"}, {"-O0", "-gdwarf-2"}} {
		path := compile(f, "inline.c", v...)
		e, err := elf.Open(path)
		if err != nil {
			f.Fatal(err)
		}
		sec := func(n string) []byte {
			s := e.Section(n)
			if s == nil {
				return nil
			}
			data, err := s.Data()
			if err != nil {
				f.Fatal(err)
			}
			return data
		}
		f.Add(sec(".debug_info"), sec(".debug_types"), sec(".debug_abbrev"), append(sec(".debug_loclists"), sec(".debug_loc")...), append(sec(".debug_rnglists"), sec(".debug_ranges")...), sec(".debug_line"), sec(".debug_str"), sec(".debug_line_str"))
		e.Close()
	}
	prog, err := os.Executable()
	if err != nil {
		f.Fatal(err)
	}
	program, err := elffile.Open(prog)
	if err != nil {
		f.Skip(err)
	}
	f.Fuzz(func(t *testing.T, info, types, abbrev, loc, ranges, line, str, lineStr []byte) {
		if len(info)+len(types)+len(abbrev)+len(loc)+len(ranges)+len(line) > 1<<16 {
			return
		}
		file := &file{bo: program.Order, abbrevs: map[uint64]*abbrevTable{},
			abbrev: wholePart(abbrev), str: wholePart(str), lineStr: wholePart(lineStr), line: wholePart(line), loc: wholePart(loc), loclists: wholePart(loc),
			ranges: wholePart(ranges), rnglists: wholePart(ranges), addr: wholePart(ranges), strOffsets: wholePart(loc)}
		var err error
		if file.info, err = file.parseUnits(info, nil, false); err != nil {
			return
		}
		if file.types, err = file.parseUnits(types, nil, true); err != nil {
			return
		}
		d := &Data{Program: program, elf: program, f: file, cache: map[typeRef]converted{}, inlines: map[*unit]map[entryKey][]inlinedAt{}}
		d.frames = func() (*elffile.Frames, error) { return nil, elffile.ErrNoFrames }
		if err := d.index(); err != nil {
			return
		}
		n := 0
		for _, name := range d.x.funcs.all() {
			for _, i := range append(d.Lookup(name), d.Inlined(name)...) {
				if n++; n > 20 {
					return
				}
				ctype.Prototype(i.Name, i.Type())
				for _, v := range append(i.Params(), i.Locals(i.Addr)...) {
					v.AtEntry()
					v.Location(i.Addr + 3)
					ctype.Layout(v.Type)
				}
				i.Body()
				i.Lines()
				i.Labels()
				i.Callees()
			}
		}
		for _, k := range d.x.types.all() {
			if n++; n > 40 {
				break
			}
			typ, _ := d.Type(k[1:])
			if typ != nil {
				ctype.Layout(typ)
				ctype.Encode(typ)
			}
		}
		for _, name := range d.x.vars.all() {
			for _, v := range d.Globals(name, "") {
				v.Location(0)
			}
		}
		d.Constant("RED")
		d.LineOf(0x1140)
		d.NamesIn(func(string) bool { return true })
		d.At(0x1140)
	})
}

// TestRelocatable reads an object file, as kernel modules are, and the program
// that it is linked to: what differs is addresses.
func TestRelocatable(t *testing.T) {
	for _, v := range [][]string{{"-O2", "-gdwarf-5"}, {"-O2", "-gdwarf-4", "-ffunction-sections"}, {"-O0"}} {
		object := load(t, compile(t, "args.c", append([]string{"-c"}, v...)...))
		linked := load(t, compile(t, "args.c", v...))
		if got, want := object.Names(), linked.Names(); !slices.Equal(got, want) || len(want) < 5 {
			t.Errorf("%v: object has %v, linked %v", v, got, want)
		}
		for _, name := range linked.Names() {
			a, b := object.Lookup(name), linked.Lookup(name)
			if len(a) != len(b) {
				t.Errorf("%v: %s has %d instances, linked %d", v, name, len(a), len(b))
				continue
			}
			for i := range a {
				la, erra := a[i].Lines()
				lb, errb := b[i].Lines()
				if erra != nil || errb != nil || len(la) != len(lb) {
					t.Errorf("%v: %s: %d lines (%v), linked %d (%v)", v, name, len(la), erra, len(lb), errb)
					continue
				}
				for k := range la {
					if la[k].Line.Line != lb[k].Line.Line || filepath.Base(la[k].File) != filepath.Base(lb[k].File) || la[k].Addr-a[i].Addr != lb[k].Addr-b[i].Addr {
						t.Errorf("%v: %s: line %d is %v at +%#x, linked %v at +%#x", v, name, k, la[k].Line, la[k].Addr-a[i].Addr, lb[k].Line, lb[k].Addr-b[i].Addr)
					}
				}
				s, off, ok := object.Program.At(a[i].Addr)
				if !ok || off != 0 || s.Name != name {
					t.Errorf("%v: the symbol at %s is %s+%d", v, name, s.Name, off)
				}
				// Where variables are inside depends on the frame tables.
				pc := la[len(la)-1].Addr
				va, vb := a[i].Locals(pc), b[i].Locals(pc-a[i].Addr+b[i].Addr)
				for k := range min(len(va), len(vb)) {
					x, errx := va[k].Location(pc)
					y, erry := vb[k].Location(pc - a[i].Addr + b[i].Addr)
					if fmt.Sprint(x, errx) != fmt.Sprint(y, erry) && x.Base != Static {
						t.Errorf("%v: %s: %s is at %v (%v), linked %v (%v)", v, name, va[k].Name, x, errx, y, erry)
					}
				}
			}
		}
	}
}

// TestStored reads an index that was kept, a damaged one and none.
func TestStored(t *testing.T) {
	t.Setenv("STAPKIT_CACHE", t.TempDir())
	path := kernelImage(t)
	if testing.Short() {
		t.Skip("takes seconds")
	}
	start := time.Now()
	first := load(t, path)
	cold := time.Since(start)
	start = time.Now()
	second := load(t, path)
	warm := time.Since(start)
	t.Logf("first answer after %v, later ones after %v", cold, warm)
	if warm > cold { // by a factor of ten or more on an idle machine
		t.Errorf("an index that was kept is of no use: first answer after %v, later ones after %v", cold, warm)
	}
	if a, b := first.Names(), second.Names(); !slices.Equal(a, b) || len(a) < 10000 {
		t.Errorf("%d names, then %d", len(a), len(b))
	}
	match := func(f string) bool { return MatchFile(f, "fs/read_write.c") }
	if a, b := first.NamesIn(match), second.NamesIn(match); !slices.Equal(a, b) || !slices.Contains(a, "vfs_read") {
		t.Errorf("names of a file: %d, then %d", len(a), len(b))
	}
	for _, name := range []string{"vfs_read", "get_current"} {
		a, b := first.Lookup(name), second.Lookup(name)
		if len(a) != len(b) || len(a) > 0 && (a[0].Addr != b[0].Addr || a[0].Decl != b[0].Decl) {
			t.Errorf("%s: %v, then %v", name, a, b)
		}
		if l, ok := second.LineOf(second.Lookup("vfs_read")[0].Addr); !ok || l.File != "fs/read_write.c" {
			t.Errorf("line of vfs_read: %v", l)
		}
	}
}

// FuzzIndex decodes damaged indexes: what is taken has to be searchable.
func FuzzIndex(f *testing.F) {
	s := &scan{funcs: map[string][]ref{"a": {{0, 1}}, "b": {{1, 2}, {3, 4}}}, types: map[typeKey]ref{{tagStruct, "s"}: {0, 9}}, vars: map[string][]ref{}}
	f.Add(s.encode(true, nil, nil), "a")
	f.Add(s.encode(false, map[string][]ref{"x.c": {{0, 0}}}, []unitRange{{1, 2, 0}}), "x.c")
	f.Fuzz(func(t *testing.T, b []byte, name string) {
		x, err := decodeIndex(b)
		if err != nil {
			return
		}
		for _, tab := range []*names{&x.funcs, &x.types, &x.vars, &x.files} {
			if tab.at == nil {
				continue
			}
			tab.find(name)
			for i := range tab.n {
				tab.name(i)
				tab.refsAt(i)
			}
		}
	})
}
