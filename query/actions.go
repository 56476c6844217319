package query

import (
	"bytes"
	"regexp"
	"sort"
	"strings"

	"stapkit/diag"
	"stapkit/sema"
	"stapkit/syntax"
)

// An Edit replaces the bytes [Start, End) of the script.
type Edit struct {
	Start, End int
	Text       string
}

// An Action is a change that can be offered. Kind is the protocol's: "quickfix",
// "refactor.extract", …
type Action struct {
	Title string
	Kind  string
	Edits []Edit
	// Diag is the index of the finding that it mends, -1 for none.
	Diag int
}

// Actions lists changes for a selection, beside the fixes that findings bring along:
// findings are those that touch the selection.
func (s *Snapshot) Actions(start, end int, findings []diag.Diagnostic) []Action {
	var out []Action
	for i := range findings {
		out = append(out, s.mend(i, &findings[i])...)
	}
	if a, ok := s.extract(start, end); ok {
		out = append(out, a)
	}
	if a, ok := s.deleteAfter(start); ok {
		out = append(out, a)
	}
	if a, ok := s.OrganizeSuppressions(); ok {
		out = append(out, a)
	}
	return out
}

// codes of sema that a change answers.
const (
	codeMismatch  = "E1001"
	codeTruncated = "E1002"
	codeNoMatch   = "E1004"
)

func (s *Snapshot) mend(i int, d *diag.Diagnostic) []Action {
	sp, ok := s.offsets(d.Range)
	if !ok {
		return nil
	}
	path := s.path(s.tokenAt(sp.start))
	code := s.foundAs(d)
	switch code {
	case codeMismatch, codeTruncated, codeNoMatch, "E1011":
		pp, ok := innermost[*syntax.ProbePoint](path)
		if !ok || pp.Optional {
			return nil
		}
		for _, n := range path {
			if p, ok := n.(*syntax.ProbePoint); ok {
				pp = p
				break
			}
		}
		if len(pp.Components) == 0 {
			return nil
		}
		last, ok := s.offsets(syntax.Range(pp.Components[len(pp.Components)-1]))
		if !ok {
			return nil
		}
		return []Action{{Title: "Make the probe point optional (?)", Kind: "quickfix", Edits: []Edit{{last.end, last.end, "?"}}, Diag: i}}
	}
	// A target variable or member that is not there.
	var x syntax.Expr
	for _, n := range path {
		switch n := n.(type) {
		case *syntax.TargetVar:
			x = n
		case *syntax.AtOp:
			if n.Op == syntax.AtDefined {
				return nil
			}
			if n.Op == syntax.AtCast || n.Op == syntax.AtVar {
				x = n
			}
		}
		if x != nil {
			break
		}
	}
	if x == nil || !strings.HasPrefix(code, "E1") {
		return nil
	}
	var out []Action
	at, ok := s.offsets(syntax.Range(x))
	if !ok {
		return nil
	}
	text := string(s.Text[at.start:at.end])
	if !isAssigned(path, x) {
		out = append(out, Action{Title: "Use 0 where it does not exist (@defined)", Kind: "quickfix", Diag: i,
			Edits: []Edit{{at.start, at.end, "(@defined(" + text + ") ? " + text + " : 0)"}}})
	}
	for k := len(path) - 1; k >= 0; k-- {
		st, ok := path[k].(syntax.Stmt)
		if !ok {
			continue
		}
		if _, block := st.(*syntax.Block); block {
			break
		}
		if r, ok := s.offsets(syntax.Range(st)); ok {
			out = append(out, Action{Title: "Run the statement only where it exists (@defined)", Kind: "quickfix", Diag: i,
				Edits: []Edit{{r.start, r.start, "if (@defined(" + text + "))\n" + s.indentAt(r.start) + "\t"}}})
		}
		break
	}
	return out
}

// foundAs is the code that parser or elaboration found something with: the linter may
// have taken the finding over as one of its own.
func (s *Snapshot) foundAs(d *diag.Diagnostic) string {
	for _, o := range s.Diagnostics() {
		if o.Range == d.Range && o.Message == d.Message {
			return string(o.Code)
		}
	}
	return string(d.Code)
}

func isAssigned(path []syntax.Node, x syntax.Expr) bool {
	for _, n := range path {
		switch n := n.(type) {
		case *syntax.AssignExpr:
			if n.L == x {
				return true
			}
		case *syntax.IncDec:
			if n.X == x {
				return true
			}
		}
	}
	return false
}

// indentAt is the white space that the line of an offset begins with.
func (s *Snapshot) indentAt(off int) string {
	start := bytes.LastIndexByte(s.Text[:off], '\n') + 1
	end := start
	for end < off && (s.Text[end] == ' ' || s.Text[end] == '\t') {
		end++
	}
	return string(s.Text[start:end])
}

