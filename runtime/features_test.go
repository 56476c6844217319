//go:build linux

package loader

import (
	"testing"

	testhost "stapkit/internal/host"
)

func needRoot(t *testing.T) {
	t.Helper()
	testhost.NeedBPF(t)
	if err := theHost.checkBPF(); err != nil {
		t.Skip("no BPF here: ", err)
	}
}

func TestFeatures(t *testing.T) {
	needRoot(t)
	f, err := Features()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"carrier:raw_tp", "helper:bpf_loop", "prog:syscall", "map:ringbuf", "helper:bpf_ringbuf_output"} {
		if !f[name] {
			t.Errorf("%s: no", name)
		}
	}
	for n, v := range f {
		t.Log(n, v)
	}
}
