package target

import (
	"cmp"
	"slices"
	"sort"
	"strings"

	"stapkit/target/btf"
	"stapkit/target/ctype"
	"stapkit/target/tracefs"
)

// Function is a kernel function with type information.
type Function struct {
	Name   string
	Module string // "" for the kernel proper
	// IDs are the BTF ids of the functions of this name: more than one when
	// several files have a static function of the name. Type and probes that
	// attach by BTF mean the first.
	IDs  []btf.ID
	spec *btf.Spec
}

// Object is the BTF object that the function is in.
func (f *Function) Object() *btf.Spec { return f.spec }

// Type is the function's type, with parameter names.
func (f *Function) Type() *ctype.Func {
	ft, ok := f.spec.Func(f.IDs[0])
	if !ok {
		return &ctype.Func{Result: &ctype.Void{}}
	}
	return ft
}

// inObjects calls f with the BTF of each object that a pattern means: the
// kernel for "", "kernel" and "vmlinux", else the modules that match.
func (t *Target) inObjects(pattern string, f func(module string, s *btf.Spec)) error {
	if pattern == "" || pattern == "kernel" || pattern == Kernel {
		s, err := t.BTF()
		if err != nil {
			return err
		}
		f("", s)
		return nil
	}
	if _, err := t.BTF(); err != nil {
		return err
	}
	for _, o := range t.Objects() {
		if o == Kernel || !Match(pattern, o) {
			continue
		}
		s, err := t.ModuleBTF(o)
		if err != nil {
			t.note("The types of module "+o+" are not known.", err)
			continue
		}
		f(o, s)
	}
	return nil
}

// Functions lists the functions with type information whose names match a
// pattern, by module and name. module is a pattern of module names, or "" for
// the kernel proper. The error says why nothing is known.
func (t *Target) Functions(module, pattern string) ([]Function, error) {
	var out []Function
	err := t.inObjects(module, func(m string, s *btf.Spec) {
		if !IsPattern(pattern) {
			if ids := s.Lookup(btf.KindFunc, pattern); len(ids) > 0 {
				out = append(out, Function{pattern, m, ids, s})
			}
			return
		}
		last := ""
		for name, id := range s.Names(btf.KindFunc, literalPrefix(pattern)) {
			if name == last {
				f := &out[len(out)-1]
				f.IDs = append(f.IDs, id)
				continue
			}
			if Match(pattern, name) {
				out = append(out, Function{name, m, []btf.ID{id}, s})
				last = name
			}
		}
	})
	return out, err
}

// SimilarFunctions suggests functions of the kernel or of a module for a name
// that does not exist.
func (t *Target) SimilarFunctions(module, name string, n int) []string {
	var names []string
	// An error here means that nothing is known to suggest.
	_ = t.inObjects(module, func(_ string, s *btf.Spec) {
		for f := range s.Names(btf.KindFunc, "") {
			if len(names) == 0 || names[len(names)-1] != f {
				names = append(names, f)
			}
		}
	})
	return ctype.Similar(name, names, n)
}

// Tracepoint is a tracepoint of the kernel or a module.
type Tracepoint struct {
	btf.Tracepoint // Name, Params
	// System is the subsystem ("sched"), "" when not known. SystemTap's
	// full name of a tracepoint is System:Name.
	System string
	Module string // "" for the kernel proper
	// Event tells that the tracepoint has an event of the same name, which
	// older interfaces can attach to. It is false when events are not known.
	Event bool
	spec  *btf.Spec
}

// FullName is "system:name", or the name when the system is not known.
func (p *Tracepoint) FullName() string {
	if p.System == "" {
		return p.Name
	}
	return p.System + ":" + p.Name
}

// Object is the BTF object that the tracepoint is in.
func (p *Tracepoint) Object() *btf.Spec { return p.spec }

type eventIndex struct {
	names  []tracefs.Name
	system map[string]string // of an event
	has    map[tracefs.Name]bool
}

// system is the subsystem of a tracepoint, and whether it has an event.
func (t *Target) system(tracepoint string) (system string, event bool) {
	if system, event = t.eventIndex().system[tracepoint]; !event {
		system = tracefs.UsualSystem(tracepoint)
	}
	return system, event
}

func (t *Target) eventIndex() *eventIndex {
	x, _ := t.events.get(func() (*eventIndex, error) {
		x := &eventIndex{system: map[string]string{}, has: map[tracefs.Name]bool{}}
		ns, err := t.src.Events()
		if err != nil {
			t.note("The kernel's trace events are not known; the systems of tracepoints are those of other kernels.", err)
			return x, err
		}
		x.names = ns
		for _, n := range ns {
			x.has[n] = true
			if _, ok := x.system[n.Event]; !ok {
				x.system[n.Event] = n.System
			}
		}
		return x, nil
	})
	return x
}

// Events lists the trace events that match a pattern of "system:event".
func (t *Target) Events(pattern string) []tracefs.Name {
	x := t.eventIndex()
	if !IsPattern(pattern) { // asked for each system call of a script
		if system, event, ok := strings.Cut(pattern, ":"); ok && x.has[tracefs.Name{System: system, Event: event}] {
			return []tracefs.Name{{System: system, Event: event}}
		}
		return nil
	}
	var out []tracefs.Name
	for _, n := range x.names {
		if Match(pattern, n.String()) {
			out = append(out, n)
		}
	}
	return out
}

