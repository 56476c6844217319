//go:build linux

package loader

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"stapkit/ir"
	"stapkit/target/ctype"
	"stapkit/target/elf"
)

// unwinder gives the kernel the tables by which handlers walk user stacks. Before
// the probes are attached these are the tables of the probed programs and of the
// processes that run them. Files that turn up later are named by the handlers that
// meet them; until their tables are there, frame pointers are followed in them.
type unwinder struct {
	tables, list, missed, pages, info *ebpf.Map
	key                               *ebpf.Program
	rights                            rights

	mu    sync.Mutex
	known map[fileID]*unwindFile
	paths map[string]bool // that have been added
	next  uint32          // number of a table
	warn  func(string)
	told  bool

	stop, done chan struct{}
}

// fileID is the identity of a file as the kernel has it.
type fileID struct{ dev, ino uint64 }

// unwindFile is a file that was mapped.
type unwindFile struct {
	path string   // as the process sees it
	file *os.File // to read its symbols later, nil for the kernel's own code
	syms *userFile
	read bool
}

// newUnwinder finds the maps of the object; nil if no handler walks.
func newUnwinder(s *session) (*unwinder, error) {
	m := s.coll.Maps
	if m[ir.MapUnwind] == nil {
		return nil, nil
	}
	u := &unwinder{
		tables: m[ir.MapUnwind], list: m[ir.MapUnwindFiles], missed: m[ir.MapUnwindMissed], pages: m[ir.MapUnwindPages],
		rights: s.rights, info: m[ir.MapUnwindInfo], key: s.programs[ir.ProgUnwindKey],
		known: map[fileID]*unwindFile{}, paths: map[string]bool{}, next: 1, warn: s.out.warn,
	}
	if u.list == nil || u.missed == nil || u.pages == nil || u.info == nil || u.key == nil || int(u.info.ValueSize()) < ir.UnwindInfoEnd {
		return nil, errorf(codeCompiled, nil, "the object lacks maps for user stacks")
	}
	if s.opt.Attach != "" {
		// Tables that are there keep their numbers; files get new ones.
		var id [2]uint64
		var number uint64
		for it := u.list.Iterate(); it.Next(&id, &number); {
			u.next = max(u.next, uint32(number)+1)
		}
	}
	if err := u.describe(s.types); err != nil {
		s.out.warn(fmt.Sprintf("stacks of programs without frame pointers end early: %v", err))
		return u, nil
	}
	u.preload(s)
	u.stop, u.done = make(chan struct{}), make(chan struct{})
	go u.learn()
	return u, nil
}

