package driver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"stapkit/cli"
	"stapkit/diag"
	"stapkit/ir"
	"stapkit/sema"
	"stapkit/syntax"
	"stapkit/target"
)

// Stap is the stap command. It returns the exit status.
func Stap(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	o, err := ParseStap(args)
	switch {
	case errors.Is(err, cli.ErrHelp):
		fmt.Fprint(stdout, cli.Stap.Help())
		return 0
	case errors.Is(err, cli.ErrVersion):
		fmt.Fprintf(stdout, "stapkit %s (SystemTap %s language, eBPF)\n", Release, Version)
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "stap: %v\nTry '--help' for more information.\n", err)
		return 1
	}
	s := &stap{o: o, stdin: stdin, stdout: stdout, stderr: stderr}
	if !o.NoWarnings {
		for _, g := range o.Gone {
			fmt.Fprintf(stderr, "WARNING: %s\n", g)
		}
	}
	if o.Background && o.Output != "" && o.LastPass == 5 && !o.ListOn {
		if ended, status := s.background(args); ended {
			return status
		}
	}
	return s.run(ctx)
}

type stap struct {
	o              *StapOptions
	stdin          io.Reader
	stdout, stderr io.Writer
	f              *Frontend
	targets        []*target.Target
	back           backgroundRun // of -F with -o
	// blind is why nothing is known of the kernel.
	blind error
}

// fail prints an error that has no place in a script.
func (s *stap) fail(err error) int {
	fmt.Fprintf(s.stderr, "stap: %v\n", err)
	return 1
}

