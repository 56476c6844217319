package ebpf

import (
	"testing"

	"github.com/cilium/ebpf/asm"

	"stapkit/ir"
)

// TestShared tells how often handlers look an element up, and that it is the same to
// them as to the interpreter.
func TestShared(t *testing.T) {
	ctx := func(n int) ir.Expr { return &ir.CtxArg{N: n, Size: 8} }
	get := func(k ir.Expr) ir.Expr { return &ir.IndexGet{G: 0, Keys: []ir.Expr{k}, T: ir.TInt} }
	in := func(k ir.Expr) ir.Expr { return &ir.IndexIn{G: 0, Keys: []ir.Expr{k}} }
	elem := func(k ir.Expr) ir.LValue { return global(0, ir.TInt, k) }
	del := func(k ir.Expr) ir.Stmt { return &ir.Delete{L: elem(k), Site: 1} }
	add := func(k ir.Expr, v ir.Expr) ir.Stmt { return update(elem(k), ir.OpAdd, v) }
	x, y := local(0, ir.TInt), local(1, ir.TInt)
	setX := func(e ir.Expr) ir.Stmt { return set(0, ir.TInt, e) }
	setY := func(e ir.Expr) ir.Stmt { return set(1, ir.TInt, e) }
	when := func(c ir.Expr, then ...ir.Stmt) ir.Stmt { return &ir.If{C: c, Then: then} }
	key := func() ir.Expr { return bin(ir.OpAnd, ctx(0), num(3)) }
	for _, tt := range []struct {
		name    string
		lookups int // those that stand in the code: where an element is made are more
		body    []ir.Stmt
	}{
		{"latency", 1, []ir.Stmt{when(get(key()), setX(bin(ir.OpSub, num(9), get(key()))), del(key()))}},
		{"in, then its value", 1, []ir.Stmt{when(in(key()), setX(get(key())))}},
		{"twice in an expression", 1, []ir.Stmt{setX(bin(ir.OpMul, get(key()), get(key())))}},
		{"set if it is not there", 2, []ir.Stmt{when(&ir.Unary{Op: ir.OpNot, X: in(key())}, update(elem(key()), ir.OpSet, num(5)))}},
		{"from itself", 2, []ir.Stmt{update(elem(key()), ir.OpSet, bin(ir.OpAdd, get(key()), num(1)))}},
		{"the larger one", 2, []ir.Stmt{when(bin(ir.OpGt, ctx(1), get(key())), update(elem(key()), ir.OpSet, ctx(1)))}},
		// One, and where the element is made two: it may be there by then, and is read later.
		{"counted, then read", 3, []ir.Stmt{add(key(), num(1)), setX(get(key()))}},
		{"counted twice", 4, []ir.Stmt{add(key(), num(1)), add(key(), num(2))}},
		{"deleted in between", 2, []ir.Stmt{setX(get(key())), del(key()), setY(get(key()))}},
		{"another deleted in between", 2, []ir.Stmt{setX(get(key())), del(ctx(1)), setY(get(key()))}},
		{"all deleted in between", 2, []ir.Stmt{setX(get(key())), &ir.Delete{L: global(0, ir.TInt), Site: 1}, setY(get(key()))}},
		{"another made in between", 4, []ir.Stmt{setX(get(key())), add(bin(ir.OpAnd, ctx(1), num(3)), num(1)), setY(get(key()))}},
		{"a variable set in between", 2, []ir.Stmt{setX(ctx(0)), setY(get(bin(ir.OpAdd, x, num(1)))), setX(ctx(1)), setY(bin(ir.OpAdd, y, get(bin(ir.OpAdd, x, num(1)))))}},
		{"a variable that stays", 1, []ir.Stmt{setX(ctx(0)), setY(get(bin(ir.OpAdd, x, num(1)))), setY(bin(ir.OpAdd, y, get(bin(ir.OpAdd, x, num(1)))))}},
		{"only in a branch", 2, []ir.Stmt{when(ctx(1), setX(get(key()))), setY(get(key()))}},
		{"before a branch", 1, []ir.Stmt{setX(get(key())), when(ctx(1), setY(get(key())))}},
		{"in an operand that may be left out", 2, []ir.Stmt{
			setX(&ir.Logical{And: true, X: ctx(1), Y: get(key())}), setY(get(key()))}},
		{"in a block that fails", 2, []ir.Stmt{
			&ir.Try{Body: []ir.Stmt{setX(bin(ir.OpDiv, num(1), ctx(1))), setX(get(key()))}, Var: -1}, setY(get(key()))}},
		{"set by the right side", 3, []ir.Stmt{setX(num(1)), update(elem(x), ir.OpSet, &ir.Update{L: ir.LValue{ID: 0, T: ir.TInt}, Op: ir.OpAdd, R: get(x), Site: 1})}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := program([]ir.Global{array(ir.TInt, ir.TInt)}, []ir.Type{ir.TInt, ir.TInt}, append(tt.body, printf(&ir.Program{}, "%d %d\n", x, y))...)
			p.Handlers[0].Body[len(tt.body)] = printf(p, "%d %d\n", x, y)
			for i := range int64(4) { // something to find
				p.Handlers = append(p.Handlers, &ir.Handler{Name: "fill" + string('0'+rune(i)), Kernel: true, Ctx: ir.CtxRawTP, Probe: 0, MaxActions: 1000,
					Body: []ir.Stmt{update(elem(num(i)), ir.OpAdd, num(10*i))}})
			}
			spec, _ := generate(t, p)
			n := 0
			for _, prog := range spec.Programs {
				if prog.Name != "p0" {
					continue
				}
				for _, ins := range prog.Insns {
					if ins.IsBuiltinCall() && asm.BuiltinFunc(ins.Constant) == asm.FnMapLookupElem {
						n++
					}
				}
			}
			if n != tt.lookups {
				t.Errorf("%d look-ups, want %d", n, tt.lookups)
			}
			needKernel(t)
			for _, args := range [][]int64{{0, 0}, {1, 1}, {2, 2}, {2, 99}, {7, 3}} {
				compare(t, p, 3, append(args, 0, 0)...)
			}
		})
	}
}

// TestSharedKeys tells that the keys of two arrays are made once.
func TestSharedKeys(t *testing.T) {
	comm := ir.TStr(15)
	keys := func() []ir.Expr { return []ir.Expr{intrinsic(ir.IExecname), intrinsic(ir.IPid)} }
	p := program([]ir.Global{array(ir.TInt, comm, ir.TInt), array(ir.TInt, comm, ir.TInt)}, nil,
		update(global(0, ir.TInt, keys()...), ir.OpAdd, num(1)),
		update(global(1, ir.TInt, keys()...), ir.OpAdd, intrinsic(ir.ITid)))
	spec, rep := generate(t, p)
	n := 0
	for _, ins := range spec.Programs[0].Insns {
		if ins.IsBuiltinCall() && asm.BuiltinFunc(ins.Constant) == asm.FnGetCurrentComm {
			n++
		}
	}
	if n != 1 || rep.Handlers[0].Slot != 0 {
		t.Errorf("the name is asked for %d times, and %d bytes of a slot are taken", n, rep.Handlers[0].Slot)
	}
}
