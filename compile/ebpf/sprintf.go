package ebpf

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/asm"

	"stapkit/format"
	"stapkit/ir"
)

// builder appends to a string in the frame, whose length is kept in memory. What
// does not fit is cut; then code goes to full.
type builder struct {
	p     *prog
	dst   text
	width int // limit of the string and 1
	len   mem
	full  label
}

// build starts a string.
func (p *prog) build(dst text) *builder {
	p.need(inSlot)
	b := &builder{p: p, dst: dst, width: p.limit(dst.width), len: p.alloc(8), full: p.label()}
	p.zero(dst)
	p.memImm(b.len, 0)
	return b
}

func (b *builder) done() { b.p.place(b.full) }

// add appends at most the bytes of src, of which there are up to most; src sets
// its argument to the address of a string. A limit not nil bounds it further at
// run time.
func (b *builder) add(src func(r asm.Register), most int, limit *val) {
	p := b.p
	// R4: how much at the most, and the NUL, between constants that the
	// verifier can see.
	fits, skip := p.label(), p.label()
	if limit != nil {
		below := p.label()
		p.get(asm.R4, *limit)
		p.jimm(asm.JSLE, asm.R4, 0, skip)
		p.jimm(asm.JLE, asm.R4, int64(most), below)
		p.imm(asm.R4, int64(most))
		p.place(below)
		p.emit(asm.Add.Imm(asm.R4, 1))
	} else {
		p.imm(asm.R4, int64(most+1))
	}
	p.memLoad(asm.R0, b.len)
	p.jimm(asm.JGT, asm.R0, int64(b.width-2), b.full)
	p.imm(asm.R2, int64(b.width))
	p.emit(asm.Sub.Reg(asm.R2, asm.R0))
	p.jreg(asm.JLE, asm.R2, asm.R4, fits)
	p.mov(asm.R2, asm.R4)
	p.place(fits)
	p.memAddr(asm.R1, b.dst.mem)
	p.emit(asm.Add.Reg(asm.R1, asm.R0))
	src(asm.R3)
	p.emit(asm.FnProbeReadKernelStr.Call())
	p.memLoad(asm.R1, b.len)
	p.emit(asm.Add.Reg(asm.R1, asm.R0), asm.Add.Imm(asm.R1, -1))
	p.memStore(b.len, asm.R1)
	p.place(skip)
}

func (b *builder) text(t text) {
	if t.lit != nil && *t.lit == "" {
		return
	}
	b.add(func(r asm.Register) { b.p.addr(r, t) }, t.width-1, nil)
}

func (b *builder) literal(s string) { b.text(b.p.constText(s)) }

// fill appends c, count times.
func (b *builder) fill(c string, count val) {
	p := b.p
	if count.kind == isConst {
		if n := min(count.imm, int64(b.width)); n > 0 {
			b.literal(strings.Repeat(c, int(n)))
		}
		return
	}
	run := p.g.consts.add(append([]byte(strings.Repeat(c, b.width)), 0))
	b.add(func(r asm.Register) { p.constant(r, run) }, b.width, &count)
}

// sprintf evaluates a sprintf.
func (p *prog) sprintf(e *ir.Sprintf, dst text) {
	f := &p.g.p.Formats[e.Format]
	nums := make([]val, len(e.Args))
	texts := make([]text, len(e.Args))
	for i, a := range e.Args {
		switch a.Type().Kind {
		case ir.Int:
			nums[i] = p.hold(a, e.Args[i+1:]...)
		case ir.Str:
			texts[i] = p.text(a, e.Args[i+1:]...)
		default:
			p.unsupported(e.Site, "text that is made when the script is read out cannot be part of a string in the kernel")
			return
		}
	}
	for _, o := range f.Parsed.Memory() {
		if o.Index < len(nums) {
			texts[o.Index] = p.capture(o, nums, e.Site)
		}
	}
	p.format(&f.Parsed, nums, texts, dst, e.Site)
}

