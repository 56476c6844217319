package diag

import (
	"fmt"
	"sort"
	"strings"
)

// Info describes one code: what every diagnostic that carries it has in common.
type Info struct {
	Code     Code
	Severity Severity // what New gives a diagnostic of this code
	Title    string   // one line, lower case, without the details of a single case
	Doc      string   // Markdown for the page of the code: what it means, an example, what to do
}

// Family returns the group that a code belongs to, by its prefix: "parse",
// "semantic", "compile", "lint" or "run"; "" when the code has no known shape.
func (c Code) Family() string {
	for _, f := range families {
		if digits, ok := strings.CutPrefix(string(c), f.prefix); ok && len(digits) == f.digits && isDigits(digits) {
			return f.name
		}
	}
	return ""
}

// families lists the shapes a code may have: the prefix and how many digits
// follow it.
var families = []struct {
	prefix string
	digits int
	name   string
}{
	{"E0", 3, "parse"},
	{"E1", 3, "semantic"},
	{"E2", 3, "compile"},
	{"ST", 4, "lint"},
	{"R", 3, "run"},
}

func isDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// registry is written only while packages initialise, which Go does in one
// goroutine; afterwards it is read only.
var registry = map[Code]Info{}

// Register adds a code and returns it, so that a package declares its codes as
//
//	var codeX = diag.Register(diag.Info{Code: "E0001", …})
//
// in package-level variables of its codes.go. It panics when the code is taken,
// has no known shape or lacks a title: all are mistakes in the program, found by
// whatever test links the package.
func Register(info Info) Code {
	if info.Code.Family() == "" {
		panic(fmt.Sprintf("diag: code %q has none of the shapes E0nnn, E1nnn, E2nnn, STnnnn, Rnnn", info.Code))
	}
	if info.Title == "" {
		panic(fmt.Sprintf("diag: code %s has no title", info.Code))
	}
	if old, ok := registry[info.Code]; ok {
		panic(fmt.Sprintf("diag: code %s registered twice: %q and %q", info.Code, old.Title, info.Title))
	}
	registry[info.Code] = info
	return info.Code
}

// Lookup returns what is registered for a code.
func Lookup(code Code) (Info, bool) {
	info, ok := registry[code]
	return info, ok
}

// All returns every code that the linked packages registered, in order of code.
func All() []Info {
	all := make([]Info, 0, len(registry))
	for _, info := range registry {
		all = append(all, info)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Code < all[j].Code })
	return all
}
