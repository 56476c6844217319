package sema

import (
	"strings"

	"github.com/ianlancetaylor/demangle"

	"stapkit/target"
)

// demangled gives the name of a function as C++ or Rust source has it: with the types
// of its parameters, and without. ok is false for a name that is not mangled.
func demangled(symbol string) (full, short string, ok bool) {
	if !strings.HasPrefix(symbol, "_Z") && !strings.HasPrefix(symbol, "_R") && !strings.HasPrefix(symbol, "__Z") {
		return "", "", false
	}
	full, err := demangle.ToString(symbol)
	if err != nil {
		return "", "", false
	}
	short, err = demangle.ToString(symbol, demangle.NoParams, demangle.NoTemplateParams)
	if err != nil {
		short = full
	}
	return full, short, true
}

// isQualified reports whether a pattern is one of names as source has them, such as
// "ns::Class::method", "f(int)" or "vec<int>::push".
func isQualified(pattern string) bool {
	return strings.Contains(pattern, "::") || strings.Contains(pattern, "(")
}

// matchQualified reports whether a mangled name is what a person means by a pattern: the
// whole name, or its last components. Parameters and template arguments may be left
// out; "::" in front means that nothing is left out before it.
func matchQualified(pattern, symbol string) bool {
	full, short, ok := demangled(symbol)
	if !ok {
		return false
	}
	anchored := strings.HasPrefix(pattern, "::")
	pattern = strings.TrimPrefix(pattern, "::")
	for _, name := range []string{full, short} {
		if target.Match(pattern, name) {
			return true
		}
		// The types of parameters have "::", too.
		head := len(name)
		if i := strings.IndexByte(name, '('); i >= 0 {
			head = i
		}
		for i := 0; !anchored && i < head; {
			k := strings.Index(name[i:head], "::")
			if k < 0 {
				break
			}
			i += k + 2
			if target.Match(pattern, name[i:]) {
				return true
			}
		}
	}
	return false
}

// lastComponent is the bare name of a qualified pattern, as debug information has it.
func lastComponent(pattern string) string {
	depth, from := 0, 0
	for i := 0; i < len(pattern); i++ {
		switch pattern[i] {
		case '<':
			depth++
		case '>':
			depth--
		case '(':
			if depth == 0 {
				return strings.TrimSpace(pattern[from:i])
			}
		case ':':
			if depth == 0 {
				from = i + 1
			}
		}
	}
	return pattern[from:]
}
