package syntax

import (
	"strings"
	"testing"
)

// expand gives the tokens of the expanded view, joined by spaces.
func expand(src string, opt Options) (string, *File) {
	f := ParseFile("t.stp", []byte(src), opt)
	var parts []string
	for i := range f.Tokens {
		if k := f.Tokens[i].Kind; k != EOF && k != Comment {
			parts = append(parts, f.Text(i))
		}
	}
	return strings.Join(parts, " "), f
}

// TestCompatibleVersion: --compatible is what systemtap_v stands for.
func TestCompatibleVersion(t *testing.T) {
	host := StaticConditions{"systemtap_v": "5.6"}
	for compatible, want := range map[string]string{"": "new", "1.4": "old", "5.6": "new"} {
		got, f := expand("probe begin { %( systemtap_v <= \"1.4\" %? old() %: new() %) }", Options{Target: host, Compatible: compatible})
		if len(f.Diags) > 0 || !strings.Contains(got, want+" ( )") {
			t.Errorf("--compatible %q: want %s, got %s; %v", compatible, want, got, f.Diags)
		}
	}
}

func TestConditions(t *testing.T) {
	host := StaticConditions{"kernel_v": "6.1.0", "kernel_vr": "6.1.0-47-amd64", "arch": "x86_64", "runtime": "kernel", "systemtap_v": "5.6",
		"systemtap_privilege": "stapdev", "guru_mode": "0", "CONFIG_A": "y", "CONFIG_N": "64", "CONFIG_M": "32"}
	for _, c := range []struct {
		cond string
		want string // "yes", "no" or an error
	}{
		{`kernel_v == "6.1.0"`, "yes"},
		{`kernel_v >= "2.6.24"`, "yes"},
		{`kernel_v < "6.10"`, "yes"},
		{`kernel_v == "6.*"`, "yes"},
		{`kernel_v != "6.[2-9]*"`, "yes"},
		{`kernel_v == "6.1.0-47-amd64"`, "no"},
		{`kernel_vr == "6.1.0-47-amd64"`, "yes"},
		{`kernel_v > "6.*"`, "wildcard not allowed with order comparison operators"},
		{`kernel_v > 6`, "expected string literal"},
		{`arch == "x86_64"`, "yes"},
		{`arch != "i?86"`, "yes"},
		{`arch < "i386"`, "expected '==' or '!='"},
		{`runtime == "bpf"`, "no"},
		{`systemtap_v >= "5.0"`, "yes"},
		{`systemtap_privilege == "stapdev"`, "yes"},
		{`guru_mode == 0`, "yes"},
		{`guru_mode == "0"`, "expected number"},
		{`CONFIG_A == "y"`, "yes"},
		{`CONFIG_A == "[ym]"`, "yes"},
		{`CONFIG_UNSET == ""`, "yes"},
		{`CONFIG_UNSET != "y"`, "yes"},
		{`CONFIG_N >= 64`, "yes"},
		{`CONFIG_N > CONFIG_M`, "yes"},
		{`CONFIG_UNSET == 0`, "no"},
		{`CONFIG_N == arch`, "expected string, number literal or other CONFIG_... as right side operand"},
		{`"a" < "b"`, "yes"},
		{`"a*" == "ab"`, "no"},
		{`10 > 9`, "yes"},
		{`0x10 == 16`, "yes"},
		{`1 == "1"`, "expected number as right value"},
		{`"1" == 1`, "expected string literal as right value"},
		{`1 == 1 || 1 == 2 && 1 == 3`, "yes"},
		{`1 == 2 && 1 == 3 || 1 == 1`, "yes"},
		{`1 == 1 && kernel_v < "2"`, "no"},
		{`1 + 1`, "expected comparison operator"},
		{`1 == 1 1`, "expected '%?' marker for conditional"},
		{`$# == 2 && @1 == "one"`, "yes"},
		{`@v == 1`, "yes"}, // a macro gives the operand
		{`@c`, "yes"},      // and the whole comparison
	} {
		src := "@define v %( 1 %) @define c %( 2 == 2 %)\nprobe begin { %( " + c.cond + " %? yes() %: no() %) }"
		got, f := expand(src, Options{Target: host, Args: []string{"one", "two"}})
		switch {
		case c.want == "yes" || c.want == "no":
			if len(f.Diags) > 0 || !strings.Contains(got, c.want+" ( )") {
				t.Errorf("%s: want %s, got %s; %v", c.cond, c.want, got, f.Diags)
			}
		case len(f.Diags) == 0 || f.Diags[0].Message != c.want:
			t.Errorf("%s: want %q, got %v", c.cond, c.want, f.Diags)
		}
	}
	// What is not known is false, both ways, and says nothing.
	for _, cond := range []string{`kernel_v == "6.1"`, `kernel_v != "6.1"`, `CONFIG_A == "y"`, `kernel_v == "1" || 1 == 2`} {
		got, f := expand("probe begin { %( "+cond+" %? yes() %: no() %) }", Options{})
		if len(f.Diags) > 0 || !strings.Contains(got, "no ( )") {
			t.Errorf("%s for an unknown target: %s; %v", cond, got, f.Diags)
		}
	}
	if got, _ := expand(`probe begin { %( kernel_v == "6.1" || 1 == 1 %? yes() %) }`, Options{}); !strings.Contains(got, "yes") {
		t.Errorf("true whatever the target: %s", got)
	}
}

