package ebpf

import (
	cebpf "github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"stapkit/compile/object"
	"stapkit/ir"
)

// The walk over a user stack: a callback of bpf_loop finds one frame at a time. Its
// state is in memory, ir.UnwindPC and following, so that the verifier has nothing
// to follow from one frame to the next. The loader's side is in runtime/unwind.go.

// unwindSteps is how many rows a table can have, as a power of two.
const unwindSteps = 22

// maxUnwind is the most frames of a stack.
const maxUnwind = 256

// unwindRegs is what differs between the machines that have tables: offsets in struct
// pt_regs, and how functions are called.
type unwindRegs struct {
	fp, ip, sp int
	link       int // register with the return address, 0: it is on the stack
	mode       int // the word that, cut by mask, is user in programs of 64 bits
	mask, user int32
	pushed     int32 // what a call puts on the stack
	signs      bool  // return addresses: see ir.UnwindSign
}

var unwindMachines = map[string]*unwindRegs{
	"amd64": {fp: 32, ip: 128, sp: 152, mode: 136, mask: 0xffff, user: 0x33, pushed: 8},
	"arm64": {fp: 232, ip: 256, sp: 248, link: 240, mode: 264, mask: 0x1f, signs: true},
}

// Sizes and limits of the maps.
const (
	maxUnwindTables = 4096
	maxUnwindMissed = 1024
	maxUnwindPages  = 16384
	mapInner        = 1 << 12 // BPF_F_INNER_MAP: tables differ in size
)

// canUnwind reports whether there are tables for the machine.
func (g *generator) canUnwind() bool { return unwindMachines[g.opt.Arch] != nil }

// linked reports whether calls leave the return address in a register.
func (g *generator) linked() bool { return unwindMachines[g.opt.Arch].link != 0 }

// addUnwind adds the maps of the walk, if a program walks.
func (g *generator) addUnwind() {
	if !g.maps[ir.MapUnwind] {
		return
	}
	table := object.Map{Name: ir.MapUnwind + "_0", Type: cebpf.Array, KeySize: 4, ValueSize: ir.UnwindRowSize, MaxEntries: 1, Flags: mapInner}
	g.spec.Maps = append(g.spec.Maps,
		object.Map{Name: ir.MapUnwind, Type: cebpf.ArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: maxUnwindTables, Inner: &table},
		object.Map{Name: ir.MapUnwindFiles, Type: cebpf.Hash, KeySize: 16, ValueSize: 8, MaxEntries: maxUnwindTables},
		object.Map{Name: ir.MapUnwindMissed, Type: cebpf.Hash, KeySize: 16, ValueSize: 16, MaxEntries: maxUnwindMissed},
		object.Map{Name: ir.MapUnwindPages, Type: cebpf.LRUHash, KeySize: 16, ValueSize: 40, MaxEntries: maxUnwindPages})
	g.spec.Data = append(g.spec.Data, object.Data{Name: ir.MapUnwindInfo, Size: ir.UnwindInfoEnd})
}

// unwindKey adds the program by which the loader finds the identity of a file.
func (g *generator) unwindKey() {
	if !g.subs[unwindSub] {
		return
	}
	s := newStream(ir.ProgUnwindKey)
	g.unwindInfo(s, asm.R6, ir.UnwindState)
	s.emit(asm.FnGetCurrentTaskBtf.Call())
	s.mov(asm.R1, asm.R0)
	s.load(asm.R2, asm.R6, ir.UnwindPC)
	s.funcAddr(asm.R3, g.unwindMapping())
	onStackArg(s, asm.R4, asm.R6)
	s.imm(asm.R5, 0)
	s.emit(asm.FnFindVma.Call())
	s.exit(0)
	insns, _ := s.finish(g.line)
	g.spec.Programs = append(g.spec.Programs, object.Program{Name: ir.ProgUnwindKey, Section: "syscall", Insns: insns})
}

func (g *generator) unwindInfo(s *stream, r asm.Register, off int) {
	s.emit(asm.LoadMapValue(r, 0, uint32(off)).WithReference(ir.MapUnwindInfo))
}

// unwindWord loads a word that the loader has put into the info section.
func (g *generator) unwindWord(s *stream, r asm.Register, off int) {
	g.unwindInfo(s, r, off)
	s.load(r, r, 0)
}

