package syntax

import (
	"slices"
	"sort"
	"strings"
	"sync"

	"stapkit/diag"
)

// A View chooses what the tree shows.
type View uint8

// The two views of the one grammar.
const (
	// Expanded is the program: macros expanded, conditionals decided, script
	// arguments pasted.
	Expanded View = iota
	// SourceView is the text as written: directives, macro calls and parentheses are nodes.
	SourceView
)

// A File is one parsed file. It is never nil and always holds a tree; what could
// not be understood is in Diags and in Bad nodes.
type File struct {
	Name string
	Src  []byte // the whole text
	View View

	// Tokens are the tokens that nodes index, comments included, ended by one EOF
	// token. In the source view they are the tokens of the text; in the expanded
	// view those after preprocessing.
	Tokens []Token
	// Raw are the tokens of the text as written; the same slice as Tokens in the
	// source view and for a file without preprocessing.
	Raw []Token

	Decls []Decl
	Diags []diag.Diagnostic

	// Sources are the texts that tokens come from; Sources[0] is the file itself.
	Sources []*Source
	// Expansions are the macro and argument expansions; entry 0 is unused.
	Expansions []Expansion
	// Macros are the macros that the file defines.
	Macros []*Macro
	// Args tells which script arguments the file used.
	Args ArgUse

	maxDiags int
	dropped  diag.Diagnostic // where diagnostics beyond maxDiags go
}

// An ExpansionKind tells what put tokens into the program.
type ExpansionKind uint8

// Expansion kinds.
const (
	MacroExpansion ExpansionKind = iota // body of a macro
	ArgExpansion                        // script argument
)

// A Span is a stretch of one source.
type Span struct {
	Src      uint16
	Off, End int32
}

// An Expansion is one use of a macro or script argument.
type Expansion struct {
	Kind ExpansionKind
	Name string // "@foo", "$1"
	// Parent is the expansion that the use itself stands in, 0 for the file's text.
	Parent int32
	Use    Span // what was replaced: "@foo", "@foo(1, 2)", "$1"
}

// A Source is one text that tokens come from.
type Source struct {
	Name string
	Text []byte
	// Arg is set for the text of a script argument: it has no place of its own, so
	// its tokens are reported at the place of use.
	Arg bool

	str    string // Text, so that names need no copies
	once   sync.Once
	mapper *Mapper
}

// Mapper gives the line table of the source; it is made at the first call, which may
// come from any goroutine.
func (s *Source) Mapper() *Mapper {
	s.once.Do(func() { s.mapper = NewMapper(s.Name, s.Text) })
	return s.mapper
}

func newSource(name string, text []byte) *Source {
	return &Source{Name: name, Text: text, str: string(text)}
}

// Text gives the bytes of a token; empty for EOF.
func (f *File) Text(tok int) string {
	if tok < 0 || tok >= len(f.Tokens) {
		return ""
	}
	t := &f.Tokens[tok]
	return f.Sources[t.Src].str[t.Off:t.End]
}

// spanPos gives the place of an offset in a source. Offsets in an argument's text
// have no place; the caller climbs to the use first.
func (f *File) spanPos(src uint16, off int32) diag.Pos {
	return f.Sources[src].Mapper().Pos(int(off))
}

// place gives the span of a token in a text that the person wrote: tokens of
// script arguments are placed where the argument is used.
func (f *File) place(t *Token) (Span, int32) {
	s, exp := Span{t.Src, t.Off, t.End}, t.Exp
	for f.Sources[s.Src].Arg && exp > 0 {
		s, exp = f.Expansions[exp].Use, f.Expansions[exp].Parent
	}
	return s, exp
}

func (f *File) spanRange(s Span) diag.Range {
	return diag.Range{Start: f.spanPos(s.Src, s.Off), End: f.spanPos(s.Src, s.End)}
}

// TokenRange gives the range of one token, in the file it was written in (a macro
// library for the tokens of a library macro's body).
func (f *File) TokenRange(tok int) diag.Range {
	if tok < 0 || tok >= len(f.Tokens) {
		return diag.Range{}
	}
	s, _ := f.place(&f.Tokens[tok])
	return f.spanRange(s)
}

