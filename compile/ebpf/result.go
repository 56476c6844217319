package ebpf

import (
	"github.com/cilium/ebpf/asm"

	"stapkit/ir"
)

// What netfilter and LSM programs give to the kernel takes effect; the verifier
// wants to know that it is in the range of what may be given. Other programs
// return 0.
const (
	nfAccept = 1
	maxErrno = 4095
)

// noEffect is the result of a handler that wants none: packets pass, operations
// are allowed. An LSM program runs only if none before it had another result.
func (p *prog) noEffect() int64 {
	if p.h.Ctx == ir.CtxNetfilter {
		return nfAccept
	}
	return 0
}

// outOfRange goes to the label if a register has what may not be a result.
func (p *prog) outOfRange(r asm.Register, to label) {
	if p.h.Ctx == ir.CtxNetfilter {
		p.jimm(asm.JGT, r, nfAccept, to)
		return
	}
	p.jimm(asm.JSGT, r, 0, to)
	p.jimm(asm.JSLT, r, -maxErrno, to)
}

// reserveResult makes room for the result if the handler sets one.
func (p *prog) reserveResult() {
	if p.a.result && (p.h.Ctx == ir.CtxNetfilter || p.h.Ctx == ir.CtxLSM) {
		p.result = p.alloc(8)
	}
}

// setResult makes the intrinsic that sets the result.
func (p *prog) setResult(e *ir.Intrinsic) {
	if p.result.size == 0 {
		p.internal(e.Site, "a result in context %d", p.h.Ctx)
		return
	}
	p.int(e.Args[0], asm.R1)
	bad := p.label()
	p.outOfRange(asm.R1, bad)
	p.memStore(p.result, asm.R1)
	p.raises(ir.ErrResult)
	p.later(func() {
		p.place(bad)
		p.at(e.Site)
		p.raise(ir.ErrResult, e.Site, asm.R1, 0)
	})
}

// takeResult loads the result into R8, to be given when the memory it lies in is
// free for others.
func (p *prog) takeResult() {
	if p.result.size > 0 {
		p.memLoad(asm.R8, p.result)
	}
}

// giveResult ends the program with the result in R8.
func (p *prog) giveResult(quit label) {
	if p.result.size == 0 {
		p.ja(quit)
		return
	}
	p.outOfRange(asm.R8, quit)
	p.mov(asm.R0, asm.R8)
	p.emit(asm.Return())
}

// traceText writes a line to the kernel's trace buffer.
func (p *prog) traceText(e ir.Expr) {
	m := p.mark()
	defer p.release(m)
	src := p.text(e)
	p.constant(asm.R1, p.g.consts.add([]byte("%s\x00")))
	p.imm(asm.R2, 3)
	p.addr(asm.R3, src)
	p.emit(asm.FnTracePrintk.Call())
}
