//go:build linux

package loader

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"stapkit/ir"
	"stapkit/ir/interp"
)

// task is a process or thread as handlers see it: the loader's own, or, for
// process.begin and process.thread.begin, one that was there before the script.
type task struct {
	pid, tid, uid, gid int
	name               string
}

// who is the task for which a loader handler runs.
func (e *env) who() task {
	if e.of != nil {
		return *e.of
	}
	return e.session.self
}

// residentsOf are the handlers that want to be told of tasks that are there already.
func (s *session) residentsOf() map[int]*ir.Attach {
	wanted := map[int]*ir.Attach{}
	for i := range s.p.Probes {
		p := &s.p.Probes[i]
		if p.Family == ir.FamProcess && len(p.Attach) > 0 && p.Attach[0].Carrier == "loader" {
			wanted[p.Attach[0].Handler] = &p.Attach[0]
		}
	}
	return wanted
}

// residents lists for each handler that wants them the tasks that are there already.
func (s *session) residents() map[int][]task {
	wanted := s.residentsOf()
	if len(wanted) == 0 {
		return nil
	}
	out := map[int][]task{}
	list, err := os.ReadDir("/proc")
	if err != nil {
		s.out.warn(fmt.Sprintf("processes that are there already are not told of: %v", err))
		return nil
	}
	for _, d := range list {
		pid, err := strconv.Atoi(d.Name())
		if err != nil || pid == os.Getpid() || s.child != nil && pid == s.child.number() {
			continue // the loader is part of the script, its child has not begun
		}
		exe, err := s.rights.executable(pid)
		if err != nil {
			continue // a thread of the kernel, or it has just ended
		}
		for h, a := range wanted {
			if !s.means(a, pid, strings.TrimSuffix(exe, " (deleted)")) {
				continue
			}
			tids := []int{pid}
			if a.Target == "thread" {
				tids = tids[:0]
				threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
				if err != nil {
					continue
				}
				for _, t := range threads {
					if tid, err := strconv.Atoi(filepath.Base(t)); err == nil && tid != pid {
						tids = append(tids, tid)
					}
				}
			}
			for _, tid := range tids {
				if t, ok := readTask(pid, tid); ok {
					out[h] = append(out[h], t)
				}
			}
		}
	}
	return out
}

// means reports whether a process is one that a probe is about.
func (s *session) means(a *ir.Attach, pid int, exe string) bool {
	switch {
	case a.TargetSet:
		target := s.opt.PID
		for n := 0; target != 0 && pid > 0 && n < 1000; n++ {
			if pid == target {
				return true
			}
			pid = parentOf(pid)
		}
		return false
	case a.Process != "":
		return exe == a.Process
	case a.PID != 0:
		return pid == a.PID
	}
	return true
}

// parentOf is the parent of a process, 0 if it has none.
func parentOf(pid int) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(f) < 2 {
		return 0
	}
	n, err := strconv.Atoi(f[1])
	if err != nil {
		return 0
	}
	return n
}

// readTask reads what handlers can ask of a task.
func readTask(pid, tid int) (task, bool) {
	dir := fmt.Sprintf("/proc/%d/task/%d", pid, tid)
	comm, err := os.ReadFile(dir + "/comm")
	var st unix.Stat_t
	if err != nil || unix.Stat(dir, &st) != nil {
		return task{}, false
	}
	return task{pid: pid, tid: tid, uid: int(st.Uid), gid: int(st.Gid), name: strings.TrimSuffix(string(comm), "\n")}, true
}

// greet runs the handlers of process.begin and process.thread.begin for tasks that
// were there before the script.
func (s *session) greet(list map[int][]task) error {
	defer func() { s.env.of = nil }()
	for i := range s.p.Probes {
		p := &s.p.Probes[i]
		if p.Family != ir.FamProcess || len(p.Attach) == 0 || p.Attach[0].Carrier != "loader" {
			continue
		}
		for _, t := range list[p.Attach[0].Handler] {
			if s.ending() {
				return nil
			}
			s.env.of = &t
			if err := s.handle(p.Attach[0].Handler); err != nil {
				return err
			}
		}
	}
	return nil
}

// member makes the intrinsics about sets of numbers, which kernel handlers use too.
func (e *env) member(id ir.IntrinsicID, set, number uint64) (interp.Value, error) {
	key := [2]uint64{set, number}
	if e.coll == nil || e.coll.Maps[ir.MapMarks] == nil {
		// No kernel handler has sets.
		if e.marks == nil {
			e.marks = map[[2]uint64]bool{}
		}
		switch id {
		case ir.IMark:
			e.marks[key] = true
		case ir.IUnmark:
			delete(e.marks, key)
		case ir.IMarked:
			if e.marks[key] {
				return interp.IntValue(1), nil
			}
		}
		return interp.IntValue(0), nil
	}
	m := e.coll.Maps[ir.MapMarks]
	var err error
	switch id {
	case ir.IMark:
		err = m.Update(key, uint64(1), ebpf.UpdateAny)
	case ir.IUnmark:
		err = m.Delete(key)
	case ir.IMarked:
		var v uint64
		if err = m.Lookup(key, &v); err == nil {
			return interp.IntValue(1), nil
		}
	}
	if err == nil || errors.Is(err, ebpf.ErrKeyNotExist) || errors.Is(err, unix.E2BIG) {
		return interp.IntValue(0), nil
	}
	return interp.Value{}, fmt.Errorf("sets of the library: %w", err)
}
