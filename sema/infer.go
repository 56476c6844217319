package sema

import (
	"fmt"

	"stapkit/diag"
	"stapkit/format"
	"stapkit/syntax"
)

// typeSlot is something that has one type in the whole program or body: a local or
// parameter, a global's value or one of its keys, a function's result.
type typeSlot struct {
	l   *Local
	g   *Global
	key int // of g, from 1; 0 is the value
	f   *Func
}

// place is where a type was first seen.
type place struct{ node syntax.Node }

func (e *elab) typeOf(s typeSlot) Type {
	switch {
	case s.l != nil:
		return s.l.Type
	case s.f != nil:
		return s.f.Result
	case s.g != nil && s.key > 0:
		if s.key <= len(s.g.Keys) {
			return s.g.Keys[s.key-1]
		}
	case s.g != nil:
		return s.g.Type
	}
	return Unknown
}

// setType gives a slot its type, and remembers where.
func (e *elab) setType(s typeSlot, t Type, at syntax.Node) {
	switch {
	case s.l != nil:
		s.l.Type = t
	case s.f != nil:
		s.f.Result = t
	case s.g != nil && s.key > 0:
		if s.key > len(s.g.Keys) {
			return
		}
		s.g.Keys[s.key-1] = t
	case s.g != nil:
		s.g.Type = t
	}
	e.firstType[s] = place{at}
	e.learned++
}

// want meets a slot with the type that its surroundings ask for: it learns the
// type, or reports that it has another. It gives the slot's type.
func (b *bodyState) want(s typeSlot, t Type, at syntax.Node) Type {
	have := b.e.typeOf(s)
	switch {
	case t == Unknown || have == t:
		return have
	case have == Unknown:
		if t == Stats && s.l != nil {
			b.e.errorAt(codeStatLocal, at, "stat locals not supported, missing global declaration?").
				help("declare it: global %s", s.l.Name)
		}
		b.e.setType(s, t, at)
		return t
	}
	bd := b.e.errorAt(codeTypeMismatch, at, "type mismatch (%s)", t)
	if first, ok := b.e.firstType[s]; ok {
		bd.related(first.node, fmt.Sprintf("type was first inferred here (%s)", have))
	}
	if s.f != nil && s.f.Decl.Name != nil {
		bd.related(s.f.Decl.Name, "function declared here")
	}
	return have
}

// infer finds the types of everything, by walking all bodies until nothing more is
// learned.
// Code without effect and what only it calls come last: they get types for who looks
// at them, and what does not fit in there is no error.
func (e *elab) infer(l *live) {
	alive := map[*bodyState]bool{}
	for _, b := range l.states {
		alive[b] = true
	}
	e.rounds(func(b *bodyState) bool { return alive[b] || b.root != nil })
	e.lateResults = true
	e.rounds(func(b *bodyState) bool { return alive[b] || b.root != nil })
	// Arithmetic, comparisons and print take what is still unknown as it comes: a
	// variable that is only read is never assigned, so either type would do.
	told := map[typeSlot]bool{}
	check := func(calls bool) {
		for _, fn := range []bool{true, false} {
			for _, b := range e.bodies {
				if (b.fn != nil) == fn && alive[b] {
					b.unresolvedTypes(told, calls || !fn)
				}
			}
		}
	}
	// A call in a function is told of only if nothing is that leads to it.
	if check(false); !e.untyped {
		check(true)
	}
	e.silent = true
	e.rounds(func(*bodyState) bool { return true })
	e.silent = false
}

// inferAll finds the types of all bodies, also of such as have no effect.
func (e *elab) inferAll() {
	l := &live{states: e.bodies}
	e.infer(l)
}

// rounds walks bodies until nothing more is learned of types. What a loop or function
// needs may be learned from a later one, so it goes round; each round learns something,
// so it ends. A function learns the types of its parameters from its calls.
func (e *elab) rounds(in func(b *bodyState) bool) {
	for before := -1; before != e.learned; {
		before = e.learned
		for _, fn := range []bool{false, true} {
			for _, b := range e.bodies {
				if (b.fn != nil) == fn && in(b) {
					b.inferBody()
				}
			}
		}
	}
}

