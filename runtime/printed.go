//go:build linux

package loader

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"stapkit/feed"
	"stapkit/format"
	"stapkit/ir"
	"stapkit/ir/interp"
)

// printed is what one run of a handler prints, until it is written: as text, or with
// --format json with the values that it was made of.
type printed struct {
	text   []byte
	values []feed.Value
	hists  []feed.Hist
	tape   []taped // with --record, in place of text
}

// origin is where and when something was printed.
type origin struct {
	probe int // -1: by no probe
	cpu   int // -1: not known
	time  int64
}

// print appends what format f makes of the values.
func (s *session) print(p *printed, f int, vals []interp.Value) error {
	if s.stacks != nil {
		s.stacks.printed(vals)
	}
	if s.tape != nil {
		p.tape = append(p.tape, taped{Format: f, Values: s.tape.values(vals)})
		return nil
	}
	var err error
	if p.text, err = s.appendFormat(p.text, f, vals); err != nil {
		return err
	}
	if s.out.json {
		for _, v := range vals {
			p.values = append(p.values, s.fed(v))
		}
	}
	return nil
}

// printHist appends a histogram of a global.
func (s *session) printHist(p *printed, g int, counts []int64) error {
	if g < 0 || g >= len(s.p.Globals) {
		return fmt.Errorf("no global %d", g)
	}
	h, ok := s.p.Histogram(g)
	if !ok || len(counts) > h.Buckets() {
		return fmt.Errorf("global %s has no histogram of %d buckets", s.p.Globals[g].Name, len(counts))
	}
	if s.tape != nil {
		p.tape = append(p.tape, taped{Hist: true, Format: g, Counts: counts})
		return nil
	}
	p.text = h.AppendText(p.text, counts)
	if s.out.json {
		hist := fedHist(h, counts)
		hist.Global = s.p.Globals[g].Name
		p.hists = append(p.hists, *hist)
	}
	return nil
}

// put writes what was printed.
func (s *session) put(p *printed, from origin) error {
	defer func() { *p = printed{text: p.text[:0]} }()
	if s.tape != nil {
		for i := range p.tape {
			if err := s.tape.add(&p.tape[i]); err != nil {
				return err
			}
		}
		return nil
	}
	if len(p.text) == 0 {
		return nil
	}
	if !s.out.json {
		s.out.write(p.text)
		return nil
	}
	m := feed.Print{Type: feed.TypePrint, Time: from.time, Text: string(p.text), Values: p.values, Hists: p.hists}
	if from.cpu >= 0 {
		m.CPU = &from.cpu
	}
	if from.probe >= 0 {
		m.Probe = s.p.Probes[from.probe].Point
	}
	return s.out.writeJSON(&m)
}

// writeJSON writes a message as a line.
func (o *output) writeJSON(m any) error {
	b, err := feed.Append(nil, m)
	if err == nil {
		o.write(b)
	}
	return err
}

// wall is a time of the monotonic clock, in which records of the kernel are stamped, as
// one of the wall clock.
func (s *session) wall(mono uint64) int64 {
	return int64(mono) + int64(s.blk.word(ir.SessOffRealtime).Load())
}

// fed is a value for programs.
func (s *session) fed(v interp.Value) feed.Value {
	switch v.Kind {
	case ir.Int:
		return feed.Value{Number: v.I}
	case ir.Deferred:
		return feed.Value{IsText: true, Text: s.texts.text(v)}
	}
	return feed.Value{IsText: true, Text: v.S}
}

func fedKind(t ir.Type) string {
	switch t.Kind {
	case ir.Int:
		return feed.Long
	case ir.Stat:
		return feed.Stats
	}
	return feed.String
}

// fedHist is a histogram with those of its buckets that hold something.
func fedHist(h format.Hist, counts []int64) *feed.Hist {
	out := &feed.Hist{Kind: "log", Buckets: []feed.Bucket{}}
	_, _, _, linear := h.IsLinear()
	if linear {
		out.Kind = "linear"
	}
	last := h.Buckets() - 1
	for i, n := range counts {
		if n == 0 {
			continue
		}
		b := feed.Bucket{Count: n}
		low, high := h.Range(i)
		if !linear || i > 0 {
			b.Low = &low
		}
		if !linear || i < last {
			b.High = &high
		}
		out.Buckets = append(out.Buckets, b)
	}
	return out
}

