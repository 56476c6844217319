package ebpf

import (
	"github.com/cilium/ebpf/asm"

	"stapkit/ir"
)

// itemHeader is the size of an item's header.
const itemHeader = 8

// argSize is the most room that an argument takes in an item.
func argSize(t ir.Type) int {
	if t.Kind == ir.Int {
		return 8
	}
	return 8 + t.Width
}

// itemSize is the most room that an item with the arguments takes.
func itemSize(args []ir.Expr) int {
	n := itemHeader
	for _, a := range args {
		n += argSize(printType(a))
	}
	return n
}

// printType is the type that an argument of a print has in the record: sprintf
// whose result is only printed is left to the loader.
func printType(e ir.Expr) ir.Type { return e.Type() }

// narrow is the storage up to which a string goes into a record as a whole,
// without a look for its end.
const narrow = 64

// outSame returns what all ways out have in the buffer on the stack, if it is
// the same.
func (p *prog) outSame() (at int, same bool) {
	if p.mode != onStack {
		return -1, false
	}
	for i, l := range p.leaves {
		if l < 0 || l != p.leaves[0] {
			return -1, false
		}
		at = p.leaves[i]
	}
	return at, true
}

// waysOut makes what stands behind the body: normal and failed end here.
func (p *prog) waysOut() {
	p.lock = -1
	release := p.label()
	if p.a.out > 0 {
		p.place(p.normal)
		if p.usesErr {
			send := p.label()
			p.imm(asm.R8, 0)
			p.place(send)
			p.sendOutput(true)
			p.jimm(asm.JEq, asm.R8, 0, release)
			p.sendError()
			p.ja(release)
			p.place(p.failed)
			p.imm(asm.R8, 1)
			p.ja(send)
		} else {
			p.sendOutput(true)
		}
		p.place(release)
	} else {
		if p.usesErr {
			p.place(p.failed)
			p.sendError()
		}
		p.place(p.normal)
		p.place(release)
	}
	p.takeResult()
	if p.mode != onStack {
		// Nobody but this CPU looks at the word.
		p.storeImm(rSlot, slotClaim, 0)
	}
	if p.region {
		return // the status is set
	}
}

// length is how long a record is: a constant, or what a register says.
type length struct {
	n   int
	reg asm.Register
}

func (p *prog) setLength(r asm.Register, l length) {
	if l.n > 0 {
		p.imm(r, int64(l.n))
	} else {
		p.mov(r, l.reg)
	}
}

// recordHeader fills in the header of a record at base+off.
func (p *prog) recordHeader(base asm.Register, off int, l length) {
	if l.n > 0 {
		p.emit(asm.StoreImm(base, int16(off+4), int64(l.n), asm.Word))
	} else {
		p.emit(asm.StoreMem(base, int16(off+4), l.reg, asm.Word))
	}
	p.recordKind(base, off)
	p.storeImm(base, off+24, 0)
	// Asking for the time costs more than most of a record. The parts of a record are
	// joined by their CPU.
	p.storeImm(base, off+8, 0)
	p.storeImm(base, off+16, 0)
	done := p.label()
	p.session(asm.R0, ir.SessOffFlags)
	p.load(asm.R0, asm.R0, 0)
	p.jimm(asm.JEq, asm.R0, 0, done)
	p.emit(asm.FnKtimeGetNs.Call())
	p.store(base, off+8, asm.R0)
	if p.chunks() {
		p.place(done)
	}
	p.emit(asm.FnGetSmpProcessorId.Call())
	p.emit(asm.StoreMem(base, int16(off+16), asm.R0, asm.Word))
	if !p.chunks() {
		p.place(done)
	}
}

// recordKind notes in the header of a record what it is, and of which probe.
func (p *prog) recordKind(base asm.Register, off int) {
	if len(p.h.Points) == 0 {
		p.emit(asm.StoreImm(base, int16(off), int64(ir.RecItems|p.h.Probe<<16), asm.Word))
		return
	}
	p.memLoad(asm.R0, p.usePoint())
	p.emit(asm.StoreImm(base, int16(off), ir.RecItems, asm.Half))
	p.emit(asm.StoreMem(base, int16(off+2), asm.R0, asm.Half))
}