func (b *bodyState) inferBody() {
	if b.root != nil {
		t := Unknown
		if b.cond {
			t = Long
		}
		b.infer(b.root, t)
	}
	for _, bl := range b.blocks {
		b.inferStmt(bl)
	}
}

func (b *bodyState) inferStmt(s syntax.Stmt) {
	// What a literal condition leads past still tells types.
	if s == nil || b.body.Elided[s] && !b.unreached[s] && !b.e.silent {
		return
	}
	switch s := s.(type) {
	case *syntax.Block:
		if s == nil {
			return
		}
		for _, x := range s.Stmts {
			b.inferStmt(x)
		}
	case *syntax.IfStmt:
		if c, ok := b.body.Consts[s.Cond]; ok {
			if c.truth() {
				b.inferStmt(s.Then)
			} else if s.Else != nil {
				b.inferStmt(s.Else)
			}
			return
		}
		b.infer(s.Cond, Long)
		b.inferStmt(s.Then)
		if s.Else != nil {
			b.inferStmt(s.Else)
		}
	case *syntax.WhileStmt:
		if c, ok := b.body.Consts[s.Cond]; ok && !c.truth() {
			return
		}
		b.infer(s.Cond, Long)
		b.inferStmt(s.Body)
	case *syntax.ForStmt:
		if s.Init != nil {
			b.infer(s.Init, Unknown)
		}
		if s.Cond != nil {
			if c, ok := b.body.Consts[s.Cond]; ok && !c.truth() {
				return
			}
			b.infer(s.Cond, Long)
		}
		if s.Post != nil {
			b.infer(s.Post, Unknown)
		}
		b.inferStmt(s.Body)
	case *syntax.ForeachStmt:
		b.inferForeach(s)
	case *syntax.ReturnStmt:
		if s.X != nil && b.fn != nil {
			t := b.infer(s.X, Unknown)
			if t == Unknown {
				t = b.infer(s.X, b.fn.Result)
			}
			if t != Unknown && !b.aggregate(s.X, t) {
				b.want(typeSlot{f: b.fn}, t, s.X)
			}
		}
	case *syntax.DeleteStmt:
		switch x := s.X.(type) {
		case *syntax.Ident:
		case *syntax.Index:
			b.infer(x, Unknown)
		default:
			b.infer(s.X, Unknown)
		}
	case *syntax.TryStmt:
		b.inferStmt(s.Body)
		if s.Var != nil {
			b.inferName(s.Var, String)
		}
		b.inferStmt(s.Handler)
	case *syntax.ExprStmt:
		b.infer(s.X, Unknown)
	}
}

func (b *bodyState) inferForeach(s *syntax.ForeachStmt) {
	value := Long
	switch a := s.Array.(type) {
	case *syntax.Ident:
		g, _ := b.body.Idents[a].(*Global)
		if g == nil {
			break
		}
		if s.Agg != syntax.NoStat {
			b.want(typeSlot{g: g}, Stats, a)
		}
		for i, k := range s.Keys {
			b.meet(k, typeSlot{g: g, key: i + 1}, k)
		}
		for i, x := range s.Slice {
			b.inferKey(x, typeSlot{g: g, key: i + 1})
		}
		value = g.Type
		b.body.Types[a] = g.Type
	case *syntax.HistOp:
		b.infer(a, Unknown)
		for _, k := range s.Keys {
			b.inferName(k, Long)
		}
		for _, x := range s.Slice {
			b.infer(x, Long)
		}
	}
	if s.Value != nil {
		t := b.inferName(s.Value, value)
		if g := b.globalOf(s.Array); g != nil && t != Unknown && g.Type == Unknown {
			b.want(typeSlot{g: g}, t, s.Value)
		}
	}
	if s.Limit != nil {
		b.infer(s.Limit, Long)
	}
	b.inferStmt(s.Body)
}

func (b *bodyState) globalOf(x syntax.Expr) *Global {
	if id, ok := x.(*syntax.Ident); ok {
		g, _ := b.body.Idents[id].(*Global)
		return g
	}
	return nil
}

