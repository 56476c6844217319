//go:build linux

package loader

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"stapkit/ir"
	"stapkit/ir/interp"
)

// kernelGlobals is the globals in the kernel's maps while its programs are
// attached. It implements interp.Globals.
type kernelGlobals struct {
	p       *ir.Program
	blk     *block
	cpus    int // possible ones: how many parts a per-CPU element has
	globals []kernelGlobal
	strings scalarMap
	stats   scalarMap
	// canon makes values with the same text the same.
	canon func(interp.Value) interp.Value
	// quiet: no program runs, nothing can be locked or half-written.
	quiet bool
}

// scalarMap is MapStrings or MapStats.
type scalarMap struct {
	fd   int
	offs []int // by global, -1: not there
	size int
	buf  []byte
	used bool
}

// kernelGlobal is one global that the kernel touches.
type kernelGlobal struct {
	g      *ir.Global
	fd     int // of an array; with generations the present one
	key    keyCodec
	off    int // payload in a value
	size   int // of a value
	stride int // of one CPU's part
	parts  int // CPUs, or 1
	keyBuf []byte
	valBuf []byte
	same   map[string][][]byte // with deferred text in keys: those with the same text, by the one that is shown
}

func newKernelGlobals(p *ir.Program, maps map[string]*ebpf.Map, blk *block, cpus int) (*kernelGlobals, error) {
	k := &kernelGlobals{p: p, blk: blk, cpus: cpus, globals: make([]kernelGlobal, len(p.Globals))}
	for i := range p.Globals {
		g := &p.Globals[i]
		kg := &k.globals[i]
		kg.g, kg.fd = g, -1
		if g.Share == ir.LoaderOnly || !g.IsArray() {
			continue
		}
		kg.key = newKeyCodec(g.Keys)
		kg.off, kg.size = g.ValueLayout()
		kg.stride, kg.parts = kg.size, 1
		if g.Value.Kind == ir.Stat {
			kg.stride, kg.parts = (kg.size+7)&^7, cpus
		}
		kg.keyBuf = make([]byte, kg.key.size)
		kg.valBuf = make([]byte, kg.stride*kg.parts)
		m := maps[ir.MapArray(i)]
		if m == nil {
			return nil, fmt.Errorf("the object has no map %s for global %s", ir.MapArray(i), g.Name)
		}
		if g.Generations {
			continue // the generation sets fd
		}
		if err := kg.check(m); err != nil {
			return nil, err
		}
		kg.fd = m.FD()
	}
	k.strings.offs, k.strings.size = p.StringsLayout()
	k.stats.offs, k.stats.size = p.StatsLayout()
	for _, s := range []struct {
		sm    *scalarMap
		name  string
		parts int
	}{{&k.strings, ir.MapStrings, 1}, {&k.stats, ir.MapStats, cpus}} {
		if s.sm.size == 0 {
			continue
		}
		m := maps[s.name]
		if m == nil {
			return nil, fmt.Errorf("the object has no map %s", s.name)
		}
		if int(m.ValueSize()) < s.sm.size {
			return nil, fmt.Errorf("map %s: values of %d bytes, not %d", s.name, m.ValueSize(), s.sm.size)
		}
		s.sm.fd, s.sm.used = m.FD(), true
		s.sm.buf = make([]byte, (int(m.ValueSize())+7)&^7*s.parts)
	}
	return k, nil
}

// check compares a map with the layout that the program asks for: a buffer that
// is too small would let the kernel write behind it.
func (kg *kernelGlobal) check(m *ebpf.Map) error {
	if int(m.KeySize()) != kg.key.size || int(m.ValueSize()) != kg.size {
		return fmt.Errorf("global %s: keys of %d and values of %d bytes in the object, %d and %d in the program",
			kg.g.Name, m.KeySize(), m.ValueSize(), kg.key.size, kg.size)
	}
	want := ebpf.Hash
	if kg.g.Value.Kind == ir.Stat {
		want = ebpf.PerCPUHash
	}
	if m.Type() != want {
		return fmt.Errorf("global %s: a map of type %s, not %s", kg.g.Name, m.Type(), want)
	}
	return nil
}

