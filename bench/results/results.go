// Package results is what the benchmarks have in common: figures in the format that
// benchstat reads, tables, and the sections of bench/RESULTS.md, each of which is
// written by the command that measures it.
package results

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
)

// A Figure is one measured value.
type Figure struct {
	Name  string // of a benchmark, with slashes between its parts, without blanks
	Value float64
	Unit  string // as benchstat has them: "ns/op", "insn/hit", "B/s"
}

// Set is figures in the order in which they were added.
type Set struct {
	Config  []string // "key: value"
	Figures []Figure
}

// Add adds a figure. What is not a number is left out.
func (s *Set) Add(name string, value float64, unit string) {
	if !math.IsNaN(value) {
		s.Figures = append(s.Figures, Figure{name, value, unit})
	}
}

// Get is the last figure of a name, NaN if there is none.
func (s *Set) Get(name string) float64 {
	for _, f := range slices.Backward(s.Figures) {
		if f.Name == name {
			return f.Value
		}
	}
	return math.NaN()
}

// Setting is the value of a key of the configuration, "" if there is none.
func (s *Set) Setting(key string) string {
	for _, c := range s.Config {
		if v, ok := strings.CutPrefix(c, key+": "); ok {
			return v
		}
	}
	return ""
}

// Merge replaces the figures and settings of the names in more, and adds those that are
// new.
func (s *Set) Merge(more *Set) {
	for _, c := range more.Config {
		key, _, _ := strings.Cut(c, ": ")
		i := slices.IndexFunc(s.Config, func(x string) bool { return strings.HasPrefix(x, key+": ") })
		if i < 0 {
			s.Config = append(s.Config, c)
		} else {
			s.Config[i] = c
		}
	}
	for _, f := range more.Figures {
		i := slices.IndexFunc(s.Figures, func(x Figure) bool { return x.Name == f.Name && x.Unit == f.Unit })
		if i < 0 {
			s.Figures = append(s.Figures, f)
		} else {
			s.Figures[i] = f
		}
	}
}

// Append writes the set to the end of w's text in the format of Go's benchmarks.
func (s *Set) Append(w *bytes.Buffer) {
	for _, c := range s.Config {
		fmt.Fprintln(w, c)
	}
	for _, f := range s.Figures {
		fmt.Fprintf(w, "Benchmark%s 1 %s %s\n", f.Name, strconv.FormatFloat(f.Value, 'f', -1, 64), f.Unit)
	}
}

// Read reads a file of figures. One that does not exist has none.
func Read(path string) (*Set, error) {
	s := &Set{}
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	sc := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; sc.Scan(); n++ {
		line := sc.Text()
		name, ok := strings.CutPrefix(line, "Benchmark")
		if !ok {
			if strings.Contains(line, ": ") {
				s.Config = append(s.Config, line)
			}
			continue
		}
		f := strings.Fields(name)
		if len(f) < 4 || len(f)%2 != 0 {
			return nil, fmt.Errorf("%s:%d: not a benchmark's line", path, n)
		}
		for i := 2; i < len(f); i += 2 {
			v, err := strconv.ParseFloat(f[i], 64)
			if err != nil {
				return nil, fmt.Errorf("%s:%d: %w", path, n, err)
			}
			s.Figures = append(s.Figures, Figure{f[0], v, f[i+1]})
		}
	}
	return s, sc.Err()
}

// Write writes a file of figures.
func (s *Set) Write(path string) error {
	var b bytes.Buffer
	s.Append(&b)
	return os.WriteFile(path, b.Bytes(), 0o644)
}

// head is what a new file of results begins with.
const head = `# What stapkit costs

Written by ` + "`make bench`" + ` (this machine, beside its peers) and ` + "`make bench-guest`" + ` (instructions in guests);
[NOTES.md](NOTES.md) tells what was tried to make it less. Figures in the form that benchstat reads
are in figures/ and, of earlier runs, in history/.
`

// Section replaces the section of a title, or adds it at the end.
func Section(path, title, text string) error {
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	old, heading := string(data), "## "+title+"\n"
	if err != nil {
		old = head
	}
	text = heading + "\n" + strings.TrimSpace(text) + "\n"
	before, rest, found := strings.Cut("\n"+old, "\n"+heading)
	before = strings.TrimSpace(before)
	after := ""
	if found {
		if i := strings.Index(rest, "\n## "); i >= 0 {
			after = "\n" + rest[i+1:]
		}
	}
	if before != "" {
		before += "\n\n"
	}
	return os.WriteFile(path, []byte(before+text+after), 0o644)
}

// A Table is what Markdown makes of rows.
type Table struct {
	Head []string
	Rows [][]string
}

// Row adds a row.
func (t *Table) Row(cells ...string) { t.Rows = append(t.Rows, cells) }

// String is the table in Markdown; all columns but the first are for numbers.
func (t *Table) String() string {
	var b strings.Builder
	line := func(cells []string) {
		b.WriteString("|")
		for i := range t.Head {
			c := ""
			if i < len(cells) {
				c = strings.ReplaceAll(cells[i], "|", `\|`)
			}
			b.WriteString(" " + c + " |")
		}
		b.WriteString("\n")
	}
	line(t.Head)
	b.WriteString("|---|" + strings.Repeat("---:|", len(t.Head)-1) + "\n")
	for _, r := range t.Rows {
		line(r)
	}
	return b.String()
}

// Number writes a value with the given number of decimals; NaN is a dash.
func Number(v float64, decimals int) string {
	if math.IsNaN(v) {
		return "–"
	}
	return strconv.FormatFloat(v, 'f', decimals, 64)
}

// Median is the middle of values, NaN of none.
func Median(v []float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	v = slices.Sorted(slices.Values(v))
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}
