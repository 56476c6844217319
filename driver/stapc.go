package driver

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"stapkit/cli"
	"stapkit/compile/object"
	"stapkit/diag"
)

// Stapc is the stapc command: it compiles a script to a bundle. It returns the
// exit status.
func Stapc(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	fail := func(err error) int {
		fmt.Fprintf(stderr, "stapc: %v\n", err)
		return 1
	}
	if len(args) > 0 && args[0] == "sign" {
		return stapcSign(args[1:], stdout, fail)
	}
	f := cli.Stapc.Flags()
	o := &StapOptions{Color: "auto", Format: "text"}
	var defines, globals, targets []string
	var output, key string
	var explain bool
	f.String(&output, "output")
	f.String(&key, "sign")
	f.Strings(&targets, "target")
	f.Bool(&explain, "explain")
	f.String(&o.Sysroot, "sysroot")
	f.Strings(&o.Expr, "expr")
	f.Bool(&o.Guru, "guru")
	f.Strings(&defines, "define")
	f.Strings(&globals, "global")
	f.Strings(&o.TapsetDirs, "include")
	f.String(&o.Name, "module")
	f.Bool(&o.NoWarnings, "no-warnings")
	f.Bool(&o.Strict, "strict")
	f.Bool(&o.SkipBadVars, "skip-badvars")
	f.Bool(&o.SuppressErrors, "suppress-handler-errors")
	f.Bool(&o.NoGlobalDisplay, "no-global-var-display")
	f.String(&o.Color, "color")
	f.String(&o.Format, "message-format")
	rest, err := f.Parse(args)
	switch {
	case errors.Is(err, cli.ErrHelp):
		fmt.Fprint(stdout, cli.Stapc.Help())
		return 0
	case errors.Is(err, cli.ErrVersion):
		fmt.Fprintf(stdout, "stapkit %s (SystemTap %s language, eBPF)\n", Release, Version)
		return 0
	case err != nil:
		return fail(fmt.Errorf("%w (--help tells the options)", err))
	}
	if o.Name != "" {
		var note string
		if o.Name, note, err = moduleName(o.Name); err != nil {
			return fail(err)
		}
		if note != "" && !o.NoWarnings {
			fmt.Fprintf(stderr, "WARNING: %s\n", note)
		}
	}
	if len(o.Expr) == 0 {
		if len(rest) == 0 {
			return fail(fmt.Errorf("a script must be specified (--help tells the options)"))
		}
		o.ScriptFile, rest = rest[0], rest[1:]
	}
	o.Args = rest
	if err := o.settings(defines, globals); err != nil {
		return fail(err)
	}
	s := &stap{o: o, stdin: stdin, stdout: stdout, stderr: stderr}
	if err := s.scripts(); err != nil {
		return fail(err)
	}
	c, all, ok, err := s.compileFor(targets)
	if err != nil {
		return fail(err)
	}
	if !ok {
		return 1
	}
	if explain {
		if err := explainVariants(stdout, all); err != nil {
			return fail(err)
		}
	}
	b, err := s.f.Bundle(c, all)
	if err != nil {
		return fail(err)
	}
	if key != "" {
		if b, err = sign(b, key); err != nil {
			return fail(err)
		}
	}
	name := output
	if name == "" {
		name = c.Name + ".o"
	}
	if err := writeFile(name, b); err != nil {
		return fail(err)
	}
	return 0
}

// compile runs passes 1 to 4. ok is false when diagnostics were reported.
func (s *stap) compile() (c *Compiled, spec *object.Spec, ok bool, err error) {
	f, err := Parse(&s.o.Config)
	if err != nil {
		return nil, nil, false, err
	}
	s.f = f
	if !Failed(f.Diags, s.o.Strict) {
		f.Elaborate()
	}
	s.report(f.Diags, 0)
	if Failed(f.Diags, s.o.Strict) {
		return nil, nil, false, nil
	}
	c, spec, err = f.Translate()
	if err != nil {
		return nil, nil, false, err
	}
	s.report(c.Diags, 0)
	if Failed(c.Diags, s.o.Strict) || diag.HasErrors(c.Diags) {
		return nil, nil, false, nil
	}
	return c, spec, true, f.Object(c, spec)
}

// writeFile writes a file as a whole: a reader sees the old one or the new one.
func writeFile(name string, b []byte) error {
	tmp, err := os.CreateTemp(dirOf(name), ".stapc-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(b)
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Chmod(tmp.Name(), 0o644)
	}
	if err == nil {
		err = os.Rename(tmp.Name(), name)
	}
	return err
}

func dirOf(name string) string {
	if i := strings.LastIndexByte(name, os.PathSeparator); i >= 0 {
		return name[:i+1]
	}
	return "."
}
