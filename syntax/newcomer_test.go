package syntax

import (
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"

	"stapkit/diag"
)

// fixed applies the first fix of each diagnostic.
func fixed(f *File) string {
	var edits []diag.Edit
	for _, d := range f.Diags {
		if len(d.Fixes) > 0 {
			edits = append(edits, d.Fixes[0].Edits...)
		}
	}
	sort.Slice(edits, func(i, j int) bool { return edits[i].Range.Start.Offset > edits[j].Range.Start.Offset })
	src := f.Src
	for _, e := range edits {
		src = slices.Concat(src[:e.Range.Start.Offset], []byte(e.NewText), src[e.Range.End.Offset:])
	}
	return string(src)
}

// TestNewcomers: mistakes copied from web pages are named, and the fix makes a script
// without diagnostics.
func TestNewcomers(t *testing.T) {
	for _, c := range []struct{ name, src, code, fixed string }{
		{"curly quotes", "probe begin { printf(“hello %d\\n”, 1) }", "E0013", "probe begin { printf(\"hello %d\\n\", 1) }"},
		{"curly and straight", "probe begin { println(“x\") }", "E0013", "probe begin { println(\"x\") }"},
		{"curly in a probe point", "probe kernel.function(“vfs_read”) { }", "E0013", "probe kernel.function(\"vfs_read\") { }"},
		{"no-break space", "probe begin\u00a0{ }", "E0008", "probe begin { }"},
		{"typed list", "probe vfs.read file:long pos:long $file:struct file* { println(1) }", "E0034", "probe vfs.read { println(1) }"},
		{"typed list of one", "probe kernel.trace(\"sched_switch\") $prev:struct task_struct* { println(1) }", "E0034", "probe kernel.trace(\"sched_switch\") { println(1) }"},
		{"missing probe", "begin { println(1) }", "E0035", "probe begin { println(1) }"},
		{"missing probe, point with arguments", "kernel.function(\"f\").return { }", "E0035", "probe kernel.function(\"f\").return { }"},
		{"missing probe, timer", "global n\ntimer.s(1) { n++ }", "E0035", "global n\nprobe timer.s(1) { n++ }"},
		{"missing function", "f(a, b) { return a }\nprobe begin { f(1, 2) }", "E0035", "function f(a, b) { return a }\nprobe begin { f(1, 2) }"},
		{"missing global", "x, y = 3\nprobe begin { x = y }", "E0035", "global x, y = 3\nprobe begin { x = y }"},
		{"dot for arrow", "probe kernel.function(\"f\") { println($file.f_flags) }", "E0036", "probe kernel.function(\"f\") { println($file->f_flags) }"},
		{"dot for arrow behind one", "probe p { x = $a->b.c }", "E0036", "probe p { x = $a->b->c }"},
		{"dot behind a cast", "probe p { x = @cast($a, \"t\").c }", "E0036", "probe p { x = @cast($a, \"t\")->c }"},
		{"misspelt probe", "prob begin { }", "E0037", "probe begin { }"},
		{"misspelt function", "fucntion f() { }", "E0037", "function f() { }"},
		{"misspelt global", "gloabl x\nprobe begin { x = 1 }", "E0037", "global x\nprobe begin { x = 1 }"},
		{"misspelt catch", "probe p { try { f() } cach { } }", "E0037", "probe p { try { f() } catch { } }"},
		{"misspelt limit", "probe p { foreach (k in a limt 5) { } }", "E0037", "probe p { foreach (k in a limit 5) { } }"},
		{"return in a probe", "probe p { if (x) return; }", "E0015", "probe p { if (x) next; }"},
	} {
		f := ParseFile("t.stp", []byte(c.src), Options{})
		if len(f.Diags) == 0 || string(f.Diags[0].Code) != c.code {
			t.Errorf("%s: want %s, got %v", c.name, c.code, f.Diags)
			continue
		}
		if len(f.Diags) > 1 {
			t.Errorf("%s: more than one diagnostic: %v", c.name, f.Diags)
		}
		if got := fixed(f); got != c.fixed {
			t.Errorf("%s: fixed to\n%s, want\n%s", c.name, got, c.fixed)
		}
		if g := ParseFile("t.stp", []byte(c.fixed), Options{}); len(g.Diags) > 0 {
			t.Errorf("%s: the fix leaves %v", c.name, g.Diags)
		}
	}
	// What is no mistake.
	for _, src := range []string{
		"probe p { x = $name . \".txt\" }", "probe p { x = $$vars.y }", "probe p { x = $value.y }", "probe p { x = $s$.y }",
		"probe p { x = $a . b }", // with spaces it may be meant
	} {
		if f := ParseFile("t.stp", []byte(src), Options{}); len(f.Diags) > 0 {
			t.Errorf("%s: %v", src, f.Diags)
		}
	}
}

