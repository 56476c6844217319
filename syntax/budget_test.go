package syntax

import (
	"runtime"
	"testing"
)

// TestTapsetBudget: the whole library, lexed and parsed, allocates under 100 MB. How
// long it takes is BenchmarkTapset's to say: a busy machine would fail an assertion.
func TestTapsetBudget(t *testing.T) {
	tapset, _, lib := loadCorpus(t)
	parseTapset(tapset, lib)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	parseTapset(tapset, lib)
	runtime.ReadMemStats(&after)
	alloc := after.TotalAlloc - before.TotalAlloc
	t.Logf("%d files: %.1f MB allocated", len(tapset), float64(alloc)/1e6)
	if alloc > 100e6 {
		t.Errorf("allocated %d bytes, want less than 100 MB", alloc)
	}
}
