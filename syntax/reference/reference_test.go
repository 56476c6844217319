package reference

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stapkit/internal/corpus"
	"stapkit/syntax"
)

// firstDifference shows where two outlines part.
func firstDifference(a, b string) string {
	al, bl := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := 0; i < len(al) && i < len(bl); i++ {
		if al[i] != bl[i] {
			x, y := al[i], bl[i]
			n := 0
			for n < len(x) && n < len(y) && x[n] == y[n] {
				n++
			}
			from := max(0, n-60)
			return "reference …" + x[from:min(len(x), n+60)] + "\nproduction …" + y[from:min(len(y), n+60)]
		}
	}
	return "one is longer"
}

func check(t *testing.T, name string, f *syntax.File) {
	t.Helper()
	ref, err := Parse(f)
	if err != nil {
		t.Errorf("%s: the reference grammar refuses it: %v", name, err)
		return
	}
	if got, want := ref.Outline(), OutlineOf(f); got != want {
		t.Errorf("%s:\n%s", name, firstDifference(got, want))
	}
}

// TestCases holds the productions one by one against the production parser.
func TestCases(t *testing.T) {
	for _, src := range []string{
		`global a%[3], b = "x" "y" private global c private function f() { next }`,
		`function f:long(x:string, y):3 { return x . y == "1" && y in a ? -3 : ++y } function string(a,) %{ c %}`,
		`probe a.b("x").c = kernel.{function("a*")?, trace("b")!}.call if (b), begin { }, { exit() }`,
		`probe a = b += c.d(-1) { }`,
		`probe sys**open, *, foo*bar.return { foreach ([x+, y] in a[*, 2] limit 3) { delete a[x, *]; break } }`,
		`probe begin { foreach (v = k in a @sum-) ; foreach (b+ in @hist_log(s)) continue foreach (v- = [a,b] in c) next }`,
		`probe begin { for (;;) if (1) ; else next while (x) x--; try { } catch { } try { } catch (m) { ; } }`,
		`probe begin { a[1,"z"] <<< $x->y[3]->z$$ b = &$p->q[i] c = @cast(x, "t")->u->v d = $foo$ e = $$vars f = a[1]->b }`,
		"probe begin { x = a\n-b\ny = foo\n(bar)\na\n[1]\nz++\n++w }",
		`probe begin { 1 == 1 == 1; a = b = c += d <<< e; x ? y : z ? w : v; 2 + 3 . "x" << 4 | 5 ^ 6 & 7 in q }`,
		`probe begin { [a, *] in b; [c]; !~-+d; "x" =~ "y" "z"; printf("%d" "\n", 1) print(@hist_linear(s, 0, 10, 1)) return_x() }`,
		`probe begin { @hist_log(s)[3]; @variance(s, 3); (a, 1); }`,
	} {
		f := syntax.ParseFile("case.stp", []byte(src), syntax.Options{Privileged: true})
		if len(f.Diags) > 0 {
			if _, err := Parse(f); err == nil && !strings.Contains(src, "(a, 1)") {
				t.Errorf("%s: refused by the production parser only: %v", src, f.Diags[0])
			}
			continue
		}
		check(t, src, f)
	}
}

// all is every file at hand: Debian's library and examples, our own, the recorded
// ones.
func all(t testing.TB) []corpus.File {
	t.Helper()
	var list []corpus.File
	for _, find := range []func() ([]corpus.File, error){
		corpus.Tapset, corpus.Examples, corpus.Own, func() ([]corpus.File, error) { return corpus.Golden("run") },
	} {
		files, err := find()
		if err != nil {
			t.Logf("not read: %v", err)
		}
		list = append(list, files...)
	}
	return list
}

// TestCorpus holds all files at hand against the production parser: the same
// declarations, statements and expressions in the same order.
func TestCorpus(t *testing.T) {
	c := all(t)
	n := 0
	lib := &syntax.MacroSet{}
	for _, file := range c {
		if strings.HasSuffix(file.Path, ".stpm") {
			lib.Add(syntax.ParseMacros(file.Path, file.Src, syntax.Options{Library: true, Privileged: true, Macros: lib}))
		}
	}
	for i, file := range c {
		if strings.HasSuffix(file.Path, ".stpm") || testing.Short() && i%10 != 0 {
			continue
		}
		f := syntax.ParseFile(file.Path, file.Src, syntax.Options{Privileged: true, Library: true, Macros: lib,
			Args: []string{"1", "2", "3", "4", "5"}})
		if len(f.Diags) > 0 {
			continue // arguments of another kind, templates
		}
		check(t, file.Path, f)
		n++
	}
	t.Logf("%d files", n)
	if n < 5 {
		t.Errorf("only %d files", n)
	}
}

// TestGrammarDocument: docs/grammar.md is what the grammar generates.
func TestGrammarDocument(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "grammar.md"))
	if err != nil {
		t.Fatal(err)
	}
	if string(b) != Document() {
		t.Error("docs/grammar.md is stale: run go generate ./syntax/reference")
	}
}

// FuzzReference: of what both parsers take, they make the same. At its edges the
// language is wider than the reference grammar (names that begin with "$", say).
func FuzzReference(f *testing.F) {
	f.Add([]byte(`probe begin { x = a . b [1] in c ? "d" : $e->f$ }`))
	f.Add([]byte("global a probe a.* = b? { foreach ([k-] in a) print(k) }"))
	f.Add([]byte("function f(x) { if (x) return 1; else next }"))
	f.Fuzz(func(t *testing.T, src []byte) {
		if len(src) > 2000 {
			return
		}
		file := syntax.ParseFile("fuzz.stp", src, syntax.Options{Privileged: true, MaxDepth: 40})
		if len(file.Diags) > 0 {
			return
		}
		if _, err := Parse(file); err != nil {
			t.Skip(err)
		}
		check(t, string(src), file)
	})
}

func BenchmarkReference(b *testing.B) {
	c := all(b)
	var total int
	for _, file := range c {
		total += len(file.Src)
	}
	b.SetBytes(int64(total))
	for range b.N {
		for _, file := range c {
			f := syntax.ParseFile(file.Path, file.Src, syntax.Options{Privileged: true, Library: true})
			if len(f.Diags) == 0 {
				if _, err := Parse(f); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
}
