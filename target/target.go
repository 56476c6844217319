// Package target tells what can be probed on a host, and what it looks like:
// the running one, one that a BTF file or a host description stands for, or
// several at once.
//
// A Target answers lazily and without privilege as far as possible; what it
// cannot tell is left out and said once in Notes.
package target

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"stapkit/target/btf"
	"stapkit/target/ctype"
	"stapkit/target/desc"
	"stapkit/target/sym"
	"stapkit/target/tracefs"
)

// Kernel is the name of the kernel proper among the objects that have types
// and functions; the others are modules. Methods take "" for it, too.
const Kernel = desc.Kernel

// Target is one host. It is safe for concurrent use.
type Target struct {
	name    string
	running bool
	src     desc.Source
	info    desc.Info

	config  once[map[string]string]
	machine once[string]
	vmlinux once[*btf.Spec]
	objects once[[]string]
	symbols once[*sym.Table]
	loaded  once[[]sym.Module]
	events  once[*eventIndex]
	deny    once[map[string]bool]
	trace   once[map[string]bool]
	feats   once[map[string]bool]

	mu      sync.Mutex
	modules map[string]*once[*btf.Spec]
	notes   []Note

	formats sync.Map // tracefs.Name → *tracefs.Event, as far as they were read
}

// once is a value and an error that are computed on first use.
type once[T any] struct {
	sync.Once
	val T
	err error
}

func (o *once[T]) get(f func() (T, error)) (T, error) {
	o.Do(func() { o.val, o.err = f() })
	return o.val, o.err
}

// Note says that something about a target is not known, what follows from
// that, and why.
type Note struct {
	Text string // one sentence for a person
	Err  error
}

// Running is the host that the program runs on. It fails where there is no
// Linux kernel.
func Running() (*Target, error) {
	t, err := New("the running kernel", desc.NewLive(""))
	if err != nil {
		return nil, err
	}
	t.running = true
	return t, nil
}

// New is the target that a source describes; name is for messages.
func New(name string, src desc.Source) (*Target, error) {
	info, err := src.Info()
	if err != nil {
		return nil, err
	}
	t := &Target{name: name, src: src, info: info, modules: map[string]*once[*btf.Spec]{}}
	if info.Release != "" {
		t.name += " " + info.Release
	}
	return t, nil
}

// FromDescription is the host that a description file tells of.
func FromDescription(path string) (*Target, error) {
	f, err := desc.Open(path)
	if err != nil {
		return nil, err
	}
	return New(path+":", f)
}

// FromBTF is a kernel of which nothing but its types is known: a file such as
// /sys/kernel/btf/vmlinux, an ELF file with a .BTF section such as vmlinux, or the
// image of a kernel that a boot loader starts (vmlinuz).
func FromBTF(path string) (*Target, error) {
	raw, err := readTypes(path)
	if err != nil {
		return nil, err
	}
	return New(path, &btfSource{path: path, raw: raw})
}

// Open is the target that a word on the command line means: "" or "running"
// for the running kernel, a file (host description, BTF or ELF with BTF), a
// directory that has a "vmlinux", as the file or below btf/ with its modules
// beside it, or is the build tree of an installed kernel, or the release of an installed kernel.
func Open(spec string) (*Target, error) {
	if spec == "" || spec == "running" {
		return Running()
	}
	st, err := os.Stat(spec)
	if errors.Is(err, fs.ErrNotExist) && !strings.Contains(spec, "/") && spec[0] >= '0' && spec[0] <= '9' {
		return FromRelease("", spec)
	}
	if err != nil {
		return nil, err
	}
	if st.IsDir() {
		return openDir(spec)
	}
	f, err := os.Open(spec)
	if err != nil {
		return nil, err
	}
	head := make([]byte, 32)
	n, err := f.Read(head)
	err = errors.Join(err, f.Close())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", spec, err)
	}
	if desc.IsFile(head[:n]) {
		return FromDescription(spec)
	}
	return FromBTF(spec)
}