// meet makes a variable and a slot agree.
func (b *bodyState) meet(id *syntax.Ident, s typeSlot, at syntax.Node) {
	t := b.inferName(id, b.e.typeOf(s))
	if t != Unknown {
		b.want(s, t, at)
	}
}

// inferKey types a key of an array.
func (b *bodyState) inferKey(x syntax.Expr, s typeSlot) {
	if _, star := x.(*syntax.Star); star {
		return
	}
	have := b.e.typeOf(s)
	if have == Unknown {
		if t := b.infer(x, Unknown); t == Long || t == String {
			b.want(s, t, x)
		}
		return
	}
	b.infer(x, have)
}

// inferName types a variable where it stands.
func (b *bodyState) inferName(id *syntax.Ident, want Type) Type {
	t := Unknown
	switch o := b.body.Idents[id].(type) {
	case *Local:
		t = b.want(typeSlot{l: o}, want, id)
	case *Global:
		t = b.want(typeSlot{g: o}, want, id)
	}
	if t != Unknown {
		b.body.Types[id] = t
	}
	return t
}

// expect records that an expression has a type, and reports it where another is
// wanted.
func (b *bodyState) expect(x syntax.Expr, have, want Type) Type {
	if have != Unknown {
		b.body.Types[x] = have
	}
	if want != Unknown && have != Unknown && want != have && !b.body.bad[x] && !b.e.silent {
		b.body.bad[x] = true
		bd := b.e.errorAt(codeTypeExpected, x, "type mismatch: expected %s but found %s", want, have)
		switch {
		case want == String && have == Long:
			bd.help("%s", `sprintf("%d", …) makes a string of a number`)
		case want == Long && have == String:
			bd.help("strtol(…, 10) makes a number of a string")
		case have == Stats:
			bd.help("take @count(), @sum(), @avg(), @min() or @max() of an aggregate")
		}
	}
	return have
}

// infer types an expression. want is what its surroundings ask for, Unknown if
// they take anything.
func (b *bodyState) infer(x syntax.Expr, want Type) Type {
	if c, ok := b.body.Consts[x]; ok {
		return b.expect(x, c.Type, want)
	}
	switch x := x.(type) {
	case *syntax.NumberLit:
		return b.expect(x, Long, want)
	case *syntax.StringLit:
		return b.expect(x, String, want)
	case *syntax.Ident:
		return b.inferName(x, want)
	case *syntax.Index:
		return b.inferIndex(x, want)
	case *syntax.ArrayIn:
		switch a := x.Array.(type) {
		case *syntax.Ident:
			if g, ok := b.body.Idents[a].(*Global); ok {
				for i, k := range x.Keys {
					b.inferKey(k, typeSlot{g: g, key: i + 1})
				}
			}
		default:
			b.infer(a, Unknown)
			for _, k := range x.Keys {
				if _, star := k.(*syntax.Star); !star {
					b.infer(k, Long)
				}
			}
		}
		return b.expect(x, Long, want)
	case *syntax.Unary:
		b.infer(x.X, Long)
		return b.expect(x, Long, want)
	case *syntax.IncDec:
		b.infer(x.X, Long)
		return b.expect(x, Long, want)
	case *syntax.Binary:
		return b.inferBinary(x, want)
	case *syntax.Logical:
		if c, ok := b.body.Consts[x.X]; ok {
			if c.truth() == (x.Op == syntax.AndAnd) {
				b.infer(x.Y, Long)
			}
			return b.expect(x, Long, want)
		}
		b.infer(x.X, Long)
		b.infer(x.Y, Long)
		return b.expect(x, Long, want)
	case *syntax.Ternary:
		return b.inferTernary(x, want)
	case *syntax.AssignExpr:
		return b.inferAssign(x, want)
	case *syntax.Call:
		return b.inferCall(x, want)
	case *syntax.PrintExpr:
		return b.inferPrint(x, want)
	case *syntax.StatOp:
		b.infer(x.X, Stats)
		return b.expect(x, Long, want)
	case *syntax.HistOp:
		b.infer(x.X, Stats)
		return Unknown
	case *syntax.RegexMatch:
		b.infer(x.X, String)
		return b.expect(x, Long, want)
	case *syntax.TargetVar, *syntax.AddrOf, *syntax.Autocast, *syntax.AtOp:
		return b.inferTarget(x, want)
	case *syntax.ScriptArg:
		if x.Quoted {
			return b.expect(x, String, want)
		}
		if want != Unknown {
			b.body.Types[x] = want
		}
		return want
	case *syntax.EmbeddedExpr, *syntax.BadExpr:
		b.body.Types[x] = want
		return want
	}
	return Unknown
}

