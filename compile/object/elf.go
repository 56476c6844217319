package object

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
	"math"
)

const (
	elfHeaderSize     = 64
	sectionHeaderSize = 64
	symbolSize        = 24
	relocSize         = 16
)

// elfSection is a section on its way into the file.
type elfSection struct {
	name  string
	typ   elf.SectionType
	flags elf.SectionFlag
	align uint64
	entry uint64 // size of an entry, for tables
	link  *elfSection
	info  uint32
	// infoTo is the section that info names (relocations).
	infoTo *elfSection
	data   []byte
	size   uint64 // only for SHT_NOBITS; else len(data)

	relocs []reloc
	index  uint32
	offset uint64
}

// elfSymbol is a symbol on its way into the table.
type elfSymbol struct {
	name    string
	bind    elf.SymBind
	typ     elf.SymType
	section *elfSection // nil: undefined
	value   uint64
	size    uint64
}

// strings is an ELF string table: a zero byte, then each string once, in the
// order of first use.
type stringTable struct {
	data   []byte
	offset map[string]uint32
}

func newStringTable() *stringTable {
	return &stringTable{data: []byte{0}, offset: map[string]uint32{"": 0}}
}

func (t *stringTable) add(s string) uint32 {
	if off, ok := t.offset[s]; ok {
		return off
	}
	off := uint32(len(t.data))
	t.offset[s] = off
	t.data = append(append(t.data, s...), 0)
	return off
}

// writeELF lays out the sections in the given order, behind them the relocation
// sections, the symbols (locals first), the strings and the section headers.
func writeELF(sections []*elfSection, locals, globals []*elfSymbol, symbol map[target]*elfSymbol) ([]byte, error) {
	strtab := &elfSection{name: ".strtab", typ: elf.SHT_STRTAB, align: 1}
	symtab := &elfSection{
		name: ".symtab", typ: elf.SHT_SYMTAB, align: 8, entry: symbolSize,
		link: strtab, info: uint32(1 + len(locals)),
	}
	all := sections
	for _, s := range sections {
		if len(s.relocs) > 0 {
			all = append(all, &elfSection{
				name: ".rel" + s.name, typ: elf.SHT_REL, flags: elf.SHF_INFO_LINK, align: 8, entry: relocSize,
				link: symtab, infoTo: s, relocs: s.relocs,
			})
		}
	}
	all = append(all, symtab, strtab)
	if len(all)+1 >= int(elf.SHN_LORESERVE) {
		return nil, fmt.Errorf("%d sections are too many for an ELF file", len(all))
	}
	seen := make(map[string]bool, len(all))
	for i, s := range all {
		if seen[s.name] {
			return nil, fmt.Errorf("two sections are called %q", s.name)
		}
		seen[s.name] = true
		s.index = uint32(i + 1)
	}

	names := newStringTable()
	number := make(map[*elfSymbol]uint64)
	symtab.data = make([]byte, symbolSize, symbolSize*(1+len(locals)+len(globals)))
	for i, sym := range append(append([]*elfSymbol(nil), locals...), globals...) {
		number[sym] = uint64(i + 1)
		shndx := uint16(elf.SHN_UNDEF)
		if sym.section != nil {
			shndx = uint16(sym.section.index)
		}
		d := binary.LittleEndian.AppendUint32(symtab.data, names.add(sym.name))
		d = append(d, elf.ST_INFO(sym.bind, sym.typ), byte(elf.STV_DEFAULT))
		d = binary.LittleEndian.AppendUint16(d, shndx)
		d = binary.LittleEndian.AppendUint64(d, sym.value)
		symtab.data = binary.LittleEndian.AppendUint64(d, sym.size)
	}
	for _, s := range all {
		if s.typ != elf.SHT_REL {
			continue
		}
		for _, r := range s.relocs {
			sym := symbol[r.target]
			if sym == nil {
				return nil, fmt.Errorf("no symbol for %q in %s", r.target.name, s.name)
			}
			s.data = binary.LittleEndian.AppendUint64(s.data, r.offset)
			s.data = binary.LittleEndian.AppendUint64(s.data, number[sym]<<32|uint64(r.typ))
		}
	}
	nameOff := make([]uint32, len(all))
	for i, s := range all {
		nameOff[i] = names.add(s.name)
	}
	strtab.data = names.data

	total := elfHeaderSize + sectionHeaderSize*(len(all)+1) + 16
	for _, s := range all {
		total += len(s.data) + int(s.align)
	}
	out := make([]byte, elfHeaderSize, total)
	for _, s := range all {
		out = pad(out, s.align)
		s.offset = uint64(len(out))
		out = append(out, s.data...)
		if s.typ != elf.SHT_NOBITS {
			s.size = uint64(len(s.data))
		}
	}
	out = pad(out, 8)
	shoff := uint64(len(out))
	if shoff > math.MaxInt32 {
		return nil, fmt.Errorf("the object has %d bytes, too many", shoff)
	}
	out = append(out, make([]byte, sectionHeaderSize)...)
	for i, s := range all {
		link, info := uint32(0), s.info
		if s.link != nil {
			link = s.link.index
		}
		if s.infoTo != nil {
			info = s.infoTo.index
		}
		out = binary.LittleEndian.AppendUint32(out, nameOff[i])
		out = binary.LittleEndian.AppendUint32(out, uint32(s.typ))
		out = binary.LittleEndian.AppendUint64(out, uint64(s.flags))
		out = binary.LittleEndian.AppendUint64(out, 0) // address
		out = binary.LittleEndian.AppendUint64(out, s.offset)
		out = binary.LittleEndian.AppendUint64(out, s.size)
		out = binary.LittleEndian.AppendUint32(out, link)
		out = binary.LittleEndian.AppendUint32(out, info)
		out = binary.LittleEndian.AppendUint64(out, s.align)
		out = binary.LittleEndian.AppendUint64(out, s.entry)
	}

	copy(out, elf.ELFMAG)
	out[elf.EI_CLASS] = byte(elf.ELFCLASS64)
	out[elf.EI_DATA] = byte(elf.ELFDATA2LSB)
	out[elf.EI_VERSION] = byte(elf.EV_CURRENT)
	le := binary.LittleEndian
	le.PutUint16(out[16:], uint16(elf.ET_REL))
	le.PutUint16(out[18:], uint16(elf.EM_BPF))
	le.PutUint32(out[20:], uint32(elf.EV_CURRENT))
	le.PutUint64(out[40:], shoff)
	le.PutUint16(out[52:], elfHeaderSize)
	le.PutUint16(out[58:], sectionHeaderSize)
	le.PutUint16(out[60:], uint16(len(all)+1))
	le.PutUint16(out[62:], uint16(strtab.index))
	return out, nil
}

// pad appends zeros up to a multiple of align.
func pad(b []byte, align uint64) []byte {
	for uint64(len(b))%align != 0 {
		b = append(b, 0)
	}
	return b
}
