// Package differential is the long comparison of the two executions of handlers:
// random programs run in the kernel and on the interpreter. Its command,
// internal/differential/run, lets the test of compile/ebpf do them in batches and
// adds up what the batches wrote.
package differential

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// The environment by which a batch is told what to do: the first seed, how many,
// and the file for the result.
const (
	EnvFirst = "STAPKIT_DIFFERENTIAL_FIRST"
	EnvCount = "STAPKIT_DIFFERENTIAL_COUNT"
	EnvFile  = "STAPKIT_DIFFERENTIAL_FILE"
)

// Kind is what became of a program.
type Kind string

// The kinds.
const (
	Equal     Kind = "equal"      // all that can be seen is the same
	Different Kind = "different"  // it is not
	NotLoaded Kind = "not loaded" // the kernel refused what was generated
	Refused   Kind = "refused"    // the compiler refused the program
	Failed    Kind = "failed"     // the test itself went wrong
)

// Kinds are all kinds, the good one first.
var Kinds = []Kind{Equal, Refused, NotLoaded, Different, Failed}

// Batch is a run of seeds.
type Batch struct {
	First, Count int
	// Where it ran.
	Commit, Kernel string
	// Programs of each kind.
	Kinds map[Kind]int
	// Cases are the programs that are not equal.
	Cases []Case
}

// Case is a program that is not equal in both executions.
type Case struct {
	Seed   int
	Kind   Kind
	Detail string // cut to a readable length
}

// Add counts a program.
func (b *Batch) Add(k Kind, seed int, detail string) {
	if b.Kinds == nil {
		b.Kinds = map[Kind]int{}
	}
	b.Kinds[k]++
	if k == Equal {
		return
	}
	if n := 600; len(detail) > n {
		detail = strings.ToValidUTF8(detail[:n], "") + " ..."
	}
	b.Cases = append(b.Cases, Case{Seed: seed, Kind: k, Detail: detail})
}

// Summary adds batches up.
func Summary(batches []*Batch) string {
	kinds, where, reasons, total := map[Kind]int{}, map[string]int{}, map[string]int{}, 0
	for _, b := range batches {
		for k, n := range b.Kinds {
			kinds[k] += n
			total += n
		}
		where[b.Commit+", Linux "+b.Kernel] += b.Count
		for _, c := range b.Cases {
			if c.Kind == Refused {
				reasons[reason(c.Detail)]++
			}
		}
	}
	var s strings.Builder
	fmt.Fprintf(&s, "%d programs", total)
	for _, k := range Kinds {
		if kinds[k] > 0 || k != Failed {
			fmt.Fprintf(&s, ", %d %s", kinds[k], k)
		}
	}
	s.WriteByte('\n')
	for _, w := range slices.Sorted(maps.Keys(where)) {
		fmt.Fprintf(&s, "  %d at %s\n", where[w], w)
	}
	for _, r := range slices.Sorted(maps.Keys(reasons)) {
		fmt.Fprintf(&s, "  refused: %d times %s\n", reasons[r], r)
	}
	for _, b := range batches {
		for _, c := range b.Cases {
			if c.Kind != Refused {
				line, _, _ := strings.Cut(c.Detail, "\n")
				fmt.Fprintf(&s, "  seed %d %s: %s\n", c.Seed, c.Kind, line)
			}
		}
	}
	return s.String()
}

// reason is what a refusal says, without the place.
func reason(detail string) string {
	line, _, _ := strings.Cut(detail, "\n")
	if i := strings.Index(line, ": error: "); i >= 0 {
		line = line[i+len(": error: "):]
	}
	return line
}
