package syntax

import (
	"bytes"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"stapkit/diag"
	"stapkit/internal/corpus"
)

func goldenDir(t *testing.T) string {
	t.Helper()
	dir := corpus.GoldenDir()
	if dir == "" {
		t.Skip("no folder of golden behaviour: set STAPKIT_GOLDEN")
	}
	return dir
}

var errorLine = regexp.MustCompile(`(?m)^parse error: (.*)\n +(saw|at): (.*?)(?: at [^ ]*:(\d+):(\d+))?$`)

// TestGolden compares what is refused, why, and where the caret points. Scripts that
// SystemTap's parser accepted must parse in both views.
func TestGolden(t *testing.T) {
	var names []string
	for _, folder := range []string{"diagnostics", "run"} {
		list, err := filepath.Glob(filepath.Join(goldenDir(t), folder, "*.txtar"))
		if err != nil || len(list) == 0 {
			t.Fatalf("no golden files in %s: %v", folder, err)
		}
		names = append(names, list...)
	}
	tapset, err := corpus.Tapset()
	if err != nil {
		t.Fatal(err)
	}
	lib := libraryOf(t, tapset)
	accepted, refused := 0, 0
	for _, name := range names {
		a, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		base := strings.TrimSuffix(filepath.Base(name), ".txtar")
		parts := map[string][]byte{}
		for _, f := range a.Files {
			parts[f.Name] = f.Data
		}
		script, stderr := parts["script.stp"], parts["stderr"]
		if parts["script.stp"] == nil && base != "p_empty_file" || bytes.HasPrefix(script, []byte("//! ")) {
			continue // a test of options
		}
		if len(tapset) == 0 && bytes.Contains(script, []byte("@choose_defined")) {
			continue
		}
		opt := Options{Privileged: true, ArgsUnknown: parts["args"] != nil, Target: hostX86, Macros: lib}
		f := ParseFile(base+".stp", script, opt)
		want := errorLine.FindSubmatch(stderr)
		switch {
		case bytes.Contains(stderr, []byte("is empty")):
			if len(f.Diags) != 1 || !strings.Contains(string(stderr), f.Diags[0].Message) {
				t.Errorf("%s: want an empty file refused, got %v", base, f.Diags)
			}
			refused++
			continue
		case want == nil:
			accepted++
			if diag.HasErrors(f.Diags) {
				t.Errorf("%s: SystemTap's parser accepts it, we say %v", base, f.Diags)
			}
			opt.View = SourceView
			if f := ParseFile(base+".stp", script, opt); diag.HasErrors(f.Diags) {
				t.Errorf("%s: source view: %v", base, f.Diags)
			}
			continue
		}
		refused++
		if len(f.Diags) == 0 {
			t.Errorf("%s: accepted; want %s", base, want[1])
			continue
		}
		d := f.Diags[0]
		if d.Message != string(want[1]) {
			t.Errorf("%s: message %q, want %q", base, d.Message, want[1])
		}
		if len(want[4]) > 0 {
			l, _ := strconv.Atoi(string(want[4]))
			c, _ := strconv.Atoi(string(want[5]))
			if d.Range.Start.Line != l || d.Range.Start.Col != c {
				t.Errorf("%s: at %v, want %d:%d", base, d.Range.Start, l, c)
			}
		}
		saw := d.Saw
		if string(want[2]) == "at" {
			saw = strings.TrimPrefix(saw, sawAt)
			if saw == d.Saw {
				t.Errorf("%s: label saw, want at", base)
			}
		}
		// SystemTap 4.8 leaves out the text of keywords.
		if saw != string(want[3]) && !(string(want[3]) == "keyword" && strings.HasPrefix(saw, "keyword ")) {
			t.Errorf("%s: saw %q, want %q", base, saw, want[3])
		}
	}
	if refused < 20 || accepted < 100 {
		t.Errorf("only %d refused and %d accepted scripts compared", refused, accepted)
	}
}

// TestGoldenP1 compares the -p1 listing.
func TestGoldenP1(t *testing.T) {
	a, err := txtar.ParseFile(filepath.Join(goldenDir(t), "lists", "p1.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	var script, want string
	for _, f := range a.Files {
		switch f.Name {
		case "command":
			_, script, _ = strings.Cut(string(f.Data), " -e ")
		case "stdout":
			want = string(f.Data)
		}
	}
	var b bytes.Buffer
	if err := DumpP1(&b, ParseFile("<input>", []byte(script), Options{})); err != nil {
		t.Fatal(err)
	}
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}
