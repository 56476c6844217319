// Package irgen makes random well-typed programs of stapkit/ir, runs them on
// the interpreter, and makes failing ones smaller. Tests compare executions
// and encoders with it; no product links it.
package irgen

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"stapkit/format"
	"stapkit/ir"
)

// Feature is a part of the language that programs may use.
type Feature uint32

// The features. Numbers, locals, scalars, if and print of numbers are always in.
const (
	Strings Feature = 1 << iota
	Arrays
	Wrap     // arrays that evict; needs Arrays
	Slices   // wildcards in in and delete
	Foreach  // loops over arrays
	Loops    // while
	Funcs    // functions, overload chains
	Recurse  // recursive functions
	Try      // try and catch, error()
	Stats    // aggregates with count, sum, min, max, avg
	Variance // of aggregates
	Hists    // histograms, printed and indexed
	Sprintf
	Regexps
	Tables
	Context   // words of the context (kernel handlers)
	Output    // %s, widths and other conversions in print
	Exits     // exit(), warn(), next, return
	SmallLims // limits so small that MAXACTION and array limits are met often
	numFeatures

	All = numFeatures - 1
)

// Options says what programs to make.
type Options struct {
	Features Feature
	// Kernel makes kernel handlers in a raw tracepoint's context, otherwise
	// handlers of the loader.
	Kernel bool
	// Size is about how many statements there are; 0 means 12.
	Size int
	// StringLen is Limits.MaxStringLen; 0 means 64.
	StringLen int
}

// source is where decisions come from.
type source interface {
	// intN returns a number from 0 to n-1.
	intN(n int) int
}

type randSource struct{ *rand.Rand }

func (r randSource) intN(n int) int { return r.IntN(n) }

// byteSource takes decisions from bytes, for native fuzzing. Behind the last
// byte all decisions are 0.
type byteSource struct{ b []byte }

func (s *byteSource) intN(n int) int {
	v := 0
	for m := n; m > 1; m >>= 8 {
		v <<= 8
		if len(s.b) > 0 {
			v |= int(s.b[0])
			s.b = s.b[1:]
		}
	}
	return v % n
}

// New makes the program of a seed. The same seed and options always make the
// same program. All strings are StringLen wide, all locks -1: package plan may
// be applied to it. It passes ir.Check.
func New(seed uint64, o Options) *ir.Program {
	return generate(randSource{rand.New(rand.NewPCG(seed, 0x5eed))}, o)
}

// FromBytes makes a program by the decisions in b.
func FromBytes(b []byte, o Options) *ir.Program { return generate(&byteSource{b}, o) }

type gen struct {
	source
	o   Options
	p   *ir.Program
	str ir.Type // the type of all strings

	locals []ir.Type
	fixed  map[int]bool // locals that may not be assigned to: loop variables
	loops  int
	fn     *ir.Func
	budget int                    // statements left
	nodes  int                    // expressions left in this statement
	busy   map[int]int            // arrays in a foreach: not to be changed
	used   map[string][][]ir.Expr // keys of arrays in this frame, by their types
	inSeq  bool
	callee int // functions with a lower index may be called
	depth  int
}

func generate(s source, o Options) *ir.Program {
	if o.Size == 0 {
		o.Size = 12
	}
	if o.StringLen == 0 {
		o.StringLen = 64
	}
	g := &gen{source: s, o: o, p: &ir.Program{Name: "gen", Limits: ir.DefaultLimits()}, busy: map[int]int{}}
	g.p.Limits.MaxStringLen = o.StringLen
	g.str = ir.TStr(o.StringLen - 1)
	g.p.Limits.MaxAction, g.p.Limits.MaxActionInterruptible = 1000, 10000
	if g.has(SmallLims) && g.one(3) {
		g.p.Limits.MaxAction = 10 + g.intN(60)
		g.p.Limits.MaxActionInterruptible = g.p.Limits.MaxAction
		g.p.Limits.MaxNesting = g.intN(5)
	}
	g.p.Sites = append(g.p.Sites, ir.Site{File: "gen.stp", Line: 1, Col: 1})
	g.globals()
	g.tables()
	if g.has(Funcs) {
		for range g.intN(4) {
			g.function()
		}
	}
	g.callee = len(g.p.Funcs)
	for i := range 1 + g.intN(2) {
		g.handler(i)
	}
	return g.p
}

func (g *gen) has(f Feature) bool { return g.o.Features&f != 0 }

// one reports true once in n times.
func (g *gen) one(n int) bool { return g.intN(n) == n-1 }

func (g *gen) site() int {
	n := len(g.p.Sites)
	g.p.Sites = append(g.p.Sites, ir.Site{File: "gen.stp", Line: 1 + n/100, Col: 1 + n%100, Token: "identifier 'x'"})
	return n
}

