package stapfmt

import (
	"bytes"

	"stapkit/syntax"
)

// items writes the entries of a list of statements or declarations, each on a line of
// its own, up to the token end. top is set for the declarations of the file. emit writes
// one entry behind the gap, or nothing when it leaves the entry out.
func (p *printer) items(nodes []syntax.Node, end int, top bool, emit func(i int, g gap)) {
	started := false
	asIs := false // the entry before was written as it is
	for i := 0; i < len(nodes); i++ {
		n := nodes[i]
		g := gap{kind: gapHard, blank: started || top}
		if i > 0 && p.joined(nodes[i-1], n, asIs) {
			g = space
			if _, ok := n.(*syntax.Verbatim); (ok || asIs) && p.glued(n.First()) {
				g = gap{kind: gapGlue}
			}
		}
		if off := p.mark(p.next, n.First(), "off"); off >= 0 {
			p.flush(off+1, g)
			i = p.off(off, nodes, i, end) - 1
			started = true
			continue
		}
		if g.kind != gapHard && asIs { // what it means may hang on where lines begin
			p.gap = g
			p.verbatim(n)
			continue
		}
		_, asIs = n.(*syntax.Verbatim)
		ops := len(p.ops)
		emit(i, g)
		started = started || len(p.ops) > ops
	}
}

// joined reports whether an entry stays on the line of the one before it: a macro call
// may stand for the beginning of what follows, such as "@private function f()". asIs is
// set when the one before was written as it is.
func (p *printer) joined(a, b syntax.Node, asIs bool) bool {
	if p.next != b.First() || p.opensLine(b.First()) || a.Last() != b.First()-1 {
		return false
	}
	if _, ok := b.(*syntax.Verbatim); ok || asIs {
		return true
	}
	switch a := a.(type) {
	case *syntax.MacroCall, *syntax.Verbatim:
		return true
	case *syntax.GlobalDecl:
		return a.Vars[len(a.Vars)-1].Verbatim != nil
	case *syntax.ExprStmt:
		switch p.toks[a.Last()].Kind {
		case syntax.Semi:
			return false
		case syntax.Arg:
			return true
		}
		return endsInMacro(a.X)
	}
	return false
}

// endsInMacro reports whether the last thing of an expression is a macro call, of which
// one cannot know how it goes on.
func endsInMacro(x syntax.Expr) bool {
	last := x.Last()
	found := false
	syntax.Inspect(x, func(n syntax.Node) bool {
		if n == nil || found || n.Last() != last {
			return false
		}
		if c, ok := n.(*syntax.MacroCall); ok && len(c.Path) == 0 {
			found = true
		}
		return true
	})
	return found
}

// mark finds a comment "stapfmt:off" or "stapfmt:on" among the tokens [from, to); -1 if
// there is none.
func (p *printer) mark(from, to int, what string) int {
	for i := from; i < to; i++ {
		t := &p.toks[i]
		if t.Kind != syntax.Comment {
			continue
		}
		text := bytes.TrimLeft(p.f.Src[t.Off:t.End], "#/* \t")
		if rest, ok := bytes.CutPrefix(text, []byte("stapfmt:"+what)); ok && (len(rest) == 0 || !isWord(rest[0]) && rest[0] != '-') {
			return i
		}
	}
	return -1
}

// off writes what lies between a comment "stapfmt:off" and the next "stapfmt:on" of the
// same list as it is. Without the latter that is the rest of the list. It returns the
// index of the next entry to be formatted.
func (p *printer) off(off int, nodes []syntax.Node, i, end int) int {
	from := off + 1
	start := int(p.toks[off].End)
	for ; i <= len(nodes); i++ {
		to := end
		if i < len(nodes) {
			to = nodes[i].First()
		}
		if on := p.mark(from, to, "on"); on >= 0 {
			at := int(p.toks[on].Off)
			if p.opensLine(on) {
				for p.f.Src[at-1] != '\n' {
					at--
				}
			}
			p.raw(start, at, on)
			o := op{kind: opComment, a: int32(on)}
			t := &p.toks[on]
			o.w, o.multi = extent(p.f.Src[t.Off:t.End])
			p.add(o)
			p.next, p.prev = on+1, on
			return i
		}
		if i < len(nodes) {
			from = nodes[i].Last() + 1
		}
	}
	p.raw(start, int(p.toks[end-1].End), end)
	return len(nodes)
}

