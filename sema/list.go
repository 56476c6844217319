package sema

import (
	"encoding/json"
	"fmt"
	"io"
	"sort"
	"strings"

	"stapkit/diag"
	"stapkit/syntax"
	"stapkit/target"
)

// ListOptions are the choices of List.
type ListOptions struct {
	Vars    bool // -L: with variables
	Verbose bool // with the way to attach
	JSON    bool // one JSON object per line
}

// Listed is one probe point of a listing.
type Listed struct {
	Point string `json:"point"`
	// Resolved is the built-in point, when Point is an alias.
	Resolved string      `json:"resolved,omitempty"`
	Vars     []ListedVar `json:"vars,omitempty"`
	// Carrier is the way to attach that comes first, Reason why.
	Carrier string `json:"carrier,omitempty"`
	Reason  string `json:"reason,omitempty"`
	Module  string `json:"module,omitempty"`
	Binary  string `json:"binary,omitempty"`
	// Source is where the alias is defined, as file:line, or the function.
	Source string `json:"source,omitempty"`
	// Targets are those that have it, where several were asked and not all do.
	Targets []string `json:"targets,omitempty"`
}

// ListedVar is a variable of a listed probe point: of the script, or with "$" of
// the target.
type ListedVar struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// List lists the probe points that fit a pattern, sorted and without duplicates, in
// the shape of SystemTap's -l and -L.
func List(pattern string, opt Options, lo ListOptions) ([]string, []diag.Diagnostic) {
	points, ds := ListPoints(pattern, opt, lo.Vars)
	return lo.lines(points), ds
}

// ListTargets is List for several targets at once: a line says which of them have the
// point, unless all have.
func ListTargets(pattern string, opt Options, targets []*target.Target, lo ListOptions) ([]string, []diag.Diagnostic) {
	var all []Listed
	var diags []diag.Diagnostic
	at := map[string]int{} // in all
	releases := map[string]int{}
	for _, t := range targets {
		releases[t.Release()]++
	}
	for _, t := range targets {
		name := t.Release()
		if name == "" || releases[name] > 1 {
			name = t.Name()
		}
		opt.Target = t
		points, ds := ListPoints(pattern, opt, lo.Vars)
		if len(points) == 0 {
			diags = append(diags, ds...)
		}
		for _, p := range points {
			key := p.Point + " " + fmt.Sprint(p.Vars)
			if lo.Verbose || lo.JSON {
				key += " " + p.Carrier + p.Resolved
			}
			i, ok := at[key]
			if !ok {
				i = len(all)
				at[key] = i
				all = append(all, p)
			}
			if n := len(all[i].Targets); n == 0 || all[i].Targets[n-1] != name {
				all[i].Targets = append(all[i].Targets, name)
			}
		}
	}
	for i := range all {
		if len(all[i].Targets) == len(targets) {
			all[i].Targets = nil
		}
	}
	return lo.lines(all), diags
}

// lines writes listed points, sorted and without duplicates.
func (lo ListOptions) lines(points []Listed) []string {
	var lines []string
	for _, p := range points {
		if lo.JSON {
			b, err := json.Marshal(p)
			if err != nil {
				continue
			}
			lines = append(lines, string(b))
			continue
		}
		line := p.Point
		for _, v := range p.Vars {
			line += " " + v.Name + ":" + v.Type
		}
		var notes []string
		if lo.Verbose && p.Carrier != "" {
			note := p.Carrier
			if p.Reason != "" {
				note += ": " + p.Reason
			}
			notes = append(notes, note)
			if p.Source != "" {
				notes = append(notes, p.Source)
			}
		}
		if len(p.Targets) > 0 {
			notes = append(notes, "only "+strings.Join(p.Targets, ", "))
		}
		if len(notes) > 0 {
			line += " /* " + strings.Join(notes, "; ") + " */"
		}
		lines = append(lines, line)
	}
	sort.Strings(lines)
	return compact(lines)
}

