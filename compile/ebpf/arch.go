package ebpf

import (
	"strings"

	"github.com/cilium/ebpf/asm"

	"stapkit/ir"
)

// arch is what differs between architectures: struct pt_regs as BPF programs see
// it (arch/*/include/uapi/asm/ptrace.h) and the calling convention.
type arch struct {
	args          []int // offsets of the registers that carry integer arguments
	ret, ip, size int
	// kernel is how far the kernel's own struct reaches; what is behind size is read
	// by its address.
	kernel int
	// userMode tests whether the registers at base+off are of user mode: it
	// leaves 0 or 1 in dst, which may be base.
	userMode func(s *stream, dst, base asm.Register, off int)
	// past is by how much the instruction pointer of a kprobe is beyond the probed
	// instruction: on x86 it is behind the breakpoint, also where there is none.
	past int64
	// storesInOrder: no store is seen before an earlier one.
	storesInOrder bool
}

var arches = map[string]*arch{
	"amd64": {
		args: []int{112, 104, 96, 88, 72, 64}, // di si dx cx r8 r9
		ret:  80, ip: 128, size: 168, kernel: 168,
		userMode: func(s *stream, dst, base asm.Register, off int) {
			s.load(dst, base, off+136) // cs
			s.emit(asm.And.Imm(dst, 3))
			end := s.label()
			s.jimm(asm.JEq, dst, 0, end)
			s.imm(dst, 1)
			s.place(end)
		},
		past:          1,
		storesInOrder: true,
	},
	"arm64": {
		args: []int{0, 8, 16, 24, 32, 40, 48, 56},
		ret:  0, ip: 256, size: 272, kernel: 288, // orig_x0 and the number of the call are behind
		userMode: func(s *stream, dst, base asm.Register, off int) {
			s.load(dst, base, off+264) // pstate: the mode bits are 0 at EL0
			s.emit(asm.And.Imm(dst, 15))
			s.bool(dst, asm.JEq, 0)
		},
	},
}

// bool sets r to whether the comparison with v holds.
func (s *stream) bool(r asm.Register, op asm.JumpOp, v int64) {
	yes, end := s.label(), s.label()
	s.jimm(op, r, v, yes)
	s.imm(r, 0)
	s.ja(end)
	s.place(yes)
	s.imm(r, 1)
	s.place(end)
}

// hasRegs reports whether the context is, or starts with, the registers of the
// probed place.
func (p *prog) hasRegs() bool {
	return (p.h.Ctx == ir.CtxKprobe || p.h.Ctx == ir.CtxPerf) && !p.aboutTask()
}

// aboutTask reports whether the handler is one for the beginning or end of a task: where
// the kernel tells of that is nothing that scripts ask for.
func (p *prog) aboutTask() bool {
	i := p.h.Probe
	return i >= 0 && i < len(p.g.p.Probes) && p.g.p.Probes[i].Family == ir.FamProcess
}

// register evaluates the intrinsics about registers.
func (p *prog) register(e *ir.Intrinsic, dst asm.Register) {
	a := p.g.arch
	noContext := func() {
		p.raises(ir.ErrNoContext)
		p.raise(ir.ErrNoContext, e.Site, noArg, 0)
	}
	reg := func(off int) {
		p.usesCtx = true
		p.load(dst, rCtx, off)
	}
	switch e.ID {
	case ir.IHasRegs:
		p.imm(dst, b2i(p.hasRegs()))
	case ir.IUserMode:
		if !p.hasRegs() {
			p.imm(dst, 0)
			return
		}
		p.usesCtx = true
		a.userMode(p.stream, dst, rCtx, 0)
	case ir.IFuncIP:
		switch {
		case p.aboutTask():
			p.imm(dst, 0)
		case p.entersKernel():
			p.probedAddress(dst)
		case p.hasRegs() && p.h.Return, p.h.Ctx == ir.CtxFentry, p.h.Ctx == ir.CtxFexit:
			p.usesCtx = true
			p.mov(asm.R1, rCtx)
			p.emit(asm.FnGetFuncIp.Call())
			p.mov(dst, asm.R0)
		case p.hasRegs():
			reg(a.ip)
		default:
			p.imm(dst, 0)
		}
	case ir.IReg, ir.IUReg:
		off, ok := literal(e.Args[0])
		if !ok || off < 0 || off >= int64(a.kernel) || off%8 != 0 {
			p.internal(e.Site, "register offset %d", off)
			return
		}
		if e.ID == ir.IUReg {
			p.userReg(int(off), e.Site, dst)
			return
		}
		switch {
		case !p.hasRegs() || int(off) >= a.size && p.h.Ctx != ir.CtxKprobe:
			noContext()
		case int(off) >= a.size:
			p.usesCtx = true
			m := p.mark()
			buf := p.alloc(8)
			p.mov(asm.R3, rCtx)
			p.addImm(asm.R3, off)
			p.memAddr(asm.R1, buf)
			p.imm(asm.R2, 8)
			p.emit(asm.FnProbeReadKernel.Call())
			p.memLoad(dst, buf) // a helper that fails clears the memory
			p.release(m)
		case int(off) == a.ip && p.entersKernel():
			p.probedAddress(dst)
		default:
			reg(int(off))
		}
	case ir.IArg:
		n, ok := literal(e.Args[0])
		switch {
		case !ok:
			p.unsupported(e.Site, "the number of a probe's argument must be a literal here")
		case p.aboutTask():
			noContext()
		case p.atSyscall():
			if n < 1 || n > 6 {
				noContext()
				return
			}
			p.syscallArg(int(n-1), e.Site, dst)
		case p.h.Ctx == ir.CtxFentry || p.h.Ctx == ir.CtxFexit:
			if n < 1 || n > 12 {
				noContext()
				return
			}
			p.ctxArg(&ir.CtxArg{N: int(n - 1), Size: 8, Pointer: true}, dst)
		case !p.hasRegs() || n < 1:
			noContext()
		case int(n) <= len(a.args):
			reg(a.args[n-1])
		default:
			p.g.errorf(e.Site, eContext, "argument %d of the function is not in a register", n)
		}
	case ir.IRetval:
		switch {
		case p.aboutTask():
			noContext()
		case p.h.Ctx == ir.CtxFexit:
			m := p.mark()
			buf := p.alloc(8)
			p.usesCtx = true
			p.memImm(buf, 0)
			p.mov(asm.R1, rCtx)
			p.memAddr(asm.R2, buf)
			p.emit(asm.FnGetFuncRet.Call())
			p.memLoad(dst, buf)
			p.release(m)
		case p.hasRegs():
			reg(a.ret)
		default:
			noContext()
		}
	}
}

