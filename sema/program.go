package sema

import (
	"stapkit/diag"
	"stapkit/syntax"
	"stapkit/target/ctype"
)

// A Type is the type of a value in a script.
type Type uint8

// The types. Unknown stays only where nothing tells: the result of a function
// that returns nothing, an unused variable, an expression in error.
const (
	Unknown Type = iota
	Long
	String
	Stats // aggregate; only of globals and their elements
)

// String is SystemTap's word for the type, as in messages and -p2.
func (t Type) String() string {
	switch t {
	case Long:
		return "long"
	case String:
		return "string"
	case Stats:
		return "stats"
	}
	return "unknown"
}

// A Program is an elaborated script: what is in use, resolved and typed.
type Program struct {
	// Files are the user's scripts in order, then the library files in use.
	Files []*syntax.File
	// Globals and Funcs are those in use, in declaration order, the user's first.
	Globals []*Global
	Funcs   []*Func
	// Probes are the resolved probes: one for each place that a probe point names,
	// in the order of the script.
	Probes []*Probe
	// Diags are all findings, those of the parser included.
	Diags []diag.Diagnostic
	// Late are errors that stop compilation but not the listing of an elaborated
	// script (-p2), where SystemTap has none of them yet.
	Late []diag.Diagnostic
	// Unresolved: something was taken on trust, because nothing is known of the
	// target or of a script argument. Such a program cannot be compiled.
	Unresolved bool
	// Cancelled: Options.Context ended before elaboration did.
	Cancelled bool
	// Tools is what editors want to know besides, nil without Options.Tools.
	Tools *Tools
}

// OK reports whether the program can be compiled: no diagnostic is an error.
func (p *Program) OK() bool { return !diag.HasErrors(p.Diags) }

// An Object is what a name in an expression stands for: *Local or *Global.
type Object interface {
	// ObjectName is the name as written.
	ObjectName() string
	object()
}

// A Global is a global variable.
type Global struct {
	Name string
	// Unique is the name in the one namespace of a program: Name, or for a private
	// variable a name made of it and the file.
	Unique  string
	Decl    *syntax.GlobalVar
	File    *syntax.File
	Private bool
	Library bool // of the tapset
	// Array tells that it has keys, of these types.
	Array bool
	Keys  []Type
	Type  Type  // of the value, or of the elements
	Max   int64 // declared number of elements; 0: MAXMAPENTRIES
	Wrap  bool  // "%"
	// InitInt or InitStr is the declared initial value, when HasInit is set.
	HasInit bool
	InitInt int64
	InitStr string
	Stat    StatShape
	// Read and Written tell what code that is in use does with the variable. An
	// update whose result is not used (x++, x += 1, x <<< 1) counts as a write only.
	Read, Written bool
	// AutoPrint: of a user's file, written and never read, so shown at the end.
	AutoPrint bool
	// Condition: an "if (…)" of a probe point reads it.
	Condition bool

	arity   arity
	histAt  *syntax.HistOp
	assigns []assigned
	used    bool
}

// ObjectName is the name as written.
func (g *Global) ObjectName() string { return g.Name }
func (*Global) object()              {}

// HistKind is the kind of a histogram.
type HistKind uint8

// The kinds of histogram.
const (
	NoHist HistKind = iota
	LogHist
	LinearHist
)

// StatShape is what a program wants to know of an aggregate.
type StatShape struct {
	Count, Sum, Min, Max, Avg, Variance bool
	Shift                               int64 // of @variance
	Hist                                HistKind
	Low, High, Step                     int64 // of LinearHist
}

// A Local is a variable or parameter of one Body.
type Local struct {
	Name  string
	Type  Type
	Index int // in Body.Locals
	Param bool
	Decl  *syntax.Ident // where it appears first
	// Read and Written as of a Global.
	Read, Written bool
	// live: what is left of the body mentions it.
	live bool
	// CType is the C type of the value where all assignments agree on one, so that
	// "->" can be used on it; nil when not known.
	CType *Value
}

// ObjectName is the name.
func (l *Local) ObjectName() string { return l.Name }
func (*Local) object()              {}