func fedStat(shape *ir.StatShape, st *interp.Stat) *feed.Stat {
	if st == nil {
		return &feed.Stat{}
	}
	out := &feed.Stat{Count: st.Count}
	get := func(fn ir.StatFn, has bool) *int64 {
		if !has {
			return nil
		}
		n, err := st.Get(shape, fn)
		if err != nil {
			return nil // of an empty one there is none
		}
		return &n
	}
	out.Sum, out.Avg = get(ir.StatSum, shape.Sum), get(ir.StatAvg, shape.Sum)
	out.Min, out.Max = get(ir.StatMin, shape.Min), get(ir.StatMax, shape.Max)
	if h, ok := shape.Histogram(); ok && st.Hist != nil {
		out.Hist = fedHist(h, st.Hist)
	}
	return out
}

// fedGlobal reads a global of the script.
func (s *session) fedGlobal(i int) (*feed.Global, error) {
	g := &s.p.Globals[i]
	out := &feed.Global{Type: feed.TypeGlobal, Name: g.Name, Kind: fedKind(g.Value), Elements: []feed.Element{}}
	for _, k := range g.Keys {
		out.Keys = append(out.Keys, fedKind(k))
	}
	var from interp.Globals = s.env
	if g.Share == ir.LoaderOnly {
		from = s.machine.Store()
	}
	if !g.IsArray() {
		var e feed.Element
		if g.Value.Kind == ir.Stat {
			st, err := from.Stat(i, nil)
			if err != nil {
				return nil, err
			}
			e.Stat = fedStat(&g.Stat, st)
		} else {
			v, _, err := from.Get(i, nil)
			if err != nil {
				return nil, err
			}
			f := s.fed(v)
			e.Value = &f
		}
		out.Elements = append(out.Elements, e)
		return out, nil
	}
	list, err := from.Snapshot(i)
	if err != nil {
		return nil, err
	}
	for j := range list {
		var e feed.Element
		for _, k := range list[j].Keys {
			e.Keys = append(e.Keys, s.fed(k))
		}
		if g.Value.Kind == ir.Stat {
			e.Stat = fedStat(&g.Stat, list[j].Stat)
		} else {
			v := s.fed(list[j].Val)
			e.Value = &v
		}
		out.Elements = append(out.Elements, e)
	}
	return out, nil
}

// fedProbes are the probes with what is counted of them.
func (s *session) fedProbes() []feed.Probe {
	out := []feed.Probe{}
	seen := map[int]bool{}
	for i := range s.p.Probes {
		p := &s.p.Probes[i]
		if len(p.Attach) == 0 {
			continue
		}
		f := feed.Probe{Point: p.Point, Script: p.Script, Carrier: p.Attach[0].Carrier}
		if p.Site > 0 && p.Site < len(s.p.Sites) {
			site := &s.p.Sites[p.Site]
			f.Place = fmt.Sprintf("%s:%d:%d", site.File, site.Line, site.Col)
		}
		if f.Carrier == "loader" {
			f.Hits, f.Time = s.hits[i].n, uint64(s.hits[i].sum)
		} else {
			n, sum := s.programTime(p, seen)
			f.Hits, f.Time = n, uint64(sum)
		}
		out = append(out, f)
	}
	return out
}

// fedCounters are what is counted about the run.
func (s *session) fedCounters() feed.Counters {
	if s.coll != nil {
		s.countMisses()
	}
	c := feed.Counters{Errors: s.blk.errors().Load(), Output: s.out.total.Load(), Skipped: map[string]uint64{}, Dropped: map[string]uint64{}}
	for _, k := range causes {
		n := s.blk.counter(k.cause).Load()
		if k.skip {
			c.Skipped[k.key] = n
		} else {
			c.Dropped[k.key] = n
		}
	}
	return c
}

// snapshot is the state of the run.
func (s *session) snapshot() (*feed.Snapshot, error) {
	out := &feed.Snapshot{
		Type: feed.TypeSnapshot, Time: clock(unix.CLOCK_REALTIME), Uptime: int64(time.Since(s.began)),
		Globals: []feed.Global{}, Probes: s.fedProbes(), Counters: s.fedCounters(),
	}
	for i := range s.p.Globals {
		if s.p.Globals[i].Library {
			continue
		}
		g, err := s.fedGlobal(i)
		if err != nil {
			return nil, err
		}
		out.Globals = append(out.Globals, *g)
	}
	return out, nil
}