// format makes a string of values as package format does.
func (p *prog) format(f *format.Format, nums []val, texts []text, dst text, site int) {
	b := p.build(dst)
	next := 0
	for i := range f.Directives {
		d := &f.Directives[i]
		m := p.mark()
		if d.Conv == format.Text {
			before, _, cut := strings.Cut(d.Text, "\x00")
			b.literal(before)
			if cut {
				p.ja(b.full)
			}
			continue
		}
		width, prec := b.star(d.Width, nums, &next), b.star(d.Prec, nums, &next)
		if next >= len(nums) {
			p.internal(site, "format %q has too few arguments", f.String())
			return
		}
		switch d.Conv {
		case format.Str:
			b.str(d, width, prec, texts[next])
		case format.Char:
			b.char(d, width, nums[next])
		case format.Binary:
			b.binary(d, width, prec, nums[next])
		case format.Memory:
			b.memory(d, width, texts[next])
		case format.MemoryHex:
			b.memoryHex(d, width, texts[next])
		default:
			b.number(d, width, prec, nums[next])
		}
		next++
		p.release(m)
	}
	b.done()
}

// star returns a width or precision: a constant, -1 if there is none, or the value
// of the next argument, cut to what takes effect.
func (b *builder) star(n int, nums []val, next *int) val {
	p := b.p
	if n != format.Star || *next >= len(nums) {
		return val{kind: isConst, imm: int64(min(n, format.MaxWidth))}
	}
	v := nums[*next]
	*next++
	if v.kind == isConst {
		return val{kind: isConst, imm: min(max(v.imm, 0), format.MaxWidth)}
	}
	return p.clamped(v, 0)
}

// clamped keeps a number that is no constant within least and format.MaxWidth.
func (p *prog) clamped(v val, least int64) val {
	low, high := p.label(), p.label()
	p.get(asm.R0, v)
	p.jimm(asm.JSGE, asm.R0, least, low)
	p.imm(asm.R0, least)
	p.place(low)
	p.jimm(asm.JSLE, asm.R0, format.MaxWidth, high)
	p.imm(asm.R0, format.MaxWidth)
	p.place(high)
	m := p.alloc(8)
	p.memStore(m, asm.R0)
	return val{kind: isMem, mem: m}
}

// none reports whether a width or precision is not given, or without effect.
func none(v val) bool { return v.kind == isConst && v.imm <= 0 }

// missing sets a piece of memory to width minus the length in R0, for fill.
func (b *builder) missing(width val) val {
	p := b.p
	m := p.alloc(8)
	p.get(asm.R1, width)
	p.emit(asm.Sub.Reg(asm.R1, asm.R0))
	p.memStore(m, asm.R1)
	return val{kind: isMem, mem: m}
}

func (b *builder) str(d *format.Directive, width, prec val, t text) {
	p := b.p
	var limit *val
	if prec.kind != isConst || prec.imm >= 0 {
		limit = &prec
	}
	put := func() { b.add(func(r asm.Register) { p.addr(r, t) }, t.width-1, limit) }
	switch {
	case none(width):
		put()
	default:
		p.strlen(t)
		if limit != nil {
			short := p.label()
			p.get(asm.R1, prec)
			p.jreg(asm.JSLE, asm.R0, asm.R1, short)
			p.mov(asm.R0, asm.R1)
			p.place(short)
		}
		pad := b.missing(width)
		if d.Flag == format.Minus {
			put()
			b.fill(" ", pad)
		} else {
			b.fill(" ", pad)
			put()
		}
	}
	if d.Flag == format.Zero {
		p.ja(b.full) // a NUL follows
	}
}

// char appends one byte, or with # its escape.
func (b *builder) char(d *format.Directive, width val, v val) {
	p := b.p
	c := p.alloc(8)
	p.get(asm.R0, v)
	p.emit(asm.And.Imm(asm.R0, 255))
	if d.Flag == format.Alt {
		table := p.g.consts.add(escapes())
		p.emit(asm.LSh.Imm(asm.R0, 3))
		p.constant(asm.R1, table)
		p.emit(asm.Add.Reg(asm.R1, asm.R0))
		p.load(asm.R0, asm.R1, 0)
	}
	p.memStore(c, asm.R0)
	one := p.frameText(c)
	if d.Flag != format.Alt {
		// NUL ends the string, behind the spaces before it.
		nul := p.label()
		if !none(width) && d.Flag != format.Minus {
			b.fill(" ", b.less(width, 1))
		}
		p.memLoad(asm.R0, c)
		p.jimm(asm.JEq, asm.R0, 0, b.full)
		p.place(nul)
		b.add(func(r asm.Register) { p.addr(r, one) }, 1, nil)
		if !none(width) && d.Flag == format.Minus {
			b.fill(" ", b.less(width, 1))
		}
		return
	}
	if !none(width) {
		p.strlen(one)
		pad := b.missing(width)
		b.fill(" ", pad)
	}
	b.add(func(r asm.Register) { p.addr(r, one) }, 7, nil)
}

