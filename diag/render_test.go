package diag

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

// place returns the range of the n-th occurrence, from 1, of text in a file.
func place(t *testing.T, src MapSources, file, text string, n int) Range {
	t.Helper()
	b := string(src[file])
	off := -1
	for ; n > 0; n-- {
		i := strings.Index(b[off+1:], text)
		if i < 0 {
			t.Fatalf("%q is not in %s", text, file)
		}
		off += i + 1
	}
	pos := func(off int) Pos {
		line := strings.Count(b[:off], "\n") + 1
		return Pos{File: file, Offset: off, Line: line, Col: off - strings.LastIndexByte(b[:off], '\n')}
	}
	return Range{Start: pos(off), End: pos(off + len(text))}
}

// renderCases are diagnostics of every shape; their sources and how they look
// are in testdata/NAME.txtar.
var renderCases = map[string]func(at func(file, text string, n int) Range) []Diagnostic{
	"parse": func(at func(string, string, int) Range) []Diagnostic {
		return []Diagnostic{
			{Code: "E0997", Range: at("a.stp", "}", 1), Message: "expected expression", Saw: "operator '}'",
				Help: "a value is missing behind the operator"},
			{Code: "E0997", Range: at("a.stp", "$1", 1), Message: "command line argument out of range [1-0]", Saw: "at: junk ''",
				Related: []Related{{Range: at("a.stp", "probe", 2), Message: "in this probe"}, {Message: "without a place"}}},
			{Code: "E0997", Range: Range{Start: Pos{File: "a.stp", Offset: 1000, Line: 9, Col: 1}}, Message: "expected statement", Saw: "a.stp EOF"},
			{Code: "E0997", Message: "Input file 'b.stp' is empty."},
			{Code: "E0998", Severity: Warning, Range: at("a.stp", "“", 1), Message: "curly quotes",
				Fixes: []Fix{{Message: "write straight quotes", Safe: true, Edits: []Edit{
					{Range: at("a.stp", "“", 1), NewText: `"`}, {Range: at("a.stp", "”", 1), NewText: `"`}}}}},
		}
	},
	"semantic": func(at func(string, string, int) Range) []Diagnostic {
		return []Diagnostic{
			{Code: "E1997", Range: at("dir/b c.stp", "x", 2), Message: "type mismatch (string)",
				Related: []Related{{Range: at("dir/b c.stp", "x", 1), Message: "type was first inferred here (long)"}}},
			{Code: "E1997", Range: at("dir/b c.stp", "=", 3), Message: "Expecting lvalue for assignment",
				Related: []Related{{Range: at("dir/b c.stp", "exit", 1)}}},
			{Code: "E1998", Range: at("dir/b c.stp", "s", 2), Message: "probe point mismatch (similar: s, ms)",
				Help:    "give the interval, as in timer.s(5)",
				Related: []Related{{Range: at("dir/b c.stp", "timer", 1), Message: "while resolving probe point"}}},
			{Code: "E1998", Range: at("dir/b c.stp", "kernel", 1), Message: "no match",
				Related: []Related{{Range: at("dir/b c.stp", "kernel", 1), Message: "while resolving probe point"}}},
			{Code: "E1997", Range: at("m.stpm", "q", 1), Message: "unresolved function q",
				Related: []Related{
					{Range: at("m.stpm", "@foo", 1), Message: InExpansion("foo")},
					{Range: at("dir/b c.stp", "@two", 1), Message: InExpansion("@two")},
				}},
			{Code: "E1997", Range: at("other.stp", "\"a", 1), Message: "a\x1b[31m red message"},
			{Code: "ST9999", Severity: Warning, Range: at("dir/b c.stp", "unused", 1), Message: "never-assigned local variable 'unused'", Tags: []Tag{Unnecessary}},
			{Code: "E2999", Range: at("dir/b c.stp", "println", 1), Message: "stack limit exceeded"},
			{Code: "R999", Message: "cannot attach: permission denied", Help: "run as root"},
			{Severity: Note, Message: "without a code or a place"},
		}
	},
	"long": func(at func(string, string, int) Range) []Diagnostic {
		return []Diagnostic{
			{Code: "E1997", Range: at("long.stp", "here", 1), Message: "in a long line"},
			{Code: "E1997", Range: at("long.stp", "first", 1), Message: "at its beginning"},
			{Code: "E1997", Range: at("long.stp", "last", 1), Message: "at its end"},
		}
	},
}

