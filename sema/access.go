package sema

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"stapkit/diag"
	"stapkit/syntax"
	"stapkit/target/ctype"
)

type diagCode = diag.Code

// assigned is an expression that is assigned to a global somewhere.
type assigned struct {
	body *bodyState
	x    syntax.Expr
}

// waiting says that an autocast has to wait for the C type of its operand.
var waiting = &fail{}

// target resolves a target variable, cast or the like and records how to get at it.
func (b *bodyState) target(x syntax.Expr, write bool) {
	if b.body.Targets[x] != nil {
		return
	}
	switch x := x.(type) {
	case *syntax.TargetVar:
		if b.atEntry(x) {
			if write {
				b.error(codeTargetWrite, x, "'%s' in a return probe is the value at the entry and cannot be written", x.Name)
				return
			}
			b.entry(x, x)
			return
		}
	case *syntax.AtOp:
		if b.atop(x) {
			return
		}
	}
	acc, f := b.access(x, write)
	if f == waiting {
		return
	}
	if f != nil {
		b.targetFailed(x, f)
		return
	}
	if acc == nil {
		return
	}
	if write {
		f = b.writeable(x, acc)
		if f != nil {
			b.targetFailed(x, f)
			return
		}
		acc.Write = true
	}
	if f := b.procfsValue(x, acc, write); f != nil {
		b.targetFailed(x, f)
		return
	}
	b.body.Targets[x] = acc
}

// procfsValue checks $value: reading the file fills it in, writing the file has filled it in.
func (b *bodyState) procfsValue(x syntax.Expr, acc *Access, write bool) *fail {
	if acc.Base != BaseValue || b.probe == nil || b.probe.Family != FamProcfs || write != b.probe.Write {
		return nil
	}
	if write {
		return failf(codeTargetWrite, x, "procfs $value variable is read-only in a procfs write probe")
	}
	return failf(codeUnresolvedTarget, x, "procfs $value variable cannot be read in a procfs read probe").
		withHelp("'$value = text' and '$value .= text' say what is read from the file")
}

// targetFailed reports that a target variable cannot be resolved, or with
// --skip-badvars makes it 0.
func (b *bodyState) targetFailed(x syntax.Expr, f *fail) {
	if b.aside > 0 && f.code != codeNeedGuru {
		return
	}
	node := f.node
	if node == nil {
		node = x
	}
	if b.e.opt.SkipBadVars && f.code != codeNeedGuru {
		if _, ok := x.(*syntax.TargetVar); ok {
			b.body.Consts[x] = longConst(0)
			b.e.errorAt(codeBadVar, x, "Bad $context variable being substituted with literal 0").related(node, f.text())
			return
		}
	}
	bd := b.error(f.code, node, "%s", f.text())
	if f.help != "" {
		bd.help("%s", f.help)
	}
	if b.probe != nil && b.probe.Written != nil && !b.e.user(x) {
		bd.related(b.probe.Written, "while processing probe "+b.probe.Point)
	}
	b.body.bad[x] = true
}

// writeable checks an assignment to a place in the target.
func (b *bodyState) writeable(x syntax.Expr, acc *Access) *fail {
	if acc.Base == BaseValue {
		return nil
	}
	if u := b.e.units[x.File()]; !b.e.opt.Guru && (u == nil || !u.library) {
		return failf(codeNeedGuru, nil, "write to target variable not permitted; need stap -g")
	}
	if acc.Result != ResultInt {
		return failf(codeTargetWrite, nil, "only numbers can be written")
	}
	return nil
}

// atEntry reports whether a target variable is one of the entry, in a return probe.
func (b *bodyState) atEntry(x *syntax.TargetVar) bool {
	c := b.context()
	if c == nil || c.entry == nil || c.open {
		return false
	}
	switch x.Name {
	case "$$vars", "$$parms", "$$locals":
	case "$return", "$$return", "$$name", "$$system", "$$provider":
		return false
	}
	return c.lookup(strings.TrimPrefix(x.Name, "$")) == nil
}

