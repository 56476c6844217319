package query

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"

	"stapkit/diag"
	"stapkit/sema"
	"stapkit/syntax"
	"stapkit/target/ctype"
)

// A SymbolKind is what a name stands for.
type SymbolKind uint8

// The kinds of symbols.
const (
	LocalSymbol SymbolKind = iota
	GlobalSymbol
	FunctionSymbol
	AliasSymbol
	MacroSymbol
	MacroParamSymbol
	TargetSymbol // a target variable, with its "$"
	MemberSymbol // of a C struct
	ProbeSymbol  // of outlines: a probe that has no name
)

// A Symbol is something of a script that has a name.
type Symbol struct {
	Kind SymbolKind
	Name string // without "@"; of an alias with its dots
	// Start and End bound the occurrence that was asked about; of a macro's use without
	// the "@".
	Start, End int
	// Shared: other files may use the name, since it is declared in a library directory
	// or macro library.
	Shared bool
	// Embedded: stapkit's own library declares it.
	Embedded bool
	// Decls are where it is declared, as far as known.
	Decls []diag.Range

	scope []syntax.Decl // declarations of the source view that a local or target variable is seen in
	macro *syntax.MacroDef
	owner string // struct of a member, "" when it is not known
}

// An Occurrence is one place where a symbol is named.
type Occurrence struct {
	Start, End  int
	Decl, Write bool
}

// SymbolAt finds the symbol named at an offset, nil if there is none.
func (s *Snapshot) SymbolAt(off int) *Symbol {
	raw := s.tokenAt(off)
	if raw < 0 {
		return nil
	}
	t := s.File.Raw[raw]
	sp := s.rawSpan(raw)
	text := s.File.RawText(raw)
	path := s.sourcePath(raw)
	if t.Kind == syntax.AtWord {
		name := strings.TrimPrefix(text, "@")
		if def, ok := innermost[*syntax.MacroDef](path); ok && contains(def.Params, name) {
			return &Symbol{Kind: MacroParamSymbol, Name: name, Start: sp.start + 1, End: sp.end, macro: def}
		}
		if m := s.macro(name); m != nil {
			return s.macroSymbol(m, sp.start+1, sp.end)
		}
		return nil
	}
	if t.Kind != syntax.Name && !t.Kind.IsKeyword() || len(path) == 0 {
		return nil
	}
	switch n := path[len(path)-1].(type) {
	case *syntax.MacroDef:
		if n.NameTok == raw {
			if m := s.macro(n.Name); m != nil {
				return s.macroSymbol(m, sp.start, sp.end)
			}
		}
		for i, p := range n.ParamToks {
			if p == raw {
				return &Symbol{Kind: MacroParamSymbol, Name: n.Params[i], Start: sp.start, End: sp.end, macro: n}
			}
		}
	case *syntax.Ident:
		return s.variableSymbol(n, path, sp)
	case *syntax.GlobalVar, *syntax.Param:
		return nil
	case *syntax.Call:
		if n.Name != nil && n.Name.First() == raw {
			return s.functionSymbol(n.Name.Name, sp)
		}
	case *syntax.FuncDecl:
		if n.Name != nil && n.Name.First() == raw {
			return s.functionSymbol(n.Name.Name, sp)
		}
	case *syntax.Component:
		if pp, ok := innermost[*syntax.ProbePoint](path); ok {
			return s.aliasSymbol(pp)
		}
	case *syntax.TargetVar:
		if n.First() == raw {
			return &Symbol{Kind: TargetSymbol, Name: n.Name, Start: sp.start, End: sp.end, scope: []syntax.Decl{declaration(path)}}
		}
	case *syntax.Accessor:
		if n.Member == text {
			return s.memberSymbol(raw, sp)
		}
	}
	return nil
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

func (s *Snapshot) macroSymbol(m *syntax.Macro, start, end int) *Symbol {
	r := syntaxRange(m.Source, m.Def)
	return &Symbol{
		Kind: MacroSymbol, Name: m.Name, Start: start, End: end, Decls: []diag.Range{r},
		Shared: m.Library || s.IsMacros(), Embedded: s.Env.embedded(m.Source.Name),
	}
}

func syntaxRange(src *syntax.Source, sp syntax.Span) diag.Range {
	m := src.Mapper()
	return diag.Range{Start: m.Pos(int(sp.Off)), End: m.Pos(int(sp.End))}
}

func (s *Snapshot) functionSymbol(name string, sp span) *Symbol {
	y := &Symbol{Kind: FunctionSymbol, Name: name, Start: sp.start, End: sp.end}
	for _, f := range s.Functions(name) {
		file := f.Decl.File().Name
		y.Decls = append(y.Decls, syntax.Range(f.Decl.Name))
		y.Embedded = y.Embedded || s.Env.embedded(file)
		y.Shared = y.Shared || s.Env.isLibrary(file)
	}
	if len(y.Decls) == 0 {
		return nil
	}
	return y
}

// globalNamed finds the declaration of a global: of the file, else of the library.
func (s *Snapshot) globalNamed(name string) *syntax.GlobalVar {
	var found *syntax.GlobalVar
	s.Source().Inspect(func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.GlobalVar:
			if found == nil && n.Name != nil && n.Name.Name == name {
				found = n
			}
			return false
		case *syntax.CondDecl, *syntax.GlobalDecl:
			return true
		case syntax.Decl:
			return false
		}
		return true
	})
	if found != nil {
		return found
	}
	for _, v := range s.Env.Library().GlobalDecls(name) {
		return v
	}
	return nil
}

