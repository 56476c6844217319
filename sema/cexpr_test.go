package sema

import (
	"strings"
	"testing"
)

func TestCExpr(t *testing.T) {
	names := func(n string) (int64, bool) { v, ok := map[string]int64{"A": 3, "B": 4}[n]; return v, ok }
	size := func(n string) (int64, bool) { v, ok := map[string]int64{"struct s": 24, "int": 4}[n]; return v, ok }
	for text, want := range map[string]int64{
		"7": 7, "0x10UL": 16, "-1": -1, "A|B": 7, "A + B * 2": 11, "(A+B)*2": 14, "1 << B": 16, "~0 & 0xf": 15, "A == 3 && B != 3": 1,
		"sizeof(struct s) / sizeof(int)": 6, "'a'": 97, "!A": 0, "A|B<<1": 11, "7 % 4 - 5": -2, "1 < 2 == 1": 1, "0||0": 0, "A&1|B&4": 5,
	} {
		if got, err := evalC(text, names, size); err != nil || got != want {
			t.Errorf("%s is %d, %v; want %d", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"": "missing", "A +": "missing", "(A": "')'", "C": "enumerator 'C'", "1/0": "zero", "sizeof(x)": "type 'x'", "sizeof x": "parentheses",
		"A B": "not understood", "f(1)": "", "09": "no number", strings.Repeat("(", 500): "nested",
	} {
		if got, err := evalC(text, names, size); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is %d, %v; want %s", text, got, err, want)
		}
	}
}
