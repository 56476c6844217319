package ebpf

import (
	"slices"

	"github.com/cilium/ebpf/asm"

	"stapkit/format"
	"stapkit/ir"
)

// print makes a print statement: an item of the record that is sent when the
// handler ends.
func (p *prog) print(st *ir.Print) {
	p.item(ir.ItemPrint, st.Format, st.Args)
}

// textItem adds an item of one string.
func (p *prog) textItem(op int, e ir.Expr) { p.item(op, 0, []ir.Expr{e}) }

// item adds an item with arguments to the output.
func (p *prog) item(op, aux int, args []ir.Expr) {
	if p.region {
		p.internal(p.site, "output in a region")
		return
	}
	m := p.mark()
	defer p.release(m)
	var memory []format.MemoryOperand
	if op == ir.ItemPrint {
		f := &p.g.p.Formats[aux]
		if memory = f.Parsed.Memory(); len(memory) > 0 {
			p.need(inSlot)
		}
		if n := itemSize(args) + capturedSize(f); n > 8*0xffff {
			p.g.errorf(p.site, eOutput, "the print statement takes up to %d bytes, the most is %d", n, 8*0xffff)
			return
		}
	}
	if p.mode == onStack {
		p.itemOnStack(op, aux, args)
		return
	}
	// All operands first: nothing may come between the parts of an item.
	nums := make([]val, len(args))
	texts := make([]text, len(args))
	wide := false
	for i, a := range args {
		if a.Type().Kind == ir.Int {
			nums[i] = p.hold(a, args[i+1:]...)
			continue
		}
		texts[i] = p.text(a, args[i+1:]...)
		wide = wide || p.byLength(a.Type(), texts[i])
	}
	if len(memory) > 0 {
		args = slices.Clone(args)
		for _, o := range memory {
			if o.Index >= len(args) {
				p.internal(p.site, "a format without arguments")
				return
			}
			t := p.capture(o, nums, p.site)
			texts[o.Index] = t
			wide = wide || t.width > narrow
			args[o.Index] = &ir.Local{ID: -1, T: ir.Type{Kind: ir.Str, Width: t.width}} // its place is texts
		}
	}
	if wide {
		p.itemByLength(op, aux, args, nums, texts)
		return
	}
	size := itemHeader
	for i, a := range args {
		size += p.argSize(a, texts[i])
	}
	p.room(size)
	at := p.outBase + ir.RecHeader
	p.itemHeader(asm.R5, at, op, size/8, aux)
	off := itemHeader
	for i, a := range args {
		p.argument(asm.R5, at+off, a, nums[i], texts[i])
		off += p.argSize(a, texts[i])
	}
	p.emit(asm.Add.Imm(asm.R4, int32(size)))
	p.store(rSlot, slotOut, asm.R4)
}

// argSize is the room for an argument that is stored as a whole.
func (p *prog) argSize(a ir.Expr, t text) int {
	switch a.Type().Kind {
	case ir.Int:
		return 8
	case ir.Str:
		return 8 + t.width
	}
	return 8 + a.Type().Width
}

// byLength reports whether an argument takes only the room that its string needs.
func (p *prog) byLength(t ir.Type, x text) bool {
	return t.Kind == ir.Str && x.width > narrow && x.lit == nil && x.bytes == nil
}

// room makes sure that the buffer has room for size bytes, sending what is in it
// if need be. It leaves the fill in R4 and the slot's address plus the fill in R5.
func (p *prog) room(size int) {
	full, ready := p.label(), p.label()
	p.load(asm.R4, rSlot, slotOut)
	p.jimm(asm.JGT, asm.R4, int64(p.outCap-ir.RecHeader-size), full)
	p.mov(asm.R5, rSlot)
	p.emit(asm.Add.Reg(asm.R5, asm.R4))
	p.place(ready)
	p.later(func() {
		p.place(full)
		if p.chunks() {
			p.sendOutput(false)
		} // else it never gets here
		p.imm(asm.R4, 0)
		p.mov(asm.R5, rSlot)
		p.ja(ready)
	})
}

func (p *prog) itemHeader(base asm.Register, off, op, words, aux int) {
	p.emit(asm.StoreImm(base, int16(off), int64(op|words<<16), asm.Word))
	p.emit(asm.StoreImm(base, int16(off+4), int64(aux), asm.Word))
}

// argument stores an argument at base+off. It changes R0 to R3.
func (p *prog) argument(base asm.Register, off int, a ir.Expr, v val, t text) {
	switch a.Type().Kind {
	case ir.Int:
		if v.kind == isConst && v.imm == int64(int32(v.imm)) {
			p.storeImm(base, off, int32(v.imm))
			return
		}
		r := asm.R0
		if v.kind == isReg {
			r = v.reg
		} else {
			p.get(r, v)
		}
		p.store(base, off, r)
	case ir.Str:
		p.stringHeader(base, off, ir.StrToNUL, t.width)
		if t.bytes != nil {
			p.get(asm.R0, *t.bytes)
			p.emit(asm.StoreMem(base, int16(off), asm.R0, asm.Half))
		}
		p.copyTo(base, off+8, t, t.width)
	default:
		w := a.Type().Width
		p.itemHeader(base, off, int(a.Type().Text), 1+w/8, ir.DeferredArg)
		p.copyTo(base, off+8, t, w)
	}
}

