package query

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"
	"sync"

	"stapkit/diag"
	"stapkit/sema"
	"stapkit/syntax"
)

// A Snapshot is one state of one script.
type Snapshot struct {
	Env  *Env
	Name string
	Text []byte
	// File is the script in the expanded view.
	File *syntax.File
	// Mapper owns all conversions of places in the text.
	Mapper *syntax.Mapper

	sourceOnce sync.Once
	source     *syntax.File

	mu   sync.Mutex
	prog *sema.Program
	run  *elaboration // under way, nil before and after
	// width is the inference of widths, nil before it has begun.
	width *widthWork
	// Panic is what elaboration panicked with, and where, once Program has returned; ""
	// if all went well.
	Panic string
}

// An elaboration runs as long as somebody waits for it.
type elaboration struct {
	done    chan struct{}
	stop    context.CancelFunc
	waiting int
}

// Snapshot parses a script. A name ending in .stpm is a macro library.
func (e *Env) Snapshot(name string, text []byte) *Snapshot {
	s := &Snapshot{Env: e, Name: name, Text: text}
	opt := e.opt
	opt.Library = e.isLibrary(name)
	opt.Privileged = opt.Privileged || opt.Library
	if s.IsMacros() {
		opt.Macros = nil // its macros may be in the set already
		s.File = syntax.ParseMacros(name, text, opt)
	} else {
		s.File = syntax.ParseFile(name, text, opt)
	}
	s.Mapper = s.File.Sources[0].Mapper()
	return s
}

// IsMacros reports whether the file is a macro library.
func (s *Snapshot) IsMacros() bool { return strings.HasSuffix(s.Name, ".stpm") }

// Source is the script in the source view.
func (s *Snapshot) Source() *syntax.File {
	s.sourceOnce.Do(func() {
		opt := s.Env.opt
		opt.View = syntax.SourceView
		if s.IsMacros() {
			s.source = syntax.ParseMacros(s.Name, s.Text, opt)
		} else {
			s.source = syntax.ParseFile(s.Name, s.Text, opt)
		}
	})
	return s.source
}

// Program elaborates the script, once. Macro libraries have an empty program.
func (s *Snapshot) Program() *sema.Program { return s.ProgramBy(context.Background()) }

