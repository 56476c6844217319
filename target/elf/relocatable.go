package elf

import (
	"debug/elf"
	"fmt"
	"strings"
)

// Relocatable files, such as kernel modules, have no addresses yet: all their
// sections begin at 0. So that one number names one place, the sections that are
// loaded are laid out one behind the other from here on.
const relocatableStart = 0x100000

// layout gives the sections of a relocatable file addresses; nil for other files.
func (f *File) layout() []uint64 {
	f.baseOnce.Do(func() {
		if f.Type != elf.ET_REL {
			return
		}
		f.base = make([]uint64, len(f.f.Sections))
		next := uint64(relocatableStart)
		for i, s := range f.f.Sections {
			if s.Flags&elf.SHF_ALLOC == 0 || s.Size > 1<<40 {
				continue
			}
			align := uint64(16)
			if s.Addralign > align && s.Addralign <= 1<<20 && s.Addralign&(s.Addralign-1) == 0 {
				align = s.Addralign
			}
			next = (next + align - 1) &^ (align - 1)
			f.base[i] = next
			// A gap, so that the end of one is not the start of the next.
			next += s.Size + align
		}
	})
	return f.base
}

// sectionAt finds the section of a relocatable file that an address is in.
func (f *File) sectionAt(addr uint64) (s *elf.Section, base uint64) {
	for i, b := range f.layout() {
		if s := f.f.Sections[i]; b != 0 && addr >= b && addr-b < s.Size {
			return s, b
		}
	}
	return nil, 0
}

// InSection reports whether an address is in a section whose name begins with one of
// the prefixes.
func (f *File) InSection(addr uint64, prefixes ...string) bool {
	s := f.sectionOf(addr)
	if s == nil {
		return false
	}
	for _, p := range prefixes {
		if strings.HasPrefix(s.Name, p) {
			return true
		}
	}
	return false
}

// SameSection reports whether two addresses are in one section.
func (f *File) SameSection(a, b uint64) bool {
	s := f.sectionOf(a)
	return s != nil && s == f.sectionOf(b)
}

func (f *File) sectionOf(addr uint64) *elf.Section {
	if s, _ := f.sectionAt(addr); s != nil {
		return s
	}
	for _, s := range f.f.Sections {
		if s.Flags&elf.SHF_ALLOC != 0 && addr >= s.Addr && addr-s.Addr < s.Size {
			return s
		}
	}
	return nil
}

// Relocated is SectionData with the section's relocations applied, if the file is
// a relocatable one.
func (f *File) Relocated(s *elf.Section, limit uint64) ([]byte, error) {
	data, err := f.SectionData(s, limit)
	if err != nil || f.Type != elf.ET_REL {
		return data, err
	}
	err = guard(f.Path, func() error {
		for _, r := range f.f.Sections {
			if r.Type != elf.SHT_RELA || int(r.Info) >= len(f.f.Sections) || f.f.Sections[r.Info] != s {
				continue
			}
			return f.relocate(data, f.address(s), r, limit)
		}
		return nil
	})
	return data, err
}

// address is where a section is loaded.
func (f *File) address(s *elf.Section) uint64 {
	for i, b := range f.layout() {
		if f.f.Sections[i] == s {
			return b
		}
	}
	return s.Addr
}

// relocate applies the records of a section to data, which is to be at place.
func (f *File) relocate(data []byte, place uint64, rela *elf.Section, limit uint64) error {
	if f.Class != elf.ELFCLASS64 {
		return fmt.Errorf("relocations of 32-bit files are not read")
	}
	recs, err := f.SectionData(rela, limit)
	if err != nil {
		return err
	}
	f.rawOnce.Do(func() { f.raw, f.rawErr = f.f.Symbols() })
	if f.rawErr != nil {
		return f.rawErr
	}
	base := f.layout()
	for ; len(recs) >= 24; recs = recs[24:] {
		off, info, addend := f.Order.Uint64(recs), f.Order.Uint64(recs[8:]), f.Order.Uint64(recs[16:])
		sym, typ := info>>32, uint32(info)
		size, relative := relocation(f.Machine, typ)
		if size == 0 || off > uint64(len(data)) || uint64(len(data))-off < uint64(size) {
			continue
		}
		value := addend
		// The standard library leaves the null symbol out.
		if sym > 0 && sym <= uint64(len(f.raw)) {
			s := f.raw[sym-1]
			value += s.Value
			if int(s.Section) < len(base) {
				value += base[s.Section]
			}
		}
		if relative {
			value -= place + off
		}
		if size == 8 {
			f.Order.PutUint64(data[off:], value)
		} else {
			f.Order.PutUint32(data[off:], uint32(value))
		}
	}
	return nil
}

// relocation gives the width in bytes of a relocation, and whether it is a distance
// from its place; 0 for those that debugging information and frame tables have not.
func relocation(m elf.Machine, typ uint32) (size int, relative bool) {
	switch m {
	case elf.EM_X86_64:
		switch elf.R_X86_64(typ) {
		case elf.R_X86_64_64:
			return 8, false
		case elf.R_X86_64_32, elf.R_X86_64_32S:
			return 4, false
		case elf.R_X86_64_PC64:
			return 8, true
		case elf.R_X86_64_PC32:
			return 4, true
		}
	case elf.EM_AARCH64:
		switch elf.R_AARCH64(typ) {
		case elf.R_AARCH64_ABS64:
			return 8, false
		case elf.R_AARCH64_ABS32:
			return 4, false
		case elf.R_AARCH64_PREL64:
			return 8, true
		case elf.R_AARCH64_PREL32:
			return 4, true
		}
	}
	return 0, false
}
