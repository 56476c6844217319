package query

import (
	"regexp"

	"stapkit/syntax"
	"stapkit/target/ctype"
)

// accessAt finds the access path that the innermost node of a path is a step of: the
// expression and the number of the step, -1 for its base. The expression is nil for none.
func accessAt(path []syntax.Node) (x syntax.Expr, step int) {
	if len(path) == 0 {
		return nil, 0
	}
	last := path[len(path)-1]
	a, ok := last.(*syntax.Accessor)
	if !ok {
		x, _ := accessOf(last)
		return x, -1
	}
	for i := len(path) - 2; i >= 0; i-- {
		x, acc := accessOf(path[i])
		if acc == nil {
			continue
		}
		for k, b := range acc.Path {
			if a == b {
				return x, k
			}
		}
	}
	return nil, 0
}

// memberSymbol makes the symbol of the member that a token names.
func (s *Snapshot) memberSymbol(raw int, sp span) *Symbol {
	y := &Symbol{Kind: MemberSymbol, Name: s.File.RawText(raw), Start: sp.start, End: sp.end}
	path := s.path(raw)
	if x, k := accessAt(path); x != nil && k >= 0 {
		y.owner = s.ownerOf(x, k, path)
	}
	return y
}

// ownerOf is the struct that a step of an access path finds its member in, "" when it is
// not known.
func (s *Snapshot) ownerOf(x syntax.Expr, k int, path []syntax.Node) string {
	if st := s.steps(x, k, path); st != nil {
		return st.owner
	}
	return ""
}

// memberOccurrences finds where the script names a member of a struct.
func (s *Snapshot) memberOccurrences(y *Symbol) []Occurrence {
	var out []Occurrence
	for _, d := range s.File.Decls {
		path := []syntax.Node{d} // types of expressions hang on the declaration only
		written := map[syntax.Expr]bool{}
		syntax.Inspect(d, func(n syntax.Node) bool {
			switch n := n.(type) {
			case *syntax.AssignExpr:
				written[n.L] = true
			case *syntax.IncDec:
				written[n.X] = true
			}
			x, acc := accessOf(n)
			if acc == nil {
				return true
			}
			for k, a := range acc.Path {
				if a.Member != y.Name || s.ownerOf(x, k, path) != y.owner {
					continue
				}
				for i := a.Last(); i >= a.First(); i-- {
					t := s.File.Tokens[i]
					if t.Src == 0 && t.Kind.IsWord() && s.File.Text(i) == y.Name {
						out = append(out, Occurrence{Start: int(t.Off), End: int(t.End), Write: written[x] && k == len(acc.Path)-1})
						break
					}
				}
			}
			return true
		})
	}
	return out
}

// targetOccurrences finds where a declaration names a target variable.
func targetOccurrences(d syntax.Decl, name string, add func(first, last, skip int, decl, write bool)) {
	written := map[syntax.Expr]bool{}
	syntax.Inspect(d, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.AssignExpr:
			written[n.L] = true
		case *syntax.IncDec:
			written[n.X] = true
		case *syntax.TargetVar:
			if n.Name == name {
				add(n.First(), n.First(), 0, false, written[n] && len(n.Path) == 0)
			}
		}
		return true
	})
}

// MemberDefinition gives the C text of the struct that the member at an offset belongs
// to, and where the member is in it.
func (s *Snapshot) MemberDefinition(off int) (t *TypeText, start, end int, ok bool) {
	path := s.path(s.tokenAt(off))
	x, k := accessAt(path)
	if x == nil || k < 0 {
		return nil, 0, 0, false
	}
	st := s.steps(x, k, path)
	if st == nil || st.in == nil {
		return nil, 0, 0, false
	}
	if t, ok = textOfType(st.in); !ok {
		return nil, 0, 0, false
	}
	_, acc := accessOf(x)
	if m := regexp.MustCompile(declares(acc.Path[k].Member)).FindStringSubmatchIndex(t.Text); m != nil {
		return t, m[2], m[3], true
	}
	return t, 0, 0, true
}

// targetType is the C type behind a type's pointers and arrays.
func targetType(t ctype.Type) ctype.Type {
	for t != nil {
		if p, ok := ctype.AsPointer(t); ok {
			t = p.Elem
			continue
		}
		a, ok := ctype.Strip(t).(*ctype.Array)
		if !ok {
			return t
		}
		t = a.Elem
	}
	return nil
}
