// Package examples compiles the example scripts of SystemTap's documentation, with
// the commands that their .meta files give, and tells which of them run. None of
// their text is in this repository; they are read from where Debian's
// systemtap-doc puts them.
package examples

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strings"

	"stapkit/diag"
	"stapkit/driver"
	"stapkit/internal/corpus"
	"stapkit/sema"
	"stapkit/target"
)

// Example is one script.
type Example struct {
	Name  string // below the folder of all: "io/iotop.stp"
	Check string // the shell's command that compiles it
	Run   string // the one that runs it
}

// Short is the name without folder and ending.
func (e Example) Short() string { return strings.TrimSuffix(filepath.Base(e.Name), ".stp") }

// without are scripts that have no .meta file: how others use them.
var without = map[string]string{
	"general/pyexample.stp":       "stap -p4 pyexample.stp python3",
	"profiling/graphcall.stp":     "stap -p4 graphcall.stp /lib/x86_64-linux-gnu/libc.so.6 malloc",
	"stapgames/tapset/audio.stp":  "stap -p4 -Itapset/ block.stp",
	"stapgames/tapset/cursor.stp": "stap -p4 -Itapset/ lifegame.stp",
	"stapgames/tapset/game.stp":   "stap -p4 -Itapset/ block.stp",
	"stapgames/tapset/gmtty.stp":  "stap -p4 -Itapset/ eater.stp",
	"stapgames/tapset/input.stp":  "stap -p4 -Itapset/ block.stp",
}

