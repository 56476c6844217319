package syntax

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"

	"stapkit/diag"
	"stapkit/internal/corpus"
)

var mutantSeed = flag.Uint64("mutantseed", 5, "seed of the one-token mutants")

var showMutants = flag.Int("mutants", 0, "show that many mutants that are reported far off or lose names")

// A mutant is a script with one token deleted, doubled, inserted, replaced or swapped
// with its neighbour.
type mutant struct {
	what string
	line int
	last int // line of the last token that changed
	src  []byte
	tok  int // index among the tokens of the original
}

func mutate(rnd *rand.Rand, f *File) mutant {
	var code []int
	for i := range f.Raw {
		if k := f.Raw[i].Kind; k != Comment && k != EOF {
			code = append(code, i)
		}
	}
	n := rnd.IntN(len(code) - 1)
	text := func(i int) string { t := f.Raw[code[i]]; return string(f.Src[t.Off:t.End]) }
	t := f.Raw[code[n]]
	m := mutant{line: f.Sources[0].Mapper().Pos(int(t.Off)).Line, tok: code[n]}
	m.last = m.line
	replace := func(from, to int32, s string) {
		m.src = slices.Concat(f.Src[:from], []byte(s), f.Src[to:])
	}
	other := text(rnd.IntN(len(code)))
	for strings.HasPrefix(other, "%{") {
		other = text(rnd.IntN(len(code)))
	}
	switch rnd.IntN(5) {
	case 0:
		m.what = fmt.Sprintf("delete %q", text(n))
		replace(t.Off, t.End, "")
	case 1:
		m.what = fmt.Sprintf("double %q", text(n))
		replace(t.End, t.End, " "+text(n))
	case 2:
		m.what = fmt.Sprintf("insert %q", other)
		replace(t.Off, t.Off, other+" ")
	case 3:
		m.what = fmt.Sprintf("replace %q by %q", text(n), other)
		replace(t.Off, t.End, other)
	default:
		u := f.Raw[code[n+1]]
		m.last = f.Sources[0].Mapper().Pos(int(u.Off)).Line
		m.what = fmt.Sprintf("swap %q and %q", text(n), text(n+1))
		replace(t.Off, u.End, text(n+1)+string(f.Src[t.End:u.Off])+text(n))
	}
	return m
}

// namesInTree gives the share of the identifiers among the tokens that the tree holds.
func namesInTree(f *File) (kept, all int, lost []string) {
	have := map[int]bool{}
	word := func(tok int) {
		for ; tok < len(f.Tokens) && f.Tokens[tok].Kind == Comment; tok++ {
		}
		have[tok] = true
	}
	f.Inspect(func(n Node) bool {
		switch n := n.(type) {
		case *Ident:
			word(n.First())
		case *Call:
			word(n.Name.First())
		case *PrintExpr:
			word(n.First())
		case *TargetVar:
			word(n.First())
			if n.Pretty != NoPretty {
				word(n.Last())
			}
		case *Accessor:
			if n.Member != "" {
				word(n.First() + 1)
			}
		case *FuncDecl:
			if n.Name != nil {
				word(n.Name.First())
			}
		case *Component:
			if n.Name != "" {
				for i := n.First(); i <= n.Last() && f.Tokens[i].Kind != LParen; i++ {
					word(i)
				}
			}
		}
		return true
	})
	for i := range f.Tokens {
		if f.Tokens[i].Kind == Name {
			all++
			if have[i] {
				kept++
			} else {
				lost = append(lost, fmt.Sprintf("%s:%d", f.Text(i), f.TokenRange(i).Start.Line))
			}
		}
	}
	return kept, all, lost
}

// inCondition reports whether a token, or its neighbour, belongs to the condition of a
// conditional.
func inCondition(f *File, tok int) bool {
	for i := tok + 1; i >= 0 && i >= tok-20; i-- {
		switch f.Raw[i].Kind {
		case PPOpen:
			return true
		case PPThen:
			if i < tok {
				return false
			}
		case PPElse, PPClose:
			return i == tok
		}
	}
	return false
}

// signatures names the declarations of a file, one each.
func signatures(f *File) map[string]int {
	m := map[string]int{}
	for _, d := range f.Decls {
		for _, s := range signature(d) {
			m[s]++
		}
	}
	return m
}

