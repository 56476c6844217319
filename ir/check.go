package ir

import (
	"fmt"
	"slices"
	"strings"

	"stapkit/format"
	"stapkit/ir/regex"
)

// Bounds that Check enforces beside the ranges of indexes.
const (
	maxTreeDepth   = 10000
	maxLocks       = 1024
	maxCounters    = 256
	maxKeys        = 64
	maxPayload     = 1 << 16
	maxHandlerName = 63
	maxTick        = 1 << 30
	maxPattern     = MaxStrWidth
	maxPatterns    = 1000
	maxText        = 16 << 20 // bytes of formats, patterns and the like, all together
)

// Check reports the first thing that is wrong with p: an index out of range, a
// type that does not fit, a statement where it cannot stand, a name that is
// none. The interpreter, the code generator and the loader trust a program
// that passed it; they may be given one from a hostile file.
//
// String and deferred types must have their widths, so it is for planned
// programs.
func Check(p *Program) error {
	c := &checker{p: p}
	c.program()
	return c.err
}

type checker struct {
	p      *Program
	err    error
	text   int // bytes of text looked at, see maxText
	where  string
	locals []Type
	fn     *Func    // in a function
	h      *Handler // in a handler or region
	loops  int
	inSeq  bool // statements of a Seq or Region: no way out of them
	depth  int
}

func (c *checker) fail(f string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("ir: %s: %s", c.where, fmt.Sprintf(f, args...))
	}
}

func (c *checker) index(what string, i, n int) bool {
	if i < 0 || i >= n {
		c.fail("%s %d out of range (%d)", what, i, n)
		return false
	}
	return true
}

// parsed counts text that has to be parsed, and tells whether there may be so
// much: a hostile file may name one long string many times.
func (c *checker) parsed(s string) bool {
	if c.text += len(s) + 64; c.text > maxText {
		c.fail("too much text")
	}
	return c.err == nil
}

func (c *checker) site(i int) { c.index("site", i, max(len(c.p.Sites), 1)) }

func (c *checker) program() {
	p := c.p
	c.where = "limits"
	l := &p.Limits
	if l.MaxStringLen < 1 || l.MaxStringLen > MaxStrWidth {
		c.fail("MaxStringLen %d is not between 1 and %d", l.MaxStringLen, MaxStrWidth)
	}
	if l.MaxNesting < 0 {
		c.fail("MaxNesting %d", l.MaxNesting)
	}
	if p.Locks < 0 || p.Locks > maxLocks {
		c.fail("%d lock words", p.Locks)
	}
	if len(p.Counters) > maxCounters {
		c.fail("%d counters", len(p.Counters))
	}
	for i := range p.Globals {
		c.where = fmt.Sprintf("global %d (%s)", i, p.Globals[i].Name)
		c.global(&p.Globals[i])
	}
	for i := range p.Formats {
		c.where = fmt.Sprintf("format %d", i)
		c.format(&p.Formats[i])
	}
	for i := range p.Regexps {
		c.where = fmt.Sprintf("regular expression %d", i)
		if s := p.Regexps[i].Pattern; len(s) > maxPattern || i > maxPatterns {
			c.fail("%d bytes", len(s))
		} else if _, err := regex.Compile(s); err != nil {
			c.fail("%v", err)
		}
	}
	for i := range p.Tables {
		c.where = fmt.Sprintf("table %d (%s)", i, p.Tables[i].Name)
		c.table(&p.Tables[i])
	}
	for i := range p.Types {
		c.where = fmt.Sprintf("type %d (%s)", i, p.Types[i].Name)
		if k := p.Types[i].Kind; !slices.Contains([]string{"struct", "union", "enum", "typedef"}, k) {
			c.fail("kind %q", k)
		}
	}
	for i, f := range p.Funcs {
		c.where = fmt.Sprintf("function %d", i)
		c.function(f)
	}
	names := map[string]bool{}
	for i, h := range p.Handlers {
		c.where = fmt.Sprintf("handler %d", i)
		c.handler(h, names, false)
	}
	for i, h := range p.Regions {
		c.where = fmt.Sprintf("region %d", i)
		c.handler(h, names, true)
	}
	for i := range p.Probes {
		c.where = fmt.Sprintf("probe %d (%s)", i, p.Probes[i].Point)
		c.probe(&p.Probes[i])
	}
	if c.err == nil {
		c.recursion()
	}
}

