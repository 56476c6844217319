package syntax

// This file holds what only the source view has: conditionals, macro definitions and
// calls, and verbatim stretches.
//
// Every construct is first tried as what the grammar would have in its place. When
// that fails and the tokens hold directives, the smallest statement, declaration or
// list entry around them that is balanced is kept verbatim.

// A memoMode tells as what a conditional or call was tried.
type memoMode uint8

const (
	asStmt memoMode = iota
	asDecl
	asExpr
	asExprList
	asPointList
	asCall
)

type memoKey struct {
	tok  int
	mode memoMode
}

// memoVal is the outcome of a trial: the node, nil for failure, and the token behind.
type memoVal struct {
	node Node
	next int
}

// mark is a place to go back to.
type mark struct {
	i, prev, errs, lastErr, diags, depth, blocks, hints, macros int
}

func (p *parser) mark() mark {
	return mark{p.i, p.prev, p.errs, p.lastErr, len(p.f.Diags), p.depth, len(p.blocks), len(p.hints), len(p.f.Macros)}
}

func (p *parser) reset(m mark) {
	p.spend(10 * (p.i - m.i)) // parsing costs that much more than looking
	p.i, p.prev, p.errs, p.lastErr, p.depth = m.i, m.prev, m.errs, m.lastErr, m.depth
	p.k = p.toks[p.i].Kind
	p.f.Diags = p.f.Diags[:m.diags]
	p.f.Macros = p.f.Macros[:m.macros]
	p.blocks = p.blocks[:min(m.blocks, len(p.blocks))]
	p.hints = p.hints[:min(m.hints, len(p.hints))]
}

// trial runs a parse that may fail: on failure everything is as before. Outcomes are
// remembered, so that nested trials cost no more than one.
func (p *parser) trial(mode memoMode, parse func() (Node, bool)) (Node, bool) {
	key := memoKey{p.i, mode}
	if v, ok := p.memo[key]; ok {
		if v.node == nil {
			return nil, false
		}
		p.i, p.prev = v.next, v.node.Last()
		p.k = p.toks[p.i].Kind
		return v.node, true
	}
	if p.memo == nil {
		p.memo = map[memoKey]memoVal{}
	}
	if p.budget <= 0 {
		return nil, false
	}
	m, was := p.mark(), p.trialErrs
	p.trialErrs = p.errs
	n, ok := parse()
	p.trialErrs = was
	if !ok || p.errs != m.errs {
		p.reset(m)
		p.memo[key] = memoVal{}
		return nil, false
	}
	p.memo[key] = memoVal{n, p.i}
	return n, true
}

// failed reports whether the innermost trial has failed, so that nothing more needs to
// be read.
func (p *parser) failed() bool { return p.trialErrs >= 0 && p.errs > p.trialErrs }

// isDirective reports whether a token is the preprocessor's.
func (p *parser) isDirective(tok int) bool {
	switch k := p.toks[tok].Kind; {
	case k >= PPOpen && k <= PPClose, k >= Arg && k <= ArgCountStr:
		return true
	case k == AtWord:
		return !isAtOperator(p.text(tok)[1:])
	}
	return false
}

// hasDirective reports whether the tokens [from, to] hold any directive.
func (p *parser) hasDirective(from, to int) bool {
	if !p.spend(to - from) {
		return false
	}
	for i := from; i <= to && i < len(p.toks); i++ {
		if p.isDirective(i) {
			return true
		}
	}
	return false
}

// verbatim makes a Verbatim of the tokens from first up to and including last.
func (p *parser) verbatim(first, last int) *Verbatim {
	p.prev = last
	p.seek(last + 1)
	return &Verbatim{span{p.f, int32(first), int32(last)}}
}

// A scanUnit tells where a verbatim stretch may end.
type scanUnit uint8

const (
	scanStmt scanUnit = iota
	scanDecl
	scanItem  // before "," or a closing bracket
	scanPoint // before "," or the handler
	scanGlobal
)

