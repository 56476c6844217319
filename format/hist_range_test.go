package format

import (
	"math"
	"strings"
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

// TestHistElide has rows left out by HIST_ELISION, also at the ends.
func TestHistElide(t *testing.T) {
	h, err := Linear(0, 60, 10)
	if err != nil {
		t.Fatal(err)
	}
	counts := []int64{0, 1, 0, 0, 0, 0, 0, 1, 0} // in the rows of 0 and 60
	rows := func(n int) string {
		var labels []string
		for _, l := range strings.Split(string(h.Elide(n).AppendText(nil, counts)), "\n")[1:] {
			if f := strings.Fields(l); len(f) > 0 {
				labels = append(labels, f[0])
			}
		}
		return strings.Join(labels, " ")
	}
	for n, want := range map[int]string{
		-1: "0 10 20 30 40 50 60", 0: "0 ~ 60", 1: "0 10 ~ 50 60", 2: "0 10 20 ~ 40 50 60", 3: "0 10 20 30 40 50 60",
		1 << 40: "0 10 20 30 40 50 60",
	} {
		if got := rows(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	counts[1], counts[4] = 0, 2 // 30 and 60: two empty rows before the first, which the mark stands for
	if got := rows(0); got != "~ 30 ~ 60" {
		t.Errorf("0 with a margin: %s", got)
	}
}
