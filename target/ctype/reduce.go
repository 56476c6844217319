package ctype

import "strconv"

// Reduce makes a copy of a hop's root type that has only the members and
// elements on the hop's way, with the access string in that copy. It is what a
// program carries for a CO-RE relocation: loaders find types and members by
// name, so that what is left out does not matter.
func Reduce(h *Hop) (root Type, access string) {
	if len(h.Accesses) == 0 {
		return reduceLeaf(h.Root), "0"
	}
	b := strconv.AppendInt(nil, h.Accesses[0].Index, 10)
	for _, a := range h.Accesses[1:] {
		b = append(b, ':')
		if a.Struct != nil {
			b = append(b, '0')
		} else {
			b = strconv.AppendInt(b, a.Index, 10)
		}
	}
	return reduce(h.Root, h.Accesses[1:]), string(b)
}

func reduce(t Type, way []Access) Type {
	switch t := t.(type) {
	case *Typedef:
		return &Typedef{Name: t.Name, Elem: reduce(t.Elem, way)}
	case *Qualified:
		return reduce(t.Elem, way)
	}
	if len(way) == 0 {
		return reduceLeaf(t)
	}
	a := way[0]
	if a.Struct == nil {
		if arr, ok := t.(*Array); ok {
			return &Array{Elem: reduce(arr.Elem, way[1:]), Len: arr.Len}
		}
		return reduceLeaf(t)
	}
	m := a.Struct.Members()[a.Member]
	m.Type = reduce(m.Type, way[1:])
	return NewStruct(a.Struct.Kind, a.Struct.Name, a.Struct.Bytes, []Member{m})
}

// reduceLeaf keeps what loaders compare of the type that is arrived at: its
// kind, name and size.
func reduceLeaf(t Type) Type {
	switch t := t.(type) {
	case *Typedef:
		return &Typedef{Name: t.Name, Elem: reduceLeaf(t.Elem)}
	case *Qualified:
		return reduceLeaf(t.Elem)
	case *Pointer:
		return &Pointer{Elem: &Void{}, Bytes: t.Bytes}
	case *Array:
		return &Array{Elem: reduceLeaf(t.Elem), Len: t.Len}
	case *Struct:
		return NewStruct(t.Kind, t.Name, t.Bytes, nil)
	case *Enum:
		return NewEnum(t.Name, t.Bytes, t.Signed, nil)
	}
	return t
}
