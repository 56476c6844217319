package manual

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"stapkit/cli"
)

// TestManPages holds that pages for man(1) are right, of commands and of the library.
func TestManPages(t *testing.T) {
	mandoc, err := exec.LookPath("mandoc")
	if err != nil {
		t.Skip("mandoc is not installed")
	}
	dir := t.TempDir()
	cmd := exec.Command("go", "run", "./internal/gen/tapsetdocs", "-man", dir)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, c := range cli.All() {
		if err := os.WriteFile(filepath.Join(dir, c.PageFile()), c.Man("1.0"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	pages, err := filepath.Glob(filepath.Join(dir, "*.*"))
	if err != nil || len(pages) < 50 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	out, err := exec.Command(mandoc, append([]string{"-T", "lint", "-W", "warning"}, pages...)...).Output()
	if err != nil && len(out) == 0 {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		// Pages have no date, so that the same sources give the same page.
		if !strings.Contains(line, "missing date") {
			t.Error(strings.TrimSpace(line))
		}
	}
}
