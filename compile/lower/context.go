package lower

import (
	"stapkit/ir"
	"stapkit/sema"
	"stapkit/syntax"
	"stapkit/target/ctype"
)

// regs tells where an architecture's struct pt_regs keeps what handlers ask for,
// as byte offsets (arch/*/include/asm/ptrace.h), and its calling conventions.
type regs struct {
	dwarf   []int // by DWARF register number, -1 where there is none
	args    []int // function arguments
	call    []int // system call arguments
	nr      int   // system call number, of so many bytes
	nrSize  int
	call32  []int // system call arguments of 32-bit programs, nil: they are in the same places
	ret     int   // return value
	sp      int
	entrySP int64 // what the stack pointer grows by when a function returns
}

var archRegs = map[string]*regs{
	"amd64": {
		dwarf: []int{80, 96, 88, 40, 104, 112, 32, 152, 72, 64, 56, 48, 24, 16, 8, 0, 128},
		args:  []int{112, 104, 96, 88, 72, 64},
		call:  []int{112, 104, 96, 56, 72, 64},
		nr:    120, nrSize: 8, ret: 80, sp: 152, entrySP: 8,
		call32: []int{40, 88, 96, 104, 112, 32}, // bx cx dx si di bp
	},
	"arm64": {
		dwarf: []int{0, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 104, 112, 120, 128, 136, 144, 152, 160,
			168, 176, 184, 192, 200, 208, 216, 224, 232, 240, 248, 256},
		args: []int{0, 8, 16, 24, 32, 40, 48, 56},
		call: []int{272, 8, 16, 24, 32, 40}, // orig_x0 outlives the call
		nr:   280, nrSize: 4, ret: 0, sp: 248,
	},
}

func (l *lowerer) regs() *regs {
	if r := archRegs[l.opt.Arch]; r != nil {
		return r
	}
	return archRegs["amd64"]
}

// narrow gives a register's value the width of its C type.
func narrow(t ctype.Type) (size int, signed bool) {
	if t == nil || !ctype.IsScalar(t) {
		return 8, true
	}
	switch n := t.Size(); n {
	case 1, 2, 4:
		return int(n), ctype.IsSigned(t)
	}
	return 8, ctype.IsSigned(t)
}

// isPointer reports whether a value of the type, nil for an unknown one, may be an
// address.
func isPointer(t ctype.Type) bool {
	if t == nil {
		return true
	}
	_, ok := ctype.AsPointer(t)
	return ok
}

// base lowers what an access starts from: its value, or with acc.BaseAddr its
// address.
func (b *body) base(x syntax.Expr, acc *sema.Access) (ir.Expr, bool) {
	if acc.Held == nil {
		return b.wholeBase(x, acc)
	}
	all := *acc
	all.BaseType, all.Size, all.Signed = nil, 8, false // what has all bits
	v, ok := b.wholeBase(x, &all)
	if arg, isArg := v.(*ir.CtxArg); isArg {
		arg.Pointer = false
	}
	return b.bits(v, acc.Held.Shift, acc.Held.Bits, acc.Held.Signed, b.site(x)), ok
}

// bits takes some of a number, from bit shift on.
func (b *body) bits(v ir.Expr, shift, n int, signed bool, site int) ir.Expr {
	binary := func(op ir.Op, x ir.Expr, y int64) ir.Expr {
		if y == 0 {
			return x
		}
		return &ir.Binary{Op: op, X: x, Y: &ir.IntConst{V: y}, T: ir.TInt, Site: site}
	}
	switch {
	case n >= 64:
		return v
	case signed:
		return binary(ir.OpShr, binary(ir.OpShl, v, int64(64-shift-n)), int64(64-n))
	}
	return &ir.Binary{Op: ir.OpAnd, X: binary(ir.OpShr, v, int64(shift)), Y: &ir.IntConst{V: 1<<n - 1}, T: ir.TInt, Site: site}
}

