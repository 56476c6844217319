//go:build linux

package guest

import (
	"errors"
	"testing"
)

// dwarfScripts probe what only the kernel's debugging information tells. Lines are
// given from the function's own on, and so are the same in all builds of a version.
var dwarfScripts = []script{
	{name: "d_line", command: "read 20 811",
		text: `global n probe kernel.statement("vfs_read@fs/read_write.c+1") { if ($count == 811) n++ } probe end { println(n) }`, want: "20\n"},
	{name: "d_local", command: "read 3 812",
		text: `probe kernel.statement("vfs_read@fs/read_write.c+23") { if ($ret == 812) println($ret, " ", ppfunc(), " ", probe_type(), " ", kernel_string($file->f_path->dentry->d_name->name)) }`,
		want: "812 vfs_read kernel.statement zero\n812 vfs_read kernel.statement zero\n812 vfs_read kernel.statement zero\n"},
	{name: "d_range", command: "read 4 813",
		text:  `global n probe kernel.statement("vfs_read@fs/read_write.c:450-462") { if ($count == 813) n[pp()]++ } probe end { foreach (p+ in n) println(p, " ", n[p]) }`,
		match: `^(kernel.statement\("vfs_read@fs/read_write.c:4[56][0-9]"\) 4\n){3,}$`},
	{name: "d_all_lines", command: "read 4 813",
		text: `global n probe kernel.statement("vfs_read@fs/read_write.c:*") { if (pid() == target()) n[pp()]++ } probe end { foreach (p in n) lines++; println(lines > 5) }`, want: "1\n"},
	{name: "d_nearest", command: "read 4 814",
		text: `global n probe kernel.statement("vfs_read@fs/read_write.c+13").nearest { if ($count == 814) n++ } probe end { println(n) }`, want: "4\n"},
	{name: "d_file", command: "read 2 815",
		text:  `probe kernel.function("vfs_read@fs/read_write.c:450") { if ($count == 815) printf("%s %p %p %d %p\n", pp(), $file, $buf, $count, $pos) }`,
		match: `^(kernel.function\("vfs_read@fs/read_write.c:450"\) 0xff[0-9a-f]+ 0x[0-9a-f]+ 815 0x[0-9a-f]+\n){2}$`},
	{name: "d_return", command: "read 2 816",
		text: `probe kernel.function("vfs_read@fs/read_write.c").return { if ($return == 816) println($return, " ", @entry($count)) }`, want: "816 816\n816 816\n"},
	{name: "d_inline", command: "read 5 817",
		text: `global n, t probe kernel.function("__do_sys_read").inline { if (pid() == target()) n++ } probe kernel.function("vfs_read") { if (pid() == target()) t++ } probe end { println(n == t, " ", n >= 5) }`, want: "1 1\n"},
	{name: "d_label", args: []string{"-c", "cd /tmp; cd /proc; cd /"},
		text: `global n probe kernel.function("__do_sys_chdir").label("retry") { if (pid() == target()) n[user_string($filename)]++ } probe end { foreach (s+ in n) println(s, " ", n[s]) }`, want: "/ 1\n/proc 1\n/tmp 1\n"},
	{name: "d_callee", command: "read 6 818",
		text: `global n, other probe kernel.function("ksys_read").callee("vfs_read") { if ($count == 818) n++ } probe kernel.function("ksys_pread64").callee("vfs_read") { if ($count == 818) other++ } probe end { println(n, " ", other) }`,
		want: "6 0\n"},
	{name: "d_callees", command: "read 6 819",
		text: `global n probe kernel.function("ksys_read").callees { if (pid() == target()) n[ppfunc()]++ } probe end { println(n["vfs_read"] >= 6, " ", n["__fdget_pos"] >= 6) }`, want: "1 1\n"},
	{name: "d_var", command: "read 1 820",
		text:  `probe kernel.function("vfs_read") { printf("current files_stat max_files: %d\n", @var("files_stat@fs/file_table.c")->max_files); exit() }`,
		match: `^(current files_stat max_files: [1-9][0-9]+\n)+$`},
	{name: "d_intro1", command: "write 3 821",
		text:  `probe begin { printf("begin\n") } probe kernel.function("vfs_write").call { if (pid() == target()) { print_regs() print_backtrace() } } probe timer.ms(5000) { exit() } probe end { printf("end\n") }`,
		match: `^begin\nRIP: [0-9a-f]{16}\n.*R15: [0-9a-f]{16}\n 0x[0-9a-f]+ : vfs_write\+0x0/0x[0-9a-f]+ \[kernel\]\n 0x[0-9a-f]+ : ksys_write\+.*end\n$`},
	{name: "d_intro4", command: "open 1 /no/such/file",
		text:  `probe kernel.function("do_filp_open") { printf("\r\n#TRACE#pathname = %s.\r\n", $pathname$) print_backtrace() }`,
		match: `\r\n#TRACE#pathname = \{\.name=0xff[0-9a-f]+, \.uptr=0x[0-9a-f]+, \.refcnt=.*\}\.\r\n 0x[0-9a-f]+ : do_filp_open\+0x0/0x[0-9a-f]+ \[kernel\]\n 0x[0-9a-f]+ : do_sys_openat2\+`},
}

// TestDebugInfo runs scripts that are compiled with the kernel's debugging
// information.
func TestDebugInfo(t *testing.T) {
	const kernel = "6.1"
	d, err := FindDebug(kernel)
	var absent *MissingError
	if errors.As(err, &absent) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	s := newSystem(t, kernel)
	s.desc = d.Vmlinux
	for _, c := range dwarfScripts {
		t.Run(c.name, func(t *testing.T) { c.run(t, s) })
	}
}
