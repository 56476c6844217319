package families

import "fmt"

// vsock is a module that trigger gets by virtual sockets.
const vsock = "vmw_vsock_virtio_transport_common"

// Batches are the forms of points of kernel functions, statements and tracepoints, in
// the kernel and in a module, each counted.
var Batches = []Batch{
	{Name: "functions", Not: bare, Guru: true, Command: "read 7 901 chdir 3 /tmp vsock 5 33", Points: functionPoints(true)},
	{Name: "functions", Only: bare, Guru: true, Command: "read 7 901 chdir 3 /tmp vsock 5 33", Points: functionPoints(false)},
	{Name: "several", Args: []string{"-c", "sh -c 'cat /proc/mounts > /tmp/several; cat /proc/modules >> /tmp/several; test $(wc -l < /tmp/several) -ge 8'"},
		// The kernel has two functions m_show; of one line of each file each.
		Points: []Point{
			{`kernel.function("m_show")`, `execname() == "cat"`, 8, true},
			{`kernel.function("m_show").return`, `execname() == "cat"`, 8, true},
			{`kprobe.function("m_show")`, `execname() == "cat"`, 8, true},
		}},
	{Name: "data", Only: "amd64", Args: []string{"-c", watchedFiles}, Points: dataPoints(false)},
	{Name: "data", Only: "6.12-arm64", Args: []string{"-c", watchedFiles}, Points: dataPoints(true)},
	{Name: "netfilter", Only: "6.12", Args: []string{"-c", "sh -c 'ping -c 3 127.0.0.1 > /dev/null'"}, Points: []Point{
		{`netfilter.hook("NF_INET_LOCAL_OUT").pf("PF_INET")`, "", 6, false},
		{`netfilter.hook("NF_INET_LOCAL_OUT").pf("PF_INET").priority("7")`, "", 6, false},
		{`netfilter.pf("NFPROTO_IPV4").hook("NF_INET_LOCAL_IN")`, "", 6, false},
		{`netfilter.pf("NFPROTO_IPV4").hook("NF_INET_LOCAL_IN").priority("-3")`, "", 6, false},
	}},
	{Name: "debug", Debug: true, Command: "read 7 901 chdir 3 /tmp vsock 5 33", Points: debugPoints()},
}

const watchedFiles = "sh -c 'cd /proc/sys/kernel; echo 4000000 > pid_max; echo 4194304 > pid_max; echo 5 > panic; cat panic_on_warn print-fatal-signals > /dev/null'"

// dataPoints are watchpoints. On arm64 an interrupt between the hit and the step over its
// instruction makes another hit of it: more says so.
func dataPoints(more bool) []Point {
	return []Point{
		{"kernel.data(" + Address("pid_max") + ").write", "", 2, more},
		{"kernel.data(" + Address("panic_timeout") + ").length(4).write", "", 1, more},
		{"kernel.data(" + Address("panic_on_warn") + ").rw", `execname() == "cat"`, 1, true},
		{"kernel.data(" + Address("print_fatal_signals") + ").length(4).rw", `execname() == "cat"`, 1, true},
	}
}

