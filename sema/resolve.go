package sema

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sort"
	"strings"

	"stapkit/ir/regex"
	"stapkit/syntax"
	"stapkit/tapsets"
	"stapkit/target/ctype"
)

// bodyState is a body on its way through elaboration: of a function, a probe, a
// condition, or the operand of @entry.
type bodyState struct {
	e     *elab
	body  *Body
	fn    *Func
	probe *Probe
	cond  bool
	file  *syntax.File
	// entryOf is set for the operand of @entry: what the entry offers.
	entryOf *context

	blocks []*syntax.Block
	root   syntax.Expr // of a condition or @entry operand

	locals map[string]*Local
	// assigns and returns are what C types of values are found from.
	assigns map[*Local][]syntax.Expr
	returns []syntax.Expr
	// autocasts wait for the C type of their operand.
	autocasts []*syntax.Autocast
	addrs     map[*syntax.Autocast]*syntax.AddrOf
	// strayEntry are the @entry where there is no entry, an error in code that is left.
	strayEntry map[*syntax.AtOp]bool
	loops      int
	started    bool
	// quiet counts enclosing @defined: what fails there is no error.
	quiet int
	// waits are assignments whose left side learns its type in the next round.
	waits map[*syntax.AssignExpr]bool
	// entryKeys finds the entries by their text.
	entryKeys map[string]int
	// lastChance: an autocast whose operand has no known type is an error now.
	lastChance bool
	lastAccess *Access
	// unreached are statements that literal conditions lead past.
	unreached map[syntax.Stmt]bool
	// dead are the locals that live code never reads.
	dead map[*Local]bool
	// aside counts enclosing branches of that kind while names are resolved.
	aside int
}

// context is what the probed place offers, nil if there is none.
func (b *bodyState) context() *context {
	switch {
	case b.entryOf != nil:
		return b.entryOf
	case b.probe != nil:
		return b.probe.context()
	}
	return nil
}

func newBody() *Body {
	return &Body{
		Types:   map[syntax.Expr]Type{},
		Idents:  map[*syntax.Ident]Object{},
		Calls:   map[*syntax.Call][]*Func{},
		Consts:  map[syntax.Expr]Const{},
		Targets: map[syntax.Expr]*Access{},
		Exists:  map[*syntax.AtOp]*Access{},
		Elided:  map[syntax.Stmt]bool{},
		bad:     map[syntax.Expr]bool{},
	}
}

// resolveProbe resolves the names in a probe's handler and conditions. Probes with
// the same blocks and nothing that depends on the place share a body.
func (e *elab) resolveProbe(p *Probe) {
	for _, c := range p.Conds {
		e.resolveCond(c)
	}
	k := e.blocksKey(p.Blocks)
	for _, b := range e.shared[k] {
		if !b.body.UsesTarget {
			p.Body = b.body
			return
		}
	}
	b := &bodyState{e: e, probe: p, file: p.Decl.File(), blocks: p.Blocks, locals: map[string]*Local{}, body: newBody()}
	p.Body = b.body
	b.run()
	b.bindBuild()
	e.shared[k] = append(e.shared[k], b)
}

// bindBuild ties a probe of a program to the build that its handler's accesses were
// resolved for, when these depend on more than the calling convention.
func (b *bodyState) bindBuild() {
	if b.probe.Binary == "" {
		return
	}
	mark := b.probe.Family == FamMark // whose arguments are found again in the host's copy
	depends := func(body *Body) bool {
		for _, a := range body.Targets {
			if a.buildBound() && (!mark || a.Location == nil || a.Location.Static) {
				return true
			}
		}
		return false
	}
	bound := depends(b.body)
	for _, en := range b.body.Entries {
		bound = bound || depends(en.Body)
	}
	f := b.e.userFile(b.probe.Binary)
	if !bound || f == nil {
		return
	}
	b.probe.Carriers = append([]Carrier(nil), b.probe.Carriers...)
	for i := range b.probe.Carriers {
		b.probe.Carriers[i].BuildID = f.elf.BuildID
	}
}

// buildBound reports whether an access depends on one build of a program.
func (a *Access) buildBound() bool {
	if a.Binary == "" {
		return false
	}
	if a.Base == BaseLocation || a.Base == BaseSymbol || a.Held != nil {
		return true
	}
	for _, h := range hops(a.Path) {
		if h.Relocatable() {
			return true
		}
	}
	for _, v := range a.Vars {
		if v.Access != nil && v.Access.buildBound() {
			return true
		}
	}
	return false
}

