package query

import (
	"fmt"
	"sort"
	"strconv"
	"strings"

	"stapkit/diag"
	"stapkit/format"
	"stapkit/sema"
	"stapkit/syntax"
	"stapkit/syntax/doc"
	"stapkit/target/ctype"
)

// A Section is a part of an answer: code of a language ("systemtap", "c"), or
// Markdown when Lang is empty.
type Section struct {
	Lang string
	Text string
}

// A Hover says what stands at a place.
type Hover struct {
	Start, End int // what it is about
	Sections   []Section
}

// Markdown is the hover as one text.
func (h *Hover) Markdown() string { return markdown(h.Sections) }

func markdown(list []Section) string {
	var b strings.Builder
	for i, s := range list {
		if i > 0 {
			b.WriteString("\n\n")
		}
		if s.Lang == "" {
			b.WriteString(strings.TrimRight(s.Text, "\n"))
			continue
		}
		fence := "```"
		for strings.Contains(s.Text, fence) {
			fence += "`"
		}
		b.WriteString(fence + s.Lang + "\n" + strings.TrimRight(s.Text, "\n") + "\n" + fence)
	}
	return b.String()
}

// Plain is the hover without markup, for editors that have none.
func (h *Hover) Plain() string {
	var out []string
	for _, s := range h.Sections {
		t := s.Text
		if s.Lang == "" {
			t = strings.NewReplacer("**", "", "`", "", `\_`, "_", `\*`, "*", `\<`, "<").Replace(t)
		}
		out = append(out, strings.TrimRight(t, "\n"))
	}
	return strings.Join(out, "\n\n")
}

func (h *Hover) code(lang, text string) { h.Sections = append(h.Sections, Section{lang, text}) }

func (h *Hover) text(format string, args ...any) {
	t := format
	if len(args) > 0 {
		t = fmt.Sprintf(format, args...)
	}
	if t != "" {
		h.Sections = append(h.Sections, Section{"", t})
	}
}

func (h *Hover) doc(c *doc.Comment) {
	if c != nil && !c.Empty() {
		if m := c.Markdown(); m != "" {
			h.text("%s", m)
		}
	}
}

// Hover says what stands at an offset, nil if there is nothing to say.
func (s *Snapshot) Hover(off int) *Hover {
	raw := s.tokenAt(off)
	if raw < 0 {
		return nil
	}
	sp := s.rawSpan(raw)
	h := &Hover{Start: sp.start, End: sp.end}
	t := s.File.Raw[raw]
	switch {
	case t.Kind == syntax.Comment:
		return s.hoverComment(h, raw, off)
	case t.Kind == syntax.AtWord || t.Kind == syntax.Name && s.isMacroName(raw):
		if s.hoverMacro(h, raw) {
			return h
		}
	}
	path := s.path(raw)
	if path == nil {
		return s.hoverSource(h, raw, off)
	}
	if s.hoverNode(h, raw, off, path) {
		return h
	}
	if t.Kind.IsKeyword() {
		if text, ok := keywordDoc[t.Kind.String()]; ok {
			h.text("%s", text)
			return h
		}
	}
	return nil
}

// hoverNode fills in what the expanded view tells.
func (s *Snapshot) hoverNode(h *Hover, raw, off int, path []syntax.Node) bool {
	n := path[len(path)-1]
	text := s.File.RawText(raw)
	switch n := n.(type) {
	case *syntax.NumberLit, *syntax.StringLit:
		if pp, ok := innermost[*syntax.ProbePoint](path); ok && !inCond(pp, n) {
			return s.hoverPoint(h, path, pp)
		}
		switch n := n.(type) {
		case *syntax.NumberLit:
			return hoverNumber(h, n.Value, text)
		case *syntax.StringLit:
			return s.hoverString(h, raw, off, n, path)
		}
	case *syntax.ProbePoint:
		return s.hoverPoint(h, path, n)
	case *syntax.Component:
		if pp, ok := innermost[*syntax.ProbePoint](path); ok {
			return s.hoverPoint(h, path, pp)
		}
	case *syntax.Ident:
		return s.hoverIdent(h, n, path)
	case *syntax.GlobalVar:
		if n.Name != nil {
			return s.hoverIdent(h, n.Name, path)
		}
	case *syntax.Param:
		if n.Name != nil {
			return s.hoverIdent(h, n.Name, path)
		}
	case *syntax.Call:
		if n.Name != nil && s.nameAt(n, raw) {
			return s.hoverFunc(h, n.Name.Name, n, path)
		}
	case *syntax.FuncDecl:
		if n.Name != nil && text == n.Name.Name {
			return s.hoverFunc(h, n.Name.Name, nil, path)
		}
	case *syntax.PrintExpr:
		if strings.HasPrefix(text, "print") || strings.HasPrefix(text, "sprint") {
			return hoverPrint(h, n.Name)
		}
	case *syntax.TargetVar:
		return s.hoverTarget(h, n, -1, path)
	case *syntax.Accessor:
		for i := len(path) - 2; i >= 0; i-- {
			x, acc := accessOf(path[i])
			if acc == nil {
				continue
			}
			for k, a := range acc.Path {
				if a == n {
					return s.hoverTarget(h, x, k, path)
				}
			}
		}
	case *syntax.AtOp:
		return s.hoverAt(h, n, path)
	case *syntax.StatOp, *syntax.HistOp:
		if d, ok := statDoc[strings.TrimPrefix(text, "@")]; ok {
			h.code("systemtap", d[0])
			h.text("%s", d[1])
			return true
		}
	case *syntax.Autocast:
		return s.hoverTarget(h, n, len(n.Path)-1, path)
	}
	return false
}