func (k *kernelGlobals) scalarWord(g int) int { return k.p.ScalarOff(k.p.Globals[g].Slot) }

// errWrite refuses what would not be atomic. The compiler makes a region of it.
func (k *kernelGlobals) errWrite(g int, what string) error {
	return fmt.Errorf("%s of global %s in a loader handler outside a region: a defect of stapkit", what, k.p.Globals[g].Name)
}

// loaderOwner is what a lock word holds while the loader has it: no CPU's number.
const loaderOwner = 0xffffffff

// withLock runs f under the lock of a global, if it has one. It is for single
// short accesses only: while it runs, kernel handlers that need the lock are
// skipped after some tries.
func (k *kernelGlobals) withLock(g *ir.Global, f func() error) error {
	if g.Lock < 0 || k.quiet {
		return f()
	}
	w := k.blk.word(ir.LockOff(g.Lock))
	for end := time.Now().Add(time.Second); !w.CompareAndSwap(0, loaderOwner); {
		if time.Now().After(end) {
			k.blk.counter(ir.SkipLock).Add(1)
			return interp.ErrSkip
		}
		runtime.Gosched()
	}
	defer w.Store(0)
	return f()
}

// Get implements interp.Globals.
func (k *kernelGlobals) Get(g int, keys []interp.Value) (v interp.Value, ok bool, err error) {
	kg := &k.globals[g]
	t := kg.g.Value
	if len(keys) == 0 {
		if t.Kind == ir.Int {
			return interp.IntValue(int64(k.blk.word(k.scalarWord(g)).Load())), true, nil
		}
		err = k.withLock(kg.g, func() error { return k.readStrings() })
		if err != nil {
			return interp.Zero(t), false, err
		}
		return decodeValue(t, k.strings.buf[k.strings.offs[g]:]), true, nil
	}
	same, err := k.spellings(g, keys)
	if err != nil {
		return interp.Zero(t), false, err
	}
	if len(same) > 1 && t.Kind == ir.Int && kg.g.Additive {
		for _, key := range same {
			err := mapLookup(kg.fd, key, kg.valBuf)
			if errors.Is(err, unix.ENOENT) {
				continue
			}
			if err != nil {
				return interp.Zero(t), false, kg.failed("reading", err)
			}
			v.Kind, ok = ir.Int, true
			v.I += decodeValue(t, kg.valBuf[kg.off:]).I
		}
		return v, ok, nil
	}
	if len(same) > 0 {
		copy(kg.keyBuf, same[len(same)-1])
	}
	read := func() error { return mapLookup(kg.fd, kg.keyBuf, kg.valBuf) }
	if t.Kind == ir.Int {
		err = read() // one word: nothing can be half-written
	} else {
		err = k.withLock(kg.g, read)
	}
	if errors.Is(err, unix.ENOENT) {
		return interp.Zero(t), false, nil
	}
	if err != nil {
		return interp.Zero(t), false, kg.failed("reading", err)
	}
	if t.Kind == ir.Stat {
		return interp.Value{}, true, nil
	}
	return decodeValue(t, kg.valBuf[kg.off:]), true, nil
}

func (kg *kernelGlobal) failed(what string, err error) error {
	if errors.Is(err, interp.ErrSkip) {
		return err
	}
	return fmt.Errorf("%s global %s: %w", what, kg.g.Name, err)
}

func (k *kernelGlobals) readStrings() error {
	var key [4]byte
	return mapLookup(k.strings.fd, key[:], k.strings.buf)
}