// walkStack walks the current task's user stack, of which the addresses of at
// most max frames, and zeros behind them, are then in the memory that it returns.
// Where there are no tables, the kernel follows frame pointers.
func (p *prog) walkStack(max int) mem {
	p.need(inSlot)
	max = min(max, maxUnwind)
	st := p.alloc(ir.UnwindHead + 8*max)
	frames := mem{st.off + ir.UnwindHead, 8 * max}
	at := func(off int) mem { return mem{st.off + off, 8} }
	p.zero(p.frameText(frames))
	regs := unwindMachines[p.g.opt.Arch]
	plain, done, none := p.label(), p.label(), p.label()
	p.g.unwindWord(p.stream, asm.R1, ir.UnwindReady)
	p.jimm(asm.JEq, asm.R1, 0, plain)
	if p.hasUserRegs() {
		p.usesCtx = true
		p.load(asm.R1, rCtx, regs.mode)
		p.emit(asm.And.Imm(asm.R1, regs.mask))
		p.jimm(asm.JNE, asm.R1, int64(regs.user), plain)
		for _, r := range []struct{ from, to int }{{regs.ip, ir.UnwindPC}, {regs.sp, ir.UnwindSP}, {regs.fp, ir.UnwindFP}, {regs.link, ir.UnwindLink}} {
			if r.from != 0 {
				p.load(asm.R1, rCtx, r.from)
				p.memStore(at(r.to), asm.R1)
			}
		}
	} else {
		read := func(to mem, from, n int) {
			p.emit(asm.FnGetCurrentTaskBtf.Call())
			p.mov(asm.R1, asm.R0)
			p.emit(asm.FnTaskPtRegs.Call())
			p.mov(asm.R3, asm.R0)
			p.addImm(asm.R3, int64(from))
			p.memAddr(asm.R1, to)
			p.imm(asm.R2, int64(n))
			p.emit(asm.FnProbeReadKernel.Call())
			p.jimm(asm.JNE, asm.R0, 0, none)
		}
		buf := mem{frames.off, 8} // not filled yet
		read(at(ir.UnwindFP), regs.fp, 8)
		read(at(ir.UnwindTmp), regs.mode, 8)
		p.memLoad(asm.R1, at(ir.UnwindTmp))
		p.emit(asm.And.Imm(asm.R1, regs.mask))
		p.jimm(asm.JNE, asm.R1, int64(regs.user), plain)
		read(at(ir.UnwindSP), regs.sp, 8)
		if regs.link != 0 {
			read(at(ir.UnwindLink), regs.link, 8)
		}
		read(buf, regs.ip, 8)
		p.memLoad(asm.R1, buf)
		p.memStore(at(ir.UnwindPC), asm.R1)
	}
	for _, off := range []int{ir.UnwindN, ir.UnwindStart, ir.UnwindEnd, ir.UnwindTable} {
		p.memImm(at(off), 0)
	}
	if p.g.linked() {
		p.memImm(at(ir.UnwindLoose), 0)
	}
	p.memImm(at(ir.UnwindMax), int64(max))
	p.memImm(at(ir.UnwindExact), 1)
	p.memImm(at(ir.UnwindEntry), b2i(p.atEntry()))
	p.memAddr(asm.R1, st)
	p.emit(asm.Call.Label(p.g.unwind()))
	p.ja(done)
	p.place(plain)
	p.usesCtx = true
	p.mov(asm.R1, rCtx)
	p.memAddr(asm.R2, frames)
	p.imm(asm.R3, int64(frames.size))
	p.imm(asm.R4, stackUser)
	p.emit(asm.FnGetStack.Call())
	// A helper that fails clears the memory.
	p.memImm(at(ir.UnwindN), 0)
	p.jimm(asm.JSLE, asm.R0, 0, done)
	p.emit(asm.RSh.Imm(asm.R0, 3))
	p.memStore(at(ir.UnwindN), asm.R0)
	p.ja(done)
	p.place(none)
	p.memImm(at(ir.UnwindN), 0)
	p.memImm(mem{frames.off, 8}, 0)
	p.place(done)
	return st
}

// hasUserRegs reports whether the context is always the registers of a program in
// user mode.
func (p *prog) hasUserRegs() bool {
	return p.h.Ctx == ir.CtxKprobe && p.eachRow(func(a *ir.Attach) bool {
		return a.Carrier == "uprobe" || a.Carrier == "uretprobe" || a.Carrier == "usdt"
	})
}

// atEntry reports whether the handler runs at the first instruction of functions.
func (p *prog) atEntry() bool {
	return p.eachRow(func(a *ir.Attach) bool { return a.Carrier == "uprobe" && a.Symbol != "" && a.Offset == 0 })
}

// eachRow reports whether f holds for all the ways by which the handler is attached.
func (p *prog) eachRow(f func(a *ir.Attach) bool) bool {
	any := false
	for i := range p.g.p.Probes {
		for j := range p.g.p.Probes[i].Attach {
			a := &p.g.p.Probes[i].Attach[j]
			if p.g.p.Handlers[a.Handler] != p.h {
				continue
			}
			if !f(a) {
				return false
			}
			any = true
		}
	}
	return any
}

