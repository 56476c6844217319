package syntax

import (
	"bytes"
	"strings"
	"testing"

	"stapkit/internal/corpus"
)

// TestPrintReparse reads every script of the corpus, prints its tree and reads that.
func TestPrintReparse(t *testing.T) {
	tapset, examples, lib := loadCorpus(t)
	for _, f := range append(tapset[:len(tapset):len(tapset)], examples...) {
		if f.Macro || strings.HasSuffix(f.Path, corpus.Template) {
			continue
		}
		opt := Options{ArgsUnknown: true, Library: true, Target: hostX86, Macros: lib}
		a := ParseFile(f.Path, f.Src, opt)
		var b bytes.Buffer
		if err := Print(&b, a); err != nil {
			t.Fatal(err)
		}
		opt.Macros = nil
		again := ParseFile(f.Path, b.Bytes(), opt)
		for _, d := range again.Diags {
			t.Errorf("printed tree: %v\n%s", d, again.Sources[0].Mapper().Line(d.Range.Start.Line))
		}
		if !Equal(a, again) {
			t.Errorf("%s: tree changed: %s", f.Path, firstDiff(Shape(a), Shape(again)))
		}
	}
}

// firstDiff shows where two texts part.
func firstDiff(a, b string) string {
	la, lb := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range la {
		if i >= len(lb) || la[i] != lb[i] {
			other := "end"
			if i < len(lb) {
				other = lb[i]
			}
			return "\n" + strings.Join(la[max(0, i-4):i], "\n") + "\n-" + la[i] + "\n+" + other
		}
	}
	return "\n" + strings.Join(lb[len(la)-1:], "\n")
}
