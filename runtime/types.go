//go:build linux

package loader

import (
	"fmt"
	"strconv"
	"strings"
	"sync"

	"stapkit/ir"
	"stapkit/ir/interp"
	"stapkit/target"
	"stapkit/target/ctype"
)

// typeFinder finds members of the running kernel's structures for loader
// handlers.
type typeFinder struct {
	p    *ir.Program
	once sync.Once
	tgt  *target.Target
	warn func(string)
}

func newTypeFinder(p *ir.Program, tgt *target.Target, warn func(string)) *typeFinder {
	return &typeFinder{p: p, tgt: tgt, warn: warn}
}

func (f *typeFinder) target() *target.Target {
	f.once.Do(func() {
		if f.tgt != nil {
			return
		}
		t, err := target.Running()
		if err != nil {
			f.warn(fmt.Sprintf("structures are read as on the kernel compiled for: %v", err))
			return
		}
		f.tgt = t
	})
	return f.tgt
}

// member finds what a CO-RE relocation of the access would find.
func (f *typeFinder) member(t *ir.TypeRef, access string) (interp.Member, bool) {
	keep := interp.Member{KeepCompiled: true}
	tgt := f.target()
	if tgt == nil {
		return keep, true
	}
	if _, err := tgt.BTF(); err != nil {
		return keep, true
	}
	name := t.Name
	if t.Kind != "typedef" && t.Kind != "" {
		name = t.Kind + " " + name
	}
	host, ok := tgt.Type(t.Module, name)
	if !ok || access == "" {
		return keep, ok
	}
	local, err := ctype.Decode(t.Members)
	if err != nil {
		f.warn(fmt.Sprintf("the description of %s in the program cannot be read: %v", name, err))
		return keep, false
	}
	steps, ok := stepsOf(local, access)
	if !ok {
		f.warn(fmt.Sprintf("the access %q does not fit %s", access, name))
		return keep, false
	}
	path, err := ctype.Resolve(host, steps)
	if err != nil || len(path.Hops) != 1 {
		return keep, false
	}
	m := interp.Member{Off: int(path.Hops[0].Offset), Size: int(path.Type.Size()), Signed: ctype.IsSigned(path.Type)}
	if b := path.Bits; b != nil {
		m.Size, m.Signed = int(b.Storage), b.Signed
		m.BitOff, m.BitSize = int(b.Bit), int(b.Bits)
	}
	return m, true
}

// stepsOf turns an access string, which numbers the members of the local type,
// into names.
func stepsOf(t ctype.Type, access string) ([]ctype.Step, bool) {
	parts := strings.Split(access, ":")
	if parts[0] != "0" {
		return nil, false
	}
	var steps []ctype.Step
	for _, part := range parts[1:] {
		i, err := strconv.ParseInt(part, 10, 32)
		if err != nil || i < 0 {
			return nil, false
		}
		switch s := ctype.Strip(t).(type) {
		case *ctype.Struct:
			m := s.Members()
			if i >= int64(len(m)) {
				return nil, false
			}
			if m[i].Name != "" {
				steps = append(steps, ctype.M(m[i].Name))
			}
			t = m[i].Type
		case *ctype.Array:
			steps = append(steps, ctype.I(i))
			t = s.Elem
		default:
			return nil, false
		}
	}
	return steps, len(steps) > 0
}

// typed makes the text of TextType, [layout | flags<<32, addr, bytes…], and
// TextParms, [layout, words…].
func (t *texts) typed(kind ir.Text, s string) string {
	if len(s) < 8 {
		return ""
	}
	head := native.Uint64([]byte(s[:8]))
	ct := t.typeOf(uint32(head))
	if ct == nil {
		return "?"
	}
	flags := uint32(head >> 32)
	pr := &ctype.Printer{Deep: flags&ir.TypeDeep != 0, Max: max(t.p.Limits.MaxStringLen-1, 64)}
	if kind == ir.TextParms {
		st, ok := ctype.AsStruct(ct)
		if !ok {
			return "?"
		}
		ws := words(s[8:])
		vals := make([]int64, len(ws))
		for i, w := range ws {
			vals[i] = int64(w)
		}
		return string(pr.AppendVars(nil, st, vals))
	}
	if len(s) < 16 {
		return ""
	}
	addr, data := native.Uint64([]byte(s[8:16])), []byte(s[16:])
	switch {
	case flags&ir.TypeFault != 0:
		return "ERROR" // as SystemTap has it
	case flags&ir.TypeUnread != 0:
		return fmt.Sprintf("%#x", addr)
	case flags&ir.TypeString != 0:
		pr.Text = func(uint64) (string, bool) {
			text, _, _ := strings.Cut(string(data), "\x00")
			return text, true
		}
		return string(pr.AppendInt(nil, &ctype.Pointer{Elem: ct, Bytes: 8}, int64(addr)))
	}
	if n, width := ir.PointedTexts(flags); width > 0 && 8*n <= len(data) {
		texts := map[uint64]string{}
		rest := data[8*n:]
		for data = data[:8*n]; len(rest) >= 8+8*width; rest = rest[8+8*width:] {
			if at := native.Uint64(rest); at != 0 {
				texts[at], _, _ = strings.Cut(string(rest[8:8+8*width]), "\x00")
			}
		}
		pr.Text = func(at uint64) (string, bool) {
			text, ok := texts[at]
			return text, ok
		}
	}
	return string(pr.Append(nil, ct, data))
}

// typeOf decodes a layout once. Nothing in it is trusted.
func (t *texts) typeOf(i uint32) ctype.Type {
	if uint64(i) >= uint64(len(t.p.Layouts)) {
		return nil
	}
	if t.layout[i] == nil {
		ct, err := ctype.Decode(t.p.Layouts[i])
		if err != nil {
			t.warn(fmt.Sprintf("the layout of a printed type cannot be read: %v", err))
			ct = &ctype.Void{}
		}
		t.layout[i] = ct
	}
	return t.layout[i]
}