// sendOutput sends what is in the buffer, at the end or because it is full. It
// keeps R8, and R9 unless the buffer is on the stack.
func (p *prog) sendOutput(end bool) {
	done := p.label()
	if p.mode == onStack {
		l := length{reg: asm.R9}
		if at, same := p.outSame(); same {
			p.sendShort(at)
			return
		}
		p.memLoad(asm.R9, p.outLen)
		p.jimm(asm.JEq, asm.R9, 0, done)
		p.recordHeader(asm.R10, p.outMem.off, l)
		p.mapPtr(asm.R1, ir.MapRing)
		p.memAddr(asm.R2, p.outMem)
		p.setLength(asm.R3, l)
	} else {
		bounded := func(r asm.Register) {
			p.load(r, rSlot, slotOut)
			p.jimm(asm.JEq, r, 0, done)
			p.jimm(asm.JGT, r, int64(p.outCap-ir.RecHeader), done) // never, but the verifier must see it
			p.emit(asm.Add.Imm(r, ir.RecHeader))
		}
		bounded(asm.R1)
		p.recordHeader(rSlot, p.outBase, length{reg: asm.R1})
		p.emit(asm.LoadMem(asm.R1, rSlot, slotInv, asm.Word))
		p.emit(asm.StoreMem(rSlot, int16(p.outBase+20), asm.R1, asm.Word))
		if p.chunks() {
			whole := p.label()
			p.load(asm.R1, rSlot, slotSeq)
			if end {
				p.jimm(asm.JEq, asm.R1, 0, whole)
			}
			// A part of a longer record.
			p.emit(asm.StoreImm(rSlot, int16(p.outBase), ir.RecChunk, asm.Half))
			p.emit(asm.StoreMem(rSlot, int16(p.outBase+24), asm.R1, asm.Half))
			if end {
				p.emit(asm.StoreImm(rSlot, int16(p.outBase+26), 1, asm.Half))
			} else {
				p.emit(asm.Add.Imm(asm.R1, 1))
				p.store(rSlot, slotSeq, asm.R1)
			}
			p.place(whole)
		}
		bounded(asm.R3)
		if !end {
			p.storeImm(rSlot, slotOut, 0)
		}
		p.mapPtr(asm.R1, ir.MapRing)
		p.mov(asm.R2, rSlot)
		p.emit(asm.Add.Imm(asm.R2, int32(p.outBase)))
	}
	p.imm(asm.R4, 0)
	p.emit(asm.FnRingbufOutput.Call())
	p.jimm(asm.JEq, asm.R0, 0, done)
	p.count(ir.DropOutput)
	p.place(done)
}

// sendShort sends n bytes of items from the buffer on the stack. They are copied into the
// ring word by word: that takes less than the kernel's own copying, and the header need not
// be on the stack first.
func (p *prog) sendShort(n int) {
	if n == 0 {
		return
	}
	sent, full, asked, stamped := p.label(), p.label(), p.label(), p.label()
	p.mapPtr(asm.R1, ir.MapRing)
	p.imm(asm.R2, int64(ir.RecHeader+n))
	p.imm(asm.R3, 0)
	p.emit(asm.FnRingbufReserve.Call())
	p.jimm(asm.JEq, asm.R0, 0, full)
	p.mov(asm.R1, asm.R0)
	p.recordKind(asm.R1, 0)
	p.emit(asm.StoreImm(asm.R1, 4, int64(ir.RecHeader+n), asm.Word))
	for off := 8; off < ir.RecHeader; off += 8 {
		p.storeImm(asm.R1, off, 0)
	}
	for off := 0; off < n; off += 8 {
		p.load(asm.R0, asm.R10, p.outMem.off+ir.RecHeader+off)
		p.store(asm.R1, ir.RecHeader+off, asm.R0)
	}
	p.session(asm.R0, ir.SessOffFlags)
	p.load(asm.R0, asm.R0, 0)
	p.jimm(asm.JNE, asm.R0, 0, asked)
	p.place(stamped)
	p.imm(asm.R2, 0)
	p.emit(asm.FnRingbufSubmit.Call())
	p.place(sent)
	p.later(func() {
		// The place in the ring is kept where the items were.
		p.place(asked)
		kept := p.outMem.off
		p.store(asm.R10, kept, asm.R1)
		p.emit(asm.FnKtimeGetNs.Call())
		p.load(asm.R1, asm.R10, kept)
		p.store(asm.R1, 8, asm.R0)
		p.emit(asm.FnGetSmpProcessorId.Call())
		p.load(asm.R1, asm.R10, kept)
		p.emit(asm.StoreMem(asm.R1, 16, asm.R0, asm.Word))
		p.ja(stamped)
		p.place(full)
		p.count(ir.DropOutput)
		p.ja(sent)
	})
}

// chunks reports whether the output can exceed the buffer.
func (p *prog) chunks() bool { return p.mode != onStack && p.a.out > p.outCap-ir.RecHeader }

