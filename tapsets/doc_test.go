package tapsets_test

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"stapkit/syntax"
	"stapkit/syntax/doc"
	"stapkit/tapsets"
)

// parsedLibrary reads all files of the library, with the declarations of all branches.
func parsedLibrary(t testing.TB) []*syntax.File {
	t.Helper()
	var out []*syntax.File
	for _, name := range tapsets.Files() {
		if !strings.HasSuffix(name, ".stp") {
			continue
		}
		text, _ := tapsets.Read(name)
		f := syntax.ParseFile(name, text, syntax.Options{View: syntax.SourceView, Library: true})
		for _, d := range f.Diags {
			t.Fatalf("%s: %s", name, d.Message)
		}
		out = append(out, f)
	}
	return out
}

// functions calls do for each function of a file, those of all branches included.
func functions(decls []syntax.Decl, do func(*syntax.FuncDecl)) {
	for _, d := range decls {
		switch d := d.(type) {
		case *syntax.FuncDecl:
			do(d)
		case *syntax.CondDecl:
			functions(d.Then, do)
			functions(d.Else, do)
		}
	}
}

// TestDocs holds the comments of public functions to one format: a summary with the
// parameters, a text for each of these, and "Value:" exactly where there is one. What
// begins with "_" is for the library.
func TestDocs(t *testing.T) {
	n := 0
	for _, f := range parsedLibrary(t) {
		d := doc.New(f)
		group := d.Group()
		seen := 0
		functions(f.Decls, func(fn *syntax.FuncDecl) {
			if fn.Private || strings.HasPrefix(fn.Name.Name, "_") {
				return
			}
			seen++
			bad := func(format string, args ...any) {
				t.Errorf("%s: %s/%d: %s", f.Name, fn.Name.Name, len(fn.Params), fmt.Sprintf(format, args...))
			}
			c := d.Of(fn)
			if c == nil || c.Kind != "function" || c.Name != fn.Name.Name {
				bad("no comment")
				return
			}
			var params []string
			for _, p := range fn.Params {
				params = append(params, p.Name.Name)
			}
			if !slices.Equal(params, c.Args) {
				bad("the comment has the parameters %v, not %v", c.Args, params)
			}
			var texts []string
			for _, p := range c.Params {
				if p.Text == "" {
					bad("no text for @%s", p.Name)
				}
				texts = append(texts, p.Name)
			}
			if !slices.Equal(params, texts) {
				bad("texts for %v, not %v", texts, params)
			}
			if has := c.Section("Value") != ""; has != (fn.Result != 0) {
				bad("a value: %v; a text for it: %v", fn.Result != 0, has)
			}
			if c.Summary == "" || strings.HasSuffix(c.Summary, ".") {
				bad("summary %q", c.Summary)
			}
		})
		if seen > 0 && (group.Title == "" || group.Example == "") {
			t.Errorf("%s: the comment at the beginning has title %q and example %q", f.Name, group.Title, group.Example)
		}
		n += seen
	}
	if n < 500 {
		t.Errorf("only %d functions", n)
	}
}

// inventory are the functions of SystemTap's library with the numbers of arguments
// that they take.
func inventory(t *testing.T) map[string][]int {
	t.Helper()
	text, err := os.ReadFile("testdata/inventory.txt")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]int{}
	for _, line := range strings.Split(string(text), "\n") {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] == "#" {
			continue
		}
		for _, a := range f[1:] {
			n, err := strconv.Atoi(a)
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			out[f[0]] = append(out[f[0]], n)
		}
	}
	if len(out) != 542 {
		t.Fatalf("%d functions", len(out))
	}
	return out
}

// TestInventory: every function of SystemTap's library is in ours, with the same
// numbers of arguments, or is listed as refused, on the page too.
func TestInventory(t *testing.T) {
	have := map[string]map[int]bool{}
	for _, f := range parsedLibrary(t) {
		functions(f.Decls, func(fn *syntax.FuncDecl) {
			if !fn.Private {
				if have[fn.Name.Name] == nil {
					have[fn.Name.Name] = map[int]bool{}
				}
				have[fn.Name.Name][len(fn.Params)] = true
			}
		})
	}
	theirs := inventory(t)
	for name, arities := range theirs {
		_, refused := tapsets.Refused(name)
		switch {
		case refused && have[name] != nil:
			t.Errorf("%s is in the library, and refused", name)
		case refused:
		case have[name] == nil:
			t.Errorf("%s is neither in the library nor refused", name)
		default:
			for _, n := range arities {
				if !have[name][n] {
					t.Errorf("%s with %d arguments is missing", name, n)
				}
			}
		}
	}
	for _, name := range tapsets.RefusedNames() {
		if theirs[name] == nil {
			t.Errorf("%s is refused, and no function of SystemTap's", name)
		}
	}
}

// examplesOf gives the examples in the comments of a file.
func examplesOf(f *syntax.File) []string {
	var out []string
	d := doc.New(f)
	if e := d.Group().Example; e != "" {
		out = append(out, e)
	}
	functions(f.Decls, func(fn *syntax.FuncDecl) {
		if c := d.Of(fn); c != nil && c.Section("Example") != "" {
			out = append(out, c.Section("Example"))
		}
	})
	return out
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
