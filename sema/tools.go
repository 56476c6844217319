package sema

import (
	"sort"
	"strconv"
	"strings"

	"stapkit/syntax"
	"stapkit/target"
	"stapkit/target/ctype"
	"stapkit/target/dwarf"
	"stapkit/target/elf"
)

// This file holds what editors ask beyond a compiler: about what is not in use, about
// probe points and accesses that are half typed, and about the library.

// Tools is what elaboration knows beyond the program, with Options.Tools.
type Tools struct {
	// Probes are all of the user's probes, those without effect included. Of a probe
	// point that names more than Options.Sample places only that many are here.
	Probes []*Probe
	// Funcs and Globals are all that the user's files declare, and those of the library
	// that are in use.
	Funcs   []*Func
	Globals []*Global
	// Matches counts the places that a probe point of the user names.
	Matches map[*syntax.ProbePoint]int
	// Aliases are the user's aliases that no probe uses, each as a probe of its points.
	Aliases map[*syntax.AliasDecl][]*Probe
}

// elaborateRest elaborates what the program does not use: functions that nothing
// calls and aliases that no probe names. What is wrong with them is not reported,
// since it does no harm.
func (e *elab) elaborateRest(files []*syntax.File) {
	diags, late, unresolved, progFiles := e.prog.Diags, e.prog.Late, e.unresolved, e.prog.Files
	diags = diags[:len(diags):len(diags)]
	late = late[:len(late):len(late)]
	t := e.prog.Tools
	for _, p := range e.probes {
		if !p.Lib {
			t.Probes = append(t.Probes, p)
		}
	}
	used := map[*syntax.AliasDecl]bool{}
	for _, p := range t.Probes {
		for _, d := range p.Chain {
			used[d.Alias] = true
		}
	}
	for _, f := range e.allFunc {
		if !f.Library {
			e.use(f)
		}
	}
	for _, f := range files {
		for _, d := range f.Decls {
			a, ok := d.(*syntax.AliasDecl)
			if !ok || used[a] {
				continue
			}
			proto := &Probe{Decl: a.AsProbe(), SyscallNr: -1}
			for _, bl := range []*syntax.Block{a.Body, a.Epilogue} {
				if bl != nil {
					proto.Blocks = append(proto.Blocks, bl)
				}
			}
			got, _ := e.res.points(a.Points, proto, nil, 0)
			if len(got) > e.sample() {
				got = got[:e.sample()]
			}
			for _, p := range got {
				t.Aliases[a] = append(t.Aliases[a], p)
				e.pending = append(e.pending, func() { e.resolveProbe(p) })
			}
		}
	}
	e.drain()
	e.lateAutocasts()
	e.inferAll()
	for _, f := range e.allFunc {
		if !f.Library || f.used {
			t.Funcs = append(t.Funcs, f)
		}
	}
	for _, g := range e.order {
		if !g.Library || g.used {
			t.Globals = append(t.Globals, g)
		}
	}
	e.prog.Diags, e.prog.Late, e.unresolved, e.prog.Files = diags, late, unresolved, progFiles
}

// sample is the number of probes that are elaborated of one probe point.
func (e *elab) sample() int {
	if e.opt.Tools && e.opt.Sample > 0 {
		return e.opt.Sample
	}
	return maxPoints
}

// A TargetVariable is what a probed place offers to a script.
type TargetVariable struct {
	Name string     // with "$"
	Type ctype.Type // nil for text
	Text string     // value of a constant such as $$name
	// Entry: in a return probe, the value that the variable has at entry.
	Entry bool
	Local bool // of the function's body, not a parameter
	// Why the value cannot be had although the name exists; "" if it can.
	Why string
}

// TargetVariables lists what the place of a probe offers, $return first; open reports
// that nothing is known of the place, so that any name may exist.
func (p *Probe) TargetVariables() (list []TargetVariable, open bool) {
	c := p.context()
	if c == nil {
		return nil, false
	}
	if c.ret != nil {
		list = append(list, TargetVariable{Name: "$return", Type: c.ret.typ, Why: c.ret.why})
	}
	add := func(vars []ctxVar, entry bool) {
		for _, v := range vars {
			if v.name != "" {
				list = append(list, TargetVariable{Name: "$" + v.name, Type: v.typ, Entry: entry, Local: v.local, Why: v.why})
			}
		}
	}
	add(c.vars, false)
	if c.entry != nil {
		add(c.entry.vars, true)
	}
	for _, name := range sortedKeys(c.consts) {
		list = append(list, TargetVariable{Name: name, Text: c.consts[name]})
	}
	if c.value {
		list = append(list, TargetVariable{Name: "$value"})
	}
	return list, c.open
}

