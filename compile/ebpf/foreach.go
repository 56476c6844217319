package ebpf

import (
	"fmt"

	cebpf "github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"stapkit/compile/object"
	"stapkit/ir"
)

// A foreach loop first collects the elements in an index buffer, sorts numbers of
// them, and then visits them. Index buffers are few and large, and belong to an
// invocation from its start to its end, as scratch slots do.

const (
	mapIndex     = "stap_index"
	indexBuffers = 4
	maxIndex     = 16 << 20
	indexHead    = 8 // claim word
)

// indexUse is what index buffers must hold.
type indexUse struct{ size int }

func (g *generator) addIndex() {
	if g.maps[mapIndex] {
		g.spec.Maps = append(g.spec.Maps, object.Map{
			Name: mapIndex, Type: cebpf.Array, KeySize: 4, ValueSize: uint32((max(g.index.size, indexHead) + 63) &^ 63), MaxEntries: indexBuffers,
		})
	}
}

// sortEntry is an entry of the array that is sorted: what it is sorted by, if a
// number; the number of its creation; its place among the elements.
const (
	sortKey   = 0
	sortSeq   = 8
	sortPlace = 16
	sortSize  = 24
)

// collection is the part of the index buffer that one loop uses.
type collection struct {
	array   int
	max     int // elements at the most
	sort    int // offset of the sort entries
	data    int // offset of the elements
	stride  int
	frame   int // in a recursive function: what each call under way has of the buffer; else 0
	value   int // offset of the value in an element
	n       mem // elements collected
	gap     mem
	i, j    mem
	tmp     mem // a sort entry
	text    int // offset of the string that is sorted by, in an element; -1: a number
	textLen int
	desc    bool
}

// claimIndex takes an index buffer at the start of the program and leaves its
// address on the stack.
func (p *prog) claimIndex(busy label) {
	again, got := p.label(), p.label()
	p.imm(asm.R8, 0)
	p.place(again)
	p.emit(asm.StoreMem(asm.R10, -4, asm.R8, asm.Word))
	p.mapPtr(asm.R1, mapIndex)
	p.mov(asm.R2, asm.R10)
	p.emit(asm.Add.Imm(asm.R2, -4))
	p.emit(asm.FnMapLookupElem.Call())
	p.jimm(asm.JEq, asm.R0, 0, busy)
	p.imm(asm.R1, 1)
	p.emit(asm.Xchg.Mem(asm.R0, asm.R1, asm.DWord, 0))
	p.jimm(asm.JEq, asm.R1, 0, got)
	p.emit(asm.Add.Imm(asm.R8, 1))
	p.jimm(asm.JNE, asm.R8, indexBuffers, again)
	p.ja(busy)
	p.place(got)
	p.store(asm.R10, stackIndex, asm.R0)
}

// Where programs with loops keep pointers on their stack: the main program for its
// callback, and the callback for its own.
const (
	stackSlot  = -32
	stackCtx   = -24
	stackIndex = -16
	cbSlot     = -24
	cbIndex    = -16
)

// releaseIndex gives the buffer back; other CPUs may take it at once.
func (p *prog) releaseIndex() {
	p.load(asm.R1, asm.R10, stackIndex)
	p.imm(asm.R2, 0)
	p.emit(asm.Xchg.Mem(asm.R1, asm.R2, asm.DWord, 0))
}

// reserveIndex reserves a part of the index buffer.
func (p *prog) reserveIndex(n int) int {
	if p.indexTop == 0 {
		p.indexTop = indexHead
	}
	at := p.indexTop
	p.indexTop += (n + 7) &^ 7
	p.indexMax = max(p.indexMax, p.indexTop)
	p.g.index.size = max(p.g.index.size, p.indexTop)
	return at
}

// indexed sets r to the address of entry number n of a part of the index buffer, where n
// is a register that is bounded here, and goes to bad if it is too large.
func (s *stream) indexed(r, n asm.Register, index asm.Register, off, stride, limit int, bad label) {
	s.jimm(asm.JGE, n, int64(limit), bad)
	s.mov(r, n)
	s.emit(asm.Mul.Imm(r, int32(stride)), asm.Add.Imm(r, int32(off)), asm.Add.Reg(r, index))
}

