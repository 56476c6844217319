//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"stapkit/bench/results"
	"stapkit/bench/workload"
	"stapkit/driver"
	"stapkit/internal/guest"
)

// bench is a guest with the workload and the tools.
type bench struct {
	*guest.Guest
	dir    string // here
	desc   string // the description of its kernel
	work   string // the workload, here and there
	mark   uint64 // where its mark is in the file
	rounds int
	multi  bool // the kernel has uprobe_multi
}

// each is how often the work is done in a round: often enough that the clock's own cost
// does not show, and seldom enough that most rounds see no interrupt.
const each = 2000

// measure measures rows with tools in a guest with a kernel. It gives the figures that it
// has when it fails.
func measure(ctx context.Context, kernel string, list []row, tools []string, rounds int, log io.Writer) (_ *results.Set, err error) {
	k, err := guest.Find(kernel)
	if err != nil {
		return nil, err
	}
	b := &bench{rounds: rounds}
	if b.dir, err = os.MkdirTemp("", "bench"); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if b.desc, err = guest.Describe(ctx, k, nil); err != nil {
		return nil, err
	}
	files, err := b.files(ctx, tools)
	if err != nil {
		return nil, err
	}
	if b.Guest, err = guest.Boot(ctx, k, guest.Options{Files: files, Memory: 2048, Counted: true}); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	// At the same place as here, for the compiler; a file system is mounted over that at
	// the start.
	data, err := os.ReadFile(b.work)
	if err != nil {
		return nil, err
	}
	if err := b.WriteFile(ctx, b.work, data, 0o755); err != nil {
		return nil, err
	}
	probe, err := b.Run(ctx, guest.Command{Args: []string{"grep", "-q", "bpf_uprobe_multi_link_attach", "/proc/kallsyms"}, Timeout: time.Minute})
	if err != nil {
		return nil, err
	}
	b.multi = probe.Code == 0

	got := &results.Set{Config: []string{"goos: linux", "goarch: amd64"}}
	on, err := settings(ctx, k)
	if err != nil {
		return nil, err
	}
	for key, v := range on {
		got.Config = append(got.Config, key+": "+v)
	}
	slices.Sort(got.Config[2:])
	base := map[string]float64{}
	for _, r := range list {
		if _, ok := base[r.work]; ok {
			continue
		}
		// The first run after the start is dearer.
		for range 2 {
			if base[r.work], err = b.run(ctx, r.work); err != nil {
				return got, err
			}
		}
		got.Add("Work/kernel="+kernel+"/"+r.work, base[r.work], "insn/op")
	}
	var failed error
	for i := range list {
		r := &list[i]
		fmt.Fprintf(log, "%s %-16s", kernel, r.name)
		for _, tool := range tools {
			args, err := b.command(ctx, tool, r)
			if err != nil {
				failed = errors.Join(failed, fmt.Errorf("%s, %s: %w", r.name, tool, err))
				continue
			}
			if args == nil {
				continue
			}
			v, err := b.run(ctx, r.work, args...)
			if err != nil {
				if b.Console(); ctx.Err() != nil {
					return got, err
				}
				failed = errors.Join(failed, fmt.Errorf("%s, %s: %w", r.name, tool, err))
				continue
			}
			got.Add(figure(kernel, r.name, tool), math.Round((v-base[r.work])*10)/10, "insn/hit")
			fmt.Fprintf(log, "  %s %.1f", tool, v-base[r.work])
		}
		fmt.Fprintln(log)
	}
	return got, failed
}

// settings are what the figures depend on beside our code: the emulator, which decides what
// the guest's processor can do, and the kernel's version.
func settings(ctx context.Context, k *guest.Kernel) (map[string]string, error) {
	emulator, err := k.Emulator()
	if err != nil {
		return nil, err
	}
	out, err := exec.CommandContext(ctx, emulator, "--version").Output()
	if err != nil {
		return nil, fmt.Errorf("%s --version: %w", emulator, err)
	}
	version := regexp.MustCompile(`[0-9]+\.[0-9]+`).FindString(string(out))
	if version == "" {
		return nil, fmt.Errorf("%s --version: no version in %q", emulator, out)
	}
	return map[string]string{"qemu": version, "linux-" + k.Name: k.Release}, nil
}