// binary appends the bytes of a number. A zero byte ends the string, so bytes that
// would be added in front of them do.
func (b *builder) binary(d *format.Directive, width, prec val, v val) {
	p := b.p
	buf := p.alloc(16)
	p.memImm(mem{buf.off + 8, 8}, 0)
	p.get(asm.R0, v)
	p.memStore(mem{buf.off, 8}, asm.R0)
	// How many: what prec or else width says, if that is 1, 2, 4 or 8.
	size := p.alloc(8)
	p.memImm(size, 8)
	known := p.label()
	for _, n := range [...]val{prec, width} {
		p.get(asm.R1, n)
		for _, k := range [...]int64{1, 2, 4, 8} {
			next := p.label()
			p.jimm(asm.JNE, asm.R1, k, next)
			p.memImm(size, k)
			p.ja(known)
			p.place(next)
		}
	}
	p.place(known)
	if d.Flag != format.Minus {
		p.get(asm.R1, width)
		p.memLoad(asm.R2, size)
		p.jreg(asm.JSGT, asm.R1, asm.R2, b.full)
	}
	n := val{kind: isMem, mem: size}
	b.raw(text{kind: inFrame, mem: buf, width: buf.size, bytes: &n}, 8)
	if d.Flag == format.Minus {
		p.get(asm.R1, width)
		p.memLoad(asm.R2, size)
		p.jreg(asm.JSGT, asm.R1, asm.R2, b.full)
	}
}

// raw appends captured bytes, at most most of them. The string ends at one that is
// zero.
func (b *builder) raw(t text, most int) {
	p := b.p
	b.add(func(r asm.Register) { p.addr(r, t) }, most, t.bytes)
	p.strlen(t)
	p.get(asm.R1, *t.bytes)
	p.jreg(asm.JLT, asm.R0, asm.R1, b.full)
}

// memory appends captured bytes.
func (b *builder) memory(d *format.Directive, width val, t text) {
	p := b.p
	pad := func() {
		if !none(width) {
			p.get(asm.R0, *t.bytes)
			b.fill(" ", b.missing(width))
		}
	}
	if d.Flag != format.Minus {
		pad()
	}
	b.raw(t, t.width-1)
	if d.Flag == format.Minus {
		pad()
	}
	if d.Flag == format.Zero {
		p.ja(b.full) // a NUL follows
	}
}

// memoryHex appends captured bytes in hexadecimal.
func (b *builder) memoryHex(d *format.Directive, width val, t text) {
	p := b.p
	most := min(t.width, (b.width+1)/2) // more do not fit the string
	digits := p.frameText(p.alloc((2*most + 8 + 7) &^ 7))
	p.zero(digits)
	at := p.alloc(8)
	p.memImm(at, 0)
	p.loopTimes(*t.bytes, most, func(s *stream, stop label) {
		table := p.g.consts.add(hexTable())
		s.load(asm.R1, cbBase, at.off)
		s.jimm(asm.JGE, asm.R1, int64(most), stop)
		s.mov(asm.R2, cbBase)
		s.emit(asm.Add.Reg(asm.R2, asm.R1))
		s.emit(asm.LoadMem(asm.R3, asm.R2, int16(t.mem.off), asm.Byte))
		s.emit(asm.LSh.Imm(asm.R3, 1))
		s.emit(asm.LoadMapValue(asm.R4, 0, uint32(table)).WithReference(ir.MapConst))
		s.emit(asm.Add.Reg(asm.R4, asm.R3), asm.LoadMem(asm.R3, asm.R4, 0, asm.Half))
		s.emit(asm.Add.Reg(asm.R2, asm.R1)) // two digits for each
		s.emit(asm.StoreMem(asm.R2, int16(digits.mem.off), asm.R3, asm.Half))
		s.emit(asm.Add.Imm(asm.R1, 1))
		s.store(cbBase, at.off, asm.R1)
	})
	n := p.alloc(8)
	p.get(asm.R0, *t.bytes)
	p.emit(asm.LSh.Imm(asm.R0, 1))
	p.memStore(n, asm.R0)
	v := val{kind: isMem, mem: n}
	hex := digits
	hex.bytes = &v
	b.memory(d, width, hex)
}

