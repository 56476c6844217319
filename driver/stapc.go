package driver

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"stapkit/compile/object"
	"stapkit/diag"
)

const stapcUsage = `Usage: stapc [options] SCRIPT [ARGUMENTS]     Compile SCRIPT to a bundle.
   or: stapc [options] -e SCRIPT [ARGUMENTS]  Compile the given script.
   or: stapc sign --sign KEY BUNDLE           Sign a bundle (stapc sign --help tells more).

Options:
`

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
	fs := pflag.NewFlagSet("stapc", pflag.ContinueOnError)
	fs.SortFlags = false
	fs.SetOutput(io.Discard)
	o := &StapOptions{Color: "auto"}
	var defines, globals []string
	output := fs.StringP("output", "o", "", "write the bundle to `FILE` (default: the script's name with .o)")
	key := fs.String("sign", "", "sign with `KEY`: a private key file, or a public key file whose key the ssh-agent has")
	targets := fs.StringArray("target", nil, "compile for the host that `FILE` describes (a BTF file or a description by staprun --describe); several times: one bundle for all")
	explain := fs.Bool("explain", false, "print what each probe costs")
	fs.StringVar(&o.Sysroot, "sysroot", "", "take kernels, programs, libraries and debug files from below `DIR`")
	fs.StringArrayVarP(&o.Expr, "expr", "e", nil, "compile the script given as `SCRIPT`")
	fs.BoolVarP(&o.Guru, "guru", "g", false, "guru mode: allow what can do harm")
	fs.StringArrayVarP(&defines, "define", "D", nil, "set limit `NAME=VALUE`")
	fs.StringArrayVarP(&globals, "global", "G", nil, "give the scalar global `NAME=VALUE` its initial value")
	fs.StringArrayVarP(&o.TapsetDirs, "include", "I", nil, "look in tapset directory `DIR` as well")
	fs.StringVarP(&o.Name, "module", "m", "", "name the bundle `NAME`")
	fs.BoolVarP(&o.NoWarnings, "no-warnings", "w", false, "show no warnings")
	fs.BoolVarP(&o.Strict, "strict", "W", false, "treat warnings as errors")
	fs.BoolVar(&o.SkipBadVars, "skip-badvars", false, "take target variables that cannot be resolved as 0")
	fs.BoolVar(&o.SuppressErrors, "suppress-handler-errors", false, "go on after errors in handlers; they are only counted")
	fs.BoolVar(&o.NoGlobalDisplay, "no-global-var-display", false, "do not show globals that are written but never read")
	fs.StringVar(&o.Format, "message-format", "text", "shape of diagnostics: stap, text, json, sarif or github")
	fs.BoolVarP(&o.Help, "help", "h", false, "show this help")
	fs.BoolVarP(&o.ShowVer, "version", "V", false, "show the version")
	if err := fs.Parse(args); err != nil {
		return fail(fmt.Errorf("%w (--help tells the options)", err))
	}
	switch {
	case o.Help:
		fmt.Fprint(stdout, stapcUsage, fs.FlagUsages())
		return 0
	case o.ShowVer:
		fmt.Fprintf(stdout, "stapkit %s (SystemTap %s language, eBPF)\n", Release, Version)
		return 0
	}
	rest := fs.Args()
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
	c, all, ok, err := s.compileFor(*targets)
	if err != nil {
		return fail(err)
	}
	if !ok {
		return 1
	}
	if *explain {
		if err := explainVariants(stdout, all); err != nil {
			return fail(err)
		}
	}
	b, err := s.f.Bundle(c, all)
	if err != nil {
		return fail(err)
	}
	if *key != "" {
		if b, err = sign(b, *key); err != nil {
			return fail(err)
		}
	}
	name := *output
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
