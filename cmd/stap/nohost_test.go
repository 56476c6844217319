//go:build linux

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"stapkit/internal/minikernel"
)

// asStap has the test binary be stap.
const asStap = "STAPKIT_TEST_AS_STAP"

// TestNoHost: with a host description nothing of this machine's kernel is needed for what
// does not run, as on other systems: /proc and /sys are empty.
func TestNoHost(t *testing.T) {
	dir := t.TempDir()
	host := filepath.Join(dir, "host.desc")
	if err := minikernel.WriteHost(host); err != nil {
		t.Fatal(err)
	}
	const hide = `mount -t tmpfs none /proc && mount -t tmpfs none /sys || exit 125; test -z "$(ls -A /proc /sys | grep -v :)" || exit 125; exec "$0" "$@"`
	run := func(args ...string) (stdout, stderr string, status int) {
		t.Helper()
		cmd := exec.Command("/bin/sh", append([]string{"-c", hide, os.Args[0], "-r", host}, args...)...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), asStap+"=1", "STAPKIT_CACHE="+filepath.Join(dir, "cache"), "HOME="+dir, "DEBUGINFOD_URLS=")
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
		if os.Getuid() != 0 {
			cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
			cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
			cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
		}
		err := cmd.Run()
		if cmd.ProcessState == nil {
			t.Skipf("no mount namespace can be had here: %v", err)
		}
		if cmd.ProcessState.ExitCode() == 125 {
			t.Skipf("/proc and /sys cannot be hidden here: %s", errs.String())
		}
		return out.String(), errs.String(), cmd.ProcessState.ExitCode()
	}
	const script = `probe kernel.function("vfs_read") { printf("%d %s\n", pid(), execname()) } probe timer.s(1) { exit() }`
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"-l", `kernel.function("vfs_r*")`}, `kernel.function("vfs_read`},
		{[]string{"-L", `kernel.function("vfs_read")`}, ` $`},
		{[]string{"-l", "timer.profile"}, "timer.profile\n"},
		{[]string{"-p1", "-e", script}, "# parse tree dump\n"},
		{[]string{"-p2", "-e", script}, "# probes\n"},
		{[]string{"-p3", "-e", script}, "handler 0 "},
		{[]string{"-p4", "-m", "elsewhere", "-e", script}, "elsewhere.o\n"},
	} {
		stdout, stderr, status := run(tt.args...)
		if status != 0 || stderr != "" || !strings.Contains(stdout, tt.want) {
			t.Errorf("%q: status %d\n%s%s", tt.args, status, stdout, stderr)
		}
	}
	if st, err := os.Stat(filepath.Join(dir, "elsewhere.o")); err != nil || st.Size() == 0 {
		t.Errorf("no bundle: %v", err)
	}
}
