package floors

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// staprunBytes is what staprun may have: it is copied to every host of a fleet. (What is
// seldom sorted there is so by sort.Slice: slices.SortFunc is compiled for each type.)
const staprunBytes = 10_000_000

// TestSize builds staprun as releases do.
func TestSize(t *testing.T) {
	if testing.Short() {
		t.Skip("links a command")
	}
	file := filepath.Join(t.TempDir(), "staprun")
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", file, "./cmd/staprun")
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "GOOS=linux", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, out)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() >= staprunBytes {
		t.Errorf("staprun has %d bytes, and may have %d", info.Size(), staprunBytes)
	}
}
