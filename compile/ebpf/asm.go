package ebpf

import (
	"github.com/cilium/ebpf/asm"

	"stapkit/compile/object"
)

// label is a place in a stream of instructions; the zero label is none.
type label int

// insn is an instruction whose jump target is a label.
type insn struct {
	asm.Instruction
	to   label // of jumps
	site int   // index into Program.Sites, -1 for none
	dead bool  // turned out to be unneeded
}

// stream is the code of one function while it is being made. Labels are places,
// not parts of instructions, so that several may stand at one place and code may
// be dropped.
type stream struct {
	name   string
	insns  []insn
	places []int // by label; -1: not placed yet
	site   int
}

func newStream(name string) *stream {
	return &stream{name: name, places: []int{-1}, site: -1}
}

// stream makes a stream in the memory of one that is done with.
func (g *generator) stream(name string) *stream {
	s := newStream(name)
	if n := len(g.spare); n > 0 {
		s.insns, g.spare = g.spare[n-1], g.spare[:n-1]
	}
	return s
}

// done takes back the memory of a stream that is not used any more.
func (g *generator) done(s *stream) {
	if s != nil && cap(s.insns) > 0 {
		g.spare = append(g.spare, s.insns[:0])
		s.insns = nil
	}
}

func (s *stream) label() label {
	s.places = append(s.places, -1)
	return label(len(s.places) - 1)
}

func (s *stream) place(l label) { s.places[l] = len(s.insns) }

func (s *stream) emit(list ...asm.Instruction) {
	for _, ins := range list {
		s.insns = append(s.insns, insn{Instruction: ins, site: s.site})
	}
}

func (s *stream) jump(ins asm.Instruction, to label) {
	s.insns = append(s.insns, insn{Instruction: ins, to: to, site: s.site})
}

// kill drops an instruction, which must not be a jump.
func (s *stream) kill(i int) { s.insns[i].dead = true }

// Instructions without a label; the target is filled in by finish.

func jumpAlways() asm.Instruction {
	return asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Ja)}
}

func jumpImm(op asm.JumpOp, r asm.Register, v int32) asm.Instruction {
	return asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(op).SetSource(asm.ImmSource), Dst: r, Constant: int64(v)}
}

func jumpReg(op asm.JumpOp, a, b asm.Register) asm.Instruction {
	return asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(op).SetSource(asm.RegSource), Dst: a, Src: b}
}

func (s *stream) ja(to label) { s.jump(jumpAlways(), to) }

func (s *stream) jimm(op asm.JumpOp, r asm.Register, v int64, to label) {
	if v != int64(int32(v)) {
		t := other(r)
		s.imm(t, v)
		s.jump(jumpReg(op, r, t), to)
		return
	}
	s.jump(jumpImm(op, r, int32(v)), to)
}

// leaveIf is jimm for the ways out of loops that the verifier walks through. It
// follows the instruction behind a conditional jump first and keeps the other way
// for later, at most 8,192 of them (BPF_COMPLEXITY_LIMIT_JMP_SEQ). So the way out
// stands behind the jump: it soon meets what has been seen, and nothing is kept.
func (s *stream) leaveIf(op asm.JumpOp, r asm.Register, v int64, to label) {
	stay := s.label()
	s.jimm(inverse(op), r, v, stay)
	s.ja(to)
	s.place(stay)
}

// inverse returns the jump that is taken when op is not.
func inverse(op asm.JumpOp) asm.JumpOp {
	switch op {
	case asm.JEq:
		return asm.JNE
	case asm.JNE:
		return asm.JEq
	case asm.JGE:
		return asm.JLT
	case asm.JLT:
		return asm.JGE
	case asm.JGT:
		return asm.JLE
	case asm.JLE:
		return asm.JGT
	}
	panic("a jump without an opposite")
}

func (s *stream) jreg(op asm.JumpOp, a, b asm.Register, to label) { s.jump(jumpReg(op, a, b), to) }

// imm sets r to v.
func (s *stream) imm(r asm.Register, v int64) {
	switch {
	case v == int64(int32(v)):
		s.emit(asm.Mov.Imm(r, int32(v)))
	case v == int64(uint32(v)):
		s.emit(asm.Mov.Imm32(r, int32(uint32(v))))
	default:
		s.emit(asm.LoadImm(r, v, asm.DWord))
	}
}

func (s *stream) mov(dst, src asm.Register) {
	if dst != src {
		s.emit(asm.Mov.Reg(dst, src))
	}
}

// addImm adds a constant that need not fit the immediate.
func (s *stream) addImm(r asm.Register, v int64) {
	switch {
	case v == 0:
	case v == int64(int32(v)):
		s.emit(asm.Add.Imm(r, int32(v)))
	default:
		t := other(r)
		s.imm(t, v)
		s.emit(asm.Add.Reg(r, t))
	}
}

