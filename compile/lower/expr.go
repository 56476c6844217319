package lower

import (
	"slices"
	"strings"

	"stapkit/format"
	"stapkit/ir"
	"stapkit/sema"
	"stapkit/syntax"
)

var binaryOps = map[syntax.Kind]ir.Op{
	syntax.Add: ir.OpAdd, syntax.Sub: ir.OpSub, syntax.Mul: ir.OpMul, syntax.Div: ir.OpDiv, syntax.Mod: ir.OpMod,
	syntax.And: ir.OpAnd, syntax.Or: ir.OpOr, syntax.Xor: ir.OpXor, syntax.Shl: ir.OpShl, syntax.Shr: ir.OpShr,
	syntax.Dot: ir.OpConcat, syntax.Eq: ir.OpEq, syntax.Ne: ir.OpNe,
	syntax.Lt: ir.OpLt, syntax.Le: ir.OpLe, syntax.Gt: ir.OpGt, syntax.Ge: ir.OpGe,
}

var assignOps = map[syntax.Kind]ir.Op{
	syntax.Assign: ir.OpSet, syntax.AddAssign: ir.OpAdd, syntax.SubAssign: ir.OpSub, syntax.MulAssign: ir.OpMul,
	syntax.DivAssign: ir.OpDiv, syntax.ModAssign: ir.OpMod, syntax.ShlAssign: ir.OpShl, syntax.ShrAssign: ir.OpShr,
	syntax.AndAssign: ir.OpAnd, syntax.XorAssign: ir.OpXor, syntax.OrAssign: ir.OpOr, syntax.CatAssign: ir.OpConcat,
}

func statFn(k syntax.StatKind) ir.StatFn {
	switch k {
	case syntax.StatSum:
		return ir.StatSum
	case syntax.StatMin:
		return ir.StatMin
	case syntax.StatMax:
		return ir.StatMax
	case syntax.StatAvg:
		return ir.StatAvg
	case syntax.StatVariance:
		return ir.StatVariance
	}
	return ir.StatCount
}

// truth lowers a condition: a number.
func (b *body) truth(x syntax.Expr) ir.Expr {
	e := b.expr(x)
	if e.Type().Kind == ir.Str {
		b.errorf(x, "E2005", "a condition must be a number, not a string")
		return &ir.IntConst{}
	}
	return e
}

// zero is the value of what has none.
func zero(t sema.Type) ir.Expr {
	if t == sema.String {
		return &ir.StrConst{}
	}
	return &ir.IntConst{}
}

