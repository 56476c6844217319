package interp

import (
	"encoding/binary"
	"strings"

	"stapkit/format"
	"stapkit/ir"
)

type (
	intFn func(*frame) (int64, *Error)
	strFn func(*frame) (string, *Error) // also payloads of deferred text
)

// width is the width of strings of type t as the script sees it.
func (c *compiler) width(t ir.Type) int { return c.m.p.Limits.Limit(t).Width }

// setLocal returns how local id is set.
func (c *compiler) setLocal(id int) func(*frame, Value) {
	t := c.code.locals[id]
	if t.Kind == ir.Int {
		return func(f *frame, v Value) { f.i[id] = v.I }
	}
	return func(f *frame, v Value) { f.s[id] = fitString(v.S, t) }
}

// keys compiles expressions into f.v[off:]; nil ones (wildcards) are left out.
func (c *compiler) keys(list []ir.Expr) (fn voidFn, off int) {
	off = c.values(len(list))
	var sets []voidFn
	for i, e := range list {
		if e == nil {
			continue
		}
		at, t := off+i, e.Type()
		if t.Kind == ir.Int {
			x := c.intExpr(e)
			sets = append(sets, func(f *frame) *Error {
				v, err := x(f)
				f.v[at] = Value{Kind: ir.Int, I: v}
				return err
			})
			continue
		}
		x := c.strExpr(e)
		sets = append(sets, func(f *frame) *Error {
			v, err := x(f)
			f.v[at] = Value{Kind: t.Kind, Text: t.Text, S: v}
			return err
		})
	}
	if len(sets) == 1 {
		return sets[0], off
	}
	return func(f *frame) *Error {
		for _, set := range sets {
			if err := set(f); err != nil {
				return err
			}
		}
		return nil
	}, off
}

// void compiles an expression whose value nobody wants.
func (c *compiler) void(e ir.Expr) voidFn {
	defer c.deeper()()
	switch e := e.(type) {
	case *ir.Update:
		return c.updateVoid(e)
	case *ir.StatAdd:
		return c.statAdd(e)
	case *ir.Seq:
		body, r := c.block(e.Body), c.void(e.R)
		return func(f *frame) *Error {
			if _, err := body(f); err != nil {
				return err
			}
			return r(f)
		}
	case *ir.Cond:
		cond, x, y := c.intExpr(e.C), c.void(e.X), c.void(e.Y)
		return func(f *frame) *Error {
			v, err := cond(f)
			switch {
			case err != nil:
				return err
			case v != 0:
				return x(f)
			}
			return y(f)
		}
	case *ir.Call:
		call := c.call(e)
		return func(f *frame) *Error {
			g, code, err := call(f)
			if g != nil {
				f.m.leave(code, g)
			}
			return err
		}
	case *ir.Region:
		return c.region(e)
	case *ir.Intrinsic:
		if e.T.Kind == ir.Void {
			return c.intrinsicVoid(e)
		}
	case *ir.IntConst, *ir.StrConst, *ir.Local:
		return func(*frame) *Error { return nil }
	}
	if e.Type().Kind == ir.Int {
		x := c.intExpr(e)
		return func(f *frame) *Error {
			_, err := x(f)
			return err
		}
	}
	x := c.strExpr(e)
	return func(f *frame) *Error {
		_, err := x(f)
		return err
	}
}

// value compiles an expression of kind Int, Str or Deferred.
func (c *compiler) value(e ir.Expr) func(*frame) (Value, *Error) {
	t := e.Type()
	if t.Kind == ir.Int {
		x := c.intExpr(e)
		return func(f *frame) (Value, *Error) {
			v, err := x(f)
			return IntValue(v), err
		}
	}
	x := c.strExpr(e)
	return func(f *frame) (Value, *Error) {
		v, err := x(f)
		return Value{Kind: t.Kind, Text: t.Text, S: v}, err
	}
}

