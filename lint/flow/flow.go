// Package flow has the control-flow graph of a handler or function and a solver for
// questions about what holds at its points: which definitions reach, what is live,
// what has been tested. Rules about paths stand on it.
package flow

import (
	"golang.org/x/tools/container/intsets"

	"stapkit/lint"
	"stapkit/syntax"
)

// A Graph is the control flow of one body. Conditions that elaboration has decided
// are followed on the side that is taken only.
type Graph struct {
	Body *lint.Body
	// Blocks are all blocks; Blocks[0] is where control enters.
	Blocks []*Block
	// Exit is where all ways end: "next", "return", the end of the last statement.
	Exit *Block
}

// A Block is a stretch of code without branches.
type Block struct {
	Index int
	// Events is what happens, in order of evaluation: operands before operators, so
	// that every expression comes once. A ForeachStmt binds its variables, a TryStmt
	// its error text, a DeleteStmt deletes; NextStmt, ReturnStmt, BreakStmt and
	// ContinueStmt leave. What an AssignExpr, IncDec or DeleteStmt changes is no event
	// of its own, but keys of it are.
	Events []syntax.Node
	Succs  []Edge
	Preds  []*Block
	// Stmts are the statements that begin here.
	Stmts []syntax.Stmt
}

// An Edge leads to a block. When it is taken only for one value of a condition, Cond is
// that condition and Truth the value.
type Edge struct {
	To    *Block
	Cond  syntax.Expr
	Truth bool
	// Error: taken when anything before fails (into "catch").
	Error bool
}

type builder struct {
	g    *Graph
	cur  *Block // nil behind what always leaves
	stop []*Block
	cont []*Block
}

// New makes the graph of a body.
func New(body *lint.Body) *Graph {
	g := &Graph{Body: body}
	b := &builder{g: g}
	b.cur = b.block()
	g.Exit = &Block{}
	for _, bl := range body.Blocks {
		if bl != nil {
			b.stmt(bl)
		}
	}
	b.jump(g.Exit)
	g.Exit.Index = len(g.Blocks)
	g.Blocks = append(g.Blocks, g.Exit)
	for _, bl := range g.Blocks {
		for _, e := range bl.Succs {
			e.To.Preds = append(e.To.Preds, bl)
		}
	}
	return g
}

func (b *builder) block() *Block {
	bl := &Block{Index: len(b.g.Blocks)}
	b.g.Blocks = append(b.g.Blocks, bl)
	return bl
}

// here gives the block that is being filled; code that nothing reaches gets one that
// nothing leads to.
func (b *builder) here() *Block {
	if b.cur == nil {
		b.cur = b.block()
	}
	return b.cur
}

func (b *builder) event(n syntax.Node) {
	bl := b.here()
	bl.Events = append(bl.Events, n)
}

func (b *builder) edge(from, to *Block, cond syntax.Expr, truth bool) {
	from.Succs = append(from.Succs, Edge{To: to, Cond: cond, Truth: truth})
}

// jump ends the current block.
func (b *builder) jump(to *Block) {
	if b.cur != nil {
		b.edge(b.cur, to, nil, false)
	}
	b.cur = nil
}

// leave ends the current block with a statement that leaves.
func (b *builder) leave(s syntax.Stmt, to *Block) {
	b.event(s)
	if to == nil {
		to = b.g.Exit // a break outside of a loop, which is an error elsewhere
	}
	b.jump(to)
}

func top(list []*Block) *Block {
	if len(list) == 0 {
		return nil
	}
	return list[len(list)-1]
}

func (b *builder) truth(x syntax.Expr) (value, known bool) { return b.g.Body.Truth(x) }

// cond evaluates a condition and branches.
func (b *builder) cond(x syntax.Expr, yes, no *Block) {
	if v, known := b.truth(x); known {
		if v {
			b.jump(yes)
		} else {
			b.jump(no)
		}
		return
	}
	switch x := x.(type) {
	case *syntax.Logical:
		mid := b.block()
		if x.Op == syntax.AndAnd {
			b.cond(x.X, mid, no)
		} else {
			b.cond(x.X, yes, mid)
		}
		b.cur = mid
		b.cond(x.Y, yes, no)
		return
	case *syntax.Unary:
		if x.Op == syntax.Not {
			b.cond(x.X, no, yes)
			return
		}
	}
	b.expr(x)
	from := b.here()
	b.edge(from, yes, x, true)
	b.edge(from, no, x, false)
	b.cur = nil
}

