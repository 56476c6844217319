//go:build linux

// Command fetch downloads the kernels that guests are booted with, and with -debug
// the debugging information of the first.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"stapkit/internal/guest"
)

func main() {
	debug := flag.Bool("debug", false, "the debugging information of the first kernel, too (300 MB)")
	flag.Parse()
	code := 0
	report := func(what, release string, err error) {
		var absent *guest.MissingError
		switch {
		case errors.As(err, &absent):
			fmt.Printf("%s: tests with it are skipped: %v\n", what, err)
		case err != nil:
			fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
			code = 1
		default:
			fmt.Printf("%s: %s\n", what, release)
		}
	}
	ctx := context.Background()
	for _, s := range guest.Suites {
		release := ""
		k, err := guest.Fetch(ctx, s.Kernel)
		if err == nil {
			release = k.Release
		}
		report("guest "+s.Kernel, release, err)
	}
	if *debug {
		release := ""
		d, err := guest.FetchDebug(ctx, guest.Suites[0].Kernel)
		if err == nil {
			release = d.Release
		}
		report("debugging information "+guest.Suites[0].Kernel, release, err)
	}
	os.Exit(code)
}
