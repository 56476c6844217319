package stapfmt

import (
	"sort"

	"stapkit/diag"
	"stapkit/syntax"
)

// This file formats files that do not parse, as an editor needs it: the declarations
// that do parse are formatted; the others, and all between them, stay as they are.

// partialDecls writes the declarations of a file with errors.
func (p *printer) partialDecls(list []syntax.Decl, nodes []syntax.Node, end int) {
	bad, gaps := badDecls(p.f)
	p.bad = bad
	for i := 0; i <= len(list); {
		// What is broken reaches from the end of the last good declaration to the start
		// of the next one.
		j := i
		for j < len(list) && bad[j] {
			j++
		}
		broken := j > i || gaps[i]
		if j == len(list) && broken {
			p.raw(p.writtenTo(), len(p.f.Src), end)
			p.rawEnd = true
			return
		}
		if broken {
			at := p.lineStart(int(p.toks[list[j].First()].Off))
			p.raw(p.writtenTo(), at, list[j].First())
			p.gap = none
		}
		if j == len(list) {
			return
		}
		// A run of good declarations.
		k := j + 1
		for k < len(list) && !bad[k] && !gaps[k] {
			k++
		}
		stop := end
		if k < len(list) {
			stop = list[k].First()
		}
		follows := broken
		p.items(nodes[j:k], stop, true, func(n int, g gap) {
			if n == 0 && follows {
				g = none
			}
			p.gap = g
			p.decl(list[j+n])
		})
		i = k
	}
}

// lineStart is the start of the line if nothing but blanks stands between it and the
// offset, else the offset.
func (p *printer) lineStart(off int) int {
	at := off
	for at > 0 && isBlank(p.f.Src[at-1]) {
		at--
	}
	if at > 0 && p.f.Src[at-1] != '\n' {
		return off
	}
	return at
}

// writtenTo is the offset behind the token written last.
func (p *printer) writtenTo() int {
	if p.next == 0 {
		return 0
	}
	return int(p.toks[p.next-1].End)
}

// badDecls tells which declarations to leave alone, and before which ones (the last
// entry: at the end) something is wrong that belongs to none.
func badDecls(f *syntax.File) (bad, gaps []bool) {
	list := f.Decls
	bad, gaps = make([]bool, len(list)), make([]bool, len(list)+1)
	for i, d := range list {
		bad[i] = broken(d)
	}
	// mark notes that something is wrong at an offset; missing, that it may be missing there.
	mark := func(off int, missing bool) {
		i := sort.Search(len(list), func(i int) bool {
			return off <= int(f.Tokens[max(list[i].Last(), list[i].First())].End)
		})
		if i == len(list) {
			gaps[i] = true
			if i > 0 {
				bad[i-1] = true
			}
			return
		}
		first := int(f.Tokens[list[i].First()].Off)
		if i > 0 && off <= first { // what is missing is found missing behind the declaration
			if missing && bad[i-1] && off == first {
				return
			}
			bad[i-1] = true
		}
		if off < first {
			gaps[i] = true
		} else {
			bad[i] = true
		}
	}
	for _, d := range f.Diags {
		if d.Severity == diag.Error {
			mark(d.Range.Start.Offset, true)
		}
	}
	for i := range f.Tokens {
		if t := &f.Tokens[i]; t.Kind == syntax.Junk || t.Flags&syntax.Broken != 0 {
			mark(int(t.Off), false)
		}
	}
	// What shares a line with something broken is left alone: what it is may hang on where
	// the line begins.
	apart := func(i int) bool { return f.Tokens[list[i].First()].Flags&syntax.OpensLine != 0 }
	for i := 1; i < len(list); i++ {
		bad[i] = bad[i] || bad[i-1] && !apart(i)
	}
	for i := len(list) - 1; i > 0; i-- {
		bad[i-1] = bad[i-1] || bad[i] && !apart(i)
	}
	return bad, gaps
}

// broken reports whether a declaration was not understood to its end.
func broken(d syntax.Decl) bool {
	bad := false
	syntax.Inspect(d, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.BadDecl, *syntax.BadPoint, *syntax.BadStmt, *syntax.BadExpr:
			bad = true
		case *syntax.Block:
			bad = bad || !n.Closed
		case *syntax.ProbeDecl:
			bad = bad || n.Body == nil || len(n.Points) == 0
		case *syntax.AliasDecl:
			bad = bad || n.Body == nil || len(n.Points) == 0
		case *syntax.FuncDecl:
			bad = bad || n.Name == nil || n.Body == nil && n.Code == nil
		case *syntax.MacroDef:
			bad = bad || n.Last() != n.CloseTok
		case *syntax.TryStmt:
			bad = bad || n.Body == nil || n.Handler == nil
		case *syntax.GlobalVar:
			bad = bad || n.Name == nil && n.Verbatim == nil
		case *syntax.Param:
			bad = bad || n.Name == nil && n.Verbatim == nil
		}
		return !bad
	})
	return bad || d.Last() < d.First() || !hasKeyword(d)
}

// hasKeyword reports whether a declaration begins with what it has to: the parser
// understands some without.
func hasKeyword(d syntax.Decl) bool {
	k := d.File().Tokens[d.First()].Kind
	switch d.(type) {
	case *syntax.ProbeDecl, *syntax.AliasDecl:
		return k == syntax.KwProbe
	case *syntax.FuncDecl:
		return k == syntax.KwFunction || k == syntax.KwPrivate
	case *syntax.GlobalDecl:
		return k == syntax.KwGlobal || k == syntax.KwPrivate
	}
	return true
}