func (g *gen) globals() {
	add := func(d ir.Global) {
		d.Name = fmt.Sprintf("g%d", len(g.p.Globals))
		d.Lock = -1
		if g.o.Kernel {
			d.Share = ir.SharedBoth
		}
		if d.IsArray() {
			d.MaxEntries = 64
			if g.has(SmallLims) && g.one(3) {
				d.MaxEntries = 1 + g.intN(5)
			}
			d.Wrap = g.has(Wrap) && g.one(3)
			d.Ordered = d.Wrap || g.has(Foreach)
		} else {
			for i := range g.p.Globals {
				if o := &g.p.Globals[i]; !o.IsArray() && o.Value.Kind == d.Value.Kind {
					d.Slot++
				}
			}
		}
		g.p.Globals = append(g.p.Globals, d)
	}
	for range 1 + g.intN(3) {
		add(ir.Global{Value: ir.TInt, InitInt: g.number()})
	}
	if g.has(Strings) {
		for range 1 + g.intN(2) {
			add(ir.Global{Value: g.str, InitStr: g.text()})
		}
	}
	if g.has(Arrays) {
		for range 1 + g.intN(3) {
			d := ir.Global{Value: ir.TInt, Keys: g.keyTypes()}
			if g.has(Strings) && g.one(3) {
				d.Value = g.str
			}
			add(d)
		}
	}
	if g.has(Stats) {
		for range 1 + g.intN(2) {
			d := ir.Global{Value: ir.TStat, Stat: ir.StatShape{Sum: true, Min: true, Max: true}}
			d.Stat.Variance = g.has(Variance)
			if g.has(Variance) && g.one(2) {
				d.Stat.VarShift = g.intN(8)
			}
			if g.has(Hists) {
				d.Stat.Hist = ir.HistLog
				if g.one(2) {
					d.Stat.Hist = ir.HistLinear
					d.Stat.Low = int64(g.intN(20) - 10)
					d.Stat.Step = int64(1 + g.intN(9))
					d.Stat.High = d.Stat.Low + int64(g.intN(90))
				}
			}
			if g.has(Arrays) && g.one(2) {
				d.Keys = g.keyTypes()
			}
			add(d)
		}
	}
}

func (g *gen) keyTypes() []ir.Type {
	keys := make([]ir.Type, 1+g.intN(3))
	for i := range keys {
		keys[i] = ir.TInt
		if g.has(Strings) && g.one(2) {
			keys[i] = g.str
		}
	}
	return keys
}

func (g *gen) tables() {
	if g.has(Tables) {
		g.p.Tables = []ir.Table{
			{Name: "enum", Entries: []ir.TableEntry{{Value: -1, Name: "NEG"}, {Value: 0, Name: "ZERO"}, {Value: 1, Name: "ONE"}, {Value: 5, Name: "FIVE"}}, Default: "?%d"},
			{Name: "flags", Kind: ir.TableFlags, Entries: []ir.TableEntry{{Value: 1, Name: "R"}, {Value: 2, Name: "W"}, {Value: 3, Name: "RW"}, {Value: 8, Name: "X"}, {Value: 24, Name: "XY"}}, Default: "%#x"},
			{Name: "none", Entries: []ir.TableEntry{{Value: math.MaxInt64, Name: "MAX"}}},
		}
	}
	if g.has(Regexps) {
		for _, s := range []string{"a", "^b", "c$", "[a-c]+x?", "(a|bc)*d", "^$", ".b.", "[^a-z]", "(a*)(b|c)+", "(x|(ab?))*(.)$"} {
			g.p.Regexps = append(g.p.Regexps, ir.Regexp{Pattern: s})
		}
	}
}

// fresh prepares for the body of a handler or function.
func (g *gen) fresh() {
	g.locals = []ir.Type{ir.TInt, ir.TInt, ir.TInt}
	if g.has(Strings) {
		g.locals = append(g.locals, g.str, g.str)
	}
	g.fixed = map[int]bool{}
	g.used = map[string][][]ir.Expr{}
	g.loops, g.inSeq, g.fn = 0, false, nil
}

func (g *gen) local(t ir.Type) int {
	g.locals = append(g.locals, t)
	return len(g.locals) - 1
}

