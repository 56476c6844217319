package syntax

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"stapkit/diag"
)

// ParseFile reads a script (.stp). It never fails: see File. The file keeps src.
func ParseFile(name string, src []byte, opt Options) *File {
	f, toks := lexFile(name, src, &opt)
	if len(toks) == 0 {
		return f
	}
	empty := onlyComments(toks)
	if opt.View == Expanded {
		if needsPreproc(f, toks, opt.Macros) {
			toks = preprocess(f, toks, &opt)
		}
		f.missingArgs(toks, len(opt.Args))
	}
	f.Tokens = toks
	p := newParser(f, &opt)
	p.file()
	switch {
	case len(f.Diags) > 0 || len(f.Decls) > 0:
	case opt.Library: // a library file for another target
	case empty:
		f.add(wholeFile(codeEmpty, name, "Input file '%s' is empty.", name))
	case opt.View == Expanded && len(f.Macros) == 0 && onlyComments(toks):
		f.add(wholeFile(codeEmpty, name, "Input file '%s' is empty after preprocessing.", name))
	}
	return f
}

// ParsePath reads a script from a file. A file that is missing, a directory or not
// readable gives a File with a diagnostic.
func ParsePath(path string, opt Options) *File {
	src, err := os.ReadFile(path)
	if err == nil {
		return ParseFile(path, src, opt)
	}
	f, _ := lexFile(path, nil, &opt)
	f.Tokens = f.Raw
	st, statErr := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.add(wholeFile(codeRead, path, "Input file '%s' is missing.", path))
	case statErr == nil && st.IsDir():
		f.add(wholeFile(codeRead, path, "Input file '%s' is a directory.", path))
	default:
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		f.add(wholeFile(codeRead, path, "Input file '%s' cannot be read: %v.", path, err))
	}
	return f
}

// ParseMacros reads a macro library (.stpm), which holds macro definitions and
// conditionals around them only. Add the file to a MacroSet to use it.
func ParseMacros(name string, src []byte, opt Options) *File {
	opt.library = true
	f, toks := lexFile(name, src, &opt)
	if len(toks) == 0 {
		return f
	}
	if opt.View == Expanded {
		toks = preprocess(f, toks, &opt)
		f.Tokens = toks
		for i := range toks {
			if k := toks[i].Kind; k != Comment && k != EOF {
				d := f.errorToken(codeNotMacro, &toks[i], "", "library macro file contains non-@define statements")
				d.Help = "a .stpm file holds @define only; put other declarations into a .stp file"
				break
			}
		}
		return f
	}
	f.Tokens = toks
	p := newParser(f, &opt)
	p.file()
	for _, d := range f.Decls {
		if !macrosOnly(d) {
			d := f.errorToken(codeNotMacro, &f.Tokens[d.First()], "", "library macro file contains non-@define statements")
			d.Help = "a .stpm file holds @define only; put other declarations into a .stp file"
			break
		}
	}
	return f
}

func macrosOnly(d Decl) bool {
	switch d := d.(type) {
	case *MacroDef, *Verbatim:
		return true
	case *CondDecl:
		for _, ds := range [][]Decl{d.Then, d.Else} {
			for _, d := range ds {
				if !macrosOnly(d) {
					return false
				}
			}
		}
		return true
	}
	return false
}

// lexFile lexes a file. It gives no tokens when the text cannot be read at all.
func lexFile(name string, src []byte, opt *Options) (*File, []Token) {
	f := &File{Name: name, Src: src, View: opt.View, maxDiags: opt.MaxDiags}
	if f.maxDiags <= 0 {
		f.maxDiags = DefaultMaxDiags
	}
	f.Sources = []*Source{newSource(name, src)}
	f.Expansions = make([]Expansion, 1, 4)
	if len(src) > MaxSource {
		f.Tokens = []Token{{Kind: EOF}}
		f.Raw = f.Tokens
		f.add(wholeFile(codeHuge, name, "Input file '%s' is larger than %d bytes.", name, MaxSource))
		return f, nil
	}
	paste := opt.View == Expanded && !opt.library
	f.Raw = lex(f, 0, true)
	if !paste {
		return f, f.Raw
	}
	for i := range f.Raw {
		if k := f.Raw[i].Kind; k >= Arg && k <= ArgCountStr {
			return f, lexArgs(f, opt)
		}
	}
	return f, f.Raw
}

