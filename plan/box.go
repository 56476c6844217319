package plan

import (
	"strings"

	"stapkit/format"
	"stapkit/ir"
)

// Where deferred text of several kinds, or deferred and ordinary text, get into one
// variable, or where a kernel handler puts them together, the variable is a box: text of
// the kind ir.TextFormat, which says how the loader makes it of what it holds.

// maxBox is the widest box, in bytes: what is made of itself, with more each time, ends
// there.
const maxBox = 1 << 14

func isBox(t ir.Type) bool { return t.Kind == ir.Deferred && t.Text == ir.TextFormat }

// isEmpty reports whether x is "".
func isEmpty(x ir.Expr) bool {
	c, ok := x.(*ir.StrConst)
	return ok && c.S == ""
}

// boxWidth is how wide a box of a value of this type is.
func boxWidth(t ir.Type) int {
	if isBox(t) {
		return t.Width
	}
	return 16 + (t.Width+7)&^7
}

// mix makes v a box for what it holds and for values of type t.
func (w *widener) mix(v *ir.Type, t ir.Type, site int) {
	n := max(boxWidth(*v), boxWidth(t))
	if n > maxBox {
		w.mixed(site)
		return
	}
	if !isBox(*v) || v.Width < n {
		*v = ir.Type{Kind: ir.Deferred, Text: ir.TextFormat, Width: n}
		w.changed = true
	}
}

// put widens variable v so that it holds *x, and makes of *x what v holds.
func (w *widener) put(v *ir.Type, x *ir.Expr, site int) {
	t := (*x).Type()
	if t.Kind != ir.Str && t.Kind != ir.Deferred {
		return
	}
	switch {
	case !isEmpty(*x):
		w.join(v, t, site)
	case v.Kind == ir.Str && v.Width < t.Width:
		v.Width, w.changed = t.Width, true
	case v.Kind == ir.Deferred && !isBox(*v):
		w.mix(v, t, site)
	}
	if isBox(*v) {
		w.box(x, site)
	}
}

// box makes a box of text that is none.
func (w *widener) box(x *ir.Expr, site int) {
	t := (*x).Type()
	if isBox(t) {
		return
	}
	m := &ir.MakeText{Kind: ir.TextFormat, T: lazyType(), Site: site}
	switch {
	case isEmpty(*x):
		m.Tag = ir.LazyNone
	case t.Kind == ir.Str:
		m.Tag, m.Args = ir.LazyPlain, []ir.Expr{*x}
	default:
		m.Tag, m.Format, m.Args = ir.LazyFormat, w.format("%s"), []ir.Expr{*x}
	}
	m.T.Width = ir.LazyWidth(m.Args)
	*x = m
}

// common is the type of a value that is one of two. Boxes are made of them where they
// are of different kinds.
func (w *widener) common(a, b *ir.Expr) ir.Type {
	x, y := (*a).Type(), (*b).Type()
	if x.Kind == ir.Str && y.Kind == ir.Str || x.Kind == y.Kind && x.Text == y.Text {
		if y.Width > x.Width {
			return y
		}
		return x
	}
	w.box(a, 0)
	w.box(b, 0)
	return w.common(a, b)
}

// sub computes the type of an operand. In a kernel handler, text that is put together of
// deferred text is left to the loader.
func (w *widener) sub(x *ir.Expr) {
	w.expr(*x)
	w.unbox(x)
	if !w.kernel {
		return
	}
	switch y := (*x).(type) {
	case *ir.Binary:
		if y.Op == ir.OpConcat && (y.X.Type().Kind == ir.Deferred || y.Y.Type().Kind == ir.Deferred) {
			*x = w.together(y)
		}
	case *ir.Sprintf:
		for _, a := range y.Args {
			if a.Type().Kind == ir.Deferred {
				m := &ir.MakeText{Kind: ir.TextFormat, Tag: ir.LazyFormat, Format: y.Format, Args: y.Args, T: lazyType(), Site: y.Site}
				m.T.Width = ir.LazyWidth(m.Args)
				*x = m
				break
			}
		}
	}
}

