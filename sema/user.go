package sema

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"

	"stapkit/target"
	"stapkit/target/ctype"
	"stapkit/target/dwarf"
	"stapkit/target/elf"
)

// Binaries are the programs and libraries that scripts probe, opened once each. It
// is safe for concurrent use; one can serve many elaborations.
type Binaries struct {
	// Search says where programs, libraries and debug files are.
	Search elf.Search
	// Reading, when set, is called before the debug information of a program, or of a
	// kernel, is read, which can take seconds; what it gives is called afterwards.
	Reading func(name string) (done func())

	mu      sync.Mutex
	files   map[string]*userFile
	kernels map[kernelKey]*kernelData
}

// userFile is one program or library.
type userFile struct {
	path string // in the searched file system
	elf  *elf.File
	err  error

	reading   func(name string) (done func())
	dwarfOnce sync.Once
	dwarf     *dwarf.Data
	dwarfErr  error

	namesOnce sync.Once
	names     []string // of its functions
}

// begin tells that debug information is being read.
func (b *Binaries) begin(name string) (done func()) {
	if b.Reading == nil {
		return func() {}
	}
	return b.Reading(name)
}

// file opens a program, by its name in the searched file system, once.
func (b *Binaries) file(name string) *userFile {
	b.mu.Lock()
	f, ok := b.files[name]
	b.mu.Unlock()
	if ok {
		return f
	}
	return b.open(b.Search.In(name))
}

// open opens a program, where it was found, once.
func (b *Binaries) open(path string) *userFile {
	b.Search.See(path)
	real, name := b.Search.Real(path)
	b.mu.Lock()
	defer b.mu.Unlock()
	if f, ok := b.files[name]; ok {
		return f
	}
	if b.files == nil {
		b.files = map[string]*userFile{}
	}
	u := &userFile{path: name, reading: b.begin}
	b.Search.See(real)
	u.elf, u.err = elf.Open(real)
	b.files[name] = u
	return u
}

// Close closes all files.
func (b *Binaries) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var errs []error
	for _, f := range b.files {
		if f.dwarf != nil {
			errs = append(errs, f.dwarf.Close())
		}
		if f.elf != nil {
			errs = append(errs, f.elf.Close())
		}
	}
	b.files = nil
	for _, k := range b.kernels {
		if k.data != nil {
			errs = append(errs, k.data.Close(), k.data.Program.Close())
		}
	}
	b.kernels = nil
	return errors.Join(errs...)
}

// where says which programs a process probe is about.
type where struct {
	files []*userFile
	// process is the program whose library is probed, "" when files are programs.
	process   string
	pid       int
	targetSet bool
	// head is the part of the point before the function, by file.
	head func(f *userFile) string
}

// unknown reports whether a process probe is taken on trust: an argument is unknown, or
// the programs are.
func (r *resolver) unknown(in *request) bool { return in.unknown() || r.e.opt.TrustPrograms }

