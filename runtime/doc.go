// Package loader runs a compiled script: it loads the programs of the object
// into the kernel, attaches them, runs the handlers that belong to the loader,
// prints what all of them print, and takes everything down again.
//
// # A run
//
//	STARTING   programs are loaded and attached; their handlers return at once
//	           (the state word says so) and nothing is counted
//	           begin probes, in ascending order, on the interpreter
//	RUNNING    timers start, the child of -c is let go
//	STOPPING   after exit(), a signal, the end of the child, a timeout;
//	           or ERROR, after more errors than MAXERRORS
//	           links are closed, a grace period passes, the ring is drained
//	           end probes (STOPPING) or error probes (ERROR), ascending
//	           globals that were written but never read, then the counters
//
// exit() or an error in a begin probe goes from STARTING straight to the last
// part. Whatever fails to load or attach is reported before the first begin
// probe has printed anything.
//
// # Where a global is
//
// A global that only loader handlers touch is in the interpreter's own store.
// The others live in the kernel's maps while programs are attached, and in a
// store of the session before and after: what begin probes wrote is copied to
// the maps before RUNNING, what the maps hold is copied back before the end
// probes. So begin and end probes run on plain memory with exact semantics, and
// only the handlers in between (timers and the like) deal with concurrency:
//
//   - a scalar number is one word of the memory-mapped session block;
//   - arrays and strings are read as snapshots;
//   - what must be atomic is a region: a small program of the script's own code
//     that takes the same locks as the kernel's handlers, run by the loader;
//   - an array that a loader handler clears has generations: the handler puts an
//     empty map in place, waits until no program can hold on to the old one, and
//     then owns the old one's content (type generations).
//
// # Output
//
// A kernel handler sends one record when it ends, a loader handler writes its
// text when it ends, after everything that was in the ring when it began.
// Everything lost is counted and reported.
package loader
