//go:build linux

package loader

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// client has the rights of a broker.
type client struct {
	conn    *net.UnixConn
	process *os.Process
	gone    chan struct{} // closed when the broker has ended

	mu      sync.Mutex
	last    uint64
	waiting map[uint64]chan answer
	child   *remoteCommand
}

type answer struct {
	reply
	files []*os.File
}

// newRights gives the rights of a run.
func newRights(o *Options) (rights, error) {
	if !o.Separate {
		return newLocal(o.Record, o.RecordData), nil
	}
	if !brokerable {
		return nil, errors.New("this program has no broker")
	}
	c, err := startBroker(o.RecordData)
	if err != nil {
		return nil, errorf(codeBroker, err, "the process that is to keep the privileges of this run cannot be started: %v", err)
	}
	return c, nil
}

func startBroker(data []byte) (*client, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "broker")
	defer theirs.Close()
	conn, err := socketOf(os.NewFile(uintptr(pair[0]), "broker"))
	if err != nil {
		return nil, err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	defer null.Close()
	caps, err := ambient()
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	p, err := os.StartProcess("/proc/self/exe", []string{brokerName}, &os.ProcAttr{
		Files: []*os.File{null, null, os.Stderr, theirs},
		Sys:   &syscall.SysProcAttr{AmbientCaps: caps},
	})
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	c := &client{conn: conn, process: p, gone: make(chan struct{}), waiting: map[uint64]chan answer{}}
	if len(data) == 0 {
		data = []byte("null")
	}
	if len(data) > maxMessage {
		return nil, errors.Join(unix.EMSGSIZE, conn.Close())
	}
	if _, err := conn.Write(data); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	go c.read()
	return c, nil
}

// read passes replies on until the broker has ended.
func (c *client) read() {
	data := make([]byte, maxMessage)
	for {
		n, files, err := receive(c.conn, data)
		if err != nil {
			break
		}
		var r reply
		if err := json.Unmarshal(data[:n], &r); err != nil {
			closeFiles(files)
			break
		}
		c.mu.Lock()
		w := c.waiting[r.ID]
		delete(c.waiting, r.ID)
		child := c.child
		c.mu.Unlock()
		switch {
		case w != nil:
			w <- answer{r, files}
			continue
		case r.Op == opGone && child != nil:
			child.done <- unix.WaitStatus(r.N)
		case r.Op == opExiting && child != nil:
			go func() {
				child.exiting(r.N)
				// Too late, it means nothing.
				_, _ = c.ask(request{Op: opSeen}, nil)
			}()
		}
		closeFiles(files)
	}
	close(c.gone)
}

// answerTime is how long an answer is waited for. Files can be on file systems that
// do not answer, and a run must not hang on them.
const answerTime = 20 * time.Second

var errNoBroker = errorf(codeBroker, nil, "the process that keeps the privileges of this run has ended")

// ask asks the broker, and waits for its answer.
func (c *client) ask(q request, files []*os.File) (answer, error) {
	w := make(chan answer, 1)
	c.mu.Lock()
	c.last++
	q.ID = c.last
	c.waiting[q.ID] = w
	err := transmit(c.conn, q, files)
	if err != nil {
		delete(c.waiting, q.ID)
	}
	c.mu.Unlock()
	if errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) {
		return answer{}, errNoBroker
	}
	if err != nil {
		return answer{}, err
	}
	var late <-chan time.Time
	if q.Op != opSystem && q.Op != opStop {
		t := time.NewTimer(answerTime)
		defer t.Stop()
		late = t.C
	}
	var a answer
	select {
	case a = <-w:
	case <-c.gone:
		return answer{}, errNoBroker
	case <-late:
		// The answer, if it ever comes, finds nobody, and its files are closed.
		c.mu.Lock()
		delete(c.waiting, q.ID)
		c.mu.Unlock()
		return answer{}, fmt.Errorf("%s %s: no answer", q.Op, q.Text)
	}
	if a.Error != "" {
		closeFiles(a.files)
		return answer{}, &brokerError{a.Error, unix.Errno(a.Errno)}
	}
	return a, nil
}

// brokerError is an error that happened in the broker.
type brokerError struct {
	text  string
	errno unix.Errno
}

func (e *brokerError) Error() string { return e.text }

func (e *brokerError) Unwrap() error {
	if e.errno == 0 {
		return nil
	}
	return e.errno
}

// file asks for a file.
func (c *client) file(q request) (*os.File, string, error) {
	a, err := c.ask(q, nil)
	if err != nil {
		return nil, "", err
	}
	if len(a.files) != 1 {
		closeFiles(a.files)
		return nil, "", fmt.Errorf("%s: %d files", q.Op, len(a.files))
	}
	return a.files[0], a.Text, nil
}

func (c *client) theMap(q request) (*ebpf.Map, error) {
	f, _, err := c.file(q)
	if err != nil {
		return nil, err
	}
	return mapOf(f)
}

// mapOf takes a map over from a file.
func mapOf(f *os.File) (*ebpf.Map, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return ebpf.NewMapFromFD(fd) // which owns it, come what may
}

