package ebpf

import (
	"github.com/cilium/ebpf/asm"

	"stapkit/ir"
)

// intrinsicVoid makes the intrinsics without a value.
func (p *prog) intrinsicVoid(e *ir.Intrinsic) {
	p.at(e.Site)
	switch e.ID {
	case ir.IMark, ir.IUnmark:
		p.markMember(e)
	case ir.IExit:
		p.exitSession()
	case ir.IAbort:
		p.exitSession()
		p.raises(errAbort)
		p.raise(errAbort, e.Site, noArg, 0)
	case ir.IError:
		p.errorText(e)
	case ir.IWarn:
		p.textItem(ir.ItemWarn, e.Args[0])
	case ir.ISystem:
		p.textItem(ir.ItemSystem, e.Args[0])
	case ir.ITraceText:
		p.traceText(e.Args[0])
	case ir.ISetResult:
		p.setResult(e)
	case ir.ISwitchFile, ir.IPrintk, ir.IDumpStack:
		p.item(ir.ItemAsk, int(e.ID), e.Args)
	default:
		p.internal(e.Site, "intrinsic %s in a kernel handler", ir.Intrinsics[e.ID].Name)
	}
}

// exitSession asks for the end of the session.
func (p *prog) exitSession() {
	if p.region {
		p.internal(p.site, "exit() in a region")
		return
	}
	p.session(asm.R3, 0)
	p.setState(ir.SessStopping)
	p.storeImm(asm.R3, ir.SessOffExit, 1)
	p.item(ir.ItemExit, 0, nil)
}

// errorText raises ErrUser.
func (p *prog) errorText(e *ir.Intrinsic) {
	t := p.target(ir.ErrUser)
	if t == nil || t.fn != nil || t.text {
		if p.region {
			p.internal(e.Site, "error() in a region")
			return
		}
		src := p.text(e.Args[0])
		at := p.errRec.off + ir.RecHeader + itemHeader + 16
		words := (p.errRec.size - ir.RecHeader - itemHeader - 16) / 8
		p.emit(asm.StoreImm(p.base(), int16(at), int64(ir.StrToNUL|words<<16), asm.Word))
		p.emit(asm.StoreImm(p.base(), int16(at+4), 0, asm.Word))
		p.copyText(p.frameText(mem{at + 8, 8 * (words - 1)}), src)
	} else {
		p.effect(e.Args[0])
	}
	p.raises(ir.ErrUser)
	p.raise(ir.ErrUser, e.Site, noArg, 0)
}

