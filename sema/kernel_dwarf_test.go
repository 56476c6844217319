//go:build linux

package sema

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"stapkit/internal/guest"
	"stapkit/target"
	"stapkit/target/elf"
)

// debugKernel is the distribution's kernel with its debug package, or the test is
// skipped.
func debugKernel(t testing.TB) (Options, *guest.Debug) {
	t.Helper()
	d, err := guest.FindDebug("6.1")
	var absent *guest.MissingError
	if errors.As(err, &absent) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	tg, err := target.FromRelease(d.Root, d.Release)
	if err != nil {
		t.Fatal(err)
	}
	b := &Binaries{Search: elf.Search{Root: d.Root}}
	t.Cleanup(func() {
		if err := errors.Join(b.Close(), tg.Close()); err != nil {
			t.Error(err)
		}
	})
	return Options{Target: tg, Binaries: b, Library: library()}, d
}

func listed(t *testing.T, pattern string, opt Options, lo ListOptions) []string {
	t.Helper()
	lines, ds := List(pattern, opt, lo)
	if len(lines) == 0 {
		t.Errorf("%s: nothing is listed\n%s", pattern, show(ds))
	}
	return lines
}

// TestKernelList holds listings against SystemTap's of the same kernel series
// (golden lists L_vfs, L_ret, l_vfs, l_mod). Line numbers move between its updates.
func TestKernelList(t *testing.T) {
	opt, _ := debugKernel(t)
	number := regexp.MustCompile(`:\d+"`)
	for _, tt := range []struct {
		pattern string
		vars    bool
		want    string
	}{
		{`kernel.function("vfs_read*")`, true, `kernel.function("vfs_read@fs/read_write.c:N") $file:struct file* $buf:char* $count:size_t $pos:loff_t*
kernel.function("vfs_readlink@fs/namei.c:N") $dentry:struct dentry* $buffer:char* $buflen:int $done:struct delayed_call
kernel.function("vfs_readv@fs/read_write.c:N") $file:struct file* $vec:struct iovec const* $vlen:long unsigned int $pos:loff_t* $flags:rwf_t $iovstack:struct iovec[] $iov:struct iovec* $iter:struct iov_iter`},
		{`kernel.function("vfs_read").return`, true, `kernel.function("vfs_read@fs/read_write.c:N").return $return:ssize_t $file:struct file* $buf:char* $count:size_t $pos:loff_t*`},
		{`kernel.function("vfs_re*")`, false, `kernel.function("vfs_read@fs/read_write.c:N")
kernel.function("vfs_readlink@fs/namei.c:N")
kernel.function("vfs_readv@fs/read_write.c:N")
kernel.function("vfs_removexattr@fs/xattr.c:N")
kernel.function("vfs_rename@fs/namei.c:N")`},
		{`module("overlay").function("ovl_op*")`, false, `module("overlay").function("ovl_open@fs/overlayfs/file.c:N")
module("overlay").function("ovl_open_flags_need_copy_up@fs/overlayfs/overlayfs.h:N")
module("overlay").function("ovl_open_need_copy_up@fs/overlayfs/copy_up.c:N")
module("overlay").function("ovl_open_realfile@fs/overlayfs/file.c:N")`},
	} {
		got := number.ReplaceAllString(strings.Join(listed(t, tt.pattern, opt, ListOptions{Vars: tt.vars}), "\n"), `:N"`)
		if got != tt.want {
			t.Errorf("%s\n%s\nwant\n%s", tt.pattern, got, tt.want)
		}
	}
}

