package ebpf

import (
	"maps"
	"sort"

	cebpf "github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"stapkit/compile/object"
	"stapkit/ir"
)

// callRegs says where struct pt_regs tells about a system call: three words in a
// row have its number and whether the program is one of 32 bits.
type callRegs struct {
	from, nr, mode int32 // of the three words; the others in them
	mask, compat   int32 // of the mode
	// Where the arguments are, and those of a 32-bit program.
	args, args32 [6]int
	// socketcall is the number of the call that stands for all of sockets in 32-bit
	// programs, 0 if there is none.
	socketcall int32
}

var syscallRegs = map[string]callRegs{
	"amd64": {from: 120, nr: 0, mode: 16, mask: 0xffff, compat: 0x23, // orig_ax, ip, cs: __USER32_CS
		args:       [6]int{112, 104, 96, 56, 72, 64}, // di si dx r10 r8 r9
		args32:     [6]int{40, 88, 96, 104, 112, 32}, // bx cx dx si di bp
		socketcall: 102},
	"arm64": {from: 264, nr: 16, mode: 0, mask: 0x10, compat: 0x10, // pstate, orig_x0, syscallno: PSR_MODE32_BIT
		args:   [6]int{272, 8, 16, 24, 32, 40}, // x0 holds the result later
		args32: [6]int{272, 8, 16, 24, 32, 40}},
}

// maxSyscallShift is the binary logarithm of ir.MaxSyscall.
const maxSyscallShift = 10

// syscallIndex reads which system call a raw tracepoint is about: its number, and
// MaxSyscall more if the program is one of 32 bits. It is left in R0. The 24 bytes
// at buf of the register base are used.
func (g *generator) syscallIndex(target string, ctx, base asm.Register, buf int16) asm.Instructions {
	r := syscallRegs[g.opt.Arch]
	insns := asm.Instructions{
		asm.LoadMem(asm.R3, ctx, 0, asm.DWord),
		asm.Add.Imm(asm.R3, r.from),
		asm.Mov.Reg(asm.R1, base),
		asm.Add.Imm(asm.R1, int32(buf)),
		asm.Mov.Imm(asm.R2, 24),
		asm.FnProbeReadKernel.Call(),
	}
	if target == "sys_enter" {
		insns = append(insns, asm.LoadMem(asm.R0, ctx, 8, asm.DWord))
	} else {
		// The second argument is the result.
		insns = append(insns, asm.LoadMem(asm.R0, base, buf+int16(r.nr), asm.Word)) // arm64 has 32 bits
	}
	return append(insns,
		// A number that no table has must not become one of 32 bits.
		asm.Mov.Reg(asm.R2, asm.R0),
		asm.RSh.Imm(asm.R2, maxSyscallShift),
		asm.LSh.Imm(asm.R2, 32),
		asm.Or.Reg(asm.R0, asm.R2),
		// 0 if the mode is that of 32 bits, and so negative when one is taken away
		asm.LoadMem(asm.R1, base, buf+int16(r.mode), asm.DWord),
		asm.And.Imm(asm.R1, r.mask),
		asm.Xor.Imm(asm.R1, r.compat),
		asm.Sub.Imm(asm.R1, 1),
		asm.RSh.Imm(asm.R1, 63),
		asm.LSh.Imm(asm.R1, maxSyscallShift),
		asm.Add.Reg(asm.R0, asm.R1),
	)
}

// mostCalls is with how many calls most pass nothing by, so that asking is for nothing.
const mostCalls = 200

// passBy leaves a dispatcher at entries of calls that no handler is for, whatever the
// program's kind, by a table of bytes: all that the others cost.
func (g *generator) passBy(d ir.Dispatcher) asm.Instructions {
	table := make([]byte, ir.MaxSyscall)
	for nr := range d.Handlers {
		if nr >= 2*ir.MaxSyscall {
			nr = uint64(syscallRegs[g.opt.Arch].socketcall)
		}
		table[nr%ir.MaxSyscall] = 1
	}
	return asm.Instructions{
		asm.LoadMem(asm.R0, asm.R1, 8, asm.DWord),
		asm.JGE.Imm(asm.R0, ir.MaxSyscall, "out"),
		asm.LoadMapValue(asm.R1, 0, uint32(g.consts.add(table))).WithReference(ir.MapConst),
		asm.Add.Reg(asm.R1, asm.R0),
		asm.LoadMem(asm.R1, asm.R1, 0, asm.Byte),
		asm.JEq.Imm(asm.R1, 0, "out"),
	}
}

// bySocketCall reports whether calls are told apart that go through socketcall.
func (g *generator) bySocketCall(numbers func(yield func(uint64) bool)) bool {
	if syscallRegs[g.opt.Arch].socketcall == 0 {
		return false
	}
	for nr := range numbers {
		if nr >= 2*ir.MaxSyscall {
			return true
		}
	}
	return false
}

// socketIndex reads which of the calls behind socketcall it is: it leaves 2*MaxSyscall
// and its number in R0, or more than MaxCalls.
func (g *generator) socketIndex(ctx, base asm.Register, buf int16) asm.Instructions {
	return asm.Instructions{
		asm.LoadMem(asm.R3, ctx, 0, asm.DWord),
		asm.Add.Imm(asm.R3, int32(syscallRegs[g.opt.Arch].args32[0])),
		asm.Mov.Reg(asm.R1, base),
		asm.Add.Imm(asm.R1, int32(buf)),
		asm.Mov.Imm(asm.R2, 8),
		asm.FnProbeReadKernel.Call(),
		asm.LoadMem(asm.R0, base, buf, asm.Word),
		asm.Add.Imm(asm.R0, 2*ir.MaxSyscall),
	}
}

// dispatchers makes the programs on the raw tracepoints of system calls that jump
// to the handlers by the call's number (ir.Dispatcher).
func (g *generator) dispatchers() {
	for _, d := range g.p.Dispatchers() {
		table := d.Name + "_m"
		insns := asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1)}
		if d.Target == "sys_enter" && len(d.Handlers) <= mostCalls {
			insns = append(insns, g.passBy(d)...)
		}
		insns = append(insns, g.syscallIndex(d.Target, asm.R6, asm.RFP, -24)...)
		check := asm.JGE.Imm(asm.R0, ir.MaxCalls, "out")
		if g.bySocketCall(maps.Keys(d.Handlers)) {
			insns = append(insns, asm.JNE.Imm(asm.R0, ir.MaxSyscall+syscallRegs[g.opt.Arch].socketcall, "known"))
			insns = append(insns, g.socketIndex(asm.R6, asm.RFP, -24)...)
			check = check.WithSymbol("known")
		}
		insns = append(insns, check,
			asm.Mov.Reg(asm.R3, asm.R0),
			asm.Mov.Reg(asm.R1, asm.R6),
			asm.LoadMapPtr(asm.R2, 0).WithReference(table),
			asm.FnTailCall.Call(),
			asm.Mov.Imm(asm.R0, 0).WithSymbol("out"),
			asm.Return(),
		)
		m := object.Map{Name: table, Type: cebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: ir.MaxCalls}
		for nr, h := range d.Handlers {
			m.Values = append(m.Values, object.MapValue{Index: uint32(nr), Name: g.p.Handlers[h].Name})
		}
		sort.Slice(m.Values, func(i, j int) bool { return m.Values[i].Index < m.Values[j].Index })
		g.spec.Programs = append(g.spec.Programs, object.Program{Name: d.Name, Section: "raw_tp/" + d.Target, Insns: insns})
		g.spec.Maps = append(g.spec.Maps, m)
	}
}
