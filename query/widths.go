package query

import (
	"context"
	"fmt"
	"strings"
	"time"

	"stapkit/diag"
	"stapkit/sema"
	"stapkit/syntax"
)

// A Width is the memory that a value takes.
type Width struct {
	Bytes int
	Text  int  // of a string: the longest text
	Late  bool // text that is made when it is printed; Bytes are kept until then
}

// Widths are those of an elaborated script. Whatever is not there is not known. They are
// found by the compiler's planner, which stands on floors above this package: Config
// brings it along.
type Widths struct {
	Max     int // MAXSTRINGLEN
	Globals map[*sema.Global]Width
	Keys    map[*sema.Global][]Width
	Locals  map[*sema.Body][]Width // by Local.Index
	Results map[*sema.Func]Width
}

// widthPatience is how long an answer waits for widths that are being found, which a
// compilation's first passes have to be gone through for. Of what comes later the next
// answer tells.
const widthPatience = 25 * time.Millisecond

// widthWork is an inference.
type widthWork struct {
	done   chan struct{}
	widths *Widths // nil where the script cannot be compiled
}

// InferWidths finds the widths of the script's variables, once, for the answers to come.
// It takes longer than an answer may, so an editor calls it in a pause of typing; what
// ctx ends is begun anew when it is asked for again.
func (s *Snapshot) InferWidths(ctx context.Context) {
	infer := s.Env.Widths
	if infer == nil || s.IsMacros() {
		return
	}
	prog := s.ProgramBy(ctx)
	if prog == nil || diag.HasErrors(prog.Diags) || prog.Unresolved || prog.Cancelled {
		return
	}
	s.mu.Lock()
	w := s.width
	if w != nil {
		s.mu.Unlock()
		select {
		case <-w.done:
		case <-ctx.Done():
		}
		return
	}
	w = &widthWork{done: make(chan struct{})}
	s.width = w
	s.mu.Unlock()
	defer close(w.done)
	got, err := infer(ctx, prog, s.Env.Target)
	switch {
	case ctx.Err() != nil:
		s.mu.Lock()
		s.width = nil
		s.mu.Unlock()
	case err == nil: // else its diagnostics say why
		w.widths = got
		s.Env.keepWidths(s.Name, s.namedWidths(prog, got))
	}
}

// widths gives the script's widths as far as they are known: nil when they are not, or
// not yet. No answer begins to find them: its CPU is needed for what is being typed.
func (s *Snapshot) widths() *Widths {
	s.mu.Lock()
	w := s.width
	s.mu.Unlock()
	if w == nil {
		return nil
	}
	timer := time.NewTimer(widthPatience)
	defer timer.Stop()
	select {
	case <-w.done:
		return w.widths
	case <-timer.C:
		return nil
	}
}

// widthKey names a variable across versions of a script: by the declaration that it is
// local to ("" for a global) and its name.
type widthKey struct{ in, name string }

// declKey names a declaration across versions of a script.
func declKey(d syntax.Decl) string {
	var points []syntax.Point
	switch d := d.(type) {
	case *syntax.FuncDecl:
		if d.Name != nil {
			return "function " + d.Name.Name
		}
	case *syntax.ProbeDecl:
		points = d.Points
	case *syntax.AliasDecl:
		points = d.Points
	}
	var l []string
	for _, p := range points {
		l = append(l, syntax.PointString(p))
	}
	return strings.Join(l, ", ")
}

// namedWidths are the widths by names, for the versions of the script to come that do not
// compile, which most do not while they are typed.
func (s *Snapshot) namedWidths(prog *sema.Program, w *Widths) map[widthKey]widthSet {
	out := map[widthKey]widthSet{}
	for g, v := range w.Globals {
		if g.File == s.File || !g.Private {
			out[widthKey{"", g.Name}] = widthSet{w.Max, v, w.Keys[g]}
		}
	}
	for _, d := range s.File.Decls {
		var in []*sema.Body
		switch d := d.(type) {
		case *syntax.FuncDecl, *syntax.ProbeDecl, *syntax.AliasDecl:
			in = bodies(prog, []syntax.Node{d})
		default:
			continue
		}
		for _, b := range in {
			for _, l := range b.Locals {
				if v := localWidth(w, in, l.Name); v.Bytes > 0 {
					out[widthKey{declKey(d), l.Name}] = widthSet{w.Max, v, nil}
				}
			}
		}
	}
	return out
}

