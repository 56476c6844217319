package target

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"stapkit/target/desc"
	"stapkit/target/elf"
	"stapkit/target/sym"
)

// DebugInfoHelp says how the debugging information of the kernel is to be had.
func (t *Target) DebugInfoHelp() string {
	rel := t.Release()
	if rel == "" {
		return "give a vmlinux that was built with debugging information (-r /path/vmlinux)"
	}
	return fmt.Sprintf("install the debug package of kernel %s (Debian: linux-image-%s-dbg), or give its vmlinux (-r /path/vmlinux)", rel, rel)
}

// fileOf is implemented by sources that are files: the ELF file of an object, "".
type fileOf interface{ File(object string) string }

// buildIDs is implemented by sources that know the build-ids of modules.
type buildIDs interface{ ModuleBuildID(module string) string }

// File is the ELF file that an object of the target was read from: the kernel for
// "", else a module; "" if there is none.
func (t *Target) File(module string) string {
	src, ok := t.src.(fileOf)
	if !ok {
		return ""
	}
	if module = objectName(module); module == "" {
		module = Kernel
	}
	return src.File(module)
}

// ModuleBuildID is the build-id of a module in hexadecimal, "" when not known.
func (t *Target) ModuleBuildID(module string) string {
	if src, ok := t.src.(buildIDs); ok {
		return src.ModuleBuildID(module)
	}
	return ""
}

// ModuleName is a module's name as the kernel has it: file names may have dashes.
func ModuleName(name string) string { return strings.ReplaceAll(name, "-", "_") }

// moduleFile gives the name of the module that a file holds, "" if it holds none by
// its name, and whether the file is compressed.
func moduleFile(path string) (name string, packed bool) {
	base := filepath.Base(path)
	for _, ext := range []string{".xz", ".zst", ".gz"} {
		if b, ok := strings.CutSuffix(base, ext); ok {
			base, packed = b, true
		}
	}
	name, ok := strings.CutSuffix(strings.TrimSuffix(base, ".debug"), ".ko")
	if !ok {
		return "", packed
	}
	return ModuleName(name), packed
}

// ModuleFiles finds the files of a kernel's modules, those with debugging
// information first, by the modules' names.
func ModuleFiles(s *elf.Search, release string) map[string][]string {
	out := map[string][]string{}
	if release == "" {
		return out
	}
	var roots []string
	for _, r := range s.DebugRoots() {
		roots = append(roots, filepath.Join(r, "lib/modules", release), filepath.Join(r, "usr/lib/modules", release))
	}
	roots = append(roots, filepath.Join(s.Root, "/lib/modules", release))
	for _, r := range roots {
		// What cannot be read has no modules.
		_ = filepath.WalkDir(r, func(p string, e fs.DirEntry, err error) error {
			if err != nil {
				return nil
			}
			base := e.Name()
			if e.IsDir() && (base == "build" || base == "source") {
				return fs.SkipDir
			}
			if name, _ := moduleFile(base); name != "" && !e.IsDir() {
				out[name] = append(out[name], p)
			}
			return nil
		})
	}
	return out
}

// elfImage is what the image of a kernel tells of itself.
type elfImage struct{ *elf.File }

// release is the kernel's release: its banner begins with "Linux version".
func (f elfImage) release() string {
	const banner = "Linux version "
	s := f.ELF().Section(".rodata")
	if s == nil {
		return ""
	}
	data, err := f.SectionData(s, 256<<20)
	if err != nil {
		return ""
	}
	for {
		i := bytes.Index(data, []byte(banner))
		if i < 0 {
			return ""
		}
		data = data[i+len(banner):]
		end := bytes.IndexByte(data, ' ')
		if end > 0 && end < 100 && data[0] >= '0' && data[0] <= '9' {
			return string(data[:end])
		}
	}
}

// symbols gives the symbols of the image in the shape of the kernel's table.
func (f elfImage) symbols() (*sym.Table, error) {
	syms, err := f.ReadSymbols()
	if err != nil {
		return nil, err
	}
	if len(syms) == 0 {
		return nil, fmt.Errorf("%s has no symbols: %w", f.Path, desc.ErrUnknown)
	}
	size := 0
	for i := range syms {
		size += len(syms[i].Name) + len("0123456789abcdef t \n")
	}
	b := make([]byte, 0, size)
	for _, s := range syms {
		letter := byte('d')
		if f.Executable(s.Addr) {
			letter = 't'
		}
		if s.Global {
			letter -= 'a' - 'A'
		}
		if strings.ContainsAny(s.Name, " \t\n") {
			continue
		}
		b = fmt.Appendf(b, "%016x %c %s\n", s.Addr, letter, s.Name)
	}
	return sym.Parse(b)
}

// openImage reads a file as an ELF image, nil if it is none.
func openImage(path string) *elfImage {
	f, err := elf.Open(path)
	if err != nil {
		return nil
	}
	return &elfImage{f}
}

// isELF reports whether a file begins as ELF files do.
func isELF(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	var magic [4]byte
	n, err := f.Read(magic[:])
	return err == nil && n == 4 && string(magic[:]) == "\x7fELF"
}

// btfModules lists the modules, of those that have files, whose files have types.
func btfModules(files map[string][]string) []string {
	out := make([]string, 0, len(files))
	for name := range files {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}