// programs finds the programs of a process probe.
func (r *resolver) programs(in *request) (*where, *fail) {
	b := r.e.opt.Binaries
	c := in.comps[0]
	w := &where{}
	open := func(path string) *fail {
		f := b.open(path)
		if f.err != nil {
			if errors.Is(f.err, fs.ErrNotExist) {
				return failf(codeNoMatch, nil, "no match").withHelp("there is no file %s", path)
			}
			return failf(codeNoMatch, nil, "no match: %s cannot be read: %v", path, f.err)
		}
		if !slices.Contains(w.files, f) { // a pattern may fit several links to it
			w.files = append(w.files, f)
		}
		return nil
	}
	switch {
	case c.arg == numArg:
		w.pid = int(c.num)
		if f := open("/proc/" + strconv.Itoa(w.pid) + "/exe"); f != nil {
			return nil, failf(codeNoMatch, nil, "no match: there is no process %d, or its program cannot be read", w.pid).
				withHelp(`process("/path/to/program") means all processes of a program`)
		}
	case c.arg == noArg || c.str == "":
		if r.e.opt.Command == "" && r.e.opt.PID == 0 {
			return nil, needProcess()
		}
		w.targetSet = true
		path := r.e.opt.program()
		if path == "" {
			path = "/proc/" + strconv.Itoa(r.e.opt.PID) + "/exe"
		} else if found, err := b.Search.Executable(path); err == nil {
			path = found
		}
		if f := open(path); f != nil {
			return nil, f
		}
	default:
		paths, f := r.paths(c.str)
		if f != nil {
			return nil, f
		}
		for _, p := range paths {
			if f := open(p); f != nil {
				if len(paths) == 1 {
					return nil, f
				}
			}
		}
		if len(w.files) == 0 {
			return nil, failf(codeNoMatch, nil, "no match: no program fits %q", c.str)
		}
	}
	w.head = func(f *userFile) string { return fmt.Sprintf("process(%q)", f.path) }
	lib := in.arg("library")
	if lib == nil {
		return w, nil
	}
	// The library is one that the program loads, or any of that name.
	main := w.files[0]
	w.process = main.path
	w.files = nil
	paths, _, err := b.Search.Needed(main.elf)
	if err != nil {
		return nil, failf(codeNoMatch, nil, "no match: the libraries of %s are not known: %v", main.path, err)
	}
	for _, p := range paths {
		if target.Match(lib.str, strings.TrimPrefix(p, b.Search.Root)) || target.Match(lib.str, filepath.Base(p)) {
			if f := open(p); f != nil {
				return nil, f
			}
		}
	}
	if len(w.files) == 0 {
		more, f := r.paths(lib.str)
		if f != nil {
			return nil, failf(codeNoMatch, nil, "no match: %s loads no library %q", main.path, lib.str).
				suggesting("it loads", func() []string { return paths }).withHelp(`process("/path/to/library") probes a library in all programs`)
		}
		for _, p := range more {
			if f := open(p); f != nil {
				return nil, f
			}
		}
	}
	w.head = func(f *userFile) string { return fmt.Sprintf("process(%q).library(%q)", w.process, f.path) }
	return w, nil
}

// buildID is the form of a build-id in hexadecimal: a name of this kind that is no
// program means the program with it.
var buildID = regexp.MustCompile(`^[0-9a-f]{16,64}$`)

// program is the program of the command line that -c gives: its first word.
func (o *Options) program() string {
	words := strings.Fields(o.Command)
	if len(words) == 0 {
		return ""
	}
	return strings.Trim(words[0], `"'`)
}

// paths finds the files that a name in a process probe means: a path, a pattern of
// paths, a library as the dynamic linker finds it, or a program in $PATH.
func (r *resolver) paths(name string) ([]string, *fail) {
	s := &r.e.opt.Binaries.Search
	if strings.Contains(name, "/") {
		if !target.IsPattern(name) {
			return []string{s.In(name)}, nil
		}
		found, err := s.Glob(s.In(name))
		if err != nil || len(found) == 0 {
			return nil, failf(codeNoMatch, nil, "no match: no file fits %q", name)
		}
		return found, nil
	}
	if strings.Contains(name, ".so") {
		found, err := s.Libraries(func(base string) bool { return target.Match(name, base) })
		if err == nil && len(found) > 0 {
			return found, nil
		}
	}
	if target.IsPattern(name) {
		return nil, failf(codeNoMatch, nil, "no match: a pattern of programs needs their directory").withHelp("as in process(\"/usr/bin/%s\")", name)
	}
	p, err := s.Executable(name)
	if err != nil && s.Root == "" {
		// As in SystemTap, a program of the current directory needs no "./".
		if here, e := s.Executable("./" + name); e == nil {
			if st, e := os.Stat(here); e == nil && st.Mode().IsRegular() {
				return []string{here}, nil
			}
		}
	}
	if err != nil && buildID.MatchString(name) {
		var first []string
		if cmd := r.e.opt.program(); cmd != "" {
			if found, err := s.Executable(cmd); err == nil {
				first = append(first, found)
			}
		}
		if p, err := s.ByBuildID(name, first); err == nil {
			return []string{p}, nil
		}
		return nil, failf(codeNoMatch, nil, "no match").withHelp("no program or library with build-id %s was found: in the build-id directories, among running processes, in $PATH and among libraries", name)
	}
	if err != nil {
		return nil, failf(codeNoMatch, nil, "cannot find executable '%s'", name).withHelp("%v", err)
	}
	return []string{p}, nil
}