// ResolvePoints resolves probe points without elaborating handlers: what a probe of
// these points would probe. The points' file is a user's.
func ResolvePoints(file *syntax.File, points []syntax.Point, opt Options) []*Probe {
	e := newElab([]*syntax.File{file}, opt)
	e.list, e.listing = true, true
	e.include(file, false)
	e.aliases(file)
	proto := &Probe{SyscallNr: -1}
	for _, d := range file.Decls {
		if p, ok := d.(*syntax.ProbeDecl); ok {
			proto.Decl = p
			break
		}
	}
	got, _ := e.res.points(points, proto, nil, 0)
	return got
}

// A Continuation is one way to go on with a probe point.
type Continuation struct {
	Name string
	// Arg is "", "number" or "string": the argument that the component takes.
	Arg string
	// Ends: a probe point may end here. More: it may go on.
	Ends, More bool
	// Aliases are those whose names end here.
	Aliases []*syntax.AliasDecl
	// Pattern is the built-in form that ends here, "" for an alias.
	Pattern string
}

// Continuations lists the components that can follow the given ones, which are
// written as in a script, without wildcards and groups; file gives the user's
// aliases. Suffixes that aliases pass on to the points they stand for are not in it.
func Continuations(file *syntax.File, prefix []*syntax.Component, opt Options) []Continuation {
	e := newElab(nil, opt)
	if file != nil {
		e.aliases(file)
	}
	c := cursor{r: e.res, top: true}
	for _, comp := range prefix {
		k := key{name: comp.Name}
		switch a := comp.Arg.(type) {
		case *syntax.NumberLit:
			k.arg = numArg
		case *syntax.StringLit:
			k.arg = strArg
		case *syntax.ScriptArg:
			k.arg = numArg
			if a.Quoted {
				k.arg = strArg
			}
		}
		next, ok := c.at(k)
		if !ok {
			return nil
		}
		c = next
	}
	if c.top {
		return e.topContinuations()
	}
	var out []Continuation
	for _, k := range c.keys() {
		next, _ := c.at(k)
		n := Continuation{Name: k.name, Ends: next.ends(), More: next.more()}
		switch k.arg {
		case numArg:
			n.Arg = "number"
		case strArg:
			n.Arg = "string"
		}
		for _, a := range next.aliases() {
			n.Aliases = append(n.Aliases, a.decl)
		}
		if t := next.trees[0]; t != nil && t.build != nil {
			if t.build == famGone {
				continue
			}
			n.Pattern = t.pattern
		}
		out = append(out, n)
	}
	return out
}

// topContinuations lists the first components, for which no library file is read.
func (e *elab) topContinuations() []Continuation {
	var out []Continuation
	seen := map[string]bool{}
	add := func(t *tnode) {
		if t == nil {
			return
		}
		for k, n := range t.kids {
			c := Continuation{Name: k.name, Ends: n.build != nil || len(n.aliases) > 0, More: len(n.kids) > 0, Pattern: n.pattern}
			if n.build == famGone || allGone(n) {
				continue
			}
			switch k.arg {
			case numArg:
				c.Arg = "number"
			case strArg:
				c.Arg = "string"
			}
			for _, a := range n.aliases {
				c.Aliases = append(c.Aliases, a.decl)
			}
			seen[k.String()] = true
			out = append(out, c)
		}
	}
	add(builtins)
	add(e.res.userAliases)
	for _, name := range e.opt.Library.components() {
		if seen[name] || strings.HasPrefix(name, "_") {
			continue
		}
		seen[name] = true
		c := Continuation{Name: name, More: true, Ends: true}
		if seconds, ok := e.opt.Library.splits(name); ok {
			c.Ends = len(seconds) > 0 && seconds[0] == ""
			c.More = len(seconds) > 1 || !c.Ends
		}
		out = append(out, c)
	}
	sort.Slice(out, func(i, j int) bool {
		if out[i].Name != out[j].Name {
			return out[i].Name < out[j].Name
		}
		return out[i].Arg < out[j].Arg
	})
	return out
}

