package workload

import "testing"

func TestLeast(t *testing.T) {
	for _, tt := range []struct {
		out    string
		rounds int
		want   float64
		ok     bool
	}{
		{"3.5 2.25\n", 2, 2.25, true},
		{"a b\n1 2 3\n4.0 5\nx", 2, 4, true},
		{"", 1, 0, false},
		{"1 2\n", 3, 0, false},
	} {
		got, err := Least(tt.out, tt.rounds)
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("%q: %v, %v", tt.out, got, err)
		}
	}
}
