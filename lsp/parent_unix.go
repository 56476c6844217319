//go:build unix

package lsp

import (
	"context"
	"syscall"
	"time"
)

// watchParent ends the server when the editor that started it is gone, since some
// leave their streams open.
func (s *server) watchParent(pid int) {
	if pid <= 0 {
		return
	}
	s.spawn("watch parent", func(ctx context.Context) {
		t := time.NewTicker(10 * time.Second)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
				if syscall.Kill(pid, 0) == syscall.ESRCH {
					s.logf("the editor is gone")
					s.exitOnce.Do(func() { close(s.exited) })
					return
				}
			}
		}
	})
}
