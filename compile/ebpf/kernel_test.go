package ebpf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	cebpf "github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"

	"stapkit/compile/object"
	"stapkit/diag"
	"stapkit/internal/host"
	"stapkit/ir"
	"stapkit/ir/interp"
	"stapkit/ir/irgen"
)

var le = binary.LittleEndian

// machine is a program loaded into the kernel.
type machine struct {
	t      testing.TB
	p      *ir.Program
	coll   *cebpf.Collection
	ring   *ringbuf.Reader
	env    *interp.Mem // collects what was printed
	errors []string
	rep    *Report
	chunks map[uint32][]byte
	raw    int // records received
}

// needKernel skips a test where programs cannot be loaded.
func needKernel(t testing.TB) {
	t.Helper()
	host.NeedBPF(t)
}

// generate makes the object of p, or fails.
func generate(t testing.TB, p *ir.Program) (*object.Spec, *Report) {
	t.Helper()
	spec, rep, diags := Generate(p, Options{})
	if spec == nil {
		t.Fatalf("not generated: %v\n%s", diags, dump(p))
	}
	return spec, rep
}

func dump(p *ir.Program) string {
	var b bytes.Buffer
	ir.Dump(&b, p)
	return b.String()
}

// load loads p's programs and sets its globals to their initial values.
func load(t testing.TB, p *ir.Program) *machine {
	t.Helper()
	m, err := tryLoad(t, p)
	if err != nil {
		t.Fatalf("%v\n%s", err, dump(p))
	}
	return m
}

func tryLoad(t testing.TB, p *ir.Program) (*machine, error) {
	t.Helper()
	needKernel(t)
	// On one CPU, so that aggregates have one part, as in the interpreter.
	runtime.LockOSThread()
	if err := oneCPU(); err != nil {
		t.Fatal(err)
	}
	out, rep, diags := Generate(p, Options{})
	if out == nil {
		return nil, &refused{diags}
	}
	elf, err := object.Write(out)
	if err != nil {
		return nil, err
	}
	spec, err := cebpf.LoadCollectionSpecFromReader(bytes.NewReader(elf))
	if err != nil {
		return nil, err
	}
	if m := spec.Maps[ir.MapScratch]; m != nil {
		m.MaxEntries = ir.SlotsPerCPU * uint32(cebpf.MustPossibleCPU())
	}
	// A test run has no cookie: each point gets a program that knows.
	for _, h := range p.Handlers {
		if !h.UsesPoint {
			continue
		}
		for i := range h.Points {
			one := spec.Programs[h.Name].Copy()
			for j := range one.Instructions {
				if in := &one.Instructions[j]; in.IsBuiltinCall() && in.Constant == int64(asm.FnGetAttachCookie) {
					fixed := asm.Mov.Imm32(asm.R0, int32(ir.PointCookie(i, h.Points[i].Probe)))
					fixed.Metadata = in.Metadata
					*in = fixed
				}
			}
			spec.Programs[pointName(h, i)] = one
		}
		delete(spec.Programs, h.Name)
	}
	coll, err := cebpf.NewCollectionWithOptions(spec, cebpf.CollectionOptions{
		Programs: cebpf.ProgramOptions{LogSizeStart: 1 << 24},
	})
	if err != nil {
		var ve *cebpf.VerifierError
		if errors.As(err, &ve) {
			log := ve.Log
			if n := 150; len(log) > n {
				log = log[len(log)-n:]
			}
			return nil, fmt.Errorf("the verifier refuses: %w\n%s", err, strings.Join(log, "\n"))
		}
		return nil, err
	}
	m := &machine{t: t, p: p, coll: coll, env: interp.NewMem(p), rep: rep}
	t.Cleanup(m.close)
	if r := coll.Maps[ir.MapRing]; r != nil {
		if m.ring, err = ringbuf.NewReader(r); err != nil {
			return nil, err
		}
	}
	m.start()
	return m, nil
}

// oneCPU keeps the thread on the first of the processors that it may use: which these
// are is for the caller to say (taskset).
func oneCPU() error {
	var may, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &may); err != nil {
		return err
	}
	for i := 0; ; i++ {
		if may.IsSet(i) {
			one.Set(i)
			return unix.SchedSetaffinity(0, &one)
		}
	}
}

// pointName names the program of a handler's point.
func pointName(h *ir.Handler, point int) string {
	if h.UsesPoint {
		return fmt.Sprintf("%s@%d", h.Name, point)
	}
	return h.Name
}

type refused struct{ diags []diag.Diagnostic }

func (r *refused) Error() string { return fmt.Sprintf("not generated: %v", r.diags) }

