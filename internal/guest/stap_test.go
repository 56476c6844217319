//go:build linux

package guest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"stapkit/internal/families"
	"stapkit/target"
	"stapkit/target/elf"
)

// script is run in the guest.
type script families.Script

// system is a guest with the commands, and a description of it for the compiler. All tests
// share one for each kernel.
type system struct {
	*Guest
	dir  string // here
	desc string // file here
	// known are the addresses that addresses has asked for.
	known map[string]string
	ran   atomic.Int64 // scripts
}

// compiler is how scripts are compiled for a system.
type compiler struct {
	*system
	debug *Debug   // nil unless with the kernel's debugging information
	more  []string // options
}

// tools are built once for all guests: stap for here, stap, staprun and trigger
// for there.
var tools = map[string]func() (map[string][]byte, error){"amd64": toolsFor("amd64"), "arm64": toolsFor("arm64")}

func toolsFor(arch string) func() (map[string][]byte, error) {
	return sync.OnceValues(func() (map[string][]byte, error) {
		out := map[string][]byte{}
		for _, pkg := range []string{"cmd/stap", "cmd/staprun", "internal/guest/trigger"} {
			data, err := build(context.Background(), "stapkit/"+pkg, arch)
			if err != nil {
				return nil, err
			}
			out[filepath.Base(pkg)] = data
		}
		return out, nil
	})
}

// described are the modules of these guests.
var described = []string{"overlay", "fuse", "vsock_loopback"}

// policy is what the operator of these guests permits: scripts in guru mode do there what
// a host without a policy refuses.
const policy = `allow_unsigned = true

[[allow]]
rights = ["override", "signal", "system", "verdict", "write"]
`

// systems are those that have been booted: booting one and having it describe itself take
// as long as a dozen scripts.
var systems struct {
	sync.Mutex
	boots map[string]func() (*system, error)
	list  []*system
}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, s := range systems.list {
		if err := s.close(); err != nil {
			fmt.Println(err)
			code = 1
		}
	}
	os.Exit(code)
}

func (s *system) close() error { return errors.Join(s.Close(), os.RemoveAll(s.dir)) }