// variableSymbol tells a local from a global.
func (s *Snapshot) variableSymbol(id *syntax.Ident, path []syntax.Node, sp span) *Symbol {
	d := declaration(path)
	if fd, ok := d.(*syntax.FuncDecl); ok {
		for _, p := range fd.Params {
			if p.Name != nil && p.Name.Name == id.Name {
				return &Symbol{Kind: LocalSymbol, Name: id.Name, Start: sp.start, End: sp.end, scope: []syntax.Decl{d}, Decls: []diag.Range{syntax.Range(p.Name)}}
			}
		}
	}
	if g := s.globalNamed(id.Name); g != nil {
		file := g.File().Name
		return &Symbol{
			Kind: GlobalSymbol, Name: id.Name, Start: sp.start, End: sp.end, Decls: []diag.Range{syntax.Range(g.Name)},
			Embedded: s.Env.embedded(file), Shared: s.Env.isLibrary(file),
		}
	}
	switch d.(type) {
	case *syntax.FuncDecl, *syntax.ProbeDecl, *syntax.AliasDecl, *syntax.BadDecl:
	default:
		return nil
	}
	y := &Symbol{Kind: LocalSymbol, Name: id.Name, Start: sp.start, End: sp.end, scope: s.localScope(d, id.Name)}
	// The library's alias may have set it.
	if prog := s.Program(); prog != nil {
		if o, ok := s.object(prog, id, s.path(s.tokenAt(sp.start))).(*sema.Local); ok && o.Decl != nil && o.Decl.File() != s.File {
			r := syntax.Range(o.Decl)
			y.Decls = []diag.Range{r}
			y.Embedded = s.Env.embedded(r.Start.File)
			y.Shared = true
			return y
		}
	}
	first := -1
	for _, occ := range s.Occurrences(y) {
		if occ.Write && first < 0 {
			first = occ.Start
		}
	}
	if first < 0 {
		for _, occ := range s.Occurrences(y) {
			first = occ.Start
			break
		}
	}
	if first >= 0 {
		y.Decls = []diag.Range{{Start: s.Mapper.Pos(first), End: s.Mapper.Pos(first + len(id.Name))}}
	}
	return y
}

// declaration is the declaration of a path that is no conditional around others.
func declaration(path []syntax.Node) syntax.Decl {
	for _, n := range path {
		if _, ok := n.(*syntax.CondDecl); ok {
			continue
		}
		if d, ok := n.(syntax.Decl); ok {
			return d
		}
	}
	return nil
}

// decls lists the declarations of the source view, those in conditionals included.
func (s *Snapshot) decls() []syntax.Decl {
	var out []syntax.Decl
	var add func(list []syntax.Decl)
	add = func(list []syntax.Decl) {
		for _, d := range list {
			if c, ok := d.(*syntax.CondDecl); ok {
				add(c.Then)
				add(c.Else)
				continue
			}
			out = append(out, d)
		}
	}
	add(s.Source().Decls)
	return out
}

