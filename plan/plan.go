// Package plan decides how a lowered program runs: which globals the kernel and
// the loader share, which need a lock, which parts of a loader handler are
// atomic regions, how wide every string is, and what can be left uncounted.
//
// It works on the handler language (package ir), so that there is one rule for
// every compiler, test generator and cost report, and a program planned twice is
// the same. The decisions are those of docs/architecture.md, "Run time".
package plan

import (
	"math"

	"stapkit/diag"
	"stapkit/ir"
)

// Apply plans p in place. The diagnostics are limits that the program exceeds.
func Apply(p *ir.Program) []diag.Diagnostic {
	pl := &planner{p: p}
	pl.fold()
	pl.summarise()
	pl.share()
	pl.regions()
	pl.locks()
	pl.order()
	pl.slots()
	pl.eager()
	pl.lazy()
	pl.merge()
	pl.widths()
	pl.ticks()
	pl.sleepable()
	return pl.diags
}

type planner struct {
	p     *ir.Program
	diags []diag.Diagnostic
	funcs []summary // by function
	// handler summaries, by handler
	handlers    []summary
	plainFormat int // index of the format "%s" and 1
}

// use says how code touches a global.
type use uint8

const (
	read       use = 1 << iota // reads it
	add                        // a commutative update of one number or aggregate
	write                      // any other change
	clear                      // empties the array
	many                       // more than one access of some kind
	cond                       // only in the condition of a probe, before the handler begins
	foreignKey                 // an element that need not be the current thread's own
	visit                      // sees creation order
)

// summary is what a piece of code does, functions that it calls included.
type summary struct {
	globals map[int]use
	calls   map[int]bool
	loops   bool // has a loop or recursion
	prints  bool
}

func (s *summary) touch(g int, u use) {
	if s.globals == nil {
		s.globals = map[int]use{}
	}
	if s.globals[g]&(read|add|write) != 0 {
		u |= many
	}
	s.globals[g] |= u
}

// threadKey reports whether the first key is the current thread's id, so that
// no other thread has the element.
func threadKey(keys []ir.Expr) bool {
	if len(keys) == 0 {
		return false
	}
	return isTid(keys[0])
}

func isTid(x ir.Expr) bool {
	i, ok := x.(*ir.Intrinsic)
	return ok && i.ID == ir.ITid
}

func (pl *planner) element(s *summary, g int, keys []ir.Expr, u use) {
	if len(keys) > 0 && !threadKey(keys) {
		u |= foreignKey
	}
	s.touch(g, u)
}

// scan adds what list and exprs do themselves, without callees.
func (pl *planner) scan(s *summary, list []ir.Stmt, exprs ...ir.Expr) {
	stmt := func(st ir.Stmt) {
		switch st := st.(type) {
		case *ir.Foreach:
			s.loops = true
			s.touch(st.G, read|many|foreignKey|visit)
		case *ir.ForeachHist:
			s.loops = true
			if st.L.Global {
				pl.element(s, st.L.ID, st.L.Keys, read)
			}
		case *ir.While:
			s.loops = true
		case *ir.Delete:
			if !st.L.Global {
				return
			}
			g := &pl.p.Globals[st.L.ID]
			switch {
			case g.IsArray() && len(st.L.Keys) == 0:
				s.touch(st.L.ID, write|clear|foreignKey)
			case sliced(st.L.Keys):
				s.loops = true
				s.touch(st.L.ID, write|foreignKey)
			default:
				pl.element(s, st.L.ID, st.L.Keys, write)
			}
		case *ir.Print:
			s.prints = true
		case *ir.PrintHist:
			s.prints = true
			if st.L.Global {
				pl.element(s, st.L.ID, st.L.Keys, read)
			}
		}
	}
	expr := func(x ir.Expr) {
		switch x := x.(type) {
		case *ir.GlobalGet:
			s.touch(x.G, read)
		case *ir.IndexGet:
			pl.element(s, x.G, x.Keys, read)
		case *ir.IndexIn:
			if sliced(x.Keys) {
				s.loops = true
			}
			pl.element(s, x.G, x.Keys, read)
		case *ir.Update:
			if !x.L.Global {
				return
			}
			u := write
			switch x.Op {
			case ir.OpAdd, ir.OpSub, ir.OpAnd, ir.OpOr, ir.OpXor:
				if x.L.T.Kind == ir.Int {
					u = add
				}
			}
			pl.element(s, x.L.ID, x.L.Keys, u)
		case *ir.StatAdd:
			if x.L.Global {
				pl.element(s, x.L.ID, x.L.Keys, add)
			}
		case *ir.StatGet:
			if x.L.Global {
				pl.element(s, x.L.ID, x.L.Keys, read)
			}
		case *ir.HistGet:
			if x.L.Global {
				pl.element(s, x.L.ID, x.L.Keys, read)
			}
		case *ir.Call:
			if s.calls == nil {
				s.calls = map[int]bool{}
			}
			for _, f := range x.Chain {
				s.calls[f] = true
			}
		}
	}
	ir.Walk(list, stmt, expr)
	for _, x := range exprs {
		ir.WalkExpr(x, stmt, expr)
	}
}