// sharedSystem gives the guest with the kernel in which scripts can be run. Its first user
// boots it.
func sharedSystem(t *testing.T, kernel string) *system {
	t.Helper()
	systems.Lock()
	if systems.boots == nil {
		systems.boots = map[string]func() (*system, error){}
	}
	if systems.boots[kernel] == nil {
		systems.boots[kernel] = sync.OnceValues(func() (*system, error) { return bootSystem(kernel) })
	}
	start := systems.boots[kernel]
	systems.Unlock()
	s, err := start()
	if absent := (*MissingError)(nil); errors.As(err, &absent) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sharing waits until no other process has guests that it shares, for as long as this one runs:
// with one of two places each, two would wait for each other.
var sharing = sync.OnceValues(func() (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(os.TempDir(), fmt.Sprintf("stapkit-guests-%d", os.Getuid())), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	return f, syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
})

func bootSystem(kernel string) (*system, error) {
	k, err := Find(kernel)
	if err != nil {
		return nil, err
	}
	if _, err := k.Emulator(); err != nil {
		return nil, err
	}
	if _, err := sharing(); err != nil {
		return nil, err
	}
	progs, err := tools[k.Arch]()
	if err != nil {
		return nil, err
	}
	here, err := tools[runtime.GOARCH]()
	if err != nil {
		return nil, err
	}
	o := Options{Modules: described, Files: []File{given, {Path: "/etc/stapkit/policy.toml", Mode: 0o644, Data: []byte(policy)}}}
	for name, data := range progs {
		o.Files = append(o.Files, File{Path: "/bin/" + name, Mode: 0o755, Data: data})
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Minute)
	defer cancel()
	s := &system{known: map[string]string{}}
	if s.Guest, err = Boot(ctx, k, o); err != nil {
		return nil, err
	}
	if s.dir, err = os.MkdirTemp("", "guest"); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	systems.Lock()
	systems.list = append(systems.list, s)
	systems.Unlock()
	if err := os.WriteFile(filepath.Join(s.dir, "stap"), here["stap"], 0o755); err != nil {
		return nil, err
	}
	data, err := s.Describe(ctx)
	if err != nil {
		return nil, err
	}
	s.desc = filepath.Join(s.dir, "host.desc")
	return s, os.WriteFile(s.desc, data, 0o644)
}

// run runs a command of the guest.
func (s *system) run(t *testing.T, args ...string) Result {
	t.Helper()
	return s.runInput(t, "", args...)
}

// A command ends when the guest has computed for computeLimit since it began, which is the same
// on a busy machine. runLimit only ends what waits and would never end.
const (
	computeLimit = 4 * time.Minute
	runLimit     = 20 * time.Minute
)

func (s *system) runInput(t *testing.T, input string, args ...string) Result {
	t.Helper()
	ctx, done := s.Within(t.Context(), computeLimit)
	defer done()
	r, err := s.Run(ctx, Command{Args: args, Stdin: []byte(input), Timeout: runLimit})
	if err != nil {
		t.Fatal(err)
	}
	if r.TimedOut {
		t.Errorf("%v: still running after %v", args, runLimit)
	}
	return r
}

// compile compiles a script for the guest here, where it takes a tenth of the
// time, and brings the bundle there.
func (s *compiler) compile(t *testing.T, name, text string, more ...string) (there string) {
	t.Helper()
	return s.compileFor(t, s.desc, name, text, more...)
}

// compileFor is compile for what -r is given of the guest.
func (s *compiler) compileFor(t *testing.T, host, name, text string, more ...string) (there string) {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command(filepath.Join(s.dir, "stap"), slices.Concat([]string{"-r", host, "-p4", "-m", name, "-e", text}, s.more, more)...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("stap -p4: %v\n%s", err, out)
	}
	data, err := os.ReadFile(filepath.Join(dir, name+".o"))
	if err != nil {
		t.Fatal(err)
	}
	there = "/tmp/" + name + ".o"
	if err := s.WriteFile(t.Context(), there, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return there
}

// batches runs those that want the kernel's debugging information, or those that do not.
func (s *compiler) batches(t *testing.T, debug bool) {
	for _, b := range families.Batches {
		if b.Debug != debug {
			continue
		}
		t.Run(b.Name, func(t *testing.T) {
			s.skipUnless(t, b.Only, b.Not)
			args := append([]string{"staprun", "--allow-unsigned"}, b.Args...)
			if b.Command != "" {
				args = append(args, "-c", "trigger "+b.Command)
			}
			var flags []string
			if b.Guru {
				flags = append(flags, "-g")
			}
			r := s.run(t, append(args, s.compile(t, b.Name, s.addresses(t, b.Script()), flags...))...)
			if r.Code != 0 || r.Stderr != "" {
				t.Errorf("exit status %d\n%s", r.Code, r.Stderr)
			}
			for _, bad := range b.Check(r.Stdout) {
				t.Error(bad)
			}
		})
	}
}

// contexts asks in each family what is known of the running probe.
func (s *compiler) contexts(t *testing.T) {
	s.ran.Add(1)
	var list []families.Context
	for _, c := range families.KernelContexts {
		if s.isFor(c.Only) && (c.Not == "" || !s.isFor(c.Not)) {
			list = append(list, c)
		}
	}
	script := s.addresses(t, families.ContextScript(list, ""))
	r := s.run(t, "staprun", "--allow-unsigned", "-c",
		"sh -c 'trigger read 2 841 chdir 2 /tmp vsock 2 33 open 1 /etc/hostname; ping -c 1 127.0.0.1 > /dev/null; echo 3 > /proc/sys/kernel/panic'",
		s.compile(t, "contexts", script, "-g", "-w"))
	if r.Code != 0 || r.Stderr != "" {
		t.Errorf("exit status %d\n%s", r.Code, r.Stderr)
	}
	for _, bad := range families.CheckContexts(list, r.Stdout) {
		t.Error(bad)
	}
}

// placeholder is what families.Address and families.InFile give.
var placeholder = regexp.MustCompile(`\{([a-z_0-9]*:)?[a-z_0-9]+\}`)

// symbols asks the guest for the addresses that a script wants. The whole table is not
// brought here: it is five megabytes, and the line is slow.
func (s *compiler) symbols(t *testing.T, script string) {
	t.Helper()
	var names []string
	for _, p := range placeholder.FindAllString(script, -1) {
		name := strings.Trim(p, "{}")
		if !strings.Contains(name, ":") && s.known[name] == "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return
	}
	found := s.run(t, "grep", "-E", " ("+strings.Join(names, "|")+")([[:space:]]|$)", "/proc/kallsyms").Stdout
	for _, l := range strings.Split(found, "\n") {
		if f := strings.Fields(l); len(f) >= 3 {
			s.known[f[2]] = "0x" + f[0]
		}
	}
}

// addresses puts addresses in place of families.Address and families.InFile.
func (s *compiler) addresses(t *testing.T, script string) string {
	t.Helper()
	s.symbols(t, script)
	return placeholder.ReplaceAllStringFunc(script, func(p string) string {
		module, name, inFile := strings.Cut(strings.Trim(p, "{}"), ":")
		if !inFile {
			if s.known[module] == "" {
				t.Fatalf("the kernel has no %s", module)
			}
			return s.known[module]
		}
		path := s.debug.Vmlinux
		if module != "" {
			files := target.ModuleFiles(&elf.Search{Root: s.debug.Root}, s.debug.Release)[module]
			if len(files) == 0 {
				t.Fatalf("no file of module %s", module)
			}
			path = files[0]
		}
		f, err := elf.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		list, err := f.Lookup(name)
		if err != nil || len(list) != 1 {
			t.Fatalf("%s of %s: %v %v", name, path, list, err)
		}
		return fmt.Sprintf("%#x", list[0].Addr)
	})
}

func TestScripts(t *testing.T) {
	for _, suite := range Suites {
		t.Run(suite.Kernel, func(t *testing.T) {
			t.Parallel()
			s := &compiler{system: sharedSystem(t, suite.Kernel)}
			s.scripts(t)
			s.upsets(t)
		})
	}
}

// TestDebugInfo runs scripts that are compiled with the debugging information of the kernel
// and its modules.
func TestDebugInfo(t *testing.T) {
	for _, suite := range Suites {
		t.Run(suite.Kernel, func(t *testing.T) {
			t.Parallel()
			sharedSystem(t, suite.Kernel).debugInfo(t)
		})
	}
}

// scripts runs all scripts that are for the kernel.
func (s *compiler) scripts(t *testing.T) {
	s.batches(t, false)
	t.Run("contexts", s.contexts)
	s.each(t, slices.Concat(families.Functions, families.Kernel))
}

// each runs the scripts that are for the kernel: those together that can be, and again alone
// if that fails, to tell which is to blame.
func (s *compiler) each(t *testing.T, list []families.Script) {
	var here []families.Script
	for _, c := range list {
		if s.isFor(c.Only) && (c.Not == "" || !s.isFor(c.Not)) {
			here = append(here, c)
		}
	}
	joints, alone := families.Join(here)
	for _, j := range joints {
		passed := t.Run(j.Name, func(t *testing.T) {
			for _, c := range j.Of {
				t.Log(c.Name)
			}
			(*script)(&j.Script).run(t, s)
			s.ran.Add(int64(len(j.Of)))
		})
		if !passed || !asked(j.Name) {
			alone = append(j.Of, alone...)
		}
	}
	for _, c := range alone {
		t.Run(c.Name, func(t *testing.T) {
			s.ran.Add(1)
			(*script)(&c).run(t, s)
		})
	}
}

// asked reports whether go test's -run does not leave a script out, which is given as the
// third part.
func asked(name string) bool {
	parts := strings.Split(flag.Lookup("test.run").Value.String(), "/")
	if len(parts) < 3 {
		return true
	}
	ok, err := regexp.MatchString(parts[2], name)
	return err == nil && ok
}

// skipUnless skips what is only for some kernels: families.Script says how they are named.
func (s *system) skipUnless(t *testing.T, only, not string) {
	t.Helper()
	if !s.isFor(only) {
		t.Skip("for " + only)
	}
	if not != "" && s.isFor(not) {
		t.Skip("not for " + not)
	}
	s.ran.Add(1)
}

func (s *system) isFor(only string) bool {
	version, _, _ := strings.Cut(s.Kernel.Name, "-")
	return only == "" || only == version || only == s.Kernel.Arch || only == version+"-"+s.Kernel.Arch
}

// run compiles the script here and runs it there.
func (c *script) run(t *testing.T, s *compiler) {
	t.Helper()
	args := append([]string{"staprun", "--allow-unsigned"}, c.Args...)
	if c.Command != "" {
		args = append(args, "-c", "trigger "+c.Command)
	}
	var flags []string
	if c.Guru {
		flags = append(flags, "-g")
	}
	args = append(args, s.compile(t, c.Name, c.Text, flags...))
	began := time.Now()
	r := s.runInput(t, c.Input, args...)
	t.Logf("%.1f s", time.Since(began).Seconds())
	c.check(t, r)
}

func (c *script) check(t *testing.T, r Result) {
	t.Helper()
	if c.Match != "" && !regexp.MustCompile("(?s)"+c.Match).MatchString(r.Stdout) || c.Match == "" && r.Stdout != c.Want {
		t.Errorf("output:\n%s\nwanted:\n%s%s", r.Stdout, c.Want, c.Match)
	}
	if c.Noisy {
		t.Log(r.Stderr)
	} else if c.Err == "" && r.Stderr != "" || !regexp.MustCompile("(?s)"+c.Err).MatchString(r.Stderr) {
		t.Errorf("errors:\n%s\nwanted:\n%s", r.Stderr, c.Err)
	}
	if r.Code != c.Code {
		t.Errorf("exit status %d, not %d", r.Code, c.Code)
	}
}
