package interp

import (
	"errors"

	"stapkit/ir"
)

// Value is a run-time value. The zero Value has kind Void.
type Value struct {
	Kind ir.Kind // Int, Str or Deferred
	Text ir.Text // kind of a Deferred
	I    int64   // Int
	S    string  // Str: its bytes, no NUL; Deferred: its payload, as ir.Text lays it out
}

// IntValue returns a number.
func IntValue(i int64) Value { return Value{Kind: ir.Int, I: i} }

// StrValue returns a string.
func StrValue(s string) Value { return Value{Kind: ir.Str, S: s} }

// DeferredValue returns deferred text with the payload.
func DeferredValue(t ir.Text, payload string) Value {
	return Value{Kind: ir.Deferred, Text: t, S: payload}
}

// Zero returns the value that an unset variable of type t has.
func Zero(t ir.Type) Value { return Value{Kind: t.Kind, Text: t.Text} }

// Error is a run-time error of the script.
type Error struct {
	Code   ir.ErrCode
	Site   int    // index into Program.Sites; -1: the place that the interpreter executes
	Arg    int64  // address, limit …, see ir.ErrText
	Detail string // ErrUser: the text

	// host is set when it is not an error of the script: what an Env returned,
	// or errAbort, errInterrupted. Nothing catches it.
	host error
}

// Error returns the text that the catch variable gets.
func (e *Error) Error() string {
	if e.host != nil {
		return e.host.Error()
	}
	return ir.ErrText(e.Code, e.Arg, e.Detail)
}

// NewError returns an error for the place that the interpreter executes.
func NewError(code ir.ErrCode, arg int64) *Error { return &Error{Code: code, Site: -1, Arg: arg} }

// ErrSkip, returned by a method of Env (also wrapped), ends the invocation
// uncaught as a skipped one; the Env has counted why.
var ErrSkip = errors.New("invocation skipped")

// Element is one element of an array: Val, or Stat if the array holds
// aggregates.
type Element struct {
	Keys []Value
	Val  Value
	Stat *Stat
}

// Globals is where script globals live. Scalars are addressed with nil keys.
// Key and value slices belong to the caller and are not kept. An *Error that a
// method returns is an error of the script (ErrArrayFull …) and can be caught;
// any other error ends the invocation and is returned by Run as it is.
type Globals interface {
	// Get reads a scalar or an element; a missing element gives the zero value
	// and false.
	Get(g int, keys []Value) (Value, bool, error)
	// Update applies op (OpSet, or a binary operator of ir.Update) to the old
	// value and r and stores the result, truncated to the global's type, as
	// one atomic step. It creates a missing element. Div and Mod by zero are
	// ErrDivZero.
	Update(g int, keys []Value, op ir.Op, r Value) (old, stored Value, err error)
	// StatAdd adds v to an aggregate, creating it.
	StatAdd(g int, keys []Value, v int64) error
	// Stat reads an aggregate, merged over the CPUs. A missing one is empty or
	// nil. The caller does not change it, and it stays as it is until the
	// next call of a method.
	Stat(g int, keys []Value) (*Stat, error)
	// Delete removes an element, or resets a scalar to zero (nil keys).
	Delete(g int, keys []Value) error
	// Clear empties an array.
	Clear(g int) error
	// Snapshot lists an array's elements in creation order. The caller may
	// reorder the slice, but the elements' keys belong to the store.
	Snapshot(g int) ([]Element, error)
}

// Env is what a handler sees of the world. In the loader it is the session;
// tests use Mem. Its methods are called from the goroutine that called Run, one
// at a time. The rule for errors stands at Globals.
type Env interface {
	// Globals serves the globals whose Share is not LoaderOnly; the others are
	// in the machine's own Store.
	Globals

	// Region runs region id of the program as one atomic step: params are its
	// Handler.Params in order, and those marked Out are to be overwritten, also
	// when an error is returned. If done is false, the interpreter
	// executes the body in place, over the same Globals.
	Region(id int, params []Value) (result Value, done bool, err error)

	// Print prints args by format number f of the program; deferred text among
	// them is the Env's to resolve.
	Print(f int, args []Value) error
	// PrintHist prints the histogram of aggregate s, which is not empty, of
	// global g.
	PrintHist(g int, s *Stat) error
	// Warn sends a warning.
	Warn(text string) error
	// Exit asks for the end of the session (exit(), and abort()).
	Exit() error
	// System has a command run after the handler.
	System(cmd string) error

	// Intrinsic executes those intrinsics that depend on the world: the
	// current task, CPU and time, ITarget, ILoaderPid, IRandom, ISignal, IReg,
	// IUReg, IHasRegs, IUserMode, IArg, IRetval, IFuncIP, IHz. What the context
	// lacks is ErrNoContext.
	Intrinsic(id ir.IntrinsicID, args []Value) (Value, error)
	// ReadMem fills buf from memory. It is all or nothing; any error is a
	// fault at addr.
	ReadMem(space ir.Space, addr uint64, buf []byte) error
	// ReadStr reads a NUL-terminated string of at most max bytes, without the
	// NUL. Any error is a fault at addr.
	ReadStr(space ir.Space, addr uint64, max int) (string, error)
	// CtxArg is the n-th word of the context (ir.CtxArg), before narrowing.
	CtxArg(n int) (int64, error)
	// CtxBytes fills buf from the context structure (ir.CtxField).
	CtxBytes(off int, buf []byte) error
	// Member resolves a member on the running kernel; ok false means that it
	// does not exist there. With access "" it asks for the type alone. It is
	// asked once per expression, when the handler is compiled.
	Member(typeID int, access string) (m Member, ok bool)
	// Text makes text of a deferred value, for what observes it (sprintf,
	// comparison, sorting).
	Text(v Value) (string, error)
}

// Member is where a structure member is on the running kernel. KeepCompiled
// says that the numbers of the ir.Field hold.
type Member struct {
	KeepCompiled    bool
	Off, Size       int // bytes; Size of the storage unit of a bit-field
	Signed          bool
	BitOff, BitSize int // BitSize 0: not a bit-field
}
