package target

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stapkit/internal/minikernel"
	"stapkit/target/btf"
)

// flatImage is a kernel as it lies in memory: where its types are, nothing tells.
func flatImage(magic string, types []byte) []byte {
	image := make([]byte, 0x5003)
	copy(image, "MZ\x40\xfa")
	copy(image[0x38:], magic)
	// What only looks like types: one of another version, and one that is cut off.
	copy(image[0x800:], "\x9f\xeb\x02\x00\x18\x00\x00\x00")
	copy(image[0x900:], "\x9f\xeb\x01\x00\x18\x00\x00\x00\x00\x00\x00\x00\xff\xff\xff\xff")
	image = append(image, types...)
	return append(image, make([]byte, 4096)...)
}

func gzipped(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestImage reads the types of kernels from what boot loaders start on machines where that
// is no ELF file, packed and not, whatever the file is called.
func TestImage(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	types, err := minikernel.BTF()
	if err != nil {
		t.Fatal(err)
	}
	arm := flatImage("ARM\x64", types)
	pack := gzipped(t, arm)
	zboot := make([]byte, 0x400)
	copy(zboot, "MZ\x00\x00zimg")
	binary.LittleEndian.PutUint32(zboot[8:], 0x400)
	binary.LittleEndian.PutUint32(zboot[12:], uint32(len(pack)))
	dir := t.TempDir()
	for name, data := range map[string][]byte{
		"Image": arm, "vmlinuz-arm64": arm, "Image.gz": pack, "vmlinuz-packed": pack, "vmlinuz.efi": append(zboot, pack...),
		"riscv": flatImage("RSC\x05", types),
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		for range 2 { // read, and kept
			host, err := Open(path)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				break
			}
			if got, err := host.Source().BTF(Kernel); err != nil || !bytes.Equal(got, types) {
				t.Errorf("%s: %d bytes, not %d; %v", name, len(got), len(types), err)
			}
			if fs, err := host.Functions("", "vfs_read"); err != nil || len(fs) != 1 {
				t.Errorf("%s: %v, %v", name, fs, err)
			}
		}
	}
	for name, data := range map[string][]byte{"Image-without": flatImage("ARM\x64", nil), "cut": arm[:0x5003+len(types)/2], "without.gz": gzipped(t, flatImage("ARM\x64", nil))} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path); !errors.Is(err, btf.ErrNoBTF) || !strings.Contains(err.Error(), "CONFIG_DEBUG_INFO_BTF") || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
