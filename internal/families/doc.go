// Package families lists the scripts that prove each family of probe points: what is
// probed, what sets it off a known number of times, and what has to be printed. Package
// guest runs them in kernels that can probe functions, package e2e those of programs
// here; the test of this package holds the lists against the forms that the language
// has, so that none is without proof.
package families

import (
	"fmt"
	"strings"
)

// A Script is run with a command that does something a known number of times.
type Script struct {
	Name    string
	Text    string
	Command string // of trigger; "": none
	Input   string // standard input
	Args    []string
	Want    string // exactly
	Match   string // regular expression, instead of Want
	Err     string // regular expression for standard error, "": there must be none
	Code    int
	Only    string // version of the kernel, architecture, or both: 6.12, amd64, 6.12-arm64
	Not     string // the same, where it cannot run
	Guru    bool
	Noisy   bool // what is told on standard error does not matter
}

// A Point is a probe point and how often it is hit, if a condition holds there.
type Point struct {
	At   string
	If   string // "" for always
	Hits int
	More bool // or more often
}

// A Batch counts the hits of many points in one run.
type Batch struct {
	Name    string
	Points  []Point
	Command string   // of trigger
	Args    []string // instead of Command
	Only    string   // as in Script, also Not
	Not     string
	Guru    bool
	Debug   bool   // needs the kernel's debugging information
	More    string // further probes of the script
}

// Script makes a script that prints how often each point is hit.
func (b *Batch) Script() string {
	var s strings.Builder
	s.WriteString("global hits\n")
	for i, p := range b.Points {
		count := fmt.Sprintf("hits[%d]++", i)
		if p.If != "" {
			count = fmt.Sprintf("if (%s) %s", p.If, count)
		}
		fmt.Fprintf(&s, "probe %s { %s }\n", p.At, count)
	}
	s.WriteString(b.More)
	fmt.Fprintf(&s, "probe end { for (i = 0; i < %d; i++) println(hits[i]) }\n", len(b.Points))
	return s.String()
}

// Check says which of the printed counts are not those that they have to be.
func (b *Batch) Check(out string) []string {
	got := strings.Fields(out)
	if len(got) != len(b.Points) {
		return []string{fmt.Sprintf("%d counts, not %d:\n%s", len(got), len(b.Points), out)}
	}
	var bad []string
	for i, p := range b.Points {
		n := 0
		if _, err := fmt.Sscan(got[i], &n); err != nil || n < p.Hits || n > p.Hits && !p.More {
			bad = append(bad, fmt.Sprintf("%s: %s hits, not %d", p.At, got[i], p.Hits))
		}
	}
	return bad
}

// bare is a kernel whose symbol table has functions only, so that neither variables nor
// what is exported are known, and which has no trampolines.
const bare = "6.1-arm64"

// What differs between machines, as scripts have it: the third argument of a function, the
// probed place, and numbers of system calls.
const (
	pc      = `%( arch == "arm64" %? register("pc") %: register("rip") %)`
	third   = `%( arch == "arm64" %? register("x2") %: register("rdx") %)`
	uthird  = `%( arch == "arm64" %? u_register("x2") %: u_register("rdx") %)`
	getppid = `%( arch == "arm64" %? 173 %: 110 %)`
	chdir   = `%( arch == "arm64" %? 49 %: 80 %)`
)

// Address stands in points for where a function or a variable lies in the running
// kernel, InFile for where it lies in the image of the kernel or of a module.
func Address(symbol string) string { return "{" + symbol + "}" }

// InFile is described at Address.
func InFile(module, symbol string) string { return "{" + module + ":" + symbol + "}" }
