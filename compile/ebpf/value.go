package ebpf

import (
	"github.com/cilium/ebpf/asm"

	"stapkit/ir"
)

// val is a number that has been evaluated and stays as it is while other
// expressions are: a constant, a register that survives calls, or memory.
type val struct {
	kind valKind
	imm  int64
	reg  asm.Register
	mem  mem
}

type valKind uint8

const (
	isConst valKind = iota
	isReg
	isMem
)

// constant returns the value of a literal.
func literal(e ir.Expr) (int64, bool) {
	if c, ok := e.(*ir.IntConst); ok {
		return c.V, true
	}
	return 0, false
}

// hold evaluates e; the value is fixed and stays available while the expressions
// later are evaluated, until the mark taken before is released.
func (p *prog) hold(e ir.Expr, later ...ir.Expr) val {
	switch x := e.(type) {
	case *ir.IntConst:
		return val{kind: isConst, imm: x.V}
	case *ir.Local:
		if !anyOf(later, func(y ir.Expr) bool { return setsLocal(y, x.ID) }) {
			return val{kind: isMem, mem: p.scope.locals[x.ID]}
		}
	}
	p.int(e, asm.R0)
	return p.keep(asm.R0, later...)
}

// keep puts a register's value where it survives the evaluation of later.
func (p *prog) keep(r asm.Register, later ...ir.Expr) val {
	if !anyOf(later, p.splits) {
		if s, ok := p.savedReg(); ok {
			p.mov(s, r)
			return val{kind: isReg, reg: s}
		}
	}
	m := p.alloc(8)
	p.memStore(m, r)
	return val{kind: isMem, mem: m}
}

// get sets r to a held value, and touches no other register.
func (p *prog) get(r asm.Register, v val) {
	switch v.kind {
	case isConst:
		p.imm(r, v.imm)
	case isReg:
		p.mov(r, v.reg)
	default:
		p.memLoad(r, v.mem)
	}
}

func anyOf(list []ir.Expr, f func(ir.Expr) bool) bool {
	for _, e := range list {
		if e != nil && f(e) {
			return true
		}
	}
	return false
}

// splits reports whether the state machine changes its state within e, so that
// no register survives it.
func (p *prog) splits(e ir.Expr) bool {
	return p.mode == asLoop && anyExpr(e, func(x ir.Expr) bool {
		switch x := x.(type) {
		case *ir.Call:
			for _, id := range x.Chain {
				if p.g.funcs[id].loops {
					return true
				}
			}
		case *ir.Seq:
			return true
		}
		return false
	})
}

// simple reports whether e can be loaded into one register without touching
// another.
func (p *prog) simple(e ir.Expr) bool {
	switch e := e.(type) {
	case *ir.IntConst, *ir.Local, *ir.GlobalGet, *ir.Exists:
		return true
	case *ir.CtxArg:
		return !e.Pointer
	case *ir.Intrinsic:
		switch e.ID {
		case ir.ITarget, ir.ILoaderPid, ir.IHz, ir.IIsReturn, ir.IKsym, ir.ITargetNS, ir.ILoadAvg, ir.IRemoteID:
			return true
		}
	}
	return false
}

// effect evaluates e for its effects only.
func (p *prog) effect(e ir.Expr) {
	switch x := e.(type) {
	case nil:
		return
	case *ir.Update:
		p.update(x, false)
		return
	case *ir.StatAdd:
		p.statAdd(x)
		return
	case *ir.Call:
		p.call(x, nil)
		return
	case *ir.Seq:
		p.stmts(x.Body)
		p.effect(x.R)
		return
	case *ir.Logical:
		end := p.label()
		p.branch(x.X, !x.And, end)
		p.guarded(func() { p.effect(x.Y) })
		p.place(end)
		return
	case *ir.Cond:
		no, end := p.label(), p.label()
		p.branch(x.C, false, no)
		p.guarded(func() { p.effect(x.X) })
		p.ja(end)
		p.place(no)
		p.guarded(func() { p.effect(x.Y) })
		p.place(end)
		return
	}
	switch e.Type().Kind {
	case ir.Void:
		p.void(e)
	case ir.Int:
		if !p.simple(e) {
			p.int(e, asm.R0)
		}
	default:
		if !leafText(e) {
			p.text(e)
		}
	}
}

// guarded makes code that is not always executed.
func (p *prog) guarded(f func()) {
	out, m := p.outAt, p.mark()
	p.maybe(f)
	p.release(m)
	p.outAt = join(p.outAt, out)
}