func (c *compiler) intExpr(e ir.Expr) intFn {
	defer c.deeper()()
	switch e := e.(type) {
	case *ir.IntConst:
		v := e.V
		return func(*frame) (int64, *Error) { return v, nil }
	case *ir.Local:
		id := e.ID
		return func(f *frame) (int64, *Error) { return f.i[id], nil }
	case *ir.GlobalGet:
		get := c.get(e.G, nil)
		return func(f *frame) (int64, *Error) {
			v, err := get(f)
			return v.I, err
		}
	case *ir.IndexGet:
		get := c.get(e.G, e.Keys)
		return func(f *frame) (int64, *Error) {
			v, err := get(f)
			return v.I, err
		}
	case *ir.IndexIn:
		return c.indexIn(e)
	case *ir.Update:
		return c.updateInt(e)
	case *ir.StatGet:
		fn, site := e.Fn, e.Site
		keys, stat := c.stat(&e.L, site)
		shape := &c.m.p.Globals[e.L.ID].Stat
		return func(f *frame) (int64, *Error) {
			if err := keys(f); err != nil {
				return 0, err
			}
			st, err := stat(f)
			if err != nil {
				return 0, err
			}
			v, err := st.Get(shape, fn)
			if err != nil {
				return 0, err.at(site)
			}
			return v, nil
		}
	case *ir.HistGet:
		return c.histGet(e)
	case *ir.Unary:
		x := c.intExpr(e.X)
		switch e.Op {
		case ir.OpNeg:
			return func(f *frame) (int64, *Error) { v, err := x(f); return -v, err }
		case ir.OpNot:
			return func(f *frame) (int64, *Error) { v, err := x(f); return b2i(v == 0), err }
		case ir.OpBitNot:
			return func(f *frame) (int64, *Error) { v, err := x(f); return ^v, err }
		}
	case *ir.Binary:
		switch e.X.Type().Kind {
		case ir.Int:
			return c.binary(e)
		case ir.Str:
			return c.compareStr(e)
		case ir.Deferred:
			return c.compareText(e)
		}
	case *ir.Logical:
		x, y, and := c.intExpr(e.X), c.intExpr(e.Y), e.And
		return func(f *frame) (int64, *Error) {
			v, err := x(f)
			if err != nil || (v != 0) != and {
				return b2i(v != 0), err
			}
			v, err = y(f)
			return b2i(v != 0), err
		}
	case *ir.Cond:
		cond, x, y := c.intExpr(e.C), c.intExpr(e.X), c.intExpr(e.Y)
		return func(f *frame) (int64, *Error) {
			v, err := cond(f)
			switch {
			case err != nil:
				return 0, err
			case v != 0:
				return x(f)
			}
			return y(f)
		}
	case *ir.Call:
		call := c.call(e)
		return func(f *frame) (int64, *Error) {
			g, code, err := call(f)
			if g == nil {
				return 0, err
			}
			v := g.ri
			f.m.leave(code, g)
			return v, err
		}
	case *ir.Seq:
		body, r := c.block(e.Body), c.intExpr(e.R)
		return func(f *frame) (int64, *Error) {
			if _, err := body(f); err != nil {
				return 0, err
			}
			return r(f)
		}
	case *ir.Intrinsic:
		return c.intrinsicInt(e)
	case *ir.Match:
		return c.match(e)
	case *ir.CtxArg:
		n, size, signed := e.N, e.Size, e.Signed
		return func(f *frame) (int64, *Error) {
			v, err := f.m.env.CtxArg(n)
			if err != nil {
				return 0, raise(err, 0)
			}
			return narrow(uint64(v), size, signed), nil
		}
	case *ir.CtxField:
		off, size, signed := e.Off, e.Size, e.Signed
		return func(f *frame) (int64, *Error) {
			var buf [8]byte
			if err := f.m.env.CtxBytes(off, buf[:size]); err != nil {
				return 0, raise(err, 0)
			}
			return narrow(binary.NativeEndian.Uint64(spread(&buf, size)), size, signed), nil
		}
	case *ir.Load:
		return c.load(c.intExpr(e.Addr), e.Size, e.Signed, e.Space, e.Site)
	case *ir.Field:
		return c.field(e)
	case *ir.Exists:
		_, ok := c.m.env.Member(e.TypeID, e.Access)
		v := b2i(ok)
		return func(*frame) (int64, *Error) { return v, nil }
	case *ir.Region:
		region, r := c.region(e), c.result(e)
		return func(f *frame) (int64, *Error) {
			if err := region(f); err != nil {
				return 0, err
			}
			return f.v[r].I, nil
		}
	}
	return bad[int64]()
}

