package interp

import (
	"encoding/binary"
	"fmt"
	"sort"
	"strings"

	"stapkit/format"
	"stapkit/ir"
)

// intrinsicArgs compiles the arguments of an intrinsic into f.v.
func (c *compiler) intrinsicArgs(e *ir.Intrinsic) func(*frame) ([]Value, *Error) {
	keys, off := c.keys(e.Args)
	n := len(e.Args)
	return func(f *frame) ([]Value, *Error) {
		return f.v[off : off+n : off+n], keys(f)
	}
}

func (c *compiler) intrinsicVoid(e *ir.Intrinsic) voidFn {
	args, id, site := c.intrinsicArgs(e), e.ID, e.Site
	return func(f *frame) *Error {
		a, err := args(f)
		if err != nil {
			return err
		}
		var host error
		switch id {
		case ir.IExit:
			host = f.m.env.Exit()
		case ir.IAbort:
			if host = f.m.env.Exit(); host == nil {
				return &Error{host: errAbort}
			}
		case ir.IError:
			return &Error{Code: ir.ErrUser, Site: site, Detail: a[0].S}
		case ir.IWarn:
			host = f.m.env.Warn(a[0].S)
		case ir.ISystem:
			host = f.m.env.System(a[0].S)
		default:
			_, host = f.m.env.Intrinsic(id, a)
		}
		if host != nil {
			return raise(host, site)
		}
		return nil
	}
}

func (c *compiler) intrinsicInt(e *ir.Intrinsic) intFn {
	args, id, site := c.intrinsicArgs(e), e.ID, e.Site
	switch id {
	case ir.IKernelMem, ir.IUserMem:
		space := ir.KernelSpace
		if id == ir.IUserMem {
			space = ir.UserSpace
		}
		size := e.Args[1].(*ir.IntConst).V
		if size < 0 {
			return c.load(c.intExpr(e.Args[0]), int(-size), true, space, site)
		}
		return c.load(c.intExpr(e.Args[0]), int(size), false, space, site)
	}
	return func(f *frame) (int64, *Error) {
		a, err := args(f)
		if err != nil {
			return 0, err
		}
		switch id {
		case ir.IStrLen:
			return int64(len(a[0].S)), nil
		case ir.IStrByte:
			if i := a[1].I; i >= 0 && i < int64(len(a[0].S)) {
				return int64(a[0].S[i]), nil
			}
			return 0, nil
		case ir.INgroups:
			if f.m.match == nil {
				return 0, &Error{Code: ir.ErrNoMatch, Arg: -1, Site: site}
			}
			return int64(len(f.m.match) / 2), nil
		case ir.IIsReturn:
			return b2i(f.m.h.Return), nil
		case ir.IPointInt:
			return f.m.h.Points[f.m.point].Ints[a[0].I], nil
		}
		v, host := f.m.env.Intrinsic(id, a)
		if host != nil {
			return 0, raise(host, site)
		}
		return v.I, nil
	}
}

