package lint

import (
	"bytes"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/alecthomas/participle/v2"
	"github.com/alecthomas/participle/v2/lexer"

	"stapkit/diag"
	"stapkit/syntax"
)

// The rules about suppressions. They are part of the framework, since only it knows
// what a suppression answers.
var (
	_ = Rule(&Analyzer{Name: malformedSuppression, Doc: &Doc{
		Title:    "malformed suppression",
		Severity: diag.Warning,
		Why: `A comment that begins with "staplint:" is meant for the linter, and this one cannot be read, so it suppresses
nothing. The form is "staplint:ignore ST3001 reason", or several rules with commas between, or "staplint:ignore-file"
for the whole file. The reason is not optional: a year later nobody knows why a finding was waved through, and the
script leaks its map in production as the finding said it would.`,
		Before: `
probe begin {
	exit() # staplint:ignore ST4011
}`,
		After: `
probe begin { # staplint:ignore ST4011 the timer of another script ends it
	println("ready")
}`,
	}})
	_ = Rule(&Analyzer{Name: unusedSuppression, Doc: &Doc{
		Title:    "suppression that suppresses nothing",
		Severity: diag.Warning,
		Fix:      SafeFix,
		Why: `The rule finds nothing on the line of this comment or below it. Suppressions that stay behind when the code has
been mended hide the next mistake on that line, which nobody has looked at.`,
		Before: `
probe begin {
	# staplint:ignore ST4003 harmless
	println("ready")
	exit()
}`,
		After: `
probe begin {
	println("ready")
	exit()
}`,
	}})
	_ = Rule(&Analyzer{Name: unknownSuppression, Doc: &Doc{
		Title:    "suppression of an unknown rule",
		Severity: diag.Warning,
		Why: `No rule has this name. A mistyped number suppresses nothing, or worse, stays behind until a later version gives
the number to a rule.`,
		Before: `
probe begin {
	exit() # staplint:ignore ST4999 see below
}`,
		After: `
probe begin {
	exit()
}`,
	}})
)

const (
	malformedSuppression = "ST9001"
	unusedSuppression    = "ST9002"
	unknownSuppression   = "ST9003"
)

// directive is the grammar of a comment for the linter:
//
//	directive = "staplint" ":" ( "ignore" | "ignore-file" ) rule { "," rule } reason ;
type directive struct {
	Verb   string   `parser:"'staplint' ':' @('ignore' | 'ignore-file')"`
	Rules  []string `parser:"@Word (',' @Word)*"`
	Reason []string `parser:"@(Word | ',' | ':' | Other)+"`
}

// directives parses them; it is made at the first comment that holds one.
var directives = sync.OnceValue(func() *participle.Parser[directive] {
	return participle.MustBuild[directive](
		participle.Lexer(lexer.MustSimple([]lexer.SimpleRule{
			{Name: "Space", Pattern: `\s+`},
			{Name: "Word", Pattern: `[A-Za-z0-9_-]+`},
			{Name: "Punct", Pattern: `[,:]`},
			{Name: "Other", Pattern: `[^\sA-Za-z0-9_,:-]+`},
		})),
		participle.Elide("Space"))
})

// A suppression is one such comment.
type suppression struct {
	rules []string
	file  string
	whole bool // the whole file
	// first and last are the lines that it answers for.
	first, last int
	at          diag.Range
	used        map[string]bool
}

const mark = "staplint:"

// suppressions reads the comments of the user's files. What is wrong with them is
// returned as findings.
func (r *run) suppressions(list []*Analyzer) ([]*suppression, []diag.Diagnostic) {
	var all []*suppression
	var wrong []diag.Diagnostic
	for _, f := range r.script.Files {
		if !bytes.Contains(f.Src, []byte(mark)) {
			continue
		}
		for i := range f.Raw {
			if f.Raw[i].Kind != syntax.Comment {
				continue
			}
			text := commentText(f.RawText(i))
			if !strings.HasPrefix(text, mark) {
				continue
			}
			at := rawRange(f, i)
			d, err := directives().ParseString("", text)
			if err != nil {
				what := "a suppression reads 'staplint:ignore RULE reason'"
				if err := strings.ToLower(err.Error()); strings.Contains(err, "<eof>") {
					what = "the suppression lacks its rules or the reason, as in 'staplint:ignore ST3001 the map is small'"
				}
				wrong = append(wrong, finding(malformedSuppression, at, what))
				continue
			}
			s := &suppression{rules: d.Rules, file: f.Name, whole: d.Verb == "ignore-file", at: at, used: map[string]bool{}}
			bad := false
			for _, name := range d.Rules {
				if find(list, name) == nil && Lookup(name) == nil {
					if _, code := diag.Lookup(diag.Code(name)); code {
						wrong = append(wrong, finding(malformedSuppression, at, fmt.Sprintf("%s is no rule of the linter: it cannot be suppressed", name)))
					} else {
						wrong = append(wrong, finding(unknownSuppression, at, fmt.Sprintf("there is no rule %s", name)))
					}
					bad = true
				}
			}
			if bad {
				continue
			}
			s.first, s.last = answersFor(f, i)
			all = append(all, s)
		}
	}
	return all, wrong
}