// verbatimEnd finds the last token of the smallest stretch from start that is
// balanced when the first branch of every conditional is taken. It reports false when
// a bracket that was opened before start closes inside a conditional.
func (p *parser) verbatimEnd(start int, unit scanUnit) (int, bool) {
	depth := 0
	var conds []int // depth at each open conditional; -1-depth inside its second branch
	inElse := 0
	last := -1
	seenClose := false
	for i := start; ; i++ {
		if !p.spend(1) {
			return 0, false
		}
		t := &p.toks[i]
		if t.Kind == Comment || t.Kind == Junk {
			continue
		}
		open := len(conds)
		if open == 0 && last >= start && t.Flags&OpensLine != 0 && t.Kind >= KwProbe && t.Kind <= KwFunction {
			// A declaration ends everything, but "a.⏎function(…)" goes on.
			if k := p.toks[last].Kind; k != Dot && k != Comma && !(unit == scanDecl && depth == 0) {
				if unit == scanStmt && depth == 0 {
					return last, true
				}
				return 0, false
			}
		}
		if open == 0 && depth == 0 && last >= start {
			switch unit {
			case scanStmt:
				if t.Kind == RBrace || t.Kind == PPElse || t.Kind == PPClose || t.Kind == EOF {
					return last, true
				}
				if seenClose && t.Flags&OpensLine != 0 && t.Kind != KwElse && t.Kind != KwCatch && t.Kind != LBrace && t.Kind != PPOpen &&
					(binaryPrec[t.Kind] == 0 || t.Kind == Sub || t.Kind == Add) {
					return last, true
				}
			case scanDecl:
				switch t.Kind {
				case KwProbe, KwGlobal, KwFunction, KwPrivate, PPElse, PPClose, EOF:
					return last, true
				case AtWord:
					if p.text(i) == "@define" {
						return last, true
					}
				}
				if seenClose && t.Flags&OpensLine != 0 && (t.Kind == PPOpen || t.Kind == Embedded) {
					return last, true
				}
			case scanItem:
				switch t.Kind {
				case Comma, RParen, RBrack, RBrace, PPElse, PPClose, Semi, EOF:
					return last, true
				}
			case scanGlobal:
				switch t.Kind {
				case Comma, Semi, PPElse, PPClose, EOF, KwProbe, KwGlobal, KwFunction, KwPrivate, Embedded:
					return last, true
				case AtWord, PPOpen:
					if t.Flags&OpensLine != 0 {
						return last, true
					}
				}
			case scanPoint:
				switch t.Kind {
				case Comma, RBrace, PPElse, PPClose, EOF, Assign, AddAssign:
					return last, true
				case LBrace:
					if k := p.toks[last].Kind; k != Dot && k != Comma {
						return last, true
					}
				}
			}
		}
		switch t.Kind {
		case EOF:
			return 0, false
		case LParen, LBrack, LBrace:
			if inElse == 0 {
				depth++
			}
		case RParen, RBrack, RBrace:
			if inElse == 0 {
				if depth--; depth < 0 {
					return 0, false
				}
			}
		case PPOpen:
			conds = append(conds, depth)
			if inElse > 0 {
				inElse++
			}
		case PPElse:
			if open > 0 && inElse == 0 {
				inElse = 1
			}
		case PPClose:
			if open == 0 {
				return 0, false
			}
			conds = conds[:open-1]
			if inElse > 0 {
				inElse--
			}
			seenClose = true
		}
		last = i
		if len(conds) == 0 && depth == 0 {
			switch {
			case unit == scanStmt && (t.Kind == Semi || t.Kind == RBrace):
				if k := p.kindBehind(i); k != KwElse && k != KwCatch {
					return i, true
				}
			case unit == scanDecl && t.Kind == RBrace:
				if k := p.kindBehind(i); k != Comma && k != Dot && k != LBrace && k != Question && k != Not && k != PPOpen {
					return i, true
				}
			}
		}
	}
}