// localScope is where a local of a declaration is seen: an alias shares its variables
// with the probes and aliases of the file that use it.
func (s *Snapshot) localScope(d syntax.Decl, name string) []syntax.Decl {
	scope := []syntax.Decl{d}
	if _, ok := d.(*syntax.FuncDecl); ok {
		return scope
	}
	all := s.decls()
	in := map[syntax.Decl]bool{d: true}
	uses := func(user, alias syntax.Decl) bool {
		a, ok := alias.(*syntax.AliasDecl)
		if !ok {
			return false
		}
		var points []syntax.Point
		switch u := user.(type) {
		case *syntax.ProbeDecl:
			points = u.Points
		case *syntax.AliasDecl:
			points = u.Points
		}
		for _, p := range points {
			found := false
			syntax.Inspect(p, func(n syntax.Node) bool {
				if pp, ok := n.(*syntax.ProbePoint); ok {
					for _, an := range a.Names {
						found = found || aliasLength(pp, an) > 0
					}
				}
				return !found
			})
			if found {
				return true
			}
		}
		return false
	}
	for grown := true; grown; {
		grown = false
		for _, o := range all {
			if in[o] || !mentions(o, name) {
				continue
			}
			for _, have := range scope {
				if uses(o, have) || uses(have, o) {
					in[o] = true
					scope = append(scope, o)
					grown = true
					break
				}
			}
		}
	}
	return scope
}

func mentions(d syntax.Decl, name string) bool {
	found := false
	syntax.Inspect(d, func(n syntax.Node) bool {
		if id, ok := n.(*syntax.Ident); ok && id.Name == name {
			found = true
		}
		return !found
	})
	return found
}

// aliasLength is how many components of a point an alias's name covers, 0 for none.
func aliasLength(pp, name *syntax.ProbePoint) int {
	if len(name.Components) == 0 || len(pp.Components) < len(name.Components) {
		return 0
	}
	for i, c := range name.Components {
		if p := pp.Components[i]; p.Name != c.Name || p.Name == "" {
			return 0
		}
	}
	return len(name.Components)
}

// aliasNamed finds the alias that a point names, by its longest name.
func (s *Snapshot) aliasNamed(pp *syntax.ProbePoint) (name *syntax.ProbePoint, decl *syntax.AliasDecl) {
	best := 0
	try := func(a *syntax.AliasDecl) {
		for _, n := range a.Names {
			if l := aliasLength(pp, n); l > best {
				best, name, decl = l, n, a
			}
		}
	}
	for _, d := range s.decls() {
		if a, ok := d.(*syntax.AliasDecl); ok {
			try(a)
		}
	}
	if best == 0 && len(pp.Components) > 0 && pp.Components[0].Name != "" {
		for _, a := range s.Env.Library().AliasNames(pp.Components[0].Name) {
			if l := aliasLength(pp, a.Name); l > best {
				best, name, decl = l, a.Name, a.Decl
			}
		}
	}
	return name, decl
}

func (s *Snapshot) aliasSymbol(pp *syntax.ProbePoint) *Symbol {
	name, decl := s.aliasNamed(pp)
	if decl == nil {
		return nil
	}
	sp, ok := componentsSpan(s, pp, len(name.Components))
	if !ok {
		return nil
	}
	file := decl.File().Name
	y := &Symbol{
		Kind: AliasSymbol, Name: syntax.PointString(name), Start: sp.start, End: sp.end, Decls: []diag.Range{syntax.Range(name)},
		Embedded: s.Env.embedded(file), Shared: s.Env.isLibrary(file),
	}
	return y
}

func componentsSpan(s *Snapshot, pp *syntax.ProbePoint, n int) (span, bool) {
	first, ok := s.offsets(syntax.Range(pp.Components[0]))
	last, ok2 := s.offsets(syntax.Range(pp.Components[n-1]))
	return span{first.start, last.end}, ok && ok2
}

