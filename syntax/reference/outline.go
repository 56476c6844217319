package reference

import (
	"strconv"
	"strings"
)

// Outline writes the tree as nested lists: the same text that OutlineOf makes of
// the production parser's tree of the same file.
func (f *File) Outline() string {
	o := &outline{}
	for _, d := range f.Decls {
		o.decl(d)
		o.b.WriteByte('\n')
	}
	return o.b.String()
}

type outline struct{ b strings.Builder }

// list writes "(head …)".
func (o *outline) list(head string, parts ...func()) {
	o.b.WriteByte('(')
	o.b.WriteString(head)
	for _, p := range parts {
		if p != nil {
			o.b.WriteByte(' ')
			p()
		}
	}
	o.b.WriteByte(')')
}

func (o *outline) word(s string) func() { return func() { o.b.WriteString(s) } }

// number writes a number as its value.
func number(text string, neg bool) string {
	v, err := strconv.ParseUint(text, 0, 64)
	if err != nil {
		return text
	}
	n := int64(v)
	if neg {
		n = -n
	}
	return strconv.FormatInt(n, 10)
}

func (o *outline) strings(parts []string) {
	for _, s := range parts {
		o.b.WriteString(s)
	}
}

func (o *outline) decl(d *Decl) {
	head := ""
	if d.Private {
		head = "private-"
	}
	globals, fn := d.Globals, d.Func
	if d.PGlobals != nil {
		globals = d.PGlobals
	}
	if d.PFunc != nil {
		fn = d.PFunc
	}
	switch {
	case globals != nil:
		var parts []func()
		for _, v := range globals.Vars {
			parts = append(parts, func() {
				o.list("var", o.word(v.Name), o.flag(v.Wrap, "%"), o.text(v.Size), o.literal(v.Init))
			})
		}
		o.list(head+"global", parts...)
	case fn != nil:
		parts := []func(){o.word(fn.Name), o.word(":" + fn.Type)}
		for _, p := range fn.Params {
			parts = append(parts, func() { o.list("param", o.word(p.Name), o.word(":"+p.Type)) })
		}
		parts = append(parts, o.text(fn.Priority))
		if fn.Body != nil {
			parts = append(parts, func() { o.block(fn.Body) })
		} else {
			parts = append(parts, o.word("code"))
		}
		o.list(head+"function", parts...)
	case d.Probe != nil:
		p := d.Probe
		var parts []func()
		for _, n := range p.Names {
			parts = append(parts, func() { o.list("name", func() { o.point(n.Point) }, o.word(p.Names[len(p.Names)-1].Op)) })
		}
		for _, pt := range p.Points {
			parts = append(parts, func() { o.point(pt) })
		}
		parts = append(parts, func() { o.block(p.Body) })
		if p.Epilogue != nil {
			parts = append(parts, func() { o.block(p.Epilogue) })
		}
		o.list("probe", parts...)
	default:
		o.list("code")
	}
}

func (o *outline) flag(set bool, s string) func() {
	if !set {
		return nil
	}
	return o.word(s)
}

func (o *outline) text(s *string) func() {
	if s == nil {
		return nil
	}
	return o.word(number(*s, false))
}

func (o *outline) literal(l *Literal) func() {
	if l == nil {
		return nil
	}
	return func() {
		if l.Number != nil {
			o.b.WriteString(number(*l.Number, l.Neg))
			return
		}
		o.strings(l.Strings)
	}
}

func (o *outline) point(p *Point) {
	var parts []func()
	for _, c := range p.Components {
		if c.Group != nil {
			var group []func()
			for _, g := range c.Group {
				group = append(group, func() { o.point(g) })
			}
			parts = append(parts, func() { o.list("group", group...) })
			continue
		}
		parts = append(parts, func() { o.list("part", o.word(strings.Join(c.Name, "")), o.literal(c.Arg)) })
	}
	if p.Mark != "" {
		parts = append(parts, o.word(p.Mark))
	}
	if p.Cond != nil {
		parts = append(parts, func() { o.list("if", o.expr(p.Cond)) })
	}
	o.list("point", parts...)
}

func (o *outline) block(b *Block) {
	var parts []func()
	for _, s := range b.Stmts {
		parts = append(parts, o.stmt(s))
	}
	o.list("block", parts...)
}

