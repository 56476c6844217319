//go:build linux

package loader

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"stapkit/ir"
)

// A row is one way to attach a probe, with the program for it.
type row struct {
	probe int
	a     *ir.Attach
	c     *carrier
	// as is what the program has to be loaded as. One program cannot be attached
	// by a multi link and by a single one.
	as   ebpf.AttachType
	prog *ebpf.Program
}

// files is how many files the row keeps open at most: its link, and the events that the
// link stands on, one on each of so many CPUs.
func (r *row) files(cpus int) int {
	switch r.a.Carrier {
	case "kprobe", "kretprobe", "tracepoint", "uprobe", "uretprobe", "usdt":
		return 2
	case "perf", "breakpoint":
		return 2 * cpus
	}
	return 1
}

// plan is what is to be attached: for each probe the alternatives that this host
// might have, best first.
type plan struct {
	probe int
	rows  []row
	why   []string // why others were left out
	// Of a probe at the entry for a return probe: rows are those that go with the
	// latter's first, all is what there is.
	hidden bool
	all    []row
}

// withReturn keeps the rows of a probe at the entry that go with the carrier of its return
// probe, "" for none that was attached. It tells whether any is needed.
func (p *plan) withReturn(carrier string) (needed bool) {
	p.rows = nil
	for _, r := range p.all {
		if carrier != "" && (r.a.Carrier == "fentry") == (carrier == "fexit") {
			p.rows = append(p.rows, r)
		}
	}
	return len(p.rows) > 0 || carrier != "" && carrier != "fexit"
}

// load reads the object, chooses carriers, and loads what is needed into the
// kernel.
func (s *session) load(img Image) error {
	if err := theHost.checkBPF(); err != nil {
		return err
	}
	if len(img.ELF) == 0 {
		return errorf(codeCompiled, nil, "the program has kernel handlers, but there is no object with them")
	}
	spec, err := img.takeObject()
	if err != nil {
		return err
	}
	if s.plans, err = s.choose(spec); err != nil {
		return err
	}
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return errorf(codeKernel, err, "the number of CPUs is not known, is /sys mounted? (%v)", err)
	}
	inner := s.fitMaps(spec, cpus)
	if s.opt.Cgroup != "" {
		if err := s.restrict(spec); err != nil {
			return err
		}
	}
	s.spec = spec
	s.cache = btf.NewCache()
	s.opt.Stopwatch.Lap("carriers chosen")
	needed := map[string]bool{}
	copies := map[string]bool{}
	fixed := 0
	for _, p := range s.plans {
		if len(p.rows) > 0 {
			a := p.rows[0].a
			if h := s.p.Handlers[a.Handler]; len(h.Points) > 0 && fixedPoint(h, a) {
				fixed++
			}
			name := s.p.Handlers[a.Handler].Name
			if key := s.programKey(&p.rows[0]); key == name {
				needed[name] = true
			} else {
				copies[key] = true // made when it is attached
			}
			if a.Carrier == "dispatch" {
				needed[ir.DispatcherName(a)] = true
			}
		}
	}
	for _, h := range s.p.Regions {
		if h != nil {
			needed[h.Name] = true
		}
	}
	if n := len(needed) + len(copies); n > maxPrograms {
		err := errorf(codeKernel, nil, "the script needs %d programs in the kernel, and no more than %d are loaded at a time: releasing more can hang a kernel for good; probe fewer points", n, maxPrograms)
		if fixed > 0 {
			err.Lines = append(err.Lines, fmt.Sprintf("  %d of them are copies for the tracepoints of a pattern, since the handler asks which one it is (pp(), $$name and their like, or what differs between them); from Linux 6.10 on one program serves all, and a handler that does not ask needs one everywhere", fixed))
		}
		return err
	}
	if spec.Programs[ir.ProgUnwindKey] != nil {
		needed[ir.ProgUnwindKey] = true
	}
	links, files, cpus := 0, 0, cpuCount()
	for _, p := range s.plans {
		if len(p.rows) > 0 {
			links++
			files += p.rows[0].files(cpus)
		}
	}
	least := len(needed) + len(copies) + len(spec.Maps) + links + spareFiles
	if err := raiseFiles(least, least-links+files); err != nil {
		return err
	}
	first := spec.Copy()
	for name := range first.Programs {
		if !needed[name] {
			delete(first.Programs, name)
		}
	}
	for _, m := range first.Maps {
		if m.Type == ebpf.ProgramArray {
			m.Contents = slices.DeleteFunc(slices.Clone(m.Contents), func(kv ebpf.MapKV) bool {
				name, ok := kv.Value.(string)
				return ok && first.Programs[name] == nil
			})
		}
	}
	s.kernelBTF = s.kernelTypes(first)
	s.opt.Stopwatch.Lap("types read")
	s.coll, err = ebpf.NewCollectionWithOptions(first, ebpf.CollectionOptions{Cache: s.cache, Programs: ebpf.ProgramOptions{KernelTypes: s.kernelBTF}})
	if err != nil {
		return s.explain(first, err)
	}
	openTrace(spec)
	for _, m := range spec.Maps {
		if m.Type == ebpf.ProgramArray {
			m.Contents = nil // they are filled
		}
	}
	s.programs = s.coll.Programs
	return s.adopt(cpus, inner)
}

