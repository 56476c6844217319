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
// size, and where it loops; of each global its memory, and the lock or why there is
// none; and the oldest kernel.
func (c *Compiled) Explain(w io.Writer) error {
	p := c.Program
	var b strings.Builder
	for _, r := range c.Report.Handlers {
		c.explainProgram(&b, &r)
	}
	for _, h := range p.Handlers {
		if !h.Kernel {
			fmt.Fprintf(&b, "probe %s\n  runs in the loader; at most %d actions\n", p.Probes[h.Probe].Point, h.MaxActions)
		}
	}
	reasons := plan.LockReasons(p)
	for i := range p.Globals {
		g := &p.Globals[i]
		if g.Library && g.Share == ir.LoaderOnly {
			continue
		}
		fmt.Fprintf(&b, "global %s: %s; ", g.Name, memory(g))
		if g.Lock >= 0 {
			fmt.Fprintf(&b, "lock %d, as %s\n", g.Lock, reasons[i])
		} else {
			fmt.Fprintf(&b, "no lock: %s\n", reasons[i])
		}
	}
	fmt.Fprintf(&b, "scratch memory %d bytes for each CPU, constants %d bytes\n", c.Report.SlotBytes*ir.SlotsPerCPU, c.Report.ConstBytes)
	oldest, err := loader.OldestKernel(loader.Image{Program: p, ELF: c.ELF})
	if err != nil {
		return err
	}
	fmt.Fprintf(&b, "kernel: %s\n", oldest)
	_, err = io.WriteString(w, b.String())
	return err
}

func (c *Compiled) explainProgram(b *strings.Builder, r *ebpf.HandlerReport) {
	p := c.Program
	what, h := "handler", (*ir.Handler)(nil)
	for i, x := range p.Handlers {
		if x.Name == r.Name && !r.Region {
			h = x
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
		for _, x := range p.Regions {
			if x != nil && x.Name == r.Name {
				h = x
			}
		}
		what = "atomic part of a handler of the loader"
		if h != nil {
			what = "atomic part of probe " + p.Probes[h.Probe].Point
		}
	}
	fmt.Fprintf(b, "%s\n  handler %s: %d instructions, %d bytes of stack, %d bytes of scratch\n", what, r.Name, r.Instructions, r.Stack, r.Slot)
	switch {
	case h == nil:
	case r.Loops:
		fmt.Fprintf(b, "  loops or calls functions: at most %d actions in an invocation\n", h.MaxActions)
	default:
		b.WriteString("  straight code: every instruction at most once\n")
	}
	for _, l := range r.Locks {
		var names []string
		for i := range p.Globals {
			if p.Globals[i].Lock == l {
				names = append(names, p.Globals[i].Name)
			}
		}
		fmt.Fprintf(b, "  takes lock %d, of %s\n", l, strings.Join(names, ", "))
	}
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
