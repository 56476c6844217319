package interp

import (
	"cmp"
	"slices"

	"stapkit/ir"
)

// ctl says how a statement ended.
type ctl uint8

const (
	ctlDone ctl = iota
	ctlBreak
	ctlContinue
	ctlReturn
	ctlNext
)

type (
	stmtFn func(*frame) (ctl, *Error)
	voidFn func(*frame) *Error
)

// compiler turns one handler or function into closures.
type compiler struct {
	m       *Machine
	code    *code
	fn      *ir.Func // nil in a handler
	results map[*ir.Region]int
	depth   int
}

// values reserves n places of frame.v.
func (c *compiler) values(n int) int {
	off := c.code.values
	c.code.values += n
	return off
}

// deeper counts nesting for maxDepth; call the result when done.
func (c *compiler) deeper() func() {
	c.depth++
	c.code.depth = max(c.code.depth, c.depth)
	return func() { c.depth-- }
}

func (c *compiler) block(list []ir.Stmt) stmtFn {
	var fns []stmtFn
	for _, s := range list {
		if fn := c.stmt(s); fn != nil {
			fns = append(fns, fn)
		}
	}
	switch len(fns) {
	case 0:
		return func(*frame) (ctl, *Error) { return ctlDone, nil }
	case 1:
		return fns[0]
	case 2:
		a, b := fns[0], fns[1]
		return func(f *frame) (ctl, *Error) {
			if k, err := a(f); k != ctlDone || err != nil {
				return k, err
			}
			return b(f)
		}
	}
	return func(f *frame) (ctl, *Error) {
		for _, fn := range fns {
			if k, err := fn(f); k != ctlDone || err != nil {
				return k, err
			}
		}
		return ctlDone, nil
	}
}

// effect makes a statement of what yields nothing.
func effect(fn voidFn) stmtFn {
	return func(f *frame) (ctl, *Error) { return ctlDone, fn(f) }
}

func (c *compiler) stmt(s ir.Stmt) stmtFn {
	defer c.deeper()()
	switch s := s.(type) {
	case *ir.Eval:
		return effect(c.void(s.X))
	case *ir.If:
		cond, then, els := c.intExpr(s.C), c.block(s.Then), c.block(s.Else)
		return func(f *frame) (ctl, *Error) {
			v, err := cond(f)
			if err != nil {
				return ctlDone, err
			}
			if v != 0 {
				return then(f)
			}
			return els(f)
		}
	case *ir.While:
		return c.while(s)
	case *ir.Foreach:
		return c.foreach(s)
	case *ir.ForeachHist:
		return c.foreachHist(s)
	case *ir.Return:
		return c.ret(s)
	case *ir.Next:
		return func(*frame) (ctl, *Error) { return ctlNext, nil }
	case *ir.Break:
		return func(*frame) (ctl, *Error) { return ctlBreak, nil }
	case *ir.Continue:
		return func(*frame) (ctl, *Error) { return ctlContinue, nil }
	case *ir.Delete:
		return effect(c.delete(s))
	case *ir.Try:
		return c.try(s)
	case *ir.Print:
		return effect(c.print(s))
	case *ir.PrintHist:
		site, g := s.Site, s.L.ID
		keys, stat := c.hist(&s.L, site)
		return effect(func(f *frame) *Error {
			if err := keys(f); err != nil {
				return err
			}
			st, err := stat(f)
			if err != nil {
				return err
			}
			if err := f.m.env.PrintHist(g, st); err != nil {
				return raise(err, site)
			}
			return nil
		})
	case *ir.Tick:
		n, site := s.N, s.Site
		return func(f *frame) (ctl, *Error) {
			if f.m.actions -= n; f.m.actions < 0 {
				return ctlDone, fault(ir.ErrMaxAction, 0, site)
			}
			return ctlDone, nil
		}
	case *ir.Lock, *ir.Unlock:
		return nil // handlers run one at a time here
	}
	return bad[ctl]()
}

