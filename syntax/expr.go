package syntax

import (
	"strings"

	"stapkit/diag"
	"stapkit/format"
)

// Binding strength of the binary operators, weakest first.
const (
	precAssign = 1 + iota
	precTernary
	precOrOr
	precAndAnd
	precOr
	precXor
	precAnd
	precIn
	precCompare // also =~ and !~
	precShift
	precConcat
	precAdd
	precMul
	precNone
)

var binaryPrec = func() (t [256]uint8) {
	for k := Assign; k <= StatAssign; k++ {
		t[k] = precAssign
	}
	t[Question] = precTernary
	t[OrOr], t[AndAnd], t[Or], t[Xor], t[And], t[KwIn] = precOrOr, precAndAnd, precOr, precXor, precAnd, precIn
	for _, k := range []Kind{Lt, Gt, Le, Ge, Eq, Ne, Match, NotMatch} {
		t[k] = precCompare
	}
	t[Shl], t[Shr], t[UShr], t[Dot], t[Add], t[Sub] = precShift, precShift, precShift, precConcat, precAdd, precAdd
	t[Mul], t[Div], t[Mod] = precMul, precMul, precMul
	return t
}()

func (p *parser) expr() Expr { return p.binary(precAssign) }

// bad makes an empty BadExpr before the current token.
func (p *parser) bad() Expr { return &BadExpr{span: span{p.f, int32(p.i), int32(p.i - 1)}} }

// binary parses an expression whose operators bind at least as strongly as lowest.
func (p *parser) binary(lowest int) Expr {
	if !p.enter() {
		p.leave()
		return p.bad()
	}
	defer p.leave()
	at := p.i
	highest := precNone // what may still follow; "in" and "=~" do not chain
	var x Expr
	if p.k == LBrack && lowest <= precIn {
		x, highest = p.brackets(), precAnd
	} else {
		x = p.unary()
	}
	for n := 0; ; n++ {
		prec := int(binaryPrec[p.k])
		if prec == 0 || prec < lowest || prec > highest {
			return x
		}
		if p.ops++; p.ops > opsMax {
			p.tooDeep("expression is")
			return x
		}
		op, opTok := p.k, p.i
		if prec == precCompare && (op == Match || op == NotMatch) {
			if b, ok := x.(*Binary); ok && binaryPrec[b.Op] == precCompare && int(b.first) == at && n > 0 {
				return x // a comparison was parsed on this level; the match cannot follow
			}
		}
		p.next()
		switch {
		case prec == precAssign:
			y := p.binary(precAssign)
			x = &AssignExpr{p.span(at), op, opTok, x, y}
			highest = precAssign - 1 // right associative: the rest is in y
		case prec == precTernary:
			t := &Ternary{OpTok: opTok, Cond: x}
			t.Then = p.expr()
			p.expect(Colon)
			if p.opt.before("4.0") {
				t.Else = p.expr()
			} else {
				t.Else = p.binary(precTernary)
			}
			t.span = p.span(at)
			x = t
			highest = precAssign
		case prec == precIn:
			x = p.arrayIn(at, opTok, x, false)
			highest = precIn - 1
		case op == Match || op == NotMatch:
			m := &RegexMatch{OpTok: opTok, Negated: op == NotMatch, X: x}
			switch y := p.stringOnly().(type) {
			case *StringLit:
				m.Pattern = y
			default:
				m.PatternExpr = y
			}
			m.span = p.span(at)
			x = m
			highest = precCompare - 1
		case op == AndAnd || op == OrOr:
			y := p.binary(prec + 1)
			x = &Logical{p.span(at), op, opTok, x, y}
		default:
			y := p.binary(prec + 1)
			b := &Binary{p.span(at), op, opTok, x, y}
			if op == Dot {
				p.dotMember(b)
			}
			x = b
		}
	}
}

