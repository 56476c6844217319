package minikernel

import (
	"path/filepath"
	"testing"

	"stapkit/target"
	"stapkit/target/ctype"
)

// TestWrite reads what was written as a target.
func TestWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vmlinux")
	if err := Write(path); err != nil {
		t.Fatal(err)
	}
	tg, err := target.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer tg.Close()
	if fs, err := tg.Functions("", "vfs_*"); err != nil || len(fs) != 4 {
		t.Errorf("functions: %v %v", fs, err)
	}
	if tps, err := tg.Tracepoints("", "sched_*"); err != nil || len(tps) != 2 || tps[0].Params[0].Name == "" {
		t.Errorf("tracepoints: %v %v", tps, err)
	}
	if tg.Machine() != "x86_64" {
		t.Errorf("machine %q", tg.Machine())
	}
}

// TestModule reads the module's types beside the kernel's, as a host has them.
func TestModule(t *testing.T) {
	path := filepath.Join(t.TempDir(), "host.desc")
	if err := WriteHost(path); err != nil {
		t.Fatal(err)
	}
	tg, err := target.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer tg.Close()
	fs, err := tg.Functions(ModuleName, "*")
	if err != nil || len(fs) != 3 || fs[1].Name != "mininet_drop" {
		t.Fatalf("functions: %v %v", fs, err)
	}
	if got := ctype.Prototype(fs[2].Name, fs[2].Type()); got != "int mininet_send(struct mininet_queue *queue, int flags)" {
		t.Errorf("prototype: %s", got)
	}
	if fs, err := tg.Functions("", "vfs_*"); err != nil || len(fs) != 4 {
		t.Errorf("the kernel's own functions: %v %v", fs, err)
	}
}
