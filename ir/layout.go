package ir

import (
	"strconv"

	"stapkit/format"
)

// Formats that programs in the kernel and the loader share. All numbers are in
// the host's byte order; every offset is a multiple of 8. A string in memory
// that both share (globals, keys, elements, region parameters) is zero from its
// end to the end of its storage: programs in the kernel copy and compare strings
// by words and never look for the end.

// Names of the maps in the object. Arrays of the script are MapArray(i).
const (
	MapSession = ".data.sess"   // data section, memory-mapped: session block, lock words, scalar Int globals
	MapScratch = "stap_scratch" // ARRAY, scratch slots
	MapStrings = ".data.str"    // data section: scalar Str and Deferred globals
	MapStats   = "stap_stat"    // PERCPU_ARRAY, 1 element: scalar aggregates
	MapRing    = "stap_ring"    // RINGBUF
	MapMarks   = "stap_marks"   // HASH from {set, number} to 1, see IMark
	MapConst   = ".rodata"      // data section, frozen by whoever loads the object: constant strings and tables
)

// MapArray returns the name of the map of the script array Globals[g]. Its
// slot ring, if it is a Wrap array, is "w_<g>".
func MapArray(g int) string { return "g_" + strconv.Itoa(g) }

// MapCounter returns the name of the map with the events of Counters[n], by CPU.
func MapCounter(n int) string { return "perf_" + strconv.Itoa(n) }

// Offsets in the session block.
const (
	SessOffState     = 0  // SessState
	SessOffExit      = 8  // set by exit(); the loader then ends the session
	SessOffErrors    = 16 // errors counted so far
	SessOffMaxErrors = 24
	SessOffTarget    = 32 // target(): the process id given by -x or of the -c child
	SessOffRealtime  = 40 // CLOCK_REALTIME minus CLOCK_MONOTONIC in ns, kept up by the loader
	SessOffLoaderPID = 48
	SessOffFlags     = 56 // SessFlag bits
	// Counters, one word for each Cause.
	SessOffCounters = 64
	SessOffHZ       = 192 // the kernel's CONFIG_HZ, set by the loader
	SessOffPidNS    = 200 // number of the pid namespace that ns_pid() and its like mean
	SessOffUserNS   = 208 // and of the user namespace
	SessOffRemoteID = 216 // remote_id()
	SessOffLoadAvg  = 224 // three load averages in hundredths, kept up by the loader
	// How many frames of a trampoline's program are on the stack before the function that is
	// probed, less one, as programs found out: straight ones, and those with loops.
	SessOffOwnFrames = 232
	SessOffLocks     = 256 // one 64-byte line per lock word
)

// SessFlagTimes has records tell when and on which CPU they were sent: somebody asks.
const SessFlagTimes = 1

// Cause is why something was not done.
type Cause int

// The causes, each a counter in the session block.
const (
	SkipLock      Cause = iota // lock not had in time
	SkipReentrant              // no scratch slot free on this CPU
	SkipMap                    // map operation failed for a passing reason (EBUSY, ENOMEM …)
	DropOutput                 // ring buffer full: output of one invocation lost
	DropError                  // ring buffer full: error text lost (the count is exact)
	MissRecursion              // refused by the kernel, filled in by the loader
	EvictEntry                 // @entry value evicted
	TornRead                   // aggregate read kept changing
	NumCauses
)

// SlotsPerCPU is how many scratch slots each CPU has: task, soft interrupt,
// interrupt and NMI, and as many again for preempted tasks.
const SlotsPerCPU = 8

// LockOff returns the offset of lock word i in the session block.
func LockOff(i int) int { return SessOffLocks + 64*i }

// ScalarOff returns the offset of scalar Int slot i in the session block.
func (p *Program) ScalarOff(slot int) int { return SessOffLocks + 64*p.Locks + 8*slot }

// SessionSize returns the size of the session map's value.
func (p *Program) SessionSize() int { return p.KsymOff(len(p.Ksyms)) }

