//go:build linux

package loader

import (
	"errors"
	"fmt"
	"io"
	"os"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"stapkit/ir"
)

// defaultSample is SystemTap's sampling period of perf probes.
const defaultSample = 1000000

func checkEvents(*session, *ir.Attach, *ebpf.ProgramSpec) error { return theHost.checkPerf() }

// checkPerf tells whether the kernel has perf events.
func (h *host) checkPerf() error {
	return h.once("perf_event", func() error {
		if _, err := os.Stat("/proc/sys/kernel/perf_event_paranoid"); err != nil {
			return lacks("perf events", "CONFIG_PERF_EVENTS")
		}
		return nil
	})
}

// attachPerf opens a perf event on every CPU, or on a process, and runs the
// program at each of its samples.
func attachPerf(s *session, rows []row) (io.Closer, error) {
	a, p := rows[0].a, &s.p.Probes[rows[0].probe]
	attr := unix.PerfEventAttr{Type: a.Type, Config: a.Config, Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{}))}
	clock := a.Type == unix.PERF_TYPE_SOFTWARE &&
		(a.Config == unix.PERF_COUNT_SW_CPU_CLOCK || a.Config == unix.PERF_COUNT_SW_TASK_CLOCK)
	switch {
	case p.PerSecond > 0 && clock:
		attr.Sample = uint64(max(1e9/p.PerSecond, 1))
	case p.PerSecond > 0:
		attr.Sample, attr.Bits = uint64(p.PerSecond), unix.PerfBitFreq
	case p.Interval > 0:
		attr.Sample = uint64(p.Interval)
	case p.Family == ir.FamProfile:
		attr.Sample = uint64(1e9 / s.hz)
	default:
		attr.Sample = defaultSample
	}
	return openEvents(s, rows[0], &attr)
}

// attachBreakpoint watches an address by the processor's debug registers.
func attachBreakpoint(s *session, rows []row) (io.Closer, error) {
	a := rows[0].a
	const (
		typeBreakpoint = 5 // PERF_TYPE_BREAKPOINT
		onWrite        = 2 // HW_BREAKPOINT_W
		onAccess       = 3 // HW_BREAKPOINT_RW
	)
	address, err := s.dataAddress(a)
	if err != nil {
		return nil, err
	}
	length := max(a.Length, 1)
	attr := unix.PerfEventAttr{
		Type: typeBreakpoint, Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{})), Sample: 1,
		Bp_type: onAccess, Ext1: address, Ext2: length,
	}
	if a.Write {
		attr.Bp_type = onWrite
	}
	if a.Process != "" || a.PID != 0 || a.TargetSet {
		// What the program does, not the kernel, which clears its variables
		// when it starts, byte by byte.
		attr.Bits |= unix.PerfBitExcludeKernel
	}
	l, err := openEvents(s, rows[0], &attr)
	if errors.Is(err, unix.ENOSPC) {
		return nil, fmt.Errorf("all debug registers of the processor are in use: %w", err)
	}
	if errors.Is(err, unix.EINVAL) && address%length != 0 {
		return nil, fmt.Errorf("a watchpoint of %d bytes has to lie at a multiple of that, which %#x is not: %w", length, address, err)
	}
	return l, err
}

// dataAddress is where a watchpoint lies: kernel.data("name") is looked up in
// the running kernel.
func (s *session) dataAddress(a *ir.Attach) (uint64, error) {
	if a.Target == "" {
		return a.Address, nil
	}
	syms := s.texts.kernelSymbols()
	if syms == nil {
		return 0, fmt.Errorf("the kernel does not tell where %s is (kernel.kptr_restrict)", a.Target)
	}
	for _, sym := range syms.ByName(a.Target) {
		if !sym.IsText() {
			return sym.Addr, nil
		}
	}
	return 0, fmt.Errorf("the running kernel has no variable %s", a.Target)
}

// openEvents opens the event on all CPUs, or for a process, and attaches the
// row's program.
func openEvents(s *session, r row, attr *unix.PerfEventAttr) (io.Closer, error) {
	pid, cpus := -1, []int{-1}
	if r.a.PID != 0 && r.a.Carrier != "perf" { // handlers on perf events filter
		pid = r.a.PID
		attr.Bits |= unix.PerfBitInherit
	} else {
		var err error
		if cpus, err = onlineCPUs(); err != nil {
			return nil, err
		}
	}
	var all closers
	for _, cpu := range cpus {
		fd, err := unix.PerfEventOpen(attr, pid, cpu, -1, unix.PERF_FLAG_FD_CLOEXEC)
		if err != nil {
			return nil, errors.Join(explainEvent(attr, err), all.Close())
		}
		ev := os.NewFile(uintptr(fd), "perf-event")
		all = append(all, ev)
		l, err := perfLink(r.prog.FD(), fd, r.a.Cookie)
		if err != nil {
			return nil, errors.Join(err, all.Close())
		}
		// The link goes first.
		all = append(all, l)
		if err := unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_ENABLE, 0); err != nil {
			return nil, errors.Join(os.NewSyscallError("ioctl(PERF_EVENT_IOC_ENABLE)", err), all.Close())
		}
	}
	return all, nil
}

// openCounters opens the events that handlers read, on every CPU.
func (s *session) openCounters() error {
	for i := range s.p.Counters {
		c := &s.p.Counters[i]
		m := s.coll.Maps[ir.MapCounter(i)]
		if m == nil {
			continue
		}
		if err := theHost.checkPerf(); err != nil {
			return err
		}
		cpus, err := onlineCPUs()
		if err != nil {
			return err
		}
		attr := unix.PerfEventAttr{Type: c.Type, Config: c.Config, Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{}))}
		for _, cpu := range cpus {
			fd, err := unix.PerfEventOpen(&attr, -1, cpu, -1, unix.PERF_FLAG_FD_CLOEXEC)
			if err != nil {
				return errorf(codeAttach, err, "perf counter %q: %v", c.Name, explainEvent(&attr, err))
			}
			s.counters = append(s.counters, os.NewFile(uintptr(fd), "perf-counter"))
			if err := m.Update(uint32(cpu), uint32(fd), ebpf.UpdateAny); err != nil {
				return errorf(codeKernel, err, "perf counter %q: %v", c.Name, err)
			}
		}
	}
	return nil
}

func explainEvent(attr *unix.PerfEventAttr, err error) error {
	if errors.Is(err, unix.ENOENT) && (attr.Type == unix.PERF_TYPE_HARDWARE || attr.Type == unix.PERF_TYPE_HW_CACHE) {
		return fmt.Errorf("this machine has no such hardware counter (virtual machines often have none): %w", err)
	}
	return os.NewSyscallError("perf_event_open", err)
}

// closers closes all, last first.
type closers []io.Closer

// Close closes all and returns the first error.
func (c closers) Close() error {
	var first error
	for i := len(c) - 1; i >= 0; i-- {
		if err := c[i].Close(); err != nil && first == nil {
			first = err
		}
	}
	return first
}
