package syntax

import (
	"strconv"
	"strings"

	"stapkit/diag"
)

// ArgUse tells which script arguments a file mentions.
type ArgUse struct {
	Used  map[int]bool // by number, from 1
	Count bool         // $# or @# was used
}

// mark notes the use of an argument.
func (a *ArgUse) mark(n int) {
	if a.Used == nil {
		a.Used = map[int]bool{}
	}
	a.Used[n] = true
}

// UnusedArgs gives SystemTap's warnings for script arguments that none of the files
// mentions. Its caller knows all the user's files; the warning has no place.
func UnusedArgs(args []string, files ...*File) []diag.Diagnostic {
	var ds []diag.Diagnostic
	for i := range args {
		used := false
		for _, f := range files {
			used = used || f.Args.Used[i+1] || f.usesArgv()
		}
		if !used {
			n := strconv.Itoa(i + 1)
			ds = append(ds, diag.New(codeUnusedArg, diag.Range{}, "unused command line option $%s/@%s", n, n))
		}
	}
	return ds
}

// usesArgv reports whether a file has a name by which the library offers the arguments.
func (f *File) usesArgv() bool {
	for i := range f.Tokens {
		if f.Tokens[i].Kind == Name {
			if s := f.Text(i); s == "argv" || s == "argc" {
				return true
			}
		}
	}
	return false
}

// argPaster pastes script arguments into the token stream, as characters: what an
// argument begins, the text behind it may end.
type argPaster struct {
	args    []string
	unknown bool // Options.ArgsUnknown
	cache   map[argKey]pasted
}

type argKey struct {
	kind Kind
	num  int
}

// pasted is the text of an argument and its tokens, which are the same at every use
// unless the last one runs on into the text behind.
type pasted struct {
	src  uint16
	toks []Token
}

// maxSources bounds File.Sources, which tokens index with 16 bits.
const maxSources = 60000

// paste replaces the argument word at [off, l.pos). It reports false when the word
// is to stay a token of its own.
func (p *argPaster) paste(l *lexer, k Kind, off int) bool {
	num, word := 0, string(l.text[off:l.pos])
	var value string
	switch k {
	case ArgCount, ArgCountStr:
		l.f.Args.Count = true
		if p.unknown {
			return false
		}
		value = strconv.Itoa(len(p.args))
	default:
		n, err := strconv.Atoi(word[1:])
		if err != nil || n < 1 || n > len(p.args) {
			if err == nil && n > 0 {
				l.f.Args.mark(n)
			}
			if p.unknown && err == nil && n > 0 {
				return false
			}
			// Whether it is missed is seen when the conditionals are decided:
			// %( $# > 0 %? $1 %: 5 %) is how a script gives a default.
			l.emit(k, off, Broken)
			return true
		}
		num, value = n, p.args[n-1]
		l.f.Args.mark(n)
	}
	if k == ArgStr || k == ArgCountStr {
		value = quote(value)
	}
	use := Span{l.src, int32(off), int32(l.pos)}
	exp := int32(len(l.f.Expansions))
	l.f.Expansions = append(l.f.Expansions, Expansion{Kind: ArgExpansion, Name: word, Use: use})

	at, ok := p.cache[argKey{k, num}]
	if !ok {
		at = p.lexArg(l, word, value, use)
		if p.cache == nil {
			p.cache = map[argKey]pasted{}
		}
		p.cache[argKey{k, num}] = at
	}
	toks := at.toks
	var more []Token // the last token, where it runs on into the text behind
	if n := len(toks); n > 0 && int(toks[n-1].End) == len(value) && l.pos < len(l.text) {
		if last := toks[n-1]; runsOn(value[last.Off:], last, l.text[l.pos]) && len(l.f.Sources) < maxSources {
			more = p.extend(l, word, value, int(last.Off), use)
			toks = toks[:n-1]
		}
	}
	for i := range toks {
		switch t := &toks[i]; {
		case t.Kind == Junk:
			l.errorAt(codeJunk, int(use.Off), int(use.End), "the argument holds a character outside the language")
		case t.Flags&Broken != 0 && t.Kind < Arg:
			l.errorAt(codeOpenString, int(use.Off), int(use.End), "the argument leaves a string, comment or embedded code open")
		}
	}
	p.append(l, toks, exp)
	p.append(l, more, exp)
	return true
}