func inCond(pp *syntax.ProbePoint, n syntax.Node) bool {
	return pp.Cond != nil && pp.Cond.First() <= n.First() && n.Last() <= pp.Cond.Last()
}

// nameAt reports whether a token as written is the name of a call.
func (s *Snapshot) nameAt(c *syntax.Call, raw int) bool {
	t := c.File().Tokens[c.Name.First()]
	return t.Src == 0 && t.Off == s.File.Raw[raw].Off
}

// accessOf gives the access path of an expression that has one.
func accessOf(n syntax.Node) (syntax.Expr, *syntax.Access) {
	switch n := n.(type) {
	case *syntax.TargetVar:
		return n, &n.Access
	case *syntax.AtOp:
		return n, &n.Access
	case *syntax.Autocast:
		return n, &n.Access
	}
	return nil, nil
}

// ---- Probe points ----

const shownMatches = 8

func (s *Snapshot) hoverPoint(h *Hover, path []syntax.Node, pp *syntax.ProbePoint) bool {
	if sp, ok := s.offsets(syntax.Range(pp)); ok {
		h.Start, h.End = sp.start, sp.end
	}
	top := pp // of a group, the whole point counts
	for _, n := range path {
		if p, ok := n.(*syntax.ProbePoint); ok {
			top = p
			break
		}
	}
	d := declOf(path)
	if a, ok := d.(*syntax.AliasDecl); ok {
		for _, name := range a.Names {
			if name == top {
				h.code("systemtap", aliasText(a))
				h.doc(s.Env.docOf(a))
				return true
			}
		}
	}
	got := s.Env.resolve(s.File, []syntax.Point{top})
	count := len(got)
	prog := s.elaborated()
	if prog != nil && prog.Tools != nil {
		if n := prog.Tools.Matches[top]; n > count {
			count = n
		}
	}
	h.code("systemtap", "probe "+syntax.PointString(top))
	if alias := aliasOf(got); alias != nil {
		h.code("systemtap", aliasText(alias))
		h.doc(s.Env.docOf(alias))
	} else if len(top.Components) > 0 {
		if t := familyDoc(top); t != "" {
			h.text("%s", t)
		}
	}
	if count == 0 {
		why := "Nothing matches."
		if s.Env.Target == nil {
			why = s.Env.Notes()[0]
		}
		h.text("%s", why)
		return true
	}
	if s.Env.Target == nil && len(got) == 1 {
		if _, open := got[0].TargetVariables(); open {
			h.text("%s", s.Env.Notes()[0])
			return true
		}
	}
	s.describeProbes(h, got, count, path)
	return true
}

// aliasOf is the alias that a point names.
func aliasOf(got []*sema.Probe) *syntax.AliasDecl {
	if len(got) == 0 {
		return nil
	}
	c := got[0].Chain
	for i := len(c) - 1; i >= 0; i-- {
		if c[i].Alias != nil {
			return c[i].Alias
		}
	}
	return nil
}

// aliasText writes the head of an alias.
func aliasText(a *syntax.AliasDecl) string {
	var names, points []string
	for _, n := range a.Names {
		names = append(names, syntax.PointString(n))
	}
	for _, p := range a.Points {
		points = append(points, syntax.PointString(p))
	}
	op := " = "
	if a.Op == syntax.AddAssign {
		op = " += "
	}
	return "probe " + strings.Join(names, " = ") + op + strings.Join(points, ", ")
}

func (s *Snapshot) describeProbes(h *Hover, got []*sema.Probe, count int, path []syntax.Node) {
	var b strings.Builder
	if count == 1 {
		b.WriteString("Matches 1 place")
	} else {
		fmt.Fprintf(&b, "Matches %d places", count)
	}
	p := got[0]
	if len(p.Carriers) > 0 {
		fmt.Fprintf(&b, ", carried by **%s**", p.Carriers[0].Kind)
		if r := p.Carriers[0].Reason; r != "" {
			b.WriteString(": " + escape(r))
		}
		if c := carrierCost(p); c != "" {
			b.WriteString(". " + c)
		}
	} else {
		b.WriteString(", run by the loader")
		if f := p.Family; f == sema.FamTimer {
			b.WriteString(" when its timer fires")
		}
	}
	b.WriteString(".")
	h.text("%s", b.String())
	if count > 1 {
		var l strings.Builder
		for i, p := range got {
			if i == shownMatches {
				fmt.Fprintf(&l, "- … %d more\n", count-shownMatches)
				break
			}
			l.WriteString("- `" + p.Point + "`\n")
		}
		h.text("%s", l.String())
	} else {
		s.describePlace(h, p)
	}
	if sets := s.aliasSets(got, path); sets != "" {
		h.text("Sets:")
		h.code("systemtap", sets)
	}
	if vars, _ := p.TargetVariables(); len(vars) > 0 {
		var l strings.Builder
		for i, v := range vars {
			if i == 24 {
				fmt.Fprintf(&l, "… %d more\n", len(vars)-i)
				break
			}
			if v.Text != "" || v.Why != "" {
				continue
			}
			typ := "string"
			if v.Type != nil {
				typ = ctype.Name(v.Type)
			} else if v.Name != "$value" {
				typ = "long"
			}
			fmt.Fprintf(&l, "%s: %s\n", v.Name, typ)
		}
		if l.Len() > 0 {
			h.text("Variables:")
			h.code("c", l.String())
		}
	}
}

