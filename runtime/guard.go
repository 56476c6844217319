//go:build linux

package loader

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/cilium/ebpf"

	"stapkit/ir"
)

// The guard watches a run from a goroutine of its own, so that a reader of our output
// that stalls does not stall it too.
const (
	guardTick = 100 * time.Millisecond
	// The first measurement is at this tick, and for one tick. The kernel times
	// programs only then, and the rest of the time costs nothing. It patches its own
	// code to switch that on and off, so that clean measurements double the time to
	// the next one, up to guardRarest ticks.
	guardFirst  = 20
	guardRarest = 300
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
	next    int // the tick of the next measurement
	pause   int // ticks to the one after it
	idle    cpuTimes

	stats io.Closer // while a measurement is under way
	since time.Time
	ran   time.Duration

	written  [rateTicks]uint64 // bytes of output so far, at the last ticks
	programs []*ebpf.Program
}

// guard starts the watch over the run; the caller ends it.
func (s *session) guard() (stop func()) {
	g := &guard{s: s, limit: s.opt.CPULimit, cpus: float64(cpuCount()), next: guardFirst, pause: guardFirst / 2, idle: readCPUTimes()}
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
	if g.ticks < g.next && g.strikes == 0 {
		return
	}
	// Handlers take no more time than the machine is busy.
	if before := g.idle; g.strikes == 0 {
		if g.idle = readCPUTimes(); before.total > 0 && g.idle.busySince(before) < g.limit {
			g.next = g.ticks + guardFirst/2
			return
		}
	}
	if g.s.stats == nil { // with -t it is on all the time
		var err error
		if g.stats, err = g.s.rights.timing(); err != nil {
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
		if share > g.limit/2 {
			g.pause = guardFirst / 2
		}
		g.next = g.ticks + g.pause
		g.pause = min(2*g.pause, guardRarest)
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

// cpuTimes is the first line of /proc/stat, in ticks.
type cpuTimes struct{ total, idle uint64 }

func readCPUTimes() (t cpuTimes) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return t // then it is measured as if the machine were busy
	}
	line, _, _ := strings.Cut(string(b), "\n")
	for i, w := range strings.Fields(line) {
		n, err := strconv.ParseUint(w, 10, 64)
		if i == 0 || i > 8 || err != nil { // guest time is in user time
			continue
		}
		t.total += n
		if i == 4 || i == 5 { // idle, and idle with input or output under way
			t.idle += n
		}
	}
	return t
}

// busySince is the part of the time since before in which CPUs did something, percent.
func (t cpuTimes) busySince(before cpuTimes) float64 {
	if t.total <= before.total {
		return 100
	}
	return 100 - 100*float64(t.idle-before.idle)/float64(t.total-before.total)
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
