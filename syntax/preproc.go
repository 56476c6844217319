package syntax

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"stapkit/diag"
)

// preproc makes the token stream of the expanded view: it expands macros, decides
// conditionals and drops both. It streams, because macros may open conditionals that
// the text behind them closes.
type preproc struct {
	f      *File
	opt    *Options
	frames []ppFrame
	unread []Token
	out    []Token
	limit  int // largest length of out

	macros map[string]*Macro
	// expMacro tells for each entry of f.Expansions the macro it expands, to find recursion.
	expMacro map[int32]*Macro
	libSrc   map[*Source]uint16
	steps    int // macro and parameter uses, which may yield no token
	huge     bool
	rescans  int // how often tokens were given back
}

// maxRescans bounds how often tokens are given back, since each time they are read to
// the end of the file again.
const maxRescans = 50

// A ppFrame is a run of tokens being read: the file, a macro body or an argument.
type ppFrame struct {
	toks []Token
	i    int
	base bool // the file itself: tokens keep what they have
	lib  bool // tokens come from a library macro: Src is src
	src  uint16
	exp  int32
	ctx  *macroCtx // the macro whose parameters are in scope
}

type macroCtx struct {
	macro *Macro
	args  []ppFrame // closures: argument tokens in the scope of the caller
}

// needsPreproc reports whether any token asks for preprocessing.
func needsPreproc(f *File, toks []Token, lib *MacroSet) bool {
	for i := range toks {
		switch k := toks[i].Kind; {
		case k >= PPOpen && k <= PPClose:
			return true
		case k == AtWord:
			w := f.Sources[toks[i].Src].str[toks[i].Off+1 : toks[i].End]
			if w == "define" || lib != nil && lib.byName[w] != nil {
				return true
			}
		}
	}
	return false
}

// preprocess gives the tokens of the expanded view.
func preprocess(f *File, toks []Token, opt *Options) []Token {
	p := &preproc{f: f, opt: opt, out: make([]Token, 0, len(toks)),
		macros: map[string]*Macro{}, expMacro: map[int32]*Macro{}, libSrc: map[*Source]uint16{}}
	p.limit = opt.MaxTokens
	if p.limit <= 0 {
		p.limit = DefaultMaxTokens + 8*len(toks)
	}
	p.frames = append(p.frames, ppFrame{toks: toks, base: true})
	p.run()
	return p.out
}

func (p *preproc) text(t *Token) string {
	return p.f.Sources[t.Src].str[t.Off:t.End]
}

func (p *preproc) errorAt(code diag.Code, t *Token, format string, args ...any) *diag.Diagnostic {
	if len(p.f.Diags) >= p.f.maxDiags {
		return &p.f.dropped
	}
	return p.f.errorToken(code, t, sawAt, fmt.Sprintf(format, args...))
}

type ppCond struct {
	open     Token
	inElse   bool
	reported bool // as having no end
}

