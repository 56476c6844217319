package stapfmt

import (
	"unicode/utf8"

	"stapkit/syntax"
)

// This file is the engine: it gets a list of instructions (tokens, comments, and
// places where a line may or must end, in nested groups) and writes text, ending
// lines where a group does not fit. It knows nothing of the language but that
// tokens are written one after the other.

// lineLimit is the width that lines are held to, in columns. What cannot be split, such
// as a string, may go beyond.
const lineLimit = 80

// An opKind is what an instruction does.
type opKind uint8

const (
	opToken     opKind = iota // write a token
	opRaw                     // write bytes of the source as they are
	opComment                 // write a comment, its inner lines moved along
	opSpace                   // one space
	opLine                    // a place where the group around may end the line
	opHard                    // end of the line
	opHead                    // before "{": a space, or a new line when the header took several
	opHeadStart               // where such a header begins
	opOpen                    // a group begins
	opClose                   // it ends
	opIndent                  // one level deeper
	opDedent                  // back from it
	opNothing
)

// An opFlag refines an instruction.
type opFlag uint8

const (
	// opLine
	flatSpace opFlag = 1 << iota // a space when the line goes on
	firstLine                    // stands behind the opening bracket or "=" of its group
	forced                       // the line ends here whatever fits, since a comment does
	noIndent                     // forced, and what follows belongs to no group: no continuation
	// opHard
	blankLine // with an empty line before
	outdent   // the line is for a directive: one level back
	// opComment
	trailing // the last thing of its line
	// opRaw
	exact // the bytes bring their own indentation
)

// A groupStyle tells how a group that does not fit is laid out.
type groupStyle uint8

const (
	// fillAligned: as much on each line as fits, lines begin at the column where the group does.
	fillAligned groupStyle = iota
	// fillIndented: the same, but lines begin one level deeper than the first.
	fillIndented
	// allAligned: every opLine ends the line, lines begin at the group's column.
	allAligned
	// allFlush: every opLine ends the line, lines begin where the statement does.
	allFlush
	// allIndented: every opLine ends the line, the first one too; one level deeper.
	allIndented
	// valueOf: what stands behind an assignment; its only opLine is the one before it.
	valueOf
)

type op struct {
	kind  opKind
	flags opFlag
	style groupStyle
	multi bool  // text with line breaks in it
	a, b  int32 // opToken, opComment: token; opRaw: bytes [a, b); opOpen: b is the opClose
	w     int32 // width when nothing breaks, of the first line if the text has several
	link  int32 // opLine: the next opLine of its group or the opClose; opOpen: its first opLine, or 0
}

// place is where a line begins.
type place struct {
	level int // indent levels
	extra int // columns behind them, always written as spaces
}

// openGroup is a group that is being written.
type openGroup struct {
	flat  bool
	style groupStyle
	// indentFirst: the group could not be aligned, so its first line ends at once.
	indentFirst bool
	next        int32 // the next opLine of the group or its opClose; 0 if it has none
	line        int   // the line on which the current entry began
}

type engine struct {
	f      *syntax.File
	src    []byte
	ops    []op
	indent Indent
	nl     string // line ending of the file

	pre    []int32 // widths before each instruction
	brk    []int32 // next opLine or opHard at or behind each instruction
	forces []int32 // number of forced line ends before each instruction

	out     []byte
	col     int
	line    int
	begun   bool // the current line has something on it
	spaceAt int  // length of out behind the last space written by space
	at      []place
	groups  []openGroup
	heads   []int
	cur     place     // indentation of the current line
	tails   []tailPos // trailing comments, to be aligned
}

// tailPos is a trailing comment in the output.
type tailPos struct {
	off  int // of the space before it
	line int
	col  int // column behind the code
	cur  place
}