// entry takes the value of an expression at the entry of the function.
func (b *bodyState) entry(x syntax.Expr, operand syntax.Expr) {
	if b.entryKeys == nil {
		b.entryKeys = map[string]int{}
	}
	k := syntax.ExprString(operand)
	n, ok := b.entryKeys[k]
	if !ok {
		sub := &bodyState{e: b.e, probe: b.probe, file: operand.File(), entryOf: b.context().entry, root: operand, locals: map[string]*Local{}, body: newBody(), quiet: b.quiet}
		sub.run()
		n = len(b.body.Entries)
		en := &Entry{X: operand, Body: sub.body, Arg: -1}
		if acc := sub.body.Targets[operand]; acc != nil && acc.Base == BaseArg && acc.Result == ResultInt && len(hops(acc.Path)) == 0 {
			en.Arg = acc.N
		}
		b.body.Entries = append(b.body.Entries, en)
		b.entryKeys[k] = n
	}
	b.body.UsesTarget = true
	en := b.body.Entries[n]
	acc := &Access{Base: BaseEntry, N: n, Name: k, Space: b.context().space, Module: b.context().module, Binary: b.context().binary, Size: 8, Signed: true}
	if inner := en.Body.Targets[operand]; inner != nil {
		acc.Result, acc.Type = inner.Result, inner.Type
		if acc.Result == ResultPretty || acc.Result == ResultVars {
			acc.Result = ResultString
		}
	} else if en.Body.bad[operand] {
		b.body.bad[x] = true
		return
	}
	b.body.Targets[x] = acc
	if tv, ok := x.(*syntax.TargetVar); ok && b.quiet == 0 {
		if u := b.e.units[x.File()]; u == nil || !u.library {
			b.e.errorAt(codeEntryUse, tv, "confusing usage, value is captured as @entry(%s) in .return probe", k).
				fix(diag.Fix{Message: "write @entry", Edits: []diag.Edit{{Range: syntax.Range(tv), NewText: "@entry(" + k + ")"}}})
		}
	}
}

// atop resolves the @ operators that are no casts. It reports whether x is one.
func (b *bodyState) atop(x *syntax.AtOp) bool {
	str := func(i int) (string, bool) {
		if i < len(x.Args) {
			if s, ok := x.Args[i].(*syntax.StringLit); ok {
				return s.Value, true
			}
		}
		return "", false
	}
	switch x.Op {
	case syntax.AtCast, syntax.AtVar:
		return false
	case syntax.AtDefined:
		if _, ok := b.decide(x); !ok && len(x.Args) == 1 {
			b.quiet++ // on trust
			b.expr(x.Args[0])
			b.quiet--
		}
	case syntax.AtEntry:
		if len(x.Args) != 1 {
			return true
		}
		switch c := b.context(); {
		case c != nil && c.open:
			b.expr(x.Args[0])
			b.e.unresolved = true
		case c == nil || c.entry == nil:
			// An error only in code that is left: see accesses.
			if b.strayEntry == nil {
				b.strayEntry = map[*syntax.AtOp]bool{}
			}
			b.strayEntry[x], b.body.bad[x], b.body.Types[x] = true, true, Long
		default:
			b.entry(x, x.Args[0])
		}
	case syntax.AtPerf:
		name, ok := str(0)
		if ok && b.e.counters[name] == nil {
			b.error(codePerf, x, "unresolved perf counter '%s'%s", name, similar(name, sortedKeys(b.e.counters))).
				help("declare it with a probe perf.type(…).config(…).counter(%q)", name)
			b.body.bad[x] = true
			return true
		}
		b.body.Targets[x] = &Access{Base: BasePerf, Name: name, Size: 8, Signed: true, Path: &ctype.Path{}, Counter: b.e.counters[name]}
		b.body.UsesTarget = true
	case syntax.AtEnum, syntax.AtConst:
		if unknownArg(x.Args) {
			b.e.unresolved = true
			return true
		}
		name, ok := str(0)
		if !ok {
			return true
		}
		b.constant(x, strings.TrimSpace(name))
	case syntax.AtEnumName:
		if len(x.Args) > 0 {
			b.expr(x.Args[0])
		}
		b.enumName(x)
	case syntax.AtProbeWrite:
		if len(x.Args) == 1 {
			b.probeWrite(x)
		}
	case syntax.AtKregister, syntax.AtUregister:
		n, ok := int64(0), false
		if len(x.Args) == 1 {
			if l, isLit := x.Args[0].(*syntax.NumberLit); isLit {
				n, ok = l.Value, true
			}
		}
		if !ok || n < 0 || n > 127 {
			b.error(codeRegister, x, "a register is given by its DWARF number")
			b.body.bad[x] = true
			return true
		}
		acc := &Access{Base: BaseRegister, Name: "@kregister", N: int(n), Size: 8, Signed: true, Path: &ctype.Path{}}
		if x.Op == syntax.AtUregister {
			acc.Name, acc.Space = "@uregister", UserSpace
		}
		b.body.Targets[x] = acc
		b.body.UsesTarget = true
	case syntax.AtKderef, syntax.AtUderef:
		var size int64
		if len(x.Args) == 2 {
			if l, ok := x.Args[0].(*syntax.NumberLit); ok {
				size = l.Value
			}
			b.expr(x.Args[1])
		}
		if size != 1 && size != 2 && size != 4 && size != 8 {
			b.error(codeRegister, x, "the size must be 1, 2, 4 or 8 bytes")
			b.body.bad[x] = true
			return true
		}
		t := &ctype.Int{Name: fmt.Sprintf("uint%d_t", size*8), Bytes: size}
		ptr := &ctype.Pointer{Elem: t, Bytes: 8}
		path, err := ctype.Resolve(ptr, []ctype.Step{{Kind: ctype.StepDeref}})
		if err != nil {
			return true
		}
		acc := &Access{Base: BaseExpr, X: x.Args[1], Name: "@kderef", BaseType: ptr, Path: path, Type: t, Size: int(size)}
		if x.Op == syntax.AtUderef {
			acc.Name, acc.Space = "@uderef", UserSpace
		}
		b.body.Targets[x] = acc
	}
	return true
}

