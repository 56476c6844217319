package interp

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"stapkit/ir"
)

// TestRank holds the first elements against a stable sort of all of them.
func TestRank(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 2, 7, 64, 1000} {
		for _, most := range []int{0, 1, 2, 5, 16, 250, 999, 1000, 5000} {
			for _, desc := range []bool{false, true} {
				for _, shape := range []string{"random", "rising", "falling", "few"} {
					list := make([]Element, n)
					for i := range list {
						v := map[string]int64{"random": r.Int64(), "rising": int64(i), "falling": int64(-i), "few": r.Int64N(3)}[shape]
						list[i] = Element{Keys: []Value{IntValue(int64(i))}, Val: IntValue(v)}
					}
					want := slices.Clone(list)
					slices.SortStableFunc(want, func(a, b Element) int {
						if desc {
							a, b = b, a
						}
						return cmp.Compare(a.Val.I, b.Val.I)
					})
					want = want[:min(most, n)]
					got := Rank(list, most, desc, func(e *Element) int64 { return e.Val.I })
					if !slices.EqualFunc(got, want, func(a, b Element) bool { return a.Keys[0].I == b.Keys[0].I }) {
						t.Errorf("the first %d of %d, %s, desc %v: not those of a stable sort", most, n, shape, desc)
					}
				}
			}
		}
	}
}

// TestPlaces holds the order in which a sorted loop leaves the elements: all in order, or,
// after a loop over few of them, these and behind them what fell out, the last first.
func TestPlaces(t *testing.T) {
	list := make([]Element, 40)
	for i := range list {
		list[i].Val = IntValue(int64(i % 3))
	}
	by := func(e *Element) int64 { return e.Val.I }
	for _, tt := range []struct {
		n, most int
		desc    bool
		want    []int
	}{
		{0, 5, false, []int{}},
		{12, 12, false, []int{0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11}},
		{12, 100, true, []int{2, 5, 8, 11, 1, 4, 7, 10, 0, 3, 6, 9}},
		{12, 5, false, []int{0, 3, 6, 9, 1, 4, 2, 5, 7, 8, 10, 11}},
		{6, 1, true, []int{2, 1, 0, 3, 4, 5}},
	} {
		if got := places(list[:tt.n], tt.most, tt.desc, true, by); !slices.Equal(got, tt.want) {
			t.Errorf("%d of %d, desc %v: %v, want %v", tt.most, tt.n, tt.desc, got, tt.want)
		}
	}
	// Above 30 all are put in order.
	got := places(list, 31, false, true, by)
	if len(got) != len(list) || !slices.IsSortedFunc(got, func(a, b int) int { return cmp.Compare(a%3*100+a, b%3*100+b) }) {
		t.Errorf("the first 31 of 40: %v", got)
	}
}

// TestGrow has elements come and go in arrays with memory for some of them.
func TestGrow(t *testing.T) {
	p := &ir.Program{Globals: []ir.Global{
		{Name: "a", Keys: []ir.Type{{Kind: ir.Int}}, Value: ir.Type{Kind: ir.Int}, MaxEntries: 5000},
		{Name: "b", Keys: []ir.Type{{Kind: ir.Int}, {Kind: ir.Str, Width: 16}}, Value: ir.Type{Kind: ir.Int}, MaxEntries: 5000},
	}}
	s := NewStore(p)
	for g := range p.Globals {
		keys := func(i int) []Value {
			return []Value{IntValue(int64(i)), StrValue(fmt.Sprint(i))}[:len(p.Globals[g].Keys)]
		}
		for _, announced := range []int{0, 3, 1500, 4000} {
			s.Grow(g, announced)
			for i := range 2000 {
				if _, _, err := s.Update(g, keys(i), ir.OpAdd, IntValue(int64(i))); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Delete(g, keys(7)); err != nil {
				t.Fatal(err)
			}
		}
		list, err := s.Snapshot(g)
		if err != nil || len(list) != 1999 || s.Len(g) != 1999 {
			t.Fatal(len(list), s.Len(g), err)
		}
		for i, e := range list {
			at := i
			if i >= 7 {
				at++
			}
			if e.Keys[0].I != int64(at) || e.Val.I != 4*int64(at) {
				t.Fatalf("element %d: %v", i, e)
			}
			if v, ok, err := s.Get(g, keys(at)); !ok || err != nil || v.I != e.Val.I {
				t.Fatalf("element %d: %v %v %v", at, v, ok, err)
			}
		}
	}
}
