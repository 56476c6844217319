package regex

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestTagged holds the tagged automaton against the matcher of the interpreter.
func TestTagged(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 9))
	n, large := 4000, 0
	if testing.Short() {
		n = 400
	}
	for range n {
		pattern := randomPattern(rng, 3)
		if large += agree(t, pattern, func() string { return randomString(rng) }); t.Failed() {
			return
		}
	}
	if large > n/100 {
		t.Errorf("%d of %d automata are too large", large, n)
	}
	for _, pattern := range []string{
		"(x|$)*", "((a*)+|b)*", "(a|ab)(c|bcd)(d*)", "(^a|b)+", "(a?)*$", "(a{2,3}){1,2}b?", "((a)|b)*c", "x*", "(a(b)?)+", "()*a",
	} {
		agree(t, pattern, func() string { return randomString(rng) })
	}
}

// agree returns 1 if the automaton is too large.
func agree(t *testing.T, pattern string, text func() string) int {
	t.Helper()
	r, err := Compile(pattern)
	if err != nil {
		return 0
	}
	for groups := range r.Groups() + 1 {
		a, err := r.Tagged(groups, 2000)
		if err != nil {
			return 1
		}
		for range 30 {
			s := text()
			want := r.Find(s)
			if want != nil {
				want = want[:2*(groups+1)]
			}
			if got := a.Find(s); !slices.Equal(got, want) {
				t.Errorf("%q in %q: %v, want %v", pattern, s, got, want)
				return 0
			}
		}
	}
	return 0
}

func FuzzTagged(f *testing.F) {
	f.Add("((a*)+|b)*c$", "xaabc")
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if len(pattern) > 60 {
			t.Skip()
		}
		agree(t, pattern, func() string { return s })
	})
}