// void evaluates expressions without a value.
func (p *prog) void(e ir.Expr) {
	if x, ok := e.(*ir.Intrinsic); ok {
		p.intrinsicVoid(x)
		return
	}
	p.internal(p.site, "%T without a value in a kernel handler", e)
}

// int evaluates a number into dst. It may change R0 to R5, but of the registers
// that hold values none.
func (p *prog) int(e ir.Expr, dst asm.Register) {
	switch e := e.(type) {
	case *ir.IntConst:
		p.imm(dst, e.V)
	case *ir.Local:
		p.memLoad(dst, p.scope.locals[e.ID])
	case *ir.GlobalGet:
		p.session(dst, p.g.p.ScalarOff(p.g.p.Globals[e.G].Slot))
		p.load(dst, dst, 0)
	case *ir.IndexGet:
		p.indexGet(e, dst)
	case *ir.IndexIn:
		p.indexIn(e, dst)
	case *ir.Update:
		p.update(e, true)
		p.mov(dst, asm.R0)
	case *ir.StatGet:
		p.at(e.Site)
		p.statGet(e, dst)
	case *ir.HistGet:
		p.at(e.Site)
		p.histGet(e, dst)
	case *ir.Unary:
		p.unary(e, dst)
	case *ir.Binary:
		p.binary(e, dst)
	case *ir.Logical, *ir.Match:
		p.boolean(e, dst)
	case *ir.Cond:
		no, end := p.label(), p.label()
		p.branch(e.C, false, no)
		p.guarded(func() { p.int(e.X, dst) })
		p.ja(end)
		p.place(no)
		p.guarded(func() { p.int(e.Y, dst) })
		p.place(end)
	case *ir.Call:
		m := p.mark()
		r := p.alloc(8)
		p.call(e, &r)
		p.memLoad(dst, r)
		p.release(m)
	case *ir.Intrinsic:
		p.at(e.Site)
		p.intrinsic(e, dst)
	case *ir.CtxArg:
		p.ctxArg(e, dst)
	case *ir.CtxField:
		p.usesCtx = true
		p.emit(asm.LoadMem(dst, rCtx, int16(e.Off), sizeOf(e.Size)))
		p.extend(dst, e.Size, e.Signed, false)
	case *ir.Load:
		p.at(e.Site)
		p.loadMem(e, dst)
	case *ir.Field:
		p.at(e.Site)
		p.field(e, dst)
	case *ir.Exists:
		p.exists(e, dst)
	case *ir.Seq:
		p.stmts(e.Body)
		p.int(e.R, dst)
	default:
		p.internal(p.site, "number %T in a kernel handler", e)
	}
}

// boolean sets dst to the truth of e.
func (p *prog) boolean(e ir.Expr, dst asm.Register) {
	no, end := p.label(), p.label()
	p.branch(e, false, no)
	p.imm(dst, 1)
	p.ja(end)
	p.place(no)
	p.imm(dst, 0)
	p.place(end)
}

func (p *prog) unary(e *ir.Unary, dst asm.Register) {
	switch e.Op {
	case ir.OpNeg:
		p.int(e.X, dst)
		p.emit(asm.Neg.Imm(dst, 0))
	case ir.OpBitNot:
		p.int(e.X, dst)
		p.emit(asm.Xor.Imm(dst, -1))
	case ir.OpNot:
		p.boolean(e, dst)
	default:
		p.internal(p.site, "unary operator %d", e.Op)
	}
}

// aluOps are the operators that are one instruction.
var aluOps = map[ir.Op]asm.ALUOp{
	ir.OpAdd: asm.Add, ir.OpSub: asm.Sub, ir.OpMul: asm.Mul,
	ir.OpAnd: asm.And, ir.OpOr: asm.Or, ir.OpXor: asm.Xor,
	ir.OpShl: asm.LSh, ir.OpShr: asm.ArSh,
}

func commutes(op ir.Op) bool {
	switch op {
	case ir.OpAdd, ir.OpMul, ir.OpAnd, ir.OpOr, ir.OpXor:
		return true
	}
	return false
}

func (p *prog) binary(e *ir.Binary, dst asm.Register) {
	if e.Op >= ir.OpEq && e.Op <= ir.OpGe {
		p.boolean(e, dst)
		return
	}
	p.at(e.Site)
	if c, ok := literal(e.Y); ok {
		p.int(e.X, dst)
		p.aluImm(e.Op, dst, c, e.Site)
		return
	}
	if p.simple(e.Y) {
		p.int(e.X, dst)
		y := other(dst)
		p.int(e.Y, y)
		p.alu(e.Op, dst, y, e.Site)
		return
	}
	if _, ok := literal(e.X); ok && commutes(e.Op) {
		p.binary(&ir.Binary{Op: e.Op, X: e.Y, Y: e.X, T: e.T, Site: e.Site}, dst)
		return
	}
	m := p.mark()
	x := p.hold(e.X, e.Y)
	y := other(dst)
	p.int(e.Y, y)
	p.get(dst, x)
	p.alu(e.Op, dst, y, e.Site)
	p.release(m)
}