// TestBadInput: whatever is read, there is a clear error and a tree.
func TestBadInput(t *testing.T) {
	for _, c := range []struct{ name, src, want string }{
		{"empty", "", "Input file 't.stp' is empty."},
		{"white space", " \n\t", "Input file 't.stp' is empty."},
		{"comment only", "# nothing\n/* here */", "Input file 't.stp' is empty."},
		{"preprocessed away", "%( 1 == 2 %? probe begin {} %)", "Input file 't.stp' is empty after preprocessing."},
		{"NUL", "probe begin { \x00\x00 }", "NUL byte: this does not look like a text file"},
		{"binary", "\x7fELF\x02\x01\x01\x00\x00\x00", "unexpected character '\\x7f'"},
		{"invalid UTF-8", "probe begin { x\xff }", "byte 0xff is neither ASCII nor UTF-8"},
		{"foreign word", "probe begin { größe = 1 }", "unexpected character 'ö'"},
		{"string", "probe begin { println(\"abc) }\nprobe end { x = 1 }", "Could not find matching closing quote"},
		{"string at the end", "probe begin { println(\"abc", "Could not find matching closing quote"},
		{"comment", "probe begin { /* open }", "unterminated comment: the rest of the file belongs to it"},
		{"embedded C", "%{ int x;", "Could not find matching '%}' to close embedded function block"},
		{"conditional", "probe begin { %( 1 == 1 %? x = 1 }", "incomplete conditional at end of file"},
		{"skipped conditional", "%( 1 == 2 %? probe begin { x = 1 }", "incomplete conditional at end of file"},
		{"stray %)", "probe begin { x = 1 %) }", "incomplete conditional - missing '%('"},
		{"second %:", "%( 1 == 2 %? probe a {} %: probe b {} %: probe c {} %)", "invalid conditional - duplicate '%:'"},
		{"recursive macro", "@define a %( @b %) @define b %( @a + 1 %) probe begin { x = @a }", "recursive use of macro '@a'"},
		{"macro in itself", "@define a(x) %( @a(@x) %) probe begin { y = @a(1) }", "recursive use of macro '@a'"},
		{"macro body", "@define a %( 1", "incomplete macro definition - missing '%)'"},
		{"macro arguments", "@define a(x, y) %( 1 %) probe begin { y = @a(1) }", "too few parameters for macro '@a', which takes 2 parameters"},
		{"macro parenthesis", "@define a(x) %( 1 %) probe begin { y = @a }", "expected '(' in invocation of macro '@a', which takes 1 parameter"},
		{"macro twice", "@define a %( 1 %) @define a %( 2 %) probe begin { y = @a }", "attempt to redefine macro '@a' in the same file"},
		{"macro in a macro", "@define a %( @define b %( 1 %) %) probe begin { y = @a }", "attempt to define a macro inside a macro"},
		{"define define", "@define define %( 1 %) probe begin { }", "attempt to redefine '@define'"},
	} {
		f := ParseFile("t.stp", []byte(c.src), Options{Privileged: true})
		if !diag.HasErrors(f.Diags) || f.Diags[0].Message != c.want {
			t.Errorf("%s: want %q, got %v", c.name, c.want, f.Diags)
		}
		if err := checkTree(f); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	dir := t.TempDir()
	if f := ParsePath(filepath.Join(dir, "no.stp"), Options{}); len(f.Diags) != 1 || !strings.HasSuffix(f.Diags[0].Message, "no.stp' is missing.") {
		t.Errorf("missing file: %v", f.Diags)
	}
	if f := ParsePath(dir, Options{}); len(f.Diags) != 1 || !strings.HasSuffix(f.Diags[0].Message, "' is a directory.") {
		t.Errorf("directory: %v", f.Diags)
	}
	script := filepath.Join(dir, "a.stp")
	if err := os.WriteFile(script, []byte("probe begin {}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if f := ParsePath(script, Options{}); len(f.Diags) != 0 || len(f.Decls) != 1 {
		t.Errorf("script: %v", f.Diags)
	}
}

// TestSeveral: one file gives several diagnostics, and what is between them is read.
func TestSeveral(t *testing.T) {
	f := ParseFile("t.stp", []byte(`global a b
function f(x { return x }
probe begin { if (a b) c(); d = ; e( }
probe end { println("ok") }
`), Options{})
	if len(f.Diags) < 4 || len(f.Decls) != 4 {
		t.Errorf("%d declarations, %d diagnostics: %v", len(f.Decls), len(f.Diags), f.Diags)
	}
	lines := map[int]bool{}
	for _, d := range f.Diags {
		lines[d.Range.Start.Line] = true
	}
	if !lines[1] || !lines[2] || !lines[3] || lines[4] {
		t.Errorf("diagnostics at %v", f.Diags)
	}
}
