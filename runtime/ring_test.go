//go:build linux

package loader

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// TestRingWraps reads records of all lengths from a ring that they go around many times.
func TestRingWraps(t *testing.T) {
	const size = 128
	r := &ring{consumer: make([]byte, 8), producer: make([]byte, 8+size), mask: size - 1}
	r.data = r.producer[8:]
	pos := uint64(0)
	for n := range 5 * size {
		want := bytes.Repeat([]byte{byte(n + 1)}, n%(size-ringHeader-1))
		var header [ringHeader]byte
		binary.NativeEndian.PutUint32(header[:], uint32(len(want)))
		for i, b := range append(header[:], want...) {
			r.data[(pos+uint64(i))&r.mask] = b
		}
		pos += (ringHeader + uint64(len(want)) + 7) &^ 7
		binary.NativeEndian.PutUint64(r.producer, pos)
		got, end, busy, ok := r.next()
		if !ok || busy || end != pos || !bytes.Equal(got, want) {
			t.Fatalf("record %d of %d bytes at %d: %d bytes to %d, busy %v, ok %v", n, len(want), r.pos, len(got), end, busy, ok)
		}
		r.release(end)
	}
	if _, _, busy, ok := r.next(); ok || busy {
		t.Error("a record that there is not")
	}
}