// deleteAfter offers to delete an array's element once it was read.
func (s *Snapshot) deleteAfter(off int) (Action, bool) {
	path := s.path(s.tokenAt(off))
	x, ok := innermost[*syntax.Index](path)
	if !ok {
		return Action{}, false
	}
	id, ok := x.X.(*syntax.Ident)
	d, ok2 := declOf(path).(*syntax.ProbeDecl)
	if !ok || !ok2 {
		return Action{}, false
	}
	g, ok := s.object(s.Program(), id, path).(*sema.Global)
	if !ok || !g.Array {
		return Action{}, false
	}
	deleted, star := false, false
	syntax.Inspect(d, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.DeleteStmt:
			if i, ok := n.X.(*syntax.Index); ok {
				if a, ok := i.X.(*syntax.Ident); ok && a.Name == id.Name {
					deleted = true
				}
			}
		case *syntax.AssignExpr: // what is written is meant to stay
			if i, ok := n.L.(*syntax.Index); ok && i == x {
				deleted = true
			}
		}
		return true
	})
	for _, k := range x.Keys {
		if _, ok := k.(*syntax.Star); ok {
			star = true
		}
	}
	if deleted || star {
		return Action{}, false
	}
	// The statement must be in a block.
	for i := len(path) - 1; i > 0; i-- {
		st, ok := path[i].(syntax.Stmt)
		if !ok {
			continue
		}
		b, ok := path[i-1].(*syntax.Block)
		if !ok || !b.Closed {
			continue
		}
		r, ok := s.offsets(syntax.Range(st))
		key, ok2 := s.offsets(syntax.Range(x))
		if !ok || !ok2 {
			return Action{}, false
		}
		end := r.end
		if end < len(s.Text) && s.Text[end] == ';' {
			end++
		}
		text := string(s.Text[key.start:key.end])
		return Action{Title: "Delete " + text + " after this statement", Kind: "refactor.rewrite", Diag: -1,
			Edits: []Edit{{end, end, "\n" + s.indentAt(r.start) + "delete " + text}}}, true
	}
	return Action{}, false
}