// sourcesOf returns the sources in an archive, all files that are no outputs.
func sourcesOf(a *txtar.Archive) MapSources {
	src := MapSources{}
	for _, f := range a.Files {
		if !strings.HasPrefix(f.Name, "out.") {
			src[f.Name] = f.Data
		}
	}
	return src
}

func withTestCodes(t *testing.T, f func()) {
	withRegistry(t, func() {
		for _, c := range []Code{"E0997", "E0998", "E1997", "E1998", "E2999", "R999"} {
			Register(Info{Code: c, Title: "title of " + string(c), Doc: "\nWhat " + string(c) + " means.\n"})
		}
		Register(Info{Code: "ST9999", Severity: Warning, Title: "a lint rule"})
		f()
	})
}

func TestRender(t *testing.T) {
	for name, build := range renderCases {
		t.Run(name, func(t *testing.T) {
			withTestCodes(t, func() {
				file := filepath.Join("testdata", name+".txtar")
				a, err := txtar.ParseFile(file)
				if err != nil {
					t.Fatal(err)
				}
				src := sourcesOf(a)
				ds := build(func(file, text string, n int) Range { return place(t, src, file, text, n) })
				outputs := []struct {
					name string
					run  func(b *bytes.Buffer) error
				}{
					{"stap", func(b *bytes.Buffer) error { return Stap(b, ds, src, StapOptions{Trailer: true}) }},
					{"stap-colors", func(b *bytes.Buffer) error {
						err := Stap(b, ds[:1], src, StapOptions{Plain: true, Colors: DefaultColors()})
						s := strings.ReplaceAll(b.String(), "\x1b", "ESC")
						b.Reset()
						b.WriteString(s)
						return err
					}},
					{"text", func(b *bytes.Buffer) error { return Text(b, ds, src, TextOptions{}) }},
					{"text-nosource", func(b *bytes.Buffer) error { return Text(b, ds[:1], nil, TextOptions{}) }},
					{"json", func(b *bytes.Buffer) error { return JSON(b, ds) }},
					{"github", func(b *bytes.Buffer) error { return GitHub(b, ds, src) }},
					{"sarif", func(b *bytes.Buffer) error {
						return SARIF(b, ds, src, SARIFOptions{Tool: "staplint", Version: "1.2", URI: "https://example.org", HelpURI: "https://example.org/errors/"})
					}},
				}
				if name == "long" { // the others show nothing more of it
					outputs = outputs[2:3]
				}
				kept := &txtar.Archive{Comment: a.Comment}
				for _, f := range a.Files {
					if !strings.HasPrefix(f.Name, "out.") {
						kept.Files = append(kept.Files, f)
					}
				}
				for _, out := range outputs {
					var b bytes.Buffer
					if err := out.run(&b); err != nil {
						t.Fatalf("%s: %v", out.name, err)
					}
					kept.Files = append(kept.Files, txtar.File{Name: "out." + out.name, Data: b.Bytes()})
				}
				if *update {
					if err := os.WriteFile(file, txtar.Format(kept), 0o666); err != nil {
						t.Fatal(err)
					}
					return
				}
				if d := cmp.Diff(string(txtar.Format(a)), string(txtar.Format(kept))); d != "" {
					t.Errorf("%s differs (-want +got); go test -update rewrites it:\n%s", file, d)
				}
			})
		})
	}
}

