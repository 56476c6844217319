//go:build !linux

package driver

import (
	"context"
	"errors"
	"os/exec"
)

// ownGroup keeps signals of the terminal from a command, where there is a way to.
func ownGroup(*exec.Cmd) {}

// replay is --replay.
func (s *stap) replay(context.Context) int {
	return s.fail(errors.New("--replay runs on Linux only"))
}
