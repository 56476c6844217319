package query

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"stapkit/internal/corpus"
	"stapkit/syntax"
)

// scriptsAtHand are those of the corpus: a sample, or with STAPKIT_CORPUS=all all.
func scriptsAtHand(t *testing.T) []corpus.File {
	t.Helper()
	var out []corpus.File
	for _, read := range []func() ([]corpus.File, error){corpus.Tapset, corpus.Examples, corpus.Own} {
		files, err := read()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, files...)
	}
	if os.Getenv("STAPKIT_CORPUS") == "all" {
		return out
	}
	var some []corpus.File
	for i := 0; i < len(out); i += 40 {
		some = append(some, out[i])
	}
	return some
}

// TestCorpus asks everything at random places of real scripts, whole, cut off there, and
// with a word taken out.
func TestCorpus(t *testing.T) {
	env := testEnv(t, nil)
	files := scriptsAtHand(t)
	for i, f := range files {
		if len(f.Src) > 60000 {
			continue
		}
		rnd := rand.New(rand.NewPCG(uint64(i), 1))
		off := rnd.IntN(len(f.Src) + 1)
		at := rnd.IntN(len(f.Src) + 1)
		end := min(at+rnd.IntN(8), len(f.Src))
		holed := slices.Concat(f.Src[:at], f.Src[end:])
		for _, text := range [][]byte{f.Src, f.Src[:off], holed} {
			s := env.Snapshot("corpus.stp", text)
			if s.Program(); s.Panic != "" {
				t.Fatalf("%s: %s", f.Path, s.Panic)
			}
			askWhole(t, s)
			askAll(t, s, len(text))
			askAll(t, s, min(off, len(text)))
			askAll(t, s, min(at, len(text)))
		}
	}
}

// TestCorpusWords types words of real scripts anew, at their end and in their middle: after
// three letters the word is offered. What is in no other place of the script, nor in the
// library, nobody can know.
func TestCorpusWords(t *testing.T) {
	env := testEnv(t, nil)
	asked, missed := map[string]int{}, map[string][]string{}
	for i, f := range scriptsAtHand(t) {
		if len(f.Src) > 60000 {
			continue
		}
		rnd := rand.New(rand.NewPCG(uint64(i), 2))
		whole := env.Snapshot("corpus.stp", f.Src)
		for range 12 {
			raw := rnd.IntN(len(whole.File.Raw))
			tok := whole.File.Raw[raw]
			word := whole.File.RawText(raw)
			if tok.Kind != syntax.Name || len(word) < 5 || strings.HasPrefix(word, "_") || strings.HasPrefix(word, "$") {
				continue
			}
			path := whole.path(raw)
			if len(path) == 0 {
				continue
			}
			kind := ""
			switch n := path[len(path)-1].(type) {
			case *syntax.Call:
				if n.Name != nil && len(whole.Functions(word)) > 0 && whole.nameAt(n, raw) {
					kind = "function"
				}
			case *syntax.Ident:
				if strings.Count(string(f.Src[:tok.Off]), word) > 0 && mentionedBefore(whole, path, word, int(tok.Off)) {
					kind = "variable"
				}
			case *syntax.PrintExpr:
				kind = "print"
			case *syntax.Component:
				if pp, ok := innermost[*syntax.ProbePoint](path); ok && len(pp.Components) > 0 && len(env.Library().AliasNames(pp.Components[0].Name)) > 0 && n.Name == word && !isAliasName(path, pp) {
					kind = "point"
				}
			}
			if kind == "" {
				continue
			}
			cut := int(tok.Off) + 3
			for _, text := range [][]byte{f.Src[:cut], slices.Concat(f.Src[:cut], f.Src[tok.End:])} {
				if pp, ok := innermost[*syntax.ProbePoint](path); ok && kind == "point" &&
					!bytes.Contains(text, []byte("probe "+pp.Components[0].Name+"."+word)) && !inLibrary(env, path, word) {
					continue // declared behind the cut
				}
				s := env.Snapshot("corpus.stp", text)
				asked[kind]++
				items := s.Complete(context.Background(), cut).Items
				if !slices.ContainsFunc(items, func(it Item) bool { return it.Label == word || it.Filter == word }) {
					missed[kind] = append(missed[kind], f.Path+": "+word)
				}
			}
		}
	}
	for kind, n := range asked {
		t.Logf("%s: %d of %d are offered", kind, n-len(missed[kind]), n)
		if len(missed[kind])*100 > n*3 {
			t.Errorf("%s: too many are not offered: %q", kind, missed[kind])
		}
	}
	if len(asked) < 3 {
		t.Skip("SystemTap's scripts are not installed")
	}
}

// inLibrary reports whether an alias of the library has a component of that name.
func inLibrary(env *Env, path []syntax.Node, word string) bool {
	pp, ok := innermost[*syntax.ProbePoint](path)
	if !ok {
		return false
	}
	for _, a := range env.Library().AliasNames(pp.Components[0].Name) {
		for _, c := range a.Name.Components {
			if c.Name == word {
				return true
			}
		}
	}
	return false
}

// isAliasName reports whether a point is the name that an alias is given.
func isAliasName(path []syntax.Node, pp *syntax.ProbePoint) bool {
	a, ok := path[0].(*syntax.AliasDecl)
	return ok && slices.Contains(a.Names, pp)
}

// mentionedBefore reports whether a declaration, or a global, names a word before a place.
func mentionedBefore(s *Snapshot, path []syntax.Node, word string, off int) bool {
	if s.globalNamed(word) != nil {
		return true
	}
	found := false
	syntax.Inspect(path[0], func(n syntax.Node) bool {
		if id, ok := n.(*syntax.Ident); ok && id.Name == word {
			if sp, ok := s.offsets(syntax.Range(id)); ok && sp.start < off {
				found = true
			}
		}
		return true
	})
	return found
}
