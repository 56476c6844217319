//go:build linux

package loader

import (
	stdelf "debug/elf"
	"errors"
	"math"
	"slices"

	"stapkit/ir"
	"stapkit/target/elf"
)

// DWARF numbers of x86-64's registers.
const (
	dwarfBP = 6
	dwarfSP = 7
	dwarfIP = 16
)

// DWARF numbers of arm64's registers.
const (
	dwarfARMFP   = 29
	dwarfARMLink = 30
	dwarfARMSP   = 31
)

// DWARF operations that call frame tables of x86-64 use.
const (
	opDeref = 0x06
	opAnd   = 0x1a
	opPlus  = 0x22
	opShl   = 0x24
	opGE    = 0x2a
	opLit   = 0x30
	opBReg  = 0x70
)

// unwindRows makes the table of a file, for the walk over user stacks in the
// kernel (ir.UnwindRow). What a row cannot say is left to the frame pointer.
func unwindRows(f *elf.File) ([]ir.UnwindRow, error) {
	fr, err := f.Frames()
	if errors.Is(err, elf.ErrNoFrames) {
		return signalRows(f, nil), nil
	}
	if err != nil {
		return nil, err
	}
	compact := compact
	if f.Machine == stdelf.EM_AARCH64 {
		compact = compactARM
	}
	rows := []ir.UnwindRow{{}}
	end := uint64(0) // of the row before, as an offset
	sorted := true
	add := func(r ir.UnwindRow) {
		last := &rows[len(rows)-1]
		switch {
		case r.PC == last.PC:
			*last = r
			return
		case r.PC < last.PC:
			sorted = false
		}
		pc := r.PC
		r.PC = last.PC
		if same := r == *last; same && sorted {
			return
		}
		r.PC = pc
		rows = append(rows, r)
	}
	fr.Rows(func(r elf.Row) bool {
		pc, ok := f.Offset(r.PC)
		if !ok || r.End <= r.PC || pc+(r.End-r.PC) > math.MaxUint32 {
			return true
		}
		if pc > end && len(rows) > 1 {
			add(ir.UnwindRow{PC: uint32(end)})
		}
		row := compact(&r)
		row.PC = uint32(pc)
		add(row)
		end = pc + (r.End - r.PC)
		return true
	})
	if len(rows) == 1 {
		return signalRows(f, nil), nil
	}
	add(ir.UnwindRow{PC: uint32(end)})
	if !sorted {
		// Segments of the file are in another order than in memory.
		slices.SortStableFunc(rows, func(a, b ir.UnwindRow) int { return int(int64(a.PC) - int64(b.PC)) })
	}
	return signalRows(f, rows), nil
}

// signalRows adds what no table of arm64 tells: the frame of a signal, which returns to
// code of the kernel (setup_return in arch/arm64/kernel/signal.c).
func signalRows(f *elf.File, rows []ir.UnwindRow) []ir.UnwindRow {
	if f.Machine != stdelf.EM_AARCH64 {
		return rows
	}
	list, err := f.Lookup("__kernel_rt_sigreturn")
	if err != nil || len(list) != 1 {
		return rows
	}
	at, ok := f.Offset(list[0].Addr)
	if !ok || at < 4 || at > math.MaxUint32-8 {
		return rows
	}
	// struct rt_sigframe: siginfo, then ucontext, in which the registers are.
	const (
		regs = 128 + 176 + 8
		fp   = regs + 29*8
		sp   = regs + 31*8 // the address is behind it
	)
	// What calls is before the return address, where there is an instruction for this.
	from, to := uint32(at-4), uint32(at+8)
	var out []ir.UnwindRow
	var before ir.UnwindRow // in effect at to
	if len(rows) == 0 {
		out = append(out, ir.UnwindRow{})
	}
	signal := ir.UnwindRow{PC: from, CFA: ir.UnwindAtSP, CFAOff: sp, RA: ir.UnwindRASignal, FP: ir.UnwindFPAtSP, FPOff: fp}
	placed := false
	place := func() {
		if !placed {
			before.PC = to
			out = append(out, signal, before)
			placed = true
		}
	}
	for _, r := range rows {
		switch {
		case r.PC < from:
			out = append(out, r)
			before = r
		case r.PC <= to:
			before = r
		default:
			place()
			out = append(out, r)
		}
	}
	place()
	return out
}

