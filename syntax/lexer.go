package syntax

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"stapkit/diag"
)

// Character classes of the C locale, which is what the language is defined in.
const (
	classSpace = 1 << iota
	classIdent // may continue an identifier
	classStart // may start an identifier
	classDigit
	classAlnum // may continue a number
	classPunct
)

var class = func() (t [256]uint8) {
	for _, c := range " \t\n\v\f\r" {
		t[c] |= classSpace
	}
	for c := '!'; c <= '~'; c++ {
		t[c] |= classPunct
	}
	for c := 'a'; c <= 'z'; c++ {
		t[c] = classIdent | classStart | classAlnum
		t[c-'a'+'A'] = classIdent | classStart | classAlnum
	}
	for c := '0'; c <= '9'; c++ {
		t[c] = classIdent | classDigit | classAlnum
	}
	t['_'] = classIdent | classStart
	t['$'] = classIdent | classStart
	t['@'] = classStart
	return t
}()

// MaxSource is the largest text that can be read, in bytes; offsets are 32 bit.
const MaxSource = 1 << 30

// lexer turns one source into tokens. It is byte exact: what lies between two
// tokens is white space only.
type lexer struct {
	f      *File
	src    uint16
	text   []byte
	pos    int
	toks   []Token
	report bool // add diagnostics to f
	opens  bool // the next token is the first of its line
	// noCodeEnd is set once the search for the end of embedded C reached the end of the
	// text, so that it is not made again and again.
	noCodeEnd bool

	// args is set when script arguments are to be pasted.
	args *argPaster
}

// lex gives the tokens of f.Sources[src], ended by EOF.
func lex(f *File, src uint16, report bool) []Token {
	text := f.Sources[src].Text
	l := lexer{f: f, src: src, text: text, report: report, toks: make([]Token, 0, len(text)/5+16), opens: true}
	l.run()
	return l.toks
}

func (l *lexer) run() {
	if strings.HasPrefix(string(l.text[:min(3, len(l.text))]), "\ufeff") {
		l.pos = 3 // a byte order mark counts as white space
	}
	for l.next() {
	}
	l.opens = true
	l.emit(EOF, len(l.text), 0)
}

// emit adds a token that starts at off and ends at the current position.
func (l *lexer) emit(k Kind, off int, fl TokenFlags) {
	if l.opens {
		fl |= OpensLine
		l.opens = false
	}
	l.toks = append(l.toks, Token{Kind: k, Flags: fl, Src: l.src, Off: int32(off), End: int32(l.pos)})
}

// errorAt reports a diagnostic about the bytes [off, end). SystemTap reports all
// these as junk.
func (l *lexer) errorAt(code diag.Code, off, end int, msg string) *diag.Diagnostic {
	if !l.report || len(l.f.Diags) >= l.f.maxDiags {
		return &diag.Diagnostic{}
	}
	d := diag.New(code, l.f.spanRange(Span{l.src, int32(off), int32(end)}), "%s", msg)
	d.Saw = sawAt + "junk ''"
	return l.f.add(d)
}

// next lexes one token; false at the end of the text.
func (l *lexer) next() bool {
	text, p := l.text, l.pos
	for p < len(text) && class[text[p]]&classSpace != 0 {
		if text[p] == '\n' {
			l.opens = true
		}
		p++
	}
	if p >= len(text) {
		l.pos = p
		return false
	}
	c := text[p]
	switch cl := class[c]; {
	case cl&classStart != 0:
		if c == '$' || c == '@' {
			if p+1 < len(text) && (text[p+1] == '#' || class[text[p+1]]&classDigit != 0) {
				l.arg(p)
				return true
			}
		}
		q := p + 1
		for q < len(text) && class[text[q]]&classIdent != 0 {
			q++
		}
		l.pos = q
		switch {
		case c == '@':
			l.emit(AtWord, p, 0)
		case c >= 'a' && c <= 'w' && q-p >= 2 && q-p <= 8:
			l.emit(keyword(text[p:q]), p, 0)
		default:
			l.emit(Name, p, 0)
		}
	case cl&classDigit != 0:
		q := p + 1
		for q < len(text) && class[text[q]]&classAlnum != 0 {
			q++
		}
		l.pos = q
		l.emit(Number, p, 0)
	case c == '"':
		l.str(p, 1)
	case c == '#' || c == '/' && p+1 < len(text) && text[p+1] == '/':
		q := p + 1
		for q < len(text) && text[q] != '\n' {
			q++
		}
		if text[q-1] == '\r' && q < len(text) {
			q--
		}
		l.pos = q
		l.emit(Comment, p, 0)
	case c == '/' && p+1 < len(text) && text[p+1] == '*':
		l.comment(p)
	case c == '%' && p+1 < len(text) && text[p+1] == '{':
		l.embedded(p)
	case cl&classPunct != 0:
		k, n := operator(text[p:])
		l.pos = p + n
		l.emit(k, p, 0)
	default:
		l.junk(p)
	}
	return true
}

