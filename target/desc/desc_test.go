package desc

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stapkit/target/btf"
	"stapkit/target/sym"
	"stapkit/target/tracefs"
)

// fake is a host made of files, so that collecting needs no privilege.
func fake(t testing.TB) *Live {
	root := t.TempDir()
	for name, text := range map[string]string{
		"/proc/sys/kernel/osrelease":                                "6.1.0-test\n",
		"/proc/sys/kernel/version":                                  "#1 SMP\n",
		"/boot/config-6.1.0-test":                                   "CONFIG_BPF=y\n",
		"/proc/modules":                                             "ext4 999424 2 - Live 0xffffffffc0201000\n",
		"/proc/kallsyms":                                            "ffffffff81000000 T _stext\nffffffffc0201000 t ext4_open\t[ext4]\nffffffffc0400000 t bpf_prog_1\t[bpf]\n",
		"/sys/kernel/notes":                                         "\x04\x00\x00\x00\x04\x00\x00\x00\x03\x00\x00\x00GNU\x00\xde\xad\xbe\xef",
		"/sys/kernel/debug/kprobes/blacklist":                       "0xffffffff81000010-0xffffffff81000030\tstartup\n0x1-0x2\tasm\n",
		"/sys/kernel/tracing/available_events":                      "syscalls:sys_enter_read\nsched:sched_switch\n",
		"/sys/kernel/tracing/available_filter_functions":            "vfs_read\next4_open [ext4]\n__ftrace_invalid_address___16\n",
		"/sys/kernel/tracing/events/syscalls/sys_enter_read/format": "name: sys_enter_read\nID: 5\nformat:\n\tfield:int nr;\toffset:8;\tsize:4;\tsigned:1;\n",
		"/sys/kernel/tracing/events/sched/sched_switch/format":      "name: sched_switch\nID: 6\nformat:\n",
		"/sys/kernel/btf/vmlinux":                                   "\x9f\xeb\x01\x00",
		"/sys/kernel/btf/ext4":                                      "\x9f\xeb\x01\x00ext4",
	} {
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	l := NewLive(root)
	l.FeatureProbe = func() (map[string]bool, error) {
		return map[string]bool{"kprobe_multi": true, "may_goto": false}, nil
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func encode(t testing.TB, f *File) []byte {
	t.Helper()
	var b bytes.Buffer
	if n, err := f.WriteTo(&b); err != nil || n != int64(b.Len()) {
		t.Fatalf("%d bytes of %d, %v", n, b.Len(), err)
	}
	return b.Bytes()
}

// compare asks two sources the same questions.
func compare(t *testing.T, want, got Source, objects []string) {
	t.Helper()
	wi, err1 := want.Info()
	gi, err2 := got.Info()
	if wi != gi || err1 != nil || err2 != nil {
		t.Errorf("info %+v, %v; want %+v, %v", gi, err2, wi, err1)
	}
	wc, err1 := want.Config()
	gc, err2 := got.Config()
	if !bytes.Equal(wc, gc) || (err1 == nil) != (err2 == nil) {
		t.Errorf("config: %d bytes, %v; want %d, %v", len(gc), err2, len(wc), err1)
	}
	if os, err := got.Objects(); err != nil || !slices.Equal(os, objects) {
		t.Errorf("objects %v, %v; want %v", os, err, objects)
	}
	for _, o := range objects {
		wb, err1 := want.BTF(o)
		gb, err2 := got.BTF(o)
		if !bytes.Equal(wb, gb) || err1 != nil || err2 != nil {
			t.Errorf("BTF of %s: %d bytes, %v; want %d, %v", o, len(gb), err2, len(wb), err1)
		}
	}
	wm, _ := want.Modules()
	gm, err := got.Modules()
	if !slices.Equal(wm, gm) || err != nil {
		t.Errorf("modules %v, %v; want %v", gm, err, wm)
	}
	we, err1 := want.Events()
	ge, err2 := got.Events()
	if !slices.Equal(we, ge) || (err1 == nil) != (err2 == nil) {
		t.Errorf("%d events, %v; want %d, %v", len(ge), err2, len(we), err1)
	}
	for _, n := range we {
		if n.System != "syscalls" {
			continue
		}
		w, err1 := want.Format(n)
		g, err2 := got.Format(n)
		if err1 != nil || err2 != nil || w.ID != g.ID || len(w.Fields) != len(g.Fields) || g.Name != n {
			t.Errorf("%v: %+v, %v; want %+v, %v", n, g, err2, w, err1)
		}
	}
	ws, err1 := want.Symbols()
	gs, err2 := got.Symbols()
	if err1 != nil || err2 != nil {
		t.Errorf("symbols: %v, %v", err1, err2)
		return
	}
	skipped := 0
	for i := range ws.Len() {
		s := ws.At(i)
		if s.Module == "bpf" || strings.HasPrefix(s.Module, "__builtin__") {
			skipped++
		} else if g := gs.At(i - skipped); g != s {
			t.Fatalf("symbol %d: %+v, want %+v", i, g, s)
		}
	}
	for _, q := range []func(Source) ([]string, error){Source.Deny, Source.Traceable} {
		w, err1 := q(want)
		g, err2 := q(got)
		if !slices.Equal(w, g) || (err1 == nil) != (err2 == nil) {
			t.Errorf("list of %d, %v; want %d, %v", len(g), err2, len(w), err1)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	l := fake(t)
	f, err := Collect(l, Options{})
	if err != nil {
		t.Fatal(err)
	}
	data := encode(t, f)
	g, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	compare(t, l, g, []string{"vmlinux", "ext4"})
	fts, err := g.Features()
	if err != nil || !maps.Equal(fts, map[string]bool{"kprobe_multi": true, "may_goto": false}) {
		t.Errorf("features %v, %v", fts, err)
	}
	if i, _ := g.Info(); i.BuildID != "deadbeef" || i.Release != "6.1.0-test" {
		t.Errorf("%+v", i)
	}
	if ns, err := g.Notes(); err != nil || len(ns) != 0 {
		t.Errorf("notes %q, %v", ns, err)
	}
	if _, err := g.Format(tracefs.Name{System: "sched", Event: "sched_switch"}); !errors.Is(err, ErrUnknown) {
		t.Errorf("a format that was not asked for: %v", err)
	}
	if again := encode(t, g); !bytes.Equal(again, data) {
		t.Error("written again, the file differs")
	}
	path := filepath.Join(t.TempDir(), "host")
	if err := g.Save(path); err != nil {
		t.Fatal(err)
	}
	if onDisk, err := os.ReadFile(path); err != nil || !bytes.Equal(onDisk, data) {
		t.Errorf("saved %d bytes, %v", len(onDisk), err)
	}
	if _, err := Open(path); err != nil {
		t.Error(err)
	}
}

// poor knows its release only.
type poor struct{ *Live }

var errNo = errors.New("no permission\nat all")

func (poor) Info() (Info, error)                         { return Info{Release: "1.0"}, nil }
func (poor) Config() ([]byte, error)                     { return nil, errNo }
func (poor) Objects() ([]string, error)                  { return nil, errNo }
func (poor) BTF(string) ([]byte, error)                  { return nil, errNo }
func (poor) Modules() ([]sym.Module, error)              { return nil, errNo }
func (poor) Symbols() (*sym.Table, error)                { return nil, errNo }
func (poor) Events() ([]tracefs.Name, error)             { return nil, errNo }
func (poor) FormatText(tracefs.Name) ([]byte, error)     { return nil, errNo }
func (poor) Format(tracefs.Name) (*tracefs.Event, error) { return nil, errNo }
func (poor) Deny() ([]string, error)                     { return nil, errNo }
func (poor) Traceable() ([]string, error)                { return nil, errNo }
func (poor) Features() (map[string]bool, error)          { return nil, errNo }

func TestNotes(t *testing.T) {
	f, err := Collect(poor{}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	g, err := Parse(encode(t, f))
	if err != nil {
		t.Fatal(err)
	}
	notes, err := g.Notes()
	if err != nil || len(notes) != 8 || !strings.HasPrefix(notes[0], "kernel configuration: no permission; at all") {
		t.Errorf("%q, %v", notes, err)
	}
	_, err = g.Symbols()
	if !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), "kernel symbols: no permission") {
		t.Errorf("%v", err)
	}
	if _, err := g.BTF(Kernel); !errors.Is(err, ErrUnknown) {
		t.Errorf("%v", err)
	}
}

// TestDamage changes every byte of a small file, and cuts it at every length:
// each must be refused, or a content that is asked for must be.
func TestDamage(t *testing.T) {
	f, err := Collect(fake(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	data := encode(t, f)
	readAll := func(d []byte) error {
		g, err := Parse(d)
		if err != nil {
			return err
		}
		for name := range f.sections {
			if _, err := g.section(name); err != nil {
				return err
			}
		}
		return nil
	}
	if err := readAll(data); err != nil {
		t.Fatal(err)
	}
	minorAt := len(magic) + 2
	for i := range data {
		if i == minorAt {
			continue // a newer minor version is readable
		}
		d := bytes.Clone(data)
		d[i] ^= 1
		if err := readAll(d); err == nil {
			t.Errorf("byte %d changed: not noticed", i)
		}
		if err := readAll(data[:i]); err == nil {
			t.Errorf("cut to %d bytes: not noticed", i)
		}
	}
	if err := readAll(append(bytes.Clone(data), 0)); err == nil {
		t.Error("a byte more: not noticed")
	}
	var ve *VersionError
	if _, err := Parse([]byte(magic + "2.0\n")); !errors.As(err, &ve) || !strings.Contains(err.Error(), "version 2.0; this program reads 1.x") {
		t.Errorf("%v", err)
	}
}

// TestRunning describes this host and compares what the file says with it.
func TestRunning(t *testing.T) {
	l := NewLive("")
	defer l.Close()
	if _, err := l.BTF(Kernel); errors.Is(err, fs.ErrNotExist) {
		t.Skip(err)
	}
	f, err := Collect(l, Options{})
	if err != nil {
		t.Skip(err)
	}
	data := encode(t, f)
	if !bytes.Equal(data, encode(t, f)) {
		t.Error("two writes differ")
	}
	g, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	objects, err := l.Objects()
	if err != nil {
		t.Fatal(err)
	}
	compare(t, l, g, objects)
	raw, err := g.BTF(Kernel)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := btf.Parse(Kernel, raw); err != nil {
		t.Error(err)
	}
	i, _ := g.Info()
	notes, _ := g.Notes()
	t.Logf("%s on %s, build-id %s: %d bytes; notes: %q", i.Release, i.Machine, i.BuildID, len(data), notes)
}

func FuzzParse(f *testing.F) {
	d, err := Collect(fake(f), Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(encode(f, d))
	f.Add([]byte(magic + "1.0\n\x00\x00\x00\x00"))
	f.Add([]byte(magic + "1.0\n\x01\x00\x00\x00\x04\x00host"))
	f.Fuzz(func(t *testing.T, data []byte) {
		g, err := Parse(data)
		if err != nil {
			return
		}
		// Whatever the content is, asking for it must not panic.
		g.Info()
		g.Notes()
		g.Symbols()
		g.Modules()
		g.Features()
		g.Deny()
		es, _ := g.Events()
		for _, e := range es {
			g.Format(e)
		}
		os, _ := g.Objects()
		for _, o := range os {
			if raw, err := g.BTF(o); err == nil {
				btf.Parse(o, raw)
			}
		}
	})
}
