//go:build linux

package loader

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// The broker keeps privileges for a run whose other process has given its own up. It is this
// program once more, with a socket in place of arguments; messages are JSON, one in a
// packet, files go beside them. What may be asked for is in request, and is judged by
// the methods of local. When the socket closes, however that came about, it takes away
// what the run would leave behind, and ends.

// brokerName is the name by which a broker is started; nothing but descriptor 3 matters then.
const brokerName = "staprun-broker"

// maxMessage bounds a message.
const maxMessage = 128 << 10

type op string

const (
	opSetUp         op = "set up"
	opSeal          op = "seal"
	opMappings      op = "mappings"
	opExecutable    op = "executable"
	opBinary        op = "binary"
	opPerfMap       op = "perf map"
	opKernelSymbols op = "kernel symbols"
	opTaskStack     op = "task stack"
	opKernelLog     op = "kernel log"
	opOutput        op = "output"
	opRemove        op = "remove"
	opArray         op = "array"
	opTable         op = "table"
	opPeek          op = "peek"
	opTiming        op = "timing"
	opTimed         op = "timed"
	opCommand       op = "command"
	opStart         op = "start"
	opStop          op = "stop"
	opSeen          op = "seen"
	opSystem        op = "system"
	opStarted       op = "started"
	opEnded         op = "ended"

	// Told by the broker on its own.
	opExiting op = "exiting"
	opGone    op = "gone"
)

// request is what the broker is asked for.
type request struct {
	ID    uint64 `json:"id"`
	Op    op     `json:"op"`
	N     int    `json:"n,omitempty"`    // a process, a thread, an array, a number of rows, a status
	Flag  bool   `json:"flag,omitempty"` // whether a command is watched, or has been started
	Text  string `json:"text,omitempty"` // a path, a command, an error
	SetUp *setUp `json:"setUp,omitempty"`
}

// reply is the answer to the request of that ID, or, without one, what the broker tells.
type reply struct {
	ID    uint64 `json:"id,omitempty"`
	Op    op     `json:"op,omitempty"`
	N     int    `json:"n,omitempty"`
	Text  string `json:"text,omitempty"`
	Error string `json:"error,omitempty"`
	Errno int    `json:"errno,omitempty"` // of Error
}

// brokerable: main has called Broker.
var brokerable bool