func openDir(dir string) (*Target, error) {
	for _, p := range []string{"vmlinux", "btf/vmlinux", "sys/kernel/btf/vmlinux"} {
		path := filepath.Join(dir, p)
		raw, err := btf.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return New(dir, &btfSource{path: path, raw: raw, dir: filepath.Dir(path)})
	}
	// A build tree of a kernel, as SystemTap takes it, names the release.
	if isBuildTree(dir) {
		b, err := os.ReadFile(releaseFile(dir))
		if err != nil {
			return nil, err
		}
		t, err := FromRelease("", strings.TrimSpace(string(b)))
		if err != nil {
			return nil, fmt.Errorf("%s is a build tree without a vmlinux: %w", dir, err)
		}
		return t, nil
	}
	return nil, fmt.Errorf("%s: no vmlinux in this directory", dir)
}

// releaseFile is where the build tree of a kernel has its release.
func releaseFile(dir string) string { return filepath.Join(dir, "include", "config", "kernel.release") }

func isBuildTree(dir string) bool {
	_, err := os.Stat(releaseFile(dir))
	return err == nil
}

// OpenAll opens several targets. A directory without a vmlinux stands for all
// host descriptions and BTF files in it, by name.
func OpenAll(specs []string) ([]*Target, error) {
	var out []*Target
	for _, s := range specs {
		t, err := Open(s)
		if err == nil {
			out = append(out, t)
			continue
		}
		if isBuildTree(s) {
			return nil, err
		}
		if st, serr := os.Stat(s); serr != nil || !st.IsDir() {
			return nil, err
		}
		es, rerr := os.ReadDir(s)
		if rerr != nil {
			return nil, rerr
		}
		n := len(out)
		for _, e := range es {
			if e.IsDir() || strings.HasPrefix(e.Name(), ".") {
				continue
			}
			t, err := Open(filepath.Join(s, e.Name()))
			if err != nil {
				return nil, err
			}
			out = append(out, t)
		}
		if len(out) == n {
			return nil, fmt.Errorf("%s: neither a vmlinux nor a host description in this directory", s)
		}
	}
	return out, nil
}

// Close releases files. Answers given stay valid.
func (t *Target) Close() error { return t.src.Close() }

// Name names the target in messages.
func (t *Target) Name() string { return t.name }

// IsRunning reports whether the target is the host that the program runs on.
func (t *Target) IsRunning() bool { return t.running }

// Source gives the raw answers behind the target.
func (t *Target) Source() desc.Source { return t.src }

// Release is the kernel's release (uname -r), "" when not known.
func (t *Target) Release() string { return t.info.Release }

// BuildID is the kernel's build-id in hexadecimal, "" when not known.
func (t *Target) BuildID() string { return t.info.BuildID }

// Machine is the machine as uname -m has it, such as "x86_64" or "aarch64"; ""
// when not known. A kernel of which only the types are known shows it by the
// registers that it saves.
func (t *Target) Machine() string {
	if t.info.Machine != "" {
		return t.info.Machine
	}
	m, err := t.machine.get(func() (string, error) {
		s, err := t.BTF()
		if err != nil {
			return "", err
		}
		return machineOf(s), nil
	})
	if err != nil {
		return "" // BTF has noted it
	}
	return m
}

// machineOf tells a machine by members of its struct pt_regs.
func machineOf(s *btf.Spec) string {
	has := func(typ string, members ...string) bool {
		for _, id := range s.Lookup(btf.KindStruct, typ) {
			st, ok := ctype.AsStruct(s.Type(id))
			if !ok {
				continue
			}
			all := true
			for _, m := range members {
				_, _, found := ctype.FindMember(st, m)
				all = all && found
			}
			if all {
				return true
			}
		}
		return false
	}
	switch {
	case has("pt_regs", "r15", "orig_ax"):
		return "x86_64"
	case has("pt_regs", "bx", "orig_ax"):
		return "i686"
	case has("user_pt_regs", "regs", "pstate"):
		return "aarch64"
	case has("pt_regs", "epc", "ra"):
		return "riscv64"
	case has("pt_regs", "psw"):
		return "s390x"
	case has("pt_regs", "gpr", "nip"):
		return "ppc64le"
	case has("pt_regs", "uregs"):
		return "armv7l"
	}
	return ""
}

// Arch is the architecture by SystemTap's names, as %( arch == "…" %) compares
// it: "x86_64", "i386", "arm64", "arm", "powerpc", "s390", "mips", "riscv"; ""
// when not known.
func (t *Target) Arch() string { return ArchName(t.Machine()) }

