package plan

import (
	"sort"
	"strconv"

	"stapkit/ir"
)

// regions finds the parts of loader handlers that must be atomic towards kernel
// handlers, and makes a program of each. A run of plain statements is one region;
// in any other statement it is the smallest expression around the change, after
// operands that only the interpreter can evaluate went to temporaries.
func (pl *planner) regions() {
	for _, h := range pl.p.Handlers {
		if h.Kernel || !pl.concurrent(h) {
			continue
		}
		r := &regioner{pl: pl, h: h, locals: &h.Locals, name: h.Name}
		h.Body = r.list(h.Body)
	}
	// Functions run in several handlers: their changes are always regions, which
	// the interpreter executes in place where nothing runs concurrently.
	reached := map[int]bool{}
	for _, h := range pl.p.Handlers {
		if h.Kernel || !pl.concurrent(h) {
			continue
		}
		var visit func(list []ir.Stmt, x ir.Expr)
		visit = func(list []ir.Stmt, x ir.Expr) {
			f := func(x ir.Expr) {
				if c, ok := x.(*ir.Call); ok {
					for _, i := range c.Chain {
						if !reached[i] {
							reached[i] = true
							visit(pl.p.Funcs[i].Body, nil)
						}
					}
				}
			}
			ir.Walk(list, nil, f)
			ir.WalkExpr(x, nil, f)
		}
		visit(h.Body, h.Cond)
	}
	for i := range pl.p.Funcs {
		if !reached[i] || !pl.sharedChange(pl.funcs[i]) {
			continue
		}
		f := pl.p.Funcs[i]
		if pl.calledFromKernel(i) {
			// The kernel's handlers keep the plain body; the loader gets a copy.
			f = pl.cloneForLoader(i)
		}
		r := &regioner{pl: pl, locals: &f.Locals, name: "f_" + f.Name, probe: pl.loaderProbe()}
		f.Body = r.list(f.Body)
	}
}

func (pl *planner) loaderProbe() int {
	for _, h := range pl.p.Handlers {
		if !h.Kernel && pl.concurrent(h) {
			return h.Probe
		}
	}
	return 0
}

func (pl *planner) sharedChange(s summary) bool {
	for g, u := range s.globals {
		if gl := &pl.p.Globals[g]; gl.Share != ir.LoaderOnly && u&(add|write) != 0 {
			return true
		}
	}
	return false
}

func (pl *planner) calledFromKernel(f int) bool {
	for i, h := range pl.p.Handlers {
		if h.Kernel && pl.reaches(pl.handlers[i].calls, f) {
			return true
		}
	}
	return false
}

func (pl *planner) reaches(calls map[int]bool, f int) bool {
	seen := map[int]bool{}
	var visit func(map[int]bool) bool
	visit = func(calls map[int]bool) bool {
		for c := range calls {
			if c == f {
				return true
			}
			if !seen[c] {
				seen[c] = true
				var own summary
				pl.scan(&own, pl.p.Funcs[c].Body)
				if visit(own.calls) {
					return true
				}
			}
		}
		return false
	}
	return visit(calls)
}

// cloneForLoader copies function f and makes all code of loader handlers call
// the copy.
func (pl *planner) cloneForLoader(f int) *ir.Func {
	p := pl.p
	n := *p.Funcs[f]
	n.Body = ir.CloneStmts(n.Body)
	n.Locals = append([]ir.Type(nil), n.Locals...)
	id := len(p.Funcs)
	p.Funcs = append(p.Funcs, &n)
	pl.funcs = append(pl.funcs, pl.funcs[f])
	redirect := func(x ir.Expr) {
		if c, ok := x.(*ir.Call); ok {
			for i := range c.Chain {
				if c.Chain[i] == f {
					c.Chain[i] = id
				}
			}
		}
	}
	for _, h := range p.Handlers {
		if !h.Kernel {
			h.Walk(nil, redirect)
		}
	}
	for i, g := range p.Funcs {
		if i == id || !pl.calledFromKernel(i) {
			ir.Walk(g.Body, nil, redirect)
		}
	}
	return &n
}

