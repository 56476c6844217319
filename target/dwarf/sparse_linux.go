package dwarf

import "golang.org/x/sys/unix"

// sparse makes room of which only the pages that are touched take memory. It is no part of
// Go's heap, which the collector would let grow to twice this size. Huge pages would have
// one byte take 2 MB.
func sparse(size uint64) []byte {
	b, err := unix.Mmap(-1, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return make([]byte, size)
	}
	_ = unix.Madvise(b, unix.MADV_NOHUGEPAGE) // kernels without huge pages do not know it
	return b
}

// release gives the memory of sparse back. The room stays, filled with zeros, for who may
// still look into it.
func release(b []byte) {
	if len(b) > 0 {
		_ = unix.Madvise(b, unix.MADV_DONTNEED)
	}
}
