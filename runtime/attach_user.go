//go:build linux

package loader

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"stapkit/ir"
)

// checkUprobe prepares the program for one multi-uprobe link, or for single
// uprobes where the kernel has only these.
func checkUprobe(h *host, a *ir.Attach, spec *ebpf.ProgramSpec) error {
	if h.checkUprobeMulti() == nil {
		spec.AttachType = ebpf.AttachTraceUprobeMulti
	} else {
		spec.AttachType = ebpf.AttachNone
		if err := h.checkPMU("uprobe", "CONFIG_UPROBE_EVENTS"); err != nil {
			return err
		}
	}
	path := a.Target
	if _, err := os.Stat(path); err != nil {
		return err
	}
	if a.BuildID != "" {
		id, err := fileBuildID(path)
		if err != nil {
			return err
		}
		if id != a.BuildID {
			return fmt.Errorf("%s has build-id %s, the probe was compiled for %s", path, or(id, "none"), a.BuildID)
		}
	}
	return nil
}

func or(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

// fileBuildID returns a file's build-id, "" if it has none.
func fileBuildID(path string) (id string, err error) {
	err = withELF(path, func(e *elf.File) error {
		id = buildID(e)
		return nil
	})
	return id, err
}

// withELF opens a file, which may hold anything.
func withELF(path string, f func(*elf.File) error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%s: damaged ELF file: %v", path, r)
		}
	}()
	e, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	defer e.Close()
	return f(e)
}

// byBinary: one link can take all places of one file that run one program for
// the same process.
func byBinary(a *ir.Attach) string {
	return fmt.Sprintf("%s %d %d", a.Target, a.Handler, a.PID)
}

// fileOffset is where the probe sits in its file: Offset itself, or from the
// symbol on.
func fileOffset(a *ir.Attach) (off uint64, err error) {
	if a.Symbol == "" {
		return a.Offset, nil
	}
	err = withELF(a.Target, func(e *elf.File) error {
		for _, read := range []func() ([]elf.Symbol, error){e.Symbols, e.DynamicSymbols} {
			syms, err := read()
			if err != nil && !errors.Is(err, elf.ErrNoSymbols) {
				return fmt.Errorf("%s: %w", a.Target, err)
			}
			for _, s := range syms {
				if s.Name != a.Symbol || s.Section == elf.SHN_UNDEF || elf.ST_TYPE(s.Info) != elf.STT_FUNC && elf.ST_TYPE(s.Info) != elf.STT_GNU_IFUNC {
					continue
				}
				for _, p := range e.Progs {
					if p.Type == elf.PT_LOAD && p.Vaddr <= s.Value && s.Value < p.Vaddr+p.Filesz {
						off = s.Value - p.Vaddr + p.Off + a.Offset
						return nil
					}
				}
			}
		}
		return fmt.Errorf("%s has no function %s", a.Target, a.Symbol)
	})
	return off, err
}

// attachUprobes attaches to all the rows' places in one file.
func attachUprobes(s *session, rows []row) (io.Closer, error) {
	a := rows[0].a
	spec := uprobeMultiSpec{path: a.Target, pid: a.PID, ret: a.Carrier == "uretprobe"}
	cookies, refs := false, false
	for _, r := range rows {
		off, err := fileOffset(r.a)
		if err != nil {
			return nil, err
		}
		spec.offsets = append(spec.offsets, off)
		spec.cookies = append(spec.cookies, r.a.Cookie)
		spec.refs = append(spec.refs, r.a.Semaphore)
		cookies, refs = cookies || r.a.Cookie != 0, refs || r.a.Semaphore != 0
	}
	if !cookies {
		spec.cookies = nil
	}
	if !refs {
		spec.refs = nil
	}
	if theHost.checkUprobeMulti() == nil {
		l, err := uprobeMultiLink(rows[0].prog.FD(), &spec)
		if err != nil {
			return nil, err
		}
		return l, nil
	}
	ex, err := link.OpenExecutable(a.Target)
	if err != nil {
		return nil, err
	}
	var all closers
	for i, r := range rows {
		opt := &link.UprobeOptions{Address: spec.offsets[i], PID: a.PID, Cookie: r.a.Cookie, RefCtrOffset: r.a.Semaphore}
		open := ex.Uprobe
		if spec.ret {
			open = ex.Uretprobe
		}
		l, err := open("", rows[0].prog, opt)
		if err != nil {
			return nil, errors.Join(err, all.Close())
		}
		all = append(all, l)
	}
	return all, nil
}
