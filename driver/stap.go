package driver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
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
	o.dropAbsent()
	s := &stap{o: o, stdin: stdin, stdout: stdout, stderr: stderr}
	if !o.NoWarnings {
		for _, g := range o.Gone {
			fmt.Fprint(stderr, s.mark("WARNING: "+g+"\n"))
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
	// shown are the diagnostics that were reported.
	shown []diag.Diagnostic
	// seen is told what the compilation looks at, if it is to be kept.
	seen *witness
	// detail is what takes its time now.
	detail detail
}

// colors are those of messages, none where they are not wanted.
func (s *stap) colors() (c diag.Colors) {
	if diag.WantColor(s.o.Color, s.stderr) {
		c, _ = diag.ParseColors(os.Getenv("SYSTEMTAP_COLORS"))
	}
	return c
}

// mark colours a line that begins with ERROR: or WARNING:.
func (s *stap) mark(line string) string { return s.colors().Mark(line) }

// fail prints an error that has no place in a script.
func (s *stap) fail(err error) int {
	fmt.Fprintf(s.stderr, "stap: %v\n", err)
	return 1
}

// failPass prints what ended a pass.
func (s *stap) failPass(pass int, err error) int {
	s.fail(err)
	s.passFailed(pass)
	return 1
}

func (s *stap) passFailed(pass int) {
	if s.o.Format == "stap" {
		fmt.Fprintf(s.stderr, "Pass %d: %s failed.\n", pass, [...]string{"", "parse", "analysis", "translation", "compilation", "run"}[pass])
	}
}

func (s *stap) run(ctx context.Context) int {
	o := s.o
	switch {
	case o.CleanCache:
		return s.failed(cleanCache(s.stdout))
	case o.Completions != "":
		return s.failed(cli.WriteCompletions(s.stdout, o.Completions))
	case o.Complete != "":
		return s.completePoint(ctx)
	case o.Interactive:
		return s.interactive(ctx)
	case o.LanguageServer:
		return s.languageServer(ctx)
	case o.DumpTypes:
		return s.failed(sema.DumpTypes(s.stdout, o.JSON))
	case o.Example && o.ScriptFile == "" && len(o.Expr) == 0:
		return s.failed(listExamples(s.stdout))
	}
	if o.Replay != "" {
		return s.replay(ctx)
	}
	if err := s.scripts(); err != nil {
		if o.ScriptFile != "" {
			return s.failPass(1, err)
		}
		return s.fail(err)
	}
	if len(o.Remotes) > 0 && !o.ListOn && o.LastPass == 5 {
		return s.remote(ctx)
	}
	compiles := o.LastPass >= 4 && !o.ListOn && !o.DumpAlias && !o.DumpFuncs && o.Dump == ""
	var key string
	if compiles {
		var why string
		key, why = s.cacheKey()
		if key == "" {
			s.tell(4, "not kept: %s", why)
		} else if !o.PoisonCache {
			k, err := fromCache(key)
			if err == nil {
				return s.runKept(ctx, key, k)
			}
			s.tell(4, "nothing kept fits: %v", err)
		}
		if key != "" {
			s.seen = &witness{states: map[string]string{}}
		}
	}
	if err := s.target(); err != nil {
		return s.fail(err)
	}
	defer s.close()
	if len(s.targets) > 1 && o.LastPass == 2 && !o.ListOn {
		return s.elaborateAll()
	}
	start := s.begin()
	f, err := Parse(&o.Config)
	if err != nil {
		return s.fail(err)
	}
	s.f = f
	switch {
	case o.ListOn:
		return s.list(start)
	case o.DumpAlias:
		return s.failed(sema.DumpAliases(s.stdout, f.Library, o.JSON))
	case o.DumpFuncs:
		return s.failed(sema.DumpFunctions(s.stdout, f.semaOptions(), o.JSON))
	}
	if o.CheckVersion {
		f.Diags = append(f.Diags, f.versionWarnings()...)
	}
	if o.Dump != "" || o.LastPass == 1 {
		return s.pass1(start)
	}
	if Failed(f.Diags, o.Strict) {
		s.report(f.Diags, 1)
		return 1
	}
	s.pass(1, start, "parsed user script and %d library scripts", f.LibraryFiles)
	start = s.begin()
	done := s.progress("Pass 2: probe points and types")
	p := f.Elaborate()
	done()
	if Failed(f.Diags, o.Strict) {
		s.report(f.Diags, 2)
		return 1
	}
	s.report(f.Diags, 0)
	probes := len(p.Probes)
	if !o.NoGlobalDisplay {
		probes += len(p.Shown()) // each is a probe in SystemTap
	}
	s.pass(2, start, "analyzed script: %s, %s, 0 embeds, %s", count(probes, "probe"), count(len(p.Funcs), "function"), count(len(p.Globals), "global"))
	if o.LastPass == 2 {
		return s.failed(sema.DumpP2(s.stdout, p, s.dump()))
	}
	start = s.begin()
	done = s.progress("Pass 3: translating " + count(len(p.Probes), "probe"))
	c, spec, err := f.Translate()
	done()
	if err != nil {
		return s.failPass(3, err)
	}
	if Failed(c.Diags, o.Strict) {
		s.report(c.Diags, 3)
		return 1
	}
	s.report(c.Diags, 0)
	s.pass(3, start, "translated to eBPF: %s", summary(c))
	if o.LastPass == 3 {
		if err := ir.Dump(s.stdout, c.Program); err != nil {
			return s.fail(err)
		}
		return s.failed(dumpPrograms(s.stdout, spec))
	}
	start = s.begin()
	var b []byte
	if err = f.Object(c, spec); err == nil {
		b, err = f.Bundle(c, []*Compiled{c})
	}
	if err != nil {
		return s.failPass(4, err)
	}
	s.pass(4, start, "compiled into %q, %d bytes", c.Name+".o", len(b))
	if key != "" {
		if err := s.keep(key, s.seen, b, c.Name); err != nil {
			s.tell(4, "not kept: %v", err)
		}
	}
	if o.KeepTemp {
		if err := s.keepAll(c, func(w io.Writer) error { return dumpPrograms(w, spec) }, b); err != nil {
			return s.fail(err)
		}
	}
	return s.finish(ctx, c.Name, b)
}

// runKept goes on with what a former compilation has left.
func (s *stap) runKept(ctx context.Context, key string, k *kept) int {
	s.f = &Frontend{Config: &s.o.Config, texts: k.Texts}
	s.report(k.Diags, 0)
	if s.o.levels[4] > 0 {
		fmt.Fprintf(s.stderr, "Pass 4: using cached %q.\n", key[:16])
	}
	return s.finish(ctx, k.Name, k.Bundle)
}

// finish is what there is to do with a compiled script: writing it, and running it.
func (s *stap) finish(ctx context.Context, name string, b []byte) int {
	o := s.o
	if o.LastPass == 4 || o.ModuleName != "" {
		if o.SignKey != "" {
			var err error
			if b, err = sign(b, o.SignKey); err != nil {
				return s.fail(fmt.Errorf("--sign-module: %w", err))
			}
		}
		if err := writeFile(name+".o", b); err != nil {
			return s.failPass(4, err)
		}
		if o.LastPass == 4 {
			fmt.Fprintln(s.stdout, name+".o")
			return 0
		}
	}
	return s.execute(ctx, name, b)
}

// tell says with -vv what is going on in a pass.
func (s *stap) tell(pass int, format string, args ...any) {
	if s.o.levels[pass] > 1 {
		fmt.Fprintf(s.stderr, "Pass %d: "+format+".\n", append([]any{pass}, args...)...)
	}
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

// moment is when something began, in real and in processor time.
type moment struct {
	at           time.Time
	user, system time.Duration
}

func (s *stap) begin() moment {
	user, system := times()
	return moment{time.Now(), user, system}
}

// since tells how long something took, as SystemTap's pass lines do.
func (m moment) since() string {
	user, system := times()
	return fmt.Sprintf("%dusr/%dsys/%dreal ms", (user - m.user).Milliseconds(), (system - m.system).Milliseconds(), time.Since(m.at).Milliseconds())
}

// pass tells with -v what a pass did.
func (s *stap) pass(n int, start moment, format string, args ...any) {
	if s.o.levels[n] > 0 {
		fmt.Fprintf(s.stderr, "Pass %d: "+format+"%s in %s.\n", append(append([]any{n}, args...), memoryUse(), start.since())...)
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
	case o.Example && o.ScriptFile != "":
		sc, err := example(o.ScriptFile)
		if err != nil {
			return err
		}
		o.Scripts = []Script{sc}
	case o.ScriptFile != "":
		sc, err := ReadScript(o.ScriptFile, s.stdin)
		if err != nil {
			return err
		}
		o.Scripts = []Script{sc}
	case o.ListOn, o.DumpAlias, o.DumpFuncs:
	case len(o.Extra) == 0:
		//lint:ignore ST1005 the text is SystemTap's
		return errors.New("A script must be specified.\nTry '-i' for building a script interactively.\nTry '--help' for more information.")
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
	if o.Binaries, err = binaries(o.Sysroot, o.download != "no", s.stderr); err != nil {
		return err
	}
	for _, e := range o.sysenv {
		switch name, value, _ := strings.Cut(e, "="); name {
		case "PATH":
			o.Binaries.Search.Path = filepath.SplitList(value)
		case "LD_LIBRARY_PATH":
			o.Binaries.Search.LibraryPath = append([]string{}, filepath.SplitList(value)...)
		}
	}
	o.Binaries.Reading = s.detail.reading
	if s.seen != nil {
		o.Binaries.Search.Seen = s.seen.see
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
	return o.checkArch()
}

// checkArch holds the kernel against -a.
func (o *StapOptions) checkArch() error {
	if o.Arch == "" {
		return nil
	}
	have := "none"
	if o.Target != nil {
		have = o.Target.Arch()
	}
	if have != o.Arch {
		return fmt.Errorf("-a %s: the kernel that the script is compiled for is of %s; give one with -r (staprun --describe writes a description of a host)", o.Arch, have)
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
	s.shown = append(s.shown, ds...)
	var show []diag.Diagnostic
	for _, d := range ds {
		// A note says what was taken on trust, which is what keeps it from running.
		trust := d.Severity == diag.Note && s.f != nil && s.f.Program != nil && s.f.Program.Unresolved
		if d.Severity == diag.Error || d.Severity == diag.Warning && !o.NoWarnings || o.Verbose > 0 && !o.Quiet || trust {
			show = append(show, d)
		}
	}
	src := sourceFunc(source)
	colors := s.colors()
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
		case pass > 1:
			s.passFailed(pass)
		case pass == 1 && !diag.HasErrors(show):
			s.passFailed(1)
		}
	}
	if err != nil {
		fmt.Fprintf(s.stderr, "stap: %v\n", err)
	}
}

type sourceFunc func(string) ([]byte, bool)

// Source returns the text of a file.
func (f sourceFunc) Source(name string) ([]byte, bool) { return f(name) }

// pass1 shows what the parser made of the scripts.
func (s *stap) pass1(start moment) int {
	o := s.o
	if Failed(s.f.Diags, o.Strict) {
		s.report(s.f.Diags, 1)
		return 1
	}
	s.report(s.f.Diags, 0)
	s.pass(1, start, "parsed user script and %d library scripts", s.f.LibraryFiles)
	if o.Dump == "" {
		return s.failed(syntax.DumpP1(s.stdout, s.f.Files...))
	}
	for i, file := range s.f.Files {
		if o.Dump == "source" {
			opt := o.Config.options()
			opt.View = syntax.SourceView
			file = syntax.ParseFile(o.Scripts[i].Name, o.Scripts[i].Text, opt)
		}
		var err error
		switch o.Dump {
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

// dump says what -p2 shows.
func (s *stap) dump() sema.DumpOptions {
	return sema.DumpOptions{Verbose: s.o.levels[2] > 0, NoGlobalDisplay: s.o.NoGlobalDisplay}
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
				if err := sema.DumpP2(&b, p, s.dump()); err != nil {
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
func (s *stap) list(start moment) int {
	o := s.o
	s.pass(1, start, "parsed user script and %d library scripts", s.f.LibraryFiles)
	start = s.begin()
	pattern, vars := o.List, false
	if o.ListVars != "" {
		pattern, vars = o.ListVars, true
	}
	lo := sema.ListOptions{Vars: vars, Verbose: o.levels[2] > 0, JSON: o.JSON}
	var lines []string
	var ds []diag.Diagnostic
	done := s.progress("looking for probe points")
	if len(s.targets) < 2 {
		lines, ds = sema.List(pattern, s.f.semaOptions(), lo)
	} else {
		lines, ds = sema.ListTargets(pattern, s.f.semaOptions(), s.targets, lo)
	}
	done()
	// What is no probe point at all is told, unlike one that there is not. E00 are the
	// codes of the parser.
	if slices.ContainsFunc(ds, func(d diag.Diagnostic) bool {
		return d.Severity == diag.Error && strings.HasPrefix(string(d.Code), "E00")
	}) {
		text := []byte(sema.PatternScript(pattern))
		s.reportWith(ds, 1, func(name string) ([]byte, bool) { return text, name == InputName })
		return 1
	}
	s.pass(2, start, "analyzed script: %s, 0 functions, 0 embeds, 0 globals", count(len(lines), "probe"))
	for _, l := range lines {
		fmt.Fprintln(s.stdout, l)
	}
	if s.blind != nil && slices.ContainsFunc(ds, func(d diag.Diagnostic) bool { return d.Severity == diag.Note }) {
		fmt.Fprintf(s.stderr, "stap: nothing is known of a kernel here, so what it has is not listed; give one with -r (%v)\n", s.blind)
	}
	if len(lines) > 0 {
		return 0
	}
	if o.levels[2] > 0 {
		s.report(ds, 2)
	}
	return 1
}
