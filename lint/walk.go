package lint

import (
	"sync"

	"stapkit/diag"
	"stapkit/sema"
	"stapkit/syntax"
)

// Walk calls f for all nodes of a body that elaboration has not decided against, in
// the order of the text. The children of a node are left out when f reports false.
func (b *Body) Walk(f func(syntax.Node) bool) {
	o := b.order
	if o == nil { // not of Script.Bodies
		o = &order{}
	}
	for list, i := o.of(b), 0; i < len(list); {
		if f(list[i].node) {
			i++
		} else {
			i = list[i].end
		}
	}
}

// order is the nodes of a body in the order of Walk. Dozens of rules walk each body.
type order struct {
	once sync.Once
	list []visit
}

// visit is one node; end is behind the last of those below it.
type visit struct {
	node syntax.Node
	end  int
}

func (o *order) of(b *Body) []visit {
	o.once.Do(func() {
		var walk func(n syntax.Node)
		walk = func(n syntax.Node) {
			at := len(o.list)
			o.list = append(o.list, visit{node: n})
			b.below(n, walk)
			o.list[at].end = len(o.list)
		}
		for _, bl := range b.Blocks {
			if bl != nil {
				walk(bl)
			}
		}
	})
	return o.list
}

// WalkNode is Walk for one node of the body.
func (b *Body) WalkNode(n syntax.Node, f func(syntax.Node) bool) {
	if f(n) {
		b.below(n, func(c syntax.Node) { b.WalkNode(c, f) })
	}
}

// below calls visit for the children of a node that elaboration has not decided against.
func (b *Body) below(n syntax.Node, visit func(syntax.Node)) {
	branch := func(cond syntax.Expr, yes, no syntax.Node) bool {
		v, known := b.Truth(cond)
		if !known {
			return false
		}
		if !v {
			yes = no
		}
		if yes != nil {
			visit(yes)
		}
		return true
	}
	switch n := n.(type) {
	case *syntax.IfStmt:
		var no syntax.Node
		if n.Else != nil {
			no = n.Else
		}
		if branch(n.Cond, n.Then, no) {
			return
		}
	case *syntax.WhileStmt:
		if v, known := b.Truth(n.Cond); known && !v {
			return
		}
	case *syntax.Ternary:
		if branch(n.Cond, n.Then, n.Else) {
			return
		}
	case *syntax.Logical:
		if n.Op == syntax.AndAnd && branch(n.X, n.Y, nil) || n.Op == syntax.OrOr && branch(n.X, nil, n.Y) {
			return
		}
	case *syntax.AtOp:
		if n.Op == syntax.AtDefined {
			return
		}
	}
	syntax.Children(n, visit)
}

// Truth is the truth of a condition that elaboration has decided.
func (b *Body) Truth(x syntax.Expr) (value, known bool) {
	c, ok := b.Consts[x]
	switch l := x.(type) {
	case *syntax.NumberLit:
		return l.Value != 0, true
	case *syntax.StringLit:
		return l.Value != "", true
	}
	switch {
	case !ok:
		return false, false
	case c.Type == sema.String:
		return c.Str != "", true
	}
	return c.Int != 0, true
}

// Int is the value of an expression that is a known number.
func (b *Body) Int(x syntax.Expr) (int64, bool) {
	if c, ok := b.Consts[x]; ok && c.Type == sema.Long {
		return c.Int, true
	}
	switch x := x.(type) {
	case *syntax.NumberLit:
		return x.Value, true
	case *syntax.Unary:
		v, ok := b.Int(x.X)
		switch {
		case !ok:
		case x.Op == syntax.Sub:
			return -v, true
		case x.Op == syntax.Add:
			return v, true
		case x.Op == syntax.Tilde:
			return ^v, true
		}
	}
	return 0, false
}

// Str is the value of an expression that is a known string.
func (b *Body) Str(x syntax.Expr) (string, bool) {
	if l, ok := x.(*syntax.StringLit); ok {
		return l.Value, true
	}
	c, ok := b.Consts[x]
	return c.Str, ok && c.Type == sema.String
}

// Object is the variable that an expression is, or that it is an element or an
// aggregate's extract of; nil if it is none.
func (b *Body) Object(x syntax.Expr) sema.Object {
	switch x := x.(type) {
	case *syntax.Ident:
		return b.Idents[x]
	case *syntax.Index:
		return b.Object(x.X)
	case *syntax.StatOp:
		return b.Object(x.X)
	case *syntax.HistOp:
		return b.Object(x.X)
	}
	return nil
}

// Global is Object when that is a global variable.
func (b *Body) Global(x syntax.Expr) *sema.Global {
	g, _ := b.Object(x).(*sema.Global)
	return g
}

// Library names the library function that a call calls; "" when it is the user's or
// there is none.
func (b *Body) Library(x syntax.Expr) string {
	c, ok := x.(*syntax.Call)
	if !ok || c.Name == nil {
		return ""
	}
	list := b.Calls[c]
	for _, f := range list {
		if !f.Library {
			return ""
		}
	}
	if len(list) == 0 {
		return ""
	}
	return c.Name.Name
}

// Where says what a body is, for messages: "probe kernel.function("x")", "function f".
func (b *Body) Where() string {
	if b.Func != nil {
		return "function " + b.Func.Name
	}
	if b.Probe.Written != nil {
		return "probe " + syntax.PointString(b.Probe.Written)
	}
	return "probe " + b.Probe.Point
}

// Kernel reports whether the body is a handler of events of the kernel or a program,
// not one of begin, end and timers, which the loader runs at leisure.
func (b *Body) Kernel() bool { return b.Probe != nil && !b.Probe.InLoader() }

