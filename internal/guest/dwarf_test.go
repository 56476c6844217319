//go:build linux

package guest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"stapkit/internal/families"
)

// debugInfo runs scripts that are compiled with the debugging information of the kernel and
// its modules.
func (s *system) debugInfo(t *testing.T) {
	d, err := FindDebug(s.Kernel.Name)
	var absent *MissingError
	if errors.As(err, &absent) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	c := &compiler{system: s, debug: d, more: []string{"--sysroot", d.Root}}
	c.batches(t, true)
	t.Run("listing", c.listing)
	t.Run("source lines", c.sourceLines)
	c.each(t, families.Debug)
}

// here runs stap with the kernel's debugging information on this machine.
func (s *compiler) here(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(s.dir, "stap"), slices.Concat([]string{"-r", s.desc}, s.more, args)...)
	cmd.Dir = s.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("stap %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// listing: a function can be named by a line of its file, and its parameters are told.
func (s *compiler) listing(t *testing.T) {
	line := map[string]string{"6.1": "450", "6.12": "549"}[s.Kernel.Name]
	out := s.here(t, "-L", `kernel.function("vfs_read@fs/read_write.c:`+line+`")`)
	if want := `kernel.function("vfs_read@fs/read_write.c:` + line + `") $file:struct file* $buf:char* $count:size_t $pos:loff_t*`; !regexp.MustCompile("^" + regexp.QuoteMeta(want) + `[ \n]`).MatchString(out) {
		t.Errorf("%q does not begin with\n%q", out, want)
	}
}

// sourceLines shows here, where the debugging information is, what the guest recorded.
func (s *compiler) sourceLines(t *testing.T) {
	bundle := s.compile(t, "lines", `probe kernel.function("vfs_read") { if ($count == 822) { println(symfileline(addr()), " ", symfile(addr()), " ", symline(addr())); print_backtrace_fileline(); exit() } }`)
	if r := s.run(t, "staprun", "--allow-unsigned", "--record", "/tmp/lines.tape", "-c", "trigger read 1 822", bundle); r.Code != 0 || r.Stderr != "" {
		t.Fatalf("exit status %d\n%s", r.Code, r.Stderr)
	}
	data, err := s.ReadFile(t.Context(), "/tmp/lines.tape")
	if err != nil {
		t.Fatal(err)
	}
	tape := filepath.Join(t.TempDir(), "lines.tape")
	if err := os.WriteFile(tape, data, 0o644); err != nil {
		t.Fatal(err)
	}
	out := s.here(t, "--replay", tape)
	if !regexp.MustCompile(`^(\S*fs/read_write\.c):(\d+) \S*fs/read_write\.c \d+\n 0x[0-9a-f]+ : vfs_read\+0x0/0x[0-9a-f]+ at \S*fs/read_write\.c:\d+ \[kernel\]\n 0x[0-9a-f]+ : ksys_read\+0x[0-9a-f]+/0x[0-9a-f]+ at \S*fs/read_write\.c:\d+ \[kernel\]\n`).MatchString(out) {
		t.Error(out)
	}
}
