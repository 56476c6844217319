package ebpf

import (
	"encoding/binary"
	"math"
	"strconv"

	"github.com/cilium/ebpf/asm"

	"stapkit/ir"
)

// statKey is where an aggregate is: a map of per-CPU values, the key in it, and
// the aggregate's offset in the value.
type statKey struct {
	g   int
	key text
	off int
}

// stat evaluates the keys of an aggregate.
func (p *prog) stat(l *ir.LValue, later ...ir.Expr) (statKey, bool) {
	if !l.Global {
		p.internal(p.site, "an aggregate that is not global")
		return statKey{}, false
	}
	gl := &p.g.p.Globals[l.ID]
	if gl.Value.Kind != ir.Stat {
		p.internal(p.site, "'%s' is no aggregate", gl.Name)
		return statKey{}, false
	}
	if gl.IsArray() {
		off, _ := gl.ValueLayout()
		return statKey{l.ID, p.key(l.ID, l.Keys, later...), off}, true
	}
	return statKey{l.ID, text{kind: inConst, off: p.g.consts.zeros(8), width: 8}, p.g.statOffs[l.ID]}, true
}

// statMap sets R1 to the map that holds the aggregate.
func (p *prog) statMap(k statKey) {
	if p.g.p.Globals[k.g].IsArray() {
		p.arrayMap(k.g)
	} else {
		p.mapPtr(asm.R1, ir.MapStats)
	}
}

// statAdd makes s <<< v. What one CPU adds can be interrupted by a handler that
// adds too, so that each field is changed by one instruction.
func (p *prog) statAdd(e *ir.StatAdd) {
	p.at(e.Site)
	m := p.mark()
	defer p.release(m)
	k, ok := p.stat(&e.L, e.V)
	if !ok {
		return
	}
	gl := &p.g.p.Globals[k.g]
	v := p.hold(e.V)
	defer p.changed(k.g, nil)
	found, missing, done := p.label(), p.label(), p.label()
	p.statMap(k)
	p.addr(asm.R2, k.key)
	p.emit(asm.FnMapLookupElem.Call())
	if gl.IsArray() {
		p.jimm(asm.JEq, asm.R0, 0, missing)
	} else {
		p.jimm(asm.JEq, asm.R0, 0, done) // never
	}
	p.place(found)
	p.mov(asm.R5, asm.R0)
	if k.off != 0 {
		p.emit(asm.Add.Imm(asm.R5, int32(k.off)))
	}
	p.get(asm.R4, v)
	p.addTo(&gl.Stat)
	p.place(done)
	if !gl.IsArray() {
		return
	}
	p.later(func() {
		p.place(missing)
		p.create(k.g, k.key, p.newStat(gl), e.Site, found)
		p.lookup(k.g, k.key)
		p.jimm(asm.JEq, asm.R0, 0, p.skipTo(ir.SkipMap))
		if gl.Ordered {
			p.nextNumber(k.g)
			p.store(asm.R0, 0, asm.R2)
		}
		p.ja(found)
	})
}

// newStat is the value of a new element: an empty aggregate.
func (p *prog) newStat(gl *ir.Global) text {
	off, size := gl.ValueLayout()
	l := ir.StatLayoutOf(gl.Stat)
	b := make([]byte, size)
	if l.Min >= 0 {
		binary.LittleEndian.PutUint64(b[off+l.Min:], math.MaxInt64)
	}
	if l.Max >= 0 {
		binary.LittleEndian.PutUint64(b[off+l.Max:], 1<<63)
	}
	return text{kind: inConst, off: p.g.consts.add(b), width: size}
}

// addTo adds the value in R4 to the aggregate at R5. It keeps R4.
func (p *prog) addTo(shape *ir.StatShape) {
	l := ir.StatLayoutOf(*shape)
	fields := l.Guarded()
	bump := func(off int) {
		p.imm(asm.R1, 1)
		p.emit(asm.AddAtomic.Mem(asm.R5, asm.R1, asm.DWord, int16(off)))
	}
	if fields {
		bump(l.Seq)
	}
	if l.Min >= 0 || l.Max >= 0 || l.Mean >= 0 {
		p.imm(asm.R1, 1)
		p.emit(asm.FetchAdd.Mem(asm.R5, asm.R1, asm.DWord, int16(l.Count))) // R1: the count before
	} else {
		bump(l.Count)
	}
	if l.Sum >= 0 {
		p.emit(asm.AddAtomic.Mem(asm.R5, asm.R4, asm.DWord, int16(l.Sum)))
	}
	if l.Min >= 0 {
		p.extreme(l.Min, asm.JSLE)
	}
	if l.Max >= 0 {
		p.extreme(l.Max, asm.JSGE)
	}
	if l.Mean >= 0 {
		p.addVariance(l, shape.VarShift)
	}
	if l.Hist >= 0 {
		p.addHist(l, shape)
	}
	if fields {
		bump(l.Seq)
	}
}

