package query

import (
	"context"
	"sort"
	"strings"
	"sync"
	"sync/atomic"

	"stapkit/diag"
	"stapkit/sema"
	"stapkit/syntax"
	"stapkit/syntax/doc"
	"stapkit/tapsets"
	"stapkit/target"
	"stapkit/target/ctype"
)

// Config says what scripts are read for.
type Config struct {
	// Target is what is probed, nil when nothing is known of it.
	Target *target.Target
	// Includes are further library directories (-I).
	Includes []string
	// Args are the script arguments, as far as they are known.
	Args       []string
	Guru       bool
	Privilege  string
	Compatible string
	// Command and PID are those of -c and -x.
	Command string
	PID     int
	// SourceTree is a directory with the kernel's source, "" for none.
	SourceTree string
	// Reading, when set, is told when the debug information of a program or kernel is
	// read, which can take seconds; what it gives is called afterwards.
	Reading func(name string) (done func())
	// Widths, when set, infers how much memory the variables of a script take.
	// It gives up when the context ends.
	Widths func(context.Context, *sema.Program, *target.Target) (*Widths, error)
}

// An Env is a Config with what was opened for it. It is safe for concurrent use.
type Env struct {
	Config
	opt  syntax.Options // of the user's scripts
	lib  *sema.OpenedLibrary
	bins *sema.Binaries

	reading atomic.Int32 // programs and kernels whose debug information is being read

	indexOnce sync.Once
	index     *libraryIndex

	mu      sync.Mutex
	docs    map[*syntax.File]*doc.File
	newest  [3]*doc.File             // of the user's files that were asked about last
	points  map[string][]*sema.Probe // of points that were resolved by themselves
	conts   map[string][]sema.Continuation
	names   map[string][]string              // functions, tracepoints, types: lists that are long
	offered map[string]ctype.Type            // structs of programs that completion has named last
	named   map[string]map[widthKey]widthSet // by script: widths of its last version without errors
}

// Open opens the library. The error names a directory that cannot be read; the Env
// then works without it.
func Open(c Config) (*Env, error) {
	e := &Env{Config: c, bins: &sema.Binaries{}, docs: map[*syntax.File]*doc.File{}, points: map[string][]*sema.Probe{}, names: map[string][]string{}}
	e.bins.Reading = e.read
	e.opt = syntax.Options{
		Args: c.Args, ArgsUnknown: true, Privileged: c.Guru, Compatible: c.Compatible,
		Target: sema.Conditions{Target: c.Target, Guru: c.Guru, Privilege: c.Privilege, Compatible: c.Compatible},
	}
	lib, err := sema.OpenLibrary(e.opt, c.Includes)
	e.lib = lib
	e.opt.Macros = lib.Macros
	return e, err
}

// Busy reports whether debug information is being read, for which answers may wait.
func (e *Env) Busy() bool { return e.reading.Load() > 0 }

func (e *Env) read(name string) (done func()) {
	e.reading.Add(1)
	told := func() {}
	if e.Reading != nil {
		told = e.Reading(name)
	}
	return func() {
		e.reading.Add(-1)
		told()
	}
}

// Close closes the programs that were looked into. The target is the caller's.
func (e *Env) Close() error { return e.bins.Close() }

// Warm reads what the first question would wait for.
func (e *Env) Warm() {
	e.library()
	if e.Target != nil {
		if _, err := e.Target.BTF(); err == nil {
			e.functionNames("")
		}
	}
}

// Source gives the text of a library file by the name that diagnostics have.
func (e *Env) Source(name string) ([]byte, bool) { return e.lib.Source(name) }

// LibraryDiags are errors in the macro files of the library directories.
func (e *Env) LibraryDiags() []diag.Diagnostic { return e.lib.Diags }

// Library is the library that scripts are elaborated with.
func (e *Env) Library() *sema.Library { return e.lib.Library }

// Notes says in one sentence each what is not known of the target.
func (e *Env) Notes() []string {
	if e.Target == nil {
		return []string{"Nothing is known of the kernel that is probed: its functions, tracepoints and types are taken on trust. Choose a target to see them."}
	}
	var out []string
	for _, n := range e.Target.Notes() {
		out = append(out, n.Text)
	}
	return out
}

// sampled is how many places of one probe point are elaborated in an editor.
const sampled = 16

func (e *Env) semaOptions() sema.Options {
	return sema.Options{
		Target: e.Target, Library: e.lib.Library, Binaries: e.bins, Guru: e.Guru, Privilege: e.Privilege,
		Command: e.Command, PID: e.PID, Tools: true, Sample: sampled,
	}
}

// docOf gives the documentation of a declaration of any file.
func (e *Env) docOf(d syntax.Decl) *doc.Comment {
	f := d.File()
	e.mu.Lock()
	df := e.docs[f]
	for _, u := range e.newest {
		if u != nil && u.Syntax() == f {
			df = u
		}
	}
	e.mu.Unlock()
	if df == nil {
		df = doc.New(f)
		library := e.isLibrary(f.Name)
		e.mu.Lock()
		if library {
			e.docs[f] = df
		} else { // it lives for one snapshot only
			copy(e.newest[1:], e.newest[:])
			e.newest[0] = df
		}
		e.mu.Unlock()
	}
	if c := df.Of(d); c != nil && !c.Empty() {
		return c
	}
	return nil
}

