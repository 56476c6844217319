package ir

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"stapkit/format"
)

// Dump writes p as text for people and tests: tables first, then functions,
// handlers and regions, then probes. Locals are %0, %1 …; an expression whose
// result is a string of the planner's choice has its type behind it.
func Dump(w io.Writer, p *Program) error {
	b := bufio.NewWriter(w)
	d := dumper{w: b, p: p}
	d.program()
	return b.Flush()
}

type dumper struct {
	w *bufio.Writer // errors stay until Flush
	p *Program
}

func (d *dumper) line(indent int, format string, args ...any) {
	for range indent {
		d.w.WriteString("  ")
	}
	fmt.Fprintf(d.w, format, args...)
	d.w.WriteByte('\n')
}

func flags(list ...any) string {
	var out strings.Builder
	for i := 0; i+1 < len(list); i += 2 {
		if list[i].(bool) {
			out.WriteByte(' ')
			out.WriteString(list[i+1].(string))
		}
	}
	return out.String()
}

var shareNames = [...]string{"loader", "kernel", "shared"}

func (d *dumper) program() {
	p := d.p
	d.line(0, "program %q", p.Name)
	l := p.Limits
	d.line(0, "limits action=%d/%d string=%d entries=%d nesting=%d errors=%d skipped=%d trylock=%d backtrace=%d",
		l.MaxAction, l.MaxActionInterruptible, l.MaxStringLen, l.MaxMapEntries, l.MaxNesting, l.MaxErrors, l.MaxSkipped, l.MaxTryLock, l.MaxBacktrace)
	if l.HistElision != 0 {
		d.line(0, "histograms elision=%d", format.HistElision+l.HistElision)
	}
	if p.Locks > 0 {
		d.line(0, "locks %d", p.Locks)
	}
	if len(p.Needs) > 0 {
		d.line(0, "needs %s", strings.Join(p.Needs, " "))
	}
	for _, s := range p.Warnings {
		d.line(0, "warning %q", s)
	}
	for i, s := range p.Ksyms {
		d.line(0, "ksym %d %q", i, s)
	}
	for i, c := range p.Counters {
		d.line(0, "counter %d %s %d/%d", i, c.Name, c.Type, c.Config)
	}
	for i := range p.Globals {
		d.global(i, &p.Globals[i])
	}
	for i := range p.Formats {
		d.line(0, "format %d %s%s", i, quoteFormat(p.Formats[i].Text), typeList(p.Formats[i].Args))
	}
	for i, r := range p.Regexps {
		d.line(0, "regexp %d %q", i, r.Pattern)
	}
	for i := range p.Tables {
		t := &p.Tables[i]
		d.line(0, "table %d %s, %d entries, default %q%s", i, t.Name, len(t.Entries), t.Default, flags(t.Kind == TableFlags, "flags"))
	}
	for i, t := range p.Types {
		d.line(0, "type %d %s %s%s", i, t.Kind, t.Name, flags(t.Module != "", "module "+t.Module))
	}
	for i, b := range p.Layouts {
		d.line(0, "layout %d %d bytes", i, len(b))
	}
	for i, f := range p.Funcs {
		d.line(0, "function %d %s%s %s%s", i, f.Name, typeList(f.Locals[:min(max(f.Params, 0), len(f.Locals))]), f.Result,
			flags(f.Recursive, "recursive", f.Library, "library"))
		d.locals(f.Locals)
		d.stmts(1, f.Body)
	}
	for i, h := range p.Handlers {
		d.handler("handler", i, h)
	}
	for i, h := range p.Regions {
		if h != nil {
			d.handler("region", i, h)
		}
	}
	for i := range p.Probes {
		d.probe(i, &p.Probes[i])
	}
}

// quoteFormat quotes the text of a format, which has its own escapes.
func quoteFormat(s string) string {
	if strings.IndexFunc(s, unicode.IsControl) >= 0 {
		return strconv.Quote(s)
	}
	return `"` + s + `"`
}

func typeList(types []Type) string {
	if len(types) == 0 {
		return "()"
	}
	parts := make([]string, len(types))
	for i, t := range types {
		parts[i] = t.String()
	}
	return "(" + strings.Join(parts, ", ") + ")"
}