// maxSets bounds the variables that a hover shows.
const maxSets = 24

// aliasSets lists the variables that the aliases of probes set for a handler, with their
// types where the script was elaborated.
func (s *Snapshot) aliasSets(got []*sema.Probe, path []syntax.Node) string {
	types := map[string]sema.Type{}
	for _, b := range bodies(s.elaborated(), path) {
		for _, l := range b.Locals {
			types[l.Name] = l.Type
		}
	}
	var out strings.Builder
	seen := map[string]bool{}
	for _, p := range got[:min(len(got), sampled)] {
		for _, name := range aliasVariables(p) {
			if seen[name] {
				continue
			}
			seen[name] = true
			if len(seen) > maxSets {
				return out.String() + "…\n"
			}
			out.WriteString(name)
			if t := typeText(types[name]); t != "" {
				out.WriteString(": " + t)
			}
			out.WriteByte('\n')
		}
	}
	return out.String()
}

// aliasVariables are the names that the aliases of a probe set, but for their own.
func aliasVariables(p *sema.Probe) []string {
	var out []string
	for _, ch := range p.Chain {
		if ch.Alias == nil || ch.Alias.Body == nil {
			continue
		}
		syntax.Inspect(ch.Alias.Body, func(n syntax.Node) bool {
			if a, ok := n.(*syntax.AssignExpr); ok {
				if id, ok := a.L.(*syntax.Ident); ok && !strings.HasPrefix(id.Name, "_") && !contains(out, id.Name) {
					out = append(out, id.Name)
				}
			}
			return true
		})
	}
	return out
}

// describePlace tells prototype and source line of a single place.
func (s *Snapshot) describePlace(h *Hover, p *sema.Probe) {
	if aliasOf([]*sema.Probe{p}) != nil {
		h.text("Stands for `%s`.", p.Point)
	}
	switch p.Family {
	case sema.FamFunction, sema.FamStatement, sema.FamLSM:
		if s.Env.Target == nil || p.Func == "" {
			return
		}
		name := p.Func
		if p.Family == sema.FamLSM {
			name = "bpf_lsm_" + name
		}
		if fs, err := s.Env.Target.Functions(p.Module, name); err == nil && len(fs) > 0 {
			h.code("c", ctype.Prototype(p.Func, fs[0].Type()))
			if len(fs[0].IDs) > 1 {
				h.text("%d functions have this name; the first one's type is shown.", len(fs[0].IDs))
			}
		}
		if p.Family != sema.FamLSM {
			s.kernelPlace(h, p)
		}
	case sema.FamTrace, sema.FamTracepoint:
		if s.Env.Target == nil || p.Func == "" {
			return
		}
		if tps, err := s.Env.Target.Tracepoints(moduleOr(p.Module), p.Func); err == nil && len(tps) > 0 {
			h.code("c", ctype.Prototype("trace_"+tps[0].Name, &ctype.Func{Params: tps[0].Params, Result: &ctype.Void{}}))
		}
	case sema.FamUFunction, sema.FamUStatement:
		if p.Binary == "" {
			return
		}
		d, err := s.Env.bins.DWARF(p.Binary)
		if err != nil {
			h.text("In `%s`, which has no debug information: parameters and types are not known.", p.Binary)
			return
		}
		if l := d.Lookup(p.Func); len(l) > 0 {
			i := l[0]
			h.code("c", ctype.Prototype(i.Name, i.Type()))
			if i.Decl.Line > 0 {
				h.text("%s:%d", i.Decl.File, i.Decl.Line)
			}
		}
	case sema.FamMark:
		h.text("Mark `%s` of provider `%s` in `%s`.", p.Func, p.Provider, p.Binary)
	}
}

// kernelPlace tells the source line of a kernel's function, of debug information or of
// the configured source tree.
func (s *Snapshot) kernelPlace(h *Hover, p *sema.Probe) {
	if d, err := s.Env.bins.KernelDWARF(s.Env.Target, p.Module); err == nil {
		if l := d.Lookup(p.Func); len(l) > 0 && l[0].Decl.Line > 0 {
			h.text("%s:%d", l[0].Decl.File, l[0].Decl.Line)
			return
		}
	}
	if r, ok := s.kernelSource(p); ok {
		h.text("%s:%d", r.Start.File, r.Start.Line)
	}
}

func moduleOr(m string) string { return m }

// carrierCost says what a hit costs, in instructions as bench/ counts them.
func carrierCost(p *sema.Probe) string {
	cost := map[string]string{
		"raw_tp": "about 130 instructions per hit", "tp_btf": "about 130 instructions per hit", "fentry": "about 145 instructions per hit",
		"fexit": "about 290 instructions per hit", "kprobe_multi": "about 280 instructions per hit", "kprobe": "about 360 instructions per hit",
		"kretprobe": "about 800 instructions per hit", "tracepoint": "about 460 instructions per hit",
		"uprobe": "a trap into the kernel per hit", "uretprobe": "two traps into the kernel per hit", "usdt": "a trap into the kernel per hit",
	}
	if c := cost[p.Carriers[0].Kind]; c != "" {
		return "Cost: " + c
	}
	return ""
}

