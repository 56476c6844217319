package minikernel

import (
	"path/filepath"
	"testing"

	"stapkit/target"
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