// Occurrences finds where a symbol is named in this script, in order. The symbol may
// be of another script's snapshot if it is shared.
func (s *Snapshot) Occurrences(y *Symbol) []Occurrence {
	var out []Occurrence
	src := s.Source()
	add := func(first, last, skip int, decl, write bool) {
		a, b := src.Tokens[first], src.Tokens[last]
		out = append(out, Occurrence{int(a.Off) + skip, int(b.End), decl, write})
	}
	switch y.Kind {
	case MacroSymbol, MacroParamSymbol:
		s.macroOccurrences(y, add)
	case FunctionSymbol:
		src.Inspect(func(n syntax.Node) bool {
			switch n := n.(type) {
			case *syntax.FuncDecl:
				if n.Name != nil && n.Name.Name == y.Name {
					add(n.Name.First(), n.Name.Last(), 0, true, false)
				}
			case *syntax.Call:
				if n.Name != nil && n.Name.Name == y.Name {
					add(n.Name.First(), n.Name.Last(), 0, false, false)
				}
			}
			return true
		})
	case AliasSymbol:
		src.Inspect(func(n syntax.Node) bool {
			pp, ok := n.(*syntax.ProbePoint)
			if !ok {
				return true
			}
			name, _ := s.aliasNamed(pp)
			if name != nil && syntax.PointString(name) == y.Name {
				if sp, ok := componentsSpan(s, pp, len(name.Components)); ok {
					decl := false
					for _, d := range s.decls() {
						if a, ok := d.(*syntax.AliasDecl); ok {
							for _, an := range a.Names {
								decl = decl || an == pp
							}
						}
					}
					out = append(out, Occurrence{sp.start, sp.end, decl, false})
				}
			}
			return true
		})
	case GlobalSymbol:
		for _, d := range s.decls() {
			if fd, ok := d.(*syntax.FuncDecl); ok && hasParam(fd, y.Name) {
				continue
			}
			variableOccurrences(d, y.Name, add)
		}
	case LocalSymbol:
		for _, d := range y.scope {
			if d.File() == src {
				variableOccurrences(d, y.Name, add)
			}
		}
	case TargetSymbol:
		for _, d := range y.scope {
			if d != nil && d.File() == src {
				targetOccurrences(d, y.Name, add)
			}
		}
	case MemberSymbol:
		out = s.memberOccurrences(y)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Start < out[j].Start })
	kept := out[:0]
	for i, o := range out {
		if i == 0 || o.Start != out[i-1].Start {
			kept = append(kept, o)
		}
	}
	return kept
}

func hasParam(fd *syntax.FuncDecl, name string) bool {
	for _, p := range fd.Params {
		if p.Name != nil && p.Name.Name == name {
			return true
		}
	}
	return false
}

// variableOccurrences finds the identifiers of a name in a declaration and what is
// done with them.
func variableOccurrences(d syntax.Decl, name string, add func(first, last, skip int, decl, write bool)) {
	written := map[*syntax.Ident]bool{}
	declared := map[*syntax.Ident]bool{}
	base := func(x syntax.Expr) {
		if i, ok := x.(*syntax.Index); ok {
			x = i.X
		}
		if p, ok := x.(*syntax.Paren); ok {
			x = p.X
		}
		if id, ok := x.(*syntax.Ident); ok {
			written[id] = true
		}
	}
	syntax.Inspect(d, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.AssignExpr:
			base(n.L)
		case *syntax.IncDec:
			base(n.X)
		case *syntax.DeleteStmt:
			base(n.X)
		case *syntax.ForeachStmt:
			for _, k := range n.Keys {
				written[k] = true
			}
			if n.Value != nil {
				written[n.Value] = true
			}
		case *syntax.TryStmt:
			if n.Var != nil {
				written[n.Var] = true
			}
		case *syntax.GlobalVar:
			if n.Name != nil {
				declared[n.Name], written[n.Name] = true, true
			}
		case *syntax.Param:
			if n.Name != nil {
				declared[n.Name], written[n.Name] = true, true
			}
		case *syntax.Ident:
			if n.Name == name {
				add(n.First(), n.Last(), 0, declared[n], written[n])
			}
		}
		return true
	})
}

func (s *Snapshot) macroOccurrences(y *Symbol, add func(first, last, skip int, decl, write bool)) {
	src := s.Source()
	if y.Kind == MacroParamSymbol {
		if y.macro == nil || y.macro.File() != src {
			return
		}
		for i, p := range y.macro.Params {
			if p == y.Name {
				add(y.macro.ParamToks[i], y.macro.ParamToks[i], 0, true, false)
			}
		}
		for i := y.macro.OpenTok; i <= y.macro.CloseTok && i < len(src.Tokens); i++ {
			if src.Tokens[i].Kind == syntax.AtWord && src.Text(i) == "@"+y.Name {
				add(i, i, 1, false, false)
			}
		}
		return
	}
	hidden := map[int]bool{} // uses of parameters of the same name
	src.Inspect(func(n syntax.Node) bool {
		if m, ok := n.(*syntax.MacroDef); ok {
			if m.Name == y.Name {
				add(m.NameTok, m.NameTok, 0, true, false)
			}
			if contains(m.Params, y.Name) {
				for i := m.OpenTok; i <= m.CloseTok; i++ {
					hidden[i] = true
				}
			}
		}
		return true
	})
	for i := range src.Tokens {
		if src.Tokens[i].Kind == syntax.AtWord && src.Text(i) == "@"+y.Name && !hidden[i] {
			add(i, i, 1, false, false)
		}
	}
}