type regioner struct {
	pl     *planner
	h      *ir.Handler // nil in a function
	locals *[]ir.Type
	name   string
	probe  int
}

// changes reports whether code changes a shared global, or reads one that can
// only be read whole under a lock.
func (r *regioner) changes(list []ir.Stmt, xs ...ir.Expr) bool {
	s := r.pl.summary(list, xs...)
	return r.pl.sharedChange(s) || r.wideRead(s)
}

func (r *regioner) wideRead(s summary) bool {
	for g := range s.globals {
		gl := &r.pl.p.Globals[g]
		if gl.Share != ir.LoaderOnly && !gl.IsArray() && (gl.Value.Kind == ir.Str || gl.Value.Kind == ir.Deferred) {
			return true
		}
	}
	return false
}

// list rewrites a statement list.
func (r *regioner) list(list []ir.Stmt) []ir.Stmt {
	var out []ir.Stmt
	for i := 0; i < len(list); {
		// The longest run of statements that one program can do.
		j := i
		for j < len(list) && r.plain(list[j]) {
			j++
		}
		for j > i && !r.changes(list[j-1:j]) {
			j--
		}
		if j > i {
			k := i
			for k < j && !r.changes(list[k:k+1]) {
				out = append(out, list[k])
				k++
			}
			out = append(out, &ir.Eval{X: r.region(list[k:j], nil)})
			i = j
			continue
		}
		s := list[i]
		i++
		if r.changes([]ir.Stmt{s}) {
			ir.StmtExprs(s, r.expr)
			ir.Bodies(s, func(b *[]ir.Stmt) { *b = r.list(*b) })
			if d, ok := s.(*ir.Delete); ok && d.L.Global && len(d.L.Keys) > 0 && !sliced(d.L.Keys) {
				// The keys are temporaries now.
				out = append(out, r.hoist(d.L.Keys)...)
				out = append(out, &ir.Eval{X: r.region([]ir.Stmt{d}, nil)})
				continue
			}
		}
		out = append(out, s)
	}
	return out
}

// hoist moves operands to temporaries.
func (r *regioner) hoist(keys []ir.Expr) []ir.Stmt {
	var out []ir.Stmt
	for i, k := range keys {
		switch k.(type) {
		case *ir.IntConst, *ir.StrConst, *ir.Local:
			continue
		}
		t := r.temp(k.Type())
		out = append(out, &ir.Eval{X: &ir.Update{L: ir.LValue{ID: t, T: k.Type()}, Op: ir.OpSet, R: k}})
		keys[i] = &ir.Local{ID: t, T: k.Type()}
	}
	return out
}

func (r *regioner) temp(t ir.Type) int {
	*r.locals = append(*r.locals, ir.Type{Kind: t.Kind, Text: t.Text})
	return len(*r.locals) - 1
}

// expr rewrites an expression that changes a shared global somewhere.
func (r *regioner) expr(x *ir.Expr) {
	if !r.changes(nil, *x) {
		return
	}
	if regionable(r.pl, *x) {
		*x = r.region(nil, *x)
		return
	}
	ir.Children(*x, r.expr)
	switch e := (*x).(type) {
	case *ir.Seq:
		e.Body = r.list(e.Body)
	case *ir.Update:
		if e.L.Global && r.pl.p.Globals[e.L.ID].Share != ir.LoaderOnly {
			pre := r.hoist(e.L.Keys)
			one := []ir.Expr{e.R}
			pre = append(pre, r.hoist(one)...)
			e.R = one[0]
			*x = seq(pre, r.region(nil, e))
		}
	case *ir.StatAdd:
		if e.L.Global && r.pl.p.Globals[e.L.ID].Share != ir.LoaderOnly {
			pre := r.hoist(e.L.Keys)
			one := []ir.Expr{e.V}
			pre = append(pre, r.hoist(one)...)
			e.V = one[0]
			reg := r.region([]ir.Stmt{&ir.Eval{X: e}}, nil)
			*x = &ir.Seq{Body: append(pre, &ir.Eval{X: reg}), R: &ir.IntConst{}}
		}
	}
}

func seq(pre []ir.Stmt, x ir.Expr) ir.Expr {
	if len(pre) == 0 {
		return x
	}
	return &ir.Seq{Body: pre, R: x}
}

