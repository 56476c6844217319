package regex

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// Tagged is an automaton that tells where the match of a string is, and where its
// sub-expressions are. It is what Pike's machine does with a list of threads, made
// deterministic: a state stands for the threads that are alive, in the order of
// their priority, and for which of their positions are the same; the positions
// themselves are in registers.
//
// Start in state 0 at position 0. In each position, with state s:
//
//   - if Accept[s] (at the end of the string Final[s]) is not nil, there is a match:
//     its places are the sources there, until another one takes its place;
//   - at the end of the string, stop; else take the step Next[s][Class[byte]]: set
//     all registers at once to its sources, and go to its state.
type Tagged struct {
	Class   [256]uint8 // class of each byte
	Classes int
	Next    [][]Step  // state, class
	Accept  [][]uint8 // by state: the source of each place
	Final   [][]uint8
	Regs    int // registers
	Places  int // start and end of the match and of each sub-expression
}

// Step is a move to another state.
type Step struct {
	To   int     // Dead: no further match can begin or grow
	From []uint8 // the source of each register of the state; nil: they stay
}

// Dead is the state that no step leaves.
const Dead = -1

// The sources beside the registers are Regs, which is the position now, and Regs+1,
// which is none at all (-1).

// Find runs the automaton: see Regexp.Find.
func (t *Tagged) Find(s string) []int {
	regs, before := make([]int, t.Regs+2), make([]int, t.Regs+2)
	regs[t.Regs+1] = -1
	var loc []int
	for pos, st := 0, 0; ; pos++ {
		regs[t.Regs] = pos
		accept := t.Accept[st]
		if pos == len(s) {
			accept = t.Final[st]
		}
		if accept != nil {
			loc = loc[:0]
			for _, from := range accept {
				loc = append(loc, regs[from])
			}
		}
		if pos == len(s) {
			return loc
		}
		step := &t.Next[st][t.Class[s[pos]]]
		if step.To == Dead {
			return loc
		}
		if step.From != nil {
			copy(before, regs)
			for i, from := range step.From {
				regs[i] = before[from]
			}
		}
		st = step.To
	}
}

// tag is the kind of a state that notes a place.
const tag = group + 1

// tagger makes a Tagged. Its automaton prefers what comes first in out.
type tagger struct {
	nfa
	groups int // sub-expressions that are told
	tags   map[int32]int
}

// fragment is a piece of automaton: its first state, given the next one.
type fragment struct {
	build    func(next int32) int32
	nullable bool
}

// fragment gives the automaton of a node. Its shape is that of Go's package
// regexp, since it decides which sub-expressions take part.
func (a *tagger) fragment(n *node) fragment {
	switch n.kind {
	case set:
		return fragment{build: func(next int32) int32 {
			return a.add(nfaState{kind: set, set: &n.set, out: [2]int32{next, -1}})
		}}
	case begin, end:
		return fragment{nullable: true, build: func(next int32) int32 {
			return a.add(nfaState{kind: n.kind, out: [2]int32{next, -1}})
		}}
	case group:
		sub := a.fragment(n.subs[0])
		if n.num > a.groups {
			return sub
		}
		return fragment{nullable: sub.nullable, build: func(next int32) int32 {
			return a.mark(2*n.num, sub.build(a.mark(2*n.num+1, next)))
		}}
	case cat:
		out := fragment{nullable: true, build: func(next int32) int32 { return next }}
		for _, sub := range n.subs {
			out = sequence(out, a.fragment(sub))
		}
		return out
	case alt:
		subs := make([]fragment, len(n.subs))
		nullable := false
		for i, sub := range n.subs {
			subs[i] = a.fragment(sub)
			nullable = nullable || subs[i].nullable
		}
		return fragment{nullable: nullable, build: func(next int32) int32 {
			first := subs[len(subs)-1].build(next)
			for _, sub := range slices.Backward(subs[:len(subs)-1]) {
				first = a.move(sub.build(next), first)
			}
			return first
		}}
	case repeat:
		return a.repeat(n)
	}
	return fragment{nullable: true, build: func(next int32) int32 { return next }}
}

func sequence(x, y fragment) fragment {
	return fragment{nullable: x.nullable && y.nullable, build: func(next int32) int32 { return x.build(y.build(next)) }}
}