// TestKernelPlaces holds places against readelf's line table: at each address of a
// statement a row of the line that was asked for begins.
func TestKernelPlaces(t *testing.T) {
	opt, d := debugKernel(t)
	if _, err := exec.LookPath("readelf"); err != nil {
		t.Skip("readelf is not installed")
	}
	dump, err := exec.Command("readelf", "--debug-dump=decodedline", d.Vmlinux).Output()
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]bool{}
	for line := range bytes.Lines(dump) {
		if bytes.HasPrefix(line, []byte("open.c ")) || bytes.HasPrefix(line, []byte("core.c ")) {
			if f := bytes.Fields(line); len(f) > 2 {
				rows[string(f[0])+":"+string(f[1])+" "+string(f[2])] = true
			}
		}
	}
	for _, tt := range []struct {
		point string
		least int
	}{
		{`kernel.statement("*@fs/open.c:*")`, 200},
		{`kernel.statement("do_sys_openat2@fs/open.c+3-9")`, 1},
		{`kernel.statement("*@kernel/sched/core.c:500-900")`, 50},
		{`kernel.function("get_current").inline`, 100},
		{`kernel.function("vfs_read").callee("new_sync_read")`, 1},
		{`kernel.function("schedule@kernel/sched/core.c").callees`, 1},
		{`kernel.function("schedule_timeout@kernel/time/timer.c").callees(2)`, 4},
		{`kernel.function("do_wait").label("*")`, 1},
		{`module("overlay").statement("ovl_open@fs/overlayfs/file.c:*")`, 5},
	} {
		p := mustElaborate(t, "probe "+tt.point+` { println("x") }`, opt)
		if len(p.Probes) < tt.least {
			t.Errorf("%s: %d places", tt.point, len(p.Probes))
		}
		for _, pr := range p.Probes {
			c := pr.Carriers[0]
			if c.Kind != "kprobe" || c.BuildID == "" || c.Target == "" {
				t.Fatalf("%s: %+v", pr.Point, c)
			}
			data, err := opt.Binaries.kernel(opt.Target, pr.Module)
			if err != nil {
				t.Fatal(err)
			}
			if c.BuildID != data.Program.BuildID {
				t.Errorf("%s is bound to build %s, not %s", pr.Point, c.BuildID, data.Program.BuildID)
			}
			list, err := data.Program.Lookup(c.Target)
			if err != nil || len(list) != 1 {
				t.Fatalf("%s: symbol %s: %v, %v", pr.Point, c.Target, list, err)
			}
			addr := list[0].Addr + c.Offset
			if m := regexp.MustCompile(`^kernel.statement\("[^@]*@.*/((?:open|core)\.c:\d+)"\)$`).FindStringSubmatch(pr.Point); m != nil {
				if row := fmt.Sprintf("%s %#x", m[1], addr); !rows[row] {
					t.Errorf("%s: readelf has no row %s", pr.Point, row)
				}
			}
		}
	}
}

// TestKernelNearest: what has no code is refused with the nearest line, which
// .nearest takes.
func TestKernelNearest(t *testing.T) {
	opt, _ := debugKernel(t)
	p := elaborate(t, `probe kernel.statement("vfs_read@fs/read_write.c:99999") { }`, opt)
	text := show(p.Diags)
	m := regexp.MustCompile(`no line records for fs/read_write.c:99999 \(nearest: fs/read_write.c:(\d+)\)`).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("%s", text)
	}
	p = mustElaborate(t, `probe kernel.statement("vfs_read@fs/read_write.c:99999").nearest { println("x") }`, opt)
	if len(p.Probes) != 1 || !strings.Contains(p.Probes[0].Point, "fs/read_write.c:"+m[1]+`"`) {
		t.Errorf("%v", p.Probes[0].Point)
	}
	if n, err := strconv.Atoi(m[1]); err != nil || n < 450 || n > 500 {
		t.Errorf("line %s", m[1])
	}
}

// TestKernelLocals: what types tell is read in any way, what only debug information
// tells by a breakpoint that is bound to the build.
func TestKernelLocals(t *testing.T) {
	opt, d := debugKernel(t)
	kinds := func(script string) []string {
		p := mustElaborate(t, script, opt)
		var out []string
		for _, c := range p.Probes[0].Carriers {
			k := c.Kind
			if c.BuildID != "" {
				k += "!"
			}
			out = append(out, k)
		}
		return out
	}
	if got := kinds(`probe kernel.function("vfs_readv").call { println($vlen) }`); !slices.Equal(got, []string{"fentry", "kprobe"}) {
		t.Errorf("parameters only: %v", got)
	}
	if got := kinds(`probe kernel.function("vfs_readv").call { println(&$iter) }`); !slices.Equal(got, []string{"kprobe!"}) {
		t.Errorf("a local variable: %v", got)
	}
	p := mustElaborate(t, `probe kernel.function("vfs_read").call { println(@var("files_stat@fs/file_table.c")->max_files) }`, opt)
	found := false
	for _, a := range p.Probes[0].Body.Targets {
		found = found || a.Base == BaseSymbol && a.Symbol.Name == "files_stat"
	}
	if !found {
		t.Error("@var of the kernel is not resolved to a symbol")
	}
	if opt.Target.Release() != d.Release {
		t.Errorf("release %q", opt.Target.Release())
	}
}