func (b *body) expr(x syntax.Expr) ir.Expr {
	if c, ok := b.src.Consts[x]; ok {
		if a, ok := x.(*syntax.AtOp); ok {
			if acc := b.src.Exists[a]; acc != nil {
				return b.exists(acc, c)
			}
		}
		if c.Type == sema.String {
			return &ir.StrConst{S: c.Str}
		}
		return &ir.IntConst{V: c.Int}
	}
	if acc := b.src.Targets[x]; acc != nil {
		return b.access(x, acc)
	}
	switch x := x.(type) {
	case *syntax.NumberLit:
		return &ir.IntConst{V: x.Value}
	case *syntax.StringLit:
		return &ir.StrConst{S: b.clip(x.Value)}
	case *syntax.Ident:
		switch v := b.src.Idents[x].(type) {
		case *sema.Local:
			return &ir.Local{ID: v.Index, T: irType(v.Type)}
		case *sema.Global:
			return &ir.GlobalGet{G: b.globals[v], T: irType(v.Type)}
		}
	case *syntax.Paren:
		return b.expr(x.X)
	case *syntax.Unary:
		v := b.expr(x.X)
		switch x.Op {
		case syntax.Sub:
			if c, ok := v.(*ir.IntConst); ok {
				return &ir.IntConst{V: -c.V}
			}
			return &ir.Unary{Op: ir.OpNeg, X: v}
		case syntax.Not:
			return &ir.Unary{Op: ir.OpNot, X: v}
		case syntax.Tilde:
			return &ir.Unary{Op: ir.OpBitNot, X: v}
		}
		return v
	case *syntax.IncDec:
		op := ir.OpAdd
		if x.Op == syntax.Dec {
			op = ir.OpSub
		}
		if acc := b.src.Targets[x.X]; acc != nil {
			return b.assignTarget(x, x.X, acc, op, func() ir.Expr { return &ir.IntConst{V: 1} }, !x.Prefix)
		}
		return &ir.Update{L: b.lvalue(x.X), Op: op, R: &ir.IntConst{V: 1}, Old: !x.Prefix, Site: b.lvalueSite(x.X, x)}
	case *syntax.Binary:
		op, ok := binaryOps[x.Op]
		if !ok {
			b.errorf(x, "E2006", "unsupported binary operator %s", x.Op)
			return &ir.IntConst{}
		}
		l := b.expr(x.X)
		r := b.expr(x.Y)
		if c, ok := r.(*ir.IntConst); ok && (op == ir.OpShl || op == ir.OpShr) {
			if _, ok := l.(*ir.IntConst); ok {
				// SystemTap folds constants with the count cut to 0…64.
				c.V = min(max(c.V, 0), 64)
			}
		}
		if v, ok := compareEmpty(op, l, r); ok {
			return boolConst(v)
		}
		t := ir.TInt
		if op == ir.OpConcat {
			t = ir.Type{Kind: ir.Str}
		}
		return &ir.Binary{Op: op, X: l, Y: r, T: t, Site: b.site(x)}
	case *syntax.Logical:
		and := x.Op == syntax.AndAnd
		if c, ok := b.src.Consts[x.X]; ok && constTrue(c) != and {
			return boolConst(constTrue(c))
		}
		return &ir.Logical{And: and, X: b.truth(x.X), Y: b.truth(x.Y)}
	case *syntax.Ternary:
		if c, ok := b.src.Consts[x.Cond]; ok {
			if constTrue(c) {
				return b.expr(x.Then)
			}
			return b.expr(x.Else)
		}
		c := b.truth(x.Cond)
		t, e := b.expr(x.Then), b.expr(x.Else)
		return &ir.Cond{C: c, X: t, Y: e, T: irType(b.src.Types[x])}
	case *syntax.AssignExpr:
		return b.assign(x)
	case *syntax.ArrayIn:
		return b.arrayIn(x)
	case *syntax.Index:
		if h, ok := x.X.(*syntax.HistOp); ok {
			return &ir.HistGet{L: b.lvalue(h.X), Bucket: b.expr(x.Keys[0]), Site: b.site(h)}
		}
		lv := b.lvalue(x)
		return &ir.IndexGet{G: lv.ID, Keys: lv.Keys, T: lv.T}
	case *syntax.Call:
		return b.call(x)
	case *syntax.PrintExpr:
		if x.String {
			return b.sprint(x)
		}
		seq := &ir.Seq{R: zero(b.src.Types[x])}
		b.print(x, &seq.Body)
		return seq
	case *syntax.StatOp:
		return &ir.StatGet{L: b.lvalue(x.X), Fn: statFn(x.Op), Site: b.site(x)}
	case *syntax.RegexMatch:
		if x.Pattern == nil {
			break
		}
		return &ir.Match{X: b.expr(x.X), Re: b.regexp(x.Pattern), Negate: x.Negated, Site: b.site(x)}
	case *syntax.EmbeddedExpr:
		b.errorf(x, "E2007", "embedded C cannot be compiled to eBPF")
		return zero(b.src.Types[x])
	case *syntax.HistOp:
		b.errorf(x, "E2008", "base histogram operator where expression expected")
		return &ir.IntConst{}
	}
	b.errorf(x, "E2009", "this expression cannot be compiled")
	return zero(b.src.Types[x])
}

// compareEmpty decides $$parms != "" and its like: the list is empty only where
// there is nothing to list.
func compareEmpty(op ir.Op, l, r ir.Expr) (result, ok bool) {
	if _, isText := r.(*ir.MakeText); isText {
		l, r = r, l
	}
	mt, isText := l.(*ir.MakeText)
	c, isConst := r.(*ir.StrConst)
	if !isText || !isConst || c.S != "" || mt.Kind != ir.TextParms || op != ir.OpEq && op != ir.OpNe {
		return false, false
	}
	return (len(mt.Args) == 0) == (op == ir.OpEq), true
}