// probeWrite decides @probewrite(name): whether those who use the alias write the
// variable. In an alias these are the probe's body and the aliases between.
func (b *bodyState) probeWrite(x *syntax.AtOp) {
	id, ok := x.Args[0].(*syntax.Ident)
	if !ok {
		return
	}
	if b.probe == nil || len(b.blocks) == 0 || !slices.ContainsFunc(b.probe.Chain, func(d Derivation) bool { return d.Alias != nil }) {
		b.error(codeProbeWrite, x, "unexpected @probewrite").
			help("it tells an alias whether a probe that uses it writes the variable; this is no alias")
		b.body.bad[x] = true
		return
	}
	users := []*syntax.Block{b.probe.Decl.Body}
	for _, d := range slices.Backward(b.probe.Chain) {
		if d.Alias == nil {
			continue
		}
		if within(x, d.Alias.Body) || within(x, d.Alias.Epilogue) {
			break
		}
		if !within(x, b.probe.Decl.Body) {
			users = append(users, d.Alias.Body, d.Alias.Epilogue)
		}
	}
	b.body.Consts[x] = longConst(0)
	for _, bl := range users {
		if bl != nil && writes(bl, id.Name) {
			b.body.Consts[x] = longConst(1)
		}
	}
}

// within reports whether x stands in a block, which may be nil.
func within(x syntax.Expr, bl *syntax.Block) bool {
	return bl != nil && x.File() == bl.File() && bl.First() <= x.First() && x.Last() <= bl.Last()
}

// writes reports whether a block assigns to a variable of the script or the target.
func writes(bl *syntax.Block, name string) bool {
	found := false
	isName := func(x syntax.Expr) bool {
		switch x := x.(type) {
		case *syntax.Ident:
			return x.Name == name
		case *syntax.Index:
			id, ok := x.X.(*syntax.Ident)
			return ok && id.Name == name
		case *syntax.TargetVar:
			return x.Name == name
		}
		return false
	}
	syntax.Inspect(bl, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.AssignExpr:
			found = found || isName(n.L)
		case *syntax.IncDec:
			found = found || isName(n.X)
		}
		return !found
	})
	return found
}