// measure computes what the decisions need.
func (e *engine) measure() {
	n := len(e.ops)
	e.pre = make([]int32, n+1)
	e.forces = make([]int32, n+1)
	e.brk = make([]int32, n+2)
	type open struct{ op, line int32 }
	stack := make([]open, 0, 64)
	for i := range e.ops {
		o := &e.ops[i]
		w, force := o.w, int32(0)
		switch o.kind {
		case opSpace, opHead:
			w = 1
		case opLine:
			w = 0
			if o.flags&flatSpace != 0 {
				w = 1
			}
			if o.flags&forced != 0 {
				force = 1
			}
			if k := len(stack); k > 0 {
				if l := stack[k-1].line; l >= 0 {
					e.ops[l].link = int32(i)
				} else {
					e.ops[stack[k-1].op].link = int32(i)
				}
				stack[k-1].line = int32(i)
				if force > 0 && o.flags&firstLine == 0 {
					// Comments between the entries of a filled list: one entry per line.
					switch g := &e.ops[stack[k-1].op]; g.style {
					case fillAligned:
						g.style = allAligned
					case fillIndented:
						g.style = allIndented
					}
				}
			}
		case opHard:
			force = 1
		case opComment:
			if o.flags&trailing != 0 {
				w = 0
			}
		case opOpen:
			stack = append(stack, open{int32(i), -1})
		case opClose:
			k := len(stack) - 1
			top := stack[k]
			stack = stack[:k]
			e.ops[top.op].b = int32(i)
			if top.line >= 0 {
				e.ops[top.line].link = int32(i)
			}
			e.keepSmall(&e.ops[top.op], int(e.pre[i]-e.pre[top.op+1]), e.forces[i] > e.forces[top.op+1])
		}
		e.pre[i+1] = e.pre[i] + w
		e.forces[i+1] = e.forces[i] + force
	}
	e.brk[n], e.brk[n+1] = int32(n), int32(n)
	for i := n - 1; i >= 0; i-- {
		e.brk[i] = e.brk[i+1]
		if k := e.ops[i].kind; k == opLine || k == opHard {
			e.brk[i] = int32(i)
		}
	}
}

// Brackets with as little in them as this are not broken: it gains next to nothing.
const (
	smallList = 12 // several entries
	smallItem = 24 // one entry that cannot be broken itself
)

// keepSmall takes away the places to break a bracket that holds little.
func (e *engine) keepSmall(g *op, width int, forced bool) {
	first := g.link
	if forced || first == 0 || e.ops[first].flags&firstLine == 0 || g.style == valueOf || g.style == allIndented {
		return
	}
	only := e.ops[first].link == g.b
	for i := first + 1; i < g.b && only; i++ {
		only = e.ops[i].kind != opLine
	}
	if width > smallList && (!only || width > smallItem) {
		return
	}
	for i := first; i != g.b; {
		o := &e.ops[i]
		i = o.link
		if o.kind = opNothing; o.flags&flatSpace != 0 {
			o.kind = opSpace
		}
	}
	g.link = 0
}

// tail is the width of what follows an instruction up to the next place where the line
// may end.
func (e *engine) tail(i int32) int { return int(e.pre[e.brk[i+1]] - e.pre[i+1]) }

// width is the width of the instructions in (from, to) on one line.
func (e *engine) width(from, to int32) int { return int(e.pre[to] - e.pre[from+1]) }

// longest is the width of the widest stretch in a group that nothing can break.
func (e *engine) longest(from, to int32) int {
	w := 0
	for i := from + 1; ; {
		j := min(e.brk[i], to)
		n := int(e.pre[j] - e.pre[i])
		if j == to {
			return max(w, n+e.tail(to))
		}
		w = max(w, n)
		i = j + 1
	}
}

