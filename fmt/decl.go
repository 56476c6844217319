package stapfmt

import "stapkit/syntax"

// file writes the whole file.
func (p *printer) file() {
	end := len(p.toks) - 1
	p.gap = none
	p.decls(p.f.Decls, end, true)
	p.gap = gap{kind: gapHard, blank: true}
	p.flush(end, p.gap)
}

// decls writes declarations up to the token end, which is not written.
func (p *printer) decls(list []syntax.Decl, end int, top bool) {
	nodes := nodesOf(list)
	if top && p.partial {
		p.partialDecls(list, nodes, end)
		return
	}
	p.items(nodes, end, top, func(i int, g gap) {
		p.gap = g
		p.decl(list[i])
	})
}

// decl writes one declaration.
func (p *printer) decl(d syntax.Decl) {
	switch d := d.(type) {
	case *syntax.GlobalDecl:
		p.globals(d)
	case *syntax.FuncDecl:
		p.function(d)
	case *syntax.ProbeDecl:
		p.head()
		p.take() // probe
		p.gap = space
		p.points(d.Points, allAligned)
		p.body(d.Body)
	case *syntax.AliasDecl:
		p.alias(d)
	case *syntax.MacroDef:
		p.macroDef(d)
	case *syntax.MacroCall:
		p.macroCall(d)
	case *syntax.CondDecl:
		p.condDecl(d)
	case *syntax.EmbeddedDecl:
		p.take()
	default: // Verbatim, BadDecl
		p.verbatim(d)
	}
	p.finish(d)
}

func (p *printer) globals(d *syntax.GlobalDecl) {
	for first := d.Vars[0].First(); p.peek() < first; {
		p.take()
		p.gap = space
	}
	p.open(fillAligned)
	for i, v := range d.Vars {
		if i > 0 {
			p.separator()
		}
		p.global(v)
	}
	p.close()
	p.endOf(d)
}

// separator writes the comma between two entries of a list, if there is one: it may
// belong to a conditional.
func (p *printer) separator() {
	p.gap = none
	p.accept(syntax.Comma)
	p.gap = lineSpace
}

func (p *printer) global(v *syntax.GlobalVar) {
	if v.Verbatim != nil {
		p.verbatim(v)
		return
	}
	p.take()
	if v.Wrap {
		p.gap = none
		p.take()
	}
	if v.Size != nil {
		p.gap = none
		p.take()
		p.expr(v.Size)
		p.gap = none
		p.accept(syntax.RBrack)
	}
	if v.Init != nil {
		p.gap = space
		p.take()
		p.gap = space
		p.expr(v.Init)
	}
	p.finish(v)
}

func (p *printer) function(d *syntax.FuncDecl) {
	p.head()
	for p.peek() < d.Name.First() {
		p.take()
		p.gap = space
	}
	p.take()
	for p.kind() == syntax.Colon { // :type
		p.gap = none
		p.take()
		p.gap = none
		p.take()
	}
	p.gap = none
	p.take() // (
	p.gap = gap{kind: gapLine, first: true}
	if len(d.Params) == 0 {
		p.gap = none
	}
	p.bracket(fillAligned)
	for i, m := range d.Params {
		if i > 0 {
			p.separator()
		}
		if m.Verbatim != nil {
			p.verbatim(m)
			continue
		}
		for p.take(); p.peek() <= m.Last(); p.take() {
			p.gap = none
		}
	}
	p.gap = none
	p.accept(syntax.Comma)
	p.closeAt()
	p.take() // )
	if d.PriorityTok > 0 {
		p.gap = none
		p.take()
		p.gap = none
		p.take()
	}
	if d.Code != nil {
		p.gap = gap{kind: gapHead}
		p.take()
		return
	}
	p.body(d.Body)
}

// head begins a header that ends in a body.
func (p *printer) head() {
	p.settle()
	p.add(op{kind: opHeadStart})
}

// body writes the block of a probe or function. A header that takes several lines has
// its brace on a line of its own, so that one sees where it ends.
func (p *printer) body(b *syntax.Block) {
	p.gap = gap{kind: gapHead}
	p.block(b)
}

func (p *printer) alias(d *syntax.AliasDecl) {
	p.head()
	p.take() // probe
	p.gap = space
	p.open(fillIndented)
	for i, n := range d.Names {
		if i > 0 {
			p.gap = lineSpace
		}
		p.point(n)
		p.gap = space
		p.take() // = or +=
	}
	p.close()
	p.gap = gap{kind: gapLineSpace, first: true}
	p.add(op{kind: opOpen, style: allIndented})
	p.pointList(d.Points)
	p.close()
	p.body(d.Body)
	if d.Epilogue != nil {
		p.gap = none
		p.take() // ,
		p.gap = space
		p.block(d.Epilogue)
	}
}

// points writes a list of probe points.
func (p *printer) points(list []syntax.Point, s groupStyle) {
	p.open(s)
	p.pointList(list)
	p.close()
}

func (p *printer) pointList(list []syntax.Point) {
	for i, pt := range list {
		if i > 0 {
			p.separator()
			switch p.kind() {
			case syntax.KwProbe, syntax.KwGlobal, syntax.KwFunction, syntax.KwPrivate:
				p.gap = space // at the start of a line it would be taken for a declaration
			}
		}
		p.point(pt)
	}
}

