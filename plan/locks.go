package plan

import (
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
	total := map[int]use{}
	inKernel := map[int]bool{}
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
	need := map[int]bool{}
	for g := range p.Globals {
		gl := &p.Globals[g]
		if gl.Share == ir.LoaderOnly || !inKernel[g] {
			continue
		}
		u := total[g]
		wide := !gl.IsArray() && (gl.Value.Kind == ir.Str || gl.Value.Kind == ir.Deferred)
		switch {
		case u&write == 0 && !wide && !gl.Wrap:
		case gl.IsArray() && u&foreignKey == 0 && !gl.Wrap:
		case wide && u&write == 0:
		default:
			need[g] = true
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

// placeLock puts Lock before the first and Unlock behind the last top-level
// statement that touches a locked global.
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
	first, last := -1, -1
	for i, st := range body {
		t := pl.summary([]ir.Stmt{st})
		for g := range t.globals {
			if pl.p.Globals[g].Lock >= 0 {
				if first < 0 {
					first = i
				}
				last = i
			}
		}
	}
	if first < 0 {
		return body
	}
	out := append([]ir.Stmt(nil), body[:first]...)
	out = append(out, &ir.Lock{ID: lock})
	out = append(out, body[first:last+1]...)
	out = append(out, &ir.Unlock{ID: lock})
	return append(out, body[last+1:]...)
}
