// Package object writes relocatable eBPF ELF objects.
//
// The object is the one that clang would have made: programs in libbpf section
// names, subprograms in .text, BTF-defined maps, .BTF, .BTF.ext with func_info,
// line_info and CO-RE relocations. cilium/ebpf, libbpf and bpftool load it as it
// is. cilium/ebpf has no ELF writer, and its CO-RE relocations cannot be made in
// memory, so the object is also how stapkit itself hands a program to the loader.
//
// # What instructions carry
//
// Everything that belongs to one instruction travels with it, so that code may
// be moved, inserted and dropped until the last moment:
//
//   - a jump target or a function start: Instruction.WithSymbol;
//   - a jump, call, function address, map or data reference: Instruction.WithReference;
//   - the script line: Instruction.WithSource(Line{…});
//   - a CO-RE relocation: WithCORE.
//
// # Subprograms
//
// libbpf wants every function that is called, or whose address is taken, in .text.
// A generator may list such functions in Spec.Functions, or leave them behind the
// program in Program.Insns: Write cuts the stream at each symbol that some call or
// function address refers to, and moves those functions to .text.
//
// # Layout
//
// Write gives the same bytes for the same Spec on every machine. The layout has
// one form only, which package bundle checks before it trusts a file:
//
//	ELF header
//	sections in the order of their indexes, each at its alignment:
//	  .text, programs, license, .maps, data, .BTF, .BTF.ext, .stap.*,
//	  relocations, .symtab, .strtab
//	section header table, 8-aligned; the file ends with it
//
// No two sections overlap or share a name, and every byte outside a section is
// zero padding of less than one alignment.
package object

