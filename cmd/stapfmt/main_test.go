package main

import (
	"os"
	"runtime"
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