// ArchName is SystemTap's name of a machine that uname -m names.
func ArchName(machine string) string {
	switch {
	case machine == "aarch64" || machine == "arm64":
		return "arm64"
	case len(machine) == 4 && machine[0] == 'i' && machine[2:] == "86":
		return "i386"
	case strings.HasPrefix(machine, "arm"):
		return "arm"
	case strings.HasPrefix(machine, "ppc"), strings.HasPrefix(machine, "powerpc"):
		return "powerpc"
	case strings.HasPrefix(machine, "s390"):
		return "s390"
	case strings.HasPrefix(machine, "mips"):
		return "mips"
	case strings.HasPrefix(machine, "riscv"):
		return "riscv"
	}
	return machine
}

// note records once that something is not known.
func (t *Target) note(text string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, n := range t.notes {
		if n.Text == text {
			return
		}
	}
	t.notes = append(t.notes, Note{text, err})
}

// Notes lists what the questions so far could not be answered for.
func (t *Target) Notes() []Note {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.notes)
}

// Config is the value of a configuration option, given with its CONFIG_
// prefix: "y", "m", a number, or a string without its quotes; "" when it is
// not set. known is false when the kernel's configuration is not known.
func (t *Target) Config(option string) (value string, known bool) {
	m, err := t.config.get(func() (map[string]string, error) {
		text, err := t.src.Config()
		if err != nil {
			t.note("The kernel's configuration is not known; CONFIG_ options count as not set.", err)
			return nil, err
		}
		return parseConfig(string(text)), nil
	})
	return m[option], err == nil
}

