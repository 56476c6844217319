package query

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// TestSupersededElaboration: who gives up gets nothing and lets others have their
// answer; what nobody waits for is begun anew for who asks later.
func TestSupersededElaboration(t *testing.T) {
	env, err := Open(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer env.Close()
	var b strings.Builder
	for i := range 200 {
		fmt.Fprintf(&b, "probe timer.s(%d) { x = %d; println(x) }\n", i+1, i)
	}
	for round := range 20 {
		s := env.Snapshot("/x.stp", []byte(b.String()))
		ended, end := context.WithCancel(context.Background())
		end()
		if s.ProgramBy(ended) != nil {
			t.Fatal("a program for a request that has ended")
		}
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		wg.Add(2)
		go func() { defer wg.Done(); s.ProgramBy(ctx) }()
		go func() {
			defer wg.Done()
			if round%2 == 0 { // somebody who stays
				if p := s.Program(); p == nil || p.Cancelled {
					t.Error("the elaboration of another was stopped")
				}
			}
		}()
		cancel()
		wg.Wait()
		p := s.Program()
		if p == nil || p.Cancelled || len(p.Probes) != 200 {
			t.Fatalf("round %d: no whole program for who asks later", round)
		}
		if s.Program() != p {
			t.Fatal("elaborated twice")
		}
	}
}
