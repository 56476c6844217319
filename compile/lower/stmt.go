package lower

import (
	"stapkit/ir"
	"stapkit/sema"
	"stapkit/syntax"
)

// body lowers one function or handler.
type body struct {
	*lowerer
	src     *sema.Body
	locals  []ir.Type
	library bool
	ctx     ir.Context
	kernel  bool
	ret     bool    // return probe
	entries []int   // locals with the @entry values
	calls   calls   // what system calls come here
	mux     int     // sema.Probe.Mux of the call
	compat  int     // local that tells whether the program has 32 bits, and 1; 0: nothing asks
	via     int     // local that tells whether it made the call through socketcall or ipc, and 1
	words   [6]int  // locals with the arguments of that, and 1
	unnamed bool    // see unnamed()
	result  ir.Type // of a function
	ticks   int     // statements since the last Tick
	tickAt  syntax.Node
}

func (l *lowerer) newBody(src *sema.Body, library bool) *body {
	b := &body{lowerer: l, src: src, library: library}
	if src != nil {
		for _, v := range src.Locals {
			b.locals = append(b.locals, irType(v.Type))
		}
	}
	return b
}

// temp makes a local of our own.
func (b *body) temp(t ir.Type) int {
	b.locals = append(b.locals, t)
	return len(b.locals) - 1
}

// action counts a statement. Library code is not counted, as SystemTap does not
// count the C code that its own library consists of.
func (b *body) action(n syntax.Node) {
	if b.library {
		return
	}
	if b.ticks == 0 {
		b.tickAt = n
	}
	b.ticks++
}

// flush emits the pending count.
func (b *body) flush(out *[]ir.Stmt) {
	if b.ticks > 0 {
		*out = append(*out, &ir.Tick{N: b.ticks, Site: b.site(b.tickAt)})
		b.ticks = 0
	}
}

// block lowers statements into a list that ends with its own action count.
func (b *body) block(stmts []syntax.Stmt) []ir.Stmt {
	var out []ir.Stmt
	for _, s := range stmts {
		b.stmt(s, &out)
	}
	b.flush(&out)
	return out
}

// nested lowers the body of an if or a loop.
func (b *body) nested(s syntax.Stmt) []ir.Stmt {
	if s == nil {
		return nil
	}
	return b.block([]syntax.Stmt{s})
}

func (b *body) stmt(s syntax.Stmt, out *[]ir.Stmt) {
	if b.src.Elided[s] {
		return
	}
	add := func(s ir.Stmt) { *out = append(*out, s) }
	switch s := s.(type) {
	case *syntax.Block:
		for _, t := range s.Stmts {
			b.stmt(t, out)
		}
	case *syntax.NullStmt, *syntax.BadStmt:
	case *syntax.ExprStmt:
		b.action(s.X)
		b.eval(s.X, out)
	case *syntax.IfStmt:
		b.action(s)
		b.flush(out)
		if c, ok := b.src.Consts[s.Cond]; ok {
			// Only the side taken has been elaborated.
			if constTrue(c) {
				*out = append(*out, b.nested(s.Then)...)
			} else if s.Else != nil {
				*out = append(*out, b.nested(s.Else)...)
			}
			return
		}
		cond := b.truth(s.Cond)
		add(&ir.If{C: cond, Then: b.nested(s.Then), Else: b.nested(s.Else)})
	case *syntax.WhileStmt:
		b.loop(nil, s.Cond, nil, s.Body, out)
	case *syntax.ForStmt:
		b.loop(s.Init, s.Cond, s.Post, s.Body, out)
	case *syntax.ForeachStmt:
		b.flush(out)
		b.foreach(s, out)
	case *syntax.ReturnStmt:
		b.action(s)
		b.flush(out)
		var x ir.Expr
		if s.X != nil {
			x = b.expr(s.X)
			if b.result.Kind == ir.Void {
				add(&ir.Eval{X: x})
				x = nil
			}
		}
		add(&ir.Return{X: x})
	case *syntax.DeleteStmt:
		b.action(s)
		b.deleteStmt(s, out)
	case *syntax.BreakStmt:
		b.action(s)
		b.flush(out)
		add(&ir.Break{})
	case *syntax.ContinueStmt:
		b.action(s)
		b.flush(out)
		add(&ir.Continue{})
	case *syntax.NextStmt:
		b.action(s)
		b.flush(out)
		add(&ir.Next{})
	case *syntax.TryStmt:
		b.flush(out)
		t := &ir.Try{Body: b.block(s.Body.Stmts), Var: -1}
		if s.Var != nil {
			if v, ok := b.src.Idents[s.Var].(*sema.Local); ok {
				t.Var = v.Index
			}
		}
		if s.Handler != nil {
			t.Catch = b.block(s.Handler.Stmts)
		}
		add(t)
	default:
		b.errorf(s, "E2004", "this statement cannot be compiled")
	}
}

