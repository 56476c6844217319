package elf

import "debug/elf"

// flagPIE marks programs that are position-independent (DF_1_PIE of DT_FLAGS_1).
const flagPIE = 0x08000000

// IsProgram reports whether the file is what a process is started from, and no library.
func (f *File) IsProgram() bool {
	if f.Type != elf.ET_DYN {
		return f.Type == elf.ET_EXEC
	}
	if flags, err := f.f.DynValue(elf.DT_FLAGS_1); err == nil {
		for _, v := range flags {
			if v&flagPIE != 0 {
				return true
			}
		}
	}
	if f.Interp == "" {
		return false
	}
	names, err := f.f.DynString(elf.DT_SONAME) // some libraries can be started, too
	return err == nil && len(names) == 0
}

// CodeStart is the least address of the segments with code. In a process that was
// started from the file it is what the kernel calls start_code (fs/binfmt_elf.c).
func (f *File) CodeStart() (addr uint64, ok bool) {
	for _, p := range f.f.Progs {
		if p.Type == elf.PT_LOAD && p.Flags&elf.PF_X != 0 && (!ok || p.Vaddr < addr) {
			addr, ok = p.Vaddr, true
		}
	}
	return addr, ok
}

// ThreadOffset is what a place in the thread-local storage of a program (not of a
// library) counts from the thread pointer. The layouts are those of the psABIs, as
// glibc and musl have them: on x86-64 the block ends at the thread pointer, on arm64
// it begins behind 16 bytes there.
func (f *File) ThreadOffset(off int64) (int64, bool) {
	for _, p := range f.f.Progs {
		if p.Type != elf.PT_TLS {
			continue
		}
		align := int64(max(p.Align, 1))
		up := func(n int64) int64 { return (n + align - 1) / align * align }
		lead := -int64(p.Vaddr) & (align - 1) // 0 unless the block begins unaligned
		switch f.Machine {
		case elf.EM_X86_64:
			return off - (up(int64(p.Memsz)-lead) + lead), true
		case elf.EM_AARCH64:
			begin := up(16)
			if begin-16 < lead {
				begin += align
			}
			return off + begin - lead, true
		}
	}
	return 0, false
}
