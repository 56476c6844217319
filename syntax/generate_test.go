package syntax

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// generator writes random valid scripts that use the whole grammar.
type generator struct {
	*rand.Rand
	b      strings.Builder
	inFunc bool
	source bool // also directives
}

func (g *generator) w(parts ...string) {
	for _, s := range parts {
		switch g.IntN(12) {
		case 0:
			g.b.WriteString("  ")
		case 1:
			g.b.WriteString("\n")
		case 2:
			if g.IntN(5) == 0 {
				g.b.WriteString(" /* c */ # d\n")
				break
			}
			fallthrough
		default:
			g.b.WriteString(" ")
		}
		g.b.WriteString(s)
	}
}

func (g *generator) pick(list ...string) string { return list[g.IntN(len(list))] }

func (g *generator) name() string {
	return g.pick("a", "b", "foo", "x1", "_z", "longer_name", "a$b")
}

func (g *generator) str() {
	g.w(g.pick(`"s"`, `""`, `"a\nb"`, `"\x41\101\q\""`, `"//#%("`))
	if g.IntN(6) == 0 {
		g.str()
	}
}

func (g *generator) number() string {
	return g.pick("0", "1", "42", "0x1f", "017", "9223372036854775808", strconv.Itoa(g.IntN(1000)))
}

func (g *generator) list(n int, f func()) {
	for i := range n {
		if i > 0 {
			g.w(",")
		}
		f()
	}
}

func (g *generator) access() {
	for range g.IntN(3) {
		if g.IntN(3) > 0 {
			g.w("->", g.pick("m", "next", "in", "probe", "f_path"))
		} else {
			g.w("[")
			g.expr(1)
			g.w("]")
		}
	}
}

// member writes a key before "in": "*", or nothing that binds looser than a comparison.
func (g *generator) member(depth int) {
	if g.IntN(4) == 0 {
		g.w("*")
		return
	}
	g.w("(")
	g.expr(depth)
	g.w(")")
	if g.IntN(2) == 0 {
		g.w(g.pick("<", "==", ">>", ".", "+", "*"), g.name())
	}
}

func (g *generator) slot(depth int) {
	if g.IntN(4) == 0 {
		g.w("*")
	} else {
		g.expr(depth)
	}
}

func (g *generator) hist(depth int) {
	if g.IntN(2) == 0 {
		g.w("@hist_log", "(")
		g.expr(depth)
	} else {
		g.w("@hist_linear", "(")
		g.expr(depth)
		g.w(",", "-5", ",", g.number(), ",", "1")
	}
	g.w(")")
}

// expr writes an expression; depth bounds it.
func (g *generator) expr(depth int) {
	if depth <= 0 {
		switch g.IntN(5) {
		case 0:
			g.w(g.number())
		case 1:
			g.str()
		case 2:
			g.w(g.pick("$x", "$$vars", "$y$", "$z$$", "$$parms$"))
		default:
			g.w(g.name())
		}
		return
	}
	d := depth - 1
	switch g.IntN(26) {
	case 0:
		g.w("(")
		g.expr(d)
		g.w(")")
	case 1:
		g.expr(d)
		g.w(g.pick("=", "+=", "-=", "*=", "/=", "%=", "<<=", ">>=", "&=", "^=", "|=", ".=", "<<<"))
		g.expr(d)
	case 2:
		g.expr(d)
		g.w("?")
		g.expr(d)
		g.w(":")
		g.expr(d)
	case 3, 4, 5, 6:
		g.expr(d)
		g.w(g.pick("||", "&&", "|", "^", "&", "<", ">", "<=", ">=", "==", "!=", "<<", ">>", ">>>", ".", "+", "-", "*", "/", "%"))
		g.expr(d)
	case 7:
		g.w("((")
		g.expr(d)
		g.w(")", g.pick("=~", "!~"))
		g.str()
		g.w(")")
	case 8:
		g.w("((")
		g.expr(d)
		g.w(")", "in", g.name(), ")")
	case 9:
		g.w("([")
		g.list(1+g.IntN(3), func() { g.member(d) })
		g.w("]", "in", g.name(), ")")
	case 10:
		g.w(g.pick("+", "-", "!", "~"))
		g.expr(d)
	case 11:
		g.w(g.pick("++", "--"), g.name())
	case 12:
		g.w(g.name(), g.pick("++", "--"))
	case 13:
		g.w(g.name(), "[")
		g.list(1+g.IntN(3), func() { g.slot(d) })
		g.w("]")
	case 14:
		g.w(g.name(), "(")
		g.list(g.IntN(4), func() { g.expr(d) })
		g.w(")")
	case 15:
		g.w("$x")
		g.access()
		g.b.WriteString(g.pick("->last$", "->last$$", "->m", "[0]$"))
	case 16:
		g.w("@cast", "(")
		g.expr(d)
		g.w(",")
		g.str()
		if g.IntN(2) == 0 {
			g.w(",")
			g.str()
		}
		g.w(")")
		g.access()
	case 17:
		g.w(g.pick(`@var("v@f.c")`, `@var("v", "m")`, `@perf("p")`, `@const("C")`, `@enum("E")`, `@probewrite(v)`,
			`@kregister(1)`, `@uregister(2)`, `@kderef(4, a)`, `@uderef(8, $x)`, `@enumname(1, "t", "m")`))
	case 18:
		g.w(g.pick("@defined", "@entry"), "(")
		g.expr(d)
		g.w(")")
	case 19:
		g.w(g.pick("@count", "@sum", "@min", "@max", "@avg", "@variance"), "(")
		g.expr(d)
		g.w(")")
	case 20:
		g.w("@variance", "(")
		g.expr(d)
		g.w(",", "62", ")")
	case 21:
		g.hist(d)
		g.w("[")
		g.expr(d)
		g.w("]")
	case 22:
		g.w("&$x")
		g.access()
	case 23:
		g.w("(")
		g.expr(d)
		g.w(")", "->", "m")
		g.access()
	case 24:
		g.print(d)
	default:
		if g.source && g.IntN(2) == 0 {
			g.w("%( 1 == 1 %?")
			g.expr(d)
			g.w("%:")
			g.expr(d)
			g.w("%)")
			return
		}
		g.w("%{ c %}")
	}
}