// adopt makes the loader's side of what is in the kernel. inner are the templates of
// the arrays with generations; nil: these are in place already.
func (s *session) adopt(cpus int, inner map[int]*ebpf.MapSpec) (err error) {
	if err := s.waiter.open(); err != nil {
		return err
	}
	if s.opt.Timing || s.opt.Socket != "" {
		if s.stats, err = ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME)); err != nil {
			s.out.warn(fmt.Sprintf("the kernel does not time programs: %v", err))
		}
	}
	sess := s.coll.Maps[ir.MapSession]
	if sess == nil || int(sess.ValueSize()) < s.p.SessionSize() {
		return errorf(codeCompiled, nil, "the object has no session block of %d bytes", s.p.SessionSize())
	}
	if s.blk, err = mapBlock(sess); err != nil {
		return err
	}
	if s.kernel, err = newKernelGlobals(s.p, s.coll.Maps, s.blk, cpus); err != nil {
		return errorf(codeCompiled, err, "%v", err)
	}
	s.kernel.canon = s.texts.canonical
	if s.unwind, err = newUnwinder(s); err != nil {
		return err
	}
	s.texts.users.seen = s.unwind.mapping
	again := inner == nil
	if again {
		inner = map[int]*ebpf.MapSpec{}
		for i := range s.p.Globals {
			if g := &s.p.Globals[i]; g.Generations && g.Share != ir.LoaderOnly && s.coll.Maps[ir.MapArray(i)] != nil {
				inner[i] = nil
			}
		}
	}
	if len(inner) > 0 {
		// The kernel's wait at an exchange of maps is not for sleepable programs.
		for _, h := range s.p.Handlers {
			if h.Kernel && h.Sleepable {
				return errorf(codeCompiled, nil, "handler %s may sleep, which does not go with arrays that are cleared by timer probes", h.Name)
			}
		}
	}
	s.gens = map[int]*generations{}
	arrays := map[int]arrayShape{}
	for g, in := range inner {
		if again {
			s.gens[g], arrays[g], err = oldGenerations(s.kernel, g, s.coll.Maps[ir.MapArray(g)], s.rights)
			if err != nil {
				return err
			}
			continue
		}
		arrays[g] = arrayShape{Type: in.Type, KeySize: in.KeySize, ValueSize: in.ValueSize, MaxEntries: in.MaxEntries, Flags: in.Flags}
	}
	if err := s.rights.setUp(setUp{Arrays: arrays}); err != nil {
		return err
	}
	for g := range inner {
		if again {
			break
		}
		if s.gens[g], err = newGenerations(s.kernel, g, s.coll.Maps[ir.MapArray(g)], s.rights); err != nil {
			return err
		}
	}
	s.findWrites()
	s.regions = make([]*ebpf.Program, len(s.p.Regions))
	for i, h := range s.p.Regions {
		if h != nil {
			s.regions[i] = s.coll.Programs[h.Name]
		}
	}
	if !again {
		if err := s.openCounters(); err != nil {
			return err
		}
	}
	if m := s.coll.Maps[ir.MapRing]; m != nil {
		if s.ring, err = openRing(m.FD(), int(m.MaxEntries())); err != nil {
			return err
		}
	}
	return nil
}