func (e *engine) run() []byte {
	e.measure()
	e.out = make([]byte, 0, len(e.src)+len(e.src)/8+16)
	e.at = append(e.at, place{})
	for i := range e.ops {
		o := &e.ops[i]
		switch o.kind {
		case opToken:
			t := &e.f.Tokens[o.a]
			e.text(e.src[t.Off:t.End], o)
		case opRaw:
			e.text(e.src[o.a:o.b], o)
		case opComment:
			e.comment(o)
		case opSpace:
			e.space()
		case opLine:
			e.lineOp(int32(i), o)
		case opHard:
			p := e.top()
			if o.flags&outdent != 0 && p.level > 0 {
				p.level--
			}
			e.newline(p, o.flags&blankLine != 0)
		case opHeadStart:
			e.heads = append(e.heads, e.line)
		case opHead:
			k := len(e.heads) - 1
			if e.heads[k] != e.line {
				e.newline(e.top(), false)
			} else {
				e.space()
			}
			e.heads = e.heads[:k]
		case opOpen:
			e.open(int32(i), o)
		case opClose:
			k := len(e.groups) - 1
			if !e.groups[k].flat {
				e.at = e.at[:len(e.at)-1]
			}
			e.groups = e.groups[:k]
		case opIndent:
			e.at = append(e.at, e.deeper())
		case opDedent:
			e.at = e.at[:len(e.at)-1]
		}
	}
	e.alignTails()
	return e.out
}

func (e *engine) top() place { return e.at[len(e.at)-1] }

// deeper is one level more than the current indentation.
func (e *engine) deeper() place { return e.more(e.top()) }

// behindLine is one level more than the indentation of the current line, or than that of
// the group around when more of its lines will follow.
func (e *engine) behindLine() place {
	for i := range e.groups {
		if n := e.groups[i].next; n > 0 && e.ops[n].kind == opLine {
			return e.deeper()
		}
	}
	return e.more(e.cur)
}

func (e *engine) more(p place) place {
	if p.extra > 0 {
		p.extra += e.indent.width()
	} else {
		p.level++
	}
	return p
}

// here is the current column as a place for lines to begin.
func (e *engine) here(add int) place {
	level := e.top().level
	if e.col+add < level*e.indent.width() {
		level = 0
	}
	return place{level, e.col + add - level*e.indent.width()}
}

func (e *engine) column(p place) int { return p.level*e.indent.width() + p.extra }

func (e *engine) open(i int32, o *op) {
	if k := len(e.groups); k > 0 && e.groups[k-1].flat {
		e.groups = append(e.groups, openGroup{flat: true})
		return
	}
	hasForce := e.forces[o.b] != e.forces[i+1]
	if !hasForce && e.startCol()+e.width(i, o.b)+e.tail(o.b) <= lineLimit {
		e.groups = append(e.groups, openGroup{flat: true})
		return
	}
	if o.style == allFlush {
		e.at = append(e.at, e.top())
		e.groups = append(e.groups, openGroup{style: allFlush, next: o.link})
		return
	}
	g := openGroup{style: o.style}
	add := 0
	if o.style == valueOf {
		add = 1
	}
	g.indentFirst = o.style == allIndented || e.goBack(i, o, e.startCol()+add)
	if g.indentFirst || o.style == fillIndented {
		e.at = append(e.at, e.behindLine())
	} else {
		e.at = append(e.at, e.hereOrTop(add))
	}
	g.next, g.line = o.link, e.line
	e.groups = append(e.groups, g)
}

// goBack reports whether a group that does not fit is not aligned at its column but
// begins on the next line, one level deeper than this one: when something in it fits
// only there, or when it stands so far to the right that it gains much.
func (e *engine) goBack(i int32, o *op, col int) bool {
	first := o.link
	if first == 0 || e.ops[first].flags&firstLine == 0 {
		return false
	}
	if e.ops[first].flags&forced != 0 {
		return true
	}
	in := e.column(e.behindLine())
	if in >= col {
		return false
	}
	if w := e.longest(first, o.b); col+w > lineLimit {
		return in+w <= lineLimit || col > lineLimit/2 && in+e.indent.width() <= col
	}
	far := col
	if o.style == valueOf { // what counts is where its arguments would be aligned
		for k := first + 1; k < o.b; k++ {
			if g := &e.ops[k]; g.kind == opOpen && g.link > 0 && e.ops[g.link].flags&firstLine != 0 {
				far = col + int(e.pre[k]-e.pre[first+1])
				break
			}
		}
	}
	if far <= lineLimit/2 || in+e.indent.width() > far {
		return false
	}
	if in+e.width(first, o.b)+e.tail(o.b) <= lineLimit {
		return true
	}
	if col <= lineLimit/2 || in+e.indent.width() > col {
		return false
	}
	for at := first; at != o.b; at = e.ops[at].link {
		w := e.width(at, e.ops[at].link)
		if e.ops[at].link == o.b {
			w += e.tail(o.b)
		}
		if col+w > lineLimit {
			return true
		}
	}
	return false
}

