package query

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"stapkit/sema"
	"stapkit/syntax"
	"stapkit/tapsets"
	"stapkit/target"
	"stapkit/target/ctype"
	"stapkit/target/dwarf"
)

// targetVariables lists what the place around a path offers to "$": of a probe with
// several points, what any of them offers.
func (s *Snapshot) targetVariables(path []syntax.Node) []sema.TargetVariable {
	return s.variablesOf(pointsOf(path))
}

// pointsOf gives the points of the probe or alias around a path, nil if there is none.
func pointsOf(path []syntax.Node) []syntax.Point {
	switch d := declOf(path).(type) {
	case *syntax.ProbeDecl:
		return d.Points
	case *syntax.AliasDecl:
		return d.Points
	}
	return nil
}

func (s *Snapshot) variablesOf(points []syntax.Point) []sema.TargetVariable {
	var out []sema.TargetVariable
	seen := map[string]bool{}
	for i, p := range s.Env.resolve(s.File, points) {
		if i == sampled {
			break
		}
		vars, _ := p.TargetVariables()
		for _, v := range vars {
			if !seen[v.Name] {
				seen[v.Name] = true
				out = append(out, v)
			}
		}
	}
	return out
}

// step is one place on an access path.
type step struct {
	decl   string // C declaration of what is there
	typ    ctype.Type
	member bool
	offset int64 // in its struct, in bytes
	bit    int64 // of a bit-field, within the byte at offset
	bits   int64
	owner  string // the struct
	in     ctype.Type
	from   string // what the base is
}

// base gives the C type that an expression's access path starts from.
func (s *Snapshot) base(x syntax.Expr, path []syntax.Node) (t ctype.Type, name, from string) {
	switch x := x.(type) {
	case *syntax.TargetVar:
		for _, v := range s.targetVariables(path) {
			if v.Name != x.Name || v.Type == nil {
				continue
			}
			switch {
			case v.Entry && x.Name != "$return":
				from = "its value when the function was entered"
			case v.Local:
				from = "local variable of the function"
			case x.Name == "$return":
				from = "the return value"
			}
			return v.Type, x.Name, from
		}
	case *syntax.AtOp:
		str := func(i int) (string, bool) {
			if i < len(x.Args) {
				if l, ok := x.Args[i].(*syntax.StringLit); ok {
					return l.Value, true
				}
			}
			return "", false
		}
		switch x.Op {
		case syntax.AtCast:
			if n, ok := str(1); ok {
				m, _ := str(2)
				if t := s.Env.typeByName(n, s.objectsOf(path, m)); t != nil {
					if !strings.HasSuffix(strings.TrimSpace(n), "*") {
						t = &ctype.Pointer{Elem: t, Bytes: 8}
					}
					return t, "@cast", ""
				}
			}
		case syntax.AtVar:
			if n, ok := str(0); ok {
				m, _ := str(1)
				n, _, _ := strings.Cut(n, "@")
				for _, o := range s.objectsOf(path, m) {
					if t := s.Env.variableType(n, o); t != nil {
						return t, n, "variable of the " + whose(o)
					}
				}
			}
		}
	case *syntax.Autocast:
		if v := s.valueOf(s.Program(), x.X, path); v != nil {
			return v.Type, syntax.ExprString(x.X), ""
		}
	}
	return nil, "", ""
}

func whose(module string) string {
	if strings.HasPrefix(module, "/") {
		return "program " + module
	}
	if module == "" || module == "kernel" {
		return "kernel"
	}
	return "module " + module
}

// objectsOf are what types and variables are looked up in, as sema has it: the modules and
// programs that an operator names, parted by colons, or those of the probe, then the
// kernel, which is "".
func (s *Snapshot) objectsOf(path []syntax.Node, named string) []string {
	if named == "" {
		if list := s.Env.resolve(s.File, pointsOf(path)); len(list) > 0 {
			switch p := list[0]; {
			case p.Binary != "":
				return []string{p.Binary, ""}
			case p.Module != "" && p.Module != target.Kernel:
				return []string{p.Module, ""}
			}
		}
		return []string{""}
	}
	var out []string
	for _, m := range strings.Split(named, ":") {
		if i := strings.IndexByte(m, '<'); i >= 0 {
			m = m[:i]
		}
		if m == "kernel" || m == target.Kernel {
			m = ""
		}
		if strings.Contains(m, "/") {
			if abs, err := filepath.Abs(m); err == nil {
				m = abs
			}
		}
		out = append(out, m)
	}
	return out
}