// foreach makes a loop over an array.
func (p *prog) foreach(st *ir.Foreach) {
	if p.mode != asLoop {
		p.need(asLoop)
		return
	}
	p.at(st.Site)
	gl := &p.g.p.Globals[st.G]
	offs, keySize := ir.KeyLayout(gl.Keys)
	top := p.indexTop
	defer func() { p.indexTop = top }()

	end, cut := p.label(), p.label()
	var slice mem
	if len(st.Slice) > 0 {
		slice = p.slice(st.G, st.Slice)
	}
	limit := p.alloc(8)
	if st.Limit != nil {
		p.intInto(st.Limit, limit)
		p.memLoad(asm.R0, limit)
		p.jimm(asm.JSLE, asm.R0, 0, end)
	}
	c := &collection{
		array: st.G, max: max(gl.MaxEntries, 1), value: keySize, text: -1,
		n: p.alloc(8), gap: p.alloc(8), i: p.alloc(8), j: p.alloc(8), tmp: p.alloc(sortSize), desc: st.Sort.Desc,
	}
	valueSize := 8
	if gl.Value.Kind == ir.Str || gl.Value.Kind == ir.Deferred {
		valueSize = gl.Value.Width
	}
	c.stride = keySize + valueSize
	size, frames := (sortSize+c.stride)*c.max, 1
	if p.recursing { // each call that is under way has elements of its own
		c.frame, frames = size, p.g.p.Limits.MaxNesting+1
	}
	c.sort = p.reserveIndex(size * frames)
	c.data = c.sort + sortSize*c.max
	if p.indexTop > maxIndex {
		times := ""
		if frames > 1 {
			times = fmt.Sprintf(", %d times in a recursive function", frames)
		}
		p.g.errorf(st.Site, eTooWide, "a loop over '%s' in the kernel needs %d bytes for its %d elements%s, the most is %d: declare a smaller array", gl.Name, size, c.max, times, maxIndex)
		return
	}
	sorted := ir.TInt
	switch by := st.Sort.By; {
	case by > 0:
		if sorted = gl.Keys[by-1]; sorted.Kind == ir.Str {
			c.text, c.textLen = offs[by-1], storage(sorted)
		}
	case by < 0:
		if sorted = gl.Value; sorted.Kind == ir.Str {
			c.text, c.textLen = c.value, storage(sorted)
		}
	}
	if sorted.Kind == ir.Deferred {
		p.unsupported(st.Site, "sorting by text that is made when the script is read out")
		return
	}

	p.memImm(c.n, 0)
	p.collect(c, gl, func(i int) bool { return len(st.Slice) > 0 && st.Slice[i] != nil }, slice, st.Sort)
	if gl.Value.Kind == ir.Stat && st.Sort.By < 0 {
		p.evaluateStats(c, st, gl)
	}
	if st.Sort.By != 0 || gl.Ordered {
		p.sort(c, cut)
	}
	// The body, for each.
	p.memImm(c.i, 0)
	l := &loop{brk: p.label(), cont: p.label(), outer: p.scope.loop}
	head := p.newState()
	p.memLoad(asm.R1, c.i)
	p.memLoad(asm.R2, c.n)
	p.jreg(asm.JGE, asm.R1, asm.R2, l.brk)
	if st.Limit != nil {
		p.memLoad(asm.R2, limit)
		p.jreg(asm.JGE, asm.R1, asm.R2, l.brk)
	}
	p.element(asm.R3, asm.R1, c, cut)
	p.memStore(c.j, asm.R2)
	for i, k := range st.Keys {
		if k >= 0 {
			p.fromIndex(k, gl.Keys[i], offs[i], c, cut)
		}
	}
	if st.Value >= 0 && gl.Value.Kind != ir.Stat {
		p.fromIndex(st.Value, gl.Value, c.value, c, cut)
	}
	p.scope.loop = l
	p.stmts(st.Body)
	p.scope.loop = l.outer
	p.place(l.cont)
	p.memLoad(asm.R1, c.i)
	p.emit(asm.Add.Imm(asm.R1, 1))
	p.memStore(c.i, asm.R1)
	p.gotoState(head)
	p.place(cut)
	p.place(l.brk)
	p.place(end)
}

