package ebpf

import (
	"github.com/cilium/ebpf/asm"

	"stapkit/ir"
)

// Flags of bpf_get_stack.
const (
	stackUser = 1 << 8 // BPF_F_USER_STACK
)

// makeText makes the payload of deferred text, as ir.Text describes it.
func (p *prog) makeText(e *ir.MakeText, dst text) {
	if e.T.Width > dst.width {
		tmp := p.frameText(p.alloc(e.T.Width))
		p.makeText(e, tmp)
		p.copyText(dst, tmp)
		return
	}
	if user, ok := e.Kind.IsStack(); ok {
		p.stack(e, user, dst)
		return
	}
	switch e.Kind {
	case ir.TextFormat:
		p.lazy(e, dst)
	case ir.TextType:
		p.typed(e, dst)
	case ir.TextParms:
		p.textHead(e, part(dst, 0, 8).mem, 0)
		p.words(e, 8, dst)
	default:
		p.words(e, 0, dst)
	}
}

// textHead stores the first word of a payload, flags added to it.
func (p *prog) textHead(e *ir.MakeText, to mem, flags uint32) {
	if e.Head == nil {
		p.memImm(to, e.FirstWord()|int64(flags)<<32)
		return
	}
	p.int(e.Head, asm.R0)
	if flags != 0 {
		p.imm(asm.R1, int64(flags)<<32)
		p.emit(asm.Or.Reg(asm.R0, asm.R1))
	}
	p.memStore(to, asm.R0)
}

// part is n bytes of a payload at off.
func part(t text, off, n int) text {
	t.mem.off += off
	t.off += off
	t.mem.size, t.width = n, n
	return t
}

// rest zeroes a payload from off on.
func (p *prog) rest(dst text, off int) {
	if off < dst.width {
		p.zero(part(dst, off, dst.width-off))
	}
}

// words makes a payload of numbers from off on.
func (p *prog) words(e *ir.MakeText, off int, dst text) {
	for _, a := range e.Args {
		if off+8 > dst.width {
			p.effect(a)
			continue
		}
		p.intInto(a, part(dst, off, 8).mem)
		off += 8
	}
	p.rest(dst, off)
}

// lazy keeps what the loader makes text of.
func (p *prog) lazy(e *ir.MakeText, dst text) {
	p.textHead(e, part(dst, 0, 8).mem, 0)
	off := 8
	for _, a := range e.Args {
		t := a.Type()
		w := storage(t)
		need := 8 + w
		if t.Kind == ir.Int {
			need = 8
		}
		if off+need > dst.width {
			p.internal(e.Site, "text of %d bytes left to the loader does not fit %d", ir.LazyWidth(e.Args), dst.width)
			return
		}
		at := part(dst, off, 8)
		switch t.Kind {
		case ir.Int:
			p.intInto(a, at.mem)
		case ir.Str:
			p.stringHeader(p.base(), at.mem.off, ir.StrToNUL, w)
			p.textInto(a, part(dst, off+8, w))
			if e.Tag == ir.LazyPlain && e.Head == nil {
				// "" is what a variable never set holds.
				some := p.label()
				p.emit(asm.LoadMem(asm.R1, p.base(), int16(part(dst, off+8, 8).mem.off), asm.Byte))
				p.jimm(asm.JNE, asm.R1, 0, some)
				p.memImm(part(dst, 0, 8).mem, 0)
				p.memImm(at.mem, 0)
				p.place(some)
			}
		default:
			p.itemHeader(p.base(), at.mem.off, int(t.Text), 1+w/8, ir.DeferredArg)
			p.textInto(a, part(dst, off+8, w))
		}
		off += need
	}
	p.rest(dst, off)
}