// debugOf gives the debug information of a program, or of the kernel or a module of it.
func (e *Env) debugOf(object string) (*dwarf.Data, error) {
	if strings.HasPrefix(object, "/") {
		return e.bins.DWARF(object)
	}
	if e.Target == nil {
		return nil, errNoTarget
	}
	return e.bins.KernelDWARF(e.Target, object)
}

var errNoTarget = errors.New("no target is known")

// typeByName finds the type that @cast names, in the first object that has it.
func (e *Env) typeByName(name string, objects []string) ctype.Type {
	name = strings.TrimSpace(name)
	ptr := 0
	for strings.HasSuffix(name, "*") {
		name = strings.TrimSpace(strings.TrimSuffix(name, "*"))
		ptr++
	}
	var found ctype.Type
	for _, o := range objects {
		if !strings.HasPrefix(o, "/") && e.Target != nil {
			if t, ok := e.Target.Type(o, name); ok {
				found = t
				break
			}
		}
		if d, err := e.debugOf(o); err == nil {
			if t, ok := d.Type(name); ok {
				found = t
				break
			}
		}
	}
	for ; found != nil && ptr > 0; ptr-- {
		found = &ctype.Pointer{Elem: found, Bytes: 8}
	}
	return found
}

// variableType gives the type of a variable of a program, a module, or the kernel.
func (e *Env) variableType(name, object string) ctype.Type {
	if !strings.HasPrefix(object, "/") && e.Target != nil {
		if v, ok := e.Target.Variable(object, name); ok {
			return v.Type
		}
	}
	if d, err := e.debugOf(object); err == nil {
		for _, v := range d.Globals(name, "") {
			return v.Type
		}
	}
	return nil
}

// typeAt gives the type after the first n steps of an access path.
func (s *Snapshot) typeAt(x syntax.Expr, steps []*syntax.Accessor, path []syntax.Node) (ctype.Type, bool) {
	t, _, _ := s.base(x, path)
	if t == nil {
		return nil, false
	}
	return walk(t, steps)
}

func walk(t ctype.Type, steps []*syntax.Accessor) (ctype.Type, bool) {
	var list []ctype.Step
	for _, a := range steps {
		switch x := a.Index.(type) {
		case nil:
			list = append(list, ctype.M(a.Member))
		case *syntax.NumberLit:
			list = append(list, ctype.I(x.Value))
		default:
			list = append(list, ctype.Step{Kind: ctype.StepIndex, Dynamic: true})
		}
	}
	p, err := ctype.Resolve(t, list)
	if err != nil {
		return nil, false
	}
	return p.Type, true
}

// steps describes an access path after its step k; -1 is the base.
func (s *Snapshot) steps(x syntax.Expr, k int, path []syntax.Node) *step {
	_, acc := accessOf(x)
	base, name, from := s.base(x, path)
	if base == nil || acc == nil || k >= len(acc.Path) {
		return nil
	}
	if k < 0 {
		return &step{decl: ctype.Declare(base, name), typ: base, from: from}
	}
	t, ok := walk(base, acc.Path[:k+1])
	if !ok {
		return nil
	}
	a := acc.Path[k]
	if a.Index != nil {
		return &step{decl: ctype.Declare(t, "element"), typ: t}
	}
	st := &step{decl: ctype.Declare(t, a.Member), typ: t, member: true}
	parent, ok := walk(base, acc.Path[:k])
	if !ok {
		return st
	}
	if p, ok := ctype.AsPointer(parent); ok {
		parent = p.Elem
	}
	if str, ok := ctype.AsStruct(parent); ok {
		if way, bit, ok := ctype.FindMember(str, a.Member); ok {
			last := way[len(way)-1]
			m := last.Struct.Members()[last.Member]
			st.offset, st.bits = bit/8, m.Bits
			if m.Bits > 0 {
				st.bit = bit % 8
				st.decl += fmt.Sprintf(" : %d", m.Bits)
			}
		}
		st.owner, st.in = ctype.Name(parent), parent
	}
	return st
}

// named looks a number up in a table of names.
func named(table string, v int64) string {
	t, ok := tapsets.Lookup(strings.TrimPrefix(table, "_"))
	if !ok || v <= 0 {
		return ""
	}
	for _, e := range t.Entries {
		if e.Value == v {
			return e.Name
		}
	}
	return ""
}
