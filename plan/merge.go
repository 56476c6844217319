package plan

import (
	"encoding/binary"
	"fmt"
	"reflect"
	"slices"

	"stapkit/ir"
)

// crowd is how many handlers must be alike to be made one program. A few are
// cheaper apart: each then has its constants in its code and need not ask for
// which probe it runs. Behind a dispatcher two will do, as there are many anyhow.
const crowd = 8

// merge makes one handler of kernel handlers whose bodies are the same but for
// constants, names, formats and places in the script: of the probes that a
// pattern finds, or of system calls that take the same arguments. What differs
// goes to the handler's Points. It comes after lazy, which leaves nothing of a
// call's decoding but the arguments and the number of a format.
func (pl *planner) merge() {
	p := pl.p
	type member struct {
		handler, probe int
		shape          *shape
	}
	groups := map[string][]member{}
	var order []string
	rows := map[int][]*ir.Attach{} // by handler
	owner := map[int]int{}         // the probe whose rows name the handler
	shared := map[int]bool{}       // several probes do already
	for i := range p.Probes {
		for j := range p.Probes[i].Attach {
			a := &p.Probes[i].Attach[j]
			if o, ok := owner[a.Handler]; ok && o != i {
				shared[a.Handler] = true
			}
			owner[a.Handler] = i
			rows[a.Handler] = append(rows[a.Handler], a)
		}
	}
	for i, h := range p.Handlers {
		probe, ok := owner[i]
		if !h.Kernel || !ok || shared[i] || h.Ctx == ir.CtxNetfilter || h.Ctx == ir.CtxRegion || probe >= ir.MaxProbes {
			continue
		}
		s := shapeOf(h)
		key := string(s.key)
		for _, a := range rows[i] {
			if a.Carrier == "dispatch" {
				// The call's number tells the point, so no two may share one.
				key += "\x00" + ir.DispatcherName(a)
			}
		}
		if groups[key] == nil {
			order = append(order, key)
		}
		groups[key] = append(groups[key], member{i, probe, s})
	}
	gone := map[int]int{} // handler -> the one that took its place
	for _, key := range order {
		all := groups[key]
		if len(all) <= crowd && (len(all) == 1 || rows[all[0].handler][0].Carrier != "dispatch") {
			continue
		}
		for g := range slices.Chunk(all, ir.MaxPoints) {
			h := p.Handlers[g[0].handler]
			h.Points = make([]ir.Point, len(g))
			shapes := make([]*shape, len(g))
			for i, m := range g {
				h.Points[i].Probe = m.probe
				shapes[i] = m.shape
				gone[m.handler] = g[0].handler
				for _, a := range rows[m.handler] {
					a.Cookie = ir.PointCookie(i, m.probe)
				}
			}
			fillPoints(h, shapes)
		}
	}
	if len(gone) == 0 {
		return
	}
	number := make([]int, len(p.Handlers))
	var kept []*ir.Handler
	for i, h := range p.Handlers {
		if to, ok := gone[i]; ok && to != i {
			continue
		}
		number[i] = len(kept)
		kept = append(kept, h)
	}
	for i := range p.Probes {
		for j := range p.Probes[i].Attach {
			a := &p.Probes[i].Attach[j]
			if to, ok := gone[a.Handler]; ok {
				a.Handler = to
			}
			a.Handler = number[a.Handler]
		}
	}
	p.Handlers = kept
}

// shape is a handler without what may differ between the members of a group.
type shape struct {
	key   []byte
	holes []hole
	sites []int
}

// hole is a constant, with the place where it stands.
type hole struct {
	slot *ir.Expr     // an IntConst or StrConst
	text *ir.MakeText // or the first word of a text
	i    int64
	s    string
	str  bool
	// Or what is taken of a register: ((x << i) >> i) & mask.
	reg  ir.Expr
	mask int64
}

func (h *hole) same(o *hole) bool { return h.i == o.i && h.s == o.s && h.mask == o.mask }

