package loader

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"stapkit/bundle"
	"stapkit/ir"
)

// Uses derives what the image does from its instructions, maps and probes; nothing
// that it says of itself is believed.
func Uses(img Image) (bundle.Uses, error) {
	var u bundle.Uses
	carriers, helpers, kfuncs, rights := map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
	p := img.Program
	for i := range p.Probes {
		for j := range p.Probes[i].Attach {
			carriers[p.Probes[i].Attach[j].Carrier] = true
		}
	}
	intrinsics := func(x ir.Expr) {
		if in, ok := x.(*ir.Intrinsic); ok && in.ID == ir.ISystem {
			rights[bundle.RightSystem] = true
		}
	}
	for _, h := range p.Handlers {
		h.Walk(func(ir.Stmt) {}, intrinsics)
	}
	for _, f := range p.Funcs {
		ir.Walk(f.Body, func(ir.Stmt) {}, intrinsics)
	}
	if len(img.ELF) > 0 {
		spec, err := img.object()
		if err != nil {
			return u, err
		}
		for _, prog := range spec.Programs {
			u.Programs++
			u.Instructions += int64(len(prog.Instructions))
			if err := effects(prog, rights); err != nil {
				return u, err
			}
			for k := range prog.Instructions {
				ins := &prog.Instructions[k]
				switch {
				case ins.IsKfuncCall():
					kfuncs[ins.Reference()] = true
				case ins.IsBuiltinCall():
					helpers[helperName(asm.BuiltinFunc(ins.Constant))] = true
				}
			}
		}
		for _, m := range spec.Maps {
			addMap(&u, m)
		}
	}
	u.Carriers, u.Helpers = slices.Sorted(maps.Keys(carriers)), slices.Sorted(maps.Keys(helpers))
	u.Kfuncs, u.Rights = slices.Sorted(maps.Keys(kfuncs)), slices.Sorted(maps.Keys(rights))
	return u, nil
}

// helperName is a helper's name in the kernel: bpf_ktime_get_ns of FnKtimeGetNs.
func helperName(fn asm.BuiltinFunc) string {
	var b strings.Builder
	b.WriteString("bpf")
	name := strings.TrimPrefix(fn.String(), "Fn")
	for i := range len(name) {
		c := name[i]
		if c >= 'A' && c <= 'Z' {
			b.WriteByte('_')
			c += 'a' - 'A'
		}
		b.WriteByte(c)
	}
	return b.String()
}

// What an element of a hash costs beside key and value (struct htab_elem and its
// bucket), bytes.
const hashElement = 64

// Memory is what a map takes: bytes, and bytes for each CPU.
type Memory struct{ Bytes, PerCPU int64 }

// String is as "12 KiB and 3 KiB for each CPU".
func (m Memory) String() string {
	kib := func(n int64) string { return fmt.Sprintf("%d KiB", (n+1023)>>10) }
	switch {
	case m.PerCPU == 0:
		return kib(m.Bytes)
	case m.Bytes == 0:
		return kib(m.PerCPU) + " for each CPU"
	}
	return kib(m.Bytes) + " and " + kib(m.PerCPU) + " for each CPU"
}

// MapMemory estimates what each map of the image takes, by name.
func MapMemory(img Image) (map[string]Memory, error) {
	out := map[string]Memory{}
	if len(img.ELF) == 0 {
		return out, nil
	}
	spec, err := img.object()
	if err != nil {
		return nil, err
	}
	for name, m := range spec.Maps {
		var u bundle.Uses
		addMap(&u, m)
		out[name] = Memory{u.MapBytes, u.MapBytesPerCPU}
	}
	return out, nil
}

// addMap adds the memory of a map.
func addMap(u *bundle.Uses, m *ebpf.MapSpec) {
	round := func(n uint32) int64 { return (int64(n) + 7) &^ 7 }
	// The kernel takes no map near these bounds; they keep the sums in range.
	entries, key, value := min(int64(m.MaxEntries), 1<<30), min(round(m.KeySize), 1<<24), min(round(m.ValueSize), 1<<24)
	switch m.Type {
	case ebpf.RingBuf, ebpf.UserRingbuf:
		u.MapBytes += entries
	case ebpf.PerCPUArray:
		u.MapBytesPerCPU += entries * value
	case ebpf.PerCPUHash, ebpf.LRUCPUHash:
		u.MapBytes += entries * (key + hashElement)
		u.MapBytesPerCPU += entries * value
	case ebpf.Hash, ebpf.LRUHash, ebpf.LPMTrie, ebpf.HashOfMaps:
		u.MapBytes += entries * (key + value + hashElement)
	case ebpf.StackTrace:
		u.MapBytes += entries * (value + hashElement)
	default:
		u.MapBytes += entries * value
	}
	if m.InnerMap != nil {
		// Two generations: one that is filled, one that is drained.
		addMap(u, m.InnerMap)
		addMap(u, m.InnerMap)
	}
}