// region makes a region program of statements or of one expression.
func (r *regioner) region(body []ir.Stmt, result ir.Expr) *ir.Region {
	p := r.pl.p
	probe := r.probe
	max := p.Limits.MaxActionInterruptible
	if r.h != nil {
		probe, max = r.h.Probe, r.h.MaxActions
	}
	h := &ir.Handler{
		Name: "r" + strconv.Itoa(len(p.Regions)) + "_" + trim(r.name), Kernel: true, Ctx: ir.CtxRegion,
		Probe: probe, MaxActions: max, Locals: *r.locals, Body: append([]ir.Stmt(nil), body...), Result: result,
	}
	in, out := map[int]bool{}, map[int]bool{}
	h.Walk(func(s ir.Stmt) {
		if d, ok := s.(*ir.Delete); ok && !d.L.Global {
			out[d.L.ID] = true
		}
	}, func(x ir.Expr) {
		switch x := x.(type) {
		case *ir.Local:
			in[x.ID] = true
		case *ir.Update:
			if !x.L.Global {
				out[x.L.ID] = true
				in[x.L.ID] = true // it may be left as it was
			}
		}
	})
	var ids []int
	for id := range in {
		ids = append(ids, id)
	}
	for id := range out {
		if !in[id] {
			ids = append(ids, id)
		}
	}
	sort.Ints(ids)
	for _, id := range ids {
		h.Params = append(h.Params, ir.RegionParam{Local: id, In: in[id], Out: out[id]})
	}
	id := len(p.Regions)
	p.Regions = append(p.Regions, h)
	t := ir.TVoid
	if result != nil {
		t = result.Type()
	}
	// The interpreter's copy is its own: the program's gets locks.
	return &ir.Region{ID: id, Body: ir.CloneStmts(body), Result: ir.CloneExpr(result), T: t}
}

func trim(s string) string {
	if len(s) > 40 {
		return s[:40]
	}
	return s
}

// plain reports whether a region program can do the statement.
func (r *regioner) plain(s ir.Stmt) bool {
	switch s := s.(type) {
	case *ir.Eval:
		return regionable(r.pl, s.X)
	case *ir.Delete:
		if s.L.Global && r.pl.p.Globals[s.L.ID].IsArray() && (len(s.L.Keys) == 0 || sliced(s.L.Keys)) {
			return false
		}
		if s.L.Global && r.pl.p.Globals[s.L.ID].Share == ir.LoaderOnly {
			return false
		}
		for _, k := range s.L.Keys {
			if !regionable(r.pl, k) {
				return false
			}
		}
		return true
	case *ir.If:
		if !regionable(r.pl, s.C) {
			return false
		}
		for _, l := range [][]ir.Stmt{s.Then, s.Else} {
			for _, t := range l {
				if !r.plain(t) {
					return false
				}
			}
		}
		return true
	case *ir.Tick:
		return true
	}
	return false
}

// regionable reports whether a region program can evaluate x: numbers and
// strings without loops, over globals that live in maps.
func regionable(pl *planner, x ir.Expr) bool {
	ok := true
	check := func(g int) {
		if pl.p.Globals[g].Share == ir.LoaderOnly {
			ok = false
		}
	}
	ir.WalkExpr(x, func(ir.Stmt) {}, func(x ir.Expr) {
		switch x := x.(type) {
		case *ir.IntConst, *ir.StrConst, *ir.Local, *ir.Unary, *ir.Logical:
		case *ir.Cond, *ir.Binary:
		case *ir.GlobalGet:
			check(x.G)
		case *ir.IndexGet:
			check(x.G)
		case *ir.IndexIn:
			check(x.G)
			if sliced(x.Keys) {
				ok = false
			}
		case *ir.Update:
			if x.L.Global {
				check(x.L.ID)
			}
		case *ir.StatAdd:
			if x.L.Global {
				check(x.L.ID)
			}
		case *ir.Seq:
			for _, s := range x.Body {
				if e, is := s.(*ir.Eval); !is || e.X == nil {
					ok = false
				}
			}
		default:
			ok = false
		}
	})
	return ok
}
