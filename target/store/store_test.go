package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestStore(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(Environment, dir)
	if _, err := Get("kind", "key"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("an empty store has it: %v", err)
	}
	if err := Put("kind", "key", []byte("content")); err != nil {
		t.Fatal(err)
	}
	got, err := Get("kind", "key")
	if err != nil || string(got) != "content" {
		t.Fatalf("%q, %v", got, err)
	}
	for _, bad := range []string{"", ".x", "a/b", "../x"} {
		if err := Put("kind", bad, nil); err == nil {
			t.Errorf("key %q is taken", bad)
		}
	}
	path := filepath.Join(dir, "kind", "key")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range data {
		damaged := append([]byte(nil), data...)
		damaged[i] ^= 0x40
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Get("kind", "key"); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
		if err := os.WriteFile(path, data[:i], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Get("kind", "key"); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("cut to %d bytes: %v", i, err)
		}
	}
	old := time.Now().Add(-2 * unused)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	if err := Put("kind", "other", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an entry that nobody used for long is kept: %v", err)
	}
	t.Setenv(Environment, "off")
	if _, err := Get("kind", "other"); !errors.Is(err, ErrOff) {
		t.Errorf("switched off: %v", err)
	}
}
