//go:build linux

package loader

import (
	"bufio"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"github.com/elastic/go-seccomp-bpf"
	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/sys/unix"
)

// serviceUser is who staprun@.service runs as, and who a run that began as root goes on
// as; nobody where there is no such user.
const (
	serviceUser = "stapkit"
	nobody      = 65534
)

// dropPrivileges takes all privileges from this process, all of its threads, for good. What
// is left are its open files, and a short list of system calls. warn is told what
// this kernel cannot do.
func dropPrivileges(warn func(string)) error {
	failed := func(step string, err error) error {
		return errorf(codeDrop, err, "privileges cannot be given up: %s: %v", step, err)
	}
	if os.Geteuid() == 0 {
		uid, gid := userOf(serviceUser)
		// In a container there may be no other user, and root may have no right to be
		// one. It is root without capabilities then.
		err := errors.Join(syscall.Setgroups(nil), syscall.Setresgid(gid, gid, gid), syscall.Setresuid(uid, uid, uid))
		if err != nil && !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EINVAL) {
			return failed("the user", err)
		}
	}
	if err := dropCapabilities(); err != nil {
		return failed("capabilities", err)
	}
	// Nobody of the same user may look into it or take it over.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return failed("the mark of a process that others must not read", err)
	}
	filters, err := systemCalls()
	if err != nil {
		return failed("the list of system calls", err)
	}
	if err = restrict(filters); errors.Is(err, unix.ENOSYS) {
		warn("this kernel has no seccomp: the system calls of the process that prints are not restricted")
		return nil
	}
	if err != nil {
		return failed("system calls", err)
	}
	return nil
}

// restrict has the kernel judge all system calls of all threads from now on.
func restrict(filters []seccomp.Policy) error {
	// no_new_privs is a thread's, which is to be the one that asks for the filter.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for i, policy := range filters {
		// On all threads, or not at all. no_new_privs comes with the first, before
		// prctl(2) is forbidden.
		const orError = 1 << 4 // SECCOMP_FILTER_FLAG_TSYNC_ESRCH
		err := seccomp.LoadFilter(seccomp.Filter{NoNewPrivs: i == 0, Flag: seccomp.FilterFlagTSync | orError, Policy: policy})
		if err != nil {
			return err
		}
	}
	return nil
}

// shrink leaves the broker no more than it needs for the rest of the run: the capabilities
// of keep, and, if it need start no commands, no way to execute anything, to mount, to load
// modules, or to attach programs.
func shrink(keep uint64, commands bool) error {
	if commands {
		return nil // they are to have what the user had who began the run
	}
	for _, b := range capabilityNumbers(^keep) {
		// Who may not do it, or knows no such capability, has no way to get it back either,
		// as it is not to execute anything.
		_, _, _ = syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, uintptr(b), 0)
	}
	if err := limitCapabilities(keep); err != nil {
		return fmt.Errorf("capabilities: %w", err)
	}
	filters, err := brokerCalls()
	if err == nil {
		err = restrict(filters)
	}
	if err != nil && !errors.Is(err, unix.ENOSYS) {
		return fmt.Errorf("system calls: %w", err)
	}
	return nil
}

// limitCapabilities takes all capabilities but those of keep from all threads. A program
// built with cgo, as only development has, keeps them.
func limitCapabilities(keep uint64) error {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var set [2]unix.CapUserData
	if err := unix.Capget(&head, &set[0]); err != nil {
		return os.NewSyscallError("capget", err)
	}
	for i := range set {
		m := uint32(keep >> (32 * i))
		set[i].Effective, set[i].Permitted, set[i].Inheritable = set[i].Effective&m, set[i].Permitted&m, 0
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	pin.Pin(&head)
	pin.Pin(&set)
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&head)), uintptr(unsafe.Pointer(&set)), 0)
	if errno != 0 && errno != unix.ENOTSUP {
		return os.NewSyscallError("capset", errno)
	}
	return nil
}

// userOf looks a user up in /etc/passwd: its numbers, or nobody's.
func userOf(name string) (uid, gid int) {
	f, err := os.Open("/etc/passwd")
	if err != nil {
		return nobody, nobody
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		if w := strings.Split(sc.Text(), ":"); len(w) > 3 && w[0] == name {
			u, err1 := strconv.Atoi(w[2])
			g, err2 := strconv.Atoi(w[3])
			if err1 == nil && err2 == nil && u > 0 && g > 0 {
				return u, g
			}
		}
	}
	return nobody, nobody
}

