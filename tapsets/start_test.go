package tapsets_test

import (
	"testing"

	"stapkit/driver"
)

// BenchmarkStart is what a small script costs until it is elaborated: the library's
// macros, and the files of the functions that it calls.
func BenchmarkStart(b *testing.B) {
	script := []byte(`probe begin { println(pid(), " ", execname(), " ", ctime(gettimeofday_s())) }`)
	for range b.N {
		f, err := driver.Parse(&driver.Config{Scripts: []driver.Script{{Name: driver.InputName, Text: script}}})
		if err != nil {
			b.Fatal(err)
		}
		if f.Elaborate(); driver.Failed(f.Diags, false) {
			b.Fatal(f.Diags)
		}
	}
}
