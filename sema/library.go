package sema

import (
	"sort"
	"strings"
	"sync"

	"stapkit/syntax"
	"stapkit/tapsets"
)

// A LibrarySource is a set of library files with an index of what they declare, so
// that only the files that a script needs are read. An index may name more than a
// file turns out to declare for the target at hand, but never less.
type LibrarySource interface {
	// Read gives the text of a file.
	Read(name string) ([]byte, bool)
	// Funcs and AliasComponents list the names of all functions, and the first
	// components of all aliases.
	Funcs() []string
	AliasComponents() []string
	// FuncFiles, GlobalFiles and AliasFiles name the files that declare a public
	// function, a public global, or aliases with that first component.
	FuncFiles(name string) []string
	GlobalFiles(name string) []string
	AliasFiles(component string) []string
}

// A SplitSource is a library source that also knows the second components of its
// aliases, so that one of many is found without reading the others.
type SplitSource interface {
	LibrarySource
	// AliasFilesFor names the files with aliases of these first two components,
	// AliasSeconds lists the second components; "" stands for an alias of one.
	AliasFilesFor(first, second string) []string
	AliasSeconds(first string) []string
}

// embedded is stapkit's own library.
type embedded struct{}

func (embedded) Read(name string) ([]byte, bool)      { return tapsets.Read(name) }
func (embedded) Funcs() []string                      { return tapsets.Funcs() }
func (embedded) AliasComponents() []string            { return tapsets.AliasComponents() }
func (embedded) FuncFiles(name string) []string       { return tapsets.FuncFiles(name) }
func (embedded) GlobalFiles(name string) []string     { return tapsets.GlobalFiles(name) }
func (embedded) AliasFiles(component string) []string { return tapsets.AliasFiles(component) }

func (embedded) AliasFilesFor(first, second string) []string {
	return tapsets.AliasFilesFor(first, second)
}
func (embedded) AliasSeconds(first string) []string { return tapsets.AliasSeconds(first) }

// Embedded is stapkit's own library.
func Embedded() LibrarySource { return embedded{} }

// files is a library source made of texts, all of which are read to index them.
type files struct {
	text    map[string][]byte
	names   []string
	funcs   map[string][]string
	globals map[string][]string
	aliases map[string][]string
}

// NewSource makes a library source of the texts of .stp files, by name. It reads
// all of them; opt says for which target.
func NewSource(text map[string][]byte, opt syntax.Options) LibrarySource {
	s := &files{text: text, funcs: map[string][]string{}, globals: map[string][]string{}, aliases: map[string][]string{}}
	for name := range text {
		s.names = append(s.names, name)
	}
	sort.Strings(s.names)
	opt.View, opt.Library = syntax.Expanded, true
	for _, name := range s.names {
		add := func(m map[string][]string, key string) {
			if l := m[key]; len(l) == 0 || l[len(l)-1] != name {
				m[key] = append(l, name)
			}
		}
		for _, d := range syntax.ParseFile(name, text[name], opt).Decls {
			switch d := d.(type) {
			case *syntax.FuncDecl:
				if !d.Private && d.Name != nil {
					add(s.funcs, d.Name.Name)
				}
			case *syntax.GlobalDecl:
				for _, v := range d.Vars {
					if !d.Private && v.Name != nil {
						add(s.globals, v.Name.Name)
					}
				}
			case *syntax.AliasDecl:
				for _, n := range d.Names {
					if len(n.Components) > 0 {
						add(s.aliases, n.Components[0].Name)
					}
				}
			}
		}
	}
	return s
}

func (s *files) Read(name string) ([]byte, bool)      { b, ok := s.text[name]; return b, ok }
func (s *files) Funcs() []string                      { return sortedKeys(s.funcs) }
func (s *files) AliasComponents() []string            { return sortedKeys(s.aliases) }
func (s *files) FuncFiles(name string) []string       { return s.funcs[name] }
func (s *files) GlobalFiles(name string) []string     { return s.globals[name] }
func (s *files) AliasFiles(component string) []string { return s.aliases[component] }

func sortedKeys[T any](m map[string]T) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// A Library is the library as one target sees it: sources, and the trees of the
// files read so far. It is safe for concurrent use, and shared by all elaborations
// for the same target and options.
type Library struct {
	sources []LibrarySource
	opt     syntax.Options
	// replaced tells that another library is in the embedded one's place, which then
	// only serves itself, and what the other has in C.
	replaced bool

	mu     sync.Mutex
	parsed map[string]*syntax.File
	// trees holds the aliases by first component.
	trees map[string][]libAlias
}

// libAlias is one name of an alias of the library.
type libAlias struct {
	name *syntax.ProbePoint
	decl *syntax.AliasDecl
}

// NewLibrary makes a library of sources; a name is looked up in all of them. opt
// gives the macros and the target's answers to the preprocessor.
func NewLibrary(opt syntax.Options, sources ...LibrarySource) *Library {
	opt.View, opt.Library, opt.Privileged = syntax.Expanded, true, true
	return &Library{sources: sources, opt: opt, parsed: map[string]*syntax.File{}, trees: map[string][]libAlias{}}
}

// file gives the tree of a library file, nil if there is no such file.
func (l *Library) file(src LibrarySource, name string) *syntax.File {
	if f, ok := l.parsed[name]; ok {
		return f
	}
	var f *syntax.File
	if text, ok := src.Read(name); ok {
		f = syntax.ParseFile(name, text, l.opt)
	}
	l.parsed[name] = f
	return f
}