// extreme makes the word at R5+off the value in R4 unless the comparison holds
// between what is there and the value. The count before is in R1: the first value
// always counts.
func (p *prog) extreme(off int, keeps asm.JumpOp) {
	set, done := p.label(), p.label()
	p.load(asm.R0, asm.R5, off)
	p.jimm(asm.JEq, asm.R1, 0, set)
	p.jreg(keeps, asm.R0, asm.R4, done)
	p.place(set)
	// An interrupting handler may have changed it: a second try is enough, as
	// interruptions do not nest for ever.
	for range 3 {
		p.mov(asm.R3, asm.R0)
		p.mov(asm.R2, asm.R4)
		p.emit(asm.CmpXchg.Mem(asm.R5, asm.R2, asm.DWord, int16(off)))
		p.jreg(asm.JEq, asm.R0, asm.R3, done)
		p.jreg(keeps, asm.R0, asm.R4, done)
	}
	p.place(done)
}

// addVariance updates mean and M2; the count before is in R1.
func (p *prog) addVariance(l ir.StatLayout, shift int) {
	first, done := p.label(), p.label()
	p.mov(asm.R2, asm.R4)
	if shift > 0 {
		p.emit(asm.LSh.Imm(asm.R2, int32(shift)))
	}
	p.jimm(asm.JEq, asm.R1, 0, first)
	p.emit(asm.Add.Imm(asm.R1, 1))
	p.load(asm.R0, asm.R5, l.Mean)
	p.mov(asm.R3, asm.R2)
	p.emit(asm.Sub.Reg(asm.R3, asm.R0)) // how far v is from the mean
	p.mov(asm.R0, asm.R3)
	p.divSigned(asm.R0, asm.R1) // changes R2
	p.load(asm.R1, asm.R5, l.Mean)
	p.emit(asm.Add.Reg(asm.R0, asm.R1))
	p.store(asm.R5, l.Mean, asm.R0)
	p.mov(asm.R2, asm.R4)
	if shift > 0 {
		p.emit(asm.LSh.Imm(asm.R2, int32(shift)))
	}
	p.emit(asm.Sub.Reg(asm.R2, asm.R0), asm.Mul.Reg(asm.R3, asm.R2))
	p.load(asm.R0, asm.R5, l.M2)
	p.emit(asm.Add.Reg(asm.R0, asm.R3))
	p.store(asm.R5, l.M2, asm.R0)
	p.ja(done)
	p.place(first)
	p.store(asm.R5, l.Mean, asm.R2)
	p.storeImm(asm.R5, l.M2, 0)
	p.place(done)
}

// addHist counts the value in R4 in its bucket.
func (p *prog) addHist(l ir.StatLayout, shape *ir.StatShape) {
	h, _ := shape.Histogram()
	if low, _, step, ok := h.IsLinear(); ok {
		below, counted, inside := p.label(), p.label(), p.label()
		p.imm(asm.R0, low)
		p.jreg(asm.JSLT, asm.R4, asm.R0, below)
		p.mov(asm.R1, asm.R4)
		p.emit(asm.Sub.Reg(asm.R1, asm.R0))
		if step == int64(int32(step)) {
			p.emit(asm.Div.Imm(asm.R1, int32(step)))
		} else {
			p.imm(asm.R2, step)
			p.emit(asm.Div.Reg(asm.R1, asm.R2))
		}
		p.jimm(asm.JLE, asm.R1, int64(h.Buckets()-2), inside)
		p.imm(asm.R1, int64(h.Buckets()-2))
		p.place(inside)
		p.emit(asm.Add.Imm(asm.R1, 1))
		p.ja(counted)
		p.place(below)
		p.imm(asm.R1, 0)
		p.place(counted)
	} else {
		p.logBucket()
	}
	p.emit(asm.LSh.Imm(asm.R1, 3))
	p.mov(asm.R2, asm.R5)
	p.emit(asm.Add.Reg(asm.R2, asm.R1))
	p.imm(asm.R1, 1)
	p.emit(asm.AddAtomic.Mem(asm.R2, asm.R1, asm.DWord, int16(l.Hist)))
}

