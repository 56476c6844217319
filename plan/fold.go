package plan

import (
	"cmp"
	"strings"

	"stapkit/ir"
)

// fold computes what is known when the program is made: operators and the string
// intrinsics of constants, and branches that conditions so known decide. Where a
// probe point's own constants ($$name, probefunc()) go through the library, handlers
// become shorter, and more alike.
func (pl *planner) fold() {
	f := folder{limit: pl.p.Limits.MaxStringLen}
	for _, h := range append(append([]*ir.Handler{}, pl.p.Handlers...), pl.p.Regions...) {
		if h == nil {
			continue
		}
		if h.Cond != nil {
			f.expr(&h.Cond)
		}
		f.list(&h.Body)
		if h.Result != nil {
			f.expr(&h.Result)
		}
	}
	for _, fn := range pl.p.Funcs {
		f.list(&fn.Body)
	}
}

type folder struct {
	limit int // strings of this length and longer are cut at run time
}

// list folds statements. An If that is decided leaves the branch that is taken.
func (f *folder) list(list *[]ir.Stmt) {
	var out []ir.Stmt // nil: as it was
	for i, s := range *list {
		ir.StmtExprs(s, f.expr)
		ir.Bodies(s, f.list)
		keep := []ir.Stmt{s}
		if st, ok := s.(*ir.If); ok {
			if c, ok := st.C.(*ir.IntConst); ok {
				if out == nil {
					out = append(make([]ir.Stmt, 0, len(*list)), (*list)[:i]...)
				}
				if keep = st.Then; c.V == 0 {
					keep = st.Else
				}
			}
		}
		if out != nil {
			out = append(out, keep...)
		}
	}
	if out != nil {
		*list = out
	}
}

func (f *folder) expr(x *ir.Expr) {
	switch e := (*x).(type) {
	case *ir.Seq:
		f.list(&e.Body)
	case *ir.Region:
		f.list(&e.Body)
	}
	ir.Children(*x, f.expr)
	if y := f.node(*x); y != nil {
		*x = y
	}
}

func number(x ir.Expr) (int64, bool) {
	if c, ok := x.(*ir.IntConst); ok {
		return c.V, true
	}
	return 0, false
}

// str is a constant string that is not cut at run time.
func (f *folder) str(x ir.Expr) (string, bool) {
	if c, ok := x.(*ir.StrConst); ok && len(c.S) < f.limit && !strings.Contains(c.S, "\x00") {
		return c.S, true
	}
	return "", false
}

func truth(b bool) ir.Expr {
	if b {
		return &ir.IntConst{V: 1}
	}
	return &ir.IntConst{}
}

// node gives what an expression of folded operands is known to be, or nil.
func (f *folder) node(x ir.Expr) ir.Expr {
	switch x := x.(type) {
	case *ir.Unary:
		if v, ok := number(x.X); ok {
			switch x.Op {
			case ir.OpNeg:
				return &ir.IntConst{V: -v}
			case ir.OpNot:
				return truth(v == 0)
			case ir.OpBitNot:
				return &ir.IntConst{V: ^v}
			}
		}
	case *ir.Binary:
		if a, ok := number(x.X); ok {
			if b, ok := number(x.Y); ok {
				return arithmetic(x.Op, a, b)
			}
		}
		if a, ok := f.str(x.X); ok {
			if b, ok := f.str(x.Y); ok {
				return f.text(x.Op, a, b)
			}
		}
	case *ir.Logical:
		if a, ok := number(x.X); ok {
			if (a != 0) != x.And {
				return truth(!x.And) // the rest is not evaluated
			}
			return &ir.Binary{Op: ir.OpNe, X: x.Y, Y: &ir.IntConst{}, T: ir.TInt}
		}
	case *ir.Cond:
		if c, ok := number(x.C); ok {
			if c != 0 {
				return x.X
			}
			return x.Y
		}
	case *ir.Intrinsic:
		return f.intrinsic(x)
	}
	return nil
}

// arithmetic leaves out what can fail, and shifts, whose count is another matter in
// constants (package lower does these).
func arithmetic(op ir.Op, a, b int64) ir.Expr {
	switch op {
	case ir.OpAdd:
		return &ir.IntConst{V: a + b}
	case ir.OpSub:
		return &ir.IntConst{V: a - b}
	case ir.OpMul:
		return &ir.IntConst{V: a * b}
	case ir.OpAnd:
		return &ir.IntConst{V: a & b}
	case ir.OpOr:
		return &ir.IntConst{V: a | b}
	case ir.OpXor:
		return &ir.IntConst{V: a ^ b}
	}
	return comparison(op, a, b)
}

func (f *folder) text(op ir.Op, a, b string) ir.Expr {
	if op != ir.OpConcat {
		return comparison(op, a, b)
	}
	if len(a)+len(b) < f.limit {
		return &ir.StrConst{S: a + b}
	}
	return nil
}

// comparison is what a comparison of constants comes to; nil if the operator is none.
func comparison[T cmp.Ordered](op ir.Op, a, b T) ir.Expr {
	switch op {
	case ir.OpEq:
		return truth(a == b)
	case ir.OpNe:
		return truth(a != b)
	case ir.OpLt:
		return truth(a < b)
	case ir.OpLe:
		return truth(a <= b)
	case ir.OpGt:
		return truth(a > b)
	case ir.OpGe:
		return truth(a >= b)
	}
	return nil
}

func (f *folder) intrinsic(x *ir.Intrinsic) ir.Expr {
	arg := func(i int) int64 {
		v, _ := number(x.Args[i])
		return v
	}
	var s string
	for i, a := range x.Args {
		ok := false
		if i == 0 && a.Type().Kind == ir.Str {
			s, ok = f.str(a)
		} else {
			_, ok = number(a)
		}
		if !ok {
			return nil
		}
	}
	switch x.ID {
	case ir.IStrLen:
		return &ir.IntConst{V: int64(len(s))}
	case ir.IStrByte:
		if i := arg(1); i >= 0 && i < int64(len(s)) {
			return &ir.IntConst{V: int64(s[i])}
		}
		return &ir.IntConst{}
	case ir.IStrSub:
		return &ir.StrConst{S: ir.StrSub(s, arg(1), arg(2))}
	case ir.IChr:
		if c := byte(arg(0)); c != 0 && f.limit > 1 {
			return &ir.StrConst{S: string([]byte{c})}
		}
		return &ir.StrConst{}
	}
	return nil
}