func keyword(b []byte) Kind {
	switch string(b) {
	case "if":
		return KwIf
	case "in":
		return KwIn
	case "for":
		return KwFor
	case "try":
		return KwTry
	case "else":
		return KwElse
	case "next":
		return KwNext
	case "long":
		return KwLong
	case "probe":
		return KwProbe
	case "limit":
		return KwLimit
	case "while":
		return KwWhile
	case "break":
		return KwBreak
	case "catch":
		return KwCatch
	case "global":
		return KwGlobal
	case "return":
		return KwReturn
	case "delete":
		return KwDelete
	case "string":
		return KwString
	case "foreach":
		return KwForeach
	case "private":
		return KwPrivate
	case "function":
		return KwFunction
	case "continue":
		return KwContinue
	}
	return Name
}

// operator gives the longest operator at the start of b and its length.
func operator(b []byte) (Kind, int) {
	var c1, c2 byte
	if len(b) > 1 {
		c1 = b[1]
	}
	if len(b) > 2 {
		c2 = b[2]
	}
	switch b[0] {
	case '(':
		return LParen, 1
	case ')':
		return RParen, 1
	case '{':
		return LBrace, 1
	case '}':
		return RBrace, 1
	case '[':
		return LBrack, 1
	case ']':
		return RBrack, 1
	case ',':
		return Comma, 1
	case ';':
		return Semi, 1
	case ':':
		return Colon, 1
	case '?':
		return Question, 1
	case '~':
		return Tilde, 1
	case '.':
		if c1 == '=' {
			return CatAssign, 2
		}
		return Dot, 1
	case '=':
		switch c1 {
		case '=':
			return Eq, 2
		case '~':
			return Match, 2
		}
		return Assign, 1
	case '!':
		switch c1 {
		case '=':
			return Ne, 2
		case '~':
			return NotMatch, 2
		}
		return Not, 1
	case '<':
		switch {
		case c1 == '<' && c2 == '<':
			return StatAssign, 3
		case c1 == '<' && c2 == '=':
			return ShlAssign, 3
		case c1 == '<':
			return Shl, 2
		case c1 == '=':
			return Le, 2
		}
		return Lt, 1
	case '>':
		switch {
		case c1 == '>' && c2 == '>':
			return UShr, 3
		case c1 == '>' && c2 == '=':
			return ShrAssign, 3
		case c1 == '>':
			return Shr, 2
		case c1 == '=':
			return Ge, 2
		}
		return Gt, 1
	case '+':
		switch c1 {
		case '=':
			return AddAssign, 2
		case '+':
			return Inc, 2
		}
		return Add, 1
	case '-':
		switch c1 {
		case '=':
			return SubAssign, 2
		case '-':
			return Dec, 2
		case '>':
			return Arrow, 2
		}
		return Sub, 1
	case '*':
		if c1 == '=' {
			return MulAssign, 2
		}
		return Mul, 1
	case '/':
		if c1 == '=' {
			return DivAssign, 2
		}
		return Div, 1
	case '%':
		switch c1 {
		case '=':
			return ModAssign, 2
		case '(':
			return PPOpen, 2
		case '?':
			return PPThen, 2
		case ':':
			return PPElse, 2
		case ')':
			return PPClose, 2
		}
		return Mod, 1
	case '&':
		switch c1 {
		case '=':
			return AndAssign, 2
		case '&':
			return AndAnd, 2
		}
		return And, 1
	case '|':
		switch c1 {
		case '=':
			return OrAssign, 2
		case '|':
			return OrOr, 2
		}
		return Or, 1
	case '^':
		if c1 == '=' {
			return XorAssign, 2
		}
		return Xor, 1
	}
	return OtherPunct, 1
}

