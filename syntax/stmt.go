package syntax

import (
	"stapkit/diag"
)

// block parses a braced list of statements; the brace may be missing, which is
// reported.
func (p *parser) block() *Block {
	b, at := &Block{}, p.i
	if !p.enter() {
		p.leave()
		b.span = p.span(at)
		return b
	}
	defer p.leave()
	p.expect(LBrace)
	p.openBrace(p.prev)
	b.Stmts = p.stmts(nil)
	if p.k == RBrace {
		p.closeBrace()
		b.Closed = true
		p.next()
	} else {
		p.unclosed()
	}
	b.span = p.span(at)
	return b
}

// stmts parses statements up to a "}", a declaration, the end of the file or, in the
// source view, the end of a branch.
func (p *parser) stmts(list []Stmt) []Stmt {
	for !p.failed() {
		switch p.k {
		case RBrace, EOF:
			return list
		case KwProbe, KwGlobal, KwFunction, KwPrivate:
			return list
		case PPElse, PPClose:
			if p.src {
				return list
			}
		}
		before := p.i
		if s := p.stmt(); s != nil {
			list = append(list, s)
		}
		if p.i == before {
			switch p.k {
			case RBrace, EOF, KwProbe, KwGlobal, KwFunction, KwPrivate:
				continue
			}
			p.next()
		}
	}
	return list
}

func (p *parser) stmt() Stmt {
	if p.src {
		return p.sourceStmt()
	}
	return p.plainStmt()
}

func (p *parser) plainStmt() Stmt {
	if !p.enter() {
		p.leave()
		return nil
	}
	defer p.leave()
	p.ops = 0
	at := p.i
	switch p.k {
	case Semi:
		p.next()
		return &NullStmt{p.span(at)}
	case LBrace:
		return p.block()
	case KwIf:
		return p.ifStmt()
	case KwWhile:
		p.next()
		s := &WhileStmt{}
		s.Cond = p.parenExpr()
		s.Body = p.subStmt()
		s.span = p.span(at)
		return s
	case KwFor:
		return p.forStmt()
	case KwForeach:
		return p.foreachStmt()
	case KwTry:
		return p.tryStmt()
	case KwReturn:
		return p.returnStmt()
	case KwDelete:
		p.next()
		s := &DeleteStmt{X: p.expr()}
		p.accept(Semi)
		s.span = p.span(at)
		return s
	case KwBreak:
		p.next()
		p.accept(Semi)
		return &BreakStmt{p.span(at)}
	case KwContinue:
		p.next()
		p.accept(Semi)
		return &ContinueStmt{p.span(at)}
	case KwNext:
		p.next()
		p.accept(Semi)
		return &NextStmt{p.span(at)}
	case KwElse:
		return p.strayElse()
	case KwCatch, KwIn, KwLimit:
		p.error(codeStmt, at, "expected statement")
		p.next()
		return &BadStmt{p.span(at)}
	case EOF, KwProbe, KwGlobal, KwFunction, KwPrivate, RBrace:
		p.error(codeStmt, at, "expected statement")
		return nil
	case KwString, KwLong:
		p.error(codeStmt, at, "expected statement")
		p.next()
		return &BadStmt{p.span(at)}
	case RParen, RBrack, Comma, Colon, Arrow, Question, Dot, OtherPunct:
		if p.leftOver() {
			p.lastErr = at
			p.next()
			return &BadStmt{p.span(at)}
		}
	}
	s := &ExprStmt{X: p.expr()}
	if p.i == at && p.k != Semi { // nothing was consumed: drop what stands in the way
		if p.k == RBrace || p.k == EOF || p.atDecl() {
			return nil
		}
		p.next()
		return &BadStmt{p.span(at)}
	}
	p.accept(Semi)
	s.span = p.span(at)
	return s
}

// leftOver reports whether the current token, with which no statement begins, is left
// of one whose error was told: on the same line, and nothing ended it.
func (p *parser) leftOver() bool {
	if p.lastErr < 0 || !p.spend(p.i-p.lastErr) {
		return false
	}
	for tok := p.i; tok > p.lastErr; tok-- {
		if k := p.toks[tok-1].Kind; k == Semi || k == LBrace || k == RBrace || p.toks[tok].Flags&OpensLine != 0 {
			return false
		}
	}
	return true
}

// strayElse handles an "else" without "if": the statement behind it is kept.
func (p *parser) strayElse() Stmt {
	d := p.error(codeStmt, p.i, "expected statement")
	d.Help = "this 'else' belongs to no 'if'; a ';' or a '}' before it ended the 'if'"
	p.next()
	return p.subStmt()
}

// subStmt parses the statement that a control statement governs.
func (p *parser) subStmt() Stmt {
	if p.k == RBrace || p.k == EOF || p.atDecl() {
		p.error(codeStmt, p.i, "expected statement")
		return &BadStmt{span{p.f, int32(p.i), int32(p.i - 1)}}
	}
	at := p.i
	if s := p.stmt(); s != nil {
		return s
	}
	return &BadStmt{p.span(at)}
}

func (p *parser) parenExpr() Expr {
	open := p.expect(LParen)
	x := p.expr()
	if p.k == RParen {
		p.next()
		return x
	}
	if open || p.lastErr < 0 {
		p.expect(RParen)
	}
	return x
}

func (p *parser) ifStmt() Stmt {
	s, at := &IfStmt{}, p.i
	p.next()
	s.Cond = p.parenExpr()
	s.Then = p.subStmt()
	if p.k == KwElse {
		s.ElseTok = p.i
		p.next()
		s.Else = p.subStmt()
	}
	s.span = p.span(at)
	return s
}