// bad stands for a node that no checked program has.
func bad[T any]() func(*frame) (T, *Error) {
	return func(*frame) (T, *Error) {
		var zero T
		return zero, NewError(ir.ErrInternal, 1)
	}
}

func (c *compiler) while(s *ir.While) stmtFn {
	body, post := c.block(s.Body), c.block(s.Post)
	cond := func(*frame) (int64, *Error) { return 1, nil }
	if s.C != nil {
		cond = c.intExpr(s.C)
	}
	return func(f *frame) (ctl, *Error) {
		for {
			v, err := cond(f)
			if v == 0 || err != nil {
				return ctlDone, err
			}
			k, err := body(f)
			if err != nil {
				return ctlDone, err
			}
			switch k {
			case ctlBreak:
				return ctlDone, nil
			case ctlReturn, ctlNext:
				return k, nil
			}
			if k, err = post(f); k != ctlDone || err != nil {
				return k, err
			}
			if f.m.stop.Load() {
				return ctlDone, &Error{host: ErrInterrupted}
			}
		}
	}
}

// each runs body for the n-th thing as a loop does.
func each(f *frame, n int, bind func(int) *Error, body stmtFn) (ctl, *Error) {
	for i := range n {
		if err := bind(i); err != nil {
			return ctlDone, err
		}
		k, err := body(f)
		if err != nil {
			return ctlDone, err
		}
		switch k {
		case ctlBreak:
			return ctlDone, nil
		case ctlReturn, ctlNext:
			return k, nil
		}
		if f.m.stop.Load() {
			return ctlDone, &Error{host: ErrInterrupted}
		}
	}
	return ctlDone, nil
}

// limit compiles a loop's limit; the result tells how many of n to visit.
func (c *compiler) limit(e ir.Expr) func(f *frame, n int) (int, *Error) {
	if e == nil {
		return func(_ *frame, n int) (int, *Error) { return n, nil }
	}
	fn := c.intExpr(e)
	return func(f *frame, n int) (int, *Error) {
		v, err := fn(f)
		return int(min(max(v, 0), int64(n))), err
	}
}

func (c *compiler) foreach(s *ir.Foreach) stmtFn {
	g := &c.m.p.Globals[s.G]
	globals, id := c.m.globals(s.G), s.G
	slice, off := c.keys(s.Slice)
	limit := c.limit(s.Limit)
	body := c.block(s.Body)
	binds := make([]func(*frame, *Element), 0, len(s.Keys)+1)
	for i, k := range s.Keys {
		if k < 0 {
			continue
		}
		set := c.setLocal(k)
		binds = append(binds, func(f *frame, e *Element) { set(f, e.Keys[i]) })
	}
	if s.Value >= 0 {
		set := c.setLocal(s.Value)
		binds = append(binds, func(f *frame, e *Element) { set(f, e.Val) })
	}
	sortBy, site := s.Sort, s.Site
	// As in SystemTap a loop in order leaves the array in it, so that a later one without
	// an order, and elements that are equal in a later order, follow it. Arrays that the
	// kernel has, too, stay in the order of creation; aggregates are merged anew each time.
	sorts := g.Share == ir.LoaderOnly && g.Value.Kind != ir.Stat && sortBy.By != 0
	wild := make([]bool, len(s.Slice))
	for i, k := range s.Slice {
		wild[i] = k == nil
	}
	return func(f *frame) (ctl, *Error) {
		if err := slice(f); err != nil {
			return ctlDone, err
		}
		// The limit may be an expression that uses f.v, so the slice is kept.
		keys := slices.Clone(f.v[off : off+len(wild)])
		most, err := limit(f, int(^uint(0)>>1))
		if err != nil || most == 0 {
			return ctlDone, err
		}
		list, e := globals.Snapshot(id)
		if e != nil {
			return ctlDone, raise(e, site)
		}
		if sorts {
			// All of the array, of which the slice is taken afterwards.
			n := most
			if len(keys) > 0 {
				n = len(list)
			}
			order, err := f.m.order(g, list, sortBy, n, true)
			if err != nil {
				return ctlDone, err.at(site)
			}
			f.m.store.reorder(id, order)
			list = pick(list, order)
		}
		if len(keys) > 0 {
			list = f.m.matching(g, list, keys, wild)
		}
		if sortBy.By != 0 && !sorts {
			order, err := f.m.order(g, list, sortBy, most, false)
			if err != nil {
				return ctlDone, err.at(site)
			}
			list = pick(list, order)
		}
		return each(f, min(most, len(list)), func(i int) *Error {
			for _, b := range binds {
				b(f, &list[i])
			}
			return nil
		}, body)
	}
}