// blocksKey identifies a list of blocks.
func (e *elab) blocksKey(blocks []*syntax.Block) string {
	b := make([]byte, 0, len(blocks)*4)
	for _, bl := range blocks {
		n, ok := e.blockIDs[bl]
		if !ok {
			n = len(e.blockIDs)
			e.blockIDs[bl] = n
		}
		b = binary.AppendUvarint(b, uint64(n))
	}
	return string(b)
}

// resolveCond resolves the condition of a probe point.
func (e *elab) resolveCond(c *Cond) {
	if old := e.conds[c.X]; old != nil {
		c.Body = old
		return
	}
	b := &bodyState{e: e, cond: true, file: c.X.File(), root: c.X, locals: map[string]*Local{}, body: newBody()}
	c.Body = b.body
	e.conds[c.X] = b.body
	b.run()
}

// use marks a function as called and resolves its body.
func (e *elab) use(f *Func) {
	if f.used {
		return
	}
	f.used = true
	e.activate(f.File)
	if f.Decl.Body == nil {
		return
	}
	f.Body = f.state.body
	f.state.blocks = []*syntax.Block{f.Decl.Body}
	e.pending = append(e.pending, func() { f.state.run() })
}

// run resolves the body once.
func (b *bodyState) run() {
	if b.started {
		return
	}
	b.started = true
	if b.e.opt.Tools {
		b.body.state = b
	}
	b.e.bodies = append(b.e.bodies, b)
	if b.root != nil {
		b.expr(b.root)
	}
	for _, bl := range b.blocks {
		b.block(bl)
	}
}

func (b *bodyState) block(bl *syntax.Block) {
	if bl == nil {
		return
	}
	for _, s := range bl.Stmts {
		b.stmt(s)
	}
}

func (b *bodyState) stmt(s syntax.Stmt) {
	switch s := s.(type) {
	case *syntax.Block:
		b.block(s)
	case *syntax.IfStmt:
		if c, ok := b.decide(s.Cond); ok {
			if c.truth() {
				b.stmt(s.Then)
			} else if s.Else != nil {
				b.stmt(s.Else)
			}
			return
		}
		b.expr(s.Cond)
		c, ok := b.literal(s.Cond)
		b.branch(s.Then, ok && !c.truth())
		if s.Else != nil {
			b.branch(s.Else, ok && c.truth())
		}
	case *syntax.WhileStmt:
		if c, ok := b.decide(s.Cond); ok && !c.truth() {
			return
		} else if !ok {
			b.expr(s.Cond)
		}
		c, ok := b.literal(s.Cond)
		b.loops++
		b.branch(s.Body, ok && !c.truth())
		b.loops--
	case *syntax.ForStmt:
		if s.Init != nil {
			b.expr(s.Init)
		}
		if s.Cond != nil {
			if c, ok := b.decide(s.Cond); ok && !c.truth() {
				return
			} else if !ok {
				b.expr(s.Cond)
			}
		}
		b.loop(s.Body)
		if s.Post != nil {
			b.expr(s.Post)
		}
	case *syntax.ForeachStmt:
		b.foreach(s)
	case *syntax.ReturnStmt:
		if s.X != nil {
			b.expr(s.X)
			b.returns = append(b.returns, s.X)
		}
	case *syntax.DeleteStmt:
		b.delete(s)
	case *syntax.TryStmt:
		b.block(s.Body)
		if s.Var != nil {
			if o := b.variable(s.Var); o != nil {
				b.wrote(o)
			}
		}
		b.block(s.Handler)
	case *syntax.ExprStmt:
		b.expr(s.X)
	case *syntax.BreakStmt:
		if b.loops == 0 {
			b.e.late(codeOutsideLoop, s, "'break' outside a loop")
		}
	case *syntax.ContinueStmt:
		if b.loops == 0 {
			b.e.late(codeOutsideLoop, s, "'continue' outside a loop")
		}
	}
}

// branch resolves a statement. Variables of the target need not be there in one that a
// literal condition leads past; functions and arrays must.
func (b *bodyState) branch(s syntax.Stmt, past bool) {
	if past {
		b.aside++
		defer func() { b.aside-- }()
	}
	b.stmt(s)
}

func (b *bodyState) loop(s syntax.Stmt) {
	b.loops++
	b.stmt(s)
	b.loops--
}