// tail writes the components of a point behind the function, mark or statement.
func tail(in *request, name string) string {
	s, on := "", false
	for _, c := range in.comps {
		if on {
			s += "." + c.String()
		}
		on = on || c.name == name
	}
	return s
}

// carrier fills in what all carriers in a program share.
func (w *where) carrier(c Carrier, f *userFile) Carrier {
	c.Target = f.path
	c.Process, c.PID, c.TargetSet = w.process, w.pid, w.targetSet
	return c
}

var famUFunction = &family{resolve: func(r *resolver, in *request) ([]*Probe, *fail) {
	fn := in.arg("function")
	if r.unknown(in) {
		return r.open(FamUFunction, in, "function "+fn.str), nil
	}
	w, f := r.programs(in)
	if f != nil {
		return nil, f
	}
	spec, f := parseFuncSpec(fn.str)
	if f != nil {
		return nil, f
	}
	var out []*Probe
	for _, file := range w.files {
		if fn.arg == numArg {
			p, f := r.userAddress(in, w, file, FamUFunction, "function", uint64(fn.num))
			if f != nil {
				return nil, f
			}
			out = append(out, p)
			continue
		}
		got, f := r.functionsIn(in, w, file, &spec)
		if f != nil {
			return nil, f
		}
		out = append(out, got...)
	}
	if len(out) == 0 {
		return nil, failf(codeNoMatch, nil, "no match").suggesting("similar functions", func() []string {
			if len(w.files) == 1 {
				return ctype.Similar(spec.name, functionNames(w.files[0]), 5)
			}
			var names []string
			for _, file := range w.files {
				names = append(names, functionNames(file)...)
			}
			return ctype.Similar(spec.name, names, 5)
		})
	}
	return spread(out), nil
}}

// functionsIn resolves functions of one program: with its debug information, and by
// its symbols those that this does not know.
func (r *resolver) functionsIn(in *request, w *where, file *userFile, spec *funcSpec) ([]*Probe, *fail) {
	if spec.file != "" && !spec.hasLine {
		// "name@VERSION" is a symbol of a library, as linkers write it.
		versioned := spec.name + "@" + spec.file
		if syms, err := file.elf.Lookup(versioned); err == nil && len(syms) > 0 {
			return r.userFunctions(in, w, file, r.debugCode(w, file), versioned, map[string]bool{})
		}
	}
	code := r.debugCode(w, file)
	precise := spec.file != ""
	for _, part := range []string{"inline", "label", "callee", "callees"} {
		if in.has(part) {
			precise = true
			if code == nil {
				return nil, needUserDWARF(file.path, "."+part)
			}
		}
	}
	if spec.file != "" && code == nil {
		return nil, needUserDWARF(file.path, fmt.Sprintf("a source file (%q)", spec.file))
	}
	var out []*Probe
	if code != nil {
		var f *fail
		if out, f = r.debugFunctions(in, code, spec, true); f != nil {
			return nil, f
		}
	}
	if precise {
		return out, nil
	}
	known := map[string]bool{}
	for _, p := range out {
		known[p.Func] = true
		known[p.Carriers[0].Symbol] = true
	}
	more, f := r.userFunctions(in, w, file, code, spec.name, known)
	if f != nil {
		return nil, f
	}
	out = append(out, more...)
	sort.SliceStable(out, func(i, j int) bool { return out[i].Point < out[j].Point })
	return out, nil
}

// needUserDWARF refuses what a symbol table cannot tell.
func needUserDWARF(path, what string) *fail {
	return failf(codeNeedDebuginfo, nil, "%s needs the debug information of %s; its symbols tell names and addresses only", what, path).
		withHelp("compile with -g, or install the package with its debug symbols")
}

