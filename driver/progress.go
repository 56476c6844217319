package driver

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// progressAfter is how long a pass may take before somebody who waits is told.
const progressAfter = time.Second

// progress tells on a terminal what takes so long until the function that it gives is
// called. In pipes and with -q nothing is told.
func (s *stap) progress(what string) (done func()) {
	if s.o.Quiet || asTerminal(s.stderr) == nil {
		return func() {}
	}
	return tellTime(s.stderr, func() string { return s.detail.add(what) }, progressAfter)
}

// detail is what a pass is busy with for a while: reading debugging information for the
// first time, say. Several things may be read at the same time.
type detail struct {
	mu   sync.Mutex
	list []string
}

// begin says what is being done until the function that it gives is called.
func (d *detail) begin(what string) (done func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.list = append(d.list, what)
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if i := slices.Index(d.list, what); i >= 0 {
			d.list = slices.Delete(d.list, i, i+1)
		}
	}
}

// reading is for sema.Binaries.
func (d *detail) reading(name string) (done func()) {
	return d.begin("reading debug information of " + name)
}

// add puts what was begun last behind the name of the pass.
func (d *detail) add(what string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := len(d.list); n > 0 {
		what += ": " + d.list[n-1]
	}
	return what
}

// tellTime writes every second into one line how long something has taken, beginning
// after a while, and removes the line at the end.
func tellTime(w io.Writer, what func() string, after time.Duration) (done func()) {
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
				fmt.Fprintf(w, "\r%s … %d s\x1b[K", what(), int(time.Since(start).Seconds()))
				t.Reset(time.Second)
			}
		}
	})
	return func() { close(end); wait.Wait() }
}
