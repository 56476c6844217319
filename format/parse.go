package format

import (
	"fmt"
	"math"
	"strings"
)

// Error tells what is wrong with a format and where.
type Error struct {
	Offset, End int    // the offending bytes of the string given to Parse
	Message     string // SystemTap's words, where it has some
	Help        string // what to do about it, may be empty
}

// Error returns the message with its offset.
func (e *Error) Error() string {
	return fmt.Sprintf("offset %d: %s", e.Offset, e.Message)
}

const (
	msgInvalid  = "invalid or missing conversion specifier"
	msgTrailing = "trailing incomplete print format conversion"
)

// Parse parses a format as it stands between the quotes of a script, its
// escapes not yet resolved, so that the offsets of directives and errors are
// offsets in the script. The error, if any, is an *Error.
//
// A conversion is
//
//	% [flag] [width | *] [. [precision | *]] [l] letter
//
// with one flag out of 0 + - space #, digits for width and precision, and a
// letter out of d i u o x X p c s b m M. %% is a percent sign, and so is a lone
// % at the very end. A percent sign made by an escape (\45, \x25) is text.
func Parse(s string) (Format, error) {
	var f Format
	sc := scanner{s: s}
	var text strings.Builder
	start := 0
	flush := func(end int) {
		f.appendText(text.String(), start, end)
		text.Reset()
	}
	for !sc.done() {
		at := sc.pos
		c, escaped := sc.next()
		if c != '%' || escaped {
			if text.Len() == 0 {
				start = at
			}
			text.WriteByte(c)
			continue
		}
		if c, escaped := sc.peek(); sc.done() || c == '%' && !escaped {
			if !sc.done() {
				sc.next()
			}
			if text.Len() == 0 {
				start = at
			}
			text.WriteByte('%')
			continue
		}
		flush(at)
		d, err := sc.directive(at)
		if err != nil {
			return Format{}, err
		}
		f.Directives = append(f.Directives, d)
	}
	flush(len(s))
	return f, nil
}

// directive reads the rest of a conversion whose % stood at offset at.
func (sc *scanner) directive(at int) (Directive, error) {
	d := Directive{Width: Unset, Prec: Unset, Start: at}
	if c, escaped := sc.peek(); !escaped && !sc.done() && strings.IndexByte("0+- #", c) >= 0 {
		d.Flag = Flag(c)
		sc.next()
	}
	d.Width = sc.count()
	if c, escaped := sc.peek(); c == '.' && !escaped {
		sc.next()
		d.Prec = sc.count()
	}
	if c, escaped := sc.peek(); c == 'l' && !escaped {
		sc.next()
	}
	if sc.done() {
		return d, &Error{Offset: at, End: len(sc.s), Message: msgTrailing,
			Help: "end it with one of d i u o x X p c s b m M, or write %% for a percent sign"}
	}
	from := sc.pos
	c, escaped := sc.next()
	if c == 'i' {
		c = 'd'
	}
	conv := strings.IndexByte(letters, c)
	if escaped || conv <= 0 {
		return d, &Error{Offset: at, End: sc.pos, Message: msgInvalid, Help: sc.advice(at, from, c, d)}
	}
	d.Conv = Conv(conv)
	d.End = sc.pos
	return d, nil
}

// advice tells the author of a conversion that is none what may have been
// meant. c is the byte at offset from at which the conversion went wrong.
func (sc *scanner) advice(at, from int, c byte, d Directive) string {
	switch {
	case strings.IndexByte("0+- #", c) >= 0 && d.Width <= 0 && d.Prec == Unset:
		return "a conversion takes one flag only"
	case c == 'l' && from > at && sc.s[from-1] == 'l':
		return "numbers are 64 bits wide: no 'll' is needed"
	case c == 'h' || c == 'z' || c == 'j' || c == 't' || c == 'q' || c == 'L':
		return fmt.Sprintf("numbers are 64 bits wide: leave out the '%c'", c)
	case strings.IndexByte("aAeEfFgG", c) >= 0:
		return "there are no floating-point values; fp_to_string() makes a string of one"
	case c == 'n':
		return "'%n' is not supported"
	case c == '%':
		return "a percent sign is written %%, with nothing in between"
	}
	return "the conversions are d i u o x X p c s b m M, and %% for a percent sign"
}