func (d *dumper) global(i int, g *Global) {
	keys := ""
	if g.IsArray() {
		keys = strings.NewReplacer("(", "[", ")", "]").Replace(typeList(g.Keys))
	}
	var init string
	switch {
	case g.InitStr != "":
		init = fmt.Sprintf(" = %q", g.InitStr)
	case g.InitInt != 0:
		init = fmt.Sprintf(" = %d", g.InitInt)
	}
	limit := ""
	if g.IsArray() {
		limit = fmt.Sprintf(" max %d", g.MaxEntries)
	}
	share := "share?"
	if int(g.Share) < len(shareNames) {
		share = shareNames[g.Share]
	}
	lock := ""
	if g.Lock >= 0 {
		lock = fmt.Sprintf(" lock %d", g.Lock)
	}
	stat := ""
	if s := g.Stat; g.Value.Kind == Stat {
		stat = " keeps count" + flags(s.Sum, "sum", s.Min, "min", s.Max, "max", s.Variance, fmt.Sprintf("variance<<%d", s.VarShift))
		switch s.Hist {
		case HistLog:
			stat += " hist_log"
		case HistLinear:
			stat += fmt.Sprintf(" hist_linear(%d,%d,%d)", s.Low, s.High, s.Step)
		}
	}
	d.line(0, "global %d %s%s %s%s %s slot %d%s%s%s%s", i, g.Name, keys, g.Value, init, share, g.Slot, limit, lock, stat,
		flags(g.Wrap, "wrap", g.Ordered, "ordered", g.Generations, "generations", g.Additive, "additive",
			g.AutoPrint, "autoprint", g.Settable, "settable", g.Library, "library"))
}

func (d *dumper) locals(types []Type) {
	if len(types) == 0 {
		return
	}
	parts := make([]string, len(types))
	for i, t := range types {
		parts[i] = fmt.Sprintf("%%%d %s", i, t)
	}
	d.line(1, "locals %s", strings.Join(parts, ", "))
}

var contextNames = [...]string{
	"loader", "raw_tp", "btf_tp", "tracepoint", "fentry", "fexit", "kprobe", "perf", "region", "lsm", "netfilter",
}

func (d *dumper) handler(what string, i int, h *Handler) {
	ctx := fmt.Sprintf("context%d", h.Ctx)
	if int(h.Ctx) < len(contextNames) {
		ctx = contextNames[h.Ctx]
	}
	d.line(0, "%s %d %s %s probe %d max %d%s", what, i, h.Name, ctx, h.Probe, h.MaxActions,
		flags(h.Uncounted, "uncounted", h.Sleepable, "sleepable", h.Return, "return"))
	for i := range h.Points {
		pt := &h.Points[i]
		d.line(1, "point %d probe %d ints %d strs %q%s", i, pt.Probe, pt.Ints, pt.Strs, flags(len(pt.Sites) > 0, fmt.Sprint("sites ", pt.Sites)))
	}
	d.locals(h.Locals)
	if len(h.Params) > 0 {
		parts := make([]string, len(h.Params))
		for j, p := range h.Params {
			parts[j] = fmt.Sprintf("%%%d%s", p.Local, flags(p.In, "in", p.Out, "out"))
		}
		d.line(1, "params %s", strings.Join(parts, ", "))
	}
	if h.Cond != nil {
		d.line(1, "cond %s", d.expr(h.Cond))
	}
	d.stmts(1, h.Body)
	if h.Result != nil {
		d.line(1, "result %s", d.expr(h.Result))
	}
}

func (d *dumper) probe(i int, p *Probe) {
	d.line(0, "probe %d %s family %d order %d%s", i, p.Point, p.Family, p.Order, flags(
		p.Interval > 0, fmt.Sprintf("every %dns", p.Interval), p.Random > 0, fmt.Sprintf("±%dns", p.Random),
		p.PerSecond > 0, fmt.Sprintf("%d/s", p.PerSecond), p.Optional, "optional", p.Sufficient, "sufficient", p.Member, "member"))
	for j := range p.Attach {
		a := &p.Attach[j]
		d.line(1, "attach %s handler %d%s", a.Carrier, a.Handler, flags(
			a.Target != "", a.Target, a.Module != "", "module "+a.Module, a.Symbol != "", "symbol "+a.Symbol,
			a.Offset != 0, fmt.Sprintf("+%#x", a.Offset), a.BuildID != "", "build-id "+a.BuildID,
			a.TargetSet, "target-set", len(a.Needs) > 0, "needs "+strings.Join(a.Needs, ",")))
	}
}

func (d *dumper) stmts(indent int, list []Stmt) {
	for _, s := range list {
		d.stmt(indent, s)
	}
}

func (d *dumper) block(indent int, head string, list []Stmt) {
	d.line(indent, "%s {", head)
	d.stmts(indent+1, list)
}

