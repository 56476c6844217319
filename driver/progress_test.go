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
	var d detail
	text := func() string { return d.add("Pass 2") }
	tellTime(&b, text, time.Hour)()
	if b.Len() > 0 {
		t.Errorf("told of what took no time: %q", b.String())
	}
	told := make(chan string, 100)
	kernel, program := d.reading("the kernel"), d.reading("ls")
	program()
	done := tellTime(writerFunc(func(p []byte) (int, error) { told <- string(p); return len(p), nil }), text, 0)
	if got := <-told; !strings.HasPrefix(got, "\rPass 2: reading debug information of the kernel … ") {
		t.Errorf("told %q", got)
	}
	done()
	kernel()
	if got := text(); got != "Pass 2" {
		t.Errorf("nothing is read any more, and told is %q", got)
	}
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