// onStackArg sets r to the address of a word on the stack with the pointer in it:
// callbacks get no other kind of argument.
func onStackArg(s *stream, r, pointer asm.Register) {
	s.store(asm.R10, -16, pointer)
	s.mov(r, asm.R10)
	s.emit(asm.Add.Imm(r, -16))
}

const unwindSub = "stap_unwind_walk"

// unwind is the subprogram that walks; R1 is the state.
func (g *generator) unwind() string {
	step := g.unwindStep()
	return g.sub(unwindSub, func(s *stream) {
		onStackArg(s, asm.R3, asm.R1)
		s.load(asm.R1, asm.R1, ir.UnwindMax)
		s.funcAddr(asm.R2, step)
		s.imm(asm.R4, 0)
		s.emit(asm.FnLoop.Call())
		s.exit(0)
	})
}

// unwindMapping is a callback of bpf_find_vma: R2 is the mapping, R3 points to the
// state, in which it notes extent and file.
func (g *generator) unwindMapping() string {
	return g.sub("stap_unwind_vma", func(s *stream) {
		const vma, st = asm.R6, asm.R7
		out, file := s.label(), s.label()
		s.load(st, asm.R3, 0)
		// By way of memory the pointer becomes a number, to which an offset
		// can be added that the verifier does not know.
		s.store(st, ir.UnwindTmp, asm.R2)
		s.load(vma, st, ir.UnwindTmp)
		// read leaves the word at base and the offset that the loader told in
		// the state.
		read := func(base asm.Register, off, to, size int) {
			g.unwindWord(s, asm.R3, off)
			s.emit(asm.Add.Reg(asm.R3, base))
			s.mov(asm.R1, st)
			s.emit(asm.Add.Imm(asm.R1, int32(to)))
			s.imm(asm.R2, int64(size))
			s.emit(asm.FnProbeReadKernel.Call())
			s.jimm(asm.JNE, asm.R0, 0, out)
		}
		read(vma, ir.UnwindVMAPgoff, ir.UnwindBias, 8)
		read(vma, ir.UnwindVMAStart, ir.UnwindStart, 8)
		read(vma, ir.UnwindVMAEnd, ir.UnwindTmp, 8)
		s.storeImm(st, ir.UnwindDev, 0)
		s.storeImm(st, ir.UnwindIno, 0)
		s.load(asm.R1, st, ir.UnwindTmp)
		s.store(st, ir.UnwindEnd, asm.R1)
		s.load(asm.R1, st, ir.UnwindBias)
		s.emit(asm.LSh.Imm(asm.R1, 12))
		s.load(asm.R2, st, ir.UnwindStart)
		s.emit(asm.Sub.Reg(asm.R2, asm.R1))
		s.store(st, ir.UnwindBias, asm.R2)
		read(vma, ir.UnwindVMAFile, ir.UnwindTmp, 8)
		s.load(asm.R8, st, ir.UnwindTmp)
		s.jimm(asm.JNE, asm.R8, 0, file)
		// No file: maybe the kernel's own code for user programs.
		read(vma, ir.UnwindVMAMM, ir.UnwindTmp, 8)
		s.load(asm.R8, st, ir.UnwindTmp)
		read(asm.R8, ir.UnwindVDSO, ir.UnwindTmp, 8)
		s.load(asm.R1, st, ir.UnwindTmp)
		s.load(asm.R2, st, ir.UnwindStart)
		s.jreg(asm.JNE, asm.R1, asm.R2, out)
		s.store(st, ir.UnwindBias, asm.R2)
		s.storeImm(st, ir.UnwindIno, ir.UnwindVDSOIno)
		s.ja(out)
		s.place(file)
		read(asm.R8, ir.UnwindFileInode, ir.UnwindTmp, 8)
		s.load(asm.R8, st, ir.UnwindTmp)
		read(asm.R8, ir.UnwindInodeIno, ir.UnwindIno, 8)
		read(asm.R8, ir.UnwindInodeSB, ir.UnwindTmp, 8)
		s.load(asm.R8, st, ir.UnwindTmp)
		read(asm.R8, ir.UnwindSBDev, ir.UnwindDev, 4)
		s.place(out)
		s.exit(0)
	})
}