// lookup gives the files that an index names.
func (l *Library) lookup(index func(LibrarySource) []string) []*syntax.File {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []*syntax.File
	for _, src := range l.sources {
		for _, name := range index(src) {
			if f := l.file(src, name); f != nil {
				out = append(out, f)
			}
		}
	}
	return out
}

// visible lists the sources whose declarations scripts can use.
func (l *Library) visible() []LibrarySource {
	if l == nil {
		return nil
	}
	if l.replaced {
		return l.sources[:len(l.sources)-1] // the last is the embedded one
	}
	return l.sources
}

// hidden reports whether what a file of the library declares does not count in another.
func (l *Library) hidden(file, from *syntax.File) bool {
	return l != nil && l.replaced && embeddedFile(file.Name) && file.Name != argumentsFile && (from == nil || !embeddedFile(from.Name))
}

func (l *Library) funcFiles(name string) []*syntax.File {
	return l.lookup(func(s LibrarySource) []string { return s.FuncFiles(name) })
}

func (l *Library) globalFiles(name string) []*syntax.File {
	// Of several libraries that declare it the first counts.
	found := false
	return l.lookup(func(s LibrarySource) []string {
		if found {
			return nil
		}
		list := s.GlobalFiles(name)
		found = len(list) > 0
		return list
	})
}

// funcNames lists the public functions of all sources, for suggestions.
func (l *Library) funcNames() []string {
	var out []string
	for _, s := range l.visible() {
		out = append(out, s.Funcs()...)
	}
	return out
}

// components lists the first components of all aliases.
func (l *Library) components() []string {
	var out []string
	for _, s := range l.visible() {
		out = append(out, s.AliasComponents()...)
	}
	return out
}

// aliases lists the aliases whose first component has the name, in order of files
// and declarations.
func (l *Library) aliases(component string) []libAlias {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	if t, ok := l.trees[component]; ok {
		l.mu.Unlock()
		return t
	}
	l.mu.Unlock()
	var out []libAlias
	for _, f := range l.lookup(func(s LibrarySource) []string { return s.AliasFiles(component) }) {
		if l.hidden(f, nil) {
			continue
		}
		for _, d := range f.Decls {
			if a, ok := d.(*syntax.AliasDecl); ok {
				for _, n := range a.Names {
					if len(n.Components) > 0 && n.Components[0].Name == component {
						out = append(out, libAlias{n, a})
					}
				}
			}
		}
	}
	out = overridden(out)
	l.mu.Lock()
	l.trees[component] = out
	l.mu.Unlock()
	return out
}

// second is the name of an alias's second component, "" for an alias of one.
func (a libAlias) second() string {
	if len(a.name.Components) < 2 {
		return ""
	}
	return a.name.Components[1].Name
}

// splits lists the second components of the aliases with that first one, if all
// sources that have such aliases know them; "" stands for an alias of one component.
func (l *Library) splits(first string) ([]string, bool) {
	if l == nil {
		return nil, true
	}
	var out []string
	for _, src := range l.visible() {
		if len(src.AliasFiles(first)) == 0 {
			continue
		}
		s, ok := src.(SplitSource)
		if !ok {
			return nil, false
		}
		out = append(out, s.AliasSeconds(first)...)
	}
	sort.Strings(out)
	return compact(out), true
}

// aliasesFor lists the aliases with these first two components, in order of files
// and declarations.
func (l *Library) aliasesFor(first, second string) []libAlias {
	if l == nil {
		return nil
	}
	files := l.lookup(func(src LibrarySource) []string {
		s, ok := src.(SplitSource)
		if !ok {
			return nil
		}
		return s.AliasFilesFor(first, second)
	})
	var out []libAlias
	for _, f := range files {
		if l.hidden(f, nil) {
			continue
		}
		for _, d := range f.Decls {
			a, ok := d.(*syntax.AliasDecl)
			if !ok {
				continue
			}
			for _, n := range a.Names {
				if x := (libAlias{n, a}); len(n.Components) > 0 && n.Components[0].Name == first && x.second() == second {
					out = append(out, x)
				}
			}
		}
	}
	return overridden(out)
}

// overridden leaves out the aliases of stapkit's own library whose names a user's
// directory declares too.
func overridden(list []libAlias) []libAlias {
	theirs := map[string]bool{}
	for _, a := range list {
		if !embeddedFile(a.decl.File().Name) {
			theirs[syntax.PointString(a.name)] = true
		}
	}
	if len(theirs) == 0 {
		return list
	}
	var out []libAlias
	for _, a := range list {
		if !embeddedFile(a.decl.File().Name) || !theirs[syntax.PointString(a.name)] {
			out = append(out, a)
		}
	}
	return out
}

// Names lists what the library declares: functions and the first components of
// aliases, sorted.
func (l *Library) Names() (funcs, components []string) {
	funcs, components = l.funcNames(), l.components()
	sort.Strings(funcs)
	sort.Strings(components)
	return compact(funcs), compact(components)
}

func compact(s []string) []string {
	out := s[:0]
	for i, v := range s {
		if i == 0 || v != s[i-1] {
			out = append(out, v)
		}
	}
	return out
}

// mangle makes the unique name of a private declaration.
func mangle(file, name string) string {
	var b strings.Builder
	b.WriteString("__private_")
	for i := 0; i < len(file); i++ {
		c := file[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			b.WriteByte(c)
		} else {
			b.WriteByte('_')
		}
	}
	b.WriteByte('_')
	b.WriteString(name)
	return b.String()
}
