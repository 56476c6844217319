package reference

import (
	"strconv"
	"strings"

	"stapkit/syntax"
)

// OutlineOf writes the production parser's tree of the expanded view as Outline
// does.
func OutlineOf(f *syntax.File) string {
	p := &production{f: f}
	for _, d := range f.Decls {
		p.decl(d)
		p.b.WriteByte('\n')
	}
	return p.b.String()
}

type production struct {
	outline
	f *syntax.File
}

func (p *production) name(id *syntax.Ident) func() { return p.word(id.Name) }

// literal writes a constant: strings as they stand in the source.
func (p *production) literal(x syntax.Expr) func() {
	if x == nil {
		return nil
	}
	return p.expr(x)
}

func (p *production) stringLit(x syntax.Node) {
	for i := x.First(); i <= x.Last(); i++ {
		if p.f.Tokens[i].Kind == syntax.String {
			p.b.WriteString(p.f.Text(i))
		}
	}
}

func (p *production) decl(d syntax.Decl) {
	switch d := d.(type) {
	case *syntax.GlobalDecl:
		head := "global"
		if d.Private {
			head = "private-global"
		}
		var parts []func()
		for _, v := range d.Vars {
			parts = append(parts, func() {
				p.list("var", p.name(v.Name), p.flag(v.Wrap, "%"), p.literal(v.Size), p.literal(v.Init))
			})
		}
		p.list(head, parts...)
	case *syntax.FuncDecl:
		head := "function"
		if d.Private {
			head = "private-function"
		}
		parts := []func(){p.name(d.Name), p.word(":" + d.Result.String())}
		for _, v := range d.Params {
			parts = append(parts, func() { p.list("param", p.name(v.Name), p.word(":"+v.Type.String())) })
		}
		if d.PriorityTok != 0 {
			parts = append(parts, p.word(strconv.FormatInt(d.Priority, 10)))
		}
		if d.Body != nil {
			parts = append(parts, p.stmt(d.Body))
		} else {
			parts = append(parts, p.word("code"))
		}
		p.list(head, parts...)
	case *syntax.ProbeDecl:
		p.list("probe", append(p.points(d.Points), p.stmt(d.Body))...)
	case *syntax.AliasDecl:
		var parts []func()
		for _, n := range d.Names {
			parts = append(parts, func() { p.list("name", func() { p.point(n) }, p.word(d.Op.String())) })
		}
		parts = append(append(parts, p.points(d.Points)...), p.stmt(d.Body))
		if d.Epilogue != nil {
			parts = append(parts, p.stmt(d.Epilogue))
		}
		p.list("probe", parts...)
	case *syntax.EmbeddedDecl:
		p.list("code")
	default:
		p.list("bad")
	}
}

func (p *production) points(list []syntax.Point) []func() {
	var parts []func()
	for _, pt := range list {
		parts = append(parts, func() { p.point(pt) })
	}
	return parts
}

func (p *production) point(pt syntax.Point) {
	pp, ok := pt.(*syntax.ProbePoint)
	if !ok {
		p.list("bad")
		return
	}
	var parts []func()
	for _, c := range pp.Components {
		if c.Group != nil {
			parts = append(parts, func() { p.list("group", p.points(c.Group)...) })
			continue
		}
		parts = append(parts, func() { p.list("part", p.word(c.Name), p.literal(c.Arg)) })
	}
	switch {
	case pp.Sufficient:
		parts = append(parts, p.word("!"))
	case pp.Optional:
		parts = append(parts, p.word("?"))
	}
	if pp.Cond != nil {
		parts = append(parts, func() { p.list("if", p.expr(pp.Cond)) })
	}
	p.list("point", parts...)
}

func (p *production) stmt(s syntax.Stmt) func() {
	if s == nil {
		return nil
	}
	return func() {
		switch s := s.(type) {
		case *syntax.Block:
			var parts []func()
			for _, t := range s.Stmts {
				parts = append(parts, p.stmt(t))
			}
			p.list("block", parts...)
		case *syntax.NullStmt:
			p.list("null")
		case *syntax.TryStmt:
			var v func()
			if s.Var != nil {
				v = p.name(s.Var)
			}
			p.list("try", p.stmt(s.Body), v, p.stmt(s.Handler))
		case *syntax.IfStmt:
			p.list("if", p.expr(s.Cond), p.stmt(s.Then), p.stmt(s.Else))
		case *syntax.WhileStmt:
			p.list("while", p.expr(s.Cond), p.stmt(s.Body))
		case *syntax.ForStmt:
			p.list("for", p.maybe(s.Init), p.maybe(s.Cond), p.maybe(s.Post), p.stmt(s.Body))
		case *syntax.ForeachStmt:
			p.foreach(s)
		case *syntax.ReturnStmt:
			if s.X == nil {
				p.list("return")
				return
			}
			p.list("return", p.expr(s.X))
		case *syntax.DeleteStmt:
			p.list("delete", p.expr(s.X))
		case *syntax.BreakStmt:
			p.list("break")
		case *syntax.ContinueStmt:
			p.list("continue")
		case *syntax.NextStmt:
			p.list("next")
		case *syntax.ExprStmt:
			p.list("eval", p.expr(s.X))
		default:
			p.list("bad")
		}
	}
}

func (p *production) maybe(x syntax.Expr) func() {
	if x == nil {
		return p.word("-")
	}
	return p.expr(x)
}