func (p *prog) stringHeader(base asm.Register, off, length, width int) {
	p.itemHeader(base, off, length, 1+width/8, 0)
}

// copyTo copies a text to base+off. It changes R0 and R2, and for long ones R0 to
// R3.
func (p *prog) copyTo(base asm.Register, off int, t text, width int) {
	if t.bytes != nil && width > narrow { // base is R9, see itemByLength
		p.mov(asm.R1, base)
		p.emit(asm.Add.Imm(asm.R1, int32(off)))
		p.imm(asm.R2, int64(width))
		p.addr(asm.R3, t)
		p.emit(asm.FnProbeReadKernel.Call())
		return
	}
	from, fromOff := p.reach(asm.R2, t)
	for i := 0; i < width; i += 8 {
		if i >= t.width {
			p.storeImm(base, off+i, 0)
			continue
		}
		p.load(asm.R0, from, fromOff+i)
		p.store(base, off+i, asm.R0)
	}
}

// itemOnStack adds an item at a place known now.
func (p *prog) itemOnStack(op, aux int, args []ir.Expr) {
	if p.outAt < 0 {
		p.need(inSlot)
		return
	}
	direct := !anyOf(args, p.prints)
	base := asm.R10
	nums := make([]val, len(args))
	texts := make([]text, len(args))
	if !direct {
		for i, a := range args {
			if a.Type().Kind == ir.Int {
				nums[i] = p.hold(a, args[i+1:]...)
			} else {
				texts[i] = p.text(a, args[i+1:]...)
			}
		}
		if p.outAt < 0 {
			p.need(inSlot)
			return
		}
	}
	start := p.outMem.off + ir.RecHeader + p.outAt
	off := start + itemHeader
	for i, a := range args {
		t := a.Type()
		switch {
		case !direct:
			p.argument(base, off, a, nums[i], texts[i])
			off += p.argSize(a, texts[i])
			continue
		case t.Kind == ir.Int:
			p.intInto(a, mem{off, 8})
			off += 8
			continue
		}
		w := storage(t)
		if c, ok := a.(*ir.StrConst); ok {
			w = ir.StrWidth(len(c.S))
		}
		if t.Kind == ir.Str {
			p.stringHeader(base, off, ir.StrToNUL, w)
		} else {
			p.itemHeader(base, off, int(t.Text), 1+w/8, ir.DeferredArg)
		}
		p.textInto(a, p.frameText(mem{off + 8, w}))
		off += 8 + w
	}
	size := off - start
	p.itemHeader(base, start, op, size/8, aux)
	p.outAt += size
	if p.outAt > p.outMem.size-ir.RecHeader {
		p.internal(p.site, "output of %d bytes in a buffer of %d", p.outAt, p.outMem.size)
		return
	}
	p.setOutLen(p.outAt + ir.RecHeader)
}

// setOutLen keeps how much is in the buffer on the stack. It goes through a
// register: Linux 6.1 does not follow constants that are stored directly.
func (p *prog) setOutLen(n int) {
	p.lenStores = append(p.lenStores, len(p.insns), len(p.insns)+1)
	p.imm(asm.R0, int64(n))
	p.memStore(p.outLen, asm.R0)
}

// prints reports whether evaluating e can add to the output.
func (p *prog) prints(e ir.Expr) bool {
	found := false
	w := walker{
		expr: func(x ir.Expr) bool {
			switch x := x.(type) {
			case *ir.Call:
				for _, id := range x.Chain {
					found = found || p.g.funcs[id].out > 0
				}
			case *ir.Intrinsic:
				found = found || x.ID == ir.IExit || x.ID == ir.IWarn || x.ID == ir.ISystem
			}
			return !found
		},
		stmt: func(st ir.Stmt) bool {
			switch st.(type) {
			case *ir.Print, *ir.PrintHist:
				found = true
			}
			return !found
		},
	}
	w.walk(e)
	return found
}

