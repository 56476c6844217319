package families

import (
	"fmt"
	"regexp"
	"strings"
)

// A Context is what the functions about the running probe tell in one: pp(), ppfunc(),
// probefunc(), probe_type(), $$name, $$vars and print_regs().
type Context struct {
	At, If string
	Want   string // regular expression of "pp|ppfunc|probefunc|probe_type|$$name|$$vars|"
	Regs   bool   // registers are printed
	Only   string // as in Script
	Not    string // as in Script
}

// ContextScript is a script with all of these probes; each tells once.
func ContextScript(list []Context, more string) string {
	var s strings.Builder
	s.WriteString("global told\n")
	for i, c := range list {
		cond := fmt.Sprintf("!told[%d]++", i)
		if c.If != "" {
			cond = c.If + " && " + cond
		}
		fmt.Fprintf(&s, `probe %s {
	if (%s) {
		printf("%d %%s|%%s|%%s|%%s|%%s|%%s|\n", pp(), ppfunc(), probefunc(), probe_type(), @defined($$name) ? $$name : "-", @defined($$vars) ? $$vars : "-")
		print_regs()
	}
}
`, c.At, cond, i)
	}
	return s.String() + more
}

var printedRegs = regexp.MustCompile(`^(RIP: [0-9a-f]{16}\nRSP: [0-9a-f]{16}  EFLAGS: [0-9a-f]{8}\n(R\w\w: [0-9a-f]{16} R\w\w: [0-9a-f]{16} R\w\w: [0-9a-f]{16}\n){5}|pc : [0-9a-f]{16} lr : [0-9a-f]{16} pstate: [0-9a-f]{8}\nsp : [0-9a-f]{16}\n(x\d+ ?: [0-9a-f]{16} x\d+ ?: [0-9a-f]{16}\n){15})$`)

// CheckContexts says which of the lines are not as they have to be.
func CheckContexts(list []Context, out string) (bad []string) {
	got := map[int]string{}
	last := -1
	for line := range strings.Lines(out) {
		n := 0
		if _, err := fmt.Sscanf(line, "%d ", &n); err == nil && strings.Contains(line, "|") {
			last = n
			_, line, _ = strings.Cut(line, " ")
		}
		got[last] += line
	}
	for i, c := range list {
		line, regs, _ := strings.Cut(got[i], "\n")
		switch {
		case !regexp.MustCompile("^" + c.Want + "$").MatchString(line):
			bad = append(bad, fmt.Sprintf("%s: %q, not %s", c.At, line, c.Want))
		case c.Regs && !printedRegs.MatchString(regs):
			bad = append(bad, fmt.Sprintf("%s: registers %q", c.At, regs))
		case !c.Regs && regs != "":
			bad = append(bad, fmt.Sprintf("%s: registers %q, and there are none", c.At, regs))
		}
	}
	return bad
}