func (c *checker) global(g *Global) {
	if len(g.Keys) > maxKeys {
		c.fail("%d keys", len(g.Keys))
	}
	for _, k := range g.Keys {
		c.typ(k, Int, Str, Deferred)
	}
	c.typ(g.Value, Int, Str, Deferred, Stat)
	switch {
	case g.IsArray() && (g.MaxEntries < 1 || g.MaxEntries > 1<<31-1):
		c.fail("limit %d", g.MaxEntries)
	case !g.IsArray() && (g.Wrap || g.Ordered || g.Generations):
		c.fail("a scalar with the properties of an array")
	case g.Share > SharedBoth:
		c.fail("share %d", g.Share)
	case g.Lock < -1 || g.Lock >= c.p.Locks:
		c.fail("lock %d out of range (%d)", g.Lock, c.p.Locks)
	case g.Slot < 0 || g.Slot > len(c.p.Globals):
		c.fail("slot %d out of range", g.Slot)
	case g.Stat.Hist > HistLinear:
		c.fail("histogram kind %d", g.Stat.Hist)
	case g.Stat.VarShift < 0 || g.Stat.VarShift > 62:
		c.fail("variance shift %d", g.Stat.VarShift)
	}
	c.site(g.Site)
	if g.Stat.Hist == HistLinear {
		if _, err := format.Linear(g.Stat.Low, g.Stat.High, g.Stat.Step); err != nil {
			c.fail("%v", err)
		}
	}
}

// typ checks that t is well-formed and of one of the kinds.
func (c *checker) typ(t Type, kinds ...Kind) {
	if !slices.Contains(kinds, t.Kind) {
		names := make([]string, len(kinds))
		for i, k := range kinds {
			names[i] = k.String()
		}
		c.fail("type of kind %s where %s is wanted", t.Kind, strings.Join(names, " or "))
		return
	}
	switch t.Kind {
	case Str:
		if t.Width < 8 || t.Width > MaxStrWidth || t.Width%8 != 0 {
			c.fail("string width %d", t.Width)
		}
	case Deferred:
		if t.Width < 8 || t.Width > maxPayload || t.Width%8 != 0 {
			c.fail("payload width %d", t.Width)
		}
		if t.Text == TextNone || t.Text >= numTexts {
			c.fail("deferred text of kind %d", t.Text)
		}
	}
}

func (c *checker) format(f *Format) {
	if !c.parsed(f.Text) {
		return
	}
	parsed, err := format.Parse(f.Text)
	if err != nil {
		c.fail("%v", err)
		return
	}
	// Text that was joined from pieces is parsed as one piece, so compare how
	// both are written.
	if parsed.String() != f.Parsed.String() {
		c.fail("%q was parsed as %q", f.Text, f.Parsed.String())
	}
	types := f.Parsed.ArgTypes()
	if len(f.Args) != len(types) {
		c.fail("%d argument types for %q", len(f.Args), f.Text)
		return
	}
	for i, t := range types {
		if t == format.Long {
			c.typ(f.Args[i], Int)
		} else {
			c.typ(f.Args[i], Str, Deferred)
		}
	}
}

func (c *checker) table(t *Table) {
	if t.Kind > TableFlags {
		c.fail("kind %d", t.Kind)
	}
	for i := 1; i < len(t.Entries); i++ {
		if t.Entries[i-1].Value >= t.Entries[i].Value {
			c.fail("entries are not in order")
		}
	}
	if !c.parsed(t.Default) {
		return
	}
	def, err := format.Parse(t.Default)
	if err != nil {
		c.fail("default: %v", err)
		return
	}
	if types := def.ArgTypes(); len(types) > 1 || len(types) == 1 && types[0] != format.Long {
		c.fail("default %q takes more than one number", t.Default)
	}
}

func (c *checker) function(f *Func) {
	if f == nil {
		c.fail("missing")
		return
	}
	c.where += " (" + f.Name + ")"
	c.locals, c.fn, c.h = f.Locals, f, nil
	for _, t := range f.Locals {
		c.typ(t, Int, Str, Deferred)
	}
	if f.Params < 0 || f.Params > len(f.Locals) {
		c.fail("%d parameters of %d locals", f.Params, len(f.Locals))
	}
	c.typ(f.Result, Void, Int, Str, Deferred)
	c.site(f.Site)
	c.body(f.Body)
}

func (c *checker) body(list []Stmt) {
	c.loops, c.inSeq, c.depth = 0, false, 0
	c.stmts(list)
}

