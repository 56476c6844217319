//go:build unix

package driver

import (
	"os"
	"os/signal"
	"syscall"
)

// onResize calls f when the terminal has another size, until end is called.
func onResize(f func()) (end func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGWINCH)
	go func() {
		for range c {
			f()
		}
	}()
	return func() {
		signal.Stop(c)
		close(c)
	}
}
