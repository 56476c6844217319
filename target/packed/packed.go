// Package packed reads files of kernels as distributions compress them: modules
// (.ko.xz, .ko.zst, .ko.gz) and the kernel inside an image that a boot loader starts.
package packed

import (
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/therootcompany/xz"
)

// maxSize bounds what is unpacked: kernels have some 100 MB.
const maxSize = 1 << 30

// ErrUnpacked says that a file is not compressed in a way that is known here.
var ErrUnpacked = errors.New("not compressed, or in a way that is not known (xz, zstd, lz4, gzip and bzip2 are)")

// formats are told by how they begin.
var formats = []struct {
	magic string
	open  func(io.Reader) (io.Reader, error)
}{
	{"\xfd7zXZ\x00", func(r io.Reader) (io.Reader, error) { return xz.NewReader(r, xz.DefaultDictMax) }},
	{"\x28\xb5\x2f\xfd", func(r io.Reader) (io.Reader, error) {
		return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxSize))
	}},
	{"\x02\x21\x4c\x18", func(r io.Reader) (io.Reader, error) { return lz4.NewReader(r), nil }}, // the "legacy" frame
	{"\x04\x22\x4d\x18", func(r io.Reader) (io.Reader, error) { return lz4.NewReader(r), nil }},
	{"\x1f\x8b", func(r io.Reader) (io.Reader, error) {
		z, err := gzip.NewReader(r)
		if err == nil {
			z.Multistream(false) // a kernel's size follows it
		}
		return z, err
	}},
	{"BZh", func(r io.Reader) (io.Reader, error) { return bzip2.NewReader(r), nil }},
}

// Is reports whether data begins as one of the formats does.
func Is(data []byte) bool {
	for _, f := range formats {
		if bytes.HasPrefix(data, []byte(f.magic)) {
			return true
		}
	}
	return false
}

// Unpack decompresses data. It fails with ErrUnpacked for what is in no format that is
// known. What it has got when the end is damaged or is followed by something else comes
// with the error.
func Unpack(data []byte) (out []byte, err error) {
	for _, f := range formats {
		if !bytes.HasPrefix(data, []byte(f.magic)) {
			continue
		}
		r, err := f.open(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		if c, ok := r.(interface{ Close() }); ok { // zstd's
			defer c.Close()
		}
		var b bytes.Buffer
		n, err := b.ReadFrom(io.LimitReader(r, maxSize+1))
		if n > maxSize {
			return nil, fmt.Errorf("more than %d bytes when unpacked", maxSize)
		}
		return b.Bytes(), err
	}
	return nil, ErrUnpacked
}

// ReadFile reads a file, and unpacks it if it is compressed.
func ReadFile(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil || !Is(data) {
		return data, err
	}
	if data, err = Unpack(data); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return data, nil
}

// Kernel gives what a bootable image holds, as a rule an ELF file without symbols:
// that of a bzImage (Documentation/arch/x86/boot.rst), or of an image for EFI
// (drivers/firmware/efi/libstub/zboot-header.S), or of a file that is compressed as a
// whole, or that is not. On some machines it is no ELF file, but flat: Flat tells.
func Kernel(image []byte) ([]byte, error) {
	if bytes.HasPrefix(image, []byte("\x7fELF")) || Flat(image) {
		return image, nil
	}
	payload, err := payload(image)
	if err != nil {
		return nil, err
	}
	out, err := Unpack(payload)
	// The size of what is packed follows it, which some formats take for a damaged end.
	if err != nil && len(out) > 0 && len(payload) >= 4 && uint32(len(out)) == binary.LittleEndian.Uint32(payload[len(payload)-4:]) {
		err = nil
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Flat reports whether an image is a kernel as it lies in memory, without a list of its
// sections, as those of arm64 and riscv are (Documentation/arch/arm64/booting.rst and
// Documentation/arch/riscv/boot-image-header.rst).
func Flat(image []byte) bool {
	return len(image) >= 0x40 && (string(image[0x38:0x3c]) == "ARM\x64" || string(image[0x38:0x3c]) == "RSC\x05")
}

// IsKernel reports whether data begins as an image does that a boot loader starts, other
// than an ELF file and one that is compressed as a whole.
func IsKernel(data []byte) bool {
	return Flat(data) || isBzImage(data) || isZboot(data)
}

func isBzImage(image []byte) bool { return len(image) > 0x206 && string(image[0x202:0x206]) == "HdrS" }

func isZboot(image []byte) bool {
	return len(image) > 0x40 && string(image[:2]) == "MZ" && string(image[4:8]) == "zimg"
}

// payload is the compressed part of an image.
func payload(image []byte) ([]byte, error) {
	le := binary.LittleEndian
	part := func(off, size uint64) ([]byte, error) {
		if off+size > uint64(len(image)) || size < 16 {
			return nil, fmt.Errorf("the image is damaged: %d bytes at %#x are to be its kernel", size, off)
		}
		return image[off : off+size], nil
	}
	switch {
	case len(image) > 0x250 && isBzImage(image):
		if v := le.Uint16(image[0x206:]); v < 0x208 {
			return nil, fmt.Errorf("the image speaks version %d.%d of the boot protocol, which does not tell where its kernel is", v>>8, v&0xff)
		}
		sectors := uint64(image[0x1f1])
		if sectors == 0 {
			sectors = 4
		}
		return part((sectors+1)*512+uint64(le.Uint32(image[0x248:])), uint64(le.Uint32(image[0x24c:])))
	case isZboot(image):
		return part(uint64(le.Uint32(image[8:])), uint64(le.Uint32(image[12:])))
	case Is(image):
		return image, nil
	}
	return nil, ErrUnpacked
}
