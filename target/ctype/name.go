package ctype

import (
	"fmt"
	"strconv"
	"strings"
)

// Name is t as SystemTap's -L prints the types of variables: qualifiers and
// stars follow what they apply to, arrays have no length, typedefs keep their
// names. Examples: "struct task_struct*", "char const*", "struct iovec[]",
// "long unsigned int", "int (*)(struct file*)".
func Name(t Type) string { return modified(t, "") }

// String is Name of the type.
func (t *Void) String() string      { return Name(t) }
func (t *Int) String() string       { return Name(t) }
func (t *Float) String() string     { return Name(t) }
func (t *Enum) String() string      { return Name(t) }
func (t *Pointer) String() string   { return Name(t) }
func (t *Array) String() string     { return Name(t) }
func (t *Struct) String() string    { return Name(t) }
func (t *Typedef) String() string   { return Name(t) }
func (t *Qualified) String() string { return Name(t) }
func (t *Func) String() string      { return Name(t) }
func (t *Forward) String() string   { return Name(t) }

func modified(t Type, mods string) string {
	switch t := t.(type) {
	case *Pointer:
		return modified(t.Elem, "*"+mods)
	case *Array:
		return modified(t.Elem, "[]"+mods)
	case *Qualified:
		return modified(t.Elem, " "+t.Qual.String()+mods)
	case *Func:
		// What applies to a function type goes in the middle of it.
		var b strings.Builder
		b.WriteString(modified(t.Result, ""))
		b.WriteString(" ")
		if mods != "" {
			b.WriteString("(" + strings.TrimPrefix(mods, " ") + ")")
		}
		writeParams(&b, t, func(p Param) string { return modified(p.Type, "") })
		return b.String()
	}
	return baseName(t) + mods
}

func writeParams(b *strings.Builder, f *Func, show func(Param) string) {
	b.WriteByte('(')
	for i, p := range f.Params {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(show(p))
	}
	switch {
	case f.Variadic && len(f.Params) > 0:
		b.WriteString(", ...")
	case f.Variadic:
		b.WriteString("...")
	case len(f.Params) == 0:
		b.WriteString("void")
	}
	b.WriteByte(')')
}

// baseName is the name of a type that is no pointer, array, function or
// qualified type.
func baseName(t Type) string {
	switch t := t.(type) {
	case *Void:
		return "void"
	case *Int:
		return t.Name
	case *Float:
		return t.Name
	case *Enum:
		return tagged("enum", t.Name)
	case *Struct:
		return tagged(t.Kind.String(), t.Name)
	case *Forward:
		return tagged(t.Kind.String(), t.Name)
	case *Typedef:
		return t.Name
	}
	return fmt.Sprintf("<%T>", t)
}

func tagged(keyword, name string) string {
	if name == "" {
		return keyword + " {...}"
	}
	return keyword + " " + name
}

// Declare is the C declaration of name with type t, without the semicolon:
// "const char *name", "struct iovec name[8]", "int (*name)(int)". An empty
// name gives an abstract declarator.
func Declare(t Type, name string) string { return declare(t, name, baseName) }

// declare builds the declarator from the inside out; base spells what remains.
func declare(t Type, decl string, base func(Type) string) string {
	join := func(spec string) string {
		if decl == "" {
			return spec
		}
		return spec + " " + decl
	}
	switch t := t.(type) {
	case *Pointer:
		decl = "*" + decl
		switch Unqualified(t.Elem).(type) {
		case *Array, *Func:
			decl = "(" + decl + ")"
		}
		return declare(t.Elem, decl, base)
	case *Array:
		n := ""
		if t.Len > 0 {
			n = strconv.FormatInt(t.Len, 10)
		}
		return declare(t.Elem, decl+"["+n+"]", base)
	case *Func:
		var b strings.Builder
		b.WriteString(decl)
		writeParams(&b, t, func(p Param) string { return declare(p.Type, p.Name, baseName) })
		return declare(t.Result, b.String(), base)
	case *Qualified:
		// Qualifiers of pointers follow the star, others lead.
		var quals []string
		inner := Type(t)
		for {
			q, ok := inner.(*Qualified)
			if !ok {
				break
			}
			quals = append(quals, q.Qual.String())
			inner = q.Elem
		}
		q := strings.Join(quals, " ")
		switch inner.(type) {
		case *Pointer:
			if decl != "" {
				q += " "
			}
			return declare(inner, q+decl, base)
		case *Array, *Func:
			return q + " " + declare(inner, decl, base)
		}
		return join(q + " " + base(inner))
	}
	return join(base(t))
}

