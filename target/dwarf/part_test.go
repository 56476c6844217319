package dwarf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
)

// broken fails behind a place.
type broken struct {
	io.ReaderAt
	end int64
}

func (b broken) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) <= b.end {
		return b.ReaderAt.ReadAt(p, off)
	}
	n := 0
	if off < b.end {
		n, _ = b.ReaderAt.ReadAt(p[:b.end-off], off)
	}
	return n, errors.New("broken")
}

// TestPart: a section that is read piece by piece says what one says that is there, also to
// several who ask at once; what cannot be read is zero.
func TestPart(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, 3*pieceSize+1234)
	for i := range data {
		data[i] = byte(rnd.Uint32()) | 1
	}
	for i := 0; i < len(data); i += 1 + rnd.IntN(3000) {
		data[i] = 0
	}
	whole, lazy := wholePart(data), lazyPart(bytes.NewReader(data), uint64(len(data)))
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(3, uint64(w)))
			for range 300 {
				off := rnd.Uint64N(uint64(len(data)) + 10)
				if a, b := whole.text(off), lazy.text(off); !bytes.Equal(a, b) {
					t.Errorf("text at %d: %d and %d bytes", off, len(a), len(b))
				}
				a, ok1 := whole.number(off, 3, 8, binary.LittleEndian)
				b, ok2 := lazy.number(off, 3, 8, binary.LittleEndian)
				if a != b || ok1 != ok2 {
					t.Errorf("number at %d: %d %v, %d %v", off, a, ok1, b, ok2)
				}
				lazy.need(off, 5000)
				if end := min(off+5000, uint64(len(data))); off < end && !bytes.Equal(lazy.data[off:end], data[off:end]) {
					t.Errorf("bytes from %d differ", off)
				}
			}
		})
	}
	wg.Wait()
	const end = pieceSize + 100
	part := lazyPart(broken{bytes.NewReader(data), end}, uint64(len(data)))
	part.need(0, uint64(len(data)))
	if !bytes.Equal(part.data[:end], data[:end]) || len(bytes.Trim(part.data[end:], "\x00")) != 0 {
		t.Error("what cannot be read is not zero")
	}
	if _, ok := part.number(uint64(len(data)), 1, 8, binary.LittleEndian); ok {
		t.Error("a number behind the end")
	}
}
