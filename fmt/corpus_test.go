package stapfmt

import (
	"errors"
	"strings"
	"testing"

	"stapkit/internal/corpus"
)

// systemTap reads SystemTap's own library and examples.
func systemTap(t testing.TB) []corpus.File {
	t.Helper()
	tapset, err := corpus.Tapset()
	if err != nil {
		t.Fatal(err)
	}
	examples, err := corpus.Examples()
	if err != nil {
		t.Fatal(err)
	}
	if len(tapset) == 0 || len(examples) == 0 {
		t.Skip("the packages systemtap-common and systemtap-doc are not installed")
	}
	return append(tapset, examples...)
}

// TestCorpus formats all scripts there are. Format itself checks that nothing but
// layout changes, and that the result is stable.
func TestCorpus(t *testing.T) {
	files := systemTap(t)
	for _, folder := range []string{"run", "diagnostics"} {
		golden, err := corpus.Golden(folder)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, golden...)
	}
	own, err := corpus.Own()
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, own...)
	bad := 0
	for _, f := range files {
		if strings.HasSuffix(f.Path, corpus.Template) {
			continue
		}
		_, err := Format(f.Path, f.Src, Options{})
		var syn *SyntaxError
		if errors.As(err, &syn) && strings.Contains(f.Path, "/diagnostics/") {
			continue
		}
		if err != nil {
			if bad++; bad < 30 {
				t.Error(err)
			}
		}
	}
	t.Logf("%d files", len(files))
}
