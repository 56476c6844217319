package interp

import (
	"math"
	"math/big"
	"math/rand/v2"
	"reflect"
	"testing"

	"stapkit/ir"
)

// TestVariance compares with exact arithmetic on random samples.
func TestVariance(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for round := range 500 {
		shape := &ir.StatShape{Variance: true, VarShift: round % 20}
		var s Stat
		n := 2 + rng.IntN(20)
		values := make([]*big.Int, n)
		sum := new(big.Int)
		for i := range values {
			v := int64(rng.Uint64()) >> (2 + rng.IntN(60)) // so that the sum does not wrap
			v /= 32
			s.Add(shape, v)
			values[i] = new(big.Int).Lsh(big.NewInt(v), uint(shape.VarShift))
			sum.Add(sum, values[i])
		}
		sq := new(big.Int)
		for _, v := range values {
			sq.Add(sq, new(big.Int).Mul(v, v))
		}
		sum.Mul(sum, sum).Quo(sum, big.NewInt(int64(n)))
		want := sq.Sub(sq, sum)
		want.Quo(want, big.NewInt(int64(n-1))).Rsh(want, uint(2*shape.VarShift))
		want.And(want, new(big.Int).SetUint64(math.MaxUint64))
		got, err := s.Get(shape, ir.StatVariance)
		if err != nil || uint64(got) != want.Uint64() {
			t.Fatalf("round %d: %d %v, want %s", round, got, err, want)
		}
	}
	var one Stat
	one.Add(&ir.StatShape{Variance: true}, 5)
	if v, err := one.Get(&ir.StatShape{Variance: true}, ir.StatVariance); v != 0 || err != nil {
		t.Errorf("variance of one value %d %v", v, err)
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