func (g *gen) function() {
	g.fresh()
	f := &ir.Func{Name: fmt.Sprintf("f%d", len(g.p.Funcs)), Result: ir.TInt, Site: g.site()}
	g.callee = len(g.p.Funcs)
	f.Params = g.intN(3)
	for i := range f.Params {
		if g.locals[i] = ir.TInt; g.has(Strings) && g.one(3) {
			g.locals[i] = g.str
		}
	}
	g.locals = append(g.locals, ir.TInt)
	switch {
	case g.has(Strings) && g.one(3):
		f.Result = g.str
	case g.one(6):
		f.Result = ir.TVoid
	}
	g.fn = f
	g.p.Funcs = append(g.p.Funcs, f)
	if g.has(Recurse) && g.one(2) && f.Result.Kind == ir.Int {
		// f(n, …) { if (n <= 0) return …; … f(n-1, …) … }
		f.Recursive = true
		if f.Params == 0 {
			f.Params = 1
		}
		g.locals[0] = ir.TInt
		g.fixed[0] = true
		n := &ir.Local{ID: 0, T: ir.TInt}
		args := []ir.Expr{&ir.Binary{Op: ir.OpSub, X: n, Y: &ir.IntConst{V: 1}, T: ir.TInt, Site: g.site()}}
		g.budget = 2
		f.Body = append(f.Body, &ir.If{C: &ir.Binary{Op: ir.OpLe, X: n, Y: &ir.IntConst{}, T: ir.TInt, Site: g.site()},
			Then: []ir.Stmt{&ir.Return{X: g.intExpr(1)}}})
		f.Body = append(f.Body, g.stmts()...)
		for i := 1; i < f.Params; i++ {
			args = append(args, g.expr(g.locals[i], 1))
		}
		f.Body = append(f.Body, &ir.Return{X: &ir.Binary{Op: ir.OpAdd, X: g.intExpr(1), T: ir.TInt, Site: g.site(),
			Y: &ir.Call{Chain: []int{g.callee}, Args: args, T: ir.TInt, Site: g.site()}}})
	} else {
		g.budget = 1 + g.intN(4)
		f.Body = g.stmts()
		if f.Result.Kind != ir.Void && !g.one(5) {
			f.Body = append(f.Body, &ir.Return{X: g.expr(f.Result, 2)})
		}
	}
	f.Locals = g.locals
}

func (g *gen) handler(i int) {
	g.fresh()
	h := &ir.Handler{Name: fmt.Sprintf("p%d", i), Probe: i, MaxActions: g.p.Limits.MaxActionInterruptible}
	row := ir.Probe{Point: "begin", Script: "begin", Name: "begin", Kind: "begin", Family: ir.FamBegin}
	at := ir.Attach{Carrier: "loader", Handler: i}
	if g.o.Kernel {
		h.Kernel, h.Ctx, h.MaxActions = true, ir.CtxRawTP, g.p.Limits.MaxAction
		row = ir.Probe{Point: `kernel.trace("t")`, Script: `kernel.trace("t")`, Name: "kernel.trace", Kind: "kernel.trace", Family: ir.FamTracepoint}
		at = ir.Attach{Carrier: "raw_tp", Handler: i, Target: "t"}
	}
	row.Attach = []ir.Attach{at}
	g.p.Probes = append(g.p.Probes, row)
	g.budget = g.o.Size
	if g.one(6) {
		h.Cond = g.intExpr(2)
	}
	h.Body = g.stmts()
	// Show what there is, so that differences come to light.
	for id, t := range g.locals {
		h.Body = append(h.Body, g.show(&ir.Local{ID: id, T: t}))
	}
	h.Locals = g.locals
	g.p.Handlers = append(g.p.Handlers, h)
}

// show prints a value.
func (g *gen) show(x ir.Expr) ir.Stmt {
	text := "%d\n"
	if x.Type().Kind == ir.Str {
		text = "<%s>\n"
	}
	return &ir.Print{Format: g.format(text, x.Type()), Args: []ir.Expr{x}, Site: g.site()}
}

func (g *gen) format(text string, types ...ir.Type) int {
	for i := range g.p.Formats {
		f := &g.p.Formats[i]
		if f.Text == text && fmt.Sprint(f.Args) == fmt.Sprint(types) {
			return i
		}
	}
	parsed, err := format.Parse(text)
	if err != nil {
		panic(fmt.Sprintf("irgen: format %q: %v", text, err))
	}
	g.p.Formats = append(g.p.Formats, ir.Format{Text: text, Parsed: parsed, Args: types})
	return len(g.p.Formats) - 1
}

// stmts makes a list of statements with their Tick.
func (g *gen) stmts() []ir.Stmt {
	var list []ir.Stmt
	g.depth++
	n := 1 + g.intN(4)
	if g.depth == 1 {
		n = g.budget
	}
	ticks := 0
	for range n {
		if g.budget <= 0 {
			break
		}
		g.budget--
		g.nodes = 14
		s := g.stmt()
		list = append(list, s)
		switch s.(type) {
		case *ir.Break, *ir.Continue, *ir.Next, *ir.Return:
			n = 0
		}
		ticks++
		if n == 0 {
			break
		}
	}
	g.depth--
	if ticks > 0 {
		// In front, so that loops count whatever leaves them.
		list = append([]ir.Stmt{&ir.Tick{N: ticks, Site: g.site()}}, list...)
	}
	return list
}

// some makes a nested list of statements, never empty in effect on the budget.
func (g *gen) some() []ir.Stmt {
	if g.depth > 4 {
		return []ir.Stmt{&ir.Tick{N: 1, Site: g.site()}}
	}
	list := g.stmts()
	if len(list) == 0 {
		list = []ir.Stmt{&ir.Tick{N: 1, Site: g.site()}}
	}
	return list
}

