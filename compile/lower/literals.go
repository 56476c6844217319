package lower

import (
	"fmt"

	"stapkit/ir"
)

// literals gives library functions that are called with literals a copy for these, in
// which what only depends on them is decided: register("rdx") need not compare names at
// each hit, and of user_string_n(a, 63) the width is known.
//
// Programs of many handlers are left as they are: alike handlers become one, with what
// differs in tables, and copies of functions would keep them apart.
type literals struct {
	p    *ir.Program
	memo map[string]int // copies, by function and literals
	sets map[int]map[int]bool
}

const (
	mostHandlers = 16  // of programs in which copies are made
	mostCopies   = 100 // of a program
	longLiteral  = 64  // bytes of texts that copies are made for
)

func specialise(p *ir.Program) {
	kernel := 0
	for _, h := range p.Handlers {
		if h.Kernel {
			kernel++
		}
	}
	if kernel == 0 || kernel > mostHandlers {
		return
	}
	s := &literals{p: p, memo: map[string]int{}, sets: map[int]map[int]bool{}}
	for _, h := range p.Handlers {
		if h.Kernel {
			s.expr(&h.Cond)
			s.stmts(h.Body)
			s.expr(&h.Result)
		}
	}
}

// stmts looks at everything below a list of statements.
func (s *literals) stmts(list []ir.Stmt) {
	for _, st := range list {
		ir.StmtExprs(st, s.expr)
		ir.Bodies(st, func(b *[]ir.Stmt) { s.stmts(*b) })
	}
}

func (s *literals) expr(x *ir.Expr) {
	if *x == nil {
		return
	}
	switch e := (*x).(type) {
	case *ir.Seq:
		s.stmts(e.Body)
	case *ir.Region:
		s.stmts(e.Body)
	}
	ir.Children(*x, s.expr)
	if c, ok := (*x).(*ir.Call); ok {
		s.call(c)
	}
}

func isLiteral(x ir.Expr) bool {
	switch x := x.(type) {
	case *ir.IntConst:
		return true
	case *ir.StrConst:
		return len(x.S) < longLiteral
	}
	return false
}

// call has a call go to the copy for its literals.
func (s *literals) call(c *ir.Call) {
	if len(c.Chain) != 1 {
		return
	}
	id := c.Chain[0]
	f := s.p.Funcs[id]
	if !f.Library || f.Recursive {
		return
	}
	known := map[int]ir.Expr{}
	key := fmt.Sprint(id)
	for i, a := range c.Args {
		if i < f.Params && isLiteral(a) && !s.assigned(id)[i] && fits(a, f.Locals[i]) {
			known[i] = a
			switch a := a.(type) {
			case *ir.IntConst:
				key += fmt.Sprintf(" %d=%d", i, a.V)
			case *ir.StrConst:
				key += fmt.Sprintf(" %d=%q", i, a.S)
			}
		}
	}
	if len(known) == 0 {
		return
	}
	to, ok := s.memo[key]
	if !ok {
		if len(s.memo) >= mostCopies {
			return
		}
		copied := *f
		copied.Locals = append([]ir.Type(nil), f.Locals...)
		copied.Body = ir.CloneStmts(f.Body)
		substitute(copied.Body, known)
		ir.Folder{Limit: s.p.Limits.MaxStringLen}.Stmts(&copied.Body)
		to = len(s.p.Funcs)
		s.memo[key] = to
		s.p.Funcs = append(s.p.Funcs, &copied)
		s.stmts(copied.Body)
	}
	c.Chain = []int{to}
	for i, a := range known {
		if _, text := a.(*ir.StrConst); text {
			c.Args[i] = &ir.StrConst{} // nobody reads it
		} else {
			c.Args[i] = &ir.IntConst{}
		}
	}
}

func fits(a ir.Expr, t ir.Type) bool { return a.Type().Kind == t.Kind }

// assigned are the locals that a function sets.
func (s *literals) assigned(id int) map[int]bool {
	if m := s.sets[id]; m != nil {
		return m
	}
	m := map[int]bool{}
	ir.Walk(s.p.Funcs[id].Body, func(st ir.Stmt) {
		switch st := st.(type) {
		case *ir.Foreach:
			for _, k := range st.Keys {
				m[k] = true
			}
			m[st.Value] = true
		case *ir.ForeachHist:
			m[st.Key], m[st.Value] = true, true
		case *ir.Try:
			m[st.Var] = true
		case *ir.Delete:
			if !st.L.Global {
				m[st.L.ID] = true
			}
		}
	}, func(x ir.Expr) {
		switch x := x.(type) {
		case *ir.Update:
			if !x.L.Global {
				m[x.L.ID] = true
			}
		case *ir.StatAdd:
			if !x.L.Global {
				m[x.L.ID] = true
			}
		}
	})
	s.sets[id] = m
	return m
}

// substitute puts literals in the place of locals.
func substitute(list []ir.Stmt, known map[int]ir.Expr) {
	var expr func(x *ir.Expr)
	expr = func(x *ir.Expr) {
		if *x == nil {
			return
		}
		if l, ok := (*x).(*ir.Local); ok && known[l.ID] != nil {
			*x = ir.CloneExpr(known[l.ID])
			return
		}
		switch e := (*x).(type) {
		case *ir.Seq:
			substitute(e.Body, known)
		case *ir.Region:
			substitute(e.Body, known)
		}
		ir.Children(*x, expr)
	}
	for _, st := range list {
		ir.StmtExprs(st, expr)
		ir.Bodies(st, func(b *[]ir.Stmt) { substitute(*b, known) })
	}
}
