//go:build linux

// Command staprun verifies and runs the bundles that stapc makes.
//
// It reads the file once, verifies the bytes that it has read, and loads those.
// It is not set-user-ID and needs none of the compiler.
package main

import (
	"context"
	"os"

	loader "stapkit/runtime"
)

func main() {
	loader.Broker(logOf)
	os.Exit(staprun(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}