// narrowed takes apart what is read of a saved register: the whole word, or the
// low bits of it, with or without sign.
func narrowed(x ir.Expr) (reg ir.Expr, shift, mask int64) {
	word := func(x ir.Expr) bool {
		f, ok := x.(*ir.Field)
		return ok && f.TypeID < 0 && f.Size == 8 && f.BitSize == 0 && !f.AddrOnly
	}
	if word(x) {
		return x, 0, -1
	}
	b, ok := x.(*ir.Binary)
	if !ok {
		return nil, 0, 0
	}
	y, ok := b.Y.(*ir.IntConst)
	switch {
	case !ok:
	case b.Op == ir.OpAnd && word(b.X):
		return b.X, 0, y.V
	case b.Op == ir.OpShr:
		l, ok := b.X.(*ir.Binary)
		if !ok || l.Op != ir.OpShl || !word(l.X) {
			break
		}
		if n, ok := l.Y.(*ir.IntConst); ok && n.V == y.V {
			return l.X, y.V, -1
		}
	}
	return nil, 0, 0
}

func shapeOf(h *ir.Handler) *shape {
	s := &shape{}
	s.key = fmt.Appendf(nil, "%d %v %v %d %v;", h.Ctx, h.Sleepable, h.Return, h.MaxActions, h.Locals)
	s.value(reflect.ValueOf(&h.Cond).Elem(), true)
	s.value(reflect.ValueOf(&h.Body).Elem(), true)
	return s
}

// anyArgs are the intrinsics whose arguments need not be literal, nor decide how wide
// the value is.
var anyArgs = map[ir.IntrinsicID]bool{
	ir.IError: true, ir.IWarn: true, ir.IStrLen: true, ir.IStrByte: true, ir.IStrSub: true, ir.IChr: true,
	ir.IKFrame: true, ir.IUFrame: true, ir.ISystem: true, ir.ITraceText: true, ir.IMarked: true, ir.IMark: true, ir.IUnmark: true,
}

// value adds a value to the shape. Free constants may differ.
func (s *shape) value(v reflect.Value, free bool) {
	switch v.Kind() {
	case reflect.Interface:
		if v.IsNil() {
			s.key = append(s.key, 0)
			return
		}
		if slot, ok := v.Addr().Interface().(*ir.Expr); ok && free {
			if reg, shift, mask := narrowed(*slot); reg != nil {
				s.key = append(s.key, 'N')
				s.holes = append(s.holes, hole{slot: slot, i: shift, reg: reg, mask: mask})
				s.value(reflect.ValueOf(&reg).Elem().Elem(), false)
				return
			}
			switch c := (*slot).(type) {
			case *ir.IntConst:
				s.key = append(s.key, 'I')
				s.holes = append(s.holes, hole{slot: slot, i: c.V})
				return
			case *ir.StrConst:
				s.key = append(s.key, 'S')
				s.holes = append(s.holes, hole{slot: slot, s: c.S, str: true})
				return
			}
		}
		s.value(v.Elem(), free)
	case reflect.Pointer:
		t := v.Type().Elem()
		s.key = append(s.key, t.Name()...)
		s.key = append(s.key, '{')
		switch x := v.Interface().(type) {
		case *ir.MakeText:
			s.text(x)
		case *ir.Intrinsic:
			// Some want literals.
			s.node(v.Elem(), anyArgs[x.ID])
		default:
			s.node(v.Elem(), true)
		}
		s.key = append(s.key, '}')
	case reflect.Slice:
		s.key = binary.AppendUvarint(s.key, uint64(v.Len()))
		for i := range v.Len() {
			s.value(v.Index(i), free)
		}
	case reflect.Struct:
		s.node(v, free)
	case reflect.Bool:
		s.key = append(s.key, 'f')
		if v.Bool() {
			s.key[len(s.key)-1] = 't'
		}
	case reflect.String:
		s.key = binary.AppendUvarint(s.key, uint64(v.Len()))
		s.key = append(s.key, v.String()...)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		s.key = binary.AppendUvarint(s.key, v.Uint())
	default:
		s.key = binary.AppendVarint(s.key, v.Int())
	}
}