// ---- Variables ----

func (s *Snapshot) hoverIdent(h *Hover, id *syntax.Ident, path []syntax.Node) bool {
	prog := s.Program()
	obj := s.object(prog, id, path)
	switch o := obj.(type) {
	case *sema.Global:
		s.hoverGlobal(h, o)
		s.hoverWidth(h, prog, o, path)
		s.globalDoc(h, o)
		return true
	case *sema.Local:
		kind := "local"
		if o.Param {
			kind = "parameter"
		}
		line := "(" + kind + ") " + o.Name
		if o.Type != sema.Unknown {
			line += ": " + o.Type.String()
		}
		h.code("systemtap", line)
		if v := s.valueOf(prog, id, path); v != nil {
			h.text("Holds a `%s`%s.", ctype.Name(v.Type), spaceText(v.Space))
		}
		s.hoverWidth(h, prog, o, path)
		switch {
		case o.Type == sema.Unknown:
			h.text("Nothing tells its type yet.")
		case o.Decl != nil && o.Decl.File() != s.File:
			h.text("Set by the alias in `%s`.", syntax.Pos(o.Decl).File)
		}
		if fd, ok := declOf(path).(*syntax.FuncDecl); ok && o.Param {
			if c := s.Env.docOf(fd); c != nil {
				for _, p := range c.Params {
					if p.Name == o.Name {
						h.text("%s", escape(p.Text))
					}
				}
			}
		}
		return true
	}
	return false
}

func spaceText(sp sema.Space) string {
	if sp == sema.UserSpace {
		return " of the probed program"
	}
	return ""
}

// object finds what a name stands for: as elaborated, else by its name.
func (s *Snapshot) object(prog *sema.Program, id *syntax.Ident, path []syntax.Node) sema.Object {
	bs := bodies(prog, path)
	for _, b := range bs {
		if o := b.Idents[id]; o != nil {
			return o
		}
	}
	if _, ok := declOf(path).(*syntax.GlobalDecl); !ok {
		for _, b := range bs {
			for _, l := range b.Locals {
				if l.Name == id.Name {
					return l
				}
			}
		}
	}
	if prog != nil && prog.Tools != nil {
		for _, g := range prog.Tools.Globals {
			if g.Name == id.Name && (g.File == s.File || !g.Private) {
				return g
			}
		}
	}
	return nil
}

// valueOf is the C type of an expression's value, if all bodies agree.
func (s *Snapshot) valueOf(prog *sema.Program, x syntax.Expr, path []syntax.Node) *sema.Value {
	for _, b := range bodies(prog, path) {
		if v := b.ValueOf(x); v != nil {
			return v
		}
	}
	return nil
}

func (s *Snapshot) hoverGlobal(h *Hover, g *sema.Global) {
	h.code("systemtap", globalText(g))
	var facts []string
	switch {
	case g.Type == sema.Stats:
		facts = append(facts, "aggregate; kept are "+statParts(&g.Stat))
	case g.Type == sema.Unknown:
		facts = append(facts, "nothing tells its type yet")
	}
	if g.Array && g.Max > 0 {
		facts = append(facts, fmt.Sprintf("at most %d elements", g.Max))
	} else if g.Array {
		facts = append(facts, "at most MAXMAPENTRIES elements")
	}
	if g.Wrap {
		facts = append(facts, "a full array forgets its oldest element")
	}
	if g.AutoPrint {
		facts = append(facts, "written but never read, so it is shown at the end")
	}
	if len(facts) > 0 {
		h.text("%s.", strings.Join(facts, "; "))
	}
}

func (s *Snapshot) globalDoc(h *Hover, g *sema.Global) {
	if g.Library {
		h.text("Of the library, `%s`.", g.File.Name)
	}
	if d := globalDeclOf(g.File, g.Decl); d != nil {
		h.doc(s.Env.docOf(d))
	}
}

func globalDeclOf(f *syntax.File, v *syntax.GlobalVar) *syntax.GlobalDecl {
	for _, d := range f.Decls {
		if gd, ok := d.(*syntax.GlobalDecl); ok {
			for _, w := range gd.Vars {
				if w == v {
					return gd
				}
			}
		}
	}
	return nil
}

func globalText(g *sema.Global) string {
	var b strings.Builder
	if g.Private {
		b.WriteString("private ")
	}
	b.WriteString("global " + g.Name)
	if g.Wrap {
		b.WriteByte('%')
	}
	b.WriteString(g.KeyTypes())
	if g.Type != sema.Unknown {
		b.WriteString(": " + g.Type.String())
	}
	b.WriteString(g.Initial())
	return b.String()
}

func statParts(s *sema.StatShape) string {
	var l []string
	for _, p := range []struct {
		on   bool
		name string
	}{{s.Count, "count"}, {s.Sum, "sum"}, {s.Min, "min"}, {s.Max, "max"}, {s.Avg, "avg"}, {s.Variance, "variance"},
		{s.Hist == sema.LogHist, "a logarithmic histogram"}, {s.Hist == sema.LinearHist, "a linear histogram"}} {
		if p.on {
			l = append(l, p.name)
		}
	}
	if len(l) == 0 {
		return "none of its values, since nothing extracts any"
	}
	return strings.Join(l, ", ")
}