func (g *generator) print(d int) {
	switch g.IntN(5) {
	case 0:
		g.w(g.pick("print", "sprint", "println", "sprintln"), "(")
		g.list(1+g.IntN(3), func() { g.expr(d) })
	case 1:
		g.w("print", "(")
		g.hist(d)
	case 2:
		g.w(g.pick("printd", "sprintdln"), "(")
		g.str()
		g.w(",")
		g.list(2+g.IntN(2), func() { g.expr(d) })
	case 3:
		g.w("print_char", "(")
		g.expr(d)
	default:
		g.w(g.pick("printf", "sprintf"), "(", g.pick(`"%d %s\n"`, `"x" "y"`, `"%-*.*s %#x %%"`))
		for range g.IntN(3) {
			g.w(",")
			g.expr(d)
		}
	}
	g.w(")")
}

func (g *generator) block(d int) {
	g.w("{")
	for range g.IntN(4) {
		g.stmt(d)
	}
	g.w("}")
}

func (g *generator) stmt(depth int) {
	d := depth - 1
	if depth <= 0 {
		g.expr(1)
		g.w(";")
		return
	}
	switch g.IntN(15) {
	case 0:
		g.w(";")
	case 1:
		g.block(d)
	case 2:
		g.w("if", "(")
		g.expr(2)
		g.w(")")
		g.block(d) // no statement that might swallow the "else"
		if g.IntN(2) == 0 {
			g.w("else")
			g.stmt(d)
		}
	case 3:
		g.w("while", "(")
		g.expr(2)
		g.w(")")
		g.stmt(d)
	case 4:
		g.w("for", "(")
		g.optional()
		g.w(";")
		g.optional()
		g.w(";")
		g.optional()
		g.w(")")
		g.stmt(d)
	case 5, 6:
		g.foreach(d)
	case 7:
		if g.inFunc {
			g.w("return")
			if g.IntN(2) == 0 {
				g.expr(2)
			}
		} else {
			g.w("next")
		}
		g.w(";")
	case 8:
		g.w("delete", g.name())
		if g.IntN(2) == 0 {
			g.w("[")
			g.list(1+g.IntN(2), func() { g.slot(1) })
			g.w("]")
		}
		g.w(";")
	case 9:
		g.w(g.pick("break", "continue", "next"), g.pick(";", "{ }"))
	case 10:
		g.w("try")
		g.block(d)
		g.w("catch")
		if g.IntN(2) == 0 {
			g.w("(", g.name(), ")")
		}
		g.block(d)
	default:
		if g.source && g.IntN(4) == 0 {
			g.w("%( kernel_v >= \"2.6\" && 1 != 2 %?")
			g.stmt(d)
			if g.IntN(2) == 0 {
				g.w("%:")
				g.stmt(d)
			}
			g.w("%)")
			return
		}
		g.expr(3)
		g.w(";")
	}
}

func (g *generator) optional() {
	if g.IntN(2) == 0 {
		g.expr(1)
	}
}