// TestStapGolden reads what SystemTap printed for wrong scripts, makes
// diagnostics of it, and holds what Stap prints of them against it.
func TestStapGolden(t *testing.T) {
	dir := os.Getenv("STAPKIT_GOLDEN")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "golden")
	}
	files, err := filepath.Glob(filepath.Join(dir, "diagnostics", "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skipf("no recorded diagnostics in %s; set STAPKIT_GOLDEN to their folder", dir)
	}
	checked := 0
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		src, stderr := MapSources{}, ""
		for _, f := range a.Files {
			switch f.Name {
			case "script.stp":
				src[name+".stp"] = f.Data
			case "stderr":
				stderr = string(f.Data)
			}
		}
		if strings.HasPrefix(name, "o_") || stderr == "" {
			continue // complaints about options are none of ours
		}
		if name == "s_builtin_arity" {
			const lib = "/usr/share/systemtap/tapset/string.stp"
			src[lib] = []byte(strings.Repeat("\n", 16) + "function strlen:long(s:string)\n")
		}
		ds, want := readStap(t, stderr, src)
		var b bytes.Buffer
		if err := Stap(&b, ds, src, StapOptions{Plain: true}); err != nil {
			t.Fatal(err)
		}
		if name == "s_unknown_toplevel" {
			// The place is the one just shown as that of the probe point.
			want = strings.Replace(want, ": identifier 'foo' at :1:7\n        source: probe foo.bar { }\n                      ^\n", "\n", 1)
		}
		if d := cmp.Diff(want, b.String()); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
		checked++
	}
	if checked < 60 {
		t.Errorf("only %d of %d files checked", checked, len(files))
	}
}

var (
	stapPlace = regexp.MustCompile(`^(.*?)(?:: )?(identifier '[^']*'|operator '[^']*'|number '[^']*'|string '[^']*'|keyword|junk '') at ([^ ]*):(\d+):(\d+)$`)
	stapSaw   = regexp.MustCompile(`^ *(saw|at): (.*)$`)
)

// readStap makes diagnostics of SystemTap's. It returns with them the text they
// come from, without what SystemTap says about its passes.
func readStap(t *testing.T, text string, src MapSources) ([]Diagnostic, string) {
	t.Helper()
	var ds []Diagnostic
	var kept strings.Builder
	last := ""
	rangeOf := func(m []string) Range {
		if m[3] != "" {
			last = m[3]
		}
		line, _ := strconv.Atoi(m[4])
		col, _ := strconv.Atoi(m[5])
		p := Pos{File: last, Line: line, Col: col}
		rows := strings.SplitAfter(string(src[last]), "\n")
		for _, row := range rows[:min(line-1, len(rows))] {
			p.Offset += len(row)
		}
		p.Offset += col - 1
		return Range{Start: p}
	}
	lines := strings.SplitAfter(text, "\n")
	for i := 0; i < len(lines); i++ {
		line := strings.TrimSuffix(lines[i], "\n")
		if strings.HasPrefix(line, "Pass ") || strings.HasPrefix(line, "Number of similar") || strings.HasPrefix(line, "Rerun") || strings.HasSuffix(line, "parse error.") || strings.HasSuffix(line, "parse errors.") {
			continue
		}
		kept.WriteString(lines[i])
		label, message, ok := strings.Cut(line, ": ")
		switch {
		case strings.HasPrefix(line, "Input file "):
			ds = append(ds, Diagnostic{Code: "E0999", Message: line})
		case ok && label == "parse error":
			d := Diagnostic{Code: "E0999", Message: message}
			i++
			kept.WriteString(lines[i])
			m := stapSaw.FindStringSubmatch(strings.TrimSuffix(lines[i], "\n"))
			if m == nil {
				t.Fatalf("no token in %q", lines[i])
			}
			d.Saw = m[2]
			if p := stapPlace.FindStringSubmatch(m[2]); p != nil {
				d.Range, d.Saw = rangeOf(p), p[2]
			}
			if m[1] == "at" {
				d.Saw = sawAt + d.Saw
			}
			ds = append(ds, d)
		case ok && (label == "semantic error" || label == "WARNING"):
			d := Diagnostic{Code: "E1999", Message: message}
			if label == "WARNING" {
				d.Severity = Warning
			}
			if p := stapPlace.FindStringSubmatch(message); p != nil {
				d.Message, d.Range = p[1], rangeOf(p)
			}
			ds = append(ds, d)
		default:
			if p := stapPlace.FindStringSubmatch(line); p != nil && p[1] == "" {
				d := &ds[len(ds)-1]
				d.Related = append(d.Related, Related{Range: rangeOf(p)})
			}
		}
	}
	// What is "while …" is context of what follows it.
	for i := 0; i < len(ds); i++ {
		if strings.HasPrefix(ds[i].Message, contextPrefix) && i+1 < len(ds) {
			ds[i+1].Related = append(ds[i+1].Related, Related{Range: ds[i].Range, Message: ds[i].Message})
			ds = append(ds[:i], ds[i+1:]...)
		}
	}
	return ds, kept.String()
}

