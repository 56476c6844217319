package stapfmt

import (
	"stapkit/syntax"
)

// This file walks the tokens of a file: it makes the instructions for tokens, comments
// and the gaps between them. decl.go, stmt.go and expr.go tell it which gaps to make.
//
// Tokens are taken one after the other, so none can be lost: what the tree does not
// lead to is written with the space that any text would have.

// A gapKind is what stands between two tokens.
type gapKind uint8

const (
	gapNone  gapKind = iota // nothing, or a space where the two would make another token
	gapGlue                 // nothing: what they make together is wanted
	gapSpace                // a space
	gapLine                 // nothing, or the end of the line if the group around breaks
	gapLineSpace
	gapHead // before the "{" of a declaration
	gapHard // the end of the line
)

type gap struct {
	kind  gapKind
	first bool // the gap behind the bracket or "=" that opens a group
	blank bool // an empty line of the source is kept
	out   bool // the next line is a directive
	force bool // a comment was the last thing of its line
}

var (
	none      = gap{}
	space     = gap{kind: gapSpace}
	lineSpace = gap{kind: gapLineSpace}
	hard      = gap{kind: gapHard}
)

type printer struct {
	f    *syntax.File
	toks []syntax.Token
	ops  []op
	next int // the first token that is not written yet
	prev int // the token written last, -1 at the start
	gap  gap // what to put before the next token

	// gone are the semicolons that are left out: from then on they count as white space.
	gone    []bool
	level   int              // of indentation
	width   int              // of one level
	oneLine *syntax.CondStmt // the conditional that is written next stands on one line
	// runEnd is the token behind the comments of one line that were looked at last,
	// runBreaks whether it begins a line.
	runEnd    int
	runBreaks bool
	partial   bool
	// macroEnds are the "%)" of macro definitions: what follows the body is not known.
	macroEnds map[int]bool
	// kept are the semicolons that stay for other reasons than what follows them.
	kept   map[int]bool
	bad    []bool // declarations left alone
	rawEnd bool   // the end of the file was left alone
}

func newPrinter(f *syntax.File) *printer {
	return &printer{f: f, toks: f.Tokens, prev: -1, gone: make([]bool, len(f.Tokens)),
		ops: make([]op, 0, len(f.Tokens)*2+8)}
}

// peek is the next token that is no comment.
func (p *printer) peek() int { return p.code(p.next) }

// code is the first token from tok on that is no comment.
func (p *printer) code(tok int) int {
	for p.toks[tok].Kind == syntax.Comment || p.gone[tok] {
		tok++
	}
	return tok
}

func (p *printer) kind() syntax.Kind { return p.toks[p.peek()].Kind }

func (p *printer) add(o op) { p.ops = append(p.ops, o) }

// take writes the next token.
func (p *printer) take() { p.emit(p.peek()) }

// accept writes the next token if it is of the kind.
func (p *printer) accept(k syntax.Kind) bool {
	if p.kind() != k {
		return false
	}
	p.take()
	return true
}

// emit writes all up to and including a token.
func (p *printer) emit(tok int) {
	if tok < p.next || p.toks[tok].Kind == syntax.EOF {
		return
	}
	for p.peek() < tok {
		p.one(p.peek())
		p.gap = p.usual(p.peek())
	}
	p.one(tok)
}

// one writes the next token with what stands before it.
func (p *printer) one(tok int) {
	p.settle()
	t := &p.toks[tok]
	o := op{kind: opToken, a: int32(tok)}
	o.w, o.multi = extent(p.f.Src[t.Off:t.End])
	p.add(o)
	p.next, p.prev = tok+1, tok
}

// settle writes the gap before the next token.
func (p *printer) settle() {
	tok := p.peek()
	g := p.flush(tok, p.gap)
	p.gap = none
	p.put(g, tok)
}

