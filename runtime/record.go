package loader

import (
	"fmt"

	"stapkit/ir"
	"stapkit/ir/interp"
)

// A record is one invocation's output, as it came through the ring buffer.
type record struct {
	probe int
	ts    uint64
	cpu   int
	inv   uint32
	items []byte
}

// maxJoined bounds the output of one invocation, and maxPending how many
// invocations can be incomplete at once (a chunk of each CPU and nesting level).
const (
	maxJoined  = 16 << 20
	maxPending = 4096
)

// joiner puts records together that were sent in chunks.
type joiner struct {
	pending map[chunkKey]*joined
	// lost counts chunked records of which a part never came.
	lost int
}

type chunkKey struct{ cpu, inv uint32 }

type joined struct {
	next uint16
	data []byte
}

// record takes the data of one ring buffer record. ok is false if it is a part of
// an invocation's output whose end has not come yet. The items alias b for a
// record in one piece.
func (j *joiner) record(b []byte) (r record, ok bool, err error) {
	if len(b) < ir.RecHeader {
		return r, false, fmt.Errorf("record of %d bytes", len(b))
	}
	kind := native.Uint16(b)
	n := native.Uint32(b[4:])
	if uint64(n) > uint64(len(b)) || n < ir.RecHeader {
		return r, false, fmt.Errorf("record of %d bytes says it has %d", len(b), n)
	}
	r = record{
		probe: int(native.Uint16(b[2:])),
		ts:    native.Uint64(b[8:]),
		cpu:   int(native.Uint32(b[16:])),
		inv:   native.Uint32(b[20:]),
		items: b[ir.RecHeader:n],
	}
	switch kind {
	case ir.RecItems:
		return r, true, nil
	case ir.RecChunk:
	default:
		return r, false, fmt.Errorf("record of unknown kind %d", kind)
	}
	seq, last := native.Uint16(b[24:]), native.Uint16(b[26:]) != 0
	key := chunkKey{uint32(r.cpu), r.inv}
	p := j.pending[key]
	switch {
	case seq == 0:
		if p != nil {
			j.lost++ // an older invocation of the same number never ended
		}
		if len(j.pending) >= maxPending {
			j.lost += len(j.pending)
			clear(j.pending)
		}
		p = &joined{}
		if j.pending == nil {
			j.pending = make(map[chunkKey]*joined)
		}
		j.pending[key] = p
	case p == nil:
		return r, false, nil // its beginning was dropped, and counted where it was
	case p.next != seq:
		j.lost++
		delete(j.pending, key)
		return r, false, nil
	}
	p.next = seq + 1
	p.data = append(p.data, r.items...)
	if !last && len(p.data) < maxJoined {
		return r, false, nil
	}
	delete(j.pending, key)
	r.items = p.data
	return r, true, nil
}

// An item is one thing that a kernel handler sent.
type item struct {
	op   uint16
	aux  uint32
	args []byte
}

// nextItem cuts the first item off b.
func nextItem(b []byte) (it item, rest []byte, err error) {
	if len(b) < 8 {
		return it, nil, fmt.Errorf("item of %d bytes", len(b))
	}
	size := 8 * int(native.Uint16(b[2:]))
	if size < 8 || size > len(b) {
		return it, nil, fmt.Errorf("item of %d bytes in %d", size, len(b))
	}
	return item{op: native.Uint16(b), aux: native.Uint32(b[4:]), args: b[8:size]}, b[size:], nil
}

// textType is any string in an item.
var textType = []ir.Type{{Kind: ir.Str, Width: ir.MaxStrWidth}}

// takeArgs reads the arguments of format f.
func takeArgs(f *ir.Format, b []byte) ([]interp.Value, error) {
	vs, err := interp.TakeArgs(b, f.RecordArgs())
	if err != nil {
		return nil, fmt.Errorf("arguments of %q: %w", f.Text, err)
	}
	return vs, nil
}
