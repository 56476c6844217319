//go:build linux

package loader

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"stapkit/ir"
)

// FilesDir has a directory for each run with procfs probes, in which their files
// are. SystemTap has them in /proc/systemtap, where only a kernel module can put
// anything.
const FilesDir = "/run/stapkit"

// stdinFile is the name by which probes get what the loader reads from its
// standard input, a byte at a time.
const stdinFile = "__stdin"

// files serves procfs probes: a small file system whose reads and writes are
// handlers. They run where all loader handlers do; whoever reads or writes waits.
type files struct {
	calls chan fileCall
	done  chan struct{}
	once  sync.Once
	fs    *fuse
}

// fileCall asks for the handlers of a file to be run.
type fileCall struct {
	handlers []int
	value    string
	reply    chan<- string // nil: nobody wants to know
}

// file is a file of probes.
type file struct {
	path        string
	read, write []int // handlers
	mode        uint32
	limit       int // of the text
}

// openFiles makes the files of the procfs probes.
func (s *session) openFiles() error {
	s.files.calls, s.files.done = make(chan fileCall), make(chan struct{})
	var list []*file
	var input []int
	for i := range s.p.Probes {
		p := &s.p.Probes[i]
		if p.Family != ir.FamProcfs || len(p.Attach) == 0 {
			continue
		}
		a := &p.Attach[0]
		if a.Target == stdinFile && a.Write {
			input = append(input, a.Handler)
			continue
		}
		name := path.Clean(a.Target)
		if a.Target == "" {
			name = "command" // SystemTap's default
		}
		if strings.HasPrefix(name, "../") || strings.HasPrefix(name, "/") || name == ".." || name == "." {
			return errorf(codeFiles, nil, "procfs path %q must be relative and below the directory of the run", a.Target)
		}
		n := slices.IndexFunc(list, func(f *file) bool { return f.path == name })
		if n < 0 {
			n = len(list)
			list = append(list, &file{path: name})
		}
		f := list[n]
		if a.Write {
			f.write = append(f.write, a.Handler)
			f.mode |= 0o222 &^ uint32(a.Config)
		} else {
			f.read = append(f.read, a.Handler)
			f.mode |= 0o444 &^ uint32(a.Config)
			f.limit = max(f.limit, s.valueLimit(i))
		}
	}
	if len(input) > 0 {
		go s.readInput(input)
	}
	if len(list) == 0 {
		return nil
	}
	fs, err := mountFuse(FilesDir, filesName(s.p.Name), list, s.ask)
	if err != nil {
		return err
	}
	s.files.fs = fs
	if err := s.rights.setUp(setUp{Mount: fs.dir}); err != nil {
		return err
	}
	if s.opt.Verbose > 0 {
		s.out.warn("the files of procfs probes are in " + fs.dir)
	}
	return nil
}

// filesName is the name of the directory of a program.
func filesName(program string) string {
	name := filepath.Base(program)
	if name == "." || name == "/" || name == ".." {
		return "stap"
	}
	return name
}

// ask has handlers run and waits for the value that they leave. It reports false
// when the run has come to its end.
func (s *session) ask(handlers []int, value string) (string, bool) {
	reply := make(chan string, 1)
	select {
	case s.files.calls <- fileCall{handlers, value, reply}:
	case <-s.files.done:
		return "", false
	case <-s.exit:
		return "", false
	}
	select {
	case v := <-reply:
		return v, true
	case <-s.files.done:
		return "", false
	}
}

// serve runs the handlers of a call.
func (s *session) serve(c fileCall) error {
	s.env.value = c.value
	for _, h := range c.handlers {
		if s.ending() {
			break
		}
		if err := s.handle(h); err != nil {
			return err
		}
	}
	if c.reply != nil {
		c.reply <- s.env.value
	}
	s.env.value = ""
	return nil
}

// valueLimit is the longest text of a procfs probe.
func (s *session) valueLimit(probe int) int {
	if a := s.p.Probes[probe].Attach; len(a) > 0 && a[0].Length > 0 {
		return int(min(a[0].Length, 1<<20))
	}
	return s.p.Limits.MaxStringLen - 1
}

// readInput passes the standard input on to handlers.
func (s *session) readInput(handlers []int) {
	r := bufio.NewReader(os.Stdin)
	for {
		b, err := r.ReadByte()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				s.out.warn(fmt.Sprintf("standard input: %v", err))
			}
			return
		}
		if _, ok := s.ask(handlers, string([]byte{b})); !ok {
			return
		}
	}
}

func (f *files) close() {
	if f.done == nil {
		return
	}
	f.once.Do(func() {
		close(f.done)
		if f.fs != nil {
			f.fs.close()
		}
	})
}

// mountPoint makes a directory to mount on: base/name, or a name with a number
// if another run has that. What a run that was killed left behind is cleared away.
func mountPoint(base, name string) (string, error) {
	if err := os.MkdirAll(base, 0o755); err != nil {
		return "", err
	}
	for n := 1; n < 1000; n++ {
		dir := filepath.Join(base, name)
		if n > 1 {
			dir = fmt.Sprintf("%s.%d", dir, n)
		}
		err := os.Mkdir(dir, 0o755)
		if err == nil {
			return dir, nil
		}
		if !errors.Is(err, os.ErrExist) {
			return "", err
		}
		if _, err := os.Stat(dir); errors.Is(err, unix.ENOTCONN) {
			// An error shows at the next step.
			_ = unix.Unmount(dir, unix.MNT_DETACH)
			return dir, nil
		}
		if os.Remove(dir) == nil && os.Mkdir(dir, 0o755) == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("all names like %s are taken", filepath.Join(base, name))
}

// sweep unmounts what runs have left mounted whose broker was killed: their file systems are
// broken.
func sweep(base string) {
	list, err := os.ReadDir(base)
	if err != nil {
		return // there has been no run
	}
	for _, e := range list {
		dir := filepath.Join(base, e.Name())
		var st unix.Stat_t
		if unix.Lstat(dir, &st) == unix.ENOTCONN && unix.Unmount(dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW) == nil {
			_ = os.Remove(dir) // somebody else may have done so
		}
	}
}
