package ebpf

import (
	"strconv"

	cebpf "github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"stapkit/compile/object"
	"stapkit/ir"
)

// Registers of a callback of bpf_for_each_map_elem. base is what p.base() is in
// the program that called it.
const (
	cbMap   = asm.R6
	cbBase  = asm.R7
	cbKey   = asm.R8
	cbValue = asm.R9
)

// each calls build's code for each element of an array. The code must end by
// exit(0), to go on, or exit(1).
func (p *prog) each(g int, build func(s *stream)) {
	p.g.callbacks++
	name := p.h.Name + "_each" + strconv.Itoa(p.g.callbacks)
	name = p.g.sub(name, func(s *stream) {
		s.site = p.site
		s.mov(cbMap, asm.R1)
		if p.mode == onStack {
			s.mov(cbBase, asm.R4) // the caller's frame
		} else {
			s.load(cbBase, asm.R4, 0)
			if p.mode == asLoop && p.a.index {
				s.load(asm.R0, asm.R4, 8)
				s.store(asm.R10, -16, asm.R0)
			}
		}
		s.mov(cbKey, asm.R2)
		s.mov(cbValue, asm.R3)
		build(s)
	})
	p.arrayMap(g)
	p.funcAddr(asm.R2, name)
	p.mov(asm.R3, asm.R10)
	if p.mode != onStack {
		p.store(asm.R10, cbSlot, rSlot)
		p.emit(asm.Add.Imm(asm.R3, cbSlot))
	}
	p.imm(asm.R4, 0)
	p.emit(asm.FnForEachMapElem.Call())
}

// loopTimes runs build's code n times, at most most times, with the address of the
// frame in cbBase. The code falls out at its end, or goes to stop.
func (p *prog) loopTimes(n val, most int, build func(s *stream, stop label)) {
	p.g.callbacks++
	name := p.h.Name + "_times" + strconv.Itoa(p.g.callbacks)
	name = p.g.sub(name, func(s *stream) {
		s.site = p.site
		stop := s.label()
		s.load(cbBase, asm.R2, 0)
		build(s, stop)
		s.exit(0)
		s.place(stop)
		s.exit(1)
	})
	fits := p.label()
	p.get(asm.R1, n)
	p.jimm(asm.JLE, asm.R1, int64(most), fits)
	p.imm(asm.R1, int64(most))
	p.place(fits)
	p.funcAddr(asm.R2, name)
	p.store(asm.R10, cbSlot, rSlot)
	p.mov(asm.R3, asm.R10)
	p.emit(asm.Add.Imm(asm.R3, cbSlot))
	p.imm(asm.R4, 0)
	p.emit(asm.FnLoop.Call())
}

// slice evaluates the keys that are given and returns a key with them in place.
func (p *prog) slice(g int, keys []ir.Expr) mem {
	gl := &p.g.p.Globals[g]
	offs, size := ir.KeyLayout(gl.Keys)
	m := p.alloc(size)
	for i, k := range keys {
		if k == nil {
			continue
		}
		at := mem{m.off + offs[i], storage(gl.Keys[i])}
		if gl.Keys[i].Kind == ir.Int {
			p.intInto(k, at)
		} else {
			p.textInto(k, p.frameText(at))
		}
	}
	return m
}

// matchSlice goes to differ unless the key at cbKey has the values of the slice.
func (g *generator) matchSlice(s *stream, array int, given func(i int) bool, m mem, differ label) {
	gl := &g.p.Globals[array]
	offs, _ := ir.KeyLayout(gl.Keys)
	for i, t := range gl.Keys {
		if !given(i) {
			continue
		}
		for w := 0; w < storage(t); w += 8 {
			s.load(asm.R1, cbKey, offs[i]+w)
			s.load(asm.R2, cbBase, m.off+offs[i]+w)
			s.jreg(asm.JNE, asm.R1, asm.R2, differ)
		}
	}
}

// sliceIn sets dst to 1 if an array has an element that matches.
func (p *prog) sliceIn(e *ir.IndexIn, dst asm.Register) {
	slice := p.slice(e.G, e.Keys)
	found := p.alloc(8)
	p.memImm(found, 0)
	p.each(e.G, func(s *stream) {
		differ := s.label()
		p.g.matchSlice(s, e.G, func(i int) bool { return e.Keys[i] != nil }, slice, differ)
		s.storeImm(cbBase, found.off, 1)
		s.exit(1)
		s.place(differ)
		s.exit(0)
	})
	p.memLoad(dst, found)
}

// delMany clears an array, or the slice of it that matches.
func (p *prog) delMany(l *ir.LValue, site int) {
	var slice mem
	if len(l.Keys) > 0 {
		slice = p.slice(l.ID, l.Keys)
	}
	p.each(l.ID, func(s *stream) {
		differ := s.label()
		if len(l.Keys) > 0 {
			p.g.matchSlice(s, l.ID, func(i int) bool { return l.Keys[i] != nil }, slice, differ)
		}
		s.mov(asm.R1, cbMap)
		s.mov(asm.R2, cbKey)
		s.emit(asm.FnMapDeleteElem.Call())
		s.place(differ)
		s.exit(0)
	})
}

