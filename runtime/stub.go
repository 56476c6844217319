package loader

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
)

// startStub builds a tiny static program whose first and only deed is to become
// path, with its own arguments and environment. The child of -c is this program
// at first: it is stopped at its first instruction while the probes are armed,
// so that what is traced begins with path's own execve, as if it had been
// started by hand. If that fails, it prints failure and exits with status 1.
func startStub(machine elf.Machine, path, failure string) ([]byte, error) {
	const base, header = 0x400000, 64 + 56
	var code []byte
	order := binary.LittleEndian
	switch machine {
	case elf.EM_X86_64:
		code = []byte{
			0x48, 0x8d, 0x74, 0x24, 0x08, // lea rsi, [rsp+8]: argv
			0x48, 0x8b, 0x04, 0x24, // mov rax, [rsp]: argc
			0x48, 0x8d, 0x54, 0xc4, 0x10, // lea rdx, [rsp+8*rax+16]: envp
			0x48, 0x8d, 0x3d, 0, 0, 0, 0, // lea rdi, [rip+path]
			0xb8, 59, 0, 0, 0, 0x0f, 0x05, // execve
			0xbf, 2, 0, 0, 0, // mov edi, 2
			0x48, 0x8d, 0x35, 0, 0, 0, 0, // lea rsi, [rip+failure]
			0xba, 0, 0, 0, 0, // mov edx, len(failure)
			0xb8, 1, 0, 0, 0, 0x0f, 0x05, // write
			0xbf, 1, 0, 0, 0, // mov edi, 1
			0xb8, 231, 0, 0, 0, 0x0f, 0x05, // exit_group
		}
		order.PutUint32(code[17:], uint32(len(code)-21))
		order.PutUint32(code[36:], uint32(len(code)-40+len(path)+1))
		order.PutUint32(code[41:], uint32(len(failure)))
	case elf.EM_AARCH64:
		const insns = 15
		if len(failure) > 0xffff || 4*insns+len(path) > 1<<19 {
			return nil, fmt.Errorf("path of %d bytes is too long", len(path))
		}
		adr := func(at, to int) uint32 {
			d := uint32(to - at)
			return 0x10000000 | d&3<<29 | d>>2&0x7ffff<<5
		}
		for _, w := range [insns]uint32{
			0xf94003e2,                           // ldr x2, [sp]: argc
			0x910023e1,                           // add x1, sp, #8: argv
			0x8b020c22,                           // add x2, x1, x2, lsl #3
			0x91002042,                           // add x2, x2, #8: envp
			adr(4*4, 4*insns),                    // adr x0, path
			0xd2801ba8,                           // movz x8, #221
			0xd4000001,                           // svc #0: execve
			0xd2800040,                           // movz x0, #2
			adr(4*8, 4*insns+len(path)+1) | 1,    // adr x1, failure
			0xd2800002 | uint32(len(failure))<<5, // movz x2, #len(failure)
			0xd2800808,                           // movz x8, #64
			0xd4000001,                           // svc #0: write
			0xd2800020,                           // movz x0, #1
			0xd2800bc8,                           // movz x8, #94
			0xd4000001,                           // svc #0: exit_group
		} {
			code = order.AppendUint32(code, w)
		}
	default:
		return nil, fmt.Errorf("no start-up code for %v", machine)
	}
	code = append(code, path...)
	code = append(code, 0)
	code = append(code, failure...)

	var b bytes.Buffer
	h := elf.Header64{
		Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT),
		Entry: base + header, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1, Shentsize: 64,
	}
	size := uint64(header + len(code))
	p := elf.Prog64{
		Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X),
		Vaddr: base, Paddr: base, Filesz: size, Memsz: size, Align: 0x10000,
	}
	for _, v := range []any{&h, &p, code} {
		if err := binary.Write(&b, order, v); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}
