//go:build linux

package loader

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"stapkit/ir"
)

// rights is all that a run needs privileges for once its probes are attached. local does it
// in this process. When the run is separated (Options.Separate), client asks the
// broker, which is a local behind a socket: so each method judges what it is asked for as if
// whoever asks were an enemy.
type rights interface {
	// setUp tells what the run may ask for. It is over when seal is called.
	setUp(setUp) error
	seal() error

	// mappings opens /proc/PID/maps, and tells when the process started.
	mappings(pid int) (f *os.File, started string, err error)
	// executable is the path of a process's program.
	executable(pid int) (string, error)
	// binary opens an ELF file, for its symbols.
	binary(path string) (*os.File, error)
	// perfMap opens the file in which a process tells of code that it makes.
	perfMap(tgid int) (*os.File, error)
	// kernelSymbols opens /proc/kallsyms.
	kernelSymbols() (*os.File, error)
	// taskStack is /proc/TID/stack.
	taskStack(tid int) ([]byte, error)
	// kernelLog opens one of the kernel's logs for writing.
	kernelLog(which kernelLog) (*os.File, error)
	// output makes the file of that number of the output; remove removes such a file, or
	// what setUp calls the run's own.
	fileMaker

	// array makes a map like those that array g of the script consists of.
	array(g int) (*ebpf.Map, error)
	// table makes the map for an unwind table.
	table(rows int) (*ebpf.Map, error)
	// peek loads the program that reads the kernel's memory, and makes its map.
	peek() (*ebpf.Program, *ebpf.Map, error)
	// timing has the kernel time programs until it is closed.
	timing() (io.Closer, error)

	// command creates the process of -c, stopped. With watched, exiting is called before
	// it ends, while its mappings can be seen.
	command(cmd string, files [3]*os.File, watched bool, exiting func(pid int)) (command, error)
	// system runs a command of system() as the user who ran the loader.
	system(cmd string, stdout, stderr *os.File) error

	// started and ended tell the log of the run.
	started()
	ended(status int, err error)
	// lost is closed if the rights are gone for good.
	lost() <-chan struct{}
	// close takes away what setUp named.
	close()
}

// command is the process of -c.
type command interface {
	number() int
	// start lets it run; stop has it end, and returns when it has, or after a moment.
	start()
	stop(started bool)
	ended() <-chan unix.WaitStatus
}

// setUp is what a run may ask for. Fields of several calls add up.
type setUp struct {
	System bool `json:"system,omitempty"` // system() may run commands
	// Output is -o. Numbered: its first file has a number, too.
	Output     string             `json:"output,omitempty"`
	Numbered   bool               `json:"numbered,omitempty"`
	Arrays     map[int]arrayShape `json:"arrays,omitempty"`
	Background bool               `json:"background,omitempty"` // once it has started, nobody looks at a terminal
	Mount      string             `json:"mount,omitempty"`      // a file system, to be unmounted at the end
	Remove     []string           `json:"remove,omitempty"`     // paths to be removed at the end
	Own        []string           `json:"own,omitempty"`        // directories that may be removed
	Keep       uint64             `json:"keep,omitempty"`       // capabilities that a broker keeps
}

// arrayShape is a map without its content.
type arrayShape struct {
	Type       ebpf.MapType `json:"type"`
	KeySize    uint32       `json:"keySize"`
	ValueSize  uint32       `json:"valueSize"`
	MaxEntries uint32       `json:"maxEntries"`
	Flags      uint32       `json:"flags"`
}

// A kernelLog is a file of the kernel that takes lines.
type kernelLog int

const (
	kernelMessages kernelLog = iota // printk()
	traceMarker                     // trace()
)

var kernelLogs = [...]string{kernelMessages: "/dev/kmsg", traceMarker: "/sys/kernel/tracing/trace_marker"}

// local has the rights of this process.
type local struct {
	mu      sync.Mutex
	may     setUp
	sealed  bool
	outputs []string // that were made
	log     struct {
		started func()
		ended   func(int, error)
	}
	once sync.Once
}

