package sema

import (
	"path/filepath"
	"slices"
	"testing"

	"stapkit/internal/minikernel"
	"stapkit/target"
	"stapkit/target/desc"
)

// aarch64 has a host that is described be one of that machine.
type aarch64 struct{ desc.Source }

func (a aarch64) Info() (desc.Info, error) {
	info, err := a.Source.Info()
	info.Machine = "aarch64"
	return info, err
}

// TestBorn: where a new task is told of. On arm64 no system call returns in it.
func TestBorn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mini.desc")
	if err := minikernel.WriteHost(path); err != nil {
		t.Fatal(err)
	}
	f, err := desc.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	for machine, c := range map[string]struct {
		source desc.Source
		want   []string
	}{
		"x86_64": {f, []string{"tp_btf sys_exit", "raw_tp sys_exit"}},
		"arm64":  {aarch64{f}, []string{"fentry calculate_sigpending", "kprobe calculate_sigpending"}},
	} {
		host, err := target.New("mini", c.source)
		if err != nil {
			t.Fatal(err)
		}
		for _, point := range []string{"process.begin", `process("/bin/sh").begin`, "process.thread.begin", "process(1).thread.begin"} {
			// The little kernel has not all that filters read of tasks.
			p := elaborate(t, "probe "+point+" { println(pid()) }", Options{Library: library(), Target: host})
			found := false
			for _, pr := range p.Probes {
				var got []string
				for _, k := range pr.Carriers {
					got = append(got, k.Kind+" "+k.Target)
				}
				found = found || slices.Equal(got, c.want)
			}
			if !found {
				t.Errorf("%s, %s: no probe is carried by %v", machine, point, c.want)
			}
		}
	}
}