// dotMember reports "$x.member", which reads a member in other languages and joins
// strings here. Only what cannot be meant is reported: a target variable is a
// number, unless pretty-printed.
func (p *parser) dotMember(b *Binary) {
	y, ok := b.Y.(*Ident)
	if !ok || !p.glued(b.OpTok-1, b.OpTok) || !p.glued(b.OpTok, b.OpTok+1) || strings.HasPrefix(y.Name, "$") {
		return
	}
	var acc *Access
	switch x := b.X.(type) {
	case *TargetVar:
		if strings.HasPrefix(x.Name, "$$") || x.Name == "$value" && len(x.Path) == 0 {
			return
		}
		acc = &x.Access
	case *AtOp:
		if x.Op != AtCast && x.Op != AtVar {
			return
		}
		acc = &x.Access
	case *Autocast:
		acc = &x.Access
	default:
		return
	}
	if acc.Pretty != NoPretty {
		return
	}
	d := p.error(codeDot, b.OpTok, "'.' joins strings; members are reached with '->'")
	d.Saw = ""
	d.Help = "write '->' in place of '.'"
	d.Fixes = []diag.Fix{{Message: "replace '.' by '->'", Safe: true,
		Edits: []diag.Edit{{Range: p.f.TokenRange(b.OpTok), NewText: "->"}}}}
}

// arrayIn parses what follows "in".
func (p *parser) arrayIn(at, opTok int, key Expr, bracketed bool) Expr {
	n := &ArrayIn{OpTok: opTok, Bracketed: bracketed, Keys: []Expr{key}}
	n.Array = p.indexable()
	n.span = p.span(at)
	return n
}

// indexable parses what can be walked or asked for membership.
func (p *parser) indexable() Expr {
	switch p.k {
	case Name:
		id := &Ident{span{p.f, int32(p.i), int32(p.i)}, p.text(p.i)}
		p.next()
		return id
	case AtWord:
		if t := p.text(p.i); t == "@hist_log" || t == "@hist_linear" {
			return p.hist()
		}
		if p.src {
			return p.primary()
		}
	case Arg, ArgStr:
		return p.scriptArg()
	case PPOpen:
		if p.src {
			return p.primary()
		}
	}
	p.error(codeIdent, p.i, "expected identifier or statistical operation")
	return p.bad()
}

func (p *parser) unary() Expr {
	switch p.k {
	case Add, Sub, Not, Tilde:
		if !p.enter() {
			p.leave()
			return p.bad()
		}
		defer p.leave()
		at, op := p.i, p.k
		p.next()
		x := p.unary()
		return &Unary{p.span(at), op, x}
	case Inc, Dec:
		at, op := p.i, p.k
		p.next()
		x := p.value()
		return &IncDec{p.span(at), op, true, x}
	}
	at := p.i
	x := p.value()
	if p.k == Inc || p.k == Dec {
		op := p.k
		p.next()
		return &IncDec{p.span(at), op, false, x}
	}
	return x
}

// value parses an operand with what reads through it.
func (p *parser) value() Expr {
	at := p.i
	if p.k == And {
		p.next()
		x := p.operand() // of which the address can be taken: elaboration tells
		return &AddrOf{p.span(at), x}
	}
	return p.operand()
}

func (p *parser) operand() Expr {
	at := p.i
	x := p.primary()
	if p.k != Arrow && p.k != LBrack {
		return x
	}
	inner := x
	if p.toks[at].Kind == LParen || p.toks[at].Kind == LBrack {
		inner = nil // what reads through it is outside the parentheses
	}
	switch x := inner.(type) {
	case *TargetVar, *BadExpr:
		return x
	case *AtOp:
		if x.Op == AtCast || x.Op == AtVar || x.Op == NoAt {
			return x
		}
	case *MacroCall:
		if p.k == LBrack { // the macro may name an array
			first := p.i
			p.next()
			keys := p.slots(indexKey)
			p.closeParen(RBrack)
			if len(keys) != 1 || isStar(keys[0]) {
				return &Index{p.span(at), x, keys}
			}
			x.Path = append(x.Path, &Accessor{span: p.span(first), Index: keys[0]})
		}
		p.access(&x.Access)
		x.span = p.span(at)
		return x
	}
	if p.opt.before("2.6") {
		return x
	}
	n := &Autocast{X: x}
	p.access(&n.Access)
	n.span = p.span(at)
	return n
}