func (p *parser) forStmt() Stmt {
	s, at := &ForStmt{}, p.i
	p.next()
	p.expect(LParen)
	if p.k != Semi {
		s.Init = p.expr()
	}
	if p.k == Comma { // as in C
		p.error(codeExpected, p.i, "expected ';'").Help = "only one expression can stand here: set the others before the loop"
		for p.accept(Comma) {
			p.expr()
		}
		p.accept(Semi)
	} else {
		p.expect(Semi)
	}
	if p.k != Semi {
		s.Cond = p.expr()
	}
	p.expect(Semi)
	if p.k != RParen {
		s.Post = p.expr()
	}
	p.expect(RParen)
	s.Body = p.subStmt()
	s.span = p.span(at)
	return s
}

func (p *parser) returnStmt() Stmt {
	s, at := &ReturnStmt{}, p.i
	if !p.inFunc {
		d := p.error(codeReturn, at, "found 'return' not in function context")
		d.Help = "use 'next' to leave a probe handler"
		if k := p.peek(1); k == Semi || k == RBrace {
			d.Fixes = []diag.Fix{{Message: "replace 'return' by 'next'",
				Edits: []diag.Edit{{Range: p.f.TokenRange(at), NewText: "next"}}}}
		}
	}
	p.next()
	switch p.k {
	case Semi, RBrace:
	default:
		if !p.atDecl() {
			s.X = p.expr()
		}
	}
	p.accept(Semi)
	s.span = p.span(at)
	return s
}

func (p *parser) tryStmt() Stmt {
	s, at := &TryStmt{}, p.i
	p.next()
	s.Body = p.block()
	if p.expect(KwCatch) {
		if p.accept(LParen) {
			s.Var = p.ident()
			p.expect(RParen)
		}
		s.Handler = p.block()
	} else if p.k == LBrace || p.k == LParen && p.peek(1) == Name && p.peek(2) == RParen && p.peek(3) == LBrace {
		if p.accept(LParen) { // the keyword alone is missing
			s.Var = p.ident()
			p.next()
		}
		s.Handler = p.block()
	}
	s.span = p.span(at)
	return s
}

var aggByName = map[string]StatKind{"@count": StatCount, "@sum": StatSum, "@min": StatMin,
	"@max": StatMax, "@avg": StatAvg, "@variance": StatVariance}

func (p *parser) foreachStmt() Stmt {
	s, at := &ForeachStmt{SortBy: SortNone}, p.i
	p.next()
	open := p.expect(LParen)
	sorts := 0
	mark := func(by int) {
		if p.k != Add && p.k != Sub {
			return
		}
		sorts++
		if sorts > 1 {
			p.error(codeForeach, p.i, "multiple sort directives")
		} else {
			s.SortBy, s.Sort = by, Ascending
			if p.k == Sub {
				s.Sort = Descending
			}
		}
		p.next()
	}
	key := func() {
		if id := p.ident(); id != nil {
			s.Keys = append(s.Keys, id)
			mark(len(s.Keys) - 1)
		}
	}
	if p.k == Name { // "value =" or a single key
		n := 1
		if k := p.peek(1); k == Add || k == Sub {
			n = 2
		}
		if p.peek(n) == Assign {
			s.Value = p.ident()
			mark(SortValue)
			p.next()
		}
	}
	if p.k == LBrack {
		s.Bracketed = true
		p.next()
		for p.k != RBrack && p.k != KwIn && p.k != RParen && p.k != LBrace && p.k != RBrace && !p.atDecl() {
			before := p.i
			key()
			if p.k == Comma {
				p.next()
				continue
			}
			if p.k == Name {
				p.expect(Comma)
				continue
			}
			if p.i == before && p.k != RBrack {
				p.next()
			} else if p.k != RBrack {
				break
			}
		}
		if p.k == RBrack && (len(s.Keys) == 0 || p.toks[p.prev].Kind == Comma) {
			p.error(codeIdent, p.i, "expected identifier").Help = "the variable for a key is missing"
		}
		p.expect(RBrack)
	} else {
		key()
		if p.k == Comma { // "foreach (a, b in x)"
			d := p.error(codeForeach, p.i, "expected 'in'")
			d.Help = "several keys stand in brackets: foreach ([a, b] in array)"
			for p.accept(Comma) {
				key()
			}
			p.accept(RBrack)
		}
	}
	p.expect(KwIn)
	s.Array = p.indexable()
	if p.k == LBrack {
		p.next()
		s.Slice = p.slots(indexKey)
		p.expect(RBrack)
	}
	agg := -1
	if p.k == AtWord && !p.src || p.k == AtWord && aggByName[p.text(p.i)] != NoStat {
		if op, ok := aggByName[p.text(p.i)]; ok {
			s.Agg, agg = op, p.i
		} else {
			p.error(codeForeach, p.i, "expected statistical operation")
		}
		p.next()
	}
	if agg >= 0 && p.k != Add && p.k != Sub {
		p.error(codeForeach, p.i, "expected sort directive").Help = "'+' or '-' says in which order the loop goes by " + p.text(agg)
	}
	mark(SortValue)
	if p.k == KwLimit || p.k == Name && near(p.text(p.i), "limit") {
		p.expect(KwLimit)
		s.Limit = p.expr()
	}
	if open {
		p.expect(RParen)
	} else {
		p.accept(RParen)
	}
	s.Body = p.subStmt()
	s.span = p.span(at)
	return s
}
