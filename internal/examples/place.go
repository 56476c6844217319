//go:build linux

package examples

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed" // testdata/outputs.txt
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"stapkit/internal/guest"
	"stapkit/internal/standins"
	"stapkit/sema"
	"stapkit/target"
	"stapkit/target/elf"
)

// Modules are loaded in guests, so that what examples probe is there.
var Modules = []string{
	"nfsd", "nfsv3", "nfsv4", "kvm", "autofs4", "btrfs", "xfs", "bridge", "nf_tables", "ip_tables",
	"scsi_debug", "sd_mod", "overlay", "loop", "virtio_net", "virtio_blk", "fuse",
}

// Place is a kernel that examples can be run on.
type Place struct {
	Name    string
	Release string
	Target  *target.Target
	// Binaries are what programs and debug files are looked for with, nil: as on this
	// machine. The place closes them.
	Binaries *sema.Binaries
	// Loader tells builds of the loader apart.
	Loader string

	// symbols gives a file with the kernel's symbols as they are at this boot, nil: this
	// machine's.
	symbols func() (string, error)
	// within limits how much a guest computes, nil: it is this machine.
	within func(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc)
	run    func(ctx context.Context, bundle []byte, args []string, limit time.Duration) (guest.Result, error)
	close  func() error
}

// Close ends what was started for the place.
func (p *Place) Close() error {
	var err error
	if p.close != nil {
		err = p.close()
	}
	if p.Binaries != nil {
		err = errors.Join(err, p.Binaries.Close())
	}
	return errors.Join(err, p.Target.Close())
}

// Debug are the debug files of a guest's kernel. The error is a *guest.MissingError
// where they are not at hand; then what is given has none.
func Debug(kernel string) (*sema.Binaries, error) {
	d, err := guest.FindDebug(kernel)
	if err != nil {
		return &sema.Binaries{}, err
	}
	return &sema.Binaries{Search: elf.Search{Debug: []string{filepath.Join(d.Root, "usr/lib/debug")}}}, nil
}

// Native is the name of the place that is this machine.
const Native = "native"

// Here is the running kernel. Staprun is the command to load bundles with, and what
// is to come before it.
func Here(staprun ...string) (*Place, error) {
	t, err := target.Running()
	if err != nil {
		return nil, err
	}
	loader, err := os.ReadFile(staprun[len(staprun)-1])
	if err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return &Place{Name: Native, Release: t.Release(), Target: t, Loader: sum(loader), run: func(ctx context.Context, bundle []byte, args []string, limit time.Duration) (guest.Result, error) {
		dir, err := os.MkdirTemp("", "examples")
		if err != nil {
			return guest.Result{}, err
		}
		defer os.RemoveAll(dir)
		name := filepath.Join(dir, "example.o")
		if err := os.WriteFile(name, bundle, 0o600); err != nil {
			return guest.Result{}, err
		}
		// A kernel that is asked to release many programs does not like it when
		// their owner is killed, so the limit is a signal that it can follow.
		// What comes before the loader may wait for its turn.
		last := len(staprun) - 1
		all := append(append([]string(nil), staprun[:last]...), "timeout", "-s", "INT", strconv.Itoa(int(limit.Seconds())), staprun[last])
		all = append(append(all, args...), name)
		cmd := exec.CommandContext(ctx, all[0], all[1:]...)
		cmd.Dir = dir
		defer busy()()
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		err = cmd.Run()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			return guest.Result{}, err
		}
		return guest.Result{Stdout: stdout.String(), Stderr: stderr.String(), Code: cmd.ProcessState.ExitCode(), TimedOut: cmd.ProcessState.ExitCode() == 124}, nil
	}}, nil
}

// hereWork is what happens on this machine beside an example, since nothing may: commands
// are run by a shell, which waits for them and changes its processor.
const hereWork = `while :; do
	bash -c 'ls -l / | grep -c x; true' > /dev/null
	taskset -p -c 0 $$; taskset -p -c 1 $$
	sleep 0.1
done > /dev/null 2>&1`

// busy begins that, and returns what ends it. Without bash there is none.
func busy() (end func()) {
	work := exec.Command("bash", "-c", hereWork)
	work.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if work.Start() != nil {
		return func() {}
	}
	return func() {
		_ = syscall.Kill(-work.Process.Pid, syscall.SIGKILL)
		_ = work.Wait()
	}
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:8])
}

// Policy lets unsigned examples do what only trusted signers may, such as system().
const Policy = `allow_unsigned = true
[[allow]]
rights = ["system", "signal", "override", "write", "verdict"]
`

// PolicyFile is where the loader reads it.
const PolicyFile = "/etc/stapkit/policy.toml"

