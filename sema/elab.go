package sema

import (
	gocontext "context"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strings"

	"stapkit/diag"
	"stapkit/syntax"
	"stapkit/target"
	"stapkit/target/ctype"
)

// Options tell how to elaborate. The zero value knows neither library nor target.
type Options struct {
	// Target is what is probed; nil when nothing is known of it: names that depend
	// on it are then taken on trust, with a note.
	Target *target.Target
	// Library is where names are looked up that the script does not declare.
	Library *Library
	// Binaries are the programs that process probes name; nil opens them anew.
	Binaries *Binaries
	// TrustPrograms takes what process probes name on trust, as everything is without a
	// target, so that the result does not depend on the files of this machine.
	TrustPrograms bool
	// Guru is -g: target variables may be written, functions that do harm called.
	Guru bool
	// Given are the globals that get a value at the start (-G).
	Given map[string]string
	// Privilege is --privilege: "stapusr", "stapsys", or "" and "stapdev" for all.
	Privilege string
	// SkipBadVars is --skip-badvars: a target variable that cannot be resolved is 0.
	SkipBadVars bool
	// Unoptimized is -u: nothing is left out for lack of effect.
	Unoptimized bool
	// Command is the command line of -c, PID the process of -x: "process" without a
	// path means their program.
	Command string
	PID     int
	// Context, when it ends, ends elaboration early: the program is then marked
	// Cancelled and good for nothing but its Diags. nil never ends.
	Context gocontext.Context
	// Tools is for editors: Program.Tools is filled in. Sample, when set, is how many
	// places of one probe point are elaborated then; the others are only counted.
	Tools  bool
	Sample int
}

// unit is a file in use.
type unit struct {
	file    *syntax.File
	library bool
	globals map[string]*Global // private ones
	funcs   map[string][]*Func
	active  bool // its probes run
}

// elab is one elaboration.
type elab struct {
	opt  *Options
	prog *Program
	res  *resolver

	units    map[*syntax.File]*unit
	filters  map[string]*syntax.Block // tests of processes, by text
	programs map[string]int           // sets of processes by the path of their program
	globals  map[string]*Global       // public
	order    []*Global
	funcs    map[string][]*Func // public ones of the files in use
	pulled   map[string]bool    // function names looked up in the library
	allFunc  []*Func

	probes  []*Probe
	pending []func() // bodies to resolve
	bodies  []*bodyState
	shared  map[string][]*bodyState

	firstType map[typeSlot]place
	list      bool            // for -l or -L
	listing   bool            // handlers do not matter
	learned   int             // types
	seen      map[string]bool // diagnostics given
	// unresolved: something is taken on trust.
	unresolved bool
	// untyped: an error about an unknown type was given.
	untyped bool
	// silent: types are completed in code that is gone; what does not fit there is no error.
	silent bool
	// lateResults: functions take their types from where their values are used.
	lateResults bool
	// broken: the parser found errors, so that what is left may look useless.
	broken   bool
	noted    map[string]bool
	after    map[diag.Pos]int  // findings that follow others, with where these are
	counters map[string]*Probe // perf counters, by the probes that declare them
	conds    map[syntax.Expr]*Body
	impure   map[*Func]bool
	matching bool // something asks for the parts of a regular-expression match
	blockIDs map[*syntax.Block]int
}

// Elaborate makes a program of the user's files, in the order given. It never
// fails: what is wrong is in the program's Diags.
func Elaborate(files []*syntax.File, opt Options) *Program {
	e := newElab(files, opt)
	for _, f := range files {
		e.include(f, false)
	}
	for _, f := range files {
		e.aliases(f)
	}
	for _, f := range files {
		e.resolveProbes(f, false)
	}
	e.drain()
	if e.stopped() {
		e.prog.Cancelled, e.prog.Unresolved = true, true
		return e.prog
	}
	e.lateAutocasts()
	// As in SystemTap, types are found of what is left when code without effect is gone.
	e.elide()
	e.infer(e.reach())
	e.finish(files)
	if opt.Tools && !e.stopped() {
		e.elaborateRest(files)
	}
	if e.stopped() {
		e.prog.Cancelled, e.prog.Unresolved = true, true
	}
	return e.prog
}

// stopped reports whether nobody waits for the result any more.
func (e *elab) stopped() bool { return e.opt.Context != nil && e.opt.Context.Err() != nil }

