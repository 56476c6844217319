package driver

import (
	"context"
	"fmt"
	"time"

	"stapkit/ir"
	loader "stapkit/runtime"
	"stapkit/target/elf"
)

// backgroundRun is the side of a run that goes on in the background.
type backgroundRun = *loader.Background

// execute is pass 5.
func (s *stap) execute(ctx context.Context, c *Compiled) int {
	o := s.o
	if o.Verbose > 0 {
		fmt.Fprintln(s.stderr, "Pass 5: starting run.")
	}
	start := time.Now()
	lines := &lineReader{search: &elf.Search{}}
	defer lines.close()
	opt := loader.Options{
		Lines:   lines.line,
		Verbose: o.Verbose, Stdout: s.stdout, Stderr: s.stderr, Output: o.Output, Command: o.Command, PID: o.PID,
		Timeout: o.Timeout, BufferMB: o.BufferMB, NoWarnings: o.NoWarnings, Timing: o.Timing,
		SuppressErrors: o.SuppressErrors, NoGlobalDisplay: o.NoGlobalDisplay, Signals: true, AllowSystem: true,
		Name: traceName, Namespaces: o.Namespaces,
	}
	opt.Rotation = o.Rotation
	switch {
	case o.Background && o.Output != "":
		opt.Background = true
		opt.Started = s.back.Ready
	case o.Background:
		b, err := s.f.Bundle(c, []*Compiled{c})
		if err != nil {
			return s.fail(err)
		}
		opt.Pin, opt.PinBundle, opt.Leave = c.Name, b, true
	}
	if err := rename(traceName); err != nil && o.Verbose > 0 {
		// Without /proc, say. The script runs all the same.
		fmt.Fprintf(s.stderr, "WARNING: %v\n", err)
	}
	// What runs is what a bundle of the script would hold, no more.
	p, err := ir.Decode(c.Encoded)
	status := 1
	if err == nil {
		status, err = loader.Run(ctx, loader.Image{Program: p, ELF: c.ELF}, opt)
	}
	if err != nil {
		fmt.Fprintf(s.stderr, "ERROR: %v\n", err)
		status = 1
	}
	s.pass(start, "Pass 5: run completed")
	if status != 0 {
		fmt.Fprintln(s.stderr, "Pass 5: run failed.")
		if status < 0 || status > 255 {
			status = 1
		}
	}
	return status
}

// background has the run go on in another process. It reports whether this process has
// done its part then, and its exit status.
func (s *stap) background(args []string) (ended bool, status int) {
	back, pid, status, err := loader.Daemon(args, "")
	switch {
	case err != nil:
		return true, s.fail(err)
	case pid != 0:
		fmt.Fprintln(s.stdout, pid)
		return true, 0
	case back == nil:
		return true, status
	}
	s.back = back
	return false, 0
}