// allGone reports whether nothing below a node of the built-in tree can be carried.
func allGone(n *tnode) bool {
	if n.dynamic != nil || n.build != nil && n.build != famGone || len(n.aliases) > 0 || n.build == nil && len(n.kids) == 0 {
		return false
	}
	for _, k := range n.kids {
		if k.build != famGone && !allGone(k) {
			return false
		}
	}
	return true
}

// more reports whether something can follow.
func (c cursor) more() bool {
	for _, t := range c.trees {
		if t != nil && (len(t.kids) > 0 || t.dynamic != nil) {
			return true
		}
	}
	return false
}

// An Alias is one name of an alias of the library.
type Alias struct {
	Name *syntax.ProbePoint
	Decl *syntax.AliasDecl
}

// FuncDecls gives the declarations of the library's functions of a name.
func (l *Library) FuncDecls(name string) []*syntax.FuncDecl {
	var out []*syntax.FuncDecl
	for _, f := range l.funcFiles(name) {
		for _, d := range f.Decls {
			if fd, ok := d.(*syntax.FuncDecl); ok && !fd.Private && fd.Name != nil && fd.Name.Name == name {
				out = append(out, fd)
			}
		}
	}
	return out
}

// GlobalDecls gives the declarations of the library's public globals of a name.
func (l *Library) GlobalDecls(name string) []*syntax.GlobalVar {
	var out []*syntax.GlobalVar
	for _, f := range l.globalFiles(name) {
		for _, d := range f.Decls {
			g, ok := d.(*syntax.GlobalDecl)
			if !ok || g.Private {
				continue
			}
			for _, v := range g.Vars {
				if v.Name != nil && v.Name.Name == name {
					out = append(out, v)
				}
			}
		}
	}
	return out
}

// AliasNames gives the library's aliases with that first component.
func (l *Library) AliasNames(component string) []Alias {
	var out []Alias
	for _, a := range l.aliases(component) {
		out = append(out, Alias{a.name, a.decl})
	}
	return out
}

// Functions lists the functions of a program, sorted.
func (b *Binaries) Functions(path string) ([]string, error) {
	f := b.file(path)
	if f.err != nil {
		return nil, f.err
	}
	return functionNames(f), nil
}

// Marks lists the marks of a program.
func (b *Binaries) Marks(path string) ([]elf.Mark, error) {
	f := b.file(path)
	if f.err != nil {
		return nil, f.err
	}
	return f.elf.Marks()
}

// PLT lists the functions of libraries that a program calls.
func (b *Binaries) PLT(path string) ([]string, error) {
	f := b.file(path)
	if f.err != nil {
		return nil, f.err
	}
	list, err := f.elf.PLT()
	var out []string
	for _, e := range list {
		out = append(out, e.Name)
	}
	return out, err
}

// Libraries lists the shared libraries that a program loads at its start.
func (b *Binaries) Libraries(path string) ([]string, error) {
	f := b.file(path)
	if f.err != nil {
		return nil, f.err
	}
	paths, _, err := b.Search.Needed(f.elf)
	return paths, err
}

// ProgramFiles finds the files that process(name) means: those of a path or a pattern, a
// program of $PATH, a library, or for "" the program of -c or -x.
func ProgramFiles(name string, opt Options) []string {
	if name == "" {
		name = opt.program()
		if name == "" && opt.PID != 0 {
			name = "/proc/" + strconv.Itoa(opt.PID) + "/exe"
		}
		if name == "" {
			return nil
		}
	}
	paths, f := (&resolver{e: &elab{opt: &opt}}).paths(name)
	if f != nil {
		return nil // resolving the point says why
	}
	for i := range paths {
		_, paths[i] = opt.Binaries.Search.Real(paths[i])
	}
	return paths
}

// KernelDWARF gives the debug information of a target's kernel, for "", or of a module;
// the error says where it was looked for.
func (b *Binaries) KernelDWARF(t *target.Target, module string) (*dwarf.Data, error) {
	return b.kernel(t, module)
}

// DWARF gives the debug information of a program; the error says why there is none.
func (b *Binaries) DWARF(path string) (*dwarf.Data, error) {
	f := b.file(path)
	if f.err != nil {
		return nil, f.err
	}
	if d := f.debug(&b.Search); d != nil {
		return d, nil
	}
	return nil, f.dwarfErr
}
