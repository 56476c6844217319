package ebpf

import (
	"encoding/binary"
	"strconv"

	"github.com/cilium/ebpf/asm"

	"stapkit/ir"
)

// text is where a string or the payload of deferred text lies: width bytes, of
// which a string's are zero from its end on.
type text struct {
	kind  textKind
	mem   mem    // inFrame
	off   int    // inConst, inMap
	name  string // inMap
	width int
	lit   *string // its content, if known
	bytes *val    // what was captured (%m, %M): how many, any of which may be zero
}

type textKind uint8

const (
	inFrame textKind = iota
	inConst          // in the constant data
	inMap            // in the value of a map of one element
)

func (p *prog) frameText(m mem) text { return text{kind: inFrame, mem: m, width: m.size} }

// globalText is where a scalar string lives.
func (p *prog) globalText(g int) text {
	return text{kind: inMap, name: ir.MapStrings, off: p.g.strOffs[g], width: p.g.p.Globals[g].Value.Width}
}

func (p *prog) constText(s string) text {
	return text{kind: inConst, off: p.g.consts.str(s), width: ir.StrWidth(len(s)), lit: &s}
}

// addr sets r to the address of t.
func (p *prog) addr(r asm.Register, t text) {
	switch t.kind {
	case inFrame:
		p.memAddr(r, t.mem)
	case inConst:
		p.constant(r, t.off)
	case inMap:
		p.emit(asm.LoadMapValue(r, 0, uint32(t.off)).WithReference(t.name))
	}
}

// reach returns a register and offset that reach t, the register r if it takes
// one.
func (p *prog) reach(r asm.Register, t text) (asm.Register, int) {
	if t.kind == inFrame {
		return p.base(), t.mem.off
	}
	p.addr(r, t)
	return r, 0
}

// leafText reports whether evaluating e makes no code.
func leafText(e ir.Expr) bool {
	switch e.(type) {
	case *ir.StrConst, *ir.Local, *ir.GlobalGet:
		return true
	}
	return false
}

// text evaluates a string or deferred text and returns where it is. It stays as
// it is while the expressions later are evaluated, until the mark taken before is
// released.
func (p *prog) text(e ir.Expr, later ...ir.Expr) text {
	switch x := e.(type) {
	case *ir.StrConst:
		return p.constText(x.S)
	case *ir.Local:
		if !anyOf(later, func(y ir.Expr) bool { return setsLocal(y, x.ID) }) {
			return p.frameText(p.scope.locals[x.ID])
		}
	case *ir.GlobalGet:
		if !anyOf(later, func(y ir.Expr) bool { return setsGlobal(y, x.G) }) {
			return p.globalText(x.G)
		}
	case *ir.Update:
		t := p.update(x, true)
		if !anyOf(later, func(y ir.Expr) bool { return p.changes(y, &x.L) }) {
			return t
		}
		m := p.frameText(p.alloc(t.width))
		p.copyText(m, t)
		return m
	}
	m := p.frameText(p.alloc(storage(e.Type())))
	p.textInto(e, m)
	return m
}

// changes reports whether evaluating e can change what l names, or memory that
// stands for it.
func (p *prog) changes(e ir.Expr, l *ir.LValue) bool {
	if l.Global {
		return setsGlobal(e, l.ID) || len(l.Keys) > 0
	}
	return setsLocal(e, l.ID)
}

// textInto evaluates a string or deferred text into dst, which is in the frame
// and which e does not read.
func (p *prog) textInto(e ir.Expr, dst text) {
	m := p.mark()
	defer p.release(m)
	switch x := e.(type) {
	case *ir.StrConst:
		p.storeConst(dst, x.S)
	case *ir.Local, *ir.GlobalGet, *ir.Update:
		p.copyText(dst, p.text(e))
	case *ir.IndexGet:
		p.indexText(x, dst)
	case *ir.Cond:
		no, end := p.label(), p.label()
		p.branch(x.C, false, no)
		p.guarded(func() { p.textInto(x.X, dst) })
		p.ja(end)
		p.place(no)
		p.guarded(func() { p.textInto(x.Y, dst) })
		p.place(end)
	case *ir.Binary:
		if x.Op != ir.OpConcat {
			p.internal(x.Site, "operator %d on strings", x.Op)
			return
		}
		p.at(x.Site)
		p.concat(x, dst)
	case *ir.Call:
		p.callText(x, dst)
	case *ir.Intrinsic:
		p.at(x.Site)
		p.intrinsicText(x, dst)
	case *ir.Sprintf:
		p.at(x.Site)
		p.sprintf(x, dst)
	case *ir.MakeText:
		p.at(x.Site)
		p.makeText(x, dst)
	case *ir.Lookup:
		p.tableLookup(x, dst)
	case *ir.Seq:
		p.stmts(x.Body)
		p.textInto(x.R, dst)
	default:
		p.internal(p.site, "text %T in a kernel handler", e)
	}
}