// lexArgs lexes again with script arguments pasted; what was found wrong before is
// found again.
func lexArgs(f *File, opt *Options) []Token {
	f.Diags = nil
	text := f.Sources[0].Text
	l := lexer{f: f, text: text, report: true, toks: make([]Token, 0, len(f.Raw)+16), opens: true,
		args: &argPaster{args: opt.Args, unknown: opt.ArgsUnknown}}
	l.run()
	return l.toks
}

func onlyComments(toks []Token) bool {
	for i := range toks {
		if k := toks[i].Kind; k != Comment && k != EOF {
			return false
		}
	}
	return true
}

// wholeFile makes a diagnostic about a file as a whole.
func wholeFile(code diag.Code, name, format string, args ...any) diag.Diagnostic {
	return diag.New(code, diag.Range{Start: diag.Pos{File: name}}, format, args...)
}

// parser is a recursive descent parser with one token of lookahead by index, and
// operator precedence for expressions. It recovers from every error: each list loop
// advances, missing tokens are supplied, and a token that only stands in the way is
// skipped.
type parser struct {
	f    *File
	opt  *Options
	toks []Token
	i    int  // index of the current token, never a comment or junk
	k    Kind // its kind
	prev int  // index of the token consumed last

	src      bool // source view
	inFunc   bool // return is allowed
	depth    int
	maxDepth int
	ops      int // operators of the current statement
	budget   int // steps left for looking ahead, see spend

	errs      int // errors found, also those not shown; for speculation
	trialErrs int // errs when the innermost trial began, -1 outside of trials
	lastErr   int // token of the last error shown, so that one place gets one
	histOK    int // token of a histogram that may stand bare: the operand of print
	globals   map[string]*Ident
	defs      map[string]*MacroDef // macros of the file, source view
	memo      map[memoKey]memoVal
	fragments int // nesting of macro bodies and arguments being read

	// blocks are the open braces, hints the suspicious pairs since declTok, the first token
	// of the last probe or function: for the search of a forgotten brace.
	blocks  []openBlock
	hints   []braceHint
	declTok int
}

// opsMax bounds the operators of one statement, since every one may deepen the tree.
const opsMax = 100000

func newParser(f *File, opt *Options) *parser {
	p := &parser{f: f, opt: opt, toks: f.Tokens, i: -1, prev: 0, src: opt.View == SourceView,
		lastErr: -1, trialErrs: -1, maxDepth: opt.maxDepth(), budget: 1<<20 + 50*len(f.Tokens)}
	p.next()
	p.prev = 0
	return p
}

// next moves to the next token; at the end it stays.
func (p *parser) next() {
	p.prev = p.i
	if p.i >= 0 && p.toks[p.i].Kind == EOF {
		return
	}
	p.i++
	for p.toks[p.i].Kind == Comment || p.toks[p.i].Kind == Junk {
		p.i++
	}
	p.k = p.toks[p.i].Kind
}

// seek makes tok (or the first token behind it that is no comment) the current one.
func (p *parser) seek(tok int) {
	for p.toks[tok].Kind == Comment || p.toks[tok].Kind == Junk {
		tok++
	}
	p.i = tok
	p.k = p.toks[tok].Kind
}

// after gives the index of the token behind tok; at the end it stays.
func (p *parser) after(tok int) int {
	if p.toks[tok].Kind == EOF {
		return tok
	}
	tok++
	for p.toks[tok].Kind == Comment || p.toks[tok].Kind == Junk {
		tok++
	}
	return tok
}

// peekAt gives the index of the n-th token behind the current one.
func (p *parser) peekAt(n int) int {
	i := p.i
	for ; n > 0; n-- {
		i = p.after(i)
	}
	return i
}

// spend takes n steps from the budget for looking ahead, which keeps the time linear
// whatever the text; it reports false when nothing is left.
func (p *parser) spend(n int) bool {
	p.budget -= n
	return p.budget > 0
}

