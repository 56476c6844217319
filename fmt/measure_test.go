package stapfmt

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"stapkit/internal/corpus"
	"stapkit/syntax"
)

// This file measures how SystemTap's own library and examples are written. The table
// it makes stands in docs/stapfmt.md, as the reason for the style.

// A tally counts the answers to questions: each place in a file counts, and each file
// counts once for what it does most.
type tally struct {
	places, files, now map[string]map[string]int
}

func (t *tally) add(question, answer string) {
	bump(&t.places, question, answer)
	bump(&t.now, question, answer)
}

func bump(m *map[string]map[string]int, question, answer string) {
	if *m == nil {
		*m = map[string]map[string]int{}
	}
	if (*m)[question] == nil {
		(*m)[question] = map[string]int{}
	}
	(*m)[question][answer]++
}

func (t *tally) endFile() {
	for q, m := range t.now {
		bump(&t.files, q, ranked(m)[0])
	}
	t.now = nil
}

// ranked are the answers, the most frequent first.
func ranked(m map[string]int) []string {
	var list []string
	for a := range m {
		list = append(list, a)
	}
	slices.SortFunc(list, func(a, b string) int { return cmp.Or(m[b]-m[a], strings.Compare(a, b)) })
	return list
}

// cell is one cell of the table: the answers with their share of places and files.
func (t *tally) cell(question string) string {
	total, files := 0, 0
	for _, n := range t.places[question] {
		total += n
	}
	for _, n := range t.files[question] {
		files += n
	}
	if total == 0 {
		return "–"
	}
	var parts []string
	for _, a := range ranked(t.places[question]) {
		p, f := 100*t.places[question][a]/total, 100*t.files[question][a]/files
		if len(parts) == 3 || p < 2 && len(parts) > 0 {
			break
		}
		parts = append(parts, fmt.Sprintf("%s %d/%d", a, p, f))
	}
	return strings.Join(parts, ", ")
}

// A surveyor reads one file.
type surveyor struct {
	*tally
	f *syntax.File
}

// prev and next are the tokens beside a token that are no comments.
func (s *surveyor) next(tok int) int {
	for tok++; s.f.Tokens[tok].Kind == syntax.Comment; tok++ {
	}
	return tok
}

// before is what stands between a token and the one before it that is no comment.
func (s *surveyor) before(tok int) string {
	p := tok - 1
	for p >= 0 && s.f.Tokens[p].Kind == syntax.Comment {
		p--
	}
	from := int32(0)
	if p >= 0 {
		from = s.f.Tokens[p].End
	}
	return string(s.f.Src[from:s.f.Tokens[tok].Off])
}

func (s *surveyor) opens(tok int) bool { return s.f.Tokens[tok].Flags&syntax.OpensLine != 0 }

// lead is the white space at the start of a token's line, startCol the column of a token.
func (s *surveyor) lead(tok int) string {
	off := int(s.f.Tokens[tok].Off)
	start := bytes.LastIndexByte(s.f.Src[:off], '\n') + 1
	end := start
	for end < len(s.f.Src) && (s.f.Src[end] == ' ' || s.f.Src[end] == '\t') {
		end++
	}
	return string(s.f.Src[start:end])
}

func (s *surveyor) col(tok int) int { return columnOf([]byte(s.lead(tok)), 8) }

func (s *surveyor) line(question string, tok int) {
	if strings.Contains(s.before(tok), "\n") {
		s.add(question, "next line")
	} else {
		s.add(question, "same line")
	}
}

func (s *surveyor) space(question string, tok int) {
	switch g := s.before(tok); {
	case strings.Contains(g, "\n"):
	case g == "":
		s.add(question, "none")
	default:
		s.add(question, "space")
	}
}

// operator asks for the spaces around an operator, and on which side lines break.
func (s *surveyor) operator(kind string, tok int) {
	b, a := s.before(tok), s.before(s.next(tok))
	switch {
	case strings.Contains(b, "\n"):
		s.add("line broken at an operator", "before it")
	case strings.Contains(a, "\n"):
		s.add("line broken at an operator", "behind it")
	case a != "" && b != "":
		s.add("around "+kind, "spaces")
	default:
		s.add("around "+kind, "none")
	}
}

func (s *surveyor) body(what string, b *syntax.Block) {
	if b == nil {
		return
	}
	s.line("`{` of "+what, b.First())
	one := true
	for i := b.First() + 1; i <= b.Last(); i++ {
		one = one && !s.opens(i)
	}
	if len(b.Stmts) == 1 {
		s.add("body of one statement", map[bool]string{true: "one line", false: "several"}[one])
	}
	for _, st := range b.Stmts {
		if !s.opens(st.First()) {
			continue
		}
		switch in := s.lead(st.First()); {
		case in == "\t":
			s.add("indentation", "tab")
		case strings.Trim(in, " ") == "":
			s.add("indentation", fmt.Sprintf("%d spaces", len(in)))
		default:
			s.add("indentation", "mixed")
		}
	}
}