// close ends the learning of files.
func (u *unwinder) close() {
	if u == nil {
		return
	}
	if u.stop != nil {
		close(u.stop)
		<-u.done
		u.stop = nil
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, f := range u.known {
		if f.file != nil {
			// It was only read.
			_ = f.file.Close()
			f.file = nil
		}
	}
}

// describe tells the programs where things are in this kernel's structures.
func (u *unwinder) describe(types *typeFinder) error {
	tgt := types.target()
	if tgt == nil {
		return fmt.Errorf("the kernel's structures are not known")
	}
	buf := make([]byte, u.info.ValueSize())
	find := func(word int, name string, path ...string) error {
		t, ok := tgt.Type("", "struct "+name)
		if !ok {
			return fmt.Errorf("the kernel's type information has no struct %s", name)
		}
		var steps []ctype.Step
		for _, p := range path {
			steps = append(steps, ctype.M(p))
		}
		r, err := ctype.Resolve(t, steps)
		if err != nil || len(r.Hops) != 1 {
			return fmt.Errorf("struct %s of this kernel has no member %s", name, strings.Join(path, "."))
		}
		native.PutUint64(buf[word:], uint64(r.Hops[0].Offset))
		return nil
	}
	for _, f := range []struct {
		word int
		name string
		path []string
	}{
		{ir.UnwindVMAStart, "vm_area_struct", []string{"vm_start"}},
		{ir.UnwindVMAEnd, "vm_area_struct", []string{"vm_end"}},
		{ir.UnwindVMAPgoff, "vm_area_struct", []string{"vm_pgoff"}},
		{ir.UnwindVMAFile, "vm_area_struct", []string{"vm_file"}},
		{ir.UnwindVMAMM, "vm_area_struct", []string{"vm_mm"}},
		{ir.UnwindVDSO, "mm_struct", []string{"context", "vdso"}},
		{ir.UnwindFileInode, "file", []string{"f_inode"}},
		{ir.UnwindInodeIno, "inode", []string{"i_ino"}},
		{ir.UnwindInodeSB, "inode", []string{"i_sb"}},
		{ir.UnwindSBDev, "super_block", []string{"s_dev"}},
	} {
		if err := find(f.word, f.name, f.path...); err != nil {
			return err
		}
	}
	// Without these, a stack ends at a call whose return is probed.
	for _, f := range []struct {
		word int
		name string
		path []string
	}{
		{ir.UnwindTaskMM, "task_struct", []string{"mm"}},
		{ir.UnwindUtaskChain, "uprobe_task", []string{"return_instances"}},
		{ir.UnwindRIStack, "return_instance", []string{"stack"}},
		{ir.UnwindRIOrig, "return_instance", []string{"orig_ret_vaddr"}},
		{ir.UnwindRINext, "return_instance", []string{"next"}},
		{ir.UnwindMMXol, "mm_struct", []string{"uprobes_state", "xol_area"}},
		{ir.UnwindXolAddr, "xol_area", []string{"vaddr"}},
		{ir.UnwindTaskUtask, "task_struct", []string{"utask"}},
	} {
		if find(f.word, f.name, f.path...) != nil {
			native.PutUint64(buf[ir.UnwindTaskUtask:], 0)
			break
		}
	}
	native.PutUint64(buf[ir.UnwindSign:], signBits(userBits()))
	native.PutUint64(buf[ir.UnwindReady:], 1)
	return u.info.Update(uint32(0), buf, ebpf.UpdateAny)
}

// userBits is how many bits addresses of programs have here: that differs between
// kernels, and between processors under one.
func userBits() int {
	page := uintptr(os.Getpagesize())
	for n := 56; n > 32; n-- {
		// Memory in the upper half of what n bits reach. The kernel gives it, or says
		// that something is there, if programs can have it at all.
		p, err := unix.MmapPtr(-1, 0, unsafe.Add(nil, uintptr(1)<<(n-1)), page, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_FIXED_NOREPLACE)
		if err == nil {
			_ = unix.MunmapPtr(p, page) // a page of addresses
		}
		if err == nil || err == unix.EEXIST {
			return n
		}
	}
	return 48 // what is usual
}

// signBits are the bits above addresses of so many bits, which may sign them.
func signBits(n int) uint64 { return ^uint64(0) << n }

// preload adds what is known to be needed.
func (u *unwinder) preload(s *session) {
	if f, err := vdso(); err == nil && f != nil {
		u.put(fileID{0, ir.UnwindVDSOIno}, &unwindFile{path: vdsoPath, syms: vdsoSymbols(f), read: true}, f)
	}
	probed := map[string]bool{}
	for i := range s.plans {
		for _, r := range s.plans[i].rows {
			if carriesUser(r.a.Carrier) && !probed[r.a.Target] {
				probed[r.a.Target] = true
				u.program(r.a.Target)
			}
		}
	}
	if s.opt.Command != "" {
		if words := commandLine(s.opt.Command); len(words) > 0 {
			path, err := exec.LookPath(words[0])
			if err == nil {
				path, err = filepath.Abs(path)
			}
			if err == nil {
				u.program(path)
			}
		}
	}
	if s.opt.PID != 0 {
		u.process(s.opt.PID, nil)
	}
	if len(probed) == 0 {
		return
	}
	list, err := os.ReadDir("/proc")
	if err != nil {
		return // nor is there anything to be learned
	}
	for _, e := range list {
		if pid, err := strconv.Atoi(e.Name()); err == nil && pid != os.Getpid() {
			u.process(pid, probed)
		}
	}
}

func carriesUser(carrier string) bool {
	return carrier == "uprobe" || carrier == "uretprobe" || carrier == "usdt"
}

// program adds a program, or library, and the libraries that it loads.
func (u *unwinder) program(path string) {
	u.add(path, path)
	f, err := elf.Open(path)
	if err != nil {
		return // the probe will say so
	}
	defer f.Close()
	var search elf.Search
	libs, _, err := search.Needed(f)
	if err != nil {
		return
	}
	if f.Interp != "" {
		libs = append(libs, f.Interp)
	}
	for _, l := range libs {
		u.add(l, l)
	}
}

// process adds the files of a process; with only, of one that has any of these.
func (u *unwinder) process(pid int, only map[string]bool) {
	maps, _, err := readMaps(u.rights, pid)
	if err != nil {
		return // it has ended
	}
	if only != nil {
		has := false
		for i := range maps {
			has = has || only[maps[i].path]
		}
		if !has {
			return
		}
	}
	for i := range maps {
		if strings.HasPrefix(maps[i].path, "/") {
			u.add(mappedFile(pid, &maps[i]), maps[i].path)
		}
	}
}

// mappedFile is the path by which the file of a mapping can be opened: it works
// for deleted files and in other mount namespaces.
func mappedFile(pid int, m *mapping) string {
	return fmt.Sprintf("/proc/%d/map_files/%x-%x", pid, m.start, m.end)
}

// add makes the table of a file and gives it to the kernel. A file that cannot be
// read has none.
func (u *unwinder) add(open, path string) (id fileID, ok bool) {
	if real, err := filepath.EvalSymlinks(open); err == nil && !strings.HasPrefix(open, "/proc/") {
		open, path = real, real
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.paths[open] {
		return fileID{}, false
	}
	u.paths[open] = true
	file, err := u.rights.binary(open)
	if err != nil {
		return fileID{}, false // no program: a font, say
	}
	if id, err = u.identity(file); err != nil || u.known[id] != nil {
		_ = file.Close() // it was only read
		return id, err == nil
	}
	f, err := elf.New(path, file)
	if err != nil {
		f = nil // a damaged one
	}
	u.put(id, &unwindFile{path: path, file: file}, f)
	return id, true
}

// put gives the kernel the table of a file, 0 if there is none.
func (u *unwinder) put(id fileID, w *unwindFile, f *elf.File) {
	u.known[id] = w
	number := uint64(0)
	if f != nil {
		rows, err := unwindRows(f)
		switch {
		case err != nil || len(rows) == 0:
			// A file without call frames, or with damaged ones: its frame
			// pointers are followed.
		case u.next >= u.tables.MaxEntries():
			u.complain(fmt.Errorf("there are more than %d files", u.next))
		default:
			if err := u.table(u.next, rows); err != nil {
				u.complain(err)
				break
			}
			number = uint64(u.next)
			u.next++
		}
	}
	if err := u.list.Update([2]uint64{id.dev, id.ino}, number, ebpf.UpdateAny); err != nil {
		u.complain(err)
	}
	// It is there only if a handler has met the file.
	_ = u.missed.Delete([2]uint64{id.dev, id.ino})
}

// complain warns, once, that some stacks will end early.
func (u *unwinder) complain(err error) {
	if !u.told {
		u.told = true
		u.warn(fmt.Sprintf("stacks of some programs without frame pointers end early: %v", err))
	}
}

// table makes a map of rows.
func (u *unwinder) table(number uint32, rows []ir.UnwindRow) error {
	m, err := u.rights.table(len(rows))
	if err != nil {
		return err
	}
	// The map lives on in the one that it is put into.
	defer m.Close()
	const step = 16384
	keys := make([]uint32, 0, step)
	for from := 0; from < len(rows); from += step {
		part := rows[from:min(from+step, len(rows))]
		keys = keys[:0]
		for i := range part {
			keys = append(keys, uint32(from+i))
		}
		if _, err := m.BatchUpdate(keys, part, nil); err != nil {
			return err
		}
	}
	return u.tables.Update(number, m, ebpf.UpdateAny)
}

// identity asks the kernel for the identity of a file: what stat tells differs on
// some file systems.
func (u *unwinder) identity(f *os.File) (fileID, error) {
	mem, err := unix.Mmap(int(f.Fd()), 0, os.Getpagesize(), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return fileID{}, err
	}
	defer func() {
		// Unmapping what was mapped cannot fail.
		_ = unix.Munmap(mem)
	}()
	buf, err := u.info.LookupBytes(uint32(0))
	if err != nil || len(buf) < ir.UnwindInfoEnd {
		return fileID{}, fmt.Errorf("%s: %w", f.Name(), err)
	}
	native.PutUint64(buf[ir.UnwindState+ir.UnwindPC:], uint64(addressOf(mem)))
	native.PutUint64(buf[ir.UnwindState+ir.UnwindIno:], 0)
	if err := u.info.Update(uint32(0), buf, ebpf.UpdateAny); err != nil {
		return fileID{}, err
	}
	runtime.LockOSThread()
	err = runSyscallProgram(u.key, nil)
	runtime.UnlockOSThread()
	if err != nil {
		return fileID{}, err
	}
	if buf, err = u.info.LookupBytes(uint32(0)); err != nil {
		return fileID{}, err
	}
	id := fileID{native.Uint64(buf[ir.UnwindState+ir.UnwindDev:]), native.Uint64(buf[ir.UnwindState+ir.UnwindIno:])}
	if id.ino == 0 {
		return id, fmt.Errorf("%s: the kernel does not tell its identity", f.Name())
	}
	return id, nil
}

// learn adds the files that handlers have met.
func (u *unwinder) learn() {
	defer close(u.done)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-u.stop:
			return
		case <-tick.C:
			u.catchUp()
		}
	}
}

