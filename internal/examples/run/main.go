//go:build linux

// Command run compiles SystemTap's example scripts for several kernels and runs what
// compiles for some seconds, as their .meta files say:
//
//	go run ./internal/examples/run -on native,6.12,6.1 -out build/examples
//
// Kernels are worked on at the same time. What became of each example is kept in a file
// below the folder, and taken from there as long as the bundle, the kernel and the loader
// are the same; so a run that was broken off goes on where it was. A guest that dies is
// booted again, and the example that it died of is tried once more.
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

	"stapkit/internal/examples"
	"stapkit/internal/guest"
	"stapkit/internal/standins"
	"stapkit/target"
)

func main() {
	r := runner{}
	on := flag.String("on", "native,6.12,6.1", "`KERNELS` to run them on")
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
	flag.BoolVar(&r.rest, "rest", false, "run only those that, by what is kept, were loaded on no kernel yet")
	flag.BoolVar(&r.report, "report", false, "run nothing, report what is kept")
	flag.BoolVar(&r.verbose, "v", false, "a line for each example and kernel as it is done, and all errors at the end")
	flag.Parse()
	if err := r.all(context.Background(), strings.Split(*on, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "examples:", err)
		os.Exit(1)
	}
}

type runner struct {
	only, not, out, with, doc                           string
	seconds                                             int
	compile, fresh, retry, stale, rest, report, verbose bool

	programs string // the folder of the stand-ins, "" if they could not be built
	missing  error  // why

	mu      sync.Mutex
	results map[string]map[string]*outcome // by kernel and example
}

