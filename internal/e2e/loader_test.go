//go:build linux

package e2e

import (
	"regexp"
	"strings"
	"testing"

	"stapkit/internal/families"
)

// TestLoader runs the scripts of the families that the loader carries.
func TestLoader(t *testing.T) {
	dir := needTools(t)
	for _, c := range families.Loader {
		t.Run(c.Name, func(t *testing.T) {
			tr := launch(t, dir, c.Input, append([]string{"-m", c.Name, "-e", c.Text}, c.Args...)...)
			if got := tr.end(c.Code); got != c.Want {
				t.Errorf("output:\n%s\nwanted:\n%s", got, c.Want)
			}
			if errs := tr.stderr.String(); c.Err == "" && errs != "" || !regexp.MustCompile(c.Err).MatchString(errs) {
				t.Errorf("errors:\n%s\nwanted:\n%s", errs, c.Err)
			}
		})
	}
	b := families.Timers()
	for _, bad := range b.Check(strings.TrimSpace(stap(t, dir, "-e", b.Script()))) {
		t.Error(bad)
	}
}
