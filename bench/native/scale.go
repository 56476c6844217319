//go:build linux

package main

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"stapkit/bench/results"
	"stapkit/bench/workload"
)

// A curve is what something takes at several sizes, in milliseconds.
type curve struct {
	title, name string
	sizes       []int
	took        []float64
}

// exponent is how the time grows between the last two sizes that were measured, beyond
// the least that any takes, which is what does not depend on the size: 1 is linear.
func (c *curve) exponent() float64 {
	n := len(c.took)
	if n < 3 {
		return none
	}
	least := slices.Min(c.took)
	a, z := c.took[n-2]-least, c.took[n-1]-least
	if a <= 0.2 || z <= 0 { // milliseconds: nothing to tell growth by
		return none
	}
	return math.Log(z/a) / math.Log(float64(c.sizes[n-1])/float64(c.sizes[n-2]))
}

func (c *curve) row(t *results.Table, head []int) {
	cells := []string{c.title}
	for _, n := range head {
		cell := ""
		for i, s := range c.sizes {
			if s == n {
				cell = results.Number(c.took[i], 1)
			}
		}
		cells = append(cells, cell)
	}
	t.Row(append(cells, results.Number(c.exponent(), 2))...)
}

// curve measures at sizes until the part's time is over or something fails.
func (b *bench) curve(title, name string, sizes []int, times int, run func(n int) (time.Duration, error)) *curve {
	c := &curve{title: title, name: name}
	for _, n := range sizes {
		var took []float64
		for range b.times(times) {
			if b.late() {
				break
			}
			d, err := run(n)
			if err != nil {
				b.fail(fmt.Sprintf("%s, %d", title, n), err)
				return c
			}
			took = append(took, d.Seconds()*1e3)
			b.set.Add(fmt.Sprintf("Growth/%s/n=%d", name, n), float64(d.Nanoseconds()), "ns/op")
		}
		if len(took) == 0 {
			return c
		}
		c.sizes, c.took = append(c.sizes, n), append(c.took, results.Median(took))
	}
	return c
}

func (b *bench) sizes(all ...int) []int {
	if b.smoke {
		return all[:2]
	}
	return all
}

