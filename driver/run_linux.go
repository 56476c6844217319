package driver

import (
	"context"
	"fmt"
	"time"

	"stapkit/ir"
	loader "stapkit/runtime"
	"stapkit/target/elf"
)

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