// unwindStep is the callback that notes one frame and finds the next; R2 points
// to the state.
func (g *generator) unwindStep() string {
	mapping := g.unwindMapping()
	return g.sub("stap_unwind_step", func(s *stream) {
		const st = asm.R6
		stop, known, search, byFP, next := s.label(), s.label(), s.label(), s.label(), s.label()
		s.load(st, asm.R2, 0)
		s.load(asm.R1, st, ir.UnwindN)
		s.load(asm.R2, st, ir.UnwindMax)
		s.jreg(asm.JGE, asm.R1, asm.R2, stop)
		s.jimm(asm.JGE, asm.R1, maxUnwind, stop)
		s.mov(asm.R2, asm.R1)
		s.emit(asm.LSh.Imm(asm.R2, 3), asm.Add.Reg(asm.R2, st))
		s.load(asm.R8, st, ir.UnwindPC)
		s.store(asm.R2, ir.UnwindFrames, asm.R8)
		s.emit(asm.Add.Imm(asm.R1, 1))
		s.store(st, ir.UnwindN, asm.R1)

		// What calls is the instruction before the return address.
		exact := s.label()
		s.load(asm.R1, st, ir.UnwindExact)
		s.storeImm(st, ir.UnwindExact, 0)
		s.jimm(asm.JNE, asm.R1, 0, exact)
		s.emit(asm.Add.Imm(asm.R8, -1))
		s.place(exact)

		// The mapping: that of the frame before, or the kernel's answer, or,
		// where it cannot tell in an interrupt, what it told earlier.
		found, cached, fresh := s.label(), s.label(), s.label()
		s.emit(asm.FnGetCurrentPidTgid.Call(), asm.RSh.Imm(asm.R0, 32))
		s.store(st, ir.UnwindTGID, asm.R0)
		s.mov(asm.R1, asm.R8)
		s.emit(asm.RSh.Imm(asm.R1, 12))
		s.store(st, ir.UnwindPage, asm.R1)
		find := s.label()
		s.load(asm.R1, st, ir.UnwindStart)
		s.jreg(asm.JLT, asm.R8, asm.R1, find)
		s.load(asm.R1, st, ir.UnwindEnd)
		s.jreg(asm.JLT, asm.R8, asm.R1, found)
		s.place(find)
		s.storeImm(st, ir.UnwindStart, 0)
		s.storeImm(st, ir.UnwindEnd, 0)
		s.storeImm(st, ir.UnwindTable, 0)
		s.emit(asm.FnGetCurrentTaskBtf.Call())
		s.mov(asm.R1, asm.R0)
		s.mov(asm.R2, asm.R8)
		s.funcAddr(asm.R3, mapping)
		onStackArg(s, asm.R4, st)
		s.imm(asm.R5, 0)
		s.emit(asm.FnFindVma.Call())
		s.jimm32(asm.JEq, asm.R0, 0, fresh)
		s.jimm32(asm.JNE, asm.R0, -eBUSY, byFP)
		s.mapPtr(asm.R1, ir.MapUnwindPages)
		s.mov(asm.R2, st)
		s.emit(asm.Add.Imm(asm.R2, ir.UnwindTGID), asm.FnMapLookupElem.Call())
		told, missed := s.label(), s.label()
		s.jimm(asm.JNE, asm.R0, 0, told)
		// The loader looks it up for the next time.
		s.storeImm(st, ir.UnwindDev, ir.UnwindPageMissed)
		s.load(asm.R1, st, ir.UnwindPage)
		s.store(st, ir.UnwindIno, asm.R1)
		s.ja(missed)
		s.place(told)
		for i := range 5 {
			s.load(asm.R1, asm.R0, 8*i)
			s.store(st, ir.UnwindStart+8*i, asm.R1)
		}
		s.place(fresh)
		// The file's table.
		s.mapPtr(asm.R1, ir.MapUnwindFiles)
		s.mov(asm.R2, st)
		s.emit(asm.Add.Imm(asm.R2, ir.UnwindDev), asm.FnMapLookupElem.Call())
		s.jimm(asm.JNE, asm.R0, 0, known)
		s.load(asm.R1, st, ir.UnwindIno)
		s.jimm(asm.JEq, asm.R1, 0, found)
		s.place(missed)
		s.load(asm.R1, st, ir.UnwindTGID)
		s.store(st, ir.UnwindTmp, asm.R1)
		s.store(st, ir.UnwindTmp+8, asm.R8)
		s.mapPtr(asm.R1, ir.MapUnwindMissed)
		s.mov(asm.R2, st)
		s.emit(asm.Add.Imm(asm.R2, ir.UnwindDev))
		s.mov(asm.R3, st)
		s.emit(asm.Add.Imm(asm.R3, ir.UnwindTmp))
		s.imm(asm.R4, updateNoExist)
		s.emit(asm.FnMapUpdateElem.Call())
		s.load(asm.R1, st, ir.UnwindEnd)
		s.jimm(asm.JEq, asm.R1, 0, byFP)
		s.ja(found)
		s.place(known)
		s.load(asm.R1, asm.R0, 0)
		s.store(st, ir.UnwindTable, asm.R1)
		s.place(found)
		// The page is noted, for the loader as well: it names addresses of
		// processes that are gone.
		s.mapPtr(asm.R1, ir.MapUnwindPages)
		s.mov(asm.R2, st)
		s.emit(asm.Add.Imm(asm.R2, ir.UnwindTGID), asm.FnMapLookupElem.Call())
		note := s.label()
		s.jimm(asm.JEq, asm.R0, 0, note)
		s.load(asm.R1, asm.R0, 0)
		s.load(asm.R2, st, ir.UnwindStart)
		s.jreg(asm.JEq, asm.R1, asm.R2, cached)
		s.place(note)
		s.mapPtr(asm.R1, ir.MapUnwindPages)
		s.mov(asm.R2, st)
		s.emit(asm.Add.Imm(asm.R2, ir.UnwindTGID))
		s.mov(asm.R3, st)
		s.emit(asm.Add.Imm(asm.R3, ir.UnwindStart))
		s.imm(asm.R4, updateAny)
		s.emit(asm.FnMapUpdateElem.Call())
		s.place(cached)
		s.load(asm.R1, st, ir.UnwindTable)
		s.jimm(asm.JEq, asm.R1, 0, byFP)
		s.emit(asm.StoreMem(asm.R10, -4, asm.R1, asm.Word))
		s.load(asm.R1, st, ir.UnwindBias)
		s.emit(asm.Sub.Reg(asm.R8, asm.R1))
		s.store(st, ir.UnwindTarget, asm.R8)
		s.emit(asm.RSh.Imm(asm.R8, 32))
		s.jimm(asm.JNE, asm.R8, 0, byFP)
		s.mapPtr(asm.R1, ir.MapUnwind)
		s.mov(asm.R2, asm.R10)
		s.emit(asm.Add.Imm(asm.R2, -4), asm.FnMapLookupElem.Call())
		s.jimm(asm.JEq, asm.R0, 0, byFP)
		s.ja(search)

		s.place(byFP)
		g.unwindByFP(s, stop, next)
		s.place(search)
		g.unwindSearch(s, byFP)
		g.unwindApply(s, stop, byFP)
		s.place(next)
		s.exit(0)
		s.place(stop)
		s.exit(1)
	})
}

