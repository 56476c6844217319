package irgen

import (
	"errors"
	"fmt"
	"sort"
	"strings"

	"stapkit/ir"
	"stapkit/ir/interp"
)

// Outcome is what can be seen of a run, in a form that can be compared.
type Outcome struct {
	Output   string   // printed text
	Errors   []string // of each invocation: code, argument, site and text, or ""
	Warnings []string
	Exited   bool
	Globals  []string // a line per scalar and element
}

// String lists it all.
func (o Outcome) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "output %q\n", o.Output)
	fmt.Fprintf(&b, "errors %q\nwarnings %q\nexited %v\n", o.Errors, o.Warnings, o.Exited)
	for _, g := range o.Globals {
		fmt.Fprintln(&b, g)
	}
	return b.String()
}

// ErrorLine is how an Outcome shows the error that left a handler.
func ErrorLine(code ir.ErrCode, arg int64, site int, detail string) string {
	switch code {
	case ir.ErrNone:
		return ""
	case ir.ErrArrayFull, ir.ErrKernelFault, ir.ErrUserFault, ir.ErrKernelStr, ir.ErrUserStr, ir.ErrNoMatch, ir.ErrNoGroup:
	default:
		arg = 0 // says nothing there
	}
	return fmt.Sprintf("%s(%d) at %d %q", code, arg, site, ir.ErrText(code, arg, detail))
}

// Run runs every handler of p in turn, each for all of its points, rounds times, on
// the interpreter, with the given words as context.
func Run(p *ir.Program, rounds int, args ...int64) (Outcome, error) {
	env := interp.NewMem(p)
	env.Args = args
	m, err := interp.New(p, env)
	if err != nil {
		return Outcome{}, err
	}
	var o Outcome
	for range rounds {
		for h := range p.Handlers {
			for point := range max(len(p.Handlers[h].Points), 1) {
				line := ""
				if err := m.RunAt(h, point); err != nil {
					var e *interp.Error
					if !errors.As(err, &e) {
						return o, err
					}
					line = ErrorLine(e.Code, e.Arg, e.Site, e.Detail)
				}
				o.Errors = append(o.Errors, line)
			}
		}
	}
	o.Output, o.Warnings, o.Exited = env.Out.String(), env.Warnings, env.Exited
	o.Globals, err = Globals(p, func(g int) interp.Globals {
		if p.Globals[g].Share == ir.LoaderOnly {
			return m.Store()
		}
		return env
	})
	return o, err
}

// Globals lists the values of all globals. Elements of arrays that are not
// Ordered are sorted.
func Globals(p *ir.Program, store func(g int) interp.Globals) ([]string, error) {
	var out []string
	for i := range p.Globals {
		g := &p.Globals[i]
		if !g.IsArray() {
			line, err := scalar(g, store(i), i)
			if err != nil {
				return nil, err
			}
			out = append(out, line)
			continue
		}
		list, err := store(i).Snapshot(i)
		if err != nil {
			return nil, err
		}
		lines := make([]string, len(list))
		for j, e := range list {
			keys := make([]string, len(e.Keys))
			for k, v := range e.Keys {
				keys[k] = show(v)
			}
			lines[j] = fmt.Sprintf("%s[%s] = ", g.Name, strings.Join(keys, ","))
			if g.Value.Kind == ir.Stat {
				lines[j] += Stat(g, e.Stat)
			} else {
				lines[j] += show(e.Val)
			}
		}
		if !g.Ordered {
			sort.Strings(lines)
		}
		out = append(out, lines...)
	}
	return out, nil
}

func scalar(g *ir.Global, s interp.Globals, i int) (string, error) {
	if g.Value.Kind == ir.Stat {
		st, err := s.Stat(i, nil)
		if err != nil {
			return "", err
		}
		return g.Name + " = " + Stat(g, st), nil
	}
	v, _, err := s.Get(i, nil)
	return g.Name + " = " + show(v), err
}

func show(v interp.Value) string {
	switch v.Kind {
	case ir.Int:
		return fmt.Sprint(v.I)
	case ir.Deferred:
		return fmt.Sprintf("%s(%x)", v.Text, v.S)
	}
	return fmt.Sprintf("%q", v.S)
}

// Stat shows an aggregate's fields that g keeps.
func Stat(g *ir.Global, s *interp.Stat) string {
	if s == nil || s.Count == 0 {
		return "empty"
	}
	out := fmt.Sprintf("count %d", s.Count)
	if g.Stat.Sum || g.Stat.Variance {
		out += fmt.Sprintf(" sum %d", s.Sum)
	}
	if g.Stat.Min {
		out += fmt.Sprintf(" min %d", s.Min)
	}
	if g.Stat.Max {
		out += fmt.Sprintf(" max %d", s.Max)
	}
	if g.Stat.Variance {
		out += fmt.Sprintf(" parts %v", s.Parts)
	}
	for i, n := range s.Hist {
		if n != 0 {
			out += fmt.Sprintf(" [%d]=%d", i, n)
		}
	}
	return out
}
