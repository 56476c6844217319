//go:build linux

// Command run compiles SystemTap's example scripts for several kernels and runs what
// compiles for some seconds, as their .meta files say:
//
//	go run ./internal/examples/run -on native,6.1,6.12 -out build/examples
//
// Each example is run on the first of the kernels that takes it: the next gets what the
// one before refused, while that goes on. With -all every kernel gets them all. What
// became of each example is kept in a file below the folder, and taken from there as long
// as the bundle, the kernel and the loader are the same; so a run that was broken off goes
// on where it was. A guest that dies is booted again, and the example that it died of is
// tried once more.
//
// A run of all of them holds what no kernel takes against docs/incompatibilities.md, in
// both directions.
//
// The programs that examples probe and that machines seldom have, such as php with its
// marks, are stood in for by programs with the same marks (package standins), which are
// laid over /usr for this command only.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"stapkit/internal/examples"
	"stapkit/internal/guest"
	"stapkit/internal/standins"
	"stapkit/target"
)

func main() {
	r := runner{}
	on := flag.String("on", "native,6.1,6.12", "`KERNELS` to run them on, in this order")
	flag.StringVar(&r.only, "only", "", "only examples whose name matches `REGEXP`")
	flag.StringVar(&r.not, "not", "", "no examples whose name matches `REGEXP`")
	flag.StringVar(&r.out, "out", "build/examples", "keep what became of them in `FOLDER`")
	flag.StringVar(&r.with, "with", "", "`COMMAND` to run the loader with on this machine")
	flag.StringVar(&r.doc, "doc", "", "write the table of all to `FILE`")
	flag.IntVar(&r.seconds, "T", 2, "how many `SECONDS` each runs")
	flag.BoolVar(&r.compile, "p4", false, "compile only")
	flag.BoolVar(&r.fresh, "fresh", false, "run all again, whatever is kept")
	flag.BoolVar(&r.retry, "retry", false, "run those that failed again")
	flag.BoolVar(&r.stale, "stale", false, "take what is kept from other builds of the loader, too")
	flag.BoolVar(&r.rest, "rest", false, "leave out what, by what is kept, some kernel takes")
	flag.BoolVar(&r.every, "all", false, "run every example on every kernel")
	flag.BoolVar(&r.report, "report", false, "run nothing, report what is kept")
	flag.BoolVar(&r.verbose, "v", false, "a line for each example and kernel as it is done, and all errors at the end")
	flag.Parse()
	if err := r.all(context.Background(), strings.Split(*on, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "examples:", err)
		os.Exit(1)
	}
}

type runner struct {
	only, not, out, with, doc                                  string
	seconds                                                    int
	compile, fresh, retry, stale, rest, every, report, verbose bool

	programs string // the folder of the stand-ins, "" if they could not be built
	missing  error  // why

	mu      sync.Mutex
	results map[string]map[string]*outcome // by kernel and example
}

// outcome is what became of an example on a kernel.
type outcome struct {
	Key       string // what it depends on
	Release   string // of the kernel
	Loader    string
	Stage     examples.Stage // how far it came: Elaborated and so on is done, if OK or if a later one failed
	OK        bool           // it was loaded, or only parsing was asked for
	ParseOnly bool
	Why       string // why not
	Died      bool   // with the guest, twice
	Errors    bool   // it ended with an error of a handler
	Code      int
	Stdout    string
	Stderr    string
}

// inside is set in the environment of the process that has the stand-ins.
const inside = "STAPKIT_STANDINS"

func (r *runner) all(ctx context.Context, kernels []string) error {
	pattern, err := regexp.Compile(r.only)
	if err != nil {
		return err
	}
	without, err := regexp.Compile(r.not)
	if err != nil {
		return err
	}
	if r.out, err = filepath.Abs(r.out); err != nil {
		return err
	}
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return err
	}
	if done, err := r.standIns(ctx); done || err != nil {
		return err
	}
	list, err := examples.List()
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return fmt.Errorf("there are no examples here: install systemtap-doc")
	}
	var todo []examples.Example
	for _, e := range list {
		if pattern.MatchString(e.Name) && (r.not == "" || !without.MatchString(e.Name)) {
			todo = append(todo, e)
		}
	}
	r.results = map[string]map[string]*outcome{}
	var wg sync.WaitGroup
	errs := make([]error, len(kernels))
	// Queues that can hold them all: no kernel waits for the next.
	queues := make([]chan examples.Example, len(kernels)+1)
	for i := range queues {
		queues[i] = make(chan examples.Example, len(todo))
	}
	for _, e := range todo {
		if !r.rest || !r.taken(e) {
			queues[0] <- e
		}
	}
	close(queues[0])
	for i, k := range kernels {
		r.results[k] = map[string]*outcome{}
		wg.Go(func() {
			defer close(queues[i+1])
			if err := r.on(ctx, k, queues[i], queues[i+1]); err != nil {
				errs[i] = fmt.Errorf("%s: %w", k, err)
				for e := range queues[i] {
					queues[i+1] <- e
				}
			}
		})
	}
	wg.Wait()
	s := r.summary(kernels, todo)
	s.print(os.Stdout, r.verbose)
	if s.complete {
		errs = append(errs, s.judge())
		if r.doc != "" {
			errs = append(errs, s.write(r.doc))
		}
	}
	return errors.Join(errs...)
}

