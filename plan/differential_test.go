package plan_test

import (
	"testing"

	"stapkit/ir"
	"stapkit/ir/irgen"
	"stapkit/plan"
)

// outcome plans a program and runs it, each with its own copy.
func outcome(t *testing.T, seed uint64, o irgen.Options, planned bool) irgen.Outcome {
	t.Helper()
	p := irgen.New(seed, o)
	if planned {
		if ds := plan.Apply(p); len(ds) > 0 {
			t.Fatalf("seed %d: %v", seed, ds)
		}
		if err := ir.Check(p); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
	out, err := irgen.Run(p, 2, int64(seed), -1, 1<<40, 7)
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	return out
}

// TestPlanKeepsMeaning: a planned program, with narrow strings, regions, locks
// and merged action counts, does what it did with none of them.
func TestPlanKeepsMeaning(t *testing.T) {
	n := uint64(2000)
	if testing.Short() {
		n = 200
	}
	for seed := range n {
		o := irgen.Options{Features: irgen.All, Kernel: seed%2 == 1, Size: 4 + int(seed%25)}
		if seed%3 == 0 {
			o.Features &^= irgen.SmallLims
		}
		plain, planned := outcome(t, seed, o, false), outcome(t, seed, o, true)
		if plain.String() != planned.String() {
			t.Fatalf("seed %d:\n%s\nplanned:\n%s", seed, plain, planned)
		}
	}
}