func (d *dumper) stmt(in int, s Stmt) {
	switch s := s.(type) {
	case *Eval:
		d.line(in, "%s", d.expr(s.X))
	case *If:
		d.block(in, "if "+d.paren(s.C), s.Then)
		if len(s.Else) > 0 {
			d.block(in, "} else", s.Else)
		}
		d.line(in, "}")
	case *While:
		cond := "(1)"
		if s.C != nil {
			cond = d.paren(s.C)
		}
		d.block(in, "while "+cond, s.Body)
		if len(s.Post) > 0 {
			d.block(in, "} post", s.Post)
		}
		d.line(in, "}")
	case *Foreach:
		vars := make([]string, len(s.Keys))
		for i, k := range s.Keys {
			vars[i] = loopVar(k)
		}
		head := fmt.Sprintf("foreach (%s[%s] in %s", valueVar(s.Value), strings.Join(vars, ", "), d.name(s.G))
		if len(s.Slice) > 0 {
			head += d.keys(s.Slice)
		}
		value := "value"
		if s.G >= 0 && s.G < len(d.p.Globals) && d.p.Globals[s.G].Value.Kind == Stat {
			value = statNames[min(s.Sort.Fn, StatVariance)]
		}
		d.block(in, head+d.order(s.Sort, value, s.Limit)+")", s.Body)
		d.line(in, "}")
	case *ForeachHist:
		d.block(in, fmt.Sprintf("foreach (%s%s in hist(%s)%s)", valueVar(s.Value), loopVar(s.Key), d.lvalue(&s.L), d.order(s.Sort, "count", s.Limit)), s.Body)
		d.line(in, "}")
	case *Return:
		if s.X == nil {
			d.line(in, "return")
			return
		}
		d.line(in, "return %s", d.expr(s.X))
	case *Next:
		d.line(in, "next")
	case *Break:
		d.line(in, "break")
	case *Continue:
		d.line(in, "continue")
	case *Delete:
		d.line(in, "delete %s", d.lvalue(&s.L))
	case *Try:
		d.block(in, "try", s.Body)
		d.block(in, "} catch "+loopVar(s.Var), s.Catch)
		d.line(in, "}")
	case *Print:
		d.line(in, "print %s", d.args(s.Format, s.Args))
	case *PrintHist:
		d.line(in, "print_hist %s", d.lvalue(&s.L))
	case *Tick:
		d.line(in, "tick %d", s.N)
	case *Lock:
		d.line(in, "lock %d", s.ID)
	case *Unlock:
		d.line(in, "unlock %d", s.ID)
	default:
		d.line(in, "?%T", s)
	}
}

func loopVar(id int) string {
	if id < 0 {
		return "_"
	}
	return "%" + strconv.Itoa(id)
}

func valueVar(id int) string {
	if id < 0 {
		return ""
	}
	return loopVar(id) + " = "
}

func (d *dumper) order(s Sort, value string, limit Expr) string {
	out := ""
	if s.By != 0 {
		out = " by "
		if s.By < 0 {
			out += value
		} else {
			out += "key " + strconv.Itoa(s.By)
		}
		if s.Desc {
			out += " descending"
		}
	}
	if limit != nil {
		out += " limit " + d.expr(limit)
	}
	return out
}

var statNames = [...]string{"count", "sum", "min", "max", "avg", "variance"}

func (d *dumper) name(g int) string {
	if g < 0 || g >= len(d.p.Globals) {
		return fmt.Sprintf("global%d?", g)
	}
	return d.p.Globals[g].Name
}