// callText calls a function that returns text.
func (p *prog) callText(e *ir.Call, dst text) {
	w := storage(e.T)
	if w == dst.width {
		p.call(e, &dst.mem)
		return
	}
	m := p.alloc(w)
	p.call(e, &m)
	p.copyText(dst, p.frameText(m))
}

// copyInline is how many bytes are copied or zeroed word by word; more are left
// to a helper.
const copyInline = 96

// zero clears the memory of a string.
func (p *prog) zero(dst text) {
	if dst.width <= copyInline {
		base, off := p.reach(asm.R1, dst)
		for i := 0; i < dst.width; i += 8 {
			p.storeImm(base, off+i, 0)
		}
		return
	}
	p.addr(asm.R1, dst)
	p.imm(asm.R2, int64(dst.width))
	p.constant(asm.R3, p.g.consts.zeros(dst.width))
	p.emit(asm.FnProbeReadKernel.Call())
}

// copyText copies a string, truncating it to the storage of dst, or the payload
// of deferred text. Dst is in the frame or a map.
func (p *prog) copyText(dst, src text) {
	n := min(dst.width, src.width)
	if n > copyInline {
		p.addr(asm.R1, dst)
		p.imm(asm.R2, int64(n))
		p.addr(asm.R3, src)
		p.emit(asm.FnProbeReadKernel.Call())
	} else {
		from, fromOff := p.reach(asm.R2, src)
		to, toOff := p.reach(asm.R1, dst)
		for i := 0; i < n; i += 8 {
			p.load(asm.R0, from, fromOff+i)
			p.store(to, toOff+i, asm.R0)
		}
	}
	p.fitText(dst, n, src.width)
}

// fitText finishes a copy of n bytes of a string that had srcWidth: dst ends with
// zeros.
func (p *prog) fitText(dst text, n, srcWidth int) {
	if dst.width > n {
		rest := dst
		rest.width = dst.width - n
		rest.mem.off += n
		rest.off += n
		p.zero(rest)
	}
	if srcWidth > n {
		base, off := p.reach(asm.R1, dst)
		p.emit(asm.StoreImm(base, int16(off+n-1), 0, asm.Byte))
	}
}

// storeConst stores a literal.
func (p *prog) storeConst(dst text, s string) {
	if w := p.limit(dst.width); len(s) >= w {
		s = s[:w-1]
	}
	if len(s) >= copyInline {
		p.copyText(dst, p.constText(s))
		return
	}
	b := make([]byte, (len(s)+8)&^7)
	copy(b, s)
	base, off := p.reach(asm.R1, dst)
	for i := 0; i < len(b); i += 8 {
		w := int64(binary.LittleEndian.Uint64(b[i:]))
		if w == int64(int32(w)) {
			p.storeImm(base, off+i, int32(w))
		} else {
			p.imm(asm.R0, w)
			p.store(base, off+i, asm.R0)
		}
	}
	if len(b) < dst.width {
		rest := dst
		rest.width -= len(b)
		rest.mem.off += len(b)
		rest.off += len(b)
		p.zero(rest)
	}
}

