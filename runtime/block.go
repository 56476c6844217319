//go:build linux

package loader

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"stapkit/ir"
)

// block is the session block: the state word, the counters, the lock words and
// the scalar numbers that loader and kernel share.
type block struct {
	mem    []byte // 8-aligned
	mapped bool
}

// newBlock makes a block of n bytes for a session without kernel programs.
func newBlock(n int) *block {
	words := make([]uint64, (n+7)/8+1)
	return &block{mem: unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), 8*len(words))}
}

// mapBlock maps the session map of a loaded object.
func mapBlock(m *ebpf.Map) (*block, error) {
	page := unix.Getpagesize()
	n := (int(m.ValueSize()) + page - 1) / page * page
	mem, err := unix.Mmap(m.FD(), 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("mapping the session block: %w", err)
	}
	return &block{mem: mem, mapped: true}, nil
}

func (b *block) close() error {
	if !b.mapped {
		return nil
	}
	mem := b.mem
	b.mem, b.mapped = nil, false
	return unix.Munmap(mem)
}

// word returns the word at byte offset off, a multiple of 8 within the block.
func (b *block) word(off int) *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Pointer(&b.mem[off : off+8 : off+8][0]))
}

func (b *block) state() ir.SessState { return ir.SessState(b.word(ir.SessOffState).Load()) }

// setState moves from state old to new; false if the state was another.
func (b *block) setState(old, new ir.SessState) bool {
	return b.word(ir.SessOffState).CompareAndSwap(uint64(old), uint64(new))
}

func (b *block) forceState(s ir.SessState) { b.word(ir.SessOffState).Store(uint64(s)) }

func (b *block) counter(c ir.Cause) *atomic.Uint64 { return b.word(ir.SessOffCounters + 8*int(c)) }

func (b *block) errors() *atomic.Uint64 { return b.word(ir.SessOffErrors) }

// addressOf is where memory lies.
func addressOf(mem []byte) uintptr { return uintptr(unsafe.Pointer(&mem[0])) }