func newLocal(record Record, data []byte) *local {
	l := &local{}
	if record != nil {
		l.log.started, l.log.ended = record(data)
	}
	return l
}

var errSealed = errors.New("the run has begun")

func (l *local) setUp(u setUp) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sealed {
		return errSealed
	}
	l.may.System = l.may.System || u.System
	l.may.Background = l.may.Background || u.Background
	l.may.Remove = append(l.may.Remove, u.Remove...)
	for g, a := range u.Arrays {
		if l.may.Arrays == nil {
			l.may.Arrays = map[int]arrayShape{}
		}
		l.may.Arrays[g] = a
	}
	l.may.Own = append(l.may.Own, u.Own...)
	l.may.Keep |= u.Keep
	if u.Output != "" {
		l.may.Output, l.may.Numbered = u.Output, u.Numbered
	}
	if u.Mount != "" {
		l.may.Mount = u.Mount
	}
	return nil
}

func (l *local) seal() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sealed = true
	sweep(FilesDir)
	return nil
}

func (l *local) mappings(pid int) (*os.File, string, error) {
	started := startTime(pid)
	if started == "" {
		if err := unix.Kill(pid, 0); pid > 0 && !errors.Is(err, unix.ESRCH) {
			return nil, "", fmt.Errorf("/proc hides process %d (hidepid): %w", pid, unix.EACCES)
		}
		return nil, "", unix.ESRCH
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/maps", pid))
	return f, started, err
}

func (l *local) executable(pid int) (string, error) {
	return os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
}

// binary opens regular files that begin as ELF files do, and nothing else: who asks learns
// nothing but programs and libraries.
func (l *local) binary(path string) (*os.File, error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("%q is no absolute path", path)
	}
	f, err := openRegular(unix.AT_FDCWD, path, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var magic [4]byte
	if _, err := f.ReadAt(magic[:], 0); err != nil || string(magic[:]) != "\x7fELF" {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, errNotELF), f.Close())
	}
	return f, nil
}

var errNotELF = errors.New("not an ELF file")

// openRegular opens a regular file for reading. Nothing else is opened even for a
// moment, since opening a device or a pipe can have effects.
func openRegular(dir int, path string, resolve uint64) (*os.File, error) {
	at, err := unix.Openat2(dir, path, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: resolve})
	if err != nil {
		return nil, err
	}
	defer unix.Close(at)
	var st unix.Stat_t
	if err := unix.Fstat(at, &st); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, errors.New("not a regular file")
	}
	fd, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", at), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

// perfMap opens /tmp/perf-PID.map as the process sees it, or, if it has ended, as we
// do: a regular file of that very name, neither a link nor linked to.
func (l *local) perfMap(tgid int) (*os.File, error) {
	pid := ownPID(tgid)
	open := func(root string, pid int) (*os.File, error) {
		dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, err
		}
		defer unix.Close(dir)
		f, err := openRegular(dir, fmt.Sprintf("tmp/perf-%d.map", pid), unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_SYMLINKS)
		if err != nil {
			return nil, err
		}
		if st, err := f.Stat(); err != nil || st.Sys().(*syscall.Stat_t).Nlink != 1 {
			return nil, errors.Join(errors.New("the file has other names"), err, f.Close())
		}
		return f, nil
	}
	f, err := open(fmt.Sprintf("/proc/%d/root", tgid), pid)
	if err != nil {
		return open("/", pid)
	}
	return f, nil
}

func (l *local) kernelSymbols() (*os.File, error) { return os.Open("/proc/kallsyms") }

func (l *local) taskStack(tid int) ([]byte, error) {
	return os.ReadFile(fmt.Sprintf("/proc/%d/stack", tid))
}

func (l *local) kernelLog(which kernelLog) (*os.File, error) {
	if which < 0 || int(which) >= len(kernelLogs) {
		return nil, fmt.Errorf("there is no log %d", which)
	}
	return os.OpenFile(kernelLogs[which], os.O_WRONLY, 0)
}