// verbatimEntry keeps the entry of a list that began at m verbatim, if it is a
// conditional, goes on with one, or could not be read; nil if it needs not be.
func (p *parser) verbatimEntry(m mark, unit scanUnit) *Verbatim {
	switch {
	case p.k == PPOpen && (p.i == m.i || p.leadComma()):
	case p.errs != m.errs && p.hasDirective(m.i, p.i):
	default:
		return nil
	}
	end, ok := p.verbatimEnd(m.i, unit)
	if !ok {
		return nil
	}
	p.reset(m)
	return p.verbatim(m.i, end)
}

// kindBehind gives the kind of the next token behind tok.
func (p *parser) kindBehind(tok int) Kind { return p.toks[p.after(tok)].Kind }

// directive parses "%(", the condition and "%?".
func (p *parser) directive() (Directive, bool) {
	d := Directive{OpenTok: p.i}
	p.next()
	at := p.i
	c := &Condition{}
	ok := true
	m := p.mark()
	for {
		t := &CondTerm{}
		first := p.i
		t.L, ok = p.condOperand()
		if _, macro := t.L.(*MacroCall); macro && !compareOp(p.k) { // it holds the comparison
			t.span = p.span(first)
			c.Terms = append(c.Terms, t)
			if p.k == AndAnd || p.k == OrOr {
				c.Ops = append(c.Ops, p.k)
				p.next()
				continue
			}
			break
		}
		if !ok || !compareOp(p.k) {
			ok = false
			break
		}
		t.Op = p.k
		p.next()
		t.R, ok = p.condOperand()
		if !ok {
			break
		}
		t.span = p.span(first)
		c.Terms = append(c.Terms, t)
		if p.k == AndAnd || p.k == OrOr {
			c.Ops = append(c.Ops, p.k)
			p.next()
			continue
		}
		break
	}
	if !ok || p.k != PPThen {
		p.reset(m)
		c.Terms, c.Ops = nil, nil
		for p.k != PPThen {
			if p.k == EOF || p.k == PPOpen || p.k == PPElse || p.k == PPClose {
				p.error(codeCond, p.i, "expected '%%?' marker for conditional")
				return d, false
			}
			p.next()
		}
		if p.prev < at {
			p.error(codeCond, p.i, "expected a condition")
			return d, false
		}
		if !p.hasDirective(at, p.prev) {
			p.error(codeCond, at, "wrong condition")
		}
		c.Raw = &Verbatim{p.span(at)}
	}
	c.span = p.span(at)
	d.Cond = c
	d.ThenTok = p.i
	p.next()
	return d, true
}

func (p *parser) condOperand() (Expr, bool) {
	switch p.k {
	case Name:
		id := &Ident{span{p.f, int32(p.i), int32(p.i)}, p.text(p.i)}
		p.next()
		return id, true
	case Number:
		return p.number(), true
	case String, ArgStr:
		return p.strings(), true
	case Arg, ArgCount, ArgCountStr:
		return p.scriptArg(), true
	case AtWord:
		return p.macroCall(), true
	}
	return nil, false
}

// elseBranch moves to the second branch; it reports whether there is one.
func (p *parser) elseBranch(d *Directive) bool {
	if p.k != PPElse {
		return false
	}
	d.ElseTok = p.i
	p.next()
	return true
}

// endDirective expects "%)".
func (p *parser) endDirective(d *Directive) bool {
	d.CloseTok = p.i
	if p.k != PPClose {
		p.error(codeOpenCond, p.i, "expected '%%)'")
		return false
	}
	p.next()
	return true
}

// ---- Declarations ----

