package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"stapkit/internal/corpus"
	"stapkit/lint/linttest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"staplint": main})
}

// TestScripts runs testdata/script/*.txtar: the command as its users run it. The files
// old.btf and new.btf of a script's folder are the types of two test kernels.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			// A folder above may have settings.
			if err := os.WriteFile(env.WorkDir+"/stapkit.toml", nil, 0o666); err != nil {
				return err
			}
			for _, name := range []string{"old", "new"} {
				raw, err := linttest.BTF(name)
				if err == nil {
					err = os.WriteFile(env.WorkDir+"/"+name+".btf", raw, 0o666)
				}
				if err != nil {
					return err
				}
			}
			return nil
		},
	})
}

// TestTapset: the linter takes all files of SystemTap's library without a crash or an
// error of its own.
func TestTapset(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	if _, err := os.Stat(corpus.TapsetDir); err != nil {
		t.Skip("the package systemtap-common is not installed")
	}
	var out, errs strings.Builder
	code := run([]string{"--tapset", "--format=gcc", corpus.TapsetDir}, strings.NewReader(""), &out, &errs)
	if code > 1 {
		t.Errorf("code %d: %s", code, errs.String())
	}
}

// TestPreCommit runs the hooks in a git repository, as pre-commit does.
func TestPreCommit(t *testing.T) {
	for _, tool := range []string{"pre-commit", "git"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	dir := t.TempDir()
	bin := filepath.Join(dir, "bin")
	hooks := filepath.Join(dir, "hooks")
	repo := filepath.Join(dir, "repo")
	env := append(os.Environ(), "HOME="+dir, "PRE_COMMIT_HOME="+filepath.Join(dir, "cache"), "PATH="+bin+":"+os.Getenv("PATH"),
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=x", "GIT_AUTHOR_EMAIL=x@example.org", "GIT_COMMITTER_NAME=x", "GIT_COMMITTER_EMAIL=x@example.org")
	do := func(in string, name string, args ...string) (string, error) {
		cmd := exec.Command(name, args...)
		cmd.Dir = in
		cmd.Env = env
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	must := func(in string, name string, args ...string) string {
		t.Helper()
		out, err := do(in, name, args...)
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, out)
		}
		return out
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	// The tool: this test binary, which testscript.Main makes one by its name.
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(bin, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(bin, "staplint")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".pre-commit-hooks.yaml", ".ci/hook"} {
		text, err := os.ReadFile(filepath.Join("..", "..", name))
		if err != nil {
			t.Fatal(err)
		}
		write(filepath.Join(hooks, name), string(text))
	}
	// What .ci/hook would build.
	write(filepath.Join(hooks, "bin", "staplint"), "#!/bin/sh\nexec '"+filepath.Join(bin, "staplint")+"' \"$@\"\n")
	must(hooks, "git", "init", "-q")
	must(hooks, "git", "add", "-A", "-f")
	must(hooks, "git", "commit", "-qm", "hooks")
	rev := strings.TrimSpace(must(hooks, "git", "rev-parse", "HEAD"))

	write(filepath.Join(repo, "a.stp"), "global n\nprobe timer.s(1) {\n\tn = n + 1\n\tprintln(n)\n}\n")
	write(filepath.Join(repo, "model.stp"), "ISO-10303-21;\nHEADER;\n")
	must(repo, "git", "init", "-q")
	config := func(id string) {
		write(filepath.Join(repo, ".pre-commit-config.yaml"), "repos:\n  - repo: "+hooks+"\n    rev: "+rev+"\n    hooks:\n      - id: "+id+"\n")
		must(repo, "git", "add", "-A")
	}
	for _, id := range []string{"staplint", "staplint-system"} {
		config(id)
		if out := must(repo, "pre-commit", "run", "--all-files", "--verbose"); !strings.Contains(out, "Passed") || !strings.Contains(out, "ST4010") {
			t.Errorf("%s: %s", id, out)
		}
	}
	write(filepath.Join(repo, "b.stp"), "probe timer.s(1) {\n\tif (pid() == pid())\n\t\tprintln(1)\n}\n")
	config("staplint-system")
	if out, err := do(repo, "pre-commit", "run", "--all-files"); err == nil || !strings.Contains(out, "ST4004") {
		t.Errorf("%v: %s", err, out)
	}
	if err := os.Remove(filepath.Join(repo, "b.stp")); err != nil {
		t.Fatal(err)
	}
	config("staplint-fix-system")
	if out, err := do(repo, "pre-commit", "run", "--all-files"); err == nil || !strings.Contains(out, "files were modified") {
		t.Errorf("%v: %s", err, out)
	}
	if text, err := os.ReadFile(filepath.Join(repo, "a.stp")); err != nil || !strings.Contains(string(text), "n += 1") {
		t.Errorf("%v: %s", err, text)
	}
}
