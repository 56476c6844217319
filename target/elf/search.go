package elf

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Search finds programs, libraries and debug files as the shell, the dynamic
// linker and debuggers do. The zero value searches this machine.
type Search struct {
	// Root is the directory of the file system to search, "" for "/". Paths
	// that are found include it.
	Root string
	// Path is the list of directories with programs; nil means $PATH.
	Path []string
	// LibraryPath are the directories where libraries are looked for first; nil means
	// $LD_LIBRARY_PATH.
	LibraryPath []string
	// Debug are the directories with separate debug files; nil means
	// /usr/lib/debug.
	Debug []string
	// Fetch, when set, gets the debug file of a build-id from somewhere else, such as
	// a debuginfod server, and gives its path. It is asked last.
	Fetch func(buildID string) (path string, err error)
	// Seen, when set, is told of each path that an answer depends on: whether it is
	// there, what is in the file, or which names are in the directory. "" says that an
	// answer depends on what no path tells, such as the programs that run. Whoever
	// opens what was found tells of that, too.
	Seen func(path string)
	// Open opens debug files; nil means os.Open.
	Open func(path string) (*os.File, error)
	// Machine and Class, when set, are those that a library must have.
	Machine elf.Machine
	Class   elf.Class

	cacheOnce sync.Once
	cache     []cacheEntry
	dirsOnce  sync.Once
	dirs      []string
}

// path puts a path of the searched file system below Root.
func (s *Search) path(p string) string {
	if s.Root == "" {
		return p
	}
	return filepath.Join(s.Root, p)
}

// In gives the path here of a path of the searched file system: an absolute one is below
// Root.
func (s *Search) In(path string) string {
	if !filepath.IsAbs(path) {
		return path
	}
	return s.path(path)
}

// Real gives the absolute path of a file that was found, and its name in the searched file
// system, symbolic links followed as they are meant there. What is not below Root has the
// same name.
func (s *Search) Real(path string) (file, name string) {
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	rest, below := strings.CutPrefix(path, s.Root+"/")
	if s.Root == "" || !below {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			path = real
		}
		return path, path
	}
	const mostLinks = 255
	name = "/"
	parts := strings.Split(rest, "/")
	for links := 0; len(parts) > 0; {
		part := parts[0]
		parts = parts[1:]
		next := filepath.Join(name, part) // ".." of "/" is "/"
		to, err := os.Readlink(s.path(next))
		if links++; err != nil || links > mostLinks {
			name = next // no link, or nothing
			continue
		}
		if filepath.IsAbs(to) {
			name = "/"
		}
		parts = append(strings.Split(to, "/"), parts...)
	}
	return s.path(name), name
}

// See tells Seen of a path.
func (s *Search) See(path string) {
	if s != nil && s.Seen != nil {
		s.Seen(path)
	}
}

// Glob is filepath.Glob, which Seen learns of.
func (s *Search) Glob(pattern string) ([]string, error) {
	if s.Seen != nil {
		s.seeFolders(filepath.Dir(pattern))
	}
	return filepath.Glob(pattern)
}

