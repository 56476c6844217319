// Package tracefs reads what the kernel's trace file system tells about
// events: their systems, ids and field layouts.
//
// Tracepoints themselves come from BTF; an event is the older interface to
// one of them, with a system ("sched"), a number and a stable record format.
package tracefs

import (
	"bufio"
	"bytes"
	_ "embed" // systems.txt
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
)

// Name is the full name of an event.
type Name struct {
	System, Event string
}

// String is system:event.
func (n Name) String() string { return n.System + ":" + n.Event }

// Field is a field of an event's record.
type Field struct {
	Name string
	// Type is the C type as the kernel writes it, without the name: "const
	// char *", "char[16]", "__data_loc char[]".
	Type          string
	Offset, Bytes int
	Signed        bool
}

// Dynamic reports whether the field holds the place of data of variable length
// behind the record's fixed part: its low 16 bits are the offset from the
// start of the record (relative: from the end of the field), the high 16 bits
// the length.
func (f Field) Dynamic() (relative, ok bool) {
	switch {
	case strings.HasPrefix(f.Type, "__rel_loc "):
		return true, true
	case strings.HasPrefix(f.Type, "__data_loc "):
		return false, true
	}
	return false, false
}

// Event is the format of an event's record.
type Event struct {
	Name
	ID int
	// Common are the fields that every event has (common_type …); Fields
	// the event's own.
	Common, Fields []Field
	PrintFmt       string
}

// FS is a trace file system.
type FS struct {
	root  string
	close func() error
}

// Open finds the trace file system of the running kernel: where it is usually
// mounted, else, for root on Linux 5.2 and later, by a private mount that
// nobody else sees and that Close removes.
func Open() (*FS, error) {
	var denied error
	for _, dir := range []string{"/sys/kernel/tracing", "/sys/kernel/debug/tracing"} {
		_, err := os.Stat(filepath.Join(dir, "events"))
		if err == nil {
			return At(dir), nil
		}
		if errors.Is(err, fs.ErrPermission) {
			denied = err
		}
	}
	if f, err := mount(); err == nil {
		return f, nil
	} else if denied == nil && !errors.Is(err, errors.ErrUnsupported) {
		return nil, fmt.Errorf("tracefs is not mounted (mount -t tracefs tracefs /sys/kernel/tracing), and mounting it privately failed: %w", err)
	}
	if denied != nil {
		return nil, fmt.Errorf("tracefs needs root to be read: %w", denied)
	}
	return nil, errors.New("no tracefs")
}

// At is the trace file system at a directory.
func At(dir string) *FS { return &FS{root: dir, close: func() error { return nil }} }

// Close undoes a private mount.
func (f *FS) Close() error { return f.close() }

// Root is the directory of the file system, valid until Close.
func (f *FS) Root() string { return f.root }

// Events lists all events, sorted.
func (f *FS) Events() ([]Name, error) {
	data, err := os.ReadFile(filepath.Join(f.root, "available_events"))
	if err != nil {
		return f.walk()
	}
	var out []Name
	for line := range bytes.Lines(data) {
		sys, ev, ok := strings.Cut(strings.TrimSpace(string(line)), ":")
		if ok {
			out = append(out, Name{sys, ev})
		}
	}
	sortNames(out)
	return out, nil
}

// walk lists events by their directories, for trees without available_events.
func (f *FS) walk() ([]Name, error) {
	systems, err := os.ReadDir(filepath.Join(f.root, "events"))
	if err != nil {
		return nil, err
	}
	var out []Name
	for _, s := range systems {
		if !s.IsDir() {
			continue
		}
		events, err := os.ReadDir(filepath.Join(f.root, "events", s.Name()))
		if err != nil {
			return nil, err
		}
		for _, e := range events {
			if e.IsDir() {
				out = append(out, Name{s.Name(), e.Name()})
			}
		}
	}
	sortNames(out)
	return out, nil
}

func sortNames(ns []Name) {
	sort.Slice(ns, func(i, j int) bool {
		a, b := ns[i], ns[j]
		return a.System < b.System || a.System == b.System && a.Event < b.Event
	})
}

