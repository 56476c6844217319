package plan_test

import (
	"testing"

	"stapkit/ir"
	"stapkit/ir/irgen"
	"stapkit/plan"
)

var merged int // programs of which all alike became one

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// outcome plans a program and runs it, each with its own copy.
func outcome(t *testing.T, seed uint64, o irgen.Options, crowd int, planned bool) irgen.Outcome {
	t.Helper()
	p := irgen.New(seed, o)
	if crowd > 0 {
		p = irgen.Crowd(p, crowd, seed)
	}
	handlers := len(p.Handlers)
	if planned {
		if ds := plan.Apply(p); len(ds) > 0 {
			t.Fatalf("seed %d: %v", seed, ds)
		}
		if err := ir.Check(p); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		merged += b2i(crowd > 0 && len(p.Handlers)*crowd == handlers)
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
		plain, planned := outcome(t, seed, o, 0, false), outcome(t, seed, o, 0, true)
		if plain.String() != planned.String() {
			t.Fatalf("seed %d:\n%s\nplanned:\n%s", seed, plain, planned)
		}
	}
}

// TestMergeKeepsMeaning: one handler for several probes does for each what its own
// did.
func TestMergeKeepsMeaning(t *testing.T) {
	n := uint64(400)
	if testing.Short() {
		n = 60
	}
	for seed := range n {
		o := irgen.Options{Features: irgen.All, Kernel: true, Size: 4 + int(seed%25)}
		if seed%3 == 0 {
			o.Features &^= irgen.SmallLims
		}
		plain, planned := outcome(t, seed, o, 9, false), outcome(t, seed, o, 9, true)
		if plain.String() != planned.String() {
			t.Fatalf("seed %d:\n%s\nmerged:\n%s", seed, plain, planned)
		}
	}
	// Of the others some constant decides what is left to the loader.
	if uint64(merged) < n*2/3 {
		t.Errorf("of %d programs %d were merged", n, merged)
	}
}
