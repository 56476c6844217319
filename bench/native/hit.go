//go:build linux

package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"stapkit/bench/results"
	"stapkit/bench/workload"
)

var none = math.NaN()

// hits are what is measured on each carrier. WORK is the workload's program.
var hits = []struct {
	name, title, work     string
	script, raw, bpftrace string
}{
	{"trace_count", "kernel.trace, count", "getppid", `global n probe kernel.trace("raw_syscalls:sys_enter") { n++ }`, "btf_count", `tracepoint:raw_syscalls:sys_enter { @ = count(); }`},
	{"trace_name", "kernel.trace, map by execname", "getppid", `global a probe kernel.trace("raw_syscalls:sys_enter") { a[execname()]++ }`, "btf_name", `tracepoint:raw_syscalls:sys_enter { @[comm] = count(); }`},
	{"trace_pid", "kernel.trace, map by pid", "getppid", `global a probe kernel.trace("raw_syscalls:sys_enter") { a[pid()]++ }`, "btf_pid", `tracepoint:raw_syscalls:sys_enter { @[pid] = count(); }`},
	{"trace_hist", "kernel.trace, histogram", "getppid", `global s probe kernel.trace("raw_syscalls:sys_enter") { s <<< $id } probe end { print(@hist_log(s)) }`, "btf_hist", `tracepoint:raw_syscalls:sys_enter { @ = hist(args->id); }`},
	{"trace_stack", "kernel.trace, map by stack", "getppid", `global a probe kernel.trace("raw_syscalls:sys_enter") { a[backtrace()]++ } probe end { foreach (s in a) println(a[s]) }`, "btf_stack", `tracepoint:raw_syscalls:sys_enter { @[kstack] = count(); }`},
	{"trace_filter", "kernel.trace, filter that rejects", "getppid", `global n probe kernel.trace("raw_syscalls:sys_enter") { if ($id == 12345) n++ }`, "btf_filter", `tracepoint:raw_syscalls:sys_enter /args->id == 12345/ { @ = count(); }`},
	{"syscall_count", "syscall.getppid, count", "getppid", `global n probe syscall.getppid { n++ }`, "enter_ppid_count", `tracepoint:syscalls:sys_enter_getppid { @ = count(); }`},
	{"syscall_name", "syscall.getppid, map by execname", "getppid", `global a probe syscall.getppid { a[execname()]++ }`, "enter_ppid_name", `tracepoint:syscalls:sys_enter_getppid { @[comm] = count(); }`},
	{"syscall_pid", "syscall.getppid, map by pid", "getppid", `global a probe syscall.getppid { a[pid()]++ }`, "enter_ppid_pid", `tracepoint:syscalls:sys_enter_getppid { @[pid] = count(); }`},
	{"syscall_latency", "syscall.getppid and its return, histogram of the time between", "getppid", `global t, s probe syscall.getppid { t[tid()] = gettimeofday_ns() }
probe syscall.getppid.return { if (t[tid()]) { s <<< gettimeofday_ns() - t[tid()]; delete t[tid()] } } probe end { print(@hist_log(s)) }`, "enter_ppid_enter,exit_ppid_leave",
		`tracepoint:syscalls:sys_enter_getppid { @t[tid] = nsecs; } tracepoint:syscalls:sys_exit_getppid /@t[tid]/ { @ = hist(nsecs - @t[tid]); delete(@t[tid]); }`},
	{"syscall_string", "syscall.openat, map by file name", "open", `global a probe syscall.openat { a[user_string_n2($filename, 63, "")]++ }`, "enter_open_string", `tracepoint:syscalls:sys_enter_openat { @[str(args->filename)] = count(); }`},
	{"uprobe_count", "process.function, count", "call", `global n probe process("WORK").function("callme") { n++ }`, "uprobe_count", `uprobe:WORK:callme { @ = count(); }`},
	{"uprobe_name", "process.function, map by execname", "call", `global a probe process("WORK").function("callme") { a[execname()]++ }`, "uprobe_name", `uprobe:WORK:callme { @[comm] = count(); }`},
	{"uprobe_pid", "process.function, map by pid", "call", `global a probe process("WORK").function("callme") { a[pid()]++ }`, "uprobe_pid", `uprobe:WORK:callme { @[pid] = count(); }`},
	{"uprobe_hist", "process.function, histogram of an argument", "call", `global s probe process("WORK").function("callme") { s <<< register("rdi") } probe end { print(@hist_log(s)) }`, "uprobe_hist", `uprobe:WORK:callme { @ = hist(arg0); }`},
	{"uprobe_filter", "process.function, filter that rejects", "call", `global n probe process("WORK").function("callme") { if (register("rsi") == 12345) n++ }`, "uprobe_filter", `uprobe:WORK:callme /arg1 == 12345/ { @ = count(); }`},
	{"uretprobe_count", "process.function.return, count", "call", `global n probe process("WORK").function("callme").return { n++ }`, "uretprobe_count", `uretprobe:WORK:callme { @ = count(); }`},
	{"uprobe_latency", "process.function and its return, histogram of the time between", "call", `global t, s probe process("WORK").function("callme") { t[tid()] = gettimeofday_ns() }
probe process("WORK").function("callme").return { if (t[tid()]) { s <<< gettimeofday_ns() - t[tid()]; delete t[tid()] } } probe end { print(@hist_log(s)) }`, "uprobe_enter,uretprobe_leave",
		`uprobe:WORK:callme { @t[tid] = nsecs; } uretprobe:WORK:callme /@t[tid]/ { @ = hist(nsecs - @t[tid]); delete(@t[tid]); }`},
	{"usdt_count", "process.mark, count", "mark", `global n probe process("WORK").mark("tick") { n++ }`, "uprobe_count", `usdt:WORK:work:tick { @ = count(); }`},
	{"usdt_hist", "process.mark, histogram of its argument", "mark", `global s probe process("WORK").mark("tick") { s <<< $arg1 } probe end { print(@hist_log(s)) }`, "uprobe_hist", `usdt:WORK:work:tick { @ = hist(arg0); }`},
	{"other_call", "getppid while syscall.read is probed", "getppid", `global n probe syscall.read { n++ }`, "enter_read_count", `tracepoint:syscalls:sys_enter_read { @ = count(); }`},
}