// wholeBase is base without what acc.Held takes of it.
func (b *body) wholeBase(x syntax.Expr, acc *sema.Access) (ir.Expr, bool) {
	r := b.regs()
	site := b.site(x)
	switch acc.Base {
	case sema.BaseExpr:
		return b.expr(acc.X), true
	case sema.BaseConst:
		return &ir.IntConst{V: acc.Const.Int}, true
	case sema.BaseArg:
		size, signed := narrow(acc.BaseType)
		switch b.ctx {
		case ir.CtxRawTP, ir.CtxBTFTP, ir.CtxFentry, ir.CtxFexit, ir.CtxLSM, ir.CtxNetfilter:
			return &ir.CtxArg{N: acc.N, Size: size, Signed: signed, Pointer: isPointer(acc.BaseType)}, true
		case ir.CtxKprobe:
			if acc.N < len(r.args) {
				return &ir.CtxField{Off: r.args[acc.N], Size: size, Signed: signed}, true
			}
		}
	case sema.BasePerf:
		if b.ctx != ir.CtxNone && acc.Counter != nil {
			return b.intrinsic(ir.IPerfCount, ir.TInt, site, &ir.IntConst{V: int64(b.counter(acc.Counter))}), true
		}
	case sema.BaseResult:
		return b.intrinsic(ir.IResult, ir.TInt, site), true
	case sema.BaseReturn:
		size, signed := narrow(acc.BaseType)
		switch b.ctx {
		case ir.CtxFexit:
			return &ir.CtxArg{N: acc.N, Size: size, Signed: signed, Pointer: isPointer(acc.BaseType)}, true
		case ir.CtxKprobe:
			return &ir.CtxField{Off: r.ret, Size: size, Signed: signed}, true
		}
	case sema.BaseSyscallArg, sema.BaseSyscallNr, sema.BaseSyscallReturn:
		return b.syscall(acc, site)
	case sema.BaseRegs:
		switch b.ctx {
		case ir.CtxRawTP, ir.CtxBTFTP:
			return &ir.CtxArg{N: 0, Size: 8}, true
		}
	case sema.BaseField:
		if b.ctx == ir.CtxTracepoint {
			return &ir.CtxField{Off: acc.N, Size: acc.Size, Signed: acc.Signed}, true
		}
	case sema.BaseRegister:
		if acc.N < len(r.dwarf) && r.dwarf[acc.N] >= 0 {
			if acc.Space == sema.UserSpace {
				return b.intrinsic(ir.IUReg, ir.TInt, site, &ir.IntConst{V: int64(r.dwarf[acc.N])}), true
			}
			return b.intrinsic(ir.IReg, ir.TInt, site, &ir.IntConst{V: int64(r.dwarf[acc.N])}), true
		}
	case sema.BaseSymbol:
		if e, ok := b.symbol(acc, site); ok {
			return e, true
		}
	case sema.BaseLocation:
		return b.location(x, acc, site)
	case sema.BaseEntry:
		if acc.N < len(b.entries) {
			return &ir.Local{ID: b.entries[acc.N], T: b.locals[b.entries[acc.N]]}, true
		}
	}
	what := acc.Name
	if what == "" {
		what = "this"
	}
	b.errorf(x, "E2018", "%s cannot be read from a handler here", what)
	return nil, false
}

// symbol gives the address of a variable of the kernel; of one that each CPU has,
// this CPU's.
func (b *body) symbol(acc *sema.Access, site int) (ir.Expr, bool) {
	y := acc.Symbol
	if y == nil || y.Binary != "" {
		return nil, false
	}
	name := y.Name
	if y.Module != "" && y.Module != "vmlinux" && y.Module != "kernel" {
		name = y.Module + ":" + name
	}
	addr := b.ksym(name, site)
	if !y.PerCPU {
		return addr, true
	}
	add := func(x, y ir.Expr) ir.Expr { return &ir.Binary{Op: ir.OpAdd, X: x, Y: y, T: ir.TInt, Site: site} }
	cpu := b.intrinsic(ir.ICpu, ir.TInt, site)
	slot := add(b.ksym("__per_cpu_offset", site), &ir.Binary{Op: ir.OpMul, X: cpu, Y: &ir.IntConst{V: 8}, T: ir.TInt, Site: site})
	return add(addr, &ir.Load{Addr: slot, Size: 8, Space: ir.KernelSpace, Site: site}), true
}

