//go:build !linux

package driver

import "context"

// execute is pass 5, which exists on Linux only.
func (s *stap) execute(context.Context, string, []byte) int { return s.elsewhere() }

type backgroundRun struct{}

// background is -F with -o, which runs the script: execute says why it does not.
func (s *stap) background([]string) (ended bool, status int) { return false, 0 }

// Broker does nothing where no script runs.
func Broker() {}