func (p *preproc) run() {
	var conds []ppCond
	maxDepth := p.opt.maxDepth()
	for {
		t := p.next(true, true)
		switch t.Kind {
		case EOF:
			for _, c := range conds {
				if c.reported {
					continue
				}
				d := p.errorAt(codeOpenCond, &c.open, "incomplete conditional at end of file")
				d.Help = "close the conditional with '%)'"
			}
			p.out = append(p.out, t)
			return
		case PPOpen:
			if len(conds) >= maxDepth {
				p.errorAt(codeDeep, &t, "conditionals are nested too deep")
				p.frames = p.frames[:1]
				p.frames[0].i = len(p.frames[0].toks) - 1
				conds = nil
				continue
			}
			taken, ok := p.condition(&t)
			if !ok {
				continue // the conditional ended inside its condition
			}
			c := ppCond{open: t}
			if !taken {
				switch p.skip() {
				case PPClose:
					continue
				case PPElse:
					c.inElse = true
				default:
					p.reopen(&c.open)
					continue
				}
			}
			conds = append(conds, c)
		case PPElse:
			switch n := len(conds); {
			case n == 0:
				p.errorAt(codeStrayCond, &t, "incomplete conditional - missing '%%('")
			case conds[n-1].inElse:
				p.errorAt(codeStrayCond, &t, "invalid conditional - duplicate '%%:'")
			default:
				for k := p.skip(); ; k = p.skip() {
					if k == PPElse {
						p.errorAt(codeStrayCond, &t, "invalid conditional - duplicate '%%:'")
						continue
					}
					if k == PPClose {
						conds = conds[:n-1]
					} else {
						p.reopen(&t)
						conds[n-1].reported = true
					}
					break
				}
			}
		case PPClose:
			if len(conds) == 0 {
				p.errorAt(codeStrayCond, &t, "incomplete conditional - missing '%%('")
				continue
			}
			conds = conds[:len(conds)-1]
		case PPThen:
			p.errorAt(codeStrayCond, &t, "incomplete conditional - missing '%%('")
		default:
			if len(p.out) >= p.limit {
				p.stop(&t)
				continue
			}
			p.out = append(p.out, t)
		}
	}
}

// stop gives up the file when macros make too much of it.
func (p *preproc) stop(t *Token) {
	if !p.huge {
		p.huge = true
		p.errorAt(codeHuge, t, "macros expand to more than %d tokens", p.limit)
	}
	p.frames = p.frames[:1]
	p.frames[0].i = len(p.frames[0].toks) - 1
}

// skip passes over a branch that is not taken; macros are neither expanded nor
// defined there. It consumes the token that ends the branch and gives its kind.
func (p *preproc) skip() Kind {
	for depth := 0; ; {
		t := p.next(false, false)
		switch t.Kind {
		case EOF:
			p.unread = append(p.unread, t)
			return EOF
		case PPOpen:
			depth++
		case PPElse:
			if depth == 0 {
				return PPElse
			}
		case PPClose:
			if depth == 0 {
				return PPClose
			}
			depth--
		}
	}
}

// reopen goes on after a branch that was skipped to the end of the file: its
// conditional has no end. What follows the next declaration that begins a line is
// taken after all.
func (p *preproc) reopen(at *Token) {
	d := p.errorAt(codeOpenCond, at, "incomplete conditional at end of file")
	d.Help = "close the conditional with '%)'"
	if p.rescans++; p.rescans > maxRescans {
		return
	}
	p.unread = p.unread[:0]
	fr := &p.frames[0]
	p.frames = p.frames[:1]
	for fr.i = p.tokenAt(fr.toks, at); fr.toks[fr.i].Kind != EOF; fr.i++ {
		if t := &fr.toks[fr.i]; t.Flags&OpensLine != 0 {
			switch t.Kind {
			case KwProbe, KwGlobal, KwFunction, KwPrivate:
				return
			}
		}
	}
}

// tokenAt finds the token of the file that begins behind the place of t.
func (p *preproc) tokenAt(toks []Token, t *Token) int {
	s, exp := Span{t.Src, t.Off, t.End}, t.Exp
	for ; exp > 0; exp = p.f.Expansions[exp].Parent {
		s = p.f.Expansions[exp].Use
	}
	for i := range toks {
		if toks[i].Src == s.Src && toks[i].Off >= s.End || toks[i].Kind == EOF {
			return i
		}
	}
	return len(toks) - 1
}

// next gives the next token, never a comment; with emit, comments of the file go to
// the output. With expand, macros are expanded and definitions taken in.
func (p *preproc) next(expand, emit bool) Token {
	if n := len(p.unread); n > 0 {
		t := p.unread[n-1]
		p.unread = p.unread[:n-1]
		return t
	}
	for {
		fr := &p.frames[len(p.frames)-1]
		if fr.i >= len(fr.toks) {
			p.frames = p.frames[:len(p.frames)-1]
			continue
		}
		t := fr.toks[fr.i]
		if t.Kind == EOF {
			return t
		}
		fr.i++
		if t.Kind == Comment {
			if emit && fr.base {
				p.out = append(p.out, t)
			}
			continue
		}
		if !fr.base {
			t = p.relocate(fr, t)
		}
		if t.Kind != AtWord || !expand || t.Flags&Broken != 0 {
			return t
		}
		if !p.expand(&t) {
			return t
		}
	}
}

