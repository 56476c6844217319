package syntax

import (
	"strings"
	"testing"

	"stapkit/internal/corpus"
)

// checkAll parses a script in both views and checks all that must hold for any text.
func checkAll(t *testing.T, src []byte, opt Options) {
	t.Helper()
	for _, view := range []View{Expanded, SourceView} {
		opt.View = view
		p := ParseFile("fuzz.stp", src, opt)
		if err := checkTokens(p); err != nil {
			t.Fatal(err)
		}
		if err := checkTree(p); err != nil {
			t.Fatalf("%v view: %v", view, err)
		}
		if err := checkReparse(p, opt); err != nil {
			t.Fatal(err)
		}
		for i := range p.Diags {
			if p.Diags[i].Message == "" || p.Diags[i].Code == "" {
				t.Fatalf("empty diagnostic %+v", p.Diags[i])
			}
		}
		if len(p.Diags) == 0 && len(p.Decls) == 0 && len(p.Macros) == 0 {
			t.Fatal("nothing found and nothing said")
		}
	}
}

func fuzzLib() *MacroSet {
	lib := &MacroSet{}
	lib.Add(ParseMacros("lib.stpm", []byte("@define choose_defined(a, b) %( (@defined(@a) ? (@a) : (@b)) %) @define errno %( 1 %)"), Options{}))
	return lib
}

// FuzzParse feeds bytes.
func FuzzParse(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s), "arg", false)
	}
	if files, err := corpus.Examples(); err == nil {
		for i, ex := range files {
			if i%20 == 0 && len(ex.Src) < 4000 {
				f.Add(ex.Src, "begin", true)
			}
		}
	}
	lib := fuzzLib()
	f.Fuzz(func(t *testing.T, src []byte, arg string, unknown bool) {
		opt := Options{ArgsUnknown: unknown, Target: hostX86, Macros: lib, Privileged: true}
		if !unknown {
			opt.Args = []string{arg, "2"}
		}
		checkAll(t, src, opt)
		ParseMacros("fuzz.stpm", src, Options{Target: hostX86})
	})
}

// words are what FuzzWords makes scripts of.
var words = []string{"probe", "global", "private", "function", "if", "else", "for", "foreach", "in", "limit", "return",
	"delete", "while", "break", "continue", "next", "string", "long", "try", "catch", "(", ")", "{", "}", "[", "]", ",", ";",
	":", ".", "?", "=", "+=", "<<<", "||", "&&", "|", "^", "&", "==", "!=", "<", ">", "=~", "!~", "<<", ">>>", "+", "-", "*",
	"/", "%", "!", "~", "++", "--", "->", "%(", "%?", "%:", "%)", "a", "b", "$x", "$$vars", "$y$", "$", "$1", "@1", "$#",
	"@define", "@m", "@n", "@count", "@variance", "@hist_log", "@hist_linear", "@cast", "@var", "@defined", "@entry", "@enumname",
	"@foo", "@choose_defined", "@errno", "1", "0x1f", "\"s\"", "\"%d\\n\"", "%{ c %}", "/* c */", "# c\n", "\n", "kernel_v",
	"CONFIG_X", "arch", "\"x86_64\"", "print", "printf", "sprintd", "probe begin {", "function f(a) {", "x = ", "f(a,",
	"@define m %( a %)", "@define n(p) %( @p + 1 %)", "%( 1 == 1 %?", "foreach (k+ in a", "if (a) ", "}\n", "[a, *]", "-5"}

// FuzzWords feeds words of the language: byte b is words[b], without white space before
// it when the byte is in the upper half.
func FuzzWords(f *testing.F) {
	f.Add([]byte("\x65\x3d\x1f\x55\x1b\x17"))
	for i := range words {
		f.Add([]byte{98, byte(i), byte(i + 1), 23})
	}
	lib := fuzzLib()
	f.Fuzz(func(t *testing.T, picks []byte) {
		if len(picks) > 4000 {
			return
		}
		var b strings.Builder
		for _, c := range picks {
			if c < 128 {
				b.WriteByte(' ')
			}
			b.WriteString(words[int(c)%128%len(words)])
		}
		checkAll(t, []byte(b.String()), Options{ArgsUnknown: true, Target: hostX86, Macros: lib, Privileged: true})
	})
}

// FuzzLex looks at the lexer and the mapper alone, which is fast.
func FuzzLex(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Add([]byte("a\U0001f600b é\n\xffx"))
	f.Fuzz(func(t *testing.T, src []byte) {
		opt := Options{View: SourceView}
		p, _ := lexFile("fuzz.stp", src, &opt)
		if err := checkTokens(p); err != nil {
			t.Fatal(err)
		}
		m := p.Sources[0].Mapper()
		for i := range p.Raw {
			off := int(p.Raw[i].Off)
			pos := m.Pos(off)
			if got := m.Offset(pos.Line-1, pos.Col-1); got != off {
				t.Fatalf("offset %d is %v is offset %d", off, pos, got)
			}
			if l, c := m.UTF16(off); m.OffsetUTF16(l, c) != off {
				t.Fatalf("offset %d is UTF-16 %d:%d is offset %d", off, l, c, m.OffsetUTF16(l, c))
			}
			if l, c := m.Runes(off); m.OffsetRunes(l, c) != off {
				t.Fatalf("offset %d is %d:%d in runes is offset %d", off, l, c, m.OffsetRunes(l, c))
			}
		}
	})
}
