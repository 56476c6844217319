//go:build linux

package loader_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestWithoutPrivilege: a script of loader probes runs for anybody; what probes in
// the kernel lack is said in one line.
func TestWithoutPrivilege(t *testing.T) {
	needKernel(t)
	const setpriv = "setpriv"
	if _, err := exec.LookPath(setpriv); err != nil {
		t.Skip("needs setpriv (util-linux)")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// A place that anybody can read.
	dir, err := os.MkdirTemp("/tmp", "loader-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	data, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(dir, "stap")
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(bin, data, 0o755); err != nil {
		t.Fatal(err)
	}
	stap := func(as []string, script string) (int, string, string) {
		cmd := exec.CommandContext(t.Context(), setpriv, append(as, bin, "-e", script)...)
		cmd.Env = append(os.Environ(), stapVar+"=1", "HOME=/nonexistent")
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{}
		var out, errOut strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &errOut
		if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode(), out.String(), errOut.String()
	}
	nobody := []string{"--reuid=65534", "--regid=65534", "--clear-groups"}
	if st, out, errOut := stap(nobody, `probe begin { println("x") exit() }`); st != 0 || out != "x\n" || errOut != "" {
		t.Errorf("loader probes only: status %d, %q, %q", st, out, errOut)
	}
	const kernel = `global n probe kernel.trace("sys_enter") { n++ } probe begin { println("x") exit() }`
	for _, tc := range []struct {
		as   []string
		want string
	}{
		{nobody, "this process lacks CAP_BPF and CAP_PERFMON [R200]"},
		{[]string{"--bounding-set=-perfmon,-sys_admin"}, "this process lacks CAP_PERFMON [R200]"},
	} {
		st, out, errOut := stap(tc.as, kernel)
		line, _, _ := strings.Cut(errOut, "\n")
		if st != 1 || out != "" || !strings.HasSuffix(line, tc.want) {
			t.Errorf("%v: status %d, %q, %q", tc.as, st, out, errOut)
		}
	}
}
