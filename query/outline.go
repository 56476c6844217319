package query

import (
	"strings"

	"stapkit/syntax"
)

// An Outline is a declaration with its place.
type Outline struct {
	Kind       SymbolKind
	Name       string
	Detail     string
	Array      bool // of a global
	Start, End int  // the whole declaration
	// NameStart and NameEnd bound what is shown when it is chosen.
	NameStart, NameEnd int
	Children           []Outline
}

// Outlines lists the declarations of the script in order.
func (s *Snapshot) Outlines() []Outline {
	var out []Outline
	for _, d := range s.decls() {
		if g, ok := d.(*syntax.GlobalDecl); ok {
			for _, v := range g.Vars {
				if o, ok := s.globalOutline(g, v); ok {
					out = append(out, o)
				}
			}
			continue
		}
		if o, ok := s.outlineOf(d); ok {
			out = append(out, o)
		}
	}
	return out
}

func (s *Snapshot) globalOutline(g *syntax.GlobalDecl, v *syntax.GlobalVar) (Outline, bool) {
	if v.Name == nil {
		return Outline{}, false
	}
	sp, ok := s.offsets(syntax.Range(v))
	n, ok2 := s.offsets(syntax.Range(v.Name))
	o := Outline{Kind: GlobalSymbol, Name: v.Name.Name, Detail: "global", Start: sp.start, End: sp.end, NameStart: n.start, NameEnd: n.end}
	if g.Private {
		o.Detail = "private global"
	}
	if prog := s.elaborated(); prog != nil && prog.Tools != nil {
		for _, gl := range prog.Tools.Globals {
			if gl.Name == o.Name && gl.File == s.File {
				o.Detail, o.Array = globalText(gl), gl.Array
			}
		}
	}
	return o, ok && ok2
}

// outlineOf describes a declaration other than of globals.
func (s *Snapshot) outlineOf(d syntax.Decl) (Outline, bool) {
	whole, ok := s.offsets(syntax.Range(d))
	if !ok || d.Last() < d.First() {
		return Outline{}, false
	}
	o := Outline{Start: whole.start, End: whole.end, NameStart: whole.start, NameEnd: whole.start}
	name := func(first, last int) {
		r := d.File().Tokens
		o.NameStart, o.NameEnd = int(r[first].Off), int(r[last].End)
	}
	points := func(list []syntax.Point) string {
		var l []string
		for _, p := range list {
			l = append(l, syntax.PointString(p))
		}
		return strings.Join(l, ", ")
	}
	switch d := d.(type) {
	case *syntax.ProbeDecl:
		o.Kind, o.Name = ProbeSymbol, points(d.Points)
		if len(d.Points) > 0 && d.Points[0].Last() >= d.Points[0].First() {
			name(d.Points[0].First(), d.Points[len(d.Points)-1].Last())
		}
		if o.Name == "" {
			o.Name = "probe"
		}
	case *syntax.AliasDecl:
		o.Kind = AliasSymbol
		var l []string
		for _, n := range d.Names {
			l = append(l, syntax.PointString(n))
		}
		o.Name, o.Detail = strings.Join(l, " = "), "= "+points(d.Points)
		if len(d.Names) > 0 && d.Names[0].Last() >= d.Names[0].First() {
			name(d.Names[0].First(), d.Names[len(d.Names)-1].Last())
		}
	case *syntax.FuncDecl:
		if d.Name == nil {
			return o, false
		}
		o.Kind, o.Name = FunctionSymbol, d.Name.Name
		name(d.Name.First(), d.Name.Last())
		f := s.Env.declared(d)
		if prog := s.elaborated(); prog != nil && prog.Tools != nil {
			for _, fn := range prog.Tools.Funcs {
				if fn.Name == d.Name.Name && fn.File == s.File && len(fn.Params) == len(d.Params) {
					f = s.Env.function(fn)
				}
			}
		}
		o.Detail = strings.TrimPrefix(f.Signature(), "function "+f.Name)
	case *syntax.MacroDef:
		if d.Name == "" {
			return o, false
		}
		o.Kind, o.Name = MacroSymbol, "@"+d.Name
		if d.NameTok > 0 {
			name(d.NameTok, d.NameTok)
		}
		if d.HasParens {
			o.Detail = "(" + strings.Join(d.Params, ", ") + ")"
		}
	case *syntax.BadDecl:
		return o, false
	default:
		return o, false
	}
	return o, true
}

