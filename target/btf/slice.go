package btf

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// Slice makes a blob of the types that have any of the names, with or without a suffix
// "___flavour", and of what they consist of. Of types that are only pointed to, names and
// members are left out. Functions and variables are none of the types, and all have other
// ids than in raw.
//
// It is what relocations of a few structures need, in a tenth of the time that it takes to
// parse all types of a kernel.
func Slice(raw []byte, names []string) ([]byte, error) {
	s, err := sections("kernel", raw)
	if err != nil {
		return nil, err
	}
	c := &slicer{bo: s.bo, types: s.types, strs: s.strings, newNames: map[uint32]uint32{0: 0}}
	if err := c.find(names); err != nil {
		return nil, err
	}
	for len(c.queue) > 0 {
		w := c.queue[len(c.queue)-1]
		c.queue = c.queue[:len(c.queue)-1]
		if err := c.follow(w.id, w.whole); err != nil {
			return nil, err
		}
	}
	return c.write()
}

// slicer is the state of Slice.
type slicer struct {
	bo    binary.ByteOrder
	types []byte
	strs  []byte

	offs  []uint32 // of id i+1
	state []keep   // of id i+1
	queue []step

	newID    []uint32 // of id i+1
	newNames map[uint32]uint32
	newStrs  []byte
}

// keep is what is kept of a type.
type keep uint8

const (
	keepNothing keep = iota
	keepShell        // that there is one of the kind
	keepWhole
)

type step struct {
	id    uint32
	whole bool
}

// find goes over all types, notes where they are, and begins with those of the names.
func (c *slicer) find(names []string) error {
	var first [256]bool // bytes that names begin with
	for _, n := range names {
		if n != "" {
			first[n[0]] = true
		}
	}
	c.offs = make([]uint32, 0, len(c.types)/28)
	for off := 0; off < len(c.types); {
		n, err := c.size(off)
		if err != nil {
			return err
		}
		c.offs = append(c.offs, uint32(off))
		if at := c.bo.Uint32(c.types[off:]); at != 0 && at < uint32(len(c.strs)) && first[c.strs[at]] {
			switch c.kind(off) {
			case KindFunc, KindVar, KindDatasec, KindDeclTag:
			default:
				if c.named(at, names) {
					c.add(uint32(len(c.offs)), true)
				}
			}
		}
		off += n
	}
	c.state = make([]keep, len(c.offs))
	return nil
}

// named reports whether the string at an offset is one of the names, or a flavour of it.
func (c *slicer) named(at uint32, names []string) bool {
	text := c.strs[at:]
	for _, n := range names {
		if len(text) > len(n) && string(text[:len(n)]) == n && (text[len(n)] == 0 || bytes.HasPrefix(text[len(n):], []byte("___"))) {
			return true
		}
	}
	return false
}

// size is the length of the type at an offset.
func (c *slicer) size(off int) (int, error) {
	if len(c.types)-off < typeSize {
		return 0, &FormatError{"kernel", off, "a type is cut short"}
	}
	info := c.bo.Uint32(c.types[off+4:])
	fixed, each, ok := trailer(Kind(info >> 24 & 0x1f))
	n := typeSize + fixed + each*int(info&0xffff)
	if !ok || n > len(c.types)-off {
		return 0, &FormatError{"kernel", off, fmt.Sprintf("a type of kind %d is not known or cut short", info>>24&0x1f)}
	}
	return n, nil
}

func (c *slicer) kind(off int) Kind { return Kind(c.bo.Uint32(c.types[off+4:]) >> 24 & 0x1f) }

func (c *slicer) add(id uint32, whole bool) { c.queue = append(c.queue, step{id, whole}) }

