package rewrite

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestAttributes: extended attributes and the owner of a file outlive its formatting.
func TestAttributes(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a.stp")
	write(t, name, "global  x\n")
	if err := os.Chmod(name, os.ModeSetuid|0o751); err != nil {
		t.Fatal(err)
	}
	attr := unix.Setxattr(name, "user.stapkit", []byte("kept"), 0) == nil
	// An access list that lets user 12345 read: version 2, five entries.
	acl := []byte{2, 0, 0, 0,
		1, 0, 7, 0, 255, 255, 255, 255,
		2, 0, 4, 0, 0x39, 0x30, 0, 0,
		4, 0, 5, 0, 255, 255, 255, 255,
		16, 0, 5, 0, 255, 255, 255, 255,
		32, 0, 1, 0, 255, 255, 255, 255}
	hasACL := unix.Setxattr(name, "system.posix_acl_access", acl, 0) == nil
	owned := os.Chown(name, 12345, 23456) == nil
	if owned {
		if err := os.Chmod(name, os.ModeSetuid|0o751); err != nil {
			t.Fatal(err)
		}
	}
	if code, _, errs := run(t, Options{Paths: []string{name}, Write: true}); code != Clean {
		t.Fatal(errs)
	}
	if text, err := os.ReadFile(name); err != nil || string(text) != "global x\n" {
		t.Fatalf("%q, %v", text, err)
	}
	st, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if st.Mode() != os.ModeSetuid|0o751 {
		t.Errorf("mode %v", st.Mode())
	}
	if sys := st.Sys().(*syscall.Stat_t); owned && (sys.Uid != 12345 || sys.Gid != 23456) {
		t.Errorf("owner %d:%d", sys.Uid, sys.Gid)
	}
	buf := make([]byte, 100)
	if n, err := unix.Getxattr(name, "user.stapkit", buf); attr && (err != nil || string(buf[:n]) != "kept") {
		t.Errorf("attribute %q, %v", buf[:max(n, 0)], err)
	}
	if n, err := unix.Getxattr(name, "system.posix_acl_access", buf); hasACL && (err != nil || string(buf[:n]) != string(acl)) {
		t.Errorf("access list %v, %v", buf[:max(n, 0)], err)
	}
	t.Logf("attribute %v, access list %v, owner %v", attr, hasACL, owned)
}
