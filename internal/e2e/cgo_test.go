//go:build linux

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestCgo runs a stap that was built as go build and go run do where there is a C
// compiler: another C library's threads and system calls are in it.
func TestCgo(t *testing.T) {
	dir := needTools(t)
	if os.Getenv(readyEnv) != "" {
		t.Skip("needs Go, to build stap")
	}
	bin := filepath.Join(t.TempDir(), "stap")
	build := exec.Command("go", "build", "-o", bin, "stapkit/cmd/stap")
	build.Env = append(os.Environ(), "CGO_ENABLED=1")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(bin, "-e", `probe timer.ms(50) { println("hi") exit() }`, "-c", "true; sleep 1")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "hi\n" {
		t.Errorf("%v\n%s", err, out)
	}
}
