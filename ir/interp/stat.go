package interp

import (
	"encoding/binary"
	"math"

	"stapkit/ir"
)

// Stat is the content of an aggregate. Which fields besides Count are kept
// follows from the global's ir.StatShape; the others stay zero.
type Stat struct {
	Count, Sum int64
	Min, Max   int64 // meaningful if Count > 0
	// Parts are what each CPU contributes to the variance. New values go to
	// the first.
	Parts []Part
	Hist  []int64 // a count per bucket, nil until there is one
}

// Part is one CPU's share of a variance, see ir.StatShape.
type Part struct{ Count, Mean, M2 int64 }

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
		if len(s.Parts) == 0 {
			s.Parts = make([]Part, 1)
		}
		s.Parts[0].add(v << shape.VarShift)
	}
	if h, ok := shape.Histogram(); ok {
		if s.Hist == nil {
			s.Hist = make([]int64, h.Buckets())
		}
		s.Hist[h.Bucket(v)]++
	}
}

func (p *Part) add(v int64) {
	p.Count++
	if p.Count == 1 {
		p.Mean, p.M2 = v, 0
		return
	}
	d := v - p.Mean
	p.Mean += d / p.Count
	p.M2 += d * (v - p.Mean)
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
	s.Parts = append(s.Parts, o.Parts...)
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

// deviation is S1 + S2 of ir.StatShape.
func (s *Stat) deviation(shift int) int64 {
	mean := (s.Sum << shift) / s.Count
	var sum int64
	for _, p := range s.Parts {
		d := p.Mean - mean
		sum += p.Count * d * d
		if p.Count > 1 {
			sum += (p.Count - 1) * (p.M2 / (p.Count - 1))
		}
	}
	return sum
}

// variance is the sample variance as ir.StatShape defines it.
func (s *Stat) variance(shift int) int64 {
	if s.Count < 2 {
		return 0
	}
	return s.deviation(shift) / (s.Count - 1) >> (2 * shift)
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
	if l.Hist >= 0 && !l.Guarded() {
		// A writer may be between the count and the bucket.
		s.Count = 0
		for i := range l.Buckets {
			s.Count += word(l.Hist + 8*i)
		}
	}
	if s.Count == 0 {
		return true
	}
	s.Min, s.Max = word(l.Min), word(l.Max)
	if l.Mean >= 0 {
		s.Parts = []Part{{s.Count, word(l.Mean), word(l.M2)}}
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
	if l.Mean >= 0 && s.Count > 0 {
		// One CPU's place takes all parts: their joint mean, and as M2 what
		// they deviate from it.
		p := Part{Count: s.Count, Mean: (s.Sum << shape.VarShift) / s.Count, M2: s.deviation(shape.VarShift)}
		if len(s.Parts) == 1 {
			p = s.Parts[0]
		}
		put(l.Mean, p.Mean)
		put(l.M2, p.M2)
	}
	for i := range l.Buckets {
		var n int64
		if s.Hist != nil {
			n = s.Hist[i]
		}
		put(l.Hist+8*i, n)
	}
}
