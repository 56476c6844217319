//go:build linux

package loader

import (
	"fmt"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ring reads a BPF ring buffer, without copying but what wraps. Only one goroutine may read at a
// time. Format of kernel/bpf/ringbuf.c: a page with the consumer's position, a
// page with the producer's, and the data. The kernel would map these twice in a row, so
// that no record wraps, but the second time costs as much resident memory as the first.
// A record is a header of 8 bytes {u32 length with two flag bits, u32 page offset} and
// its data, rounded up to 8.
type ring struct {
	fd       int
	consumer []byte // read-write page
	producer []byte // read-only: page and data
	data     []byte
	wrapped  []byte // the last record that wrapped
	mask     uint64
	pos      uint64 // consumer position
	epoll    int
	wake     int // eventfd that ends a wait
}

const (
	ringBusy    = 1 << 31
	ringDiscard = 1 << 30
	ringHeader  = 8
)

func openRing(fd int, size int) (*ring, error) {
	page := unix.Getpagesize()
	r := &ring{fd: fd, mask: uint64(size - 1), epoll: -1, wake: -1}
	var err error
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	if r.consumer, err = unix.Mmap(fd, 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return nil, fmt.Errorf("mapping the ring buffer's consumer page: %w", err)
	}
	if r.producer, err = unix.Mmap(fd, int64(page), page+size, unix.PROT_READ, unix.MAP_SHARED); err != nil {
		return nil, fmt.Errorf("mapping the ring buffer: %w", err)
	}
	r.data = r.producer[page:]
	r.pos = atomic.LoadUint64(r.consumerPos())
	if r.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if r.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	for _, f := range []int{fd, r.wake} {
		ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(f)}
		if err = unix.EpollCtl(r.epoll, unix.EPOLL_CTL_ADD, f, &ev); err != nil {
			return nil, os.NewSyscallError("epoll_ctl", err)
		}
	}
	return r, nil
}

func (r *ring) close() {
	for _, m := range []*[]byte{&r.consumer, &r.producer} {
		if *m != nil {
			// Unmapping what was mapped cannot fail.
			_ = unix.Munmap(*m)
			*m = nil
		}
	}
	for _, fd := range []*int{&r.epoll, &r.wake} {
		if *fd >= 0 {
			unix.Close(*fd)
			*fd = -1
		}
	}
}

func (r *ring) consumerPos() *uint64 { return (*uint64)(unsafe.Pointer(&r.consumer[0])) }

// produced is the position behind the last reserved record.
func (r *ring) produced() uint64 {
	return atomic.LoadUint64((*uint64)(unsafe.Pointer(&r.producer[0])))
}

// next returns the next record's data, which is valid until release, and the
// position behind it. ok is false if there is none, or if the next one is still
// being written (busy). Discarded records come with nil data.
func (r *ring) next() (data []byte, end uint64, busy, ok bool) {
	if r.pos >= r.produced() {
		return nil, r.pos, false, false
	}
	at := r.pos & r.mask
	n := atomic.LoadUint32((*uint32)(unsafe.Pointer(&r.data[at])))
	if n&ringBusy != 0 {
		return nil, r.pos, true, false
	}
	size := uint64(n &^ (ringBusy | ringDiscard))
	end = r.pos + (ringHeader+size+7)&^7
	if size > r.mask || n&ringDiscard != 0 {
		return nil, end, false, true
	}
	at = (at + ringHeader) & r.mask
	if rest := uint64(len(r.data)) - at; size > rest {
		r.wrapped = append(append(r.wrapped[:0], r.data[at:]...), r.data[:size-rest]...)
		return r.wrapped, end, false, true
	}
	return r.data[at : at+size], end, false, true
}

// release gives everything before end back to the kernel.
func (r *ring) release(end uint64) {
	r.pos = end
	atomic.StoreUint64(r.consumerPos(), end)
}

// wait returns when there are records, when interrupt was called, or after the
// time.
func (r *ring) wait(d time.Duration) error {
	var ev [2]unix.EpollEvent
	_, err := unix.EpollWait(r.epoll, ev[:], int((d+time.Millisecond-1)/time.Millisecond))
	if err != nil && err != unix.EINTR {
		return os.NewSyscallError("epoll_wait", err)
	}
	var count [8]byte
	// EAGAIN: nobody interrupted.
	_, _ = unix.Read(r.wake, count[:])
	return nil
}

// interrupt ends the present or else the next wait.
func (r *ring) interrupt() {
	var one = [8]byte{1}
	// A full eventfd is an interrupt already.
	_, _ = unix.Write(r.wake, one[:])
}
