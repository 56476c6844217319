//go:build linux

package loader_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	loader "stapkit/runtime"
)

// dropVar has the test binary give up its privileges and then do what it says.
const dropVar = "LOADER_TEST_DROP"

// attempts are what a process without privileges tries.
var attempts = map[string]func() error{
	"nothing": func() error { return nil },
	"read":    func() error { _, err := os.ReadFile("/proc/loadavg"); return err },
	"stat":    func() error { _, err := os.Stat("/proc/self"); return err },
	"thread":  func() error { done := make(chan bool); go func() { close(done) }(); <-done; return nil },
	"signal":  func() error { return unix.Kill(os.Getpid(), 0) },
	"shadow":  func() error { _, err := os.ReadFile("/etc/shadow"); return err },
	"exec":    func() error { return syscall.Exec("/bin/true", []string{"true"}, nil) },
	"fork":    func() error { return exec.Command("/bin/true").Run() },
	"write":   func() error { return os.WriteFile("/tmp/stapkit-test-written", nil, 0o600) },
	"socket":  func() error { _, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0); return err },
	"ptrace":  func() error { return unix.PtraceAttach(os.Getppid()) },
	"kill":    func() error { return unix.Kill(os.Getppid(), 0) },
	"setuid":  func() error { return unix.Setuid(0) },
	"unlink":  func() error { return os.Remove("/tmp/stapkit-test-written") },
	"mount":   func() error { return unix.Mount("x", "/mnt", "tmpfs", 0, "") },
	"code": func() error {
		_, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANON)
		return err
	},
	"map":      func() error { return bpf(0) },
	"program":  func() error { return bpf(5) },
	"attach":   func() error { return bpf(28) },
	"id":       func() error { return bpf(14) },
	"perf":     func() error { _, err := unix.PerfEventOpen(&unix.PerfEventAttr{}, 0, -1, -1, 0); return err },
	"uncommon": func() error { return unix.Mlockall(unix.MCL_CURRENT) },
}

func bpf(cmd uintptr) error {
	var attr [128]byte
	if _, _, e := unix.Syscall(unix.SYS_BPF, cmd, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr)); e != 0 {
		return e
	}
	return nil
}

// attempt is what the test binary does for dropVar.
func attempt(name string) int {
	if err := loader.DropPrivileges(func(text string) { fmt.Fprintln(os.Stderr, text) }); err != nil {
		fmt.Println(err)
		return 3
	}
	if err := attempts[name](); err != nil {
		fmt.Println(err)
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
			return 4
		}
		return 5
	}
	return 0
}

// TestForbidden: after the drop, what no honest run does ends the process, what other users
// may not do fails, and the rest works.
func TestForbidden(t *testing.T) {
	const died = -1
	for name, want := range map[string]int{
		"nothing": 0, "read": 0, "stat": 0, "thread": 0, "signal": 0,
		"shadow": 4, "uncommon": 4,
		"exec": died, "fork": died, "write": died, "socket": died, "ptrace": died, "kill": died, "setuid": died, "unlink": died,
		"mount": died, "code": died, "map": died, "program": died, "attach": died, "id": died, "perf": died,
	} {
		if name == "shadow" && os.Geteuid() != 0 {
			continue
		}
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), dropVar+"="+name)
		out, err := cmd.CombinedOutput()
		if strings.Contains(string(out), "no seccomp") {
			t.Skip("this kernel has no seccomp")
		}
		ws, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
		switch {
		case want == died && (!ws.Signaled() || ws.Signal() != unix.SIGSYS):
			t.Errorf("%s: %v, not killed by SIGSYS: %s", name, err, out)
		case want != died && ws.ExitStatus() != want:
			t.Errorf("%s: %v, want status %d: %s", name, err, want, out)
		}
	}
	if _, err := os.Stat(filepath.Join(os.TempDir(), "stapkit-test-written")); err == nil {
		t.Error("a file was written")
	}
}