// IsLibrary reports whether a file belongs to the library, by the name that
// diagnostics have.
func (e *Env) IsLibrary(name string) bool { return e.isLibrary(name) }

// LibraryFiles are the texts of the library's directories and macro files, by name.
func (e *Env) LibraryFiles() map[string][]byte { return e.lib.Texts }

func (e *Env) isLibrary(name string) bool {
	_, ok := e.Source(name)
	return ok
}

// embedded reports whether a file is of stapkit's own library.
func (e *Env) embedded(name string) bool {
	_, own := tapsets.Read(name)
	if !own || !strings.HasSuffix(name, ".stp") {
		return own
	}
	_, file := e.lib.Texts[name]
	return !file
}

// libraryIndex holds what the library declares.
type libraryIndex struct {
	funcs map[string][]*sema.Func // public ones, by name; overloads in order
	names []string
	items []Item // to complete them
}

// library reads the whole library, once.
func (e *Env) library() *libraryIndex {
	e.indexOnce.Do(func() {
		x := &libraryIndex{funcs: map[string][]*sema.Func{}}
		opt := e.semaOptions()
		opt.Tools = false
		for _, f := range sema.LibraryFunctions(opt) {
			if len(x.funcs[f.Name]) == 0 {
				x.names = append(x.names, f.Name)
			}
			x.funcs[f.Name] = append(x.funcs[f.Name], f)
		}
		sort.Strings(x.names)
		for _, n := range x.names {
			f := x.funcs[n][0]
			it := Item{Label: n, Kind: FunctionItem, Snippet: true, Insert: callSnippet(n, f), Data: "func\x00\x00" + n,
				Detail: (&Function{Name: n, Params: params(f), Result: typeText(f.Result)}).Signature()}
			x.items = append(x.items, it)
		}
		e.index = x
	})
	return e.index
}

// cached remembers a long list of names.
func (e *Env) cached(key string, list func() []string) []string {
	e.mu.Lock()
	l, ok := e.names[key]
	e.mu.Unlock()
	if ok {
		return l
	}
	l = list()
	e.mu.Lock()
	e.names[key] = l
	e.mu.Unlock()
	return l
}

// functionNames lists the kernel's functions, or those of the modules that match.
func (e *Env) functionNames(module string) []string {
	if e.Target == nil {
		return nil
	}
	return e.cached("function "+module, func() []string {
		fs, err := e.Target.Functions(module, "*")
		if err != nil {
			return nil // Target.Notes tells
		}
		out := make([]string, 0, len(fs))
		for i := range fs {
			if len(out) == 0 || out[len(out)-1] != fs[i].Name {
				out = append(out, fs[i].Name)
			}
		}
		return out
	})
}

// resolve resolves probe points apart from any handler, and remembers them by text, unless
// the file has aliases, on which hangs what points mean.
func (e *Env) resolve(f *syntax.File, points []syntax.Point) []*sema.Probe {
	if len(points) == 0 {
		return nil
	}
	for _, d := range f.Decls {
		if _, ok := d.(*syntax.AliasDecl); ok {
			return e.resolveIn(f, points)
		}
	}
	key := pointsText(points)
	e.mu.Lock()
	got, ok := e.points[key]
	e.mu.Unlock()
	if ok {
		return got
	}
	// What is remembered must not hold on to this version of the script: it is resolved
	// in one of its own.
	own, points2 := e.alone(f.Name, key)
	if own == nil {
		return e.resolveIn(f, points)
	}
	got = e.resolveIn(own, points2)
	e.mu.Lock()
	if len(e.points) > 500 {
		clear(e.points)
	}
	e.points[key] = got
	e.mu.Unlock()
	return got
}

// alone makes a script of nothing but a probe of some points; nil when they are not what
// their text says, as while they are typed.
func (e *Env) alone(name, text string) (*syntax.File, []syntax.Point) {
	f := syntax.ParseFile(name, []byte("probe "+text+" {}"), e.opt)
	if len(f.Decls) != 1 || diag.HasErrors(f.Diags) {
		return nil, nil
	}
	d, ok := f.Decls[0].(*syntax.ProbeDecl)
	if !ok {
		return nil, nil
	}
	if pointsText(d.Points) != text {
		return nil, nil
	}
	return f, d.Points
}

// pointsText is a list of points as it is written.
func pointsText(points []syntax.Point) string {
	texts := make([]string, len(points))
	for i, p := range points {
		texts[i] = syntax.PointString(p)
	}
	return strings.Join(texts, ", ")
}

func (e *Env) resolveIn(f *syntax.File, points []syntax.Point) []*sema.Probe {
	got := sema.ResolvePoints(f, points, e.semaOptions())
	if len(got) > 4*sampled {
		got = append([]*sema.Probe(nil), got[:4*sampled]...)
	}
	for i, p := range got { // made on demand otherwise, which is not for several at once
		if i == sampled {
			break
		}
		p.TargetVariables()
	}
	return got
}
