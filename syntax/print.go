package syntax

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"stapkit/format"
)

// Print writes the expanded tree of a file as a script. Reading it again gives an
// equal tree (see Equal). Comments are gone, and operands that are themselves
// operations stand in parentheses. For a tree with Bad nodes the text is a best
// effort. Write errors are returned.
func Print(w io.Writer, f *File) error {
	p := &printer{}
	for _, d := range f.Decls {
		p.decl(d)
	}
	_, err := io.WriteString(w, p.b.String())
	return err
}

// ExprString writes one expression as Print does.
func ExprString(x Expr) string {
	p := &printer{}
	p.expr(x)
	return p.b.String()
}

// PointString writes one probe point as a script has it.
func PointString(pt Point) string {
	p := &printer{}
	p.point(pt)
	return p.b.String()
}

// DumpP1 writes the tree in the shape of SystemTap's -p1: globals, aliases, probes,
// functions; fully parenthesised, strings escaped twice, types of parameters left
// out.
func DumpP1(w io.Writer, files ...*File) error {
	p := &printer{p1: true}
	p.b.WriteString("# parse tree dump\n")
	for _, f := range files {
		fmt.Fprintf(&p.b, "# file %s\n", f.Name)
		for pass := range 5 {
			for _, d := range f.Decls {
				switch d := d.(type) {
				case *EmbeddedDecl:
					if pass == 0 {
						p.decl(d)
					}
				case *GlobalDecl:
					if pass == 1 {
						p.decl(d)
					}
				case *AliasDecl:
					if pass == 2 {
						p.decl(d)
					}
				case *ProbeDecl:
					if pass == 3 {
						p.decl(d)
					}
				case *FuncDecl:
					if pass == 4 {
						p.decl(d)
					}
				}
			}
		}
	}
	p.b.WriteByte('\n')
	_, err := io.WriteString(w, p.b.String())
	return err
}

type printer struct {
	b      strings.Builder
	p1     bool // SystemTap's shape
	indent int
}

func (p *printer) put(parts ...string) {
	for _, s := range parts {
		p.b.WriteString(s)
	}
}

func (p *printer) line() {
	p.b.WriteByte('\n')
	if !p.p1 {
		for range min(p.indent, 40) {
			p.b.WriteByte('\t')
		}
	}
}

func (p *printer) decl(d Decl) {
	switch d := d.(type) {
	case *GlobalDecl:
		for i, v := range d.Vars {
			if v.Name == nil {
				continue
			}
			switch {
			case p.p1:
				p.put("global ")
			case i == 0 && d.Private:
				p.put("private global ")
			case i == 0:
				p.put("global ")
			default:
				p.put(", ")
			}
			p.put(v.Name.Name)
			if v.Wrap {
				p.put("%")
			}
			if v.MaxSize > 0 {
				p.put("[", strconv.FormatInt(v.MaxSize, 10), "]")
			} else if v.Size != nil {
				p.put("[")
				p.expr(v.Size)
				p.put("]")
			}
			if v.Init != nil {
				p.put(" = ")
				p.literal(v.Init)
			}
			if p.p1 {
				p.put("\n")
			}
		}
		if !p.p1 {
			p.put(";\n")
		}
	case *FuncDecl:
		p.function(d)
	case *ProbeDecl:
		p.put("probe ")
		if p.p1 {
			p.pointList(Multiplied(d.Points), ",")
		} else {
			p.points(d.Points)
		}
		p.body(d.Body)
		p.put("\n")
	case *AliasDecl:
		p.put("probe ")
		for i, n := range d.Names {
			if i > 0 {
				p.put(" = ")
			}
			p.point(n)
		}
		p.put(" ", d.Op.String(), " ")
		if p.p1 {
			p.points(Multiplied(d.Points))
		} else {
			p.points(d.Points)
		}
		p.body(d.Body)
		if d.Epilogue != nil {
			p.put(",")
			p.body(d.Epilogue)
		}
		p.put("\n")
	case *EmbeddedDecl:
		p.code(d.Code)
		p.put("\n")
	}
}

func (p *printer) code(c *EmbeddedCode) { p.put("%{", c.Text, "%}") }

func (p *printer) body(b *Block) {
	if !p.p1 {
		p.put(" ")
	}
	if b == nil {
		p.put("{}")
		return
	}
	p.block(b)
}

