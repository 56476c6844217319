package ebpf

import (
	"github.com/cilium/ebpf/asm"

	"stapkit/ir"
)

// assign evaluates e into memory of type t.
func (p *prog) assign(m mem, t ir.Type, e ir.Expr) {
	switch t.Kind {
	case ir.Void:
		p.effect(e)
	case ir.Int:
		p.intInto(e, m)
	default:
		p.textInto(e, p.frameText(m))
	}
}

// call calls a script function and puts its value into result, if that is not nil.
func (p *prog) call(e *ir.Call, result *mem) {
	m := p.mark()
	defer p.release(m)
	p.at(e.Site)
	// Functions that are tried one after the other get the arguments anew, and
	// one that is not expanded in place may be called by its own arguments.
	var held []mem
	if len(e.Chain) > 1 || p.g.funcs[e.Chain[0]].outlined {
		held = p.holdArgs(e)
	}
	end := p.label()
	var outs []int
	next := true
	for _, id := range e.Chain {
		if next = p.callOne(e, id, held, result, end, &outs); !next {
			break
		}
	}
	if next {
		p.raises(ir.ErrExhausted)
		p.raise(ir.ErrExhausted, e.Site, noArg, 0)
	}
	p.place(end)
	for i, o := range outs {
		if i == 0 {
			p.outAt = o
		}
		p.outAt = join(p.outAt, o)
	}
}

// callOne calls one function of a chain and goes to end. If the function can go
// on with the next one, the code that follows does, and true is returned.
func (p *prog) callOne(e *ir.Call, id int, held []mem, result *mem, end label, outs *[]int) bool {
	m := p.mark()
	defer p.release(m)
	p.at(e.Site)
	fn := p.g.p.Funcs[id]
	if p.g.funcs[id].outlined {
		return p.callOutlined(e, id, held, result, end)
	}
	s := p.newScope(fn, fn.Locals)
	s.next = p.label()
	s.discard = result == nil
	if result != nil {
		s.result = *result
	}
	if held != nil {
		p.bindHeld(s, e, held)
	} else {
		p.bind(s, e)
	}
	p.maybe(func() { p.expand(s) })
	*outs = append(*outs, p.outAt)
	p.ja(end)
	if len(s.nextOuts) == 0 {
		return false
	}
	p.place(s.next)
	p.outAt = s.nextOuts[0]
	for _, o := range s.nextOuts {
		p.outAt = join(p.outAt, o)
	}
	return true
}

// bind evaluates the arguments into the parameters. A parameter that is not
// assigned stands for the caller's variable if the argument is one.
func (p *prog) bind(s *scope, e *ir.Call) {
	var types []ir.Type
	for i, a := range e.Args {
		switch a.(type) {
		case *ir.IntConst, *ir.StrConst:
			if !reads(s.fn, i) {
				continue
			}
		}
		if l, ok := a.(*ir.Local); ok && p.aliases(s, i, l, e.Args[i+1:]) {
			if types == nil {
				types = append(types, s.types...)
			}
			s.locals[i] = p.scope.locals[l.ID]
			types[i] = p.scope.types[l.ID]
			continue
		}
		p.assign(s.locals[i], s.types[i], a)
	}
	if types != nil {
		s.types = types
	}
}

// reads reports whether a function asks for one of its locals.
func reads(fn *ir.Func, local int) bool {
	found := false
	ir.Walk(fn.Body, nil, func(x ir.Expr) {
		switch x := x.(type) {
		case *ir.Local:
			found = found || x.ID == local
		case *ir.Update:
			found = found || !x.L.Global && x.L.ID == local // it may add to it
		case *ir.StatAdd:
			found = found || !x.L.Global && x.L.ID == local
		}
	})
	return found
}

func (p *prog) aliases(s *scope, i int, l *ir.Local, later []ir.Expr) bool {
	t := p.scope.types[l.ID]
	return t.Kind == s.types[i].Kind && storage(t) <= storage(s.types[i]) && !assigns(i, func(w *walker) { w.list(s.fn.Body) }) &&
		!anyOf(later, func(y ir.Expr) bool { return setsLocal(y, l.ID) })
}

