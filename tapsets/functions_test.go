//go:build linux

package tapsets_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"stapkit/internal/guest"
	"stapkit/internal/host"
)

// A row is an expression and what it must yield: a literal, "~" and a regular expression,
// or "=" and the name of what testdata/functions.c tells of itself.
type row struct{ expr, want string }

// pure are functions whose values a stated rule gives, in handlers of the kernel and of
// the loader.
var pure = []row{
	{`AF_INET()`, "2"}, {`AF_INET6()`, "10"},
	{`htons(0x1234)`, strconv.Itoa(0x3412)}, {`ntohs(0x3412)`, strconv.Itoa(0x1234)},
	{`htonl(0x12345678)`, strconv.Itoa(0x78563412)}, {`ntohl(0x78563412)`, strconv.Itoa(0x12345678)},
	{`htonll(0x0102030405060708)`, strconv.Itoa(0x0807060504030201)}, {`ntohll(0x0807060504030201)`, strconv.Itoa(0x0102030405060708)},
	{`big_endian2(0x1234)`, strconv.Itoa(0x3412)}, {`big_endian4(1)`, strconv.Itoa(1 << 24)}, {`big_endian8(1)`, strconv.Itoa(1 << 56)},
	{`little_endian2(0x1234)`, strconv.Itoa(0x1234)}, {`little_endian4(-1)`, "4294967295"}, {`little_endian8(-1)`, "-1"},
	{`MAJOR(MKDEV(8, 17))`, "8"}, {`MINOR(MKDEV(8, 17))`, "17"}, {`MKDEV(8, 1)`, strconv.Itoa(8<<20 | 1)},
	{`usrdev2kerndev(0x811)`, strconv.Itoa(8<<20 | 17)}, {`usrdev2kerndev(0x12345678)`, strconv.Itoa(0x456<<20 | 0x12378)},
	{`ip_ntop(htonl(0x7f000001))`, "127.0.0.1"}, {`format_ipaddr(0x0100007f, 2)`, "127.0.0.1"}, {`format_ipaddr(1, 77)`, ""},
	{`format_ipaddr(8, 10)`, ""}, {`daddr_to_string(8)`, ""},
	{`bdevname(0)`, "N/A"}, {`isinstr(disk_name(task_current(), 17), "17")`, "1"}, {`bio_op(task_current()) >= 0 && bio_op(task_current()) < 256`, "1"},
	{`bio_rw_num(0x8001)`, "1"}, {`bio_rw_str(1) . bio_rw_str(0)`, "WR"},
	{`WIFEXITED(0x300)`, "1"}, {`WEXITSTATUS(0x300)`, "3"}, {`WTERMSIG(9)`, "9"},
	{`irqflags_str(0x80)`, "IRQF_SHARED"}, {`irqflags_str(0)`, "0x0"}, {`get_mmap_args(8)`, ""},
	{`vm_fault_contains(2, 2)`, "1"}, {`vm_fault_contains(2, 3)`, "0"},
	{`addr_to_node(task_current()) >= 0`, "1"},
	{`sock_prot_num2str(6)`, "TCP"}, {`sock_prot_str2num("UDP")`, "17"}, {`sock_prot_str2num("none")`, "-1"},
	{`sock_fam_num2str(2)`, "INET"}, {`sock_fam_num2str(1)`, "LOCAL"}, {`sock_fam_str2num("INET6")`, "10"},
	{`sock_state_num2str(3)`, "CONNECTED"}, {`sock_state_str2num("FREE")`, "0"},
	{`sock_type_num2str(1)`, "STREAM"}, {`sock_type_str2num("DGRAM")`, "2"},
	{`sock_flags_num2str(12)`, "NOSPACE|PASSCRED"}, {`msg_flags_num2str(0x4040)`, "MSG_DONTWAIT|MSG_NOSIGNAL"}, {`msg_flags_num2str(0)`, ""},
	{`tcp_sockstate_str(1)`, "TCP_ESTABLISHED"}, {`tcp_sockstate_str(10)`, "TCP_LISTEN"}, {`tcp_sockopt_str(1)`, "TCP_NODELAY"}, {`tcp_ipv6_sockopt_str(26)`, "IPV6_V6ONLY"},
	{`tcpmib_filter_key(1, 1)`, "1"}, {`linuxmib_filter_key(1, 1)`, "1"}, {`ipmib_filter_key(1, 1, 1)`, "1"},
	{`sigset_mask_str(0x4003)`, "1,2,15"}, {`sigset_mask_str(0)`, ""}, {`sigset_mask_str(1 << 63)`, "64"},
	{`sa_flags_str(0x10000000)`, "RESTART"}, {`sa_flags_str(0)`, ""},
	{`sa_handler_str(0)`, "default"}, {`sa_handler_str(1)`, "ignored"}, {`sa_handler_str(-1)`, "error"}, {`sa_handler_str(16)`, "0x10"},
	{`signal_str(9)`, "KILL"}, {`errno_str(-2)`, "ENOENT"}, {`errno_str(0)`, ""}, {`errno_p(-5)`, "5"}, {`errno_p(-4096)`, "0"}, {`errno_p(5)`, "0"},
	{`return_str(1, -2)`, "-2 (ENOENT)"}, {`return_str(2, 255)`, "0xff"}, {`return_str(3, 8)`, "010"}, {`return_str(9, 8)`, "N/A"},
	{`rlimit_from_str("RLIMIT_NOFILE")`, "7"}, {`rlimit_from_str("x")`, "-1"},
	{`bytes_to_string(512)`, "  512"}, {`bytes_to_string(1536)`, "1.50K"}, {`bytes_to_string(53 << 20)`, "53.0M"}, {`bytes_to_string(301 << 30)`, " 301G"},
	{`pages_to_string(1)`, "4.00K"}, {`mem_page_size()`, strconv.Itoa(os.Getpagesize())},
	{`msecs_to_string(123456)`, "2m3.456s"}, {`usecs_to_string(1500)`, "0m0.001500s"}, {`nsecs_to_string(1234567890)`, "0m1.234567890s"},
	{`cputime_to_msecs(1234567890)`, "1234"}, {`cputime_to_usecs(1234567890)`, "1234567"}, {`cputime_to_string(1234567890)`, "0m1.234s"},
	{`strlen("héllo")`, "6"}, {`substr("hello", 1, 3)`, "ell"}, {`substr("hello", -1, 3)`, ""}, {`stringat("abc", 1)`, "98"}, {`strpos("hello", "l")`, "2"}, {`strpos("hello", "z")`, "-1"},
	{`isinstr("hello", "ell")`, "1"}, {`isdigit("4x")`, "1"}, {`isdigit("x4")`, "0"}, {`str_replace("one two one", "one", "1")`, "1 two 1"},
	{`strtol("0x1f", 16)`, "31"}, {`strtol("12abc", 10)`, "12"}, {`strtol("-077", 0)`, "-63"},
	{`text_str("a\tb")`, `a\tb`}, {`text_strn("abcdef", 3, 0)`, "abc"}, {`string_quoted("a\"b")`, `"a\"b"`},
	{`tokenize("one,two", ",") . tokenize(",") . tokenize("", ",")`, "onetwo"},
	{`ctime(0)`, "Thu Jan  1 00:00:00 1970"}, {`ctime(1234567890)`, "Fri Feb 13 23:31:30 2009"},
	{`syscall_name(syscall_num("openat"))`, "openat"}, {`syscall_num("nosuch")`, "-1"},
	{`nfs3_cmode(1)`, "GUARDED"}, {`nfs4_ctype(2) . nfs4_ctype(7) . nfs4_ctype(6)`, "DIRFIFOSOCK"}, {`ftype(0100000) . ftype(0040000) . ftype(0120000)`, "REGDIRLNK"},
	{`nfsderror(2)`, "NFSERR_NOENT"}, {`nfsderror(0)`, "NFS_OK"}, {`ppos_pos(0)`, "-1"}, {`ppos_pos(8)`, "-1"},
	{`describe_data_direction(1)`, "~^(TO_DEVICE|1)$"}, {`describe_device_state(2)`, "~^(RUNNING|2)$"},
	{`randint(10) >= 0 && randint(10) < 10`, "1"},
	{`symdata(-1)`, "0xffffffffffffffff"}, {`modname(-1)`, "<unknown>"}, {`symname(-1)`, "0xffffffffffffffff"},
	{`rcu_dereference(77)`, "77"}, {`is_myproc()`, "1"}, {`pnlabel()`, ""}, {`remote_id()`, "-1"}, {`remote_uri()`, ""},
	{`fp_to_string(fp_add(string_to_fp("1.5"), long_to_fp(2)), 2)`, "3.50"}, {`fp_to_string(fp_sub(string_to_fp("1.5"), long_to_fp(2)), 1)`, "-0.5"},
	{`fp_to_string(fp_mul(string_to_fp("-2.5"), string_to_fp("3e1")), 0)`, "-75"}, {`fp_to_string(fp_div(long_to_fp(1), long_to_fp(3)), 6)`, "0.333333"},
	{`fp_to_string(fp_rem(long_to_fp(7), long_to_fp(4)), 0)`, "-1"}, {`fp_to_string(fp_sqrt(long_to_fp(2)), 5)`, "1.41421"},
	{`fp_eq(long_to_fp(2), string_to_fp("2.0"))`, "1"}, {`fp_lt(long_to_fp(-2), long_to_fp(1))`, "1"}, {`fp_le(long_to_fp(2), long_to_fp(1))`, "0"},
	{`fp_to_long(string_to_fp("2.5"), 0, 0)`, "2"}, {`fp_to_long(string_to_fp("2.5"), 3, 0)`, "3"}, {`fp32_to_fp64(0x3fc00000) == string_to_fp("1.5")`, "1"},
	{`get_loadavg_index(0) >= 0`, "1"}, {`sprint_loadavg()`, `~^\d+\.\d\d \d+\.\d\d \d+\.\d\d$`},
	{`HZ() > 0 && jiffies() > 0 && get_cycles() > 0`, "1"},
	{`gettimeofday_ms() / 1000 - gettimeofday_s() < 2`, "1"}, {`gettimeofday_us() / 1000000 - gettimeofday_s() < 2`, "1"}, {`gettimeofday_ns() / 1000000000 - gettimeofday_s() < 2`, "1"},
	{`ktime_get_ns() > 0`, "1"}, {`local_clock_ns() > 0 && local_clock_us() > 0 && local_clock_ms() > 0`, "1"}, {`local_clock_s() >= 0`, "1"},
	{`cpu_clock_ns(0) > 0 && cpu_clock_us(0) > 0 && cpu_clock_ms(0) > 0`, "1"}, {`cpu_clock_s(0) >= 0`, "1"},
	{`qs_time() > 0`, "1"}, {`cve_enabled()`, "1"}, {`target() > 0`, "1"}, {`stp_pid() > 0`, "1"},
	{`atomic_read(&@cast(task_current(), "task_struct")->usage) > 0`, "1"},
	{`atomic_long_read(&@cast(task_current(), "task_struct")->mm->mm_users) != 0`, "1"},
	{`kernel_string(&@cast(pid2task(1), "task_struct")->comm[0]) == task_execname(pid2task(1))`, "1"}, {`kernel_string2(8, "dflt")`, "dflt"},
	{`kernel_string(8, "d")`, "d"}, {`kernel_string_quoted(8)`, "0x8"}, {`kernel_string_n(&@cast(pid2task(1), "task_struct")->comm[0], 1) != ""`, "1"},
	{`kernel_int(&@cast(pid2task(1), "task_struct")->tgid)`, "1"}, {`kernel_short(&@cast(pid2task(1), "task_struct")->tgid)`, "1"}, {`kernel_char(&@cast(pid2task(1), "task_struct")->tgid)`, "1"},
	{`kernel_long(&@cast(pid2task(1), "task_struct")->mm) == kernel_pointer(&@cast(pid2task(1), "task_struct")->mm)`, "1"},
	{`kernel_buffer_quoted_error(&@cast(pid2task(1), "task_struct")->tgid, 2, 0)`, `"\001\000"`},
	{`kernel_string_utf16(8, "n") . kernel_string_utf32(8, "n") . kernel_string2_utf32(8, "n")`, "nnn"}, {`kernel_string_quoted_utf16(8) . kernel_string_quoted_utf32(8)`, "~^0x80x8$"},
	{`task_pid(pid2task(1))`, "1"}, {`task_tid(pid2task(1))`, "1"}, {`task_parent(pid2task(1)) != 0`, "1"}, {`task_state(pid2task(1)) >= 0`, "1"}, {`pstrace(pid2task(1))`, ""},
	{`task_prio(pid2task(1))`, "20"}, {`task_uid(pid2task(1)) + task_euid(pid2task(1)) + task_gid(pid2task(1)) + task_egid(pid2task(1))`, "0"},
	{`task_ns_pid(pid2task(1))`, "1"}, {`task_ns_tid(pid2task(1))`, "1"}, {`task_ns_uid(pid2task(1)) + task_ns_euid(pid2task(1)) + task_ns_gid(pid2task(1)) + task_ns_egid(pid2task(1))`, "0"},
	{`container_of_task_rcu(&@cast(pid2task(1), "task_struct")->rcu) == pid2task(1)`, "1"},
	{`proc_mem_size(1) > 0 && proc_mem_size_pid(1) == proc_mem_size(1)`, "1"}, {`proc_mem_rss(1) >= proc_mem_shr(1) && proc_mem_rss_pid(1) > 0 && proc_mem_shr_pid(1) >= 0`, "1"},
	{`proc_mem_txt(1) > 0 && proc_mem_txt_pid(1) == proc_mem_txt(1)`, "1"}, {`proc_mem_data(1) > 0 && proc_mem_data_pid(1) == proc_mem_data(1)`, "1"}, {`proc_mem_string(1) == proc_mem_string_pid(1)`, "1"},
	{`proc_mem_size(999999)`, "0"},
	{`task_start_time(1) >= 0 && task_utime(1) >= 0 && task_stime_tid(1) >= task_utime_tid(999999)`, "1"}, {`task_time_string_tid(999999)`, "usr: 0m0.000s, sys: 0m0.000s"},
	{`symname(8)`, "0x8"}, {`symdata(8)`, "0x8"}, {`modname(8)`, "<unknown>"}, {`symfile(8)`, "0x8"}, {`symfileline(8)`, "0x8"}, {`symline(8)`, "0x8"},
	{`sprint_syms("0x8")`, "0x8"}, {`sprint_stack("0x8")`, "0x8"},
	{`module_name() != ""`, "1"}, {`module_size()`, `~^programs: \d+, instructions: \d+, maps: \d+, memory: \d+$`},
	{`stack_size()`, "16384"},
	{`thread_indent_depth(1) + thread_indent_depth(-1)`, "2"}, {`indent_depth(1) + indent_depth(-1)`, "2"},
	{`tz_gmtoff()`, "=west"}, {`tz_name()`, "=zone"}, {`tz_ctime(86400)`, "=second"},
}

