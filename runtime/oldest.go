package loader

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"stapkit/ir"
)

// since is the Linux version that brought a helper or a kind of attachment, as
// major<<8 | minor (bpf-helpers(7), include/uapi/linux/bpf.h). Those that are older
// than what every program of ours needs are left out.
var since = map[string]int{
	"bpf_probe_read_kernel": 5<<8 | 5, "bpf_probe_read_kernel_str": 5<<8 | 5, "bpf_probe_read_user": 5<<8 | 5, "bpf_probe_read_user_str": 5<<8 | 5,
	"bpf_jiffies64": 5<<8 | 6, "bpf_get_ns_current_pid_tgid": 5<<8 | 7, "bpf_ktime_get_boot_ns": 5<<8 | 8, "bpf_ringbuf_output": 5<<8 | 8,
	"bpf_copy_from_user": 5<<8 | 10, "bpf_get_current_task_btf": 5<<8 | 11, "bpf_for_each_map_elem": 5<<8 | 13, "bpf_snprintf": 5<<8 | 13,
	"bpf_get_func_ip": 5<<8 | 15, "bpf_get_attach_cookie": 5<<8 | 15, "bpf_task_pt_regs": 5<<8 | 15, "bpf_trace_vprintk": 5<<8 | 16,
	"bpf_loop": 5<<8 | 17, "bpf_get_func_arg": 5<<8 | 17, "bpf_get_func_ret": 5<<8 | 17, "bpf_strncmp": 5<<8 | 17, "bpf_find_vma": 5<<8 | 17,
	"bpf_map_lookup_percpu_elem": 5<<8 | 19, "bpf_send_signal": 5<<8 | 3, "bpf_send_signal_thread": 5<<8 | 6,
}

var carrierSince = map[string]int{
	"raw_tp": 4<<8 | 17, "dispatch": 4<<8 | 17, "tracepoint": 4<<8 | 7, "tp_btf": 5<<8 | 5, "fentry": 5<<8 | 5, "fexit": 5<<8 | 5,
	"kprobe": 4<<8 | 17, "kretprobe": 4<<8 | 17, "kprobe_multi": 5<<8 | 18, "kretprobe_multi": 5<<8 | 18,
	"uprobe": 4<<8 | 17, "uretprobe": 4<<8 | 17, "usdt": 4<<8 | 20, "perf": 4<<8 | 9, "breakpoint": 4<<8 | 9, "lsm": 5<<8 | 7, "netfilter": 6<<8 | 4,
}

// Oldest is the oldest kernel that has all that an image uses, and what of it came
// with that kernel. What the loader does in another way where a kernel lacks it
// does not count, nor does an attachment that has an older alternative.
type Oldest struct {
	Version string `json:"version"` // as "5.17"; "" for an image that needs none
	Why     string `json:"why,omitempty"`
	// Build is set if a probe binds to one build of the kernel: its build-id.
	Build string `json:"build,omitempty"`

	version int // Version as a number, 0 for ""
}

// OldestOf is the oldest kernel for the images of one bundle, of which each host runs one.
func OldestOf(list []Image) (Oldest, error) {
	var best Oldest
	var builds []string
	for i := range list {
		o, err := OldestKernel(list[i])
		if err != nil {
			return best, err
		}
		if o.Build != "" && !slices.Contains(builds, o.Build) {
			builds = append(builds, o.Build)
		}
		if i == 0 || o.Build == "" && best.Build != "" || (o.Build == "") == (best.Build == "") && o.version < best.version {
			best = o
		}
	}
	if best.Build != "" {
		best.Build = strings.Join(builds, " or ")
	}
	return best, nil
}

// OldestKernel derives the oldest kernel from the image's instructions, maps and probes.
func OldestKernel(img Image) (Oldest, error) {
	var o Oldest
	if len(img.ELF) == 0 || !slices.ContainsFunc(img.Program.Handlers, func(h *ir.Handler) bool { return h.Kernel }) {
		return o, nil
	}
	spec, err := img.object()
	if err != nil {
		return o, err
	}
	best := 5<<8 | 5
	o.Why = "memory-mapped maps"
	need := func(v int, why string) {
		if v > best {
			best, o.Why = v, why
		}
	}
	// In the order of names, so that the same image gives the same answer.
	var names []string
	for name := range spec.Programs {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		prog := spec.Programs[name]
		where := name
		if _, point := handlerOf(img.Program, name); point != "" {
			where = point
		}
		if prog.Type == ebpf.Syscall {
			need(5<<8|14, "programs for atomic parts of "+where)
		}
		for i := range prog.Instructions {
			ins := &prog.Instructions[i]
			if ins.IsBuiltinCall() {
				helper := helperName(asm.BuiltinFunc(ins.Constant))
				need(since[helper], helper+" in "+where)
			}
			if ins.OpCode.Class().IsStore() && ins.OpCode.Mode() == asm.AtomicMode && ins.Constant != 0 {
				need(5<<8|12, "atomic operations in "+where)
			}
		}
	}
	for i := range img.Program.Probes {
		p := &img.Program.Probes[i]
		least, carrier, builds := 0, "", len(p.Attach) > 0
		for _, a := range p.Attach {
			if v := carrierSince[a.Carrier]; carrier == "" || v < least {
				least, carrier = v, a.Carrier
			}
			builds = builds && a.BuildID != "" && strings.HasPrefix(a.Carrier, "k")
		}
		if p.Optional || p.Member {
			continue // it may be missing
		}
		need(least, carrier+" for "+p.Point)
		if builds {
			o.Build = p.Attach[0].BuildID
		}
	}
	o.version, o.Version = best, fmt.Sprintf("%d.%d", best>>8, best&255)
	return o, nil
}

// handlerOf finds the handler of a program, and the probe that it is for.
func handlerOf(p *ir.Program, name string) (h *ir.Handler, point string) {
	for _, list := range [][]*ir.Handler{p.Handlers, p.Regions} {
		for _, h := range list {
			if h != nil && h.Name == name {
				if h.Probe >= 0 && h.Probe < len(p.Probes) {
					point = p.Probes[h.Probe].Point
				}
				return h, point
			}
		}
	}
	return nil, ""
}

// String is a line for people.
func (o Oldest) String() string {
	switch {
	case o.Version == "":
		return "any: nothing runs in the kernel"
	case o.Build != "":
		return fmt.Sprintf("only the build %s, to which a probe binds (Linux %s or newer: %s)", o.Build, o.Version, o.Why)
	}
	return fmt.Sprintf("Linux %s or newer (%s); tested from 6.1 on", o.Version, o.Why)
}