func (s *stream) load(dst, base asm.Register, off int) {
	s.emit(asm.LoadMem(dst, base, int16(off), asm.DWord))
}

func (s *stream) store(base asm.Register, off int, src asm.Register) {
	s.emit(asm.StoreMem(base, int16(off), src, asm.DWord))
}

// storeImm stores eight bytes; v must fit a sign-extended 32-bit number.
func (s *stream) storeImm(base asm.Register, off int, v int32) {
	s.emit(object.StoreImm64(base, int16(off), v))
}

// mapPtr sets r to a map.
func (s *stream) mapPtr(r asm.Register, name string) {
	s.emit(asm.LoadMapPtr(r, 0).WithReference(name))
}

// funcAddr sets r to the address of a subprogram.
func (s *stream) funcAddr(r asm.Register, name string) {
	s.emit(object.FuncAddress(r, name))
}

func (s *stream) exit(code int32) {
	s.emit(asm.Mov.Imm(asm.R0, code), asm.Return())
}

// other returns a volatile register that is not among rs.
func other(rs ...asm.Register) asm.Register {
next:
	for _, r := range [...]asm.Register{asm.R1, asm.R2, asm.R3, asm.R4, asm.R5, asm.R0} {
		for _, x := range rs {
			if x == r {
				continue next
			}
		}
		return r
	}
	return asm.R0
}

// isJump reports whether ins may go to a label.
func (i *insn) isJump() bool { return i.to != 0 }

// ends reports whether the next instruction is never reached from ins.
func (i *insn) ends() bool {
	if c := i.OpCode.Class(); !c.IsJump() {
		return false
	}
	return i.OpCode.JumpOp() == asm.Exit || i.isJump() && i.OpCode.JumpOp() == asm.Ja
}

// optimize threads jumps, and drops jumps to the next instruction and what
// cannot be reached: the verifier refuses dead code.
func (s *stream) optimize() {
	for {
		s.thread()
		keep := s.reachable()
		changed := false
		for i := range s.insns {
			in := &s.insns[i]
			if !keep[i] {
				changed = true
				continue
			}
			if in.ends() && in.isJump() && s.nextKept(keep, i+1) == s.nextKept(keep, s.places[in.to]) {
				keep[i] = false
				changed = true
			}
		}
		if !changed {
			return
		}
		s.compact(keep)
	}
}

func (s *stream) nextKept(keep []bool, i int) int {
	for i < len(keep) && !keep[i] {
		i++
	}
	return i
}

// thread makes jumps to unconditional jumps go to their target.
func (s *stream) thread() {
	for i := range s.insns {
		in := &s.insns[i]
		for n := 0; in.isJump() && n < 64; n++ {
			at := s.places[in.to]
			if at >= len(s.insns) {
				break
			}
			next := &s.insns[at]
			if !next.ends() || !next.isJump() || at == i {
				break
			}
			in.to = next.to
		}
	}
}

func (s *stream) reachable() []bool {
	seen := make([]bool, len(s.insns))
	work := []int{0}
	for len(work) > 0 {
		i := work[len(work)-1]
		work = work[:len(work)-1]
		for i < len(s.insns) && !seen[i] {
			seen[i] = true
			in := &s.insns[i]
			if in.dead {
				seen[i] = false
				i++
				continue
			}
			if in.isJump() {
				work = append(work, s.places[in.to])
			}
			if in.ends() {
				break
			}
			i++
		}
	}
	return seen
}

func (s *stream) compact(keep []bool) {
	moved := make([]int, len(s.insns)+1)
	out := s.insns[:0]
	for i, in := range s.insns {
		moved[i] = len(out)
		if keep[i] {
			out = append(out, in)
		}
	}
	moved[len(keep)] = len(out)
	s.insns = out
	for l, at := range s.places {
		if at >= 0 {
			s.places[l] = moved[at]
		}
	}
}

// maxJump is how far a jump instruction reaches, in raw instructions. The long
// jump came with Linux 6.6.
const maxJump = 1<<15 - 1

// finish returns the instructions, whose jumps count instructions, and whether all of
// these reach their targets.
func (s *stream) finish(line func(site int) (*object.Line, bool)) (asm.Instructions, bool) {
	s.optimize()
	raw := make([]int, len(s.insns)+1)
	for i := range s.insns {
		raw[i+1] = raw[i] + int(s.insns[i].Width())
	}
	near := true
	out := make(asm.Instructions, 0, len(s.insns))
	last := -2
	for i := range s.insns {
		in := &s.insns[i]
		ins := in.Instruction
		if in.isJump() {
			d := raw[s.places[in.to]] - raw[i+1]
			if d > maxJump || d < -maxJump {
				near = false
			}
			ins.Offset, ins.Metadata = int16(d), asm.Metadata{}
		}
		if in.site != last {
			if l, ok := line(in.site); ok {
				ins = ins.WithSource(l)
				last = in.site
			}
		}
		out = append(out, ins)
	}
	return out, near
}
