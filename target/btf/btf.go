// Package btf reads the BPF Type Format of kernels and modules.
//
// A kernel has more than a hundred thousand types, of which a script needs a
// handful. Opening a Spec therefore makes one pass over the raw blob that
// checks it and notes where each type starts; names are indexed by kind on
// first use, and types become ctype values on demand, keeping their BTF
// identity for CO-RE relocations.
//
// The format is that of Documentation/bpf/btf.rst in the Linux tree. Both byte
// orders are read; no input makes the package panic.
package btf

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"stapkit/target/ctype"
)

// ID is a type id. Id 0 is void. The ids of a module's own types follow those
// of the kernel that it builds on.
type ID uint32

// Kind is the kind of a BTF type, numbered as in the format.
type Kind uint8

// The kinds.
const (
	KindVoid Kind = iota
	KindInt
	KindPtr
	KindArray
	KindStruct
	KindUnion
	KindEnum
	KindFwd
	KindTypedef
	KindVolatile
	KindConst
	KindRestrict
	KindFunc
	KindFuncProto
	KindVar
	KindDatasec
	KindFloat
	KindDeclTag
	KindTypeTag
	KindEnum64

	kindMax = KindEnum64
)

// ErrNoBTF says that a file or a kernel has no BTF.
var ErrNoBTF = errors.New("no BTF")

// FormatError says what is wrong with a BTF blob, and where.
type FormatError struct {
	Object string // name of the Spec
	Offset int    // in the blob, -1 when the problem is the blob as a whole
	Text   string
}

func (e *FormatError) Error() string {
	if e.Offset < 0 {
		return fmt.Sprintf("BTF of %s: %s", e.Object, e.Text)
	}
	return fmt.Sprintf("BTF of %s: at byte %d: %s", e.Object, e.Offset, e.Text)
}

// Spec is the BTF of one kernel or of one module on top of its kernel. It is
// safe for concurrent use.
type Spec struct {
	name string // "vmlinux" or the module
	raw  []byte
	base *Spec // nil for vmlinux
	bo   binary.ByteOrder

	types   []byte   // type section
	strs    string   // string section
	strBase uint32   // first string offset of this object
	first   ID       // first type id of this object
	offs    []uint32 // offset in types of id first+i
	shape   []shape  // of id first+i

	// enumFlags tells that some enum is marked as signed, so that one that
	// is not marked is unsigned.
	enumFlags bool

	mu    sync.Mutex
	cache map[ID]ctype.Type

	names [kindMax + 1]nameIndex

	ptrOnce  sync.Once
	ptrBytes int64

	enumOnce sync.Once
	enums    map[string]enumRef
}

// nameIndex lists the ids of the named types of one kind, sorted by name.
type nameIndex struct {
	once sync.Once
	ids  []ID
}

// Name is "vmlinux" or the name of the module.
func (s *Spec) Name() string { return s.name }

// Base is the kernel's Spec for a module, else nil.
func (s *Spec) Base() *Spec { return s.base }

// Raw is the blob that the Spec was parsed from. It must not be changed.
func (s *Spec) Raw() []byte { return s.raw }

// ByteOrder is the byte order of the machine.
func (s *Spec) ByteOrder() binary.ByteOrder { return s.bo }

// Types is the number of types, those of the base included, void too.
func (s *Spec) Types() int { return int(s.first) + len(s.offs) }

// Open reads BTF from a file: a raw blob such as /sys/kernel/btf/vmlinux, or
// an ELF file with a .BTF section. It fails with ErrNoBTF for an ELF file
// without one.
func Open(path string) (*Spec, error) {
	raw, err := ReadFile(path)
	if err != nil {
		return nil, err
	}
	return Parse("vmlinux", raw)
}

// ReadFile reads the raw BTF from a file as Open does, without parsing it.
func ReadFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var magic [4]byte
	if _, err := io.ReadFull(f, magic[:]); err != nil {
		return nil, fmt.Errorf("%s: %w", path, ErrNoBTF)
	}
	if bytes.Equal(magic[:], []byte(elf.ELFMAG)) {
		raw, err := ReadELF(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return raw, nil
	}
	if !isMagic(magic[:2]) {
		return nil, fmt.Errorf("%s: neither BTF nor an ELF file", path)
	}
	var buf bytes.Buffer
	if st, err := f.Stat(); err == nil && st.Size() <= maxSize {
		buf.Grow(int(st.Size()) + bytes.MinRead) // one allocation; the size is a hint only
	}
	buf.Write(magic[:])
	if _, err := buf.ReadFrom(io.LimitReader(f, maxSize)); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// ReadELF gives the raw BTF of an ELF file. It fails with ErrNoBTF if it has none.
func ReadELF(r io.ReaderAt) (raw []byte, err error) {
	// debug/elf is known to panic on some malformed files.
	defer func() {
		if p := recover(); p != nil {
			raw, err = nil, fmt.Errorf("malformed ELF file: %v", p)
		}
	}()
	f, err := elf.NewFile(r)
	if err != nil {
		return nil, err
	}
	sec := f.Section(".BTF")
	if sec == nil {
		return nil, ErrNoBTF
	}
	return sec.Data()
}
