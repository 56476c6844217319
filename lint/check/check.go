package check

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"

	"stapkit/config"
	"stapkit/diag"
	"stapkit/lint"
	"stapkit/lint/registry"
	"stapkit/syntax/files"
	"stapkit/target"
)

// Exit codes.
const (
	Clean    = 0 // nothing found that counts
	Findings = 1 // findings as bad as FailOn or worse, or with Diff something to mend
	Failed   = 2 // a file could not be read or written; wrong usage or settings
)

// Formats are the shapes of output, the default first.
var Formats = []string{"text", "gcc", "json", "sarif", "github", "checkstyle"}

// Options say what to do.
type Options struct {
	// Paths are files and folders; "-" is the standard input. None means that as well.
	Paths []string
	// Format is one of Formats.
	Format string
	// FailOn is the mildest severity that counts, FailOnSet that it was given and not to
	// be taken from stapkit.toml.
	FailOn    diag.Severity
	FailOnSet bool
	// Fix applies safe fixes and writes the files, Unsafe the others as well. With Diff
	// nothing is written, and what would change is printed.
	Fix, Unsafe, Diff bool
	// Enable, Disable, Severity and Options add to the settings of stapkit.toml.
	Enable, Disable []string
	Severity        map[string]diag.Severity
	RuleOptions     map[string]map[string]any
	// Baseline is a file of known findings, WriteBaseline one to write.
	Baseline, WriteBaseline string
	// Targets are what scripts are elaborated for, as target.Open takes them; none means
	// those of stapkit.toml.
	Targets []string
	// Fleets are folders with one target each file.
	Fleets []string
	// Includes are further library directories.
	Includes []string
	Guru     bool
	// Tapset: the files are of a library.
	Tapset bool
	// ScriptsOnly passes over named files that are no SystemTap scripts, as it is always
	// done with those found in folders.
	ScriptsOnly bool

	// Stdin is read for "-"; StdinName is its name in messages.
	Stdin     io.Reader
	StdinName string
	// Stdout gets findings, Stderr what goes wrong.
	Stdout, Stderr io.Writer
	Colors         diag.Colors
	ColorDiff      bool
	// Jobs is the number of files linted at once; 0 means one for each processor.
	Jobs int
	// Version is that of the tool, for SARIF.
	Version string
}

// job is one file on its way.
type job struct {
	files.Found

	err    error
	text   []byte // as read, and then as mended
	old    []byte // before it was mended; nil when it was not
	mended int
	other  bool // no SystemTap script
	noTgt  bool
	ds     []diag.Diagnostic
	table  []lint.Breakage
	names  []string // of the targets
	proj   *project
}

// checker is one run of the command.
type checker struct {
	*Options
	rules []*lint.Analyzer

	mu       sync.Mutex
	projects map[string]*project
	envs     map[string]*envs
	targets  map[string]*once[*target.Target]
	given    []*target.Target // of the command line
}

type once[T any] struct {
	sync.Once
	val T
	err error
}

// project is a stapkit.toml, or none.
type project struct {
	*config.Project
	err      error
	settings lint.Settings
	failOn   diag.Severity
	baseline *lint.Baseline
}

// envs are the environments of one way to read scripts, one for each target.
type envs struct {
	once[[]*Env]
}

// Run does it and returns the exit code.
func Run(opt Options) int {
	if opt.Jobs <= 0 {
		opt.Jobs = runtime.GOMAXPROCS(0)
	}
	if opt.Format == "" {
		opt.Format = Formats[0]
	}
	if len(opt.Paths) == 0 {
		opt.Paths = []string{"-"}
	}
	c := &checker{Options: &opt, rules: registry.All(), projects: map[string]*project{}, envs: map[string]*envs{}, targets: map[string]*once[*target.Target]{}}
	defer c.close()
	r := &report{c: c, texts: map[string][]byte{}}
	if err := c.open(); err != nil {
		fmt.Fprintf(opt.Stderr, "staplint: %v\n", err)
		return Failed
	}
	files.Each(opt.Paths, opt.StdinName, opt.Jobs, func(f files.Found) *job { return &job{Found: f, err: f.Err} }, c.work, r.job)
	return r.end()
}