func (c *client) setUp(u setUp) error {
	_, err := c.ask(request{Op: opSetUp, SetUp: &u}, nil)
	return err
}

func (c *client) seal() error {
	_, err := c.ask(request{Op: opSeal}, nil)
	return err
}

func (c *client) mappings(pid int) (*os.File, string, error) {
	return c.file(request{Op: opMappings, N: pid})
}

func (c *client) executable(pid int) (string, error) {
	a, err := c.ask(request{Op: opExecutable, N: pid}, nil)
	return a.Text, err
}

func (c *client) binary(path string) (*os.File, error) {
	f, _, err := c.file(request{Op: opBinary, Text: path})
	return f, err
}

func (c *client) perfMap(tgid int) (*os.File, error) {
	f, _, err := c.file(request{Op: opPerfMap, N: tgid})
	return f, err
}

func (c *client) kernelSymbols() (*os.File, error) {
	f, _, err := c.file(request{Op: opKernelSymbols})
	return f, err
}

func (c *client) taskStack(tid int) ([]byte, error) {
	a, err := c.ask(request{Op: opTaskStack, N: tid}, nil)
	return []byte(a.Text), err
}

func (c *client) kernelLog(which kernelLog) (*os.File, error) {
	f, _, err := c.file(request{Op: opKernelLog, N: int(which)})
	return f, err
}

func (c *client) output(n int) (*os.File, error) {
	f, name, err := c.file(request{Op: opOutput, N: n})
	if err != nil {
		return nil, err
	}
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

func (c *client) remove(path string) error {
	_, err := c.ask(request{Op: opRemove, Text: path}, nil)
	return err
}

func (c *client) array(g int) (*ebpf.Map, error) { return c.theMap(request{Op: opArray, N: g}) }

func (c *client) table(rows int) (*ebpf.Map, error) { return c.theMap(request{Op: opTable, N: rows}) }

func (c *client) peek() (*ebpf.Program, *ebpf.Map, error) {
	a, err := c.ask(request{Op: opPeek}, nil)
	if err != nil {
		return nil, nil, err
	}
	if len(a.files) != 2 {
		closeFiles(a.files)
		return nil, nil, fmt.Errorf("%s: %d files", opPeek, len(a.files))
	}
	m, err := mapOf(a.files[1])
	if err != nil {
		return nil, nil, errors.Join(err, a.files[0].Close())
	}
	fd, err := unix.FcntlInt(a.files[0].Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err = errors.Join(err, a.files[0].Close()); err != nil {
		m.Close()
		return nil, nil, err
	}
	p, err := ebpf.NewProgramFromFD(fd)
	if err != nil {
		m.Close()
		return nil, nil, err
	}
	return p, m, nil
}

// closer is a function that ends something.
type closer func() error

// Close calls it.
func (f closer) Close() error { return f() }

func (c *client) timing() (io.Closer, error) {
	if _, err := c.ask(request{Op: opTiming}, nil); err != nil {
		return nil, err
	}
	return closer(func() error {
		_, err := c.ask(request{Op: opTimed}, nil)
		return err
	}), nil
}

// remoteCommand is a process of -c whose parent is the broker.
type remoteCommand struct {
	c       *client
	pid     int
	done    chan unix.WaitStatus
	exiting func(pid int)
}

func (c *client) command(cmd string, files [3]*os.File, watched bool, exiting func(pid int)) (command, error) {
	r := &remoteCommand{c: c, done: make(chan unix.WaitStatus, 1), exiting: exiting}
	c.mu.Lock()
	c.child = r
	c.mu.Unlock()
	a, err := c.ask(request{Op: opCommand, Text: cmd, Flag: watched}, files[:])
	if err != nil {
		return nil, err
	}
	r.pid = a.N
	return r, nil
}

func (r *remoteCommand) number() int { return r.pid }

func (r *remoteCommand) ended() <-chan unix.WaitStatus { return r.done }

func (r *remoteCommand) start() {
	// Without the broker the run ends.
	_, _ = r.c.ask(request{Op: opStart}, nil)
}

func (r *remoteCommand) stop(bool) { _, _ = r.c.ask(request{Op: opStop}, nil) }

func (c *client) system(cmd string, stdout, stderr *os.File) error {
	_, err := c.ask(request{Op: opSystem, Text: cmd}, []*os.File{stdout, stderr})
	return err
}

func (c *client) started() {
	// Without the broker the run ends.
	_, _ = c.ask(request{Op: opStarted}, nil)
}

func (c *client) ended(status int, err error) {
	q := request{Op: opEnded, N: status}
	if err != nil {
		q.Text = err.Error()
		q.Text = q.Text[:min(len(q.Text), 4096)]
	}
	_, _ = c.ask(q, nil)
}

func (c *client) lost() <-chan struct{} { return c.gone }

// close lets the broker end, and waits for that.
func (c *client) close() {
	// It is how the broker learns of the end.
	_ = c.conn.Close()
	done := make(chan struct{})
	go func() {
		// However it ended.
		_, _ = c.process.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(answerTime):
	}
}