func (o *outline) stmt(s *Stmt) func() {
	if s == nil {
		return nil
	}
	return func() {
		switch {
		case s.Null:
			o.list("null")
		case s.Block != nil:
			o.block(s.Block)
		case s.Try != nil:
			o.list("try", func() { o.block(s.Try.Body) }, o.flag(s.Try.Var != "", s.Try.Var), func() { o.block(s.Try.Handler) })
		case s.If != nil:
			o.list("if", o.expr(s.If.Cond), o.stmt(s.If.Then), o.stmt(s.If.Else))
		case s.While != nil:
			o.list("while", o.expr(s.While.Cond), o.stmt(s.While.Body))
		case s.For != nil:
			o.list("for", o.maybe(s.For.Init), o.maybe(s.For.Cond), o.maybe(s.For.Post), o.stmt(s.For.Body))
		case s.Foreach != nil:
			o.foreach(s.Foreach)
		case s.Return != nil:
			if s.Return.X == nil {
				o.list("return")
				return
			}
			o.list("return", o.expr(s.Return.X))
		case s.Delete != nil:
			o.list("delete", o.expr(s.Delete))
		case s.Break:
			o.list("break")
		case s.Continue:
			o.list("continue")
		case s.Next:
			o.list("next")
		default:
			o.list("eval", o.expr(s.Expr))
		}
	}
}

func (o *outline) maybe(x *Expr) func() {
	if x == nil {
		return o.word("-")
	}
	return o.expr(x)
}

func (o *outline) foreach(f *Foreach) {
	var parts []func()
	sortBy, dir := "", ""
	note := func(v *SortVar) {
		if v.Sort != "" {
			sortBy, dir = v.Name, v.Sort
		}
	}
	if f.Value != nil {
		note(f.Value)
		if f.Value.Sort != "" {
			sortBy = "value"
		}
		parts = append(parts, func() { o.list("value", o.word(f.Value.Name)) })
	}
	keys := f.Keys
	if f.Key != nil {
		keys = []*SortVar{f.Key}
	}
	for _, k := range keys {
		note(k)
		parts = append(parts, o.word(k.Name))
	}
	if f.Sort != "" {
		sortBy, dir = "value", f.Sort
	}
	parts = append(parts, o.indexable(f.Array))
	if f.Slice != nil {
		var slots []func()
		for _, s := range f.Slice {
			slots = append(slots, o.slot(s))
		}
		parts = append(parts, func() { o.list("slice", slots...) })
	}
	if sortBy != "" {
		parts = append(parts, func() { o.list("sort", o.word(sortBy), o.word(dir), o.flag(f.Agg != "", f.Agg)) })
	}
	if f.Limit != nil {
		parts = append(parts, func() { o.list("limit", o.expr(f.Limit)) })
	}
	parts = append(parts, o.stmt(f.Body))
	o.list("foreach", parts...)
}

func (o *outline) indexable(x *Indexable) func() {
	return func() {
		if x.At != nil {
			o.at(x.At)
			return
		}
		o.b.WriteString(x.Name)
	}
}

func (o *outline) slot(s *Slot) func() {
	if s.Star {
		return o.word("*")
	}
	return o.expr(s.X)
}

func (o *outline) member(m *Member) func() {
	if m.Star {
		return o.word("*")
	}
	return func() { o.compare(m.X) }
}

func (o *outline) at(a *At) {
	var parts []func()
	for _, x := range a.Args {
		parts = append(parts, o.expr(x))
	}
	o.list(a.Word, parts...)
}

func (o *outline) expr(x *Expr) func() {
	if x.Op == "" {
		return o.ternary(x.L)
	}
	return func() { o.list(x.Op, o.ternary(x.L), o.expr(x.R)) }
}

func (o *outline) ternary(x *Ternary) func() {
	c := fold("||", x.Cond.X, func(a *LogAnd) func(*outline) {
		return fold("&&", a.X, func(b *BitOr) func(*outline) {
			return fold("|", b.X, func(c *BitXor) func(*outline) {
				return fold("^", c.X, func(d *BitAnd) func(*outline) {
					return fold("&", d.X, func(e *In) func(*outline) { return func(o *outline) { o.in(e) } })
				})
			})
		})
	})
	if x.Then == nil {
		return func() { c(o) }
	}
	return func() { o.list("?", func() { c(o) }, o.expr(x.Then), o.ternary(x.Else)) }
}

// fold writes a left-associative chain of one operator.
func fold[T any](op string, xs []T, one func(T) func(*outline)) func(*outline) {
	if len(xs) == 1 {
		return one(xs[0])
	}
	l, r := fold(op, xs[:len(xs)-1], one), one(xs[len(xs)-1])
	return func(o *outline) { o.list(op, func() { l(o) }, func() { r(o) }) }
}

// chain writes a left-associative chain of several operators.
func (o *outline) chain(n int, op func(int) string, x func(int)) {
	if n == 0 {
		x(0)
		return
	}
	o.list(op(n-1), func() { o.chain(n-1, op, x) }, func() { x(n) })
}

