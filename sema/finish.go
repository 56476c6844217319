package sema

import (
	"slices"
	"sort"
	"strconv"

	"stapkit/diag"
	"stapkit/syntax"
)

// finish finds out what the program needs of what was elaborated: reads and writes,
// code without effect, unused declarations; and completes the Program.
func (e *elab) finish(files []*syntax.File) {
	e.statShapes()
	e.foreachModify()
	e.elide()
	live := e.reach()
	e.accesses(live)
	e.warnings(live)
	e.privileges()
	e.procfsFiles()
	e.collect(live)
	e.recursion()
	for _, p := range e.prog.Probes {
		p.bindLocations()
	}
	for _, b := range live.states {
		for l := range b.dead {
			if l.Type == Unknown && !e.unresolved {
				l.Type = Long // nothing reads it, so any type will do
			}
		}
	}
	e.prog.Unresolved = e.unresolved
	if len(e.prog.Probes) == 0 && !diag.HasErrors(e.prog.Diags) && !e.unresolved {
		d := diag.New(codeNoProbes, diag.Range{}, "no probes found")
		e.prog.Diags = append(e.prog.Diags, d)
	}
	e.sortDiags(files)
}

// elide marks code without effect, until no more is found.
func (e *elab) elide() {
	e.purity()
	for round := 0; round < 50; round++ {
		changed := false
		for _, b := range e.bodies {
			if b.elide() {
				changed = true
			}
		}
		if e.purity() {
			changed = true
		}
		if !changed {
			break
		}
	}
}

// sortDiags brings the findings into the order of the files, and of places in them;
// what has no place comes last.
func (e *elab) sortDiags(files []*syntax.File) {
	rank := map[string]int{}
	for i, f := range files {
		rank[f.Name] = i
	}
	key := func(d *diag.Diagnostic) int {
		if !d.Range.IsValid() {
			return len(files) + 1
		}
		if r, ok := rank[d.Range.Start.File]; ok {
			return r
		}
		return len(files)
	}
	less := func(ds []diag.Diagnostic) func(i, j int) bool {
		return func(i, j int) bool {
			a, b := &ds[i], &ds[j]
			if ka, kb := key(a), key(b); ka != kb {
				return ka < kb
			}
			if a.Range.Start.File != b.Range.Start.File {
				return a.Range.Start.File < b.Range.Start.File
			}
			return e.offset(a) < e.offset(b)
		}
	}
	sort.SliceStable(e.prog.Diags, less(e.prog.Diags))
	sort.SliceStable(e.prog.Late, less(e.prog.Late))
}

// offset is where a finding is sorted to: what is left of an assignment follows it.
func (e *elab) offset(d *diag.Diagnostic) int {
	if at, ok := e.after[d.Range.Start]; ok && d.Code == codeElideExpr {
		return at
	}
	return d.Range.Start.Offset
}

// walker visits the live expressions and statements of a body: those that
// elaboration has not decided against. Either function may be nil.
type walker struct {
	b *bodyState
	// stmt is called before a statement; false skips it.
	stmt func(s syntax.Stmt) bool
	// expr is called before an expression; used tells whether its value counts.
	expr func(x syntax.Expr, used bool)
	// write is called for what is assigned to; full is a plain "=", used tells whether
	// the value of the assignment counts.
	write func(x syntax.Expr, at syntax.Node, full, used bool)
}

func (w *walker) body() {
	if w.b.root != nil {
		w.e(w.b.root, true)
	}
	for _, bl := range w.b.blocks {
		w.s(bl)
	}
}

func (w *walker) s(s syntax.Stmt) {
	if s == nil {
		return
	}
	if bl, ok := s.(*syntax.Block); ok && bl == nil {
		return
	}
	if w.stmt != nil && !w.stmt(s) {
		return
	}
	switch s := s.(type) {
	case *syntax.Block:
		for _, x := range s.Stmts {
			w.s(x)
		}
	case *syntax.IfStmt:
		if c, ok := w.b.body.Consts[s.Cond]; ok {
			if c.truth() {
				w.s(s.Then)
			} else if s.Else != nil {
				w.s(s.Else)
			}
			return
		}
		w.e(s.Cond, true)
		w.s(s.Then)
		if s.Else != nil {
			w.s(s.Else)
		}
	case *syntax.WhileStmt:
		if c, ok := w.b.body.Consts[s.Cond]; ok && !c.truth() {
			return
		}
		w.e(s.Cond, true)
		w.s(s.Body)
	case *syntax.ForStmt:
		w.e(s.Init, false)
		if s.Cond != nil {
			if c, ok := w.b.body.Consts[s.Cond]; ok && !c.truth() {
				return
			}
			w.e(s.Cond, true)
		}
		w.s(s.Body)
		w.e(s.Post, false)
	case *syntax.ForeachStmt:
		w.e(s.Array, true)
		for _, x := range s.Slice {
			w.e(x, true)
		}
		for _, k := range s.Keys {
			w.w(k, s, true, false)
		}
		if s.Value != nil {
			w.w(s.Value, s, true, false)
		}
		w.e(s.Limit, true)
		w.s(s.Body)
	case *syntax.ReturnStmt:
		w.e(s.X, true)
	case *syntax.DeleteStmt:
		w.w(s.X, s, true, false)
	case *syntax.TryStmt:
		w.s(s.Body)
		if s.Var != nil {
			w.w(s.Var, s, true, false)
		}
		w.s(s.Handler)
	case *syntax.ExprStmt:
		w.e(s.X, false)
	}
}