// finish writes what is left of a node.
func (p *printer) finish(n syntax.Node) {
	for p.peek() <= n.Last() && p.kind() != syntax.EOF {
		p.gap = p.usual(p.peek())
		p.take()
	}
}

// raw writes the bytes [off, end) as they are and goes on with the token next.
func (p *printer) raw(off, end, next int) {
	if off < end {
		o := op{kind: opRaw, a: int32(off), b: int32(end)}
		o.w, o.multi = extent(p.f.Src[off:end])
		p.add(o)
	}
	p.next, p.prev = next, next-1
}

// verbatim writes a node as it is.
func (p *printer) verbatim(n syntax.Node) {
	if n.First() < p.next {
		return
	}
	for p.peek() < n.First() {
		p.take()
		p.gap = p.usual(p.peek())
	}
	start, end := int(p.toks[n.First()].Off), int(p.toks[n.Last()].End)
	ops := len(p.ops)
	p.settle()
	if last := len(p.ops) - 1; last >= 0 && p.ops[last].kind != opHard || last < 0 && ops > 0 || !p.opensLine(n.First()) {
		p.raw(start, end, n.Last()+1)
		return
	}
	// It begins a line, here as in the source: its indentation is kept as well.
	for start > 0 && isBlank(p.f.Src[start-1]) {
		start--
	}
	p.raw(start, end, n.Last()+1)
	p.ops[len(p.ops)-1].flags |= exact
}

// extent is the width of text, of its first line if there are several.
func extent(b []byte) (w int32, multi bool) {
	for _, c := range b {
		if c == '\n' {
			return w, true
		}
		if c < 0x80 || c >= 0xc0 {
			w++
		}
	}
	return w, false
}

// open begins a group before the next token.
func (p *printer) open(s groupStyle) {
	p.settle()
	p.add(op{kind: opOpen, style: s})
}

// bracket begins a group behind its opening bracket; the gap to come belongs to it.
func (p *printer) bracket(s groupStyle) { p.add(op{kind: opOpen, style: s}) }

func (p *printer) close() { p.add(op{kind: opClose}) }

// closeAt ends a group whose closing bracket is the next token: comments before it
// belong to the group.
func (p *printer) closeAt() {
	p.gap = p.flush(p.peek(), none)
	if p.gap.force {
		p.put(p.gap, p.peek())
		p.gap = none
	}
	p.add(op{kind: opClose})
}

func (p *printer) indent() {
	p.level++
	p.add(op{kind: opIndent})
}

// dedent ends an indented stretch; comments before the next token belong to it. What
// follows begins with the gap.
func (p *printer) dedent(g gap) {
	g = p.flush(p.peek(), g)
	p.level--
	p.add(op{kind: opDedent})
	g.blank = false
	p.gap = g
}

// opensLine reports whether a token is the first of its line.
func (p *printer) opensLine(tok int) bool {
	return p.toks[tok].Flags&syntax.OpensLine != 0
}

// lastOfLine reports whether nothing but comments follows a comment on its line.
func (p *printer) lastOfLine(c int) bool {
	if c < p.runEnd { // one of the same comments was asked about before
		return p.runBreaks
	}
	for c = p.nextComment(c); p.toks[c].Kind == syntax.Comment && !p.behindBreak(c); c = p.nextComment(c) {
	}
	p.runEnd, p.runBreaks = c, p.behindBreak(c)
	return p.runBreaks
}

// blankBefore reports whether the source has an empty line before a token.
func (p *printer) blankBefore(tok int) bool {
	if tok == 0 {
		return false
	}
	n := 0
	for _, c := range p.f.Src[p.toks[tok-1].End:p.toks[tok].Off] {
		if c == '\n' {
			n++
		}
	}
	return n > 1 || p.gone[tok-1] && p.blankBefore(tok-1)
}

