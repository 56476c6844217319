package plan

import (
	"stapkit/format"
	"stapkit/ir"
)

// lazy moves the making of text from the kernel to the loader. Where the result
// of sprintf, of a table, or of a pure library function is only printed, the
// handler keeps what it is made of (ir.TextFormat); so do the local variables
// that such text passes through. Functions that must run in the kernel but whose
// result is only printed get a copy that returns such text.
func (pl *planner) lazy() {
	lz := &lazier{pl: pl, pure: map[int]int{}, clones: map[int]int{}}
	own, used := len(pl.p.Funcs), lz.inKernel()
	for i := range pl.p.Handlers {
		if h := pl.p.Handlers[i]; h.Kernel && h.Ctx != ir.CtxRegion {
			f := &lazyFrame{lazier: lz, locals: h.Locals}
			f.rewrite(h.Body, h.Cond)
		}
	}
	// Functions print too.
	for i, fn := range lz.pl.p.Funcs[:own] {
		if used[i] {
			f := &lazyFrame{lazier: lz, locals: fn.Locals, params: fn.Params}
			f.rewrite(fn.Body, nil)
		}
	}
}

// inKernel tells which functions handlers of the kernel call.
func (lz *lazier) inKernel() []bool {
	p := lz.pl.p
	used := make([]bool, len(p.Funcs))
	var use func(ir.Expr)
	use = func(x ir.Expr) {
		if c, ok := x.(*ir.Call); ok {
			for _, i := range c.Chain {
				if !used[i] {
					used[i] = true
					ir.Walk(p.Funcs[i].Body, nil, use)
				}
			}
		}
	}
	for _, h := range p.Handlers {
		if h.Kernel && h.Ctx != ir.CtxRegion {
			h.Walk(nil, use)
		}
	}
	return used
}

type lazier struct {
	pl     *planner
	pure   map[int]int // by function: 1 yes, 2 no
	clones map[int]int // function -> its lazy copy, -1 while it is made
}

// isPure reports whether the loader can do a call in the handler's place: it
// depends on its arguments alone, changes nothing and cannot fail.
func (lz *lazier) isPure(f int) bool {
	if v := lz.pure[f]; v != 0 {
		return v == 1
	}
	lz.pure[f] = 2 // also for recursion
	fn := lz.pl.p.Funcs[f]
	if fn.Recursive || fn.Result.Kind != ir.Str || !fn.Library && lz.pl.funcs[f].loops {
		return false
	}
	ok := true
	ir.Walk(fn.Body, func(s ir.Stmt) {
		switch s := s.(type) {
		case *ir.Print, *ir.PrintHist, *ir.Foreach, *ir.ForeachHist, *ir.Lock, *ir.Unlock, *ir.Next:
			ok = false
		case *ir.Delete:
			ok = ok && !s.L.Global
		}
	}, func(x ir.Expr) {
		switch x := x.(type) {
		case *ir.GlobalGet, *ir.IndexGet, *ir.IndexIn, *ir.StatAdd, *ir.StatGet, *ir.HistGet, *ir.Match, *ir.CtxArg,
			*ir.CtxField, *ir.Load, *ir.Field, *ir.Exists, *ir.MakeText, *ir.Region:
			ok = false
		case *ir.Update:
			if x.L.Global || (x.Op == ir.OpDiv || x.Op == ir.OpMod) && !nonZero(x.R) {
				ok = false
			}
		case *ir.Binary:
			if (x.Op == ir.OpDiv || x.Op == ir.OpMod) && !nonZero(x.Y) {
				ok = false
			}
		case *ir.Intrinsic:
			info := ir.Intrinsics[x.ID]
			ok = ok && info.Pure && !info.Fails
		case *ir.Sprintf:
			ok = ok && !lz.pl.readsMemory(x)
		case *ir.Call:
			for _, c := range x.Chain {
				// What it calls may return numbers.
				ok = ok && len(x.Chain) == 1 && lz.pureCallee(c)
			}
		}
	})
	if ok {
		lz.pure[f] = 1
	}
	return ok
}