// w visits what is written to.
func (w *walker) w(x syntax.Expr, at syntax.Node, full, used bool) {
	switch x := x.(type) {
	case *syntax.Index:
		for _, k := range x.Keys {
			w.e(k, true)
		}
		if h, ok := x.X.(*syntax.HistOp); ok {
			w.e(h, true)
		}
	case *syntax.TargetVar, *syntax.AtOp, *syntax.Autocast:
		w.parts(x)
	}
	if w.write != nil {
		w.write(x, at, full, used)
	}
}

// parts visits what is below a target variable or cast.
func (w *walker) parts(x syntax.Expr) {
	index := func(a *syntax.Access) {
		for _, s := range a.Path {
			w.e(s.Index, true)
		}
	}
	switch x := x.(type) {
	case *syntax.TargetVar:
		if acc := w.b.body.Targets[x]; acc == nil || acc.Base != BaseEntry {
			index(&x.Access)
		}
	case *syntax.Autocast:
		w.e(x.X, true)
		index(&x.Access)
	case *syntax.AddrOf:
		w.parts(x.X)
	case *syntax.AtOp:
		switch x.Op {
		case syntax.AtCast, syntax.AtEnumName:
			if len(x.Args) > 0 {
				w.e(x.Args[0], true)
			}
		case syntax.AtKderef, syntax.AtUderef:
			if len(x.Args) > 1 {
				w.e(x.Args[1], true)
			}
		}
		index(&x.Access)
	}
}

func (w *walker) e(x syntax.Expr, used bool) {
	if x == nil {
		return
	}
	if w.expr != nil {
		w.expr(x, used)
	}
	if _, ok := w.b.body.Consts[x]; ok {
		return
	}
	switch x := x.(type) {
	case *syntax.Index:
		for _, k := range x.Keys {
			w.e(k, true)
		}
		if h, ok := x.X.(*syntax.HistOp); ok {
			w.e(h, true)
		}
	case *syntax.ArrayIn:
		for _, k := range x.Keys {
			w.e(k, true)
		}
		w.e(x.Array, true)
	case *syntax.Unary:
		w.e(x.X, used)
	case *syntax.IncDec:
		w.w(x.X, x, false, used)
	case *syntax.Binary:
		w.e(x.X, used)
		w.e(x.Y, used)
	case *syntax.Logical:
		if c, ok := w.b.body.Consts[x.X]; ok {
			if c.truth() == (x.Op == syntax.AndAnd) {
				w.e(x.Y, used)
			}
			return
		}
		w.e(x.X, true)
		w.e(x.Y, used)
	case *syntax.Ternary:
		if c, ok := w.b.body.Consts[x.Cond]; ok {
			if c.truth() {
				w.e(x.Then, used)
			} else {
				w.e(x.Else, used)
			}
			return
		}
		w.e(x.Cond, true)
		w.e(x.Then, used)
		w.e(x.Else, used)
	case *syntax.AssignExpr:
		w.w(x.L, x, x.Op == syntax.Assign, used)
		w.e(x.R, true)
	case *syntax.Call:
		for _, a := range x.Args {
			w.e(a, true)
		}
	case *syntax.PrintExpr:
		if x.Hist != nil {
			w.e(x.Hist, true)
		}
		for _, a := range x.Args {
			w.e(a, true)
		}
	case *syntax.StatOp:
		w.e(x.X, true)
	case *syntax.HistOp:
		w.e(x.X, true)
	case *syntax.RegexMatch:
		w.e(x.X, true)
	case *syntax.TargetVar, *syntax.AtOp, *syntax.AddrOf, *syntax.Autocast:
		w.parts(x)
	}
}

// baseObject is the variable that an lvalue or array operand is of.
func (b *bodyState) baseObject(x syntax.Expr) (Object, *syntax.Ident) {
	switch x := x.(type) {
	case *syntax.Ident:
		return b.body.Idents[x], x
	case *syntax.Index:
		if id, ok := x.X.(*syntax.Ident); ok {
			return b.body.Idents[id], id
		}
	}
	return nil, nil
}