// createWrapped is create for an array that evicts.
func (p *prog) createWrapped(g int, key, value text, site int, found label) {
	gl := &p.g.p.Globals[g]
	if gl.Ordered && value.kind == inFrame {
		p.nextNumber(g)
		p.memStore(value.mem, asm.R2)
	}
	made, full, refused := p.label(), p.label(), p.label()
	p.insert(g, key, value)
	p.jimm32(asm.JEq, asm.R0, 0, made)
	p.jimm32(asm.JEq, asm.R0, -e2BIG, full)
	p.jimm32(asm.JNE, asm.R0, -eEXIST, refused)
	p.lookup(g, key)
	p.jimm(asm.JNE, asm.R0, 0, found)
	p.place(refused)
	p.ja(p.skipTo(ir.SkipMap))
	p.place(full)
	p.arrayMap(g)
	p.emit(asm.Call.Label(p.g.evictSub(g)))
	p.insert(g, key, value)
	p.jimm32(asm.JNE, asm.R0, 0, refused)
	p.place(made)
}

func wrapName(g int) string { return "w_" + strconv.Itoa(g) }

// An array that evicts has a queue of its oldest elements: a word with the
// lowest creation number in it, then wrapQueue places {used, key} by creation
// number. When it is used up, the array is looked through for the next ones.
const wrapQueue = 64

func (g *generator) wrapPlace(gl *ir.Global) int {
	_, key := ir.KeyLayout(gl.Keys)
	return 8 + key
}

func (g *generator) addRing(i int, gl *ir.Global) {
	if g.maps[wrapName(i)] {
		g.spec.Maps = append(g.spec.Maps, object.Map{
			Name: wrapName(i), Type: cebpf.Array, KeySize: 4,
			ValueSize: uint32(8 + wrapQueue*g.wrapPlace(gl)), MaxEntries: 1,
		})
	}
}