// EventFormat is the record format of a trace event.
func (t *Target) EventFormat(n tracefs.Name) (*tracefs.Event, error) {
	// An editor asks for the same events after each key.
	if e, ok := t.formats.Load(n); ok {
		return e.(*tracefs.Event), nil
	}
	e, err := t.src.Format(n)
	if err == nil {
		t.formats.Store(n, e)
	}
	return e, err
}

// Tracepoints lists the tracepoints whose names match a pattern, with or
// without a system ("sched_*", "sched:*"), by system and name. An exact name
// without wildcards may be given either way. module is as in Functions; "*"
// means all modules, and the kernel's own are in no module.
func (t *Target) Tracepoints(module, pattern string) ([]Tracepoint, error) {
	system, name, hasSystem := strings.Cut(pattern, ":")
	if !hasSystem {
		system, name = "*", pattern
	}
	var out []Tracepoint
	err := t.inObjects(module, func(m string, s *btf.Spec) {
		add := func(n string) {
			tp, ok := t.tracepoint(m, s, n)
			if ok && (!hasSystem || Match(system, tp.System)) {
				out = append(out, tp)
			}
		}
		if !IsPattern(name) {
			add(name)
			return
		}
		for _, n := range s.TracepointNames() {
			if Match(name, n) {
				add(n)
			}
		}
	})
	sort.Slice(out, func(i, j int) bool {
		a, b := out[i], out[j]
		return cmp.Or(strings.Compare(a.System, b.System), strings.Compare(a.Name, b.Name), strings.Compare(a.Module, b.Module)) < 0
	})
	return out, err
}

func (t *Target) tracepoint(module string, s *btf.Spec, name string) (Tracepoint, bool) {
	raw, ok := s.Tracepoint(name)
	if !ok {
		return Tracepoint{}, false
	}
	tp := Tracepoint{Tracepoint: raw, Module: module, spec: s}
	tp.System, tp.Event = t.system(name)
	return tp, true
}

// SimilarTracepoints suggests tracepoints for a name, given with or without a
// system, that does not exist.
func (t *Target) SimilarTracepoints(module, name string, n int) []string {
	system, bare, ok := strings.Cut(name, ":")
	if !ok {
		bare = name
	}
	var names []string
	// An error here means that nothing is known to suggest.
	_ = t.inObjects(module, func(_ string, s *btf.Spec) {
		names = append(names, s.TracepointNames()...)
	})
	out := ctype.Similar(bare, names, n)
	if ok {
		// The name may be right and the system wrong.
		if slices.Contains(names, bare) && !slices.Contains(out, bare) {
			out = slices.Insert(out, 0, bare)
		}
		for i, o := range out {
			if sys, _ := t.system(o); sys != "" {
				out[i] = sys + ":" + o
			} else {
				out[i] = system + ":" + o
			}
		}
	}
	return out[:min(n, len(out))]
}

// Type finds a type by name in the kernel ("") or a module: "struct x",
// "union x", "enum x", or a bare name, which is looked for as struct, typedef,
// union, enum and base type, in that order.
func (t *Target) Type(module, name string) (ctype.Type, bool) {
	s, err := t.ModuleBTF(objectName(module))
	if err != nil {
		return nil, false
	}
	kinds := []btf.Kind{btf.KindStruct, btf.KindTypedef, btf.KindUnion, btf.KindEnum, btf.KindEnum64, btf.KindInt, btf.KindFloat}
	name = strings.TrimSpace(name)
	if kw, rest, ok := strings.Cut(name, " "); ok {
		switch kw {
		case "struct":
			kinds, name = []btf.Kind{btf.KindStruct}, strings.TrimSpace(rest)
		case "union":
			kinds, name = []btf.Kind{btf.KindUnion}, strings.TrimSpace(rest)
		case "enum":
			kinds, name = []btf.Kind{btf.KindEnum, btf.KindEnum64}, strings.TrimSpace(rest)
		}
	}
	for ; s != nil; s = s.Base() {
		for _, k := range kinds {
			ids := s.Lookup(k, name)
			if len(ids) == 0 {
				continue
			}
			return s.Type(largest(s, ids)), true
		}
	}
	return nil, false
}

// largest prefers, among types of one name, the one with most to tell: private
// structs of different files may share a name.
func largest(s *btf.Spec, ids []btf.ID) btf.ID {
	best := ids[0]
	for _, id := range ids[1:] {
		if s.Type(id).Size() > s.Type(best).Size() {
			best = id
		}
	}
	return best
}

func objectName(module string) string {
	if module == "kernel" {
		return ""
	}
	return module
}

// Constant finds an enumerator by name in the kernel ("") or a module.
func (t *Target) Constant(module, name string) (value int64, enum *ctype.Enum, ok bool) {
	s, err := t.ModuleBTF(objectName(module))
	if err != nil {
		return 0, nil, false
	}
	for ; s != nil; s = s.Base() {
		if v, e, ok := s.Constant(name); ok {
			return v, e, true
		}
	}
	return 0, nil, false
}

// Variable finds a global variable with type information. BTF usually has the
// per-CPU ones only; their Section is ".data..percpu".
func (t *Target) Variable(module, name string) (btf.Var, bool) {
	s, err := t.ModuleBTF(objectName(module))
	if err != nil {
		return btf.Var{}, false
	}
	for _, v := range s.Vars() {
		if v.Name == name {
			return v, true
		}
	}
	return btf.Var{}, false
}
