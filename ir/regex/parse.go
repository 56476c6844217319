// Package regex is SystemTap's regular expressions: POSIX extended ones over
// bytes. It parses them, matches with sub-expressions for the interpreter, and
// makes deterministic automata for the kernel.
//
// Literal bytes; . for any byte; [a-z], [^…] and the classes [:alpha:] …;
// ( ) and (?: ), which has no number | ; * + ? {n} {n,} {n,m}; ^ and $ for the ends of the string; \ before
// any byte takes it literally. A match may begin anywhere. Of several matches
// the leftmost counts, and of those the longest.
package regex

import (
	"fmt"
	"strings"
)

// maxRepeat is the largest count in braces (POSIX's RE_DUP_MAX), maxDepth the
// deepest nesting, and maxSize how many places the expression may have after
// its counted repetitions are written out.
const (
	maxRepeat = 255
	maxDepth  = 200
	maxSize   = 20000
)

// Error tells what is wrong with a pattern and at which byte.
type Error struct {
	Offset  int
	Message string
}

// Error returns the message with its offset.
func (e *Error) Error() string { return fmt.Sprintf("offset %d: %s", e.Offset, e.Message) }

type kind uint8

const (
	empty kind = iota
	set        // one byte out of set
	begin      // ^
	end        // $
	cat
	alt
	repeat // subs[0], lo to hi times; hi -1: without limit
	group  // subs[0], numbered
)

type node struct {
	kind   kind
	set    byteSet
	subs   []*node
	lo, hi int
	num    int
	size   int // places when repetitions are written out
}

// byteSet is a set of bytes.
type byteSet [4]uint64

func (s *byteSet) add(c byte)      { s[c>>6] |= 1 << (c & 63) }
func (s *byteSet) has(c byte) bool { return s[c>>6]>>(c&63)&1 != 0 }

func (s *byteSet) addRange(lo, hi byte) {
	for c := int(lo); c <= int(hi); c++ {
		s.add(byte(c))
	}
}

func (s *byteSet) negate() {
	for i := range s {
		s[i] = ^s[i]
	}
}

type parser struct {
	src    string
	pos    int
	depth  int
	groups int
}

func parse(pattern string) (n *node, groups int, err error) {
	p := &parser{src: pattern}
	n, err = p.alternatives()
	if err == nil && p.pos < len(p.src) {
		err = p.fail(p.pos, "unmatched )")
	}
	if err != nil {
		return nil, 0, err
	}
	return n, p.groups, nil
}

func (p *parser) fail(at int, format string, args ...any) error {
	return &Error{Offset: at, Message: fmt.Sprintf(format, args...)}
}

func (p *parser) more() bool { return p.pos < len(p.src) }

func (p *parser) alternatives() (*node, error) {
	n := &node{kind: alt}
	for {
		sub, err := p.sequence()
		if err != nil {
			return nil, err
		}
		n.subs = append(n.subs, sub)
		n.size += sub.size + 1
		if !p.more() || p.src[p.pos] != '|' {
			break
		}
		p.pos++
	}
	if len(n.subs) == 1 {
		return n.subs[0], nil
	}
	return n, nil
}

func (p *parser) sequence() (*node, error) {
	n := &node{kind: cat}
	for p.more() && p.src[p.pos] != '|' && p.src[p.pos] != ')' {
		at := p.pos
		sub, err := p.atom()
		if err != nil {
			return nil, err
		}
		for depth := 0; p.more() && strings.IndexByte("*+?{", p.src[p.pos]) >= 0; depth++ {
			if depth > maxDepth {
				return nil, p.fail(p.pos, "regular expression nested too deep")
			}
			if p.src[at] == '^' || p.src[at] == '$' {
				return nil, p.fail(p.pos, "%c cannot repeat %c", p.src[p.pos], p.src[at])
			}
			if sub, err = p.repetition(sub); err != nil {
				return nil, err
			}
		}
		n.subs = append(n.subs, sub)
		if n.size += sub.size; n.size > maxSize {
			return nil, p.fail(at, "regular expression too large")
		}
	}
	switch len(n.subs) {
	case 0:
		return &node{kind: empty, size: 1}, nil
	case 1:
		return n.subs[0], nil
	}
	return n, nil
}

func (p *parser) repetition(sub *node) (*node, error) {
	at := p.pos
	n := &node{kind: repeat, subs: []*node{sub}, hi: -1}
	c := p.src[p.pos]
	p.pos++
	switch c {
	case '+':
		n.lo = 1
	case '?':
		n.hi = 1
	case '{':
		var err error
		if n.lo, err = p.number(); err != nil {
			return nil, err
		}
		n.hi = n.lo
		if p.more() && p.src[p.pos] == ',' {
			p.pos++
			n.hi = -1
			if p.more() && p.src[p.pos] != '}' {
				if n.hi, err = p.number(); err != nil {
					return nil, err
				}
				if n.hi < n.lo {
					return nil, p.fail(at, "repetition range is reversed")
				}
			}
		}
		if !p.more() || p.src[p.pos] != '}' {
			return nil, p.fail(at, "unmatched {")
		}
		p.pos++
	}
	n.size = sub.size*max(n.lo, n.hi, 1) + 2
	if n.size > maxSize {
		return nil, p.fail(at, "regular expression too large")
	}
	return n, nil
}