// ProgramContexts are those of programs, and of what the loader runs once; the program is
// internal/e2e/testdata/rows.c without a position of its own, and watched where its
// variable of that name is.
func ProgramContexts(watched uint64) []Context {
	const p = `process("./fixed")`
	return []Context{
		{At: "begin", Want: `begin\|\|0x0\|begin\|-\|-\|`},
		{At: "begin(3)", Want: `begin\(3\)\|\|0x0\|begin\|-\|-\|`},
		{At: "end", Want: `end\|\|0x0\|end\|-\|-\|`},
		{At: `kernel.trace("sched:sched_process_exit")`, If: `execname() == "fixed"`, Want: `kernel\.trace\("sched:sched_process_exit"\)\|sched_process_exit\|sched_process_exit\|kernel\.trace\|sched_process_exit\|p=0xff[0-9a-f]+( group_dead=0x[01])?\|`},
		{At: `kernel.tracepoint("sched_process_exit")`, If: `execname() == "fixed"`, Want: `kernel\.tracepoint\("sched_process_exit"\)\|sched_process_exit\|sched_process_exit\|kernel\.tracepoint\|sched_process_exit\|arg1=0xff[0-9a-f]+( arg2=0x[01])?\|`},
		{At: "syscall.getppid", If: `execname() == "fixed"`, Want: `kernel\.syscall\("getppid"\)\|getppid\|getppid\|kernel\.trace\|getppid\|\|`},
		{At: "syscall.getppid.return", If: `execname() == "fixed"`, Want: `kernel\.syscall\("getppid"\)\.return\|getppid\|getppid\|kernel\.trace\|getppid\|\|`},
		{At: "nd_syscall.getppid", If: `execname() == "fixed"`, Want: `kernel\.syscall\("getppid"\)\|getppid\|getppid\|kernel\.trace\|getppid\|\|`},
		{At: "tp_syscall.getppid", If: `execname() == "fixed"`, Want: `kernel\.syscall\("getppid"\)\|getppid\|getppid\|kernel\.trace\|getppid\|\|`},
		{At: `kernel.syscall("getppid")`, If: `execname() == "fixed"`, Want: `kernel\.syscall\("getppid"\)\|getppid\|getppid\|kernel\.trace\|getppid\|\|`},
		{At: `kernel.syscall("getppid").return`, If: `execname() == "fixed"`, Want: `kernel\.syscall\("getppid"\)\.return\|getppid\|getppid\|kernel\.trace\|getppid\|\|`},
		{At: "syscall_any", If: `execname() == "fixed" && name == "getppid"`, Want: `kernel\.trace\("raw_syscalls:sys_enter"\)\|sys_enter\|sys_enter\|kernel\.trace\|sys_enter\|regs=0xff[0-9a-f]+ id=0x(6e|ad)\|`},
		{At: "syscall_any.return", If: `execname() == "fixed" && name == "getppid"`, Want: `kernel\.trace\("raw_syscalls:sys_exit"\)\|sys_exit\|sys_exit\|kernel\.trace\|sys_exit\|regs=0xff[0-9a-f]+ ret=0x[0-9a-f]+\|`},
		{At: p + `.function("callee")`, Want: `process\(".*/fixed"\)\.function\("callee@.*rows\.c:19"\)\|callee\|callee\|process\.function\|-\|a=0x0\|`, Regs: true},
		{At: p + `.function("callee").call`, Want: `process\(".*/fixed"\)\.function\("callee@.*rows\.c:19"\)\.call\|callee\|callee\|process\.function\|-\|a=0x0\|`, Regs: true},
		{At: p + `.function("callee").return`, Want: `process\(".*/fixed"\)\.function\("callee@.*rows\.c:19"\)\.return\|callee\|callee\|process\.function\|-\|a=0x0\|`, Regs: true},
		{At: p + `.function("other").exported`, Want: `process\(".*/fixed"\)\.function\("other@.*rows\.c:37"\)\.exported\|other\|other\|process\.function\|-\|a=0x0\|`, Regs: true},
		{At: p + `.function("inl").inline`, Want: `process\(".*/fixed"\)\.function\("inl@.*rows\.c:13"\)\.inline\|inl\|inl\|process\.function\|-\|a=0x0\|`, Regs: true},
		{At: p + `.function("twice").label("out")`, Want: `process\(".*/fixed"\)\.function\("twice@.*rows\.c:32"\)\.label\("out"\)\|twice\|twice\|process\.statement\|-\|a=(0x0|\?) r=0x3\|`, Regs: true},
		{At: p + `.function("twice").callee("callee")`, Want: `process\(".*/fixed"\)\.function\("twice@.*rows\.c:25"\)\.callee\("callee@.*rows\.c:19"\)\|callee\|callee\|process\.function\|-\|a=0x0\|`, Regs: true},
		{At: p + `.statement("twice@rows.c:28")`, Want: `process\(".*/fixed"\)\.statement\("twice@.*rows\.c:28"\)\|twice\|twice\|process\.statement\|-\|a=0x0 r=0x1\|`, Regs: true},
		{At: p + `.plt("strdup")`, Want: `process\(".*/fixed"\)\.plt\("strdup"\)\|strdup\|strdup\|process\.function\|strdup\|\|`, Regs: true},
		{At: p + `.plt("strdup").return`, Want: `process\(".*/fixed"\)\.plt\("strdup"\)\.return\|strdup\|strdup\|process\.function\|strdup\|\|`, Regs: true},
		{At: p + `.library("libc.so.6").function("strdup")`, If: `execname() == "fixed"`, Want: `process\(".*/fixed"\)\.library\(".*/libc\.so\.6"\)\.function\("\w*strdup.*"\)\|\w*strdup\|\w*strdup\|process\.function\|-\|.*\|`, Regs: true},
		{At: p + `.mark("mid")`, Want: `process\(".*/fixed"\)\.mark\("mid"\)\|\|twice\|process\.mark\|mid\|arg1=0x3 arg2=0x[0-9a-f]+\|`, Regs: true},
		{At: p + `.provider("rows").mark("mid")`, Want: `process\(".*/fixed"\)\.provider\("rows"\)\.mark\("mid"\)\|\|twice\|process\.mark\|mid\|arg1=0x3 arg2=0x[0-9a-f]+\|`, Regs: true},
		{At: p + ".begin", Want: `process\(".*/fixed"\)\.begin\|\|0x0\|process\|-\|-\|`},
		{At: p + ".end", Want: `process\(".*/fixed"\)\.end\|\|0x0\|process\|-\|-\|`},
		{At: p + ".thread.begin", Want: `process\(".*/fixed"\)\.thread\.begin\|\|0x0\|process\|-\|-\|`},
		{At: p + ".thread.end", Want: `process\(".*/fixed"\)\.thread\.end\|\|0x0\|process\|-\|-\|`},
		{At: p + ".syscall", If: "$syscall == " + getppid, Want: `process\(".*/fixed"\)\.syscall\|\|0x0\|process\.syscall\|-\|-\|`},
		{At: p + ".syscall.return", If: "$syscall == " + getppid, Want: `process\(".*/fixed"\)\.syscall\.return\|\|0x0\|process\.syscall\|-\|.*\|`},
		{At: fmt.Sprintf("%s.data(%#x).write", p, watched), Want: `process\(".*fixed"\)\.data\(\d+\)\.write\|\|main\|process\.data\|-\|-\|`, Regs: true},
	}
}

