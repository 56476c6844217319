//go:build linux

package loader

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"

	"stapkit/target/btf"
)

// Features asks the running kernel what it can do. The names are
//
//	carrier:NAME  the carrier of an ir.Attach can be used
//	helper:NAME   kprobe programs may call the helper
//	prog:NAME     programs of the type can be loaded
//	map:NAME      maps of the type can be made
//	insn:NAME     the instruction is known
//	kfunc:NAME    the kernel function exists
//
// It needs the privilege to load programs.
func Features() (map[string]bool, error) {
	h := theHost
	if err := h.checkBPF(); err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for name, check := range map[string]func() error{
		"raw_tp":          func() error { return nil },
		"tracepoint":      func() error { return nil },
		"tp_btf":          h.checkBTF,
		"fentry":          h.checkTrampoline,
		"fexit":           h.checkTrampoline,
		"lsm":             h.checkTrampoline,
		"kprobe":          func() error { return h.checkPMU("kprobe", "CONFIG_KPROBE_EVENTS") },
		"kretprobe":       func() error { return h.checkPMU("kprobe", "CONFIG_KPROBE_EVENTS") },
		"kprobe_multi":    h.checkKprobeMulti,
		"kretprobe_multi": h.checkKprobeMulti,
		"uprobe":          func() error { return h.checkPMU("uprobe", "CONFIG_UPROBE_EVENTS") },
		"uprobe_multi":    h.checkUprobeMulti,
		"perf":            h.checkPerf,
		"raw_tp_cookie":   h.checkRawTPCookie,
	} {
		out["carrier:"+name] = check() == nil
	}
	for name, fn := range map[string]asm.BuiltinFunc{
		"bpf_loop": asm.FnLoop, "bpf_for_each_map_elem": asm.FnForEachMapElem, "bpf_get_attach_cookie": asm.FnGetAttachCookie,
		"bpf_get_stack": asm.FnGetStack, "bpf_get_func_ip": asm.FnGetFuncIp, "bpf_probe_read_kernel": asm.FnProbeReadKernel,
		"bpf_probe_write_user": asm.FnProbeWriteUser, "bpf_override_return": asm.FnOverrideReturn, "bpf_send_signal": asm.FnSendSignal,
		"bpf_snprintf": asm.FnSnprintf, "bpf_ringbuf_output": asm.FnRingbufOutput, "bpf_task_pt_regs": asm.FnTaskPtRegs,
		"bpf_map_lookup_percpu_elem": asm.FnMapLookupPercpuElem, "bpf_perf_event_read_value": asm.FnPerfEventReadValue,
	} {
		if err := set(out, "helper:"+name, features.HaveProgramHelper(ebpf.Kprobe, fn)); err != nil {
			return nil, err
		}
	}
	for name, t := range map[string]ebpf.ProgramType{
		"raw_tracepoint": ebpf.RawTracepoint, "kprobe": ebpf.Kprobe, "perf_event": ebpf.PerfEvent,
		"tracepoint": ebpf.TracePoint, "syscall": ebpf.Syscall, "netfilter": ebpf.Netfilter,
	} {
		if err := set(out, "prog:"+name, features.HaveProgramType(t)); err != nil {
			return nil, err
		}
	}
	for name, t := range map[string]ebpf.MapType{
		"ringbuf": ebpf.RingBuf, "user_ringbuf": ebpf.UserRingbuf, "array_of_maps": ebpf.ArrayOfMaps,
		"task_storage": ebpf.TaskStorage, "arena": ebpf.Arena, "bloom_filter": ebpf.BloomFilter,
	} {
		if err := set(out, "map:"+name, features.HaveMapType(t)); err != nil {
			return nil, err
		}
	}
	out["insn:may_goto"] = h.checkMayGoto() == nil
	out["insn:v4"] = features.HaveV4ISA() == nil
	if spec, err := btf.Open("/sys/kernel/btf/vmlinux"); err == nil {
		for _, name := range []string{
			"bpf_rdonly_cast", "bpf_local_irq_save", "bpf_preempt_disable", "bpf_strlen", "bpf_strstr", "bpf_session_cookie",
			"bpf_task_from_pid", "bpf_iter_num_new", "bpf_throw",
		} {
			out["kfunc:"+name] = len(spec.Lookup(btf.KindFunc, name)) > 0
		}
	}
	return out, nil
}

// set notes the answer of a feature test.
func set(out map[string]bool, name string, err error) error {
	switch {
	case err == nil:
		out[name] = true
	case errors.Is(err, ebpf.ErrNotSupported):
		out[name] = false
	case errors.Is(err, unix.EPERM):
		// This kernel refuses what others with the same version allow.
		out[name] = false
	default:
		return fmt.Errorf("asking for %s: %w", name, err)
	}
	return nil
}

// checkRawTPCookie tells whether raw tracepoints take a cookie.
func (h *host) checkRawTPCookie() error {
	return h.once("raw_tp cookie", func() error {
		prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
			Type: ebpf.RawTracepoint, License: "GPL",
			Instructions: asm.Instructions{asm.FnGetAttachCookie.Call(), asm.Mov.Imm(asm.R0, 0), asm.Return()},
		})
		if err != nil {
			return errorf(codeKernel, err, "cookies of raw tracepoints need Linux 6.10")
		}
		return prog.Close()
	})
}

// checkMayGoto tells whether the verifier knows may_goto.
func (h *host) checkMayGoto() error {
	return h.once("may_goto", func() error {
		prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
			Type: ebpf.RawTracepoint, License: "GPL",
			Instructions: asm.Instructions{
				{OpCode: 0xe5, Offset: 1}, // over the jump back
				{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Ja), Offset: -2},
				asm.Mov.Imm(asm.R0, 0), asm.Return(),
			},
		})
		if err != nil {
			return errorf(codeKernel, err, "may_goto needs Linux 6.9")
		}
		return prog.Close()
	})
}