// work keeps a guest busy with what examples like to see.
const work = `export PATH=/bin:/sbin:/usr/bin
ifconfig lo up
while :; do
	ls -l /bin > /dev/null; cat /proc/meminfo | grep -c x > /dev/null
	for d in /dev/sda; do [ -b $d ] && dd if=$d of=/dev/null bs=4k count=50 skip=$((RANDOM % 1000)) 2> /dev/null; done
	ping -c 1 127.0.0.1 > /dev/null
	nc -l -p 4711 < /bin/busybox > /dev/null & sleep 0.2
	nc 127.0.0.1 4711 < /etc/passwd > /dev/null; kill $! 2> /dev/null
	sh -c 'sleep 30 & kill -USR1 $!'; touch /tmp/t; rm /tmp/t
	[ -f /bin/standins ] && sh /bin/standins > /dev/null 2>&1
	sleep 1
done
`

// There boots a guest, in which something goes on all the time if it is to be busy, with
// the programs of a folder that package standins has built, "" for none.
func There(ctx context.Context, kernel string, busy bool, programs string) (*Place, error) {
	k, err := guest.Find(kernel)
	if err != nil {
		return nil, err
	}
	staprun, err := guest.Build(ctx, "stapkit/cmd/staprun")
	if err != nil {
		return nil, err
	}
	desc, err := guest.Describe(ctx, k, Modules)
	if err != nil {
		return nil, err
	}
	t, err := target.Open(desc)
	if err != nil {
		return nil, err
	}
	files := []guest.File{
		{Path: "/bin/staprun", Mode: 0o755, Data: staprun},
		{Path: "/etc/passwd", Mode: 0o644, Data: []byte("root:x:0:0:root:/:/bin/sh\n")},
		{Path: "/bin/work", Mode: 0o755, Data: []byte(work)},
		{Path: "/bin/sudo", Mode: 0o755, Data: []byte("#!/bin/sh\nexec \"$@\"\n")},
		{Path: PolicyFile, Mode: 0o644, Data: []byte(Policy)},
	}
	if programs != "" {
		more, err := standins.Files(programs)
		if err != nil {
			return nil, errors.Join(err, t.Close())
		}
		for there, here := range more {
			data, err := os.ReadFile(here)
			if err != nil {
				return nil, errors.Join(err, t.Close())
			}
			files = append(files, guest.File{Path: there, Mode: 0o755, Data: data})
		}
		files = append(files, guest.File{Path: "/bin/standins", Mode: 0o755, Data: []byte(strings.Join(standins.Commands(), "\n") + "\n")})
	}
	booting, booted := context.WithTimeout(ctx, 5*time.Minute)
	defer booted()
	g, err := guest.Boot(booting, k, guest.Options{Memory: 2048, Modules: Modules, Files: files})
	if err != nil {
		return nil, errors.Join(err, t.Close())
	}
	var file string // "" until it is asked for
	symbols := func() (_ string, err error) {
		if file == "" {
			file, err = kallsyms(ctx, g)
		}
		return file, err
	}
	working, stop := context.WithCancel(ctx)
	go func() {
		if !busy {
			return
		}
		// What is tried comes first.
		_, _ = g.Run(working, guest.Command{Args: []string{"/bin/busybox", "nice", "-n", "19", "/bin/busybox", "sh", "/bin/work"}, Timeout: 5 * time.Hour})
	}()
	binaries, err := Debug(kernel)
	var absent *guest.MissingError
	if err != nil && !errors.As(err, &absent) {
		stop()
		return nil, errors.Join(err, g.Close(), t.Close())
	}
	return &Place{Name: kernel, Release: k.Release, Target: t, Binaries: binaries, Loader: sum(staprun), symbols: symbols, within: g.Within,
		close: func() error {
			stop()
			if file != "" {
				return errors.Join(g.Close(), os.Remove(file))
			}
			return g.Close()
		},
		run: func(ctx context.Context, bundle []byte, args []string, limit time.Duration) (guest.Result, error) {
			const name = "/tmp/example.o"
			if err := g.WriteFile(ctx, name, bundle, 0o600); err != nil {
				return guest.Result{}, err
			}
			return g.Run(ctx, guest.Command{Args: append(append([]string{"/bin/staprun"}, args...), name), Timeout: limit,
				Env: []string{"PATH=/bin:/sbin:/usr/bin"}})
		}}, nil
}

