// Package debuginfo finds the debugging information of kernels and their modules.
package debuginfo

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"stapkit/target"
	"stapkit/target/dwarf"
	"stapkit/target/elf"
)

// Open reads the debugging information (DWARF) of a target's kernel, for "", or of a
// module. It fails with dwarf.ErrNoDebug where there is none; the error tells what
// was looked for. What belongs to another build than the target is none. The data
// and its Program are to be closed.
func Open(t *target.Target, module string, s *elf.Search) (*dwarf.Data, error) {
	if module == "kernel" || module == target.Kernel {
		module = ""
	}
	want := t.BuildID()
	var candidates []string
	if p := t.File(module); p != "" {
		candidates = append(candidates, p)
	}
	if module == "" {
		candidates = append(candidates, images(s, t.Release(), want)...)
	} else {
		want = t.ModuleBuildID(module)
		for _, r := range append(s.DebugRoots(), s.Root+"/") {
			s.See(filepath.Join(r, "lib/modules", t.Release()))
		}
		candidates = append(candidates, target.ModuleFiles(s, t.Release())[target.ModuleName(module)]...)
	}
	var tried []string
	for _, p := range candidates {
		tried = append(tried, p)
		s.See(p)
		f, err := elf.Open(p)
		if err != nil {
			continue // absent, or BTF only
		}
		if want != "" && f.BuildID != want {
			if err := f.Close(); err != nil {
				return nil, err
			}
			continue
		}
		d, err := dwarf.Load(f, s)
		if err == nil {
			return d, nil
		}
		err = errors.Join(err, f.Close())
		if !errors.Is(err, dwarf.ErrNoDebug) {
			return nil, err
		}
	}
	if want != "" && s.Fetch != nil {
		p, err := s.Fetch(want)
		if err == nil {
			f, err := elf.Open(p)
			if err != nil {
				return nil, err
			}
			return dwarf.Load(f, s)
		}
		tried = append(tried, err.Error())
	}
	what := "the kernel"
	if module != "" {
		what = "module " + module
	}
	if len(tried) == 0 {
		return nil, fmt.Errorf("%s: neither a release nor a file tells where its debugging information is: %w", what, dwarf.ErrNoDebug)
	}
	return nil, fmt.Errorf("%s of %s: %w; looked for %s", what, t.Name(), dwarf.ErrNoDebug, strings.Join(tried, ", "))
}

// images lists where the image of a kernel with its debugging information may
// be, as distributions and kernel builds have it.
func images(s *elf.Search, release, buildID string) []string {
	var out []string
	for _, r := range s.DebugRoots() {
		if len(buildID) > 2 {
			out = append(out, filepath.Join(r, ".build-id", buildID[:2], buildID[2:]+".debug"))
		}
		if release != "" {
			out = append(out, filepath.Join(r, "boot", "vmlinux-"+release), filepath.Join(r, "lib/modules", release, "vmlinux"),
				filepath.Join(r, "usr/lib/modules", release, "vmlinux"), filepath.Join(r, "vmlinux-"+release))
		}
	}
	if release != "" {
		for _, p := range []string{"/lib/modules/" + release + "/vmlinux", "/lib/modules/" + release + "/build/vmlinux", "/boot/vmlinux-" + release} {
			out = append(out, filepath.Join(s.Root, p))
		}
	}
	return out
}
