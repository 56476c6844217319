package format

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
)

// The buckets of a logarithmic histogram, and the bounds of a linear one.
const (
	LogBuckets = 128 // buckets of a logarithmic histogram
	LogZero    = 64  // the bucket of 0; -1 is in the one before, 1 in the one behind
	MaxBuckets = 128 // most buckets of a linear histogram, those at the ends included
)

// Hist is the shape of a histogram: which values share a bucket. Parser, code
// generator, interpreter and loader take the rule from here. The zero value is
// the logarithmic shape.
type Hist struct {
	linear          bool
	low, high, step int64
	buckets         int
	elide           int // see Elide; less HistElision
}

// Elide returns the shape with the number of empty rows that AppendText shows next to
// those that it leaves out, HistElision unless set. With 0 all empty rows are left out,
// with a negative number none.
func (h Hist) Elide(rows int) Hist {
	h.elide = rows - HistElision
	return h
}

// Log returns the shape of @hist_log: 128 buckets, of which LogZero holds 0,
// LogZero+1+k the values from 2^k to 2^(k+1)-1, and LogZero-1-k their
// negatives.
func Log() Hist { return Hist{} }

// Linear returns the shape of @hist_linear(…, low, high, step). Bucket 0 holds
// the values below low, bucket i+1 those from low+i·step to the next, and the
// last one all that lie higher; a bucket of its own begins at high when that is
// a whole number of steps away. It refuses a step that is not positive, a high
// below low and more than MaxBuckets buckets.
func Linear(low, high, step int64) (Hist, error) {
	switch {
	case step <= 0:
		return Hist{}, errors.New("histogram: the interval must be positive")
	case high < low:
		return Hist{}, errors.New("histogram: the upper bound lies below the lower one")
	}
	steps := (uint64(high) - uint64(low)) / uint64(step)
	if steps > MaxBuckets-3 {
		return Hist{}, fmt.Errorf("histogram: %d intervals are too many, the most is %d: widen the interval", steps, MaxBuckets-3)
	}
	return Hist{linear: true, low: low, high: high, step: step, buckets: int(steps) + 3}, nil
}

// IsLinear reports whether the shape is a linear one, and returns its bounds.
func (h Hist) IsLinear() (low, high, step int64, ok bool) {
	return h.low, h.high, h.step, h.linear
}

// Buckets returns how many buckets there are, those at the ends included.
func (h Hist) Buckets() int {
	if !h.linear {
		return LogBuckets
	}
	return h.buckets
}

// Bucket returns the index of the bucket that v belongs to.
func (h Hist) Bucket(v int64) int {
	if !h.linear {
		if v < 0 {
			return max(LogZero-bits.Len64(-uint64(v)), 0)
		}
		return LogZero + bits.Len64(uint64(v))
	}
	if v < h.low {
		return 0
	}
	i := (uint64(v) - uint64(h.low)) / uint64(h.step)
	return int(min(i, uint64(h.buckets-2))) + 1
}

// Bound returns the value that stands for bucket i: in a logarithmic histogram
// the one nearest to 0, in a linear one the lowest. The lowest bucket of a
// linear histogram holds the values below its bound, the highest those above.
func (h Hist) Bound(i int) int64 {
	if !h.linear {
		switch n := i - LogZero; {
		case n > 0:
			return int64(1) << (n - 1)
		case n < 0:
			return -1 << (-n - 1)
		}
		return 0
	}
	i = min(max(i, 1), h.buckets-2)
	return h.low + int64(i-1)*h.step
}

// Range returns the lowest and the highest value of bucket i. The first bucket of a
// linear histogram has no lower bound, and the last no upper one: the number there
// means nothing.
func (h Hist) Range(i int) (low, high int64) {
	if h.linear {
		low = h.low + int64(i-1)*h.step
		return low, low + h.step - 1
	}
	switch n := i - LogZero; {
	case n > 0:
		return int64(1) << (n - 1), int64(uint64(1)<<n - 1)
	case n < 0:
		// -2^63 alone is in the lowest.
		if n <= -64 {
			return math.MinInt64, math.MinInt64
		}
		return -int64(uint64(1)<<-n - 1), -1 << (-n - 1)
	}
	return 0, 0
}

