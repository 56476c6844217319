package driver

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// TestProgress: what ends soon is not told of, what takes longer is, and its line is
// removed; nothing is told to what is no terminal.
func TestProgress(t *testing.T) {
	var b bytes.Buffer
	tellTime(&b, "reading", time.Hour)()
	if b.Len() > 0 {
		t.Errorf("told of what took no time: %q", b.String())
	}
	told := make(chan string, 100)
	done := tellTime(writerFunc(func(p []byte) (int, error) { told <- string(p); return len(p), nil }), "reading", 0)
	if got := <-told; !strings.HasPrefix(got, "\rreading … ") {
		t.Errorf("told %q", got)
	}
	done()
	last := ""
	for len(told) > 0 {
		last = <-told
	}
	if last != "\r\x1b[K" {
		t.Errorf("the line is not removed: %q", last)
	}
	s := &stap{o: &StapOptions{}, stderr: &b}
	s.progress("reading")()
	if b.Len() > 0 {
		t.Errorf("a pipe is told %q", b.String())
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