// FormatText is the text of an event's format file.
func (f *FS) FormatText(n Name) ([]byte, error) {
	if !plain(n.System) || !plain(n.Event) {
		return nil, fmt.Errorf("%q is no name of an event", n)
	}
	return os.ReadFile(filepath.Join(f.root, "events", n.System, n.Event, "format"))
}

// plain refuses names that would leave the events directory.
func plain(s string) bool {
	return s != "" && s != "." && s != ".." && !strings.ContainsAny(s, "/\x00")
}

// Format reads an event's format.
func (f *FS) Format(n Name) (*Event, error) {
	text, err := f.FormatText(n)
	if err != nil {
		return nil, err
	}
	e, err := ParseFormat(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", n, err)
	}
	e.System = n.System
	return e, nil
}

// ParseFormat reads the text of a format file. The System of the result is
// empty, as the file does not tell it.
func ParseFormat(text []byte) (*Event, error) {
	e := &Event{}
	common := true
	sc := bufio.NewScanner(bytes.NewReader(text))
	sc.Buffer(nil, 1<<20) // print formats can be long
	for n := 1; sc.Scan(); n++ {
		line := sc.Text()
		switch {
		case strings.HasPrefix(line, "name: "):
			e.Event = line[len("name: "):]
		case strings.HasPrefix(line, "ID: "):
			id, err := strconv.Atoi(line[len("ID: "):])
			if err != nil {
				return nil, fmt.Errorf("format: line %d: %w", n, err)
			}
			e.ID = id
		case strings.HasPrefix(line, "print fmt: "):
			e.PrintFmt = line[len("print fmt: "):]
		case strings.HasPrefix(line, "\tfield"):
			fd, err := parseField(line)
			if err != nil {
				return nil, fmt.Errorf("format: line %d: %w", n, err)
			}
			if common {
				e.Common = append(e.Common, fd)
			} else {
				e.Fields = append(e.Fields, fd)
			}
		case line == "" && len(e.Common) > 0:
			common = false
		}
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("format: %w", err)
	}
	if e.Event == "" {
		return nil, errors.New("format: no name")
	}
	return e, nil
}

// parseField reads "\tfield:char prev_comm[16];\toffset:8;\tsize:16;\tsigned:0;".
func parseField(line string) (Field, error) {
	var f Field
	for part := range strings.SplitSeq(line, ";") {
		k, v, ok := strings.Cut(strings.TrimSpace(part), ":")
		if !ok {
			continue
		}
		var err error
		switch k {
		case "field", "field special":
			f.Type, f.Name = splitDecl(v)
		case "offset":
			f.Offset, err = strconv.Atoi(v)
		case "size":
			f.Bytes, err = strconv.Atoi(v)
		case "signed":
			f.Signed = v == "1"
		}
		if err != nil {
			return f, err
		}
	}
	if f.Name == "" || f.Offset < 0 || f.Bytes < 0 {
		return f, fmt.Errorf("field is not understood: %.100q", line)
	}
	return f, nil
}

// splitDecl splits a C declaration into type and name; an array's brackets go
// to the type: "char comm[16]" is "char[16]", "comm".
func splitDecl(s string) (typ, name string) {
	decl, dims := s, ""
	// The kernel writes dynamic arrays as "__data_loc char[] name".
	if i := strings.LastIndexByte(decl, '['); i > 0 && strings.HasSuffix(decl, "]") {
		for i > 0 && decl[i-1] == ']' {
			j := strings.LastIndexByte(decl[:i-1], '[')
			if j < 0 {
				break
			}
			i = j
		}
		decl, dims = decl[:i], decl[i:]
	}
	i := len(decl)
	for i > 0 && isIdent(decl[i-1]) {
		i--
	}
	return strings.TrimSpace(decl[:i]) + dims, decl[i:]
}

func isIdent(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

//go:embed systems.txt
var systemsText string

var usual = sync.OnceValue(func() map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(systemsText) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] == "#" {
			continue
		}
		for _, n := range f[1:] {
			m[n] = f[0]
		}
	}
	return m
})

// UsualSystem is the system that a tracepoint is in on the kernels that were
// looked at, for a host whose own events are not known; "" when none had it.
// Tracepoints hardly ever change their system.
func UsualSystem(tracepoint string) string { return usual()[tracepoint] }
