package btf

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"

	"stapkit/target/ctype"
)

// named gives the ids of this object's named types of kind k, sorted by name
// and then id.
func (s *Spec) named(k Kind) []ID {
	x := &s.names[k]
	x.once.Do(func() {
		type entry struct {
			name string
			id   ID
		}
		var es []entry
		for i, off := range s.offs {
			t := s.types[off:]
			if Kind(s.bo.Uint32(t[4:])>>24&0x1f) != k {
				continue
			}
			if n := s.bo.Uint32(t); n != 0 {
				if name := s.str(n); name != "" {
					es = append(es, entry{name, s.first + ID(i)})
				}
			}
		}
		slices.SortFunc(es, func(a, b entry) int {
			if c := strings.Compare(a.name, b.name); c != 0 {
				return c
			}
			return cmp.Compare(a.id, b.id)
		})
		x.ids = make([]ID, len(es))
		for i, e := range es {
			x.ids[i] = e.id
		}
	})
	return x.ids
}

// Lookup gives the ids of the types of kind k with a name, in ascending order.
// Only this object's own types are searched, not those of its base. Functions
// may well have several (static functions of one name in different files).
func (s *Spec) Lookup(k Kind, name string) []ID {
	if k > kindMax || name == "" {
		return nil
	}
	ids := s.named(k)
	i, found := slices.BinarySearchFunc(ids, name, func(id ID, n string) int {
		return strings.Compare(s.NameOf(id), n)
	})
	if !found {
		return nil
	}
	j := i + 1
	for j < len(ids) && s.NameOf(ids[j]) == name {
		j++
	}
	return ids[i:j:j]
}

// Names yields this object's named types of kind k whose names begin with
// prefix, sorted by name and then id.
func (s *Spec) Names(k Kind, prefix string) iter.Seq2[string, ID] {
	return func(yield func(string, ID) bool) {
		if k > kindMax {
			return
		}
		ids := s.named(k)
		i, _ := slices.BinarySearchFunc(ids, prefix, func(id ID, n string) int {
			return strings.Compare(s.NameOf(id), n)
		})
		for ; i < len(ids); i++ {
			name := s.NameOf(ids[i])
			if !strings.HasPrefix(name, prefix) || !yield(name, ids[i]) {
				return
			}
		}
	}
}

// Func is the type of a function. It fails when id is none.
func (s *Spec) Func(id ID) (*ctype.Func, bool) {
	if s.KindOf(id) != KindFunc {
		return nil, false
	}
	o, t := s.at(id)
	ft, ok := s.Type(ID(o.bo.Uint32(t[8:]))).(*ctype.Func)
	return ft, ok
}

// Linkage is how a function or variable is linked.
type Linkage uint8

// The linkages.
const (
	Static Linkage = iota
	Global
	Extern
)

// FuncLinkage is the linkage of a function. pahole writes Static for all of
// a kernel's functions.
func (s *Spec) FuncLinkage(id ID) Linkage {
	if s.KindOf(id) != KindFunc {
		return Static
	}
	o, t := s.at(id)
	return Linkage(o.bo.Uint32(t[4:]) & 0xffff)
}

type enumRef struct {
	id  ID
	val int64
}

// Constant finds an enumerator by name among this object's enums. When several
// enums have one of that name the first in the file wins.
func (s *Spec) Constant(name string) (value int64, enum *ctype.Enum, ok bool) {
	s.enumOnce.Do(func() {
		s.enums = map[string]enumRef{}
		for i, off := range s.offs {
			t := s.types[off:]
			k := Kind(s.bo.Uint32(t[4:]) >> 24 & 0x1f)
			if k != KindEnum && k != KindEnum64 {
				continue
			}
			id := s.first + ID(i)
			for _, v := range s.enumerators(id) {
				if _, dup := s.enums[v.Name]; !dup {
					s.enums[v.Name] = enumRef{id, v.Value}
				}
			}
		}
	})
	r, ok := s.enums[name]
	if !ok {
		return 0, nil, false
	}
	e, ok := s.Type(r.id).(*ctype.Enum)
	return r.val, e, ok
}