// KsymOff returns the offset in the session block of the address of Ksyms[i]. They
// stand behind the creation counters.
func (p *Program) KsymOff(i int) int { return p.SeqOff(len(p.Globals)) + 8*i }

// SeqOff returns the offset in the session block of the creation counter of the
// Ordered array Globals[g]: the number that the element created last got, 0 for
// none. The counters stand behind the scalars in the order of the globals.
func (p *Program) SeqOff(g int) int {
	off := p.scalarEnd()
	for i := range p.Globals[:g] {
		if p.Globals[i].hasSeq() {
			off += 8
		}
	}
	return off
}

func (g *Global) hasSeq() bool { return g.Ordered && g.Share != LoaderOnly }

func (p *Program) scalarEnd() int {
	n := 0
	for i := range p.Globals {
		if g := &p.Globals[i]; !g.IsArray() && g.Value.Kind == Int {
			n = max(n, g.Slot+1)
		}
	}
	return p.ScalarOff(n)
}

// StringsLayout gives, by global, the offset in the value of MapStrings of each
// scalar Str and Deferred that the kernel touches, -1 for other globals, and the
// size of that value.
func (p *Program) StringsLayout() (offs []int, size int) {
	return p.scalarLayout(func(g *Global) int {
		if g.Value.Kind == Str || g.Value.Kind == Deferred {
			return g.Value.Width
		}
		return 0
	})
}

// StatsLayout is StringsLayout for scalar aggregates and MapStats.
func (p *Program) StatsLayout() (offs []int, size int) {
	return p.scalarLayout(func(g *Global) int {
		if g.Value.Kind == Stat {
			return StatLayoutOf(g.Stat).Size
		}
		return 0
	})
}

func (p *Program) scalarLayout(width func(*Global) int) (offs []int, size int) {
	offs = make([]int, len(p.Globals))
	for i := range p.Globals {
		g := &p.Globals[i]
		offs[i] = -1
		if g.IsArray() || g.Share == LoaderOnly {
			continue
		}
		if w := width(g); w > 0 {
			offs[i] = size
			size += w
		}
	}
	return offs, size
}

// KeyLayout gives the offset of each key component and the size of the key:
// numbers first, then strings and deferred text, each kind in the order of the
// script; strings are zero after their end.
func KeyLayout(keys []Type) (offs []int, size int) {
	offs = make([]int, len(keys))
	for i, t := range keys {
		if t.Kind == Int {
			offs[i] = size
			size += 8
		}
	}
	for i, t := range keys {
		if t.Kind != Int {
			offs[i] = size
			size += t.Width
		}
	}
	return offs, size
}

// ValueLayout gives the offset of the payload in an array element's value and
// the value's size. Ordered arrays start with the creation number.
func (g *Global) ValueLayout() (off, size int) {
	if g.Ordered {
		off = 8
	}
	switch g.Value.Kind {
	case Int:
		return off, off + 8
	case Stat:
		return off, off + StatLayoutOf(g.Stat).Size
	}
	return off, off + g.Value.Width
}

// StatLayout gives the offsets of an aggregate's fields, -1 where not kept.
// Seq is odd while a writer is between two fields (see Guarded). Min starts at the largest
// and Max at the smallest number. Mean and M2 are the running values of
// StatShape's variance.
type StatLayout struct {
	Seq, Count, Sum, Min, Max, Mean, M2, Hist int
	Buckets, Size                             int
}

// LogBuckets is the number of buckets of @hist_log.
const LogBuckets = format.LogBuckets

// Buckets returns the number of buckets of the shape's histogram, 0 for none.
// A linear one has an underflow bucket first and an overflow bucket last.
func (s StatShape) Buckets() int {
	h, ok := s.Histogram()
	if !ok {
		return 0
	}
	return h.Buckets()
}

// Histogram returns the rule by which values go into buckets, false if there
// is no histogram or its bounds are refused.
func (s StatShape) Histogram() (format.Hist, bool) {
	switch s.Hist {
	case HistLog:
		return format.Log(), true
	case HistLinear:
		h, err := format.Linear(s.Low, s.High, s.Step)
		return h, err == nil
	}
	return format.Hist{}, false
}