// logBucket leaves the bucket of the value in R4 in R1: 64 plus, or for negative
// values minus, the length of its amount in bits.
func (p *prog) logBucket() {
	pos, end := p.label(), p.label()
	p.mov(asm.R1, asm.R4)
	p.jimm(asm.JSGE, asm.R1, 0, pos)
	p.emit(asm.Neg.Imm(asm.R1, 0))
	p.place(pos)
	p.imm(asm.R2, 0)
	for n := int32(32); n > 0; n /= 2 {
		small := p.label()
		if n == 32 { // 1<<32 is no operand of a jump
			p.mov(asm.R3, asm.R1)
			p.emit(asm.RSh.Imm(asm.R3, n))
			p.jimm(asm.JEq, asm.R3, 0, small)
		} else {
			p.jimm(asm.JLT, asm.R1, 1<<n, small)
		}
		p.emit(asm.RSh.Imm(asm.R1, n), asm.Add.Imm(asm.R2, n))
		p.place(small)
	}
	p.emit(asm.Add.Reg(asm.R1, asm.R2)) // the length: what is left is 0 or 1
	p.jimm(asm.JSGE, asm.R4, 0, end)
	p.emit(asm.Neg.Imm(asm.R1, 0))
	p.place(end)
	p.emit(asm.Add.Imm(asm.R1, 64), asm.And.Imm(asm.R1, 127))
}

// Words of what is gathered from the CPUs.
const (
	accCount = 8 * iota
	accSum
	accMin
	accMax
	accMean // for the variance: the mean of all
	accDev  // and what the CPUs' values deviate from it
	accSize
)

// gather runs code for each CPU's part of an aggregate: R9 is the part's address,
// R7 what p.base() is. The code must fall through; it may use all registers but R6
// and R7, and 64 bytes of stack.
func (p *prog) gather(k statKey, code func(s *stream)) {
	p.g.callbacks++
	name := p.g.sub(p.h.Name+"_cpu"+strconv.Itoa(p.g.callbacks), func(s *stream) {
		// R1: the CPU; R2: the context.
		end := s.label()
		s.site = p.site
		s.mov(asm.R8, asm.R1)
		s.mov(asm.R6, asm.R2)
		if p.mode == onStack {
			s.load(cbBase, asm.R2, 8)
		} else {
			s.load(cbBase, asm.R2, 0)
		}
		cb := &prog{stream: s, g: p.g, h: p.h, mode: inSlot} // addresses by cbBase
		if p.g.p.Globals[k.g].IsArray() {
			p.g.arrayMap(s, k.g, end)
		} else {
			cb.mapPtr(asm.R1, ir.MapStats)
		}
		cb.addr(asm.R2, k.key)
		s.mov(asm.R3, asm.R8)
		s.emit(asm.FnMapLookupPercpuElem.Call())
		s.jimm(asm.JEq, asm.R0, 0, end)
		s.mov(asm.R9, asm.R0)
		if k.off != 0 {
			s.emit(asm.Add.Imm(asm.R9, int32(k.off)))
		}
		code(s)
		s.exit(0)
		s.place(end)
		s.exit(1)
	})
	// The context lies on the stack: the slot, or the frame itself.
	ctx := cbSlot
	if p.mode == onStack {
		m := p.alloc(16)
		ctx = m.off
		p.store(asm.R10, ctx+8, asm.R10)
	} else {
		p.store(asm.R10, ctx, rSlot)
	}
	p.imm(asm.R1, maxCPUs)
	p.funcAddr(asm.R2, name)
	p.mov(asm.R3, asm.R10)
	p.emit(asm.Add.Imm(asm.R3, int32(ctx)))
	p.imm(asm.R4, 0)
	p.emit(asm.FnLoop.Call())
}

// consistent copies words of the part at R9 to the callback's stack while no
// writer is between two of them.
func (p *prog) consistent(s *stream, offs ...int) {
	copyAll := func() {
		for i, off := range offs {
			s.load(asm.R1, asm.R9, off)
			s.store(asm.R10, -8*(i+1), asm.R1)
		}
	}
	if len(offs) < 2 {
		copyAll()
		return
	}
	again, odd, done := s.label(), s.label(), s.label()
	s.imm(asm.R8, 16)
	s.place(again)
	s.load(asm.R2, asm.R9, 0)
	copyAll()
	s.load(asm.R3, asm.R9, 0)
	s.mov(asm.R4, asm.R2)
	s.emit(asm.And.Imm(asm.R4, 1))
	s.jimm(asm.JNE, asm.R4, 0, odd)
	s.jreg(asm.JEq, asm.R2, asm.R3, done)
	s.place(odd)
	s.emit(asm.Add.Imm(asm.R8, -1))
	s.jimm(asm.JNE, asm.R8, 0, again)
	cb := &prog{stream: s, g: p.g}
	cb.count(ir.TornRead)
	s.place(done)
}