// follow keeps a type and goes on to those that it consists of.
func (c *slicer) follow(id uint32, whole bool) error {
	if id == 0 {
		return nil
	}
	if id > uint32(len(c.offs)) {
		return &FormatError{"kernel", -1, fmt.Sprintf("there is no type %d", id)}
	}
	as := keepShell
	if whole {
		as = keepWhole
	}
	if c.state[id-1] >= as {
		return nil
	}
	c.state[id-1] = as
	t := c.types[c.offs[id-1]:]
	ref, vlen := c.bo.Uint32(t[8:]), int(c.bo.Uint32(t[4:])&0xffff)
	switch k := c.kind(int(c.offs[id-1])); k {
	case KindFunc, KindVar, KindDatasec, KindDeclTag:
		return &FormatError{"kernel", int(c.offs[id-1]), fmt.Sprintf("%d is of kind %d: nothing can consist of it", id, k)}
	case KindPtr:
		c.add(ref, false)
	case KindTypedef, KindVolatile, KindConst, KindRestrict, KindTypeTag:
		c.add(ref, whole)
	case KindArray:
		c.add(c.bo.Uint32(t[12:]), whole)
		c.add(c.bo.Uint32(t[16:]), whole)
	case KindStruct, KindUnion:
		for i := 0; whole && i < vlen; i++ {
			c.add(c.bo.Uint32(t[typeSize+12*i+4:]), true)
		}
	case KindFuncProto:
		c.add(ref, false)
		for i := range vlen {
			c.add(c.bo.Uint32(t[typeSize+8*i+4:]), false)
		}
	}
	return nil
}

// write makes the blob.
func (c *slicer) write() ([]byte, error) {
	c.newID = make([]uint32, len(c.offs))
	next := uint32(1)
	for i, k := range c.state {
		if k != keepNothing {
			c.newID[i] = next
			next++
		}
	}
	c.newStrs = []byte{0}
	var types []byte
	for i, k := range c.state {
		if k == keepNothing {
			continue
		}
		off := int(c.offs[i])
		n, err := c.size(off)
		if err != nil {
			return nil, err
		}
		t := bytes.Clone(c.types[off : off+n])
		kind, vlen := c.kind(off), int(c.bo.Uint32(t[4:])&0xffff)
		if k == keepShell && (kind == KindStruct || kind == KindUnion) {
			// Nobody may take it for what it is not.
			t = t[:typeSize]
			c.bo.PutUint32(t, 0)
			c.bo.PutUint32(t[4:], uint32(kind)<<24)
			types = append(types, t...)
			continue
		}
		name := func(at int) {
			if err == nil {
				err = c.rename(t[at:])
			}
		}
		name(0)
		switch kind {
		case KindPtr, KindTypedef, KindVolatile, KindConst, KindRestrict, KindTypeTag, KindFuncProto:
			c.renumber(t[8:])
		case KindArray:
			c.renumber(t[12:])
			c.renumber(t[16:])
		}
		switch kind {
		case KindStruct, KindUnion:
			for m := range vlen {
				name(typeSize + 12*m)
				c.renumber(t[typeSize+12*m+4:])
			}
		case KindFuncProto:
			for m := range vlen {
				name(typeSize + 8*m)
				c.renumber(t[typeSize+8*m+4:])
			}
		case KindEnum:
			for m := range vlen {
				name(typeSize + 8*m)
			}
		case KindEnum64:
			for m := range vlen {
				name(typeSize + 12*m)
			}
		}
		if err != nil {
			return nil, err
		}
		types = append(types, t...)
	}
	out := make([]byte, headerSize, headerSize+len(types)+len(c.newStrs))
	c.bo.PutUint16(out, magic)
	out[2] = 1
	for i, v := range []int{headerSize, 0, len(types), len(types), len(c.newStrs)} {
		c.bo.PutUint32(out[4+4*i:], uint32(v))
	}
	return append(append(out, types...), c.newStrs...), nil
}

// renumber replaces an id; follow has seen that there is such a type.
func (c *slicer) renumber(b []byte) {
	if id := c.bo.Uint32(b); id != 0 {
		c.bo.PutUint32(b, c.newID[id-1])
	}
}

// rename replaces the offset of a name.
func (c *slicer) rename(b []byte) error {
	old := c.bo.Uint32(b)
	at, ok := c.newNames[old]
	if !ok {
		if old >= uint32(len(c.strs)) {
			return &FormatError{"kernel", -1, fmt.Sprintf("name offset %d is outside the string section", old)}
		}
		text := c.strs[old:]
		end := bytes.IndexByte(text, 0) // the section ends with one
		at = uint32(len(c.newStrs))
		c.newStrs = append(c.newStrs, text[:end+1]...)
		c.newNames[old] = at
	}
	c.bo.PutUint32(b, at)
	return nil
}
