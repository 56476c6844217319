//go:build linux

// Command fetch downloads the kernels that guests are booted with, with -foreign those
// of other machines instead, and with -debug the debugging information of one of them,
// or of all.
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
	debug := flag.String("debug", "", "the debugging information of kernel `VERSION`, or of \"all\", too (300 MB each)")
	foreign := flag.Bool("foreign", false, "kernels of other machines")
	flag.Parse()
	suites := guest.Suites
	if *foreign {
		suites = guest.Foreign
	}
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
	for _, s := range suites {
		release := ""
		k, err := guest.Fetch(ctx, s.Kernel)
		if err == nil {
			release = k.Release
		}
		report("guest "+s.Kernel, release, err)
	}
	for _, s := range suites {
		if *debug != "all" && *debug != s.Kernel {
			continue
		}
		release := ""
		d, err := guest.FetchDebug(ctx, s.Kernel)
		if err == nil {
			release = d.Release
		}
		report("debugging information "+s.Kernel, release, err)
	}
	os.Exit(code)
}