func (lz *lazier) pureCallee(f int) bool {
	fn := lz.pl.p.Funcs[f]
	if fn.Result.Kind == ir.Str {
		return lz.isPure(f)
	}
	r := fn.Result
	fn.Result = ir.Type{Kind: ir.Str} // judge the body alone
	ok := lz.isPure(f)
	fn.Result = r
	lz.pure[f] = 2 // it yields no text itself
	return ok
}

// readsMemory reports whether a string shows what is at an address.
func (pl *planner) readsMemory(x *ir.Sprintf) bool {
	return len(pl.p.Formats[x.Format].Parsed.Memory()) > 0
}

func nonZero(x ir.Expr) bool {
	c, ok := x.(*ir.IntConst)
	return ok && c.V != 0
}

// lazyFrame is the work on one handler or function copy.
type lazyFrame struct {
	*lazier
	locals []ir.Type
	params int  // locals that callers set
	result bool // Return gives lazy text
	vars   map[int]bool
}

// rewrite makes the text of a body lazy where it can be. The condition before it
// may look at variables.
func (f *lazyFrame) rewrite(body []ir.Stmt, cond ir.Expr) {
	f.vars = map[int]bool{}
	assigned := map[int]bool{}
	barred := map[int]bool{} // set by something else than a plain assignment
	ir.Walk(body, func(s ir.Stmt) {
		switch s := s.(type) {
		case *ir.Foreach:
			for _, k := range s.Keys {
				barred[k] = true
			}
			barred[s.Value] = true
		case *ir.Try:
			barred[s.Var] = true
		case *ir.Delete:
			if !s.L.Global {
				barred[s.L.ID] = true
			}
		}
	}, func(x ir.Expr) {
		if u, ok := x.(*ir.Update); ok && !u.L.Global {
			if u.Op == ir.OpSet {
				assigned[u.L.ID] = true
			} else {
				barred[u.L.ID] = true
			}
		}
	})
	for id, t := range f.locals {
		if t.Kind == ir.Str && id >= f.params && assigned[id] && !barred[id] {
			f.vars[id] = true
		}
	}
	// Drop variables that something observes until nothing changes.
	for {
		n := len(f.vars)
		f.visitList(body)
		if cond != nil {
			f.visit(cond, false)
		}
		f.dropCycles(body)
		if len(f.vars) == n {
			break
		}
	}
	// Keep those that pay: something lazy gets into them.
	able := f.vars
	f.vars = map[int]bool{}
	for changed := true; changed; {
		changed = false
		ir.Walk(body, nil, func(x ir.Expr) {
			u, ok := x.(*ir.Update)
			if ok && !u.L.Global && able[u.L.ID] && !f.vars[u.L.ID] && f.producible(u.R) {
				f.vars[u.L.ID] = true
				changed = true
			}
		})
	}
	f.list(body)
}

// dropCycles drops the variables whose text is made from what they held before:
// that would grow with every round of a loop.
func (f *lazyFrame) dropCycles(body []ir.Stmt) {
	from := map[int]map[int]bool{} // variable -> those whose text gets into it
	ir.Walk(body, nil, func(x ir.Expr) {
		u, ok := x.(*ir.Update)
		if !ok || u.L.Global || !f.vars[u.L.ID] {
			return
		}
		if from[u.L.ID] == nil {
			from[u.L.ID] = map[int]bool{}
		}
		ir.WalkExpr(u.R, nil, func(x ir.Expr) {
			if l, ok := x.(*ir.Local); ok && f.vars[l.ID] {
				from[u.L.ID][l.ID] = true
			}
		})
	})
	for id := range from {
		seen := map[int]bool{}
		var visit func(int)
		visit = func(v int) {
			for w := range from[v] {
				if !seen[w] {
					seen[w] = true
					visit(w)
				}
			}
		}
		if visit(id); seen[id] {
			delete(f.vars, id)
		}
	}
}