func signature(d Decl) []string {
	points := func(list []Point) string {
		var b strings.Builder
		for _, pt := range list {
			if pp, ok := pt.(*ProbePoint); ok && len(pp.Components) > 0 {
				b.WriteString(pp.Components[0].Name + " ")
			}
		}
		return b.String()
	}
	switch d := d.(type) {
	case *GlobalDecl:
		var list []string
		for _, v := range d.Vars {
			if v.Name != nil {
				list = append(list, "global "+v.Name.Name)
			}
		}
		return list
	case *FuncDecl:
		if d.Name != nil {
			return []string{"function " + d.Name.Name}
		}
	case *ProbeDecl:
		return []string{"probe " + points(d.Points)}
	case *AliasDecl:
		if len(d.Names) > 0 {
			return []string{"probe " + PointString(d.Names[0])}
		}
	}
	return nil
}

// TestMutants changes one token of the examples and asks whether the diagnostic is
// near, whether the names are still in the tree, and whether all other declarations
// are.
func TestMutants(t *testing.T) {
	for _, view := range []View{Expanded, SourceView} {
		t.Run(view.String(), func(t *testing.T) { testMutants(t, view) })
	}
}

func testMutants(t *testing.T, view View) {
	_, examples, lib := loadCorpus(t)
	const perFile = 10
	rnd := rand.New(rand.NewPCG(*mutantSeed, 6))
	var total, flagged, near, lostDecls, shown int
	var shares []float64
	kept, all := 0, 0
	for _, ex := range examples {
		if strings.HasSuffix(ex.Path, corpus.Template) {
			continue
		}
		opt := Options{View: view, ArgsUnknown: true, Library: true, Target: hostX86, Macros: lib}
		orig := ParseFile(ex.Path, ex.Src, opt)
		for range perFile {
			m := mutate(rnd, orig)
			f := ParseFile(ex.Path, m.src, opt)
			total++
			show := func(format string, args ...any) {
				if shown < *showMutants {
					shown++
					t.Logf("%s:%d: %s: %s\n\t%v", ex.Path, m.line, m.what, fmt.Sprintf(format, args...), f.Diags)
				}
			}
			// Declarations other than the edited one.
			want := map[string]int{}
			for _, d := range orig.Decls {
				r := Range(d)
				if r.Start.File == ex.Path && r.Start.Line <= m.last && m.line <= r.End.Line {
					continue
				}
				for _, s := range signature(d) {
					want[s]++
				}
			}
			have := signatures(f)
			for s, n := range want {
				// With the condition of a conditional changed, another branch may count.
				if have[s] < n && !inCondition(orig, m.tok) {
					lostDecls++
					show("LOST %s", s)
				}
			}
			if !diag.HasErrors(f.Diags) {
				continue
			}
			flagged++
			best := 1 << 30
			for _, d := range f.Diags {
				if d.Range.Start.File == ex.Path || d.Range.Start.File == "" {
					best = min(best, max(d.Range.Start.Line-m.line, m.line-d.Range.Start.Line))
				} else {
					for _, r := range d.Related { // in a macro: the use counts
						if r.Range.Start.File == ex.Path {
							best = min(best, max(r.Range.Start.Line-m.line, m.line-r.Range.Start.Line))
						}
					}
				}
			}
			if best <= 1 {
				near++
			} else {
				show("FAR by %d", best)
			}
			k, a, lost := namesInTree(f)
			kept += k
			all += a
			if a > 0 {
				shares = append(shares, float64(k)/float64(a))
				if float64(k)/float64(a) < 0.8 {
					show("NAMES %d of %d, lost %v", k, a, lost)
				}
			}
		}
	}
	sort.Float64s(shares)
	mean := 0.0
	for _, s := range shares {
		mean += s
	}
	mean /= float64(len(shares))
	decile := 0.0
	for _, s := range shares[:len(shares)/10] {
		decile += s
	}
	decile /= float64(len(shares) / 10)
	nearShare := float64(near) / float64(flagged)
	t.Logf("%d mutants, %d flagged; diagnostic within one line: %.1f %%; names in the tree: %.1f %% (mean per mutant %.1f %%, worst decile %.1f %%); declarations lost: %d",
		total, flagged, 100*nearShare, 100*float64(kept)/float64(all), 100*mean, 100*decile, lostDecls)
	if total < 1000 {
		t.Errorf("only %d mutants", total)
	}
	if nearShare < 0.92 {
		t.Errorf("diagnostic within one line of the edit for %.1f %%, want 92 %%", 100*nearShare)
	}
	if mean < 0.88 {
		t.Errorf("%.1f %% of the names are in the tree, want 88 %%", 100*mean)
	}
	if lostDecls > 0 {
		t.Errorf("%d declarations lost", lostDecls)
	}
}
