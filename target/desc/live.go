package desc

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"

	"stapkit/target/btf"
	"stapkit/target/sym"
	"stapkit/target/tracefs"
)

// Live is the host that the program runs on. It works without privilege, as
// far as the kernel tells unprivileged processes anything.
type Live struct {
	// FeatureProbe, when set, answers Features. The prober belongs to the
	// loader.
	FeatureProbe func() (map[string]bool, error)

	root string

	traceOnce sync.Once
	trace     *tracefs.FS
	traceErr  error
}

// NewLive is the running host. root is a directory to find /proc, /sys and
// /boot under, "" for the real ones.
func NewLive(root string) *Live { return &Live{root: root} }

var _ Source = (*Live)(nil)

func (l *Live) path(p string) string { return filepath.Join(l.root, p) }

func (l *Live) read(p string) ([]byte, error) { return os.ReadFile(l.path(p)) }

// Info implements Source.
func (l *Live) Info() (Info, error) {
	rel, err := l.read("/proc/sys/kernel/osrelease")
	if err != nil {
		return Info{}, fmt.Errorf("this host's kernel is not Linux, or /proc is not mounted: %w", err)
	}
	info := Info{Release: strings.TrimSpace(string(rel)), Machine: machine()}
	if v, err := l.read("/proc/sys/kernel/version"); err == nil {
		info.Version = strings.TrimSpace(string(v))
	}
	info.BuildID = l.BuildID(Kernel)
	return info, nil
}

// BuildID is the build-id of the kernel ("" or Kernel) or of a loaded module, ""
// when the host does not tell.
func (l *Live) BuildID(object string) string {
	path := "/sys/kernel/notes"
	if object != "" && object != Kernel {
		path = "/sys/module/" + filepath.Base(object) + "/notes/.note.gnu.build-id"
	}
	notes, err := l.read(path)
	if err != nil {
		return ""
	}
	return buildID(notes)
}

// buildID finds the GNU build-id in ELF notes of the machine's byte order.
func buildID(notes []byte) string {
	bo := binary.NativeEndian
	for len(notes) >= 12 {
		nameLen, descLen, typ := uint64(bo.Uint32(notes)), uint64(bo.Uint32(notes[4:])), bo.Uint32(notes[8:])
		notes = notes[12:]
		nameEnd := (nameLen + 3) &^ 3
		descEnd := nameEnd + (descLen+3)&^3
		if descEnd > uint64(len(notes)) {
			return ""
		}
		if typ == 3 && string(notes[:nameLen]) == "GNU\x00" { // NT_GNU_BUILD_ID
			return hex.EncodeToString(notes[nameEnd : nameEnd+descLen])
		}
		notes = notes[descEnd:]
	}
	return ""
}

// ModuleBuildID is the build-id of a loaded module, "" if it is not known.
func (l *Live) ModuleBuildID(module string) string {
	if strings.ContainsAny(module, "/\x00") {
		return ""
	}
	notes, err := l.read(filepath.Join("/sys/module", module, "notes/.note.gnu.build-id"))
	if err != nil {
		return ""
	}
	return buildID(notes)
}

const maxConfig = 4 << 20

