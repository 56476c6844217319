package query

import (
	"regexp"
	"strings"

	"stapkit/format"
	"stapkit/sema"
	"stapkit/syntax"
)

// A TokenType is what a stretch of text is, for colours.
type TokenType uint8

// The types of tokens, as the Language Server Protocol names most of them.
const (
	KeywordToken TokenType = iota
	FunctionToken
	VariableToken
	ParameterToken
	PropertyToken
	EventToken // component of a probe point
	MacroToken
	StringToken
	NumberToken
	CommentToken
	OperatorToken
	RegexpToken
	TypeToken
	DirectiveToken // of a format
)

// TokenTypes are their names in order.
var TokenTypes = []string{"keyword", "function", "variable", "parameter", "property", "event", "macro", "string", "number", "comment",
	"operator", "regexp", "type", "regexp"}

// TokenModifiers are the names of the bits of Token.Mods in order.
var TokenModifiers = []string{"declaration", "readonly", "static", "deprecated", "modification", "documentation", "defaultLibrary"}

// The modifiers.
const (
	DeclarationMod  = 1 << iota
	ReadonlyMod     // a target variable
	StaticMod       // a global
	DeprecatedMod   //
	ModificationMod // it is written
	DocumentationMod
	LibraryMod
)

// A Token is a coloured stretch.
type Token struct {
	Start, End int
	Type       TokenType
	Mods       uint32
}

