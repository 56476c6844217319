package irgen

import "stapkit/ir"

// Shrink makes p smaller as long as it stays well-formed and fails holds for
// it: it drops statements, replaces statements by what is in them, and
// expressions by operands or constants. p itself is not changed. At most tries
// programs are tried.
func Shrink(p *ir.Program, tries int, fails func(*ir.Program) bool) *ir.Program {
	for again := true; again; {
		again = false
		for n := 0; tries > 0; n++ {
			q := clone(p)
			m := mutation{at: n}
			m.program(q)
			if !m.done {
				break
			}
			if m.same {
				continue
			}
			if ir.Check(q) != nil {
				continue
			}
			tries--
			if fails(q) {
				p, again = q, true
				n-- // what stands here now is something else
			}
		}
	}
	return p
}

func clone(p *ir.Program) *ir.Program {
	q := *p
	q.Handlers = nil
	for _, h := range p.Handlers {
		c := *h
		c.Body, c.Cond = ir.CloneStmts(h.Body), ir.CloneExpr(h.Cond)
		q.Handlers = append(q.Handlers, &c)
	}
	q.Funcs = nil
	for _, f := range p.Funcs {
		c := *f
		c.Body = ir.CloneStmts(f.Body)
		q.Funcs = append(q.Funcs, &c)
	}
	return &q
}

// mutation does the at-th of all small changes.
type mutation struct {
	at   int
	done bool
	same bool // the change would change nothing
}

// hit counts a place for a change and tells whether it is the one.
func (m *mutation) hit() bool {
	if m.done {
		return false
	}
	m.at--
	m.done = m.at < 0
	return m.done
}

func (m *mutation) program(p *ir.Program) {
	for _, h := range p.Handlers {
		if h.Cond != nil && m.hit() {
			h.Cond = nil
		}
		m.list(&h.Body)
		if h.Cond != nil {
			m.expr(&h.Cond)
		}
	}
	for _, f := range p.Funcs {
		m.list(&f.Body)
	}
}

func (m *mutation) list(list *[]ir.Stmt) {
	for i := 0; i < len(*list) && !m.done; i++ {
		s := (*list)[i]
		if m.hit() {
			*list = append((*list)[:i:i], (*list)[i+1:]...)
			return
		}
		ir.Bodies(s, func(b *[]ir.Stmt) {
			if m.hit() { // the inside in place of the whole
				*list = append(append((*list)[:i:i], *b...), (*list)[i+1:]...)
			}
		})
		ir.StmtExprs(s, func(x *ir.Expr) {
			if seq, ok := (*x).(*ir.Seq); ok && m.hit() { // and that of an expression
				*list = append(append((*list)[:i:i], seq.Body...), (*list)[i+1:]...)
			}
		})
		if m.done {
			return
		}
		ir.StmtExprs(s, m.expr)
		ir.Bodies(s, m.list)
	}
}

func (m *mutation) expr(x *ir.Expr) {
	if m.done {
		return
	}
	old := *x
	t := old.Type()
	if m.hit() {
		switch c := old.(type) {
		case *ir.IntConst:
			m.same = c.V == 0
			*x = &ir.IntConst{}
		case *ir.StrConst:
			m.same = c.S == ""
			*x = &ir.StrConst{}
		default:
			switch t.Kind {
			case ir.Int:
				*x = &ir.IntConst{V: 1}
			case ir.Str:
				*x = &ir.StrConst{S: "a"}
			default:
				m.same = true
			}
		}
		return
	}
	ir.Children(old, func(c *ir.Expr) {
		if m.done {
			return
		}
		if (*c).Type().Kind == t.Kind && m.hit() {
			*x = *c
			return
		}
		m.expr(c)
	})
	switch old := old.(type) {
	case *ir.Seq:
		m.list(&old.Body)
	case *ir.Region:
		m.list(&old.Body)
	}
}