// counter gives the number of a perf counter.
func (l *lowerer) counter(p *sema.Probe) int {
	n, ok := l.counters[p]
	if !ok {
		n = len(l.out.Counters)
		c := &p.Carriers[0]
		l.out.Counters = append(l.out.Counters, ir.Counter{Name: p.Counter, Type: c.Type, Config: c.Config})
		l.counters[p] = n
	}
	return n
}

func (b *body) intrinsic(id ir.IntrinsicID, t ir.Type, site int, args ...ir.Expr) ir.Expr {
	return &ir.Intrinsic{ID: id, Args: args, T: t, Site: site}
}

// savedReg reads a register of the program that makes a system call.
func (b *body) savedReg(off, size, site int) ir.Expr {
	if b.ctx != ir.CtxRawTP && b.ctx != ir.CtxBTFTP {
		x := b.intrinsic(ir.IUReg, ir.TInt, site, &ir.IntConst{V: int64(off)})
		if size == 4 {
			return &ir.Binary{Op: ir.OpAnd, X: x, Y: &ir.IntConst{V: 1<<32 - 1}, T: ir.TInt, Site: site}
		}
		return x
	}
	return &ir.Field{Base: &ir.CtxArg{N: 0, Size: 8}, TypeID: -1, Off: off, Size: size, Trusted: b.ctx == ir.CtxBTFTP, Site: site}
}

// mode32 tells whether a system call is made as 32-bit programs make it.
func (b *body) mode32(site int) ir.Expr { return b.intrinsic(ir.ICompatCall, ir.TInt, site) }

// syscall reads an argument, the number or the result of a system call.
func (b *body) syscall(acc *sema.Access, site int) (ir.Expr, bool) {
	r := b.regs()
	switch acc.Base {
	case sema.BaseSyscallArg:
		native := func() ir.Expr { return b.savedReg(r.call[acc.N], 8, site) }
		switch {
		case b.calls == muxCalls:
			return b.muxWord(acc.N), true
		case r.call32 != nil && b.calls == calls32:
			return b.savedReg(r.call32[acc.N], 4, site), true
		case b.ctx == ir.CtxTracepoint && !b.ret:
			return &ir.CtxField{Off: 16 + 8*acc.N, Size: 8}, true
		case r.call32 != nil && (b.ctx == ir.CtxRawTP || b.ctx == ir.CtxBTFTP):
			if b.compat == 0 {
				b.compat = 1 + b.temp(ir.TInt)
			}
			arg := ir.Expr(&ir.Cond{C: &ir.Local{ID: b.compat - 1, T: ir.TInt}, X: b.savedReg(r.call32[acc.N], 4, site), Y: native(), T: ir.TInt})
			if b.mux > 0 {
				if b.via == 0 {
					b.via = 1 + b.temp(ir.TInt)
				}
				arg = &ir.Cond{C: &ir.Local{ID: b.via - 1, T: ir.TInt}, X: b.muxWord(acc.N), Y: arg, T: ir.TInt}
			}
			return arg, true
		}
		return native(), true
	case sema.BaseSyscallNr:
		switch {
		case b.ctx == ir.CtxTracepoint:
			return &ir.CtxField{Off: 8, Size: 8, Signed: true}, true
		case b.ctx == ir.CtxKprobe:
			return b.savedReg(r.nr, r.nrSize, site), true
		case b.ret || acc.AtExit:
			return b.savedReg(r.nr, r.nrSize, site), true
		}
		return &ir.CtxArg{N: 1, Size: 8}, true
	}
	switch b.ctx {
	case ir.CtxTracepoint:
		return &ir.CtxField{Off: 16, Size: 8, Signed: true}, true
	case ir.CtxKprobe:
		return &ir.CtxField{Off: r.ret, Size: 8, Signed: true}, true
	}
	return &ir.CtxArg{N: 1, Size: 8}, true
}