// collect puts all elements that match into the index buffer.
func (p *prog) collect(c *collection, gl *ir.Global, given func(int) bool, slice mem, by ir.Sort) {
	offs, keySize := ir.KeyLayout(gl.Keys)
	p.each(c.array, func(s *stream) {
		skip, stop := s.label(), s.label()
		p.g.matchSlice(s, c.array, given, slice, skip)
		s.indexOf(asm.R5, -16, cbBase, c, p.g.p.Limits.MaxNesting, stop)
		s.load(asm.R4, cbBase, c.n.off)
		s.indexed(asm.R3, asm.R4, asm.R5, c.sort, sortSize, c.max, stop)
		s.store(asm.R3, sortPlace, asm.R4)
		switch {
		case by.By > 0 && gl.Keys[by.By-1].Kind == ir.Int:
			s.load(asm.R1, cbKey, offs[by.By-1])
			s.store(asm.R3, sortKey, asm.R1)
		case by.By < 0 && gl.Value.Kind == ir.Int:
			off, _ := gl.ValueLayout()
			s.load(asm.R1, cbValue, off)
			s.store(asm.R3, sortKey, asm.R1)
		default:
			s.storeImm(asm.R3, sortKey, 0)
		}
		s.store(asm.R10, -24, asm.R3)
		if gl.Ordered {
			p.g.number(s, c.array, cbKey, cbValue)
		} else {
			s.load(asm.R0, cbBase, c.n.off)
		}
		s.load(asm.R3, asm.R10, -24)
		s.store(asm.R3, sortSeq, asm.R0)

		s.indexOf(asm.R5, -16, cbBase, c, p.g.p.Limits.MaxNesting, stop)
		s.load(asm.R4, cbBase, c.n.off)
		s.indexed(asm.R1, asm.R4, asm.R5, c.data, c.stride, c.max, stop)
		s.store(asm.R10, -24, asm.R1)
		s.copyBytes(asm.R1, 0, cbKey, 0, keySize)
		if gl.Value.Kind != ir.Stat {
			off, size := gl.ValueLayout()
			s.load(asm.R1, asm.R10, -24)
			s.copyBytes(asm.R1, c.value, cbValue, off, size-off)
		}
		s.load(asm.R4, cbBase, c.n.off)
		s.emit(asm.Add.Imm(asm.R4, 1))
		s.store(cbBase, c.n.off, asm.R4)
		s.place(skip)
		s.exit(0)
		s.place(stop)
		s.exit(1)
	})
}

// copyBytes copies n bytes; to is R1 or survives calls, and from survives them.
func (s *stream) copyBytes(to asm.Register, toOff int, from asm.Register, fromOff, n int) {
	if n <= copyInline {
		for i := 0; i < n; i += 8 {
			s.load(asm.R0, from, fromOff+i)
			s.store(to, toOff+i, asm.R0)
		}
		return
	}
	s.mov(asm.R1, to)
	if toOff != 0 {
		s.emit(asm.Add.Imm(asm.R1, int32(toOff)))
	}
	s.imm(asm.R2, int64(n))
	s.mov(asm.R3, from)
	if fromOff != 0 {
		s.emit(asm.Add.Imm(asm.R3, int32(fromOff)))
	}
	s.emit(asm.FnProbeReadKernel.Call())
}

// indexPtr sets r to the index buffer, in a recursive function to the part of c's
// call in it. It uses R0 and goes to bad if there is no such part, which the
// verifier must be shown.
func (p *prog) indexPtr(r asm.Register, c *collection, bad label) {
	p.indexOf(r, cbIndex, rSlot, c, p.g.p.Limits.MaxNesting, bad)
}

// indexOf is indexPtr where the buffer's address is at an offset on the stack and
// that of the slot in a register.
func (s *stream) indexOf(r asm.Register, at int, slot asm.Register, c *collection, depth int, bad label) {
	s.load(r, asm.R10, at)
	if c.frame > 0 {
		s.load(asm.R0, slot, slotDepth)
		s.jimm(asm.JGT, asm.R0, int64(depth), bad)
		s.emit(asm.Mul.Imm(asm.R0, int32(c.frame)), asm.Add.Reg(r, asm.R0))
	}
}

