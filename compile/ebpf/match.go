package ebpf

import (
	"encoding/binary"
	"strconv"

	"github.com/cilium/ebpf/asm"

	"stapkit/ir"
	"stapkit/ir/regex"
)

// maxStates bounds the automaton of a regular expression.
const maxStates = 8192

// foundBit marks, in a transition, a state in which a match has been found.
const foundBit = 1 << 15

// automaton is a regular expression as tables in the constant data.
type automaton struct {
	class, next, end int // offsets: of each byte's class; of u16 transitions; of what is found at the end
	classes, states  int
	atStart          bool
	groups           int
}

// automatonOf makes the tables of regular expression re once.
func (g *generator) automatonOf(re, site int) *automaton {
	if a, ok := g.automata[re]; ok {
		return a
	}
	g.automata[re] = nil
	r := g.regexp(re, site)
	if r == nil {
		return nil
	}
	d, err := r.DFA(maxStates)
	if err != nil {
		g.errorf(site, eUnsupported, "regular expression %q is too complex for the kernel: %v", g.p.Regexps[re].Pattern, err)
		return nil
	}
	a := &automaton{classes: d.Classes, states: len(d.Next), atStart: d.Found[0], groups: r.Groups()}
	next := make([]byte, 0, 2*a.states*a.classes)
	end := make([]byte, a.states)
	for s, row := range d.Next {
		for _, n := range row {
			if d.Found[n] {
				n |= foundBit
			}
			next = binary.LittleEndian.AppendUint16(next, n)
		}
		if d.FoundAtEnd[s] {
			end[s] = 1
		}
	}
	a.class = g.consts.add(d.Class[:])
	a.next = g.consts.add(next)
	a.end = g.consts.add(end)
	g.automata[re] = a
	return a
}

// regexp parses a regular expression; nil if it is none.
func (g *generator) regexp(re, site int) *regex.Regexp {
	if re < 0 || re >= len(g.p.Regexps) {
		g.errorf(site, eInternal, "no regular expression %d", re)
		return nil
	}
	r, err := regex.Compile(g.p.Regexps[re].Pattern)
	if err != nil {
		g.errorf(site, eInternal, "regular expression %q: %v", g.p.Regexps[re].Pattern, err)
		return nil
	}
	return r
}

// match goes to the label if whether the string matches is what is wanted.
func (p *prog) match(e *ir.Match, want bool, to label) {
	p.at(e.Site)
	p.need(inSlot)
	if p.mode == onStack {
		return
	}
	a := p.g.automatonOf(e.Re, e.Site)
	if a == nil {
		return
	}
	t := p.text(e.X)
	if p.a.places > 0 {
		p.find(e, a, t)
	} else {
		p.addr(asm.R1, t)
		p.emit(asm.Call.Label(p.g.matchSub(e.Re, a, p.limit(t.width))))
	}
	if p.a.groups {
		// For ngroups(): the last match's groups and 1, 0 if it failed.
		p.mov(asm.R1, asm.R0)
		p.emit(asm.Mul.Imm(asm.R1, int32(a.groups+1)))
		p.memStore(mem{slotMatch, 8}, asm.R1)
	}
	op := asm.JEq
	if want != e.Negate {
		op = asm.JNE
	}
	p.jimm(op, asm.R0, 0, to)
}

// matchSub is a subprogram that returns 1 if the string of at most width-1 bytes
// at R1 has a match, else 0.
func (g *generator) matchSub(re int, a *automaton, width int) string {
	return g.sub("stap_match_"+strconv.Itoa(re)+"_"+strconv.Itoa(width), func(s *stream) {
		if a.atStart {
			s.exit(1)
			return
		}
		p := &prog{stream: s, g: g}
		again, end, found, broken := s.label(), s.label(), s.label(), s.label()
		p.constant(asm.R6, a.class)
		p.constant(asm.R7, a.next)
		s.imm(asm.R3, 0) // state
		s.imm(asm.R4, 0) // bytes read
		s.place(again)
		s.emit(asm.LoadMem(asm.R5, asm.R1, 0, asm.Byte))
		// The ways out are looked through before the next round is (see leaveIf).
		s.leaveIf(asm.JEq, asm.R5, 0, end)
		s.mov(asm.R0, asm.R6)
		s.emit(asm.Add.Reg(asm.R0, asm.R5), asm.LoadMem(asm.R5, asm.R0, 0, asm.Byte))
		s.leaveIf(asm.JGE, asm.R5, int64(a.classes), broken)
		s.emit(asm.Mul.Imm(asm.R3, int32(a.classes)), asm.Add.Reg(asm.R3, asm.R5), asm.LSh.Imm(asm.R3, 1))
		s.mov(asm.R0, asm.R7)
		s.emit(asm.Add.Reg(asm.R0, asm.R3), asm.LoadMem(asm.R3, asm.R0, 0, asm.Half))
		s.leaveIf(asm.JGE, asm.R3, foundBit, found)
		s.leaveIf(asm.JGE, asm.R3, int64(a.states), broken) // never, but the verifier must see it
		s.emit(asm.Add.Imm(asm.R1, 1), asm.Add.Imm(asm.R4, 1))
		s.jimm(asm.JNE, asm.R4, int64(width), again)
		s.place(end)
		p.constant(asm.R0, a.end)
		s.emit(asm.Add.Reg(asm.R0, asm.R3), asm.LoadMem(asm.R0, asm.R0, 0, asm.Byte), asm.Return())
		s.place(found)
		s.exit(1)
		s.place(broken)
		s.exit(0)
	})
}

// ngroups evaluates the number of parenthesised parts of the last match, and 1.
func (p *prog) ngroups(e *ir.Intrinsic, dst asm.Register) {
	p.need(inSlot)
	if !p.a.match {
		p.raises(ir.ErrNoMatch)
		p.raise(ir.ErrNoMatch, e.Site, noArg, -1)
		return
	}
	p.memLoad(asm.R0, mem{slotMatch, 8})
	p.jimm(asm.JEq, asm.R0, 0, p.errConst(ir.ErrNoMatch, e.Site, -1))
	p.mov(dst, asm.R0)
}
