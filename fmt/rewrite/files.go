package rewrite

import (
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync/atomic"
)

// stdin is the name of the standard input when none is given.
const stdin = "<standard input>"

// folder is an open folder that bounds what may be touched: the one named on the command
// line, or the one that a named file lies in. All access goes through os.Root, so that no
// link, and no link put there in between, leads out of it.
type folder struct {
	*os.Root
	users atomic.Int32
}

func openFolder(dir string) (*folder, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	f := &folder{Root: root}
	f.users.Store(1)
	return f, nil
}

// release closes the folder when nobody uses it any more.
func (f *folder) release() {
	if f.users.Add(-1) == 0 {
		f.Close() // nothing was written through it that could be lost
	}
}

// source is a file to be formatted.
type source struct {
	dir  *folder
	rel  string // the file itself, behind any link, in the folder
	name string // as printed
	info fs.FileInfo
}

func (s *source) close() { s.dir.release() }

// finder finds the files of the command line.
type finder struct {
	opt  *Options
	emit func(*job)
	seen map[string]bool // files found before, by their whole path
}

func (f *finder) all() {
	for _, name := range f.opt.Paths {
		if name == "-" {
			f.input()
			continue
		}
		st, err := os.Stat(name)
		switch {
		case err != nil:
			f.emit(&job{name: name, err: pathError(name, err)})
		case st.IsDir():
			f.walk(name)
		default:
			f.file(name)
		}
	}
}

func (f *finder) input() {
	name := f.opt.StdinName
	if name == "" {
		name = stdin
	}
	f.emit(&job{name: name})
}

// file takes a file that was named.
func (f *finder) file(name string) {
	dir, err := openFolder(filepath.Dir(name))
	if err != nil {
		f.emit(&job{name: name, err: pathError(name, err)})
		return
	}
	defer dir.release()
	rel, err := behindLinks(dir, filepath.Base(name))
	if err != nil {
		f.emit(&job{name: name, err: pathError(name, err)})
		return
	}
	f.found(dir, rel, name, false)
}

// behindLinks finds the file that a name in a folder stands for. Links that lead out of
// the folder are refused.
func behindLinks(dir *folder, rel string) (string, error) {
	for range 40 {
		st, err := dir.Lstat(rel)
		if err != nil {
			return "", err
		}
		if st.Mode()&fs.ModeSymlink == 0 {
			return rel, nil
		}
		if _, err := dir.Stat(rel); err != nil {
			return "", err
		}
		to, err := dir.Readlink(rel)
		if err != nil {
			return "", err
		}
		if filepath.IsAbs(to) {
			return "", errors.New("a link that leads out of its folder")
		}
		rel = filepath.Join(filepath.Dir(rel), to)
	}
	return "", errors.New("too many links")
}

// found hands a file over to the workers.
func (f *finder) found(dir *folder, rel, name string, listed bool) {
	st, err := dir.Lstat(rel)
	if err == nil && !st.Mode().IsRegular() {
		err = errNotRegular
	}
	if err != nil {
		f.emit(&job{name: name, err: pathError(name, err)})
		return
	}
	if abs, err := filepath.Abs(filepath.Join(dir.Name(), rel)); err == nil {
		if f.seen[abs] {
			return
		}
		if f.seen == nil {
			f.seen = map[string]bool{}
		}
		f.seen[abs] = true
	}
	dir.users.Add(1)
	f.emit(&job{name: name, src: &source{dir, rel, name, st}, listed: listed})
}

// walk takes the scripts and macro libraries below a folder. Links are not followed:
// what they lead to inside of the folder is found by its own name. Hidden folders are left
// out.
func (f *finder) walk(root string) {
	dir, err := openFolder(root)
	if err != nil {
		f.emit(&job{name: root, err: pathError(root, err)})
		return
	}
	defer dir.release()
	_ = fs.WalkDir(dir.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		name := filepath.Join(root, filepath.FromSlash(p))
		if err != nil {
			f.emit(&job{name: name, err: pathError(name, err)})
			return nil
		}
		switch {
		case d.IsDir():
			if p != "." && strings.HasPrefix(d.Name(), ".") {
				return fs.SkipDir
			}
		case !d.Type().IsRegular():
		case path.Ext(p) == ".stp" || path.Ext(p) == ".stpm":
			f.found(dir, filepath.FromSlash(p), name, true)
		}
		return nil
	}) // the function gives no error
}

// read reads the file. With sniff, it reports files that are not even text without
// reading them whole.
func (s *source) read(sniff bool) (text []byte, skip bool, err error) {
	defer func() {
		if err != nil {
			err = pathError(s.name, err)
		}
	}()
	file, err := s.dir.OpenFile(s.rel, os.O_RDONLY|nonBlock, 0) // it may have become a pipe
	if err != nil {
		return nil, false, err
	}
	defer file.Close()
	st, err := file.Stat()
	if err != nil {
		return nil, false, err
	}
	if !st.Mode().IsRegular() || !os.SameFile(st, s.info) {
		return nil, false, errChanged
	}
	s.info = st
	if sniff {
		head := make([]byte, sniffed)
		n, err := io.ReadFull(file, head)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return nil, false, err
		}
		if notText(head[:n]) {
			return nil, true, nil
		}
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return nil, false, err
		}
	}
	text, err = readAll(file)
	return text, false, err
}

var (
	errChanged  = errors.New("changed while it was being read")
	errReadOnly = errors.New("the file is read-only")
)

// write puts text in the place of the file: it is written beside it, gets its mode,
// owner and attributes, and then its name. Either all of that is done or nothing.
func (s *source) write(text []byte) (err error) {
	defer func() {
		if err != nil {
			err = pathError(s.name, err)
		}
	}()
	if s.info.Mode().Perm()&0o222 == 0 {
		return errReadOnly
	}
	tmp := filepath.Join(filepath.Dir(s.rel), ".stapfmt-"+rand.Text())
	file, err := s.dir.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.dir.Remove(tmp))
		}
	}()
	err = s.fill(file, text)
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	now, err := s.dir.Lstat(s.rel)
	if err != nil {
		return err
	}
	if !os.SameFile(now, s.info) || now.Size() != s.info.Size() || !now.ModTime().Equal(s.info.ModTime()) {
		return errChanged
	}
	return s.dir.Rename(tmp, s.rel)
}

// fill writes the new file.
func (s *source) fill(file *os.File, text []byte) error {
	if _, err := file.Write(text); err != nil {
		return err
	}
	if err := s.keepOwner(file); err != nil {
		return err
	}
	if err := file.Chmod(s.info.Mode()); err != nil {
		return err
	}
	if err := s.keepAttributes(file); err != nil {
		return err
	}
	return file.Sync()
}