// relocate gives a token of a macro body the origin of this expansion.
func (p *preproc) relocate(fr *ppFrame, t Token) Token {
	t.Flags &^= OpensLine
	if fr.lib {
		t.Src = fr.src
	}
	if t.Exp != 0 && t.Exp != fr.exp && p.f.Expansions[t.Exp].Kind == ArgExpansion {
		e := p.f.Expansions[t.Exp] // a script argument inside the body
		e.Parent = fr.exp
		t.Exp = int32(len(p.f.Expansions))
		p.f.Expansions = append(p.f.Expansions, e)
		return t
	}
	t.Exp = fr.exp
	return t
}

// expand handles an @word that was just read. It reports false when the word is no
// macro and stays in the stream.
func (p *preproc) expand(t *Token) bool {
	fr := &p.frames[len(p.frames)-1]
	name := p.text(t)[1:]
	if fr.ctx != nil {
		for i, param := range slices.Backward(fr.ctx.macro.Params) {
			if param == name {
				if i < len(fr.ctx.args) {
					p.push(t, fr.ctx.args[i])
				}
				return true
			}
		}
	}
	if name == "define" {
		if !fr.base {
			p.errorAt(codeDefine, t, "attempt to define a macro inside a macro")
			t.Flags |= Broken
			return false
		}
		p.define(t)
		return true
	}
	m := p.lookup(name, fr.ctx)
	if m == nil {
		return false
	}
	for e := t.Exp; e > 0; e = p.f.Expansions[e].Parent {
		if p.expMacro[e] == m {
			p.errorAt(codeRecursive, t, "recursive use of macro '@%s'", name)
			t.Flags |= Broken
			return false
		}
	}
	ctx, use := &macroCtx{macro: m}, Span{t.Src, t.Off, t.End}
	if m.HasParens {
		args, next, at, problem := p.args(fr, len(m.Params))
		if problem != "" {
			where := *t
			if at >= 0 { // the token that is wrong, where it stands
				if where = fr.toks[at]; !fr.base {
					where = p.relocate(fr, where)
				}
			}
			d := p.errorAt(codeMacroArgs, &where, "%s", strings.NewReplacer("@@", "@"+name, "##", count(len(m.Params), "parameter")).Replace(problem))
			d.Related = append(d.Related, diag.Related{Range: m.defRange(), Message: "the macro is defined here"})
			t.Flags |= Broken
			return false
		}
		if last := &fr.toks[next-1]; fr.lib || last.Src == t.Src {
			use.End = last.End
		}
		fr.i = next
		ctx.args = args
	}
	exp := int32(len(p.f.Expansions))
	p.f.Expansions = append(p.f.Expansions, Expansion{Kind: MacroExpansion, Name: "@" + name, Parent: t.Exp, Use: use})
	p.expMacro[exp] = m
	body := ppFrame{toks: m.Body, exp: exp, ctx: ctx}
	if m.Library {
		body.lib = true
		body.src = p.librarySource(m.Source)
	}
	p.push(t, body)
	return true
}

