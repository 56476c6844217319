// Package sema elaborates scripts: from the trees of the user's files it finds the
// library files that they need, resolves names, overloads, aliases, probe points
// and target variables, infers all types, and says what is wrong in SystemTap's
// words. Its result, a Program, is what the planner, the linter and the editor
// work on; List answers -l and -L.
//
// It needs neither root nor a kernel: what can be probed is asked of a target,
// which may be the running kernel, a file, or nothing at all.
package sema