func (p *production) foreach(s *syntax.ForeachStmt) {
	var parts []func()
	if s.Value != nil {
		parts = append(parts, func() { p.list("value", p.name(s.Value)) })
	}
	for _, k := range s.Keys {
		parts = append(parts, p.name(k))
	}
	parts = append(parts, p.expr(s.Array))
	if s.Slice != nil {
		parts = append(parts, func() { p.list("slice", p.exprs(s.Slice)...) })
	}
	if s.Sort != syntax.Unsorted {
		by := "value"
		if s.SortBy >= 0 {
			by = s.Keys[s.SortBy].Name
		}
		dir := "+"
		if s.Sort == syntax.Descending {
			dir = "-"
		}
		agg := ""
		if s.Agg != syntax.NoStat {
			agg = s.Agg.String()
		}
		parts = append(parts, func() { p.list("sort", p.word(by), p.word(dir), p.flag(agg != "", agg)) })
	}
	if s.Limit != nil {
		parts = append(parts, func() { p.list("limit", p.expr(s.Limit)) })
	}
	p.list("foreach", append(parts, p.stmt(s.Body))...)
}

func (p *production) exprs(list []syntax.Expr) []func() {
	var parts []func()
	for _, x := range list {
		parts = append(parts, p.expr(x))
	}
	return parts
}

func (p *production) expr(x syntax.Expr) func() {
	return func() {
		switch x := x.(type) {
		case *syntax.NumberLit:
			p.b.WriteString(strconv.FormatInt(x.Value, 10))
		case *syntax.StringLit:
			p.stringLit(x)
		case *syntax.Ident:
			p.b.WriteString(x.Name)
		case *syntax.Star:
			p.b.WriteByte('*')
		case *syntax.TargetVar:
			p.access(p.word(x.Name), x.Access)
		case *syntax.Autocast:
			p.access(p.expr(x.X), x.Access)
		case *syntax.AtOp:
			p.access(func() { p.list(p.f.Text(x.First()), p.exprs(x.Args)...) }, x.Access)
		case *syntax.AddrOf:
			p.list("addr", p.expr(x.X))
		case *syntax.Unary:
			p.list("un"+x.Op.String(), p.expr(x.X))
		case *syntax.IncDec:
			if x.Prefix {
				p.list("pre"+x.Op.String(), p.expr(x.X))
			} else {
				p.list("post"+x.Op.String(), p.expr(x.X))
			}
		case *syntax.Binary:
			p.list(x.Op.String(), p.expr(x.X), p.expr(x.Y))
		case *syntax.Logical:
			p.list(x.Op.String(), p.expr(x.X), p.expr(x.Y))
		case *syntax.Ternary:
			p.list("?", p.expr(x.Cond), p.expr(x.Then), p.expr(x.Else))
		case *syntax.AssignExpr:
			p.list(x.Op.String(), p.expr(x.L), p.expr(x.R))
		case *syntax.ArrayIn:
			p.list("in", append(p.exprs(x.Keys), p.expr(x.Array))...)
		case *syntax.Index:
			p.list("get", p.expr(x.X), func() { p.list("[]", p.exprs(x.Keys)...) })
		case *syntax.Call:
			p.list("call-"+x.Name.Name, p.exprs(x.Args)...)
		case *syntax.PrintExpr:
			var args []func()
			for _, s := range []*syntax.StringLit{x.FormatLit, x.Delim} {
				if s != nil {
					args = append(args, p.expr(s))
				}
			}
			if x.Hist != nil {
				args = append(args, p.expr(x.Hist))
			}
			p.list("call-"+x.Name, append(args, p.exprs(x.Args)...)...)
		case *syntax.StatOp:
			args := []func(){p.expr(x.X)}
			if x.ShiftLit != nil {
				args = append(args, p.expr(x.ShiftLit))
			}
			p.list(x.Op.String(), args...)
		case *syntax.HistOp:
			head := "@hist_log"
			if x.Linear {
				head = "@hist_linear"
			}
			p.list(head, append([]func(){p.expr(x.X)}, p.exprs(x.Params)...)...)
		case *syntax.RegexMatch:
			op := "=~"
			if x.Negated {
				op = "!~"
			}
			p.list(op, p.expr(x.X), func() { p.stringLit(x.Pattern) })
		case *syntax.EmbeddedExpr:
			p.list("code")
		default:
			p.list("bad")
		}
	}
}

func (p *production) access(head func(), a syntax.Access) {
	if len(a.Path) == 0 && a.Pretty == syntax.NoPretty {
		head()
		return
	}
	parts := []func(){head}
	for _, s := range a.Path {
		if s.Index != nil {
			parts = append(parts, func() { p.list("[]", p.expr(s.Index)) })
		} else {
			parts = append(parts, p.word("->"+s.Member))
		}
	}
	switch a.Pretty {
	case syntax.Pretty:
		parts = append(parts, p.word("$"))
	case syntax.PrettyDeep:
		parts = append(parts, p.word("$$"))
	}
	p.list("get", parts...)
}

// splitPretty takes the pretty-print suffix off a word such as "$x$$".
func splitPretty(word string) (name, suffix string) {
	rest := strings.TrimLeft(word, "$")
	name = word[:len(word)-len(rest)] + strings.TrimRight(rest, "$")
	return name, word[len(name):]
}
