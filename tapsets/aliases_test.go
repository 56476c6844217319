//go:build linux

package tapsets_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"
	"time"

	"stapkit/diag"
	"stapkit/driver"
	"stapkit/internal/examples"
	"stapkit/internal/guest"
	"stapkit/sema"
	"stapkit/syntax"
	"stapkit/target"
)

var update = flag.Bool("update", false, "write what does not resolve into testdata/unresolved.txt")

// kernelsOf gives the kernels to resolve aliases for, by the names that
// testdata/unresolved.txt has.
func kernelsOf(t *testing.T) map[string]*target.Target {
	t.Helper()
	out := map[string]*target.Target{}
	add := func(name string, open func() (*target.Target, error)) {
		tgt, err := open()
		var absent *guest.MissingError
		if errors.As(err, &absent) {
			t.Logf("not for Linux %s: %v", name, err)
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { tgt.Close() })
		out[name] = tgt
	}
	for _, k := range guest.Suites {
		add(k.Kernel, func() (*target.Target, error) {
			kernel, err := guest.Find(k.Kernel)
			if err != nil {
				return nil, err
			}
			if _, err := guest.Emulator(); err != nil {
				return nil, err
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			path, err := guest.Describe(ctx, kernel, examples.Modules)
			if err != nil {
				return nil, err
			}
			return target.Open(path)
		})
	}
	if tgt, err := target.Running(); err != nil {
		t.Logf("not for the running kernel: %v", err)
	} else {
		t.Cleanup(func() { tgt.Close() })
		v := strings.SplitN(tgt.Release(), ".", 3)
		out[strings.Join(v[:min(2, len(v))], ".")] = tgt
	}
	return out
}

// programs are families whose aliases need programs that are not everywhere.
var programs = regexp.MustCompile(`^(stap|staprun|python3?|ruby|perl|hotspot|glib|qemu|libvirt)\.`)

// TestAliasesResolve compiles every alias of the library that is no system call for
// every kernel, with all variables that it sets. Which are on no kernel, or on
// some only, is in testdata/unresolved.txt with the kernels.
func TestAliasesResolve(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles some thousand scripts")
	}
	own := map[string][]string{} // by alias: the variables of its own body
	for _, f := range libraryFiles(t) {
		for _, d := range f.Decls {
			a, ok := d.(*syntax.AliasDecl)
			if !ok {
				continue
			}
			fs := newFacts()
			fs.read(a.Body)
			for _, n := range a.Names {
				name := syntax.PointString(n)
				if strings.Contains(name, "syscall.") || programs.MatchString(name) {
					continue
				}
				own[name] = keys(fs.vars)
			}
		}
	}
	if len(own) < 500 {
		t.Fatalf("only %d aliases", len(own))
	}
	var names []string
	for n := range own {
		names = append(names, n)
	}
	sort.Strings(names)
	file := filepath.Join("testdata", "unresolved.txt")
	known := readUnresolved(t, file)
	kernels := kernelsOf(t)
	absent := map[string][]string{}
	for _, kernel := range sortedTargets(kernels) {
		count := 0
		for _, n := range names {
			missing, err := compileAlias(n, own[n], kernels[kernel], nil)
			switch {
			case err != nil:
				t.Errorf("Linux %s: %s: %v", kernel, n, err)
			case missing:
				count++
				absent[n] = append(absent[n], kernel)
				if !*update && !known[n+" "+kernel] {
					t.Errorf("Linux %s has no %s, which %s does not say", kernel, n, file)
				}
			case !*update && known[n+" "+kernel]:
				t.Errorf("Linux %s has %s, unlike what %s says", kernel, n, file)
			}
		}
		t.Logf("Linux %s: %d of %d aliases resolve", kernel, len(names)-count, len(names))
	}
	if *update {
		writeUnresolved(t, file, absent)
		return
	}
	for _, k := range guest.Suites {
		if tgt := kernels[k.Kernel]; tgt != nil {
			resolveWithDebug(t, k.Kernel, tgt, names, own, known)
		}
	}
}

// resolveWithDebug compiles the aliases with the debugging information of a guest's kernel,
// by which a function has inlined instances and clones, too, where values may be lost that its
// types tell of. What is there without has to be there with it.
func resolveWithDebug(t *testing.T, kernel string, tgt *target.Target, names []string, own map[string][]string, known map[string]bool) {
	t.Helper()
	debug, err := examples.Debug(kernel)
	if err != nil {
		t.Logf("not with the debugging information of %s: %v", kernel, err)
		return
	}
	defer debug.Close()
	for _, n := range names {
		missing, err := compileAlias(n, own[n], tgt, debug)
		switch {
		case err != nil:
			t.Errorf("Linux %s with debugging information: %s: %v", kernel, n, err)
		case missing && !known[n+" "+kernel]:
			t.Errorf("Linux %s has no %s with its debugging information", kernel, n)
		}
	}
}

func sortedTargets(m map[string]*target.Target) []string {
	var out []string
	for n := range m {
		out = append(out, n)
	}
	sort.Strings(out)
	return out
}

// compileAlias compiles a probe of an alias. Missing says that the target has nothing
// that the alias stands for.
func compileAlias(name string, vars []string, tgt *target.Target, binaries *sema.Binaries) (missing bool, err error) {
	script := fmt.Sprintf("probe %s { println(pp()) }", name)
	if len(vars) > 0 {
		script = fmt.Sprintf("probe %s { printdln(\" \", pp(), %s) }", name, strings.Join(vars, ", "))
	}
	f, err := driver.Parse(&driver.Config{Scripts: []driver.Script{{Name: driver.InputName, Text: []byte(script)}}, Target: tgt, Binaries: binaries, Guru: true})
	if err != nil {
		return false, err
	}
	if !driver.Failed(f.Diags, false) {
		f.Elaborate()
	}
	if driver.Failed(f.Diags, false) {
		for _, d := range f.Diags {
			if d.Severity != diag.Error {
				continue
			}
			if d.Code == "E1004" || d.Code == "E1800" || d.Code == "E1001" || d.Code == "E1006" {
				missing = true
				continue
			}
			if !strings.HasPrefix(d.Message, "while resolving probe point") {
				return false, d
			}
			missing = true
		}
		return missing, nil
	}
	c, _, err := f.Translate()
	if err != nil {
		return false, err
	}
	for _, d := range c.Diags {
		if d.Severity == diag.Error {
			return false, d
		}
	}
	return false, nil
}

// readUnresolved reads lines "alias kernel…".
func readUnresolved(t *testing.T, name string) map[string]bool {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil && !*update {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] != "#" {
			for _, kernel := range f[1:] {
				out[f[0]+" "+kernel] = true
			}
		}
	}
	return out
}

func writeUnresolved(t *testing.T, name string, absent map[string][]string) {
	t.Helper()
	var b strings.Builder
	b.WriteString("# What of the library a kernel has nothing for, with the kernels: written by\n# go test ./tapsets -run Resolve -update.\n")
	var names []string
	for n := range absent {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		fmt.Fprintf(&b, "%s %s\n", n, strings.Join(absent[n], " "))
	}
	if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