// closes reports whether a token ends a list of statements or declarations.
func (p *printer) closes(tok int) bool {
	switch p.toks[tok].Kind {
	case syntax.RBrace, syntax.PPElse, syntax.PPClose, syntax.EOF:
		return true
	}
	return false
}

// flush writes the comments before a token, given the gap in which they stand, and
// returns what is left of the gap. A comment stays where it is: on the line of the token
// before it, on a line of its own, or before the next token. Between two tokens of one
// line it holds them together, so that it does not end up at the end of a line.
func (p *printer) flush(tok int, g gap) gap {
	for ; p.next < tok; p.next++ {
		c := p.next
		if p.gone[c] {
			continue
		}
		o := p.commentOp(c)
		ends := o.flags&trailing != 0
		own := p.behindBreak(c) || p.lineDone()
		switch {
		case len(p.ops) == 0:
			p.add(o)
			g = gap{kind: gapHard, blank: true, out: g.out}
			if !ends {
				g = space
			}
			continue
		case g.kind == gapHard && (own || !p.lastOfLine(c) && !p.closes(tok) && !p.goneBehind(c, tok)):
			// On a line of its own, or in front of what begins a line.
			before := g
			before.out = false
			p.put(before, c)
			p.add(o)
			if g.blank = true; !ends {
				g = space
			}
			continue
		case g.kind == gapHard:
			if p.nextComment(c) == tok || p.gone[c+1] {
				o.flags |= trailing
			}
			p.add(op{kind: opSpace})
			p.add(o)
			continue
		case own:
			before := g
			before.force = true
			if g.kind == gapHead {
				before.kind = gapNone
			}
			p.put(before, c)
		case ends || !p.opener():
			p.add(op{kind: opSpace})
		}
		p.add(o)
		g.first = g.first && own && ends
		if g.force = ends; !ends {
			g = p.behindComment(tok)
		}
	}
	return g
}

// goneBehind reports whether a semicolon that was left out stands between a comment and a
// token: the comment then belongs to the statement before.
func (p *printer) goneBehind(c, tok int) bool {
	for c++; c < tok; c++ {
		if p.gone[c] {
			return true
		}
	}
	return false
}

// commentOp makes the instruction for a comment.
func (p *printer) commentOp(c int) op {
	t := &p.toks[c]
	o := op{kind: opComment, a: int32(c)}
	o.w, o.multi = extent(p.f.Src[t.Off:t.End])
	if p.behindBreak(p.nextComment(c)) {
		o.flags = trailing
	}
	return o
}

// nextComment is the token behind a comment, which may be another comment.
func (p *printer) nextComment(c int) int {
	for c++; p.gone[c]; c++ {
	}
	return c
}

// behindBreak reports whether the source has a line break between a token and the one
// before it.
func (p *printer) behindBreak(tok int) bool {
	for !p.opensLine(tok) {
		if tok--; tok < 0 || !p.gone[tok] {
			return false
		}
	}
	return true
}

// lineDone reports whether the last thing written was a comment that ended its line.
func (p *printer) lineDone() bool {
	n := len(p.ops)
	for n > 0 && (p.ops[n-1].kind == opClose || p.ops[n-1].kind == opDedent || p.ops[n-1].kind == opIndent) {
		n--
	}
	return n > 0 && p.ops[n-1].kind == opComment && p.ops[n-1].flags&trailing != 0
}

// behindComment is the gap between a comment and the token behind it on its line.
func (p *printer) behindComment(tok int) gap {
	if p.noSpaceBefore(tok) {
		return none
	}
	return space
}

// opener reports whether the token written last is an opening bracket.
func (p *printer) opener() bool {
	if p.prev < 0 {
		return true
	}
	switch p.toks[p.prev].Kind {
	case syntax.LParen, syntax.LBrack:
		return true
	}
	return false
}

// noSpaceBefore reports whether a token follows what stands before it at once.
func (p *printer) noSpaceBefore(tok int) bool {
	switch p.toks[tok].Kind {
	case syntax.RParen, syntax.RBrack, syntax.Comma, syntax.Semi, syntax.Dot:
		return true
	}
	return false
}