func (p *parser) number() (int, error) {
	at, n := p.pos, 0
	for p.more() && p.src[p.pos] >= '0' && p.src[p.pos] <= '9' {
		if n = n*10 + int(p.src[p.pos]-'0'); n > maxRepeat {
			return 0, p.fail(at, "repetition count above %d", maxRepeat)
		}
		p.pos++
	}
	if p.pos == at {
		return 0, p.fail(at, "number expected in repetition")
	}
	return n, nil
}

func (p *parser) atom() (*node, error) {
	at := p.pos
	c := p.src[p.pos]
	p.pos++
	n := &node{kind: set, size: 1}
	switch c {
	case '^':
		n.kind = begin
	case '$':
		n.kind = end
	case '.':
		n.set.negate()
	case '[':
		return n, p.bracket(n, at)
	case '(':
		counts := !strings.HasPrefix(p.src[p.pos:], "?:")
		if counts {
			p.groups++
			n.kind, n.num = group, p.groups
		} else {
			p.pos += 2
		}
		if p.depth++; p.depth > maxDepth {
			return nil, p.fail(at, "regular expression nested too deep")
		}
		sub, err := p.alternatives()
		if err != nil {
			return nil, err
		}
		p.depth--
		if !p.more() {
			return nil, p.fail(at, "unmatched (")
		}
		p.pos++ // the ), as nothing else ends alternatives
		if !counts {
			return sub, nil
		}
		n.subs, n.size = []*node{sub}, sub.size+2
	case '*', '+', '?', '{':
		return nil, p.fail(at, "nothing to repeat before %c", c)
	case '\\':
		if !p.more() {
			return nil, p.fail(at, "trailing backslash")
		}
		c = p.src[p.pos]
		p.pos++
		n.set.add(c)
	default:
		n.set.add(c)
	}
	return n, nil
}

// bracket parses the rest of a bracket expression that began at offset at.
func (p *parser) bracket(n *node, at int) error {
	negate := p.more() && p.src[p.pos] == '^'
	if negate {
		p.pos++
	}
	for first := true; ; first = false {
		if !p.more() {
			return p.fail(at, "unmatched [")
		}
		from := p.pos
		lo := p.src[p.pos]
		p.pos++
		if lo == ']' && !first {
			break
		}
		if lo == '[' && p.more() && strings.IndexByte(":.=", p.src[p.pos]) >= 0 {
			if p.src[p.pos] != ':' {
				return p.fail(from, "collating elements and equivalence classes are not supported")
			}
			i := strings.Index(p.src[p.pos:], ":]")
			if i < 0 {
				return p.fail(from, "unmatched [:")
			}
			name := p.src[p.pos+1 : p.pos+max(i, 1)]
			in, ok := classes[name]
			if !ok {
				return p.fail(from, "unknown character class [:%s:]", name)
			}
			p.pos += i + 2
			for c := range 256 {
				if in(byte(c)) {
					n.set.add(byte(c))
				}
			}
			continue
		}
		if p.pos+1 < len(p.src) && p.src[p.pos] == '-' && p.src[p.pos+1] != ']' {
			hi := p.src[p.pos+1]
			p.pos += 2
			if hi < lo {
				return p.fail(from, "character range is reversed")
			}
			n.set.addRange(lo, hi)
			continue
		}
		n.set.add(lo)
	}
	if negate {
		n.set.negate()
	}
	return nil
}

func between(lo, hi byte) func(byte) bool {
	return func(c byte) bool { return c >= lo && c <= hi }
}

func either(fs ...func(byte) bool) func(byte) bool {
	return func(c byte) bool {
		for _, f := range fs {
			if f(c) {
				return true
			}
		}
		return false
	}
}

var (
	isUpper = between('A', 'Z')
	isLower = between('a', 'z')
	isDigit = between('0', '9')
	isAlpha = either(isUpper, isLower)
	isAlnum = either(isAlpha, isDigit)
	isGraph = between('!', '~')
)

// classes are those of the C locale.
var classes = map[string]func(byte) bool{
	"alpha":  isAlpha,
	"alnum":  isAlnum,
	"blank":  func(c byte) bool { return c == ' ' || c == '\t' },
	"cntrl":  func(c byte) bool { return c < ' ' || c == 0x7f },
	"digit":  isDigit,
	"graph":  isGraph,
	"lower":  isLower,
	"print":  between(' ', '~'),
	"punct":  func(c byte) bool { return isGraph(c) && !isAlnum(c) },
	"space":  isSpace,
	"upper":  isUpper,
	"xdigit": either(isDigit, between('a', 'f'), between('A', 'F')),
}

func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }
