package ebpf

import (
	"github.com/cilium/ebpf/asm"

	"stapkit/diag"
	"stapkit/ir"
)

// mode is the shape of a program, see the package comment. Each can do what the
// ones before can.
type mode uint8

const (
	onStack mode = iota
	inSlot
	asLoop
	tooMuch // no shape will do; a diagnostic says why
)

// Registers with a fixed use.
const (
	rCtx  = asm.R6
	rSlot = asm.R7
)

// The head of a scratch slot.
const (
	slotClaim = 0  // not 0 while an invocation owns the slot
	slotInv   = 8  // numbers the invocations
	slotState = 16 // state machine: the next state
	slotDone  = 24 // state machine: how the handler ended
	slotOut   = 32 // bytes in the output buffer
	slotSeq   = 40 // chunks sent
	slotTicks = 48 // actions counted
	slotSP    = 56 // bytes on the stack of saved frames
	slotDepth = 64 // recursive calls active
	slotMatch = 72 // groups of the last match and 1, 0 if it failed
	slotHead  = 80
)

// stackLimit is the most that a program's own frame takes of the 512 bytes; the
// rest is for callbacks and shared subprograms. Linux 6.1 counts 32 bytes for
// each at least.
const stackLimit = 384

// frameLimit bounds the offsets that load and store instructions hold.
const frameLimit = 32 << 10

// prog is the code of one handler while it is being made.
type prog struct {
	*stream // the code of the handler's body
	g       *generator
	h       *ir.Handler
	a       *analysis
	mode    mode
	want    mode // raised when the handler does not fit the mode

	top, max int // memory in use and most used, bytes
	saved    [3]bool
	region   bool

	outBase   int   // slot: offset of the output buffer
	outCap    int   // its size
	outMem    mem   // stack: the buffer
	outAt     int   // stack: bytes in it here; -1: differs, see outLen
	outLen    mem   // stack: bytes in it, kept at run time
	leaves    []int // outAt at the places where the handler ends
	lenStores []int // the instructions that keep outLen

	errRec mem // error record with its header
	tries  *try
	lock   int // lock word held, -1
	locks  map[int]bool

	scope                   *scope
	cold                    []func() // code to be placed behind the body
	lastCold                []func() // the same, to be made behind all other
	states                  []label  // by state number
	outl                    map[int]*outlined
	queue                   []*outlined
	outlining               *outlined // whose body is being made
	indexTop                int       // bytes of the index buffer in use
	indexMax                int       // and most used
	recursing               bool      // in the body of a recursive function
	frameMax                int       // largest frame of a recursive function
	stackBases, stackBounds []int     // instructions that hold place and bound of the stack of frames

	pointMem           mem  // handlers for several probes: the point
	pointFrom, pointTo int  // the instructions that find it
	pointUsed          bool // they are needed

	foundText, foundMem mem // matched(): the string that was matched, and where

	keys     []*sharedKey     // of array elements that are asked for more than once
	elements []*sharedElement // those elements
	sharing  bool             // there are any
	alone    bool             // nothing is to be shared
	apart    int              // not 0 in code that is made later than it is executed
	held     []*bool          // what is in place, in the order of the code
	kepts    []*kept

	cond           ir.Expr   // condition of the handler that is left to be tested
	list           []ir.Stmt // its statements
	normal, failed label     // ways out
	usesErr        bool      // failed is one
	usesCtx        bool
	ticks          bool // actions are counted
	tickMem        mem
	result         mem     // what the program gives to the kernel; no size: nothing that the handler sets
	code           *stream // state machine: the callback
}

// mem is a piece of the handler's memory: an offset to the base register.
type mem struct{ off, size int }

// scope is a function body that is being expanded, or the handler's.
type scope struct {
	fn             *ir.Func // nil: the handler
	locals         []mem
	types          []ir.Type
	result         mem
	end            label // behind the body
	next           label // where Next goes on with the next function of the chain
	outs, nextOuts []int // outAt at jumps to end and next
	discard        bool  // nobody wants the result
	loop           *loop
	out            *outlined // if the function is not expanded in place
}

type loop struct {
	brk, cont label
	outer     *loop
}

// try is a try block that encloses the code being made, or the boundary of a
// function that is not expanded in place.
type try struct {
	outer *try
	catch label
	text  bool                // the catch block wants the error's text
	codes map[ir.ErrCode]bool // raised inside
	lock  int                 // lock word held around it
	outs  []int               // outAt where errors were raised inside
	fn    *outlined           // boundary: errors go to the function's caller
	// Only what cannot be read comes here; other errors go further out.
	faults bool
}