// own are facts about the process that runs, in handlers of the kernel.
var own = []row{
	{`pid()`, "=pid"}, {`tid()`, "=tid"}, {`ppid()`, "=ppid"}, {`pgrp()`, "=pgrp"}, {`sid()`, "=sid"},
	{`uid()`, "=uid"}, {`euid()`, "=euid"}, {`gid()`, "=gid"}, {`egid()`, "=egid"},
	{`ns_pid()`, "=pid"}, {`ns_tid()`, "=tid"}, {`ns_ppid()`, "=ppid"}, {`ns_pgrp()`, "=pgrp"}, {`ns_sid()`, "=sid"},
	{`ns_uid()`, "=uid"}, {`ns_euid()`, "=euid"}, {`ns_gid()`, "=gid"}, {`ns_egid()`, "=egid"},
	{`execname()`, "functions"}, {`pexecname()`, "~^stap"}, {`cpu()`, "0"}, {`cpuid()`, "0"}, {`task_cpu(task_current())`, "0"}, {`task_nice(task_current())`, "3"},
	{`task_execname(task_parent(task_current())) == pexecname()`, "1"},
	{`user_mode()`, "0"}, {`is_return()`, "0"}, {`ppfunc()`, "uname"}, {`pp()`, "~uname"}, {`pn()`, "syscall.uname"}, {`probe_type()`, "~^(kernel.trace|tracepoint)"}, {`registers_valid()`, "~^[01]$"},
	{`fullpath_struct_path(task_cwd_path(task_current()))`, "=cwd"}, {`fullpath_struct_file(task_current(), current_exe_file())`, "=exe"}, {`task_exe_file(task_current()) == current_exe_file()`, "1"},
	{`fullpath_struct_file(task_current(), task_fd_lookup(task_current(), 205))`, "=fd5"},
	{`fullpath_struct_file(task_current(), task_fd_lookup(task_current(), 206))`, "=fd6"},
	{`fullpath_struct_file(task_current(), task_fd_lookup(task_current(), 208))`, "=fd8"},
	{`fullpath_struct_file(task_current(), task_fd_lookup(task_current(), 209))`, "=fd9"},
	{`task_fd_lookup(task_current(), 1000)`, "0"}, {`task_open_file_handles(task_current()) >= 9`, "1"}, {`task_max_file_handles(task_current()) >= 210`, "1"},
	{`d_name(@cast(task_fd_lookup(task_current(), 205), "file")->f_path->dentry)`, "file"},
	{`inode_name(@cast(task_fd_lookup(task_current(), 205), "file")->f_inode)`, "file"},
	{`inode_path(@cast(task_fd_lookup(task_current(), 205), "file")->f_inode)`, "~/file$"},
	{`isinstr(reverse_path_walk(@cast(task_fd_lookup(task_current(), 205), "file")->f_path->dentry), "file")`, "1"},
	{`task_dentry_path(task_current(), @cast(task_fd_lookup(task_current(), 205), "file")->f_path->dentry, @cast(task_fd_lookup(task_current(), 205), "file")->f_path->mnt)`, "=fd5"},
	{`real_mount(@cast(task_fd_lookup(task_current(), 205), "file")->f_path->mnt) != 0`, "1"},
	{`sprintf("%d:%d", MAJOR(@cast(task_fd_lookup(task_current(), 205), "file")->f_inode->i_sb->s_dev), MINOR(@cast(task_fd_lookup(task_current(), 205), "file")->f_inode->i_sb->s_dev))`, "=dev"},
	{`proc_mem_size()`, "=size"}, {`proc_mem_txt()`, "=txt"}, {`proc_mem_data()`, "=data"}, {`proc_mem_rss() >= 0 && proc_mem_shr() >= 0`, "1"}, {`proc_mem_string()`, "~^size: .*, rss: .*, shr: .*, txt: .*, data: .*"},
	{`task_start_time(tid()) / 10000000`, "=start"}, {`task_utime() >= 0 && task_stime() >= 0`, "1"}, {`task_time_string()`, `~^usr: 0m0\.\d{3}s, sys: 0m0\.\d{3}s$`},
	{`is_sig_blocked(task_current(), 10)`, "1"}, {`is_sig_blocked(task_current(), 12)`, "0"}, {`get_sigset(&@cast(task_current(), "task_struct")->blocked)`, "512"},
	{`sa_handler_str(get_sa_handler(&@cast(task_current(), "task_struct")->sighand->action[14]))`, "ignored"},
	{`sa_flags_str(get_sa_flags(&@cast(task_current(), "task_struct")->sighand->action[11]))`, "~RESTART"},
	{`sigset_mask_str(get_sigaction_mask(&@cast(task_current(), "task_struct")->sighand->action[11]))`, "1"},
	{`stack_used() >= 0 && stack_used() < stack_size()`, "1"}, {`stack_unused() + stack_used() > 0`, "1"},
	{`backtrace()`, "~^0x[0-9a-f]+( 0x[0-9a-f]+)+ ?$"}, {`stack(0) != 0`, "1"}, {`isinstr(callers(2), "0x")`, "1"}, {`caller_addr() != 0`, "1"}, {`caller()`, "~0x"},
	{`ustack(0) != 0`, "1"}, {`isinstr(ucallers(0), "0x")`, "1"}, {`ubacktrace()`, "~^0x"}, {`sprint_backtrace()`, `~^[\w.]+\+0x[0-9a-f]+ \[`}, {`sprint_ubacktrace()`, "~functions|syscall|uname"},
	{`usymname(uaddr())`, "~."}, {`umodname(uaddr())`, "~functions"}, {`umodbuildid(uaddr())`, "~^[0-9a-f]*$"}, {`usymdata(uaddr())`, "~functions"},
	{`user_uint16_error(uaddr()) == (user_uint8_error(uaddr()) | user_uint8_error(uaddr() + 1) << 8)`, "1"},
	{`user_int16_error(uaddr()) == user_short_error(uaddr()) && user_ushort_error(uaddr()) == user_uint16_error(uaddr())`, "1"},
	{`user_int8_error(uaddr()) == user_char_error(uaddr()) && (user_int8_error(uaddr()) & 255) == user_uint8_error(uaddr())`, "1"},
	{`(user_int32_error(uaddr()) & 0xffffffff) == user_uint32_error(uaddr())`, "1"},
	{`user_int64_error(uaddr()) == user_long_error(uaddr()) && user_ulong_error(uaddr()) == user_long_error(uaddr())`, "1"},
	{`user_string2_utf16(8, "n")`, "n"},
	{`usymfile(8)`, "0x8"}, {`usymline(8)`, "0x8"}, {`usymfileline(8)`, "0x8"}, {`sprint_usyms("0x8")`, "0x8"}, {`sprint_ustack("0x8")`, "0x8"},
	{`task_backtrace(pid2task(1))`, "~^$|^0x[0-9a-f]+"}, {`probefunc()`, "uname"}, {`probemod()`, "<unknown>"},
	{`inet_get_local_port(SK)`, "=local_port"}, {`inet_get_ip_source(SK)`, "127.0.0.1"}, {`tcpmib_local_port(SK)`, "=local_port"}, {`tcpmib_remote_port(SK)`, "=remote_port"},
	{`ip_ntop(htonl(tcpmib_local_addr(SK)))`, "127.0.0.1"}, {`ip_ntop(htonl(tcpmib_remote_addr(SK)))`, "127.0.0.1"}, {`tcp_sockstate_str(tcpmib_get_state(SK))`, "TCP_ESTABLISHED"}, {`tcp_ts_get_info_state(SK)`, "1"},
	{`tcp_get_info_rto(SK) > 0`, "1"}, {`tcp_get_info_snd_cwnd(SK) > 0`, "1"}, {`tcp_ts_get_info_snd_ssthresh(SK) > 0`, "1"}, {`tcp_ts_get_info_rcv_mss(SK) > 0`, "1"},
	{`get_netdev_name(@cast(SK, "sock")->sk_dst_cache->dev)`, "lo"},
	{`timer_pending(&@cast(SK, "sock")->sk_timer) >= 0`, "1"},
	{`task_rlimit(task_current(), "RLIMIT_NOFILE")`, "=rlimit7"},
	{`kernel_or_user_string_quoted_utf16(8) . kernel_or_user_string_quoted_utf32(8)`, "0x80x8"},
}

