//go:build linux

package loader

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"
)

// host answers what the running kernel can do. Each question is asked once.
type host struct {
	mu      sync.Mutex
	answers map[string]error
}

var theHost = &host{answers: map[string]error{}}

// once returns f's answer to the question of that name. Two may ask at the same
// time, who then do the work twice; f may ask further questions.
func (h *host) once(name string, f func() error) error {
	h.mu.Lock()
	err, ok := h.answers[name]
	h.mu.Unlock()
	if ok {
		return err
	}
	err = f()
	h.mu.Lock()
	h.answers[name] = err
	h.mu.Unlock()
	return err
}

// effective reads the process's effective capabilities.
func effective() (uint64, error) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "CapEff:"); ok {
			return strconv.ParseUint(strings.TrimSpace(v), 16, 64)
		}
	}
	return 0, errors.New("/proc/self/status has no CapEff")
}

// kernelConfig returns the value of an option of the running kernel, and whether
// its configuration is known.
func kernelConfig(option string) (value string, known bool) {
	var r io.Reader
	if f, err := os.Open("/proc/config.gz"); err == nil {
		defer f.Close()
		if r, err = gzip.NewReader(f); err != nil {
			return "", false
		}
	} else {
		var u unix.Utsname
		if err := unix.Uname(&u); err != nil {
			return "", false
		}
		release := string(bytes.TrimRight(u.Release[:], "\x00"))
		f, err := os.Open("/boot/config-" + filepath.Base(release))
		if err != nil {
			return "", false
		}
		defer f.Close()
		r = f
	}
	sc := bufio.NewScanner(r)
	for sc.Scan() {
		if v, ok := strings.CutPrefix(sc.Text(), option+"="); ok {
			return v, true
		}
	}
	return "", sc.Err() == nil
}

// kernelHZ is the running kernel's CONFIG_HZ, 250 if nothing tells it.
func kernelHZ() int64 {
	if v, ok := kernelConfig("CONFIG_HZ"); ok {
		if n, err := strconv.ParseInt(v, 10, 64); err == nil && n > 0 {
			return n
		}
	}
	return 250
}

// lacks says that the kernel has not got an option, or else that something else
// is amiss.
func lacks(what, option string) error {
	if v, known := kernelConfig(option); known && v != "y" && v != "m" {
		return errorf(codeKernel, nil, "%s: the running kernel was built without %s", what, option)
	}
	return errorf(codeKernel, nil, "%s: the running kernel does not offer it (is %s set, and /sys mounted?)", what, option)
}

// checkBPF tells why this process cannot load tracing programs at all, or nil.
func (h *host) checkBPF() error {
	return h.once("bpf", func() error {
		_, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
		if errors.Is(err, unix.ENOSYS) {
			return lacks("probes in the kernel", "CONFIG_BPF_SYSCALL")
		}
		caps, cerr := effective()
		if cerr != nil {
			return errorf(codePrivilege, cerr, "the capabilities of this process cannot be read: %v", cerr)
		}
		var missing []string
		for _, c := range []struct {
			bit  int
			name string
		}{{capBPF, "CAP_BPF"}, {capPerfmon, "CAP_PERFMON"}} {
			if caps&(1<<c.bit|1<<capSysAdmin) == 0 {
				missing = append(missing, c.name)
			}
		}
		if len(missing) > 0 {
			return errorf(codePrivilege, err, "probes in the kernel need root, or the capabilities CAP_BPF and CAP_PERFMON: this process lacks %s",
				strings.Join(missing, " and "))
		}
		prog, perr := ebpf.NewProgram(&ebpf.ProgramSpec{
			Type: ebpf.RawTracepoint, License: "GPL",
			Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
		})
		if perr == nil {
			prog.Close()
		}
		switch {
		case err == nil && perr == nil:
			return nil
		case errors.Is(err, unix.EPERM) || errors.Is(perr, unix.EPERM):
			return errorf(codePrivilege, err, "the bpf() system call is refused although the process has the capabilities: a seccomp filter (containers), kernel.unprivileged_bpf_disabled, lockdown or a security module stands in the way")
		case err == nil && errors.Is(perr, unix.EINVAL):
			return lacks("probes in the kernel", "CONFIG_BPF_EVENTS")
		}
		return errorf(codeKernel, errors.Join(err, perr), "programs cannot be loaded into the kernel: %v", errors.Join(err, perr))
	})
}

