//go:build linux

package loader

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"stapkit/ir"
	"stapkit/ir/interp"
)

// Where what is left attached is: its links, maps and programs in the BPF file
// system, and beside them what only the loader knows.
const (
	bpffs   = "/sys/fs/bpf"
	pinsDir = bpffs + "/stapkit"
	// Not in FilesDir, to which the service's user may add.
	leftDir  = "/run/stapkit-left"
	leftFile = "state" // .0 and .1
	dataFile = "bundle.o"
)

// left is a script that stays attached when its loader ends, however it ends. The
// kernel keeps programs, maps and links as long as they have names in its file system;
// what loader handlers have in memory is written to a file after each that changed it.
type left struct {
	name  string
	pins  string // directory in the BPF file system
	dir   string // directory of the state
	state leftState
	dirty bool
	// The state is written to the one and the other of two files, which are open
	// from the beginning, as the loader may have given up its rights later. Whoever
	// reads takes the newer one that is whole.
	files [2]*os.File
}

// leftState is the file beside the pins. Maps and programs are pinned under numbers,
// since names there may hold no dots; links are in the order of attachment.
type leftState struct {
	Version  int        `json:"version"`
	Written  uint64     `json:"written"` // how often before
	Maps     []string   `json:"maps"`
	Programs []string   `json:"programs"`
	Links    []leftLink `json:"links"`
	Entries  int        `json:"max_map_entries,omitempty"`
	// Shared are the globals that kernel handlers use as far as the loader has
	// them, Own those that only loader handlers use.
	Shared []leftGlobal `json:"shared"`
	Own    []leftGlobal `json:"own"`
	Hits   []leftHit    `json:"hits"`
}

type leftLink struct {
	Probes []int `json:"probes"`
	Pins   int   `json:"pins"` // how many links carry them
}

type leftGlobal struct {
	Elements []leftElement `json:"elements"`
}

// leftElement is an element, or, without keys, a scalar.
type leftElement struct {
	Keys []leftValue  `json:"keys,omitempty"`
	Val  leftValue    `json:"val"`
	Stat *interp.Stat `json:"stat,omitempty"`
}

// leftValue is a value with its bytes as they are, which JSON's strings would not keep.
type leftValue struct {
	Kind ir.Kind `json:"kind"`
	Text ir.Text `json:"text,omitempty"`
	Int  int64   `json:"int,omitempty"`
	Str  []byte  `json:"str,omitempty"`
}

type leftHit struct {
	N             uint64
	Min, Max, Sum time.Duration
	Squares       float64
}

const leftVersion = 1

// LeftName is the name under which a program is left attached unless another is given.
func LeftName(p *ir.Program) string {
	base := filepath.Base(p.Name)
	base = strings.TrimSuffix(base, filepath.Ext(base))
	name := strings.Map(func(c rune) rune {
		if c == '-' || c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' {
			return c
		}
		return '_'
	}, base)
	if strings.Trim(name, "_") == "" {
		return "stap"
	}
	return name
}

// checkLeftName keeps names from leading elsewhere.
func checkLeftName(name string) error {
	if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
		return errorf(codeLeft, nil, "%q is no name of something left attached: letters, digits, '-' and '_' only", name)
	}
	return nil
}

