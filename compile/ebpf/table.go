package ebpf

import (
	"strconv"

	"github.com/cilium/ebpf/asm"

	"stapkit/format"
	"stapkit/ir"
)

// maxConst bounds the constant data.
const maxConst = 1 << 24

// tableLookup turns a number into a name.
func (p *prog) tableLookup(e *ir.Lookup, dst text) {
	if e.Table < 0 || e.Table >= len(p.g.p.Tables) {
		p.internal(p.site, "no table %d", e.Table)
		return
	}
	t := &p.g.p.Tables[e.Table]
	v := p.alloc(8)
	p.intInto(e.X, v)
	p.need(inSlot)
	other, done := p.label(), p.label()
	if len(t.Entries) > 0 {
		p.memLoad(asm.R1, v)
		p.emit(asm.Call.Label(p.g.tableSub(e.Table)))
		p.jimm(asm.JEq, asm.R0, 0, other)
		place := p.alloc(8)
		p.memStore(place, asm.R0)
		p.zero(dst)
		p.constant(asm.R3, 0)
		p.memLoad(asm.R0, place)
		p.jimm(asm.JGT, asm.R0, maxConst, other) // never: the verifier wants a bound
		p.emit(asm.Add.Reg(asm.R3, asm.R0), asm.Add.Imm(asm.R3, -1))
		p.addr(asm.R1, dst)
		p.imm(asm.R2, int64(p.limit(dst.width)))
		p.emit(asm.FnProbeReadKernelStr.Call())
		p.ja(done)
	}
	p.place(other)
	def, err := format.Parse(t.Default)
	if types := def.ArgTypes(); err != nil || len(types) > 1 || len(types) == 1 && types[0] != format.Long {
		p.internal(p.site, "table %s: default %q", t.Name, t.Default)
		return
	}
	m := p.mark()
	if t.Kind == ir.TableFlags {
		p.flags(t, &def, v, dst)
	} else {
		p.other(&def, v, dst)
	}
	p.release(m)
	p.place(done)
}

// other makes the text for a number without a name.
func (p *prog) other(def *format.Format, v mem, dst text) {
	p.format(def, []val{{kind: isMem, mem: v}}, make([]text, 1), dst, p.site)
}

// flags joins the names of the bits that are set.
func (p *prog) flags(t *ir.Table, def *format.Format, v mem, dst text) {
	rest := p.alloc(8)
	p.memLoad(asm.R0, v)
	p.memStore(rest, asm.R0)
	b := p.build(dst)
	sep := func(name func()) {
		first := p.label()
		p.memLoad(asm.R0, b.len)
		p.jimm(asm.JEq, asm.R0, 0, first)
		b.literal("|")
		p.place(first)
		name()
	}
	for _, e := range t.Entries {
		if e.Value == 0 {
			continue
		}
		unset := p.label()
		p.memLoad(asm.R1, v)
		p.imm(asm.R2, e.Value)
		p.mov(asm.R3, asm.R1)
		p.emit(asm.And.Reg(asm.R3, asm.R2))
		p.jreg(asm.JNE, asm.R3, asm.R2, unset)
		p.memLoad(asm.R1, rest)
		p.emit(asm.Xor.Imm(asm.R2, -1), asm.And.Reg(asm.R1, asm.R2))
		p.memStore(rest, asm.R1)
		sep(func() { b.literal(e.Name) })
		p.place(unset)
	}
	none, some := p.label(), p.label()
	p.memLoad(asm.R0, rest)
	p.jimm(asm.JNE, asm.R0, 0, some)
	p.memLoad(asm.R0, v)
	p.jimm(asm.JNE, asm.R0, 0, none)
	p.place(some)
	tmp := p.frameText(p.alloc(dst.width))
	p.other(def, rest, tmp)
	base, off := p.reach(asm.R1, tmp)
	p.load(asm.R0, base, off)
	p.jimm(asm.JEq, asm.R0, 0, none)
	sep(func() { b.text(tmp) })
	p.place(none)
	b.done()
}

// tableSub is a subprogram that searches the table for the number in R1. It
// returns the place of the name in the constant data and 1, or 0.
func (g *generator) tableSub(id int) string {
	return g.sub("stap_table_"+strconv.Itoa(id), func(s *stream) {
		list := g.p.Tables[id].Entries
		var search func(lo, hi int)
		search = func(lo, hi int) {
			if lo >= hi {
				s.exit(0)
				return
			}
			mid := (lo + hi) / 2
			e := list[mid]
			above, differ := s.label(), s.label()
			s.jimm(asm.JNE, asm.R1, e.Value, differ)
			s.imm(asm.R0, int64(g.consts.str(e.Name)+1))
			s.emit(asm.Return())
			s.place(differ)
			if hi-lo > 1 {
				s.jimm(asm.JSGT, asm.R1, e.Value, above)
				search(lo, mid)
				s.place(above)
				search(mid+1, hi)
				return
			}
			s.exit(0)
		}
		search(0, len(list))
	})
}
