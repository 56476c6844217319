package format

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxWidth is the largest width and precision that take effect: larger ones are
// cut to it, and negative ones given by * count as 0. It is the size of
// SystemTap's print buffer, beyond which it prints nothing.
const MaxWidth = 8192

// MaxString is the length in bytes to which SystemTap cuts strings, when no
// other is chosen (MAXSTRINGLEN 512, less the NUL byte).
const MaxString = 511

// Arg is one value for a format.
type Arg struct {
	Type Type
	Int  int64  // the value of a Long
	Str  string // the bytes of a String, or the memory that %m and %M show
}

// LongArg returns a number as a value.
func LongArg(v int64) Arg { return Arg{Type: Long, Int: v} }

// StringArg returns a string as a value.
func StringArg(s string) Arg { return Arg{Type: String, Str: s} }

// MemoryArg returns the bytes read for %m or %M as a value. There should be as
// many as MemorySize says; missing ones show as zeros.
func MemoryArg(b string) Arg { return Arg{Type: String, Str: b} }

// ArgError says that the values do not fit the format. It is a mistake in the
// program that pairs them, or in a damaged record, never one of a script.
type ArgError struct {
	Index int    // of the value
	Want  Type   // None when there are too many values
	Got   Type   // None when there are too few
	Where string // the directive
}

// Error returns what was wanted and what was there.
func (e *ArgError) Error() string {
	switch {
	case e.Want == None:
		return fmt.Sprintf("format takes %d values, got more", e.Index)
	case e.Got == None:
		return fmt.Sprintf("no value %d for %s", e.Index, e.Where)
	}
	return fmt.Sprintf("value %d for %s is a %s, not a %s", e.Index, e.Where, e.Got, e.Want)
}

// Append appends the text that f makes of args, and returns the longer slice.
// On an error, an *ArgError, it returns dst as it was. The text may hold NUL
// bytes (from %c, %b, %m and %0s): output shows them, and Sprint says what a
// string makes of them.
func Append(dst []byte, f Format, args []Arg) ([]byte, error) {
	length := len(dst)
	next := 0
	take := func(d *Directive, want Type) (Arg, error) {
		if next >= len(args) {
			return Arg{}, &ArgError{Index: next, Want: want, Where: d.String()}
		}
		a := args[next]
		if a.Type != want {
			return a, &ArgError{Index: next, Want: want, Got: a.Type, Where: d.String()}
		}
		next++
		return a, nil
	}
	for i := range f.Directives {
		d := &f.Directives[i]
		if d.Conv == Text {
			dst = append(dst, d.Text...)
			continue
		}
		width, prec := d.Width, d.Prec
		for _, star := range [...]*int{&width, &prec} {
			if *star != Star {
				*star = min(*star, MaxWidth)
				continue
			}
			a, err := take(d, Long)
			if err != nil {
				return dst[:length], err
			}
			*star = int(min(max(a.Int, 0), MaxWidth))
		}
		want := Long
		if d.Conv == Str || d.Conv == Memory || d.Conv == MemoryHex {
			want = String
		}
		a, err := take(d, want)
		if err != nil {
			return dst[:length], err
		}
		dst = appendValue(dst, d, width, prec, a)
	}
	if next < len(args) {
		return dst[:length], &ArgError{Index: next}
	}
	return dst, nil
}

// Sprint returns the text that f makes of args as a string value: cut at the
// first NUL byte and at limit bytes.
func Sprint(f Format, args []Arg, limit int) (string, error) {
	b, err := Append(nil, f, args)
	if err != nil {
		return "", err
	}
	s := string(b)
	if i := strings.IndexByte(s, 0); i >= 0 {
		s = s[:i]
	}
	return s[:min(len(s), max(limit, 0))], nil
}

// MemorySize returns how many bytes %m and %M show: the precision, or one byte
// when that is missing or not positive. prec is the value of a starred
// precision.
func (d Directive) MemorySize(prec int64) int {
	if d.Prec != Star {
		prec = int64(d.Prec)
	}
	return int(min(max(prec, 1), MaxWidth))
}

