//go:build linux

package loader

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"stapkit/ir"
)

// TestExplain: whatever the kernel refuses is told in the script's terms, with the line,
// also where there is no log of the verifier.
func TestExplain(t *testing.T) {
	s := &session{p: &ir.Program{
		Sites: []ir.Site{{}, {File: "t.stp", Line: 3, Col: 7}, {File: "t.stp", Line: 1, Col: 8}},
		Globals: []ir.Global{
			{Name: "n", Value: ir.TInt},
			{Name: "a", Keys: []ir.Type{ir.TInt}, Value: ir.TInt, MaxEntries: 1 << 27, Site: 2},
		},
		Probes:   []ir.Probe{{Point: `kernel.trace("x")`, Site: 1}},
		Handlers: []*ir.Handler{{Name: "p0", Kernel: true}, {Name: "p", Kernel: true}},
	}}
	defect := `the kernel refuses the handler of probe kernel.trace("x"); this is a defect of stapkit`
	for _, tt := range []struct {
		name string
		err  error
		want []string
	}{
		{"a log with lines", fmt.Errorf("program p0: load program: %w", &ebpf.VerifierError{Cause: unix.EACCES,
			Log: []string{"func#0 @0", "; a[pid()]++ @ t.stp:4", "0: (79) r1 = *(u64 *)(r2 +0)", "R2 invalid mem access 'scalar'", "processed 1 insns"}}),
			[]string{defect, "it stopped at: t.stp:4: a[pid()]++", "its reason: R2 invalid mem access 'scalar'"}},
		{"a log without lines", fmt.Errorf("program p0: load program: %w", &ebpf.VerifierError{Cause: unix.E2BIG, Log: []string{"BPF program is too large. Processed 1000001 insn"}}),
			[]string{defect, "it stopped at: t.stp:3:7: the probe", "its reason: BPF program is too large"}},
		{"no log", fmt.Errorf("program p0: load program: %w", &ebpf.VerifierError{Cause: unix.E2BIG}),
			[]string{defect, "it stopped at: t.stp:3:7: the probe", "its reason: argument list too long"}},
		{"kept back", fmt.Errorf("program p0: load program: %w (hit verifier bug, increase LogSizeStart to fit the log and check dmesg)", unix.EFAULT),
			[]string{defect, "it stopped at: t.stp:3:7: the probe", "bad address"}},
		{"too large a log", fmt.Errorf("program p0: load program: %w (bug: hit 30 verifier attempts)", unix.ENOSPC),
			[]string{defect, "it stopped at: t.stp:3:7: the probe"}},
		{"a helper that is not allowed", fmt.Errorf("program p0: load program: %w", &ebpf.VerifierError{Cause: unix.EINVAL,
			Log: []string{"; $x = 1 @ t.stp:4", "1: (85) call bpf_probe_write_user#36", "program of this type cannot use helper bpf_probe_write_user#36", "processed 1 insns"}}),
			[]string{"this kernel does not let programs call bpf_probe_write_user", "locked down", "at: t.stp:4: $x = 1"}},
		{"an array too large", fmt.Errorf("map g_1: map create: %w", unix.E2BIG),
			[]string{"no memory for the array 'a' (t.stp:1:8) of 134217728 elements, about 10240 MiB", "MAXMAPENTRIES"}},
		{"another map", fmt.Errorf("map g_11: map create: %w", unix.ENOMEM), []string{"loading into the kernel: map g_11"}},
		{"no right", fmt.Errorf("program p0: load program: %w", unix.EPERM), []string{"loading into the kernel: program p0"}},
	} {
		err := s.explain(nil, tt.err)
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		got := err.Error() + "\n" + strings.Join(e.Lines, "\n")
		for _, want := range tt.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: %s\nhas no %q", tt.name, got, want)
			}
		}
	}
}