func TestMacros(t *testing.T) {
	lib := &MacroSet{}
	lf := ParseMacros("lib.stpm", []byte("@define twice(x) %( @once(@x) + @once(@x) %)\n@define once(x) %( (@x) %)\n@define usesuser %( @user %)"), Options{})
	if ds := append(lf.Diags, lib.Add(lf)...); len(ds) > 0 {
		t.Fatal(ds)
	}
	for _, c := range []struct{ src, want string }{
		{"@define a %( 1 + 2 %) probe p { x = @a }", "probe p { x = 1 + 2 }"},
		{"@define a(x, y) %( @x * @y %) probe p { z = @a(f(1, 2), b[3, 4]) }", "probe p { z = f ( 1 , 2 ) * b [ 3 , 4 ] }"},
		{"@define a %( b %) probe p { @a (1) }", "probe p { b ( 1 ) }"}, // takes no arguments
		{"@define a(x) %( @x %) probe p { z = @a(@a(@a(1))) }", "probe p { z = 1 }"},
		// An argument is evaluated where it was written.
		{"@define inner(x) %( @x %) @define out(x) %( @inner(@x + @x) %) probe p { z = @out(7) }", "probe p { z = 7 + 7 }"},
		{"@define a(x) %( [@x] %) probe p { z = @a() }", "probe p { z = [ ] }"},
		{"@define a %( %( 1 == 1 %? x %: y %) %) probe p { @a }", "probe p { x }"},
		{"probe p { z = @twice(q) }", "probe p { z = ( q ) + ( q ) }"},
		{"@define twice(x) %( mine %) probe p { z = @twice(q) }", "probe p { z = mine }"}, // the file's own wins
		{"%( 1 == 2 %? @define a %( 1 %) %) @define a %( 2 %) probe p { z = @a }", "probe p { z = 2 }"},
		{"@define a %( 1 /* gone */ %) probe p { z = @a }", "probe p { z = 1 }"},
	} {
		got, f := expand(c.src, Options{Macros: lib})
		if got != c.want || len(f.Diags) > 0 && c.want != "probe p { z = [ ] }" {
			t.Errorf("%s:\n got %s\nwant %s\n%v", c.src, got, c.want, f.Diags)
		}
	}
	// Inside a library macro the user's macros are not seen.
	_, f := expand("@define user %( 1 %) probe p { x = @usesuser }", Options{Macros: lib})
	if len(f.Diags) != 1 || f.Diags[0].Message != "unknown operator @user" {
		t.Errorf("a library macro saw the user's: %v", f.Diags)
	}
	// A definition of a built-in's name warns.
	_, f = expand("@define cast(x) %( @x %) probe p { y = @cast(1) }", Options{})
	if len(f.Diags) != 1 || f.Diags[0].Code != codeShadow {
		t.Errorf("built-in redefined: %v", f.Diags)
	}
	if ds := lib.Add(ParseMacros("other.stpm", []byte("@define once %( 1 %)"), Options{})); len(ds) != 1 || ds[0].Code != codeRedefine {
		t.Errorf("library macro defined twice: %v", ds)
	}
	for _, view := range []View{Expanded, SourceView} {
		f := ParseMacros("bad.stpm", []byte("@define a %( 1 %)\nprobe begin { }"), Options{View: view})
		if len(f.Diags) != 1 || f.Diags[0].Code != codeNotMacro || f.Diags[0].Range.Start.Line != 2 {
			t.Errorf("%v view: a probe in a macro library: %v", view, f.Diags)
		}
	}
}