// The kernel frees each program in a work item of its own, and up to 1024 of these
// run at a time on a CPU (WQ_DFL_ACTIVE). Each wants the mutex of the JIT's memory
// (pack_mutex in kernel/bpf/core.c), whose holder may wait for another item of the
// same queue (__purge_vmap_area_lazy): when all 1024 wait for the mutex, that item
// never runs. Seen on Linux 6.18: no program could be loaded or freed any more
// until the machine was rebooted. A process that is killed releases all of its
// programs at once, so there must never be as many.
const (
	// spareFiles is how many files are open beside programs, maps and links: the ends of
	// the broker's socket, output, symbols.
	spareFiles = 64

	maxPrograms  = 900
	releaseBatch = 100
)

// unload gives maps and programs back, some programs at a time.
func (s *session) unload() {
	if s.coll == nil {
		return
	}
	// The maps first: an array of programs would release all of its own at
	// once if it were the last to have them.
	for _, m := range s.coll.Maps {
		m.Close()
	}
	list := slices.Collect(maps.Values(s.programs))
	for i, p := range list {
		p.Close()
		if (i+1)%releaseBatch == 0 && i+1 < len(list) {
			// What was released is freed after a grace period. An error
			// means only that nothing was waited for.
			_ = s.waiter.grace()
			time.Sleep(2 * time.Millisecond)
		}
	}
}

// preserveElems keeps events in a map when the process that put them there ends
// (BPF_F_PRESERVE_ELEMS).
const preserveElems = 1 << 11

// fitMaps sizes the maps for this host and this run. It returns the templates of
// the inner maps of arrays with generations.
func (s *session) fitMaps(spec *ebpf.CollectionSpec, cpus int) map[int]*ebpf.MapSpec {
	if m := spec.Maps[ir.MapScratch]; m != nil {
		m.MaxEntries = uint32(cpus * ir.SlotsPerCPU)
	}
	if m := spec.Maps[ir.MapRing]; m != nil {
		m.MaxEntries = s.opt.ringBytes()
	}
	for i := range s.p.Counters {
		if m := spec.Maps[ir.MapCounter(i)]; m != nil {
			m.MaxEntries = uint32(cpus)
			if s.opt.Pin != "" {
				m.Flags |= preserveElems
			}
		}
	}
	inner := map[int]*ebpf.MapSpec{}
	for i := range s.p.Globals {
		g := &s.p.Globals[i]
		m := spec.Maps[ir.MapArray(i)]
		if m == nil || !g.IsArray() || g.Share == ir.LoaderOnly {
			continue
		}
		if !g.Generations {
			m.MaxEntries = uint32(max(g.MaxEntries, 1))
			continue
		}
		if m.InnerMap == nil {
			continue // newGenerations says so
		}
		m.InnerMap.MaxEntries = uint32(max(g.MaxEntries, 1))
		// The first inner map is made like all later ones.
		for _, kv := range m.Contents {
			if name, ok := kv.Value.(string); ok {
				delete(spec.Maps, name)
			}
		}
		m.Contents = nil
		inner[i] = m.InnerMap
	}
	return inner
}

