package driver

import (
	"bytes"
	"crypto/sha256"
	"encoding/gob"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"stapkit/diag"
	"stapkit/sema"
	"stapkit/tapsets"
	"stapkit/target/store"
)

// Compiled scripts are kept by what they are made of: the key of an entry is the hash
// of the scripts, the library directories, the options, the program itself and the
// kernel. What a compilation looked at besides (programs, libraries, debug files,
// directories) is only known after it; the entry lists these with what told them
// apart then, and is used while that is still so.

const cacheKind = "bundles"

// cacheMB is how many megabytes are kept at most, if $STAPKIT_CACHE_MB does not say.
const cacheMB = 256

// A kept compilation.
type kept struct {
	Seen   []seen
	Diags  []diag.Diagnostic // warnings and notes
	Texts  map[string][]byte // of the files that they point into
	Name   string            // of the bundle
	Bundle []byte            // unsigned
}

// seen is a path that a compilation depends on, and what was there.
type seen struct{ Path, State string }

// witness gathers what a compilation looks at.
type witness struct {
	mu     sync.Mutex
	states map[string]string
	// blind is set when it depends on what no path tells.
	blind bool
}

func (w *witness) see(path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if path == "" {
		w.blind = true
		return
	}
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	if _, ok := w.states[path]; !ok {
		w.states[path] = stateOf(path)
	}
}

func (w *witness) list() []seen {
	var out []seen
	for _, p := range sortedNames(w.states) {
		out = append(out, seen{p, w.states[p]})
	}
	return out
}

// stateOf tells a file or directory from what it was before: it changes when something
// else takes its place, when it is written, and when a name in it comes or goes.
func stateOf(path string) string {
	st, err := os.Stat(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return "absent"
		}
		return err.Error()
	}
	return fmt.Sprintf("%v %d %d %s", st.Mode(), st.Size(), st.ModTime().UnixNano(), inode(st))
}

// cacheKey is the key of what is to be compiled, "" if it is not kept; why then says
// so.
func (s *stap) cacheKey() (key, why string) {
	o := s.o
	switch {
	case o.DisableCache:
		return "", "--disable-cache"
	case o.Sysroot != "":
		return "", "with --sysroot nothing is kept"
	case o.KeepTemp:
		return "", "-k asks for what the passes make"
	}
	h := sha256.New()
	put := func(what string, values ...string) {
		fmt.Fprintf(h, "%s %d\n", what, len(values))
		for _, v := range values {
			fmt.Fprintf(h, "%d:%s\n", len(v), v)
		}
	}
	exe, err := os.Executable()
	if err != nil {
		return "", err.Error()
	}
	put("tool", Release, stateOf(exe))
	for _, sc := range o.Scripts {
		put("script", sc.Name, string(sc.Text))
	}
	put("arguments", o.Args...)
	for _, dir := range slices.Concat(o.TapsetDirs, sema.TapsetDirs()) {
		if err := putFolder(put, dir); err != nil {
			return "", err.Error()
		}
	}
	for _, m := range []map[string]string{o.Defines, o.Globals} {
		var list []string
		for _, n := range sortedNames(m) {
			list = append(list, n, m[n])
		}
		put("map", list...)
	}
	put("options", fmt.Sprint(o.Guru, o.SkipBadVars, o.Unoptimized, o.SuppressErrors, o.NoGlobalDisplay, o.NoTimeLimits, o.Strict, o.CheckVersion),
		o.Privilege, o.Compatible, o.Name, o.Arch, o.download)
	// What target() is, is told at the start of a run; only the program behind
	// "process" is looked at before.
	if s.mentions("process") || s.mentions("perf") {
		put("target", o.Command, strconv.Itoa(o.PID))
	} else {
		put("target", fmt.Sprint(o.Command != "", o.PID != 0))
	}
	for _, name := range []string{"PATH", "LD_LIBRARY_PATH", "SYSTEMTAP_DEBUGINFO_PATH", "SYSTEMTAP_TAPSET", "DEBUGINFOD_URLS"} {
		put("environment", name, os.Getenv(name))
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", err.Error()
	}
	put("directory", dir)
	if len(o.Releases) == 0 {
		state, err := hostState()
		if err != nil {
			return "", err.Error()
		}
		put("host", state...)
	}
	for _, r := range o.Releases {
		st, err := os.Stat(r)
		if err != nil || !st.Mode().IsRegular() {
			return "", "only for -r with a file, and for the running kernel, something is kept"
		}
		put("kernel", r, stateOf(r))
	}
	return hex.EncodeToString(h.Sum(nil)), ""
}

