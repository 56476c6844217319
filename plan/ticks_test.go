package plan

import (
	"math"
	"testing"

	"stapkit/ir"
)

// TestTicks: actions are counted where they may exceed the limit, however large it is, and
// nowhere else.
func TestTicks(t *testing.T) {
	loop := func() []ir.Stmt {
		return []ir.Stmt{&ir.While{C: &ir.IntConst{V: 1}, Body: []ir.Stmt{&ir.Tick{N: 1}}}, &ir.Tick{N: 1}, &ir.Eval{X: &ir.Call{Chain: []int{0}, T: ir.TVoid}}}
	}
	straight := func() []ir.Stmt { return []ir.Stmt{&ir.Tick{N: 3}} }
	for _, tt := range []struct {
		name  string
		body  []ir.Stmt
		limit int
		free  bool // not counted
	}{
		{"straight", straight(), 3, true},
		{"straight, too much", straight(), 2, false},
		{"loop", loop(), 1000, false},
		{"loop, large limit", loop(), 2_000_000_000, false},
		{"loop without a limit", loop(), math.MaxInt32, true},
	} {
		p := &ir.Program{
			Funcs:    []*ir.Func{{Name: "f", Result: ir.TVoid, Body: loop()[:2]}},
			Handlers: []*ir.Handler{{Name: "h", Kernel: true, MaxActions: tt.limit, Body: tt.body}},
		}
		(&planner{p: p}).ticks()
		if got := p.Handlers[0].Uncounted; got != tt.free {
			t.Errorf("%s: not counted: %v", tt.name, got)
		}
	}
}