// aluImm applies an operator with a constant.
func (p *prog) aluImm(op ir.Op, dst asm.Register, c int64, site int) {
	switch op {
	case ir.OpShl, ir.OpShr:
		if c &= 63; c != 0 {
			p.emit(aluOps[op].Imm(dst, int32(c)))
		}
		return
	case ir.OpDiv, ir.OpMod:
		if c > 0 && c == int64(int32(c)) {
			p.divConst(op, dst, int32(c))
			return
		}
	case ir.OpMul:
		if c > 0 && c&(c-1) == 0 {
			for n := int32(0); ; n++ {
				if c>>n == 1 {
					if n > 0 {
						p.emit(asm.LSh.Imm(dst, n))
					}
					return
				}
			}
		}
	}
	if a, ok := aluOps[op]; ok && c == int64(int32(c)) {
		p.emit(a.Imm(dst, int32(c)))
		return
	}
	y := other(dst)
	p.imm(y, c)
	p.alu(op, dst, y, site)
}

// alu applies an operator to two registers; y may be changed.
func (p *prog) alu(op ir.Op, dst, y asm.Register, site int) {
	if a, ok := aluOps[op]; ok {
		p.emit(a.Reg(dst, y))
		return
	}
	switch op {
	case ir.OpDiv, ir.OpMod:
		p.div(op, dst, y, site)
	case ir.OpSet:
		p.mov(dst, y)
	default:
		p.internal(site, "operator %d on numbers", op)
	}
}

func divOp(op ir.Op) asm.ALUOp {
	if op == ir.OpDiv {
		return asm.Div
	}
	return asm.Mod
}

// div divides with signs: eBPF's own signed division came with Linux 6.6.
func (p *prog) div(op ir.Op, x, y asm.Register, site int) {
	p.jimm(asm.JEq, y, 0, p.errConst(ir.ErrDivZero, site, 0))
	sign := other(x, y)
	p.mov(sign, x)
	if op == ir.OpDiv {
		p.emit(asm.Xor.Reg(sign, y))
	}
	p.abs(x)
	p.abs(y)
	p.emit(divOp(op).Reg(x, y))
	p.negateIf(x, sign)
}

// divConst divides by a positive constant.
func (p *prog) divConst(op ir.Op, x asm.Register, c int32) {
	if c == 1 {
		if op == ir.OpMod {
			p.imm(x, 0)
		}
		return
	}
	neg, end := p.label(), p.label()
	p.jimm(asm.JSLT, x, 0, neg)
	p.emit(divOp(op).Imm(x, c))
	p.ja(end)
	p.place(neg)
	p.emit(asm.Neg.Imm(x, 0))
	p.emit(divOp(op).Imm(x, c))
	p.emit(asm.Neg.Imm(x, 0))
	p.place(end)
}

func (p *prog) abs(r asm.Register) {
	pos := p.label()
	p.jimm(asm.JSGE, r, 0, pos)
	p.emit(asm.Neg.Imm(r, 0))
	p.place(pos)
}

// negateIf negates r if sign is negative.
func (p *prog) negateIf(r, sign asm.Register) {
	pos := p.label()
	p.jimm(asm.JSGE, sign, 0, pos)
	p.emit(asm.Neg.Imm(r, 0))
	p.place(pos)
}

// jumps are the comparisons, and negated the opposite ones.
var (
	jumps = map[ir.Op]asm.JumpOp{
		ir.OpEq: asm.JEq, ir.OpNe: asm.JNE, ir.OpLt: asm.JSLT, ir.OpLe: asm.JSLE, ir.OpGt: asm.JSGT, ir.OpGe: asm.JSGE,
	}
	negated = map[ir.Op]ir.Op{
		ir.OpEq: ir.OpNe, ir.OpNe: ir.OpEq, ir.OpLt: ir.OpGe, ir.OpLe: ir.OpGt, ir.OpGt: ir.OpLe, ir.OpGe: ir.OpLt,
	}
)

