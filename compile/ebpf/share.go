package ebpf

import (
	"reflect"
	"slices"

	"github.com/cilium/ebpf/asm"

	"stapkit/ir"
)

// Handlers often ask for one element several times: whether it is there, its value, a
// new value. Its keys are made once then and stay in memory of their own, and the
// address that the first look-up gave stays on the stack. What can make either untrue is
// followed along the code: an assignment to a variable in the keys, what creates or
// deletes elements, a lock that is taken or given back. Code that need not be executed
// leaves nothing behind for the code after it.
//
// Another handler that deletes the element meanwhile does so under the lock that this
// one holds; an array without a lock has elements deleted by their own thread only.

// sharedKey is what the keys of arrays are that a handler asks for more than once.
type sharedKey struct {
	keys  []ir.Expr
	types []ir.Type
	local bool // made of the handler's own variables
	uses  int
	mem   mem
	ready bool // mem holds the keys here
}

// sharedElement is an element that a handler asks for more than once.
type sharedElement struct {
	g     int
	key   *sharedKey
	uses  int
	off   int // on the stack: its address, or 0 if there is none
	ready bool
	kept  *kept
}

// kept is how an address came to where it is kept.
type kept struct {
	before *kept // what it was before, if it may still be that
	store  int   // the instruction; 0: there is none where the address was known
	asked  bool  // something asked for it
}

const (
	// maxSharing bounds the accesses that are compared with each other.
	maxSharing = 64
	// maxShared is how many addresses are kept, maxSharedKey how long a key is kept.
	maxShared    = 4
	maxSharedKey = 256
	// sharedStack is where addresses are on the stack of programs that have a slot.
	sharedStack = -40
)

// fixed reports whether a number or text is the same whenever a handler asks for it,
// and asking has no effect and cannot fail; variables are what local is for.
func fixed(e ir.Expr, local func(*ir.Local) bool) bool {
	switch e := e.(type) {
	case *ir.IntConst, *ir.StrConst, *ir.CtxArg, *ir.CtxField:
		return true
	case *ir.Local:
		return local(e)
	case *ir.Unary:
		return fixed(e.X, local)
	case *ir.Binary:
		switch e.Op {
		case ir.OpDiv, ir.OpMod, ir.OpConcat:
			return false
		}
		return e.X.Type().Kind == ir.Int && e.Y.Type().Kind == ir.Int && fixed(e.X, local) && fixed(e.Y, local)
	case *ir.Intrinsic:
		info := &ir.Intrinsics[e.ID]
		for _, a := range e.Args {
			if _, ok := a.(*ir.IntConst); !ok {
				return false
			}
		}
		return info.Stable && !info.Fails || e.ID == ir.ICpu || e.ID == ir.IStackPointer
	case *ir.MakeText:
		_, stack := e.Kind.IsStack()
		return stack && len(e.Args) == 0 && e.Head == nil
	}
	return false
}

// sameKeys reports whether keys of which the first are fixed are the same, wherever they
// are written.
func sameKeys(a, b []ir.Expr) bool { return slices.EqualFunc(a, b, sameFixed) }

func sameFixed(a, b ir.Expr) bool {
	switch x := a.(type) {
	case *ir.Unary:
		y, ok := b.(*ir.Unary)
		return ok && x.Op == y.Op && sameFixed(x.X, y.X)
	case *ir.Binary:
		y, ok := b.(*ir.Binary)
		return ok && x.Op == y.Op && sameFixed(x.X, y.X) && sameFixed(x.Y, y.Y)
	case *ir.Intrinsic:
		y, ok := b.(*ir.Intrinsic)
		return ok && x.ID == y.ID && x.T == y.T && slices.EqualFunc(x.Args, y.Args, sameFixed)
	case *ir.MakeText:
		y, ok := b.(*ir.MakeText)
		if !ok {
			return false
		}
		z := *y
		z.Site = x.Site
		return reflect.DeepEqual(x, &z)
	}
	return reflect.DeepEqual(a, b)
}