// sums gathers count and, as wanted, sum, minimum and maximum into acc.
func (p *prog) sums(k statKey, acc mem, fn ir.StatFn) {
	l := ir.StatLayoutOf(p.g.p.Globals[k.g].Stat)
	offs := []int{l.Count}
	at := -1
	switch fn {
	case ir.StatSum, ir.StatAvg, ir.StatVariance:
		at = l.Sum
	case ir.StatMin:
		at = l.Min
	case ir.StatMax:
		at = l.Max
	}
	if fn != ir.StatCount {
		if at < 0 {
			p.internal(p.site, "the aggregate '%s' does not keep what is asked of it", p.g.p.Globals[k.g].Name)
			return
		}
		offs = append(offs, at)
	}
	// The extremes begin with numbers that any value replaces. Whether there was a value
	// before cannot be asked: Linux 6.1 looks through a callback once only, and leaves out
	// of it what does not happen the first time.
	first := int64(0)
	switch fn {
	case ir.StatMin:
		first = math.MaxInt64
	case ir.StatMax:
		first = math.MinInt64
	}
	p.memImm(mem{acc.off + accCount, 8}, 0)
	p.imm(asm.R1, first)
	p.memStore(mem{acc.off + accSum, 8}, asm.R1)
	p.gather(k, func(s *stream) {
		p.consistent(s, offs...)
		empty := s.label()
		s.load(asm.R1, asm.R10, -8)
		s.jimm(asm.JEq, asm.R1, 0, empty)
		s.load(asm.R2, cbBase, acc.off+accCount)
		s.emit(asm.Add.Reg(asm.R2, asm.R1))
		s.store(cbBase, acc.off+accCount, asm.R2)
		if fn == ir.StatCount {
			s.place(empty)
			return
		}
		s.load(asm.R1, asm.R10, -16)
		s.load(asm.R2, cbBase, acc.off+accSum)
		switch fn {
		case ir.StatMin, ir.StatMax:
			op := asm.JSGE
			if fn == ir.StatMax {
				op = asm.JSLE
			}
			s.jreg(op, asm.R1, asm.R2, empty)
			s.store(cbBase, acc.off+accSum, asm.R1)
		default:
			s.emit(asm.Add.Reg(asm.R2, asm.R1))
			s.store(cbBase, acc.off+accSum, asm.R2)
		}
		s.place(empty)
	})
}

// statGet extracts a number from an aggregate.
func (p *prog) statGet(e *ir.StatGet, dst asm.Register) {
	m := p.mark()
	defer p.release(m)
	k, ok := p.stat(&e.L)
	if !ok {
		return
	}
	p.extract(k, e.Fn, e.Site, dst)
}

// extract leaves what fn says of an aggregate in dst.
func (p *prog) extract(k statKey, fn ir.StatFn, site int, dst asm.Register) {
	acc := p.alloc(accSize)
	p.sums(k, acc, fn)
	count, sum := mem{acc.off + accCount, 8}, mem{acc.off + accSum, 8}
	switch fn {
	case ir.StatCount:
		p.memLoad(dst, count)
		return
	case ir.StatSum:
		p.memLoad(dst, sum)
		return
	}
	p.memLoad(asm.R1, count)
	p.jimm(asm.JEq, asm.R1, 0, p.errConst(ir.ErrEmptyStat, site, 0))
	switch fn {
	case ir.StatAvg:
		p.memLoad(asm.R0, sum)
		p.divSigned(asm.R0, asm.R1)
		p.mov(dst, asm.R0)
	case ir.StatVariance:
		p.variance(k, acc, dst)
	default:
		p.memLoad(dst, sum)
	}
}

