//go:build linux

package loader

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path"
	"slices"
	"sync"
	"time"

	"stapkit/feed"
	"stapkit/ir"
	"stapkit/ir/interp"
)

var emptyStat interp.Stat

// watchers are the programs that watch the run by its socket. Their requests are
// answered where handlers run, between these.
type watchers struct {
	asks     chan watchAsk
	listener *net.UnixListener
	done     chan struct{}
	once     sync.Once

	mu    sync.Mutex
	conns map[net.Conn]bool
}

type watchAsk struct {
	request feed.Request
	reply   chan<- any
}

// Bounds of what watchers may do: whoever floods the socket must not keep the script
// from running.
const (
	maxWatchers   = 64
	maxRequest    = 64 << 10
	watchInterval = 100 * time.Millisecond // the shortest
	watchWrite    = 10 * time.Second       // how long a watcher may not read
)

// checkSocket refuses a socket on which another run listens.
func checkSocket(name string) error {
	if name == "" {
		return nil
	}
	if conn, err := net.Dial("unix", name); err == nil {
		return errors.Join(fmt.Errorf("the socket %s is another run's", name), conn.Close())
	}
	return nil
}

// openSocket begins to listen. Root and the group of this process may connect.
func (s *session) openSocket() error {
	s.watch.asks, s.watch.done = make(chan watchAsk), make(chan struct{})
	name := s.opt.Socket
	if name == "" {
		return nil
	}
	if err := os.MkdirAll(path.Dir(name), 0o755); err != nil {
		return fmt.Errorf("the socket: %w", err)
	}
	// One that nobody listens on is left over.
	if st, err := os.Lstat(name); err == nil && st.Mode().Type() == os.ModeSocket {
		if err := os.Remove(name); err != nil {
			return fmt.Errorf("the socket: %w", err)
		}
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
	if err != nil {
		return fmt.Errorf("the socket: %w", err)
	}
	l.SetUnlinkOnClose(false)
	if err := os.Chmod(name, 0o660); err != nil {
		return errors.Join(fmt.Errorf("the socket: %w", err), l.Close())
	}
	s.watch.listener = l
	s.watch.conns = map[net.Conn]bool{}
	go s.accept(l)
	return nil
}

func (w *watchers) close() {
	w.once.Do(func() {
		if w.done != nil {
			close(w.done)
		}
		if w.listener != nil {
			// It is no longer needed, whatever becomes of it.
			_ = w.listener.Close()
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		for c := range w.conns {
			_ = c.Close()
		}
	})
}

func (s *session) accept(l *net.UnixListener) {
	for {
		conn, err := l.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(100 * time.Millisecond) // too many open files, say
			continue
		}
		s.watch.mu.Lock()
		full := len(s.watch.conns) >= maxWatchers
		if !full {
			s.watch.conns[conn] = true
		}
		s.watch.mu.Unlock()
		if full {
			_ = conn.Close()
			continue
		}
		go func() {
			s.converse(conn)
			s.watch.mu.Lock()
			delete(s.watch.conns, conn)
			s.watch.mu.Unlock()
			_ = conn.Close() // the other side is gone, or does not matter
		}()
	}
}

// converse answers one watcher.
func (s *session) converse(conn net.Conn) {
	send := func(m any) bool {
		b, err := feed.Append(nil, m)
		if err != nil || conn.SetWriteDeadline(time.Now().Add(watchWrite)) != nil {
			return false
		}
		_, err = conn.Write(b)
		return err == nil
	}
	hello := feed.Hello{Type: feed.TypeHello, Version: feed.Version, Script: s.p.Name, PID: os.Getpid(), Started: s.began, Files: []string{}}
	for i := range s.p.Probes {
		if name, _ := s.readable(i); name != "" && !slices.Contains(hello.Files, name) {
			hello.Files = append(hello.Files, name)
		}
	}
	if !send(&hello) {
		return
	}
	in := bufio.NewScanner(conn)
	in.Buffer(make([]byte, 4096), maxRequest)
	for in.Scan() {
		var q feed.Request
		if err := json.Unmarshal(in.Bytes(), &q); err != nil {
			send(&feed.Failed{Type: feed.TypeFailed, Error: "no request: " + err.Error()})
			return
		}
		if q.Do != "watch" {
			if m, ok := s.request(q); !ok || !send(m) {
				return
			}
			continue
		}
		tick := time.NewTicker(max(time.Duration(q.Interval)*time.Millisecond, watchInterval))
		defer tick.Stop()
		for {
			if m, ok := s.request(feed.Request{Do: "snapshot"}); !ok || !send(m) {
				return
			}
			select {
			case <-tick.C:
			case <-s.watch.done:
				return
			}
		}
	}
}

// request has a request answered, false when the run has come to its end.
func (s *session) request(q feed.Request) (any, bool) {
	reply := make(chan any, 1)
	select {
	case s.watch.asks <- watchAsk{q, reply}:
	case <-s.watch.done:
		return nil, false
	}
	select {
	case m := <-reply:
		return m, true
	case <-s.watch.done:
		return nil, false
	}
}

// answer carries a request out.
func (s *session) answer(q feed.Request) any {
	var m any
	var err error
	switch q.Do {
	case "snapshot":
		m, err = s.snapshot()
	case "reset":
		m = &feed.Failed{Type: feed.TypeDone}
		err = s.reset(q.Global)
	case "file":
		m, err = s.readFile(q.Path)
	default:
		err = fmt.Errorf("%q is no request: use snapshot, watch, reset or file", q.Do)
	}
	if err != nil {
		return &feed.Failed{Type: feed.TypeFailed, Error: err.Error()}
	}
	return m
}

// readable is the file of a probe that somebody can read, with its handler.
func (s *session) readable(probe int) (name string, handler int) {
	p := &s.p.Probes[probe]
	if p.Family != ir.FamProcfs || len(p.Attach) == 0 || p.Attach[0].Write {
		return "", 0
	}
	if p.Attach[0].Target == "" {
		return "command", p.Attach[0].Handler
	}
	return path.Clean(p.Attach[0].Target), p.Attach[0].Handler
}

// readFile is a read of a procfs probe's file.
func (s *session) readFile(name string) (*feed.File, error) {
	var handlers []int
	for i := range s.p.Probes {
		if n, h := s.readable(i); n != "" && n == name {
			handlers = append(handlers, h)
		}
	}
	if len(handlers) == 0 {
		return nil, fmt.Errorf("the script has no probe procfs(%q).read", name)
	}
	reply := make(chan string, 1)
	if err := s.serve(fileCall{handlers, "", reply}); err != nil {
		return nil, err
	}
	return &feed.File{Type: feed.TypeFile, Path: name, Text: <-reply}, nil
}

// reset empties a global. What kernel handlers add to an array at that moment may go
// with the rest, unless it is one that the script itself clears.
func (s *session) reset(name string) error {
	g := slices.IndexFunc(s.p.Globals, func(g ir.Global) bool { return g.Name == name && !g.Library })
	if g < 0 {
		return fmt.Errorf("the script has no global %q", name)
	}
	gl := &s.p.Globals[g]
	if gl.Share == ir.LoaderOnly {
		if gl.IsArray() {
			return s.machine.Store().Clear(g)
		}
		return s.machine.Store().Delete(g, nil)
	}
	if !s.env.shared {
		return s.mem.Clear(g)
	}
	k := s.kernel
	switch {
	case gl.IsArray() && s.gens[g] != nil:
		gen := s.gens[g]
		err := gen.take(k, s.mem)
		if err == nil {
			err = s.mem.Clear(g)
		}
		return errors.Join(err, gen.giveBack(k, s.mem))
	case gl.IsArray():
		kg := &k.globals[g]
		keys, _, n, err := readAll(kg.fd, kg.key.size, kg.stride*kg.parts, gl.MaxEntries)
		if err != nil {
			return kg.failed("reading", err)
		}
		return k.withLock(gl, func() error {
			for i := range n {
				// Another handler may have deleted it.
				_ = mapDelete(kg.fd, keys[i*kg.key.size:(i+1)*kg.key.size])
			}
			return nil
		})
	case gl.Value.Kind == ir.Int:
		return k.withLock(gl, func() error {
			k.blk.word(k.scalarWord(g)).Store(0)
			return nil
		})
	}
	// String and aggregate scalars lie in one element with all others: what is added to
	// one of these at that moment may be lost.
	sm := &k.strings
	if gl.Value.Kind == ir.Stat {
		sm = &k.stats
	}
	return k.withLock(gl, func() error {
		var key [4]byte
		if err := mapLookup(sm.fd, key[:], sm.buf); err != nil {
			return err
		}
		if gl.Value.Kind == ir.Stat {
			stride := len(sm.buf) / k.cpus
			for cpu := range k.cpus {
				(&emptyStat).Store(&gl.Stat, sm.buf[cpu*stride+sm.offs[g]:])
			}
		} else {
			sm.buf[sm.offs[g]] = 0
		}
		return mapUpdate(sm.fd, key[:], sm.buf, mapAny)
	})
}
