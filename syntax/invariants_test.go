package syntax

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// checkTokens fails when the tokens and gaps of a file do not make up the file.
func checkTokens(f *File) error {
	pos := 0
	for i, t := range f.Raw {
		if int(t.Off) < pos || t.End < t.Off || int(t.End) > len(f.Src) {
			return fmt.Errorf("token %d at [%d,%d) after %d", i, t.Off, t.End, pos)
		}
		gap := f.Src[pos:t.Off]
		if pos == 0 {
			gap = bytes.TrimPrefix(gap, []byte("\ufeff"))
		}
		if strings.Trim(string(gap), " \t\n\v\f\r") != "" {
			return fmt.Errorf("gap %q before token %d", gap, i)
		}
		if t.Kind != EOF && t.End == t.Off {
			return fmt.Errorf("empty token %d", i)
		}
		pos = int(t.End)
	}
	if n := len(f.Raw); n == 0 || f.Raw[n-1].Kind != EOF || pos != len(f.Src) {
		return fmt.Errorf("tokens end at %d of %d", pos, len(f.Src))
	}
	return nil
}

// checkTree fails when a node's span is outside its parent's, when the expanded view
// holds nodes of the source view, or when a place cannot be told.
func checkTree(f *File) error {
	var problem error
	fail := func(format string, args ...any) {
		if problem == nil {
			problem = fmt.Errorf(format, args...)
		}
	}
	var check func(parent, n Node)
	check = func(parent, n Node) {
		first, last := n.First(), n.Last()
		if n.File() != f {
			fail("%T belongs to another file", n)
			return
		}
		if first < 0 || first >= len(f.Tokens) || last < first-1 || last >= len(f.Tokens) {
			fail("%T spans tokens %d to %d of %d", n, first, last, len(f.Tokens))
			return
		}
		if parent != nil && last >= first && (first < parent.First() || last > parent.Last()) {
			fail("%T [%d,%d] outside of %T [%d,%d]", n, first, last, parent, parent.First(), parent.Last())
		}
		if a := n.Anchor(); last >= first && (a < first || a > last) {
			fail("%T: anchor %d outside of [%d,%d]", n, a, first, last)
		}
		if r := Range(n); !r.IsValid() || r.End.Offset < r.Start.Offset {
			fail("%T has range %v", n, r)
		}
		if f.View == Expanded {
			switch n.(type) {
			case *CondDecl, *CondStmt, *CondExpr, *CondList, *MacroDef, *MacroCall, *Verbatim, *Paren, *StringSeq, *Condition, *CondTerm:
				fail("%T in the expanded view", n)
			}
		}
		Children(n, func(c Node) { check(n, c) })
	}
	for _, d := range f.Decls {
		check(nil, d)
	}
	return problem
}

// checkReparse fails when the printed tree of a script without errors reads as
// another tree.
func checkReparse(f *File, opt Options) error {
	if len(f.Diags) > 0 || f.View != Expanded || len(f.Decls) == 0 {
		return nil
	}
	var b bytes.Buffer
	if err := Print(&b, f); err != nil {
		return err
	}
	opt.Macros = nil
	again := ParseFile(f.Name, b.Bytes(), opt)
	if len(again.Diags) > 0 {
		return fmt.Errorf("printed tree: %v\n%s", again.Diags, b.Bytes())
	}
	if !Equal(f, again) {
		return fmt.Errorf("tree changed: %s\nprinted:\n%s", firstDiff(Shape(f), Shape(again)), b.Bytes())
	}
	return nil
}

func TestInvariants(t *testing.T) {
	tapset, examples, lib := loadCorpus(t)
	for _, view := range []View{Expanded, SourceView} {
		for _, f := range append(tapset[:len(tapset):len(tapset)], examples...) {
			opt := Options{View: view, ArgsUnknown: true, Library: true, Target: hostX86, Macros: lib}
			p := ParseFile(f.Path, f.Src, opt)
			if err := checkTokens(p); err != nil {
				t.Errorf("%s: %v", f.Path, err)
			}
			if err := checkTree(p); err != nil {
				t.Errorf("%s: %v view: %v", f.Path, view, err)
			}
			if err := checkReparse(p, opt); err != nil && !f.Macro {
				t.Errorf("%s: %v", f.Path, err)
			}
		}
	}
}