func (p *parser) peek(n int) Kind { return p.toks[p.peekAt(n)].Kind }

func (p *parser) text(tok int) string { return p.f.Text(tok) }

// span makes the span from a token to the one consumed last.
func (p *parser) span(first int) span {
	return span{p.f, int32(first), int32(max(p.prev, first-1))}
}

// error reports an error at a token, once per token.
func (p *parser) error(code diag.Code, tok int, format string, args ...any) *diag.Diagnostic {
	return p.report("", code, tok, format, args...)
}

// errorAt is error with SystemTap's "at:" label, for what is wrong in itself.
func (p *parser) errorAt(code diag.Code, tok int, format string, args ...any) *diag.Diagnostic {
	return p.report(sawAt, code, tok, format, args...)
}

func (p *parser) report(label string, code diag.Code, tok int, format string, args ...any) *diag.Diagnostic {
	p.errs++
	if p.lastErr == tok || p.toks[tok].Flags&Broken != 0 && p.toks[tok].Kind != EOF {
		return &p.f.dropped
	}
	p.lastErr = tok
	if len(p.f.Diags) >= p.f.maxDiags { // nobody will see it
		return &p.f.dropped
	}
	return p.f.errorToken(code, &p.toks[tok], label, fmt.Sprintf(format, args...))
}

// accept consumes the current token if it is of the kind.
func (p *parser) accept(k Kind) bool {
	if p.k != k {
		return false
	}
	p.next()
	return true
}

// expect consumes a token of the kind. When it is missing, it says so, and skips the
// current token if the wanted one stands right behind it. For a keyword, a word that
// is nearly spelt so will do.
func (p *parser) expect(k Kind) bool {
	if p.k == k {
		p.next()
		return true
	}
	if k.IsKeyword() && p.k == Name && near(p.text(p.i), k.String()) {
		p.misspelt(p.i, k)
		p.next()
		return true
	}
	p.error(codeExpected, p.i, "expected '%s'", k)
	if p.canSkip() && p.peek(1) == k {
		p.next()
		p.next()
		return true
	}
	return false
}

// canSkip reports whether the current token may be dropped to get on: not what gives
// the text its shape.
func (p *parser) canSkip() bool {
	switch p.k {
	case EOF, LBrace, RBrace, Semi, KwProbe, KwGlobal, KwFunction, KwPrivate, Embedded, PPOpen, PPElse, PPClose:
		return false
	}
	return true
}

// misspelt reports a word that stands for a keyword.
func (p *parser) misspelt(tok int, k Kind) {
	d := p.error(codeMisspelt, tok, "expected '%s'", k)
	d.Help = fmt.Sprintf("did you mean '%s'?", k)
	d.Fixes = []diag.Fix{{Message: fmt.Sprintf("replace '%s' by '%s'", p.text(tok), k),
		Edits: []diag.Edit{{Range: p.f.TokenRange(tok), NewText: k.String()}}}}
}

// near reports whether a word is a slip of the pen away from another: one letter
// more, less, other or swapped; two for words of six letters or more.
func near(word, want string) bool {
	limit := 1
	if len(want) >= 6 {
		limit = 2
	}
	if word == want || len(word) < 2 || len(word) > len(want)+limit || len(want) > len(word)+limit {
		return false
	}
	return editDistance(strings.ToLower(word), want) <= limit
}

// editDistance counts insertions, deletions, replacements and swaps of neighbours.
func editDistance(a, b string) int {
	prev2, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}

// enter counts a level of nesting; it reports false, after an error, when there are
// too many. The rest of the declaration is then skipped.
func (p *parser) enter() bool {
	p.depth++
	if p.depth <= p.maxDepth {
		return true
	}
	p.tooDeep("nested")
	return false
}

func (p *parser) leave() { p.depth-- }

func (p *parser) tooDeep(what string) {
	d := p.errorAt(codeDeep, p.i, "%s too deep", what)
	d.Help = fmt.Sprintf("the limit is %d levels", p.maxDepth)
	if p.failed() {
		return
	}
	for !p.atDecl() {
		p.next()
	}
	p.lastErr = p.i // what the open constructs miss here is no news
}