// matching returns the elements that fit keys, of which wild ones fit all.
func (m *Machine) matching(g *ir.Global, list []Element, keys []Value, wild []bool) []Element {
	for i := range keys {
		if !wild[i] {
			keys[i] = fit(keys[i], m.p.Limits.Limit(g.Keys[i]))
		}
	}
	out := list[:0]
next:
	for _, e := range list {
		for i := range keys {
			switch {
			case wild[i]:
			case g.Keys[i].Kind == ir.Int && e.Keys[i].I != keys[i].I,
				g.Keys[i].Kind == ir.Str && e.Keys[i].S != keys[i].S,
				g.Keys[i].Kind == ir.Deferred && !samePayload(e.Keys[i].S, keys[i].S):
				continue next
			}
		}
		out = append(out, e)
	}
	return out
}

// order gives the places of the first of the elements in an order, most at most, or of all
// with those first. Equal ones stay as they are.
func (m *Machine) order(g *ir.Global, list []Element, by ir.Sort, most int, all bool) ([]int, *Error) {
	t := g.Value
	if by.By > 0 {
		t = g.Keys[by.By-1]
	}
	value := func(e *Element) *Value {
		if by.By > 0 {
			return &e.Keys[by.By-1]
		}
		return &e.Val
	}
	switch t.Kind {
	case ir.Int:
		return places(list, most, by.Desc, all, func(e *Element) int64 { return value(e).I }), nil
	case ir.Str:
		return places(list, most, by.Desc, all, func(e *Element) string { return value(e).S }), nil
	case ir.Stat:
		return places(list, most, by.Desc, all, func(e *Element) int64 {
			n, _ := e.stat().Get(&g.Stat, by.Fn) // one that is empty after all counts as 0
			return n
		}), nil
	case ir.Deferred:
		texts := make(map[string]string, len(list))
		for i := range list {
			v := value(&list[i])
			if _, ok := texts[v.S]; ok {
				continue
			}
			s, err := m.text(*v)
			if err != nil {
				return nil, err
			}
			texts[v.S] = s
		}
		return places(list, most, by.Desc, all, func(e *Element) string { return texts[value(e).S] }), nil
	}
	return nil, NewError(ir.ErrInternal, 2)
}

// Rank gives the first of elements, most at most, by what key gives of each, and those of
// which it is the same by where they stand.
func Rank[K cmp.Ordered](list []Element, most int, desc bool, key func(*Element) K) []Element {
	return pick(list, places(list, most, desc, false, key))
}

// pick gives the elements at the places in order.
func pick(list []Element, order []int) []Element {
	out := make([]Element, len(order))
	for i, at := range order {
		out[i] = list[at]
	}
	return out
}

// fewest is up to which limit SystemTap looks for the first elements only, and leaves the
// others nearly as they are.
const fewest = 30