// str lexes a string whose opening quote has n bytes; n is 3 for a curly quote.
func (l *lexer) str(off, n int) {
	text := l.text
	for q := off + n; q < len(text); q++ {
		switch c := text[q]; {
		case c == '"' && n == 1:
			l.pos = q + 1
			l.emit(String, off, 0)
			return
		case c == '\\' && n == 1:
			q++
		case c == '\n' || c == '"' || n > 1 && quoteAt(text[q:]) > 0:
			if c == '\n' {
				l.broken(off, q)
				return
			}
			l.pos = q + max(1, quoteAt(text[q:]))
			l.curly(off, l.pos)
			return
		}
	}
	l.broken(off, len(text))
}

// broken emits a string without its closing quote. It ends where the rest of the
// line looks like code again, so that one forgotten quote costs one string.
func (l *lexer) broken(off, end int) {
	end = min(end, len(l.text))
	d := l.errorAt(codeOpenString, off, off+1, "Could not find matching closing quote")
	d.Help = `close the string with '"' on the same line; write a line break as \n`
	for end > off+1 && class[l.text[end-1]]&classSpace != 0 {
		end--
	}
	// Trailing punctuation such as `);` or ` }` is almost always code.
	q := end
	for q > off+1 && strings.IndexByte(");}{ ,", l.text[q-1]) >= 0 {
		q--
	}
	if q > off+1 {
		end = q
	}
	l.pos = end
	l.emit(String, off, Broken)
}

// quoteAt gives the length of a typographic quotation mark at the start of b, or 0.
func quoteAt(b []byte) int {
	if len(b) >= 3 && b[0] == 0xe2 && b[1] == 0x80 && b[2] >= 0x98 && b[2] <= 0x9f {
		return 3
	}
	return 0
}

// curly reports a string in typographic quotes, which web pages and word
// processors make of straight ones.
func (l *lexer) curly(off, end int) {
	inner := string(l.text[off+3 : end])
	inner = strings.TrimRight(inner, "\"")
	for {
		r, n := utf8.DecodeLastRuneInString(inner)
		if n == 0 || r < 0x2018 || r > 0x201f {
			break
		}
		inner = inner[:len(inner)-n]
	}
	d := l.errorAt(codeCurlyQuotes, off, end, "curly quotes do not delimit a string")
	d.Help = `type straight quotes: "…"`
	d.Fixes = []diag.Fix{{Message: "replace the curly quotes with straight ones", Safe: true,
		Edits: []diag.Edit{{Range: d.Range, NewText: `"` + inner + `"`}}}}
	l.emit(String, off, Broken)
}

func (l *lexer) comment(off int) {
	text := l.text
	for q := off + 2; q+1 < len(text); q++ {
		if text[q] == '*' && text[q+1] == '/' {
			l.pos = q + 2
			l.emit(Comment, off, 0)
			return
		}
	}
	d := l.errorAt(codeOpenComment, off, off+2, "unterminated comment: the rest of the file belongs to it")
	d.Severity, d.Saw, d.Help = diag.Warning, "", "close it with '*/'"
	l.pos = len(text)
	l.emit(Comment, off, Broken)
}

// nextDecl finds the next line that begins with the keyword of a declaration, or the
// end of the text: how far something that has no end may reach.
func (l *lexer) nextDecl(off int) int {
	for q := off; q < len(l.text); q++ {
		if l.text[q] != '\n' {
			continue
		}
		end := q + 1
		for end < len(l.text) && class[l.text[end]]&classIdent != 0 {
			end++
		}
		switch string(l.text[q+1 : end]) {
		case "probe", "global", "function", "private":
			return q
		}
	}
	return len(l.text)
}