// constant resolves @enum("NAME") and @const("…"). The latter is C, of which only
// numbers and names of enumerators can be known.
func (b *bodyState) constant(x *syntax.AtOp, name string) {
	if n, ok := parseNumber(name); ok {
		b.body.Consts[x] = longConst(n)
		return
	}
	var err error
	if x.Op == syntax.AtConst {
		var n int64
		if n, err = evalC(name, b.enumerator, b.sizeOf); err == nil {
			b.body.Consts[x] = longConst(n)
			return
		}
	} else if n, ok := b.enumerator(name); ok {
		b.body.Consts[x] = longConst(n)
		return
	}
	if b.e.opt.Target == nil {
		b.e.note("enum", x, "no target to look up the constant '%s'", name)
		return
	}
	if x.Op == syntax.AtConst && !strings.HasPrefix(err.Error(), "unable") {
		b.error(codeEnumName, x, "the value of \"%s\" is not known: %v", name, err)
	} else {
		if err == nil {
			err = fmt.Errorf("unable to find enumerator '%s'", name)
		}
		bd := b.error(codeEnumName, x, "%v", err)
		if x.Op == syntax.AtConst {
			bd.help("numbers, enumerators and sizes of types are known; a #define is not part of the kernel's type information")
		}
	}
	b.body.bad[x] = true
}

// enumName resolves @enumname(value [, "type" [, "module"]]): the text is looked up
// in the enumerators, or if no type is given, in those of the value's C type.
func (b *bodyState) enumName(x *syntax.AtOp) {
	var t ctype.Type
	if len(x.Args) > 1 {
		name, ok := x.Args[1].(*syntax.StringLit)
		if !ok {
			return
		}
		module := ""
		if len(x.Args) > 2 {
			if m, ok := x.Args[2].(*syntax.StringLit); ok {
				module = m.Value
			}
		}
		if b.e.opt.Target == nil {
			b.e.note("cast", x, "no target to look up the type '%s'", name.Value)
			return
		}
		found, f := b.typeByName(name.Value, module)
		if f != nil {
			b.targetFailed(x, f)
			return
		}
		t = found.Type
	} else if len(x.Args) == 1 {
		if v := b.valueOf(x.Args[0], 0); v != nil {
			t = v.Type
		}
	}
	en, ok := enumOf(t)
	if !ok {
		if c := b.context(); c != nil && c.open {
			b.e.unresolved = true
			return
		}
		b.error(codeEnumName, x, "the enumeration of the value is not known").help(`name it: @enumname(value, "enum_name")`)
		b.body.bad[x] = true
		return
	}
	b.body.Targets[x] = &Access{Base: BaseExpr, X: x.Args[0], BaseType: en, Type: en, Path: &ctype.Path{}, Result: ResultEnumName}
}

func enumOf(t ctype.Type) (*ctype.Enum, bool) {
	if t == nil {
		return nil, false
	}
	e, ok := ctype.Strip(t).(*ctype.Enum)
	return e, ok
}

// hops are those of a path that may be nil.
func hops(p *ctype.Path) []ctype.Hop {
	if p == nil {
		return nil
	}
	return p.Hops
}

// access resolves without recording: the way to what a target variable, cast,
// variable of the target, autocast or address stands for.
func (b *bodyState) access(x syntax.Expr, write bool) (*Access, *fail) {
	switch x := x.(type) {
	case *syntax.TargetVar:
		return b.variableAccess(x, false)
	case *syntax.AddrOf:
		var acc *Access
		var f *fail
		switch y := x.X.(type) {
		case *syntax.TargetVar:
			if b.atEntry(y) {
				return nil, failf(codeAccess, nil, "the address of '%s' cannot be taken in a return probe", y.Name)
			}
			acc, f = b.variableAccess(y, true)
		case *syntax.AtOp:
			acc, f = b.castAccess(y, true)
		case *syntax.Autocast:
			acc, f = b.autocastAccess(y, true)
			if f == waiting && b.addrs == nil {
				b.addrs = map[*syntax.Autocast]*syntax.AddrOf{}
			}
			if f == waiting {
				b.addrs[y] = x
			}
		default:
			b.expr(x.X)
			return nil, failf(codeAccess, x.X, "the address of this cannot be taken")
		}
		return acc, f
	case *syntax.AtOp:
		return b.castAccess(x, false)
	case *syntax.Autocast:
		return b.autocastAccess(x, false)
	}
	return nil, failf(codeAccess, x, "no variable of the target")
}