func (p *argPaster) append(l *lexer, toks []Token, exp int32) {
	for _, t := range toks {
		t.Exp = exp
		if l.opens {
			t.Flags |= OpensLine
			l.opens = false
		}
		l.toks = append(l.toks, t)
	}
}

// lexArg lexes the text of an argument. Arguments cannot mention arguments.
func (p *argPaster) lexArg(l *lexer, word, value string, use Span) pasted {
	src := uint16(len(l.f.Sources))
	s := newSource(word, []byte(value))
	s.Arg = true
	l.f.Sources = append(l.f.Sources, s)
	sub := lexer{f: l.f, src: src, text: s.Text}
	for sub.next() {
		if n := len(sub.toks); sub.toks[n-1].Kind >= Arg && sub.toks[n-1].Kind <= ArgCountStr {
			l.errorAt(codeNestedArg, int(use.Off), int(use.End), "invalid nested substitution of command line arguments")
			sub.toks[n-1].Flags |= Broken
		}
	}
	return pasted{src, sub.toks}
}

// runsOn reports whether a token at the end of an argument may swallow the byte
// behind the argument.
func runsOn(text string, t Token, next byte) bool {
	switch {
	case t.Flags&Broken != 0, t.Kind == Comment && !strings.HasPrefix(text, "/*"):
		return true
	case t.Kind == Name, t.Kind == AtWord, t.Kind.IsKeyword(), t.Kind == Number:
		return class[next]&classIdent != 0
	case t.Kind.IsOperator():
		_, n := operator([]byte(text + string(next)))
		return n > len(text) || text == "%" && next == '{' || text == "/" && (next == '/' || next == '*') || text+string(next) == "<<"
	}
	return false
}

// extend lexes the last token of an argument together with the text behind the
// argument and moves the lexer behind it.
func (p *argPaster) extend(l *lexer, word, value string, off int, use Span) []Token {
	behind := l.pos
	for chunk := 256; ; chunk *= 4 {
		end := min(len(l.text), behind+chunk)
		text := value[off:] + string(l.text[behind:end])
		src := uint16(len(l.f.Sources))
		s := newSource(word, []byte(text))
		s.Arg = true
		sub := lexer{f: l.f, src: src, text: s.Text}
		sub.next()
		if end < len(l.text) && sub.pos+4 > len(text) {
			continue // the token may go on
		}
		s.Text, s.str = s.Text[:sub.pos], s.str[:sub.pos]
		l.f.Sources = append(l.f.Sources, s)
		l.pos = behind + max(0, sub.pos-(len(value)-off))
		if len(sub.toks) > 0 && sub.toks[0].Flags&Broken != 0 {
			l.errorAt(codeOpenString, int(use.Off), int(use.End), "the argument leaves a string, comment or embedded code open")
		}
		return sub.toks
	}
}

// quote makes a string literal whose value is s.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < 0x20 || c == 0x7f:
			b.WriteByte('\\')
			b.WriteByte('0' + c>>6)
			b.WriteByte('0' + c>>3&7)
			b.WriteByte('0' + c&7)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// missingArg reports a script argument that was not given.
func (f *File) missingArg(t *Token, given int) {
	d := f.errorToken(codeArgRange, t, sawAt, "command line argument out of range [1-"+strconv.Itoa(given)+"]")
	d.Help = "the script wants more arguments than it was given"
	if given == 0 {
		d.Help = "the script wants arguments: give them after the script's name"
	}
}

// missingArgs reports the script arguments in the program that were not given, each
// place once.
func (f *File) missingArgs(toks []Token, given int) {
	var seen map[Span]bool
	for i := range toks {
		t := &toks[i]
		if t.Kind < Arg || t.Kind > ArgCountStr || t.Flags&Broken == 0 {
			continue
		}
		use := Span{t.Src, t.Off, t.End}
		if seen[use] {
			continue
		}
		if seen == nil {
			seen = map[Span]bool{}
		}
		seen[use] = true
		f.missingArg(t, given)
	}
}
