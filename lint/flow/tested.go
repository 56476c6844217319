package flow

import (
	"golang.org/x/tools/container/intsets"

	"stapkit/lint"
	"stapkit/sema"
	"stapkit/syntax"
)

// Tested tells where in a body an expression is known not to be 0 or empty, because a
// condition on the way tested it, a constant was assigned, or a loop found it.
type Tested struct {
	g     *Graph
	ids   map[string]int
	names []map[string]bool // variables that the expression of each id mentions
	in    []*intsets.Sparse
}

// NewTested finds out.
func NewTested(g *Graph) *Tested {
	t := &Tested{g: g, ids: map[string]int{}}
	t.in = g.Solve(Problem{Must: true,
		Transfer: func(b *Block, s *intsets.Sparse) {
			for _, n := range b.Events {
				t.event(n, s)
			}
		},
		Edge: func(_ *Block, e Edge, s *intsets.Sparse) {
			if e.Cond != nil {
				t.learn(e.Cond, e.Truth, s)
			}
		},
	})
	return t
}

// Each calls f for every event of reachable code, with the knowledge of that moment.
func (t *Tested) Each(f func(n syntax.Node, nonzero func(x syntax.Expr) bool)) {
	reach := t.g.Reachable()
	for _, b := range t.g.Blocks {
		if !reach[b.Index] {
			continue
		}
		var s intsets.Sparse
		s.Copy(t.in[b.Index])
		for _, n := range b.Events {
			f(n, func(x syntax.Expr) bool { return t.holds(x, &s) })
			t.event(n, &s)
		}
	}
}

func (t *Tested) holds(x syntax.Expr, s *intsets.Sparse) bool {
	if v, ok := t.g.Body.Int(x); ok {
		return v != 0
	}
	if s.IsEmpty() { // nothing is known, whatever it is called
		return false
	}
	id, ok := t.ids[syntax.ExprString(x)]
	return ok && s.Has(id)
}

func (t *Tested) id(text string, mentions ...syntax.Node) int {
	id, ok := t.ids[text]
	if !ok {
		id = len(t.names)
		t.ids[text] = id
		names := map[string]bool{}
		for _, m := range mentions {
			syntax.Inspect(m, func(n syntax.Node) bool {
				if x, ok := n.(*syntax.Ident); ok {
					names[x.Name] = true
				}
				return true
			})
		}
		t.names = append(t.names, names)
	}
	return id
}

func (t *Tested) gen(x syntax.Expr, s *intsets.Sparse) { s.Insert(t.id(syntax.ExprString(x), x)) }

// element is the text of @count of an array's element.
func element(array string, keys []syntax.Expr) string {
	text := "@count(" + array + "["
	for i, k := range keys {
		if i > 0 {
			text += ", "
		}
		text += syntax.ExprString(k)
	}
	return text + "])"
}

// genElement knows that an element exists.
func (t *Tested) genElement(array syntax.Expr, keys []syntax.Expr, s *intsets.Sparse) {
	id, ok := array.(*syntax.Ident)
	if !ok {
		return
	}
	mentions := []syntax.Node{id}
	for _, k := range keys {
		mentions = append(mentions, k)
	}
	s.Insert(t.id(element(id.Name, keys), mentions...))
}

// forget drops what is known of a variable, "" for all globals.
func (t *Tested) forget(name string, s *intsets.Sparse) {
	globals := map[string]bool{}
	if name == "" {
		for _, o := range t.g.Body.Idents {
			if g, ok := o.(*sema.Global); ok {
				globals[g.Name] = true
			}
		}
	}
	for id, names := range t.names {
		if !s.Has(id) {
			continue
		}
		for n := range names {
			if n == name || globals[n] {
				s.Remove(id)
			}
		}
	}
}

func (t *Tested) change(x syntax.Expr, s *intsets.Sparse) {
	switch x := x.(type) {
	case *syntax.Ident:
		t.forget(x.Name, s)
	case *syntax.Index:
		t.change(x.X, s)
	}
}

