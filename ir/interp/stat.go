package interp

import (
	"encoding/binary"
	"math"
	"math/big"
	"math/bits"

	"stapkit/ir"
)

// Stat is the content of an aggregate. Which fields besides Count are kept
// follows from the global's ir.StatShape; the others stay zero.
type Stat struct {
	Count, Sum     int64
	Min, Max       int64 // meaningful if Count > 0
	SumSqHi, SumSq uint64
	Hist           []int64 // a count per bucket, nil until there is one
}

// Add puts v into the aggregate.
func (s *Stat) Add(shape *ir.StatShape, v int64) {
	if shape.Min && (s.Count == 0 || v < s.Min) {
		s.Min = v
	}
	if shape.Max && (s.Count == 0 || v > s.Max) {
		s.Max = v
	}
	s.Count++
	if shape.Sum || shape.Variance {
		s.Sum += v
	}
	if shape.Variance {
		m := uint64(v)
		if v < 0 {
			m = -m
		}
		hi, lo := bits.Mul64(m, m)
		s.addSquare(hi, lo)
	}
	if h, ok := shape.Histogram(); ok {
		if s.Hist == nil {
			s.Hist = make([]int64, h.Buckets())
		}
		s.Hist[h.Bucket(v)]++
	}
}

func (s *Stat) addSquare(hi, lo uint64) {
	var carry uint64
	s.SumSq, carry = bits.Add64(s.SumSq, lo, 0)
	s.SumSqHi, _ = bits.Add64(s.SumSqHi, hi, carry)
}

// Merge adds what o holds, an aggregate of the same shape: another CPU's part.
func (s *Stat) Merge(o *Stat) {
	if o.Count == 0 {
		return
	}
	if s.Count == 0 {
		s.Min, s.Max = o.Min, o.Max
	} else {
		s.Min, s.Max = min(s.Min, o.Min), max(s.Max, o.Max)
	}
	s.Count += o.Count
	s.Sum += o.Sum
	s.addSquare(o.SumSqHi, o.SumSq)
	if o.Hist != nil {
		if s.Hist == nil {
			s.Hist = make([]int64, len(o.Hist))
		}
		for i, n := range o.Hist {
			s.Hist[i] += n
		}
	}
}

// Get extracts a number. All but count and sum of an empty aggregate are
// ErrEmptyStat.
func (s *Stat) Get(shape *ir.StatShape, fn ir.StatFn) (int64, *Error) {
	switch fn {
	case ir.StatCount:
		return s.Count, nil
	case ir.StatSum:
		return s.Sum, nil
	}
	if s.Count == 0 {
		return 0, NewError(ir.ErrEmptyStat, 0)
	}
	switch fn {
	case ir.StatMin:
		return s.Min, nil
	case ir.StatMax:
		return s.Max, nil
	case ir.StatAvg:
		return s.Sum / s.Count, nil
	}
	return s.variance(shape.VarShift), nil
}

// variance is the sample variance as ir.StatShape defines it.
func (s *Stat) variance(shift int) int64 {
	if s.Count < 2 {
		return 0
	}
	sq := new(big.Int).SetUint64(s.SumSqHi)
	sq.Lsh(sq, 64).Or(sq, new(big.Int).SetUint64(s.SumSq))
	sum := big.NewInt(s.Sum)
	sum.Mul(sum, sum)
	sq.Lsh(sq, uint(2*shift))
	sum.Lsh(sum, uint(2*shift)).Quo(sum, big.NewInt(s.Count))
	sq.Sub(sq, sum).Quo(sq, big.NewInt(s.Count-1)).Rsh(sq, uint(2*shift))
	return int64(sq.And(sq, new(big.Int).SetUint64(math.MaxUint64)).Uint64())
}

// Load sets s from an aggregate in a map, laid out as ir.StatLayoutOf says. It
// returns false if a writer was half-way (odd Seq): read it again. b must be
// at least as long as the layout.
func (s *Stat) Load(shape *ir.StatShape, b []byte) bool {
	l := ir.StatLayoutOf(*shape)
	word := func(off int) int64 {
		if off < 0 {
			return 0
		}
		return int64(binary.NativeEndian.Uint64(b[off:]))
	}
	if word(l.Seq)&1 != 0 {
		return false
	}
	*s = Stat{Count: word(l.Count), Sum: word(l.Sum)}
	if s.Count == 0 {
		return true
	}
	s.Min, s.Max = word(l.Min), word(l.Max)
	if l.SumSq >= 0 {
		s.SumSq, s.SumSqHi = uint64(word(l.SumSq)), uint64(word(l.SumSq+8))
	}
	if l.Hist >= 0 {
		s.Hist = make([]int64, l.Buckets)
		for i := range s.Hist {
			s.Hist[i] = word(l.Hist + 8*i)
		}
	}
	return true
}

// Store writes s in the form that Load reads, with an even Seq.
func (s *Stat) Store(shape *ir.StatShape, b []byte) {
	l := ir.StatLayoutOf(*shape)
	put := func(off int, v int64) {
		if off >= 0 {
			binary.NativeEndian.PutUint64(b[off:], uint64(v))
		}
	}
	lo, hi := s.Min, s.Max
	if s.Count == 0 {
		lo, hi = math.MaxInt64, math.MinInt64
	}
	put(l.Seq, 0)
	put(l.Count, s.Count)
	put(l.Sum, s.Sum)
	put(l.Min, lo)
	put(l.Max, hi)
	if l.SumSq >= 0 {
		put(l.SumSq, int64(s.SumSq))
		put(l.SumSq+8, int64(s.SumSqHi))
	}
	for i := range l.Buckets {
		var n int64
		if s.Hist != nil {
			n = s.Hist[i]
		}
		put(l.Hist+8*i, n)
	}
}