func (l *lexer) embedded(off int) {
	text := l.text
	for q := off + 2; q+1 < len(text) && !l.noCodeEnd; q++ {
		if text[q] == '%' && text[q+1] == '}' {
			l.pos = q + 2
			l.emit(Embedded, off, 0)
			return
		}
		if text[q] == '}' && text[q+1] == '%' && (q+2 >= len(text) || text[q+2] != '}') && l.report {
			d := diag.New(codeOddClose, l.f.spanRange(Span{l.src, int32(q), int32(q + 2)}),
				"possible erroneous closing '}%%', use '%%}'?")
			l.f.add(d)
		}
	}
	l.noCodeEnd = true
	d := l.errorAt(codeOpenEmbedded, off, off+2, "Could not find matching '%}' to close embedded function block")
	d.Help = "embedded C ends with '%}'"
	l.pos = off + 2
	if off == 0 || class[text[off-1]]&classIdent == 0 { // else rather a mistyped "%"
		l.pos = l.nextDecl(off + 2)
	}
	l.emit(Embedded, off, Broken)
}

// junk takes one character that starts no token.
func (l *lexer) junk(off int) {
	text := l.text
	if quoteAt(text[off:]) > 0 {
		for q := off + 3; q < len(text) && text[q] != '\n'; q++ {
			if text[q] == '"' || quoteAt(text[q:]) > 0 {
				l.str(off, 3)
				return
			}
		}
	}
	r, n := utf8.DecodeRune(text[off:])
	if r == utf8.RuneError && n <= 1 { // one token for a run of bytes that are no UTF-8
		for n = 1; off+n < len(text) && text[off+n] >= 0x80; n++ {
			if r, size := utf8.DecodeRune(text[off+n:]); r != utf8.RuneError || size > 1 {
				break
			}
		}
	} else if r == 0 || r < 0x20 || r == 0x7f {
		for n = 1; off+n < len(text) && text[off+n] == text[off]; n++ {
		}
	} else if r != 0xa0 && quoteAt(text[off:]) == 0 { // a foreign word is one token
		for off+n < len(text) && (text[off+n] >= 0x80 || class[text[off+n]]&classIdent != 0) {
			if r, size := utf8.DecodeRune(text[off+n:]); r == utf8.RuneError && size <= 1 || r == 0xa0 || quoteAt(text[off+n:]) > 0 {
				break
			}
			_, size := utf8.DecodeRune(text[off+n:])
			n += size
		}
	}
	l.pos = off + n
	var d *diag.Diagnostic
	switch {
	case quoteAt(text[off:]) > 0:
		d = l.errorAt(codeCurlyQuotes, off, l.pos, "curly quotes do not delimit a string")
		d.Help = `type straight quotes: "…"`
		d.Fixes = []diag.Fix{{Message: "replace the curly quote with a straight one",
			Edits: []diag.Edit{{Range: d.Range, NewText: `"`}}}}
	case r == 0xa0:
		d = l.errorAt(codeJunk, off, l.pos, "no-break space, which is not white space here")
		d.Fixes = []diag.Fix{{Message: "replace it with a space", Safe: true,
			Edits: []diag.Edit{{Range: d.Range, NewText: " "}}}}
	case r == 0:
		d = l.errorAt(codeJunk, off, l.pos, "NUL byte: this does not look like a text file")
	case r == utf8.RuneError:
		d = l.errorAt(codeJunk, off, l.pos, "byte "+hexByte(text[off])+" is neither ASCII nor UTF-8")
	default:
		d = l.errorAt(codeJunk, off, l.pos, "unexpected character "+strconv.QuoteRune(r))
	}
	if d.Help == "" {
		d.Help = "outside strings and comments only ASCII is allowed"
	}
	l.emit(Junk, off, Broken)
}

func hexByte(b byte) string {
	const hex = "0123456789abcdef"
	return string([]byte{'0', 'x', hex[b>>4], hex[b&15]})
}

// arg lexes $1, @1, $# and @#, and pastes the argument when the lexer is to do so.
func (l *lexer) arg(off int) {
	text := l.text
	k, q := Arg, off+1
	if text[off] == '@' {
		k = ArgStr
	}
	if text[q] == '#' {
		k += ArgCount - Arg
		q++
	} else {
		for q < len(text) && class[text[q]]&classDigit != 0 {
			q++
		}
	}
	l.pos = q
	if l.args != nil && l.args.paste(l, k, off) {
		return
	}
	l.emit(k, off, 0)
}