func (p *printer) function(d *FuncDecl) {
	if d.Private && !p.p1 {
		p.put("private ")
	}
	p.put("function ")
	if d.Name != nil {
		p.put(d.Name.Name)
	}
	if d.Result != NoType && !p.p1 {
		p.put(":", d.Result.String())
	}
	if p.p1 {
		p.put(" ")
	}
	p.put("(")
	for i, m := range d.Params {
		if i > 0 {
			p.put(", ")
		}
		if m.Name != nil {
			p.put(m.Name.Name)
		}
		if m.Type != NoType && !p.p1 {
			p.put(":", m.Type.String())
		}
	}
	p.put(")")
	if d.Priority > 0 && !p.p1 {
		p.put(":", strconv.FormatInt(d.Priority, 10))
	}
	if p.p1 {
		p.put("\n")
	}
	switch {
	case d.Code != nil:
		if !p.p1 {
			p.put(" ")
		}
		p.code(d.Code)
	default:
		p.body(d.Body)
	}
	p.put("\n")
}

func (p *printer) points(list []Point) { p.pointList(list, ", ") }

func (p *printer) pointList(list []Point, between string) {
	for i, pt := range list {
		if i > 0 {
			p.put(between)
		}
		p.point(pt)
	}
}

// maxMultiplied bounds how many points groups are multiplied out to.
const maxMultiplied = 10000

// Multiplied is a list of points without groups: SystemTap's parser keeps none. What
// would be too long stays as it is.
func Multiplied(list []Point) []Point {
	var out []Point
	for _, pt := range list {
		pp, ok := pt.(*ProbePoint)
		if !ok {
			out = append(out, pt)
			continue
		}
		many := []*ProbePoint{{Optional: pp.Optional, Sufficient: pp.Sufficient, Cond: pp.Cond}}
		for _, c := range pp.Components {
			if c.Group == nil {
				for _, m := range many {
					m.Components = append(m.Components, c)
				}
				continue
			}
			group := Multiplied(c.Group)
			if len(many)*len(group) > maxMultiplied {
				return list
			}
			var next []*ProbePoint
			for _, m := range many {
				for _, g := range group {
					if g, ok := g.(*ProbePoint); ok {
						cond := m.Cond
						switch {
						case cond == nil:
							cond = g.Cond
						case g.Cond != nil:
							return list // SystemTap has no such points
						}
						next = append(next, &ProbePoint{
							Components: append(slices.Clip(m.Components), g.Components...),
							Optional:   m.Optional || g.Optional, Sufficient: m.Sufficient || g.Sufficient, Cond: cond,
						})
					}
				}
			}
			many = next
		}
		for _, m := range many {
			out = append(out, m)
		}
	}
	return out
}

func (p *printer) point(pt Point) {
	pp, ok := pt.(*ProbePoint)
	if !ok {
		return
	}
	for i, c := range pp.Components {
		if i > 0 {
			p.put(".")
		}
		switch {
		case c.Group != nil:
			p.put("{")
			p.points(c.Group)
			p.put("}")
		case c.Dynamic != nil:
			p.expr(c.Dynamic)
		default:
			p.put(c.Name)
		}
		if c.Arg != nil {
			p.put("(")
			p.literal(c.Arg)
			p.put(")")
		}
	}
	switch {
	case pp.Sufficient:
		p.put("!")
	case pp.Optional:
		p.put("?")
	}
	if pp.Cond != nil {
		p.put(" if (")
		p.expr(pp.Cond)
		p.put(")")
	}
}

func (p *printer) block(b *Block) {
	p.put("{")
	p.indent++
	for _, s := range b.Stmts {
		p.line()
		p.stmt(s)
		if p.p1 {
			p.put(";")
		}
	}
	p.indent--
	p.line()
	p.put("}")
}

// braced writes the block of a try statement, which SystemTap puts braces around.
func (p *printer) braced(b *Block) {
	if !p.p1 {
		p.block(b)
		return
	}
	p.put("{\n")
	p.block(b)
	p.put("\n}")
}

// end writes the semicolon of a simple statement.
func (p *printer) end() {
	if !p.p1 {
		p.put(";")
	}
}

