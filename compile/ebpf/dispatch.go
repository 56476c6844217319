package ebpf

import (
	"maps"
	"sort"
	"strconv"

	cebpf "github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"stapkit/compile/object"
	"stapkit/ir"
)

// callRegs says where struct pt_regs tells about a system call.
type callRegs struct {
	nr int32 // its number at the exit; on arm64 of four bytes
	// Where there is one: the word that tells programs of 32 bits, and the number of the bit
	// that is then set. On x86 a task knows it of each call (threadStatus).
	mode, mode32 int32
	// Where the arguments are, and those of a 32-bit program.
	args, args32 [6]int
	// muxes are the calls that stand for several in 32-bit programs.
	muxes []mux
}

// A mux is the number of a call whose first argument tells, by the bits of a mask, which
// call is made; from is where the numbers of these begin.
type mux struct{ nr, mask, from int32 }

var syscallRegs = map[string]callRegs{
	"amd64": {nr: 120, // orig_ax
		args:   [6]int{112, 104, 96, 56, 72, 64}, // di si dx r10 r8 r9
		args32: [6]int{40, 88, 96, 104, 112, 32}, // bx cx dx si di bp
		muxes:  []mux{{nr: 102, mask: -1}, {nr: 117, mask: 0xffff, from: ir.MuxIPC}}},
	"arm64": {nr: 280, mode: 264, mode32: 4, // syscallno; pstate: PSR_MODE32_BIT
		args:   [6]int{272, 8, 16, 24, 32, 40}, // x0 holds the result later
		args32: [6]int{272, 8, 16, 24, 32, 40}},
}

// maxSyscallShift is the binary logarithm of ir.MaxSyscall.
const maxSyscallShift = 10

// maxMuxShift is that of how many numbers each mux has.
const maxMuxShift = 5

// statusCompat is the bit of a thread's status that x86 sets while a system call is under
// way that was made as by a program of 32 bits: TS_COMPAT.
const statusCompat = 2

// threadStatus leaves in R0 whether the current task is in such a call. The registers do
// not tell: programs of 64 bits can make one, by int 0x80.
func threadStatus() asm.Instructions {
	field := func(name string, t btf.Type) []btf.Member { return []btf.Member{{Name: name, Type: t}} }
	task := &btf.Struct{Name: "task_struct", Size: 20, Members: field("thread_info",
		&btf.Struct{Name: "thread_info", Size: 20, Members: []btf.Member{{Name: "status", Offset: 16 * 8, Type: &btf.Int{Name: "unsigned int", Size: 4}}}})}
	return asm.Instructions{
		asm.FnGetCurrentTaskBtf.Call(),
		object.WithCORE(asm.LoadMem(asm.R0, asm.R0, 16, asm.Word), object.CORE{Type: task, Access: "0:0:0", Kind: object.FieldByteOffset}),
		asm.RSh.Imm(asm.R0, 1),
		asm.And.Imm(asm.R0, statusCompat>>1),
	}
}

// syscallIndex reads which system call a raw tracepoint is about: its number, and
// MaxSyscall more if it is one of 32-bit programs. It is left in R0. The 16 bytes
// at buf of the register base are used.
func (g *generator) syscallIndex(target string, ctx, base asm.Register, buf int16) asm.Instructions {
	r := syscallRegs[g.opt.Arch]
	var insns asm.Instructions
	word := func(at int32, to int16) {
		insns = append(insns,
			asm.LoadMem(asm.R3, ctx, 0, asm.DWord),
			asm.Add.Imm(asm.R3, at),
			asm.Mov.Reg(asm.R1, base),
			asm.Add.Imm(asm.R1, int32(to)),
			asm.Mov.Imm(asm.R2, 8),
			asm.FnProbeReadKernel.Call())
	}
	if target != "sys_enter" {
		word(r.nr, buf)
	}
	if r.mode32 != 0 {
		word(r.mode, buf+8)
		insns = append(insns,
			asm.LoadMem(asm.R1, base, buf+8, asm.DWord),
			asm.RSh.Imm(asm.R1, r.mode32),
			asm.And.Imm(asm.R1, 1))
	} else {
		insns = append(insns, threadStatus()...)
		insns = append(insns, asm.Mov.Reg(asm.R1, asm.R0))
	}
	if target == "sys_enter" {
		insns = append(insns, asm.LoadMem(asm.R0, ctx, 8, asm.DWord))
	} else {
		// The second argument is the result.
		insns = append(insns, asm.LoadMem(asm.R0, base, buf, asm.Word)) // arm64 has 32 bits
	}
	return append(insns,
		// A number that no table has must not become one of 32 bits.
		asm.Mov.Reg(asm.R2, asm.R0),
		asm.RSh.Imm(asm.R2, maxSyscallShift),
		asm.LSh.Imm(asm.R2, 32),
		asm.Or.Reg(asm.R0, asm.R2),
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
		if nr < 2*ir.MaxSyscall {
			table[nr%ir.MaxSyscall] = 1
		}
	}
	for _, m := range g.muxes(maps.Keys(d.Handlers)) {
		table[m.nr] = 1
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

// muxes are those through which calls of some numbers are made.
func (g *generator) muxes(numbers func(yield func(uint64) bool)) []mux {
	var list []mux
	for _, m := range syscallRegs[g.opt.Arch].muxes {
		from := uint64(2*ir.MaxSyscall + m.from)
		for nr := range numbers {
			if nr >= from && nr < from+ir.MuxIPC {
				list = append(list, m)
				break
			}
		}
	}
	return list
}

// muxIndex reads which of the calls behind one it is: it leaves its number in R0, behind all
// that have numbers of their own, or more than MaxCalls.
func (g *generator) muxIndex(m mux, ctx, base asm.Register, buf int16) asm.Instructions {
	return asm.Instructions{
		asm.LoadMem(asm.R3, ctx, 0, asm.DWord),
		asm.Add.Imm(asm.R3, int32(syscallRegs[g.opt.Arch].args32[0])),
		asm.Mov.Reg(asm.R1, base),
		asm.Add.Imm(asm.R1, int32(buf)),
		asm.Mov.Imm(asm.R2, 8),
		asm.FnProbeReadKernel.Call(),
		asm.LoadMem(asm.R0, base, buf, asm.Word),
		asm.And.Imm(asm.R0, m.mask),
		// One that is not there must not become one of another.
		asm.Mov.Reg(asm.R2, asm.R0),
		asm.RSh.Imm(asm.R2, maxMuxShift),
		asm.LSh.Imm(asm.R2, 32),
		asm.Or.Reg(asm.R0, asm.R2),
		asm.Add.Imm(asm.R0, 2*ir.MaxSyscall+m.from),
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
		insns = append(insns, g.syscallIndex(d.Target, asm.R6, asm.RFP, -16)...)
		next := "" // label of the next instruction
		add := func(more ...asm.Instruction) {
			if next != "" {
				more[0] = more[0].WithSymbol(next)
			}
			insns = append(insns, more...)
		}
		for i, m := range g.muxes(maps.Keys(d.Handlers)) {
			after := "mux" + strconv.Itoa(i)
			add(asm.JNE.Imm(asm.R0, ir.MaxSyscall+m.nr, after))
			insns = append(insns, g.muxIndex(m, asm.R6, asm.RFP, -16)...)
			next = after
		}
		add(asm.JGE.Imm(asm.R0, ir.MaxCalls, "out"),
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