// atDecl reports whether the current token begins a declaration, or nothing follows.
func (p *parser) atDecl() bool {
	switch p.k {
	case EOF, KwProbe, KwGlobal, KwPrivate, KwFunction:
		return true
	case Embedded:
		return p.toks[p.i].Flags&OpensLine != 0 && p.depth == 0
	}
	return false
}

// ---- Declarations ----

func (p *parser) file() {
	for p.k != EOF {
		at := p.i
		p.f.Decls = append(p.f.Decls, p.decl())
		if p.i == at && p.k != EOF {
			p.next()
		}
	}
}

func (p *parser) decl() Decl {
	p.depth, p.ops = 0, 0
	if p.atDecl() {
		p.blocks, p.hints, p.declTok = p.blocks[:0], p.hints[:0], p.i
	}
	if p.src {
		return p.sourceDecl()
	}
	return p.plainDecl()
}

func (p *parser) plainDecl() Decl {
	switch p.k {
	case KwProbe:
		at := p.i
		p.keyword()
		return p.probe(at)
	case KwGlobal:
		at := p.i
		p.keyword()
		return p.global(at, false)
	case KwFunction:
		at := p.i
		p.keyword()
		return p.function(at, false)
	case KwPrivate:
		return p.private()
	case Embedded:
		at := p.i
		code := p.embedded()
		return &EmbeddedDecl{p.span(at), code}
	}
	return p.badDecl()
}

// keyword consumes the keyword of a declaration, and what stands between it and the
// name by mistake.
func (p *parser) keyword() {
	p.next()
	for p.k == RBrace || p.k == RParen || p.k == Embedded && p.peek(1) == Name {
		if k := p.peek(1); k != Name && k != Mul && k != LBrace {
			return
		}
		p.error(codeIdent, p.i, "expected identifier")
		p.next()
	}
}

func (p *parser) private() Decl {
	at := p.i
	if p.opt.before("3.0") {
		p.error(codeOldSyntax, at, "'private' needs --compatible 3.0 or newer")
	}
	p.next()
	switch p.k {
	case KwFunction:
		p.next()
		return p.function(at, true)
	case KwGlobal:
		p.next()
		return p.global(at, true)
	case Name:
		if near(p.text(p.i), "function") && p.peek(1) == Name {
			p.misspelt(p.i, KwFunction)
			p.next()
			return p.function(at, true)
		}
		return p.global(at, true)
	}
	p.error(codeExpected, p.i, "expected 'function' or 'global' or an identifier")
	return &BadDecl{span: p.span(at)}
}

func (p *parser) global(at int, private bool) Decl {
	g := &GlobalDecl{Private: private}
	for {
		before := p.i
		g.Vars = append(g.Vars, p.globalVar())
		if p.k == Comma {
			p.next()
			continue
		}
		if p.i == before {
			break
		}
		// "global a b": the comma was forgotten, unless b begins something else.
		if p.k == Name && p.toks[p.i].Flags&OpensLine == 0 && !p.src {
			p.expect(Comma)
			continue
		}
		break
	}
	p.accept(Semi)
	g.span = p.span(at)
	return g
}

func (p *parser) globalVar() *GlobalVar {
	m := p.mark()
	if !p.src {
		return p.plainGlobalVar()
	}
	var v *GlobalVar
	if p.k != PPOpen {
		v = p.plainGlobalVar()
	}
	if vb := p.verbatimEntry(m, scanGlobal); vb != nil {
		return &GlobalVar{span: vb.span, Verbatim: vb}
	}
	if v == nil {
		v = p.plainGlobalVar()
	}
	return v
}

