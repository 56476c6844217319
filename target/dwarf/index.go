package dwarf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strconv"

	"stapkit/target/store"
)

// index is what Load notes of all units. It is one run of bytes that is searched
// where it lies, so that an index from disk is ready as soon as it is read.
type index struct {
	funcs names // subprograms
	types names // first complete definition of a name, under typeName
	vars  names // file-level variables with a location
	// files are the source files by name, of each the units that have code of them;
	// only in the index of large files.
	files names
	// ranges are the pieces of code of all units by address, with files only.
	ranges []byte
	// crossUnit: inlined instances refer to functions of other units, as
	// link-time optimisation has them.
	crossUnit bool
	// complete: files and ranges are there.
	complete bool
}

// names maps sorted names to refs.
type names struct {
	n     int
	at    []byte // n+1 times: where the name begins in text
	first []byte // n+1 times: number of its first ref
	refs  []byte // unit and offset
	text  []byte
}

func (t *names) name(i int) []byte {
	return t.text[binary.LittleEndian.Uint32(t.at[4*i:]):binary.LittleEndian.Uint32(t.at[4*i+4:])]
}

func (t *names) refsAt(i int) []ref {
	from, to := binary.LittleEndian.Uint32(t.first[4*i:]), binary.LittleEndian.Uint32(t.first[4*i+4:])
	out := make([]ref, 0, to-from)
	for k := from; k < to; k++ {
		out = append(out, t.ref(int(k)))
	}
	return out
}

func (t *names) ref(k int) ref {
	return ref{binary.LittleEndian.Uint32(t.refs[8*k:]), binary.LittleEndian.Uint32(t.refs[8*k+4:])}
}

// find gives the refs of a name.
func (t *names) find(name string) []ref {
	lo, hi := 0, t.n
	for lo < hi {
		mid := (lo + hi) / 2
		if string(t.name(mid)) < name {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < t.n && string(t.name(lo)) == name {
		return t.refsAt(lo)
	}
	return nil
}

// all lists the names.
func (t *names) all() []string {
	out := make([]string, t.n)
	for i := range out {
		out[i] = string(t.name(i))
	}
	return out
}

// append writes a map as a table.
func appendNames(b []byte, m map[string][]ref) []byte {
	keys := make([]string, 0, len(m))
	size, refs := 0, 0
	for k, rs := range m {
		keys = append(keys, k)
		size += len(k)
		refs += len(rs)
	}
	slices.Sort(keys)
	b = slices.Grow(b, 12+8*(len(keys)+1)+8*refs+size)
	le := binary.LittleEndian
	b = le.AppendUint32(b, uint32(len(keys)))
	b = le.AppendUint32(b, uint32(refs))
	b = le.AppendUint32(b, uint32(size))
	at := uint32(0)
	for _, k := range keys {
		b = le.AppendUint32(b, at)
		at += uint32(len(k))
	}
	b = le.AppendUint32(b, at)
	n := uint32(0)
	for _, k := range keys {
		b = le.AppendUint32(b, n)
		n += uint32(len(m[k]))
	}
	b = le.AppendUint32(b, n)
	for _, k := range keys {
		for _, r := range m[k] {
			b = le.AppendUint32(b, r.unit)
			b = le.AppendUint32(b, r.off)
		}
	}
	for _, k := range keys {
		b = append(b, k...)
	}
	return b
}

var errIndex = errors.New("malformed index")

// readNames reads a table and gives what follows it.
func readNames(b []byte) (t names, rest []byte, err error) {
	if len(b) < 12 {
		return t, nil, errIndex
	}
	le := binary.LittleEndian
	n, refs, size := uint64(le.Uint32(b)), uint64(le.Uint32(b[4:])), uint64(le.Uint32(b[8:]))
	b = b[12:]
	if uint64(len(b)) < 8*(n+1)+8*refs+size {
		return t, nil, errIndex
	}
	t.n = int(n)
	cut := func(n uint64) []byte {
		part := b[:n:n]
		b = b[n:]
		return part
	}
	t.at, t.first, t.refs, t.text = cut(4*(n+1)), cut(4*(n+1)), cut(8*refs), cut(size)
	for _, list := range []struct {
		b   []byte
		end uint32
	}{{t.at, uint32(size)}, {t.first, uint32(refs)}} {
		last := uint32(0)
		for i := 0; i < len(list.b); i += 4 {
			v := le.Uint32(list.b[i:])
			if v < last {
				return t, nil, errIndex
			}
			last = v
		}
		if last != list.end {
			return t, nil, errIndex
		}
	}
	return t, b, nil
}

// typeName is the name of a type in an index: its kind and name.
func typeName(k typeKey) string { return string(rune('A'+k.tag)) + k.name }

// rangeSize is the size of a piece of code in an index: start, end, unit.
const rangeSize = 8 + 8 + 4

// encode writes what the scan found.
func (s *scan) encode(crossUnit bool, files map[string][]ref, ranges []unitRange) []byte {
	var flags uint32
	if crossUnit {
		flags |= 1
	}
	if files != nil {
		flags |= 2
	}
	b := binary.LittleEndian.AppendUint32(nil, flags)
	b = appendNames(b, s.funcs)
	types := make(map[string][]ref, len(s.types))
	for k, r := range s.types {
		types[typeName(k)] = []ref{r}
	}
	b = appendNames(b, types)
	b = appendNames(b, s.vars)
	if files == nil {
		return b
	}
	b = appendNames(b, files)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(ranges)))
	for _, r := range ranges {
		b = binary.LittleEndian.AppendUint64(b, r.start)
		b = binary.LittleEndian.AppendUint64(b, r.end)
		b = binary.LittleEndian.AppendUint32(b, r.unit)
	}
	return b
}