// choose finds for each probe the carriers that this host has.
func (s *session) choose(spec *ebpf.CollectionSpec) ([]plan, error) {
	var plans []plan
	var missing []string
	found := map[int]bool{} // sites of which there is a place
	for i := range s.p.Probes {
		p := &s.p.Probes[i]
		if len(p.Attach) == 0 || p.Attach[0].Carrier == "loader" {
			continue
		}
		pl := plan{probe: i}
		for _, a := range attachments(s.p, p, spec) {
			c := carriers[a.Carrier]
			if c == nil {
				pl.why = append(pl.why, fmt.Sprintf("%s: this loader does not know the carrier", a.Carrier))
				continue
			}
			ps := spec.Programs[s.p.Handlers[a.Handler].Name]
			if ps == nil {
				return nil, errorf(codeCompiled, nil, "the object has no program %s for probe %s", s.p.Handlers[a.Handler].Name, p.Point)
			}
			trial := *ps
			err := permitted(a, ps)
			if err == nil {
				err = c.check(s, a, &trial)
			}
			if err != nil {
				err = carrierCapability[a.Carrier].explainRights(err, effective)
				pl.why = append(pl.why, fmt.Sprintf("%s: %v", a.Carrier, err))
				continue
			}
			if len(pl.rows) == 0 {
				ps.AttachType = trial.AttachType
			}
			pl.rows = append(pl.rows, row{probe: i, a: a, c: c, as: trial.AttachType})
		}
		needed := true
		if p.Hidden && len(plans) > 0 && plans[len(plans)-1].probe == i-1 {
			ret := ""
			if rows := plans[len(plans)-1].rows; len(rows) > 0 {
				ret = rows[0].a.Carrier
			}
			pl.hidden, pl.all = true, pl.rows
			needed = pl.withReturn(ret)
		}
		if len(pl.rows) == 0 && needed && !p.Optional && !p.Member {
			missing = append(missing, describe(p.Point, pl.why)...)
		}
		found[p.Site] = found[p.Site] || len(pl.rows) > 0
		plans = append(plans, pl)
	}
	missing = append(missing, s.noMember(plans, found)...)
	if len(missing) > 0 {
		return nil, &Error{Code: codeAttach, Lines: append([]string{"these probes cannot be attached on this host:"}, missing...)}
	}
	return plans, nil
}

// noMember tells of the patterns of whose places this host has none, with the
// reason of the first place.
func (s *session) noMember(plans []plan, found map[int]bool) []string {
	var out []string
	told := map[int]bool{}
	for _, pl := range plans {
		p := &s.p.Probes[pl.probe]
		if !p.Member || p.Optional || found[p.Site] || told[p.Site] || len(pl.rows) > 0 {
			continue
		}
		told[p.Site] = true
		more := -1
		for _, other := range plans {
			if o := &s.p.Probes[other.probe]; o.Member && o.Site == p.Site {
				more++
			}
		}
		out = append(out, describe(p.Point, pl.why)...)
		if more > 0 {
			out = append(out, fmt.Sprintf("    and %d more of %s", more, p.Script))
		}
	}
	return out
}

func describe(point string, why []string) []string {
	lines := []string{"  " + point}
	for _, w := range why {
		lines = append(lines, "    "+strings.ReplaceAll(w, "\n", "\n    "))
	}
	return lines
}

// programKey names the program that a row needs: the handler's, or a copy that is
// loaded for another kind of link, for one target, or for one point.
func (s *session) programKey(r *row) string {
	h := s.p.Handlers[r.a.Handler]
	key := h.Name
	if ps := s.spec.Programs[h.Name]; ps != nil && ps.AttachType != r.as {
		key = fmt.Sprintf("%s as %d", h.Name, r.as)
	}
	if len(h.Points) > 0 {
		switch r.a.Carrier {
		case "fentry", "fexit", "tp_btf", "lsm":
			key += " at " + r.a.Module + ":" + r.a.Target
		}
		if fixedPoint(h, r.a) {
			key += fmt.Sprintf(" point %#x", r.a.Cookie)
		}
	}
	return key
}

