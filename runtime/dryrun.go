package loader

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"stapkit/ir"
	"stapkit/target"
)

// ProbeState is what DryRun says of one probe.
type ProbeState struct {
	Point    string   `json:"point"`
	Optional bool     `json:"optional,omitempty"`
	State    State    `json:"state"`
	Carrier  string   `json:"carrier,omitempty"` // the one that would be used
	Why      []string `json:"why,omitempty"`     // what is wrong with those before it
	// Instructions bounds from above the straight part of the handler's program: what
	// is in a loop counts once.
	Instructions int `json:"instructions,omitempty"`
}

// State is the state of a probe on a host.
type State string

// The states.
const (
	StateOK       State = "ok"       // the first choice
	StateFallback State = "fallback" // a later one
	StateMissing  State = "missing"  // none
)

// DryRun says of every probe of the image whether the target has what it is to be
// attached to and the structure members that its handler reads. It loads nothing
// into the kernel and needs no privilege. An error says that the image or the
// target cannot be read.
func DryRun(img Image, tgt *target.Target) ([]ProbeState, error) {
	d, err := newDryRun(img, tgt)
	if err != nil {
		return nil, err
	}
	return d.all(), nil
}

func newDryRun(img Image, tgt *target.Target) (*dryRun, error) {
	d := &dryRun{p: img.Program, tgt: tgt, done: map[int]error{}}
	if len(img.ELF) > 0 {
		var err error
		if d.spec, err = img.object(); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (d *dryRun) all() []ProbeState {
	var list []ProbeState
	for i := range d.p.Probes {
		ret := ""
		if p := &d.p.Probes[i]; p.Hidden && i > 0 {
			ret = list[i-1].Carrier
		}
		list = append(list, d.probe(&d.p.Probes[i], ret))
	}
	return list
}

type dryRun struct {
	p    *ir.Program
	spec *ebpf.CollectionSpec
	tgt  *target.Target
	btf  *btf.Spec
	done map[int]error // by handler: whether its relocations can be made
	// host asks the running kernel besides, nil where it is not the target.
	host func(a *ir.Attach) error
}

// probe tells of one probe. ret is the carrier of the return probe whose entry it is.
func (d *dryRun) probe(p *ir.Probe, ret string) ProbeState {
	st := ProbeState{Point: p.Point, Optional: p.Optional, State: StateMissing}
	if ret == "fexit" && !slices.ContainsFunc(p.Attach, func(a ir.Attach) bool { return a.Carrier == "fentry" }) {
		st.Carrier, st.State = ret, StateOK // the return probe has the arguments itself
		return st
	}
	for i, a := range attachments(d.p, p, d.spec) {
		if ret != "" && (a.Carrier == "fentry") != (ret == "fexit") {
			continue
		}
		err := d.place(a)
		if err == nil && a.Carrier != "loader" {
			err = d.relocate(a.Handler)
		}
		if err == nil && d.host != nil && a.Carrier != "loader" {
			err = d.host(a)
		}
		if err != nil {
			st.Why = append(st.Why, fmt.Sprintf("%s: %v", a.Carrier, err))
			continue
		}
		st.Carrier, st.State = a.Carrier, StateOK
		if i > 0 {
			st.State = StateFallback
		}
		if d.spec != nil && a.Handler >= 0 && a.Handler < len(d.p.Handlers) {
			if prog := d.spec.Programs[d.p.Handlers[a.Handler].Name]; prog != nil {
				st.Instructions = len(prog.Instructions)
			}
		}
		return st
	}
	return st
}

// place looks for what the row is attached to. What the target does not tell is
// taken to be there.
func (d *dryRun) place(a *ir.Attach) error {
	switch a.Carrier {
	case "raw_tp", "tp_btf":
		if _, err := d.tgt.BTF(); err != nil {
			if a.Carrier == "tp_btf" {
				return err
			}
			return nil
		}
		list, err := d.tgt.Tracepoints(a.Module, a.Target)
		if err == nil && len(list) == 0 {
			err = fmt.Errorf("there is no tracepoint %s", a.Target)
		}
		return err
	case "tracepoint":
		group, name, _ := cutEvent(a.Target)
		if len(d.tgt.Events("*")) > 0 && len(d.tgt.Events(group+":"+name)) == 0 {
			return fmt.Errorf("there is no event %s", a.Target)
		}
	case "fentry", "fexit", "lsm":
		if _, err := d.tgt.BTF(); err != nil {
			return err
		}
		list, err := d.tgt.Functions(a.Module, a.Target)
		if err == nil && len(list) == 0 {
			err = fmt.Errorf("there is no function %s", a.Target)
		}
		return err
	case "kprobe", "kretprobe", "kprobe_multi", "kretprobe_multi":
		if id := d.tgt.BuildID(); id != "" && !inModule(a) {
			if err := sameBuild(a, id); err != nil {
				return err
			}
		}
		if a.Target == "" {
			return nil // an address
		}
		if syms, err := d.tgt.Symbols(); err == nil && len(syms.ByName(a.Target)) == 0 {
			return fmt.Errorf("there is no function %s", a.Target)
		}
		if no, known := d.tgt.Denied(a.Target); known && no {
			return fmt.Errorf("the kernel lets nobody probe %s", a.Target)
		}
	}
	return nil
}

// relocate tries the CO-RE relocations of a handler's program.
func (d *dryRun) relocate(h int) error {
	if err, ok := d.done[h]; ok {
		return err
	}
	err := d.tryRelocate(h)
	d.done[h] = err
	return err
}

func (d *dryRun) tryRelocate(h int) error {
	name := d.p.Handlers[h].Name
	if d.spec == nil || d.spec.Programs[name] == nil {
		return fmt.Errorf("the object has no program %s", name)
	}
	var relos []*btf.CORERelocation
	var insns []asm.Instruction
	var places []string
	line := "unknown line"
	for _, ins := range d.spec.Programs[name].Instructions {
		// An instruction without a line belongs to the one before it.
		if l, ok := ins.Source().(*btf.Line); ok {
			line = fmt.Sprintf("%s:%d", l.FileName(), l.LineNumber())
		}
		if r := btf.CORERelocationMetadata(&ins); r != nil {
			relos = append(relos, r)
			insns = append(insns, ins)
			places = append(places, line)
		}
	}
	if len(relos) == 0 {
		return nil
	}
	if d.btf == nil {
		s, err := d.tgt.BTF()
		if err != nil {
			return err
		}
		if d.btf, err = btf.LoadSpecFromReader(bytes.NewReader(s.Raw())); err != nil {
			return err
		}
	}
	fixups, err := btf.CORERelocate(relos, []*btf.Spec{d.btf}, d.spec.ByteOrder, func(btf.Type) (btf.TypeID, error) { return 0, nil })
	if err != nil {
		return err
	}
	for _, r := range relos {
		if strings.Contains(r.String(), "exists") {
			// The program asks first; what is missing is not reached.
			return nil
		}
	}
	for i := range fixups {
		ins := insns[i]
		if err := fixups[i].Apply(&ins); err != nil {
			return err
		}
		// A member that is missing makes the instruction a call of no function.
		if ins.IsBuiltinCall() && ins.Constant == btf.COREBadRelocationSentinel {
			return fmt.Errorf("%s: no such member or type: %v", places[i], relos[i])
		}
	}
	return nil
}

// cutEvent takes the name of an event apart: "group/name" or "group:name".
func cutEvent(s string) (group, name string, ok bool) {
	for i := range len(s) {
		if s[i] == '/' || s[i] == ':' {
			return s[:i], s[i+1:], i > 0 && i+1 < len(s)
		}
	}
	return "", "", false
}

// inModule reports whether a row is of a kernel module.
func inModule(a *ir.Attach) bool {
	return a.Module != "" && a.Module != "kernel" && a.Module != "vmlinux"
}

// sameBuild refuses a row that was compiled for another build of the kernel or
// module than the one with the build-id.
func sameBuild(a *ir.Attach, id string) error {
	if a.BuildID == "" || a.BuildID == id {
		return nil
	}
	what := "the kernel"
	if inModule(a) {
		what = "module " + a.Module
	}
	return fmt.Errorf("%s has build-id %s, the probe was compiled for %s: lines and instructions lie elsewhere", what, or(id, "none"), a.BuildID)
}

func or(s, def string) string {
	if s == "" {
		return def
	}
	return s
}
