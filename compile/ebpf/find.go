package ebpf

import (
	"encoding/binary"
	"strconv"

	"github.com/cilium/ebpf/asm"

	"stapkit/ir"
	"stapkit/ir/regex"
)

// Where a handler asks for matched(), regular expressions are looked for with an
// automaton that keeps places (regex.Tagged). Its registers and the places of the
// last match are in the slot.

// finderKey names a finder: the places of how many groups it keeps.
type finderKey struct{ re, groups int }

// finder is a tagged automaton as tables in the constant data.
type finder struct {
	t      *regex.Tagged
	class  int // of each byte
	steps  int // {u16 next state, or noState; u16 row of sources} by state and class
	rows   int // of sources: a byte for each register; row 0 is not used
	nRows  int
	ends   int // {u16 row of places in the middle, u16 at the end} by state; 0: no match
	places int // rows of sources: a byte for each place; row 0 is not used
	nEnds  int
}

const noState = 0xffff

// finderOf makes the tables of a regular expression once.
func (g *generator) finderOf(re, groups, site int) *finder {
	key := finderKey{re, groups}
	if f, ok := g.finders[key]; ok {
		return f
	}
	g.finders[key] = nil
	r := g.regexp(re, site)
	if r == nil {
		return nil
	}
	t, err := r.Tagged(groups, maxStates)
	if err != nil {
		g.errorf(site, eUnsupported, "regular expression %q is too complex for matched() in the kernel: %v", g.p.Regexps[re].Pattern, err)
		return nil
	}
	f := &finder{t: t}
	table := func(width int) (row func(b []uint8) uint16, data *[]byte) {
		index := map[string]uint16{}
		rows := make([]byte, width)
		return func(b []uint8) uint16 {
			if b == nil {
				return 0
			}
			n, ok := index[string(b)]
			if !ok {
				n = uint16(len(rows) / width)
				index[string(b)] = n
				full := make([]byte, width) // registers beyond those that are set keep anything
				copy(full, b)
				rows = append(rows, full...)
			}
			return n
		}, &rows
	}
	stepRow, stepRows := table(max(t.Regs, 1))
	endRow, endRows := table(t.Places)
	var steps, ends []byte
	le := binary.LittleEndian
	for st, row := range t.Next {
		for _, s := range row {
			to := uint16(noState)
			if s.To != regex.Dead {
				to = uint16(s.To)
			}
			steps = le.AppendUint16(le.AppendUint16(steps, to), stepRow(s.From))
		}
		ends = le.AppendUint16(le.AppendUint16(ends, endRow(t.Accept[st])), endRow(t.Final[st]))
	}
	f.nRows, f.nEnds = len(*stepRows)/max(t.Regs, 1), len(*endRows)/t.Places
	f.class, f.steps, f.ends = g.consts.add(t.Class[:]), g.consts.add(steps), g.consts.add(ends)
	f.rows, f.places = g.consts.add(*stepRows), g.consts.add(*endRows)
	g.finders[key] = f
	return f
}

// askedGroups is how many groups of a regular expression the handler may ask for.
func (p *prog) askedGroups(groups int) int { return min(groups, p.a.places-1) }

// reserveFound reserves the string that was matched, its places, and the registers.
func (p *prog) reserveFound() {
	places, regs := 0, 0
	for _, re := range p.a.regexps {
		a := p.g.automatonOf(re, p.site)
		if a == nil {
			return
		}
		f := p.g.finderOf(re, p.askedGroups(a.groups), p.g.siteOf(p.h))
		if f == nil {
			return
		}
		places, regs = max(places, f.t.Places), max(regs, f.t.Regs)
	}
	p.foundText = p.alloc(max(p.a.subject, 8))
	p.foundMem = p.alloc(8*places + 16*(regs+2) + 16)
}

// find leaves in R0 whether a string has a match, and keeps its places.
func (p *prog) find(e *ir.Match, a *automaton, t text) {
	f := p.g.finderOf(e.Re, p.askedGroups(a.groups), e.Site)
	if f == nil || p.foundMem.size == 0 {
		return
	}
	// What is matched may be the string that was matched before, so it moves first.
	kept := p.frameText(p.foundText)
	p.copyText(kept, t)
	p.addr(asm.R1, kept)
	p.memAddr(asm.R2, p.foundMem)
	p.emit(asm.Call.Label(p.g.findSub(finderKey{e.Re, p.askedGroups(a.groups)}, f, p.limit(min(t.width, kept.width)))))
}