func (o *outline) in(x *In) {
	switch {
	case x.SArr != nil:
		var parts []func()
		for _, s := range x.Slots {
			parts = append(parts, o.member(s))
		}
		o.list("in", append(parts, o.indexable(x.SArr))...)
	case x.Slots != nil:
		o.member(x.Slots[0])()
	case x.Arr != nil:
		o.list("in", func() { o.compare(x.X) }, o.indexable(x.Arr))
	default:
		o.compare(x.X)
	}
}

func (o *outline) compare(x *Compare) {
	if x.Match != "" {
		o.list(x.Match, func() { o.shift(x.X) }, func() { o.strings(x.Pattern) })
		return
	}
	o.chain(len(x.Rest), func(i int) string { return x.Rest[i].Op }, func(i int) {
		if i == 0 {
			o.shift(x.X)
		} else {
			o.shift(x.Rest[i-1].X)
		}
	})
}

func (o *outline) shift(x *Shift) {
	o.chain(len(x.Rest), func(i int) string { return x.Rest[i].Op }, func(i int) {
		if i == 0 {
			o.concat(x.X)
		} else {
			o.concat(x.Rest[i-1].X)
		}
	})
}

func (o *outline) concat(x *Concat) {
	o.chain(len(x.X)-1, func(int) string { return "." }, func(i int) { o.sum(x.X[i]) })
}

func (o *outline) sum(x *Sum) {
	o.chain(len(x.Rest), func(i int) string { return x.Rest[i].Op }, func(i int) {
		if i == 0 {
			o.product(x.X)
		} else {
			o.product(x.Rest[i-1].X)
		}
	})
}

func (o *outline) product(x *Product) {
	o.chain(len(x.Rest), func(i int) string { return x.Rest[i].Op }, func(i int) {
		if i == 0 {
			o.unary(x.X)
		} else {
			o.unary(x.Rest[i-1].X)
		}
	})
}

func (o *outline) unary(x *Unary) {
	if x.Op != "" {
		o.list("un"+x.Op, func() { o.unary(x.X) })
		return
	}
	s := x.Step
	switch {
	case s.Pre != "":
		o.list("pre"+s.Pre, func() { o.postfix(s.X) })
	case s.Post != "":
		o.list("post"+s.Post, func() { o.postfix(s.X) })
	default:
		o.postfix(s.X)
	}
}

func (o *outline) postfix(x *Postfix) {
	head := func() { o.primary(x.X) }
	acc := x.Acc
	if t := x.X.Target; t != nil {
		name, pretty := splitPretty(*t)
		head = o.word(name)
		if pretty != "" {
			acc = append([]*Accessor{{Pretty: pretty}}, acc...)
		}
	}
	// a[1] is an element of an array, what follows reads through its value.
	if x.X.Name != "" && len(acc) > 1 && acc[0].Index != nil && acc[0].Pretty == "" {
		head = o.get(head, acc[:1])
		acc = acc[1:]
	}
	if len(acc) > 0 {
		head = o.get(head, acc)
	}
	if x.Addr {
		o.list("addr", head)
		return
	}
	head()
}

// get writes accessors behind a value.
func (o *outline) get(value func(), acc []*Accessor) func() {
	return func() {
		parts := []func(){value}
		for _, a := range acc {
			switch {
			case a.Member != "":
				name, pretty := splitPretty(a.Member)
				parts = append(parts, o.word("->"+name))
				if pretty != "" {
					parts = append(parts, o.word(pretty))
				}
			case a.Index == nil:
				parts = append(parts, o.word(a.Pretty))
			default:
				parts = append(parts, func() {
					var slots []func()
					for _, s := range a.Index {
						slots = append(slots, o.slot(s))
					}
					o.list("[]", slots...)
				})
				if a.Pretty != "" {
					parts = append(parts, o.word(a.Pretty))
				}
			}
		}
		o.list("get", parts...)
	}
}

func (o *outline) primary(x *Primary) {
	switch {
	case x.Number != nil:
		o.b.WriteString(number(*x.Number, false))
	case x.Strings != nil:
		o.strings(x.Strings)
	case x.Paren != nil:
		o.expr(x.Paren)()
	case x.Target != nil:
		o.b.WriteString(*x.Target)
	case x.At != nil:
		o.at(x.At)
	case x.Embedded != nil:
		o.list("code")
	case x.Call != nil:
		var parts []func()
		for _, a := range x.Call.Args {
			parts = append(parts, o.expr(a))
		}
		o.list("call-"+x.Call.Name, parts...)
	default:
		o.b.WriteString(x.Name)
	}
}
