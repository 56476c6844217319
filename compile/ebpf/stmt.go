package ebpf

import (
	"reflect"

	"github.com/cilium/ebpf/asm"

	"stapkit/compile/object"
	"stapkit/ir"
)

func (p *prog) stmts(list []ir.Stmt) {
	for i := 0; i < len(list) && p.want == p.mode; i++ { // else all will be made again
		if p.take(list[i:]) {
			i += 2
			continue
		}
		p.stmt(list[i])
	}
}

// take makes the code of what begins a return probe with @entry values, with the element
// looked up once: unless it is in the array something else is done, its number is put
// into a variable, and it is deleted. It reports whether the statements are that.
func (p *prog) take(list []ir.Stmt) bool {
	if len(list) < 3 {
		return false
	}
	test, ok := list[0].(*ir.If)
	if !ok || len(test.Else) > 0 {
		return false
	}
	not, ok := test.C.(*ir.Unary)
	if !ok || not.Op != ir.OpNot {
		return false
	}
	in, ok := not.X.(*ir.IndexIn)
	if !ok || len(test.Then) != 1 {
		return false
	}
	if _, ok := test.Then[0].(*ir.Next); !ok {
		return false
	}
	eval, ok := list[1].(*ir.Eval)
	if !ok {
		return false
	}
	set, ok := eval.X.(*ir.Update)
	if !ok || set.L.Global || set.Op != ir.OpSet || set.L.T.Kind != ir.Int {
		return false
	}
	get, ok := set.R.(*ir.IndexGet)
	del, ok2 := list[2].(*ir.Delete)
	if !ok || !ok2 || get.G != in.G || !del.L.Global || del.L.ID != in.G || p.g.p.Globals[in.G].Lock >= 0 ||
		!reflect.DeepEqual(get.Keys, in.Keys) || !reflect.DeepEqual(del.L.Keys, in.Keys) {
		return false
	}
	for _, k := range in.Keys {
		if k == nil || !ownCall(k) {
			return false
		}
	}
	m := p.mark()
	defer p.release(m)
	off, _ := p.g.p.Globals[in.G].ValueLayout()
	key := p.key(in.G, in.Keys)
	none, done := p.label(), p.label()
	p.lookup(in.G, key)
	p.jimm(asm.JEq, asm.R0, 0, none)
	p.load(asm.R0, asm.R0, off)
	p.memStore(p.scope.locals[set.L.ID], asm.R0)
	p.assigned(set.L.ID)
	p.changed(in.G, nil)
	p.arrayMap(in.G)
	p.addr(asm.R2, key)
	p.emit(asm.FnMapDeleteElem.Call())
	p.jimm32(asm.JEq, asm.R0, 0, done)
	p.jimm32(asm.JNE, asm.R0, -eNOENT, p.skipTo(ir.SkipMap))
	p.place(done)
	p.later(func() {
		p.place(none)
		p.stmts(test.Then)
	})
	return true
}

// ownCall reports whether a key is of what does not change while a handler runs.
func ownCall(e ir.Expr) bool {
	switch e := e.(type) {
	case *ir.IntConst, *ir.CtxField:
		return true
	case *ir.Binary:
		return e.Op == ir.OpSub && ownCall(e.X) && ownCall(e.Y)
	case *ir.Intrinsic:
		return e.ID == ir.ITid || e.ID == ir.IStackPointer
	}
	return false
}

// stmt makes the code of one statement. No register is in use before or after.
func (p *prog) stmt(st ir.Stmt) {
	m := p.mark()
	defer p.release(m)
	switch st := st.(type) {
	case *ir.Eval:
		p.effect(st.X)
	case *ir.If:
		p.ifStmt(st)
	case *ir.While:
		p.while(st)
	case *ir.Foreach:
		p.foreach(st)
	case *ir.ForeachHist:
		p.foreachHist(st)
	case *ir.Return:
		p.returnStmt(st)
	case *ir.Next:
		p.next()
	case *ir.Break:
		p.leaveLoop(true)
	case *ir.Continue:
		p.leaveLoop(false)
	case *ir.Delete:
		p.at(st.Site)
		p.del(st)
	case *ir.Try:
		p.tryStmt(st)
	case *ir.Print:
		p.at(st.Site)
		p.print(st)
	case *ir.PrintHist:
		p.at(st.Site)
		p.printHist(st)
	case *ir.Tick:
		p.tick(st)
	case *ir.Lock:
		p.lockStmt(st.ID)
		p.forget()
	case *ir.Unlock:
		p.unlock(st.ID)
		p.lock = -1
		p.forget()
	default:
		p.internal(p.site, "statement %T in a kernel handler", st)
	}
}