// updateText assigns text and returns where the value now is, or, if the old one
// is wanted, where that is.
func (p *prog) updateText(e *ir.Update, gl *ir.Global, used bool) text {
	if len(e.L.Keys) > 0 {
		return p.updateTextElement(e, gl, used)
	}
	dst := text{}
	if gl == nil {
		dst = p.frameText(p.scope.locals[e.L.ID])
	} else {
		dst = p.globalText(e.L.ID)
	}
	if used && e.Old {
		right := p.frameText(p.alloc(storage(e.R.Type())))
		p.textInto(e.R, right)
		old := p.frameText(p.alloc(dst.width))
		p.copyText(old, dst)
		p.assignGlobal(dst, e.Op, right)
		return old
	}
	if gl == nil {
		p.assignText(e, dst, func(x ir.Expr) bool { return readsLocal(x, e.L.ID) })
		return dst
	}
	// A reader on another CPU sees the old or the new value where possible,
	// so the value is made first and then copied.
	if t, ok := p.plainText(e); ok {
		p.copyText(dst, t)
		return dst
	}
	p.assignGlobal(dst, e.Op, p.text(e.R))
	return dst
}

// assignGlobal assigns text that has been evaluated.
func (p *prog) assignGlobal(dst text, op ir.Op, right text) {
	if op != ir.OpConcat {
		p.copyText(dst, right)
		return
	}
	tmp := dst
	if dst.kind != inFrame {
		tmp = p.frameText(p.alloc(dst.width))
		p.copyText(tmp, dst)
	}
	p.appendTexts(tmp, false, right)
	if dst.kind != inFrame {
		p.copyText(dst, tmp)
	}
}

// plainText returns the right side of an assignment if it needs no evaluation.
func (p *prog) plainText(e *ir.Update) (text, bool) {
	if e.Op == ir.OpSet && leafText(e.R) {
		return p.text(e.R), true
	}
	return text{}, false
}

// assignText assigns to memory in the frame.
func (p *prog) assignText(e *ir.Update, dst text, reads func(ir.Expr) bool) {
	switch {
	case e.Op == ir.OpConcat:
		right := p.text(e.R)
		if right.kind == inFrame && right.mem == dst.mem {
			// s .= s
			tmp := p.frameText(p.alloc(dst.width))
			p.copyText(tmp, dst)
			right = tmp
		}
		p.appendTexts(dst, false, right)
	case p.appends(e, reads):
		return
	case leafText(e.R):
		src := p.text(e.R)
		if src.kind != inFrame || src.mem != dst.mem {
			if c, ok := e.R.(*ir.StrConst); ok {
				p.storeConst(dst, c.S)
			} else {
				p.copyText(dst, src)
			}
		}
	case reads(e.R), p.tries != nil && p.tries.fn == nil && failsMidway(e.R):
		tmp := p.frameText(p.alloc(storage(e.R.Type())))
		p.textInto(e.R, tmp)
		p.copyText(dst, tmp)
	default:
		p.textInto(e.R, dst)
	}
}

// failsMidway reports whether evaluating e can raise an error when part of its
// place is written already. A variable must keep its value then if the error is
// caught.
func failsMidway(e ir.Expr) bool {
	return anyExpr(e, func(x ir.Expr) bool {
		switch x := x.(type) {
		case *ir.Call, *ir.MakeText:
			return true
		case *ir.Intrinsic:
			return ir.Intrinsics[x.ID].Fails
		}
		return false
	})
}

// appends makes s = s . x … as an appending if it is one.
func (p *prog) appends(e *ir.Update, reads func(ir.Expr) bool) bool {
	b, ok := e.R.(*ir.Binary)
	if !ok || e.L.Global || b.T.Width < p.scope.types[e.L.ID].Width {
		return false
	}
	list := concatParts(b)
	first, ok := list[0].(*ir.Local)
	if !ok || first.ID != e.L.ID {
		return false
	}
	for _, x := range list[1:] {
		if reads(x) {
			return false
		}
	}
	for i := range list[1:] {
		// What is cut in between stays cut.
		if sub := concatPrefix(b, i+2); sub.T.Width < p.scope.types[e.L.ID].Width {
			return false
		}
	}
	var parts []text
	for i, x := range list[1:] {
		parts = append(parts, p.text(x, list[i+2:]...))
	}
	p.appendTexts(p.frameText(p.scope.locals[e.L.ID]), false, parts...)
	return true
}

// concatParts returns the operands of x . y . z.
func concatParts(b *ir.Binary) []ir.Expr {
	if l, ok := b.X.(*ir.Binary); ok && l.Op == ir.OpConcat {
		return append(concatParts(l), b.Y)
	}
	return []ir.Expr{b.X, b.Y}
}