var limits = []string{"cpu", "fsize", "data", "stack", "core", "rss", "nproc", "nofile", "memlock", "as", "locks", "sigpending", "msgqueue", "nice", "rtprio", "rttime"}

// begun are facts about the loader, in its handlers.
var begun = []row{
	{`pid() == stp_pid() && tid() == pid()`, "1"}, {`task_pid(task_current()) == pid() && task_tid(task_current()) == tid()`, "1"},
	{`ppid() == task_pid(task_parent(task_current()))`, "1"}, {`pgrp() > 0 && sid() > 0`, "1"}, {`uid() + euid() + gid() + egid()`, "0"},
	{`ns_pid() == pid() && ns_tid() == tid() && ns_ppid() == ppid() && ns_pgrp() == pgrp() && ns_sid() == sid()`, "1"}, {`ns_uid() + ns_euid() + ns_gid() + ns_egid()`, "0"},
	{`execname()`, "~^stap"}, {`pexecname() == task_execname(task_parent(task_current()))`, "1"}, {`pid2execname(pid()) == execname()`, "1"}, {`isinstr(task_ancestry(task_current(), 0), execname())`, "1"},
	{`cpu() >= 0 && cpuid() >= 0 && task_cpu(task_current()) >= 0`, "1"}, {`task_nice(task_current()) >= -20 && task_nice(task_current()) < 20`, "1"},
	{`user_mode() + is_return() + registers_valid()`, "0"}, {`pp()`, "begin"}, {`pn()`, "begin"}, {`probe_type()`, "begin"}, {`ppfunc()`, ""},
	{`fullpath_struct_path(task_cwd_path(task_current())) != ""`, "1"}, {`fullpath_struct_file(task_current(), current_exe_file())`, "~/stap"}, {`task_exe_file(task_current()) == current_exe_file()`, "1"},
	{`d_name(@cast(current_exe_file(), "file")->f_path->dentry)`, "~^stap"}, {`inode_name(@cast(current_exe_file(), "file")->f_inode)`, "~^stap"}, {`isinstr(reverse_path_walk(@cast(current_exe_file(), "file")->f_path->dentry), "stap")`, "1"},
	{`inode_path(@cast(current_exe_file(), "file")->f_inode)`, "~/stap"},
	{`task_dentry_path(task_current(), @cast(current_exe_file(), "file")->f_path->dentry, @cast(current_exe_file(), "file")->f_path->mnt) == fullpath_struct_file(task_current(), current_exe_file())`, "1"},
	{`real_mount(@cast(current_exe_file(), "file")->f_path->mnt) != 0`, "1"}, {`task_fd_lookup(task_current(), 1) != 0`, "1"},
	{`task_open_file_handles(task_current()) > 2 && task_max_file_handles(task_current()) >= task_open_file_handles(task_current())`, "1"},
	{`is_sig_blocked(task_current(), 9)`, "0"}, {`get_sigset(&@cast(task_current(), "task_struct")->blocked) & 256`, "0"},
	{`get_sa_handler(&@cast(task_current(), "task_struct")->sighand->action[8]) + get_sa_flags(&@cast(task_current(), "task_struct")->sighand->action[8])`, "0"},
	{`get_sigaction_mask(&@cast(task_current(), "task_struct")->sighand->action[8])`, "0"},
	{`task_rlimit(task_current(), "RLIMIT_NOFILE") > 0`, "1"}, {`task_stime() >= 0`, "1"}, {`task_time_string()`, `~^usr: \d+m\d+\.\d{3}s, sys: \d+m\d+\.\d{3}s$`},
	{`probemod()`, "<unknown>"}, {`probefunc()`, "0x0"}, {`backtrace() . sprint_backtrace() . callers(1) . ubacktrace() . sprint_ubacktrace() . ucallers(0)`, ""},
	{`cmdline_str() . cmdline_arg(0) . cmdline_args(0, -1, ",") . env_var("PATH")`, ""}, {`uid() == euid() && gid() == egid() && ns_euid() == ns_uid() && ns_egid() == ns_gid()`, "1"}, {`caller()`, "0x0 0x0"},
	{`addr() + uaddr() + caller_addr() + stack(0) + ustack(0)`, "0"}, {`arch_bytes() + uarch_bytes()`, "16"},
	{`task_backtrace(pid2task(1))`, "~^$|^0x[0-9a-f]+"},
	{`user_string(8, "d") . user_string2(8, "e") . user_string_n(8, 3, "f") . user_string_n2(8, 3, "g")`, "defg"},
	{`user_string_quoted(8) . user_string_n_quoted(8, 3) . user_string_n2_quoted(8, 3, 2)`, "0x80x80x8"}, {`user_buffer_quoted(8, 3, 2) . kernel_buffer_quoted(8, 3, 2) . kernel_string_quoted(8)`, "0x80x80x8"}, {`kernel_string2_utf16(8, "n")`, "n"},
	{`kernel_or_user_string_quoted(8) . kernel_or_user_string_quoted_utf16(8) . kernel_or_user_string_quoted_utf32(8)`, "0x80x80x8"},
	{`usymname(8) . usymdata(8) . usymfile(8) . usymline(8) . usymfileline(8)`, "0x80x80x80x80x8"}, {`umodname(8)`, "<unknown>"}, {`umodbuildid(8)`, ""},
	{`sprint_usyms("0x8")`, "0x8"}, {`sprint_ustack("0x8")`, "0x8"}, {`stack_used() + stack_unused() >= 0`, "1"}, {`target_set_pid(pid())`, "0"},
	{`user_char(8) + user_short(8) + user_int(8) + user_long(8) + user_ushort(8) + user_ulong(8)`, "0"},
	{`user_int8(8) + user_int16(8) + user_int32(8) + user_int64(8) + user_uint8(8) + user_uint16(8) + user_uint32(8) + user_uint64(8)`, "0"},
}