// ProgramBy elaborates the script, and gives nil when ctx ends before. Elaboration
// stops when nobody waits for it any more, and begins anew for who asks later.
func (s *Snapshot) ProgramBy(ctx context.Context) *sema.Program {
	s.mu.Lock()
	if s.prog != nil || ctx.Err() != nil {
		defer s.mu.Unlock()
		return s.prog
	}
	run := s.run
	if run == nil {
		run = &elaboration{done: make(chan struct{})}
		var own context.Context
		own, run.stop = context.WithCancel(context.Background())
		s.run = run
		go s.elaborate(own, run)
	}
	run.waiting++
	s.mu.Unlock()
	select {
	case <-run.done:
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if run.waiting--; run.waiting == 0 && s.run == run {
		run.stop()
		s.run = nil
	}
	return s.prog
}

// elaborate is one elaboration; of one that was stopped nothing is kept.
func (s *Snapshot) elaborate(ctx context.Context, run *elaboration) {
	prog, panicked := s.program(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.run == run {
		s.prog, s.Panic, s.run = prog, panicked, nil
	}
	run.stop()
	close(run.done)
}

func (s *Snapshot) program(ctx context.Context) (prog *sema.Program, panicked string) {
	empty := func() *sema.Program {
		return &sema.Program{Files: []*syntax.File{s.File}, Diags: s.File.Diags, Tools: &sema.Tools{}}
	}
	if s.IsMacros() {
		return empty(), ""
	}
	defer func() { // a script being typed must not end the editor's server
		if r := recover(); r != nil {
			prog, panicked = empty(), fmt.Sprintf("%v\n%s", r, debug.Stack())
		}
	}()
	opt := s.Env.semaOptions()
	opt.Context = ctx
	return sema.Elaborate([]*syntax.File{s.File}, opt), ""
}

// elaborated gives the program if it is there.
func (s *Snapshot) elaborated() *sema.Program {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.prog
}

// Diagnostics are the findings of parser and elaboration.
func (s *Snapshot) Diagnostics() []diag.Diagnostic { return s.Program().Diags }

// tokenAt finds the token as written (in File.Raw) at an offset: the one that
// contains it, else a word that ends there, else -1.
func (s *Snapshot) tokenAt(off int) int {
	raw := s.File.Raw
	lo, hi := 0, len(raw)
	for lo < hi { // first token with End > off
		m := (lo + hi) / 2
		if int(raw[m].End) > off {
			hi = m
		} else {
			lo = m + 1
		}
	}
	if lo < len(raw) && int(raw[lo].Off) <= off && raw[lo].Kind != syntax.EOF {
		if k := raw[lo].Kind; !k.IsOperator() || lo == 0 || int(raw[lo-1].End) != off || !isWordKind(raw[lo-1].Kind) {
			return lo
		}
	}
	if lo > 0 && raw[lo-1].Kind == syntax.EOF {
		lo-- // the word that ends there ends the text
	}
	if lo > 0 && int(raw[lo-1].End) == off {
		return lo - 1
	}
	return -1
}

func isWordKind(k syntax.Kind) bool {
	switch k {
	case syntax.Name, syntax.AtWord, syntax.Number, syntax.String, syntax.Arg, syntax.ArgStr:
		return true
	}
	return k.IsKeyword()
}

// span is a stretch of the script.
type span struct{ start, end int }

func (s *Snapshot) rawSpan(i int) span { return span{int(s.File.Raw[i].Off), int(s.File.Raw[i].End)} }

// path gives the nodes of the expanded view around a token as written, outermost
// first; several paths when a macro uses an argument more than once, of which the
// first is given. It is nil for text that the expanded view does not have.
func (s *Snapshot) path(raw int) []syntax.Node {
	if raw < 0 {
		return nil
	}
	off := s.File.Raw[raw].Off
	for i := range s.File.Tokens {
		t := &s.File.Tokens[i]
		if t.Src == 0 && t.Off == off && t.Kind != syntax.EOF {
			return pathTo(s.File, i)
		}
	}
	return nil
}

// sourcePath is path in the source view.
func (s *Snapshot) sourcePath(raw int) []syntax.Node {
	if raw < 0 || raw >= len(s.Source().Tokens) {
		return nil
	}
	return pathTo(s.Source(), raw)
}

// anyPath is path, or sourcePath for text that the target at hand leaves out.
func (s *Snapshot) anyPath(raw int) []syntax.Node {
	if p := s.path(raw); p != nil {
		return p
	}
	return s.sourcePath(raw)
}

// pathTo gives the nodes that a token lies in, outermost first.
func pathTo(f *syntax.File, tok int) []syntax.Node {
	var out []syntax.Node
	in := func(n syntax.Node) bool { return n.First() <= tok && tok <= n.Last() }
	for _, d := range f.Decls {
		if !in(d) {
			continue
		}
		var n syntax.Node = d
		for n != nil {
			out = append(out, n)
			var next syntax.Node
			syntax.Children(n, func(c syntax.Node) {
				if next == nil && in(c) {
					next = c
				}
			})
			// The name of a function is no child: FuncDecl and Call hold it.
			n = next
		}
		break
	}
	return out
}

// innermost gives the last node of a path that is a T.
func innermost[T syntax.Node](path []syntax.Node) (T, bool) {
	for i := len(path) - 1; i >= 0; i-- {
		if n, ok := path[i].(T); ok {
			return n, true
		}
	}
	var zero T
	return zero, false
}

// declOf gives the declaration of a path; in the source view it may lie in a conditional.
func declOf(path []syntax.Node) syntax.Decl {
	if len(path) == 0 {
		return nil
	}
	for _, n := range path {
		switch d := n.(type) {
		case *syntax.ProbeDecl, *syntax.AliasDecl, *syntax.FuncDecl:
			return d.(syntax.Decl)
		}
	}
	d, _ := path[0].(syntax.Decl)
	return d
}

// probes gives the probes that a declaration's handler was elaborated for.
func probesOf(p *sema.Program, d syntax.Decl) []*sema.Probe {
	if p == nil || p.Tools == nil {
		return nil
	}
	var out []*sema.Probe
	switch d := d.(type) {
	case *syntax.ProbeDecl:
		for _, pr := range p.Tools.Probes {
			if pr.Decl == d {
				out = append(out, pr)
			}
		}
	case *syntax.AliasDecl:
		for _, pr := range p.Tools.Probes {
			for _, c := range pr.Chain {
				if c.Alias == d {
					out = append(out, pr)
					break
				}
			}
		}
		out = append(out, p.Tools.Aliases[d]...)
	}
	return out
}

// funcOf gives the function of a declaration.
func funcOf(p *sema.Program, d *syntax.FuncDecl) *sema.Func {
	if p == nil || p.Tools == nil {
		return nil
	}
	for _, f := range p.Tools.Funcs {
		if f.Decl == d {
			return f
		}
	}
	return nil
}

// bodies gives the bodies that were elaborated for the code at a path: the
// function's, or one for each place of a probe; conditions of points included.
func bodies(p *sema.Program, path []syntax.Node) []*sema.Body {
	if p == nil {
		return nil
	}
	d := declOf(path)
	var out []*sema.Body
	add := func(b *sema.Body) {
		if b == nil {
			return
		}
		for _, o := range out {
			if o == b {
				return
			}
		}
		out = append(out, b)
		for _, e := range b.Entries {
			if e.Body != nil {
				out = append(out, e.Body)
			}
		}
	}
	if fd, ok := d.(*syntax.FuncDecl); ok {
		if f := funcOf(p, fd); f != nil {
			add(f.Body)
		}
		return out
	}
	for _, pr := range probesOf(p, d) {
		add(pr.Body)
		for _, c := range pr.Conds {
			add(c.Body)
		}
	}
	return out
}

// offsets turns the range of a node of this file into a span; ok is false when it
// lies elsewhere, such as in a macro's body.
func (s *Snapshot) offsets(r diag.Range) (span, bool) {
	if !r.IsValid() || r.Start.File != s.Name {
		return span{}, false
	}
	end := r.End.Offset
	if !r.End.IsValid() || end < r.Start.Offset {
		end = r.Start.Offset
	}
	return span{r.Start.Offset, end}, true
}