// outcome is what became of an example on a kernel.
type outcome struct {
	Key       string // what it depends on
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
	for i, k := range kernels {
		r.results[k] = map[string]*outcome{}
		wg.Go(func() {
			if err := r.on(ctx, k, todo); err != nil {
				errs[i] = fmt.Errorf("%s: %w", k, err)
			}
		})
	}
	wg.Wait()
	s := r.summary(kernels, todo)
	s.print(os.Stdout, r.verbose)
	if r.doc != "" {
		errs = append(errs, s.write(r.doc))
	}
	if s.complete && len(s.ours) > most {
		errs = append(errs, fmt.Errorf("%d examples are refused for reasons of ours, more than %d", len(s.ours), most))
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
		fmt.Printf("%s %s: %s\n", kernel, e.Name, what)
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

// on compiles and runs the examples on a kernel.
func (r *runner) on(ctx context.Context, kernel string, todo []examples.Example) error {
	if r.report {
		for _, e := range todo {
			if o := r.load(kernel, e); o != nil {
				r.results[kernel][e.Name] = o
			}
		}
		return nil
	}
	p, err := r.place(ctx, kernel)
	if err != nil {
		return err
	}
	defer func() {
		if p != nil {
			_ = p.Close() // a guest may be gone already
		}
	}()
	for _, e := range todo {
		if r.rest && r.loadedElsewhere(kernel, e) {
			continue
		}
		res := examples.Compile(e, p.Target, p.Binaries)
		if !res.OK || res.ParseOnly || r.compile {
			o := &outcome{Stage: res.Stage, OK: res.OK, ParseOnly: res.ParseOnly, Why: res.Why}
			if err := r.keep(kernel, e, o); err != nil {
				return err
			}
			continue
		}
		key := sum(append(res.Bundle, fmt.Sprintf("%q %s", examples.Args(e, r.seconds), p.Release)...))
		if o := r.load(kernel, e); o != nil && o.Key == key && (r.stale || o.Loader == p.Loader) && !r.fresh && (o.OK || !r.retry) {
			if err := r.keep(kernel, e, o); err != nil {
				return err
			}
			continue
		}
		o := &outcome{Key: key, Loader: p.Loader, Stage: examples.Loaded}
		var ran examples.Ran
		for try := 0; ; try++ {
			ran, err = p.Run(ctx, e, res.Bundle, r.seconds)
			if err == nil {
				break
			}
			fmt.Printf("%s: %v\n", kernel, lastLines(err.Error(), 6))
			_ = p.Close()
			if p, err = r.place(ctx, kernel); err != nil {
				p = nil
				return err
			}
			if try > 0 {
				ran = examples.Ran{Why: "the guest died of it, or did not answer, twice"}
				o.Died = true
				break
			}
		}
		o.OK, o.Why, o.Errors, o.Code, o.Stdout, o.Stderr = ran.OK, ran.Why, ran.Errors, ran.Code, short(ran.Stdout), short(ran.Stderr)
		if err := r.keep(kernel, e, o); err != nil {
			return err
		}
	}
	return nil
}

// loadedElsewhere tells whether another kernel is known to take an example.
func (r *runner) loadedElsewhere(kernel string, e examples.Example) bool {
	others, err := filepath.Glob(filepath.Join(r.out, "*", filepath.Base(r.kept(kernel, e))+".json"))
	if err != nil {
		return false
	}
	return slices.ContainsFunc(others, func(name string) bool {
		k := filepath.Base(filepath.Dir(name))
		o := r.load(k, e)
		return k != kernel && o != nil && o.OK
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
	complete bool // everything was tried everywhere
	counts   map[string]*counts

	ours, gone, programs []refusal
	died                 []string
	parsed               int
	looked, odd          []string
}

type counts struct{ elaborated, compiled, loaded, clean int }

type refusal struct{ name, why string }

func (r *runner) summary(kernels []string, todo []examples.Example) *summary {
	s := &summary{kernels: kernels, todo: todo, results: r.results, compile: r.compile, complete: r.only == "" && r.not == "" && !r.rest, counts: map[string]*counts{"any": {}}}
	for _, k := range kernels {
		s.counts[k] = &counts{}
	}
	for _, e := range todo {
		var best *outcome
		where := ""
		parsed := false
		for _, k := range kernels {
			o := r.results[k][e.Name]
			if o == nil {
				s.complete = false
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
		if best == nil {
			continue
		}
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
	return strings.Contains(first, "[E1800]")
}

// needsProgram tells whether a script probes a program that is not here.
func needsProgram(why string) bool {
	first, _, _ := strings.Cut(why, "\n")
	return strings.Contains(first, "no file fits") || strings.Contains(first, "there is no file") || strings.Contains(first, ": not found in ")
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
	list("about kernel functions or tracepoints that none of the kernels has, which the tools say", s.gone)
	list("about programs that are not here", s.programs)
	list("refused for a reason of ours", s.ours)
	for _, d := range s.died {
		fmt.Fprintf(w, "the guest died twice: %s\n", d)
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

Written by make examples; see [incompatibilities.md](incompatibilities.md) for what is refused and
why. Each of the %d scripts of Debian's systemtap-doc is compiled with the command of its .meta
file for each kernel and run there for %s. %d of them are to be parsed only, as their commands say.

| kernel | elaborated | compiled | loaded and ran | without an error of a handler |
| --- | ---: | ---: | ---: | ---: |
`

// write writes the table of all examples.
func (s *summary) write(name string) error {
	var b strings.Builder
	fmt.Fprintf(&b, docHead, len(s.todo), "some seconds", s.parsed)
	for _, k := range append(slices.Clone(s.kernels), "any") {
		c := s.counts[k]
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d |\n", label(k), c.elaborated, c.compiled, c.loaded, c.clean)
	}
	fmt.Fprintf(&b, "\nOf those that run nowhere, %d are about functions or tracepoints that no kernel of today has, which\n"+
		"the tools say and name what replaces them; %d about programs that are not here; %d are refused for a\nreason of ours.\n\n",
		len(s.gone), len(s.programs), len(s.ours))
	fmt.Fprintf(&b, "`looked at` are those whose output was read and is held against a pattern: %d.\n\n", len(s.looked))
	fmt.Fprint(&b, "| example |")
	for _, k := range s.kernels {
		fmt.Fprintf(&b, " %s |", label(k))
	}
	fmt.Fprint(&b, " output |\n| --- |"+strings.Repeat(" --- |", len(s.kernels)+1)+"\n")
	for _, e := range s.todo {
		fmt.Fprintf(&b, "| `%s` |", e.Name)
		for _, k := range s.kernels {
			fmt.Fprintf(&b, " %s |", cell(s.results[k][e.Name]))
		}
		looked := ""
		if slices.Contains(s.looked, e.Name) {
			looked = "looked at"
		}
		fmt.Fprintf(&b, " %s |\n", looked)
	}
	return os.WriteFile(name, []byte(b.String()), 0o644)
}

func label(kernel string) string {
	if kernel == examples.Native {
		return "6.18"
	}
	return kernel
}

var code = regexp.MustCompile(`\[([ER]\d+)\]`)

func cell(o *outcome) string {
	switch {
	case o == nil:
		return "not tried"
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
