package stapfmt

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// A scripter writes random scripts: all constructs of the language, in all manners of
// white space, with comments at all places where one can stand.
type scripter struct {
	*rand.Rand
	b     strings.Builder
	depth int
	notes int  // comments so far
	calm  bool // no comments: only white space varies
	fn    bool // in a function
}

func randomScript(seed uint64, calm bool) string {
	g := &scripter{Rand: rand.New(rand.NewPCG(seed, 17)), calm: calm}
	if g.chance(5) {
		g.b.WriteString("#!/usr/bin/stap -v\n")
	}
	for range 1 + g.IntN(5) {
		g.decl()
	}
	if g.chance(3) {
		g.gap()
	}
	return g.b.String()
}

func (g *scripter) chance(n int) bool { return g.IntN(n) == 0 }

func (g *scripter) pick(s ...string) string { return s[g.IntN(len(s))] }

// gap is white space, perhaps with comments.
func (g *scripter) gap() {
	g.b.WriteString(g.pick(" ", " ", " ", " ", "\n", "\t", "  \n\n\n  ", "\n        "))
	for !g.calm && g.chance(12) {
		g.notes++
		switch g.IntN(6) {
		case 0:
			fmt.Fprintf(&g.b, "# c%d \n", g.notes)
		case 1:
			fmt.Fprintf(&g.b, "//c%d\n\n", g.notes)
		case 2:
			fmt.Fprintf(&g.b, "/* c%d\n      * more\n */", g.notes)
		case 3:
			fmt.Fprintf(&g.b, "/* c%d\n\tmore\n  less\n\n   end */\n", g.notes)
		default:
			fmt.Fprintf(&g.b, "/* c%d */", g.notes)
		}
		g.b.WriteString(g.pick("", " ", "\n", "\n\n\n"))
	}
}

// put writes tokens with gaps before them.
func (g *scripter) put(toks ...string) {
	for _, t := range toks {
		if g.chance(2) || g.b.Len() > 0 && isWord(t[0]) || t[0] != '(' && t[0] != ')' && t[0] != ',' && t[0] != ';' {
			g.gap()
		}
		g.b.WriteString(t)
	}
}

// glue writes a token right behind the last one.
func (g *scripter) glue(t string) { g.b.WriteString(t) }

func (g *scripter) name() string {
	return g.pick("a", "b", "count", "x1", "_y", "a_rather_long_name_for_a_variable", "foo$bar", "n")
}

func (g *scripter) number() string {
	return g.pick("0", "1", "42", "0x7fffffff", "017", "9223372036854775807")
}

func (g *scripter) str() string {
	return g.pick(`""`, `"a"`, `"%d %s\n"`, `"x\"y"`, `"a string that is long enough to make the line too long\n"`, `"// no comment"`, `"/*"`, `"é"`)
}

func (g *scripter) sep(n int, one func()) {
	for i := range n {
		if i > 0 {
			g.put(",")
		}
		one()
	}
}

func (g *scripter) decl() {
	g.fn = false
	switch g.IntN(16) {
	case 0, 1:
		if g.chance(4) {
			g.put("private")
			if g.chance(2) {
				g.put("global")
			}
		} else {
			g.put("global")
		}
		g.sep(1+g.IntN(4), func() {
			g.put(fmt.Sprintf("g%d", g.IntN(1000000)))
			if g.chance(6) {
				g.put("%")
			}
			switch {
			case g.chance(4):
				g.put("[", g.number(), "]")
			case g.chance(4):
				g.put("=", g.pick("1", "-1", `"s"`, `"a" "b"`))
			}
		})
		if g.chance(2) {
			g.put(";")
		}
	case 2, 3, 4:
		if g.chance(4) {
			g.put("private")
		}
		g.fn = true
		g.put("function", g.pick("f", "g", "string", "a_function_with_a_long_name"))
		if g.chance(2) {
			g.put(":", g.pick("long", "string"))
		}
		g.put("(")
		g.sep(g.IntN(6), func() {
			g.put(g.name())
			if g.chance(2) {
				g.put(":", g.pick("long", "string"))
			}
		})
		g.put(")")
		if g.chance(8) {
			g.put(":", "2")
		}
		if g.chance(6) {
			g.put(g.pick("%{ return 1; %}", "%{ /* pure */\n    STAP_RETURN(1);\n  \t%}", "%{%}"))
			return
		}
		g.block()
	case 5, 6, 7, 8:
		g.put("probe")
		g.points(true)
		g.block()
	case 9, 10:
		g.put("probe", "my")
		g.glue("." + g.pick("alias", "probe", "return"))
		op := g.pick("=", "=", "+=")
		g.put(op)
		g.points(true)
		g.block()
		if op == "=" && g.chance(4) {
			g.put(",")
			g.block()
		}
	case 11:
		g.put("%{ #include <linux/fs.h>\n%}")
	case 12:
		g.put("@define", g.pick("m", "long_macro_name"))
		params := g.IntN(3)
		if params > 0 {
			g.glue("(")
			g.sep(params, func() { g.put(g.pick("p", "q")) })
			g.put(")")
		}
		g.put("%(")
		g.fn = true
		switch g.IntN(4) {
		case 0:
			g.expr(2)
		case 1:
			g.points(false)
		case 2:
			for range g.IntN(3) {
				g.stmt()
			}
		default:
			g.put("{", "x") // fits no tree
		}
		g.put("%)")
	case 13, 14:
		g.condition()
		for range g.IntN(3) {
			g.decl()
		}
		if g.chance(2) {
			g.put("%:")
			for range g.IntN(3) {
				g.decl()
			}
		}
		g.put("%)")
	case 15:
		g.put("@prefix")
		g.b.WriteString(g.pick(" ", "\n"))
		g.decl()
	}
}

