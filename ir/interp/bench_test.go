package interp_test

import (
	"testing"

	"stapkit/ir"
)

// BenchmarkLoop is a million rounds of i++; a[i%100] += i.
func BenchmarkLoop(b *testing.B) {
	s := newBuilder(ir.Global{Keys: []ir.Type{ir.TInt}, Value: ir.TInt}).body([]ir.Type{ir.TInt},
		&ir.While{C: bin(ir.OpLt, local(0), num(1000000)), Body: []ir.Stmt{
			&ir.Tick{N: 2},
			eval(set(lv(0), ir.OpAdd, num(1))),
			eval(set(elem(0, ir.TInt, bin(ir.OpMod, local(0), num(100))), ir.OpAdd, local(0))),
		}},
	)
	s.p.Handlers[0].Uncounted = true
	m, _ := s.machine(b)
	for b.Loop() {
		if err := m.Run(0); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCall is a hundred thousand calls of a function of two parameters.
func BenchmarkCall(b *testing.B) {
	s := newBuilder().body([]ir.Type{ir.TInt},
		&ir.While{C: bin(ir.OpLt, local(0), num(100000)), Body: []ir.Stmt{
			eval(set(lv(0), ir.OpSet, &ir.Call{Chain: []int{0}, Args: []ir.Expr{local(0), num(1)}, T: ir.TInt})),
		}},
	)
	s.p.Funcs = []*ir.Func{{Name: "add", Params: 2, Locals: []ir.Type{ir.TInt, ir.TInt}, Result: ir.TInt,
		Body: []ir.Stmt{&ir.Return{X: bin(ir.OpAdd, local(0), local(1))}}}}
	m, _ := s.machine(b)
	for b.Loop() {
		if err := m.Run(0); err != nil {
			b.Fatal(err)
		}
	}
}
