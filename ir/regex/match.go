package regex

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Regexp is a compiled pattern. It may be used by several goroutines.
type Regexp struct {
	root   *node
	groups int
	re     *regexp.Regexp
}

// Compile parses a pattern. The error, if any, is an *Error.
func Compile(pattern string) (*Regexp, error) {
	n, groups, err := parse(pattern)
	if err != nil {
		return nil, err
	}
	// The standard library's engine matches by runes. A byte is given to it as
	// the rune of that number, so that each byte is one place, as in the kernel.
	var b strings.Builder
	n.write(&b)
	re, err := regexp.Compile(b.String())
	if err != nil {
		return nil, &Error{Message: "regular expression too large"}
	}
	re.Longest()
	return &Regexp{root: n, groups: groups, re: re}, nil
}

// Groups returns the number of parenthesised sub-expressions.
func (r *Regexp) Groups() int { return r.groups }

// Match reports whether s has a match.
func (r *Regexp) Match(s string) bool { return r.re.MatchString(widen(s)) }

// Find returns the start and end of the match and of each sub-expression in s,
// two numbers each, -1 for one that took no part; nil if there is no match.
func (r *Regexp) Find(s string) []int {
	w := widen(s)
	loc := r.re.FindStringSubmatchIndex(w)
	if len(w) != len(s) {
		for i, off := range loc {
			if off > 0 {
				loc[i] = utf8.RuneCountInString(w[:off])
			}
		}
	}
	return loc
}

// widen returns s with each byte as the rune of that number.
func widen(s string) string {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			b := make([]byte, 0, 2*len(s))
			for j := 0; j < len(s); j++ {
				b = utf8.AppendRune(b, rune(s[j]))
			}
			return string(b)
		}
	}
	return s
}

// write writes n in the syntax of the standard library.
func (n *node) write(b *strings.Builder) {
	switch n.kind {
	case empty:
		b.WriteString("(?:)")
	case set:
		n.set.write(b)
	case begin:
		b.WriteString(`\A`)
	case end:
		b.WriteString(`\z`)
	case cat:
		for _, s := range n.subs {
			s.write(b)
		}
	case alt:
		b.WriteString("(?:")
		for i, s := range n.subs {
			if i > 0 {
				b.WriteByte('|')
			}
			s.write(b)
		}
		b.WriteByte(')')
	case group:
		b.WriteByte('(')
		n.subs[0].write(b)
		b.WriteByte(')')
	case repeat:
		b.WriteString("(?:")
		n.subs[0].write(b)
		b.WriteByte(')')
		switch {
		case n.lo == 0 && n.hi == 1:
			b.WriteByte('?')
		case n.lo == 0 && n.hi < 0:
			b.WriteByte('*')
		case n.lo == 1 && n.hi < 0:
			b.WriteByte('+')
		case n.hi < 0:
			fmt.Fprintf(b, "{%d,}", n.lo)
		default:
			fmt.Fprintf(b, "{%d,%d}", n.lo, n.hi)
		}
	}
}

func (s *byteSet) write(b *strings.Builder) {
	any := false
	b.WriteByte('[')
	for c := 0; c < 256; c++ {
		if !s.has(byte(c)) {
			continue
		}
		lo := c
		for c < 255 && s.has(byte(c+1)) {
			c++
		}
		fmt.Fprintf(b, `\x{%x}-\x{%x}`, lo, c)
		any = true
	}
	if !any {
		b.WriteString(`^\x{0}-\x{10ffff}`)
	}
	b.WriteByte(']')
}