// files are what the guest needs for some tools.
func (b *bench) files(ctx context.Context, tools []string) ([]guest.File, error) {
	b.work = filepath.Join(b.dir, "work")
	if err := workload.Build(b.work, "-static"); err != nil {
		return nil, err
	}
	var err error
	if b.mark, err = workload.Mark(b.work); err != nil {
		return nil, err
	}
	var files []guest.File
	add := func(here, there string) error {
		data, err := os.ReadFile(here)
		if err == nil {
			files = append(files, guest.File{Path: there, Mode: 0o755, Data: data})
		}
		return err
	}
	build := func(pkg, there string) error {
		data, err := guest.Build(ctx, pkg)
		if err == nil {
			files = append(files, guest.File{Path: there, Mode: 0o755, Data: data})
		}
		return err
	}
	for _, tool := range tools {
		var err error
		switch tool {
		case "stapkit":
			err = build("stapkit/cmd/staprun", "/bin/staprun")
		case "raw":
			object := filepath.Join(b.dir, "peer.bpf.o")
			if err = workload.BuildPeer(object); err == nil {
				err = add(object, "/lib/peer.bpf.o")
			}
			if err == nil {
				err = build("stapkit/bench/peer", "/bin/peer")
			}
		case "bpftrace":
			var list []string
			if list, err = libraries("/usr/bin/bpftrace"); err == nil {
				for _, f := range list {
					if err = add(f, f); err != nil {
						break
					}
				}
			}
		default:
			err = fmt.Errorf("no tool %q", tool)
		}
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

// libraries are a program and the libraries that it loads.
func libraries(program string) ([]string, error) {
	out, err := exec.Command("ldd", program).Output()
	if err != nil {
		return nil, fmt.Errorf("ldd %s: %w", program, err)
	}
	list := []string{program}
	for _, f := range strings.Fields(string(out)) {
		if strings.HasPrefix(f, "/") {
			list = append(list, f)
		}
	}
	return list, nil
}

// command is what runs the workload under a row's probe with a tool; the workload's own
// command line follows or, with bpftrace, is given as one word. nil: the tool has none.
func (b *bench) command(ctx context.Context, tool string, r *row) ([]string, error) {
	switch tool {
	case "stapkit":
		there, err := b.compile(ctx, r)
		if err != nil {
			return nil, err
		}
		return []string{"/bin/staprun", "--allow-unsigned", there, "-c"}, nil
	case "raw":
		if r.raw == "" {
			return nil, nil
		}
		args := []string{"/bin/peer", "-program", b.work}
		if b.multi {
			args = append(args, "-multi")
		}
		if r.work == "mark" {
			args = append(args, "-offset", strconv.FormatUint(b.mark, 10))
		}
		return append(args, "/lib/peer.bpf.o", r.raw), nil
	case "bpftrace":
		if r.peer == "" {
			return nil, nil
		}
		return []string{"/usr/bin/bpftrace", "-e", strings.ReplaceAll(r.peer, "WORK", b.work), "-c"}, nil
	}
	return nil, fmt.Errorf("no tool %q", tool)
}

// compile compiles a row's script here and brings it there.
func (b *bench) compile(ctx context.Context, r *row) (string, error) {
	out := filepath.Join(b.dir, r.name+".o")
	var text bytes.Buffer
	script := strings.ReplaceAll(r.script, "WORK", b.work)
	if status := driver.Stapc([]string{"--target", b.desc, "-o", out, "-e", script}, strings.NewReader(""), &text, &text); status != 0 {
		return "", fmt.Errorf("stapc: exit status %d\n%s", status, &text)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		return "", err
	}
	there := "/tmp/" + r.name + ".o"
	return there, b.WriteFile(ctx, there, data, 0o644)
}

// run runs the workload, under a command if there is one, and gives the least that one
// piece of work took.
func (b *bench) run(ctx context.Context, work string, under ...string) (float64, error) {
	line := []string{b.work, work, strconv.Itoa(each), strconv.Itoa(b.rounds)}
	args := line
	switch {
	case len(under) > 0 && under[len(under)-1] == "-c":
		args = append(slices.Clone(under), strings.Join(line, " "))
	case len(under) > 0:
		args = append(slices.Clone(under), line...)
	}
	// What a tool prints of each hit need not come here; the workload's line is sought
	// where it runs.
	pattern := `^[0-9]*\.[0-9][0-9]\( [0-9]*\.[0-9][0-9]\)*$`
	script := `"$@" >/tmp/out 2>/tmp/err; rc=$?; grep '` + pattern + `' /tmp/out; tail -n 20 /tmp/err >&2; exit $rc`
	r, err := b.Run(ctx, guest.Command{Args: append([]string{"/bin/sh", "-c", script, "sh"}, args...), Timeout: 5 * time.Minute})
	if err != nil {
		return 0, err
	}
	if r.Code != 0 {
		return 0, &guest.FailedError{What: strings.Join(args, " "), Result: r}
	}
	least, err := workload.Least(r.Stdout, b.rounds)
	if err != nil {
		return 0, &guest.FailedError{What: strings.Join(args, " ") + ": " + err.Error(), Result: r}
	}
	return least, nil
}