func (b *bodyState) inferIndex(x *syntax.Index, want Type) Type {
	switch a := x.X.(type) {
	case *syntax.Ident:
		g, _ := b.body.Idents[a].(*Global)
		if g == nil {
			return Unknown
		}
		for i, k := range x.Keys {
			b.inferKey(k, typeSlot{g: g, key: i + 1})
		}
		t := b.want(typeSlot{g: g}, want, a)
		if t != Unknown {
			b.body.Types[x] = t
			b.body.Types[a] = t
		}
		return t
	case *syntax.HistOp:
		b.infer(a, Unknown)
		for _, k := range x.Keys {
			b.infer(k, Long)
		}
		return b.expect(x, Long, want)
	}
	return Unknown
}

func (b *bodyState) inferBinary(x *syntax.Binary, want Type) Type {
	switch x.Op {
	case syntax.Dot:
		b.infer(x.X, String)
		b.infer(x.Y, String)
		return b.expect(x, String, want)
	case syntax.Lt, syntax.Gt, syntax.Le, syntax.Ge, syntax.Eq, syntax.Ne:
		// Both sides agree; what one side knows by then helps the other.
		r := b.known(x.Y)
		if _, ok := x.X.(*syntax.StatOp); ok {
			r = Unknown // SystemTap tells of the other side
		}
		l := b.infer(x.X, r)
		if l != Unknown && r != Unknown && l != r {
			b.infer(x.Y, Unknown) // one message is enough
		} else if r = b.infer(x.Y, l); l == Unknown && r != Unknown {
			b.infer(x.X, r)
		}
		return b.expect(x, Long, want)
	}
	b.infer(x.X, Long)
	b.infer(x.Y, Long)
	return b.expect(x, Long, want)
}

// peek is the type of an expression as far as it is known without looking again.
func (b *bodyState) peek(x syntax.Expr) Type {
	if t := b.body.Types[x]; t != Unknown {
		return t
	}
	switch x := x.(type) {
	case *syntax.NumberLit:
		return Long
	case *syntax.StringLit:
		return String
	case *syntax.Ident:
		switch o := b.body.Idents[x].(type) {
		case *Local:
			return o.Type
		case *Global:
			return o.Type
		}
	case *syntax.Index:
		if g := b.globalOf(x.X); g != nil {
			return g.Type
		}
	case *syntax.Call:
		for _, f := range b.body.Calls[x] {
			return f.Result
		}
	case *syntax.AssignExpr:
		return b.peek(x.L)
	}
	return b.infer(x, Unknown)
}

func (b *bodyState) inferTernary(x *syntax.Ternary, want Type) Type {
	if c, ok := b.body.Consts[x.Cond]; ok {
		branch := x.Else
		if c.truth() {
			branch = x.Then
		}
		t := b.infer(branch, want)
		if t != Unknown {
			b.body.Types[x] = t
		}
		return t
	}
	b.infer(x.Cond, Long)
	t := want
	if t == Unknown {
		if t = b.peek(x.Then); t == Unknown {
			t = b.peek(x.Else)
		}
	}
	u := b.infer(x.Then, t)
	if t == Unknown {
		t = u
	}
	v := b.infer(x.Else, t)
	if t == Unknown {
		t = v
	}
	if t != Unknown {
		b.body.Types[x] = t
	}
	return t
}