func boolConst(v bool) ir.Expr {
	if v {
		return &ir.IntConst{V: 1}
	}
	return &ir.IntConst{}
}

// clip cuts a literal to the longest string that there is.
func (b *body) clip(s string) string {
	for i := 0; i < len(s); i++ {
		if s[i] == 0 { // C ends the string here
			s = s[:i]
			break
		}
	}
	if m := b.opt.Limits.MaxStringLen - 1; len(s) > m {
		s = s[:m]
	}
	return s
}

// lvalueSite is where an update fails: at the array's name; for a scalar at the
// operator.
func (b *body) lvalueSite(lv syntax.Expr, op syntax.Node) int {
	if i, ok := lv.(*syntax.Index); ok {
		return b.site(i.X)
	}
	return b.site(op)
}

func (b *body) assign(x *syntax.AssignExpr) ir.Expr {
	if acc := b.src.Targets[x.L]; acc != nil {
		op, ok := assignOps[x.Op]
		if !ok {
			b.errorf(x, "E2011", "this is not something that can be assigned to")
			return &ir.IntConst{}
		}
		return b.assignTarget(x, x.L, acc, op, func() ir.Expr { return b.expr(x.R) }, false)
	}
	lv := b.lvalue(x.L)
	r := b.expr(x.R)
	if x.Op == syntax.StatAssign {
		return &ir.Seq{Body: []ir.Stmt{&ir.Eval{X: &ir.StatAdd{L: lv, V: r, Site: b.lvalueSite(x.L, x)}}}, R: &ir.IntConst{}}
	}
	site := b.lvalueSite(x.L, x)
	op := assignOps[x.Op]
	if op == ir.OpDiv || op == ir.OpMod {
		site = b.site(x)
	}
	return &ir.Update{L: lv, Op: op, R: r, Site: site}
}

// assignable are the target variables that the probe itself gives back, with what
// sets them.
var assignable = map[sema.BaseKind]ir.IntrinsicID{sema.BaseValue: ir.ISetValue, sema.BaseResult: ir.ISetResult}

// assignTarget lowers an assignment to a target variable. The value of the expression is
// what was assigned, or with old what was there before.
func (b *body) assignTarget(x, l syntax.Expr, acc *sema.Access, op ir.Op, r func() ir.Expr, old bool) ir.Expr {
	if set, ok := assignable[acc.Base]; ok {
		return b.assignContext(x, l, acc, set, op, r(), old)
	}
	help := ""
	switch {
	case acc.Base == sema.BaseReturn && acc.Space != sema.UserSpace:
		help = "the kernel takes results from programs on its security hooks only: lsm.HOOK, such as lsm.file_open, with $return = -1 refuses what is asked for"
	case acc.Space != sema.UserSpace:
		help = "eBPF programs read the kernel's registers and memory and change neither"
	case acc.Path == nil || len(acc.Path.Hops) == 0:
		help = "it is held in a register here, and eBPF programs change no registers; what lies in the program's memory can be set"
	case !b.kernel:
		help = "this handler runs in the loader; only probes in the program itself can change its memory"
	default:
		return b.assignMemory(x, acc, op, r, old)
	}
	b.report(x, "E2010", help, "writing to "+acc.Name+" is not possible in eBPF on this target")
	return &ir.IntConst{}
}

