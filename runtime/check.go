//go:build linux

package loader

import (
	"fmt"

	"stapkit/ir"
	"stapkit/target"
)

// Check is DryRun for the running kernel, which is also asked whether it knows the
// carriers. It loads test programs of a few instructions where this process may, and
// attaches nothing.
func Check(img Image, tgt *target.Target) ([]ProbeState, error) {
	d, err := newDryRun(img, tgt)
	if err != nil {
		return nil, err
	}
	s := &session{p: img.Program, opt: Options{}}
	defer s.spots.close()
	d.host = func(a *ir.Attach) error {
		c := carriers[a.Carrier]
		if c == nil {
			return fmt.Errorf("%s: this loader does not know the carrier", a.Carrier)
		}
		if d.spec == nil || d.spec.Programs[d.p.Handlers[a.Handler].Name] == nil {
			return nil // relocate has said so
		}
		trial := *d.spec.Programs[d.p.Handlers[a.Handler].Name]
		if err := permitted(a, &trial); err != nil {
			return err
		}
		return c.check(s, a, &trial)
	}
	return d.all(), nil
}
