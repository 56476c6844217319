//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"stapkit/bench/results"
)

// many is how many functions the program with many has.
const many = 300

// starts are scripts whose start is measured. LIBC and MANY are files.
var starts = []struct{ name, script, bpftrace string }{
	{"hello", `probe begin { println("hello") }`, `BEGIN { printf("hello\n"); }`},
	{"tracepoint, map", `global a probe kernel.trace("sched_switch") { a[execname()]++ }`, `tracepoint:sched:sched_switch { @[comm] = count(); }`},
	{"openat, file names", `probe syscall.openat { if (pid() == target()) println(user_string($filename)) }`,
		`tracepoint:syscalls:sys_enter_openat /pid == cpid/ { printf("%s\n", str(args->filename)); }`},
	{"read, latency", `global t, s probe syscall.read { t[tid()] = gettimeofday_ns() }
probe syscall.read.return { if (t[tid()]) { s <<< gettimeofday_ns() - t[tid()]; delete t[tid()] } } probe end { if (@count(s)) print(@hist_log(s)) }`,
		`tracepoint:syscalls:sys_enter_read { @t[tid] = nsecs; } tracepoint:syscalls:sys_exit_read /@t[tid]/ { @ = hist(nsecs - @t[tid]); delete(@t[tid]); }`},
	{"syscall.*, histogram by name", `global a probe syscall.* { a[name] <<< cpu() } probe end { foreach (n in a) { println(n); print(@hist_log(a[n])) } }`,
		`tracepoint:syscalls:sys_enter_* { @[probe] = hist(cpu); }`},
	{"malloc, sizes", `global s probe process("LIBC").function("malloc") { s <<< register("rdi") } probe end { if (@count(s)) print(@hist_log(s)) }`,
		`uprobe:LIBC:malloc { @ = hist(arg0); }`},
	{"profile, stacks", `global a probe timer.profile { a[backtrace()]++ } probe end { foreach (s in a- limit 3) { println(a[s]); print_syms(s) } }`,
		`profile:hz:99 { @[kstack] = count(); }`},
	{fmt.Sprintf("%d uprobes", many), `global n probe process("MANY").function("many_*") { n++ }`, `uprobe:MANY:many_* { @ = count(); }`},
}

func start(b *bench) string {
	libc, err := libraryOf(b.path("work"), "libc.so")
	if err != nil {
		b.fail("the C library", err)
	}
	prog, err := b.manyFunctions(many)
	if err != nil {
		b.fail("a program with many functions", err)
	}
	place := strings.NewReplacer("LIBC", libc, "MANY", prog)
	t := results.Table{Head: []string{"script", "stap cold", "stap", "stapc", "staprun", "bpftrace", "stap : bpftrace", "to exit: stap", "bpftrace", "MB: stap", "stapc", "staprun", "bpftrace"}}
	child := []string{"-c", "/bin/echo armed"}
	for i, s := range starts {
		script, name := place.Replace(s.script), strings.NewReplacer(" ", "_", ",", "", ".*", "").Replace(s.name)
		f := &starting{b: b, name: name}
		cold := f.measure("stap-cold", b.times(3), func() (*outcome, error) {
			return b.execWith([]string{"STAPKIT_CACHE=" + b.path(fmt.Sprintf("cold%d", f.n))}, append([]string{b.path("stap"), "-e", script}, child...)...)
		})
		stap := f.measure("stap", b.times(7), func() (*outcome, error) {
			return b.exec(append([]string{b.path("stap"), "-e", script}, child...)...)
		})
		bundle := b.path("start.o")
		stapc := f.measure("stapc", b.times(5), func() (*outcome, error) {
			o, err := b.exec(b.path("stapc"), "-w", "-o", bundle, "-e", script)
			o.armed = o.total
			return o, err
		})
		run := f.measure("staprun", b.times(7), func() (*outcome, error) {
			return b.exec(append([]string{b.path("staprun"), "--allow-unsigned", bundle}, child...)...)
		})
		peer := summary{none, none, none}
		if b.has("bpftrace") {
			times := b.times(3)
			if i == len(starts)-1 || strings.Contains(s.script, "syscall.*") {
				times = 1 // each of its hundreds of probes takes a tenth of a second to be removed
			}
			if !b.smoke || i < 2 {
				peer = f.measure("bpftrace", times, func() (*outcome, error) {
					return b.exec(append([]string{"bpftrace", "-e", place.Replace(s.bpftrace)}, child...)...)
				})
			}
		}
		t.Row(s.name, ms(cold.armed), ms(stap.armed), ms(stapc.armed), ms(run.armed), ms(peer.armed), ratio(stap.armed, peer.armed),
			ms(stap.total), ms(peer.total), results.Number(stap.rss, 0), results.Number(stapc.rss, 0), results.Number(run.rss, 0), results.Number(peer.rss, 0))
	}
	return `Milliseconds from the start of the command until the traced command runs, that is, until all
probes are armed; with ` + "`stapc`" + ` until it has ended. "Cold" begins with an empty cache of ours (the
files of the system are in memory either way). Then the milliseconds until the command has ended,
and the most resident memory of one process.

` + t.String() + `
SystemTap itself: ` + systemtap(b) + `. Recorded in a guest with a patched copy (emulated, about
ten times slower than this machine), as multiples of bpftrace in the same guest: a trivial script 2.9
with everything cached and 110 without, a kprobe with a map 6 and 115; memory 104 to 337 MB where
bpftrace took 95.
`
}

