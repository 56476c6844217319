package syntax

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestDump compares the dumps of the scripts in testdata/dump: script.stp, then the
// outlines of both views ("source", "expanded"), the tokens ("tokens"), -p1 ("p1") and
// the canonical text ("print"), as far as the archive has them.
func TestDump(t *testing.T) {
	names, err := filepath.Glob("testdata/dump/*.txtar")
	if err != nil || len(names) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, name := range names {
		a, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var script []byte
		for _, f := range a.Files {
			if f.Name == "script.stp" {
				script = f.Data
			}
		}
		opt := Options{Privileged: true, Target: hostX86, Args: []string{"begin", "second"}, Macros: fuzzLib()}
		expanded := ParseFile("script.stp", script, opt)
		opt.View = SourceView
		source := ParseFile("script.stp", script, opt)
		for i := range a.Files {
			f := &a.Files[i]
			var b bytes.Buffer
			var err error
			switch f.Name {
			case "script.stp":
				continue
			case "source":
				err = DumpTree(&b, source, false)
			case "expanded":
				err = DumpTree(&b, expanded, false)
			case "tokens":
				err = DumpTokens(&b, expanded, false)
			case "p1":
				err = DumpP1(&b, expanded)
			case "print":
				err = Print(&b, expanded)
			case "json":
				err = DumpTree(&b, source, true)
			default:
				t.Fatalf("%s: unknown part %s", name, f.Name)
			}
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				f.Data = b.Bytes()
			} else if !bytes.Equal(f.Data, b.Bytes()) {
				t.Errorf("%s: %s differs: %s", name, f.Name, firstDiff(string(f.Data), b.String()))
			}
		}
		for _, d := range append(expanded.Diags, source.Diags...) {
			t.Errorf("%s: %v", name, d)
		}
		if *update {
			if err := os.WriteFile(name, txtar.Format(a), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestDumpJSON: the JSON of every view of every seed is valid and names its nodes.
func TestDumpJSON(t *testing.T) {
	for _, s := range seeds {
		for _, view := range []View{Expanded, SourceView} {
			f := ParseFile("s.stp", []byte(s), Options{View: view, ArgsUnknown: true, Target: hostX86})
			for _, dump := range []func(*bytes.Buffer) error{
				func(b *bytes.Buffer) error { return DumpTree(b, f, true) },
				func(b *bytes.Buffer) error { return DumpTokens(b, f, true) },
			} {
				var b bytes.Buffer
				if err := dump(&b); err != nil {
					t.Fatal(err)
				}
				if !json.Valid(b.Bytes()) {
					t.Errorf("%q: invalid JSON: %s", s, b.Bytes())
				}
			}
		}
	}
}

func TestMapper(t *testing.T) {
	text := "ab\n\té\U0001f600x\n\nlast\xff"
	m := NewMapper("f", []byte(text))
	if m.Lines() != 4 || string(m.Line(2)) != "\té\U0001f600x" || m.Line(5) != nil || string(m.Line(4)) != "last\xff" {
		t.Errorf("lines: %d, %q, %q", m.Lines(), m.Line(2), m.Line(4))
	}
	off := strings.Index(text, "x")
	if p := m.Pos(off); p.Line != 2 || p.Col != 8 || p.Offset != off {
		t.Errorf("bytes: %+v", p)
	}
	if l, c := m.UTF16(off); l != 1 || c != 4 {
		t.Errorf("UTF-16: %d:%d", l, c)
	}
	if l, c := m.Runes(off); l != 1 || c != 3 {
		t.Errorf("runes: %d:%d", l, c)
	}
	for _, c := range []struct{ got, want int }{
		{m.Offset(1, 7), off}, {m.OffsetUTF16(1, 4), off}, {m.OffsetRunes(1, 3), off},
		{m.OffsetUTF16(1, 3), off - 4}, // inside the surrogate pair: its start
		{m.OffsetUTF16(1, 99), off + 1}, {m.Offset(-1, 3), 0}, {m.Offset(9, 0), len(text)}, {m.OffsetRunes(3, 5), len(text)},
		{m.Pos(-5).Offset, 0}, {m.Pos(1000).Offset, len(text)},
	} {
		if c.got != c.want {
			t.Errorf("got %d, want %d", c.got, c.want)
		}
	}
}

// TestTokens: kinds, and what needs a look at the neighbours.
func TestTokens(t *testing.T) {
	kinds := func(src string) string {
		opt := Options{View: SourceView}
		f, toks := lexFile("t", []byte(src), &opt)
		var b strings.Builder
		for i, tok := range toks {
			f.Tokens = toks
			if tok.Kind != EOF {
				b.WriteString(tok.Kind.String() + "<" + f.Text(i) + ">")
			}
		}
		return b.String()
	}
	for _, c := range []struct{ src, want string }{
		{"x%(3)", "identifier<x>%(<%(>number<3>)<)>"},
		{"i%=2 a%b", "identifier<i>%=<%=>number<2>identifier<a>%<%>identifier<b>"},
		{"a<<<b<<=c<<d<=e<f", "identifier<a><<<<<<<>identifier<b><<=<<<=>identifier<c><<<<<>identifier<d><=<<=>identifier<e><<<>identifier<f>"},
		{"a>>>b>>=c>>d->e--f", "identifier<a>>>><>>>>identifier<b>>>=<>>=>identifier<c>>><>>>identifier<d>-><->>identifier<e>--<-->identifier<f>"},
		{"$x $$v $f$ a$b $", "identifier<$x>identifier<$$v>identifier<$f$>identifier<a$b>identifier<$>"},
		{"@ @x @1 $12 $# @#", "@word<@>@word<@x>string script argument<@1>script argument<$12>$#<$#>@#<@#>"},
		{"a$1 $1b", "identifier<a$1>script argument<$1>identifier<b>"},
		{"08 0x1F 1abc", "number<08>number<0x1F>number<1abc>"},
		{"\"a\\\"b\" \"\\\\\"", "string<\"a\\\"b\">string<\"\\\\\">"},
		{"# c\r\n//d\n/* e\n*/f", "comment<# c>comment<//d>comment</* e\n*/>identifier<f>"},
		{"%{ a }% b %}c", "embedded code<%{ a }% b %}>identifier<c>"},
		{"probe probes in", "probe<probe>identifier<probes>in<in>"},
		{"a.b..=c", "identifier<a>.<.>identifier<b>.<.>.=<.=>identifier<c>"},
		{"`\\'", "punctuation<`>punctuation<\\>punctuation<'>"},
		{"\"a\\\nb\"", "string<\"a\\\nb\">"},
	} {
		if got := kinds(c.src); got != c.want {
			t.Errorf("%q:\n got %s\nwant %s", c.src, got, c.want)
		}
	}
}
