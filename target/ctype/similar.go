package ctype

import (
	"sort"
	"strings"
)

// Similar picks at most n of the candidates that a person who wrote name may
// have meant, the likeliest first: nearest by edit distance (a swap of
// neighbours counts once), then those that name begins or is contained in.
// Equally near ones keep alphabetical order.
func Similar(name string, candidates []string, n int) []string {
	type scored struct {
		s     string
		score int
	}
	limit := max(1, len(name)/3)
	low := strings.ToLower(name)
	var hits []scored
	for _, c := range candidates {
		if c == name || c == "" {
			continue
		}
		lc := strings.ToLower(c)
		d := -1
		if diff := len(lc) - len(low); diff <= limit && -diff <= limit {
			if e := distance(low, lc, limit); e <= limit {
				d = e
			}
		}
		// A prefix or a part left out is a common way to misremember a name.
		if d < 0 && len(low) >= 3 && strings.Contains(lc, low) {
			d = limit + 1 + (len(lc)-len(low))/4
			if strings.HasPrefix(lc, low) || strings.HasSuffix(lc, low) {
				d--
			}
		}
		if d >= 0 {
			hits = append(hits, scored{c, d})
		}
	}
	sort.Slice(hits, func(i, j int) bool {
		a, b := hits[i], hits[j]
		return a.score < b.score || a.score == b.score && a.s < b.s
	})
	var out []string
	for _, h := range hits {
		if len(out) == n {
			break
		}
		if len(out) == 0 || out[len(out)-1] != h.s {
			out = append(out, h.s)
		}
	}
	return out
}

// distance is the optimal string alignment distance, or limit+1 when it is
// larger than limit.
func distance(a, b string, limit int) int {
	prev2 := make([]int, len(b)+1)
	prev := make([]int, len(b)+1)
	cur := make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		best := cur[0]
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			v := min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				v = min(v, prev2[j-2]+1)
			}
			cur[j] = v
			best = min(best, v)
		}
		if best > limit {
			return limit + 1
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}
