package driver

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stapkit/bundle"
	"stapkit/internal/minikernel"
	loader "stapkit/runtime"
	"stapkit/target"
)

// stapc runs the command and gives the bundle that it wrote.
func stapc(t *testing.T, args ...string) (b *bundle.Bundle, stdout, stderr string, code int) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "out.o")
	var out, errs bytes.Buffer
	code = Stapc(append([]string{"-o", name}, args...), strings.NewReader(""), &out, &errs)
	if code == 0 {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if b, err = bundle.Parse(data); err != nil {
			t.Fatal(err)
		}
	}
	return b, out.String(), errs.String(), code
}

// TestVariants compiles for two kernels: what relocations put right is one program, what
// is not the same are two, of which each kernel gets its own.
func TestVariants(t *testing.T) {
	older := kernelFile(t)
	newer := filepath.Join(t.TempDir(), "newer")
	if err := minikernel.WriteNewer(newer); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, script string
		variants     int
		missing      [2][2]string // by kernel and variant: the probe whose first choice is not there
		kernel       string       // part of what the manifest says of kernels
	}{
		{"a member that lies elsewhere", `probe kernel.function("vfs_read") { println($file->f_pos) exit() }`, 1, [2][2]string{}, "Linux 5."},
		{"a function that one has not", `probe kernel.function("vfs_splice")?, kernel.function("vfs_read") { println($file->f_pos) exit() }`, 2,
			[2][2]string{{"", "vfs_splice"}, {"", ""}}, "Linux 5."},
		{"a pattern", `probe kernel.function("vfs_*") { println(ppfunc()) exit() }`, 2,
			[2][2]string{{"", "vfs_splice"}, {"vfs_statx", ""}}, "Linux 5."},
		{"a condition", `probe begin { println(@defined(@cast(0, "file")->f_new) ? "newer" : "older") exit() }`, 2, [2][2]string{}, "any: nothing runs in the kernel"},
	} {
		b, _, stderr, code := stapc(t, "--target", older, "--target", newer, "-e", tt.script)
		if code != 0 {
			t.Errorf("%s: exit %d\n%s", tt.name, code, stderr)
			continue
		}
		list, err := b.Variants()
		if err != nil || len(list) != tt.variants {
			t.Errorf("%s: %d variants, %v", tt.name, len(list), err)
			continue
		}
		said := ""
		for _, f := range b.Manifest.Fields {
			if f.Name == "x-kernel" {
				said = f.Value
			}
		}
		if !strings.Contains(said, tt.kernel) {
			t.Errorf("%s: the manifest says of kernels: %q", tt.name, said)
		}
		if tt.variants == 1 {
			continue
		}
		if list[0].Target != older || list[1].Target != newer || len(list[0].Types) != 1 || len(list[1].Types) != 1 {
			t.Errorf("%s: for %q and %q", tt.name, list[0].Target, list[1].Target)
		}
		for k, path := range []string{older, newer} {
			tgt, err := target.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			if _, fits, err := loader.Pick(list, tgt); err != nil || !fits[k].Chosen {
				t.Errorf("%s: kernel %d: %v %+v", tt.name, k, err, fits)
			}
			for v := range list {
				img, err := loader.ImageOf(&list[v])
				if err != nil {
					t.Fatal(err)
				}
				states, err := loader.DryRun(img, tgt)
				if err != nil {
					t.Fatal(err)
				}
				var odd []string
				for _, s := range states {
					if s.State != loader.StateOK {
						odd = append(odd, s.Point)
					}
				}
				if got := strings.Join(odd, " "); tt.missing[k][v] == "" && got != "" || !strings.Contains(got, tt.missing[k][v]) {
					t.Errorf("%s: kernel %d, variant %d: not as compiled: %q", tt.name, k, v, got)
				}
			}
			tgt.Close()
		}
	}
	_, _, stderr, code := stapc(t, "--target", older, "--target", newer, "-e", `probe kernel.function("vfs_splice") { exit() }`)
	if code != 1 || !strings.Contains(stderr, "cannot be compiled for "+older) {
		t.Errorf("wrong on one of two: exit %d\n%s", code, stderr)
	}
}