// statShapes collects what is asked of each aggregate, and checks that it has one
// histogram.
func (e *elab) statShapes() {
	for _, b := range e.bodies {
		shape := func(h *syntax.HistOp) {
			o, _ := b.baseObject(h.X)
			g, ok := o.(*Global)
			if !ok {
				return
			}
			kind := LogHist
			if h.Linear {
				kind = LinearHist
				if h.Step <= 0 || h.High < h.Low || (h.High-h.Low)/max(h.Step, 1) > 10000 {
					e.late(codeHistParams, h, "bad parameters of @hist_linear: low %d, high %d, step %d", h.Low, h.High, h.Step)
				}
			}
			s := &g.Stat
			if s.Hist != NoHist && (s.Hist != kind || kind == LinearHist && (s.Low != h.Low || s.High != h.High || s.Step != h.Step)) {
				bd := e.errorAt(codeHistShapes, h, "multiple histogram types declared on '%s'", g.Name)
				if g.histAt != nil {
					bd.related(g.histAt, "the other one")
				}
				return
			}
			s.Hist, s.Low, s.High, s.Step = kind, h.Low, h.High, h.Step
			g.histAt = h
		}
		extract := func(x syntax.Expr, op syntax.StatKind, shift int64, at syntax.Node) {
			o, _ := b.baseObject(x)
			g, ok := o.(*Global)
			if !ok {
				return
			}
			g.Stat.add(op)
			switch {
			case op != syntax.StatVariance:
			case shift < 0 || shift > 62:
				e.errorAt(codeStatShift, at, "bit shift (%d) out of range <0..62>", shift)
			case g.Stat.Shift != 0 && g.Stat.Shift != shift:
				e.errorAt(codeStatShift, at, "conflicting bit shifts declared (previously %d)", g.Stat.Shift)
			default:
				g.Stat.Shift = shift
			}
		}
		w := &walker{b: b, stmt: func(s syntax.Stmt) bool {
			if f, ok := s.(*syntax.ForeachStmt); ok && f.Agg != syntax.NoStat {
				extract(f.Array, f.Agg, b.shiftOf(f.Array), f.Array)
			}
			return true
		}, expr: func(x syntax.Expr, _ bool) {
			switch x := x.(type) {
			case *syntax.HistOp:
				shape(x)
			case *syntax.StatOp:
				extract(x.X, x.Op, x.Shift, x)
			}
		}}
		w.body()
	}
}

// shiftOf is the bit shift that the variance of an aggregate has so far.
func (b *bodyState) shiftOf(x syntax.Expr) int64 {
	if o, _ := b.baseObject(x); o != nil {
		if g, ok := o.(*Global); ok {
			return g.Stat.Shift
		}
	}
	return 0
}

func (s *StatShape) add(op syntax.StatKind) {
	switch op {
	case syntax.StatCount:
		s.Count = true
	case syntax.StatSum:
		s.Sum = true
	case syntax.StatMin:
		s.Min = true
	case syntax.StatMax:
		s.Max = true
	case syntax.StatAvg:
		s.Avg = true
	case syntax.StatVariance:
		s.Variance = true
	}
}

// foreachModify finds arrays that are changed inside a loop over them.
func (e *elab) foreachModify() {
	// What each function changes, itself or through others.
	type change struct {
		g  *Global
		at *syntax.Ident
	}
	direct := func(b *bodyState, visit func(w *walker)) []change {
		var out []change
		w := &walker{b: b, write: func(x syntax.Expr, _ syntax.Node, _, _ bool) {
			if o, id := b.baseObject(x); o != nil {
				if g, ok := o.(*Global); ok && g.Array {
					out = append(out, change{g, id})
				}
			}
		}}
		visit(w)
		return out
	}
	funcChanges := map[*Func][]change{}
	var of func(f *Func, seen map[*Func]bool) []change
	of = func(f *Func, seen map[*Func]bool) []change {
		if seen[f] || f.Body == nil {
			return nil
		}
		seen[f] = true
		own, ok := funcChanges[f]
		if !ok {
			own = direct(f.state, func(w *walker) { w.body() })
			funcChanges[f] = own
		}
		out := own
		for _, c := range f.Callees {
			out = append(out, of(c, seen)...)
		}
		return out
	}
	for _, b := range e.bodies {
		w := &walker{b: b}
		w.stmt = func(s syntax.Stmt) bool {
			f, ok := s.(*syntax.ForeachStmt)
			if !ok {
				return true
			}
			o, _ := b.baseObject(f.Array)
			g, ok := o.(*Global)
			if !ok {
				return true
			}
			for _, c := range direct(b, func(w *walker) { w.s(f.Body) }) {
				if c.g == g {
					e.errorAt(codeForeachModify, c.at, "variable '%s' modified during 'foreach' iteration", g.Name).
						related(f, "the loop")
				}
			}
			for _, c := range e.callsIn(b, f.Body) {
				var changes []change
				for _, fn := range b.body.Calls[c] {
					changes = append(changes, of(fn, map[*Func]bool{})...)
				}
				if i := slices.IndexFunc(changes, func(c change) bool { return c.g == g }); i >= 0 {
					e.errorAt(codeForeachModify, c, "function call modifies var '%s' during 'foreach' iteration", g.Name).
						related(changes[i].at, "modified here").related(f, "the loop")
				}
			}
			return true
		}
		w.body()
	}
}

