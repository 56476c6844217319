//go:build linux

// Package standins builds programs and libraries that bear the marks and functions of
// those that scripts probe (interpreters, libraries, SystemTap itself), for tests on
// machines that have not got these, or not with marks. They lie in a folder as they
// would below "/".
package standins

import (
	"context"
	_ "embed" // the list and the functions
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"sync"
)

//go:embed programs.txt
var list string

//go:embed functions.c.txt
var functions string

// Mark is a mark of a program. Args has a letter for each argument: s the string
// "MARK-N", n its length, d the number 100+N.
type Mark struct{ Name, Args string }

// Program is a program or library to be built.
type Program struct {
	Path     string // without the leading "/"
	Library  bool
	Provider string
	Marks    []Mark
}

// Programs is what there is.
var Programs = sync.OnceValue(func() []Program {
	var out []Program
	for line := range strings.Lines(list) {
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || words[0] == "#":
		case words[0] == "program" || words[0] == "library":
			out = append(out, Program{Path: words[1], Library: words[0] == "library", Provider: words[2]})
		case len(out) > 0:
			m := Mark{Name: words[0]}
			if len(words) > 1 {
				m.Args = words[1]
			}
			out[len(out)-1].Marks = append(out[len(out)-1].Marks, m)
		}
	}
	return out
})

// runner is the program that loads all libraries and has them run their marks.
const runner = "usr/bin/run-marks"

// Build compiles all of them into a folder, unless they are there already. It needs gcc
// and the header sys/sdt.h; the error says what is missing.
func Build(ctx context.Context, dir string) error {
	done := filepath.Join(dir, ".done")
	if text, err := os.ReadFile(done); err == nil && string(text) == list+functions {
		return nil
	}
	if _, err := exec.LookPath("gcc"); err != nil {
		return err
	}
	if _, err := os.Stat("/usr/include/x86_64-linux-gnu/sys/sdt.h"); err != nil {
		if _, err := os.Stat("/usr/include/sys/sdt.h"); err != nil {
			return fmt.Errorf("%w (Debian: systemtap-sdt-dev)", err)
		}
	}
	tmp, err := os.MkdirTemp("", "standins")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := os.WriteFile(filepath.Join(tmp, "functions.c"), []byte(functions), 0o600); err != nil {
		return err
	}
	load := "#include <dlfcn.h>\n#include <stdio.h>\nint main(void) {\n"
	for _, p := range Programs() {
		if p.Library {
			load += fmt.Sprintf("\t{ void *l = dlopen(%q, RTLD_NOW | RTLD_LOCAL); void (*run)(void) = l ? (void (*)(void))dlsym(l, \"standin_run\") : 0;\n"+
				"\t  if (run) run(); else { fprintf(stderr, \"%%s\\n\", dlerror()); return 1; } }\n", "/"+p.Path)
		}
		args := []string{"-g", "-O1", "-DIN_" + p.Provider, "-I" + tmp}
		if p.Library {
			args = append(args, "-shared", "-fPIC", "-fno-builtin", "-nostdlib", "-Wl,-soname,"+filepath.Base(p.Path))
		}
		if err := compile(ctx, filepath.Join(dir, p.Path), tmp, p.source(), args...); err != nil {
			return err
		}
	}
	if err := compile(ctx, filepath.Join(dir, runner), tmp, load+"\treturn 0;\n}\n", "-ldl"); err != nil {
		return err
	}
	return os.WriteFile(done, []byte(list+functions), 0o600)
}

func compile(ctx context.Context, out, tmp, source string, args ...string) error {
	if err := os.MkdirAll(filepath.Dir(out), 0o755); err != nil {
		return err
	}
	in := filepath.Join(tmp, "main.c")
	if err := os.WriteFile(in, []byte(source), 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "gcc", append([]string{"-o", out, in}, args...)...)
	if b, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("gcc for %s: %w\n%s", out, err, b)
	}
	return nil
}

// source is a program that passes each of its marks once.
func (p Program) source() string {
	var b strings.Builder
	b.WriteString("#include <sys/sdt.h>\n#include \"functions.c\"\n")
	b.WriteString("__attribute__((visibility(\"default\"))) void standin_run(void)\n{\n")
	for _, m := range p.Marks {
		args := []string{p.Provider, m.Name}
		last := ""
		for i, a := range m.Args {
			switch a {
			case 's':
				last = fmt.Sprintf("%s-%d", m.Name, i+1)
				args = append(args, fmt.Sprintf("%q", last))
			case 'n':
				args = append(args, fmt.Sprintf("(long)%d", len(last)))
			default:
				args = append(args, fmt.Sprintf("(long)%d", 100+i+1))
			}
		}
		n := ""
		if len(m.Args) > 0 {
			n = fmt.Sprint(len(m.Args))
		}
		fmt.Fprintf(&b, "\tDTRACE_PROBE%s(%s);\n", n, strings.Join(args, ", "))
	}
	b.WriteString("\trun_functions();\n}\n")
	if !p.Library {
		b.WriteString("int main(void) { standin_run(); return 0; }\n")
	}
	return b.String()
}

// With makes the arguments of a command that runs another with the stand-ins of a folder
// in their places, and what is in the folder's etc in /etc, in a mount namespace of its own; Host(dir) is the file system without
// them there. It needs root.
func With(dir string, args ...string) []string {
	return append([]string{"unshare", "-m", "sh", "-c",
		`mkdir -p "$0/host" "$0/etc" && mount --bind / "$0/host" && mount -t overlay overlay -o "lowerdir=$0/usr:/usr" /usr && ` +
			`mount -t overlay overlay -o "lowerdir=$0/etc:/etc" /etc && exec "$@"`, dir}, args...)
}

// Host is the machine's root folder as it is without the stand-ins.
func Host(dir string) string { return filepath.Join(dir, "host") }

// Files lists the stand-ins below a folder, and what they need of this machine to run
// elsewhere, by the paths where they belong.
func Files(dir string) (map[string]string, error) {
	out := map[string]string{}
	for _, p := range Programs() {
		out["/"+p.Path] = filepath.Join(dir, p.Path)
	}
	out["/"+runner] = filepath.Join(dir, runner)
	for _, need := range []string{"/lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/libc.so.6", "/lib/x86_64-linux-gnu/libdl.so.2"} {
		real, err := filepath.EvalSymlinks(need)
		if err != nil {
			return nil, err
		}
		out[need] = real
	}
	return out, nil
}

// Commands are the commands that make all marks and functions run, one a line.
func Commands() []string {
	out := []string{"/" + runner}
	for _, p := range Programs() {
		if !p.Library {
			out = append(out, "/"+p.Path)
		}
	}
	sort.Strings(out)
	return out
}