// MemoryOperand is an operand of a format that is an address, whose bytes are shown.
type MemoryOperand struct {
	Directive Directive // %m or %M
	Index     int       // of the address among the operands
	Star      int       // of a starred precision; -1: there is none
	User      bool      // an address of the process, not of the kernel
}

// Memory returns the operands that %m and %M show the bytes of.
func (f Format) Memory() []MemoryOperand {
	var list []MemoryOperand
	n := 0
	for _, d := range f.Directives {
		if d.Conv == Memory || d.Conv == MemoryHex {
			m := MemoryOperand{Directive: d, Index: n + d.Args() - 1, Star: -1, User: d.Flag == Alt}
			if d.Prec == Star {
				m.Star = m.Index - 1
			}
			list = append(list, m)
		}
		n += d.Args()
	}
	return list
}

// Most is the most bytes that are shown.
func (m MemoryOperand) Most() int { return m.Directive.MemorySize(MaxWidth) }

// appendValue appends one conversion. Width and prec are Unset or in
// [0, MaxWidth].
func appendValue(dst []byte, d *Directive, width, prec int, a Arg) []byte {
	left := d.Flag == Minus
	switch d.Conv {
	case Char:
		var buf [4]byte
		text := append(buf[:0], byte(a.Int))
		if d.Flag == Alt {
			text = appendEscaped(buf[:0], byte(a.Int), '\'')
		}
		return appendPadded(dst, text, width, left)
	case Binary:
		return appendBinary(dst, a.Int, width, prec, left)
	case Str, Memory, MemoryHex:
		text := a.Str
		switch {
		case d.Conv == Str:
			if i := strings.IndexByte(text, 0); i >= 0 {
				text = text[:i]
			}
			if prec >= 0 {
				text = text[:min(prec, len(text))]
			}
		default:
			n := max(prec, 1)
			if len(text) < n {
				text += strings.Repeat("\x00", n-len(text))
			}
			text = text[:n]
			if d.Conv == MemoryHex {
				text = fmt.Sprintf("%x", text)
			}
		}
		dst = appendPadded(dst, text, width, left)
		if d.Flag == Zero {
			dst = append(dst, 0)
		}
		return dst
	}
	return appendNumber(dst, d, width, prec, a.Int)
}

// appendNumber appends a number in one of the bases.
func appendNumber(dst []byte, d *Directive, width, prec int, v int64) []byte {
	prefix, u, base := "", uint64(v), 10
	switch d.Conv {
	case Signed:
		switch {
		case v < 0:
			prefix, u = "-", -u
		case d.Flag == Plus:
			prefix = "+"
		case d.Flag == Space:
			prefix = " "
		}
	case Octal:
		base = 8
		if d.Flag == Alt {
			prefix = "0"
		}
	case Pointer:
		base, prefix = 16, "0x"
	case Hex:
		base = 16
		if d.Flag == Alt {
			prefix = "0x"
		}
	case HexUpper:
		base = 16
		if d.Flag == Alt {
			prefix = "0X"
		}
	}
	var buf [24]byte
	digits := strconv.AppendUint(buf[:0], u, base)
	if d.Conv == HexUpper {
		for i, c := range digits {
			if c >= 'a' {
				digits[i] = c - 'a' + 'A'
			}
		}
	}
	zeros := max(prec-len(digits), 0)
	pad := max(width-len(prefix)-zeros-len(digits), 0)
	switch d.Flag {
	case Zero:
		zeros, pad = zeros+pad, 0
	case Minus:
	default:
		dst = appendRepeated(dst, ' ', pad)
	}
	dst = append(dst, prefix...)
	dst = appendRepeated(dst, '0', zeros)
	dst = append(dst, digits...)
	if d.Flag == Minus {
		dst = appendRepeated(dst, ' ', pad)
	}
	return dst
}