func decodeIndex(b []byte) (*index, error) {
	if len(b) < 4 {
		return nil, errIndex
	}
	flags := binary.LittleEndian.Uint32(b)
	b = b[4:]
	x := &index{crossUnit: flags&1 != 0, complete: flags&2 != 0}
	tables := []*names{&x.funcs, &x.types, &x.vars}
	if x.complete {
		tables = append(tables, &x.files)
	}
	var err error
	for _, t := range tables {
		if *t, b, err = readNames(b); err != nil {
			return nil, err
		}
	}
	if x.complete {
		if len(b) < 4 || uint64(len(b)-4) != rangeSize*uint64(binary.LittleEndian.Uint32(b)) {
			return nil, errIndex
		}
		x.ranges = b[4:]
	}
	return x, nil
}

// large is the size of .debug_info from which on an index is kept on disk: reading
// less takes no time to speak of.
const large = 8 << 20

// indexVersion is raised whenever what an index holds changes.
const indexVersion = 1

// storeKey names the index of a file in the store, "" if it has no identity.
func (d *Data) storeKey() string {
	id := d.elf.BuildID
	if id == "" || len(d.f.info.data) < large || d.f.types != nil || d.f.alt != nil {
		return ""
	}
	// A program that was stripped to a part of its sections keeps its build-id.
	return id + "-" + strconv.FormatInt(int64(len(d.f.info.data)), 16) + "-" + strconv.Itoa(indexVersion)
}

const storeKind = "dwarf"

// stored reads the index from the store, nil if it is not there.
func (d *Data) stored(key string) *index {
	if key == "" {
		return nil
	}
	b, err := store.Get(storeKind, key)
	if err != nil {
		return nil // made anew
	}
	x, err := decodeIndex(b)
	if err != nil || !x.complete {
		return nil
	}
	return x
}

// lineHeaders notes the source files of all units; what cannot be read is left out.
func (d *Data) lineHeaders() map[string][]ref {
	out := map[string][]ref{}
	for i, u := range d.f.info.units {
		r := u.info()
		if !r.hasStmt {
			continue
		}
		t, err := u.lineFiles(r)
		if err != nil {
			continue
		}
		for _, f := range t.files {
			if rs := out[f]; len(rs) == 0 || rs[len(rs)-1].unit != uint32(i) {
				out[f] = append(rs, ref{unit: uint32(i)})
			}
		}
	}
	return out
}

// unitsWith lists the units that have code of a source file that matches.
func (d *Data) unitsWith(match func(file string) bool) []int {
	d.filesOnce.Do(func() {
		if d.x.complete {
			return
		}
		b := appendNames(nil, d.lineHeaders())
		d.x.files, _, d.filesErr = readNames(b)
	})
	if d.filesErr != nil {
		return nil
	}
	var out []int
	for i := range d.x.files.n {
		if match(string(d.x.files.name(i))) {
			for _, r := range d.x.files.refsAt(i) {
				out = append(out, int(r.unit))
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// NamesIn lists the functions that are declared in a source file that matches,
// sorted.
func (d *Data) NamesIn(match func(file string) bool) []string {
	units := map[uint32]bool{}
	for _, u := range d.unitsWith(match) {
		units[uint32(u)] = true
	}
	var out []string
	for i := range d.x.funcs.n {
		from, to := binary.LittleEndian.Uint32(d.x.funcs.first[4*i:]), binary.LittleEndian.Uint32(d.x.funcs.first[4*i+4:])
		for k := from; k < to; k++ {
			if r := d.x.funcs.ref(int(k)); units[r.unit] && match(declLine(d.entry(r)).File) {
				out = append(out, string(d.x.funcs.name(i)))
				break
			}
		}
	}
	return out
}

// Files lists the source files that match, sorted.
func (d *Data) Files(match func(file string) bool) []string {
	d.unitsWith(func(string) bool { return false })
	var out []string
	for i := range d.x.files.n {
		if name := d.x.files.name(i); match(string(name)) {
			out = append(out, string(bytes.Clone(name)))
		}
	}
	return out
}