// Config implements Source.
func (l *Live) Config() ([]byte, error) {
	var errs []error
	if f, err := os.Open(l.path("/proc/config.gz")); err == nil {
		defer f.Close()
		z, err := gzip.NewReader(f)
		if err != nil {
			return nil, err
		}
		return io.ReadAll(io.LimitReader(z, maxConfig))
	} else {
		errs = append(errs, err)
	}
	info, err := l.Info()
	if err != nil {
		return nil, err
	}
	for _, p := range []string{"/boot/config-" + info.Release, "/lib/modules/" + info.Release + "/config", "/usr/lib/modules/" + info.Release + "/config"} {
		data, err := l.read(p)
		if err == nil {
			return data, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

const btfDir = "/sys/kernel/btf"

// Objects implements Source.
func (l *Live) Objects() ([]string, error) {
	es, err := os.ReadDir(l.path(btfDir))
	if err != nil {
		return nil, fmt.Errorf("the kernel offers no BTF (CONFIG_DEBUG_INFO_BTF): %w", err)
	}
	out := []string{}
	for _, e := range es {
		if e.Name() != Kernel {
			out = append(out, e.Name())
		}
	}
	slices.Sort(out)
	return slices.Insert(out, 0, Kernel), nil
}

// BTF implements Source.
func (l *Live) BTF(object string) ([]byte, error) {
	if object == "" || strings.ContainsAny(object, "/\x00") || object == "." || object == ".." {
		return nil, fmt.Errorf("%q is no name of a module", object)
	}
	raw, err := btf.ReadFile(l.path(filepath.Join(btfDir, object)))
	if errors.Is(err, fs.ErrNotExist) && object == Kernel {
		return nil, fmt.Errorf("the kernel offers no BTF (CONFIG_DEBUG_INFO_BTF): %w", err)
	}
	return raw, err
}

// Modules implements Source.
func (l *Live) Modules() ([]sym.Module, error) {
	f, err := os.Open(l.path("/proc/modules"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // a kernel without loadable modules
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	ms, err := sym.ParseModules(f)
	sort.Slice(ms, func(i, j int) bool { return ms[i].Name < ms[j].Name })
	return ms, err
}

// Symbols implements Source.
func (l *Live) Symbols() (*sym.Table, error) {
	f, err := os.Open(l.path("/proc/kallsyms"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return sym.Read(f)
}

func (l *Live) tracing() (*tracefs.FS, error) {
	l.traceOnce.Do(func() {
		if l.root == "" {
			l.trace, l.traceErr = tracefs.Open()
			return
		}
		l.trace = tracefs.At(l.path("/sys/kernel/tracing"))
	})
	return l.trace, l.traceErr
}

// Events implements Source.
func (l *Live) Events() ([]tracefs.Name, error) {
	t, err := l.tracing()
	if err != nil {
		return nil, err
	}
	return t.Events()
}

// Format implements Source.
func (l *Live) Format(n tracefs.Name) (*tracefs.Event, error) {
	t, err := l.tracing()
	if err != nil {
		return nil, err
	}
	return t.Format(n)
}

// FormatText implements Source.
func (l *Live) FormatText(n tracefs.Name) ([]byte, error) {
	t, err := l.tracing()
	if err != nil {
		return nil, err
	}
	return t.FormatText(n)
}

// Deny implements Source, from the kprobe blacklist.
func (l *Live) Deny() ([]string, error) {
	data, err := l.read("/sys/kernel/debug/kprobes/blacklist")
	if err != nil {
		return nil, err
	}
	// 0xffffffff81000010-0xffffffff81000030	startup
	var out []string
	for line := range bytes.Lines(data) {
		if f := strings.Fields(string(line)); len(f) >= 2 {
			out = append(out, f[1])
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// Traceable implements Source, from ftrace's list.
func (l *Live) Traceable() ([]string, error) {
	t, err := l.tracing()
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(filepath.Join(t.Root(), "available_filter_functions"))
	if err != nil {
		return nil, err
	}
	var out []string
	for line := range strings.Lines(string(data)) {
		// A function that was discarded shows as __ftrace_invalid_address___N.
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "__ftrace_invalid_address") {
			out = append(out, strings.ReplaceAll(line, "\t", " "))
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// Features implements Source.
func (l *Live) Features() (map[string]bool, error) {
	if l.FeatureProbe == nil {
		return nil, fmt.Errorf("features were not probed: %w", ErrUnknown)
	}
	return l.FeatureProbe()
}

// Close implements Source.
func (l *Live) Close() error {
	l.traceOnce.Do(func() { l.traceErr = fs.ErrClosed })
	if l.trace != nil {
		return l.trace.Close()
	}
	return nil
}
