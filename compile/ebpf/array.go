package ebpf

import (
	"encoding/binary"

	"github.com/cilium/ebpf/asm"

	"stapkit/ir"
)

// Error numbers of Linux that map operations return.
const (
	eNOENT = 2
	e2BIG  = 7
	eBUSY  = 16
	eEXIST = 17
)

// Flags of bpf_map_update_elem.
const (
	updateAny     = 0
	updateNoExist = 1
)

// jimm32 compares the lower half of a register: before Linux 6.4 map operations
// leave the upper half of their result undefined.
func (s *stream) jimm32(op asm.JumpOp, r asm.Register, v int32, to label) {
	s.jump(op.Imm32(r, v, "?"), to)
}

// key evaluates the keys of an array element and returns where the map's key is.
// It stays as it is while the expressions later are evaluated.
func (p *prog) key(g int, keys []ir.Expr, later ...ir.Expr) text {
	gl := &p.g.p.Globals[g]
	offs, size := ir.KeyLayout(gl.Keys)
	if size > maxKey {
		p.g.errorf(gl.Site, eKeyWidth, "the keys of array '%s' take %d bytes, the most is %d", gl.Name, size, maxKey)
		return text{}
	}
	if b, ok := constKey(gl, keys, offs, size); ok {
		return text{kind: inConst, off: p.g.consts.add(b), width: size}
	}
	if len(keys) == 1 {
		if l, ok := keys[0].(*ir.Local); ok && p.sameStorage(l, gl.Keys[0]) &&
			!anyOf(later, func(y ir.Expr) bool { return setsLocal(y, l.ID) }) {
			return p.frameText(p.scope.locals[l.ID])
		}
	}
	shared := p.sharedKey(g, keys)
	if shared != nil && (shared.mem.size == 0 || anyOf(later, shared.setBy)) {
		shared = nil
	}
	if shared != nil && shared.ready {
		return p.frameText(shared.mem)
	}
	var m mem
	if shared != nil {
		m = shared.mem
	} else {
		m = p.alloc(size)
	}
	for i, k := range keys {
		at := mem{m.off + offs[i], storage(gl.Keys[i])}
		if gl.Keys[i].Kind == ir.Int {
			p.intInto(k, at)
		} else {
			p.textInto(k, p.frameText(at))
		}
	}
	if shared != nil {
		p.holds(&shared.ready)
	}
	return p.frameText(mem{m.off, size})
}

// intInto evaluates a number into memory.
func (p *prog) intInto(e ir.Expr, m mem) {
	if c, ok := literal(e); ok {
		p.memImm(m, c)
		return
	}
	if x, ok := e.(*ir.Intrinsic); ok && x.ID == ir.IStackPointer {
		// To the verifier it stays a pointer there, which map operations do not mind.
		p.usesCtx = true
		p.memStore(m, rCtx)
		return
	}
	p.int(e, asm.R0)
	p.memStore(m, asm.R0)
}

// sameStorage reports whether a local's memory is a key as it stands.
func (p *prog) sameStorage(l *ir.Local, key ir.Type) bool {
	t := p.scope.types[l.ID]
	return t.Kind == key.Kind && storage(t) == storage(key)
}

// constKey returns the bytes of a key of literals.
func constKey(gl *ir.Global, keys []ir.Expr, offs []int, size int) ([]byte, bool) {
	b := make([]byte, size)
	for i, k := range keys {
		switch k := k.(type) {
		case *ir.IntConst:
			binary.LittleEndian.PutUint64(b[offs[i]:], uint64(k.V))
		case *ir.StrConst:
			w := gl.Keys[i].Width
			if gl.Keys[i].Kind != ir.Str {
				return nil, false
			}
			copy(b[offs[i]:offs[i]+w-1], k.S)
		default:
			return nil, false
		}
	}
	return b, true
}

// lookup leaves the address of an element's value in R0, or 0.
func (p *prog) lookup(g int, key text) {
	p.arrayMap(g)
	p.addr(asm.R2, key)
	p.emit(asm.FnMapLookupElem.Call())
}

// arrayMap sets R1 to the map of an array; it may change R0 to R5.
func (p *prog) arrayMap(g int) {
	if !p.g.p.Globals[g].Generations {
		p.mapPtr(asm.R1, ir.MapArray(g))
		return
	}
	p.g.arrayMap(p.stream, g, p.skipTo(ir.SkipMap))
}

// arrayMap sets R1 to the map of an array, of several generations the present
// one, and goes to none if there is none.
func (g *generator) arrayMap(s *stream, array int, none label) {
	s.emit(asm.LoadMapPtr(asm.R1, 0).WithReference(ir.MapArray(array)))
	if !g.p.Globals[array].Generations {
		return
	}
	s.emit(asm.LoadMapValue(asm.R2, 0, uint32(g.consts.zeros(8))).WithReference(ir.MapConst))
	s.emit(asm.FnMapLookupElem.Call())
	s.jimm(asm.JEq, asm.R0, 0, none)
	s.mov(asm.R1, asm.R0)
}