// intrinsic evaluates an intrinsic that is a number.
func (p *prog) intrinsic(e *ir.Intrinsic, dst asm.Register) {
	call := func(f asm.BuiltinFunc) {
		p.emit(f.Call())
		p.mov(dst, asm.R0)
	}
	switch e.ID {
	case ir.IPid:
		p.emit(asm.FnGetCurrentPidTgid.Call())
		p.mov(dst, asm.R0)
		p.emit(asm.RSh.Imm(dst, 32))
	case ir.ITid:
		p.emit(asm.FnGetCurrentPidTgid.Call())
		p.emit(asm.Mov.Reg32(dst, asm.R0))
	case ir.IUid:
		p.emit(asm.FnGetCurrentUidGid.Call())
		p.emit(asm.Mov.Reg32(dst, asm.R0))
	case ir.IGid:
		p.emit(asm.FnGetCurrentUidGid.Call())
		p.mov(dst, asm.R0)
		p.emit(asm.RSh.Imm(dst, 32))
	case ir.ICpu:
		call(asm.FnGetSmpProcessorId)
	case ir.ITask:
		call(asm.FnGetCurrentTask)
	case ir.IKtimeNs, ir.ICycles:
		call(asm.FnKtimeGetNs)
	case ir.IRealtimeNs:
		p.emit(asm.FnKtimeGetNs.Call())
		p.session(asm.R1, ir.SessOffRealtime)
		p.load(asm.R1, asm.R1, 0)
		p.emit(asm.Add.Reg(asm.R0, asm.R1))
		p.mov(dst, asm.R0)
	case ir.IBoottimeNs:
		call(asm.FnKtimeGetBootNs)
	case ir.IJiffies:
		call(asm.FnJiffies64)
	case ir.IRandom:
		call(asm.FnGetPrandomU32)
	case ir.ITarget:
		p.sessionWord(dst, ir.SessOffTarget)
	case ir.ILoaderPid:
		p.sessionWord(dst, ir.SessOffLoaderPID)
	case ir.IHz:
		p.sessionWord(dst, ir.SessOffHZ)
	case ir.ITargetNS, ir.ILoadAvg, ir.IRemoteID:
		off := map[ir.IntrinsicID]int{ir.ITargetNS: ir.SessOffPidNS, ir.ILoadAvg: ir.SessOffLoadAvg, ir.IRemoteID: ir.SessOffRemoteID}[e.ID]
		if len(e.Args) > 0 {
			n, _ := literal(e.Args[0])
			off += 8 * int(n)
		}
		p.sessionWord(dst, off)
	case ir.IStackPointer:
		p.stackPointer(dst)
	case ir.IUserWrite:
		p.userWrite(e, dst)
	case ir.IUserWriteStr:
		p.userWriteStr(e, dst)
	case ir.IKsym:
		n, _ := literal(e.Args[0])
		p.sessionWord(dst, p.g.p.KsymOff(int(n)))
	case ir.IMarked:
		p.markMember(e)
		p.mov(dst, asm.R0)
	case ir.IIsReturn:
		p.imm(dst, b2i(p.h.Return))
	case ir.ISignal:
		p.int(e.Args[0], asm.R1)
		p.emit(asm.FnSendSignal.Call())
		p.emit(asm.LSh.Imm(asm.R0, 32), asm.ArSh.Imm(asm.R0, 32))
		p.mov(dst, asm.R0)
	case ir.IStrLen:
		p.strLen(e, dst)
	case ir.IStrByte:
		p.strByte(e, dst)
	case ir.IKernelMem, ir.IUserMem:
		p.memNumber(e, dst)
	case ir.IReg, ir.IUReg, ir.IArg, ir.IRetval, ir.IFuncIP, ir.IHasRegs, ir.IUserMode:
		p.register(e, dst)
	case ir.ICompatCall:
		p.compatCall(e.Site, dst)
	case ir.IPointInt:
		p.pointInt(e, dst)
	case ir.INgroups:
		p.ngroups(e, dst)
	case ir.IPerfCount:
		p.perfCount(e, dst)
	case ir.IResult:
		switch {
		case p.h.Ctx != ir.CtxNetfilter && p.h.Ctx != ir.CtxLSM:
			p.internal(e.Site, "no result in context %d", p.h.Ctx)
		case p.result.size == 0: // the handler sets none
			p.imm(dst, p.noEffect())
		default:
			p.memLoad(dst, p.result)
		}
	case ir.IKFrame, ir.IUFrame:
		p.stackFrame(e, dst)
	default:
		p.internal(e.Site, "intrinsic %s in a kernel handler", ir.Intrinsics[e.ID].Name)
	}
}

