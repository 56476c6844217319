package stapfmt

import (
	"bytes"
	"slices"

	"stapkit/diag"
	"stapkit/syntax"
)

// An Edit replaces the bytes [Start, End) of a text.
type Edit struct {
	Start, End int
	Text       string
}

// Edits formats like Format and gives the changes one by one, in order and without
// overlap: each concerns the white space between two tokens, a semicolon that goes, or
// the white space inside a comment. An editor that applies them keeps cursors, marks and
// folds where they are.
func Edits(name string, src []byte, opt Options) ([]Edit, *Result, error) {
	res, err := Format(name, src, opt)
	if err != nil || !res.Changed {
		return nil, res, err
	}
	return edits(parse(name, src), parse(name, res.Text)), res, nil
}

// Range formats a part of a file, for an editor: the statements, headers and comments
// that the lines of the bytes [start, end) touch, whole. It gives the edits; applying them
// keeps what Format keeps, except that formatting the file afterwards may change more. A
// range that is out of bounds is cut.
func Range(name string, src []byte, start, end int, opt Options) ([]Edit, error) {
	start, end = min(max(start, 0), len(src)), min(max(end, 0), len(src))
	end = max(start, end)
	all, res, err := Edits(name, src, opt)
	if err != nil || !res.Changed {
		return nil, err
	}
	f := parse(name, src)
	from, to := wholeUnits(f, start, end)
	list := slices.DeleteFunc(all, func(e Edit) bool { return e.End < from || e.Start > to })
	if bug := check(f, parse(name, Apply(src, list)), diag.HasErrors(f.Diags)); bug != nil {
		return nil, bug
	}
	return list, nil
}

// Apply makes the text that results from edits, which are in order.
func Apply(src []byte, list []Edit) []byte {
	var b bytes.Buffer
	at := 0
	for _, e := range list {
		b.Write(src[at:e.Start])
		b.WriteString(e.Text)
		at = e.End
	}
	b.Write(src[at:])
	return b.Bytes()
}

// edits compares a file with its formatted text, which has the same tokens but for
// semicolons.
func edits(a, b *syntax.File) []Edit {
	var list []Edit
	replace := func(start, end int, text []byte) {
		old := a.Src[start:end]
		if bytes.Equal(old, text) {
			return
		}
		// What is the same at both ends stays.
		for len(old) > 0 && len(text) > 0 && old[0] == text[0] {
			old, text, start = old[1:], text[1:], start+1
		}
		for len(old) > 0 && len(text) > 0 && old[len(old)-1] == text[len(text)-1] {
			old, text, end = old[:len(old)-1], text[:len(text)-1], end-1
		}
		list = append(list, Edit{start, end, string(text)})
	}
	endA, endB := 0, 0
	j := 0
	for i := range a.Tokens {
		ta, tb := &a.Tokens[i], &b.Tokens[j]
		if ta.Kind == syntax.Semi && tb.Kind != syntax.Semi { // it goes, with the space before it
			replace(endA, int(ta.End), nil)
			endA = int(ta.End)
			continue
		}
		if ta.Kind != tb.Kind {
			return []Edit{{0, len(a.Src), string(b.Src)}}
		}
		replace(endA, int(ta.Off), b.Src[endB:tb.Off])
		replace(int(ta.Off), int(ta.End), b.Src[tb.Off:tb.End])
		endA, endB = int(ta.End), int(tb.End)
		j++
	}
	return list
}

// wholeUnits extends a range to whole lines, and then so that it cuts no statement,
// header or comment.
func wholeUnits(f *syntax.File, start, end int) (from, to int) {
	from, to = start, end
	for from > 0 && f.Src[from-1] != '\n' {
		from--
	}
	for to < len(f.Src) && f.Src[to] != '\n' {
		to++
	}
	var units []Edit
	add := func(first, last int) {
		if first <= last && last < len(f.Tokens) {
			units = append(units, Edit{Start: int(f.Tokens[first].Off), End: int(f.Tokens[last].End)})
		}
	}
	f.Inspect(func(n syntax.Node) bool {
		switch n := n.(type) {
		case nil:
		case *syntax.ProbeDecl:
			if n.Body != nil {
				add(n.First(), n.Body.First())
			}
		case *syntax.AliasDecl:
			if n.Body != nil {
				add(n.First(), n.Body.First())
			}
		case *syntax.FuncDecl:
			if n.Body != nil {
				add(n.First(), n.Body.First())
			} else {
				add(n.First(), n.Last())
			}
		case *syntax.MacroDef:
			add(n.First(), n.OpenTok)
		case *syntax.CondDecl:
			add(n.OpenTok, n.ThenTok)
		case *syntax.CondStmt:
			add(n.OpenTok, n.ThenTok)
		case *syntax.IfStmt:
			add(n.First(), n.Then.First())
		case *syntax.WhileStmt:
			add(n.First(), n.Body.First())
		case *syntax.ForStmt:
			add(n.First(), n.Body.First())
		case *syntax.ForeachStmt:
			add(n.First(), n.Body.First())
		case *syntax.Block, *syntax.TryStmt, *syntax.BadDecl:
		case syntax.Stmt:
			add(n.First(), n.Last())
			return false
		case syntax.Decl:
			add(n.First(), n.Last())
			return false
		}
		return true
	})
	for i := range f.Tokens {
		if f.Tokens[i].Kind == syntax.Comment {
			add(i, i)
		}
	}
	// Headers reach to the first token of what they govern, so units may touch.
	for grown := true; grown; {
		grown = false
		for _, u := range units {
			if u.Start < to && u.End > from && (u.Start < from || u.End > to) {
				from, to, grown = min(from, u.Start), max(to, u.End), true
			}
		}
	}
	return from, to
}
