package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stapkit/diag"
)

// TestPages fails when docs/errors is stale.
func TestPages(t *testing.T) {
	have, err := read(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := pages(diag.All())
	for name, page := range want {
		if !bytes.Equal(have[name], page) {
			t.Errorf("docs/errors/%s is stale; run make generate", name)
		}
	}
	for name := range have {
		if _, ok := want[name]; !ok {
			t.Errorf("docs/errors/%s is of a code that is gone; run make generate", name)
		}
	}
}

// TestDocs fails when a code says nothing of itself.
func TestDocs(t *testing.T) {
	for _, info := range diag.All() {
		if strings.TrimSpace(info.Doc) == "" {
			t.Errorf("%s (%s) has no text for its page", info.Code, info.Title)
		}
		if strings.ContainsAny(info.Title, "\n\t") || strings.HasSuffix(info.Title, ".") {
			t.Errorf("%s: the title %q is no single phrase", info.Code, info.Title)
		}
	}
}

func TestWrite(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"E0999.md": "gone", "notes.md": "kept", "README.md": "old"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := write(dir); err != nil {
		t.Fatal(err)
	}
	have, err := read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if want := pages(diag.All()); len(have) != len(want) || have["E0999.md"] != nil {
		t.Errorf("%d pages, want %d", len(have), len(want))
	}
	if b, err := os.ReadFile(filepath.Join(dir, "notes.md")); err != nil || string(b) != "kept" {
		t.Errorf("another file was touched: %q, %v", b, err)
	}
}

func TestPage(t *testing.T) {
	got := pages([]diag.Info{
		{Code: "R001", Severity: diag.Warning, Title: "a | b", Doc: "\nWhat it means.\n"},
		{Code: "E0001", Title: "first"},
	})
	if want := generated + "# R001: a | b\n\nRun and trust, warning.\n\nWhat it means.\n\n[All codes](README.md)\n"; string(got["R001.md"]) != want {
		t.Errorf("page\n%s\nwant\n%s", got["R001.md"], want)
	}
	index := string(got["README.md"])
	if !strings.Contains(index, "| [R001](R001.md) | warning | a \\| b |\n") || strings.Index(index, "E0001") > strings.Index(index, "R001") {
		t.Errorf("index\n%s", index)
	}
}