func (b *bodyState) foreach(s *syntax.ForeachStmt) {
	n := len(s.Keys)
	switch a := s.Array.(type) {
	case *syntax.Ident:
		if len(s.Slice) > 0 && len(s.Slice) != n {
			n = len(s.Slice)
		}
		b.array(a, n)
	case *syntax.HistOp:
		b.expr(a)
		if n != 1 {
			b.error(codeInconsistentArity, a, "inconsistent arity (%d vs 1): a histogram has one key", n)
		}
	default:
		b.expr(a)
	}
	if len(s.Slice) > 0 && len(s.Slice) != len(s.Keys) {
		b.error(codeInconsistentArity, s.Array, "inconsistent arity (%d keys vs %d in the slice)", len(s.Keys), len(s.Slice))
	}
	for _, x := range s.Slice {
		b.expr(x)
	}
	for _, k := range s.Keys {
		if o := b.variable(k); o != nil {
			b.scalar(o, k)
			b.wrote(o)
		}
	}
	if s.Value != nil {
		if o := b.variable(s.Value); o != nil {
			b.scalar(o, s.Value)
			b.wrote(o)
		}
	}
	if s.Limit != nil {
		b.expr(s.Limit)
	}
	b.loop(s.Body)
}

func (b *bodyState) delete(s *syntax.DeleteStmt) {
	switch x := s.X.(type) {
	case *syntax.Ident:
		b.variable(x)
	case *syntax.Index:
		b.index(x, true)
	case *syntax.BadExpr:
	default:
		b.expr(s.X)
		b.error(codeDelete, s.X, "invalid operand of delete expression")
	}
}

// variable resolves a name to a parameter, local or global; a new name is a new
// local.
func (b *bodyState) variable(id *syntax.Ident) Object {
	if o := b.body.Idents[id]; o != nil {
		return o
	}
	o := b.find(id)
	if o != nil {
		b.body.Idents[id] = o
	}
	return o
}

func (b *bodyState) find(id *syntax.Ident) Object {
	if l := b.locals[id.Name]; l != nil {
		return l
	}
	if g := b.e.global(id.Name, id.File()); g != nil && !b.own(g, id) {
		b.crossFile(g, id)
		if b.cond {
			g.Condition = true
		}
		return g
	}
	if b.cond {
		b.error(codeCondVar, id, "probe condition must not reference undeclared global '%s'%s", id.Name, similar(id.Name, b.e.globalNames(id.File())))
		return nil
	}
	l := &Local{Name: id.Name, Index: len(b.body.Locals), Decl: id}
	b.body.Locals = append(b.body.Locals, l)
	b.locals[id.Name] = l
	return l
}

// own reports whether a name in a function of stapkit's own library is the
// function's local, though the script has a global of that name. In SystemTap the
// global would be taken, so that names within the library matter to scripts. The
// bodies of aliases keep its rule: scripts may rely on meeting their variables.
func (b *bodyState) own(g *Global, id *syntax.Ident) bool {
	if b.fn == nil || g.Library || g.File == id.File() {
		return false
	}
	_, ok := tapsets.Read(id.File().Name)
	return ok
}

// crossFile warns when a library file and the script meet at a global by accident.
func (b *bodyState) crossFile(g *Global, id *syntax.Ident) {
	b.e.activate(g.File)
	u := b.e.units[id.File()]
	if u == nil || g.File == id.File() || g.Library || !u.library {
		return
	}
	b.e.errorAt(codeCrossFile, g.Decl.Name, "cross-file global variable reference: the library uses '%s' for its own", g.Name).
		related(id, "used here")
}

// globalNames lists the globals visible from a file.
func (e *elab) globalNames(f *syntax.File) []string {
	names := sortedKeys(e.globals)
	if u := e.units[f]; u != nil {
		names = append(names, sortedKeys(u.globals)...)
	}
	return names
}

// array resolves a name that must be a global array with n keys.
func (b *bodyState) array(id *syntax.Ident, n int) *Global {
	o, _ := b.body.Idents[id].(*Global)
	if o == nil {
		if l := b.locals[id.Name]; l != nil && l.Param {
			b.error(codeUnresolvedArray, id, "parameter '%s' is a scalar; only globals can be arrays", id.Name)
			return nil
		}
		o = b.e.global(id.Name, id.File())
		if o == nil {
			b.error(codeUnresolvedArray, id, "unresolved arity-%d global array %s, missing global declaration?%s", n, id.Name, similar(id.Name, b.e.globalNames(id.File())))
			return nil
		}
		b.crossFile(o, id)
		b.body.Idents[id] = o
	}
	if b.cond {
		o.Condition = true
	}
	b.e.setArity(b, o, n, id)
	return o
}

// scalar notes that a variable is used as a scalar.
func (b *bodyState) scalar(o Object, id *syntax.Ident) {
	if g, ok := o.(*Global); ok {
		b.e.setArity(b, g, 0, id)
	}
}

// arity is what is known of the number of keys of a global.
type arity struct {
	known bool
	n     int
	at    syntax.Node
}

