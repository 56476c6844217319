//go:build linux

package guest

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stapkit/bundle"
	"stapkit/driver"
	"stapkit/internal/host"
	loader "stapkit/runtime"
	"stapkit/target"
)

// variants is a script that is not the same everywhere: a function that Linux 6.12
// has and 6.1 has not, functions that are reached by kprobe_multi on one, by single
// kprobes on the other and not at all where nothing can be probed, and structure
// members whose offsets differ.
const variants = `
global only, many, right, wrong
probe kernel.function("filemap_splice_read")? { only++ }
probe kernel.function("vfs_*")? { if (pid() == target()) many[ppfunc()]++ }
probe kernel.trace("sched_process_exec") {
  if ($p->tgid == pid() && $p->real_parent->tgid == ppid() && $bprm->argc > 0) right++
  else wrong++
}
probe end { printf("%d %d %d\n", right > 0, wrong, many["vfs_write"] >= 10 && only >= 0) }
`

// TestVariants: one bundle, compiled once for three kernels, runs on all.
func TestVariants(t *testing.T) {
	dir := t.TempDir()
	args := []string{"-o", filepath.Join(dir, "v.o"), "-e", variants}
	var booted []*system
	for _, s := range Suites {
		sys := sharedSystem(t, s.Kernel)
		booted = append(booted, sys)
		args = append(args, "--target", sys.desc)
	}
	here := host.BPF() == ""
	if here {
		args = append(args, "--target", "/sys/kernel/btf/vmlinux")
	}
	var out, errs bytes.Buffer
	if code := driver.Stapc(args, nil, &out, &errs); code != 0 {
		t.Fatalf("stapc: %d\n%s%s", code, out.String(), errs.String())
	}
	data, err := os.ReadFile(filepath.Join(dir, "v.o"))
	if err != nil {
		t.Fatal(err)
	}
	for i, sys := range booted {
		if err := sys.WriteFile(t.Context(), "/tmp/v.o", data, 0o644); err != nil {
			t.Fatal(err)
		}
		r := sys.run(t, "staprun", "--inspect", "/tmp/v.o")
		_, list, _ := strings.Cut(r.Stdout, "variants\n")
		list, _, _ = strings.Cut(list, "probes\n")
		if n := strings.Count(list, "\n"); n != len(args)/2-2 || strings.Count(list, "for this kernel") != 1 {
			t.Errorf("%s: variants:\n%s%s", Suites[i].Kernel, list, r.Stderr)
		}
		_, probes, _ := strings.Cut(r.Stdout, "probes\n")
		if has := strings.Contains(probes, "filemap_splice_read"); has != (Suites[i].Kernel == "6.12") {
			t.Errorf("%s: filemap_splice_read is probed: %v", Suites[i].Kernel, has)
		}
		r = sys.run(t, "staprun", "--allow-unsigned", "-c", "trigger write 10 700", "/tmp/v.o")
		if r.Code != 0 || r.Stdout != "1 0 1\n" || r.Stderr != "" {
			t.Errorf("%s: %d %q\n%s", Suites[i].Kernel, r.Code, r.Stdout, r.Stderr)
		}
	}
	if !here {
		return
	}
	b, err := bundle.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	list, err := b.Variants()
	if err != nil {
		t.Fatal(err)
	}
	tgt, err := target.Running()
	if err != nil {
		t.Fatal(err)
	}
	defer tgt.Close()
	img, fits, err := loader.Pick(list, tgt)
	if err != nil || !fits[len(fits)-1].Chosen {
		t.Fatalf("here: %v %+v", err, fits)
	}
	out.Reset()
	code, err := loader.Run(t.Context(), img, loader.Options{Stdout: &out, Stderr: &errs, Command: "/bin/true"})
	if err != nil || code != 0 || !strings.HasPrefix(out.String(), "1 0 ") {
		t.Errorf("here: %v %d %q\n%s", err, code, out.String(), errs.String())
	}
}