// judge says what is wrong with a run of all examples.
func (s *summary) judge() error {
	var errs []error
	if len(s.ours) > most {
		errs = append(errs, fmt.Errorf("%d examples are refused for reasons of ours, more than %d", len(s.ours), most))
	}
	listed, err := examples.Listed(examples.Document)
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	for _, r := range slices.Concat(s.gone, s.programs, s.templates, s.ours) {
		if _, ok := listed[r.name]; !ok {
			why, _, _ := strings.Cut(r.why, "\n")
			errs = append(errs, fmt.Errorf("%s runs nowhere, and %s does not list it: %s", r.name, examples.Document, why))
		}
		delete(listed, r.name)
	}
	for name, why := range listed {
		// What needs a program is refused where that is not, and runs here at a stand-in.
		if !strings.HasPrefix(why.Why, examples.Needs) {
			errs = append(errs, fmt.Errorf("%s lists %s (%s), which runs", examples.Document, name, why.Why))
		}
	}
	return errors.Join(errs...)
}

// most is how many examples may be refused for a reason of ours.
const most = 16

// standIns builds the programs that stand in for others and goes on in a process that has
// them in their places; done tells that this process has nothing more to do.
func (r *runner) standIns(ctx context.Context) (done bool, err error) {
	dir := filepath.Join(r.out, "programs")
	if r.missing = standins.Build(ctx, dir); r.missing != nil {
		return false, nil
	}
	r.programs = dir
	if os.Getenv(inside) != "" {
		return false, nil
	}
	if os.Getuid() != 0 {
		r.missing = errors.New("laying them over /usr needs root")
		return false, nil
	}
	self, err := os.Executable()
	if err != nil {
		return false, err
	}
	policy := filepath.Join(dir, examples.PolicyFile)
	if err := errors.Join(os.MkdirAll(filepath.Dir(policy), 0o755), os.WriteFile(policy, []byte(examples.Policy), 0o644)); err != nil {
		return false, err
	}
	args := standins.With(dir, append([]string{self}, os.Args[1:]...)...)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), inside+"=1")
	// The emulator is stood in for, too.
	if emulator, err := guest.Emulator(); err == nil {
		cmd.Env = append(cmd.Env, guest.EmulatorEnv+"="+filepath.Join(standins.Host(dir), emulator))
	}
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		os.Exit(exit.ExitCode())
	}
	return true, err
}

// kept is the file of an example on a kernel.
func (r *runner) kept(kernel string, e examples.Example) string {
	return filepath.Join(r.out, kernel, strings.ReplaceAll(strings.TrimSuffix(e.Name, ".stp"), "/", "."))
}

func (r *runner) load(kernel string, e examples.Example) *outcome {
	data, err := os.ReadFile(r.kept(kernel, e) + ".json")
	o := &outcome{}
	if err != nil || json.Unmarshal(data, o) != nil {
		return nil
	}
	return o
}

func (r *runner) keep(kernel string, e examples.Example, o *outcome) error {
	r.mu.Lock()
	r.results[kernel][e.Name] = o
	r.mu.Unlock()
	if r.verbose {
		what := "ran"
		switch {
		case o.ParseOnly:
			what = "parsed"
		case !o.OK:
			what, _, _ = strings.Cut(o.Stage.String()+": "+o.Why, "\n")
		case o.Errors:
			what = "ran, error"
		}
		fmt.Printf("%s %s %s: %s\n", time.Now().Format(time.TimeOnly), kernel, e.Name, what)
	}
	if r.compile {
		return nil
	}
	data, err := json.MarshalIndent(o, "", "\t")
	if err != nil {
		return err
	}
	name := r.kept(kernel, e)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	text := fmt.Sprintf("%s on %s, status %d\n%s\n--- output\n%s\n--- errors\n%s", e.Name, kernel, o.Code, o.Why, o.Stdout, o.Stderr)
	return errors.Join(os.WriteFile(name+".json", data, 0o644), os.WriteFile(name+".txt", []byte(text), 0o644))
}