func (e *elab) setArity(b *bodyState, g *Global, n int, at syntax.Node) {
	if b.quiet > 0 {
		return
	}
	a := &g.arity
	switch {
	case !a.known:
		if g.Array && n == 0 {
			e.errorAt(codeInconsistentArity, at, "inconsistent arity: '%s' is declared as an array", g.Name).related(g.Decl.Name, "declared here")
			return
		}
		if g.HasInit && n > 0 {
			e.errorAt(codeInconsistentArity, at, "inconsistent arity (0 vs %d)", n).related(g.Decl.Name, "arity 0 first inferred here").
				help("only scalar globals can be initialized")
			*a = arity{true, n, at} // told
			return
		}
		*a = arity{true, n, at}
		if n > 0 {
			g.Array = true
			g.Keys = make([]Type, n)
		}
	case a.n != n:
		e.errorAt(codeInconsistentArity, at, "inconsistent arity (%d vs %d)", a.n, n).related(a.at, fmt.Sprintf("arity %d first inferred here", a.n))
	}
}

func (b *bodyState) wrote(o Object) {
	switch o := o.(type) {
	case *Local:
		o.Written = true
	}
}

// error reports an error at a node, unless @defined is being asked.
func (b *bodyState) error(code diagCode, n syntax.Node, format string, args ...any) *builder {
	if b.quiet > 0 {
		return &builder{e: b.e, at: -1}
	}
	return b.e.errorAt(code, n, format, args...)
}

// expr resolves the names in an expression.
func (b *bodyState) expr(x syntax.Expr) {
	switch x := x.(type) {
	case *syntax.Ident:
		if o := b.variable(x); o != nil {
			b.scalar(o, x)
		}
	case *syntax.Index:
		b.index(x, false)
	case *syntax.ArrayIn:
		for _, k := range x.Keys {
			b.expr(k)
		}
		switch a := x.Array.(type) {
		case *syntax.Ident:
			b.array(a, len(x.Keys))
		default:
			b.expr(a)
		}
	case *syntax.Unary:
		b.expr(x.X)
	case *syntax.IncDec:
		b.condWrite(x)
		b.lvalue(x.X, x)
	case *syntax.Binary:
		b.expr(x.X)
		b.expr(x.Y)
		if x.Op == syntax.UShr {
			b.e.late(codeUnsupportedOp, x, "unsupported binary operator >>>")
		}
	case *syntax.Logical:
		if _, ok := b.decide(x); ok {
			return
		}
		if c, ok := b.decide(x.X); ok {
			if c.truth() == (x.Op == syntax.AndAnd) {
				b.expr(x.Y)
			}
			return
		}
		b.expr(x.X)
		b.expr(x.Y)
	case *syntax.Ternary:
		if c, ok := b.decide(x.Cond); ok {
			if c.truth() {
				b.expr(x.Then)
			} else {
				b.expr(x.Else)
			}
			return
		}
		b.expr(x.Cond)
		b.expr(x.Then)
		b.expr(x.Else)
	case *syntax.AssignExpr:
		b.condWrite(x)
		b.lvalue(x.L, x)
		b.expr(x.R)
		if id, ok := x.L.(*syntax.Ident); ok && x.Op == syntax.Assign {
			switch o := b.body.Idents[id].(type) {
			case *Local:
				if b.assigns == nil {
					b.assigns = map[*Local][]syntax.Expr{}
				}
				b.assigns[o] = append(b.assigns[o], x.R)
			case *Global:
				o.assigns = append(o.assigns, assigned{b, x.R})
			}
		} else if ix, ok := x.L.(*syntax.Index); ok && x.Op == syntax.Assign {
			if id, ok := ix.X.(*syntax.Ident); ok {
				if g, ok := b.body.Idents[id].(*Global); ok {
					g.assigns = append(g.assigns, assigned{b, x.R})
				}
			}
		}
	case *syntax.Call:
		if b.cond && b.e.user(x) {
			b.error(codeCondVar, x.Name, "probe condition must not reference function").
				help("set a global in another handler, or test inside this one")
		}
		for _, a := range x.Args {
			b.expr(a)
		}
		b.call(x)
	case *syntax.PrintExpr:
		if x.Hist != nil {
			b.expr(x.Hist)
		}
		for _, a := range x.Args {
			b.expr(a)
		}
	case *syntax.StatOp:
		b.expr(x.X)
	case *syntax.HistOp:
		b.expr(x.X)
	case *syntax.RegexMatch:
		b.expr(x.X)
		if x.PatternExpr != nil {
			b.e.unresolved = true
		} else if x.Pattern != nil {
			var bad *regex.Error
			if _, err := regex.Compile(x.Pattern.Value); errors.As(err, &bad) {
				b.error(codeRegex, x.Pattern, "regex compilation error (at position %d): %s", bad.Offset, bad.Message)
			} else if err != nil {
				b.error(codeRegex, x.Pattern, "regex compilation error: %v", err)
			}
		}
	case *syntax.TargetVar, *syntax.AtOp, *syntax.AddrOf, *syntax.Autocast:
		b.target(x, false)
	case *syntax.EmbeddedExpr:
		b.error(codeEmbedded, x, "embedded C cannot run as eBPF").help("%s", embeddedHelp("", x.Code.Text))
	case *syntax.ScriptArg:
		b.e.unresolved = true
	}
}

