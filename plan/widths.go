package plan

import (
	"fmt"

	"stapkit/diag"
	"stapkit/format"
	"stapkit/ir"
)

// widths infers how wide each string variable, key and expression is: the least
// that holds every value that can get there, MAXSTRINGLEN at the most. What grows
// with each round (s = s . "x" in a loop) is given the maximum at once. It also
// finds the variables that hold deferred text.
func (pl *planner) widths() {
	p := pl.p
	w := &widener{
		planner: pl,
		max:     ir.StrWidth(p.Limits.MaxStringLen - 1),
		results: make([]ir.Type, len(p.Funcs)),
		regions: map[int]bool{},
		bad:     map[int]bool{},
		filled:  map[*ir.Type]bool{},
	}
	w.splitLoops()
	for i, f := range p.Funcs {
		w.results[i] = f.Result
		clearWidths(f.Locals)
	}
	clearWidths(w.results)
	for _, h := range p.Handlers {
		clearWidths(h.Locals)
	}
	for i := range p.Globals {
		g := &p.Globals[i]
		clearWidths(g.Keys)
		if g.Value.Kind == ir.Str {
			g.Value.Width = 8
			if g.InitStr != "" {
				w.join(&g.Value, w.str(len(g.InitStr)), 0)
			}
		}
	}
	kernel := pl.reached(true)
	said := len(pl.diags)
	pass := func() {
		// What was not known in an earlier round may be now.
		pl.diags = pl.diags[:said]
		w.bad = map[int]bool{}
		for i, f := range p.Funcs {
			w.frame(f.Locals, &w.results[i], kernel[i])
			w.points = nil
			w.list(f.Body)
		}
		for _, h := range p.Handlers {
			w.frame(h.Locals, nil, h.Kernel)
			w.points = h.Points
			if h.Cond != nil {
				w.sub(&h.Cond)
			}
			w.list(h.Body)
		}
	}
	for round := 0; ; round++ {
		w.changed = false
		w.widen = round >= 4
		pass()
		if !w.changed && !w.settable() {
			break
		}
	}
	finish(w.results)
	for i, f := range p.Funcs {
		f.Result = w.results[i]
		finish(f.Locals)
	}
	for _, h := range p.Handlers {
		finish(h.Locals)
	}
	for i := range p.Globals {
		finish(p.Globals[i].Keys)
	}
	pass() // expressions see the final widths
	pl.formats()
}

// settable makes room in string variables for what the command line may give them;
// one that holds deferred text takes nothing from there. It reports changes.
func (w *widener) settable() bool {
	for i := range w.p.Globals {
		g := &w.p.Globals[i]
		if !g.Settable || g.IsArray() {
			continue
		}
		if g.Value.Kind == ir.Deferred {
			g.Settable = false
			continue
		}
		w.join(&g.Value, w.str(w.p.Limits.MaxStringLen-1), 0)
	}
	return w.changed
}