// Tokens colours the text between two offsets, in order.
func (s *Snapshot) Tokens(from, to int) []Token {
	src := s.Source()
	raw := src.Tokens
	typ := make([]int16, len(raw)) // type+1 by token
	mods := make([]uint32, len(raw))
	set := func(tok int, t TokenType, m uint32) {
		if tok >= 0 && tok < len(raw) {
			typ[tok], mods[tok] = int16(t)+1, mods[tok]|m
		}
	}
	globals := map[string]bool{}
	for _, d := range s.decls() {
		if g, ok := d.(*syntax.GlobalDecl); ok {
			for _, v := range g.Vars {
				if v.Name != nil {
					globals[v.Name.Name] = true
				}
			}
		}
	}
	own := map[string]bool{}
	for _, d := range s.decls() {
		if f, ok := d.(*syntax.FuncDecl); ok && f.Name != nil {
			own[f.Name.Name] = true
		}
	}
	var formats []*syntax.PrintExpr
	for _, d := range s.decls() {
		params := map[string]bool{}
		if f, ok := d.(*syntax.FuncDecl); ok {
			for _, p := range f.Params {
				if p.Name != nil {
					params[p.Name.Name] = true
				}
			}
		}
		name := func(id *syntax.Ident, m uint32) {
			switch {
			case id == nil:
			case params[id.Name]:
				set(id.First(), ParameterToken, m)
			case globals[id.Name]:
				set(id.First(), VariableToken, m|StaticMod)
			default:
				set(id.First(), VariableToken, m)
			}
		}
		syntax.Inspect(d, func(n syntax.Node) bool {
			switch n := n.(type) {
			case *syntax.FuncDecl:
				if n.Name != nil {
					set(n.Name.First(), FunctionToken, DeclarationMod)
				}
			case *syntax.Param:
				name(n.Name, DeclarationMod)
			case *syntax.GlobalVar:
				name(n.Name, DeclarationMod)
			case *syntax.Call:
				if n.Name != nil {
					m := uint32(0)
					if !own[n.Name.Name] {
						m = LibraryMod
					}
					set(n.Name.First(), FunctionToken, m)
				}
			case *syntax.PrintExpr:
				set(n.First(), FunctionToken, LibraryMod)
				if n.FormatLit != nil {
					formats = append(formats, n)
				}
			case *syntax.Ident:
				if typ[n.First()] == 0 {
					name(n, 0)
				}
			case *syntax.AssignExpr:
				if id, ok := n.L.(*syntax.Ident); ok {
					name(id, ModificationMod)
				}
			case *syntax.IncDec:
				if id, ok := n.X.(*syntax.Ident); ok {
					name(id, ModificationMod)
				}
			case *syntax.TargetVar:
				set(n.First(), VariableToken, ReadonlyMod)
			case *syntax.Accessor:
				if n.Member != "" {
					for i := n.First(); i <= n.Last(); i++ {
						if raw[i].Kind.IsWord() {
							set(i, PropertyToken, 0)
						}
					}
				}
			case *syntax.Component:
				for i := n.First(); i <= n.Last() && i < len(raw); i++ {
					if raw[i].Kind == syntax.LParen || raw[i].Kind == syntax.LBrace {
						break
					}
					if raw[i].Kind.IsWord() || raw[i].Kind == syntax.Mul {
						set(i, EventToken, 0)
					}
				}
			case *syntax.MacroDef:
				set(n.NameTok, MacroToken, DeclarationMod)
				for _, p := range n.ParamToks {
					set(p, ParameterToken, DeclarationMod)
				}
				for i := n.OpenTok; i <= n.CloseTok && i < len(raw); i++ {
					if raw[i].Kind == syntax.AtWord && contains(n.Params, strings.TrimPrefix(src.Text(i), "@")) {
						set(i, ParameterToken, 0)
					}
				}
			case *syntax.RegexMatch:
				if n.Pattern != nil {
					for i := n.Pattern.First(); i <= n.Pattern.Last(); i++ {
						set(i, RegexpToken, 0)
					}
				}
			}
			return true
		})
	}
	var out []Token
	for i := range raw {
		t := raw[i]
		if int(t.End) <= from || int(t.Off) >= to || t.Kind == syntax.EOF {
			continue
		}
		kind, known := TokenType(0), true
		switch {
		case typ[i] > 0:
			kind = TokenType(typ[i] - 1)
		case t.Kind == syntax.Comment:
			kind = CommentToken
			if strings.HasPrefix(src.Text(i), "/**") {
				mods[i] |= DocumentationMod
			}
		case t.Kind == syntax.KwString || t.Kind == syntax.KwLong:
			kind = TypeToken
		case t.Kind.IsKeyword() || t.Kind == syntax.PPOpen || t.Kind == syntax.PPThen || t.Kind == syntax.PPElse || t.Kind == syntax.PPClose:
			kind = KeywordToken
		case t.Kind == syntax.Number:
			kind = NumberToken
		case t.Kind == syntax.String:
			kind = StringToken
		case t.Kind == syntax.Embedded:
			kind = MacroToken
		case t.Kind == syntax.AtWord:
			kind = MacroToken
			bare := strings.TrimPrefix(src.Text(i), "@")
			if _, ok := atDoc[bare]; ok {
				kind, mods[i] = KeywordToken, 0
			} else if _, ok := statDoc[bare]; ok {
				kind, mods[i] = FunctionToken, LibraryMod
			}
		case t.Kind == syntax.Arg || t.Kind == syntax.ArgStr || t.Kind == syntax.ArgCount || t.Kind == syntax.ArgCountStr:
			kind = ParameterToken
		case t.Kind.IsOperator() && !isBracket(t.Kind):
			kind = OperatorToken
		default:
			known = false
		}
		if !known {
			continue
		}
		out = append(out, splitLines(s.Text, Token{int(t.Off), int(t.End), kind, mods[i]})...)
	}
	return s.withDirectives(out, formats)
}

func isBracket(k syntax.Kind) bool {
	switch k {
	case syntax.LParen, syntax.RParen, syntax.LBrace, syntax.RBrace, syntax.LBrack, syntax.RBrack, syntax.Comma, syntax.Semi, syntax.Dot, syntax.OtherPunct:
		return true
	}
	return false
}

// splitLines parts a token at its line ends, since many editors colour within a line
// only.
func splitLines(text []byte, t Token) []Token {
	var out []Token
	start := t.Start
	for i := t.Start; i < t.End; i++ {
		if text[i] == '\n' {
			end := i
			if end > start && text[end-1] == '\r' {
				end--
			}
			if end > start {
				out = append(out, Token{start, end, t.Type, t.Mods})
			}
			start = i + 1
		}
	}
	if t.End > start {
		out = append(out, Token{start, t.End, t.Type, t.Mods})
	}
	return out
}

