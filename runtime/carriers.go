package loader

import (
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"stapkit/ir"
)

// attachments are the rows of a probe in the order in which they are tried: the compiler's,
// but that of two programs for one tracepoint which are the same the one without types comes
// first.
func attachments(p *ir.Program, probe *ir.Probe, spec *ebpf.CollectionSpec) []*ir.Attach {
	list := make([]*ir.Attach, len(probe.Attach))
	for i := range probe.Attach {
		list[i] = &probe.Attach[i]
	}
	for i := 1; spec != nil && i < len(list); i++ {
		typed, plain := list[i-1], list[i]
		if typed.Carrier == "tp_btf" && plain.Carrier == "raw_tp" && typed.Target == plain.Target &&
			alike(spec.Programs[p.Handlers[typed.Handler].Name], spec.Programs[p.Handlers[plain.Handler].Name]) {
			list[i-1], list[i] = plain, typed
		}
	}
	return list
}

// alike reports whether two programs have the same instructions.
func alike(a, b *ebpf.ProgramSpec) bool {
	if a == nil || b == nil || len(a.Instructions) != len(b.Instructions) {
		return false
	}
	for i := range a.Instructions {
		x, y := &a.Instructions[i], &b.Instructions[i]
		if x.OpCode != y.OpCode || x.Dst != y.Dst || x.Src != y.Src || x.Offset != y.Offset || x.Constant != y.Constant ||
			x.Reference() != y.Reference() || relocation(x) != relocation(y) {
			return false
		}
	}
	return true
}

// relocation tells what an instruction is relocated by, without the number of the local type.
func relocation(ins *asm.Instruction) string {
	r := btf.CORERelocationMetadata(ins)
	if r == nil {
		return ""
	}
	text, _, _ := strings.Cut(r.String(), ", local_id=")
	return text
}