func scale(b *bench) string {
	var out strings.Builder
	out.WriteString(`Milliseconds at growing sizes. "Growth" is the exponent between the last two sizes, beyond the least
that any size takes: 1 is linear, n log n somewhat above.
`)
	table := func(sizes []int, what string, curves ...*curve) {
		head := []string{what}
		for _, n := range sizes {
			head = append(head, strconv.Itoa(n))
		}
		t := results.Table{Head: append(head, "growth")}
		for _, c := range curves {
			c.row(&t, sizes)
		}
		out.WriteString("\n" + t.String())
	}

	lines := b.sizes(1, 10, 100, 1000, 10_000)
	timed := func(args ...string) (time.Duration, error) {
		o, err := b.exec(args...)
		if err != nil {
			return 0, err
		}
		return o.total, nil
	}
	file := func(n int) string { return b.path(fmt.Sprintf("lines%d.stp", n)) }
	for _, n := range lines {
		if err := os.WriteFile(file(n), []byte(script(n)), 0o600); err != nil {
			b.fail("a script", err)
		}
	}
	table(lines, "lines of script",
		b.curve("stap -p2", "elaborate", lines, 3, func(n int) (time.Duration, error) { return timed(b.path("stap"), "-w", "-p2", file(n)) }),
		b.curve("stapc", "compile", lines, 2, func(n int) (time.Duration, error) {
			return timed(b.path("stapc"), "-w", "-o", b.path("lines.o"), file(n))
		}),
		b.curve("stapfmt", "format", lines, 3, func(n int) (time.Duration, error) {
			return timed("/bin/sh", "-c", `"$@" >/dev/null; [ $? -lt 2 ]`, "sh", b.path("stapfmt"), "-l", file(n))
		}),
		b.curve("staplint", "lint", lines, 2, func(n int) (time.Duration, error) {
			return timed("/bin/sh", "-c", `"$@" >/dev/null; [ $? -lt 2 ]`, "sh", b.path("staplint"), file(n))
		}))

	points := b.sizes(1, 10, 100, 1000, 5000)
	runs := map[int]*outcome{}
	arm := b.curve("until all are armed", "points", points, 3, func(n int) (time.Duration, error) {
		prog, err := b.manyFunctions(n)
		if err != nil {
			return 0, err
		}
		bundle := b.path("points.o")
		if _, err := b.exec(b.path("stapc"), "-w", "-o", bundle, "-e", fmt.Sprintf(`global n probe process(%q).function("many_*") { n++ }`, prog)); err != nil {
			return 0, err
		}
		o, err := b.exec(b.path("staprun"), "--allow-unsigned", bundle, "-c", "/bin/echo armed")
		if err != nil {
			return 0, err
		}
		runs[n] = o
		return o.armed, nil
	})
	compile := b.curve("stapc", "points_compile", points, 2, func(n int) (time.Duration, error) {
		return timed(b.path("stapc"), "-w", "-o", b.path("points.o"), "-e", fmt.Sprintf(`global n probe process(%q).function("many_*") { n++ }`, b.path(fmt.Sprintf("many%d", n))))
	})
	leave := b.curve("from the end of the command until all are removed", "points_remove", points, 1, func(n int) (time.Duration, error) {
		if o := runs[n]; o != nil {
			return o.total - o.armed, nil
		}
		return 0, fmt.Errorf("it was not run")
	})
	table(points, "functions of a program probed", compile, arm, leave)

	entries := b.sizes(1, 1000, 10_000, 100_000, 1_000_000)
	kinds := map[string]*curve{}
	order := []string{"drain", "foreach", "sort", "first"}
	titles := map[string]string{
		"drain":   "from the last hit until the end probe: all is read from the kernel",
		"foreach": "foreach in the end probe", "sort": "foreach in the end probe, sorted by value",
		"first": "foreach in the end probe, the first five sorted by value",
	}
	for _, k := range order {
		kinds[k] = &curve{title: titles[k], name: "entries_" + k}
	}
	for _, n := range entries {
		if b.late() {
			break
		}
		all := map[string][]float64{}
		for range b.times(3) {
			took, err := b.entries(n)
			if err != nil {
				b.fail(fmt.Sprintf("%d entries", n), err)
				break
			}
			for _, k := range order {
				all[k] = append(all[k], took[k])
				b.set.Add(fmt.Sprintf("Growth/entries_%s/n=%d", k, n), took[k]*1e6, "ns/op")
			}
		}
		if len(all) == 0 {
			break
		}
		for k, took := range all {
			kinds[k].sizes, kinds[k].took = append(kinds[k].sizes, n), append(kinds[k].took, results.Median(took))
		}
	}
	table(entries, "entries of an array that a handler in the kernel filled", kinds["drain"], kinds["foreach"], kinds["sort"], kinds["first"])
	out.WriteString("\n" + b.keys())
	return out.String()
}

// script is a script of about n lines, of parts as people write them.
func script(n int) string {
	var b strings.Builder
	b.WriteString("probe begin { exit() }\n")
	for i, lines := 0, 1; lines+14 <= n; i, lines = i+1, lines+14 {
		fmt.Fprintf(&b, `global seen%[1]d, sizes%[1]d
function scale%[1]d(value, by) {
	if (by == 0)
		return value
	return value * by / %[2]d
}
probe kernel.trace("sched_switch") {
	seen%[1]d[execname(), pid()]++
	sizes%[1]d <<< scale%[1]d(cpu(), 2)
}
probe end {
	foreach ([who, id] in seen%[1]d- limit 10)
		printf("%%16s %%6d %%d %%d\n", who, id, seen%[1]d[who, id], @count(sizes%[1]d))
}
`, i, i%7+1)
	}
	return b.String()
}