// withDirectives parts the strings of formats at their directives.
func (s *Snapshot) withDirectives(list []Token, formats []*syntax.PrintExpr) []Token {
	if len(formats) == 0 {
		return list
	}
	dirs := map[int][][2]int{} // by start of the string
	for _, p := range formats {
		if p.FormatLit.First() != p.FormatLit.Last() {
			continue
		}
		at := int(s.Source().Tokens[p.FormatLit.First()].Off)
		for _, d := range p.Format.Directives {
			if d.Conv != format.Text {
				dirs[at] = append(dirs[at], [2]int{at + 1 + d.Start, at + 1 + d.End})
			}
		}
	}
	var out []Token
	for _, t := range list {
		ds := dirs[t.Start]
		if t.Type != StringToken || len(ds) == 0 {
			out = append(out, t)
			continue
		}
		at := t.Start
		for _, d := range ds {
			if d[0] < at || d[1] > t.End {
				continue
			}
			if d[0] > at {
				out = append(out, Token{at, d[0], StringToken, t.Mods})
			}
			out = append(out, Token{d[0], d[1], DirectiveToken, 0})
			at = d[1]
		}
		if at < t.End {
			out = append(out, Token{at, t.End, StringToken, t.Mods})
		}
	}
	return out
}

// ---- Inlay hints and lenses ----

// A HintKind is what a hint says.
type HintKind uint8

// The kinds of hints.
const (
	TypeHint HintKind = iota
	MatchHint
	ParameterHint
)

// A Hint is text to show between the script's.
type Hint struct {
	Kind    HintKind
	Off     int
	Label   string
	Tooltip string
}

// Hints lists what can be shown between two offsets: inferred types, how many places
// a pattern names, names of parameters.
func (s *Snapshot) Hints(from, to int) []Hint {
	prog := s.Program()
	var out []Hint
	add := func(k HintKind, off int, label, tip string) {
		if off >= from && off <= to {
			out = append(out, Hint{k, off, label, tip})
		}
	}
	endOf := func(n syntax.Node) (int, bool) {
		sp, ok := s.offsets(syntax.Range(n))
		return sp.end, ok && s.File.Tokens[n.Last()].Exp == 0
	}
	for _, g := range prog.Tools.Globals {
		if g.File != s.File || g.Type == sema.Unknown {
			continue
		}
		if off, ok := endOf(g.Decl.Name); ok {
			label := ": " + g.Type.String()
			if g.Array {
				var l []string
				for _, k := range g.Keys {
					l = append(l, k.String())
				}
				label = "[" + strings.Join(l, ", ") + "]" + label
			}
			if g.HasInit && !g.Array {
				continue // its value shows it
			}
			add(TypeHint, off, label, "inferred")
		}
	}
	for _, f := range prog.Tools.Funcs {
		if f.File != s.File {
			continue
		}
		if f.Decl.Result == syntax.NoType && f.Result != sema.Unknown {
			if off, ok := endOf(f.Decl.Name); ok {
				add(TypeHint, off, ":"+f.Result.String(), "inferred result")
			}
		}
		for i, p := range f.Decl.Params {
			if p.Name != nil && p.Type == syntax.NoType && i < len(f.Params) && f.Params[i].Type != sema.Unknown {
				if off, ok := endOf(p.Name); ok {
					add(TypeHint, off, ":"+f.Params[i].Type.String(), "inferred")
				}
			}
		}
	}
	seen := map[*syntax.Ident]bool{}
	locals := func(b *sema.Body) {
		if b == nil {
			return
		}
		for _, l := range b.Locals {
			if l.Param || l.Decl == nil || l.Decl.File() != s.File || seen[l.Decl] || l.Type == sema.Unknown || !l.Written {
				continue
			}
			seen[l.Decl] = true
			if off, ok := endOf(l.Decl); ok {
				tip := "inferred"
				label := ": " + l.Type.String()
				if l.CType != nil {
					tip = l.CType.Type.String()
				}
				add(TypeHint, off, label, tip)
			}
		}
	}
	for _, f := range prog.Tools.Funcs {
		if f.File == s.File {
			locals(f.Body)
		}
	}
	for _, p := range prog.Tools.Probes {
		locals(p.Body)
	}
	for _, list := range prog.Tools.Aliases {
		for _, p := range list {
			locals(p.Body)
		}
	}
	for _, d := range s.File.Decls {
		if p, ok := d.(*syntax.ProbeDecl); ok {
			for _, pt := range p.Points {
				pp, ok := pt.(*syntax.ProbePoint)
				if !ok || prog.Tools.Matches[pp] == 1 || s.Env.Target == nil && prog.Tools.Matches[pp] == 0 {
					continue
				}
				if off, ok := endOf(pp); ok {
					add(MatchHint, off, " "+places(prog.Tools.Matches[pp]), "what it matches on "+s.targetName())
				}
			}
		}
		syntax.Inspect(d, func(n syntax.Node) bool {
			c, ok := n.(*syntax.Call)
			if !ok || c.Name == nil || len(c.Args) == 0 {
				return true
			}
			var params []Param
			for _, f := range s.Functions(c.Name.Name) {
				if len(f.Params) == len(c.Args) {
					params = f.Params
					break
				}
			}
			for i, a := range c.Args {
				if i >= len(params) {
					break
				}
				switch a.(type) {
				case *syntax.NumberLit, *syntax.StringLit:
				default:
					continue // a name says enough
				}
				if sp, ok := s.offsets(syntax.Range(a)); ok && s.File.Tokens[a.First()].Exp == 0 {
					add(ParameterHint, sp.start, params[i].Name+":", "")
				}
			}
			return true
		})
	}
	return out
}

