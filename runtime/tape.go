//go:build linux

package loader

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"stapkit/ir"
	"stapkit/ir/interp"
	"stapkit/target/elf"
	"stapkit/target/sym"
)

// A tape is what a run prints before it has become text: the values of printfs with the
// numbers that names are made of, the mappings of processes and the build-ids of their
// files. A host without symbols records one, a machine with them replays it. The file is
// compressed JSON, an object in a line each; the first is a tapeHeader.
type tape struct {
	file  *os.File
	zip   *gzip.Writer
	enc   *json.Encoder
	texts *texts
	known map[string]bool // mappings and symbols that are on the tape
	notes []taped         // found while a value was looked at
}

// taped is one thing on a tape.
type taped struct {
	// A printf with its format, or the histogram of a global.
	Print  bool        `json:"print,omitempty"`
	Hist   bool        `json:"hist,omitempty"`
	Format int         `json:"format,omitempty"` // or the global
	Values []leftValue `json:"values,omitempty"`
	Counts []int64     `json:"counts,omitempty"`
	// Global is a global that is shown at the end.
	Global *tapedGlobal `json:"global,omitempty"`
	// Message is a line of standard error.
	Message string `json:"message,omitempty"`
	// Map is where a process has mapped a file, Symbol one of the kernel.
	Map    *tapedMap    `json:"map,omitempty"`
	Symbol *tapedSymbol `json:"symbol,omitempty"`
}

type tapedGlobal struct {
	Index    int           `json:"index"`
	Quiet    bool          `json:"quiet,omitempty"` // for profiles, not shown
	Elements []leftElement `json:"elements"`
}

type tapedMap struct {
	PID     int    `json:"pid"`
	Start   uint64 `json:"start"`
	End     uint64 `json:"end"`
	Offset  uint64 `json:"offset"`
	Path    string `json:"path"`
	BuildID string `json:"build_id,omitempty"`
	Image   uint64 `json:"image"` // where Start is in the file's own address space
}

type tapedSymbol struct {
	Addr   uint64 `json:"addr"` // where it begins
	Size   uint64 `json:"size"`
	Name   string `json:"name"`
	Module string `json:"module,omitempty"`
}

// tapeHeader is the first line.
type tapeHeader struct {
	Stapkit string    `json:"stapkit"` // "tape"
	Version int       `json:"version"`
	Program []byte    `json:"program"`
	Kernel  string    `json:"kernel"`
	Host    string    `json:"host"`
	Begun   time.Time `json:"begun"`
}

const tapeVersion = 1

func newTape(name string, p *ir.Program, t *texts) (*tape, error) {
	enc, err := ir.Encode(p)
	if err != nil {
		return nil, err
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, fmt.Errorf("the recording: %w", err)
	}
	z := gzip.NewWriter(f)
	out := &tape{file: f, zip: z, enc: json.NewEncoder(z), texts: t, known: map[string]bool{}}
	h := tapeHeader{Stapkit: "tape", Version: tapeVersion, Program: enc, Begun: time.Now()}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		h.Kernel, h.Host = unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Nodename[:])
	}
	t.observe, t.users.observe = out, out.userMapping
	return out, out.enc.Encode(&h)
}

// values are those of a printf, with what is needed to make text of them elsewhere on
// the tape before them. What only this host can make text of is text already.
func (t *tape) values(vals []interp.Value) []leftValue {
	out := make([]leftValue, len(vals))
	for i, v := range vals {
		if v.Kind == ir.Deferred {
			text := t.texts.text(v) // t.kernel and t.user hear of what it leads to
			switch v.Text {
			case ir.TextType, ir.TextParms, ir.TextTaskStack:
				v = interp.StrValue(text)
			}
		}
		out[i] = toLeft(v)
	}
	return out
}

// kernelSymbol and userMapping are told of each address that a text names. The caller
// holds the lock of texts.
func (t *tape) kernelSymbol(s sym.Symbol, start, size uint64) {
	key := fmt.Sprintf("k%x", start)
	if !t.known[key] {
		t.known[key] = true
		t.notes = append(t.notes, taped{Symbol: &tapedSymbol{start, size, s.Name, s.Module}})
	}
}