// seeds are scripts that between them hold every construct.
var seeds = []string{
	"",
	"probe begin { println(\"hi\") }",
	"global a, b%[10], c = -5, d = \"x\" \"y\"; private e\nprobe end { a[1, \"k\"]++; b[1] <<< 3; delete a; delete b[*] }",
	"function f:long(x, y:string):3 { if (x > 1) return x; else return strlen(y) } private function g() %{ /* pure */ %}",
	"probe kernel.function(\"vfs_*\")?, module(\"m\").function(\"f\").return!, {a,b.c}.d(-1) if (x == 1) { next }",
	"probe p = begin { } , { } probe q += p.x = end { }",
	"probe a.b*c.** = {x, {y, z}.w}.v(1) {}",
	"probe begin { foreach ([k+, v] in a[*, 3] limit 5) print(k) foreach (v = [k] in b @sum -) continue foreach (x in @hist_log(b)) break }",
	"probe begin { for (i = 0; i < 10; i++) while (1) { try { error(\"x\") } catch (e) { println(e) } } for (;;) ; }",
	"probe begin { x = a ? b : c ? d : e; y = 1 + 2 * 3 . \"s\" << 4 & 5 ^ 6 | 7 && 8 || 9; z = !a == ~b; x <<< 1; x .= \"q\" }",
	"probe begin { if ([1, 2] in a && 3 in b && \"s\" =~ \"r.x\" && t !~ \"u\") x = [7] }",
	"probe kernel.trace(\"x\") { print($x->y[3]->z$, $$vars$, $a$$, &$b->c, @cast($p, \"struct t\", \"kernel\")->m, (f())->q[1], @var(\"v@f.c\", \"m\")$$) }",
	"probe begin { print(@hist_linear(s, 0, 10, 1)) x = @hist_log(s)[3] printf(\"%d %s %-5.3s\\n\", @count(s), @variance(s, 3), @avg(s)) printd(\",\", 1, 2) }",
	"probe begin { x = @defined($y) ? @entry($y) : @perf(\"p\") + @const(\"C\") + @enum(\"E\") + @kregister(1) + @uderef(4, 5); y = @enumname(1, \"t\") }",
	"%{ #include <x> %} probe begin { x = %{ 1 %} + 2 }",
	"@define m(a, b) %( (@a + @b) %) @define n %( 1 %) probe begin { x = @m(@n, (2, 3)) }",
	"%( kernel_v >= \"2.6\" && CONFIG_X == \"y\" || arch != \"i386\" %? probe a %: probe b %) { %( 1 == 2 %? x = 1 %: %) }",
	"probe $1.x { print(@1 $#, @#, $2 + 3) }",
	"probe begin { f(a %( $# > 1 %? , b %: , c %)) ; g(%( arch == \"x\" %? 1, 2, %) 3) }",
	"probe x { if (1) %( 1==1 %? { a() %: { b() %) } }",
	"@define q %( %( 1 == 1 %? @r %) %) probe a { @q }",
	"# c\n// d\n/* e */ probe begin /* f */ { } ",
	"probe begin { printf(“%d”, 1) } ",
	"probe begin { x = $task.pid } begin { } function (x) { global y } }",
	"probe vfs.read file:long $x:struct* { } proble end { } esle",
	"probe begin { \"unterminated } \n %{ open", "/* open", "%( 1 == 1 %? open", "@define x(", "@define x %( @x %) probe a { @x }",
	"probe begin { x = 0xZZ + 08 + 99999999999999999999 }", "\x00\xff\xfe probe begin {}", "\ufeffprobe begin {}",
	"probe a { x = a[1][2]->b; y = a[*]; print_char(65); string(5); return 1 }",
	"function string:string(long) { return \"\\x41\\101\\q\\\"\" }",
	"probe p.if.for(1) if (if) { limit = 1 }",
}