func (p *parser) sourceDecl() Decl {
	m := p.mark()
	var d Decl
	switch p.k {
	case PPOpen:
		n, ok := p.trial(asDecl, p.condDecl)
		if ok {
			return n.(*CondDecl)
		}
		return p.verbatimDecl(m)
	case AtWord:
		if p.text(p.i) == "@define" {
			return p.macroDef()
		}
		if !isAtOperator(p.text(p.i)[1:]) {
			call := p.macroCall()
			if p.atDecl() || p.k == PPElse || p.k == PPClose || p.k == PPOpen || p.k == AtWord || p.k == Embedded {
				return call
			}
			p.reset(m)
			return p.verbatimDecl(m)
		}
		d = p.plainDecl()
	case Arg, ArgStr:
		return p.verbatimDecl(m)
	default:
		d = p.plainDecl()
	}
	last := p.i
	if p.k == PPElse || p.k == PPClose { // it ends the branch: "%( c %? probe a %: probe b %) { … }"
		last = p.prev
	}
	if p.errs != m.errs && p.hasDirective(m.i, last) {
		if end, ok := p.verbatimEnd(m.i, scanDecl); ok {
			p.reset(m)
			return p.verbatim(m.i, end)
		}
	}
	return d
}

// verbatimDecl keeps a declaration verbatim, or reports the conditional if it is not
// balanced.
func (p *parser) verbatimDecl(m mark) Decl {
	if end, ok := p.verbatimEnd(m.i, scanDecl); ok {
		return p.verbatim(m.i, end)
	}
	if p.k == PPOpen {
		d := p.errorAt(codeOpenCond, p.i, "incomplete conditional at end of file")
		d.Help = "close the conditional with '%)'"
	} else {
		p.error(codeDecl, p.i, "expected 'probe', 'global', 'private', 'function', or '%%{'")
	}
	p.next()
	for !p.atDecl() {
		p.next()
	}
	return &BadDecl{span: p.span(m.i)}
}

func (p *parser) condDecl() (Node, bool) {
	n, at := &CondDecl{}, p.i
	if !conditional(p, &n.Directive, &n.Then, &n.Else, p.declBranch) {
		return nil, false
	}
	n.span = p.span(at)
	return n, true
}

// conditional parses a conditional whose branches are read by branch.
func conditional[B any](p *parser, d *Directive, then, els *B, branch func() (B, bool)) bool {
	defer p.leave()
	if !p.enter() {
		return false
	}
	var ok bool
	if *d, ok = p.directive(); !ok {
		return false
	}
	if *then, ok = branch(); !ok {
		return false
	}
	if p.elseBranch(d) {
		if *els, ok = branch(); !ok {
			return false
		}
	}
	return p.endDirective(d)
}

func (p *parser) declBranch() ([]Decl, bool) {
	var list []Decl
	errs, depth := p.errs, p.depth
	for p.k != PPElse && p.k != PPClose {
		if p.k == EOF {
			return nil, false
		}
		at := p.i
		d := p.sourceDecl()
		p.depth = depth
		if p.errs != errs || p.i == at {
			return nil, false
		}
		list = append(list, d)
	}
	return list, true
}

// macroDef parses a definition.
func (p *parser) macroDef() *MacroDef {
	n, at := &MacroDef{}, p.i
	if p.fragments > 0 {
		p.error(codeDefine, at, "attempt to define a macro inside a macro")
		p.next()
		n.span = p.span(at)
		return n
	}
	p.next()
	n.NameTok = p.i
	if p.k != Name {
		p.error(codeDefine, p.i, "expected identifier")
		n.span = p.span(at)
		return n
	}
	n.Name = p.text(p.i)
	p.next()
	if p.k == LParen {
		n.HasParens = true
		p.next()
		for p.k == Name {
			n.Params = append(n.Params, p.text(p.i))
			n.ParamToks = append(n.ParamToks, p.i)
			p.next()
			if !p.accept(Comma) {
				break
			}
		}
		if !p.accept(RParen) {
			p.error(codeDefine, p.i, "expected ',' or ')'")
		}
	}
	n.OpenTok = p.i
	if p.k != PPOpen {
		d := p.error(codeDefine, p.i, "expected '%%('")
		d.Help = "write the body between '%(' and '%)'"
		n.span = p.span(at)
		return n
	}
	p.next()
	end := p.i
	for depth := 0; ; end++ {
		k := p.toks[end].Kind
		if k == PPOpen {
			depth++
		} else if k == PPClose {
			if depth--; depth < 0 {
				break
			}
		} else if k == EOF {
			p.errorAt(codeDefine, n.OpenTok, "incomplete macro definition - missing '%%)'")
			break
		}
	}
	n.CloseTok = end
	if p.defs == nil {
		p.defs = map[string]*MacroDef{}
	}
	p.defs[n.Name] = n
	n.Body = p.fragment(end)
	p.prev = end - 1
	if p.toks[end].Kind == PPClose {
		p.next()
	}
	n.span = p.span(at)
	p.f.Macros = append(p.f.Macros, p.macroOf(n))
	return n
}