// ListPoints is List for programs.
func ListPoints(pattern string, opt Options, vars bool) ([]Listed, []diag.Diagnostic) {
	// What follows the last component, such as "?", may be part of the pattern.
	f := syntax.ParseFile("<input>", []byte(PatternScript(pattern)), syntax.Options{})
	if diag.HasErrors(f.Diags) {
		return nil, f.Diags
	}
	opt.Unoptimized = true
	e := newElab([]*syntax.File{f}, opt)
	e.list, e.listing = true, !vars
	e.include(f, false)
	e.resolveProbes(f, false)
	if vars {
		e.drain()
		e.lateAutocasts()
		e.inferAll()
	}
	out := make([]Listed, 0, len(e.probes))
	for i, p := range e.probes {
		e.probes[i] = nil // a wildcard may have brought in a whole kernel
		if p.Lib || p.ctx != nil && p.ctx.open && strings.ContainsAny(p.Point, "*?[") {
			continue // a pattern of which nothing is known is no point
		}
		l := Listed{Point: p.Point, Module: p.Module, Binary: p.Binary}
		for i := len(p.Chain) - 1; i >= 0; i-- {
			if p.Chain[i].Alias != nil {
				l.Point, l.Resolved = strings.TrimRight(p.Chain[i].Point, "?!"), p.Point
				if r := syntax.Range(p.Chain[i].Alias); r.IsValid() {
					l.Source = fmt.Sprintf("%s:%d", r.Start.File, r.Start.Line)
				}
				break
			}
		}
		if l.Source == "" {
			l.Source = p.source
		}
		if len(p.Carriers) > 0 {
			l.Carrier, l.Reason = p.Carriers[0].Kind, p.Carriers[0].Reason
		} else {
			l.Carrier, l.Reason = "loader", "it has no probed context"
		}
		if vars {
			l.Vars = p.listVars()
		}
		out = append(out, l)
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].Point < out[j].Point })
	return out, e.prog.Diags
}

// PatternScript is the script that stands for a pattern of -l: the one that what is wrong
// with the pattern points into.
func PatternScript(pattern string) string { return "probe " + pattern + " {}\n" }

// listVars lists the script variables that the aliases of a probe set, then the
// target variables.
func (p *Probe) listVars() []ListedVar {
	var out []ListedVar
	for _, l := range p.Body.Locals {
		if strings.HasPrefix(l.Name, "__") || !l.Written {
			continue
		}
		out = append(out, ListedVar{l.Name, l.Type.String()})
	}
	for _, v := range p.Variables() {
		out = append(out, ListedVar{"$" + v.Name, v.Type})
	}
	return out
}

// DumpedAlias is a probe alias of the library, for programs.
type DumpedAlias struct {
	Name   string   `json:"name"`
	Points []string `json:"points"`
	Source string   `json:"source"` // file:line
}