func (g *gen) stmt() ir.Stmt {
	for {
		switch g.intN(20) {
		case 0, 1, 2:
			return &ir.Eval{X: g.update(g.pickType(), 3)}
		case 3, 4:
			return g.print()
		case 5, 6:
			s := &ir.If{C: g.intExpr(2), Then: g.some()}
			if g.one(2) {
				s.Else = g.some()
			}
			return s
		case 7:
			if g.has(Loops) {
				return g.while()
			}
		case 8:
			if g.has(Foreach) {
				if s := g.foreach(); s != nil {
					return s
				}
			}
		case 9:
			if g.has(Try) {
				s := &ir.Try{Body: g.some(), Catch: g.some(), Var: -1}
				if id := g.strLocal(); id >= 0 && g.one(2) {
					s.Var = id
				}
				return s
			}
		case 10:
			if s := g.delete(); s != nil {
				return s
			}
		case 11, 12:
			if l, ok := g.statLValue(2); ok && g.busy[l.ID] == 0 {
				return &ir.Eval{X: &ir.StatAdd{L: l, V: g.intExpr(2), Site: g.site()}}
			}
		case 13:
			if l, ok := g.statLValue(2); ok && g.p.Globals[l.ID].Stat.Hist != ir.HistNone {
				if g.has(Foreach) && g.one(3) {
					return &ir.If{C: g.count(l), Then: []ir.Stmt{g.foreachHist(l)}}
				}
				if g.one(6) {
					return &ir.PrintHist{L: l, Site: g.site()}
				}
				return &ir.If{C: g.count(l), Then: []ir.Stmt{&ir.PrintHist{L: l, Site: g.site()}}}
			}
		case 14:
			if s := g.way(); s != nil {
				return s
			}
		case 15:
			if g.has(Try) && g.has(Strings) && g.one(5) {
				return &ir.Eval{X: &ir.Intrinsic{ID: ir.IError, Args: []ir.Expr{g.strExpr(1)}, Site: g.site()}}
			}
		case 16:
			if x := g.call(ir.TVoid, 2); x != nil {
				return &ir.Eval{X: x}
			}
		default:
			return &ir.Eval{X: g.update(g.pickType(), 2)}
		}
	}
}

// way makes a statement that leaves something, or that the world sees.
func (g *gen) way() ir.Stmt {
	switch g.intN(6) {
	case 0:
		if g.loops > 0 {
			return &ir.Break{}
		}
	case 1:
		if g.loops > 0 {
			return &ir.Continue{}
		}
	case 2:
		if g.has(Exits) && !g.inSeq {
			return &ir.Next{} // in a function often "all functions exhausted"
		}
	case 3:
		if g.has(Exits) && !g.inSeq && g.fn != nil {
			if g.fn.Result.Kind == ir.Void {
				return &ir.Return{}
			}
			return &ir.Return{X: g.expr(g.fn.Result, 2)}
		}
	case 4:
		if g.has(Exits) {
			return &ir.Eval{X: &ir.Intrinsic{ID: ir.IExit, Site: g.site()}}
		}
	case 5:
		if g.has(Exits) && g.has(Strings) {
			return &ir.Eval{X: &ir.Intrinsic{ID: ir.IWarn, Args: []ir.Expr{g.strExpr(1)}, Site: g.site()}}
		}
	}
	return nil
}

func (g *gen) while() ir.Stmt {
	id := g.local(ir.TInt)
	g.fixed[id] = true
	l := ir.LValue{ID: id, T: ir.TInt}
	i := &ir.Local{ID: id, T: ir.TInt}
	s := &ir.While{
		C:    &ir.Binary{Op: ir.OpLt, X: i, Y: &ir.IntConst{V: int64(g.intN(8))}, T: ir.TInt, Site: g.site()},
		Post: []ir.Stmt{&ir.Eval{X: &ir.Update{L: l, Op: ir.OpAdd, R: &ir.IntConst{V: 1}, Old: g.one(2), Site: g.site()}}},
	}
	g.loops++
	s.Body = g.some()
	g.loops--
	return s
}

func (g *gen) foreach() ir.Stmt {
	id, ok := g.array(func(d *ir.Global) bool { return true })
	if !ok {
		return nil
	}
	d := &g.p.Globals[id]
	s := &ir.Foreach{G: id, Value: -1, Site: g.site()}
	for _, t := range d.Keys {
		if g.one(5) {
			s.Keys = append(s.Keys, -1)
			continue
		}
		v := g.local(t)
		g.fixed[v] = true
		s.Keys = append(s.Keys, v)
	}
	if d.Value.Kind != ir.Stat && g.one(2) {
		s.Value = g.local(d.Value)
		g.fixed[s.Value] = true
	}
	if g.one(2) {
		s.Sort = ir.Sort{By: g.intN(len(d.Keys)+2) - 1, Desc: g.one(2)}
		if s.Sort.By == -1 && d.Value.Kind == ir.Stat {
			s.Sort.Fn = ir.StatFn(g.intN(int(ir.StatAvg) + 1))
		}
		if s.Sort.By == 0 {
			s.Sort.Desc = false
		}
	}
	if g.has(Slices) && g.one(4) {
		for _, t := range d.Keys {
			if g.one(2) {
				s.Slice = append(s.Slice, nil)
			} else {
				s.Slice = append(s.Slice, g.expr(t, 1))
			}
		}
	}
	if g.one(4) {
		s.Limit = &ir.IntConst{V: int64(g.intN(6) - 1)}
	}
	g.busy[id]++
	g.loops++
	s.Body = g.some()
	g.loops--
	g.busy[id]--
	return s
}