func init() {
	for _, l := range limits {
		begun = append(begun, row{fmt.Sprintf("task_rlimit_%s(task_current()) == task_rlimit(task_current(), \"RLIMIT_%s\")", l, strings.ToUpper(l)), "1"})
	}
	for i, l := range limits {
		own = append(own, row{fmt.Sprintf("task_rlimit_%s(task_current())", l), fmt.Sprintf("=rlimit%d", i)})
	}
}

// sock is the socket behind descriptor 209.
const sock = `@cast(@cast(task_fd_lookup(task_current(), 209), "file")->private_data, "socket")->sk`

// functionScript calls all of them: a line for each is its number and its value. Each
// handler has a few, since the kernel bounds the size of programs.
func functionScript() string {
	var b strings.Builder
	write := func(point, tag string, rows []row) {
		for i := 0; i < len(rows); i += 8 {
			fmt.Fprintf(&b, "probe %s {\n", point)
			for k := i; k < min(i+8, len(rows)); k++ {
				fmt.Fprintf(&b, "\tprintln(\"%s %d \", %s)\n", tag, k, strings.ReplaceAll(rows[k].expr, "SK", sock))
			}
			b.WriteString("}\n")
		}
	}
	write("begin", "loader", pure)
	write("begin", "begun", begun)
	write("KERNEL", "kernel", pure)
	write("KERNEL", "own", own)
	return strings.ReplaceAll(b.String(), "probe KERNEL {\n", "probe syscall.uname {\n\tif (pid() != target())\n\t\tnext\n")
}

