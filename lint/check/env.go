// Package check is what the command staplint does with files: it reads and
// elaborates them for one or several targets, runs the rules, several files at once,
// mends, compares with a baseline and prints.
package check

import (
	"sync"

	"stapkit/lint"
	"stapkit/sema"
	"stapkit/syntax"
	"stapkit/target"
)

// An Env is what scripts are elaborated in: a target or none, and the library as that
// sees it. It is safe for concurrent use.
type Env struct {
	target   *target.Target
	explicit bool
	opt      syntax.Options
	lib      *sema.OpenedLibrary
	binaries *sema.Binaries
}

// EnvOptions tell what to elaborate with.
type EnvOptions struct {
	// Target is nil when nothing is known of it. Explicit tells that it was asked for.
	Target   *target.Target
	Explicit bool
	// Includes are further library directories.
	Includes   []string
	Guru       bool
	Compatible string
}

// NewEnv opens the library for a target.
func NewEnv(o EnvOptions) (*Env, error) {
	e := &Env{target: o.Target, explicit: o.Explicit, binaries: &sema.Binaries{}}
	e.opt = syntax.Options{
		Target: conditions{sema.Conditions{Target: o.Target, Guru: o.Guru}}, Privileged: o.Guru, ArgsUnknown: true, Compatible: o.Compatible,
	}
	lib, err := sema.OpenLibrary(e.opt, o.Includes)
	if err != nil {
		return nil, err
	}
	e.lib = lib
	e.opt.Macros = lib.Macros
	return e, nil
}

// Close closes what scripts named.
func (e *Env) Close() error { return e.binaries.Close() }

// Source gives the text of a library file.
func (e *Env) Source(name string) ([]byte, bool) { return e.lib.Source(name) }

// conditions answer without a target as on every machine, so that findings do not
// depend on the one that the linter runs on.
type conditions struct{ sema.Conditions }

func (c conditions) Lookup(name string) (string, bool) {
	if name == "arch" && c.Target == nil {
		return "x86_64", true
	}
	return c.Conditions.Lookup(name)
}

// An Input is one script: its text, and the arguments that it gets.
type Input struct {
	Name string
	Text []byte
	// Args are the script's arguments; those beyond are unknown.
	Args []string
	// Guru: it is run with -g.
	Guru bool
	// Tapset: it is a file of a library.
	Tapset bool
	// Command is that of -c, for "process" without a path.
	Command string
}

// Script elaborates a script.
func (e *Env) Script(in Input) *lint.Script {
	opt := e.opt
	opt.Args = in.Args
	if in.Guru || in.Tapset {
		opt.Privileged = true
	}
	var f *syntax.File
	if len(in.Name) > 5 && in.Name[len(in.Name)-5:] == ".stpm" {
		f = syntax.ParseMacros(in.Name, in.Text, opt)
	} else {
		f = syntax.ParseFile(in.Name, in.Text, opt)
	}
	p := sema.Elaborate([]*syntax.File{f}, sema.Options{
		Tools: true, Target: e.target, Library: e.lib.Library, Binaries: e.binaries, Guru: opt.Privileged, Command: in.Command,
		TrustPrograms: !e.explicit || e.target == nil || !e.target.IsRunning(),
	})
	s := &lint.Script{Program: p, Files: []*syntax.File{f}, Target: e.target, Explicit: e.explicit, Tapset: in.Tapset}
	if e.target != nil {
		s.Name = shortName(e.target)
	}
	return s
}

// shortName names a target in messages and tables: by its release where it is known.
func shortName(t *target.Target) string {
	if r := t.Release(); r != "" {
		return r
	}
	return t.Name()
}

// defaultEnv is the environment without a target, opened once.
var defaultEnv = sync.OnceValues(func() (*Env, error) { return NewEnv(EnvOptions{}) })

// Default is the environment that knows no target.
func Default() (*Env, error) { return defaultEnv() }
