package interp

import (
	"strings"

	"stapkit/ir"
)

// cut truncates s to what storage of the given width holds.
func cut(s string, width int) string {
	if len(s) >= width {
		return s[:width-1]
	}
	return s
}

// fit makes v what a variable of type t holds after v was stored in it: a string
// is truncated, a deferred payload padded or cut to the type's size.
func fit(v Value, t ir.Type) Value {
	switch t.Kind {
	case ir.Str:
		v.S = cut(v.S, t.Width)
	case ir.Deferred:
		v.S = fitPayload(v.S, t.Width)
		if v.Text == ir.TextNone {
			v.Text = t.Text
		}
	}
	return v
}

// fitPayload pads s with zeros or cuts it. The unset value "" stays as it is.
func fitPayload(s string, width int) string {
	switch {
	case s == "" || len(s) == width:
		return s
	case len(s) > width:
		return s[:width]
	}
	return s + strings.Repeat("\x00", width-len(s))
}

// samePayload compares deferred payloads: zeros at the end do not count.
func samePayload(a, b string) bool {
	return strings.TrimRight(a, "\x00") == strings.TrimRight(b, "\x00")
}

// arith applies an operator of Update or Binary to numbers.
func arith(op ir.Op, x, y int64) (int64, *Error) {
	switch op {
	case ir.OpSet:
		return y, nil
	case ir.OpAdd:
		return x + y, nil
	case ir.OpSub:
		return x - y, nil
	case ir.OpMul:
		return x * y, nil
	case ir.OpDiv:
		if y == 0 {
			return 0, NewError(ir.ErrDivZero, 0)
		}
		return x / y, nil // MinInt64 / -1 wraps in Go
	case ir.OpMod:
		if y == 0 {
			return 0, NewError(ir.ErrDivZero, 0)
		}
		return x % y, nil // MinInt64 % -1 is 0 in Go
	case ir.OpAnd:
		return x & y, nil
	case ir.OpOr:
		return x | y, nil
	case ir.OpXor:
		return x ^ y, nil
	case ir.OpShl:
		return x << (uint64(y) & 63), nil
	case ir.OpShr:
		return x >> (uint64(y) & 63), nil
	case ir.OpEq:
		return b2i(x == y), nil
	case ir.OpNe:
		return b2i(x != y), nil
	case ir.OpLt:
		return b2i(x < y), nil
	case ir.OpLe:
		return b2i(x <= y), nil
	case ir.OpGt:
		return b2i(x > y), nil
	case ir.OpGe:
		return b2i(x >= y), nil
	}
	return 0, NewError(ir.ErrInternal, int64(op))
}

// Apply is the operation of an ir.Update: the value that a variable of type t
// holds after op was applied to its old value and r. Stores of globals use it.
func Apply(t ir.Type, op ir.Op, old, r Value) (Value, *Error) {
	switch t.Kind {
	case ir.Int:
		v, err := arith(op, old.I, r.I)
		return IntValue(v), err
	case ir.Str:
		if op == ir.OpConcat {
			return StrValue(concat(old.S, r.S, t.Width)), nil
		}
	}
	return fit(r, t), nil
}

// concat is x . y in storage of the given width.
func concat(x, y string, width int) string {
	room := width - 1 - len(x)
	if room <= 0 {
		return x[:width-1]
	}
	return x + y[:min(len(y), room)]
}

func b2i(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
