package target_test

import (
	"path/filepath"
	"strings"
	"testing"

	"stapkit/internal/guest"
	"stapkit/target"
)

// TestInstalled reads the types of kernels and modules as Debian's packages have them:
// inside the image that is booted, and compressed.
func TestInstalled(t *testing.T) {
	t.Setenv("STAPKIT_CACHE", t.TempDir())
	for _, suite := range guest.Suites {
		k, err := guest.Find(suite.Kernel)
		if err != nil {
			t.Skip(err)
		}
		root := filepath.Dir(filepath.Dir(k.Image))
		release := strings.TrimPrefix(filepath.Base(k.Image), "vmlinuz-")
		for range 2 { // the second time they are in the store
			tg, err := target.FromRelease(root, release)
			if err != nil {
				t.Fatal(err)
			}
			if fs, err := tg.Functions("", "vfs_read"); err != nil || len(fs) != 1 {
				t.Errorf("%s: vfs_read: %v, %v", suite.Kernel, fs, err)
			}
			if fs, err := tg.Functions("af_key", "pfkey_sendmsg"); err != nil || len(fs) != 1 {
				t.Errorf("%s: pfkey_sendmsg: %v, %v", suite.Kernel, fs, err)
			}
		}
	}
}
