package syntax

import (
	"testing"

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