func (c *checker) handler(h *Handler, names map[string]bool, region bool) {
	if h == nil {
		c.fail("missing")
		return
	}
	if len(h.Name) > maxHandlerName || !IsName(h.Name) {
		c.fail("name %q is not a C identifier of at most %d bytes", h.Name, maxHandlerName)
	}
	c.where += " (" + h.Name + ")"
	if names[h.Name] {
		c.fail("the name occurs twice")
	}
	names[h.Name] = true
	c.locals, c.fn, c.h = h.Locals, nil, h
	for _, t := range h.Locals {
		c.typ(t, Int, Str, Deferred)
	}
	switch {
	case h.Ctx > CtxNetfilter:
		c.fail("context %d", h.Ctx)
	case region != (h.Ctx == CtxRegion):
		c.fail("context %d", h.Ctx)
	case region && !h.Kernel, h.Kernel == (h.Ctx == CtxNone):
		c.fail("kernel %v in context %d", h.Kernel, h.Ctx)
	case !region && (h.Params != nil || h.Result != nil):
		c.fail("parameters of a handler that is no region")
	}
	for _, p := range h.Params {
		c.index("parameter's local", p.Local, len(h.Locals))
	}
	if h.Probe != 0 || !region {
		c.index("probe", h.Probe, max(len(c.p.Probes), 1))
	}
	c.points(h, region)
	if h.Result != nil {
		c.depth = 0
		c.expr(h.Result)
	}
	if h.Cond != nil {
		c.depth = 0
		c.want(h.Cond, Int)
	}
	c.body(h.Body)
}

// points checks what the probes of a handler differ in.
func (c *checker) points(h *Handler, region bool) {
	if len(h.Points) > MaxPoints || len(h.Points) > 0 && (region || !h.Kernel) {
		c.fail("%d points", len(h.Points))
	}
	for i := range h.Points {
		pt, first := &h.Points[i], &h.Points[0]
		c.index("probe of a point", pt.Probe, min(len(c.p.Probes), MaxProbes))
		if len(pt.Ints) != len(first.Ints) || len(pt.Strs) != len(first.Strs) || len(pt.Sites) != 0 && len(pt.Sites) != len(first.Sites) {
			c.fail("point %d is of another shape", i)
		}
		for _, s := range pt.Sites {
			c.site(s)
		}
	}
}

// IsName reports whether a text can be a name in a script.
func IsName(s string) bool {
	for i := 0; i < len(s); i++ {
		switch b := s[i]; {
		case b == '_', b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z', i > 0 && b >= '0' && b <= '9':
		default:
			return false
		}
	}
	return s != ""
}

func (c *checker) probe(p *Probe) {
	if p.Family > FamNever {
		c.fail("family %d", p.Family)
	}
	if p.Interval < 0 || p.Random < 0 || p.PerSecond < 0 {
		c.fail("negative interval")
	}
	c.site(p.Site)
	for i := range p.Attach {
		c.index("handler", p.Attach[i].Handler, len(c.p.Handlers))
	}
}

// recursion checks that every cycle of calls goes through a Recursive function,
// as those calls alone are counted at run time.
func (c *checker) recursion() {
	const (
		visiting = 1
		done     = 2
	)
	c.where = "calls"
	state := make([]uint8, len(c.p.Funcs))
	var visit func(i int)
	visit = func(i int) {
		if c.p.Funcs[i].Recursive || state[i] == done {
			return
		}
		if state[i] == visiting {
			c.fail("function %s calls itself and is not marked Recursive", c.p.Funcs[i].Name)
			return
		}
		state[i] = visiting
		Walk(c.p.Funcs[i].Body, nil, func(x Expr) {
			if call, ok := x.(*Call); ok && c.err == nil {
				for _, f := range call.Chain {
					visit(f)
				}
			}
		})
		state[i] = done
	}
	for i := range c.p.Funcs {
		visit(i)
	}
}

func (c *checker) deeper() bool {
	c.depth++
	if c.depth > maxTreeDepth {
		c.fail("nested deeper than %d", maxTreeDepth)
	}
	return c.err == nil
}

func (c *checker) stmts(list []Stmt) {
	if !c.deeper() {
		return
	}
	for _, s := range list {
		c.stmt(s)
		if c.err != nil {
			return
		}
	}
	c.depth--
}

func (c *checker) loop(list ...[]Stmt) {
	c.loops++
	for _, l := range list {
		c.stmts(l)
	}
	c.loops--
}

// enclosed checks statements that must end at their end.
func (c *checker) enclosed(list []Stmt) {
	loops, inSeq := c.loops, c.inSeq
	c.loops, c.inSeq = 0, true
	c.stmts(list)
	c.loops, c.inSeq = loops, inSeq
}