// access parses "->m", "[i]" and the pretty-print suffix.
func (p *parser) access(a *Access) {
	for {
		at := p.i
		switch p.k {
		case Arrow:
			p.next()
			acc := &Accessor{}
			if p.k != Name && !p.k.IsKeyword() {
				if p.src && (p.k == AtWord || p.k == Arg) { // a macro names the member
					acc.Member = p.text(p.i)
					p.next()
					acc.span = p.span(at)
					a.Path = append(a.Path, acc)
					continue
				}
				p.error(codeIdent, p.i, "expected identifier or keyword")
				return
			}
			acc.Member = p.text(p.i)
			if name := strings.TrimRight(acc.Member, "$"); p.k == Name && name != acc.Member {
				a.Pretty = Pretty
				if len(acc.Member)-len(name) > 1 {
					a.Pretty = PrettyDeep
				}
				acc.Member = name
			}
			p.next()
			acc.span = p.span(at)
			a.Path = append(a.Path, acc)
			if a.Pretty != NoPretty {
				p.afterPretty()
				return
			}
		case LBrack:
			p.next()
			acc := &Accessor{}
			acc.Index = p.expr()
			p.expect(RBrack)
			acc.span = p.span(at)
			a.Path = append(a.Path, acc)
		case Name:
			if t := p.text(p.i); t == "$" {
				a.Pretty = Pretty
			} else if t == "$$" {
				a.Pretty = PrettyDeep
			} else {
				return
			}
			p.next()
			p.afterPretty()
			return
		default:
			return
		}
		if p.ops++; p.ops > opsMax {
			p.tooDeep("expression is")
			return
		}
	}
}

// afterPretty reports what reads on through a pretty-printed value, which is a text.
func (p *parser) afterPretty() {
	if p.k != Arrow && p.k != LBrack {
		return
	}
	p.error(codePrettyEnd, p.i, "-> and [ are not accepted for a pretty-printing variable").Help =
		"put '$' or '$$' behind the last member"
	p.access(&Access{}) // what it would have been
}

func (p *parser) primary() Expr {
	at := p.i
	switch p.k {
	case LParen:
		if !p.enter() {
			p.leave()
			return p.bad()
		}
		p.next()
		x := p.expr()
		p.closeParen(RParen)
		p.leave()
		if p.src {
			return &Paren{p.span(at), false, x}
		}
		return x
	case LBrack: // has its place beside "in" only
		p.error(codeExpr, p.i, "expected literal string or number")
		return p.brackets()
	case Number:
		return p.number()
	case String, ArgStr:
		return p.strings()
	case Arg, ArgCount, ArgCountStr:
		x := p.scriptArg()
		if p.k == LParen && p.toks[at].Kind == Arg && p.glued(at, p.i) { // an argument that names a function
			n := &Call{Name: &Ident{span{p.f, int32(at), int32(at)}, p.text(at)}}
			p.next()
			n.Args = p.list(RParen, argument)
			p.closeArgs()
			n.span = p.span(at)
			return n
		}
		return x
	case Name:
		return p.symbol()
	case AtWord:
		return p.atWord()
	case Embedded:
		code := p.embedded()
		return &EmbeddedExpr{p.span(at), code}
	case PPOpen:
		if p.src {
			return p.condExpr()
		}
	}
	d := p.error(codeExpr, p.i, "expected literal string or number")
	if d.Help == "" {
		d.Help = "a value is missing here"
	}
	switch p.k {
	case RParen, RBrack, RBrace, LBrace, Semi, Comma, EOF, Colon, PPOpen, PPThen, PPElse, PPClose:
		return p.bad()
	}
	if p.k.IsKeyword() {
		// A keyword where a variable was meant keeps its place when it is used like one.
		if k := p.peek(1); !p.atDecl() && (k == Semi || k == RParen || k == Comma || k == RBrack || binaryPrec[k] > 0) && !p.atLineStart() {
			d.Help = "'" + p.k.String() + "' is a keyword"
			p.next()
			return &BadExpr{span: p.span(at)}
		}
		return p.bad()
	}
	// Operators too many: go on with what follows them.
	if !p.enter() {
		p.leave()
		return p.bad()
	}
	defer p.leave()
	for p.next(); binaryPrec[p.k] > 0 || p.k == Inc || p.k == Dec; p.next() {
		if p.k == Sub || p.k == Add || p.k == And || p.atLineStart() {
			break
		}
	}
	if p.k == RBrace || p.k == EOF || p.k == Semi || p.atDecl() || p.atLineStart() {
		return &BadExpr{span: p.span(at)}
	}
	p.lastErr = p.i
	return p.unary()
}