// ClockContexts are those of timers, profilers and counters: they are hit anywhere.
var ClockContexts = []Context{
	{At: "timer.ms(5)", Want: `timer\.ms\(5\)\|\|0x0\|timer\|-\|-\|`},
	{At: "timer.jiffies(1)", Want: `timer\.jiffies\(1\)\|\|0x0\|timer\|-\|-\|`},
	{At: "timer.profile", Want: `timer\.profile\|\|.+\|timer\.profile\|-\|-\|`, Regs: true},
	{At: "perf.type(1).config(0).sample(1000000)", Want: `perf\.type\(1\)\.config\(0\)\.sample\(1000000\)\|\|.+\|perf\|-\|.*\|`, Regs: true},
	{At: "perf.sw.cpu_clock", Want: `perf\.type\(1\)\.config\(0\)\|\|.+\|perf\|-\|.*\|`, Regs: true},
}

// KernelContexts are those of functions of the kernel and what hooks it.
var KernelContexts = []Context{
	{At: `kernel.function("vfs_read")`, If: "$count == 841", Want: `kernel\.function\("vfs_read"\)\|vfs_read\|vfs_read\|kernel\.function\|-\|file=0xff[0-9a-f]+ buf=0x[0-9a-f]+ count=0x349 pos=0x[0-9a-f]+\|`, Regs: true},
	{At: `kernel.function("vfs_read").call`, If: "$count == 841", Want: `kernel\.function\("vfs_read"\)\.call\|vfs_read\|vfs_read\|kernel\.function\|-\|file=0xff[0-9a-f]+ buf=0x[0-9a-f]+ count=0x349 pos=0x[0-9a-f]+\|`, Regs: true},
	{At: `kernel.function("vfs_read").return`, If: "$return == 841", Want: `kernel\.function\("vfs_read"\)\.return\|vfs_read\|vfs_read\|kernel\.function\|-\|file=0xff[0-9a-f]+ buf=0x[0-9a-f]+ count=0x349 pos=0x[0-9a-f]+\|`, Regs: true},
	{At: `kernel.function("inode_permission").exported`, Not: bare, If: `execname() == "trigger"`, Want: `kernel\.function\("inode_permission"\)\.exported\|inode_permission\|inode_permission\|kernel\.function\|-\|.*inode=0xff[0-9a-f]+ mask=0x[0-9a-f]+\|`, Regs: true},
	{At: "kernel.function(" + Address("vfs_read") + ")", If: "$count == 841", Want: `kernel\.function\("vfs_read"\)\|vfs_read\|vfs_read\|kernel\.function\|-\|file=0xff[0-9a-f]+ buf=0x[0-9a-f]+ count=0x349 pos=0x[0-9a-f]+\|`, Regs: true},
	{At: "kernel.statement(" + Address("vfs_read") + ").absolute", If: third + " == 841", Want: `kernel\.statement\((0x[0-9a-f]+|-?\d+)\)\.absolute\|(vfs_read)?\|vfs_read\|kernel\.statement\|-\|(-|.*count=0x349.*)?\|`, Regs: true},
	{At: `kprobe.function("vfs_read")`, If: "ulong_arg(3) == 841", Want: `kprobe\.function\("vfs_read"\)\|vfs_read\|vfs_read\|kprobe\.function\|-\|(-|.*count=0x349.*)?\|`, Regs: true},
	{At: `kprobe.function("vfs_read").return`, If: "returnval() == 841", Want: `kprobe\.function\("vfs_read"\)\.return\|vfs_read\|vfs_read\|kprobe\.function\|-\|(-|.*count=0x349.*)?\|`, Regs: true},
	{At: "kprobe.statement(" + Address("vfs_read") + ").absolute", If: third + " == 841", Want: `kprobe\.statement\((0x[0-9a-f]+|-?\d+)\)\.absolute\|(vfs_read)?\|vfs_read\|kprobe\.statement\|-\|(-|.*count=0x349.*)?\|`, Regs: true},
	{At: `module("` + vsock + `").function("virtio_transport_stream_enqueue")`, Want: `module\("vmw_vsock_virtio_transport_common"\)\.function\("virtio_transport_stream_enqueue"\)\|virtio_transport_stream_enqueue\|virtio_transport_stream_enqueue\|kernel\.function\|-\|vsk=0xff[0-9a-f]+ msg=0xff[0-9a-f]+ len=0x21\|`, Regs: true},
	{At: `module("` + vsock + `").function("virtio_transport_stream_enqueue").return`, Want: `module\("vmw_vsock_virtio_transport_common"\)\.function\("virtio_transport_stream_enqueue"\)\.return\|virtio_transport_stream_enqueue\|virtio_transport_stream_enqueue\|kernel\.function\|-\|vsk=0xff[0-9a-f]+ msg=0xff[0-9a-f]+ len=0x21\|`, Regs: true},
	{At: `kprobe.module("` + vsock + `").function("virtio_transport_stream_enqueue")`, Want: `kprobe\.module\("vmw_vsock_virtio_transport_common"\)\.function\("virtio_transport_stream_enqueue"\)\|virtio_transport_stream_enqueue\|virtio_transport_stream_enqueue\|kprobe\.function\|-\|(-|.*len=0x21.*)?\|`, Regs: true},
	{At: `module("` + vsock + `").trace("virtio_transport_alloc_pkt")`, Want: `module\("vmw_vsock_virtio_transport_common"\)\.trace\("(\w+:)?virtio_transport_alloc_pkt"\)\|virtio_transport_alloc_pkt\|virtio_transport_alloc_pkt\|kernel\.trace\|virtio_transport_alloc_pkt\|.*len=0x[0-9a-f]+.*\|`},
	{At: `kernel.trace("raw_syscalls:sys_enter")`, If: "$id == " + chdir + ` && execname() == "trigger"`, Want: `kernel\.trace\("raw_syscalls:sys_enter"\)\|sys_enter\|sys_enter\|kernel\.trace\|sys_enter\|regs=0xff[0-9a-f]+ id=0x(50|31)\|`},
	{At: `kernel.tracepoint("sys_enter")`, If: "$arg2 == " + chdir + ` && execname() == "trigger"`, Want: `kernel\.tracepoint\("sys_enter"\)\|sys_enter\|sys_enter\|kernel\.tracepoint\|sys_enter\|arg1=0xff[0-9a-f]+ arg2=0x(50|31)\|`},
	{At: "syscall.chdir", If: `execname() == "trigger"`, Want: `kernel\.syscall\("chdir"\)\|chdir\|chdir\|kernel\.trace\|chdir\|\|`},
	{At: "syscall.chdir.return", If: `execname() == "trigger"`, Want: `kernel\.syscall\("chdir"\)\.return\|chdir\|chdir\|kernel\.trace\|chdir\|\|`},
	{At: `kernel.data("panic_timeout").write`, Not: bare, Want: `kernel\.data\("panic_timeout"\)\.write\|\|\w+\|kernel\.data\|-\|-\|`, Regs: true},
	{At: `netfilter.hook("NF_INET_LOCAL_OUT").pf("PF_INET")`, Only: "6.12", Want: `netfilter\.hook\("NF_INET_LOCAL_OUT"\)\.pf\("PF_INET"\)\|[^|]*\|[^|]*\|netfilter\|-\|.*\|`},
	{At: "lsm.file_open", Not: bare, If: `execname() == "trigger"`, Want: `lsm\.file_open\|file_open\|file_open\|lsm\|-\|file=0xff[0-9a-f]+\|`},
}
