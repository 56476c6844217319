// Package interp executes handlers of stapkit/ir. It is how the loader runs
// the handlers that have no probed context, and the oracle that code generated
// for the kernel is compared with.
//
// A handler is turned into closures once and then run any number of times. The
// program must have passed ir.Check: the interpreter trusts it.
package interp

import (
	"errors"
	"fmt"
	"math"
	"sync/atomic"

	"stapkit/format"
	"stapkit/ir"
	"stapkit/ir/regex"
)

// ErrInterrupted is what Run returns after Interrupt.
var ErrInterrupted = errors.New("interrupted")

var errAbort = errors.New("abort")

// maxDepth bounds the nesting of calls, weighted with the depth of the
// functions' trees, so that no script exhausts the stack of the host.
const maxDepth = 100000

// Machine runs the handlers of one program, one at a time.
type Machine struct {
	p        *ir.Program
	env      Env
	store    *Store
	handlers []*code
	funcs    []*code
	regexps  []*regex.Regexp
	tables   []*table
	hists    []format.Hist // of each global
	stop     atomic.Bool
	frames   map[*code][]*frame // free ones

	// State of the invocation.
	h       *ir.Handler
	point   int // index into h.Points
	actions int // left
	depth   int // see maxDepth
	calls   int // active calls of recursive functions
	match   []int
	matched string
}

// code is a compiled handler or function.
type code struct {
	locals    []ir.Type
	values    int // size of frame.v
	depth     int
	recursive bool
	params    int
	cond      intFn
	body      stmtFn
}

// frame holds the variables of one activation. Locals of kind Int are in i, the
// others in s. Arguments and keys are collected in v.
type frame struct {
	m *Machine
	i []int64
	s []string
	v []Value
	// what Return leaves
	ri int64
	rs string
}

// New prepares to run the handlers of p, which must have passed ir.Check. Its
// globals get their initial values. It fails if a regular expression, a table's
// text or a handler that runs in the loader cannot be compiled.
func New(p *ir.Program, env Env) (*Machine, error) {
	m, err := newMachine(p, env)
	if err != nil {
		return nil, err
	}
	for i, h := range p.Handlers {
		if !h.Kernel {
			m.handlers[i] = m.handler(h)
		}
	}
	return m, nil
}

// newMachine is New without the handlers.
func newMachine(p *ir.Program, env Env) (*Machine, error) {
	m := &Machine{
		p: p, env: env, store: NewStore(p),
		handlers: make([]*code, len(p.Handlers)),
		funcs:    make([]*code, len(p.Funcs)),
		hists:    make([]format.Hist, len(p.Globals)),
		frames:   map[*code][]*frame{},
	}
	for i := range p.Regexps {
		re, err := regex.Compile(p.Regexps[i].Pattern)
		if err != nil {
			return nil, fmt.Errorf("regular expression %q: %w", p.Regexps[i].Pattern, err)
		}
		m.regexps = append(m.regexps, re)
	}
	for i := range p.Tables {
		t, err := newTable(&p.Tables[i])
		if err != nil {
			return nil, err
		}
		m.tables = append(m.tables, t)
	}
	for i := range p.Globals {
		m.hists[i], _ = p.Globals[i].Stat.Histogram()
	}
	return m, nil
}

// Store returns the globals that are the loader's alone (ir.LoaderOnly).
func (m *Machine) Store() *Store { return m.store }

// Interrupt makes a running handler end at its next loop iteration; Run then
// returns ErrInterrupted, now and ever after. It may be called from any
// goroutine.
func (m *Machine) Interrupt() { m.stop.Store(true) }

// Run runs handler number h of the program. It returns an *Error when an error
// of the script left the handler, an error that wraps ErrSkip when the
// invocation was skipped, and otherwise what a method of Env returned. A
// handler whose condition is false does nothing.
func (m *Machine) Run(h int) error { return m.RunAt(h, 0) }

// RunAt is Run for the handler's Points[point], if it has any.
func (m *Machine) RunAt(h, point int) error {
	c := m.handlers[h]
	if c == nil { // a kernel handler, run for comparison
		c = m.handler(m.p.Handlers[h])
		m.handlers[h] = c
	}
	m.h = m.p.Handlers[h]
	if m.actions = m.h.MaxActions; m.actions <= 0 {
		m.actions = m.p.Limits.MaxActionInterruptible
	}
	if m.h.Uncounted {
		m.actions = math.MaxInt
	}
	m.depth, m.calls, m.match, m.matched, m.point = 0, 0, nil, "", point
	f := m.enter(c)
	defer m.leave(c, f)
	err := c.run(f)
	switch {
	case err == nil || err.host == errAbort:
		return nil
	case err.host != nil:
		return err.host
	}
	return err
}

func (c *code) run(f *frame) *Error {
	if c.cond != nil {
		v, err := c.cond(f)
		if v == 0 || err != nil {
			return err
		}
	}
	_, err := c.body(f)
	return err
}

// enter returns a frame with cleared locals.
func (m *Machine) enter(c *code) *frame {
	free := m.frames[c]
	if n := len(free); n > 0 {
		f := free[n-1]
		m.frames[c] = free[:n-1]
		clear(f.i)
		clear(f.s)
		f.ri, f.rs = 0, ""
		return f
	}
	n := len(c.locals)
	return &frame{m: m, i: make([]int64, n), s: make([]string, n), v: make([]Value, c.values)}
}

func (m *Machine) leave(c *code, f *frame) { m.frames[c] = append(m.frames[c], f) }

func (m *Machine) handler(h *ir.Handler) *code {
	c := &code{locals: m.limited(h.Locals)}
	k := &compiler{m: m, code: c}
	if h.Cond != nil {
		c.cond = k.intExpr(h.Cond)
	}
	c.body = k.block(h.Body)
	return c
}

// function compiles Funcs[i] when it is first needed. A recursive call finds it
// half done, which is enough to compile the call.
func (m *Machine) function(i int) *code {
	if c := m.funcs[i]; c != nil {
		return c
	}
	fn := m.p.Funcs[i]
	c := &code{locals: m.limited(fn.Locals), params: fn.Params, recursive: fn.Recursive}
	m.funcs[i] = c
	k := &compiler{m: m, code: c, fn: fn}
	c.body = k.block(fn.Body)
	return c
}

// limited returns the types with the widths that the script sees.
func (m *Machine) limited(types []ir.Type) []ir.Type {
	out := make([]ir.Type, len(types))
	for i, t := range types {
		out[i] = m.p.Limits.Limit(t)
	}
	return out
}

// globals returns where global g lives.
func (m *Machine) globals(g int) Globals {
	if m.p.Globals[g].Share == ir.LoaderOnly {
		return m.store
	}
	return m.env
}

// raise makes of an error that came from below an *Error with a place.
func raise(err error, site int) *Error {
	e, ok := err.(*Error)
	if !ok {
		return &Error{Site: site, host: err}
	}
	return e.at(site)
}

// at fills in the place if there is none yet.
func (e *Error) at(site int) *Error {
	if e.Site >= 0 || e.host != nil {
		return e
	}
	c := *e
	c.Site = site
	return &c
}

// fault is a failed memory access.
func fault(code ir.ErrCode, addr uint64, site int) *Error {
	return &Error{Code: code, Arg: int64(addr), Site: site}
}
