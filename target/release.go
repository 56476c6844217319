package target

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"stapkit/target/btf"
	"stapkit/target/desc"
	"stapkit/target/elf"
	"stapkit/target/packed"
	"stapkit/target/store"
	"stapkit/target/sym"
)

// FromRelease is a kernel that is installed on this machine, by its release
// (uname -r): the running one, or one of which an image with types is
// installed: as debug packages and kernel builds have it, or the one that is
// booted, which is compressed. root is the directory of the file system to
// look in, "" for "/".
func FromRelease(root, release string) (*Target, error) {
	if release == "" || strings.ContainsAny(release, "/\x00") {
		return nil, fmt.Errorf("%q is no kernel release", release)
	}
	if root == "" {
		if t, err := Running(); err == nil {
			if t.Release() == release {
				return t, nil
			}
			if err := t.Close(); err != nil {
				return nil, err
			}
		}
	}
	var tried []string
	for _, p := range []string{
		"/usr/lib/debug/boot/vmlinux-" + release,
		"/usr/lib/debug/lib/modules/" + release + "/vmlinux",
		"/usr/lib/debug/vmlinux-" + release,
		"/lib/modules/" + release + "/vmlinux",
		"/lib/modules/" + release + "/build/vmlinux",
		"/boot/vmlinux-" + release,
		"/boot/vmlinuz-" + release,
		"/lib/modules/" + release + "/vmlinuz",
		"/usr/lib/modules/" + release + "/vmlinuz",
	} {
		path := filepath.Join(root, p)
		tried = append(tried, path)
		raw, err := readTypes(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		src := &releaseSource{btfSource: btfSource{path: path, raw: raw}, root: root, release: release}
		src.files = sync.OnceValue(func() map[string][]string { return ModuleFiles(&elf.Search{Root: root}, release) })
		return New("kernel", src)
	}
	return nil, fmt.Errorf("no types of kernel %s: neither is it running nor is there one of %s; "+
		"a description made by \"staprun --describe FILE\" on a host that runs it serves as well: %w", release, strings.Join(tried, ", "), fs.ErrNotExist)
}

// readTypes reads the types of a kernel or a module from its file, which may be
// compressed. Those of a kernel that took a while to unpack are kept.
func readTypes(path string) ([]byte, error) {
	module, compressed := moduleFile(path)
	ofKernel := false
	if module == "" {
		var err error
		if ofKernel, err = isImage(path); err != nil {
			return nil, err
		}
	}
	if !ofKernel && !compressed {
		return btf.ReadFile(path)
	}
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	key := fmt.Sprintf("%x", sha256.Sum256(fmt.Appendf(nil, "%s\x00%d\x00%d", path, st.Size(), st.ModTime().UnixNano())))
	if ofKernel {
		if raw, err := store.Get("types", key); err == nil {
			return raw, nil
		}
	}
	data, err := packed.ReadFile(path)
	if err == nil && ofKernel {
		data, err = packed.Kernel(data)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var raw []byte
	if packed.Flat(data) {
		raw, err = btf.Find(data)
	} else {
		raw, err = btf.ReadELF(bytes.NewReader(data))
	}
	if errors.Is(err, btf.ErrNoBTF) && ofKernel {
		return nil, fmt.Errorf("%s: there are no types in this image of a kernel (it was built without CONFIG_DEBUG_INFO_BTF): %w", path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if ofKernel {
		_ = store.Put("types", key, raw) // without it the next one unpacks it again
	}
	return raw, nil
}

// isImage reports whether a file is one that a boot loader starts, by how it begins, or else
// by its name.
func isImage(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	head := make([]byte, 0x400)
	n, err := io.ReadFull(f, head)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return false, err
	}
	head = head[:n]
	base := filepath.Base(path)
	return packed.IsKernel(head) || packed.Is(head) || strings.HasPrefix(base, "vmlinuz") || strings.HasPrefix(base, "bzImage"), nil
}

// releaseSource is an installed kernel: its types, and what packages put
// beside its image.
type releaseSource struct {
	btfSource
	root, release string
	files         func() map[string][]string // of modules
}

func (r *releaseSource) Info() (desc.Info, error) {
	info := desc.Info{Release: r.release}
	if f := r.image(); f != nil {
		info.BuildID = f.BuildID
	}
	return info, nil
}

// Objects implements desc.Source: the modules are those that have files.
func (r *releaseSource) Objects() ([]string, error) {
	return append([]string{Kernel}, btfModules(r.files())...), nil
}

// BTF implements desc.Source.
func (r *releaseSource) BTF(object string) ([]byte, error) {
	if object == Kernel {
		return r.raw, nil
	}
	var errs []error
	for _, p := range r.files()[ModuleName(object)] {
		raw, err := readTypes(p)
		if err == nil {
			return raw, nil
		}
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		return nil, fmt.Errorf("kernel %s has no module %s: %w", r.release, object, desc.ErrUnknown)
	}
	return nil, errors.Join(errs...)
}

func (r *releaseSource) read(what string, paths ...string) ([]byte, error) {
	for _, p := range paths {
		data, err := os.ReadFile(filepath.Join(r.root, p))
		if !errors.Is(err, fs.ErrNotExist) {
			return data, err
		}
	}
	return nil, fmt.Errorf("%s of kernel %s: none of %s: %w", what, r.release, strings.Join(paths, ", "), desc.ErrUnknown)
}

func (r *releaseSource) Config() ([]byte, error) {
	return r.read("configuration", "/boot/config-"+r.release, "/lib/modules/"+r.release+"/config")
}

func (r *releaseSource) Symbols() (*sym.Table, error) {
	data, err := r.read("symbols", "/usr/lib/debug/boot/System.map-"+r.release, "/boot/System.map-"+r.release, "/lib/modules/"+r.release+"/System.map")
	if f := r.image(); err != nil && f != nil {
		return f.symbols()
	}
	if err != nil {
		return nil, err
	}
	// Debian's image packages have a notice in its place.
	if !bytes.HasPrefix(data, []byte("0")) && !bytes.HasPrefix(data, []byte("f")) {
		if f := r.image(); f != nil {
			return f.symbols()
		}
		return nil, fmt.Errorf("symbols of kernel %s: its System.map has none: %w", r.release, desc.ErrUnknown)
	}
	return sym.Parse(data)
}