// Where findSub keeps things on its stack; its callback gets the address of the first.
const (
	findMem  = -16
	findText = -8
)

// findSub is a subprogram that looks for a match in the string of at most width-1
// bytes at R1. At R2 are the places, then the registers with the position and -1
// behind them, then the registers as they were before a step, the state, and whether
// there is a match. The last two are no words of the stack: Linux 6.1 looks through a
// callback once only, and takes what it finds there the first time for what is always there.
func (g *generator) findSub(key finderKey, f *finder, width int) string {
	t := f.t
	name := "stap_find_" + strconv.Itoa(key.re) + "_" + strconv.Itoa(key.groups) + "_" + strconv.Itoa(width)
	regs := 8 * t.Places
	before := regs + 8*(t.Regs+2)
	state := before + 8*(t.Regs+2)
	found := state + 8
	const at = findMem // callback: what an offset is relative to
	callback := g.sub(name+"_at", func(s *stream) {
		p := &prog{stream: s, g: g}
		// R6: the position, R7: what findSub keeps, R8: places and registers, R9: the state.
		stop, inside, looked := s.label(), s.label(), s.label()
		s.mov(asm.R6, asm.R1)
		s.mov(asm.R7, asm.R2)
		s.jimm(asm.JGE, asm.R6, int64(width), stop)
		s.load(asm.R8, asm.R7, findMem-at)
		s.load(asm.R9, asm.R8, state)
		s.jimm(asm.JGE, asm.R9, int64(len(t.Next)), stop)
		s.store(asm.R8, regs+8*t.Regs, asm.R6)
		s.load(asm.R1, asm.R7, findText-at)
		s.emit(asm.Add.Reg(asm.R1, asm.R6), asm.LoadMem(asm.R5, asm.R1, 0, asm.Byte))
		p.constant(asm.R1, f.ends)
		s.mov(asm.R2, asm.R9)
		s.emit(asm.LSh.Imm(asm.R2, 2), asm.Add.Reg(asm.R1, asm.R2))
		s.jimm(asm.JNE, asm.R5, 0, inside)
		s.emit(asm.Add.Imm(asm.R1, 2))
		s.place(inside)
		s.emit(asm.LoadMem(asm.R2, asm.R1, 0, asm.Half))
		s.jimm(asm.JEq, asm.R2, 0, looked)
		s.jimm(asm.JGE, asm.R2, int64(f.nEnds), stop)
		p.constant(asm.R1, f.places)
		s.emit(asm.Mul.Imm(asm.R2, int32(t.Places)), asm.Add.Reg(asm.R1, asm.R2))
		for i := range t.Places {
			s.emit(asm.LoadMem(asm.R2, asm.R1, int16(i), asm.Byte))
			s.jimm(asm.JGT, asm.R2, int64(t.Regs+1), stop)
			s.emit(asm.LSh.Imm(asm.R2, 3), asm.Add.Reg(asm.R2, asm.R8))
			s.load(asm.R3, asm.R2, regs)
			s.store(asm.R8, 8*i, asm.R3)
		}
		s.storeImm(asm.R8, found, 1)
		s.place(looked)
		s.jimm(asm.JEq, asm.R5, 0, stop)
		// The step.
		p.constant(asm.R1, f.class)
		s.emit(asm.Add.Reg(asm.R1, asm.R5), asm.LoadMem(asm.R2, asm.R1, 0, asm.Byte))
		s.jimm(asm.JGE, asm.R2, int64(t.Classes), stop)
		s.emit(asm.Mul.Imm(asm.R9, int32(t.Classes)), asm.Add.Reg(asm.R9, asm.R2), asm.LSh.Imm(asm.R9, 2))
		p.constant(asm.R1, f.steps)
		s.emit(asm.Add.Reg(asm.R1, asm.R9), asm.LoadMem(asm.R9, asm.R1, 0, asm.Half), asm.LoadMem(asm.R2, asm.R1, 2, asm.Half))
		s.jimm(asm.JEq, asm.R9, noState, stop)
		s.store(asm.R8, state, asm.R9)
		stay := s.label()
		s.jimm(asm.JEq, asm.R2, 0, stay)
		s.jimm(asm.JGE, asm.R2, int64(f.nRows), stop)
		p.constant(asm.R1, f.rows)
		s.emit(asm.Mul.Imm(asm.R2, int32(max(t.Regs, 1))), asm.Add.Reg(asm.R1, asm.R2))
		for i := range t.Regs + 2 {
			s.load(asm.R3, asm.R8, regs+8*i)
			s.store(asm.R8, before+8*i, asm.R3)
		}
		for i := range t.Regs {
			s.emit(asm.LoadMem(asm.R2, asm.R1, int16(i), asm.Byte))
			s.jimm(asm.JGT, asm.R2, int64(t.Regs+1), stop)
			s.emit(asm.LSh.Imm(asm.R2, 3), asm.Add.Reg(asm.R2, asm.R8))
			s.load(asm.R3, asm.R2, before)
			s.store(asm.R8, regs+8*i, asm.R3)
		}
		s.place(stay)
		s.exit(0)
		s.place(stop)
		s.exit(1)
	})
	return g.sub(name, func(s *stream) {
		s.store(asm.R10, findText, asm.R1)
		s.store(asm.R10, findMem, asm.R2)
		s.storeImm(asm.R2, state, 0)
		s.storeImm(asm.R2, found, 0)
		for i := range t.Regs + 1 {
			s.storeImm(asm.R2, regs+8*i, 0)
		}
		s.storeImm(asm.R2, regs+8*(t.Regs+1), -1)
		s.imm(asm.R1, int64(width))
		s.funcAddr(asm.R2, callback)
		s.mov(asm.R3, asm.R10)
		s.emit(asm.Add.Imm(asm.R3, at))
		s.imm(asm.R4, 0)
		s.emit(asm.FnLoop.Call())
		s.load(asm.R1, asm.R10, findMem)
		s.load(asm.R0, asm.R1, found)
		s.emit(asm.Return())
	})
}

