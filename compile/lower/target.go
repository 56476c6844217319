package lower

import (
	"encoding/hex"
	"sort"
	"strings"

	"stapkit/format"
	"stapkit/ir"
	"stapkit/sema"
	"stapkit/syntax"
	"stapkit/target/ctype"
)

// access lowers a target variable, cast or member access.
func (b *body) access(x syntax.Expr, acc *sema.Access) ir.Expr {
	switch acc.Result {
	case sema.ResultString:
		switch acc.Base {
		case sema.BaseConst:
			return &ir.StrConst{S: b.clip(acc.Const.Str)}
		case sema.BaseValue:
			return b.intrinsic(ir.IValue, ir.Type{Kind: ir.Str}, b.site(x))
		case sema.BaseEntry:
			e, ok := b.base(x, acc)
			if !ok {
				return &ir.StrConst{}
			}
			return e
		}
	case sema.ResultVars:
		return b.vars(x, acc)
	case sema.ResultEnumName:
		return b.enumName(x, acc)
	case sema.ResultPretty:
		return b.pretty(x, acc)
	case sema.ResultInt, sema.ResultAddr:
		base, ok := b.base(x, acc)
		if !ok {
			return &ir.IntConst{}
		}
		return b.path(x, acc, base)
	}
	b.errorf(x, "E2018", "%s cannot be read from a handler here", acc.Name)
	return zero(b.src.Types[x])
}

func space(s sema.Space) ir.Space {
	if s == sema.UserSpace {
		return ir.UserSpace
	}
	return ir.KernelSpace
}

// path follows the hops of an access from its base.
func (b *body) path(x syntax.Expr, acc *sema.Access, cur ir.Expr) ir.Expr {
	site := b.site(x)
	sp := space(acc.Space)
	if acc.Path == nil || len(acc.Path.Hops) == 0 {
		if acc.BaseAddr && acc.Result == sema.ResultInt {
			return &ir.Load{Addr: cur, Size: acc.Size, Signed: acc.Signed, Space: sp, Site: site}
		}
		return cur
	}
	trusted := acc.Trusted
	for i := range acc.Path.Hops {
		hop := &acc.Path.Hops[i]
		last := i == len(acc.Path.Hops)-1
		load, size, signed := !last || acc.Result == sema.ResultInt, pointerSize(hop.Type), false
		if last {
			size, signed = acc.Size, acc.Signed
		}
		f := &ir.Field{
			Base: cur, Off: int(hop.Offset), Size: size, Signed: signed,
			AddrOnly: !load, Trusted: trusted, Space: sp, Site: site, TypeID: -1,
		}
		if hop.Relocatable() && sp == ir.KernelSpace {
			f.TypeID, f.Access = b.typeRef(x, hop, acc.Module)
		}
		if bits := acc.Path.Bits; last && load && bits != nil {
			f.Size, f.Signed = int(bits.Storage), bits.Signed
			f.BitOff, f.BitSize = int(bits.Bit), int(bits.Bits)
		}
		if len(hop.Dynamic) == 0 {
			cur = f
		} else {
			f.AddrOnly = true
			var addr ir.Expr = f
			for _, d := range hop.Dynamic {
				idx := b.expr(acc.Index[b.dynamicIndex(acc, d)])
				addr = &ir.Binary{Op: ir.OpAdd, T: ir.TInt, Site: site, X: addr,
					Y: &ir.Binary{Op: ir.OpMul, T: ir.TInt, Site: site, X: idx, Y: &ir.IntConst{V: d.Stride}}}
			}
			cur = addr
			if load {
				cur = &ir.Load{Addr: addr, Size: size, Signed: signed, Space: sp, Site: site}
			}
		}
		trusted = false
	}
	return cur
}

func (b *body) dynamicIndex(acc *sema.Access, d ctype.Dynamic) int {
	return min(max(d.Step, 0), len(acc.Index)-1)
}

