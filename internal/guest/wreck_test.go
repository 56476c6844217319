//go:build linux

package guest

import (
	"slices"
	"strings"
	"testing"
)

// TestWreck: the death of the machine is told, with what it said. The guests are those of the
// other tests, which are through with them; one that runs later boots another.
func TestWreck(t *testing.T) {
	for _, suite := range Suites {
		t.Run(suite.Kernel, func(t *testing.T) {
			s := sharedSystem(t, suite.Kernel)
			systems.Lock()
			delete(systems.boots, suite.Kernel)
			systems.Unlock()
			if _, err := s.Run(t.Context(), Command{Args: []string{"sh", "-c", "echo c >/proc/sysrq-trigger"}}); err == nil ||
				!strings.Contains(err.Error(), "sysrq triggered crash") {
				t.Errorf("a crash of the kernel: %v", err)
			}
			if _, err := s.Run(t.Context(), Command{Args: []string{"true"}}); err == nil {
				t.Error("a command ran in a guest that has ended")
			}
			systems.Lock()
			systems.list = slices.DeleteFunc(systems.list, func(o *system) bool { return o == s })
			systems.Unlock()
			if err := s.close(); err != nil {
				t.Error(err)
			}
		})
	}
}
