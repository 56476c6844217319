// Package bundle is the file format of a compiled script: an eBPF object with
// records and a footer behind it, as kernel modules carry their signature.
//
//	ELF object               what bpftool and libbpf read; they ignore the rest
//	record: manifest         the text that is signed
//	record: SSH signature    none, one or several
//	footer                   64 bytes, the end of the file
//
// All numbers are little-endian, and the object and every record start at a
// multiple of eight bytes.
//
// # Object
//
// Only the layout that compile/object writes is accepted: the ELF header, the
// sections in the order of their indexes, each at its alignment and with zero
// padding before it, and the section header table at the end; no two sections
// share a name. So every byte has one meaning, and a reader that follows the
// section headers sees the same as one that follows the file. What the loader
// needs beside the code stands in sections named .stap.*, which the eBPF loaders
// pass over.
//
// The section .stap.sign (MarkSection) holds eight bytes: "unsigned", or
// "expected" once the file has been prepared for signing. A signed file that loses
// its tail is therefore known to be altered, not merely unsigned.
//
// # Record
//
//	u32 type      1 manifest, 2 SSH signature, 3 PKCS#7 signature (reserved),
//	              4 DSSE provenance (reserved); bit 31 set: readers that do not
//	              know the type must refuse the file
//	u32 length    of the payload
//	payload, then zero bytes up to a multiple of eight
//
// The manifest comes first and there is one. An SSH signature is the binary form
// of OpenSSH's PROTOCOL.sshsig, in the namespace "stapkit-bundle", over the bytes
// of the manifest.
//
// # Footer
//
//	u64 offset    of the first record, which is the length of the object
//	u32 count     of records
//	u16 major, u16 minor version of this format
//	32 bytes      SHA-256 of the records and of the 16 bytes above
//	16 bytes      "~stapkit-bundle\n"
//
// The checksum is no protection against forgery, it tells a damaged tail from a
// newer one.
//
// # Manifest
//
// The object cannot hold its own hash, so the signed text stands outside of it and
// names the object's length and SHA-256: the signature covers every byte of the
// object. See Manifest for the text.
//
// # Reading
//
// Parse accepts nothing but what Write, Prepare and Attach make, allocates no more
// than a small multiple of the file, and never panics. It proves that the file is
// whole, not that anyone vouches for it: that is package trust.
package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Version of the file format that this package writes. It reads every minor
// version of the same major.
const (
	Major = 1
	Minor = 0
)

// MarkSection is the section that says whether a signature is expected.
const MarkSection = ".stap.sign"

const (
	markUnsigned = "unsigned"
	markExpected = "expected"
)

// Mark returns the content that MarkSection has in an object nobody has signed.
func Mark() []byte { return []byte(markUnsigned) }

// Limits of what Parse accepts.
const (
	MaxSize      = 256 << 20 // of the file, bytes
	maxRecords   = 64
	maxManifest  = 4 << 20 // bytes
	maxSignature = 1 << 20 // bytes
	maxSections  = 16384
)

const (
	footerSize   = 64
	footerMagic  = "~stapkit-bundle\n"
	recordHeader = 8
)

// RecordType is the type of a record behind the object.
type RecordType uint32

// Record types. The reserved ones are carried along and mean nothing yet.
const (
	RecordManifest RecordType = 1 // the signed text, first and once
	RecordSSHSig   RecordType = 2 // an SSH signature
	RecordPKCS7    RecordType = 3 // reserved: a signature for the kernel to check
	RecordDSSE     RecordType = 4 // reserved: provenance

	// recordCritical marks types that a reader must know.
	recordCritical RecordType = 1 << 31
)

// Record is a record behind the object.
type Record struct {
	Type RecordType
	Data []byte
}

// Bundle is a file taken apart. Its byte slices belong to the file's bytes and must
// not be changed.
type Bundle struct {
	// ELF is the object, without the records and the footer.
	ELF []byte
	// Sections are the contents of the object's sections by name.
	Sections map[string][]byte
	// Names are the object's sections in the order of the file.
	Names []string
	// Manifest is the signed text taken apart.
	Manifest Manifest
	// Message is the signed text itself.
	Message []byte
	// Signatures are the SSH signatures, not yet verified.
	Signatures []Signature
	// Records are all records, the manifest first.
	Records []Record
	// Expected says that the object has been prepared for signing. Such a file
	// without a signature has lost it.
	Expected bool
}

// ErrFormat is in every error of Parse but a VersionError: the file is no bundle, or
// it is damaged.
var ErrFormat = errors.New("not a stapkit bundle, or damaged")

