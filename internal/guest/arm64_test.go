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
			t.Run("image", s.image)
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

// image compiles a script with nothing of the kernel but what its boot loader starts.
func (s *compiler) image(t *testing.T) {
	text := `probe kernel.function("vfs_read") { if ($count == 841) printf("%s reads %d of %s\n", execname(), $count, kernel_string($file->f_path->dentry->d_name->name)) }
probe kernel.function("vfs_read").return { if (@entry($count) == 841) println($return) }`
	r := s.run(t, "staprun", "--allow-unsigned", "-c", "trigger read 2 841", s.compileFor(t, s.Kernel.Image, "image", text, "-a", "arm64"))
	if want := strings.Repeat("trigger reads 841 of zero\n841\n", 2); r.Stdout != want || r.Stderr != "" || r.Code != 0 {
		t.Errorf("exit status %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	s.ran.Add(1)
}