func (g *scripter) condition() {
	g.put("%(")
	for i := range 1 + g.IntN(2) {
		if i > 0 {
			g.put(g.pick("&&", "||"))
		}
		switch g.IntN(5) {
		case 0:
			g.put("kernel_v", g.pick("<", ">=", "=="), `"2.6.28"`)
		case 1:
			g.put("CONFIG_SMP", "==", `"y"`)
		case 2:
			g.put("$#", ">", "0")
		case 3:
			g.put("@macro")
		default:
			g.put(`"1"`, "!=", "@1")
		}
	}
	g.put("%?")
}

func (g *scripter) points(cond bool) {
	g.sep(1+g.IntN(4), func() {
		if cond && g.chance(12) {
			g.condition()
			g.point()
			if g.chance(2) {
				g.put("%:")
				g.point()
			}
			g.put("%)")
			return
		}
		g.point()
	})
}

func (g *scripter) point() {
	switch g.IntN(8) {
	case 0:
		g.put("begin")
	case 1:
		g.put("syscall")
		g.glue(".")
		g.glue(g.pick("*", "open", "*read*", "{open,close}", "{open, close}.return"))
	case 2:
		g.put("timer")
		g.put(".")
		g.put("s", "(", g.number(), ")")
	case 3:
		g.put("$1")
	case 4:
		g.put("@points")
	default:
		g.put("kernel", ".", "function", "(", g.str(), ")")
		if g.chance(3) {
			g.glue(".return")
		}
	}
	if g.chance(4) {
		g.put(g.pick("?", "!"))
	}
	if g.chance(10) {
		g.put("if", "(")
		g.expr(1)
		g.put(")")
	}
}

func (g *scripter) block() {
	g.put("{")
	g.depth++
	for range g.IntN(5) {
		g.stmt()
	}
	g.depth--
	g.put("}")
}

func (g *scripter) end() {
	switch g.IntN(4) {
	case 0:
		g.b.WriteString("\n")
	case 1:
		g.put(";", ";")
	case 2:
		g.put(";")
	}
}

func (g *scripter) sub() {
	switch {
	case g.chance(2):
		g.block()
	case g.chance(12):
		g.put(";")
	default:
		g.stmt()
	}
}

func (g *scripter) stmt() {
	g.depth++
	defer func() { g.depth-- }()
	n := g.IntN(24)
	if g.depth > 4 {
		n = g.IntN(8)
	}
	switch n {
	default:
		g.expr(2)
		g.end()
	case 5:
		g.put(g.pick("next", "break", "continue"))
		g.end()
	case 6:
		g.put("delete", g.name())
		g.put("[")
		g.sep(1+g.IntN(2), func() { g.expr(0) })
		g.put("]")
		g.end()
	case 7:
		if g.fn {
			g.put("return")
			if g.chance(5) {
				g.put(";")
			} else {
				g.expr(2)
				g.end()
			}
		}
	case 8, 9, 10, 11:
		g.put("if", "(")
		g.expr(2)
		g.put(")")
		g.sub()
		if g.chance(2) {
			g.put("else")
			g.sub()
		}
	case 12:
		g.put("while", "(")
		g.expr(1)
		g.put(")")
		g.sub()
	case 13:
		g.put("for", "(")
		if g.chance(2) {
			g.expr(1)
		}
		g.put(";")
		if g.chance(2) {
			g.expr(1)
		}
		g.put(";")
		if g.chance(2) {
			g.expr(1)
		}
		g.put(")")
		g.sub()
	case 14, 15:
		g.put("foreach", "(")
		sort := 0
		if g.chance(3) {
			g.put("v", "=")
		}
		if g.chance(2) {
			g.put("[")
			g.sep(1+g.IntN(3), func() { g.put(g.name()) })
			if g.chance(4) {
				g.put("+")
				sort++
			}
			g.put("]")
		} else {
			g.put("k")
		}
		g.put("in", "arr")
		if g.chance(6) {
			g.put("[", "*", ",", "1", "]")
		}
		if sort == 0 && g.chance(2) {
			if g.chance(2) {
				g.put("@count")
			}
			g.put("-")
		}
		if g.chance(3) {
			g.put("limit")
			g.expr(0)
		}
		g.put(")")
		g.sub()
	case 16:
		g.put("try")
		g.block()
		g.put("catch")
		if g.chance(2) {
			g.put("(", "msg", ")")
		}
		g.block()
	case 17, 18:
		g.condition()
		for range g.IntN(3) {
			g.stmt()
		}
		if g.chance(2) {
			g.put("%:")
			for range g.IntN(3) {
				g.stmt()
			}
		}
		g.put("%)")
	case 19:
		g.block()
	case 20:
		g.put("@stmt_macro")
		if g.chance(2) {
			g.glue("(")
			g.sep(1+g.IntN(3), func() { g.expr(1) })
			g.put(")")
		}
		g.end()
	case 21:
		g.put(";")
	}
}

