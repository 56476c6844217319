package irgen

import (
	"testing"

	"stapkit/ir"
)

// TestWellFormed makes many programs of every kind: each passes Check, runs,
// does the same again, and after having been encoded.
func TestWellFormed(t *testing.T) {
	n := 3000
	if testing.Short() {
		n = 300
	}
	errors, prints := 0, 0
	for seed := range uint64(n) {
		o := Options{Features: All, Kernel: seed%2 == 1, Size: 4 + int(seed%30)}
		if seed%5 == 0 {
			o.Features &^= SmallLims
		}
		p := New(seed, o)
		if err := ir.Check(p); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		args := []int64{int64(seed), -1, 1 << 40, 0}
		a, err := Run(p, 2, args...)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		b, err := ir.EncodeAll(p)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		q, err := ir.Decode(b)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		again, err := Run(q, 2, args...)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if a.String() != again.String() {
			t.Fatalf("seed %d: decoded program differs:\n%s\n%s", seed, a, again)
		}
		for _, e := range a.Errors {
			if e != "" {
				errors++
			}
		}
		prints += len(a.Output)
	}
	if errors < n/20 || prints < n*20 {
		t.Errorf("%d programs with %d errors and %d bytes of output: they do not do enough", n, errors, prints)
	}
	t.Logf("%d programs, %d errors, %d bytes of output", n, errors, prints)
}

// TestFeatures sees that what is not asked for is not there.
func TestFeatures(t *testing.T) {
	for seed := range uint64(300) {
		p := New(seed, Options{Features: Loops})
		for _, h := range p.Handlers {
			h.Walk(func(s ir.Stmt) {
				switch s.(type) {
				case *ir.Foreach, *ir.Try, *ir.ForeachHist, *ir.PrintHist:
					t.Errorf("seed %d: %T", seed, s)
				}
			}, func(x ir.Expr) {
				if x.Type().Kind == ir.Str {
					t.Errorf("seed %d: %T is a string", seed, x)
				}
				switch x.(type) {
				case *ir.IndexGet, *ir.Call, *ir.Match, *ir.CtxArg, *ir.StatGet:
					t.Errorf("seed %d: %T", seed, x)
				}
			})
		}
	}
}

// TestShrink shrinks to the one statement that matters.
func TestShrink(t *testing.T) {
	fails := func(p *ir.Program) bool {
		found := false
		for _, h := range p.Handlers {
			h.Walk(nil, func(x ir.Expr) {
				if b, ok := x.(*ir.Binary); ok && b.Op == ir.OpXor {
					found = true
				}
			})
		}
		return found
	}
	shrunk := 0
	for seed := range uint64(40) {
		p := New(seed, Options{Features: All, Size: 30})
		if !fails(p) {
			continue
		}
		q := Shrink(p, 5000, fails)
		if err := ir.Check(q); err != nil {
			t.Fatal(err)
		}
		if !fails(q) {
			t.Fatal("shrunk too far")
		}
		n := 0
		for _, h := range q.Handlers {
			h.Walk(func(ir.Stmt) { n++ }, nil)
		}
		if n != 1 {
			t.Errorf("seed %d: %d statements left", seed, n)
		}
		shrunk++
	}
	if shrunk == 0 {
		t.Fatal("nothing to shrink")
	}
}

func FuzzPrograms(f *testing.F) {
	f.Add([]byte("abcdefghijklmnop"), uint32(All))
	f.Add([]byte("\x08\x05\x03\x00\x12\x77\x01\x02\x09\x13\x30\x04\x05"), uint32(Arrays|Loops|Strings))
	f.Fuzz(func(t *testing.T, b []byte, features uint32) {
		p := FromBytes(b, Options{Features: Feature(features)})
		if err := ir.Check(p); err != nil {
			t.Fatal(err)
		}
		if _, err := Run(p, 1); err != nil {
			t.Fatal(err)
		}
	})
}
