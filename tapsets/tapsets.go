// Package tapsets holds stapkit's library of SystemTap functions, probe aliases
// and macros, written in the language itself, and an index of it, so that a
// program that uses three functions reads three files.
//
// Two kinds of functions have no script body: %{ intrinsic:NAME %} stands for an
// entry of the intrinsics table of package ir, %{ table:NAME %} for a table of
// names that Lookup returns.
package tapsets

import (
	"embed"
	"sort"
	"strings"
)

//go:generate go run stapkit/internal/gen/syscalls -aliases lib
//go:generate go run stapkit/internal/gen/tapsets
//go:generate go run stapkit/internal/gen/tapsetdocs ../docs

//go:embed lib
var lib embed.FS

// Prefix begins the name of every library file, as diagnostics show it.
const Prefix = "tapset/"

// Read returns the text of a library file by its name, with Prefix.
func Read(name string) ([]byte, bool) {
	if len(name) <= len(Prefix) || name[:len(Prefix)] != Prefix {
		return nil, false
	}
	b, err := lib.ReadFile("lib/" + name[len(Prefix):])
	return b, err == nil
}

// Files returns the names of all library files, sorted.
func Files() []string {
	return append([]string(nil), files...)
}

// FuncFiles returns the files that define public functions of that name.
func FuncFiles(name string) []string { return named(funcs[name]) }

// GlobalFiles returns the files that declare a public global of that name.
func GlobalFiles(name string) []string { return named(globals[name]) }

// AliasFiles returns the files with probe aliases whose first component has
// that name.
func AliasFiles(component string) []string { return named(aliases[component]) }

// AliasFilesFor returns the files with probe aliases whose first two components have
// these names; second is "" for aliases of one component.
func AliasFilesFor(first, second string) []string { return named(points[first+"."+second]) }

// AliasSeconds returns the second components of the aliases with that first
// component, sorted; "" stands for an alias of one component.
func AliasSeconds(first string) []string {
	var c []string
	for name := range points {
		if a, b, _ := strings.Cut(name, "."); a == first {
			c = append(c, b)
		}
	}
	sort.Strings(c)
	return c
}

// AliasComponents returns the first components of all aliases, sorted.
func AliasComponents() []string {
	var c []string
	for name := range aliases {
		c = append(c, name)
	}
	sort.Strings(c)
	return c
}

// Funcs returns the names of all public functions, sorted.
func Funcs() []string {
	var c []string
	for name := range funcs {
		c = append(c, name)
	}
	sort.Strings(c)
	return c
}

// MacroFiles returns the files that define the library macros; nil unless one
// of the names is among theirs.
func MacroFiles(name string) []string { return named(macros[name]) }

func named(index []int) []string {
	var out []string
	for _, i := range index {
		out = append(out, files[i])
	}
	return out
}

// Entry is a number with its name.
type Entry struct {
	Value int64
	Name  string
}

// Table is a table of names, of single values or, if Flags is set, of bits.
type Table struct {
	Flags   bool
	Entries []Entry // sorted by Value
	Default string  // for a number without name: fixed text, or a format with one directive
}

// Lookup returns the table of that name.
func Lookup(name string) (Table, bool) {
	t, ok := tables[name]
	return t, ok
}