// A FoldKind is what a fold hides.
type FoldKind uint8

// The kinds of folds.
const (
	CodeFold FoldKind = iota
	CommentFold
)

// A Fold is a stretch of lines that can be hidden; the line of Start stays.
type Fold struct {
	Kind       FoldKind
	Start, End int
}

// Folds lists what can be folded: bodies, blocks, conditionals, macros, embedded C,
// comments of several lines.
func (s *Snapshot) Folds() []Fold {
	src := s.Source()
	var out []Fold
	line := func(off int) int { return s.Mapper.Pos(off).Line }
	add := func(k FoldKind, start, end int) {
		if line(start) < line(end) {
			out = append(out, Fold{k, start, end})
		}
	}
	tok := func(k FoldKind, first, last int) {
		if first >= 0 && first < last && last < len(src.Tokens) {
			add(k, int(src.Tokens[first].Off), int(src.Tokens[last].End))
		}
	}
	directive := func(d *syntax.Directive) {
		if d.ElseTok > 0 {
			tok(CodeFold, d.ThenTok, d.ElseTok)
			tok(CodeFold, d.ElseTok, d.CloseTok)
			return
		}
		tok(CodeFold, d.ThenTok, d.CloseTok)
	}
	src.Inspect(func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.Block:
			tok(CodeFold, n.First(), n.Last())
		case *syntax.CondDecl:
			directive(&n.Directive)
		case *syntax.CondStmt:
			directive(&n.Directive)
		case *syntax.MacroDef:
			tok(CodeFold, n.OpenTok, n.CloseTok)
		}
		return true
	})
	// Runs of comments, and embedded C, are seen in the tokens.
	for i := 0; i < len(src.Tokens); i++ {
		t := src.Tokens[i]
		switch t.Kind {
		case syntax.Embedded:
			add(CodeFold, int(t.Off), int(t.End))
		case syntax.Comment:
			j := i
			for j+1 < len(src.Tokens) && src.Tokens[j+1].Kind == syntax.Comment && line(int(src.Tokens[j+1].Off)) == line(int(src.Tokens[j].End))+1 {
				j++
			}
			add(CommentFold, int(t.Off), int(src.Tokens[j].End))
			i = j
		}
	}
	return out
}

// Selections gives the stretches around an offset that a person may want to select,
// the smallest first.
func (s *Snapshot) Selections(off int) []Occurrence {
	raw := s.tokenAt(off)
	var out []Occurrence
	add := func(start, end int) {
		if n := len(out); n > 0 && out[n-1].Start <= start && end <= out[n-1].End {
			return
		}
		out = append(out, Occurrence{Start: start, End: end})
	}
	if raw >= 0 {
		sp := s.rawSpan(raw)
		if t := s.File.Raw[raw]; t.Kind == syntax.String && sp.end-sp.start > 2 && off > sp.start && off < sp.end {
			add(sp.start+1, sp.end-1)
		}
		add(sp.start, sp.end)
		path := s.sourcePath(raw)
		for i := len(path) - 1; i >= 0; i-- {
			if sp, ok := s.offsets(syntax.Range(path[i])); ok {
				if b, ok := path[i].(*syntax.Block); ok && b.Closed && len(b.Stmts) > 0 {
					first, ok1 := s.offsets(syntax.Range(b.Stmts[0]))
					last, ok2 := s.offsets(syntax.Range(b.Stmts[len(b.Stmts)-1]))
					if ok1 && ok2 && first.start <= off && off <= last.end {
						add(first.start, last.end)
					}
				}
				add(sp.start, sp.end)
			}
		}
	}
	add(0, len(s.Text))
	return out
}