// typed captures an object's bytes, and texts that it points at. What cannot be read is
// told by a flag.
func (p *prog) typed(e *ir.MakeText, dst text) {
	need := 16 + 8*len(e.Args)
	words, width := ir.PointedTexts(e.Flags)
	if len(e.Pointers) > 0 {
		need = 16 + 8*words + len(e.Pointers)*(8+8*width)
	}
	if len(e.Args) == 0 || len(e.Args) > 1 && !e.Immediate || need > dst.width {
		p.internal(e.Site, "captured object of %d arguments in %d bytes", len(e.Args), dst.width)
		return
	}
	m := p.mark()
	defer p.release(m)
	done := p.label()
	// An error here is none of the script's.
	unread := &try{outer: p.tries, catch: p.label(), lock: p.lock, faults: true, codes: map[ir.ErrCode]bool{}}
	p.tries = unread
	p.maybe(func() {
		if e.Immediate {
			for i, a := range e.Args {
				p.intInto(a, part(dst, 16+8*i, 8).mem)
			}
			p.textHead(e, part(dst, 0, 8).mem, 0)
			p.memImm(part(dst, 8, 8).mem, 0)
			p.rest(dst, 16+8*len(e.Args))
			return
		}
		p.object(e, dst, unread)
	})
	p.tries = unread.outer
	if len(unread.outs) == 0 {
		return
	}
	p.later(func() {
		p.place(unread.catch)
		p.textHead(e, part(dst, 0, 8).mem, ir.TypeFault)
		p.rest(dst, 8)
		p.ja(done)
	})
	p.place(done)
	for _, o := range unread.outs {
		p.outAt = join(p.outAt, o)
	}
}

// object captures the bytes at the one argument.
func (p *prog) object(e *ir.MakeText, dst text, unread *try) {
	size := min(e.Size, dst.width-16)
	addr := p.hold(e.Args[0])
	isString := e.Flags&ir.TypeString != 0
	p.get(asm.R1, addr)
	p.store(p.base(), part(dst, 8, 8).mem.off, asm.R1)
	p.textHead(e, part(dst, 0, 8).mem, 0)
	p.rest(dst, 16)
	helper, str := asm.FnProbeReadKernel, asm.FnProbeReadKernelStr
	if e.Space == ir.UserSpace {
		helper, str = asm.FnProbeReadUser, asm.FnProbeReadUserStr
	}
	if isString {
		helper = str
	}
	p.readMem(helper, func() {
		p.addr(asm.R1, part(dst, 16, dst.width-16))
		p.imm(asm.R2, int64(size))
		p.get(asm.R3, addr)
	})
	if isString {
		// A string that cannot be read is shown by its address.
		read := p.label()
		p.jimm(asm.JSGE, asm.R0, 0, read)
		p.textHead(e, part(dst, 0, 8).mem, ir.TypeUnread)
		p.place(read)
		return
	}
	unread.outs = append(unread.outs, p.outAt)
	p.jimm(asm.JSLT, asm.R0, 0, unread.catch)
	words, width := ir.PointedTexts(e.Flags)
	for i, at := range e.Pointers {
		to := part(dst, 16+8*words+i*(8+8*width), 8+8*width)
		head := part(to, 0, 8).mem
		load := func(r asm.Register) {
			size := asm.DWord
			if e.PointerSize == 4 {
				size = asm.Word
			}
			p.emit(asm.LoadMem(r, p.base(), int16(part(dst, 16+at, 8).mem.off), size))
		}
		p.readMem(str, func() {
			p.addr(asm.R1, part(to, 8, 8*width))
			p.imm(asm.R2, int64(8*width))
			load(asm.R3)
		})
		none := p.label()
		p.jimm(asm.JSLT, asm.R0, 0, none)
		load(asm.R1)
		p.memStore(head, asm.R1)
		p.place(none)
	}
}

const (
	// maxOwnFrames is how many frames of its own a program of a trampoline may have on the
	// stack, a power of two.
	maxOwnFrames = 4
	// entrySize is within how many bytes of its address a function calls the trampoline.
	entrySize = 32
)

