package object

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// insnSize is the size of one raw eBPF instruction in bytes. A 64-bit immediate
// load takes two.
const insnSize = asm.InstructionSize

// Relocation types of the eBPF ELF ABI (LLVM's llvm/BinaryFormat/ELFRelocs/BPF.def).
const (
	relImm64 = 1  // R_BPF_64_64: the immediate of a 64-bit load
	relAbs64 = 2  // R_BPF_64_ABS64: eight bytes of data
	relCall  = 10 // R_BPF_64_32: the immediate of a call
)

// opStoreImm64 stores a sign-extended 32-bit immediate as eight bytes. It exists
// since the first eBPF kernels, but asm.StoreImm refuses to make it.
const opStoreImm64 = asm.OpCode(asm.StClass) | asm.OpCode(asm.MemMode) | asm.OpCode(asm.DWord)

// StoreImm64 emits *(u64 *)(dst + offset) = value, sign-extending value.
func StoreImm64(dst asm.Register, offset int16, value int32) asm.Instruction {
	return asm.Instruction{OpCode: opStoreImm64, Dst: dst, Offset: offset, Constant: int64(value)}
}

// function is a program or subprogram on its way to bytes.
type function struct {
	name    string
	section string // section name; ".text" for subprograms
	proto   *btf.FuncProto
	static  bool
	insns   asm.Instructions

	offset uint64 // of the first instruction in its section, in bytes
	size   uint64 // bytes

	relocs []reloc
}

// reloc is a relocation before symbols have numbers.
type reloc struct {
	offset uint64 // in the section, bytes
	typ    uint32
	target target
}

// target is what a relocation points at.
type target struct {
	kind targetKind
	name string
}

type targetKind uint8

const (
	toText    targetKind = iota // the section symbol of .text
	toData                      // the section symbol of the data section name
	toMap                       // the map name
	toProgram                   // the program name
	toExtern                    // the kernel function name
)

// symbols is what a reference may mean.
type symbols struct {
	functions map[string]*function // subprograms
	maps      map[string]bool
	data      map[string]uint32 // section name to size
	kfuncs    map[string]bool
}

// encode appends f's instructions as bytes to section, and its relocations to
// f.relocs. All offsets of all functions must be known. local gives the immediate
// or offset that a CO-RE relocated instruction must hold.
func (f *function) encode(section []byte, syms *symbols, local func(CORE) (uint64, error)) ([]byte, error) {
	labels := make(map[string]int64)
	raw := int64(0)
	for i := range f.insns {
		ins := &f.insns[i]
		if l := ins.Symbol(); l != "" {
			if _, dup := labels[l]; dup {
				return nil, fmt.Errorf("%s: label %q is set twice", f.name, l)
			}
			labels[l] = raw
		}
		raw += int64(ins.Width())
	}

	out, start := section, len(section)
	for i := range f.insns {
		ins := f.insns[i] // a copy: the caller's stream stays as it is
		if err := f.resolve(&ins, int64((len(out)-start)/insnSize), labels, syms); err != nil {
			return nil, fmt.Errorf("%s: instruction %d (%v): %w", f.name, i, f.insns[i], err)
		}
		if c, ok := COREOf(&ins); ok {
			v, err := local(c)
			if err == nil {
				err = setRelocated(&ins, v)
			}
			if err != nil {
				return nil, fmt.Errorf("%s: instruction %d: CO-RE relocation: %w", f.name, i, err)
			}
		}
		var err error
		if out, err = appendInstruction(out, &ins); err != nil {
			return nil, fmt.Errorf("%s: instruction %d (%v): %w", f.name, i, f.insns[i], err)
		}
	}
	return out, nil
}

