package interp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"

	"stapkit/format"
	"stapkit/ir"
)

// Texts makes text of ir.TextFormat values: the sprintf, table look-ups and
// library calls of kernel handlers that were left to the loader. It may be used
// while a Machine runs, but not by several goroutines at once.
type Texts struct {
	m *Machine
}

// textEnv is all that pure functions see of the world.
type textEnv struct {
	*Mem
	resolve func(Value) (string, error)
	host    func(ir.IntrinsicID, []Value) (Value, error) // nil: there is none
}

// Text implements Env.
func (e *textEnv) Text(v Value) (string, error) { return e.resolve(v) }

// Intrinsic implements Env.
func (e *textEnv) Intrinsic(id ir.IntrinsicID, args []Value) (Value, error) {
	if e.host != nil {
		return e.host(id, args)
	}
	return e.Mem.Intrinsic(id, args)
}

// NewTexts prepares for the texts of p. Deferred text of other kinds that is
// part of a text is made by resolve, pure intrinsics that ask the loader are
// executed by host, which may be nil.
func NewTexts(p *ir.Program, resolve func(Value) (string, error), host func(ir.IntrinsicID, []Value) (Value, error)) (*Texts, error) {
	m, err := newMachine(p, &textEnv{NewMem(p), resolve, host})
	if err != nil {
		return nil, err
	}
	m.h = &ir.Handler{}
	return &Texts{m}, nil
}

var errPayload = errors.New("damaged record: text that is none")

// Text makes the text of a payload, "" of an empty one. The payload may be
// damaged, which is an error.
func (t *Texts) Text(payload string) (string, error) {
	if payload == "" {
		return "", nil
	}
	if len(payload) < 8 {
		return "", errPayload
	}
	head, b := binary.LittleEndian.Uint64([]byte(payload)), []byte(payload[8:])
	index, p := int(uint32(head)), t.m.p
	switch ir.Lazy(head >> 32) {
	case ir.LazyNone:
		return "", nil
	case ir.LazyFormat:
		if index >= len(p.Formats) {
			return "", errPayload
		}
		return t.format(&p.Formats[index], b)
	case ir.LazyPlain:
		args, err := TakeArgs(b, []ir.Type{{Kind: ir.Str, Width: ir.MaxStrWidth}})
		if err != nil {
			return "", err
		}
		return args[0].S, nil
	case ir.LazyTable:
		args, err := TakeArgs(b, []ir.Type{ir.TInt})
		if err != nil || index >= len(t.m.tables) {
			return "", errPayload
		}
		return cut(t.m.tables[index].lookup(args[0].I), t.limit()), nil
	case ir.LazyCall:
		if index >= len(p.Funcs) {
			return "", errPayload
		}
		return t.call(index, b)
	}
	return "", errPayload
}

func (t *Texts) limit() int {
	return t.m.p.Limits.Limit(ir.Type{Kind: ir.Str, Width: ir.MaxStrWidth}).Width
}

func (t *Texts) format(f *ir.Format, b []byte) (string, error) {
	vals, err := TakeArgs(b, f.Args)
	if err != nil {
		return "", err
	}
	args := make([]format.Arg, len(vals))
	for i, v := range vals {
		switch v.Kind {
		case ir.Int:
			args[i] = format.LongArg(v.I)
		case ir.Deferred:
			s, err := t.m.text(v)
			if err != nil {
				return "", err
			}
			args[i] = format.StringArg(s)
		default:
			args[i] = format.StringArg(v.S)
		}
	}
	return format.Sprint(f.Parsed, args, t.limit()-1)
}

func (t *Texts) call(index int, b []byte) (string, error) {
	fn := t.m.p.Funcs[index]
	if fn.Result.Kind != ir.Str {
		return "", errPayload
	}
	vals, err := takeArgs(b, fn.Locals[:fn.Params], true)
	if err != nil {
		return "", err
	}
	for i, v := range vals {
		if v.Kind == ir.Deferred && fn.Locals[i].Kind == ir.Str {
			s, err := t.m.text(v)
			if err != nil {
				return "", err
			}
			vals[i] = Value{Kind: ir.Str, S: s}
		}
	}
	m := t.m
	m.actions, m.depth, m.calls, m.match, m.matched = math.MaxInt, 0, 0, nil, ""
	c := m.function(index)
	f := m.enter(c)
	defer m.leave(c, f)
	for i, v := range vals {
		if f.i[i] = v.I; v.Kind != ir.Int {
			f.s[i] = fitString(v.S, c.locals[i])
		}
	}
	if _, err := c.body(f); err != nil {
		return "", err
	}
	return f.rs, nil
}

// TakeArgs reads the arguments of an item or of a TextFormat payload, as package
// ir lays them out (see RecHeader). Nothing in b is trusted.
func TakeArgs(b []byte, types []ir.Type) ([]Value, error) { return takeArgs(b, types, false) }

// takeArgs is TakeArgs; either: where types has a string there may be deferred text.
func takeArgs(b []byte, types []ir.Type, either bool) ([]Value, error) {
	args := make([]Value, len(types))
	for i, t := range types {
		args[i] = Zero(t)
		v := &args[i]
		if len(b) < 8 {
			return nil, errPayload
		}
		if t.Kind == ir.Int {
			v.I = int64(binary.LittleEndian.Uint64(b))
			b = b[8:]
			continue
		}
		first := binary.LittleEndian.Uint16(b)
		deferred := t.Kind == ir.Deferred || either && binary.LittleEndian.Uint32(b[4:]) == ir.DeferredArg
		size := 8 * int(binary.LittleEndian.Uint16(b[2:]))
		if size < 8 || size > len(b) {
			return nil, errPayload
		}
		data := b[8:size]
		b = b[size:]
		if deferred {
			v.Kind, v.Text, v.S = ir.Deferred, ir.Text(first), string(data)
			continue
		}
		n := int(first)
		if first == ir.StrToNUL {
			if n = bytes.IndexByte(data, 0); n < 0 {
				n = len(data)
			}
		}
		if n > len(data) {
			return nil, errPayload
		}
		v.S = string(data[:n])
	}
	return args, nil
}
