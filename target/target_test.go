package target

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"stapkit/target/ctype"
	"stapkit/target/desc"
)

// host gives the running kernel, or skips where it has no BTF.
func host(t testing.TB) *Target {
	tg, err := Running()
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { tg.Close() })
	if _, err := tg.BTF(); err != nil {
		t.Skip(err)
	}
	return tg
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"vfs_*", "vfs_read", true}, {"vfs_*", "vfs", false}, {"*", "", true}, {"", "", true}, {"", "a", false},
		{"*_read", "vfs_read", true}, {"*_read", "vfs_readv", false}, {"v?s_read", "vfs_read", true}, {"v?s", "vs", false},
		{"[vx]fs", "vfs", true}, {"[!vx]fs", "vfs", false}, {"[^a-u]fs", "vfs", true}, {"[a-u]fs", "vfs", false},
		{"[]x]", "]", true}, {"[x", "[x", true}, {"[x", "x", false}, {`\*`, "*", true}, {`\*`, "a", false}, {`a\`, `a\`, true},
		{"[a-]", "-", true}, {"a*b*c", "aXbYbZc", true}, {"a*b*c", "aXbYbZ", false}, {"**a", "bba", true}, {"*a*", "bab", true},
		{`[\]]`, "]", true}, {"/*/x", "/a/b/x", true},
	} {
		if got := Match(c.pattern, c.name); got != c.want {
			t.Errorf("Match(%q, %q) = %v", c.pattern, c.name, got)
		}
	}
}

func TestArchName(t *testing.T) {
	for in, want := range map[string]string{"x86_64": "x86_64", "i686": "i386", "aarch64": "arm64", "armv7l": "arm", "ppc64le": "powerpc", "s390x": "s390", "riscv64": "riscv", "": ""} {
		if got := ArchName(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func TestParseConfig(t *testing.T) {
	m := parseConfig("CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=\"a \\\"b\\\" \\\\\"\nCONFIG_HZ=250\r\nX=1\n")
	if len(m) != 3 || m["CONFIG_A"] != "y" || m["CONFIG_C"] != `a "b" \` || m["CONFIG_HZ"] != "250" {
		t.Errorf("%q", m)
	}
}

func prototypes(t *testing.T, tg *Target, pattern string) map[string]string {
	t.Helper()
	fs, err := tg.Functions("", pattern)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	last := ""
	for _, f := range fs {
		if f.Name <= last {
			t.Errorf("%s after %s", f.Name, last)
		}
		last = f.Name
		var b strings.Builder
		for _, p := range f.Type().Params {
			b.WriteString(" $" + p.Name + ":" + ctype.Name(p.Type))
		}
		out[f.Name] = b.String()
	}
	return out
}

func TestFunctions(t *testing.T) {
	tg := host(t)
	m := prototypes(t, tg, "vfs_*")
	if len(m) < 77 {
		t.Errorf("%d functions vfs_*", len(m))
	}
	// As SystemTap lists it, from DWARF of another kernel (golden L_vfs).
	if got, want := m["vfs_read"], " $file:struct file* $buf:char* $count:size_t $pos:loff_t*"; got != want {
		t.Errorf("vfs_read:%s\nwant%s", got, want)
	}
	if m := prototypes(t, tg, "vfs_read"); len(m) != 1 {
		t.Errorf("an exact name gives %v", m)
	}
	if fs, err := tg.Functions("no_such_module_*", "*"); err != nil || len(fs) != 0 {
		t.Errorf("%v, %v", fs, err)
	}
	if got := tg.SimilarFunctions("", "vfs_raed", 3); len(got) == 0 || got[0] != "vfs_read" {
		t.Errorf("similar to vfs_raed: %v", got)
	}
	all, err := tg.Functions("", "*")
	if err != nil || len(all) < 10000 {
		t.Errorf("%d functions, %v", len(all), err)
	}
	if notes := tg.Notes(); len(notes) != 0 {
		t.Errorf("%v", notes)
	}
}

// TestFunctionsInKallsyms checks that what BTF calls a function is one.
func TestFunctionsInKallsyms(t *testing.T) {
	tg := host(t)
	syms, err := tg.Symbols()
	if err != nil {
		t.Skip(err)
	}
	all, err := tg.Functions("", "*")
	if err != nil {
		t.Fatal(err)
	}
	missing := 0
	for _, f := range all {
		ok := false
		for _, s := range syms.ByName(f.Name) {
			ok = ok || s.IsText()
		}
		if !ok {
			missing++
		}
	}
	// Functions of discarded sections have types but no symbol.
	if missing > len(all)/10 {
		t.Errorf("%d of %d functions have no symbol", missing, len(all))
	}
	t.Logf("%d of %d functions have no symbol", missing, len(all))
}

func TestTracepoints(t *testing.T) {
	tg := host(t)
	sched, err := tg.Tracepoints("", "sched:*")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]Tracepoint{}
	for _, p := range sched {
		if p.System != "sched" {
			t.Errorf("%s is in %q", p.Name, p.System)
		}
		names[p.FullName()] = p
	}
	p, ok := names["sched:sched_switch"]
	if !ok || len(p.Params) != 4 || p.Params[1].Name != "prev" {
		t.Errorf("sched_switch: %+v", p)
	}
	for _, pattern := range []string{"sched_switch", "sched:sched_switch", "s*:sched_switch", "sched_swit?h"} {
		got, err := tg.Tracepoints("", pattern)
		if err != nil || len(got) != 1 || got[0].FullName() != "sched:sched_switch" {
			t.Errorf("%s: %v, %v", pattern, got, err)
		}
	}
	if got, err := tg.Tracepoints("", "irq:sched_switch"); err != nil || len(got) != 0 {
		t.Errorf("sched_switch of another system: %v, %v", got, err)
	}
	for name, want := range map[string]string{"sched_swich": "sched_switch", "sched:sched_swich": "sched:sched_switch", "irq:sched_switch": "sched:sched_switch"} {
		if got := tg.SimilarTracepoints("", name, 3); len(got) == 0 || got[0] != want {
			t.Errorf("similar to %s: %v", name, got)
		}
	}
}

func TestTypes(t *testing.T) {
	tg := host(t)
	for name, want := range map[string]string{
		"task_struct": "struct task_struct", "struct task_struct": "struct task_struct", "size_t": "size_t",
		"enum pid_type": "enum pid_type", "pid_type": "enum pid_type", "int": "int", "union sigval": "union sigval",
	} {
		got, ok := tg.Type("kernel", name)
		if !ok || ctype.Name(got) != want {
			t.Errorf("%s: %v, %v", name, got, ok)
		}
	}
	for _, name := range []string{"no_such_type", "union task_struct", ""} {
		if got, ok := tg.Type("", name); ok {
			t.Errorf("%s: %v", name, got)
		}
	}
	if v, e, ok := tg.Constant("", "PIDTYPE_PGID"); !ok || v != 2 || e.Name != "pid_type" {
		t.Errorf("%d %v %v", v, e, ok)
	}
	if v, ok := tg.Variable("", "runqueues"); !ok || ctype.Name(v.Type) != "struct rq" {
		t.Errorf("%+v %v", v, ok)
	}
}

// TestCannotTell asks a target that knows types only.
func TestCannotTell(t *testing.T) {
	const path = "/sys/kernel/btf/vmlinux"
	tg, err := Open(path)
	if errors.Is(err, os.ErrNotExist) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, known := tg.Config("CONFIG_HZ"); known || tg.Release() != "" || tg.IsRunning() {
		t.Error("knows more than types")
	}
	if full := host(t); tg.Machine() != full.Machine() || tg.Arch() != full.Arch() || tg.Arch() == "" {
		t.Errorf("machine %q, want %q", tg.Machine(), full.Machine())
	}
	if _, err := tg.Symbols(); !errors.Is(err, desc.ErrUnknown) {
		t.Error(err)
	}
	tps, err := tg.Tracepoints("", "sched:sched_switch")
	if err != nil || len(tps) != 1 || tps[0].Event {
		t.Errorf("%v, %v", tps, err)
	}
	if n := len(tg.Notes()); n != 3 {
		t.Errorf("%d notes: %v", n, tg.Notes())
	}
}

// TestRelease finds the running kernel, and one that is installed elsewhere.
func TestRelease(t *testing.T) {
	tg := host(t)
	same, err := Open(tg.Release())
	if err != nil || !same.IsRunning() {
		t.Errorf("%v, %v", same, err)
	} else if err := same.Close(); err != nil {
		t.Error(err)
	}
	root := t.TempDir()
	raw, err := tg.Source().BTF(Kernel)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{
		"boot/vmlinux-9.9.9-x":    string(raw),
		"boot/config-9.9.9-x":     "CONFIG_HZ=77\n",
		"boot/System.map-9.9.9-x": "ffffffff81000000 T _text\n",
		"boot/vmlinux-9.9.9-y":    string(raw),
		"boot/System.map-9.9.9-y": "see the debug package\n",
	} {
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	x, err := FromRelease(root, "9.9.9-x")
	if err != nil {
		t.Fatal(err)
	}
	if v, known := x.Config("CONFIG_HZ"); v != "77" || !known || x.Release() != "9.9.9-x" || x.IsRunning() {
		t.Errorf("%q %v %s", v, known, x.Release())
	}
	if s, err := x.Symbols(); err != nil || len(s.ByName("_text")) != 1 {
		t.Errorf("%v, %v", s, err)
	}
	if fs, err := x.Functions("", "vfs_read"); err != nil || len(fs) != 1 {
		t.Errorf("%v, %v", fs, err)
	}
	y, err := FromRelease(root, "9.9.9-y")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := y.Symbols(); !errors.Is(err, desc.ErrUnknown) {
		t.Error(err)
	}
	for _, r := range []string{"9.9.9-z", "", "../x"} {
		if _, err := FromRelease(root, r); err == nil {
			t.Errorf("%q was found", r)
		}
	}
	if _, err := Open("9.9.9-none"); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "staprun --describe") {
		t.Error(err)
	}
}

// TestDescription compares the running host with its description.
func TestDescription(t *testing.T) {
	tg := host(t)
	f, err := desc.Collect(tg.Source(), desc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "host.desc")
	if err := f.Save(path); err != nil {
		t.Fatal(err)
	}
	ts, err := OpenAll([]string{dir, path})
	if err != nil || len(ts) != 2 {
		t.Fatalf("%v, %v", ts, err)
	}
	d := ts[0]
	if d.Release() != tg.Release() || d.Arch() != tg.Arch() || d.BuildID() != tg.BuildID() || d.Release() == "" || d.Arch() == "" {
		t.Errorf("%s %s %s, want %s %s %s", d.Release(), d.Arch(), d.BuildID(), tg.Release(), tg.Arch(), tg.BuildID())
	}
	for _, o := range []string{"CONFIG_HZ", "CONFIG_BPF", "CONFIG_NO_SUCH"} {
		v1, k1 := tg.Config(o)
		v2, k2 := d.Config(o)
		if v1 != v2 || k1 != k2 {
			t.Errorf("%s: %q %v, want %q %v", o, v2, k2, v1, k1)
		}
	}
	a, err1 := tg.Tracepoints("", "*:*")
	b, err2 := d.Tracepoints("", "*:*")
	if err1 != nil || err2 != nil || len(a) != len(b) {
		t.Fatalf("%d and %d tracepoints, %v, %v", len(a), len(b), err1, err2)
	}
	for i := range a {
		if a[i].FullName() != b[i].FullName() || len(a[i].Params) != len(b[i].Params) || a[i].Event != b[i].Event {
			t.Errorf("%+v, want %+v", b[i], a[i])
		}
	}
	for _, n := range tg.Events("syscalls:sys_enter_op*") {
		e, err := d.EventFormat(n)
		if err != nil || len(e.Fields) == 0 {
			t.Errorf("%v: %+v, %v", n, e, err)
		}
	}
}

// TestConcurrent asks one target from many goroutines; run with -race.
func TestConcurrent(t *testing.T) {
	tg := host(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			tg.Functions("", "vfs_*")
			tg.Tracepoints("", "sched:*")
			tg.Constant("", "PIDTYPE_PID")
			if typ, ok := tg.Type("", "task_struct"); ok {
				s, _ := ctype.AsStruct(typ)
				for _, m := range s.Members() {
					ctype.Layout(m.Type)
				}
			}
		})
	}
	wg.Wait()
}

// TestNoKernel runs itself where neither /proc nor /sys is to be seen.
func TestNoKernel(t *testing.T) {
	if os.Getenv("STAPKIT_TEST_BARE") != "" {
		tg, err := Running()
		if err == nil {
			_, err = tg.BTF()
		}
		if err == nil {
			t.Fatal("found a kernel")
		}
		t.Log(err)
		return
	}
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		t.Skip("needs root on Linux")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "-m", "sh", "-c", `mount -t tmpfs none /sys && exec "$0" -test.run=TestNoKernel -test.v`, exe)
	cmd.Env = append(os.Environ(), "STAPKIT_TEST_BARE=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !strings.Contains(string(out), "CONFIG_DEBUG_INFO_BTF") {
		t.Errorf("%s", out)
	}
}

func BenchmarkVfs(b *testing.B) {
	host(b)
	for b.Loop() {
		tg, err := Running()
		if err != nil {
			b.Fatal(err)
		}
		fs, err := tg.Functions("", "vfs_*")
		if err != nil {
			b.Fatal(err)
		}
		for _, f := range fs {
			_ = ctype.Prototype(f.Name, f.Type())
		}
		tg.Close()
	}
}

func BenchmarkTracepoints(b *testing.B) {
	host(b)
	for b.Loop() {
		tg, err := Running()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := tg.Tracepoints("", "*"); err != nil {
			b.Fatal(err)
		}
		tg.Close()
	}
}