func parseConfig(text string) map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(text) {
		k, v, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || !strings.HasPrefix(k, "CONFIG_") {
			continue
		}
		if len(v) >= 2 && v[0] == '"' && v[len(v)-1] == '"' {
			v = strings.ReplaceAll(strings.ReplaceAll(v[1:len(v)-1], `\"`, `"`), `\\`, `\`)
		}
		m[k] = v
	}
	return m
}

// BTF is the kernel's BTF. The error says what is missing.
func (t *Target) BTF() (*btf.Spec, error) {
	return t.vmlinux.get(func() (*btf.Spec, error) {
		raw, err := t.src.BTF(Kernel)
		if err == nil {
			var s *btf.Spec
			if s, err = btf.Parse(Kernel, raw); err == nil {
				return s, nil
			}
		}
		t.note("The kernel's types are not known; its functions, tracepoints and structures cannot be looked up.", err)
		return nil, err
	})
}

// ModuleBTF is the BTF of an object: of the kernel for "" and "vmlinux", else
// of a module.
func (t *Target) ModuleBTF(object string) (*btf.Spec, error) {
	if object == "" || object == Kernel {
		return t.BTF()
	}
	base, err := t.BTF()
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	o := t.modules[object]
	if o == nil {
		o = &once[*btf.Spec]{}
		t.modules[object] = o
	}
	t.mu.Unlock()
	return o.get(func() (*btf.Spec, error) {
		raw, err := t.src.BTF(object)
		if err != nil {
			return nil, err
		}
		return btf.ParseModule(object, raw, base)
	})
}

// Objects lists what has types: "vmlinux", then modules by name. It is empty
// when the kernel's types are not known.
func (t *Target) Objects() []string {
	os, err := t.objects.get(t.src.Objects)
	if err != nil {
		t.note("The kernel's types are not known; its functions, tracepoints and structures cannot be looked up.", err)
	}
	return os
}

// Modules lists the loaded modules by name.
func (t *Target) Modules() []sym.Module {
	ms, err := t.loaded.get(t.src.Modules)
	if err != nil {
		t.note("The loaded modules are not known.", err)
	}
	return ms
}

// Symbols is the kernel's symbol table. The error says why there is none.
func (t *Target) Symbols() (*sym.Table, error) {
	return t.symbols.get(func() (*sym.Table, error) {
		s, err := t.src.Symbols()
		if err != nil {
			t.note("The kernel's symbols are not known; functions without type information and addresses cannot be looked up.", err)
		}
		return s, err
	})
}

// Denied reports whether the kernel refuses to probe a function. known is
// false when its list cannot be read.
func (t *Target) Denied(function string) (denied, known bool) {
	m, err := t.deny.get(func() (map[string]bool, error) {
		ls, err := t.src.Deny()
		if err != nil {
			return nil, err
		}
		m := map[string]bool{}
		for _, l := range ls {
			m[l] = true
		}
		return m, nil
	})
	return m[function], err == nil
}

// Traceable reports whether ftrace can hook a function, which is what fentry,
// fexit and multi-kprobe attachments need. module is "" for the kernel proper.
// known is false when the list cannot be read.
func (t *Target) Traceable(module, function string) (can, known bool) {
	m, err := t.trace.get(func() (map[string]bool, error) {
		ls, err := t.src.Traceable()
		if err != nil {
			return nil, err
		}
		m := make(map[string]bool, len(ls))
		for _, l := range ls {
			m[l] = true
		}
		return m, nil
	})
	if module != "" {
		function += " [" + module + "]"
	}
	return m[function], err == nil
}

// Feature tells whether the kernel's BPF has a feature, by the names of the
// loader's prober. known is false when it was not probed.
func (t *Target) Feature(name string) (has, known bool) {
	m, err := t.feats.get(t.src.Features)
	if err != nil {
		return false, false
	}
	has, known = m[name]
	return has, known
}

// btfSource is a kernel known by its BTF only.
type btfSource struct {
	path string
	raw  []byte
	dir  string // with BTF files of modules beside vmlinux, or ""

	once sync.Once
	elf  *elfImage // the file, if it is an image and not BTF alone
}

func (b *btfSource) unknown(what string) error {
	return fmt.Errorf("%s tells types only, not %s: %w", b.path, what, desc.ErrUnknown)
}

func (b *btfSource) image() *elfImage {
	b.once.Do(func() {
		if isELF(b.path) {
			b.elf = openImage(b.path)
		}
	})
	return b.elf
}

// File gives the ELF file of an object, see fileOf.
func (b *btfSource) File(object string) string {
	if object == Kernel && b.image() != nil {
		return b.path
	}
	return ""
}

func (b *btfSource) Info() (desc.Info, error) {
	f := b.image()
	if f == nil {
		return desc.Info{}, nil
	}
	return desc.Info{Release: f.release(), BuildID: f.BuildID}, nil
}

func (b *btfSource) Config() ([]byte, error) {
	return nil, b.unknown("the kernel's configuration")
}

func (b *btfSource) Objects() ([]string, error) {
	out := []string{Kernel}
	if b.dir == "" {
		return out, nil
	}
	es, err := os.ReadDir(b.dir)
	if err != nil {
		return nil, err
	}
	for _, e := range es {
		if e.Type().IsRegular() && e.Name() != Kernel && !strings.Contains(e.Name(), ".") {
			out = append(out, e.Name())
		}
	}
	slices.Sort(out[1:])
	return out, nil
}

func (b *btfSource) BTF(object string) ([]byte, error) {
	if object == Kernel {
		return b.raw, nil
	}
	if b.dir == "" || strings.ContainsAny(object, "/\x00") {
		return nil, b.unknown("those of module " + object)
	}
	return btf.ReadFile(filepath.Join(b.dir, object))
}

func (b *btfSource) Modules() ([]sym.Module, error) { return nil, b.unknown("the loaded modules") }
func (b *btfSource) Symbols() (*sym.Table, error) {
	if f := b.image(); f != nil {
		return f.symbols()
	}
	return nil, b.unknown("the kernel's symbols")
}

func (b *btfSource) Events() ([]tracefs.Name, error) { return nil, b.unknown("its trace events") }
func (b *btfSource) Format(tracefs.Name) (*tracefs.Event, error) {
	return nil, b.unknown("its trace events")
}
func (b *btfSource) FormatText(tracefs.Name) ([]byte, error) {
	return nil, b.unknown("its trace events")
}
func (b *btfSource) Deny() ([]string, error) { return nil, b.unknown("what cannot be probed") }
func (b *btfSource) Traceable() ([]string, error) {
	return nil, b.unknown("what ftrace can hook")
}
func (b *btfSource) Features() (map[string]bool, error) {
	return nil, b.unknown("the features of its BPF")
}
func (b *btfSource) Close() error {
	b.once.Do(func() {})
	if b.elf != nil {
		return b.elf.Close()
	}
	return nil
}
