package ebpf

import (
	"github.com/cilium/ebpf/asm"

	"stapkit/ir"
)

// paramsIn are the locals that a region gets.
func (p *prog) paramsIn() []int {
	var in []int
	if p.region {
		for _, prm := range p.h.Params {
			if prm.In {
				in = append(in, prm.Local)
			}
		}
	}
	return in
}

// regionIn copies the parameters from the context to the locals. The context of a
// syscall program is a buffer that instructions may read and write.
func (p *prog) regionIn() {
	p.usesCtx = true
	offs, _, size := ir.RegionLayout(p.h)
	if size > frameLimit {
		p.g.errorf(p.g.siteOf(p.h), eTooWide, "the parameters of an atomic part of the handler take %d bytes", size)
		return
	}
	for i, prm := range p.h.Params {
		if prm.In {
			p.copyWords(p.base(), p.scope.locals[prm.Local].off, rCtx, offs[i], storage(p.h.Locals[prm.Local]))
		}
	}
}

// copyWords copies n bytes; it changes R0.
func (p *prog) copyWords(to asm.Register, toOff int, from asm.Register, fromOff, n int) {
	for i := 0; i < n; i += 8 {
		p.load(asm.R0, from, fromOff+i)
		p.store(to, toOff+i, asm.R0)
	}
}

// regionOut evaluates the result and copies what changed back.
func (p *prog) regionOut() {
	offs, result, _ := ir.RegionLayout(p.h)
	m := p.mark()
	if p.h.Result != nil {
		switch t := p.h.Result.Type(); t.Kind {
		case ir.Void:
			p.effect(p.h.Result)
		case ir.Int:
			p.int(p.h.Result, asm.R0)
			p.store(rCtx, result, asm.R0)
		default:
			r := p.text(p.h.Result)
			from, off := p.reach(asm.R2, r)
			p.copyWords(rCtx, result, from, off, min(storage(t), r.width))
			for i := r.width; i < storage(t); i += 8 {
				p.imm(asm.R0, 0)
				p.store(rCtx, result+i, asm.R0)
			}
		}
	}
	p.release(m)
	for i, prm := range p.h.Params {
		if prm.Out {
			p.copyWords(rCtx, offs[i], p.base(), p.scope.locals[prm.Local].off, storage(p.h.Locals[prm.Local]))
		}
	}
	p.regionStatus(ir.RegionOK)
}

// regionStatus tells the loader how the region went.
func (p *prog) regionStatus(status int64) {
	p.imm(asm.R0, status)
	p.store(rCtx, 0, asm.R0)
}

// regionError passes the error in errRec to the loader, and the locals as they
// are.
func (p *prog) regionError() {
	offs, _, _ := ir.RegionLayout(p.h)
	base, off := p.base(), p.errRec.off+ir.RecHeader
	for i, prm := range p.h.Params {
		if prm.Out {
			p.copyWords(rCtx, offs[i], base, p.scope.locals[prm.Local].off, storage(p.h.Locals[prm.Local]))
		}
	}
	p.load(asm.R0, base, off+itemHeader) // the code, below 2^32
	p.emit(asm.LoadMem(asm.R1, base, int16(off+4), asm.Word))
	p.emit(asm.LSh.Imm(asm.R1, 32), asm.Or.Reg(asm.R0, asm.R1))
	p.store(rCtx, 8, asm.R0)
	p.load(asm.R0, base, off+itemHeader+8)
	p.store(rCtx, 16, asm.R0)
	p.regionStatus(ir.RegionError)
}