// functionNames lists the functions of a program for suggestions. They are kept: while a
// name is typed they are asked for with each key.
func functionNames(f *userFile) []string {
	f.namesOnce.Do(func() {
		syms, err := f.elf.Symbols()
		if err != nil {
			return
		}
		var out []string
		for _, s := range syms {
			if s.Kind == elf.Func {
				out = append(out, s.Name)
			}
		}
		sort.Strings(out)
		f.names = slices.Clip(compact(out))
	})
	return f.names
}

// userFunctions finds functions by name or pattern in the symbol table, but for those
// that are known. Debug information may have one under another name only, as it has the C
// library's malloc.
func (r *resolver) userFunctions(in *request, w *where, file *userFile, code *code, pattern string, known map[string]bool) ([]*Probe, *fail) {
	var syms []elf.Symbol
	var err error
	if qualified := isQualified(pattern); qualified || target.IsPattern(pattern) {
		var all []elf.Symbol
		all, err = file.elf.Symbols()
		for _, s := range all {
			if target.Match(pattern, s.Name) || qualified && matchQualified(pattern, s.Name) {
				syms = append(syms, s)
			}
		}
	} else {
		syms, err = file.elf.Lookup(pattern)
	}
	if err != nil {
		return nil, failf(codeNoMatch, nil, "no match: the symbols of %s cannot be read: %v", file.path, err)
	}
	exported := in.has("exported")
	byName := map[string]int{}
	for _, s := range syms {
		if s.Kind == elf.Func || s.Kind == elf.Indirect {
			byName[s.Name]++
			byName[s.Name+"@"+s.Version]++
		}
	}
	var out []*Probe
	seen := map[uint64]bool{}
	for _, s := range syms {
		if s.Kind != elf.Func && s.Kind != elf.Indirect || seen[s.Addr] && !target.IsPattern(pattern) || exported && !s.Global {
			continue
		}
		if !file.elf.Executable(s.Addr) || known[s.Name] {
			continue
		}
		if in.has("return") && file.elf.Starts(s.Addr) {
			if target.IsPattern(pattern) {
				continue
			}
			return nil, noCaller(s.Name)
		}
		var i *dwarf.Instance
		if code != nil && s.Kind == elf.Func {
			if i, _ = code.data.At(s.Addr); i != nil && known[i.Name] {
				continue
			}
		}
		seen[s.Addr] = true
		name := s.Name
		if byName[name] > 1 && s.Version != "" && byName[name+"@"+s.Version] == 1 || strings.Contains(pattern, "@") {
			name += "@" + s.Version // libraries keep old versions of functions
		}
		text := name
		if i != nil && !strings.Contains(name, "@") {
			text = i.Name + declared(i)
			known[i.Name] = true
		}
		p, f := r.userFunction(in, w, file, s, text, name, byName[name] > 1 && name == s.Name)
		if f != nil {
			return nil, f
		}
		if i != nil && !(p.Return && file.elf.IsGo()) {
			p.Func, p.source = i.Name, strings.TrimPrefix(declared(i), "@")
			p.makeCtx = func() *context { return r.instanceContext(p, code, i, i.Addr, true) }
		}
		out = append(out, p)
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].Point < out[j].Point })
	return out, nil
}

// noCaller refuses a return probe where a program begins: what it would take for the
// address to return to is the number of the program's arguments.
func noCaller(name string) *fail {
	return failf(codeNoMatch, nil, "no match: the program begins at %s, which has nowhere to return to", name)
}