// unsupported reports whether the program asks only for what kernel handlers are
// known not to do.
func (r *refused) unsupported() bool {
	for _, d := range r.diags {
		if d.Code != eUnsupported {
			return false
		}
	}
	return true
}

var closed int

func (m *machine) close() {
	if m.ring != nil {
		m.ring.Close()
	}
	m.coll.Close()
	// Linux 6.18 frees programs on a work queue, each under one mutex, whose
	// owner can wait for the same queue: with a thousand programs in it, the
	// kernel never loads a program again. So do not outrun it.
	time.Sleep(5 * time.Millisecond)
	if closed++; closed%50 == 0 {
		time.Sleep(500 * time.Millisecond)
	}
}

// start sets the session to running and the globals to their initial values.
func (m *machine) start() {
	p := m.p
	b := make([]byte, p.SessionSize())
	le.PutUint64(b[ir.SessOffState:], uint64(ir.SessRunning))
	le.PutUint64(b[ir.SessOffMaxErrors:], 1<<40)
	le.PutUint64(b[ir.SessOffTarget:], 4711)
	le.PutUint64(b[ir.SessOffHZ:], 250)
	for i := range p.Globals {
		if g := &p.Globals[i]; !g.IsArray() && g.Value.Kind == ir.Int {
			le.PutUint64(b[p.ScalarOff(g.Slot):], uint64(g.InitInt))
		}
	}
	m.put(ir.MapSession, b)
	if offs, size := p.StringsLayout(); size > 0 {
		b := make([]byte, size)
		for i := range p.Globals {
			if g := &p.Globals[i]; offs[i] >= 0 && g.Value.Kind == ir.Str {
				copy(b[offs[i]:offs[i]+p.Limits.Limit(g.Value).Width-1], g.InitStr)
			}
		}
		m.put(ir.MapStrings, b)
	}
}

func (m *machine) put(name string, b []byte) {
	m.t.Helper()
	if err := m.coll.Maps[name].Update(uint32(0), b, cebpf.UpdateAny); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) value(name string) []byte {
	m.t.Helper()
	b, err := m.coll.Maps[name].LookupBytes(uint32(0))
	if err != nil {
		m.t.Fatal(err)
	}
	return b
}

func (m *machine) session(off int) int64 { return int64(le.Uint64(m.value(ir.MapSession)[off:])) }

// run runs handler h once with the words as context and takes its output.
func (m *machine) run(h int, args ...int64) { m.runAt(h, 0, args...) }

func (m *machine) runAt(h, point int, args ...int64) {
	m.t.Helper()
	ctx := make([]byte, 8*max(len(args), 6))
	for i, a := range args {
		le.PutUint64(ctx[8*i:], uint64(a))
	}
	prog := m.coll.Programs[pointName(m.p.Handlers[h], point)]
	errs := len(m.errors)
	if _, err := prog.Run(&cebpf.RunOptions{Context: ctx}); err != nil {
		m.t.Fatalf("run: %v", err)
	}
	m.drain()
	if len(m.errors) == errs {
		m.errors = append(m.errors, "")
	}
}

// region runs a region with its buffer.
func (m *machine) region(id int, buf []byte) uint32 {
	m.t.Helper()
	ret, err := m.coll.Programs[m.p.Regions[id].Name].Run(&cebpf.RunOptions{Context: buf, ContextOut: buf})
	if err != nil {
		m.t.Fatalf("run: %v", err)
	}
	return ret
}

// drain reads the records that are there.
func (m *machine) drain() {
	m.t.Helper()
	if m.ring == nil {
		return
	}
	m.ring.SetDeadline(time.Unix(1, 0))
	for {
		rec, err := m.ring.Read()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
		if err != nil {
			m.t.Fatal(err)
		}
		m.record(rec.RawSample)
	}
}

func (m *machine) record(b []byte) {
	m.t.Helper()
	m.raw++
	n := le.Uint32(b[4:])
	if int(n) > len(b) || n < ir.RecHeader {
		m.t.Fatalf("record of %d bytes says %d", len(b), n)
	}
	items := b[ir.RecHeader:n]
	if le.Uint16(b) == ir.RecChunk {
		inv := le.Uint32(b[20:])
		if m.chunks == nil {
			m.chunks = map[uint32][]byte{}
		}
		m.chunks[inv] = append(m.chunks[inv], items...)
		if le.Uint16(b[26:]) == 0 {
			return
		}
		items = m.chunks[inv]
		delete(m.chunks, inv)
	}
	for len(items) > 0 {
		words := int(le.Uint16(items[2:]))
		if words == 0 || 8*words > len(items) {
			m.t.Fatalf("item of %d words in %d bytes: % x", words, len(items), items)
		}
		m.item(le.Uint16(items), int(le.Uint32(items[4:])), items[8:8*words])
		items = items[8*words:]
	}
}

