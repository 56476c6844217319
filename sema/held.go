package sema

import (
	"errors"

	"stapkit/syntax"
	"stapkit/target/ctype"
)

// held finds what a path begins with in a base that is no address: a structure in
// registers, or any value that lies in several places. It gives the path from there on.
// A structure that is to be printed goes into acc.Words.
func (b *bodyState) held(acc *Access, path *ctype.Path, addr bool, node syntax.Expr) (*ctype.Path, *fail) {
	t := acc.BaseType
	rest := *path
	bit, bits, signed := int64(0), 8*t.Size(), ctype.IsSigned(t)
	if composite(t) && len(path.Hops) > 0 {
		first := &path.Hops[0]
		if len(first.Dynamic) > 0 {
			return nil, failf(codeAccess, node, "'%s' is held in registers: the index of an element has to be a constant", acc.Name)
		}
		t, rest.Hops = first.Type, path.Hops[1:]
		bit, bits, signed = 8*first.Offset, 8*t.Size(), ctype.IsSigned(t)
		if f := path.Bits; f != nil && len(rest.Hops) == 0 {
			bit, bits, signed = bit+f.Bit, f.Bits, f.Signed
			rest.Bits = nil
		}
		if bit < 0 || bit+bits > 8*acc.BaseType.Size() {
			return nil, failf(codeAccess, node, "this lies outside of '%s', which is held in registers", acc.Name)
		}
	}
	whole := len(rest.Hops) == 0
	if addr && whole {
		return nil, failf(codeAccess, node, "'%s' is held in registers and has no address", acc.Name)
	}
	if composite(t) && whole {
		if acc.Pretty == syntax.NoPretty {
			return &rest, nil // which is no value
		}
		for off := int64(0); off < bits; off += 64 {
			word := *acc
			word.Result, word.Size, word.Path, word.Index = ResultInt, 8, &ctype.Path{}, nil
			if err := word.hold(bit+off, min(64, bits-off), false); err != nil {
				return nil, failf(codeAccess, node, "'%s' cannot be printed here: %v", acc.Name, err)
			}
			acc.Words = append(acc.Words, word)
		}
		return &rest, nil
	}
	if err := acc.hold(bit, bits, signed); err != nil {
		return nil, failf(codeAccess, node, "'%s' cannot be read here: %v", acc.Name, err)
	}
	acc.BaseType = t
	return &rest, nil
}

// composite reports whether a value of the type is no number.
func composite(t ctype.Type) bool {
	if t == nil {
		return false
	}
	switch ctype.Strip(t).(type) {
	case *ctype.Struct, *ctype.Array:
		return true
	}
	return false
}

// inParts reports whether the base is a value that lies in several places.
func (a *Access) inParts() bool { return a.Location != nil && a.Location.Kind == "parts" }

// hold makes a part of the base the base: bits from bit on.
func (a *Access) hold(bit, bits int64, signed bool) error {
	from := bit / 8
	to := (bit + bits + 7) / 8
	if bits <= 0 || to-from > 8 {
		return errors.New("it is no number of at most 8 bytes")
	}
	switch {
	case a.Base == BaseLocation && a.inParts():
		l, err := a.Location.window(from, to)
		if err != nil {
			return err
		}
		a.Location = l
		bit -= 8 * from
	case a.Base == BaseArg && from/8 == (to-1)/8:
		// A structure of 16 bytes takes the place of two arguments.
		a.N += int(from / 8)
		bit -= from / 8 * 64
	case to > 8:
		return errors.New("it lies in several registers")
	}
	a.Held = &Held{Shift: int(bit), Bits: int(bits), Signed: signed}
	return nil
}

// window is the location of the bytes from one to another of a value in parts, at most 8.
func (l *Location) window(from, to int64) (*Location, error) {
	out := &Location{Kind: "parts", Reg: -1, Index: -1, Static: l.Static}
	at := from
	for _, p := range l.Parts {
		lo, hi := max(p.Off, at), min(p.Off+p.Bytes, to)
		if lo != at || lo >= hi {
			continue
		}
		if p.At == nil {
			return nil, errors.New(p.Why)
		}
		out.Parts = append(out.Parts, Part{At: p.At, Off: lo - from, From: p.From + lo - p.Off, Bytes: hi - lo})
		at = hi
	}
	if at < to {
		return nil, errors.New("a part of it lies nowhere")
	}
	return out, nil
}