// dropCapabilities empties all sets of all threads.
func dropCapabilities() error {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	var pin runtime.Pinner
	defer pin.Unpin()
	pin.Pin(&head)
	pin.Pin(&none)
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&head)), uintptr(unsafe.Pointer(&none)), 0)
	if errno == unix.ENOTSUP {
		// A program built with cgo cannot do it on all threads. It need not when root has
		// become another user, who has none.
		var have [2]unix.CapUserData
		if err := unix.Capget(&head, &have[0]); err != nil {
			return os.NewSyscallError("capget", err)
		}
		if have == none {
			return nil
		}
		return errors.New("this program was built with cgo; build it with CGO_ENABLED=0")
	}
	if errno != 0 {
		return os.NewSyscallError("capset", errno)
	}
	return nil
}

// ambient lists the capabilities that a process started now has to be given to have ours:
// those of a user who is not root.
func ambient() ([]uintptr, error) {
	if os.Geteuid() == 0 {
		return nil, nil // root has them by being root
	}
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var have [2]unix.CapUserData
	if err := unix.Capget(&head, &have[0]); err != nil {
		return nil, os.NewSyscallError("capget", err)
	}
	var list []uintptr
	for i := range uintptr(64) {
		if have[i/32].Permitted>>(i%32)&1 != 0 {
			list = append(list, i)
		}
	}
	return list, nil
}

// allowed are the system calls of a process that reads, computes and writes, with those
// that Go's runtime makes. What is neither here nor in forbidden fails with EPERM.
var allowed = []string{
	"read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "lseek", "close", "close_range", "fsync", "fdatasync",
	"fstat", "newfstatat", "fstatat", "statx", "stat", "lstat", "access", "faccessat", "faccessat2", "readlink", "readlinkat", "getdents64", "statfs", "fstatfs",
	"getcwd", "fcntl", "dup", "dup3", "ftruncate", "fallocate", "fadvise64",
	"epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "pselect6", "eventfd2", "pipe2",
	"timerfd_create", "timerfd_settime", "timerfd_gettime", "timer_create", "timer_settime", "timer_delete", "setitimer", "getitimer",
	"nanosleep", "clock_nanosleep", "clock_gettime", "clock_getres", "gettimeofday", "time", "times", "getrusage", "sysinfo", "uname",
	"munmap", "mremap", "madvise", "mincore", "brk", "munlock", "membarrier",
	"futex", "rseq", "set_robust_list", "sched_yield", "sched_getaffinity", "getcpu", "gettid", "getpid", "getppid",
	"getuid", "geteuid", "getgid", "getegid", "getgroups", "getresuid", "getresgid", "capget", "getrlimit", "prlimit64", "getrandom",
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigpending", "rt_sigtimedwait", "sigaltstack", "restart_syscall", "pause",
	"exit", "exit_group", "wait4", "waitid", "arch_prctl",
	// Of sockets that are there: the broker's, and those that serve.
	"accept4", "recvfrom", "recvmsg", "sendto", "sendmsg", "shutdown", "getsockopt", "setsockopt", "getsockname", "getpeername",
}

// forbidden are system calls that no mistake leads to: who makes them has taken the
// process over, and it dies.
var forbidden = []string{
	"execve", "execveat", "fork", "vfork", "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_open", "pidfd_getfd",
	"perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register", "memfd_create", "memfd_secret",
	"pkey_mprotect", "socket", "socketpair", "connect", "bind", "listen",
	"openat2", "open_by_handle_at", "name_to_handle_at", "creat", "mknod", "mknodat", "mkdir", "mkdirat", "rename", "renameat", "renameat2",
	"link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat", "rmdir", "chmod", "fchmod", "fchmodat", "chown", "fchown", "lchown", "fchownat",
	"setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setfsuid", "setfsgid", "setgroups", "capset",
	"mount", "umount2", "pivot_root", "chroot", "unshare", "setns", "fsopen", "fsconfig", "fsmount", "move_mount", "open_tree", "mount_setattr",
	"init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot", "swapon", "swapoff", "syslog", "acct",
	"keyctl", "add_key", "request_key", "tkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal",
	"settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "sethostname", "setdomainname", "iopl", "ioperm", "seccomp", "personality",
}

// conditional are system calls that are allowed unless all of the conditions hold: then the
// process dies, as for forbidden ones.
func conditional() map[string]seccomp.ArgumentConditions {
	other := func(arg uint32, values ...uint64) (list seccomp.ArgumentConditions) {
		for _, v := range values {
			list = append(list, seccomp.Condition{Argument: arg, Operation: seccomp.NotEqual, Value: v})
		}
		return list
	}
	has := func(arg uint32, bits uint64) seccomp.ArgumentConditions {
		return seccomp.ArgumentConditions{{Argument: arg, Operation: seccomp.BitsSet, Value: bits}}
	}
	const writing = unix.O_ACCMODE | unix.O_CREAT | unix.O_TRUNC | unix.O_APPEND
	self := uint64(os.Getpid())
	return map[string]seccomp.ArgumentConditions{
		"clone":    {{Argument: 0, Operation: seccomp.BitsNotSet, Value: unix.CLONE_THREAD}},
		"mmap":     has(2, unix.PROT_EXEC),
		"mprotect": has(2, unix.PROT_EXEC),
		"open":     has(1, writing),
		"openat":   has(2, writing),
		"prctl":    other(0, unix.PR_SET_VMA), // names of memory: Go's runtime
		"kill":     other(0, self),
		"tgkill":   other(0, self),
		"ioctl":    other(1, unix.TCGETS, unix.TIOCGWINSZ),
		"bpf": other(0, cmdMapLookup, cmdMapUpdate, cmdMapDelete, cmdMapNextKey, cmdProgTestRun, cmdObjectInfo,
			cmdMapLookupAndDelete, cmdMapLookupBatch, cmdMapLookupAndDeleteBatch, cmdMapUpdateBatch, cmdMapDeleteBatch),
	}
}

