package ebpf

import (
	"errors"
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
	p, diags := seededOf(seed, features, []int{12, 12, 5, 12, 40, 12, 25})
	if diag.HasErrors(diags) {
		t.Skip(diags)
	}
	return p
}

// seededOf is seeded with the numbers of statements to choose from, and with what
// planning says.
func seededOf(seed uint64, features irgen.Feature, sizes []int) (*ir.Program, []diag.Diagnostic) {
	lengths := []int{64, 64, 100, 512, 24}
	p := irgen.New(seed, irgen.Options{Features: features, Kernel: true, StringLen: lengths[seed%5], Size: sizes[seed%uint64(len(sizes))]})
	if seed%16 == 9 { // several probes with one handler
		p = irgen.Crowd(p, 9, seed)
	}
	if seed%2 == 1 {
		if diags := plan.Apply(p); diag.HasErrors(diags) {
			return nil, diags
		}
	}
	if seed%7 == 3 {
		for i := range p.Globals {
			p.Globals[i].Generations = p.Globals[i].IsArray() && p.Globals[i].Share != ir.LoaderOnly
		}
	}
	return p, nil
}

// TestSeedsLoad loads random programs, most with locks, as programs of the types
// that cannot be run for a test.
func TestSeedsLoad(t *testing.T) {
	needKernel(t)
	n := 24
	if testing.Short() {
		n = 6
	}
	for i := range n {
		seed := uint64(40001 + 2*i)
		for _, c := range []struct {
			ctx     ir.Context
			carrier string
			target  string
		}{
			{ir.CtxKprobe, "uprobe", ""}, {ir.CtxPerf, "perf", ""}, {ir.CtxBTFTP, "tp_btf", "sched_switch"},
		} {
			p := seeded(t, seed, irgen.All&^irgen.Context)
			for j, h := range p.Handlers {
				h.Ctx = c.ctx
				p.Probes[j].Attach[0] = ir.Attach{Carrier: c.carrier, Target: c.target, Handler: j}
			}
			if p.Locks == 0 {
				p.Locks = 1
				for g := range p.Globals {
					p.Globals[g].Lock = 0
				}
				for _, h := range p.Handlers {
					h.Body = append([]ir.Stmt{&ir.Lock{ID: 0}}, h.Body...)
				}
			}
			_, err := tryLoad(t, p)
			var r *refused
			if errors.As(err, &r) && r.unsupported() {
				continue
			}
			if err != nil {
				t.Errorf("seed %d, %s: %v\n%s", seed, c.carrier, err, dump(p))
			}
		}
	}
}