// assignMemory lowers an assignment to a number in the memory of the probed program.
func (b *body) assignMemory(x syntax.Expr, acc *sema.Access, op ir.Op, r func() ir.Expr, old bool) ir.Expr {
	site := b.site(x)
	base, ok := b.base(x, acc)
	if !ok {
		return &ir.IntConst{}
	}
	place := *acc
	place.Result = sema.ResultAddr
	local := func(id int) ir.Expr { return &ir.Local{ID: id, T: ir.TInt} }
	binary := func(op ir.Op, x, y ir.Expr) ir.Expr { return &ir.Binary{Op: op, X: x, Y: y, T: ir.TInt, Site: site} }
	num := func(n int64) ir.Expr { return &ir.IntConst{V: n} }
	var body []ir.Stmt
	set := func(v ir.Expr) int {
		id := b.temp(ir.TInt)
		body = append(body, &ir.Eval{X: &ir.Update{L: ir.LValue{ID: id, T: ir.TInt}, Op: ir.OpSet, R: v, Site: site}})
		return id
	}
	addr := set(b.path(x, &place, base))
	size, signed, bits := acc.Size, acc.Signed, acc.Path.Bits
	if bits != nil {
		size, signed = int(bits.Storage), bits.Signed
	}
	word := func(signed bool) ir.Expr {
		return &ir.Load{Addr: local(addr), Size: size, Signed: signed, Space: ir.UserSpace, Site: site}
	}
	before := -1
	if op != ir.OpSet || old {
		v := word(signed && bits == nil)
		if bits != nil {
			v = binary(ir.OpShl, v, num(64-bits.Bit-bits.Bits))
			v = binary(ir.OpShr, v, num(64-bits.Bits))
			if !signed && bits.Bits < 64 {
				v = binary(ir.OpAnd, v, num(1<<bits.Bits-1)) // shifts keep the sign
			}
		}
		before = set(v)
	}
	v := r()
	if op != ir.OpSet {
		v = binary(op, local(before), v)
	}
	after := set(v)
	v = local(after)
	if bits != nil {
		mask := int64(1)<<bits.Bits - 1
		if bits.Bits == 64 {
			mask = -1
		}
		v = binary(ir.OpOr, binary(ir.OpAnd, word(false), num(^(mask<<bits.Bit))),
			binary(ir.OpShl, binary(ir.OpAnd, v, num(mask)), num(bits.Bit)))
	}
	body = append(body, &ir.If{
		C: b.intrinsic(ir.IUserWrite, ir.TInt, site, local(addr), num(int64(size)), v),
		Then: []ir.Stmt{&ir.Eval{X: b.intrinsic(ir.IError, ir.TVoid, site,
			&ir.StrConst{S: b.clip("the memory of '" + acc.Name + "' cannot be written")})}},
	})
	if old {
		after = before
	}
	return &ir.Seq{Body: body, R: local(after)}
}

// assignContext lowers an assignment to what the probe gives back.
func (b *body) assignContext(x, l syntax.Expr, acc *sema.Access, set ir.IntrinsicID, op ir.Op, r ir.Expr, old bool) ir.Expr {
	if acc.Base == sema.BaseValue && op == ir.OpConcat {
		// The text may become longer than a string can.
		v := b.temp(r.Type())
		return &ir.Seq{
			Body: []ir.Stmt{
				&ir.Eval{X: &ir.Update{L: ir.LValue{ID: v, T: r.Type()}, Op: ir.OpSet, R: r, Site: b.site(x)}},
				&ir.Eval{X: b.intrinsic(ir.IAddValue, ir.TVoid, b.site(x), &ir.Local{ID: v, T: r.Type()})},
			},
			R: b.access(l, acc),
		}
	}
	t := r.Type()
	var body []ir.Stmt
	assign := func(t ir.Type, r ir.Expr) int {
		v := b.temp(t)
		body = append(body, &ir.Eval{X: &ir.Update{L: ir.LValue{ID: v, T: t}, Op: ir.OpSet, R: r, Site: b.site(x)}})
		return v
	}
	before := -1
	if op != ir.OpSet {
		if op == ir.OpConcat {
			t = ir.Type{Kind: ir.Str}
		}
		before = assign(t, b.access(l, acc))
		r = &ir.Binary{Op: op, X: &ir.Local{ID: before, T: t}, Y: r, T: t, Site: b.site(x)}
	}
	v := assign(t, r)
	body = append(body, &ir.Eval{X: b.intrinsic(set, ir.TVoid, b.site(x), &ir.Local{ID: v, T: t})})
	if old && before >= 0 {
		v = before
	}
	return &ir.Seq{Body: body, R: &ir.Local{ID: v, T: t}}
}

func (b *body) lvalue(x syntax.Expr) ir.LValue {
	switch x := x.(type) {
	case *syntax.Paren:
		return b.lvalue(x.X)
	case *syntax.Ident:
		switch v := b.src.Idents[x].(type) {
		case *sema.Local:
			return ir.LValue{ID: v.Index, T: irType(v.Type)}
		case *sema.Global:
			return ir.LValue{Global: true, ID: b.globals[v], T: irType(v.Type)}
		}
	case *syntax.Index:
		id, ok := x.X.(*syntax.Ident)
		if !ok {
			break
		}
		if g, ok := b.src.Idents[id].(*sema.Global); ok {
			return ir.LValue{Global: true, ID: b.globals[g], Keys: b.keys(x.Keys), T: irType(g.Type)}
		}
	}
	b.errorf(x, "E2011", "this is not something that can be assigned to")
	return ir.LValue{T: ir.TInt}
}