func (c *compiler) strExpr(e ir.Expr) strFn {
	defer c.deeper()()
	switch e := e.(type) {
	case *ir.StrConst:
		s := e.S
		return func(*frame) (string, *Error) { return s, nil }
	case *ir.Local:
		id := e.ID
		return func(f *frame) (string, *Error) { return f.s[id], nil }
	case *ir.GlobalGet:
		get := c.get(e.G, nil)
		return func(f *frame) (string, *Error) {
			v, err := get(f)
			return v.S, err
		}
	case *ir.IndexGet:
		get := c.get(e.G, e.Keys)
		return func(f *frame) (string, *Error) {
			v, err := get(f)
			return v.S, err
		}
	case *ir.Update:
		return c.updateStr(e)
	case *ir.Binary:
		x, y, width := c.strExpr(e.X), c.strExpr(e.Y), c.width(e.T)
		return func(f *frame) (string, *Error) {
			a, err := x(f)
			if err != nil {
				return "", err
			}
			b, err := y(f)
			if err != nil {
				return "", err
			}
			return concat(a, b, width), nil
		}
	case *ir.Cond:
		cond, x, y, t := c.intExpr(e.C), c.strExpr(e.X), c.strExpr(e.Y), c.m.p.Limits.Limit(e.T)
		return func(f *frame) (string, *Error) {
			v, err := cond(f)
			if err != nil {
				return "", err
			}
			pick := y
			if v != 0 {
				pick = x
			}
			s, err := pick(f)
			return fitString(s, t), err
		}
	case *ir.Call:
		call := c.call(e)
		return func(f *frame) (string, *Error) {
			g, code, err := call(f)
			if g == nil {
				return "", err
			}
			s := g.rs
			f.m.leave(code, g)
			return s, err
		}
	case *ir.Seq:
		body, r := c.block(e.Body), c.strExpr(e.R)
		return func(f *frame) (string, *Error) {
			if _, err := body(f); err != nil {
				return "", err
			}
			return r(f)
		}
	case *ir.Intrinsic:
		return c.intrinsicStr(e)
	case *ir.Sprintf:
		return c.sprintf(e)
	case *ir.Lookup:
		x, t, width := c.intExpr(e.X), c.m.tables[e.Table], c.width(e.T)
		return func(f *frame) (string, *Error) {
			v, err := x(f)
			if err != nil {
				return "", err
			}
			return cut(t.lookup(v), width), nil
		}
	case *ir.MakeText:
		return c.makeText(e)
	case *ir.Region:
		region, r := c.region(e), c.result(e)
		return func(f *frame) (string, *Error) {
			if err := region(f); err != nil {
				return "", err
			}
			return f.v[r].S, nil
		}
	}
	return bad[string]()
}

// get reads a scalar (no keys) or an element.
func (c *compiler) get(g int, list []ir.Expr) func(*frame) (Value, *Error) {
	globals := c.m.globals(g)
	if store, ok := globals.(*Store); ok && len(list) == 0 {
		v := &store.globals[g].val
		return func(*frame) (Value, *Error) { return *v, nil }
	}
	keys, off := c.keys(list)
	n := len(list)
	return func(f *frame) (Value, *Error) {
		if err := keys(f); err != nil {
			return Value{}, err
		}
		v, _, err := globals.Get(g, f.v[off:off+n:off+n])
		if err != nil {
			return Value{}, raise(err, 0)
		}
		return v, nil
	}
}

func (c *compiler) indexIn(e *ir.IndexIn) intFn {
	globals, g := c.m.globals(e.G), e.G
	keys, off := c.keys(e.Keys)
	wild := wildcards(e.Keys)
	n, some := len(wild), false
	for _, w := range wild {
		some = some || w
	}
	def := &c.m.p.Globals[g]
	return func(f *frame) (int64, *Error) {
		if err := keys(f); err != nil {
			return 0, err
		}
		list := f.v[off : off+n : off+n]
		if some {
			all, err := globals.Snapshot(g)
			if err != nil {
				return 0, raise(err, 0)
			}
			return b2i(len(f.m.matching(def, all, list, wild)) > 0), nil
		}
		if def.Value.Kind == ir.Stat {
			st, err := globals.Stat(g, list)
			if err != nil {
				return 0, raise(err, 0)
			}
			return b2i(st != nil && st.Count > 0), nil
		}
		_, ok, err := globals.Get(g, list)
		if err != nil {
			return 0, raise(err, 0)
		}
		return b2i(ok), nil
	}
}