func hit(b *bench) string {
	work := b.path("work")
	mark, err := workload.Mark(work)
	if err != nil {
		b.fail("the workload's mark", err)
	}
	var out strings.Builder
	out.WriteString(`What one hit adds to the probed work, in nanoseconds: the least of rounds that take turns, less
the least that the work takes alone in any round. Whatever disturbs makes a round slower, and no
round faster; but by where memory comes to lie a process may be faster or slower as a whole, which
so many rounds do not level out below some 10 ns. "By hand" is a C program for the same work (bench/c/peer.bpf.c), loaded by
cilium/ebpf; it has no limits and counts no losses. Carriers of kernel functions are not to be had
on every kernel; the instructions they take are counted in guests.
`)
	for _, cpus := range []int{1, 2} {
		h := &hitting{b: b, work: work, cpus: cpus, base: map[string]float64{}}
		t := results.Table{Head: []string{fmt.Sprintf("%d processor%s at work", cpus, strings.Repeat("s", cpus-1)), "the work", "stapkit", "by hand", "bpftrace", "stapkit : by hand", "stapkit : bpftrace"}}
		var rows []func()
		for i, r := range hits {
			if b.smoke && i%5 != 0 {
				continue
			}
			place := strings.NewReplacer("WORK", work)
			bundle := b.path("hit.o")
			compiled := true
			if _, err := b.exec(b.path("stapc"), "-w", "-o", bundle, "-e", place.Replace(r.script)); err != nil {
				b.fail(r.name, err)
				compiled = false
			}
			var ours, hand, peer, base []float64
			for range b.times(7) {
				if b.late() {
					break
				}
				base = append(base, h.run(r.name+", alone", r.work))
				if compiled {
					ours = append(ours, h.run(r.name+", stapkit", r.work, b.path("staprun"), "--allow-unsigned", bundle, "-c"))
				}
				if b.has("clang") {
					args := []string{b.path("peer"), "-multi", "-program", work}
					if r.work == "mark" {
						args = append(args, "-offset", strconv.FormatUint(mark, 10))
					}
					hand = append(hand, h.run(r.name+", by hand", r.work, append(args, b.path("peer.bpf.o"), r.raw)...))
				}
				if b.has("bpftrace") {
					peer = append(peer, h.run(r.name+", bpftrace", r.work, "bpftrace", "-e", place.Replace(r.bpftrace), "-c"))
				}
			}
			if x, ok := h.base[r.work]; ok {
				base = append(base, x)
			}
			h.base[r.work] = leastOf(base)
			rows = append(rows, func() {
				alone := h.base[r.work]
				least := func(tool string, v []float64) float64 {
					for _, x := range v {
						b.set.Add(fmt.Sprintf("Hit/cpus=%d/%s/tool=%s", cpus, r.name, tool), x-alone, "ns/op")
					}
					return leastOf(v) - alone
				}
				o, c, p := least("stapkit", ours), least("hand", hand), least("bpftrace", peer)
				t.Row(r.title, results.Number(alone, 0), results.Number(o, 0), results.Number(c, 0), results.Number(p, 0), ratio(o, c), ratio(o, p))
			})
		}
		for _, row := range rows { // when the least of the work alone is known
			row()
		}
		out.WriteString("\n" + t.String())
		if cpus == 1 {
			out.WriteString(others(h))
		}
	}
	return out.String()
}