func (g *scripter) expr(depth int) {
	if depth <= 0 {
		g.operand(0)
		return
	}
	switch g.IntN(12) {
	case 0, 1:
		g.put(g.name(), g.pick("=", "+=", "<<<", ".=", "%=", "<<="))
		g.expr(depth - 1)
	case 2:
		g.operand(depth - 1)
		g.put("?")
		g.expr(depth - 1)
		g.put(":")
		g.expr(depth - 1)
	case 3, 4, 5, 6:
		g.operand(depth - 1)
		op := g.pick("+", "-", "*", "/", "%", ".", "&&", "||", "&", "|", "^", "==", "<", ">>", "<<")
		for range 1 + g.IntN(4) {
			g.put(op)
			g.operand(depth - 1)
		}
	case 7:
		g.operand(depth - 1)
		g.put(g.pick("=~", "!~"), `"re"`)
	case 8:
		g.put("[")
		g.sep(1+g.IntN(2), func() { g.operand(0) })
		g.put("]", "in", "arr")
	default:
		g.operand(depth)
	}
}

func (g *scripter) operand(depth int) {
	n := g.IntN(26)
	if depth <= 0 {
		n = g.IntN(9)
	}
	switch n {
	case 0, 1:
		g.put(g.name())
	case 2:
		g.put(g.number())
	case 3:
		g.put(g.str())
		if g.chance(4) {
			g.put(g.str())
		}
	case 4:
		g.put(g.pick("$x", "$x->y", "$x$", "$$vars", "$a->b[1]->c", "$x[0]$", "$p->next"))
	case 5:
		g.put(g.pick("$1", "@1", "$#", "@const(\"X\")", "@macro", "@count(s)"))
	case 6:
		g.put(g.pick("pid()", "tid()", "execname( )"))
	case 7:
		g.put(g.name())
		g.put(g.pick("++", "--"))
	case 8:
		g.put(g.pick("-", "!", "~", "+"))
		g.operand(0)
	case 9, 10, 11, 12:
		g.put(g.pick("f", "a_function_with_a_long_name", "substr"), "(")
		g.sep(g.IntN(5), func() { g.expr(depth - 1) })
		g.put(")")
	case 13, 14:
		g.put(g.pick("printf", "sprintf"), "(", `"%d %d %d\n"`, ",")
		g.sep(3, func() { g.expr(depth - 1) })
		g.put(")")
	case 15, 16:
		g.put("arr", "[")
		g.sep(1+g.IntN(4), func() { g.expr(depth - 1) })
		g.put("]")
	case 17, 18:
		g.put("(")
		g.expr(depth - 1)
		g.put(")")
	case 19:
		g.put(`@cast(p, "task_struct")`)
		g.glue(g.pick("->pid", "->comm[1]", ""))
	case 20:
		g.put("@macro")
		g.glue("(")
		g.sep(g.IntN(4), func() { g.expr(depth - 1) })
		g.put(")")
	case 21:
		g.condition()
		g.expr(depth - 1)
		if g.chance(2) {
			g.put("%:")
			g.expr(depth - 1)
		}
		g.put("%)")
	case 22:
		g.put("f", "(", "a", ",")
		g.condition()
		g.put("b", ",")
		if g.chance(2) {
			g.put("%:")
			g.put("c", ",", "d", ",")
		}
		g.put("%)")
		g.put("e", ")")
	case 23:
		g.put("%{ /* pure */ 1 %}")
	case 24:
		g.put("print(@hist_log(s))")
	case 25:
		g.put("&", "$x->y")
	}
}