// update compiles an Update of a global.
func (c *compiler) update(e *ir.Update) func(*frame) (old, stored Value, err *Error) {
	globals, g := c.m.globals(e.L.ID), e.L.ID
	keys, off := c.keys(e.L.Keys)
	r, op, n, site := c.value(e.R), e.Op, len(e.L.Keys), e.Site
	store, direct := globals.(*Store)
	return func(f *frame) (old, stored Value, err *Error) {
		if err = keys(f); err != nil {
			return
		}
		v, err := r(f)
		if err != nil {
			return
		}
		list := f.v[off : off+n : off+n]
		if direct {
			if old, stored, err = store.update(g, list, op, v); err != nil {
				err = err.at(site)
			}
			return
		}
		old, stored, e := globals.Update(g, list, op, v)
		if e != nil {
			err = raise(e, site)
		}
		return
	}
}

func (c *compiler) updateVoid(e *ir.Update) voidFn {
	if !e.L.Global {
		if e.L.T.Kind == ir.Int {
			return c.updateLocal(e)
		}
		up := c.updateStr(e)
		return func(f *frame) *Error {
			_, err := up(f)
			return err
		}
	}
	if e.L.T.Kind == ir.Int && len(e.L.Keys) <= 1 {
		if fn := c.updateStoreInt(e); fn != nil {
			return func(f *frame) *Error {
				_, _, err := fn(f)
				return err
			}
		}
	}
	up := c.update(e)
	return func(f *frame) *Error {
		_, _, err := up(f)
		return err
	}
}

// updateStoreInt is update for the case that scripts spend their time in: a
// number of the loader's own, a scalar or with one Int key. It returns nil in
// other cases.
func (c *compiler) updateStoreInt(e *ir.Update) func(*frame) (old, stored int64, err *Error) {
	store, ok := c.m.globals(e.L.ID).(*Store)
	if !ok || e.L.T.Kind != ir.Int {
		return nil
	}
	a := &store.globals[e.L.ID]
	r, op, site := c.intExpr(e.R), e.Op, e.Site
	apply := func(p *int64, y int64) (old, stored int64, err *Error) {
		old = *p
		if op == ir.OpAdd {
			*p = old + y
			return old, *p, nil
		}
		if stored, err = arith(op, old, y); err != nil {
			return 0, 0, err.at(site)
		}
		*p = stored
		return old, stored, nil
	}
	if len(e.L.Keys) == 0 {
		return func(f *frame) (old, stored int64, err *Error) {
			y, err := r(f)
			if err != nil {
				return 0, 0, err
			}
			return apply(&a.val.I, y)
		}
	}
	if len(e.L.Keys) != 1 || e.L.Keys[0].Type().Kind != ir.Int {
		return nil
	}
	key := c.intExpr(e.L.Keys[0])
	return func(f *frame) (old, stored int64, err *Error) {
		k, err := key(f)
		if err != nil {
			return 0, 0, err
		}
		y, err := r(f)
		if err != nil {
			return 0, 0, err
		}
		if el := a.ints[k]; el != nil {
			return apply(&el.val.I, y)
		}
		o, s, err := store.update(e.L.ID, []Value{IntValue(k)}, op, IntValue(y))
		if err != nil {
			return 0, 0, err.at(site)
		}
		return o.I, s.I, nil
	}
}