func (g *gen) foreachHist(l ir.LValue) ir.Stmt {
	s := &ir.ForeachHist{L: l, Key: g.local(ir.TInt), Value: -1, Site: g.site()}
	g.fixed[s.Key] = true
	if g.one(2) {
		s.Value = g.local(ir.TInt)
		g.fixed[s.Value] = true
	}
	if g.one(2) {
		s.Sort = ir.Sort{By: g.intN(3) - 1, Desc: g.one(2)}
	}
	s.Limit = &ir.IntConst{V: int64(g.intN(8))}
	g.busy[l.ID]++
	g.loops++
	s.Body = g.some()
	g.loops--
	g.busy[l.ID]--
	return s
}

func (g *gen) delete() ir.Stmt {
	s := &ir.Delete{Site: g.site()}
	if g.one(3) {
		id := g.intN(len(g.locals))
		if g.fixed[id] {
			return nil
		}
		s.L = ir.LValue{ID: id, T: g.locals[id]}
		return s
	}
	id := g.intN(len(g.p.Globals))
	d := &g.p.Globals[id]
	if g.busy[id] > 0 {
		return nil
	}
	s.L = ir.LValue{Global: true, ID: id, T: d.Value}
	if d.IsArray() && !g.one(4) {
		s.L.Keys = g.keys(d, 1)
		if g.has(Slices) && g.one(3) {
			s.L.Keys[g.intN(len(s.L.Keys))] = nil
		}
	}
	return s
}

func (g *gen) print() ir.Stmt {
	if !g.has(Output) {
		return g.show(g.intExpr(2))
	}
	text := ""
	var types []ir.Type
	for range 1 + g.intN(3) {
		text += []string{"", " ", "a", "%%", "\\n"}[g.intN(5)]
		if g.has(Strings) && g.one(2) {
			text += []string{"%s", "%5s", "%-5s", "%.2s", "%8.3s"}[g.intN(5)]
			types = append(types, g.str)
		} else {
			text += []string{"%d", "%5d", "%-5d", "%05d", "%x", "%#x", "%u", "%o", "%c", "%+d", "%.3d", "%p"}[g.intN(12)]
			types = append(types, ir.TInt)
		}
	}
	s := &ir.Print{Format: g.format(text+"\\n", types...), Site: g.site()}
	for _, t := range types {
		s.Args = append(s.Args, g.expr(t, 2))
	}
	return s
}

func (g *gen) pickType() ir.Type {
	if g.has(Strings) && g.one(3) {
		return g.str
	}
	return ir.TInt
}

// array picks an array that satisfies want.
func (g *gen) array(want func(*ir.Global) bool) (int, bool) {
	return g.global(func(d *ir.Global) bool { return d.IsArray() && want(d) })
}

func (g *gen) global(want func(*ir.Global) bool) (int, bool) {
	var ids []int
	for i := range g.p.Globals {
		if want(&g.p.Globals[i]) {
			ids = append(ids, i)
		}
	}
	if len(ids) == 0 {
		return 0, false
	}
	return ids[g.intN(len(ids))], true
}

func (g *gen) strLocal() int {
	var ids []int
	for i, t := range g.locals {
		if t.Kind == ir.Str && !g.fixed[i] {
			ids = append(ids, i)
		}
	}
	if len(ids) == 0 {
		return -1
	}
	return ids[g.intN(len(ids))]
}

// lvalue makes something of type t that can be assigned to.
func (g *gen) lvalue(t ir.Type, depth int) ir.LValue {
	if g.one(2) {
		if id, ok := g.global(func(d *ir.Global) bool { return d.Value == t }); ok && g.busy[id] == 0 {
			return ir.LValue{Global: true, ID: id, Keys: g.keys(&g.p.Globals[id], depth-1), T: t}
		}
	}
	var ids []int
	for i, lt := range g.locals {
		if lt == t && !g.fixed[i] {
			ids = append(ids, i)
		}
	}
	if len(ids) == 0 {
		ids = append(ids, g.local(t))
	}
	return ir.LValue{ID: ids[g.intN(len(ids))], T: t}
}

func (g *gen) statLValue(depth int) (ir.LValue, bool) {
	id, ok := g.global(func(d *ir.Global) bool { return d.Value.Kind == ir.Stat })
	if !ok {
		return ir.LValue{}, false
	}
	return ir.LValue{Global: true, ID: id, Keys: g.keys(&g.p.Globals[id], depth-1), T: ir.TStat}, true
}

