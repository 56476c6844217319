package plan

import (
	"stapkit/format"
	"stapkit/ir"
)

// eager makes ordinary strings of deferred text in code of the loader, which has
// the text at once: only the kernel's handlers must leave it to others. Text that
// is a key or value of a global stays what it is, as a handler of the kernel may
// have put it there too. Functions that both call are copied.
func (pl *planner) eager() {
	p := pl.p
	makes := make([]bool, len(p.Funcs))
	for i, f := range p.Funcs {
		ir.Walk(f.Body, nil, func(x ir.Expr) {
			if _, ok := x.(*ir.MakeText); ok {
				makes[i] = true
			}
		})
	}
	for changed := true; changed; {
		changed = false
		for i, f := range p.Funcs {
			ir.Walk(f.Body, nil, func(x ir.Expr) {
				if c, ok := x.(*ir.Call); ok && !makes[i] {
					for _, g := range c.Chain {
						makes[i] = makes[i] || makes[g]
					}
					changed = changed || makes[i]
				}
			})
		}
	}
	loader, kernel := pl.reached(false), pl.reached(true)
	copies := map[int]int{}
	for i := range makes {
		if makes[i] && loader[i] && kernel[i] {
			n := *p.Funcs[i]
			n.Body = ir.CloneStmts(n.Body)
			n.Locals = append([]ir.Type(nil), n.Locals...)
			copies[i] = len(p.Funcs)
			p.Funcs = append(p.Funcs, &n)
			pl.funcs = append(pl.funcs, pl.funcs[i])
		}
	}
	e := &eagerness{pl: pl, copies: copies}
	for _, h := range p.Handlers {
		if !h.Kernel {
			e.list(h.Body)
			if h.Cond != nil {
				h.Cond = e.expr(h.Cond, false)
			}
		}
	}
	for i, f := range p.Funcs {
		if i >= len(makes) || loader[i] && !kernel[i] {
			e.list(f.Body)
		}
	}
}

// reached tells which functions the handlers of the kernel, or of the loader, call.
func (pl *planner) reached(kernel bool) map[int]bool {
	seen := map[int]bool{}
	var expr func(ir.Expr)
	expr = func(x ir.Expr) {
		if c, ok := x.(*ir.Call); ok {
			for _, f := range c.Chain {
				if !seen[f] {
					seen[f] = true
					ir.Walk(pl.p.Funcs[f].Body, nil, expr)
				}
			}
		}
	}
	for _, h := range pl.p.Handlers {
		if h.Kernel == kernel {
			h.Walk(nil, expr)
		}
	}
	return seen
}

type eagerness struct {
	pl     *planner
	copies map[int]int
}

func (e *eagerness) list(list []ir.Stmt) {
	for _, s := range list {
		switch s := s.(type) {
		case *ir.Foreach:
			e.keys(s.Slice)
			if s.Limit != nil {
				s.Limit = e.expr(s.Limit, false)
			}
		case *ir.Delete:
			e.keys(s.L.Keys)
		case *ir.Print:
			// Printing makes the text anyhow.
			e.keys(s.Args)
		default:
			ir.StmtExprs(s, func(x *ir.Expr) { *x = e.expr(*x, false) })
		}
		ir.Bodies(s, func(b *[]ir.Stmt) { e.list(*b) })
	}
}

// keys rewrites expressions that may be deferred text.
func (e *eagerness) keys(list []ir.Expr) {
	for i, x := range list {
		if x != nil {
			list[i] = e.expr(x, true)
		}
	}
}

// expr rewrites x; stays: it may be deferred text.
func (e *eagerness) expr(x ir.Expr, stays bool) ir.Expr {
	switch y := x.(type) {
	case *ir.MakeText:
		ir.Children(y, func(c *ir.Expr) { *c = e.expr(*c, false) })
		if stays || y.Kind == ir.TextFormat {
			return y
		}
		return e.pl.plain(y, y.Site)
	case *ir.IndexGet:
		e.keys(y.Keys)
		return y
	case *ir.IndexIn:
		e.keys(y.Keys)
		return y
	case *ir.Update:
		e.keys(y.L.Keys)
		y.R = e.expr(y.R, y.L.Global)
		return y
	case *ir.StatAdd:
		e.keys(y.L.Keys)
		y.V = e.expr(y.V, false)
		return y
	case *ir.StatGet:
		e.keys(y.L.Keys)
		return y
	case *ir.HistGet:
		e.keys(y.L.Keys)
		y.Bucket = e.expr(y.Bucket, false)
		return y
	case *ir.Cond:
		y.C, y.X, y.Y = e.expr(y.C, false), e.expr(y.X, stays), e.expr(y.Y, stays)
		return y
	case *ir.Seq:
		e.list(y.Body)
		y.R = e.expr(y.R, stays)
		return y
	case *ir.Intrinsic:
		for i := range y.Args {
			y.Args[i] = e.expr(y.Args[i], ir.Intrinsics[y.ID].Args[i] == ir.Deferred)
		}
		return y
	case *ir.Region:
		// Its program is the kernel's: what it does with text was judged before.
		return y
	case *ir.Call:
		for i, f := range y.Chain {
			if c, ok := e.copies[f]; ok {
				y.Chain[i] = c
			}
		}
	}
	ir.Children(x, func(c *ir.Expr) { *c = e.expr(*c, false) })
	return x
}

// plain is the text of x as an ordinary string.
func (pl *planner) plain(x ir.Expr, site int) ir.Expr {
	if pl.plainFormat == 0 {
		f, err := format.Parse("%s")
		if err != nil {
			panic(err)
		}
		pl.p.Formats = append(pl.p.Formats, ir.Format{Text: "%s", Parsed: f})
		pl.plainFormat = len(pl.p.Formats)
	}
	return &ir.Sprintf{Format: pl.plainFormat - 1, Args: []ir.Expr{x}, T: ir.Type{Kind: ir.Str}, Site: site}
}
