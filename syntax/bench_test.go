package syntax

import (
	"runtime"
	"testing"
	"time"

	"stapkit/internal/corpus"
)

// parseTapset parses every file of the library in the expanded view.
func parseTapset(tapset []corpus.File, lib *MacroSet) {
	for _, f := range tapset {
		opt := Options{Library: true, Target: hostX86, Macros: lib}
		if f.Macro {
			opt.Macros = nil
			ParseMacros(f.Path, f.Src, opt)
			continue
		}
		ParseFile(f.Path, f.Src, opt)
	}
}

// TestTapsetBudget: the whole library, lexed and parsed on one core, in under 0.1 s
// and under 100 MB allocated. The time is that of the best of many runs, since the
// machine may be busy.
func TestTapsetBudget(t *testing.T) {
	tapset, _, lib := loadCorpus(t)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	best := time.Hour
	var alloc uint64
	for i := 0; i < 40 && (i < 5 || best > 100*time.Millisecond); i++ {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		parseTapset(tapset, lib)
		best = min(best, time.Since(start))
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

// BenchmarkTapset lexes and parses SystemTap's whole tapset in the expanded view, as
// start-up would if nothing were cached.
func BenchmarkTapset(b *testing.B) {
	tapset, _, lib := loadCorpus(b)
	n := 0
	for _, f := range tapset {
		n += len(f.Src)
	}
	b.SetBytes(int64(n))
	b.ReportAllocs()
	for b.Loop() {
		parseTapset(tapset, lib)
	}
}

// BenchmarkTapsetSource is BenchmarkTapset in the source view.
func BenchmarkTapsetSource(b *testing.B) {
	tapset, _, lib := loadCorpus(b)
	b.ReportAllocs()
	for b.Loop() {
		for _, f := range tapset {
			ParseFile(f.Path, f.Src, Options{View: SourceView, Library: true, Macros: lib})
		}
	}
}

// BenchmarkLex lexes the tapset only.
func BenchmarkLex(b *testing.B) {
	tapset, _, _ := loadCorpus(b)
	b.ReportAllocs()
	for b.Loop() {
		for _, f := range tapset {
			opt := Options{View: SourceView}
			lexFile(f.Path, f.Src, &opt)
		}
	}
}