// List gives all examples, sorted; none if the package is not installed.
func List() ([]Example, error) {
	files, err := corpus.Dir(corpus.ExamplesDir)
	if err != nil {
		return nil, err
	}
	var out []Example
	for _, f := range files {
		name, err := filepath.Rel(corpus.ExamplesDir, f.Path)
		if err != nil || f.Macro {
			continue
		}
		e := Example{Name: name}
		meta, err := os.ReadFile(strings.TrimSuffix(f.Path, ".stp") + ".meta")
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		for line := range strings.Lines(string(meta)) {
			key, value, _ := strings.Cut(line, ":")
			switch value = strings.TrimSpace(value); key {
			case "test_check":
				e.Check = value
			case "test_installcheck":
				e.Run = value
			}
		}
		if !strings.Contains(e.Check, "stap") && !strings.Contains(e.Check, "./") {
			e.Check = ""
		}
		if strings.HasPrefix(e.Check, "file ") || strings.HasSuffix(e.Check, " -D") {
			e.Check = e.Run // a script around stap, which is not run by the check
		}
		if e.Check == "" {
			e.Check = without[name]
		}
		if e.Check == "" {
			e.Check = "stap -g -p4 " + filepath.Base(name)
		}
		out = append(out, e)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out, nil
}

// Call is how a command calls stap.
type Call struct {
	Dir   string // where
	Args  []string
	Stdin []byte
}

// stand is a stap that only notes how it was called.
const stand = `#!/bin/sh
: > "$STAPKIT_CALL.args"
for a in "$@"; do
	printf '%s\0' "$a" >> "$STAPKIT_CALL.args"
	[ "$a" = - ] && cat > "$STAPKIT_CALL.stdin"
done
exit 0
`

// recorded runs a command of a .meta file with the stand-in for stap and gives the
// last call of it. Symbols gives a file that stands for the kernel's list of symbols, nil:
// the running kernel's.
func recorded(dir, command string, symbols func() (string, error)) (*Call, error) {
	tmp, err := os.MkdirTemp("", "examples")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(tmp)
	if err := os.WriteFile(filepath.Join(tmp, "stap"), []byte(stand), 0o755); err != nil {
		return nil, err
	}
	if symbols != nil && strings.Contains(command, "/proc/kallsyms") {
		file, err := symbols()
		if err != nil {
			return nil, err
		}
		command = strings.ReplaceAll(command, "/proc/kallsyms", file)
	}
	cmd := exec.Command("sh", "-c", command)
	cmd.Dir = dir
	note := filepath.Join(tmp, "call")
	cmd.Env = append(os.Environ(), "PATH="+tmp+":"+os.Getenv("PATH"), "STAPKIT_CALL="+note)
	out, runErr := cmd.CombinedOutput()
	args, err := os.ReadFile(note + ".args")
	if err != nil {
		return nil, fmt.Errorf("%s: stap was not called: %v %s", command, runErr, out)
	}
	c := &Call{Dir: dir}
	for a := range bytes.SplitSeq(bytes.TrimSuffix(args, []byte{0}), []byte{0}) {
		c.Args = append(c.Args, string(a))
	}
	if c.Stdin, err = os.ReadFile(note + ".stdin"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return c, nil
}

// Stage is how far an example came.
type Stage int

// The stages.
const (
	Parsed     Stage = iota // it went no further than the parser, or not that far
	Elaborated              // not compiled
	Compiled
	Loaded
)

var stages = []string{"parse", "elaborate", "compile", "load"}

func (s Stage) String() string { return stages[s] }

// Document lists, in tables, the examples that do not run and why, below the root of the
// repository.
const Document = "docs/incompatibilities.md"

// Needs begins the reason of an example that runs where some program is installed.
const Needs = "needs "

// A Refusal is why an example does not run.
type Refusal struct {
	Why string
	// Elaborates tells that it fails after elaboration.
	Elaborates bool
}

var (
	listedRow = regexp.MustCompile("^\\| `([^`]+\\.stp)` \\| (.*) \\|$")
	listHead  = regexp.MustCompile(`^\| example \| why it does not (elaborate|load) \|$`)
)

// Listed reads these tables: by example, why it does not run.
func Listed(document string) (map[string]Refusal, error) {
	text, err := os.ReadFile(document)
	if err != nil {
		return nil, err
	}
	out := map[string]Refusal{}
	which := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		if m := listHead.FindStringSubmatch(line); m != nil {
			which = m[1]
		}
		m := listedRow.FindStringSubmatch(line)
		if m == nil || which == "" {
			continue
		}
		if _, twice := out[m[1]]; twice {
			return nil, fmt.Errorf("%s lists %s twice", document, m[1])
		}
		out[m[1]] = Refusal{m[2], which == "load"}
	}
	return out, nil
}

// Result is what became of an example on a target.
type Result struct {
	Stage  Stage  // the one that failed, or Loaded
	OK     bool   // whether it came through
	Why    string // the errors, one a line
	Bundle []byte
	// ParseOnly says that the command asks for no more than parsing: scripts that
	// change what a program of some year does, for which no machine has the program.
	ParseOnly bool
	Opt       *driver.StapOptions
}

// Compile compiles an example for a place.
func Compile(e Example, p *Place) Result {
	return examine(e, p.Target, p.Binaries, p.symbols, Loaded)
}

// Elaborate elaborates an example for a target and goes no further. Its programs and debug
// files are looked for with b; nil: as on this machine.
func Elaborate(e Example, t *target.Target, b *sema.Binaries) Result {
	return examine(e, t, b, nil, Elaborated)
}

// Call gives the call of stap that compiles the example.
func (e Example) Call() (*Call, error) { return e.call(nil) }

func (e Example) call(symbols func() (string, error)) (*Call, error) {
	dir := filepath.Join(corpus.ExamplesDir, filepath.Dir(e.Name))
	if strings.HasPrefix(e.Name, "stapgames/tapset/") {
		dir = filepath.Dir(dir)
	}
	return recorded(dir, e.Check, symbols)
}

func examine(e Example, t *target.Target, b *sema.Binaries, symbols func() (string, error), last Stage) Result {
	c, err := e.call(symbols)
	if err != nil {
		return Result{Why: err.Error()}
	}
	return compile(c, t, b, last)
}

// Compile does what the call asks for, up to the bundle.
func (c *Call) Compile(t *target.Target) Result { return compile(c, t, nil, Loaded) }

func compile(c *Call, t *target.Target, b *sema.Binaries, last Stage) (r Result) {
	dir := c.Dir
	o, err := driver.ParseStap(c.Args)
	if err != nil {
		return Result{Why: err.Error()}
	}
	r.Opt, o.Target, o.Binaries = o, t, b
	fail := func(s Stage, ds []diag.Diagnostic, err error) Result {
		r.Stage, r.Why = s, reason(ds, err)
		return r
	}
	for i, d := range o.TapsetDirs {
		if !filepath.IsAbs(d) {
			o.TapsetDirs[i] = filepath.Join(dir, d)
		}
	}
	switch {
	case len(o.Expr) > 0:
		o.Scripts = []driver.Script{{Name: driver.InputName, Text: []byte(strings.Join(o.Expr, "\n"))}}
	case o.ScriptFile == "-":
		o.Scripts = []driver.Script{{Name: driver.InputName, Text: c.Stdin}}
	default:
		text, err := os.ReadFile(filepath.Join(dir, o.ScriptFile))
		if err != nil {
			return fail(Parsed, nil, err)
		}
		o.Scripts = []driver.Script{{Name: o.ScriptFile, Text: text}}
	}
	f, err := driver.Parse(&o.Config)
	if err != nil || driver.Failed(f.Diags, false) {
		var ds []diag.Diagnostic
		if f != nil {
			ds = f.Diags
		}
		return fail(Parsed, ds, err)
	}
	if o.LastPass == 1 {
		r.Stage, r.OK, r.ParseOnly = Parsed, true, true
		return r
	}
	f.Elaborate()
	if driver.Failed(f.Diags, false) {
		return fail(Elaborated, f.Diags, nil)
	}
	if last == Elaborated {
		r.Stage, r.OK = Elaborated, true
		return r
	}
	compiled, spec, err := f.Translate()
	if err != nil || driver.Failed(compiled.Diags, false) {
		var ds []diag.Diagnostic
		if compiled != nil {
			ds = compiled.Diags
		}
		return fail(Compiled, ds, err)
	}
	if err := f.Object(compiled, spec); err != nil {
		return fail(Compiled, nil, err)
	}
	if r.Bundle, err = f.Bundle(compiled, []*driver.Compiled{compiled}); err != nil {
		return fail(Compiled, nil, err)
	}
	r.Stage, r.OK = Loaded, true
	return r
}

// reason gives errors in a line each.
func reason(ds []diag.Diagnostic, err error) string {
	var lines []string
	if err != nil {
		lines = append(lines, err.Error())
	}
	for _, d := range ds {
		if d.Severity == diag.Error {
			line := fmt.Sprintf("%v: %s [%s]", d.Range.Start, d.Message, d.Code)
			if d.Help != "" {
				line += " (" + d.Help + ")"
			}
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}
