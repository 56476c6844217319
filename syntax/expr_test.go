package syntax

import (
	"strings"
	"testing"
)

// exprOf parses "probe p { EXPR }" and prints the expression with its structure.
func exprOf(t *testing.T, src string, opt Options) (string, *File) {
	t.Helper()
	f := ParseFile("t.stp", []byte("probe p { "+src+" }"), opt)
	var parts []string
	for _, d := range f.Decls {
		if p, ok := d.(*ProbeDecl); ok && p.Body != nil {
			for _, s := range p.Body.Stmts {
				if e, ok := s.(*ExprStmt); ok {
					parts = append(parts, ExprString(e.X))
				} else {
					parts = append(parts, strings.TrimPrefix(strings.Fields(strings.SplitN(Shape(&File{Decls: []Decl{&ProbeDecl{Body: &Block{Stmts: []Stmt{s}}}}}), "Stmts: ", 2)[1])[0], "*"))
				}
			}
		}
	}
	return strings.Join(parts, "; "), f
}

func TestPrecedence(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{"a = b = c", "a = (b = c)"},
		{"a <<< b += c", "a <<< (b += c)"},
		{"a ? b : c ? d : e", "a ? b : (c ? d : e)"},
		{"x ? y : z = 3", "(x ? y : z) = 3"},
		{"x ? y = 1 : z", "x ? (y = 1) : z"},
		{"a || b && c", "a || (b && c)"},
		{"a && b | c", "a && (b | c)"},
		{"a | b ^ c & d", "a | (b ^ (c & d))"},
		{"3 & 1 == 1", "3 & (1 == 1)"},
		{"a & b in c", "a & (b in c)"},
		{"a == b in c", "(a == b) in c"},
		{"1 == 1 == 1", "(1 == 1) == 1"},
		{"a < b == c > d", "((a < b) == c) > d"},
		{"a << b < c", "(a << b) < c"},
		{"a . b << c", "(a . b) << c"},
		{`2+3 . "x"`, `(2 + 3) . "x"`},
		{"a - b - c", "(a - b) - c"},
		{"a - b * c / d % e", "a - (((b * c) / d) % e)"},
		{"-a * !b + ~c", "((-a) * (!b)) + (~c)"},
		{"- - a", "-(-a)"},
		{"-a++", "-(a++)"},
		{"++a + b--", "(++a) + (b--)"},
		{`a . b =~ "r"`, `(a . b) =~ "r"`},
		{`a =~ "r" && b`, `(a =~ "r") && b`},
		{"[a, *] in b", "[a, *] in b"},
		{"[a]", "a"},
		{"(a)", "a"},
		{"a = x\n-b", "a = (x - b)"}, // separators are optional: munch across lines
		{"foo\n(bar)", "foo(bar)"},
		{"a\n[1]", "a[1]"},
		{"x++\ny", "x++; y"},
		{"$x->y[1]->z$$", "$x->y[1]->z$$"},
		{"&$x->y + 1", "(&$x->y) + 1"},
		{"foo(1)->a", "(foo(1))->a"},
		{"($x)->a", "($x)->a"},
		{"a[1]->b[2]", "(a[1])->b[2]"},
		{"@cast(p, \"t\")->f->g", "@cast(p, \"t\")->f->g"},
		{"@hist_log(x)[3]", "@hist_log(x)[3]"},
		{"$$vars$ . $$parms$$", "($$vars$) . ($$parms$$)"},
		{`"a" "b" /* c */ "d"`, `"abd"`},
		{`"\e\q\"\n"`, `"eq\"\n"`},
		{"0x10 + 010 + 18446744073709551615", "(16 + 8) + 18446744073709551615"},
		{"print(@hist_linear(s, -1, 2, 3))", "print(@hist_linear(s, -1, 2, 3))"},
		{"a >>> b", "a >>> b"},
		{"@entry($x) + @defined($y->z)", "(@entry($x)) + (@defined($y->z))"},
		{"%{ c %} + 1", "(%{ c %}) + 1"},
		{"a[1] = b[2, \"k\"]", "(a[1]) = (b[2, \"k\"])"},
	} {
		got, f := exprOf(t, c.src, Options{Privileged: true})
		if got != c.want || len(f.Diags) > 0 {
			t.Errorf("%s: got %s, want %s; %v", c.src, got, c.want, f.Diags)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct {
		src  string // a script
		code string
		at   string // line:col
		msg  string
	}{
		{`probe p { a =~ "x" == 1 }`, "E0003", "1:20", "expected literal string or number"},
		{`probe p { a in b in c }`, "E0002", "1:18", "expected statement"},
		{`probe p { [a, b] }`, "E0004", "1:18", "unexpected comma-separated expression list"},
		{`probe p { [a = 1] in b }`, "E0004", "1:14", "expected ']'"},
		{`probe p { x = 08 }`, "E0007", "1:15", "number invalid or out of range"},
		{`probe p { x = 1_000 }`, "", "", ""}, // two statements: 1 and _000
		{`probe p { x = 18446744073709551616 }`, "E0007", "1:15", "number invalid or out of range"},
		{`probe p { if (x) {}; else y }`, "E0002", "1:22", "expected statement"},
		{`probe p { foreach (a+ in b+) c }`, "E0042", "1:27", "multiple sort directives"},
		{`probe p { foreach (a in b @sum) c }`, "E0042", "1:31", "expected sort directive"},
		{`probe p { foreach (a+ in b @sum) c }`, "E0042", "1:32", "expected sort directive"},
		{`probe p { foreach ([] in b) c }`, "E0005", "1:21", "expected identifier"},
		{`probe p { foreach ([a,] in b) c }`, "E0005", "1:23", "expected identifier"},
		{`probe p { foreach (a in 1) c }`, "E0005", "1:25", "expected identifier or statistical operation"},
		{`probe p { foreach (a, b in c) d }`, "E0042", "1:21", "expected 'in'"},
		{`probe p { @variance(s, 1, 2) }`, "E0004", "1:25", "not more than 2 parameters allowed"},
		{`probe p { @count(s, 1) }`, "E0004", "1:19", "not more than 1 parameter allowed"},
		{`probe p { @hist_log(s) + 1 }`, "E0018", "1:11", "base histogram operator where expression expected"},
		{`probe p { printd("x", 1) }`, "E0003", "1:26", "expected literal string or number"}, // behind the call, as there
		{`probe p { print }`, "E0004", "1:17", "expected '('"},
		{`probe p { sprint = 1 }`, "E0004", "1:18", "expected '('"},
		{`probe p { print(@hist_log(s), 1) }`, "E0004", "1:29", "expected ')'"},
		{`probe p { string(1) }`, "E0002", "1:11", "expected statement"},
		{`probe p { $a$[1] }`, "E0046", "1:14", "-> and [ are not accepted for a pretty-printing variable"},
		{`probe p { $a->b$$->c }`, "E0046", "1:18", "-> and [ are not accepted for a pretty-printing variable"},
		{`probe p { $a->1 }`, "E0005", "1:15", "expected identifier or keyword"},
		{`probe p { print() }`, "E0003", "1:17", "expected literal string or number"},
		{`probe p { printf("%#-10x", 1) }`, "E0019", "1:26", "invalid or missing conversion specifier"},
		{`probe p { &a }`, "", "", ""}, // elaboration refuses it
		{`probe p { @foo(1) }`, "E0017", "1:11", "unknown operator @foo"},
		{`probe p { global x }`, "E0014", "1:11", "expected statement"},
		{`probe p { %{ c %} }`, "E0039", "1:11", "embedded code in unprivileged script; need stap -g"},
		{`probe p { @const("X") }`, "E0039", "1:11", "using @const operator not permitted; need stap -g"},
		{`@define a() %( 1 %) probe p { @a }`, "E0029", "1:11", "expected identifier"},
		{`@define a(b, b) %( @b %) probe p { @a(1, 2) }`, "E0047", "1:14", "duplicate macro parameter 'b' hides the one before"},
		{`@define a(b) %( @b %) probe p { @a }`, "E0031", "1:36", "expected '(' in invocation of macro '@a', which takes 1 parameter"},
		{`@define a(b) %( @b %) probe p { @a(1, 2) }`, "E0031", "1:37", "too many parameters for macro '@a', which takes 1 parameter"},
		{`@define a(b, c) %( @b %) probe p { @a(1) }`, "E0031", "1:40", "too few parameters for macro '@a', which takes 2 parameters"},
		{`@define a(b, c) %( @b %) @define d %( @a(1) %) probe p { @d }`, "E0031", "1:43", "too few parameters for macro '@a', which takes 2 parameters"},
		{`@define a(b) %( @b %) probe p { @a(1`, "E0031", "1:33", "could not find end of macro invocation: the arguments of '@a' have no ')'"},
		{`%( guru_mode == 2 %? probe p {} %)`, "E0028", "1:14", "expected 0 or 1"},
		{`probe p { a } /* to the end`, "E0010", "1:15", "unterminated comment: the rest of the file belongs to it"},
		{`global a[0]`, "E0041", "1:10", "array size out of range"},
		{`global a[5] = 3`, "E0044", "1:13", "only scalar globals can be initialized"},
		{`global a, a`, "E0016", "1:11", "duplicate global name"},
		{`global a = b`, "E0006", "1:12", "expected literal string or number"},
		{`global if`, "E0005", "1:8", "expected identifier"},
		{`function f(a:int) {}`, "E0004", "1:14", "expected 'string' or 'long'"},
		{`function f() : 0 {}`, "E0041", "1:16", "priority must be larger than zero"},
		{`probe a? = b {}`, "E0043", "1:8", "probe point alias name cannot be optional"},
		{`probe a! = b {}`, "E0043", "1:8", "probe point alias name cannot be sufficient"},
		{`probe a += b {}, {}`, "E0043", "1:16", "an epilogue body stands only with '='"},
		{`probe a.b(c) {}`, "E0006", "1:11", "expected literal string or number"},
		{`probe {}`, "E0004", "1:7", "expected probe point specifier"},
		{`x = 1`, "E0035", "1:1", "expected 'probe', 'global', 'private', 'function', or '%{'"},
		{`probe p { break } }`, "E0001", "1:19", "expected 'probe', 'global', 'private', 'function', or '%{'"},
	} {
		f := ParseFile("t.stp", []byte(c.src), Options{})
		if c.code == "" {
			if len(f.Diags) > 0 {
				t.Errorf("%s: %v", c.src, f.Diags)
			}
			continue
		}
		if len(f.Diags) == 0 {
			t.Errorf("%s: accepted", c.src)
			continue
		}
		d := f.Diags[0]
		p := d.Range.Start
		p.File = ""
		if string(d.Code) != c.code || p.String() != c.at || d.Message != c.msg {
			t.Errorf("%s:\n got %s %s %s\nwant %s %s %s", c.src, d.Code, p, d.Message, c.code, c.at, c.msg)
		}
	}
}

// TestOneError: what follows from an error is not reported as another.
func TestOneError(t *testing.T) {
	for _, src := range []string{
		`probe p { a = (b, c) }`, `probe p { 'a' }`, `probe p { @cast(a, "t", "m", "n")->x }`, `probe p { @defined @foo }`,
		`probe p { @count s }`, `probe p { @hist_linear(s, 0, 10) }`, `probe p { @hist_log(s, 1) }`,
		`probe p { printd(",", @hist_log(s)) }`, `probe p { for (i = 0, j = 0; i < 3; i++) print(i) }`,
		`probe p { foreach x in a print(x) }`, `probe p { foreach (x in f(1)) print(x) }`, `probe p { foreach (x in (a)) ; }`,
		`probe p { @var("x", "m", "n") }`, `probe p { printf("a" . "b%d", 1) }`,
	} {
		if f := ParseFile("t.stp", []byte(src), Options{}); len(f.Diags) != 1 {
			t.Errorf("%s: %v", src, f.Diags)
		}
	}
}

func TestCompatible(t *testing.T) {
	for _, c := range []struct{ version, src string }{
		{"2.9", "private global x"},
		{"3.9", "probe p { a ? b : c = 1 }"}, // the assignment is in the last branch: fine
	} {
		f := ParseFile("t.stp", []byte(c.src), Options{Compatible: c.version})
		if (len(f.Diags) > 0) != (c.version == "2.9") {
			t.Errorf("%s with --compatible %s: %v", c.src, c.version, f.Diags)
		}
	}
	got, _ := exprOf(t, "a ? b : c = 1", Options{Compatible: "3.9"})
	if got != "a ? b : (c = 1)" {
		t.Errorf("before 4.0 the last branch is a full expression; got %s", got)
	}
}