// both are functions that print or change something, or raise errors, in handlers of the
// kernel and of the loader.
const both = `
	printf("effects\n")
	thread_indent(2)
	qsq_start("k") qs_wait("k") qs_run("k") qs_done("k")
	println("qs ", qsq_utilization("k", 100) + qsq_blocked("k", 100) + qsq_wait_queue_length("k", 1) >= 0, qsq_throughput("k", 1000000000) > 0, qsq_service_time("k", 1) + qsq_wait_time("k", 1) >= 0)
	id = speculation()
	speculate(id, "speculated ")
	speculate(id, "twice\n")
	other = speculation()
	speculate(other, "discarded\n")
	discard(other)
	commit(id)
--
	print_stack("0x8")
	print_syms("0x8 0x9")
	qsq_print("k")
	stp_print_binary(1, 0x0a41424344454647, 0, 0, 0)
	log("logged")
	try { assert(0, "asserted") } catch (m) { println("caught ", m) }
	try { assert(0) } catch (m) { println("caught ", m) }
	try { error("erred") } catch (m) { println("caught ", m) }
	try { get_loadavg_index(7) } catch (m) { println("caught ", m) }
	warn("stapkit: a warning of a test")
--
	start_stopwatch("w")
	udelay(3000)
	mdelay(3)
	stop_stopwatch("w")
	println("stopwatch ", read_stopwatch_ms("w") >= 6, read_stopwatch_us("w") >= 6000, read_stopwatch_ns("w") >= 6000000, read_stopwatch_s("w"))
	delete_stopwatch("w")
	println("deleted ", read_stopwatch_ns("w"))
	cve_count_metric("a")
	cve_record_metric("b", 9)
	system("echo from a handler")
	println("end of effects")
--
	ansi_set_color(31) ansi_set_color(31, 42) ansi_set_color2(31, 42) ansi_set_color(31, 42, 1) ansi_set_color3(31, 42, 1)
	ansi_cursor_move(2, 3) ansi_cursor_hide() ansi_cursor_show() ansi_cursor_save() ansi_cursor_restore() ansi_clear_screen() ansi_reset_color() ansi_new_line()
	if ("eth0" =~ "([a-z]+)([0-9]+)")
		println("match ", matched(1), " ", matched(2), " ", matched_str(), " ", ngroups())
	println("indent ", strlen(indent(1)) > 0, strlen(thread_indent(1)) > 10)
`