// condWrite reports a condition of a probe point that changes something.
func (b *bodyState) condWrite(at syntax.Node) {
	if b.cond {
		b.error(codeCondVar, at, "probe condition must not modify any variables")
	}
}

// lvalue resolves what is assigned to by the operator at.
func (b *bodyState) lvalue(x syntax.Expr, at syntax.Node) {
	switch x := x.(type) {
	case *syntax.Ident:
		o := b.variable(x)
		if o == nil {
			return
		}
		b.scalar(o, x)
		b.wrote(o)
	case *syntax.Index:
		b.index(x, false)
		if _, ok := x.X.(*syntax.HistOp); ok {
			b.error(codeLvalue, at, "Expecting lvalue for assignment").related(x, "")
		}
	case *syntax.TargetVar, *syntax.AtOp, *syntax.Autocast:
		if op, ok := x.(*syntax.AtOp); ok && !writable(op.Op) {
			b.expr(x)
			b.error(codeLvalue, at, "Expecting lvalue for assignment").related(x, "")
			return
		}
		b.target(x, true)
	case *syntax.BadExpr, *syntax.ScriptArg:
	default:
		b.expr(x)
		b.error(codeLvalue, at, "Expecting lvalue for assignment").related(x, "")
	}
}

// writable tells which @ operators name a place.
func writable(k syntax.AtKind) bool {
	switch k {
	case syntax.AtCast, syntax.AtVar, syntax.AtKregister, syntax.AtUregister, syntax.AtKderef, syntax.AtUderef:
		return true
	}
	return false
}

func (b *bodyState) index(x *syntax.Index, slice bool) {
	for _, k := range x.Keys {
		if _, star := k.(*syntax.Star); star {
			if !slice {
				b.error(codeUnwritable, k, "'*' is allowed only in delete, in and foreach")
			}
			continue
		}
		b.expr(k)
	}
	switch a := x.X.(type) {
	case *syntax.Ident:
		b.array(a, len(x.Keys))
	case *syntax.HistOp:
		b.expr(a)
		if len(x.Keys) != 1 {
			b.error(codeInconsistentArity, a, "inconsistent arity (%d vs 1): a histogram has one key", len(x.Keys))
		}
	default:
		b.expr(a)
	}
}

// call resolves the function of a call.
func (b *bodyState) call(x *syntax.Call) {
	if x.Name == nil || b.body.Calls[x] != nil {
		return
	}
	if strings.HasPrefix(x.Name.Name, "$") || strings.HasPrefix(x.Name.Name, "@") {
		b.e.unresolved = true // a script argument that nobody gave
		return
	}
	candidates := b.e.functions(x.Name.Name, x.File())
	if len(candidates) == 0 {
		if r, ok := tapsets.Refused(x.Name.Name); ok {
			b.error(codeUnresolvedFunc, x.Name, "the function %s is not there: %s", x.Name.Name, r.Why).help("there is %s", r.Instead)
		} else {
			b.error(codeUnresolvedFunc, x.Name, "unresolved function %s%s", x.Name.Name, b.e.similarFuncs(x.Name.Name))
		}
		return
	}
	for _, f := range candidates {
		f.called = true
	}
	list := chain(candidates, len(x.Args))
	if len(list) == 0 {
		var takes []string
		seen := map[int]bool{}
		for _, f := range candidates {
			if n := len(f.Params); !seen[n] {
				seen[n] = true
				takes = append(takes, fmt.Sprint(n))
			}
		}
		sort.Strings(takes)
		bd := b.error(codeArity, x.Name, "arity mismatch found (function '%s' takes %s args)", x.Name.Name, strings.Join(takes, " or "))
		for _, f := range candidates {
			bd.related(f.Decl.Name, "")
		}
		return
	}
	b.body.Calls[x] = list
	for _, f := range list {
		b.permitted(f, x)
		if b.fn != nil {
			b.fn.callee(f)
		}
		b.e.use(f)
	}
}

