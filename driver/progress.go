package driver

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// progressAfter is how long a pass may take before somebody who waits is told.
const progressAfter = time.Second

// progress tells on a terminal what takes so long, such as reading debugging
// information for the first time, until the function that it gives is called. In pipes
// and with -q nothing is told.
func (s *stap) progress(what string) (done func()) {
	if s.o.Quiet || asTerminal(s.stderr) == nil {
		return func() {}
	}
	return tellTime(s.stderr, what, progressAfter)
}

// tellTime writes every second into one line how long something has taken, beginning
// after a while, and removes the line at the end.
func tellTime(w io.Writer, what string, after time.Duration) (done func()) {
	start, end := time.Now(), make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		told := false
		t := time.NewTimer(after)
		defer t.Stop()
		for {
			select {
			case <-end:
				if told {
					fmt.Fprint(w, "\r\x1b[K")
				}
				return
			case <-t.C:
				told = true
				fmt.Fprintf(w, "\r%s … %d s\x1b[K", what, int(time.Since(start).Seconds()))
				t.Reset(time.Second)
			}
		}
	})
	return func() { close(end); wait.Wait() }
}