// startCol is the column at which text would be written now.
func (e *engine) startCol() int {
	if !e.begun {
		return e.column(e.cur)
	}
	return e.col
}

func (e *engine) hereOrTop(add int) place {
	if !e.begun {
		p := e.cur
		p.extra += add
		return p
	}
	return e.here(add)
}

func (e *engine) lineOp(i int32, o *op) {
	k := len(e.groups)
	if k == 0 { // a comment ended the line in the middle of a statement
		p := e.top()
		if o.flags&noIndent == 0 {
			p = e.deeper()
		}
		e.newline(p, false)
		return
	}
	g := &e.groups[k-1]
	brk := true
	switch {
	case g.flat:
		brk = false
	case o.flags&forced != 0:
	case o.flags&firstLine != 0:
		brk = g.indentFirst
	case g.style == fillAligned || g.style == fillIndented:
		w := e.width(i, o.link)
		if e.ops[o.link].kind == opClose {
			w += e.tail(o.link)
		}
		if o.flags&flatSpace != 0 {
			w++
		}
		brk = e.line != g.line || e.forces[o.link] != e.forces[i+1] || e.startCol()+w > lineLimit
	}
	g.next = o.link
	if brk {
		e.newline(e.top(), false)
		g.line = e.line
	} else if o.flags&flatSpace != 0 {
		e.space()
	}
}

func (e *engine) newline(p place, blank bool) {
	e.cur = p
	if len(e.out) == 0 {
		return
	}
	if e.begun {
		if n := len(e.out); e.spaceAt == n { // no white space at the end of a line
			e.out = e.out[:n-1]
		}
		e.out = append(e.out, e.nl...)
		e.line++
	}
	if blank {
		e.out = append(e.out, e.nl...)
		e.line++
	}
	e.begun = false
	e.col = 0
}

// space writes a space unless the line is empty.
func (e *engine) space() {
	if e.begun {
		e.out = append(e.out, ' ')
		e.col++
		e.spaceAt = len(e.out)
	}
}

// begin writes the indentation of the line if nothing is on it.
func (e *engine) begin() {
	if e.begun {
		return
	}
	e.begun = true
	e.out = e.indent.append(e.out, e.cur)
	e.col = e.column(e.cur)
}

// text writes bytes that are not to be changed.
func (e *engine) text(b []byte, o *op) {
	if len(b) == 0 {
		return
	}
	if o.kind == opRaw && (o.flags&exact != 0 || b[0] == '\n' || len(b) > 1 && b[0] == '\r' && b[1] == '\n') {
		e.begun = true // the line ends here: no indentation
	} else {
		e.begin()
	}
	e.out = append(e.out, b...)
	if !o.multi {
		if o.kind == opToken && b[0] != '"' && b[0] != '%' {
			e.col += int(o.w)
		} else { // may hold tabs
			e.col = columnFrom(e.col, b, e.indent.tab())
		}
		return
	}
	last := 0
	for i, c := range b {
		if c == '\n' {
			e.line++
			last = i + 1
		}
	}
	rest := b[last:]
	e.col = columnOf(rest, e.indent.tab())
	if len(rest) == 0 {
		e.begun = false
		e.cur = e.top()
	}
}