func (b *bodyState) variableAccess(x *syntax.TargetVar, addr bool) (*Access, *fail) {
	b.body.UsesTarget = true
	c := b.context()
	if c == nil {
		return nil, failf(codeUnresolvedTarget, x, "unresolved target-symbol expression")
	}
	name := strings.TrimPrefix(x.Name, "$")
	if strings.HasPrefix(name, "$") {
		if s, ok := c.consts[x.Name]; ok {
			return &Access{Base: BaseConst, Const: Const{Type: String, Str: s}, Name: x.Name, Result: ResultString, Path: &ctype.Path{}}, nil
		}
		return b.varsAccess(x)
	}
	if name == "value" && c.value {
		return &Access{Base: BaseValue, Name: x.Name, Result: ResultString, Path: &ctype.Path{}}, nil
	}
	v := c.lookup(name)
	if name == "return" && v == nil {
		v = c.ret
	}
	if v == nil && c.globals != nil {
		v = c.globals(name)
	}
	if v == nil {
		if c.open {
			b.e.unresolved = true
			b.walkIndexes(x.Access)
			return openAccess(x.Name, x.Pretty != syntax.NoPretty), nil
		}
		if name == "return" && c.entry != nil {
			return nil, failf(codeUnresolvedTarget, x, "unable to find return value: %s returns nothing", c.what)
		}
		msg := fmt.Sprintf("unable to find local '%s'", name)
		if c.what != "" {
			msg += " in " + c.what
		}
		if len(c.vars) == 0 && c.ret == nil {
			msg = fmt.Sprintf("unresolved target-symbol expression: %s has no variables", c.what)
		}
		f := failf(codeUnresolvedTarget, x, "%s", msg)
		if alt := c.names(); len(alt) > 0 {
			if sim := ctype.Similar(x.Name, alt, 5); len(sim) > 0 {
				alt = sim
			}
			f.message += " (alternatives: " + strings.Join(firstN(alt, 12), ", ") + ")"
		}
		return nil, f
	}
	if v.why != "" {
		return nil, failf(codeUnresolvedTarget, x, "%s", v.why)
	}
	base := v.acc
	base.Name = x.Name
	if base.BaseType == nil {
		base.BaseType = v.typ
	}
	return b.follow(&base, x.Access, x, addr, v.prefix...)
}

func openAccess(name string, text bool) *Access {
	acc := &Access{Name: name, Size: 8, Signed: true, Path: &ctype.Path{}}
	if text {
		acc.Result = ResultPretty
	}
	return acc
}

func (b *bodyState) walkIndexes(a syntax.Access) {
	for _, s := range a.Path {
		if s.Index != nil {
			b.expr(s.Index)
		}
	}
}

// varsAccess resolves $$vars, $$parms, $$locals and $$return.
func (b *bodyState) varsAccess(x *syntax.TargetVar) (*Access, *fail) {
	c := b.context()
	if c.open {
		b.e.unresolved = true
		acc := openAccess(x.Name, true)
		acc.Result = ResultVars
		return acc, nil
	}
	if c.lists != nil && !slices.Contains(c.lists, x.Name) {
		return nil, failf(codeUnresolvedTarget, x, "unresolved target-symbol expression%s", similar(x.Name, append(sortedKeys(c.consts), append(c.names(), c.lists...)...))).
			withHelp("%s has no '%s'", c.what, x.Name)
	}
	acc := &Access{Name: x.Name, Result: ResultVars, Pretty: x.Pretty, Deep: x.Pretty == syntax.PrettyDeep, Space: c.space, Module: c.module, Binary: c.binary, Path: &ctype.Path{}}
	add := func(v *ctxVar) {
		e := Var{Name: v.name}
		if v.why == "" {
			base := v.acc
			base.Name = "$" + v.name
			if base.BaseType == nil {
				base.BaseType = v.typ
			}
			if a, f := b.follow(&base, syntax.Access{Pretty: x.Pretty}, x, composite(v.typ) && x.Pretty == syntax.NoPretty, v.prefix...); f == nil {
				e.Access = a
			}
		}
		acc.Vars = append(acc.Vars, e)
	}
	switch x.Name {
	case "$$vars", "$$parms", "$$locals":
		src := c
		if c.entry != nil {
			src = c.entry
		}
		for i := range src.vars {
			v := &src.vars[i]
			if v.hidden || v.local && x.Name == "$$parms" || !v.local && x.Name == "$$locals" {
				continue
			}
			if c.lists != nil { // of process.syscall, whose arguments SystemTap writes "$arg1=…"
				if v.name == "syscall" {
					continue
				}
				add(v)
				acc.Vars[len(acc.Vars)-1].Name = "$" + v.name
				continue
			}
			add(v)
		}
		if c.entry != nil && len(acc.Vars) > 0 {
			return nil, failf(codeUnresolvedTarget, x, "'%s' is of the entry: use @entry(%s)", x.Name, x.Name)
		}
	case "$$return":
		if c.ret != nil {
			add(c.ret)
		}
	default:
		return nil, failf(codeUnresolvedTarget, x, "unresolved target-symbol expression%s",
			similar(x.Name, append(sortedKeys(c.consts), "$$vars", "$$parms", "$$locals", "$$return")))
	}
	return acc, nil
}

