package ctype

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"strconv"
)

// Printer shows values by their C types as SystemTap's $x$ and $x$$ do:
//
//	{.x=1, .y=2, .name="pt", .next=0x7ffe4a0e3ed0, .b=[...], <union>={...}}
//
// Integers and enums are decimal, characters quoted, pointers hexadecimal,
// pointers to characters the text they point at, arrays of characters text.
// One level is shown, aggregates inside it as {...} and [...]; all levels when
// Deep is set. Pointers are not followed otherwise. What the data does not
// reach is shown as ?.
type Printer struct {
	Order binary.ByteOrder // little-endian when nil
	Deep  bool
	// Text gives the text at an address that a char pointer holds. When it
	// is nil or does not know, the address is shown.
	Text func(addr uint64) (text string, ok bool)
	// Max bounds the bytes that one call appends; 0 means 64 KiB. What
	// exceeds it is cut, as SystemTap cuts a string at its maximum.
	Max int
}

const defaultMax = 64 << 10

// Append appends the text of the object of type t whose bytes are data.
func (p *Printer) Append(dst []byte, t Type, data []byte) []byte {
	w := p.writer(dst)
	w.value(t, data, true, 0)
	return w.done()
}

// AppendInt appends the text of a value that is held in a register: an
// integer, enum, character or pointer.
func (p *Printer) AppendInt(dst []byte, t Type, v int64) []byte {
	w := p.writer(dst)
	w.scalar(t, v)
	return w.done()
}

// AppendVars appends a list of names and values as $$vars and $$parms do:
// "a=0x0 s=0x55c9eff3e015 local=?". Each member of s is a variable and values
// has its value, as a script would see it; one of type void, or without a
// value, has none.
func (p *Printer) AppendVars(dst []byte, s *Struct, values []int64) []byte {
	w := p.writer(dst)
	for i, m := range s.Members() {
		if i > 0 {
			w.byte(' ')
		}
		w.str(m.Name)
		w.byte('=')
		if _, none := Strip(m.Type).(*Void); none || i >= len(values) {
			w.byte('?')
			continue
		}
		w.hex(uint64(values[i]))
	}
	return w.done()
}

// TextPointers is where in an object of type t there are pointers to characters that
// Append shows the text of, and how many bytes each has: those of the first one's size, at
// most max of them, that lie in the first size bytes.
func TextPointers(t Type, deep bool, size int64, max int) (offsets []int, bytes int) {
	steps := 0
	var walk func(t Type, at int64, top bool, depth int)
	walk = func(t Type, at int64, top bool, depth int) {
		steps++
		if len(offsets) >= max || at >= size || steps > 4096 {
			return
		}
		open := (top || deep) && depth < maxNesting
		switch t := Strip(t).(type) {
		case *Struct:
			if !open {
				return
			}
			for _, m := range t.Members() {
				if m.Bits == 0 && m.Offset() >= 0 {
					walk(m.Type, at+m.Offset(), false, depth+1)
				}
			}
		case *Array:
			if n := t.Elem.Size(); open && n > 0 && !IsChar(t.Elem) {
				for i := int64(0); i < t.Len && at+i*n < size && len(offsets) < max && steps <= 4096; i++ {
					walk(t.Elem, at+i*n, false, depth+1)
				}
			}
		case *Pointer:
			if !IsChar(t.Elem) || at+int64(t.Bytes) > size || bytes != 0 && int(t.Bytes) != bytes || slices.Contains(offsets, int(at)) {
				return
			}
			bytes = int(t.Bytes)
			offsets = append(offsets, int(at))
		}
	}
	walk(t, 0, true, 0)
	return offsets, bytes
}

// Int is the value of a scalar type in data, sign- or zero-extended. It fails
// for other types and when data is too short.
func (p *Printer) Int(t Type, data []byte) (int64, bool) {
	n := t.Size()
	if !IsScalar(t) || n <= 0 || n > 8 || int64(len(data)) < n {
		return 0, false
	}
	return p.bits(data, 0, n*8, IsSigned(t))
}

func (p *Printer) bigEndian() bool { return p.Order == binary.BigEndian }

// bits takes up to 64 bits from data at a bit offset counted as Member.Bit is.
func (p *Printer) bits(data []byte, at, n int64, signed bool) (int64, bool) {
	if at < 0 || n <= 0 || n > 64 || at > int64(len(data))*8-n {
		return 0, false
	}
	first, last := at/8, (at+n-1)/8
	var hi, lo uint64 // up to nine bytes, as one number
	if p.bigEndian() {
		for i := first; i <= last; i++ {
			hi = hi<<8 | lo>>56
			lo = lo<<8 | uint64(data[i])
		}
		drop := uint((last+1)*8 - at - n)
		lo = lo>>drop | hi<<(64-drop)
	} else {
		for i := last; i >= first; i-- {
			hi = hi<<8 | lo>>56
			lo = lo<<8 | uint64(data[i])
		}
		drop := uint(at % 8)
		lo = lo>>drop | hi<<(64-drop)
	}
	up := uint(64 - n)
	if signed {
		return int64(lo<<up) >> up, true
	}
	return int64(lo << up >> up), true
}

// writer appends up to a maximum.
type writer struct {
	*Printer
	dst   []byte
	limit int // length of dst at which to stop
	steps int // values visited, which bounds the work on hostile types
}