func (c *checker) stmt(s Stmt) {
	switch s := s.(type) {
	case *Eval:
		c.expr(s.X)
	case *If:
		c.want(s.C, Int)
		c.stmts(s.Then)
		c.stmts(s.Else)
	case *While:
		if s.C != nil {
			c.want(s.C, Int)
		}
		c.loop(s.Body, s.Post)
	case *Foreach:
		c.foreach(s)
	case *ForeachHist:
		c.hist(&s.L)
		c.loopLocal(s.Key, TInt)
		c.loopLocal(s.Value, TInt)
		if s.Sort.By < -1 || s.Sort.By > 1 {
			c.fail("sort by %d", s.Sort.By)
		}
		if s.Limit != nil {
			c.want(s.Limit, Int)
		}
		c.site(s.Site)
		c.loop(s.Body)
	case *Return:
		switch {
		case c.inSeq:
			c.fail("return in an expression")
		case s.X == nil:
		case c.fn == nil || c.fn.Result.Kind == Void:
			c.fail("value returned by what has none")
		default:
			c.store(s.X, c.fn.Result)
		}
	case *Next:
		if c.inSeq {
			c.fail("next in an expression")
		}
	case *Break, *Continue:
		if c.loops == 0 {
			c.fail("break or continue outside of a loop")
		}
	case *Delete:
		c.delete(s)
	case *Try:
		if s.Var != -1 && c.index("local", s.Var, len(c.locals)) && c.locals[s.Var].Kind != Str {
			c.fail("the catch variable is no string")
		}
		c.stmts(s.Body)
		c.stmts(s.Catch)
	case *Print:
		c.args(s.Format, s.Args)
		c.site(s.Site)
	case *PrintHist:
		c.hist(&s.L)
		c.site(s.Site)
	case *Tick:
		if s.N < 1 || s.N > maxTick {
			c.fail("tick %d", s.N)
		}
		c.site(s.Site)
	case *Lock:
		c.lock(s.ID)
	case *Unlock:
		c.lock(s.ID)
	default:
		c.fail("statement %T", s)
	}
}

func (c *checker) lock(id int) {
	c.index("lock", id, c.p.Locks)
	if c.h == nil || !c.h.Kernel {
		c.fail("lock outside of a kernel handler")
	}
}

func (c *checker) loopLocal(id int, t Type) {
	if id != -1 && c.index("local", id, len(c.locals)) && !sameKind(c.locals[id], t) {
		c.fail("loop variable of kind %s for %s", c.locals[id].Kind, t.Kind)
	}
}

func (c *checker) foreach(s *Foreach) {
	if !c.index("global", s.G, len(c.p.Globals)) {
		return
	}
	g := &c.p.Globals[s.G]
	c.site(s.Site)
	switch {
	case !g.IsArray():
		c.fail("foreach over %s, which is no array", g.Name)
	case len(s.Keys) != len(g.Keys):
		c.fail("%d loop variables for %d keys", len(s.Keys), len(g.Keys))
	case len(s.Slice) != 0 && len(s.Slice) != len(g.Keys):
		c.fail("slice of %d for %d keys", len(s.Slice), len(g.Keys))
	case s.Sort.By < -1 || s.Sort.By > len(g.Keys):
		c.fail("sort by %d", s.Sort.By)
	case s.Sort.By == -1 && g.Value.Kind == Stat && !g.Stat.keeps(s.Sort.Fn):
		c.fail("sort by what %s does not keep", g.Name)
	case s.Value != -1 && g.Value.Kind == Stat:
		c.fail("value of an aggregate bound")
	}
	if c.err != nil {
		return
	}
	for i, k := range s.Keys {
		c.loopLocal(k, g.Keys[i])
	}
	c.loopLocal(s.Value, g.Value)
	for i, k := range s.Slice {
		if k != nil {
			c.store(k, g.Keys[i])
		}
	}
	if s.Limit != nil {
		c.want(s.Limit, Int)
	}
	c.loop(s.Body)
}

func (c *checker) delete(s *Delete) {
	l := &s.L
	c.site(s.Site)
	if !l.Global {
		if l.Keys != nil {
			c.fail("keys of a local")
		}
		c.index("local", l.ID, len(c.locals))
		return
	}
	if !c.index("global", l.ID, len(c.p.Globals)) {
		return
	}
	if g := &c.p.Globals[l.ID]; len(l.Keys) > 0 {
		c.keys(g, l.Keys, true)
	}
}

// keeps tells whether aggregates of the shape can answer fn.
func (s StatShape) keeps(fn StatFn) bool {
	switch fn {
	case StatCount:
		return true
	case StatSum, StatAvg:
		return s.Sum || s.Variance
	case StatMin:
		return s.Min
	case StatMax:
		return s.Max
	case StatVariance:
		return s.Variance
	}
	return false
}

// hist checks an lvalue whose histogram is wanted.
func (c *checker) hist(l *LValue) {
	c.stat(l)
	if c.err == nil && c.p.Globals[l.ID].Stat.Hist == HistNone {
		c.fail("%s has no histogram", c.p.Globals[l.ID].Name)
	}
}

func (c *checker) stat(l *LValue) {
	if c.lvalue(l) != Stat && c.err == nil {
		c.fail("aggregate operation on what is none")
	}
}

