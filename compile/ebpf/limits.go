package ebpf

import "github.com/cilium/ebpf/asm"

// The verifier's bounds of a program and all that it calls (BPF_MAX_SUBPROGS,
// MAX_USED_MAPS, BPF_COMPLEXITY_LIMIT_INSNS, MAX_BPF_STACK, MAX_CALL_FRAMES).
const (
	maxSubprograms  = 256
	maxMaps         = 64
	maxInstructions = 1_000_000
	maxStack        = 512
	maxFrames       = 8
)

// checkLimits holds each program against the verifier's bounds, which are known here,
// and completes the reports.
func (g *generator) checkLimits() {
	u := &usage{code: map[string]asm.Instructions{}, deep: map[string]depth{}}
	for i := range g.functions {
		u.code[g.functions[i].Name] = g.functions[i].Insns
	}
	sites := map[string]int{}
	for _, h := range g.kernelHandlers() {
		sites[h.Name] = g.siteOf(h)
	}
	for i := range g.spec.Programs {
		p := &g.spec.Programs[i]
		u.code[p.Name] = p.Insns
		u.functions, u.maps, u.insns = map[string]bool{}, map[string]bool{}, 0
		u.visit(p.Name)
		d := u.depth(p.Name)
		for j := range g.report.Handlers {
			if r := &g.report.Handlers[j]; r.Name == p.Name {
				r.All, r.Stack = u.insns, d.bytes
			}
		}
		switch site := sites[p.Name]; {
		case len(u.functions) > maxSubprograms:
			g.errorf(site, eTooMany, "the handler needs %d subprograms, the most is %d: each loop over an array, each regular expression and each kind of output takes some; split it into several probes", len(u.functions), maxSubprograms)
		case len(u.maps) > maxMaps:
			g.errorf(site, eTooMany, "the handler uses %d maps, the most is %d: each array is one; keep several in one array with a further key", len(u.maps), maxMaps)
		case u.insns > maxInstructions:
			g.errorf(site, eTooLarge, "the handler is too large: %d instructions with its subprograms", u.insns)
		case d.bytes > maxStack || d.frames > maxFrames:
			g.errorf(site, eInternal, "the handler's program takes %d bytes of stack in %d frames", d.bytes, d.frames)
		}
	}
}

// usage is what a program uses, with all that it calls.
type usage struct {
	code      map[string]asm.Instructions // by function
	functions map[string]bool
	maps      map[string]bool
	insns     int
	deep      map[string]depth
}

// depth is the most that a function and those that it calls have on the stack.
type depth struct{ bytes, frames int }

func (u *usage) visit(name string) {
	if u.functions[name] {
		return
	}
	u.functions[name] = true
	list := u.code[name]
	u.insns += len(list)
	for i := range list {
		switch in := &list[i]; {
		case in.IsLoadFromMap():
			u.maps[in.Reference()] = true
		case in.IsFunctionReference():
			u.visit(in.Reference())
		}
	}
}

// depth counts as the verifier does: each frame takes 32 bytes at least, in steps of 32,
// and a callback is called where its address is taken. Functions do not call themselves.
func (u *usage) depth(name string) depth {
	if d, ok := u.deep[name]; ok {
		return d
	}
	least := 0
	var below depth
	list := u.code[name]
	for i := range list {
		in := &list[i]
		if in.IsFunctionReference() {
			d := u.depth(in.Reference())
			below.bytes, below.frames = max(below.bytes, d.bytes), max(below.frames, d.frames)
			continue
		}
		switch class := in.OpCode.Class(); {
		case class == asm.LdXClass && in.Src == asm.R10, (class == asm.StClass || class == asm.StXClass) && in.Dst == asm.R10:
			least = min(least, int(in.Offset))
		case class == asm.ALU64Class && in.OpCode.ALUOp() == asm.Mov && in.OpCode.Source() == asm.RegSource && in.Src == asm.R10 && i+1 < len(list):
			// The address of something there.
			if next := &list[i+1]; next.OpCode == asm.Add.Op(asm.ImmSource) && next.Dst == in.Dst {
				least = min(least, int(next.Constant))
			}
		}
	}
	d := depth{max((-least+31)&^31, 32) + below.bytes, 1 + below.frames}
	u.deep[name] = d
	return d
}
