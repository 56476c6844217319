package regex

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// DFA is an automaton that tells whether a string has a match. Start in state
// 0; for each byte c go to Next[state][Class[c]]; a state with Found ends the
// search with a match; at the end of the string FoundAtEnd decides.
type DFA struct {
	Class      [256]uint8 // class of each byte
	Classes    int
	Next       [][]uint16 // state, class
	Found      []bool
	FoundAtEnd []bool // also set where Found is
}

// Match runs the automaton.
func (d *DFA) Match(s string) bool {
	st := uint16(0)
	for i := 0; i < len(s); i++ {
		if d.Found[st] {
			return true
		}
		st = d.Next[st][d.Class[s[i]]]
	}
	return d.FoundAtEnd[st]
}

// nfa is an automaton with moves on a byte (set), without a byte (out), and
// with the assertions begin and end as conditional empty moves.
type nfa struct {
	states []nfaState
}

type nfaState struct {
	kind kind // set, begin, end, or empty for plain empty moves
	set  *byteSet
	out  [2]int32 // targets; -1: none
}

const accept = 0

func (a *nfa) add(s nfaState) int32 {
	a.states = append(a.states, s)
	return int32(len(a.states) - 1)
}

func (a *nfa) move(to ...int32) int32 {
	s := nfaState{kind: empty, out: [2]int32{-1, -1}}
	copy(s.out[:], to)
	return a.add(s)
}

// build adds n before state next and returns its first state.
func (a *nfa) build(n *node, next int32) int32 {
	switch n.kind {
	case set, begin, end:
		return a.add(nfaState{kind: n.kind, set: &n.set, out: [2]int32{next, -1}})
	case cat:
		for _, sub := range slices.Backward(n.subs) {
			next = a.build(sub, next)
		}
	case alt:
		first := a.build(n.subs[len(n.subs)-1], next)
		for _, sub := range slices.Backward(n.subs[:len(n.subs)-1]) {
			first = a.move(a.build(sub, next), first)
		}
		return first
	case group:
		return a.build(n.subs[0], next)
	case repeat:
		if n.hi < 0 {
			loop := a.move(-1, next)
			a.states[loop].out[0] = a.build(n.subs[0], loop)
			next = loop
		} else {
			after := next
			for range n.hi - n.lo {
				next = a.move(a.build(n.subs[0], next), after)
			}
		}
		for range n.lo {
			next = a.build(n.subs[0], next)
		}
	}
	return next
}

// closure adds to the sorted set what empty moves reach; begin and end tell
// which assertions hold. States that only pass on are left out, but for end
// assertions that do not hold yet.
func (a *nfa) closure(from []int32, atBegin, atEnd bool, seen []bool) []int32 {
	clear(seen)
	var result []int32
	stack := slices.Clone(from)
	for len(stack) > 0 {
		i := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if i < 0 || seen[i] {
			continue
		}
		seen[i] = true
		s := &a.states[i]
		switch {
		case i == accept || s.kind == set || s.kind == end && !atEnd:
			result = append(result, i)
		case s.kind == begin && !atBegin:
		default:
			stack = append(stack, s.out[0], s.out[1])
		}
	}
	slices.Sort(result)
	return result
}

// DFA makes the automaton of the pattern, or fails if it needs more than
// maxStates (at most 65535) states.
func (r *Regexp) DFA(maxStates int) (*DFA, error) {
	maxStates = min(maxStates, 65535)
	a := &nfa{}
	a.move() // accept
	first := a.build(r.root, accept)
	d := &DFA{}
	sample := a.classes(d)
	seen := make([]bool, len(a.states))

	index := map[string]uint16{}
	var sets [][]int32
	id := func(s []int32) (uint16, error) {
		if slices.Contains(s, accept) {
			s = []int32{accept} // a match was found, the rest does not matter
		}
		key := make([]byte, 0, 4*len(s))
		for _, i := range s {
			key = binary.LittleEndian.AppendUint32(key, uint32(i))
		}
		if n, ok := index[string(key)]; ok {
			return n, nil
		}
		if len(sets) >= maxStates {
			return 0, fmt.Errorf("regular expression needs more than %d states", maxStates)
		}
		n := uint16(len(sets))
		index[string(key)] = n
		sets = append(sets, s)
		return n, nil
	}
	start := a.closure([]int32{first}, true, false, seen)
	if _, err := id(start); err != nil {
		return nil, err
	}
	clear(index) // no later state is state 0: there alone begin holds
	// Later starts of a match: without the begin assertion.
	restart := a.closure([]int32{first}, false, false, seen)
	for n := 0; n < len(sets); n++ {
		s := sets[n]
		found := slices.Contains(s, accept)
		// At the very beginning both ends may be the same place.
		atEnd := found || slices.Contains(a.closure(s, false, true, seen), accept)
		if n == 0 && !atEnd {
			atEnd = slices.Contains(a.closure([]int32{first}, true, true, seen), accept)
		}
		d.Found = append(d.Found, found)
		d.FoundAtEnd = append(d.FoundAtEnd, atEnd)
		next := make([]uint16, d.Classes)
		for c := range next {
			if found {
				next[c] = uint16(n)
				continue
			}
			var to []int32
			for _, i := range s {
				if st := &a.states[i]; st.kind == set && st.set.has(sample[c]) {
					to = append(to, st.out[0])
				}
			}
			to = append(a.closure(to, false, false, seen), restart...)
			slices.Sort(to)
			var err error
			if next[c], err = id(slices.Compact(to)); err != nil {
				return nil, err
			}
		}
		d.Next = append(d.Next, next)
	}
	return d, nil
}

// classes fills in d's byte classes and returns a byte of each.
func (a *nfa) classes(d *DFA) []byte {
	var sample []byte
	index := map[string]uint8{}
	// Bytes are alike if the same sets hold them.
	var distinct []*byteSet
	known := map[byteSet]bool{}
	for i := range a.states {
		if s := a.states[i].set; s != nil && a.states[i].kind == set && !known[*s] {
			known[*s] = true
			distinct = append(distinct, s)
		}
	}
	sig := make([]byte, (len(distinct)+7)/8)
	for c := range 256 {
		clear(sig)
		for i, s := range distinct {
			if s.has(byte(c)) {
				sig[i/8] |= 1 << (i % 8)
			}
		}
		n, ok := index[string(sig)]
		if !ok {
			n = uint8(len(sample))
			index[string(sig)] = n
			sample = append(sample, byte(c))
		}
		d.Class[c] = n
	}
	d.Classes = len(sample)
	return sample
}