// entersKernel reports whether the handler is one at an instruction of the kernel,
// a function's first or another.
func (p *prog) entersKernel() bool {
	i := p.h.Probe
	return (p.h.Ctx == ir.CtxKprobe || p.h.Ctx == ir.CtxFentry) && !p.h.Return &&
		i >= 0 && i < len(p.g.p.Probes) && p.g.p.Probes[i].Family == ir.FamFunction
}

// atSyscall reports whether the handler is one at a system call.
func (p *prog) atSyscall() bool {
	i := p.h.Probe
	return i >= 0 && i < len(p.g.p.Probes) && strings.HasPrefix(p.g.p.Probes[i].Point, "kernel.syscall(")
}

// syscallArg reads an argument of the running system call.
func (p *prog) syscallArg(n, site int, dst asm.Register) {
	r := syscallRegs[p.g.opt.Arch]
	native, end := p.label(), p.label()
	p.compatCall(site, dst)
	p.jimm(asm.JEq, dst, 0, native)
	p.userReg(r.args32[n], site, dst)
	p.extend(dst, 4, false, true)
	p.ja(end)
	p.place(native)
	p.userReg(r.args[n], site, dst)
	p.place(end)
}

// compatCall tells whether the running system call is one as 32-bit programs make them.
func (p *prog) compatCall(site int, dst asm.Register) {
	r := syscallRegs[p.g.opt.Arch]
	if r.mode32 == 0 {
		p.emit(threadStatus()...)
		p.mov(dst, asm.R0)
		return
	}
	p.userReg(int(r.mode), site, dst)
	p.emit(asm.RSh.Imm(dst, r.mode32), asm.And.Imm(dst, 1))
}

// probedAddress is the address of that instruction.
func (p *prog) probedAddress(dst asm.Register) {
	p.usesCtx = true
	p.mov(asm.R1, rCtx)
	p.emit(asm.FnGetFuncIp.Call())
	if p.h.Ctx == ir.CtxKprobe {
		// It is 0 within a function.
		entry := p.label()
		p.jimm(asm.JNE, asm.R0, 0, entry)
		p.load(asm.R0, rCtx, p.g.arch.ip)
		p.addImm(asm.R0, -p.g.arch.past)
		p.place(entry)
	}
	p.mov(dst, asm.R0)
}

// userReg reads a register of the current task as it was in user mode.
func (p *prog) userReg(off, site int, dst asm.Register) {
	m := p.mark()
	defer p.release(m)
	buf := p.alloc(8)
	p.emit(asm.FnGetCurrentTaskBtf.Call())
	p.mov(asm.R1, asm.R0)
	p.emit(asm.FnTaskPtRegs.Call())
	p.mov(asm.R3, asm.R0)
	p.addImm(asm.R3, int64(off))
	p.memAddr(asm.R1, buf)
	p.imm(asm.R2, 8)
	p.emit(asm.FnProbeReadKernel.Call())
	p.jimm(asm.JNE, asm.R0, 0, p.errConst(ir.ErrNoContext, site, 0))
	p.memLoad(dst, buf)
}
