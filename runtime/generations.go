//go:build linux

package loader

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"stapkit/ir"
	"stapkit/ir/interp"
)

// generations is an array that loader handlers clear. Kernel programs reach the
// present inner map through a map with one element. A loader handler that writes
// the array swaps in an empty map first. The kernel's update of a map of maps
// returns only after an RCU grace period (maybe_wait_bpf_programs), so no program
// still holds on to the old one, which is then read and thrown away: nothing is
// counted twice or lost.
//
// Reading and emptying a map that programs write to loses updates whatever the
// order of the system calls, since a program adds through a pointer that it
// looked up before.
//
// If kernel handlers only add to the array, what was taken out of old
// generations stays in the session's store, and the array's content is that
// plus the present map. Otherwise what the handler leaves is put back into the
// present map, but for keys that a kernel handler has set meanwhile.
type generations struct {
	g      int
	kg     *kernelGlobal
	outer  *ebpf.Map
	rights rights
	inner  *ebpf.Map
	owned  bool // a handler has swapped and works on the store
}

// newGenerations takes the outer map and puts the first inner map in place. Of which
// kind the inner maps are, rights have been told.
func newGenerations(k *kernelGlobals, g int, outer *ebpf.Map, r rights) (*generations, error) {
	if outer.Type() != ebpf.ArrayOfMaps {
		return nil, fmt.Errorf("global %s: a map of type %s, not ArrayOfMaps", k.p.Globals[g].Name, outer.Type())
	}
	gen := &generations{g: g, kg: &k.globals[g], outer: outer, rights: r}
	if _, err := gen.swap(); err != nil {
		return nil, err
	}
	if err := gen.kg.check(gen.inner); err != nil {
		return nil, err
	}
	return gen, nil
}

// oldGenerations takes over the outer map with the inner map that is in place, and tells
// of which kind that is.
func oldGenerations(k *kernelGlobals, g int, outer *ebpf.Map, r rights) (*generations, arrayShape, error) {
	gen := &generations{g: g, kg: &k.globals[g], outer: outer, rights: r}
	var id uint32
	err := outer.Lookup(uint32(0), &id)
	if err == nil {
		gen.inner, err = ebpf.NewMapFromID(ebpf.MapID(id))
	}
	if err != nil {
		return nil, arrayShape{}, fmt.Errorf("global %s: its present map: %w", gen.kg.g.Name, err)
	}
	in := gen.inner
	gen.kg.fd = in.FD()
	return gen, arrayShape{Type: in.Type(), KeySize: in.KeySize(), ValueSize: in.ValueSize(), MaxEntries: in.MaxEntries(), Flags: in.Flags()}, gen.kg.check(in)
}

// swap puts an empty map in place, waits until no program uses the old one, and
// returns that, nil the first time.
func (gen *generations) swap() (old *ebpf.Map, err error) {
	fresh, err := gen.rights.array(gen.g)
	if err != nil {
		return nil, fmt.Errorf("global %s: a further map: %w", gen.kg.g.Name, err)
	}
	if err := gen.outer.Update(uint32(0), fresh, ebpf.UpdateAny); err != nil {
		fresh.Close()
		return nil, fmt.Errorf("global %s: exchanging maps: %w", gen.kg.g.Name, err)
	}
	old, gen.inner = gen.inner, fresh
	gen.kg.fd = fresh.FD()
	return old, nil
}

func (gen *generations) close() {
	if gen.inner != nil {
		gen.inner.Close()
	}
}

// take swaps and moves the old map's content to the store.
func (gen *generations) take(k *kernelGlobals, mem *interp.Store) error {
	old, err := gen.swap()
	if err != nil {
		return err
	}
	defer old.Close()
	kg := *gen.kg
	kg.fd = old.FD()
	list, err := k.list(&kg, false)
	if err != nil {
		return err
	}
	gen.owned = true
	return addElements(mem, gen.g, gen.kg.g, list)
}

// giveBack ends a handler's ownership.
func (gen *generations) giveBack(k *kernelGlobals, mem *interp.Store) error {
	if !gen.owned {
		return nil
	}
	gen.owned = false
	g := gen.kg.g
	if g.Additive {
		return nil
	}
	list, err := mem.Snapshot(gen.g)
	if err != nil {
		return err
	}
	for i := range list {
		if err := k.store(gen.kg, gen.g, &list[i], mapNoExist); err != nil &&
			!errors.Is(err, unix.EEXIST) && !errors.Is(err, unix.E2BIG) {
			return gen.kg.failed("writing", err)
		}
	}
	return mem.Clear(gen.g)
}

// addElements adds to what the store has. Elements whose keys have the same text
// become one: that is what such an array means to the script.
func addElements(mem *interp.Store, g int, gl *ir.Global, list []interp.Element) error {
	mem.Grow(g, len(list))
	for i := range list {
		e := &list[i]
		if err := addElement(mem, g, gl, e); err != nil {
			return fmt.Errorf("global %s: %w", gl.Name, err)
		}
	}
	return nil
}

func addElement(mem *interp.Store, g int, gl *ir.Global, e *interp.Element) error {
	switch gl.Value.Kind {
	case ir.Stat:
		old, err := mem.Stat(g, e.Keys)
		if err != nil {
			return err
		}
		sum := *e.Stat
		if old != nil {
			sum = interp.Stat{}
			sum.Merge(old)
			sum.Merge(e.Stat)
		}
		return mem.SetStat(g, e.Keys, &sum)
	case ir.Int:
		op := ir.OpSet
		if gl.Additive {
			op = ir.OpAdd
		}
		_, _, err := mem.Update(g, e.Keys, op, e.Val)
		return err
	}
	_, _, err := mem.Update(g, e.Keys, ir.OpSet, e.Val)
	return err
}

// The view of an additive array for a handler that only reads it: the store's
// part plus the present map's, without a swap.

func (gen *generations) get(k *kernelGlobals, mem *interp.Store, keys []interp.Value) (interp.Value, bool, error) {
	v, ok, err := mem.Get(gen.g, keys)
	if err != nil {
		return v, ok, err
	}
	now, found, err := k.Get(gen.g, keys)
	if err != nil || !found {
		return v, ok, err
	}
	if ok && now.Kind == ir.Int {
		now.I += v.I
	}
	return now, true, nil
}

func (gen *generations) stat(k *kernelGlobals, mem *interp.Store, keys []interp.Value) (*interp.Stat, error) {
	had, err := mem.Stat(gen.g, keys)
	if err != nil {
		return nil, err
	}
	now, err := k.Stat(gen.g, keys)
	if err != nil || had == nil {
		return now, err
	}
	var sum interp.Stat
	sum.Merge(had)
	if now != nil {
		sum.Merge(now)
	}
	return &sum, nil
}

// snapshot lists what the array holds, without a swap.
func (gen *generations) snapshot(k *kernelGlobals, p *ir.Program, mem *interp.Store) ([]interp.Element, error) {
	now, err := k.Snapshot(gen.g)
	if err != nil {
		return nil, err
	}
	had, err := mem.Snapshot(gen.g)
	if err != nil || len(had) == 0 {
		return now, err
	}
	if len(now) == 0 {
		return had, nil
	}
	sum := interp.NewStore(p)
	for _, list := range [][]interp.Element{had, now} {
		if err := addElements(sum, gen.g, gen.kg.g, list); err != nil {
			return nil, err
		}
	}
	return sum.Snapshot(gen.g)
}