// Update implements interp.Globals. Scalar numbers can be updated in one step,
// plain elements under a lock that the loader takes itself.
func (k *kernelGlobals) Update(g int, keys []interp.Value, op ir.Op, r interp.Value) (old, stored interp.Value, err error) {
	kg := &k.globals[g]
	t := kg.g.Value
	if len(keys) == 0 && t.Kind == ir.Int {
		w := k.blk.word(k.scalarWord(g))
		err = k.withLock(kg.g, func() error {
			for {
				o := w.Load()
				old = interp.IntValue(int64(o))
				var e *interp.Error
				if stored, e = interp.Apply(t, op, old, r); e != nil {
					return e
				}
				if w.CompareAndSwap(o, uint64(stored.I)) {
					return nil
				}
			}
		})
		return old, stored, err
	}
	if len(keys) == 0 || kg.g.Lock < 0 || t.Kind == ir.Stat || kg.g.Wrap || kg.g.Ordered {
		return old, stored, k.errWrite(g, "update")
	}
	err = k.withLock(kg.g, func() error {
		kg.key.encode(kg.keyBuf, keys)
		switch err := mapLookup(kg.fd, kg.keyBuf, kg.valBuf); {
		case errors.Is(err, unix.ENOENT):
			clear(kg.valBuf)
			old = interp.Zero(t)
		case err != nil:
			return kg.failed("reading", err)
		default:
			old = decodeValue(t, kg.valBuf[kg.off:])
		}
		var e *interp.Error
		if stored, e = interp.Apply(t, op, old, r); e != nil {
			return e
		}
		encodeValue(t, kg.valBuf[kg.off:], stored)
		return kg.put(mapUpdate(kg.fd, kg.keyBuf, kg.valBuf, mapAny))
	})
	return old, stored, err
}

// put turns the result of an update into what the script sees.
func (kg *kernelGlobal) put(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.E2BIG):
		return interp.NewError(ir.ErrArrayFull, int64(kg.g.MaxEntries))
	}
	return kg.failed("writing", err)
}

// StatAdd implements interp.Globals. No system call adds to an aggregate, so it
// is always part of a region.
func (k *kernelGlobals) StatAdd(g int, keys []interp.Value, v int64) error {
	return k.errWrite(g, "<<<")
}

// Stat implements interp.Globals.
func (k *kernelGlobals) Stat(g int, keys []interp.Value) (*interp.Stat, error) {
	kg := &k.globals[g]
	if len(keys) > 0 {
		same, err := k.spellings(g, keys)
		if err != nil {
			return nil, err
		}
		var sum *interp.Stat
		for _, key := range same {
			st, err := k.readStat(kg, func(b []byte) error { return mapLookup(kg.fd, key, b) }, kg.valBuf, kg.stride, kg.off)
			switch {
			case errors.Is(err, unix.ENOENT):
			case err != nil:
				return nil, err
			case sum == nil:
				sum = st
			default:
				sum.Merge(st)
			}
		}
		if same != nil {
			return sum, nil
		}
		st, err := k.readStat(kg, func(b []byte) error { return mapLookup(kg.fd, kg.keyBuf, b) }, kg.valBuf, kg.stride, kg.off)
		if errors.Is(err, unix.ENOENT) {
			return nil, nil
		}
		return st, err
	}
	var key [4]byte
	return k.readStat(kg, func(b []byte) error { return mapLookup(k.stats.fd, key[:], b) },
		k.stats.buf, len(k.stats.buf)/k.cpus, k.stats.offs[g])
}

// spellings encodes keys into keyBuf. Where deferred text is among them, it gives all
// keys of the array that stand for the same text, the newest last; else nil.
func (k *kernelGlobals) spellings(g int, keys []interp.Value) ([][]byte, error) {
	kg := &k.globals[g]
	kg.key.encode(kg.keyBuf, keys)
	if !kg.texts() {
		return nil, nil
	}
	if same := kg.same[string(kg.keyBuf)]; same != nil {
		return same, nil
	}
	// The same text may have been put together in another way.
	first := make([]interp.Value, len(keys))
	for i, v := range keys {
		first[i] = k.canon(v)
	}
	for range 2 {
		kg.key.encode(kg.keyBuf, first)
		if same := kg.same[string(kg.keyBuf)]; same != nil {
			return same, nil
		}
		if _, err := k.Snapshot(g); err != nil {
			return nil, err
		}
	}
	kg.key.encode(kg.keyBuf, keys)
	return nil, nil
}

// texts reports whether keys have deferred text.
func (kg *kernelGlobal) texts() bool {
	return slices.ContainsFunc(kg.g.Keys, func(t ir.Type) bool { return t.Kind == ir.Deferred })
}