// Var is a global variable. pahole records those of the per-CPU section only,
// unless told otherwise.
type Var struct {
	Name    string
	ID      ID
	Type    ctype.Type
	Linkage Linkage
	// Section is the data section with the variable, "" if none lists it;
	// Offset and Bytes are its place in there.
	Section       string
	Offset, Bytes uint32
}

// Vars lists this object's variables, sorted by name.
func (s *Spec) Vars() []Var {
	type place struct {
		sec       string
		off, size uint32
	}
	places := map[ID]place{}
	for name, id := range s.Names(KindDatasec, "") {
		_, t := s.at(id)
		vlen := int(s.bo.Uint32(t[4:]) & 0xffff)
		for m := t[typeSize:][:12*vlen]; len(m) > 0; m = m[12:] {
			places[ID(s.bo.Uint32(m))] = place{name, s.bo.Uint32(m[4:]), s.bo.Uint32(m[8:])}
		}
	}
	var out []Var
	for name, id := range s.Names(KindVar, "") {
		_, t := s.at(id)
		p := places[id]
		out = append(out, Var{
			Name: name, ID: id, Type: s.Type(ID(s.bo.Uint32(t[8:]))),
			Linkage: Linkage(s.bo.Uint32(t[typeSize:])),
			Section: p.sec, Offset: p.off, Bytes: p.size,
		})
	}
	return out
}

// Tracepoint is a tracepoint that BPF programs can attach to.
type Tracepoint struct {
	Name string
	// Typedef is the id of btf_trace_NAME, what a tp_btf program attaches to.
	Typedef ID
	// Params are the arguments, without the tracepoint's own first one.
	Params []ctype.Param
	// Named tells that the parameter names come from the kernel. Otherwise
	// they are arg1, arg2 and so on.
	Named bool
}

const tracePrefix = "btf_trace_"

// TracepointNames lists this object's tracepoints, sorted.
func (s *Spec) TracepointNames() []string {
	var out []string
	for name := range s.Names(KindTypedef, tracePrefix) {
		out = append(out, name[len(tracePrefix):])
	}
	return slices.Compact(out)
}

// Tracepoint finds a tracepoint of this object. Its types come from the
// btf_trace_NAME typedef. Parameter names are in the prototypes of the
// functions that the tracepoint macros make for each tracepoint; those of
// __bpf_trace_NAME exist only where the event class has the event's name.
func (s *Spec) Tracepoint(name string) (Tracepoint, bool) {
	ids := s.Lookup(KindTypedef, tracePrefix+name)
	if len(ids) == 0 {
		return Tracepoint{}, false
	}
	td, ok := s.Type(ids[0]).(*ctype.Typedef)
	if !ok {
		return Tracepoint{}, false
	}
	ptr, ok := ctype.AsPointer(td)
	if !ok {
		return Tracepoint{}, false
	}
	proto, ok := ctype.Strip(ptr.Elem).(*ctype.Func)
	if !ok || len(proto.Params) == 0 {
		return Tracepoint{}, false
	}
	tp := Tracepoint{Name: name, Typedef: ids[0], Params: slices.Clone(proto.Params[1:])}
	for _, prefix := range []string{"__traceiter_", "__probestub_", "__bpf_trace_"} {
		names, ok := s.paramNames(prefix+name, len(tp.Params))
		if !ok {
			continue
		}
		for i := range tp.Params {
			tp.Params[i].Name = names[i]
		}
		tp.Named = true
		return tp, true
	}
	for i := range tp.Params {
		tp.Params[i].Name = fmt.Sprintf("arg%d", i+1)
	}
	return tp, true
}

// paramNames gives the parameter names of a function after its first, if
// there are n of them and each has a name.
func (s *Spec) paramNames(fn string, n int) ([]string, bool) {
	ids := s.Lookup(KindFunc, fn)
	if len(ids) != 1 {
		return nil, false
	}
	f, ok := s.Func(ids[0])
	if !ok || len(f.Params) != n+1 {
		return nil, false
	}
	var out []string
	for _, p := range f.Params[1:] {
		if p.Name == "" {
			return nil, false
		}
		out = append(out, p.Name)
	}
	return out, true
}
