package ir

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
)

// SessState is the state word of the session block.
type SessState uint64

// The session states.
const (
	SessStarting SessState = iota // attaching; handlers return uncounted
	SessRunning
	SessStopping // exit() or a signal; end probes follow
	SessError    // too many errors; error probes follow
)