// mark notes the place of a tag.
func (a *tagger) mark(n int, next int32) int32 {
	s := a.add(nfaState{kind: tag, out: [2]int32{next, -1}})
	a.tags[s] = n
	return s
}

// The plain repetitions.
const (
	star  = '*'
	plus  = '+'
	quest = '?'
)

// plain returns which of the plain repetitions n is, or 0.
func (n *node) plain() byte {
	switch {
	case n.kind != repeat:
	case n.lo == 0 && n.hi < 0:
		return star
	case n.lo == 1 && n.hi < 0:
		return plus
	case n.lo == 0 && n.hi == 1:
		return quest
	}
	return 0
}

func (a *tagger) repeat(n *node) fragment {
	if op := n.plain(); op != 0 {
		// A repetition of a repetition is one.
		sub := n.subs[0]
		for inner := sub.plain(); inner != 0; inner = sub.plain() {
			if inner != op {
				op = star
			}
			sub = sub.subs[0]
		}
		return a.plain(op, a.fragment(sub))
	}
	sub := a.fragment(n.subs[0])
	if n.hi == 0 {
		return fragment{nullable: true, build: func(next int32) int32 { return next }}
	}
	var out fragment
	switch {
	case n.hi < 0: // at least two
		out = a.plain(plus, sub)
		for range n.lo - 1 {
			out = sequence(sub, out)
		}
		return out
	case n.hi == n.lo:
		out = sub
		for range n.lo - 1 {
			out = sequence(sub, out)
		}
		return out
	}
	out = a.plain(quest, sub)
	for range n.hi - n.lo - 1 {
		out = a.plain(quest, sequence(sub, out))
	}
	for range n.lo {
		out = sequence(sub, out)
	}
	return out
}

// plain gives a plain repetition. Where what is repeated may be empty, x* is (x+)?,
// so that the empty pass has its place in the order.
func (a *tagger) plain(op byte, sub fragment) fragment {
	switch {
	case op == quest:
		return fragment{nullable: true, build: func(next int32) int32 { return a.move(sub.build(next), next) }}
	case op == plus:
		return fragment{nullable: sub.nullable, build: func(next int32) int32 {
			loop := a.move(-1, next)
			a.states[loop].out[0] = sub.build(loop)
			return a.states[loop].out[0]
		}}
	case sub.nullable:
		return a.plain(quest, a.plain(plus, sub))
	}
	return fragment{nullable: true, build: func(next int32) int32 {
		loop := a.move(-1, next)
		a.states[loop].out[0] = sub.build(loop)
		return loop
	}}
}

// The sources of places while an automaton is made; registers are numbers from 0.
const (
	srcNow  = -1
	srcNone = -2
)

// thread is a state of the automaton with the source of each place.
type thread struct {
	state int32
	from  []int
}

// threads is the automaton's closure: what the threads of list reach without a byte,
// in the order of priority, and the one that accepts. Threads that begin later than
// one that accepts are left out.
func (a *tagger) threads(list []thread, atBegin, atEnd bool) (out []thread, accepts *thread) {
	seen := make([]bool, len(a.states))
	var visit func(state int32, from []int)
	visit = func(state int32, from []int) {
		if state < 0 || seen[state] {
			return
		}
		seen[state] = true
		s := &a.states[state]
		switch s.kind {
		case set:
			out = append(out, thread{state, from})
		case begin:
			if atBegin {
				visit(s.out[0], from)
			}
		case end:
			if atEnd {
				visit(s.out[0], from)
			}
		case tag:
			from = slices.Clone(from)
			from[a.tags[state]] = srcNow
			visit(s.out[0], from)
		default:
			if state == accept {
				out = append(out, thread{state, from})
				return
			}
			visit(s.out[0], from)
			visit(s.out[1], from)
		}
	}
	for _, t := range list {
		visit(t.state, t.from)
	}
	for i := range out {
		if out[i].state == accept {
			accepts = &out[i]
			rest := slices.DeleteFunc(slices.Clone(out[i+1:]), func(t thread) bool { return t.from[0] != accepts.from[0] })
			return append(slices.Clip(out[:i]), rest...), accepts
		}
	}
	return out, nil
}