// follow goes from a base along accessors. The base's BaseType says what it is: a
// value of that type, or with BaseAddr the address of one.
func (b *bodyState) follow(base *Access, a syntax.Access, node syntax.Expr, addr bool, prefix ...ctype.Step) (*Access, *fail) {
	acc := *base
	acc.Pretty, acc.Deep = a.Pretty, a.Pretty == syntax.PrettyDeep
	root := acc.BaseType
	var steps []ctype.Step
	var nodes []*syntax.Accessor
	if acc.BaseAddr {
		root = &ctype.Pointer{Elem: acc.BaseType, Bytes: 8}
		steps = append(steps, ctype.Step{Kind: ctype.StepDeref})
		nodes = append(nodes, nil)
		acc.Index = append(acc.Index, nil)
	}
	for _, s := range prefix {
		steps = append(steps, s)
		nodes = append(nodes, nil)
		acc.Index = append(acc.Index, nil)
	}
	for _, s := range a.Path {
		step := ctype.M(s.Member)
		var index syntax.Expr
		if s.Index != nil {
			if n, ok := literal(s.Index); ok {
				step = ctype.I(n)
			} else {
				step = ctype.Step{Kind: ctype.StepIndex, Dynamic: true}
				index = s.Index
				b.expr(index)
			}
		}
		steps = append(steps, step)
		nodes = append(nodes, s)
		acc.Index = append(acc.Index, index)
	}
	if root == nil {
		if len(steps) > 0 || a.Pretty != syntax.NoPretty {
			return nil, failf(codeAccess, node, "the type of '%s' is not known", acc.Name)
		}
		acc.Path = &ctype.Path{}
		if acc.Size == 0 {
			acc.Size, acc.Signed = 8, true
		}
		return &acc, nil
	}
	path, err := ctype.Resolve(root, steps)
	if err != nil {
		return nil, pathFail(err, nodes, node)
	}
	acc.Type = path.Type
	if !acc.BaseAddr && (composite(root) || acc.inParts()) {
		var f *fail
		if path, f = b.held(&acc, path, addr, node); f != nil {
			return nil, f
		}
	}
	acc.Path = path
	if acc.Trusted {
		if _, ok := ctype.AsPointer(root); !ok {
			acc.Trusted = false
		}
	}
	switch {
	case a.Pretty != syntax.NoPretty:
		acc.Result = ResultPretty
		return &acc, nil
	case addr:
		if len(path.Hops) == 0 {
			return nil, failf(codeAccess, node, "'%s' is held in a register and has no address", acc.Name)
		}
		if path.Bits != nil {
			return nil, failf(codeAccess, node, "a bit-field has no address")
		}
		acc.Result, acc.Size, acc.Signed = ResultAddr, 8, false
		acc.addrOf = true
		return &acc, nil
	}
	switch t := ctype.Strip(path.Type).(type) {
	case *ctype.Array:
		acc.Result, acc.Size, acc.Signed = ResultAddr, 8, false
		if len(path.Hops) == 0 {
			return nil, failf(codeAccess, node, "'%s' is an array without an address", acc.Name)
		}
	case *ctype.Struct, *ctype.Forward:
		at := node
		f := failf(codeAccess, at, "'%s' is being accessed instead of a member", ctype.Unqualified(path.Type))
		f.help = "add ->member, or & in front for its address, or $ behind to print it"
		return nil, f
	case *ctype.Float:
		return nil, failf(codeAccess, node, "floating-point type '%s' cannot be read", t.Name)
	case *ctype.Void, *ctype.Func:
		return nil, failf(codeAccess, node, "type '%s' has no value", path.Type)
	default:
		acc.Size, acc.Signed = int(path.Type.Size()), ctype.IsSigned(path.Type)
		if acc.Size != 1 && acc.Size != 2 && acc.Size != 4 && acc.Size != 8 {
			return nil, failf(codeAccess, node, "type '%s' of %d bytes cannot be read as a number", path.Type, acc.Size)
		}
	}
	return &acc, nil
}

