// Command stapmon watches running scripts, and carries bundles to hosts.
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(stapmon(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