// Definitions tells where what stands at an offset is declared: names of the script
// and the library, functions of programs whose source is at hand.
func (s *Snapshot) Definitions(off int) []diag.Range {
	if y := s.SymbolAt(off); y != nil && len(y.Decls) > 0 {
		return y.Decls
	}
	raw := s.tokenAt(off)
	path := s.path(raw)
	if len(path) == 0 {
		return nil
	}
	var points []syntax.Point
	switch n := path[len(path)-1].(type) {
	case *syntax.TargetVar: // of the function that is probed
		points = pointsOf(path)
	case *syntax.Accessor:
		if r, ok := s.memberSource(path, n); ok {
			return []diag.Range{r}
		}
		return nil
	default:
		pp, ok := innermost[*syntax.ProbePoint](path)
		if !ok {
			return nil
		}
		points = []syntax.Point{pp}
	}
	var out []diag.Range
	for i, p := range s.Env.resolve(s.File, points) {
		if i == sampled {
			break
		}
		if r, ok := s.sourceOf(p); ok {
			out = append(out, r)
		}
	}
	return out
}

// sourceOf finds the source line of a probed function.
func (s *Snapshot) sourceOf(p *sema.Probe) (diag.Range, bool) {
	if p.Binary == "" {
		return s.kernelSource(p)
	}
	d, err := s.Env.bins.DWARF(p.Binary)
	if err != nil {
		return diag.Range{}, false
	}
	for _, i := range d.Lookup(p.Func) {
		for _, name := range []string{i.Decl.File, filepath.Join(filepath.Dir(p.Binary), i.Decl.File), filepath.Join(s.Env.SourceTree, i.Decl.File)} {
			if r, ok := lineOf(name, i.Decl.Line); ok {
				return r, true
			}
		}
	}
	return diag.Range{}, false
}

func lineOf(name string, line int) (diag.Range, bool) {
	if line <= 0 || !filepath.IsAbs(name) {
		return diag.Range{}, false
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return diag.Range{}, false
	}
	m := syntax.NewMapper(name, text)
	p := m.Pos(m.Offset(line-1, 0))
	return diag.Range{Start: p, End: p}, true
}

// kernelSource finds the definition of a kernel function in the source tree, if one is
// configured: where debug information says, or else by the text, since BTF has no lines.
func (s *Snapshot) kernelSource(p *sema.Probe) (diag.Range, bool) {
	if s.Env.SourceTree == "" || p.Func == "" {
		return diag.Range{}, false
	}
	switch p.Family {
	case sema.FamFunction, sema.FamStatement:
	default:
		return diag.Range{}, false
	}
	if d, err := s.Env.bins.KernelDWARF(s.Env.Target, p.Module); err == nil {
		for _, i := range d.Lookup(p.Func) {
			if r, ok := lineOf(filepath.Join(s.Env.SourceTree, i.Decl.File), i.Decl.Line); ok {
				return r, true
			}
		}
	}
	// A line that begins a declaration of the name, followed by a body.
	def := `(?m)^[A-Za-z_][^;{}()=#]*[ \t\n*](` + regexp.QuoteMeta(p.Func) + `)\s*\([^;{}]*\)[^;{}]*\{`
	return s.Env.inSourceTree(p.Func, def, ".c", "")
}

// memberSource finds a member of a kernel's struct in the source tree.
func (s *Snapshot) memberSource(path []syntax.Node, a *syntax.Accessor) (diag.Range, bool) {
	x, k := accessAt(path)
	if x == nil || a.Member == "" || s.Env.SourceTree == "" {
		return diag.Range{}, false
	}
	st := s.steps(x, k, path)
	if st == nil || st.in == nil {
		return diag.Range{}, false
	}
	in, ok := ctype.AsStruct(st.in)
	if !ok || in.Name == "" || in.Origin.Object == "" { // not of BTF
		return diag.Range{}, false
	}
	def := `(?m)^` + in.Kind.String() + `\s+` + regexp.QuoteMeta(in.Name) + `\s*\{(?:[^}]|\n[ \t]+\})*?` + declares(a.Member)
	return s.Env.inSourceTree(in.Name, def, ".h", "include")
}

