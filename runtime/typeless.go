//go:build linux

package loader

import (
	"bytes"
	"os"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	targetbtf "stapkit/target/btf"
)

// Reading the kernel's type information takes longer than all else at the start of a small
// script: a kernel has more than a hundred thousand types, and each of its modules adds to
// them.

// kernelTypes is the type information for relocations: those of the kernel's types that the
// object has, nil if modules have to be asked, too, or the kernel's own numbers of types are
// wanted.
func (s *session) kernelTypes(spec *ebpf.CollectionSpec) *btf.Spec {
	if spec.Types == nil || !relocates(spec, "") || relocates(spec, "target_type_id") {
		return nil
	}
	for i := range s.p.Probes {
		for j := range s.p.Probes[i].Attach {
			if s.p.Probes[i].Attach[j].Module != "" {
				return nil // the module may have other types of the same names
			}
		}
	}
	kernel, err := sliceTypes(spec.Types)
	if err != nil {
		return nil // reading all of them tells what is amiss
	}
	return kernel
}

// sliceTypes takes the types with the names of local ones out of the kernel's. It fails if
// there is none for one of them.
func sliceTypes(local *btf.Spec) (*btf.Spec, error) {
	var names []string
	for t, err := range local.All() {
		if err != nil {
			return nil, err
		}
		switch t.(type) {
		case *btf.Struct, *btf.Union, *btf.Enum, *btf.Typedef:
			// A flavour's name ends in what tells it from others.
			name := t.TypeName()
			if i := strings.LastIndex(name, "___"); i > 0 {
				name = name[:i]
			}
			if name != "" && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	raw, free, err := vmlinuxTypes()
	if err != nil {
		return nil, err
	}
	few, err := targetbtf.Slice(raw, names)
	free()
	if err != nil {
		return nil, err
	}
	kernel, err := btf.LoadSpecFromReader(bytes.NewReader(few))
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if _, err := kernel.AnyTypesByName(name); err != nil {
			return nil, err
		}
	}
	return kernel, nil
}

// vmlinuxTypes maps the kernel's type information, or reads it where it cannot be mapped
// (before Linux 6.16). It is valid until free is called.
func vmlinuxTypes() (raw []byte, free func(), err error) {
	const path = "/sys/kernel/btf/vmlinux"
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil && st.Size() > 0 {
		if raw, err = unix.Mmap(int(f.Fd()), 0, int(st.Size()), unix.PROT_READ, unix.MAP_PRIVATE); err == nil {
			// Unmapping what was mapped cannot fail.
			return raw, func() { _ = unix.Munmap(raw) }, nil
		}
	}
	raw, err = os.ReadFile(path)
	return raw, func() {}, err
}

// relocates reports whether there are relocations of a kind, or any.
func relocates(spec *ebpf.CollectionSpec, kind string) bool {
	for _, p := range spec.Programs {
		for i := range p.Instructions {
			if r := btf.CORERelocationMetadata(&p.Instructions[i]); r != nil && strings.Contains(r.String(), kind) {
				return true
			}
		}
	}
	return false
}
