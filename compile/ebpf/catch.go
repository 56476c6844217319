package ebpf

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf/asm"

	"stapkit/ir"
)

// allCodes are the codes that a function not expanded in place can raise.
var allCodes = func() []ir.ErrCode {
	var list []ir.ErrCode
	for c := ir.ErrUser; !strings.HasPrefix(c.String(), "ErrCode("); c++ {
		if catchable(c) {
			list = append(list, c)
		}
	}
	return list
}()

// catchText makes the text of an error that was caught and stores it in the
// block's variable. Which errors there can be is known last of all.
func (p *prog) catchText(st *ir.Try, t *try) {
	text, caught := p.label(), p.label()
	dst := p.frameText(p.scope.locals[st.Var])
	p.ja(text)
	p.place(caught)
	p.last(func() {
		p.place(text)
		codes := make([]ir.ErrCode, 0, len(t.codes))
		for c := range t.codes {
			codes = append(codes, c)
		}
		slices.Sort(codes)
		for i, c := range codes {
			next := p.label()
			if i+1 < len(codes) {
				p.memLoad(asm.R1, p.errWord(0))
				p.jimm(asm.JNE, asm.R1, int64(c), next)
			}
			p.errorString(dst, c)
			p.ja(caught)
			p.place(next)
		}
		p.ja(caught)
	})
}

// errWord is where the error record has its code (0) and its argument (1).
func (p *prog) errWord(n int) mem { return mem{p.errRec.off + ir.RecHeader + itemHeader + 8*n, 8} }

// errorString stores the text of the error in errRec whose code is c.
func (p *prog) errorString(dst text, c ir.ErrCode) {
	switch c {
	case ir.ErrUser:
		at := p.errWord(3).off
		if n := p.errRec.off + p.errRec.size - at; n > 0 {
			p.copyText(dst, p.frameText(mem{at, n}))
		} else {
			p.zero(dst)
		}
		return
	case ir.ErrNoMatch:
		count, end := p.label(), p.label()
		p.memLoad(asm.R1, p.errWord(1))
		p.jimm(asm.JSLT, asm.R1, 0, count)
		p.errorNumber(dst, c)
		p.ja(end)
		p.place(count)
		p.storeConst(dst, ir.ErrText(c, -1, ""))
		p.place(end)
		return
	}
	p.errorNumber(dst, c)
}

// errorNumber stores the text of an error that has nothing but its argument in it.
func (p *prog) errorNumber(dst text, c ir.ErrCode) {
	// The argument's place and form show where the text of a mark has it.
	const mark = 0x6ff00000000
	s := ir.ErrText(c, mark, "")
	format := ""
	for _, form := range [...][2]string{{fmt.Sprintf("%#x", int64(mark)), "0x%llx"}, {fmt.Sprint(int64(mark)), "%lld"}} {
		if before, after, ok := strings.Cut(s, form[0]); ok {
			format = before + form[1] + after
		}
	}
	if format == "" {
		p.storeConst(dst, s)
		return
	}
	p.zero(dst)
	p.snprintf(dst, format, p.errWord(1))
}

// snprintf formats the numbers in args, eight bytes each, with the kernel's own
// printf. Dst is zero before. R0 is the length that the text would have, and 1.
func (p *prog) snprintf(dst text, format string, args mem) {
	p.addr(asm.R1, dst)
	p.imm(asm.R2, int64(p.limit(dst.width)))
	p.constant(asm.R3, p.g.consts.add(append([]byte(format), 0)))
	p.memAddr(asm.R4, args)
	p.imm(asm.R5, int64(args.size))
	p.emit(asm.FnSnprintf.Call())
}

// last is later for code that can be made only when all other code is.
func (p *prog) last(f func()) {
	p.later(f)
	n := len(p.cold) - 1
	p.lastCold = append(p.lastCold, p.cold[n])
	p.cold = p.cold[:n]
}