// on compiles and runs the examples of a queue on a kernel, and hands on those that the
// next kernel is to get.
func (r *runner) on(ctx context.Context, kernel string, todo <-chan examples.Example, next chan<- examples.Example) error {
	var p *examples.Place
	defer func() {
		if p != nil {
			_ = p.Close() // a guest may be gone already
		}
	}()
	for e := range todo {
		var o *outcome
		switch {
		case r.report:
			if o = r.load(kernel, e); o != nil {
				r.mu.Lock()
				r.results[kernel][e.Name] = o
				r.mu.Unlock()
			}
		default:
			var err error
			if p == nil {
				p, err = r.place(ctx, kernel)
			}
			if err == nil {
				o, err = r.one(ctx, kernel, e, &p)
			}
			if err == nil {
				err = r.keep(kernel, e, o)
			}
			if err != nil {
				next <- e
				return err
			}
		}
		if r.every || o == nil || !o.OK {
			next <- e
		}
	}
	return nil
}

// one compiles and runs an example. The place is another one after a guest has died.
func (r *runner) one(ctx context.Context, kernel string, e examples.Example, p **examples.Place) (*outcome, error) {
	res := examples.Compile(e, *p)
	if !res.OK || res.ParseOnly || r.compile {
		return &outcome{Release: (*p).Release, Stage: res.Stage, OK: res.OK, ParseOnly: res.ParseOnly, Why: res.Why}, nil
	}
	key := sum(append(res.Bundle, fmt.Sprintf("%q %s", examples.Args(e, r.seconds), (*p).Release)...))
	if o := r.load(kernel, e); o != nil && o.Key == key && (r.stale || o.Loader == (*p).Loader) && !r.fresh && (o.OK || !r.retry) {
		return o, nil
	}
	o := &outcome{Key: key, Release: (*p).Release, Loader: (*p).Loader, Stage: examples.Loaded}
	var ran examples.Ran
	for try := 0; ; try++ {
		var err error
		ran, err = (*p).Run(ctx, e, res.Bundle, r.seconds)
		if err == nil {
			break
		}
		fmt.Printf("%s: %v\n", kernel, lastLines(err.Error(), 6))
		_ = (*p).Close()
		slow := errors.Is(err, guest.ErrSlow)
		if *p, err = r.place(ctx, kernel); err != nil {
			*p = nil
			return nil, err
		}
		if slow {
			ran = examples.Ran{Why: "the guest computed for too long"}
			o.Died = true
			break
		}
		if try > 0 {
			ran = examples.Ran{Why: "the guest died of it, or did not answer, twice"}
			o.Died = true
			break
		}
	}
	o.OK, o.Why, o.Errors, o.Code, o.Stdout, o.Stderr = ran.OK, ran.Why, ran.Errors, ran.Code, short(ran.Stdout), short(ran.Stderr)
	return o, nil
}

// taken tells whether some kernel is known to take an example.
func (r *runner) taken(e examples.Example) bool {
	found, err := filepath.Glob(filepath.Join(r.out, "*", filepath.Base(r.kept("", e))+".json"))
	if err != nil {
		return false
	}
	return slices.ContainsFunc(found, func(name string) bool {
		o := r.load(filepath.Base(filepath.Dir(name)), e)
		return o != nil && o.OK
	})
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:16])
}

// short is what is kept of an output.
func short(s string) string {
	const most = 100_000
	if len(s) > most {
		return s[:most] + "\n… cut …\n"
	}
	return s
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	if len(lines) > n+1 {
		lines = append(lines[:1:1], lines[len(lines)-n:]...)
	}
	return strings.Join(lines, "\n    ")
}

