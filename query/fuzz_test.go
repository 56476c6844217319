package query

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"stapkit/diag"
)

// askAll asks everything at a place of a script. It fails when an answer lies outside
// of the text.
func askAll(t *testing.T, s *Snapshot, off int) {
	t.Helper()
	in := func(what string, start, end int) {
		if start < 0 || end < start || end > len(s.Text) {
			t.Fatalf("%s at %d gives [%d, %d) of %d bytes in %q", what, off, start, end, len(s.Text), s.Text)
		}
	}
	if h := s.Hover(off); h != nil {
		in("hover", h.Start, h.End)
		_, _ = h.Markdown(), h.Plain()
	}
	c := s.Complete(context.Background(), off)
	in("completion", c.Start, c.End)
	if c.Start > off || c.End < off {
		t.Fatalf("completion at %d replaces [%d, %d) in %q", off, c.Start, c.End, s.Text)
	}
	for i, it := range c.Items {
		if it.Label == "" || it.Insert == "" {
			t.Fatalf("an item without text: %+v", it)
		}
		if it.Data != "" && i < 3 {
			s.Env.Resolve(it.Data)
		}
	}
	if g := s.Signatures(off); g != nil {
		for _, sig := range g.List {
			for _, p := range sig.Params {
				if p[0] < 0 || p[1] < p[0] || p[1] > len(sig.Label) {
					t.Fatalf("signature %q has a parameter at %v", sig.Label, p)
				}
			}
		}
	}
	s.Definitions(off)
	s.TypeDefinition(off)
	if y := s.SymbolAt(off); y != nil {
		in("symbol", y.Start, y.End)
		last := -1
		for _, o := range s.Occurrences(y) {
			in("occurrence", o.Start, o.End)
			if o.Start <= last {
				t.Fatalf("occurrences of %s are not in order in %q", y.Name, s.Text)
			}
			last = o.Start
		}
		if err := s.CheckRename(y, "another_name"); err != nil && err.Error() == "" {
			t.Fatal("a refusal without reason")
		}
	}
	for _, o := range s.Selections(off) {
		in("selection", o.Start, o.End)
	}
	s.Outgoing(off)
	end := min(off+20, len(s.Text))
	for _, a := range s.Actions(off, end, s.Diagnostics()) {
		for _, e := range a.Edits {
			in("action", e.Start, e.End)
		}
	}
}

func askWhole(t *testing.T, s *Snapshot) {
	t.Helper()
	last := 0
	for _, k := range s.Tokens(0, len(s.Text)) {
		if k.Start < last || k.End <= k.Start || k.End > len(s.Text) || strings.Contains(string(s.Text[k.Start:k.End]), "\n") {
			t.Fatalf("token %+v behind %d in %q", k, last, s.Text)
		}
		last = k.End
	}
	for _, h := range s.Hints(0, len(s.Text)) {
		if h.Off < 0 || h.Off > len(s.Text) || h.Label == "" {
			t.Fatalf("hint %+v in %q", h, s.Text)
		}
	}
	for _, o := range s.Outlines() {
		if o.Start > o.NameStart || o.NameEnd > o.End || o.Name == "" {
			t.Fatalf("outline %+v in %q", o, s.Text)
		}
	}
	for _, f := range s.Folds() {
		if f.Start >= f.End || f.End > len(s.Text) {
			t.Fatalf("fold %+v in %q", f, s.Text)
		}
	}
	s.Lenses()
	s.Links()
	s.Incoming("f")
}

// seeds are the scripts of the marker tests.
func seeds(t testing.TB) []string {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatal("no archives", err)
	}
	var out []string
	for _, p := range paths {
		raw, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range txtar.Parse(raw).Files {
			if !strings.HasPrefix(f.Name, "@") {
				out = append(out, string(f.Data))
			}
		}
	}
	return out
}

// TestCut asks everything in scripts that end anywhere, as while they are typed.
func TestCut(t *testing.T) {
	env := testEnv(t, nil)
	n := 0
	for _, text := range seeds(t) {
		step := max(len(text)/12, 1)
		for cut := 0; cut <= len(text); cut += step {
			s := env.Snapshot("cut.stp", []byte(text[:cut]))
			askWhole(t, s)
			askAll(t, s, cut)
			askAll(t, s, cut/2)
			n++
		}
	}
	if n < 100 {
		t.Errorf("only %d texts", n)
	}
}

// FuzzQueries asks everything of any text.
func FuzzQueries(f *testing.F) {
	for i, s := range seeds(f) {
		f.Add([]byte(s), uint16(i*37))
	}
	env := testEnv(f, nil)
	f.Fuzz(func(t *testing.T, text []byte, at uint16) {
		if len(text) > 4000 {
			return
		}
		start := time.Now()
		s := env.Snapshot("fuzz.stp", text)
		askWhole(t, s)
		askAll(t, s, int(at)%(len(text)+1))
		if d := time.Since(start); d > 20*time.Second {
			t.Fatalf("took %v for %q", d, text)
		}
	})
}

// TestNoTarget holds that all works, with one note, where nothing is known.
func TestNoTarget(t *testing.T) {
	env, err := Open(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer env.Close()
	if len(env.Notes()) != 1 {
		t.Errorf("notes: %v", env.Notes())
	}
	text := "probe kernel.function(\"vfs_read\") {\n\tprintln($file->f_pos, execname())\n}\nprobe kernel.trace(\"x\") { println($y->z) }\n"
	s := env.Snapshot("a.stp", []byte(text))
	if diag.HasErrors(s.Diagnostics()) {
		t.Errorf("errors: %v", s.Diagnostics())
	}
	for off := range len(text) {
		askAll(t, s, off)
	}
	h := s.Hover(strings.Index(text, "vfs_read"))
	if h == nil || !strings.Contains(h.Markdown(), "Nothing is known") {
		t.Errorf("hover: %+v", h)
	}
	if h := s.Hover(strings.Index(text, "execname")); h == nil || !strings.Contains(h.Markdown(), "command name") {
		t.Errorf("the library is known without a target: %+v", h)
	}
}
