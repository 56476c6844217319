package stapfmt

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite golden files")

// TestGolden formats each X.stp of testdata/format and compares the result with X.want.
func TestGolden(t *testing.T) {
	names, err := filepath.Glob("testdata/format/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, name := range names {
		a, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		changed := false
		for i := range a.Files {
			base, ok := strings.CutSuffix(a.Files[i].Name, ".stp")
			if !ok {
				continue
			}
			if i+1 == len(a.Files) || a.Files[i+1].Name != base+".want" {
				t.Fatalf("%s: %s.want has to follow %s.stp", name, base, base)
			}
			in, want := a.Files[i].Data, &a.Files[i+1].Data
			t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar")+"/"+base, func(t *testing.T) {
				res, err := Format(base+".stp", in, Options{})
				if err != nil {
					t.Fatal(err)
				}
				if string(res.Text) == string(*want) {
					return
				}
				if *update {
					*want, changed = res.Text, true
					return
				}
				t.Errorf("got:\n%s\nwant:\n%s", res.Text, *want)
			})
		}
		if changed {
			if err := os.WriteFile(name, txtar.Format(a), 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
}