// stack captures the frames of the kernel's or the user's stack.
func (p *prog) stack(e *ir.MakeText, user bool, dst text) {
	p.usesCtx = true
	off := 0
	flags := int64(0)
	if user {
		p.emit(asm.FnGetCurrentPidTgid.Call(), asm.RSh.Imm(asm.R0, 32))
		p.memStore(part(dst, 0, 8).mem, asm.R0)
		off, flags = 8, stackUser
	}
	if dst.width < off+16 {
		p.rest(dst, off)
		return
	}
	frames := part(dst, off+8, dst.width-off-8)
	if user && p.g.canUnwind() {
		p.rest(dst, off)
		m := p.mark()
		defer p.release(m)
		max := min(frames.width/8, maxUnwind)
		st := p.walkStack(max)
		p.memLoad(asm.R1, mem{st.off + ir.UnwindN, 8})
		p.memStore(part(dst, off, 8).mem, asm.R1)
		p.copyText(part(frames, 0, 8*max), p.frameText(mem{st.off + ir.UnwindFrames, 8 * max}))
		return
	}
	if p.mode == onStack {
		// Linux before 6.12 wants to see it written, in raw tracepoints and trampolines.
		for i := 0; i < frames.width; i += 8 {
			p.storeImm(asm.R10, frames.mem.off+i, 0)
		}
	}
	// The helper clears what is behind the frames, but not where it fails at once.
	none, done := p.label(), p.label()
	get := func(setFlags func()) {
		p.mov(asm.R1, rCtx)
		p.addr(asm.R2, frames)
		p.imm(asm.R3, int64(frames.width))
		setFlags()
		p.emit(asm.FnGetStack.Call())
		p.jimm(asm.JSLE, asm.R0, 0, none)
		p.emit(asm.RSh.Imm(asm.R0, 3))
		p.memStore(part(dst, off, 8).mem, asm.R0)
	}
	if !user && p.h.Ctx == ir.CtxFentry && p.entersKernel() {
		// Before the function come frames of the trampoline and of this program. How many
		// is the same for all programs of a shape, by the kernel's version: walking the
		// stack is dear, so what was found out once is kept.
		known := ir.SessOffOwnFrames
		if p.mode == asLoop {
			known += 8
		}
		begins := func(other label) {
			p.probedAddress(asm.R0)
			p.memLoad(asm.R1, part(frames, 0, 8).mem)
			p.emit(asm.Sub.Reg(asm.R1, asm.R0))
			p.jimm(asm.JGE, asm.R1, entrySize, other) // unsigned
			p.memStore(part(frames, 0, 8).mem, asm.R0)
		}
		search := p.label()
		get(func() {
			p.sessionWord(asm.R4, known)
			p.emit(asm.And.Imm(asm.R4, maxOwnFrames-1), asm.Add.Imm(asm.R4, 1))
		})
		begins(search)
		p.later(func() {
			p.place(search)
			for skip := range maxOwnFrames {
				get(func() { p.imm(asm.R4, int64(skip)+1) })
				next := p.label()
				begins(next)
				p.session(asm.R1, known)
				p.storeImm(asm.R1, 0, int32(skip))
				p.ja(done)
				p.place(next)
			}
			get(func() { p.imm(asm.R4, flags) })
			p.ja(done)
		})
	} else {
		get(func() { p.imm(asm.R4, flags) })
	}
	if !user && p.h.Ctx == ir.CtxKprobe && p.entersKernel() {
		p.probedAddress(asm.R0)
		p.memStore(part(frames, 0, 8).mem, asm.R0)
	}
	p.place(done)
	p.later(func() {
		p.place(none)
		p.rest(dst, off)
		p.ja(done)
	})
}

// stackFrame gives one address of a stack.
func (p *prog) stackFrame(e *ir.Intrinsic, dst asm.Register) {
	m := p.mark()
	defer p.release(m)
	n := p.hold(e.Args[0])
	buf := p.alloc(8)
	p.usesCtx = true
	p.memImm(buf, 0)
	none := p.label()
	if e.ID == ir.IUFrame && p.g.canUnwind() {
		st := p.walkStack(maxUnwind)
		p.get(asm.R1, n)
		p.jimm(asm.JGE, asm.R1, maxUnwind, none) // unsigned
		p.emit(asm.LSh.Imm(asm.R1, 3), asm.Add.Reg(asm.R1, p.base()))
		p.load(asm.R1, asm.R1, st.off+ir.UnwindFrames)
		p.memStore(buf, asm.R1)
		p.place(none)
		p.memLoad(dst, buf)
		return
	}
	p.get(asm.R4, n)
	p.jimm(asm.JGT, asm.R4, 255, none) // unsigned: what can be skipped
	if e.ID == ir.IUFrame {
		p.emit(asm.Or.Imm(asm.R4, stackUser))
	}
	p.mov(asm.R1, rCtx)
	p.memAddr(asm.R2, buf)
	p.imm(asm.R3, 8)
	p.emit(asm.FnGetStack.Call())
	if e.ID == ir.IKFrame && p.h.Ctx == ir.CtxKprobe && p.entersKernel() {
		p.get(asm.R1, n)
		p.jimm(asm.JNE, asm.R1, 0, none)
		p.probedAddress(asm.R0)
		p.memStore(buf, asm.R0)
	}
	p.place(none)
	p.memLoad(dst, buf)
}