// callee notes that a function may call another.
func (f *Func) callee(c *Func) {
	for _, have := range f.Callees {
		if have == c {
			return
		}
	}
	f.Callees = append(f.Callees, c)
}

// permitted checks that a function can be called at all, and by this script.
func (b *bodyState) permitted(f *Func, x *syntax.Call) {
	if u := b.e.units[x.File()]; u != nil && u.library {
		return
	}
	switch {
	case f.embedded:
		b.error(codeEmbedded, x.Name, "function '%s' is embedded C, which cannot run as eBPF", f.Name).
			related(f.Decl.Name, "declared here").help("%s", embeddedHelp(f.Name, f.Decl.Code.Text))
	case !b.e.opt.Guru && b.e.needsGuru(f):
		b.error(codeNeedGuru, x.Name, "function may not be used unless -g is specified")
	}
}

// kernelIntrinsics are those that look into the kernel or act on others, which
// scripts with the privilege of a user may not.
var kernelIntrinsics = map[string]bool{
	"kernel_str": true, "kernel_mem": true, "reg": true, "task": true, "kframe": true, "ksym": true, "trace_text": true,
	"printk": true, "dump_stack": true, "user_write": true, "user_write_str": true, "signal": true, "system": true,
	"module_name": true, "module_size": true, "symbol_lines": true, "result": true, "set_result": true,
}

// privileges checks, for --privilege=stapusr, what the user's files call and read.
func (e *elab) privileges() {
	if e.opt.Privilege != "stapusr" {
		return
	}
	why := map[*Func]string{}
	var reads func(f *Func, depth int) string
	reads = func(f *Func, depth int) string {
		if w, ok := why[f]; ok || depth > 100 {
			return w
		}
		why[f] = ""
		if kernelIntrinsics[f.Intrinsic] && !f.marked("unprivileged") {
			why[f] = f.Name
			return f.Name
		}
		if f.state != nil {
			for x, a := range f.state.body.Targets {
				if e.looksIntoKernel(a) {
					why[f] = syntax.ExprString(x)
					return why[f]
				}
			}
			for _, list := range f.state.body.Calls {
				for _, g := range list {
					if w := reads(g, depth+1); w != "" {
						why[f] = w
						return w
					}
				}
			}
		}
		return ""
	}
	for _, b := range e.bodies {
		if u := e.units[b.file]; u != nil && u.library {
			continue
		}
		for x, list := range b.body.Calls {
			for _, f := range list {
				if u := e.units[f.File]; u == nil || !u.library || !e.user(x) {
					continue
				}
				if w := reads(f, 0); w != "" {
					bd := b.error(codePrivilege, x.Name, "function may not be used when --privilege=%s is specified", e.opt.Privilege)
					if w != f.Name {
						bd.help("it looks into the kernel: %s", w)
					}
					break
				}
			}
		}
		for x, a := range b.body.Targets {
			if e.user(x) && e.looksIntoKernel(a) {
				b.error(codePrivilege, x, "the kernel may not be looked into when --privilege=%s is specified", e.opt.Privilege)
			}
		}
	}
}

// looksIntoKernel reports whether a value is read from kernel memory.
func (e *elab) looksIntoKernel(a *Access) bool {
	if a.Space == UserSpace {
		return false
	}
	switch a.Base {
	case BaseSymbol, BaseRegister, BaseRegs:
		return true
	case BaseExpr:
		return a.Path != nil && len(a.Path.Hops) > 0
	}
	return false
}

// needsGuru reports whether a function does what only guru mode allows: it is marked
// so, or a function of the library that itself calls a private one of its file which is.
func (e *elab) needsGuru(f *Func) bool {
	if f.marked("guru") {
		return true
	}
	u := e.units[f.File]
	if u == nil || !u.library || f.Decl.Body == nil {
		return false
	}
	found := false
	syntax.Inspect(f.Decl.Body, func(n syntax.Node) bool {
		if c, ok := n.(*syntax.Call); ok && c.Name != nil {
			for _, g := range u.funcs[c.Name.Name] {
				found = found || g.marked("guru")
			}
		}
		return !found
	})
	return found
}

// decide evaluates an expression whose value follows from @defined and literals,
// so that the side of a condition that is not taken need not make sense. It does
// not decide what depends on literals alone.
func (b *bodyState) decide(x syntax.Expr) (Const, bool) {
	if c, ok := b.body.Consts[x]; ok {
		return c, true
	}
	c, known, decided := b.fold(x)
	if known && decided {
		b.body.Consts[x] = c
		return c, true
	}
	return Const{}, false
}

func (c Const) truth() bool { return c.Int != 0 || c.Type == String && c.Str != "" }