func (b *builder) stmt(s syntax.Stmt) {
	if s == nil {
		return
	}
	if bl, ok := s.(*syntax.Block); ok {
		if bl == nil {
			return
		}
		for _, x := range bl.Stmts {
			b.stmt(x)
		}
		return
	}
	at := b.here()
	at.Stmts = append(at.Stmts, s)
	switch s := s.(type) {
	case *syntax.ExprStmt:
		b.expr(s.X)
	case *syntax.IfStmt:
		yes, no, end := b.block(), b.block(), b.block()
		b.cond(s.Cond, yes, no)
		b.cur = yes
		b.stmt(s.Then)
		b.jump(end)
		b.cur = no
		b.stmt(s.Else)
		b.jump(end)
		b.cur = b.reached(end)
	case *syntax.WhileStmt:
		b.loop(nil, s.Cond, nil, s.Body)
	case *syntax.ForStmt:
		b.loop(s.Init, s.Cond, s.Post, s.Body)
	case *syntax.ForeachStmt:
		b.expr(s.Array)
		for _, x := range s.Slice {
			b.expr(x)
		}
		b.expr(s.Limit)
		head, body, end := b.block(), b.block(), b.block()
		b.jump(head)
		b.edge(head, body, nil, false)
		b.edge(head, end, nil, false)
		b.cur = body
		b.event(s)
		b.enter(s.Body, end, head)
		b.jump(head)
		b.cur = end
	case *syntax.ReturnStmt:
		b.expr(s.X)
		b.leave(s, b.g.Exit)
	case *syntax.NextStmt:
		b.leave(s, b.g.Exit)
	case *syntax.BreakStmt:
		b.leave(s, top(b.stop))
	case *syntax.ContinueStmt:
		b.leave(s, top(b.cont))
	case *syntax.DeleteStmt:
		b.place(s.X)
		b.event(s)
	case *syntax.TryStmt:
		body, handler, end := b.block(), b.block(), b.block()
		b.jump(body)
		b.cur = body
		first := len(b.g.Blocks)
		if s.Body != nil {
			b.stmt(s.Body)
		}
		last := len(b.g.Blocks)
		b.jump(end)
		// Anything in there may fail: before its first event, or behind any.
		for _, bl := range append(b.g.Blocks[first:last:last], body) {
			bl.Succs = append(bl.Succs, Edge{To: handler, Error: true})
		}
		b.cur = handler
		b.event(s)
		if s.Handler != nil {
			b.stmt(s.Handler)
		}
		b.jump(end)
		b.cur = b.reached(end)
	}
}

// reached gives a block, or nil when nothing leads there.
func (b *builder) reached(bl *Block) *Block {
	for _, o := range b.g.Blocks {
		for _, e := range o.Succs {
			if e.To == bl {
				return bl
			}
		}
	}
	return nil
}

func (b *builder) enter(s syntax.Stmt, stop, cont *Block) {
	b.stop, b.cont = append(b.stop, stop), append(b.cont, cont)
	b.stmt(s)
	b.stop, b.cont = b.stop[:len(b.stop)-1], b.cont[:len(b.cont)-1]
}

func (b *builder) loop(init, cond, post syntax.Expr, s syntax.Stmt) {
	b.expr(init)
	head, body, next, end := b.block(), b.block(), b.block(), b.block()
	b.jump(head)
	b.cur = head
	if cond != nil {
		b.cond(cond, body, end)
	} else {
		b.jump(body)
	}
	b.cur = body
	b.enter(s, end, next)
	b.jump(next)
	b.cur = next
	b.expr(post)
	b.jump(head)
	b.cur = b.reached(end)
}

// place evaluates what is needed to find an lvalue, not the lvalue.
func (b *builder) place(x syntax.Expr) {
	switch x := x.(type) {
	case *syntax.Index:
		for _, k := range x.Keys {
			b.expr(k)
		}
	case *syntax.Ident, nil:
	default:
		syntax.Children(x, b.child)
	}
}

func (b *builder) child(n syntax.Node) {
	if x, ok := n.(syntax.Expr); ok {
		b.expr(x)
	} else {
		syntax.Children(n, b.child)
	}
}

