package sema

import "testing"

func TestMatchQualified(t *testing.T) {
	const (
		area = "_ZNK3geo6Square4areaEi"                           // geo::Square::area(int) const
		push = "_ZNSt6vectorIiSaIiEE9push_backERKi"               // std::vector<int, …>::push_back(int const&)
		rust = "_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE" // core::fmt::Write::write_fmt
		v0   = "_RNvNtCs1234_7mycrate3foo3bar"                    // mycrate::foo::bar
		tmpl = "_ZN2ns3maxIiEET_S1_S1_"                           // int ns::max<int>(int, int)
	)
	for _, tt := range []struct {
		pattern, symbol string
		want            bool
	}{
		{"geo::Square::area", area, true},
		{"Square::area", area, true},
		{"::geo::Square::area", area, true},
		{"::Square::area", area, false},
		{"geo::Square::area(int) const", area, true},
		{"Square::area(long)", area, false},
		{"geo::*::area", area, true},
		{"geo::Shape::area", area, false},
		{"quare::area", area, false},
		{"std::vector::push_back", push, true},
		{"vector<*>::push_back(*)", push, true},
		{"core::fmt::Write::write_fmt", rust, true},
		{"Write::write_fmt", rust, true},
		{"mycrate::foo::bar", v0, true},
		{"foo::baz", v0, false},
		{"ns::max", tmpl, true},
		{"a::b", "plain", false},
		{"a::b", "_Zbroken", false},
	} {
		if got := matchQualified(tt.pattern, tt.symbol); got != tt.want {
			full, short, _ := demangled(tt.symbol)
			t.Errorf("%s and %s (%s, %s): %v", tt.pattern, tt.symbol, full, short, got)
		}
	}
	for pattern, want := range map[string]string{"a::b": "b", "a::b<c::d>": "b<c::d>", "f(x::y)": "f", "::g": "g", "h": "h"} {
		if got := lastComponent(pattern); got != want {
			t.Errorf("%s: %q", pattern, got)
		}
	}
}