func (p *parser) plainGlobalVar() *GlobalVar {
	v, at := &GlobalVar{}, p.i
	if p.atDecl() && !p.atLineStart() && p.peek(1) == Name && p.toks[p.peekAt(2)].Flags&OpensLine != 0 {
		p.error(codeIdent, p.i, "expected identifier") // a keyword that slipped in
		p.next()
	}
	v.Name = p.ident()
	if v.Name == nil {
		v.span = p.span(at)
		return v
	}
	if p.globals == nil {
		p.globals = map[string]*Ident{}
	}
	if old := p.globals[v.Name.Name]; old != nil && !p.src {
		d := p.error(codeDupGlobal, int(v.Name.first), "duplicate global name")
		d.Related = append(d.Related, diag.Related{Range: Range(old), Message: "it was declared here"})
	} else {
		p.globals[v.Name.Name] = v.Name
	}
	if p.k == Mod {
		v.Wrap = true
		p.next()
	} else if p.k == ModAssign { // "a%=1" lexes as one operator, as it does in SystemTap
		p.error(codeExpected, p.i, "expected ',' or ';' or a declaration")
	}
	if p.k == LBrack {
		p.next()
		num := p.i
		v.Size = p.number()
		if n, ok := v.Size.(*NumberLit); ok {
			if n.Value < 1 || n.Value > 1<<31-1 {
				p.error(codeRange, num, "array size out of range")
			} else {
				v.MaxSize = n.Value
			}
		}
		p.expect(RBrack)
	}
	if p.k == Assign {
		if v.Size != nil {
			p.error(codeInit, p.i, "only scalar globals can be initialized")
		}
		p.next()
		v.Init = p.literal()
	}
	v.span = p.span(at)
	return v
}

// ident parses an identifier; nil, after an error, if there is none.
func (p *parser) ident() *Ident {
	if p.k != Name {
		d := p.error(codeIdent, p.i, "expected identifier")
		if p.k.IsKeyword() {
			d.Help = fmt.Sprintf("'%s' is a keyword", p.k)
			if n := p.peek(1); n == Assign || n == Comma || n == Semi || n == RParen || n == LBrack || n == KwIn {
				id := &Ident{span{p.f, int32(p.i), int32(p.i)}, p.k.String()}
				p.next()
				return id
			}
		} else if p.canSkip() && p.peek(1) == Name && p.k != RParen && p.k != LParen {
			p.next()
			return p.ident()
		}
		return nil
	}
	id := &Ident{span{p.f, int32(p.i), int32(p.i)}, p.text(p.i)}
	p.next()
	return id
}

func (p *parser) function(at int, private bool) Decl {
	fn := &FuncDecl{Private: private}
	switch p.k {
	case KwString, KwLong:
		fn.Name = &Ident{span{p.f, int32(p.i), int32(p.i)}, p.k.String()}
		p.next()
	default:
		fn.Name = p.ident()
	}
	if p.k == Colon {
		p.next()
		fn.Result = p.typeName()
	}
	p.expect(LParen)
	for p.k != RParen && p.k != LBrace && p.k != Embedded && !p.atDecl() {
		before := p.i
		fn.Params = append(fn.Params, p.param())
		if p.k == Comma {
			p.next()
			continue
		}
		if p.k == RParen {
			break
		}
		if p.k == Name && p.i != before {
			p.expect(Comma)
			continue
		}
		if p.i == before {
			if p.k == Colon || p.k == LBrace {
				break
			}
			p.next()
		} else if p.k != Colon && p.k != LBrace && p.k != Embedded {
			p.error(codeExpected, p.i, "expected ',' or ')'")
			if p.canSkip() && !p.atDecl() {
				p.next()
				p.accept(Comma)
			}
		} else {
			break
		}
	}
	p.expect(RParen)
	if p.k == Colon {
		p.next()
		num := p.i
		if n, ok := p.number().(*NumberLit); ok {
			fn.Priority, fn.PriorityTok = n.Value, num
			if n.Value < 1 {
				p.error(codeRange, num, "priority must be larger than zero")
			}
		}
	}
	was := p.inFunc
	p.inFunc = true
	switch {
	case p.k == Embedded:
		fn.Code = p.embedded()
	default:
		fn.Body = p.body(fn)
	}
	p.inFunc = was
	fn.span = p.span(at)
	return fn
}