// fixedPoint reports whether the handler's program cannot ask which point it runs
// for, so that each point has a copy which knows.
func fixedPoint(h *ir.Handler, a *ir.Attach) bool {
	return h.UsesPoint && (a.Carrier == "raw_tp" || a.Carrier == "tp_btf") && theHost.checkRawTPCookie() != nil
}

// program gives the program for a row, and loads it if it is none of those loaded
// at the start.
func (s *session) program(r *row) (*ebpf.Program, error) {
	key := s.programKey(r)
	if p := s.programs[key]; p != nil {
		return p, nil
	}
	h := s.p.Handlers[r.a.Handler]
	name := h.Name
	ps := s.spec.Programs[name]
	if ps == nil {
		return nil, errorf(codeCompiled, nil, "the object has no program %s", name)
	}
	if len(s.programs) >= maxPrograms {
		return nil, errorf(codeKernel, nil, "no more than %d programs are loaded at a time", maxPrograms)
	}
	ps = ps.Copy()
	ps.AttachType = r.as
	if len(h.Points) > 0 && r.a.Target != "" {
		ps.AttachTo = r.a.Target
	}
	if fixedPoint(h, r.a) {
		for i := range ps.Instructions {
			if in := &ps.Instructions[i]; in.IsBuiltinCall() && in.Constant == int64(asm.FnGetAttachCookie) {
				fixed := asm.Mov.Imm32(asm.R0, int32(r.a.Cookie))
				fixed.Metadata = in.Metadata
				*in = fixed
			}
		}
	}
	one := &ebpf.CollectionSpec{
		Maps: s.spec.Copy().Maps, Programs: map[string]*ebpf.ProgramSpec{name: ps}, Types: s.spec.Types, ByteOrder: s.spec.ByteOrder,
	}
	coll, err := ebpf.NewCollectionWithOptions(one, ebpf.CollectionOptions{
		MapReplacements: s.coll.Maps, Cache: s.cache, Programs: ebpf.ProgramOptions{KernelTypes: s.kernelBTF},
	})
	if err != nil {
		return nil, s.explain(one, err)
	}
	p := coll.DetachProgram(name)
	coll.Close()
	s.programs[key] = p
	return p, nil
}

// openTrace opens the event behind bpf_trace_printk if a program calls it. The kernel
// does so itself when such a program is loaded, but newer ones in their own time, and
// what is printed until then is lost. Without tracefs nobody reads the text.
func openTrace(spec *ebpf.CollectionSpec) {
	for _, prog := range spec.Programs {
		for i := range prog.Instructions {
			if in := &prog.Instructions[i]; in.IsBuiltinCall() && in.Constant == int64(asm.FnTracePrintk) {
				_ = os.WriteFile("/sys/kernel/tracing/events/bpf_trace/bpf_trace_printk/enable", []byte("1"), 0)
				return
			}
		}
	}
}