// compactARM is compact for arm64.
func compactARM(r *elf.Row) ir.UnwindRow {
	var out, none ir.UnwindRow
	if r.RA.Kind == elf.RuleUndefined {
		return ir.UnwindRow{CFA: ir.UnwindStackEnd}
	}
	if r.CFA.Kind != elf.RuleRegister {
		return none
	}
	switch r.CFA.Reg {
	case dwarfARMSP:
		out.CFA = ir.UnwindBySP
	case dwarfARMFP:
		out.CFA = ir.UnwindByFP
	default:
		return none
	}
	fits := func(v int64) bool { return v == int64(int32(v)) }
	if !fits(r.CFA.Off) {
		return none
	}
	out.CFAOff = int32(r.CFA.Off)
	switch r.FP.Kind {
	case elf.RuleOffset:
		if !fits(r.FP.Off) {
			return none
		}
		out.FP, out.FPOff = ir.UnwindFPAtCFA, int32(r.FP.Off)
	case elf.RuleSame, elf.RuleUndefined:
	default:
		return none
	}
	switch off := r.RA.Off; {
	case r.RA.Kind == elf.RuleSame, r.RA.Kind == elf.RuleRegister && r.RA.Reg == dwarfARMLink:
		out.RA = ir.UnwindRALink
	case r.RA.Kind != elf.RuleOffset || !fits(off):
		return none
	case out.FP == ir.UnwindFPAtCFA && off == int64(out.FPOff)+8:
		out.RA = ir.UnwindRABeside
	case out.FP == ir.UnwindFPSame:
		out.RA, out.FPOff = ir.UnwindRAAlone, int32(off)
	case off < 0 && off%8 == 0 && off >= -8*math.MaxUint8:
		out.RA, out.Words = ir.UnwindRAWords, uint8(-off/8)
	default:
		return none
	}
	return out
}

// compact puts a row into the kernel's form, UnwindNone if it does not fit.
func compact(r *elf.Row) ir.UnwindRow {
	var out, none ir.UnwindRow
	if r.RA.Kind == elf.RuleUndefined {
		// Also where the table says nothing of the return address, which on
		// this machine it always does for a function that returns.
		return ir.UnwindRow{CFA: ir.UnwindStackEnd}
	}
	off := func(v int64) (int32, bool) { return int32(v), v == int64(int32(v)) }
	ok := true
	switch r.CFA.Kind {
	case elf.RuleRegister:
		switch r.CFA.Reg {
		case dwarfSP:
			out.CFA = ir.UnwindBySP
		case dwarfBP:
			out.CFA = ir.UnwindByFP
		default:
			return none
		}
		out.CFAOff, ok = off(r.CFA.Off)
	case elf.RuleExpr:
		reg, at, rest, good := breg(r.CFA.Expr)
		switch {
		case !good:
			return none
		case len(rest) == 1 && rest[0] == opDeref && reg == dwarfSP:
			out.CFA = ir.UnwindAtSP
			out.CFAOff, ok = off(at)
		case len(rest) == 1 && rest[0] == opDeref && reg == dwarfBP:
			out.CFA = ir.UnwindAtFP
			out.CFAOff, ok = off(at)
		default:
			n, plt := pltEntry(reg, at, rest)
			if !plt {
				return none
			}
			out.CFA, out.CFAOff = ir.UnwindPLT, n
		}
	default:
		return none
	}
	if !ok {
		return none
	}
	switch r.RA.Kind {
	case elf.RuleOffset:
		if r.RA.Off != -8 {
			return none
		}
	case elf.RuleExpr:
		// In the frame of a signal the registers lie in a row.
		reg, at, rest, good := breg(r.RA.Expr)
		if !good || len(rest) > 0 || reg != dwarfSP || out.CFA != ir.UnwindAtSP || at != int64(out.CFAOff)+8 {
			return none
		}
		out.RA = ir.UnwindRASignal
	default:
		return none
	}
	switch r.FP.Kind {
	case elf.RuleOffset:
		out.FP = ir.UnwindFPAtCFA
		out.FPOff, ok = off(r.FP.Off)
	case elf.RuleExpr:
		reg, at, rest, good := breg(r.FP.Expr)
		switch {
		case !good || len(rest) > 0:
			return none
		case reg == dwarfBP:
			out.FP = ir.UnwindFPAtFP
		case reg == dwarfSP:
			out.FP = ir.UnwindFPAtSP
		default:
			return none
		}
		out.FPOff, ok = off(at)
	case elf.RuleSame, elf.RuleUndefined:
	default:
		return none
	}
	if !ok {
		return none
	}
	return out
}

// breg reads the operation at the head of an expression that adds a number to a
// register.
func breg(x []byte) (reg int, off int64, rest []byte, ok bool) {
	if len(x) < 2 || x[0] < opBReg || x[0] > opBReg+31 {
		return 0, 0, nil, false
	}
	reg = int(x[0] - opBReg)
	x = x[1:]
	for shift := 0; len(x) > 0 && shift < 63; shift += 7 {
		b := x[0]
		x = x[1:]
		off |= int64(b&0x7f) << shift
		if b&0x80 == 0 {
			if b&0x40 != 0 {
				off |= -1 << (shift + 7)
			}
			return reg, off, x, true
		}
	}
	return 0, 0, nil, false
}

// pltEntry recognises the rule that linkers write for the stubs of a PLT: the
// stack has a word more from the n-th byte of each entry of 16 on.
func pltEntry(reg int, off int64, x []byte) (n int32, ok bool) {
	if reg != dwarfSP || off != 8 {
		return 0, false
	}
	reg, off, x, ok = breg(x)
	if !ok || reg != dwarfIP || off != 0 || len(x) != 7 {
		return 0, false
	}
	if x[0] != opLit+15 || x[1] != opAnd || x[2] < opLit || x[2] > opLit+15 || x[3] != opGE || x[4] != opLit+3 || x[5] != opShl || x[6] != opPlus {
		return 0, false
	}
	return int32(x[2] - opLit), true
}
