//go:build linux

package tapsets_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"stapkit/internal/host"
)

// memoryWant is what testdata/memory.stp prints of testdata/memory.c, by the number
// of the line.
var memoryWant = map[string]string{
	"1":  `tab	quote" end|tab|"tab\tquote\" end"|"tab\tq"|"tab"...|"tab"`,
	"2":  `dflt|d2||x|y||0x8|NULL|0x8|tab	quote" end`,
	"3":  `|w1|w2|<unknown>|w3|w4|tab	quote" end`,
	"4":  `"\377\200\000a\"\n\310\001"|"\377"...|0x8|NULL|""`,
	"5":  `-1 -32513 33023 29887010 -2 9223372032559808513 -128 128 -32513 33023 -2 4294967294 -2 9223372032559808513`,
	"6":  `000000000 -2`,
	"7":  "read fault [man error::fault] at 0x8\nuser string copy fault -14 at 0x8 [man error::fault]\nread fault [man error::fault] at 0x10\nread fault [man error::fault] at 0x10",
	"8":  `hé€😀|hé€😀|"h\u00E9\u20AC\U0001F600"|none|none|0x8|bad`,
	"9":  `"tab\tquote\" end"|none|0x8|"memory\000"|"me"...`,
	"10": `-5 4294967291 4294967291 -5 -1 -3 4294967293 -1 -1 77 -8`,
	"11": `1 -5 4294967291 1 1 1 088`,
	"12": "unknown register: bogus\ncannot access arg(0)",
	"13": `PROGRAM one two|one||PROGRAM,one|one;two|of mine||511`,
	"14": `memory |1 1 10`,
}

// TestMemory checks what is read of a program: strings, numbers, registers,
// arguments, command line and environment.
func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "memory")
	if b, err := exec.Command("gcc", "-O1", "-o", program, "testdata/memory.c").CombinedOutput(); err != nil {
		t.Skipf("the program cannot be built: %v\n%s", err, b)
	}
	script, err := os.ReadFile("testdata/memory.stp")
	if err != nil {
		t.Fatal(err)
	}
	there := "/t/memory"
	var stap string
	var run func(string) string
	if why := host.BPF(); why == "" {
		stap, run, there = hostStap(t, dir), onHost(t), program
	} else {
		t.Logf("in a guest: %s", why)
		stap, run = "/bin/stap", inGuest(t, map[string]string{there: program})
	}
	out := run(fmt.Sprintf("cd %s; chmod +x memory; cat > memory.stp <<'EOF'\n%sEOF\nexport MEMORY='of mine' LONG=$(printf %%0600d 5)\n%s -w memory.stp -c '%s one two'\n",
		filepath.Dir(there), strings.ReplaceAll(string(script), "PROGRAM", there), stap, there))
	got := map[string][]string{}
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		n, rest, _ := strings.Cut(line, " ")
		got[n] = append(got[n], rest)
	}
	for n, want := range memoryWant {
		lines := strings.Split(strings.ReplaceAll(want, "PROGRAM", there), "\n")
		// Probes of one place run in no particular order.
		if !sameLines(got[n], lines) {
			t.Errorf("line %s: %q, not %q", n, got[n], lines)
		}
		delete(got, n)
	}
	for n, lines := range got {
		t.Errorf("unexpected line %s %q", n, lines)
	}
}

func sameLines(a, b []string) bool {
	count := map[string]int{}
	for _, l := range a {
		count[l]++
	}
	for _, l := range b {
		count[l]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}
