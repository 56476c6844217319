// Package driver holds the passes of stap: reading scripts, elaborating and
// compiling them, keeping bundles, listing probe points and running.
package driver

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strings"

	"stapkit/diag"
	"stapkit/sema"
	"stapkit/syntax"
	"stapkit/tapsets"
	"stapkit/target"
)

// Version is the version of SystemTap's language that stapkit has, as
// %( systemtap_v … %) sees it.
const Version = "5.6"

// Script is one text to compile.
type Script struct {
	Name string // as diagnostics show it
	Text []byte
}

// Config is what the passes up to the bundle need to know.
type Config struct {
	Scripts []Script
	Args    []string // script arguments
	// Target is what is probed; nil when nothing is known of it.
	Target *target.Target
	// TapsetDirs are further library directories (-I), whose files are trusted.
	TapsetDirs []string
	Guru       bool
	Privilege  string
	// Defines are the limits of -D, by name.
	Defines map[string]string
	// Globals are the initial values of -G, by name.
	Globals         map[string]string
	Compatible      string
	SkipBadVars     bool
	Unoptimized     bool
	SuppressErrors  bool
	NoGlobalDisplay bool
	// Command and PID are those of -c and -x, for "process" without a path.
	Command string
	PID     int
	// Name is the bundle's name (-m); empty: made from the first script's.
	Name string
}

// InputName is how diagnostics call a script given on the command line.
const InputName = "<input>"

// ReadScript reads a script file; "-" is standard input.
func ReadScript(name string, stdin io.Reader) (Script, error) {
	if name == "-" {
		b, err := io.ReadAll(stdin)
		return Script{Name: "<stdin>", Text: b}, err
	}
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Script{}, fmt.Errorf("input file '%s' is missing or unreadable: no such file", name)
	case err != nil:
		return Script{}, fmt.Errorf("input file '%s' is missing or unreadable: %w", name, err)
	case info.IsDir():
		return Script{}, fmt.Errorf("input file '%s' is a directory; give one of the scripts in it", name)
	}
	b, err := os.ReadFile(name)
	return Script{Name: name, Text: b}, err
}

// conditions answers preprocessor conditions from the target and the options.
type conditions struct{ c *Config }

// Lookup gives the value of a name, see syntax.Conditions.
func (c conditions) Lookup(name string) (string, bool) {
	t := c.c.Target
	switch name {
	case "systemtap_v":
		return Version, true
	case "runtime":
		return "bpf", true
	case "systemtap_privilege":
		if p := c.c.Privilege; p != "" {
			return p, true
		}
		return "stapdev", true
	case "guru_mode":
		if c.c.Guru {
			return "1", true
		}
		return "0", true
	case "arch":
		if t == nil {
			return target.ArchName(runtime.GOARCH), true
		}
		return t.Arch(), true
	}
	if t == nil {
		return "", false
	}
	switch name {
	case "kernel_vr":
		return t.Release(), t.Release() != ""
	case "kernel_v":
		v, _, _ := strings.Cut(t.Release(), "-")
		return v, v != ""
	}
	if strings.HasPrefix(name, "CONFIG_") {
		v, known := t.Config(name)
		return v, known
	}
	return "", false
}

// Frontend is the result of passes 1 and 2.
type Frontend struct {
	Config  *Config
	Files   []*syntax.File
	Library *sema.Library
	Program *sema.Program // nil when pass 1 failed
	Diags   []diag.Diagnostic
	// LibraryFiles is the number of library files there are.
	LibraryFiles int

	texts map[string][]byte
	lines map[string][]string
}

// Source returns the text of a file that diagnostics may point into.
func (f *Frontend) Source(name string) ([]byte, bool) {
	if b, ok := f.texts[name]; ok {
		return b, true
	}
	return tapsets.Read(name)
}

// options are the parser's options for the user's scripts.
func (c *Config) options() syntax.Options {
	return syntax.Options{
		Args: c.Args, Target: conditions{c}, Privileged: c.Guru, Compatible: c.Compatible,
	}
}

// Parse is pass 1: it reads the user's scripts, and finds the library.
func Parse(c *Config) (*Frontend, error) {
	f := &Frontend{Config: c, texts: map[string][]byte{}}
	opt := c.options()
	macros, err := f.library(opt)
	if err != nil {
		return nil, err
	}
	opt.Macros = macros
	for _, s := range c.Scripts {
		f.texts[s.Name] = s.Text
		file := syntax.ParseFile(s.Name, s.Text, opt)
		f.Files = append(f.Files, file)
		f.Diags = append(f.Diags, file.Diags...)
	}
	f.Diags = append(f.Diags, syntax.UnusedArgs(c.Args, f.Files...)...)
	return f, nil
}

// library reads the macro files and opens the library sources: the directories of
// -I in order, then the embedded one.
func (f *Frontend) library(opt syntax.Options) (*syntax.MacroSet, error) {
	opt.Library, opt.Privileged, opt.Args = true, true, nil
	var sources []sema.LibrarySource
	set := &syntax.MacroSet{}
	addMacros := func(name string, text []byte) {
		f.texts[name] = text
		opt.Macros = set
		file := syntax.ParseMacros(name, text, opt)
		for _, d := range append(file.Diags, set.Add(file)...) {
			if d.Severity == diag.Error {
				f.Diags = append(f.Diags, d)
			}
		}
	}
	for _, name := range tapsets.Files() {
		f.LibraryFiles++
		if strings.HasSuffix(name, ".stpm") {
			text, _ := tapsets.Read(name)
			addMacros(name, text)
		}
	}
	opt.Macros = set
	for _, dir := range f.Config.TapsetDirs {
		texts := map[string][]byte{}
		err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			ext := filepath.Ext(p)
			if d.IsDir() || ext != ".stp" && ext != ".stpm" {
				return nil
			}
			text, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			f.LibraryFiles++
			if ext == ".stpm" {
				addMacros(p, text)
				return nil
			}
			texts[p] = text
			f.texts[p] = text
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("tapset directory: %w", err)
		}
		sources = append(sources, sema.NewSource(texts, opt))
	}
	sources = append(sources, sema.Embedded())
	f.Library = sema.NewLibrary(opt, sources...)
	return set, nil
}

// Elaborate is pass 2.
func (f *Frontend) Elaborate() *sema.Program {
	f.Program = sema.Elaborate(f.Files, f.semaOptions())
	seen := map[string]bool{}
	var all []diag.Diagnostic
	for _, d := range append(f.Diags, f.Program.Diags...) {
		key := fmt.Sprint(d.Code, d.Range, d.Message)
		if !seen[key] {
			seen[key] = true
			all = append(all, d)
		}
	}
	f.Diags = all
	return f.Program
}

func (f *Frontend) semaOptions() sema.Options {
	c := f.Config
	opt := sema.Options{
		Library: f.Library, Guru: c.Guru, Privilege: c.Privilege, SkipBadVars: c.SkipBadVars,
		Unoptimized: c.Unoptimized, Command: c.Command, PID: c.PID,
	}
	if c.Target != nil {
		opt.Target = c.Target
	}
	return opt
}

// Failed reports whether a diagnostic is an error, or with strict (-W) a warning.
func Failed(ds []diag.Diagnostic, strict bool) bool {
	if diag.HasErrors(ds) {
		return true
	}
	if strict {
		for _, d := range ds {
			if d.Severity == diag.Warning {
				return true
			}
		}
	}
	return false
}

func sortedNames[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}
