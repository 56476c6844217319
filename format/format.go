// Package format holds SystemTap's formatted output: the directives of printf
// and its relatives, parsed once for parser, linter, hover, interpreter and
// loader, and the rules by which numbers, strings, histograms and
// automatically displayed globals become text.
//
// Strings are bytes. Integers are 64 bits wide. What an output looks like was
// taken from SystemTap 4.8 at work, not from C's printf: the two differ, for
// example in "%#x" of 0 ("0x0"), in "%05.3d" (zeros up to the width) and in
// "%b".
package format

import (
	"strconv"
	"strings"
)

// Type is the type of a value that a format takes.
type Type uint8

// The types of values.
const (
	None   Type = iota // takes no value: literal text
	Long               // a 64-bit integer
	String             // a byte string
)

// String returns "none", "long" or "string".
func (t Type) String() string {
	switch t {
	case None:
		return "none"
	case Long:
		return "long"
	case String:
		return "string"
	}
	return "type(" + strconv.Itoa(int(t)) + ")"
}

// Conv is what a directive does with its value.
type Conv uint8

// The conversions, each with its letter in a format.
const (
	Text      Conv = iota // literal text
	Signed                // d i: signed decimal
	Unsigned              // u: unsigned decimal
	Octal                 // o
	Hex                   // x
	HexUpper              // X
	Pointer               // p: as %#x
	Char                  // c: the low byte of a long; with # non-printable bytes are escaped
	Str                   // s
	Binary                // b: 1, 2, 4 or 8 bytes of a long, little-endian
	Memory                // m: bytes at an address, as they are
	MemoryHex             // M: bytes at an address, in hexadecimal
)

// letters holds the letter of each conversion that has one; %i is read as %d.
const letters = " duoxXpcsbmM"

// Letter returns the letter that stands for the conversion in a format, 0 for
// Text.
func (c Conv) Letter() byte {
	if c == Text || int(c) >= len(letters) {
		return 0
	}
	return letters[c]
}

// Type returns the type of the value that the conversion takes in a script.
// Memory and MemoryHex take an address; Append wants the bytes found there.
func (c Conv) Type() Type {
	switch c {
	case Text:
		return None
	case Str:
		return String
	}
	return Long
}

// Flag is the one flag that a directive may have; SystemTap accepts no more.
type Flag uint8

// The flags: the character itself, 0 for none.
const (
	NoFlag Flag = 0
	Zero   Flag = '0' // pad numbers with zeros; end a string with a NUL byte
	Plus   Flag = '+' // a plus sign before signed numbers
	Minus  Flag = '-' // pad on the right
	Space  Flag = ' ' // a space before signed numbers that have no minus sign
	Alt    Flag = '#' // 0x, 0X or 0 before numbers; escape a character; memory of the user
)

// Special values of Width and Prec.
const (
	Unset = -1 // not given
	Star  = -2 // *: the value of a long argument that comes before the directive's own
)

// Directive is one piece of a format: literal text or one conversion.
type Directive struct {
	Conv  Conv
	Flag  Flag
	Width int    // ≥ 0, Unset or Star
	Prec  int    // ≥ 0, Unset or Star
	Text  string // the literal text of a Text directive, its escapes resolved

	// Start and End bound the directive in the string given to Parse, in
	// bytes. Both are 0 in a format that was not parsed.
	Start, End int
}

// Format is a parsed format: its pieces in order. Two Text directives never
// follow each other.
type Format struct {
	Directives []Directive
}

// ArgTypes returns the types of the values that the format takes, in order,
// each * counted as the long it is.
func (f Format) ArgTypes() []Type {
	var types []Type
	for i := range f.Directives {
		d := &f.Directives[i]
		if d.Width == Star {
			types = append(types, Long)
		}
		if d.Prec == Star {
			types = append(types, Long)
		}
		if d.Conv != Text {
			types = append(types, d.Conv.Type())
		}
	}
	return types
}

// Args returns how many values the directive takes: its stars and its own.
func (d Directive) Args() int {
	n := 0
	if d.Width == Star {
		n++
	}
	if d.Prec == Star {
		n++
	}
	if d.Conv != Text {
		n++
	}
	return n
}

// Literal reports whether the format is text only, and returns that text.
func (f Format) Literal() (string, bool) {
	switch len(f.Directives) {
	case 0:
		return "", true
	case 1:
		if d := &f.Directives[0]; d.Conv == Text {
			return d.Text, true
		}
	}
	return "", false
}

// String returns the directive as a format would write it, escapes and %%
// included.
func (d Directive) String() string {
	var b strings.Builder
	d.write(&b)
	return b.String()
}

func (d Directive) write(b *strings.Builder) {
	if d.Conv == Text {
		b.WriteString(strings.ReplaceAll(Quote(d.Text), "%", "%%"))
		return
	}
	b.WriteByte('%')
	if d.Flag != NoFlag {
		b.WriteByte(byte(d.Flag))
	}
	switch {
	case d.Width == Star:
		b.WriteByte('*')
	case d.Width >= 0:
		b.WriteString(strconv.Itoa(d.Width))
	}
	switch {
	case d.Prec == Star:
		b.WriteString(".*")
	case d.Prec >= 0:
		b.WriteByte('.')
		b.WriteString(strconv.Itoa(d.Prec))
	}
	b.WriteByte(d.Conv.Letter())
}

// String returns the format as the text between the quotes of a script, from
// which Parse makes the same format again.
func (f Format) String() string {
	var b strings.Builder
	for i := range f.Directives {
		f.Directives[i].write(&b)
	}
	return b.String()
}

// appendText adds literal text to the format, joining it to text before it.
func (f *Format) appendText(text string, start, end int) {
	if text == "" {
		return
	}
	if n := len(f.Directives); n > 0 && f.Directives[n-1].Conv == Text {
		last := &f.Directives[n-1]
		last.Text += text
		last.End = end
		return
	}
	f.Directives = append(f.Directives, Directive{
		Conv: Text, Text: text, Width: Unset, Prec: Unset, Start: start, End: end,
	})
}