// VersionError says that a file is whole but made for a newer reader.
type VersionError struct {
	What  string // what has the version: "format", or a record or field by name
	Major int    // of the file; 0 where only the name is unknown
	Minor int
}

func (e *VersionError) Error() string {
	if e.Major == 0 {
		return fmt.Sprintf("the bundle needs a newer stapkit: unknown %s; this one reads format %d.%d", e.What, Major, Minor)
	}
	return fmt.Sprintf("the bundle needs a newer stapkit: %s %d.%d; this one reads %d.x", e.What, e.Major, e.Minor, Major)
}

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrFormat, fmt.Sprintf(format, args...))
}

// Write returns the bundle of an object made by compile/object, without a
// signature. Of m it takes what the caller knows (Script, ScriptSHA256, Tool,
// Fields); it fills in the rest.
func Write(elf []byte, m Manifest) ([]byte, error) {
	text, err := describe(elf, m)
	if err != nil {
		return nil, err
	}
	return assemble(elf, []Record{{RecordManifest, text}})
}

// describe returns the manifest text for elf.
func describe(elf []byte, m Manifest) ([]byte, error) {
	sections, err := parseELF(elf)
	if err != nil {
		return nil, err
	}
	if _, err := markOf(elf, sections); err != nil {
		return nil, err
	}
	m.Major, m.Minor = Major, Minor
	m.measure(elf, sections)
	return m.Text()
}

// measure fills in what m says of the object.
func (m *Manifest) measure(elf []byte, sections []section) {
	m.ELFLength = int64(len(elf))
	m.ELFSHA256 = sha256.Sum256(elf)
	m.Sections = nil
	for _, s := range sections {
		m.Sections = append(m.Sections, SectionInfo{Name: s.name, Size: int64(s.size), SHA256: sha256.Sum256(s.data(elf))})
	}
}

// assemble puts the records and the footer behind elf.
func assemble(elf []byte, records []Record) ([]byte, error) {
	if len(records) > maxRecords {
		return nil, fmt.Errorf("bundle: %d records, more than %d", len(records), maxRecords)
	}
	out := slices.Clone(elf)
	for _, r := range records {
		out = binary.LittleEndian.AppendUint32(out, uint32(r.Type))
		out = binary.LittleEndian.AppendUint32(out, uint32(len(r.Data)))
		out = append(out, r.Data...)
		for len(out)%8 != 0 {
			out = append(out, 0)
		}
	}
	tail := out[len(elf):]
	head := make([]byte, 0, footerSize)
	head = binary.LittleEndian.AppendUint64(head, uint64(len(elf)))
	head = binary.LittleEndian.AppendUint32(head, uint32(len(records)))
	head = binary.LittleEndian.AppendUint16(head, Major)
	head = binary.LittleEndian.AppendUint16(head, Minor)
	sum := footerSum(tail, head)
	out = append(append(append(out, head...), sum[:]...), footerMagic...)
	if len(out) > MaxSize {
		return nil, fmt.Errorf("bundle: %d bytes, more than %d", len(out), MaxSize)
	}
	return out, nil
}

func footerSum(records, head []byte) [32]byte {
	h := sha256.New()
	h.Write(records)
	h.Write(head[:16])
	return [32]byte(h.Sum(nil))
}

// Parse takes a bundle apart and checks that it is whole: its layout, the hash of
// the object and of the records, the manifest against the object. The error is a
// *VersionError or wraps ErrFormat.
func Parse(data []byte) (*Bundle, error) {
	if len(data) > MaxSize {
		return nil, damaged("%d bytes are more than %d", len(data), MaxSize)
	}
	if len(data) < footerSize || string(data[len(data)-len(footerMagic):]) != footerMagic {
		return nil, damaged("the file does not end with a bundle's footer")
	}
	footer := data[len(data)-footerSize:]
	le := binary.LittleEndian
	offset, count := le.Uint64(footer), le.Uint32(footer[8:])
	major, minor := int(le.Uint16(footer[12:])), int(le.Uint16(footer[14:]))
	end := uint64(len(data) - footerSize)
	if offset > end || offset%8 != 0 {
		return nil, damaged("the footer points outside of the file")
	}
	tail := data[offset:end]
	if footerSum(tail, footer) != [32]byte(footer[16:48]) {
		return nil, damaged("the checksum of the records is wrong")
	}
	if major != Major {
		return nil, &VersionError{"format", major, minor}
	}

	b := &Bundle{ELF: data[:offset:offset], Sections: make(map[string][]byte)}
	if err := b.parseRecords(tail, count); err != nil {
		return nil, err
	}
	return b, b.check()
}