func longConst(v int64) Const { return Const{Type: Long, Int: v} }

func boolConst(v bool) Const {
	if v {
		return longConst(1)
	}
	return longConst(0)
}

// fold evaluates; known says that it could, decided that @defined was involved.
func (b *bodyState) fold(x syntax.Expr) (c Const, known, decided bool) {
	switch x := x.(type) {
	case *syntax.NumberLit:
		return longConst(x.Value), true, false
	case *syntax.StringLit:
		return Const{Type: String, Str: x.Value}, true, false
	case *syntax.AtOp:
		if x.Op == syntax.AtDefined {
			v, ok := b.defined(x)
			return boolConst(v), ok, true
		}
	case *syntax.Unary:
		c, known, decided = b.fold(x.X)
		if !known || c.Type != Long {
			return c, false, false
		}
		switch x.Op {
		case syntax.Not:
			c = boolConst(c.Int == 0)
		case syntax.Sub:
			c.Int = -c.Int
		case syntax.Tilde:
			c.Int = ^c.Int
		}
		return c, true, decided
	case *syntax.Logical:
		l, lk, ld := b.fold(x.X)
		if !lk {
			return Const{}, false, false
		}
		if l.truth() != (x.Op == syntax.AndAnd) {
			return boolConst(l.truth()), true, ld
		}
		r, rk, rd := b.fold(x.Y)
		return boolConst(r.truth()), rk, ld || rd
	case *syntax.Binary:
		l, lk, ld := b.fold(x.X)
		if !lk {
			return Const{}, false, false
		}
		r, rk, rd := b.fold(x.Y)
		if !rk || l.Type != r.Type {
			return Const{}, false, false
		}
		c, ok := foldBinary(x.Op, l, r)
		return c, ok, ld || rd
	case *syntax.Ternary:
		k, kk, kd := b.fold(x.Cond)
		if !kk {
			return Const{}, false, false
		}
		branch := x.Else
		if k.truth() {
			branch = x.Then
		}
		c, known, decided = b.fold(branch)
		return c, known, decided || kd
	}
	return Const{}, false, false
}

func foldBinary(op syntax.Kind, l, r Const) (Const, bool) {
	if l.Type == String {
		switch op {
		case syntax.Eq:
			return boolConst(l.Str == r.Str), true
		case syntax.Ne:
			return boolConst(l.Str != r.Str), true
		case syntax.Lt:
			return boolConst(l.Str < r.Str), true
		case syntax.Le:
			return boolConst(l.Str <= r.Str), true
		case syntax.Gt:
			return boolConst(l.Str > r.Str), true
		case syntax.Ge:
			return boolConst(l.Str >= r.Str), true
		case syntax.Dot:
			return Const{Type: String, Str: l.Str + r.Str}, true
		}
		return Const{}, false
	}
	a, c := l.Int, r.Int
	switch op {
	case syntax.Add:
		return longConst(a + c), true
	case syntax.Sub:
		return longConst(a - c), true
	case syntax.Mul:
		return longConst(a * c), true
	case syntax.And:
		return longConst(a & c), true
	case syntax.Or:
		return longConst(a | c), true
	case syntax.Xor:
		return longConst(a ^ c), true
	case syntax.Shl:
		return longConst(a << (uint64(c) & 63)), true
	case syntax.Shr:
		return longConst(a >> (uint64(c) & 63)), true
	case syntax.Eq:
		return boolConst(a == c), true
	case syntax.Ne:
		return boolConst(a != c), true
	case syntax.Lt:
		return boolConst(a < c), true
	case syntax.Le:
		return boolConst(a <= c), true
	case syntax.Gt:
		return boolConst(a > c), true
	case syntax.Ge:
		return boolConst(a >= c), true
	}
	return Const{}, false // division stays, it may be an error at run time
}

// defined evaluates @defined; ok is false when it depends on what is not known.
func (b *bodyState) defined(x *syntax.AtOp) (value, ok bool) {
	if len(x.Args) != 1 {
		return false, true
	}
	if c, ok := b.body.Consts[x]; ok {
		return c.Int != 0, true
	}
	before := b.e.unresolved
	b.e.unresolved = false
	b.quiet++
	failed := b.check(x.Args[0])
	b.quiet--
	trusted := b.e.unresolved
	b.e.unresolved = before || trusted
	if failed == nil && trusted {
		return false, false
	}
	if failed == nil {
		if acc := b.lastAccess; acc != nil {
			for _, h := range hops(acc.Path) {
				if h.Relocatable() {
					b.body.Exists[x] = acc
				}
			}
		}
	}
	b.lastAccess = nil
	b.body.Consts[x] = boolConst(failed == nil)
	return failed == nil, true
}