// A Func is one function that is called, or one of its overloads.
type Func struct {
	Name    string
	Unique  string // as Global.Unique; overloads have a number behind it
	Decl    *syntax.FuncDecl
	File    *syntax.File
	Library bool
	Params  []*Local
	Result  Type // Unknown: it returns nothing; as a value that is "" or 0
	// Body is the typed body; nil for Intrinsic and Table.
	Body *Body
	// Intrinsic names the entry of the intrinsics table, for a library function
	// whose body is "%{ intrinsic:NAME %}".
	Intrinsic string
	// Table is the text behind "table:" of a library function whose body is
	// "%{ table:… %}".
	Table string
	// Priority is the declared one, 0 for a user's and 1 for a library function
	// without. Overloads are called in order of priority.
	Priority int64
	// Recursive: it can be on the stack more than once.
	Recursive bool
	// Callees are the functions that it may call, in order of first appearance.
	Callees []*Func
	// Pure: it changes nothing and prints nothing.
	Pure bool

	state    *bodyState
	guru     bool     // set by LibraryFunctions: it needs guru mode
	marks    []string // guru, pure, unprivileged, impure: as comments of an embedded body say
	embedded bool     // C that nothing can run
	used     bool
	// called: a call names it, though perhaps a wrong one.
	called bool
	// voidCalled: a call of it as a statement was left out.
	voidCalled bool
}

// A Const is a value known while elaborating.
type Const struct {
	Type Type // Long or String
	Int  int64
	Str  string
}

// A Body is what elaboration knows of one function body, one probe, or one
// condition. The nodes of an alias are shared by all probes that use it, and
// their types may differ between them, so each probe has a Body for all its
// blocks. Probes that agree in everything share one.
//
// Where the condition of an if, ?:, && or || is in Consts, only the side that is
// taken has been elaborated; the other has no entries at all.
type Body struct {
	Types  map[syntax.Expr]Type
	Idents map[*syntax.Ident]Object
	// Calls gives the overloads that a call tries, in order. A "next" in one goes on
	// with the following one.
	Calls map[*syntax.Call][]*Func
	// Consts are expressions that elaboration has decided: @defined, @enum, @const,
	// and what follows from these and literals in conditions.
	Consts map[syntax.Expr]Const
	// Targets says how to get at TargetVar, AtOp (cast, var, and what else reads the
	// target), Autocast and AddrOf expressions. An AddrOf and its operand have one
	// entry, at the AddrOf.
	Targets map[syntax.Expr]*Access
	// Exists are @defined expressions that the loader may decide on the host: the
	// expression holds when the access can be relocated. Consts holds what is true
	// of the target at hand.
	Exists map[*syntax.AtOp]*Access
	// Entries are the values that a return probe takes at entry: @entry operands and
	// target variables of the entry. Access.Entry indexes it.
	Entries []*Entry
	Locals  []*Local // parameters first
	// Elided are statements without effect.
	Elided map[syntax.Stmt]bool
	// UsesTarget: Targets or Entries depend on the probed place.
	UsesTarget bool

	bad map[syntax.Expr]bool // could not be resolved; an error tells
	// state is what resolved the body, kept for ValueOf with Options.Tools.
	state *bodyState
}

// ValueOf tells the C type of the value of an expression of the body, nil when it is
// not known, or without Options.Tools.
func (b *Body) ValueOf(x syntax.Expr) *Value {
	if b.state == nil {
		return nil
	}
	return b.state.valueOf(x, 0)
}

// An Entry is a value that is taken when a function is entered, for its return
// probe.
type Entry struct {
	X    syntax.Expr // operand of @entry, or the target variable
	Body *Body       // that types X, elaborated for the entry point
	Type Type
	// Arg is the number of the argument (from 0) when the value is an unchanged
	// argument of the function, so that a carrier that still has it at the return
	// needs no probe at entry; else -1.
	Arg int
}

// Space is an address space.
type Space uint8

// The address spaces.
const (
	KernelSpace Space = iota
	UserSpace
)

