package packed

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestUnpack: what the usual programs pack is unpacked, whole, damaged or cut short.
func TestUnpack(t *testing.T) {
	want := bytes.Repeat([]byte("what a kernel's module has in it\x00\x01\x02"), 50000)
	for _, command := range [][]string{{"xz", "-c", "--check=crc32", "--lzma2=dict=1MiB"}, {"xz", "-c", "--x86", "--lzma2=dict=32MiB"}, {"zstd", "-qc", "-19"}, {"lz4", "-qcl"}, {"gzip", "-c"}, {"bzip2", "-c"}} {
		t.Run(command[0], func(t *testing.T) {
			if _, err := exec.LookPath(command[0]); err != nil {
				t.Skip(err)
			}
			cmd := exec.Command(command[0], command[1:]...)
			cmd.Stdin = bytes.NewReader(want)
			data, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			if got, err := Unpack(data); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes, want %d; %v", len(got), len(want), err)
			}
			path := filepath.Join(t.TempDir(), "a.ko")
			if err := os.WriteFile(path, data, 0o644); err != nil {
				t.Fatal(err)
			}
			if got, err := ReadFile(path); err != nil || !bytes.Equal(got, want) {
				t.Errorf("from a file: %d bytes, want %d; %v", len(got), len(want), err)
			}
			if got, err := Unpack(data[:len(data)/2]); err == nil && bytes.Equal(got, want) {
				t.Error("half of it gives the whole")
			}
			// As a kernel builds it: the size follows.
			image := make([]byte, 0x4000, len(data)+0x5000)
			copy(image[0x202:], "HdrS\x0f\x02")
			image[0x1f1] = 3
			binary.LittleEndian.PutUint32(image[0x248:], 0x4000-4*512)
			binary.LittleEndian.PutUint32(image[0x24c:], uint32(len(data)+4))
			image = binary.LittleEndian.AppendUint32(append(image, data...), uint32(len(want)))
			if got, err := Kernel(image); err != nil || !bytes.Equal(got, want) {
				t.Errorf("from an image: %d bytes, want %d; %v", len(got), len(want), err)
			}
			for i := range image {
				if i < 0x4000 || i%997 == 0 {
					image[i] ^= 0x55
					_, _ = Kernel(image[:len(image)-i/5]) // must not panic
					image[i] ^= 0x55
				}
			}
		})
	}
}
