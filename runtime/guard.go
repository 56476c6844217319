//go:build linux

package loader

import (
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"stapkit/ir"
)

// The guard watches a run from a goroutine of its own, so that a reader of our output
// that stalls does not stall it too.
const (
	guardTick = 100 * time.Millisecond
	// One tick of so many is measured: the kernel times programs only then, and the
	// others cost nothing.
	guardEvery = 5
	// guardStrikes measurements in a row over the limit end the run: one may be an
	// accident.
	guardStrikes = 3
	// rateTicks is over how long the output rate is averaged.
	rateTicks = 30
)

// DefaultCPULimit is the part of all CPUs' time that handlers may take, in percent, as
// SystemTap has it (STP_OVERLOAD_THRESHOLD of STP_OVERLOAD_INTERVAL).
const DefaultCPULimit = 50

type guard struct {
	s       *session
	limit   float64 // percent of all CPUs
	cpus    float64
	strikes int
	ticks   int

	stats io.Closer // while a measurement is under way
	since time.Time
	ran   time.Duration

	written  [rateTicks]uint64 // bytes of output so far, at the last ticks
	programs []*ebpf.Program
}

// guard starts the watch over the run; the caller ends it.
func (s *session) guard() (stop func()) {
	g := &guard{s: s, limit: s.opt.CPULimit, cpus: float64(runtime.NumCPU())}
	if g.limit == 0 {
		g.limit = DefaultCPULimit
	}
	if s.p.Limits.NoOverload {
		g.limit = -1
	}
	for _, p := range s.programs {
		g.programs = append(g.programs, p)
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		t := time.NewTicker(guardTick)
		defer t.Stop()
		for {
			select {
			case <-done:
				g.close()
				return
			case now := <-t.C:
				g.tick(now)
			}
		}
	}()
	return func() { close(done); <-ended }
}

func (g *guard) close() {
	if g.stats != nil {
		// Only the kernel's timing stays on if this fails, until we end.
		_ = g.stats.Close()
		g.stats = nil
	}
}

func (g *guard) tick(now time.Time) {
	g.ticks++
	g.rate()
	if g.limit < 0 || len(g.programs) == 0 {
		return
	}
	if !g.since.IsZero() {
		g.measured(now)
	}
	if g.ticks%guardEvery != 0 && g.strikes == 0 {
		return
	}
	if g.s.stats == nil { // with -t it is on all the time
		var err error
		if g.stats, err = ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME)); err != nil {
			g.limit = -1
			g.s.out.warn(fmt.Sprintf("the time spent in handlers is not watched: the kernel does not tell (%v)", err))
			return
		}
	}
	g.since, g.ran = now, g.runtime()
}

// measured ends a measurement.
func (g *guard) measured(now time.Time) {
	share := 100 * float64(g.runtime()-g.ran) / (float64(now.Sub(g.since)) * g.cpus)
	g.close()
	g.since = time.Time{}
	if share <= g.limit {
		g.strikes = 0
		return
	}
	if g.strikes++; g.strikes >= guardStrikes {
		g.s.cutOff(StatusOverload, fmt.Sprintf("probe overhead exceeded threshold: the handlers took %.0f%% of all CPUs' time, and %g%% are allowed [%s]", share, g.limit, codeOverload))
	}
}

// rate ends the run when it prints too much.
func (g *guard) rate() {
	now, limit := g.s.out.total.Load(), g.s.opt.OutputRate
	i := g.ticks % rateTicks
	before := g.written[i]
	g.written[i] = now
	if limit <= 0 || g.ticks <= rateTicks {
		return
	}
	if n := float64(now-before) / (float64(rateTicks) * guardTick.Seconds()); n > float64(limit) {
		g.s.cutOff(StatusOutputRate, fmt.Sprintf("the output came to %.0f kB a second, and %d kB are allowed [%s]", n/1000, limit/1000, codeOutputRate))
	}
}

// runtime is how long the programs ran while the kernel timed them.
func (g *guard) runtime() time.Duration {
	var sum time.Duration
	for _, p := range g.programs {
		if st, err := p.Stats(); err == nil {
			sum += st.Runtime
		}
	}
	return sum
}

// cutOff ends the run in error for going over a limit. Handlers stop before the
// message is written, which may take long.
func (s *session) cutOff(status int32, text string) {
	if !s.cut.CompareAndSwap(0, status) {
		return
	}
	s.blk.forceState(ir.SessError)
	s.exitOnce.Do(func() { close(s.exit) })
	s.shown.Add(1)
	s.out.message("ERROR: " + text + "\n")
}