// closeOpened is closeParen(RParen) for what may have lacked its "(", which was told.
func (p *parser) closeOpened(open bool) {
	if open {
		p.closeParen(RParen)
	} else {
		p.accept(RParen)
	}
}

// closeParen expects the end of a bracketed part. When it does not come, tokens up to
// it are skipped if it is near.
func (p *parser) closeParen(k Kind) bool {
	if p.accept(k) {
		return true
	}
	p.error(codeExpected, p.i, "expected '%s'", k)
	if p.canSkip() && p.k != Comma && p.peek(1) == k {
		p.next()
		p.next()
		return true
	}
	return false
}

// brackets parses "[a, b] in array", and "[a]", which is taken as parentheses.
func (p *parser) brackets() Expr {
	at := p.i
	if !p.enter() {
		p.leave()
		return p.bad()
	}
	defer p.leave()
	p.next()
	keys := p.slots(membershipKey)
	p.closeParen(RBrack)
	if p.k == KwIn {
		op := p.i
		p.next()
		n := p.arrayIn(at, op, nil, true).(*ArrayIn)
		n.Keys = keys
		return n
	}
	if len(keys) == 1 {
		if _, star := keys[0].(*Star); !star {
			if p.src {
				return &Paren{p.span(at), true, keys[0]}
			}
			return keys[0]
		}
	}
	p.error(codeExpected, p.i, "unexpected comma-separated expression list").Help = "a list in brackets stands before 'in' and an array"
	n := &ArrayIn{span: p.span(at), OpTok: at, Bracketed: true, Keys: keys}
	n.Array = p.bad()
	return n
}

// An entryKind is what the entries of a list are.
type entryKind uint8

const (
	argument      entryKind = iota // any expression
	indexKey                       // any expression, or "*", which is a slice
	membershipKey                  // an indexKey before "in": nothing looser than a comparison
)

// slots parses the comma-separated keys of an index up to "]".
func (p *parser) slots(kind entryKind) []Expr {
	if p.k == RBrack {
		p.error(codeExpr, p.i, "expected literal string or number")
		return nil
	}
	return p.list(RBrack, kind)
}

// list parses comma-separated expressions up to a closing token, which stays.
func (p *parser) list(end Kind, kind entryKind) []Expr {
	var list []Expr
	if p.k == end {
		return nil
	}
	for {
		before := p.i
		list = append(list, p.element(end, kind))
		if p.failed() {
			return list
		}
		switch p.k {
		case Comma:
			p.next()
			continue
		case end:
			return list
		}
		if p.i != before && p.listGoesOn(list[len(list)-1]) {
			continue
		}
		// Where a value begins on the same line, the comma is missing.
		if p.i != before && p.startsValue() && !p.atLineStart() {
			p.expect(Comma)
			continue
		}
		if p.i != before && p.k.IsOperator() && p.canSkip() && p.k != RParen && p.k != RBrack && p.peek(1) == Comma {
			p.error(codeExpected, p.i, "expected ',' or '%s'", end)
			p.next()
			p.next()
			continue
		}
		return list
	}
}

func (p *parser) startsValue() bool {
	switch p.k {
	case Name, Number, String, AtWord, Arg, ArgStr:
		return true
	}
	return false
}

// element parses one entry of a list.
func (p *parser) element(end Kind, kind entryKind) Expr {
	if p.src {
		return p.sourceElement(end, kind)
	}
	return p.plainElement(kind)
}