// divSigned divides x by y, which is not 0; it changes y and one more register.
func (s *stream) divSigned(x, y asm.Register) {
	sign := other(x, y)
	abs := func(r asm.Register) {
		pos := s.label()
		s.jimm(asm.JSGE, r, 0, pos)
		s.emit(asm.Neg.Imm(r, 0))
		s.place(pos)
	}
	s.mov(sign, x)
	s.emit(asm.Xor.Reg(sign, y))
	abs(x)
	abs(y)
	s.emit(asm.Div.Reg(x, y))
	pos := s.label()
	s.jimm(asm.JSGE, sign, 0, pos)
	s.emit(asm.Neg.Imm(x, 0))
	s.place(pos)
}

// variance computes the sample variance from count and sum in acc and what the
// CPUs have, as ir.StatShape says.
func (p *prog) variance(k statKey, acc mem, dst asm.Register) {
	shape := &p.g.p.Globals[k.g].Stat
	l := ir.StatLayoutOf(*shape)
	count, sum := mem{acc.off + accCount, 8}, mem{acc.off + accSum, 8}
	mean, dev := mem{acc.off + accMean, 8}, mem{acc.off + accDev, 8}
	few, done := p.label(), p.label()
	p.memLoad(asm.R1, count)
	p.jimm(asm.JSLT, asm.R1, 2, few)
	p.memLoad(asm.R0, sum)
	if shape.VarShift > 0 {
		p.emit(asm.LSh.Imm(asm.R0, int32(shape.VarShift)))
	}
	p.divSigned(asm.R0, asm.R1)
	p.memStore(mean, asm.R0)
	p.memImm(dev, 0)
	p.gather(k, func(s *stream) {
		p.consistent(s, l.Count, l.Mean, l.M2)
		one, end := s.label(), s.label()
		s.load(asm.R4, asm.R10, -8)
		s.jimm(asm.JEq, asm.R4, 0, end)
		s.load(asm.R0, asm.R10, -16)
		s.load(asm.R1, cbBase, mean.off)
		s.emit(asm.Sub.Reg(asm.R0, asm.R1), asm.Mul.Reg(asm.R0, asm.R0), asm.Mul.Reg(asm.R0, asm.R4))
		s.load(asm.R5, cbBase, dev.off)
		s.emit(asm.Add.Reg(asm.R5, asm.R0))
		s.jimm(asm.JSLE, asm.R4, 1, one)
		s.load(asm.R0, asm.R10, -24)
		s.emit(asm.Add.Imm(asm.R4, -1))
		s.mov(asm.R1, asm.R4)
		s.divSigned(asm.R0, asm.R1)
		s.emit(asm.Mul.Reg(asm.R0, asm.R4), asm.Add.Reg(asm.R5, asm.R0))
		s.place(one)
		s.store(cbBase, dev.off, asm.R5)
		s.place(end)
	})
	p.memLoad(asm.R0, dev)
	p.memLoad(asm.R1, count)
	p.emit(asm.Add.Imm(asm.R1, -1))
	p.divSigned(asm.R0, asm.R1)
	if shape.VarShift > 0 {
		p.emit(asm.ArSh.Imm(asm.R0, int32(2*shape.VarShift)&63))
	}
	p.ja(done)
	p.place(few)
	p.imm(asm.R0, 0)
	p.place(done)
	p.mov(dst, asm.R0)
}

// histGet reads the count in one bucket.
func (p *prog) histGet(e *ir.HistGet, dst asm.Register) {
	m := p.mark()
	defer p.release(m)
	k, ok := p.stat(&e.L, e.Bucket)
	if !ok {
		return
	}
	l := ir.StatLayoutOf(p.g.p.Globals[k.g].Stat)
	if l.Hist < 0 {
		p.internal(e.Site, "the aggregate '%s' keeps no histogram", p.g.p.Globals[k.g].Name)
		return
	}
	count, bucket, sum := p.alloc(8), p.alloc(8), p.alloc(8)
	p.intInto(e.Bucket, bucket)
	p.memImm(count, 0)
	p.memImm(sum, 0)
	p.gather(k, func(s *stream) {
		end := s.label()
		s.load(asm.R1, asm.R9, l.Count)
		s.load(asm.R2, cbBase, count.off)
		s.emit(asm.Add.Reg(asm.R2, asm.R1))
		s.store(cbBase, count.off, asm.R2)
		s.load(asm.R1, cbBase, bucket.off)
		s.jimm(asm.JGE, asm.R1, int64(l.Buckets), end)
		s.emit(asm.LSh.Imm(asm.R1, 3))
		s.mov(asm.R2, asm.R9)
		s.emit(asm.Add.Reg(asm.R2, asm.R1))
		s.load(asm.R1, asm.R2, l.Hist)
		s.load(asm.R2, cbBase, sum.off)
		s.emit(asm.Add.Reg(asm.R2, asm.R1))
		s.store(cbBase, sum.off, asm.R2)
		s.place(end)
	})
	p.memLoad(asm.R0, count)
	p.jimm(asm.JEq, asm.R0, 0, p.errConst(ir.ErrEmptyStat, e.Site, 0))
	p.memLoad(asm.R0, bucket)
	p.jimm(asm.JGE, asm.R0, int64(l.Buckets), p.errTo(ir.ErrBucket, e.Site, asm.R0))
	p.memLoad(dst, sum)
}