// A Value is a script's integer whose C type is known.
type Value struct {
	Type  ctype.Type
	Space Space
	// Path is the binary that the type is of, "" for the kernel.
	Path string

	module string // kernel module
}

// BaseKind tells where an Access starts.
type BaseKind uint8

// The bases.
const (
	BaseNone BaseKind = iota
	// BaseArg is argument N (from 0) of the probed tracepoint, function or hook, as
	// its calling convention passes it.
	BaseArg
	// BaseReturn is the return value.
	BaseReturn
	// BaseSyscallArg is argument N (from 0) of the system call, BaseSyscallNr its
	// number, BaseSyscallReturn its result.
	BaseSyscallArg
	BaseSyscallNr
	BaseSyscallReturn
	// BaseExpr is the value of script expression X: @cast, autocast.
	BaseExpr
	// BaseEntry is Body.Entries[N].
	BaseEntry
	// BaseLocation is where DWARF or a USDT note says, see Access.Location.
	BaseLocation
	// BaseSymbol is the address of a variable, see Access.Symbol.
	BaseSymbol
	// BaseField is N bytes into the event structure of a classic tracepoint.
	BaseField
	// BaseRegister is DWARF register N, of the kernel or the user context by Space.
	BaseRegister
	// BaseRegs is the address of the saved registers ($regs).
	BaseRegs
	// BasePerf is the value of perf counter Access.Name (@perf).
	BasePerf
	// BaseValue is what a procfs or input probe reads or writes ($value).
	BaseValue
	// BaseResult is what the handler gives to the kernel: a netfilter verdict, the
	// value of an LSM hook.
	BaseResult
	// BaseConst is Access.Const.
	BaseConst
)

// ResultKind tells what an Access yields.
type ResultKind uint8

// The results.
const (
	// ResultInt is the integer that the path arrives at.
	ResultInt ResultKind = iota
	// ResultAddr is the address that the path arrives at: "&", arrays, structures.
	ResultAddr
	// ResultPretty is the text of the object, one level ($) or deep ($$).
	ResultPretty
	// ResultVars is a list "name=value …" of Access.Vars ($$vars and its like).
	ResultVars
	// ResultString is a string constant or a string that the family gives ($$name,
	// $value).
	ResultString
	// ResultEnumName is the name of the enumerator of Type that has the value
	// (@enumname).
	ResultEnumName
)

// An Access is a resolved target variable or cast: start at Base, follow Path,
// yield Result.
type Access struct {
	Base BaseKind
	N    int
	X    syntax.Expr // of BaseExpr
	// BaseType is the C type of the base: of the argument, cast or symbol.
	BaseType ctype.Type
	// BaseAddr: the base is the address of a BaseType object (symbols, locations in
	// memory), not its value. Path then begins with the hop that loads from there.
	BaseAddr bool
	// Held: the base is a value that holds more than what the path begins with: a
	// structure in a register.
	Held     *Held
	Symbol   *Symbol
	Location *Location
	Const    Const
	Name     string // as written, with "$"

	// Path has no hops when the base itself is the value. Index holds the run-time
	// index expressions by step: Path's Dynamic.Step indexes it.
	Path  *ctype.Path
	Index []syntax.Expr

	Result ResultKind
	// Pretty is the suffix of ResultPretty and ResultVars; Deep tells that it is "$$".
	Pretty syntax.PrettyKind
	Deep   bool
	// Words are the object of a ResultPretty that lies nowhere in memory as a whole, 8
	// bytes each, lowest first.
	Words []Access
	// Type is the C type of the result; of what the address points at for
	// ResultAddr of "&", else the array.
	Type   ctype.Type
	Size   int // of the integer: 1, 2, 4, 8
	Signed bool
	// AtExit: of a system call's number, that the place is where calls return.
	AtExit bool
	Space  Space
	// Module is the kernel module whose BTF has the types, Binary the user program.
	Module, Binary string
	// Trusted: the base is a pointer that the kernel guarantees to be valid (an
	// argument of a BTF tracepoint or fentry).
	Trusted bool
	// Vars are the members of a ResultVars list, in order.
	Vars []Var
	// Write: the script assigns to it.
	Write bool
	// Counter is the probe that declares the counter of BasePerf.
	Counter *Probe

	addrOf bool
}