// lvalue checks l and returns its kind.
func (c *checker) lvalue(l *LValue) Kind {
	if !l.Global {
		if len(l.Keys) != 0 {
			c.fail("keys of a local")
		}
		if c.index("local", l.ID, len(c.locals)) && l.T != c.locals[l.ID] {
			c.fail("local %d of type %v taken for %v", l.ID, c.locals[l.ID], l.T)
		}
		return l.T.Kind
	}
	if !c.index("global", l.ID, len(c.p.Globals)) {
		return Void
	}
	g := &c.p.Globals[l.ID]
	if l.T != g.Value {
		c.fail("global %s of type %v taken for %v", g.Name, g.Value, l.T)
	}
	c.keys(g, l.Keys, false)
	return l.T.Kind
}

func (c *checker) keys(g *Global, keys []Expr, wild bool) {
	if len(keys) != len(g.Keys) {
		c.fail("%d keys for %s, which has %d", len(keys), g.Name, len(g.Keys))
		return
	}
	for i, k := range keys {
		if k == nil && wild {
			continue
		}
		c.store(k, g.Keys[i])
	}
}

// sameKind reports whether a value of one type can be stored in the other.
func sameKind(a, b Type) bool { return a.Kind == b.Kind && (a.Kind != Deferred || a.Text == b.Text) }

// store checks a value that goes into a variable of type t.
func (c *checker) store(x Expr, t Type) {
	if got := c.expr(x); c.err == nil && !sameKind(got, t) {
		c.fail("%v where %v is wanted", got, t)
	}
}

func (c *checker) want(x Expr, k Kind) {
	if got := c.expr(x); c.err == nil && got.Kind != k {
		c.fail("%s where %s is wanted", got.Kind, k)
	}
}

// args checks the arguments of a format.
func (c *checker) args(f int, args []Expr) {
	if !c.index("format", f, len(c.p.Formats)) {
		return
	}
	types := c.p.Formats[f].Args
	if len(args) != len(types) {
		c.fail("%d arguments for a format of %d", len(args), len(types))
		return
	}
	for i, a := range args {
		c.store(a, types[i])
	}
}

// expr checks x and returns its type.
func (c *checker) expr(x Expr) Type {
	if !c.deeper() {
		return TVoid
	}
	c.exprNode(x)
	if c.err != nil {
		return TVoid
	}
	c.depth--
	t := x.Type()
	if t.Kind == Stat {
		c.fail("an aggregate as a value")
	} else if t.Kind != Void {
		c.typ(t, Int, Str, Deferred)
	}
	return t
}

func isSize(n int) bool { return n == 1 || n == 2 || n == 4 || n == 8 }

// isAccess reports whether s is numbers joined by colons.
func isAccess(s string) bool {
	if len(s) > 1024 {
		return false
	}
	digits := 0
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] >= '0' && s[i] <= '9' && digits < 9:
			digits++
		case s[i] == ':' && digits > 0:
			digits = 0
		default:
			return false
		}
	}
	return digits > 0
}

