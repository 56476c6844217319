//go:build !linux

package dwarf

// sparse makes room of which only the pages that are touched take memory.
func sparse(size uint64) []byte { return make([]byte, size) }

// release gives the memory of sparse back, which the collector does here.
func release([]byte) {}