// typeRef enters the root of a hop in the program's type table, reduced to the
// one chain of members that the hop names, and returns its number with the
// access string in the reduced type.
func (l *lowerer) typeRef(n syntax.Node, hop *ctype.Hop, module string) (int, string) {
	root, access := ctype.Reduce(hop)
	enc, err := ctype.Encode(root)
	if err != nil {
		l.errorf(n, "E2019", "the type of this access cannot be kept in a bundle: %v", err)
		return -1, ""
	}
	ref := ir.TypeRef{Module: module, Members: enc}
	switch t := root.(type) {
	case *ctype.Struct:
		ref.Name = t.Name
		ref.Kind = strings.Fields(t.Kind.String())[0]
	case *ctype.Typedef:
		ref.Kind, ref.Name = "typedef", t.Name
	}
	key := ref.Kind + " " + ref.Name + "\x00" + module + "\x00" + hex.EncodeToString(enc)
	if i, ok := l.types[key]; ok {
		return i, access
	}
	i := len(l.out.Types)
	l.out.Types = append(l.out.Types, ref)
	l.types[key] = i
	return i, access
}

// exists lowers @defined where the host decides.
func (b *body) exists(acc *sema.Access, c sema.Const) ir.Expr {
	if acc.Path == nil || len(acc.Path.Hops) == 0 || acc.Space == sema.UserSpace || acc.Binary != "" {
		return &ir.IntConst{V: c.Int} // of a program: decided by its debug information
	}
	var out ir.Expr
	for i := range acc.Path.Hops {
		hop := &acc.Path.Hops[i]
		if !hop.Relocatable() {
			continue
		}
		id, access := b.typeRef(acc.X, hop, acc.Module)
		var e ir.Expr = &ir.Exists{TypeID: id, Access: access}
		if out != nil {
			e = &ir.Logical{And: true, X: out, Y: e}
		}
		out = e
	}
	if out == nil {
		return &ir.IntConst{V: c.Int}
	}
	return out
}

func (l *lowerer) layout(n syntax.Node, t ctype.Type) int {
	enc, err := ctype.Encode(t)
	if err != nil {
		l.errorf(n, "E2019", "the type of this access cannot be kept in a bundle: %v", err)
		return 0
	}
	if i, ok := l.layouts[string(enc)]; ok {
		return i
	}
	i := len(l.out.Layouts)
	l.out.Layouts = append(l.out.Layouts, enc)
	l.layouts[string(enc)] = i
	return i
}

// maxCapture bounds what one pretty-printed value takes along, in bytes; maxTexts how many
// texts that it points at go with it, and maxTextBytes how many bytes all these have.
const (
	maxCapture   = 1024
	maxTexts     = 16
	maxTextBytes = 1024
)

// pretty lowers $x$ and $x$$: the object's bytes are captured, the loader makes
// the text.
func (b *body) pretty(x syntax.Expr, acc *sema.Access) ir.Expr {
	if len(acc.Words) > 0 {
		return b.prettyWords(x, acc)
	}
	base, ok := b.base(x, acc)
	if !ok {
		return &ir.StrConst{}
	}
	t := acc.Type
	var flags uint32
	if acc.Deep {
		flags = ir.TypeDeep
	}
	mt := &ir.MakeText{Kind: ir.TextType, Flags: flags, Space: space(acc.Space), Site: b.site(x)}
	value := *acc
	value.Result = sema.ResultAddr
	switch {
	case (acc.Path == nil || len(acc.Path.Hops) == 0) && !acc.BaseAddr:
		// The base itself is the value: a number or a pointer. A pointer is
		// followed: what it points at is shown.
		if p, ok := ctype.AsPointer(t); ok && !isVoid(p.Elem) {
			t = p.Elem
			mt.Args = []ir.Expr{base}
		} else {
			mt.Immediate = true
			mt.Args = []ir.Expr{base}
		}
	default:
		if p, ok := ctype.AsPointer(t); ok && !isVoid(p.Elem) {
			value.Result, value.Size = sema.ResultInt, pointerSize(t)
			t = p.Elem
		}
		mt.Args = []ir.Expr{b.path(x, &value, base)}
	}
	mt.Layout = b.layout(x, t)
	mt.Size = int(min(max(t.Size(), 8), maxCapture))
	if ctype.IsChar(t) && !mt.Immediate {
		// char *: text up to its NUL
		mt.Kind = ir.TextType
		mt.Size = b.textWidth(1)
		mt.Flags |= ir.TypeString
	}
	if mt.Immediate {
		mt.Size = 8
	}
	words := (mt.Size + 7) / 8
	width := 16 + 8*words
	if !mt.Immediate && mt.Flags&ir.TypeString == 0 {
		mt.Pointers, mt.PointerSize = ctype.TextPointers(t, acc.Deep, int64(mt.Size), maxTexts)
		if n := len(mt.Pointers); n > 0 {
			each := b.textWidth(n)
			mt.Flags |= ir.PointedTextFlags(words, each/8)
			width += n * (8 + each)
		}
	}
	mt.T = ir.Type{Kind: ir.Deferred, Text: mt.Kind, Width: width}
	return mt
}

