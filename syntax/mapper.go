package syntax

import (
	"sort"
	"unicode/utf8"

	"stapkit/diag"
)

// A Mapper converts between byte offsets and line/column pairs of one text. It is
// the only owner of the byte, code-point and UTF-16 column arithmetic. Lines end
// at "\n"; a byte that is no valid UTF-8 counts as one code point and one unit.
type Mapper struct {
	name  string
	text  []byte
	lines []int32 // offset of each line's first byte
}

// NewMapper makes the line table of a text.
func NewMapper(name string, text []byte) *Mapper {
	n := 1
	for _, b := range text {
		if b == '\n' {
			n++
		}
	}
	lines := make([]int32, 1, n)
	for i, b := range text {
		if b == '\n' {
			lines = append(lines, int32(i+1))
		}
	}
	return &Mapper{name: name, text: text, lines: lines}
}

// Lines counts the lines; a text that ends in a newline has an empty last line.
func (m *Mapper) Lines() int { return len(m.lines) }

func (m *Mapper) clamp(off int) int { return max(0, min(off, len(m.text))) }

// line gives the 0-based line of an offset.
func (m *Mapper) line(off int) int {
	return sort.Search(len(m.lines), func(i int) bool { return int(m.lines[i]) > off }) - 1
}

// Pos gives the position of a byte offset: 1-based line and byte column. Offsets
// outside the text are moved to its ends.
func (m *Mapper) Pos(off int) diag.Pos {
	off = m.clamp(off)
	l := m.line(off)
	return diag.Pos{File: m.name, Offset: off, Line: l + 1, Col: off - int(m.lines[l]) + 1}
}

// Line gives the text of a 1-based line without its newline; nil outside the text.
func (m *Mapper) Line(line int) []byte {
	if line < 1 || line > len(m.lines) {
		return nil
	}
	start, end := int(m.lines[line-1]), len(m.text)
	if line < len(m.lines) {
		end = int(m.lines[line]) - 1
	}
	return m.text[start:end]
}

// units counts the columns of b in UTF-16 units or in code points.
func units(b []byte, utf16 bool) int {
	n := 0
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if utf16 && r > 0xffff {
			n++
		}
		n++
		b = b[size:]
	}
	return n
}

// UTF16 gives the 0-based line and UTF-16 column of a byte offset, as the Language
// Server Protocol counts by default.
func (m *Mapper) UTF16(off int) (line, col int) {
	off = m.clamp(off)
	line = m.line(off)
	return line, units(m.text[m.lines[line]:off], true)
}

// Runes gives the 0-based line and code-point column of a byte offset.
func (m *Mapper) Runes(off int) (line, col int) {
	off = m.clamp(off)
	line = m.line(off)
	return line, units(m.text[m.lines[line]:off], false)
}

// Offset gives the byte offset of a 0-based line and byte column. Columns behind
// the line's end mean its end.
func (m *Mapper) Offset(line, col int) int {
	return m.column(line, col, func(int, rune) int { return 0 })
}

// OffsetUTF16 gives the byte offset of a 0-based line and UTF-16 column; a column
// inside a surrogate pair means its start.
func (m *Mapper) OffsetUTF16(line, col int) int {
	return m.column(line, col, func(size int, r rune) int {
		if r > 0xffff {
			return 2
		}
		return 1
	})
}

// OffsetRunes gives the byte offset of a 0-based line and code-point column.
func (m *Mapper) OffsetRunes(line, col int) int {
	return m.column(line, col, func(int, rune) int { return 1 })
}

// column walks a line; width 0 means that the byte size counts.
func (m *Mapper) column(line, col int, width func(size int, r rune) int) int {
	if line < 0 {
		return 0
	}
	if line >= len(m.lines) {
		return len(m.text)
	}
	b, off := m.Line(line+1), int(m.lines[line])
	for len(b) > 0 && col > 0 {
		r, size := utf8.DecodeRune(b)
		w := width(size, r)
		if w == 0 {
			w, size = 1, 1
		}
		if w > col {
			break
		}
		col -= w
		off += size
		b = b[size:]
	}
	return off
}
