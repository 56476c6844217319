//go:build linux

package loader

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"stapkit/ir"
)

// A row is one way to attach a probe, with the program for it.
type row struct {
	probe int
	a     *ir.Attach
	c     *carrier
	prog  *ebpf.Program
}

// plan is what is to be attached: for each probe the alternatives that this host
// might have, best first.
type plan struct {
	probe int
	rows  []row
	why   []string // why others were left out
}

// load reads the object, chooses carriers, and loads what is needed into the
// kernel.
func (s *session) load(object []byte) error {
	if err := theHost.checkBPF(); err != nil {
		return err
	}
	if len(object) == 0 {
		return errorf(codeCompiled, nil, "the program has kernel handlers, but there is no object with them")
	}
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(object))
	if err != nil {
		return errorf(codeCompiled, err, "the object cannot be read: %v", err)
	}
	if s.plans, err = s.choose(spec); err != nil {
		return err
	}
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return errorf(codeKernel, err, "the number of CPUs is not known, is /sys mounted? (%v)", err)
	}
	inner := s.fitMaps(spec, cpus)
	s.spec = spec
	s.cache = btf.NewCache()
	needed := map[string]bool{}
	for _, p := range s.plans {
		if len(p.rows) > 0 {
			needed[s.p.Handlers[p.rows[0].a.Handler].Name] = true
			if a := p.rows[0].a; a.Carrier == "dispatch" {
				needed[ir.DispatcherName(a)] = true
			}
		}
	}
	for _, h := range s.p.Regions {
		if h != nil {
			needed[h.Name] = true
		}
	}
	first := spec.Copy()
	for name := range first.Programs {
		if !needed[name] {
			delete(first.Programs, name)
		}
	}
	if s.coll, err = ebpf.NewCollectionWithOptions(first, ebpf.CollectionOptions{Cache: s.cache}); err != nil {
		return s.explain(first, err)
	}
	s.programs = s.coll.Programs
	if s.opt.Timing {
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
	s.gens = map[int]*generations{}
	for g, in := range inner {
		if s.gens[g], err = newGenerations(s.kernel, g, s.coll.Maps[ir.MapArray(g)], in); err != nil {
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
	if m := s.coll.Maps[ir.MapRing]; m != nil {
		if s.ring, err = openRing(m.FD(), int(m.MaxEntries())); err != nil {
			return err
		}
	}
	return nil
}

// fitMaps sizes the maps for this host and this run. It returns the templates of
// the inner maps of arrays with generations.
func (s *session) fitMaps(spec *ebpf.CollectionSpec, cpus int) map[int]*ebpf.MapSpec {
	if m := spec.Maps[ir.MapScratch]; m != nil {
		m.MaxEntries = uint32(cpus * ir.SlotsPerCPU)
	}
	if m := spec.Maps[ir.MapRing]; m != nil {
		m.MaxEntries = s.opt.ringBytes()
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
	for i := range s.p.Probes {
		p := &s.p.Probes[i]
		if len(p.Attach) == 0 || p.Attach[0].Carrier == "loader" {
			continue
		}
		pl := plan{probe: i}
		for j := range p.Attach {
			a := &p.Attach[j]
			c := carriers[a.Carrier]
			if c == nil {
				pl.why = append(pl.why, fmt.Sprintf("%s: this loader does not know the carrier", a.Carrier))
				continue
			}
			ps := spec.Programs[s.p.Handlers[a.Handler].Name]
			if ps == nil {
				return nil, errorf(codeCompiled, nil, "the object has no program %s for probe %s", s.p.Handlers[a.Handler].Name, p.Point)
			}
			if err := c.check(s, a, ps); err != nil {
				pl.why = append(pl.why, fmt.Sprintf("%s: %v", a.Carrier, err))
				continue
			}
			pl.rows = append(pl.rows, row{probe: i, a: a, c: c})
		}
		if len(pl.rows) == 0 && !p.Optional {
			missing = append(missing, describe(p.Point, pl.why)...)
		}
		plans = append(plans, pl)
	}
	if len(missing) > 0 {
		return nil, &Error{Code: codeAttach, Lines: append([]string{"these probes cannot be attached on this host:"}, missing...)}
	}
	return plans, nil
}

func describe(point string, why []string) []string {
	lines := []string{"  " + point}
	for _, w := range why {
		lines = append(lines, "    "+strings.ReplaceAll(w, "\n", "\n    "))
	}
	return lines
}

// fallback loads the program of a further alternative.
func (s *session) fallback(name string) (*ebpf.Program, error) {
	if p := s.programs[name]; p != nil {
		return p, nil
	}
	one := s.spec.Copy()
	for n := range one.Programs {
		if n != name {
			delete(one.Programs, n)
		}
	}
	coll, err := ebpf.NewCollectionWithOptions(one, ebpf.CollectionOptions{MapReplacements: s.coll.Maps, Cache: s.cache})
	if err != nil {
		return nil, s.explain(one, err)
	}
	p := coll.DetachProgram(name)
	coll.Close()
	s.programs[name] = p
	return p, nil
}

// explain turns a refusal of the kernel into the script's terms.
func (s *session) explain(spec *ebpf.CollectionSpec, err error) error {
	var ve *ebpf.VerifierError
	if !errors.As(err, &ve) {
		return errorf(codeKernel, err, "loading into the kernel: %v", err)
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
	where := ""
	if probe >= 0 && probe < len(s.p.Probes) {
		where = " of probe " + s.p.Probes[probe].Point
	}
	e := errorf(codeRefusedProgram, err, "the kernel refuses the handler%s; this is a defect of stapkit, please report it with the output of -vv", where)
	if line := scriptLine(ve.Log); line != "" {
		e.Lines = append(e.Lines, "  it stopped at: "+line)
	}
	e.Lines = append(e.Lines, "  its reason: "+reason(ve))
	if s.opt.Verbose > 1 {
		e.Lines = append(e.Lines, ve.Log...)
	}
	return e
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
	s.p.Regions[id].Walk(
		func(st ir.Stmt) {
			switch st := st.(type) {
			case *ir.Delete:
				if st.L.Global {
					check(st.L.ID)
				}
			case *ir.Foreach:
				check(st.G)
			}
		},
		func(x ir.Expr) {
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
		})
	return own
}