// check resolves all target variables and casts in an expression without effect
// on the body, and gives the first failure.
func (b *bodyState) check(x syntax.Expr) *fail {
	switch x := x.(type) {
	case *syntax.TargetVar, *syntax.Autocast, *syntax.AddrOf, *syntax.AtOp:
		if op, ok := x.(*syntax.AtOp); ok && op.Op == syntax.AtEntry {
			if len(op.Args) != 1 {
				return failf(codeEntryContext, op, "bad @entry")
			}
			c := b.context()
			if c == nil || c.entry == nil {
				return failf(codeEntryContext, op, "@entry is only valid in .return probes")
			}
			sub := *b
			sub.entryOf = c.entry
			return sub.check(op.Args[0])
		}
		if op, ok := x.(*syntax.AtOp); ok && op.Op != syntax.AtCast && op.Op != syntax.AtVar {
			b.atop(op)
			if b.body.bad[op] {
				delete(b.body.bad, op)
				return failf(codeUnresolvedTarget, op, "not defined")
			}
			return nil
		}
		if tv, ok := x.(*syntax.TargetVar); ok && b.atEntry(tv) {
			// In a return probe it stands for its value at the entry.
			sub := *b
			sub.entryOf = b.context().entry
			return sub.check(x)
		}
		acc, f := b.access(x, false)
		b.lastAccess = acc
		return f
	}
	var f *fail
	syntax.Inspect(x, func(n syntax.Node) bool {
		if n == syntax.Node(x) {
			return true
		}
		switch n := n.(type) {
		case *syntax.TargetVar, *syntax.Autocast, *syntax.AddrOf, *syntax.AtOp:
			if f == nil {
				f = b.check(n.(syntax.Expr))
			}
			return false
		}
		return f == nil
	})
	return f
}

// valueOf gives the C type of the value of an expression, nil if it is not known.
func (b *bodyState) valueOf(x syntax.Expr, depth int) *Value {
	if depth > 8 || x == nil {
		return nil
	}
	switch x := x.(type) {
	case *syntax.TargetVar, *syntax.AtOp, *syntax.AddrOf, *syntax.Autocast:
		acc := b.body.Targets[x]
		if acc == nil {
			return nil
		}
		return acc.value()
	case *syntax.Ident:
		var v *Value
		switch o := b.body.Idents[x].(type) {
		case *Local:
			for _, r := range b.assigns[o] {
				w := b.valueOf(r, depth+1)
				if w == nil {
					continue // such as x = 0
				}
				if v != nil && !sameValue(v, w) {
					return nil
				}
				v = w
			}
		case *Global:
			for _, a := range o.assigns {
				w := a.body.valueOf(a.x, depth+1)
				if w == nil {
					continue
				}
				if v != nil && !sameValue(v, w) {
					return nil
				}
				v = w
			}
		}
		return v
	case *syntax.Index:
		if id, ok := x.X.(*syntax.Ident); ok {
			return b.valueOf(id, depth+1)
		}
	case *syntax.Call:
		for _, f := range b.body.Calls[x] {
			if f.Decl.Body == nil {
				return nil
			}
			f.state.run()
			var v *Value
			for _, r := range f.state.returns {
				w := f.state.valueOf(r, depth+1)
				if w == nil {
					continue
				}
				if v != nil && !sameValue(v, w) {
					return nil
				}
				v = w
			}
			return v
		}
	case *syntax.AssignExpr:
		if x.Op == syntax.Assign {
			return b.valueOf(x.R, depth+1)
		}
	case *syntax.Ternary:
		if c, ok := b.body.Consts[x.Cond]; ok {
			if c.truth() {
				return b.valueOf(x.Then, depth+1)
			}
			return b.valueOf(x.Else, depth+1)
		}
		v, w := b.valueOf(x.Then, depth+1), b.valueOf(x.Else, depth+1)
		switch {
		case v == nil:
			return w
		case w == nil || sameValue(v, w):
			return v
		}
	}
	return nil
}

func sameValue(a, b *Value) bool {
	return a.Space == b.Space && a.Path == b.Path && (a.Type == b.Type || ctype.Name(a.Type) == ctype.Name(b.Type))
}

// lateAutocasts resolves the autocasts that had to wait until all bodies were seen.
func (e *elab) lateAutocasts() {
	for i := 0; i < len(e.bodies); i++ {
		b := e.bodies[i]
		waiting := b.autocasts
		b.autocasts = nil
		for _, x := range waiting {
			b.autocastNow(x)
		}
		e.drain()
	}
}