// torn is how often a read of an aggregate is tried before it is counted as torn.
const torn = 64

// readStat reads an aggregate until no writer was at it. The sequence word comes
// first, so a copy is whole if the next copy begins with the same even number in
// each CPU's part.
func (k *kernelGlobals) readStat(kg *kernelGlobal, read func([]byte) error, buf []byte, stride, off int) (*interp.Stat, error) {
	l := ir.StatLayoutOf(kg.g.Stat)
	n := len(buf) / stride
	seqs := make([]uint64, n)
	again := make([]byte, len(buf))
	if err := read(buf); err != nil {
		return nil, err
	}
	// A lone count cannot be torn.
	for try := 0; l.Guarded() && !k.quiet; try++ {
		for i := range seqs {
			seqs[i] = native.Uint64(buf[i*stride+off+l.Seq:])
		}
		if err := read(again); err != nil {
			return nil, err
		}
		whole := true
		for i, s := range seqs {
			if s&1 != 0 || native.Uint64(again[i*stride+off+l.Seq:]) != s {
				whole = false
			}
		}
		if whole {
			break
		}
		copy(buf, again)
		if try == torn {
			k.blk.counter(ir.TornRead).Add(1)
			break
		}
		if try > torn/2 {
			time.Sleep(20 * time.Microsecond)
		}
	}
	return mergeStat(&kg.g.Stat, buf, stride, off), nil
}

// mergeStat adds up the parts of all CPUs. A part that is being written at this
// moment counts as it is.
func mergeStat(shape *ir.StatShape, buf []byte, stride, off int) *interp.Stat {
	l := ir.StatLayoutOf(*shape)
	var sum, part interp.Stat
	for at := off; at < len(buf); at += stride {
		b := buf[at : at+l.Size]
		if native.Uint64(b[l.Seq:])&1 != 0 {
			b = slices.Clone(b)
			native.PutUint64(b[l.Seq:], 0)
		}
		part.Load(shape, b)
		sum.Merge(&part)
	}
	return &sum
}

// Delete implements interp.Globals.
func (k *kernelGlobals) Delete(g int, keys []interp.Value) error {
	kg := &k.globals[g]
	if len(keys) == 0 {
		if kg.g.Value.Kind == ir.Int {
			return k.withLock(kg.g, func() error {
				k.blk.word(k.scalarWord(g)).Store(0)
				return nil
			})
		}
		return k.errWrite(g, "delete")
	}
	if kg.g.Lock < 0 || kg.g.Wrap {
		return k.errWrite(g, "delete")
	}
	same, err := k.spellings(g, keys)
	if err != nil {
		return err
	}
	if same == nil {
		same = [][]byte{kg.keyBuf}
	}
	return k.withLock(kg.g, func() error {
		for _, key := range same {
			if err := mapDelete(kg.fd, key); err != nil && !errors.Is(err, unix.ENOENT) {
				return kg.failed("deleting from", err)
			}
		}
		return nil
	})
}

// Clear implements interp.Globals.
func (k *kernelGlobals) Clear(g int) error { return k.errWrite(g, "delete") }

// Snapshot implements interp.Globals.
func (k *kernelGlobals) Snapshot(g int) ([]interp.Element, error) {
	return k.list(&k.globals[g], true)
}

