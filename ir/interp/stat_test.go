package interp

import (
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"stapkit/ir"
)

// TestVariance holds values that SystemTap was seen to print, and the rule for
// several CPUs.
func TestVariance(t *testing.T) {
	upTo := func(from, to, step int64) (v []int64) {
		for ; from <= to; from += step {
			v = append(v, from)
		}
		return v
	}
	for _, tt := range []struct {
		shift  int
		values []int64
		want   int64
	}{
		{0, upTo(1, 10, 1), 48},
		{4, []int64{1, 2, 4}, 2},
		{0, upTo(-6, 8, 2), 24},
		{10, upTo(1, 10, 1), 9},
		{0, []int64{5}, 0},
	} {
		shape := &ir.StatShape{Variance: true, VarShift: tt.shift}
		var s Stat
		for _, v := range tt.values {
			s.Add(shape, v)
		}
		if got, err := s.Get(shape, ir.StatVariance); err != nil || got != tt.want {
			t.Errorf("%v shift %d: %d %v, want %d", tt.values, tt.shift, got, err, tt.want)
		}
	}
	shape := &ir.StatShape{Variance: true}
	var a, b Stat
	for _, v := range []int64{1, 3} {
		a.Add(shape, v) // mean 2, M2 2
	}
	for _, v := range []int64{7, 9} {
		b.Add(shape, v) // mean 8, M2 2
	}
	a.Merge(&b)
	// mean 5: S1 = 2*9 + 2*9, S2 = 2 + 2
	if got, _ := a.Get(shape, ir.StatVariance); got != 40/3 {
		t.Errorf("two CPUs: %d, want %d", got, 40/3)
	}
}

// TestExtract covers wrapping sums and the average's rounding toward zero.
func TestExtract(t *testing.T) {
	shape := &ir.StatShape{Sum: true, Min: true, Max: true}
	for _, tt := range []struct {
		values             []int64
		sum, min, max, avg int64
	}{
		{[]int64{-7, -8}, -15, -8, -7, -7},
		{[]int64{math.MaxInt64, 1}, math.MinInt64, 1, math.MaxInt64, -4611686018427387904},
		{[]int64{0}, 0, 0, 0, 0},
	} {
		var s Stat
		for _, v := range tt.values {
			s.Add(shape, v)
		}
		for fn, want := range map[ir.StatFn]int64{ir.StatCount: int64(len(tt.values)), ir.StatSum: tt.sum, ir.StatMin: tt.min, ir.StatMax: tt.max, ir.StatAvg: tt.avg} {
			if got, err := s.Get(shape, fn); got != want || err != nil {
				t.Errorf("%v: extractor %d: %d %v, want %d", tt.values, fn, got, err, want)
			}
		}
	}
}

// TestMerge: an aggregate spread over CPUs, written to and read from memory, is
// the one that saw all values.
func TestMerge(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, shape := range []ir.StatShape{
		{}, {Sum: true}, {Min: true}, {Max: true, Sum: true},
		{Sum: true, Min: true, Max: true, Variance: true, Hist: ir.HistLog},
		{Variance: true, Hist: ir.HistLinear, Low: -10, High: 30, Step: 7},
	} {
		for range 50 {
			var all Stat
			parts := make([]Stat, 4)
			for range rng.IntN(30) {
				v := int64(rng.Uint64()) >> rng.IntN(64)
				all.Add(&shape, v)
				parts[rng.IntN(len(parts))].Add(&shape, v)
			}
			var merged Stat
			for i := range parts {
				b := make([]byte, ir.StatLayoutOf(shape).Size)
				parts[i].Store(&shape, b)
				var p Stat
				if !p.Load(&shape, b) {
					t.Fatal("odd sequence")
				}
				if !reflect.DeepEqual(p, parts[i]) {
					t.Fatalf("%+v stored and loaded is %+v", parts[i], p)
				}
				merged.Merge(&p)
			}
			// One CPU that saw all values deviates otherwise than several.
			merged.Parts, all.Parts = nil, nil
			if !reflect.DeepEqual(merged, all) {
				t.Fatalf("%+v, want %+v", merged, all)
			}
		}
	}
	var s Stat
	b := make([]byte, 16)
	b[0] = 1
	if s.Load(&ir.StatShape{}, b) {
		t.Error("loaded what was being written")
	}
}
