package ebpf

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"

	"stapkit/diag"
	"stapkit/internal/differential"
	"stapkit/ir"
)

// smallSizes are of mostly small programs: there can be many more of them, and what goes
// wrong is seen in a smaller one.
var smallSizes = []int{4, 5, 12, 3, 6, 4, 8, 5, 3, 25, 6}

// TestPlanned checks plans that once were wrong, in a conditional whose one side turned out
// late to be deferred text.
func TestPlanned(t *testing.T) {
	for _, seed := range []uint64{6016173, 7009653} {
		p, diags := seededOf(seed, fuzzFeatures, smallSizes)
		if diag.HasErrors(diags) {
			t.Fatalf("seed %d: %v", seed, diags)
		}
		if err := ir.Check(p); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
}

// TestMentioned loads programs whose last instruction is no exit, and that have to refer to a
// section that nothing else of them does.
func TestMentioned(t *testing.T) {
	for _, seed := range []uint64{8000044, 8000274} {
		p, diags := seededOf(seed, fuzzFeatures, smallSizes)
		if diag.HasErrors(diags) {
			t.Fatalf("seed %d: %v", seed, diags)
		}
		m, err := tryLoad(t, p)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		m.close()
	}
}

// TestDifferential runs a batch of random programs in both executions and writes
// what came out, for the command internal/differential/run (make differential).
// It does not fail for what it finds: the command tells of it.
func TestDifferential(t *testing.T) {
	file := os.Getenv(differential.EnvFile)
	if file == "" {
		t.Skip("a batch of make differential; TestSeeds is the short run")
	}
	needKernel(t)
	var b differential.Batch
	for env, to := range map[string]*int{differential.EnvFirst: &b.First, differential.EnvCount: &b.Count} {
		n, err := strconv.Atoi(os.Getenv(env))
		if err != nil {
			t.Fatalf("%s: %v", env, err)
		}
		*to = n
	}
	for i := range b.Count {
		seed := b.First + i
		t.Run(strconv.Itoa(seed), func(t *testing.T) {
			p, diags := seededOf(uint64(seed), fuzzFeatures, smallSizes)
			if diag.HasErrors(diags) {
				b.Add(differential.Refused, seed, fmt.Sprint(diags))
				return
			}
			if err := ir.Check(p); err != nil {
				b.Add(differential.Failed, seed, err.Error())
				return
			}
			kind := differential.Failed // should it end here
			detail := "the test ended before its time"
			defer func() { b.Add(kind, seed, detail) }()
			m, err := differ(t, p, 2, 1, -5, 1<<40, int64(seed))
			var r *refused
			switch {
			case err == nil:
				kind, detail = differential.Equal, ""
			case errors.As(err, &r):
				kind, detail = differential.Refused, err.Error()
			case m == nil:
				kind, detail = differential.NotLoaded, err.Error()
			default:
				kind, detail = differential.Different, err.Error()
			}
		})
	}
	out, err := json.MarshalIndent(&b, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, out, 0o644); err != nil {
		t.Fatal(err)
	}
}