// updateLocal is an Update of an Int local whose value nobody wants.
func (c *compiler) updateLocal(e *ir.Update) voidFn {
	id := e.L.ID
	if k, ok := e.R.(*ir.IntConst); ok {
		v := k.V
		switch e.Op {
		case ir.OpSet:
			return func(f *frame) *Error { f.i[id] = v; return nil }
		case ir.OpAdd:
			return func(f *frame) *Error { f.i[id] += v; return nil }
		case ir.OpSub:
			return func(f *frame) *Error { f.i[id] -= v; return nil }
		}
	}
	r := c.intExpr(e.R)
	switch e.Op {
	case ir.OpSet:
		return func(f *frame) *Error {
			v, err := r(f)
			if err == nil {
				f.i[id] = v
			}
			return err
		}
	case ir.OpAdd:
		return func(f *frame) *Error {
			v, err := r(f)
			if err == nil {
				f.i[id] += v
			}
			return err
		}
	}
	up := c.updateInt(e)
	return func(f *frame) *Error {
		_, err := up(f)
		return err
	}
}

func (c *compiler) updateInt(e *ir.Update) intFn {
	old := e.Old
	pick := func(o, s int64) int64 {
		if old {
			return o
		}
		return s
	}
	if e.L.Global {
		if fn := c.updateStoreInt(e); fn != nil {
			return func(f *frame) (int64, *Error) {
				o, s, err := fn(f)
				return pick(o, s), err
			}
		}
		up := c.update(e)
		return func(f *frame) (int64, *Error) {
			o, s, err := up(f)
			return pick(o.I, s.I), err
		}
	}
	id, op, r, site := e.L.ID, e.Op, c.intExpr(e.R), e.Site
	return func(f *frame) (int64, *Error) {
		v, err := r(f)
		if err != nil {
			return 0, err
		}
		o := f.i[id]
		s, err := arith(op, o, v)
		if err != nil {
			return 0, err.at(site)
		}
		f.i[id] = s
		return pick(o, s), nil
	}
}

func (c *compiler) updateStr(e *ir.Update) strFn {
	old := e.Old
	if e.L.Global {
		up := c.update(e)
		return func(f *frame) (string, *Error) {
			o, s, err := up(f)
			if old {
				return o.S, err
			}
			return s.S, err
		}
	}
	id, op, r, t := e.L.ID, e.Op, c.strExpr(e.R), c.code.locals[e.L.ID]
	return func(f *frame) (string, *Error) {
		v, err := r(f)
		if err != nil {
			return "", err
		}
		o := f.s[id]
		if op == ir.OpConcat {
			v = concat(o, v, t.Width)
		} else {
			v = fitString(v, t)
		}
		f.s[id] = v
		if old {
			return o, nil
		}
		return v, nil
	}
}

func (c *compiler) statAdd(e *ir.StatAdd) voidFn {
	globals, g := c.m.globals(e.L.ID), e.L.ID
	keys, off := c.keys(e.L.Keys)
	v, n, site := c.intExpr(e.V), len(e.L.Keys), e.Site
	return func(f *frame) *Error {
		if err := keys(f); err != nil {
			return err
		}
		x, err := v(f)
		if err != nil {
			return err
		}
		if err := globals.StatAdd(g, f.v[off:off+n:off+n], x); err != nil {
			return raise(err, site)
		}
		return nil
	}
}

// stat compiles the reading of an aggregate in two steps: its keys, to be
// evaluated first, and the access; a missing one is empty.
func (c *compiler) stat(l *ir.LValue, site int) (keys voidFn, read func(*frame) (*Stat, *Error)) {
	globals, g := c.m.globals(l.ID), l.ID
	keys, off := c.keys(l.Keys)
	n := len(l.Keys)
	return keys, func(f *frame) (*Stat, *Error) {
		st, err := globals.Stat(g, f.v[off:off+n:off+n])
		if err != nil {
			return nil, raise(err, site)
		}
		if st == nil {
			st = new(Stat)
		}
		return st, nil
	}
}

// hist is stat for what raises ErrEmptyStat.
func (c *compiler) hist(l *ir.LValue, site int) (keys voidFn, read func(*frame) (*Stat, *Error)) {
	keys, stat := c.stat(l, site)
	return keys, func(f *frame) (*Stat, *Error) {
		st, err := stat(f)
		if err == nil && st.Count == 0 {
			return nil, fault(ir.ErrEmptyStat, 0, site)
		}
		return st, err
	}
}