func (c *compiler) intrinsicStr(e *ir.Intrinsic) strFn {
	args, id, site, width := c.intrinsicArgs(e), e.ID, e.Site, c.width(e.T)
	var run func(*frame, []Value) (string, *Error)
	switch id {
	case ir.IStrSub:
		run = func(_ *frame, a []Value) (string, *Error) { return ir.StrSub(a[0].S, a[1].I, a[2].I), nil }
	case ir.IChr:
		run = func(_ *frame, a []Value) (string, *Error) {
			if b := byte(a[0].I); b != 0 {
				return string([]byte{b}), nil
			}
			return "", nil
		}
	case ir.IKernelStr, ir.IUserStr:
		space, code := ir.KernelSpace, ir.ErrKernelStr
		if id == ir.IUserStr {
			space, code = ir.UserSpace, ir.ErrUserStr
		}
		run = func(f *frame, a []Value) (string, *Error) {
			s, err := f.m.env.ReadStr(space, uint64(a[0].I), int(min(max(a[1].I, 0), int64(width-1))))
			if err != nil {
				return "", fault(code, uint64(a[0].I), site)
			}
			return s, nil
		}
	case ir.IMatched:
		run = func(f *frame, a []Value) (string, *Error) {
			n, loc := a[0].I, f.m.match
			switch {
			case loc == nil:
				return "", &Error{Code: ir.ErrNoMatch, Site: site, Arg: max(n, 0)}
			case n < 0 || n >= int64(len(loc)/2):
				return "", &Error{Code: ir.ErrNoGroup, Site: site, Arg: n}
			case loc[2*n] < 0:
				return "", nil
			}
			return f.m.matched[loc[2*n]:loc[2*n+1]], nil
		}
	case ir.IPp:
		run = c.ofProbe(func(p *ir.Probe) string { return p.Point })
	case ir.IPn:
		run = c.ofProbe(func(p *ir.Probe) string { return p.Name })
	case ir.IProbeType:
		run = c.ofProbe(func(p *ir.Probe) string { return p.Kind })
	case ir.IPpfunc:
		run = c.ofProbe(func(p *ir.Probe) string { return p.Func })
	case ir.IPointStr:
		run = func(f *frame, a []Value) (string, *Error) { return f.m.h.Points[f.m.point].Strs[a[0].I], nil }
	case ir.IModuleName:
		name := c.m.p.Name
		run = func(*frame, []Value) (string, *Error) { return name, nil }
	default:
		run = func(f *frame, a []Value) (string, *Error) {
			v, host := f.m.env.Intrinsic(id, a)
			if host != nil {
				return "", raise(host, site)
			}
			return v.S, nil
		}
	}
	return func(f *frame) (string, *Error) {
		a, err := args(f)
		if err != nil {
			return "", err
		}
		s, err := run(f, a)
		if err != nil {
			return "", err
		}
		return cut(s, width), nil
	}
}

func (c *compiler) ofProbe(get func(*ir.Probe) string) func(*frame, []Value) (string, *Error) {
	return func(f *frame, _ []Value) (string, *Error) {
		i := f.m.h.Probe
		if n := f.m.point; n < len(f.m.h.Points) {
			i = f.m.h.Points[n].Probe
		}
		if i >= 0 && i < len(f.m.p.Probes) {
			return get(&f.m.p.Probes[i]), nil
		}
		return "", nil
	}
}

// makeText makes the payload that ir.Text describes.
func (c *compiler) makeText(e *ir.MakeText) strFn {
	keys, off := c.keys(e.Args)
	n, width := len(e.Args), e.T.Width
	first := e.FirstWord()
	head := func(*frame) (int64, *Error) { return first, nil }
	if e.Head != nil {
		head = c.intExpr(e.Head)
	}
	return func(f *frame) (string, *Error) {
		first, err := head(f)
		if err != nil {
			return "", err
		}
		var b []byte
		word := func(v int64) { b = binary.LittleEndian.AppendUint64(b, uint64(v)) }
		unread := func() (string, *Error) { // no error of the script's
			word(first | ir.TypeFault<<32)
			return fitPayload(string(b), width), nil
		}
		if err := keys(f); err != nil {
			if e.Kind == ir.TextType && err.Code.Fault() {
				return unread()
			}
			return "", err
		}
		a := f.v[off : off+n]
		if user, ok := e.Kind.IsStack(); ok {
			// No frames: the loader's own stack is not the script's business.
			if word(0); user {
				word(0)
			}
			return fitPayload(string(b), width), nil
		}
		switch e.Kind {
		case ir.TextType:
			if e.Immediate {
				word(first)
				word(0)
				for i := range a {
					word(a[i].I)
				}
				break
			}
			addr := uint64(a[0].I)
			if first>>32&ir.TypeString != 0 {
				text, err := f.m.env.ReadStr(e.Space, addr, e.Size-1)
				if err != nil {
					first |= ir.TypeUnread << 32
				}
				word(first)
				word(a[0].I)
				b = append(b, text...)
				break
			}
			buf := make([]byte, (e.Size+7)&^7)
			if err := f.m.env.ReadMem(e.Space, addr, buf[:e.Size]); err != nil {
				return unread()
			}
			word(first)
			word(a[0].I)
			b = append(b, buf...)
			_, width := ir.PointedTexts(uint32(first >> 32))
			for _, at := range e.Pointers {
				var to [8]byte
				copy(to[:max(min(e.PointerSize, 8), 0)], buf[at:])
				text := make([]byte, 8*width)
				s, err := f.m.env.ReadStr(e.Space, binary.LittleEndian.Uint64(to[:]), 8*width-1)
				if copy(text, s); err != nil {
					to = [8]byte{}
				}
				b = append(append(b, to[:]...), text...)
			}
		case ir.TextParms:
			word(first)
			for i := range a {
				word(a[i].I)
			}
		case ir.TextFormat:
			if ir.Lazy(first>>32) == ir.LazyPlain && a[0].S == "" {
				break // what a variable never set holds
			}
			word(first)
			b = AppendArgs(b, a)
		default:
			for i := range a {
				word(a[i].I)
			}
		}
		return fitPayload(string(b), width), nil
	}
}