// Broker is called first thing in main. In a process that a run has started as its broker it
// does not return. record makes the log of runs.
func Broker(record Record) {
	if len(os.Args) == 0 || os.Args[0] != brokerName {
		brokerable = true
		return
	}
	if err := serveBroker(record); err != nil {
		fmt.Fprintf(os.Stderr, "ERROR: the broker of the run: %v\n", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// CanSeparate reports whether runs of this program can have a broker.
func CanSeparate() bool { return brokerable }

type broker struct {
	*local
	conn  *net.UnixConn
	write sync.Mutex
	slots chan struct{} // bounds what is done at a time
	seen  chan struct{}

	mu    sync.Mutex
	child command
	runs  bool // the child has been let go
	timed io.Closer
}

func serveBroker(record Record) error {
	// The terminal's signals are meant for the run, and its end is ours. They are caught,
	// not ignored, since the process of -c would inherit that.
	signal.Notify(make(chan os.Signal, 1), unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGPIPE)
	// The name is for people: without it all works.
	_ = os.WriteFile("/proc/self/comm", []byte(brokerName), 0)
	unix.CloseOnExec(3)
	conn, err := socketOf(os.NewFile(3, "broker"))
	if err != nil {
		return err
	}
	b := &broker{conn: conn, slots: make(chan struct{}, 32), seen: make(chan struct{}, 1)}
	data := make([]byte, maxMessage)
	n, _, err := receive(conn, data)
	if err != nil {
		return err
	}
	b.local = newLocal(record, append([]byte(nil), data[:n]...))
	for {
		n, files, err := receive(conn, data)
		if err != nil {
			break // the other process has ended
		}
		var q request
		if err := json.Unmarshal(data[:n], &q); err != nil {
			closeFiles(files)
			break // it talks nonsense: the end
		}
		b.slots <- struct{}{}
		go func() {
			defer func() { <-b.slots }()
			r, out := b.do(&q, files)
			closeFiles(files)
			r.ID = q.ID
			b.send(r, out)
		}()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.child != nil && !b.runs {
		b.child.stop(false)
	}
	// If it has told of the end itself, this is one too many and goes nowhere.
	b.local.ended(StatusError, errors.New("the process that printed was killed"))
	b.local.close()
	return nil
}

// send sends a message and closes the files with it.
func (b *broker) send(r reply, files []*os.File) {
	b.write.Lock()
	defer b.write.Unlock()
	// An error means that the other process has ended, which the reader notices.
	_ = transmit(b.conn, r, files)
	closeFiles(files)
}

// do carries out one request.
func (b *broker) do(q *request, files []*os.File) (reply, []*os.File) {
	var r reply
	var out []*os.File
	var f *os.File
	var err error
	switch q.Op {
	case opSetUp:
		if q.SetUp == nil {
			err = errors.New("nothing to set up")
			break
		}
		err = b.local.setUp(*q.SetUp)
	case opSeal:
		if err = b.local.seal(); err == nil {
			err = shrink(b.local.may.Keep, b.local.may.System)
		}
	case opMappings:
		f, r.Text, err = b.local.mappings(q.N)
	case opExecutable:
		r.Text, err = b.local.executable(q.N)
	case opBinary:
		f, err = b.local.binary(q.Text)
	case opPerfMap:
		f, err = b.local.perfMap(q.N)
	case opKernelSymbols:
		f, err = b.local.kernelSymbols()
	case opTaskStack:
		var text []byte
		text, err = b.local.taskStack(q.N)
		r.Text = string(text[:min(len(text), maxMessage/2)])
	case opKernelLog:
		f, err = b.local.kernelLog(kernelLog(q.N))
	case opOutput:
		if f, err = b.local.output(q.N); err == nil {
			r.Text = f.Name()
		}
	case opRemove:
		err = b.local.remove(q.Text)
	case opArray:
		m, merr := b.local.array(q.N)
		if err = merr; err == nil {
			f, err = ownFile(m.FD(), "map")
			m.Close()
		}
	case opTable:
		m, merr := b.local.table(q.N)
		if err = merr; err == nil {
			f, err = ownFile(m.FD(), "map")
			m.Close()
		}
	case opPeek:
		p, m, perr := b.local.peek()
		if err = perr; err != nil {
			break
		}
		pf, err1 := ownFile(p.FD(), "program")
		mf, err2 := ownFile(m.FD(), "map")
		p.Close()
		m.Close()
		if err = errors.Join(err1, err2); err == nil {
			out = []*os.File{pf, mf}
		}
	case opTiming, opTimed:
		err = b.timing(q.Op == opTiming)
	case opCommand:
		r.N, err = b.command(q, files)
	case opStart, opStop:
		err = b.control(q)
	case opSeen:
		select {
		case b.seen <- struct{}{}:
		default:
		}
	case opSystem:
		if len(files) != 2 {
			err = errors.New("a command needs two files")
			break
		}
		err = b.local.system(q.Text, files[0], files[1])
	case opStarted:
		b.local.started()
		if b.local.may.Background {
			// Whoever waits for the end of our standard error waits no longer.
			err = unix.Dup3(0, 2, 0)
		}
	case opEnded:
		var cause error
		if q.Text != "" {
			cause = errors.New(q.Text)
		}
		b.local.ended(q.N, cause)
	default:
		err = fmt.Errorf("request %q is unknown", q.Op)
	}
	if err != nil {
		r.Error = err.Error()
		var no unix.Errno
		if errors.As(err, &no) {
			r.Errno = int(no)
		}
	} else if f != nil {
		out = []*os.File{f}
	}
	return r, out
}

func (b *broker) timing(on bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.timed != nil {
		err := b.timed.Close()
		b.timed = nil
		if err != nil {
			return err
		}
	}
	if !on {
		return nil
	}
	c, err := b.local.timing()
	b.timed = c
	return err
}

// command makes the process of -c. There is one, and it is known before the run begins.
func (b *broker) command(q *request, files []*os.File) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.local.mu.Lock()
	sealed := b.local.sealed
	b.local.mu.Unlock()
	if sealed || b.child != nil {
		return 0, errSealed
	}
	if len(files) != 3 {
		return 0, errors.New("a command needs three files")
	}
	c, err := b.local.command(q.Text, [3]*os.File(files), q.Flag, b.exiting)
	if err != nil {
		return 0, err
	}
	b.child = c
	go func() {
		status := <-c.ended()
		b.send(reply{Op: opGone, N: int(status)}, nil)
	}()
	return c.number(), nil
}

// exitTime is how long a process that is about to end is held for its mappings to be
// looked at.
const exitTime = 2 * time.Second

// exiting tells that the process of -c is about to end, and waits until its
// mappings have been looked at.
func (b *broker) exiting(pid int) {
	select {
	case <-b.seen: // of an earlier one, too late
	default:
	}
	b.send(reply{Op: opExiting, N: pid}, nil)
	select {
	case <-b.seen:
	case <-time.After(exitTime):
	}
}

func (b *broker) control(q *request) error {
	b.mu.Lock()
	c, runs := b.child, b.runs
	b.runs = true
	b.mu.Unlock()
	switch {
	case c == nil:
		return errors.New("there is no command")
	case q.Op == opStop:
		c.stop(runs)
	case !runs:
		c.start()
	}
	return nil
}

// ownFile gives a file of its own to a descriptor.
func ownFile(fd int, name string) (*os.File, error) {
	n, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(n), name), nil
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		// They were passed on.
		_ = f.Close()
	}
}

// socketOf takes a socket over from a file.
func socketOf(f *os.File) (*net.UnixConn, error) {
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(errors.New("not a unix socket"), c.Close())
	}
	return u, nil
}

// maxFiles is how many files go with a message.
const maxFiles = 3

// transmit sends a message with files.
func transmit(c *net.UnixConn, m any, files []*os.File) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if len(data) > maxMessage {
		return unix.EMSGSIZE
	}
	var rights []byte
	if len(files) > 0 {
		fds := make([]int, len(files))
		for i, f := range files {
			fds[i] = int(f.Fd())
		}
		rights = unix.UnixRights(fds...)
	}
	_, _, err = c.WriteMsgUnix(data, rights, nil)
	return err
}

// receive reads a message and the files with it.
func receive(c *net.UnixConn, data []byte) (int, []*os.File, error) {
	space := make([]byte, unix.CmsgSpace(4*maxFiles))
	n, oob, flags, _, err := c.ReadMsgUnix(data, space)
	if err != nil {
		return 0, nil, err
	}
	if n == 0 {
		return 0, nil, io.EOF
	}
	var files []*os.File
	list, err := unix.ParseSocketControlMessage(space[:oob])
	for i := range list {
		fds, ferr := unix.ParseUnixRights(&list[i])
		if ferr != nil {
			continue
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "passed"))
		}
	}
	if err == nil && flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		err = unix.EMSGSIZE
	}
	if err != nil {
		closeFiles(files)
		return 0, nil, err
	}
	return n, files, nil
}