// stmts writes statements up to the token end, which is not written. In a block null
// statements are left out; elsewhere, what follows the list is not known well enough.
func (p *printer) stmts(list []syntax.Stmt, end int, block bool) {
	p.keepAround(list)
	last := -1 // the statement written last
	p.items(nodesOf(list), end, false, func(i int, g gap) {
		if _, null := list[i].(*syntax.NullStmt); null && p.needless(list, last, i, block) {
			p.gone[list[i].First()] = true
			return
		}
		if c, ok := list[i].(*syntax.CondStmt); ok {
			g = p.condGap(c, g)
		}
		p.gap = g
		last = i
		p.stmt(list[i])
	})
}

// keepAround marks the semicolons of the statements beside one that fits no tree, and
// those between them: where that begins and ends may hang on them.
func (p *printer) keepAround(list []syntax.Stmt) {
	before, behind := []int(nil), 0 // semicolons since the last statement; statements to mark
	for _, s := range list {
		switch s.(type) {
		case *syntax.Verbatim:
			p.keep(before...)
			before, behind = nil, 2
			continue
		case *syntax.NullStmt:
		default:
			if behind--; behind <= 0 {
				before = nil
			}
		}
		if semi := s.Last(); p.toks[semi].Kind == syntax.Semi {
			before = append(before, semi)
			if behind > 0 {
				p.keep(semi)
			}
		}
	}
}

func (p *printer) keep(semis ...int) {
	if p.kept == nil {
		p.kept = map[int]bool{}
	}
	for _, s := range semis {
		p.kept[s] = true
	}
}

// needless reports whether the null statement list[i] may go. last is the statement
// before it that was written, -1 if there is none.
func (p *printer) needless(list []syntax.Stmt, last, i int, block bool) bool {
	semi := list[i].First()
	if p.kept[semi] {
		return false
	}
	switch p.toks[p.code(semi+1)].Kind {
	case syntax.KwElse, syntax.KwCatch: // of a statement that fits no tree
		return false
	}
	if last < 0 {
		return block
	}
	switch lastPart(list[last]).(type) {
	case *syntax.Verbatim:
		return false
	case *syntax.CondStmt, *syntax.MacroDef:
		return !p.semiNeeded(semi)
	case *syntax.Block:
		return block || !p.semiNeeded(semi)
	}
	return true // the statement before keeps its own semicolon if one is needed
}

// lastPart is the statement that a statement ends in.
func lastPart(s syntax.Stmt) syntax.Stmt {
	for {
		switch t := s.(type) {
		case *syntax.IfStmt:
			if s = t.Then; t.Else != nil {
				s = t.Else
			}
		case *syntax.WhileStmt:
			s = t.Body
		case *syntax.ForStmt:
			s = t.Body
		case *syntax.ForeachStmt:
			s = t.Body
		case *syntax.TryStmt:
			return t.Handler
		default:
			return s
		}
	}
}

// stmt writes one statement.
func (p *printer) stmt(s syntax.Stmt) {
	switch s := s.(type) {
	case *syntax.Block:
		p.block(s)
	case *syntax.IfStmt:
		p.ifStmt(s)
	case *syntax.WhileStmt:
		p.take()
		p.gap = space
		p.paren(s.Cond)
		p.sub(s.Body)
	case *syntax.ForStmt:
		p.forStmt(s)
	case *syntax.ForeachStmt:
		p.foreachStmt(s)
	case *syntax.TryStmt:
		p.take()
		p.gap = space
		p.block(s.Body)
		p.gap = space
		p.take() // catch
		p.gap = space
		if s.Var != nil {
			p.take() // (
			p.gap = none
			p.take()
			p.gap = none
			p.take()
			p.gap = space
		}
		p.block(s.Handler)
	case *syntax.ExprStmt:
		p.expr(s.X)
		p.endOf(s)
	case *syntax.ReturnStmt:
		p.take()
		if s.X != nil {
			p.gap = space
			p.expr(s.X)
		}
		p.endOf(s)
	case *syntax.DeleteStmt:
		p.take()
		p.gap = space
		p.expr(s.X)
		p.endOf(s)
	case *syntax.BreakStmt, *syntax.ContinueStmt, *syntax.NextStmt:
		p.take()
		p.endOf(s)
	case *syntax.NullStmt:
		p.take()
	case *syntax.CondStmt:
		p.condStmt(s)
	case *syntax.MacroDef:
		p.macroDef(s)
	default: // Verbatim, BadStmt
		p.verbatim(s)
	}
	p.finish(s)
}

