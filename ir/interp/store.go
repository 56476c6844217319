package interp

import (
	"encoding/binary"

	"stapkit/ir"
)

// Store keeps globals in memory, with SystemTap's rules: elements in the order
// of their creation, which an update does not change (but a foreach in order does); a full array refuses a
// new element with ErrArrayFull, or, with Wrap, first drops the one created
// longest ago. It implements Globals. It is not safe for concurrent use.
type Store struct {
	globals []storeGlobal
}

type storeGlobal struct {
	g     *ir.Global
	keys  []ir.Type // with widths as the script sees them
	value ir.Type
	val   Value // scalar
	stat  Stat  // scalar aggregate

	// An array: one of the indexes, and the elements in a ring from the
	// oldest (head.next) to the newest (head.prev).
	ints map[int64]*element  // one Int key
	strs map[string]*element // one Str or Deferred key, or several keys encoded
	head element
	n    int
	buf  []byte
	// Memory for elements to come and their keys, and how many more Grow announced.
	slab    []element
	keySlab []Value
	room    int
}

type element struct {
	keys       []Value
	val        Value
	stat       *Stat
	prev, next *element
}

// NewStore returns a store of all globals of p with their initial values.
func NewStore(p *ir.Program) *Store {
	s := &Store{globals: make([]storeGlobal, len(p.Globals))}
	for i := range p.Globals {
		a := &s.globals[i]
		a.g = &p.Globals[i]
		a.value = p.Limits.Limit(a.g.Value)
		for _, t := range a.g.Keys {
			a.keys = append(a.keys, p.Limits.Limit(t))
		}
		a.head.next, a.head.prev = &a.head, &a.head
		a.val = Zero(a.g.Value)
		switch a.g.Value.Kind {
		case ir.Int:
			a.val.I = a.g.InitInt
		case ir.Str:
			a.val.S = cut(a.g.InitStr, a.value.Width)
		}
	}
	return s
}

// Len returns the number of elements of an array.
func (s *Store) Len(g int) int { return s.globals[g].n }

// Grow prepares an array for n elements that will be created soon: without it, each
// takes memory of its own, and the index is built anew as it grows.
func (s *Store) Grow(g, n int) {
	a := &s.globals[g]
	a.room = n
	switch {
	case a.n > 0:
	case len(a.keys) == 1 && a.keys[0].Kind == ir.Int:
		a.ints = make(map[int64]*element, n)
	default:
		a.strs = make(map[string]*element, n)
	}
}

func (a *storeGlobal) encode(keys []Value) []byte {
	b := a.buf[:0]
	for i := range keys {
		if keys[i].Kind == ir.Int {
			b = binary.LittleEndian.AppendUint64(b, uint64(keys[i].I))
			continue
		}
		b = binary.LittleEndian.AppendUint32(b, uint32(len(keys[i].S)))
		b = append(b, keys[i].S...)
	}
	a.buf = b
	return b
}

// key makes keys what the array stores: truncated to its key types. Keys that
// fit, nearly all, are returned as they are.
func (a *storeGlobal) key(keys []Value) []Value {
	for i := range keys {
		t := a.keys[i]
		if t.Kind == ir.Int || t.Kind == ir.Str && len(keys[i].S) < t.Width ||
			t.Kind == ir.Deferred && len(keys[i].S) == t.Width {
			continue
		}
		fitted := make([]Value, len(keys))
		for j := range keys {
			fitted[j] = fit(keys[j], a.keys[j])
			if a.keys[j].Kind == ir.Deferred && fitted[j].S == "" {
				fitted[j].S = string(make([]byte, a.keys[j].Width))
			}
		}
		return fitted
	}
	return keys
}

func (a *storeGlobal) find(keys []Value) *element {
	if len(keys) == 1 {
		if keys[0].Kind == ir.Int {
			return a.ints[keys[0].I]
		}
		return a.strs[keys[0].S]
	}
	return a.strs[string(a.encode(keys))]
}

// create adds an element that is known to be missing.
func (a *storeGlobal) create(keys []Value) (*element, *Error) {
	if limit := a.g.MaxEntries; a.n >= limit {
		if !a.g.Wrap || a.n == 0 {
			return nil, NewError(ir.ErrArrayFull, int64(limit))
		}
		a.remove(a.head.next)
	}
	e := a.element(keys)
	e.val = Zero(a.g.Value)
	if a.g.Value.Kind == ir.Stat {
		e.stat = new(Stat)
	}
	switch {
	case len(keys) == 1 && keys[0].Kind == ir.Int:
		if a.ints == nil {
			a.ints = make(map[int64]*element)
		}
		a.ints[keys[0].I] = e
	default:
		if a.strs == nil {
			a.strs = make(map[string]*element)
		}
		if len(keys) == 1 {
			a.strs[keys[0].S] = e
		} else {
			a.strs[string(a.encode(keys))] = e
		}
	}
	e.prev, e.next = a.head.prev, &a.head
	e.prev.next, a.head.prev = e, e
	a.n++
	return e, nil
}

// slabSize is how many elements share a piece of memory, which lives as long as one of
// them does.
const slabSize = 1024

