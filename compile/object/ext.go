package object

import (
	"encoding/binary"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// The .BTF.ext section, as in the kernel's Documentation/bpf/btf.rst: a header and
// three tables, each with its record size and then, per program section, the
// section's name, a count and the records. Offsets count bytes in the ELF section.
const (
	btfMagic      = 0xeB9F
	extHeaderSize = 32
	maxBTFLine    = 1<<22 - 1
	maxBTFColumn  = 1<<10 - 1
)

// extInfo collects the records of .BTF.ext by section.
type extInfo struct {
	order    []string
	sections map[string]*extSection
}

type extSection struct {
	funcs []funcRecord
	lines []lineRecord
	relos []coreRecord
}

type funcRecord struct {
	offset uint64
	id     btf.TypeID
}

type lineRecord struct {
	offset uint64
	line   Line
}

type coreRecord struct {
	offset uint64
	core   CORE
}

// add records f, whose BTF FUNC has the given id.
func (e *extInfo) add(f *function, id btf.TypeID, w *writer) error {
	if e.sections == nil {
		e.sections = make(map[string]*extSection)
	}
	sec := e.sections[f.section]
	if sec == nil {
		sec = &extSection{}
		e.sections[f.section] = sec
		e.order = append(e.order, f.section)
	}
	sec.funcs = append(sec.funcs, funcRecord{f.offset, id})

	// The kernel wants a line at the first instruction of each function, and
	// cilium/ebpf cannot read an empty table.
	last := Line{File: "-", Text: f.name + "()"}
	for i := range f.insns {
		if l, ok := lineOf(f, i); ok {
			last = l
			break
		}
	}
	sec.lines = append(sec.lines, lineRecord{f.offset, last})
	off := f.offset
	for i := range f.insns {
		if l, ok := lineOf(f, i); ok && l != last {
			sec.lines = append(sec.lines, lineRecord{off, l})
			last = l
		}
		if c, ok := COREOf(&f.insns[i]); ok {
			sec.relos = append(sec.relos, coreRecord{off, c})
		}
		off += f.insns[i].Size()
	}
	return nil
}

// lineOf returns the source line of instruction i. Any other Stringer, such as
// asm.Comment, becomes a line without a place.
func lineOf(f *function, i int) (Line, bool) {
	switch s := f.insns[i].Source().(type) {
	case nil:
		return Line{}, false
	case Line:
		return s, true
	case *Line:
		return *s, true
	default:
		return Line{File: "-", Text: s.String()}, true
	}
}

// btfStrings is the tail of a BTF string table whose head is base bytes long.
type btfStrings struct {
	base   uint32
	data   []byte
	offset map[string]uint32
}

func (t *btfStrings) add(s string) uint32 {
	if s == "" {
		return 0
	}
	// A string ends at its zero byte, and one inside would cut it short.
	s = strings.ReplaceAll(s, "\x00", " ")
	if off, ok := t.offset[s]; ok {
		return off
	}
	off := t.base + uint32(len(t.data))
	t.offset[s] = off
	t.data = append(append(t.data, s...), 0)
	return off
}

// encode returns the section, or nil if there is no code.
func (e *extInfo) encode(names *btfStrings, w *writer) ([]byte, error) {
	if len(e.order) == 0 {
		return nil, nil
	}
	le := binary.LittleEndian
	head := func(b []byte, section string, n int) []byte {
		b = le.AppendUint32(b, names.add(section))
		return le.AppendUint32(b, uint32(n))
	}

	funcs := le.AppendUint32(nil, 8)
	for _, name := range e.order {
		sec := e.sections[name]
		funcs = head(funcs, name, len(sec.funcs))
		for _, r := range sec.funcs {
			funcs = le.AppendUint32(funcs, uint32(r.offset))
			funcs = le.AppendUint32(funcs, uint32(r.id))
		}
	}

	lines := le.AppendUint32(nil, 16)
	for _, name := range e.order {
		sec := e.sections[name]
		lines = head(lines, name, len(sec.lines))
		for _, r := range sec.lines {
			line, col := r.line.Line, r.line.Col
			if line < 0 || line > maxBTFLine {
				line = 0
			}
			if col < 0 || col > maxBTFColumn {
				col = 0
			}
			lines = le.AppendUint32(lines, uint32(r.offset))
			lines = le.AppendUint32(lines, names.add(r.line.File))
			lines = le.AppendUint32(lines, names.add(r.line.Text))
			lines = le.AppendUint32(lines, uint32(line)<<10|uint32(col))
		}
	}

	var relos []byte
	for _, name := range e.order {
		sec := e.sections[name]
		if len(sec.relos) == 0 {
			continue
		}
		if relos == nil {
			relos = le.AppendUint32(nil, 16)
		}
		relos = head(relos, name, len(sec.relos))
		for _, r := range sec.relos {
			id, err := w.coreType(r.core)
			if err != nil {
				return nil, err
			}
			access, err := w.local.access(r.core)
			if err != nil {
				return nil, err
			}
			relos = le.AppendUint32(relos, uint32(r.offset))
			relos = le.AppendUint32(relos, uint32(id))
			relos = le.AppendUint32(relos, names.add(access))
			relos = le.AppendUint32(relos, uint32(r.core.Kind))
		}
	}

	out := le.AppendUint16(nil, btfMagic)
	out = append(out, 1, 0) // version, flags
	out = le.AppendUint32(out, extHeaderSize)
	off := 0
	for _, table := range [][]byte{funcs, lines, relos} {
		out = le.AppendUint32(out, uint32(off))
		out = le.AppendUint32(out, uint32(len(table)))
		off += len(table)
	}
	out = append(out, funcs...)
	out = append(out, lines...)
	return append(out, relos...), nil
}