// planSharing finds what the handler asks for more than once, and reserves memory.
func (p *prog) planSharing() {
	if p.mode == asLoop || p.alone {
		return
	}
	n := 0
	count := func(g int, keys []ir.Expr, own, element bool) {
		gl := &p.g.p.Globals[g]
		if n++; n > maxSharing || len(keys) == 0 || len(keys) != len(gl.Keys) {
			return
		}
		k := p.findKey(gl.Keys, keys, own)
		if k == nil {
			local := false
			for _, x := range keys {
				if x == nil || !fixed(x, func(*ir.Local) bool { local = true; return own }) {
					return
				}
			}
			k = &sharedKey{keys: keys, types: gl.Keys, local: local}
			p.keys = append(p.keys, k)
		}
		k.uses++
		if !element || gl.Wrap {
			return
		}
		e := p.findElement(g, k)
		if e == nil {
			e = &sharedElement{g: g, key: k}
			p.elements = append(p.elements, e)
		}
		e.uses++
	}
	seen := map[int]bool{}
	var w walker
	own := true
	lvalue := func(l *ir.LValue, element bool) {
		if l.Global {
			count(l.ID, l.Keys, own, element)
		}
	}
	w.expr = func(e ir.Expr) bool {
		switch e := e.(type) {
		case *ir.IndexGet:
			count(e.G, e.Keys, own, true)
		case *ir.IndexIn:
			count(e.G, e.Keys, own, true)
		case *ir.Update:
			lvalue(&e.L, e.L.T.Kind == ir.Int)
		case *ir.StatAdd:
			lvalue(&e.L, false)
		case *ir.StatGet:
			lvalue(&e.L, false)
		case *ir.HistGet:
			lvalue(&e.L, false)
		case *ir.Call:
			for _, id := range e.Chain {
				if !seen[id] {
					seen[id] = true
					was := own
					own = false
					w.list(p.g.p.Funcs[id].Body)
					own = was
				}
			}
		}
		return true
	}
	w.stmt = func(st ir.Stmt) bool {
		switch st := st.(type) {
		case *ir.Delete:
			lvalue(&st.L, false)
		case *ir.PrintHist:
			lvalue(&st.L, false)
		}
		return true
	}
	w.walk(p.cond)
	w.list(p.list)
	w.walk(p.h.Result)
	if n > maxSharing {
		p.keys, p.elements = nil, nil
		return
	}
	p.reserveShared()
}

// reserveShared gives memory to what is asked for more than once.
func (p *prog) reserveShared() {
	kept := p.elements[:0]
	for _, e := range p.elements {
		if e.uses < 2 || len(kept) == maxShared {
			continue
		}
		if p.mode == onStack {
			e.off = p.alloc(8).off
		} else {
			e.off = sharedStack - 8*len(kept)
		}
		kept = append(kept, e)
	}
	p.elements = kept
	p.sharing = len(kept) > 0
	for _, k := range p.keys {
		_, size := ir.KeyLayout(k.types)
		if k.uses > 1 && size <= maxSharedKey && !p.keyAtHand(k) {
			k.mem = p.alloc(size)
			p.sharing = true
		}
	}
}

// keyAtHand reports whether a key needs no making: it is constant, or a variable.
func (p *prog) keyAtHand(k *sharedKey) bool {
	for _, x := range k.keys {
		switch x.(type) {
		case *ir.IntConst, *ir.StrConst:
			continue
		case *ir.Local:
			if len(k.keys) == 1 {
				continue
			}
		}
		return false
	}
	return true
}

// findKey finds what is known of keys of such types; own: they are the handler's, not a
// function's.
func (p *prog) findKey(types []ir.Type, keys []ir.Expr, own bool) *sharedKey {
	for _, k := range p.keys {
		if (own || !k.local) && reflect.DeepEqual(k.types, types) && sameKeys(k.keys, keys) {
			return k
		}
	}
	return nil
}

func (p *prog) findElement(g int, k *sharedKey) *sharedElement {
	for _, e := range p.elements {
		if e.g == g && e.key == k {
			return e
		}
	}
	return nil
}