// unwindByFP follows the frame pointer, in the state's memory at R6.
func (g *generator) unwindByFP(s *stream, stop, next label) {
	const st = asm.R6
	chain, moved := s.label(), s.label()
	// Before a function has done anything its return address is on top, or in the link
	// register.
	s.load(asm.R1, st, ir.UnwindEntry)
	s.storeImm(st, ir.UnwindEntry, 0)
	s.jimm(asm.JEq, asm.R1, 0, chain)
	s.load(asm.R8, st, ir.UnwindSP)
	if g.linked() {
		s.store(st, ir.UnwindCFA, asm.R8)
		s.load(asm.R8, st, ir.UnwindLink)
	} else {
		unwindRead(s, ir.UnwindTmp, 8, asm.R8, stop)
		s.emit(asm.Add.Imm(asm.R8, 8))
		s.store(st, ir.UnwindCFA, asm.R8)
		s.load(asm.R8, st, ir.UnwindTmp)
	}
	s.ja(moved)
	s.place(chain)
	s.load(asm.R8, st, ir.UnwindFP)
	s.load(asm.R1, st, ir.UnwindSP)
	s.jimm(asm.JEq, asm.R8, 0, stop)
	s.jreg(asm.JLT, asm.R8, asm.R1, stop)
	unwindRead(s, ir.UnwindTmp, 16, asm.R8, stop)
	s.emit(asm.Add.Imm(asm.R8, 16))
	s.store(st, ir.UnwindCFA, asm.R8)
	s.load(asm.R1, st, ir.UnwindTmp)
	s.store(st, ir.UnwindFP, asm.R1)
	s.load(asm.R8, st, ir.UnwindTmp+8)
	if g.linked() {
		s.storeImm(st, ir.UnwindLoose, 1)
	}
	s.place(moved)
	if g.linked() {
		s.storeImm(st, ir.UnwindLink, 0)
	}
	g.unwindMove(s, stop, next)
}