// keys lowers array subscripts; "*" becomes nil.
func (b *body) keys(list []syntax.Expr) []ir.Expr {
	var out []ir.Expr
	for _, k := range list {
		if _, star := k.(*syntax.Star); star {
			out = append(out, nil)
		} else {
			out = append(out, b.expr(k))
		}
	}
	return out
}

func (b *body) arrayIn(x *syntax.ArrayIn) ir.Expr {
	if id, ok := x.Array.(*syntax.Ident); ok {
		if g, ok := b.src.Idents[id].(*sema.Global); ok {
			return &ir.IndexIn{G: b.globals[g], Keys: b.keys(x.Keys)}
		}
	}
	b.errorf(x, "E2012", "the right side of 'in' must be an array")
	return &ir.IntConst{}
}

// probeFunc is the name of the probed function: the one in the probe point, or, where that
// names none, of the function that is at the place, or "0x0" where there is no place.
func (b *body) probeFunc(t ir.Type, site int) ir.Expr {
	if !b.unnamed {
		// A timer and its like have no place; SystemTap tells address 0 of them.
		name := func() ir.Expr { return b.intrinsic(ir.IPpfunc, ir.Type{Kind: ir.Str}, site) }
		return &ir.Cond{
			C: &ir.Binary{Op: ir.OpEq, X: name(), Y: &ir.StrConst{}, T: ir.TInt},
			X: &ir.StrConst{S: "0x0"},
			Y: name(),
			T: t,
		}
	}
	text := func(kind ir.Text, space ir.Space, args ...ir.Expr) ir.Expr {
		args = append(args, b.intrinsic(ir.IFuncIP, ir.TInt, site))
		return &ir.MakeText{Kind: kind, Site: site, Space: space, Args: args, T: ir.Type{Kind: ir.Deferred, Text: kind, Width: 8 * len(args)}}
	}
	return &ir.Cond{
		C: b.intrinsic(ir.IUserMode, ir.TInt, site),
		X: text(ir.TextUSym, ir.UserSpace, b.intrinsic(ir.IPid, ir.TInt, site)),
		Y: text(ir.TextKSym, ir.KernelSpace),
		T: t,
	}
}

// unnamed reports whether a probe has a place in code, and a point that names no function.
func unnamed(p *sema.Probe) bool {
	switch p.Family {
	case sema.FamProfile, sema.FamPerf, sema.FamMark, sema.FamData:
		return true
	}
	return false
}

// onlyUnnamed reports whether all probes that the kernel runs are such: then so are those
// that call a function of the script.
func (l *lowerer) onlyUnnamed() bool {
	some := false
	for _, p := range l.src.Probes {
		if p.InLoader() {
			continue
		}
		if !unnamed(p) {
			return false
		}
		some = true
	}
	return some
}