// hexTable is the two digits of each byte.
func hexTable() []byte {
	var table []byte
	for c := range 256 {
		table = append(table, fmt.Sprintf("%02x", c)...)
	}
	return table
}

// less returns a value less n.
func (b *builder) less(v val, n int64) val {
	if v.kind == isConst {
		v.imm -= n
		return v
	}
	p := b.p
	m := p.alloc(8)
	p.get(asm.R0, v)
	p.emit(asm.Add.Imm(asm.R0, int32(-n)))
	p.memStore(m, asm.R0)
	return val{kind: isMem, mem: m}
}

// escapes is the table of what %#c shows: eight bytes for each character.
func escapes() []byte {
	table := make([]byte, 256*8)
	f, err := format.Parse("%#c")
	if err != nil {
		return table
	}
	for c := range 256 {
		b, err := format.Append(nil, f, []format.Arg{format.LongArg(int64(c))})
		if err != nil || len(b) > 7 {
			continue
		}
		copy(table[8*c:], b)
	}
	return table
}

// number appends a number. The plain forms are the kernel's; the others are put
// together.
func (b *builder) number(d *format.Directive, width, prec val, v val) {
	p := b.p
	arg := p.alloc(8)
	p.get(asm.R0, v)
	p.memStore(arg, asm.R0)
	verb, prefix := "", ""
	switch d.Conv {
	case format.Signed:
		verb = "%lld"
	case format.Unsigned:
		verb = "%llu"
	case format.Hex:
		verb = "%llx"
	case format.HexUpper:
		verb = "%llX"
	case format.Pointer:
		verb, prefix = "%llx", "0x"
	}
	if d.Flag == format.Alt {
		switch d.Conv {
		case format.Hex:
			prefix = "0x"
		case format.HexUpper:
			prefix = "0X"
		case format.Octal:
			prefix = "0"
		}
	}
	sign := d.Conv == format.Signed && (d.Flag == format.Plus || d.Flag == format.Space)
	if none(width) && none(prec) && verb != "" {
		if sign {
			verb = "%" + string(rune(d.Flag)) + verb[1:]
		}
		tmp := p.frameText(p.alloc(32))
		p.zero(tmp)
		p.printNumber(tmp, prefix+verb, arg)
		b.text(tmp)
		return
	}
	if verb != "" && width.kind == isConst && none(prec) && width.imm > 0 && width.imm < int64(b.width) && prefix == "" &&
		(d.Flag == format.NoFlag || d.Flag == format.Minus || d.Flag == format.Zero || d.Flag == format.Alt) {
		flag := ""
		if d.Flag == format.Minus || d.Flag == format.Zero {
			flag = string(rune(d.Flag))
		}
		tmp := p.frameText(p.alloc(32 + int(width.imm)))
		p.zero(tmp)
		p.printNumber(tmp, "%"+flag+strconv.Itoa(int(width.imm))+verb[1:], arg)
		b.text(tmp)
		return
	}
	b.composed(d, width, prec, arg, verb, prefix)
}

// printNumber formats one number with the kernel's printf.
func (p *prog) printNumber(dst text, format string, arg mem) {
	p.addr(asm.R1, dst)
	p.imm(asm.R2, int64(dst.width))
	p.constant(asm.R3, p.g.consts.add(append([]byte(format), 0)))
	p.memAddr(asm.R4, arg)
	p.imm(asm.R5, int64(arg.size))
	p.emit(asm.FnSnprintf.Call())
}

