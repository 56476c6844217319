//go:build linux

package loader

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"stapkit/bundle"
	"stapkit/ir"
)

func TestExplainRights(t *testing.T) {
	have := func(caps uint64) func() (uint64, error) { return func() (uint64, error) { return caps, nil } }
	for _, tt := range []struct {
		carrier string
		err     error
		caps    uint64
		want    string // "": as it is
	}{
		{"netfilter", unix.EPERM, 1 << capBPF, "lacks CAP_NET_ADMIN"},
		{"netfilter", unix.EPERM, 1 << 12, ""},
		{"netfilter", unix.EBUSY, 0, ""},
		{"uprobe", fmt.Errorf("open /root/x: %w", unix.EACCES), 0, "lacks CAP_DAC_READ_SEARCH"},
		{"uprobe", fmt.Errorf("open /root/x: %w", unix.EACCES), 1 << 2, ""},
		{"raw_tp", unix.EPERM, 0, ""},
	} {
		err := carrierCapability[tt.carrier].explainRights(tt.err, have(tt.caps))
		if !errors.Is(err, tt.err) || tt.want == "" && err != tt.err || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s, %v with %#x: %v", tt.carrier, tt.err, tt.caps, err)
		}
	}
}

// Source lines of the kernel take its symbols' addresses, and those of programs their maps.
func TestNeedsOfLines(t *testing.T) {
	for kind, want := range map[ir.Text]string{
		ir.TextKSymFileLine: "CAP_SYSLOG", ir.TextKStackLine: "CAP_SYSLOG", ir.TextUSymFileLine: "CAP_SYS_PTRACE CAP_DAC_READ_SEARCH",
		ir.TextType: "",
	} {
		p := &ir.Program{Formats: []ir.Format{{Args: []ir.Type{{Kind: ir.Deferred, Width: 8, Text: kind}}}}}
		var got []string
		for _, n := range Needs(Image{Program: p}, &bundle.Uses{}) {
			if n.Always || len(n.Probes) > 0 {
				t.Errorf("%s: %+v", kind, n)
			}
			got = append(got, n.Capability)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s takes %q, want %q", kind, got, want)
		}
	}
}

// TestRaiseFiles: of what is wanted at most, there is what may be had, and what is
// needed at least decides.
func TestRaiseFiles(t *testing.T) {
	var old, now unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	low := unix.Rlimit{Cur: old.Max / 2, Max: old.Max}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
		t.Skipf("cannot lower the limit: %v", err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &old)
	if err := raiseFiles(int(low.Cur)+1, int(low.Cur)+2); err != nil {
		t.Fatal(err)
	}
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &now); err != nil || now.Cur != low.Cur+2 {
		t.Errorf("%d files may be open, want %d: %v", now.Cur, low.Cur+2, err)
	}
	// More than any kernel permits.
	if err := raiseFiles(int(low.Cur)+3, 1<<40); err != nil {
		t.Fatal(err)
	}
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &now); err != nil || now.Cur != old.Max {
		t.Errorf("%d files may be open, want %d: %v", now.Cur, old.Max, err)
	}
	if err := raiseFiles(1<<40, 1<<40); err == nil || !strings.Contains(err.Error(), "open files") {
		t.Errorf("more files than there can be: %v", err)
	}
}
