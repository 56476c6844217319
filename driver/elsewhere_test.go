package driver

import (
	"bytes"
	"strings"
	"testing"
)

// TestElsewhere: where there is no Linux, a script is compiled, and pass 5 says what runs it.
func TestElsewhere(t *testing.T) {
	var errs bytes.Buffer
	s := &stap{o: &StapOptions{}, stderr: &errs}
	if code := s.elsewhere(); code != 1 || !strings.Contains(errs.String(), "Linux only; use -p4") {
		t.Errorf("%d %q", code, errs.String())
	}
}
