//go:build linux

package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"

	"stapkit/bench/results"
	"stapkit/bench/workload"
)

// output measures the way from a printf in the kernel to a file.
func output(b *bench) string {
	const script = `probe syscall.openat { if (pid() == target()) printf("%s\n", user_string($filename)) }`
	const peer = `tracepoint:syscalls:sys_enter_openat /pid == cpid/ { printf("%s\n", str(args->filename)); }`
	bundle := b.path("output.o")
	if _, err := b.exec(b.path("stapc"), "-w", "-o", bundle, "-e", script); err != nil {
		b.fail("output", err)
		return ""
	}
	ours := []string{b.path("staprun"), "--allow-unsigned", bundle, "-c"}
	theirs := []string{"bpftrace", "-e", peer, "-c"}
	t := results.Table{Head: []string{"bytes in a record, records a second asked for", "stapkit: a second", "lost %", "CPU %", "bpftrace: a second", "lost %", "CPU %"}}
	for _, size := range []int{64, 192, 511} {
		for _, rate := range []int{50_000, 200_000, 0} {
			asked := "as many as can be"
			if rate > 0 {
				asked = strconv.Itoa(rate)
			}
			row := []string{fmt.Sprintf("%d, %s", size, asked)}
			for _, tool := range []string{"stapkit", "bpftrace"} {
				under := ours
				if tool == "bpftrace" {
					under = theirs
					if size > 200 || !b.has("bpftrace") {
						row = append(row, "–", "–", "–")
						continue
					}
				}
				var got, lost, cpu []float64
				for range b.times(3) {
					if b.late() {
						break
					}
					f, err := b.flow(size, rate, under)
					if err != nil {
						b.fail(fmt.Sprintf("%s, %d bytes, %s", tool, size, asked), err)
						break
					}
					got, lost, cpu = append(got, f.rate), append(lost, f.lost), append(cpu, f.cpu)
				}
				name := fmt.Sprintf("Output/bytes=%d/rate=%d/tool=%s", size, rate, tool)
				for i := range got {
					b.set.Add(name, got[i], "records/s")
					b.set.Add(name, lost[i], "lost-%")
					b.set.Add(name, cpu[i], "cpu-%")
				}
				row = append(row, results.Number(results.Median(got), 0), results.Number(results.Median(lost), 1), results.Number(results.Median(cpu), 0))
			}
			t.Row(row...)
		}
	}
	return `The names of files that a process opens, printed to a file: lines that arrived for each second that
the process worked, lost ones in per cent, and the processor time of the tool in per cent of one
processor. One processor makes the records, without pause where as many are asked for as can be.
Buffers are as large as they are by themselves (stapkit 4 MB, bpftrace 64 pages for each processor);
bpftrace's strings end at 200 bytes.

` + t.String()
}

type flow struct{ rate, lost, cpu float64 }

// flow runs the workload under a tool whose output goes to a file.
func (b *bench) flow(size, rate int, under []string) (flow, error) {
	n := 400_000
	if rate > 0 {
		n = rate * 3 / 2
	}
	if b.smoke {
		n = 2000
	}
	file, own := b.path("records"), b.path("worked")
	line := fmt.Sprintf("%s -o %s -l %d open %d 1", b.path("work"), own, size, n)
	if rate > 0 {
		line = fmt.Sprintf("%s -o %s -l %d -r %d open %d 1", b.path("work"), own, size, rate, n)
	}
	args := append([]string{"/bin/sh", "-c", `f=$1; shift; exec "$@" >"$f"`, "sh", file}, under...)
	o, err := b.execWith([]string{"BPFTRACE_STRLEN=200"}, append(args, line)...)
	if err != nil {
		return flow{}, err
	}
	f, err := os.Open(file)
	if err != nil {
		return flow{}, err
	}
	defer f.Close()
	lines := 0
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		if strings.HasPrefix(sc.Text(), "/no/such/file") {
			lines++
		}
	}
	if err := sc.Err(); err != nil {
		return flow{}, err
	}
	text, err := os.ReadFile(own)
	if err != nil {
		return flow{}, err
	}
	took, err := workload.Least(string(text), 1)
	if err != nil {
		return flow{}, fmt.Errorf("%w: %s", err, o.err)
	}
	worked := took * float64(n) / 1e9 // seconds, all of it on a processor
	return flow{
		rate: float64(lines) / worked,
		lost: 100 * float64(n-lines) / float64(n),
		cpu:  100 * max(o.cpu.Seconds()-worked, 0) / o.total.Seconds(),
	}, os.Remove(file)
}
