package elf

import (
	"debug/elf"
	"slices"
	"sort"
	"strings"
)

// PLTEntry is a stub through which a program calls a function of a library.
type PLTEntry struct {
	Name string // of the function
	Addr uint64 // virtual address of the stub
}

// PLT lists the stubs of the procedure linkage table by name. A stub is
// recognised by its code: it jumps to the address in a slot that a relocation
// fills with the function. x86-64 and arm64 programs are understood; others,
// and static ones, have none.
func (f *File) PLT() ([]PLTEntry, error) {
	var out []PLTEntry
	err := guard(f.Path, func() error {
		var slot func(code []byte, pc uint64) (size int, addr uint64)
		switch f.Machine {
		case elf.EM_X86_64:
			slot = x86Stub
		case elf.EM_AARCH64:
			slot = arm64Stub
		default:
			return nil
		}
		names, err := f.slots()
		if err != nil || len(names) == 0 {
			return err
		}
		for _, s := range f.f.Sections {
			if s.Type != elf.SHT_PROGBITS || s.Name != ".plt" && !strings.HasPrefix(s.Name, ".plt.") {
				continue
			}
			code, err := bounded(s.Open(), s.FileSize, 64<<20)
			if err != nil {
				return err
			}
			for at := 0; at < len(code); {
				n, addr := slot(code[at:], s.Addr+uint64(at))
				if name, ok := names[addr]; ok && n > 0 {
					out = append(out, PLTEntry{name, s.Addr + uint64(at)})
				}
				at += max(n, 4)
			}
		}
		return nil
	})
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	// With .plt.sec the old table remains as its slow path: it holds no
	// recognisable stubs, so that each function is listed once.
	return slices.CompactFunc(out, func(a, b PLTEntry) bool { return a.Name == b.Name }), err
}

// slots maps the addresses that relocations fill with functions to their names.
func (f *File) slots() (map[uint64]string, error) {
	if f.Class != elf.ELFCLASS64 {
		return nil, nil
	}
	syms, err := f.f.DynamicSymbols()
	if err != nil {
		return nil, nil // static: nothing to fill in
	}
	out := map[uint64]string{}
	for _, s := range f.f.Sections {
		if s.Type != elf.SHT_RELA || s.Flags&elf.SHF_ALLOC == 0 {
			continue
		}
		data, err := bounded(s.Open(), s.FileSize, 256<<20)
		if err != nil {
			return nil, err
		}
		for ; len(data) >= 24; data = data[24:] {
			off, info := f.Order.Uint64(data), f.Order.Uint64(data[8:])
			sym, typ := info>>32, uint32(info)
			switch {
			case f.Machine == elf.EM_X86_64 && (typ == uint32(elf.R_X86_64_JMP_SLOT) || typ == uint32(elf.R_X86_64_GLOB_DAT)):
			case f.Machine == elf.EM_AARCH64 && (typ == uint32(elf.R_AARCH64_JUMP_SLOT) || typ == uint32(elf.R_AARCH64_GLOB_DAT)):
			default:
				continue
			}
			// The standard library leaves the null symbol out.
			if sym >= 1 && sym <= uint64(len(syms)) && syms[sym-1].Name != "" {
				out[off] = syms[sym-1].Name
			}
		}
	}
	return out, nil
}

// x86Stub recognises "[endbr64] [bnd] jmp *slot(%rip)" at the start of code.
func x86Stub(code []byte, pc uint64) (size int, slot uint64) {
	i := 0
	if len(code) >= 4 && string(code[:4]) == "\xf3\x0f\x1e\xfa" {
		i = 4
	}
	if i < len(code) && code[i] == 0xf2 {
		i++
	}
	if len(code) < i+6 || code[i] != 0xff || code[i+1] != 0x25 {
		return 4, 0
	}
	disp := int32(uint32(code[i+2]) | uint32(code[i+3])<<8 | uint32(code[i+4])<<16 | uint32(code[i+5])<<24)
	end := i + 6
	return (end + 7) &^ 7, pc + uint64(end) + uint64(int64(disp))
}

// arm64Stub recognises "[bti c] adrp x16, page; ldr x17, [x16, #off]".
func arm64Stub(code []byte, pc uint64) (size int, slot uint64) {
	u32 := func(i int) uint32 {
		return uint32(code[i]) | uint32(code[i+1])<<8 | uint32(code[i+2])<<16 | uint32(code[i+3])<<24
	}
	i := 0
	if len(code) >= 4 && u32(0) == 0xd503245f {
		i = 4
	}
	if len(code) < i+8 {
		return 4, 0
	}
	adrp, ldr := u32(i), u32(i+4)
	if adrp&0x9f00001f != 0x90000010 || ldr&0xffc003ff != 0xf9400211 {
		return 4, 0
	}
	page := int64(adrp>>29&3|adrp>>5&0x7ffff<<2) << 43 >> 31 // 21 bits, in pages of 4 KiB
	slot = (pc+uint64(i))&^0xfff + uint64(page) + uint64(ldr>>10&0xfff)*8
	return i + 16, slot
}