// join merges what is in the stack's output buffer on two paths.
func join(a, b int) int {
	if a == b {
		return a
	}
	return -1
}

func (p *prog) ifStmt(st *ir.If) {
	no := p.label()
	p.branch(st.C, false, no)
	out := p.outAt
	p.maybe(func() { p.stmts(st.Then) })
	if len(st.Else) == 0 {
		p.place(no)
		p.outAt = join(p.outAt, out)
		return
	}
	end := p.label()
	p.ja(end)
	p.place(no)
	then := p.outAt
	p.outAt = out
	p.maybe(func() { p.stmts(st.Else) })
	p.place(end)
	p.outAt = join(p.outAt, then)
}

func (p *prog) returnStmt(st *ir.Return) {
	s := p.scope
	if s.fn == nil {
		if st.X != nil {
			p.effect(st.X)
		}
		p.returnOuts(s)
		return
	}
	if st.X != nil && s.discard {
		p.effect(st.X)
	} else if st.X != nil {
		p.assign(s.result, s.fn.Result, st.X)
	}
	p.returnOuts(s)
}

// returnOuts goes to the end of the scope. At the end of a handler no lock is
// held; that of a region is given back behind its result.
func (p *prog) returnOuts(s *scope) {
	s.outs = append(s.outs, p.outAt)
	if s.fn == nil && p.lock >= 0 && (!p.region || p.h.Result == nil) {
		p.unlock(p.lock)
	}
	p.ja(s.end)
}

// closeScope places the end of a scope.
func (p *prog) closeScope(s *scope) {
	p.place(s.end)
	for _, o := range s.outs {
		p.outAt = join(p.outAt, o)
	}
	if len(s.outs) > 0 && s.fn == nil {
		p.forgetAll()
	}
}

func (p *prog) next() {
	s := p.scope
	if s.fn == nil {
		p.returnOuts(s)
		return
	}
	s.nextOuts = append(s.nextOuts, p.outAt)
	p.ja(s.next)
}

// tryStmt makes a try block. Errors jump to its catch label.
func (p *prog) tryStmt(st *ir.Try) {
	t := &try{outer: p.tries, catch: p.label(), text: st.Var >= 0, lock: p.lock, codes: map[ir.ErrCode]bool{}}
	end := p.label()
	p.tries = t
	p.maybe(func() { p.stmts(st.Body) })
	p.tries = t.outer
	p.ja(end)
	after := p.outAt
	p.place(t.catch)
	if len(t.outs) > 0 {
		p.outAt = t.outs[0]
		for _, o := range t.outs {
			p.outAt = join(p.outAt, o)
		}
	}
	if st.Var >= 0 {
		p.catchText(st, t)
		p.assigned(st.Var)
	}
	p.maybe(func() { p.stmts(st.Catch) })
	p.place(end)
	p.outAt = join(p.outAt, after)
}

// tick counts actions. A handler without loops whose actions cannot exceed the
// limit does not count.
func (p *prog) tick(st *ir.Tick) {
	if !p.ticks || st.N == 0 {
		return
	}
	p.at(st.Site)
	p.memLoad(asm.R1, p.tickMem)
	p.addImm(asm.R1, int64(st.N))
	p.memStore(p.tickMem, asm.R1)
	p.jimm(asm.JSGT, asm.R1, int64(p.h.MaxActions), p.errConst(ir.ErrMaxAction, st.Site, 0))
}