func (p *parser) plainElement(kind entryKind) Expr {
	if kind != argument && p.k == Mul {
		if k := p.peek(1); k == Comma || k == RBrack || k == PPClose || k == PPElse {
			at := p.i
			p.next()
			return &Star{p.span(at)}
		}
	}
	if kind == membershipKey {
		return p.binary(precCompare)
	}
	return p.expr()
}

// number parses a number literal where nothing else may stand; BadExpr otherwise.
func (p *parser) number() Expr {
	at := p.i
	neg := false
	if p.k == Sub && p.peek(1) == Number {
		neg = true
		p.next()
	}
	if p.k != Number {
		if p.src && (p.k == AtWord || p.k == PPOpen) {
			return p.primary()
		}
		if p.k == Arg || p.k == ArgCount {
			return p.scriptArg()
		}
		p.error(codeLiteral, p.i, "expected number")
		if p.canSkip() && (p.k == Name || p.k == String) {
			p.next()
			return &BadExpr{span: p.span(at)}
		}
		return p.bad()
	}
	v, ok := parseNumber(p.text(p.i))
	if !ok {
		p.error(codeNumber, p.i, "number invalid or out of range")
	}
	if neg {
		v = -v
	}
	p.next()
	return &NumberLit{p.span(at), v}
}

// strings parses adjacent string literals, which are joined.
func (p *parser) strings() Expr {
	at := p.i
	if p.k == ArgStr {
		if p.src || p.peek(1) != String {
			return p.moreStrings(at, p.scriptArg())
		}
	}
	raw := ""
	if p.k == String {
		raw = rawString(p.text(p.i))
	}
	p.next()
	if (p.k == String || p.k == ArgStr && !p.src) && !p.opt.before("2.0") {
		var b strings.Builder
		b.WriteString(raw)
		for p.k == String || p.k == ArgStr && !p.src {
			if p.k == String {
				b.WriteString(rawString(p.text(p.i)))
			}
			p.next()
		}
		raw = b.String()
	}
	return p.moreStrings(at, &StringLit{p.span(at), raw, decodeString(raw)})
}

// moreStrings parses, in the source view, what is joined to a string: literals, macro
// calls and arguments. A macro call on the next line is rather a statement.
func (p *parser) moreStrings(at int, x Expr) Expr {
	if !p.src {
		return x
	}
	parts := []Expr{x}
	for {
		switch {
		case p.k == String:
			first := p.i
			p.next()
			raw := rawString(p.text(first))
			parts = append(parts, &StringLit{p.span(first), raw, decodeString(raw)})
			continue
		case p.k == ArgStr:
			parts = append(parts, p.scriptArg())
			continue
		case p.k == AtWord && !p.atLineStart() && !isAtOperator(p.text(p.i)[1:]) && p.text(p.i) != "@define":
			parts = append(parts, p.macroCall())
			continue
		}
		break
	}
	if len(parts) == 1 {
		return x
	}
	return &StringSeq{p.span(at), parts}
}

// stringOnly parses a string literal where nothing else may stand.
func (p *parser) stringOnly() Expr {
	switch p.k {
	case String, ArgStr:
		return p.strings()
	case AtWord, PPOpen:
		if p.src {
			return p.primary()
		}
	}
	at := p.i
	p.error(codeLiteral, p.i, "expected literal string")
	if p.k == Name || p.k == Number {
		p.next()
		return &BadExpr{span: p.span(at)}
	}
	return p.bad()
}

// literal parses a string or a number, which may be negative.
func (p *parser) literal() Expr {
	switch p.k {
	case String, ArgStr:
		return p.strings()
	case Number:
		return p.number()
	case Sub:
		if p.peek(1) == Number {
			return p.number()
		}
		p.next() // only a number can be negative
	case Arg, ArgCount, ArgCountStr:
		return p.scriptArg()
	case AtWord, PPOpen:
		if p.src {
			return p.primary()
		}
	}
	at := p.i
	d := p.error(codeLiteral, p.i, "expected literal string or number")
	if p.k == Name {
		d.Help = "only a constant may stand here; put a name into quotes"
		p.next()
		return &BadExpr{span: p.span(at)}
	}
	return p.bad()
}