func (c *compiler) histGet(e *ir.HistGet) intFn {
	site := e.Site
	keys, stat := c.hist(&e.L, site)
	bucket := c.intExpr(e.Bucket)
	buckets := int64(c.m.hists[e.L.ID].Buckets())
	return func(f *frame) (int64, *Error) {
		if err := keys(f); err != nil {
			return 0, err
		}
		b, err := bucket(f)
		if err != nil {
			return 0, err
		}
		st, err := stat(f)
		switch {
		case err != nil:
			return 0, err
		case b < 0 || b >= buckets:
			return 0, fault(ir.ErrBucket, uint64(b), site)
		case b >= int64(len(st.Hist)):
			return 0, nil
		}
		return st.Hist[b], nil
	}
}

func (c *compiler) compareStr(e *ir.Binary) intFn {
	x, y, op := c.strExpr(e.X), c.strExpr(e.Y), e.Op
	return func(f *frame) (int64, *Error) {
		a, err := x(f)
		if err != nil {
			return 0, err
		}
		b, err := y(f)
		if err != nil {
			return 0, err
		}
		if op == ir.OpEq {
			return b2i(a == b), nil
		}
		return arith(op, int64(strings.Compare(a, b)), 0)
	}
}

// compareText is == and != of deferred text: of equal payloads, or else of
// equal texts.
func (c *compiler) compareText(e *ir.Binary) intFn {
	x, y, ne := c.value(e.X), c.value(e.Y), e.Op == ir.OpNe
	return func(f *frame) (int64, *Error) {
		a, err := x(f)
		if err != nil {
			return 0, err
		}
		b, err := y(f)
		if err != nil {
			return 0, err
		}
		same := samePayload(a.S, b.S)
		if !same {
			s, err := f.m.text(a)
			if err != nil {
				return 0, err
			}
			t, err := f.m.text(b)
			if err != nil {
				return 0, err
			}
			same = s == t
		}
		return b2i(same != ne), nil
	}
}

// call compiles a call. It yields the callee's frame, which holds the result
// and which the caller gives back, or nil on an error.
func (c *compiler) call(e *ir.Call) func(*frame) (*frame, *code, *Error) {
	args, off := c.keys(e.Args)
	site := e.Site
	chain := make([]*code, len(e.Chain))
	for i, fn := range e.Chain {
		chain[i] = c.m.function(fn)
	}
	limit := c.m.p.Limits.MaxNesting
	return func(f *frame) (*frame, *code, *Error) {
		if err := args(f); err != nil {
			return nil, nil, err
		}
		m := f.m
		for _, callee := range chain {
			if callee.recursive {
				if m.calls >= limit {
					return nil, nil, fault(ir.ErrMaxNesting, 0, site)
				}
				m.calls++
			}
			if m.depth += callee.depth + 1; m.depth > maxDepth {
				return nil, nil, fault(ir.ErrMaxNesting, 0, site)
			}
			g := m.enter(callee)
			for i := range callee.params {
				t, v := callee.locals[i], &f.v[off+i]
				if t.Kind == ir.Int {
					g.i[i] = v.I
				} else {
					g.s[i] = fitString(v.S, t)
				}
			}
			k, err := callee.body(g)
			if err != nil {
				m.leave(callee, g)
				return nil, nil, err // try or Run sets depth and calls right
			}
			m.depth -= callee.depth + 1
			if callee.recursive {
				m.calls--
			}
			if k != ctlNext {
				return g, callee, nil
			}
			m.leave(callee, g)
		}
		return nil, nil, fault(ir.ErrExhausted, 0, site)
	}
}

func (c *compiler) match(e *ir.Match) intFn {
	x, re, negate := c.strExpr(e.X), c.m.regexps[e.Re], e.Negate
	return func(f *frame) (int64, *Error) {
		s, err := x(f)
		if err != nil {
			return 0, err
		}
		f.m.match, f.m.matched = re.Find(s), s
		return b2i((f.m.match != nil) != negate), nil
	}
}

