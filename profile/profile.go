// Package profile writes stacks as people and tools look at them: profiles for pprof,
// folded stacks, a line each, and flame graphs in SVG.
package profile

import (
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/pprof/profile"
)

// Frame is one call of a stack.
type Frame struct {
	Addr   uint64
	Func   string // "" if it has no name
	File   string // source, if it is known
	Line   int
	Object string // the program, library or module
	Build  string // its build-id
	Start  uint64 // where it is mapped
	Limit  uint64
	Offset uint64
}

// name is what a frame is called in text.
func (f *Frame) name() string {
	switch {
	case f.Func != "":
		return f.Func
	case f.Object != "":
		return fmt.Sprintf("[%s]", filepath.Base(f.Object))
	}
	return fmt.Sprintf("%#x", f.Addr)
}

// Sample is a stack with what was counted of it.
type Sample struct {
	Frames []Frame // innermost first
	// Count is how often it was seen, Sum what was added up over these times, if
	// anything was.
	Count, Sum int64
	Labels     []Label
}

// Label tells stacks apart that differ in something else: a process, say.
type Label struct{ Key, Value string }

// Stacks are the stacks of a run.
type Stacks struct {
	Samples []Sample
	Time    time.Time
	Length  time.Duration
	// Summed: the sums mean something.
	Summed bool
}

// weight is by what stacks are drawn.
func (s *Stacks) weight(p *Sample) int64 {
	if s.Summed {
		return p.Sum
	}
	return p.Count
}

// Write writes the stacks to a file's writer in the form that the end of its name says:
// .svg a flame graph, .folded or .txt folded stacks, others a profile for pprof.
func (s *Stacks) Write(w io.Writer, name string) error {
	switch filepath.Ext(name) {
	case ".svg":
		return s.FlameGraph(w, strings.TrimSuffix(filepath.Base(name), ".svg"))
	case ".folded", ".txt":
		return s.Folded(w)
	}
	return s.Pprof(w)
}

// Folded writes a line for each stack: its frames, the outermost first, joined by ";",
// and its count. Labels come first, as frames.
func (s *Stacks) Folded(w io.Writer) error {
	lines := map[string]int64{}
	for i := range s.Samples {
		lines[strings.Join(s.path(&s.Samples[i]), ";")] += s.weight(&s.Samples[i])
	}
	keys := make([]string, 0, len(lines))
	for k := range lines {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		if _, err := fmt.Fprintf(w, "%s %d\n", k, lines[k]); err != nil {
			return err
		}
	}
	return nil
}

// path is the names of a stack's labels and frames, from the outermost.
func (s *Stacks) path(p *Sample) []string {
	var out []string
	for _, l := range p.Labels {
		out = append(out, clean(l.Value))
	}
	for _, f := range slices.Backward(p.Frames) {
		out = append(out, clean(f.name()))
	}
	return out
}

// clean keeps names from having what separates them.
func clean(name string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c == ';':
			return ':'
		case c < ' ' || c == 0x7f:
			return '?'
		}
		return c
	}, name)
}

// Pprof writes a profile for pprof.
func (s *Stacks) Pprof(w io.Writer) error {
	p := &profile.Profile{
		SampleType:    []*profile.ValueType{{Type: "samples", Unit: "count"}},
		TimeNanos:     s.Time.UnixNano(),
		DurationNanos: s.Length.Nanoseconds(),
	}
	if s.Summed {
		p.SampleType = append(p.SampleType, &profile.ValueType{Type: "sum", Unit: "units"})
		p.DefaultSampleType = "sum"
	}
	type place struct {
		addr   uint64
		fn     string
		line   int
		object string
		start  uint64
	}
	places := map[place]*profile.Location{}
	funcs := map[[2]string]*profile.Function{}
	maps := map[[2]any]*profile.Mapping{}
	for i := range s.Samples {
		in := &s.Samples[i]
		out := &profile.Sample{Value: []int64{in.Count}, Label: map[string][]string{}}
		if s.Summed {
			out.Value = append(out.Value, in.Sum)
		}
		for _, l := range in.Labels {
			out.Label[l.Key] = append(out.Label[l.Key], l.Value)
		}
		for j := range in.Frames {
			f := &in.Frames[j]
			key := place{f.Addr, f.Func, f.Line, f.Object, f.Start}
			loc := places[key]
			if loc == nil {
				loc = &profile.Location{ID: uint64(len(p.Location) + 1), Address: f.Addr}
				if f.Object != "" {
					mk := [2]any{f.Object, f.Start}
					m := maps[mk]
					if m == nil {
						m = &profile.Mapping{
							ID: uint64(len(p.Mapping) + 1), File: f.Object, BuildID: f.Build, Start: f.Start, Limit: f.Limit, Offset: f.Offset,
							HasFunctions: true,
						}
						maps[mk] = m
						p.Mapping = append(p.Mapping, m)
					}
					loc.Mapping = m
				}
				fk := [2]string{f.name(), f.File}
				fn := funcs[fk]
				if fn == nil {
					fn = &profile.Function{ID: uint64(len(p.Function) + 1), Name: f.name(), SystemName: f.name(), Filename: f.File}
					funcs[fk] = fn
					p.Function = append(p.Function, fn)
				}
				loc.Line = []profile.Line{{Function: fn, Line: int64(f.Line)}}
				places[key] = loc
				p.Location = append(p.Location, loc)
			}
			out.Location = append(out.Location, loc)
		}
		p.Sample = append(p.Sample, out)
	}
	if err := p.CheckValid(); err != nil {
		return fmt.Errorf("the profile: %w", err)
	}
	return p.Write(w)
}
