package plan

import (
	"maps"
	"slices"
	"sort"

	"stapkit/ir"
)

// locks gives each global that needs one a lock word, and places Lock and
// Unlock in the handlers of the kernel.
//
// SystemTap makes each handler atomic over the globals that it touches. A global
// that all code which runs concurrently only reads and adds to needs nothing for
// that; neither does an array whose every element belongs to one thread. The
// globals that one handler touches together share a lock word, so that no
// handler takes more than one.
func (pl *planner) locks() {
	p := pl.p
	total, inKernel := pl.uses()
	need := map[int]bool{}
	for g := range p.Globals {
		if need[g], _ = pl.needsLock(g, total[g], inKernel[g]); !need[g] {
			delete(need, g)
		}
	}
	// Union of what is touched together.
	parent := map[int]int{}
	var find func(int) int
	find = func(x int) int {
		if q, ok := parent[x]; ok && q != x {
			r := find(q)
			parent[x] = r
			return r
		}
		return x
	}
	union := func(gs []int) {
		for _, g := range gs[1:] {
			if a, b := find(gs[0]), find(g); a != b {
				parent[max(a, b)] = min(a, b)
			}
		}
	}
	group := func(s *summary) []int {
		var gs []int
		for g := range s.globals {
			if need[g] {
				gs = append(gs, g)
			}
		}
		sort.Ints(gs)
		return gs
	}
	for i, h := range p.Handlers {
		if !h.Kernel {
			continue
		}
		if gs := group(&pl.handlers[i]); len(gs) > 1 {
			union(gs)
		}
	}
	regions := make([]summary, len(p.Regions))
	for i, r := range p.Regions {
		regions[i] = pl.summary(r.Body, r.Result)
		if gs := group(&regions[i]); len(gs) > 1 {
			union(gs)
		}
	}
	ids := map[int]int{}
	for g := range p.Globals {
		if !need[g] {
			continue
		}
		root := find(g)
		id, ok := ids[root]
		if !ok {
			id = len(ids)
			ids[root] = id
		}
		p.Globals[g].Lock = id
	}
	p.Locks = len(ids)
	for i, h := range p.Handlers {
		if h.Kernel {
			h.Body = pl.placeLock(h.Body, &pl.handlers[i])
		}
	}
	for i, r := range p.Regions {
		s := &regions[i]
		if gs := group(s); len(gs) > 0 {
			id := p.Globals[gs[0]].Lock
			r.Body = append([]ir.Stmt{&ir.Lock{ID: id}}, r.Body...)
			// The result may read the globals: it is taken before the unlocking.
			if r.Result == nil {
				r.Body = append(r.Body, &ir.Unlock{ID: id})
			}
		}
	}
}

// uses is how code that runs while kernel handlers do touches each global, and
// which of them such handlers touch.
func (pl *planner) uses() (total map[int]use, inKernel map[int]bool) {
	p := pl.p
	total, inKernel = map[int]use{}, map[int]bool{}
	for i, h := range p.Handlers {
		if !pl.concurrent(h) {
			continue
		}
		for g, u := range pl.handlers[i].globals {
			if !h.Kernel {
				u |= foreignKey
				if gl := &p.Globals[g]; gl.Generations && gl.Additive {
					// A handler of the loader that changes it takes the whole
					// content out of the kernel's reach first.
					u = read
				}
			} else {
				inKernel[g] = true
			}
			total[g] |= u
		}
	}
	return total, inKernel
}

// needsLock tells whether a global that is touched like that wants a lock, and why.
func (pl *planner) needsLock(g int, u use, inKernel bool) (need bool, why string) {
	gl := &pl.p.Globals[g]
	wide := !gl.IsArray() && (gl.Value.Kind == ir.Str || gl.Value.Kind == ir.Deferred)
	switch {
	case gl.Share == ir.LoaderOnly:
		return false, "only the loader has it"
	case !inKernel:
		return false, "no handler of the kernel touches it while the loader does"
	case gl.Wrap:
		return true, "what is inserted takes the place of the oldest element"
	case wide && u&write == 0, u&(write|add) == 0:
		return false, "it is only read"
	case u&write == 0:
		return false, "it is only added to and read, each in one step"
	case gl.IsArray() && u&foreignKey == 0:
		return false, "each element belongs to one thread"
	case wide:
		return true, "a string is not set in one step"
	}
	return true, "it is set or deleted, not only added to"
}

// LockReasons says of each global of a planned program why it has a lock, or none.
func LockReasons(p *ir.Program) []string {
	pl := &planner{p: p}
	pl.summarise()
	total, inKernel := pl.uses()
	out := make([]string, len(p.Globals))
	for g := range p.Globals {
		_, out[g] = pl.needsLock(g, total[g], inKernel[g])
	}
	return out
}

// Touched says which globals each handler and each region of a planned program touches,
// functions that it calls included; of a region that is none there is nothing.
func Touched(p *ir.Program) (handlers, regions [][]int) {
	pl := &planner{p: p}
	pl.summarise()
	globals := func(s summary, cond ir.Expr) []int {
		c := pl.summary(nil, cond)
		s.merge(&c)
		return slices.Sorted(maps.Keys(s.globals))
	}
	for i, h := range p.Handlers {
		handlers = append(handlers, globals(pl.handlers[i], h.Cond))
	}
	for _, r := range p.Regions {
		if r == nil {
			regions = append(regions, nil)
			continue
		}
		regions = append(regions, globals(pl.summary(r.Body, r.Result), nil))
	}
	return handlers, regions
}

// placeLock puts Lock before the first and Unlock behind the last statement that
// touches a locked global.
func (pl *planner) placeLock(body []ir.Stmt, s *summary) []ir.Stmt {
	lock := -1
	var touched []use
	for g, u := range s.globals {
		if l := pl.p.Globals[g].Lock; l >= 0 {
			lock = l
			touched = append(touched, u)
		}
	}
	if lock < 0 {
		return body
	}
	if len(touched) == 1 && touched[0]&(add|write|many|visit) == 0 {
		return body // one read of one global is atomic by itself
	}
	return pl.lockIn(body, lock)
}

// lockIn puts the lock around what touches locked globals, as late and as short as
// it can: where only a branch does, there.
func (pl *planner) lockIn(body []ir.Stmt, lock int) []ir.Stmt {
	touches := func(s *summary) bool {
		for g := range s.globals {
			if pl.p.Globals[g].Lock >= 0 {
				return true
			}
		}
		return false
	}
	first, last := -1, -1
	for i, st := range body {
		if t := pl.summary([]ir.Stmt{st}); touches(&t) {
			if first < 0 {
				first = i
			}
			last = i
		}
	}
	if first < 0 {
		return body
	}
	if branch, ok := body[first].(*ir.If); ok && first == last {
		if c := pl.summary(nil, branch.C); !touches(&c) {
			branch.Then, branch.Else = pl.lockIn(branch.Then, lock), pl.lockIn(branch.Else, lock)
			return body
		}
	}
	out := append([]ir.Stmt(nil), body[:first]...)
	out = append(out, &ir.Lock{ID: lock})
	out = append(out, body[first:last+1]...)
	out = append(out, &ir.Unlock{ID: lock})
	return append(out, body[last+1:]...)
}