// others are tools that cannot do the same, for the cost of watching a system call at all.
func others(h *hitting) string {
	var s strings.Builder
	base := h.run("getppid alone", "getppid")
	if h.b.has("strace") && !h.b.late() {
		each := h.each
		h.each = 2000
		fmt.Fprintf(&s, "\n`strace -c` adds %.0f ns to a getppid", h.run("strace", "getppid", "strace", "-f", "-c", "-o", h.b.path("strace.out"))-base)
		h.each = each
	}
	if h.b.has("perf") && !h.b.late() {
		fmt.Fprintf(&s, "; `perf stat -e raw_syscalls:sys_enter` %.0f ns", h.run("perf", "getppid", "perf", "stat", "-o", h.b.path("perf.out"), "-e", "raw_syscalls:sys_enter")-base)
	}
	if s.Len() > 0 {
		s.WriteString(".\n")
	}
	return s.String()
}

// leastOf is the least of values, NaN of none; what is no number does not count.
func leastOf(v []float64) float64 {
	least := none
	for _, x := range v {
		if !(least <= x) && !math.IsNaN(x) {
			least = x
		}
	}
	return least
}

type hitting struct {
	b    *bench
	work string
	cpus int
	each int
	base map[string]float64
}

// run runs the workload, under a command if there is one, and gives the least that a
// piece of work took; NaN if it failed.
func (h *hitting) run(what, work string, under ...string) float64 {
	n, rounds := h.each, 6
	if n == 0 {
		n = map[string]int{"getppid": 100_000, "open": 20_000, "call": 30_000, "mark": 30_000}[work]
	}
	if h.b.smoke {
		n, rounds = 500, 2
	}
	line := []string{h.work}
	if h.cpus > 1 {
		line = append(line, "-2")
	}
	line = append(line, work, strconv.Itoa(n), strconv.Itoa(rounds))
	args := line
	switch {
	case len(under) > 0 && under[len(under)-1] == "-c":
		args = append(append([]string{}, under...), strings.Join(line, " "))
	case len(under) > 0:
		args = append(append([]string{}, under...), line...)
	}
	o, err := h.b.exec(args...)
	if err != nil {
		h.b.fail(what, err)
		return none
	}
	least, err := workload.Least(o.out, rounds)
	if err != nil {
		h.b.fail(what, fmt.Errorf("%w: %s", err, o.err))
		return none
	}
	return least
}
