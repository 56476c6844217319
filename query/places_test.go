package query

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestPlaces completes source files and lines of a program with debug information.
func TestPlaces(t *testing.T) {
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("no gcc")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "small.c"), []byte("int twice(int n) {\n\tn += n;\n\treturn n;\n}\n\nint main(void) {\n\treturn twice(2);\n}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(gcc, "-g", "-O0", "-o", "small", "small.c")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var read []string
	env, err := Open(Config{Reading: func(name string) func() { read = append(read, name); return func() {} }})
	if err != nil {
		t.Fatal(err)
	}
	defer env.Close()
	for _, tt := range []struct{ typed, want string }{
		{"twice@", "small.c"},
		{"twice@sm", "small.c"},
		{"twice@small.c:", "small.c:1 small.c:2 small.c:3 small.c:4"},
		{"main@small.c:", "small.c:6 small.c:7 small.c:8"},
		{"*@small.c:", "small.c:1 small.c:2 small.c:3 small.c:4 small.c:6 small.c:7 small.c:8"},
		{"nothing@", ""},
	} {
		text := fmt.Sprintf("probe process(%q).statement(\"%s\") { }", filepath.Join(dir, "small"), tt.typed)
		got := env.Snapshot("/x.stp", []byte(text)).Complete(context.Background(), strings.Index(text, "\") { }"))
		var labels []string
		for _, it := range got.Items {
			labels = append(labels, it.Label)
		}
		slices.Sort(labels)
		if s := strings.Join(labels, " "); s != tt.want {
			t.Errorf("%s: %q, want %q", tt.typed, s, tt.want)
		}
	}
	if !slices.Equal(read, []string{filepath.Join(dir, "small")}) || env.Busy() {
		t.Errorf("told of reading: %q, busy %v", read, env.Busy())
	}
}