func (g *gen) keys(d *ir.Global, depth int) []ir.Expr {
	// Often those of before, which compilers make once only.
	types := fmt.Sprint(d.Keys)
	if old := g.used[types]; len(old) > 0 && g.one(2) {
		var keys []ir.Expr
		for _, k := range old[g.intN(len(old))] {
			keys = append(keys, ir.CloneExpr(k))
		}
		return keys
	}
	keys := g.newKeys(d, depth)
	if !slices.ContainsFunc(keys, costly) {
		g.used[types] = append(g.used[types], slices.Clone(keys))
	}
	return keys
}

// costly reports whether an expression is not to be written down twice: it calls
// functions, or has statements.
func costly(e ir.Expr) bool {
	n, bad := 0, false
	ir.WalkExpr(e, func(ir.Stmt) { bad = true }, func(x ir.Expr) {
		n++
		if _, ok := x.(*ir.Call); ok {
			bad = true
		}
	})
	return bad || n > 6
}

func (g *gen) newKeys(d *ir.Global, depth int) []ir.Expr {
	var keys []ir.Expr
	for _, t := range d.Keys {
		if g.one(3) {
			// What does not change by itself.
			var ids []int
			for i, lt := range g.locals {
				if lt == t {
					ids = append(ids, i)
				}
			}
			switch k := g.intN(3); {
			case k == 0 && t.Kind == ir.Int && g.has(Context) && g.o.Kernel && g.fn == nil:
				keys = append(keys, &ir.CtxArg{N: g.intN(4), Size: 8})
				continue
			case k > 0 && len(ids) > 0:
				keys = append(keys, &ir.Local{ID: ids[g.intN(len(ids))], T: t})
				continue
			}
		}
		if t.Kind == ir.Int && !g.one(3) {
			// Few different keys, so that they meet.
			keys = append(keys, &ir.Binary{Op: ir.OpAnd, X: g.intExpr(depth - 1), Y: &ir.IntConst{V: 3}, T: ir.TInt, Site: g.site()})
			continue
		}
		keys = append(keys, g.expr(t, depth-1))
	}
	return keys
}

func (g *gen) update(t ir.Type, depth int) ir.Expr {
	u := &ir.Update{L: g.lvalue(t, depth), Old: g.one(4), Site: g.site()}
	switch {
	case g.one(2):
	case t.Kind == ir.Str:
		u.Op = ir.OpConcat
	default:
		u.Op = []ir.Op{ir.OpAdd, ir.OpAdd, ir.OpSub, ir.OpMul, ir.OpDiv, ir.OpMod, ir.OpAnd, ir.OpOr, ir.OpXor, ir.OpShl, ir.OpShr}[g.intN(11)]
	}
	u.R = g.expr(t, depth-1)
	if (u.Op == ir.OpDiv || u.Op == ir.OpMod) && !g.one(5) {
		u.R = g.odd(u.R)
	}
	return u
}

// odd makes of x a number that is not 0.
func (g *gen) odd(x ir.Expr) ir.Expr {
	return &ir.Binary{Op: ir.OpOr, X: x, Y: &ir.IntConst{V: 1}, T: ir.TInt, Site: g.site()}
}

// count is @count(l). The keys are evaluated once more by what follows and may
// then be others, which is as good.
func (g *gen) count(l ir.LValue) ir.Expr {
	keys := l.Keys
	l.Keys = nil
	for _, k := range keys {
		l.Keys = append(l.Keys, ir.CloneExpr(k))
	}
	return &ir.StatGet{L: l, Fn: ir.StatCount, Site: g.site()}
}

func (g *gen) expr(t ir.Type, depth int) ir.Expr {
	if t.Kind == ir.Str {
		return g.strExpr(depth)
	}
	return g.intExpr(depth)
}

func (g *gen) number() int64 {
	switch g.intN(8) {
	case 0:
		return 0
	case 1:
		return -1
	case 2:
		return math.MaxInt64
	case 3:
		return math.MinInt64
	case 4:
		return int64(g.intN(1<<16))<<16 | int64(g.intN(1<<16))
	}
	return int64(g.intN(20) - 6)
}

func (g *gen) text() string {
	n := g.intN(6)
	if g.one(8) {
		n = g.intN(g.o.StringLen)
	}
	b := make([]byte, n)
	for i := range b {
		b[i] = "abcdx \xc3\xa9"[g.intN(8)]
	}
	return string(b)
}

// leaf decides whether an expression shall be a leaf.
func (g *gen) leaf(depth int) bool {
	g.nodes--
	return depth <= 0 || g.nodes <= 0 || g.one(4)
}

func (g *gen) intLeaf() ir.Expr {
	switch g.intN(3) {
	case 0:
		return &ir.IntConst{V: g.number()}
	case 1:
		if id, ok := g.global(func(d *ir.Global) bool { return !d.IsArray() && d.Value.Kind == ir.Int }); ok {
			return &ir.GlobalGet{G: id, T: ir.TInt}
		}
	}
	var ids []int
	for i, t := range g.locals {
		if t.Kind == ir.Int {
			ids = append(ids, i)
		}
	}
	return &ir.Local{ID: ids[g.intN(len(ids))], T: ir.TInt}
}

