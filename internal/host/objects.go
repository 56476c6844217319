//go:build linux

package host

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// Objects are programs, maps and links in the kernel, by their numbers, which are not
// given twice.
type Objects [3]map[uint32]bool

var objectKinds = [3]string{"prog_id:", "map_id:", "link_id:"}

// Note adds what a process has open. Others use the kernel at the same time, so that only
// what was seen in a process is known to be its.
func (o *Objects) Note(pid int) {
	dir := fmt.Sprintf("/proc/%d/fdinfo", pid)
	list, err := os.ReadDir(dir)
	if err != nil {
		return // it has ended
	}
	for _, e := range list {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			for i, kind := range objectKinds {
				text, ok := strings.CutPrefix(line, kind)
				if !ok {
					continue
				}
				if n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 32); err == nil {
					if o[i] == nil {
						o[i] = map[uint32]bool{}
					}
					o[i][uint32(n)] = true
				}
			}
		}
	}
}

// Count is how many programs, maps and links there are.
func (o *Objects) Count() [3]int { return [3]int{len(o[0]), len(o[1]), len(o[2])} }

// Drop forgets what the kernel has no longer.
func (o *Objects) Drop() {
	for id := range o[0] {
		if next, err := ebpf.ProgramGetNextID(ebpf.ProgramID(id - 1)); err != nil || next != ebpf.ProgramID(id) {
			delete(o[0], id)
		}
	}
	for id := range o[1] {
		if next, err := ebpf.MapGetNextID(ebpf.MapID(id - 1)); err != nil || next != ebpf.MapID(id) {
			delete(o[1], id)
		}
	}
	for id := range o[2] {
		l, err := link.NewFromID(link.ID(id))
		if err != nil {
			delete(o[2], id)
			continue
		}
		l.Close()
	}
}

// Empty reports whether there is none.
func (o *Objects) Empty() bool { return len(o[0])+len(o[1])+len(o[2]) == 0 }

// String tells what is left, programs and maps by name.
func (o *Objects) String() string {
	var list []string
	for id := range o[0] {
		name := "?"
		if p, err := ebpf.NewProgramFromID(ebpf.ProgramID(id)); err == nil {
			if info, err := p.Info(); err == nil {
				name = fmt.Sprintf("%s (%s)", info.Name, info.Type)
			}
			p.Close()
		}
		list = append(list, fmt.Sprintf("program %d %s", id, name))
	}
	for id := range o[1] {
		name := "?"
		if m, err := ebpf.NewMapFromID(ebpf.MapID(id)); err == nil {
			if info, err := m.Info(); err == nil {
				name = fmt.Sprintf("%s (%s)", info.Name, info.Type)
			}
			m.Close()
		}
		list = append(list, fmt.Sprintf("map %d %s", id, name))
	}
	for id := range o[2] {
		list = append(list, fmt.Sprintf("link %d", id))
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// Broker is the process that keeps the privileges of a loader, 0 if there is none.
func Broker(pid int) int {
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return 0
	}
	for _, list := range lists {
		b, err := os.ReadFile(list)
		if err != nil {
			continue // the thread has ended
		}
		for _, kid := range strings.Fields(string(b)) {
			if name, err := os.ReadFile("/proc/" + kid + "/cmdline"); err == nil && string(name) == "staprun-broker\x00" {
				if n, err := strconv.Atoi(kid); err == nil {
					return n
				}
			}
		}
	}
	return 0
}
