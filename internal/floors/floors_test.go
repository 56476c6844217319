package floors

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// list returns all packages of the module as they are for an operating system.
func list(t *testing.T, goos string) []Package {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Name,Imports,Deps", "./...")
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "GOOS="+goos, "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var pkgs []Package
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p Package
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
	if len(pkgs) < 3 {
		t.Fatalf("go list knows only %d packages", len(pkgs))
	}
	return pkgs
}

func TestImports(t *testing.T) {
	for _, goos := range []string{"linux", "darwin", "windows"} {
		for _, w := range Check(list(t, goos)) {
			t.Errorf("%s: %s", goos, w)
		}
	}
}

func TestTable(t *testing.T) {
	for _, w := range CheckTable() {
		t.Error(w)
	}
}

func TestCheck(t *testing.T) {
	tests := []struct {
		name string
		pkgs []Package
		want string // "" when nothing is wrong
	}{
		{"up", []Package{{ImportPath: "stapkit/syntax", Imports: []string{"stapkit/diag", "fmt"}}}, ""},
		{"down", []Package{{ImportPath: "stapkit/diag", Imports: []string{"stapkit/syntax"}}}, "diag may not import syntax"},
		{"sideways", []Package{{ImportPath: "stapkit/tapsets", Imports: []string{"stapkit/diag"}}}, "tapsets may not import diag"},
		{"within", []Package{{ImportPath: "stapkit/compile/lower", Imports: []string{"stapkit/compile/object"}}}, ""},
		{"through another", []Package{{ImportPath: "stapkit/lint", Imports: []string{"stapkit/syntax"}}}, ""},
		{"one type package", []Package{{ImportPath: "stapkit/ir", Imports: []string{"stapkit/target/ctype"}}}, ""},
		{"not its neighbours", []Package{{ImportPath: "stapkit/ir", Imports: []string{"stapkit/target/btf"}}}, "ir may not import target/btf"},
		{"excepted", []Package{{ImportPath: "stapkit/runtime", Imports: []string{"stapkit/target/dwarf"}}}, "runtime may not import target/dwarf"},
		{"target", []Package{{ImportPath: "stapkit/runtime", Imports: []string{"stapkit/target/sym"}}}, ""},
		{"harness", []Package{{ImportPath: "stapkit/syntax", Imports: []string{"stapkit/internal/corpus"}}}, "syntax may not import internal/corpus"},
		{"command", []Package{{ImportPath: "stapkit/cmd/stap", Imports: []string{"stapkit/driver"}}}, ""},
		{"unknown", []Package{{ImportPath: "stapkit/attic"}}, "attic: the folder is not in the table of internal/floors"},
		{"vague folder", []Package{{ImportPath: "stapkit/internal/util", Name: "strs"}}, `internal/util: "util" says nothing about what the package is for`},
		{"vague name", []Package{{ImportPath: "stapkit/internal/x", Name: "helpers"}}, `internal/x: "helpers" says nothing about what the package is for`},
		{"staprun", []Package{{ImportPath: "stapkit/cmd/staprun", Deps: []string{"stapkit/runtime", "stapkit/sema"}}}, "cmd/staprun is linked with stapkit/sema"},
		{"staprun and others", []Package{{ImportPath: "stapkit/cmd/staprun", Deps: []string{"github.com/alecthomas/participle/v2"}}}, "cmd/staprun is linked with github.com/alecthomas/participle/v2"},
		{"stapfmt", []Package{{ImportPath: "stapkit/cmd/stapfmt", Deps: []string{"stapkit/fmt", "stapkit/syntax", "os"}}}, ""},
		{"stapfmt and more", []Package{{ImportPath: "stapkit/cmd/stapfmt", Deps: []string{"stapkit/sema"}}}, "cmd/stapfmt is linked with sema, and may be only with diag, format, syntax, fmt, config, cli"},
		{"others", []Package{{ImportPath: "golang.org/x/util", Name: "util", Imports: []string{"stapkit/attic"}}}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := strings.Join(Check(tt.pkgs), "\n"); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