// Held is a part of a value of at most 8 bytes: Bits bits from bit Shift on.
type Held struct {
	Shift, Bits int
	Signed      bool
}

// A Var is one entry of a $$vars list.
type Var struct {
	Name string // without "$"
	// Access is nil when the value cannot be had; SystemTap shows "?" then.
	Access *Access
	// Type is the C type as -L shows it, "" for script variables, which have Script.
	Type   string
	Script Type
}

// A Symbol is a variable of the kernel, a module or a program.
type Symbol struct {
	Name    string
	Module  string // kernel module, "" for vmlinux
	Binary  string // user program or library
	Address uint64 // in the file, of a user program; 0 for the kernel
	PerCPU  bool
}

// A Location is where a value lies in a probed program.
type Location struct {
	// Kind is "reg" (the value is register Reg), "sum" (the value is Reg plus Offset),
	// "mem" (at the address Reg plus Offset), "const" (the value is Offset) or "parts"
	// (see Parts).
	Kind string
	// Reg is the DWARF number. Of "sum" and "mem" -1 stands for 0, or for the number
	// that Under leads to from the current task.
	Reg    int
	Under  *ctype.Path
	Index  int // second register that is added, scaled by Scale; -1 for none
	Scale  int
	Offset int64
	Shift  int // the value lies this many bits above bit 0 of Reg
	// Static: an address of one build of the program.
	Static bool
	// Offsets: of "sum" and "mem", for each the pointer at the address so far is loaded
	// and the offset added.
	Offsets []int64
	Size    int // of the value: 1, 2, 4, 8
	// Signed tells how a USDT argument widens.
	Signed bool
	// Parts are the places of a value that lies in several, lowest bytes first.
	Parts []Part
}

// A Part is a place of a part of a value.
type Part struct {
	// At is where it lies; "mem" is memory. Nil: nowhere, and Why tells the reason.
	At  *Location
	Why string
	// Off is where it begins within the value, From where within what At gives, and
	// Bytes how much of it there is, all in bytes.
	Off, From, Bytes int64
}

// A Family is a kind of probe point.
type Family uint8

// The families, as the first words of a probe point name them.
const (
	FamNone       Family = iota
	FamBegin             // begin(N)
	FamEnd               // end(N)
	FamError             // error(N)
	FamNever             // never
	FamTimer             // timer.s(N) and its like, .hz, .jiffies
	FamProfile           // timer.profile[.tick|.freq.hz(N)]
	FamTrace             // kernel.trace
	FamTracepoint        // kernel.tracepoint, module().tracepoint: positional arguments
	FamSyscall           // kernel.syscall("name"), the ground of syscall.*
	FamFunction          // kernel.function, module().function, kprobe.*
	FamStatement         // kernel.statement
	FamUFunction         // process().function, .plt
	FamUStatement        // process().statement
	FamMark              // process().mark
	FamProcess           // process.begin, .end, .thread.begin, .thread.end
	FamUSyscall          // process.syscall
	FamPerf              // perf.*
	FamData              // kernel.data, process.data
	FamProcfs            // procfs
	FamNetfilter         // netfilter.hook
	FamLSM               // lsm
)