// unwindSearch finds the row of the file offset in the state, in the table that R0
// is; its words are then in R7 (CFAOff), R8 (FPOff) and R9 (the kinds).
func (g *generator) unwindSearch(s *stream, none label) {
	const st, table = asm.R6, asm.R7
	s.mov(table, asm.R0)
	s.storeImm(st, ir.UnwindPos, 0)
	row := func() {
		s.mov(asm.R1, table)
		s.mov(asm.R2, asm.R10)
		s.emit(asm.Add.Imm(asm.R2, -4), asm.FnMapLookupElem.Call())
	}
	for i := unwindSteps - 1; i >= 0; i-- {
		above := s.label()
		s.load(asm.R1, st, ir.UnwindPos)
		s.emit(asm.Add.Imm(asm.R1, 1<<i), asm.StoreMem(asm.R10, -4, asm.R1, asm.Word))
		row()
		s.jimm(asm.JEq, asm.R0, 0, above) // behind the last row
		s.emit(asm.LoadMem(asm.R1, asm.R0, 0, asm.Word))
		s.load(asm.R2, st, ir.UnwindTarget)
		s.jreg(asm.JGT, asm.R1, asm.R2, above)
		s.emit(asm.LoadMem(asm.R1, asm.R10, -4, asm.Word))
		s.store(st, ir.UnwindPos, asm.R1)
		s.place(above)
	}
	s.load(asm.R1, st, ir.UnwindPos)
	s.emit(asm.StoreMem(asm.R10, -4, asm.R1, asm.Word))
	row()
	s.jimm(asm.JEq, asm.R0, 0, none)
	s.emit(asm.LoadMem(asm.R7, asm.R0, 4, asm.Word), asm.LSh.Imm(asm.R7, 32), asm.ArSh.Imm(asm.R7, 32))
	s.emit(asm.LoadMem(asm.R8, asm.R0, 8, asm.Word), asm.LSh.Imm(asm.R8, 32), asm.ArSh.Imm(asm.R8, 32))
	s.emit(asm.LoadMem(asm.R9, asm.R0, 12, asm.Word))
}

