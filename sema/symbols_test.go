//go:build linux

package sema

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stapkit/target/elf"
)

// build makes a program and gives its path, or skips the test.
func build(t *testing.T, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(args[0]); err != nil {
		t.Skip(args[0] + " is not installed")
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "prog")
	for i, a := range args {
		if a == "OUT" {
			args[i] = out
		}
	}
	if msg, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, msg)
	}
	return out
}

func symbols(t *testing.T, point string) []string {
	t.Helper()
	b := &Binaries{}
	p := mustElaborate(t, "probe "+point+" { println(\"x\") }", Options{Binaries: b})
	var out []string
	for _, pr := range p.Probes {
		out = append(out, pr.Carriers[0].Symbol)
	}
	slices.Sort(out)
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	return out
}

// TestCplusplusNames finds functions by the names that source has, with debug
// information and with symbols alone.
func TestCplusplusNames(t *testing.T) {
	for _, debug := range []string{"-g", "-g0"} {
		path := build(t, "g++", debug, "-O1", "-o", "OUT", "../target/dwarf/testdata/cpp.cc")
		for name, want := range map[string][]string{
			"Square::area":                 {"_ZNK3geo6Square4areaEi"},
			"geo::Square::area(int) const": {"_ZNK3geo6Square4areaEi"},
			"geo::*::area":                 {"_ZNK3geo5Shape4areaEi", "_ZNK3geo6Square4areaEi"},
			"_ZNK3geo6Square4areaEi":       {"_ZNK3geo6Square4areaEi"},
			"::geo::Shape::area":           {"_ZNK3geo5Shape4areaEi"},
		} {
			if got := symbols(t, fmt.Sprintf("process(%q).function(%q).call", path, name)); !slices.Equal(got, want) {
				t.Errorf("%s, %s: %v", debug, name, got)
			}
		}
	}
}

// TestSymbolVersions finds one of several versions of a library's function.
func TestSymbolVersions(t *testing.T) {
	s := &elf.Search{}
	libs, err := s.Libraries(func(n string) bool { return n == "libc.so.6" })
	if err != nil {
		t.Skip("no GNU C library")
	}
	f, err := elf.Open(libs[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	syms, err := f.Lookup("pthread_create")
	if err != nil || len(syms) < 2 {
		t.Skipf("the library has one version of its functions: %v, %v", syms, err)
	}
	version := syms[0].Version
	got := symbols(t, fmt.Sprintf("process(%q).function(%q)", libs[0], "pthread_create@"+version))
	if !slices.Equal(got, []string{"pthread_create@" + version}) {
		t.Errorf("%v", got)
	}
}

// TestStrippedGo finds functions of a Go program without symbols.
func TestStrippedGo(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "m.go"), []byte("package main\n\n//go:noinline\nfunc work(n int) int { return n * 2 }\n\nfunc main() { println(work(3)) }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CGO_ENABLED", "0")
	path := build(t, "go", "build", "-ldflags=-s -w", "-o", "OUT", filepath.Join(dir, "m.go"))
	if got := symbols(t, fmt.Sprintf("process(%q).function(\"main.*\")", path)); !slices.Equal(got, []string{"main.main", "main.work"}) {
		t.Errorf("%v", got)
	}
	// The addresses are those of a program that has its symbols.
	whole := build(t, "go", "build", "-o", "OUT", filepath.Join(dir, "m.go"))
	a, err := elf.Open(whole)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	n, wrong := 0, 0
	syms, err := a.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range syms {
		if s.Kind != elf.Func || !strings.HasPrefix(s.Name, "runtime.") {
			continue
		}
		o, err := b.Lookup(s.Name)
		if err != nil {
			t.Fatal(err)
		}
		if len(o) > 0 {
			n++
			if o[0].Addr != s.Addr {
				wrong++ // wrappers have the name of what they wrap
			}
		}
	}
	if n < 500 || wrong > n/50 {
		t.Errorf("%d functions in common, %d of them elsewhere", n, wrong)
	}
}