func (p *parser) scriptArg() Expr {
	at, t := p.i, p.text(p.i)
	n := &ScriptArg{Quoted: t[0] == '@'}
	for _, c := range t[1:] {
		if c >= '0' && c <= '9' && n.Num < 1<<24 {
			n.Num = n.Num*10 + int(c-'0')
		}
	}
	p.next()
	n.span = p.span(at)
	return n
}

// symbol parses what begins with a name: variable, call, element, print, target.
func (p *parser) symbol() Expr {
	at := p.i
	name := p.text(at)
	if name[0] == '$' {
		return p.target()
	}
	if p.peek(1) == LParen {
		if pr, ok := printFamily(name); ok {
			return p.print(pr)
		}
		p.next()
		n := &Call{Name: &Ident{span{p.f, int32(at), int32(at)}, name}}
		p.next()
		n.Args = p.list(RParen, argument)
		p.closeArgs()
		n.span = p.span(at)
		return n
	}
	p.next()
	id := &Ident{p.span(at), name}
	if _, ok := printFamily(name); ok && name != "print_char" {
		p.error(codeExpected, p.i, "expected '('").Help = "'" + name + "' is the name of a print function"
	}
	if p.k == LBrack {
		p.next()
		n := &Index{X: id}
		n.Keys = p.slots(indexKey)
		p.closeParen(RBrack)
		n.span = p.span(at)
		return n
	}
	return id
}

// closeArgs expects the ")" of a call.
func (p *parser) closeArgs() {
	if p.k == RParen {
		p.next()
		return
	}
	p.error(codeExpected, p.i, "expected ',' or ')'")
	if p.canSkip() && p.peek(1) == RParen {
		p.next()
		p.next()
	}
}

// target parses a target variable.
func (p *parser) target() Expr {
	at := p.i
	n := &TargetVar{Name: p.text(at)}
	// "$x$" and "$x$$" carry a suffix; "$$vars" begins with two.
	lead := 1
	if strings.HasPrefix(n.Name, "$$") {
		lead = 2
	}
	if lead < len(n.Name) {
		if base := strings.TrimRight(n.Name[lead:], "$"); base != n.Name[lead:] && base != "" {
			n.Pretty = Pretty
			if len(n.Name)-lead-len(base) > 1 {
				n.Pretty = PrettyDeep
			}
			n.Name = n.Name[:lead+len(base)]
		}
	}
	p.next()
	switch {
	case n.Pretty != NoPretty:
		p.afterPretty()
	case p.k == Arrow || p.k == LBrack:
		p.access(&n.Access)
	}
	n.span = p.span(at)
	return n
}

// printFamily recognises the print functions by name.
func printFamily(name string) (PrintExpr, bool) {
	if name == "print_char" {
		return PrintExpr{Name: name, Char: true}, true
	}
	fn, ok := format.LookupFunction(name)
	return PrintExpr{Name: name, String: fn.ToString, Newline: fn.Newline, Function: fn}, ok
}

