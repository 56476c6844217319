package regex

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestFind(t *testing.T) {
	for _, tt := range []struct {
		pattern, s string
		want       []int
	}{
		{"w(or)ld", "hello world", []int{6, 11, 7, 9}},
		{"^b", "abc", nil},
		{"^a", "abc", []int{0, 1}},
		{"c$", "abc", []int{2, 3}},
		{"b$", "abc", nil},
		{"", "abc", []int{0, 0}},
		{"a|ab|abc", "xabcd", []int{1, 4}}, // longest, not first
		{"a|(b)", "a", []int{0, 1, -1, -1}},
		{"[[:digit:]]+", "ab123c", []int{2, 5}},
		{"[^[:alpha:]]", "ab1", []int{2, 3}},
		{"[]a-]+", "x]-a", []int{1, 4}},
		{`[\]`, `a\b`, []int{1, 2}}, // a backslash in brackets is one
		{`a\.c`, "abc a.c", []int{4, 7}},
		{"a{2}", "aaaa", []int{0, 2}},
		{"a{2,}", "baaaa", []int{1, 5}},
		{"a{0,2}b", "aaab", []int{1, 4}},
		{"a**", "aa", []int{0, 2}},
		{".", "\n", []int{0, 1}},
		{"^.$", "\xc3\xa9", nil}, // two bytes
		{"(.)(.)$", "x\xc3\xa9", []int{1, 3, 1, 2, 2, 3}},
		{"\xc3.", "ab\xc3\xa9c", []int{2, 4}},
		{"^$", "", []int{0, 0}},
		{"$^", "", []int{0, 0}},
		{"$^", "a", nil},
		{"(a*)*", "b", []int{0, 0, 0, 0}},
		{"(?:foo|ba(r))+$", "foobarfoo", []int{0, 9, 5, 6}},
		{"x(?:a|b)*(?:)c", "xabc", []int{0, 4}},
		{"(foo|bar)+$", "foobarfoo", []int{0, 9, 6, 9}},
	} {
		r, err := Compile(tt.pattern)
		if err != nil {
			t.Errorf("%q: %v", tt.pattern, err)
			continue
		}
		if got := r.Find(tt.s); !slices.Equal(got, tt.want) {
			t.Errorf("%q in %q: %v, want %v", tt.pattern, tt.s, got, tt.want)
		}
		if got := r.Match(tt.s); got != (tt.want != nil) {
			t.Errorf("%q in %q: Match %v", tt.pattern, tt.s, got)
		}
		d, err := r.DFA(1000)
		if err != nil {
			t.Errorf("%q: %v", tt.pattern, err)
			continue
		}
		if got := d.Match(tt.s); got != (tt.want != nil) {
			t.Errorf("%q in %q: DFA %v", tt.pattern, tt.s, got)
		}
	}
}

func TestErrors(t *testing.T) {
	for _, tt := range []struct {
		pattern string
		offset  int
		message string
	}{
		{"a(b", 1, "unmatched ("},
		{"ab)", 2, "unmatched )"},
		{"*a", 0, "nothing to repeat before *"},
		{"a|+", 2, "nothing to repeat before +"},
		{"(?=a)", 1, "nothing to repeat before ?"},
		{"(?:a", 0, "unmatched ("},
		{"^*", 1, "* cannot repeat ^"},
		{"(a$+)", 3, "+ cannot repeat $"},
		{"x[a", 1, "unmatched ["},
		{"[[:alpha]", 1, "unmatched [:"},
		{"[[:foo:]]", 1, "unknown character class [:foo:]"},
		{"[[.a.]]", 1, "collating elements and equivalence classes are not supported"},
		{"[z-a]", 1, "character range is reversed"},
		{"a{x}", 2, "number expected in repetition"},
		{"a{1", 1, "unmatched {"},
		{"a{3,2}", 1, "repetition range is reversed"},
		{"a{256}", 2, "repetition count above 255"},
		{"a\\", 1, "trailing backslash"},
		{"((a{200}){200}){200}", 13, "regular expression too large"},
		{strings.Repeat("(", 300), 200, "regular expression nested too deep"},
	} {
		_, err := Compile(tt.pattern)
		e, ok := err.(*Error)
		if !ok || e.Message != tt.message {
			t.Errorf("%.20q: %v, want %q", tt.pattern, err, tt.message)
			continue
		}
		if e.Offset != tt.offset && tt.message != "regular expression too large" {
			t.Errorf("%.20q: offset %d, want %d", tt.pattern, e.Offset, tt.offset)
		}
	}
}

// TestPosixAgrees compares with the standard library's POSIX matcher on
// patterns that mean the same to both.
func TestPosixAgrees(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		pattern := randomPattern(rng, 3)
		want, err := regexp.CompilePOSIX(pattern)
		if err != nil {
			t.Fatalf("%q: %v", pattern, err)
		}
		r, err := Compile(pattern)
		if err != nil {
			t.Fatalf("%q: %v", pattern, err)
		}
		d, err := r.DFA(5000)
		if err != nil {
			t.Fatalf("%q: %v", pattern, err)
		}
		for range 10 {
			s := randomString(rng)
			w, g := want.FindStringIndex(s), r.Find(s)
			if (w == nil) != (g == nil) || w != nil && !slices.Equal(w, g[:2]) {
				t.Fatalf("%q in %q: %v, want %v", pattern, s, g, w)
			}
			if d.Match(s) != (w != nil) {
				t.Fatalf("%q in %q: DFA says %v", pattern, s, d.Match(s))
			}
		}
	}
}

func randomString(rng *rand.Rand) string {
	b := make([]byte, rng.IntN(10))
	for i := range b {
		b[i] = "abc"[rng.IntN(3)]
	}
	return string(b)
}

func randomPattern(rng *rand.Rand, depth int) string {
	if depth == 0 {
		return []string{"a", "b", "c", ".", "[ab]", "[^a]", "ab", "^", "$"}[rng.IntN(9)]
	}
	sub := func() string { return randomPattern(rng, depth-1) }
	switch rng.IntN(7) {
	case 0:
		return sub() + "|" + sub()
	case 1:
		return "(" + sub() + ")*"
	case 2:
		return "(" + sub() + ")+"
	case 3:
		return "(" + sub() + ")?"
	case 4:
		return "(" + sub() + "){1,2}"
	}
	return sub() + sub()
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{"a(b|c)*d$", "[[:alpha:]_]+", "^[^a-z]{2,5}", "a**", "(", "[]", "$^"} {
		f.Add(s, "abcd_é")
	}
	f.Fuzz(func(t *testing.T, pattern, s string) {
		r, err := Compile(pattern)
		if err != nil {
			return
		}
		got := r.Find(s)
		if (got != nil) != r.Match(s) {
			t.Fatalf("Find %v, Match %v", got, r.Match(s))
		}
		if got != nil && len(got) != 2*(r.Groups()+1) {
			t.Fatalf("%d offsets for %d groups", len(got), r.Groups())
		}
		if d, err := r.DFA(300); err == nil && d.Match(s) != (got != nil) {
			t.Fatalf("DFA says %v", d.Match(s))
		}
	})
}
