package interp

import (
	"bytes"
	"errors"
	"fmt"

	"stapkit/format"
	"stapkit/ir"
)

// Mem is an Env that lives in memory, for tests: its embedded Store holds the
// globals that are not the loader's own, output is collected, memory and
// context are what the test puts there.
type Mem struct {
	*Store
	Program *ir.Program

	Out      bytes.Buffer // printed text
	Warnings []string
	Commands []string // system()
	Exited   bool
	Args     []int64 // words of the context, CtxArg
	Ctx      []byte  // structure of the context, CtxField
	// Memory holds regions of kernel and user memory by their start.
	Memory [2]map[uint64][]byte
	// Values gives intrinsics their results; a missing one is 0 or "".
	Values map[ir.IntrinsicID]func(args []Value) (Value, error)
	// Regions, if set, is asked to run regions; otherwise they run in place.
	Regions func(id int, params []Value) (Value, bool, error)
	texts   *Texts // made when first needed

	// Members, if set, resolves members; otherwise those compiled in hold.
	Members func(typeID int, access string) (Member, bool)
}

// NewMem returns a Mem for p.
func NewMem(p *ir.Program) *Mem { return &Mem{Store: NewStore(p), Program: p} }

var errNoMemory = errors.New("no memory there")

// Region implements Env.
func (m *Mem) Region(id int, params []Value) (Value, bool, error) {
	if m.Regions == nil {
		return Value{}, false, nil
	}
	return m.Regions(id, params)
}

// Print implements Env: the text goes to Out.
func (m *Mem) Print(f int, args []Value) error {
	list := make([]format.Arg, len(args))
	for i, a := range args {
		switch a.Kind {
		case ir.Int:
			list[i] = format.LongArg(a.I)
		case ir.Deferred:
			s, err := m.Text(a)
			if err != nil {
				return err
			}
			list[i] = format.StringArg(s)
		default:
			list[i] = format.StringArg(a.S)
		}
	}
	b, err := format.Append(nil, m.Program.Formats[f].Parsed, list)
	m.Out.Write(b)
	return err
}

// PrintHist implements Env: the text goes to Out.
func (m *Mem) PrintHist(g int, s *Stat) error {
	h, _ := m.Program.Histogram(g)
	m.Out.Write(h.AppendText(nil, s.Hist))
	return nil
}

// Warn implements Env.
func (m *Mem) Warn(text string) error {
	m.Warnings = append(m.Warnings, text)
	return nil
}

// Exit implements Env.
func (m *Mem) Exit() error {
	m.Exited = true
	return nil
}

// System implements Env.
func (m *Mem) System(cmd string) error {
	m.Commands = append(m.Commands, cmd)
	return nil
}

// Intrinsic implements Env.
func (m *Mem) Intrinsic(id ir.IntrinsicID, args []Value) (Value, error) {
	if fn := m.Values[id]; fn != nil {
		return fn(args)
	}
	return Value{Kind: ir.Intrinsics[id].Result}, nil
}

// ReadMem implements Env.
func (m *Mem) ReadMem(space ir.Space, addr uint64, buf []byte) error {
	b, err := m.at(space, addr)
	if err != nil || len(b) < len(buf) {
		return errNoMemory
	}
	copy(buf, b)
	return nil
}

// ReadStr implements Env.
func (m *Mem) ReadStr(space ir.Space, addr uint64, max int) (string, error) {
	b, err := m.at(space, addr)
	if err != nil {
		return "", err
	}
	b = b[:min(len(b), max)]
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b), nil
}

// at returns the memory from addr on.
func (m *Mem) at(space ir.Space, addr uint64) ([]byte, error) {
	for start, b := range m.Memory[space] {
		if addr >= start && addr-start < uint64(len(b)) {
			return b[addr-start:], nil
		}
	}
	return nil, errNoMemory
}

// CtxArg implements Env.
func (m *Mem) CtxArg(n int) (int64, error) {
	if n >= len(m.Args) {
		return 0, NewError(ir.ErrNoContext, 0)
	}
	return m.Args[n], nil
}

// CtxBytes implements Env.
func (m *Mem) CtxBytes(off int, buf []byte) error {
	if off > len(m.Ctx) || len(m.Ctx)-off < len(buf) {
		return NewError(ir.ErrNoContext, 0)
	}
	copy(buf, m.Ctx[off:])
	return nil
}

// Member implements Env.
func (m *Mem) Member(typeID int, access string) (Member, bool) {
	if m.Members == nil {
		return Member{KeepCompiled: true}, true
	}
	return m.Members(typeID, access)
}

// Text implements Env. Text that was left to the loader is made; of other kinds
// the kind's number and the payload in hexadecimal are shown.
func (m *Mem) Text(v Value) (string, error) {
	if v.Text == ir.TextFormat {
		if m.texts == nil {
			var err error
			if m.texts, err = NewTexts(m.Program, m.Text, m.Intrinsic); err != nil {
				return "", err
			}
		}
		return m.texts.Text(v.S)
	}
	return fmt.Sprintf("text%d(%x)", v.Text, bytes.TrimRight([]byte(v.S), "\x00")), nil
}
