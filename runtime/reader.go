//go:build linux

package loader

import (
	"fmt"
	"runtime"
	"time"

	"stapkit/ir"
	"stapkit/ir/interp"
)

// readRing prints what kernel handlers send until stop is closed and the ring is
// empty.
func (s *session) readRing(stop <-chan struct{}) error {
	for {
		busy := s.drain()
		if err := s.out.flush(); err != nil {
			// Nobody reads our output: the run ends, and reports it.
			s.requestExit()
		}
		select {
		case <-stop:
			if !busy {
				return nil
			}
		default:
		}
		if busy {
			// A handler is at this moment writing its record.
			time.Sleep(20 * time.Microsecond)
			continue
		}
		if err := s.ring.wait(100 * time.Millisecond); err != nil {
			s.requestExit()
			return fmt.Errorf("ring buffer: %w", err)
		}
	}
}

// drain prints all records that are complete. It returns true if the next one is
// being written.
func (s *session) drain() (busy bool) {
	s.ringMu.Lock()
	defer s.ringMu.Unlock()
	if s.ring == nil {
		return false
	}
	for {
		data, end, busy, ok := s.ring.next()
		if !ok {
			return busy
		}
		if data != nil {
			s.show(data)
		}
		s.ring.release(end)
	}
}

// ringEnd is the position behind what kernel handlers have sent so far.
func (s *session) ringEnd() uint64 {
	s.ringMu.Lock()
	defer s.ringMu.Unlock()
	if s.ring == nil {
		return 0
	}
	return s.ring.produced()
}

// drainTo prints everything that was sent before the position.
func (s *session) drainTo(pos uint64) {
	for range 1000 {
		s.drain()
		s.ringMu.Lock()
		done := s.ring == nil || s.ring.pos >= pos
		s.ringMu.Unlock()
		if done {
			return
		}
		// A record before pos is being written: its handler is about to end.
		runtime.Gosched()
		time.Sleep(20 * time.Microsecond)
	}
}

// show prints one record.
func (s *session) show(data []byte) {
	r, ok, err := s.join.record(data)
	if err == nil && ok {
		err = s.items(&r)
	}
	if err != nil {
		s.damaged++
		s.out.warn(fmt.Sprintf("a record of a probe cannot be read: %v; this is a defect of stapkit", err))
	}
}

// items executes the items of a record.
func (s *session) items(r *record) (err error) {
	if r.probe >= len(s.p.Probes) {
		return fmt.Errorf("no probe %d", r.probe)
	}
	from := origin{r.probe, r.cpu, s.wall(r.ts)}
	p := &s.fromKernel
	defer func() {
		if perr := s.put(p, from); err == nil {
			err = perr
		}
	}()
	for b := r.items; len(b) > 0; {
		it, rest, err := nextItem(b)
		if err != nil {
			return err
		}
		b = rest
		switch it.op {
		case ir.ItemPrint:
			if int(it.aux) >= len(s.p.Formats) {
				return fmt.Errorf("no format %d", it.aux)
			}
			vals, err := takeArgs(&s.p.Formats[it.aux], it.args)
			if err != nil {
				return err
			}
			if err := s.print(p, int(it.aux), vals); err != nil {
				return err
			}
		case ir.ItemHist:
			if err := s.appendHist(p, int(it.aux), it.args); err != nil {
				return err
			}
		case ir.ItemWarn:
			v, err := interp.TakeArgs(it.args, textType)
			if err != nil {
				return err
			}
			if err := s.put(p, from); err != nil {
				return err
			}
			s.out.warn(v[0].S)
		case ir.ItemError:
			e, err := itemError(it)
			if err != nil {
				return err
			}
			if err := s.put(p, from); err != nil {
				return err
			}
			e.Site = s.siteAt(r.probe, e.Site)
			s.fail(r.probe, e, true)
		case ir.ItemSystem:
			v, err := interp.TakeArgs(it.args, textType)
			if err != nil {
				return err
			}
			if err := s.put(p, from); err != nil {
				return err
			}
			s.commands.add(v[0].S)
		case ir.ItemAsk:
			id := ir.IntrinsicID(it.aux)
			v, err := interp.TakeArgs(it.args, askTypes(id))
			if err != nil {
				return err
			}
			if err := s.put(p, from); err != nil {
				return err
			}
			if err := s.fulfil(id, v); err != nil {
				return err
			}
		case ir.ItemExit:
			s.requestExit()
		default:
			return fmt.Errorf("unknown item %d", it.op)
		}
	}
	return nil
}

// siteAt is the site that a record from the probe means: of handlers that serve
// several probes, records have the first one's.
func (s *session) siteAt(probe, site int) int {
	for _, a := range s.p.Probes[probe].Attach {
		if own, ok := s.p.Handlers[a.Handler].SiteOf(probe, site); ok {
			return own
		}
	}
	return site
}

func itemError(it item) (*interp.Error, error) {
	if len(it.args) < 16 {
		return nil, fmt.Errorf("error of %d bytes", len(it.args))
	}
	e := &interp.Error{
		Code: ir.ErrCode(native.Uint64(it.args)), Arg: int64(native.Uint64(it.args[8:])), Site: int(it.aux),
	}
	if e.Code == ir.ErrUser {
		v, err := interp.TakeArgs(it.args[16:], textType)
		if err != nil {
			return nil, err
		}
		e.Detail = v[0].S
	}
	return e, nil
}

func (s *session) appendHist(p *printed, g int, counts []byte) error {
	if g < len(s.p.Globals) {
		if h, ok := s.p.Globals[g].Stat.Histogram(); ok && len(counts) != 8*h.Buckets() {
			return fmt.Errorf("a histogram of %d bytes", len(counts))
		}
	}
	n := make([]int64, len(counts)/8)
	for i := range n {
		n[i] = int64(native.Uint64(counts[8*i:]))
	}
	return s.printHist(p, g, n)
}