// entries has a handler in the kernel fill an array, and tells what the end probe takes
// to do with it, in milliseconds.
func (b *bench) entries(n int) (map[string]float64, error) {
	text := fmt.Sprintf(`global a[%d], last
probe process(%q).mark("tick") { a[$arg1] = $arg1 * 7919 %% 1000003; last = gettimeofday_us() }
probe end {
	t0 = gettimeofday_us()
	foreach (k in a) s += a[k]
	t1 = gettimeofday_us()
	foreach (k in a-) s += k
	t2 = gettimeofday_us()
	foreach (k in a- limit 5) s += k
	t3 = gettimeofday_us()
	printf("took %%d %%d %%d %%d %%d\n", t1 - t0, t2 - t1, t3 - t2, t0 - last, s)
}`, n+1, b.path("work"))
	bundle := b.path("entries.o")
	if _, err := b.exec(b.path("stapc"), "-w", "-D", "MAXACTION=1000000000", "-o", bundle, "-e", text); err != nil {
		return nil, err
	}
	o, err := b.exec(b.path("staprun"), "--allow-unsigned", bundle, "-c", fmt.Sprintf("%s mark %d 1", b.path("work"), n))
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(o.out) {
		var t [4]float64
		var sum int64
		if _, err := fmt.Sscanf(line, "took %f %f %f %f %d", &t[0], &t[1], &t[2], &t[3], &sum); err == nil {
			return map[string]float64{"foreach": t[0] / 1e3, "sort": t[1] / 1e3, "first": t[2] / 1e3, "drain": t[3] / 1e3}, nil
		}
	}
	return nil, fmt.Errorf("the end probe's line is not there: %s%s", o.out, o.err)
}

// keys measures arrays with several text keys of several widths.
func (b *bench) keys() string {
	widths := []int{8, 32, 128, 511}
	head := []string{"nanoseconds for a[…]++ with text keys"}
	for _, w := range widths {
		head = append(head, fmt.Sprintf("of %d bytes", w))
	}
	t := results.Table{Head: append(head, "growth by bytes")}
	h := &hitting{b: b, work: b.path("work"), cpus: 1}
	base := h.run("open, alone", "open")
	counts := []int{1, 3, 9}
	if b.smoke {
		counts = counts[:1]
	}
	for _, n := range counts {
		cells := []string{fmt.Sprintf("%d", n)}
		c := &curve{}
		for _, w := range widths {
			if b.late() {
				break
			}
			keys := strings.TrimSuffix(strings.Repeat(fmt.Sprintf("user_string_n2($filename, %d, \"\"), ", w), n), ", ")
			bundle := b.path("keys.o")
			if _, err := b.exec(b.path("stapc"), "-w", "-o", bundle, "-e", fmt.Sprintf("global a probe syscall.openat { if (pid() == target()) a[%s]++ }", keys)); err != nil {
				if strings.Contains(err.Error(), "the most is") {
					cells = append(cells, "refused")
				} else {
					b.fail(fmt.Sprintf("%d keys of %d bytes", n, w), err)
					cells = append(cells, "–")
				}
				continue
			}
			args := []string{b.path("staprun"), "--allow-unsigned", bundle, "-c"}
			count := 20_000
			if b.smoke {
				count = 500
			}
			o, err := b.exec(append(args, fmt.Sprintf("%s -l %d open %d 4", h.work, w, count))...)
			var v float64
			if err == nil {
				v, err = workload.Least(o.out, 4)
			}
			if err != nil {
				b.fail(fmt.Sprintf("%d keys of %d bytes", n, w), err)
				cells = append(cells, "–")
				continue
			}
			v -= base
			b.set.Add(fmt.Sprintf("Keys/n=%d/bytes=%d", n, w), v, "ns/op")
			c.sizes, c.took = append(c.sizes, w), append(c.took, v)
			cells = append(cells, results.Number(v, 0))
		}
		for len(cells) < len(widths)+1 {
			cells = append(cells, "–")
		}
		t.Row(append(cells, results.Number(c.exponent(), 2))...)
	}
	return t.String()
}
