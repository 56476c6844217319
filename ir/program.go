package ir

import (
	"slices"
	"strconv"

	"stapkit/format"
)

// Program is a compiled script: what the loader must know of it, the handlers
// that it interprets, and, until code generation, those of the kernel.
type Program struct {
	Name     string // script name, without directory
	Globals  []Global
	Funcs    []*Func
	Handlers []*Handler
	Probes   []Probe
	Formats  []Format
	Sites    []Site
	Regions  []*Handler // by Region.ID
	Regexps  []Regexp
	Tables   []Table
	Types    []TypeRef
	Layouts  [][]byte // C type layouts in target/ctype's encoding, for pretty-printing
	Locks    int      // number of lock words
	Limits   Limits
	Needs    []string // features beyond the carriers': sorted names, e.g. "bpf_loop"
	Warnings []string // shown by the loader before the run
	// Ksyms are the kernel symbols whose addresses the loader puts into the session
	// block: "name", or "module:name".
	Ksyms    []string
	Counters []Counter // of @perf
}

// Counter is a perf event that handlers read (@perf). It counts on each CPU.
type Counter struct {
	Name   string
	Type   uint32 // linux/perf_event.h
	Config uint64
}

// Share tells who touches a global.
type Share uint8

// A global is touched by the loader's handlers only, by the kernel's only, or by both.
const (
	LoaderOnly Share = iota
	KernelOnly
	SharedBoth
)

// Global is a script global.
type Global struct {
	Name  string
	Keys  []Type // empty: scalar
	Value Type   // Int, Str, Deferred or Stat
	Stat  StatShape
	// InitInt and InitStr are a scalar's initial value.
	InitInt int64
	InitStr string
	// MaxEntries is the size limit of an array; Wrap evicts the oldest.
	MaxEntries int
	Wrap       bool
	Share      Share
	// Lock is the lock word that guards it, or -1 if every access is one
	// commutative update or read that the kernel does atomically.
	Lock int
	// Ordered: creation order can be seen, so elements carry a sequence number.
	Ordered bool
	// Generations: a loader handler clears it, so it sits behind a
	// map-in-map whose inner map is swapped (see LANGUAGE run-time notes in docs/architecture.md).
	Generations bool
	// Additive: kernel handlers only add to it (++, +=, <<<), never set or read.
	Additive bool
	// AutoPrint: written but never read by the script; shown when it ends.
	AutoPrint bool
	// Settable: may be given on the loader's command line (-G, name=value).
	Settable bool
	Library  bool // belongs to the tapset
	Slot     int  // 8-byte slot in the session map for scalar Int; index of its kind otherwise
	Site     int  // where it is declared
}

// IsArray reports whether g has keys.
func (g *Global) IsArray() bool { return len(g.Keys) > 0 }

// Hist is the kind of histogram that an aggregate keeps.
type Hist uint8

// The histogram kinds.
const (
	HistNone Hist = iota
	HistLog
	HistLinear
)

// StatShape says which fields an aggregate keeps. Count is always kept.
// Variance is the sample variance as SystemTap computes it, in 64-bit integers
// that wrap, on values shifted left by VarShift. Each CPU updates, for a value v
// (shifted), after counting it:
//
//	first value:  Mean = v, M2 = 0
//	else:         d = v - Mean; Mean += d / count; M2 += d * (v - Mean)
//
// The result over the CPUs i that have values, all divisions truncating:
//
//	mean = (sum << VarShift) / count
//	S1   = Σ count_i * (Mean_i - mean)²
//	S2   = Σ (count_i - 1) * (M2_i / (count_i - 1))       count_i > 1
//	(S1 + S2) / (count - 1) >> 2*VarShift, 0 for count < 2
//
// The truncation of Mean makes it inexact without a shift: of 1…10 it is 48.
type StatShape struct {
	Sum, Min, Max, Variance bool
	VarShift                int
	Hist                    Hist
	Low, High, Step         int64 // HistLinear
}

// Func is a script or library function.
type Func struct {
	Name    string
	Params  int    // locals 0…Params-1
	Locals  []Type // parameters first
	Result  Type   // Void if it returns nothing
	Body    []Stmt
	Library bool
	// Recursive: it can be on the stack more than once.
	Recursive bool
	Site      int
}

