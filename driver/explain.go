package driver

import (
	"fmt"
	"io"
	"strings"

	"stapkit/compile/ebpf"
	"stapkit/compile/object"
	"stapkit/ir"
	"stapkit/plan"
	loader "stapkit/runtime"
)

// dumpPrograms shows the instructions of pass 3.
func dumpPrograms(w io.Writer, spec *object.Spec) error {
	if spec == nil {
		return nil
	}
	for _, p := range spec.Programs {
		if _, err := fmt.Fprintf(w, "\n# program %s in section %s\n%v", p.Name, p.Section, p.Insns); err != nil {
			return err
		}
	}
	for _, f := range spec.Functions {
		if _, err := fmt.Fprintf(w, "\n# function %s\n%v", f.Name, f.Insns); err != nil {
			return err
		}
	}
	return nil
}

// Explain prints what the script costs: of each program the probes and carriers, its
// size, where it loops, its maps' memory, the locks that it takes and why it needs no
// others; of each global its memory, and the lock or why there is none; and the oldest
// kernel.
func (c *Compiled) Explain(w io.Writer) error {
	p := c.Program
	e := &explanation{c: c, reasons: plan.LockReasons(p)}
	e.handlers, e.regions = plan.Touched(p)
	var err error
	if e.memory, err = loader.MapMemory(c.image()); err != nil {
		return err
	}
	uses, err := loader.Uses(c.image())
	if err != nil {
		return err
	}
	for i := range c.Report.Handlers {
		e.program(&c.Report.Handlers[i])
	}
	for i, h := range p.Handlers {
		if !h.Kernel {
			fmt.Fprintf(e, "probe %s\n  runs in the loader; at most %d actions\n", p.Probes[h.Probe].Point, h.MaxActions)
			e.globals(e.handlers[i])
		}
	}
	for i := range p.Globals {
		g := &p.Globals[i]
		if g.Library && g.Share == ir.LoaderOnly {
			continue
		}
		fmt.Fprintf(e, "global %s: %s; %s\n", g.Name, memory(g), e.lock(i))
	}
	fmt.Fprintf(e, "scratch memory %d bytes for each CPU, constants %d bytes\n", c.Report.SlotBytes*ir.SlotsPerCPU, c.Report.ConstBytes)
	fmt.Fprintf(e, "maps take %s\n", loader.Memory{Bytes: uses.MapBytes, PerCPU: uses.MapBytesPerCPU})
	oldest, err := loader.OldestKernel(c.image())
	if err != nil {
		return err
	}
	fmt.Fprintf(e, "kernel: %s\n", oldest)
	_, err = io.WriteString(w, e.String())
	return err
}

// explanation is the text of Explain while it is made.
type explanation struct {
	strings.Builder
	c                 *Compiled
	reasons           []string                 // of globals, why there is a lock or none
	handlers, regions [][]int                  // the globals that each touches
	memory            map[string]loader.Memory // of maps, by name
}

// lock says which lock guards a global and why, or why none does.
func (e *explanation) lock(global int) string {
	if l := e.c.Program.Globals[global].Lock; l >= 0 {
		return fmt.Sprintf("lock %d, as %s", l, e.reasons[global])
	}
	return "no lock: " + e.reasons[global]
}

// globals tells of the globals that a handler touches.
func (e *explanation) globals(list []int) {
	p := e.c.Program
	for _, i := range list {
		g := &p.Globals[i]
		what := ""
		if m, ok := e.memory[ir.MapArray(i)]; ok {
			what = m.String() + ", "
		}
		fmt.Fprintf(e, "  global %s: %s%s\n", g.Name, what, e.lock(i))
	}
}

func (e *explanation) program(r *ebpf.HandlerReport) {
	p := e.c.Program
	what, touched, h := "handler", []int(nil), (*ir.Handler)(nil)
	for i, x := range p.Handlers {
		if x.Name == r.Name && !r.Region {
			h, touched = x, e.handlers[i]
			what = "probe " + p.Probes[x.Probe].Point
			if n := len(x.Points); n > 1 {
				what += fmt.Sprintf(" and %d more", n-1)
			}
			var carriers []string
			for _, a := range p.Probes[x.Probe].Attach {
				name := a.Carrier
				if a.Handler != i {
					name = "(" + name + ")" // by another program
				}
				carriers = append(carriers, name)
			}
			what += " [" + strings.Join(carriers, ", ") + "]"
		}
	}
	if r.Region {
		what = "atomic part of a handler of the loader"
		for i, x := range p.Regions {
			if x != nil && x.Name == r.Name {
				h, touched = x, e.regions[i]
				what = "atomic part of probe " + p.Probes[x.Probe].Point
			}
		}
	}
	fmt.Fprintf(e, "%s\n  handler %s: %d instructions", what, r.Name, r.Instructions)
	if r.All > r.Instructions {
		fmt.Fprintf(e, " (%d with those that it shares)", r.All)
	}
	fmt.Fprintf(e, ", %d bytes of stack, %d bytes of scratch\n", r.Stack, r.Slot)
	switch {
	case h == nil:
	case r.Loops:
		fmt.Fprintf(e, "  loops or calls functions: at most %d actions in an invocation\n", h.MaxActions)
	default:
		e.WriteString("  straight code: every instruction at most once\n")
	}
	for _, l := range r.Locks {
		var names []string
		for i := range p.Globals {
			if p.Globals[i].Lock == l {
				names = append(names, p.Globals[i].Name)
			}
		}
		fmt.Fprintf(e, "  takes lock %d, of %s\n", l, strings.Join(names, ", "))
	}
	e.globals(touched)
}

// memory tells how much a global takes.
func memory(g *ir.Global) string {
	if !g.IsArray() {
		switch g.Value.Kind {
		case ir.Int:
			return "8 bytes"
		case ir.Stat:
			return fmt.Sprintf("%d bytes for each CPU", ir.StatLayoutOf(g.Stat).Size)
		}
		return fmt.Sprintf("%d bytes", g.Value.Width)
	}
	_, key := ir.KeyLayout(g.Keys)
	_, value := g.ValueLayout()
	text := fmt.Sprintf("%d elements of %d + %d bytes", g.MaxEntries, key, value)
	if g.Value.Kind == ir.Stat {
		text += " for each CPU"
	}
	if g.Generations {
		text += ", twice while it is cleared"
	}
	return text
}
