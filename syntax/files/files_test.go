package files

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

func TestIsScript(t *testing.T) {
	tests := []struct {
		name, text string
		want       bool
	}{
		{"nothing", "", true},
		{"comments", "# a\n// b\n/* c */", true},
		{"probe", "probe begin {}", true},
		{"macro library", "@define x %( 1 %)", true},
		{"macro call", "@prefix function f() {}", true},
		{"conditional", "%( 1 == 1 %? global x %)", true},
		{"embedded C", "%{ int x; %}", true},
		{"argument", "$1", true},
		{"shebang", "#!/usr/bin/env stap\nrubbish", true},
		{"shebang of a shell that runs stap", "#!/bin/sh\n//bin/true && exec stap $0\nprobe begin {", true},
		{"broken at its start", "proble begin {}\nprobe end { x = }\n", true},
		{"broken at its start, function", "x = 1\nfunction f() {", true},
		{"broken at its start, global", "+\nglobal x", true},
		{"broken at its start, macro", "+\n@define x", true},
		{"broken at its start, private", "+\nprivate x", true},

		{"STEP", "ISO-10303-21;\nHEADER;\nENDSEC;", false},
		{"STEP with a mark", "\ufeff\r\nISO-10303-21;\n", false},
		{"binary", "probe\x00", false},
		{"SQL", "-- about\nCREATE PROCEDURE p AS\nBEGIN\n\tSELECT 'probe';\nEND", false},
		{"SQL, a keyword at the start of a line", "create\nfunction (x)\nprobe;\nglobal;\nprivate;", false},
		{"JSON", `{"probe": "x"}`, false},
		{"shell", "#!/bin/sh\necho probe begin\n", false},
		{"prose", "The probe begins\nhere.", false},
	}
	for _, tt := range tests {
		if got := IsScript([]byte(tt.text)); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// TestChanged: a file that changed since it was read is not overwritten.
func TestChanged(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "a.stp")
	write(t, name, "global  x\n")
	f, err := openFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	st, err := f.Lstat("a.stp")
	if err != nil {
		t.Fatal(err)
	}
	s := &Source{f, "a.stp", name, st}
	defer s.Close()
	if _, _, err := s.Read(true); err != nil {
		t.Fatal(err)
	}
	write(t, name, "global  y\n")
	if err := os.Chtimes(name, time.Time{}, st.ModTime().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := s.Write([]byte("global x\n")); !errors.Is(err, errChanged) {
		t.Errorf("got %v", err)
	}
	if text, err := os.ReadFile(name); err != nil || string(text) != "global  y\n" {
		t.Errorf("%q, %v", text, err)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	write(t, name, "global  z\n") // another file
	if _, _, err := s.Read(false); err == nil && runtime.GOOS != "windows" {
		if st2, err := f.Lstat("a.stp"); err == nil && !os.SameFile(st, st2) {
			t.Error("another file was read in the place of the one found")
		}
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
}

// TestEscape: a link that is put there after the file was found does not lead out.
func TestEscape(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "out", "secret.stp"), "global  x\n")
	write(t, filepath.Join(dir, "in", "a.stp"), "global  x\n")
	f, err := openFolder(filepath.Join(dir, "in"))
	if err != nil {
		t.Fatal(err)
	}
	st, err := f.Lstat("a.stp")
	if err != nil {
		t.Fatal(err)
	}
	s := &Source{f, "a.stp", "a.stp", st}
	defer s.Close()
	if err := os.Remove(filepath.Join(dir, "in", "a.stp")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../out/secret.stp", filepath.Join(dir, "in", "a.stp")); err != nil {
		t.Skip(err)
	}
	if _, _, err := s.Read(false); err == nil {
		t.Error("the link was followed")
	}
	if err := s.Write([]byte("y")); err == nil {
		t.Error("the link was written")
	}
	if text, err := os.ReadFile(filepath.Join(dir, "out", "secret.stp")); err != nil || string(text) != "global  x\n" {
		t.Errorf("%q, %v", text, err)
	}
}