// element is a new one.
func (a *storeGlobal) element(keys []Value) *element {
	if len(a.slab) == 0 {
		if a.room == 0 {
			return &element{keys: append([]Value(nil), keys...)}
		}
		n := min(a.room, slabSize)
		a.room -= n
		a.slab, a.keySlab = make([]element, n), make([]Value, n*len(keys))
	}
	e, n := &a.slab[0], len(keys)
	e.keys = a.keySlab[:n:n]
	copy(e.keys, keys)
	a.slab, a.keySlab = a.slab[1:], a.keySlab[n:]
	return e
}

func (a *storeGlobal) remove(e *element) {
	switch {
	case len(e.keys) == 1 && e.keys[0].Kind == ir.Int:
		delete(a.ints, e.keys[0].I)
	case len(e.keys) == 1:
		delete(a.strs, e.keys[0].S)
	default:
		delete(a.strs, string(a.encode(e.keys)))
	}
	e.prev.next, e.next.prev = e.next, e.prev
	a.n--
}

// Get implements Globals.
func (s *Store) Get(g int, keys []Value) (Value, bool, error) {
	a := &s.globals[g]
	if len(keys) == 0 {
		return a.val, true, nil
	}
	if e := a.find(a.key(keys)); e != nil {
		return e.val, true, nil
	}
	return Zero(a.g.Value), false, nil
}

// Update implements Globals.
func (s *Store) Update(g int, keys []Value, op ir.Op, r Value) (old, stored Value, err error) {
	o, n, e := s.update(g, keys, op, r)
	if e != nil {
		return Value{}, Value{}, e
	}
	return o, n, nil
}

func (s *Store) update(g int, keys []Value, op ir.Op, r Value) (old, stored Value, err *Error) {
	a := &s.globals[g]
	p, old := &a.val, Value{}
	if len(keys) > 0 {
		keys = a.key(keys)
		e := a.find(keys)
		if e == nil {
			// A failing operation creates nothing.
			if _, err := Apply(a.value, op, Zero(a.g.Value), r); err != nil {
				return Value{}, Value{}, err
			}
			if e, err = a.create(keys); err != nil {
				return Value{}, Value{}, err
			}
		}
		p = &e.val
	}
	old = *p
	if stored, err = Apply(a.value, op, old, r); err != nil {
		return Value{}, Value{}, err
	}
	*p = stored
	return old, stored, nil
}

// aggregate is the global's own, or that of its element, which it makes if need be.
func (a *storeGlobal) aggregate(keys []Value) (*Stat, *Error) {
	if len(keys) == 0 {
		return &a.stat, nil
	}
	keys = a.key(keys)
	e := a.find(keys)
	if e == nil {
		var err *Error
		if e, err = a.create(keys); err != nil {
			return nil, err
		}
	}
	return e.stat, nil
}

// StatAdd implements Globals.
func (s *Store) StatAdd(g int, keys []Value, v int64) error {
	a := &s.globals[g]
	st, err := a.aggregate(keys)
	if err != nil {
		return err
	}
	st.Add(&a.g.Stat, v)
	return nil
}

// Stat implements Globals.
func (s *Store) Stat(g int, keys []Value) (*Stat, error) {
	a := &s.globals[g]
	if len(keys) == 0 {
		return &a.stat, nil
	}
	if e := a.find(a.key(keys)); e != nil {
		return e.stat, nil
	}
	return nil, nil
}

// Delete implements Globals.
func (s *Store) Delete(g int, keys []Value) error {
	a := &s.globals[g]
	if len(keys) == 0 {
		a.val, a.stat = Zero(a.g.Value), Stat{}
		return nil
	}
	if e := a.find(a.key(keys)); e != nil {
		a.remove(e)
	}
	return nil
}

// Clear implements Globals.
func (s *Store) Clear(g int) error {
	a := &s.globals[g]
	a.ints, a.strs, a.n = nil, nil, 0
	a.slab, a.keySlab, a.room = nil, nil, 0
	a.head.next, a.head.prev = &a.head, &a.head
	return nil
}

// Snapshot implements Globals. Aggregates in it are those in the store.
func (s *Store) Snapshot(g int) ([]Element, error) {
	a := &s.globals[g]
	list := make([]Element, 0, a.n)
	for e := a.head.next; e != &a.head; e = e.next {
		list = append(list, Element{Keys: e.keys, Val: e.val, Stat: e.stat})
	}
	return list, nil
}

// reorder brings an array into another order: order lists which of the elements, as
// Snapshot counts them, comes first, second …
func (s *Store) reorder(g int, order []int) {
	a := &s.globals[g]
	list := make([]*element, 0, a.n)
	for e := a.head.next; e != &a.head; e = e.next {
		list = append(list, e)
	}
	last := &a.head
	for _, i := range order {
		last.next, list[i].prev = list[i], last
		last = list[i]
	}
	last.next, a.head.prev = &a.head, last
}

// SetStat replaces an aggregate, creating it.
func (s *Store) SetStat(g int, keys []Value, st *Stat) error {
	dst, err := s.globals[g].aggregate(keys)
	if err != nil {
		return err
	}
	*dst = *st
	dst.Hist = append([]int64(nil), st.Hist...)
	return nil
}