// push starts to read a run of tokens.
func (p *preproc) push(t *Token, fr ppFrame) {
	if p.steps++; p.steps > p.limit {
		p.stop(t)
		return
	}
	if len(p.frames) > 1 { // tail use: drop the finished frame, so that chains stay short
		if top := &p.frames[len(p.frames)-1]; !top.base && top.i >= len(top.toks) {
			p.frames = p.frames[:len(p.frames)-1]
		}
	}
	if len(p.frames) > p.opt.maxDepth() {
		p.errorAt(codeDeep, t, "macros are nested too deep")
		return
	}
	p.frames = append(p.frames, fr)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// lookup finds a macro. A library macro sees library macros only.
func (p *preproc) lookup(name string, ctx *macroCtx) *Macro {
	if ctx == nil || !ctx.macro.Library {
		if m := p.macros[name]; m != nil {
			return m
		}
	}
	return p.opt.Macros.Lookup(name)
}

func (p *preproc) librarySource(s *Source) uint16 {
	src, ok := p.libSrc[s]
	if !ok {
		src = uint16(len(p.f.Sources))
		p.f.Sources = append(p.f.Sources, s)
		p.libSrc[s] = src
	}
	return src
}

// args splits the parenthesised arguments that follow in the frame, of which there
// should be want, and gives the index behind them. What is wrong is told with the index
// of the token at which it shows, -1 for the macro itself; "@@" and "##" in it stand for
// the macro's name and the number of its parameters.
func (p *preproc) args(fr *ppFrame, want int) (args []ppFrame, next, at int, problem string) {
	const few, many = "too few parameters for macro '@@', which takes ##", "too many parameters for macro '@@', which takes ##"
	i := fr.i
	for i < len(fr.toks) && fr.toks[i].Kind == Comment {
		i++
	}
	if i >= len(fr.toks) || fr.toks[i].Kind != LParen {
		if at = i; i >= len(fr.toks) || fr.toks[i].Kind == EOF {
			at = -1
		}
		return nil, 0, at, "expected '(' in invocation of macro '@@', which takes ##"
	}
	i++
	closure := func(from, to int) ppFrame {
		a := *fr
		a.toks, a.i, a.base = fr.toks[from:to], 0, false
		if fr.base { // tokens of the file keep their own origin
			a.exp = 0
		}
		return a
	}
	first := i
	defer func() { p.steps += (i - first) / 16 }() // nested uses are scanned again
	extra := -1                                    // the comma behind the last argument that is wanted
	for start, depth := i, 0; i < len(fr.toks); i++ {
		switch fr.toks[i].Kind {
		case EOF:
			return nil, 0, -1, "could not find end of macro invocation: the arguments of '@@' have no ')'"
		case LParen, LBrack:
			depth++
		case RBrack:
			depth--
		case RParen:
			if depth > 0 {
				depth--
				continue
			}
			args = append(args, closure(start, i))
			switch {
			case extra >= 0:
				return nil, 0, extra, many
			case len(args) < want:
				return nil, 0, i, few
			}
			return args, i + 1, -1, ""
		case Comma:
			if depth == 0 {
				args = append(args, closure(start, i))
				start = i + 1
				if len(args) == want {
					extra = i
				}
			}
		}
	}
	return nil, 0, -1, "could not find end of macro invocation: the arguments of '@@' have no ')'"
}

// peekBase moves the base frame to its next token and gives it.
func (p *preproc) peekBase() *Token {
	fr := &p.frames[0]
	for fr.toks[fr.i].Kind == Comment {
		fr.i++
	}
	return &fr.toks[fr.i]
}

// define takes in a macro definition; "@define" was just read from the file.
func (p *preproc) define(at *Token) {
	fr := &p.frames[0]
	nameTok := *p.peekBase()
	if nameTok.Kind != Name {
		p.errorAt(codeDefine, &nameTok, "expected identifier")
		return
	}
	fr.i++
	m := &Macro{Name: p.text(&nameTok), Def: Span{nameTok.Src, nameTok.Off, nameTok.End},
		Source: p.f.Sources[nameTok.Src], Library: p.opt.library}
	bad := false
	if m.Name == "define" {
		p.errorAt(codeDefine, &nameTok, "attempt to redefine '@define'")
		bad = true
	} else if old := p.macros[m.Name]; old != nil {
		d := p.errorAt(codeRedefine, &nameTok, "attempt to redefine macro '@%s' in the same file", m.Name)
		d.Related = append(d.Related, diag.Related{Range: old.defRange(), Message: "the macro was first defined here"})
		bad = true
	} else if isAtOperator(m.Name) {
		p.f.warnToken(codeShadow, &nameTok, "macro redefines built-in operator '@"+m.Name+"'")
	}
	if p.peekBase().Kind == LParen {
		fr.i++
		m.HasParens = true
		for {
			t := *p.peekBase()
			if t.Kind != Name {
				d := p.errorAt(codeDefine, &t, "expected identifier")
				if t.Kind == RParen && len(m.Params) == 0 {
					d.Help = "a macro without parameters has no parentheses, neither here nor where it is used"
					fr.i++
				}
				bad = true
				break
			}
			fr.i++
			for _, have := range m.Params {
				if have == p.text(&t) {
					p.f.warnToken(codeTwiceParam, &t, "duplicate macro parameter '"+have+"' hides the one before")
				}
			}
			m.Params = append(m.Params, p.text(&t))
			if t := *p.peekBase(); t.Kind == Comma {
				fr.i++
				continue
			} else if t.Kind == RParen {
				fr.i++
				break
			} else {
				p.errorAt(codeDefine, &t, "expected ',' or ')'")
				bad = true
				break
			}
		}
	}
	if t := *p.peekBase(); t.Kind != PPOpen {
		if !bad {
			d := p.errorAt(codeDefine, &t, "expected '%%('")
			d.Help = "write the body between '%(' and '%)'"
		}
		return
	}
	open := fr.toks[fr.i]
	fr.i++
	for depth := 0; ; fr.i++ {
		t := fr.toks[fr.i]
		switch t.Kind {
		case EOF:
			p.errorAt(codeDefine, &open, "incomplete macro definition - missing '%%)'")
			if p.rescans++; p.rescans > maxRescans {
				return
			}
			// The declarations that were swallowed are given back.
			for fr.i = p.tokenAt(fr.toks, &open); fr.toks[fr.i].Kind != EOF; fr.i++ {
				if t := &fr.toks[fr.i]; t.Flags&OpensLine != 0 {
					switch {
					case t.Kind == KwProbe || t.Kind == KwGlobal || t.Kind == KwFunction || t.Kind == KwPrivate,
						t.Kind == AtWord && p.text(t) == "@define":
						return
					}
				}
			}
			return
		case Comment:
			continue
		case PPOpen:
			depth++
		case PPClose:
			if depth == 0 {
				fr.i++
				if !bad {
					p.macros[m.Name] = m
					p.f.Macros = append(p.f.Macros, m)
				}
				return
			}
			depth--
		}
		m.Body = append(m.Body, t)
	}
}

func (m *Macro) defRange() diag.Range {
	mp := m.Source.Mapper()
	return diag.Range{Start: mp.Pos(int(m.Def.Off)), End: mp.Pos(int(m.Def.End))}
}

// tri is a truth value that may be unknown.
type tri int8

const (
	triFalse tri = iota
	triTrue
	triUnknown
)

func triOf(b bool) tri {
	if b {
		return triTrue
	}
	return triFalse
}

// condition reads a condition and its "%?". ok is false when the conditional ended
// before its first branch.
func (p *preproc) condition(open *Token) (taken, ok bool) {
	start := p.state()
	any, all := triFalse, triTrue // of the disjunction so far, of the current conjunction
	for {
		v, ok := p.comparison()
		if !ok {
			return p.resync(start)
		}
		all = and3(all, v)
		t := p.next(true, false)
		switch t.Kind {
		case AndAnd:
		case OrOr:
			any, all = or3(any, all), triTrue
		case PPThen:
			return or3(any, all) == triTrue, true
		default:
			// Go on as if the marker were there.
			d := p.errorAt(codeCond, open, "expected '%%?' marker for conditional")
			d.Help = "a condition is followed by '%?'"
			if t.Kind != EOF {
				s, _ := p.f.place(&t)
				d.Related = append(d.Related, diag.Related{Range: p.f.spanRange(s), Message: "the condition ends here"})
			}
			p.unread = append(p.unread, t)
			return or3(any, all) == triTrue, t.Kind != EOF && t.Kind != PPClose
		}
	}
}

func and3(a, b tri) tri {
	switch {
	case a == triFalse || b == triFalse:
		return triFalse
	case a == triUnknown || b == triUnknown:
		return triUnknown
	}
	return triTrue
}

func or3(a, b tri) tri {
	switch {
	case a == triTrue || b == triTrue:
		return triTrue
	case a == triUnknown || b == triUnknown:
		return triUnknown
	}
	return triFalse
}

// resync leaves a condition that was not understood. If its "%?" is near, the first
// branch is taken, so that nothing in it is lost; otherwise the "%(" is taken for a
// slip, and the tokens behind it are given back.
func (p *preproc) resync(start ppState) (taken, ok bool) {
	for n := 0; n < 30; n++ {
		t := p.next(false, false)
		switch t.Kind {
		case PPThen:
			return true, true
		case EOF, PPOpen, PPElse, PPClose, LBrace, RBrace, Semi:
			n = 30
		case KwProbe, KwGlobal, KwFunction, KwPrivate:
			if t.Flags&OpensLine != 0 {
				n = 30
			}
		}
	}
	p.frames, p.unread = start.frames, start.unread
	return false, false
}

// ppState is a place in the stream to go back to.
type ppState struct {
	frames []ppFrame
	unread []Token
}

func (p *preproc) state() ppState {
	return ppState{append([]ppFrame(nil), p.frames...), append([]Token(nil), p.unread...)}
}

func orderOp(k Kind) bool { return k == Lt || k == Gt || k == Le || k == Ge }

func compareOp(k Kind) bool { return k == Eq || k == Ne || orderOp(k) }

// holds applies a comparison operator to the sign of a comparison.
func holds(op Kind, cmp int) bool {
	switch op {
	case Eq:
		return cmp == 0
	case Ne:
		return cmp != 0
	case Lt:
		return cmp < 0
	case Gt:
		return cmp > 0
	case Le:
		return cmp <= 0
	}
	return cmp >= 0
}

// comparison reads "l op r" and evaluates it. ok is false after an error, with the
// offending token unread.
func (p *preproc) comparison() (v tri, ok bool) {
	fail := func(t Token, format string, args ...any) (tri, bool) {
		switch {
		case t.Flags&Broken == 0:
			p.errorAt(codeCond, &t, format, args...)
		case t.Kind >= Arg && t.Kind <= ArgCountStr:
			p.f.missingArg(&t, len(p.opt.Args))
		}
		p.unread = append(p.unread, t)
		return triUnknown, false
	}
	l := p.next(true, false)
	switch l.Kind {
	case Name, String, Number, Arg, ArgStr, ArgCount, ArgCountStr:
		if l.Flags&Broken != 0 {
			return fail(l, "")
		}
	default:
		return fail(l, "expected 'arch' or 'kernel_v' or 'kernel_vr' or 'systemtap_v' or 'systemtap_privilege' or 'runtime' or 'guru_mode' or 'CONFIG_...', or a comparison between strings or integers")
	}
	op := p.next(true, false)
	if !compareOp(op.Kind) {
		return fail(op, "expected comparison operator")
	}
	r := p.next(true, false)
	switch r.Kind {
	case Name, String, Number, Arg, ArgStr, ArgCount, ArgCountStr:
		if r.Flags&Broken != 0 {
			return fail(r, "")
		}
	default:
		if l.Kind == Number {
			return fail(r, "expected number")
		}
		return fail(r, "expected string literal")
	}
	unknownArg := l.Kind >= Arg && l.Kind <= ArgCountStr || r.Kind >= Arg && r.Kind <= ArgCountStr
	name := p.text(&l)
	if l.Kind == Name {
		equalityOnly := false
		switch name {
		case "kernel_v", "kernel_vr", "systemtap_v":
			if r.Kind != String && !unknownArg {
				return fail(r, "expected string literal")
			}
			if orderOp(op.Kind) && r.Kind == String && hasGlob(p.str(&r)) {
				return fail(r, "wildcard not allowed with order comparison operators")
			}
		case "arch", "runtime", "systemtap_privilege":
			equalityOnly = true
			if r.Kind != String && !unknownArg {
				return fail(r, "expected string literal")
			}
		case "guru_mode":
			equalityOnly = true
			if r.Kind != Number && !unknownArg {
				return fail(r, "expected number")
			}
			if n, ok := parseNumber(p.text(&r)); r.Kind == Number && (!ok || n != 0 && n != 1) {
				return fail(op, "expected 0 or 1")
			}
		default:
			if !strings.HasPrefix(name, "CONFIG_") {
				return fail(l, "expected 'arch' or 'kernel_v' or 'kernel_vr' or 'systemtap_v' or 'systemtap_privilege' or 'runtime' or 'guru_mode' or 'CONFIG_...', or a comparison between strings or integers")
			}
			if r.Kind == Name && !strings.HasPrefix(p.text(&r), "CONFIG_") {
				return fail(r, "expected string, number literal or other CONFIG_... as right side operand")
			}
			equalityOnly = r.Kind == String
		}
		if equalityOnly && orderOp(op.Kind) {
			return fail(op, "expected '==' or '!='")
		}
	}
	if unknownArg {
		return triUnknown, true
	}
	if l.Kind != Name {
		switch {
		case l.Kind == String && r.Kind == String:
			return triOf(holds(op.Kind, strings.Compare(p.str(&l), p.str(&r)))), true
		case l.Kind == Number && r.Kind == Number:
			a, okA := parseNumber(p.text(&l))
			b, okB := parseNumber(p.text(&r))
			if !okA {
				return fail(l, "number invalid or out of range")
			}
			if !okB {
				return fail(r, "number invalid or out of range")
			}
			return triOf(holds(op.Kind, compareInt(a, b))), true
		case l.Kind == String:
			return fail(r, "expected string literal as right value")
		}
		return fail(r, "expected number as right value")
	}
	value, known := p.opt.lookup(name)
	switch {
	case r.Kind == Name: // CONFIG_X op CONFIG_Y
		other, knownR := p.opt.lookup(p.text(&r))
		if !known || !knownR {
			return triUnknown, true
		}
		a, okA := parseNumber(value)
		b, okB := parseNumber(other)
		if okA && okB {
			return triOf(holds(op.Kind, compareInt(a, b))), true
		}
		return triOf(holds(op.Kind, strings.Compare(value, other))), true
	case !known:
		return triUnknown, true
	case r.Kind == Number:
		b, okB := parseNumber(p.text(&r))
		if !okB {
			return fail(r, "number invalid or out of range")
		}
		a, okA := parseNumber(value)
		if !okA { // unset, or no number: equal to none
			return triOf(op.Kind == Ne), true
		}
		return triOf(holds(op.Kind, compareInt(a, b))), true
	}
	want := p.str(&r)
	if op.Kind == Eq || op.Kind == Ne {
		switch {
		case strings.HasSuffix(name, "_v") || name == "kernel_vr":
			if hasGlob(want) {
				return triOf(MatchGlob(want, value) == (op.Kind == Eq)), true
			}
		default:
			return triOf(MatchGlob(want, value) == (op.Kind == Eq)), true
		}
	}
	return triOf(holds(op.Kind, CompareVersions(value, want))), true
}

// str gives the value of a string token.
func (p *preproc) str(t *Token) string {
	return decodeString(rawString(p.text(t)))
}

func compareInt(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