// Text is the source text of a node, "" when it comes from a macro.
func (s *Script) Text(n syntax.Node) string {
	if len(syntax.Origin(n)) > 0 {
		return ""
	}
	r := syntax.Range(n)
	for _, f := range s.Files {
		if f == n.File() && f.Name == r.Start.File && r.End.IsValid() {
			return string(f.Src[r.Start.Offset:r.End.Offset])
		}
	}
	return ""
}

// Replace is a fix that replaces nodes by text; it has no edits when a node comes from a
// macro, and is then not to be offered.
func (s *Script) Replace(message string, safe bool, edits ...Edit) []diag.Fix {
	f := diag.Fix{Message: message, Safe: safe}
	for _, e := range edits {
		if s.Text(e.Node) == "" {
			return nil
		}
		f.Edits = append(f.Edits, diag.Edit{Range: syntax.Range(e.Node), NewText: e.Text})
	}
	return []diag.Fix{f}
}

// Remove is a fix that deletes a statement or declaration with its lines.
func (s *Script) Remove(message string, safe bool, n syntax.Node) []diag.Fix {
	r := s.Removal(n)
	if !r.IsValid() || s.Text(n) == "" {
		return nil
	}
	return []diag.Fix{{Message: message, Safe: safe, Edits: []diag.Edit{{Range: r}}}}
}

// An Edit is the new text of a node.
type Edit struct {
	Node syntax.Node
	Text string
}

// Same reports whether two expressions are written alike and so have one value where
// nothing happens between them.
func Same(a, b syntax.Expr) bool {
	return a != nil && b != nil && syntax.ExprString(a) == syntax.ExprString(b)
}

// Pure reports whether evaluating an expression changes nothing.
func (b *Body) Pure(x syntax.Expr) bool {
	pure := true
	b.WalkNode(x, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.AssignExpr, *syntax.IncDec, *syntax.EmbeddedExpr, *syntax.BadExpr:
			pure = false
		case *syntax.PrintExpr:
			pure = pure && n.String
		case *syntax.Call:
			list := b.Calls[n]
			pure = pure && len(list) > 0
			for _, f := range list {
				// Elaboration looks at what the program uses only.
				pure = pure && (f.Pure || f.Library && f.Intrinsic != "" && f.Decl.Result != syntax.NoType)
			}
		}
		return pure
	})
	return pure
}

// Own reports whether a node is written in the probe or function itself, not in an
// alias that the probe goes through.
func (b *Body) Own(n syntax.Node) bool {
	var in *syntax.Block
	if b.Alias {
		return false
	}
	if b.Func != nil {
		in = b.Func.Decl.Body
	} else {
		in = b.Probe.Decl.Body
	}
	return in != nil && n.File() == in.File() && n.First() >= in.First() && n.Last() <= in.Last()
}

// StmtAt finds the innermost statement of the user's files at a place.
func (s *Script) StmtAt(at diag.Pos) syntax.Stmt {
	var found syntax.Stmt
	for _, f := range s.Files {
		if f.Name != at.File {
			continue
		}
		f.Inspect(func(n syntax.Node) bool {
			if n == nil {
				return true
			}
			r := syntax.Range(n)
			if at.Offset < r.Start.Offset || at.Offset >= r.End.Offset {
				return false
			}
			if st, ok := n.(syntax.Stmt); ok {
				if _, block := st.(*syntax.Block); !block {
					found = st
				}
			}
			return true
		})
	}
	return found
}

// DeclAt finds the declaration of the user's files at a place.
func (s *Script) DeclAt(at diag.Pos) syntax.Decl {
	for _, f := range s.Files {
		if f.Name != at.File {
			continue
		}
		for _, d := range f.Decls {
			if r := syntax.Range(d); at.Offset >= r.Start.Offset && at.Offset < r.End.Offset {
				return d
			}
		}
	}
	return nil
}

// HasProbes reports whether the user's files have probes: files without are for others
// to use.
func (s *Script) HasProbes() bool {
	for _, f := range s.Files {
		for _, d := range f.Decls {
			if _, ok := d.(*syntax.ProbeDecl); ok {
				return true
			}
		}
	}
	return false
}

// Lost lists the user's probes that were not elaborated: their points depend on what is
// not known here, are missing on the target, or were not understood. What they do, nobody
// knows.
func (s *Script) Lost() []*syntax.ProbeDecl {
	have := map[*syntax.ProbeDecl]bool{}
	probes := s.Program.Probes
	if t := s.Program.Tools; t != nil {
		probes = t.Probes
	}
	for _, p := range probes {
		have[p.Decl] = true
	}
	var out []*syntax.ProbeDecl
	for _, f := range s.Files {
		for _, d := range f.Decls {
			if p, ok := d.(*syntax.ProbeDecl); ok && !have[p] {
				out = append(out, p)
			}
		}
	}
	return out
}

// Guessed reports whether names may come from what was not understood: a macro that is
// missing, a probe that was not elaborated.
func (s *Script) Guessed() bool {
	for i := range s.Program.Diags {
		if s.Program.Diags[i].Code == "E0017" {
			return true
		}
	}
	return len(s.Lost()) > 0
}

// Leaves reports whether a statement ends the handler or function on some way.
func Leaves(s syntax.Stmt) bool {
	found := false
	syntax.Inspect(s, func(n syntax.Node) bool {
		switch n.(type) {
		case *syntax.NextStmt, *syntax.ReturnStmt:
			found = true
		}
		return !found
	})
	return found
}

// FromArgument reports whether an expression begins with what a script argument or macro
// has put there.
func FromArgument(x syntax.Expr) bool {
	f := x.File()
	return x.First() < len(f.Tokens) && f.Tokens[x.First()].Exp != 0
}
