package ebpf

import (
	"slices"

	"stapkit/ir"
)

// operands returns the expressions directly in e, in the order of evaluation.
func operands(e ir.Expr) []ir.Expr {
	switch e := e.(type) {
	case *ir.IndexGet:
		return e.Keys
	case *ir.IndexIn:
		return nonNil(e.Keys)
	case *ir.Update:
		return append(nonNil(e.L.Keys), e.R)
	case *ir.StatAdd:
		return append(nonNil(e.L.Keys), e.V)
	case *ir.StatGet:
		return nonNil(e.L.Keys)
	case *ir.HistGet:
		return append(nonNil(e.L.Keys), e.Bucket)
	case *ir.Unary:
		return []ir.Expr{e.X}
	case *ir.Binary:
		return []ir.Expr{e.X, e.Y}
	case *ir.Logical:
		return []ir.Expr{e.X, e.Y}
	case *ir.Cond:
		return []ir.Expr{e.C, e.X, e.Y}
	case *ir.Call:
		return e.Args
	case *ir.Intrinsic:
		return e.Args
	case *ir.Sprintf:
		return e.Args
	case *ir.Match:
		return []ir.Expr{e.X}
	case *ir.Load:
		return []ir.Expr{e.Addr}
	case *ir.Field:
		return []ir.Expr{e.Base}
	case *ir.MakeText:
		return e.Args
	case *ir.Lookup:
		return []ir.Expr{e.X}
	}
	return nil
}

func nonNil(list []ir.Expr) []ir.Expr {
	out := make([]ir.Expr, 0, len(list)+1)
	for _, e := range list {
		if e != nil {
			out = append(out, e)
		}
	}
	return out
}

// parts returns the expressions directly in st, in the order of evaluation, and
// the statement lists.
func parts(st ir.Stmt) (exprs []ir.Expr, bodies [][]ir.Stmt) {
	switch st := st.(type) {
	case *ir.Eval:
		return []ir.Expr{st.X}, nil
	case *ir.If:
		return []ir.Expr{st.C}, [][]ir.Stmt{st.Then, st.Else}
	case *ir.While:
		if st.C != nil {
			exprs = []ir.Expr{st.C}
		}
		return exprs, [][]ir.Stmt{st.Body, st.Post}
	case *ir.Foreach:
		exprs = nonNil(st.Slice)
		if st.Limit != nil {
			exprs = append(exprs, st.Limit)
		}
		return exprs, [][]ir.Stmt{st.Body}
	case *ir.ForeachHist:
		exprs = nonNil(st.L.Keys)
		if st.Limit != nil {
			exprs = append(exprs, st.Limit)
		}
		return exprs, [][]ir.Stmt{st.Body}
	case *ir.Return:
		if st.X != nil {
			return []ir.Expr{st.X}, nil
		}
	case *ir.Delete:
		return nonNil(st.L.Keys), nil
	case *ir.Try:
		return nil, [][]ir.Stmt{st.Body, st.Catch}
	case *ir.Print:
		return st.Args, nil
	case *ir.PrintHist:
		return nonNil(st.L.Keys), nil
	}
	return nil, nil
}

// walker visits expressions and statements, parents first. A nil function is
// not called; one that returns false skips what is inside.
type walker struct {
	expr func(ir.Expr) bool
	stmt func(ir.Stmt) bool
}

func (w *walker) walk(e ir.Expr) {
	if e == nil || w.expr != nil && !w.expr(e) {
		return
	}
	if s, ok := e.(*ir.Seq); ok {
		w.list(s.Body)
		w.walk(s.R)
		return
	}
	for _, x := range operands(e) {
		w.walk(x)
	}
}

func (w *walker) list(list []ir.Stmt) {
	for _, st := range list {
		w.one(st)
	}
}

func (w *walker) one(st ir.Stmt) {
	if w.stmt != nil && !w.stmt(st) {
		return
	}
	exprs, bodies := parts(st)
	for _, e := range exprs {
		w.walk(e)
	}
	for _, b := range bodies {
		w.list(b)
	}
}

// any reports whether f holds for e or an expression in it.
func anyExpr(e ir.Expr, f func(ir.Expr) bool) bool {
	found := false
	w := walker{expr: func(x ir.Expr) bool {
		found = found || f(x)
		return !found
	}}
	w.walk(e)
	return found
}