func (t *tape) userMapping(tgid int, m *mapping) {
	key := fmt.Sprintf("%d %x %x %s", tgid, m.start, m.end, m.id)
	if t.known[key] {
		return
	}
	t.known[key] = true
	out := &tapedMap{PID: tgid, Start: m.start, End: m.end, Offset: m.offset, Path: m.path}
	if m.file != nil {
		own := m.file.tables[len(m.file.tables)-1]
		out.BuildID = own.BuildID
		out.Image, _ = own.Addr(m.offset) // 0 would be the headers
	}
	t.notes = append(t.notes, taped{Map: out})
}

// add writes one thing, after what it needs.
func (t *tape) add(x *taped) error {
	x.Print = !x.Hist && x.Global == nil && x.Message == ""
	t.texts.mu.Lock()
	notes := t.notes
	t.notes = nil
	t.texts.mu.Unlock()
	for i := range notes {
		if err := t.enc.Encode(&notes[i]); err != nil {
			return err
		}
	}
	return t.enc.Encode(x)
}

// tapeGlobal puts a global on the tape that is shown at the end.
func (s *session) tapeGlobal(g int, store *interp.Store, quiet bool) error {
	all, err := saveGlobal(s.p, store, g)
	if err != nil {
		return err
	}
	for i := range all.Elements {
		e := &all.Elements[i]
		for j := range e.Keys {
			e.Keys[j] = s.tape.values([]interp.Value{e.Keys[j].value()})[0]
		}
		e.Val = s.tape.values([]interp.Value{e.Val.value()})[0]
	}
	return s.tape.add(&taped{Global: &tapedGlobal{g, quiet, all.Elements}})
}

// tapeStacks puts the arrays of stacks on the tape, for profiles.
func (s *session) tapeStacks() error {
	for _, g := range stackArrays(s.p) {
		store := s.mem
		if s.p.Globals[g].Share == ir.LoaderOnly {
			store = s.machine.Store()
		}
		if err := s.tapeGlobal(g, store, true); err != nil {
			return err
		}
	}
	return nil
}

func (t *tape) close() error {
	if err := errors.Join(t.zip.Close(), t.file.Close()); err != nil {
		return fmt.Errorf("the recording: %w", err)
	}
	return nil
}

