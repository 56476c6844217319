package ebpf

import (
	"slices"

	"stapkit/ir"
)

// zeroLocals makes locals zero that may be read before they are assigned.
func (p *prog) zeroLocals(s *scope, given []int, cond ir.Expr, body []ir.Stmt, result ir.Expr) {
	f := flow{set: make([]bool, len(s.types)), need: make([]bool, len(s.types))}
	for _, id := range given {
		f.set[id] = true
	}
	f.expr(cond)
	f.list(body)
	if result != nil {
		// Out parameters and the result are read at the end, however it is reached.
		for id := range f.need {
			f.need[id] = f.need[id] || !slices.Contains(given, id)
		}
	}
	if p.region && s.fn == nil {
		for _, prm := range p.h.Params {
			if prm.Out && !prm.In {
				f.need[prm.Local] = true
			}
		}
	}
	for id, t := range s.types {
		if !f.need[id] {
			continue
		}
		if t.Kind == ir.Int {
			p.memImm(s.locals[id], 0)
		} else {
			p.zero(p.frameText(s.locals[id]))
		}
	}
}

// flow finds the locals that may be read before they are assigned, by walking
// code in the order of execution.
type flow struct {
	set  []bool // surely assigned here
	dead bool   // this place is never reached
	need []bool
}

func (f *flow) branch(g func()) []bool {
	before, dead := slices.Clone(f.set), f.dead
	g()
	after := f.set
	if f.dead {
		after = nil
	}
	f.set, f.dead = before, dead
	return after
}

// meet sets what is assigned where paths meet; nil stands for a path that does
// not get here.
func (f *flow) meet(paths ...[]bool) {
	f.dead = true
	for i := range f.set {
		f.set[i] = true
	}
	for _, s := range paths {
		if s == nil {
			continue
		}
		f.dead = false
		for i := range s {
			f.set[i] = f.set[i] && s[i]
		}
	}
}

func (f *flow) read(id int) {
	if id >= 0 && !f.dead && !f.set[id] {
		f.need[id] = true
	}
}

func (f *flow) assign(id int) {
	if id >= 0 {
		f.set[id] = true
	}
}

func (f *flow) expr(e ir.Expr) {
	switch e := e.(type) {
	case nil:
	case *ir.Local:
		f.read(e.ID)
	case *ir.Logical:
		f.expr(e.X)
		f.branch(func() { f.expr(e.Y) })
	case *ir.Cond:
		f.expr(e.C)
		x := f.branch(func() { f.expr(e.X) })
		y := f.branch(func() { f.expr(e.Y) })
		f.meet(x, y)
	case *ir.Seq:
		f.list(e.Body)
		f.expr(e.R)
	case *ir.Update:
		for _, x := range operands(e) {
			f.expr(x)
		}
		if !e.L.Global {
			if e.Op != ir.OpSet || e.Old {
				f.read(e.L.ID)
			}
			f.assign(e.L.ID)
		}
	default:
		for _, x := range operands(e) {
			f.expr(x)
		}
	}
}

func (f *flow) list(list []ir.Stmt) {
	for _, st := range list {
		f.stmt(st)
	}
}

func (f *flow) stmt(st ir.Stmt) {
	switch st := st.(type) {
	case *ir.If:
		f.expr(st.C)
		x := f.branch(func() { f.list(st.Then) })
		y := f.branch(func() { f.list(st.Else) })
		f.meet(x, y)
	case *ir.While:
		if st.C != nil {
			f.expr(st.C)
		}
		f.branch(func() { f.list(st.Body) })
		// Continue may come early: only what is assigned before the body counts.
		f.branch(func() { f.list(st.Post) })
	case *ir.Foreach:
		f.loop(st, append([]int{st.Value}, st.Keys...), st.Body)
	case *ir.ForeachHist:
		f.loop(st, []int{st.Key, st.Value}, st.Body)
	case *ir.Try:
		x := f.branch(func() { f.list(st.Body) })
		y := f.branch(func() {
			f.assign(st.Var)
			f.list(st.Catch)
		})
		f.meet(x, y)
	case *ir.Delete:
		exprs, _ := parts(st)
		for _, e := range exprs {
			f.expr(e)
		}
		if !st.L.Global {
			f.assign(st.L.ID)
		}
	case *ir.Return:
		f.expr(st.X)
		f.dead = true
	case *ir.Next, *ir.Break, *ir.Continue:
		f.dead = true
	default:
		exprs, _ := parts(st)
		for _, e := range exprs {
			f.expr(e)
		}
	}
}

func (f *flow) loop(st ir.Stmt, assigned []int, body []ir.Stmt) {
	exprs, _ := parts(st)
	for _, e := range exprs {
		f.expr(e)
	}
	f.branch(func() {
		for _, id := range assigned {
			f.assign(id)
		}
		f.list(body)
	})
}
