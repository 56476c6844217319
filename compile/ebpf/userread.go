package ebpf

import "github.com/cilium/ebpf/asm"

// readMem calls a helper that reads memory; setup sets its arguments, R1 to R3, and
// may be asked to again. R0 is the helper's result, negative for a fault.
//
// A handler of a program's probe may sleep: memory of the program that is not there
// yet is brought in, and read again. The second try is for what goes on in the next
// page.
func (p *prog) readMem(helper asm.BuiltinFunc, setup func()) {
	setup()
	p.emit(helper.Call())
	if helper != asm.FnProbeReadUser && helper != asm.FnProbeReadUserStr || !p.maySleep() {
		return
	}
	touched := p.alloc(8)
	absent, done := p.label(), p.label()
	p.jimm(asm.JSLT, asm.R0, 0, absent)
	p.place(done)
	p.later(func() {
		p.place(absent)
		for try := range 2 {
			setup()
			if try == 1 {
				p.emit(asm.Or.Imm(asm.R3, pageSize-1), asm.Add.Imm(asm.R3, 1))
			}
			p.memAddr(asm.R1, touched)
			p.imm(asm.R2, 1)
			p.emit(asm.FnCopyFromUser.Call())
			p.jimm(asm.JSLT, asm.R0, 0, done)
			setup()
			p.emit(helper.Call())
			p.jimm(asm.JSGE, asm.R0, 0, done)
		}
		p.ja(done)
	})
}

const pageSize = 4096 // the smallest of all machines

// maySleep reports whether the program can wait for memory here: not while it holds
// a lock, nor where its caller may hold one.
func (p *prog) maySleep() bool {
	return p.h.Sleepable && p.lock < 0 && (p.outlining == nil || p.g.p.Locks == 0)
}
