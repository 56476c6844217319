package syntax

import (
	"sync"
	"testing"
)

// TestConcurrent: files are parsed and asked for places from many goroutines, sharing
// a macro library.
func TestConcurrent(t *testing.T) {
	lib := fuzzLib()
	src := []byte("probe begin {\n\tx = @choose_defined($a, $b) + )\n}\n")
	shared := ParseFile("shared.stp", src, Options{Macros: lib})
	var wg sync.WaitGroup
	for range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			f := ParseFile("own.stp", src, Options{Macros: lib})
			for _, file := range []*File{f, shared} {
				if len(file.Diags) != 1 || file.Diags[0].Range.Start.Line != 2 {
					t.Errorf("diagnostics %v", file.Diags)
				}
				file.Inspect(func(n Node) bool {
					if n != nil && !Range(n).IsValid() {
						t.Errorf("%T has no place", n)
					}
					return true
				})
			}
		}()
	}
	wg.Wait()
}
