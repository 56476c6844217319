//go:build linux

package loader

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"stapkit/ir"
	"stapkit/target/desc"
)

func checkKprobe(_ *session, a *ir.Attach, spec *ebpf.ProgramSpec) error {
	if a.BuildID != "" {
		object := a.Module
		if !inModule(a) {
			object = ""
		}
		if err := sameBuild(a, desc.NewLive("").BuildID(object)); err != nil {
			return err
		}
	}
	if spec.Type == ebpf.Kprobe {
		spec.AttachType = ebpf.AttachNone
	}
	return theHost.checkPMU("kprobe", "CONFIG_KPROBE_EVENTS")
}

// attachKprobe sets a kprobe at each place that the row means: the address, or the
// symbol, of which the kernel may have several.
func attachKprobe(s *session, rows []row) (io.Closer, error) {
	a, prog := rows[0].a, rows[0].prog
	ret := a.Carrier == "kretprobe"
	at := s.functionAddresses(a)
	if a.MaxActive > 0 && len(at) > 1 {
		s.out.warn(fmt.Sprintf("%s: the kernel has %d functions of this name, whose returns it cannot be told how many of to keep: .maxactive(%d) is not heeded", s.p.Probes[rows[0].probe].Point, len(at), a.MaxActive))
	} else if a.MaxActive > 0 {
		// Only probes that are made by tracefs have this. A module cannot be named there;
		// the name is one function's only, as was seen above.
		l, err := link.Kretprobe(a.Target, prog, &link.KprobeOptions{Cookie: a.Cookie, RetprobeMaxActive: a.MaxActive})
		return l, explainKprobe(a, err)
	}
	if a.Target == "" {
		return kprobeAt(prog, "", a.Address, ret, a.Cookie)
	}
	if len(at) > 1 {
		var all closers
		for _, addr := range at {
			l, err := kprobeAt(prog, "", addr+a.Offset, ret, a.Cookie)
			if err != nil {
				return nil, errors.Join(explainKprobe(a, err), all.Close())
			}
			all = append(all, l)
		}
		return all, nil
	}
	symbol := a.Target
	if inModule(a) {
		symbol = a.Module + ":" + symbol
	}
	l, err := kprobeAt(prog, symbol, a.Offset, ret, a.Cookie)
	if err != nil {
		return nil, explainKprobe(a, err)
	}
	return l, nil
}

// functionAddresses lists where functions of the row's name lie, nil if the kernel
// does not tell.
func (s *session) functionAddresses(a *ir.Attach) []uint64 {
	syms := s.texts.kernelSymbols()
	if syms == nil {
		return nil
	}
	var out []uint64
	for _, y := range syms.ByName(a.Target) {
		if y.IsText() && (y.Module == a.Module || y.Module == "" && !inModule(a)) {
			out = append(out, y.Addr)
		}
	}
	return out
}

// kprobeAt sets a kprobe at an offset of a symbol, or at an address if there is no
// symbol, by the kernel's kprobe event source.
func kprobeAt(prog *ebpf.Program, symbol string, offset uint64, ret bool, cookie uint64) (io.Closer, error) {
	typ, err := sourceNumber("kprobe/type", "")
	if err != nil {
		return nil, err
	}
	attr := unix.PerfEventAttr{Type: uint32(typ), Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{})), Ext2: offset}
	if ret {
		bit, err := sourceNumber("kprobe/format/retprobe", "config:")
		if err != nil {
			return nil, err
		}
		attr.Config |= 1 << bit
	}
	var name []byte
	var pin runtime.Pinner
	defer pin.Unpin()
	if symbol != "" {
		if name, err = unix.ByteSliceFromString(symbol); err != nil {
			return nil, err
		}
		pin.Pin(&name[0])
		attr.Ext1 = uint64(uintptr(unsafe.Pointer(&name[0])))
	}
	fd, err := unix.PerfEventOpen(&attr, -1, 0, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("perf_event_open", err)
	}
	ev := os.NewFile(uintptr(fd), "kprobe")
	l, err := perfLink(prog.FD(), fd, cookie)
	if err != nil {
		return nil, errors.Join(err, ev.Close())
	}
	return closers{ev, l}, nil // the link is closed first
}

// sourceNumber reads a number of an event source that the kernel has.
func sourceNumber(file, prefix string) (uint64, error) {
	b, err := os.ReadFile("/sys/bus/event_source/devices/" + file)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(strings.TrimSpace(string(b)), prefix), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", file, err)
	}
	return n, nil
}

// explainKprobe says what the kernel's errors mean.
func explainKprobe(a *ir.Attach, err error) error {
	at := a.Target
	if a.Offset != 0 {
		at += fmt.Sprintf("+%#x", a.Offset)
	}
	if a.Target == "" {
		at = fmt.Sprintf("address %#x", a.Address)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("the running kernel has no function %s: %w", a.Target, err)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("the running kernel has several functions %s, and does not tell where (kernel.kptr_restrict): %w", a.Target, err)
	case errors.Is(err, unix.EILSEQ):
		return fmt.Errorf("no instruction begins at %s: %w", at, err)
	case errors.Is(err, unix.EINVAL) && a.Carrier == "kretprobe" && a.Offset != 0:
		return fmt.Errorf("%s is not the entry of a function: %w", at, err)
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EPERM):
		return fmt.Errorf("the kernel does not let %s be probed: %w", at, err)
	}
	return err
}

func checkKprobeMulti(_ *session, _ *ir.Attach, spec *ebpf.ProgramSpec) error {
	spec.AttachType = ebpf.AttachTraceKprobeMulti
	return theHost.checkKprobeMulti()
}

func byHandler(a *ir.Attach) string { return fmt.Sprint(a.Handler) }

// attachKprobeMulti attaches one program to many functions by their addresses: the
// kernel looks names up slowly, and refuses those that several functions have.
func attachKprobeMulti(s *session, rows []row) (io.Closer, error) {
	opts := link.KprobeMultiOptions{}
	cookies := false
	for _, r := range rows {
		at := s.functionAddresses(r.a)
		if len(at) == 0 {
			opts.Addresses = nil
			break
		}
		for _, addr := range at {
			opts.Addresses = append(opts.Addresses, uintptr(addr))
			opts.Cookies = append(opts.Cookies, r.a.Cookie)
		}
		cookies = cookies || r.a.Cookie != 0
	}
	if len(opts.Addresses) == 0 { // they are hidden
		opts = link.KprobeMultiOptions{}
		for _, r := range rows {
			opts.Symbols = append(opts.Symbols, r.a.Target)
			opts.Cookies = append(opts.Cookies, r.a.Cookie)
			cookies = cookies || r.a.Cookie != 0
		}
	}
	if !cookies {
		opts.Cookies = nil
	}
	if rows[0].a.Carrier == "kretprobe_multi" {
		return link.KretprobeMulti(rows[0].prog, opts)
	}
	return link.KprobeMulti(rows[0].prog, opts)
}