func finding(rule string, at diag.Range, message string) diag.Diagnostic {
	return diag.Diagnostic{Code: diag.Code(rule), Severity: Lookup(rule).Doc.Severity, Range: at, Message: message}
}

// commentText is what a comment says, without its signs.
func commentText(s string) string {
	switch {
	case strings.HasPrefix(s, "/*"):
		s = strings.TrimSuffix(s[2:], "*/")
		s = strings.TrimLeft(s, "*")
	case strings.HasPrefix(s, "//"):
		s = strings.TrimLeft(s, "/")
	default:
		s = strings.TrimLeft(s, "#")
	}
	return strings.TrimSpace(s)
}

func rawRange(f *syntax.File, i int) diag.Range {
	m := f.Sources[0].Mapper()
	return diag.Range{Start: m.Pos(int(f.Raw[i].Off)), End: m.Pos(int(f.Raw[i].End))}
}

// answersFor gives the lines that the comment at i of f.Raw answers for: its own when
// code stands before it, else the line of the next code.
func answersFor(f *syntax.File, i int) (first, last int) {
	own := rawRange(f, i)
	for k := i - 1; k >= 0; k-- {
		if f.Raw[k].Kind == syntax.Comment {
			continue
		}
		if rawRange(f, k).End.Line == own.Start.Line {
			return own.Start.Line, own.End.Line
		}
		break
	}
	for k := i + 1; k < len(f.Raw); k++ {
		if f.Raw[k].Kind == syntax.Comment {
			continue
		}
		line := rawRange(f, k).Start.Line
		return own.Start.Line, line
	}
	return own.Start.Line, own.End.Line
}

func (s *suppression) answers(d *diag.Diagnostic) bool {
	p := d.Range.Start
	return p.File == s.file && slices.Contains(s.rules, string(d.Code)) &&
		(s.whole || p.Line >= s.first && p.Line <= s.last)
}

// suppress parts the findings into those that stay and those that a comment answers,
// and adds findings about the comments.
func (r *run) suppress(list []*Analyzer) (stay, gone []diag.Diagnostic) {
	all, wrong := r.suppressions(list)
	for _, d := range r.diags {
		hit := false
		for _, s := range all {
			if s.answers(&d) {
				s.used[string(d.Code)] = true
				hit = true
			}
		}
		if hit {
			gone = append(gone, d)
		} else {
			stay = append(stay, d)
		}
	}
	ran := func(name string) bool {
		a := find(list, name)
		return a != nil && r.settings.Enabled(a) && (!a.Doc.Target || r.script.Target != nil && r.script.Explicit)
	}
	for _, s := range all {
		var idle []string
		for _, name := range s.rules {
			if !s.used[name] && ran(name) {
				idle = append(idle, name)
			}
		}
		if len(idle) == 0 {
			continue
		}
		sort.Strings(idle)
		d := finding(unusedSuppression, s.at, "nothing to suppress here for "+strings.Join(idle, ", "))
		d.Tags = []diag.Tag{diag.Unnecessary}
		if len(idle) == len(s.rules) {
			d.Fixes = []diag.Fix{{Message: "remove the comment", Safe: true, Edits: []diag.Edit{{Range: r.script.wholeLine(s.at)}}}}
		}
		wrong = append(wrong, d)
	}
	for _, d := range wrong {
		a := Lookup(string(d.Code))
		if !r.settings.Enabled(a) {
			continue
		}
		if s, ok := r.settings.Severity[a.Name]; ok {
			d.Severity = s
		}
		stay = append(stay, d)
	}
	return stay, gone
}

// wholeLine widens a range to the white space before it, and to its lines when nothing
// else is on them, so that deleting it leaves no trace.
func (s *Script) wholeLine(at diag.Range) diag.Range {
	for _, f := range s.Files {
		if f.Name != at.Start.File {
			continue
		}
		from, to := at.Start.Offset, at.End.Offset
		for from > 0 && (f.Src[from-1] == ' ' || f.Src[from-1] == '\t') {
			from--
		}
		if from == 0 || f.Src[from-1] == '\n' {
			end := to
			for end < len(f.Src) && (f.Src[end] == ' ' || f.Src[end] == '\t' || f.Src[end] == '\r') {
				end++
			}
			if end < len(f.Src) && f.Src[end] == '\n' {
				to = end + 1
			}
		}
		m := f.Sources[0].Mapper()
		return diag.Range{Start: m.Pos(from), End: m.Pos(to)}
	}
	return at
}

// Removal is the range to delete so that a node of the text is gone without a trace:
// with the lines that it alone is on. It is not valid for what comes from a macro.
func (s *Script) Removal(n syntax.Node) diag.Range {
	r := syntax.Range(n)
	if len(syntax.Origin(n)) > 0 {
		return diag.Range{}
	}
	for _, f := range s.Files {
		if f != n.File() {
			continue
		}
		// A semicolon behind it goes, too.
		end := r.End.Offset
		i := end
		for i < len(f.Src) && (f.Src[i] == ' ' || f.Src[i] == '\t') {
			i++
		}
		if i < len(f.Src) && f.Src[i] == ';' {
			r.End = f.Sources[0].Mapper().Pos(i + 1)
		}
	}
	return s.wholeLine(r)
}