// resolve fills in what ins refers to: a jump distance at once, everything else
// as a relocation. pos is the raw index of ins in the function.
func (f *function) resolve(ins *asm.Instruction, pos int64, labels map[string]int64, syms *symbols) error {
	ref := ins.Reference()
	if ref == "" {
		switch {
		case ins.IsFunctionReference():
			return fmt.Errorf("a function reference without a name")
		case ins.IsLoadFromMap():
			return fmt.Errorf("a map reference without a name")
		case ins.IsKfuncCall():
			return fmt.Errorf("a kernel function call without a name")
		}
		return nil
	}
	add := func(typ uint32, kind targetKind, name string) {
		f.relocs = append(f.relocs, reloc{
			offset: f.offset + uint64(pos)*insnSize,
			typ:    typ,
			target: target{kind, name},
		})
	}

	switch {
	case ins.IsFunctionCall():
		sub := syms.functions[ref]
		if sub == nil {
			return fmt.Errorf("no subprogram is called %q", ref)
		}
		// As clang does for static functions: the addend is in the immediate,
		// counted in instructions from the one behind the call.
		add(relCall, toText, "")
		ins.Constant = int64(sub.offset/insnSize) - 1
		ins.Offset = 0

	case ins.IsLoadOfFunctionPointer():
		sub := syms.functions[ref]
		if sub == nil {
			return fmt.Errorf("no subprogram is called %q", ref)
		}
		add(relImm64, toText, "")
		ins.Src = asm.R0
		ins.Constant = int64(sub.offset)

	case ins.IsKfuncCall():
		if !syms.kfuncs[ref] {
			return fmt.Errorf("kernel function %q is not declared", ref)
		}
		add(relCall, toExtern, ref)
		ins.Src = asm.PseudoCall
		ins.Constant = -1
		ins.Offset = 0

	case ins.IsLoadFromMap():
		size, isData := syms.data[ref]
		switch {
		case ins.Src == asm.PseudoMapFD && syms.maps[ref]:
			add(relImm64, toMap, ref)
			ins.Constant = 0
		case ins.Src == asm.PseudoMapValue && isData:
			off := uint64(ins.Constant) >> 32
			if off >= uint64(size) {
				return fmt.Errorf("offset %d is outside of %s (%d bytes)", off, ref, size)
			}
			add(relImm64, toData, ref)
			ins.Constant = int64(off)
		case ins.Src == asm.PseudoMapValue && syms.maps[ref]:
			return fmt.Errorf("an object can address only Data directly, and %q is a Map", ref)
		case isData:
			return fmt.Errorf("an object cannot refer to %s as a map, only to its bytes", ref)
		default:
			return fmt.Errorf("no map is called %q", ref)
		}
		ins.Src = asm.R0

	case ins.OpCode.IsDWordLoad() && ins.Src == asm.R0:
		if !syms.kfuncs[ref] {
			return fmt.Errorf("kernel function %q is not declared", ref)
		}
		add(relImm64, toExtern, ref)
		ins.Constant = 0

	case ins.OpCode.Class().IsJump() && ins.OpCode.JumpOp() != asm.Exit && ins.OpCode.JumpOp() != asm.Call:
		to, ok := labels[ref]
		if !ok {
			return fmt.Errorf("no label %q in this function", ref)
		}
		dist := to - pos - 1
		if ins.OpCode.Class() == asm.Jump32Class && ins.OpCode.JumpOp() == asm.Ja {
			if dist < math.MinInt32 || dist > math.MaxInt32 {
				return fmt.Errorf("label %q is %d instructions away", ref, dist)
			}
			ins.Constant = dist
			return nil
		}
		if dist < math.MinInt16 || dist > math.MaxInt16 {
			return fmt.Errorf("label %q is %d instructions away, more than a jump reaches", ref, dist)
		}
		ins.Offset = int16(dist)

	default:
		return fmt.Errorf("it cannot refer to %q", ref)
	}
	return nil
}

// setRelocated puts v where a loader will look for the local value of a CO-RE
// relocation.
func setRelocated(ins *asm.Instruction, v uint64) error {
	switch class := ins.OpCode.Class(); {
	case class == asm.LdXClass, class.IsStore() && ins.OpCode.Mode() == asm.MemMode:
		if v > math.MaxInt16 {
			return fmt.Errorf("offset %d does not fit the instruction; load it into a register", v)
		}
		ins.Offset = int16(v)
	case ins.OpCode.IsDWordLoad() && ins.Src == asm.R0:
		ins.Constant = int64(v)
	case class.IsALU() && ins.OpCode.Source() == asm.ImmSource:
		if v > math.MaxInt32 {
			return fmt.Errorf("value %d does not fit the instruction", v)
		}
		ins.Constant = int64(v)
	default:
		return fmt.Errorf("%v cannot be relocated", ins)
	}
	return nil
}

// appendInstruction appends ins in the wire format of the kernel's struct
// bpf_insn, little-endian.
//
// asm.Instruction.Marshal of cilium/ebpf v0.22.0 will not do: it writes every
// atomic operation as a plain add, drops the offset of address space casts, and
// refuses helper calls when the compiler runs on another system than Linux.
func appendInstruction(out []byte, ins *asm.Instruction) ([]byte, error) {
	op := ins.OpCode
	if op == asm.InvalidOpCode {
		return nil, fmt.Errorf("invalid opcode")
	}
	offset, imm := ins.Offset, ins.Constant

	switch {
	case op.Class().IsALU():
		ext := int16(0)
		switch op.ALUOp() {
		case asm.SDiv:
			op, ext = op.SetALUOp(asm.Div), 1
		case asm.SMod:
			op, ext = op.SetALUOp(asm.Mod), 1
		case asm.MovSX8:
			op, ext = op.SetALUOp(asm.Mov), 8
		case asm.MovSX16:
			op, ext = op.SetALUOp(asm.Mov), 16
		case asm.MovSX32:
			op, ext = op.SetALUOp(asm.Mov), 32
		}
		if ext != 0 {
			if offset != 0 {
				return nil, fmt.Errorf("offset %d where the operation keeps its variant", offset)
			}
			offset = ext
		}
	case op.AtomicOp() != asm.InvalidAtomic:
		// The operation is in the opcode's upper bits, or already in the
		// immediate where somebody worked around Marshal.
		if a := op.AtomicOp(); a != asm.AddAtomic {
			imm = int64(a >> 8)
		}
		op &= 0xff
	case ins.IsBuiltinCall() && (imm < 0 || imm >= 1<<28):
		return nil, fmt.Errorf("helper number %d is not one of Linux", imm)
	}
	if op > 0xff {
		return nil, fmt.Errorf("opcode %#x", uint32(op))
	}
	if ins.Dst > 10 || ins.Src > 15 {
		return nil, fmt.Errorf("register %d, %d", ins.Dst, ins.Src)
	}
	wide := op.IsDWordLoad()
	if !wide && (imm < math.MinInt32 || imm > math.MaxUint32) {
		return nil, fmt.Errorf("immediate %d exceeds 32 bits", imm)
	}

	out = append(out, byte(op), byte(ins.Dst)|byte(ins.Src)<<4)
	out = binary.LittleEndian.AppendUint16(out, uint16(offset))
	out = binary.LittleEndian.AppendUint32(out, uint32(imm))
	if wide {
		out = binary.LittleEndian.AppendUint32(out, 0)
		out = binary.LittleEndian.AppendUint32(out, uint32(uint64(imm)>>32))
	}
	return out, nil
}