func (p *Printer) writer(dst []byte) *writer {
	m := p.Max
	if m <= 0 {
		m = defaultMax
	}
	return &writer{Printer: p, dst: dst, limit: len(dst) + m}
}

func (w *writer) done() []byte { return w.dst[:min(len(w.dst), w.limit)] }

// full tells that more text would be cut, or that the work is out of
// proportion to it.
func (w *writer) full() bool { return len(w.dst) >= w.limit || w.steps > 2*defaultMax }

func (w *writer) byte(b byte)  { w.dst = append(w.dst, b) }
func (w *writer) str(s string) { w.dst = append(w.dst, s...) }

func (w *writer) hex(v uint64) {
	w.dst = strconv.AppendUint(append(w.dst, "0x"...), v, 16)
}

// value shows an object. top is set for the outermost one.
func (w *writer) value(t Type, data []byte, top bool, depth int) {
	w.steps++
	if w.full() {
		return
	}
	open := (top || w.Deep) && depth < maxNesting
	switch t := Strip(t).(type) {
	case *Struct:
		if !open {
			w.str("{...}")
			return
		}
		w.byte('{')
		for i, m := range t.Members() {
			if w.full() {
				return
			}
			if i > 0 {
				w.str(", ")
			}
			w.member(m, data, depth)
		}
		w.byte('}')
	case *Array:
		if IsChar(t.Elem) && open {
			w.quoted(data[:min(int64(len(data)), t.Len)])
			return
		}
		if !open {
			w.str("[...]")
			return
		}
		w.byte('[')
		n := t.Elem.Size()
		for i := range t.Len {
			if w.full() {
				return
			}
			if i > 0 {
				w.str(", ")
			}
			if n == 0 || i*n >= int64(len(data)) {
				w.byte('?')
				break
			}
			w.value(t.Elem, data[i*n:], false, depth+1)
		}
		w.byte(']')
	case *Int:
		if t.Bytes > 8 {
			w.wide(t, data)
			return
		}
		w.loaded(t, data)
	case *Enum, *Pointer:
		w.loaded(t, data)
	case *Float:
		w.str("<float>")
	default:
		w.byte('?')
	}
}

func (w *writer) member(m Member, data []byte, depth int) {
	if m.Name == "" {
		kind := "struct"
		if s, ok := AsStruct(m.Type); ok {
			kind = s.Kind.String()
		}
		w.str("<" + kind + ">=")
	} else {
		w.str("." + m.Name + "=")
	}
	if m.Bits > 0 {
		if v, ok := w.bits(data, m.Bit, m.Bits, IsSigned(m.Type)); ok {
			w.scalar(m.Type, v)
		} else {
			w.byte('?')
		}
		return
	}
	at := m.Offset()
	if at < 0 || at > int64(len(data)) || at == int64(len(data)) && m.Type.Size() > 0 {
		w.byte('?')
		return
	}
	w.value(m.Type, data[at:], false, depth+1)
}

func (w *writer) loaded(t Type, data []byte) {
	v, ok := w.Int(t, data)
	if !ok {
		w.byte('?')
		return
	}
	w.scalar(t, v)
}

// wide shows an integer of 16 bytes in hexadecimal.
func (w *writer) wide(t *Int, data []byte) {
	if t.Bytes != 16 || len(data) < 16 {
		w.byte('?')
		return
	}
	lo, hi := binary.LittleEndian.Uint64(data), binary.LittleEndian.Uint64(data[8:])
	if w.bigEndian() {
		lo, hi = bits.ReverseBytes64(hi), bits.ReverseBytes64(lo)
	}
	if hi == 0 {
		w.hex(lo)
		return
	}
	w.hex(hi)
	s := strconv.FormatUint(lo, 16)
	for range 16 - len(s) {
		w.byte('0')
	}
	w.str(s)
}

func (w *writer) scalar(t Type, v int64) {
	switch t := Strip(t).(type) {
	case *Int:
		switch {
		case t.Kind == CharInt:
			w.byte('\'')
			w.escaped(byte(v), '\'')
			w.byte('\'')
		case t.Signed:
			w.dst = strconv.AppendInt(w.dst, v, 10)
		default:
			w.dst = strconv.AppendUint(w.dst, uint64(v), 10)
		}
	case *Enum:
		w.dst = strconv.AppendInt(w.dst, v, 10)
	case *Pointer:
		if IsChar(t.Elem) && w.Text != nil {
			if s, ok := w.Text(uint64(v)); ok {
				w.quoted([]byte(s))
				return
			}
		}
		w.hex(uint64(v))
	default:
		w.hex(uint64(v))
	}
}

// quoted shows text up to its first zero byte in double quotes.
func (w *writer) quoted(text []byte) {
	w.byte('"')
	for _, c := range text {
		if c == 0 || w.full() {
			break
		}
		w.escaped(c, '"')
	}
	w.byte('"')
}

// escaped writes a character as C would, non-ASCII ones in octal.
func (w *writer) escaped(c, quote byte) {
	const named = "\a\b\t\n\v\f\r"
	const letters = "abtnvfr"
	switch {
	case c == quote || c == '\\':
		w.dst = append(w.dst, '\\', c)
	case c >= '\a' && c <= '\r':
		w.dst = append(w.dst, '\\', letters[c-named[0]])
	case c < ' ' || c > '~':
		w.dst = append(w.dst, '\\', '0'+c>>6, '0'+c>>3&7, '0'+c&7)
	default:
		w.byte(c)
	}
}