// ---- Functions ----

// A Function is one overload of a function, of the script or the library.
type Function struct {
	Name    string
	Decl    *syntax.FuncDecl
	Params  []Param
	Result  string // "long", "string", "" when it returns nothing or nothing tells
	Library bool
	Doc     *doc.Comment
}

// A Param is a parameter with its type, "" when nothing tells.
type Param struct{ Name, Type string }

func typeText(t sema.Type) string {
	if t == sema.Unknown {
		return ""
	}
	return t.String()
}

func (e *Env) function(f *sema.Func) *Function {
	out := &Function{Name: f.Name, Decl: f.Decl, Result: typeText(f.Result), Library: f.Library, Doc: e.docOf(f.Decl)}
	for _, p := range f.Params {
		out.Params = append(out.Params, Param{p.Name, typeText(p.Type)})
	}
	return out
}

// declared makes a Function of a declaration that was not elaborated.
func (e *Env) declared(d *syntax.FuncDecl) *Function {
	out := &Function{Name: d.Name.Name, Decl: d, Result: d.Result.String(), Doc: e.docOf(d)}
	for _, p := range d.Params {
		if p.Name != nil {
			out.Params = append(out.Params, Param{p.Name.Name, p.Type.String()})
		}
	}
	return out
}

// Signature is the function's head: "name:type (param:type, …)".
func (f *Function) Signature() string {
	s, _ := f.signature()
	return s
}

// signature gives the head with the spans of its parameters.
func (f *Function) signature() (string, [][2]int) {
	var b strings.Builder
	var spans [][2]int
	b.WriteString("function " + f.Name)
	if f.Result != "" {
		b.WriteString(":" + f.Result)
	}
	b.WriteString("(")
	for i, p := range f.Params {
		if i > 0 {
			b.WriteString(", ")
		}
		start := b.Len()
		b.WriteString(p.Name)
		if p.Type != "" {
			b.WriteString(":" + p.Type)
		}
		spans = append(spans, [2]int{start, b.Len()})
	}
	b.WriteString(")")
	return b.String(), spans
}

// Functions finds the overloads of a function: of the script, else of the library.
func (s *Snapshot) Functions(name string) []*Function {
	var out []*Function
	prog := s.elaborated()
	for _, d := range s.File.Decls {
		fd, ok := d.(*syntax.FuncDecl)
		if !ok || fd.Name == nil || fd.Name.Name != name {
			continue
		}
		if f := funcOf(prog, fd); f != nil {
			out = append(out, s.Env.function(f))
		} else {
			out = append(out, s.Env.declared(fd))
		}
	}
	if len(out) > 0 {
		return out
	}
	for _, f := range s.Env.library().funcs[name] {
		out = append(out, s.Env.function(f))
	}
	if len(out) > 0 {
		return out
	}
	for _, d := range s.Env.Library().FuncDecls(name) { // names that begin with "_"
		f := s.Env.declared(d)
		f.Library = true
		out = append(out, f)
	}
	return out
}

func (s *Snapshot) hoverFunc(h *Hover, name string, call *syntax.Call, path []syntax.Node) bool {
	prog := s.Program()
	var list []*Function
	var called *sema.Func
	if call != nil {
		for _, b := range bodies(prog, path) {
			for _, f := range b.Calls[call] {
				list = append(list, s.Env.function(f))
				called = f
			}
			if len(list) > 0 {
				break
			}
		}
	} else if fd, ok := declOf(path).(*syntax.FuncDecl); ok {
		if f := funcOf(prog, fd); f != nil {
			list = append(list, s.Env.function(f))
			called = f
		}
	}
	if len(list) > 1 {
		called = nil
	}
	if len(list) == 0 {
		list = s.Functions(name)
	}
	if len(list) == 0 {
		return false
	}
	var sigs []string
	for _, f := range list {
		sigs = append(sigs, f.Signature())
	}
	h.code("systemtap", strings.Join(sigs, "\n"))
	for _, f := range list {
		if f.Doc != nil {
			h.doc(f.Doc)
			break
		}
	}
	f := list[0]
	if f.Library {
		h.text("Of the library, `%s`.", f.Decl.File().Name)
	}
	if f.Result == "" && f.Decl.Code == nil {
		h.text("Returns nothing.")
	}
	s.hoverResult(h, called)
	return true
}

// ---- Target variables ----

// hoverTarget describes the value of an expression with an access path after its
// step k; -1 is the base.
func (s *Snapshot) hoverTarget(h *Hover, x syntax.Expr, k int, path []syntax.Node) bool {
	st := s.steps(x, k, path)
	if st == nil {
		if tv, ok := x.(*syntax.TargetVar); ok {
			return s.hoverDollar(h, tv, path)
		}
		return false
	}
	h.code("c", st.decl+";")
	var facts []string
	if st.member {
		facts = append(facts, fmt.Sprintf("offset %d", st.offset))
		if st.bits > 0 {
			facts = append(facts, fmt.Sprintf("bits %d–%d", st.bit, st.bit+st.bits-1))
		}
	}
	if n := st.typ.Size(); n > 0 && st.bits == 0 {
		facts = append(facts, fmt.Sprintf("size %d", n))
	}
	if st.owner != "" {
		facts = append(facts, "in `"+st.owner+"`")
	}
	if st.from != "" {
		facts = append(facts, st.from)
	}
	if len(facts) > 0 {
		h.text("%s", strings.Join(facts, ", "))
	}
	if l := layoutOf(st.typ); l != "" {
		h.code("c", l)
	}
	if e, ok := ctype.Strip(st.typ).(*ctype.Enum); ok {
		h.code("c", enumText(e))
	}
	return true
}

