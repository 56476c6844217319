package ir_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"stapkit/ir"
)

// TestFold: what constants decide is decided, in expressions and in statements.
func TestFold(t *testing.T) {
	num := func(v int64) ir.Expr { return &ir.IntConst{V: v} }
	str := func(s string) ir.Expr { return &ir.StrConst{S: s} }
	local := &ir.Local{ID: 0, T: ir.TInt}
	bin := func(op ir.Op, x, y ir.Expr) ir.Expr { return &ir.Binary{Op: op, X: x, Y: y, T: ir.TInt} }
	concat := func(x, y ir.Expr) ir.Expr { return &ir.Binary{Op: ir.OpConcat, X: x, Y: y, T: ir.TStr(8)} }
	intrinsic := func(id ir.IntrinsicID, args ...ir.Expr) ir.Expr {
		return &ir.Intrinsic{ID: id, Args: args, T: ir.Type{Kind: ir.Intrinsics[id].Result}}
	}
	f := ir.Folder{Limit: 8}
	same := func(x ir.Expr) string { // itself
		return fmt.Sprintf("%T", x)
	}
	for i, tt := range []struct {
		x    ir.Expr
		want string
	}{
		{bin(ir.OpAdd, num(1<<62), num(1<<62)), "-9223372036854775808"},
		{bin(ir.OpSub, num(1), bin(ir.OpMul, num(2), num(3))), "-5"},
		{bin(ir.OpXor, bin(ir.OpOr, num(5), num(2)), bin(ir.OpAnd, num(6), num(3))), "5"},
		{bin(ir.OpDiv, num(6), num(3)), "*ir.Binary"}, // may fail
		{bin(ir.OpShl, num(1), num(70)), "*ir.Binary"},
		{bin(ir.OpLe, num(-1), num(0)), "1"},
		{bin(ir.OpGt, num(-1), num(0)), "0"},
		{bin(ir.OpAdd, local, num(0)), "*ir.Binary"},
		{bin(ir.OpLt, str("a"), str("b")), "1"},
		{bin(ir.OpEq, str("a"), str("b")), "0"},
		{bin(ir.OpEq, str("12345678"), str("1234567890")), "*ir.Binary"}, // both are cut to the same
		{bin(ir.OpEq, str("a\x00b"), str("a")), "*ir.Binary"},
		{concat(str("abc"), str("defg")), `"abcdefg"`},
		{concat(str("abcd"), str("defg")), "*ir.Binary"},
		{&ir.Unary{Op: ir.OpNeg, X: num(4)}, "-4"},
		{&ir.Unary{Op: ir.OpBitNot, X: num(4)}, "-5"},
		{&ir.Unary{Op: ir.OpNot, X: num(4)}, "0"},
		{&ir.Logical{And: true, X: num(0), Y: local}, "0"},
		{&ir.Logical{X: num(3), Y: local}, "1"},
		{&ir.Logical{And: true, X: num(3), Y: num(7)}, "1"},
		{&ir.Logical{And: true, X: num(3), Y: local}, "*ir.Binary"}, // local != 0
		{&ir.Logical{X: local, Y: num(3)}, "*ir.Logical"},           // local may have an effect
		{&ir.Cond{C: bin(ir.OpEq, num(1), num(2)), X: num(10), Y: num(20), T: ir.TInt}, "20"},
		{intrinsic(ir.IStrLen, str("abc")), "3"},
		{intrinsic(ir.IStrByte, str("abc"), num(1)), "98"},
		{intrinsic(ir.IStrByte, str("abc"), num(-1)), "0"},
		{intrinsic(ir.IStrSub, str("abcdef"), num(2), num(3)), `"cde"`},
		{intrinsic(ir.IChr, num('x')), `"x"`},
		{intrinsic(ir.IChr, num(0)), `""`},
	} {
		x := tt.x
		f.Expr(&x)
		got := same(x)
		switch x := x.(type) {
		case *ir.IntConst:
			got = fmt.Sprint(x.V)
		case *ir.StrConst:
			got = fmt.Sprintf("%q", x.S)
		}
		if got != tt.want {
			t.Errorf("%d: %s, want %s", i, got, tt.want)
		}
	}
	var none ir.Expr
	if f.Expr(&none); none != nil {
		t.Error("no expression became one")
	}

	set := func(v int64) ir.Stmt {
		return &ir.Eval{X: &ir.Update{L: ir.LValue{ID: 0, T: ir.TInt}, Op: ir.OpSet, R: num(v)}}
	}
	body := []ir.Stmt{
		&ir.While{C: local, Body: []ir.Stmt{set(1), &ir.Continue{}, set(2)}},
		&ir.If{C: num(0), Then: []ir.Stmt{&ir.Return{}}, Else: []ir.Stmt{set(3)}},
		&ir.If{C: local, Then: []ir.Stmt{&ir.Next{}, set(4)}},
		set(5),
		&ir.If{C: num(1), Then: []ir.Stmt{set(6), &ir.Next{}}},
		set(7),
	}
	f.Stmts(&body)
	p := &ir.Program{Handlers: []*ir.Handler{{Name: "h", Locals: []ir.Type{ir.TInt}, Body: body}}, Probes: []ir.Probe{{}}}
	var out bytes.Buffer
	if err := ir.Dump(&out, p); err != nil {
		t.Fatal(err)
	}
	for v, want := range []bool{false, true, false, true, false, true, true, false} {
		if got := strings.Contains(out.String(), fmt.Sprintf("= %d)", v)); got != want {
			t.Errorf("assignment of %d left: %v, want %v\n%s", v, got, want, out.String())
		}
	}
}