func places(n int) string {
	if n == 1 {
		return "1 place"
	}
	return itoa(n) + " places"
}

// A Lens is a remark above a declaration.
type Lens struct {
	Start, End int
	Points     string // the probe points, for a listing
	Matches    int
}

// Lenses lists the probes with how much they match.
func (s *Snapshot) Lenses() []Lens {
	prog := s.Program()
	var out []Lens
	for _, d := range s.File.Decls {
		p, ok := d.(*syntax.ProbeDecl)
		if !ok {
			continue
		}
		sp, ok := s.offsets(syntax.Range(p))
		if !ok || s.File.Tokens[p.First()].Exp != 0 {
			continue
		}
		l := Lens{Start: sp.start, End: sp.start + len("probe")}
		var texts []string
		for _, pt := range p.Points {
			if pp, ok := pt.(*syntax.ProbePoint); ok {
				l.Matches += prog.Tools.Matches[pp]
				texts = append(texts, syntax.PointString(pp))
			}
		}
		l.Points = strings.Join(texts, ", ")
		out = append(out, l)
	}
	return out
}

var (
	urlRE  = regexp.MustCompile(`https?://[^\s<>"')\]]+[^\s<>"')\].,;:]`)
	codeRE = regexp.MustCompile(`\b(ST|E|R)[0-9]{3,4}\b`)
)

// A Link is a stretch of text that leads somewhere.
type Link struct {
	Start, End int
	URL        string // of the web
	Code       string // of a diagnostic
}

// Links finds addresses and rule ids in comments.
func (s *Snapshot) Links() []Link {
	var out []Link
	for i := range s.File.Raw {
		if s.File.Raw[i].Kind != syntax.Comment {
			continue
		}
		text, at := s.File.RawText(i), int(s.File.Raw[i].Off)
		for _, m := range urlRE.FindAllStringIndex(text, -1) {
			out = append(out, Link{Start: at + m[0], End: at + m[1], URL: text[m[0]:m[1]]})
		}
		if strings.Contains(text, "staplint:") {
			for _, m := range codeRE.FindAllStringIndex(text, -1) {
				out = append(out, Link{Start: at + m[0], End: at + m[1], Code: text[m[0]:m[1]]})
			}
		}
	}
	return out
}
