//go:build linux

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
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
	for _, suite := range guest.Suites {
		t.Run(suite.Kernel, func(t *testing.T) {
			k := guesttest.Kernel(t, guest.FindChosen, suite.Kernel)
			if files == nil {
				files = ship(t, dir, k.Arch)
			}
			inGuest(t, k, files, 15*time.Minute)
		})
	}
}

// TestArm64 does so with kernels for arm64, as far as programs of the C library's cross
// compiler tell.
func TestArm64(t *testing.T) {
	var files []guest.File
	for _, suite := range guest.Foreign {
		t.Run(suite.Kernel, func(t *testing.T) {
			k := guesttest.Kernel(t, guest.FindChosen, suite.Kernel)
			const cc = "aarch64-linux-gnu-gcc"
			if _, err := exec.LookPath(cc); err != nil {
				t.Skipf("needs %s, to compile the traced programs", cc)
			}
			if files == nil {
				compilers[k.Arch] = []string{cc, "-I" + markHeaders(t)}
				files = ship(t, t.TempDir(), k.Arch)
			}
			passed, skipped := inGuest(t, k, files, 20*time.Minute)
			if t.Failed() {
				return
			}
			if err := guest.Report("Linux %s: %d tests with traced programs passed; without what they need there are %s", k.Release, passed, strings.Join(skipped, ", ")); err != nil {
				t.Error(err)
			}
		})
	}
}

// markHeaders is a folder with the headers for marks, which are the same everywhere.
func markHeaders(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob("/usr/include/*/sys/sdt*.h")
	if err != nil || len(found) == 0 {
		t.Skip("needs sys/sdt.h (Debian: systemtap-sdt-dev)")
	}
	dir := t.TempDir()
	for _, f := range found {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(dir, "sys"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "sys", filepath.Base(f)), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// inGuest runs the tests in a guest, each by itself and for so long at most, so that one
// that hangs is named. It tells how many passed, and which are skipped there.
func inGuest(t *testing.T, k *guest.Kernel, files []guest.File, limit time.Duration) (passed int, skipped []string) {
	t.Helper()
	g := guesttest.Boot(t, k, guest.Options{Memory: 2048, Files: files, Modules: []string{"fuse"}})
	run := func(t *testing.T, limit time.Duration, args ...string) guest.Result {
		t.Helper()
		r, err := g.Run(t.Context(), guest.Command{
			Args: append([]string{"/e2e/e2e.test"}, args...), Dir: "/e2e", Timeout: limit,
			Env: []string{"HOME=/root", "PATH=/bin:/usr/bin:/sbin:/usr/sbin", readyEnv + "=/e2e", "TMPDIR=/tmp"},
		})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	names := strings.Fields(run(t, time.Minute, "-test.list", "^Test").Stdout)
	if len(names) < 20 {
		t.Fatalf("only %d tests: %v", len(names), names)
	}
	for _, name := range names {
		if name == "TestGuest" || name == "TestArm64" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			// Go tells where a test hangs, and is given the time to.
			r := run(t, limit+20*time.Second, "-test.v", "-test.timeout="+limit.String(), "-test.run=^"+name+"$")
			switch {
			case r.Code != 0 || r.TimedOut:
				t.Errorf("exit status %d, timed out %v\n%s\n%s", r.Code, r.TimedOut, r.Stdout, r.Stderr)
			case strings.Contains(r.Stdout, "--- PASS: "+name):
				passed++
			case name == "TestExact":
				t.Errorf("a guest lacks what every test needs: %s", r.Stdout)
			default:
				skipped = append(skipped, name)
				t.Skip(r.Stdout)
			}
		})
	}
	return passed, skipped
}

// crossLibraries are where the libraries of another machine are.
var crossLibraries = map[string]string{"arm64": "/usr/aarch64-linux-gnu/lib"}

// ship gathers what the tests need in a guest: themselves, stap, the programs, and
// strace, with the libraries that they are linked to.
func ship(t *testing.T, dir, arch string) []guest.File {
	t.Helper()
	if err := compile(dir, arch); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "test", "-c", "-o", filepath.Join(dir, "e2e.test"), "stapkit/internal/e2e")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+arch)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go test -c: %v\n%s", err, out)
	}
	from := map[string]string{"/e2e/mallocs.stp": filepath.Join(dir, "mallocs.stp"), "/e2e/stap": filepath.Join(dir, "stap"), "/e2e/e2e.test": filepath.Join(dir, "e2e.test")}
	for name := range programs {
		from["/e2e/"+name] = filepath.Join(dir, name)
	}
	if arch == "amd64" {
		from["/e2e/bits32"] = filepath.Join(dir, "bits32")
	}
	linked := map[string]string{}
	if libs, cross := crossLibraries[arch]; cross && arch != runtime.GOARCH {
		for _, name := range []string{"ld-linux-aarch64.so.1", "libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0"} {
			linked["/lib/"+name] = filepath.Join(libs, name)
		}
	} else {
		if path, err := exec.LookPath("strace"); err == nil {
			from["/usr/bin/strace"] = path
		}
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
