//go:build linux

package loader_test

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"stapkit/ir"
	loader "stapkit/runtime"
)

// runFiles is run with files as output, which a child can share.
func runFiles(t *testing.T, img loader.Image, opt loader.Options) result {
	t.Helper()
	var files [2]*os.File
	for i := range files {
		f, err := os.Create(filepath.Join(t.TempDir(), "out"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files[i] = f
	}
	opt.Stdout, opt.Stderr = files[0], files[1]
	r := run(t, img, opt)
	read := func(f *os.File) string {
		b, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<20))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	r.out, r.errOut = read(files[0]), read(files[1])
	return r
}

// TestCommand: the child starts after the begin probes and its end ends the run.
func TestCommand(t *testing.T) {
	script := func() *script {
		s := newScript()
		tgt := &ir.Intrinsic{ID: ir.ITarget, T: ir.TInt}
		s.probe(ir.FamBegin, "begin", 0, s.print("b %d\n", &ir.Binary{Op: ir.OpGt, X: tgt, Y: num(1), T: ir.TInt}))
		s.probe(ir.FamEnd, "end", 0, s.print("e\n"))
		return s
	}
	for _, tc := range []struct {
		command     string
		status      int
		out, errOut string
	}{
		{"echo  one 'two  three' \"four\"' five' si\\ x", 0, "b 1\none two  three four five si x\ne\n", ""},
		{"sh -c 'echo child; exit 4'", 1, "b 1\nchild\ne\n", "WARNING: Child process exited with status 4\n"},
		{"sh -c 'kill -9 $$'", 1, "b 1\ne\n", "WARNING: Child process exited with signal 9 (Killed)\n"},
		{"echo x | tr x y", 0, "b 1\ny\ne\n", ""},
		{"echo ${NO_SUCH_VARIABLE}done", 0, "b 1\ndone\ne\n", ""},
		{"/no/such/cmd", 1, "b 1\ne\n", "/no/such/cmd: No such file or directory\nWARNING: Child process exited with status 1\n"},
		{"/etc/passwd", 1, "b 1\ne\n", "/etc/passwd: Permission denied\nWARNING: Child process exited with status 1\n"},
	} {
		t.Run(tc.command, func(t *testing.T) {
			runFiles(t, loader.Image{Program: script().p}, loader.Options{Command: tc.command}).want(t, tc.status, tc.out, tc.errOut)
		})
	}
}

// TestCommandOutlived: a run that ends first takes its child along.
func TestCommandOutlived(t *testing.T) {
	for name, end := range map[string]ir.Family{"before the start": ir.FamBegin, "while it runs": ir.FamTimer} {
		t.Run(name, func(t *testing.T) {
			s := newScript()
			p := s.probe(end, "end it", 0, s.print("over\n"), exit())
			p.Interval = 50e6
			began := time.Now()
			runFiles(t, loader.Image{Program: s.p}, loader.Options{Command: "sleep 20"}).want(t, 0, "over\n", "")
			if d := time.Since(began); d > 5*time.Second {
				t.Errorf("took %v", d)
			}
		})
	}
}
