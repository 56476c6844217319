package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"stapkit/cli"
	"stapkit/driver"
	"stapkit/internal/host"
	"stapkit/internal/minikernel"
)

func TestMain(m *testing.M) {
	driver.Broker()
	if os.Getenv("STAPKIT_TEST_AS_STAP") != "" {
		main()
	}
	testscript.Main(m, map[string]func(){"stap": main})
}

// TestScripts runs testdata/script/*.txtar: stap as its users run it. $KERNEL is the
// BTF of a small kernel; the condition [bpf] holds where scripts can be run.
func TestScripts(t *testing.T) {
	kernel := filepath.Join(t.TempDir(), "vmlinux")
	if err := minikernel.Write(kernel); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("KERNEL", kernel)
			env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
			env.Setenv("STAPKIT_CACHE", filepath.Join(env.WorkDir, "cache"))
			env.Setenv("LC_ALL", "C")
			return os.MkdirAll(filepath.Join(env.WorkDir, "home"), 0o755)
		},
		Condition: func(cond string) (bool, error) {
			if cond == "bpf" {
				return host.BPF() == "", nil
			}
			return false, nil
		},
	})
}

// TestEveryOption holds that each option of the table is used in some script.
func TestEveryOption(t *testing.T) {
	list, err := filepath.Glob("testdata/script/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, name := range list {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			if _, args, ok := strings.Cut(line, "exec stap "); ok {
				for _, w := range strings.Fields(args) {
					w, _, _ = strings.Cut(w, "=")
					words = append(words, w)
				}
			}
		}
	}
	for _, o := range cli.Stap.Options() {
		short := o.Short != "" && slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, "-"+o.Short) && !strings.HasPrefix(w, "--") })
		if !short && !slices.Contains(words, "--"+o.Long) {
			t.Errorf("no script of testdata/script uses --%s", o.Long)
		}
	}
}

// TestSystemTapOptions holds the table and docs/options.md against the options that
// SystemTap's stap has, in both directions.
func TestSystemTapOptions(t *testing.T) {
	b, err := os.ReadFile("testdata/systemtap-options.txt")
	if err != nil {
		t.Fatal(err)
	}
	theirs := map[string]bool{}
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			theirs[line] = true
		}
	}
	doc, err := os.ReadFile("../../docs/options.md")
	if err != nil {
		t.Fatal(err)
	}
	// The names of a row's first cell, which is code.
	told := map[string]bool{"--": true}
	table, _, _ := strings.Cut(string(doc), "## Ours")
	for line := range strings.Lines(table) {
		if cell, ok := strings.CutPrefix(line, "| `"); ok {
			cell, _, _ = strings.Cut(cell, "` |")
			for _, name := range optionNames(cell) {
				told[name] = true
			}
		}
	}
	ours := map[string]bool{"--": true}
	for _, o := range cli.Stap.Options() {
		for _, name := range []string{"-" + o.Short, "--" + o.Long} {
			ours[name] = true
		}
		for _, name := range optionNames(o.SystemTap) {
			if !theirs[name] && name != "--target-namespace" { // as 4.8's --help abbreviates it
				t.Errorf("the table says that SystemTap has %s", name)
			}
		}
	}
	abbreviated := func(m map[string]bool, name string) bool { return m[name] || m[strings.TrimSuffix(name, "s")] }
	for name := range theirs {
		if !ours[name] {
			t.Errorf("stap does not take %s", name)
		}
		// The row may give the long or the short name alone.
		if o := optionOf(name); !abbreviated(told, name) && (o == nil || !told["-"+o.Short] && !told["--"+o.Long]) {
			t.Errorf("docs/options.md does not tell of %s", name)
		}
	}
	path, err := exec.LookPath("/usr/bin/stap")
	if err != nil {
		return
	}
	help, err := exec.Command(path, "--help").CombinedOutput()
	if err != nil || !strings.Contains(string(help), "Systemtap translator") {
		return // it is not SystemTap's
	}
	for line := range strings.Lines(string(help)) {
		if line = strings.TrimLeft(line, " "); strings.HasPrefix(line, "-") {
			for _, name := range optionNames(line) {
				if !theirs[name] && !theirs[name+"s"] {
					t.Errorf("SystemTap's --help has %s, testdata/systemtap-options.txt has not", name)
				}
			}
		}
	}
}

// optionNames are the options that a line of a help text begins with.
func optionNames(line string) (names []string) {
	for _, w := range strings.Fields(strings.ReplaceAll(line, "`", " ")) {
		if !strings.HasPrefix(w, "-") {
			break
		}
		w, _, _ = strings.Cut(w, "=")
		w, _, _ = strings.Cut(w, "[")
		names = append(names, w)
	}
	return names
}

// optionOf is the option of a name with its dashes.
func optionOf(name string) *cli.Option {
	for _, o := range cli.Stap.Options() {
		if name == "-"+o.Short && o.Short != "" || name == "--"+o.Long {
			return o
		}
	}
	return nil
}

// TestCompletionScripts lets each shell that is there read its completions.
func TestCompletionScripts(t *testing.T) {
	for _, shell := range cli.Shells {
		var b strings.Builder
		if err := cli.WriteCompletions(&b, shell); err != nil {
			t.Fatal(err)
		}
		path, err := exec.LookPath(shell)
		if err != nil {
			t.Logf("%s is not installed", shell)
			continue
		}
		cmd := exec.Command(path, "-n")
		cmd.Stdin = strings.NewReader(b.String())
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", shell, err, out)
		}
	}
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("bash is not installed")
	}
	var b strings.Builder
	if err := cli.WriteCompletions(&b, "bash"); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ words, want string }{
		{"stap --clean", "--clean-cache"},
		{"stap --privilege = staps", "stapsys"},
		{"stapc sign --att", "--attach"},
		{"staplint --format = sar", "sarif"},
	} {
		words := strings.Fields(tt.words)
		script := b.String() + "\nCOMP_WORDS=(" + tt.words + ")\nCOMP_CWORD=" + string(rune('0'+len(words)-1)) + "\n_stapkit " + words[0] + "\nprintf '%s ' \"${COMPREPLY[@]}\"\n"
		out, err := exec.Command(bash, "-c", script).CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != tt.want {
			t.Errorf("%s: %v, %q, want %q", tt.words, err, out, tt.want)
		}
	}
}