// prologue are the statements that what was lowered so far wants before it.
func (b *body) prologue() []ir.Stmt {
	set := func(local int, x ir.Expr) ir.Stmt {
		return &ir.Eval{X: &ir.Update{L: ir.LValue{ID: local - 1, T: ir.TInt}, Op: ir.OpSet, R: x}}
	}
	var out []ir.Stmt
	if b.compat > 0 {
		out = append(out, set(b.compat, b.mode32(0)))
	}
	if b.via > 0 {
		nr, _ := b.syscall(&sema.Access{Base: sema.BaseSyscallNr}, 0)
		out = append(out, set(b.via, &ir.Logical{
			And: true,
			X:   &ir.Local{ID: b.compat - 1, T: ir.TInt},
			Y:   &ir.Binary{Op: ir.OpEq, X: nr, Y: &ir.IntConst{V: b.muxNr()}, T: ir.TInt},
		}))
	}
	var words []ir.Stmt
	for n, local := range b.words {
		if local > 0 {
			words = append(words, set(local, b.muxArg(n)))
		}
	}
	if len(words) > 0 {
		// What cannot be read is 0, as the kernel will find out.
		read := &ir.Try{Body: words, Var: -1}
		if b.via > 0 {
			return append(out, &ir.If{C: &ir.Local{ID: b.via - 1, T: ir.TInt}, Then: []ir.Stmt{read}})
		}
		out = append(out, read)
	}
	return out
}

// Numbers of the calls of 32-bit programs of x86 that stand for several: the first argument
// tells which. The second argument of socketcall is the address of the arguments, 32 bits each;
// those of ipc are in the others.
const (
	socketcallNr = 102
	ipcNr        = 117
)

// The arguments of calls through ipc, by the call's number there: which of its own each is, or
// what the fifth of those, a pointer, leads to.
const (
	ipcAt0  = 6 + iota // the first word there
	ipcMsg             // the same, or the pointer itself if the upper half of the first argument is not 0
	ipcType            // the second word there, or likewise the last argument
)

const ipcPtr = 4

var ipcArgs = map[int][]int{
	1: {1, ipcPtr, 2}, 2: {1, 2, 3}, 3: {1, 2, 3, ipcAt0}, 4: {1, ipcPtr, 2, 5},
	11: {1, ipcPtr, 2, 3}, 12: {1, ipcMsg, 2, ipcType, 3}, 13: {1, 2}, 14: {1, 2, ipcPtr},
	21: {1, ipcPtr, 2}, 22: {ipcPtr}, 23: {1, 2, 3}, 24: {1, 2, ipcPtr},
}

// muxNr is the number of the call that a call goes through.
func (b *body) muxNr() int64 {
	if b.mux >= sema.MuxIPC {
		return ipcNr
	}
	return socketcallNr
}

// isMux tells whether what is made through socketcall or ipc is the call with the number.
func (b *body) isMux(mux int) ir.Expr {
	which := b.savedReg(b.regs().call32[0], 4, 0)
	if mux >= sema.MuxIPC {
		mux -= sema.MuxIPC
		which = &ir.Binary{Op: ir.OpAnd, X: which, Y: &ir.IntConst{V: 0xffff}, T: ir.TInt}
	}
	return &ir.Binary{Op: ir.OpEq, X: which, Y: &ir.IntConst{V: int64(mux)}, T: ir.TInt}
}

