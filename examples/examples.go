// Package examples holds the example scripts, for stap --example.
package examples

import "embed"

// Files are the scripts.
//
//go:embed *.stp
var Files embed.FS