// userFunction makes the probe of one function, which text is to name.
func (r *resolver) userFunction(in *request, w *where, file *userFile, s elf.Symbol, text, name string, ambiguous bool) (*Probe, *fail) {
	p := in.make(FamUFunction, fmt.Sprintf("%s.function(%q)%s", w.head(file), text, tail(in, "function")))
	p.Func, p.Binary = s.Name, file.path
	p.Return = in.has("return")
	if full, _, ok := demangled(s.Name); ok {
		p.source = full
	}
	c := Carrier{Kind: "uprobe", Symbol: name, Reason: "a breakpoint at the function's entry; bound by its symbol"}
	if p.Return {
		if file.elf.IsGo() {
			p.makeCtx = func() *context { return r.userContext(p, file, s.Addr) }
			return p, goReturns(p, w, file, s.Addr, s.Size)
		}
		c.Kind, c.Reason = "uretprobe", "the return address is replaced while the function runs"
	}
	if ambiguous {
		off, ok := file.elf.Offset(s.Addr)
		if !ok {
			return nil, failf(codeNoMatch, nil, "no match: function %s has no place in the file", s.Name)
		}
		c.Symbol, c.Offset, c.BuildID = "", off, file.elf.BuildID
		c.Reason = "several functions have this name, so it is bound by its place in this build"
	}
	p.Carriers = []Carrier{w.carrier(c, file)}
	p.makeCtx = func() *context { return r.userContext(p, file, s.Addr) }
	return p, nil
}

// userContext offers what is known of a place in a program without debug
// information: the return value as a number.
func (r *resolver) userContext(p *Probe, file *userFile, addr uint64) *context {
	what := p.Func
	if what == "" {
		what = fmt.Sprintf("%#x", addr)
	}
	c := &context{what: what, space: UserSpace, binary: file.path}
	p.Bits32 = wordSize(file.elf) == 4
	if p.Return {
		ret := Access{Base: BaseReturn, Size: 8, Signed: true, Space: UserSpace, Binary: file.path}
		if p.Bits32 {
			ret.Size, ret.Held = 4, &Held{Bits: 32, Signed: true}
		}
		return &context{what: what, space: UserSpace, binary: file.path, entry: c, ret: &ctxVar{name: "return", acc: ret}}
	}
	return c
}

// userAddress makes the probe of an address in a program.
func (r *resolver) userAddress(in *request, w *where, file *userFile, fam Family, word string, addr uint64) (*Probe, *fail) {
	off, ok := file.elf.Offset(addr)
	if !ok || !file.elf.Executable(addr) {
		return nil, failf(codeNoMatch, nil, "no match").withHelp("%#x is no address of code in %s", addr, file.path)
	}
	p := in.make(fam, fmt.Sprintf("%s.%s(%d)%s", w.head(file), word, addr, tail(in, word)))
	p.Binary = file.path
	p.Return = in.has("return")
	if p.Return && file.elf.Starts(addr) {
		return nil, noCaller(fmt.Sprintf("%#x", addr))
	}
	if s, o, ok := file.elf.At(addr); ok && o == 0 {
		p.Func = s.Name
	}
	c := Carrier{Kind: "uprobe", Offset: off, BuildID: file.elf.BuildID, Reason: "an address binds to one build of the program"}
	if p.Return {
		c.Kind = "uretprobe"
	}
	p.Carriers = []Carrier{w.carrier(c, file)}
	p.makeCtx = func() *context { return r.userContext(p, file, addr) }
	return p, nil
}

var famUStatement = &family{resolve: func(r *resolver, in *request) ([]*Probe, *fail) {
	st := in.arg("statement")
	if r.unknown(in) {
		return r.open(FamUStatement, in, "statement "+st.str), nil
	}
	w, f := r.programs(in)
	if f != nil {
		return nil, f
	}
	var spec funcSpec
	if st.arg == strArg {
		if spec, f = parseFuncSpec(st.str); f != nil {
			return nil, f
		}
	}
	var out []*Probe
	for _, file := range w.files {
		if st.arg == strArg {
			code := r.debugCode(w, file)
			if code == nil {
				return nil, needUserDWARF(file.path, "a statement")
			}
			got, f := r.statements(in, code, &spec)
			if f != nil {
				return nil, f
			}
			out = append(out, got...)
			continue
		}
		p, f := r.userAddress(in, w, file, FamUStatement, "statement", uint64(st.num))
		if f != nil {
			return nil, f
		}
		out = append(out, p)
	}
	return out, nil
}}