// Prototype is the C prototype of a function, without the semicolon.
func Prototype(name string, f *Func) string { return Declare(f, name) }

// Layout is the C declaration of a struct, union or enum with the offset and
// size of each member in comments, in decimal bytes. Anonymous members are
// shown in place; bit-fields as byte:bit offset and width in bits. Other types
// give a one-line declaration.
func Layout(t Type) string {
	var b strings.Builder
	budget := maxLines
	switch u := Unqualified(t).(type) {
	case *Typedef:
		if s, ok := Strip(u).(*Struct); ok && s.Name == "" {
			b.WriteString("typedef ")
			layoutBody(&b, s, 0, 0, &budget)
			fmt.Fprintf(&b, " %s;", u.Name)
			break
		}
		if e, ok := Strip(u).(*Enum); ok && e.Name == "" {
			b.WriteString("typedef ")
			enumBody(&b, e)
			fmt.Fprintf(&b, " %s;", u.Name)
			break
		}
		fmt.Fprintf(&b, "typedef %s; /* size: %d */", Declare(u.Elem, u.Name), u.Size())
	case *Struct:
		layoutBody(&b, u, 0, 0, &budget)
		b.WriteByte(';')
	case *Enum:
		enumBody(&b, u)
		b.WriteByte(';')
	default:
		fmt.Fprintf(&b, "%s; /* size: %d */", Declare(t, ""), t.Size())
	}
	b.WriteByte('\n')
	return b.String()
}

func enumBody(b *strings.Builder, e *Enum) {
	b.WriteString("enum ")
	if e.Name != "" {
		b.WriteString(e.Name + " ")
	}
	b.WriteString("{\n")
	for _, v := range e.Values() {
		if e.Signed {
			fmt.Fprintf(b, "\t%s = %d,\n", v.Name, v.Value)
		} else {
			fmt.Fprintf(b, "\t%s = %d,\n", v.Name, uint64(v.Value))
		}
	}
	fmt.Fprintf(b, "\n\t/* size: %d, constants: %d */\n}", e.Bytes, len(e.Values()))
}

// maxNesting bounds recursion through anonymous members: C code nests a few
// deep, a hostile type description may refer to itself.
const maxNesting = 32

// maxLines bounds how many lines of members with anonymous ones in place Layout makes;
// beyond, these are named as a type.
const maxLines = 1 << 14

func layoutBody(b *strings.Builder, s *Struct, base int64, depth int, budget *int) {
	*budget--
	indent := strings.Repeat("\t", depth)
	b.WriteString(s.Kind.String() + " ")
	if s.Name != "" {
		b.WriteString(s.Name + " ")
	}
	b.WriteString("{\n")
	for _, m := range s.Members() {
		*budget--
		bit := base + m.Bit
		b.WriteString(indent + "\t")
		if in, ok := Unqualified(m.Type).(*Struct); ok && in.Name == "" && depth < maxNesting && *budget > 0 {
			layoutBody(b, in, bit, depth+1, budget)
			if m.Name != "" {
				b.WriteString(" " + m.Name)
			}
			fmt.Fprintf(b, ";\t/* %d %d */\n", bit/8, in.Bytes)
			continue
		}
		if m.Bits > 0 {
			fmt.Fprintf(b, "%s:%d;\t/* %d:%d %d */\n", Declare(m.Type, m.Name), m.Bits, bit/8, bit%8, m.Type.Size())
			continue
		}
		fmt.Fprintf(b, "%s;\t/* %d %d */\n", Declare(m.Type, m.Name), bit/8, m.Type.Size())
	}
	if depth == 0 {
		fmt.Fprintf(b, "\n\t/* size: %d, members: %d */\n", s.Bytes, len(s.Members()))
	}
	b.WriteString(indent + "}")
}
