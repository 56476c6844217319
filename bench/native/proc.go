//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// outcome is what a process took.
type outcome struct {
	armed time.Duration // until it, or a child of it, printed the line "armed"
	total time.Duration
	cpu   time.Duration // of it and the children that it waited for
	rss   float64       // most resident memory, megabytes
	out   string        // standard output, the first megabyte
	err   string        // standard error
}

// patience is how long any command may take before it is interrupted.
const patience = 90 * time.Second

// exec runs a command to its end.
func (b *bench) exec(args ...string) (*outcome, error) { return b.execWith(nil, args...) }

// execWith runs a command with additional variables in its environment.
func (b *bench) execWith(env []string, args ...string) (*outcome, error) {
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir, cmd.Env = b.dir, append(os.Environ(), env...)
	// Programs are released in peace: a kernel may not survive a crowd of them dying.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 40 * time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	cmd.Stdout = w
	began := time.Now()
	err = cmd.Start()
	_ = w.Close() // ours; the process has its own
	if err != nil {
		return nil, err
	}
	o := &outcome{}
	read := make(chan struct{})
	go func() {
		defer close(read)
		in := bufio.NewReader(r)
		var out strings.Builder
		for {
			line, err := in.ReadString('\n')
			if o.armed == 0 && line == "armed\n" {
				o.armed = time.Since(began)
			}
			if out.Len() < 1<<20 {
				out.WriteString(line)
			}
			if err != nil {
				break
			}
		}
		o.out = out.String()
	}()
	err = cmd.Wait()
	o.total = time.Since(began)
	<-read
	o.err = stderr.String()
	if s := cmd.ProcessState; s != nil {
		o.cpu = s.UserTime() + s.SystemTime()
		if u, ok := s.SysUsage().(*syscall.Rusage); ok {
			o.rss = float64(u.Maxrss) / 1024
		}
	}
	if err != nil {
		tail := o.err + o.out
		if len(tail) > 200 {
			tail = tail[len(tail)-200:]
		}
		return o, fmt.Errorf("%w: %s", err, tail)
	}
	return o, nil
}