func (b *bodyState) inferAssign(x *syntax.AssignExpr, want Type) Type {
	switch x.Op {
	case syntax.Assign:
		// In SystemTap's order, which says where what does not fit is noticed: each side
		// learns what the other is known to be by then.
		t := want
		if t == Unknown {
			t = b.body.Types[x]
		}
		asked := orType(t, b.known(x.R))
		if b.body.bad[x] {
			return Unknown
		}
		var l Type
		if asked == Stats {
			l = b.infer(x.L, Unknown) // it is not to become one, too
		} else {
			l = b.infer(x.L, asked)
		}
		if orType(asked, Stats) == Stats && b.aggregate(x.L, l) || b.aggregate(x.R, asked) {
			b.body.bad[x] = true
			return Unknown
		}
		if l != Unknown && asked != Unknown && l != asked {
			b.infer(x.R, Unknown) // one message is enough
			return l
		}
		r := b.infer(x.R, orType(t, l))
		if b.aggregate(x.R, r) {
			b.body.bad[x] = true
			return Unknown
		}
		if l == Unknown {
			l = orType(b.known(x.L), t)
		}
		if l == Unknown {
			if r != Unknown && !b.waits[x] { // the left side learns it in the next round
				if b.waits == nil {
					b.waits = map[*syntax.AssignExpr]bool{}
				}
				b.waits[x] = true
				b.e.learned++
			}
			return Unknown
		}
		b.body.Types[x] = l
		return b.expect(x, l, want)
	case syntax.CatAssign:
		b.infer(x.R, String)
		b.infer(x.L, String)
		return b.expect(x, String, want)
	case syntax.StatAssign:
		b.infer(x.R, Long)
		b.infer(x.L, Stats)
		return b.expect(x, Long, want)
	}
	b.infer(x.R, Long)
	b.infer(x.L, Long)
	return b.expect(x, Long, want)
}

// aggregate reports an aggregate where a value is asked for.
func (b *bodyState) aggregate(x syntax.Expr, t Type) bool {
	if t != Stats {
		return false
	}
	if !b.body.bad[x] && !b.e.silent {
		b.body.bad[x] = true
		b.e.errorAt(codeStatValue, x, "invalid type stats").help("take @count(), @sum(), @avg(), @min() or @max() of an aggregate")
	}
	return true
}

// known is the type of an expression that was found by now, without looking again.
func (b *bodyState) known(x syntax.Expr) Type {
	if t := b.body.Types[x]; t != Unknown {
		return t
	}
	switch x.(type) {
	case *syntax.NumberLit, *syntax.StatOp:
		return Long
	case *syntax.StringLit:
		return String
	}
	return b.body.Consts[x].Type
}

func orType(a, b Type) Type {
	if a != Unknown {
		return a
	}
	return b
}

func (b *bodyState) inferCall(x *syntax.Call, want Type) Type {
	list := b.body.Calls[x]
	for i, a := range x.Args {
		t := Unknown
		for _, f := range list {
			if f.Params[i].Type != Unknown {
				t = f.Params[i].Type
				break
			}
		}
		t2 := b.infer(a, t)
		if t == Unknown {
			t = t2
		}
		for _, f := range list { // each overload takes the argument
			if p := f.Params[i].Type; p != Unknown && p != t && t2 != Unknown {
				b.expect(a, t2, p)
			}
		}
		if t == Stats {
			if len(list) > 0 {
				b.expect(a, Stats, Long)
			}
			continue
		}
		for _, f := range list {
			if t != Unknown && f.Params[i].Type == Unknown {
				b.want(typeSlot{l: f.Params[i]}, t, a)
			}
		}
	}
	t := Unknown
	for _, f := range list {
		if f.Result != Unknown {
			t = f.Result
			break
		}
	}
	if t == Unknown && b.e.lateResults {
		t = want
	}
	for _, f := range list {
		if t == Unknown {
			break
		}
		if f.Result == Unknown {
			b.want(typeSlot{f: f}, t, x.Name)
		} else if f.Result != t {
			b.want(typeSlot{f: f}, t, x.Name)
		}
	}
	if t != Unknown && want != Unknown && t != want {
		if !b.body.bad[x] && !b.e.silent {
			b.body.bad[x] = true
			bd := b.e.errorAt(codeTypeMismatch, x, "type mismatch (%s)", want)
			for _, f := range list {
				if first, ok := b.e.firstType[typeSlot{f: f}]; ok {
					bd.related(first.node, fmt.Sprintf("type was first inferred here (%s)", t))
					break
				}
			}
		}
	}
	if t != Unknown {
		b.body.Types[x] = t
	}
	return t
}