// maxLayout bounds the lines of a struct that a hover shows.
const maxLayout = 60

// layoutOf is the C text of the struct that a type is or points to.
func layoutOf(t ctype.Type) string {
	for i := 0; i < 3; i++ {
		if p, ok := ctype.AsPointer(t); ok {
			t = p.Elem
		} else if a, ok := ctype.Strip(t).(*ctype.Array); ok {
			t = a.Elem
		}
	}
	if _, ok := ctype.AsStruct(t); !ok {
		return ""
	}
	text := ctype.Layout(t)
	lines := strings.Split(text, "\n")
	if len(lines) > maxLayout {
		rest := len(lines) - maxLayout
		lines = append(lines[:maxLayout-1], fmt.Sprintf("\t/* … %d more lines */", rest), lines[len(lines)-1])
	}
	return strings.Join(lines, "\n")
}

func enumText(e *ctype.Enum) string {
	var b strings.Builder
	name := "enum"
	if e.Name != "" {
		name += " " + e.Name
	}
	b.WriteString(name + " {\n")
	for i, v := range e.Values() {
		if i == maxLayout {
			b.WriteString("\t/* … */\n")
			break
		}
		fmt.Fprintf(&b, "\t%s = %d,\n", v.Name, v.Value)
	}
	b.WriteString("};")
	return b.String()
}

// hoverDollar describes $$vars and its like, and variables that cannot be had.
func (s *Snapshot) hoverDollar(h *Hover, x *syntax.TargetVar, path []syntax.Node) bool {
	if d, ok := dollarDoc[x.Name]; ok {
		h.code("systemtap", x.Name+": string")
		h.text("%s", d)
		for _, v := range s.targetVariables(path) {
			if v.Name == x.Name && v.Text != "" {
				h.text("Here it is `%s`.", v.Text)
			}
		}
		return true
	}
	for _, v := range s.targetVariables(path) {
		if v.Name != x.Name {
			continue
		}
		switch {
		case v.Why != "":
			h.text("%s", escape(v.Why))
		case v.Type == nil && v.Text != "":
			h.code("systemtap", fmt.Sprintf("%s: string = %q", v.Name, v.Text))
		case v.Type == nil:
			h.code("systemtap", v.Name+": string")
		default:
			h.code("c", ctype.Declare(v.Type, v.Name)+";")
		}
		return true
	}
	return false
}

// ---- @ operators, macros, numbers, strings ----

func (s *Snapshot) hoverAt(h *Hover, n *syntax.AtOp, path []syntax.Node) bool {
	switch n.Op {
	case syntax.AtCast, syntax.AtVar:
		if s.steps(n, -1, path) != nil {
			return s.hoverTarget(h, n, -1, path)
		}
	}
	name := strings.TrimPrefix(n.File().Text(n.First()), "@")
	d, ok := atDoc[name]
	if !ok {
		return false
	}
	h.code("systemtap", d[0])
	h.text("%s", d[1])
	for _, b := range bodies(s.Program(), path) {
		if c, ok := b.Consts[n]; ok {
			if c.Type == sema.String {
				h.text("Here it is %q.", c.Str)
			} else if n.Op == syntax.AtDefined {
				h.text("Here it is %d on %s.", c.Int, s.targetName())
			} else {
				h.text("Here it is %d (0x%x).", c.Int, uint64(c.Int))
			}
			break
		}
	}
	return true
}

func (s *Snapshot) targetName() string {
	if s.Env.Target == nil {
		return "an unknown target"
	}
	return s.Env.Target.Name()
}

// isMacroName reports whether a name stands behind "@define".
func (s *Snapshot) isMacroName(raw int) bool {
	for i := raw - 1; i >= 0; i-- {
		if s.File.Raw[i].Kind == syntax.Comment {
			continue
		}
		return s.File.RawText(i) == "@define"
	}
	return false
}

// macro finds a macro by name, those of the file first.
func (s *Snapshot) macro(name string) *syntax.Macro {
	for i := len(s.File.Macros) - 1; i >= 0; i-- {
		if s.File.Macros[i].Name == name {
			return s.File.Macros[i]
		}
	}
	return s.Env.lib.Macros.Lookup(name)
}

// macroText writes a macro's definition as it stands.
func macroText(m *syntax.Macro) string {
	head := "@define " + m.Name
	if m.HasParens {
		head += "(" + strings.Join(m.Params, ", ") + ")"
	}
	if len(m.Body) == 0 {
		return head + " %( %)"
	}
	body := string(m.Source.Text[m.Body[0].Off:m.Body[len(m.Body)-1].End])
	if strings.Contains(body, "\n") {
		return head + " %(\n\t" + body + "\n%)"
	}
	return head + " %( " + body + " %)"
}

func (s *Snapshot) hoverMacro(h *Hover, raw int) bool {
	name := strings.TrimPrefix(s.File.RawText(raw), "@")
	m := s.macro(name)
	if m == nil {
		return false
	}
	h.code("systemtap", macroText(m))
	if c := s.macroDoc(m); c != nil {
		h.doc(c)
	}
	if m.Library {
		h.text("Of the library, `%s`.", m.Source.Name)
	}
	if text := s.expansion(raw); text != "" {
		h.text("Expands here to:")
		h.code("systemtap", text)
	}
	return true
}