// A Probe is one resolved probe: one handler at one place.
type Probe struct {
	// Point is the resolved point as pp() and -l print it.
	Point string
	// Chain are the points that it came from, from the resolved point's own writing
	// to the user's: aliases with their definition, wildcards.
	Chain []Derivation
	// Decl is the user's probe; Lib is set when a library file declares it.
	Decl *syntax.ProbeDecl
	Lib  bool
	// Written is the user's probe point that it came from.
	Written *syntax.ProbePoint
	// Blocks run in this order as one body: alias prologues, the probe's body,
	// epilogues. "next" in any ends all.
	Blocks []*syntax.Block
	// Conds are the "if (…)" conditions, all of which must hold.
	Conds []*Cond
	Body  *Body

	Family Family
	// Order is N of begin, end and error; ties run in the order of Probes.
	Order int64
	// Interval and Random of timers are in nanoseconds. Jiffies is set instead of
	// Interval for timer.jiffies and then counts these, as RandomJiffies does.
	Interval, Random       int64
	Jiffies, RandomJiffies int64
	// Hz is the frequency of timer.profile.freq.hz and of perf with .hz; of a plain
	// timer.profile it is 0: every tick.
	Hz int64
	// Sample is the sampling period of perf, Counter its .counter name.
	Sample  int64
	Counter string
	// Func is the probed function, tracepoint or mark; Module the kernel module or
	// Binary the user program it lies in.
	Func, Module, Binary string
	// Bits32: that is a program of 32 bits.
	Bits32    bool
	Provider  string // of a mark; the system of a tracepoint
	Return    bool   // runs when a function or system call returns
	MaxActive int64
	SyscallNr int // of FamSyscall, -1 for any
	// CompatNrs are the numbers that 32-bit programs have for the call, and Compat the
	// ways to see their calls where the others do not: events of a call are of 64-bit
	// programs only.
	CompatNrs []int
	Compat    []Carrier
	// Mux is the number that the call has in socketcall, or MuxIPC and that in ipc, by
	// which 32-bit programs of x86 may make it, 0 if none; MuxCarriers are the ways to see
	// those.
	Mux         int
	MuxCarriers []Carrier
	// Path, Umask, MaxSize and Write of procfs.
	Path           string
	Umask, MaxSize int64
	Write          bool
	// Carriers are the ways to attach, best first. Empty for probes that the loader
	// runs by itself (begin, end, error, timers).
	Carriers   []Carrier
	Optional   bool
	Sufficient bool
	// Member: one of the places that a pattern names. The kernel may refuse it.
	Member bool
	// Resident: the handler runs in the loader, for each process or thread that is
	// there when the script starts. It is a companion of a probe that waits for new
	// ones.
	Resident bool

	// ctx is what the place offers to target variables; makeCtx makes it on demand.
	ctx     *context
	makeCtx func() *context
	// callers: of a callee, the distances from its first instruction to where its
	// calls return to.
	callers []int64
	// source is where the probed function is declared, as file:line, "" if not known.
	source string
	// places are the ways to attach of a return that has several places.
	places []Carrier
	// location is the build that the places of variables are of which only debug
	// information tells.
	location string
}

// InLoader reports whether the handler has no probed context and so runs in the
// loader.
func (p *Probe) InLoader() bool {
	switch p.Family {
	case FamBegin, FamEnd, FamError, FamNever, FamTimer, FamProcfs:
		return true
	}
	return p.Resident
}

// A Derivation is one step from a resolved point to the one in the script.
type Derivation struct {
	Point string             // as written, with the alias definition when Alias is set
	Node  *syntax.ProbePoint // where
	Alias *syntax.AliasDecl  // whose name it is, nil for a wildcard or the point itself
}

// A Cond is a condition of a probe point. It reads globals only.
type Cond struct {
	X    syntax.Expr
	Body *Body
}

// A Carrier is one way to attach a probe. Which fields count depends on Kind; they
// mean what those of ir.Attach do.
type Carrier struct {
	// Kind is "raw_tp", "tp_btf", "tracepoint", "fentry", "fexit", "kprobe",
	// "kretprobe", "kprobe_multi", "kretprobe_multi", "uprobe", "uretprobe", "usdt",
	// "perf", "breakpoint", "lsm" or "netfilter"; in listings also "none".
	Kind      string
	Target    string // tracepoint ("sched_switch", or "syscalls/sys_enter_openat" of a classic one), function, hook, path of a binary
	Module    string // kernel module
	Symbol    string // user symbol
	Offset    uint64 // from Target or Symbol
	BuildID   string // that the binding needs, or ""
	Semaphore uint64
	Type      uint32
	Config    uint64
	Address   uint64
	Length    uint64
	WriteOnly bool
	Process   string
	PID       int
	TargetSet bool
	Needs     []string // features of the host
	// Spec is the argument specification of a mark.
	Spec string
	// Reason is why this one, for -v.
	Reason string
}