func TestSARIFColumns(t *testing.T) {
	src := MapSources{"u.stp": []byte("\xef\xbb\xbf# \U0001F600 é\xff x y\r\n")}
	var b bytes.Buffer
	ds := []Diagnostic{{Code: "E1999", Range: place(t, src, "u.stp", "x y", 1), Message: "m"}}
	if err := SARIF(&b, ds, src, SARIFOptions{Tool: "t"}); err != nil {
		t.Fatal(err)
	}
	var log sarifLog
	if err := json.Unmarshal(b.Bytes(), &log); err != nil {
		t.Fatal(err)
	}
	// mark 1, # 1, space 1, face 2, space 1, é 1, bad byte 1, space 1
	got := log.Runs[0].Results[0].Locations[0].Physical.Region
	if got.StartColumn != 10 || got.EndColumn != 13 || got.StartLine != 1 || got.EndLine != 1 {
		t.Errorf("region %+v, want columns 10 to 13", got)
	}
	if got.Snippet.Text != "\ufeff# \U0001F600 é\ufffd x y" {
		t.Errorf("snippet %q", got.Snippet.Text)
	}
}

func TestSARIFURI(t *testing.T) {
	for file, want := range map[string]string{
		"a.stp":         "a.stp",
		"dir/a b.stp":   "dir/a%20b.stp",
		"./x/../a%.stp": "a%25.stp",
		"/etc/a.stp":    "file:///etc/a.stp",
		"C:/x/a.stp":    "file:///C:/x/a.stp",
		"<input>":       "%3Cinput%3E",
		"a:b.stp":       "./a:b.stp",
		"é.stp":         "%C3%A9.stp",
	} {
		if got := sarifURI(file); got != want {
			t.Errorf("sarifURI(%q) = %q, want %q", file, got, want)
		}
	}
}

func TestParseColors(t *testing.T) {
	c, ok := ParseColors("error=01;35:caret=")
	if want := (Colors{Error: "01;35", Warning: "00;33", Source: "00;34", Caret: "", Token: "01"}); !ok || c != want {
		t.Errorf("ParseColors = %+v, %v", c, ok)
	}
	for _, s := range []string{"error", "error=red", "eror=01", "error=1:", "error=\x1b"} {
		if c, ok := ParseColors(s); ok || c != DefaultColors() {
			t.Errorf("ParseColors(%q) = %+v, %v", s, c, ok)
		}
	}
}