func b2i(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func (p *prog) sessionWord(dst asm.Register, off int) {
	p.session(dst, off)
	p.load(dst, dst, 0)
}

func (p *prog) strLen(e *ir.Intrinsic, dst asm.Register) {
	m := p.mark()
	defer p.release(m)
	t := p.text(e.Args[0])
	if t.lit != nil {
		p.imm(dst, int64(len(*t.lit)))
		return
	}
	p.strlen(t)
	p.mov(dst, asm.R0)
}

// strByte reads a byte of a string. Behind its end there are zeros.
func (p *prog) strByte(e *ir.Intrinsic, dst asm.Register) {
	m := p.mark()
	defer p.release(m)
	t := p.text(e.Args[0], e.Args[1])
	if c, ok := literal(e.Args[1]); ok {
		if c < 0 || c >= int64(t.width) {
			p.imm(dst, 0)
			return
		}
		base, off := p.reach(asm.R1, t)
		p.emit(asm.LoadMem(dst, base, int16(off+int(c)), asm.Byte))
		return
	}
	p.need(inSlot)
	outside, end := p.label(), p.label()
	p.int(e.Args[1], asm.R0)
	p.jimm(asm.JGE, asm.R0, int64(t.width), outside)
	p.addr(asm.R1, t)
	p.emit(asm.Add.Reg(asm.R1, asm.R0))
	p.emit(asm.LoadMem(dst, asm.R1, 0, asm.Byte))
	p.ja(end)
	p.place(outside)
	p.imm(dst, 0)
	p.place(end)
}

// intrinsicText evaluates an intrinsic that is a string.
func (p *prog) intrinsicText(e *ir.Intrinsic, dst text) {
	switch e.ID {
	case ir.IExecname:
		p.zero(dst) // not every kernel fills the rest with zeros
		p.addr(asm.R1, dst)
		p.imm(asm.R2, int64(min(dst.width, 16)))
		p.emit(asm.FnGetCurrentComm.Call())
	case ir.IStrSub:
		p.strSub(e, dst)
	case ir.IChr:
		p.int(e.Args[0], asm.R0)
		p.emit(asm.And.Imm(asm.R0, 255))
		base, off := p.reach(asm.R1, dst)
		p.store(base, off, asm.R0)
		if dst.width > 8 {
			p.fitText(dst, 8, 8)
		}
	case ir.IKernelStr, ir.IUserStr:
		p.readStr(e, dst)
	case ir.IModuleName:
		p.storeConst(dst, p.g.p.Name)
	case ir.IPp, ir.IPn, ir.IProbeType, ir.IPpfunc:
		if len(p.h.Points) > 0 {
			p.pointText(func(pt *ir.Point) string { return p.probeText(e.ID, pt.Probe) }, dst)
			return
		}
		p.storeConst(dst, p.probeText(e.ID, p.h.Probe))
	case ir.IPointStr:
		n := p.pointColumn(e)
		p.pointText(func(pt *ir.Point) string { return pt.Strs[n] }, dst)
	case ir.IMatched:
		p.matched(e, dst)
	default:
		p.internal(e.Site, "intrinsic %s in a kernel handler", ir.Intrinsics[e.ID].Name)
	}
}

// probeText is what the intrinsics about the running probe yield in a probe.
func (p *prog) probeText(id ir.IntrinsicID, probe int) string {
	if probe < 0 || probe >= len(p.g.p.Probes) {
		return ""
	}
	row := &p.g.p.Probes[probe]
	switch id {
	case ir.IPp:
		return row.Point
	case ir.IPn:
		return row.Name
	case ir.IProbeType:
		return row.Kind
	}
	return row.Func
}

// strSub evaluates strsub(s, start, length).
func (p *prog) strSub(e *ir.Intrinsic, dst text) {
	p.need(inSlot)
	src := p.text(e.Args[0], e.Args[1], e.Args[2])
	start := p.hold(e.Args[1], e.Args[2])
	n := p.hold(e.Args[2])
	p.zero(dst)
	done := p.label()
	p.get(asm.R0, start)
	p.jimm(asm.JGE, asm.R0, int64(src.width), done) // unsigned: negative ones too
	p.get(asm.R2, n)
	p.copyPart(dst, src, done)
}

// copyPart copies R2 bytes of src, from byte R0 on, to dst, or as many as there is room
// for; none if R2 is not positive. done is where it ends.
func (p *prog) copyPart(dst, src text, done label) {
	fits := p.label()
	p.jimm(asm.JSLE, asm.R2, 0, done)
	most := p.limit(min(dst.width, src.width))
	p.jimm(asm.JSLT, asm.R2, int64(most), fits)
	p.imm(asm.R2, int64(most-1))
	p.place(fits)
	p.emit(asm.Add.Imm(asm.R2, 1)) // and the NUL
	p.addr(asm.R1, dst)
	p.addr(asm.R3, src)
	p.emit(asm.Add.Reg(asm.R3, asm.R0))
	p.emit(asm.FnProbeReadKernelStr.Call())
	p.place(done)
}

// readStr evaluates kernel_str(addr, n) and user_str(addr, n).
func (p *prog) readStr(e *ir.Intrinsic, dst text) {
	m := p.mark()
	defer p.release(m)
	addr := p.hold(e.Args[0], e.Args[1])
	n := p.hold(e.Args[1])
	p.zero(dst)
	most := p.limit(min(storage(e.T), dst.width))
	helper, code := asm.FnProbeReadKernelStr, ir.ErrKernelStr
	if e.ID == ir.IUserStr {
		helper, code = asm.FnProbeReadUserStr, ir.ErrUserStr
	}
	p.readMem(helper, func() {
		if n.kind == isConst {
			p.imm(asm.R2, min(max(n.imm, 0)+1, int64(most)))
		} else {
			fits, some := p.label(), p.label()
			p.get(asm.R2, n)
			p.jimm(asm.JSGE, asm.R2, 0, some)
			p.imm(asm.R2, 0)
			p.place(some)
			p.jimm(asm.JSLT, asm.R2, int64(most), fits)
			p.imm(asm.R2, int64(most-1))
			p.place(fits)
			p.emit(asm.Add.Imm(asm.R2, 1))
		}
		p.addr(asm.R1, dst)
		p.get(asm.R3, addr)
	})
	p.get(asm.R1, addr)
	p.jimm(asm.JSLT, asm.R0, 0, p.errTo(code, e.Site, asm.R1))
}

// memNumber evaluates kernel_mem(addr, n) and user_mem(addr, n).
func (p *prog) memNumber(e *ir.Intrinsic, dst asm.Register) {
	n, ok := literal(e.Args[1])
	size := n
	if n < 0 {
		size = -n
	}
	if !ok || size != 1 && size != 2 && size != 4 && size != 8 {
		p.internal(e.Site, "the size in %s is not 1, 2, 4 or 8", ir.Intrinsics[e.ID].Name)
		return
	}
	space, code := ir.KernelSpace, ir.ErrKernelFault
	if e.ID == ir.IUserMem {
		space, code = ir.UserSpace, ir.ErrUserFault
	}
	_ = code
	p.readNumber(e.Args[0], 0, int(size), n < 0, space, e.Site, dst)
}

// readNumber reads a number of size bytes at addr+off into dst.
func (p *prog) readNumber(addr ir.Expr, off int64, size int, signed bool, space ir.Space, site int, dst asm.Register) {
	m := p.mark()
	defer p.release(m)
	a := p.hold(addr)
	p.readAt(a, func() { p.addImm(asm.R3, off) }, size, signed, space, site, dst)
}

// readAt reads a number at a held address, to which offset adds what there is to
// add in R3.
func (p *prog) readAt(a val, offset func(), size int, signed bool, space ir.Space, site int, dst asm.Register) {
	buf := p.alloc(8)
	helper, code := asm.FnProbeReadKernel, ir.ErrKernelFault
	if space == ir.UserSpace {
		helper, code = asm.FnProbeReadUser, ir.ErrUserFault
	}
	p.readMem(helper, func() {
		p.memAddr(asm.R1, buf)
		p.imm(asm.R2, int64(size))
		p.get(asm.R3, a)
		offset()
	})
	fault := p.label()
	p.jimm(asm.JNE, asm.R0, 0, fault)
	p.emit(asm.LoadMem(dst, p.base(), int16(buf.off), sizeOf(size)))
	p.extend(dst, size, signed, false)
	raise := p.errTo(code, site, asm.R3)
	p.later(func() {
		p.place(fault)
		p.get(asm.R3, a)
		offset()
		p.ja(raise)
	})
}

// perfCount reads a counter of the CPU that the handler runs on.
func (p *prog) perfCount(e *ir.Intrinsic, dst asm.Register) {
	n, ok := literal(e.Args[0])
	if !ok || n < 0 || n >= int64(len(p.g.p.Counters)) {
		p.internal(e.Site, "counter %d", n)
		return
	}
	m := p.mark()
	defer p.release(m)
	buf := p.alloc(24) // struct bpf_perf_event_value
	name := ir.MapCounter(int(n))
	p.g.maps[name] = true
	p.mapPtr(asm.R1, name)
	p.emit(asm.LoadImm(asm.R2, 0xffffffff, asm.DWord)) // BPF_F_CURRENT_CPU
	p.memAddr(asm.R3, buf)
	p.imm(asm.R4, 24)
	p.emit(asm.FnPerfEventReadValue.Call())
	p.jimm(asm.JNE, asm.R0, 0, p.errConst(ir.ErrNoContext, e.Site, 0))
	p.memLoad(dst, buf)
}

// stackPointer gives the address of the context as a number. The verifier takes it
// for one when it comes from the memory of a map.
func (p *prog) stackPointer(dst asm.Register) {
	p.need(inSlot)
	m := p.mark()
	defer p.release(m)
	buf := p.alloc(8)
	p.usesCtx = true
	p.emit(asm.StoreMem(p.base(), int16(buf.off), rCtx, asm.DWord))
	p.memLoad(dst, buf)
}

// userWrite evaluates user_write(addr, size, value).
func (p *prog) userWrite(e *ir.Intrinsic, dst asm.Register) {
	m := p.mark()
	defer p.release(m)
	size, _ := literal(e.Args[1])
	addr := p.hold(e.Args[0], e.Args[2])
	buf := p.alloc(8)
	p.int(e.Args[2], asm.R0)
	p.emit(asm.StoreMem(p.base(), int16(buf.off), asm.R0, sizeOf(int(size))))
	p.get(asm.R1, addr)
	p.memAddr(asm.R2, buf)
	p.imm(asm.R3, size)
	p.emit(asm.FnProbeWriteUser.Call())
	p.mov(dst, asm.R0)
}

// userWriteStr evaluates user_write_str(addr, n, s).
func (p *prog) userWriteStr(e *ir.Intrinsic, dst asm.Register) {
	p.need(inSlot)
	m := p.mark()
	defer p.release(m)
	addr := p.hold(e.Args[0], e.Args[1], e.Args[2])
	n := p.hold(e.Args[1], e.Args[2])
	src := p.text(e.Args[2])
	buf := p.alloc(8)
	fits, none, done := p.label(), p.label(), p.label()
	most := int64(src.width)
	if src.lit != nil {
		most = int64(len(*src.lit) + 1) // behind it may be nothing
		p.imm(asm.R3, most)
	} else {
		p.strlen(src)
		p.mov(asm.R3, asm.R0)
		p.emit(asm.Add.Imm(asm.R3, 1))
	}
	p.get(asm.R1, n)
	p.jimm(asm.JSLE, asm.R1, 0, none)
	p.jreg(asm.JLE, asm.R3, asm.R1, fits)
	p.mov(asm.R3, asm.R1)
	p.place(fits)
	p.memStore(buf, asm.R3)
	p.addr(asm.R2, src)
	p.get(asm.R1, addr)
	p.memLoad(asm.R3, buf)
	p.jimm(asm.JGT, asm.R3, most, none)
	p.jimm(asm.JLT, asm.R3, 1, none) // a size that Linux 6.1 takes
	p.emit(asm.FnProbeWriteUser.Call())
	p.ja(done)
	p.place(none)
	p.imm(asm.R0, 0)
	p.place(done)
	p.mov(dst, asm.R0)
}