// composed appends padding, sign or prefix, zeros and digits, each by itself.
func (b *builder) composed(d *format.Directive, width, prec val, arg mem, verb, prefix string) {
	p := b.p
	before := p.frameText(p.alloc(8)) // sign or prefix
	p.storeConst(before, prefix)
	if d.Conv == format.Signed {
		pos, end := p.label(), p.label()
		p.memLoad(asm.R0, arg)
		p.jimm(asm.JSGE, asm.R0, 0, pos)
		p.emit(asm.Neg.Imm(asm.R0, 0))
		p.memStore(arg, asm.R0)
		p.storeConst(before, "-")
		p.ja(end)
		p.place(pos)
		if d.Flag == format.Plus || d.Flag == format.Space {
			p.storeConst(before, string(rune(d.Flag)))
		}
		p.place(end)
		verb = "%llu"
	}
	digits := p.frameText(p.alloc(32))
	p.zero(digits)
	if d.Conv == format.Octal {
		p.addr(asm.R1, digits)
		p.memLoad(asm.R2, arg)
		p.emit(asm.Call.Label(p.g.octalSub()))
	} else {
		p.printNumber(digits, verb, arg)
	}
	// zeros = max(prec - digits, 0); pad = max(width - before - zeros - digits, 0)
	p.strlen(digits)
	zeros, pad := p.alloc(8), p.alloc(8)
	positive := func(r asm.Register) {
		ok := p.label()
		p.jimm(asm.JSGE, r, 0, ok)
		p.imm(r, 0)
		p.place(ok)
	}
	p.get(asm.R1, prec)
	p.emit(asm.Sub.Reg(asm.R1, asm.R0))
	positive(asm.R1)
	p.memStore(zeros, asm.R1)
	p.get(asm.R2, width)
	p.emit(asm.Sub.Reg(asm.R2, asm.R0), asm.Sub.Reg(asm.R2, asm.R1))
	p.memStore(pad, asm.R2)
	p.strlen(before)
	p.memLoad(asm.R1, pad)
	p.emit(asm.Sub.Reg(asm.R1, asm.R0))
	positive(asm.R1)
	p.memStore(pad, asm.R1)
	if d.Flag == format.Zero {
		p.memLoad(asm.R0, zeros)
		p.emit(asm.Add.Reg(asm.R0, asm.R1))
		p.memStore(zeros, asm.R0)
		p.memImm(pad, 0)
	}
	zs, ps := val{kind: isMem, mem: zeros}, val{kind: isMem, mem: pad}
	if d.Flag != format.Minus && d.Flag != format.Zero {
		b.fill(" ", ps)
	}
	b.text(before)
	b.fill("0", zs)
	b.text(digits)
	if d.Flag == format.Minus {
		b.fill(" ", ps)
	}
}

// octalSub is a subprogram that writes R2 in octal to the 32 zero bytes at R1.
func (g *generator) octalSub() string {
	return g.sub("stap_octal", func(s *stream) {
		next, digit, done := s.label(), s.label(), s.label()
		s.imm(asm.R3, 63) // shift of the digit
		s.imm(asm.R5, 0)  // digits written
		s.place(next)
		s.mov(asm.R4, asm.R2)
		s.emit(asm.RSh.Reg(asm.R4, asm.R3), asm.And.Imm(asm.R4, 7))
		s.jimm(asm.JNE, asm.R5, 0, digit)
		s.jimm(asm.JNE, asm.R4, 0, digit)
		s.jimm(asm.JEq, asm.R3, 0, digit)
		s.emit(asm.Add.Imm(asm.R3, -3))
		s.ja(next)
		s.place(digit)
		s.emit(asm.Add.Imm(asm.R4, '0'))
		s.emit(asm.StoreMem(asm.R1, 0, asm.R4, asm.Byte))
		s.emit(asm.Add.Imm(asm.R1, 1))
		s.imm(asm.R5, 1)
		s.jimm(asm.JEq, asm.R3, 0, done)
		s.emit(asm.Add.Imm(asm.R3, -3))
		s.ja(next)
		s.place(done)
		s.exit(0)
	})
}