// list reads all elements of an array, in creation order where that is kept.
// Live says that programs may be writing, so that aggregates must be read twice.
func (k *kernelGlobals) list(kg *kernelGlobal, live bool) ([]interp.Element, error) {
	keys, vals, n, err := readAll(kg.fd, kg.key.size, kg.stride*kg.parts, kg.g.MaxEntries)
	if err != nil {
		return nil, kg.failed("reading", err)
	}
	width := kg.stride * kg.parts
	order := kg.creation(vals, n)
	list := make([]interp.Element, n)
	values := make([]interp.Value, n*len(kg.g.Keys))
	stat := kg.g.Value.Kind == ir.Stat
	twice := live && stat && ir.StatLayoutOf(kg.g.Stat).Guarded()
	for i := range list {
		at := i
		if order != nil {
			at = order[i]
		}
		key, val := keys[at*kg.key.size:(at+1)*kg.key.size], vals[at*width:(at+1)*width]
		e := &list[i]
		w := len(kg.g.Keys)
		e.Keys, values = values[:w:w], values[w:]
		kg.key.decode(e.Keys, key)
		switch {
		case !stat:
			e.Val = decodeValue(kg.g.Value, val[kg.off:])
		case twice:
			st, err := k.readStat(kg, func(b []byte) error { return mapLookup(kg.fd, key, b) }, val, kg.stride, kg.off)
			if err != nil {
				if !errors.Is(err, unix.ENOENT) {
					return nil, kg.failed("reading", err)
				}
				st = mergeStat(&kg.g.Stat, val, kg.stride, kg.off) // deleted meanwhile
			}
			e.Stat = st
		default:
			e.Stat = mergeStat(&kg.g.Stat, val, kg.stride, kg.off)
		}
	}
	return k.merge(kg, list), nil
}

// creation gives the places of n elements in the order in which they were created, nil if
// that is not kept.
func (kg *kernelGlobal) creation(vals []byte, n int) []int {
	if kg.off == 0 {
		return nil
	}
	type numbered struct {
		seq uint64
		at  int
	}
	list := make([]numbered, n)
	width := kg.stride * kg.parts
	for i := range list {
		// Of a per-CPU element only the creator's part has the number.
		seq := uint64(0)
		for at := i * width; at < (i+1)*width; at += kg.stride {
			seq = max(seq, native.Uint64(vals[at:]))
		}
		list[i] = numbered{seq, i}
	}
	slices.SortFunc(list, func(a, b numbered) int {
		return cmp.Or(cmp.Compare(a.seq, b.seq), cmp.Compare(a.at, b.at))
	})
	order := make([]int, n)
	for i := range order {
		order[i] = list[i].at
	}
	return order
}

// merge makes one element of those whose keys stand for the same text: to the
// script they are the same. Numbers are added up if the kernel's handlers only
// add to the array; otherwise the newest stays.
func (k *kernelGlobals) merge(kg *kernelGlobal, list []interp.Element) []interp.Element {
	if !kg.texts() {
		return list
	}
	kg.same = map[string][][]byte{}
	index := map[string]int{}
	out := list[:0]
	key := make([]byte, kg.key.size)
	for _, e := range list {
		own := make([]byte, len(key))
		kg.key.encode(own, e.Keys)
		for i := range e.Keys {
			e.Keys[i] = k.canon(e.Keys[i])
		}
		kg.key.encode(key, e.Keys)
		kg.same[string(key)] = append(kg.same[string(key)], own)
		at, ok := index[string(key)]
		switch {
		case !ok:
			index[string(key)] = len(out)
			out = append(out, e)
		case kg.g.Value.Kind == ir.Stat:
			out[at].Stat.Merge(e.Stat)
		case kg.g.Value.Kind == ir.Int && kg.g.Additive:
			out[at].Val.I += e.Val.I
		default:
			out[at].Val = e.Val
		}
	}
	return out
}

// readAll reads a whole hash map in batches.
func readAll(fd, keySize, valSize, hint int) (keys, vals []byte, n int, err error) {
	batch := min(max(hint, 64), 4096)
	cursor := [2][]byte{make([]byte, max(keySize, 8)), make([]byte, max(keySize, 8))}
	var in []byte
	for {
		keys = slices.Grow(keys[:n*keySize], batch*keySize)
		vals = slices.Grow(vals[:n*valSize], batch*valSize)
		got, err := mapLookupBatch(fd, in, cursor[0],
			keys[n*keySize:(n+batch)*keySize], vals[n*valSize:(n+batch)*valSize], batch)
		if errors.Is(err, unix.ENOSPC) {
			// One bucket holds more than fits.
			batch *= 2
			continue
		}
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return nil, nil, 0, err
		}
		n += got
		if err != nil {
			return keys[:n*keySize], vals[:n*valSize], n, nil
		}
		in = cursor[0]
		cursor[0], cursor[1] = cursor[1], cursor[0]
	}
}