func (p *printer) point(pt syntax.Point) {
	switch pt := pt.(type) {
	case *syntax.ProbePoint:
		for i, c := range pt.Components {
			if i > 0 {
				p.gap = none
				p.take() // .
				p.gap = none
			}
			p.component(c)
		}
		p.gap = space
		if pt.Optional {
			p.take()
			p.gap = space
		}
		if pt.Cond != nil {
			p.take() // if
			p.gap = space
			p.paren(pt.Cond)
		}
		p.gap = none
	case *syntax.CondList:
		p.condList(pt)
	default:
		p.verbatim(pt)
	}
	p.finish(pt)
}

func (p *printer) component(c *syntax.Component) {
	switch {
	case c.Group != nil:
		p.take() // {
		p.gap = gap{kind: gapLine, first: true}
		p.bracket(fillAligned)
		p.pointList(c.Group)
		p.gap = none
		p.closeAt()
		p.take() // }
	case c.Dynamic != nil:
		p.expr(c.Dynamic)
	default:
		p.take()
		for p.peek() <= c.Last() && (p.kind().IsWord() || p.kind() == syntax.Mul) {
			p.gap = space
			if p.glued(p.peek()) {
				p.gap = gap{kind: gapGlue}
			}
			p.take()
		}
	}
	if c.Arg != nil {
		p.gap = none
		if m, ok := c.Dynamic.(*syntax.MacroCall); ok && !m.HasParens {
			p.gap = space // without it this would be the macro's argument
		}
		p.take() // (
		p.gap = none
		p.expr(c.Arg)
		p.gap = none
		p.accept(syntax.RParen)
	}
	p.finish(c)
}

func (p *printer) macroDef(d *syntax.MacroDef) {
	if p.macroEnds == nil {
		p.macroEnds = map[int]bool{}
	}
	p.macroEnds[d.CloseTok] = true
	p.take() // @define
	p.gap = space
	p.take() // name
	if d.HasParens {
		p.gap = none
		p.take() // (
		p.gap = none
		for p.peek() < d.OpenTok {
			k := p.kind()
			p.take()
			if p.gap = none; k == syntax.Comma {
				p.gap = space
			}
		}
	}
	p.gap = space
	b := &d.Body
	switch {
	case b.Expr != nil && !isAction(b.Expr):
		p.branch(allFlush, func() { p.expr(b.Expr) })
	case b.Points != nil:
		p.branch(allFlush, func() { p.pointList(b.Points) })
	case b.Expr != nil || b.Stmts != nil || b.Decls != nil || b.Verbatim != nil:
		p.take()
		p.indent()
		switch {
		case b.Expr != nil:
			p.gap = hard
			p.expr(b.Expr)
		case b.Stmts != nil:
			p.stmts(b.Stmts, d.CloseTok, false)
		case b.Decls != nil:
			p.decls(b.Decls, d.CloseTok, false)
		default:
			p.gap = hard
			p.verbatim(b.Verbatim)
		}
		p.dedent(gap{kind: gapHard, blank: true})
		p.take()
	default: // empty
		p.take()
		p.gap = space
		p.take()
	}
}

// isAction reports whether an expression is there for its effect, as a statement is.
func isAction(x syntax.Expr) bool {
	switch x := x.(type) {
	case *syntax.AssignExpr, *syntax.IncDec, *syntax.PrintExpr:
		return true
	case *syntax.Paren:
		return isAction(x.X)
	}
	return false
}

// branch writes a token, what stands in brackets between it and the next one, and that.
func (p *printer) branch(s groupStyle, inside func()) {
	p.open(s)
	p.take()
	p.indent()
	p.gap = lineSpace
	inside()
	p.dedent(lineSpace)
	p.take()
	p.close()
}

// condDecl writes a conditional around declarations.
func (p *printer) condDecl(d *syntax.CondDecl) {
	end := d.CloseTok
	if d.ElseTok > 0 {
		end = d.ElseTok
	}
	p.directive(&d.Directive)
	p.decls(d.Then, end, false)
	p.gap = gap{kind: gapHard, blank: true}
	if d.ElseTok > 0 {
		p.gap = p.flush(d.ElseTok, p.gap)
		p.gap.blank = false
		p.take()
		p.decls(d.Else, d.CloseTok, false)
		p.gap = gap{kind: gapHard, blank: true}
	}
	p.gap = p.flush(d.CloseTok, p.gap)
	p.gap.blank = false
	p.take()
}

// directive writes "%(", the condition and "%?".
func (p *printer) directive(d *syntax.Directive) {
	p.take()
	p.gap = space
	p.condition(d.Cond)
	p.gap = space
	p.take()
	p.gap = none
}

func (p *printer) condition(c *syntax.Condition) {
	if c.Raw != nil {
		p.verbatim(c.Raw)
		return
	}
	p.open(fillAligned)
	for i, t := range c.Terms {
		if i > 0 {
			p.gap = lineSpace
			p.take() // && or ||
			p.gap = space
		}
		p.expr(t.L)
		if t.R == nil { // a macro holds the comparison
			continue
		}
		p.gap = space
		p.take()
		p.gap = space
		p.expr(t.R)
	}
	p.close()
}

// nodesOf gives a list of nodes of one kind as nodes.
func nodesOf[N syntax.Node](list []N) []syntax.Node {
	nodes := make([]syntax.Node, len(list))
	for i, n := range list {
		nodes[i] = n
	}
	return nodes
}