func newElab(files []*syntax.File, opt Options) *elab {
	if opt.Binaries == nil {
		opt.Binaries = &Binaries{}
	}
	e := &elab{
		opt: &opt, prog: &Program{Files: append([]*syntax.File(nil), files...)},
		units: map[*syntax.File]*unit{}, globals: map[string]*Global{}, funcs: map[string][]*Func{},
		pulled: map[string]bool{}, shared: map[string][]*bodyState{}, firstType: map[typeSlot]place{},
		seen: map[string]bool{}, noted: map[string]bool{}, after: map[diag.Pos]int{}, counters: map[string]*Probe{}, conds: map[syntax.Expr]*Body{}, blockIDs: map[*syntax.Block]int{},
	}
	e.res = &resolver{e: e, userAliases: &tnode{}, libTrees: map[string]*tnode{}}
	for _, f := range files {
		e.prog.Diags = append(e.prog.Diags, f.Diags...)
	}
	e.broken = diag.HasErrors(e.prog.Diags)
	if opt.Tools {
		e.prog.Tools = &Tools{Matches: map[*syntax.ProbePoint]int{}, Aliases: map[*syntax.AliasDecl][]*Probe{}}
	}
	return e
}

// drain resolves bodies until none is left; that may bring in more files, whose
// probes bring in more bodies.
func (e *elab) drain() {
	for len(e.pending) > 0 && !e.stopped() {
		next := e.pending[0]
		e.pending = e.pending[1:]
		next()
	}
}

// include declares what a file declares.
func (e *elab) include(f *syntax.File, library bool) *unit {
	if u, ok := e.units[f]; ok {
		return u
	}
	u := &unit{file: f, library: library, globals: map[string]*Global{}, funcs: map[string][]*Func{}}
	e.units[f] = u
	if library {
		for _, d := range f.Diags {
			if d.Severity == diag.Error {
				e.report(d)
			}
		}
	}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *syntax.GlobalDecl:
			for _, v := range d.Vars {
				e.declareGlobal(u, v, d.Private)
			}
		case *syntax.FuncDecl:
			e.declareFunc(u, d)
		}
	}
	return u
}

// activate has the probes of a library file run, when something that the file
// declares is in use.
func (e *elab) activate(f *syntax.File) {
	u := e.units[f]
	if u == nil || !u.library || u.active {
		return
	}
	u.active = true
	e.prog.Files = append(e.prog.Files, f)
	e.pending = append(e.pending, func() { e.resolveProbes(f, true) })
}

// unit gives the scope of a file: of a library file whose alias is used, it is
// declared now.
func (e *elab) unit(f *syntax.File) *unit {
	if f == nil {
		return nil
	}
	if u := e.units[f]; u != nil {
		return u
	}
	return e.include(f, true)
}

func (e *elab) declareGlobal(u *unit, v *syntax.GlobalVar, private bool) {
	if v.Name == nil {
		return
	}
	g := &Global{
		Name: v.Name.Name, Unique: v.Name.Name, Decl: v, File: u.file, Private: private, Library: u.library,
		Max: v.MaxSize, Wrap: v.Wrap,
	}
	if private {
		g.Unique = mangle(u.file.Name, g.Name)
	}
	names := e.globals
	if private {
		names = u.globals
	}
	if old := names[g.Name]; old != nil {
		if old.File != g.File { // within one file the parser tells
			e.errorAt(codeDupGlobal, v.Name, "duplicate global name '%s'", g.Name).related(old.Decl.Name, "first declared here")
		}
		return
	}
	names[g.Name] = g
	e.order = append(e.order, g)
	switch init := v.Init.(type) {
	case *syntax.NumberLit:
		g.HasInit, g.InitInt = true, init.Value
		e.setType(typeSlot{g: g}, Long, init)
	case *syntax.StringLit:
		g.HasInit, g.InitStr = true, init.Value
		e.setType(typeSlot{g: g}, String, init)
	case *syntax.ScriptArg:
		g.HasInit = true
		e.unresolved = true
		if init.Quoted {
			e.setType(typeSlot{g: g}, String, init)
		}
	}
	if v.MaxSize > 0 || v.Wrap || v.Size != nil {
		g.Array = true
		if g.HasInit {
			e.errorAt(codeGlobalInit, v.Name, "only scalar globals can be initialized")
		}
	}
}

