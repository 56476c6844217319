package config

// Lint is the table [lint] of a stapkit.toml: which rules run, how much what they
// find weighs, and their options. Package lint checks the names.
type Lint struct {
	// Enable and Disable hold rules ("ST3004"), beginnings of rules ("ST3") or "all".
	Enable  []string `toml:"enable"`
	Disable []string `toml:"disable"`
	// Severity is by rule: "error", "warning", "info" or "hint".
	Severity map[string]string `toml:"severity"`
	// Options are by rule and option, numbers (int64) or strings.
	Options map[string]map[string]any `toml:"options"`
}