// handler makes the program of h, the index-th handler or the id-th region.
func (g *generator) handler(h *ir.Handler, index, id int) {
	a := g.analyzeHandler(h)
	mode, alone := onStack, false
	if a.loops {
		mode = asLoop
	}
	for mode < tooMuch {
		if diag.HasErrors(g.diags) {
			return
		}
		p := &prog{
			stream: g.stream(h.Name), g: g, h: h, a: a, mode: mode, want: mode, alone: alone,
			region: id >= 0, lock: -1, locks: map[int]bool{}, outl: map[int]*outlined{},
		}
		insns, rep := p.make()
		g.done(p.stream)
		g.done(p.code)
		if p.want > mode {
			// A slot costs more than sharing saves.
			if alone = mode == onStack && p.sharing; !alone {
				mode = p.want
			}
			continue
		}
		if insns == nil {
			return
		}
		g.program(h, index, insns)
		rep.Name, rep.Region = h.Name, p.region
		for l := range g.p.Locks {
			if p.locks[l] {
				rep.Locks = append(rep.Locks, l)
			}
		}
		g.report.Handlers = append(g.report.Handlers, rep)
		return
	}
	if !diag.HasErrors(g.diags) {
		g.errorf(g.siteOf(h), eTooWide, "the handler needs more than %d bytes of memory for variables and intermediate values", frameLimit)
	}
}

func (g *generator) siteOf(h *ir.Handler) int {
	if h.Probe >= 0 && h.Probe < len(g.p.Probes) {
		return g.p.Probes[h.Probe].Site
	}
	return 0
}

// need asks for a mode that can do more.
func (p *prog) need(m mode) { p.want = max(p.want, m) }

func (p *prog) unsupported(site int, format string, args ...any) {
	p.g.errorf(site, eUnsupported, format, args...)
}

func (p *prog) internal(site int, format string, args ...any) {
	p.g.errorf(site, eInternal, format, args...)
}

// base is the register that memory is addressed by.
func (p *prog) base() asm.Register {
	if p.mode == onStack {
		return asm.R10
	}
	return rSlot
}

// alloc reserves n bytes until the mark taken before is released.
func (p *prog) alloc(n int) mem {
	n = (n + 7) &^ 7
	p.top += n
	p.max = max(p.max, p.top)
	if p.mode == onStack {
		if p.top > stackLimit {
			p.need(inSlot)
		}
		return mem{-p.top, n}
	}
	if p.top > frameLimit {
		p.need(tooMuch)
	}
	return mem{p.top - n, n}
}

// mark is what is in use: memory and registers.
type mark struct {
	top   int
	saved [3]bool
}

func (p *prog) mark() mark { return mark{p.top, p.saved} }

func (p *prog) release(m mark) { p.top, p.saved = m.top, m.saved }

// savedRegs survive calls of helpers, but not a change of state.
func (p *prog) savedReg() (asm.Register, bool) {
	regs := [...]asm.Register{asm.R8, asm.R9, rSlot}
	n := 2
	if p.mode == onStack {
		n = 3 // there is no slot
	}
	for i := range n {
		if !p.saved[i] {
			p.saved[i] = true
			return regs[i], true
		}
	}
	return 0, false
}

// later places f's code behind the body, with the memory and registers that are
// in use now.
func (p *prog) later(f func()) {
	m, tries, sc, site, lock, out := p.mark(), p.tries, p.scope, p.site, p.lock, p.outAt
	p.cold = append(p.cold, func() {
		p.release(m)
		p.tries, p.scope, p.site, p.lock, p.outAt = tries, sc, site, lock, out
		p.apart++
		f()
		p.apart--
	})
}

func (p *prog) flushCold() {
	if p.want != p.mode {
		return // all will be made again
	}
	for len(p.cold)+len(p.lastCold) > 0 {
		list := p.cold
		p.cold = nil
		if len(list) == 0 {
			list, p.lastCold = p.lastCold, nil
		}
		for _, f := range list {
			f()
		}
	}
}

// at sets the script line of the instructions that follow.
func (p *prog) at(site int) {
	if site > 0 {
		p.site = site
	}
}

// memLoad and memStore move eight bytes of the handler's memory.
func (p *prog) memLoad(dst asm.Register, m mem) { p.load(dst, p.base(), m.off) }