func (b *builder) expr(x syntax.Expr) {
	if x == nil {
		return
	}
	if _, known := b.g.Body.Consts[x]; known {
		b.event(x)
		return
	}
	switch x := x.(type) {
	case *syntax.Logical:
		yes, end := b.block(), b.block()
		// Both ways lead on; what was tested on the way counts for the second operand.
		if v, known := b.truth(x.X); known {
			if v == (x.Op == syntax.AndAnd) {
				b.expr(x.Y)
			}
			b.jump(end)
			b.cur = end
			b.event(x)
			return
		}
		if x.Op == syntax.AndAnd {
			b.cond(x.X, yes, end)
		} else {
			b.cond(x.X, end, yes)
		}
		b.cur = yes
		b.expr(x.Y)
		b.jump(end)
		b.cur = end
		b.event(x)
	case *syntax.Ternary:
		yes, no, end := b.block(), b.block(), b.block()
		b.cond(x.Cond, yes, no)
		b.cur = yes
		b.expr(x.Then)
		b.jump(end)
		b.cur = no
		b.expr(x.Else)
		b.jump(end)
		b.cur = end
		b.event(x)
	case *syntax.AssignExpr:
		b.place(x.L)
		b.expr(x.R)
		b.event(x)
	case *syntax.IncDec:
		b.place(x.X)
		b.event(x)
	case *syntax.Index:
		for _, k := range x.Keys {
			b.expr(k)
		}
		if h, ok := x.X.(*syntax.HistOp); ok {
			b.expr(h)
		}
		b.event(x)
	case *syntax.ArrayIn:
		for _, k := range x.Keys {
			b.expr(k)
		}
		b.event(x)
	case *syntax.StatOp:
		b.place(x.X)
		b.event(x)
	case *syntax.HistOp:
		b.place(x.X)
		b.event(x)
	case *syntax.AtOp:
		if x.Op == syntax.AtDefined || x.Op == syntax.AtEntry {
			b.event(x) // the operand is not evaluated here
			return
		}
		syntax.Children(x, b.child)
		b.event(x)
	default:
		syntax.Children(x, b.child)
		b.event(x)
	}
}

// Reachable tells for each block whether control gets there.
func (g *Graph) Reachable() []bool {
	seen := make([]bool, len(g.Blocks))
	var visit func(b *Block)
	visit = func(b *Block) {
		if seen[b.Index] {
			return
		}
		seen[b.Index] = true
		for _, e := range b.Succs {
			visit(e.To)
		}
	}
	visit(g.Blocks[0])
	return seen
}

// A Problem is a question about facts, which are numbers: transfer changes the set of
// facts at a block's start (or, backward, end) as the block does; edge, if set, as the
// edge does.
type Problem struct {
	Backward bool
	// Must: a fact holds where ways meet only if it does on all of them; else if it
	// does on any.
	Must     bool
	Transfer func(b *Block, s *intsets.Sparse)
	Edge     func(from *Block, e Edge, s *intsets.Sparse)
}

// Solve returns the facts that hold where control enters each block (backward: where
// it leaves it). Blocks that control does not reach have none, and count for nothing.
func (g *Graph) Solve(p Problem) []*intsets.Sparse {
	type arc struct {
		from *Block
		e    Edge
	}
	in := make([]*intsets.Sparse, len(g.Blocks)) // nil: not reached yet
	into := make([][]arc, len(g.Blocks))
	for _, b := range g.Blocks {
		for _, e := range b.Succs {
			if p.Backward {
				into[b.Index] = append(into[b.Index], arc{e.To, e})
			} else {
				into[e.To.Index] = append(into[e.To.Index], arc{b, e})
			}
		}
	}
	start := g.Blocks[0]
	if p.Backward {
		start = g.Exit
	}
	in[start.Index] = &intsets.Sparse{}
	for changed := true; changed; {
		changed = false
		for i := range g.Blocks {
			b := g.Blocks[i]
			if p.Backward {
				b = g.Blocks[len(g.Blocks)-1-i]
			}
			if b == start && len(into[b.Index]) == 0 {
				continue
			}
			var sum *intsets.Sparse
			if b == start {
				sum = &intsets.Sparse{}
			}
			for _, a := range into[b.Index] {
				from := in[a.from.Index]
				if from == nil {
					continue
				}
				var s intsets.Sparse
				s.Copy(from)
				if !a.e.Error || p.Backward || !p.Must { // what fails may have done nothing yet
					p.Transfer(a.from, &s)
				}
				if a.e.Error && !p.Must {
					s.UnionWith(from)
				}
				if p.Edge != nil {
					p.Edge(a.from, a.e, &s)
				}
				switch {
				case sum == nil:
					sum = &s
				case p.Must:
					sum.IntersectionWith(&s)
				default:
					sum.UnionWith(&s)
				}
			}
			if sum == nil {
				continue
			}
			if old := in[b.Index]; old == nil || !old.Equals(sum) {
				in[b.Index] = sum
				changed = true
			}
		}
	}
	for i, s := range in {
		if s == nil {
			in[i] = &intsets.Sparse{}
		}
	}
	return in
}

// Graphs are the graphs of all bodies of the user, a fact for rules to require.
var Graphs = &lint.Analyzer{Name: "flow", Run: func(p *lint.Pass) (any, error) {
	bodies := p.Bodies()
	out := make([]*Graph, len(bodies))
	for i := range bodies {
		out[i] = New(&bodies[i])
	}
	return out, nil
}}