// matched evaluates the text of a group of the last match.
func (p *prog) matched(e *ir.Intrinsic, dst text) {
	p.need(inSlot)
	m := p.mark()
	defer p.release(m)
	if !p.a.match {
		p.int(e.Args[0], asm.R1)
		positive := p.label()
		p.jimm(asm.JSGE, asm.R1, 0, positive)
		p.imm(asm.R1, 0)
		p.place(positive)
		p.raises(ir.ErrNoMatch)
		p.raise(ir.ErrNoMatch, e.Site, asm.R1, 0)
		return
	}
	if p.foundMem.size == 0 || p.mode == onStack {
		return
	}
	n := p.hold(e.Args[0])
	p.zero(dst)
	done, none, negative := p.label(), p.label(), p.label()
	p.memLoad(asm.R0, mem{slotMatch, 8})
	p.jimm(asm.JEq, asm.R0, 0, none)
	p.get(asm.R1, n)
	p.jreg(asm.JGE, asm.R1, asm.R0, p.errTo(ir.ErrNoGroup, e.Site, asm.R1)) // unsigned: negative ones too
	p.jimm(asm.JGE, asm.R1, int64((p.foundMem.size)/16), done)              // never, but the verifier must see it
	p.emit(asm.LSh.Imm(asm.R1, 4), asm.Add.Reg(asm.R1, p.base()))
	p.load(asm.R0, asm.R1, p.foundMem.off)
	p.load(asm.R2, asm.R1, p.foundMem.off+8)
	p.emit(asm.Sub.Reg(asm.R2, asm.R0))
	kept := p.frameText(p.foundText)
	p.jimm(asm.JGE, asm.R0, int64(kept.width), done) // unsigned: it took no part
	p.copyPart(dst, kept, done)
	raise := p.errTo(ir.ErrNoMatch, e.Site, asm.R1)
	p.later(func() {
		p.place(none)
		p.get(asm.R1, n)
		p.jimm(asm.JSGE, asm.R1, 0, negative)
		p.imm(asm.R1, 0)
		p.place(negative)
		p.ja(raise)
	})
}
