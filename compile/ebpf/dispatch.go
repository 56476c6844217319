package ebpf

import (
	"sort"

	cebpf "github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"stapkit/compile/object"
	"stapkit/ir"
)

// syscallNr is where struct pt_regs keeps the number of the system call.
var syscallNr = map[string]int32{"amd64": 120, "arm64": 280}

// dispatchers makes the programs on the raw tracepoints of system calls that jump
// to the handlers by the call's number (ir.Dispatcher).
func (g *generator) dispatchers() {
	for _, d := range g.p.Dispatchers() {
		table := d.Name + "_m"
		insns := asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1)}
		if d.Target == "sys_enter" {
			insns = append(insns, asm.LoadMem(asm.R3, asm.R1, 8, asm.DWord))
		} else {
			// The second argument is the result; the number is in the registers.
			insns = append(insns,
				asm.LoadMem(asm.R3, asm.R1, 0, asm.DWord),
				asm.Add.Imm(asm.R3, syscallNr[g.opt.Arch]),
				asm.Mov.Reg(asm.R1, asm.RFP),
				asm.Add.Imm(asm.R1, -8),
				asm.Mov.Imm(asm.R2, 8),
				asm.FnProbeReadKernel.Call(),
				asm.LoadMem(asm.R3, asm.RFP, -8, asm.Word), // arm64 has 32 bits
			)
		}
		insns = append(insns,
			asm.JGE.Imm(asm.R3, ir.MaxSyscall, "out"),
			asm.Mov.Reg(asm.R1, asm.R6),
			asm.LoadMapPtr(asm.R2, 0).WithReference(table),
			asm.FnTailCall.Call(),
			asm.Mov.Imm(asm.R0, 0).WithSymbol("out"),
			asm.Return(),
		)
		m := object.Map{Name: table, Type: cebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: ir.MaxSyscall}
		for nr, h := range d.Handlers {
			m.Values = append(m.Values, object.MapValue{Index: uint32(nr), Name: g.p.Handlers[h].Name})
		}
		sort.Slice(m.Values, func(i, j int) bool { return m.Values[i].Index < m.Values[j].Index })
		g.spec.Programs = append(g.spec.Programs, object.Program{Name: d.Name, Section: "raw_tp/" + d.Target, Insns: insns})
		g.spec.Maps = append(g.spec.Maps, m)
	}
}
