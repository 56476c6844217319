//go:build linux

package loader

import (
	"errors"
	"fmt"
	"math/bits"
	"os"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"stapkit/bundle"
	"stapkit/ir"
)

// A capability is one of Linux, with what a run has it for.
type capability struct {
	bit       int
	name, why string
}

// Capabilities, numbered as in include/uapi/linux/capability.h.
const (
	bitDACOverride   = 1
	bitDACReadSearch = 2
	bitFowner        = 3
	bitKill          = 5
	bitNetAdmin      = 12
	bitSysPtrace     = 19
	capSysAdmin      = 21
	bitSysResource   = 24
	bitSyslog        = 34
	capPerfmon       = 38
	capBPF           = 39
	// To follow the links of /proc/PID/map_files, which lead to deleted files, too.
	bitCheckpointRestore = 40
)

var (
	capLoad      = capability{capBPF, "CAP_BPF", "to load programs into the kernel"}
	capTrace     = capability{capPerfmon, "CAP_PERFMON", "to attach to events and to read the kernel's memory"}
	capNetAdmin  = capability{bitNetAdmin, "CAP_NET_ADMIN", "to hook into the network"}
	capReadAll   = capability{bitDACReadSearch, "CAP_DAC_READ_SEARCH", "to read files of others: programs that are probed, and the numbers of events below /sys/kernel/tracing"}
	capWriteAll  = capability{bitDACOverride, "CAP_DAC_OVERRIDE", "to make an event with a limit of returns (maxactive) in the trace file system"}
	capMount     = capability{capSysAdmin, "CAP_SYS_ADMIN", "to mount the files of procfs probes"}
	capWriteUser = capability{capSysAdmin, "CAP_SYS_ADMIN", "to write into the memory of processes"}
	capStacks    = capability{capSysAdmin, "CAP_SYS_ADMIN", "to read the kernel stacks of threads"}
	capTimes     = capability{capSysAdmin, "CAP_SYS_ADMIN", "to watch the time that handlers take"}
	capSymbols   = capability{bitSyslog, "CAP_SYSLOG", "to see the addresses of kernel symbols where kernel.kptr_restrict is 1"}
	capMaps      = capability{bitSysPtrace, "CAP_SYS_PTRACE", "to read the memory maps of other users' processes"}
	capPrograms  = capability{bitDACReadSearch, "CAP_DAC_READ_SEARCH", "to read the symbols of programs that not everybody may read"}
	capFiles     = capability{bitSysResource, "CAP_SYS_RESOURCE", "to have more files open than the limit permits"}
)

// in reports whether a set has the capability. What is CAP_BPF and CAP_PERFMON now was
// part of CAP_SYS_ADMIN, and still is.
func (c capability) in(set uint64) bool {
	mask := uint64(1) << c.bit
	if c.bit == capBPF || c.bit == capPerfmon {
		mask |= 1 << capSysAdmin
	}
	return set&mask != 0
}

// carrierCapability is what carriers need at times, depending on whom files belong to.
var carrierCapability = map[string]capability{
	"netfilter": capNetAdmin, "tracepoint": capReadAll, "uprobe": capReadAll, "uretprobe": capReadAll, "usdt": capReadAll,
}

// lacking is an error about a capability that the process has not got.
func lacking(c capability) error { return fmt.Errorf("this process lacks %s, %s", c.name, c.why) }

// explainRights adds to a refusal of the system the capability that is missing, if it is
// known to be the one.
func (c capability) explainRights(err error, have func() (uint64, error)) error {
	if c.name == "" || !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EACCES) {
		return err
	}
	caps, cerr := have()
	if cerr != nil || c.in(caps) {
		return err
	}
	return fmt.Errorf("%w; %w", err, lacking(c))
}

// rowCapabilities are those without which a row cannot be attached, or its program loaded.
func rowCapabilities(a *ir.Attach, prog *ebpf.ProgramSpec) []capability {
	var list []capability
	if a.Carrier == "netfilter" {
		list = append(list, capNetAdmin)
	}
	if a.MaxActive > 0 {
		list = append(list, capWriteAll)
	}
	for i := range prog.Instructions {
		if ins := &prog.Instructions[i]; ins.IsBuiltinCall() && asm.BuiltinFunc(ins.Constant) == asm.FnProbeWriteUser {
			list = append(list, capWriteUser)
			break
		}
	}
	return list
}

// permitted tells which capability of those without which a row is in vain this process
// lacks, or nil.
func permitted(a *ir.Attach, prog *ebpf.ProgramSpec) error {
	list := rowCapabilities(a, prog)
	if len(list) == 0 {
		return nil
	}
	have, err := effective()
	if err != nil {
		return nil // the kernel tells by and by
	}
	for _, c := range list {
		if !c.in(have) {
			return lacking(c)
		}
	}
	return nil
}

// Need is a capability that a program takes.
type Need struct {
	Capability string `json:"capability"`
	Why        string `json:"why"`
	// Probes are those that take it; none: the whole script.
	Probes []string `json:"probes,omitempty"`
	// Always: without it the probes cannot run. Otherwise it depends on the host, or
	// something is left out.
	Always bool `json:"always"`
	Held   bool `json:"held"` // by this process
}