func (e *elab) declareFunc(u *unit, d *syntax.FuncDecl) {
	if d.Name == nil || d.Body == nil && d.Code == nil {
		return
	}
	f := &Func{Name: d.Name.Name, Unique: d.Name.Name, Decl: d, File: u.file, Library: u.library, Priority: d.Priority}
	if d.PriorityTok == 0 && u.library {
		f.Priority = 1
	}
	if d.Private {
		f.Unique = mangle(u.file.Name, f.Name)
	}
	f.state = &bodyState{e: e, fn: f, file: u.file, locals: map[string]*Local{}, body: newBody()}
	f.state.body.Locals = make([]*Local, 0, len(d.Params))
	for _, p := range d.Params {
		if p.Name == nil {
			continue
		}
		l := &Local{Name: p.Name.Name, Param: true, Index: len(f.Params), Decl: p.Name, Written: true}
		if f.state.locals[l.Name] != nil {
			e.errorAt(codeFuncAsVar, p.Name, "parameter '%s' is declared twice", l.Name)
		}
		switch p.Type {
		case syntax.LongType:
			e.setType(typeSlot{l: l}, Long, p)
		case syntax.StringType:
			e.setType(typeSlot{l: l}, String, p)
		}
		f.state.locals[l.Name] = l
		f.state.body.Locals = append(f.state.body.Locals, l)
		f.Params = append(f.Params, l)
	}
	switch d.Result {
	case syntax.LongType:
		e.setType(typeSlot{f: f}, Long, d)
	case syntax.StringType:
		e.setType(typeSlot{f: f}, String, d)
	}
	if d.Code != nil {
		f.native(d.Code.Text)
	}
	names := e.funcs
	if d.Private {
		names = u.funcs
	}
	names[f.Name] = append(names[f.Name], f)
	e.allFunc = append(e.allFunc, f)
}

// native reads the words of an embedded body: those of the library stand for an
// intrinsic or a table. The comments that SystemTap's own functions use as marks
// are kept.
func (f *Func) native(text string) {
	for _, mark := range []string{"guru", "pure", "unprivileged", "impure"} {
		if strings.Contains(text, "/* "+mark+" */") {
			f.marks = append(f.marks, mark)
			text = strings.ReplaceAll(text, "/* "+mark+" */", " ")
		}
	}
	text = strings.TrimSpace(text)
	if name, ok := strings.CutPrefix(text, "intrinsic:"); ok && f.Library {
		f.Intrinsic = strings.TrimSpace(name)
	} else if name, ok := strings.CutPrefix(text, "table:"); ok && f.Library {
		f.Table = strings.TrimSpace(name)
	} else {
		f.embedded = true
	}
}

func (f *Func) marked(mark string) bool {
	for _, m := range f.marks {
		if m == mark {
			return true
		}
	}
	return false
}

// aliases declares the aliases of a user's file.
func (e *elab) aliases(f *syntax.File) {
	for _, d := range f.Decls {
		a, ok := d.(*syntax.AliasDecl)
		if !ok {
			continue
		}
		for _, n := range a.Names {
			if !e.res.userAliases.addAlias(libAlias{n, a}) {
				e.errorAt(codeAliasClash, n, "the name of an alias cannot have wildcards, braces or parameters")
			}
		}
	}
}

// resolveProbes resolves the probe points of all probes of a file.
func (e *elab) resolveProbes(f *syntax.File, library bool) {
	for _, d := range f.Decls {
		p, ok := d.(*syntax.ProbeDecl)
		if !ok || p.Body == nil {
			continue
		}
		proto := &Probe{Decl: p, Lib: library, Blocks: []*syntax.Block{p.Body}, SyscallNr: -1}
		var got []*Probe
		for i, pt := range p.Points {
			one, fails := e.res.points(p.Points[i:i+1], proto, nil, 0)
			for _, g := range one {
				g.Written, _ = pt.(*syntax.ProbePoint)
			}
			for _, f := range fails {
				e.reportFail(f)
			}
			if pp, ok := pt.(*syntax.ProbePoint); ok && e.prog.Tools != nil {
				e.prog.Tools.Matches[pp] = len(one)
				one = one[:min(len(one), e.sample())]
			}
			got = append(got, one...)
			if pp, ok := pt.(*syntax.ProbePoint); ok && pp.Sufficient && len(one) > 0 {
				break
			}
		}
		for _, g := range got {
			if g.Counter != "" {
				e.counters[g.Counter] = g
			}
			if !e.allowed(g) {
				continue
			}
			if g.Counter != "" && g.Sample == 0 && g.Hz == 0 && !e.list && !e.listing {
				continue // it counts for others and never fires
			}
			e.probes = append(e.probes, g)
			if !e.listing {
				e.filter(g)
				e.pending = append(e.pending, func() { e.resolveProbe(g) })
			}
		}
	}
}

