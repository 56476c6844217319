package ebpf

import (
	"github.com/cilium/ebpf/asm"

	"stapkit/ir"
)

// atomics are the operators that one atomic instruction does: without, and with
// the old value as result.
var atomics = map[ir.Op][2]asm.AtomicOp{
	ir.OpAdd: {asm.AddAtomic, asm.FetchAdd}, ir.OpSub: {asm.AddAtomic, asm.FetchAdd},
	ir.OpAnd: {asm.AndAtomic, asm.FetchAnd}, ir.OpOr: {asm.OrAtomic, asm.FetchOr},
	ir.OpXor: {asm.XorAtomic, asm.FetchXor},
}

// update makes an assignment. The value it yields is in R0, if it is used; of
// text the memory is returned.
func (p *prog) update(e *ir.Update, used bool) text {
	p.at(e.Site)
	gl := (*ir.Global)(nil)
	if e.L.Global {
		gl = &p.g.p.Globals[e.L.ID]
	}
	if gl == nil {
		defer p.assigned(e.L.ID)
	}
	if e.L.T.Kind != ir.Int {
		return p.updateText(e, gl, used) // may lie in memory reserved here
	}
	m := p.mark()
	defer p.release(m)
	switch {
	case gl == nil:
		p.updateLocal(e, used)
	case len(e.L.Keys) == 0:
		p.updateScalar(e, gl, used)
	default:
		p.updateElement(e, gl, used)
	}
	return text{}
}

// updateAt applies e's operator to the number at base+off and leaves the result
// in R0. y is the right side. Base must not be R0 to R3 unless keepBase is not
// needed.
func (p *prog) modify(e *ir.Update, base asm.Register, off int, used bool) {
	// R3: old and new value; R1: right side; R5: old value to be yielded.
	p.load(asm.R3, base, off)
	if used && e.Old {
		p.mov(asm.R5, asm.R3)
	}
	if c, ok := literal(e.R); ok {
		p.aluImm(e.Op, asm.R3, c, e.Site)
	} else {
		p.alu(e.Op, asm.R3, asm.R1, e.Site)
	}
	p.store(base, off, asm.R3)
	switch {
	case used && e.Old:
		p.mov(asm.R0, asm.R5)
	case used:
		p.mov(asm.R0, asm.R3)
	}
}

func (p *prog) updateLocal(e *ir.Update, used bool) {
	m := p.scope.locals[e.L.ID]
	if e.Op == ir.OpSet {
		if c, ok := literal(e.R); ok && !used {
			p.memImm(m, c)
			return
		}
		old := used && e.Old
		if old {
			p.int(e.R, asm.R1)
			p.memLoad(asm.R0, m)
			p.memStore(m, asm.R1)
			return
		}
		p.int(e.R, asm.R0)
		p.memStore(m, asm.R0)
		return
	}
	if _, ok := literal(e.R); !ok {
		p.int(e.R, asm.R1)
	}
	p.modify(e, p.base(), m.off, used)
}

func (p *prog) updateScalar(e *ir.Update, gl *ir.Global, used bool) {
	off := p.g.p.ScalarOff(gl.Slot)
	at, atomic := atomics[e.Op]
	switch {
	case e.Op == ir.OpSet && !(used && e.Old):
		p.int(e.R, asm.R0)
		p.session(asm.R1, off)
		p.store(asm.R1, 0, asm.R0)
	case atomic && gl.Lock < 0 && !used:
		p.addend(e, val{}, asm.R2)
		p.session(asm.R1, off)
		p.emit(at[0].Mem(asm.R1, asm.R2, asm.DWord, 0))
	case atomic && gl.Lock < 0:
		p.int(e.R, asm.R0)
		p.session(asm.R1, off)
		p.fetch(e, at[1], asm.R1, 0)
	default:
		if _, ok := literal(e.R); !ok {
			p.int(e.R, asm.R1)
		}
		p.session(asm.R4, off)
		p.modify(e, asm.R4, 0, used)
	}
}

// addend leaves the operand of an atomic instruction in r: the right side, held
// in v if it is no literal and v is given.
func (p *prog) addend(e *ir.Update, v val, r asm.Register) {
	sign := int64(1)
	if e.Op == ir.OpSub {
		sign = -1
	}
	if c, ok := literal(e.R); ok {
		p.imm(r, sign*c)
		return
	}
	if v == (val{}) {
		p.int(e.R, r)
	} else {
		p.get(r, v)
	}
	if sign < 0 {
		p.emit(asm.Neg.Imm(r, 0))
	}
}

// fetch applies a commutative operator to the number at base+off, with the right
// side in R0, and leaves the old or the new value there. Base is R1.
func (p *prog) fetch(e *ir.Update, op asm.AtomicOp, base asm.Register, off int) {
	p.mov(asm.R2, asm.R0)
	if e.Op == ir.OpSub {
		p.emit(asm.Neg.Imm(asm.R2, 0))
	}
	p.emit(op.Mem(base, asm.R2, asm.DWord, int16(off)))
	if !e.Old {
		p.alu(e.Op, asm.R2, asm.R0, e.Site)
	}
	p.mov(asm.R0, asm.R2)
}

