package elf

import (
	"bytes"
	"cmp"
	"debug/elf"
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// Mark is a USDT probe: one place in the code, of possibly several with the
// same provider and name.
type Mark struct {
	Provider, Name string
	Addr           uint64 // virtual address of the instruction
	// Semaphore is the virtual address of the counter that the program tests
	// before it prepares the arguments; 0 if there is none.
	Semaphore uint64
	Args      []Arg
	// ArgText is the specification that Args were read from.
	ArgText string
}

// ArgKind tells where an argument of a mark is.
type ArgKind uint8

// The kinds of argument.
const (
	ArgUnknown ArgKind = iota // Text was not understood
	ArgConst                  // Disp is the value
	ArgReg                    // in register Reg
	ArgMem                    // in memory at Reg + Index*Scale + Disp
	ArgAddr                   // in memory at virtual address Disp of the file (register and index aside)
)

// Arg is an argument of a mark.
type Arg struct {
	Kind   ArgKind
	Bytes  int // 1, 2, 4 or 8; the argument is this wide
	Signed bool
	Float  bool
	// Reg and Index are DWARF register numbers, -1 for none. Shift is how
	// far the value in Reg lies above bit 0 (8 for %ah).
	Reg, Index, Scale int
	Shift             int
	Disp              int64
	Text              string
}

const maxMarks = 1 << 20

// Marks lists the USDT probes of a program by provider, name and address.
func (f *File) Marks() ([]Mark, error) {
	var out []Mark
	err := guard(f.Path, func() error {
		s := f.f.Section(".note.stapsdt")
		if s == nil || s.Type != elf.SHT_NOTE {
			return nil
		}
		data, err := bounded(s.Open(), s.FileSize, maxNotes)
		if err != nil {
			return err
		}
		base := uint64(0)
		if b := f.f.Section(".stapsdt.base"); b != nil {
			base = b.Addr
		}
		bad := 0
		f.notes(data, s.Addralign, func(name string, typ uint32, desc []byte) {
			if name != "stapsdt" || typ != 3 || len(out) >= maxMarks {
				return
			}
			m, ok := f.mark(desc, base)
			if !ok {
				bad++
				return
			}
			out = append(out, m)
		})
		if bad > 0 {
			return fmt.Errorf("%d USDT notes are malformed", bad)
		}
		return nil
	})
	sort.SliceStable(out, func(i, j int) bool {
		a, b := out[i], out[j]
		return cmp.Or(strings.Compare(a.Provider, b.Provider), strings.Compare(a.Name, b.Name), cmp.Compare(a.Addr, b.Addr)) < 0
	})
	return out, err
}

// mark reads the descriptor of a note: three addresses, then provider, name
// and argument specification as zero-terminated text.
func (f *File) mark(desc []byte, base uint64) (Mark, bool) {
	var m Mark
	n := int(f.PointerBytes())
	if len(desc) < 3*n {
		return m, false
	}
	addr := func(i int) uint64 {
		if n == 4 {
			return uint64(f.Order.Uint32(desc[i*n:]))
		}
		return f.Order.Uint64(desc[i*n:])
	}
	texts := bytes.SplitN(desc[3*n:], []byte{0}, 4)
	if len(texts) < 4 || len(texts[0]) == 0 || len(texts[1]) == 0 {
		return m, false
	}
	m = Mark{Provider: string(texts[0]), Name: string(texts[1]), Addr: addr(0), Semaphore: addr(2), ArgText: string(texts[2])}
	// Prelink moves code but not notes; the base section tells how far.
	if noted := addr(1); base != 0 && noted != 0 {
		m.Addr += base - noted
		if m.Semaphore != 0 {
			m.Semaphore += base - noted
		}
	}
	m.Args = f.ParseArgs(m.ArgText)
	return m, true
}

// ParseArgs reads the argument specification of a mark: words "SIZE@OPERAND",
// the operand as the assembler of the machine writes it. An operand that is
// not understood gives an argument of kind ArgUnknown, so that the others keep
// their numbers.
func (f *File) ParseArgs(text string) []Arg {
	var out []Arg
	for _, w := range splitArgs(text) {
		out = append(out, f.parseArg(w))
	}
	return out
}

// splitArgs splits at spaces outside brackets: on arm64 an operand may itself
// contain spaces ("[sp, 8]").
func splitArgs(text string) []string {
	var out []string
	for _, w := range strings.Fields(text) {
		if n := len(out) - 1; n >= 0 && strings.Count(out[n], "[") > strings.Count(out[n], "]") {
			out[n] += " " + w
		} else {
			out = append(out, w)
		}
	}
	return out
}

func parseSize(s string) (bytes int, float bool, ok bool) {
	if t, is := strings.CutSuffix(s, "f"); is {
		s, float = t, true
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, false, false
	}
	switch n {
	case 1, 2, 4, 8, -1, -2, -4, -8:
		return n, float, true
	}
	return 0, false, false
}

func (f *File) parseArg(text string) Arg {
	// Without a size an argument is as wide as a pointer.
	a := Arg{Text: text, Bytes: int(f.PointerBytes()), Signed: true, Reg: -1, Index: -1}
	op := text
	if size, rest, ok := strings.Cut(text, "@"); ok {
		if n, float, ok := parseSize(size); ok {
			a.Bytes, a.Signed, a.Float = max(n, -n), n < 0, float
			op = rest
		}
	}
	switch f.Machine {
	case elf.EM_X86_64, elf.EM_386:
		f.x86Operand(&a, op)
	case elf.EM_AARCH64:
		arm64Operand(&a, op)
	case elf.EM_RISCV:
		riscvOperand(&a, op)
	}
	if a.Kind == ArgUnknown {
		a.Reg, a.Index = -1, -1
	}
	return a
}

func parseInt(s string) (int64, bool) {
	s = strings.TrimSpace(s)
	n, err := strconv.ParseInt(s, 0, 64)
	if err != nil {
		u, err := strconv.ParseUint(s, 0, 64)
		return int64(u), err == nil
	}
	return n, true
}

// x86Operand reads AT&T operands: $5, %edi, -8(%rbp), 4+var(%rip),
// (%rax,%rbx,4), var.
func (f *File) x86Operand(a *Arg, op string) {
	if rest, ok := strings.CutPrefix(op, "$"); ok {
		if v, ok := parseInt(rest); ok {
			a.Kind, a.Disp = ArgConst, v
		}
		return
	}
	if rest, ok := strings.CutPrefix(op, "%"); ok && !strings.Contains(rest, ":") {
		if reg, shift, ok := f.x86Reg(rest); ok {
			a.Kind, a.Reg, a.Shift = ArgReg, reg, shift
		}
		return
	}
	disp, inner, ok := strings.Cut(op, "(")
	pcRelative := false
	if ok {
		inner, closed := strings.CutSuffix(inner, ")")
		if !closed {
			return
		}
		regs := strings.Split(inner, ",")
		for i, r := range regs {
			r = strings.TrimSpace(r)
			if i == 2 {
				n, ok := parseInt(r)
				if !ok || n != 1 && n != 2 && n != 4 && n != 8 {
					return
				}
				a.Scale = int(n)
				continue
			}
			if r == "" && i == 0 {
				continue
			}
			name, ok := strings.CutPrefix(r, "%")
			if !ok || i > 2 {
				return
			}
			if name == "rip" {
				pcRelative = true
				continue
			}
			reg, _, ok := f.x86Reg(name)
			if !ok {
				return
			}
			if i == 0 {
				a.Reg = reg
			} else {
				a.Index, a.Scale = reg, 1
			}
		}
	}
	sym, off, ok := f.symbolic(disp)
	if !ok {
		return
	}
	a.Disp = off
	switch {
	case sym || pcRelative || a.Reg < 0 && a.Index < 0:
		// A displacement from %rip is written as the target itself.
		if !sym && disp == "" {
			return
		}
		a.Kind = ArgAddr
	default:
		a.Kind = ArgMem
	}
}

// symbolic reads a displacement: numbers and at most one symbol joined by +
// and -. sym tells that there was a symbol; the value is then an address.
func (f *File) symbolic(s string) (sym bool, v int64, ok bool) {
	if s == "" {
		return false, 0, true
	}
	if v, ok := parseInt(s); ok {
		return false, v, true
	}
	for s != "" {
		sign := int64(1)
		for s != "" && (s[0] == '+' || s[0] == '-') {
			if s[0] == '-' {
				sign = -sign
			}
			s = s[1:]
		}
		end := strings.IndexAny(s, "+-")
		if end < 0 {
			end = len(s)
		}
		term := s[:end]
		s = s[end:]
		if n, isNum := parseInt(term); isNum {
			v += sign * n
			continue
		}
		syms, err := f.Lookup(term)
		if err != nil || len(syms) == 0 || sym || sign < 0 {
			return false, 0, false
		}
		sym = true
		v += int64(syms[0].Addr)
	}
	return sym, v, true
}

// DWARF numbers of the x86 registers, by the second half of their names.
var (
	x86_64Regs = map[string]int{"ax": 0, "dx": 1, "cx": 2, "bx": 3, "si": 4, "di": 5, "bp": 6, "sp": 7}
	i386Regs   = map[string]int{"ax": 0, "cx": 1, "dx": 2, "bx": 3, "sp": 4, "bp": 5, "si": 6, "di": 7}
)

func (f *File) x86Reg(name string) (reg, shift int, ok bool) {
	regs := x86_64Regs
	if f.Machine == elf.EM_386 {
		regs = i386Regs
	}
	if n, isNum := strings.CutPrefix(name, "r"); isNum && f.Machine == elf.EM_X86_64 {
		n = strings.TrimRight(n, "dwb")
		if i, err := strconv.Atoi(n); err == nil && i >= 8 && i <= 15 {
			return i, 0, true
		}
	}
	switch len(name) {
	case 3: // rax, eax, sil
		if name[0] == 'r' || name[0] == 'e' {
			reg, ok = regs[name[1:]]
			return reg, 0, ok
		}
		if name[2] == 'l' {
			reg, ok = regs[name[:2]]
			return reg, 0, ok
		}
	case 2: // ax, al, ah
		switch name[1] {
		case 'l':
			reg, ok = regs[name[:1]+"x"]
			return reg, 0, ok
		case 'h':
			reg, ok = regs[name[:1]+"x"]
			return reg, 8, ok
		}
		reg, ok = regs[name]
		return reg, 0, ok
	}
	return 0, 0, false
}

// arm64Operand reads 5, x0, w1, sp, [sp], [x0, 8], [x0, x1].
func arm64Operand(a *Arg, op string) {
	if v, ok := parseInt(op); ok {
		a.Kind, a.Disp = ArgConst, v
		return
	}
	inner, mem := strings.CutPrefix(op, "[")
	if !mem {
		if reg, ok := arm64Reg(op); ok {
			a.Kind, a.Reg = ArgReg, reg
		}
		return
	}
	inner, closed := strings.CutSuffix(inner, "]")
	parts := strings.Split(inner, ",")
	reg, ok := arm64Reg(strings.TrimSpace(parts[0]))
	if !closed || !ok || len(parts) > 2 {
		return
	}
	a.Reg = reg
	if len(parts) == 2 {
		second := strings.TrimPrefix(strings.TrimSpace(parts[1]), "#")
		if v, ok := parseInt(second); ok {
			a.Disp = v
		} else if a.Index, ok = arm64Reg(second); ok {
			a.Scale = 1
		} else {
			return
		}
	}
	a.Kind = ArgMem
}

func arm64Reg(name string) (int, bool) {
	switch name {
	case "sp", "wsp":
		return 31, true
	case "fp":
		return 29, true
	case "lr":
		return 30, true
	}
	if len(name) < 2 || name[0] != 'x' && name[0] != 'w' {
		return 0, false
	}
	n, err := strconv.Atoi(name[1:])
	return n, err == nil && n >= 0 && n <= 30
}

// riscvOperand reads 5, a0, -20(s0).
func riscvOperand(a *Arg, op string) {
	if v, ok := parseInt(op); ok {
		a.Kind, a.Disp = ArgConst, v
		return
	}
	disp, inner, mem := strings.Cut(op, "(")
	if !mem {
		if reg, ok := riscvReg(op); ok {
			a.Kind, a.Reg = ArgReg, reg
		}
		return
	}
	inner, closed := strings.CutSuffix(inner, ")")
	reg, ok := riscvReg(inner)
	if !closed || !ok {
		return
	}
	if disp != "" {
		v, ok := parseInt(disp)
		if !ok {
			return
		}
		a.Disp = v
	}
	a.Kind, a.Reg = ArgMem, reg
}

func riscvReg(name string) (int, bool) {
	switch name {
	case "zero":
		return 0, true
	case "ra":
		return 1, true
	case "sp":
		return 2, true
	case "gp":
		return 3, true
	case "tp":
		return 4, true
	case "fp":
		return 8, true
	}
	if len(name) < 2 {
		return 0, false
	}
	n, err := strconv.Atoi(name[1:])
	if err != nil || n < 0 {
		return 0, false
	}
	switch {
	case name[0] == 'x' && n < 32:
		return n, true
	case name[0] == 'a' && n < 8:
		return 10 + n, true
	case name[0] == 't' && n < 3:
		return 5 + n, true
	case name[0] == 't' && n < 7:
		return 25 + n, true
	case name[0] == 's' && n < 2:
		return 8 + n, true
	case name[0] == 's' && n < 12:
		return 16 + n, true
	}
	return 0, false
}