// callsIn lists the calls in a live part of a body.
func (e *elab) callsIn(b *bodyState, s syntax.Stmt) []*syntax.Call {
	var out []*syntax.Call
	w := &walker{b: b, expr: func(x syntax.Expr, _ bool) {
		if c, ok := x.(*syntax.Call); ok {
			out = append(out, c)
		}
	}}
	w.s(s)
	return out
}

// impureIntrinsics have an effect although they give a value.
var impureIntrinsics = map[string]bool{"signal": true}

// purity finds out which functions have no effect outside. It reports whether
// that has changed.
func (e *elab) purity() bool {
	if e.impure == nil {
		e.impure = map[*Func]bool{}
		for _, f := range e.allFunc {
			if !f.used {
				continue
			}
			f.Pure = true
			switch {
			case f.Table != "", f.marked("pure"):
			case f.Intrinsic != "":
				f.Pure = f.Decl.Result != syntax.NoType && !f.marked("impure") && !impureIntrinsics[f.Intrinsic]
				if f.Intrinsic == "matched" || f.Intrinsic == "ngroups" {
					e.matching = true
				}
			case f.Body == nil:
				f.Pure = false
			}
		}
	}
	changed := false
	for again := true; again; {
		again = false
		for _, f := range e.allFunc {
			if !f.used || !f.Pure || f.Body == nil {
				continue
			}
			if f.state.affects() {
				f.Pure = false
				again, changed = true, true
			}
		}
	}
	return changed
}

// affects reports whether a function's body changes anything but its locals.
func (b *bodyState) affects() bool {
	hit := false
	w := &walker{b: b}
	w.stmt = func(s syntax.Stmt) bool { return !b.body.Elided[s] && !hit }
	w.write = func(x syntax.Expr, _ syntax.Node, _, _ bool) {
		if id, ok := x.(*syntax.Ident); ok {
			if _, local := b.body.Idents[id].(*Local); local {
				return
			}
		}
		hit = true
	}
	w.expr = func(x syntax.Expr, _ bool) { hit = hit || b.outside(x) }
	w.body()
	return hit
}

// outside reports whether an expression by itself, not its operands, has an effect
// other than on variables.
func (b *bodyState) outside(x syntax.Expr) bool {
	switch x := x.(type) {
	case *syntax.PrintExpr:
		return !x.String
	case *syntax.EmbeddedExpr, *syntax.BadExpr, *syntax.ScriptArg:
		return true
	case *syntax.RegexMatch:
		return b.e.matching
	case *syntax.Call:
		list := b.body.Calls[x]
		for _, f := range list {
			if !f.Pure {
				return true
			}
		}
		return len(list) == 0
	case *syntax.AtOp:
		return b.body.bad[x] && !b.strayEntry[x]
	}
	return b.body.bad[x]
}

// effect reports whether evaluating an expression changes anything. Writes to
// locals that are dead do not count.
func (b *bodyState) effect(x syntax.Expr, dead map[*Local]bool) bool {
	hit := false
	w := &walker{b: b}
	w.expr = func(x syntax.Expr, _ bool) { hit = hit || b.outside(x) }
	w.write = func(x syntax.Expr, _ syntax.Node, _, _ bool) {
		if id, ok := x.(*syntax.Ident); ok {
			if l, local := b.body.Idents[id].(*Local); local && dead[l] {
				return
			}
		}
		hit = true
	}
	w.e(x, false)
	return hit
}

