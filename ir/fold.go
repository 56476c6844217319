package ir

import (
	"cmp"
	"strings"
)

// Folder computes what is known before a program runs: operators and the string
// intrinsics of constants, and branches that conditions so known decide.
type Folder struct {
	// Limit is Limits.MaxStringLen: strings of this length and longer are cut at run
	// time, so nothing is decided about them.
	Limit int
}

// Stmts folds a list of statements in place. An If that is decided leaves the branch
// that is taken, and what no longer can be reached behind it goes.
func (f Folder) Stmts(list *[]Stmt) {
	var out []Stmt // nil: as it was
	for i, s := range *list {
		StmtExprs(s, f.Expr)
		Bodies(s, f.Stmts)
		if st, ok := s.(*If); ok {
			if c, ok := st.C.(*IntConst); ok {
				if out == nil {
					out = append(make([]Stmt, 0, len(*list)), (*list)[:i]...)
				}
				taken := st.Then
				if c.V == 0 {
					taken = st.Else
				}
				out = append(out, taken...)
				if ends(taken) {
					break
				}
				continue
			}
		}
		if out != nil {
			out = append(out, s)
		}
		if ends((*list)[:i+1]) {
			if out == nil {
				out = (*list)[:i+1]
			}
			break
		}
	}
	if out != nil {
		*list = out
	}
}

// ends reports whether nothing behind a list of statements is reached.
func ends(list []Stmt) bool {
	if len(list) == 0 {
		return false
	}
	switch list[len(list)-1].(type) {
	case *Return, *Next, *Break, *Continue:
		return true
	}
	return false
}

// Expr folds the expression in x, which may be nil.
func (f Folder) Expr(x *Expr) {
	switch e := (*x).(type) {
	case nil:
		return
	case *Seq:
		f.Stmts(&e.Body)
	case *Region:
		f.Stmts(&e.Body)
	}
	Children(*x, f.Expr)
	if y := f.node(*x); y != nil {
		*x = y
	}
}

func number(x Expr) (int64, bool) {
	if c, ok := x.(*IntConst); ok {
		return c.V, true
	}
	return 0, false
}

// str is a constant string that is not cut at run time.
func (f Folder) str(x Expr) (string, bool) {
	if c, ok := x.(*StrConst); ok && len(c.S) < f.Limit && !strings.Contains(c.S, "\x00") {
		return c.S, true
	}
	return "", false
}

func truth(b bool) Expr {
	if b {
		return &IntConst{V: 1}
	}
	return &IntConst{}
}

// node gives what an expression of folded operands is known to be, or nil.
func (f Folder) node(x Expr) Expr {
	switch x := x.(type) {
	case *Unary:
		if v, ok := number(x.X); ok {
			switch x.Op {
			case OpNeg:
				return &IntConst{V: -v}
			case OpNot:
				return truth(v == 0)
			case OpBitNot:
				return &IntConst{V: ^v}
			}
		}
	case *Binary:
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
	case *Logical:
		if a, ok := number(x.X); ok {
			if (a != 0) != x.And {
				return truth(!x.And) // the rest is not evaluated
			}
			if b, ok := number(x.Y); ok {
				return truth(b != 0)
			}
			return &Binary{Op: OpNe, X: x.Y, Y: &IntConst{}, T: TInt}
		}
	case *Cond:
		if c, ok := number(x.C); ok {
			if c != 0 {
				return x.X
			}
			return x.Y
		}
	case *Intrinsic:
		return f.intrinsic(x)
	}
	return nil
}

// arithmetic leaves out what can fail, and shifts, whose count is another matter in
// constants (package lower does these).
func arithmetic(op Op, a, b int64) Expr {
	switch op {
	case OpAdd:
		return &IntConst{V: a + b}
	case OpSub:
		return &IntConst{V: a - b}
	case OpMul:
		return &IntConst{V: a * b}
	case OpAnd:
		return &IntConst{V: a & b}
	case OpOr:
		return &IntConst{V: a | b}
	case OpXor:
		return &IntConst{V: a ^ b}
	}
	return comparison(op, a, b)
}

func (f Folder) text(op Op, a, b string) Expr {
	if op != OpConcat {
		return comparison(op, a, b)
	}
	if len(a)+len(b) < f.Limit {
		return &StrConst{S: a + b}
	}
	return nil
}

// comparison is what a comparison of constants comes to; nil if the operator is none.
func comparison[T cmp.Ordered](op Op, a, b T) Expr {
	switch op {
	case OpEq:
		return truth(a == b)
	case OpNe:
		return truth(a != b)
	case OpLt:
		return truth(a < b)
	case OpLe:
		return truth(a <= b)
	case OpGt:
		return truth(a > b)
	case OpGe:
		return truth(a >= b)
	}
	return nil
}

func (f Folder) intrinsic(x *Intrinsic) Expr {
	arg := func(i int) int64 {
		v, _ := number(x.Args[i])
		return v
	}
	var s string
	for i, a := range x.Args {
		ok := false
		if i == 0 && a.Type().Kind == Str {
			s, ok = f.str(a)
		} else {
			_, ok = number(a)
		}
		if !ok {
			return nil
		}
	}
	switch x.ID {
	case IStrLen:
		return &IntConst{V: int64(len(s))}
	case IStrByte:
		if i := arg(1); i >= 0 && i < int64(len(s)) {
			return &IntConst{V: int64(s[i])}
		}
		return &IntConst{}
	case IStrSub:
		return &StrConst{S: StrSub(s, arg(1), arg(2))}
	case IChr:
		if c := byte(arg(0)); c != 0 && f.Limit > 1 {
			return &StrConst{S: string([]byte{c})}
		}
		return &StrConst{}
	}
	return nil
}
