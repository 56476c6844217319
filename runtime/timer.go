//go:build linux

package loader

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"os"

	"golang.org/x/sys/unix"
)

// timers runs the loader's timers off one timerfd, since the runtime's own timers
// are only good to a millisecond when the process is idle.
type timers struct {
	queue timerQueue
	fd    int
	file  *os.File
	tick  chan struct{} // something may be due
}

// A timer falls due at next and then every interval, give or take random.
type timer struct {
	next             int64 // CLOCK_MONOTONIC, ns
	interval, random int64
	base             int64 // the undisturbed time of next
	handler          int
	missed           uint64 // ticks that were dropped because handlers took too long
}

type timerQueue []*timer

func (q timerQueue) Len() int           { return len(q) }
func (q timerQueue) Less(i, j int) bool { return q[i].next < q[j].next }
func (q timerQueue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }

// Push implements heap.Interface.
func (q *timerQueue) Push(x any) { *q = append(*q, x.(*timer)) }

// Pop implements heap.Interface.
func (q *timerQueue) Pop() any {
	old := *q
	t := old[len(old)-1]
	*q = old[:len(old)-1]
	return t
}

// minInterval keeps a mistaken interval from running the loader at full load.
const minInterval = 1000

// advance sets the next time after now. Ticks that are past by then are
// dropped; the others keep to the grid that the start of the timer set, so
// that nothing drifts.
func (t *timer) advance(now int64) {
	if t.random > 0 {
		// Each interval is drawn anew, as SystemTap does.
		d := t.interval - t.random + rand.Int64N(2*t.random+1)
		t.next = max(t.next+max(d, minInterval), now)
		return
	}
	t.base += t.interval
	if t.base <= now {
		n := (now-t.base)/t.interval + 1
		t.missed += uint64(n)
		t.base += n * t.interval
	}
	t.next = t.base
}

func newTimers() (*timers, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("timers: %w", os.NewSyscallError("timerfd_create", err))
	}
	t := &timers{fd: fd, file: os.NewFile(uintptr(fd), "timerfd"), tick: make(chan struct{}, 1)}
	go t.wait()
	return t, nil
}

// wait passes expirations on until the file is closed.
func (t *timers) wait() {
	var b [8]byte
	for {
		if _, err := t.file.Read(b[:]); err != nil {
			return
		}
		select {
		case t.tick <- struct{}{}:
		default:
		}
	}
}

// add starts a timer.
func (t *timers) add(handler int, interval, random, now int64) {
	interval = max(interval, minInterval)
	tm := &timer{handler: handler, interval: interval, random: min(random, interval), base: now, next: now}
	tm.advance(now)
	tm.missed = 0
	heap.Push(&t.queue, tm)
}

// due returns the handler of a timer that has expired, and sets its next time.
func (t *timers) due(now int64) (handler int, ok bool) {
	if len(t.queue) == 0 || t.queue[0].next > now {
		return 0, false
	}
	tm := t.queue[0]
	tm.advance(now)
	heap.Fix(&t.queue, 0)
	return tm.handler, true
}

// arm sets the timerfd to the next expiration.
func (t *timers) arm() error {
	if len(t.queue) == 0 {
		return nil
	}
	at := max(t.queue[0].next, 1)
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(at)}
	if err := unix.TimerfdSettime(t.fd, unix.TFD_TIMER_ABSTIME, &spec, nil); err != nil {
		return fmt.Errorf("timers: %w", os.NewSyscallError("timerfd_settime", err))
	}
	return nil
}

func (t *timers) close() { t.file.Close() }