// concatPrefix returns the concatenation of the first n operands of b.
func concatPrefix(b *ir.Binary, n int) *ir.Binary {
	for total := len(concatParts(b)); total > n; total-- {
		b = b.X.(*ir.Binary)
	}
	return b
}

// concat evaluates a concatenation into dst.
func (p *prog) concat(b *ir.Binary, dst text) {
	list := concatParts(b)
	// Where a shorter result in between cuts the string, it is made by itself.
	width := min(dst.width, b.T.Width) // what may be longer is cut by the limit
	for n := len(list) - 1; n >= 2; n-- {
		if sub := concatPrefix(b, n); sub.T.Width < width {
			list = append([]ir.Expr{sub}, list[n:]...)
			break
		}
	}
	var parts []text
	for i, x := range list {
		parts = append(parts, p.text(x, list[i+1:]...))
	}
	p.zero(dst)
	out := dst
	out.width = width
	p.appendTexts(out, true, parts...)
}

// limit is the longest string that storage of the width may hold, and 1: less
// than the width where MAXSTRINGLEN is no multiple of 8.
func (p *prog) limit(width int) int {
	return p.g.p.Limits.Limit(ir.Type{Kind: ir.Str, Width: width}).Width
}

// appendTexts appends strings to the one in dst, which is in the frame; fresh
// says that it is empty. What does not fit is cut.
func (p *prog) appendTexts(dst text, fresh bool, parts ...text) {
	p.need(inSlot) // the verifier of Linux 6.1 wants fixed places on the stack
	m := p.mark()
	defer p.release(m)
	full := p.label()
	width := p.limit(dst.width)
	var length val
	have := false
	if !fresh {
		p.strlen(dst)
	}
	for _, t := range parts {
		if t.lit != nil && *t.lit == "" {
			continue
		}
		if fresh {
			p.memAddr(asm.R1, dst.mem)
			p.imm(asm.R2, int64(min(width, t.width)))
			p.addr(asm.R3, t)
			p.emit(asm.FnProbeReadKernelStr.Call())
			p.emit(asm.Add.Imm(asm.R0, -1))
			fresh = false
			continue
		}
		// R0: the length so far.
		p.jimm(asm.JGT, asm.R0, int64(width-2), full)
		if !have {
			length, have = p.keep(asm.R0), true
		} else {
			p.set(length, asm.R0)
		}
		p.imm(asm.R2, int64(width))
		p.emit(asm.Sub.Reg(asm.R2, asm.R0))
		fits := p.label()
		p.jimm(asm.JLE, asm.R2, int64(t.width), fits)
		p.imm(asm.R2, int64(t.width))
		p.place(fits)
		p.memAddr(asm.R1, dst.mem)
		p.emit(asm.Add.Reg(asm.R1, asm.R0))
		p.addr(asm.R3, t)
		p.emit(asm.FnProbeReadKernelStr.Call())
		p.emit(asm.Add.Imm(asm.R0, -1))
		p.get(asm.R1, length)
		p.emit(asm.Add.Reg(asm.R0, asm.R1))
	}
	p.place(full)
}

// strlen leaves the length of a string in R0.
func (p *prog) strlen(t text) {
	// Copying a string tells its length; in the frame, onto itself.
	dst := t
	if t.kind != inFrame {
		m := p.mark()
		defer p.release(m)
		dst = p.frameText(p.alloc(t.width))
	}
	p.addr(asm.R1, dst)
	p.imm(asm.R2, int64(t.width))
	p.addr(asm.R3, t)
	p.emit(asm.FnProbeReadKernelStr.Call())
	p.emit(asm.Add.Imm(asm.R0, -1))
}

// set changes a held value.
func (p *prog) set(v val, r asm.Register) {
	if v.kind == isReg {
		p.mov(v.reg, r)
	} else {
		p.memStore(v.mem, r)
	}
}

