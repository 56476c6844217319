// Package query answers what an editor asks about a script: hover, completion,
// signatures, definitions, references, symbols and the like, as plain Go values,
// with no protocol and no editor in sight.
//
// An Env is what scripts are read for: a target, the library with further
// directories, options. A Snapshot is one state of one script in an Env; it never
// changes, so that any number of questions can be asked of it at once. Offsets count
// bytes from the start of the text; diag.Pos is used where a place may lie in another
// file.
//
// All answers are made for text that is being typed: they come from the recovered
// tree and from elaboration where it got through, and from the tokens where it did
// not.
package query