// sendError reports the error in errRec and ends the session if it was one too
// many.
func (p *prog) sendError() {
	if p.region {
		p.regionError()
		return
	}
	off, base := p.errRec.off, p.base()
	short, sent := p.label(), p.label()
	l := length{n: ir.RecHeader + itemHeader + 16}
	if p.a.errText > 0 {
		p.imm(asm.R9, int64(l.n))
		l = length{reg: asm.R9}
		p.load(asm.R1, base, off+ir.RecHeader+itemHeader)
		p.jimm(asm.JNE, asm.R1, int64(ir.ErrUser), short)
		p.imm(asm.R9, int64(p.errRec.size))
		p.place(short)
	}
	p.recordHeader(base, off, l)
	p.mapPtr(asm.R1, ir.MapRing)
	p.memAddr(asm.R2, p.errRec)
	p.setLength(asm.R3, l)
	p.imm(asm.R4, 0)
	p.emit(asm.FnRingbufOutput.Call())
	p.jimm(asm.JEq, asm.R0, 0, sent)
	p.count(ir.DropError)
	p.place(sent)

	few := p.label()
	p.session(asm.R3, 0)
	p.imm(asm.R1, 1)
	p.emit(asm.FetchAdd.Mem(asm.R3, asm.R1, asm.DWord, ir.SessOffErrors))
	p.load(asm.R2, asm.R3, ir.SessOffMaxErrors)
	p.jreg(asm.JSLT, asm.R1, asm.R2, few)
	p.setState(ir.SessError)
	p.place(few)
}

// setState changes the session's state if it is running. R3 must hold the
// address of the session block.
func (p *prog) setState(to ir.SessState) {
	p.imm(asm.R0, int64(ir.SessRunning))
	p.imm(asm.R1, int64(to))
	p.emit(asm.CmpXchg.Mem(asm.R3, asm.R1, asm.DWord, ir.SessOffState))
}

// errTo returns a label where an error is raised: arg, unless it is R10, holds
// the error's argument when code jumps there.
func (p *prog) errTo(code ir.ErrCode, site int, arg asm.Register) label {
	l := p.label()
	p.raises(code)
	p.later(func() {
		p.place(l)
		p.at(site)
		p.raise(code, site, arg, 0)
	})
	return l
}

// errConst is errTo for a constant argument.
func (p *prog) errConst(code ir.ErrCode, site int, arg int32) label {
	l := p.label()
	p.raises(code)
	p.later(func() {
		p.place(l)
		p.at(site)
		p.raise(code, site, noArg, arg)
	})
	return l
}

const noArg = asm.R10

// catchable reports whether a try block gets the error.
func catchable(code ir.ErrCode) bool {
	return code != ir.ErrMaxAction && code != errAbort && code != errSkip
}

// Codes that only the generator knows; never caught, never reported.
const (
	errAbort ir.ErrCode = 0xff00 + iota // abort()
	errSkip                             // the invocation is skipped, its cause counted
)

// target is where an error goes that is raised here.
func (p *prog) target(code ir.ErrCode) *try {
	t := p.tries
	for t != nil && t.fn == nil && (!catchable(code) || t.faults && !code.Fault()) {
		t = t.outer
	}
	return t
}

// raises notes that code below may raise an error.
func (p *prog) raises(code ir.ErrCode) {
	if t := p.target(code); t != nil {
		t.outs = append(t.outs, p.outAt)
		if t.codes != nil {
			t.codes[code] = true
		}
		return
	}
	if catchable(code) || code == ir.ErrMaxAction {
		p.usesErr = true
	}
	p.leaves = append(p.leaves, p.outAt)
}

// raise raises an error with the argument in a register, or a constant one.
func (p *prog) raise(code ir.ErrCode, site int, arg asm.Register, v int32) {
	t := p.target(code)
	quiet := code == errAbort || code == errSkip
	if !quiet && (t == nil || t.fn != nil || t.text) || quiet && t != nil {
		p.storeError(code, site, arg, v)
	}
	p.unwind(code, t)
}

func (p *prog) storeError(code ir.ErrCode, site int, arg asm.Register, v int32) {
	base, off := p.base(), p.errRec.off+ir.RecHeader
	words := 3
	if code == ir.ErrUser {
		words = (p.errRec.size - ir.RecHeader) / 8
	}
	p.emit(asm.StoreImm(base, int16(off), int64(ir.ItemError|words<<16), asm.Word))
	p.emit(asm.StoreImm(base, int16(off+4), int64(max(site, 0)), asm.Word))
	p.storeImm(base, off+8, int32(code))
	if arg != noArg {
		p.store(base, off+16, arg)
	} else {
		p.storeImm(base, off+16, v)
	}
}

// unwind goes to what handles an error.
func (p *prog) unwind(code ir.ErrCode, t *try) {
	held := -1
	if t != nil {
		held = t.lock
	}
	if p.lock >= 0 && p.lock != held {
		p.unlock(p.lock)
	}
	switch {
	case t == nil && (code == errAbort || code == errSkip):
		if code == errSkip && p.region {
			p.regionStatus(ir.RegionBusy)
		}
		p.ja(p.normal)
	case t == nil:
		p.ja(p.failed)
	case t.fn != nil:
		p.returnError(t.fn)
	default:
		p.ja(t.catch)
	}
}

// skipTo returns a label where the invocation ends as skipped.
func (p *prog) skipTo(c ir.Cause) label {
	l := p.label()
	p.raises(errSkip)
	p.later(func() {
		p.place(l)
		p.count(c)
		p.raise(errSkip, 0, noArg, 0)
	})
	return l
}