// indexText reads text from an array.
func (p *prog) indexText(e *ir.IndexGet, dst text) {
	gl := &p.g.p.Globals[e.G]
	off, _ := gl.ValueLayout()
	none, done := p.label(), p.label()
	p.elementAt(e.G, e.Keys)
	p.jimm(asm.JEq, asm.R0, 0, none)
	w := gl.Value.Width
	n := min(dst.width, w)
	if n > copyInline {
		p.addr(asm.R1, dst)
		p.imm(asm.R2, int64(n))
		p.mov(asm.R3, asm.R0)
		p.emit(asm.Add.Imm(asm.R3, int32(off)))
		p.emit(asm.FnProbeReadKernel.Call())
	} else {
		to, toOff := p.reach(asm.R1, dst)
		for i := 0; i < n; i += 8 {
			p.load(asm.R2, asm.R0, off+i)
			p.store(to, toOff+i, asm.R2)
		}
	}
	p.fitText(dst, n, w)
	p.place(done)
	p.later(func() {
		p.place(none)
		p.zero(dst)
		p.ja(done)
	})
}

// updateTextElement assigns to an array of strings. The value is replaced whole.
func (p *prog) updateTextElement(e *ir.Update, gl *ir.Global, used bool) text {
	g := e.L.ID
	defer p.changed(g, nil)
	off, size := gl.ValueLayout()
	key := p.key(g, e.L.Keys, e.R)
	var right text
	if e.Op == ir.OpConcat {
		right = p.text(e.R)
	}
	buf := p.alloc(size)
	val := p.frameText(mem{buf.off + off, size - off})
	if e.Op == ir.OpSet {
		p.textInto(e.R, val)
	}
	old := used && e.Old
	var before text
	if old {
		before = p.frameText(p.alloc(size - off))
	}
	put := func() {
		p.arrayMap(g)
		p.addr(asm.R2, key)
		p.memAddr(asm.R3, buf)
		p.imm(asm.R4, updateAny)
		p.emit(asm.FnMapUpdateElem.Call())
	}
	found, done, missing := p.label(), p.label(), p.label()
	if e.Op == ir.OpSet && !old && !gl.Ordered && !gl.Wrap {
		put()
		p.jimm32(asm.JEq, asm.R0, 0, done)
		p.jimm32(asm.JEq, asm.R0, -e2BIG, p.errConst(ir.ErrArrayFull, e.Site, int32(gl.MaxEntries)))
		p.ja(p.skipTo(ir.SkipMap))
		p.place(done)
		return val
	}
	p.lookup(g, key)
	p.jimm(asm.JEq, asm.R0, 0, missing)
	p.place(found)
	if off > 0 {
		p.load(asm.R1, asm.R0, 0) // keeps its place in the order
		p.memStore(mem{buf.off, 8}, asm.R1)
	}
	if e.Op == ir.OpConcat || old {
		dst := val
		if e.Op != ir.OpConcat {
			dst = before
		}
		p.memAddr(asm.R1, dst.mem)
		p.imm(asm.R2, int64(dst.width))
		p.mov(asm.R3, asm.R0)
		p.emit(asm.Add.Imm(asm.R3, int32(off)))
		p.emit(asm.FnProbeReadKernel.Call())
		if e.Op == ir.OpConcat {
			if old {
				p.copyText(before, val)
			}
			p.appendTexts(val, false, right)
		}
	}
	put()
	p.jimm32(asm.JNE, asm.R0, 0, p.skipTo(ir.SkipMap))
	p.place(done)
	p.later(func() {
		p.place(missing)
		if old {
			p.zero(before)
		}
		if e.Op == ir.OpConcat {
			p.copyText(val, right)
		}
		p.create(g, key, p.frameText(buf), e.Site, found)
		p.ja(done)
	})
	if old {
		return before
	}
	return val
}

// compareText goes to the label if the comparison of two texts is want.
func (p *prog) compareText(e *ir.Binary, want bool, to label) {
	p.at(e.Site)
	x := p.text(e.X, e.Y)
	y := p.text(e.Y)
	op := e.Op
	if !want {
		op = negated[op]
	}
	if e.X.Type().Kind == ir.Deferred {
		p.equalPayload(x, y, op == ir.OpEq, to)
		return
	}
	if op == ir.OpEq || op == ir.OpNe {
		p.equalText(x, y, op == ir.OpEq, to)
		return
	}
	p.orderText(x, y)
	p.jimm(jumps[op], asm.R0, 0, to)
}