func (p *printer) stmt(s Stmt) {
	switch s := s.(type) {
	case *Block:
		p.block(s)
	case *NullStmt:
		p.put(";")
	case *ExprStmt:
		p.expr(s.X)
		p.end()
	case *IfStmt:
		p.put("if (")
		p.expr(s.Cond)
		p.put(") ")
		p.stmt(s.Then)
		if s.Else != nil {
			if p.p1 {
				p.put("\nelse ")
			} else {
				p.put(" else ")
			}
			p.stmt(s.Else)
		}
		if p.p1 {
			p.put("\n")
		}
	case *WhileStmt:
		if p.p1 {
			p.put("for (; ")
			p.expr(s.Cond)
			p.put("; ")
		} else {
			p.put("while (")
			p.expr(s.Cond)
		}
		p.put(") ")
		p.stmt(s.Body)
	case *ForStmt:
		p.put("for (")
		p.optional(s.Init)
		p.put("; ")
		if s.Cond == nil && p.p1 {
			p.put("1")
		}
		p.optional(s.Cond)
		p.put("; ")
		p.optional(s.Post)
		p.put(") ")
		p.stmt(s.Body)
	case *ForeachStmt:
		p.foreach(s)
	case *ReturnStmt:
		p.put("return")
		if s.X != nil {
			p.put(" ")
			p.expr(s.X)
		}
		p.end()
	case *DeleteStmt:
		p.put("delete ")
		p.expr(s.X)
		p.end()
	case *BreakStmt:
		p.put("break")
		p.end()
	case *ContinueStmt:
		p.put("continue")
		p.end()
	case *NextStmt:
		p.put("next")
		p.end()
	case *TryStmt:
		p.put("try ")
		p.braced(s.Body)
		p.put(" catch ")
		if s.Var != nil {
			p.put("(", s.Var.Name, ") ")
		}
		if s.Handler != nil {
			p.braced(s.Handler)
		}
		if p.p1 {
			p.put("\n")
		}
	case nil:
		p.end()
	}
}

func (p *printer) optional(x Expr) {
	if x != nil {
		p.expr(x)
	}
}

func (p *printer) foreach(s *ForeachStmt) {
	mark := func(by int) {
		if s.SortBy != by {
			return
		}
		if s.Sort == Ascending {
			p.put("+")
		} else {
			p.put("-")
		}
	}
	p.put("foreach (")
	if s.Value != nil {
		p.put(s.Value.Name)
		if !p.p1 && s.Agg == NoStat {
			mark(SortValue)
		}
		p.put(" = ")
	}
	brackets := s.Bracketed || p.p1
	if brackets {
		p.put("[")
	}
	for i, k := range s.Keys {
		if i > 0 {
			p.put(", ")
		}
		p.put(k.Name)
		mark(i)
	}
	if brackets {
		p.put("]")
	}
	p.put(" in ")
	p.expr(s.Array)
	if s.Slice != nil {
		p.put("[")
		p.list(s.Slice)
		p.put("]")
	}
	if s.Agg != NoStat {
		p.put(" ", s.Agg.String(), " ")
	}
	if s.Agg != NoStat || s.Value == nil || p.p1 {
		mark(SortValue)
	}
	if s.Limit != nil {
		p.put(" limit ")
		p.expr(s.Limit)
	}
	p.put(") ")
	p.stmt(s.Body)
}

func (p *printer) list(list []Expr) {
	for i, x := range list {
		if i > 0 {
			p.put(", ")
		}
		p.expr(x)
	}
}

// literal writes a literal where a negative number may stand.
func (p *printer) literal(x Expr) {
	if n, ok := x.(*NumberLit); ok && n.Value < 0 && n.Value != -1<<63 {
		p.put(strconv.FormatInt(n.Value, 10))
		return
	}
	p.expr(x)
}