// kallsyms puts the symbols of a guest's kernel into a file.
func kallsyms(ctx context.Context, g *guest.Guest) (string, error) {
	text, err := g.ReadFile(ctx, "/proc/kallsyms")
	if err != nil {
		return "", err
	}
	f, err := os.CreateTemp("", "kallsyms")
	if err != nil {
		return "", err
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// Script compiles a script for a place and runs it there with a command.
func (p *Place) Script(ctx context.Context, text, command string) (guest.Result, error) {
	r := compile(&Call{Args: []string{"-g", "-e", text}}, p.Target, p.Binaries, Loaded)
	if !r.OK {
		return guest.Result{}, errors.New(r.Why)
	}
	ctx, limit, done := p.limited(ctx, 2*time.Minute)
	defer done()
	return p.run(ctx, r.Bundle, []string{"--allow-unsigned", "-T", "600", "-c", command}, limit)
}

// patience is how long loading and unloading may take. An emulated processor takes seven
// minutes to check and to attach the programs of an example that prints the parameters of
// some hundred functions.
func (p *Place) patience() time.Duration {
	if p.within == nil {
		return 150 * time.Second
	}
	return 7 * time.Minute
}

// limited gives what a run takes at most: on this machine a time; in a guest, in which
// everything takes as long as this machine lets it, what it may compute.
func (p *Place) limited(ctx context.Context, limit time.Duration) (_ context.Context, clock time.Duration, done func()) {
	if p.within == nil {
		return ctx, limit, func() {}
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	ctx, ended := p.within(ctx, limit)
	return ctx, 14 * time.Minute, func() { ended(); cancel() }
}

// Ran is what became of a bundle that was run.
type Ran struct {
	Place  string
	OK     bool   // whether it was loaded and attached
	Why    string // why not
	Errors bool   // whether it ended with an error of a handler
	guest.Result
}

//go:embed testdata/outputs.txt
var outputsText string

// Outputs are what examples print, as looked at: by name, an expression that matches.
var Outputs = sync.OnceValue(func() map[string]*regexp.Regexp {
	out := map[string]*regexp.Regexp{}
	for line := range strings.Lines(outputsText) {
		if name, pattern, ok := strings.Cut(strings.TrimRight(line, "\n"), "\t"); ok {
			out[name] = regexp.MustCompile("(?s)" + pattern)
		}
	}
	return out
})

// Run runs an example that was compiled for the place there for some seconds. An error
// says that it was not found out what becomes of it: the guest has ended, or does not
// answer; it is guest.ErrSlow if it has computed for longer than that may take.
func (p *Place) Run(ctx context.Context, e Example, bundle []byte, seconds int) (Ran, error) {
	ctx, limit, done := p.limited(ctx, p.patience()+time.Duration(seconds)*time.Second)
	defer done()
	res, err := p.run(ctx, bundle, Args(e, seconds), limit)
	if err != nil {
		return Ran{}, fmt.Errorf("%s on %s: %w", e.Name, p.Name, err)
	}
	ran := Ran{Place: p.Name, Result: res}
	ran.OK, ran.Why = loaded(res)
	ran.Errors = ran.OK && res.Code != 0
	return ran, nil
}

// Args are the loader's arguments for an example.
func Args(e Example, seconds int) []string {
	args := []string{"--allow-unsigned", "-T", strconv.Itoa(seconds)}
	if c := commandOf(e); c != "" {
		args = append(args, "-c", c)
	}
	return args
}

// commandOf is the command that a .meta file traces; a target that is to be some
// process is a sleep.
func commandOf(e Example) string {
	for f, rest := range fields(e.Run) {
		switch f {
		case "-c":
			return unquote(rest)
		case "-x":
			return "sleep 2"
		}
	}
	return ""
}

// fields goes through the words of a command, each with what follows it.
func fields(s string) func(yield func(word, rest string) bool) {
	return func(yield func(string, string) bool) {
		for s != "" {
			word, rest, _ := strings.Cut(s, " ")
			if !yield(word, rest) {
				return
			}
			s = rest
		}
	}
}

// unquote takes the first word of the shell's off a text.
func unquote(s string) string {
	if s == "" || s[0] != '\'' && s[0] != '"' {
		s, _, _ = strings.Cut(s, " ")
		return s
	}
	if i := strings.LastIndexByte(s[1:], s[0]); i >= 0 {
		return s[1 : i+1]
	}
	return s[1:]
}

// loaded tells whether a run came past loading and attaching: what fails later fails
// in a handler, at a place of the script.
func loaded(r guest.Result) (bool, string) {
	if r.TimedOut {
		return false, "took too long"
	}
	if r.Code == 0 {
		return true, ""
	}
	for line := range strings.Lines(r.Stderr) {
		if strings.HasPrefix(line, "ERROR: ") && strings.Contains(line, " near ") || strings.HasPrefix(line, "ERROR: Skipped too many probes") {
			return true, ""
		}
	}
	return false, strings.TrimSpace(r.Stderr)
}