// explain turns a refusal of the kernel into the script's terms.
func (s *session) explain(spec *ebpf.CollectionSpec, err error) error {
	if e := s.explainMap(err); e != nil {
		return e
	}
	var ve *ebpf.VerifierError
	if !errors.As(err, &ve) {
		if !refusedUnseen(err) {
			return errorf(codeKernel, err, "loading into the kernel: %v", err)
		}
		ve = &ebpf.VerifierError{Cause: err}
	}
	probe, name := -1, ""
	for _, list := range [][]*ir.Handler{s.p.Handlers, s.p.Regions} {
		for _, h := range list {
			// The name stands in cilium's message: "program NAME: load program: …".
			if h != nil && strings.Contains(err.Error(), "program "+h.Name+":") && len(h.Name) > len(name) {
				probe, name = h.Probe, h.Name
			}
		}
	}
	where, line := "", scriptLine(ve.Log)
	if probe >= 0 && probe < len(s.p.Probes) {
		p := &s.p.Probes[probe]
		where = " of probe " + p.Point
		if at := s.place(p.Site); at != "" && line == "" {
			line = at + ": the probe" // the log does not tell, or there is none
		}
	}
	if helper := lacksHelper(reason(ve)); helper != "" {
		e := errorf(codeKernel, err, "this kernel does not let programs call %s, which the handler%s does%s", helper, where, helperNeeds[helper])
		if line != "" {
			e.Lines = append(e.Lines, "  at: "+line)
		}
		return e
	}
	e := errorf(codeRefusedProgram, err, "the kernel refuses the handler%s; this is a defect of stapkit, please report it with the output of -vv", where)
	if line != "" {
		e.Lines = append(e.Lines, "  it stopped at: "+line)
	}
	e.Lines = append(e.Lines, "  its reason: "+reason(ve))
	if s.opt.Verbose > 1 {
		e.Lines = append(e.Lines, ve.Log...)
	}
	return e
}

// helperNeeds tells what kernels want before they let a helper be called that others of
// the same version have.
var helperNeeds = map[string]string{
	"bpf_probe_write_user": " (it writes the memory of processes): the kernel is locked down, see /sys/kernel/security/lockdown",
	"bpf_override_return":  ": it was built without CONFIG_BPF_KPROBE_OVERRIDE",
}

// lacksHelper is the helper that a verifier's reason says the program may not call, ""
// for another reason.
func lacksHelper(reason string) string {
	for _, begin := range []string{"program of this type cannot use helper ", "unknown func "} {
		if rest, ok := strings.CutPrefix(reason, begin); ok {
			name, _, _ := strings.Cut(rest, "#")
			return name
		}
	}
	return ""
}

// refusedUnseen reports whether a program was refused by the verifier without a log:
// cilium/ebpf keeps it back where the kernel names its own defect (EFAULT) or wants ever
// more room for it, and there is none of a program that is too long to be looked at.
func refusedUnseen(err error) bool {
	return strings.Contains(err.Error(), "load program: ") &&
		(errors.Is(err, unix.EFAULT) || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.E2BIG) || errors.Is(err, unix.EINVAL))
}

// explainMap tells of an array that the kernel does not make; nil for other errors.
func (s *session) explainMap(err error) error {
	if !errors.Is(err, unix.ENOMEM) && !errors.Is(err, unix.E2BIG) {
		return nil
	}
	for i := range s.p.Globals {
		g := &s.p.Globals[i]
		if !g.IsArray() || !strings.Contains(err.Error(), "map "+ir.MapArray(i)+":") {
			continue
		}
		_, key := ir.KeyLayout(g.Keys)
		_, value := g.ValueLayout()
		at := s.place(g.Site)
		if at != "" {
			at = " (" + at + ")"
		}
		per, size := "", int64(g.MaxEntries)*int64(key+value+hashElement)
		if g.Value.Kind == ir.Stat {
			per = " and more for each CPU"
		}
		return errorf(codeKernel, err, "the kernel has no memory for the array '%s'%s of %d elements, about %d MiB%s: "+
			"declare it smaller, as %s[1000], or compile with a lower -D MAXMAPENTRIES", g.Name, at, g.MaxEntries, size>>20, per, g.Name)
	}
	return nil
}

// place is a site as file:line:col, "" for none.
func (s *session) place(site int) string {
	if site <= 0 || site >= len(s.p.Sites) {
		return ""
	}
	at := &s.p.Sites[site]
	return fmt.Sprintf("%s:%d:%d", at.File, at.Line, at.Col)
}

