//go:build linux

package guest

import (
	"strings"
	"testing"
)

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
			if t.Failed() {
				return
			}
			if err := Report("Linux %s: %d scripts passed", s.Kernel.Release, s.ran.Load()); err != nil {
				t.Error(err)
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
