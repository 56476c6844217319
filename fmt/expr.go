package stapfmt

import "stapkit/syntax"

// Binding strength of binary operators, as the parser has it: operands of one strength
// are laid out as one chain.
func strength(k syntax.Kind) int {
	switch k {
	case syntax.OrOr:
		return 1
	case syntax.AndAnd:
		return 2
	case syntax.Or:
		return 3
	case syntax.Xor:
		return 4
	case syntax.And:
		return 5
	case syntax.Lt, syntax.Gt, syntax.Le, syntax.Ge, syntax.Eq, syntax.Ne:
		return 6
	case syntax.Shl, syntax.Shr, syntax.UShr:
		return 7
	case syntax.Dot:
		return 8
	case syntax.Add, syntax.Sub:
		return 9
	}
	return 10
}

// expr writes an expression behind the pending gap.
func (p *printer) expr(x syntax.Expr) {
	switch x := x.(type) {
	case *syntax.NumberLit:
		p.take()
		for p.peek() <= x.Last() {
			p.gap = none
			p.take()
		}
	case *syntax.StringLit:
		p.stringLit(x)
	case *syntax.StringSeq:
		p.open(allAligned)
		for i, part := range x.Parts {
			if i > 0 {
				p.gap = p.behindString()
				_, a := x.Parts[i-1].(*syntax.MacroCall)
				_, b := part.(*syntax.MacroCall)
				if a || b { // on another line a macro would be a statement of its own
					p.gap = space
				}
			}
			p.expr(part)
		}
		p.close()
	case *syntax.TargetVar:
		p.take()
		p.access(&x.Access, x.Last())
	case *syntax.Autocast:
		p.expr(x.X)
		p.access(&x.Access, x.Last())
	case *syntax.AddrOf:
		p.take()
		p.gap = none
		p.expr(x.X)
	case *syntax.Unary:
		p.take()
		p.gap = none
		p.expr(x.X)
	case *syntax.IncDec:
		if x.Prefix {
			p.take()
			p.gap = none
			p.expr(x.X)
			break
		}
		p.expr(x.X)
		p.gap = none
		p.take()
	case *syntax.Binary:
		p.chain(x)
	case *syntax.Logical:
		p.chain(x)
	case *syntax.Ternary:
		p.open(allAligned)
		p.expr(x.Cond)
		p.gap = lineSpace
		p.take() // ?
		p.gap = space
		p.expr(x.Then)
		p.gap = lineSpace
		p.take() // :
		p.gap = space
		p.expr(x.Else)
		p.close()
	case *syntax.AssignExpr:
		p.assign(x)
	case *syntax.ArrayIn:
		if x.Bracketed {
			p.bracketed(x.Keys)
		} else {
			p.expr(x.Keys[0])
		}
		p.gap = space
		p.take() // in
		p.gap = space
		p.expr(x.Array)
	case *syntax.RegexMatch:
		p.expr(x.X)
		p.gap = space
		p.take()
		p.gap = space
		if x.Pattern != nil {
			p.expr(x.Pattern)
		} else {
			p.expr(x.PatternExpr)
		}
	case *syntax.Index:
		p.expr(x.X)
		p.gap = none
		p.bracketed(x.Keys)
	case *syntax.Call:
		p.take()
		if p.gap = none; p.toks[p.prev].Kind == syntax.Arg {
			p.gap = gap{kind: gapGlue}
		}
		p.bracketed(x.Args)
	case *syntax.PrintExpr:
		p.take()
		p.gap = none
		list := make([]syntax.Expr, 0, len(x.Args)+1)
		switch {
		case x.FormatLit != nil:
			list = append(list, x.FormatLit)
		case x.Delim != nil:
			list = append(list, x.Delim)
		case x.Hist != nil:
			list = append(list, x.Hist)
		}
		p.bracketed(append(list, x.Args...))
	case *syntax.StatOp:
		p.take()
		p.gap = none
		list := []syntax.Expr{x.X}
		if x.ShiftLit != nil {
			list = append(list, x.ShiftLit)
		}
		p.bracketed(list)
	case *syntax.HistOp:
		p.take()
		p.gap = none
		p.bracketed(append([]syntax.Expr{x.X}, x.Params...))
	case *syntax.AtOp:
		p.take()
		p.gap = none
		p.bracketed(x.Args)
		p.access(&x.Access, x.Last())
	case *syntax.MacroCall:
		p.macroCall(x)
	case *syntax.Paren:
		p.paren(x.X)
	case *syntax.CondExpr:
		p.condExpr(x)
	case *syntax.CondList:
		p.condList(x)
	case *syntax.Verbatim, *syntax.BadExpr:
		p.verbatim(x)
	default: // Ident, Star, ScriptArg, EmbeddedExpr: one token
		p.take()
	}
	p.finish(x)
}

// stringLit writes adjacent literals: one below the other if one of them ends a line of
// output, or when they do not fit.
func (p *printer) stringLit(x *syntax.StringLit) {
	if x.First() == x.Last() {
		p.take()
		return
	}
	p.open(allAligned)
	p.take()
	for p.peek() <= x.Last() {
		p.gap = p.behindString()
		p.take()
	}
	p.close()
}

// behindString is the gap between adjacent literals.
func (p *printer) behindString() gap {
	g := lineSpace
	text := p.f.Text(p.prev)
	if n := len(text); n > 3 && text[n-3:] == `\n"` {
		g.force = true
	}
	return g
}