func (c *checker) exprNode(x Expr) {
	switch x := x.(type) {
	case *IntConst:
	case *StrConst:
		if len(x.S) >= MaxStrWidth {
			c.fail("string of %d bytes", len(x.S))
		} else if strings.IndexByte(x.S, 0) >= 0 {
			c.fail("NUL in a string")
		}
	case *Local:
		if c.index("local", x.ID, len(c.locals)) && x.T != c.locals[x.ID] {
			c.fail("local %d of type %v taken for %v", x.ID, c.locals[x.ID], x.T)
		}
	case *GlobalGet:
		l := LValue{Global: true, ID: x.G, T: x.T}
		if c.lvalue(&l) == Stat {
			c.fail("an aggregate as a value")
		}
	case *IndexGet:
		l := LValue{Global: true, ID: x.G, Keys: x.Keys, T: x.T}
		if c.lvalue(&l) == Stat || len(x.Keys) == 0 {
			c.fail("no element of an array of values")
		}
	case *IndexIn:
		if c.index("global", x.G, len(c.p.Globals)) {
			g := &c.p.Globals[x.G]
			if !g.IsArray() {
				c.fail("membership in %s, which is no array", g.Name)
			}
			c.keys(g, x.Keys, true)
		}
	case *Update:
		c.update(x)
	case *StatAdd:
		c.stat(&x.L)
		c.want(x.V, Int)
		c.site(x.Site)
	case *StatGet:
		c.stat(&x.L)
		if c.err == nil && !c.p.Globals[x.L.ID].Stat.keeps(x.Fn) {
			c.fail("%s does not keep what is asked for (%d)", c.p.Globals[x.L.ID].Name, x.Fn)
		}
		c.site(x.Site)
	case *HistGet:
		c.hist(&x.L)
		c.want(x.Bucket, Int)
		c.site(x.Site)
	case *Unary:
		if x.Op != OpNeg && x.Op != OpNot && x.Op != OpBitNot {
			c.fail("unary operator %s", x.Op)
		}
		c.want(x.X, Int)
	case *Binary:
		c.binary(x)
	case *Logical:
		c.want(x.X, Int)
		c.want(x.Y, Int)
	case *Cond:
		c.want(x.C, Int)
		if x.T.Kind == Void {
			c.expr(x.X)
			c.expr(x.Y)
		} else {
			c.store(x.X, x.T)
			c.store(x.Y, x.T)
		}
	case *Call:
		c.call(x)
	case *Intrinsic:
		c.intrinsic(x)
	case *Sprintf:
		c.args(x.Format, x.Args)
		c.typ(x.T, Str)
		c.site(x.Site)
	case *Match:
		c.want(x.X, Str)
		c.index("regular expression", x.Re, len(c.p.Regexps))
		c.site(x.Site)
	case *CtxArg:
		if x.N < 0 || x.N > 255 || !isSize(x.Size) {
			c.fail("context word %d of %d bytes", x.N, x.Size)
		}
		c.context()
	case *CtxField:
		if x.Off < 0 || x.Off > 1<<16 || !isSize(x.Size) {
			c.fail("context field at %d of %d bytes", x.Off, x.Size)
		}
		c.context()
	case *Load:
		c.want(x.Addr, Int)
		c.memory(x.Size, x.Space)
		c.site(x.Site)
	case *Field:
		c.field(x)
	case *Exists:
		c.index("type", x.TypeID, len(c.p.Types))
		if x.Access != "" && !isAccess(x.Access) {
			c.fail("access string %q", x.Access)
		}
	case *MakeText:
		c.makeText(x)
	case *Region:
		c.region(x)
	case *Lookup:
		c.index("table", x.Table, len(c.p.Tables))
		c.want(x.X, Int)
		c.typ(x.T, Str)
	case *Seq:
		c.enclosed(x.Body)
		c.expr(x.R)
	case nil:
		c.fail("expression missing")
	default:
		c.fail("expression %T", x)
	}
}

func (c *checker) context() {
	if c.h != nil && !c.h.Kernel {
		c.fail("the loader's handlers have no context")
	}
}

func (c *checker) memory(size int, space Space) {
	if !isSize(size) || space > UserSpace {
		c.fail("access to %d bytes in address space %d", size, space)
	}
}

func (c *checker) field(x *Field) {
	c.want(x.Base, Int)
	if x.TypeID >= 0 { // else at a fixed offset
		c.index("type", x.TypeID, len(c.p.Types))
		if !isAccess(x.Access) {
			c.fail("access string %q", x.Access)
		}
	}
	if x.Off < 0 || x.Off > 1<<30 {
		c.fail("offset %d", x.Off)
	}
	if !x.AddrOnly {
		c.memory(x.Size, x.Space)
		if x.BitOff < 0 || x.BitSize < 0 || x.BitOff > 8*x.Size || x.BitSize > 8*x.Size-x.BitOff {
			c.fail("bit-field of %d bits at %d in %d bytes", x.BitSize, x.BitOff, x.Size)
		}
	}
	c.site(x.Site)
}

func (c *checker) update(x *Update) {
	k := c.lvalue(&x.L)
	switch {
	case x.Op == OpSet && (k == Int || k == Str || k == Deferred):
	case x.Op == OpConcat && k == Str:
	case x.Op >= OpAdd && x.Op <= OpShr && k == Int:
	default:
		c.fail("update of %s with operator %s", k, x.Op)
	}
	c.store(x.R, x.L.T)
	c.site(x.Site)
}

func (c *checker) binary(x *Binary) {
	a, b := c.expr(x.X), c.expr(x.Y)
	if c.err != nil {
		return
	}
	c.site(x.Site)
	if s, ok := x.Y.(*StrConst); ok && s.S == "" && a.Kind == Deferred && (x.Op == OpEq || x.Op == OpNe) {
		c.typ(x.T, Int) // whether it was never set
		return
	}
	if !sameKind(a, b) {
		c.fail("operator %s on %v and %v", x.Op, a, b)
		return
	}
	want := Int
	switch {
	case x.Op >= OpAdd && x.Op <= OpShr && a.Kind == Int:
	case x.Op == OpConcat && a.Kind == Str:
		want = Str
	case x.Op >= OpEq && x.Op <= OpGe && (a.Kind == Int || a.Kind == Str):
	case (x.Op == OpEq || x.Op == OpNe) && a.Kind == Deferred:
	default:
		c.fail("operator %s on %s", x.Op, a.Kind)
	}
	c.typ(x.T, want)
}