// elementBuffer reserves memory for the value of a new element and numbers it.
func (p *prog) elementBuffer(gl *ir.Global) mem {
	_, size := gl.ValueLayout()
	return p.alloc(size)
}

// number puts the next creation number of an Ordered array into R2.
func (p *prog) nextNumber(g int) {
	p.session(asm.R1, p.g.p.SeqOff(g))
	p.imm(asm.R2, 1)
	p.emit(asm.FetchAdd.Mem(asm.R1, asm.R2, asm.DWord, 0))
	p.emit(asm.Add.Imm(asm.R2, 1))
}

// create adds an element that was not there. If it is there by now, it goes to
// found with its value's address in R0. In frame memory the creation number is
// put into the value first.
func (p *prog) create(g int, key, value text, site int, found label) {
	gl := &p.g.p.Globals[g]
	if gl.Wrap {
		p.createWrapped(g, key, value, site, found)
		return
	}
	if gl.Ordered && value.kind == inFrame {
		p.nextNumber(g)
		p.memStore(value.mem, asm.R2)
	}
	p.insert(g, key, value)
	made, refused := p.label(), p.label()
	p.jimm32(asm.JEq, asm.R0, 0, made)
	p.jimm32(asm.JEq, asm.R0, -e2BIG, p.errConst(ir.ErrArrayFull, site, int32(gl.MaxEntries)))
	p.jimm32(asm.JNE, asm.R0, -eEXIST, refused)
	p.lookup(g, key)
	p.jimm(asm.JNE, asm.R0, 0, found)
	p.place(refused)
	p.ja(p.skipTo(ir.SkipMap))
	p.place(made)
}

func (p *prog) insert(g int, key, value text) {
	p.arrayMap(g)
	p.addr(asm.R2, key)
	p.addr(asm.R3, value)
	p.imm(asm.R4, updateNoExist)
	p.emit(asm.FnMapUpdateElem.Call())
}

// indexGet reads a number from an array.
func (p *prog) indexGet(e *ir.IndexGet, dst asm.Register) {
	m := p.mark()
	defer p.release(m)
	off, _ := p.g.p.Globals[e.G].ValueLayout()
	none := p.label()
	p.elementAt(e.G, e.Keys)
	if dst != asm.R0 {
		p.mov(dst, asm.R0)
	}
	p.jimm(asm.JEq, dst, 0, none)
	p.load(dst, dst, off)
	p.place(none)
}

// indexIn sets dst to 1 if an array has an element.
func (p *prog) indexIn(e *ir.IndexIn, dst asm.Register) {
	m := p.mark()
	defer p.release(m)
	if len(nonNil(e.Keys)) != len(e.Keys) {
		p.sliceIn(e, dst)
		return
	}
	none := p.label()
	p.elementAt(e.G, e.Keys)
	p.mov(dst, asm.R0)
	p.jimm(asm.JEq, dst, 0, none)
	p.imm(dst, 1)
	p.place(none)
}

// del makes a delete statement.
func (p *prog) del(st *ir.Delete) {
	l := &st.L
	switch {
	case !l.Global:
		m := p.scope.locals[l.ID]
		p.zero(p.frameText(m))
		p.assigned(l.ID)
	case len(l.Keys) > 0 && len(nonNil(l.Keys)) == len(l.Keys):
		p.delElement(l, st.Site)
	case p.g.p.Globals[l.ID].IsArray():
		p.delMany(l, st.Site)
		p.changed(l.ID, nil)
	default:
		p.delScalar(l, st.Site)
	}
}

func (p *prog) delElement(l *ir.LValue, site int) {
	key := p.key(l.ID, l.Keys)
	done := p.label()
	p.arrayMap(l.ID)
	p.addr(asm.R2, key)
	p.emit(asm.FnMapDeleteElem.Call())
	p.jimm32(asm.JEq, asm.R0, 0, done)
	p.jimm32(asm.JNE, asm.R0, -eNOENT, p.skipTo(ir.SkipMap))
	p.place(done)
	p.changed(l.ID, nil)
}

func (p *prog) delScalar(l *ir.LValue, site int) {
	gl := &p.g.p.Globals[l.ID]
	switch gl.Value.Kind {
	case ir.Int:
		p.session(asm.R1, p.g.p.ScalarOff(gl.Slot))
		p.storeImm(asm.R1, 0, 0)
	case ir.Stat:
		p.delStat(l, site)
	default:
		p.zero(p.globalText(l.ID))
	}
}