func sliced(keys []ir.Expr) bool {
	for _, k := range keys {
		if k == nil {
			return true
		}
	}
	return false
}

// merge adds what a callee does.
func (s *summary) merge(o *summary) {
	for g, u := range o.globals {
		s.touch(g, u)
	}
	s.loops = s.loops || o.loops
	s.prints = s.prints || o.prints
}

// summarise computes the summaries of all functions and handlers.
func (pl *planner) summarise() {
	p := pl.p
	own := make([]summary, len(p.Funcs))
	for i, f := range p.Funcs {
		pl.scan(&own[i], f.Body)
		own[i].loops = own[i].loops || f.Recursive
	}
	// Transitive closure: each function merged with all that it reaches.
	pl.funcs = make([]summary, len(p.Funcs))
	for i := range own {
		seen := map[int]bool{}
		var visit func(int)
		visit = func(f int) {
			if seen[f] {
				return
			}
			seen[f] = true
			pl.funcs[i].merge(&own[f])
			for c := range own[f].calls {
				visit(c)
			}
		}
		visit(i)
	}
	pl.handlers = make([]summary, len(p.Handlers))
	for i, h := range p.Handlers {
		pl.handlers[i] = pl.summary(h.Body)
	}
}

// summary is what code does, callees included.
func (pl *planner) summary(list []ir.Stmt, exprs ...ir.Expr) summary {
	var s summary
	pl.scan(&s, list, exprs...)
	calls := s.calls
	for f := range calls {
		s.merge(&pl.funcs[f])
	}
	return s
}

// concurrent reports whether a loader handler runs while kernel handlers do.
func (pl *planner) concurrent(h *ir.Handler) bool {
	if h.Kernel {
		return true
	}
	switch pl.p.Probes[h.Probe].Family {
	case ir.FamBegin, ir.FamEnd, ir.FamError, ir.FamNever:
		return false
	}
	return true
}

// condUses are the globals that a handler's condition reads.
func (pl *planner) condUses(h *ir.Handler) summary {
	return pl.summary(nil, h.Cond)
}

// share decides who touches each global, and how arrays are cleared.
func (pl *planner) share() {
	p := pl.p
	kernel, loader := map[int]use{}, map[int]use{}
	concurrentClear := map[int]bool{}
	for i, h := range p.Handlers {
		to := loader
		if h.Kernel {
			to = kernel
		}
		for g, u := range pl.handlers[i].globals {
			to[g] |= u
			if !h.Kernel && u&clear != 0 && pl.concurrent(h) {
				concurrentClear[g] = true
			}
		}
		c := pl.condUses(h)
		for g := range c.globals {
			to[g] |= read
		}
	}
	for g := range p.Globals {
		gl := &p.Globals[g]
		switch k, l := kernel[g] != 0, loader[g] != 0; {
		case k && l:
			gl.Share = ir.SharedBoth
		case k:
			gl.Share = ir.KernelOnly
		default:
			gl.Share = ir.LoaderOnly
		}
		// The end of the session shows it.
		if gl.Share == ir.KernelOnly && gl.AutoPrint {
			gl.Share = ir.SharedBoth
		}
	}
	// A global that an atomic step of the loader reads together with a shared
	// one that it changes has to be where the kernel can reach it.
	for changed := true; changed; {
		changed = false
		for _, h := range p.Handlers {
			if h.Kernel || !pl.concurrent(h) {
				continue
			}
			ir.Walk(h.Body, nil, func(x ir.Expr) {
				if u, ok := x.(*ir.Update); ok && u.L.Global && p.Globals[u.L.ID].Share != ir.LoaderOnly {
					s := pl.summary(nil, x)
					for g := range s.globals {
						if p.Globals[g].Share == ir.LoaderOnly && regionable(pl, x) {
							p.Globals[g].Share = ir.SharedBoth
							changed = true
						}
					}
				}
			})
		}
	}
	for g := range p.Globals {
		gl := &p.Globals[g]
		if gl.Share == ir.LoaderOnly {
			continue
		}
		gl.Generations = gl.IsArray() && concurrentClear[g]
		gl.Additive = kernel[g]&(read|write) == 0
	}
}