// setsLocal reports whether evaluating e can change local id.
func setsLocal(e ir.Expr, id int) bool {
	return assigns(id, func(w *walker) { w.walk(e) })
}

// assigns reports whether code that walk visits can change local id.
func assigns(id int, walk func(*walker)) bool {
	found := false
	w := walker{
		expr: func(e ir.Expr) bool {
			u, ok := e.(*ir.Update)
			found = found || ok && !u.L.Global && u.L.ID == id
			return !found
		},
		stmt: func(st ir.Stmt) bool {
			switch st := st.(type) {
			case *ir.Foreach:
				found = found || st.Value == id || slices.Contains(st.Keys, id)
			case *ir.ForeachHist:
				found = found || st.Key == id || st.Value == id
			case *ir.Try:
				found = found || st.Var == id
			case *ir.Delete:
				found = found || !st.L.Global && st.L.ID == id
			}
			return !found
		},
	}
	walk(&w)
	return found
}

// readsLocal reports whether e reads local id.
func readsLocal(e ir.Expr, id int) bool {
	return anyExpr(e, func(x ir.Expr) bool {
		switch x := x.(type) {
		case *ir.Local:
			return x.ID == id
		case *ir.Update:
			return !x.L.Global && x.L.ID == id
		}
		return false
	})
}

// setsGlobal reports whether evaluating e can change scalar global id.
func setsGlobal(e ir.Expr, id int) bool {
	found := false
	w := walker{
		expr: func(x ir.Expr) bool {
			switch x := x.(type) {
			case *ir.Update:
				found = found || x.L.Global && x.L.ID == id
			case *ir.Call:
				found = true
			}
			return !found
		},
		stmt: func(st ir.Stmt) bool {
			d, ok := st.(*ir.Delete)
			found = found || ok && d.L.Global && d.L.ID == id
			return !found
		},
	}
	w.walk(e)
	return found
}

// huge bounds what is counted; twice as much is still a number of 32 bits.
const huge = 1 << 29

// analysis is what must be known of a handler or function before code is made
// for it. What it calls is counted in.
type analysis struct {
	nodes   int  // of tree
	loops   bool // needs the state machine
	ticks   int  // most actions of an invocation without loops
	out     int  // most bytes of output of an invocation without loops
	item    int  // largest item
	longest int  // the site of its statement
	errText int  // widest text of error()
	match   bool // has regular expressions
	groups  bool // asks for their groups
	places  int  // asks for the text of this group and those before, plus 1
	subject int  // longest string that is matched
	regexps []int
	index   bool // has loops over arrays
	calls   bool // has script functions
	result  bool // sets or asks for the result
}

func (a *analysis) add(b *analysis) {
	a.nodes = min(a.nodes+b.nodes, huge)
	a.ticks = min(a.ticks+b.ticks, huge)
	a.out = min(a.out+b.out, huge)
	if b.item > a.item {
		a.item, a.longest = b.item, b.longest
	}
	a.errText = max(a.errText, b.errText)
	a.loops = a.loops || b.loops
	a.match = a.match || b.match
	a.groups = a.groups || b.groups
	a.places = max(a.places, b.places)
	a.subject = max(a.subject, b.subject)
	a.regexps = append(a.regexps, b.regexps...)
	a.index = a.index || b.index
	a.result = a.result || b.result
	a.calls = true
}

// function is what is known of a script function.
type function struct {
	state     uint8 // 0 new, 1 being looked through, 2 done
	sites     int   // calls in the whole program
	recursive bool
	outlined  bool
	analysis
}

// maxInlined is the size, in nodes with all that it calls, up to which a
// function that is called more than once is expanded at each call.
const maxInlined = 600

// analyzeFuncs finds out which functions are expanded in place. The others are
// the recursive ones (ir.Func.Recursive) and large ones with several calls.
func (g *generator) analyzeFuncs() {
	g.funcs = make([]function, len(g.p.Funcs))
	count := walker{expr: func(e ir.Expr) bool {
		if c, ok := e.(*ir.Call); ok {
			for _, id := range c.Chain {
				g.funcs[id].sites++
			}
		}
		return true
	}}
	for _, f := range g.p.Funcs {
		count.list(f.Body)
	}
	for _, h := range g.kernelHandlers() {
		count.list(h.Body)
		count.walk(h.Cond)
		count.walk(h.Result)
	}
	for id := range g.funcs {
		g.analyzeFunc(id)
	}
}

