// Package host tells tests what the kernel of this machine can do, so that a test
// that needs more is skipped with the reason.
package host

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// NeedBPF skips the test unless this process may load BPF programs and the kernel
// answers when it does.
func NeedBPF(t testing.TB) {
	t.Helper()
	if why := BPF(); why != "" {
		t.Skip(why)
	}
}

// BPF says why BPF programs cannot be loaded here, "" if they can.
func BPF() string { return once() }

var once = sync.OnceValue(func() string {
	if runtime.GOOS != "linux" {
		return "loading BPF programs needs Linux"
	}
	if os.Geteuid() != 0 {
		return "loading BPF programs needs root"
	}
	return answers()
})

// probeTime is how long the kernel may take to load a program of two
// instructions. A kernel whose BPF allocator is stuck never answers, and a process
// that waits for it cannot be killed: a test that tried would never end.
const probeTime = 20 * time.Second

// answers tries to load a program, in a process of its own. The result holds for
// all tests until the next boot, for some minutes.
func answers() string {
	note := noteFile()
	if why, ok := readNote(note); ok {
		return why
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), probeEnv+"=1")
	detach(cmd)
	if err := cmd.Start(); err != nil {
		return fmt.Sprintf("the kernel cannot be tried out: %v", err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	why := ""
	select {
	case err := <-done:
		if err != nil {
			why = "the kernel refuses to load BPF programs (see internal/host/probe)"
		}
	case <-time.After(probeTime):
		why = fmt.Sprintf("the kernel does not answer: loading a BPF program took more than %v; only a reboot helps", probeTime)
	}
	writeNote(note, why)
	return why
}

const noteAge = 10 * time.Minute

func noteFile() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return filepath.Join(os.TempDir(), "stapkit-bpf-"+strings.TrimSpace(string(boot)))
}

func readNote(name string) (string, bool) {
	info, err := os.Stat(name)
	if name == "" || err != nil || time.Since(info.ModTime()) > noteAge {
		return "", false
	}
	b, err := os.ReadFile(name)
	return string(b), err == nil
}

// writeNote keeps the answer for other tests; without it they ask again.
func writeNote(name, why string) {
	if name == "" {
		return
	}
	tmp := fmt.Sprintf("%s.%d", name, os.Getpid())
	if os.WriteFile(tmp, []byte(why), 0o600) == nil {
		_ = os.Rename(tmp, name)
	}
}
