//go:build linux

package golden

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"stapkit/internal/guest"
	"stapkit/internal/guest/guesttest"
)

// guestSkipped are the cases that are not run in the guest: those of skipped, but
// for the ones that only lack kernel functions.
var guestSkipped = func() map[string]string {
	m := maps.Clone(skipped)
	for name, why := range skipped {
		if why == needsFunctions {
			delete(m, name)
		}
	}
	maps.Copy(m, map[string]string{
		"kprobe_function":  "the guest's cat does not call the function",
		"syscall_argstr":   "the guest's cat is a static program that opens nothing else",
		"syscall_open_ret": "the guest's cat is a static program that opens nothing else",
		"kderef":           "what started stap in the guest has another name",
		"opt_c_sh":         "the guest's shell is not the recorded one",
	})
	return m
}()

// TestRunGuest runs the recorded scripts on Debian's 6.12 in a guest, which can
// probe kernel functions.
func TestRunGuest(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes")
	}
	golden := folder(t)
	k := guesttest.Kernel(t, guest.FindChosen, "6.12")
	stap, err := guest.Build(t.Context(), "stapkit/cmd/stap")
	if err != nil {
		t.Fatal(err)
	}
	files := []guest.File{{Path: "/bin/stap", Mode: 0o755, Data: stap}, {Path: "/etc/hostname", Mode: 0o644, Data: []byte("vm\n")}}
	tmp := t.TempDir()
	ut := target(t, tmp, golden, "/g")
	if ut != "" {
		// The program with the libraries that it was linked to.
		for _, f := range []struct{ from, to string }{
			{ut, "/g/ut"}, {"/lib64/ld-linux-x86-64.so.2", "/lib64/ld-linux-x86-64.so.2"},
			{"/lib/x86_64-linux-gnu/libc.so.6", "/lib/x86_64-linux-gnu/libc.so.6"},
		} {
			b, err := os.ReadFile(f.from)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, guest.File{Path: f.to, Mode: 0o755, Data: b})
		}
	}
	g := guesttest.Boot(t, k, guest.Options{Memory: 2048, Files: files})
	runAll(t, golden, machine{
		skipped: guestSkipped, ut: "/g/ut",
		run: func(t *testing.T, name, script string, args []string) result {
			dir := "/t/" + name
			if err := g.WriteFile(t.Context(), filepath.Join(dir, name+".stp"), []byte(script), 0o644); err != nil {
				t.Fatal(err)
			}
			r, err := g.Run(t.Context(), guest.Command{
				Args: append([]string{"/bin/stap"}, args...), Dir: dir, Timeout: time.Minute,
				Env: []string{"HOME=/root", "PATH=/bin:/usr/bin:/sbin:/usr/sbin"},
			})
			if err != nil {
				t.Fatal(err)
			}
			if r.TimedOut {
				t.Errorf("still running after a minute\nstdout:\n%s\nstderr:\n%s", r.Stdout, r.Stderr)
			}
			return result{r.Stdout, r.Stderr, r.Code}
		},
	})
}
