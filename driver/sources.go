// Package driver holds the passes of stap: reading scripts, elaborating and
// compiling them, keeping bundles, listing probe points and running.
package driver

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sort"

	"stapkit/diag"
	"stapkit/sema"
	"stapkit/syntax"
	"stapkit/tapsets"
	"stapkit/target"
)

// Version is the version of SystemTap's language that stapkit has, as
// %( systemtap_v … %) sees it.
const Version = sema.LanguageVersion

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
	// Binaries are the programs and debug files that the script is held against; nil:
	// those of this machine.
	Binaries *sema.Binaries
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
	// NoTimeLimits leaves out what ends handlers that take long
	// (--suppress-time-limits).
	NoTimeLimits bool
	// Command and PID are those of -c and -x, for "process" without a path.
	Command string
	PID     int
	// Name is the bundle's name (-m); empty: made from the first script's.
	Name string
}

// InputName is how diagnostics call a script given on the command line or standard input.
const InputName = "<input>"

// ReadScript reads a script file; "-" is standard input.
func ReadScript(name string, stdin io.Reader) (Script, error) {
	if name == "-" {
		b, err := io.ReadAll(stdin)
		return Script{Name: InputName, Text: b}, err
	}
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		//lint:ignore ST1005 the text is SystemTap's
		return Script{}, fmt.Errorf("Input file '%s' is missing.", name)
	case err != nil:
		return Script{}, unreadable(name, err)
	case info.IsDir():
		return Script{}, fmt.Errorf("input file '%s' is a directory; give one of the scripts in it", name)
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return Script{}, unreadable(name, err)
	}
	return Script{Name: name, Text: b}, nil
}

func unreadable(name string, err error) error {
	if inner := (*fs.PathError)(nil); errors.As(err, &inner) {
		err = inner.Err
	}
	return fmt.Errorf("input file '%s' is unreadable: %w", name, err)
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
		Args: c.Args, Target: sema.Conditions{Target: c.Target, Guru: c.Guru, Privilege: c.Privilege, Compatible: c.Compatible}, Privileged: c.Guru, Compatible: c.Compatible,
	}
}

// Parse is pass 1: it reads the user's scripts, and finds the library.
func Parse(c *Config) (*Frontend, error) {
	f := &Frontend{Config: c}
	opt := c.options()
	lib, err := sema.OpenLibrary(opt, c.TapsetDirs)
	if err != nil {
		return nil, err
	}
	f.Library, f.LibraryFiles, f.texts, f.Diags = lib.Library, lib.Files, lib.Texts, lib.Diags
	opt.Macros = lib.Macros
	for _, s := range c.Scripts {
		f.texts[s.Name] = s.Text
		file := syntax.ParseFile(s.Name, s.Text, opt)
		f.Files = append(f.Files, file)
		f.Diags = append(f.Diags, file.Diags...)
	}
	f.Diags = append(f.Diags, syntax.UnusedArgs(c.Args, f.Files...)...)
	return f, nil
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
		Unoptimized: c.Unoptimized, Command: c.Command, PID: c.PID, Binaries: c.Binaries, Given: c.Globals,
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