func constTrue(c sema.Const) bool {
	if c.Type == sema.String {
		return c.Str != ""
	}
	return c.Int != 0
}

func (b *body) loop(init, cond, post syntax.Expr, s syntax.Stmt, out *[]ir.Stmt) {
	if init != nil {
		b.action(init)
		b.eval(init, out)
	}
	b.flush(out)
	w := &ir.While{}
	if cond != nil {
		w.C = b.truth(cond)
	}
	w.Body = b.nested(s)
	if post != nil {
		b.action(post)
		b.eval(post, &w.Post)
		b.flush(&w.Post)
	}
	if !b.library && !hasTick(w.Body) && !hasTick(w.Post) {
		w.Body = append(w.Body, &ir.Tick{N: 1, Site: b.site(s)})
	}
	*out = append(*out, w)
}

func hasTick(list []ir.Stmt) bool {
	for _, s := range list {
		if _, ok := s.(*ir.Tick); ok {
			return true
		}
	}
	return false
}

func (b *body) foreach(s *syntax.ForeachStmt, out *[]ir.Stmt) {
	local := func(id *syntax.Ident) int {
		if id == nil {
			return -1
		}
		if v, ok := b.src.Idents[id].(*sema.Local); ok {
			return v.Index
		}
		return -1
	}
	sort := ir.Sort{Desc: s.Sort == syntax.Descending}
	switch {
	case s.Sort == syntax.Unsorted:
	case s.SortBy == syntax.SortValue:
		sort.By = -1
		sort.Fn = statFn(s.Agg)
	case s.SortBy >= 0:
		sort.By = s.SortBy + 1
	}
	var limit ir.Expr
	if s.Limit != nil {
		limit = b.expr(s.Limit)
	}
	tick := func(list []ir.Stmt) []ir.Stmt {
		if b.library || hasTick(list) {
			return list
		}
		return append(list, &ir.Tick{N: 1, Site: b.site(s)})
	}
	switch a := s.Array.(type) {
	case *syntax.Ident:
		g, ok := b.src.Idents[a].(*sema.Global)
		if !ok {
			return
		}
		f := &ir.Foreach{G: b.globals[g], Value: local(s.Value), Sort: sort, Limit: limit, Site: b.site(a)}
		for _, k := range s.Keys {
			f.Keys = append(f.Keys, local(k))
		}
		for _, x := range s.Slice {
			if _, star := x.(*syntax.Star); star {
				f.Slice = append(f.Slice, nil)
			} else {
				f.Slice = append(f.Slice, b.expr(x))
			}
		}
		f.Body = tick(b.nested(s.Body))
		*out = append(*out, f)
	case *syntax.HistOp:
		f := &ir.ForeachHist{L: b.lvalue(a.X), Key: -1, Value: local(s.Value), Sort: sort, Limit: limit, Site: b.site(a)}
		if len(s.Keys) > 0 {
			f.Key = local(s.Keys[0])
		}
		f.Body = tick(b.nested(s.Body))
		*out = append(*out, f)
	}
}

func (b *body) deleteStmt(s *syntax.DeleteStmt, out *[]ir.Stmt) {
	lv := b.lvalue(s.X)
	*out = append(*out, &ir.Delete{L: lv, Site: b.site(s.X)})
}

// eval lowers an expression statement: its value is not used.
func (b *body) eval(x syntax.Expr, out *[]ir.Stmt) {
	if p, ok := x.(*syntax.PrintExpr); ok && !p.String {
		b.print(p, out)
		return
	}
	e := b.expr(x)
	if seq, ok := e.(*ir.Seq); ok {
		*out = append(*out, seq.Body...)
		e = seq.R
	}
	switch e := e.(type) {
	case nil, *ir.IntConst, *ir.StrConst, *ir.Local:
		return
	case *ir.Update:
		e.Old = false
		*out = append(*out, &ir.Eval{X: e})
	default:
		*out = append(*out, &ir.Eval{X: e})
	}
}
