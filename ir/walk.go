package ir

// slots gives f for a list of slots and for one, empty ones left out.
func slots(f func(*Expr)) (list func([]Expr), one func(*Expr)) {
	one = func(x *Expr) {
		if *x != nil {
			f(x)
		}
	}
	list = func(xs []Expr) {
		for i := range xs {
			one(&xs[i])
		}
	}
	return list, one
}

// Children calls f for each direct sub-expression slot of e, in evaluation
// order. f may replace the expression in the slot. Slots that are nil are left
// out. The statements of a Seq or Region are not visited; see Walk.
func Children(e Expr, f func(*Expr)) {
	list, one := slots(f)
	switch e := e.(type) {
	case *IndexGet:
		list(e.Keys)
	case *IndexIn:
		list(e.Keys)
	case *Update:
		list(e.L.Keys)
		one(&e.R)
	case *StatAdd:
		list(e.L.Keys)
		one(&e.V)
	case *StatGet:
		list(e.L.Keys)
	case *HistGet:
		list(e.L.Keys)
		one(&e.Bucket)
	case *Unary:
		one(&e.X)
	case *Binary:
		one(&e.X)
		one(&e.Y)
	case *Logical:
		one(&e.X)
		one(&e.Y)
	case *Cond:
		one(&e.C)
		one(&e.X)
		one(&e.Y)
	case *Call:
		list(e.Args)
	case *Intrinsic:
		list(e.Args)
	case *Sprintf:
		list(e.Args)
	case *Match:
		one(&e.X)
	case *Load:
		one(&e.Addr)
	case *Field:
		one(&e.Base)
	case *MakeText:
		one(&e.Head)
		list(e.Args)
	case *Lookup:
		one(&e.X)
	case *Region:
		one(&e.Result)
	case *Seq:
		one(&e.R)
	}
}

// StmtExprs calls f for each expression slot of s itself, not of the
// statements in it.
func StmtExprs(s Stmt, f func(*Expr)) {
	list, one := slots(f)
	switch s := s.(type) {
	case *Eval:
		one(&s.X)
	case *If:
		one(&s.C)
	case *While:
		one(&s.C)
	case *Foreach:
		list(s.Slice)
		one(&s.Limit)
	case *ForeachHist:
		list(s.L.Keys)
		one(&s.Limit)
	case *Return:
		one(&s.X)
	case *Delete:
		list(s.L.Keys)
	case *Print:
		list(s.Args)
	case *PrintHist:
		list(s.L.Keys)
	}
}

// Bodies calls f for each statement list in s.
func Bodies(s Stmt, f func(*[]Stmt)) {
	switch s := s.(type) {
	case *If:
		f(&s.Then)
		f(&s.Else)
	case *While:
		f(&s.Body)
		f(&s.Post)
	case *Foreach:
		f(&s.Body)
	case *ForeachHist:
		f(&s.Body)
	case *Try:
		f(&s.Body)
		f(&s.Catch)
	}
}

// Walk visits every statement and expression below list, parents first; either
// function may be nil. Functions that are called are not entered.
func Walk(list []Stmt, stmt func(Stmt), expr func(Expr)) {
	for _, s := range list {
		if stmt != nil {
			stmt(s)
		}
		StmtExprs(s, func(x *Expr) { WalkExpr(*x, stmt, expr) })
		Bodies(s, func(b *[]Stmt) { Walk(*b, stmt, expr) })
	}
}

// WalkExpr visits x and everything below it like Walk.
func WalkExpr(x Expr, stmt func(Stmt), expr func(Expr)) {
	if x == nil {
		return
	}
	if expr != nil {
		expr(x)
	}
	switch x := x.(type) {
	case *Seq:
		Walk(x.Body, stmt, expr)
	case *Region:
		Walk(x.Body, stmt, expr)
	}
	Children(x, func(c *Expr) { WalkExpr(*c, stmt, expr) })
}

// Walk visits all that a handler evaluates, its condition and result included.
func (h *Handler) Walk(stmt func(Stmt), expr func(Expr)) {
	WalkExpr(h.Cond, stmt, expr)
	Walk(h.Body, stmt, expr)
	WalkExpr(h.Result, stmt, expr)
}