// macroDoc gives the comment before a macro's definition.
func (s *Snapshot) macroDoc(m *syntax.Macro) *doc.Comment {
	text := m.Source.Text
	at := int(m.Def.Off)
	for at > 0 && text[at-1] != '\n' {
		at--
	}
	// The comment's lines end directly above.
	var lines []string
	for at > 0 {
		start := at - 1
		for start > 0 && text[start-1] != '\n' {
			start--
		}
		l := strings.TrimSpace(string(text[start : at-1]))
		if l == "" || !strings.HasPrefix(l, "//") && !strings.HasPrefix(l, "#") && !strings.HasPrefix(l, "*") && !strings.HasPrefix(l, "/*") && !strings.HasSuffix(l, "*/") {
			break
		}
		lines = append([]string{l}, lines...)
		at = start
	}
	if len(lines) == 0 {
		return nil
	}
	return doc.Parse(strings.Join(lines, "\n"))
}

// expansion gives the tokens that the use of a macro became.
func (s *Snapshot) expansion(raw int) string {
	off := s.File.Raw[raw].Off
	var use syntax.Span
	for i := range s.File.Expansions {
		if x := &s.File.Expansions[i]; x.Use.Src == 0 && x.Use.Off == off && x.Use.End > use.End {
			use = x.Use
		}
	}
	var b strings.Builder
	prev := syntax.Token{}
	for i := range s.File.Tokens {
		t := &s.File.Tokens[i]
		// Tokens of arguments stay where they were written.
		in := t.Src == 0 && t.Off >= use.Off && t.End <= use.End
		for e := t.Exp; e > 0; e = s.File.Expansions[e].Parent {
			x := &s.File.Expansions[e]
			if x.Use.Src == 0 && x.Use.Off == off {
				in = true
			}
		}
		if !in || t.Kind == syntax.Comment {
			continue
		}
		if b.Len() > 2000 {
			b.WriteString(" …")
			break
		}
		if b.Len() > 0 && (prev.Src != t.Src || prev.End < t.Off) {
			b.WriteByte(' ')
		}
		b.WriteString(s.File.Text(i))
		prev = *t
	}
	return b.String()
}

func hoverNumber(h *Hover, v int64, text string) bool {
	h.code("systemtap", fmt.Sprintf("%d = 0x%x", v, uint64(v)))
	var facts []string
	if v < 0 {
		facts = append(facts, fmt.Sprintf("unsigned %d", uint64(v)))
	}
	if v > 7 {
		facts = append(facts, "octal 0"+strconv.FormatUint(uint64(v), 8))
	}
	if v >= 0x20 && v < 0x7f {
		facts = append(facts, fmt.Sprintf("character %q", rune(v)))
	}
	if n := named("_errno", abs(v)); n != "" {
		facts = append(facts, "error "+n)
	}
	if n := named("_signal", v); n != "" {
		facts = append(facts, "signal "+n)
	}
	if s := bits(uint64(v)); s != "" {
		facts = append(facts, "flags "+s)
	}
	if len(facts) > 0 {
		h.text("%s", strings.Join(facts, "; "))
	}
	_ = text
	return true
}

func abs(v int64) int64 {
	if v < 0 {
		return -v
	}
	return v
}

// bits writes a number with few bits set as a sum of shifts.
func bits(v uint64) string {
	var l []string
	for i := 0; i < 64; i++ {
		if v>>i&1 != 0 {
			l = append(l, fmt.Sprintf("1<<%d", i))
		}
	}
	if len(l) < 1 || len(l) > 6 || v < 2 {
		return ""
	}
	return strings.Join(l, " | ")
}

// hoverString describes a directive of a format under the cursor, or what a string
// names.
func (s *Snapshot) hoverString(h *Hover, raw, off int, lit *syntax.StringLit, path []syntax.Node) bool {
	if len(path) < 2 {
		return false
	}
	switch p := path[len(path)-2].(type) {
	case *syntax.PrintExpr:
		if p.FormatLit == lit {
			return s.hoverDirective(h, raw, off, p)
		}
	case *syntax.AtOp:
		if len(p.Args) > 1 && p.Args[1] == syntax.Expr(lit) && p.Op == syntax.AtCast || p.Op == syntax.AtVar || p.Op == syntax.AtEnum || p.Op == syntax.AtConst {
			return s.hoverAt(h, p, path[:len(path)-1])
		}
	case *syntax.RegexMatch:
		h.code("systemtap", fmt.Sprintf("%q", lit.Value))
		h.text("Regular expression of POSIX extended syntax, compiled to a table; `matched(0)` is what it matched.")
		return true
	}
	h.code("systemtap", fmt.Sprintf("%d bytes", len(lit.Value)))
	return true
}