// lockStmt takes a lock word, or ends the invocation as skipped.
func (p *prog) lockStmt(id int) {
	p.locks[id] = true
	got, slow := p.label(), p.label()
	skip := p.skipTo(ir.SkipLock)
	p.preemption("bpf_preempt_disable")
	p.emit(asm.FnGetSmpProcessorId.Call())
	p.mov(asm.R2, asm.R0)
	p.emit(asm.Add.Imm(asm.R2, 1))
	p.session(asm.R1, ir.LockOff(id))
	p.imm(asm.R0, 0)
	p.emit(asm.CmpXchg.Mem(asm.R1, asm.R2, asm.DWord, 0))
	p.jimm(asm.JNE, asm.R0, 0, slow)
	p.place(got)
	p.later(func() {
		p.place(slow)
		p.emit(asm.Call.Label(p.g.lockSlowly()))
		p.jimm(asm.JEq, asm.R0, 0, got)
		p.preemption("bpf_preempt_enable")
		p.ja(skip)
	})
	p.lock = id
}

// preemption calls one of the functions by which newer kernels keep the holder of a
// lock from being preempted, where they have it: others would wait for it in vain.
// Tracepoints and interrupts are not preempted anyhow, and the state machine, whose
// callback returns with the lock held, may not use it.
func (p *prog) preemption(kfunc string) {
	switch p.h.Ctx {
	case ir.CtxRawTP, ir.CtxBTFTP, ir.CtxTracepoint, ir.CtxPerf:
		return
	}
	if p.mode == asLoop {
		return
	}
	without := p.label()
	p.emit(object.KfuncAddress(asm.R1, kfunc))
	p.jimm(asm.JEq, asm.R1, 0, without)
	p.emit(object.CallKfunc(kfunc))
	p.place(without)
}

// unlock gives a lock word back. The stores before it must be seen first: plain
// stores keep their order on x86, elsewhere an exchange does it.
func (p *prog) unlock(id int) {
	p.session(asm.R1, ir.LockOff(id))
	if p.g.arch.storesInOrder {
		p.storeImm(asm.R1, 0, 0)
	} else {
		p.imm(asm.R2, 0)
		p.emit(asm.Xchg.Mem(asm.R1, asm.R2, asm.DWord, 0))
	}
	p.preemption("bpf_preempt_enable")
}

// lockSpins is how often a lock word is tried for each of MAXTRYLOCK's attempts,
// which SystemTap spaces by 10 microseconds.
const lockSpins = 500

// lockSlowly is a subprogram that waits for the lock word at R1 for the owner R2.
// It returns 0 if it has it. If the word's owner is this CPU, it never will.
func (g *generator) lockSlowly() string {
	tries := g.p.Limits.MaxTryLock
	spin := g.sub("stap_lock_spin", func(s *stream) {
		// R2: the callback context: address of the word, owner, result.
		more, have := s.label(), s.label()
		s.load(asm.R1, asm.R2, 0)
		s.load(asm.R3, asm.R2, 8)
		s.load(asm.R0, asm.R1, 0)
		s.jimm(asm.JEq, asm.R0, 0, have)
		s.jreg(asm.JNE, asm.R0, asm.R3, more)
		s.exit(1) // interrupted holder on this CPU
		s.place(have)
		s.emit(asm.CmpXchg.Mem(asm.R1, asm.R3, asm.DWord, 0))
		s.jimm(asm.JNE, asm.R0, 0, more)
		s.storeImm(asm.R2, 16, 0)
		s.exit(1)
		s.place(more)
		s.exit(0)
	})
	return g.sub("stap_lock_slow", func(s *stream) {
		s.store(asm.R10, -24, asm.R1)
		s.store(asm.R10, -16, asm.R2)
		s.storeImm(asm.R10, -8, 1)
		s.imm(asm.R1, int64(min(max(tries, 1)*lockSpins, 1<<23)))
		s.funcAddr(asm.R2, spin)
		s.mov(asm.R3, asm.R10)
		s.emit(asm.Add.Imm(asm.R3, -24))
		s.imm(asm.R4, 0)
		s.emit(asm.FnLoop.Call())
		s.load(asm.R0, asm.R10, -8)
		s.emit(asm.Return())
	})
}