func (s *shape) node(v reflect.Value, free bool) {
	t := v.Type()
	for i := range v.NumField() {
		if t.Field(i).Name == "Site" {
			s.sites = append(s.sites, int(v.Field(i).Int()))
			continue
		}
		s.value(v.Field(i), free)
	}
}

// text adds a text: of some kinds the first word may differ.
func (s *shape) text(x *ir.MakeText) {
	c := *x
	c.Args = nil
	switch x.Kind {
	case ir.TextFormat, ir.TextType, ir.TextParms:
		s.holes = append(s.holes, hole{text: x, i: x.FirstWord()})
		c.Format, c.Tag, c.Layout = 0, 0, 0
	}
	s.node(reflect.ValueOf(&c).Elem(), true)
	s.sites[len(s.sites)-1] = x.Site
	s.value(reflect.ValueOf(&x.Args).Elem(), true)
}

// fillPoints gives the points of h, the first member of a group, what the members
// have at the places where they differ, and puts look-ups there.
func fillPoints(h *ir.Handler, members []*shape) {
	ints, strs := map[string]int{}, map[string]int{}
	for n := range members[0].holes {
		first := &members[0].holes[n]
		differs := false
		var column []byte
		for _, m := range members {
			o := &m.holes[n]
			differs = differs || !o.same(first)
			column = binary.AppendVarint(binary.AppendVarint(column, o.i), o.mask)
			column = binary.AppendUvarint(column, uint64(len(o.s)))
			column = append(column, o.s...)
		}
		if !differs {
			continue
		}
		index := ints
		if first.str {
			index = strs
		}
		key := string(column)
		if first.text != nil {
			key = fmt.Sprint("text", n) // it may be changed when widths are known
		}
		at, ok := index[key]
		if !ok {
			at = len(h.Points[0].Ints)
			if first.str {
				at = len(h.Points[0].Strs)
			}
			index[key] = at
			for i, m := range members {
				pt := &h.Points[i]
				switch {
				case first.str:
					pt.Strs = append(pt.Strs, m.holes[n].s)
				case first.reg != nil:
					pt.Ints = append(pt.Ints, m.holes[n].i, m.holes[n].mask)
				default:
					pt.Ints = append(pt.Ints, m.holes[n].i)
				}
			}
		}
		number := func(n int) *ir.Intrinsic {
			return &ir.Intrinsic{ID: ir.IPointInt, Args: []ir.Expr{&ir.IntConst{V: int64(n)}}, T: ir.TInt}
		}
		look := number(at)
		switch {
		case first.reg != nil:
			x := first.reg
			for _, op := range []struct {
				op ir.Op
				n  int
			}{{ir.OpShl, at}, {ir.OpShr, at}, {ir.OpAnd, at + 1}} {
				x = &ir.Binary{Op: op.op, X: x, Y: number(op.n), T: ir.TInt}
			}
			*first.slot = x
		case first.text != nil:
			first.text.Head = look
		case first.str:
			look.ID, look.T = ir.IPointStr, ir.Type{Kind: ir.Str}
			*first.slot = look
		default:
			*first.slot = look
		}
	}
	canonical := members[0].sites
	same := true
	for _, m := range members[1:] {
		same = same && slices.Equal(m.sites, canonical)
	}
	if same {
		return
	}
	// Each place once.
	seen := map[int]bool{}
	var keep []int
	for i, site := range canonical {
		if !seen[site] {
			seen[site] = true
			keep = append(keep, i)
		}
	}
	for i, m := range members {
		for _, k := range keep {
			h.Points[i].Sites = append(h.Points[i].Sites, m.sites[k])
		}
	}
}
