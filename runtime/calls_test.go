//go:build linux

package loader

import (
	"slices"
	"testing"

	"github.com/elastic/go-seccomp-bpf/arch"
)

// TestCallNames: machines have other names for some calls, and what is not known by its name
// is not allowed. arm64 has no calls that later ones do in their place.
func TestCallNames(t *testing.T) {
	elsewhere := map[string][]string{
		"amd64": {"fstatat"},
		"arm64": {"access", "arch_prctl", "epoll_wait", "lstat", "newfstatat", "pause", "poll", "readlink", "stat", "time"},
	}
	for name, absent := range elsewhere {
		machine, err := arch.GetInfo(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, call := range allowed {
			if _, ok := machine.SyscallNames[call]; ok == slices.Contains(absent, call) {
				t.Errorf("%s: that there is a call %s is %v", name, call, ok)
			}
		}
	}
}