// textWidth is how many bytes each of n texts may have that an object points at.
func (b *body) textWidth(n int) int {
	return max(min(b.opt.Limits.MaxStringLen, ir.MaxPointedText, maxTextBytes/n)&^7, 8)
}

// prettyWords is pretty of an object that lies in registers, or in several places.
func (b *body) prettyWords(x syntax.Expr, acc *sema.Access) ir.Expr {
	mt := &ir.MakeText{Kind: ir.TextType, Immediate: true, Layout: b.layout(x, acc.Type), Site: b.site(x)}
	if acc.Deep {
		mt.Flags = ir.TypeDeep
	}
	for i := range acc.Words[:min(len(acc.Words), ir.MaxImmediate)] {
		mt.Args = append(mt.Args, b.access(x, &acc.Words[i]))
	}
	mt.Size = 8 * len(mt.Args)
	mt.T = ir.Type{Kind: ir.Deferred, Text: mt.Kind, Width: 16 + mt.Size}
	return mt
}

// pointerSize is how many bytes a pointer has: 4 in the memory of a 32-bit program.
func pointerSize(t ctype.Type) int {
	if p, ok := ctype.AsPointer(t); ok && p.Bytes == 4 {
		return 4
	}
	return 8
}

func isVoid(t ctype.Type) bool {
	_, ok := ctype.Strip(t).(*ctype.Void)
	return ok
}

// vars lowers the $$vars family: each value as a number.
func (b *body) vars(x syntax.Expr, acc *sema.Access) ir.Expr {
	for _, v := range acc.Vars {
		if v.Access != nil && v.Access.Result == sema.ResultPretty {
			return b.prettyVars(x, acc)
		}
	}
	f := &ctype.Struct{Name: ""}
	var members []ctype.Member
	mt := &ir.MakeText{Kind: ir.TextParms, Site: b.site(x)}
	for i, v := range acc.Vars {
		if v.Access == nil { // not to be had at this place
			members = append(members, ctype.Member{Name: v.Name, Type: &ctype.Void{}, Bit: int64(64 * i)})
			mt.Args = append(mt.Args, &ir.IntConst{})
			continue
		}
		acc, whole := *v.Access, false
		if acc.Base == sema.BaseArg && acc.Result == sema.ResultInt && (acc.Path == nil || len(acc.Path.Hops) == 0) {
			// The whole word: the loader takes of it what the type says, and
			// functions with as many arguments have the same code.
			whole = true
		}
		val := b.access(x, &acc)
		if c, ok := val.(*ir.CtxArg); ok && whole {
			c.Size, c.Signed, c.Pointer = 8, true, false // it is only stored
		}
		if val.Type().Kind != ir.Int {
			val = &ir.IntConst{}
		}
		t := v.Access.Type
		if !ctype.IsScalar(t) {
			t = &ctype.Pointer{Elem: &ctype.Void{}, Bytes: 8}
		}
		members = append(members, ctype.Member{Name: v.Name, Type: t, Bit: int64(64 * i)})
		mt.Args = append(mt.Args, val)
	}
	f = ctype.NewStruct(f.Kind, "", int64(8*len(members)), members)
	mt.Layout = b.layout(x, f)
	mt.Size = 8 * len(mt.Args)
	mt.T = ir.Type{Kind: ir.Deferred, Text: ir.TextParms, Width: 8 + mt.Size}
	return mt
}

// prettyVars lowers the $$vars family with a suffix: what a pointer points at is
// shown, unless it is of no type; other values as their type prints them.
func (b *body) prettyVars(x syntax.Expr, acc *sema.Access) ir.Expr {
	var text []string
	var args []ir.Expr
	for _, v := range acc.Vars {
		if v.Access == nil { // not to be had at this place
			text = append(text, v.Name+"=?")
			continue
		}
		text = append(text, v.Name+"=%s")
		t := v.Access.Type
		p, pointer := ctype.AsPointer(t)
		if pointer && !isVoid(p.Elem) || !ctype.IsScalar(t) {
			args = append(args, b.access(x, v.Access))
			continue
		}
		value := *v.Access
		value.Result = sema.ResultInt
		value.Size, value.Signed = narrow(t)
		args = append(args, &ir.MakeText{
			Kind: ir.TextType, Args: []ir.Expr{b.access(x, &value)}, Layout: b.layout(x, t), Size: 8, Immediate: true,
			Space: space(acc.Space), T: ir.Type{Kind: ir.Deferred, Text: ir.TextType, Width: 24}, Site: b.site(x),
		})
	}
	f, err := format.Parse(strings.Join(text, " "))
	if err != nil {
		b.errorf(x, "E2016", "%v", err)
		return &ir.StrConst{}
	}
	return &ir.Sprintf{Format: b.format(f), Args: args, T: ir.Type{Kind: ir.Str}, Site: b.site(x)}
}

