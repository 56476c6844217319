// Package registry lists the rules of the linter.
package registry

import (
	"slices"

	"stapkit/lint"
)

// All returns all rules in the order of their names, those about suppressions last.
func All() []*lint.Analyzer {
	all := slices.Clone(rules)
	for _, n := range []string{"ST9001", "ST9002", "ST9003"} {
		all = append(all, lint.Lookup(n))
	}
	return all
}