func (b *bodyState) inferPrint(x *syntax.PrintExpr, want Type) Type {
	result := Long
	if x.String {
		result = String
	}
	if x.Hist != nil {
		b.infer(x.Hist, Unknown)
		return b.expect(x, result, want)
	}
	switch {
	case x.FormatLit != nil:
		types := x.Format.ArgTypes()
		good := len(x.Format.Directives) > 0 || x.FormatLit.Raw == "" // else the parser has told
		if good && len(types) != len(x.Args) && !b.body.bad[x] && !b.e.silent {
			b.body.bad[x] = true
			b.e.errorAt(codeFormatArgs, x, "Wrong number of args to formatted print operator").
				help("the format takes %s, %d given", plural(len(types), "argument"), len(x.Args))
		}
		for i, a := range x.Args {
			t := Unknown
			if i < len(types) {
				t = Long
				if types[i] == format.String {
					t = String
				}
			}
			b.infer(a, t)
		}
	case x.Char:
		for _, a := range x.Args {
			b.infer(a, Long)
		}
	default:
		for _, a := range x.Args {
			if b.infer(a, Unknown) == Stats {
				b.e.late(codePrintStat, a, "an aggregate cannot be printed as a value").help("print @count(), @sum(), @avg() … or @hist_log() of it")
			}
		}
	}
	if !x.String && want == Unknown {
		return Unknown
	}
	return b.expect(x, result, want)
}

func (b *bodyState) inferTarget(x syntax.Expr, want Type) Type {
	acc := b.body.Targets[x]
	if op, ok := x.(*syntax.AtOp); ok {
		switch op.Op {
		case syntax.AtCast:
			if len(op.Args) > 0 {
				b.infer(op.Args[0], Long)
			}
		case syntax.AtEnumName:
			if len(op.Args) > 0 {
				b.infer(op.Args[0], Long)
			}
		case syntax.AtKderef, syntax.AtUderef:
			if len(op.Args) > 1 {
				b.infer(op.Args[1], Long)
			}
		case syntax.AtDefined, syntax.AtProbeWrite, syntax.AtEnum, syntax.AtConst:
			return b.expect(x, Long, want)
		}
	}
	if acc == nil {
		// An error tells, or the target is not known: fit in.
		if want != Unknown {
			b.body.Types[x] = want
		}
		return want
	}
	if a := acc.accessor(x); a != nil {
		for _, s := range a.Path {
			if s.Index != nil {
				b.infer(s.Index, Long)
			}
		}
	}
	if a, ok := x.(*syntax.Autocast); ok {
		b.infer(a.X, Long)
	}
	if a, ok := x.(*syntax.AddrOf); ok {
		b.inferOperand(a.X)
	}
	t := Long
	switch acc.Result {
	case ResultPretty, ResultVars, ResultString, ResultEnumName:
		t = String
	}
	if acc.Base == BaseEntry {
		en := b.body.Entries[acc.N]
		for _, s := range b.e.bodies {
			if s.body == en.Body {
				t = s.infer(en.X, Unknown)
				break
			}
		}
		if t == Unknown {
			if t = want; t == Unknown {
				return t
			}
		}
		en.Type = t
	}
	return b.expect(x, t, want)
}

// inferOperand types what is below an "&", which itself has no entry.
func (b *bodyState) inferOperand(x syntax.Expr) {
	var a *syntax.Access
	switch x := x.(type) {
	case *syntax.TargetVar:
		a = &x.Access
	case *syntax.AtOp:
		a = &x.Access
		if x.Op == syntax.AtCast && len(x.Args) > 0 {
			b.infer(x.Args[0], Long)
		}
	case *syntax.Autocast:
		a = &x.Access
		b.infer(x.X, Long)
	}
	if a != nil {
		for _, s := range a.Path {
			if s.Index != nil {
				b.infer(s.Index, Long)
			}
		}
	}
}