func (d *dumper) keys(list []Expr) string {
	if len(list) == 0 {
		return ""
	}
	parts := make([]string, len(list))
	for i, k := range list {
		if parts[i] = "*"; k != nil {
			parts[i] = d.expr(k)
		}
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

func (d *dumper) lvalue(l *LValue) string {
	if !l.Global {
		return loopVar(l.ID)
	}
	return d.name(l.ID) + d.keys(l.Keys)
}

func (d *dumper) list(args []Expr) string {
	parts := make([]string, len(args))
	for i, a := range args {
		parts[i] = d.expr(a)
	}
	return strings.Join(parts, ", ")
}

func (d *dumper) args(f int, args []Expr) string {
	text := fmt.Sprintf("format%d?", f)
	if f >= 0 && f < len(d.p.Formats) {
		text = quoteFormat(d.p.Formats[f].Text)
	}
	if len(args) == 0 {
		return text
	}
	return text + ", " + d.list(args)
}

// paren is expr in parentheses, once.
func (d *dumper) paren(x Expr) string {
	s := d.expr(x)
	switch x.(type) {
	case *Binary, *Logical, *Cond, *Update, *StatAdd:
		return s
	}
	return "(" + s + ")"
}

func typed(s string, t Type) string {
	if t.Kind == Int || t.Kind == Void {
		return s
	}
	return s + ":" + t.String()
}

var spaceNames = [...]string{"kernel", "user"}

func load(size int, signed bool, space Space) string {
	s := "u"
	if signed {
		s = "s"
	}
	return fmt.Sprintf("%s %s%d", spaceNames[min(space, UserSpace)], s, 8*size)
}

func (d *dumper) expr(x Expr) string {
	switch x := x.(type) {
	case *IntConst:
		return strconv.FormatInt(x.V, 10)
	case *StrConst:
		return strconv.Quote(x.S)
	case *Local:
		return loopVar(x.ID)
	case *GlobalGet:
		return d.name(x.G)
	case *IndexGet:
		return d.name(x.G) + d.keys(x.Keys)
	case *IndexIn:
		return fmt.Sprintf("(%s in %s)", d.keys(x.Keys), d.name(x.G))
	case *Update:
		op := "="
		if x.Op != OpSet {
			op = x.Op.String() + "="
		}
		if x.Old {
			op += " old"
		}
		return fmt.Sprintf("(%s %s %s)", d.lvalue(&x.L), op, d.expr(x.R))
	case *StatAdd:
		return fmt.Sprintf("(%s <<< %s)", d.lvalue(&x.L), d.expr(x.V))
	case *StatGet:
		return fmt.Sprintf("@%s(%s)", statNames[min(x.Fn, StatVariance)], d.lvalue(&x.L))
	case *HistGet:
		return fmt.Sprintf("hist(%s)[%s]", d.lvalue(&x.L), d.expr(x.Bucket))
	case *Unary:
		op := x.Op.String()
		if x.Op == OpNeg {
			op = "-"
		}
		return op + d.paren(x.X)
	case *Binary:
		return typed(fmt.Sprintf("(%s %s %s)", d.expr(x.X), x.Op, d.expr(x.Y)), x.T)
	case *Logical:
		op := "||"
		if x.And {
			op = "&&"
		}
		return fmt.Sprintf("(%s %s %s)", d.expr(x.X), op, d.expr(x.Y))
	case *Cond:
		return typed(fmt.Sprintf("(%s ? %s : %s)", d.expr(x.C), d.expr(x.X), d.expr(x.Y)), x.T)
	case *Call:
		names := make([]string, len(x.Chain))
		for i, f := range x.Chain {
			names[i] = d.function(f)
		}
		return typed(fmt.Sprintf("%s(%s)", strings.Join(names, "|"), d.list(x.Args)), x.T)
	case *Intrinsic:
		name := fmt.Sprintf("intrinsic%d?", x.ID)
		if x.ID < numIntrinsics {
			name = Intrinsics[x.ID].Name
		}
		return typed(fmt.Sprintf("$%s(%s)", name, d.list(x.Args)), x.T)
	case *Sprintf:
		return typed("sprintf("+d.args(x.Format, x.Args)+")", x.T)
	case *Match:
		op := "=~"
		if x.Negate {
			op = "!~"
		}
		pattern := fmt.Sprintf("regexp%d?", x.Re)
		if x.Re >= 0 && x.Re < len(d.p.Regexps) {
			pattern = strconv.Quote(d.p.Regexps[x.Re].Pattern)
		}
		return fmt.Sprintf("(%s %s %s)", d.expr(x.X), op, pattern)
	case *CtxArg:
		return fmt.Sprintf("ctx_arg(%d %s%s)", x.N, load(x.Size, x.Signed, KernelSpace)[len("kernel "):], flags(x.Pointer, "pointer"))
	case *CtxField:
		return fmt.Sprintf("ctx_field(%d %s)", x.Off, load(x.Size, x.Signed, KernelSpace)[len("kernel "):])
	case *Load:
		return fmt.Sprintf("load(%s, %s)", load(x.Size, x.Signed, x.Space), d.expr(x.Addr))
	case *Field:
		return d.field(x)
	case *Exists:
		return fmt.Sprintf("exists(%s)", d.member(x.TypeID, x.Access))
	case *MakeText:
		var extra string
		if x.Head != nil {
			extra = "head " + d.expr(x.Head) + ", "
		}
		switch x.Kind {
		case TextType:
			extra += fmt.Sprintf("layout %d flags %#x %d bytes%s, ", x.Layout, x.Flags, x.Size, flags(x.Immediate, "immediate", x.Space == UserSpace, "user"))
		case TextParms:
			extra += fmt.Sprintf("layout %d, ", x.Layout)
		case TextFormat:
			return d.lazy(x)
		}
		return typed("text("+extra+d.list(x.Args)+")", x.T)
	case *Region:
		return "region " + strconv.Itoa(x.ID) + d.inner(x.Body, x.Result)
	case *Lookup:
		return typed(fmt.Sprintf("lookup(%s, %s)", d.table(x.Table), d.expr(x.X)), x.T)
	case *Seq:
		return "seq" + d.inner(x.Body, x.R)
	case nil:
		return "nil"
	}
	return fmt.Sprintf("?%T", x)
}

// lazy shows text that is left to the loader as what it would be in place.
func (d *dumper) lazy(x *MakeText) string {
	var made string
	if x.Head != nil {
		return typed("later(head "+d.expr(x.Head)+", "+d.list(x.Args)+")", x.T)
	}
	switch x.Tag {
	case LazyFormat:
		made = "sprintf(" + d.args(x.Format, x.Args) + ")"
	case LazyCall:
		made = d.function(x.Format) + "(" + d.list(x.Args) + ")"
	case LazyTable:
		made = "lookup(" + d.table(x.Format) + ", " + d.list(x.Args) + ")"
	default:
		made = d.list(x.Args)
	}
	return typed("later("+made+")", x.T)
}

func (d *dumper) function(f int) string {
	if f >= 0 && f < len(d.p.Funcs) && d.p.Funcs[f] != nil {
		return d.p.Funcs[f].Name
	}
	return fmt.Sprintf("function%d?", f)
}

func (d *dumper) table(t int) string {
	if t >= 0 && t < len(d.p.Tables) {
		return d.p.Tables[t].Name
	}
	return fmt.Sprintf("table%d?", t)
}

func (d *dumper) member(t int, access string) string {
	if t < 0 {
		return "at"
	}
	name := fmt.Sprintf("type%d?", t)
	if t >= 0 && t < len(d.p.Types) {
		name = d.p.Types[t].Kind + " " + d.p.Types[t].Name
	}
	if access != "" {
		name += " " + access
	}
	return name
}

func (d *dumper) field(x *Field) string {
	what := "&"
	if !x.AddrOnly {
		what = load(x.Size, x.Signed, x.Space)
		if x.BitSize > 0 {
			what += fmt.Sprintf(" bits %d+%d", x.BitOff, x.BitSize)
		}
	}
	return fmt.Sprintf("field(%s, %s +%d%s, %s)", what, d.member(x.TypeID, x.Access), x.Off, flags(x.Trusted, "trusted"), d.expr(x.Base))
}

// inner shows statements within an expression on one line.
func (d *dumper) inner(list []Stmt, result Expr) string {
	var b strings.Builder
	w := bufio.NewWriter(&b)
	in := dumper{w: w, p: d.p}
	in.stmts(0, list)
	w.Flush() // to a strings.Builder: cannot fail
	text := "{"
	for line := range strings.Lines(b.String()) {
		line = strings.TrimSpace(line)
		if !strings.HasSuffix(text, "{") && !strings.HasPrefix(line, "}") {
			text += ";"
		}
		text += " " + line
	}
	if result != nil {
		text += " => " + d.expr(result)
	}
	return text + " }"
}

// DumpMeaning is Dump for comparing programs that were compiled for different
// kernels: offsets that relocations put right are shown as 0, and of types nothing
// but their names. Formats and sites are as in Dump.
func DumpMeaning(w io.Writer, p *Program) error {
	q := *p
	q.Types = slices.Clone(p.Types)
	for i := range q.Types {
		q.Types[i].Members = nil
	}
	plain := func(x Expr) {
		if f, ok := x.(*Field); ok && f.TypeID >= 0 {
			f.Off, f.BitOff = 0, 0
		}
	}
	q.Funcs = nil
	for _, f := range p.Funcs {
		c := *f
		c.Body = CloneStmts(f.Body)
		Walk(c.Body, nil, plain)
		q.Funcs = append(q.Funcs, &c)
	}
	handlers := func(list []*Handler) (out []*Handler) {
		for _, h := range list {
			if h == nil {
				out = append(out, nil)
				continue
			}
			c := *h
			c.Body, c.Cond, c.Result = CloneStmts(h.Body), CloneExpr(h.Cond), CloneExpr(h.Result)
			c.Walk(nil, plain)
			out = append(out, &c)
		}
		return out
	}
	q.Handlers, q.Regions = handlers(p.Handlers), handlers(p.Regions)
	if err := Dump(w, &q); err != nil {
		return err
	}
	for _, l := range p.Layouts {
		if _, err := w.Write(l); err != nil {
			return err
		}
	}
	return nil
}