// endOf writes the semicolon of a statement or declaration of globals if it is needed.
func (p *printer) endOf(n syntax.Node) {
	semi := n.Last()
	p.gap = none
	if p.toks[semi].Kind != syntax.Semi || p.peek() != semi {
		return
	}
	need := p.semiNeeded(semi)
	switch n := n.(type) {
	case *syntax.ReturnStmt:
		if n.X == nil {
			need = p.toks[p.behindNulls(semi+1)].Kind != syntax.RBrace
		}
	case *syntax.BreakStmt, *syntax.ContinueStmt, *syntax.NextStmt:
		need = p.holds(semi)
	case *syntax.GlobalDecl:
		k := p.toks[p.code(semi+1)].Kind
		need = need || k == syntax.Semi || p.partial && !k.IsKeyword() && k != syntax.EOF
	}
	if need || p.kept[semi] {
		p.take()
		return
	}
	p.gone[semi] = true
}

// behindNulls is the first token from tok on that is neither comment nor semicolon.
func (p *printer) behindNulls(tok int) int {
	for p.toks[tok].Kind == syntax.Comment || p.toks[tok].Kind == syntax.Semi {
		tok++
	}
	return tok
}

// holds reports whether a semicolon keeps another one from ending the statement in its
// place: one that stays since an "else" that belongs to nothing follows it, or since
// formatting is off there.
func (p *printer) holds(semi int) bool {
	next := p.code(semi + 1)
	if p.toks[next].Kind != syntax.Semi {
		return false
	}
	k := p.toks[p.behindNulls(next)].Kind
	return k == syntax.KwElse || k == syntax.KwCatch || p.mark(semi+1, next, "off") >= 0
}

// semiNeeded reports whether what follows a semicolon could go on with the expression
// before it.
func (p *printer) semiNeeded(semi int) bool {
	if p.holds(semi) {
		return true
	}
	before := semi - 1
	for before > 0 && (p.toks[before].Kind == syntax.Comment || p.toks[before].Kind == syntax.Semi) {
		before--
	}
	switch p.toks[before].Kind {
	case syntax.Arg, syntax.AtWord: // pasted text may end in anything
		return true
	case syntax.RParen:
		if p.macroCallEnds(before) {
			return true
		}
	}
	return p.goesOn(p.toks[before].Kind, semi+1, nil)
}

// macroCallEnds reports whether a ")" ends the arguments of a macro.
func (p *printer) macroCallEnds(tok int) bool {
	depth := 0
	for ; tok >= 0; tok-- {
		switch p.toks[tok].Kind {
		case syntax.RParen:
			depth++
		case syntax.LParen:
			if depth--; depth == 0 {
				for tok--; tok > 0 && p.toks[tok].Kind == syntax.Comment; tok-- {
				}
				return tok >= 0 && p.toks[tok].Kind == syntax.AtWord && !isOperator(p.f.Text(tok))
			}
		case syntax.LBrace, syntax.RBrace, syntax.EOF:
			return false
		}
	}
	return false
}

// goesOn reports whether a statement that begins at tok, or behind it when that is no
// code, could be the continuation of an expression that ends in a token of the kind last:
// PPClose for one that ends in a conditional.
// seen holds the answers for what stands behind conditionals.
func (p *printer) goesOn(last syntax.Kind, tok int, seen map[int]bool) bool {
	tok = p.behindNulls(tok)
	t := &p.toks[tok]
	switch k := t.Kind; k {
	case syntax.Number, syntax.LBrace, syntax.RBrace, syntax.Embedded, syntax.EOF,
		syntax.Not, syntax.Tilde:
		return false
	case syntax.Name:
		name := p.f.Text(tok)
		return name == "$" || name == "$$"
	case syntax.String, syntax.ArgStr:
		return last == syntax.String || last == syntax.ArgStr || last == syntax.PPClose
	case syntax.AtWord:
		text := p.f.Text(tok)
		return text != "@define" && !isOperator(text)
	case syntax.LParen: // a call, behind a name
		return last == syntax.Name || last.IsKeyword() || last == syntax.AtWord || last == syntax.Arg || last == syntax.PPClose
	case syntax.Inc, syntax.Dec: // behind an operand; it takes one of them
		return last != syntax.Inc && last != syntax.Dec
	case syntax.PPOpen: // what either branch begins with
		if yes, ok := seen[tok]; ok {
			return yes
		}
		if len(seen) > 64 {
			return true
		}
		if seen == nil {
			seen = map[int]bool{}
		}
		then, els, end := p.branches(tok)
		if end < 0 {
			return true
		}
		if els < 0 {
			els = end
		}
		// The parser takes what may be split by a conditional for split.
		yes := p.goesOn(syntax.PPClose, then+1, seen) || p.goesOn(syntax.PPClose, els+1, seen)
		seen[tok] = yes
		return yes
	case syntax.PPElse: // the branch ends: what follows the conditional
		level := 0
		for i := tok + 1; i < len(p.toks); i++ {
			switch p.toks[i].Kind {
			case syntax.PPOpen:
				level++
			case syntax.PPClose:
				if level--; level < 0 {
					return p.goesOn(syntax.PPClose, i, seen)
				}
			}
		}
		return true
	case syntax.PPClose:
		if p.macroEnds[tok] {
			return true
		}
		return p.goesOn(syntax.PPClose, tok+1, seen)
	default:
		return !k.IsKeyword() || k == syntax.KwIn || k == syntax.KwLimit
	}
}