// elide marks statements of a body that have no effect. It reports whether it found
// more.
func (b *bodyState) elide() bool {
	if b.e.opt.Unoptimized {
		return false
	}
	// A local is dead when live code never reads it.
	reads := map[*Local]bool{}
	w := &walker{b: b, stmt: func(s syntax.Stmt) bool { return !b.body.Elided[s] }}
	read := func(x syntax.Expr) {
		if id, ok := x.(*syntax.Ident); ok {
			if l, ok := b.body.Idents[id].(*Local); ok {
				reads[l] = true
			}
		}
	}
	w.expr = func(x syntax.Expr, _ bool) { read(x) }
	w.write = func(x syntax.Expr, at syntax.Node, full, used bool) {
		if a, ok := at.(*syntax.AssignExpr); ok && a.Op == syntax.StatAssign {
			full = true // as SystemTap has it
		}
		if !full || used {
			read(x)
		}
	}
	w.body()
	dead := map[*Local]bool{}
	for _, l := range b.body.Locals {
		if !reads[l] {
			dead[l] = true
		}
	}
	b.dead = dead
	changed := false
	for _, bl := range b.blocks {
		if b.elideStmt(bl, dead) {
			changed = true
		}
	}
	return changed
}

// elideStmt marks s and what is in it.
func (b *bodyState) elideStmt(s syntax.Stmt, dead map[*Local]bool) (changed bool) {
	if s == nil {
		return false
	}
	if bl, ok := s.(*syntax.Block); ok && bl == nil || b.body.Elided[s] {
		return false
	}
	gone := func(s syntax.Stmt) bool {
		if s == nil {
			return true
		}
		if bl, ok := s.(*syntax.Block); ok && bl == nil {
			return true
		}
		return b.body.Elided[s]
	}
	drop, past := false, false // past: a literal leads past the body
	switch s := s.(type) {
	case *syntax.Block:
		drop = true
		for _, x := range s.Stmts {
			changed = b.elideStmt(x, dead) || changed
			drop = drop && gone(x)
		}
	case *syntax.NullStmt:
		drop = true
	case *syntax.ExprStmt:
		drop = !b.effect(s.X, dead)
	case *syntax.IfStmt:
		changed = b.elideStmt(s.Then, dead)
		changed = b.elideStmt(s.Else, dead) || changed
		if c, ok := b.literal(s.Cond); ok {
			branch := s.Then
			if c.truth() {
				branch = s.Else
			}
			changed = b.cut(branch) || changed
			drop, past = c.truth() && gone(s.Then) || !c.truth() && gone(s.Else), true
		} else if c, ok := b.body.Consts[s.Cond]; ok {
			drop = c.truth() && gone(s.Then) || !c.truth() && gone(s.Else)
		} else {
			drop = gone(s.Then) && gone(s.Else) && !b.effect(s.Cond, dead)
		}
	case *syntax.WhileStmt:
		changed = b.elideStmt(s.Body, dead)
		if c, ok := b.literal(s.Cond); ok && !c.truth() {
			changed = b.cut(s.Body) || changed
			drop, past = true, true
		}
	case *syntax.ForStmt:
		changed = b.elideStmt(s.Body, dead)
		if s.Cond != nil {
			if c, ok := b.literal(s.Cond); ok && !c.truth() {
				changed = b.cut(s.Body) || changed
				drop, past = s.Init == nil || !b.effect(s.Init, dead), true
			}
		}
	case *syntax.ForeachStmt:
		changed = b.elideStmt(s.Body, dead)
		if c, ok := b.literal(s.Limit); ok && c.Type == Long && c.Int <= 0 {
			changed = b.cut(s.Body) || changed
			past = true
		}
		drop = gone(s.Body)
		for _, x := range append(s.Slice[:len(s.Slice):len(s.Slice)], s.Limit) {
			drop = drop && (x == nil || !b.effect(x, dead))
		}
		for _, k := range append(s.Keys[:len(s.Keys):len(s.Keys)], s.Value) {
			if k != nil {
				l, ok := b.body.Idents[k].(*Local)
				drop = drop && ok && dead[l]
			}
		}
	case *syntax.TryStmt:
		changed = b.elideStmt(s.Body, dead)
		changed = b.elideStmt(s.Handler, dead) || changed
		drop = gone(s.Body)
	}
	if drop && !b.body.bad1(s) {
		if past {
			return b.cut(s)
		}
		b.body.Elided[s] = true
		return true
	}
	return changed
}

// literal gives the value of a condition that follows from literals alone.
func (b *bodyState) literal(x syntax.Expr) (Const, bool) {
	if x == nil || b.e.opt.Unoptimized {
		return Const{}, false
	}
	c, known, decided := b.fold(x)
	return c, known && !decided
}

// cut marks a statement that is never reached. It reports whether that is new.
func (b *bodyState) cut(s syntax.Stmt) bool {
	if s == nil {
		return false
	}
	if bl, ok := s.(*syntax.Block); ok && bl == nil || b.body.Elided[s] {
		return false
	}
	if b.unreached == nil {
		b.unreached = map[syntax.Stmt]bool{}
	}
	b.body.Elided[s], b.unreached[s] = true, true
	return true
}

// bad1 keeps statements that hold an error.
func (b *Body) bad1(s syntax.Stmt) bool {
	x, ok := s.(*syntax.ExprStmt)
	return ok && b.bad[x.X]
}

