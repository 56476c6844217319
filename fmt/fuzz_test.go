package stapfmt

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// holds formats a text in both modes. Format itself checks that tokens, comments and tree
// stay and that formatting again changes nothing, so a *Bug is what a fuzzer looks for.
func holds(t *testing.T, src []byte) {
	t.Helper()
	for _, opt := range []Options{{}, {Partial: true}, {Indent: Indent{Spaces: 4}}} {
		res, err := Format("a.stp", src, opt)
		var bug *Bug
		if errors.As(err, &bug) {
			t.Fatalf("%+v: %v\n%s\nformatted:\n%s", opt, err, src, rendered(src, opt))
		}
		if opt.Partial && err != nil {
			t.Fatalf("%v\n%s", err, src)
		}
		if err != nil {
			continue
		}
		again, err := Format("a.stp", res.Text, opt)
		if err != nil {
			t.Fatalf("%+v: the result: %v\n%s", opt, err, res.Text)
		}
		if again.Changed {
			t.Fatalf("%+v: not stable:\n%s\nbecomes\n%s", opt, res.Text, again.Text)
		}
		if !opt.Partial && len(res.Text) > 0 && !bytes.HasSuffix(res.Text, []byte("\n")) {
			t.Fatalf("no newline at the end: %q", res.Text)
		}
	}
}

func rendered(src []byte, opt Options) []byte {
	out, _ := render(parse("a.stp", src), opt)
	return out
}

// goldenScripts are the sources of the golden files.
func goldenScripts(t testing.TB) [][]byte {
	names, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	var list [][]byte
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range txtar.Parse(text).Files {
			if strings.HasSuffix(f.Name, ".stp") {
				list = append(list, f.Data)
			}
		}
	}
	return list
}

// FuzzFormat formats any text.
func FuzzFormat(f *testing.F) {
	for _, src := range goldenScripts(f) {
		f.Add(src)
	}
	for _, src := range awkward {
		f.Add([]byte(src))
	}
	f.Fuzz(func(t *testing.T, src []byte) { holds(t, src) })
}

// FuzzGenerated formats random programs with comments at all places, as they are and with
// some tokens changed.
func FuzzGenerated(f *testing.F) {
	for seed := range uint64(64) {
		f.Add(seed, seed%3 == 0, uint8(seed%5))
	}
	f.Fuzz(func(t *testing.T, seed uint64, calm bool, mutations uint8) {
		src := []byte(randomScript(seed, calm))
		if n := int(mutations % 8); n > 0 {
			src = mutate(rand.New(rand.NewPCG(seed, 3)), src, n)
		}
		holds(t, src)
	})
}

// TestGenerated is a fixed part of FuzzGenerated.
func TestGenerated(t *testing.T) {
	for seed := range uint64(1500) {
		src := []byte(randomScript(seed+1000, seed%3 == 0))
		if seed%2 > 0 {
			rnd := rand.New(rand.NewPCG(seed, 4))
			src = mutate(rnd, src, 1+rnd.IntN(5))
		}
		holds(t, src)
	}
}

// TestMutants formats examples of SystemTap with some tokens changed.
func TestMutants(t *testing.T) {
	files := systemTap(t)
	rnd := rand.New(rand.NewPCG(8, 8))
	for n := 0; n < 600; {
		src := files[rnd.IntN(len(files))].Src
		if len(src) > 8000 {
			continue
		}
		n++
		holds(t, mutate(rnd, src, 1+rnd.IntN(6)))
	}
}

// awkward are texts that were formatted wrongly once.
var awkward = []string{
	"probe begin{x /* a */ | y /* b */ | z}",
	"probe n{(y){/**/;}}",
	"probe s(7){/**/;}%({{}}%)",
	"probe e{if(e)[a];;else %($# > 0%?x%);/**/[p]}",
	"probe begin{n\n#\n;}",
	"probe begin{n#\n;#\n}",
	"probe begin{foreach([r,b]//\n/**/in a)a}",
	"function f(){return;;}",
	"function f(){%( a == b %? x %) return/**/;;}",
	"%(M==\"\"||#\n$# >0%?/**/%)",
	"probe a{while(x)%(1 == 1%?r%);[$1 \"\")}",
	"@define m%({ x/*\n*/%)",
	"probe a{(%(%))\n;{%([]%)}}",
	"function g(){%(a==b&&@macro%?a_rather_long_name_for_a_variable<<<42%:%)}",
	"@define l%(%(@%?()\"\"%)()?\n:()%)",
	"global@ global g",
	"global,g[$1]global o",
	"%($#%?global g;;%){x}",
	"function f(){o--;#stapfmt:off\n;}",
	"function f(){e;/*stapfmt:off*/;}",
	"probe a,@f (0)//\n{}",
	"function g(){%(1 == 1%?%)@o(% )}%?",
	"%(N==\"\"\n@ %?%){x}",
	"\r\n%{\n%}",
	"%( 1 == 1 %?obal global e\n[1]%)%(%)",
	"obal global g\n=\"\"@{%({}%)}",
	"probe n//\n,probe{}",
	"robe*function@",
	"probe m{if(1)next;;else @;}",
	"probe n{%(1 == 1%?(x)\nwhile(y)next;;%)z}",
	"probe\nm{{;\n\n{}}x}",
	"glob g p",
	"000000000000000000000000000000000000000000000\n%{",
	"probe i{if(%(@m%?$x%))else\n[1];;%(O==\"\"%?\"\"%)(@}}",
	"function g(){x %(@m%?\"\\n\"\"\"%)}",
	"probe i{[y]{if(%(@m%?$x%))else\n[1];;%(%)}}",
	"global g[]@define m%(%)@\nfunction",
	"robe b}\nd{h(k in t)}",
	"probe a{%(1 == 1%?(s)%);(x)}",
	`probe kprobe.function(@prefix "x").call, kprobe.function(@a_rather_long_prefix_macro "a_rather_long_name"){}`,
	"probe kprobe.function(@prefix\n\"x\"){}",
}