func (b *Bundle) parseRecords(tail []byte, count uint32) error {
	if count == 0 || count > maxRecords {
		return damaged("%d records", count)
	}
	for i := range count {
		if len(tail) < recordHeader {
			return damaged("record %d is cut off", i)
		}
		typ := RecordType(binary.LittleEndian.Uint32(tail))
		length := uint64(binary.LittleEndian.Uint32(tail[4:]))
		padded := (length + 7) &^ 7
		if uint64(len(tail)-recordHeader) < padded {
			return damaged("record %d is cut off", i)
		}
		payload := tail[recordHeader : recordHeader+length : recordHeader+length]
		if !zero(tail[recordHeader+length : recordHeader+padded]) {
			return damaged("bytes behind record %d", i)
		}
		tail = tail[recordHeader+padded:]

		switch {
		case (typ == RecordManifest) != (i == 0):
			return damaged("record %d is of type %d", i, typ)
		case typ == RecordManifest && length > maxManifest, typ != RecordManifest && length > maxSignature:
			return damaged("record %d has %d bytes", i, length)
		case typ == RecordSSHSig:
			b.Signatures = append(b.Signatures, Signature{payload})
		case typ&recordCritical != 0:
			return &VersionError{What: fmt.Sprintf("record type %#x", uint32(typ))}
		}
		b.Records = append(b.Records, Record{typ, payload})
	}
	if len(tail) != 0 {
		return damaged("%d bytes between the records and the footer", len(tail))
	}
	return nil
}

// check compares the manifest with the object.
func (b *Bundle) check() error {
	b.Message = b.Records[0].Data
	m, err := ParseManifest(b.Message)
	if err != nil {
		return err
	}
	b.Manifest = *m
	sections, err := parseELF(b.ELF)
	if err != nil {
		return err
	}
	for _, s := range sections {
		b.Names = append(b.Names, s.name)
		b.Sections[s.name] = s.data(b.ELF)
	}
	if b.Expected, err = markOf(b.ELF, sections); err != nil {
		return err
	}
	var actual Manifest
	actual.measure(b.ELF, sections)
	switch {
	case m.ELFLength != actual.ELFLength || m.ELFSHA256 != actual.ELFSHA256:
		return damaged("the object is not the one in the manifest")
	case !slices.Equal(m.Sections, actual.Sections):
		return damaged("the object's sections are not those in the manifest")
	case len(b.Signatures) > 0 && !b.Expected:
		return damaged("there is a signature, and the object does not expect one")
	}
	return nil
}

// markOf reads MarkSection.
func markOf(elf []byte, sections []section) (expected bool, err error) {
	for _, s := range sections {
		if s.name != MarkSection {
			continue
		}
		switch string(s.data(elf)) {
		case markUnsigned:
			return false, nil
		case markExpected:
			return true, nil
		}
		return false, damaged("section %s holds neither %q nor %q", MarkSection, markUnsigned, markExpected)
	}
	return false, damaged("the object has no section %s", MarkSection)
}

// Prepare returns the bundle with the object marked as one that a signature is
// expected for, and the text to sign. A bundle already prepared comes back as it
// is, so that several people can sign the same text.
func Prepare(data []byte) (prepared, message []byte, err error) {
	b, err := Parse(data)
	if err != nil {
		return nil, nil, err
	}
	if b.Expected {
		return data, b.Message, nil
	}
	elf := slices.Clone(b.ELF)
	sections, err := parseELF(elf)
	if err != nil {
		return nil, nil, err
	}
	for _, s := range sections {
		if s.name == MarkSection {
			copy(s.data(elf), markExpected)
		}
	}
	text, err := describe(elf, b.Manifest)
	if err != nil {
		return nil, nil, err
	}
	records := slices.Clone(b.Records)
	records[0].Data = text
	if prepared, err = assemble(elf, records); err != nil {
		return nil, nil, err
	}
	return prepared, text, nil
}

// Attach adds a signature to a prepared bundle: SSH signature bytes, armored (as
// ssh-keygen -Y sign writes them) or binary. The signature must verify.
func Attach(data, signature []byte) ([]byte, error) {
	b, err := Parse(data)
	if err != nil {
		return nil, err
	}
	if !b.Expected {
		return nil, errors.New("bundle: prepare it before a signature is attached")
	}
	sig, err := decodeSignature(signature)
	if err != nil {
		return nil, err
	}
	if _, err := sig.Verify(b.Message); err != nil {
		return nil, err
	}
	for _, old := range b.Signatures {
		if bytes.Equal(old.Data, sig.Data) {
			return nil, errors.New("bundle: it has this signature already")
		}
	}
	return assemble(b.ELF, append(slices.Clone(b.Records), Record{RecordSSHSig, sig.Data}))
}

func zero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
