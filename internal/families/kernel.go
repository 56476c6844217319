package families

// Kernel are scripts of the other families that the kernel carries.
var Kernel = []Script{
	{Name: "k_exported", Not: bare, Args: []string{"-c", "mkdir /tmp/k1 /tmp/k2 /tmp/k3"},
		Text: `global n probe kernel.function("vfs_mkdir").exported { if (execname() == "mkdir") n++ } probe end { println(n) }`, Want: "3\n"},
	{Name: "k_call", Command: "read 20 801",
		Text: `global n probe kernel.function("vfs_read").call { if ($count == 801) n++ } probe end { println(n, " ", pp()) }`, Want: "20 end\n"},
	{Name: "k_maxactive", Command: "read 20 802",
		Text: `global n probe kernel.function("vfs_read").return.maxactive(10) { if ($return == 802) n++ } probe end { println(n) }`, Want: "20\n"},
	{Name: "k_regs_kprobe", Command: "read 1 803",
		Text:  `probe kprobe.function("vfs_read") { if (ulong_arg(3) == 803) { println(int_arg(3), " ", long_arg(3), " ", uint_arg(3), " ", ` + third + `, " ", ` + uthird + `, " ", pointer_arg(1) != 0, " ", symdata(addr()), " ", symdata(` + pc + `), " ", probefunc(), " ", ppfunc(), " ", probe_type()); exit() } }`,
		Match: `^803 803 803 803 803 1 vfs_read\+0x0/0x[0-9a-f]+ \[kernel\] vfs_read\+0x0/0x[0-9a-f]+ \[kernel\] vfs_read vfs_read kprobe.function\n$`},
	{Name: "k_missed", Only: "6.12", Command: "-threads 30 sleep 1 3000", // older kernels do not tell
		Text:  `global n probe kprobe.function("hrtimer_nanosleep").return.maxactive(2) { if (pid() == target()) n++ } probe end { println(n) }`,
		Match: `^[1-9][0-9]*\n$`, Err: `WARNING: Number of errors: 0, skipped probes: [1-9].*returns of functions that were not seen because too many calls were under way: [1-9]`},
	{Name: "k_retval", Command: "read 2 804",
		Text: `probe kprobe.function("vfs_read").return { if (returnval() == 804) println(returnval(), " ", probefunc(), " ", is_return(), " ", pp()) }`,
		Want: "804 vfs_read 1 kprobe.function(\"vfs_read\").return\n804 vfs_read 1 kprobe.function(\"vfs_read\").return\n"},
	{Name: "k_kprobe_module", Args: []string{"-c", "mount -t overlay overlay -o lowerdir=/etc:/bin /root"},
		Text: `probe kprobe.module("overlay").function("ovl_fill_super") { println(probefunc(), " ", pp(), " ", modname(addr())) }`,
		Want: "ovl_fill_super kprobe.module(\"overlay\").function(\"ovl_fill_super\") overlay\n"},
	{Name: "k_trace_args", Command: "getppid 5",
		Text: `probe kernel.trace("sched:sched_process_exit") { if (pid() == target() && tid() == target()) println($$name, " ", $$system, " ", $p->pid == target(), " ", pp(), " ", probe_type()) }`,
		Want: "sched_process_exit sched 1 kernel.trace(\"sched:sched_process_exit\") kernel.trace\n"},
	{Name: "k_tracepoint", Command: "getppid 5",
		Text: `global n probe kernel.tracepoint("sys_enter") { if ($arg2 == ` + getppid + ` && pid() == target()) n[pp(), $$name]++ } probe end { foreach ([a, b] in n) println(a, " ", b, " ", n[a, b]) }`,
		Want: "kernel.tracepoint(\"sys_enter\") sys_enter 5\n"},
	{Name: "k_syscalls", Command: "getppid 7",
		Text: `global n probe nd_syscall.getppid, tp_syscall.getppid, dw_syscall.getppid, syscall.getppid, syscall_any, syscallgroup.process ? { if (pid() == target() && name == "getppid") n[pn()]++ } probe end { foreach (k+ in n) println(k, " ", n[k]) }`,
		Want: "dw_syscall.getppid 7\nnd_syscall.getppid 7\nsyscall.getppid 7\nsyscall_any 7\ntp_syscall.getppid 7\n"},
	{Name: "k_timers",
		Text: `global a, b, c, d probe timer.ms(20) { a++ } probe timer.ms(20).randomize(5) { b++ } probe timer.hz(50) { c++ } probe timer.jiffies(5) { d++ }
probe timer.ms(1010) { println(a >= 5 && a <= 51, " ", b >= 5 && b <= 68, " ", c >= 5 && c <= 51, " ", d >= 5 && d <= 51); exit() }`, Want: "1 1 1 1\n"},
	{Name: "k_profile_hz",
		Text: `global n probe timer.profile.freq.hz(200) { n++ } probe timer.ms(1000) { printf("%d\n", n); exit() }`, Match: `^([1-9][0-9]|[1-4][0-9][0-9])\n`},
	{Name: "k_perf_sw", Command: "getppid 5",
		Text: `global n probe perf.type(1).config(1).sample(1000000) { n++ } probe end { println(n > 10) }`, Want: "1\n"},
	{Name: "k_perf_hz",
		Text: `global n probe perf.type(1).config(0).hz(100) { n++ } probe timer.s(1) { println(n > 20 && n < 250); exit() }`, Want: "1\n"},
	{Name: "k_perf_nohw", Only: "amd64", // the other machine's emulator has counters
		Text: `probe perf.type(0).config(0) { exit() }`, Err: "no such hardware counter", Code: 25},
	{Name: "k_perf_counter", Command: "read 10 805",
		Text: `global last, n probe perf.type(1).config(2).counter("faults") {} probe kernel.function("vfs_read") { if ($count == 805) { c = @perf("faults"); if (c >= last) n++; last = c } } probe end { println(n, " ", last > 0) }`, Want: "10 1\n"},
	{Name: "k_perf_process", Command: "read 2000 805",
		Text: `global n, o probe perf.type(1).config(0).sample(1000000).process("/bin/trigger") { if (pid() == target()) n++; else o++ } probe end { println(n > 0, " ", o) }`, Want: "1 0\n"},
	{Name: "k_data", Only: "amd64", Args: []string{"-c", "echo 4000000 > /proc/sys/kernel/pid_max; echo 4194304 > /proc/sys/kernel/pid_max"},
		Text: `global n probe kernel.data("pid_max").write { n++; println(probe_type(), " ", pp()) } probe end { println(n) }`,
		Want: "kernel.data kernel.data(\"pid_max\").write\nkernel.data kernel.data(\"pid_max\").write\n2\n"},
	// An interrupt between the hit and the step over its instruction makes another hit of it.
	{Name: "k_data", Only: "6.12-arm64", Args: []string{"-c", "echo 4000000 > /proc/sys/kernel/pid_max; echo 4194304 > /proc/sys/kernel/pid_max"},
		Text:  `global n probe kernel.data("pid_max").write { n++; println(probe_type(), " ", pp()) } probe end { println(n) }`,
		Match: `^(kernel\.data kernel\.data\("pid_max"\)\.write\n){2,}[2-9]\n$`},
	{Name: "k_data_rw", Not: bare, Args: []string{"-c", "cat /proc/sys/kernel/pid_max"},
		Text: `global n probe kernel.data("pid_max").rw { if (execname() == "cat") n++ } probe end { println(n) }`, Match: "^4194304\n[1-9]"},
	{Name: "k_netfilter", Args: []string{"-c", "ping -c 3 127.0.0.1 > /dev/null"}, Only: "6.12",
		Text: `global n, h probe netfilter.hook("NF_INET_LOCAL_OUT").pf("PF_INET") { n++; h[$hooknum, $skb->len, kernel_string($out->name)]++ }
probe end { println(n); foreach ([a, b, c] in h) println(a, " ", b, " ", c, " ", h[a, b, c]) }`, Want: "6\n3 84 lo 6\n"},
	{Name: "k_netfilter_drop", Guru: true, Args: []string{"-c", "ping -c 1 127.0.0.1 > /dev/null 2>&1 || echo dropped"}, Only: "6.12",
		Text: `global n, after probe netfilter.hook("NF_INET_LOCAL_OUT").pf("PF_INET").priority("5") { ip = $skb->head + $skb->network_header; if (kernel_int(ip + 16) == 0x0100007f) { $verdict = 0; n++ } }
probe netfilter.hook("NF_INET_LOCAL_OUT").pf("PF_INET").priority("5") { after += $verdict }
probe end { println(n, " ", after) }`, Want: "dropped\n1 0\n"},
	// It runs no programs there, which is told when the script is compiled.
	{Name: "k_netfilter_61", Only: "6.1",
		Text: `probe netfilter.hook("NF_INET_LOCAL_OUT").pf("PF_INET") ?, begin { println(pp()); exit() }`, Want: "begin\n"},
	{Name: "k_lsm", Not: bare, Command: "open 3 /etc/hostname",
		Text: `global n probe lsm.file_open { if (pid() == target() && kernel_string($file->f_path->dentry->d_name->name) == "hostname") n++ } probe end { println(n, " ", pp()) }`, Want: "3 end\n"},
	{Name: "k_lsm_deny", Not: bare, Guru: true, Args: []string{"-c", "cat /etc/hostname || echo denied"},
		Text: `probe lsm.file_open { if (execname() == "cat" && kernel_string($file->f_path->dentry->d_name->name) == "hostname") $return = -1 }`, Want: "denied\n", Err: "not permitted"},
	{Name: "k_lsm_range", Not: bare, Guru: true, Args: []string{"-c", "cat /etc/hostname > /dev/null"},
		Text: `probe lsm.file_open { if (execname() == "cat") $return = 7 }`, Err: `ERROR: 7 cannot be the result of this probe`, Code: 1},
	{Name: "k_procfs", Args: []string{"-c", "cat /run/stapkit/k_procfs/hello; echo 5 > /run/stapkit/k_procfs/hello; cat /run/stapkit/k_procfs/hello"},
		Text: `global v probe procfs("hello").read { $value = sprintf("v=%d\n", v) } probe procfs("hello").write { v = strtol($value, 10) }`, Want: "v=0\nv=5\n"},
	{Name: "k_procfs_kernel", Command: "read 1 806",
		Text: `global v, w probe kernel.function("vfs_read") { if ($count == 806) v++ } probe procfs("n").read { $value = sprintln(v) } probe end { println(v) }`, Want: "1\n"},
	{Name: "k_input", Args: []string{"-c", "true"},
		Text: `probe procfs("__stdin").write { println("got ", $value) }`, Want: ""},
	{Name: "k_never", Command: "read 1 806",
		Text: `probe never { println("no") } probe kernel.function("vfs_read") { if ($count == 806) println("yes") }`, Want: "yes\n"},
	{Name: "k_error", Command: "read 1 806",
		Text: `probe kernel.function("vfs_read") { if ($count == 806) error("stop") } probe end { println("end") } probe error { println("error") }`, Want: "error\n", Err: "ERROR: stop", Code: 1},
	{Name: "k_print_regs", Command: "read 1 807", Only: "arm64",
		Text: `probe kprobe.function("vfs_read") { if (ulong_arg(3) == 807) { print_regs(); exit() } }`, Match: `^pc : [0-9a-f]{16} lr : [0-9a-f]{16} pstate: [0-9a-f]{8}\nsp : [0-9a-f]{16}\n.*x3 : [0-9a-f]{16} x2 : 0000000000000327\nx1 : [0-9a-f]{16} x0 : [0-9a-f]{16}\n$`},
	{Name: "k_print_regs", Command: "read 1 807", Only: "amd64",
		Text: `probe kernel.function("vfs_read") { if ($count == 807) { print_regs(); exit() } }`, Match: `^RIP: [0-9a-f]{16}\nRSP: [0-9a-f]{16}  EFLAGS: [0-9a-f]{8}\nRAX: .*RDX: 0000000000000327.*R15: [0-9a-f]{16}\n$`},
	{Name: "k_ftrace", Args: []string{"-c", "cat /proc/sys/kernel/ostype; cat /sys/kernel/tracing/trace > /tmp/trace; grep -c 'from the loader' /tmp/trace; grep -c 'from the kernel' /tmp/trace"},
		Text: `global n probe begin { ftrace("from the loader") } probe kernel.function("proc_sys_read") { n++; ftrace("from the kernel") } probe end { println(n) }`, Match: "^Linux\n[1-9]\n([1-9])\n[1-9]\n$"},
	{Name: "k_intro1", Noisy: true, Only: "amd64", Args: intro1Args, Text: intro1,
		Match: `^begin\nRIP: [0-9a-f]{16}\nRSP: [0-9a-f]{16}  EFLAGS: [0-9a-f]{8}\n(RAX|RDX|RBP|R10|R13): .*R15: [0-9a-f]{16}\n 0x[0-9a-f]+ : vfs_write\+0x0/0x[0-9a-f]+ \[kernel\]\n 0x[0-9a-f]+ : \w+\+0x.*RDX: 0000000000000335 .*end\n$`},
	{Name: "k_intro1", Noisy: true, Only: "arm64", Args: intro1Args, Text: intro1,
		Match: `^begin\npc : [0-9a-f]{16} lr : [0-9a-f]{16} pstate: [0-9a-f]{8}\nsp : [0-9a-f]{16}\n(x\d+ ?: [0-9a-f]{16} x\d+ ?: [0-9a-f]{16}\n){15} 0x[0-9a-f]+ : vfs_write\+0x0/0x[0-9a-f]+ \[kernel\]\n 0x[0-9a-f]+ : \w+\+0x.* x2 : 0000000000000335\n.*end\n$`},
	{Name: "k_percpu", Not: bare, Command: "read 3 808",
		Text: `probe kernel.function("vfs_read") { if ($count == 808) println(@var("current_task")->pid == tid()) }`, Only: "6.1", Want: "1\n1\n1\n"},
	{Name: "k_var_address", Not: bare, Command: "read 1 808",
		Text: `probe kernel.function("vfs_read") { if ($count == 808) println(kernel_int(&@var("pid_max"))) }`, Only: "6.1", Want: "4194304\n"},
	{Name: "k_backtrace", Command: "read 1 808",
		Text:  `probe kernel.function("vfs_read") { if ($count == 808) { print_backtrace(); exit() } }`,
		Match: `^ 0x[0-9a-f]+ : vfs_read\+0x0/0x[0-9a-f]+ \[kernel\]\n 0x[0-9a-f]+ : (ksys|__arm64_sys)_read\+0x`},
	{Name: "k_backtrace_module", Args: []string{"-c", "mount -t overlay overlay -o lowerdir=/etc:/bin /root"},
		Text:  `probe module("overlay").function("ovl_fill_super") { print_backtrace() }`,
		Match: `^ 0x[0-9a-f]+ : ovl_fill_super\+0x0/0x[0-9a-f]+ \[overlay\]\n`},
	{Name: "k_pp_trace", Command: "read 3 810",
		Text: `global n probe kernel.trace("*read*") { n++ } probe end { println(n >= 0) }`, Want: "1\n"},
	{Name: "k_many", Command: "read 20 830 write 30 831", Only: "6.12", Noisy: true,
		Text: `global calls probe kernel.function("tcp_*"), kernel.function("do_*"), kernel.function("vfs_*") { if (pid() == target()) calls[ppfunc()]++ }
probe end { println(calls["vfs_read"] >= 20, " ", calls["vfs_write"], " ", calls["do_nothing"]) }`, Want: "1 30 0\n"},
	{Name: "k_every_trace", Command: "getppid 40", Noisy: true,
		Text: `global hits probe kernel.trace("*") { if (pid() == target()) hits++ } probe end { println(hits > 80) }`, Want: "1\n"},
}

// intro1 is the script of introductions, as it stands there, and intro1Args its run: also what
// prints its output is probed.
var intro1Args = []string{"-c", "sh -c 'trigger write 3 821; sleep 60'"}

const intro1 = `probe begin { printf("begin\n") }
probe kernel.function("vfs_write").call { print_regs() print_backtrace() }
probe timer.ms(5000) { exit() }
probe end { printf("end\n") }`
