package main

import (
	"bytes"
	_ "embed" // tables.txt
	"errors"
	"fmt"
	"math/bits"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

//go:embed tables.txt
var tablesText string

// entry is a number with its name.
type entry struct {
	value int64
	name  string
}

// table is one line of tables.txt.
type table struct {
	name     string
	flags    bool
	def      string
	from     []string
	mask     int64
	low      string // table of the bits of mask
	whole    []string
	x86      []string
	as       string
	bare     bool // names lose what is before their first "_", and that
	num      bool // there is a function from names to numbers too
	max      int64
	patterns []string
}

// parseTables reads tables.txt.
func parseTables(text string) ([]*table, error) {
	var out []*table
	for i, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		bad := func(format string, args ...any) error {
			return fmt.Errorf("tables.txt:%d: %s", i+1, fmt.Sprintf(format, args...))
		}
		head, names, ok := strings.Cut(line, " :")
		f := strings.Fields(head)
		if !ok || len(f) < 2 || f[1] != "enum" && f[1] != "flags" {
			return nil, bad("want: NAME enum|flags [option…] : PATTERN…")
		}
		t := &table{name: f[0], flags: f[1] == "flags", def: "0x%x", patterns: strings.Fields(names)}
		for _, o := range f[2:] {
			key, v, _ := strings.Cut(o, "=")
			switch key {
			case "bare":
				t.bare = true
			case "num":
				t.num = true
			case "from":
				t.from = append(t.from, v)
			case "default":
				t.def = v
			case "whole":
				t.whole = strings.Split(v, ",")
			case "x86":
				t.x86 = strings.Split(v, ",")
			case "as":
				t.as = v
			case "max":
				n, err := strconv.ParseInt(v, 0, 64)
				if err != nil {
					return nil, bad("%v", err)
				}
				t.max = n
			case "mask":
				n, low, _ := strings.Cut(v, ":")
				m, err := strconv.ParseInt(n, 0, 64)
				if err != nil || low == "" || !t.flags {
					return nil, bad("mask=NUMBER:TABLE is for flags")
				}
				t.mask, t.low = m, low
			default:
				return nil, bad("unknown option %s", o)
			}
		}
		out = append(out, t)
	}
	return out, nil
}

// entries gives the table's entries from the constants of an architecture, and
// those of whole. missing are names that it does not have.
func (t *table) entries(arch string, c *constants) (list, whole []entry, missing []string, err error) {
	get := func(name string) (int64, bool) {
		v, ok := c.value[name]
		return v, ok
	}
	all := c.order
	for _, h := range t.from {
		hc, err := headerConstants(h)
		if err != nil {
			return nil, nil, nil, err
		}
		old, names := get, hc.order
		get = func(name string) (int64, bool) {
			if v, ok := hc.value[name]; ok {
				return v, true
			}
			return old(name)
		}
		all = append(all[:len(all):len(all)], names...)
	}
	var not []string
	for _, p := range t.patterns {
		if p[0] == '!' {
			not = append(not, p[1:])
		}
	}
	excluded := func(name string) bool {
		for _, p := range not {
			if ok, _ := path.Match(p, name); ok {
				return true
			}
		}
		return false
	}
	seen := map[int64]bool{}
	add := func(name string, v int64) {
		if seen[v] || t.max > 0 && v > t.max {
			return
		}
		seen[v] = true
		if t.as != "" || t.bare {
			_, rest, _ := strings.Cut(name, "_")
			name = t.as + rest
		}
		list = append(list, entry{v, name})
	}
	for _, p := range t.patterns {
		switch {
		case p[0] == '!':
		case strings.Contains(p, "*"):
			n := len(list)
			for _, name := range all {
				if ok, _ := path.Match(p, name); !ok || excluded(name) {
					continue
				}
				v, _ := get(name)
				if t.flags && bits.OnesCount64(uint64(v)) != 1 {
					continue
				}
				add(name, v)
			}
			if len(list) == n {
				return nil, nil, nil, fmt.Errorf("table %s: %s brings in nothing", t.name, p)
			}
		default:
			v, ok := get(p)
			if !ok {
				missing = append(missing, p)
				continue
			}
			add(p, v)
		}
	}
	if arch == "x86_64" {
		for _, x := range t.x86 {
			name, h, _ := strings.Cut(x, "@")
			hc, err := headerConstants(h)
			if err != nil {
				return nil, nil, nil, err
			}
			v, ok := hc.value[name]
			if !ok {
				return nil, nil, nil, fmt.Errorf("table %s: %s does not define %s", t.name, h, name)
			}
			add(name, v)
		}
	}
	for _, name := range t.whole {
		v, ok := get(name)
		if !ok {
			missing = append(missing, name)
			continue
		}
		whole = append(whole, entry{v, name})
	}
	if t.flags {
		// A flag of several bits stays only where it is asked for by its name.
		list = slices.DeleteFunc(list, func(e entry) bool {
			return slices.ContainsFunc(whole, func(w entry) bool { return w.value == e.value })
		})
	}
	sort.Slice(list, func(i, j int) bool { return list[i].value < list[j].value })
	return list, whole, missing, nil
}