// sharedKey is what is known of an array's keys at this place.
func (p *prog) sharedKey(g int, keys []ir.Expr) *sharedKey {
	if !p.sharing || p.apart > 0 {
		return nil
	}
	return p.findKey(p.g.p.Globals[g].Keys, keys, p.scope.fn == nil)
}

// sharedElement is what is known of an element at this place.
func (p *prog) sharedElement(g int, keys []ir.Expr) *sharedElement {
	if k := p.sharedKey(g, keys); k != nil {
		return p.findElement(g, k)
	}
	return nil
}

// holds notes that something is in its place from here on.
func (p *prog) holds(ready *bool) {
	*ready = true
	p.held = append(p.held, ready)
}

// maybe makes code that is not always executed: what it put in place may not be there
// behind it. What it made untrue stays so.
func (p *prog) maybe(f func()) {
	n := len(p.held)
	f()
	for _, ready := range p.held[n:] {
		*ready = false
	}
	p.held = p.held[:n]
}

// elementAt leaves the address of an element's value in R0, or 0.
func (p *prog) elementAt(g int, keys []ir.Expr) {
	e := p.sharedElement(g, keys)
	if e == nil {
		p.lookup(g, p.key(g, keys))
		return
	}
	if e.ready {
		p.recall(e)
		return
	}
	p.lookup(g, p.key(g, keys))
	p.remember(e)
}

// recall leaves the address that is kept in R0.
func (p *prog) recall(e *sharedElement) {
	p.load(asm.R0, asm.R10, e.off)
	for k := e.kept; k != nil; k = k.before {
		k.asked = true
	}
}

// remember keeps the address in R0.
func (p *prog) remember(e *sharedElement) *kept {
	e.kept = &kept{store: len(p.insns)}
	p.kepts = append(p.kepts, e.kept)
	p.store(asm.R10, e.off, asm.R0)
	if !e.ready {
		p.holds(&e.ready)
	}
	return e.kept
}

// renew is remember for code that keeps another address only where the element was not
// there before.
func (p *prog) renew(e *sharedElement) *kept {
	e.kept = &kept{before: e.kept}
	return e.kept
}

// settle drops the stores of addresses that nothing asked for.
func (p *prog) settle() {
	for _, k := range p.kepts {
		if !k.asked {
			p.kill(k.store)
		}
	}
}

// changed notes that elements of an array may have come or gone, but for one.
func (p *prog) changed(g int, but *sharedElement) {
	for _, e := range p.elements {
		if e.g == g && e != but {
			e.ready = false
		}
	}
}

// forget notes that elements may be others now.
func (p *prog) forget() {
	for _, e := range p.elements {
		e.ready = false
	}
}

// forgetAll notes that nothing of what is kept need be in its place.
func (p *prog) forgetAll() {
	for _, ready := range p.held {
		*ready = false
	}
	p.held = nil
}

// assigned notes that a variable of the present scope has another value.
func (p *prog) assigned(id int) {
	if !p.sharing || p.scope.fn != nil {
		return
	}
	for _, k := range p.keys {
		if !k.local {
			continue
		}
		for _, x := range k.keys {
			if readsLocal(x, id) {
				k.ready = false
				for _, e := range p.elements {
					if e.key == k {
						e.ready = false
					}
				}
			}
		}
	}
}

// setBy reports whether evaluating e changes a variable in the keys.
func (k *sharedKey) setBy(e ir.Expr) bool {
	if !k.local {
		return false
	}
	return anyOf(k.keys, func(x ir.Expr) bool {
		return anyExpr(x, func(y ir.Expr) bool {
			l, ok := y.(*ir.Local)
			return ok && setsLocal(e, l.ID)
		})
	})
}

// asks reports whether evaluating e asks for an element of an array with such keys.
func (k *sharedKey) asks(e ir.Expr, g int) bool {
	return anyExpr(e, func(x ir.Expr) bool {
		switch x := x.(type) {
		case *ir.IndexGet:
			return x.G == g && sameKeys(x.Keys, k.keys)
		case *ir.IndexIn:
			return x.G == g && sameKeys(x.Keys, k.keys)
		}
		return false
	})
}