func (c *checker) call(x *Call) {
	c.site(x.Site)
	if len(x.Chain) == 0 {
		c.fail("call of nothing")
		return
	}
	types := make([]Type, len(x.Args))
	for i, a := range x.Args {
		types[i] = c.expr(a)
	}
	for _, id := range x.Chain {
		if c.err != nil || !c.index("function", id, len(c.p.Funcs)) {
			return
		}
		f := c.p.Funcs[id]
		if f == nil || f.Params != len(x.Args) || f.Params > len(f.Locals) {
			c.fail("%d arguments for function %d", len(x.Args), id)
			return
		}
		for i, t := range types {
			if !sameKind(t, f.Locals[i]) {
				c.fail("argument %d of %s is %v, not %v", i, f.Name, t, f.Locals[i])
			}
		}
		if !sameKind(f.Result, x.T) || f.Result.Width > x.T.Width {
			c.fail("%s yields %v, not %v", f.Name, f.Result, x.T)
		}
	}
}

func (c *checker) intrinsic(x *Intrinsic) {
	c.site(x.Site)
	if x.ID == InvalidIntrinsic || x.ID >= numIntrinsics {
		c.fail("intrinsic %d", x.ID)
		return
	}
	info := &Intrinsics[x.ID]
	if len(x.Args) != len(info.Args) {
		c.fail("%d arguments for %s", len(x.Args), info.Name)
		return
	}
	for i, a := range x.Args {
		c.want(a, info.Args[i])
	}
	c.typ(x.T, info.Result)
	switch {
	case c.h == nil: // a function may be called from either side
	case c.h.Kernel && info.Where&InKernel == 0, !c.h.Kernel && info.Where&InLoader == 0:
		c.fail("%s cannot be used here", info.Name)
	}
	switch x.ID {
	case ITargetNS, ILoadAvg:
		k, ok := x.Args[0].(*IntConst)
		if !ok || k.V < 0 || x.ID == ITargetNS && k.V > 1 || k.V > 2 {
			c.fail("argument of %s", info.Name)
		}
	case IUserWrite:
		if k, ok := x.Args[1].(*IntConst); !ok || k.V < 1 || k.V > 8 || !isSize(int(k.V)) {
			c.fail("size of %s", info.Name)
		}
	}
	if x.ID == IKsym {
		k, ok := x.Args[0].(*IntConst)
		if !ok || k.V < 0 || k.V >= int64(len(c.p.Ksyms)) {
			c.fail("kernel symbol of %s", info.Name)
		}
	}
	if x.ID == IPointInt || x.ID == IPointStr {
		k, ok := x.Args[0].(*IntConst)
		if !ok || c.h == nil || len(c.h.Points) == 0 {
			c.fail("%s cannot be used here", info.Name)
			return
		}
		for i := range c.h.Points {
			pt := &c.h.Points[i]
			n := len(pt.Ints)
			if x.ID == IPointStr {
				n = len(pt.Strs)
			}
			if k.V < 0 || k.V >= int64(n) {
				c.fail("%s %d of %d", info.Name, k.V, n)
			}
			if x.ID == IPointStr && len(pt.Strs[k.V]) >= x.T.Width && x.T.Width > 0 {
				c.fail("%s of %d bytes in %v", info.Name, len(pt.Strs[k.V]), x.T)
			}
		}
	}
	if x.ID == IKernelMem || x.ID == IUserMem {
		k, ok := x.Args[1].(*IntConst)
		if !ok || k.V < -8 || k.V > 8 || !isSize(max(int(k.V), -int(k.V))) {
			c.fail("size of %s", info.Name)
		}
	}
}

// textArgs is how many words each kind of text is made from.
var textArgs = [numTexts]int{
	TextKSym: 1, TextKSymData: 1, TextKMod: 1, TextKSymFile: 1, TextKSymLine: 1, TextTaskStack: 1, TextKSymAddr: 1, TextKSymFileLine: 1,
	TextUSym: 2, TextUSymData: 2, TextUMod: 2, TextUSymFile: 2, TextUSymLine: 2, TextUSymFileLine: 2, TextUBuildID: 2,
	TextType: 1,
}