// Replay prints what was recorded in a file, with the symbols that this machine has: of
// user programs by their build-ids, of debug files like any other (elf.Search).
func Replay(ctx context.Context, name string, opt Options) (err error) {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(bufio.NewReader(f))
	if err != nil {
		return fmt.Errorf("%s: this is no recording: %w", name, err)
	}
	dec := json.NewDecoder(z)
	var h tapeHeader
	if err := dec.Decode(&h); err != nil || h.Stapkit != "tape" {
		return fmt.Errorf("%s: this is no recording: %w", name, err)
	}
	if h.Version != tapeVersion {
		return fmt.Errorf("%s: recorded by another version (%d, this one reads %d)", name, h.Version, tapeVersion)
	}
	s := &session{opt: opt, exit: make(chan struct{}), began: h.Begun}
	if s.p, err = ir.Decode(h.Program); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	stdout, stderr := opt.Stdout, opt.Stderr
	if opt.Output != "" {
		files, ferr := openOutFiles(opt.Rotation, ownFiles{opt.Output, opt.Rotation.Size > 0})
		if ferr != nil {
			return ferr
		}
		defer func() { err = errors.Join(err, files.Close()) }()
		stdout = files
	}
	s.out = newOutput(stdout, stderr)
	s.out.json, s.out.noWarnings, s.out.mark = opt.JSON, opt.NoWarnings, opt.Mark
	s.storeProgram = s.p
	s.mem = interp.NewStore(s.p)
	s.env = &env{session: s}
	s.blk = newBlock(s.p.SessionSize())
	s.rights = newLocal(nil, nil)
	s.texts = newTexts(s.p, s.rights, s.out.warn)
	s.texts.users.lines = opt.Lines
	s.texts.kernelLines = opt.KernelLines
	s.texts.pure = s.tell
	s.texts.away, s.texts.users.away = &awayKernel{}, true
	if s.machine, err = interp.New(s.p, s.env); err != nil {
		return err
	}
	if opt.Stacks != "" {
		if s.stacks, err = newStackSink(s, opt.Stacks); err != nil {
			return err
		}
		s.texts.listed = s.stacks.lines
	}
	var line printed
	for ctx.Err() == nil {
		var x taped
		err := dec.Decode(&x)
		if errors.Is(err, io.EOF) {
			break
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			s.out.warn("the recording ends in the middle: its loader was killed")
			break
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := s.play(&x, &line); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if s.stacks != nil {
		stacks, err := s.stacks.gather()
		if err == nil {
			err = s.stacks.write(stacks)
		}
		if err != nil {
			return err
		}
	}
	return s.out.flush()
}

// play does one thing of a tape.
func (s *session) play(x *taped, line *printed) error {
	switch {
	case x.Map != nil:
		s.texts.users.place(x.Map)
	case x.Symbol != nil:
		s.texts.away.add(x.Symbol)
	case x.Message != "":
		s.out.message(x.Message)
	case x.Global != nil:
		g := x.Global.Index
		if g < 0 || g >= len(s.p.Globals) {
			return fmt.Errorf("no global %d", g)
		}
		list := make([]leftGlobal, len(s.p.Globals))
		list[g].Elements = x.Global.Elements
		store := s.mem
		if s.p.Globals[g].Share == ir.LoaderOnly {
			store = s.machine.Store()
		}
		if err := loadStore(s.p, store, list); err != nil {
			return err
		}
		if x.Global.Quiet {
			return nil
		}
		return s.displayGlobal(g)
	case x.Hist:
		if err := s.printHist(line, x.Format, x.Counts); err != nil {
			return err
		}
		return s.put(line, origin{-1, -1, 0})
	case x.Print:
		vals := make([]interp.Value, len(x.Values))
		for i, v := range x.Values {
			vals[i] = v.value()
		}
		if err := s.print(line, x.Format, vals); err != nil {
			return err
		}
		return s.put(line, origin{-1, -1, 0})
	}
	return nil
}

// awayKernel is the symbols of another machine's kernel.
type awayKernel struct{ list []tapedSymbol }

func (k *awayKernel) add(s *tapedSymbol) { k.list = append(k.list, *s) }

func (k *awayKernel) lookup(addr uint64) (s sym.Symbol, off, size uint64, ok bool) {
	for _, x := range k.list {
		if x.Addr <= addr && (addr < x.Addr+x.Size || addr == x.Addr) {
			return sym.Symbol{Name: x.Name, Addr: x.Addr, Module: x.Module}, addr - x.Addr, x.Size, true
		}
	}
	return s, 0, 0, false
}

// place notes a mapping of a process of another machine, with the symbols that this one
// has for the file.
func (u *userSymbols) place(x *tapedMap) {
	m := mapping{start: x.Start, end: x.End, offset: x.Offset, path: x.Path, id: x.BuildID + " " + x.Path, image: x.Image}
	f, ok := u.files[m.id]
	if !ok {
		f = findUserFile(u.rights, x.Path, x.BuildID)
		u.files[m.id] = f
	}
	m.file = f
	p := u.procs[x.PID]
	if p == nil {
		p = &userProcess{}
		u.procs[x.PID] = p
	}
	// A later process of the same number comes first.
	p.maps = append([]mapping{m}, p.maps...)
}

// findUserFile finds a file of another machine here: by its build-id, among debug files
// or at its path. Without a build-id nothing says that it is the same.
func findUserFile(r rights, path, build string) *userFile {
	if build == "" || !strings.HasPrefix(path, "/") {
		return nil
	}
	same := func(name string) *elf.File {
		f, err := elf.Open(name)
		if err != nil {
			return nil
		}
		if f.BuildID != build {
			// It was only read.
			_ = f.Close()
			return nil
		}
		return f
	}
	if f := same(path); f != nil {
		if u, err := newUserFile(r, f); err == nil {
			return u
		}
		return nil
	}
	var search elf.Search
	for _, root := range search.DebugRoots() {
		if len(build) < 3 {
			break
		}
		if f := same(filepath.Join(root, ".build-id", build[:2], build[2:]+".debug")); f != nil {
			if u, err := newUserFile(r, f); err == nil {
				return u
			}
		}
	}
	return nil
}
