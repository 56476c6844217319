//go:build linux

package loader

import (
	"errors"
	"fmt"
	"math"

	"golang.org/x/sys/unix"

	"stapkit/ir"
	"stapkit/ir/interp"
)

// unlimited returns the program as the session's store sees it: an array with
// generations, of which the kernel holds only the newest part, may grow beyond
// its limit there, since refusing what has been counted already would lose it.
func unlimited(p *ir.Program) *ir.Program {
	q := *p
	q.Globals = append([]ir.Global(nil), p.Globals...)
	for i := range q.Globals {
		if g := &q.Globals[i]; g.Generations && !g.Wrap {
			g.MaxEntries = math.MaxInt
		}
	}
	return &q
}

// export copies what begin probes stored to the kernel's maps. No program runs
// yet.
func (s *session) export() error {
	k := s.kernel
	for i := range s.p.Globals {
		g := &s.p.Globals[i]
		if g.Share == ir.LoaderOnly {
			continue
		}
		if err := s.exportGlobal(k, i, g); err != nil {
			return fmt.Errorf("global %s: %w", g.Name, err)
		}
	}
	for _, sm := range []*scalarMap{&k.strings, &k.stats} {
		if !sm.used {
			continue
		}
		var key [4]byte
		if err := mapUpdate(sm.fd, key[:], sm.buf, mapAny); err != nil {
			return fmt.Errorf("writing scalars: %w", err)
		}
	}
	return nil
}

func (s *session) exportGlobal(k *kernelGlobals, i int, g *ir.Global) error {
	if g.IsArray() {
		if g.Generations && g.Additive {
			return nil // what the store has stays there
		}
		list, err := s.mem.Snapshot(i)
		if err != nil {
			return err
		}
		kg := &k.globals[i]
		for j := range list {
			switch err := k.store(kg, i, &list[j], mapAny); {
			case errors.Is(err, unix.E2BIG):
				return fmt.Errorf("the kernel's map is full after %d of %d elements", j, len(list))
			case err != nil:
				return kg.failed("writing", err)
			}
		}
		if g.Generations {
			return s.mem.Clear(i)
		}
		return nil
	}
	switch g.Value.Kind {
	case ir.Int:
		v, _, err := s.mem.Get(i, nil)
		if err != nil {
			return err
		}
		k.blk.word(k.scalarWord(i)).Store(uint64(v.I))
	case ir.Stat:
		st, err := s.mem.Stat(i, nil)
		if err != nil {
			return err
		}
		stride := len(k.stats.buf) / k.cpus
		for cpu := range k.cpus {
			part := &interp.Stat{}
			if cpu == 0 {
				part = st
			}
			part.Store(&g.Stat, k.stats.buf[cpu*stride+k.stats.offs[i]:])
		}
	default:
		v, _, err := s.mem.Get(i, nil)
		if err != nil {
			return err
		}
		encodeValue(g.Value, k.strings.buf[k.strings.offs[i]:], v)
	}
	return nil
}

// store writes one element to an array, as one created now.
func (k *kernelGlobals) store(kg *kernelGlobal, g int, e *interp.Element, flags uint64) error {
	kg.key.encode(kg.keyBuf, e.Keys)
	clear(kg.valBuf)
	if kg.g.Value.Kind == ir.Stat {
		for cpu := range kg.parts {
			part := &interp.Stat{}
			if cpu == 0 {
				part = e.Stat
			}
			part.Store(&kg.g.Stat, kg.valBuf[cpu*kg.stride+kg.off:])
		}
	} else {
		encodeValue(kg.g.Value, kg.valBuf[kg.off:], e.Val)
	}
	if kg.g.Ordered {
		n := k.blk.word(k.p.SeqOff(g)).Add(1)
		for at := 0; at < len(kg.valBuf); at += kg.stride {
			native.PutUint64(kg.valBuf[at:], n)
		}
	}
	return mapUpdate(kg.fd, kg.keyBuf, kg.valBuf, flags)
}

// importAll copies the kernel's globals to the store. No program runs any more.
func (s *session) importAll() error {
	k := s.kernel
	for i := range s.p.Globals {
		g := &s.p.Globals[i]
		if g.Share == ir.LoaderOnly {
			continue
		}
		var err error
		switch {
		case g.IsArray():
			err = s.importArray(k, i, g)
		case g.Value.Kind == ir.Stat:
			var st *interp.Stat
			if st, err = k.Stat(i, nil); err == nil {
				err = s.mem.SetStat(i, nil, st)
			}
		default:
			var v interp.Value
			if v, _, err = k.Get(i, nil); err == nil {
				_, _, err = s.mem.Update(i, nil, ir.OpSet, v)
			}
		}
		if err != nil {
			return fmt.Errorf("global %s: %w", g.Name, err)
		}
	}
	return nil
}

func (s *session) importArray(k *kernelGlobals, i int, g *ir.Global) error {
	if !g.Generations || !g.Additive {
		if err := s.mem.Clear(i); err != nil {
			return err
		}
	}
	list, err := k.list(&k.globals[i], false)
	if err != nil {
		return err
	}
	return addElements(s.mem, i, g, list)
}