func (p *parser) typeName() Type {
	switch p.k {
	case KwLong:
		p.next()
		return LongType
	case KwString:
		p.next()
		return StringType
	}
	d := p.error(codeExpected, p.i, "expected 'string' or 'long'")
	if p.k == Name {
		if w := p.text(p.i); near(w, "string") || w == "str" {
			d.Help = "did you mean 'string'?"
		} else if near(w, "long") || w == "int" {
			d.Help = "did you mean 'long'?"
		}
		p.next()
	}
	return NoType
}

func (p *parser) param() *Param {
	m := p.mark()
	if !p.src {
		return p.plainParam()
	}
	var par *Param
	if p.k != PPOpen {
		par = p.plainParam()
	}
	if vb := p.verbatimEntry(m, scanItem); vb != nil {
		return &Param{span: vb.span, Verbatim: vb}
	}
	if par == nil {
		par = p.plainParam()
	}
	return par
}

func (p *parser) plainParam() *Param {
	m, at := &Param{}, p.i
	m.Name = p.ident()
	if p.k == Colon {
		p.next()
		m.Type = p.typeName()
	}
	m.span = p.span(at)
	return m
}

// body parses the block of a probe or function, also when its brace is missing.
func (p *parser) body(owner any) *Block {
	if p.k == LBrace {
		return p.block()
	}
	if p.atDecl() || p.k == RBrace && p.atLineStart() {
		p.error(codeExpected, p.i, "expected '{'")
		return nil
	}
	return p.block()
}

func (p *parser) atLineStart() bool { return p.toks[p.i].Flags&OpensLine != 0 }

func (p *parser) embedded() *EmbeddedCode {
	text := strings.TrimSuffix(strings.TrimPrefix(p.text(p.i), "%{"), "%}")
	if !p.opt.Privileged && !p.opt.Library && !p.src {
		d := p.error(codeGuru, p.i, "embedded code in unprivileged script; need stap -g")
		d.Help = "run in guru mode (-g) if the script is to be trusted with C code"
	}
	at := p.i
	p.next()
	return &EmbeddedCode{p.span(at), text}
}

func (p *parser) probe(at int) Decl {
	var names []*ProbePoint
	var points []Point
	op := EOF
	for {
		if p.k == LBrace && p.blockFollows() || p.atDecl() && !p.keywordComponent() || p.k == RBrace {
			p.error(codeExpected, p.i, "expected probe point specifier")
			break
		}
		before := p.i
		pt := p.point()
		if (p.k == Assign || p.k == AddAssign) && len(points) == 0 && op != AddAssign {
			if pp, ok := pt.(*ProbePoint); ok {
				p.aliasName(pp)
				names = append(names, pp)
				op = p.k
				p.next()
				continue
			}
		}
		points = append(points, pt)
		if p.k == Comma {
			p.next()
			continue
		}
		if p.k == LBrace {
			break
		}
		if p.i != before && p.listGoesOn(pt) {
			continue
		}
		if p.i == before && p.canSkip() {
			p.next()
		}
		if p.typedList() {
			break
		}
		if p.atDecl() || p.k == RBrace {
			break
		}
		// Neither a separator nor a body: perhaps a comma or the brace is missing.
		if (p.k == Name || p.k == Mul) && p.pointFollows() {
			p.error(codeExpected, p.i, "expected ',' or '{'")
			continue
		}
		if p.canSkip() && (p.peek(1) == LBrace || p.peek(1) == Comma) {
			p.error(codeExpected, p.i, "expected ',' or '{'")
			p.next()
			if p.accept(Comma) {
				continue
			}
		}
		break
	}
	if len(names) == 0 {
		d := &ProbeDecl{Points: points}
		d.Body = p.body(d)
		d.span = p.span(at)
		return d
	}
	a := &AliasDecl{Names: names, Op: op, Points: points}
	a.Body = p.body(a)
	if p.k == Comma {
		if op == AddAssign {
			p.error(codeAlias, p.i, "an epilogue body stands only with '='")
		}
		p.next()
		a.Epilogue = p.body(a)
	}
	a.span = p.span(at)
	return a
}