func literal(x syntax.Expr) (int64, bool) {
	switch x := x.(type) {
	case *syntax.NumberLit:
		return x.Value, true
	case *syntax.Unary:
		if x.Op == syntax.Sub {
			n, ok := literal(x.X)
			return -n, ok
		}
	}
	return 0, false
}

// pathFail puts an error of ctype into words, at the accessor that it is about.
func pathFail(err error, nodes []*syntax.Accessor, node syntax.Expr) *fail {
	at := func(step int) syntax.Node {
		if step < len(nodes) && nodes[step] != nil {
			return nodes[step]
		}
		return node
	}
	var me *ctype.MemberError
	if errors.As(err, &me) {
		alt := me.Similar
		if len(alt) == 0 {
			alt = me.Members
		}
		holder := strings.TrimPrefix(strings.TrimPrefix(ctype.Name(me.Type), "struct "), "union ")
		if me.Step > 0 && me.Step-1 < len(nodes) && strings.HasPrefix(holder, "{") {
			holder = nodes[me.Step-1].Member
		}
		if g, ok := goneMember(holder, me.Name); ok {
			return failf(codeGoneMember, at(me.Step), "unable to find member '%s' for %s: none of Linux 6.1, 6.12 and 6.18 has it", me.Name, me.Type).
				withHelp("%s: %s", g.instead, g.why)
		}
		f := failf(codeMember, at(me.Step), "unable to find member '%s' for %s", me.Name, me.Type)
		if len(alt) > 0 {
			more := ""
			if len(alt) > 20 {
				alt, more = alt[:20], ", …"
			}
			f.message += " (alternatives: " + strings.Join(alt, ", ") + more + ")"
		}
		return f
	}
	var ae *ctype.AccessError
	if errors.As(err, &ae) {
		return failf(codeAccess, at(ae.Step), "%s", ae.Error())
	}
	return failf(codeAccess, node, "%s", err)
}

// castAccess resolves @cast and @var.
func (b *bodyState) castAccess(x *syntax.AtOp, addr bool) (*Access, *fail) {
	arg := func(i int) string {
		if i < len(x.Args) {
			if s, ok := x.Args[i].(*syntax.StringLit); ok {
				return s.Value
			}
		}
		return ""
	}
	switch x.Op {
	case syntax.AtCast:
		if len(x.Args) < 2 {
			return nil, failf(codeCastType, x, "@cast needs a value and a type")
		}
		b.expr(x.Args[0])
		if unknownArg(x.Args[1:]) {
			b.e.unresolved = true
			b.walkIndexes(x.Access)
			return openAccess("@cast", x.Pretty != syntax.NoPretty), nil
		}
		if !b.e.hasTypes(b, arg(2)) {
			b.e.note("cast", x, "no target to look up the type '%s'", arg(1))
			b.walkIndexes(x.Access)
			return openAccess("@cast", x.Pretty != syntax.NoPretty), nil
		}
		v, f := b.typeByName(arg(1), arg(2))
		if f != nil {
			f.node = x
			return nil, f
		}
		base := &Access{Base: BaseExpr, X: x.Args[0], Name: "@cast", Space: v.Space, Binary: v.Path, Module: v.module,
			BaseType: v.Type, Size: 8, Signed: true}
		if _, ok := ctype.AsPointer(v.Type); !ok || v.pointee {
			base.BaseType = &ctype.Pointer{Elem: v.Type, Bytes: 8}
		}
		if len(x.Path) == 0 && x.Pretty == syntax.NoPretty {
			addr = false // the value itself is the address
		}
		if len(x.Path) == 0 && x.Pretty != syntax.NoPretty {
			// What is printed is the object, not the pointer to it.
			base.BaseAddr, base.BaseType = true, v.Type
		}
		return b.follow(base, x.Access, x, addr)
	case syntax.AtVar:
		return b.symbolAccess(x, arg(0), arg(1), addr)
	}
	for _, a := range x.Args {
		b.expr(a)
	}
	return nil, failf(codeAccess, x, "this has no address")
}