// AppendArgs appends arguments as a ring-buffer item holds them: a number as
// one word, a string with its length, deferred text with its kind.
func AppendArgs(b []byte, args []Value) []byte {
	for _, v := range args {
		if v.Kind == ir.Int {
			b = binary.LittleEndian.AppendUint64(b, uint64(v.I))
			continue
		}
		first, aux := uint16(len(v.S)), uint32(0)
		if v.Kind == ir.Deferred {
			first, aux = uint16(v.Text), ir.DeferredArg
		}
		b = binary.LittleEndian.AppendUint16(b, first)
		b = binary.LittleEndian.AppendUint16(b, uint16(1+(len(v.S)+7)/8))
		b = binary.LittleEndian.AppendUint32(b, aux)
		b = append(b, v.S...)
		for len(b)%8 != 0 {
			b = append(b, 0)
		}
	}
	return b
}

// table is an ir.Table made ready.
type table struct {
	t   *ir.Table
	def format.Format
}

func newTable(t *ir.Table) (*table, error) {
	def, err := format.Parse(t.Default)
	if err != nil {
		return nil, fmt.Errorf("table %s: default: %w", t.Name, err)
	}
	if types := def.ArgTypes(); len(types) > 1 || len(types) == 1 && types[0] != format.Long {
		return nil, fmt.Errorf("table %s: default %q takes more than one number", t.Name, t.Default)
	}
	return &table{t, def}, nil
}

// lookup implements the rules of ir.Table.
func (t *table) lookup(v int64) string {
	entries := t.t.Entries
	i := sort.Search(len(entries), func(i int) bool { return entries[i].Value >= v })
	if i < len(entries) && entries[i].Value == v {
		return entries[i].Name
	}
	if t.t.Kind == ir.TableEnum {
		return t.other(v)
	}
	var names []string
	rest := v
	for i := range entries {
		if bits := entries[i].Value; bits != 0 && v&bits == bits {
			names = append(names, entries[i].Name)
			rest &^= bits
		}
	}
	if rest != 0 || v == 0 {
		if s := t.other(rest); s != "" {
			names = append(names, s)
		}
	}
	return strings.Join(names, "|")
}

// other is the text for a number without name.
func (t *table) other(v int64) string {
	var args []format.Arg
	if len(t.def.ArgTypes()) == 1 {
		args = []format.Arg{format.LongArg(v)}
	}
	s, err := format.Sprint(t.def, args, ir.MaxStrWidth)
	if err != nil {
		return "" // newTable saw that the arguments fit
	}
	return s
}