// sprintf makes a string as format.Sprint does.
func (c *compiler) sprintf(e *ir.Sprintf) strFn {
	args, off := c.args(e.Args, e.Format, e.Site)
	fm, n, width, site := c.m.p.Formats[e.Format].Parsed, len(e.Args), c.width(e.T), e.Site
	return func(f *frame) (string, *Error) {
		if err := args(f); err != nil {
			return "", err
		}
		list := make([]format.Arg, n)
		for i, v := range f.v[off : off+n] {
			switch v.Kind {
			case ir.Int:
				list[i] = format.LongArg(v.I)
			case ir.Deferred:
				s, err := f.m.text(v)
				if err != nil {
					return "", err.at(site)
				}
				list[i] = format.StringArg(s)
			default:
				list[i] = format.StringArg(v.S)
			}
		}
		s, err := format.Sprint(fm, list, width-1)
		if err != nil {
			return "", fault(ir.ErrInternal, 3, site)
		}
		return s, nil
	}
}

// region runs a region in one step, by the Env or in place; its result is in
// f.v[c.result(e)].
func (c *compiler) region(e *ir.Region) voidFn {
	result := c.result(e)
	body := c.block(e.Body)
	value := func(*frame) (Value, *Error) { return Value{}, nil }
	if e.Result != nil {
		value = c.value(e.Result)
	}
	inPlace := func(f *frame) *Error {
		if _, err := body(f); err != nil {
			return err
		}
		v, err := value(f)
		f.v[result] = v
		return err
	}
	if e.ID >= len(c.m.p.Regions) || c.m.p.Regions[e.ID] == nil {
		return inPlace
	}
	params, locals, id := c.m.p.Regions[e.ID].Params, c.code.locals, e.ID
	buf := c.values(len(params))
	sets := make([]func(*frame, Value), len(params))
	for i, p := range params {
		if p.Out {
			sets[i] = c.setLocal(p.Local)
		}
	}
	return func(f *frame) *Error {
		list := f.v[buf : buf+len(params) : buf+len(params)]
		for i, p := range params {
			list[i] = Zero(locals[p.Local])
			if p.In {
				list[i].I, list[i].S = f.i[p.Local], f.s[p.Local]
			}
		}
		v, done, err := f.m.env.Region(id, list)
		if !done && err == nil {
			return inPlace(f)
		}
		for i, set := range sets {
			if set != nil {
				set(f, list[i])
			}
		}
		if err != nil {
			return raise(err, 0)
		}
		f.v[result] = v
		return nil
	}
}

// result is the place in f.v where a region leaves its result.
func (c *compiler) result(e *ir.Region) int {
	if c.results == nil {
		c.results = map[*ir.Region]int{}
	}
	at, ok := c.results[e]
	if !ok {
		at = c.values(1)
		c.results[e] = at
	}
	return at
}

// narrow takes the low size bytes of v.
func narrow(v uint64, size int, signed bool) int64 {
	shift := 64 - 8*uint(size)
	if signed {
		return int64(v<<shift) >> shift
	}
	return int64(v << shift >> shift)
}

// spread moves the first size bytes of buf to where a 64-bit load finds them in
// its low bytes.
func spread(buf *[8]byte, size int) []byte {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 { // big-endian
		var b [8]byte
		copy(b[8-size:], buf[:size])
		*buf = b
	}
	return buf[:]
}

// read reads a number from memory.
func read(m *Machine, space ir.Space, addr uint64, size int, site int) (uint64, *Error) {
	var buf [8]byte
	if err := m.env.ReadMem(space, addr, buf[:size]); err != nil {
		return 0, memFault(space, addr, site)
	}
	return binary.NativeEndian.Uint64(spread(&buf, size)), nil
}

func (c *compiler) load(addr intFn, size int, signed bool, space ir.Space, site int) intFn {
	return func(f *frame) (int64, *Error) {
		a, err := addr(f)
		if err != nil {
			return 0, err
		}
		v, err := read(f.m, space, uint64(a), size, site)
		return narrow(v, size, signed), err
	}
}