// open opens the targets of the command line, and checks settings that do not depend on
// a project.
func (c *checker) open() error {
	for _, spec := range c.Targets {
		t, err := target.Open(spec)
		if err != nil {
			return fmt.Errorf("target %s: %w", spec, err)
		}
		c.given = append(c.given, t)
	}
	for _, dir := range c.Fleets {
		list, err := target.OpenAll([]string{dir})
		if err != nil {
			return fmt.Errorf("fleet %s: %w", dir, err)
		}
		if len(list) == 0 {
			return fmt.Errorf("fleet %s: there is neither a host description nor a BTF file", dir)
		}
		c.given = append(c.given, list...)
	}
	s := lint.Settings{Enable: c.Enable, Disable: c.Disable, Severity: c.Severity, Options: c.RuleOptions}
	if err := s.Check(c.rules); err != nil {
		return err
	}
	if c.Baseline != "" {
		if _, err := readBaseline(c.Baseline); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) close() {
	for _, t := range c.given {
		_ = t.Close() // read only
	}
	for _, t := range c.targets {
		if t.val != nil {
			_ = t.val.Close()
		}
	}
	for _, e := range c.envs {
		for _, env := range e.val {
			_ = env.Close()
		}
	}
}

// project finds the stapkit.toml that is for a file.
func (c *checker) project(name string) *project {
	file := ""
	if name != files.Stdin {
		file = config.FindProject(filepath.Dir(name))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.projects[file]; p != nil {
		return p
	}
	p := &project{failOn: diag.Warning}
	c.projects[file] = p
	if file != "" {
		p.Project, p.err = config.LoadProject(file)
	}
	if p.Project != nil {
		if err := lint.CheckConfig(p.Lint, c.rules); err != nil {
			p.err = fmt.Errorf("%s: %w", file, err)
			return p
		}
		p.settings = lint.FromConfig(p.Lint)
		if v, ok := lint.ParseSeverity(p.Lint.FailOn); ok {
			p.failOn = v
		}
	}
	base := c.Baseline
	if base == "" && p.Project != nil && p.Lint.Baseline != "" && c.WriteBaseline == "" {
		base = filepath.Join(filepath.Dir(file), p.Lint.Baseline)
	}
	if base != "" {
		p.baseline, p.err = readBaseline(base)
	}
	c.override(&p.settings)
	if c.FailOnSet {
		p.failOn = c.FailOn
	}
	return p
}

// override lets the command line decide over a project's settings.
func (c *checker) override(s *lint.Settings) {
	without := func(list, names []string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(n string) bool { return slices.Contains(names, n) || slices.Contains(names, "all") })
	}
	s.Disable = append(without(s.Disable, c.Enable), c.Disable...)
	s.Enable = append(without(s.Enable, c.Disable), c.Enable...)
	if len(c.Severity) > 0 {
		all := map[string]diag.Severity{}
		for n, v := range s.Severity {
			all[n] = v
		}
		for n, v := range c.Severity {
			all[n] = v
		}
		s.Severity = all
	}
	if len(c.RuleOptions) > 0 {
		all := map[string]map[string]any{}
		for n, v := range s.Options {
			all[n] = v
		}
		for n, opts := range c.RuleOptions {
			merged := map[string]any{}
			for k, v := range all[n] {
				merged[k] = v
			}
			for k, v := range opts {
				merged[k] = v
			}
			all[n] = merged
		}
		s.Options = all
	}
}

func readBaseline(name string) (*lint.Baseline, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("baseline: %w", err)
	}
	b, err := lint.ReadBaseline(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return b, nil
}

// script gives how a file is read: settings of its project, or of its "#!" line.
func (c *checker) script(j *job) config.Script {
	if j.proj.Project == nil {
		return config.Shebang(j.Name, j.text)
	}
	return j.proj.For(j.Name)
}

// environments gives those that a script is elaborated in: one, or one for each target.
func (c *checker) environments(s config.Script) ([]*Env, error) {
	guru := c.Guru || s.Guru
	includes := slices.Concat(c.Includes, s.Include)
	key := fmt.Sprintf("%v\x00%v\x00%s", guru, includes, s.Compatible)
	pinned := len(c.given) == 0
	if pinned {
		for _, t := range s.Targets {
			key += "\x00" + t.Spec + "\x00" + t.Digest
		}
	}
	c.mu.Lock()
	e := c.envs[key]
	if e == nil {
		e = &envs{}
		c.envs[key] = e
	}
	c.mu.Unlock()
	e.Do(func() {
		list := c.given
		if pinned {
			for _, t := range s.Targets {
				one, err := c.pinned(t)
				if err != nil {
					e.err = err
					return
				}
				list = append(list, one)
			}
		}
		if len(list) == 0 {
			list = []*target.Target{nil}
		}
		for _, t := range list {
			env, err := NewEnv(EnvOptions{Target: t, Explicit: t != nil, Includes: includes, Guru: guru, Compatible: s.Compatible})
			if err != nil {
				e.err = err
				return
			}
			e.val = append(e.val, env)
		}
	})
	return e.val, e.err
}

// pinned opens a target of stapkit.toml, whose digest has to be right.
func (c *checker) pinned(t config.Target) (*target.Target, error) {
	c.mu.Lock()
	o := c.targets[t.Spec]
	if o == nil {
		o = &once[*target.Target]{}
		c.targets[t.Spec] = o
	}
	c.mu.Unlock()
	o.Do(func() {
		if o.err = t.Check(); o.err == nil {
			o.val, o.err = target.Open(t.Spec)
		}
	})
	if o.err != nil {
		return nil, fmt.Errorf("target %s: %w", t.Name, o.err)
	}
	return o.val, nil
}

// work reads, lints and mends one file.
func (c *checker) work(j *job) {
	if j.err != nil {
		return
	}
	if j.Source == nil {
		j.text, j.err = files.ReadAll(c.Stdin)
	} else {
		defer j.Source.Close()
		j.text, j.other, j.err = j.Source.Read(j.Listed || c.ScriptsOnly)
	}
	if j.err != nil || j.other {
		return
	}
	if j.proj = c.project(j.Name); j.proj.err != nil {
		j.err = j.proj.err
		return
	}
	s := c.script(j)
	list, err := c.environments(s)
	if err != nil {
		j.err = fmt.Errorf("%s: %w", j.Name, err)
		return
	}
	tapset := c.Tapset || inTapset(j.Name) || j.proj.Project != nil && j.proj.Match(j.proj.Lint.Tapset, j.Name)
	in := Input{Name: j.Name, Text: j.text, Args: s.Args, Guru: s.Guru || c.Guru, Tapset: tapset, Command: s.Command}
	if err := c.lint(j, list, in); err != nil {
		j.err = err
		return
	}
	if (j.Listed || c.ScriptsOnly) && parseErrors(j.ds) && !files.IsScript(j.text) {
		j.other = true
		return
	}
	if !c.Fix && !c.Unsafe {
		return
	}
	for range 20 { // a fix may make room for another
		text, done := lint.Apply(j.Name, in.Text, j.ds, c.Unsafe)
		if len(done) == 0 {
			break
		}
		if j.old == nil {
			j.old = j.text
		}
		j.mended += len(done)
		in.Text, j.text = text, text
		if err := c.lint(j, list, in); err != nil {
			j.err = err
			return
		}
	}
	if j.old != nil && !c.Diff && j.Source != nil {
		if j.err = j.Source.Write(j.text); j.err != nil {
			j.old = nil
		}
	}
}

// lint finds what there is to find in a text.
func (c *checker) lint(j *job, list []*Env, in Input) error {
	var scripts []*lint.Script
	j.names = nil
	for _, e := range list {
		s := e.Script(in)
		scripts = append(scripts, s)
		j.names = append(j.names, s.Name)
	}
	res, table, err := lint.RunAll(scripts, c.rules, j.proj.settings)
	if err != nil {
		return fmt.Errorf("%s: %w", j.Name, err)
	}
	j.ds, j.table, j.noTgt = res.Diags, table, res.NoTarget
	return nil
}

// inTapset reports whether a file lies below a folder called "tapset", as library files do.
func inTapset(name string) bool {
	return slices.Contains(strings.Split(filepath.ToSlash(filepath.Dir(name)), "/"), "tapset")
}

func parseErrors(ds []diag.Diagnostic) bool {
	return slices.ContainsFunc(ds, func(d diag.Diagnostic) bool { return d.Code.Family() == "parse" && d.Severity == diag.Error })
}

// report prints what was found, in the order of the files.
type report struct {
	c       *checker
	failed  bool
	counts  bool // there are findings that count
	changes bool
	others  int
	noTgt   bool
	broken  error
	total   int
	fixable int
	mended  int
	all     []diag.Diagnostic
	table   []lint.Breakage
	names   []string
	texts   map[string][]byte
}

// Source gives the text of a file that findings point into.
func (r *report) Source(name string) ([]byte, bool) {
	if b, ok := r.texts[name]; ok {
		return b, true
	}
	for _, e := range r.c.envs {
		for _, env := range e.val {
			if b, ok := env.Source(name); ok {
				return b, true
			}
		}
	}
	return nil, false
}

func (r *report) keep(err error) {
	if r.broken == nil {
		r.broken = err
	}
}

// out is where findings go: not among a mended standard input.
func (r *report) out(j *job) io.Writer {
	if j != nil && j.Source == nil && (r.c.Fix || r.c.Unsafe) && !r.c.Diff {
		return r.c.Stderr
	}
	return r.c.Stdout
}

func (r *report) job(j *job) {
	c := r.c
	switch {
	case j.other:
		r.others++
		return
	case j.err != nil:
		r.failed = true
		fmt.Fprintf(c.Stderr, "staplint: %v\n", j.err)
		return
	}
	r.texts[j.Name] = j.text
	r.noTgt = r.noTgt || j.noTgt
	if j.old != nil {
		r.changes = true
		r.mended += j.mended
		if c.Diff {
			_, err := c.Stdout.Write(files.Diff(j.Name, j.old, j.text, c.ColorDiff))
			r.keep(err)
		}
	}
	if j.Source == nil && (c.Fix || c.Unsafe) && !c.Diff {
		_, err := c.Stdout.Write(j.text)
		r.keep(err)
	}
	ds := j.ds
	if j.proj.baseline != nil {
		ds = j.proj.baseline.Filter(ds)
	}
	for i := range ds {
		if ds[i].Severity <= j.proj.failOn {
			r.counts = true
		}
		if len(ds[i].Fixes) > 0 {
			r.fixable++
		}
	}
	r.total += len(ds)
	r.table = append(r.table, j.table...)
	if len(j.names) > 1 {
		r.names = j.names
	}
	if c.WriteBaseline != "" {
		r.all = append(r.all, ds...)
		return
	}
	if c.Diff {
		return
	}
	switch c.Format {
	case "text":
		r.keep(diag.Text(r.out(j), ds, r, diag.TextOptions{Colors: c.Colors}))
	case "gcc":
		r.keep(diag.Lines(r.out(j), ds))
	case "json":
		r.keep(diag.JSON(r.out(j), ds))
	case "github":
		r.keep(diag.GitHub(r.out(j), ds, r))
	default:
		r.all = append(r.all, ds...)
	}
}

// end sums up.
func (r *report) end() int {
	c := r.c
	switch {
	case c.WriteBaseline != "":
		var b bytes.Buffer
		r.keep(lint.WriteBaseline(&b, r.all))
		r.keep(os.WriteFile(c.WriteBaseline, b.Bytes(), 0o666))
		r.counts = false
		fmt.Fprintf(c.Stderr, "staplint: %s written to %s\n", count(r.total, "finding"), c.WriteBaseline)
	case c.Diff:
	case c.Format == "sarif":
		r.keep(diag.SARIF(c.Stdout, r.all, r, diag.SARIFOptions{Tool: "staplint", Version: c.Version}))
	case c.Format == "checkstyle":
		r.keep(diag.Checkstyle(c.Stdout, r.all, r))
	case c.Format == "text":
		r.keep(r.breakages())
	}
	if r.others > 0 {
		verb := "are no SystemTap scripts"
		if r.others == 1 {
			verb = "is no SystemTap script"
		}
		fmt.Fprintf(c.Stderr, "staplint: skipped %s that %s\n", count(r.others, "file"), verb)
	}
	if r.noTgt {
		fmt.Fprintln(c.Stderr, "staplint: rules that depend on a kernel are off; --target, --btf, --fleet or targets in stapkit.toml turn them on")
	}
	if r.mended > 0 && !c.Diff {
		fmt.Fprintf(c.Stderr, "staplint: %s mended\n", count(r.mended, "finding"))
	}
	if r.broken != nil {
		fmt.Fprintf(c.Stderr, "staplint: %v\n", r.broken)
		return Failed
	}
	switch {
	case r.failed:
		return Failed
	case c.Diff && r.changes, !c.Diff && r.counts:
		return Findings
	}
	return Clean
}

// breakages writes the table of what breaks where.
func (r *report) breakages() error {
	if len(r.table) == 0 || len(r.names) < 2 {
		return nil
	}
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\nwhat breaks where\t%s\n", strings.Join(r.names, "\t"))
	for _, row := range r.table {
		d := row.Diag
		what, _, _ := strings.Cut(d.Message, " (on ")
		if n := []rune(what); len(n) > 60 {
			what = string(n[:59]) + "…"
		}
		fmt.Fprintf(w, "%s %s %s", d.Range.Start, d.Code, what)
		for _, on := range row.On {
			mark := "ok"
			if on {
				mark = d.Severity.String()
			}
			fmt.Fprintf(w, "\t%s", mark)
		}
		fmt.Fprintln(w)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := r.c.Stdout.Write(b.Bytes())
	return err
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
