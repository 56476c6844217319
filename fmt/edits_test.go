package stapfmt

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"stapkit/diag"
)

// TestEdits: the edits make the formatted text, are in order, and touch nothing but what
// changes.
func TestEdits(t *testing.T) {
	var all []string
	for seed := range uint64(300) {
		all = append(all, randomScript(seed, seed%3 == 0))
	}
	all = append(all, "", "global x\n", "global   x;", "probe begin { x = 1; ; y /* a */ ; }", "/* a\n   b */global x")
	for _, src := range all {
		list, res, err := Edits("a.stp", []byte(src), Options{})
		if err != nil {
			var syn *SyntaxError
			if errors.As(err, &syn) {
				continue
			}
			t.Fatal(err)
		}
		if got := string(Apply([]byte(src), list)); got != string(res.Text) {
			t.Fatalf("%q: edits make\n%s\nnot\n%s", src, got, res.Text)
		}
		if len(list) == 0 && res.Changed {
			t.Errorf("%q: no edits", src)
		}
		at := 0
		for _, e := range list {
			if e.Start < at || e.End < e.Start || src[e.Start:e.End] == e.Text {
				t.Errorf("%q: edit %+v", src, e)
			}
			at = e.End
		}
	}
	list, _, err := Edits("a.stp", []byte("global   x ;\nglobal y\n"), Options{})
	if got, want := fmt.Sprint(list, err), "[{7 9 } {10 12 }] <nil>"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestRange: in the text, «» stand around the range.
func TestRange(t *testing.T) {
	tests := []struct{ name, src, want string }{
		{"a statement", "probe begin {\n  a=1;\n  b«»=2;\n  c=3;\n}\n", "probe begin {\n  a=1;\n\tb = 2\n  c=3;\n}\n"},
		{"several lines", "probe begin {\n  a=1;\n  b=«2;\n  c»=3;\n}\n", "probe begin {\n  a=1;\n\tb = 2\n\tc = 3\n}\n"},
		{"the whole statement", "probe begin {\n  f(a,\n«    b,\n»    c);\n  d=1;\n}\n", "probe begin {\n\tf(a, b, c)\n  d=1;\n}\n"},
		{"a header", "probe   begin«»\n{\n  a=1;\n}\n", "probe begin {\n  a=1;\n}\n"},
		{"a header alone", "probe begin {\n  if(a«»){\n  b=1;\n  }\n}\n", "probe begin {\n\tif (a) {\n  b=1;\n  }\n}\n"},
		{"a declaration", "global   a\nglobal   b«»\nglobal   c\n", "global   a\nglobal b\nglobal   c\n"},
		{"all", "«global   a\nglobal   b\n»", "global a\nglobal b\n"},
		{"a comment", "probe begin {\n      /* a\n       * b«»\n   */\n  x=1\n}\n", "probe begin {\n\t/* a\n\t * b\n\t */\n  x=1\n}\n"},
		{"nothing to do", "global a\n«»\nglobal   b\n", "global a\n\nglobal   b\n"},
		{"a conditional", "probe begin {\n  %(kernel_v>\"3\"%?«»\n  a=1\n  %)\n}\n", "probe begin {\n%( kernel_v > \"3\" %?\n  a=1\n  %)\n}\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			src := strings.NewReplacer("«", "", "»", "").Replace(tt.src)
			start := strings.Index(tt.src, "«")
			end := strings.Index(tt.src, "»") - len("«")
			list, err := Range("a.stp", []byte(src), start, end, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if got := string(Apply([]byte(src), list)); got != tt.want {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
	if _, err := Range("a.stp", []byte("probe"), 0, 5, Options{}); err == nil {
		t.Error("a range of a broken file was formatted")
	}
	if list, err := Range("a.stp", []byte("global   a"), -5, 1000, Options{}); err != nil || len(list) != 2 {
		t.Errorf("out of bounds: %v, %v", list, err)
	}
	list, err := Range("a.stp", []byte("probe {\nglobal   a\n"), 10, 10, Options{Partial: true})
	if err != nil || string(Apply([]byte("probe {\nglobal   a\n"), list)) != "probe {\nglobal a\n" {
		t.Errorf("in a broken file: %v, %v", list, err)
	}
}

// TestRangeKeeps: whatever the range, the text means the same afterwards.
func TestRangeKeeps(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	n := 0
	for seed := range uint64(400) {
		src := []byte(randomScript(seed, seed%3 == 0))
		f := parse("a.stp", src)
		if diag.HasErrors(f.Diags) {
			continue
		}
		start := rnd.IntN(len(src) + 1)
		end := start + rnd.IntN(len(src)+1-start)
		list, err := Range("a.stp", src, start, end, Options{})
		if err != nil {
			t.Fatalf("seed %d, %d to %d: %v\n%s", seed, start, end, err, src)
		}
		n += len(list)
		if bug := check(f, parse("a.stp", Apply(src, list)), false); bug != nil {
			t.Errorf("seed %d: %v", seed, bug)
		}
	}
	if n < 1000 {
		t.Errorf("only %d edits", n)
	}
}
