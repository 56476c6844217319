//go:build linux

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stapkit/internal/guest"
	"stapkit/internal/guest/guesttest"
)

// TestGuest runs the tests of this package in guests, with kernels that users have.
func TestGuest(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes")
	}
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("needs gcc, to compile the traced programs")
	}
	dir := t.TempDir()
	var files []guest.File
	var once bool
	for _, suite := range guest.Suites {
		t.Run(suite.Kernel, func(t *testing.T) {
			k := guesttest.Kernel(t, guest.FindChosen, suite.Kernel)
			if !once {
				files, once = ship(t, dir), true
			}
			g := guesttest.Boot(t, k, guest.Options{Memory: 2048, Files: files})
			r, err := g.Run(t.Context(), guest.Command{
				Args: []string{"/e2e/e2e.test", "-test.v", "-test.skip=TestGuest"}, Dir: "/e2e", Timeout: 4 * time.Minute,
				Env: []string{"HOME=/root", "PATH=/bin:/usr/bin:/sbin:/usr/sbin", readyEnv + "=/e2e", "TMPDIR=/tmp"},
			})
			if err != nil {
				t.Fatal(err)
			}
			if r.Code != 0 || r.TimedOut || !strings.Contains(r.Stdout, "--- PASS: TestExact") {
				t.Errorf("exit status %d, timed out %v\n%s\n%s", r.Code, r.TimedOut, r.Stdout, r.Stderr)
			}
		})
	}
}

// ship gathers what the tests need in a guest: themselves, stap, the programs, and
// strace, with the libraries that they are linked to.
func ship(t *testing.T, dir string) []guest.File {
	t.Helper()
	if err := compile(dir); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "test", "-c", "-o", filepath.Join(dir, "e2e.test"), "stapkit/internal/e2e")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go test -c: %v\n%s", err, out)
	}
	from := map[string]string{"/e2e/mallocs.stp": filepath.Join(dir, "mallocs.stp"), "/e2e/stap": filepath.Join(dir, "stap"), "/e2e/e2e.test": filepath.Join(dir, "e2e.test")}
	for name := range programs {
		from["/e2e/"+name] = filepath.Join(dir, name)
	}
	if path, err := exec.LookPath("strace"); err == nil {
		from["/usr/bin/strace"] = path
	}
	linked := map[string]string{}
	for _, file := range from {
		// ldd fails for static programs, which need nothing.
		out, err := exec.Command("ldd", file).Output()
		if err != nil {
			continue
		}
		for _, w := range strings.Fields(string(out)) {
			if strings.HasPrefix(w, "/") {
				linked[w] = w
			}
		}
	}
	var files []guest.File
	for _, set := range []map[string]string{from, linked} {
		for to, file := range set {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, guest.File{Path: to, Mode: 0o755, Data: b})
		}
	}
	return files
}
