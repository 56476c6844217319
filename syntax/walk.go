package syntax

// A Visitor's Visit is called for each node. The Visitor that it returns, if any, is
// used for the node's children, and is then called with nil.
type Visitor interface {
	Visit(n Node) Visitor
}

// Walk visits a node and what it holds, in the order of the source. Names of
// functions (in Call and FuncDecl) are no nodes of their own here, so that every
// Ident that is visited names a variable.
func Walk(v Visitor, n Node) {
	if v = v.Visit(n); v == nil {
		return
	}
	Children(n, func(c Node) { Walk(v, c) })
	v.Visit(nil)
}

type inspector func(Node) bool

func (f inspector) Visit(n Node) Visitor {
	if f(n) {
		return f
	}
	return nil
}

// Inspect calls f for a node and what it holds, like Walk. The children of a node are
// left out when f reports false; else f(nil) follows them.
func Inspect(n Node, f func(Node) bool) { Walk(inspector(f), n) }

// Inspect calls f for all nodes of the file.
func (f *File) Inspect(fn func(Node) bool) {
	for _, d := range f.Decls {
		Inspect(d, fn)
	}
}

// some calls f for each node of a list.
func some[N Node](list []N, f func(Node)) {
	for _, n := range list {
		f(n)
	}
}

// Children calls f for each node that n holds directly, in the order of the source.
func Children(n Node, f func(Node)) {
	expr := func(x Expr) {
		if x != nil {
			f(x)
		}
	}
	ident := func(x *Ident) {
		if x != nil {
			f(x)
		}
	}
	block := func(b *Block) {
		if b != nil {
			f(b)
		}
	}
	stmt := func(s Stmt) {
		if s != nil {
			f(s)
		}
	}
	verbatim := func(v *Verbatim) {
		if v != nil {
			f(v)
		}
	}
	cond := func(d *Directive) {
		if d.Cond != nil {
			f(d.Cond)
		}
	}
	fragment := func(g *Fragment) {
		expr(g.Expr)
		some(g.Points, f)
		some(g.Stmts, f)
		some(g.Decls, f)
		verbatim(g.Verbatim)
	}
	switch n := n.(type) {
	case *GlobalDecl:
		some(n.Vars, f)
	case *GlobalVar:
		ident(n.Name)
		expr(n.Size)
		expr(n.Init)
		verbatim(n.Verbatim)
	case *FuncDecl:
		some(n.Params, f)
		block(n.Body)
		if n.Code != nil {
			f(n.Code)
		}
	case *Param:
		ident(n.Name)
		verbatim(n.Verbatim)
	case *ProbeDecl:
		some(n.Points, f)
		block(n.Body)
	case *AliasDecl:
		some(n.Names, f)
		some(n.Points, f)
		block(n.Body)
		block(n.Epilogue)
	case *EmbeddedDecl:
		f(n.Code)
	case *BadDecl:
		some(n.Stmts, f)
	case *ProbePoint:
		some(n.Components, f)
		expr(n.Cond)
	case *Component:
		expr(n.Dynamic)
		expr(n.Arg)
		some(n.Group, f)
	case *Block:
		some(n.Stmts, f)
	case *IfStmt:
		expr(n.Cond)
		stmt(n.Then)
		stmt(n.Else)
	case *WhileStmt:
		expr(n.Cond)
		stmt(n.Body)
	case *ForStmt:
		expr(n.Init)
		expr(n.Cond)
		expr(n.Post)
		stmt(n.Body)
	case *ForeachStmt:
		ident(n.Value)
		some(n.Keys, f)
		expr(n.Array)
		some(n.Slice, f)
		expr(n.Limit)
		stmt(n.Body)
	case *ReturnStmt:
		expr(n.X)
	case *DeleteStmt:
		expr(n.X)
	case *TryStmt:
		block(n.Body)
		ident(n.Var)
		block(n.Handler)
	case *ExprStmt:
		expr(n.X)
	case *Accessor:
		expr(n.Index)
	case *TargetVar:
		some(n.Path, f)
	case *Autocast:
		expr(n.X)
		some(n.Path, f)
	case *AddrOf:
		expr(n.X)
	case *Unary:
		expr(n.X)
	case *IncDec:
		expr(n.X)
	case *Binary:
		expr(n.X)
		expr(n.Y)
	case *Logical:
		expr(n.X)
		expr(n.Y)
	case *Ternary:
		expr(n.Cond)
		expr(n.Then)
		expr(n.Else)
	case *AssignExpr:
		expr(n.L)
		expr(n.R)
	case *ArrayIn:
		some(n.Keys, f)
		expr(n.Array)
	case *Index:
		expr(n.X)
		some(n.Keys, f)
	case *Call:
		some(n.Args, f)
	case *PrintExpr:
		if n.FormatLit != nil {
			f(n.FormatLit)
		}
		if n.Delim != nil {
			f(n.Delim)
		}
		if n.Hist != nil {
			f(n.Hist)
		}
		some(n.Args, f)
	case *StatOp:
		expr(n.X)
		expr(n.ShiftLit)
	case *HistOp:
		expr(n.X)
		some(n.Params, f)
	case *AtOp:
		some(n.Args, f)
		some(n.Path, f)
	case *RegexMatch:
		expr(n.X)
		if n.Pattern != nil {
			f(n.Pattern)
		}
		expr(n.PatternExpr)
	case *EmbeddedExpr:
		f(n.Code)
	case *BadExpr:
		some(n.Parts, f)
	case *Paren:
		expr(n.X)
	case *StringSeq:
		some(n.Parts, f)
	case *CondTerm:
		expr(n.L)
		expr(n.R)
	case *Condition:
		some(n.Terms, f)
		verbatim(n.Raw)
	case *CondDecl:
		cond(&n.Directive)
		some(n.Then, f)
		some(n.Else, f)
	case *CondStmt:
		cond(&n.Directive)
		some(n.Then, f)
		some(n.Else, f)
	case *CondExpr:
		cond(&n.Directive)
		expr(n.Then)
		expr(n.Else)
	case *CondList:
		cond(&n.Directive)
		for _, b := range []*ListBranch{&n.Then, &n.Else} {
			some(b.Exprs, f)
			some(b.Points, f)
		}
	case *MacroDef:
		fragment(&n.Body)
	case *MacroCall:
		for i := range n.Args {
			fragment(&n.Args[i])
		}
		some(n.Path, f)
	}
}