// variants are a table's entries by architecture.
type variants struct {
	*table
	list, whole map[string][]entry
}

// expandTables looks up the constants of all tables for all architectures.
func expandTables(tables []*table) ([]variants, error) {
	consts := map[string]*constants{}
	for _, a := range arches {
		c, err := goConstants(a.goarch)
		if err != nil {
			return nil, err
		}
		consts[a.stap] = c
	}
	var out []variants
	var bad []error
	for _, t := range tables {
		v := variants{t, map[string][]entry{}, map[string][]entry{}}
		absent := map[string]int{}
		for _, a := range arches {
			list, whole, missing, err := t.entries(a.stap, consts[a.stap])
			if err != nil {
				bad = append(bad, err)
				break
			}
			for _, m := range missing {
				absent[m]++
			}
			v.list[a.stap], v.whole[a.stap] = list, whole
		}
		for m, n := range absent {
			if n == len(arches) {
				bad = append(bad, fmt.Errorf("table %s: there is no constant %s", t.name, m))
			}
		}
		out = append(out, v)
	}
	return out, errors.Join(bad...)
}

// groups gives the architectures by what they have in common, the first of each
// leading.
func (v *variants) groups() [][]string {
	var out [][]string
next:
	for _, a := range arches {
		for i, g := range out {
			if slices.Equal(v.list[a.stap], v.list[g[0]]) && slices.Equal(v.whole[a.stap], v.whole[g[0]]) {
				out[i] = append(g, a.stap)
				continue next
			}
		}
		out = append(out, []string{a.stap})
	}
	return out
}

// tableName is the name of a table for an architecture: that of the first group has
// no suffix.
func (v *variants) tableName(arch string) string {
	if arch == arches[0].stap {
		return v.name
	}
	return v.name + "_" + arch
}

// writeTables makes tables_gen.go.
func writeTables(all []variants, numbers map[string]map[int64]string) []byte {
	var b bytes.Buffer
	b.WriteString(header)
	b.WriteString("var tables = map[string]Table{\n")
	write := func(name string, flags bool, def string, list []entry) {
		fmt.Fprintf(&b, "%q: {", name)
		if flags {
			b.WriteString("Flags: true, ")
		}
		if def != "" {
			fmt.Fprintf(&b, "Default: %q, ", def)
		}
		b.WriteString("Entries: []Entry{\n")
		for _, e := range list {
			fmt.Fprintf(&b, "{%d, %q},\n", e.value, e.name)
		}
		b.WriteString("}},\n")
	}
	count := func(n int, text func(int) string) (list []entry) {
		for i := 1; i <= n; i++ {
			if s := text(i); s != "" {
				list = append(list, entry{int64(i), s})
			}
		}
		return list
	}
	errno := count(133, func(i int) string {
		if name := unix.ErrnoName(syscall.Errno(i)); name != "ENOTSUP" {
			return name
		}
		return "EOPNOTSUPP" // the same number; the kernel knows this name
	})
	write("errno", false, "", append(errno, kernelErrors...))
	write("signal", false, "", count(31, func(i int) string { return strings.TrimPrefix(unix.SignalName(syscall.Signal(i)), "SIG") }))
	for _, v := range all {
		for _, g := range v.groups() {
			write(v.tableName(g[0]), v.flags, v.def, v.list[g[0]])
		}
	}
	calls := func(arch string) (list []entry) {
		for n, name := range numbers[arch] {
			list = append(list, entry{n, name})
		}
		sort.Slice(list, func(i, j int) bool { return list[i].value < list[j].value })
		return list
	}
	write("syscall_i386", false, "", calls("i386")) // of 32-bit programs on x86_64
	for _, a := range arches {
		list := calls(a.stap)
		name := "syscall"
		if a.stap != arches[0].stap {
			name += "_" + a.stap
		}
		write(name, false, "", list)
		// The same by name, for a search: the names in order, and their numbers as text.
		sort.Slice(list, func(i, j int) bool { return list[i].name < list[j].name })
		names, texts := make([]entry, len(list)), make([]entry, len(list))
		for i, e := range list {
			names[i], texts[i] = entry{int64(i), e.name}, entry{int64(i), strconv.FormatInt(e.value, 10)}
		}
		write(name+"_names", false, "~", names) // "~" comes after all names
		write(name+"_numbers", false, "", texts)
	}
	b.WriteString("}\n")
	return b.Bytes()
}