func (g *generator) analyzeFunc(id int) *function {
	f := &g.funcs[id]
	decl := g.p.Funcs[id]
	switch f.state {
	case 2:
		return f
	case 1:
		if !decl.Recursive {
			g.errorf(decl.Site, eInternal, "function '%s' calls itself, but is not marked as recursive", decl.Name)
		}
		return &function{analysis: analysis{loops: true}, outlined: true}
	}
	f.state = 1
	v := analyzer{g: g}
	v.list(decl.Body)
	f.analysis = v.a
	f.recursive = decl.Recursive
	f.outlined = decl.Recursive || f.nodes > maxInlined && f.sites > 1
	if f.outlined {
		f.loops, f.ticks, f.out, f.nodes = true, huge, huge, 1
	}
	f.state = 2
	return f
}

// analyzeHandler looks through a handler and all that it calls.
func (g *generator) analyzeHandler(h *ir.Handler) *analysis {
	v := analyzer{g: g}
	if h.Cond != nil {
		v.expr(h.Cond)
	}
	v.list(h.Body)
	if h.Result != nil {
		v.expr(h.Result)
	}
	return &v.a
}

type analyzer struct {
	g *generator
	a analysis
}

func (v *analyzer) list(list []ir.Stmt) {
	for _, st := range list {
		v.stmt(st)
	}
}

func (v *analyzer) stmt(st ir.Stmt) {
	v.a.nodes = min(v.a.nodes+1, huge)
	switch st := st.(type) {
	case *ir.While, *ir.ForeachHist:
		v.a.loops = true
	case *ir.Foreach:
		v.a.loops, v.a.index = true, true
	case *ir.Tick:
		v.a.ticks = min(v.a.ticks+st.N, huge)
	case *ir.Print:
		v.item(itemSize(st.Args)+capturedSize(&v.g.p.Formats[st.Format]), st.Site)
	case *ir.PrintHist:
		v.item(itemHeader+8*v.g.p.Globals[st.L.ID].Stat.Buckets(), st.Site)
	}
	exprs, bodies := parts(st)
	out, ticks := v.a.out, v.a.ticks
	for _, e := range exprs {
		v.expr(e)
	}
	for _, b := range bodies {
		v.list(b)
	}
	switch st.(type) {
	case *ir.While, *ir.Foreach, *ir.ForeachHist:
		// Any number of times.
		if v.a.out > out {
			v.a.out = huge
		}
		if v.a.ticks > ticks {
			v.a.ticks = huge
		}
	}
}

func (v *analyzer) item(n, site int) {
	v.a.out = min(v.a.out+n, huge)
	if n > v.a.item {
		v.a.item, v.a.longest = n, site
	}
}

func (v *analyzer) expr(e ir.Expr) {
	v.a.nodes = min(v.a.nodes+1, huge)
	switch e := e.(type) {
	case *ir.Intrinsic:
		switch e.ID {
		case ir.IExit, ir.IAbort:
			v.item(itemHeader, e.Site)
		case ir.IWarn, ir.ISystem, ir.ISwitchFile, ir.IPrintk, ir.IDumpStack:
			v.item(itemSize(e.Args), e.Site)
		case ir.INgroups:
			v.a.groups = true
		case ir.IMatched:
			n, known := literal(e.Args[0])
			if !known {
				n = huge
			}
			v.a.groups = true
			v.a.places = max(v.a.places, int(min(max(n, 0), huge))+1)
		case ir.ISetResult:
			v.a.result = true
		case ir.IError:
			v.a.errText = max(v.a.errText, e.Args[0].Type().Width)
		}
	case *ir.Match:
		v.a.match = true
		v.a.subject = max(v.a.subject, e.X.Type().Width)
		v.a.regexps = append(v.a.regexps, e.Re)
	case *ir.Call:
		for _, id := range e.Chain {
			v.a.add(&v.g.analyzeFunc(id).analysis)
		}
	}
	for _, x := range operands(e) {
		v.expr(x)
	}
	if s, ok := e.(*ir.Seq); ok {
		v.list(s.Body)
		v.expr(s.R)
	}
}