// checkBTF tells why there is no type information, or nil.
func (h *host) checkBTF() error {
	return h.once("btf", func() error {
		f, err := os.Open("/sys/kernel/btf/vmlinux")
		if err == nil {
			f.Close()
			return nil
		}
		if errors.Is(err, os.ErrNotExist) {
			if _, serr := os.Stat("/sys/kernel"); serr != nil {
				return errorf(codeBTF, err, "the kernel's type information cannot be read: /sys is not mounted")
			}
			return errorf(codeBTF, err, "the running kernel has no type information: /sys/kernel/btf/vmlinux is missing (CONFIG_DEBUG_INFO_BTF)")
		}
		return errorf(codeBTF, err, "the kernel's type information cannot be read: %v", err)
	})
}

// checkTrampoline tells why fentry, fexit and LSM programs cannot be loaded, or
// nil. Some kernels refuse them whatever is in them.
func (h *host) checkTrampoline() error {
	return h.once("trampoline", func() error {
		if err := h.checkBTF(); err != nil {
			return err
		}
		prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
			Type: ebpf.Tracing, AttachType: ebpf.AttachTraceFEntry, AttachTo: "bpf_fentry_test1", License: "GPL",
			Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
		})
		if err == nil {
			return prog.Close()
		}
		if errors.Is(err, unix.EPERM) {
			return errorf(codeKernel, err, "the running kernel refuses all programs on function entry and return (fentry, fexit, lsm), whatever is in them")
		}
		return errorf(codeKernel, err, "programs on function entry and return cannot be loaded: %v", err)
	})
}

// checkPMU tells whether the kernel has an event source: "kprobe" or "uprobe".
func (h *host) checkPMU(name, option string) error {
	return h.once("pmu "+name, func() error {
		if _, err := os.Stat("/sys/bus/event_source/devices/" + name + "/type"); err != nil {
			return lacks("no event source", option)
		}
		return nil
	})
}

func (h *host) checkUprobeMulti() error {
	return h.once("uprobe_multi", func() error {
		if err := features.HaveBPFLinkUprobeMulti(); err != nil {
			return fmt.Errorf("multi-uprobe links: %w", err)
		}
		return nil
	})
}

func (h *host) checkKprobeMulti() error {
	return h.once("kprobe_multi", func() error {
		if err := features.HaveBPFLinkKprobeMulti(); err != nil {
			return lacks("no such links", "CONFIG_FPROBE")
		}
		return nil
	})
}

// onlineCPUs lists the CPUs that are online.
func onlineCPUs() ([]int, error) {
	b, err := os.ReadFile("/sys/devices/system/cpu/online")
	if err != nil {
		return nil, err
	}
	return parseCPUList(strings.TrimSpace(string(b)))
}

// cpuCount is how many CPUs are online. If the kernel does not tell, it is how many this
// process may use, which can be kept to some of them.
func cpuCount() int {
	if list, err := onlineCPUs(); err == nil {
		return len(list)
	}
	return runtime.NumCPU()
}

// parseCPUList reads "0-3,5".
func parseCPUList(s string) ([]int, error) {
	var list []int
	for part := range strings.SplitSeq(s, ",") {
		lo, hi, isRange := strings.Cut(part, "-")
		a, err := strconv.Atoi(lo)
		b := a
		if err == nil && isRange {
			b, err = strconv.Atoi(hi)
		}
		if err != nil || b < a || b > 1<<16 {
			return nil, fmt.Errorf("list of CPUs %q is not understood", s)
		}
		for c := a; c <= b; c++ {
			list = append(list, c)
		}
	}
	return list, nil
}
