//go:build linux

package loader

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"stapkit/ir"
	"stapkit/target/elf"
)

// checkUprobe prepares the program for one multi-uprobe link, or for single
// uprobes where the kernel has only these.
func checkUprobe(s *session, a *ir.Attach, spec *ebpf.ProgramSpec) error {
	h := theHost
	if h.checkUprobeMulti() == nil {
		spec.AttachType = ebpf.AttachTraceUprobeMulti
	} else {
		spec.AttachType = ebpf.AttachNone
		if err := h.checkPMU("uprobe", "CONFIG_UPROBE_EVENTS"); err != nil {
			return err
		}
	}
	_, err := s.spots.locate(a)
	return err
}

// byBinary: one link can take all places of one file that run one program for
// the same process.
func byBinary(a *ir.Attach) string {
	return fmt.Sprintf("%s %d %d", a.Target, a.Handler, a.PID)
}

// A spot is where a user probe sits in its file.
type spot struct {
	offset    uint64
	semaphore uint64 // 0: none
}

// spots finds the spots of rows, and remembers files and spots until it is closed.
type spots struct {
	files map[string]*elf.File
	found map[*ir.Attach]spot
}

func (ss *spots) close() {
	for _, f := range ss.files {
		// It was only read.
		_ = f.Close()
	}
	*ss = spots{}
}

func (ss *spots) locate(a *ir.Attach) (spot, error) {
	if s, ok := ss.found[a]; ok {
		return s, nil
	}
	f := ss.files[a.Target]
	if f == nil {
		var err error
		if f, err = elf.Open(a.Target); err != nil {
			return spot{}, err
		}
		if ss.files == nil {
			ss.files, ss.found = map[string]*elf.File{}, map[*ir.Attach]spot{}
		}
		ss.files[a.Target] = f
	}
	s, err := locate(f, a)
	if err == nil {
		ss.found[a] = s
	}
	return s, err
}

// locate finds the row's spot in the host's copy of the file: a function by its
// symbol, a mark by its name, all else by the offset, which binds to one build.
func locate(f *elf.File, a *ir.Attach) (s spot, err error) {
	if a.BuildID != "" && f.BuildID != a.BuildID {
		return s, fmt.Errorf("%s has build-id %s, the probe was compiled for %s", a.Target, or(f.BuildID, "none"), a.BuildID)
	}
	switch {
	case a.Carrier == "usdt":
		return locateMark(f, a)
	case a.Symbol == "":
		return spot{offset: a.Offset}, nil
	}
	syms, err := f.Lookup(a.Symbol)
	if err != nil {
		return s, err
	}
	found := false
	for _, sym := range syms {
		if sym.Kind != elf.Func && sym.Kind != elf.Indirect && !(sym.Kind == elf.Other && f.Executable(sym.Addr)) {
			continue
		}
		off, ok := f.Offset(sym.Addr)
		switch {
		case !ok:
		case !found:
			s.offset, found = off+a.Offset, true
		case s.offset != off+a.Offset:
			return s, fmt.Errorf("%s has several functions %s", a.Target, a.Symbol)
		}
	}
	if !found {
		return s, fmt.Errorf("%s has no function %s", a.Target, a.Symbol)
	}
	return s, nil
}

// locateMark finds a mark, which has several places if its name is in the program
// several times. The program for it was compiled for one place of the mark and
// reads the arguments as that one's specification says.
func locateMark(f *elf.File, a *ir.Attach) (s spot, err error) {
	provider, name, ok := strings.Cut(a.Symbol, ":")
	if !ok {
		return s, fmt.Errorf("%q is not the name of a mark", a.Symbol)
	}
	marks, err := f.Marks()
	if err != nil && len(marks) == 0 {
		return s, err
	}
	var alike []spot
	any := false
	for _, m := range marks {
		if m.Provider != provider || m.Name != name {
			continue
		}
		any = true
		at := spot{}
		if at.offset, ok = f.Offset(m.Addr); !ok {
			continue
		}
		if m.Semaphore != 0 {
			if at.semaphore, ok = f.Offset(m.Semaphore); !ok {
				continue
			}
		}
		same := a.Spec == "" || a.Spec == m.ArgText
		if at.offset == a.Offset && same {
			return at, nil
		}
		if a.Spec != "" && same {
			alike = append(alike, at)
		}
	}
	switch {
	case !any:
		return s, fmt.Errorf("%s has no mark %s", a.Target, a.Symbol)
	case len(alike) == 1:
		return alike[0], nil
	}
	return s, fmt.Errorf("mark %s of %s was compiled for another build of the program, whose arguments are elsewhere", a.Symbol, a.Target)
}

// attachUprobes attaches to all the rows' places in one file.
func attachUprobes(s *session, rows []row) (io.Closer, error) {
	a := rows[0].a
	spec := uprobeMultiSpec{path: a.Target, pid: a.PID, ret: a.Carrier == "uretprobe"}
	cookies, refs := false, false
	var refsOf []uint64
	for _, r := range rows {
		at, err := s.spots.locate(r.a)
		if err != nil {
			return nil, err
		}
		spec.offsets = append(spec.offsets, at.offset)
		spec.cookies = append(spec.cookies, r.a.Cookie)
		refsOf = append(refsOf, at.semaphore)
		cookies, refs = cookies || r.a.Cookie != 0, refs || at.semaphore != 0
	}
	if !cookies {
		spec.cookies = nil
	}
	if refs {
		spec.refs = refsOf
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
		opt := &link.UprobeOptions{Address: spec.offsets[i], PID: a.PID, Cookie: r.a.Cookie, RefCtrOffset: refsOf[i]}
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