// macroOf makes the definition usable for lookups, such as those of a language server.
func (p *parser) macroOf(n *MacroDef) *Macro {
	t := &p.toks[n.NameTok]
	m := &Macro{Name: n.Name, Params: n.Params, HasParens: n.HasParens, Source: p.f.Sources[0],
		Def: Span{0, t.Off, t.End}, Library: p.opt.library}
	for _, t := range p.toks[n.OpenTok+1 : max(n.OpenTok+1, n.CloseTok)] {
		if t.Kind != Comment {
			m.Body = append(m.Body, t)
		}
	}
	return m
}

// fragment reads the tokens up to end as the first thing that they make.
func (p *parser) fragment(end int) Fragment {
	if p.i >= end {
		return Fragment{}
	}
	if !p.enter() {
		p.leave()
		return Fragment{}
	}
	defer p.leave()
	m, wasFunc := p.mark(), p.inFunc
	wasTrial := p.trialErrs
	p.inFunc, p.trialErrs = true, p.errs
	p.fragments++
	defer func() { p.inFunc, p.trialErrs, p.fragments = wasFunc, wasTrial, p.fragments-1 }()
	fits := func() bool { return p.errs == m.errs && p.i == end }
	points := func() []Point {
		var pts []Point
		for {
			pt := p.point()
			if _, ok := pt.(*ProbePoint); !ok {
				return nil
			}
			pts = append(pts, pt)
			if p.i >= end || p.k != Comma {
				break
			}
			p.next()
		}
		if !fits() {
			return nil
		}
		return pts
	}
	// "kernel.function" could join two strings; without spaces it rarely does.
	dot := p.peekAt(1)
	dotted := p.k == Name && p.toks[dot].Kind == Dot && p.glued(p.i, dot) && p.glued(dot, dot+1)
	if dotted {
		if pts := points(); pts != nil {
			return Fragment{Points: pts}
		}
		p.reset(m)
	}
	if p.budget > 0 {
		if x := p.expr(); fits() {
			return Fragment{Expr: x}
		}
	}
	p.reset(m)
	if k := p.peek(1); p.k == Name && !dotted && (k == Dot || k == LParen || k == Comma) {
		if pts := points(); pts != nil {
			return Fragment{Points: pts}
		}
		p.reset(m)
	}
	var stmts []Stmt
	for p.i < end && p.errs == m.errs && p.budget > 0 && !p.atDecl() && p.k != RBrace && p.k != PPElse && p.k != PPClose {
		at := p.i
		if s := p.stmt(); s != nil {
			stmts = append(stmts, s)
		}
		if p.i == at {
			break
		}
	}
	if fits() {
		return Fragment{Stmts: stmts}
	}
	p.reset(m)
	if p.atDecl() || p.k == PPOpen || p.k == AtWord {
		var decls []Decl
		depth := p.depth
		for p.i < end && p.errs == m.errs && p.budget > 0 {
			at := p.i
			decls = append(decls, p.sourceDecl())
			p.depth = depth
			if p.i == at {
				break
			}
		}
		if fits() {
			return Fragment{Decls: decls}
		}
		p.reset(m)
	}
	last := end - 1
	for last > m.i && (p.toks[last].Kind == Comment || p.toks[last].Kind == Junk) {
		last--
	}
	return Fragment{Verbatim: p.verbatim(m.i, last)}
}

// empty reports whether the fragment holds no tokens.
func (f *Fragment) empty() bool {
	return f.Expr == nil && f.Points == nil && f.Stmts == nil && f.Decls == nil && f.Verbatim == nil
}

