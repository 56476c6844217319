package bundle

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
)

const (
	elfHeaderSize     = 64
	sectionHeaderSize = 64
	maxAlign          = 4096
)

// section is an ELF section within the bounds of its file.
type section struct {
	name   string
	typ    elf.SectionType
	flags  elf.SectionFlag
	offset uint64
	size   uint64 // in memory; NOBITS sections have no bytes in the file
}

// data returns the section's bytes in the file.
func (s section) data(file []byte) []byte {
	if s.typ == elf.SHT_NOBITS {
		return nil
	}
	end := s.offset + s.size
	return file[s.offset:end:end]
}

// parseELF reads the section headers of an object in the one layout that
// compile/object writes, and refuses every other. debug/elf would accept much
// more, and has panicked on hostile files.
func parseELF(file []byte) ([]section, error) {
	le := binary.LittleEndian
	if len(file) < elfHeaderSize {
		return nil, damaged("no ELF object")
	}
	var want [elfHeaderSize]byte
	copy(want[:], elf.ELFMAG)
	want[elf.EI_CLASS] = byte(elf.ELFCLASS64)
	want[elf.EI_DATA] = byte(elf.ELFDATA2LSB)
	want[elf.EI_VERSION] = byte(elf.EV_CURRENT)
	le.PutUint16(want[16:], uint16(elf.ET_REL))
	le.PutUint16(want[18:], uint16(elf.EM_BPF))
	le.PutUint32(want[20:], uint32(elf.EV_CURRENT))
	le.PutUint16(want[52:], elfHeaderSize)
	le.PutUint16(want[58:], sectionHeaderSize)
	shoff, shnum, shstrndx := le.Uint64(file[40:]), uint64(le.Uint16(file[60:])), uint64(le.Uint16(file[62:]))
	le.PutUint64(want[40:], shoff)
	le.PutUint16(want[60:], uint16(shnum))
	le.PutUint16(want[62:], uint16(shstrndx))
	if !bytes.Equal(want[:], file[:elfHeaderSize]) {
		return nil, damaged("the ELF header is not that of a relocatable eBPF object")
	}
	size := uint64(len(file))
	if shnum == 0 || shnum > maxSections || shstrndx >= shnum || shoff > size || size-shoff != shnum*sectionHeaderSize {
		return nil, damaged("the ELF section headers do not end the object")
	}
	headers := file[shoff:]
	if !zero(headers[:sectionHeaderSize]) {
		return nil, damaged("ELF section 0 is not empty")
	}

	header := func(i uint64) []byte { return headers[i*sectionHeaderSize : (i+1)*sectionHeaderSize] }
	strOff, strSize := le.Uint64(header(shstrndx)[24:]), le.Uint64(header(shstrndx)[32:])
	if strOff > size || strSize > size-strOff {
		return nil, damaged("the ELF names lie outside of the object")
	}
	names := file[strOff : strOff+strSize]

	var out []section
	seen := make(map[string]bool)
	end := uint64(elfHeaderSize)
	for i := uint64(1); i < shnum; i++ {
		h := header(i)
		nameOff := uint64(le.Uint32(h))
		if nameOff >= strSize {
			return nil, damaged("ELF section %d has no name", i)
		}
		name, _, ok := bytes.Cut(names[nameOff:], []byte{0})
		if !ok || len(name) == 0 {
			return nil, damaged("ELF section %d has no name", i)
		}
		s := section{
			name:   string(name),
			typ:    elf.SectionType(le.Uint32(h[4:])),
			flags:  elf.SectionFlag(le.Uint64(h[8:])),
			offset: le.Uint64(h[24:]),
			size:   le.Uint64(h[32:]),
		}
		addr, link, info := le.Uint64(h[16:]), uint64(le.Uint32(h[40:])), uint64(le.Uint32(h[44:]))
		align, entry := le.Uint64(h[48:]), le.Uint64(h[56:])
		if seen[s.name] {
			return nil, damaged("two ELF sections are called %q", s.name)
		}
		seen[s.name] = true
		if align == 0 || align > maxAlign || align&(align-1) != 0 || addr != 0 {
			return nil, damaged("ELF section %q: alignment %d", s.name, align)
		}
		// Where it must be, and what must be before it.
		at := (end + align - 1) &^ (align - 1)
		if s.offset != at || at > shoff || !zero(file[end:at]) {
			return nil, damaged("ELF section %q is not where it should be", s.name)
		}
		if !kindOK(s, link, info, entry, shnum, shstrndx) {
			return nil, damaged("ELF section %q is of an unexpected kind", s.name)
		}
		if s.typ == elf.SHT_NOBITS {
			if s.size > MaxSize {
				return nil, damaged("ELF section %q has %d bytes", s.name, s.size)
			}
			end = at
		} else {
			if s.size > shoff-at {
				return nil, damaged("ELF section %q is cut off", s.name)
			}
			end = at + s.size
		}
		out = append(out, s)
	}
	if at := (end + 7) &^ 7; at != shoff || !zero(file[end:at]) {
		return nil, damaged("bytes between the ELF sections and their headers")
	}
	// Relocations belong to the section that their name says.
	for i, s := range out {
		if s.typ == elf.SHT_REL {
			info := uint64(le.Uint32(header(uint64(i) + 1)[44:]))
			if info > uint64(len(out)) || s.name != ".rel"+out[info-1].name {
				return nil, damaged("ELF section %q relocates another", s.name)
			}
		}
	}
	return out, nil
}

// kindOK reports whether the header's type, flags and links are ones that the
// writer gives to a section.
func kindOK(s section, link, info, entry, shnum, shstrndx uint64) bool {
	plain := link == 0 && info == 0 && entry == 0
	switch s.typ {
	case elf.SHT_PROGBITS:
		switch s.flags {
		case 0, elf.SHF_ALLOC, elf.SHF_ALLOC | elf.SHF_WRITE, elf.SHF_ALLOC | elf.SHF_EXECINSTR:
			return plain
		}
	case elf.SHT_NOBITS:
		return plain && s.flags == elf.SHF_ALLOC|elf.SHF_WRITE
	case elf.SHT_STRTAB:
		return plain && s.flags == 0
	case elf.SHT_SYMTAB:
		return s.flags == 0 && entry == 24 && link == shstrndx && info*24 <= s.size && s.size%24 == 0
	case elf.SHT_REL:
		return s.flags == elf.SHF_INFO_LINK && entry == 16 && s.size%16 == 0 &&
			link < shnum && info > 0 && info < shnum
	}
	return false
}