// live is what the program consists of.
type live struct {
	probes []*Probe
	funcs  map[*Func]bool
	states []*bodyState // in order
}

// reach finds the probes with an effect and what they call.
func (e *elab) reach() *live {
	l := &live{funcs: map[*Func]bool{}}
	stateOf := map[*Body]*bodyState{}
	for _, b := range e.bodies {
		stateOf[b.body] = b
	}
	seen := map[*bodyState]bool{}
	var visit func(b *bodyState)
	visit = func(b *bodyState) {
		if b == nil || seen[b] {
			return
		}
		seen[b] = true
		l.states = append(l.states, b)
		for _, en := range b.body.Entries {
			visit(stateOf[en.Body])
		}
		w := &walker{b: b, stmt: func(s syntax.Stmt) bool { return !b.body.Elided[s] }}
		w.expr = func(x syntax.Expr, _ bool) {
			c, ok := x.(*syntax.Call)
			if !ok {
				return
			}
			for _, f := range b.body.Calls[c] {
				if !l.funcs[f] {
					l.funcs[f] = true
					if f.Body != nil {
						visit(f.state)
					}
				}
			}
		}
		w.body()
	}
	for _, p := range e.probes {
		if !e.opt.Unoptimized && p.empty() {
			continue
		}
		l.probes = append(l.probes, p)
		for _, c := range p.Conds {
			visit(stateOf[c.Body])
		}
		visit(stateOf[p.Body])
	}
	return l
}

// empty reports whether nothing of the handler is left.
func (p *Probe) empty() bool {
	for _, bl := range p.Blocks {
		if bl != nil && !p.Body.Elided[bl] {
			return false
		}
	}
	return true
}

// accesses finds out what live code reads and writes.
func (e *elab) accesses(l *live) {
	for _, b := range l.states {
		read := func(x syntax.Expr) {
			switch o, _ := b.baseObject(x); o := o.(type) {
			case *Local:
				o.Read, o.live = true, true
			case *Global:
				o.Read, o.used = true, true
			}
		}
		w := &walker{b: b, stmt: func(s syntax.Stmt) bool { return !b.body.Elided[s] }}
		w.expr = func(x syntax.Expr, _ bool) {
			switch x := x.(type) {
			case *syntax.Ident, *syntax.Index:
				read(x)
			case *syntax.AtOp:
				if b.strayEntry[x] {
					e.errorAt(codeEntryContext, x, "@entry is only valid in .return probes")
				}
			}
		}
		w.write = func(x syntax.Expr, _ syntax.Node, full, used bool) {
			switch o, _ := b.baseObject(x); o := o.(type) {
			case *Local:
				o.Written, o.live = true, true
				if !full || used {
					o.Read = true
				}
			case *Global:
				o.Written, o.used = true, true
				if used {
					o.Read = true
				}
			}
		}
		w.body()
	}
	for _, g := range e.order {
		if g.Condition {
			g.Read, g.used = true, true
		}
	}
}

// user reports whether a node is in a file of the user.
func (e *elab) user(n syntax.Node) bool {
	u := e.units[n.File()]
	return u != nil && !u.library
}

// warnings tells of what has no effect, and of what is never used or assigned.
func (e *elab) warnings(l *live) {
	for _, b := range e.bodies {
		if b.fn != nil && !l.funcs[b.fn] {
			// The calls may be gone just because nothing in there has an effect.
			if b.fn.called && !b.fn.Library {
				b.warnElided()
			}
			continue
		}
		b.warnElided()
		for _, bl := range b.blocks {
			b.warnUnreachable(bl)
		}
		for _, v := range b.body.Locals {
			if v.Written || v.Decl == nil || !e.user(v.Decl) || b.root != nil || !b.reads(v) {
				continue
			}
			var names []string
			for _, o := range b.body.Locals {
				if o != v {
					names = append(names, o.Name)
				}
			}
			names = append(names, e.globalNames(v.Decl.File())...)
			e.errorAt(codeNeverAssigned, v.Decl, "never-assigned local variable '%s'%s", v.Name, similar(v.Name, names))
		}
	}
	e.warnOverloads()
	aside := e.writtenAside()
	for _, g := range e.order {
		if g.Library {
			continue
		}
		if _, given := e.opt.Given[g.Name]; g.Read && !g.Written && !g.HasInit && !aside[g] && !given {
			e.errorAt(codeNeverAssigned, g.Decl.Name, "never-assigned global variable '%s'", g.Name)
		}
		if !g.used && !e.unresolved && !e.broken {
			e.errorAt(codeUnusedGlobal, g.Decl.Name, "unused global variable '%s'", g.Name).unnecessary()
		}
	}
	for _, f := range e.allFunc {
		if f.Library {
			continue
		}
		if l.funcs[f] {
			if f.Decl.Body != nil && len(f.Decl.Body.Stmts) == 0 && !e.opt.Unoptimized {
				e.errorAt(codeSideEffectFree, f.Decl, "side-effect-free function '%s'", f.Name)
			}
			continue
		}
		if f.voidCalled && f.Body != nil && f.Body.Elided[f.Decl.Body] {
			e.errorAt(codeSideEffectFree, f.Decl, "side-effect-free function '%s'", f.Name)
		} else if !f.called && !e.broken {
			e.errorAt(codeUnusedFunc, f.Decl, "unused function '%s'", f.Name).unnecessary()
		}
	}
	for _, p := range e.probes {
		if p.Lib || !p.empty() || e.opt.Unoptimized || e.broken {
			continue
		}
		name := p.Point
		if p.Written != nil {
			name = p.Chain[len(p.Chain)-1].Point
		}
		e.errorAt(codeElideProbe, p.Decl, "Probe '%s' has been elided", name)
	}
}

