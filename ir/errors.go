package ir

import "fmt"

// ErrCode is a run-time error.
type ErrCode uint16

// The run-time errors. Their texts, which try/catch sees and which the loader
// prints after "ERROR: ", are made by ErrText.
const (
	ErrNone        ErrCode = iota
	ErrUser                // error(): the text is the string argument
	ErrDivZero             // division by 0
	ErrEmptyStat           // empty aggregate
	ErrArrayFull           // Array overflow, check size limit (N); Arg is the limit
	ErrMaxAction           // MAXACTION exceeded; cannot be caught
	ErrMaxNesting          // MAXNESTING exceeded
	ErrExhausted           // all functions exhausted
	ErrKernelFault         // read fault [man error::fault] at 0x…
	ErrUserFault           // read fault at a user address
	ErrKernelStr           // kernel string copy fault at 0x… [man error::fault]
	ErrUserStr             // user string copy fault -14 at 0x… [man error::fault]
	ErrPosition            // Position out of bounds
	ErrBucket              // histogram index out of range
	ErrTime                // Time too far in the future to be converted
	ErrNoContext           // the probe has no such context (registers …)
	ErrInternal            // a defect of ours; Arg tells which
	ErrNoMatch             // matched() or ngroups() without a successful match before; Arg is n, -1 for ngroups()
	ErrNoGroup             // matched(n): the regular expression has no sub-expression n; Arg is n
	ErrResult              // the kernel takes no such result from the probe; Arg is the value
	numErrCodes
)

// Fault reports whether memory could not be read.
func (c ErrCode) Fault() bool { return c == ErrKernelFault || c == ErrUserFault }

// String names the code as its constant does.
func (c ErrCode) String() string {
	if c < numErrCodes {
		return errNames[c]
	}
	return fmt.Sprintf("ErrCode(%d)", uint16(c))
}

var errNames = [numErrCodes]string{
	"ErrNone", "ErrUser", "ErrDivZero", "ErrEmptyStat", "ErrArrayFull", "ErrMaxAction", "ErrMaxNesting",
	"ErrExhausted", "ErrKernelFault", "ErrUserFault", "ErrKernelStr", "ErrUserStr", "ErrPosition",
	"ErrBucket", "ErrTime", "ErrNoContext", "ErrInternal", "ErrNoMatch", "ErrNoGroup", "ErrResult",
}

// ErrText returns the text of a run-time error as SystemTap words it, without
// the place: what a catch variable gets and what follows "ERROR: ". detail is
// the text of ErrUser and otherwise empty.
func ErrText(code ErrCode, arg int64, detail string) string {
	switch code {
	case ErrNone:
		return ""
	case ErrUser:
		return detail
	case ErrDivZero:
		return "division by 0"
	case ErrEmptyStat:
		return "empty aggregate"
	case ErrArrayFull:
		return fmt.Sprintf("Array overflow, check size limit (%d)", arg)
	case ErrMaxAction:
		return "MAXACTION exceeded"
	case ErrMaxNesting:
		return "MAXNESTING exceeded"
	case ErrExhausted:
		return "all functions exhausted"
	case ErrKernelFault, ErrUserFault:
		return fmt.Sprintf("read fault [man error::fault] at %#x", uint64(arg))
	case ErrKernelStr:
		return fmt.Sprintf("kernel string copy fault at %#x [man error::fault]", uint64(arg))
	case ErrUserStr:
		return fmt.Sprintf("user string copy fault -14 at %#x [man error::fault]", uint64(arg))
	case ErrPosition:
		return "Position out of bounds"
	case ErrBucket:
		return "histogram index out of range"
	case ErrTime:
		return "Time too far in the future to be converted"
	case ErrNoContext:
		return "no such context in this probe"
	case ErrNoMatch:
		if arg < 0 {
			return "Attempted to get subexpression count from failed match"
		}
		return fmt.Sprintf("Attempted to get subexpression %d from failed match", arg)
	case ErrNoGroup:
		return fmt.Sprintf("Attempted to get nonexistent subexpression %d", arg)
	case ErrResult:
		return fmt.Sprintf("%d cannot be the result of this probe", arg)
	case ErrInternal:
		return fmt.Sprintf("internal error %d", arg)
	}
	return fmt.Sprintf("unknown error %d (%d)", uint16(code), arg)
}

// SessState is the state word of the session block.
type SessState uint64

// The session states.
const (
	SessStarting SessState = iota // attaching; handlers return uncounted
	SessRunning
	SessStopping // exit() or a signal; end probes follow
	SessError    // too many errors; error probes follow
)
