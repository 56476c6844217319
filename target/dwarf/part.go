package dwarf

import (
	"bytes"
	"encoding/binary"
	"io"
	"sync"
	"sync/atomic"
)

// A part is the content of a debug section. That of a large one is read piece by piece,
// as it is asked for: the memory of the others is never touched, and so not given by the
// system.
type part struct {
	data []byte
	r    io.ReaderAt     // nil: all is there
	mu   sync.Mutex      // held while a piece is read
	have []atomic.Uint32 // by piece; 1: it is there
}

// pieceSize is how much is read at once. It is also the most that need promises for
// lengths that nothing tells beforehand, such as that of an entry of a list.
const pieceSize = 1 << 16

// lazyPart makes a part that is read from r.
func lazyPart(r io.ReaderAt, size uint64) *part {
	return &part{data: sparse(size), r: r, have: make([]atomic.Uint32, (size+pieceSize-1)/pieceSize)}
}

// wholePart makes a part of bytes that are at hand.
func wholePart(data []byte) *part { return &part{data: data} }

// need brings in n bytes from off on, as far as there are so many. What cannot be read
// stays zero.
func (p *part) need(off, n uint64) {
	if p.r == nil || off >= uint64(len(p.data)) || n == 0 {
		return
	}
	n = min(n, uint64(len(p.data))-off)
	for i := off / pieceSize; i <= (off+n-1)/pieceSize; i++ {
		if p.have[i].Load() == 0 {
			p.piece(i)
		}
	}
}

func (p *part) piece(i uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.have[i].Load() != 0 {
		return
	}
	from := i * pieceSize
	to := min(from+pieceSize, uint64(len(p.data)))
	if n, err := p.r.ReadAt(p.data[from:to], int64(from)); err != nil {
		clear(p.data[from+uint64(n) : to])
	}
	p.have[i].Store(1)
}

// number reads entry i, of size bytes, of a table that begins at base.
func (p *part) number(base, i uint64, size int, bo binary.ByteOrder) (uint64, bool) {
	all := uint64(len(p.data))
	if i > all || base > all {
		return 0, false
	}
	off := base + i*uint64(size)
	p.need(off, uint64(size))
	c := cursor{data: p.data, bo: bo}
	c.skip(off)
	v := c.fixed(size)
	return v, !c.bad
}

// text gives the bytes from off on up to the next zero.
func (p *part) text(off uint64) []byte {
	for n := uint64(256); ; n *= 4 {
		if off >= uint64(len(p.data)) {
			return nil
		}
		end := min(off+n, uint64(len(p.data)))
		p.need(off, end-off)
		b := p.data[off:end]
		if i := bytes.IndexByte(b, 0); i >= 0 {
			return b[:i]
		}
		if end == uint64(len(p.data)) {
			return b
		}
	}
}