// enumName lowers @enumname: a look-up of the value among the type's enumerators.
func (b *body) enumName(x syntax.Expr, acc *sema.Access) ir.Expr {
	base, ok := b.base(x, acc)
	enum, isEnum := ctype.Strip(acc.Type).(*ctype.Enum)
	if !ok || !isEnum {
		return &ir.StrConst{}
	}
	name := "enum " + enum.Name
	i, ok := b.tables[name]
	if !ok {
		t := ir.Table{Name: name}
		seen := map[int64]bool{}
		for _, e := range enum.Values() {
			if !seen[e.Value] {
				seen[e.Value] = true
				t.Entries = append(t.Entries, ir.TableEntry{Value: e.Value, Name: e.Name})
			}
		}
		sort.Slice(t.Entries, func(i, j int) bool { return t.Entries[i].Value < t.Entries[j].Value })
		i = len(b.out.Tables)
		b.out.Tables = append(b.out.Tables, t)
		b.tables[name] = i
	}
	return &ir.Lookup{Table: i, X: base, T: ir.Type{Kind: ir.Str}}
}

// texts are the library functions whose text the loader makes: %{ intrinsic:text_… %}.
var texts = map[string]ir.Text{
	"text_ksym": ir.TextKSym, "text_ksymdata": ir.TextKSymData, "text_kmod": ir.TextKMod, "text_ksymfile": ir.TextKSymFile,
	"text_usym": ir.TextUSym, "text_usymdata": ir.TextUSymData, "text_umod": ir.TextUMod, "text_usymfile": ir.TextUSymFile,
	"text_kstack": ir.TextKStack, "text_kstacksym": ir.TextKStackSym, "text_kstackfull": ir.TextKStackFull,
	"text_ustack": ir.TextUStack, "text_ustacksym": ir.TextUStackSym, "text_ustackfull": ir.TextUStackFull,
	"text_ustackbrief": ir.TextUStackBrief,
	"text_ksymline":    ir.TextKSymLine, "text_usymline": ir.TextUSymLine, "text_umodbuildid": ir.TextUBuildID, "text_taskstack": ir.TextTaskStack,
	"text_ksymaddr": ir.TextKSymAddr, "text_usymfileline": ir.TextUSymFileLine, "text_ustackline": ir.TextUStackLine,
	"text_ksymfileline": ir.TextKSymFileLine, "text_kstackline": ir.TextKStackLine,
}

// textCall lowers a call of such a function: symbols of an address, or a stack.
func (b *body) textCall(x *syntax.Call, name string) ir.Expr {
	kind, ok := texts[name]
	if !ok {
		b.errorf(x, "E2014", "there is no intrinsic %q", name)
		return &ir.StrConst{}
	}
	site := b.site(x)
	mt := &ir.MakeText{Kind: kind, Site: site, T: ir.Type{Kind: ir.Deferred, Text: kind, Width: 8}}
	depth := max(b.opt.Limits.MaxBacktrace, 1)
	switch kind {
	case ir.TextKStack, ir.TextKStackSym, ir.TextKStackFull, ir.TextKStackLine:
		mt.T.Width = 8 + 8*depth
	case ir.TextUStack, ir.TextUStackSym, ir.TextUStackFull, ir.TextUStackBrief, ir.TextUStackLine:
		mt.T.Width = 16 + 8*depth
		mt.Space = ir.UserSpace
	case ir.TextUSym, ir.TextUSymData, ir.TextUMod, ir.TextUSymFile, ir.TextUSymLine, ir.TextUSymFileLine, ir.TextUBuildID:
		mt.T.Width = 16
		mt.Space = ir.UserSpace
		mt.Args = append([]ir.Expr{b.intrinsic(ir.IPid, ir.TInt, site)}, b.exprs(x.Args)...)
	default:
		mt.Args = b.exprs(x.Args)
	}
	return mt
}