// formats records the types of the arguments that each format gets: a string
// directive takes ordinary or deferred text, and a format that gets now this and
// now that is split.
func (pl *planner) formats() {
	p := pl.p
	byTypes := map[string]int{}
	typed := func(f *int, args []ir.Expr) {
		types := make([]ir.Type, len(args))
		for i, a := range args {
			types[i] = a.Type()
			if types[i].Kind == ir.Str && types[i].Width == 0 {
				types[i].Width = 8 // a variable that no string ever reaches
			}
		}
		key := fmt.Sprint(*f, types)
		if n, ok := byTypes[key]; ok {
			*f = n
			return
		}
		n := *f
		if p.Formats[n].Args != nil {
			n = len(p.Formats)
			p.Formats = append(p.Formats, p.Formats[*f])
		}
		p.Formats[n].Args = types
		byTypes[key] = n
		*f = n
	}
	stmt := func(s ir.Stmt) {
		if s, ok := s.(*ir.Print); ok {
			typed(&s.Format, s.Args)
		}
	}
	var points []ir.Point
	expr := func(x ir.Expr) {
		switch x := x.(type) {
		case *ir.Sprintf:
			typed(&x.Format, x.Args)
		case *ir.MakeText:
			if x.Kind != ir.TextFormat {
				return
			}
			if x.Head == nil {
				if x.Tag == ir.LazyFormat {
					typed(&x.Format, x.Args)
				}
				return
			}
			for i := range points {
				head := points[i].Int(x.Head)
				if one := x.At(*head); one.Tag == ir.LazyFormat {
					typed(&one.Format, x.Args)
					*head = one.FirstWord()
				}
			}
		}
	}
	for _, f := range p.Funcs {
		ir.Walk(f.Body, stmt, expr)
	}
	for _, h := range p.Handlers {
		points = h.Points
		h.Walk(stmt, expr)
	}
	points = nil
	for _, h := range p.Regions {
		h.Walk(stmt, expr)
	}
	for i := range p.Formats { // of code that nothing reaches
		if f := &p.Formats[i]; f.Args == nil {
			f.Args = []ir.Type{}
			for _, t := range f.Parsed.ArgTypes() {
				if t == format.String {
					f.Args = append(f.Args, ir.TStr(0))
				} else {
					f.Args = append(f.Args, ir.TInt)
				}
			}
		}
	}
}

func clearWidths(list []ir.Type) {
	for i := range list {
		if list[i].Kind == ir.Str {
			list[i].Width = 8
		}
	}
}

// finish gives variables that no string ever reaches room for "".
func finish(list []ir.Type) {
	for i := range list {
		if list[i].Kind == ir.Str && list[i].Width == 0 {
			list[i].Width = 8
		}
	}
}

type widener struct {
	*planner
	max     int
	changed bool
	widen   bool
	locals  []ir.Type
	result  *ir.Type
	results []ir.Type
	kernel  bool
	points  []ir.Point // of the handler
	regions map[int]bool
	bad     map[int]bool      // sites reported
	filled  map[*ir.Type]bool // variables that some ordinary string gets into
	made    map[int]bool      // formats of box.go
}

func (w *widener) frame(locals []ir.Type, result *ir.Type, kernel bool) {
	w.locals, w.result, w.kernel = locals, result, kernel
}

// str is the type of strings of up to n bytes.
func (w *widener) str(n int) ir.Type {
	t := ir.TStr(n)
	t.Width = min(t.Width, w.max)
	return t
}

// length is the longest value of a string type.
func length(t ir.Type) int { return max(t.Width-1, 0) }

// join widens variable v so that it holds t.
func (w *widener) join(v *ir.Type, t ir.Type, site int) {
	if t.Kind == ir.Str {
		t.Width = min(t.Width, w.max)
	}
	switch {
	case v.Kind == ir.Str && t.Kind == ir.Str:
		w.filled[v] = true
		if t.Width > v.Width {
			v.Width = t.Width
			if w.widen {
				v.Width = w.max
			}
			w.changed = true
		}
	case v.Kind == ir.Str && t.Kind == ir.Deferred && !w.filled[v]:
		*v = t
		w.changed = true
	case v.Kind == ir.Deferred && t.Kind == ir.Deferred && v.Text == t.Text:
		if t.Width > v.Width {
			if isBox(t) && t.Width > maxBox {
				w.mixed(site)
				return
			}
			v.Width = t.Width
			w.changed = true
		}
	case v.Kind == ir.Deferred && (t.Kind == ir.Str || t.Kind == ir.Deferred), v.Kind == ir.Str && t.Kind == ir.Deferred:
		w.mix(v, t, site)
	}
}

var codeMixed = diag.Register(diag.Info{
	Code: "E2030", Severity: diag.Error, Title: "a kernel handler looks into text made by the loader",
	Doc: "Symbol names, stacks and pretty-printed structures in kernel handlers are captured there and become text in the loader. " +
		"They can be stored, printed, put together with other strings, used as keys and compared with their like; " +
		"nothing in the handler can look into the text, and text cannot grow with each round of a loop. Print them, or do the work in an end or timer probe.",
})