func (m *machine) item(op uint16, aux int, b []byte) {
	m.t.Helper()
	take := func(t ir.Type) interp.Value {
		if t.Kind == ir.Int {
			v := int64(le.Uint64(b))
			b = b[8:]
			return interp.IntValue(v)
		}
		n, words := int(le.Uint16(b)), int(le.Uint16(b[2:]))
		data := b[8 : 8*words]
		b = b[8*words:]
		if t.Kind == ir.Deferred {
			return interp.DeferredValue(ir.Text(n), string(data))
		}
		if n == ir.StrToNUL {
			if n = bytes.IndexByte(data, 0); n < 0 {
				n = len(data)
			}
		}
		return interp.StrValue(string(data[:n]))
	}
	switch op {
	case ir.ItemPrint:
		var vs []interp.Value
		for _, t := range m.p.Formats[aux].RecordArgs() {
			vs = append(vs, take(t))
		}
		if err := m.env.Print(aux, vs); err != nil {
			m.t.Fatal(err)
		}
	case ir.ItemWarn:
		m.env.Warn(take(ir.TStr(1)).S)
	case ir.ItemSystem:
		m.env.System(take(ir.TStr(1)).S)
	case ir.ItemExit:
		m.env.Exit()
	case ir.ItemHist:
		g := &m.p.Globals[aux]
		s := &interp.Stat{Count: 1}
		for i := range g.Stat.Buckets() {
			s.Hist = append(s.Hist, int64(le.Uint64(b[8*i:])))
		}
		m.env.PrintHist(aux, s)
	case ir.ItemError:
		code, arg, detail := ir.ErrCode(le.Uint64(b)), int64(le.Uint64(b[8:])), ""
		if b = b[16:]; len(b) > 0 {
			detail = take(ir.TStr(1)).S
		}
		m.errors = append(m.errors, irgen.ErrorLine(code, arg, aux, detail))
	default:
		m.t.Fatalf("item %d", op)
	}
}

// store reads all globals.
func (m *machine) store() *interp.Store {
	m.t.Helper()
	p := m.p
	s := interp.NewStore(p)
	strs, strSize := p.StringsLayout()
	stats, statSize := p.StatsLayout()
	sess := m.value(ir.MapSession)
	var text []byte
	if strSize > 0 {
		text = m.value(ir.MapStrings)
	}
	var percpu [][]byte
	if statSize > 0 {
		if err := m.coll.Maps[ir.MapStats].Lookup(uint32(0), &percpu); err != nil {
			m.t.Fatal(err)
		}
	}
	for i := range p.Globals {
		g := &p.Globals[i]
		switch {
		case g.Share == ir.LoaderOnly:
		case g.IsArray():
			m.array(s, i, g)
		case g.Value.Kind == ir.Int:
			s.Update(i, nil, ir.OpSet, interp.IntValue(int64(le.Uint64(sess[p.ScalarOff(g.Slot):]))))
		case g.Value.Kind == ir.Stat:
			s.SetStat(i, nil, merged(g, percpu, stats[i]))
		default:
			s.Update(i, nil, ir.OpSet, m.text(text[strs[i]:strs[i]+g.Value.Width], g.Value))
		}
	}
	return s
}

func (m *machine) text(b []byte, t ir.Type) interp.Value {
	m.t.Helper()
	if t.Kind == ir.Deferred {
		return interp.DeferredValue(t.Text, string(b))
	}
	s := string(bytes.TrimRight(b, "\x00"))
	if strings.Contains(s, "\x00") || len(s) >= m.p.Limits.Limit(t).Width {
		m.t.Errorf("storage of %v holds %q: not zero behind the end, or too long", t, b)
	}
	return interp.StrValue(s)
}

func merged(g *ir.Global, percpu [][]byte, off int) *interp.Stat {
	all := &interp.Stat{}
	for _, b := range percpu {
		var s interp.Stat
		if !s.Load(&g.Stat, b[off:]) {
			panic("an aggregate is half-way")
		}
		all.Merge(&s)
	}
	return all
}

type element struct {
	seq  uint64
	keys []interp.Value
	val  interp.Value
	stat *interp.Stat
}