func (r *runner) place(ctx context.Context, kernel string) (*examples.Place, error) {
	if kernel == examples.Native {
		staprun := filepath.Join(r.out, "staprun")
		if b, err := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", staprun, "stapkit/cmd/staprun").CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%w\n%s", err, b)
		}
		return examples.Here(append(strings.Fields(r.with), staprun)...)
	}
	if !r.compile {
		// On a busy machine an emulator now and then does not come up.
		for try := 0; ; try++ {
			p, err := examples.There(ctx, kernel, true, r.programs)
			var absent *guest.MissingError
			if err == nil || errors.As(err, &absent) || try == 2 {
				return p, err
			}
			fmt.Printf("%s: %v\n", kernel, lastLines(err.Error(), 6))
		}
	}
	k, err := guest.Find(kernel)
	if err != nil {
		return nil, err
	}
	desc, err := guest.Describe(ctx, k, examples.Modules)
	if err != nil {
		return nil, err
	}
	t, err := target.Open(desc)
	if err != nil {
		return nil, err
	}
	binaries, err := examples.Debug(kernel)
	var absent *guest.MissingError
	if err != nil && !errors.As(err, &absent) {
		return nil, errors.Join(err, t.Close())
	}
	return &examples.Place{Name: kernel, Release: k.Release, Target: t, Binaries: binaries}, nil
}

// summary is what is counted.
type summary struct {
	kernels  []string
	todo     []examples.Example
	results  map[string]map[string]*outcome
	compile  bool
	complete bool // each ran somewhere, or was tried everywhere
	counts   map[string]*counts

	best map[string]place // by example: where it came furthest

	ours, gone, programs, templates []refusal
	died                            []string
	parsed                          int
	looked, odd                     []string
}

type counts struct{ elaborated, compiled, loaded, clean int }

type refusal struct{ name, why string }

type place struct {
	kernel string
	*outcome
}

func (r *runner) summary(kernels []string, todo []examples.Example) *summary {
	s := &summary{kernels: kernels, todo: todo, results: r.results, compile: r.compile, complete: r.only == "" && r.not == "" && !r.rest, counts: map[string]*counts{"any": {}}, best: map[string]place{}}
	for _, k := range kernels {
		s.counts[k] = &counts{}
	}
	for _, e := range todo {
		var best *outcome
		where := ""
		parsed, missing := false, false
		for _, k := range kernels {
			o := r.results[k][e.Name]
			if o == nil {
				missing = true
				continue
			}
			parsed = parsed || o.ParseOnly
			s.counts[k].add(o)
			if o.Died {
				s.died = append(s.died, e.Name+" on "+k)
			}
			if best == nil || better(o, best) {
				best, where = o, k
			}
		}
		s.complete = s.complete && best != nil && (best.OK || !missing)
		if best == nil {
			continue
		}
		s.best[e.Name] = place{where, best}
		s.counts["any"].add(best)
		if parsed {
			s.parsed++
			continue
		}
		if !best.OK {
			s.refused(e, where, best)
			continue
		}
		if re := examples.Outputs()[e.Name]; re != nil && !r.compile {
			fits := slices.ContainsFunc(kernels, func(k string) bool {
				o := r.results[k][e.Name]
				return o != nil && o.OK && re.MatchString(o.Stdout)
			})
			if fits {
				s.looked = append(s.looked, e.Name)
			} else {
				s.odd = append(s.odd, e.Name)
			}
		}
	}
	return s
}

// better tells whether a came further than b.
func better(a, b *outcome) bool {
	if a.OK != b.OK {
		return a.OK
	}
	if !a.OK && a.Stage != b.Stage {
		return a.Stage > b.Stage
	}
	return a.OK && b.Errors && !a.Errors
}

func (c *counts) add(o *outcome) {
	if o.OK || o.Stage > examples.Elaborated {
		c.elaborated++
	}
	if o.OK || o.Stage > examples.Compiled {
		c.compiled++
	}
	if o.OK {
		c.loaded++
		if !o.Errors {
			c.clean++
		}
	}
}

// refused sorts an example that runs nowhere: by what its furthest run says.
func (s *summary) refused(e examples.Example, where string, o *outcome) {
	r := refusal{e.Name, where + ": " + o.Stage.String() + ": " + o.Why}
	switch {
	case o.Stage == examples.Parsed:
		s.templates = append(s.templates, r)
	case goneFrom(o.Why):
		s.gone = append(s.gone, r)
	case needsProgram(o.Why):
		s.programs = append(s.programs, r)
	default:
		s.ours = append(s.ours, r)
	}
}

// goneFrom tells whether the tools say of the names that a script probes that no kernel
// of today has them, and what replaces them.
func goneFrom(why string) bool {
	first, _, _ := strings.Cut(why, "\n")
	return strings.Contains(first, "[E1800]") || strings.Contains(first, "[E1801]")
}

// needsProgram tells whether a script probes a program, or a counter of the processor, that
// is not here.
func needsProgram(why string) bool {
	first, _, _ := strings.Cut(why, "\n")
	return strings.Contains(first, "no file fits") || strings.Contains(first, "there is no file") || strings.Contains(first, ": not found in ") || strings.Contains(first, "no such hardware counter")
}

