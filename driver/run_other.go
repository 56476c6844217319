//go:build !linux

package driver

import (
	"context"
	"errors"
)

// execute is pass 5, which exists on Linux only.
func (s *stap) execute(context.Context, *Compiled) int {
	return s.fail(errors.New("pass 5 runs on Linux only; use -p4 and run the bundle with staprun on a Linux host"))
}
