package ebpf

import (
	"github.com/cilium/ebpf/asm"

	"stapkit/compile/object"
	"stapkit/ir"
)

// maxLoops is the most iterations of a bpf_loop (BPF_MAX_LOOPS).
const maxLoops = 1 << 23

// How the callback ended, in slotDone.
const (
	doneNot    = 0
	doneNormal = 1
	doneError  = 2
)

// newState makes a state that starts here.
func (p *prog) newState() int {
	l := p.label()
	p.place(l)
	p.states = append(p.states, l)
	return len(p.states) - 1
}

// gotoState leaves the callback; the next iteration goes on with state n.
func (p *prog) gotoState(n int) {
	p.storeImm(rSlot, slotState, int32(n))
	p.exit(0)
}

// loopBody makes the callback of the state machine.
func (p *prog) loopBody() {
	dispatch := p.label()
	p.tickMem = mem{slotTicks, 8}
	// R2 points to what loopMain left on its stack.
	p.load(rCtx, asm.R2, stackCtx-stackSlot)
	p.load(rSlot, asm.R2, 0)
	if p.a.index {
		p.load(asm.R1, asm.R2, stackIndex-stackSlot)
		p.store(asm.R10, cbIndex, asm.R1)
	}
	p.load(asm.R1, rSlot, slotState)
	p.ja(dispatch)
	p.newState()
	p.body()
	for len(p.queue) > 0 {
		f := p.queue[0]
		p.queue = p.queue[1:]
		p.outlinedBody(f)
	}
	p.placeFrames()
	p.place(dispatch)
	p.dispatch(0, len(p.states))
	p.place(p.failed)
	p.storeImm(rSlot, slotDone, doneError)
	p.exit(1)
	p.place(p.normal)
	p.storeImm(rSlot, slotDone, doneNormal)
	p.exit(1)
}

// dispatch goes to the state in R1, which is one of lo to hi-1.
func (p *prog) dispatch(lo, hi int) {
	if hi-lo == 1 {
		p.ja(p.states[lo])
		return
	}
	mid := (lo + hi) / 2
	upper := p.label()
	p.jimm(asm.JGE, asm.R1, int64(mid), upper)
	p.dispatch(lo, mid)
	p.place(upper)
	p.dispatch(mid, hi)
}

// loopMain makes the program that runs the callback.
func (p *prog) loopMain() {
	p.site = p.g.siteOf(p.h)
	quit, busy := p.label(), p.label()
	p.normal, p.failed = p.label(), p.label()
	p.prologue(quit)
	p.mov(rCtx, asm.R1)
	noIndex := p.label()
	p.claim(busy)
	if p.a.index {
		p.claimIndex(noIndex)
	}
	p.storeImm(rSlot, slotState, 0)
	p.storeImm(rSlot, slotDone, doneNot)
	if len(p.stackBases) > 0 {
		p.storeImm(rSlot, slotSP, 0)
		p.storeImm(rSlot, slotDepth, 0)
	}
	p.findPoint()
	p.store(asm.R10, stackCtx, rCtx)
	p.store(asm.R10, stackSlot, rSlot)
	p.imm(asm.R1, maxLoops)
	p.emit(object.FuncAddress(asm.R2, p.code.name))
	p.mov(asm.R3, asm.R10)
	p.emit(asm.Add.Imm(asm.R3, stackSlot))
	p.imm(asm.R4, 0)
	p.emit(asm.FnLoop.Call())
	if p.a.index {
		p.releaseIndex()
	}
	p.load(asm.R1, rSlot, slotDone)
	p.jimm(asm.JEq, asm.R1, doneNormal, p.normal)
	p.usesErr = true
	p.jimm(asm.JEq, asm.R1, doneError, p.failed)
	// The iterations are used up: far more than MAXACTION permits.
	p.storeError(ir.ErrMaxAction, p.site, noArg, 0)
	p.ja(p.failed)
	p.waysOut()
	if p.a.index {
		p.giveResult(quit)
		p.place(noIndex)
		p.storeImm(rSlot, slotClaim, 0)
		p.ja(busy)
	}
	p.ends(busy, quit)
	p.dropPoint()
}

// while makes a loop. Its head is a state.
func (p *prog) while(st *ir.While) {
	if p.mode != asLoop {
		p.need(asLoop)
		return
	}
	l := &loop{brk: p.label(), cont: p.label(), outer: p.scope.loop}
	head := p.newState()
	if st.C != nil {
		p.branch(st.C, false, l.brk)
	}
	p.scope.loop = l
	p.stmts(st.Body)
	p.scope.loop = l.outer
	p.place(l.cont)
	p.stmts(st.Post)
	p.gotoState(head)
	p.place(l.brk)
}

// leaveLoop makes break and continue.
func (p *prog) leaveLoop(brk bool) {
	l := p.scope.loop
	switch {
	case l == nil:
		// Outside of a loop SystemTap takes them for the end of the body.
		p.returnOuts(p.scope)
	case brk:
		p.ja(l.brk)
	default:
		p.ja(l.cont)
	}
}
