package ebpf

import (
	"github.com/cilium/ebpf/asm"

	"stapkit/compile/object"
	"stapkit/ir"
	"stapkit/target/btf"
	"stapkit/target/ctype"

	cbtf "github.com/cilium/ebpf/btf"
)

// loadMem evaluates a load through an address.
func (p *prog) loadMem(e *ir.Load, dst asm.Register) {
	p.readNumber(e.Addr, 0, e.Size, e.Signed, e.Space, e.Site, dst)
}

// coreType returns the type that relocations of Program.Types[id] refer to.
func (g *generator) coreType(id, site int) cbtf.Type {
	if t, ok := g.types[id]; ok {
		return t
	}
	if id < 0 || id >= len(g.p.Types) {
		g.errorf(site, eInternal, "no type %d", id)
		return nil
	}
	var t cbtf.Type
	c, err := ctype.Decode(g.p.Types[id].Members)
	if err == nil {
		t, err = btf.NewExporter().Type(c)
	}
	if err != nil {
		g.errorf(site, eInternal, "type %s %s: %v", g.p.Types[id].Kind, g.p.Types[id].Name, err)
		return nil
	}
	g.types[id] = t
	return t
}

// relocation returns the CO-RE relocation for a field, and whether it has one.
func (p *prog) relocation(id int, access string, kind object.COREKind, site int) (object.CORE, bool) {
	if id < 0 {
		return object.CORE{}, false
	}
	t := p.g.coreType(id, site)
	if t == nil {
		return object.CORE{}, false
	}
	return object.CORE{Type: t, Access: access, Kind: kind}, true
}

// field evaluates an access through a structure type.
func (p *prog) field(e *ir.Field, dst asm.Register) {
	offset, reloc := p.relocation(e.TypeID, e.Access, object.FieldByteOffset, e.Site)
	add := func(r asm.Register) {
		switch {
		case reloc:
			p.emit(object.WithCORE(asm.Add.Imm(r, int32(e.Off)), offset))
		default:
			p.addImm(r, int64(e.Off))
		}
	}
	switch {
	case e.AddrOnly:
		p.int(e.Base, dst)
		add(dst)
	case e.BitSize > 0:
		p.bitField(e, dst, reloc, add)
	case e.Trusted && e.Space == ir.KernelSpace && p.trusted(e.Base):
		// The verifier knows the type; a null pointer is a fault. It also takes
		// most arguments for valid that are null or an error number at times
		// (sched_process_wait's), drops a test for that, and the load is one of
		// those that crash the kernel. What it lets pass is a test of the lower
		// half, which 32-bit subtraction makes a number of.
		fault := p.errConst(ir.ErrKernelFault, e.Site, int32(e.Off))
		p.typedArg(e.Base.(*ir.CtxArg), asm.R1)
		p.jimm(asm.JEq, asm.R1, 0, fault)
		p.mov(asm.R2, asm.R1)
		p.emit(asm.Sub.Imm32(asm.R2, -maxErrno))
		p.jimm(asm.JLE, asm.R2, maxErrno, fault)
		ld := asm.LoadMem(dst, asm.R1, int16(e.Off), sizeOf(e.Size))
		if reloc {
			ld = object.WithCORE(ld, offset)
		}
		p.emit(ld)
		p.extend(dst, e.Size, e.Signed, false)
	default:
		m := p.mark()
		a := p.hold(e.Base)
		p.readAt(a, func() { add(asm.R3) }, e.Size, e.Signed, e.Space, e.Site, dst)
		p.release(m)
	}
}

// trusted reports whether the verifier knows the type of the address e.
func (p *prog) trusted(e ir.Expr) bool {
	_, ok := e.(*ir.CtxArg)
	return ok && p.h.Ctx == ir.CtxBTFTP
}

// bitField reads the storage unit and cuts the bits out of it: with a relocation
// in the way the kernel's compiler laid them out.
func (p *prog) bitField(e *ir.Field, dst asm.Register, reloc bool, add func(asm.Register)) {
	m := p.mark()
	defer p.release(m)
	a := p.hold(e.Base)
	p.readAt(a, func() { add(asm.R3) }, e.Size, false, e.Space, e.Site, dst)
	left, right := int32(64-e.BitOff-e.BitSize), int32(64-e.BitSize)
	shl := asm.LSh.Imm(dst, left)
	shr := asm.RSh.Imm(dst, right)
	if e.Signed {
		shr = asm.ArSh.Imm(dst, right)
	}
	if reloc {
		if c, ok := p.relocation(e.TypeID, e.Access, object.FieldLShift, e.Site); ok {
			shl = object.WithCORE(shl, c)
		}
		if c, ok := p.relocation(e.TypeID, e.Access, object.FieldRShift, e.Site); ok {
			shr = object.WithCORE(shr, c)
		}
	}
	p.emit(shl, shr)
}

// exists sets dst to whether the running kernel has a member or type.
func (p *prog) exists(e *ir.Exists, dst asm.Register) {
	kind, access := object.FieldExists, e.Access
	if access == "" {
		kind, access = object.TypeExists, "0"
	}
	c, ok := p.relocation(e.TypeID, access, kind, p.site)
	if !ok {
		p.internal(p.site, "existence of type %d", e.TypeID)
		return
	}
	p.emit(object.WithCORE(asm.Mov.Imm(dst, 1), c))
}
