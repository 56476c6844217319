// Package ir is the handler language between the compiler and the loader: a
// typed tree of expressions and statements, the table of intrinsics, and the
// memory formats that programs in the kernel and the loader share.
//
// # Two executions, one meaning
//
// A handler either runs in the loader (interpreter, package ir/interp) or as
// eBPF in the kernel (package compile/ebpf). Both must do exactly what this
// document says; random programs are run on both to prove it.
//
// # Values
//
// An Int is a 64-bit two's complement number. A Str is a byte string without
// NUL, at most Width-1 bytes long; storing a longer one truncates it silently
// to Width-1 bytes, and never more than Limits.MaxStringLen-1 bytes: where
// MAXSTRINGLEN is no multiple of 8 the limit is less than the storage. A Deferred is text that the loader makes from captured
// numbers or bytes (symbol names, stacks, pretty-printed structures): it can be
// stored, printed, used as a key and compared with a value of the same kind,
// and nothing else.
//
// # Arithmetic
//
// Add, Sub, Mul and Neg wrap. Div and Mod truncate toward zero; the divisor 0
// raises ErrDivZero at the expression's Site; MinInt64/-1 is MinInt64 and
// MinInt64%-1 is 0. Shl and Shr take the count modulo 64; Shr is arithmetic.
// Comparisons, Not, LogAnd, LogOr give 0 or 1. LogAnd, LogOr and Cond evaluate
// only what they must. Str comparisons compare bytes as unsigned, shorter
// prefix first. Operands, keys and arguments are evaluated left to right, and
// each operand's value is fixed when it is evaluated: in x + (x = 5) the left
// operand is the old x.
//
// # Variables
//
// Locals are zero or "" when a handler or function is entered. Reading a
// missing array element gives 0, "" or an empty aggregate and creates nothing.
// Update and StatAdd create the element. Creating one beyond MaxEntries raises
// ErrArrayFull, or, for a Wrap array, first removes the entry that was created
// longest ago. Update of an existing element does not change its place in
// creation order.
//
// # Aggregates
//
// count and sum wrap. avg is sum/count truncated toward zero. Min, Max, Avg,
// Variance and a histogram of an aggregate with count 0 raise ErrEmptyStat;
// Count and Sum give 0. Variance is the sample variance as SystemTap computes
// it, see StatShape.
//
// # Calls
//
// Arguments are stored in the callee's first locals, truncated to their types.
// A function that ends without Return, or by Return without X, gives 0 or "". A
// call of a Recursive function when Limits.MaxNesting calls of recursive
// functions (of any of them, together) are active raises ErrMaxNesting at its
// Site; other calls are not counted.
//
// # Regular expressions
//
// A Match that succeeds sets the invocation's sub-expressions, one that fails
// clears them; Negate only inverts the result. matched(n) and ngroups() raise
// ErrNoMatch if the last Match failed or there was none, matched(n) raises
// ErrNoGroup for n < 0 or beyond the groups of that expression and gives "" for
// a group that took no part. ngroups() counts the whole match too. The match is
// the leftmost, and among those the longest (POSIX).
//
// # Regions and locks
//
// Of a region program the Result is evaluated after Body, before any lock that
// Body took and did not release is released. A kernel handler that ends in any
// way releases its lock. Lock in a region that cannot be had gives RegionBusy.
//
// # Errors
//
// An error is a code with a site and an argument. It unwinds to the nearest
// enclosing Try of the handler or of a calling function; the catch variable
// gets ErrText. ErrMaxAction is never caught. An error that leaves the handler
// ends it: what was printed and stored before stays, the error is reported and
// counted once, and the session ends in state SessError when more than
// MaxErrors have been counted.
//
// # Ticks
//
// Tick n adds n to the invocation's action count and raises ErrMaxAction at its
// site when the count then exceeds the limit. Ticks are inserted before any
// optimisation; the optimiser may merge but never move them across an effect.
//
// # What may differ between the two executions
//
// Time, CPU, the current task, addresses, the order of entries with equal sort
// keys, and skipped invocations. Nothing else.
package ir