func TestSort(t *testing.T) {
	at := func(file string, line, col int) Range {
		return Range{Start: Pos{File: file, Line: line, Col: col}}
	}
	ds := []Diagnostic{
		{Message: "5", Range: at("b", 1, 1)}, {Message: "3", Range: at("a", 2, 1)}, {Message: "4", Range: at("a", 2, 1)},
		{Message: "1"}, {Message: "2", Range: at("a", 1, 9)},
	}
	Sort(ds)
	got := ""
	for _, d := range ds {
		got += d.Message
	}
	if got != "12345" {
		t.Errorf("order %s", got)
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestWriteErrors(t *testing.T) {
	ds := []Diagnostic{{Code: "E1999", Message: "m"}}
	for name, err := range map[string]error{
		"Stap":   Stap(failingWriter{}, ds, nil, StapOptions{}),
		"Text":   Text(failingWriter{}, ds, nil, TextOptions{}),
		"JSON":   JSON(failingWriter{}, ds),
		"SARIF":  SARIF(failingWriter{}, ds, nil, SARIFOptions{}),
		"GitHub": GitHub(failingWriter{}, ds, nil),
	} {
		if err == nil {
			t.Errorf("%s swallows the error of the writer", name)
		}
	}
}

// FuzzRender renders diagnostics at arbitrary places of arbitrary text.
func FuzzRender(f *testing.F) {
	f.Add([]byte("probe begin { x = 1 + }\n"), 22, 1, 23, 23, 1, 24, "expected value", "operator '}'")
	f.Add([]byte("é\t\xff\n\n%{ \"\\"), -1, 3, 900, 0, 0, 0, "m\n\x1b", "at: junk ''")
	f.Fuzz(func(t *testing.T, text []byte, off, line, col, endOff, endLine, endCol int, message, saw string) {
		r := Range{Start: Pos{"f.stp", off, line, col}, End: Pos{"f.stp", endOff, endLine, endCol}}
		src := MapSources{"f.stp": text}
		var ds []Diagnostic
		for _, code := range []Code{"E0999", "E1999", "R999", ""} {
			ds = append(ds, Diagnostic{Code: code, Range: r, Message: message, Saw: saw, Help: message,
				Related: []Related{{Range: r}, {Range: r, Message: message}, {Range: r, Message: InExpansion(saw)}, {Range: r, Message: "while " + saw}},
				Fixes:   []Fix{{Message: message, Edits: []Edit{{Range: r, NewText: saw}}}}})
		}
		var b bytes.Buffer
		for _, err := range []error{
			Stap(&b, ds, src, StapOptions{Trailer: true}),
			Text(&b, ds, src, TextOptions{}),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		for i, c := range b.Bytes() {
			if c < ' ' && c != '\n' && c != '\t' || c == 0x7f {
				t.Fatalf("control character %#x at %d of %q", c, i, b.String())
			}
		}
		b.Reset()
		if err := SARIF(&b, ds, src, SARIFOptions{Tool: "t"}); err != nil {
			t.Fatal(err)
		}
		if !json.Valid(b.Bytes()) {
			t.Fatalf("not JSON: %s", b.String())
		}
		b.Reset()
		if err := JSON(&b, ds); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(b.String(), "\n"); n != len(ds) {
			t.Fatalf("%d lines for %d diagnostics: %s", n, len(ds), b.String())
		}
		b.Reset()
		if err := GitHub(&b, ds, src); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(b.String(), "\n"); n != len(ds) {
			t.Fatalf("%d lines for %d diagnostics: %s", n, len(ds), b.String())
		}
	})
}

func ExampleText() {
	src := MapSources{"x.stp": []byte("probe begin { x = 1 + }\n")}
	d := Diagnostic{
		Code:    "E0003",
		Range:   Range{Start: Pos{"x.stp", 22, 1, 23}, End: Pos{"x.stp", 23, 1, 24}},
		Message: "expected expression", Saw: "operator '}'",
	}
	if err := Text(os.Stdout, []Diagnostic{d}, src, TextOptions{}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// x.stp:1:23: error: expected expression, found operator '}' [E0003]
	//  1 | probe begin { x = 1 + }
	//    |                       ^
}

// TestPlaceWithoutOffset: a place of which only line and column are known shows its own
// line, also in the first column.
func TestPlaceWithoutOffset(t *testing.T) {
	src := MapSources{"a.stp": []byte("first\nsecond\n")}
	for line, want := range map[int]string{1: "first", 2: "second"} {
		if got, ok := lineOf(src, Pos{File: "a.stp", Line: line, Col: 1}); !ok || got != want {
			t.Errorf("line %d: %q", line, got)
		}
	}
}