// catchUp looks once for files and pages that handlers have met.
func (u *unwinder) catchUp() {
	var key, where [2]uint64
	for u.missed.NextKey(nil, &key) == nil {
		if u.missed.Lookup(key, &where) == nil {
			u.meet(int(where[0]), where[1])
		}
		id := fileID{key[0], key[1]}
		u.mu.Lock()
		if id.dev != wantedPage && u.known[id] == nil {
			// The process has ended: there is no way to the file, for now.
			u.put(id, &unwindFile{read: true}, nil)
			delete(u.known, id)
		}
		u.mu.Unlock()
		// What put has deleted is not there.
		_ = u.missed.Delete(key)
	}
}

const wantedPage = 1<<64 - 1 // ir.UnwindPageMissed

// meet adds the file at an address of a process, and the page to those that are
// known.
func (u *unwinder) meet(pid int, addr uint64) {
	maps, _, err := readMaps(u.rights, pid)
	if err != nil {
		return
	}
	for i := range maps {
		m := &maps[i]
		if addr < m.start || m.end <= addr || !strings.HasPrefix(m.path, "/") {
			continue
		}
		open := mappedFile(pid, m)
		id, ok := u.add(open, m.path)
		u.mu.Lock()
		delete(u.paths, open) // another process may have another file there
		u.mu.Unlock()
		if ok {
			page := [5]uint64{m.start, m.end, m.start - m.offset, id.dev, id.ino}
			// An LRU map has room.
			_ = u.pages.Update([2]uint64{uint64(pid), addr >> 12}, page, ebpf.UpdateAny)
		}
	}
}