// muxArg reads argument n of a call that is made through socketcall or ipc.
func (b *body) muxArg(n int) ir.Expr {
	own := func(i int) ir.Expr { return b.savedReg(b.regs().call32[i], 4, 0) }
	word := func(at, i int) ir.Expr {
		addr := &ir.Binary{Op: ir.OpAdd, X: own(at), Y: &ir.IntConst{V: int64(4 * i)}, T: ir.TInt}
		return &ir.Load{Addr: addr, Size: 4, Space: ir.UserSpace}
	}
	if b.mux < sema.MuxIPC {
		return word(1, n)
	}
	args := ipcArgs[b.mux-sema.MuxIPC]
	if n >= len(args) {
		return &ir.IntConst{}
	}
	old := func(x, y ir.Expr) ir.Expr {
		version := &ir.Binary{Op: ir.OpShr, X: own(0), Y: &ir.IntConst{V: 16}, T: ir.TInt}
		return &ir.Cond{C: version, X: x, Y: y, T: ir.TInt}
	}
	switch args[n] {
	case ipcAt0:
		return word(ipcPtr, 0)
	case ipcMsg:
		return old(own(ipcPtr), word(ipcPtr, 0))
	case ipcType:
		return old(own(5), word(ipcPtr, 1))
	}
	return own(args[n])
}

// muxWord is the local that has argument n of a call through socketcall or ipc, if the
// call is made by that.
func (b *body) muxWord(n int) ir.Expr {
	if b.words[n] == 0 {
		b.words[n] = 1 + b.temp(ir.TInt)
	}
	return &ir.Local{ID: b.words[n] - 1, T: ir.TInt}
}

// location reads where DWARF or a USDT note says.
func (b *body) location(x syntax.Expr, acc *sema.Access, site int) (ir.Expr, bool) {
	r := b.regs()
	loc := acc.Location
	if b.ctx != ir.CtxKprobe || loc == nil {
		b.errorf(x, "E2018", "%s cannot be read from a handler here", acc.Name)
		return nil, false
	}
	reg := func(n int) (ir.Expr, bool) {
		if n < 0 || n >= len(r.dwarf) || r.dwarf[n] < 0 {
			b.errorf(x, "E2018", "%s lies in register %d, which handlers cannot read", acc.Name, n)
			return nil, false
		}
		return &ir.CtxField{Off: r.dwarf[n], Size: 8, Signed: true}, true
	}
	add := func(a, c ir.Expr) ir.Expr { return &ir.Binary{Op: ir.OpAdd, X: a, Y: c, T: ir.TInt, Site: site} }
	size := loc.Size
	if size == 0 {
		size = acc.Size
	}
	if size != 1 && size != 2 && size != 4 {
		size = 8
	}
	signed := loc.Signed || acc.Signed
	switch loc.Kind {
	case "parts":
		return b.parts(x, acc, site)
	case "const":
		return &ir.IntConst{V: loc.Offset}, true
	case "reg":
		if loc.Reg < 0 || loc.Reg >= len(r.dwarf) || r.dwarf[loc.Reg] < 0 {
			break
		}
		if loc.Shift > 0 {
			// %ah and its like: the second byte
			return &ir.CtxField{Off: r.dwarf[loc.Reg] + loc.Shift/8, Size: size, Signed: signed}, true
		}
		return &ir.CtxField{Off: r.dwarf[loc.Reg], Size: size, Signed: signed}, true
	case "mem", "sum":
		var v ir.Expr = &ir.IntConst{}
		switch {
		case loc.Under != nil:
			v = b.path(x, &sema.Access{Path: loc.Under, Result: sema.ResultInt, Size: 8}, b.intrinsic(ir.ITask, ir.TInt, site))
		case loc.Reg >= 0:
			var ok bool
			if v, ok = reg(loc.Reg); !ok {
				return nil, false
			}
		}
		if loc.Index >= 0 && loc.Scale != 0 {
			idx, ok := reg(loc.Index)
			if !ok {
				return nil, false
			}
			v = add(v, &ir.Binary{Op: ir.OpMul, X: idx, Y: &ir.IntConst{V: int64(loc.Scale)}, T: ir.TInt, Site: site})
		}
		if loc.Offset != 0 {
			v = add(v, &ir.IntConst{V: loc.Offset})
		}
		for _, off := range loc.Offsets {
			v = add(&ir.Load{Addr: v, Size: 8, Space: space(acc.Space), Site: site}, &ir.IntConst{V: off})
		}
		if loc.Kind == "sum" || acc.BaseAddr {
			return v, true
		}
		return &ir.Load{Addr: v, Size: size, Signed: signed, Space: space(acc.Space), Site: site}, true
	}
	b.errorf(x, "E2018", "the place of %s cannot be read from a handler", acc.Name)
	return nil, false
}

