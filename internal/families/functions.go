package families

import "strings"

// Functions are scripts of kernel functions, tracepoints, structures and the language
// around them.
var Functions = []Script{
	{Name: "entry", Command: "read 1000 777",
		Text: `global n, s probe kernel.function("vfs_read") { if ($count == 777) { n++; s += $count } } probe end { println(n, " ", s) }`,
		Want: "1000 777000\n"},
	{Name: "call", Command: "write 200 778",
		Text: `global n probe kernel.function("vfs_write").call { if ($count == 778 && pid() == target()) n++ } probe end { println(n) }`,
		Want: "200\n"},
	{Name: "return", Command: "read 300 779 read 5 780",
		Text: `global n probe kernel.function("vfs_read").return { n[$return, @entry($count)]++ }
probe end { println(n[779, 779], " ", n[780, 780]) }`,
		Want: "300 5\n"},
	{Name: "entry_value", Command: "read 300 796",
		Text: `global n, m probe kernel.function("vfs_read").return { if ($return == 796) { n += @entry(tid()) == tid(); m += gettimeofday_ns() > @entry(gettimeofday_ns()) } }
probe end { println(n, " ", m) }`,
		Want: "300 300\n"},
	{Name: "entry_arguments", Command: "read 300 797",
		Text: `global n probe kernel.function("vfs_read").return { if (@entry($count) == 797 && @entry($file)->f_op != 0) n++ } probe end { println(n) }`,
		Want: "300\n"},
	{Name: "entry_register", Command: "read 300 798",
		Text: `global n probe kernel.function("vfs_read").return { n += @entry(` + third + `) == 798 } probe end { println(n) }`,
		Want: "300\n"},
	{Name: "return_pretty", Command: "read 1 781",
		Text: `probe kernel.function("vfs_read").return { if ($return == 781) println($$return) }`,
		Want: "return=0x30d\n"},
	{Name: "parms", Command: "read 1 782",
		Text:  `probe kernel.function("vfs_read") { if ($count == 782) { println($$parms); exit() } }`,
		Match: `^file=0x[0-9a-f]+ buf=0x[0-9a-f]+ count=0x30e pos=0x[0-9a-f]+\n$`},
	{Name: "aggregate", Command: "read 10 1783 read 30 2783",
		Text: `global a probe kernel.function("vfs_read") { if ($count % 1000 == 783) a[execname()] <<< $count }
probe end { foreach (k in a) println(k, " ", @count(a[k]), " ", @sum(a[k]), " ", @min(a[k]), " ", @max(a[k]), " ", @avg(a[k])) }`,
		Want: "trigger 40 101320 1783 2783 2533\n"},
	{Name: "histogram", Command: "read 3 1784 read 1 4784",
		Text:  `global a probe kernel.function("vfs_read") { if ($count % 1000 == 784) a <<< $count } probe end { print(@hist_log(a)) }`,
		Match: `1024 \|@+ +3\n.*2048 \| +0\n.*4096 \|@+ +1\n`},
	{Name: "extremes", Command: "-threads 4 write 3000 798 read 1 799", // read in the kernel, of several CPUs
		Text: `global a, lo, hi probe kernel.function("vfs_write") { if ($count == 798) a <<< cpu() + 1 }
probe kernel.function("vfs_read") { if ($count == 799) { lo = @min(a); hi = @max(a) } }
probe end { println(lo == @min(a), " ", hi == @max(a)) }`,
		Want: "1 1\n"},
	{Name: "matched", Command: "read 2 797",
		Text: `probe kernel.function("vfs_read") { if ($count == 797 && kernel_string($file->f_path->dentry->d_name->name) =~ "z?(e)(.)") println(matched(0), " ", matched(2)) }`,
		Want: "zer r\nzer r\n"},
	{Name: "threads", Command: "-threads 4 write 5000 786",
		Text: `global n, t probe kernel.function("vfs_write") { if ($count == 786) { n++; t[tid()] <<< 1 } }
probe end { println(n); foreach (i in t) println(@count(t[i])) }`,
		Want: "20000\n5000\n5000\n5000\n5000\n"},
	{Name: "kprobe", Command: "read 100 787",
		Text: `global n probe kprobe.function("vfs_read") { if (pid() == target()) n++ } probe end { println(n >= 100) }`,
		Want: "1\n"},
	{Name: "kprobe_return", Command: "read 100 787",
		Text: `global n probe kprobe.function("vfs_read").return { if (pid() == target()) n++ } probe end { println(n >= 100) }`,
		Want: "1\n"},
	{Name: "trace", Command: "getppid 500",
		Text: `global n probe kernel.trace("raw_syscalls:sys_enter") { if ($id == ` + getppid + ` && pid() == target()) n++ } probe end { println(n) }`,
		Want: "500\n"},
	{Name: "syscall", Command: "getppid 400",
		Text: `global n, r probe syscall.getppid { if (pid() == target()) n[name]++ } probe syscall.getppid.return { if (pid() == target()) r++ }
probe end { println(n["getppid"], " ", r) }`,
		Want: "400 400\n"},
	{Name: "strings", Command: "open 3 /no/such/file",
		Text: `global part probe kernel.function("do_filp_open") { s = kernel_string($pathname->name)
  if (pid() == target() && isinstr(s, "such")) { part[substr(s, 4, 4)]++; println(s, " ", strlen(s)) } }
probe end { foreach (k in part) println(k, " ", part[k]) }`,
		Want: strings.Repeat("/no/such/file 13\n", 3) + "such 3\n"},
	{Name: "structs", Command: "read 2 788",
		Text: `probe kernel.function("vfs_read") { if ($count == 788) println(kernel_string($file->f_path->dentry->d_name->name), " ", kernel_string($file->f_path->dentry->d_sb->s_type->name)) }`,
		Want: "zero devtmpfs\nzero devtmpfs\n"},
	{Name: "loops", Command: "read 2 789",
		Text: `global a probe kernel.function("vfs_read") { if ($count == 789) {
  for (i = 0; i < 10; i++) a[i] += i * i
  j = 0; while (j < 5) { j++; if (j == 3) break }
  s = 0; foreach (k- in a limit 3) s += a[k]
  println(j, " ", s) } }`,
		Want: "3 194\n3 388\n"},
	{Name: "recursion", Command: "read 1 790",
		Text: `function fib(n) { if (n < 2) return n; return fib(n - 1) + fib(n - 2) }
probe kernel.function("vfs_read") { if ($count == 790) println(fib(10)) }`,
		Want: "55\n"},
	{Name: "sprintf", Command: "read 4 791",
		Text: `global a probe kernel.function("vfs_read") { if ($count == 791) a[sprintf("%s-%05d-%x", ppfunc(), $count, $count)]++ } probe end { foreach (k in a) println(k, "=", a[k]) }`,
		Want: "vfs_read-00791-317=4\n"},
	{Name: "fault", Command: "read 1 792",
		Text:  `probe kernel.function("vfs_read") { if ($count == 792) { try { println(kernel_long(8)) } catch (m) { println("caught ", m) } println(kernel_long(16)) } }`,
		Match: `^caught read fault \[man error::fault\] at 0x8`, Err: `ERROR: read fault \[man error::fault\] at 0x10 near`, Code: 1},
	{Name: "wildcard", Noisy: true, Command: "read 20 793 write 30 793",
		Text: `global n probe kernel.function("vfs_*") { if (pid() == target()) n[ppfunc()]++ }
probe end { println(n["vfs_read"] >= 20, " ", n["vfs_write"], " ", n["vfs_mkdir"]) }`,
		Want: "1 30 0\n"},
	{Name: "wildcard_return", Noisy: true, Command: "read 20 793 write 30 793",
		Text: `global n probe kernel.function("vfs_*").return { if (pid() == target()) n[pp()]++ }
probe end { println(n["kernel.function(\"vfs_read\").return"] >= 20, " ", n["kernel.function(\"vfs_write\").return"]) }`,
		Want: "1 30\n"},
	{Name: "tracepoints", Command: "read 20 793", // without cookies on 6.1: a copy for each
		Text: `global n probe kernel.trace("raw_syscalls:*"), kernel.trace("filelock:*") { if (pid() == target()) n[pp(), $$name]++ }
probe end { println(n["kernel.trace(\"raw_syscalls:sys_enter\")", "sys_enter"] >= 20, " ", n["kernel.trace(\"raw_syscalls:sys_exit\")", "sys_enter"]) }`,
		Want: "1 0\n"},
	{Name: "null_argument", Args: []string{"-c", "sh -c 'sleep 0 & wait; sleep 0 & wait'"}, // a tracepoint's pointer that is null, which verifiers do not believe
		Text: `global n probe kernel.trace("sched_process_wait") { if (!$pid) n[-2] = 1; n[-3] |= $pid & 0; try { n[$pid->level >= 0] = 1 } catch { n[-1] = 1 } } probe end { println(n[-1], n[-2]) }`,
		Want: "11\n"},
	{Name: "wildcard_error", Command: "read 1 794", Code: 1,
		Text: `probe kernel.function("vfs_*") { if (pid() == target() && ppfunc() == "vfs_read") println(1 / 0) }`,
		Err:  `ERROR: division by 0 near operator '/' at .*:1:93`},
	{Name: "sufficient", Command: "read 1 794",
		Text: `probe kernel.function("no_such_fn_xyz")!, kernel.function("vfs_read")!, kernel.function("vfs_write") { if (pid() == target()) { println(ppfunc()); exit() } }`,
		Want: "vfs_read\n"},
	{Name: "optional", Command: "read 1 795",
		Text: `probe kernel.function("no_such_fn_xyz")?, kernel.function("vfs_read") { if (pid() == target() && $count == 795) println(pp()) }`,
		Want: "kernel.function(\"vfs_read\")\n"},
	{Name: "module", Args: []string{"-c", "mount -t overlay overlay -o lowerdir=/etc:/bin /root"},
		Text: `probe module("overlay").function("ovl_fill_super") { println(ppfunc(), " ", execname(), " ", $silent) }`,
		Only: "6.1", Want: "ovl_fill_super mount 1\n"},
	{Name: "module_function", Args: []string{"-c", "mount -t overlay overlay -o lowerdir=/etc:/bin /root"},
		Text: `global n probe module("overlay").function("ovl_fill_super").return { n++; println($return) } probe end { println(n) }`,
		Want: "0\n1\n"},
	{Name: "profile",
		Text: `global n probe timer.profile { n[cpu()] <<< 1 } probe timer.ms(700) { println(@count(n[0]) > 10, " ", @count(n[1]) > 10); exit() }`,
		Want: "1 1\n"},
	{Name: "begin_end",
		Text: `probe begin(2) { println("b2"); exit() } probe begin { println("b") } probe end { println("e") }`,
		Want: "b\nb2\ne\n"},
}
