package loader

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"stapkit/bundle"
)

// What programs do to the host beyond watching it follows from their types, from what they
// call, and from what they return.

// ErrForbidden marks what no bundle may do, whoever has signed it.
var ErrForbidden = errors.New("no policy permits that")

// helperRights are the rights that a call of a helper takes.
var helperRights = map[asm.BuiltinFunc]string{
	asm.FnSendSignal: bundle.RightSignal, asm.FnSendSignalThread: bundle.RightSignal,
	asm.FnOverrideReturn: bundle.RightOverride, asm.FnProbeWriteUser: bundle.RightWrite,
	// On security hooks: how a program is executed, what a socket does.
	asm.FnBprmOptsSet: bundle.RightVerdict, asm.FnSetsockopt: bundle.RightVerdict, asm.FnSetRetval: bundle.RightVerdict,
}

// noHelpers are helpers by which a program could load and attach others, past all that
// is judged here.
var noHelpers = map[asm.BuiltinFunc]bool{asm.FnSysBpf: true, asm.FnSysClose: true}

// kfuncRights are the kernel functions that scripts call, with the rights they take, "" for
// none. What others do is not known.
var kfuncRights = map[string]string{
	"bpf_preempt_disable": "", "bpf_preempt_enable": "",
	"bpf_send_signal_task": bundle.RightSignal,
}

// programTypes are what scripts consist of.
var programTypes = map[ebpf.ProgramType]bool{
	ebpf.RawTracepoint: true, ebpf.TracePoint: true, ebpf.Kprobe: true, ebpf.PerfEvent: true, ebpf.Tracing: true,
	ebpf.LSM: true, ebpf.Netfilter: true, ebpf.Syscall: true,
}

// effects adds the rights that a program takes, and says why none of them would do.
func effects(prog *ebpf.ProgramSpec, rights map[string]bool) error {
	if !programTypes[prog.Type] {
		return fmt.Errorf("the program %s is of the type %s, which no script has: %w", prog.Name, prog.Type, ErrForbidden)
	}
	for k := range prog.Instructions {
		ins := &prog.Instructions[k]
		switch {
		case ins.IsKfuncCall():
			right, known := kfuncRights[ins.Reference()]
			if !known {
				return fmt.Errorf("the program %s calls the kernel function %q, which no script calls: %w", prog.Name, ins.Reference(), ErrForbidden)
			}
			if right != "" {
				rights[right] = true
			}
		case ins.IsBuiltinCall():
			fn := asm.BuiltinFunc(ins.Constant)
			if noHelpers[fn] {
				return fmt.Errorf("the program %s calls %s, which no script calls: %w", prog.Name, helperName(fn), ErrForbidden)
			}
			if r := helperRights[fn]; r != "" {
				rights[r] = true
			}
		}
	}
	right, quiet := "", int64(0)
	switch {
	case prog.Type == ebpf.LSM:
		right = bundle.RightVerdict
	case prog.Type == ebpf.Netfilter:
		right, quiet = bundle.RightVerdict, 1 // NF_ACCEPT
	case prog.Type == ebpf.Tracing && prog.AttachType == ebpf.AttachModifyReturn:
		right = bundle.RightOverride
	}
	if right != "" && !returnsOnly(prog.Instructions, quiet) {
		rights[right] = true
	}
	return nil
}

// returnsOnly reports whether it can be seen that a program returns nothing but a value:
// each of its exits is reached from the move of that value to R0 right before it, and by
// no jump. What cannot be seen is no. A tail call leads to programs that are judged
// themselves.
func returnsOnly(list asm.Instructions, value int64) bool {
	names, starts := map[string]int{}, map[int]int{} // starts: by the offset in words, which jumps count
	at := make([]int, len(list))
	words := 0
	for i := range list {
		at[i], starts[words] = words, i
		if s := list[i].Symbol(); s != "" {
			names[s] = i
		}
		words += int(list[i].Size()) / asm.InstructionSize
	}
	// Functions follow the program. Where one begins, the kernel finds by the calls, too; it
	// lets no jump cross that.
	end := len(list)
	for i := range list {
		if !list[i].IsFunctionReference() {
			continue
		}
		if to, ok := names[list[i].Reference()]; ok && to > 0 {
			end = min(end, to)
		}
	}
	target := map[int]bool{}
	for i := range list[:end] {
		ins := &list[i]
		if op := ins.OpCode.JumpOp(); !ins.OpCode.Class().IsJump() || op == asm.Exit || op == asm.Call {
			continue
		}
		if ref := ins.Reference(); ref != "" {
			to, ok := names[ref]
			if !ok {
				return false
			}
			target[to] = true
			continue
		}
		distance := int(ins.Offset)
		if ins.OpCode == farJump {
			distance = int(ins.Constant)
		}
		to, ok := starts[at[i]+1+distance]
		if !ok {
			return false
		}
		target[to] = true
	}
	for i := range list[:end] {
		if list[i].OpCode.JumpOp() == asm.Exit && (i == 0 || target[i] || !moves(&list[i-1], value)) {
			return false
		}
	}
	return true
}

// farJump has its distance where others have a constant.
var farJump = asm.OpCode(asm.Jump32Class).SetJumpOp(asm.Ja)

// moves reports whether an instruction moves the value to R0.
func moves(ins *asm.Instruction, value int64) bool {
	op := ins.OpCode
	return op.ALUOp() == asm.Mov && op.Source() == asm.ImmSource && ins.Dst == asm.R0 && ins.Offset == 0 && ins.Constant == value
}