// itemByLength adds an item with strings that take only the room they need.
func (p *prog) itemByLength(op, aux int, args []ir.Expr, nums []val, texts []text) {
	most, fixed := itemHeader, itemHeader
	for i, a := range args {
		n := p.argSize(a, texts[i])
		most += n
		if !p.byLength(a.Type(), texts[i]) {
			fixed += n
		}
	}
	// R9: where the item grows, less the fixed parts; R8: bytes of strings.
	restore := p.borrow()
	move := func(v val) val {
		if v.kind == isReg {
			return restore.moved(v)
		}
		return v
	}
	p.room(most)
	p.mov(asm.R9, asm.R5)
	p.imm(asm.R8, 0)
	at := p.outBase + ir.RecHeader
	off := itemHeader
	for i, a := range args {
		if !p.byLength(a.Type(), texts[i]) {
			p.argument(asm.R9, at+off, a, move(nums[i]), texts[i])
			off += p.argSize(a, texts[i])
			continue
		}
		w := texts[i].width
		p.mov(asm.R1, asm.R9)
		p.emit(asm.Add.Imm(asm.R1, int32(at+off+8)))
		p.imm(asm.R2, int64(w))
		p.addr(asm.R3, texts[i])
		p.emit(asm.FnProbeReadKernelStr.Call())
		good := p.label()
		p.jimm(asm.JLE, asm.R0, int64(w), good)
		p.imm(asm.R0, 1) // never, but the verifier must see it
		p.place(good)
		p.mov(asm.R1, asm.R0)
		p.emit(asm.Add.Imm(asm.R1, -1))
		p.emit(asm.StoreMem(asm.R9, int16(at+off), asm.R1, asm.Half))
		p.emit(asm.Add.Imm(asm.R0, 15), asm.RSh.Imm(asm.R0, 3))
		p.emit(asm.StoreMem(asm.R9, int16(at+off+2), asm.R0, asm.Half))
		p.emit(asm.StoreImm(asm.R9, int16(at+off+4), 0, asm.Word))
		p.emit(asm.LSh.Imm(asm.R0, 3))
		p.emit(asm.Add.Reg(asm.R9, asm.R0))
		p.emit(asm.Add.Reg(asm.R8, asm.R0))
	}
	p.room(most) // there is: it gives the verifier the bounds
	p.emit(asm.Add.Imm(asm.R8, int32(fixed)))
	p.mov(asm.R1, asm.R8)
	p.emit(asm.RSh.Imm(asm.R1, 3))
	p.itemHeader(asm.R5, at, op, 0, aux)
	p.emit(asm.StoreMem(asm.R5, int16(at+2), asm.R1, asm.Half))
	p.emit(asm.Add.Reg(asm.R4, asm.R8))
	p.store(rSlot, slotOut, asm.R4)
	restore.done()
}

// borrowed is the saved registers' content while they serve as work registers.
type borrowed struct {
	p    *prog
	used [3]bool
	mems [2]mem
}

// borrow stores R8 and R9 in memory if they hold values.
func (p *prog) borrow() *borrowed {
	b := &borrowed{p: p, used: p.saved}
	for i, r := range [...]asm.Register{asm.R8, asm.R9} {
		if b.used[i] {
			b.mems[i] = p.alloc(8)
			p.memStore(b.mems[i], r)
		}
	}
	return b
}

// moved returns where a value is meanwhile that was in a saved register.
func (b *borrowed) moved(v val) val {
	switch v.reg {
	case asm.R8:
		return val{kind: isMem, mem: b.mems[0]}
	case asm.R9:
		return val{kind: isMem, mem: b.mems[1]}
	}
	return v
}

// done gives the registers their values back.
func (b *borrowed) done() {
	for i, r := range [...]asm.Register{asm.R8, asm.R9} {
		if b.used[i] {
			b.p.memLoad(r, b.mems[i])
		}
	}
}

// capturedSize is how much more room the arguments of a format take than addresses:
// what %m and %M show is captured when the handler prints it.
func capturedSize(f *ir.Format) int {
	n := 0
	for _, m := range f.Parsed.Memory() {
		n += captureWidth(m)
	}
	return n
}

// captureWidth is the room for what one of them shows, and a zero byte.
func captureWidth(m format.MemoryOperand) int { return (m.Most() + 8) &^ 7 }

// capture reads the bytes that %m or %M shows of one of the operands. Behind them
// is a zero byte, if only of the next 8 bytes.
func (p *prog) capture(o format.MemoryOperand, nums []val, site int) text {
	t := p.frameText(p.alloc(captureWidth(o)))
	n := val{kind: isConst, imm: int64(o.Directive.MemorySize(0))}
	if o.Star >= 0 {
		p.zero(t)
		n = p.clamped(nums[o.Star], 1)
	} else {
		p.zero(part(t, t.width-8, 8))
	}
	t.bytes = &n
	helper, code := asm.FnProbeReadKernel, ir.ErrKernelFault
	if o.User {
		helper, code = asm.FnProbeReadUser, ir.ErrUserFault
	}
	addr := nums[o.Index]
	p.readMem(helper, func() {
		p.addr(asm.R1, t)
		p.get(asm.R2, n)
		if n.kind != isConst { // for the verifier
			fits := p.label()
			p.jimm(asm.JLE, asm.R2, format.MaxWidth, fits)
			p.imm(asm.R2, 1)
			p.place(fits)
		}
		p.get(asm.R3, addr)
	})
	p.get(asm.R3, addr)
	p.jimm(asm.JSLT, asm.R0, 0, p.errTo(code, site, asm.R3))
	return t
}
