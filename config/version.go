package config

import "runtime/debug"

// ToolVersion is what the Go tool recorded of how the program was built.
func ToolVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