// macroCall parses "@name" and, if the macro takes them, its arguments.
func (p *parser) macroCall() *MacroCall {
	n, _ := p.trial(asCall, func() (Node, bool) { return p.macroCallOnce(), true })
	if n == nil { // nested too deep
		at := p.i
		p.next()
		return &MacroCall{span: p.span(at), Name: p.text(at)[1:]}
	}
	call := *n.(*MacroCall) // a copy: what follows is added to the node
	return &call
}

func (p *parser) macroCallOnce() *MacroCall {
	n, at := &MacroCall{}, p.i
	n.Name = p.text(at)[1:]
	if n.Name == "" {
		p.error(codeAtWord, at, "unknown operator @")
	}
	p.next()
	if p.k == LParen && p.takesArgs(n.Name, at) {
		end := p.argsEnd()
		if end > 0 {
			n.HasParens = true
			p.next()
			for {
				stop := p.argEnd(p.i)
				n.Args = append(n.Args, p.fragment(stop))
				p.seek(stop)
				if p.k != Comma {
					break
				}
				p.next()
			}
			p.prev = p.i
			p.next()
			if len(n.Args) == 1 && n.Args[0].empty() {
				n.Args = nil
			}
		}
	}
	n.span = p.span(at)
	return n
}

// takesArgs reports whether the parenthesis behind a macro name belongs to the call.
// For a macro that is not known, it does when it follows at once.
func (p *parser) takesArgs(name string, at int) bool {
	if d := p.defs[name]; d != nil {
		return d.HasParens
	}
	if m := p.opt.Macros.Lookup(name); m != nil {
		return m.HasParens
	}
	return p.glued(at, p.i)
}

// argsEnd finds the ")" that matches the current "(", 0 if there is none.
func (p *parser) argsEnd() int {
	depth := 0
	for i := p.i; ; i++ {
		if !p.spend(1) {
			return 0
		}
		switch p.toks[i].Kind {
		case EOF:
			return 0
		case LParen, LBrack:
			depth++
		case RBrack:
			depth--
		case RParen:
			if depth--; depth == 0 {
				return i
			}
		}
	}
}

// argEnd finds the "," or ")" that ends the argument which begins at tok.
func (p *parser) argEnd(tok int) int {
	depth := 0
	for i := tok; ; i++ {
		switch p.toks[i].Kind {
		case EOF:
			return i
		case LParen, LBrack:
			depth++
		case RBrack:
			depth--
		case RParen:
			if depth--; depth < 0 {
				return i
			}
		case Comma:
			if depth == 0 {
				return i
			}
		}
	}
}

// ---- Statements ----

func (p *parser) sourceStmt() Stmt {
	m := p.mark()
	var s Stmt
	if p.k == PPOpen {
		if n, ok := p.trial(asStmt, p.condStmt); ok {
			return n.(*CondStmt)
		}
		s = p.plainStmt()
	} else if p.k == AtWord && p.text(p.i) == "@define" {
		return p.macroDef()
	} else {
		s = p.plainStmt()
	}
	if p.errs == m.errs {
		if !p.splitTail(s) {
			return s
		}
	} else if !p.hasDirective(m.i, p.i) {
		return s
	}
	if end, ok := p.verbatimEnd(m.i, scanStmt); ok {
		p.reset(m)
		return p.verbatim(m.i, end)
	}
	return s
}

// splitTail reports whether the conditional behind an expression statement goes on
// with the expression: "a %( c %? + b %)".
func (p *parser) splitTail(s Stmt) bool {
	if p.k != PPOpen {
		return false
	}
	e, ok := s.(*ExprStmt)
	if !ok || p.toks[e.Last()].Kind == Semi {
		return false
	}
	i := p.i
	for p.toks[i].Kind != PPThen {
		if k := p.toks[i].Kind; !p.spend(1) || k == EOF || k == PPElse || k == PPClose {
			return false
		}
		i++
	}
	switch k := p.kindBehind(i); k {
	case LParen, LBrack, Inc, Dec, Arrow:
		return true
	default:
		return binaryPrec[k] > 0
	}
}