// visitList drops the variables that statements observe.
func (f *lazyFrame) visitList(list []ir.Stmt) {
	for _, s := range list {
		switch s := s.(type) {
		case *ir.Print:
			f.printed(f.pl.p.Formats[s.Format].Parsed, s.Args)
		case *ir.Return:
			if s.X != nil {
				f.visit(s.X, f.result)
			}
		case *ir.Eval:
			f.visit(s.X, true) // the value goes nowhere
		default:
			ir.StmtExprs(s, func(x *ir.Expr) { f.visit(*x, false) })
		}
		ir.Bodies(s, func(b *[]ir.Stmt) { f.visitList(*b) })
	}
}

// printed visits the arguments of a format: strings go to string directives.
func (f *lazyFrame) printed(fm format.Format, args []ir.Expr) {
	for _, a := range args {
		f.visit(a, a.Type().Kind == ir.Str)
	}
}

// visit walks an expression; lazily tells that its value may be lazy text.
func (f *lazyFrame) visit(x ir.Expr, lazily bool) {
	switch x := x.(type) {
	case *ir.Local:
		if !lazily {
			delete(f.vars, x.ID)
		}
		return
	case *ir.Update:
		if !x.L.Global && x.Op == ir.OpSet && x.L.T.Kind == ir.Str {
			f.visit(x.R, f.vars[x.L.ID])
			if !lazily {
				delete(f.vars, x.L.ID)
			}
			return
		}
	case *ir.Sprintf:
		if lazily && f.producible(x) {
			f.printed(f.pl.p.Formats[x.Format].Parsed, x.Args)
			return
		}
	case *ir.Cond:
		f.visit(x.C, false)
		f.visit(x.X, lazily)
		f.visit(x.Y, lazily)
		return
	case *ir.Seq:
		f.visitList(x.Body)
		f.visit(x.R, lazily)
		return
	}
	ir.Children(x, func(c *ir.Expr) { f.visit(*c, false) })
}

// producible reports whether x in a lazy place becomes lazy text.
func (f *lazyFrame) producible(x ir.Expr) bool {
	switch x := x.(type) {
	case *ir.Sprintf:
		return !f.pl.readsMemory(x) // what it shows may have changed when it is printed
	case *ir.Lookup:
		return true
	case *ir.Local:
		return f.vars[x.ID]
	case *ir.Cond:
		return x.T.Kind == ir.Str && (f.producible(x.X) || f.producible(x.Y))
	case *ir.Seq:
		return f.producible(x.R)
	case *ir.Update:
		return !x.L.Global && f.vars[x.L.ID]
	case *ir.Call:
		if len(x.Chain) != 1 || x.T.Kind != ir.Str {
			return false
		}
		return f.isPure(x.Chain[0]) || f.clone(x.Chain[0]) >= 0
	}
	return false
}

// clone returns the copy of a function that returns lazy text, -1 if there is no
// point in one.
func (lz *lazier) clone(fn int) int {
	p := lz.pl.p
	if c, ok := lz.clones[fn]; ok {
		return c
	}
	lz.clones[fn] = -1
	src := p.Funcs[fn]
	if src.Recursive || src.Result.Kind != ir.Str {
		return -1
	}
	n := *src
	n.Name += ".lazy"
	n.Body = ir.CloneStmts(src.Body)
	n.Locals = append([]ir.Type(nil), src.Locals...)
	f := &lazyFrame{lazier: lz, locals: n.Locals, params: n.Params, result: true}
	pays := false
	ir.Walk(n.Body, func(s ir.Stmt) {
		if r, ok := s.(*ir.Return); ok && r.X != nil {
			f.vars = map[int]bool{}
			for id, t := range n.Locals[n.Params:] {
				f.vars[id+n.Params] = t.Kind == ir.Str
			}
			if _, isLocal := r.X.(*ir.Local); !isLocal && f.producible(r.X) {
				pays = true
			}
		}
	}, nil)
	if !pays {
		return -1
	}
	f.rewrite(n.Body, nil)
	id := len(p.Funcs)
	p.Funcs = append(p.Funcs, &n)
	lz.pl.funcs = append(lz.pl.funcs, lz.pl.funcs[fn])
	lz.clones[fn] = id
	return id
}

