package config

// Lint is the table [lint] of a stapkit.toml: which rules run, how much what they
// find weighs, and their options. Package lint checks the names.
type Lint struct {
	// Enable and Disable hold rules ("ST3004"), beginnings of rules ("ST3") or "all".
	Enable  []string `toml:"enable"`
	Disable []string `toml:"disable"`
	// Severity is by rule: "error", "warning", "note" or "hint".
	Severity map[string]string `toml:"severity"`
	// Options are by rule and option, numbers (int64) or strings.
	Options map[string]map[string]any `toml:"options"`
	// FailOn is the mildest severity that makes staplint fail: "error", "warning" or
	// "note"; "" is "warning".
	FailOn string `toml:"fail-on"`
	// Baseline is a file of findings that are known, relative to the stapkit.toml.
	Baseline string `toml:"baseline"`
	// Tapset are patterns of files that are a library, as those of [[files]].
	Tapset Patterns `toml:"tapset"`
}