// procfsFiles checks that a file is read by one handler and written by one.
func (e *elab) procfsFiles() {
	type use struct {
		path  string
		write bool
	}
	first := map[use]*Probe{}
	for _, p := range e.probes {
		if p.Family != FamProcfs || p.Path == "__stdin" {
			continue
		}
		k := use{p.Path, p.Write}
		if old := first[k]; old == nil {
			first[k] = p
		} else if old.Decl != p.Decl || old.Chain[0].Node != p.Chain[0].Node {
			verb := "read"
			if p.Write {
				verb = "write"
			}
			e.errorAt(codePointArg, p.Decl, "only one %s procfs probe can exist for procfs path %q", verb, p.Path).related(old.Decl, "the other one")
		}
	}
}

// writtenAside lists the globals that are written where literal conditions lead past.
func (e *elab) writtenAside() map[*Global]bool {
	out := map[*Global]bool{}
	for _, b := range e.bodies {
		w := &walker{b: b, write: func(x syntax.Expr, _ syntax.Node, _, _ bool) {
			if o, _ := b.baseObject(x); o != nil {
				if g, ok := o.(*Global); ok {
					out[g] = true
				}
			}
		}}
		for s := range b.unreached {
			w.s(s)
		}
	}
	return out
}

// reads reports whether any code of the body, also such as has no effect, reads a
// local.
func (b *bodyState) reads(l *Local) bool {
	found := false
	is := func(x syntax.Expr) bool {
		id, ok := x.(*syntax.Ident)
		return ok && b.body.Idents[id] == Object(l)
	}
	w := &walker{b: b,
		expr:  func(x syntax.Expr, _ bool) { found = found || is(x) },
		write: func(x syntax.Expr, _ syntax.Node, full, used bool) { found = found || (!full || used) && is(x) },
	}
	w.body()
	return found
}

// warnElided reports statements of the user that were found to have no effect.
func (b *bodyState) warnElided() {
	if b.e.opt.Unoptimized || b.e.unresolved || b.e.broken {
		return
	}
	w := &walker{b: b}
	w.stmt = func(s syntax.Stmt) bool {
		x, ok := s.(*syntax.ExprStmt)
		if !b.body.Elided[s] {
			if a, l := b.deadAssign(s); l != nil && b.e.user(x) && !b.inAlias(x) {
				b.e.errorAt(codeElideAssign, a, "Eliding assignment to '%s'", l.Name).unnecessary()
			}
			return true
		}
		if !ok {
			return true
		}
		if b.unreached[s] {
			return false
		}
		if !b.e.user(x) || b.inAlias(x) {
			return false
		}
		if c, ok := x.X.(*syntax.Call); ok {
			for _, f := range b.body.Calls[c] {
				f.voidCalled = true
			}
		}
		if a, ok := x.X.(*syntax.AssignExpr); ok {
			if id, ok := a.L.(*syntax.Ident); ok {
				b.e.errorAt(codeElideAssign, a, "Eliding assignment to '%s'", id.Name).unnecessary()
				// SystemTap tells of what is left, too.
				left := b.e.errorAt(codeElideExpr, id, "Eliding side-effect-free expression").unnecessary()
				b.e.after[left.d.Range.Start] = syntax.AnchorRange(a).Start.Offset
				return false
			}
		}
		b.e.errorAt(codeElideExpr, x, "Eliding side-effect-free expression").unnecessary()
		return false
	}
	w.body()
}