// holdArgs evaluates the arguments of a call into memory of the caller.
func (p *prog) holdArgs(e *ir.Call) []mem {
	fn := p.g.p.Funcs[e.Chain[0]]
	var held []mem
	for i, a := range e.Args {
		t := a.Type()
		if t.Kind == ir.Void {
			t = fn.Locals[i]
		}
		m := p.alloc(storage(t))
		p.assign(m, t, a)
		held = append(held, m)
	}
	return held
}

// bindHeld copies arguments to the parameters.
func (p *prog) bindHeld(s *scope, e *ir.Call, held []mem) {
	for i, m := range held {
		if s.types[i].Kind == ir.Int {
			p.memLoad(asm.R0, m)
			p.memStore(s.locals[i], asm.R0)
			continue
		}
		p.copyText(p.frameText(s.locals[i]), p.frameText(m))
	}
}

// expand makes the body of a function in place.
func (p *prog) expand(s *scope) {
	caller, site := p.scope, p.site
	p.scope = s
	p.enter(s)
	p.stmts(s.fn.Body)
	p.closeScope(s)
	p.scope, p.site = caller, site
}

// enter makes the locals and the result of a function zero where that can be seen.
func (p *prog) enter(s *scope) {
	params := make([]int, s.fn.Params)
	for i := range params {
		params[i] = i
	}
	p.zeroLocals(s, params, nil, s.fn.Body, nil)
	if s.fn.Result.Kind == ir.Void || s.discard {
		if !s.discard && s.result.size > 0 {
			p.zero(p.frameText(s.result))
		}
		return
	}
	if !returns(s.fn.Body) {
		if s.fn.Result.Kind == ir.Int {
			p.memImm(s.result, 0)
		} else {
			p.zero(p.frameText(s.result))
		}
	}
}

// returns reports whether a body surely ends with a value, an error or Next.
func returns(list []ir.Stmt) bool {
	bare := false
	w := walker{stmt: func(st ir.Stmt) bool {
		r, ok := st.(*ir.Return)
		bare = bare || ok && r.X == nil
		return !bare
	}}
	w.list(list)
	return !bare && ends(list)
}

// ends reports whether the place behind a list is never reached.
func ends(list []ir.Stmt) bool {
	for _, st := range list {
		switch st := st.(type) {
		case *ir.Return, *ir.Next:
			return true
		case *ir.If:
			if ends(st.Then) && ends(st.Else) {
				return true
			}
		}
	}
	return false
}

// outlined is a function of the state machine: it has memory of its own, is
// entered by jumping to it, and returns by a state.
type outlined struct {
	id    int
	fn    *ir.Func
	s     *scope
	entry label
	state int // of the entry
	ret   mem // number of the caller's state, see backValue
	own   mem // parameters, locals and ret
	work  mem // what the body needs besides
	made  bool
	// Instructions that hold the offset and the size of work.
	starts, sizes []int
}

// The ways back from an outlined function: offsets to the state in ret.
const (
	backValue = iota
	backError
	backNext
	backWays
)

// reserveOutlined gives the outlined functions that the handler reaches their
// memory.
func (p *prog) reserveOutlined() {
	var w walker
	seen := map[int]bool{}
	w.expr = func(e ir.Expr) bool {
		c, ok := e.(*ir.Call)
		if !ok {
			return true
		}
		for _, id := range c.Chain {
			if seen[id] {
				continue
			}
			seen[id] = true
			fn := p.g.p.Funcs[id]
			if p.g.funcs[id].outlined {
				f := &outlined{id: id, fn: fn, entry: p.label()}
				start := p.top
				f.ret = p.alloc(8)
				f.s = p.newScope(fn, fn.Locals)
				f.own = mem{start, p.top - start}
				if fn.Result.Kind != ir.Void {
					f.s.result = p.alloc(storage(fn.Result))
				}
				f.s.out = f
				p.outl[id] = f
			}
			w.list(fn.Body)
		}
		return true
	}
	w.walk(p.h.Cond)
	w.list(p.h.Body)
	w.walk(p.h.Result)
}