func (c *compiler) field(e *ir.Field) intFn {
	base, space, site := c.intExpr(e.Base), e.Space, e.Site
	at := Member{Off: e.Off, Size: e.Size, Signed: e.Signed, BitOff: e.BitOff, BitSize: e.BitSize}
	mem, ok := Member{KeepCompiled: true}, true
	if e.TypeID >= 0 {
		mem, ok = c.m.env.Member(e.TypeID, e.Access)
	}
	if !ok {
		return func(f *frame) (int64, *Error) {
			_, err := base(f)
			if err == nil {
				err = fault(ir.ErrNoContext, 0, site)
			}
			return 0, err
		}
	}
	if !mem.KeepCompiled {
		at = mem
	}
	addr := func(f *frame) (int64, *Error) {
		v, err := base(f)
		return v + int64(at.Off), err
	}
	if e.AddrOnly {
		return addr
	}
	if at.BitSize == 0 {
		return c.load(addr, at.Size, at.Signed, space, site)
	}
	return func(f *frame) (int64, *Error) {
		a, err := addr(f)
		if err != nil {
			return 0, err
		}
		v, err := read(f.m, space, uint64(a), at.Size, site)
		shift := 64 - uint(at.BitSize)
		v = v >> uint(at.BitOff) << shift
		if at.Signed {
			return int64(v) >> shift, err
		}
		return int64(v >> shift), err
	}
}

// binary is arithmetic and comparison of numbers.
func (c *compiler) binary(e *ir.Binary) intFn {
	site := e.Site
	if k, ok := e.Y.(*ir.IntConst); ok {
		if fn := binaryConst(e.Op, c.intExpr(e.X), k.V); fn != nil {
			return fn
		}
	}
	x, y, op := c.intExpr(e.X), c.intExpr(e.Y), e.Op
	both := func(apply func(a, b int64) int64) intFn {
		return func(f *frame) (int64, *Error) {
			a, err := x(f)
			if err != nil {
				return 0, err
			}
			b, err := y(f)
			if err != nil {
				return 0, err
			}
			return apply(a, b), nil
		}
	}
	switch op {
	case ir.OpAdd:
		return func(f *frame) (int64, *Error) {
			a, err := x(f)
			if err != nil {
				return 0, err
			}
			b, err := y(f)
			return a + b, err
		}
	case ir.OpSub:
		return both(func(a, b int64) int64 { return a - b })
	case ir.OpLt:
		return both(func(a, b int64) int64 { return b2i(a < b) })
	case ir.OpEq:
		return both(func(a, b int64) int64 { return b2i(a == b) })
	}
	return func(f *frame) (int64, *Error) {
		a, err := x(f)
		if err != nil {
			return 0, err
		}
		b, err := y(f)
		if err != nil {
			return 0, err
		}
		v, err := arith(op, a, b)
		if err != nil {
			return 0, err.at(site)
		}
		return v, nil
	}
}

// binaryConst is binary with a constant on the right, for the operators that
// loops are made of; nil for others.
func binaryConst(op ir.Op, x intFn, k int64) intFn {
	switch op {
	case ir.OpAdd:
		return func(f *frame) (int64, *Error) { v, err := x(f); return v + k, err }
	case ir.OpSub:
		return func(f *frame) (int64, *Error) { v, err := x(f); return v - k, err }
	case ir.OpMul:
		return func(f *frame) (int64, *Error) { v, err := x(f); return v * k, err }
	case ir.OpAnd:
		return func(f *frame) (int64, *Error) { v, err := x(f); return v & k, err }
	case ir.OpEq:
		return func(f *frame) (int64, *Error) { v, err := x(f); return b2i(v == k), err }
	case ir.OpNe:
		return func(f *frame) (int64, *Error) { v, err := x(f); return b2i(v != k), err }
	case ir.OpLt:
		return func(f *frame) (int64, *Error) { v, err := x(f); return b2i(v < k), err }
	case ir.OpLe:
		return func(f *frame) (int64, *Error) { v, err := x(f); return b2i(v <= k), err }
	case ir.OpGt:
		return func(f *frame) (int64, *Error) { v, err := x(f); return b2i(v > k), err }
	case ir.OpGe:
		return func(f *frame) (int64, *Error) { v, err := x(f); return b2i(v >= k), err }
	case ir.OpDiv:
		if k != 0 {
			return func(f *frame) (int64, *Error) { v, err := x(f); return v / k, err }
		}
	case ir.OpMod:
		if k != 0 {
			return func(f *frame) (int64, *Error) { v, err := x(f); return v % k, err }
		}
	}
	return nil
}