// branches finds the "%?", "%:" (-1 if there is none) and "%)" of a conditional; end is
// -1 when it is not closed.
func (p *printer) branches(open int) (then, els, end int) {
	then, els, end = -1, -1, -1
	level := 0
	for i := open; i < len(p.toks); i++ {
		switch p.toks[i].Kind {
		case syntax.PPOpen:
			level++
		case syntax.PPThen:
			if level == 1 && then < 0 {
				then = i
			}
		case syntax.PPElse:
			if level == 1 && els < 0 {
				els = i
			}
		case syntax.PPClose:
			if level--; level == 0 {
				if then < 0 {
					return then, els, -1
				}
				return then, els, i
			}
		}
	}
	return then, els, end
}

// block writes a block behind the pending gap.
func (p *printer) block(b *syntax.Block) {
	p.take() // {
	last := b.Last()
	if p.next == last {
		p.gap = none
		p.take()
		return
	}
	p.indent()
	ops := len(p.ops)
	p.stmts(b.Stmts, last, true)
	g := gap{kind: gapHard, blank: true}
	if len(p.ops) == ops && p.oneLineGap(last) {
		// Nothing, or a few words: "{}", "{ /* nothing */ }".
		if g = none; p.nextComment(p.next-1) != last {
			g = space
		}
	}
	p.dedent(g)
	p.take()
}

// oneLineGap reports whether nothing but comments stands before a token, all on its line.
func (p *printer) oneLineGap(tok int) bool {
	for c := p.nextComment(p.next - 1); c < tok; c = p.nextComment(c) {
		if p.toks[c].Kind != syntax.Comment || p.behindBreak(c) || p.behindBreak(p.nextComment(c)) {
			return false
		}
	}
	return true
}

// sub writes the statement that a control statement governs: a block on the same line,
// all else on the next.
func (p *printer) sub(s syntax.Stmt) {
	if b, ok := s.(*syntax.Block); ok {
		p.gap = space
		p.block(b)
		return
	}
	p.indent()
	p.gap = p.flush(s.First(), hard)
	p.gap.blank = false
	if c, ok := s.(*syntax.CondStmt); ok {
		p.gap = p.condGap(c, p.gap)
	}
	p.stmt(s)
	p.level--
	p.add(op{kind: opDedent})
}

func (p *printer) ifStmt(s *syntax.IfStmt) {
	for {
		p.take() // if
		p.gap = space
		p.paren(s.Cond)
		p.sub(s.Then)
		if s.Else == nil {
			return
		}
		p.gap = hard
		if _, ok := s.Then.(*syntax.Block); ok {
			p.gap = space
		}
		p.take() // else
		next, ok := s.Else.(*syntax.IfStmt)
		if !ok {
			p.sub(s.Else)
			return
		}
		p.gap = space
		s = next
	}
}

func (p *printer) forStmt(s *syntax.ForStmt) {
	p.take()
	p.gap = space
	p.take() // (
	p.gap = gap{kind: gapLine, first: true}
	p.bracket(allAligned)
	if s.Init != nil {
		p.expr(s.Init)
	}
	p.gap = none
	p.take() // ;
	if s.Cond != nil {
		p.gap = lineSpace
		p.expr(s.Cond)
	}
	p.gap = none
	p.take() // ;
	if s.Post != nil {
		p.gap = lineSpace
		p.expr(s.Post)
	}
	p.gap = none
	p.closeAt()
	p.take() // )
	p.sub(s.Body)
}

