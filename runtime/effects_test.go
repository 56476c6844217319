package loader

import (
	"errors"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"stapkit/bundle"
)

// TestEffects judges programs by what is in them.
func TestEffects(t *testing.T) {
	quiet := asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}
	accept := asm.Instructions{asm.Mov.Imm(asm.R0, 1), asm.Return()}
	jump := func(op asm.JumpOp, distance int16) asm.Instruction {
		ins := op.Imm(asm.R1, 0, "")
		ins.Offset = distance
		return ins.WithReference("")
	}
	drops := asm.Instructions{ // a jump to the exit itself, with another value in R0
		asm.Mov.Imm(asm.R0, 0), jump(asm.JEq, 1), asm.Mov.Imm(asm.R0, 1), asm.Return(),
	}
	passes := asm.Instructions{jump(asm.JEq, 1), asm.Mov.Imm(asm.R2, 7), asm.Mov.Imm(asm.R0, 1), asm.Return()}
	wide := asm.Instructions{ // what is jumped over takes two words
		asm.Mov.Imm(asm.R0, 0), jump(asm.JEq, 3), asm.LoadImm(asm.R3, 1<<40, asm.DWord), asm.Mov.Imm(asm.R0, 1), asm.Return(),
	}
	far := asm.Instructions{
		asm.Mov.Imm(asm.R0, 0), {OpCode: farJump, Constant: 1}, asm.Mov.Imm(asm.R0, 1), asm.Return(),
	}
	// The function that is called may return what it likes.
	calls := asm.Instructions{
		asm.LoadImm(asm.R2, 0, asm.DWord), asm.Mov.Imm(asm.R0, 1), asm.Return(),
		asm.Mov.Imm(asm.R0, 5).WithSymbol("callback"), asm.Return(),
	}
	calls[0].Src = asm.PseudoFunc
	calls[0] = calls[0].WithReference("callback")
	// A name that nothing calls begins no function.
	feigned := slices.Clone(calls)
	feigned[0] = asm.Mov.Imm(asm.R2, 0)
	kfunc := func(name string) asm.Instructions {
		call := asm.Instruction{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Call), Src: asm.PseudoKfuncCall}.WithReference(name)
		return append(asm.Instructions{call}, quiet...)
	}
	helper := func(fn asm.BuiltinFunc) asm.Instructions { return append(asm.Instructions{fn.Call()}, quiet...) }
	for _, tc := range []struct {
		name   string
		typ    ebpf.ProgramType
		attach ebpf.AttachType
		insns  asm.Instructions
		rights []string
		no     bool // nothing permits it
	}{
		{"watching", ebpf.Kprobe, 0, quiet, nil, false},
		{"what a kprobe returns", ebpf.Kprobe, 0, asm.Instructions{asm.Mov.Imm(asm.R0, 9), asm.Return()}, nil, false},
		{"hook that allows", ebpf.LSM, 0, quiet, nil, false},
		{"hook that denies", ebpf.LSM, 0, accept, []string{bundle.RightVerdict}, false},
		{"hook with a value", ebpf.LSM, 0, asm.Instructions{asm.Mov.Reg(asm.R0, asm.R1), asm.Return()}, []string{bundle.RightVerdict}, false},
		{"hook that returns at once", ebpf.LSM, 0, asm.Instructions{asm.Return()}, []string{bundle.RightVerdict}, false},
		{"packets pass", ebpf.Netfilter, 0, accept, nil, false},
		{"packets are dropped", ebpf.Netfilter, 0, quiet, []string{bundle.RightVerdict}, false},
		{"packets pass either way", ebpf.Netfilter, 0, passes, nil, false},
		{"some packets are dropped", ebpf.Netfilter, 0, drops, []string{bundle.RightVerdict}, false},
		{"over two words", ebpf.Netfilter, 0, wide, []string{bundle.RightVerdict}, false},
		{"far", ebpf.Netfilter, 0, far, []string{bundle.RightVerdict}, false},
		{"with a function", ebpf.Netfilter, 0, calls, nil, false},
		{"with a feigned function", ebpf.Netfilter, 0, feigned, []string{bundle.RightVerdict}, false},
		{"results are changed", ebpf.Tracing, ebpf.AttachModifyReturn, accept, []string{bundle.RightOverride}, false},
		{"results are seen", ebpf.Tracing, ebpf.AttachTraceFExit, accept, nil, false},
		{"signal", ebpf.Kprobe, 0, helper(asm.FnSendSignal), []string{bundle.RightSignal}, false},
		{"signal by a kernel function", ebpf.Kprobe, 0, kfunc("bpf_send_signal_task"), []string{bundle.RightSignal}, false},
		{"override", ebpf.Kprobe, 0, helper(asm.FnOverrideReturn), []string{bundle.RightOverride}, false},
		{"write", ebpf.Kprobe, 0, helper(asm.FnProbeWriteUser), []string{bundle.RightWrite}, false},
		{"options of an execution", ebpf.LSM, 0, helper(asm.FnBprmOptsSet), []string{bundle.RightVerdict}, false},
		{"preemption", ebpf.Kprobe, 0, kfunc("bpf_preempt_disable"), nil, false},
		{"loads others", ebpf.Syscall, 0, helper(asm.FnSysBpf), nil, true},
		{"stops the machine", ebpf.Syscall, 0, kfunc("crash_kexec"), nil, true},
		{"kernel function without a name", ebpf.Kprobe, 0, kfunc(""), nil, true},
		{"network", ebpf.XDP, 0, quiet, nil, true},
	} {
		rights := map[string]bool{}
		err := effects(&ebpf.ProgramSpec{Name: "p", Type: tc.typ, AttachType: tc.attach, Instructions: tc.insns}, rights)
		if errors.Is(err, ErrForbidden) != tc.no || err != nil && !tc.no {
			t.Errorf("%s: %v", tc.name, err)
		}
		for _, r := range tc.rights {
			if !rights[r] {
				t.Errorf("%s: not the right %s", tc.name, r)
			}
			delete(rights, r)
		}
		if len(rights) > 0 {
			t.Errorf("%s: %v", tc.name, rights)
		}
	}
}