// effects are handlers with these, and with functions that make sense in one kind only.
var effects = func() string {
	var b strings.Builder
	for _, part := range strings.Split(both, "--\n") {
		fmt.Fprintf(&b, "probe syscall.uname {\n\tif (pid() != target())\n\t\tnext\n%s}\nprobe end {\n%s}\n", part, part)
	}
	return b.String() + alone
}()

const alone = `
probe init { println("session begins") }
probe syscall.uname {
	if (pid() != target())
		next
	print_ustack("0x8")
	print_usyms("0x8")
	print_ubacktrace(uaddr(), 0, 0)
	print_ubacktrace_fileline(8, 0, 0)
	print_backtrace()
	print_ubacktrace_brief()
	ftrace("stapkit: a line of a test")
	switch_file()
	target_set_report()
	cve_tmpdisable(100)
	println("off ", cve_enabled())
}
probe end(1) {
	print_backtrace() print_backtrace_fileline() print_ubacktrace() print_ubacktrace_brief()
	print_ubacktrace(8, 0, 0) print_ubacktrace_fileline(8, 0, 0) print_ustack("0x8") print_usyms("0x8")
	dump_stack()
	foreach (k+ in cve_metrics)
		println("metric ", k, " ", cve_metrics[k])
	system("echo from the end; id -u")
	cve_tmpdisable(100)
	println("enabled ", cve_enabled())
	printk(6, "stapkit: a line of a test")
	ftrace("stapkit: a line of a test")
	switch_file()
	target_set_report()
}
`