func (p *parser) condStmt() (Node, bool) {
	n, at := &CondStmt{}, p.i
	errs := p.errs
	open := false // a branch may go on behind the conditional
	if !conditional(p, &n.Directive, &n.Then, &n.Else, func() ([]Stmt, bool) {
		list := p.stmts(nil)
		if len(list) > 0 {
			if e, ok := list[len(list)-1].(*ExprStmt); ok && p.toks[e.Last()].Kind != Semi {
				open = true
			}
		}
		return list, p.errs == errs && (p.k == PPElse || p.k == PPClose)
	}) {
		return nil, false
	}
	switch p.k {
	case KwElse, KwCatch:
		return nil, false
	case LParen, LBrack, Inc, Dec, Add, Sub, And, Not, Tilde, Mul:
		if open && (p.k != Not && p.k != Tilde) {
			return nil, false
		}
	default:
		if binaryPrec[p.k] > 0 || p.k == Arrow {
			return nil, false
		}
	}
	n.span = p.span(at)
	return n, true
}

// ---- Expressions ----

// condExpr parses a conditional that stands for an operand.
func (p *parser) condExpr() Expr {
	at := p.i
	n, ok := p.trial(asExpr, func() (Node, bool) {
		n := &CondExpr{}
		if !conditional(p, &n.Directive, &n.Then, &n.Else, func() (x Expr, ok bool) {
			if p.k != PPElse && p.k != PPClose {
				x = p.expr()
			}
			return x, true
		}) || n.Then == nil && n.Else == nil {
			return nil, false
		}
		n.span = p.span(at)
		return n, true
	})
	if ok {
		return n.(*CondExpr)
	}
	p.error(codeExpr, at, "expected literal string or number")
	return p.bad()
}

// sourceElement parses one entry of an expression list.
func (p *parser) sourceElement(end Kind, kind entryKind) Expr {
	m := p.mark()
	var x Expr
	if p.k == PPOpen {
		if n, ok := p.trial(asExprList, func() (Node, bool) { return p.condList(kind, false) }); ok {
			c := n.(*CondList)
			if p.k == Comma || p.k == end || p.k == PPOpen || p.k == PPElse || p.k == PPClose || p.condListGoesOn(c) {
				if x := simpleCond(c); x != nil {
					return x
				}
				return c
			}
			p.reset(m)
		}
	}
	x = p.plainElement(kind)
	if p.errs == m.errs {
		switch p.k {
		case Comma, end, PPElse, PPClose:
			return x
		case PPOpen: // fine if it goes on with a comma
			if p.leadComma() {
				return x
			}
		default:
			if !p.hasDirective(m.i, p.i) {
				return x
			}
		}
	} else if !p.hasDirective(m.i, p.i) {
		return x
	}
	if last, ok := p.verbatimEnd(m.i, scanItem); ok {
		p.reset(m)
		return p.verbatim(m.i, last)
	}
	return x
}

// simpleCond makes a CondExpr of a list conditional with one expression per branch
// and no commas; nil if it is none.
func simpleCond(c *CondList) Expr {
	one := func(b *ListBranch) (Expr, bool) {
		if b.LeadComma || b.TrailComma || len(b.Exprs) > 1 || len(b.Exprs) == 1 && isStar(b.Exprs[0]) {
			return nil, false
		}
		if len(b.Exprs) == 0 {
			return nil, true
		}
		return b.Exprs[0], true
	}
	then, ok1 := one(&c.Then)
	els, ok2 := one(&c.Else)
	if !ok1 || !ok2 || then == nil {
		return nil
	}
	return &CondExpr{c.span, c.Directive, then, els}
}

func isStar(x Expr) bool {
	_, ok := x.(*Star)
	return ok
}

// condListGoesOn reports whether the list goes on behind a conditional without a
// comma, since its branches end in one.
func (p *parser) condListGoesOn(c *CondList) bool {
	return c.Then.TrailComma || c.Else.TrailComma
}

