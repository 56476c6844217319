// Package files finds the scripts that a command line names, reads them, and puts changed
// ones in the place of old ones without ever leaving half of one. The tools that change
// scripts share it.
package files

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/rogpeppe/go-internal/diff"
)

// Stdin is the name of the standard input when none is given.
const Stdin = "<standard input>"

// Found is one file of a command line.
type Found struct {
	Name string // as printed
	// Source is nil for the standard input and for what cannot be had, as Err says.
	Source *Source
	Err    error
	// Listed: found in a folder, so it may be no script.
	Listed bool
}

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

// Source is a file that can be read, and written back.
type Source struct {
	dir  *folder
	rel  string // the file itself, behind any link, in the folder
	name string // as printed
	info fs.FileInfo
}

// Close lets go of the folder that the file is in.
func (s *Source) Close() { s.dir.release() }

// finder finds the files of the command line.
type finder struct {
	stdin string
	emit  func(Found)
	seen  map[string]bool // files found before, by their whole path
}

// Find calls emit for each file that paths name, in order: files, all scripts and macro
// libraries below folders, and "-", which is the standard input; its name is stdin, or Stdin
// when that is empty. Each Source found has to be closed.
func Find(paths []string, stdin string, emit func(Found)) {
	f := &finder{stdin: stdin, emit: emit}
	f.all(paths)
}

// Each finds files as Find does and does its work on them in several goroutines: start
// makes a job of each file, work is called for the jobs in parallel, and report for one
// after the other in the order of the files.
func Each[J any](paths []string, stdin string, workers int, start func(Found) J, work, report func(J)) {
	type item struct {
		job  J
		done chan struct{}
	}
	found := make(chan *item, 4*workers) // for the workers
	order := make(chan *item, 4*workers) // the same, for the report
	go func() {
		Find(paths, stdin, func(f Found) {
			i := &item{start(f), make(chan struct{})}
			order <- i
			found <- i
		})
		close(found)
		close(order)
	}()
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			for i := range found {
				work(i.job)
				close(i.done)
			}
		})
	}
	for i := range order {
		<-i.done
		report(i.job)
	}
	running.Wait()
}

func (f *finder) all(paths []string) {
	for _, name := range paths {
		if name == "-" {
			f.input()
			continue
		}
		st, err := os.Stat(name)
		switch {
		case err != nil:
			f.emit(Found{Name: name, Err: pathError(name, err)})
		case st.IsDir():
			f.walk(name)
		default:
			f.file(name)
		}
	}
}

func (f *finder) input() {
	name := f.stdin
	if name == "" {
		name = Stdin
	}
	f.emit(Found{Name: name})
}

// file takes a file that was named.
func (f *finder) file(name string) {
	dir, err := openFolder(filepath.Dir(name))
	if err != nil {
		f.emit(Found{Name: name, Err: pathError(name, err)})
		return
	}
	defer dir.release()
	rel, err := behindLinks(dir, filepath.Base(name))
	if err != nil {
		f.emit(Found{Name: name, Err: pathError(name, err)})
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
		f.emit(Found{Name: name, Err: pathError(name, err)})
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
	f.emit(Found{Name: name, Source: &Source{dir, rel, name, st}, Listed: listed})
}

// walk takes the scripts and macro libraries below a folder. Links are not followed:
// what they lead to inside of the folder is found by its own name. Hidden folders are left
// out.
func (f *finder) walk(root string) {
	dir, err := openFolder(root)
	if err != nil {
		f.emit(Found{Name: root, Err: pathError(root, err)})
		return
	}
	defer dir.release()
	_ = fs.WalkDir(dir.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		name := filepath.Join(root, filepath.FromSlash(p))
		if err != nil {
			f.emit(Found{Name: name, Err: pathError(name, err)})
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

// Read reads the file. With sniff, it reports files that are not even text without
// reading them whole.
func (s *Source) Read(sniff bool) (text []byte, skip bool, err error) {
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
	text, err = ReadAll(file)
	return text, false, err
}

var (
	errChanged  = errors.New("changed while it was being read")
	errReadOnly = errors.New("the file is read-only")
)

// Write puts text in the place of the file: it is written beside it, gets its mode,
// owner and attributes, and then its name. Either all of that is done or nothing.
func (s *Source) Write(text []byte) (err error) {
	defer func() {
		if err != nil {
			err = pathError(s.name, err)
		}
	}()
	if s.info.Mode().Perm()&0o222 == 0 {
		return errReadOnly
	}
	tmp := filepath.Join(filepath.Dir(s.rel), ".stapkit-"+rand.Text())
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
func (s *Source) fill(file *os.File, text []byte) error {
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

// maxFile is the size of the largest file that is read.
const maxFile = 64 << 20

var errHuge = fmt.Errorf("larger than %d MiB", maxFile>>20)

// ReadAll reads a text, of no more than 64 MiB.
func ReadAll(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = errHuge
	}
	return text, err
}

var errNotRegular = errors.New("not a regular file")

// pathError names the file in an error, once.
func pathError(name string, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		err = p.Err
	}
	return fmt.Errorf("%s: %w", name, err)
}

// Diff is the unified diff of two texts of a file, coloured for a terminal if so wanted.
func Diff(name string, old, new []byte, color bool) []byte {
	d := diff.Diff(name+".orig", old, name, new)
	if _, rest, ok := bytes.Cut(d, []byte("\n")); ok {
		d = rest // the line "diff …" is no part of the format
	}
	if color {
		d = colored(d)
	}
	return d
}

// colored paints a unified diff.
func colored(d []byte) []byte {
	var b bytes.Buffer
	for line := range bytes.Lines(d) {
		code := ""
		switch {
		case bytes.HasPrefix(line, []byte("---")), bytes.HasPrefix(line, []byte("+++")):
			code = "01"
		case line[0] == '-':
			code = "31"
		case line[0] == '+':
			code = "32"
		case line[0] == '@':
			code = "36"
		}
		if code == "" {
			b.Write(line)
			continue
		}
		text := bytes.TrimRight(line, "\r\n")
		b.WriteString("\x1b[" + code + "m")
		b.Write(text)
		b.WriteString("\x1b[m")
		b.Write(line[len(text):])
	}
	return b.Bytes()
}
