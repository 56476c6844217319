// Package workload is the program that benchmarks probe (bench/c/work.c), and the
// programs written by hand that scripts are held against (bench/c/peer.bpf.c). Its
// functions expect to be called at the top of the repository.
package workload

import (
	"debug/elf"
	"fmt"
	"math"
	"os/exec"
	"strconv"
	"strings"

	telf "stapkit/target/elf"
)

// Build compiles the program.
func Build(out string, flags ...string) error {
	args := append([]string{"-O2", "-w"}, flags...)
	return run("gcc", append(args, "-o", out, "bench/c/work.c")...)
}

// BuildPeer compiles the programs written by hand.
func BuildPeer(out string) error {
	return run("clang", "-O2", "-g", "-target", "bpf", "-c", "bench/c/peer.bpf.c", "-o", out)
}

func run(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", name, err, out)
	}
	return nil
}

// Mark is where in the program's file its mark is.
func Mark(program string) (uint64, error) {
	f, err := telf.Open(program)
	if err != nil {
		return 0, err
	}
	marks, err := f.Marks()
	if err != nil {
		return 0, err
	}
	if len(marks) != 1 {
		return 0, fmt.Errorf("%s has %d marks", program, len(marks))
	}
	e, err := elf.Open(program)
	if err != nil {
		return 0, err
	}
	defer e.Close()
	for _, p := range e.Progs {
		if at := marks[0].Addr; p.Type == elf.PT_LOAD && at >= p.Vaddr && at < p.Vaddr+p.Filesz {
			return at - p.Vaddr + p.Off, nil
		}
	}
	return 0, fmt.Errorf("%s: its mark is in no segment", program)
}

// Least is the least of the times in the program's line, which is sought in an output that
// may have lines of others.
func Least(output string, rounds int) (float64, error) {
next:
	for line := range strings.Lines(output) {
		f := strings.Fields(line)
		if len(f) != rounds {
			continue
		}
		least := math.Inf(1)
		for _, x := range f {
			v, err := strconv.ParseFloat(x, 64)
			if err != nil {
				continue next
			}
			least = min(least, v)
		}
		return least, nil
	}
	return 0, fmt.Errorf("the workload's line is not among %d bytes of output", len(output))
}