// evictSub is a subprogram that removes the element of an array (the map is in
// R1) that was created longest ago. Whoever calls it has the array's lock.
func (g *generator) evictSub(array int) string {
	gl := &g.p.Globals[array]
	place := g.wrapPlace(gl)
	_, keySize := ir.KeyLayout(gl.Keys)
	// Callbacks get {lowest number, queue} on the stack.
	lowest := g.sub("stap_lowest_"+strconv.Itoa(array), func(s *stream) {
		// map, key, value, context
		low := s.label()
		s.mov(cbBase, asm.R4)
		g.number(s, array, asm.R2, asm.R3)
		s.load(asm.R1, cbBase, 0)
		s.jreg(asm.JGE, asm.R0, asm.R1, low)
		s.store(cbBase, 0, asm.R0)
		s.place(low)
		s.exit(0)
	})
	fill := g.sub("stap_oldest_"+strconv.Itoa(array), func(s *stream) {
		far := s.label()
		s.mov(cbBase, asm.R4)
		s.mov(cbKey, asm.R2)
		g.number(s, array, asm.R2, asm.R3)
		s.load(asm.R1, cbBase, 0)
		s.emit(asm.Sub.Reg(asm.R0, asm.R1))
		s.jimm(asm.JGE, asm.R0, wrapQueue, far)
		s.emit(asm.Mul.Imm(asm.R0, int32(place)))
		s.load(asm.R1, cbBase, 8)
		s.emit(asm.Add.Reg(asm.R1, asm.R0))
		s.storeImm(asm.R1, 8, 1)
		if keySize <= copyInline {
			for i := 0; i < keySize; i += 8 {
				s.load(asm.R0, cbKey, i)
				s.store(asm.R1, 16+i, asm.R0)
			}
		} else {
			s.emit(asm.Add.Imm(asm.R1, 16))
			s.imm(asm.R2, int64(keySize))
			s.mov(asm.R3, cbKey)
			s.emit(asm.FnProbeReadKernel.Call())
		}
		s.place(far)
		s.exit(0)
	})
	pop := g.sub("stap_pop_"+strconv.Itoa(array), func(s *stream) {
		// R1: the map; R2: the queue. Removes the first element in the queue
		// that is still there, and returns 1, or 0.
		again, next := s.label(), s.label()
		s.mov(asm.R6, asm.R1)
		s.mov(asm.R9, asm.R2)
		s.imm(asm.R8, 0)
		s.mov(asm.R7, asm.R2)
		s.place(again)
		s.load(asm.R1, asm.R7, 8)
		s.jimm(asm.JEq, asm.R1, 0, next)
		s.storeImm(asm.R7, 8, 0)
		s.mov(asm.R1, asm.R6)
		s.mov(asm.R2, asm.R7)
		s.emit(asm.Add.Imm(asm.R2, 16))
		s.emit(asm.FnMapLookupElem.Call())
		s.jimm(asm.JEq, asm.R0, 0, next)
		s.mov(asm.R3, asm.R0)
		s.mov(asm.R2, asm.R7)
		s.emit(asm.Add.Imm(asm.R2, 16))
		g.number(s, array, asm.R2, asm.R3)
		s.load(asm.R1, asm.R9, 0)
		s.emit(asm.Add.Reg(asm.R1, asm.R8))
		s.jreg(asm.JNE, asm.R0, asm.R1, next) // created anew since
		s.mov(asm.R1, asm.R6)
		s.mov(asm.R2, asm.R7)
		s.emit(asm.Add.Imm(asm.R2, 16))
		s.emit(asm.FnMapDeleteElem.Call())
		s.exit(1)
		s.place(next)
		s.emit(asm.Add.Imm(asm.R7, int32(place)), asm.Add.Imm(asm.R8, 1))
		s.jimm(asm.JNE, asm.R8, wrapQueue, again)
		s.exit(0)
	})
	return g.sub("stap_evict_"+strconv.Itoa(array), func(s *stream) {
		end := s.label()
		s.mov(asm.R6, asm.R1)
		s.emit(asm.StoreImm(asm.R10, -4, 0, asm.Word))
		s.emit(asm.LoadMapPtr(asm.R1, 0).WithReference(wrapName(array)))
		s.mov(asm.R2, asm.R10)
		s.emit(asm.Add.Imm(asm.R2, -4))
		s.emit(asm.FnMapLookupElem.Call())
		s.jimm(asm.JEq, asm.R0, 0, end)
		s.mov(asm.R7, asm.R0)
		tryPop := func() {
			s.mov(asm.R1, asm.R6)
			s.mov(asm.R2, asm.R7)
			s.emit(asm.Call.Label(pop))
		}
		tryPop()
		s.jimm(asm.JNE, asm.R0, 0, end)
		s.imm(asm.R0, -1)
		s.store(asm.R10, -24, asm.R0)
		s.store(asm.R10, -16, asm.R7)
		for _, cb := range []string{lowest, fill} {
			s.mov(asm.R1, asm.R6)
			s.funcAddr(asm.R2, cb)
			s.mov(asm.R3, asm.R10)
			s.emit(asm.Add.Imm(asm.R3, -24))
			s.imm(asm.R4, 0)
			s.emit(asm.FnForEachMapElem.Call())
		}
		s.load(asm.R1, asm.R10, -24)
		s.store(asm.R7, 0, asm.R1)
		tryPop()
		s.place(end)
		s.exit(0)
	})
}

// number leaves the creation number of an element in R0; key and value are in
// registers.
func (g *generator) number(s *stream, array int, key, value asm.Register) {
	if g.p.Globals[array].Value.Kind != ir.Stat {
		s.load(asm.R0, value, 0)
		return
	}
	s.mov(asm.R1, key)
	s.emit(asm.Call.Label(g.numberSub(array)))
}

// numberSub is a subprogram that finds the creation number of an aggregate: only
// the CPU that created it has it. R1 is the key.
func (g *generator) numberSub(array int) string {
	cb := g.sub("stap_number_cpu_"+strconv.Itoa(array), func(s *stream) {
		// R1: the CPU; R2: {key, number}.
		more, end := s.label(), s.label()
		s.mov(asm.R6, asm.R2)
		s.mov(asm.R8, asm.R1)
		g.arrayMap(s, array, end)
		s.load(asm.R2, asm.R6, 0)
		s.mov(asm.R3, asm.R8)
		s.emit(asm.FnMapLookupPercpuElem.Call())
		s.jimm(asm.JEq, asm.R0, 0, end)
		s.load(asm.R0, asm.R0, 0)
		s.jimm(asm.JEq, asm.R0, 0, more)
		s.store(asm.R6, 8, asm.R0)
		s.place(end)
		s.exit(1)
		s.place(more)
		s.exit(0)
	})
	return g.sub("stap_number_"+strconv.Itoa(array), func(s *stream) {
		s.store(asm.R10, -16, asm.R1)
		s.storeImm(asm.R10, -8, 0)
		s.imm(asm.R1, maxCPUs)
		s.funcAddr(asm.R2, cb)
		s.mov(asm.R3, asm.R10)
		s.emit(asm.Add.Imm(asm.R3, -16))
		s.imm(asm.R4, 0)
		s.emit(asm.FnLoop.Call())
		s.load(asm.R0, asm.R10, -8)
		s.emit(asm.Return())
	})
}

// maxCPUs bounds loops over the CPUs; they end at the last one.
const maxCPUs = 8192