// appendBinary appends bytes of v as they lie in the memory of a little-endian
// machine: as many as the precision says, else the width, else 8, where any
// number but 1, 2, 4 and 8 counts as not said. A larger width is filled with NUL
// bytes.
func appendBinary(dst []byte, v int64, width, prec int, left bool) []byte {
	size := 8
	for _, n := range [...]int{prec, width} {
		if n == 1 || n == 2 || n == 4 || n == 8 {
			size = n
			break
		}
	}
	if !left {
		dst = appendRepeated(dst, 0, width-size)
	}
	for i := 0; i < size; i++ {
		dst = append(dst, byte(v>>(8*i)))
	}
	if left {
		dst = appendRepeated(dst, 0, width-size)
	}
	return dst
}

// appendPadded appends text with spaces up to width.
func appendPadded[T []byte | string](dst []byte, text T, width int, left bool) []byte {
	if !left {
		dst = appendRepeated(dst, ' ', width-len(text))
	}
	dst = append(dst, text...)
	if left {
		dst = appendRepeated(dst, ' ', width-len(text))
	}
	return dst
}

func appendRepeated(dst []byte, c byte, n int) []byte {
	for ; n > 0; n-- {
		dst = append(dst, c)
	}
	return dst
}

// appendEscaped appends c as it would be written in a C literal: printable
// ASCII as it is, but quote and backslash behind a backslash; the control
// characters that have an escape by it, other bytes as three octal digits.
func appendEscaped(dst []byte, c, quote byte) []byte {
	switch {
	case c == quote || c == '\\':
		return append(dst, '\\', c)
	case c >= ' ' && c < 0x7f:
		return append(dst, c)
	}
	if e := escapeLetter(c); e != 0 {
		return append(dst, '\\', e)
	}
	return appendOctal(dst, c)
}

// EscapeOptions are the choices of AppendText.
type EscapeOptions struct {
	Max    int  // largest length of the text, quotes and dots included; 0 or more than MaxString means MaxString
	Quoted bool // in double quotes, with "..." behind them when the text was cut
	Buffer bool // s holds bytes, not a string: NUL does not end it, and shows as \0
}

// AppendText appends s as printable ASCII, as text_str() and its relatives and
// the ..._quoted() functions show strings: escapes as in C, octal for other
// unprintable bytes, \uXXXX or \UXXXXXXXX for each valid UTF-8 sequence. An
// escape is never cut. Quoted text shorter than 5 bytes is never cut either,
// however small Max.
func AppendText(dst []byte, s string, opt EscapeOptions) []byte {
	limit := opt.Max
	if limit <= 0 || limit > MaxString {
		limit = MaxString
	}
	full, cut := limit, limit // room for the text when it fits, and when it is cut
	if opt.Quoted {
		full = max(limit, len(`""...`)) - len(`""`)
		cut = full - len(`...`)
		dst = append(dst, '"')
	}
	start, fits := len(dst), len(dst) // fits: the end of what would remain of a cut text
	whole := true
	for len(s) > 0 && (s[0] != 0 || opt.Buffer) {
		before := len(dst)
		n := 1
		switch r, size := utf8.DecodeRuneInString(s); {
		case s[0] == 0:
			dst = append(dst, '\\', '0')
		case r < utf8.RuneSelf || size == 1:
			dst = appendEscaped(dst, s[0], '"')
		case r > 0xffff:
			dst = fmt.Appendf(dst, `\U%08X`, r)
			n = size
		default:
			dst = fmt.Appendf(dst, `\u%04X`, r)
			n = size
		}
		if len(dst)-start > full {
			dst, whole = dst[:before], false
			break
		}
		if len(dst)-start <= cut {
			fits = len(dst)
		}
		s = s[n:]
	}
	if !opt.Quoted {
		return dst
	}
	if whole {
		return append(dst, '"')
	}
	return append(dst[:fits], `"...`...)
}