// places is what Rank and order give the elements of. What is compared is taken out
// first: elements are large, and arrays may have a million.
func places[K cmp.Ordered](list []Element, most int, desc, all bool, key func(*Element) K) []int {
	type place struct {
		key K
		at  int
	}
	before := func(a, b place) int {
		c := cmp.Compare(a.key, b.key)
		if desc {
			c = -c
		}
		if c == 0 {
			c = cmp.Compare(a.at, b.at)
		}
		return c
	}
	most = min(most, len(list))
	few := all && most <= fewest
	if all && !few {
		most = len(list)
	}
	var rest, out []int // of few: what did not come into question, and what did for a while
	// Of a few first ones, twice as many are collected before the latter half is dropped.
	room := len(list)
	if most <= room/4 {
		room = 2 * most
	}
	order := make([]place, 0, room)
	full := false // order has so many that what is behind the last of them need not be kept
	for i := range list {
		p := place{key(&list[i]), i}
		if few {
			// What falls out stands first among the others.
			if len(order) == most && before(order[most-1], p) < 0 {
				rest = append(rest, i)
				continue
			}
			at, _ := slices.BinarySearchFunc(order, p, before)
			order = slices.Insert(order, at, p)
			if len(order) > most {
				out = append(out, order[most].at)
				order = order[:most]
			}
			continue
		}
		if full && before(order[most-1], p) < 0 {
			continue
		}
		if order = append(order, p); len(order) == room && room < len(list) {
			slices.SortFunc(order, before)
			order, full = order[:most], true
		}
	}
	if !few {
		slices.SortFunc(order, before)
	}
	sorted := make([]int, most, most+len(out)+len(rest))
	for i := range sorted {
		sorted[i] = order[i].at
	}
	slices.Reverse(out)
	return append(append(sorted, out...), rest...)
}

func (e *Element) stat() *Stat {
	if e.Stat == nil {
		return new(Stat)
	}
	return e.Stat
}

// text resolves deferred text; an unset value is "".
func (m *Machine) text(v Value) (string, *Error) {
	if v.S == "" {
		return "", nil
	}
	s, err := m.env.Text(v)
	if err != nil {
		return "", raise(err, -1)
	}
	return s, nil
}

func (c *compiler) foreachHist(s *ir.ForeachHist) stmtFn {
	keys, stat := c.hist(&s.L, s.Site)
	limit := c.limit(s.Limit)
	body := c.block(s.Body)
	setKey, setValue := func(*frame, Value) {}, func(*frame, Value) {}
	if s.Key >= 0 {
		setKey = c.setLocal(s.Key)
	}
	if s.Value >= 0 {
		setValue = c.setLocal(s.Value)
	}
	n, by := c.m.hists[s.L.ID].Buckets(), s.Sort
	return func(f *frame) (ctl, *Error) {
		if err := keys(f); err != nil {
			return ctlDone, err
		}
		most, err := limit(f, n)
		if err != nil || most == 0 {
			return ctlDone, err
		}
		st, err := stat(f)
		if err != nil {
			return ctlDone, err
		}
		counts := make([]int64, n)
		copy(counts, st.Hist)
		order := make([]int, n)
		for i := range order {
			order[i] = i
		}
		switch {
		case by.By > 0 && by.Desc:
			slices.Reverse(order)
		case by.By < 0 && by.Desc:
			slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(counts[b], counts[a]) })
		case by.By < 0:
			slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(counts[a], counts[b]) })
		}
		return each(f, most, func(i int) *Error {
			setKey(f, IntValue(int64(order[i])))
			setValue(f, IntValue(counts[order[i]]))
			return nil
		}, body)
	}
}

func (c *compiler) ret(s *ir.Return) stmtFn {
	if s.X == nil {
		return func(*frame) (ctl, *Error) { return ctlReturn, nil }
	}
	if c.fn == nil || c.fn.Result.Kind == ir.Void {
		x := c.void(s.X)
		return func(f *frame) (ctl, *Error) { return ctlReturn, x(f) }
	}
	if c.fn.Result.Kind == ir.Int {
		x := c.intExpr(s.X)
		return func(f *frame) (ctl, *Error) {
			v, err := x(f)
			f.ri = v
			return ctlReturn, err
		}
	}
	x, t := c.strExpr(s.X), c.m.p.Limits.Limit(c.fn.Result)
	return func(f *frame) (ctl, *Error) {
		v, err := x(f)
		f.rs = fitString(v, t)
		return ctlReturn, err
	}
}