// functionPoints are those of functions; exported says whether the kernel tells which
// functions are.
func functionPoints(exported bool) []Point {
	const enqueue = "virtio_transport_stream_enqueue"
	mod := fmt.Sprintf("module(%q)", vsock)
	out := []Point{
		{`kernel.trace("raw_syscalls:sys_enter")`, "$id == " + chdir + " && pid() == target()", 3, false},
		{`kernel.tracepoint("sys_enter")`, "$arg2 == " + chdir + " && pid() == target()", 3, false},
		{`kernel.syscall("chdir")`, "pid() == target()", 3, false},
		{`kernel.syscall("chdir").return`, "pid() == target() && $return == 0", 3, false},
		{mod + `.trace("virtio_transport_alloc_pkt")`, "$op == 5 && $len == 33", 5, false},
		{mod + `.tracepoint("virtio_transport_alloc_pkt")`, "$arg7 == 5 && $arg5 == 33", 5, false},
		{"kernel.statement(" + Address("vfs_read") + ").absolute", third + ` == 901`, 7, false},
		{"kprobe.statement(" + Address("vfs_read") + ").absolute", third + ` == 901`, 7, false},
		{`kprobe.function("vfs_read")`, "ulong_arg(3) == 901", 7, false},
		{`kprobe.function("vfs_read").call`, "ulong_arg(3) == 901", 7, false},
		{`kprobe.function("vfs_read").return`, "returnval() == 901", 7, false},
		{`kprobe.function("vfs_read").return.maxactive(20)`, "returnval() == 901", 7, false},
	}
	kpm := fmt.Sprintf("kprobe.module(%q).function(%q)", vsock, enqueue)
	for _, end := range []string{"", ".call", ".return", ".return.maxactive(20)"} {
		out = append(out, Point{kpm + end, "", 5, false})
	}
	for _, f := range []struct {
		at       string
		entry    string
		exit     string
		n        int
		exported bool
	}{
		{`kernel.function("vfs_read")`, "$count == 901", "$return == 901", 7, false},
		{"kernel.function(" + Address("vfs_read") + ")", "$count == 901", "$return == 901", 7, false},
		{`kernel.function("inode_permission")`, "$mask == 65 && pid() == target()", "@entry($mask) == 65 && !$return && pid() == target()", 3, true},
		{"kernel.function(" + Address("inode_permission") + ")", "$mask == 65 && pid() == target()", "@entry($mask) == 65 && !$return && pid() == target()", 3, true},
		{fmt.Sprintf("%s.function(%q)", mod, enqueue), "$len == 33", "$return == 33", 5, true},
		{mod + ".function(" + Address(enqueue) + ")", "$len == 33", "$return == 33", 5, true},
	} {
		for _, end := range []string{"", ".call"} {
			out = append(out, Point{f.at + end, f.entry, f.n, false})
		}
		for _, end := range []string{".return", ".return.maxactive(20)"} {
			out = append(out, Point{f.at + end, f.exit, f.n, false})
		}
		if f.exported && exported {
			out = append(out, Point{f.at + ".exported", f.entry, f.n, false})
		}
	}
	return out
}

func debugPoints() []Point {
	const (
		enqueue = "virtio_transport_stream_enqueue"
		send    = "virtio_transport_send_pkt_info"
	)
	mod := fmt.Sprintf("module(%q)", vsock)
	kcallee := `kernel.function("ksys_read").callee("vfs_read")`
	mcallee := fmt.Sprintf("%s.function(%q).callee(%q)", mod, enqueue, send)
	// A function that is inlined in parts has several places where one is.
	return []Point{
		{`kernel.function("__do_sys_chdir").inline`, "pid() == target()", 3, false},
		{`kernel.function("__do_sys_chdir").label("retry")`, "pid() == target()", 3, false},
		{kcallee, "$count == 901", 7, false},
		{kcallee + ".call", "$count == 901", 7, false},
		{kcallee + ".return", "$return == 901", 7, false},
		{`kernel.function("ksys_read").callees`, `@defined($count) && $count == 901 && ppfunc() == "vfs_read"`, 7, false},
		{`kernel.function("ksys_read").callees(1)`, `@defined($count) && $count == 901 && ppfunc() == "vfs_read"`, 7, false},
		{`kernel.statement("vfs_read@fs/read_write.c+1")`, "$count == 901", 7, false},
		{`kernel.statement("vfs_read@fs/read_write.c+3").nearest`, "$count == 901", 7, false},
		{"kernel.statement(" + InFile("", "vfs_read") + ")", "$count == 901", 7, false},
		{"kernel.statement(" + InFile("", "vfs_read") + ").nearest", "$count == 901", 7, false},
		{mod + `.function("virtio_transport_get_credit").inline`, "", 5, true},
		{mod + `.function("virtio_transport_recv_connecting").label("destroy")`, "", 1, false},
		{mcallee, "$info->pkt_len == 33", 5, false},
		{mcallee + ".call", "$info->pkt_len == 33", 5, false},
		{mcallee + ".return", "$return == 33", 5, false},
		{fmt.Sprintf("%s.function(%q).callees", mod, enqueue), fmt.Sprintf("ppfunc() == %q", send), 5, false},
		{fmt.Sprintf("%s.function(%q).callees(1)", mod, enqueue), fmt.Sprintf("ppfunc() == %q", send), 5, false},
		{fmt.Sprintf("%s.statement(%q)", mod, enqueue+"@net/vmw_vsock/virtio_transport_common.c+4"), "$len == 33", 5, false},
		{fmt.Sprintf("%s.statement(%q).nearest", mod, enqueue+"@net/vmw_vsock/virtio_transport_common.c+4"), "$len == 33", 5, false},
		{mod + ".statement(" + InFile(vsock, enqueue) + ")", "$len == 33", 5, false},
		{mod + ".statement(" + InFile(vsock, enqueue) + ").nearest", "$len == 33", 5, false},
	}
}