// dumpLines writes lines, sorted and without duplicates.
func dumpLines(w io.Writer, lines []string) error {
	sort.Strings(lines)
	for _, line := range compact(lines) {
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

// DumpTypes writes the built-in forms of probe points, as --dump-probe-types does;
// with json as strings of JSON.
func DumpTypes(w io.Writer, asJSON bool) error {
	lines := ProbeTypes()
	for i, l := range lines {
		if !asJSON {
			break
		}
		b, err := json.Marshal(struct {
			Point string `json:"point"`
		}{l})
		if err != nil {
			return err
		}
		lines[i] = string(b)
	}
	return dumpLines(w, lines)
}

// DumpAliases writes the library's aliases and what they stand for, sorted, as
// --dump-probe-aliases does: "name = point, point"; with json one object a line.
func DumpAliases(w io.Writer, l *Library, asJSON bool) error {
	var lines []string
	_, components := l.Names()
	for _, c := range components {
		for _, a := range l.aliases(c) {
			if strings.HasPrefix(c, "_") {
				continue
			}
			var pts []string
			for _, pt := range a.decl.Points {
				pts = append(pts, syntax.PointString(pt))
			}
			if !asJSON {
				lines = append(lines, syntax.PointString(a.name)+" = "+strings.Join(pts, ", "))
				continue
			}
			r := syntax.Range(a.name)
			b, err := json.Marshal(DumpedAlias{syntax.PointString(a.name), pts, fmt.Sprintf("%s:%d", r.Start.File, r.Start.Line)})
			if err != nil {
				return err
			}
			lines = append(lines, string(b))
		}
	}
	return dumpLines(w, lines)
}

// DumpFunctions writes the public functions of the library with their types,
// sorted, as --dump-functions does: "name:type (param:type, …)"; with json one object
// a line.
func DumpFunctions(w io.Writer, opt Options, asJSON bool) error {
	type param struct {
		Name string `json:"name"`
		Type string `json:"type"`
	}
	var lines []string
	for _, f := range LibraryFunctions(opt) {
		if !asJSON {
			lines = append(lines, f.signature()+f.tags())
			continue
		}
		params := []param{}
		for _, p := range f.Params {
			params = append(params, param{p.Name, p.Type.String()})
		}
		r := syntax.Range(f.Decl)
		b, err := json.Marshal(struct {
			Name   string  `json:"name"`
			Type   string  `json:"type"`
			Params []param `json:"params"`
			Source string  `json:"source"`
		}{f.Name, f.Result.String(), params, fmt.Sprintf("%s:%d", r.Start.File, r.Start.Line)})
		if err != nil {
			return err
		}
		lines = append(lines, string(b))
	}
	return dumpLines(w, lines)
}

// tags are the comments that SystemTap's list has behind functions that are no scripts:
// which need guru mode, and which are for --privilege=stapusr.
func (f *Func) tags() string {
	switch {
	case f.guru:
		return " /* guru */"
	case f.Intrinsic != "" && (!kernelIntrinsics[f.Intrinsic] || f.marked("unprivileged")):
		return " /* unprivileged */"
	}
	return ""
}

// LibraryFunctions elaborates all public functions of the library.
func LibraryFunctions(opt Options) []*Func {
	e := newElab(nil, opt)
	names, _ := opt.Library.Names()
	var out []*Func
	for _, n := range names {
		if strings.HasPrefix(n, "_") {
			continue
		}
		for _, f := range e.functions(n, nil) {
			e.use(f)
			f.guru = e.needsGuru(f)
			out = append(out, f)
		}
	}
	e.drain()
	e.lateAutocasts()
	e.inferAll()
	return out
}

// signature is a function with its types: "name:type (param:type, …)".
func (f *Func) signature() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%s (", f.Name, f.Result)
	for i, p := range f.Params {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s:%s", p.Name, p.Type)
	}
	b.WriteString(")")
	return b.String()
}

// KeyTypes is how listings write the types of an array's keys, as in " [string, long]";
// "" for what is no array.
func (g *Global) KeyTypes() string {
	if !g.Array {
		return ""
	}
	l := make([]string, len(g.Keys))
	for i, k := range g.Keys {
		l[i] = k.String()
	}
	return " [" + strings.Join(l, ", ") + "]"
}

// Initial is how listings write the value that a global begins with, as in " = 5"; "" if
// none is given.
func (g *Global) Initial() string {
	switch {
	case !g.HasInit:
		return ""
	case g.Type == String:
		return fmt.Sprintf(" = %q", g.InitStr)
	}
	return fmt.Sprintf(" = %d", g.InitInt)
}

// DumpOptions say what DumpP2 writes.
type DumpOptions struct {
	Verbose bool // the handlers, too
	// NoGlobalDisplay: no global is shown at the end (--no-global-var-display).
	NoGlobalDisplay bool
}

// DumpP2 writes an elaborated program in the shape of SystemTap's -p2; verbose adds
// the handlers.
func DumpP2(w io.Writer, p *Program, opt DumpOptions) error {
	var b strings.Builder
	verbose := opt.Verbose
	if len(p.Globals) > 0 {
		b.WriteString("# globals\n")
		for _, g := range p.Globals {
			b.WriteString(g.Name)
			if g.Wrap {
				b.WriteByte('%')
			}
			if g.Max > 0 {
				fmt.Fprintf(&b, "[%d]", g.Max)
			}
			fmt.Fprintf(&b, ":%s", g.Type)
			b.WriteString(g.KeyTypes())
			if verbose {
				b.WriteString(g.Initial())
			}
			b.WriteByte('\n')
		}
	}
	if len(p.Funcs) > 0 {
		b.WriteString("# functions\n")
		funcs := append([]*Func(nil), p.Funcs...)
		sort.SliceStable(funcs, func(i, j int) bool { return funcs[i].Unique < funcs[j].Unique })
		for _, f := range funcs {
			b.WriteString(f.signature())
			b.WriteByte('\n')
			if f.Body != nil {
				dumpLocals(&b, f.Body, len(f.Params))
				if verbose && f.Decl.Body != nil {
					dumpBlock(&b, f.Decl.Body)
				}
			}
		}
	}
	var shown []*Global
	if !opt.NoGlobalDisplay {
		shown = p.Shown()
	}
	if len(p.Probes)+len(shown) > 0 {
		b.WriteString("# probes\n")
	}
	for _, pr := range p.Probes {
		b.WriteString(pr.Point)
		switch {
		case pr.Sufficient:
			b.WriteByte('!')
		case pr.Optional:
			b.WriteByte('?')
		}
		for _, c := range pr.Conds {
			fmt.Fprintf(&b, " if (%s)", syntax.ExprString(c.X))
		}
		b.WriteString(" /*")
		for _, step := range pr.derivation() {
			b.WriteString(" <- " + step)
		}
		b.WriteString(" */\n")
		dumpLocals(&b, pr.Body, 0)
		if verbose {
			for _, bl := range pr.Blocks {
				if !pr.Body.Elided[bl] {
					dumpBlock(&b, bl)
				}
			}
		}
	}
	for _, g := range shown {
		dumpShown(&b, g, opt.Verbose)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Shown are the globals that are shown at the end.
func (p *Program) Shown() (out []*Global) {
	for _, g := range p.Globals {
		if g.AutoPrint {
			out = append(out, g)
		}
	}
	return out
}

// dumpShown writes the probe that shows a global at the end, which nothing reads. There
// is none in the program: the loader shows globals itself.
func dumpShown(b *strings.Builder, g *Global, verbose bool) {
	b.WriteString("end /* <- end */\n")
	var locals []string
	for i, k := range g.Keys {
		locals = append(locals, fmt.Sprintf("  __idx%d:%s\n", i, k))
	}
	if g.Array && g.Type != Stats {
		locals = append(locals, fmt.Sprintf("  __val:%s\n", g.Type))
	}
	if len(locals) > 0 {
		b.WriteString("  # locals\n" + strings.Join(locals, ""))
	}
	if verbose {
		fmt.Fprintf(b, "  {} // the loader shows '%s'\n", g.Name)
	}
}

// derivation lists what a probe came from, as -p2 writes it: the definitions of aliases
// on the way, then the points of its declaration.
func (p *Probe) derivation() []string {
	var out []string
	for _, d := range p.Chain {
		if d.Alias == nil {
			continue
		}
		var names []string
		for _, n := range d.Alias.Names {
			names = append(names, syntax.PointString(n))
		}
		var points []string
		for _, pt := range syntax.Multiplied(d.Alias.Points) {
			points = append(points, syntax.PointString(pt))
		}
		op := " " + d.Alias.Op.String() + " "
		out = append(out, strings.Join(names, op)+op+strings.Join(points, ", "))
	}
	if p.Decl == nil {
		return append(out, p.Point)
	}
	var points []string
	for _, pt := range syntax.Multiplied(p.Decl.Points) {
		points = append(points, syntax.PointString(pt))
	}
	return append(out, strings.Join(points, ","))
}

func dumpLocals(b *strings.Builder, body *Body, params int) {
	first := true
	for _, l := range body.Locals[params:] {
		if !l.live {
			continue
		}
		if first {
			b.WriteString("  # locals\n")
			first = false
		}
		fmt.Fprintf(b, "  %s:%s\n", l.Name, l.Type)
	}
}

// dumpBlock writes a block as it stands in its file.
func dumpBlock(b *strings.Builder, bl *syntax.Block) {
	r := syntax.Range(bl)
	src := bl.File().Src
	for _, s := range bl.File().Sources {
		if s.Name == r.Start.File {
			src = s.Text
		}
	}
	if r.Start.Offset < 0 || r.End.Offset > len(src) || r.Start.Offset > r.End.Offset {
		return
	}
	for _, line := range strings.Split(string(src[r.Start.Offset:r.End.Offset]), "\n") {
		b.WriteString("  " + line + "\n")
	}
}