func (s *stap) run(ctx context.Context) int {
	o := s.o
	switch {
	case o.DumpTypes:
		return s.failed(sema.DumpTypes(s.stdout, o.JSON))
	case o.Completions != "":
		return s.failed(cli.WriteCompletions(s.stdout, o.Completions))
	}
	if err := s.scripts(); err != nil {
		return s.fail(err)
	}
	if err := s.target(); err != nil {
		return s.fail(err)
	}
	defer s.close()
	if len(s.targets) > 1 && o.LastPass == 2 && !o.ListOn {
		return s.elaborateAll()
	}
	start := time.Now()
	f, err := Parse(&o.Config)
	if err != nil {
		return s.fail(err)
	}
	s.f = f
	switch {
	case o.ListOn:
		return s.list()
	case o.DumpAlias:
		return s.failed(sema.DumpAliases(s.stdout, f.Library, o.JSON))
	case o.DumpFuncs:
		return s.failed(sema.DumpFunctions(s.stdout, f.semaOptions(), o.JSON))
	}
	if o.Dump != "" || o.LastPass == 1 {
		return s.pass1()
	}
	if Failed(f.Diags, o.Strict) {
		s.report(f.Diags, 1)
		return 1
	}
	s.pass(start, "Pass 1: parsed user script and %d library scripts", f.LibraryFiles)
	start = time.Now()
	p := f.Elaborate()
	if Failed(f.Diags, o.Strict) {
		s.report(f.Diags, 2)
		return 1
	}
	s.report(f.Diags, 0)
	s.pass(start, "Pass 2: analyzed script: %s, %s, %s", count(len(p.Probes), "probe"), count(len(p.Funcs), "function"), count(len(p.Globals), "global"))
	if o.LastPass == 2 {
		return s.failed(sema.DumpP2(s.stdout, p, o.Verbose > 0))
	}
	start = time.Now()
	c, spec, err := f.Translate()
	if err != nil {
		return s.fail(err)
	}
	if Failed(c.Diags, o.Strict) {
		s.report(c.Diags, 3)
		return 1
	}
	s.report(c.Diags, 0)
	s.pass(start, "Pass 3: translated to eBPF: %s", summary(c))
	if o.LastPass == 3 {
		if err := ir.Dump(s.stdout, c.Program); err != nil {
			return s.fail(err)
		}
		return s.failed(dumpPrograms(s.stdout, spec))
	}
	start = time.Now()
	if err := f.Object(c, spec); err != nil {
		return s.fail(err)
	}
	s.pass(start, "Pass 4: compiled %q, %d bytes", c.Name+".o", len(c.ELF))
	if o.LastPass == 4 || o.ModuleName != "" {
		b, err := f.Bundle(c, []*Compiled{c})
		if err != nil {
			return s.fail(err)
		}
		name := c.Name + ".o"
		if err := os.WriteFile(name, b, 0o644); err != nil {
			return s.fail(err)
		}
		if o.LastPass == 4 {
			fmt.Fprintln(s.stdout, name)
			return 0
		}
	}
	return s.execute(ctx, c)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func summary(c *Compiled) string {
	kernel, loader := 0, 0
	for _, h := range c.Program.Handlers {
		if h.Kernel {
			kernel++
		} else {
			loader++
		}
	}
	return fmt.Sprintf("%s for the kernel, %s for the loader", count(kernel, "handler"), count(loader, "handler"))
}

// pass tells with -v what a pass did.
func (s *stap) pass(start time.Time, format string, args ...any) {
	if s.o.Verbose > 0 {
		fmt.Fprintf(s.stderr, format+" in %d ms.\n", append(args, time.Since(start).Milliseconds())...)
	}
}

func (s *stap) failed(err error) int {
	if err != nil {
		return s.fail(err)
	}
	return 0
}

// scripts reads what is to be compiled.
func (s *stap) scripts() error {
	o := s.o
	switch {
	case len(o.Expr) > 0:
		o.Scripts = []Script{{Name: InputName, Text: []byte(strings.Join(o.Expr, "\n"))}}
	case o.ScriptFile != "":
		sc, err := ReadScript(o.ScriptFile, s.stdin)
		if err != nil {
			return err
		}
		o.Scripts = []Script{sc}
	case o.ListOn, o.DumpAlias, o.DumpFuncs:
	case len(o.Extra) == 0:
		return errors.New("a script must be specified.\nTry '--help' for more information")
	}
	for i, e := range o.Extra {
		name := InputName
		if len(o.Scripts) > 0 {
			name = fmt.Sprintf("<input%d>", i+1)
		}
		o.Scripts = append(o.Scripts, Script{Name: name, Text: []byte(e)})
	}
	return nil
}

// target opens what the script is compiled for.
func (s *stap) target() error {
	o := s.o
	var err error
	if o.Binaries, err = binaries(o.Sysroot, s.stderr); err != nil {
		return err
	}
	if s.targets, s.blind, err = openTargets(o.Releases, o.Sysroot); err != nil {
		return err
	}
	if len(s.targets) > 1 && !o.ListOn && o.LastPass != 2 {
		var names []string
		for _, t := range s.targets {
			names = append(names, t.Name())
		}
		return fmt.Errorf("several kernels are given (%s); a script is compiled for one at a time; -l, -L and -p2 take several", strings.Join(names, ", "))
	}
	if len(s.targets) > 0 {
		o.Target = s.targets[0]
	}
	return nil
}

// close closes the targets and binaries.
func (s *stap) close() {
	err := closeAll(s.targets)
	if s.o.Binaries != nil {
		err = errors.Join(err, s.o.Binaries.Close())
	}
	if err != nil {
		fmt.Fprintf(s.stderr, "stap: %v\n", err)
	}
}

// report writes diagnostics; pass is the one that failed, 0 for warnings only.
func (s *stap) report(ds []diag.Diagnostic, pass int) {
	s.reportWith(ds, pass, s.f.Source)
}

func (s *stap) reportWith(ds []diag.Diagnostic, pass int, source func(string) ([]byte, bool)) {
	o := s.o
	var show []diag.Diagnostic
	for _, d := range ds {
		// A note says what was taken on trust, which is what keeps it from running.
		trust := d.Severity == diag.Note && s.f != nil && s.f.Program != nil && s.f.Program.Unresolved
		if d.Severity == diag.Error || d.Severity == diag.Warning && !o.NoWarnings || o.Verbose > 0 || trust {
			show = append(show, d)
		}
	}
	src := sourceFunc(source)
	var colors diag.Colors
	if o.Color == "always" || o.Color == "auto" && isTerminal(s.stderr) && os.Getenv("NO_COLOR") == "" {
		colors, _ = diag.ParseColors(os.Getenv("SYSTEMTAP_COLORS"))
	}
	var err error
	switch o.Format {
	case "text":
		err = diag.Text(s.stderr, show, src, diag.TextOptions{Colors: colors})
	case "json":
		err = diag.JSON(s.stderr, show)
	case "sarif":
		err = diag.SARIF(s.stderr, show, src, diag.SARIFOptions{})
	case "github":
		err = diag.GitHub(s.stderr, show, src)
	default:
		err = diag.Stap(s.stderr, show, src, diag.StapOptions{Colors: colors, Trailer: pass == 1})
		switch {
		case pass == 2:
			fmt.Fprintln(s.stderr, "Pass 2: analysis failed.")
		case pass == 3:
			fmt.Fprintln(s.stderr, "Pass 3: translation failed.")
		case pass == 1 && !diag.HasErrors(show):
			fmt.Fprintln(s.stderr, "Pass 1: parse failed.")
		}
	}
	if err != nil {
		fmt.Fprintf(s.stderr, "stap: %v\n", err)
	}
}

type sourceFunc func(string) ([]byte, bool)

// Source returns the text of a file.
func (f sourceFunc) Source(name string) ([]byte, bool) { return f(name) }

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// pass1 shows what the parser made of the scripts.
func (s *stap) pass1() int {
	o := s.o
	if Failed(s.f.Diags, o.Strict) {
		s.report(s.f.Diags, 1)
		return 1
	}
	s.report(s.f.Diags, 0)
	for i, file := range s.f.Files {
		if o.Dump == "source" {
			opt := o.Config.options()
			opt.View = syntax.SourceView
			file = syntax.ParseFile(o.Scripts[i].Name, o.Scripts[i].Text, opt)
		}
		var err error
		switch o.Dump {
		case "":
			err = syntax.DumpP1(s.stdout, file)
		case "tokens":
			err = syntax.DumpTokens(s.stdout, file, o.JSON)
		case "source", "expanded":
			err = syntax.DumpTree(s.stdout, file, o.JSON)
		default:
			err = fmt.Errorf("--dump=%s: use tokens, source or expanded", o.Dump)
		}
		if err != nil {
			return s.fail(err)
		}
	}
	return 0
}

// elaborateAll is -p2 for several kernels: what it finds is said once, with the kernels
// it is true of unless that is all; then the program for each follows.
func (s *stap) elaborateAll() int {
	o := s.o
	type found struct {
		d  diag.Diagnostic
		on []string
	}
	var all []*found
	at := map[string]*found{}
	var outputs []string
	code := 0
	for _, t := range s.targets {
		o.Target = t
		f, err := Parse(&o.Config)
		if err != nil {
			return s.fail(err)
		}
		s.f = f
		if !Failed(f.Diags, o.Strict) {
			p := f.Elaborate()
			if !Failed(f.Diags, o.Strict) {
				var b strings.Builder
				if err := sema.DumpP2(&b, p, o.Verbose > 0); err != nil {
					return s.fail(err)
				}
				outputs = append(outputs, fmt.Sprintf("# kernel %s\n%s", t.Name(), b.String()))
			}
		}
		if Failed(f.Diags, o.Strict) {
			code = 1
		}
		for _, d := range f.Diags {
			key := fmt.Sprint(d.Code, d.Range, d.Message)
			x := at[key]
			if x == nil {
				x = &found{d: d}
				at[key] = x
				all = append(all, x)
			}
			if n := len(x.on); n == 0 || x.on[n-1] != t.Name() {
				x.on = append(x.on, t.Name())
			}
		}
	}
	var ds []diag.Diagnostic
	for _, x := range all {
		if len(x.on) < len(s.targets) {
			x.d.Message += " (on " + strings.Join(x.on, ", ") + ")"
		}
		ds = append(ds, x.d)
	}
	pass := 0
	if code != 0 {
		pass = 2
	}
	s.report(ds, pass)
	for _, out := range outputs {
		fmt.Fprint(s.stdout, out)
	}
	return code
}

// list is -l and -L.
func (s *stap) list() int {
	o := s.o
	pattern, vars := o.List, false
	if o.ListVars != "" {
		pattern, vars = o.ListVars, true
	}
	lo := sema.ListOptions{Vars: vars, Verbose: o.Verbose > 0, JSON: o.JSON}
	var lines []string
	var ds []diag.Diagnostic
	if len(s.targets) < 2 {
		lines, ds = sema.List(pattern, s.f.semaOptions(), lo)
	} else {
		lines, ds = sema.ListTargets(pattern, s.f.semaOptions(), s.targets, lo)
	}
	for _, l := range lines {
		fmt.Fprintln(s.stdout, l)
	}
	if s.blind != nil && slices.ContainsFunc(ds, func(d diag.Diagnostic) bool { return d.Severity == diag.Note }) {
		fmt.Fprintf(s.stderr, "stap: nothing is known of a kernel here, so what it has is not listed; give one with -r (%v)\n", s.blind)
	}
	if len(lines) > 0 {
		return 0
	}
	if o.Verbose > 0 {
		s.report(ds, 2)
	}
	return 1
}
