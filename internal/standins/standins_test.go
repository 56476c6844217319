//go:build linux

package standins

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"stapkit/target/elf"
)

// TestBuild: what is built bears the marks of the list, and runs.
func TestBuild(t *testing.T) {
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	if err := Build(t.Context(), dir); err != nil {
		if os.IsNotExist(err) || strings.Contains(err.Error(), "sdt.h") {
			t.Skip(err)
		}
		t.Fatal(err)
	}
	for _, p := range Programs() {
		f, err := elf.Open(filepath.Join(dir, p.Path))
		if err != nil {
			t.Fatal(err)
		}
		notes, err := f.Marks()
		if err != nil {
			t.Fatal(err)
		}
		have := map[string]int{}
		for _, n := range notes {
			if n.Provider == p.Provider {
				have[n.Name]++
			}
		}
		for _, m := range p.Marks {
			if have[m.Name] != 1 {
				t.Errorf("%s has the mark %s %d times", p.Path, m.Name, have[m.Name])
			}
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if p.Library {
			continue
		}
		if b, err := exec.Command(filepath.Join(dir, p.Path)).CombinedOutput(); err != nil {
			t.Errorf("%s: %v %s", p.Path, err, b)
		}
	}
}