// unwindApply goes to the caller's frame by the row in R7 to R9.
func (g *generator) unwindApply(s *stream, stop, none label) {
	const st, cfaOff, fpOff, kinds = asm.R6, asm.R7, asm.R8, asm.R9
	haveCFA, haveRA, haveFP := s.label(), s.label(), s.label()
	kind := func(r asm.Register, byte int) {
		s.mov(r, kinds)
		if byte > 0 {
			s.emit(asm.RSh.Imm(r, int32(8*byte)))
		}
		s.emit(asm.And.Imm(r, 255))
	}
	sum := func(r asm.Register, word int, off asm.Register) {
		s.load(r, st, word)
		s.emit(asm.Add.Reg(r, off))
	}
	bySP, byFP, plt, inMemory := s.label(), s.label(), s.label(), s.label()
	atFP := s.label()
	kind(asm.R1, 0)
	s.jimm(asm.JEq, asm.R1, int64(ir.UnwindBySP), bySP)
	s.jimm(asm.JEq, asm.R1, int64(ir.UnwindByFP), byFP)
	s.jimm(asm.JEq, asm.R1, int64(ir.UnwindPLT), plt)
	s.jimm(asm.JEq, asm.R1, int64(ir.UnwindStackEnd), stop)
	s.jimm(asm.JEq, asm.R1, int64(ir.UnwindAtFP), atFP)
	s.jimm(asm.JNE, asm.R1, int64(ir.UnwindAtSP), none)
	sum(asm.R3, ir.UnwindSP, cfaOff)
	s.ja(inMemory)
	s.place(atFP)
	sum(asm.R3, ir.UnwindFP, cfaOff)
	s.place(inMemory)
	unwindRead(s, ir.UnwindTmp, 8, asm.R3, stop)
	s.load(asm.R1, st, ir.UnwindTmp)
	s.ja(haveCFA)
	s.place(plt)
	s.load(asm.R2, st, ir.UnwindTarget)
	s.emit(asm.And.Imm(asm.R2, 15))
	s.load(asm.R1, st, ir.UnwindSP)
	s.emit(asm.Add.Imm(asm.R1, 8))
	s.jreg(asm.JLT, asm.R2, cfaOff, haveCFA)
	s.emit(asm.Add.Imm(asm.R1, 8))
	s.ja(haveCFA)
	s.place(byFP)
	sum(asm.R1, ir.UnwindFP, cfaOff)
	s.ja(haveCFA)
	s.place(bySP)
	if g.linked() {
		// The frame that was left by its frame pointer ended at a place that is
		// not known. The record that this one points to then is its own, if it
		// has one.
		tight := s.label()
		s.load(asm.R1, st, ir.UnwindLoose)
		s.jimm(asm.JEq, asm.R1, 0, tight)
		kind(asm.R1, 2)
		s.jimm(asm.JNE, asm.R1, int64(ir.UnwindRABeside), none)
		s.load(asm.R1, st, ir.UnwindFP)
		s.emit(asm.Sub.Reg(asm.R1, fpOff))
		s.ja(haveCFA)
		s.place(tight)
	}
	sum(asm.R1, ir.UnwindSP, cfaOff)
	s.place(haveCFA)
	s.store(st, ir.UnwindCFA, asm.R1)
	if g.linked() {
		s.storeImm(st, ir.UnwindLoose, 0)
	}

	// The return address, in UnwindTmp+8.
	signal := s.label()
	s.mov(asm.R3, asm.R1)
	s.emit(asm.Add.Imm(asm.R3, -8))
	kind(asm.R1, 2)
	s.jimm(asm.JEq, asm.R1, int64(ir.UnwindRASignal), signal)
	ordered, haveLink := s.label(), s.label()
	if g.linked() {
		link, alone, words := s.label(), s.label(), s.label()
		s.jimm(asm.JEq, asm.R1, int64(ir.UnwindRALink), link)
		s.jimm(asm.JEq, asm.R1, int64(ir.UnwindRAAlone), alone)
		s.jimm(asm.JEq, asm.R1, int64(ir.UnwindRAWords), words)
		s.jimm(asm.JNE, asm.R1, int64(ir.UnwindRABeside), none)
		sum(asm.R3, ir.UnwindCFA, fpOff)
		s.emit(asm.Add.Imm(asm.R3, 8))
		s.ja(ordered)
		s.place(alone)
		sum(asm.R3, ir.UnwindCFA, fpOff)
		s.ja(ordered)
		s.place(words)
		kind(asm.R1, 3)
		s.emit(asm.LSh.Imm(asm.R1, 3))
		s.load(asm.R3, st, ir.UnwindCFA)
		s.emit(asm.Sub.Reg(asm.R3, asm.R1))
		s.ja(ordered)
		s.place(link)
		s.load(asm.R1, st, ir.UnwindLink)
		s.storeImm(st, ir.UnwindLink, 0)
		s.store(st, ir.UnwindTmp+8, asm.R1)
		s.ja(haveLink)
	}
	s.ja(ordered)
	s.place(signal)
	if g.linked() {
		// The interrupted function may not have saved it.
		sum(asm.R3, ir.UnwindSP, fpOff)
		s.emit(asm.Add.Imm(asm.R3, 8))
		unwindRead(s, ir.UnwindLink, 8, asm.R3, stop)
	}
	s.storeImm(st, ir.UnwindExact, 1)
	sum(asm.R3, ir.UnwindSP, cfaOff)
	s.emit(asm.Add.Imm(asm.R3, 8))
	s.ja(haveRA)
	s.place(ordered)
	// A stack grows down; without progress there is no end.
	s.load(asm.R1, st, ir.UnwindSP)
	s.jreg(asm.JLT, asm.R3, asm.R1, stop)
	if g.linked() {
		s.storeImm(st, ir.UnwindLink, 0)
	}
	s.place(haveRA)
	unwindRead(s, ir.UnwindTmp+8, 8, asm.R3, stop)
	s.place(haveLink)

	fpAtFP, fpAtSP, read := s.label(), s.label(), s.label()
	kind(asm.R1, 1)
	s.jimm(asm.JEq, asm.R1, int64(ir.UnwindFPSame), haveFP)
	s.jimm(asm.JEq, asm.R1, int64(ir.UnwindFPAtFP), fpAtFP)
	s.jimm(asm.JEq, asm.R1, int64(ir.UnwindFPAtSP), fpAtSP)
	sum(asm.R3, ir.UnwindCFA, fpOff)
	s.ja(read)
	s.place(fpAtFP)
	sum(asm.R3, ir.UnwindFP, fpOff)
	s.ja(read)
	s.place(fpAtSP)
	sum(asm.R3, ir.UnwindSP, fpOff)
	s.place(read)
	unwindRead(s, ir.UnwindTmp, 8, asm.R3, stop)
	s.load(asm.R1, st, ir.UnwindTmp)
	s.store(st, ir.UnwindFP, asm.R1)
	s.place(haveFP)
	s.load(asm.R8, st, ir.UnwindTmp+8)
	s.storeImm(st, ir.UnwindEntry, 0)
	g.unwindMove(s, stop, 0)
}

// unwindMove makes the frame whose stack pointer is UnwindCFA and whose address is
// in R8 the present one, and goes to next, or on.
func (g *generator) unwindMove(s *stream, stop, next label) {
	const st = asm.R6
	if unwindMachines[g.opt.Arch].signs {
		g.unwindWord(s, asm.R1, ir.UnwindSign)
		s.emit(asm.Or.Reg(asm.R8, asm.R1), asm.Xor.Reg(asm.R8, asm.R1))
	}
	s.jimm(asm.JEq, asm.R8, 0, stop)
	g.unwindTrampoline(s)
	s.load(asm.R1, st, ir.UnwindCFA)
	s.store(st, ir.UnwindSP, asm.R1)
	s.store(st, ir.UnwindPC, asm.R8)
	if next != 0 {
		s.ja(next)
	}
}