// mapping tells what a handler saw at an address of a process that is gone.
func (u *unwinder) mapping(tgid int, addr uint64) (mapping, bool) {
	if u == nil {
		return mapping{}, false
	}
	var v [5]uint64
	if u.pages.Lookup([2]uint64{uint64(tgid), addr >> 12}, &v) != nil || addr < v[0] || addr >= v[1] {
		return mapping{}, false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	w := u.known[fileID{v[3], v[4]}]
	if w == nil {
		return mapping{}, false
	}
	if !w.read {
		w.read = true
		if w.file != nil {
			if syms, err := readUserFile(u.rights, w.file, w.path); err == nil {
				w.syms = syms
			}
			w.file = nil // it is closed
		}
	}
	return mapping{start: v[0], end: v[1], offset: v[0] - v[2], path: w.path, file: w.syms}, true
}

// vdsoPath is how /proc/PID/maps names the kernel's own code in user programs.
const vdsoPath = "[vdso]"

// vdso is the kernel's own code in user programs.
func vdso() (*elf.File, error) {
	b, err := vdsoImage()
	if err != nil || b == nil {
		return nil, err
	}
	return elf.New(vdsoPath, bytes.NewReader(b))
}

// vdsoImage is read once: who has given up privileges cannot read its own memory any
// more.
var vdsoImage = sync.OnceValues(func() ([]byte, error) {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(maps)) {
		if !strings.HasSuffix(strings.TrimSpace(line), vdsoPath) {
			continue
		}
		lo, hi, _ := strings.Cut(strings.Fields(line)[0], "-")
		start, err1 := strconv.ParseUint(lo, 16, 64)
		end, err2 := strconv.ParseUint(hi, 16, 64)
		if err1 != nil || err2 != nil || end <= start || end-start > 1<<20 {
			continue
		}
		mem, err := os.Open("/proc/self/mem")
		if err != nil {
			return nil, err
		}
		defer mem.Close()
		b := make([]byte, end-start)
		if _, err := mem.ReadAt(b, int64(start)); err != nil {
			return nil, err
		}
		return b, nil
	}
	return nil, nil
})

func vdsoSymbols(f *elf.File) *userFile {
	u, err := newUserFile(nil, f)
	if err != nil {
		return nil
	}
	return u
}