// Guarded reports whether writers count in Seq, since there are fields that have to be
// seen together. Where a histogram is all there is, its buckets tell the count.
func (l StatLayout) Guarded() bool { return l.Sum >= 0 || l.Min >= 0 || l.Max >= 0 || l.Mean >= 0 }

// StatLayoutOf lays an aggregate out.
func StatLayoutOf(s StatShape) StatLayout {
	l := StatLayout{Seq: 0, Count: 8, Sum: -1, Min: -1, Max: -1, Mean: -1, M2: -1, Hist: -1, Size: 16}
	add := func(want bool, n int) int {
		if !want {
			return -1
		}
		off := l.Size
		l.Size += n
		return off
	}
	l.Sum = add(s.Sum || s.Variance, 8)
	l.Min = add(s.Min, 8)
	l.Max = add(s.Max, 8)
	l.Mean = add(s.Variance, 8)
	l.M2 = add(s.Variance, 8)
	l.Buckets = s.Buckets()
	l.Hist = add(l.Buckets > 0, 8*l.Buckets)
	return l
}

// A record in the ring buffer is a header of RecHeader bytes and items.
//
//	0  u16 kind   RecItems, or RecChunk for a part of a longer one
//	2  u16 probe  index into Program.Probes
//	4  u32 len    bytes in all, a multiple of 8
//	8  u64 ts     ktime when the record was sent; without SessFlagTimes it may be 0
//	16 u32 cpu    so may this in a record in one piece
//	20 u32 inv    with cpu: names the invocation, to join chunks
//	24 u16 seq    chunk number from 0
//	26 u16 last   1 in the last chunk
//	28 u32 zero
//
// An item is
//
//	0 u16 op      ItemPrint …
//	2 u16 words   size in 8-byte words, this one included
//	4 u32 aux     ItemPrint: format; ItemError: site
//	8 arguments
//
// A number is one word. A string is {u16 length, u16 words, u32 zero} and its
// bytes; words is its size in words, this one included; the length StrToNUL
// means up to the first NUL, or all of it. What follows a string's end is
// undefined. A deferred argument is {u16 text, u16 words, u32 DeferredArg} and its
// payload: a function that the loader calls later takes either for a string. ItemError has code | arg… as: word 0 ErrCode, word 1 Arg, then for
// ErrUser the string.
const (
	RecHeader = 32

	RecItems = 1
	RecChunk = 2

	ItemPrint  = 1
	ItemWarn   = 2 // one string
	ItemError  = 3
	ItemExit   = 4
	ItemHist   = 5 // aux: global; payload: the bucket counts
	ItemSystem = 6 // one string, the command of system()
	ItemAsk    = 7 // aux: an IntrinsicID whose work the loader does; its arguments

	StrToNUL = 0xffff // length of a string that ends with its first NUL

	DeferredArg = 1 // tells a deferred argument from a string
)

// MaxRecord is the size of a handler's output buffer; longer output is sent in chunks.
const MaxRecord = 4096

// A region program's context is a buffer of RegionSize bytes:
//
//	0  u64 status  RegionOK, RegionBusy (lock not had: run it again) or RegionError
//	8  u32 ErrCode, u32 site
//	16 u64 argument of the error
//	24 the parameters in order (Int 8 bytes, Str and Deferred their width),
//	   then the result
const (
	RegionOK    = 0
	RegionBusy  = 1
	RegionError = 2

	RegionHeader = 24
)

// RegionLayout gives the offset of each parameter, of the result (-1 if there
// is none) and the size of the buffer.
func RegionLayout(h *Handler) (params []int, result, size int) {
	size = RegionHeader
	put := func(t Type) int {
		off := size
		if t.Kind == Int {
			size += 8
		} else {
			size += t.Width
		}
		return off
	}
	for _, p := range h.Params {
		params = append(params, put(h.Locals[p.Local]))
	}
	result = -1
	if h.Result != nil && h.Result.Type().Kind != Void {
		result = put(h.Result.Type())
	}
	return params, result, size
}