func (w *widener) mixed(site int) {
	if w.bad[site] {
		return
	}
	w.bad[site] = true
	s := w.p.Sites[site]
	pos := diag.Pos{File: s.File, Line: s.Line, Col: s.Col}
	w.diags = append(w.diags, diag.Diagnostic{
		Code: codeMixed, Severity: diag.Error, Range: diag.Range{Start: pos, End: pos},
		Message: "text that the loader makes (a symbol name, stack or structure) is used as an ordinary string here",
		Help:    "print it or keep it in a variable of its own; look into it in an end or timer probe",
	})
}

// observe reports that code in the kernel looks into deferred text. Code of the
// loader gets the text.
func (w *widener) observe(x *ir.Expr, site int) {
	if (*x).Type().Kind != ir.Deferred {
		return
	}
	if w.kernel {
		w.mixed(site)
		return
	}
	*x = w.plain(*x, site)
	w.expr(*x)
	w.changed = true
}

// pass makes text that goes to a variable or function of the loader's code.
func (w *widener) pass(x *ir.Expr, site int) {
	if m, ok := (*x).(*ir.MakeText); ok && (m.Tag == ir.LazyPlain || m.Tag == ir.LazyNone) && m.Kind == ir.TextFormat {
		return // the box that an earlier round has made of it
	}
	if !w.kernel {
		w.observe(x, site)
	}
}

func (w *widener) list(list []ir.Stmt) {
	p := w.p
	for _, s := range list {
		ir.StmtExprs(s, w.sub)
		switch s := s.(type) {
		case *ir.Foreach:
			g := &p.Globals[s.G]
			w.keys(s.G, s.Slice, s.Site)
			for i, k := range s.Keys {
				if k >= 0 {
					w.join(&w.locals[k], g.Keys[i], s.Site)
				}
			}
			if s.Value >= 0 && g.Value.Kind != ir.Stat {
				w.join(&w.locals[s.Value], g.Value, s.Site)
			}
		case *ir.ForeachHist:
			w.lvalue(&s.L, s.Site)
		case *ir.Delete:
			w.lvalue(&s.L, s.Site)
		case *ir.PrintHist:
			w.lvalue(&s.L, s.Site)
		case *ir.Return:
			if s.X != nil && w.result != nil {
				w.pass(&s.X, 0)
				w.put(w.result, &s.X, 0)
			}
		case *ir.Try:
			if s.Var >= 0 {
				w.join(&w.locals[s.Var], w.str(p.Limits.MaxStringLen-1), 0)
			}
		}
		ir.Bodies(s, func(b *[]ir.Stmt) { w.list(*b) })
	}
}

func (w *widener) keys(g int, keys []ir.Expr, site int) {
	for i, k := range keys {
		if k != nil && i < len(w.p.Globals[g].Keys) {
			w.put(&w.p.Globals[g].Keys[i], &keys[i], site)
		}
	}
}

func (w *widener) lvalue(l *ir.LValue, site int) {
	if !l.Global {
		l.T = w.locals[l.ID]
		return
	}
	w.keys(l.ID, l.Keys, site)
	l.T = w.p.Globals[l.ID].Value
}