func (s *Snapshot) hoverDirective(h *Hover, raw, off int, p *syntax.PrintExpr) bool {
	if p.FormatLit.First() != p.FormatLit.Last() {
		return false // joined of several literals
	}
	at := off - (int(s.File.Raw[raw].Off) + 1)
	arg := 0
	for _, d := range p.Format.Directives {
		if d.Conv == format.Text {
			continue
		}
		if at >= d.Start && at < d.End {
			h.Start = int(s.File.Raw[raw].Off) + 1 + d.Start
			h.End = int(s.File.Raw[raw].Off) + 1 + d.End
			h.code("systemtap", d.String())
			h.text("%s", directiveText(d))
			if i := arg + d.Args() - 1; i < len(p.Args) {
				h.text("Takes `%s`.", syntax.ExprString(p.Args[i]))
			} else {
				h.text("No argument is left for it.")
			}
			return true
		}
		arg += d.Args()
	}
	return false
}

// directiveText explains a directive.
func directiveText(d format.Directive) string {
	t := convDoc[d.Conv]
	switch d.Flag {
	case format.Zero:
		t += ", padded with zeros"
	case format.Plus:
		t += ", with a plus sign before positive numbers"
	case format.Minus:
		t += ", padded on the right"
	case format.Space:
		t += ", with a space in place of a plus sign"
	case format.Alt:
		t += ", in the alternative form (0x, 0X or 0 before numbers; other bytes escaped)"
	}
	switch {
	case d.Width == format.Star:
		t += ", as wide as an argument says"
	case d.Width >= 0:
		t += fmt.Sprintf(", at least %d wide", d.Width)
	}
	switch {
	case d.Prec == format.Star:
		t += ", precision from an argument"
	case d.Prec >= 0 && d.Conv == format.Str:
		t += fmt.Sprintf(", at most %d bytes", d.Prec)
	case d.Prec >= 0 && (d.Conv == format.Memory || d.Conv == format.MemoryHex):
		t += fmt.Sprintf(", %d bytes", d.Prec)
	case d.Prec >= 0:
		t += fmt.Sprintf(", at least %d digits", d.Prec)
	}
	return t + "."
}

func hoverPrint(h *Hover, name string) bool {
	d, ok := printDoc[name]
	if !ok {
		return false
	}
	h.code("systemtap", d[0])
	h.text("%s", d[1])
	return true
}

// hoverSource describes what only the source view has: macro definitions and
// conditionals.
func (s *Snapshot) hoverSource(h *Hover, raw, off int) *Hover {
	text := s.File.RawText(raw)
	path := s.sourcePath(raw)
	if t, ok := innermost[*syntax.CondTerm](path); ok {
		if id, ok := t.L.(*syntax.Ident); ok && id.Name == text {
			return s.hoverCondition(h, text)
		}
		if id, ok := t.R.(*syntax.Ident); ok && id.Name == text {
			return s.hoverCondition(h, text)
		}
	}
	if len(path) > 0 {
		switch n := path[len(path)-1].(type) {
		case *syntax.Call:
			if n.Name != nil && n.Name.Name == text && s.hoverFunc(h, text, nil, nil) {
				h.text("In text that the target at hand leaves out.")
				return h
			}
		case *syntax.NumberLit:
			if hoverNumber(h, n.Value, text) {
				return h
			}
		case *syntax.TargetVar, *syntax.Accessor, *syntax.AtOp, *syntax.ProbePoint, *syntax.Component, *syntax.PrintExpr, *syntax.StringLit:
			if s.hoverNode(h, raw, off, path) {
				h.text("In text that the target at hand leaves out.")
				return h
			}
		}
	}
	// In a macro that is half typed.
	if define, _ := s.macroAround(raw); define >= 0 && s.File.Raw[raw].Kind == syntax.Name {
		switch {
		case isPrint(text):
			if hoverPrint(h, text) {
				return h
			}
		case len(s.Functions(text)) > 0:
			if s.hoverFunc(h, text, nil, nil) {
				return h
			}
		}
	}
	return nil
}

func (s *Snapshot) hoverCondition(h *Hover, name string) *Hover {
	d, ok := conditionDoc[name]
	if strings.HasPrefix(name, "CONFIG_") {
		d, ok = "Option of the kernel's configuration: \"y\", \"m\", a number or a string; unset is never equal.", true
	}
	if !ok {
		return nil
	}
	h.code("systemtap", name)
	h.text("%s", d)
	if v, known := s.Env.opt.Target.Lookup(name); known {
		h.text("Here it is `%q`.", v)
	} else {
		h.text("It is not known of %s, so every comparison with it is false.", s.targetName())
	}
	return h
}

func (s *Snapshot) hoverComment(h *Hover, raw, off int) *Hover {
	text := s.File.RawText(raw)
	// Rule ids in suppressions.
	at := off - int(s.File.Raw[raw].Off)
	start, end := at, at
	for start > 0 && isIDByte(text[start-1]) {
		start--
	}
	for end < len(text) && isIDByte(text[end]) {
		end++
	}
	word := text[start:end]
	info, ok := diag.Lookup(diag.Code(word))
	if !ok {
		return nil
	}
	h.Start, h.End = int(s.File.Raw[raw].Off)+start, int(s.File.Raw[raw].Off)+end
	h.text("**%s** %s", info.Code, escape(info.Title))
	h.text("%s", strings.TrimSpace(info.Doc))
	return h
}

func isIDByte(c byte) bool {
	return c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// escape protects text from Markdown.
func escape(s string) string {
	return strings.NewReplacer("\\", "\\\\", "*", "\\*", "_", "\\_", "<", "\\<", "`", "\\`").Replace(s)
}

func sortedNames[T any](m map[string]T) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}