// kernelErrors are the errors that do not leave the kernel, but that probes see
// (include/linux/errno.h, which is in no package of headers).
var kernelErrors = []entry{
	{512, "ERESTARTSYS"}, {513, "ERESTARTNOINTR"}, {514, "ERESTARTNOHAND"}, {515, "ENOIOCTLCMD"}, {516, "ERESTART_RESTARTBLOCK"},
	{517, "EPROBE_DEFER"}, {518, "EOPENSTALE"}, {519, "ENOPARAM"}, {521, "EBADHANDLE"}, {522, "ENOTSYNC"}, {523, "EBADCOOKIE"},
	{524, "ENOTSUPP"}, {525, "ETOOSMALL"}, {526, "ESERVERFAULT"}, {527, "EBADTYPE"}, {528, "EJUKEBOX"}, {529, "EIOCBQUEUED"},
	{530, "ERECALLCONFLICT"},
}

// systemCalls reads the numbers of system calls that internal/gen/syscalls wrote, by
// architecture.
func systemCalls(file string) (map[string]map[int64]string, error) {
	src, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	out := map[string]map[int64]string{}
	var columns []string
	for _, line := range strings.Split(string(src), "\n") {
		f := strings.Fields(line)
		switch {
		case len(f) == 0 || f[0] == "#":
		case f[0] == "name":
			columns = f[1:]
			for _, c := range columns {
				out[c] = map[int64]string{}
			}
		default:
			for i, nr := range f[1:] {
				n, err := strconv.ParseInt(nr, 10, 64)
				if err != nil || i >= len(columns) {
					continue // "-": this architecture does not have the call
				}
				if old, ok := out[columns[i]][n]; !ok || f[0] < old {
					out[columns[i]][n] = f[0]
				}
			}
		}
	}
	for _, a := range arches {
		if len(out[a.stap]) < 200 {
			return nil, fmt.Errorf("%s: only %d system calls of %s", file, len(out[a.stap]), a.stap)
		}
	}
	return out, nil
}

const stpHeader = "// Code generated by internal/gen/tapsets from tables.txt. DO NOT EDIT.\n"

// writeConstants makes lib/syscall/constants.stp: a function for each table.
func writeConstants(all []variants) []byte {
	var b bytes.Buffer
	b.WriteString(stpHeader + "// Names of constants: _NAME_str(number).\n")
	for i := range all {
		v := &all[i]
		groups := v.groups()
		b.WriteByte('\n')
		if len(groups) == 1 {
			v.function(&b, arches[0].stap)
			continue
		}
		for j, g := range groups[1:] {
			if j > 0 {
				b.WriteString("%: ")
			}
			b.WriteString("%( ")
			for k, a := range g {
				if k > 0 {
					b.WriteString(" || ")
				}
				fmt.Fprintf(&b, "arch == %q", a)
			}
			b.WriteString(" %?\n")
			v.function(&b, g[0])
		}
		b.WriteString("%:\n")
		v.function(&b, arches[0].stap)
		b.WriteString(strings.Repeat("%)", len(groups)-1) + "\n")
	}
	return b.Bytes()
}

// function writes the function of a table.
func (v *variants) function(b *bytes.Buffer, arch string) {
	if v.num {
		fmt.Fprintf(b, "function _%s_num:long(name:string) {\n", v.name)
		for _, e := range v.list[arch] {
			fmt.Fprintf(b, "if (name == %q)\nreturn %d\n", e.name, e.value)
		}
		b.WriteString("return -1\n}\n")
	}
	table := v.tableName(arch)
	whole := v.whole[arch]
	if v.mask == 0 && len(whole) == 0 {
		fmt.Fprintf(b, "function _%s_str:string(f:long) %%{ table:%s %%}\n", v.name, table)
		return
	}
	fmt.Fprintf(b, "private function __%s:string(f:long) %%{ table:%s %%}\n", v.name, table)
	fmt.Fprintf(b, "function _%s_str:string(f:long) {\n", v.name)
	if v.mask != 0 {
		fmt.Fprintf(b, "    s = _%s_str(f & %#x)\n    f = f & ~%#x\n", v.low, v.mask, v.mask)
	} else {
		b.WriteString("    s = \"\"\n")
	}
	for _, w := range whole {
		fmt.Fprintf(b, "    if ((f & %#x) == %#x) {\n", w.value, w.value)
		if v.mask != 0 {
			fmt.Fprintf(b, "        s = s . \"|%s\"\n", w.name)
		} else {
			fmt.Fprintf(b, "        s = s != \"\" ? s . \"|%s\" : \"%s\"\n", w.name, w.name)
		}
		fmt.Fprintf(b, "        f = f & ~%#x\n    }\n", w.value)
	}
	if v.mask != 0 {
		fmt.Fprintf(b, "    if (f == 0)\n        return s\n    return s . \"|\" . __%s(f)\n}\n", v.name)
		return
	}
	fmt.Fprintf(b, "    if (s == \"\")\n        return __%s(f)\n    if (f == 0)\n        return s\n    return s . \"|\" . __%s(f)\n}\n", v.name, v.name)
}

// libraryPath is a file of the library in the package's folder.
func libraryPath(dir, name string) string { return filepath.Join(dir, "lib", filepath.FromSlash(name)) }
