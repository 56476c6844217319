//go:build linux

package guest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stapkit/internal/families"
	"stapkit/target"
	"stapkit/target/elf"
)

// script is run in the guest.
type script families.Script

// system is a guest with the commands, and a description of it for the compiler.
type system struct {
	*Guest
	dir   string   // here
	desc  string   // file here
	more  []string // of stap here
	input string   // of the next command
	debug *Debug   // nil unless scripts are compiled with it
	ran   int      // scripts
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

// newSystem boots a guest in which scripts can be run.
func newSystem(t *testing.T, kernel string, more ...File) *system {
	t.Helper()
	k, err := Find(kernel)
	if err != nil {
		t.Skip(err)
	}
	progs, err := tools[k.Arch]()
	if err != nil {
		t.Fatal(err)
	}
	here, err := tools[runtime.GOARCH]()
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Modules: described, Files: append(slices.Clone(more), File{Path: "/etc/stapkit/policy.toml", Mode: 0o644, Data: []byte(policy)})}
	for name, data := range progs {
		o.Files = append(o.Files, File{Path: "/bin/" + name, Mode: 0o755, Data: data})
	}
	s := &system{Guest: boot(t, kernel, o), dir: t.TempDir()}
	if err := os.WriteFile(filepath.Join(s.dir, "stap"), here["stap"], 0o755); err != nil {
		t.Fatal(err)
	}
	return s
}

// run runs a command of the guest.
func (s *system) run(t *testing.T, args ...string) Result {
	t.Helper()
	// Emulated processors of a busy machine are slow to attach dozens of probes.
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	r, err := s.Run(ctx, Command{Args: args, Stdin: []byte(s.input), Timeout: 3 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if r.TimedOut {
		t.Errorf("%v: still running after three minutes", args)
	}
	return r
}

// describe has the guest tell the compiler about itself.
func (s *system) describe(t *testing.T) {
	t.Helper()
	data, err := s.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.desc = filepath.Join(s.dir, "host.desc")
	if err := os.WriteFile(s.desc, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// compile compiles a script for the guest here, where it takes a tenth of the
// time, and brings the bundle there.
func (s *system) compile(t *testing.T, name, text string, more ...string) (there string) {
	t.Helper()
	cmd := exec.Command(filepath.Join(s.dir, "stap"), slices.Concat([]string{"-r", s.desc, "-p4", "-m", name, "-e", text}, s.more, more)...)
	cmd.Dir = s.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("stap -p4: %v\n%s", err, out)
	}
	data, err := os.ReadFile(filepath.Join(s.dir, name+".o"))
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
func (s *system) batches(t *testing.T, debug bool) {
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
func (s *system) contexts(t *testing.T) {
	// With names of registers; what is told does not depend on the version.
	s.skipUnless(t, "6.1-amd64", "")
	list := families.KernelContexts
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

// addresses puts addresses in place of families.Address and families.InFile.
func (s *system) addresses(t *testing.T, script string) string {
	t.Helper()
	symbols := map[string]string{}
	return regexp.MustCompile(`\{([a-z_0-9]*:)?[a-z_0-9]+\}`).ReplaceAllStringFunc(script, func(p string) string {
		module, name, inFile := strings.Cut(strings.Trim(p, "{}"), ":")
		if !inFile {
			name = module
			if len(symbols) == 0 {
				for _, l := range strings.Split(s.run(t, "cat", "/proc/kallsyms").Stdout, "\n") {
					if f := strings.Fields(l); len(f) >= 3 {
						symbols[f[2]] = "0x" + f[0]
					}
				}
			}
			if symbols[name] == "" {
				t.Fatalf("the kernel has no %s", name)
			}
			return symbols[name]
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
			s := newSystem(t, suite.Kernel)
			s.describe(t)
			s.scripts(t)
			s.upsets(t)
		})
	}
}

// scripts runs all scripts that are for the kernel.
func (s *system) scripts(t *testing.T) {
	s.batches(t, false)
	t.Run("contexts", s.contexts)
	for _, c := range slices.Concat(families.Functions, families.Kernel) {
		t.Run(c.Name, func(t *testing.T) {
			s.skipUnless(t, c.Only, c.Not)
			(*script)(&c).run(t, s)
		})
	}
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
	s.ran++
}

func (s *system) isFor(only string) bool {
	version, _, _ := strings.Cut(s.Kernel.Name, "-")
	return only == "" || only == version || only == s.Kernel.Arch || only == version+"-"+s.Kernel.Arch
}

// run compiles the script here and runs it there.
func (c *script) run(t *testing.T, s *system) {
	t.Helper()
	args := append([]string{"staprun", "--allow-unsigned"}, c.Args...)
	if c.Command != "" {
		args = append(args, "-c", "trigger "+c.Command)
	}
	s.input = c.Input
	defer func() { s.input = "" }()
	var flags []string
	if c.Guru {
		flags = append(flags, "-g")
	}
	args = append(args, s.compile(t, c.Name, c.Text, flags...))
	began := time.Now()
	r := s.run(t, args...)
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
