package ebpf

import (
	"encoding/binary"
	"maps"

	"github.com/cilium/ebpf/asm"

	"stapkit/ir"
)

// A handler that serves several probes (ir.Handler.Points) asks the kernel which
// of them it runs for, keeps the answer (ir.PointCookie) in its memory, and finds
// what is different there in tables of the constant data.

// usePoint notes that the program has to know its point.
func (p *prog) usePoint() mem {
	p.pointUsed = true
	return p.pointMem
}

// findPoint makes the code that learns the point. dropPoint drops it again if
// nothing wanted to know.
func (p *prog) findPoint() {
	if len(p.h.Points) == 0 {
		return
	}
	p.pointFrom = len(p.insns)
	if d := p.dispatched(); d != nil {
		p.pointOfCall(d)
	} else {
		p.mov(asm.R1, rCtx)
		p.emit(asm.FnGetAttachCookie.Call())
	}
	if p.mode == onStack {
		p.memStore(p.pointMem, asm.R0)
	} else {
		p.store(rSlot, p.pointMem.off, asm.R0)
	}
	p.pointTo = len(p.insns)
}

func (p *prog) dropPoint() {
	if p.pointUsed {
		return
	}
	for i := p.pointFrom; i < p.pointTo; i++ {
		p.kill(i)
	}
}

// dispatched returns a row of the handler that is reached through a dispatcher.
// All of its rows are then behind the same one.
func (p *prog) dispatched() *ir.Attach {
	pr := &p.g.p.Probes[p.h.Points[0].Probe]
	for i := range pr.Attach {
		if a := &pr.Attach[i]; a.Carrier == "dispatch" && p.g.p.Handlers[a.Handler] == p.h {
			return a
		}
	}
	return nil
}

// pointOfCall sets R0 to the point by the system call's number.
func (p *prog) pointOfCall(d *ir.Attach) {
	table := make([]byte, 4*ir.MaxCalls)
	calls := map[uint64]bool{}
	for row := range p.h.Points {
		pt := &p.h.Points[row]
		put := func(at uint64) {
			calls[at] = true
			binary.LittleEndian.PutUint32(table[4*at:], uint32(ir.PointCookie(row, pt.Probe)))
		}
		for _, a := range p.g.p.Probes[pt.Probe].Attach {
			if a.Carrier != "dispatch" || p.g.p.Handlers[a.Handler] != p.h {
				continue
			}
			if a.Config < ir.MaxSyscall {
				put(a.Config)
			}
			for _, nr := range a.Compat {
				if nr >= 0 && nr < ir.MaxCalls-ir.MaxSyscall {
					put(uint64(nr) + ir.MaxSyscall)
				}
			}
		}
	}
	m := p.mark()
	buf := p.alloc(16)
	p.emit(p.g.syscallIndex(d.Target, rCtx, p.base(), int16(buf.off))...)
	known := p.label()
	for _, m := range p.g.muxes(maps.Keys(calls)) {
		plain := p.label()
		p.jimm(asm.JNE, asm.R0, int64(ir.MaxSyscall+m.nr), plain)
		p.emit(p.g.muxIndex(m, rCtx, p.base(), int16(buf.off))...)
		p.place(plain)
	}
	p.jimm(asm.JLT, asm.R0, ir.MaxCalls, known)
	p.imm(asm.R0, 0) // never: the dispatcher has looked
	p.place(known)
	p.emit(asm.LSh.Imm(asm.R0, 2))
	p.constant(asm.R1, p.g.consts.add(table))
	p.emit(asm.Add.Reg(asm.R1, asm.R0), asm.LoadMem(asm.R0, asm.R1, 0, asm.Word))
	p.release(m)
}

// dropCookies takes the cookies from the rows of handlers that do not ask for them.
func (g *generator) dropCookies() {
	for i := range g.p.Probes {
		for j := range g.p.Probes[i].Attach {
			if a := &g.p.Probes[i].Attach[j]; len(g.p.Handlers[a.Handler].Points) > 0 && !g.p.Handlers[a.Handler].UsesPoint {
				a.Cookie = 0
			}
		}
	}
}

// pointRow sets dst to an element of a table with one for each point, elements of
// size bytes.
func (p *prog) pointRow(dst asm.Register, table, size int) {
	row := other(dst)
	known := p.label()
	p.memLoad(row, p.usePoint())
	p.emit(asm.RSh.Imm(row, 16))
	p.jimm(asm.JLT, row, int64(len(p.h.Points)), known)
	p.imm(row, 0) // never, but the verifier must see it
	p.place(known)
	p.emit(asm.Mul.Imm(row, int32(size)))
	p.constant(dst, table)
	p.emit(asm.Add.Reg(dst, row))
}

// pointColumn returns the literal number of an IPointInt or IPointStr.
func (p *prog) pointColumn(e *ir.Intrinsic) int {
	n, _ := literal(e.Args[0]) // ir.Check has seen to it
	return int(n)
}

// pointInt evaluates a number that differs between points.
func (p *prog) pointInt(e *ir.Intrinsic, dst asm.Register) {
	n := p.pointColumn(e)
	var table []byte
	for i := range p.h.Points {
		table = binary.LittleEndian.AppendUint64(table, uint64(p.h.Points[i].Ints[n]))
	}
	p.pointRow(dst, p.g.consts.add(table), 8)
	p.load(dst, dst, 0)
}

// pointText evaluates a string that differs between points.
func (p *prog) pointText(text func(*ir.Point) string, dst text) {
	first := text(&p.h.Points[0])
	same, width := true, 0
	for i := range p.h.Points {
		s := text(&p.h.Points[i])
		same = same && s == first
		width = max(width, ir.StrWidth(len(s)))
	}
	if same {
		p.storeConst(dst, first)
		return
	}
	w := min(width, dst.width)
	var table []byte
	for i := range p.h.Points {
		s := text(&p.h.Points[i])
		b := make([]byte, w)
		copy(b[:p.limit(w)-1], s)
		table = append(table, b...)
	}
	p.pointRow(asm.R3, p.g.consts.add(table), w)
	p.addr(asm.R1, dst)
	p.imm(asm.R2, int64(w))
	p.emit(asm.FnProbeReadKernel.Call())
	p.fitText(dst, w, w)
}