// comment writes a comment. When it has several lines they keep their place relative
// to the first one; lines that begin with a star are set under the star of the first.
func (e *engine) comment(o *op) {
	t := &e.f.Tokens[o.a]
	text := e.src[t.Off:t.End]
	behind := e.begun
	e.begin()
	if behind && o.flags&trailing != 0 && !o.multi {
		if n := len(e.out); n > 0 && e.out[n-1] == ' ' {
			e.tails = append(e.tails, tailPos{n - 1, e.line, e.col - 1, e.cur})
		}
	}
	if !o.multi {
		text = trimRight(text)
		e.out = append(e.out, text...)
		e.col = columnFrom(e.col, text, e.indent.tab())
		return
	}
	start, was := e.col, e.sourceColumn(int(t.Off))
	lines := splitLines(text)
	stars := true
	for _, l := range lines[1:] {
		l = trimLeft(l)
		stars = stars && (len(l) == 0 || l[0] == '*')
	}
	for i, l := range lines {
		if i == 0 {
			e.out = append(e.out, trimRight(l)...)
			continue
		}
		e.out = append(e.out, e.nl...)
		e.line++
		e.col = 0
		body := trimRight(trimLeft(l))
		if len(body) == 0 {
			continue
		}
		col := start + 1
		if !stars {
			col = max(0, start+columnOf(l[:len(l)-len(trimLeft(l))], e.indent.tab())-was)
		}
		e.out = e.indent.append(e.out, e.at0(col))
		e.out = append(e.out, body...)
		e.col = columnFrom(col, body, e.indent.tab())
	}
}

// at0 is the place of a column in the current line's indentation.
func (e *engine) at0(col int) place {
	if base := e.cur.level * e.indent.width(); col >= base {
		return place{e.cur.level, col - base}
	}
	return place{col / e.indent.width(), col % e.indent.width()}
}

// sourceColumn is the column of an offset in the source.
func (e *engine) sourceColumn(off int) int {
	start := off
	for start > 0 && e.src[start-1] != '\n' {
		start--
	}
	if start == 0 && len(e.src) >= 3 && e.src[0] == 0xef && e.src[1] == 0xbb && e.src[2] == 0xbf && off >= 3 {
		start = 3
	}
	return columnOf(e.src[start:off], e.indent.tab())
}

// alignSpread is how far apart the ends of neighbouring lines may be for their
// comments to stand under each other.
const alignSpread = 20

// alignTails puts the trailing comments of neighbouring lines with the same indentation
// into one column.
func (e *engine) alignTails() {
	if len(e.tails) < 2 {
		return
	}
	pads := make([]int, len(e.tails))
	any := false
	for i := 0; i < len(e.tails); {
		lo, hi := e.tails[i].col, e.tails[i].col
		j := i + 1
		for ; j < len(e.tails); j++ {
			t := &e.tails[j]
			if t.line != e.tails[j-1].line+1 || t.cur != e.tails[i].cur || max(hi, t.col)-min(lo, t.col) > alignSpread {
				break
			}
			lo, hi = min(lo, t.col), max(hi, t.col)
		}
		for ; i < j; i++ {
			pads[i] = hi - e.tails[i].col
			any = any || pads[i] > 0
		}
	}
	if !any {
		return
	}
	out := make([]byte, 0, len(e.out)+64)
	from := 0
	for i, t := range e.tails {
		out = append(out, e.out[from:t.off]...)
		for range pads[i] {
			out = append(out, ' ')
		}
		from = t.off
	}
	e.out = append(out, e.out[from:]...)
}

// columnOf is the width of text that begins at column 0.
func columnOf(b []byte, tab int) int { return columnFrom(0, b, tab) }

// columnFrom is the column behind text that begins at column n.
func columnFrom(n int, b []byte, tab int) int {
	for len(b) > 0 {
		if b[0] == '\t' {
			n = (n/tab + 1) * tab
			b = b[1:]
			continue
		}
		_, size := utf8.DecodeRune(b)
		b = b[size:]
		n++
	}
	return n
}

func isBlank(c byte) bool {
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f'
}

func trimLeft(b []byte) []byte {
	for len(b) > 0 && isBlank(b[0]) {
		b = b[1:]
	}
	return b
}

func trimRight(b []byte) []byte {
	for len(b) > 0 && isBlank(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

// splitLines cuts text at its newlines, which are left out.
func splitLines(b []byte) [][]byte {
	var lines [][]byte
	start := 0
	for i, c := range b {
		if c == '\n' {
			lines = append(lines, b[start:i])
			start = i + 1
		}
	}
	return append(lines, b[start:])
}