// declares matches the declarator of a struct's member; its group is the name.
func declares(member string) string {
	return `[ \t*(,](` + regexp.QuoteMeta(member) + `)\s*[\[):;,]`
}

// inSourceTree looks in the files of the source tree that end in ext for what the first
// group of a pattern matches; word is a part of all that match. The folder first is gone
// through before the others.
func (e *Env) inSourceTree(word, pattern, ext, first string) (diag.Range, bool) {
	found := e.cached("source\x00"+pattern, func() []string {
		defer e.read("kernel's source")() // answers do not wait for long
		def := regexp.MustCompile(pattern)
		var found []string
		look := func(dir string) {
			err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
				if err != nil || d.IsDir() || filepath.Ext(path) != ext {
					return nil // what cannot be read is not there
				}
				text, err := os.ReadFile(path)
				if err != nil || !bytes.Contains(text, []byte(word)) {
					return nil
				}
				if loc := def.FindSubmatchIndex(text); loc != nil {
					found = append(found, path+":"+itoa(1+bytes.Count(text[:loc[2]], []byte{'\n'})))
					return filepath.SkipAll
				}
				return nil
			})
			if err != nil {
				found = nil
			}
		}
		if first != "" {
			look(filepath.Join(e.SourceTree, first))
		}
		if len(found) == 0 {
			look(e.SourceTree)
		}
		return found
	})
	for _, f := range found {
		i := strings.LastIndexByte(f, ':')
		line := 0
		if _, err := fmt.Sscanf(f[i+1:], "%d", &line); err == nil {
			return lineOf(f[:i], line)
		}
	}
	return diag.Range{}, false
}

// A TypeText is the C text of a type, as a document of its own.
type TypeText struct {
	Name string // "struct file"
	Text string
}

// TypeDefinition gives the type of the target variable or member at an offset.
func (s *Snapshot) TypeDefinition(off int) (*TypeText, bool) {
	raw := s.tokenAt(off)
	path := s.path(raw)
	for i := len(path) - 1; i >= 0; i-- {
		var t ctype.Type
		switch n := path[i].(type) {
		case *syntax.Accessor:
			continue
		case *syntax.Ident:
			if v := s.valueOf(s.Program(), n, path); v != nil {
				t = v.Type
			}
		default:
			x, acc := accessOf(path[i])
			if acc == nil {
				continue
			}
			k := -1
			for j, a := range acc.Path {
				if i+1 < len(path) && path[i+1] == syntax.Node(a) {
					k = j
				}
			}
			if st := s.steps(x, k, path); st != nil {
				t = st.typ
			}
		}
		t = targetType(t)
		if t == nil {
			return nil, false
		}
		return textOfType(t)
	}
	return nil, false
}

func textOfType(t ctype.Type) (*TypeText, bool) {
	name := ctype.Name(ctype.Unqualified(t))
	if e, ok := ctype.Strip(t).(*ctype.Enum); ok {
		return &TypeText{name, enumText(e) + "\n"}, true
	}
	if st, ok := ctype.AsStruct(t); ok {
		if name == "" || strings.Contains(name, "{") {
			name = st.Kind.String()
		}
		return &TypeText{name, ctype.Layout(t) + "\n"}, true
	}
	return nil, false
}

