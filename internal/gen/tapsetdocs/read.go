package main

import (
	"fmt"
	"path"
	"sort"
	"strings"

	"stapkit/ir"
	"stapkit/syntax"
	"stapkit/syntax/doc"
	"stapkit/tapsets"
)

// A group is what one file of the library declares.
type group struct {
	name    string // of the file, without folders and suffix
	title   string
	text    string
	context string
	example string
	funcs   []*item
	aliases []*item
	macros  []*item
}

// An item is one function, alias or macro.
type item struct {
	name     string
	synopsis string
	c        *doc.Comment
	context  string
	guru     bool
}

// read reads the documentation of the library.
func read() ([]*group, error) {
	lib := &library{files: map[string]*syntax.File{}, funcs: map[string][]*function{}}
	byName := map[string]*group{}
	var order []string
	for _, name := range tapsets.Files() {
		text, _ := tapsets.Read(name)
		f := syntax.ParseFile(name, text, syntax.Options{View: syntax.SourceView, Library: true})
		for _, d := range f.Diags {
			return nil, fmt.Errorf("%s:%d: %s", name, d.Range.Start.Line, d.Message)
		}
		lib.add(f)
	}
	for _, name := range tapsets.Files() {
		f := lib.files[name]
		d := doc.New(f)
		head := d.Group()
		g := &group{name: strings.TrimSuffix(path.Base(name), path.Ext(name)), title: head.Title, text: head.Text, context: head.Context, example: head.Example}
		if strings.HasPrefix(name, tapsets.Prefix+"probe/") {
			g.name = "probe-" + g.name
		}
		lib.items(g, d, f.Decls)
		if len(g.funcs)+len(g.aliases)+len(g.macros) == 0 {
			continue
		}
		if old := byName[g.name]; old != nil { // name.stp and name.stpm
			old.funcs, old.aliases, old.macros = append(old.funcs, g.funcs...), append(old.aliases, g.aliases...), append(old.macros, g.macros...)
			continue
		}
		byName[g.name] = g
		order = append(order, g.name)
	}
	sort.Strings(order)
	var out []*group
	for _, n := range order {
		out = append(out, byName[n])
	}
	return out, nil
}

type library struct {
	files map[string]*syntax.File
	funcs map[string][]*function // by name
}

type function struct {
	decl *syntax.FuncDecl
	file *syntax.File
	// where is what the function itself and those that it calls leave, 0 while that
	// is not known.
	where   ir.Where
	guru    bool
	visited bool
}

func (l *library) add(f *syntax.File) {
	l.files[f.Name] = f
	var visit func([]syntax.Decl)
	visit = func(decls []syntax.Decl) {
		for _, d := range decls {
			switch d := d.(type) {
			case *syntax.FuncDecl:
				l.funcs[d.Name.Name] = append(l.funcs[d.Name.Name], &function{decl: d, file: f})
			case *syntax.CondDecl:
				visit(d.Then)
				visit(d.Else)
			}
		}
	}
	visit(f.Decls)
}

// called gives the functions that a call in a file may mean.
func (l *library) called(f *syntax.File, name string, args int) []*function {
	var private, public []*function
	for _, fn := range l.funcs[name] {
		if len(fn.decl.Params) != args {
			continue
		}
		if !fn.decl.Private {
			public = append(public, fn)
		} else if fn.file == f {
			private = append(private, fn)
		}
	}
	if private != nil {
		return private
	}
	return public
}

// resolve finds where a function can be called: not where an intrinsic is missing that
// it, or what it calls, needs. What a try statement encloses may be missing.
func (l *library) resolve(fn *function) {
	if fn.visited {
		return
	}
	fn.visited = true
	fn.where = ir.InKernel | ir.InLoader
	if c := fn.decl.Code; c != nil {
		text := strings.TrimSpace(strings.NewReplacer("%{", "", "%}", "").Replace(c.Text))
		fn.guru = strings.Contains(text, "/* guru */")
		text = strings.TrimSpace(strings.ReplaceAll(text, "/* guru */", ""))
		if name, ok := strings.CutPrefix(text, "intrinsic:"); ok {
			if id, ok := ir.ByName(strings.TrimSpace(name)); ok {
				info := ir.Intrinsics[id]
				// What is pure the loader does for handlers of the kernel.
				if !info.Pure {
					fn.where = info.Where
				}
			}
		}
		return
	}
	if fn.decl.Body == nil {
		return
	}
	syntax.Inspect(fn.decl.Body, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.TryStmt:
			return false
		case *syntax.Call:
			if n.Name == nil {
				return true
			}
			for _, g := range l.called(fn.file, n.Name.Name, len(n.Args)) {
				l.resolve(g)
				fn.where &= g.where
				fn.guru = fn.guru || g.guru && g.decl.Private
			}
		}
		return true
	})
}

func (l *library) items(g *group, d *doc.File, decls []syntax.Decl) {
	have := map[string]bool{}
	for _, it := range g.funcs {
		have[it.synopsis] = true
	}
	for _, decl := range decls {
		switch n := decl.(type) {
		case *syntax.CondDecl:
			l.items(g, d, n.Then)
			l.items(g, d, n.Else)
		case *syntax.FuncDecl:
			if n.Private || strings.HasPrefix(n.Name.Name, "_") {
				continue
			}
			it := &item{name: n.Name.Name, synopsis: synopsis(n), c: d.Of(n)}
			if it.c == nil || have[it.synopsis] {
				continue
			}
			have[it.synopsis] = true
			for _, fn := range l.funcs[n.Name.Name] {
				if fn.decl == n {
					l.resolve(fn)
					it.guru = fn.guru
					it.context = contextOf(fn.where)
				}
			}
			switch {
			case it.c.Section("Context") != "":
				it.context = it.c.Section("Context")
			case g.context != "":
				it.context = g.context
			}
			g.funcs = append(g.funcs, it)
		case *syntax.AliasDecl:
			c := d.Of(n)
			if c == nil || c.Kind != "probe" || strings.HasPrefix(c.Name, "_") {
				continue
			}
			it := &item{name: c.Name, synopsis: c.Name, c: c, context: c.Section("Context")}
			if it.context == "" {
				it.context = g.context
			}
			g.aliases = append(g.aliases, it)
		case *syntax.MacroDef:
			if c := d.Before(n); c != nil && !strings.HasPrefix(n.Name, "_") {
				s := "@" + n.Name
				if len(n.Params) > 0 {
					s += "(" + strings.Join(n.Params, ", ") + ")"
				}
				g.macros = append(g.macros, &item{name: "@" + n.Name, synopsis: s, c: c})
			}
		}
	}
}

func synopsis(n *syntax.FuncDecl) string {
	var params []string
	for _, p := range n.Params {
		s := p.Name.Name
		if p.Type != syntax.NoType {
			s += colon(p.Type.String())
		}
		params = append(params, s)
	}
	result := ""
	if n.Result != syntax.NoType {
		result = n.Result.String()
	}
	return n.Name.Name + colon(result) + "(" + strings.Join(params, ", ") + ")"
}

// colon puts a colon before the name of a type, where it has none.
func colon(s string) string {
	if s == "" || s[0] == ':' {
		return s
	}
	return ":" + s
}

func contextOf(w ir.Where) string {
	switch w {
	case ir.InKernel:
		return "handlers of the kernel: not begin, end and timers"
	case ir.InLoader:
		return "handlers of the loader: begin, end, timers"
	case ir.InKernel | ir.InLoader:
		return "any"
	}
	return "none"
}
