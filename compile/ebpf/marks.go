package ebpf

import (
	cebpf "github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"stapkit/compile/object"
	"stapkit/ir"
)

// maxMarks is how many members all sets have together.
const maxMarks = 1 << 15

// markMember makes the intrinsics about sets of numbers; for ir.IMarked it leaves 0
// or 1 in R0.
func (p *prog) markMember(e *ir.Intrinsic) {
	m := p.mark()
	defer p.release(m)
	key := p.alloc(16)
	p.intInto(e.Args[0], mem{key.off, 8})
	p.intInto(e.Args[1], mem{key.off + 8, 8})
	value := p.alloc(8)
	if e.ID == ir.IMark {
		p.memImm(value, 1)
	}
	p.mapPtr(asm.R1, ir.MapMarks)
	p.memAddr(asm.R2, key)
	switch e.ID {
	case ir.IMark:
		p.memAddr(asm.R3, value)
		p.imm(asm.R4, updateAny)
		p.emit(asm.FnMapUpdateElem.Call())
	case ir.IUnmark:
		p.emit(asm.FnMapDeleteElem.Call())
	default:
		none := p.label()
		p.emit(asm.FnMapLookupElem.Call())
		p.jimm(asm.JEq, asm.R0, 0, none)
		p.imm(asm.R0, 1)
		p.place(none)
	}
}

// addMarks adds the map of the sets, if there are any.
func (g *generator) addMarks() {
	if g.maps[ir.MapMarks] {
		g.spec.Maps = append(g.spec.Maps, object.Map{Name: ir.MapMarks, Type: cebpf.Hash, KeySize: 16, ValueSize: 8, MaxEntries: maxMarks})
	}
}