// keywordComponent reports whether the keyword of a declaration is meant as the name of
// a component, going by what follows it.
func (p *parser) keywordComponent() bool {
	i := p.after(p.i)
	switch p.toks[i].Kind {
	case Dot, Question, Not, Comma, Assign, AddAssign, KwIf:
		return true
	case LBrace:
		return p.k != KwProbe || !p.atLineStart()
	case LParen:
		k := p.kindBehind(i)
		return k == String || k == Number || k == Sub
	case Name, Mul:
		return p.glued(p.i, i)
	}
	return false
}

func (p *parser) aliasName(pp *ProbePoint) {
	switch {
	case pp.Sufficient:
		p.error(codeAlias, pp.Last(), "probe point alias name cannot be sufficient")
	case pp.Optional:
		p.error(codeAlias, pp.Last(), "probe point alias name cannot be optional")
	case pp.Cond != nil:
		p.error(codeAlias, pp.Cond.First(), "probe point alias name cannot have a condition")
	}
}

// blockFollows tells a handler's "{", whose probe point is missing, from that of a
// brace group by what follows its "}".
func (p *parser) blockFollows() bool {
	depth := 0
	for i, n := p.i, 0; n < 5000 && p.spend(1); i, n = p.after(i), n+1 {
		switch p.toks[i].Kind {
		case EOF:
			return true
		case LBrace:
			depth++
		case RBrace:
			if depth--; depth == 0 {
				switch p.kindBehind(i) {
				case Dot, LBrace, Comma, Question, Not, Assign, AddAssign, KwIf, PPOpen, PPElse, PPClose:
					return false
				}
				return true
			}
		}
	}
	return true
}

// pointFollows guesses whether the current word begins a probe point rather than the
// first statement of a handler without "{".
func (p *parser) pointFollows() bool {
	last := p.k
	for i, n := p.after(p.i), 0; n < 60 && p.spend(1); i, n = p.after(i), n+1 {
		switch k := p.toks[i].Kind; {
		case k == LBrace:
			return true
		case k == Dot, k == Comma, k == Name, k == String, k == Number, k == Mul, k == Question, k == Not, k == LParen, k == RParen:
		case k.IsKeyword() && last == Dot:
		default:
			return false
		}
		last = p.toks[i].Kind
	}
	return false
}

// typedList reports the variables that "-L" lists behind a probe point and skips
// them, up to the handler.
func (p *parser) typedList() bool {
	if p.k != Name || p.atLineStart() {
		return false
	}
	switch k := p.peek(1); {
	case k == Colon:
	case strings.HasPrefix(p.text(p.i), "$") && (k == LBrace || k == Name || k == Comma):
	default:
		return false
	}
	end, i := p.i, p.i
scan:
	for n := 0; n < 2000 && p.spend(1); n++ {
		switch p.toks[i].Kind {
		case LBrace, EOF, KwProbe, KwGlobal, KwFunction, RBrace, Semi:
			break scan
		}
		end, i = i, p.after(i)
	}
	if p.toks[i].Kind != LBrace {
		return false
	}
	d := p.error(codeTypedList, p.i, "variables listed behind a probe point")
	r := p.f.tokensRange(p.i, end)
	d.Range = r
	d.Help = "the list that 'stap -L' prints is not part of the probe point; use the variables inside the handler"
	r.Start = p.f.TokenRange(p.prev).End
	d.Fixes = []diag.Fix{{Message: "remove the list of variables", Safe: true, Edits: []diag.Edit{{Range: r}}}}
	for p.i <= end {
		p.next()
	}
	return true
}

// points parses a list up to the closing brace of a group.
func (p *parser) points() []Point {
	var list []Point
	for {
		before := p.i
		pt := p.point()
		list = append(list, pt)
		if p.k == Comma {
			p.next()
			continue
		}
		if p.i != before && p.listGoesOn(pt) {
			continue
		}
		if p.k == RBrace || p.k == EOF || p.i == before || p.atDecl() {
			return list
		}
		if p.k == Name {
			p.expect(Comma)
			continue
		}
		return list
	}
}

func (p *parser) point() Point {
	if p.src {
		return p.sourcePoint()
	}
	return p.plainPoint()
}

