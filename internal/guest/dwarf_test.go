//go:build linux

package guest

import (
	"errors"
	"testing"

	"stapkit/internal/families"
)

// TestDebugInfo runs scripts that are compiled with the debugging information of the
// kernel and its modules.
func TestDebugInfo(t *testing.T) {
	for _, suite := range Suites {
		t.Run(suite.Kernel, func(t *testing.T) {
			d, err := FindDebug(suite.Kernel)
			var absent *MissingError
			if errors.As(err, &absent) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			s := newSystem(t, suite.Kernel)
			// What was described before will do, as nothing is probed by its address.
			if s.desc, err = Describe(t.Context(), s.Kernel, described); err != nil {
				t.Fatal(err)
			}
			s.debug, s.more = d, []string{"--sysroot", d.Root}
			s.batches(t, true)
			for _, c := range families.Debug {
				t.Run(c.Name, func(t *testing.T) {
					s.skipUnless(t, c.Only)
					(*script)(&c).run(t, s)
				})
			}
		})
	}
}