// callOutlined calls an outlined function and goes to end. It returns true if
// the code that follows goes on with the next function.
func (p *prog) callOutlined(e *ir.Call, id int, held []mem, result *mem, end label) bool {
	f := p.outl[id]
	if f == nil || p.mode != asLoop {
		p.need(asLoop)
		return false
	}
	recursive := p.g.funcs[id].recursive
	if recursive {
		p.pushFrame(f, e.Site)
	}
	p.bindHeld(f.s, e, held)
	first := len(p.states)
	var ways [backWays]label
	for i := range ways {
		ways[i] = p.label()
		p.states = append(p.states, ways[i])
	}
	p.memImm(f.ret, int64(first))
	if !f.made {
		f.made = true
		f.state = len(p.states)
		p.states = append(p.states, f.entry)
		p.queue = append(p.queue, f)
	}
	if recursive {
		p.gotoState(f.state)
	} else {
		p.ja(f.entry)
	}

	p.place(ways[backError])
	if recursive {
		p.popFrame(f)
	}
	p.rethrow()

	p.place(ways[backValue])
	if recursive {
		p.popFrame(f)
	}
	if result != nil && f.fn.Result.Kind != ir.Void {
		if f.fn.Result.Kind == ir.Int {
			p.memLoad(asm.R0, f.s.result)
			p.memStore(*result, asm.R0)
		} else {
			p.copyText(p.frameText(*result), p.frameText(f.s.result))
		}
	} else if result != nil {
		p.zero(p.frameText(*result))
	}
	p.ja(end)

	p.place(ways[backNext])
	if recursive {
		p.popFrame(f)
	}
	return true
}

// rethrow passes an error on that an outlined function returned with.
func (p *prog) rethrow() {
	code := mem{p.errRec.off + ir.RecHeader + itemHeader, 8}
	caught, uncaught := p.target(ir.ErrUser), p.target(ir.ErrMaxAction)
	for _, c := range allCodes {
		p.raises(c)
	}
	p.raises(ir.ErrMaxAction)
	p.raises(errSkip)
	p.memLoad(asm.R1, code)
	quiet := p.label()
	last := p.label()
	if uncaught == nil {
		p.jimm(asm.JGE, asm.R1, int64(errAbort), quiet)
	}
	if caught != uncaught {
		p.jimm(asm.JEq, asm.R1, int64(ir.ErrMaxAction), last)
		if uncaught != nil {
			p.jimm(asm.JGE, asm.R1, int64(errAbort), last)
		}
	}
	p.unwind(ir.ErrUser, caught)
	p.place(last)
	p.unwind(ir.ErrMaxAction, uncaught)
	p.place(quiet)
	if uncaught == nil {
		p.unwind(errSkip, nil)
	}
}

// returnError leaves an outlined function with an error.
func (p *prog) returnError(f *outlined) { p.returnBy(f, backError) }

func (p *prog) returnBy(f *outlined, way int) {
	p.memLoad(asm.R1, f.ret)
	if way != backValue {
		p.emit(asm.Add.Imm(asm.R1, int32(way)))
	}
	p.store(rSlot, slotState, asm.R1)
	p.exit(0)
}

// outlinedBody makes the body of an outlined function.
func (p *prog) outlinedBody(f *outlined) {
	p.top = p.max
	start := p.top
	p.saved = [3]bool{}
	p.lock = -1
	p.outlining = f
	caller := p.scope
	p.scope = f.s
	p.tries = &try{fn: f, lock: -1}
	p.indexTop = p.indexMax // callers' loops are under way
	p.recursing = p.g.funcs[f.id].recursive
	f.s.next = p.label()
	p.place(f.entry)
	p.enter(f.s)
	p.stmts(f.fn.Body)
	p.closeScope(f.s)
	p.returnBy(f, backValue)
	if len(f.s.nextOuts) > 0 {
		p.place(f.s.next)
		p.returnBy(f, backNext)
	}
	p.flushCold()
	p.tries = nil
	p.outlining = nil
	p.scope = caller
	f.work = mem{start, max(p.max-start, 8)}
	p.max = max(p.max, start+8)
	if p.g.funcs[f.id].recursive {
		p.frameMax = max(p.frameMax, f.own.size+f.work.size)
	}
}

