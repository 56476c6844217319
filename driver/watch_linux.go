package driver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"

	loader "stapkit/runtime"
)

// ownGroup keeps signals of the terminal from a command.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// replay is --replay.
func (s *stap) replay(ctx context.Context) int {
	o := s.o
	lines := s.lineReader()
	defer lines.close()
	return s.failed(loader.Replay(ctx, o.Replay, loader.Options{
		Lines: lines.line, KernelLines: lines.kernelLine, Stdout: s.stdout, Stderr: s.stderr, Output: o.Output, Rotation: o.Rotation,
		NoWarnings: o.NoWarnings, JSON: o.OutputFormat == "json", Stacks: o.Stacks,
	}))
}

// monitor has stapmon show the run: it asks for the state at a socket, and gets what the
// script prints. When it ends, the run does, and the other way round.
type monitor struct {
	s    *stap
	dir  string
	out  *os.File // the script's output
	in   *os.File
	cmd  *exec.Cmd
	stop context.CancelFunc
	done chan error
	// started: the probes were active.
	started atomic.Bool
}

// startMonitor prepares the options of a run for it.
func (s *stap) startMonitor(ctx context.Context, opt *loader.Options) (context.Context, *monitor, error) {
	path, err := tool("stapmon")
	if err != nil {
		return ctx, nil, fmt.Errorf("--monitor: %w", err)
	}
	m := &monitor{s: s, done: make(chan error, 1)}
	if m.dir, err = os.MkdirTemp("", "stapmon"); err != nil {
		return ctx, nil, err
	}
	if m.in, m.out, err = os.Pipe(); err != nil {
		return ctx, nil, err
	}
	opt.Socket = filepath.Join(m.dir, "socket")
	// In this order, and by the run, which may have given up the right to.
	opt.Remove = append(opt.Remove, opt.Socket, m.dir)
	args := []string{"top", "--interval", strconv.FormatFloat(s.o.Monitor, 'f', -1, 64), "--output-fd", "3", opt.Socket}
	if opt.Output == "" {
		opt.Stdout = m.out
	}
	opt.Stderr = m.out
	ctx, m.stop = context.WithCancel(ctx)
	m.cmd = exec.Command(path, args...)
	m.cmd.Stdin, m.cmd.Stdout, m.cmd.Stderr, m.cmd.ExtraFiles = os.Stdin, os.Stdout, os.Stderr, []*os.File{m.in}
	opt.Started = func() { m.started.Store(true) }
	// Now: when the probes are active this process may start no others. It waits for
	// the socket.
	if err := m.cmd.Start(); err != nil {
		return ctx, nil, errors.Join(err, m.in.Close(), m.out.Close(), os.RemoveAll(m.dir))
	}
	go func() {
		m.done <- m.cmd.Wait()
		m.stop()
	}()
	return ctx, m, nil
}

// end waits for the monitor, and shows what it has not.
func (m *monitor) end() error {
	err := m.out.Close()
	if !m.started.Load() {
		// It waits for nothing. That it may have ended already is no matter.
		_ = m.cmd.Process.Kill()
		<-m.done
	} else if werr := <-m.done; err == nil {
		err = werr
	}
	if cerr := m.in.Close(); err == nil {
		err = cerr
	}
	if _, serr := os.Stat(m.dir); serr == nil { // the run did not come about
		if rerr := os.RemoveAll(m.dir); err == nil {
			err = rerr
		}
	}
	m.stop()
	return err
}
