package stapfmt

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// TestReview formats the 30 scripts of testdata/review, which are written as people write
// them, and compares them with what was looked at and found good. Nothing but white space
// and semicolons may differ between the two.
func TestReview(t *testing.T) {
	names, err := filepath.Glob("testdata/review/*.txtar")
	if err != nil || len(names) != 30 {
		t.Fatalf("%d files, %v", len(names), err)
	}
	strip := func(b []byte) string {
		return strings.Map(func(r rune) rune {
			if strings.ContainsRune(" \t\r\n;", r) {
				return -1
			}
			return r
		}, string(b))
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if len(a.Files) != 2 || a.Files[0].Name != "before.stp" || a.Files[1].Name != "after.stp" || len(a.Comment) == 0 {
				t.Fatal("not a remark, before.stp and after.stp")
			}
			before, after := a.Files[0].Data, &a.Files[1].Data
			res, err := Format("before.stp", before, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if strip(res.Text) != strip(before) {
				t.Errorf("more than layout changed:\n%s", res.Text)
			}
			if bytes.Equal(res.Text, *after) {
				return
			}
			if *update {
				*after = res.Text
				if err := os.WriteFile(name, txtar.Format(a), 0o666); err != nil {
					t.Fatal(err)
				}
				return
			}
			t.Errorf("got:\n%s\nwant:\n%s", res.Text, *after)
		})
	}
}