// twice is what the handlers of both kinds print, printed what others do.
var (
	twice = []string{
		"effects\n", "qs 111\n", "speculated twice\n", " 0x8\n 0x8\n 0x9\n", "GFEDCBA\n", "logged\n",
		"caught asserted\n", "caught Assertion failed\n", "caught erred\n", "caught get_loadavg_index: index is not 0, 1 or 2\n",
		"stopwatch 1110\n", "deleted 0\n", "from a handler\n", "end of effects\n",
		"\x1b[31m", "\x1b[1;1H\x1b[J", "match eth 0 eth0 3\n", "indent 11\n",
	}
	printed = []string{"session begins\n", "metric a 2\nmetric b 9\n", "from the end\n0\n", "enabled 0\n", "off 0\n", "WARNING: stapkit: a warning of a test\n"}
)

// TestFunctions calls the library's functions and compares what they yield with the
// system and with stated rules.
func TestFunctions(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "functions")
	if b, err := exec.Command("gcc", "-O1", "-static", "-Wno-unused-result", "-o", program, "testdata/functions.c").CombinedOutput(); err != nil {
		t.Skipf("the program cannot be built: %v\n%s", err, b)
	}
	there := "/t/functions"
	var stap string
	var run func(string) string
	if why := host.BPF(); why == "" {
		stap, run, there = hostStap(t, dir), onHost(t), program
		if _, err := os.Stat("/usr/share/zoneinfo/Asia/Kolkata"); err == nil {
			t.Setenv("TZ", "Asia/Kolkata")
		}
	} else {
		t.Logf("in a guest: %s", why)
		stap, run = "/bin/stap", inGuest(t, map[string]string{there: program})
	}
	checkFunctions(t, run, stap, there, "")
}

// checkFunctions runs the script with the program and checks what both print. extra is
// more of the script.
func checkFunctions(t *testing.T, run func(string) string, stap, there, extra string) (output string) {
	t.Helper()
	began := time.Now()
	out := run(fmt.Sprintf("cd %s; chmod +x functions; echo hi > file; cat > functions.stp <<'EOF'\n%sEOF\n%s -g -DMAXACTION=100000 functions.stp -c '%s %s' 2>&1\n",
		filepath.Dir(there), functionScript()+effects+extra, stap, there, filepath.Dir(there)))
	t.Logf("took %v", time.Since(began).Round(time.Second))
	for i, list := range [][]string{printed, twice} {
		for _, want := range list {
			if n := strings.Count(out, want); n < i+1 {
				t.Errorf("%q is in the output %d times, not %d", want, n, i+1)
			}
		}
	}
	if strings.Contains(out, "discarded") {
		t.Error("what was discarded is in the output")
	}
	facts := map[string]string{}
	got := map[string]string{}
	for _, line := range strings.Split(out, "\n") {
		word, rest, _ := strings.Cut(line, " ")
		if word == "loader" || word == "begun" || word == "kernel" || word == "own" {
			n, value, _ := strings.Cut(rest, " ")
			got[word+" "+n] = value
			continue
		}
		if word != "" && word[0] >= 'a' && word[0] <= 'z' && rest != "" {
			facts[word] = rest
		}
	}
	check := func(tag string, rows []row) {
		for i, r := range rows {
			value, ok := got[fmt.Sprintf("%s %d", tag, i)]
			want := r.want
			if f, is := strings.CutPrefix(want, "="); is {
				want = facts[f]
				if want == "" {
					t.Errorf("%s: the program does not tell its %s", r.expr, f)
				}
			}
			re, is := strings.CutPrefix(want, "~")
			switch {
			case !ok:
				t.Errorf("%s: %s: no line", tag, r.expr)
			case is && !regexp.MustCompile(re).MatchString(value):
				t.Errorf("%s: %s: %q does not fit %s", tag, r.expr, value, re)
			case !is && value != want:
				t.Errorf("%s: %s: %q, not %q", tag, r.expr, value, want)
			}
		}
	}
	check("loader", pure)
	check("begun", begun)
	check("kernel", pure)
	check("own", own)
	return out
}

// kernelOnly are functions that need a probe of a kernel function, or whose effect some
// kernels forbid.
const kernelOnly = `
global reads, returns, packets, walks
probe kernel.function("complete_walk") {
	if (pid() == target() && walks++ < 20)
		println("walk ", d_path($nd), " ", fullpath_struct_nameidata($nd))
}
probe kprobe.function("vfs_read") {
	if (pid() != target() || reads++)
		next
	println("probed ", probefunc(), " ", probemod(), " ", registers_valid(), addr() != 0, " ", symname(addr()), " ", modname(addr()), " ",
	        pointer_arg(1) != 0, ulong_arg(3) > 0, register("rdi") == pointer_arg(1), u_register("rip") != 0, probing_32bit_app(), arch_bytes(), uarch_bytes(), user_mode())
	println("symdata ", symdata(addr()))
	asmlinkage()
	fastcall()
	try { regparm(3) } catch (m) { println("caught ", m) }
	println("arguments ", longlong_arg(3) == ulong_arg(3), u64_arg(3) == ulonglong_arg(3))
	println("callers ", caller_addr() != 0, " ", caller(), " ", stack(1) == caller_addr(), isinstr(callers(1), " "))
	print_regs()
	print_backtrace_fileline()
}
probe kernel.function("ip_rcv") {
	if (execname() != "functions" || ipmib_get_proto($skb) != 6 || packets++)
		next
	println("packet ", ip_ntop(htonl(ipmib_remote_addr($skb, 0))), " ", ip_ntop(htonl(ipmib_local_addr($skb, 1))), " ",
	        ipmib_tcp_remote_port($skb, 0) > 0, ipmib_tcp_local_port($skb, 0) > 0)
}
probe kernel.function("vfs_read").return {
	if (pid() != target() || returns++)
		next
	println("returned ", returnval() == $return, is_return(), " ", returnstr(1) == return_str(1, $return))
}
probe kprobe.function("__x64_sys_newuname") {
	if (pid() != target())
		next
	b = kernel_long(pointer_arg(1) + 104) // the second argument of the call
	set_user_string_n(b, 3, "hey you")
	set_user_char(b + 3, 0x41)
	set_user_short(b + 4, 0x4342)
	set_user_int(b + 6, 0x47464544)
	set_user_long(b + 10, 0x4f4e4d4c4b4a4948)
	set_user_pointer(b + 32, b)
	set_user_string(b + 40, "x")
	set_user_string_arg(b + 42, "y")
	println("read back ", user_string(b), " ", user_ulong(b + 32) == b, " ", user_string(b + 40), user_string(b + 42))
	try { set_user_int(8, 1) } catch (m) { println("caught ", m) }
	raise(28)
	dump_stack()
	printk(4, "stapkit: printk")
}
`