// Origin gives the macro uses that a token came through, innermost first, as the
// "in expansion of macro" lines of a diagnostic. It is nil for a token written in
// place.
func (f *File) Origin(tok int) []diag.Related {
	if tok < 0 || tok >= len(f.Tokens) {
		return nil
	}
	return f.originOf(&f.Tokens[tok])
}

func (f *File) originOf(t *Token) []diag.Related {
	_, exp := f.place(t)
	var chain []diag.Related
	for exp > 0 {
		e := &f.Expansions[exp]
		if e.Kind == MacroExpansion {
			chain = append(chain, diag.Related{Range: f.spanRange(e.Use), Message: diag.InExpansion(e.Name)})
		}
		exp = e.Parent
	}
	return chain
}

// depth counts the expansions around an expansion.
func (f *File) depth(exp int32) int {
	n := 0
	for ; exp > 0; exp = f.Expansions[exp].Parent {
		n++
	}
	return n
}

// tokensRange gives the range from the start of one token to the end of another.
// When macros put them into different texts, it climbs to the innermost text that
// holds (the uses of) both.
func (f *File) tokensRange(first, last int) diag.Range {
	if first < 0 || first >= len(f.Tokens) {
		return diag.Range{}
	}
	a, ea := f.place(&f.Tokens[first])
	if last < first || last >= len(f.Tokens) {
		p := f.spanPos(a.Src, a.Off)
		return diag.Range{Start: p, End: p}
	}
	b, eb := f.place(&f.Tokens[last])
	for da, db := f.depth(ea), f.depth(eb); ea != eb; {
		if da >= db {
			a, ea, da = f.Expansions[ea].Use, f.Expansions[ea].Parent, da-1
		} else {
			b, eb, db = f.Expansions[eb].Use, f.Expansions[eb].Parent, db-1
		}
	}
	for a.Src != b.Src && ea > 0 { // arguments of a call may lie in another text than the body
		a, b, ea = f.Expansions[ea].Use, f.Expansions[ea].Use, f.Expansions[ea].Parent
	}
	if a.Src != b.Src {
		return f.spanRange(a)
	}
	// The first token may be an argument inside the use that the last one climbed to.
	return diag.Range{Start: f.spanPos(a.Src, min(a.Off, b.Off)), End: f.spanPos(a.Src, max(a.End, b.End))}
}

// Range gives the place of a node in the text that the person wrote. When its
// tokens come from a macro, that is the macro's body; Origin tells the uses.
func Range(n Node) diag.Range { return n.File().tokensRange(n.First(), n.Last()) }

// AnchorRange gives the range of the token that SystemTap's diagnostics point at.
func AnchorRange(n Node) diag.Range { return n.File().TokenRange(n.Anchor()) }

// Origin gives the macro uses that a node's anchor came through, innermost first.
func Origin(n Node) []diag.Related { return n.File().Origin(n.Anchor()) }

// Pos gives the start of a node, End the position behind it.
func Pos(n Node) diag.Pos { return Range(n).Start }

// End gives the position behind a node.
func End(n Node) diag.Pos { return Range(n).End }

// sawAt marks Diagnostic.Saw of errors that SystemTap shows with "at:" in place of "saw:".
const sawAt = "at: "

// add appends a diagnostic and gives its address, which is valid until the next call.
func (f *File) add(d diag.Diagnostic) *diag.Diagnostic {
	if len(f.Diags) >= f.maxDiags {
		f.dropped = d
		return &f.dropped
	}
	f.Diags = append(f.Diags, d)
	return &f.Diags[len(f.Diags)-1]
}

// errorToken reports an error at a token that may not be in f.Tokens yet. label is ""
// or sawAt.
func (f *File) errorToken(code diag.Code, t *Token, label, msg string) *diag.Diagnostic {
	s, _ := f.place(t)
	d := diag.New(code, f.spanRange(s), "%s", msg)
	d.Saw = label + f.describe(t)
	d.Related = f.originOf(t)
	return f.add(d)
}