// systemCalls is what a process without privileges may ask of the kernel: filters, of which
// the strictest answer counts. Each call with conditions has a filter of its own, since
// go-seccomp-bpf compares what follows conditions that do not hold with an argument in
// place of the call's number. The one that forbids seccomp(2) comes last.
func systemCalls() ([]seccomp.Policy, error) {
	machine, err := arch.GetInfo("")
	if err != nil {
		return nil, err
	}
	var filters []seccomp.Policy
	allow := slices.Clone(allowed)
	conditions := conditional()
	for _, name := range slices.Sorted(maps.Keys(conditions)) {
		if _, ok := machine.SyscallNames[name]; !ok {
			continue
		}
		allow = append(allow, name)
		filters = append(filters, seccomp.Policy{DefaultAction: seccomp.ActionAllow, Syscalls: []seccomp.SyscallGroup{{
			Action: seccomp.ActionKillProcess, NamesWithCondtions: []seccomp.NameWithConditions{{Name: name, Conditions: conditions[name]}},
		}}})
	}
	known := func(names []string) []string { return knownCalls(machine, names) }
	return append(filters, seccomp.Policy{DefaultAction: seccomp.ActionErrno, Syscalls: []seccomp.SyscallGroup{
		{Action: seccomp.ActionAllow, Names: known(allow)},
		{Action: seccomp.ActionKillProcess, Names: known(forbidden)},
		// Its flags are in memory, which no filter sees. The C library, which programs
		// built with cgo have, makes threads with clone where there is no clone3.
		{Action: seccomp.ActionErrno | seccomp.Action(unix.ENOSYS), Names: known([]string{"clone3"})},
	}}), nil
}

// knownCalls are those of the names that this machine has.
func knownCalls(machine *arch.Info, names []string) (out []string) {
	for _, n := range names {
		if _, ok := machine.SyscallNames[n]; ok {
			out = append(out, n)
		}
	}
	return out
}

// brokerForbidden are system calls by which the broker would do what it is not there for.
var brokerForbidden = []string{
	"execve", "execveat", "fork", "vfork", "process_vm_readv", "process_vm_writev", "perf_event_open", "userfaultfd",
	"io_uring_setup", "io_uring_enter", "io_uring_register", "memfd_create", "open_by_handle_at", "mknod", "mknodat",
	"mount", "pivot_root", "chroot", "unshare", "setns", "fsopen", "fsconfig", "fsmount", "fspick", "move_mount", "open_tree", "mount_setattr",
	"init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot", "swapon", "swapoff", "syslog", "acct", "quotactl",
	"keyctl", "add_key", "request_key", "setuid", "setreuid", "setresuid",
	"settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "sethostname", "setdomainname", "iopl", "ioperm", "personality",
}

// brokerCalls are the filters of the broker.
func brokerCalls() ([]seccomp.Policy, error) {
	machine, err := arch.GetInfo("")
	if err != nil {
		return nil, err
	}
	deny := func(group seccomp.SyscallGroup) seccomp.Policy {
		group.Action = seccomp.ActionKillProcess
		return seccomp.Policy{DefaultAction: seccomp.ActionAllow, Syscalls: []seccomp.SyscallGroup{group}}
	}
	filters := []seccomp.Policy{deny(seccomp.SyscallGroup{Names: knownCalls(machine, brokerForbidden)})}
	// Of bpf(2), what makes maps, loads the program that reads memory, and switches the
	// timing: nothing is attached, pinned, or opened by its number.
	for _, cmd := range []uint64{cmdObjPin, cmdObjGet, cmdProgAttach, cmdProgByID, cmdMapByID, cmdRawTPOpen, cmdLinkCreate, cmdLinkUpdate, cmdLinkByID, cmdIterCreate} {
		filters = append(filters, deny(seccomp.SyscallGroup{NamesWithCondtions: []seccomp.NameWithConditions{{
			Name: "bpf", Conditions: seccomp.ArgumentConditions{{Argument: 0, Operation: seccomp.Equal, Value: cmd}},
		}}}))
	}
	return filters, nil
}