// branch goes to the label if the truth of e is want, and falls through
// otherwise.
func (p *prog) branch(e ir.Expr, want bool, to label) {
	m := p.mark()
	defer p.release(m)
	switch x := e.(type) {
	case *ir.IntConst:
		if (x.V != 0) == want {
			p.ja(to)
		}
		return
	case *ir.Unary:
		if x.Op == ir.OpNot {
			p.branch(x.X, !want, to)
			return
		}
	case *ir.Logical:
		if x.And == want {
			// Both decide: a && b is true, or a || b false.
			skip := p.label()
			p.branch(x.X, !want, skip)
			p.guarded(func() { p.branch(x.Y, want, to) })
			p.place(skip)
		} else {
			p.branch(x.X, want, to)
			p.guarded(func() { p.branch(x.Y, want, to) })
		}
		return
	case *ir.Match:
		p.match(x, want, to)
		return
	case *ir.IndexIn:
		if len(nonNil(x.Keys)) != len(x.Keys) {
			break
		}
		p.elementAt(x.G, x.Keys)
		if want {
			p.jimm(asm.JNE, asm.R0, 0, to)
		} else {
			p.jimm(asm.JEq, asm.R0, 0, to)
		}
		return
	case *ir.Seq:
		p.stmts(x.Body)
		p.branch(x.R, want, to)
		return
	case *ir.Binary:
		if x.Op >= ir.OpEq && x.Op <= ir.OpGe {
			if k := x.X.Type().Kind; k == ir.Str || k == ir.Deferred {
				p.compareText(x, want, to)
			} else {
				p.compare(x, want, to)
			}
			return
		}
	}
	p.int(e, asm.R0)
	if want {
		p.jimm(asm.JNE, asm.R0, 0, to)
	} else {
		p.jimm(asm.JEq, asm.R0, 0, to)
	}
}

func (p *prog) compare(e *ir.Binary, want bool, to label) {
	op := e.Op
	if !want {
		op = negated[op]
	}
	if c, ok := literal(e.Y); ok {
		p.int(e.X, asm.R0)
		p.jimm(jumps[op], asm.R0, c, to)
		return
	}
	if p.simple(e.Y) {
		p.int(e.X, asm.R0)
		p.int(e.Y, asm.R1)
	} else {
		x := p.hold(e.X, e.Y)
		p.int(e.Y, asm.R1)
		if x.kind == isReg {
			p.jreg(jumps[op], x.reg, asm.R1, to)
			return
		}
		p.get(asm.R0, x)
	}
	p.jreg(jumps[op], asm.R0, asm.R1, to)
}

// sizeOf is the size of a load or store.
func sizeOf(n int) asm.Size {
	switch n {
	case 1:
		return asm.Byte
	case 2:
		return asm.Half
	case 4:
		return asm.Word
	}
	return asm.DWord
}

// extend widens a number of size bytes in r. Unless dirty, the bytes above are
// zero already.
func (p *prog) extend(r asm.Register, size int, signed, dirty bool) {
	if size >= 8 || !signed && !dirty {
		return
	}
	bits := int32(64 - 8*size)
	if !signed && size == 4 {
		p.emit(asm.Mov.Reg32(r, r))
		return
	}
	p.emit(asm.LSh.Imm(r, bits))
	if signed {
		p.emit(asm.ArSh.Imm(r, bits))
	} else {
		p.emit(asm.RSh.Imm(r, bits))
	}
}

// ctxArg loads a word of the context.
func (p *prog) ctxArg(e *ir.CtxArg, dst asm.Register) {
	switch p.h.Ctx {
	case ir.CtxRawTP, ir.CtxBTFTP, ir.CtxFentry, ir.CtxFexit, ir.CtxLSM, ir.CtxNetfilter:
	default:
		p.g.errorf(p.site, eContext, "arguments of the probe in a context without any (%d)", p.h.Ctx)
		return
	}
	p.usesCtx = true
	if e.Pointer && e.Size == 8 && p.h.Ctx != ir.CtxRawTP {
		// To the verifier the word is a pointer: it refuses arithmetic, and takes
		// some for never null and drops a test. A copy of it is a number.
		m := p.mark()
		buf := p.alloc(8)
		p.memAddr(asm.R1, buf)
		p.imm(asm.R2, 8)
		p.mov(asm.R3, rCtx)
		p.emit(asm.Add.Imm(asm.R3, int32(8*e.N)), asm.FnProbeReadKernel.Call())
		p.memLoad(dst, buf)
		p.release(m)
		return
	}
	p.load(dst, rCtx, 8*e.N)
	p.extend(dst, e.Size, e.Signed, true)
}

// typedArg loads an argument as the pointer that the verifier knows.
func (p *prog) typedArg(e *ir.CtxArg, dst asm.Register) {
	p.usesCtx = true
	p.load(dst, rCtx, 8*e.N)
}