func (b *body) call(x *syntax.Call) ir.Expr {
	chain := b.src.Calls[x]
	if len(chain) == 0 {
		b.errorf(x, "E2013", "unresolved function %s", x.Name.Name)
		return zero(b.src.Types[x])
	}
	f := chain[0]
	want := b.src.Types[x]
	site := b.site(x)
	var e ir.Expr
	switch {
	case strings.HasPrefix(f.Intrinsic, "text_"):
		return b.textCall(x, f.Intrinsic)
	case f.Intrinsic == "probefunc":
		return b.probeFunc(irType(want), site)
	case f.Intrinsic == "ksym":
		name, ok := x.Args[0].(*syntax.StringLit)
		if !ok {
			b.errorf(x, "E2014", "the name of a kernel symbol must be literal")
			return zero(want)
		}
		return b.ksym(name.Value, site)
	case f.Intrinsic != "":
		id, ok := ir.ByName(f.Intrinsic)
		if !ok {
			b.errorf(x, "E2014", "there is no intrinsic %q", f.Intrinsic)
			return zero(want)
		}
		info := ir.Intrinsics[id]
		t := ir.Type{Kind: info.Result, Width: info.Width}
		e = &ir.Intrinsic{ID: id, Args: b.exprs(x.Args), T: t, Site: site}
	case f.Table != "":
		if len(x.Args) != 1 {
			b.errorf(x, "E2014", "a table function takes one argument")
			return zero(want)
		}
		e = &ir.Lookup{Table: b.table(x, f.Table), X: b.expr(x.Args[0]), T: ir.Type{Kind: ir.Str}}
	default:
		c := &ir.Call{Args: b.exprs(x.Args), T: ir.TVoid, Site: site}
		if f.Result != sema.Unknown {
			c.T = irType(f.Result)
		}
		for _, f := range chain {
			i, ok := b.funcs[f]
			if !ok {
				b.errorf(x, "E2015", "the overloads of %s mix script code and intrinsics", f.Name)
				return zero(want)
			}
			c.Chain = append(c.Chain, i)
		}
		e = c
	}
	if e.Type().Kind == ir.Void {
		return &ir.Seq{Body: []ir.Stmt{&ir.Eval{X: e}}, R: zero(want)}
	}
	return e
}

// ksym is the address of a kernel symbol, "name" or "module:name".
func (b *body) ksym(name string, site int) ir.Expr {
	i := slices.Index(b.out.Ksyms, name)
	if i < 0 {
		i = len(b.out.Ksyms)
		b.out.Ksyms = append(b.out.Ksyms, name)
	}
	return b.intrinsic(ir.IKsym, ir.TInt, site, &ir.IntConst{V: int64(i)})
}

func (b *body) exprs(list []syntax.Expr) []ir.Expr {
	out := make([]ir.Expr, len(list))
	for i, x := range list {
		out[i] = b.expr(x)
	}
	return out
}

func (l *lowerer) regexp(p *syntax.StringLit) int {
	if i, ok := l.regexps[p.Value]; ok {
		return i
	}
	i := len(l.out.Regexps)
	l.out.Regexps = append(l.out.Regexps, ir.Regexp{Pattern: p.Value})
	l.regexps[p.Value] = i
	return i
}

// formatOf gives the format of a member of the print family and its arguments.
func (b *body) formatOf(p *syntax.PrintExpr) (int, []ir.Expr) {
	var f format.Format
	switch {
	case p.Char:
		f, _ = format.Parse("%c")
	case p.FormatLit != nil:
		var err error
		if f, err = format.Parse(p.FormatLit.Raw); err != nil {
			b.errorf(p, "E2016", "%v", err)
		}
	default:
		types := make([]format.Type, len(p.Args))
		for i, a := range p.Args {
			types[i] = format.Long
			if b.src.Types[a] == sema.String {
				types[i] = format.String
			}
		}
		delim := ""
		if p.Delim != nil {
			delim = p.Delim.Value
		}
		f = format.Join(types, delim, p.Newline)
	}
	args := b.exprs(p.Args)
	return b.format(f), args
}

// format enters a format in the program's table. Package plan adds the types of
// the arguments.
func (l *lowerer) format(f format.Format) int {
	text := f.String()
	if i, ok := l.formats[text]; ok {
		return i
	}
	out := ir.Format{Text: text, Parsed: f}
	i := len(l.out.Formats)
	l.out.Formats = append(l.out.Formats, out)
	l.formats[text] = i
	return i
}

func (b *body) print(p *syntax.PrintExpr, out *[]ir.Stmt) {
	if p.Hist != nil {
		*out = append(*out, &ir.PrintHist{L: b.lvalue(p.Hist.X), Site: b.site(p.Hist)})
		return
	}
	f, args := b.formatOf(p)
	*out = append(*out, &ir.Print{Format: f, Args: args, Site: b.site(p)})
}

func (b *body) sprint(p *syntax.PrintExpr) ir.Expr {
	if p.Hist != nil {
		b.errorf(p, "E2017", "a histogram can be printed, but not turned into a string")
		return &ir.StrConst{}
	}
	f, args := b.formatOf(p)
	return &ir.Sprintf{Format: f, Args: args, T: ir.Type{Kind: ir.Str}, Site: b.site(p)}
}