import (
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// Spec is one object file.
type Spec struct {
	// Programs are the entry points, in the order in which they are written.
	// Programs with the same section name share that section.
	Programs []Program
	// Functions are subprograms and callbacks for all programs. Only those
	// that a program reaches are loaded by the kernel.
	Functions []Function
	// Maps become definitions in .maps.
	Maps []Map
	// Data are array maps of one element that instructions address directly.
	Data []Data
	// Kfuncs are the kernel functions that instructions may refer to.
	Kfuncs []Kfunc
	// License is the program licence the kernel sees. Empty means "GPL".
	License string
	// Sections are further sections (.stap.*), kept as they are, neither
	// loaded nor relocated. Write adds bundle.MarkSection where
	// it is not among them.
	Sections []Section
}

// Program is an entry point.
type Program struct {
	// Name is the function's symbol. The kernel shows its first 15 bytes.
	Name string
	// Section is the libbpf section name, such as "tp_btf/sched_switch",
	// "raw_tp/sys_enter", "uprobe.multi", "syscall".
	Section string
	// Insns is the program, with subprograms behind it if the generator
	// keeps them there (see the package doc).
	Insns asm.Instructions
	// Proto is the program's BTF prototype. Nil means int (void *ctx).
	Proto *btf.FuncProto
}

// Function is a subprogram or callback. It is static: the verifier follows
// each call into it with the caller's registers.
type Function struct {
	Name  string
	Insns asm.Instructions
	// Proto is the BTF prototype. Nil means long (void).
	Proto *btf.FuncProto
}

// Map is a BTF-defined map.
type Map struct {
	Name string
	Type ebpf.MapType
	// KeySize and ValueSize are in bytes. They may be zero where Key or Value
	// says the size, or where the map type has none (ring buffers).
	KeySize, ValueSize uint32
	MaxEntries         uint32
	Flags              uint32
	// Extra is map_extra, such as the number of hash functions of a bloom filter.
	Extra uint64
	// Key and Value are optional BTF types; bpftool prints entries with them.
	Key, Value btf.Type
	// Inner is the template of a map in map. Its name is not used.
	Inner *Map
	// Values are the initial elements of a program array (program names) or of
	// a map in map (map names).
	Values []MapValue
}

// MapValue is an initial element of a program array or a map in map.
type MapValue struct {
	Index uint32
	Name  string
}

// Data is an array map of one element whose bytes instructions address with
// asm.LoadMapValue(dst, 0, offset).WithReference(Name).
type Data struct {
	// Name is ".data", ".data.*", ".rodata", ".rodata.*" or ".bss". The
	// loaders freeze .rodata*, and make all of them mappable.
	Name string
	// Bytes is the initial content.
	Bytes []byte
	// Size is the size in bytes. What exceeds len(Bytes) is zero; zero means
	// len(Bytes). .bss must have a Size and no Bytes.
	Size uint32
	// Vars name parts of the data, for loaders that set them by name.
	Vars []Var
}

// Var is a named variable within Data.
type Var struct {
	Name   string
	Offset uint32
	Type   btf.Type
}

// Kfunc declares a kernel function that instructions refer to by name, made
// with CallKfunc and KfuncAddress.
type Kfunc struct {
	Name string
	// Proto must agree with the kernel's in number and kinds of arguments.
	Proto *btf.FuncProto
	// Optional lets the object load where the kernel lacks the function
	// (a weak symbol): KfuncAddress is then zero and the verifier drops the
	// branch that calls it.
	Optional bool
}

// Section is a named run of bytes.
type Section struct {
	Name string
	Data []byte
}

// Line is the script line that an instruction comes from. It goes to
// Instruction.WithSource and shows in verifier logs and in `bpftool prog dump`.
type Line struct {
	// File is the script's name as diagnostics print it.
	File string
	// Text is the source line.
	Text string
	// Line and Col are 1-based. BTF cannot hold lines above 4194303 or columns
	// above 1023: such a line or column is written as 0.
	Line, Col int
}

// String returns the source text.
func (l Line) String() string { return l.Text }

// COREKind is the kind of a CO-RE relocation, numbered as enum
// bpf_core_relo_kind in the kernel's include/uapi/linux/bpf.h.
type COREKind uint32

// CO-RE relocation kinds.
const (
	FieldByteOffset COREKind = iota // offset of the field, bytes
	FieldByteSize                   // size of the field, bytes
	FieldExists                     // 1 if the field exists
	FieldSigned                     // 1 if the field is signed
	FieldLShift                     // left shift that isolates a bit-field in 64 bits
	FieldRShift                     // right shift that follows it
	TypeIDLocal                     // BTF id of the type in the object
	TypeIDTarget                    // BTF id of the type in the kernel
	TypeExists                      // 1 if the type exists
	TypeSize                        // size of the type, bytes
	EnumvalExists                   // 1 if the enumerator exists
	EnumvalValue                    // value of the enumerator
	TypeMatches                     // 1 if the type exists and matches
)

// CORE is a CO-RE relocation of one instruction. The instruction holds the value
// for the local type (Local computes it), and the loader puts the kernel's value
// there: in the offset of a load or store, else in the immediate.
type CORE struct {
	// Type is the root, found by its name on the target: a named struct, union,
	// typedef, enum or integer. It may come straight from a kernel's BTF: Write
	// keeps only the members that relocations name.
	Type btf.Type
	// Access says what in Type is meant: for fields the member and element
	// indexes from the root pointer on ("0:3:1"), for enumerators the index
	// ("2"), for types "0".
	Access string
	Kind   COREKind
}

type coreKey struct{}

// WithCORE returns ins with the relocation c.
func WithCORE(ins asm.Instruction, c CORE) asm.Instruction {
	ins.Metadata.Set(coreKey{}, c)
	return ins
}

// COREOf returns the relocation of ins, if it has one.
func COREOf(ins *asm.Instruction) (CORE, bool) {
	c, ok := ins.Metadata.Get(coreKey{}).(CORE)
	return c, ok
}

// CallKfunc calls the kernel function name, which Spec.Kfuncs must declare.
func CallKfunc(name string) asm.Instruction {
	return asm.Instruction{
		OpCode:   asm.OpCode(asm.JumpClass).SetJumpOp(asm.Call),
		Src:      asm.PseudoKfuncCall,
		Constant: -1,
	}.WithReference(name)
}

// KfuncAddress sets dst to zero if the kernel lacks the optional kernel function
// name, and to another value if it has it. Nothing but this test is portable.
func KfuncAddress(dst asm.Register, name string) asm.Instruction {
	return asm.LoadImm(dst, 0, asm.DWord).WithReference(name)
}

// FuncAddress loads the address of the subprogram name, as callbacks of bpf_loop
// and bpf_for_each_map_elem need it.
func FuncAddress(dst asm.Register, name string) asm.Instruction {
	return asm.Instruction{
		OpCode:   asm.LoadImmOp(asm.DWord),
		Dst:      dst,
		Src:      asm.PseudoFunc,
		Constant: -1,
	}.WithReference(name)
}
