package ebpf

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

// TestGuests runs this package's tests on the kernels that programs are made for:
// the oldest one, whose verifier knows least, and a newer one.
func TestGuests(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes")
	}
	if _, err := guest.Emulator(); err != nil {
		t.Skip(err)
	}
	bin := filepath.Join(t.TempDir(), "ebpf.test")
	build := exec.Command("go", "test", "-c", "-o", bin, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	data, err := os.ReadFile(bin)
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"6.1", "6.12"} {
		t.Run(version, func(t *testing.T) {
			k := guesttest.Kernel(t, guest.FindChosen, version)
			g := guesttest.Boot(t, k, guest.Options{Files: []guest.File{{Path: "/bin/ebpf.test", Mode: 0o755, Data: data}}})
			r, err := g.Run(t.Context(), guest.Command{
				Args:    []string{"/bin/sh", "-c", "cd /tmp && STAPKIT_SEEDS=8 STAPKIT_SEED=7000 ebpf.test -test.short -test.v"},
				Timeout: 20 * time.Minute,
			})
			if err != nil {
				t.Fatal(err)
			}
			ran := strings.Count(r.Stdout, "--- PASS")
			if r.Code != 0 || ran < 50 {
				t.Errorf("exit status %d, %d tests passed\n%.20000s%.2000s", r.Code, ran, r.Stdout, r.Stderr)
			}
		})
	}
}