func (g *generator) foreach(d int) {
	g.w("foreach", "(")
	sorted := g.IntN(4) // 0 none, 1 key, 2 value before, 3 value behind
	mark := func(at int) {
		if sorted == at {
			g.w(g.pick("+", "-"))
			sorted = 9
		}
	}
	if g.IntN(2) == 0 {
		g.w(g.name())
		mark(2)
		g.w("=")
	}
	if g.IntN(2) == 0 {
		g.w("[")
		g.list(1+g.IntN(3), func() { g.w(g.name()); mark(1) })
		g.w("]")
	} else {
		g.w(g.name())
		mark(1)
	}
	g.w("in")
	if g.IntN(5) == 0 {
		g.hist(1)
	} else {
		g.w(g.name())
		if g.IntN(3) == 0 {
			g.w("[")
			g.list(1+g.IntN(2), func() { g.slot(1) })
			g.w("]")
		}
	}
	if sorted == 3 {
		if g.IntN(2) == 0 {
			g.w(g.pick("@count", "@sum", "@variance"))
		}
		mark(3)
	}
	if g.IntN(2) == 0 {
		g.w("limit")
		g.expr(1)
	}
	g.w(")")
	g.stmt(d)
}

func (g *generator) point(depth int) {
	g.list1(1+g.IntN(3), ".", func() {
		if depth > 0 && g.IntN(6) == 0 {
			g.w("{")
			g.list(1+g.IntN(2), func() { g.point(depth - 1) })
			g.w("}")
			return
		}
		g.w(g.pick("kernel", "begin", "function", "return", "sys*open", "*", "**", "a*b*"))
		if g.IntN(3) == 0 {
			g.w("(")
			if g.IntN(2) == 0 {
				g.str()
			} else {
				g.w(g.pick("-", "") + g.number())
			}
			g.w(")")
		}
	})
	g.w(g.pick("", "", "?", "!"))
	if g.IntN(6) == 0 {
		g.w("if", "(")
		g.expr(1)
		g.w(")")
	}
}

func (g *generator) list1(n int, sep string, f func()) {
	for i := range n {
		if i > 0 {
			g.w(sep)
		}
		f()
	}
}

func (g *generator) decl(n int) {
	switch g.IntN(6) {
	case 0:
		g.w(g.pick("global", "private", "private global"))
		i := 0
		g.list(1+g.IntN(3), func() {
			i++
			g.w("g" + strconv.Itoa(n) + "_" + strconv.Itoa(i))
			switch g.IntN(4) {
			case 0:
				g.w("%", "[", "10", "]")
			case 1:
				g.w("=", g.pick("-5", "7", `"s" "t"`))
			case 2:
				g.w("%")
			}
		})
		g.w(g.pick("", ";"))
	case 1, 2:
		g.inFunc = true
		g.w(g.pick("function", "private function"), g.pick(g.name(), "string"), g.pick("", ":long", ":string"), "(")
		g.list(g.IntN(3), func() { g.w(g.name(), g.pick("", ": long", ":string")) })
		g.w(")", g.pick("", ": 3"))
		if g.IntN(5) == 0 {
			g.w("%{ /* pure */ %}")
		} else {
			g.block(3)
		}
		g.inFunc = false
	case 3:
		g.w("probe", "al.ias", g.pick("", "= b.c"), "=")
		g.list(1+g.IntN(2), func() { g.point(2) })
		g.block(2)
		if g.IntN(2) == 0 {
			g.w(",")
			g.block(2)
		}
	default:
		g.w("probe")
		g.list(1+g.IntN(3), func() { g.point(2) })
		g.block(3)
	}
}

// TestGenerated parses random valid scripts: no diagnostic in either view, all
// invariants, and the printed tree reads as the same tree.
func TestGenerated(t *testing.T) {
	n := 3000
	if testing.Short() {
		n = 300
	}
	for seed := range n {
		g := &generator{Rand: rand.New(rand.NewPCG(uint64(seed), 1)), source: seed%2 == 1}
		for i := range 1 + g.IntN(3) {
			g.decl(i)
		}
		src := []byte(g.b.String())
		for _, view := range []View{Expanded, SourceView} {
			opt := Options{View: view, Privileged: true, Target: hostX86}
			f := ParseFile("gen.stp", src, opt)
			if len(f.Diags) > 0 {
				r := f.Diags[0].Range
				t.Fatalf("seed %d, %v view: %v\n%s\n%s", seed, view, f.Diags, f.Sources[0].Mapper().Line(r.Start.Line)[max(0, r.Start.Col-60):], src)
			}
			for _, err := range []error{checkTokens(f), checkTree(f), checkReparse(f, opt)} {
				if err != nil {
					t.Fatalf("seed %d, %v view: %v\n%s", seed, view, err, src)
				}
			}
		}
	}
}