// leadComma reports whether every branch that is not empty of the conditional at the
// current token begins with a comma.
func (p *parser) leadComma() bool {
	depth := 0
	commas := 0
	for i := p.i; ; i++ {
		if !p.spend(1) {
			return false
		}
		switch p.toks[i].Kind {
		case EOF:
			return false
		case PPOpen:
			depth++
		case PPThen, PPElse:
			if depth == 1 {
				switch p.kindBehind(i) {
				case Comma:
					commas++
				case PPElse, PPClose:
				default:
					return false
				}
			}
		case PPClose:
			if depth--; depth == 0 {
				return commas > 0
			}
		}
	}
}

// condList parses a conditional around list entries.
func (p *parser) condList(kind entryKind, points bool) (Node, bool) {
	n, at := &CondList{}, p.i
	errs := p.errs
	if !conditional(p, &n.Directive, &n.Then, &n.Else, func() (b ListBranch, ok bool) {
		b.LeadComma = p.accept(Comma)
		for p.k != PPElse && p.k != PPClose {
			before := p.i
			b.TrailComma = false
			if points {
				b.Points = append(b.Points, p.point())
			} else {
				b.Exprs = append(b.Exprs, p.element(PPClose, kind))
			}
			if p.errs != errs || p.i == before {
				return b, false
			}
			if p.k == Comma {
				b.TrailComma = true
				p.next()
				continue
			}
			if p.k == PPOpen && p.leadComma() {
				continue
			}
			if p.k != PPElse && p.k != PPClose && !b.goesOn(p) {
				return b, false
			}
		}
		return b, true
	}) {
		return nil, false
	}
	n.span = p.span(at)
	return n, true
}

// listGoesOn reports whether a list goes on behind an entry without a comma, because a
// conditional holds the comma.
func (p *parser) listGoesOn(entry Node) bool {
	if !p.src {
		return false
	}
	if c, ok := entry.(*CondList); ok && p.condListGoesOn(c) {
		return true
	}
	return p.k == PPOpen && p.leadComma()
}

// goesOn reports whether the last entry of the branch is a conditional that ends in a
// comma.
func (b *ListBranch) goesOn(p *parser) bool {
	var last Node
	if n := len(b.Points); n > 0 {
		last = b.Points[n-1]
	} else if n := len(b.Exprs); n > 0 {
		last = b.Exprs[n-1]
	}
	c, ok := last.(*CondList)
	return ok && p.condListGoesOn(c)
}

// ---- Probe points ----

// sourcePoint parses one entry of a probe-point list.
func (p *parser) sourcePoint() Point {
	m := p.mark()
	if p.k == PPOpen {
		if n, ok := p.trial(asPointList, func() (Node, bool) { return p.condList(argument, true) }); ok {
			c := n.(*CondList)
			switch p.k {
			case Comma, LBrace, PPOpen, PPElse, PPClose, RBrace, Assign, AddAssign:
				return c
			}
			if p.condListGoesOn(c) {
				return c
			}
			p.reset(m)
		}
	}
	pt := p.plainPoint()
	if p.errs == m.errs {
		if p.k != PPOpen || p.leadComma() {
			return pt
		}
	} else if !p.hasDirective(m.i, p.i) {
		return pt
	}
	if last, ok := p.verbatimEnd(m.i, scanPoint); ok {
		p.reset(m)
		return p.verbatim(m.i, last)
	}
	return pt
}

// sourceComponent parses a macro call or conditional that stands for a component.
func (p *parser) sourceComponent() Expr {
	if p.k == AtWord {
		return p.macroCall()
	}
	at := p.i
	if end, ok := p.verbatimEnd(at, scanPoint); ok {
		// Take the conditional alone, not what follows it.
		depth := 0
		for i := at; i <= end; i++ {
			if k := p.toks[i].Kind; k == PPOpen {
				depth++
			} else if k == PPClose {
				if depth--; depth == 0 {
					end = i
					break
				}
			}
		}
		return p.verbatim(at, end)
	}
	p.error(codeIdent, p.i, "expected identifier or '*'")
	return p.bad()
}