// put writes a gap.
func (p *printer) put(g gap, tok int) {
	o := op{kind: opLine}
	switch {
	case g.kind != gapHard && p.pasted(tok):
	case g.kind == gapHard:
		o.kind = opHard
		if g.blank && p.blankBefore(tok) {
			o.flags |= blankLine
		}
		if g.out {
			o.flags |= outdent
		}
		p.add(o)
	case g.force:
		o.flags = forced
		if g.first {
			o.flags |= firstLine
		}
		switch p.toks[tok].Kind {
		case syntax.LBrace, syntax.KwElse, syntax.KwCatch, syntax.Embedded:
			o.flags |= noIndent
		}
		if g.kind == gapHead {
			p.add(op{kind: opHead})
		}
		p.add(o)
	case g.kind == gapHead:
		p.add(op{kind: opHead})
	case g.kind == gapLine, g.kind == gapLineSpace:
		if g.kind == gapLineSpace {
			o.flags = flatSpace
		}
		if g.first {
			o.flags |= firstLine
		}
		p.add(o)
	case g.kind == gapSpace:
		p.add(op{kind: opSpace})
	case g.kind == gapNone:
		if p.clash(p.prev, tok) {
			p.add(op{kind: opSpace})
		}
	}
}

// clash reports whether two tokens make others when nothing stands between them.
func (p *printer) clash(a, b int) bool {
	n := len(p.ops)
	for n > 0 && p.ops[n-1].kind >= opOpen {
		n--
	}
	if a < 0 || n == 0 {
		return false
	}
	ta, tb := &p.toks[a], &p.toks[b]
	if o := &p.ops[n-1]; o.kind != opToken && (o.kind != opRaw || o.b != ta.End) {
		return false
	}
	if tb.Kind == syntax.EOF {
		return false
	}
	x, y := p.f.Src[ta.End-1], p.f.Src[tb.Off]
	if isWord(x) && isWord(y) {
		return true
	}
	if !ta.Kind.IsOperator() {
		return false
	}
	switch x {
	case '=', '!':
		return y == '=' || y == '~'
	case '<', '>', '&', '|', '+', '-':
		return y == '=' || y == x || x == '-' && y == '>'
	case '*', '^', '.':
		return y == '='
	case '/':
		return y == '=' || y == '/' || y == '*'
	case '%':
		return y == '=' || y == '(' || y == '?' || y == ':' || y == ')' || y == '{'
	}
	return false
}

func isWord(c byte) bool {
	return c == '_' || c == '$' || c == '@' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// glued reports whether a token follows the one before it without any white space.
func (p *printer) glued(tok int) bool {
	return tok > 0 && p.toks[tok-1].End == p.toks[tok].Off
}

// usual is the gap before a token in text of which nothing is known.
func (p *printer) usual(tok int) gap {
	if p.noSpaceBefore(tok) || p.opener() {
		return none
	}
	if p.prev >= 0 {
		switch p.toks[p.prev].Kind {
		case syntax.Dot, syntax.Arrow:
			return none
		}
	}
	switch p.toks[tok].Kind {
	case syntax.LParen, syntax.LBrack, syntax.Arrow:
		if p.glued(tok) {
			return none
		}
	}
	return space
}

// pasted reports whether a token may become part of the script argument before it,
// which is pasted as characters.
func (p *printer) pasted(tok int) bool {
	if p.prev < 0 || tok != p.prev+1 || !p.glued(tok) {
		return false
	}
	switch p.toks[p.prev].Kind {
	case syntax.Arg, syntax.ArgCount:
		k := p.toks[tok].Kind
		return isWord(p.f.Src[p.toks[tok].Off]) || k == syntax.String || k == syntax.LParen || k == syntax.LBrack
	}
	return false
}
