package sema

import (
	_ "embed" // syscalls.txt
	"sort"
	"strconv"
	"strings"
	"sync"
)

//go:generate go run stapkit/internal/gen/syscalls

//go:embed syscalls.txt
var syscallText string

// syscallTable gives the numbers of system calls by architecture and name.
var syscallTable = sync.OnceValue(func() map[string]map[string]int {
	out := map[string]map[string]int{}
	var columns []string
	for line := range strings.Lines(syscallText) {
		f := strings.Fields(line)
		switch {
		case len(f) == 0 || f[0] == "#":
			continue
		case f[0] == "name":
			columns = f[1:]
			for _, c := range columns {
				out[c] = map[string]int{}
			}
			continue
		}
		for i, nr := range f[1:] {
			if n, err := strconv.Atoi(nr); err == nil && i < len(columns) {
				out[columns[i]][f[0]] = n
			}
		}
	}
	return out
})

// Syscalls lists the system calls of an architecture by SystemTap's name of it,
// sorted; nil for one that is not known.
func Syscalls(arch string) []string { return sortedKeys(syscallTable()[arch]) }

// SyscallNumber is the number of a system call on an architecture.
func SyscallNumber(arch, name string) (int, bool) {
	nr, ok := syscallTable()[arch][name]
	return nr, ok
}

// SyscallName is the name of a system call by its number.
func SyscallName(arch string, nr int) (string, bool) {
	var found []string
	for name, n := range syscallTable()[arch] {
		if n == nr {
			found = append(found, name)
		}
	}
	sort.Strings(found)
	if len(found) == 0 {
		return "", false
	}
	return found[0], true
}

// syscallEvents are the calls whose kernel function, and so trace event, has
// another name.
var syscallEvents = map[string]string{
	"stat": "newstat", "lstat": "newlstat", "fstat": "newfstat", "uname": "newuname",
	"umount2": "umount", "sendfile": "sendfile64",
}

// arch is the target's architecture; x86_64 where it is not known.
func (e *elab) arch() string {
	if t := e.opt.Target; t != nil && t.Arch() != "" {
		return t.Arch()
	}
	return "x86_64"
}

// noReturn are the calls whose return no probe sees, and why.
var noReturn = map[string]string{
	"exit": "it does not return", "exit_group": "it does not return",
	"rt_sigreturn": "it returns where the signal came in, with the number of no call",
	"sigreturn":    "it returns where the signal came in, with the number of no call",
	"uprobe":       "it returns where the probe was hit", "uretprobe": "it returns where the probe was hit",
}

// compatArch is the architecture of the 32-bit programs that run on one.
var compatArch = map[string]string{"x86_64": "i386", "arm64": "arm"}

// compatOther are calls of 32-bit programs that have the name of one of 64 bits with
// a suffix, but other arguments.
var compatOther = map[string]bool{"truncate64": true, "ftruncate64": true, "fadvise64_64": true}

// compatNumbers are the numbers by which 32-bit programs make a system call. They
// have several for those whose types have grown: stat and stat64, getuid and
// getuid32, futex and futex_time64.
func compatNumbers(arch, name string) []int {
	table := syscallTable()[compatArch[arch]]
	var out []int
	for _, n := range []string{name, name + "64", name + "32", name + "_time64"} {
		if _, own := syscallTable()[arch][n]; own && n != name || compatOther[n] {
			continue
		}
		if nr, ok := table[n]; ok {
			out = append(out, nr)
		}
	}
	// Those whose names differ in more than a suffix.
	for _, n := range compatNames[name] {
		if nr, ok := table[n]; ok {
			out = append(out, nr)
		}
	}
	return out
}

// compatNames are those whose names differ in more than a suffix. The offset of
// mmap2 is in pages.
var compatNames = map[string][]string{"newfstatat": {"fstatat64"}, "mmap": {"mmap2"}}

// socketCalls are the numbers by which 32-bit programs of x86 make calls of sockets
// through one call, socketcall: many do, though each has had a number of its own since
// Linux 4.3.
var socketCalls = map[string]int{
	"socket": 1, "bind": 2, "connect": 3, "listen": 4, "accept": 5, "getsockname": 6, "getpeername": 7, "socketpair": 8,
	"sendto": 11, "recvfrom": 12, "shutdown": 13, "setsockopt": 14, "getsockopt": 15, "sendmsg": 16, "recvmsg": 17,
	"accept4": 18, "recvmmsg": 19, "sendmmsg": 20,
}

// MuxIPC is where the numbers of calls through ipc begin in Probe.Mux.
const MuxIPC = 32

// ipcCalls are the numbers in another such call, ipc, by which nearly all 32-bit programs
// use System V's semaphores, messages and shared memory.
var ipcCalls = map[string]int{
	"semop": 1, "semget": 2, "semctl": 3, "semtimedop": 4, "msgsnd": 11, "msgrcv": 12, "msgget": 13, "msgctl": 14,
	"shmat": 21, "shmdt": 22, "shmget": 23, "shmctl": 24,
}

// muxed tells by which of the two a call may be made: its Probe.Mux, 0 if by neither, and
// what the kernel may call the function.
func muxed(name string) (n int, functions []string, of string) {
	if n := socketCalls[name]; n > 0 {
		return n, []string{"__ia32_compat_sys_socketcall", "__ia32_sys_socketcall"}, "socketcall"
	}
	if n := ipcCalls[name]; n > 0 {
		return MuxIPC + n, []string{"__ia32_compat_sys_ipc", "__ia32_sys_ipc"}, "ipc"
	}
	return 0, nil, ""
}

// compatFunctions are what the kernel may call the function of a call that 32-bit
// programs make on x86, best first.
func compatFunctions(arch, name, event string) []string {
	if arch != "x86_64" {
		return nil // arm64 has the same functions for programs of 64 bits
	}
	return []string{"__ia32_compat_sys_" + event, "__ia32_compat_sys_" + name, "__ia32_sys_ia32_" + name, "__ia32_sys_" + event, "__ia32_sys_" + name}
}