// list rewrites statements.
func (f *lazyFrame) list(list []ir.Stmt) {
	for _, s := range list {
		switch s := s.(type) {
		case *ir.Print:
			f.args(s.Args)
		case *ir.Return:
			if s.X != nil {
				s.X = f.expr(s.X, f.result, f.result)
			}
		case *ir.Eval:
			s.X = f.expr(s.X, false, false)
		default:
			ir.StmtExprs(s, func(x *ir.Expr) { *x = f.expr(*x, false, false) })
		}
		ir.Bodies(s, func(b *[]ir.Stmt) { f.list(*b) })
	}
}

func (f *lazyFrame) args(args []ir.Expr) {
	for i, a := range args {
		args[i] = f.expr(a, a.Type().Kind == ir.Str, false)
	}
}

func lazyType() ir.Type { return ir.Type{Kind: ir.Deferred, Text: ir.TextFormat} }

// expr rewrites x. lazily: its value may be lazy text; must: it has to be.
func (f *lazyFrame) expr(x ir.Expr, lazily, must bool) ir.Expr {
	if !lazily {
		if u, ok := x.(*ir.Update); ok && !u.L.Global && f.vars[u.L.ID] {
			u.R = f.expr(u.R, true, true)
			return u
		}
		ir.Children(x, func(c *ir.Expr) { *c = f.expr(*c, false, false) })
		if seq, ok := x.(*ir.Seq); ok {
			f.list(seq.Body)
		}
		return x
	}
	switch y := x.(type) {
	case *ir.Sprintf:
		if !f.producible(y) {
			break
		}
		f.args(y.Args)
		return &ir.MakeText{Kind: ir.TextFormat, Tag: ir.LazyFormat, Format: y.Format, Args: y.Args, T: lazyType(), Site: y.Site}
	case *ir.Lookup:
		y.X = f.expr(y.X, false, false)
		return &ir.MakeText{Kind: ir.TextFormat, Tag: ir.LazyTable, Format: y.Table, Args: []ir.Expr{y.X}, T: lazyType()}
	case *ir.Call:
		if f.producible(y) {
			for i := range y.Args {
				y.Args[i] = f.expr(y.Args[i], false, false)
			}
			if f.isPure(y.Chain[0]) {
				return &ir.MakeText{Kind: ir.TextFormat, Tag: ir.LazyCall, Format: y.Chain[0], Args: y.Args, T: lazyType(), Site: y.Site}
			}
			y.Chain = []int{f.clone(y.Chain[0])}
			y.T = lazyType()
			return y
		}
	case *ir.Local:
		if f.vars[y.ID] {
			return y
		}
	case *ir.Update:
		if !y.L.Global && f.vars[y.L.ID] {
			y.R = f.expr(y.R, true, true)
			return y
		}
	case *ir.Cond:
		if y.T.Kind == ir.Str && (must || f.producible(y)) {
			y.C = f.expr(y.C, false, false)
			y.X = f.expr(y.X, true, true)
			y.Y = f.expr(y.Y, true, true)
			return y
		}
	case *ir.Seq:
		f.list(y.Body)
		y.R = f.expr(y.R, true, must)
		return y
	}
	x = f.expr(x, false, false)
	if must {
		return &ir.MakeText{Kind: ir.TextFormat, Tag: ir.LazyPlain, Args: []ir.Expr{x}, T: lazyType()}
	}
	return x
}