// mentions says whether a word is in a script or library directory.
func (s *stap) mentions(word string) bool {
	if len(s.o.TapsetDirs) > 0 || len(sema.TapsetDirs()) > 0 {
		return true
	}
	return slices.ContainsFunc(s.o.Scripts, func(sc Script) bool { return bytes.Contains(sc.Text, []byte(word)) })
}

// putFolder puts the library files of a directory into a key.
func putFolder(put func(string, ...string), dir string) error {
	return filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if ext := filepath.Ext(p); ext != ".stp" && ext != ".stpm" {
			return nil
		}
		text, err := os.ReadFile(p)
		put("library", p, string(text))
		return err
	})
}

// fromCache gives what is kept of a key, if it is still true.
func fromCache(key string) (*kept, error) {
	dir, err := store.Dir(cacheKind)
	if err != nil {
		return nil, err
	}
	// What runs as root must come from a place that only root can write.
	for _, p := range []string{dir, filepath.Join(dir, key)} {
		if err := onlyOurs(p); err != nil {
			return nil, err
		}
	}
	b, err := store.Get(cacheKind, key)
	if err != nil {
		return nil, err
	}
	var k kept
	if err := gob.NewDecoder(bytes.NewReader(b)).Decode(&k); err != nil {
		return nil, err
	}
	for _, s := range k.Seen {
		if now := stateOf(s.Path); now != s.State {
			return nil, fmt.Errorf("%s has changed", s.Path)
		}
	}
	store.Touch(cacheKind, key)
	return &k, nil
}

// keep puts a compilation into the cache.
func (s *stap) keep(key string, w *witness, bundle []byte, name string) error {
	if w.blind {
		return errors.New("it depends on what runs now")
	}
	k := kept{Seen: w.list(), Diags: s.shown, Texts: map[string][]byte{}, Name: name, Bundle: bundle}
	for _, d := range s.shown {
		for _, f := range append([]string{d.Range.Start.File}, relatedFiles(d)...) {
			if _, ok := tapsets.Read(f); ok || f == "" {
				continue
			}
			if text, ok := s.f.Source(f); ok {
				k.Texts[f] = text
			}
		}
	}
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(k); err != nil {
		return err
	}
	if err := store.Put(cacheKind, key, b.Bytes()); err != nil {
		return err
	}
	return store.Trim(cacheKind, cacheBytes())
}

func relatedFiles(d diag.Diagnostic) (out []string) {
	for _, r := range d.Related {
		out = append(out, r.Range.Start.File)
	}
	return out
}

// cacheBytes is how much is kept.
func cacheBytes() int64 {
	if n, err := strconv.ParseInt(strings.TrimSpace(os.Getenv("STAPKIT_CACHE_MB")), 10, 32); err == nil && n >= 0 {
		return n << 20
	}
	return cacheMB << 20
}

// cleanCache is --clean-cache.
func cleanCache(stdout io.Writer) error {
	n, err := store.Clear(cacheKind)
	if errors.Is(err, store.ErrOff) {
		_, err = fmt.Fprintln(stdout, "Nothing is kept: STAPKIT_CACHE is off.")
		return err
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "Removed %s.\n", count(n, "compiled script"))
	return err
}