// histogram gathers a histogram into memory: a count for each bucket. An empty
// aggregate is an error.
func (p *prog) histogram(k statKey, site int) mem {
	l := ir.StatLayoutOf(p.g.p.Globals[k.g].Stat)
	if l.Hist < 0 {
		p.internal(site, "the aggregate '%s' keeps no histogram", p.g.p.Globals[k.g].Name)
		return mem{}
	}
	count, buckets := p.alloc(8), p.alloc(8*l.Buckets)
	p.memImm(count, 0)
	p.zero(p.frameText(buckets))
	p.gather(k, func(s *stream) {
		s.load(asm.R1, asm.R9, l.Count)
		s.load(asm.R2, cbBase, count.off)
		s.emit(asm.Add.Reg(asm.R2, asm.R1))
		s.store(cbBase, count.off, asm.R2)
		again := s.label()
		s.imm(asm.R8, int64(l.Buckets))
		s.mov(asm.R3, cbBase)
		s.place(again)
		s.load(asm.R1, asm.R9, l.Hist)
		s.load(asm.R2, asm.R3, buckets.off)
		s.emit(asm.Add.Reg(asm.R2, asm.R1))
		s.store(asm.R3, buckets.off, asm.R2)
		s.emit(asm.Add.Imm(asm.R9, 8), asm.Add.Imm(asm.R3, 8), asm.Add.Imm(asm.R8, -1))
		s.jimm(asm.JNE, asm.R8, 0, again)
	})
	p.memLoad(asm.R0, count)
	p.jimm(asm.JEq, asm.R0, 0, p.errConst(ir.ErrEmptyStat, site, 0))
	return buckets
}

// printHist prints a histogram: the loader makes the text.
func (p *prog) printHist(st *ir.PrintHist) {
	if p.region {
		p.internal(st.Site, "output in a region")
		return
	}
	p.need(inSlot)
	if p.mode == onStack {
		return
	}
	k, ok := p.stat(&st.L)
	if !ok {
		return
	}
	h := p.histogram(k, st.Site)
	size := itemHeader + h.size
	p.room(size)
	at := p.outBase + ir.RecHeader
	p.itemHeader(asm.R5, at, ir.ItemHist, size/8, k.g)
	p.mov(asm.R1, asm.R5)
	p.emit(asm.Add.Imm(asm.R1, int32(at+itemHeader)))
	p.imm(asm.R2, int64(h.size))
	p.memAddr(asm.R3, h)
	p.emit(asm.FnProbeReadKernel.Call())
	p.load(asm.R4, rSlot, slotOut)
	p.emit(asm.Add.Imm(asm.R4, int32(size)))
	p.store(rSlot, slotOut, asm.R4)
}

// delStat empties a scalar aggregate.
func (p *prog) delStat(l *ir.LValue, site int) {
	m := p.mark()
	defer p.release(m)
	k, ok := p.stat(l)
	if !ok {
		return
	}
	lay := ir.StatLayoutOf(p.g.p.Globals[k.g].Stat)
	p.gather(k, func(s *stream) {
		s.imm(asm.R1, 1)
		s.emit(asm.AddAtomic.Mem(asm.R9, asm.R1, asm.DWord, 0))
		if lay.Size-8 <= copyInline {
			for off := 8; off < lay.Size; off += 8 {
				s.storeImm(asm.R9, off, 0)
			}
		} else {
			cb := &prog{stream: s, g: p.g}
			s.mov(asm.R1, asm.R9)
			s.emit(asm.Add.Imm(asm.R1, 8))
			s.imm(asm.R2, int64(lay.Size-8))
			cb.constant(asm.R3, p.g.consts.zeros(lay.Size-8))
			s.emit(asm.FnProbeReadKernel.Call())
		}
		s.imm(asm.R1, 1)
		s.emit(asm.AddAtomic.Mem(asm.R9, asm.R1, asm.DWord, 0))
	})
}