func (p *prog) memStore(m mem, src asm.Register) { p.store(p.base(), m.off, src) }

// memImm stores a constant in eight bytes.
func (p *prog) memImm(m mem, v int64) {
	if v == int64(int32(v)) {
		p.storeImm(p.base(), m.off, int32(v))
		return
	}
	p.imm(asm.R0, v)
	p.memStore(m, asm.R0)
}

// memAddr sets r to the address of m.
func (p *prog) memAddr(r asm.Register, m mem) {
	p.mov(r, p.base())
	p.emit(asm.Add.Imm(r, int32(m.off)))
}

// session sets r to an address in the session block.
func (p *prog) session(r asm.Register, off int) {
	p.emit(asm.LoadMapValue(r, 0, uint32(off)).WithReference(ir.MapSession))
}

// constant sets r to an address in the constant data.
func (p *prog) constant(r asm.Register, off int) {
	p.emit(asm.LoadMapValue(r, 0, uint32(off)).WithReference(ir.MapConst))
}

// count adds one to a counter of the session block.
func (p *prog) count(c ir.Cause) {
	p.session(asm.R1, ir.SessOffCounters+8*int(c))
	p.imm(asm.R2, 1)
	p.emit(asm.AddAtomic.Mem(asm.R1, asm.R2, asm.DWord, 0))
}

// make makes the program in the current mode. It returns nil if that failed, or
// if another mode is wanted.
func (p *prog) make() (asm.Instructions, HandlerReport) {
	rep := HandlerReport{Loops: p.mode == asLoop}
	p.ticks = !p.h.Uncounted && (p.mode == asLoop || p.a.ticks > p.h.MaxActions)
	p.cond, p.list = p.h.Cond, p.h.Body
	main := p.stream
	if p.mode == asLoop {
		p.stream = p.g.stream(p.h.Name + "_loop")
		p.layout()
		p.loopBody()
		p.code, p.stream = p.stream, main
		if p.fits() {
			p.loopMain()
		}
	} else {
		p.layout()
		p.straight()
	}
	if !p.fits() {
		return nil, rep
	}
	p.h.UsesPoint = p.pointUsed && p.dispatched() == nil
	insns, near := main.finish(p.g.line)
	rep.Instructions = len(insns)
	if p.mode == asLoop {
		rep.Instructions += p.g.function(p.code, p.g.siteOf(p.h))
	}
	if !near {
		p.g.errorf(p.g.siteOf(p.h), eTooLarge, "the handler is too large: %d instructions", len(insns))
	}
	if p.mode != onStack {
		rep.Slot = p.max
		p.g.slotSize = max(p.g.slotSize, p.max)
		p.g.slack = max(p.g.slack, ir.MaxStrWidth)
	}
	return insns, rep
}

func (p *prog) fits() bool { return p.want == p.mode && !diag.HasErrors(p.g.diags) }

// layout reserves the parts of the memory that stay.
func (p *prog) layout() {
	if p.mode != onStack {
		p.top = slotHead
		p.outBase = p.top
		if p.a.out > 0 {
			p.outCap = min(max(p.a.out+ir.RecHeader, 64), max(ir.MaxRecord, p.a.item+ir.RecHeader))
			if p.outCap > maxOutput {
				site := p.a.longest
				if site == 0 {
					site = p.g.siteOf(p.h)
				}
				p.g.errorf(site, eOutput, "the print statement takes up to %d bytes, the most is %d", p.a.item, maxOutput-ir.RecHeader)
			}
			p.alloc(p.outCap)
		}
	} else if p.a.out > 0 {
		if p.a.out+ir.RecHeader > maxStackOutput {
			p.need(inSlot)
		}
		p.outLen = p.alloc(8)
		p.outMem = p.alloc(ir.RecHeader + p.a.out)
	}
	text := 0
	if p.a.errText > 0 {
		text = 8 + p.a.errText
	}
	p.errRec = p.alloc(ir.RecHeader + itemHeader + 16 + text)
	p.reserveResult()
	if p.a.places > 0 {
		p.reserveFound()
	}
	if len(p.h.Points) > 0 {
		p.pointMem = p.alloc(8)
	}
	p.scope = p.newScope(nil, p.h.Locals)
	p.planSharing()
	if p.mode == asLoop {
		p.reserveOutlined()
	}
	p.normal, p.failed = p.label(), p.label()
}

const (
	// maxStackOutput bounds records that are built on the stack.
	maxStackOutput = 224
	// maxOutput bounds the output buffer of a slot.
	maxOutput = 20 << 10
)

