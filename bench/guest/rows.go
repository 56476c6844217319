//go:build linux

package main

import "math"

// A row is one shape of a probe's work on one carrier.
type row struct {
	name   string
	title  string
	script string // ours; WORK is the program that is run
	raw    string // programs of peer.bpf.c
	peer   string // bpftrace's script
	work   string // of the workload; what it does N times
	// stap and stapbpf are what SystemTap's module and its BPF runtime were seen to
	// cost on 6.1: Debian's package no longer makes modules for its own kernel, so that
	// they are recorded figures. 0: none.
	stap, stapbpf float64
	short         bool // part of the short run of continuous integration
	// lost are rows on which SystemTap's module is known to be ahead, by the kernel's
	// own cost of the carrier.
	lost bool
	// other: the work is not what is probed; the row is the cost to others.
	other bool
}

var none = math.NaN()

// rows are what is measured. Scripts count in the way that suits the tool best.
var rows = []row{
	{name: "kprobe_count", title: "kprobe, count", work: "read", short: true, stap: 480, stapbpf: 768,
		script: `global n probe kprobe.function("vfs_read") { n++ }`, raw: "kprobe_count",
		peer: `kprobe:vfs_read { @ = count(); }`},
	{name: "kretprobe_count", title: "kretprobe, count", work: "read", stap: 731, stapbpf: 1003,
		script: `global n probe kprobe.function("vfs_read").return { n++ }`, raw: "kretprobe_count",
		peer: `kretprobe:vfs_read { @ = count(); }`},
	{name: "fentry_count", title: "kernel.function, count", work: "read", short: true, stap: 480, stapbpf: 768,
		script: `global n probe kernel.function("vfs_read") { n++ }`, raw: "fentry_count",
		peer: `kfunc:vfs_read { @ = count(); }`},
	{name: "fentry_aggregate", title: "kernel.function, aggregate", work: "read", stap: 480, stapbpf: 885,
		script: `global s probe kernel.function("vfs_read") { s <<< 1 } probe end { println(@count(s)) }`, raw: "fentry_count",
		peer: `kfunc:vfs_read { @ = count(); }`},
	{name: "fexit_count", title: "kernel.function.return, count", work: "read", short: true, stap: 731, stapbpf: 1003,
		script: `global n probe kernel.function("vfs_read").return { n++ }`, raw: "fexit_count",
		peer: `kretfunc:vfs_read { @ = count(); }`},
	{name: "kprobe_name", title: "kprobe, map by execname", work: "read", short: true, stap: 715, stapbpf: 2218,
		script: `global a probe kprobe.function("vfs_read") { a[execname()]++ }`, raw: "kprobe_name",
		peer: `kprobe:vfs_read { @[comm] = count(); }`},
	{name: "kprobe_pid", title: "kprobe, map by pid", work: "read", stap: 605, stapbpf: 1254,
		script: `global a probe kprobe.function("vfs_read") { a[pid()]++ }`, raw: "kprobe_pid",
		peer: `kprobe:vfs_read { @[pid] = count(); }`},
	{name: "fentry_name", title: "kernel.function, map by execname", work: "read", stap: 715, stapbpf: 2218,
		script: `global a probe kernel.function("vfs_read") { a[execname()]++ }`, raw: "fentry_name",
		peer: `kfunc:vfs_read { @[comm] = count(); }`},
	{name: "fentry_pid", title: "kernel.function, map by pid", work: "read", stap: 605, stapbpf: 1254,
		script: `global a probe kernel.function("vfs_read") { a[pid()]++ }`, raw: "fentry_pid",
		peer: `kfunc:vfs_read { @[pid] = count(); }`},
	{name: "kprobe_hist", title: "kprobe, histogram of an argument", work: "read", short: true, stap: 537,
		script: `global s probe kprobe.function("vfs_read") { s <<< register("rdx") } probe end { print(@hist_log(s)) }`, raw: "kprobe_hist",
		peer: `kprobe:vfs_read { @ = hist(arg2); }`},
	{name: "fentry_hist", title: "kernel.function, histogram of an argument", work: "read", stap: 537,
		script: `global s probe kernel.function("vfs_read") { s <<< $count } probe end { print(@hist_log(s)) }`, raw: "fentry_hist",
		peer: `kfunc:vfs_read { @ = hist(args->count); }`},
	{name: "fentry_filter", title: "kernel.function, filter that rejects", work: "read", short: true,
		script: `global n probe kernel.function("vfs_read") { if ($count == 12345) n++ }`, raw: "fentry_filter",
		peer: `kfunc:vfs_read /args->count == 12345/ { @ = count(); }`},
	{name: "fentry_stack", title: "kernel.function, map by stack", work: "read", short: true,
		script: `global a probe kernel.function("vfs_read") { a[backtrace()]++ } probe end { foreach (s in a) println(a[s]) }`, raw: "fentry_stack",
		peer: `kfunc:vfs_read { @[kstack] = count(); }`},
	{name: "fentry_latency", title: "kernel.function and its return, histogram of the time between", work: "read", short: true,
		script: `global t, s probe kernel.function("vfs_read") { t[tid()] = gettimeofday_ns() }
probe kernel.function("vfs_read").return { if (t[tid()]) { s <<< gettimeofday_ns() - t[tid()]; delete t[tid()] } } probe end { print(@hist_log(s)) }`,
		raw:  "fentry_enter,fexit_leave",
		peer: `kfunc:vfs_read { @t[tid] = nsecs; } kretfunc:vfs_read /@t[tid]/ { @ = hist(nsecs - @t[tid]); delete(@t[tid]); }`},
	{name: "fentry_entry", title: "kernel.function.return, histogram of the time since @entry", work: "read",
		script: `global s probe kernel.function("vfs_read").return { s <<< gettimeofday_ns() - @entry(gettimeofday_ns()) } probe end { print(@hist_log(s)) }`,
		raw:    "fentry_enter,fexit_leave",
		peer:   `kfunc:vfs_read { @t[tid] = nsecs; } kretfunc:vfs_read /@t[tid]/ { @ = hist(nsecs - @t[tid]); delete(@t[tid]); }`},
	{name: "fentry_printf", title: "kernel.function, printf", work: "read", short: true,
		script: `probe kernel.function("vfs_read") { printf("%d %s %d\n", pid(), execname(), $count) }`, raw: "fentry_record",
		peer: `kfunc:vfs_read { printf("%d %s %d\n", pid, comm, args->count); }`},
	{name: "trace_count", title: "kernel.trace of all system calls, count", work: "getppid", short: true, stap: 376, stapbpf: 654,
		script: `global n probe kernel.trace("raw_syscalls:sys_enter") { n++ }`, raw: "btf_count",
		peer: `tracepoint:raw_syscalls:sys_enter { @ = count(); }`},
	{name: "trace_name", title: "kernel.trace of all system calls, map by execname", work: "getppid",
		script: `global a probe kernel.trace("raw_syscalls:sys_enter") { a[execname()]++ }`, raw: "btf_name",
		peer: `tracepoint:raw_syscalls:sys_enter { @[comm] = count(); }`},
	{name: "syscall_count", title: "syscall.read, count", work: "read", short: true,
		script: `global n probe syscall.read { n++ }`, raw: "enter_read_count",
		peer: `tracepoint:syscalls:sys_enter_read { @ = count(); }`},
	{name: "syscall_return", title: "syscall.read.return, count", work: "read",
		script: `global n probe syscall.read.return { n++ }`, raw: "exit_read_count",
		peer: `tracepoint:syscalls:sys_exit_read { @ = count(); }`},
	{name: "syscall_string", title: "syscall.openat, map by file name", work: "open", short: true,
		script: `global a probe syscall.openat { a[user_string_n2($filename, 63, "")]++ }`, raw: "enter_open_string",
		peer: `tracepoint:syscalls:sys_enter_openat { @[str(args->filename)] = count(); }`},
	{name: "uprobe_count", title: "process.function, count", work: "call", short: true, stap: 1885, stapbpf: 2273,
		script: `global n probe process("WORK").function("callme") { n++ }`, raw: "uprobe_count",
		peer: `uprobe:WORK:callme { @ = count(); }`},
	{name: "uretprobe_count", title: "process.function.return, count", work: "call", short: true, lost: true, stap: 2998, stapbpf: 3512,
		script: `global n probe process("WORK").function("callme").return { n++ }`, raw: "uretprobe_count",
		peer: `uretprobe:WORK:callme { @ = count(); }`},
	{name: "usdt_count", title: "process.mark, count", work: "mark",
		script: `global n probe process("WORK").mark("tick") { n++ }`, raw: "uprobe_count",
		peer: `usdt:WORK:work:tick { @ = count(); }`},
	{name: "other_call", title: "getppid while syscall.read is probed", work: "getppid", other: true,
		script: `global n probe syscall.read { n++ }`, raw: "enter_read_count",
		peer: `tracepoint:syscalls:sys_enter_read { @ = count(); }`},
	{name: "other_return", title: "getppid while syscall.read.return is probed", work: "getppid", other: true,
		script: `global n probe syscall.read.return { n++ }`, raw: "exit_read_count",
		peer: `tracepoint:syscalls:sys_exit_read { @ = count(); }`},
	{name: "other_many", title: "getppid while twelve system calls are probed", work: "getppid", short: true, other: true,
		script: twelve, peer: twelvePeer},
	{name: "one_of_many", title: "read while twelve system calls are probed, count", work: "read", script: twelve, peer: twelvePeer},
	{name: "all_calls", title: "syscall.*, count by name", work: "getppid",
		script: `global a probe syscall.* { a[name]++ }`},
}

const (
	twelve = `global n probe syscall.read, syscall.write, syscall.openat, syscall.close, syscall.fstat, syscall.mmap, syscall.munmap,
syscall.ioctl, syscall.pread, syscall.pwrite, syscall.readv, syscall.writev { n++ }`
	twelvePeer = `tracepoint:syscalls:sys_enter_read,tracepoint:syscalls:sys_enter_write,tracepoint:syscalls:sys_enter_openat,
tracepoint:syscalls:sys_enter_close,tracepoint:syscalls:sys_enter_newfstat,tracepoint:syscalls:sys_enter_mmap,
tracepoint:syscalls:sys_enter_munmap,tracepoint:syscalls:sys_enter_ioctl,tracepoint:syscalls:sys_enter_pread64,
tracepoint:syscalls:sys_enter_pwrite64,tracepoint:syscalls:sys_enter_readv,tracepoint:syscalls:sys_enter_writev { @ = count(); }`
)
