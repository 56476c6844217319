// Compile tells how long the compiler takes, from source to bundle, and how much
// memory, for each of our examples and each of SystemTap's that compiles.
//
//	go run ./bench/compile [-kernel 6.12] [-only REGEXP] [-slow N] [-json] [-profile FOLDER]
//
// Each example is compiled in a process of its own: once, which reads what the
// target's types say of it, then a few times more. The times are processor time of
// the quickest of these, so that other work on the machine does not count; the memory
// is the most that was resident in the first round, as a command takes it. With -profile, profiles of each are written, which
// go tool pprof reads: NAME.cpu of the later rounds, NAME.allocs of all.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"stapkit/internal/examples"
	"stapkit/internal/guest"
	"stapkit/target"
)

func main() {
	kernel := flag.String("kernel", "", "compile for this guest's kernel, 6.1 or 6.12; else for the running one")
	slow := flag.Int("slow", 5, "how many of the slowest, and of the largest, are shown")
	asJSON := flag.Bool("json", false, "print one JSON object per line")
	only := flag.String("only", "", "only examples whose name matches `REGEXP`")
	profile := flag.String("profile", "", "write profiles into `FOLDER`")
	one := flag.String("one", "", "compile what this call says (used by the command itself)")
	flag.Parse()
	var err error
	if *one != "" {
		err = single(os.Stdout, *one, *kernel, *profile)
	} else {
		err = all(os.Stdout, *kernel, *only, *profile, *slow, *asJSON)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "compile:", err)
		os.Exit(1)
	}
}

// Result is what an example took.
type Result struct {
	Name  string  `json:"name"`
	First float64 `json:"first"` // ms of processor time, with what is read of the target
	Warm  float64 `json:"warm"`  // ms of processor time
	Wall  float64 `json:"wall"`  // ms of the same round
	MB    float64 `json:"mb"`    // most resident memory of the first round
	KB    int     `json:"kb"`    // of the bundle
	Why   string  `json:"why,omitempty"`
}

func spec(kernel string) (string, error) {
	if kernel == "" {
		return "", nil
	}
	k, err := guest.Find(kernel)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	return guest.Describe(ctx, k, examples.Modules)
}

// single compiles one example and prints its Result. Profiles go to files whose names
// begin with profile, if that is not empty.
func single(w io.Writer, call, spec, profile string) error {
	var c examples.Call
	if err := json.Unmarshal([]byte(call), &c); err != nil {
		return err
	}
	var t *target.Target
	var err error
	if spec == "" {
		t, err = target.Running()
	} else {
		t, err = target.Open(spec)
	}
	if err != nil {
		return err
	}
	defer t.Close()
	const rounds = 4
	r := Result{}
	for i := range rounds {
		if profile != "" && i == 1 {
			f, err := os.Create(profile + ".cpu")
			if err != nil {
				return err
			}
			defer f.Close()
			runtime.SetCPUProfileRate(1000)
			if err := pprof.StartCPUProfile(f); err != nil {
				return err
			}
		}
		start, cpu := time.Now(), processorTime()
		got := c.Compile(t)
		wall, used := ms(time.Since(start)), ms(processorTime()-cpu)
		switch {
		case !got.OK:
			r.Why = got.Why
			return json.NewEncoder(w).Encode(r)
		case i == 0:
			r.First, r.KB = used, (len(got.Bundle)+1023)/1024
			var u unix.Rusage
			if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
				return err
			}
			r.MB = float64(u.Maxrss) / 1024
		case i == 1 || used < r.Warm:
			r.Warm, r.Wall = used, wall
		}
	}
	if profile != "" {
		pprof.StopCPUProfile()
		f, err := os.Create(profile + ".allocs")
		if err != nil {
			return err
		}
		if err := errors.Join(pprof.Lookup("allocs").WriteTo(f, 0), f.Close()); err != nil {
			return err
		}
	}
	return json.NewEncoder(w).Encode(r)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// processorTime is what all threads of the process have used.
func processorTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// ours gives the calls of our own examples, as their headers have them, without what
// is optional.
func ours() (map[string]*examples.Call, error) {
	files, err := filepath.Glob("examples/*.stp")
	if err != nil || len(files) == 0 {
		return nil, errors.Join(err, errors.New("no examples here: run in the repository"))
	}
	dir, err := filepath.Abs("examples")
	if err != nil {
		return nil, err
	}
	calls := map[string]*examples.Call{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		base := filepath.Base(f)
		_, line, ok := strings.Cut(string(text), "# Run:")
		line, _, _ = strings.Cut(line, "\n")
		if !ok {
			return nil, fmt.Errorf("%s: no line that says how it is run", f)
		}
		line, _, _ = strings.Cut(line, "[")
		line = strings.ReplaceAll(line, "examples/"+base, base)
		out, err := exec.Command("sh", "-c", `stap() { for a in "$@"; do printf '%s\0' "$a"; done; }; `+line).Output()
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", f, line, err)
		}
		c := &examples.Call{Dir: dir}
		for a := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
			c.Args = append(c.Args, a)
		}
		calls["ours/"+base] = c
	}
	return calls, nil
}

func all(w io.Writer, kernel, only, profile string, slow int, asJSON bool) error {
	wanted, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	if profile != "" {
		if err := os.MkdirAll(profile, 0o755); err != nil {
			return err
		}
	}
	sp, err := spec(kernel)
	if err != nil {
		return err
	}
	calls, err := ours()
	if err != nil {
		return err
	}
	list, err := examples.List()
	if err != nil {
		return err
	}
	for _, e := range list {
		c, err := e.Call()
		if err != nil {
			return err
		}
		calls[e.Name] = c
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	names := make([]string, 0, len(calls))
	for name := range calls {
		if !wanted.MatchString(name) {
			continue
		}
		names = append(names, name)
	}
	slices.Sort(names)
	var done []Result
	refused := 0
	for _, name := range names {
		call, err := json.Marshal(calls[name])
		if err != nil {
			return err
		}
		cmd := exec.Command(self, "-one", string(call), "-kernel", sp)
		if profile != "" {
			cmd.Args = append(cmd.Args, "-profile", filepath.Join(profile, strings.ReplaceAll(name, "/", "_")))
		}
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		var r Result
		if err := json.Unmarshal(out, &r); err != nil {
			return err
		}
		r.Name = name
		if asJSON {
			if err := json.NewEncoder(w).Encode(r); err != nil {
				return err
			}
		}
		if r.Why != "" || r.KB == 0 {
			refused++
			continue
		}
		done = append(done, r)
	}
	if len(done) == 0 {
		return errors.New("no example compiles")
	}
	if asJSON {
		return nil
	}
	fmt.Fprintf(w, "%d examples, %d more do not compile for this kernel\n", len(done), refused)
	show := func(what string, value func(Result) float64, unit string) {
		slices.SortFunc(done, func(a, b Result) int {
			if value(a) < value(b) {
				return 1
			}
			return -1
		})
		fmt.Fprintf(w, "%s: median %.1f %s, worst %.1f %s\n", what, value(done[len(done)/2]), unit, value(done[0]), unit)
		for _, r := range done[:min(slow, len(done))] {
			fmt.Fprintf(w, "  %8.1f %s  %s\n", value(r), unit, r.Name)
		}
	}
	show("warm", func(r Result) float64 { return r.Warm }, "ms")
	show("first", func(r Result) float64 { return r.First }, "ms")
	show("memory", func(r Result) float64 { return r.MB }, "MB")
	return nil
}