// newScope reserves memory for locals.
func (p *prog) newScope(fn *ir.Func, types []ir.Type) *scope {
	s := &scope{fn: fn, types: types, end: p.label()}
	for _, t := range types {
		s.locals = append(s.locals, p.alloc(storage(t)))
	}
	return s
}

// storage is the size of a variable.
func storage(t ir.Type) int {
	if t.Kind == ir.Int {
		return 8
	}
	return t.Width
}

// body makes the handler's own code.
func (p *prog) body() {
	if p.region {
		p.regionIn()
	}
	if p.result.size > 0 {
		p.memImm(p.result, p.noEffect())
	}
	p.zeroLocals(p.scope, p.paramsIn(), p.h.Cond, p.h.Body, p.h.Result)
	if p.cond != nil {
		p.branch(p.cond, false, p.normal)
		p.leaves = append(p.leaves, p.outAt)
	}
	p.stmts(p.list)
	if p.lock >= 0 && (!p.region || p.h.Result == nil) {
		p.unlock(p.lock)
		p.lock = -1
	}
	p.closeScope(p.scope)
	if p.region {
		p.regionOut()
		if p.lock >= 0 {
			p.unlock(p.lock)
			p.lock = -1
		}
	}
	p.leave()
	p.flushCold()
	p.settle()
}

// leave goes to the normal way out.
func (p *prog) leave() {
	p.leaves = append(p.leaves, p.outAt)
	p.ja(p.normal)
}

// straight makes a program without the state machine.
func (p *prog) straight() {
	p.site = p.g.siteOf(p.h)
	quit, busy := p.label(), p.label()
	saveCtx := len(p.insns)
	p.mov(rCtx, asm.R1)
	if c := p.guard(); c != nil {
		p.branch(c, false, quit)
	}
	p.prologue(quit)
	if p.mode == inSlot {
		p.claim(busy)
	} else if p.a.out > 0 {
		p.setOutLen(0)
	}
	if p.ticks && p.mode == onStack {
		p.tickMem = p.alloc(8)
		p.memImm(p.tickMem, 0)
	}
	p.findPoint()
	p.body()
	p.site = p.g.siteOf(p.h)
	p.waysOut()
	p.ends(busy, quit)
	p.flushCold()
	p.dropPoint()
	if !p.usesCtx && !p.pointUsed && !p.region || p.ctxStays(saveCtx) {
		p.kill(saveCtx)
	}
	if _, same := p.outSame(); same {
		for _, i := range p.lenStores {
			p.kill(i)
		}
	}
}

// guard takes the condition off a handler that does nothing where it does not hold, if
// testing it has no effect and cannot fail: most hits are often rejected, and need not
// even ask whether the session runs.
func (p *prog) guard() ir.Expr {
	if p.mode != onStack || p.region || p.ticks || p.result.size > 0 || len(p.h.Points) > 0 {
		return nil
	}
	if c := p.cond; c != nil {
		if !plain(c) {
			return nil
		}
		p.cond = nil
		return c
	}
	list := p.list
	for len(list) > 0 {
		if _, tick := list[0].(*ir.Tick); !tick {
			break
		}
		list = list[1:]
	}
	if len(list) != 1 {
		return nil
	}
	st, ok := list[0].(*ir.If)
	if !ok || len(st.Else) > 0 || !plain(st.C) {
		return nil
	}
	p.list = st.Then
	return st.C
}

// plain reports whether an expression is made of numbers of the context and of the task
// by operators that cannot fail.
func plain(e ir.Expr) bool {
	switch e := e.(type) {
	case *ir.IntConst, *ir.CtxArg, *ir.CtxField:
		return true
	case *ir.Unary:
		return plain(e.X)
	case *ir.Binary:
		return e.T.Kind == ir.Int && e.X.Type().Kind == ir.Int && e.Op != ir.OpDiv && e.Op != ir.OpMod && plain(e.X) && plain(e.Y)
	case *ir.Logical:
		return plain(e.X) && plain(e.Y)
	case *ir.Intrinsic:
		switch e.ID {
		case ir.IPid, ir.ITid, ir.IUid, ir.IGid, ir.ICpu:
			return true
		}
	}
	return false
}