// seeFolders tells of the folders that a pattern of folders fits, and of those above
// whose names decide that.
func (s *Search) seeFolders(pattern string) {
	if !strings.ContainsAny(pattern, `*?[\`) {
		s.See(pattern)
		return
	}
	if up := filepath.Dir(pattern); up != pattern {
		s.seeFolders(up)
	}
	// A pattern that is not well-formed is the caller's to report.
	found, _ := filepath.Glob(pattern)
	for _, f := range found {
		s.See(f)
	}
}

// Executable finds a program: a path as it is, a bare name in the search path.
func (s *Search) Executable(name string) (string, error) {
	if strings.Contains(name, "/") {
		p := s.In(name)
		s.See(p)
		if _, err := os.Stat(p); err != nil {
			return "", err
		}
		return p, nil
	}
	dirs := s.Path
	if dirs == nil {
		dirs = filepath.SplitList(os.Getenv("PATH"))
	}
	for _, d := range dirs {
		if d == "" {
			d = "."
		}
		p := s.path(filepath.Join(d, name))
		s.See(p)
		if st, err := os.Stat(p); err == nil && st.Mode().IsRegular() && st.Mode().Perm()&0o111 != 0 {
			return p, nil
		}
	}
	return "", fmt.Errorf("%s: not found in %s: %w", name, strings.Join(dirs, ":"), fs.ErrNotExist)
}

// Libraries finds shared libraries whose file names match, such as "libc.so.6"
// or by a pattern, in the order of the dynamic linker: LibraryPath, its cache, then
// the directories of ld.so.conf and the usual ones. One path is given per file,
// symbolic links resolved. match decides; it gets bare file names.
func (s *Search) Libraries(match func(name string) bool) ([]string, error) {
	var out []string
	seen := map[string]bool{}
	add := func(p string) {
		s.See(p)
		real, err := filepath.EvalSymlinks(p)
		if err != nil || seen[real] {
			return
		}
		seen[real] = true
		if s.fits(real) {
			out = append(out, real)
		}
	}
	from := func(dirs []string) {
		for _, d := range dirs {
			s.See(s.path(d))
			es, err := os.ReadDir(s.path(d))
			if err != nil {
				continue // in a list, but absent
			}
			for _, e := range es {
				if match(e.Name()) && strings.Contains(e.Name(), ".so") {
					add(s.path(filepath.Join(d, e.Name())))
				}
			}
		}
	}
	from(s.libraryPath())
	for _, e := range s.ldCache() {
		if match(e.name) {
			add(s.path(e.path))
		}
	}
	from(s.libraryDirs())
	if len(out) == 0 {
		return nil, fmt.Errorf("no such shared library: %w", fs.ErrNotExist)
	}
	return out, nil
}

// fits reports whether a file is a library of the wanted machine.
func (s *Search) fits(path string) bool {
	f, err := Open(path)
	if err != nil {
		return false // a linker script, say
	}
	ok := f.Type == elf.ET_DYN && (s.Machine == elf.EM_NONE || f.Machine == s.Machine) && (s.Class == elf.ELFCLASSNONE || f.Class == s.Class)
	return f.Close() == nil && ok
}

// ByBuildID finds the program or library with a build-id in hexadecimal: one of
// first, else by the links of a distribution's build-id directories, else among the
// programs that run, in the search path, and libraries. The error wraps
// fs.ErrNotExist.
func (s *Search) ByBuildID(id string, first []string) (string, error) {
	if len(id) < 4 {
		return "", fmt.Errorf("build-id %q: %w", id, fs.ErrNotExist)
	}
	has := func(path string) (string, bool) {
		s.See(path)
		real, err := filepath.EvalSymlinks(path)
		return real, err == nil && s.sameBuildID(real, id)
	}
	for _, p := range first {
		if real, ok := has(p); ok {
			return real, nil
		}
	}
	for _, dir := range []string{"/usr/lib/debug/.build-id", "/usr/lib/.build-id"} {
		if real, ok := has(s.path(filepath.Join(dir, id[:2], id[2:]))); ok {
			return real, nil
		}
	}
	if s.Root == "" {
		s.See("")
		// A pattern that is well-formed has no error.
		running, _ := filepath.Glob("/proc/[0-9]*/exe")
		for _, p := range running {
			if real, ok := has(p); ok {
				return real, nil
			}
		}
	}
	dirs := s.Path
	if dirs == nil {
		dirs = filepath.SplitList(os.Getenv("PATH"))
	}
	for _, d := range append(slices.Clone(dirs), s.libraryDirs()...) {
		es, err := os.ReadDir(s.path(d))
		if err != nil {
			continue // in a list, but absent
		}
		for _, e := range es {
			if e.IsDir() {
				continue
			}
			if real, ok := has(s.path(filepath.Join(d, e.Name()))); ok {
				return real, nil
			}
		}
	}
	return "", fmt.Errorf("build-id %s: %w", id, fs.ErrNotExist)
}

// libraryPath lists the directories of LibraryPath.
func (s *Search) libraryPath() []string {
	dirs := s.LibraryPath
	if dirs == nil {
		// The linker takes semicolons, too.
		dirs = strings.FieldsFunc(os.Getenv("LD_LIBRARY_PATH"), func(r rune) bool { return r == ':' || r == ';' })
	}
	return dirs
}

type cacheEntry struct{ name, path string }

// ldCache reads the cache of the GNU dynamic linker (dl-cache.h of glibc): a
// header, records of {i32 flags, u32 name, u32 path, u32 osversion, u64 hwcap}
// and a string table, offsets counted from the header.
func (s *Search) ldCache() []cacheEntry {
	s.cacheOnce.Do(func() {
		const magic, header, record = "glibc-ld.so.cache1.1", 48, 24
		s.See(s.path("/etc/ld.so.cache"))
		data, err := os.ReadFile(s.path("/etc/ld.so.cache"))
		if err != nil {
			return // musl and minimal systems have none
		}
		i := bytes.Index(data, []byte(magic))
		if i < 0 || len(data)-i < header {
			return
		}
		data = data[i:]
		bo := binary.ByteOrder(binary.NativeEndian)
		// Byte 28 says the byte order since glibc 2.33: 2 little, 3 big.
		switch data[28] & 3 {
		case 2:
			bo = binary.LittleEndian
		case 3:
			bo = binary.BigEndian
		}
		str := func(at uint32) string {
			if at >= uint32(len(data)) {
				return ""
			}
			return cstring(data[at:])
		}
		n := bo.Uint32(data[20:])
		var later []cacheEntry
		for rec := data[header:]; n > 0 && len(rec) >= record; n, rec = n-1, rec[record:] {
			e := cacheEntry{str(bo.Uint32(rec[4:])), str(bo.Uint32(rec[8:]))}
			if e.name == "" || e.path == "" {
				continue
			}
			// Variants for newer processors come after the plain one, which
			// every machine can run.
			if bo.Uint64(rec[16:]) != 0 {
				later = append(later, e)
				continue
			}
			s.cache = append(s.cache, e)
		}
		s.cache = append(s.cache, later...)
	})
	return s.cache
}

// libraryDirs lists the directories in which libraries are, for systems
// without a cache and libraries that are not in it.
func (s *Search) libraryDirs() []string {
	s.dirsOnce.Do(func() {
		s.ldConf("/etc/ld.so.conf", 0)
		s.dirs = append(s.dirs, "/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib")
		for _, d := range []string{"/lib", "/usr/lib"} {
			ms, err := s.Glob(s.path(d) + "/*-linux-*")
			if err != nil {
				continue
			}
			for _, m := range ms {
				s.dirs = append(s.dirs, d+"/"+filepath.Base(m))
			}
		}
		var uniq []string
		for _, d := range s.dirs {
			if !slices.Contains(uniq, d) {
				uniq = append(uniq, d)
			}
		}
		s.dirs = uniq
	})
	return s.dirs
}

// ldConf reads a configuration of the dynamic linker: a directory per line,
// "include PATTERN", comments.
func (s *Search) ldConf(path string, depth int) {
	s.See(s.path(path))
	data, err := os.ReadFile(s.path(path))
	if err != nil || depth > 4 {
		return
	}
	for line := range strings.Lines(string(data)) {
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		switch {
		case len(f) == 0 || f[0] == "hwcap":
		case f[0] == "include" && len(f) == 2:
			p := f[1]
			if !filepath.IsAbs(p) {
				p = filepath.Join(filepath.Dir(path), p)
			}
			ms, err := s.Glob(s.path(p))
			if err != nil {
				continue
			}
			for _, m := range ms {
				s.ldConf(strings.TrimPrefix(m, s.Root), depth+1)
			}
		case filepath.IsAbs(f[0]):
			s.dirs = append(s.dirs, filepath.Clean(f[0]))
		}
	}
}

// Needed lists the shared libraries that a program loads at its start, the
// libraries of its libraries included, in the order of loading. missing are
// names for which no file was found.
func (s *Search) Needed(f *File) (paths, missing []string, err error) {
	sub := &Search{Root: s.Root, LibraryPath: s.libraryPath(), Machine: f.Machine, Class: f.Class, Seen: s.Seen}
	seen := map[string]bool{}
	type todo struct {
		name, from string // wanted by
		dirs       []string
	}
	var queue []todo
	want := func(f *File) error {
		return guard(f.Path, func() error {
			libs, err := f.f.ImportedLibraries()
			if err != nil {
				return err
			}
			// DT_RPATH comes before LibraryPath, DT_RUNPATH, which takes its place, behind.
			var dirs []string
			for _, tag := range []elf.DynTag{elf.DT_RPATH, elf.DT_RUNPATH} {
				ps, err := f.f.DynString(tag)
				if err != nil {
					return err
				}
				if tag == elf.DT_RUNPATH && len(ps) > 0 {
					dirs = sub.LibraryPath
				}
				for _, p := range ps {
					dirs = append(slices.Clip(dirs), strings.Split(p, ":")...)
				}
			}
			for _, l := range libs {
				queue = append(queue, todo{l, f.Path, dirs})
			}
			return nil
		})
	}
	if err := want(f); err != nil {
		return nil, nil, err
	}
	const maxLibraries = 4096
	for len(queue) > 0 && len(seen) < maxLibraries {
		t := queue[0]
		queue = queue[1:]
		if seen[t.name] {
			continue
		}
		seen[t.name] = true
		path := ""
		if strings.Contains(t.name, "/") {
			path = s.path(t.name)
		}
		for _, d := range t.dirs {
			for _, origin := range []string{"$ORIGIN", "${ORIGIN}"} {
				d = strings.ReplaceAll(d, origin, filepath.Dir(strings.TrimPrefix(t.from, s.Root)))
			}
			if p := s.path(filepath.Join(d, t.name)); path == "" && d != "" && sub.fits(p) {
				path = p
			}
		}
		if path == "" {
			if ps, err := sub.Libraries(func(n string) bool { return n == t.name }); err == nil {
				path = ps[0]
			}
		}
		if path == "" {
			missing = append(missing, t.name)
			continue
		}
		paths = append(paths, path)
		lib, err := Open(path)
		if err != nil {
			return paths, missing, err
		}
		if err := errors.Join(want(lib), lib.Close()); err != nil {
			return paths, missing, err
		}
	}
	return paths, missing, nil
}

// DebugRoots are the directories with separate debug files, below Root.
func (s *Search) DebugRoots() []string {
	roots := s.Debug
	if roots == nil {
		roots = []string{"/usr/lib/debug"}
	}
	out := make([]string, len(roots))
	for i, r := range roots {
		out[i] = s.path(r)
	}
	return out
}

// DebugFile finds the separate debug file of a program, by build-id and by
// .gnu_debuglink (whose CRC must agree). The error wraps fs.ErrNotExist and
// lists where it was looked for.
func (s *Search) DebugFile(f *File) (string, error) {
	roots := s.DebugRoots()
	var tried []string
	try := func(p string, good func(string) bool) bool {
		tried = append(tried, p)
		s.See(p)
		return good(p)
	}
	if len(f.BuildID) > 2 {
		for _, r := range roots {
			p := filepath.Join(r, ".build-id", f.BuildID[:2], f.BuildID[2:]+".debug")
			if try(p, func(p string) bool { return s.sameBuildID(p, f.BuildID) }) {
				return p, nil
			}
		}
	}
	if name, crc, ok := f.DebugLink(); ok {
		dir := filepath.Dir(f.Path)
		if real, err := filepath.EvalSymlinks(f.Path); err == nil {
			dir = filepath.Dir(real)
		}
		dirs := []string{dir, filepath.Join(dir, ".debug")}
		for _, r := range roots {
			dirs = append(dirs, filepath.Join(r, strings.TrimPrefix(dir, s.Root)))
		}
		for _, d := range dirs {
			p := filepath.Join(d, name)
			if p != f.Path && try(p, func(p string) bool { return s.fileCRC(p) == crc }) {
				return p, nil
			}
		}
	}
	if s.Fetch != nil && f.BuildID != "" {
		p, err := s.Fetch(f.BuildID)
		if err == nil {
			return p, nil
		}
		tried = append(tried, err.Error())
	}
	if len(tried) == 0 {
		return "", fmt.Errorf("%s: neither a build-id nor a debug link tells its debug file: %w", f.Path, fs.ErrNotExist)
	}
	return "", fmt.Errorf("%s: no debug file; looked for %s: %w", f.Path, strings.Join(tried, ", "), fs.ErrNotExist)
}

// open opens a regular file.
func (s *Search) open(path string) (*os.File, error) {
	if s.Open != nil {
		return s.Open(path)
	}
	// Opening something else, a pipe say, may wait for ever.
	if st, err := os.Stat(path); err != nil || !st.Mode().IsRegular() {
		return nil, errors.Join(err, fs.ErrNotExist)
	}
	return os.Open(path)
}

func (s *Search) sameBuildID(path, id string) bool {
	r, err := s.open(path)
	if err != nil {
		return false
	}
	f, err := OpenFile(path, r)
	if err != nil {
		return false
	}
	return f.Close() == nil && f.BuildID == id
}

// fileCRC is the CRC-32 of a file's content, 0 if it cannot be read.
func (s *Search) fileCRC(path string) uint32 {
	f, err := s.open(path)
	if err != nil {
		return 0
	}
	defer f.Close()
	h := crc32.NewIEEE()
	if _, err := io.Copy(h, f); err != nil {
		return 0
	}
	return h.Sum32()
}