// placeFrames fills in where the stack of saved frames is and how large the
// frames are.
func (p *prog) placeFrames() {
	if len(p.stackBases) == 0 {
		return
	}
	for _, f := range p.outl {
		for _, i := range f.starts {
			p.insns[i].Constant = int64(f.work.off)
		}
		for _, i := range f.sizes {
			p.insns[i].Constant = int64(f.work.size)
		}
	}
	base, depth := p.max, p.g.p.Limits.MaxNesting
	p.max += p.frameMax * depth
	if p.max > maxSlot {
		p.g.errorf(p.g.siteOf(p.h), eTooWide, "recursive functions need %d bytes for each of %d calls, and %d bytes are the most for all: use fewer or shorter strings in them, or lower -D MAXNESTING",
			p.frameMax, depth, maxSlot)
	}
	for _, i := range p.stackBases {
		p.insns[i].Constant = int64(base)
	}
	for _, i := range p.stackBounds {
		p.insns[i].Constant = int64(p.frameMax * max(depth-1, 0))
	}
}

// maxSlot bounds a scratch slot when functions recurse.
const maxSlot = 1 << 20

// pushFrame saves the memory of a recursive function before it is called again,
// or raises ErrMaxNesting.
func (p *prog) pushFrame(f *outlined, site int) {
	p.load(asm.R1, rSlot, slotDepth)
	p.jimm(asm.JGE, asm.R1, int64(p.g.p.Limits.MaxNesting), p.errConst(ir.ErrMaxNesting, site, 0))
	p.emit(asm.Add.Imm(asm.R1, 1))
	p.store(rSlot, slotDepth, asm.R1)
	p.moveFrame(f, true)
}

func (p *prog) popFrame(f *outlined) {
	p.load(asm.R1, rSlot, slotDepth)
	p.emit(asm.Add.Imm(asm.R1, -1))
	p.store(rSlot, slotDepth, asm.R1)
	p.moveFrame(f, false)
}

// moveFrame copies the memory of a recursive function to the stack of saved
// frames or back. Where the work memory starts and how large it is, is known when
// its body is made.
func (p *prog) moveFrame(f *outlined, push bool) {
	part := func(frameOff, size func(r asm.Register)) {
		grow := func(sign asm.ALUOp) {
			p.load(asm.R0, rSlot, slotSP)
			size(asm.R2)
			p.emit(sign.Reg(asm.R0, asm.R2))
			p.store(rSlot, slotSP, asm.R0)
		}
		if !push {
			grow(asm.Sub)
		}
		stack, frame := asm.R1, asm.R3
		if !push {
			stack, frame = frame, stack
		}
		p.load(asm.R0, rSlot, slotSP)
		// The stack holds all that MaxNesting permits; the verifier wants to
		// see a bound.
		ok := p.label()
		p.stackBounds = append(p.stackBounds, len(p.insns))
		p.jump(jumpImm(asm.JLE, asm.R0, 0), ok)
		p.imm(asm.R0, 0)
		p.place(ok)
		p.mov(stack, rSlot)
		p.stackBases = append(p.stackBases, len(p.insns))
		p.emit(asm.Add.Imm(stack, 0))
		p.emit(asm.Add.Reg(stack, asm.R0))
		p.mov(frame, rSlot)
		frameOff(frame)
		size(asm.R2)
		p.emit(asm.FnProbeReadKernel.Call())
		if push {
			grow(asm.Add)
		}
	}
	own := func() {
		part(func(r asm.Register) { p.emit(asm.Add.Imm(r, int32(f.own.off))) },
			func(r asm.Register) { p.imm(r, int64(f.own.size)) })
	}
	work := func() {
		part(func(r asm.Register) {
			f.starts = append(f.starts, len(p.insns))
			p.emit(asm.Add.Imm(r, 0))
		}, func(r asm.Register) {
			f.sizes = append(f.sizes, len(p.insns))
			p.emit(asm.Mov.Imm(r, 0))
		})
	}
	if push {
		own()
		work()
	} else {
		work()
		own()
	}
}
