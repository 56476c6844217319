package trust

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"stapkit/bundle"
)

// DefaultDirs are the directories of trust files, the administrator's first.
var DefaultDirs = [...]string{"/etc/stapkit", "/usr/lib/stapkit"}

// LoadOptions are for tests; the zero value is for tools.
type LoadOptions struct {
	// Dirs replaces DefaultDirs. Only a caller in Go can set it.
	Dirs []string
	// Anchor is a directory above all Dirs. What is above it is not checked.
	// The default is "/".
	Anchor string
	// UID is the owner that files and directories must have: 0, root.
	UID int
}

// maxFile bounds a trust file, bytes.
const maxFile = 16 << 20

// Load reads the trust files of this host. Files that are not there are no error;
// files that cannot be read, understood or relied upon are, and then nothing may
// run. Refuse makes a verdict of that error.
func Load(opt LoadOptions) (*Store, error) {
	opt.defaults()
	store := NewStore(strings.Join(opt.Dirs, " or "), nil, nil)
	err := opt.each("allowed_signers", "", true, true, func(path string, data []byte) error {
		list, err := ParseAllowedSigners(path, data)
		store.signers = append(store.signers, list...)
		return err
	})
	if err == nil {
		err = opt.each("revoked", "", false, false, func(path string, data []byte) error {
			list, err := ParseRevoked(path, data)
			if err == nil {
				store.revoked.merge(list)
			}
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("trust: %w", err)
	}
	return store, nil
}

func (opt *LoadOptions) defaults() {
	if opt.Dirs == nil {
		opt.Dirs = DefaultDirs[:]
	}
	if opt.Anchor == "" {
		opt.Anchor = "/"
	}
}

// Refuse returns the verdict for any bundle when Load fails.
func Refuse(err error) Verdict {
	return Verdict{Kind: Refused, Reason: err.Error()}
}

// each calls do with the files base+ext and base.d/*+ext of all directories. With
// hide, a file hides the one of the same name in the directories behind; with strict,
// odd names in base.d are passed over.
func (opt *LoadOptions) each(base, ext string, hide, strict bool, do func(path string, data []byte) error) error {
	hidden := make(map[string]bool)
	for _, dir := range opt.Dirs {
		if ok, err := opt.checkDirs(dir); err != nil {
			return err
		} else if !ok {
			continue
		}
		list, err := opt.names(dir, base, ext, strict)
		if err != nil {
			return err
		}
		for _, name := range list {
			if hide && hidden[name] {
				continue
			}
			path := filepath.Join(dir, name)
			data, ok, err := opt.read(path)
			if err != nil {
				return err
			}
			if !ok {
				continue
			}
			hidden[name] = true
			if err := do(path, data); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkDirs checks dir and what is above it, up to the anchor. It is false without
// an error where dir does not exist.
func (opt *LoadOptions) checkDirs(dir string) (bool, error) {
	rel, err := filepath.Rel(opt.Anchor, dir)
	if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
		return false, fmt.Errorf("%s is not below %s", dir, opt.Anchor)
	}
	path := opt.Anchor
	for _, part := range append([]string{"."}, strings.Split(rel, string(filepath.Separator))...) {
		path = filepath.Join(path, part)
		info, err := os.Lstat(path)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if !info.IsDir() {
			return false, fmt.Errorf("%s is not a directory", path)
		}
		if err := opt.checkOwner(path, info); err != nil {
			return false, err
		}
	}
	return true, nil
}

// checkOwner refuses what others than the owner could have written.
func (opt *LoadOptions) checkOwner(path string, info fs.FileInfo) error {
	uid, ok := ownerOf(info)
	if !ok {
		return fmt.Errorf("%s: this system does not tell who owns it", path)
	}
	if uid != opt.UID {
		return fmt.Errorf("%s belongs to user %d, not to user %d", path, uid, opt.UID)
	}
	if perm := info.Mode().Perm(); perm&0o022 != 0 {
		return fmt.Errorf("%s is writable by others (mode %04o)", path, perm)
	}
	return nil
}

// ErrUnsafe is wrapped by what ReadInstalled says of a bundle that is there and cannot be relied
// on.
var ErrUnsafe = errors.New("the installed bundle cannot be relied on")

// ReadInstalled reads a bundle from the first of dirs that has one of the name. It and
// what is above it must be as safe as a trust file.
func ReadInstalled(opt LoadOptions, name string) (path string, data []byte, err error) {
	opt.defaults()
	if !plainName(name) {
		return "", nil, fmt.Errorf("%q is no name of a bundle: letters, digits, - and _ make one", name)
	}
	for _, dir := range opt.Dirs {
		dir = filepath.Join(dir, "bundles")
		path := filepath.Join(dir, name+".o")
		ok, err := opt.checkDirs(dir)
		if ok {
			data, ok, err = opt.readUpTo(path, bundle.MaxSize)
		}
		if err != nil {
			return path, nil, fmt.Errorf("%w: %w", ErrUnsafe, err)
		}
		if ok {
			return path, data, nil
		}
	}
	return "", nil, fmt.Errorf("no bundle %s.o is installed in the folder bundles of %s", name, strings.Join(opt.Dirs, " or "))
}

// names returns base+ext and the files in base.d, sorted.
func (opt *LoadOptions) names(dir, base, ext string, strict bool) ([]string, error) {
	out := []string{base + ext}
	sub := filepath.Join(dir, base+".d")
	if ok, err := opt.checkDirs(sub); !ok {
		return out, err
	}
	entries, err := os.ReadDir(sub)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if plain, ok := strings.CutSuffix(e.Name(), ext); strict && (!ok || !plainName(plain)) {
			continue
		}
		out = append(out, filepath.Join(base+".d", e.Name()))
	}
	slices.Sort(out[1:])
	return out, nil
}

func plainName(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return s != ""
}

// read returns the bytes of a regular file that only its owner can write. It is
// false where the file does not exist. A link to /dev/null is an empty file.
func (opt *LoadOptions) read(path string) (data []byte, ok bool, err error) {
	return opt.readUpTo(path, maxFile)
}

func (opt *LoadOptions) readUpTo(path string, limit int64) (data []byte, ok bool, err error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		if to, err := os.Readlink(path); err == nil && to == os.DevNull {
			return nil, true, nil
		}
	}
	f, err := openNoFollow(path)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	// What counts is the file that was opened, not the one that was looked at.
	if info, err = f.Stat(); err != nil {
		return nil, false, err
	}
	if !info.Mode().IsRegular() {
		return nil, false, fmt.Errorf("%s is not a regular file", path)
	}
	if err := opt.checkOwner(path, info); err != nil {
		return nil, false, err
	}
	if info.Size() > limit {
		return nil, false, fmt.Errorf("%s has %d bytes, more than %d", path, info.Size(), limit)
	}
	data = make([]byte, info.Size())
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, false, fmt.Errorf("%s: %w", path, err)
	}
	return data, true, nil
}