// escape makes the text between quotes that the lexer reads as raw.
func escape(raw string) string {
	if strings.IndexByte(raw, '"') < 0 && strings.IndexByte(raw, '\n') < 0 {
		return raw
	}
	var b strings.Builder
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '\\' && i+1 < len(raw):
			b.WriteByte(c)
			i++
			b.WriteByte(raw[i])
		case c == '"' || c == '\n':
			b.WriteByte('\\')
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func (p *printer) str(s *StringLit) {
	if p.p1 {
		p.put(`"`, format.Quote(s.Raw), `"`)
		return
	}
	p.put(`"`, escape(s.Raw), `"`)
}

// operand writes an expression in parentheses unless nothing can be misread.
func (p *printer) operand(x Expr) {
	if !p.p1 {
		switch x.(type) {
		case *NumberLit, *StringLit, *Ident, *Call, *StatOp:
			p.expr(x)
			return
		}
	}
	p.put("(")
	p.expr(x)
	p.put(")")
}

// member writes a key before "in", which binds as tightly as a comparison.
func (p *printer) member(x Expr) {
	loose := false
	switch x := x.(type) {
	case *AssignExpr, *Ternary, *Logical, *ArrayIn:
		loose = true
	case *Binary:
		loose = binaryPrec[x.Op] < precCompare
	}
	if loose && !p.p1 {
		p.operand(x)
		return
	}
	p.expr(x)
}

func (p *printer) access(a *Access) {
	for _, acc := range a.Path {
		if acc.Index != nil {
			p.put("[")
			p.expr(acc.Index)
			p.put("]")
		} else {
			p.put("->", acc.Member)
		}
	}
	if a.Pretty != NoPretty && p.p1 { // which takes it for a member
		p.put("->")
	}
	switch a.Pretty {
	case Pretty:
		p.put("$")
	case PrettyDeep:
		p.put("$$")
	}
}

func (p *printer) binary(x Expr, op Kind, y Expr) {
	p.operand(x)
	p.put(" ", op.String(), " ")
	p.operand(y)
}

func (p *printer) expr(x Expr) {
	switch x := x.(type) {
	case *NumberLit:
		if p.p1 {
			p.put(strconv.FormatInt(x.Value, 10))
		} else {
			p.put(strconv.FormatUint(uint64(x.Value), 10))
		}
	case *StringLit:
		if p.p1 { // escapes as they were written, unlike those of formats
			p.put(`"`, strings.ReplaceAll(x.Raw, `"`, `\"`), `"`)
		} else {
			p.str(x)
		}
	case *Ident:
		p.put(x.Name)
	case *TargetVar:
		p.put(x.Name)
		p.access(&x.Access)
	case *Autocast:
		p.put("(")
		p.expr(x.X)
		p.put(")")
		p.access(&x.Access)
	case *AddrOf:
		p.put("&")
		op, isOp := x.X.(*AtOp)
		_, target := x.X.(*TargetVar)
		_, member := x.X.(*Autocast)
		if target || member || p.p1 && isOp && (op.Op == AtCast || op.Op == AtVar) {
			p.expr(x.X)
		} else {
			p.put("(")
			p.expr(x.X)
			p.put(")")
		}
	case *Unary:
		p.put(x.Op.String())
		p.operand(x.X)
	case *IncDec:
		if x.Prefix {
			p.put(x.Op.String())
		}
		p.operand(x.X)
		if !x.Prefix {
			p.put(x.Op.String())
		}
	case *Binary:
		p.binary(x.X, x.Op, x.Y)
	case *Logical:
		p.binary(x.X, x.Op, x.Y)
	case *Ternary:
		then, otherwise := " ? ", " : "
		if p.p1 {
			then, otherwise = "?", ":"
		}
		p.operand(x.Cond)
		p.put(then)
		p.operand(x.Then)
		p.put(otherwise)
		p.operand(x.Else)
	case *AssignExpr:
		p.binary(x.L, x.Op, x.R)
	case *ArrayIn:
		if x.Bracketed || p.p1 {
			p.put("[")
			for i, k := range x.Keys {
				if i > 0 {
					p.put(", ")
				}
				p.member(k)
			}
			p.put("]")
		} else if len(x.Keys) == 1 {
			p.operand(x.Keys[0])
		}
		p.put(" in ")
		p.expr(x.Array)
	case *Index:
		p.expr(x.X)
		p.put("[")
		p.list(x.Keys)
		p.put("]")
	case *Star:
		p.put("*")
	case *Call:
		p.put(x.Name.Name, "(")
		p.list(x.Args)
		p.put(")")
	case *PrintExpr:
		p.print(x)
	case *StatOp:
		p.put(x.Op.String(), "(")
		p.expr(x.X)
		if x.ShiftLit != nil {
			p.put(", ")
			p.literal(x.ShiftLit)
		}
		p.put(")")
	case *HistOp:
		if x.Linear {
			p.put("@hist_linear(")
		} else {
			p.put("@hist_log(")
		}
		p.expr(x.X)
		for _, par := range x.Params {
			p.put(", ")
			p.literal(par)
		}
		p.put(")")
	case *AtOp:
		p.put(x.Op.String(), "(")
		for i, a := range x.Args {
			if i > 0 {
				p.put(", ")
			}
			p.literal(a)
		}
		p.put(")")
		p.access(&x.Access)
	case *RegexMatch:
		p.operand(x.X)
		if x.Negated {
			p.put(" !~ ")
		} else {
			p.put(" =~ ")
		}
		if x.Pattern != nil {
			p.expr(x.Pattern)
		} else {
			p.expr(x.PatternExpr)
		}
	case *EmbeddedExpr:
		p.code(x.Code)
	case *ScriptArg:
		switch {
		case x.Num == 0 && x.Quoted:
			p.put("@#")
		case x.Num == 0:
			p.put("$#")
		case x.Quoted:
			p.put("@", strconv.Itoa(x.Num))
		default:
			p.put("$", strconv.Itoa(x.Num))
		}
	case *Paren:
		p.operand(x.X)
	case *MacroCall:
		p.put("@", x.Name)
	}
}

func (p *printer) print(x *PrintExpr) {
	p.put(x.Name, "(")
	sep := ""
	switch {
	case x.FormatLit != nil:
		p.str(x.FormatLit)
		sep = ", "
	case x.Delim != nil:
		p.str(x.Delim)
		sep = ", "
	case x.Hist != nil:
		p.expr(x.Hist)
		sep = ", "
	}
	for _, a := range x.Args {
		p.put(sep)
		p.expr(a)
		sep = ", "
	}
	p.put(")")
}