func TestArguments(t *testing.T) {
	for _, c := range []struct {
		src  string
		args []string
		want string
	}{
		{"probe $1 { }", []string{"vfs.read"}, "probe vfs . read { }"},
		{"probe begin { print(@1) }", []string{`say "hi"\`}, `probe begin { print ( "say \"hi\"\\" ) }`},
		{"probe begin { x = $1abc }", []string{"foo"}, "probe begin { x = fooabc }"},
		{"probe begin { x = 1 $1= 2 }", []string{"<"}, "probe begin { x = 1 <= 2 }"},
		{"probe begin { x = $1 }", []string{"1 + 2"}, "probe begin { x = 1 + 2 }"},
		{"probe begin { x = $# y = @# }", []string{"a", "b"}, `probe begin { x = 2 y = "2" }`},
		{"probe begin { x = foo$1 }", []string{"a"}, "probe begin { x = foo$1 }"}, // inside a word
		{"probe begin { $1 x = 1 \n }", []string{"#"}, "probe begin { }"},         // a comment runs on
		{"probe begin { x = $1 b\" }", []string{`"a`}, `probe begin { x = "a b" }`},
		{"probe begin { %( $# > 1 %? x = $2 %) }", []string{"1"}, "probe begin { }"}, // not missed where skipped
		{"@define m %( %( $# > 0 %? $1 %: 5 %) %) probe begin { x = @m }", nil, "probe begin { x = 5 }"},
		{"probe begin { %( $# > 0 %? x = $2 %) }", []string{"1"}, ""}, // out of range
		{"@define m %( $1 %) probe begin { x = @m }", []string{"7"}, "probe begin { x = 7 }"},
		{"probe begin { x = \"$1\" }", []string{"a"}, `probe begin { x = "$1" }`},
	} {
		got, f := expand(c.src, Options{Args: c.args})
		if c.want == "" {
			if len(f.Diags) == 0 || f.Diags[0].Code != codeArgRange {
				t.Errorf("%s: want out of range, got %v", c.src, f.Diags)
			}
			continue
		}
		if got != c.want || len(f.Diags) > 0 {
			t.Errorf("%s %q:\n got %s\nwant %s\n%v", c.src, c.args, got, c.want, f.Diags)
		}
	}
	// The value of a pasted string is the argument.
	_, f := expand("probe begin { print(@1) }", Options{Args: []string{"a\"\\\n\t\x01z"}})
	found := false
	f.Inspect(func(n Node) bool {
		if s, ok := n.(*StringLit); ok {
			found = s.Value == "a\"\\\n\t\x01z"
		}
		return true
	})
	if !found {
		t.Errorf("pasted string has another value: %s", Shape(f))
	}
	_, f = expand("probe begin { x = $1 }", Options{Args: []string{"$2", "1"}})
	if len(f.Diags) != 1 || f.Diags[0].Code != codeNestedArg || f.Diags[0].Range.Start.Col != 19 {
		t.Errorf("nested argument: %v", f.Diags)
	}
	_, f = expand("probe $1.return { if ($2) print(@3, $#) foo($4(1)) }", Options{ArgsUnknown: true})
	if len(f.Diags) > 0 {
		t.Errorf("unknown arguments: %v", f.Diags)
	}
	a := ParseFile("a.stp", []byte("probe begin { x = $1 }"), Options{Args: []string{"1", "2", "3"}})
	b := ParseFile("b.stp", []byte("probe begin { x = @3 }"), Options{Args: []string{"1", "2", "3"}})
	ds := UnusedArgs([]string{"1", "2", "3"}, a, b)
	if len(ds) != 1 || ds[0].Message != "unused command line option $2/@2" {
		t.Errorf("unused: %v", ds)
	}
}

// TestOrigins: what comes from a macro or an argument is placed where it was written,
// with the uses behind it.
func TestOrigins(t *testing.T) {
	lib := &MacroSet{}
	lib.Add(ParseMacros("lib.stpm", []byte("@define bad(x) %(\n\t1 + ) @x\n%)"), Options{}))
	src := "@define outer(y) %( @bad(@y) %)\nprobe begin {\n\tx = @outer(z)\n}\n"
	f := ParseFile("t.stp", []byte(src), Options{Macros: lib})
	if len(f.Diags) == 0 {
		t.Fatal("no diagnostic")
	}
	d := f.Diags[0]
	if got := d.Range.Start.String(); got != "lib.stpm:2:6" {
		t.Errorf("at %s, want lib.stpm:2:6", got)
	}
	var via []string
	for _, r := range d.Related {
		via = append(via, r.Range.Start.String()+" "+r.Message)
	}
	want := "t.stp:1:21 in expansion of macro '@bad'; t.stp:3:6 in expansion of macro '@outer'"
	if got := strings.Join(via, "; "); got != want {
		t.Errorf("through %s\n   want %s", got, want)
	}
	f = ParseFile("t.stp", []byte("@define m(a) %( (@a + b) %)\nprobe begin {\n\tx = @m(q) * 2\n\ty = $1 + $1\n}\n"), Options{Args: []string{"foo(7)"}})
	if len(f.Diags) > 0 {
		t.Fatal(f.Diags)
	}
	var got []string
	f.Inspect(func(n Node) bool {
		switch n := n.(type) {
		case *AssignExpr, *Binary, *Ident, *Call:
			got = append(got, ExprString(n.(Expr))+" "+Pos(n).String()+"-"+End(n).String())
		}
		return true
	})
	wantPlaces := []string{
		"x = ((q + b) * 2) t.stp:3:2-t.stp:3:15",
		"x t.stp:3:2-t.stp:3:3",
		"(q + b) * 2 t.stp:3:6-t.stp:3:15", // from the use of the macro
		"q + b t.stp:3:6-t.stp:3:11",       // begins in an argument, ends in the body: the whole use
		"q t.stp:3:9-t.stp:3:10",
		"b t.stp:1:23-t.stp:1:24",
		"y = (foo(7) + foo(7)) t.stp:4:2-t.stp:4:13",
		"y t.stp:4:2-t.stp:4:3",
		"foo(7) + foo(7) t.stp:4:6-t.stp:4:13",
		"foo(7) t.stp:4:6-t.stp:4:8",
		"foo(7) t.stp:4:11-t.stp:4:13",
	}
	for i := range max(len(got), len(wantPlaces)) {
		g, w := "", ""
		if i < len(got) {
			g = got[i]
		}
		if i < len(wantPlaces) {
			w = wantPlaces[i]
		}
		if g != w {
			t.Errorf("got  %s\nwant %s", g, w)
		}
	}
}

func TestCompareVersions(t *testing.T) {
	ordered := []string{"2", "2.6", "2.6.9", "2.6.10", "2.6.10-rc1", "2.6.24", "3.0", "3.10", "5.6", "6.1.0", "6.1.0-47-amd64", "6.10"}
	for i, a := range ordered {
		for j, b := range ordered {
			got := CompareVersions(a, b)
			if (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("CompareVersions(%q, %q) = %d", a, b, got)
			}
		}
	}
	// As the C library orders fractions and leading zeros.
	for _, c := range [][2]string{{"000", "00"}, {"00", "01"}, {"01", "010"}, {"010", "09"}, {"09", "0"}, {"0", "1"}, {"1", "9"}, {"9", "10"}} {
		if CompareVersions(c[0], c[1]) >= 0 || CompareVersions(c[1], c[0]) <= 0 {
			t.Errorf("%q should come before %q", c[0], c[1])
		}
	}
}

func TestMatchGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true}, {"*", "", true}, {"*", "abc", true}, {"a*c", "abbc", true}, {"a*c", "abb", false}, {"?", "a", true}, {"?", "", false},
		{"[a-c]x", "bx", true}, {"[!a-c]x", "bx", false}, {"[^a-c]x", "dx", true}, {"[]]", "]", true}, {"[a", "[a", true},
		{"i?86", "i686", true}, {"*.*.*", "2.6.1", true}, {"\\*", "\\x", true}, {"**", "x", true}, {"a*b*c", "aXbYc", true}, {"[a-]", "-", true},
	} {
		if got := MatchGlob(c.pattern, c.s); got != c.want {
			t.Errorf("MatchGlob(%q, %q) = %v", c.pattern, c.s, got)
		}
	}
}