func (g *gen) intExpr(depth int) ir.Expr {
	if g.leaf(depth) {
		return g.intLeaf()
	}
	for {
		switch g.intN(20) {
		case 0, 1, 2:
			op := []ir.Op{ir.OpAdd, ir.OpSub, ir.OpMul, ir.OpDiv, ir.OpMod, ir.OpAnd, ir.OpOr, ir.OpXor, ir.OpShl, ir.OpShr}[g.intN(10)]
			x := &ir.Binary{Op: op, X: g.intExpr(depth - 1), Y: g.intExpr(depth - 1), T: ir.TInt, Site: g.site()}
			if (op == ir.OpDiv || op == ir.OpMod) && !g.one(5) {
				x.Y = g.odd(x.Y)
			}
			return x
		case 3, 4:
			op := ir.OpEq + ir.Op(g.intN(6))
			if g.has(Strings) && g.one(3) {
				return &ir.Binary{Op: op, X: g.strExpr(depth - 1), Y: g.strExpr(depth - 1), T: ir.TInt, Site: g.site()}
			}
			return &ir.Binary{Op: op, X: g.intExpr(depth - 1), Y: g.intExpr(depth - 1), T: ir.TInt, Site: g.site()}
		case 5:
			return &ir.Unary{Op: ir.OpNeg + ir.Op(g.intN(3)), X: g.intExpr(depth - 1)}
		case 6:
			return &ir.Logical{And: g.one(2), X: g.intExpr(depth - 1), Y: g.intExpr(depth - 1)}
		case 7:
			return &ir.Cond{C: g.intExpr(depth - 1), X: g.intExpr(depth - 1), Y: g.intExpr(depth - 1), T: ir.TInt}
		case 8:
			return g.update(ir.TInt, depth-1)
		case 9, 10:
			if id, ok := g.array(func(d *ir.Global) bool { return d.Value.Kind == ir.Int }); ok {
				return &ir.IndexGet{G: id, Keys: g.keys(&g.p.Globals[id], depth-1), T: ir.TInt}
			}
		case 11:
			if id, ok := g.array(func(*ir.Global) bool { return true }); ok {
				x := &ir.IndexIn{G: id, Keys: g.keys(&g.p.Globals[id], depth-1)}
				if g.has(Slices) && g.one(3) {
					x.Keys[g.intN(len(x.Keys))] = nil
				}
				return x
			}
		case 12, 13:
			if l, ok := g.statLValue(depth - 1); ok {
				fn := ir.StatFn(g.intN(5))
				if g.has(Variance) && g.one(4) {
					fn = ir.StatVariance
				}
				x := &ir.StatGet{L: l, Fn: fn, Site: g.site()}
				if fn == ir.StatCount || fn == ir.StatSum || g.one(6) {
					return x
				}
				// Mostly asked of aggregates that hold something.
				return &ir.Cond{C: g.count(l), X: x, Y: &ir.IntConst{V: -1}, T: ir.TInt}
			}
		case 14:
			if l, ok := g.statLValue(depth - 1); ok && g.has(Hists) {
				x := &ir.HistGet{L: l, Bucket: g.intExpr(depth - 1), Site: g.site()}
				if g.one(6) {
					return x
				}
				x.Bucket = &ir.Binary{Op: ir.OpAnd, X: x.Bucket, Y: &ir.IntConst{V: 127}, T: ir.TInt, Site: g.site()}
				return &ir.Cond{C: g.count(l), X: x, Y: &ir.IntConst{V: -1}, T: ir.TInt}
			}
		case 15:
			if x := g.call(ir.TInt, depth-1); x != nil {
				return x
			}
		case 16:
			if g.has(Strings) {
				if g.one(2) {
					return &ir.Intrinsic{ID: ir.IStrLen, Args: []ir.Expr{g.strExpr(depth - 1)}, T: ir.TInt, Site: g.site()}
				}
				return &ir.Intrinsic{ID: ir.IStrByte, Args: []ir.Expr{g.strExpr(depth - 1), g.intExpr(depth - 1)}, T: ir.TInt, Site: g.site()}
			}
		case 17:
			if g.has(Strings) && g.has(Regexps) {
				return &ir.Match{X: g.strExpr(depth - 1), Re: g.intN(len(g.p.Regexps)), Negate: g.one(2), Site: g.site()}
			}
		case 18:
			if g.has(Context) && g.o.Kernel && g.fn == nil {
				return &ir.CtxArg{N: g.intN(4), Size: 1 << g.intN(4), Signed: g.one(2)}
			}
		case 19:
			if g.depth < 4 && g.one(3) {
				return &ir.Seq{Body: g.enclosed(), R: g.intExpr(depth - 1)}
			}
		}
	}
}

// enclosed makes statements that do not leave what they stand in.
func (g *gen) enclosed() []ir.Stmt {
	loops, inSeq := g.loops, g.inSeq
	g.loops, g.inSeq = 0, true
	g.budget++
	nodes := g.nodes
	list := g.some()
	g.nodes = nodes
	g.loops, g.inSeq = loops, inSeq
	return list
}

