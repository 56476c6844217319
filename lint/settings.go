package lint

import (
	"fmt"

	"stapkit/config"
	"stapkit/diag"
)

// FromConfig makes settings of the table [lint] of a stapkit.toml. Words that are no
// severities leave a rule's own; CheckConfig and Settings.Check tell of them and of names
// that are no rules.
func FromConfig(c config.Lint) Settings {
	s := Settings{Enable: c.Enable, Disable: c.Disable, Options: c.Options}
	for rule, word := range c.Severity {
		if v, ok := ParseSeverity(word); ok {
			if s.Severity == nil {
				s.Severity = map[string]diag.Severity{}
			}
			s.Severity[rule] = v
		}
	}
	return s
}

// ParseSeverity reads a severity as it is written in stapkit.toml and on command lines.
func ParseSeverity(word string) (diag.Severity, bool) {
	switch word {
	case "error":
		return diag.Error, true
	case "warning":
		return diag.Warning, true
	case "note", "info":
		return diag.Note, true
	case "hint":
		return diag.Hint, true
	}
	return 0, false
}

// CheckConfig returns what is wrong with the table [lint], for a list of rules.
func CheckConfig(c config.Lint, list []*Analyzer) error {
	for rule, word := range c.Severity {
		if _, ok := ParseSeverity(word); !ok {
			return fmt.Errorf("[lint.severity] %s = %q: use error, warning, note or hint", rule, word)
		}
	}
	if _, ok := ParseSeverity(c.FailOn); c.FailOn != "" && !ok {
		return fmt.Errorf("[lint] fail-on = %q: use error, warning or note", c.FailOn)
	}
	s := FromConfig(c)
	if err := s.Check(list); err != nil {
		return fmt.Errorf("[lint]: %w", err)
	}
	return nil
}
