package driver

import (
	"context"
	"fmt"

	"stapkit/bundle"
	"stapkit/ir"
	loader "stapkit/runtime"
)

// backgroundRun is the side of a run that goes on in the background.
type backgroundRun = *loader.Background

// Broker is called first thing by programs that run scripts (see loader.Broker).
func Broker() { loader.Broker(nil) }

// execute is pass 5.
func (s *stap) execute(ctx context.Context, name string, b []byte) int {
	o := s.o
	if o.levels[5] > 0 {
		fmt.Fprintln(s.stderr, "Pass 5: starting run.")
	}
	start := s.begin()
	lines := s.lineReader()
	defer lines.close()
	opt := loader.Options{
		Lines: lines.line, KernelLines: lines.kernelLine,
		Verbose: o.levels[5], Stdout: s.stdout, Stderr: s.stderr, Output: o.Output, Command: o.Command, PID: o.PID,
		Timeout: o.Timeout, BufferMB: o.BufferMB, NoWarnings: o.NoWarnings, Timing: o.Timing,
		SuppressErrors: o.SuppressErrors, NoGlobalDisplay: o.NoGlobalDisplay, Signals: true, AllowSystem: true,
		Name: traceName, Namespaces: o.Namespaces, Mark: s.colors().Mark,
	}
	opt.Rotation, opt.JSON, opt.RecordTo, opt.Stacks = o.Rotation, o.OutputFormat == "json", o.Record, o.Stacks
	opt.Socket = o.Socket
	var mon *monitor
	switch {
	case o.Monitor > 0:
		var err error
		if ctx, mon, err = s.startMonitor(ctx, &opt); err != nil {
			return s.fail(err)
		}
	case o.Background && o.Output != "":
		opt.Background = true
		opt.Started = s.back.Ready
	case o.Background:
		opt.Pin, opt.PinBundle, opt.Leave = name, b, true
	}
	if err := rename(traceName); err != nil && o.levels[5] > 0 {
		// Without /proc, say. The script runs all the same.
		fmt.Fprint(s.stderr, s.mark(fmt.Sprintf("WARNING: %v\n", err)))
	}
	// What runs is what is in the bundle, no more.
	img, err := imageOf(b)
	status := 1
	if err == nil {
		// Source lines are read from debug information when they are asked for, which
		// who has no privileges may be unable to; at the prompt more runs follow.
		opt.Separate = loader.CanSeparate() && !o.Interactive && img.Program.TextSources()&ir.FromLines == 0
		status, err = loader.Run(ctx, img, opt)
	}
	if mon != nil {
		if merr := mon.end(); err == nil && merr != nil {
			err = fmt.Errorf("stapmon: %w", merr)
		}
	}
	if err != nil {
		fmt.Fprint(s.stderr, s.mark(fmt.Sprintf("ERROR: %v\n", err)))
		status = 1
	}
	if o.levels[5] > 0 {
		fmt.Fprintf(s.stderr, "Pass 5: run completed in %s.\n", start.since())
	}
	if status != 0 {
		s.passFailed(5)
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

// imageOf is the program of a bundle for one kernel.
func imageOf(b []byte) (loader.Image, error) {
	p, err := bundle.Parse(b)
	if err != nil {
		return loader.Image{}, err
	}
	list, err := p.Variants()
	if err != nil {
		return loader.Image{}, err
	}
	return loader.ImageOf(&list[0])
}