// count reads a width or a precision: digits, * or nothing. A number too large
// for any output is cut to the largest int32.
func (sc *scanner) count() int {
	if c, escaped := sc.peek(); c == '*' && !escaped {
		sc.next()
		return Star
	}
	n := Unset
	for {
		c, escaped := sc.peek()
		if escaped || c < '0' || c > '9' {
			return n
		}
		sc.next()
		n = min(max(n, 0)*10+int(c-'0'), math.MaxInt32)
	}
}

// A scanner reads the bytes that the text of a string literal stands for.
type scanner struct {
	s   string
	pos int
}

func (sc *scanner) done() bool { return sc.pos >= len(sc.s) }

// peek returns what next would, without moving; 0 at the end.
func (sc *scanner) peek() (byte, bool) {
	if sc.done() {
		return 0, false
	}
	saved := *sc
	c, escaped := sc.next()
	*sc = saved
	return c, escaped
}

// next returns the next byte and whether an escape sequence of C made it. A
// backslash before any other character stands for that character, which then
// counts as plain. At the end it returns 0.
func (sc *scanner) next() (byte, bool) {
	if sc.done() {
		return 0, false
	}
	c := sc.s[sc.pos]
	sc.pos++
	if c != '\\' || sc.done() {
		return c, false
	}
	c = sc.s[sc.pos]
	sc.pos++
	switch c {
	case 'a':
		return '\a', true
	case 'b':
		return '\b', true
	case 't':
		return '\t', true
	case 'n':
		return '\n', true
	case 'v':
		return '\v', true
	case 'f':
		return '\f', true
	case 'r':
		return '\r', true
	case '\\':
		return '\\', true
	case 'x':
		v, digits := byte(0), 0
		for !sc.done() {
			h, ok := hexDigit(sc.s[sc.pos])
			if !ok {
				break
			}
			v = v<<4 | h
			digits++
			sc.pos++
		}
		if digits == 0 {
			return 'x', false
		}
		return v, true
	}
	if c < '0' || c > '7' {
		return c, false
	}
	v := c - '0'
	for i := 0; i < 2 && !sc.done() && sc.s[sc.pos] >= '0' && sc.s[sc.pos] <= '7'; i++ {
		v = v<<3 | (sc.s[sc.pos] - '0')
		sc.pos++
	}
	return v, true
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// Unescape returns the bytes that the text between the quotes of a string
// literal stands for: \a \b \t \n \v \f \r \\, up to three octal digits, \x and
// hexadecimal digits; a backslash before anything else is dropped.
func Unescape(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for sc := (scanner{s: s}); !sc.done(); {
		c, _ := sc.next()
		b.WriteByte(c)
	}
	return b.String()
}

// Quote returns s as it may stand between the quotes of a string literal, the
// inverse of Unescape. Bytes above ASCII are left as they are.
func Quote(s string) string {
	clean := true
	for i := 0; i < len(s) && clean; i++ {
		clean = s[i] >= ' ' && s[i] != '"' && s[i] != '\\' && s[i] != 0x7f
	}
	if clean {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c >= ' ' && c != 0x7f:
			b.WriteByte(c)
		default:
			if e := escapeLetter(c); e != 0 {
				b.WriteByte('\\')
				b.WriteByte(e)
			} else {
				b.Write(appendOctal(nil, c))
			}
		}
	}
	return b.String()
}

// escapeLetter returns the letter of the control characters that have an
// escape of their own, 0 for all other bytes.
func escapeLetter(c byte) byte {
	if c < '\a' || c > '\r' {
		return 0
	}
	return "abtnvfr"[c-'\a']
}

// appendOctal appends a backslash and the three octal digits of c.
func appendOctal(dst []byte, c byte) []byte {
	return append(dst, '\\', '0'+c>>6, '0'+c>>3&7, '0'+c&7)
}