// Context is what a handler's program gets from the kernel.
type Context uint8

// The contexts.
const (
	CtxNone       Context = iota // loader handler
	CtxRawTP                     // raw tracepoint: u64 args[]
	CtxBTFTP                     // BTF tracepoint: u64 args[], typed and trusted
	CtxTracepoint                // classic tracepoint: its event structure
	CtxFentry                    // u64 args[]
	CtxFexit                     // u64 args[], return value after the last
	CtxKprobe                    // struct pt_regs
	CtxPerf                      // struct bpf_perf_event_data
	CtxRegion                    // syscall program: the region's parameters
	CtxLSM
	CtxNetfilter
)

// Handler is one program: the body of a probe for one way of resolving it, or
// a region.
type Handler struct {
	Name   string // unique; a C identifier of at most 63 bytes
	Kernel bool   // runs as eBPF
	Ctx    Context
	Locals []Type
	// Params of a region: the locals passed in and out, in this order.
	Params []RegionParam
	// Result of a region, after the parameters.
	Result     Expr
	Cond       Expr // probe … if (Cond); nil: none
	Body       []Stmt
	Probe      int // index into Program.Probes; of a region the one it stands in
	Sleepable  bool
	MaxActions int // MAXACTION for this handler
	// Uncounted: it cannot reach MaxActions, so its Ticks were dropped; those in
	// functions that it calls need not be counted either.
	Uncounted bool
	Return    bool // runs on return of something
	// Points are the probes that the handler serves, when it is one for several:
	// their bodies are the same but for what a Point holds. None: Probe alone.
	Points []Point
	// UsesPoint: the program asks which of its Points it runs for.
	UsesPoint bool
}

// Point is what one of the probes has of its own in a handler that serves several.
// A program finds it by the cookie of its attachment (see PointCookie), which
// Attach.Cookie holds; behind a Dispatcher, by the system call's number.
type Point struct {
	Probe int // index into Program.Probes
	// Ints and Strs are the values of IPointInt and IPointStr.
	Ints []int64
	Strs []string
	// Sites stand for those that the first Point has at the same places: the
	// program's records have that one's. Empty: the same.
	Sites []int
}

// Int is the number that an IPointInt yields at the point.
func (pt *Point) Int(x Expr) *int64 { return &pt.Ints[x.(*Intrinsic).Args[0].(*IntConst).V] }

// MaxPoints is the most Points of a handler, and MaxProbes the most probes that
// records can name.
const (
	MaxPoints = 1 << 15
	MaxProbes = 1 << 16
)

// PointCookie is the cookie that tells a program of its row-th point.
func PointCookie(row, probe int) uint64 { return uint64(row)<<16 | uint64(probe) }

// SiteOf returns the site that the handler's program means by one in a record
// from the probe, if it is another than the probe's own.
func (h *Handler) SiteOf(probe, site int) (own int, ok bool) {
	for i := range h.Points {
		pt := &h.Points[i]
		if pt.Probe != probe || len(pt.Sites) == 0 {
			continue
		}
		for j, s := range h.Points[0].Sites {
			if s == site && j < len(pt.Sites) {
				return pt.Sites[j], true
			}
		}
	}
	return site, false
}

// RegionParam is a local that a region uses (In) or changes (Out). The locals of
// a region are those of the handler or function that the Region stands in, with
// the same numbers.
type RegionParam struct {
	Local   int
	In, Out bool
}

// Family is the kind of event a probe waits for.
type Family uint8

// The families.
const (
	FamBegin Family = iota
	FamEnd
	FamError
	FamTimer // Interval
	FamProfile
	FamTracepoint // raw or BTF
	FamEvent      // classic tracepoint
	FamFunction
	FamUser // uprobe, USDT
	FamPerf
	FamProcess // begin, end of processes and threads
	FamWatch
	FamProcfs
	FamInput
	FamNetfilter
	FamLSM
	FamNever
)

// Probe is one resolved probe point.
type Probe struct {
	Point  string // the resolved point, as pp() prints it
	Script string // the point as written, with the alias chain
	Name   string // pn(): the alias the script used, or Point
	Kind   string // probe_type()
	Func   string // ppfunc(): the probed function, or ""
	Site   int
	Family Family
	// Order of begin, end and error.
	Order int64
	// Interval and Random of timers, in nanoseconds; Interval of perf probes is the
	// number of events between two samples. PerSecond is set instead for
	// timer.profile.freq and perf with hz.
	Interval, Random int64
	PerSecond        int64
	// Attach lists the ways to attach, best first; loader handlers have one
	// entry without a carrier. The loader takes the first that the host has.
	Attach     []Attach
	Optional   bool
	Sufficient bool
	// Hidden: of our own making, the entry of the return probe before it, for which it
	// takes @entry values. Programs of the function's trampoline (fentry, fexit) and others
	// name a call differently, so both probes are on the one or on the other. A return
	// probe on fexit that has no fentry here needs none: it still has the arguments.
	Hidden bool
	// Member: one of the places that a pattern names, as are all others with the
	// same site. Those that the host refuses are left out if any other is not.
	Member bool
}

// Attach is one way to attach a probe. Which fields count depends on Carrier.
type Attach struct {
	Carrier string // "raw_tp", "tp_btf", "tracepoint", "fentry", "fexit", "kprobe", "kretprobe", "kprobe_multi", "kretprobe_multi", "uprobe", "uretprobe", "usdt", "perf", "breakpoint", "lsm", "netfilter", "loader"; "dispatch": the raw tracepoint Target, by system call number Config, in layer Type (see Dispatcher)
	Handler int
	Target  string // tracepoint, function, hook …; of a user probe the path
	Module  string // kernel module, or user library
	Symbol  string // user symbol
	Offset  uint64 // from Target or Symbol
	BuildID string // required build-id, hex, or empty
	// Offset of a USDT semaphore in the file, or 0.
	Semaphore uint64
	Cookie    uint64
	Type      uint32 // perf type
	Config    uint64 // perf config
	Address   uint64
	Length    uint64
	Write     bool // watch writes only
	Process   string
	PID       int
	TargetSet bool // only processes below the target (-c, -x)
	Needs     []string
	// Spec is the argument specification of a USDT mark, for which the program
	// was compiled: another build's copy of the mark must have the same.
	Spec string
	// Compat are the numbers by which 32-bit programs make the system call; from
	// MaxSyscall on those that it has, less MaxSyscall, in socketcall, and MuxIPC later in ipc.
	Compat []int
	// MaxActive is how many calls of the function a return probe follows at a time;
	// 0: as many as the carrier can.
	MaxActive int
}

// Dispatcher is the program on a raw tracepoint of system calls that jumps to the
// handlers of one layer by the call's number. A second handler of a call is in
// the next layer, which has its own dispatcher.
type Dispatcher struct {
	Name   string // of the program; its map of programs is called Name + "_m"
	Target string
	Layer  uint32
	// Handlers by system call number; of 32-bit programs by the number (Attach.Compat)
	// and MaxSyscall.
	Handlers map[uint64]int
}

// MaxSyscall is the number of system calls that dispatchers know.
const MaxSyscall = 1024

// MuxIPC is where the numbers of calls through ipc begin, behind those through socketcall.
const MuxIPC = 32

// MaxCalls is the number of calls that they tell apart: those of 64-bit programs, those
// of 32-bit ones, and what is behind socketcall and ipc.
const MaxCalls = 2*MaxSyscall + 2*MuxIPC

// Dispatchers lists the dispatchers that the probes' rows ask for, in a fixed order.
func (p *Program) Dispatchers() []Dispatcher {
	var list []Dispatcher
	index := map[string]int{}
	for i := range p.Probes {
		for _, a := range p.Probes[i].Attach {
			if a.Carrier != "dispatch" {
				continue
			}
			name := DispatcherName(&a)
			n, ok := index[name]
			if !ok {
				n = len(list)
				index[name] = n
				list = append(list, Dispatcher{Name: name, Target: a.Target, Layer: a.Type, Handlers: map[uint64]int{}})
			}
			if a.Config < MaxSyscall {
				list[n].Handlers[a.Config] = a.Handler
			}
			for _, nr := range a.Compat {
				if nr >= 0 && nr < MaxCalls-MaxSyscall {
					list[n].Handlers[uint64(nr)+MaxSyscall] = a.Handler
				}
			}
		}
	}
	return list
}