// equalText goes to the label if the texts are equal, or if they are not.
func (p *prog) equalText(x, y text, equal bool, to label) {
	if x.lit != nil {
		x, y = y, x
	}
	differ := to
	if equal {
		differ = p.label()
	}
	switch {
	case y.lit != nil && len(*y.lit) >= x.width:
		p.ja(differ) // cannot be
	case y.lit != nil && len(*y.lit) < inlineWords*8:
		b := make([]byte, (len(*y.lit)+8)&^7)
		copy(b, *y.lit)
		base, off := p.reach(asm.R1, x)
		for i := 0; i < len(b); i += 8 {
			p.load(asm.R2, base, off+i)
			w := int64(binary.LittleEndian.Uint64(b[i:]))
			if w == int64(int32(w)) {
				p.jimm(asm.JNE, asm.R2, w, differ)
			} else {
				p.imm(asm.R3, w)
				p.jreg(asm.JNE, asm.R2, asm.R3, differ)
			}
		}
	default:
		words := min(x.width, y.width) / 8
		if words > inlineWords {
			p.orderText(x, y)
			p.jimm(asm.JNE, asm.R0, 0, differ)
			break
		}
		a, aOff := p.reach(asm.R1, x)
		b, bOff := p.reach(asm.R2, y)
		for i := range words {
			p.load(asm.R3, a, aOff+8*i)
			p.load(asm.R4, b, bOff+8*i)
			p.jreg(asm.JNE, asm.R3, asm.R4, differ)
		}
		// Strings that agree up to the narrower one's end have both ended.
	}
	if equal {
		p.ja(to)
		p.place(differ)
	}
}

// equalPayload is equalText for deferred text; zeros at the end do not count.
func (p *prog) equalPayload(x, y text, equal bool, to label) {
	differ := to
	if equal {
		differ = p.label()
	}
	if x.width > y.width {
		x, y = y, x
	}
	a, aOff := p.reach(asm.R1, x)
	b, bOff := p.reach(asm.R2, y)
	for i := range y.width / 8 {
		p.load(asm.R4, b, bOff+8*i)
		if 8*i < x.width {
			p.load(asm.R3, a, aOff+8*i)
			p.jreg(asm.JNE, asm.R3, asm.R4, differ)
		} else {
			p.jimm(asm.JNE, asm.R4, 0, differ)
		}
	}
	if equal {
		p.ja(to)
		p.place(differ)
	}
}

// inlineWords is up to how many words strings are compared in place.
const inlineWords = 8

// orderText leaves a number below, at or above 0 in R0 as x is to y.
func (p *prog) orderText(x, y text) {
	words := min(x.width, y.width) / 8
	if words > inlineWords {
		p.addr(asm.R1, x)
		p.addr(asm.R2, y)
		p.emit(asm.Call.Label(p.g.compareSub(words)))
		return
	}
	a, aOff := p.reach(asm.R1, x)
	b, bOff := p.reach(asm.R2, y)
	compareWords(p.stream, a, aOff, b, bOff, words)
}

// compareWords leaves the order of two strings in R0; it changes R3 and R4.
func compareWords(s *stream, a asm.Register, aOff int, b asm.Register, bOff, words int) {
	differ, end, above := s.label(), s.label(), s.label()
	for i := range words {
		s.load(asm.R3, a, aOff+8*i)
		s.load(asm.R4, b, bOff+8*i)
		s.jreg(asm.JNE, asm.R3, asm.R4, differ)
		if words > inlineWords && i+1 < words {
			// The last byte of the word is zero: both have ended.
			s.emit(asm.RSh.Imm(asm.R3, 56))
			s.jimm(asm.JEq, asm.R3, 0, end)
		}
	}
	s.place(end)
	s.imm(asm.R0, 0)
	over := s.label()
	s.ja(over)
	s.place(differ)
	s.emit(asm.HostTo(asm.BE, asm.R3, asm.DWord), asm.HostTo(asm.BE, asm.R4, asm.DWord))
	s.jreg(asm.JGT, asm.R3, asm.R4, above)
	s.imm(asm.R0, -1)
	s.ja(over)
	s.place(above)
	s.imm(asm.R0, 1)
	s.place(over)
}

// compareSub is a subprogram that compares two strings of the given words.
func (g *generator) compareSub(words int) string {
	return g.sub("stap_compare_"+strconv.Itoa(words), func(s *stream) {
		compareWords(s, asm.R1, 0, asm.R2, 0, words)
		s.emit(asm.Return())
	})
}
