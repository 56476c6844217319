package desc

import (
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"stapkit/target/sym"
	"stapkit/target/tracefs"
)

// The file starts with a line of text, "stapkit-host-description MAJOR.MINOR",
// followed by (all numbers little-endian)
//
//	u32 number of sections
//	per section: u16 length of the name, the name,
//	             u64 length, u64 stored length, 32 bytes SHA-256 of the content
//	the stored (zlib) contents, one after the other
//
// and nothing else. Sections are sorted by name. A reader ignores sections that
// it does not know; a change that old readers must not overlook gets a new
// major version.
const (
	magic = "stapkit-host-description "
	major = 1
	minor = 0

	maxFile     = 1 << 30
	maxSections = 1 << 14 // modules dominate; a distribution has some thousands
	maxSection  = 256 << 20
	maxName     = 255
)

// The sections.
const (
	secHost      = "host"      // lines "key value"
	secNotes     = "notes"     // lines: what could not be read, and why
	secConfig    = "config"    // .config
	secBTF       = "btf/"      // + object
	secSymbols   = "kallsyms"  // as /proc/kallsyms, sorted by address
	secModules   = "modules"   // as /proc/modules
	secEvents    = "events"    // lines "system:event"
	secFormats   = "formats"   // "system:event\n", the format file, NUL; repeated
	secDeny      = "deny"      // lines: functions that cannot be probed
	secTraceable = "traceable" // lines: functions that ftrace can hook
	secFeatures  = "features"  // lines "name 0|1"
)

// FormatError says what is wrong with a description file.
type FormatError struct{ Text string }

func (e *FormatError) Error() string { return "host description: " + e.Text }

// VersionError says that a description is of a version that this program does
// not read.
type VersionError struct{ Got, Want string }

func (e *VersionError) Error() string {
	return fmt.Sprintf("host description: version %s; this program reads %s", e.Got, e.Want)
}

// File is a host description. It is a Source, safe for concurrent use.
type File struct {
	sections map[string]*section

	mu      sync.Mutex
	info    *Info
	notes   []string
	events  []tracefs.Name
	formats map[string][]byte // by system:event
}

type section struct {
	once   sync.Once
	raw    []byte // set from the start when collected, else by once
	err    error
	stored []byte
	size   uint64
	sum    [sha256.Size]byte
}

var _ Source = (*File)(nil)

// Options choose what Collect takes.
type Options struct {
	// Objects, when not nil, selects the objects whose BTF is taken.
	Objects func(name string) bool
	// Formats selects the events whose formats are taken; nil takes those of
	// system calls.
	Formats func(tracefs.Name) bool
}