var famPlt = &family{resolve: func(r *resolver, in *request) ([]*Probe, *fail) {
	if r.unknown(in) {
		return r.open(FamUFunction, in, "PLT entry"), nil
	}
	w, f := r.programs(in)
	if f != nil {
		return nil, f
	}
	pattern := in.str("plt")
	if pattern == "" {
		pattern = "*"
	}
	var out []*Probe
	var names []string
	for _, file := range w.files {
		list, err := file.elf.PLT()
		if err != nil {
			return nil, failf(codeNoMatch, nil, "no match: the PLT of %s cannot be read: %v", file.path, err)
		}
		for _, e := range list {
			names = append(names, e.Name)
			off, ok := file.elf.Offset(e.Addr)
			if !target.Match(pattern, e.Name) || !ok {
				continue
			}
			p := in.make(FamUFunction, fmt.Sprintf("%s.plt(%q)%s", w.head(file), e.Name, tail(in, "plt")))
			p.Func, p.Binary, p.Return = e.Name, file.path, in.has("return")
			c := Carrier{Kind: "uprobe", Offset: off, BuildID: file.elf.BuildID, Reason: "the stub through which the program calls a library's function"}
			if p.Return {
				c.Kind = "uretprobe"
			}
			p.Carriers = []Carrier{w.carrier(c, file)}
			name, addr := e.Name, e.Addr
			p.makeCtx = func() *context {
				c := r.userContext(p, file, addr)
				c.consts = map[string]string{"$$name": name}
				return c
			}
			out = append(out, p)
		}
	}
	if len(out) == 0 {
		fl := failf(codeNoMatch, nil, "no match").suggesting("similar", func() []string { return ctype.Similar(pattern, names, 5) })
		if len(names) == 0 {
			fl.help = w.files[0].path + " has no PLT: it calls libraries directly, or is static"
		}
		return nil, fl
	}
	return out, nil
}}

var famMark = &family{resolve: func(r *resolver, in *request) ([]*Probe, *fail) {
	if r.unknown(in) {
		return r.open(FamMark, in, "mark"), nil
	}
	w, f := r.programs(in)
	if f != nil {
		return nil, f
	}
	// In names of marks a dash is written as two underscores.
	pattern := strings.ReplaceAll(in.str("mark"), "-", "__")
	provider := in.str("provider")
	var out []*Probe
	var names []string
	for _, file := range w.files {
		marks, err := file.elf.Marks()
		if err != nil {
			return nil, failf(codeNoMatch, nil, "no match: the marks of %s cannot be read: %v", file.path, err)
		}
		for i := range marks {
			m := &marks[i]
			names = append(names, m.Name)
			if !target.Match(pattern, m.Name) || in.has("provider") && !target.Match(provider, m.Provider) {
				continue
			}
			p, f := r.mark(in, w, file, m)
			if f != nil {
				return nil, f
			}
			out = append(out, p)
		}
	}
	if len(out) == 0 {
		sort.Strings(names)
		fl := failf(codeNoMatch, nil, "no match").suggesting("similar", func() []string { return ctype.Similar(pattern, compact(names), 5) })
		if len(names) == 0 {
			fl.help = w.files[0].path + " has no marks"
		}
		return nil, fl
	}
	return out, nil
}}