// expr computes the type of x, its operands first.
func (w *widener) expr(x ir.Expr) {
	p := w.p
	switch x := x.(type) {
	case *ir.Seq:
		w.list(x.Body)
	case *ir.Region:
		w.list(x.Body)
	}
	ir.Children(x, w.sub)
	switch x := x.(type) {
	case *ir.Local:
		x.T = w.locals[x.ID]
	case *ir.GlobalGet:
		x.T = p.Globals[x.G].Value
	case *ir.IndexGet:
		w.keys(x.G, x.Keys, 0)
		x.T = p.Globals[x.G].Value
	case *ir.IndexIn:
		w.keys(x.G, x.Keys, 0)
	case *ir.StatGet:
		w.lvalue(&x.L, x.Site)
	case *ir.HistGet:
		w.lvalue(&x.L, x.Site)
	case *ir.StatAdd:
		w.lvalue(&x.L, x.Site)
	case *ir.Update:
		w.lvalue(&x.L, x.Site)
		var v *ir.Type
		if x.L.Global {
			v = &p.Globals[x.L.ID].Value
		} else {
			v = &w.locals[x.L.ID]
		}
		if x.Op == ir.OpConcat {
			w.observe(&x.R, x.Site)
			w.join(v, w.str(length(x.L.T)+length(x.R.Type())), x.Site)
			if v.Kind == ir.Deferred {
				w.mixed(x.Site) // it would grow each time
			}
		} else {
			w.put(v, &x.R, x.Site)
		}
		w.lvalue(&x.L, x.Site)
	case *ir.Binary:
		deferred := x.X.Type().Kind == ir.Deferred || x.Y.Type().Kind == ir.Deferred
		switch {
		case x.Op == ir.OpConcat && deferred && w.kernel:
			// sub makes deferred text of it.
		case x.Op == ir.OpConcat:
			w.observe(&x.X, x.Site)
			w.observe(&x.Y, x.Site)
			x.T = w.str(length(x.X.Type()) + length(x.Y.Type()))
		case !deferred:
		case x.Op == ir.OpEq || x.Op == ir.OpNe:
			if isEmpty(x.X) {
				x.X, x.Y = x.Y, x.X
			}
			switch {
			case isEmpty(x.Y): // whether it was ever set
			case x.X.Type().Kind != x.Y.Type().Kind:
				w.observe(&x.X, x.Site)
				w.observe(&x.Y, x.Site)
			case x.X.Type().Text != x.Y.Type().Text:
				w.box(&x.X, x.Site)
				w.box(&x.Y, x.Site)
			}
		default:
			w.observe(&x.X, x.Site)
			w.observe(&x.Y, x.Site)
		}
	case *ir.Cond:
		if x.X.Type().Kind != ir.Int {
			x.T = w.common(&x.X, &x.Y)
		}
	case *ir.Call:
		for i := range x.Args {
			w.pass(&x.Args[i], x.Site)
		}
		// Twice, since what one function of several makes of an argument all get.
		for range min(len(x.Chain), 2) {
			for _, f := range x.Chain {
				for i := range x.Args {
					w.put(&p.Funcs[f].Locals[i], &x.Args[i], x.Site)
				}
			}
		}
		for range min(len(x.Chain)-1, 2) {
			for _, f := range x.Chain[1:] {
				w.join(&w.results[f], w.results[x.Chain[0]], x.Site)
				w.join(&w.results[x.Chain[0]], w.results[f], x.Site)
			}
		}
		x.T = w.results[x.Chain[0]]
		if x.T.Kind == ir.Str && x.T.Width == 0 {
			x.T.Width = 8
		}
	case *ir.Intrinsic:
		w.intrinsic(x)
	case *ir.Sprintf:
		x.T = w.str(w.printed(p.Formats[x.Format].Parsed, x.Args))
	case *ir.Match:
		w.observe(&x.X, x.Site)
	case *ir.Lookup:
		n := 0
		for _, e := range p.Tables[x.Table].Entries {
			if p.Tables[x.Table].Kind == ir.TableFlags {
				n += len(e.Name) + 1
			} else {
				n = max(n, len(e.Name))
			}
		}
		if d := p.Tables[x.Table].Default; d != "" {
			if p.Tables[x.Table].Kind == ir.TableFlags {
				n += len(d) + 20
			} else {
				n = max(n, len(d)+20)
			}
		}
		x.T = w.str(n)
	case *ir.MakeText:
		if x.Kind != ir.TextFormat {
			break
		}
		x.T.Width = ir.LazyWidth(x.Args)
		each := func(x ir.MakeText) {
			if x.Tag != ir.LazyCall {
				return
			}
			// The loader makes the call later, with parameters as wide as these.
			for i, a := range x.Args {
				t := a.Type()
				if t.Kind == ir.Deferred {
					t = w.str(w.max)
				}
				w.join(&p.Funcs[x.Format].Locals[i], t, x.Site)
			}
		}
		if x.Head == nil {
			each(*x)
			break
		}
		for i := range w.points {
			each(x.At(*w.points[i].Int(x.Head)))
		}
	case *ir.Region:
		x.T = ir.TVoid
		if x.Result != nil {
			x.T = x.Result.Type()
		}
		// The region's program has the same frame and the same expressions.
		r := p.Regions[x.ID]
		w.list(r.Body)
		if r.Result != nil {
			w.expr(r.Result)
		}
		r.Locals = w.locals
	}
}