// widthSet is the width of one variable, and of the keys of an array.
type widthSet struct {
	max   int
	value Width
	keys  []Width
}

// maxWidths is how many scripts' widths are remembered.
const maxWidths = 100

func (e *Env) keepWidths(script string, m map[widthKey]widthSet) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.named == nil || len(e.named) >= maxWidths {
		e.named = map[string]map[widthKey]widthSet{}
	}
	e.named[script] = m
}

// localWidth is the widest that a local is in any of the bodies made of a declaration:
// of those that became one program with others, only that one has widths.
func localWidth(w *Widths, in []*sema.Body, name string) (out Width) {
	for _, b := range in {
		list := w.Locals[b]
		for _, l := range b.Locals {
			if l.Name == name && l.Index < len(list) && list[l.Index].Bytes > out.Bytes {
				out = list[l.Index]
			}
		}
	}
	return out
}

// widthOf finds the width of a variable; old tells that it is that of an earlier version
// of the script, which the one at hand need not have.
func (s *Snapshot) widthOf(prog *sema.Program, o sema.Object, path []syntax.Node) (set widthSet, old, ok bool) {
	key := widthKey{"", o.ObjectName()}
	if l, local := o.(*sema.Local); local {
		key.in = declKey(declOf(path))
		if w := s.widths(); w != nil {
			set = widthSet{w.Max, localWidth(w, bodies(prog, path), l.Name), nil}
			return set, false, set.value.Bytes > 0
		}
	} else if w := s.widths(); w != nil {
		g, _ := o.(*sema.Global)
		set = widthSet{w.Max, w.Globals[g], w.Keys[g]}
		return set, false, set.value.Bytes > 0
	}
	s.Env.mu.Lock()
	defer s.Env.mu.Unlock()
	set, ok = s.Env.named[s.Name][key]
	return set, true, ok
}

// widthText says what a variable of a type takes.
func widthText(w Width, max int) string {
	switch {
	case w.Late:
		return fmt.Sprintf("becomes text when it is printed; until then %d bytes are kept", w.Bytes)
	case w.Text > 0 && max > 0 && w.Text >= max-1:
		return fmt.Sprintf("up to %d bytes of text, all that MAXSTRINGLEN allows", max-1)
	case w.Text > 0:
		return fmt.Sprintf("up to %d bytes of text, in %d bytes of memory", w.Text, w.Bytes)
	}
	return fmt.Sprintf("%d bytes", w.Bytes)
}

// hoverResult adds the width of the text that a function gives.
func (s *Snapshot) hoverResult(h *Hover, f *sema.Func) {
	if f == nil || f.Result != sema.String {
		return
	}
	if w := s.widths(); w != nil && w.Results[f].Bytes > 0 {
		h.text("Its result takes %s.", widthText(w.Results[f], w.Max))
	}
}

// hoverWidth adds the width of a variable to its hover.
func (s *Snapshot) hoverWidth(h *Hover, prog *sema.Program, o sema.Object, path []syntax.Node) {
	set, old, ok := s.widthOf(prog, o, path)
	if !ok || set.value.Bytes == 0 {
		return
	}
	t := "Takes " + widthText(set.value, set.max)
	if set.value.Late {
		t = "Its value " + widthText(set.value, set.max)
	}
	if len(set.keys) > 0 {
		var l []string
		for _, k := range set.keys {
			l = append(l, widthText(k, set.max))
		}
		t = "An element takes " + widthText(set.value, set.max) + "; a key: " + strings.Join(l, "; ")
	}
	switch {
	case old && diag.HasErrors(prog.Diags):
		t += " (as the script was when it last had no errors)"
	case old: // what is right is found when typing pauses
		t += " (as the script was before it was changed)"
	}
	h.text("%s.", t)
}