// fitString is fit for the S of a Str or Deferred.
func fitString(s string, t ir.Type) string {
	if t.Kind == ir.Deferred {
		return fitPayload(s, t.Width)
	}
	return cut(s, t.Width)
}

func (c *compiler) delete(s *ir.Delete) voidFn {
	l, site := &s.L, s.Site
	if !l.Global {
		id := l.ID
		return func(f *frame) *Error {
			f.i[id], f.s[id] = 0, ""
			return nil
		}
	}
	globals, id := c.m.globals(l.ID), l.ID
	g := &c.m.p.Globals[id]
	if g.IsArray() && len(l.Keys) == 0 {
		return func(f *frame) *Error {
			if err := globals.Clear(id); err != nil {
				return raise(err, site)
			}
			return nil
		}
	}
	keys, off := c.keys(l.Keys)
	n := len(l.Keys)
	if !slices.Contains(l.Keys, nil) {
		return func(f *frame) *Error {
			if err := keys(f); err != nil {
				return err
			}
			if err := globals.Delete(id, f.v[off:off+n:off+n]); err != nil {
				return raise(err, site)
			}
			return nil
		}
	}
	wild := wildcards(l.Keys)
	return func(f *frame) *Error {
		if err := keys(f); err != nil {
			return err
		}
		list, err := globals.Snapshot(id)
		if err != nil {
			return raise(err, site)
		}
		for _, e := range f.m.matching(g, list, f.v[off:off+n], wild) {
			if err := globals.Delete(id, e.Keys); err != nil {
				return raise(err, site)
			}
		}
		return nil
	}
}

func wildcards(keys []ir.Expr) []bool {
	wild := make([]bool, len(keys))
	for i, k := range keys {
		wild[i] = k == nil
	}
	return wild
}

func (c *compiler) try(s *ir.Try) stmtFn {
	body, catch := c.block(s.Body), c.block(s.Catch)
	set := func(*frame, Value) {}
	if s.Var >= 0 {
		set = c.setLocal(s.Var)
	}
	return func(f *frame) (ctl, *Error) {
		depth, calls := f.m.depth, f.m.calls
		k, err := body(f)
		if err == nil || err.host != nil || err.Code == ir.ErrMaxAction {
			return k, err
		}
		f.m.depth, f.m.calls = depth, calls
		set(f, StrValue(err.Error()))
		return catch(f)
	}
}

// args compiles the arguments of a format into f.v[off:off+n].
func (c *compiler) args(exprs []ir.Expr, fm int, site int) (fn voidFn, off int) {
	eval, off := c.keys(exprs)
	memory := c.m.p.Formats[fm].Parsed.Memory()
	if len(memory) == 0 {
		return eval, off
	}
	return func(f *frame) *Error {
		if err := eval(f); err != nil {
			return err
		}
		for _, a := range memory {
			prec := int64(0)
			if a.Star >= 0 {
				prec = f.v[off+a.Star].I
			}
			space := ir.KernelSpace
			if a.User {
				space = ir.UserSpace
			}
			addr := uint64(f.v[off+a.Index].I)
			buf := make([]byte, a.Directive.MemorySize(prec))
			if err := f.m.env.ReadMem(space, addr, buf); err != nil {
				return memFault(space, addr, site)
			}
			f.v[off+a.Index] = StrValue(string(buf))
		}
		return nil
	}, off
}

func memFault(space ir.Space, addr uint64, site int) *Error {
	if space == ir.UserSpace {
		return fault(ir.ErrUserFault, addr, site)
	}
	return fault(ir.ErrKernelFault, addr, site)
}

func (c *compiler) print(s *ir.Print) voidFn {
	args, off := c.args(s.Args, s.Format, s.Site)
	n, fm, site := len(s.Args), s.Format, s.Site
	return func(f *frame) *Error {
		if err := args(f); err != nil {
			return err
		}
		if err := f.m.env.Print(fm, f.v[off:off+n:off+n]); err != nil {
			return raise(err, site)
		}
		return nil
	}
}
