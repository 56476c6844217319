package stapfmt

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"

	"stapkit/syntax"
)

// This file is the safety net: it compares the source with what was made of it, knowing
// nothing of how that was done.

// check compares a file with its formatted text: the tokens but for needless
// semicolons, the comments and what they stand between, the trees. With partial, what
// declarations that do not parse consist of is only compared token by token.
func check(a, b *syntax.File, partial bool) *Bug {
	sa, sb := summarise(a, partial), summarise(b, partial)
	i, j := 0, 0
	na, nb := 0, 0 // tokens passed that are neither comment nor needless
	// Comments are collected and compared when the next token has been reached in both.
	var ca, cb []int
	for {
		ca, cb = ca[:0], cb[:0]
		for ; sa.skip(i); i++ {
			if a.Tokens[i].Kind == syntax.Comment {
				ca = append(ca, i)
			}
		}
		for ; sb.skip(j); j++ {
			if b.Tokens[j].Kind == syntax.Comment {
				cb = append(cb, j)
			}
		}
		for k := range max(len(ca), len(cb)) {
			if k >= len(ca) {
				return bug("comments", a, min(i, len(a.Tokens)-1), "the comment %q appears", b.Text(cb[k]))
			}
			if k >= len(cb) {
				return bug("comments", a, ca[k], "the comment %q is lost or moves", a.Text(ca[k]))
			}
			if !sameComment(a.Text(ca[k]), b.Text(cb[k])) {
				return bug("comments", a, ca[k], "the comment %q becomes %q", a.Text(ca[k]), b.Text(cb[k]))
			}
		}
		ta, tb := &a.Tokens[i], &b.Tokens[j]
		if ta.Kind != tb.Kind || !bytes.Equal(a.Src[ta.Off:ta.End], b.Src[tb.Off:tb.End]) {
			return bug("tokens", a, i, "%s becomes %s", syntax.Describe(a, i), syntax.Describe(b, j))
		}
		if ta.Kind == syntax.EOF {
			break
		}
		sa.ordinal[i], sb.ordinal[j] = int32(na), int32(nb)
		i, j, na, nb = i+1, j+1, na+1, nb+1
	}
	return sameTree(sa, sb)
}

func bug(property string, f *syntax.File, tok int, format string, args ...any) *Bug {
	return &Bug{property, fmt.Sprintf(format, args...), f.TokenRange(tok).Start}
}

// sameComment compares comments but for the white space at both ends of their lines, and
// at the end, where one that is never closed has the file's last line ends.
func sameComment(a, b string) bool {
	const blank = " \t\v\f\r\n"
	a, b = strings.TrimRight(a, blank), strings.TrimRight(b, blank)
	for {
		la, ra, moreA := cutLine(a)
		lb, rb, moreB := cutLine(b)
		if la != lb || moreA != moreB {
			return false
		}
		if !moreA {
			return true
		}
		a, b = ra, rb
	}
}

// cutLine gives the first line without white space around it, and the rest.
func cutLine(s string) (line, rest string, more bool) {
	line = s
	for i := range len(s) {
		if s[i] == '\n' {
			line, rest, more = s[:i], s[i+1:], true
			break
		}
	}
	for len(line) > 0 && isBlank(line[0]) {
		line = line[1:]
	}
	for len(line) > 0 && isBlank(line[len(line)-1]) {
		line = line[:len(line)-1]
	}
	return line, rest, more
}

// A nodeMark is one node of a tree in preorder.
type nodeMark struct {
	kind        reflect.Type
	first, last int32 // tokens
}

// A summary is what of a file has to stay.
type summary struct {
	f *syntax.File
	// needless are the semicolons that end a statement or are one.
	needless []bool
	// ordinal numbers the tokens that have to stay.
	ordinal []int32
	nodes   []nodeMark
}

func summarise(f *syntax.File, partial bool) *summary {
	s := &summary{f: f, needless: make([]bool, len(f.Tokens)), ordinal: make([]int32, len(f.Tokens)),
		nodes: make([]nodeMark, 0, len(f.Tokens))}
	var bad []bool
	if partial {
		bad, _ = badDecls(f)
	}
	for i, d := range f.Decls {
		if !partial || !bad[i] {
			s.node(d)
		}
	}
	return s
}

func (s *summary) skip(tok int) bool {
	return s.f.Tokens[tok].Kind == syntax.Comment || s.needless[tok]
}

// node notes a node and all below it.
func (s *summary) node(n syntax.Node) {
	s.nodes = append(s.nodes, nodeMark{reflect.TypeOf(n), int32(n.First()), int32(n.Last())})
	switch n := n.(type) {
	case *syntax.ExprStmt, *syntax.ReturnStmt, *syntax.DeleteStmt, *syntax.BreakStmt, *syntax.ContinueStmt,
		*syntax.NextStmt, *syntax.GlobalDecl:
		if last := n.Last(); last >= 0 && s.f.Tokens[last].Kind == syntax.Semi {
			s.needless[last] = true
		}
	case *syntax.Block:
		s.nulls(n.Stmts)
	case *syntax.CondStmt:
		s.nulls(n.Then)
		s.nulls(n.Else)
	case *syntax.MacroDef:
		s.nulls(n.Body.Stmts)
	}
	syntax.Children(n, s.node)
}

// nulls notes the null statements of a list.
func (s *summary) nulls(list []syntax.Stmt) {
	for _, st := range list {
		if _, ok := st.(*syntax.NullStmt); ok {
			s.needless[st.First()] = true
		}
	}
}

var nullStmt = reflect.TypeFor[*syntax.NullStmt]()

// sameTree compares the nodes: their types, and which tokens they span.
func sameTree(a, b *summary) *Bug {
	next := func(s *summary, i int) int {
		for i < len(s.nodes) && s.nodes[i].kind == nullStmt && s.needless[s.nodes[i].first] {
			i++
		}
		return i
	}
	for i, j := next(a, 0), next(b, 0); i < len(a.nodes) || j < len(b.nodes); i, j = next(a, i+1), next(b, j+1) {
		if i >= len(a.nodes) || j >= len(b.nodes) {
			return bug("tree", a.f, len(a.f.Tokens)-1, "%d nodes become %d", len(a.nodes), len(b.nodes))
		}
		x, y := &a.nodes[i], &b.nodes[j]
		if x.kind != y.kind {
			return bug("tree", a.f, int(x.first), "%v becomes %v", x.kind, y.kind)
		}
		fa, la := a.span(x)
		fb, lb := b.span(y)
		if fa != fb || la != lb {
			return bug("tree", a.f, int(x.first), "%v spans other tokens: %d to %d become %d to %d", x.kind, fa, la, fb, lb)
		}
	}
	return nil
}

// span gives the ordinals of the first and last token of a node that have to stay.
func (s *summary) span(n *nodeMark) (first, last int32) {
	if n.last < n.first { // an empty node, before its first token
		f := int(n.first)
		for s.skip(f) {
			f++
		}
		return s.ordinal[f], -1
	}
	f, l := int(n.first), int(n.last)
	for f < l && s.skip(f) {
		f++
	}
	for l > f && s.skip(l) {
		l--
	}
	return s.ordinal[f], s.ordinal[l]
}
