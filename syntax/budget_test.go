//go:build unix

package syntax

import (
	"runtime"
	"syscall"
	"testing"
	"time"
)

// cpuTime is the processor time that the process has spent.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestTapsetBudget: the whole library, lexed and parsed on one core, in under 0.1 s
// and under 100 MB allocated. The time is that which the processor spent, collecting
// garbage included, in the best of many runs, since the machine may be busy.
func TestTapsetBudget(t *testing.T) {
	tapset, _, lib := loadCorpus(t)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	best := time.Hour
	var alloc uint64
	for i := 0; i < 40 && (i < 5 || best > 100*time.Millisecond); i++ {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := cpuTime(t)
		parseTapset(tapset, lib)
		best = min(best, cpuTime(t)-start)
		runtime.ReadMemStats(&after)
		alloc = after.TotalAlloc - before.TotalAlloc
	}
	t.Logf("%d files: %v, %.1f MB allocated", len(tapset), best, float64(alloc)/1e6)
	if best > 100*time.Millisecond && !raceEnabled {
		t.Errorf("took %v, want less than 0.1 s", best)
	}
	if alloc > 100e6 {
		t.Errorf("allocated %d bytes, want less than 100 MB", alloc)
	}
}