// access writes what reads through a value, up to the token last.
func (p *printer) access(a *syntax.Access, last int) {
	for _, acc := range a.Path {
		p.gap = none
		if acc.Index != nil {
			p.take() // [
			p.gap = none
			p.expr(acc.Index)
			p.gap = none
			p.accept(syntax.RBrack)
			continue
		}
		p.take() // ->
		p.gap = none
		p.take()
	}
	for a.Pretty != syntax.NoPretty && p.peek() <= last {
		p.gap = none
		p.take()
	}
}

// chain writes the operands of operators that bind equally strongly. Lines break before
// the operators: before all of them where they are logical, else where the line is full.
func (p *printer) chain(x syntax.Expr) {
	split := func(x syntax.Expr) (l, r syntax.Expr, op syntax.Kind, ok bool) {
		switch x := x.(type) {
		case *syntax.Binary:
			return x.X, x.Y, x.Op, true
		case *syntax.Logical:
			return x.X, x.Y, x.Op, true
		}
		return nil, nil, 0, false
	}
	l, r, op, _ := split(x)
	s := strength(op)
	rest := []syntax.Expr{r}
	for {
		l2, r2, op2, ok := split(l)
		if !ok || strength(op2) != s {
			break
		}
		rest = append(rest, r2)
		l = l2
	}
	style := fillAligned
	if s <= 2 {
		style = allAligned
	}
	p.open(style)
	p.expr(l)
	for i := len(rest) - 1; i >= 0; i-- {
		p.gap = lineSpace
		p.take()
		p.gap = space
		p.expr(rest[i])
	}
	p.close()
}

// assign writes an assignment, or several that give the same value to many variables.
func (p *printer) assign(x *syntax.AssignExpr) {
	p.expr(x.L)
	p.gap = space
	p.take()
	p.gap = gap{kind: gapLineSpace, first: true}
	next, ok := x.R.(*syntax.AssignExpr)
	if !ok {
		p.bracket(valueOf)
		p.expr(x.R)
		p.close()
		return
	}
	p.gap = space
	p.open(fillAligned)
	for ; ok; next, ok = x.R.(*syntax.AssignExpr) {
		x = next
		p.expr(x.L)
		p.gap = space
		p.take()
		p.gap = lineSpace
	}
	p.expr(x.R)
	p.close()
}

// paren writes an expression in parentheses or brackets.
func (p *printer) paren(x syntax.Expr) {
	p.take()
	p.gap = none
	p.open(allAligned)
	p.expr(x)
	p.gap = none
	p.closeAt()
	p.take()
}

// bracketed writes a list in parentheses or brackets.
func (p *printer) bracketed(list []syntax.Expr) {
	p.take()
	p.gap = gap{kind: gapLine, first: true}
	if len(list) == 0 {
		p.gap = none
	}
	p.bracket(fillAligned)
	p.exprs(list)
	p.gap = none
	p.closeAt()
	p.take()
}

func (p *printer) exprs(list []syntax.Expr) {
	for i, x := range list {
		if i > 0 {
			p.separator()
		}
		p.expr(x)
	}
}

func (p *printer) macroCall(x *syntax.MacroCall) {
	p.take()
	if x.HasParens {
		p.gap = gap{kind: gapGlue}
		p.take() // (
		p.gap = gap{kind: gapLine, first: true}
		if len(x.Args) == 0 {
			p.gap = none
		}
		p.bracket(fillAligned)
		for i := range x.Args {
			if i > 0 {
				p.separator()
			}
			p.fragment(&x.Args[i])
		}
		p.gap = none
		p.closeAt()
		p.accept(syntax.RParen)
	}
	p.access(&x.Access, x.Last())
}

// fragment writes one argument of a macro.
func (p *printer) fragment(g *syntax.Fragment) {
	verbatim := func(first, last syntax.Node) {
		p.settle()
		p.raw(int(p.toks[first.First()].Off), int(p.toks[last.Last()].End), last.Last()+1)
	}
	switch {
	case g.Expr != nil:
		p.expr(g.Expr)
	case g.Points != nil:
		p.pointList(g.Points)
	case g.Stmts != nil:
		verbatim(g.Stmts[0], g.Stmts[len(g.Stmts)-1])
	case g.Decls != nil:
		verbatim(g.Decls[0], g.Decls[len(g.Decls)-1])
	case g.Verbatim != nil:
		p.verbatim(g.Verbatim)
	}
}

// condExpr writes a conditional that stands for an expression.
func (p *printer) condExpr(x *syntax.CondExpr) {
	p.open(allAligned)
	p.directive(&x.Directive)
	p.listBranch(func() {
		if x.Then != nil {
			p.expr(x.Then)
		}
	})
	if x.ElseTok > 0 {
		p.take()
		p.listBranch(func() {
			if x.Else != nil {
				p.expr(x.Else)
			}
		})
	}
	p.take()
	p.close()
}

// condList writes a conditional inside a list.
func (p *printer) condList(x *syntax.CondList) {
	p.open(allAligned)
	p.directive(&x.Directive)
	branch := func(b *syntax.ListBranch) {
		p.listBranch(func() {
			if b.LeadComma {
				p.take()
				p.gap = space
			}
			if b.Points != nil {
				p.pointList(b.Points)
			} else {
				p.exprs(b.Exprs)
			}
			if b.TrailComma {
				p.gap = none
				p.take()
			}
		})
	}
	branch(&x.Then)
	if x.ElseTok > 0 {
		p.take()
		branch(&x.Else)
	}
	p.take()
	p.close()
}

// listBranch writes one branch of a conditional inside an expression or list.
func (p *printer) listBranch(inside func()) {
	p.indent()
	p.gap = lineSpace
	inside()
	p.dedent(lineSpace)
}