// DispatcherName names the dispatcher that a row is reached through.
func DispatcherName(a *Attach) string { return "d_" + a.Target + "_" + strconv.Itoa(int(a.Type)) }

// Format is a print format with the types of its arguments.
type Format struct {
	Text   string // printf text; print and println are rewritten to it
	Parsed format.Format
	// Args are the types of the arguments, in order. A record in the ring
	// buffer does not tell a string from deferred text; this does (RecordArgs).
	Args []Type
}

// RecordArgs are the types of the arguments in a record: in place of an address
// whose bytes are shown (%m, %M) stand the bytes.
func (f *Format) RecordArgs() []Type {
	types := f.Args
	for _, m := range f.Parsed.Memory() {
		if m.Index < len(types) {
			if len(types) > 0 && &types[0] == &f.Args[0] {
				types = slices.Clone(types)
			}
			types[m.Index] = Type{Kind: Str, Width: (m.Most() + 8) &^ 7}
		}
	}
	return types
}

// Site is a place in the script.
type Site struct {
	File      string
	Line, Col int
	// Token is what SystemTap names in "near …", e.g. "operator '/'".
	Token string
}

// Regexp is a regular expression in SystemTap's syntax.
type Regexp struct {
	Pattern string
	Groups  int
}

// TableKind says how a table turns a number into text.
type TableKind uint8

// TableEnum gives the name of the number, or else the default. TableFlags does
// so too when the number has an entry of its own; otherwise it joins, with "|"
// and in the table's order, the names of all entries but 0 whose bits are all
// set, and then the default for the bits that none of them has, if there are
// any. The result is truncated to its type.
const (
	TableEnum TableKind = iota
	TableFlags
)

// Table maps numbers to names.
type Table struct {
	Name    string
	Kind    TableKind
	Entries []TableEntry // sorted by Value, unique
	Default string       // for unknown numbers; a printf text with one %d/%x, or fixed text
}

// TableEntry is one name.
type TableEntry struct {
	Value int64
	Name  string
}

// TypeRef is a named type of the target that relocations refer to.
type TypeRef struct {
	Kind   string // "struct", "union", "enum", "typedef"
	Name   string
	Module string // kernel module that defines it, or ""
	// Members is the minimal local definition needed by the access strings
	// used, in target/ctype's encoding.
	Members []byte
}

// Limits are the script's limits, settable with -D.
type Limits struct {
	MaxAction, MaxActionInterruptible int
	MaxStringLen                      int // longest value + 1
	MaxMapEntries                     int
	MaxNesting                        int
	MaxErrors, MaxSkipped             int
	MaxTryLock                        int // attempts
	MaxBacktrace                      int
	// SuppressErrors: errors of handlers are counted, but not shown, and neither
	// they nor skipped probes end the session (--suppress-handler-errors).
	SuppressErrors bool
	// NoOverload: the time spent in handlers is not limited (STP_NO_OVERLOAD).
	NoOverload bool
	// HistElision is how many more empty rows of a histogram than by default stand next to
	// those left out (HIST_ELISION less format.HistElision); with fewer than none of them
	// no row is left out.
	HistElision int
}

// Histogram is the histogram of an aggregate as it is printed.
func (p *Program) Histogram(g int) (format.Hist, bool) {
	h, ok := p.Globals[g].Stat.Histogram()
	return h.Elide(format.HistElision + p.Limits.HistElision), ok
}

// DefaultLimits are SystemTap's on 64-bit machines.
func DefaultLimits() Limits {
	return Limits{
		MaxAction: 1000, MaxActionInterruptible: 10000,
		MaxStringLen: 512, MaxMapEntries: 2048, MaxNesting: 10,
		MaxErrors: 0, MaxSkipped: 100, MaxTryLock: 100, MaxBacktrace: 20,
	}
}

// Limit returns t with the Width, if it is a string, that its longest value and
// a NUL need under MaxStringLen: the storage's, or less.
func (l *Limits) Limit(t Type) Type {
	if t.Kind == Str && l.MaxStringLen > 0 {
		t.Width = min(t.Width, l.MaxStringLen)
	}
	return t
}
