//go:build linux

package guest

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// reportEnv names a file to which TestArm64 adds a line for each kernel that passed:
// make test-arm64 makes a release's report of them.
const reportEnv = "STAPKIT_REPORT"

// TestArm64 runs the scripts of package families, and what shows a user's first steps, on
// Debian's kernels for arm64. They are compiled here, for the machine that the guest has
// described, and once in the guest.
func TestArm64(t *testing.T) {
	for _, suite := range Foreign {
		t.Run(suite.Kernel, func(t *testing.T) {
			if _, err := FindChosen(suite.Kernel); err != nil {
				t.Skip(err)
			}
			s := &compiler{system: sharedSystem(t, suite.Kernel)}
			t.Run("there", func(t *testing.T) { s.firstSteps(t) })
			s.scripts(t)
			if path := os.Getenv(reportEnv); path != "" && !t.Failed() {
				s.report(t, path)
			}
		})
	}
}

// firstSteps compiles and runs in the guest what a person types first.
func (s *system) firstSteps(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-e", `probe begin { printf("hello from %s\n", %( arch == "arm64" %? "arm64" %: "elsewhere" %)); exit() }`}, "hello from arm64\n"},
		{[]string{"-l", "syscall.openat"}, "syscall.openat\n"},
		{[]string{"-c", "trigger getppid 5", "-e", `global n probe syscall.* { if (pid() == target()) n[name]++ } probe end { println(n["getppid"]) }`}, "5\n"},
	} {
		r := s.run(t, append([]string{"stap"}, c.args...)...)
		if r.Stdout != c.want || r.Stderr != "" || r.Code != 0 {
			t.Errorf("stap %s: exit status %d\n%s%s", strings.Join(c.args, " "), r.Code, r.Stdout, r.Stderr)
		}
	}
}

// report adds a line about the kernel.
func (s *system) report(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := fmt.Fprintf(f, "Linux %s: %d scripts passed\n", s.Kernel.Release, s.ran.Load()); err != nil {
		t.Fatal(err)
	}
}