// maxRegs bounds the registers of a Tagged: sources are bytes.
const maxRegs = 250

// Tagged makes the automaton that tells the match and its first groups
// sub-expressions. It fails if that needs more than maxStates states.
func (r *Regexp) Tagged(groups, maxStates int) (*Tagged, error) {
	groups = min(groups, r.groups)
	a := &tagger{groups: groups, tags: map[int32]int{}}
	a.move() // accept
	first := a.mark(0, a.fragment(r.root).build(a.mark(1, accept)))
	t := &Tagged{Places: 2 * (groups + 1)}
	var d DFA
	sample := a.classes(&d)
	t.Class, t.Classes = d.Class, d.Classes

	none := make([]int, t.Places)
	for i := range none {
		none[i] = srcNone
	}
	// A state: threads before their closure, and whether a match may still begin.
	type state struct {
		list    []thread
		matched bool
	}
	var states []state
	index := map[string]int{}
	id := func(s state) (int, error) {
		var key []byte
		for _, th := range s.list {
			key = binary.AppendVarint(key, int64(th.state))
			for _, f := range th.from {
				key = binary.AppendVarint(key, int64(f))
			}
		}
		key = append(key, '.')
		if s.matched {
			key = append(key, '!')
		}
		if n, ok := index[string(key)]; ok {
			return n, nil
		}
		if len(states) >= maxStates {
			return 0, fmt.Errorf("its sub-expressions need more than %d states", maxStates)
		}
		index[string(key)] = len(states)
		states = append(states, s)
		return len(states) - 1, nil
	}
	if _, err := id(state{}); err != nil {
		return nil, err
	}
	clear(index) // at the beginning alone ^ holds
	type step struct {
		to   int
		from []int
	}
	var steps [][]step
	var accepts, finals [][]int
	for n := 0; n < len(states); n++ {
		s := states[n]
		list := s.list
		if !s.matched {
			list = append(slices.Clip(list), thread{first, none})
		}
		_, final := a.threads(list, n == 0, true)
		alive, found := a.threads(list, n == 0, false)
		accepts, finals = append(accepts, sources(found)), append(finals, sources(final))
		row := make([]step, t.Classes)
		for c := range row {
			next := state{matched: s.matched || found != nil}
			var from []int
			reached := map[int32]bool{}
			for _, th := range alive {
				st := &a.states[th.state]
				if !st.set.has(sample[c]) || reached[st.out[0]] {
					continue
				}
				reached[st.out[0]] = true
				to := thread{st.out[0], make([]int, t.Places)}
				for i, f := range th.from {
					if to.from[i] = f; f == srcNone {
						continue
					}
					reg := slices.Index(from, f)
					if reg < 0 {
						reg = len(from)
						from = append(from, f)
					}
					to.from[i] = reg
				}
				next.list = append(next.list, to)
			}
			if row[c] = (step{Dead, nil}); len(next.list) == 0 && next.matched {
				continue
			}
			to, err := id(next)
			if err != nil {
				return nil, err
			}
			row[c] = step{to, from}
			t.Regs = max(t.Regs, len(from))
		}
		steps = append(steps, row)
	}
	if t.Regs > maxRegs {
		return nil, fmt.Errorf("its sub-expressions need more than %d places", maxRegs)
	}
	bytes := func(list []int) []uint8 {
		if list == nil {
			return nil
		}
		out := make([]uint8, len(list))
		for i, f := range list {
			switch f {
			case srcNow:
				out[i] = uint8(t.Regs)
			case srcNone:
				out[i] = uint8(t.Regs + 1)
			default:
				out[i] = uint8(f)
			}
		}
		return out
	}
	for n := range states {
		row := make([]Step, t.Classes)
		for c, s := range steps[n] {
			row[c] = Step{To: s.to}
			for i, f := range s.from {
				if f != i {
					row[c].From = bytes(s.from)
					break
				}
			}
		}
		t.Next = append(t.Next, row)
		t.Accept, t.Final = append(t.Accept, bytes(accepts[n])), append(t.Final, bytes(finals[n]))
	}
	return t, nil
}

func sources(t *thread) []int {
	if t == nil {
		return nil
	}
	return t.from
}