// mark makes the probe of one place of a mark.
func (r *resolver) mark(in *request, w *where, file *userFile, m *elf.Mark) (*Probe, *fail) {
	prov := ""
	if in.has("provider") {
		prov = fmt.Sprintf(".provider(%q)", m.Provider)
	}
	p := in.make(FamMark, fmt.Sprintf("%s%s.mark(%q)", w.head(file), prov, m.Name))
	p.Func, p.Binary, p.Provider = m.Name, file.path, m.Provider
	off, ok := file.elf.Offset(m.Addr)
	if !ok {
		return nil, failf(codeNoMatch, nil, "no match: mark %s has no place in the file", m.Name)
	}
	c := Carrier{Kind: "usdt", Symbol: m.Provider + ":" + m.Name, Offset: off, Spec: m.ArgText, Reason: "a mark in the program; found again in the host's copy"}
	if m.Semaphore != 0 {
		if c.Semaphore, ok = file.elf.Offset(m.Semaphore); !ok {
			return nil, failf(codeNoMatch, nil, "no match: the semaphore of mark %s has no place in the file", m.Name)
		}
	}
	p.Carriers = []Carrier{w.carrier(c, file)}
	p.makeCtx = func() *context {
		c := &context{what: "mark " + m.Name, space: UserSpace, binary: file.path,
			consts: map[string]string{"$$name": m.Name, "$$provider": m.Provider}}
		for i := range m.Args {
			c.vars = append(c.vars, r.markArg(i, &m.Args[i], &code{elf: file.elf, space: UserSpace, binary: file.path, probed: true, at: m.Addr}))
		}
		return c
	}
	return p, nil
}

// markArg makes the variable of an argument of a mark.
func (r *resolver) markArg(i int, a *elf.Arg, code *code) ctxVar {
	v := ctxVar{name: fmt.Sprintf("arg%d", i+1), acc: Access{
		Base: BaseLocation, N: i, Size: a.Bytes, Signed: a.Signed, Space: UserSpace, Binary: code.binary}}
	l := &Location{Reg: code.register(a.Reg), Index: code.register(a.Index), Scale: a.Scale, Offset: a.Disp, Shift: a.Shift, Size: a.Bytes, Signed: a.Signed}
	switch a.Kind {
	case elf.ArgConst:
		l.Kind = "const"
	case elf.ArgReg:
		l.Kind = "reg"
	case elf.ArgMem:
		l.Kind = "mem"
	case elf.ArgAddr:
		at, err := r.static(code, dwarf.Location{Base: dwarf.Static, Offs: []int64{a.Disp}})
		switch {
		case err != nil:
			v.why = fmt.Sprintf("'$arg%d' cannot be read: %v", i+1, err)
		case a.Reg >= 0 || a.Index >= 0:
			v.why = fmt.Sprintf("the place of '$arg%d' (%q) is not understood", i+1, a.Text)
		default:
			at.Size, at.Signed = l.Size, l.Signed
			l = at
		}
	default:
		v.why = fmt.Sprintf("the place of '$arg%d' (%q) is not understood", i+1, a.Text)
	}
	if a.Float {
		v.why = fmt.Sprintf("'$arg%d' is a floating-point number, which cannot be read", i+1)
	}
	v.acc.Location = l
	return v
}

// processFilter says whose events a process probe without a place wants.
func (r *resolver) processFilter(in *request) (c Carrier, head string, f *fail) {
	a := in.comps[0]
	switch {
	case a.arg == numArg:
		c.PID = int(a.num)
		return c, fmt.Sprintf("process(%d)", a.num), nil
	case a.arg == noArg || a.str == "":
		// All processes, or with -c and -x those of the target.
		if r.e.opt.Command != "" || r.e.opt.PID != 0 {
			c.PID, c.TargetSet = r.e.opt.PID, true
		}
		return c, "process", nil
	}
	if target.IsPattern(a.str) {
		return c, "", failf(codePointArg, nil, "a pattern cannot stand for the program of this kind of probe")
	}
	paths, f := r.paths(a.str)
	if f != nil {
		return c, "", f
	}
	r.e.opt.Binaries.Search.See(paths[0])
	if _, err := os.Stat(paths[0]); err != nil && !filepath.IsAbs(a.str) {
		return c, "", failf(codeNoMatch, nil, "no match").withHelp("there is no file %s", paths[0])
	}
	_, c.Process = r.e.opt.Binaries.Search.Real(paths[0]) // a program that is not there may be put there later
	return c, fmt.Sprintf("process(%q)", c.Process), nil
}