// output makes a file whose name it finds itself. Links are followed only for the first, which
// somebody has named.
func (l *local) output(n int) (*os.File, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.may.Output == "" || n < 0 {
		return nil, errors.New("the run has no output file")
	}
	flags := os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	if n > 0 {
		flags |= unix.O_NOFOLLOW
	}
	f, err := os.OpenFile(outputName(l.may.Output, l.may.Numbered, n), flags, 0o666)
	if err == nil {
		l.outputs = append(l.outputs, f.Name())
	}
	return f, err
}

func (l *local) remove(path string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.outputs, path); i >= 0 {
		l.outputs = slices.Delete(l.outputs, i, i+1)
		return os.Remove(path)
	}
	if !slices.Contains(l.may.Own, path) {
		return fmt.Errorf("%s is not of this run", path)
	}
	return os.RemoveAll(path)
}

func (l *local) array(g int) (*ebpf.Map, error) {
	l.mu.Lock()
	a, ok := l.may.Arrays[g]
	l.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("the script has no array %d that is exchanged", g)
	}
	return ebpf.NewMap(&ebpf.MapSpec{Type: a.Type, KeySize: a.KeySize, ValueSize: a.ValueSize, MaxEntries: a.MaxEntries, Flags: a.Flags})
}

func (l *local) table(rows int) (*ebpf.Map, error) {
	if rows <= 0 {
		return nil, fmt.Errorf("a table of %d rows", rows)
	}
	const innerMap = 1 << 12 // BPF_F_INNER_MAP: tables of different sizes can be in one map
	return ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: ir.UnwindRowSize, MaxEntries: uint32(rows), Flags: innerMap})
}

func (l *local) peek() (*ebpf.Program, *ebpf.Map, error) { return newPeek() }

func (l *local) timing() (io.Closer, error) {
	return ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
}

func (l *local) command(cmd string, files [3]*os.File, watched bool, exiting func(pid int)) (command, error) {
	if !watched {
		exiting = nil
	}
	c, err := startChild(cmd, files[0], files[1], files[2], exiting)
	if err != nil {
		return nil, err
	}
	return c, nil
}

// system runs the command with the privileges of the user who ran the loader. Its
// status is nobody's business.
func (l *local) system(cmd string, stdout, stderr *os.File) error {
	l.mu.Lock()
	may := l.may.System
	l.mu.Unlock()
	if !may {
		return errors.New("it is not allowed here")
	}
	return runShell(cmd, stdout, stderr)
}

func runShell(cmd string, stdout, stderr io.Writer) error {
	sh := exec.Command("/bin/sh", "-c", cmd)
	sh.Stdout, sh.Stderr = stdout, stderr
	sh.SysProcAttr = &syscall.SysProcAttr{Credential: invoker(os.Getenv)}
	err := sh.Run()
	if _, ok := err.(*exec.ExitError); ok {
		return nil
	}
	return err
}

func (l *local) started() {
	if l.log.started != nil {
		l.log.started()
	}
}

// ended logs the first end that it is told of.
func (l *local) ended(status int, err error) {
	l.mu.Lock()
	log := l.log.ended
	l.log.ended = nil
	l.mu.Unlock()
	if log != nil {
		log(status, err)
	}
}

func (l *local) lost() <-chan struct{} { return nil }

func (l *local) close() {
	l.once.Do(func() {
		if l.may.Mount != "" {
			// An error leaves an empty directory or a broken mount, which the next
			// run clears away.
			_ = unix.Unmount(l.may.Mount, unix.MNT_DETACH)
			_ = os.Remove(l.may.Mount)
		}
		for _, path := range l.may.Remove {
			_ = os.Remove(path) // it may be gone
		}
	})
}

// readMaps reads the executable mappings of a process, and when it started.
func readMaps(r rights, pid int) (list []mapping, started string, err error) {
	f, started, err := r.mappings(pid)
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	list, err = parseMappings(f)
	return list, started, err
}
