package sema

import (
	delf "debug/elf"
	"encoding/binary"
	"fmt"

	"golang.org/x/arch/x86/x86asm"
)

// goReturns has the probe of a Go function's return sit on its return instructions:
// the trampoline of an ordinary return probe kills a Go program, whose stacks move.
func goReturns(p *Probe, w *where, file *userFile, addr, size uint64) *fail {
	places, err := returns(file, addr, size)
	if err != nil {
		return failf(codeRefused, nil, "the return instructions of %s in %s are not known: %v", p.Func, file.path, err).
			withHelp("probe the entry, or the lines of its return statements")
	}
	for _, at := range places {
		off, ok := file.elf.Offset(at)
		if !ok {
			return failf(codeNoMatch, nil, "no match: %#x has no place in the file", at)
		}
		p.places = append(p.places, w.carrier(Carrier{Kind: "uprobe", Offset: off, BuildID: file.elf.BuildID,
			Reason: "a return instruction; the stacks of Go programs move, so return addresses cannot be replaced"}, file))
	}
	p.Carriers = p.places[:1]
	return nil
}

// spread makes a probe for each place of those that have several.
func spread(list []*Probe) []*Probe {
	var out []*Probe
	for _, p := range list {
		out = append(out, p)
		for i := 1; i < len(p.places); i++ {
			q := *p
			q.Carriers = p.places[i : i+1 : i+1]
			out = append(out, &q)
		}
		p.places = nil
	}
	return out
}

// returns finds the return instructions in a function's code.
func returns(file *userFile, addr, size uint64) ([]uint64, error) {
	const most = 16 << 20
	if size == 0 || size > most {
		return nil, fmt.Errorf("its size is %d", size)
	}
	code := file.elf.Bytes(addr, int(size))
	if uint64(len(code)) < size {
		return nil, fmt.Errorf("its code is not in the file")
	}
	var out []uint64
	switch file.elf.Machine {
	case delf.EM_X86_64:
		for off := 0; off < len(code); {
			i, err := x86asm.Decode(code[off:], 64)
			if err != nil {
				// An instruction that the decoder does not know. Going on in
				// the middle of one would find returns that are none.
				return nil, fmt.Errorf("instruction at %#x: %w", addr+uint64(off), err)
			}
			if i.Op == x86asm.RET {
				out = append(out, addr+uint64(off))
			}
			off += i.Len
		}
	case delf.EM_AARCH64:
		const ret = 0xd65f03c0
		for off := 0; off+4 <= len(code); off += 4 {
			if binary.LittleEndian.Uint32(code[off:]) == ret {
				out = append(out, addr+uint64(off))
			}
		}
	default:
		return nil, fmt.Errorf("no instructions of %v are known", file.elf.Machine)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("it does not return")
	}
	return out, nil
}