// TestFunctionsInGuests calls the functions on other kernels, and those that need a probe
// of a kernel function.
func TestFunctionsInGuests(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes")
	}
	program := filepath.Join(t.TempDir(), "functions")
	if b, err := exec.Command("gcc", "-O1", "-static", "-Wno-unused-result", "-o", program, "testdata/functions.c").CombinedOutput(); err != nil {
		t.Skipf("the program cannot be built: %v\n%s", err, b)
	}
	for _, suite := range guest.Suites {
		t.Run(suite.Kernel, func(t *testing.T) {
			t.Parallel()
			run := inGuestOf(t, suite.Kernel, map[string]string{"/t/functions": program})
			both := func(script string) string {
				return run("ip link set lo up; " + script + "dmesg | grep stapkit: | tail -3\n")
			}
			out := checkFunctions(t, both, "/bin/stap", "/t/functions", kernelOnly)
			for _, want := range []string{
				`(?m)^probed vfs_read kernel 11 vfs_read kernel 1111` + "088" + `0$`,
				`(?m)^symdata vfs_read\+0x[0-9a-f]+/0x[0-9a-f]+ \[kernel\]$`,
				`(?m)^callers 1 [a-z_0-9.]+ 0x[0-9a-f]+ 11$`,
				`(?m)^arguments 11$`, `(?m)^caught regparm is invalid here`, `(?m)^packet 127.0.0.1 127.0.0.1 11$`,
				`(?m)^returned 11 1$`, `(?m)^walk /t/functions /t/functions$`,
				`(?m)^RIP: .*`,
				`(?m)^read back heyABCDEFGHIJKLMNO.* 1 xy$`,
				`(?m)^caught user memory at 0x8 cannot be written: -14$`,
				`(?m)^written heyABCDEFGHIJKLMNO`,
				`stapkit: printk`,
			} {
				if !regexp.MustCompile(want).MatchString(out) {
					t.Errorf("the output does not fit %s", want)
				}
			}
			if t.Failed() {
				t.Log(out)
			}
		})
	}
}

// metrics is a script whose values other programs read.
const metrics = `
global hits
probe begin {
	hits["a\"b", 3] = 7
	json_set_prefix("test")
	json_add_numeric_metric("n", "a number", "count")
	json_add_string_metric("t", "")
	json_add_array("list", "an array")
	json_add_array_numeric_metric("list", "x", "", "")
	json_add_array_string_metric("list", "s", "")
	try { json_add_array_numeric_metric("none", "x", "", "") } catch { println("refused") }
}
function angle:string(x:long) { return sprintf("<%d>", x) }
probe json_data {
	@json_output_data_start
	@json_output_numeric_value("n", 5)
	@json_output_numeric_value("unknown", 6)
	@json_output_array_numeric_value("list", "eth0", "x", 1)
	@json_output_array_string_value("list", "eth0", "s", "q\"z")
	@json_output_array_numeric_value("list", "eth1", "x", 2)
	@json_output_string_value("t", "text")
	@json_output_data_end
}
probe prometheus {
	@prometheus_dump_array2(hits, "hits", "a", "b")
	@prometheus_dump_array2_map(hits, "hits", "a", "b", angle, sprint, angle)
}
global once
probe timer.ms(300) {
	if (!once++)
		system("cd /run/stapkit/METRICS && cat data metadata prometheus")
}
probe timer.ms(1500) { exit() }
`

// TestMetrics reads what a script serves in JSON and for Prometheus.
func TestMetrics(t *testing.T) {
	if why := host.BPF(); why != "" {
		t.Skip(why)
	}
	dir := t.TempDir()
	name := fmt.Sprintf("metrics_%d", os.Getpid())
	out := onHost(t)(fmt.Sprintf("cd %s; cat > m.stp <<'EOF'\n%sEOF\n%s -w -m %s m.stp 2>&1\n", dir, strings.ReplaceAll(metrics, "METRICS", name), hostStap(t, dir), name))
	for _, want := range []string{
		"refused\n",
		`{"n":5,"list":[{"__id":"eth0","x":1,"s":"q\"z"},{"__id":"eth1","x":2}],"t":"text"}`,
		`{"prefix":"test","metrics":[{"name":"n","pointer":"/n","type":"integer","description":"a number","units":"count"},{"name":"t","pointer":"/t","type":"string"},{"name":"list","pointer":"/list","type":"array","index":"/__id","description":"an array","metrics":[{"name":"x","pointer":"/x","type":"integer"},{"name":"s","pointer":"/s","type":"string"}]}]}`,
		`hits{a="a\"b",b="3"} 7`, `hits{a="a\"b",b="<3>"} <7>`,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%s\nis not in\n%s", want, out)
		}
	}
}