// unwindTrampoline replaces the address in R8, if it is the trampoline that a return
// probe has put into the stack, by the one that was there before.
func (g *generator) unwindTrampoline(s *stream) {
	const st = asm.R6
	ordinary := s.label()
	read := func(base asm.Register, off int) {
		g.unwindWord(s, asm.R3, off)
		s.emit(asm.Add.Reg(asm.R3, base))
		s.mov(asm.R1, st)
		s.emit(asm.Add.Imm(asm.R1, ir.UnwindTmp))
		s.imm(asm.R2, 8)
		s.emit(asm.FnProbeReadKernel.Call())
		s.jimm(asm.JNE, asm.R0, 0, ordinary)
		s.load(asm.R7, st, ir.UnwindTmp)
		s.jimm(asm.JEq, asm.R7, 0, ordinary)
	}
	chain := g.sub("stap_unwind_orig", func(s *stream) {
		// R2 points to the state, whose UnwindPos is the next of the calls whose
		// return addresses have been replaced.
		const st, call = asm.R6, asm.R7
		stop := s.label()
		s.load(st, asm.R2, 0)
		read := func(off int) {
			g.unwindWord(s, asm.R3, off)
			s.emit(asm.Add.Reg(asm.R3, call))
			s.mov(asm.R1, st)
			s.emit(asm.Add.Imm(asm.R1, ir.UnwindTmp))
			s.imm(asm.R2, 8)
			s.emit(asm.FnProbeReadKernel.Call())
			s.jimm(asm.JNE, asm.R0, 0, stop)
			s.load(asm.R1, st, ir.UnwindTmp)
		}
		next := s.label()
		s.load(call, st, ir.UnwindPos)
		s.jimm(asm.JEq, call, 0, stop)
		read(ir.UnwindRIStack)
		s.load(asm.R2, st, ir.UnwindCFA)
		if n := unwindMachines[g.opt.Arch].pushed; n != 0 {
			s.emit(asm.Add.Imm(asm.R2, -n))
		}
		if g.linked() {
			// Frame pointers tell where a frame begins, not where it ends: that of
			// the probed call is the first, from the innermost on, that ends there
			// or further out.
			s.jreg(asm.JLT, asm.R1, asm.R2, next)
		} else {
			s.jreg(asm.JNE, asm.R1, asm.R2, next)
		}
		read(ir.UnwindRIOrig)
		s.store(st, ir.UnwindTmp+8, asm.R1)
		s.exit(1)
		s.place(next)
		read(ir.UnwindRINext)
		s.store(st, ir.UnwindPos, asm.R1)
		s.exit(0)
		s.place(stop)
		s.exit(1)
	})
	g.unwindWord(s, asm.R1, ir.UnwindTaskUtask)
	s.jimm(asm.JEq, asm.R1, 0, ordinary)
	s.store(st, ir.UnwindTmp+8, asm.R8)
	s.emit(asm.FnGetCurrentTask.Call())
	s.mov(asm.R9, asm.R0)
	// Only a task that has such calls has them.
	read(asm.R9, ir.UnwindTaskUtask)
	read(asm.R7, ir.UnwindUtaskChain)
	s.store(st, ir.UnwindPos, asm.R7)
	read(asm.R9, ir.UnwindTaskMM)
	read(asm.R7, ir.UnwindMMXol)
	read(asm.R7, ir.UnwindXolAddr)
	s.jreg(asm.JNE, asm.R7, asm.R8, ordinary)
	s.imm(asm.R1, maxReturns)
	s.funcAddr(asm.R2, chain)
	onStackArg(s, asm.R3, st)
	s.imm(asm.R4, 0)
	s.emit(asm.FnLoop.Call())
	s.load(asm.R8, st, ir.UnwindTmp+8)
	s.place(ordinary)
}

// maxReturns is the most calls of a thread that the kernel has return probes for
// (MAX_URETPROBE_DEPTH).
const maxReturns = 64

// unwindRead reads the word or words of user memory at the address in r into the
// state.
func unwindRead(s *stream, to, size int, r asm.Register, stop label) {
	s.mov(asm.R3, r)
	s.mov(asm.R1, asm.R6)
	s.emit(asm.Add.Imm(asm.R1, int32(to)))
	s.imm(asm.R2, int64(size))
	s.emit(asm.FnProbeReadUser.Call())
	s.jimm(asm.JNE, asm.R0, 0, stop)
}