// Collect describes a host. What the source does not tell is left out and
// named in Notes; only a source without kernel release is an error.
func Collect(src Source, opt Options) (*File, error) {
	f := &File{sections: map[string]*section{}}
	var notes []string
	note := func(what string, err error) {
		notes = append(notes, what+": "+strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	info, err := src.Info()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	for _, kv := range [][2]string{{"release", info.Release}, {"version", info.Version}, {"machine", info.Machine}, {"buildid", info.BuildID}} {
		if kv[1] != "" && !strings.Contains(kv[1], "\n") {
			fmt.Fprintf(&b, "%s %s\n", kv[0], kv[1])
		}
	}
	f.put(secHost, b.Bytes())
	if data, err := src.Config(); err != nil {
		note("kernel configuration", err)
	} else {
		f.put(secConfig, data)
	}
	objects, err := src.Objects()
	if err != nil {
		note("types (BTF)", err)
	}
	for _, o := range objects {
		if opt.Objects != nil && !opt.Objects(o) {
			continue
		}
		raw, err := src.BTF(o)
		if err != nil {
			note("types (BTF) of "+o, err)
			continue
		}
		f.put(secBTF+o, raw)
	}
	if t, err := src.Symbols(); err != nil {
		note("kernel symbols", err)
	} else {
		if t.Hidden() {
			notes = append(notes, "kernel symbols: addresses are hidden from this user")
		}
		f.put(secSymbols, symbolText(t))
	}
	if ms, err := src.Modules(); err != nil {
		note("modules", err)
	} else {
		f.put(secModules, moduleText(ms))
	}
	events, err := src.Events()
	if err != nil {
		note("trace events", err)
	} else {
		f.put(secEvents, eventText(events))
	}
	want := opt.Formats
	if want == nil {
		want = func(n tracefs.Name) bool { return n.System == "syscalls" || n.System == "raw_syscalls" }
	}
	b = bytes.Buffer{}
	for _, n := range events {
		if !want(n) {
			continue
		}
		data, err := src.FormatText(n)
		if err != nil {
			note("format of event "+n.String(), err)
			continue
		}
		fmt.Fprintf(&b, "%s\n%s\x00", n, bytes.ReplaceAll(data, []byte{0}, nil))
	}
	f.put(secFormats, b.Bytes())
	lines := func(sec, what string, get func() ([]string, error)) {
		ls, err := get()
		if err != nil {
			note(what, err)
			return
		}
		f.put(sec, []byte(joinLines(ls)))
	}
	lines(secDeny, "functions that cannot be probed", src.Deny)
	lines(secTraceable, "functions that ftrace can hook", src.Traceable)
	if fts, err := src.Features(); err != nil {
		note("features of BPF", err)
	} else {
		b := &bytes.Buffer{}
		for _, k := range slices.Sorted(maps.Keys(fts)) {
			v := 0
			if fts[k] {
				v = 1
			}
			fmt.Fprintf(b, "%s %d\n", k, v)
		}
		f.put(secFeatures, b.Bytes())
	}
	f.put(secNotes, []byte(joinLines(notes)))
	return f, nil
}

func joinLines(ls []string) string {
	var b strings.Builder
	for _, l := range ls {
		if l != "" && !strings.Contains(l, "\n") {
			b.WriteString(l + "\n")
		}
	}
	return b.String()
}

func symbolText(t *sym.Table) []byte {
	var b bytes.Buffer
	for i := range t.Len() {
		s := t.At(i)
		// What was generated since the boot belongs to no kernel.
		if s.Module == "bpf" || strings.HasPrefix(s.Module, "__builtin__") {
			continue
		}
		fmt.Fprintf(&b, "%016x %c %s", s.Addr, s.Type, s.Name)
		if s.Module != "" {
			b.WriteString("\t[" + s.Module + "]")
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}

func moduleText(ms []sym.Module) []byte {
	var b bytes.Buffer
	for _, m := range ms {
		state := "Live"
		if !m.Live {
			state = "Loading"
		}
		fmt.Fprintf(&b, "%s %d 0 - %s 0x%016x\n", m.Name, m.Size, state, m.Base)
	}
	return b.Bytes()
}

func eventText(ns []tracefs.Name) []byte {
	var b bytes.Buffer
	for _, n := range ns {
		b.WriteString(n.String() + "\n")
	}
	return b.Bytes()
}

func (f *File) put(name string, raw []byte) {
	s := &section{raw: raw, size: uint64(len(raw)), sum: sha256.Sum256(raw)}
	s.once.Do(func() {}) // nothing to inflate
	f.sections[name] = s
}

// WriteTo writes the file. The same content gives the same bytes.
func (f *File) WriteTo(w io.Writer) (int64, error) {
	var head, body bytes.Buffer
	names := slices.Sorted(maps.Keys(f.sections))
	fmt.Fprintf(&head, "%s%d.%d\n", magic, major, minor)
	le := binary.LittleEndian
	head.Write(le.AppendUint32(nil, uint32(len(names))))
	for _, n := range names {
		raw, err := f.section(n)
		if err != nil {
			return 0, err
		}
		if len(n) > maxName || len(raw) > maxSection {
			return 0, &FormatError{fmt.Sprintf("section %.100q of %d bytes is too large", n, len(raw))}
		}
		at := body.Len()
		z, err := zlib.NewWriterLevel(&body, zlib.DefaultCompression)
		if err != nil {
			return 0, err
		}
		if _, err := z.Write(raw); err != nil {
			return 0, err
		}
		if err := z.Close(); err != nil {
			return 0, err
		}
		sum := sha256.Sum256(raw)
		rec := le.AppendUint16(nil, uint16(len(n)))
		rec = append(rec, n...)
		rec = le.AppendUint64(rec, uint64(len(raw)))
		rec = le.AppendUint64(rec, uint64(body.Len()-at))
		head.Write(append(rec, sum[:]...))
	}
	n1, err := head.WriteTo(w)
	if err != nil {
		return n1, err
	}
	n2, err := body.WriteTo(w)
	return n1 + n2, err
}

// Save writes the file to a path, by way of a temporary file beside it.
func (f *File) Save(path string) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	if _, err = f.WriteTo(tmp); err != nil {
		return errors.Join(err, tmp.Close())
	}
	// It tells no more than a user of the host could read, except for
	// addresses; they are what the mode protects.
	if err = tmp.Chmod(0o600); err != nil {
		return errors.Join(err, tmp.Close())
	}
	if err = tmp.Close(); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// IsFile reports whether data begins as a host description does.
func IsFile(data []byte) bool { return bytes.HasPrefix(data, []byte(magic)) }

// Open reads a description from a file.
func Open(path string) (*File, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if st.Size() > maxFile {
		return nil, &FormatError{fmt.Sprintf("%s is larger than %d bytes", path, maxFile)}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// Parse reads a description. Contents are inflated, and checked against their
// digests, on first use. data is kept and must not be changed.
func Parse(data []byte) (*File, error) {
	bad := func(format string, args ...any) (*File, error) {
		return nil, &FormatError{fmt.Sprintf(format, args...)}
	}
	if !IsFile(data) {
		return bad("the file does not begin with %q", strings.TrimSpace(magic))
	}
	if len(data) > maxFile {
		return bad("larger than %d bytes", maxFile)
	}
	rest := data[len(magic):]
	nl := bytes.IndexByte(rest[:min(len(rest), 32)], '\n')
	if nl < 0 {
		return bad("the first line has no version")
	}
	version := string(rest[:nl])
	rest = rest[nl+1:]
	maj, min, ok := strings.Cut(version, ".")
	m1, err1 := strconv.ParseUint(maj, 10, 16)
	_, err2 := strconv.ParseUint(min, 10, 16)
	if !ok || err1 != nil || err2 != nil {
		return bad("%q is no version", version)
	}
	if m1 != major {
		return nil, &VersionError{version, fmt.Sprintf("%d.x", major)}
	}
	le := binary.LittleEndian
	if len(rest) < 4 {
		return bad("cut short in the header")
	}
	count := le.Uint32(rest)
	rest = rest[4:]
	if count > maxSections {
		return bad("%d sections exceed the limit of %d", count, maxSections)
	}
	f := &File{sections: map[string]*section{}}
	type placed struct {
		*section
		stored uint64
	}
	var order []placed
	last := ""
	for i := range count {
		if len(rest) < 2 {
			return bad("cut short in the section table")
		}
		n := int(le.Uint16(rest))
		if n == 0 || n > maxName || len(rest) < 2+n+16+sha256.Size {
			return bad("section %d is cut short or has a bad name", i)
		}
		name := string(rest[2 : 2+n])
		if name <= last {
			return bad("section %q is out of order", name)
		}
		last = name
		rest = rest[2+n:]
		s := &section{size: le.Uint64(rest)}
		if s.size > maxSection {
			return bad("section %q of %d bytes exceeds the limit of %d", name, s.size, maxSection)
		}
		stored := le.Uint64(rest[8:])
		copy(s.sum[:], rest[16:])
		rest = rest[16+sha256.Size:]
		f.sections[name] = s
		order = append(order, placed{s, stored})
	}
	for _, s := range order {
		if s.stored > uint64(len(rest)) {
			return bad("cut short: %d bytes are missing", s.stored-uint64(len(rest)))
		}
		s.section.stored, rest = rest[:s.stored], rest[s.stored:]
	}
	if len(rest) > 0 {
		return bad("%d bytes behind the last section", len(rest))
	}
	return f, nil
}

// section gives a section's content, or ErrUnknown if there is none.
func (f *File) section(name string) ([]byte, error) {
	s, ok := f.sections[name]
	if !ok {
		return nil, f.missing(name)
	}
	s.once.Do(func() { s.raw, s.err = s.inflate(name) })
	return s.raw, s.err
}

func (s *section) inflate(name string) ([]byte, error) {
	bad := func(err error) ([]byte, error) {
		return nil, &FormatError{fmt.Sprintf("section %q: %v", name, err)}
	}
	z, err := zlib.NewReader(bytes.NewReader(s.stored))
	if err != nil {
		return bad(err)
	}
	var b bytes.Buffer
	// zlib shrinks by at most 1032 to 1: a size that cannot be true is not
	// reserved.
	b.Grow(int(min(s.size, uint64(len(s.stored))*1032)) + bytes.MinRead)
	if _, err := b.ReadFrom(io.LimitReader(z, int64(s.size)+1)); err != nil {
		return bad(err)
	}
	if uint64(b.Len()) != s.size {
		return bad(errors.New("its length is not the stated one"))
	}
	if sha256.Sum256(b.Bytes()) != s.sum {
		return bad(errors.New("its content is damaged (SHA-256 differs)"))
	}
	return b.Bytes(), nil
}

// missing is the error for a section that is not there, with the reason that
// was noted when the description was written.
func (f *File) missing(name string) error {
	what := map[string]string{
		secConfig: "kernel configuration", secSymbols: "kernel symbols", secModules: "modules", secEvents: "trace events",
		secDeny: "functions that cannot be probed", secTraceable: "functions that ftrace can hook", secFeatures: "features of BPF",
	}[name]
	if o, ok := strings.CutPrefix(name, secBTF); ok {
		what = "types (BTF) of " + o
	}
	notes, err := f.Notes()
	if err != nil {
		return err
	}
	for _, n := range notes {
		if strings.HasPrefix(n, what+": ") {
			return fmt.Errorf("the host description lacks %s: %w", n, ErrUnknown)
		}
	}
	return fmt.Errorf("the host description lacks %s: %w", what, ErrUnknown)
}

// Notes says what the description lacks and why, one sentence each.
func (f *File) Notes() ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.notes == nil {
		if _, ok := f.sections[secNotes]; !ok {
			return nil, nil
		}
		data, err := f.section(secNotes)
		if err != nil {
			return nil, err
		}
		f.notes = splitLines(data)
	}
	return f.notes, nil
}

func splitLines(data []byte) []string {
	out := []string{}
	for line := range strings.Lines(string(data)) {
		out = append(out, strings.TrimSuffix(line, "\n"))
	}
	return out
}

// Info implements Source.
func (f *File) Info() (Info, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.info != nil {
		return *f.info, nil
	}
	if f.sections[secHost] == nil {
		return Info{}, &FormatError{"no host section"}
	}
	data, err := f.section(secHost)
	if err != nil {
		return Info{}, err
	}
	f.info = &Info{}
	for _, l := range splitLines(data) {
		k, v, _ := strings.Cut(l, " ")
		switch k {
		case "release":
			f.info.Release = v
		case "version":
			f.info.Version = v
		case "machine":
			f.info.Machine = v
		case "buildid":
			f.info.BuildID = v
		}
	}
	return *f.info, nil
}

// Config implements Source.
func (f *File) Config() ([]byte, error) { return f.section(secConfig) }

// Objects implements Source.
func (f *File) Objects() ([]string, error) {
	var out []string
	for name := range f.sections {
		if o, ok := strings.CutPrefix(name, secBTF); ok && o != Kernel {
			out = append(out, o)
		}
	}
	if f.sections[secBTF+Kernel] == nil {
		return nil, f.missing(secBTF + Kernel)
	}
	slices.Sort(out)
	return slices.Insert(out, 0, Kernel), nil
}

// BTF implements Source.
func (f *File) BTF(object string) ([]byte, error) { return f.section(secBTF + object) }

// Modules implements Source.
func (f *File) Modules() ([]sym.Module, error) {
	data, err := f.section(secModules)
	if err != nil {
		return nil, err
	}
	return sym.ParseModules(bytes.NewReader(data))
}

// Symbols implements Source.
func (f *File) Symbols() (*sym.Table, error) {
	data, err := f.section(secSymbols)
	if err != nil {
		return nil, err
	}
	return sym.Parse(data)
}

// Events implements Source.
func (f *File) Events() ([]tracefs.Name, error) {
	data, err := f.section(secEvents)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.events == nil {
		f.events = []tracefs.Name{}
		for _, l := range splitLines(data) {
			if s, e, ok := strings.Cut(l, ":"); ok {
				f.events = append(f.events, tracefs.Name{System: s, Event: e})
			}
		}
	}
	return f.events, nil
}

// FormatText is the text of an event's format file.
func (f *File) FormatText(n tracefs.Name) ([]byte, error) {
	data, err := f.section(secFormats)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.formats == nil {
		f.formats = map[string][]byte{}
		for rec := range bytes.SplitSeq(data, []byte{0}) {
			if name, text, ok := bytes.Cut(rec, []byte{'\n'}); ok {
				f.formats[string(name)] = text
			}
		}
	}
	text, ok := f.formats[n.String()]
	if !ok {
		return nil, fmt.Errorf("the host description lacks the format of event %s: %w", n, ErrUnknown)
	}
	return text, nil
}

// Format implements Source.
func (f *File) Format(n tracefs.Name) (*tracefs.Event, error) {
	text, err := f.FormatText(n)
	if err != nil {
		return nil, err
	}
	e, err := tracefs.ParseFormat(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", n, err)
	}
	e.System = n.System
	return e, nil
}

func (f *File) lines(sec string) ([]string, error) {
	data, err := f.section(sec)
	if err != nil {
		return nil, err
	}
	return splitLines(data), nil
}

// Deny implements Source.
func (f *File) Deny() ([]string, error) { return f.lines(secDeny) }

// Traceable implements Source.
func (f *File) Traceable() ([]string, error) { return f.lines(secTraceable) }

// Features implements Source.
func (f *File) Features() (map[string]bool, error) {
	ls, err := f.lines(secFeatures)
	if err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for _, l := range ls {
		if k, v, ok := strings.Cut(l, " "); ok {
			out[k] = v == "1"
		}
	}
	return out, nil
}

// Close implements Source.
func (f *File) Close() error { return nil }