// unbox makes of a box for plain text, whose text has turned out since to be deferred, what
// a box for that is.
func (w *widener) unbox(x *ir.Expr) {
	m, ok := (*x).(*ir.MakeText)
	if !ok || m.Kind != ir.TextFormat || m.Tag != ir.LazyPlain || len(m.Args) != 1 || m.Args[0].Type().Kind != ir.Deferred {
		return
	}
	*x = m.Args[0]
	w.box(x, m.Site)
}

// together is the deferred form of texts that are put together.
func (w *widener) together(b *ir.Binary) *ir.MakeText {
	m := &ir.MakeText{Kind: ir.TextFormat, Tag: ir.LazyFormat, T: lazyType(), Site: b.Site}
	var text strings.Builder
	var add func(ir.Expr)
	add = func(x ir.Expr) {
		switch y := x.(type) {
		case *ir.Binary:
			if y.Op == ir.OpConcat {
				add(y.X)
				add(y.Y)
				return
			}
		case *ir.StrConst:
			if !strings.ContainsFunc(y.S, func(r rune) bool { return r < ' ' || r > '~' || r == '\\' || r == '%' || r == '"' }) {
				text.WriteString(y.S)
				return
			}
		case *ir.MakeText:
			// Made of such a text in an earlier round, or an operand of this one.
			if f := w.p.Formats; y.Kind == ir.TextFormat && y.Tag == ir.LazyFormat && y.Head == nil && w.made[y.Format] {
				text.WriteString(f[y.Format].Text)
				m.Args = append(m.Args, y.Args...)
				return
			}
		}
		text.WriteString("%s")
		m.Args = append(m.Args, x)
	}
	add(b)
	m.Format = w.format(text.String())
	m.T.Width = ir.LazyWidth(m.Args)
	return m
}

// format is the index of a format that the planner makes.
func (w *widener) format(text string) int {
	if w.made == nil {
		w.made = map[int]bool{}
	}
	for i := range w.made {
		if w.p.Formats[i].Text == text {
			return i
		}
	}
	f, err := format.Parse(text)
	if err != nil {
		panic(err)
	}
	n := len(w.p.Formats)
	w.p.Formats = append(w.p.Formats, ir.Format{Text: text, Parsed: f})
	w.made[n] = true
	return n
}

// splitLoops gives each loop over an array variables of its own where text gets into
// those of the script elsewhere, too: it may be of another kind there.
func (w *widener) splitLoops() {
	for _, f := range w.p.Funcs {
		f.Locals = splitLoops(f.Body, f.Locals)
	}
	for _, h := range w.p.Handlers {
		h.Locals = splitLoops(h.Body, h.Locals)
	}
}

func splitLoops(body []ir.Stmt, locals []ir.Type) []ir.Type {
	sets := map[int]int{}
	var loops []*ir.Foreach
	ir.Walk(body, func(s ir.Stmt) {
		switch s := s.(type) {
		case *ir.Foreach:
			loops = append(loops, s)
			for _, k := range append([]int{s.Value}, s.Keys...) {
				sets[k]++
			}
		case *ir.Try:
			sets[s.Var]++
		}
	}, func(x ir.Expr) {
		if u, ok := x.(*ir.Update); ok && !u.L.Global {
			sets[u.L.ID]++
		}
	})
	for _, s := range loops {
		own := func(k *int) {
			if *k < 0 || locals[*k].Kind != ir.Str || sets[*k] < 2 {
				return
			}
			id := len(locals)
			locals = append(locals[:id:id], ir.Type{Kind: ir.Str})
			set := &ir.Update{Op: ir.OpSet, L: ir.LValue{ID: *k, T: locals[*k]}, R: &ir.Local{ID: id, T: locals[id]}, Site: s.Site}
			s.Body = append([]ir.Stmt{&ir.Eval{X: set}}, s.Body...)
			*k = id
		}
		for i := range s.Keys {
			own(&s.Keys[i])
		}
		own(&s.Value)
	}
	return locals
}