func (s *summary) print(w *os.File, all bool) {
	list := func(title string, rs []refusal) {
		fmt.Fprintf(w, "%s: %d\n", title, len(rs))
		for _, r := range rs {
			why := r.why
			if !all {
				if why, _, _ = strings.Cut(why, "\n"); len(why) > 300 {
					why = why[:300] + "…"
				}
			}
			fmt.Fprintf(w, "    %s: %s\n", r.name, why)
		}
	}
	list("about kernel functions, tracepoints or members that none of the kernels has, which the tools say", s.gone)
	list("about programs that are not here", s.programs)
	list("that are no scripts, but forms to be filled in", s.templates)
	list("refused for a reason of ours", s.ours)
	for _, d := range s.died {
		fmt.Fprintf(w, "the guest died twice, or computed for too long: %s\n", d)
	}
	for _, name := range s.odd {
		fmt.Fprintf(w, "printed something else than was looked at: %s\n", name)
	}
	fmt.Fprintf(w, "%d examples, of which %d are to be parsed only\n", len(s.todo), s.parsed)
	for _, k := range append(slices.Clone(s.kernels), "any") {
		c := s.counts[k]
		fmt.Fprintf(w, "%-7s %3d elaborated, %3d compiled", k, c.elaborated, c.compiled)
		if !s.compile {
			fmt.Fprintf(w, ", %3d loaded and ran, %3d of them without an error of a handler", c.loaded, c.clean)
		}
		fmt.Fprintln(w)
	}
	if !s.compile {
		fmt.Fprintf(w, "%d outputs are as they were looked at, %d are not\n", len(s.looked), len(s.odd))
	}
}

const docHead = `# SystemTap's examples, as they run here

Written by make examples (with -doc); [incompatibilities.md](incompatibilities.md) says why what is
refused is. Each of the %d scripts of Debian's systemtap-doc is compiled as the command of its
.meta file says and run for some seconds on the first of these kernels that takes it: %s.

| | |
| --- | ---: |
| loaded and ran | %d |
| of these without an error of a handler | %d |
| to be parsed only, as their commands say | %d |
| about functions, tracepoints or members of structures that no kernel of today has, which the tools say, with what replaces them | %d |
| about programs that are not here | %d |
| no scripts, but forms to be filled in | %d |
| refused for a reason of ours | %d |
| whose output was looked at | %d |

The last are those whose output was read, beside what SystemTap's documentation shows of it where it
does, and is held against a pattern at each run. Programs that machines seldom have, such as a PHP with
marks, are stood in for by small ones with the same marks and functions.

| example | Linux | what became of it | output |
| --- | --- | --- | --- |
`

// write writes the table of all examples.
func (s *summary) write(name string) error {
	var b strings.Builder
	var labels []string
	for _, k := range s.kernels {
		labels = append(labels, s.label(k))
	}
	c := s.counts["any"]
	fmt.Fprintf(&b, docHead, len(s.todo), strings.Join(labels, ", "), c.loaded-s.parsed, c.clean-s.parsed, s.parsed,
		len(s.gone), len(s.programs), len(s.templates), len(s.ours), len(s.looked))
	for _, e := range s.todo {
		p := s.best[e.Name]
		looked := ""
		if slices.Contains(s.looked, e.Name) {
			looked = "looked at"
		}
		kernel := s.label(p.kernel)
		if !p.OK || p.ParseOnly {
			kernel = ""
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", e.Name, kernel, cell(p.outcome), looked)
	}
	return os.WriteFile(name, []byte(b.String()), 0o644)
}

// label is the kernel's version.
func (s *summary) label(kernel string) string {
	for _, o := range s.results[kernel] {
		if v := strings.SplitN(o.Release, ".", 3); len(v) > 1 {
			return v[0] + "." + v[1]
		}
	}
	return kernel
}

var code = regexp.MustCompile(`\[([ER]\d+)\]`)

func cell(o *outcome) string {
	switch {
	case o.ParseOnly:
		return "parsed"
	case o.OK && o.Errors:
		return "ran, with an error"
	case o.OK:
		return "ran"
	}
	what := "not " + map[examples.Stage]string{examples.Parsed: "parsed", examples.Elaborated: "elaborated", examples.Compiled: "compiled", examples.Loaded: "loaded"}[o.Stage]
	if m := code.FindStringSubmatch(o.Why); m != nil {
		what += ": " + m[1]
	}
	return what
}