func (s *surveyor) control(body syntax.Stmt) {
	switch b := body.(type) {
	case *syntax.Block:
		s.line("`{` of if, for …", b.First())
	case *syntax.IfStmt:
	default:
		s.line("body without braces", b.First())
	}
}

func (s *surveyor) end(n syntax.Node) {
	if s.f.Tokens[n.Last()].Kind == syntax.Semi {
		s.add("`;` behind a statement", "yes")
	} else {
		s.add("`;` behind a statement", "no")
	}
}

func (s *surveyor) points(list []syntax.Point) {
	wrapped := 0
	for i, pt := range list {
		if i > 0 && strings.Contains(s.before(pt.First()), "\n") {
			wrapped++
		}
		if pp, ok := pt.(*syntax.ProbePoint); ok && pp.Cond == nil && pp.Optional {
			s.space("before `?` and `!`", pp.Last())
		}
	}
	if len(list) > 1 {
		answer := "filled"
		switch wrapped {
		case 0:
			answer = "one line"
		case len(list) - 1:
			answer = "one per line"
		}
		s.add("several probe points", answer)
	}
}

func (s *surveyor) args(open int, list []syntax.Expr) {
	for _, a := range list {
		if !s.opens(a.First()) {
			continue
		}
		off := int(s.f.Tokens[open].End)
		start := bytes.LastIndexByte(s.f.Src[:off], '\n') + 1
		if s.col(a.First()) == columnOf(s.f.Src[start:off], 8) {
			s.add("arguments on further lines", "aligned")
		} else {
			s.add("arguments on further lines", "otherwise")
		}
	}
}

// conditionals looks at the conditionals among statements: where the lines of those that
// take several stand, compared with the statements around.
func (s *surveyor) conditionals(list []syntax.Stmt) {
	for i, st := range list {
		c, ok := st.(*syntax.CondStmt)
		if !ok {
			continue
		}
		several := false
		for t := c.First() + 1; t <= c.Last(); t++ {
			several = several || s.opens(t)
		}
		s.add("`%(` around statements", map[bool]string{false: "one line", true: "several"}[several])
		if !several || len(c.Then) == 0 {
			continue
		}
		for _, k := range []int{i - 1, i + 1} {
			if k < 0 || k >= len(list) || !s.opens(list[k].First()) {
				continue
			}
			if _, ok := list[k].(*syntax.CondStmt); ok {
				continue
			}
			around := s.col(list[k].First())
			side := func(q string, tok int) {
				switch c := s.col(tok); {
				case c == around:
					s.add(q, "level")
				case c < around:
					s.add(q, "further back")
				default:
					s.add(q, "further in")
				}
			}
			side("its lines, to statements around", c.OpenTok)
			side("its statements, to those around", c.Then[0].First())
			break
		}
	}
}

func (s *surveyor) node(n syntax.Node) {
	switch n := n.(type) {
	case *syntax.ProbeDecl:
		s.body("probe", n.Body)
		s.points(n.Points)
	case *syntax.AliasDecl:
		s.body("alias", n.Body)
		s.points(n.Points)
	case *syntax.FuncDecl:
		s.body("function", n.Body)
		for i := n.Name.First(); i < n.Last(); i++ {
			if s.f.Tokens[i].Kind == syntax.LParen {
				s.space("before `(` of a declaration", i)
				break
			}
		}
	case *syntax.Block:
		s.conditionals(n.Stmts)
	case *syntax.IfStmt:
		s.space("`if (`, `for (` …", s.next(n.First()))
		s.control(n.Then)
		if n.ElseTok > 0 {
			if _, ok := n.Then.(*syntax.Block); ok {
				s.line("`else` behind `}`", n.ElseTok)
			}
			s.control(n.Else)
		}
	case *syntax.WhileStmt:
		s.space("`if (`, `for (` …", s.next(n.First()))
		s.control(n.Body)
	case *syntax.ForStmt:
		s.space("`if (`, `for (` …", s.next(n.First()))
		s.control(n.Body)
	case *syntax.ForeachStmt:
		s.space("`if (`, `for (` …", s.next(n.First()))
		s.control(n.Body)
	case *syntax.ExprStmt:
		if _, macro := n.X.(*syntax.MacroCall); !macro {
			s.end(n)
		}
	case *syntax.ReturnStmt, *syntax.NextStmt, *syntax.DeleteStmt, *syntax.BreakStmt, *syntax.ContinueStmt:
		s.end(n)
	case *syntax.Binary:
		switch n.Op {
		case syntax.Mul, syntax.Div, syntax.Mod:
			s.operator("`*` `/` `%`", n.OpTok)
		case syntax.Add, syntax.Sub:
			s.operator("`+` `-`", n.OpTok)
		default:
			s.operator("other operators", n.OpTok)
		}
	case *syntax.Logical:
		s.operator("other operators", n.OpTok)
	case *syntax.AssignExpr:
		s.operator("`=`", n.OpTok)
	case *syntax.Ternary:
		s.operator("`?` `:`", n.OpTok)
	case *syntax.Call:
		open := s.next(n.Name.First())
		s.space("before `(` of a call", open)
		s.args(open, n.Args)
	case *syntax.PrintExpr:
		open := s.next(n.First())
		s.space("before `(` of a call", open)
		s.args(open, n.Args)
	case *syntax.CondDecl:
		if len(n.Then) > 0 && s.opens(n.Then[0].First()) {
			answer := "indented"
			if s.col(n.Then[0].First()) == s.col(n.OpenTok) {
				answer = "level"
			}
			s.add("declarations in `%( … %)`", answer)
		}
	case *syntax.MacroDef:
		s.line("`%(` of a macro", n.OpenTok)
	}
}