func (p *printer) foreachStmt(s *syntax.ForeachStmt) {
	p.take()
	p.gap = space
	p.take() // (
	p.gap = gap{kind: gapLine, first: true}
	p.bracket(fillAligned)
	sort := func() {
		if k := p.kind(); k == syntax.Add || k == syntax.Sub {
			p.gap = none
			p.take()
		}
	}
	if s.Value != nil {
		p.take()
		sort()
		p.gap = space
		p.take() // =
		p.gap = space
	}
	if s.Bracketed {
		p.take() // [
		p.gap = none
	}
	for i := range s.Keys {
		if i > 0 {
			p.gap = none
			p.take() // ,
			p.gap = lineSpace
		}
		p.take()
		sort()
	}
	if s.Bracketed {
		p.gap = none
		p.accept(syntax.Comma)
		p.gap = none
		p.take() // ]
	}
	p.gap = lineSpace
	p.take() // in
	p.gap = space
	p.expr(s.Array)
	if s.Slice != nil {
		p.gap = none
		p.bracketed(s.Slice)
	}
	if s.Agg != syntax.NoStat {
		p.gap = space
		p.take()
	}
	sort()
	if s.Limit != nil {
		p.gap = lineSpace
		p.take() // limit
		p.gap = space
		p.expr(s.Limit)
	}
	p.gap = none
	p.closeAt()
	p.take() // )
	p.sub(s.Body)
}

// isOneLine reports whether a conditional around statements may stand on one line: if it
// was written so, and its branches hold at most one simple statement each.
func (p *printer) isOneLine(s *syntax.CondStmt) bool {
	if len(s.Then) > 1 || len(s.Else) > 1 {
		return false
	}
	for i := s.First() + 1; i <= s.Last(); i++ {
		if p.opensLine(i) {
			return false
		}
	}
	for _, list := range [][]syntax.Stmt{s.Then, s.Else} {
		for _, st := range list {
			switch st := st.(type) {
			case *syntax.ExprStmt, *syntax.ReturnStmt, *syntax.DeleteStmt, *syntax.BreakStmt, *syntax.ContinueStmt,
				*syntax.NextStmt, *syntax.NullStmt, *syntax.Verbatim:
			case *syntax.CondStmt:
				if !p.isOneLine(st) {
					return false
				}
			default:
				return false
			}
		}
	}
	return true
}

// condGap gives the gap before a conditional around statements and decides whether it
// stands on one line: it has to fit there, alone.
func (p *printer) condGap(s *syntax.CondStmt, g gap) gap {
	p.oneLine = nil
	g = p.flush(s.First(), g)
	if g.kind == gapHard && p.isOneLine(s) {
		try := *p
		try.ops, try.gap = nil, none
		try.condInline(s)
		clear(p.gone[s.First() : s.Last()+1])
		w := p.level * p.width
		for i := range try.ops {
			switch o := &try.ops[i]; o.kind {
			case opToken, opRaw, opComment:
				w += int(o.w)
				if o.multi {
					w = lineLimit + 1
				}
			case opSpace:
				w++
			case opLine:
				if o.flags&flatSpace != 0 {
					w++
				}
				if o.flags&forced != 0 {
					w = lineLimit + 1
				}
			}
		}
		if w <= lineLimit {
			p.oneLine = s
			return g
		}
	}
	g.out = g.kind == gapHard
	return g
}

// condInline writes a conditional around statements on one line.
func (p *printer) condInline(s *syntax.CondStmt) {
	branch := func(list []syntax.Stmt) {
		p.gap = space
		for _, st := range list {
			if c, ok := st.(*syntax.CondStmt); ok {
				p.condInline(c)
			} else {
				p.stmt(st)
			}
			p.gap = space
		}
		p.take()
	}
	p.directive(&s.Directive)
	branch(s.Then)
	if s.ElseTok > 0 {
		branch(s.Else)
	}
}

// condStmt writes a conditional around statements. Its lines stand one level back from
// the statements around it, as C's do; the branches are indented as if it was not there.
func (p *printer) condStmt(s *syntax.CondStmt) {
	if p.oneLine == s {
		p.condInline(s)
		return
	}
	p.directive(&s.Directive)
	end := s.CloseTok
	if s.ElseTok > 0 {
		end = s.ElseTok
	}
	p.stmts(s.Then, end, false)
	p.endBranch(end)
	if s.ElseTok > 0 {
		p.stmts(s.Else, s.CloseTok, false)
		p.endBranch(s.CloseTok)
	}
}

// endBranch writes the "%:" or "%)" behind statements.
func (p *printer) endBranch(end int) {
	g := p.flush(end, gap{kind: gapHard, blank: true})
	g.blank = false
	g.out = g.kind == gapHard
	p.gap = g
	p.take()
}

// isOperator reports whether an @word belongs to the language and is no macro.
func isOperator(word string) bool {
	switch word {
	case "@cast", "@var", "@defined", "@entry", "@perf", "@const", "@enum", "@enumname", "@probewrite",
		"@kregister", "@uregister", "@kderef", "@uderef",
		"@count", "@sum", "@min", "@max", "@avg", "@variance", "@hist_log", "@hist_linear":
		return true
	}
	return false
}