// parts puts a number of at most 8 bytes together that lies in several places.
func (b *body) parts(x syntax.Expr, acc *sema.Access, site int) (ir.Expr, bool) {
	var out ir.Expr = &ir.IntConst{}
	add := func(v ir.Expr, off int64) {
		if off > 0 {
			v = &ir.Binary{Op: ir.OpShl, X: v, Y: &ir.IntConst{V: 8 * off}, T: ir.TInt, Site: site}
		}
		if c, ok := out.(*ir.IntConst); ok && c.V == 0 {
			out = v
			return
		}
		out = &ir.Binary{Op: ir.OpOr, X: out, Y: v, T: ir.TInt, Site: site}
	}
	for i := range acc.Location.Parts {
		p := &acc.Location.Parts[i]
		place := sema.Access{Name: acc.Name, Base: sema.BaseLocation, Location: p.At, Space: acc.Space, Size: 8}
		if p.At.Kind != "mem" {
			v, ok := b.location(x, &place, site)
			if !ok {
				return nil, false
			}
			if p.Bytes < 8 {
				v = b.bits(v, 8*int(p.From), 8*int(p.Bytes), false, site)
			}
			add(v, p.Off)
			continue
		}
		place.BaseAddr = true
		for done := int64(0); done < p.Bytes; {
			n := int64(8)
			for n > p.Bytes-done {
				n /= 2
			}
			at, ok := b.location(x, &place, site)
			if !ok {
				return nil, false
			}
			at = &ir.Binary{Op: ir.OpAdd, X: at, Y: &ir.IntConst{V: p.From + done}, T: ir.TInt, Site: site}
			add(&ir.Load{Addr: at, Size: int(n), Space: space(acc.Space), Site: site}, p.Off+done)
			done += n
		}
	}
	return out, true
}

// entryArgs builds the start of a return handler whose @entry values are arguments that
// its carrier still has.
func (b *body) entryArgs(p *sema.Probe) []ir.Stmt {
	var out []ir.Stmt
	for _, e := range p.Body.Entries {
		at := b.newBody(e.Body, p.Lib)
		at.ctx, at.kernel, at.ret = b.ctx, b.kernel, b.ret
		x := at.expr(e.X)
		b.entries = append(b.entries, b.temp(ir.TInt))
		out = append(out, &ir.Eval{X: &ir.Update{L: ir.LValue{ID: b.entries[len(b.entries)-1], T: ir.TInt}, Op: ir.OpSet, R: x, Site: b.site(e.X)}})
	}
	return out
}

// entryFetch builds the start of a return handler with @entry values: they are
// taken out of the map that the handler at the entry filled. An invocation whose
// entry was not seen does not run.
func (b *body) entryFetch(entries *entryMaps, sp ir.Expr) []ir.Stmt {
	var out []ir.Stmt
	keys := func() []ir.Expr { return entries.keys(sp) }
	out = append(out, &ir.If{
		C:    &ir.Unary{Op: ir.OpNot, X: &ir.IndexIn{G: entries.maps[0], Keys: keys()}},
		Then: []ir.Stmt{&ir.Next{}},
	})
	for i, g := range entries.maps {
		t := b.out.Globals[g].Value
		b.entries = append(b.entries, b.temp(t))
		out = append(out,
			&ir.Eval{X: &ir.Update{L: ir.LValue{ID: b.entries[i], T: t}, Op: ir.OpSet, R: &ir.IndexGet{G: g, Keys: keys(), T: t}}},
			&ir.Delete{L: ir.LValue{Global: true, ID: g, Keys: keys(), T: t}})
	}
	return out
}
