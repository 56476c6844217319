//go:build unix

package rewrite

import (
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"stapkit/internal/corpus"
)

// TestTime: all of SystemTap's library and examples are formatted and checked in less than
// half a second on two processors. What is measured is the processors' time, since the
// machine may have other things to do.
func TestTime(t *testing.T) {
	if _, err := os.Stat(corpus.TapsetDir); err != nil {
		t.Skip("the package systemtap-common is not installed")
	}
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	best, wall := time.Hour, time.Hour
	for range 4 {
		from, start := used(), time.Now()
		var out strings.Builder
		code := Run(Options{Paths: []string{corpus.TapsetDir, corpus.ExamplesDir}, List: true, Jobs: 2, Stdout: &out, Stderr: io.Discard})
		if n := strings.Count(out.String(), "\n"); n < 600 || code == Clean {
			t.Fatalf("only %d files would change, code %d", n, code)
		}
		best, wall = min(best, used()-from), min(wall, time.Since(start))
	}
	t.Logf("%v of processor time, %v on the clock", best, wall)
	if limit := time.Second; best > limit {
		t.Errorf("%v of processor time, want %v: half a second on two", best, limit)
	}
}