func (w *widener) intrinsic(x *ir.Intrinsic) {
	p := w.p
	for i := range x.Args {
		if ir.Intrinsics[x.ID].Args[i] != ir.Deferred {
			w.observe(&x.Args[i], x.Site)
		}
	}
	if x.T.Kind != ir.Str {
		return
	}
	if fixed := ir.Intrinsics[x.ID].Width; fixed > 0 {
		x.T.Width = fixed
		return
	}
	longest := func(text func(*ir.Probe) string) {
		n := 0
		for i := range p.Probes {
			n = max(n, len(text(&p.Probes[i])))
		}
		x.T = w.str(n)
	}
	switch x.ID {
	case ir.IStrSub:
		x.T = x.Args[0].Type()
		if c, ok := x.Args[2].(*ir.IntConst); ok && c.V >= 0 && c.V < int64(x.T.Width) {
			x.T = w.str(int(c.V))
		}
	case ir.IKernelStr, ir.IUserStr:
		n := p.Limits.MaxStringLen - 1
		if c, ok := x.Args[1].(*ir.IntConst); ok && c.V >= 0 && c.V < int64(n) {
			n = int(c.V)
		}
		x.T = w.str(n)
	case ir.IPp:
		longest(func(p *ir.Probe) string { return p.Point })
	case ir.IPn:
		longest(func(p *ir.Probe) string { return p.Name })
	case ir.IPpfunc:
		longest(func(p *ir.Probe) string { return p.Func })
	case ir.IPointStr:
		n := 0
		for i := range w.points {
			n = max(n, len(w.points[i].Strs[x.Args[0].(*ir.IntConst).V]))
		}
		x.T = w.str(n)
	case ir.IModuleName:
		x.T = w.str(len(p.Name))
	default:
		x.T = w.str(p.Limits.MaxStringLen - 1)
	}
}

// printed bounds the length of formatted text.
func (w *widener) printed(f format.Format, args []ir.Expr) int {
	n, i := 0, 0
	limit := w.p.Limits.MaxStringLen - 1
	star := func() int {
		if i < len(args) {
			if c, ok := args[i].(*ir.IntConst); ok {
				i++
				return int(min(max(c.V, -int64(limit)), int64(limit)))
			}
		}
		i++
		return limit
	}
	for _, d := range f.Directives {
		if d.Conv == format.Text {
			n += len(d.Text)
			continue
		}
		width, prec := d.Width, d.Prec
		if width == format.Star {
			width = star()
		}
		if prec == format.Star {
			prec = star()
		}
		if width < 0 {
			width = -width // a negative width pads on the right
		}
		if d.Width == format.Unset {
			width = 0
		}
		size := 0
		switch d.Conv {
		case format.Str:
			if i < len(args) {
				t := args[i].Type()
				if size = length(t); t.Kind == ir.Deferred {
					size = limit // in the kernel sub makes deferred text of it
				}
			}
			if d.Prec != format.Unset {
				size = min(size, max(prec, 0))
			}
		case format.Char:
			size = 4
		case format.Binary:
			size = 8
		case format.Memory:
			size = max(prec, 1)
		case format.MemoryHex:
			size = 2 * max(prec, 1)
		default:
			size = 24
			if d.Prec != format.Unset {
				size = max(size, prec+3)
			}
		}
		i++
		n += max(size, width)
	}
	return min(n, limit)
}