// Needs lists the capabilities that a program takes. uses is what Uses found.
func Needs(img Image, uses *bundle.Uses) []Need {
	have, err := effective()
	if err != nil {
		have = 0 // the worst is assumed
	}
	var list []Need
	add := func(c capability, always bool, probe string) {
		i := slices.IndexFunc(list, func(n Need) bool { return n.Capability == c.name && n.Why == c.why })
		if i < 0 {
			i = len(list)
			list = append(list, Need{Capability: c.name, Why: c.why, Always: always, Held: c.in(have)})
		}
		if probe != "" && !slices.Contains(list[i].Probes, probe) {
			list[i].Probes = append(list[i].Probes, probe)
		}
	}
	p := img.Program
	for _, h := range p.Handlers {
		if h.Kernel {
			add(capLoad, true, "")
			add(capTrace, true, "")
			break
		}
	}
	kernel := len(list) > 0
	for i := range p.Probes {
		pr := &p.Probes[i]
		for j := range pr.Attach {
			a := &pr.Attach[j]
			for _, c := range rowCapabilities(a, &ebpf.ProgramSpec{}) {
				add(c, true, pr.Point)
			}
			if c, ok := carrierCapability[a.Carrier]; ok && a.Carrier != "netfilter" {
				add(c, false, pr.Point)
			}
		}
		if pr.Family == ir.FamProcfs && len(pr.Attach) > 0 && pr.Attach[0].Target != stdinFile {
			add(capMount, true, pr.Point)
		}
	}
	if slices.Contains(uses.Helpers, helperName(asm.FnProbeWriteUser)) {
		add(capWriteUser, true, "")
	}
	texts := p.TextSources()
	if texts&ir.FromKernel != 0 || len(p.Ksyms) > 0 {
		add(capSymbols, false, "")
	}
	if texts&ir.FromUser != 0 {
		add(capMaps, false, "")
		add(capPrograms, false, "")
	}
	if texts&ir.FromThreads != 0 {
		add(capStacks, false, "")
	}
	if kernel && !p.Limits.NoOverload {
		add(capTimes, false, "")
	}
	return list
}

// raiseFiles makes room for so many open files: for most if it may, and least have to be.
func raiseFiles(least, most int) error {
	var now unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &now); err != nil || now.Cur >= uint64(most) {
		return nil // who cannot be asked sets no limit
	}
	more := unix.Rlimit{Cur: uint64(most), Max: max(now.Max, uint64(most))}
	err := unix.Setrlimit(unix.RLIMIT_NOFILE, &more)
	if err == nil || now.Cur >= uint64(least) {
		return nil
	}
	if now.Max >= uint64(least) {
		more = unix.Rlimit{Cur: now.Max, Max: now.Max}
		if err = unix.Setrlimit(unix.RLIMIT_NOFILE, &more); err == nil {
			return nil
		}
	}
	return errorf(codePrivilege, err, "the script needs about %d open files, and this process may have %d (ulimit -n, LimitNOFILE= of a systemd unit): %v",
		least, now.Max, capFiles.explainRights(err, effective))
}

// keeps are the capabilities that the broker has use for once the probes are attached.
func (s *session) keeps() uint64 {
	if s.opt.AllowSystem {
		return ^uint64(0) // commands have those of the user who began the run
	}
	mask := func(list ...int) (m uint64) {
		for _, b := range list {
			m |= 1 << b
		}
		return m
	}
	var set uint64
	if s.coll != nil {
		// Inner maps and tables, and the measuring of handlers.
		set |= mask(capBPF, capPerfmon)
		if s.opt.CPULimit >= 0 && !s.p.Limits.NoOverload {
			set |= mask(capSysAdmin)
		}
	}
	if s.sources&ir.FromKernel != 0 || len(s.p.Ksyms) > 0 {
		set |= mask(bitSyslog)
	}
	if s.sources&ir.FromUser != 0 || s.unwind != nil || len(s.residentsOf()) > 0 {
		set |= mask(bitSysPtrace, bitDACReadSearch, bitCheckpointRestore)
	}
	if s.sources&ir.FromThreads != 0 {
		set |= mask(capSysAdmin, bitSysPtrace)
	}
	if s.files.fs != nil {
		set |= mask(capSysAdmin)
	}
	if s.child != nil {
		set |= mask(bitKill, bitSysPtrace)
	}
	// Loader handlers may read the kernel's memory, write to its logs, and look for symbols.
	for _, h := range s.p.Handlers {
		if !h.Kernel {
			h.Walk(nil, func(x ir.Expr) {
				if _, ok := x.(*ir.Intrinsic); ok {
					set |= mask(capBPF, capPerfmon, bitSyslog)
				}
			})
		}
	}
	// Who is root needs no capability for what belongs to root.
	var dirs []string
	if s.opt.Output != "" {
		dirs = append(dirs, s.opt.Output)
	}
	for _, path := range append(dirs, s.opt.Remove...) {
		if !ownDir(path) {
			set |= mask(bitDACOverride, bitFowner)
		}
	}
	if !ownDir(FilesDir + "/x") {
		set |= mask(bitDACOverride, bitFowner) // the list of what runs
	}
	return set
}

// ownDir reports whether the directory of a file belongs to this process's user, who may
// write to it.
func ownDir(file string) bool {
	dir := "."
	if i := strings.LastIndexByte(file, '/'); i >= 0 {
		dir = file[:i+1]
	}
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return errors.Is(err, unix.ENOENT)
	}
	return int(st.Uid) == os.Geteuid() && st.Mode&unix.S_IWUSR != 0
}

// capabilityNumbers lists the bits of a set.
func capabilityNumbers(set uint64) (list []int) {
	for set != 0 {
		b := bits.TrailingZeros64(set)
		list = append(list, b)
		set &^= 1 << b
	}
	return list
}