func (t *Tested) event(n syntax.Node, s *intsets.Sparse) {
	switch n := n.(type) {
	case *syntax.AssignExpr:
		switch {
		case n.Op == syntax.StatAssign:
			s.Insert(t.id("@count("+syntax.ExprString(n.L)+")", n.L))
		case n.Op == syntax.Assign:
			known := t.holds(n.R, s)
			t.change(n.L, s)
			if known {
				t.gen(n.L, s)
			}
		default:
			t.change(n.L, s)
		}
	case *syntax.IncDec:
		t.change(n.X, s)
	case *syntax.DeleteStmt:
		t.change(n.X, s)
	case *syntax.ForeachStmt:
		keys := make([]syntax.Expr, len(n.Keys))
		for i, k := range n.Keys {
			t.forget(k.Name, s)
			keys[i] = k
		}
		if n.Value != nil {
			t.forget(n.Value.Name, s)
			if id, ok := n.Array.(*syntax.Ident); ok && t.g.Body.Types[id] == sema.Stats || t.isStat(n.Array) {
				s.Insert(t.id("@count("+n.Value.Name+")", n.Value))
			}
		}
		t.genElement(n.Array, keys, s)
	case *syntax.TryStmt:
		if n.Var != nil {
			t.forget(n.Var.Name, s)
		}
	case *syntax.Call:
		if !t.g.Body.Pure(n) {
			t.forget("", s)
		}
	}
}

func (t *Tested) isStat(x syntax.Expr) bool {
	g := t.g.Body.Global(x)
	return g != nil && g.Type == sema.Stats
}

// learn adds what a condition tells when it has come out as truth.
func (t *Tested) learn(x syntax.Expr, truth bool, s *intsets.Sparse) {
	switch x := x.(type) {
	case *syntax.ArrayIn:
		if truth {
			t.genElement(x.Array, x.Keys, s)
		}
	case *syntax.Binary:
		if v, ok := t.g.Body.Int(x.Y); ok && nonzeroIf(x.Op, v, truth) {
			t.gen(x.X, s)
		}
		if v, ok := t.g.Body.Int(x.X); ok && nonzeroIf(mirror(x.Op), v, truth) {
			t.gen(x.Y, s)
		}
		// "@count(x) >= least": who compares a count has thought of none.
		if c, ok := x.X.(*syntax.StatOp); ok && c.Op == syntax.StatCount && (x.Op == syntax.Ge || x.Op == syntax.Gt) && truth {
			t.gen(x.X, s)
		}
	case *syntax.AssignExpr:
		if truth && x.Op == syntax.Assign {
			t.gen(x.L, s)
			t.gen(x.R, s)
		}
	case *syntax.Unary:
		if x.Op == syntax.Not {
			t.learn(x.X, !truth, s)
		}
	default:
		if truth {
			t.gen(x, s)
		}
	}
}

// mirror is the comparison with its sides changed.
func mirror(op syntax.Kind) syntax.Kind {
	switch op {
	case syntax.Lt:
		return syntax.Gt
	case syntax.Gt:
		return syntax.Lt
	case syntax.Le:
		return syntax.Ge
	case syntax.Ge:
		return syntax.Le
	}
	return op
}

// nonzeroIf reports whether "x op v" being truth means that x is not 0.
func nonzeroIf(op syntax.Kind, v int64, truth bool) bool {
	zero := false // whether 0 passes the test
	switch op {
	case syntax.Eq:
		zero = v == 0
	case syntax.Ne:
		zero = v != 0
	case syntax.Lt:
		zero = v > 0
	case syntax.Le:
		zero = v >= 0
	case syntax.Gt:
		zero = v < 0
	case syntax.Ge:
		zero = v <= 0
	default:
		return false
	}
	return zero != truth
}

// AllTested are the Tested of all graphs, a fact for rules to require.
var AllTested = &lint.Analyzer{Name: "tested", Requires: []*lint.Analyzer{Graphs}, Run: func(p *lint.Pass) (any, error) {
	var out []*Tested
	for _, g := range p.ResultOf[Graphs].([]*Graph) {
		out = append(out, NewTested(g))
	}
	return out, nil
}}

// Graph is the graph that it is about.
func (t *Tested) Graph() *Graph { return t.g }
