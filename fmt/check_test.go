package stapfmt

import (
	"strings"
	"testing"

	"stapkit/diag"
)

// TestCheck: what a formatter could do wrong is found, and what it may do is not.
func TestCheck(t *testing.T) {
	tests := []struct{ name, a, b, property string }{
		{"white space", "probe begin{x=1}", "probe begin {\n\tx = 1\n}\n", ""},
		{"needless semicolons", "global g; probe begin{x=1;;y;{;};next;}", "global g probe begin{x=1 y {} next}", ""},
		{"semicolon of for", "probe begin{for(;;)x}", "probe begin{for(; ;)x}", ""},
		{"body is a semicolon", "probe begin{if(x);}", "probe begin{if(x)}", "tokens"},
		{"comment moved along", "probe begin{\n  /* a\n   * b */x}", "probe begin{/* a\n * b */ x}", ""},

		{"token lost", "probe begin{x=1}", "probe begin{x=}", "tokens"},
		{"token added", "probe begin{x}", "probe begin{x y}", "tokens"},
		{"token changed", "probe begin{x=1}", "probe begin{x=2}", "tokens"},
		{"string changed", `probe begin{x="a b"}`, `probe begin{x="a  b"}`, "tokens"},
		{"code changed", "%{ int x; %}", "%{ int  x; %}", "tokens"},
		{"tokens joined", "probe begin{x=a- -b}", "probe begin{x=a--b}", "tokens"},
		{"end lost", "probe begin{} probe end{}", "probe begin{}", "tokens"},

		{"comment lost", "probe begin{x /* a */}", "probe begin{x}", "comments"},
		{"comment added", "probe begin{x}", "probe begin{x /* a */}", "comments"},
		{"comment changed", "# a b\nglobal x", "# a  b\nglobal x", "comments"},
		{"comment line lost", "/* a\nb */global x", "/* a b */global x", "comments"},
		{"comment line added", "/* a\n*/global x", "/* a\n\n*/global x", "comments"},
		{"comment moved over a token", "probe begin{f(a /* a */, b)}", "probe begin{f(a, /* a */ b)}", "comments"},
		{"comments swapped", "/* a */ /* b */ global x", "/* b */ /* a */ global x", "comments"},
		{"comment at the end", "global x # a", "global x", "comments"},

		{"semicolon that was needed", "probe begin{x=a; -b}", "probe begin{x=a -b}", "tree"},
		{"semicolon before a call", "probe begin{f; (b)}", "probe begin{f (b)}", "tree"},
		{"semicolon behind return", "function f(){return; x}", "function f(){return x}", "tree"},
		{"glue", "probe sys*foo{}", "probe sys *foo{}", "tokens"},
		{"argument and name", "probe begin{@m (x)}", "probe begin{@m(x)}", "tree"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, b := parse("a.stp", []byte(tt.a)), parse("a.stp", []byte(tt.b))
			got := ""
			if bug := check(a, b, false); bug != nil {
				got = bug.Property
				if !strings.HasPrefix(bug.Error(), "a.stp:1:") && !strings.HasPrefix(bug.Error(), "a.stp:2:") {
					t.Errorf("no place: %v", bug)
				}
			}
			if tt.name == "glue" { // what is broken then is not the tree's to tell
				if got == "" && !diag.HasErrors(b.Diags) {
					t.Error("nothing wrong with a component torn apart")
				}
				return
			}
			if got != tt.property {
				t.Errorf("found %q, want %q", got, tt.property)
			}
		})
	}
}

// TestUnstable: a second change is described.
func TestUnstable(t *testing.T) {
	bug := unstable("a.stp", []byte("a\nb\n"), []byte("a\nc\n"))
	if got, want := bug.Error(), `a.stp:2:1: bug in stapfmt: stability: formatted line "b" becomes "c"; the file was left as it is`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if bug := unstable("a.stp", []byte("a\n"), []byte("a\nb\n")); !strings.Contains(bug.Detail, `"" becomes "b"`) {
		t.Error(bug)
	}
}
