package config

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const sample = `
include = ["tapset"]
targets = ["running"]

[[files]]
glob = "net/**/*.stp"
args = ["10", "eth0"]
guru = true
define = { MAXACTION = "2000" }
include = ["/abs"]

[[files]]
glob = ["last.stp", "net/deep/x?.stp"]
args = []
guru = false
compatible = "4.8"
privilege = "stapusr"
define = { MAXSTRINGLEN = "100" }
targets = ["web", "6.12.1"]

[target.web]
path = "hosts/web.stapdesc"

[lint]
disable = ["ST3"]
[lint.severity]
ST3001 = "error"
[lint.options.ST1004]
places = 500
`

func TestProject(t *testing.T) {
	dir := t.TempDir()
	p, err := ParseProject(filepath.Join(dir, ProjectFile), sample)
	if err != nil {
		t.Fatal(err)
	}
	tap := filepath.Join(dir, "tapset")
	running := []Target{{Name: "running", Spec: "running"}}
	for _, tt := range []struct {
		script string
		want   Script
	}{
		{"a.stp", Script{Include: []string{tap}, Targets: running}},
		{"net/a.stp", Script{Args: []string{"10", "eth0"}, HasArgs: true, Guru: true, Include: []string{tap, "/abs"},
			Define: map[string]string{"MAXACTION": "2000"}, Targets: running}},
		{"net/deep/deeper/a.stp", Script{Args: []string{"10", "eth0"}, HasArgs: true, Guru: true, Include: []string{tap, "/abs"},
			Define: map[string]string{"MAXACTION": "2000"}, Targets: running}},
		{"net/deep/x1.stp", Script{Args: []string{}, HasArgs: true, Include: []string{tap, "/abs"}, Compatible: "4.8", Privilege: "stapusr",
			Define:  map[string]string{"MAXACTION": "2000", "MAXSTRINGLEN": "100"},
			Targets: []Target{{Name: "web", Spec: filepath.Join(dir, "hosts/web.stapdesc")}, {Name: "6.12.1", Spec: "6.12.1"}}}},
		{"anywhere/last.stp", Script{Args: []string{}, HasArgs: true, Include: []string{tap}, Compatible: "4.8", Privilege: "stapusr",
			Define:  map[string]string{"MAXSTRINGLEN": "100"},
			Targets: []Target{{Name: "web", Spec: filepath.Join(dir, "hosts/web.stapdesc")}, {Name: "6.12.1", Spec: "6.12.1"}}}},
	} {
		if got := p.For(filepath.Join(dir, tt.script)); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v\nwant %+v", tt.script, got, tt.want)
		}
	}
	if p.Lint.Options["ST1004"]["places"] != int64(500) || p.Lint.Severity["ST3001"] != "error" || !slices.Equal(p.Lint.Disable, []string{"ST3"}) {
		t.Errorf("lint: %+v", p.Lint)
	}
}

func TestProjectErrors(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"args = 3", "s.toml:1:1: incompatible types"},
		{"x = [", "s.toml:1:"},
		{"\n\nguro = true", `s.toml:3:1: unknown key "guro"`},
		{"[[files]]\nglob = \"a\"\nagrs = []", `s.toml:3:1: unknown key "files.agrs"`},
		{"[[files]]\nguru = true", "s.toml:1:3: [[files]] without glob"},
		{"[[files]]\nglob = \"[\"", `s.toml:2:1: glob "["`},
		{"[[files]]\nglob = 4", "glob is 4"},
		{"privilege = \"root\"", `s.toml:1:1: privilege is "root"`},
		{"[target.a]", `target "a" has no path`},
		{"[target.a]\npath = \"x\"\ndigest = \"sha256:12\"", "s.toml:3:1: digest of target"},
	} {
		_, err := ParseProject("s.toml", tt.text)
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, want %s", tt.text, err, tt.want)
			continue
		}
		if d := e.Diagnostic(); d.Code != "E1600" || d.Message == "" {
			t.Errorf("%q: %+v", tt.text, d)
		}
	}
}

func TestFindProject(t *testing.T) {
	dir := t.TempDir()
	deep := filepath.Join(dir, "a", "b")
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	if got := FindProject(deep); got != "" {
		t.Fatalf("found %s where there is none", got)
	}
	file := filepath.Join(dir, ProjectFile)
	if err := os.WriteFile(file, []byte("args = [\"1\"]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := FindProject(deep); got != file {
		t.Errorf("found %q", got)
	}
	s, p, err := ForScript(filepath.Join(deep, "x.stp"), []byte("#!/usr/bin/stap -g\n"))
	if err != nil || p == nil || s.Guru || !slices.Equal(s.Args, []string{"1"}) {
		t.Errorf("%+v, %v", s, err) // the project's file goes before the script's line
	}
}

func TestTargetDigest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "h")
	if err := os.WriteFile(path, []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	tg := Target{Name: "h", Spec: path, Digest: fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("content")))}
	if err := tg.Check(); err != nil {
		t.Error(err)
	}
	tg.Digest = fmt.Sprintf("sha256:%x", sha256.Sum256([]byte("other")))
	if err := tg.Check(); err == nil || !strings.Contains(err.Error(), "has digest sha256:") {
		t.Errorf("%v", err)
	}
	tg.Spec += "x"
	if err := tg.Check(); err == nil {
		t.Error("a file that is not there is taken")
	}
}

func TestShebang(t *testing.T) {
	for _, tt := range []struct {
		line string
		want Script
	}{
		{"probe begin {}", Script{}},
		{"#!/bin/sh -g", Script{}},
		{"#! /usr/bin/stap", Script{}},
		{"#!/usr/bin/stap -g", Script{Guru: true}},
		{"#!/usr/bin/env -S stap -vg --compatible=4.1", Script{Guru: true, Compatible: "4.1"}},
		{"#! /usr/bin/stap -DMAXACTION=5 -D X -I lib -c 'ls -l' -G n=3", Script{Define: map[string]string{"MAXACTION": "5", "X": "1"},
			Include: []string{"dir/lib"}, Command: "ls -l", Global: map[string]string{"n": "3"}}},
		{"#!/usr/bin/stap -ogfile -p4 --privilege=stapusr --include /x -- a b", Script{Privilege: "stapusr", Include: []string{"/x"}, Args: []string{"a", "b"}, HasArgs: true}},
		{"#!/usr/bin/stap -e g", Script{}}, // the value of an option is none
	} {
		if got := Shebang("dir/s.stp", []byte(tt.line+"\nprobe begin {}")); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v", tt.line, got)
		}
	}
}

func FuzzProject(f *testing.F) {
	f.Add(sample, "net/x.stp")
	f.Fuzz(func(t *testing.T, text, script string) {
		if p, err := ParseProject("d/s.toml", text); err == nil {
			p.For(script)
		}
		Shebang("s", []byte("#!"+text))
	})
}