func (p *parser) plainPoint() Point {
	pp, at := &ProbePoint{}, p.i
	if !p.enter() {
		p.leave()
		return &BadPoint{p.span(at)}
	}
	defer p.leave()
	for {
		c := p.component()
		if c != nil {
			pp.Components = append(pp.Components, c)
		}
		if p.k == Dot {
			p.next()
			continue
		}
		if c == nil {
			break
		}
		// "kernel function(…)": the dot is missing.
		if (p.k == Name || p.k.IsKeyword() && p.k != KwIf && !p.atDecl()) && !p.atLineStart() && p.peek(1) == LParen && (p.peek(2) == String || p.peek(2) == Number) {
			p.expect(Dot)
			continue
		}
		break
	}
	if len(pp.Components) == 0 {
		return &BadPoint{p.span(at)}
	}
	switch p.k {
	case Question:
		pp.Optional = true
		p.next()
	case Not:
		pp.Optional, pp.Sufficient = true, true
		p.next()
	}
	if p.k == KwIf {
		p.next()
		p.expect(LParen)
		pp.Cond = p.expr()
		p.expect(RParen)
	}
	pp.span = p.span(at)
	return pp
}

// glued reports whether token b follows a without white space.
func (p *parser) glued(a, b int) bool {
	if b != a+1 {
		return false
	}
	ta, tb := &p.toks[a], &p.toks[b]
	if ta.Src == tb.Src && ta.Exp == tb.Exp {
		return ta.End == tb.Off
	}
	sa, ea := p.f.place(ta)
	sb, eb := p.f.place(tb)
	return sa.Src == sb.Src && ea == eb && sa.End == sb.Off
}

// component parses one part of a probe point; nil, after an error, if there is none.
func (p *parser) component() *Component {
	c, at := &Component{}, p.i
	switch {
	case p.k == LBrace:
		p.next()
		c.Group = p.points()
		p.expect(RBrace)
		c.span = p.span(at)
		return c
	case p.k == Name || p.k == Mul || p.k.IsKeyword():
		p.next()
		if (p.k == Name || p.k == Mul || p.k.IsKeyword()) && p.glued(p.prev, p.i) {
			var b strings.Builder
			b.WriteString(p.text(at))
			for (p.k == Name || p.k == Mul || p.k.IsKeyword()) && p.glued(p.prev, p.i) {
				b.WriteString(p.text(p.i))
				p.next()
			}
			c.Name = b.String()
		} else {
			c.Name = p.text(at)
		}
	case p.dynamic():
		c.Dynamic = p.dynamicComponent()
	default:
		p.error(codeIdent, p.i, "expected identifier or '*'")
		if p.canSkip() && p.k != LParen && p.k != Comma && p.k != Question && p.k != Not && p.k != Assign && p.k != AddAssign && p.k != Dot {
			p.next()
			if p.k == Name || p.k == Mul {
				return p.component()
			}
		} else if p.k == LParen { // a name is missing before its argument
			p.next()
			p.literal()
			p.expect(RParen)
			c.span = p.span(at)
			return c
		}
		return nil
	}
	if p.k == LParen {
		p.next()
		c.Arg = p.literal()
		if p.k != RParen && p.k != LBrace && !p.atDecl() {
			p.expect(RParen)
			for n := 0; n < 8; n++ { // skip to the parenthesis if it is near
				if k := p.peek(n); k == RParen && p.k != RParen {
					for p.k != RParen {
						p.next()
					}
					p.next()
					break
				} else if k == LBrace || k == Comma || k == EOF || k == Dot || k == RBrace {
					break
				}
			}
		} else {
			p.expect(RParen)
		}
	}
	c.span = p.span(at)
	return c
}

// dynamic reports whether something that stands for a component begins here.
func (p *parser) dynamic() bool {
	return p.k == Arg || p.k == ArgStr || p.src && (p.k == AtWord || p.k == PPOpen)
}

func (p *parser) dynamicComponent() Expr {
	switch p.k {
	case Arg, ArgStr:
		return p.scriptArg()
	}
	return p.sourceComponent()
}
