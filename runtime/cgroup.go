//go:build linux

package loader

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// cgroupMount is where the hierarchy of version 2 is mounted.
func cgroupMount() (string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	defer f.Close()
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		// "36 35 98:0 /root /mnt options - type source super-options"
		before, after, ok := strings.Cut(sc.Text(), " - ")
		if words := strings.Fields(before); ok && strings.HasPrefix(after, "cgroup2 ") && len(words) > 4 {
			return words[4], nil
		}
	}
	if err := sc.Err(); err != nil {
		return "", err
	}
	return "", errors.New("no cgroup hierarchy of version 2 is mounted")
}

// findCgroup returns the directory of a cgroup: a path below the mount point or from
// the root, or the name of a systemd unit.
func findCgroup(name string) (string, error) {
	mount, err := cgroupMount()
	if err != nil {
		return "", err
	}
	if strings.ContainsRune(name, '/') {
		for _, dir := range []string{name, filepath.Join(mount, name)} {
			if rel, err := filepath.Rel(mount, dir); err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
				continue
			}
			if info, err := os.Stat(dir); err == nil && info.IsDir() {
				return dir, nil
			}
		}
		return "", fmt.Errorf("there is no cgroup %s below %s", name, mount)
	}
	var found []string
	err = filepath.WalkDir(mount, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			// Groups come and go while we look.
			return fs.SkipDir
		}
		if d.IsDir() && (d.Name() == name || d.Name() == name+".service") {
			found = append(found, path)
			return fs.SkipDir
		}
		return nil
	})
	switch {
	case err != nil:
		return "", err
	case len(found) == 0:
		return "", fmt.Errorf("no cgroup below %s has the name %s", mount, name)
	case len(found) > 1:
		return "", fmt.Errorf("the name %s is of several cgroups: %s; give a path", name, strings.Join(found, ", "))
	}
	return found[0], nil
}

// restrict puts a test in front of each program that a probe runs: tasks outside of
// the cgroup leave it at once. Runs without --cgroup do not pay for it.
func (s *session) restrict(spec *ebpf.CollectionSpec) error {
	dir, err := findCgroup(s.opt.Cgroup)
	if err != nil {
		return fmt.Errorf("--cgroup %s: %w", s.opt.Cgroup, err)
	}
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("--cgroup %s: %w", s.opt.Cgroup, err)
	}
	defer f.Close()
	m, err := ebpf.NewMap(&ebpf.MapSpec{Name: "stap_cgroup", Type: ebpf.CGroupArray, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		return errorf(codeKernel, err, "--cgroup: the kernel makes no map of cgroups: %v", err)
	}
	if err := m.Put(uint32(0), uint32(f.Fd())); err != nil {
		m.Close()
		return fmt.Errorf("--cgroup %s: %w", s.opt.Cgroup, err)
	}
	s.cgroup = m
	for _, prog := range spec.Programs {
		switch prog.Type {
		case ebpf.Kprobe, ebpf.RawTracepoint, ebpf.TracePoint, ebpf.PerfEvent, ebpf.Tracing:
			prog.Instructions = underCgroup(prog.Instructions, m.FD())
		case ebpf.Syscall:
			// The loader's own.
		default:
			return fmt.Errorf("--cgroup: programs of type %s do not run for a task that could be looked at", prog.Type)
		}
	}
	return nil
}

// underCgroup returns body behind a test of the current task.
func underCgroup(body asm.Instructions, fd int) asm.Instructions {
	if len(body) == 0 {
		return body
	}
	// What names the function and its first line has to stand at its beginning.
	entry := body[0]
	first := asm.Mov.Reg(asm.R6, asm.R1).WithSymbol(entry.Symbol()).WithSource(entry.Source())
	if fn := btf.FuncMetadata(&entry); fn != nil {
		first = btf.WithFuncMetadata(first, fn)
	}
	rest := append(asm.Instructions(nil), body...)
	rest[0] = btf.WithFuncMetadata(rest[0].WithSymbol(""), nil)
	return append(asm.Instructions{
		first,
		asm.LoadMapPtr(asm.R1, fd),
		asm.Mov.Imm(asm.R2, 0),
		asm.FnCurrentTaskUnderCgroup.Call(),
		asm.Mov.Reg(asm.R1, asm.R6),
		// Over the next two: 1 is inside, 0 outside, less an error.
		{OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.JEq), Dst: asm.R0, Constant: 1, Offset: 2},
		asm.Mov.Imm(asm.R0, 0),
		asm.Return(),
	}, rest...)
}