// label returns what stands before the bar of bucket i.
func (h Hist) label(i int) string {
	s := strconv.FormatInt(h.Bound(i), 10)
	switch {
	case h.linear && i == 0:
		return "<" + s
	case h.linear && i == h.buckets-1:
		return ">" + s
	}
	return s
}

const (
	// HistElision is HIST_ELISION's default: empty rows next to those left out.
	HistElision = 2

	barWidth = 50 // the longest bar
	margin   = 2  // empty rows shown on either side of the data
)

// AppendText appends the histogram as print() shows it: a row for each bucket
// from two before the first filled one to two behind the last, runs of zeros
// shortened to one row of "~", bars of @ scaled only if one would be longer
// than 50, a blank line at the end. Counts has one number for each bucket;
// missing ones are 0. When all are 0 there are no rows, but printing an empty
// aggregate is an error of the script, which the caller reports.
func (h Hist) AppendText(dst []byte, counts []int64) []byte {
	buckets := h.Buckets()
	full := make([]int64, buckets)
	copy(full, counts)

	first, last, most := buckets, -1, int64(0)
	for i, c := range full {
		if c > 0 {
			first, last, most = min(first, i), i, max(most, c)
		}
	}
	low, high := h.rows(first, last)
	scale := int64(1)
	if most > barWidth {
		scale = (most-1)/barWidth + 1
	}
	labelWidth := h.labelWidth(low, high)
	countWidth := len(strconv.FormatInt(most, 10))

	dst = appendPadded(dst, "value", labelWidth, false)
	dst = append(dst, " |"...)
	dst = appendRepeated(dst, '-', barWidth)
	dst = append(dst, " count\n"...)
	elided := false
	elision := min(h.elide+HistElision, buckets)
	for i := low; i <= high; i++ {
		if elision >= 0 && allZero(full[max(i-elision, low):min(i+elision, high)+1]) {
			elided = true
			continue
		}
		if elided { // the mark stands for rows before one that is shown
			dst = appendPadded(dst, "", labelWidth, false)
			dst = append(dst, " ~\n"...)
		}
		elided = false
		bar := int(full[i] / scale)
		dst = appendPadded(dst, h.label(i), labelWidth, false)
		dst = append(dst, " |"...)
		dst = appendRepeated(dst, '@', bar)
		dst = appendPadded(dst, strconv.FormatInt(full[i], 10), barWidth-bar+1+countWidth, false)
		dst = append(dst, '\n')
	}
	return append(dst, '\n')
}

// rows returns the first and the last bucket that get a row, given the first
// and the last that hold something.
func (h Hist) rows(first, last int) (low, high int) {
	low, high = max(first-margin, 0), min(last+margin, h.Buckets()-1)
	switch {
	case last < 0:
		return 0, -1
	case h.linear:
		// The ends get a row only when they hold something.
		if first > 0 {
			low = max(low, 1)
		}
		if last < h.buckets-1 {
			high = min(high, h.buckets-2)
		}
	case first >= LogZero:
		low = max(low, LogZero)
	}
	return low, high
}

// labelWidth returns how wide the column of labels is when rows low to high are
// shown. In a linear histogram it has room for the lowest bound, shown or not,
// and for the value at which the last row ends.
func (h Hist) labelWidth(low, high int) int {
	width := len("value")
	if low > high {
		return width
	}
	if !h.linear {
		return max(width, len(h.label(low)), len(h.label(high)))
	}
	first := len(strconv.FormatInt(h.low, 10))
	if low == 0 {
		first++
	}
	last := len(strconv.FormatInt(h.low+int64(high)*h.step, 10))
	if high == h.buckets-1 {
		last++
	}
	return max(width, first, last)
}

func allZero(counts []int64) bool {
	for _, c := range counts {
		if c != 0 {
			return false
		}
	}
	return true
}