// scriptLine finds the last line of the script in a verifier's log. The log shows
// line information as "; text", newer kernels with " @ file:line" behind it.
func scriptLine(log []string) string {
	for _, l := range slices.Backward(log) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(l), "; "); ok {
			if src, place, ok := cutLast(text, " @ "); ok {
				return place + ": " + strings.TrimSpace(src)
			}
			return strings.TrimSpace(text)
		}
	}
	return ""
}

func cutLast(s, sep string) (before, after string, ok bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// reason is the sentence with which the verifier refused, without registers.
func reason(ve *ebpf.VerifierError) string {
	for _, l := range slices.Backward(ve.Log) {
		l = strings.TrimSpace(l)
		if l == "" || strings.HasPrefix(l, "processed ") || strings.HasPrefix(l, "max_states") || strings.HasPrefix(l, ";") ||
			strings.HasPrefix(l, "verification time") || strings.HasPrefix(l, "stack depth") {
			continue
		}
		return l
	}
	if ve.Cause != nil {
		return ve.Cause.Error()
	}
	return "none given"
}

// findWrites notes for each loader handler the arrays with generations that it
// changes, in functions that it calls too.
func (s *session) findWrites() {
	if len(s.gens) == 0 {
		return
	}
	s.writes = make([]map[int]bool, len(s.p.Handlers))
	s.bodies = map[int]*ir.Region{}
	find := func(x ir.Expr) {
		if r, ok := x.(*ir.Region); ok {
			s.bodies[r.ID] = r
		}
	}
	for _, h := range s.p.Handlers {
		h.Walk(nil, find)
	}
	for _, f := range s.p.Funcs {
		ir.Walk(f.Body, nil, find)
	}
	for i, h := range s.p.Handlers {
		if h.Kernel {
			continue
		}
		w := map[int]bool{}
		seen := map[int]bool{}
		var visit func(list []ir.Stmt)
		note := func(l *ir.LValue) {
			if l.Global && s.gens[l.ID] != nil {
				w[l.ID] = true
			}
		}
		stmt := func(st ir.Stmt) {
			if d, ok := st.(*ir.Delete); ok {
				note(&d.L)
			}
		}
		expr := func(x ir.Expr) {
			switch x := x.(type) {
			case *ir.Update:
				note(&x.L)
			case *ir.StatAdd:
				note(&x.L)
			case *ir.Call:
				for _, f := range x.Chain {
					if !seen[f] {
						seen[f] = true
						visit(s.p.Funcs[f].Body)
					}
				}
			}
		}
		visit = func(list []ir.Stmt) { ir.Walk(list, stmt, expr) }
		h.Walk(stmt, expr)
		s.writes[i] = w
	}
}

// ownsRegion reports whether a region touches an array that the running handler
// has taken over: then it is done in place.
func (s *session) ownsRegion(id int) bool {
	if len(s.gens) == 0 {
		return false
	}
	own := false
	check := func(g int) {
		if gen := s.gens[g]; gen != nil && gen.owned {
			own = true
		}
	}
	stmt := func(st ir.Stmt) {
		switch st := st.(type) {
		case *ir.Delete:
			if st.L.Global {
				check(st.L.ID)
			}
		case *ir.Foreach:
			check(st.G)
		}
	}
	expr := func(x ir.Expr) {
		switch x := x.(type) {
		case *ir.Update:
			if x.L.Global {
				check(x.L.ID)
			}
		case *ir.StatAdd:
			if x.L.Global {
				check(x.L.ID)
			}
		case *ir.StatGet:
			if x.L.Global {
				check(x.L.ID)
			}
		case *ir.HistGet:
			if x.L.Global {
				check(x.L.ID)
			}
		case *ir.IndexGet:
			check(x.G)
		case *ir.IndexIn:
			check(x.G)
		}
	}
	// The region's program has no body here, but the place it was cut out of has.
	if r := s.bodies[id]; r != nil {
		ir.Walk(r.Body, stmt, expr)
		if r.Result != nil {
			ir.WalkExpr(r.Result, stmt, expr)
		}
	}
	return own
}
