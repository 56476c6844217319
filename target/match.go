package target

import "strings"

// Match reports whether a name matches a pattern of *, ? and [sets] as in
// fnmatch: a set may have ranges and start with ! or ^ to mean its complement,
// a backslash makes the next character ordinary. Nothing is special about '/'
// or a leading period.
func Match(pattern, name string) bool {
	// Backtracking to the last star only: linear for one star, at worst
	// len(pattern)*len(name).
	p, n := 0, 0
	star, mark := -1, 0
	for n < len(name) {
		if p < len(pattern) {
			if pattern[p] == '*' {
				star, mark = p, n
				p++
				continue
			}
			if w, ok := matchOne(pattern[p:], name[n]); ok {
				p += w
				n++
				continue
			}
		}
		if star < 0 {
			return false
		}
		mark++
		p, n = star+1, mark
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// matchOne matches a character against the first element of a pattern, which
// is no star, and gives the length of the element.
func matchOne(pattern string, c byte) (width int, ok bool) {
	switch pattern[0] {
	case '?':
		return 1, true
	case '\\':
		if len(pattern) > 1 {
			return 2, pattern[1] == c
		}
		return 1, c == '\\'
	case '[':
		if w, ok := matchSet(pattern, c); w > 0 {
			return w, ok
		}
		return 1, c == '[' // without an end it is ordinary
	}
	return 1, pattern[0] == c
}

// matchSet gives width 0 when the set has no end.
func matchSet(pattern string, c byte) (width int, ok bool) {
	i := 1
	negate := false
	if i < len(pattern) && (pattern[i] == '!' || pattern[i] == '^') {
		negate = true
		i++
	}
	for first := true; i < len(pattern); first = false {
		if pattern[i] == ']' && !first {
			return i + 1, ok != negate
		}
		lo := pattern[i]
		if lo == '\\' && i+1 < len(pattern) {
			i++
			lo = pattern[i]
		}
		i++
		hi := lo
		if i+1 < len(pattern) && pattern[i] == '-' && pattern[i+1] != ']' {
			hi = pattern[i+1]
			i += 2
		}
		if lo <= c && c <= hi {
			ok = true
		}
	}
	return 0, false
}

// IsPattern reports whether a string has any of the characters that Match
// treats specially.
func IsPattern(s string) bool { return strings.ContainsAny(s, `*?[\`) }

// literalPrefix is the part of a pattern before its first special character:
// all names that match begin with it.
func literalPrefix(pattern string) string {
	if i := strings.IndexAny(pattern, `*?[\`); i >= 0 {
		return pattern[:i]
	}
	return pattern
}