var (
	nameRE  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	aliasRE = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$`)
)

// CheckRename says why a symbol cannot get a new name, nil if it can; with an empty
// name, whether it can be renamed at all.
func (s *Snapshot) CheckRename(y *Symbol, to string) error {
	switch {
	case y == nil:
		return errors.New("there is nothing to rename here")
	case y.Embedded && y.Kind == LocalSymbol:
		return fmt.Errorf("%s is set by an alias of stapkit's own library", y.Name)
	case y.Embedded:
		return fmt.Errorf("%s belongs to stapkit's own library", y.Name)
	case y.Kind == TargetSymbol:
		return fmt.Errorf("%s belongs to what is probed", y.Name)
	case y.Kind == MemberSymbol && y.owner != "":
		return fmt.Errorf("%s belongs to %s", y.Name, y.owner)
	case y.Kind == MemberSymbol:
		return fmt.Errorf("%s belongs to what is probed", y.Name)
	case y.Kind == LocalSymbol && y.Shared:
		return fmt.Errorf("%s is set by an alias in %s; rename it there", y.Name, y.Decls[0].Start.File)
	case to == "" || to == y.Name:
		return nil
	}
	if y.Kind == AliasSymbol {
		if !aliasRE.MatchString(to) {
			return fmt.Errorf("%q is no name for an alias: names with dots between them", to)
		}
		for _, d := range s.decls() {
			if a, ok := d.(*syntax.AliasDecl); ok {
				for _, n := range a.Names {
					if syntax.PointString(n) == to {
						return fmt.Errorf("there is an alias %s already", to)
					}
				}
			}
		}
		return nil
	}
	to = strings.TrimPrefix(to, "@")
	if !nameRE.MatchString(to) {
		return fmt.Errorf("%q is no name: a letter or '_', then letters, digits and '_'", to)
	}
	if _, ok := keywordDoc[to]; ok || isPrint(to) && y.Kind == FunctionSymbol {
		return fmt.Errorf("%q is a word of the language", to)
	}
	switch y.Kind {
	case MacroSymbol:
		if s.macro(to) != nil {
			return fmt.Errorf("there is a macro @%s already", to)
		}
		if _, ok := atDoc[to]; ok {
			return fmt.Errorf("@%s is an operator of the language", to)
		}
	case FunctionSymbol:
		if len(s.Functions(to)) > 0 {
			return fmt.Errorf("there is a function %s already", to)
		}
	case GlobalSymbol:
		if s.globalNamed(to) != nil {
			return fmt.Errorf("there is a global variable %s already", to)
		}
		for _, d := range s.decls() {
			if mentions(d, to) && mentions(d, y.Name) {
				return fmt.Errorf("%s would capture the local variable of this name in line %d", to, syntax.Pos(d).Line)
			}
		}
	case LocalSymbol:
		if s.globalNamed(to) != nil {
			return fmt.Errorf("there is a global variable %s already", to)
		}
		for _, d := range y.scope {
			if mentions(d, to) {
				return fmt.Errorf("there is a variable %s already", to)
			}
		}
	}
	return nil
}

// NameRange is the place of a function's name.
func NameRange(f *Function) diag.Range { return syntax.Range(f.Decl.Name) }

// List lists what probe points match, in the order of -l.
func (s *Snapshot) List(points string) []string {
	lines, _ := sema.List(points, s.Env.semaOptions(), sema.ListOptions{})
	return lines
}

// A Caller is a declaration that calls a function, with the places of its calls.
type Caller struct {
	Item  Outline
	Calls []Occurrence
}

// Incoming lists what calls a function in this script.
func (s *Snapshot) Incoming(name string) []Caller {
	var out []Caller
	for _, d := range s.decls() {
		var calls []Occurrence
		syntax.Inspect(d, func(n syntax.Node) bool {
			if c, ok := n.(*syntax.Call); ok && c.Name != nil && c.Name.Name == name {
				if sp, ok := s.offsets(syntax.Range(c.Name)); ok {
					calls = append(calls, Occurrence{Start: sp.start, End: sp.end})
				}
			}
			return true
		})
		if len(calls) > 0 {
			if o, ok := s.outlineOf(d); ok {
				out = append(out, Caller{o, calls})
			}
		}
	}
	return out
}

// Outgoing lists the functions that the declaration at an offset calls, by name, with
// the places of the calls.
func (s *Snapshot) Outgoing(off int) map[string][]Occurrence {
	out := map[string][]Occurrence{}
	for _, d := range s.decls() {
		sp, ok := s.offsets(syntax.Range(d))
		if !ok || off < sp.start || off > sp.end {
			continue
		}
		syntax.Inspect(d, func(n syntax.Node) bool {
			if c, ok := n.(*syntax.Call); ok && c.Name != nil {
				if sp, ok := s.offsets(syntax.Range(c.Name)); ok {
					out[c.Name.Name] = append(out[c.Name.Name], Occurrence{Start: sp.start, End: sp.end})
				}
			}
			return true
		})
	}
	return out
}