// ctxStays has a program that asks for its context only before anything else is put into
// the register that it comes in leave it there, which spares saving another register. It
// reports whether the instruction that copies it, at index save, is of no use any more.
func (p *prog) ctxStays(save int) bool {
	if p.mode != onStack || p.region {
		return false
	}
	first, last := len(p.insns), save
	for i := range p.insns {
		in := &p.insns[i]
		if i == save || in.dead {
			continue
		}
		if in.Src == rCtx || in.Dst == rCtx {
			last = i
		}
		if first == len(p.insns) && clobbers(in, asm.R1) {
			first = i
		}
	}
	// The one that first changes the register may still read it.
	if last > first {
		return false
	}
	for i := range p.insns {
		if in := &p.insns[i]; in.isJump() && i > first && p.places[in.to] <= last {
			return false
		}
	}
	for i := save + 1; i <= last; i++ {
		in := &p.insns[i]
		if in.Src == rCtx {
			in.Src = asm.R1
		}
		if in.Dst == rCtx {
			in.Dst = asm.R1
		}
	}
	return true
}

// clobbers reports whether an instruction changes a register that calls do not keep.
func clobbers(in *insn, r asm.Register) bool {
	switch op := in.OpCode; op.Class() {
	case asm.ALUClass, asm.ALU64Class, asm.LdXClass, asm.LdClass:
		return in.Dst == r
	case asm.StXClass:
		return op.Mode() == asm.AtomicMode && in.Src == r
	case asm.JumpClass:
		return op.JumpOp() == asm.Call
	}
	return false
}

// ends makes what stands behind the ways out: busy is where no slot was free.
func (p *prog) ends(busy, quit label) {
	p.giveResult(quit)
	if p.mode != onStack {
		p.place(busy)
		p.count(ir.SkipReentrant)
		if p.region {
			p.regionStatus(ir.RegionBusy)
		}
	}
	p.place(quit)
	p.exit(int32(p.noEffect()))
}

// prologue returns at once unless the session runs. Regions run in any state.
func (p *prog) prologue(quit label) {
	if p.region {
		return
	}
	p.session(asm.R2, ir.SessOffState)
	p.load(asm.R2, asm.R2, 0)
	p.jimm(asm.JNE, asm.R2, int64(ir.SessRunning), quit)
}

// claim takes one of the CPU's scratch slots and prepares it.
func (p *prog) claim(busy label) {
	// R8 counts the slots left, the key is on the stack.
	again, got, next := p.label(), p.label(), p.label()
	p.emit(asm.FnGetSmpProcessorId.Call())
	p.emit(asm.LSh.Imm(asm.R0, slotShift))
	p.emit(asm.StoreMem(asm.R10, -4, asm.R0, asm.Word))
	p.imm(asm.R8, ir.SlotsPerCPU)
	p.place(again)
	p.mapPtr(asm.R1, ir.MapScratch)
	p.mov(asm.R2, asm.R10)
	p.emit(asm.Add.Imm(asm.R2, -4))
	p.emit(asm.FnMapLookupElem.Call())
	p.jimm(asm.JEq, asm.R0, 0, busy)
	p.mov(rSlot, asm.R0)
	p.imm(asm.R1, 1)
	p.emit(asm.Xchg.Mem(rSlot, asm.R1, asm.DWord, slotClaim))
	p.jimm(asm.JEq, asm.R1, 0, got)
	p.place(next)
	p.emit(asm.LoadMem(asm.R1, asm.R10, -4, asm.Word))
	p.emit(asm.Add.Imm(asm.R1, 1))
	p.emit(asm.StoreMem(asm.R10, -4, asm.R1, asm.Word))
	p.emit(asm.Add.Imm(asm.R8, -1))
	p.jimm(asm.JNE, asm.R8, 0, again)
	p.ja(busy)
	p.place(got)
	if p.a.out > 0 {
		// The number of the invocation differs between the slots of a CPU.
		p.load(asm.R1, rSlot, slotInv)
		p.emit(asm.And.Imm(asm.R1, -1<<slotShift), asm.Add.Imm(asm.R1, 1<<slotShift-1), asm.Add.Reg(asm.R1, asm.R8))
		p.store(rSlot, slotInv, asm.R1)
		p.storeImm(rSlot, slotOut, 0)
		p.storeImm(rSlot, slotSeq, 0)
	}
	if p.a.groups {
		p.storeImm(rSlot, slotMatch, 0)
	}
	if p.ticks {
		p.storeImm(rSlot, slotTicks, 0)
		p.tickMem = mem{slotTicks, 8}
	}
}

// slotShift is the binary logarithm of ir.SlotsPerCPU.
const slotShift = 3