// put sets an element of an array whose elements are deleted again, so that most are
// new: looking for it first would be for nothing.
func (p *prog) put(gl *ir.Global, g int, key text, v val, off, site int) {
	buf := p.elementBuffer(gl)
	p.get(asm.R1, v)
	p.memStore(mem{buf.off + off, 8}, asm.R1)
	p.arrayMap(g)
	p.addr(asm.R2, key)
	p.addr(asm.R3, p.frameText(buf))
	p.imm(asm.R4, updateAny)
	p.emit(asm.FnMapUpdateElem.Call())
	done := p.label()
	p.jimm32(asm.JEq, asm.R0, 0, done)
	p.jimm32(asm.JEq, asm.R0, -e2BIG, p.errConst(ir.ErrArrayFull, site, int32(gl.MaxEntries)))
	p.ja(p.skipTo(ir.SkipMap))
	p.place(done)
	p.changed(g, nil)
}

// deletes reports whether a handler in the kernel deletes single elements of an array.
func (g *generator) deletes(array int) bool {
	if g.deleted == nil {
		g.deleted = map[int]bool{}
		note := func(st ir.Stmt) {
			if d, ok := st.(*ir.Delete); ok && d.L.Global && len(d.L.Keys) > 0 && len(nonNil(d.L.Keys)) == len(d.L.Keys) {
				g.deleted[d.L.ID] = true
			}
		}
		for _, h := range g.kernelHandlers() {
			h.Walk(note, nil)
		}
		for _, f := range g.p.Funcs {
			ir.Walk(f.Body, note, nil)
		}
	}
	return g.deleted[array]
}

// updateElement changes a number in an array.
func (p *prog) updateElement(e *ir.Update, gl *ir.Global, used bool) {
	g := e.L.ID
	off, _ := gl.ValueLayout()
	shared := p.sharedElement(g, e.L.Keys)
	if shared != nil && shared.key.setBy(e.R) {
		shared = nil
	}
	var key text
	var v val
	if shared != nil && (shared.ready || shared.key.asks(e.R, g)) {
		// The keys are the same before and after the right side.
		v = p.hold(e.R)
		key = p.key(g, e.L.Keys)
	} else {
		key = p.key(g, e.L.Keys, e.R)
		v = p.hold(e.R)
	}
	known := shared != nil && shared.ready
	if e.Op == ir.OpSet && !known && !used && !gl.Wrap && !gl.Ordered && p.g.deletes(g) {
		p.put(gl, g, key, v, off, e.Site)
		return
	}
	p.changed(g, shared)
	found, done, missing := p.label(), p.label(), p.label()
	var kept *kept // where something may ask for the element's address later
	switch {
	case known:
		p.recall(shared)
		kept = p.renew(shared)
		p.jimm(asm.JEq, asm.R0, 0, missing)
		p.place(found)
	case shared != nil:
		p.lookup(g, key)
		p.jimm(asm.JEq, asm.R0, 0, missing)
		p.place(found)
		kept = p.remember(shared)
	default:
		p.lookup(g, key)
		p.jimm(asm.JEq, asm.R0, 0, missing)
		p.place(found)
	}
	at, atomic := atomics[e.Op]
	switch {
	case e.Op == ir.OpSet:
		p.get(asm.R1, v)
		if used && e.Old {
			p.load(asm.R2, asm.R0, off)
			p.store(asm.R0, off, asm.R1)
			p.mov(asm.R0, asm.R2)
		} else {
			p.store(asm.R0, off, asm.R1)
			p.mov(asm.R0, asm.R1)
		}
	case atomic && gl.Lock < 0 && !used:
		p.addend(e, v, asm.R2)
		p.emit(at[0].Mem(asm.R0, asm.R2, asm.DWord, int16(off)))
	case atomic && gl.Lock < 0:
		p.mov(asm.R1, asm.R0)
		p.get(asm.R0, v)
		p.fetch(e, at[1], asm.R1, off)
	default:
		p.mov(asm.R4, asm.R0)
		p.get(asm.R1, v)
		p.modify(e, asm.R4, off, used)
	}
	p.place(done)
	p.later(func() {
		p.place(missing)
		// The new element's value is what the operator makes of 0.
		val := p.elementBuffer(gl)
		p.get(asm.R1, v)
		p.imm(asm.R3, 0)
		p.alu(e.Op, asm.R3, asm.R1, e.Site)
		p.memStore(mem{val.off + off, 8}, asm.R3)
		there := found
		if known && kept.asked {
			there = p.label()
		}
		p.create(g, key, p.frameText(val), e.Site, there)
		if kept != nil && kept.asked {
			p.lookup(g, key)
			p.store(asm.R10, shared.off, asm.R0)
		}
		if used {
			if e.Old {
				p.imm(asm.R0, 0)
			} else {
				p.memLoad(asm.R0, mem{val.off + off, 8})
			}
		}
		p.ja(done)
		if there != found {
			p.place(there)
			p.store(asm.R10, shared.off, asm.R0)
			p.ja(found)
		}
	})
}