// systemtap tells what SystemTap takes for the least of all scripts, or why it does not
// run here: Debian's package makes no modules for many kernels.
func systemtap(b *bench) string {
	if _, err := os.Stat("/usr/bin/stap"); err != nil {
		return "not installed"
	}
	var said []string
	for _, args := range [][]string{{"--runtime=kernel"}, {"--runtime=bpf"}} {
		if b.smoke || b.late() {
			break
		}
		o, err := b.exec(append([]string{"/usr/bin/stap"}, append(args, "-e", `probe begin { println("armed") exit() }`)...)...)
		if err != nil {
			line, _, _ := strings.Cut(strings.TrimSpace(o.err), "\n")
			said = append(said, fmt.Sprintf("`stap %s` fails here (%s)", args[0], line))
			continue
		}
		said = append(said, fmt.Sprintf("`stap %s` takes %.0f ms for a trivial script", args[0], o.total.Seconds()*1e3))
	}
	return strings.Join(said, "; ")
}

// summary is what several runs took: medians in milliseconds, and megabytes.
type summary struct{ armed, total, rss float64 }

type starting struct {
	b    *bench
	name string
	n    int
}

// measure runs something several times and adds the figures.
func (f *starting) measure(tool string, times int, run func() (*outcome, error)) summary {
	var armed, total []float64
	s := summary{none, none, none}
	for range times {
		if f.b.late() {
			break
		}
		f.n++
		o, err := run()
		if err != nil {
			f.b.fail(f.name+", "+tool, err)
			return s
		}
		if o.armed == 0 {
			f.b.fail(f.name+", "+tool, fmt.Errorf("the command did not run: %s", o.err))
			return s
		}
		armed, total = append(armed, o.armed.Seconds()*1e3), append(total, o.total.Seconds()*1e3)
		if s.rss != s.rss || o.rss > s.rss {
			s.rss = o.rss
		}
	}
	s.armed, s.total = results.Median(armed), results.Median(total)
	for i := range armed { // each of them, so that benchstat can tell how they scatter
		f.b.set.Add("Start/"+f.name+"/tool="+tool, armed[i]*1e6, "ns/op")
		f.b.set.Add("Exit/"+f.name+"/tool="+tool, total[i]*1e6, "ns/op")
	}
	f.b.set.Add("StartMemory/"+f.name+"/tool="+tool, s.rss, "MB")
	return s
}

// libraryOf is the file of a library that a program loads.
func libraryOf(program, prefix string) (string, error) {
	out, err := exec.Command("ldd", program).Output()
	if err != nil {
		return "", err
	}
	for _, f := range strings.Fields(string(out)) {
		if strings.HasPrefix(f, "/") && strings.HasPrefix(filepath.Base(f), prefix) {
			return filepath.EvalSymlinks(f)
		}
	}
	return "", fmt.Errorf("%s loads no %s", program, prefix)
}

// manyFunctions makes a program with n functions many_0, many_1, …, all of which it calls.
func (b *bench) manyFunctions(n int) (string, error) {
	var s strings.Builder
	for i := range n {
		fmt.Fprintf(&s, "int __attribute__((noinline)) many_%d(int a) { return a + %d; }\n", i, i)
	}
	s.WriteString("int main(void) { volatile int a = 0;\n")
	for i := range n {
		fmt.Fprintf(&s, "a = many_%d(a);\n", i)
	}
	s.WriteString("return 0; }\n")
	prog := b.path(fmt.Sprintf("many%d", n))
	if err := os.WriteFile(prog+".c", []byte(s.String()), 0o600); err != nil {
		return "", err
	}
	if out, err := exec.Command("gcc", "-O0", "-o", prog, prog+".c").CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return prog, nil
}

func ms(v float64) string { return results.Number(v, 0) }

// ratio is a as a multiple of b; of next to nothing there is none.
func ratio(a, b float64) string {
	if b < 3 {
		return results.Number(none, 2)
	}
	return results.Number(a/b, 2)
}