// order marks the arrays whose creation order can be seen: by an unsorted or
// tied loop, by eviction, by the display at the end.
func (pl *planner) order() {
	for _, s := range append(append([]summary(nil), pl.funcs...), pl.handlers...) {
		for g, u := range s.globals {
			if u&visit != 0 {
				pl.p.Globals[g].Ordered = true
			}
		}
	}
	for g := range pl.p.Globals {
		gl := &pl.p.Globals[g]
		if gl.IsArray() && (gl.Wrap || gl.AutoPrint) {
			gl.Ordered = true
		}
	}
}

// slots numbers the scalars in their maps.
func (pl *planner) slots() {
	var ints, strs, stats int
	for g := range pl.p.Globals {
		gl := &pl.p.Globals[g]
		if gl.IsArray() || gl.Share == ir.LoaderOnly {
			continue
		}
		switch gl.Value.Kind {
		case ir.Int:
			gl.Slot = ints
			ints++
		case ir.Stat:
			gl.Slot = stats
			stats++
		default:
			gl.Slot = strs
			strs++
		}
	}
}

// ticks drops the action counts of handlers that cannot reach the limit.
func (pl *planner) ticks() {
	c := tickCounter{funcs: pl.p.Funcs, known: make([]int64, len(pl.p.Funcs))}
	for _, h := range pl.p.Handlers {
		if h.Kernel && (h.MaxActions == math.MaxInt32 || c.most(h.Body, h.Cond) <= int64(h.MaxActions)) {
			h.Body = dropTicks(h.Body)
			h.Uncounted = true
		}
	}
}

// tickCounter bounds the actions that code counts, with every call counted as
// often as it stands there.
type tickCounter struct {
	funcs []*ir.Func
	known []int64 // by function, plus 1
}

const unbounded = 1 << 40 // more than any limit

func (c *tickCounter) most(list []ir.Stmt, cond ir.Expr) int64 {
	n := int64(0)
	stmt := func(s ir.Stmt) {
		switch s := s.(type) {
		case *ir.Tick:
			n = min(n+int64(s.N), unbounded)
		case *ir.While, *ir.Foreach, *ir.ForeachHist:
			n = unbounded
		}
	}
	expr := func(x ir.Expr) {
		if call, ok := x.(*ir.Call); ok {
			for _, f := range call.Chain {
				n = min(n+c.function(f), unbounded)
			}
		}
	}
	ir.Walk(list, stmt, expr)
	ir.WalkExpr(cond, stmt, expr)
	return n
}

func (c *tickCounter) function(i int) int64 {
	if c.funcs[i].Recursive {
		return unbounded
	}
	if c.known[i] == 0 {
		c.known[i] = c.most(c.funcs[i].Body, nil) + 1
	}
	return c.known[i] - 1
}

func dropTicks(list []ir.Stmt) []ir.Stmt {
	var out []ir.Stmt
	for _, s := range list {
		if _, ok := s.(*ir.Tick); ok {
			continue
		}
		ir.Bodies(s, func(b *[]ir.Stmt) { *b = dropTicks(*b) })
		out = append(out, s)
	}
	return out
}