func (p *parser) print(pr PrintExpr) Expr {
	n, at, errs := &pr, p.i, p.errs
	p.next()
	p.next()
	fn := n.Function
	switch {
	case fn.Formatted || fn.Delimited:
		first := p.stringOnly()
		lit, _ := first.(*StringLit)
		switch {
		case lit != nil && fn.Formatted:
			n.FormatLit = lit
			p.checkFormat(n)
		case lit != nil:
			n.Delim = lit
		default: // a macro or script argument gives it, or it was reported missing
			if b, bad := first.(*BadExpr); !bad || b.last >= b.first {
				n.Args = append(n.Args, first)
			}
		}
		if p.k == Comma {
			p.next()
			n.Args = append(n.Args, p.list(RParen, argument)...)
		} else if p.k != RParen && p.startsValue() && !p.atLineStart() {
			p.expect(Comma)
			n.Args = append(n.Args, p.list(RParen, argument)...)
		} else if p.src && p.k == PPOpen {
			n.Args = append(n.Args, p.list(RParen, argument)...)
		}
		if fn.Delimited && n.Delim != nil && len(n.Args) < 2 && !p.src && p.k == RParen && p.errs == errs {
			// SystemTap notices behind the parenthesis.
			p.error(codeExpr, p.after(p.i), "expected literal string or number").Help =
				"'" + n.Name + "' takes a separator and at least two values"
		}
	case !n.Char:
		p.histOK = p.i
		n.Args = p.list(RParen, argument)
		p.histOK = 0
		if len(n.Args) > 0 {
			if h, ok := n.Args[0].(*HistOp); ok {
				n.Hist, n.Args = h, n.Args[1:]
				if len(n.Args) == 0 {
					n.Args = nil
				} else {
					p.error(codeExpected, p.after(h.Last()), "expected ')'")
				}
				break
			}
		}
		if len(n.Args) == 0 && !n.Newline {
			p.error(codeExpr, p.i, "expected literal string or number")
		}
	default: // print_char
		n.Args = p.list(RParen, argument)
		if len(n.Args) == 0 {
			p.error(codeExpr, p.i, "expected literal string or number")
		}
	}
	p.closeArgs()
	n.span = p.span(at)
	return n
}

// histIndex parses the bucket index behind a histogram.
func (p *parser) histIndex(h *HistOp) Expr {
	n := &Index{X: h}
	p.next()
	n.Keys = p.slots(indexKey)
	p.closeParen(RBrack)
	n.span = p.span(h.First())
	return n
}

func (p *parser) hist() *HistOp {
	n, at := &HistOp{}, p.i
	n.Linear = p.text(at) == "@hist_linear"
	p.next()
	open := p.expect(LParen)
	n.X = p.expr()
	if n.Linear {
		for _, v := range []*int64{&n.Low, &n.High, &n.Step} {
			p.expect(Comma)
			x := p.number()
			if l, ok := x.(*NumberLit); ok {
				*v = l.Value
			}
			n.Params = append(n.Params, x)
		}
	}
	p.closeOpened(open)
	n.span = p.span(at)
	return n
}

var atByName = map[string]AtKind{"cast": AtCast, "var": AtVar, "defined": AtDefined, "entry": AtEntry,
	"perf": AtPerf, "const": AtConst, "enum": AtEnum, "enumname": AtEnumName, "probewrite": AtProbeWrite,
	"kregister": AtKregister, "uregister": AtUregister, "kderef": AtKderef, "uderef": AtUderef}

// isAtOperator reports whether "@name" is an operator of the language.
func isAtOperator(name string) bool {
	return atByName[name] != NoAt || aggByName["@"+name] != NoStat || name == "hist_log" || name == "hist_linear"
}

// String is the operator with "@".
func (k AtKind) String() string {
	for name, v := range atByName {
		if v == k {
			return "@" + name
		}
	}
	return "@"
}

