package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// TestSameBytes: what stapc writes depends on nothing but its input: not on the run,
// nor on the folder, nor on the machine that the compiler was made for. With
// STAPKIT_CROSS (make determinism) compilers for 386 and arm64 are built, too, and
// run here, the latter by qemu-user.
func TestSameBytes(t *testing.T) {
	const kernel = "/sys/kernel/btf/vmlinux"
	if _, err := os.Stat(kernel); err != nil {
		t.Skip(err)
	}
	scripts, err := filepath.Glob("../../examples/*.stp")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	tmp := t.TempDir()
	build := func(arch string) string {
		t.Helper()
		out := filepath.Join(tmp, "stapc-"+arch)
		cmd := exec.Command("go", "build", "-o", out, ".")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+arch)
		if b, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, b)
		}
		return out
	}
	folder := func() string {
		t.Helper()
		dir := t.TempDir()
		for _, s := range scripts {
			text, err := os.ReadFile(s)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, filepath.Base(s)), text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	one, other := folder(), folder()
	compile := func(dir, script string, command ...string) []byte {
		t.Helper()
		out := filepath.Join(tmp, "out.o")
		cmd := exec.Command(command[0], append(command[1:], "--target="+kernel, "-o", out, script)...)
		cmd.Dir = dir
		if b, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", cmd, err, b)
		}
		b, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	stapc := build(runtime.GOARCH)
	cross := map[string][]string{}
	if os.Getenv("STAPKIT_CROSS") != "" && runtime.GOARCH == "amd64" {
		cross["386"] = []string{build("386")}
		if qemu, err := exec.LookPath("qemu-aarch64-static"); err == nil {
			cross["arm64"] = []string{qemu, build("arm64")}
		} else {
			t.Errorf("without arm64: %v", err)
		}
	}
	for _, s := range scripts {
		name := filepath.Base(s)
		want := compile(one, name, stapc)
		if !bytes.Equal(compile(one, name, stapc), want) {
			t.Errorf("%s: another run writes other bytes", name)
		}
		if !bytes.Equal(compile(other, name, stapc), want) {
			t.Errorf("%s: in another folder, other bytes are written", name)
		}
		for arch, command := range cross {
			if !bytes.Equal(compile(one, name, command...), want) {
				t.Errorf("%s: a compiler for %s writes other bytes", name, arch)
			}
		}
	}
}