// allowed checks a probe against --privilege.
func (e *elab) allowed(p *Probe) bool {
	switch e.opt.Privilege {
	case "", "stapdev":
		return true
	case "stapsys":
		return true
	}
	switch p.Family {
	case FamBegin, FamEnd, FamError, FamNever, FamTimer,
		FamUFunction, FamUStatement, FamMark, FamProcess, FamUSyscall:
		return true
	}
	if p.Lib {
		return true
	}
	e.errorAt(codePrivilege, p.Written, "probe point is not allowed for --privilege=%s", e.opt.Privilege).
		help("allowed are begin, end, error, never, timers other than profile, and probes of one's own processes")
	return false
}

// reportFail reports why a probe point cannot be resolved, as a chain.
func (e *elab) reportFail(f *fail) {
	node := f.node
	if node == nil && len(f.chain) > 0 {
		node = f.chain[0]
	}
	if node == nil {
		return
	}
	text := f.text()
	if f.code == codeNoMatch && f.help == "" && text == "no match" && len(f.chain) > 0 {
		f.help = listingOf(f.chain[0])
	}
	b := e.at(f.code, node, "%s", text).help("%s", f.help)
	for i, pp := range f.chain {
		if i == 0 && f.node == nil {
			continue
		}
		b.related(pp, "while resolving probe point")
	}
	b.emit()
}

// lastName is the last string argument of a probe point.
var lastName = regexp.MustCompile(`\("((?:[^"\\]|\\.)*)"\)([^"]*)$`)

// listingOf tells how to see what there is where a point names something that there
// is not, "" where that is clear.
func listingOf(pp *syntax.ProbePoint) string {
	point := strings.TrimRight(syntax.PointString(pp), "?!")
	point, _, _ = strings.Cut(point, " if (")
	m := lastName.FindStringSubmatchIndex(point)
	if m == nil || point[m[2]:m[3]] == "*" {
		return ""
	}
	return "to see what there is: stap -l '" + point[:m[2]] + "*" + point[m[3]:] + "'"
}

// builder makes a diagnostic.
type builder struct {
	e *elab
	d diag.Diagnostic
	// at is the place of what was emitted, in Diags, -1 before; late the same in
	// Late, from 1.
	at, late int
}

// at starts a diagnostic at the anchor of a node.
func (e *elab) at(code diag.Code, n syntax.Node, format string, args ...any) *builder {
	r := syntax.AnchorRange(n)
	if r.End == (diag.Pos{}) {
		r = syntax.Range(n)
	}
	msg := format
	if len(args) > 0 {
		msg = fmt.Sprintf(format, args...)
	}
	b := &builder{e: e, at: -1}
	b.d = diag.New(code, r, "%s", msg)
	b.d.Saw = tokenText(n)
	b.d.Related = append(b.d.Related, syntax.Origin(n)...)
	return b
}

// errorAt reports an error at once; what is added to the builder afterwards is
// added to what was reported.
func (e *elab) errorAt(code diag.Code, n syntax.Node, format string, args ...any) *builder {
	return e.at(code, n, format, args...).emit()
}

func (b *builder) update() *builder {
	if b.at >= 0 {
		b.e.prog.Diags[b.at] = b.d
	}
	if b.late > 0 {
		b.e.prog.Late[b.late-1] = b.d
	}
	return b
}

func (b *builder) related(n syntax.Node, msg string) *builder {
	b.d.Related = append(b.d.Related, diag.Related{Range: syntax.AnchorRange(n), Message: msg})
	return b.update()
}

func (b *builder) help(format string, args ...any) *builder {
	b.d.Help = format
	if len(args) > 0 {
		b.d.Help = fmt.Sprintf(format, args...)
	}
	return b.update()
}

func (b *builder) fix(f diag.Fix) *builder {
	b.d.Fixes = append(b.d.Fixes, f)
	return b.update()
}

func (b *builder) unnecessary() *builder {
	b.d.Tags = append(b.d.Tags, diag.Unnecessary)
	return b.update()
}

func (b *builder) emit() *builder {
	b.at = b.e.report(b.d)
	return b
}

// report adds a diagnostic unless the same was given already; it returns its place
// or -1.
func (e *elab) report(d diag.Diagnostic) int {
	if e.silent {
		return -1
	}
	k := string(d.Code) + "\x00" + d.Range.Start.String() + "\x00" + d.Message
	if e.seen[k] {
		return -1
	}
	e.seen[k] = true
	e.prog.Diags = append(e.prog.Diags, d)
	return len(e.prog.Diags) - 1
}