// element sets r to the address of the element that sort entry n stands for, and
// R2 to its place.
func (p *prog) element(r, n asm.Register, c *collection, bad label) {
	p.indexPtr(asm.R5, c, bad)
	p.indexed(asm.R2, n, asm.R5, c.sort, sortSize, c.max, bad)
	p.load(asm.R2, asm.R2, sortPlace)
	p.indexed(r, asm.R2, asm.R5, c.data, c.stride, c.max, bad)
}

// fromIndex sets a local from an element, whose place is in c.j.
func (p *prog) fromIndex(local int, t ir.Type, off int, c *collection, bad label) {
	dst := p.scope.locals[local]
	p.memLoad(asm.R2, c.j)
	p.indexPtr(asm.R5, c, bad)
	p.indexed(asm.R3, asm.R2, asm.R5, c.data, c.stride, c.max, bad)
	if t.Kind == ir.Int {
		p.load(asm.R0, asm.R3, off)
		p.memStore(dst, asm.R0)
		return
	}
	n := min(storage(t), dst.size)
	if n <= copyInline {
		p.copyWords(p.base(), dst.off, asm.R3, off, n)
	} else {
		p.memAddr(asm.R1, dst)
		p.imm(asm.R2, int64(n))
		p.addImm(asm.R3, int64(off))
		p.emit(asm.FnProbeReadKernel.Call())
	}
	p.fitText(p.frameText(dst), n, storage(t))
}

// evaluateStats sets what aggregates are sorted by.
func (p *prog) evaluateStats(c *collection, st *ir.Foreach, gl *ir.Global) {
	_, keySize := ir.KeyLayout(gl.Keys)
	off, _ := gl.ValueLayout()
	m := p.mark()
	key := p.alloc(keySize)
	value := p.alloc(8)
	done, bad := p.label(), p.label()
	p.memImm(c.i, 0)
	head := p.newState()
	p.memLoad(asm.R1, c.i)
	p.memLoad(asm.R2, c.n)
	p.jreg(asm.JGE, asm.R1, asm.R2, done)
	p.indexPtr(asm.R5, c, bad)
	p.indexed(asm.R3, asm.R1, asm.R5, c.data, c.stride, c.max, bad)
	if keySize <= copyInline {
		p.copyWords(p.base(), key.off, asm.R3, 0, keySize)
	} else {
		p.memAddr(asm.R1, key)
		p.imm(asm.R2, int64(keySize))
		p.emit(asm.FnProbeReadKernel.Call())
	}
	// An element that is empty after all counts as 0.
	empty := &try{outer: p.tries, catch: p.label(), lock: p.lock, codes: map[ir.ErrCode]bool{}}
	p.memImm(value, 0)
	p.tries = empty
	p.extract(statKey{c.array, p.frameText(key), off}, st.Sort.Fn, st.Site, asm.R0)
	p.tries = empty.outer
	p.memStore(value, asm.R0)
	p.place(empty.catch)
	p.memLoad(asm.R1, c.i)
	p.indexPtr(asm.R5, c, bad)
	p.indexed(asm.R3, asm.R1, asm.R5, c.sort, sortSize, c.max, bad)
	p.memLoad(asm.R0, value)
	p.store(asm.R3, sortKey, asm.R0)
	p.emit(asm.Add.Imm(asm.R1, 1))
	p.memStore(c.i, asm.R1)
	p.gotoState(head)
	p.place(bad)
	p.place(done)
	p.release(m)
}

