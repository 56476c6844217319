package driver

import (
	"fmt"
	"io"

	"stapkit/compile/object"
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

// Explain prints what each handler costs.
func (c *Compiled) Explain(w io.Writer) error {
	for _, h := range c.Report.Handlers {
		kind := "handler"
		if h.Region {
			kind = "region"
		}
		loops := ""
		if h.Loops {
			loops = ", loops"
		}
		if _, err := fmt.Fprintf(w, "%s %s: %d instructions, %d bytes of stack, %d bytes of scratch, %d locks%s\n",
			kind, h.Name, h.Instructions, h.Stack, h.Slot, len(h.Locks), loops); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "scratch slot %d bytes, constants %d bytes\n", c.Report.SlotBytes, c.Report.ConstBytes)
	return err
}