func (m *machine) array(s *interp.Store, i int, g *ir.Global) {
	m.t.Helper()
	mp := m.coll.Maps[ir.MapArray(i)]
	if g.Generations {
		inner, err := innerMap(mp)
		if err != nil {
			m.t.Fatal(err)
		}
		defer inner.Close()
		mp = inner
	}
	offs, _ := ir.KeyLayout(g.Keys)
	off, _ := g.ValueLayout()
	var list []element
	it := mp.Iterate()
	var key, val []byte
	var vals [][]byte
	dst := any(&val)
	if g.Value.Kind == ir.Stat {
		dst = &vals
	}
	for it.Next(&key, dst) {
		var e element
		for j, t := range g.Keys {
			if t.Kind == ir.Int {
				e.keys = append(e.keys, interp.IntValue(int64(le.Uint64(key[offs[j]:]))))
			} else {
				e.keys = append(e.keys, m.text(key[offs[j]:offs[j]+t.Width], t))
			}
		}
		switch g.Value.Kind {
		case ir.Int:
			e.val = interp.IntValue(int64(le.Uint64(val[off:])))
		case ir.Stat:
			e.stat = merged(g, vals, off)
		default:
			e.val = m.text(val[off:off+g.Value.Width], g.Value)
		}
		if g.Ordered {
			if g.Value.Kind == ir.Stat {
				for _, v := range vals {
					e.seq = max(e.seq, le.Uint64(v))
				}
			} else {
				e.seq = le.Uint64(val)
			}
		}
		list = append(list, e)
	}
	if err := it.Err(); err != nil {
		m.t.Fatal(err)
	}
	sortElements(list)
	for _, e := range list {
		if e.stat != nil {
			s.SetStat(i, e.keys, e.stat)
		} else {
			s.Update(i, e.keys, ir.OpSet, e.val)
		}
	}
}

func sortElements(list []element) {
	for i := range list {
		for j := i; j > 0 && list[j].seq < list[j-1].seq; j-- {
			list[j], list[j-1] = list[j-1], list[j]
		}
	}
}

func innerMap(outer *cebpf.Map) (*cebpf.Map, error) {
	var id cebpf.MapID
	if err := outer.Lookup(uint32(0), &id); err != nil {
		return nil, err
	}
	return cebpf.NewMapFromID(id)
}

// outcome is what can be seen of all runs.
func (m *machine) outcome() irgen.Outcome {
	m.t.Helper()
	store := m.store()
	globals, err := irgen.Globals(m.p, func(int) interp.Globals { return store })
	if err != nil {
		m.t.Fatal(err)
	}
	return irgen.Outcome{
		Output: m.env.Out.String(), Errors: m.errors, Warnings: m.env.Warnings, Exited: m.env.Exited, Globals: globals,
	}
}

// counters fails if something was skipped or lost.
func (m *machine) counters() error {
	for c := range ir.NumCauses {
		if n := m.session(ir.SessOffCounters + 8*int(c)); n != 0 {
			return fmt.Errorf("counter %d is %d", c, n)
		}
	}
	return nil
}

// compare runs all handlers of p in both executions and compares what can be seen.
func compare(t testing.TB, p *ir.Program, rounds int, args ...int64) *machine {
	t.Helper()
	if err := ir.Check(p); err != nil {
		t.Fatalf("the program is not well-formed: %v", err)
	}
	m, err := differ(t, p, rounds, args...)
	var r *refused
	if errors.As(err, &r) && r.unsupported() {
		t.Skip(err)
	}
	if m == nil {
		t.Fatalf("%v\n%s", err, dump(p))
	}
	if err != nil {
		t.Errorf("%v\n%s", err, dump(p))
	}
	return m
}

// differ is compare that returns what is wrong. Without a machine the program was
// not loaded.
func differ(t testing.TB, p *ir.Program, rounds int, args ...int64) (*machine, error) {
	t.Helper()
	want, err := irgen.Run(p, rounds, args...)
	if err != nil {
		t.Fatal(err)
	}
	m, err := tryLoad(t, p)
	if err != nil {
		return nil, err
	}
	for range rounds {
		for h := range p.Handlers {
			for point := range max(len(p.Handlers[h].Points), 1) {
				m.runAt(h, point, args...)
				// exit() does not keep the other handlers of the test from running.
				m.resume()
			}
		}
	}
	if err := m.counters(); err != nil {
		return m, err
	}
	if got := m.outcome(); got.String() != want.String() {
		return m, fmt.Errorf("in the kernel:\n%v\nin the interpreter:\n%v", got, want)
	}
	return m, nil
}

func (m *machine) resume() {
	b := m.value(ir.MapSession)
	le.PutUint64(b, uint64(ir.SessRunning))
	m.put(ir.MapSession, b)
}

func FuzzKernelVsInterp(f *testing.F) {
	for seed := range 16 {
		f.Add(uint64(seed))
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		p := seeded(t, seed, fuzzFeatures)
		compare(t, p, 2, 1, -5, 1<<40, int64(seed))
	})
}

// fuzzFeatures is all of the language.
const fuzzFeatures = irgen.All