// extract offers to make a function of the statements that a selection covers.
func (s *Snapshot) extract(start, end int) (Action, bool) {
	for start < end && isSpace(s.Text[start]) {
		start++
	}
	for end > start && isSpace(s.Text[end-1]) {
		end--
	}
	if start >= end {
		return Action{}, false
	}
	var decl syntax.Decl
	var stmts []syntax.Stmt
	for _, d := range s.decls() {
		sp, ok := s.offsets(syntax.Range(d))
		if !ok || start < sp.start || end > sp.end {
			continue
		}
		decl = d
		syntax.Inspect(d, func(n syntax.Node) bool {
			b, ok := n.(*syntax.Block)
			if !ok || len(stmts) > 0 {
				return true
			}
			var in []syntax.Stmt
			for _, st := range b.Stmts {
				r, ok := s.offsets(syntax.Range(st))
				if ok && r.start >= start && r.end <= end {
					in = append(in, st)
				} else if ok && r.start < end && r.end > start && !(r.start <= start && r.end >= end) {
					return false // cut through
				}
			}
			if len(in) > 0 {
				first, _ := s.offsets(syntax.Range(in[0]))
				last, _ := s.offsets(syntax.Range(in[len(in)-1]))
				if first.start == start && (last.end == end || last.end+1 == end && s.Text[last.end] == ';') {
					stmts = in
				}
			}
			return true
		})
	}
	if len(stmts) == 0 {
		return Action{}, false
	}
	params, result, ok := s.flow(decl, stmts)
	if !ok {
		return Action{}, false
	}
	name := "extracted"
	for n := 2; len(s.Functions(name)) > 0; n++ {
		name = "extracted" + itoa(n)
	}
	indent := s.indentAt(start)
	lines := strings.Split(string(s.Text[start:end]), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight("\t"+strings.TrimPrefix(l, indent), " \t\r")
	}
	body := strings.Join(lines, "\n") + "\n"
	call := name + "(" + strings.Join(params, ", ") + ")"
	if result != "" {
		body += "\treturn " + result + "\n"
		call = result + " = " + call
	}
	at, _ := s.offsets(syntax.Range(decl))
	// The comments of the declaration stay with it.
	from := at.start
	src := s.Source()
	for _, c := range src.LeadingComments(decl) {
		from = min(from, int(src.Raw[c].Off))
	}
	fn := "function " + name + "(" + strings.Join(params, ", ") + ") {\n" + body + "}\n\n"
	return Action{Title: "Extract function", Kind: "refactor.extract", Diag: -1,
		Edits: []Edit{{from, from, fn}, {start, end, call}}}, true
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// flow tells what statements take from and give to the rest of their declaration; ok
// is false for what cannot move into a function.
func (s *Snapshot) flow(decl syntax.Decl, stmts []syntax.Stmt) (params []string, result string, ok bool) {
	first, last := stmts[0].First(), stmts[len(stmts)-1].Last()
	inside, written, outside, after := map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
	var order []string
	ok = true
	note := func(n syntax.Node, write bool, name string) {
		if s.globalNamed(name) != nil {
			return
		}
		in := n.First() >= first && n.Last() <= last
		switch {
		case in:
			if !inside[name] {
				order = append(order, name)
			}
			inside[name] = true
			if write {
				written[name] = true
			}
		default:
			outside[name] = true
			if n.First() > last {
				after[name] = true
			}
		}
	}
	if fd, isFunc := decl.(*syntax.FuncDecl); isFunc {
		for _, p := range fd.Params {
			if p.Name != nil {
				outside[p.Name.Name] = true
			}
		}
	}
	variables := map[*syntax.Ident]bool{}
	var visit func(n syntax.Node, loops int)
	visit = func(n syntax.Node, loops int) {
		in := n.First() >= first && n.Last() <= last
		switch n := n.(type) {
		case *syntax.AssignExpr:
			if id, isID := n.L.(*syntax.Ident); isID {
				note(id, true, id.Name)
				variables[id] = true
			}
		case *syntax.IncDec:
			if id, isID := n.X.(*syntax.Ident); isID {
				note(id, true, id.Name)
			}
		case *syntax.ForeachStmt:
			for _, k := range append([]*syntax.Ident{n.Value}, n.Keys...) {
				if k != nil {
					note(k, true, k.Name)
				}
			}
		case *syntax.Ident:
			note(n, false, n.Name)
		case *syntax.TargetVar, *syntax.ReturnStmt, *syntax.NextStmt, *syntax.EmbeddedExpr, *syntax.BadStmt, *syntax.BadExpr:
			ok = ok && !in
		case *syntax.AtOp:
			if n.Op == syntax.AtEntry || n.Op == syntax.AtPerf || n.Op == syntax.AtProbeWrite {
				ok = ok && !in
			}
		case *syntax.BreakStmt, *syntax.ContinueStmt:
			ok = ok && (!in || loops > 0)
		}
		switch n.(type) {
		case *syntax.ForStmt, *syntax.WhileStmt, *syntax.ForeachStmt:
			if in {
				loops++
			}
		}
		syntax.Children(n, func(c syntax.Node) { visit(c, loops) })
	}
	visit(decl, 0)
	for _, name := range order {
		if written[name] && after[name] {
			if result != "" {
				return nil, "", false // a function gives back one value
			}
			result = name
		}
		if outside[name] {
			params = append(params, name)
		}
	}
	// A result that nothing before sets needs no parameter.
	if result != "" {
		before := false
		syntax.Inspect(decl, func(n syntax.Node) bool {
			if id, isID := n.(*syntax.Ident); isID && id.Name == result && id.Last() < first {
				before = true
			}
			return true
		})
		if !before {
			kept := params[:0]
			for _, p := range params {
				if p != result {
					kept = append(kept, p)
				}
			}
			params = kept
		}
	}
	return params, result, ok
}

var suppression = regexp.MustCompile(`(staplint:ignore(?:-file)?\s+)((?:ST\d{4}\s*,\s*)+ST\d{4})`)

// OrganizeSuppressions sorts the rules of suppressions and takes out those that are
// named twice.
func (s *Snapshot) OrganizeSuppressions() (Action, bool) {
	a := Action{Title: "Organize suppressions", Kind: "source.organizeSuppressions", Diag: -1}
	for i := range s.File.Raw {
		if s.File.Raw[i].Kind != syntax.Comment {
			continue
		}
		text := s.File.RawText(i)
		m := suppression.FindStringSubmatchIndex(text)
		if m == nil {
			continue
		}
		old := text[m[4]:m[5]]
		rules := strings.FieldsFunc(old, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
		sort.Strings(rules)
		kept := rules[:0]
		for k, r := range rules {
			if k == 0 || r != rules[k-1] {
				kept = append(kept, r)
			}
		}
		if n := strings.Join(kept, ","); n != strings.Join(strings.Fields(old), "") {
			at := int(s.File.Raw[i].Off)
			a.Edits = append(a.Edits, Edit{at + m[4], at + m[5], strings.ReplaceAll(n, ",", ", ")})
		}
	}
	return a, len(a.Edits) > 0
}