// sort orders the sort entries: a shell sort, with its variables in memory.
func (p *prog) sort(c *collection, bad label) {
	sorted := p.label()
	p.memLoad(asm.R1, c.n)
	p.memStore(c.gap, asm.R1)

	gaps := p.newState()
	p.memLoad(asm.R1, c.gap)
	p.jimm(asm.JLE, asm.R1, 1, sorted)
	one := p.label()
	p.emit(asm.Mul.Imm(asm.R1, 5), asm.Div.Imm(asm.R1, 11))
	p.jimm(asm.JNE, asm.R1, 0, one)
	p.imm(asm.R1, 1)
	p.place(one)
	p.memStore(c.gap, asm.R1)
	p.memStore(c.i, asm.R1)

	// For each entry i from gap on: move it down in steps of gap.
	entries := p.newState()
	p.memLoad(asm.R1, c.i)
	p.memLoad(asm.R2, c.n)
	more := p.label()
	p.jreg(asm.JLT, asm.R1, asm.R2, more)
	p.gotoState(gaps)
	p.place(more)
	p.memStore(c.j, asm.R1)
	p.indexPtr(asm.R5, c, bad)
	p.indexed(asm.R3, asm.R1, asm.R5, c.sort, sortSize, c.max, bad)
	p.copyWords(p.base(), c.tmp.off, asm.R3, 0, sortSize)

	steps := p.newState()
	place, move := p.label(), p.label()
	p.memLoad(asm.R1, c.j)
	p.memLoad(asm.R2, c.gap)
	p.jreg(asm.JLT, asm.R1, asm.R2, place)
	p.emit(asm.Sub.Reg(asm.R1, asm.R2))
	p.indexPtr(asm.R5, c, bad)
	p.indexed(asm.R3, asm.R1, asm.R5, c.sort, sortSize, c.max, bad)
	p.before(c, move, place, bad)
	p.place(move)
	p.memLoad(asm.R1, c.j)
	p.memLoad(asm.R2, c.gap)
	p.mov(asm.R4, asm.R1)
	p.emit(asm.Sub.Reg(asm.R4, asm.R2))
	p.indexPtr(asm.R5, c, bad)
	p.indexed(asm.R3, asm.R4, asm.R5, c.sort, sortSize, c.max, bad)
	p.indexed(asm.R2, asm.R1, asm.R5, c.sort, sortSize, c.max, bad)
	p.copyWords(asm.R2, 0, asm.R3, 0, sortSize)
	p.memStore(c.j, asm.R4)
	p.gotoState(steps)

	p.place(place)
	p.memLoad(asm.R1, c.j)
	p.indexPtr(asm.R5, c, bad)
	p.indexed(asm.R3, asm.R1, asm.R5, c.sort, sortSize, c.max, bad)
	p.copyWords(asm.R3, 0, p.base(), c.tmp.off, sortSize)
	p.memLoad(asm.R1, c.i)
	p.emit(asm.Add.Imm(asm.R1, 1))
	p.memStore(c.i, asm.R1)
	p.gotoState(entries)
	p.place(sorted)
}

// before goes to yes if the entry in tmp comes before the one at R3, else to no.
func (p *prog) before(c *collection, yes, no, bad label) {
	less, more := asm.JSLT, asm.JSGT
	if c.desc {
		less, more = more, less
	}
	if c.text < 0 {
		p.memLoad(asm.R1, mem{c.tmp.off + sortKey, 8})
		p.load(asm.R2, asm.R3, sortKey)
		p.jreg(less, asm.R1, asm.R2, yes)
		p.jreg(more, asm.R1, asm.R2, no)
	} else {
		// R8 keeps the entry over the comparison.
		p.mov(asm.R8, asm.R3)
		p.load(asm.R4, asm.R3, sortPlace)
		p.indexed(asm.R2, asm.R4, asm.R5, c.data, c.stride, c.max, bad)
		p.memLoad(asm.R4, mem{c.tmp.off + sortPlace, 8})
		p.indexed(asm.R1, asm.R4, asm.R5, c.data, c.stride, c.max, bad)
		words := c.textLen / 8
		if words > inlineWords {
			p.addImm(asm.R1, int64(c.text))
			p.addImm(asm.R2, int64(c.text))
			p.emit(asm.Call.Label(p.g.compareSub(words)))
		} else {
			compareWords(p.stream, asm.R1, c.text, asm.R2, c.text, words)
		}
		p.mov(asm.R3, asm.R8)
		p.jimm(less, asm.R0, 0, yes)
		p.jimm(more, asm.R0, 0, no)
	}
	p.memLoad(asm.R1, mem{c.tmp.off + sortSeq, 8})
	p.load(asm.R2, asm.R3, sortSeq)
	p.jreg(asm.JGE, asm.R1, asm.R2, no)
}

