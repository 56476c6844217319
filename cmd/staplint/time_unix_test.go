//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"stapkit/internal/corpus"
)

// TestTime: the examples are linted in less than two seconds, and one file in less than 50
// milliseconds, on two processors. What is measured is the processors' time, since the machine
// may have other things to do.
func TestTime(t *testing.T) {
	if _, err := os.Stat(corpus.ExamplesDir); err != nil {
		t.Skip("the package systemtap-doc is not installed")
	}
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	measure := func(limit time.Duration, args ...string) {
		best := time.Hour
		for range 4 {
			var out, errs strings.Builder
			start := used()
			if code := run(append(args, "--format=gcc"), strings.NewReader(""), &out, &errs); code > 1 {
				t.Fatalf("code %d: %s", code, errs.String())
			}
			best = min(best, used()-start)
			if best < limit {
				break
			}
		}
		t.Logf("%v: %v", args, best)
		if best > limit {
			t.Errorf("%v took %v, more than %v", args, best, limit)
		}
	}
	measure(2*time.Second, corpus.ExamplesDir)
	measure(50*time.Millisecond, filepath.Join(corpus.ExamplesDir, "io", "iotop.stp"))
}
