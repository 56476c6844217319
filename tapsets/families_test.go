//go:build linux

package tapsets_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"stapkit/internal/examples"
	"stapkit/internal/guest"
	"stapkit/internal/host"
	"stapkit/syntax"
)

// family is a script of testdata/families: it checks the variables of a family of
// aliases while a command makes them fire, and prints a line for each, "NAME hits bad
// failures". Its first lines say where it runs, the command, and what has to fire.
type family struct {
	name, file     string
	on             map[string]bool // native, guest
	command, stdin string
	needs, fires   []string
	// also are further aliases that have to fire, and whose name has to be right: the test
	// adds a probe of each to the script.
	also []string
}

func families(t *testing.T) []family {
	t.Helper()
	files, err := filepath.Glob("testdata/families/*.stp")
	if err != nil || len(files) == 0 {
		t.Fatal("there are no scripts: ", err)
	}
	var out []family
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		f := family{name: strings.TrimSuffix(filepath.Base(name), ".stp"), file: name, on: map[string]bool{}}
		for line := range strings.Lines(string(text)) {
			line, ok := strings.CutPrefix(line, "// ")
			if !ok {
				break
			}
			key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			switch key {
			case "on":
				for _, w := range strings.Fields(value) {
					f.on[w] = true
				}
			case "command":
				f.command = value
			case "stdin":
				f.stdin = strings.ReplaceAll(value, `\n`, "\n")
			case "needs":
				f.needs = strings.Fields(value)
			case "fires":
				f.fires = strings.Fields(value)
			case "also":
				f.also = append(f.also, strings.Fields(value)...)
			default:
				t.Fatalf("%s: %q says nothing", name, line)
			}
		}
		out = append(out, f)
	}
	return out
}

var familyLine = regexp.MustCompile(`(?m)^(\S+) (\d+) bad (\d+)$`)

// check holds the output of a script against what has to fire.
func (f *family) check(t *testing.T, stdout, stderr string, code int) {
	t.Helper()
	seen := map[string]bool{}
	rest := familyLine.ReplaceAllStringFunc(stdout, func(line string) string {
		m := familyLine.FindStringSubmatch(line)
		if m[2] != "0" {
			seen[m[1]] = true
		}
		if m[3] != "0" {
			t.Errorf("%s: %s of %s hits have wrong variables", m[1], m[3], m[2])
		}
		return ""
	})
	for _, n := range f.fires {
		if !seen[n] {
			t.Errorf("%s did not fire", n)
		}
	}
	if code != 0 || strings.Contains(rest, "do not agree") {
		t.Errorf("status %d", code)
	}
	if t.Failed() {
		t.Logf("output:\n%serrors:\n%s", stdout, stderr)
	}
}

// script is the text of it, with the probes that are added. Those that a kernel has nothing
// for are left out.
func (f *family) script(t *testing.T, kernel string) string {
	t.Helper()
	text := readFile(t, f.file)
	known := readUnresolved(t, "testdata/unresolved.txt")
	all := aliases(libraryFiles(t), "")
	also := f.also
	if os.Getenv("STAPKIT_ALSO") != "" {
		also = nil
		for name := range all {
			if !strings.Contains(name, "syscall") && !f.probes(t)[name] && f.probes(t)[firstNames(name)] {
				also = append(also, name)
			}
		}
	}
	for _, name := range also {
		name, only, _ := strings.Cut(name, "@") // alias@kernel: on that kernel only
		if only != "" && only != kernel {
			continue
		}
		if known[name+" "+kernel] {
			continue
		}
		facts := all[name]
		if facts == nil {
			t.Fatalf("%s: there is no alias %s", f.file, name)
		}
		var good []string
		for _, n := range keys(facts.names) {
			good = append(good, fmt.Sprintf("name == %q", n))
		}
		text += fmt.Sprintf("probe %s {\n\tn[%q]++\n", name, name)
		if len(good) > 0 {
			text += fmt.Sprintf("\tif (!(%s))\n\t\tbad[%q]++\n", strings.Join(good, " || "), name)
		}
		text += "}\n"
		if os.Getenv("STAPKIT_ALSO") == "" {
			f.fires = append(f.fires, name)
		}
	}
	return text
}

// probes are the aliases that the script itself probes, and the families of these.
func (f *family) probes(t *testing.T) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	tree := syntax.ParseFile(f.file, []byte(readFile(t, f.file)), syntax.Options{Target: linux})
	for _, d := range tree.Decls {
		if p, ok := d.(*syntax.ProbeDecl); ok {
			for _, point := range p.Points {
				name := strings.TrimRight(syntax.PointString(point), " ?!")
				out[name], out[firstNames(name)] = true, true
			}
		}
	}
	return out
}

// TestFamilies fires the alias families on the running kernel, as far as it can be
// probed.
func TestFamilies(t *testing.T) {
	host.NeedBPF(t)
	stap := hostStap(t, t.TempDir())
	for _, f := range families(t) {
		if !f.on["native"] {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			for _, p := range f.needs {
				if _, err := exec.LookPath(p); err != nil {
					t.Skip(err)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, stap, "-c", f.command, "-e", f.script(t, "native"))
			cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
			cmd.Env = append(os.Environ(), "LC_ALL=C")
			cmd.Stdin = strings.NewReader(f.stdin)
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
				t.Fatal(err)
			}
			f.check(t, stdout.String(), stderr.String(), cmd.ProcessState.ExitCode())
		})
	}
}

// TestFamiliesGuest fires all of them on kernels whose functions can be probed: on
// the kernels of STAPKIT_KERNELS: a version, or all. It takes up to eight minutes for
// each (make test-guests), so that an ordinary run leaves it out.
func TestFamiliesGuest(t *testing.T) {
	if testing.Short() {
		t.Skip("takes minutes")
	}
	for _, k := range guest.Suites {
		t.Run(k.Kernel, func(t *testing.T) {
			if want := os.Getenv("STAPKIT_KERNELS"); want != "all" && want != k.Kernel {
				t.Skip("only with STAPKIT_KERNELS=all or =" + k.Kernel)
			}
			if _, err := guest.Find(k.Kernel); err != nil {
				t.Skip(err)
			}
			p, err := examples.There(t.Context(), k.Kernel, false, "")
			var absent *guest.MissingError
			if errors.As(err, &absent) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := p.Close(); err != nil {
					t.Error(err)
				}
			}()
			for _, f := range families(t) {
				if !f.on["guest"] || f.stdin != "" {
					continue
				}
				t.Run(f.name, func(t *testing.T) {
					r, err := p.Script(t.Context(), f.script(t, k.Kernel), f.command)
					if err != nil {
						t.Fatal(err)
					}
					if os.Getenv("STAPKIT_ALSO") != "" {
						t.Log(r.Stdout)
					}
					f.check(t, r.Stdout, r.Stderr, r.Code)
				})
			}
		})
	}
}