// note reports once that something is not known.
func (e *elab) note(topic string, n syntax.Node, format string, args ...any) {
	e.unresolved = true
	if e.noted[topic] {
		return
	}
	e.noted[topic] = true
	e.errorAt(codeNeedTarget, n, format, args...)
}

// tokenText is SystemTap's description of the token that a diagnostic points at.
func tokenText(n syntax.Node) string {
	f := n.File()
	i := n.Anchor()
	if i < 0 || i >= len(f.Tokens) {
		return ""
	}
	text := f.Text(i)
	switch k := f.Tokens[i].Kind; {
	case k == syntax.Name, k == syntax.Arg:
		return "identifier '" + text + "'"
	case k == syntax.Number:
		return "number '" + text + "'"
	case k == syntax.String:
		return "string '" + strings.Trim(text, `"`) + "'"
	case k.IsKeyword():
		return "keyword"
	case k == syntax.Embedded:
		return "embedded-code"
	}
	return "operator '" + text + "'"
}

// functions finds the overloads that a call of a name from a file can mean,
// whatever their arity.
func (e *elab) functions(name string, from *syntax.File) []*Func {
	if u := e.unit(from); u != nil && len(u.funcs[name]) > 0 {
		return u.funcs[name]
	}
	if !e.pulled[name] {
		e.pulled[name] = true
		for _, f := range e.opt.Library.funcFiles(name) {
			e.include(f, true)
		}
	}
	list := e.funcs[name]
	if slices.ContainsFunc(list, func(f *Func) bool { return f.Library && !embeddedFile(f.File.Name) }) {
		return list // of two libraries one is chosen (ofDirectories)
	}
	return slices.DeleteFunc(slices.Clone(list), func(f *Func) bool { return e.opt.Library.hidden(f.File, from) })
}

// chain picks the overloads with an arity, in the order in which they are tried.
func chain(candidates []*Func, arity int) []*Func {
	var out []*Func
	for _, f := range candidates {
		if len(f.Params) == arity {
			out = append(out, f)
		}
	}
	out = ofDirectories(out)
	sort.SliceStable(out, func(i, j int) bool { return out[i].Priority < out[j].Priority })
	return out
}

// inC reports whether a function has C in it, which cannot run.
func (f *Func) inC() bool {
	found := f.embedded
	if f.Decl.Body != nil {
		syntax.Inspect(f.Decl.Body, func(n syntax.Node) bool {
			switch n := n.(type) {
			case *syntax.EmbeddedExpr:
				found = true
			case *syntax.AtOp:
				found = found || n.Op == syntax.AtConst
			}
			return !found
		})
	}
	return found
}

// ofDirectories leaves one of the libraries that declare a function: a user's directory
// rather than stapkit's own, unless all that it has is C, which cannot run.
func ofDirectories(list []*Func) []*Func {
	theirs, runs, own := 0, 0, 0
	for _, f := range list {
		switch {
		case !f.Library:
		case embeddedFile(f.File.Name):
			own++
		default:
			theirs++
			if !f.inC() {
				runs++
			}
		}
	}
	if theirs == 0 || own == 0 {
		return list
	}
	var out []*Func
	for _, f := range list {
		if !f.Library || embeddedFile(f.File.Name) == (runs == 0) {
			out = append(out, f)
		}
	}
	return out
}

// global finds a global variable visible from a file; nil if there is none.
func (e *elab) global(name string, from *syntax.File) *Global {
	if u := e.unit(from); u != nil {
		if g := u.globals[name]; g != nil {
			return g
		}
	}
	if e.globals[name] == nil {
		for _, f := range e.opt.Library.globalFiles(name) {
			e.include(f, true)
		}
	}
	if g := e.globals[name]; g != nil && !(g.Library && e.opt.Library.hidden(g.File, from)) {
		return g
	}
	return nil
}

// similarFuncs lists function names that are spelled alike.
func (e *elab) similarFuncs(name string) string {
	names := append(e.opt.Library.funcNames(), "print", "println", "printf", "printd", "printdln",
		"sprint", "sprintln", "sprintf", "sprintd", "sprintdln", "print_char")
	for n := range e.funcs {
		names = append(names, n)
	}
	public := names[:0]
	for _, n := range names {
		if !strings.HasPrefix(n, "_") || strings.HasPrefix(name, "_") {
			public = append(public, n)
		}
	}
	sort.Strings(public)
	s := ctype.Similar(name, compact(public), 5)
	if len(s) == 0 {
		return ""
	}
	return " (similar: " + strings.Join(s, ", ") + ")"
}