func (g *gen) strExpr(depth int) ir.Expr {
	if g.leaf(depth) {
		switch g.intN(3) {
		case 0:
			return &ir.StrConst{S: g.text()}
		case 1:
			if id, ok := g.global(func(d *ir.Global) bool { return !d.IsArray() && d.Value.Kind == ir.Str }); ok {
				return &ir.GlobalGet{G: id, T: g.str}
			}
		}
		if id := g.strLocal(); id >= 0 {
			return &ir.Local{ID: id, T: g.str}
		}
		return &ir.StrConst{S: g.text()}
	}
	for {
		switch g.intN(10) {
		case 0, 1:
			return &ir.Binary{Op: ir.OpConcat, X: g.strExpr(depth - 1), Y: g.strExpr(depth - 1), T: g.str, Site: g.site()}
		case 2:
			return &ir.Cond{C: g.intExpr(depth - 1), X: g.strExpr(depth - 1), Y: g.strExpr(depth - 1), T: g.str}
		case 3:
			return g.update(g.str, depth-1)
		case 4:
			if id, ok := g.array(func(d *ir.Global) bool { return d.Value.Kind == ir.Str }); ok {
				return &ir.IndexGet{G: id, Keys: g.keys(&g.p.Globals[id], depth-1), T: g.str}
			}
		case 5:
			if x := g.call(g.str, depth-1); x != nil {
				return x
			}
		case 6:
			if g.one(3) {
				return &ir.Intrinsic{ID: ir.IChr, Args: []ir.Expr{g.intExpr(depth - 1)}, T: ir.TStr(7), Site: g.site()}
			}
			return &ir.Intrinsic{ID: ir.IStrSub, Args: []ir.Expr{g.strExpr(depth - 1), g.intExpr(depth - 1), g.intExpr(depth - 1)}, T: g.str, Site: g.site()}
		case 7:
			if g.has(Sprintf) {
				text := []string{"%d", "%s", "%x|%s", "%5d", "%-4s.", "%.2s", "%c", "%3b", "%-5.1b|"}[g.intN(9)]
				parsed, err := format.Parse(text)
				if err != nil {
					panic(fmt.Sprintf("irgen: format %q: %v", text, err))
				}
				x := &ir.Sprintf{T: g.str, Site: g.site()}
				var types []ir.Type
				for _, t := range parsed.ArgTypes() {
					at := ir.TInt
					if t == format.String {
						at = g.str
					}
					types = append(types, at)
					x.Args = append(x.Args, g.expr(at, depth-1))
				}
				x.Format = g.format(text, types...)
				return x
			}
		case 8:
			if g.has(Tables) {
				return &ir.Lookup{Table: g.intN(len(g.p.Tables)), X: g.intExpr(depth - 1), T: g.str}
			}
		case 9:
			if g.has(Regexps) {
				m := &ir.Match{X: g.strExpr(depth - 1), Re: g.intN(len(g.p.Regexps)), Site: g.site()}
				n := ir.Expr(&ir.IntConst{V: int64(g.intN(4))})
				if g.one(4) {
					n = g.intExpr(depth - 1)
				}
				part := &ir.Intrinsic{ID: ir.IMatched, Args: []ir.Expr{n}, T: g.str, Site: g.site()}
				if g.one(5) {
					return part
				}
				return &ir.Cond{C: m, X: part, Y: g.strExpr(depth - 1), T: g.str}
			}
		}
	}
}

// call calls a function made before that yields t, or nil.
func (g *gen) call(t ir.Type, depth int) ir.Expr {
	var ids []int
	for i, f := range g.p.Funcs[:g.callee] {
		// A function may change any array.
		if f.Result == t && len(g.busyArrays()) == 0 {
			ids = append(ids, i)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	id := ids[g.intN(len(ids))]
	f := g.p.Funcs[id]
	x := &ir.Call{Chain: []int{id}, T: t, Site: g.site()}
	for _, o := range ids {
		if alike(f, g.p.Funcs[o]) && g.one(2) {
			x.Chain = append(x.Chain, o)
		}
	}
	for i := range f.Params {
		if f.Recursive && i == 0 {
			x.Args = append(x.Args, &ir.Binary{Op: ir.OpAnd, X: g.intExpr(depth - 1), Y: &ir.IntConst{V: 15}, T: ir.TInt, Site: g.site()})
			continue
		}
		x.Args = append(x.Args, g.expr(f.Locals[i], depth-1))
	}
	return x
}

// alike reports whether two functions can stand in one chain of overloads.
func alike(a, b *ir.Func) bool {
	return a != b && a.Result == b.Result && a.Recursive == b.Recursive &&
		slices.Equal(a.Locals[:a.Params], b.Locals[:b.Params])
}

func (g *gen) busyArrays() []int {
	var ids []int
	for i, n := range g.busy {
		if n > 0 {
			ids = append(ids, i)
		}
	}
	return ids
}
