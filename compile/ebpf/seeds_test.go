package ebpf

import (
	"os"
	"strconv"
	"testing"

	"stapkit/diag"
	"stapkit/ir"
	"stapkit/ir/irgen"
	"stapkit/plan"
)

// TestSeeds compares both executions of many random programs. STAPKIT_SEEDS sets
// how many, STAPKIT_SEED the first.
func TestSeeds(t *testing.T) {
	needKernel(t)
	n, first := 40, 1000
	if s, err := strconv.Atoi(os.Getenv("STAPKIT_SEEDS")); err == nil {
		n = s
	}
	if s, err := strconv.Atoi(os.Getenv("STAPKIT_SEED")); err == nil {
		first = s
	}
	features := fuzzFeatures
	if s, err := strconv.ParseUint(os.Getenv("STAPKIT_FEATURES"), 0, 32); err == nil {
		features = irgen.Feature(s)
	}
	for i := range n {
		seed := uint64(first + i)
		t.Run(strconv.Itoa(int(seed)), func(t *testing.T) {
			p := seeded(t, seed, features)
			compare(t, p, 2, 1, -5, 1<<40, int64(seed))
		})
	}
}

// seeded makes the program of a seed: with strings of several lengths, and every
// other one planned, with inferred widths and locks.
func seeded(t *testing.T, seed uint64, features irgen.Feature) *ir.Program {
	lengths := []int{64, 64, 100, 512, 24}
	p := irgen.New(seed, irgen.Options{Features: features, Kernel: true, StringLen: lengths[seed%5]})
	if seed%2 == 1 {
		if diags := plan.Apply(p); diag.HasErrors(diags) {
			t.Skip(diags)
		}
	}
	if seed%7 == 3 {
		for i := range p.Globals {
			p.Globals[i].Generations = p.Globals[i].IsArray() && p.Globals[i].Share != ir.LoaderOnly
		}
	}
	return p
}
