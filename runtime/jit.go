//go:build linux

package loader

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// jit is what a program tells of code that it makes as it runs, in the file
// /tmp/perf-PID.map: lines of address, size (both in hex) and name, as perf reads it.
type jit struct {
	path string // as the program names it
	when time.Time
	size int64
	syms []jitSymbol // sorted; of overlapping ones the last counts
}

type jitSymbol struct {
	start, size uint64
	name        string
	order       int
}

// Bounds of what is read.
const (
	maxJITFile    = 256 << 20
	maxJITSymbols = 4 << 20
)

// jitOf reads the file of a process, again if it has changed; nil if there is none.
func (u *userSymbols) jitOf(tgid int) *jit {
	j := u.jits[tgid]
	if j == nil {
		// The program may be in another pid namespace.
		j = &jit{path: fmt.Sprintf("/tmp/perf-%d.map", ownPID(tgid))}
	}
	f, err := u.rights.perfMap(tgid)
	if err != nil {
		if len(j.syms) > 0 {
			return j
		}
		return nil
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || st.Size() > maxJITFile {
		return nil
	}
	if st.Size() != j.size || !st.ModTime().Equal(j.when) {
		j.read(f)
		j.size, j.when = st.Size(), st.ModTime()
	}
	u.jits[tgid] = j
	return j
}

// ownPID is the number of a process in its own pid namespace.
func ownPID(tgid int) int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", tgid))
	if err != nil {
		return tgid
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "NStgid:"); ok {
			if f := strings.Fields(rest); len(f) > 0 {
				if n, err := strconv.Atoi(f[len(f)-1]); err == nil {
					return n
				}
			}
		}
	}
	return tgid
}

func (j *jit) read(r io.Reader) {
	j.syms = j.syms[:0]
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() && len(j.syms) < maxJITSymbols {
		start, rest, ok1 := strings.Cut(sc.Text(), " ")
		size, name, ok2 := strings.Cut(rest, " ")
		a, err1 := strconv.ParseUint(strings.TrimPrefix(start, "0x"), 16, 64)
		n, err2 := strconv.ParseUint(strings.TrimPrefix(size, "0x"), 16, 64)
		if ok1 && ok2 && err1 == nil && err2 == nil && n > 0 && a+n > a {
			j.syms = append(j.syms, jitSymbol{a, n, name, len(j.syms)})
		}
	}
	slices.SortFunc(j.syms, func(a, b jitSymbol) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.order, b.order))
	})
}

// at finds the symbol of an address. Code is replaced by new code in the same place.
func (j *jit) at(addr uint64) (jitSymbol, bool) {
	i, _ := slices.BinarySearchFunc(j.syms, addr, func(s jitSymbol, a uint64) int {
		if s.start <= a {
			return -1
		}
		return 1
	})
	best := -1
	for k := i - 1; k >= 0 && k >= i-16; k-- {
		if s := &j.syms[k]; addr-s.start < s.size && (best < 0 || s.order > j.syms[best].order) {
			best = k
		}
	}
	if best < 0 {
		return jitSymbol{}, false
	}
	return j.syms[best], true
}