func (c *checker) makeText(x *MakeText) {
	c.typ(x.T, Deferred)
	c.site(x.Site)
	if x.T.Text != x.Kind || x.Kind == TextNone || x.Kind >= numTexts {
		c.fail("text of kind %d with type %v", x.Kind, x.T)
		return
	}
	if x.Size < 0 || x.Size > maxPayload || x.Space > UserSpace {
		c.fail("%d bytes in address space %d", x.Size, x.Space)
	}
	if x.Head != nil {
		c.heads(x)
		return
	}
	switch x.Kind {
	case TextFormat:
		c.lazy(x)
		return
	case TextType, TextParms:
		c.index("layout", x.Layout, len(c.p.Layouts))
	}
	if words, width := PointedTexts(x.Flags); len(x.Pointers) > 0 &&
		(x.Kind != TextType || x.Immediate || x.Size > 8*words || width == 0 || 8*width > MaxPointedText || x.PointerSize != 4 && x.PointerSize != 8 ||
			slices.ContainsFunc(x.Pointers, func(at int) bool { return at < 0 || at > x.Size-x.PointerSize })) {
		c.fail("texts of %d words at %d, in an object of %d bytes and %d words", width, x.Pointers, x.Size, words)
	}
	want := textArgs[x.Kind]
	if x.Kind == TextType && x.Immediate {
		want = min(max(len(x.Args), 1), MaxImmediate)
	}
	if _, stack := x.Kind.IsStack(); !stack && x.Kind != TextParms && len(x.Args) != want {
		c.fail("%d words for text of kind %d", len(x.Args), x.Kind)
	}
	for _, a := range x.Args {
		c.want(a, Int)
	}
}

// heads checks text whose first word differs between points: as if each had its own.
func (c *checker) heads(x *MakeText) {
	in, ok := x.Head.(*Intrinsic)
	if !ok || in.ID != IPointInt || len(in.Args) != 1 {
		c.fail("the first word of a text is %T", x.Head)
		return
	}
	c.expr(in)
	k, ok := in.Args[0].(*IntConst)
	if !ok || c.h == nil {
		return // said
	}
	for i := range c.h.Points {
		pt := &c.h.Points[i]
		if k.V < 0 || k.V >= int64(len(pt.Ints)) {
			return // said
		}
		one := x.At(pt.Ints[k.V])
		c.makeText(&one)
	}
}

// At is the text with a constant first word.
func (x *MakeText) At(head int64) MakeText {
	one := *x
	one.Head = nil
	lo, hi := int(uint32(head)), uint32(head>>32)
	switch x.Kind {
	case TextFormat:
		one.Format, one.Tag = lo, Lazy(hi)
	case TextType:
		one.Layout, one.Flags = lo, hi
	default:
		one.Layout = int(head)
	}
	return one
}

// FirstWord is the constant first word of the payload of a TextType, TextParms or
// TextFormat.
func (x *MakeText) FirstWord() int64 {
	switch x.Kind {
	case TextFormat:
		return int64(x.Format) | int64(x.Tag)<<32
	case TextType:
		return int64(x.Layout) | int64(x.Flags)<<32
	}
	return int64(x.Layout)
}

// lazy checks text that was left to the loader.
func (c *checker) lazy(x *MakeText) {
	switch x.Tag {
	case LazyNone:
		if len(x.Args) != 0 {
			c.fail("no text of %d arguments", len(x.Args))
		}
	case LazyFormat:
		c.args(x.Format, x.Args)
	case LazyPlain:
		if len(x.Args) != 1 {
			c.fail("plain text of %d arguments", len(x.Args))
			return
		}
		c.want(x.Args[0], Str)
	case LazyTable:
		if c.index("table", x.Format, len(c.p.Tables)); len(x.Args) != 1 {
			c.fail("a table look-up of %d arguments", len(x.Args))
			return
		}
		c.want(x.Args[0], Int)
	case LazyCall:
		if !c.index("function", x.Format, len(c.p.Funcs)) {
			return
		}
		f := c.p.Funcs[x.Format]
		if f == nil || f.Result.Kind != Str || f.Params != len(x.Args) || len(f.Locals) < f.Params {
			c.fail("deferred call of function %d", x.Format)
			return
		}
		for i, a := range x.Args {
			if k := f.Locals[i].Kind; k != Str || a.Type().Kind != Deferred {
				c.want(a, k)
			} else {
				c.expr(a) // the loader makes the text before the call
			}
		}
	default:
		c.fail("lazy text of kind %d", x.Tag)
	}
}

func (c *checker) region(x *Region) {
	if c.h != nil && c.h.Kernel {
		c.fail("region in a kernel handler")
	}
	if len(c.p.Regions) > 0 && c.index("region", x.ID, len(c.p.Regions)) {
		r := c.p.Regions[x.ID]
		if r == nil {
			return
		}
		for _, p := range r.Params {
			if p.Local < 0 || p.Local >= len(c.locals) || p.Local >= len(r.Locals) || r.Locals[p.Local] != c.locals[p.Local] {
				c.fail("parameter %d of region %d is no local here", p.Local, x.ID)
			}
		}
		if x.T.Kind != Void && (r.Result == nil || !sameKind(r.Result.Type(), x.T)) {
			c.fail("region %d yields nothing that fits", x.ID)
		}
	}
	c.enclosed(x.Body)
	switch {
	case x.Result != nil && x.T.Kind == Void:
		c.expr(x.Result)
	case x.Result != nil:
		c.store(x.Result, x.T)
	case x.T.Kind != Void:
		c.fail("region without result")
	}
}