// LeftBundle is the bundle of what is left attached under the name.
func LeftBundle(name string) ([]byte, error) {
	if err := checkLeftName(name); err != nil {
		return nil, err
	}
	b, err := os.ReadFile(filepath.Join(leftDir, name, dataFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, errorf(codeLeft, nil, "nothing is left attached under the name %s%s", name, leftNames())
	}
	return b, err
}

// leftNames says what there is.
func leftNames() string {
	entries, err := os.ReadDir(leftDir)
	if err != nil || len(entries) == 0 {
		return ""
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return "; there are: " + strings.Join(names, ", ")
}

// RemoveLeft takes down what is left attached under the name, without end probes. What
// it has counted is lost.
func RemoveLeft(name string) error {
	if _, err := LeftBundle(name); err != nil {
		return err
	}
	l := &left{name: name, pins: filepath.Join(pinsDir, name), dir: filepath.Join(leftDir, name)}
	return errors.Join(os.RemoveAll(l.pins), os.RemoveAll(l.dir))
}

// remove takes down what is left attached.
func (l *left) remove(r rights) error {
	l.close()
	return errors.Join(r.remove(l.pins), r.remove(l.dir))
}

// mountBPF sees to it that there is a BPF file system.
func mountBPF() error {
	var st unix.Statfs_t
	if unix.Statfs(bpffs, &st) == nil && uint32(st.Type) == unix.BPF_FS_MAGIC {
		return nil
	}
	if err := unix.Mount("bpf", bpffs, "bpf", 0, "mode=700"); err != nil {
		return errorf(codeLeft, err, "to leave probes attached a BPF file system has to be mounted at %s: %v", bpffs, err)
	}
	return nil
}

type objAttr struct {
	path  ptr
	fd    uint32
	flags uint32
}

const (
	cmdObjPin = 6
	cmdObjGet = 7
)

func objCall(cmd uintptr, path string, fd int) (int, error) {
	p, err := unix.BytePtrFromString(path)
	if err != nil {
		return -1, err
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	pin.Pin(p)
	a := objAttr{path: ptr(uintptr(unsafe.Pointer(p))), fd: uint32(fd)}
	n, err := bpfCall(cmd, unsafe.Pointer(&a), unsafe.Sizeof(a))
	if err != nil {
		return -1, &os.PathError{Op: "bpf", Path: path, Err: err}
	}
	return n, nil
}

// linksOf collects the file descriptors of the links in what was attached.
func linksOf(c io.Closer) ([]int, error) {
	switch c := c.(type) {
	case closers:
		var all []int
		for _, part := range c {
			fds, err := linksOf(part)
			if err != nil {
				return nil, err
			}
			all = append(all, fds...)
		}
		return all, nil
	case *os.File:
		if strings.HasPrefix(c.Name(), bpfLinkName) {
			return []int{int(c.Fd())}, nil
		}
		return nil, nil // the event behind a link, which the link keeps
	case interface{ FD() int }:
		return []int{c.FD()}, nil
	}
	return nil, fmt.Errorf("%T cannot be left attached", c)
}

// pin gives all that is in the kernel a name there.
func (s *session) pin() (err error) {
	name := s.opt.Pin
	if err := checkLeftName(name); err != nil {
		return err
	}
	if s.coll == nil {
		return errorf(codeLeft, nil, "the script has no handler in the kernel, so there is nothing to leave attached")
	}
	if err := mountBPF(); err != nil {
		return err
	}
	l := &left{name: name, pins: filepath.Join(pinsDir, name), dir: filepath.Join(leftDir, name)}
	if err := s.rights.setUp(setUp{Own: []string{l.pins, l.dir}}); err != nil {
		return err
	}
	for _, dir := range []string{pinsDir, leftDir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	if err := os.Mkdir(l.pins, 0o700); err != nil {
		if errors.Is(err, os.ErrExist) {
			return errorf(codeLeft, nil, "something is left attached under the name %s already: attach to it (staprun -A %s), take it down (staprun -d %s), or give another name", name, name, name)
		}
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.remove(s.rights))
		}
	}()
	// What an earlier kernel had is no more.
	if err := os.RemoveAll(l.dir); err != nil {
		return err
	}
	if err := os.Mkdir(l.dir, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(l.dir, dataFile), s.opt.PinBundle, 0o600); err != nil {
		return err
	}
	l.state = leftState{Version: leftVersion, Entries: s.opt.MaxMapEntries}
	for key, m := range s.coll.Maps {
		if _, err := objCall(cmdObjPin, l.path("map", len(l.state.Maps)), m.FD()); err != nil {
			return err
		}
		l.state.Maps = append(l.state.Maps, key)
	}
	for key, p := range s.programs {
		if _, err := objCall(cmdObjPin, l.path("prog", len(l.state.Programs)), p.FD()); err != nil {
			return err
		}
		l.state.Programs = append(l.state.Programs, key)
	}
	n := 0
	for _, a := range s.attached {
		fds, err := linksOf(a.link)
		if err != nil {
			return errorf(codeLeft, err, "%v", err)
		}
		for _, fd := range fds {
			if _, err := objCall(cmdObjPin, l.path("link", n), fd); err != nil {
				return errorf(codeLeft, err, "the kernel does not let probe %s be left attached, which needs Linux 5.15 for some kinds: %v", s.p.Probes[a.probes[0]].Point, err)
			}
			n++
		}
		l.state.Links = append(l.state.Links, leftLink{Probes: a.probes, Pins: len(fds)})
	}
	if err := l.openFiles(); err != nil {
		return err
	}
	s.left = l
	return s.saveLeft()
}

func (l *left) path(kind string, n int) string {
	return filepath.Join(l.pins, fmt.Sprintf("%s_%d", kind, n))
}

// saveLeft writes down what only the loader knows.
func (s *session) saveLeft() error {
	l := s.left
	l.dirty = false
	st := &l.state
	var err error
	if st.Shared, err = saveStore(s.p, s.mem); err == nil {
		st.Own, err = saveStore(s.p, s.machine.Store())
	}
	if err != nil {
		return err
	}
	st.Hits = st.Hits[:0]
	for _, h := range s.hits {
		st.Hits = append(st.Hits, leftHit{h.n, h.min, h.max, h.sum, h.squares})
	}
	st.Written++
	b, err := json.Marshal(st)
	if err != nil {
		return err
	}
	f := l.files[st.Written%2]
	sum := sha256.Sum256(b)
	if err := f.Truncate(0); err != nil {
		return err
	}
	if _, err := f.WriteAt(append(sum[:], b...), 0); err != nil {
		return err
	}
	return nil
}

// openFiles opens the files of the state, to be written.
func (l *left) openFiles() error {
	for i := range l.files {
		var err error
		if l.files[i], err = os.OpenFile(l.stateFile(i), os.O_WRONLY|os.O_CREATE, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (l *left) close() {
	if l == nil {
		return
	}
	for _, f := range l.files {
		if f != nil {
			// Each write was whole.
			_ = f.Close()
		}
	}
}

func (l *left) stateFile(i int) string {
	return filepath.Join(l.dir, fmt.Sprintf("%s.%d", leftFile, i))
}

func toLeft(v interp.Value) leftValue { return leftValue{v.Kind, v.Text, v.I, []byte(v.S)} }

func (v leftValue) value() interp.Value {
	return interp.Value{Kind: v.Kind, Text: v.Text, I: v.Int, S: string(v.Str)}
}

func saveStore(p *ir.Program, store *interp.Store) ([]leftGlobal, error) {
	out := make([]leftGlobal, len(p.Globals))
	for i := range p.Globals {
		var err error
		if out[i], err = saveGlobal(p, store, i); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func saveGlobal(p *ir.Program, store *interp.Store, i int) (out leftGlobal, err error) {
	g := &p.Globals[i]
	if g.IsArray() {
		list, err := store.Snapshot(i)
		if err != nil {
			return out, err
		}
		for _, e := range list {
			le := leftElement{Val: toLeft(e.Val), Stat: e.Stat}
			for _, k := range e.Keys {
				le.Keys = append(le.Keys, toLeft(k))
			}
			out.Elements = append(out.Elements, le)
		}
		return out, nil
	}
	var e leftElement
	if g.Value.Kind == ir.Stat {
		e.Stat, err = store.Stat(i, nil)
	} else {
		var v interp.Value
		v, _, err = store.Get(i, nil)
		e.Val = toLeft(v)
	}
	out.Elements = []leftElement{e}
	return out, err
}

func loadStore(p *ir.Program, store *interp.Store, list []leftGlobal) error {
	if len(list) != len(p.Globals) {
		return fmt.Errorf("%d globals are saved, the program has %d", len(list), len(p.Globals))
	}
	for i := range list {
		for _, e := range list[i].Elements {
			var keys []interp.Value
			for _, k := range e.Keys {
				keys = append(keys, k.value())
			}
			if len(keys) != len(p.Globals[i].Keys) {
				return fmt.Errorf("global %s is saved with %d keys", p.Globals[i].Name, len(keys))
			}
			var err error
			if e.Stat != nil {
				err = store.SetStat(i, keys, e.Stat)
			} else {
				_, _, err = store.Update(i, keys, ir.OpSet, e.Val.value())
			}
			if err != nil {
				return fmt.Errorf("global %s: %w", p.Globals[i].Name, err)
			}
		}
	}
	return nil
}

// readLeft reads what a loader left behind.
func readLeft(name string) (*left, error) {
	if err := checkLeftName(name); err != nil {
		return nil, err
	}
	l := &left{name: name, pins: filepath.Join(pinsDir, name), dir: filepath.Join(leftDir, name)}
	found := false
	for i := range l.files {
		b, err := os.ReadFile(l.stateFile(i))
		if err != nil || len(b) < sha256.Size {
			continue
		}
		var st leftState
		sum := sha256.Sum256(b[sha256.Size:])
		if !bytes.Equal(sum[:], b[:sha256.Size]) || json.Unmarshal(b[sha256.Size:], &st) != nil || st.Version != leftVersion {
			continue
		}
		if !found || st.Written > l.state.Written {
			l.state, found = st, true
		}
	}
	if _, err := os.Stat(l.dir); err != nil {
		return nil, errorf(codeLeft, err, "nothing is left attached under the name %s%s", name, leftNames())
	}
	if !found {
		return nil, errorf(codeLeft, nil, "what was left attached as %s is damaged, or another version's; take it down with staprun -d %s", name, name)
	}
	return l, nil
}

// leftEntries is the size of arrays that was asked for when the script was left.
func leftEntries(name string) (int, error) {
	l, err := readLeft(name)
	if err != nil {
		return 0, err
	}
	return l.state.Entries, nil
}

// rejoin takes over what an earlier loader left attached.
func (s *session) rejoin() error {
	if err := theHost.checkBPF(); err != nil {
		return err
	}
	name := s.opt.Attach
	l, err := readLeft(name)
	if err != nil {
		return err
	}
	st := &l.state
	s.coll = &ebpf.Collection{Maps: map[string]*ebpf.Map{}, Programs: map[string]*ebpf.Program{}}
	s.programs = s.coll.Programs
	gone := func(err error) error {
		return errorf(codeLeft, err, "what was left attached as %s is no longer there: %v; staprun -d %s clears it away", name, err, name)
	}
	for i, key := range st.Maps {
		fd, err := objCall(cmdObjGet, l.path("map", i), 0)
		if err != nil {
			return gone(err)
		}
		if s.coll.Maps[key], err = ebpf.NewMapFromFD(fd); err != nil {
			return gone(err)
		}
	}
	for i, key := range st.Programs {
		fd, err := objCall(cmdObjGet, l.path("prog", i), 0)
		if err != nil {
			return gone(err)
		}
		if s.programs[key], err = ebpf.NewProgramFromFD(fd); err != nil {
			return gone(err)
		}
	}
	n := 0
	for _, k := range st.Links {
		a := attached{probes: k.Probes}
		var all closers
		for range k.Pins {
			fd, err := objCall(cmdObjGet, l.path("link", n), 0)
			if err != nil {
				return errors.Join(gone(err), all.Close())
			}
			all = append(all, bpfFile(fd, "left"))
			n++
		}
		a.link = all
		s.attached = append(s.attached, a)
	}
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return errorf(codeKernel, err, "the number of CPUs is not known, is /sys mounted? (%v)", err)
	}
	if err := s.adopt(cpus, nil); err != nil {
		return err
	}
	if s.blk.state() == ir.SessStarting {
		return gone(errors.New("its loader ended before it was active"))
	}
	if err := loadStore(s.storeProgram, s.mem, st.Shared); err != nil {
		return gone(err)
	}
	if err := loadStore(s.p, s.machine.Store(), st.Own); err != nil {
		return gone(err)
	}
	for i := range min(len(st.Hits), len(s.hits)) {
		h := st.Hits[i]
		s.hits[i] = hit{h.N, h.Min, h.Max, h.Sum, h.Squares}
	}
	if s.opt.PID == 0 {
		s.opt.PID = int(s.blk.word(ir.SessOffTarget).Load())
	}
	s.left = l
	if err := s.rights.setUp(setUp{Own: []string{l.pins, l.dir}}); err != nil {
		return err
	}
	return l.openFiles()
}

// leave ends the loader's part and lets the kernel's go on.
func (s *session) leave() {
	s.leaving.Store(true)
	s.exitOnce.Do(func() { close(s.exit) })
}

// leftBehind is the end of a loader that leaves its script attached.
func (s *session) leftBehind() error {
	if err := s.saveLeft(); err != nil {
		return err
	}
	s.files.close()
	if !s.opt.NoWarnings {
		s.out.message(fmt.Sprintf("The script stays attached as %s. To go on with it: staprun -A %s; to take it down: staprun -d %s\n", s.left.name, s.left.name, s.left.name))
	}
	return nil
}