func (p *parser) atWord() Expr {
	at := p.i
	word := p.text(at)
	if op, ok := aggByName[word]; ok {
		return p.stat(op)
	}
	switch word {
	case "@hist_log", "@hist_linear":
		bare, errs := at == p.histOK, p.errs
		h := p.hist()
		if p.k == LBrack {
			return p.histIndex(h)
		}
		if bare || p.errs > errs {
			return h
		}
		p.errorAt(codeHist, at, "base histogram operator where expression expected")
		return h
	}
	op, ok := atByName[word[1:]]
	if p.src && (!ok || p.defs[word[1:]] != nil) {
		n := p.macroCall()
		if p.k == String && !p.atLineStart() {
			return p.moreStrings(at, n)
		}
		return n
	}
	p.next()
	n := &AtOp{Op: op}
	if !ok {
		d := p.error(codeAtWord, at, "unknown operator %s", word)
		if d != &p.f.dropped {
			if s := p.similarAt(word[1:]); s != "" {
				d.Help = "did you mean '@" + s + "'?"
			}
		}
		if p.k == LParen {
			p.next()
			n.Args = p.list(RParen, argument)
			p.closeArgs()
		}
		p.access(&n.Access)
		n.span = p.span(at)
		return n
	}
	switch op {
	case AtConst, AtKregister, AtKderef:
		if !p.opt.Privileged && !p.opt.Library && !p.src {
			d := p.error(codeGuru, at, "using %s operator not permitted; need stap -g", word)
			d.Help = "run in guru mode (-g) if the script is to be trusted with it"
		}
	}
	open := p.expect(LParen)
	arg := func(x Expr) { n.Args = append(n.Args, x) }
	switch op {
	case AtCast:
		arg(p.expr())
		p.expect(Comma)
		arg(p.stringOnly())
		if p.accept(Comma) {
			arg(p.stringOnly())
		}
	case AtEnumName:
		arg(p.expr())
		for i := 0; i < 2 && p.accept(Comma); i++ {
			arg(p.stringOnly())
		}
	case AtVar:
		arg(p.stringOnly())
		if p.accept(Comma) {
			arg(p.stringOnly())
		}
	case AtPerf, AtConst, AtEnum:
		arg(p.stringOnly())
	case AtProbeWrite:
		if id := p.ident(); id != nil {
			arg(id)
		}
	case AtKregister, AtUregister:
		arg(p.number())
	case AtKderef, AtUderef:
		arg(p.number())
		p.expect(Comma)
		arg(p.expr())
	default: // @defined, @entry
		arg(p.expr())
	}
	p.closeOpened(open)
	if op == AtCast || op == AtVar {
		p.access(&n.Access)
	}
	n.span = p.span(at)
	return n
}

// similarAt finds the @ operator or macro that a word is closest to, "" if none is
// near.
func (p *parser) similarAt(word string) string {
	best, dist := "", max(2, len(word)/3)+1
	try := func(name string) {
		if d := editDistance(word, name); d < dist && d < len(word) || d == dist && best != "" && name < best {
			best, dist = name, d
		}
	}
	if len(word) > 40 || len(word) < 2 {
		return ""
	}
	for name := range atByName {
		try(name)
	}
	for name := range aggByName {
		try(name[1:])
	}
	try("hist_log")
	try("hist_linear")
	for _, m := range p.f.Macros {
		try(m.Name)
	}
	if p.opt.Macros != nil {
		for name := range p.opt.Macros.byName {
			try(name)
		}
	}
	return best
}

func (p *parser) stat(op StatKind) Expr {
	n, at := &StatOp{Op: op}, p.i
	p.next()
	open := p.expect(LParen)
	n.X = p.expr()
	if op == StatVariance && p.accept(Comma) {
		n.ShiftLit = p.number()
		if l, ok := n.ShiftLit.(*NumberLit); ok {
			n.Shift = l.Value // its range is for elaboration to check
		}
	}
	if p.k == Comma {
		most := "1 parameter"
		if op == StatVariance {
			most = "2 parameters"
		}
		p.errorAt(codeExpected, p.i, "not more than %s allowed", most)
		for p.accept(Comma) {
			p.expr()
		}
	}
	p.closeOpened(open)
	n.span = p.span(at)
	return n
}

// checkFormat parses the format of a printf, at parse time as SystemTap does. An error
// points behind the literal, as SystemTap's does; the place in the format is related.
func (p *parser) checkFormat(n *PrintExpr) {
	f, err := format.Parse(n.FormatLit.Raw)
	n.Format = f
	if err == nil {
		return
	}
	msg := err.Error()
	fe, ok := err.(*format.Error)
	if ok {
		msg = fe.Message
	}
	d := p.error(codeFormat, p.i, "%s", msg)
	d.Related = append(d.Related, diag.Related{Range: Range(n.FormatLit), Message: "in this format"})
	if !ok {
		return
	}
	d.Help = fe.Help
	lit := n.FormatLit
	if tok := &p.toks[lit.first]; lit.first == lit.last && tok.Exp == 0 && tok.Off+int32(len(lit.Raw))+2 == tok.End {
		s := Span{tok.Src, tok.Off + 1 + int32(fe.Offset), tok.Off + 1 + int32(fe.End)}
		d.Related[len(d.Related)-1].Range = p.f.spanRange(s)
	}
}