// unknownArg reports whether an argument is a script argument that nobody gave.
func unknownArg(args []syntax.Expr) bool {
	for _, a := range args {
		if _, ok := a.(*syntax.ScriptArg); ok {
			return true
		}
	}
	return false
}

// typeByName finds a type for @cast: "struct foo", "foo", "foo*", in a module as
// the third argument names it.
func (b *bodyState) typeByName(name, module string) (*namedType, *fail) {
	base := strings.TrimSpace(name)
	stars := 0
	for strings.HasSuffix(base, "*") {
		base = strings.TrimSpace(strings.TrimSuffix(base, "*"))
		stars++
	}
	for _, q := range []string{"const ", "volatile "} {
		base = strings.TrimPrefix(base, q)
	}
	nt, names := b.e.findType(b, base, module)
	if nt == nil {
		where := module
		if where == "" {
			where = "the target"
			if c := b.context(); c != nil && c.binary != "" {
				where = c.binary
			}
		}
		return nil, failf(codeCastType, nil, "type definition '%s' not found in '%s'%s", name, where, similar(strings.TrimPrefix(strings.TrimPrefix(base, "struct "), "union "), names))
	}
	nt.pointee = true
	for i := 0; i < stars; i++ {
		// "foo*" says the pointer itself: @cast(p, "foo") and @cast(p, "foo*") read alike.
		if i > 0 {
			nt.Type = &ctype.Pointer{Elem: nt.Type, Bytes: 8}
		}
	}
	return nt, nil
}

// autocastAccess resolves value->member.
func (b *bodyState) autocastAccess(x *syntax.Autocast, addr bool) (*Access, *fail) {
	b.expr(x.X)
	b.walkIndexes(x.Access)
	v := b.valueOf(x.X, 0)
	if v == nil {
		if c := b.context(); c != nil && c.open || b.e.noted["cast"] {
			b.e.unresolved = true
			return openAccess("->", x.Pretty != syntax.NoPretty), nil
		}
		if !b.lastChance && b.quiet == 0 {
			b.autocasts = append(b.autocasts, x)
			return nil, waiting
		}
		return nil, failf(codeAutocast, x, "the C type of the value before '->' is not known").withHelp(`name it: @cast(value, "type")->member`)
	}
	base := &Access{Base: BaseExpr, X: x.X, BaseType: v.Type, Space: v.Space, Binary: v.Path, Module: v.module, Name: "->", Size: 8, Signed: true}
	return b.follow(base, x.Access, x, addr)
}

// autocastNow resolves an autocast that had to wait.
func (b *bodyState) autocastNow(x *syntax.Autocast) {
	b.lastChance = true
	defer func() { b.lastChance = false }()
	if a := b.addrs[x]; a != nil {
		b.target(a, false)
		return
	}
	b.target(x, false)
}

// value gives the C type of the script value that an access yields.
func (a *Access) value() *Value {
	if a.Type == nil && a.BaseType == nil {
		return nil
	}
	v := &Value{Type: a.Type, Space: a.Space, Path: a.Binary, module: a.Module}
	if v.Type == nil {
		v.Type = a.BaseType
	}
	switch a.Result {
	case ResultInt:
		switch ctype.Strip(v.Type).(type) {
		case *ctype.Pointer, *ctype.Enum:
			return v
		}
		return nil
	case ResultAddr:
		if !a.addrOf {
			if arr, ok := ctype.Strip(v.Type).(*ctype.Array); ok {
				v.Type = arr.Elem
			}
		}
		v.Type = &ctype.Pointer{Elem: v.Type, Bytes: 8}
		return v
	}
	return nil
}