// deadAssign gives the local that a statement assigns to although nothing reads it, nil
// if it is none.
func (b *bodyState) deadAssign(s syntax.Stmt) (*syntax.AssignExpr, *Local) {
	x, ok := s.(*syntax.ExprStmt)
	if !ok {
		return nil, nil
	}
	a, ok := x.X.(*syntax.AssignExpr)
	if !ok || a.Op != syntax.Assign && a.Op != syntax.StatAssign {
		return nil, nil
	}
	if id, ok := a.L.(*syntax.Ident); ok {
		if l, ok := b.body.Idents[id].(*Local); ok && b.dead[l] {
			return a, l
		}
	}
	return nil, nil
}

// warnUnreachable reports statements of the user behind one that always leaves.
func (b *bodyState) warnUnreachable(bl *syntax.Block) {
	if bl == nil || !b.e.user(bl) {
		return
	}
	syntax.Inspect(bl, func(n syntax.Node) bool {
		in, ok := n.(*syntax.Block)
		if !ok {
			return true
		}
		for i, s := range in.Stmts[:max(0, len(in.Stmts)-1)] {
			switch s.(type) {
			case *syntax.ReturnStmt, *syntax.NextStmt, *syntax.BreakStmt, *syntax.ContinueStmt:
				next := in.Stmts[i+1]
				if _, null := next.(*syntax.NullStmt); !null {
					b.e.errorAt(codeUnreachable, next, "statement will never be reached").unnecessary()
				}
				return true
			}
		}
		return true
	})
}

// warnOverloads reports overloads of the user that no call reaches: one before has
// the same parameters and no "next".
func (e *elab) warnOverloads() {
	type form struct {
		name  string
		arity int
	}
	groups := map[form][]*Func{}
	var order []form
	for _, f := range e.allFunc {
		k := form{f.Unique, len(f.Params)}
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], f)
	}
	for _, k := range order {
		var stop *Func
		for _, f := range chain(groups[k], k.arity) {
			if stop != nil && !f.Library {
				e.errorAt(codeOverload, f.Decl, "instance of overloaded function will never be reached").related(stop.Decl, "this one has no 'next'").unnecessary()
			}
			if stop == nil && f.Decl.Body != nil && !hasNext(f.Decl.Body) {
				stop = f
			}
		}
	}
}

func hasNext(bl *syntax.Block) bool {
	found := false
	syntax.Inspect(bl, func(n syntax.Node) bool {
		if _, ok := n.(*syntax.NextStmt); ok {
			found = true
		}
		return !found
	})
	return found
}

// inAlias reports whether a statement belongs to an alias, whose variables other
// probes may use.
func (b *bodyState) inAlias(s syntax.Stmt) bool {
	if b.probe == nil {
		return false
	}
	return b.probe.Decl.Body == nil || s.File() != b.probe.Decl.File() ||
		s.First() < b.probe.Decl.Body.First() || s.Last() > b.probe.Decl.Body.Last()
}

// collect fills the lists of the program.
func (e *elab) collect(l *live) {
	e.prog.Probes = l.probes
	for _, g := range e.order {
		if !g.used {
			continue
		}
		g.AutoPrint = !g.Library && g.Written && !g.Read
		if g.AutoPrint && g.Type == Stats {
			g.Stat.Count, g.Stat.Min, g.Stat.Max, g.Stat.Sum, g.Stat.Avg = true, true, true, true, true
		}
		e.prog.Globals = append(e.prog.Globals, g)
	}
	byName := map[string]int{}
	for _, f := range e.allFunc {
		if !l.funcs[f] {
			continue
		}
		if n := byName[f.Unique]; n > 0 {
			byName[f.Unique]++
			f.Unique += "__overload_" + strconv.Itoa(n)
		} else {
			byName[f.Unique] = 1
		}
		e.prog.Funcs = append(e.prog.Funcs, f)
	}
}

// recursion marks the functions that can be on the stack more than once.
func (e *elab) recursion() {
	// Tarjan's strongly connected components, iterative enough for scripts.
	index := map[*Func]int{}
	low := map[*Func]int{}
	on := map[*Func]bool{}
	var stack []*Func
	var visit func(f *Func)
	visit = func(f *Func) {
		index[f] = len(index) + 1
		low[f] = index[f]
		stack = append(stack, f)
		on[f] = true
		for _, c := range f.Callees {
			if c == f {
				f.Recursive = true
			}
			if index[c] == 0 {
				visit(c)
				low[f] = min(low[f], low[c])
			} else if on[c] {
				low[f] = min(low[f], index[c])
			}
		}
		if low[f] != index[f] {
			return
		}
		for i := len(stack) - 1; ; i-- {
			on[stack[i]] = false
			if stack[i] == f {
				if len(stack)-i > 1 {
					for _, g := range stack[i:] {
						g.Recursive = true
					}
				}
				stack = stack[:i]
				return
			}
		}
	}
	for _, f := range e.prog.Funcs {
		if index[f] == 0 {
			visit(f)
		}
	}
}
