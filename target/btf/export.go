package btf

import (
	"fmt"

	cilium "github.com/cilium/ebpf/btf"

	"stapkit/target/ctype"
)

// Exporter turns ctype values into the types of cilium/ebpf, from which an
// object file's own BTF is built. The same value always gives the same type.
// Aggregates that are only pointed to become forward declarations, so that the
// result is small; whole structs are best reduced first (ctype.Reduce).
type Exporter struct {
	types map[exportKey]cilium.Type
}

type exportKey struct {
	t       ctype.Type
	pointee bool
}

// NewExporter makes an empty Exporter.
func NewExporter() *Exporter { return &Exporter{types: map[exportKey]cilium.Type{}} }

// Type converts a type. It fails for a type that contains itself or is nested
// deeper than compilers make them.
func (x *Exporter) Type(t ctype.Type) (cilium.Type, error) { return x.convert(t, false, 0) }

func (x *Exporter) convert(t ctype.Type, pointee bool, depth int) (cilium.Type, error) {
	key := exportKey{t, pointee}
	if c, ok := x.types[key]; ok {
		return c, nil
	}
	if depth > maxDepth {
		return nil, fmt.Errorf("type %.100s contains itself or is nested too deep", ctype.Name(t))
	}
	c, err := x.build(t, pointee, depth)
	if err == nil {
		x.types[key] = c
	}
	return c, err
}

func (x *Exporter) build(t ctype.Type, pointee bool, depth int) (cilium.Type, error) {
	sub := func(t ctype.Type) (cilium.Type, error) { return x.convert(t, pointee, depth+1) }
	switch t := t.(type) {
	case *ctype.Void:
		return &cilium.Void{}, nil
	case *ctype.Int:
		i := &cilium.Int{Name: t.Name, Size: uint32(t.Bytes)}
		switch {
		case t.Kind == ctype.BoolInt:
			i.Encoding = cilium.Bool
		case t.Signed:
			i.Encoding = cilium.Signed
		}
		return i, nil
	case *ctype.Float:
		return &cilium.Float{Name: t.Name, Size: uint32(t.Bytes)}, nil
	case *ctype.Enum:
		e := &cilium.Enum{Name: t.Name, Size: uint32(t.Bytes), Signed: t.Signed}
		for _, v := range t.Values() {
			e.Values = append(e.Values, cilium.EnumValue{Name: v.Name, Value: uint64(v.Value)})
		}
		return e, nil
	case *ctype.Pointer:
		elem, err := x.convert(t.Elem, true, depth+1)
		return &cilium.Pointer{Target: elem}, err
	case *ctype.Array:
		elem, err := sub(t.Elem)
		// The index type is any integer; compilers on Linux use this one.
		index := &cilium.Int{Name: "__ARRAY_SIZE_TYPE__", Size: 4}
		return &cilium.Array{Index: index, Type: elem, Nelems: uint32(min(t.Len, 1<<32-1))}, err
	case *ctype.Struct:
		if pointee {
			return forward(t.Name, t.Kind), nil
		}
		return x.aggregate(t, depth)
	case *ctype.Typedef:
		elem, err := sub(t.Elem)
		return &cilium.Typedef{Name: t.Name, Type: elem}, err
	case *ctype.Qualified:
		elem, err := sub(t.Elem)
		switch t.Qual {
		case ctype.Const:
			return &cilium.Const{Type: elem}, err
		case ctype.Volatile:
			return &cilium.Volatile{Type: elem}, err
		case ctype.Restrict:
			return &cilium.Restrict{Type: elem}, err
		}
		return elem, err // BTF has no _Atomic
	case *ctype.Func:
		f := &cilium.FuncProto{}
		var err error
		if f.Return, err = x.convert(t.Result, true, depth+1); err != nil {
			return nil, err
		}
		for _, p := range t.Params {
			pt, err := x.convert(p.Type, true, depth+1)
			if err != nil {
				return nil, err
			}
			f.Params = append(f.Params, cilium.FuncParam{Name: p.Name, Type: pt})
		}
		if t.Variadic {
			f.Params = append(f.Params, cilium.FuncParam{Type: &cilium.Void{}})
		}
		return f, nil
	case *ctype.Forward:
		return forward(t.Name, t.Kind), nil
	}
	return nil, fmt.Errorf("cannot export a %T", t)
}

func forward(name string, kind ctype.Aggregate) cilium.Type {
	if name == "" {
		return &cilium.Void{} // nothing to find it by
	}
	f := &cilium.Fwd{Name: name, Kind: cilium.FwdStruct}
	if kind == ctype.UnionKind {
		f.Kind = cilium.FwdUnion
	}
	return f
}

func (x *Exporter) aggregate(t *ctype.Struct, depth int) (cilium.Type, error) {
	var ms []cilium.Member
	for _, m := range t.Members() {
		mt, err := x.convert(m.Type, false, depth+1)
		if err != nil {
			return nil, err
		}
		ms = append(ms, cilium.Member{Name: m.Name, Type: mt, Offset: cilium.Bits(m.Bit), BitfieldSize: cilium.Bits(m.Bits)})
	}
	if t.Kind == ctype.UnionKind {
		return &cilium.Union{Name: t.Name, Size: uint32(t.Bytes), Members: ms}, nil
	}
	return &cilium.Struct{Name: t.Name, Size: uint32(t.Bytes), Members: ms}, nil
}