func (s *surveyor) tokens() {
	for i := range s.f.Tokens {
		t := &s.f.Tokens[i]
		switch t.Kind {
		case syntax.Comma:
			if n := s.next(i); s.f.Tokens[n].Kind != syntax.EOF {
				s.space("behind `,`", n)
			}
		case syntax.Comment:
			if t.Flags&syntax.OpensLine != 0 {
				text := s.f.Text(i)
				s.add("comments on lines of their own", "`"+text[:map[bool]int{true: 1, false: 2}[text[0] == '#']]+"`")
			}
		}
	}
	for line := range bytes.Lines(s.f.Src) {
		if columnOf(bytes.TrimRight(line, "\r\n"), 8) <= lineLimit {
			s.add("lines of 80 columns or less", "yes")
		} else {
			s.add("lines of 80 columns or less", "no")
		}
	}
}

// rows are the lines of the table: a question, and what stapfmt does.
var rows = [][2]string{
	{"indentation", "tab"},
	{"lines of 80 columns or less", "yes"},
	{"`{` of probe", "same line; next line behind a header of several lines"},
	{"`{` of function", "the same"},
	{"`{` of alias", "the same"},
	{"`{` of if, for …", "same line"},
	{"`else` behind `}`", "same line"},
	{"body without braces", "next line"},
	{"body of one statement", "several"},
	{"`;` behind a statement", "no"},
	{"`if (`, `for (` …", "space"},
	{"before `(` of a call", "none"},
	{"before `(` of a declaration", "none, as in a call"},
	{"behind `,`", "space"},
	{"around `=`", "spaces"},
	{"around `+` `-`", "spaces"},
	{"around `*` `/` `%`", "spaces"},
	{"around `?` `:`", "spaces"},
	{"around other operators", "spaces"},
	{"line broken at an operator", "before it"},
	{"arguments on further lines", "aligned"},
	{"several probe points", "one line if they fit, else one per line"},
	{"before `?` and `!`", "space"},
	{"`%(` around statements", "as written, if one line is enough"},
	{"its lines, to statements around", "one level further back"},
	{"its statements, to those around", "level"},
	{"declarations in `%( … %)`", "level"},
	{"`%(` of a macro", "same line, as a brace"},
	{"comments on lines of their own", "as written"},
}

func survey(files []corpus.File) *tally {
	t := &tally{}
	for _, f := range files {
		s := &surveyor{t, parse(f.Path, f.Src)}
		s.tokens()
		s.f.Inspect(func(n syntax.Node) bool {
			if n != nil {
				s.node(n)
			}
			return true
		})
		t.endFile()
	}
	return t
}

const (
	styleDoc     = "../docs/stapfmt.md"
	measureBegin = "<!-- measured: go test ./fmt -run TestMeasure -update -->\n"
	measureEnd   = "<!-- end -->\n"
)

// TestMeasure compares the table in the manual with what is measured.
func TestMeasure(t *testing.T) {
	tapset, err := corpus.Tapset()
	if err != nil {
		t.Fatal(err)
	}
	examples, err := corpus.Examples()
	if err != nil {
		t.Fatal(err)
	}
	if len(tapset) != 607 || len(examples) != 201 {
		t.Skipf("the table is of the 607 and 201 files of SystemTap 4.8 in Debian 12; here are %d and %d", len(tapset), len(examples))
	}
	a, b := survey(tapset), survey(examples)
	var table strings.Builder
	table.WriteString("| | library | examples | stapfmt |\n|---|---|---|---|\n")
	for _, r := range rows {
		if a.places[r[0]] == nil && b.places[r[0]] == nil {
			t.Errorf("nothing was found about %q", r[0])
		}
		fmt.Fprintf(&table, "| %s | %s | %s | %s |\n", r[0], a.cell(r[0]), b.cell(r[0]), r[1])
	}
	doc, err := os.ReadFile(styleDoc)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok1 := strings.Cut(string(doc), measureBegin)
	old, foot, ok2 := strings.Cut(rest, measureEnd)
	if !ok1 || !ok2 {
		t.Fatalf("%s has no place for the table", styleDoc)
	}
	if old == table.String() {
		return
	}
	if *update {
		if err := os.WriteFile(styleDoc, []byte(head+measureBegin+table.String()+measureEnd+foot), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("the table in %s is stale:\n%s", styleDoc, table.String())
}
