package main

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"stapfmt": main})
}

// TestScripts runs testdata/script/*.txtar: the command as its users run it. In them,
// "mode FILE OCTAL" checks permissions, "entries DIR N" the number of entries of a
// folder, and "sameinode A B" that two names are one file.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			// A folder above that says nothing: the test's folder may lie below one that does.
			return os.WriteFile(env.WorkDir+"/.editorconfig", []byte("root = true\n"), 0o666)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"mode": func(ts *testscript.TestScript, neg bool, args []string) {
				st, err := os.Lstat(ts.MkAbs(args[0]))
				ts.Check(err)
				if got := st.Mode().String(); got != args[1] {
					ts.Fatalf("%s has mode %s, want %s", args[0], got, args[1])
				}
			},
			"entries": func(ts *testscript.TestScript, neg bool, args []string) {
				list, err := os.ReadDir(ts.MkAbs(args[0]))
				ts.Check(err)
				var names []string
				for _, e := range list {
					names = append(names, e.Name())
				}
				if len(names) != len(args)-1 {
					ts.Fatalf("%s holds %v, want %v", args[0], names, args[1:])
				}
			},
		},
		Condition: func(cond string) (bool, error) {
			switch cond {
			case "devnull":
				return runtime.GOOS != "windows", nil
			case "uid0":
				return os.Getuid() == 0, nil
			}
			return false, nil
		},
	})
}

// TestHooks: the command lines of the pre-commit hooks are understood.
func TestHooks(t *testing.T) {
	text, err := os.ReadFile("../../.pre-commit-hooks.yaml")
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "a.stp")
	want := map[string]int{"stapfmt": 0, "stapfmt-check": 1}
	id, seen := "", map[string]bool{}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "- "), ":")
		value = strings.TrimSpace(value)
		switch key {
		case "id":
			id = value
		case "files":
			if re := regexp.MustCompile(value); !re.MatchString(name) || !re.MatchString("x.stpm") || re.MatchString("x.stp.c") {
				t.Errorf("%s: %s", id, value)
			}
		case "entry":
			if err := os.WriteFile(name, []byte("global  x\n"), 0o666); err != nil {
				t.Fatal(err)
			}
			// ".ci/hook TOOL" builds the tool first; staplint has a test of its own.
			args := strings.Fields(strings.TrimPrefix(value, ".ci/hook "))
			if args[0] == "staplint" {
				continue
			}
			code, ok := want[strings.TrimSuffix(id, "-system")]
			if !ok || args[0] != "stapfmt" {
				t.Fatalf("%s: %s", id, value)
			}
			seen[id] = true
			var out, errs strings.Builder
			if got := run(append(args[1:], name), strings.NewReader(""), &out, &errs); got != code {
				t.Errorf("%s: code %d, want %d: %s", id, got, code, errs.String())
			}
		}
	}
	for id := range want {
		if !seen[id] {
			t.Errorf("no hook %s", id)
		}
	}
}
