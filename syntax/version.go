package syntax

// CompareVersions orders version strings as the C library's strverscmp does: runs of
// digits compare by value, runs with leading zeros as fractions, all else by byte.
func CompareVersions(a, b string) int {
	// States follow what the strings had in common: nothing numeric (normal), an
	// integer, or a run that began with zero (fraction).
	const normal, integral, fraction, zeros = 0, 1, 2, 3
	state := normal
	digit := func(s string, i int) bool { return i < len(s) && s[i] >= '0' && s[i] <= '9' }
	at := func(s string, i int) int {
		if i < len(s) {
			return int(s[i])
		}
		return 0
	}
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		switch c := a[i]; {
		case c == '0' && (state == normal || state == zeros):
			state = zeros
		case c >= '0' && c <= '9':
			if state == normal {
				state = integral
			} else if state == zeros {
				state = fraction
			}
		default:
			state = normal
		}
		i++
	}
	if i == len(a) && i == len(b) {
		return 0
	}
	diff := at(a, i) - at(b, i)
	da, db := digit(a, i), digit(b, i)
	switch state {
	case normal:
		if !da || !db {
			return diff
		}
		if a[i] == '0' || b[i] == '0' {
			return diff
		}
	case integral:
		if !da && !db {
			return diff
		}
	case zeros:
		if !da && db {
			return 1 // "0" before "00": a run of zeros that goes on is smaller
		}
		if da && !db {
			return -1
		}
		return diff
	case fraction:
		return diff
	}
	// Two integers: the longer run of digits is the larger number.
	for j := i; ; j++ {
		da, db := digit(a, j), digit(b, j)
		switch {
		case da && !db:
			return 1
		case !da && db:
			return -1
		case !da:
			return diff
		}
	}
}

// MatchGlob reports whether s matches a shell pattern with *, ? and […], as the C
// library's fnmatch does with backslashes taken literally.
func MatchGlob(pattern, s string) bool {
	p, i, star, mark := 0, 0, -1, 0
	for i < len(s) {
		ok, next := false, p
		if p < len(pattern) {
			if pattern[p] == '*' {
				star, mark = p, i
				p++
				continue
			}
			ok, next = matchOne(pattern, p, s[i])
		}
		switch {
		case ok:
			p = next
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// matchOne matches one byte against the pattern element at p and gives the index
// behind the element.
func matchOne(pattern string, p int, c byte) (bool, int) {
	switch pattern[p] {
	case '?':
		return true, p + 1
	case '[':
		q, negated, hit := p+1, false, false
		if q < len(pattern) && (pattern[q] == '!' || pattern[q] == '^') {
			negated = true
			q++
		}
		for first := true; q < len(pattern) && (pattern[q] != ']' || first); first = false {
			lo, hi := pattern[q], pattern[q]
			if q+2 < len(pattern) && pattern[q+1] == '-' && pattern[q+2] != ']' {
				hi = pattern[q+2]
				q += 2
			}
			q++
			if lo <= c && c <= hi {
				hit = true
			}
		}
		if q < len(pattern) { // else the bracket is unclosed and stands for itself
			return hit != negated, q + 1
		}
	}
	return pattern[p] == c, p + 1
}

// hasGlob reports whether a pattern has wildcards.
func hasGlob(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] == '*' || s[i] == '?' || s[i] == '[' {
			return true
		}
	}
	return false
}