// foreachHist makes a loop over the buckets of a histogram.
func (p *prog) foreachHist(st *ir.ForeachHist) {
	if p.mode != asLoop {
		p.need(asLoop)
		return
	}
	p.at(st.Site)
	k, ok := p.stat(&st.L, st.Limit)
	if !ok {
		return
	}
	end, cut := p.label(), p.label()
	limit := p.alloc(8)
	if st.Limit != nil {
		p.intInto(st.Limit, limit)
		p.memLoad(asm.R0, limit)
		p.jimm(asm.JSLE, asm.R0, 0, end)
	}
	h := p.histogram(k, st.Site)
	n := h.size / 8
	i, at := p.alloc(8), p.alloc(8)
	var order mem
	if st.Sort.By < 0 {
		order = p.alloc(8 * n)
		p.sortBuckets(h, order, n, st.Sort.Desc, cut)
	}
	p.memImm(i, 0)
	l := &loop{brk: p.label(), cont: p.label(), outer: p.scope.loop}
	head := p.newState()
	p.memLoad(asm.R1, i)
	p.jimm(asm.JGE, asm.R1, int64(n), l.brk)
	if st.Limit != nil {
		p.memLoad(asm.R2, limit)
		p.jreg(asm.JSGE, asm.R1, asm.R2, l.brk)
	}
	switch {
	case st.Sort.By < 0:
		p.bucketWord(asm.R2, asm.R1, order)
		p.load(asm.R1, asm.R2, order.off)
	case st.Sort.By > 0 && st.Sort.Desc:
		p.emit(asm.Neg.Imm(asm.R1, 0), asm.Add.Imm(asm.R1, int32(n-1)))
	}
	p.jimm(asm.JGE, asm.R1, int64(n), cut)
	p.memStore(at, asm.R1)
	if st.Key >= 0 {
		p.memStore(p.scope.locals[st.Key], asm.R1)
	}
	if st.Value >= 0 {
		p.bucketWord(asm.R2, asm.R1, h)
		p.load(asm.R0, asm.R2, h.off)
		p.memStore(p.scope.locals[st.Value], asm.R0)
	}
	p.scope.loop = l
	p.stmts(st.Body)
	p.scope.loop = l.outer
	p.place(l.cont)
	p.memLoad(asm.R1, i)
	p.emit(asm.Add.Imm(asm.R1, 1))
	p.memStore(i, asm.R1)
	p.gotoState(head)
	p.place(cut)
	p.place(l.brk)
	p.place(end)
}

// bucketWord sets r to the slot's address plus eight times n.
func (p *prog) bucketWord(r, n asm.Register, m mem) {
	p.mov(r, n)
	p.emit(asm.LSh.Imm(r, 3), asm.Add.Reg(r, p.base()))
}

// sortBuckets puts the numbers of the buckets into order by their counts; equal
// ones by their numbers. It is an insertion sort.
func (p *prog) sortBuckets(h, order mem, n int, desc bool, bad label) {
	i, j := p.alloc(8), p.alloc(8)
	done := p.label()
	p.memImm(i, 0)
	outer := p.newState()
	p.memLoad(asm.R1, i)
	p.jimm(asm.JGE, asm.R1, int64(n), done)
	p.memStore(j, asm.R1)
	inner := p.newState()
	place := p.label()
	p.memLoad(asm.R1, j)
	p.jimm(asm.JEq, asm.R1, 0, place)
	p.jimm(asm.JGE, asm.R1, int64(n), bad)
	p.bucketWord(asm.R2, asm.R1, order)
	p.load(asm.R3, asm.R2, order.off-8) // bucket in the place before
	p.jimm(asm.JGE, asm.R3, int64(n), bad)
	p.bucketWord(asm.R4, asm.R3, h)
	p.load(asm.R4, asm.R4, h.off)
	p.memLoad(asm.R5, i)
	p.jimm(asm.JGE, asm.R5, int64(n), bad)
	p.bucketWord(asm.R0, asm.R5, h)
	p.load(asm.R0, asm.R0, h.off)
	op := asm.JSGE
	if desc {
		op = asm.JSLE
	}
	p.jreg(op, asm.R0, asm.R4, place)
	p.store(asm.R2, order.off, asm.R3)
	p.emit(asm.Add.Imm(asm.R1, -1))
	p.memStore(j, asm.R1)
	p.gotoState(inner)
	p.place(place)
	p.memLoad(asm.R1, j)
	p.jimm(asm.JGE, asm.R1, int64(n), bad)
	p.bucketWord(asm.R2, asm.R1, order)
	p.memLoad(asm.R3, i)
	p.store(asm.R2, order.off, asm.R3)
	p.emit(asm.Add.Imm(asm.R3, 1))
	p.memStore(i, asm.R3)
	p.gotoState(outer)
	p.place(done)
}
