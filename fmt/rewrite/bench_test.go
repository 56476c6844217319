package rewrite

import (
	"io"
	"os"
	"strings"
	"testing"

	"stapkit/internal/corpus"
)

// BenchmarkCorpus formats and checks all of SystemTap's library and examples on two
// processors: less than half a second on a development machine.
func BenchmarkCorpus(b *testing.B) {
	if _, err := os.Stat(corpus.TapsetDir); err != nil {
		b.Skip("the package systemtap-common is not installed")
	}
	for b.Loop() {
		var out strings.Builder
		code := Run(Options{Paths: []string{corpus.TapsetDir, corpus.ExamplesDir}, List: true, Jobs: 2, Stdout: &out, Stderr: io.Discard})
		if n := strings.Count(out.String(), "\n"); n < 600 || code == Clean {
			b.Fatalf("only %d files would change, code %d", n, code)
		}
	}
}