// warnToken reports a warning at a token.
func (f *File) warnToken(code diag.Code, t *Token, msg string) *diag.Diagnostic {
	s, _ := f.place(t)
	d := diag.New(code, f.spanRange(s), "%s", msg)
	d.Severity = diag.Warning
	d.Related = f.originOf(t)
	return f.add(d)
}

// describe gives SystemTap's words for a token.
func (f *File) describe(t *Token) string {
	text := f.Sources[t.Src].str[t.Off:t.End]
	if len(text) > 80 {
		text = text[:80] + "…"
	}
	switch {
	case t.Kind == EOF:
		return f.Name + " EOF"
	case t.Flags&Broken != 0 && t.Kind != AtWord || t.Kind == Junk:
		return "junk ''"
	case t.Kind == Name:
		return "identifier '" + text + "'"
	case t.Kind == AtWord, t.Kind.IsOperator():
		return "operator '" + text + "'"
	case t.Kind.IsKeyword():
		return "keyword '" + text + "'"
	case t.Kind == Number:
		return "number '" + text + "'"
	case t.Kind == String:
		return "string '" + strings.Trim(text, `"`) + "'"
	case t.Kind == Embedded:
		return "embedded-code '" + strings.TrimSuffix(strings.TrimPrefix(text, "%{"), "%}") + "'"
	}
	return "script argument '" + text + "'"
}

// Describe says what a token is, as SystemTap's messages do: "identifier 'x'",
// "operator '+'".
func Describe(f *File, tok int) string {
	if tok < 0 || tok >= len(f.Tokens) {
		return ""
	}
	return f.describe(&f.Tokens[tok])
}

// rawIndex gives the index in Raw of the token that a token of the tree was written
// as: for what comes from a macro or argument, the word that was replaced. It is -1
// for a token that was not written in this file.
func (f *File) rawIndex(tok int) int {
	if tok < 0 || tok >= len(f.Tokens) {
		return -1
	}
	t := &f.Tokens[tok]
	s := Span{t.Src, t.Off, t.End}
	for exp := t.Exp; exp > 0; exp = f.Expansions[exp].Parent {
		s = f.Expansions[exp].Use
	}
	if s.Src != 0 {
		return -1
	}
	i := sort.Search(len(f.Raw), func(i int) bool { return f.Raw[i].Off >= s.Off })
	if i == len(f.Raw) {
		return -1
	}
	return i
}

// LeadingComments gives the indices in Raw of the comments that stand directly before
// a node, in order: without an empty line between them or before the node, except
// that one may follow a "/** … */" comment. The head of a conditional
// ("%( … %?") between comments and node does not part them.
func (f *File) LeadingComments(n Node) []int {
	i := f.rawIndex(n.First())
	if i < 0 {
		return nil
	}
	mapper := f.Sources[0].Mapper()
	line := mapper.Pos(int(f.Raw[i].Off)).Line
	var list []int
	for i--; i >= 0; i-- {
		t := &f.Raw[i]
		end := mapper.Pos(int(t.End)).Line
		switch {
		case t.Kind == Comment:
			if own := t.Flags&OpensLine != 0; !own && end != line {
				return reversed(list) // it belongs to what stands before it
			}
			gap := line - end
			text := f.Sources[0].str[t.Off:t.End]
			if gap > 1 && !(gap == 2 && strings.HasPrefix(text, "/**")) {
				return reversed(list)
			}
			list = append(list, i)
			line = mapper.Pos(int(t.Off)).Line
		case t.Kind == PPThen && len(list) == 0:
			for i >= 0 && f.Raw[i].Kind != PPOpen {
				i--
			}
			if i >= 0 {
				line = mapper.Pos(int(f.Raw[i].Off)).Line
			}
		default:
			return reversed(list)
		}
	}
	return reversed(list)
}

func reversed(list []int) []int {
	slices.Reverse(list)
	return list
}

// RawText gives the text of a token of Raw.
func (f *File) RawText(raw int) string {
	if raw < 0 || raw >= len(f.Raw) {
		return ""
	}
	return f.Sources[0].str[f.Raw[raw].Off:f.Raw[raw].End]
}
