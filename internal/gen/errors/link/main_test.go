package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLinked fails when a package registers codes that command errors is not
// linked with.
func TestLinked(t *testing.T) {
	want, err := imports(filepath.Join("..", root))
	if err != nil {
		t.Fatal(err)
	}
	have, err := os.ReadFile(filepath.Join("..", file))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) {
		t.Errorf("internal/gen/errors/%s is stale; run make generate. It should be\n%s", file, want)
	}
}

func TestImports(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a/codes.go":          "package a\nvar x = diag.Register(i)\n",
		"a/b/codes.go":        "package b\nvar x = diag.Register(i)\n",
		"c/c.go":              "package c\n",
		"c/c_test.go":         "package c\nvar x = diag.Register(i)\n",
		"internal/gen/gen.go": "package gen\nvar x = diag.Register(i)\n",
		"testdata/x.go":       "package x\nvar x = diag.Register(i)\n",
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	got, err := imports(dir)
	if err != nil {
		t.Fatal(err)
	}
	if want := "import (\n\t_ \"stapkit/a\"\n\t_ \"stapkit/a/b\"\n)\n"; !strings.HasSuffix(string(got), want) {
		t.Errorf("got\n%s", got)
	}
	if _, err := imports(t.TempDir()); err == nil {
		t.Error("an empty module gives no error")
	}
}
