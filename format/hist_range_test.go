package format

import (
	"math"
	"testing"
)

// TestHistRange: a value lies in the range of its bucket, and the one below the range
// in another.
func TestHistRange(t *testing.T) {
	linear, err := Linear(-3, 20, 4)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range []Hist{Log(), linear} {
		_, _, _, isLinear := h.IsLinear()
		for _, v := range []int64{math.MinInt64, math.MinInt64 + 1, -1 << 40, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 7, 8, 19, 20, 21, 24, 25, 1 << 40, math.MaxInt64} {
			i := h.Bucket(v)
			low, high := h.Range(i)
			first, last := isLinear && i == 0, isLinear && i == h.Buckets()-1
			if v < low && !first || v > high && !last {
				t.Errorf("linear %v: %d is in bucket %d, from %d to %d", isLinear, v, i, low, high)
			}
			if !first && low > math.MinInt64 && h.Bucket(low-1) == i {
				t.Errorf("linear %v: %d is in bucket %d, too", isLinear, low-1, i)
			}
		}
	}
}