// accessor gives the syntax of an access, nil for an AddrOf.
func (a *Access) accessor(x syntax.Expr) *syntax.Access {
	switch x := x.(type) {
	case *syntax.TargetVar:
		return &x.Access
	case *syntax.AtOp:
		return &x.Access
	case *syntax.Autocast:
		return &x.Access
	}
	return nil
}

// unresolvedTypes reports variables, and functions used for their value, of which
// nothing tells the type: each once, and of a statement only the first, since the others
// follow from it or from what it follows from. They come in the order in which SystemTap
// meets them: an array before its keys, the keys of a loop before its value and array.
func (b *bodyState) unresolvedTypes(told map[typeSlot]bool, calls bool) {
	if diag.HasErrors(b.e.prog.Diags) && !b.e.untyped || b.e.unresolved {
		return
	}
	done := false // with the statement
	report := func(s typeSlot, n syntax.Node, name string) {
		if done || b.e.typeOf(s) != Unknown {
			return
		}
		done = true
		if told[s] {
			return
		}
		told[s] = true
		b.e.untyped = true
		b.e.errorAt(codeUnresolvedType, n, "unresolved type").help("nothing tells whether '%s' is a number or a string", name)
	}
	name := func(id *syntax.Ident) {
		switch o := b.body.Idents[id].(type) {
		case *Local:
			report(typeSlot{l: o}, id, o.Name)
		case *Global:
			report(typeSlot{g: o}, id, o.Name)
		}
	}
	array := func(x syntax.Expr) {
		if ix, ok := x.(*syntax.Index); ok {
			x = ix.X
		}
		if id, ok := x.(*syntax.Ident); ok {
			name(id)
		}
	}
	w := &walker{b: b}
	w.stmt = func(s syntax.Stmt) bool {
		if b.body.Elided[s] {
			return false
		}
		done = false
		switch s := s.(type) {
		case *syntax.ForeachStmt:
			for _, k := range s.Keys {
				name(k)
			}
			if s.Value != nil {
				name(s.Value)
			}
			if g := b.globalOf(s.Array); g != nil {
				array(s.Array)
			}
		case *syntax.DeleteStmt:
			array(s.X)
		default:
			if a, l := b.deadAssign(s); l != nil { // it has no use, and SystemTap leaves only the right side
				w.e(a.R, false)
				return false
			}
		}
		return true
	}
	w.expr = func(x syntax.Expr, used bool) {
		if b.body.Types[x] != Unknown && b.body.Types[x] != Stats || b.body.bad[x] {
			if _, ok := x.(*syntax.AssignExpr); !ok {
				return
			}
		}
		switch x := x.(type) {
		case *syntax.AssignExpr:
			array(x.L)
		case *syntax.Ident:
			name(x)
		case *syntax.Index:
			if b.globalOf(x.X) != nil {
				array(x)
			}
		case *syntax.ArrayIn:
			if b.globalOf(x.Array) != nil {
				array(x.Array)
			}
		case *syntax.Call:
			if list := b.body.Calls[x]; used && calls && len(list) > 0 {
				report(typeSlot{f: list[0]}, x.Name, x.Name.Name)
			}
		}
	}
	w.write = func(x syntax.Expr, _ syntax.Node, _, _ bool) {
		if id, ok := x.(*syntax.Ident); ok {
			name(id)
		}
	}
	w.body()
}

// late reports an error that a listing of the elaborated script does not have.
func (e *elab) late(code diagCode, n syntax.Node, format string, args ...any) *builder {
	b := e.at(code, n, format, args...)
	if e.silent {
		return b
	}
	k := string(code) + b.d.Range.Start.String()
	if e.seen[k] {
		return b
	}
	e.seen[k] = true
	e.prog.Late = append(e.prog.Late, b.d)
	b.late = len(e.prog.Late)
	return b
}