var famProcess = &family{resolve: func(r *resolver, in *request) ([]*Probe, *fail) {
	if r.unknown(in) {
		return r.open(FamProcess, in, "process"), nil
	}
	c, head, f := r.processFilter(in)
	if f != nil {
		return nil, f
	}
	what := strings.TrimPrefix(pointText(in.comps[1:]), ".")
	point := func() *Probe {
		p := in.make(FamProcess, head+"."+what)
		p.Func, p.Binary = what, c.Process
		p.ctx = &context{what: "process." + what, space: UserSpace, binary: c.Process, lists: noLists}
		return p
	}
	on := func(event, reason string) *Probe {
		p := point()
		c := c
		c.Kind, c.Target, c.Reason = "tp_btf", event, reason
		raw := c
		raw.Kind = "raw_tp"
		p.Carriers = []Carrier{c, raw}
		return p
	}
	var out []*Probe
	switch what {
	case "begin":
		out = append(out, on("sched_process_exec", "a process begins when it executes a program, and when it comes back as a copy from the call that made it"))
	case "end", "thread.end":
		return []*Probe{on("sched_process_exit", "the task ends")}, nil
	}
	// A new task is told of where it first runs: on x86 when it returns, with 0, from the
	// call by which its creator made it. On arm64 it comes back past all that tells of
	// returns; there it is told of in the last function before that.
	var born *Probe
	if r.e.arch() == "arm64" {
		born = on(bornFunction, "the new task is about to run its program; the loader tells of those that are there already")
		for i, kind := range []string{"fentry", "kprobe"} {
			born.Carriers[i].Kind = kind
		}
	} else {
		born = on("sys_exit", "the new task returns from the call that made it; the loader tells of those that are there already")
		for i, name := range []string{bornVar, bornCall} {
			base := [...]BaseKind{BaseSyscallReturn, BaseSyscallNr}[i]
			born.ctx.vars = append(born.ctx.vars, ctxVar{name: name, hidden: true, acc: Access{Base: base, AtExit: true, Size: 8, Signed: true}})
		}
	}
	old := point()
	old.Resident = true
	old.Carriers = []Carrier{c}
	return append(out, born, old), nil
}}

// The result and the number of the call that makes a task, for the filter.
const (
	bornVar  = "__born"
	bornCall = "__call"
)

// bornFunction is a function of the kernel that each new task calls once, in a context of
// its own: it is there for that (the end of schedule_tail in kernel/sched/core.c).
const bornFunction = "calculate_sigpending"

var famUSyscall = &family{resolve: func(r *resolver, in *request) ([]*Probe, *fail) {
	if r.unknown(in) {
		return r.open(FamUSyscall, in, "system call"), nil
	}
	c, head, f := r.processFilter(in)
	if f != nil {
		return nil, f
	}
	p := in.make(FamUSyscall, head+"."+pointText(in.comps[1:]))
	p.Return, p.Binary = in.has("return"), c.Process
	c.Kind, c.Target, c.Reason = "tp_btf", "sys_enter", "all system calls, narrowed to the process"
	if p.Return {
		c.Target = "sys_exit"
	}
	raw := c
	raw.Kind = "raw_tp"
	p.Carriers = []Carrier{c, raw}
	ctx := &context{what: "process.syscall", binary: c.Process, lists: []string{"$$parms"}}
	ctx.vars = append(ctx.vars, ctxVar{name: "syscall", acc: Access{Base: BaseSyscallNr, Size: 8, Signed: true}})
	for i := range 6 {
		ctx.vars = append(ctx.vars, ctxVar{name: fmt.Sprintf("arg%d", i+1), hidden: p.Return, acc: Access{Base: BaseSyscallArg, N: i, Size: 8, Signed: true}})
	}
	if p.Return {
		ctx.entry = &context{what: ctx.what, binary: ctx.binary, vars: ctx.vars, lists: noLists}
		ctx.lists = noLists
		ctx.ret = &ctxVar{name: "return", acc: Access{Base: BaseSyscallReturn, Size: 8, Signed: true}}
	}
	p.ctx = ctx
	return []*Probe{p}, nil
}}
